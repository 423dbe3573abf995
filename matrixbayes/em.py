"""Expectation-maximisation of a Dirichlet mixture: starts, passes, bounds.

The arithmetic is the C core's; here is what happens between two of its calls.  A
pass over the data is an E-step, block by block through the executor; the M-step
sees only the merged statistics.  Data are rows (`RowData`), counts (`CountData`), or either
read in blocks (`StreamData`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from . import _core, parallel
from ._base_k_means import Points, groups
from ._em_counts import CountData, encode
from ._em_rows import RowData
from ._em_streams import StreamData
from ._estimator_penalty import GammaPrior, Penalty
from ._estimator_statistics import CountStatistics, Statistics, of_same_rows
from ._weights import merged
from .mixture import DirichletMixture

__all__ = [
    "CountData",
    "CountStatistics",
    "Fit",
    "GammaPrior",  # where pickles from before look for it
    "RowData",
    "StreamData",
    "best",
    "encode",
    "fit",
    "start",
]

Data = RowData | CountData | StreamData
Floats = NDArray[np.float64]

SEED_CELLS = 1 << 20  # numbers that a start looks at, or SEED_ROWS rows per component
SEED_ROWS = 64
TRIAL_PASSES = 3  # before starts are compared
CAPPED, UNSETTLED = 1, -1  # what the M-step says of a component
VANISHED = 1e-12  # alphas are held at 1e-15


@dataclass
class Fit:
    """Where EM has got to.

    ``bounds[i]`` is the objective per unit of weight at the parameters of pass i, the mean
    log-likelihood of a row and the penalty; the last one is that of ``mixture``.  ``n_passes``
    counts the passes that led nowhere too; ``statistics`` are those of the last pass.
    """

    mixture: DirichletMixture
    bounds: list[float] = field(default_factory=list)
    log_likelihood: float = -np.inf
    outcomes: NDArray[np.int8] | None = None
    settled: bool = False
    n_passes: int = 0
    statistics: Statistics | None = None

    @property
    def capped(self) -> NDArray[np.intp]:
        """Components whose concentration is at its cap."""
        return np.flatnonzero(self.outcomes == CAPPED)

    @property
    def unsettled(self) -> NDArray[np.intp]:
        """Components whose last M-step found no maximum."""
        return np.flatnonzero(self.outcomes == UNSETTLED)

    @property
    def vanished(self) -> NDArray[np.intp]:
        """Components whose concentration has fallen to where alphas are held above 0."""
        return np.flatnonzero(self.mixture.alpha.max(axis=1) < VANISHED)


def best(states: list[Fit]) -> Fit:
    """The highest of those whose concentrations are below the cap, if any is.

    At a cap the likelihood is as large as the cap allows, and compares with nothing.
    """
    bounded = [state for state in states if not len(state.capped)]
    return max(bounded or states, key=lambda state: state.bounds[-1])


def maximization(
    statistics: Statistics, alpha: Floats, penalty: Penalty, tokens: tuple[str, ...] | None
) -> tuple[DirichletMixture, NDArray[np.int8]]:
    """The M-step: the mixture that statistics ask for, and how each component fared."""
    if isinstance(statistics, CountStatistics):
        s = statistics
        alpha, outcomes = _core.count_maximization(s.tokens, s.counts, s.cells, alpha, penalty)
    else:
        alpha, outcomes = _core.maximization(statistics, alpha, penalty)
    weights = statistics.weight / statistics.weight.sum()
    return DirichletMixture(weights, alpha, tokens=tokens), outcomes


def fit(
    data: Data,
    mixture: DirichletMixture,
    *,
    tol: float,
    max_iter: int,
    penalty: Penalty,
    accelerate: bool = True,
    watch: Callable[[Fit], None] = lambda state: None,
) -> Fit:
    """EM from a mixture until the bound rises by less than `tol`, or `max_iter` passes.

    `accelerate` tries, after every two steps of EM, a longer one in their direction (SQUAREM);
    one that does not raise the bound is forgotten, so that the end is the same.  `watch` sees
    the state after each pass; an exception there (or Ctrl-C anywhere) leaves the last state it
    saw whole.
    """
    state = Fit(mixture)
    total = data.total_weight
    trail = [mixture]  # where EM stood, step by step, since the last long step
    trial, outcomes, long = mixture, None, False
    while state.n_passes < max_iter:
        if mixture.n_components == 1 and state.statistics is not None:
            # All rows are its own: no pass is needed to know that.
            statistics = of_same_rows(state.statistics, trial)
        else:
            statistics = data.expectation(trial)
        bound = (statistics.log_likelihood + penalty.log_density(trial)) / total
        rise = bound - state.bounds[-1] if state.bounds else np.inf
        if long and not rise >= 0.0:
            # Too long: EM goes on from where it stood.  Nothing is lost but a pass.
            state.n_passes += 1
            trial, long, trail = trail[-1], False, [trail[-1]]
            continue
        if not rise >= 0.0:
            # An M-step lowers nothing but by rounding: there is no more to gain.
            # (A bound that is no number says nothing, and is never called settled.)
            known = not np.isnan(rise)
            state = replace(state, outcomes=outcomes, settled=known, n_passes=state.n_passes + 1)
            watch(state)
            break
        state = Fit(
            trial,
            [*state.bounds, bound],
            statistics.log_likelihood,
            outcomes,
            settled=rise < tol and not long,
            n_passes=state.n_passes + 1,
            statistics=statistics,
        )
        watch(state)
        if state.settled:
            break
        step, outcomes = maximization(statistics, trial.alpha, penalty, mixture.tokens)
        if _same(step, trial):
            state.settled, state.outcomes = True, outcomes
            watch(state)
            break
        trail = [trial, step] if long else [*trail, step]
        trial, long = step, False
        if accelerate and len(trail) == 3 and not len(np.flatnonzero(outcomes)):
            longer = _long_step(trail, penalty)
            if longer is not None:
                trial, long = longer, True
            trail = [step]
    return state


def _same(a: DirichletMixture, b: DirichletMixture) -> bool:
    """Whether an M-step moved nothing beyond rounding."""
    moved = np.abs(a.alpha - b.alpha) <= 1e-13 * b.alpha
    return bool(moved.all() and np.allclose(a.weights, b.weights, rtol=0.0, atol=1e-15))


def _long_step(trail: list[DirichletMixture], penalty: Penalty) -> DirichletMixture | None:
    """Where two steps of EM, along a trail of three, lead to if the next shrink as they did.

    SQUAREM's third scheme (Varadhan & Roland 2008), in ln alpha and ln w.  None where it is no
    longer a step than theirs.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        paths = [np.log(np.column_stack([m.alpha, m.weights])) for m in trail]
    first, second = paths[1] - paths[0], paths[2] - paths[1]
    bend = second - first
    length, turn = np.linalg.norm(first), np.linalg.norm(bend)
    if not (np.isfinite(length) and turn > 0.0 and length > turn):
        return None
    stretch = length / turn
    logs = paths[0] + 2.0 * stretch * first + stretch * stretch * bend
    logs = paths[2] + np.clip(logs - paths[2], -2.0, 2.0)
    alpha, weights = np.exp(logs[:, :-1]), np.exp(logs[:, -1])
    if not alpha.sum(axis=1).max() <= penalty.max_concentration:
        return None
    return DirichletMixture(weights / weights.sum(), alpha, tokens=trail[-1].tokens)


