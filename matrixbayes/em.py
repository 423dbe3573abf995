"""Expectation-maximisation of a Dirichlet mixture on rows: starts, passes, bounds.

The arithmetic is the C core's; here is what happens between two of its calls.  A
pass over the rows is an E-step, block by block through the executor; the M-step
sees only the merged statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core, parallel
from .mixture import DirichletMixture

__all__ = ["Data", "Fit", "fit", "start"]

Floats = NDArray[np.float64]

SEED_CELLS = 1 << 22  # log-probabilities that a start looks at, or SEED_ROWS rows per component
SEED_ROWS = 64
CAPPED, UNSETTLED = 1, -1  # what the M-step says of a component


@dataclass(frozen=True)
class Data:
    """Rows of log-probabilities (N, V), their weights, and who works on them."""

    log_probs: NDArray[np.floating]
    weights: Floats | None
    pool: tuple[Executor | None, int]

    @property
    def total_weight(self) -> float:
        """Sum of the rows' weights."""
        return float(len(self.log_probs) if self.weights is None else self.weights.sum())

    def expectation(self, mixture: DirichletMixture) -> _core.SufficientStatistics:
        """The E-step: one pass over the rows."""

        def arguments() -> Iterator[tuple[Any, ...]]:
            for cut in parallel.blocks(len(self.log_probs), mixture.alpha.size):
                weights = None if self.weights is None else self.weights[cut]
                yield mixture, np.ascontiguousarray(self.log_probs[cut]), weights

        return parallel.merge(parallel.in_order(self.pool, _core.expectation, arguments()))

    def accumulate(
        self, rows: NDArray[np.intp], responsibilities: Floats
    ) -> _core.SufficientStatistics:
        """Statistics of some rows under given responsibilities (n, K)."""
        share = responsibilities
        if self.weights is not None:
            share = share * self.weights[rows, np.newaxis]
        everything = len(rows) == len(self.log_probs)

        def arguments() -> Iterator[tuple[Any, ...]]:
            for cut in parallel.blocks(len(rows), self.log_probs.shape[1] * share.shape[1]):
                block = self.log_probs[cut if everything else rows[cut]]
                yield np.ascontiguousarray(block), share[cut]

        return parallel.merge(parallel.in_order(self.pool, _core.accumulate, arguments()))

    def squared_distances(self, rows: NDArray[np.intp], centre: NDArray[np.floating]) -> Floats:
        """Squared Aitchison distance of some rows to a row (V,)."""
        target = np.asarray(centre, dtype=np.float64)

        def arguments() -> Iterator[tuple[Any, ...]]:
            for cut in parallel.blocks(len(rows), self.log_probs.shape[1]):
                yield np.ascontiguousarray(self.log_probs[rows[cut]]), target

        return np.concatenate(
            list(parallel.in_order(self.pool, _core.squared_distances, arguments()))
        )


@dataclass
class Fit:
    """Where EM has got to.

    ``bounds[i]`` is the objective per unit of weight at the parameters of pass i, the mean
    log-likelihood of a row less the penalty; the last one is that of ``mixture``.
    """

    mixture: DirichletMixture
    bounds: list[float] = field(default_factory=list)
    log_likelihood: float = -np.inf
    outcomes: NDArray[np.int8] | None = None
    settled: bool = False

    @property
    def capped(self) -> NDArray[np.intp]:
        """Components whose concentration is at its cap."""
        return np.flatnonzero(self.outcomes == CAPPED)

    @property
    def unsettled(self) -> NDArray[np.intp]:
        """Components whose last M-step found no maximum."""
        return np.flatnonzero(self.outcomes == UNSETTLED)


def maximization(
    statistics: _core.SufficientStatistics,
    alpha: Floats,
    max_concentration: float,
    tokens: tuple[str, ...] | None,
) -> tuple[DirichletMixture, NDArray[np.int8]]:
    """The M-step: the mixture that statistics ask for, and how each component fared."""
    rate = penalty_rate(max_concentration)
    alpha, outcomes = _core.maximization(statistics, alpha, max_concentration, rate)
    weights = statistics.weight / statistics.weight.sum()
    return DirichletMixture(weights, alpha, tokens=tokens), outcomes


def penalty_rate(max_concentration: float) -> float:
    """Rate of the exponential prior on each concentration A: at the cap it costs 0.0001 nats.

    Far below what data of any size say; it bounds the objective where they say nothing.
    """
    return 1e-4 / max_concentration


def fit(
    data: Data,
    mixture: DirichletMixture,
    *,
    tol: float,
    max_iter: int,
    max_concentration: float,
    watch: Callable[[Fit], None] = lambda state: None,
) -> Fit:
    """EM from a mixture until the bound rises by less than `tol`, or `max_iter` passes.

    `watch` sees the state after each pass; an exception there (or Ctrl-C anywhere) leaves the
    last state it saw whole.
    """
    state = Fit(mixture)
    rate, total = penalty_rate(max_concentration), data.total_weight
    next_mixture, outcomes = mixture, None
    for _ in range(max_iter):
        statistics = data.expectation(next_mixture)
        penalty = rate * float(next_mixture.concentration.sum())
        bound = (statistics.log_likelihood - penalty) / total
        rise = bound - state.bounds[-1] if state.bounds else np.inf
        state = Fit(
            next_mixture,
            [*state.bounds, bound],
            statistics.log_likelihood,
            outcomes,
            settled=rise < tol,
        )
        watch(state)
        if state.settled:
            break
        next_mixture, outcomes = maximization(
            statistics, state.mixture.alpha, max_concentration, mixture.tokens
        )
        if _same(next_mixture, state.mixture):
            state.settled, state.outcomes = True, outcomes
            watch(state)
            break
    return state


