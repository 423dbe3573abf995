"""Counting of documents, and the levels of a hierarchy of contexts.

Contents
    count                 counts of one order
    pairs, pair_blocks    what was counted, pair by pair
    of_pairs              counts of given pairs
    thawed                counts that can change
    multiplied            counts times a weight
    distinct              different contexts, and which is whose
    Levels                counts of orders 0 to m, the shorter ones by types
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._base.numbers import reals
from .._base.typing import Documents, Ids
from .._core import FrozenCounts, TransitionCounts
from .documents import Texts
from .fading import RealCounts

BLOCK = 1 << 19  # (context, token) pairs worked on at a time


def count(order: int, n_tokens: int, documents: Documents) -> TransitionCounts:
    """How often each token followed each context of `order` tokens in its document."""
    counts = TransitionCounts(order, n_tokens)
    texts = Texts.of(documents)
    counts.update(texts.tokens, texts.starts, texts.ends)
    return counts


def pairs(counts: TransitionCounts | RealCounts) -> tuple[Ids, Ids, NDArray[Any]]:
    """Every (context, token) with its count: (n, order), (n,) and (n,)."""
    contexts, indptr, tokens, times = counts.all()
    each = np.repeat(contexts.astype(np.int64), np.diff(indptr), axis=0)
    return each, tokens.astype(np.int64), times


def pair_blocks(
    counts: TransitionCounts | RealCounts | FrozenCounts,
) -> Iterator[tuple[Ids, Ids, NDArray[Any]]]:
    """The same in blocks, so that no step of what is done with them takes long."""
    contexts, indptr, tokens, times = counts.all()
    for start in range(0, len(tokens), BLOCK):
        end = min(start + BLOCK, len(tokens))
        first = int(np.searchsorted(indptr, start, side="right")) - 1
        last = int(np.searchsorted(indptr, end, side="left"))
        ends = np.clip(indptr[first : last + 1], start, end)
        lengths = ends[1:] - ends[:-1]
        each = np.repeat(contexts[first:last].astype(np.int64), lengths, axis=0)
        yield each, tokens[start:end].astype(np.int64), times[start:end]


def of_pairs(like: Any, contexts: Ids, tokens: Ids, times: NDArray[Any]) -> Any:
    """Counts of pairs, of the kind of other counts and over the same tokens; they do not fade."""
    if isinstance(like, RealCounts):
        none = RealCounts(like.order, like.n_tokens)
        return none.with_rows(contexts, tokens, reals(times, "counts"))
    counts = TransitionCounts(like.order, like.n_tokens)
    counts.update_rows(contexts, tokens, times.astype(np.int64))
    return counts


def thawed(counts: Any) -> Any:
    """The same counts in memory where they are frozen, else themselves."""
    if not isinstance(counts, FrozenCounts):
        return counts
    found = TransitionCounts(counts.order, counts.n_tokens)
    for contexts, tokens, times in pair_blocks(counts):
        found.update_rows(contexts, tokens, times.astype(np.int64))
    return found


def multiplied(counts: Any, weight: float, real: bool) -> Any:
    """Counts times a weight, as real numbers or as whole ones; they do not fade.

    Raises
    ------
    ValueError
        Whole numbers times a weight that is none.
    OverflowError
        More than 2**64 - 1 observations.
    """
    if weight == 1.0:
        return counts
    if real:
        contexts, tokens, times = pairs(counts)
        none = RealCounts(counts.order, counts.n_tokens)
        return none.with_rows(contexts, tokens, times * weight)
    if weight != int(weight):
        raise ValueError(
            f"weight is {weight}, and counts are whole numbers, which whole weights multiply: "
            "forget(1.0) makes the counts of a plain matrix real, and interpolate() mixes what "
            "matrices predict"
        )
    product = counts.copy()
    product.scale(min(int(weight), 2**64 - 1))
    return product


def distinct(contexts: Ids) -> tuple[Ids, NDArray[np.intp]]:
    """The different contexts (u, length), and the number of each context's own (n,)."""
    n, length = contexts.shape
    if n == 0 or length == 0:
        return contexts[:1], np.zeros(n, dtype=np.intp)
    group = np.zeros(n, dtype=np.int64)  # which contexts agree so far; at most n groups
    first = np.zeros(1, dtype=np.intp)
    for column in range(length):
        values, value = np.unique(contexts[:, column], return_inverse=True)
        _, first, group = np.unique(
            group * len(values) + value, return_index=True, return_inverse=True
        )
    return contexts[first], group


class Levels:
    """Counts of contexts of 0 to m tokens; it never changes.

    Documents are led by m begin tokens, number V, so that every token has a whole context.  Level
    m counts tokens.  A shorter level counts types: in how many different longer contexts a token
    was seen after this one.  What a long context explains is not counted again as evidence for
    the shorter one; it is what maximises the evidence of the shorter rows where concentrations
    are small (MacKay & Peto 1995), and the counts of Kneser and Ney.

    Shorter levels follow from level m alone, whatever the order of updates.
    """

    def __init__(
        self, order: int, n_tokens: int, counts: tuple[TransitionCounts, ...] = ()
    ) -> None:
        self.order, self.n_tokens = order, n_tokens
        self.counts = counts or tuple(
            TransitionCounts(level, n_tokens + 1) for level in range(order + 1)
        )

    @property
    def begin(self) -> Ids:
        """What stands before a document."""
        return np.full(self.order, self.n_tokens, dtype=np.int64)

    def with_more(self, fresh: TransitionCounts) -> Levels:
        """These counts and those of more contexts of m tokens."""
        counts = []
        for level in range(self.order, -1, -1):
            counts.append(self.counts[level].copy())
            counts[-1].merge(fresh)
            if level > 0:
                fresh = fresh.shorten(self.counts[level])  # what was not there before
        return Levels(self.order, self.n_tokens, tuple(counts[::-1]))

    def with_less(self, gone: TransitionCounts) -> Levels:
        """These counts without those of some contexts of m tokens, which were counted."""
        counts = []
        for level in range(self.order, -1, -1):
            counts.append(self.counts[level].copy())
            counts[-1].subtract(gone)
            if level > 0:
                gone = gone.shorten(counts[-1])  # what is no longer there
        return Levels(self.order, self.n_tokens, tuple(counts[::-1]))
