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
    row: NDArray[np.intp]
    tokens: Ids
    probs: Floats
    backs: Floats

    def words(self, cut: slice) -> Ids:
        """The words of some of them, (n, k)."""
        first = self.contexts[self.row[cut]]
        return np.concatenate([first, self.tokens[cut, np.newaxis]], axis=1)


class _Level(NamedTuple):
    """Contexts of as many tokens, and what they list."""

    contexts: Ids
    backs: Floats
    row: NDArray[np.intp]  # of each pair, the number of its context
    tokens: Ids
    values: Floats


def ngrams_of(table: Any) -> list[Order]:
    """The n-grams of 1, 2, ... words of a `BackoffTable`; the number V is ``<s>``.

    Raises
    ------
    ValueError
        Probabilities of the model are no such products.
    """
    starts, listed, values_of, backs, contexts, base, _ = table.arrays()
    if base is not None:
        raise ValueError(
            "a tree of contexts has no back-off weights: what a context does not list depends on "
            "all shorter ones.  Hierarchies and rows with discounts have them"
        )
    begin, whole = table.n_tokens, []
    for k in range(1, len(starts)):
        row = np.repeat(np.arange(len(backs[k])), np.diff(starts[k]))
        whole.append(_listed(_Level(contexts[k], backs[k], row, listed[k], values_of[k]), table))
    first = table.rows(np.zeros((1, 0), dtype=np.int64))[0]
    empty = np.zeros((1, 0), dtype=np.int64), np.zeros(begin + 1, dtype=np.intp)
    orders = [Order(*empty, np.arange(begin + 1), np.append(first, 0.0), np.ones(begin + 1))]
    keys = [np.arange(begin + 1)]
    for level in _merged(whole, begin):
        place = _places(level.contexts, keys, begin + 1)
        orders[-1].backs[place] = level.backs
        key = place[level.row] * (begin + 1) + level.tokens
        if not (key[1:] > key[:-1]).all():
            order = np.argsort(key)
            key = key[order]
            row, tokens, values = level.row[order], level.tokens[order], level.values[order]
            level = _Level(level.contexts, level.backs, row, tokens, values)
        keys.append(key)
        orders.append(
            Order(level.contexts, level.row, level.tokens, level.values, np.ones(len(key)))
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
    if real.all():
        return level._replace(values=values)
    return level._replace(row=level.row[real], tokens=level.tokens[real], values=values[real])


def _places(contexts: Ids, keys: list[Any], width: int) -> NDArray[np.intp]:
    """Which n-gram of as many words each context is, found word by word."""
    place = np.zeros(len(contexts), dtype=np.int64)
    for j in range(contexts.shape[1]):
        key = place * width + contexts[:, j]
        place = np.searchsorted(keys[j], key)
        found = place < len(keys[j])
        found[found] = keys[j][place[found]] == key[found]
        if not found.all():  # which closure of the table does not let happen
            raise ValueError(f"no n-gram is the context {contexts[int(np.argmin(found))]}")
    return place


def _merged(levels: list[_Level], begin: int) -> list[_Level]:
    """The same with one begin token at most, at the beginning of contexts."""
    if not any((level.contexts[:, 1:] == begin).any() for level in levels):
        return levels
    found, of_begins = [], [list[tuple[int, _Level]]() for _ in levels]
    for level in levels:
        first = np.argmin(level.contexts == begin, axis=1)  # the first that is no begin token
        only = (level.contexts == begin).all(axis=1)
        first[only] = level.contexts.shape[1]
        later = (level.contexts == begin).sum(axis=1) > first  # which no document has
        found.append(_some(level, (first == 0) & ~later, 0))
        for b in range(1, level.contexts.shape[1] + 1):
            some = _some(level, (first == b) & ~later, b - 1)
            if len(some.contexts):
                of_begins[some.contexts.shape[1] - 1].append((b, some))
    return [
        _joined([level, _one_begin(each)]) if each else level
        for level, each in zip(found, of_begins, strict=True)
    ]


def _some(level: _Level, chosen: NDArray[np.bool_], cut: int) -> _Level:
    """Some of the contexts, without their first `cut` tokens."""
    number = np.cumsum(chosen) - 1
    pairs = chosen[level.row]
    return _Level(
        level.contexts[chosen, cut:],
        level.backs[chosen],
        number[level.row[pairs]],
        level.tokens[pairs],
        level.values[pairs],
    )


def _joined(levels: list[_Level]) -> _Level:
    shift = np.cumsum([0, *(len(each.contexts) for each in levels[:-1])])
    return _Level(
        np.concatenate([each.contexts for each in levels]),
        np.concatenate([each.backs for each in levels]),
        np.concatenate([each.row + more for each, more in zip(levels, shift, strict=True)]),
        np.concatenate([each.tokens for each in levels]),
        np.concatenate([each.values for each in levels]),
    )


def _one_begin(of_begins: list[tuple[int, _Level]]) -> _Level:
    """Contexts that differ in how many begin tokens they begin with, each with one."""
    levels = [level for _, level in sorted(of_begins, key=lambda each: -each[0])]
    contexts, of = np.unique(
        np.concatenate([level.contexts for level in levels]), axis=0, return_inverse=True
    )
    of = of.reshape(-1)
    backs, rows, values, end = np.ones(len(contexts)), [], [], 0
    for level in levels:  # from the most begin tokens on
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
    return _Level(contexts, backs, row[first], tokens[first], np.concatenate(values)[order][first])
