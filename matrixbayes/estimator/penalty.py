"""What is known of alpha beside the data: the user's prior, and the penalty that EM adds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import _core
from ..mixture import DirichletMixture


class GammaPrior(NamedTuple):
    """A Gamma prior of a component's parameters, the same for each component.

    Parameters
    ----------
    shape, rate : float
        Of the density x^(shape - 1) exp(-rate x).
    on : {"alpha", "log_alpha", "concentration"}
        What is Gamma distributed: each alpha; each alpha too, but with the density taken per
        unit of ln alpha, which adds one to the exponent; or the concentration A.

    Notes
    -----
    The fit then maximises the posterior density.  ``GammaPrior(0.1, 0.1, on="log_alpha")`` is the
    objective of the R package DirichletMultinomial (Holmes, Harris & Quince 2012).

    Examples
    --------
    >>> import matrixbayes as mb
    >>> mb.GammaPrior(0.1, 0.1, on="log_alpha")
    GammaPrior(shape=0.1, rate=0.1, on='log_alpha')
    """

    shape: float
    rate: float
    on: str = "alpha"


class Penalty(NamedTuple):
    """What EM adds to the log-likelihood, each * sum(ln alpha) + total * ln A - rate * A for each
    component, and A's bound.
    """

    each: float
    total: float
    rate: float
    max_concentration: float

    @classmethod
    def of(cls, gamma: GammaPrior | None, max_concentration: float) -> Penalty:
        """From the user's; a weak exponential prior on each A, that costs 0.0001 nats at the cap,
        is always on: far below what data of any size say, it bounds the objective where they
        say nothing.
        """
        rate = 1e-4 / max_concentration
        if gamma is None:
            return cls(0.0, 0.0, rate, max_concentration)
        shape, gamma_rate, on = gamma
        if on not in ("alpha", "log_alpha", "concentration"):
            raise ValueError(
                f"a GammaPrior on {on!r} is not one on 'alpha', 'log_alpha' or 'concentration'"
            )
        least = 0.0 if on == "log_alpha" else 1.0
        if not (least <= shape < np.inf and 0.0 <= gamma_rate < np.inf):
            raise ValueError(
                f"a GammaPrior on {on} needs shape >= {least:g} and rate >= 0, both finite, not "
                f"{shape!r} and {gamma_rate!r}: a smaller shape has no maximum"
            )
        each = {"alpha": shape - 1.0, "log_alpha": shape, "concentration": 0.0}[on]
        total = shape - 1.0 if on == "concentration" else 0.0
        return cls(each, total, rate + gamma_rate, max_concentration)

    def log_density(self, mixture: DirichletMixture) -> float:
        """The logarithm of the prior at a mixture, up to a constant."""
        value = -self.rate * float(mixture.concentration.sum())
        if self.each:
            value += self.each * float(_core.log(mixture.alpha).sum())
        if self.total:
            value += self.total * float(_core.log(mixture.concentration).sum())
        return value
