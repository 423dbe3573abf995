"""What a family of priors sees of histories: rows of counts, and which of them count for what.

Contents
    Rows      distinct rows of counts; they fade where a discount says so
    Part      rows keyed by the last `order` tokens: 0 for "iid", 1 or more for "markov"
    Design    the parts of a family, for the distinct among some histories
    design    makes one
    summed    sums by place
    row_sums  sums of the entries of each row, several times as fast
    spread    a value of each row for its entries

A token of a history is a visit of the row keyed by the tokens before it (fewer of them at the
beginning); the next token will visit the active row.  A row's counts need not know of other rows,
so rows of equal visits, of any history and any key, are one.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base.typing import Floats, Ids
from .histories import Histories

if TYPE_CHECKING:
    from scipy.sparse import csr_array


BLOCK_ENTRIES = 2**17  # rows x tokens worked on at a time
FAMILIES = {"iid": ("iid",), "markov": ("markov",), "iid+markov": ("iid", "markov")}


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
        if self.entry is None or self.age is None:
            return self.counts, np.zeros_like(self.counts)
        weight: Floats = np.exp(-rate * self.age)
        n = len(self.columns)
        return summed(self.entry, weight, n), summed(self.entry, -self.age * weight, n)


class Part(NamedTuple):
    """Rows keyed by the last `order` tokens, of some histories.

    Attributes
    ----------
    rows : Rows
    active : ndarray of int
        The row that each history's next token will come from.
    evidence : csr_array
        (histories, rows) how often a row is among those that a history visited.
    """

    rows: Rows
    active: Ids
    evidence: csr_array


class Design(NamedTuple):
    """Distinct histories as a family sees them.

    Attributes
    ----------
    parts : dict of str to Part
    group : ndarray of int
        The distinct history of each given one.
    n_tokens : int
    """

    parts: dict[str, Part]
    group: Ids
    n_tokens: int

    @property
    def n(self) -> int:
        """How many distinct histories."""
        return len(next(iter(self.parts.values())).active)

    @property
    def longest(self) -> int:
        """The most visits of a row."""
        ages = [part.rows.age for part in self.parts.values()]
        return max((int(age.max(initial=0)) + 1 for age in ages if age is not None), default=1)


def design(histories: Histories, family: str, order: int, ordered: bool) -> Design:
    """What `family` sees of histories.

    Parameters
    ----------
    histories
    family
        One of `FAMILIES`.
    order
        Tokens that key a row of the "markov" part.
    ordered
        Whether the order of a row's visits matters, as it does where counts fade.

    Examples
    --------
    >>> from matrixbayes.elicitation.histories import checked_histories
    >>> found = design(checked_histories([[0, 1, 0], [1, 0, 1]], "tokens", 2), "markov", 1, False)
    >>> rows = found.parts["markov"].rows
    >>> rows.starts, rows.columns, rows.counts      # 0 was followed by 1, and 1 by 0
    (array([0, 1, 2]), array([1, 0]), array([1., 1.]))
    """
    orders = {name: 0 if name == "iid" else order for name in FAMILIES[family]}
    parts = {name: _part(histories, own, ordered) for name, own in orders.items()}
    if len(parts) == 1:  # the active row is all there is to a history
        ((name, part),) = parts.items()
        kept, group = np.unique(part.active, return_inverse=True)
        return Design({name: _only(part, kept)}, group, histories.n_tokens)
    first, group = _distinct_histories(list(parts.values()))
    alone = {
        name: Part(part.rows, part.active[first], part.evidence[first])
        for name, part in parts.items()
    }
    return Design(alone, group, histories.n_tokens)


def summed(place: Ids, values: Floats, n: int) -> Floats:
    """Sums of the values that go to each of n places."""
    return np.asarray(np.bincount(place, values, n), dtype=np.float64)


def row_sums(starts: Ids, values: Floats) -> Floats:
    """Sums of values[starts[i]:starts[i + 1]], which are all of them."""
    totals = np.zeros(len(starts) - 1)
    filled = np.flatnonzero(np.diff(starts))
    if len(filled):  # reduceat takes an empty row for the value at its start
        totals[filled] = np.add.reduceat(values, starts[filled])
    return totals


def spread(starts: Ids, values: NDArray[Any]) -> NDArray[Any]:
    """values[i] at starts[i] to starts[i + 1], for all i."""
    return np.repeat(values, np.diff(starts))


def _part(histories: Histories, order: int, ordered: bool) -> Part:
    """Rows keyed by `order` tokens, of all histories."""
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
        return Part(rows, active, evidence)
    assert histories.tokens is not None  # `check_kind` refused counts alone
    assert histories.offsets is not None
    of_visit, of_next, owner = _keyed(histories.tokens, histories.offsets, order)
    # visits row by row, in their order or in that of the tokens
    by_row = (
        np.argsort(of_visit, kind="stable") if ordered else np.lexsort((histories.tokens, of_visit))
    )
    tokens = histories.tokens[by_row]
    starts = np.concatenate([[0], np.cumsum(np.bincount(of_visit, minlength=len(owner)))])
    first, group = _distinct(tokens[:, np.newaxis], starts)
    visited = np.flatnonzero(np.diff(starts))
    shape = (histories.n, len(first))
    times = (np.ones(len(visited)), (owner[visited], group[visited]))
    return Part(_rows(tokens, starts, first), group[of_next], csr_array(times, shape=shape))


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


def _distinct(keys: Ids, starts: Ids) -> tuple[Ids, Ids]:
    """`_groups` of rows, row i being keys[starts[i]:starts[i + 1]]."""
    memory, size = keys.tobytes(), keys.shape[1] * keys.itemsize
    return _groups(memory[a:b] for a, b in pairwise((starts * size).tolist()))


def _groups(keys: Iterable[bytes]) -> tuple[Ids, Ids]:
    """The first of each group of equal keys, and the group of each."""
    seen: dict[bytes, int] = {}
    group = np.array([seen.setdefault(key, len(seen)) for key in keys], dtype=np.int64)
    first = np.full(len(seen), len(group))
    np.minimum.at(first, group, np.arange(len(group)))
    return first, group


def _only(part: Part, kept: Ids) -> Part:
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
    return Part(alone, np.arange(n), csr_array((np.ones(n), (np.arange(n),) * 2), shape=(n, n)))


def _distinct_histories(parts: list[Part]) -> tuple[Ids, Ids]:
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
