"""Rows known in part at a resolution: draws of their tokens, of which some fall into the rest.

The cells of a draw are the listed tokens that it holds, as those of counts, and how many of its
tokens are none of the row's list: their evidence is that of one lumped token.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ... import _core
from ..._base import parallel
from ..._base.typing import Floats, Ids
from ...mixture import DirichletMixture
from ...mixture.partial.listing import Listing, missing
from ...mixture.partial.lumped import normalized
from ..count_data import CountData
from ..resolution import BLOCK_CELLS, Plan, ResolutionData
from ..statistics import CountStatistics

START = 5.0  # the concentration at which the rest is shared out before there is a mixture


class DrawnInPart(NamedTuple):
    """Draws from rows: listed tokens as compressed sparse rows, and how many others each has."""

    indptr: Ids
    indices: Ids
    counts: Floats
    others: Floats


def draw_listed(plan: Plan, rows: Listing, first: int) -> list[DrawnInPart]:
    """The draws from rows, the first of which has this number, in small pieces.

    They are those of the complete row where nothing is missing.
    """
    found, start, n_listed = [], 0, rows.n_listed
    while start < rows.n_rows:
        # as many rows as fit into a table with a column for each entry of the longest, and the rest
        widths = np.maximum.accumulate(n_listed[start : start + BLOCK_CELLS]) + 1
        drawn = plan.n_each * np.minimum(plan.n, widths)
        sizes = np.maximum(widths, drawn) * np.arange(1, len(widths) + 1)
        stop = start + max(1, int(np.searchsorted(sizes, BLOCK_CELLS, side="right")))
        found.append(
            _draw_piece(plan, rows.cut(slice(start, min(stop, rows.n_rows))), first + start)
        )
        start = stop
    return found


def _draw_piece(plan: Plan, rows: Listing, first: int) -> DrawnInPart:
    width = int(rows.n_listed.max(initial=0))
    table = np.full((rows.n_rows, width + 1), -np.inf)
    place = np.arange(len(rows.columns)) - np.repeat(rows.starts[:-1], rows.n_listed)
    table[rows.row, place] = rows.logs
    table[rows.is_open, width] = rows.rest[rows.is_open]
    indptr, places, counts, _ = _core.draw_rows(table, *plan, first)
    draw = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    listed = places < width
    others = np.bincount(draw[~listed], counts[~listed], len(indptr) - 1)
    columns = rows.columns[rows.starts[draw[listed] // plan.n_each] + places[listed]]
    lengths = np.bincount(draw[listed], minlength=len(indptr) - 1)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return DrawnInPart(starts, columns, counts[listed], others.astype(np.float64))


class Lookup(NamedTuple):
    """What a pass looks up of a mixture."""

    mixture: DirichletMixture
    alpha: Floats  # (V, K)
    whole: Floats  # (2, K)
    cells: Floats  # that of the listed cells


class Sums(NamedTuple):
    """The sums of a block of draws; they add."""

    weight: Floats  # (K,)
    cells: Floats  # (C, K padded), of the listed cells
    tables: Floats  # (K,), of what each draw's others say of one token in the rest
    listed: Floats  # (V, K), of the same over the rows that list a token
    log_likelihood: float

    def __add__(self, other: Sums) -> Sums:  # type: ignore[override]
        pairs: Any = zip(self, other, strict=True)
        return Sums(*(a + b for a, b in pairs))


def joint_of(
    at: Lookup, counts: _core.Counts, draws: slice, rows: Listing, others: Floats, total: float
) -> tuple[Floats, Floats]:
    """ln w_k and the log-evidence of draws (n, K), and the alpha of what their rows do not list."""
    x = missing(rows, at.alpha, at.whole)
    x = np.repeat(x, len(others) // max(1, rows.n_rows), axis=0)
    found = _core.count_log_joint(at.mixture, counts, at.cells, draws.start, draws.stop)
    some = np.broadcast_to(others[:, np.newaxis], x.shape)
    found += _core.lgamma_difference(x, some)
    # the cell of a total is that of its listed tokens alone
    found -= _core.lgamma_difference(at.mixture.concentration + (total - some), some)
    return found, x


def _sums(
    counts: _core.Counts, draws: slice, rows: Listing, others: Floats, x: Floats, share: Floats
) -> Sums:
    """Sums of draws of weight `share` (n, K) in each component."""
    weight, cells = _core.count_accumulate(counts, share, draws.start)
    some = np.broadcast_to(others[:, np.newaxis], x.shape)
    tables = share * _core.digamma_difference(x, some)
    tables = tables.reshape(rows.n_rows, -1, share.shape[1]).sum(axis=1)
    listed = _core.add_to_listed(*rows.entries, tables, rows.n_tokens)
    return Sums(weight, cells, tables.sum(axis=0), listed, 0.0)


def _expectation(
    at: Lookup,
    counts: _core.Counts,
    draws: slice,
    rows: Listing,
    others: Floats,
    total: float,
    weights: Floats,
) -> Sums:
    log_joint, x = joint_of(at, counts, draws, rows, others, total)
    share, evidence = normalized(log_joint)
    found = _sums(counts, draws, rows, others, x, share * weights[:, np.newaxis])
    return found._replace(log_likelihood=float(weights @ evidence))


def _accumulate(
    alpha: Floats,
    whole: Floats,
    counts: _core.Counts,
    draws: slice,
    rows: Listing,
    others: Floats,
    share: Floats,
) -> Sums:
    x = missing(rows, alpha, whole)
    x = np.repeat(np.broadcast_to(x, (rows.n_rows, share.shape[1])), len(others) // rows.n_rows, 0)
    return _sums(counts, draws, rows, others, x, share)


def _posterior(at: Lookup, *block: Any) -> tuple[Floats, Floats]:
    return normalized(joint_of(at, *block)[0])


@dataclass(frozen=True)
class PartialResolutionData(ResolutionData):
    """Rows known in part as a fit at a resolution sees them.

    Attributes
    ----------
    draws : CountData
        Of the listed tokens that the draws hold.
    rows : Listing
    others : ndarray of shape (N n_each,)
        How many of the tokens of each draw its row does not list.
    """

    rows: Listing
    others: Floats

    @classmethod
    def of_rows(
        cls,
        rows: Listing,
        plan: Plan,
        first: int,
        weights: Floats | None,
        pool: tuple[Executor | None, int],
    ) -> PartialResolutionData:
        """From rows, the first of which has this number."""
        cuts = rows.blocks(plan.n_each)
        arguments = ((plan, rows.cut(cut), first + cut.start) for cut in cuts)
        pieces: Iterable[list[DrawnInPart]] = parallel.in_order(pool, draw_listed, arguments)
        # A list: where an iterator fails as it is made arguments, CPython 3.11 loses the keywords.
        every = [piece for some in pieces for piece in some]
        starts, indices, counts, others = zip(*every, strict=True)
        lengths = np.concatenate([np.diff(part) for part in starts])
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        cells = np.concatenate(indices), np.concatenate(counts)
        share = np.repeat(np.ones(rows.n_rows) if weights is None else weights, plan.n_each)
        return cls(
            draws=CountData(_core.Counts(indptr, *cells, rows.n_tokens), share / plan.n_each, pool),
            row_sum=rows.row_sum(weights),
            weights=weights,
            resolution=plan.n,
            n_each=plan.n_each,
            look=_no_look,
            rows=rows,
            others=np.concatenate(others),
        )

    # -- cells --------------------------------------------------------------------------

    @cached_property
    def _cells(self) -> tuple[NDArray[np.uint32], Floats, NDArray[np.bool_]]:
        """Those of all tokens and counts among the draws, of a single token of each kind, which the
        rest may be, and of their totals: one, which a penalty may speak of, and that of a draw; and
        which of them are the draws'."""
        tokens, counts = self.draws.cells
        listed = tokens < self.n_tokens
        tokens, counts = tokens[listed], counts[listed]
        others = np.setdiff1d(np.arange(self.n_tokens, dtype=np.uint32), tokens[counts == 1.0])
        places = np.searchsorted(tokens, others)
        places += np.arange(len(others))
        drawn = np.ones(len(tokens) + len(others), dtype=bool)
        drawn[places] = False
        every, often = np.empty(len(drawn), dtype=np.uint32), np.ones(len(drawn))
        every[places], every[drawn], often[drawn] = others, tokens, counts
        totals = [1.0] if self.resolution == 1 else [1.0, float(self.resolution)]
        every = np.append(every, np.full(len(totals), self.n_tokens, dtype=np.uint32))
        often = np.append(often, totals)
        return every, often, np.append(drawn, np.zeros(len(totals), dtype=bool))

    @cached_property
    def _places(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where the cells of the draws are among all, and those of a single token of each kind."""
        tokens, counts, drawn = self._cells
        return np.flatnonzero(drawn), np.flatnonzero((counts == 1.0) & (tokens < self.n_tokens))

    def _statistics(self, sums: Sums, alpha: Floats) -> CountStatistics:
        """What an M-step needs to know, from sums that were made at alpha (V, K)."""
        tokens, counts, _ = self._cells
        drawn, single = self._places
        k = alpha.shape[1]
        cells = np.zeros((len(tokens), sums.cells.shape[1]))
        cells[drawn] = sums.cells[: len(drawn)]  # the totals come last
        cells[-1, :k] += sums.weight
        cells[single, :k] += alpha * np.maximum(sums.tables - sums.listed, 0.0)
        return CountStatistics(
            sums.weight, tokens, counts, cells, sums.log_likelihood, self.n_rows, self.row_sum
        )

    # -- passes -------------------------------------------------------------------------

    def blocks(self, width: int) -> Iterator[tuple[slice, slice, tuple[Any, ...]]]:
        """Blocks of rows, their draws, and what of theirs a pass goes over."""
        per_row = max(1, self.draws.rows.n_entries // max(1, self.n_rows))
        least = 4 * len(self.draws.cells[0]) * (len(self.rows.columns) // max(1, self.n_rows))
        for cut in self.rows.blocks(width * self.n_each, least // per_row):
            draws = slice(cut.start * self.n_each, cut.stop * self.n_each)
            yield cut, draws, (self.draws.rows, draws, self.rows.cut(cut), self.others[draws])

    def lookup(self, mixture: DirichletMixture) -> Lookup:
        """What passes look up of a mixture."""
        alpha = np.ascontiguousarray(mixture.alpha.T)
        table = _core.evidence_table(mixture, self.draws.rows)
        return Lookup(mixture, alpha, _core.sum_whole(alpha), table)

    def expectation(self, mixture: DirichletMixture) -> CountStatistics:
        """The E-step: one pass over the draws and the entries of their rows."""
        at, weights = self.lookup(mixture), self.draws.weights
        assert weights is not None
        arguments = (
            (at, *block, float(self.resolution), weights[draws])
            for _, draws, block in self.blocks(mixture.n_components)
        )
        sums = parallel.merge(parallel.in_order(self.pool, _expectation, arguments))
        return self._statistics(sums, at.alpha)

    def _each(self, mixture: DirichletMixture) -> tuple[Floats, Floats]:
        """Probability of each component given each draw, and its log-evidence."""
        at = self.lookup(mixture)
        arguments = (
            (at, *block, float(self.resolution)) for *_, block in self.blocks(mixture.n_components)
        )
        parts = list(parallel.in_order(self.pool, _posterior, arguments))
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def accumulate(self, responsibilities: Floats) -> CountStatistics:
        """Statistics of the rows under given responsibilities (N, K), at one alpha for all."""
        assert self.draws.weights is not None
        share = responsibilities.repeat(self.n_each, axis=0) * self.draws.weights[:, np.newaxis]
        alpha = np.maximum(START * self.row_sum / self.row_sum.sum(), 1e-15)[:, np.newaxis]
        whole = _core.sum_whole(alpha)
        arguments = (
            (alpha, whole, *block, share[draws]) for _, draws, block in self.blocks(share.shape[1])
        )
        sums = parallel.merge(parallel.in_order(self.pool, _accumulate, arguments))
        sums = sums._replace(log_likelihood=-np.inf)
        return self._statistics(sums, np.repeat(alpha, share.shape[1], axis=1))

    # -- parts --------------------------------------------------------------------------

    def some(self, rows: NDArray[np.intp]) -> PartialResolutionData:
        """Some rows, in rising order, as data of their own; what they are drawn towards stays."""
        if len(rows) == self.n_rows:
            return self
        part = super().some(rows)
        assert isinstance(part, PartialResolutionData)
        each = (rows[:, np.newaxis] * self.n_each + np.arange(self.n_each)).ravel()
        return replace(part, rows=self.rows.some(rows), others=self.others[each])

    def points(self) -> Iterator[NDArray[np.floating]]:
        """Where the rows are when they are grouped: as complete ones, the rest being a token."""
        found = next(super().points())
        others = self.others.reshape(self.n_rows, self.n_each).sum(axis=1)
        last = np.sqrt(others / (self.n_each * self.resolution))
        yield np.column_stack([found, last.astype(np.float32)])


def _no_look(numbers: NDArray[np.intp]) -> Any:
    """Rows known in part are looked at by their entries."""
    raise NotImplementedError