def _same(a: DirichletMixture, b: DirichletMixture) -> bool:
    """Whether an M-step moved nothing beyond rounding."""
    moved = np.abs(a.alpha - b.alpha) <= 1e-13 * b.alpha
    return bool(moved.all() and np.allclose(a.weights, b.weights, rtol=0.0, atol=1e-15))


# -- where to start ------------------------------


def start(
    data: Data,
    n_components: int,
    init: str | DirichletMixture | Floats,
    max_concentration: float,
    tokens: tuple[str, ...] | None,
    rng: np.random.Generator,
) -> DirichletMixture:
    """The mixture that EM starts from."""
    if isinstance(init, DirichletMixture):
        return DirichletMixture(init.weights, init.alpha, tokens=tokens)
    if isinstance(init, str):
        rows = _seed_rows(data, n_components, rng)
        share = np.ones((len(rows), 1))
        if n_components > 1:
            groups = _GROUPINGS[init](data, rows, n_components, rng)
            # A group of few rows has hardly a spread: each is mixed with all the rows.
            share = np.full((len(rows), n_components), 0.1 / n_components)
            share[np.arange(len(rows)), groups] += 0.9
    else:
        rows, share = np.arange(len(data.log_probs)), init
    statistics = data.accumulate(rows, share)
    mean_log = statistics.log_sums / np.maximum(statistics.weight, 1e-300)[:, np.newaxis]
    mean_log[statistics.weight == 0.0] = statistics.log_sums.sum(axis=0) / statistics.weight.sum()
    alpha = _rough_alpha(mean_log, max_concentration)
    return maximization(statistics, alpha, max_concentration, tokens)[0]


def _rough_alpha(mean_log: Floats, max_concentration: float) -> Floats:
    """Dirichlet parameters near the maximum, from mean log-probabilities (K, V).

    Stirling's formula turns the likelihood equations into
    A = (V - 1) / 2 / -ln sum_v exp(mean_log_v), after Minka (2000); then
    psi(alpha_v) = psi(A) + mean_log_v.
    """
    spread = -np.log(np.exp(mean_log).sum(axis=1))
    total = 0.5 * (mean_log.shape[1] - 1) / np.maximum(spread, 1e-300)
    total = np.clip(total, 1e-6, max_concentration)
    alpha = _core.inverse_digamma(_core.digamma(total)[:, np.newaxis] + mean_log)
    return np.maximum(alpha, 1e-300)


def _seed_rows(data: Data, n_components: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """The rows that a start looks at: all of them, or a random part."""
    n, width = data.log_probs.shape
    most = max(SEED_CELLS // width, SEED_ROWS * n_components)
    if n <= most:
        return np.arange(n)
    return np.sort(rng.choice(n, most, replace=False))


def _plus_plus_groups(
    data: Data, rows: NDArray[np.intp], n_components: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Groups by greedy k-means++ and a few rounds of k-means.

    Distances are between centred log-probabilities: Aitchison's geometry of the simplex.  A
    centre is a row drawn by its squared distance to the others, the best of several draws
    (Arthur & Vassilvitskii 2007): many tokens make all distances alike, and a single draw
    then seldom finds a new group.
    """
    weights = np.ones(len(rows)) if data.weights is None else data.weights[rows]
    nearest = np.full(len(rows), np.inf)
    groups = np.zeros(len(rows), dtype=np.intp)
    chance = weights
    for k in range(n_components):
        if not chance.sum() > 0.0:  # fewer different rows than components
            chance = weights
        tries = rng.choice(len(rows), size=1 if k == 0 else 8, p=chance / chance.sum())
        distances = [data.squared_distances(rows, data.log_probs[rows[i]]) for i in set(tries)]
        distance = min(distances, key=lambda d: float(weights @ np.minimum(nearest, d)))
        groups[distance < nearest] = k
        nearest = np.minimum(nearest, distance)
        chance = weights * nearest
    return _k_means(data, rows, groups, n_components)


def _k_means(
    data: Data, rows: NDArray[np.intp], groups: NDArray[np.intp], n_components: int
) -> NDArray[np.intp]:
    """A few rounds of k-means from groups; one that has become empty stays so."""
    for _ in range(5):
        share = (groups[:, np.newaxis] == np.arange(n_components)).astype(float)
        statistics = data.accumulate(rows, share)
        filled = np.flatnonzero(statistics.weight > 0.0)
        centres = statistics.log_sums[filled] / statistics.weight[filled, np.newaxis]
        distances = [data.squared_distances(rows, centre) for centre in centres]
        closest = filled[np.argmin(distances, axis=0)]
        if (closest == groups).all():
            break
        groups = closest
    return groups


def _random_groups(
    data: Data, rows: NDArray[np.intp], n_components: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Every row in a group at random."""
    return rng.integers(n_components, size=len(rows))


_GROUPINGS = {"kmeans++": _plus_plus_groups, "random": _random_groups}
INITS = tuple(_GROUPINGS)
