"""Where EM starts: groups of rows, given shares, or a smaller mixture with a component in two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._base import parallel
from .._base.arguments import shown
from .._base.k_means import Points, groups
from .._base.numbers import reals
from .._base.tokens import order_of
from .._base.typing import Floats
from .._base.weights import merged, n_units
from ..mixture import DirichletMixture
from .count_data import CountData
from .em import best, fit, maximization
from .partial.density import PartialData
from .penalty import Penalty
from .resolution import ResolutionData
from .row_data import RowData
from .streams import Data, StreamData

InMemory = RowData | CountData | ResolutionData | PartialData

INITS = ("kmeans++", "random")
SEED_CELLS = 1 << 20  # numbers that a start looks at, or SEED_ROWS rows per component
SEED_ROWS = 64
TRIAL_PASSES = 3  # before starts are compared
SPLIT_PASSES = 4  # before the ways to split are compared


def checked_init(
    init: Any,
    n_components: int,
    n_tokens: int,
    kept: NDArray[np.bool_],
    tokens: tuple[str, ...] | None,
) -> str | DirichletMixture | Floats:
    """What a caller wants EM to start from, checked against the data: of shares those kept."""
    if isinstance(init, str):
        if init not in INITS:
            raise ValueError(
                f"init={shown(init)} is not one of {', '.join(map(repr, INITS))}, a "
                "DirichletMixture or an array of responsibilities"
            )
        return init
    if isinstance(init, DirichletMixture):
        if (init.n_components, init.n_tokens) != (n_components, n_tokens):
            raise ValueError(
                f"the mixture to start from has {init.n_components} components over "
                f"{init.n_tokens} tokens, not {n_components} over {n_tokens}"
            )
        order = order_of(init.tokens, tokens, "the tokens of init and the columns")
        return init if order is None else DirichletMixture(init.weights, init.alpha[:, order])
    share = reals(init, "init")
    if share.shape != (len(kept), n_components):
        raise ValueError(
            f"init has shape {share.shape}; responsibilities need ({len(kept)}, {n_components})"
        )
    return share[kept]


def start(
    data: Data,
    n_components: int,
    init: str | DirichletMixture | Floats,
    penalty: Penalty,
    tokens: tuple[str, ...] | None,
    rng: np.random.Generator,
) -> DirichletMixture:
    """The mixture that EM starts from."""
    if isinstance(init, DirichletMixture):
        return DirichletMixture(init.weights, init.alpha, tokens=tokens)
    if isinstance(data, StreamData):
        if not isinstance(init, str):
            raise ValueError("responsibilities to start from need rows in memory; give a mixture")
        data = _part(data, np.arange(data.n_rows), n_components, rng)
    if isinstance(init, str):
        return start_on(
            data, np.arange(data.n_rows), n_components, penalty, tokens, rng, grouping=init
        )
    return _from_shares(data, init, penalty, tokens)


def start_on(
    data: InMemory,
    rows: NDArray[np.intp],
    n_components: int,
    penalty: Penalty,
    tokens: tuple[str, ...] | None,
    rng: np.random.Generator,
    grouping: str = "kmeans++",
) -> DirichletMixture:
    """A mixture of some rows, or a random part of them, in groups.

    Where there are several ways to see the rows, the best of their groupings after a few passes.
    """
    data = _part(data, rows, n_components, rng)
    if n_components == 1:
        return _from_shares(data, np.ones((data.n_rows, 1)), penalty, tokens)
    starts = []
    for group in _groupings(data, n_components, grouping, rng):
        # A group of few rows has hardly a spread: each is mixed with all the rows.
        share = np.full((data.n_rows, n_components), 0.1 / n_components)
        share[np.arange(data.n_rows), group] += 0.9
        starts.append(_from_shares(data, share, penalty, tokens))
    if len(starts) == 1:
        return starts[0]
    tried = [fit(data, m, tol=0.0, max_iter=TRIAL_PASSES, penalty=penalty) for m in starts]
    return best(tried).mixture


def _from_shares(
    data: InMemory,
    share: Floats,
    penalty: Penalty,
    tokens: tuple[str, ...] | None,
) -> DirichletMixture:
    """The M-step from each row's probability of each component (n, K)."""
    statistics = data.accumulate(share)
    alpha = data.rough_alpha(statistics, penalty.max_concentration)  # type: ignore[arg-type]
    weight = statistics.weight
    return maximization(
        statistics, DirichletMixture(weight / weight.sum(), alpha, tokens=tokens), penalty
    )[0]


def _part(
    data: Data, rows: NDArray[np.intp], n_components: int, rng: np.random.Generator
) -> InMemory:
    """What a start looks at: the rows, or a random part of them, drawn by weight."""
    most = max(SEED_CELLS // data.n_tokens, SEED_ROWS * n_components)
    if len(rows) <= most:
        return data.some(rows)
    if data.weights is None:
        return data.some(np.sort(rng.choice(rows, most, replace=False)))
    weights = data.weights[rows]
    drawn, times = np.unique(rng.choice(rows, most, p=weights / weights.sum()), return_counts=True)
    part, weights = data.some(drawn), times.astype(np.float64)
    if isinstance(part, ResolutionData):
        return part.weighted(weights)
    return replace(part, weights=weights)


def _groupings(
    data: InMemory, n_components: int, name: str, rng: np.random.Generator
) -> Iterator[NDArray[np.intp]]:
    """The group of each row, once or more often.

    A row and its repetitions are one point, so that chance treats them as it does a weight.
    """
    weights = np.ones(data.n_rows) if data.weights is None else data.weights
    ways = data.points()
    points, together, place = merged(next(ways), weights)
    if name == "random":
        yield rng.integers(n_components, size=len(points))[place]
        return
    first = np.unique(place, return_index=True)[1]
    for at in chain([points], (way[first] for way in ways)):
        with parallel.one_blas_thread:
            # many tokens make all distances alike: a single draw seldom finds a new group
            found = groups(Points.of(at, together), n_components, rng, tries=8, rounds=5)
        yield found[place]


def best_split(
    data: InMemory,
    mixture: DirichletMixture,
    penalty: Penalty,
    rng: np.random.Generator,
) -> DirichletMixture | None:
    """The best mixture of one more component after a few passes; None where none can be split.

    Splitting finds optima that k-means misses, at the cost of a few passes for each component
    (after Ueda, Nakano, Ghahramani & Hinton 2000).
    """
    ended = [
        fit(data, at, tol=0.0, max_iter=SPLIT_PASSES, penalty=penalty)
        for at in _splits(data, mixture, penalty, rng)
    ]
    return best(ended).mixture if ended else None


def _splits(
    data: InMemory,
    mixture: DirichletMixture,
    penalty: Penalty,
    rng: np.random.Generator,
) -> Iterator[DirichletMixture]:
    """The mixture with each component in turn replaced by two: by k-means of its own rows."""
    shares, _ = data.posterior(mixture)
    nearest = shares.argmax(axis=1)
    for k in range(mixture.n_components):
        mine = np.flatnonzero(nearest == k)
        heavy = 0.0 if data.weights is None else float(data.weights[mine].sum())
        if n_units(len(mine), heavy) < 2.0:
            continue
        halves = start_on(data, mine, 2, penalty, mixture.tokens, rng)
        weights = np.concatenate(
            [np.delete(mixture.weights, k), mixture.weights[k] * halves.weights]
        )
        alpha = np.concatenate([np.delete(mixture.alpha, k, axis=0), halves.alpha])
        yield DirichletMixture(weights / weights.sum(), alpha, tokens=mixture.tokens)
