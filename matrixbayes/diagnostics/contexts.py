"""Contexts along paths: which row each token was drawn from, and shuffles that keep the rows.

Contents
    codes       a number for the last tokens at each place
    Contexts    the places of the contexts of many paths, while their tokens come in
    row_counts  what followed each place's context so far, faded or not
    visits      paths sorted by context: which rank each visit of a context has
    shuffled    paths with the same transitions, each as likely as any other

For a chain the exchangeable thing is not the token but the visit of a row: paths of equal first
token and equal transition counts are equally probable (P. Diaconis, D. Freedman 1980, De Finetti's
theorem for Markov chains), and what follows the visits of one context is an exchangeable sequence
(S. Fortini, L. Ladelli, G. Petris, E. Regazzini 2002, On mixtures of distributions of Markov
chains; S. Fortini, S. Petrone 2020, Quasi-Bayes properties of a procedure for sequential learning).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base.typing import Floats, Ids


def codes(tokens: Ids, order: int, width: int) -> Ids:
    """A number (..., length + 1) for the last `order` tokens before each place and after the last;
    of all tokens, where there are fewer."""
    length = tokens.shape[-1]
    found = np.zeros((*tokens.shape[:-1], length + 1), dtype=np.int64)
    for back in range(1, min(order, length) + 1):
        found[..., back:] += (tokens[..., : length + 1 - back] + 1) * (width + 1) ** (back - 1)
    return found


def check_codes(order: int, width: int) -> None:
    """Refuse contexts that have no number of 64 bits."""
    if (width + 1) ** order >= 2**63:
        raise ValueError(f"contexts of {order} of {width} tokens are too many to be told apart")


class Contexts:
    """The contexts of n paths of up to `longest` tokens, numbered from 0 on each path.

    Where few contexts can be at all, the number is that of `codes`, else the first place where the
    context stood.
    """

    def __init__(self, n: int, longest: int, order: int, width: int) -> None:
        self.base, self.order = width + 1, order
        self.now = np.zeros(n, dtype=np.int64)
        most = self.base**order
        self.direct = most <= 4 * (longest + 1)
        self.many = most if self.direct else longest + 1
        self.known = np.zeros((n, 0 if self.direct else longest + 1), dtype=np.int64)
        self.t = 0

    def at(self) -> Ids:
        """The number of each path's context, (n,)."""
        if self.direct:
            return self.now
        self.known[:, self.t] = self.now
        same = self.known[:, : self.t + 1] == self.now[:, np.newaxis]
        found: Ids = np.argmax(same, axis=1)
        return found

    def add(self, tokens: Ids) -> None:
        """One token (n,) more on each."""
        if self.order:
            self.now = tokens + 1 + self.base * (self.now % self.base ** (self.order - 1))
        self.t += 1


def last_places(tokens: Ids) -> Ids:
    """Where each token of (..., length) stood last before; -1 for a new one."""
    order = np.argsort(tokens, axis=-1, kind="stable")
    ranked = np.take_along_axis(tokens, order, axis=-1)
    before = np.where(ranked[..., 1:] == ranked[..., :-1], order[..., :-1], -1)
    last = np.full(tokens.shape, -1)
    np.put_along_axis(last, order[..., 1:], before, axis=-1)
    return last


def row_counts(tokens: Ids, keys: Ids, width: int, gamma: float = 1.0) -> Floats:
    """Counts (n, length + 1, V) of what followed each place's key before, all multiplied by gamma
    before each other visit; tokens (n, length), keys (n, length + 1)."""
    n, length = tokens.shape
    last, own = last_places(keys), np.arange(n)
    counts = np.zeros((n, length + 1, width))
    for t in range(1, length + 1):
        then = last[:, t]
        old = own[then >= 0]
        then = then[old]
        counts[old, t] = gamma * counts[old, then]
        counts[old, t, tokens[old, then]] += 1.0
    return counts


