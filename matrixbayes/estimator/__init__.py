"""Fits of Dirichlet mixtures: EM, where it starts, what it reads, how many components."""

from .estimator import DirichletMixtureEstimator
from .information import Information
from .penalty import GammaPrior
from .selection import PriorSelection, select_prior
from .statistics import CountStatistics

__all__ = [
    "CountStatistics",
    "DirichletMixtureEstimator",
    "GammaPrior",
    "Information",
    "PriorSelection",
    "select_prior",
]
