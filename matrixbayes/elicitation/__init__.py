"""The prior that a model behaves as if it had.

Contents
    elicit_prior         find the prior whose predictive is closest to a model's predictions
    ElicitationReport    that prior, how well it explains the model, and what the data leave open
    FamilyComparison     several families of priors, held against each other
"""

from .elicit import elicit_prior
from .families import FamilyComparison
from .report import ElicitationReport

__all__ = [
    "ElicitationReport",
    "FamilyComparison",
    "elicit_prior",
]