class Visits(NamedTuple):
    """Places (..., length) sorted by key, and in time for each key.

    Attributes
    ----------
    order : ndarray of int
        The place of each.
    key, rank, many : ndarray of int
        Its key, how many visits of it came before, and how many there are.
    """

    order: Ids
    key: Ids
    rank: Ids
    many: Ids

    def sort(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values (..., length) or (..., length, V) in that order."""
        order = self.order if values.ndim == self.order.ndim else self.order[..., np.newaxis]
        return np.take_along_axis(values, order, axis=self.order.ndim - 1)


def visits(keys: Ids) -> Visits:
    """Sort places by key."""
    length = keys.shape[-1]
    order = np.argsort(keys, axis=-1, kind="stable")
    key = np.take_along_axis(keys, order, axis=-1)
    place = np.arange(length)
    first = np.ones(keys.shape, dtype=bool)
    np.not_equal(key[..., 1:], key[..., :-1], out=first[..., 1:])
    start = np.maximum.accumulate(np.where(first, place, 0), axis=-1)
    last = np.ones(keys.shape, dtype=bool)
    last[..., :-1] = first[..., 1:]
    ends = np.where(last, place, length)[..., ::-1]
    end = np.minimum.accumulate(ends, axis=-1)[..., ::-1]
    return Visits(order, key, place - start, end - start + 1)


def shuffled(tokens: Ids, keys: Ids, rng: np.random.Generator) -> Ids:
    """Paths with the same first key and the same transitions between keys, evenly among all.

    An even draw among Eulerian paths: the last exits of all keys but the final one are an even
    draw among the trees that lead to it (J. Propp, D. Wilson 1998: exits are drawn, and those on
    circles anew, until there is no circle), the other exits come in any order (D. Kandel, Y.
    Matias, R. Unger, P. Winkler 1996, Shuffling biological sequences).

    Parameters
    ----------
    tokens : ndarray of shape (n, length)
        What followed each key.
    keys : ndarray of shape (n, length + 1)
        Which must be made of the key and the token before, as those of `codes`.
    rng : numpy.random.Generator
    """
    n, length = tokens.shape
    own = np.arange(n)
    at = visits(keys)
    state = np.empty_like(keys)  # numbers of keys: where each is first in the sorted order
    np.put_along_axis(state, at.order, np.arange(length + 1) - at.rank, axis=1)
    start, goal = state[:, :-1], state[:, 1:]
    final = state[:, -1]
    exits = np.zeros((n, length + 1), dtype=np.int64)  # of each state: how many
    np.add.at(exits, (own[:, np.newaxis], start), 1)
    # places sorted by state: those of s begin at `s` but for the final place, which has no exit
    places = np.argsort(start, axis=1, kind="stable")
    begin = np.cumsum(exits, axis=1) - exits
    leaves = (exits > 0) & (np.arange(length + 1) != final[:, np.newaxis])
    last = np.full((n, length + 1), -1)
    wanted = leaves.copy()
    todo = own
    while len(todo):
        row, s = np.nonzero(wanted[todo])
        row = todo[row]
        pick = begin[row, s] + (rng.random(len(row)) * exits[row, s]).astype(np.int64)
        last[row, s] = places[row, pick]
        # where each state leads in the end: to the final one, or round a circle for ever
        lead = np.tile(np.arange(length + 1), (len(todo), 1))
        i, s = np.nonzero(leaves[todo])
        lead[i, s] = goal[todo[i], last[todo[i], s]]
        for _ in range(int(length).bit_length() + 1):
            lead = np.take_along_axis(lead, lead, axis=1)
        circle = np.zeros_like(lead, dtype=bool)
        lost = leaves[todo] & (lead != final[todo, np.newaxis])
        i, s = np.nonzero(lost)
        circle[i, lead[i, s]] = True
        wanted[todo] = circle
        todo = todo[circle.any(axis=1)]
    priority = rng.random((n, length))
    row, s = np.nonzero(leaves)
    priority[row, last[row, s]] = 2.0
    line = np.lexsort((priority, start), axis=1)  # the exits of each state in their new order
    used = begin.copy()
    found = np.empty_like(tokens)
    now = state[:, 0]
    for t in range(length):
        place = line[own, used[own, now]]
        used[own, now] += 1
        found[:, t] = tokens[own, place]
        now = goal[own, place]
    return found