# -- where to start ------------------------------


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
    data: RowData | CountData,
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
    data: RowData | CountData,
    share: Floats,
    penalty: Penalty,
    tokens: tuple[str, ...] | None,
) -> DirichletMixture:
    """The M-step from each row's probability of each component (n, K)."""
    statistics = data.accumulate(share)
    alpha = data.rough_alpha(statistics, penalty.max_concentration)  # type: ignore[arg-type]
    return maximization(statistics, alpha, penalty, tokens)[0]


def _part(
    data: Data, rows: NDArray[np.intp], n_components: int, rng: np.random.Generator
) -> RowData | CountData:
    """What a start looks at: the rows, or a random part of them, drawn by weight."""
    most = max(SEED_CELLS // data.n_tokens, SEED_ROWS * n_components)
    if len(rows) <= most:
        return data.some(rows)
    if data.weights is None:
        return data.some(np.sort(rng.choice(rows, most, replace=False)))
    weights = data.weights[rows]
    drawn, times = np.unique(rng.choice(rows, most, p=weights / weights.sum()), return_counts=True)
    return replace(data.some(drawn), weights=times.astype(np.float64))


def _groupings(
    data: RowData | CountData, n_components: int, name: str, rng: np.random.Generator
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


INITS = ("kmeans++", "random")
