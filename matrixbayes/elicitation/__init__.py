"""The prior that a model behaves as if it had.

Contents
    elicit_prior         find the prior whose predictive is closest to a model's predictions
    ElicitedPredictor    that prior as a model: it predicts, writes, and scores texts
    ElicitationReport    that prior, how well it explains the model, and what the data leave open
    FamilyComparison     several families of priors, held against each other
"""

from .elicit import elicit_prior
from .families import FamilyComparison
from .predictor import ElicitedPredictor
from .report import ElicitationReport

__all__ = [
    "ElicitationReport",
    "ElicitedPredictor",
    "FamilyComparison",
    "elicit_prior",
]
