"""Histories as places of texts: those that begin alike are read once.

Contents
    Texts     distinct histories, each a place of a text
    texts_of  makes them
    Paths     where texts go in a tree of contexts
    paths_of  makes them
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .._base.typing import Floats, Ids
from .seen import Entries


class Texts(NamedTuple):
    """Distinct histories (H of them), each what comes before a place of a text.

    A text of T tokens has T + 1 places.

    Attributes
    ----------
    n_tokens : int
        V.
    tokens, text : ndarray of shape (P,)
        The token that comes after each place, -1 at the end of its text; and the text's number.
    queries : ndarray of shape (H,)
        The places, rising.
    slots : ndarray of shape (P,)
        Numbers of the tokens that come, by their first places in the text; -1 at its end.
    """

    n_tokens: int
    tokens: Ids
    text: Ids
    queries: Ids
    slots: Ids

    @property
    def position(self) -> Ids:
        """How many tokens came before each place."""
        first = np.flatnonzero(np.diff(self.text, prepend=-1))
        return np.arange(len(self.text)) - first[self.text]

    def seen(self) -> tuple[Ids, Ids]:
        """Each distinct token of each history: the history, and the token."""
        known = self.slots >= 0
        keys = self.text[known] * self.n_tokens + self.tokens[known]
        _, first = np.unique(keys, return_index=True)
        first = np.sort(np.flatnonzero(known)[first])  # the first place of each token of each text
        begins = np.searchsorted(first, np.searchsorted(self.text, self.text[self.queries]))
        many = np.searchsorted(first, self.queries) - begins
        history = np.repeat(np.arange(len(many)), many)
        place = first[np.arange(len(history)) - (np.cumsum(many) - many - begins)[history]]
        return history, self.tokens[place]

    def slots_of(self, entries: Entries) -> Ids:
        """The number of each entry's token; -1 where its text has none."""
        known = np.flatnonzero(self.slots >= 0)
        keys, first = np.unique(
            self.text[known] * self.n_tokens + self.tokens[known], return_index=True
        )
        text = self.text[self.queries][entries.history]
        wanted = text * self.n_tokens + entries.columns
        if not len(keys):
            return np.full(len(wanted), -1)
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[at] == wanted, self.slots[known[first[at]]], -1)


class Paths(NamedTuple):
    """What `_core.tree_predictions` is told of texts and entries."""

    n_nodes: int
    longest: int
    paths: Ids
    held: Floats


def texts_of(tokens: Ids, offsets: Ids, n_tokens: int) -> tuple[Texts, Ids, Ids]:
    """Texts of histories; the first given one of each distinct one, and the group of each.

    Those of history i are tokens[offsets[i]:offsets[i + 1]].

    Examples
    --------
    >>> given = np.array([1, 0, 1, 1, 0, 0, 1]), np.array([0, 2, 3, 6, 7])
    >>> texts, first, group = texts_of(*given, 2)
    >>> texts.tokens, texts.queries, group
    (array([ 1,  0,  0, -1]), array([1, 2, 3]), array([1, 0, 2, 0]))
    """
    n, memory, size = len(offsets) - 1, tokens.tobytes(), tokens.itemsize
    keys = [memory[a * size : b * size] for a, b in pairwise(offsets.tolist())]
    # From the last on, what begins another one stands behind it.
    heads: list[int] = []
    text = np.empty(n, dtype=np.int64)
    for i in sorted(range(n), key=keys.__getitem__, reverse=True):
        if not heads or not keys[heads[-1]].startswith(keys[i]):
            heads.append(i)
        text[i] = len(heads) - 1
    lengths = np.diff(offsets)
    ends = np.cumsum(lengths[heads] + 1, dtype=np.int64)
    begins = ends - lengths[heads] - 1
    queries, first, group = np.unique(
        begins[text] + lengths, return_index=True, return_inverse=True
    )
    of_place = np.repeat(np.arange(len(heads)), lengths[heads] + 1)
    coming = np.full(len(of_place), -1)
    kept = np.ones(len(of_place), dtype=bool)
    kept[ends - 1] = False
    if heads:
        coming[kept] = np.concatenate([tokens[offsets[i] : offsets[i + 1]] for i in heads])
    slots = _slots(of_place, coming, n_tokens)
    return Texts(n_tokens, coming, of_place, queries, slots), first, group


def _slots(text: Ids, tokens: Ids, n_tokens: int) -> Ids:
    """Numbers of tokens in their texts, by their first places."""
    known = np.flatnonzero(tokens >= 0)
    numbers = _by_first(text[known] * n_tokens + tokens[known])
    _, first = np.unique(text[known], return_index=True)
    base = np.zeros(int(text.max(initial=-1)) + 1, dtype=np.int64)
    base[text[known][first]] = numbers[first]
    slots = np.full(len(tokens), -1)
    slots[known] = numbers - base[text[known]]
    return slots


def _by_first(keys: Ids) -> Ids:
    """Keys as numbers, in the order in which they first occur."""
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[number], dtype=np.int64)


def paths_of(texts: Texts, depth: int, entries: Entries) -> Paths:
    """The nodes that places of texts go through, and how often the entries' tokens came there."""
    position, n = texts.position, len(texts.tokens)
    nodes, times = np.full((n, depth + 1), -1), np.zeros((n, depth + 1), dtype=np.int64)
    held = np.zeros((len(entries.columns), depth + 1))
    history = entries.history
    key, n_nodes = texts.text, 0
    for d in range(depth + 1):
        there = np.flatnonzero(position >= d)
        if d > 0:
            key = key * (texts.n_tokens + 1)
            key[there] += 1 + texts.tokens[there - d]
            key = np.unique(key, return_inverse=True)[1]
        nodes[there, d] = n_nodes + key[there]
        n_nodes += int(key.max(initial=-1)) + 1
        times[:, d], held[:, d] = _times(texts, key, there, entries, history)
    flat = nodes.ravel()
    known = flat >= 0
    flat[known] = _by_first(flat[known])
    nodes -= np.where(nodes >= 0, nodes[texts.text.searchsorted(texts.text), :1], 0)
    longest = int(position.max(initial=0))
    many = int(nodes.max(initial=-1)) + 1
    return Paths(many, longest, np.where(nodes >= 0, nodes << 32 | times, -1), held)


def _times(
    texts: Texts, key: Ids, there: Ids, entries: Entries, history: Ids
) -> tuple[Ids, Floats]:
    """How often each place's token came after its node before, and each entry's after its own."""
    n = len(texts.tokens)
    times = np.zeros(n, dtype=np.int64)
    held = np.zeros(len(entries.columns))
    there = there[texts.tokens[there] >= 0]
    pairs, pair = np.unique(key[there] * texts.n_tokens + texts.tokens[there], return_inverse=True)
    if not len(pairs):
        return times, held
    order = np.argsort(pair, kind="stable")
    begins = np.searchsorted(pair[order], np.arange(len(pairs)))
    times[there[order]] = np.arange(len(order)) - begins[pair[order]]
    place = texts.queries[history]
    wanted = key[place] * texts.n_tokens + entries.columns
    at = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    found = np.flatnonzero(pairs[at] == wanted)
    visits = pair[order] * (n + 1) + there[order]  # by pair and place
    until = np.searchsorted(visits, at[found] * (n + 1) + place[found])
    held[found] = until - begins[at[found]]
    return times, held
