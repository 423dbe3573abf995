"""Mixtures of Dirichlets: priors and posteriors over rows, and what is made of them.

Contents
    DirichletMixture, Uncertainty               densities, evidence, posterior, predictive, samples
    KernelMixture, KernelReduction              a Dirichlet around every row, and few in their place
    posterior_path, PosteriorPath               what a text teaches, token by token
    approximation_report, ApproximationReport   how near a mixture comes to any prior
    check_prior, FitCheck                       a prior beside the rows that it is to describe
    read_easel, write_easel                     files of another program
"""

from .approximation import ApproximationReport, approximation_report
from .easel import read_easel, write_easel
from .fit_check import FitCheck, check_prior
from .kernels import KernelMixture, KernelReduction
from .mixture import DirichletMixture, Uncertainty
from .path import PosteriorPath, posterior_path

__all__ = [
    "ApproximationReport",
    "DirichletMixture",
    "FitCheck",
    "KernelMixture",
    "KernelReduction",
    "PosteriorPath",
    "Uncertainty",
    "approximation_report",
    "check_prior",
    "posterior_path",
    "read_easel",
    "write_easel",
]
