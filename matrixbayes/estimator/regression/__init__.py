"""Regression of the concentration on what rows come from: size, layer, shots, temperature.

Contents
    regress_concentration      the fit
    ConcentrationRegression    what it found
    ConcentrationPrediction    its concentrations elsewhere
"""

from .regress import regress_concentration
from .result import ConcentrationPrediction, ConcentrationRegression

__all__ = ["ConcentrationPrediction", "ConcentrationRegression", "regress_concentration"]
