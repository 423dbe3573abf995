"""Rows or counts with the same covariates as one unit: the sums that a regression needs.

A Dirichlet knows of its rows their number and the sum of their logarithms; a Dirichlet-multinomial
how often each token was seen how many times.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import _core
from ..._base import parallel
from ..._base.typing import Floats, Ids
from ..count_data import CountData
from ..row_data import RowData

PIECE = 1 << 18  # gamma functions of a block


@dataclass(frozen=True)
class Sums:
    """The likelihood of units and parts of its derivatives, `_core.regression_sums`."""

    value: Floats  # (U,)
    slope: Floats  # (U,), in the logarithm of the concentration
    bend: Floats  # (U,)
    first: Floats  # (M, V)
    second: Floats  # (M, P, V)


@dataclass(frozen=True)
class Units:
    """U units: (weight, log_sums), or (starts, tokens, counts, weights) of cells."""

    arrays: tuple[Any, ...]
    n_tokens: int
    pool: tuple[Executor | None, int]

    @property
    def of_counts(self) -> bool:
        """Whether they are counts."""
        return len(self.arrays) == 4

    @property
    def n_units(self) -> int:
        """U."""
        return len(self.arrays[0]) - self.of_counts

    @classmethod
    def of(cls, data: RowData | CountData, unit: Ids, n_units: int) -> Units:
        """From data, and the number of each row's unit."""
        weights = np.ones(data.n_rows) if data.weights is None else data.weights
        if isinstance(data, CountData):
            return cls(_cells(data, unit, n_units, weights), data.n_tokens, data.pool)
        from scipy.sparse import csr_array

        log_sums = np.zeros((n_units, data.n_tokens))
        for cut in parallel.blocks(data.n_rows, data.n_tokens):
            n = cut.stop - cut.start
            sums = csr_array((weights[cut], (unit[cut], np.arange(n))), shape=(n_units, n))
            log_sums += sums @ data.log_probs[cut].astype(np.float64)
        return cls((np.bincount(unit, weights, n_units), log_sums), data.n_tokens, data.pool)

    def only(self, tokens: NDArray[np.bool_]) -> Units:
        """The same over some tokens, where the others do not occur."""
        if tokens.all():
            return self
        starts, token, counts, weights = self.arrays
        number = np.append(np.cumsum(tokens) - 1, tokens.sum())
        return Units((starts, number[token], counts, weights), int(tokens.sum()), self.pool)

    def seen(self) -> NDArray[np.bool_]:
        """Which tokens occur."""
        if not self.of_counts:
            return np.ones(self.n_tokens, dtype=bool)
        _, token, _, weights = self.arrays
        return np.bincount(token, weights, self.n_tokens + 1)[:-1] > 0.0

    def cut(self, some: slice) -> tuple[Any, ...]:
        """The arrays of some units."""
        if not self.of_counts:
            return tuple(array[some] for array in self.arrays)
        starts = self.arrays[0][some.start : some.stop + 1]
        cells = slice(int(starts[0]), int(starts[-1]))
        return (starts - starts[0], *(array[cells] for array in self.arrays[1:]))

    def sums(self, total: Floats, means: Floats, places: Ids, design: Floats) -> Sums:
        """Under concentrations (U,) and means (M, V) of the units between places (M + 1,)."""
        one = len(means) == 1
        ends = [0]  # blocks of units, or of means with their units
        cost = self._costs(places)
        spent = 0.0
        for i, each in enumerate(cost):
            if spent + each > PIECE and i > ends[-1]:
                ends.append(i)
                spent = 0.0
            spent += each
        ends.append(len(cost))

        def arguments() -> Iterator[tuple[Any, ...]]:
            for first, last in itertools.pairwise(ends):
                some = slice(first, last) if one else slice(int(places[first]), int(places[last]))
                mine = np.array([0, last - first]) if one else places[first : last + 1] - some.start
                mean = means if one else means[first:last]
                yield self.cut(some), total[some], mean, mine, design[some]

        parts = list(parallel.in_order(self.pool, _core.regression_sums, arguments()))
        flat = [np.concatenate([part[j] for part in parts]) for j in range(3)]
        if one:
            return Sums(*flat, *(parallel.merge([part[j] for part in parts]) for j in (3, 4)))
        return Sums(*flat, *(np.concatenate([part[j] for part in parts]) for j in (3, 4)))

    def mean(self, total: Floats, start: Floats) -> Floats:
        """The mean (V,) that they have in common, under concentrations (U,)."""
        return _core.regression_mean(self.arrays, total, start)

    def _costs(self, places: Ids) -> Floats:
        """Gamma functions for each unit, or each mean where there are several."""
        each: Floats = np.full(self.n_units, float(self.n_tokens))
        if self.of_counts:
            each = np.diff(self.arrays[0]).astype(float)
        if len(places) == 2:
            return each
        costs: Floats = np.diff(np.append(0.0, np.cumsum(each))[places])
        return costs


def _cells(data: CountData, unit: Ids, n_units: int, weights: Floats) -> tuple[Any, ...]:
    """Starts, tokens, counts and weights of the cells of units, equal ones together."""
    indptr, indices, counts = data.rows.sparse()
    row = np.repeat(np.arange(data.n_rows), np.diff(indptr))
    totals = np.bincount(row, counts, data.n_rows)
    some = np.flatnonzero(totals > 0.0)
    number = np.concatenate([unit[row], unit[some]])
    token = np.concatenate([indices, np.full(len(some), data.n_tokens)]).astype(np.int64)
    count = np.concatenate([counts, totals[some]])
    weight = np.concatenate([weights[row], weights[some]])
    order = np.lexsort((count, token, number))
    number, token, count, weight = (a[order] for a in (number, token, count, weight))
    first = np.ones(len(order), dtype=bool)
    first[1:] = (np.diff(number) != 0) | (np.diff(token) != 0) | (np.diff(count) != 0)
    place = np.flatnonzero(first)
    weight = np.add.reduceat(weight, place) if len(place) else weight
    starts = np.searchsorted(number[place], np.arange(n_units + 1)).astype(np.int64)
    return starts, token[place], count[place], weight
