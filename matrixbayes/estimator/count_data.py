"""Rows of counts as EM sees them: cells, passes over blocks, and points to start from.

A row is a list of cells (token, count), its total one of them (csrc/core/estimator/counts.h); the
weight of each cell is all that an M-step needs to know.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._base import parallel
from .._base.numbers import exact_rows, is_named, plain, reals
from .._base.typing import Floats
from ..errors import ArgumentError
from ..mixture import DirichletMixture
from .statistics import CountStatistics


def encode(X: Any) -> _core.Counts:
    """Rows of counts, dense or sparse, as the C core wants them.

    Parameters
    ----------
    X : array_like of shape (N, V), or compressed sparse rows
        A scipy.sparse array, or anything with ``indptr``, ``indices``, ``data`` and ``shape``.
        Entries at the same place are summed.

    Raises
    ------
    ValueError
        A count is negative or not finite, or the arrays are no sparse rows; the row is named.
    """
    if hasattr(X, "tocsr") or all(hasattr(X, n) for n in ("indptr", "indices", "data", "shape")):
        rows = exact_rows(X, "counts")
        return _core.Counts(rows.indptr, rows.indices, rows.data, rows.shape[1])
    dense = plain(X, "counts")
    if dense.ndim != 2 or is_named(dense):
        raise ValueError(f"counts have shape {reals(dense, 'counts').shape}; they need (N, V)")
    where = dense != 0
    try:
        values = reals(dense[where], "counts")
    except ArgumentError:
        values = reals(dense, "counts")[where]  # says where it is
    indptr = np.concatenate([[0], np.cumsum(where.sum(axis=1))])
    return _core.Counts(indptr, np.nonzero(where)[1], values, dense.shape[1])


@dataclass(frozen=True)
class CountData:
    """Encoded rows of counts, their weights, and who works on them."""

    rows: _core.Counts
    weights: Floats | None
    pool: tuple[Executor | None, int]

    @classmethod
    def of(
        cls, X: Any, weights: ArrayLike | None = None, pool: tuple[Executor | None, int] = (None, 1)
    ) -> CountData:
        """From counts (N, V), dense or sparse."""
        return cls(encode(X), None if weights is None else reals(weights, "weights"), pool)

    @property
    def n_rows(self) -> int:
        """N."""
        return self.rows.n_rows

    @property
    def n_tokens(self) -> int:
        """V."""
        return self.rows.n_tokens

    @property
    def total_weight(self) -> float:
        """Sum of the rows' weights."""
        return float(self.n_rows if self.weights is None else self.weights.sum())

    @cached_property
    def cells(self) -> tuple[NDArray[np.uint32], Floats]:
        """Token and count of each cell."""
        return self.rows.tokens, self.rows.counts

    @property
    def totals(self) -> Floats:
        """The different totals of rows that are not empty, rising."""
        tokens, counts = self.cells
        totals: Floats = counts[tokens == self.n_tokens]
        return totals

    def blocks(self, n_components: int) -> list[slice]:
        """Blocks of rows, by the shape of the data alone.

        A block has at least as many entries as there are cells, whose sums it makes.
        """
        per_row = max(1, self.rows.n_entries // max(self.n_rows, 1))
        least = -(-4 * len(self.cells[0]) // per_row)
        cost = min(per_row * n_components, max(1, parallel.BLOCK_COST // max(least, 1)))
        return parallel.blocks(self.n_rows, cost)

    def expectation(self, mixture: DirichletMixture) -> CountStatistics:
        """The E-step: one pass over the rows."""
        table = _core.evidence_table(mixture, self.rows)
        blocks = self.blocks(mixture.n_components)
        arguments = (
            (mixture, self.rows, table, cut.start, cut.stop, self.weights) for cut in blocks
        )
        parts = parallel.in_order(self.pool, _core.count_expectation, arguments)
        return parallel.merge(
            CountStatistics(weight, *self.cells, cells, log_likelihood, cut.stop - cut.start)
            for cut, (weight, cells, log_likelihood) in zip(blocks, parts, strict=True)
        )

    def posterior(self, mixture: DirichletMixture) -> tuple[Floats, Floats]:
        """Probability of each component given each row (N, K), and its log-evidence (N,)."""
        table = _core.evidence_table(mixture, self.rows)
        arguments: Iterator[tuple[Any, ...]] = (
            (mixture, self.rows, table, cut.start, cut.stop)
            for cut in self.blocks(mixture.n_components)
        )
        parts = list(parallel.in_order(self.pool, _core.count_posterior, arguments))
        if not parts:
            return np.zeros((0, mixture.n_components)), np.zeros(0)
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def some(self, rows: NDArray[np.intp]) -> CountData:
        """Some rows, in rising order, as data of their own."""
        if len(rows) == self.n_rows:
            return self
        indptr, indices, data = self.rows.sparse()
        starts, lengths = indptr[rows], np.diff(indptr)[rows]
        ends = np.cumsum(lengths)
        entries = np.repeat(starts - (ends - lengths), lengths) + np.arange(lengths.sum())
        picked = _core.Counts(
            np.concatenate([[0], ends]), indices[entries], data[entries], self.n_tokens
        )
        return CountData(picked, None if self.weights is None else self.weights[rows], self.pool)

    def accumulate(self, responsibilities: Floats) -> CountStatistics:
        """Statistics of the rows under given responsibilities (N, K)."""
        share = responsibilities
        if self.weights is not None:
            share = share * self.weights[:, np.newaxis]
        weight, cells = _core.count_accumulate(self.rows, share)
        return CountStatistics(weight, *self.cells, cells, -np.inf, self.n_rows)

    def points(self) -> Iterator[NDArray[np.floating]]:
        """Where the rows are when they are grouped: roots of proportions (Hellinger)."""
        indptr, indices, data = self.rows.sparse()
        row = np.repeat(np.arange(self.n_rows), np.diff(indptr))
        totals = np.bincount(row, data, minlength=self.n_rows)
        points = np.zeros((self.n_rows, self.n_tokens), dtype=np.float32)
        points[row, indices] = np.sqrt(data / totals[row])
        yield points

    def rough_alpha(self, statistics: CountStatistics, max_concentration: float) -> Floats:
        """Dirichlet parameters to start from: pooled proportions, with a middling concentration."""
        n_components = len(statistics.weight)
        seen = statistics.tokens < self.n_tokens
        pooled = np.zeros((n_components, self.n_tokens))
        draws = statistics.cells[seen, :n_components] * statistics.counts[seen, np.newaxis]
        np.add.at(pooled.T, statistics.tokens[seen], draws)
        total = pooled.sum(axis=1, keepdims=True)
        everyone = pooled.sum(axis=0)
        pooled = np.where(total > 0.0, pooled, everyone if everyone.sum() > 0.0 else 1.0)
        pooled /= pooled.sum(axis=1, keepdims=True)
        rows = max(float(statistics.weight.sum()), 1e-300)
        mean_total = float(everyone.sum()) / rows
        alpha: Floats = pooled * np.clip(mean_total, 1.0, max_concentration)
        return np.maximum(alpha, 1e-15)
