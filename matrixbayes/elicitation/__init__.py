"""The prior that a model behaves as if it had."""

from .elicit import elicit_prior
from .families import FamilyComparison
from .report import ElicitationReport

__all__ = [
    "ElicitationReport",
    "FamilyComparison",
    "elicit_prior",
]
