"""What rows known in part list, and what they do not.

Contents
    Listing      entries of rows, and the mass that each does not list
    missing      sums over what rows do not list
    listing_of   that of rows which a caller handed in
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ... import _core
from ..._base import parallel
from ..._base.typing import Floats, Ids
from ...rows import PartialRows
from ...rows.parts import taken_entries

EVENLY = 0.9  # of what a row does not list; the others as what rows list


@dataclass(frozen=True)
class Listing:
    """Entries of rows over V tokens, as those of `PartialRows`."""

    columns: Ids
    logs: Floats
    starts: Ids
    rest: Floats
    n_tokens: int

    @property
    def n_rows(self) -> int:
        """N."""
        return len(self.rest)

    @cached_property
    def n_listed(self) -> Ids:
        """How many tokens each row lists."""
        return np.diff(self.starts)

    @cached_property
    def is_open(self) -> NDArray[np.bool_]:
        """Which rows do not list all tokens."""
        return np.asarray(self.n_listed < self.n_tokens)

    @cached_property
    def row(self) -> Ids:
        """The row of each entry."""
        return np.repeat(np.arange(self.n_rows), self.n_listed)

    @property
    def entries(self) -> tuple[Ids, Ids]:
        """What the core's sums go over."""
        return self.starts, self.columns

    def table(self) -> Floats:
        """Log-probabilities (N, V) of rows of which nothing is missing."""
        return self.logs.reshape(-1, self.n_tokens)

    def some(self, rows: NDArray[np.intp]) -> Listing:
        """Some rows, in rising order."""
        places, starts = taken_entries(self.starts, rows)
        return replace(
            self,
            columns=self.columns[places],
            logs=self.logs[places],
            starts=starts,
            rest=self.rest[rows],
        )

    def cut(self, rows: slice) -> Listing:
        """The rows of a block; nothing is copied but where they start."""
        starts = self.starts[rows.start : rows.stop + 1]
        mine = slice(int(starts[0]), int(starts[-1]))
        return Listing(
            self.columns[mine],
            self.logs[mine],
            starts - starts[0],
            self.rest[rows],
            self.n_tokens,
        )

    def blocks(self, width: int, least: int = 0) -> list[slice]:
        """Blocks of rows by the shape of the data alone, each of at least as many entries as there
        are tokens, or `least`, for each of which a block makes sums."""
        per_row = max(1, len(self.columns) // max(1, self.n_rows))
        rows = max(1, -(-max(self.n_tokens, least) // per_row))
        cost = min(per_row * width, max(1, parallel.BLOCK_COST // rows))
        return parallel.blocks(self.n_rows, cost)

    def share(self, weights: Floats | None) -> Floats:
        """How what a row does not list is shared out among all tokens (V,): a tenth by what rows
        list, the others evenly.

        How rows list a token says little of what it has where they do not: from a list of the most
        probable it is missing because it has little.
        """
        w = np.ones(self.n_rows) if weights is None else weights
        listed = np.bincount(self.columns, np.exp(self.logs) * w[self.row], self.n_tokens)
        parts = (1.0 - EVENLY) * listed / max(float(listed.sum()), 1e-300)
        return np.asarray(parts + EVENLY / self.n_tokens, dtype=np.float64)

    def row_sum(self, weights: Floats | None, share: Floats | None = None) -> Floats:
        """The weighted sum of the rows (V,), what they do not list shared out."""
        w = np.ones(self.n_rows) if weights is None else weights
        share = self.share(weights) if share is None else share
        found = np.bincount(self.columns, np.exp(self.logs) * w[self.row], self.n_tokens)
        if not self.is_open.any():
            return np.asarray(found, dtype=np.float64)
        left = missing(self, share[:, np.newaxis])[:, 0]
        each = np.where(self.is_open, w * np.exp(self.rest) / left, 0.0)
        there = _core.add_to_listed(*self.entries, each[:, np.newaxis], self.n_tokens)[:, 0]
        return np.asarray(found + share * np.maximum(each.sum() - there, 0.0), dtype=np.float64)


def missing(rows: Listing, values: Floats, whole: Floats | None = None) -> Floats:
    """The sums (N, W) of values (V, W), > 0, over what rows do not list, at least 1e-300."""
    whole = _core.sum_whole(values) if whole is None else whole
    found = _core.sum_unlisted(*rows.entries, values, whole)
    return np.maximum(found, 1e-300, out=found)


def listing_of(rows: PartialRows, order: NDArray[np.intp] | None = None) -> Listing:
    """What rows list, their columns in an order that `order_of` gave.

    A rest of one token is that token, so that rows of which one is missing list all of them.
    """
    columns, logs = np.asarray(rows.columns), rows.log_probs.astype(np.float64)
    found = Listing(columns, logs, np.asarray(rows.starts), rows.rest, rows.n_tokens)
    if order is not None:
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        found = _sorted(found, place[columns], logs, found.row)
    alone = np.flatnonzero(found.n_listed == found.n_tokens - 1)
    return _filled(found, alone) if len(alone) else found


def _sorted(rows: Listing, columns: Ids, logs: Floats, row: Ids) -> Listing:
    """Entries of rows, in any order, with the columns of each row rising."""
    order = np.lexsort((columns, row))
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows.n_rows))])
    return Listing(columns[order], logs[order], starts, rows.rest, rows.n_tokens)


def _filled(rows: Listing, alone: NDArray[np.intp]) -> Listing:
    """The rows with what they do not list, where that is one token, listed."""
    v = rows.n_tokens
    listed = np.bincount(rows.row, rows.columns, rows.n_rows)[alone]
    column = np.rint(v * (v - 1) / 2 - listed).astype(np.int64)
    columns = np.concatenate([rows.columns, column])
    logs = np.concatenate([rows.logs, rows.rest[alone]])
    return _sorted(rows, columns, logs, np.concatenate([rows.row, alone]))
