"""The n-grams of a back-off model, as files in the format of ARPA have them.

There a document begins with one word ``<s>``.  A table has up to as many begin tokens V as its
contexts are long, for those of its models that count them: what follows V V a is there
what follows ``<s>`` a.  Contexts V^b a are told apart there, and only the longest of them comes to
use at the beginning of a document; what it does not list, the next shorter one may list.

Contents
    Order         n-grams of so many words
    ngrams_of     those of a table
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..._base.typing import Floats, Ids


class Order(NamedTuple):
    """n-grams of k words in rising order: contexts (c, k - 1), the number of each n-gram's context,
    its last word, probability and back-off weight, all (n,)."""

    contexts: Ids
    row: Ids
    tokens: Ids
    probs: Floats
    backs: Floats

    def words(self, cut: slice) -> Ids:
        """The words of some of them, (n, k)."""
        first = self.contexts[self.row[cut]]
        return np.concatenate([first, self.tokens[cut, np.newaxis]], axis=1)


class _Level(NamedTuple):
    """Contexts of as many tokens, and the pairs that they list."""

    contexts: Ids
    backs: Floats
    row: Ids  # of each pair, the number of its context
    tokens: Ids
    values: Floats
    leads: Ids  # and which longer context it is, -1 for none


def ngrams_of(table: Any) -> list[Order]:
    """The n-grams of 1, 2, ... words of a `BackoffTable`; the number V is ``<s>``.

    Raises
    ------
    ValueError
        Probabilities of the model are no such products.
    """
    starts, tokens, values, backs, contexts, base, _ = table.arrays()
    if base is not None:
        raise ValueError(
            "a tree of contexts has no back-off weights: what a context does not list depends on "
            "all shorter ones.  Hierarchies and rows with discounts have them"
        )
    begin, leads = table.n_tokens, table.leads()
    levels = []
    for k in range(1, len(starts)):
        row = np.repeat(np.arange(len(backs[k])), np.diff(starts[k]))
        lead = leads[k] if k < len(leads) else np.full(len(row), -1)
        level = _Level(contexts[k], backs[k], row, tokens[k], values[k], lead)
        levels.append(_listed(level, table))
    first = np.append(table.rows(np.zeros((1, 0), dtype=np.int64))[0], 0.0)
    none = np.zeros((1, 0), dtype=np.int64), np.zeros(begin + 1, dtype=np.int64)
    orders = [Order(*none, np.arange(begin + 1), first, np.ones(begin + 1))]
    lead = leads[0] if leads else np.full(begin + 1, -1)
    lead[begin] = -1
    begins = _Begins(levels, begin)
    for k, level in enumerate(levels, start=1):
        # n-grams in their order, those with a begin token, the largest, behind the others
        is_context = lead >= 0
        chosen = lead[is_context]
        orders[-1].backs[: len(lead)][is_context] = level.backs[chosen]
        rank = np.full(len(level.backs), -1)
        rank[chosen] = np.arange(len(chosen))
        row = rank[level.row]
        order = np.argsort(row << 32 | level.tokens)[np.count_nonzero(row < 0) :]
        lead = level.leads[order]
        own = begins.order(k, orders[-1].backs)
        orders.append(
            Order(
                np.concatenate([level.contexts[chosen], own.contexts]),
                np.concatenate([row[order], own.row + len(chosen)]),
                np.concatenate([level.tokens[order], own.tokens]),
                np.concatenate([level.values[order], own.values]),
                np.ones(len(order) + len(own.row)),
            )
        )
    while len(orders) > 1 and len(orders[-1].tokens) == 0:
        orders.pop()
    return orders


def _listed(level: _Level, table: Any) -> _Level:
    """With values for what is listed for longer contexts alone, but no begin tokens."""
    bare = np.isnan(level.values)
    if not bare.any():
        return level
    values = level.values.copy()
    real = level.tokens < table.n_tokens
    some = bare & real
    values[some] = table.pair_values(level.contexts[level.row[some]], level.tokens[some])
    pairs = level.row, level.tokens, values, level.leads
    return _Level(level.contexts, level.backs, *(each[real] for each in pairs))


def _some(level: _Level, chosen: NDArray[np.bool_], cut: int = 0) -> _Level:
    """Some of the contexts, without their first `cut` tokens."""
    number = np.cumsum(chosen) - 1
    pairs = np.flatnonzero(chosen[level.row])
    return _Level(
        level.contexts[chosen, cut:],
        level.backs[chosen],
        number[level.row[pairs]],
        level.tokens[pairs],
        level.values[pairs],
        level.leads[pairs],
    )


class _Begins:
    """Contexts that begin with begin tokens, and with one of them in the end."""

    def __init__(self, levels: list[_Level], begin: int) -> None:
        several = [list[_Level]() for _ in levels]  # from fewer begin tokens to more
        for level in levels:
            found = _some(level, level.contexts[:, 0] == begin)
            is_begin = found.contexts == begin
            many = np.cumprod(is_begin, axis=1).sum(axis=1)
            at_first = many == is_begin.sum(axis=1)  # no document has them further behind
            for b in range(1, level.contexts.shape[1] + 1):
                some = _some(found, at_first & (many == b), b - 1)
                several[some.contexts.shape[1] - 1].append(some)
        self._merged = [_merged(each[::-1]) for each in several]
        self._width = begin + 1
        self._keys: list[Ids] = []  # of n-grams of 2, 3, ... words, and which contexts they are
        self._leads: list[Ids] = []

    def order(self, k: int, backs: Floats) -> _Level:
        """Those of k tokens; their weights go to the n-grams of as many words that they are, the
        last ones there."""
        level = self._merged[k - 1]
        place = np.zeros(len(level.contexts), dtype=np.int64)
        for j in range(1, k):
            row = place if j == 1 else self._leads[j - 2][place]
            key = row * self._width + level.contexts[:, j]
            place = np.searchsorted(self._keys[j - 1], key)
        if k > 1:
            self._leads[-1][place] = np.arange(len(place))
        behind = len(self._keys[-1]) if k > 1 else 1
        backs[len(backs) - behind + place] = level.backs
        self._keys.append(level.row * self._width + level.tokens)
        self._leads.append(np.full(len(level.row), -1))
        return level


def _merged(levels: list[_Level]) -> _Level:
    """Contexts that are the same but for begin tokens, from the most of these on, as one."""
    contexts, of = np.unique(
        np.concatenate([level.contexts for level in levels]), axis=0, return_inverse=True
    )
    of = of.reshape(-1)
    backs, rows, values, end = np.ones(len(contexts)), [], [], 0
    for level in levels:
        own = of[end : end + len(level.contexts)]
        end += len(level.contexts)
        rows.append(own[level.row])
        values.append(level.values * backs[rows[-1]])
        backs[own] *= level.backs
    row, tokens = np.concatenate(rows), np.concatenate([level.tokens for level in levels])
    order = np.lexsort((tokens, row))  # stable: those of the most begin tokens stay first
    row, tokens = row[order], tokens[order]
    first = np.ones(len(row), dtype=bool)
    first[1:] = (row[1:] != row[:-1]) | (tokens[1:] != tokens[:-1])
    value = np.concatenate(values)[order][first]
    return _Level(contexts, backs, row[first], tokens[first], value, tokens[:0])
