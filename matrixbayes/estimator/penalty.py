"""What is known of alpha beside the data: the user's prior, and the penalty that EM adds.

At a resolution there is more (model.md section 4b): the means of components are drawn towards the
mean row, and that of the mixture to it.  Both are the logarithms of Dirichlet densities,

    -shrinkage sum_k KL(m0 || m_k) - mean_weight W KL(m0 || m)        m = sum_k w_k m_k, W rows,

and to EM they are so many more rows that show a single token each, drawn from m0 in exact
proportions: `shrinkage` of them to each component, the others shared out by responsibilities.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import _core
from .._base.typing import Floats
from ..mixture import DirichletMixture

SHRINKAGE = 30.0  # tokens of the mean row that each component has seen
MEAN_WEIGHT = (
    10.0  # tokens of its own, beside its draws, by which a row speaks of the mixture's mean
)


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
    component, and A's bound; and, of rows at a resolution, how means are drawn to the mean row.
    """

    each: float
    total: float
    rate: float
    max_concentration: float
    shrinkage: float = 0.0
    mean_weight: float = 0.0

    @classmethod
    def of(
        cls, gamma: GammaPrior | None, max_concentration: float, shrinkage: float = 0.0
    ) -> Penalty:
        """From the user's; a weak exponential prior on each A, that costs 0.0001 nats at the cap,
        is always on: far below what data of any size say, it bounds the objective where they
        say nothing.
        """
        rate = 1e-4 / max_concentration
        mean_weight = MEAN_WEIGHT if shrinkage else 0.0
        if gamma is None:
            return cls(0.0, 0.0, rate, max_concentration, shrinkage, mean_weight)
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
        return cls(each, total, rate + gamma_rate, max_concentration, shrinkage, mean_weight)

    @property
    def on_alpha(self) -> tuple[float, float, float, float]:
        """What the core knows of it."""
        return self[:4]

    def log_density(self, mixture: DirichletMixture, row_sum: Floats | None = None) -> float:
        """The logarithm of the prior at a mixture, up to a constant; `row_sum` of the rows."""
        value = -self.rate * float(mixture.concentration.sum())
        if self.each:
            value += self.each * float(_core.log(mixture.alpha).sum())
        if self.total:
            value += self.total * float(_core.log(mixture.concentration).sum())
        if row_sum is not None and self.shrinkage:
            value -= self._divergences(mixture, row_sum)
        return value

    def _divergences(self, mixture: DirichletMixture, row_sum: Floats) -> float:
        """What the mean row asks of the means, by their weights."""
        seen = row_sum > 0.0
        alpha, total = mixture.alpha, float(row_sum.sum())
        if not seen.all():
            alpha, row_sum = alpha[:, seen], row_sum[seen]
        mean, a = row_sum / total, mixture.concentration
        level = float(_core.log(mean) @ mean)
        apart = level + _core.log(a) - _core.log(alpha) @ mean
        together = level - float(_core.log((mixture.weights / a) @ alpha) @ mean)
        return self.shrinkage * float(apart.sum()) + self.mean_weight * total * together

    def draws(self, mixture: DirichletMixture, row_sum: Floats) -> tuple[Floats, Floats]:
        """The single tokens that EM sees beside the data: those (V,) of each component alone, and
        those (K, V) that the components of a mixture share."""
        joint = mixture.alpha * (mixture.weights / mixture.concentration)[:, np.newaxis]
        joint *= self.mean_weight * row_sum / joint.sum(axis=0)
        return self.shrinkage * row_sum / row_sum.sum(), joint
