"""Histories, as a caller hands them in, checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base.arguments import listed, shown
from .._base.numbers import exact_rows, is_named, plain, reals
from .._base.tokens import columns_in, labels_of, numbers_of, order_of
from .._base.typing import Floats, Ids
from ..sources.names import parts_of
from .parameters import fields_of

if TYPE_CHECKING:
    from scipy.sparse import csr_array


MOST_VISITS = 2.0**53  # of a history given as counts: beyond, a double does not hold one more


class Histories(NamedTuple):
    """Histories over `n_tokens` columns: their tokens one after another, or only their counts.

    Attributes
    ----------
    n_tokens : int
        V.
    tokens, offsets : ndarray or None
        Those of history i are tokens[offsets[i]:offsets[i + 1]].
    counts : csr_array or None
        (N, V) float64, in canonical form without stored zeros.
    """

    n_tokens: int
    tokens: Ids | None
    offsets: Ids | None
    counts: csr_array | None

    @property
    def n(self) -> int:
        """N."""
        if self.counts is not None:
            return int(self.counts.shape[0])
        assert self.offsets is not None
        return len(self.offsets) - 1

    def as_counts(self) -> csr_array:
        """(N, V) float64, in canonical form without stored zeros."""
        if self.counts is not None:
            return self.counts
        from scipy.sparse import csr_array

        assert self.tokens is not None
        entries = (np.ones(len(self.tokens)), self.tokens, self.offsets)
        counts = csr_array(entries, shape=(self.n, self.n_tokens), copy=True)
        counts.sum_duplicates()
        return counts

    @property
    def lengths(self) -> Floats:
        """How many tokens each has."""
        if self.counts is not None:
            return np.asarray(self.counts.sum(axis=1), dtype=np.float64).ravel()
        assert self.offsets is not None
        return np.diff(self.offsets).astype(np.float64)

    def equal(self) -> Ids:
        """(N,): the same number for equal histories, from 0 in the order of the first."""
        if self.counts is not None:
            starts = self.counts.indptr
            arrays = [self.counts.indices, self.counts.data]
        else:
            assert self.tokens is not None
            assert self.offsets is not None
            starts, arrays = self.offsets, [self.tokens]
        seen: dict[bytes, int] = {}
        parts = [(array.tobytes(), array.itemsize) for array in arrays]
        ends = pairwise(starts.tolist())
        keys = (b"".join([part[a * size : b * size] for part, size in parts]) for a, b in ends)
        return np.array([seen.setdefault(key, len(seen)) for key in keys], dtype=np.int64)


def checked_histories(
    histories: Any, history_kind: str, n_tokens: int, names: tuple[str, ...] | None = None
) -> Histories:
    """What a caller handed in, checked.

    Parameters
    ----------
    histories
        Sequences of column numbers or names, or a matrix of counts.
    history_kind : {"tokens", "counts"}
        Which of the two.
    n_tokens : int
        V.
    names : tuple of str, optional
        Of the columns.

    Examples
    --------
    >>> found = checked_histories([[], [2, 0, 2]], "tokens", 3)
    >>> found.tokens, found.offsets
    (array([2, 0, 2]), array([0, 0, 3]))
    """
    if history_kind == "tokens":
        return Histories(n_tokens, *_from_tokens(histories, n_tokens, names), None)
    if history_kind == "counts":
        counts = _from_counts(histories, n_tokens, names)
        counts.sum_duplicates()
        counts.eliminate_zeros()
        return Histories(n_tokens, None, None, counts)
    raise ValueError(f"history_kind={shown(history_kind)} is not one of 'tokens', 'counts'")


def _from_tokens(histories: Any, n_tokens: int, names: tuple[str, ...] | None) -> tuple[Ids, Ids]:
    """Column numbers, one history after another, and where each begins."""
    if not isinstance(histories, Iterable):
        raise TypeError(f"histories is {shown(histories)}; it is a sequence of histories")
    if hasattr(histories, "iloc") and getattr(histories, "ndim", 0) == 2:
        histories = plain(histories, "histories")  # by rows, as an array
    given = listed(histories, "histories")
    columns = _of_lists(given)
    if columns is None:
        parts = [_column_numbers(history, i, names) for i, history in enumerate(given)]
        columns, given = np.concatenate([np.empty(0, dtype=np.int64), *parts]), parts
    offsets = np.cumsum([0, *map(len, given)], dtype=np.int64)
    outside = np.flatnonzero((columns < 0) | (columns >= n_tokens))
    if len(outside):
        at = int(outside[0])
        i = int(np.searchsorted(offsets, at, side="right")) - 1
        raise ValueError(
            f"histories[{i}][{at - offsets[i]}] is {columns[at]}, but the predictions have "
            f"columns 0 to {n_tokens - 1}"
        )
    return columns, offsets


def _of_lists(histories: Sequence[Any]) -> Ids | None:
    """The column numbers of lists of int and nothing else, which need no closer look."""
    if not all(type(history) is list for history in histories):
        return None
    if not set(map(type, chain.from_iterable(histories))) <= {int}:
        return None
    try:
        return np.fromiter(chain.from_iterable(histories), dtype=np.int64)
    except OverflowError:  # to be said where
        return None


def _column_numbers(history: Any, i: int, names: tuple[str, ...] | None) -> NDArray[np.int64]:
    """One history as an integer vector."""
    if isinstance(history, (str, bytes)):
        raise TypeError(
            f"histories[{i}] is {shown(history)}; a history is a sequence of column numbers"
        )
    numbers = plain(history, f"histories[{i}]")
    if numbers.ndim != 1:
        raise ValueError(
            f"histories[{i}] has {numbers.ndim} dimensions; a history is a sequence of column "
            "numbers"
        )
    if numbers.size and is_named(numbers) and names is not None:
        return numbers_of(numbers, names, "the predictions", f"histories[{i}]")
    if numbers.size and numbers.dtype.kind not in "iu":
        raise TypeError(
            f"histories[{i}] holds {np.asarray(history).dtype}, not column numbers; "
            "a matrix of counts needs history_kind='counts'"
        )
    if numbers.size and int(numbers.max()) > np.iinfo(np.int64).max:
        raise ValueError(f"histories[{i}] holds {numbers.max()}, which is no column number")
    return numbers.astype(np.int64)


def _from_counts(histories: Any, n_tokens: int, names: tuple[str, ...] | None) -> csr_array:
    """Check a matrix of counts."""
    from scipy.sparse import csr_array, issparse

    lists = isinstance(histories, (list, tuple)) and all(map(np.iterable, histories))
    if lists and len({len(row) for row in histories}) > 1:
        raise ValueError(
            "counts have rows of different lengths; a matrix is needed, or history_kind='tokens'"
        )
    if issparse(histories):
        matrix = exact_rows(histories, "counts")
    else:
        order = order_of(labels_of(histories), names, "the columns of counts and the predictions")
        matrix = columns_in(reals(histories, "counts"), order)
    if matrix.ndim != 2 or matrix.shape[1] != n_tokens:
        raise ValueError(
            f"counts have shape {matrix.shape}, but the predictions have {n_tokens} tokens; "
            f"history_kind='counts' needs shape (N, {n_tokens})"
        )
    counts = csr_array(matrix, dtype=np.float64, copy=True)
    bad = np.flatnonzero(~(counts.data >= 0.0) | np.isinf(counts.data))
    if len(bad):
        i = int(np.searchsorted(counts.indptr, bad[0], side="right")) - 1
        raise ValueError(
            f"counts[{i}, {counts.indices[bad[0]]}] is {counts.data[bad[0]]:g}; "
            "counts are finite and not below 0"
        )
    totals = counts.sum(axis=1)
    if np.any(totals > MOST_VISITS):
        i = int(np.argmax(totals > MOST_VISITS))
        raise ValueError(f"counts[{i}] sum to {totals[i]:g}; they may sum to 2**53 at most")
    return counts


def check_kind(histories: Histories, family: str, discount: float | str, order: int = 1) -> None:
    """Raise where a family cannot be held against histories.

    It needs to know the order of the tokens and they are counts, nothing in it can fade, it has too
    many keys, or there is one token.
    """
    parts = parts_of(family, order)
    if histories.counts is not None:
        if family != "iid":
            raise ValueError(
                f"family {shown(family)} needs histories of tokens: counts have no order"
            )
        if discount != 1.0:
            raise ValueError("a discount needs histories of tokens: counts have no order")
    if discount != 1.0 and not any(part.reads_rows for part in parts.values()):
        raise ValueError(
            f"family {shown(family)} has no rows of counts that a discount could fade: "
            "'balance' has a "
            "memory of its own, and a tree keeps all; use discount=1"
        )
    fields_of(parts, histories.n_tokens)
