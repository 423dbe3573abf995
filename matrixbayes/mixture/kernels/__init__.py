"""A Dirichlet around every row.

Contents
    KernelMixture      evidence, posterior, predictive, samples of components never written out
    KernelReduction    few components in their place, and what they lose
"""

from .fit import from_rows as _from_rows  # noqa: F401
from .kernel_mixture import KernelMixture
from .reduction import KernelReduction

__all__ = ["KernelMixture", "KernelReduction"]
