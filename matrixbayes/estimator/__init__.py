"""Fits of Dirichlet mixtures: EM, where it starts, what it reads, how many components.

Contents
    DirichletMixtureEstimator        a mixture fitted to rows, counts or streams of them
    select_prior, PriorSelection     fits of several sizes, by a criterion
    GammaPrior                       what a fit may believe of concentrations
    CountStatistics, PartialStatistics    what a fit learnt from: of counts, of rows known in part
    regress_concentration, ConcentrationRegression    the concentration by size, layer, shots, ...
    Information                      standard errors and evidence
    BitsBounds                       between which bits complete rows cost, of which a part is known
"""

from .estimator import DirichletMixtureEstimator
from .information import Information
from .partial.bracket import BitsBounds
from .partial.statistics import PartialStatistics
from .penalty import GammaPrior
from .regression import ConcentrationPrediction, ConcentrationRegression, regress_concentration
from .selection import select_prior
from .sizes.prior_selection import PriorSelection
from .statistics import CountStatistics

__all__ = [
    "BitsBounds",
    "ConcentrationPrediction",
    "ConcentrationRegression",
    "CountStatistics",
    "DirichletMixtureEstimator",
    "GammaPrior",
    "Information",
    "PartialStatistics",
    "PriorSelection",
    "regress_concentration",
    "select_prior",
]
