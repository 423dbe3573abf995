"""Rows of counts that histories visited, keyed by the last tokens.

Contents
    Rows      distinct rows of counts; they fade where a discount says so
    Visited   rows keyed by the last `order` tokens, of some histories
    visited   makes them
    keys_of, n_keys     numbers of the keys of a chain, and how many there are
    only      those of chosen rows, each the active one of one history
    distinct_histories  those that visited other rows
    summed    sums by place
    row_sums  sums of the entries of each row, several times as fast
    spread    a value of each row for its entries

A token of a history is a visit of the row keyed by the tokens before it (fewer of them at the
beginning); the next token will visit the active row.  A row's counts need not know of other rows,
so rows of equal visits, of any history and any key, are one; but for keys with a prior of their
own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base.typing import Floats, Ids

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from ..elicitation.histories import Histories


BLOCK_ENTRIES = 2**17  # rows x tokens worked on at a time


class Rows(NamedTuple):
    """Distinct rows of counts: row i has counts[starts[i]:starts[i + 1]] of tokens `columns`.

    Attributes
    ----------
    starts, columns, counts : ndarray
    entry, age : ndarray or None
        Of each visit: the entry that it counts for, and how many visits of its row came after.
    """

    starts: Ids
    columns: Ids
    counts: Floats
    entry: Ids | None
    age: Ids | None

    @property
    def n(self) -> int:
        """How many rows."""
        return len(self.starts) - 1

    @property
    def row(self) -> Ids:
        """The row of each entry."""
        return spread(self.starts, np.arange(self.n))

    def faded(self, rate: float) -> tuple[Floats, Floats]:
        """Counts of visits that weigh exp(-rate age), and their derivatives by the rate."""
        assert self.entry is not None  # of a design whose visits are in order
        assert self.age is not None
        weight: Floats = np.exp(-rate * self.age)
        n = len(self.columns)
        return summed(self.entry, weight, n), summed(self.entry, -self.age * weight, n)


class Visited(NamedTuple):
    """Rows keyed by the last `order` tokens, of some histories.

    Attributes
    ----------
    rows : Rows
    active : ndarray of int
        The row that each history's next token will come from.
    evidence : csr_array
        (histories, rows) how often a row is among those that a history visited.
    key : ndarray of int or None
        Of each row, where keys have priors of their own: `keys_of`.
    """

    rows: Rows
    active: Ids
    evidence: csr_array
    key: Ids | None = None

    def chosen(self, histories: Ids) -> Visited:
        """The same of some histories."""
        return self._replace(active=self.active[histories], evidence=self.evidence[histories])


def summed(place: Ids, values: Floats, n: int) -> Floats:
    """Sums of the values that go to each of n places."""
    return np.asarray(np.bincount(place, values, n), dtype=np.float64)


def row_sums(starts: Ids, values: Floats) -> Floats:
    """Sums of values[starts[i]:starts[i + 1]], which are all of them."""
    first, filled = starts[:-1], starts[:-1] < starts[1:]
    if len(first) and filled.all():
        return np.asarray(np.add.reduceat(values, first))
    totals = np.zeros(len(first))
    if filled.any():  # reduceat takes an empty row for the value at its start
        totals[filled] = np.add.reduceat(values, first[filled])
    return totals


def spread(starts: Ids, values: NDArray[Any]) -> NDArray[Any]:
    """values[i] at starts[i] to starts[i + 1], for all i."""
    return np.repeat(values, starts[1:] - starts[:-1])


def visited(
    histories: Histories, order: int, ordered: bool, key_order: int | None = None
) -> Visited:
    """Rows keyed by `order` tokens, of all histories, with priors by the last `key_order`."""
    from scipy.sparse import csr_array

    if order == 0 and not ordered:
        counts = histories.as_counts()
        starts, columns = (np.asarray(a, dtype=np.int64) for a in (counts.indptr, counts.indices))
        keys = np.column_stack([columns, counts.data.view(np.int64)])
        first, active = _distinct(keys, starts)
        own = counts[first]
        rows = Rows(own.indptr.astype(np.int64), own.indices.astype(np.int64), own.data, None, None)
        n = len(active)
        evidence = csr_array((np.ones(n), (np.arange(n), active)), shape=(n, rows.n))
        return Visited(rows, active, evidence)
    assert histories.tokens is not None  # `check_kind` refused counts alone
    assert histories.offsets is not None
    of_visit, of_next, owner = _keyed(histories.tokens, histories.offsets, order)
    # visits row by row, in their order or in that of the tokens
    by_row = (
        np.argsort(of_visit, kind="stable") if ordered else np.lexsort((histories.tokens, of_visit))
    )
    tokens = histories.tokens[by_row]
    starts = np.concatenate([[0], np.cumsum(np.bincount(of_visit, minlength=len(owner)))])
    key = None
    if key_order is not None:
        keys = keys_of(histories, key_order)
        places = np.arange(len(histories.tokens)) + np.repeat(
            np.arange(histories.n), np.diff(histories.offsets)
        )
        key = np.empty(len(owner), dtype=np.int64)
        key[of_visit] = keys[places]
        key[of_next] = keys[histories.offsets[1:] + np.arange(histories.n)]
    first, group = _distinct(tokens[:, np.newaxis], starts, key)
    there = np.flatnonzero(np.diff(starts))
    shape = (histories.n, len(first))
    times = (np.ones(len(there)), (owner[there], group[there]))
    evidence = csr_array(times, shape=shape)
    found = Visited(_rows(tokens, starts, first), group[of_next], evidence)
    return found if key is None else found._replace(key=key[first])


def n_keys(n_tokens: int, order: int) -> int:
    """How many keys there are of `order` tokens, and of fewer at the beginning; or 2**40."""
    many, of_length = 0, 1
    for _ in range(order + 1):
        many += of_length
        of_length *= n_tokens
        if many >= 2**40:
            return 2**40
    return many


def keys_of(histories: Histories, order: int) -> Ids:
    """The number of the last `order` tokens before each token of histories, and at the end of each.

    Fewer where there are fewer: 0 before the first token; then the V of one token, 1 + v; then
    those of two, by the last token first.
    """
    assert histories.tokens is not None
    assert histories.offsets is not None
    offsets, n_tokens = histories.offsets, histories.n_tokens
    history = np.repeat(np.arange(histories.n), np.diff(offsets) + 1)
    place = np.arange(len(history)) - (offsets[:-1] + np.arange(histories.n))[history]
    keys = np.zeros(len(history), dtype=np.int64)
    step = 1
    for back in range(1, min(order, int(place.max(initial=0))) + 1):
        there = np.flatnonzero(place >= back)
        token = histories.tokens[(offsets[:-1][history] + place - back)[there]]
        keys[there] += step * (1 + token)
        step *= n_tokens
    return keys


def _keyed(tokens: Ids, offsets: Ids, order: int) -> tuple[Ids, Ids, Ids]:
    """The row of each visit, the active row of each history, and the history of each row.

    Every history has a place before each of its tokens and one more at its end.
    """
    n, lengths = len(offsets) - 1, np.diff(offsets)
    history = np.repeat(np.arange(n), lengths + 1)
    place = np.arange(len(history)) - (offsets[:-1] + np.arange(n))[history]
    key = history.copy()
    none = int(tokens.max(initial=0)) + 1
    for back in range(1, min(order, int(lengths.max(initial=0))) + 1):
        there = place >= back
        digit = np.full(len(key), none)
        digit[there] = tokens[(offsets[:-1][history] + place - back)[there]]
        _, key = np.unique(key * (none + 1) + digit, return_inverse=True)
    at_end = place == lengths[history]
    owner = np.zeros(int(key.max(initial=-1)) + 1, dtype=np.int64)
    owner[key] = history
    return key[~at_end], key[at_end], owner


def _rows(tokens: Ids, starts: Ids, chosen: Ids) -> Rows:
    """The chosen among rows of visits, `tokens` row by row."""
    lengths = np.diff(starts)[chosen]
    ends = np.cumsum(lengths)
    row = np.repeat(np.arange(len(chosen)), lengths)
    rank = np.arange(len(row)) - np.repeat(ends - lengths, lengths)
    visits = tokens[starts[chosen][row] + rank]
    width = int(tokens.max(initial=0)) + 1
    entries, entry = np.unique(row * width + visits, return_inverse=True)
    counts = np.bincount(entry, minlength=len(entries)).astype(np.float64)
    per_row = np.bincount(entries // width, minlength=len(chosen))
    indptr = np.concatenate([[0], np.cumsum(per_row)])
    return Rows(indptr, entries % width, counts, entry, lengths[row] - 1 - rank)


def _distinct(visits: Ids, starts: Ids, key: Ids | None = None) -> tuple[Ids, Ids]:
    """`_groups` of rows, row i being visits[starts[i]:starts[i + 1]], with its key if any."""
    memory, size = visits.tobytes(), visits.shape[1] * visits.itemsize
    rows = (memory[a:b] for a, b in pairwise((starts * size).tolist()))
    if key is None:
        return _groups(rows)
    return _groups(own.tobytes() + row for own, row in zip(key, rows, strict=True))


def _groups(keys: Iterable[bytes]) -> tuple[Ids, Ids]:
    """The first of each group of equal keys, and the group of each."""
    seen: dict[bytes, int] = {}
    group = np.array([seen.setdefault(key, len(seen)) for key in keys], dtype=np.int64)
    first = np.full(len(seen), len(group))
    np.minimum.at(first, group, np.arange(len(group)))
    return first, group


def only(part: Visited, kept: Ids) -> Visited:
    """A part of its `kept` rows alone, each the active one of one history."""
    from scipy.sparse import csr_array

    rows = part.rows
    many = np.diff(rows.starts)[kept]
    starts = np.concatenate([[0], np.cumsum(many)])
    old = np.repeat(rows.starts[kept] - starts[:-1], many) + np.arange(starts[-1])
    entry = age = None
    if rows.entry is not None and rows.age is not None:
        new = np.full(len(rows.columns), -1)
        new[old] = np.arange(len(old))
        mine = new[rows.entry] >= 0
        entry, age = new[rows.entry[mine]], rows.age[mine]
    alone = Rows(starts, rows.columns[old], rows.counts[old], entry, age)
    n = len(kept)
    evidence = csr_array((np.ones(n), (np.arange(n),) * 2), shape=(n, n))
    key = None if part.key is None else part.key[kept]
    return Visited(alone, np.arange(n), evidence, key)


def distinct_histories(parts: Sequence[Visited]) -> tuple[Ids, Ids]:
    """The first of each group of histories with equal rows, and each history's group."""
    from scipy.sparse import csr_array, hstack

    evidence = csr_array(hstack([part.evidence for part in parts], format="csr"))
    evidence.sort_indices()
    active = np.column_stack([part.active for part in parts])
    rows = [slice(a, b) for a, b in pairwise(evidence.indptr.tolist())]
    return _groups(
        own.tobytes() + evidence.indices[row].tobytes() + evidence.data[row].tobytes()
        for own, row in zip(active, rows, strict=True)
    )
