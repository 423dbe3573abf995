"""Rows at a resolution: what a few draws from each of them show, model.md section 4b.

A row is seen by several draws of n tokens, which share its weight; whatever the rows are and
wherever they lie, they are read once, and what is kept are counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._base import parallel
from .._base.arguments import is_whole, shown
from .._base.typing import Floats, Ids
from ..mixture import DirichletMixture
from ..rows.rows import Checked
from .count_data import CountData
from .row_data import RowData
from .statistics import CountStatistics

MOST_TOKENS = 1 << 20  # of a draw
DRAWS = 1 << 15  # of all rows together, so that few rows are seen by many ...
MOST_DRAWS = 64  # ... of one row ...
MOST_DRAWN = 1 << 14  # ... and of no more tokens together, but for a single draw
BLOCK_CELLS = 1 << 22  # numbers that are looked at, or drawn, at once
CURVE = (1, 5, 20, 100)  # draws at which bits are compared
CANDIDATES = (5, 20, 100, 400)  # resolutions that "auto" tries
HELD = 0.2  # of the rows are kept apart, ...
MOST_HELD = 2000  # ... but no more than these
LEAST_ROWS = 10  # of which some can be kept apart


class Plan(NamedTuple):
    """How tokens are drawn from rows."""

    n: int
    n_each: int
    seed: int

    @classmethod
    def of(cls, resolution: int, n_rows: int, seed: int) -> Plan:
        """So many draws of each of some rows that chance in them is less than that in the rows."""
        n_each = min(-(-DRAWS // max(n_rows, 1)), MOST_DRAWS, max(1, MOST_DRAWN // resolution))
        return cls(resolution, n_each, seed)


class Drawn(NamedTuple):
    """The draws from some rows as compressed sparse rows, and the weighted sum of these rows."""

    indptr: Ids
    indices: Ids
    counts: Floats
    row_sum: Floats


def checked_resolution(resolution: Any, kind: str | None) -> int | str | None:
    """A resolution that a fit to rows of this kind can have."""
    if resolution is None:
        return None
    is_auto = isinstance(resolution, str) and resolution == "auto"
    if not is_auto and not (is_whole(resolution) and 1 <= resolution <= MOST_TOKENS):
        raise ValueError(
            f"resolution={shown(resolution)} is not a number of tokens from 1 to {MOST_TOKENS}, "
            "'auto' "
            "or None"
        )
    if kind == "counts":
        raise ValueError(
            "a resolution is for rows of probabilities, from which it draws; counts are draws "
            "already: leave resolution=None"
        )
    return "auto" if is_auto else int(resolution)


def draw_block(plan: Plan, block: Any, first: int, kind: str | None, weights: Any) -> list[Drawn]:
    """The draws from a block of rows, the first of which has this number, in small pieces."""
    width = max(int(block.shape[1]), plan.n_each * min(plan.n, int(block.shape[1])), 1)
    size, n, drawn = max(1, BLOCK_CELLS // width), int(block.shape[0]), []
    for start in range(0, n, size):
        cut = slice(start, min(start + size, n))
        rows = Checked.of(block[cut], kind).log_probs
        mine = None if weights is None else weights[cut]
        found = _core.draw_rows(rows, *plan, first + start, mine)
        indptr, indices, counts, row_sum = found
        # without the room that was left
        drawn.append(Drawn(indptr, indices.copy(), counts.copy(), row_sum))
    return drawn


@dataclass(frozen=True)
class ResolutionData:
    """Rows (N, V) as a fit at a resolution sees them.

    Attributes
    ----------
    draws : CountData
        ``n_each`` draws from each row, one after another, each of its share of the row's weight.
    row_sum : ndarray of shape (V,)
        The weighted sum of the rows themselves.
    weights : ndarray of shape (N,) or None
    resolution, n_each : int
    look : function
        From numbers of rows, rising, to the rows themselves.
    """

    draws: CountData
    row_sum: Floats
    weights: Floats | None
    resolution: int
    n_each: int
    look: Callable[[NDArray[np.intp]], RowData]

    @classmethod
    def of(
        cls,
        drawn: Iterable[Drawn],
        plan: Plan,
        weights: Floats | None,
        pool: tuple[Executor | None, int],
        raw: Callable[[NDArray[np.intp]], Any],
        kind: str | None,
    ) -> ResolutionData:
        """From the draws of all rows, in order; `raw` gives some of these, of a kind."""

        def look(numbers: NDArray[np.intp]) -> RowData:
            mine = None if weights is None else weights[numbers]
            return RowData(Checked.of(raw(numbers), kind).log_probs, mine, (None, 1))

        starts, indices, counts, sums = zip(*drawn, strict=True)
        lengths = np.concatenate([np.diff(part) for part in starts])
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        row_sum = parallel.merge(sums)
        rows = _core.Counts(indptr, np.concatenate(indices), np.concatenate(counts), len(row_sum))
        n_rows = len(lengths) // plan.n_each
        share = np.repeat(np.ones(n_rows) if weights is None else weights, plan.n_each)
        data = CountData(rows, share / plan.n_each, pool)
        return cls(data, row_sum, weights, plan.n, plan.n_each, look)

    @property
    def pool(self) -> tuple[Executor | None, int]:
        """Who works on them."""
        return self.draws.pool

    @property
    def n_rows(self) -> int:
        """N."""
        return self.draws.n_rows // self.n_each

    @property
    def n_tokens(self) -> int:
        """V."""
        return self.draws.n_tokens

    @property
    def total_weight(self) -> float:
        """Sum of the rows' weights."""
        return float(self.n_rows if self.weights is None else self.weights.sum())

    @cached_property
    def _cells(self) -> tuple[NDArray[np.uint32], Floats, NDArray[np.bool_]]:
        """Token and count of each cell of the draws, and of a single token of each kind, which a
        penalty may speak of (em.py); and which of them are the draws'."""
        tokens, counts = self.draws.cells
        others = np.setdiff1d(np.arange(self.n_tokens + 1, dtype=np.uint32), tokens[counts == 1.0])
        places = np.searchsorted(tokens, others)
        places += np.arange(len(others))
        drawn = np.ones(len(tokens) + len(others), dtype=bool)
        drawn[places] = False
        every, often = np.empty(len(drawn), dtype=np.uint32), np.ones(len(drawn))
        every[places], every[drawn], often[drawn] = others, tokens, counts
        return every, often, drawn

    def _of_rows(self, statistics: CountStatistics) -> CountStatistics:
        """Statistics of draws as those of their rows."""
        tokens, counts, drawn = self._cells
        cells = np.zeros((len(drawn), statistics.cells.shape[1]))
        cells[drawn] = statistics.cells
        return replace(
            statistics,
            tokens=tokens,
            counts=counts,
            cells=cells,
            n_rows=self.n_rows,
            row_sum=self.row_sum,
        )

    def expectation(self, mixture: DirichletMixture) -> CountStatistics:
        """The E-step: one pass over the draws."""
        return self._of_rows(self.draws.expectation(mixture))

    def posterior(self, mixture: DirichletMixture) -> tuple[Floats, Floats]:
        """Probability of each component given a draw from each row (N, K), and the log-evidence
        of a draw (N,): means over the draws."""
        shares, evidence = self._each(mixture)
        shape = (self.n_rows, self.n_each)
        shares = shares.reshape(*shape, mixture.n_components).mean(axis=1)
        return shares, evidence.reshape(shape).mean(axis=1)

    def _each(self, mixture: DirichletMixture) -> tuple[Floats, Floats]:
        """Probability of each component given each draw, and its log-evidence."""
        return self.draws.posterior(mixture)

    def some(self, rows: NDArray[np.intp]) -> ResolutionData:
        """Some rows, in rising order, as data of their own; what they are drawn towards stays."""
        if len(rows) == self.n_rows:
            return self
        weights = None if self.weights is None else self.weights[rows]
        each = rows[:, np.newaxis] * self.n_each + np.arange(self.n_each)
        draws = self.draws.some(each.ravel())
        part = replace(self, draws=draws, weights=weights)
        share = part.total_weight / self.total_weight
        return replace(part, row_sum=self.row_sum * share)

    def weighted(self, weights: Floats) -> ResolutionData:
        """The same rows with other weights; what they are drawn towards stays."""
        draws = replace(self.draws, weights=np.repeat(weights / self.n_each, self.n_each))
        share = float(weights.sum()) / self.total_weight
        return replace(self, draws=draws, weights=weights, row_sum=self.row_sum * share)

    def accumulate(self, responsibilities: Floats) -> CountStatistics:
        """Statistics of the rows under given responsibilities (N, K)."""
        return self._of_rows(self.draws.accumulate(responsibilities.repeat(self.n_each, axis=0)))

    def points(self) -> Iterator[NDArray[np.floating]]:
        """Where the rows are when they are grouped: roots of the proportions of all their draws
        (Hellinger), of the tokens that are among them."""
        indptr, indices, counts = self.draws.rows.sparse()
        row = np.repeat(np.arange(self.draws.n_rows) // self.n_each, np.diff(indptr))
        seen, column = np.unique(indices, return_inverse=True)
        points = np.zeros((self.n_rows, max(len(seen), 1)), dtype=np.float32)
        np.add.at(points, (row, column), counts / (self.n_each * self.resolution))
        yield np.sqrt(points, out=points)

    def rough_alpha(self, statistics: CountStatistics, max_concentration: float) -> Floats:
        """Dirichlet parameters to start from: pooled proportions and a draw of the mean row's."""
        pooled = self.draws.rough_alpha(statistics, max_concentration)
        alpha: Floats = pooled + self.row_sum / max(float(self.row_sum.sum()), 1e-300)
        return alpha


class TooFewRowsError(ValueError):
    """None can be kept apart."""


@dataclass(frozen=True)
class Trial:
    """The same rows at several resolutions, some of them kept apart."""

    at: dict[int, ResolutionData]
    kept: dict[int, ResolutionData]

    @classmethod
    def of(cls, data: dict[int, ResolutionData], rng: np.random.Generator) -> Trial:
        """From rows at the resolutions of `CURVE` and others."""
        n_rows = next(iter(data.values())).n_rows
        if n_rows < LEAST_ROWS:
            raise TooFewRowsError(
                f"there are {n_rows} rows, and {LEAST_ROWS} are needed to keep some apart, by "
                "which resolutions and sizes are compared: give one of each, such as resolution=100"
            )
        order = rng.permutation(n_rows)
        apart = order[: min(int(HELD * n_rows), MOST_HELD)]
        others = np.setdiff1d(order, apart)
        return cls(
            {n: each.some(others) for n, each in data.items()},
            {n: data[n].some(np.sort(apart)) for n in CURVE},
        )

    def bits(self, mixture: DirichletMixture) -> Floats:
        """Bits per token of as many tokens as `CURVE` says, drawn from the rows kept apart."""
        found = []
        for n, rows in self.kept.items():
            evidence = rows.posterior(mixture)[1]
            mean = np.average(evidence, weights=rows.weights)
            found.append(-float(mean) / (n * np.log(2.0)))
        return np.array(found)
