"""Counts in a compact code, in a file that is read where it lies; they never change.

Contents
    levels_of    the counts of rows, of each order that has them
    encoded      the same as words, of every order
    opened       counts over such words
    thaw         the same rows with counts that can change
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._base.typing import Ids
from .._core import FrozenCounts, TransitionCounts
from .backoff import BackoffRows
from .counts import Levels, thawed
from .fading import RealCounts
from .shared import SharedRows
from .tree import TreeRows

Rows = SharedRows | BackoffRows | TreeRows
Words = NDArray[np.uint64]
REFUSED = "this matrix is frozen and never changes: matrix.thaw() gives one that does"


def levels_of(rows: Rows) -> tuple[Any, ...]:
    """Counts of rising order; of the longest alone where all rows have the same prior."""
    if isinstance(rows, TreeRows):
        return rows.counts
    return rows.levels.counts if isinstance(rows, BackoffRows) else (rows.counts,)


def encoded(rows: Rows) -> list[Words]:
    """Contexts of 0, 1, ... tokens as words, and the counts of those that have some."""
    longest: Any = rows.longest
    if isinstance(longest, RealCounts):
        raise ValueError("real counts have no frozen form: only those that never faded are frozen")
    if isinstance(longest, FrozenCounts):
        return list(longest.arrays())
    words: list[Words] = []
    if isinstance(rows, SharedRows):
        for contexts in _shorter(longest.all()[0], longest.n_tokens):
            words.append(FrozenCounts.encode(longest.n_tokens, words, contexts, None, None, None))
    for counts in levels_of(rows):
        words.append(FrozenCounts.encode(longest.n_tokens, words, *counts.all()))
    return words


def _shorter(contexts: NDArray[np.uint32], n_tokens: int) -> list[NDArray[np.uint32]]:
    """The last 0, 1, ... tokens of contexts (n, order), but not all of them; each once."""
    found = [np.zeros((1, 0), dtype=np.uint32)]
    for length in range(1, contexts.shape[1]):
        own: Ids = contexts[:, -length:].astype(np.int64)
        each = TransitionCounts(length - 1, n_tokens)
        each.update_rows(own[:, :-1], own[:, -1], np.ones(len(own), dtype=np.int64))
        before, indptr, last, _ = each.all()
        both = np.repeat(before, np.diff(indptr), axis=0), last[:, np.newaxis]
        found.append(np.concatenate(both, axis=1))
    return found


def opened(
    n_tokens: int, words: Sequence[Words], verify: bool, begins: bool = False
) -> tuple[FrozenCounts, ...]:
    """Counts of each order over words; `begins`: the last token follows no context."""
    return tuple(
        FrozenCounts(n_tokens, words[: level + 1], verify=verify, begins=begins)
        for level in range(len(words))
    )


def thaw(rows: Rows) -> Rows:
    """The same rows with counts in memory, which can change."""
    if isinstance(rows, TreeRows):
        return rows.thawed()
    counts = tuple(thawed(each) for each in levels_of(rows))
    if isinstance(rows, BackoffRows):
        return rows.with_levels(Levels(rows.levels.order, rows.levels.n_tokens, counts))
    return SharedRows(counts[0], rows.prior)
