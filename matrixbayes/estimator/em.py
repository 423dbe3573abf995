"""Expectation-maximisation of a Dirichlet mixture: passes, bounds.

The arithmetic is the C core's; here is what happens between two of its calls.  A
pass over the data is an E-step, block by block through the executor; the M-step
sees only the merged statistics.  Data are rows (`RowData`), counts (`CountData`), or either
read in blocks (`StreamData`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._base.typing import Floats
from ..mixture import DirichletMixture
from .partial.density import PartialData
from .partial.drawn import PartialResolutionData
from .partial.statistics import PartialStatistics
from .penalty import GammaPrior as GammaPrior  # pickles from before look here
from .penalty import Penalty
from .statistics import CountStatistics, Statistics, of_same_rows, row_sum_of
from .streams import Data

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
    statistics: Statistics, mixture: DirichletMixture, penalty: Penalty
) -> tuple[DirichletMixture, NDArray[np.int8]]:
    """The M-step: the mixture that statistics ask for, and how each component fared.

    `mixture` is that of the E-step.
    """
    weight = statistics.weight
    if isinstance(statistics, PartialStatistics):
        sums = statistics.listed, statistics.single, statistics.slope
        alpha, outcomes = _core.partial_maximization(weight, *sums, mixture.alpha, penalty.on_alpha)
    elif not isinstance(statistics, CountStatistics):
        alpha, outcomes = _core.maximization(statistics, mixture.alpha, penalty.on_alpha)
    else:
        s = statistics
        if s.row_sum is not None and penalty.shrinkage:
            s, weight = _with_single_tokens(s, mixture, penalty)
        alpha, outcomes = _core.count_maximization(
            s.tokens, s.counts, s.cells, mixture.alpha, penalty.on_alpha
        )
    return DirichletMixture(weight / weight.sum(), alpha, tokens=mixture.tokens), outcomes


def _with_single_tokens(
    statistics: CountStatistics, mixture: DirichletMixture, penalty: Penalty
) -> tuple[CountStatistics, Floats]:
    """Statistics with the single tokens by which a penalty draws means to that of the rows, and the
    weight of each component.  Those at a resolution have a cell for each of them."""
    assert statistics.row_sum is not None
    n_components = mixture.n_components
    alone, shared = penalty.draws(mixture, statistics.row_sum)
    cells, single = statistics.cells.copy(), np.flatnonzero(statistics.counts == 1.0)
    weight = shared.sum(axis=1)
    shared += alone
    cells[single[:-1], :n_components] += shared.T
    cells[single[-1], :n_components] += shared.sum(axis=1)  # their totals, which are 1 too
    return replace(statistics, cells=cells), statistics.weight + weight


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
    in_part = isinstance(data, (PartialData, PartialResolutionData))
    trail = [mixture]  # where EM stood, step by step, since the last long step
    trial, outcomes, long = mixture, None, False
    while state.n_passes < max_iter:
        if mixture.n_components == 1 and state.statistics is not None and not in_part:
            # All rows are its own: no pass is needed to know that.
            statistics = of_same_rows(state.statistics, trial)
        else:
            statistics = data.expectation(trial)
        of_prior = penalty.log_density(trial, row_sum_of(statistics))
        bound = (statistics.log_likelihood + of_prior) / total
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
        step, outcomes = maximization(statistics, trial, penalty)
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
    stretched = np.exp(logs)
    alpha, weights = stretched[:, :-1], stretched[:, -1]
    if not alpha.sum(axis=1).max() <= penalty.max_concentration:
        return None
    return DirichletMixture(weights / weights.sum(), alpha, tokens=trail[-1].tokens)
