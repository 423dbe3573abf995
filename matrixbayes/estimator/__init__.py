"""Fits of Dirichlet mixtures: EM, where it starts, what it reads, how many components.

Contents
    DirichletMixtureEstimator        a mixture fitted to rows, counts or streams of them
    select_prior, PriorSelection     fits of several sizes, by a criterion
    GammaPrior                       what a fit may believe of concentrations
    CountStatistics, Information     what a fit learnt from; standard errors and evidence
"""

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
