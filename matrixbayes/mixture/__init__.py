"""Mixtures of Dirichlets: priors and posteriors over rows, and what is made of them.

Contents
    DirichletMixture, Uncertainty               densities, evidence, posterior, predictive, samples
    posterior_path, PosteriorPath               what a text teaches, token by token
    approximation_report, ApproximationReport   how near a mixture comes to any prior
    read_easel, write_easel                     files of another program
"""

from .approximation import ApproximationReport, approximation_report
from .easel import read_easel, write_easel
from .mixture import DirichletMixture, Uncertainty
from .path import PosteriorPath, posterior_path

__all__ = [
    "ApproximationReport",
    "DirichletMixture",
    "PosteriorPath",
    "Uncertainty",
    "approximation_report",
    "posterior_path",
    "read_easel",
    "write_easel",
]
