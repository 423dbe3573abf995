"""Fewer components for a mixture, with the smallest loss: EM on the mixture itself.

With old components j, of weight w_j, matched to new ones k(j), the loss KL(old || new) is at most
sum_j w_j KL(Dir_j || Dir_k(j)) when a new weight is the sum of its old ones (Hershey & Olsen 2007).
Matching each to the nearest and fitting each new one to its old ones lowers that bound in turn:
k-means by a Bregman divergence.  The fit is the M-step on rows, with psi(a_jv) - psi(A_j), the
expected logarithm, in the place of ln p_v.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._base import display
from .._base.arguments import generator_of, times, whole
from .._base.k_means import seeds
from .._base.saving.made import note
from .._base.typing import Floats

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

NO_PENALTY = (0.0, 0.0, 0.0, np.inf)


@display.shown
class Reduction(NamedTuple):
    """A smaller mixture and what it loses; see `DirichletMixture.reduce`.

    Attributes
    ----------
    mixture : DirichletMixture
    bound : float
        No less than the loss, the Kullback-Leibler divergence of the old mixture from the new one
        in nats: that of components matched to components.
    loss, loss_se : float
        The loss estimated from random rows, and its standard error.
    """

    mixture: Any
    bound: float
    loss: float
    loss_se: float

    def to_pandas(self) -> pd.DataFrame:
        """The smaller mixture: a row for each component.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        found: pd.DataFrame = self.mixture.to_pandas()
        return found

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The components of the smaller mixture; `plot.components`."""
        found: Axes = self.mixture.plot(ax=ax)
        return found

    def _table(self) -> display.Table:
        n = self.mixture.n_components
        loss, error, bound = map(display.number, (self.loss, self.loss_se, self.bound))
        title = f"Reduction to {n} component{'s' * (n != 1)}: KL {loss} ± {error} nats, "
        title += f"at most {bound}"
        return self.mixture._table()._replace(title=title)  # type: ignore[no-any-return]


def reduce(mixture: Any, n_components: int, rng: Any, n_init: int, n_samples: int) -> Reduction:
    """See `DirichletMixture.reduce`."""
    n_components = whole(n_components, "n_components", 1)
    n_init, n_samples = times(n_init, "n_init", 1), whole(n_samples, "n_samples", 2)
    kept = mixture.weights > 0.0
    if n_components >= int(kept.sum()):
        return Reduction(mixture, 0.0, 0.0, 0.0)
    generator = generator_of(rng)
    weights, alpha = mixture.weights[kept], mixture.alpha[kept]
    mean_log = _core.digamma(alpha) - _core.digamma(alpha.sum(axis=1))[:, np.newaxis]
    own = _expected_log_density(alpha, alpha, mean_log).diagonal()
    fits = [_descend(weights, alpha, mean_log, own, n_components, generator) for _ in range(n_init)]
    new_weights, new_alpha, bound = min(fits, key=lambda fit: fit[2])
    order = np.argsort(-new_weights, kind="stable")
    best = type(mixture)(new_weights[order], new_alpha[order], tokens=mixture.tokens)
    rows = mixture.sample(n_samples, rng=generator, kind="log_probs")
    difference = mixture.log_prob(rows, kind="log_probs") - best.log_prob(rows, kind="log_probs")
    error = float(difference.std(ddof=1) / np.sqrt(n_samples))
    note(best, call="reduce", of=mixture.n_components, bound=bound, n_init=n_init)
    return Reduction(best, bound, float(difference.mean()), error)


def _expected_log_density(alpha: Floats, new: Floats, mean_log: Floats) -> Floats:
    """E_j[ln Dir(p; new_k)], shape (J, K)."""
    constant = _core.lgamma(new.sum(axis=1)) - _core.lgamma(new).sum(axis=1)
    density: Floats = mean_log @ (new - 1.0).T + constant
    return density


def _descend(
    weights: Floats,
    alpha: Floats,
    mean_log: Floats,
    own: Floats,
    n_components: int,
    rng: np.random.Generator,
) -> tuple[Floats, Floats, float]:
    """New weights, new alphas and the bound, from random centres until nothing is matched anew."""

    def divergences(new: Floats) -> Floats:
        return own[:, np.newaxis] - _expected_log_density(alpha, new, mean_log)

    def from_some(places: NDArray[np.intp]) -> Floats:
        return np.maximum(divergences(alpha[places]), 0.0)

    new = alpha[seeds(len(weights), n_components, from_some, rng, weights)[0]]
    matched = np.full(len(weights), -1)
    for _ in range(1000):
        nearest = divergences(new).argmin(axis=1)
        if (nearest == matched).all():
            break
        matched = nearest
        share = weights[:, np.newaxis] * (matched[:, np.newaxis] == np.arange(n_components))
        statistics = _core.SufficientStatistics(
            share.sum(axis=0), share.T @ mean_log, 0.0, len(weights)
        )
        new, _ = _core.maximization(statistics, new, NO_PENALTY)
    lost = np.maximum(divergences(new)[np.arange(len(weights)), matched], 0.0)
    bound = float(weights @ lost)
    new_weights = np.bincount(matched, weights, minlength=n_components)
    return new_weights / new_weights.sum(), new, bound
