"""Histories, as a caller hands them in, as a sparse matrix of counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["counts_of_histories"]


def counts_of_histories(histories: Any, history_kind: str, n_tokens: int) -> csr_array:
    """Counts (N, V) in float64 and canonical form, without stored zeros; checked.

    Parameters
    ----------
    histories
        Sequences of column numbers, or a matrix of counts.
    history_kind : {"tokens", "counts"}
        Which of the two.
    n_tokens : int
        V.

    Examples
    --------
    >>> counts_of_histories([[], [2, 0, 2]], "tokens", 3).toarray()
    array([[0., 0., 0.],
           [1., 0., 2.]])
    """
    if history_kind == "tokens":
        counts = _from_tokens(histories, n_tokens)
    elif history_kind == "counts":
        counts = _from_counts(histories, n_tokens)
    else:
        raise ValueError(f"history_kind={history_kind!r} is not one of 'tokens', 'counts'")
    counts.sum_duplicates()
    counts.eliminate_zeros()
    return counts


def _from_tokens(histories: Any, n_tokens: int) -> csr_array:
    """Count column numbers."""
    from scipy.sparse import csr_array

    parts = [_column_numbers(history, i) for i, history in enumerate(histories)]
    offsets = np.cumsum([0, *(len(part) for part in parts)], dtype=np.int64)
    columns = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
    outside = np.flatnonzero((columns < 0) | (columns >= n_tokens))
    if len(outside):
        at = int(outside[0])
        i = int(np.searchsorted(offsets, at, side="right")) - 1
        raise ValueError(
            f"histories[{i}][{at - offsets[i]}] is {columns[at]}, but the predictions have "
            f"columns 0 to {n_tokens - 1}"
        )
    return csr_array((np.ones(len(columns)), columns, offsets), shape=(len(parts), n_tokens))


def _column_numbers(history: Any, i: int) -> NDArray[np.int64]:
    """One history as an integer vector."""
    if isinstance(history, (str, bytes)):
        raise TypeError(f"histories[{i}] is {history!r}; a history is a sequence of column numbers")
    numbers = np.asarray(history)
    if numbers.ndim != 1:
        raise ValueError(
            f"histories[{i}] has {numbers.ndim} dimensions; a history is a sequence of column "
            "numbers"
        )
    if numbers.size and numbers.dtype.kind not in "iu":
        raise TypeError(
            f"histories[{i}] holds {numbers.dtype}, not column numbers; "
            "a matrix of counts needs history_kind='counts'"
        )
    return numbers.astype(np.int64)


def _from_counts(histories: Any, n_tokens: int) -> csr_array:
    """Check a matrix of counts."""
    from scipy.sparse import csr_array, issparse

    matrix = histories if issparse(histories) else np.asarray(histories)
    if matrix.ndim != 2 or matrix.shape[1] != n_tokens:
        raise ValueError(
            f"counts have shape {matrix.shape}, but the predictions have {n_tokens} tokens; "
            f"history_kind='counts' needs shape (N, {n_tokens})"
        )
    if matrix.dtype.kind not in "iuf":
        raise TypeError(f"counts must be numbers, not {matrix.dtype}")
    counts = csr_array(matrix, dtype=np.float64, copy=True)
    bad = np.flatnonzero(~(counts.data >= 0.0) | np.isinf(counts.data))
    if len(bad):
        i = int(np.searchsorted(counts.indptr, bad[0], side="right")) - 1
        raise ValueError(
            f"counts[{i}, {counts.indices[bad[0]]}] is {counts.data[bad[0]]:g}; "
            "counts are finite and not below 0"
        )
    return counts
