"""Rows known in part as EM sees them by their density, each lumped as it is."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ... import _core
from ..._base import parallel
from ..._base.typing import Floats
from ...mixture import DirichletMixture
from ...mixture.partial.listing import Listing, missing
from ...mixture.partial.lumped import Tables, joint, normalized
from .statistics import PartialStatistics


class Sums(NamedTuple):
    """The sums of a block of rows, of which `PartialStatistics` are made; they add."""

    weight: Floats  # (K,)
    all: Floats  # (2 K,), of q and h over all rows, see `gathered`
    listed: Floats  # (V, 3 K), of the weight, q and h over the rows that list a token
    logs: Floats  # (V, K), of their ln p
    log_likelihood: float

    def __add__(self, other: Sums) -> Sums:  # type: ignore[override]
        pairs: Any = zip(self, other, strict=True)
        return Sums(*(a + b for a, b in pairs))


def gathered(rows: Listing, x: Floats, share: Floats, log_likelihood: float) -> Sums:
    """Sums of rows of weight `share` (n, K) in each component: q = ln r - psi(1 + x), h = 1 / x."""
    there = rows.is_open[:, np.newaxis]
    rest = np.where(there, rows.rest[:, np.newaxis], 0.0)
    q = share * np.where(there, rest - _core.digamma(1.0 + x), 0.0)
    h = share * np.where(there, 1.0 / x, 0.0)
    values = np.concatenate([share, q, h], axis=1)
    return Sums(
        share.sum(axis=0),
        values[:, share.shape[1] :].sum(axis=0),
        _core.add_to_listed(*rows.entries, values, rows.n_tokens),
        _core.add_to_listed(*rows.entries, share, rows.n_tokens, rows.logs),
        log_likelihood,
    )


def statistics_of(sums: Sums, alpha: Floats, n_rows: int) -> PartialStatistics:
    """What an M-step needs to know, from sums that were made at alpha (V, K)."""
    k = alpha.shape[1]
    listed, q, h = sums.listed[:, :k], sums.listed[:, k : 2 * k], sums.listed[:, 2 * k :]
    left = np.maximum(sums.weight - listed, 0.0)
    return PartialStatistics(
        sums.weight,
        np.ascontiguousarray(listed),
        alpha * np.maximum(sums.all[k:] - h, 0.0),
        sums.logs + (sums.all[:k] - q) + left * (1.0 + _core.log(alpha)),
        sums.log_likelihood,
        n_rows,
    )


def _expectation(tables: Tables, rows: Listing, weights: Floats | None) -> Sums:
    log_joint, x = joint(tables, rows)
    share, log_density = normalized(log_joint)
    if weights is None:
        return gathered(rows, x, share, float(log_density.sum()))
    return gathered(rows, x, share * weights[:, np.newaxis], float(weights @ log_density))


def _accumulate(alpha: Floats, whole: Floats, rows: Listing, share: Floats) -> Sums:
    x = missing(rows, alpha, whole)
    return gathered(rows, np.broadcast_to(x, share.shape), share, -np.inf)


def _posterior(tables: Tables, rows: Listing) -> tuple[Floats, Floats]:
    return normalized(joint(tables, rows)[0])


@dataclass(frozen=True)
class PartialData:
    """Rows known in part, their weights, and who works on them."""

    rows: Listing
    weights: Floats | None
    pool: tuple[Executor | None, int]

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
    def row_sum(self) -> Floats:
        """The weighted sum of the rows, as far as that is known."""
        return self.rows.row_sum(self.weights)

    def expectation(self, mixture: DirichletMixture) -> PartialStatistics:
        """The E-step: one pass over the entries."""
        tables = Tables.of(mixture)
        arguments = (
            (tables, self.rows.cut(cut), None if self.weights is None else self.weights[cut])
            for cut in self.rows.blocks(3 * mixture.n_components)
        )
        sums = parallel.merge(parallel.in_order(self.pool, _expectation, arguments))
        return statistics_of(sums, tables.alpha, self.n_rows)

    def posterior(self, mixture: DirichletMixture) -> tuple[Floats, Floats]:
        """Probability of each component given each row (N, K), and its log-density (N,)."""
        tables = Tables.of(mixture)
        arguments = ((tables, self.rows.cut(cut)) for cut in self.rows.blocks(mixture.n_components))
        parts = list(parallel.in_order(self.pool, _posterior, arguments))  # one at least
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def some(self, rows: NDArray[np.intp]) -> PartialData:
        """Some rows, in rising order, as data of their own."""
        if len(rows) == self.n_rows:
            return self
        weights = None if self.weights is None else self.weights[rows]
        return PartialData(self.rows.some(rows), weights, self.pool)

    @cached_property
    def _pooled(self) -> Floats:
        """One Dirichlet (V,) for all rows: their mean, and a concentration from their squares."""
        w = np.ones(self.n_rows) if self.weights is None else self.weights
        mean = self.row_sum / self.row_sum.sum()
        squares = float((np.exp(2.0 * self.rows.logs) * w[self.rows.row]).sum()) / float(w.sum())
        even = float(mean @ mean)
        total = (1.0 - even) / max(squares - even, 1e-3) - 1.0
        alpha: Floats = np.maximum(mean, 1e-12) * float(np.clip(total, 0.5, 1e4))
        return alpha

    def accumulate(self, responsibilities: Floats) -> PartialStatistics:
        """Statistics of the rows under given responsibilities (N, K), at one alpha for all."""
        share = responsibilities
        if self.weights is not None:
            share = share * self.weights[:, np.newaxis]
        k = share.shape[1]
        alpha = self._pooled[:, np.newaxis]
        whole = _core.sum_whole(alpha)
        arguments = (
            (alpha, whole, self.rows.cut(cut), share[cut]) for cut in self.rows.blocks(3 * k)
        )
        sums = parallel.merge(parallel.in_order(self.pool, _accumulate, arguments))
        return statistics_of(sums, np.repeat(alpha, k, axis=1), self.n_rows)

    def points(self) -> Iterator[NDArray[np.floating]]:
        """Where the rows are when they are grouped: roots of what they list, and of the rest."""
        seen, column = np.unique(self.rows.columns, return_inverse=True)
        points = np.zeros((self.n_rows, len(seen) + 1), dtype=np.float32)
        points[self.rows.row, column] = np.exp(0.5 * self.rows.logs)
        points[:, -1] = np.exp(0.5 * self.rows.rest)
        yield points

    def rough_alpha(self, statistics: PartialStatistics, max_concentration: float) -> Floats:
        """Dirichlet parameters to start from: those at which the statistics were made."""
        alpha = self._pooled * min(1.0, max_concentration / float(self._pooled.sum()))
        return np.repeat(alpha[np.newaxis], len(statistics.weight), axis=0)
