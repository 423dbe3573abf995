"""Rows beside each other of which one, or both, are known in part.

Contents
    Side        entries of rows, listed row behind row
    Open        what one side does not know
    Pairs       rows of two sides, beside each other
    Filled      distributions that agree with what both know
    nearest     those that are nearest to each other
    farthest    those that are farthest

Tokens that both rows list are known.  The rest of a row may lie on the tokens that only the other
lists, and on those that neither does.  Section 1b of docs/model.md says why these are the nearest
and the farthest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base.typing import Floats, Ids

NOISE = 1e-12  # of a mass that is a difference: below, it is rounding
FLOOR = -340.0  # probabilities from exp(FLOOR) on have products and quotients that are doubles


class Side(NamedTuple):
    """Rows of one side: of each entry its row, column and logarithm; of each row the rest, the cap,
    and how many tokens there are."""

    row: Ids
    column: Ids
    logs: NDArray[np.floating]
    rest: Floats
    cap: Floats
    n_tokens: float


class Open(NamedTuple):
    """What one row has for tokens that only the other lists, and for those that neither does."""

    known: (
        Floats  # (N, K) the other's probabilities of the former, increasing, not below FLOOR; or 0
    )
    logs: Floats  # (N, K) their logarithms; -inf where there is none
    number: Floats  # (N,) how many they are
    mass: Floats  # (N,) of the rest
    most: Floats  # (N,) that one token can have of it
    room: Floats  # (N,) that the tokens which neither lists can have of it
    vague: NDArray[np.bool_]  # (N,) the mass is less than it says, though not 0


class Pairs:
    """Rows of two sides: what both list, and what is open of each."""

    def __init__(self, p: Side, q: Side, n_columns: int) -> None:
        self.n = len(p.rest)
        keys = [side.row * n_columns + side.column for side in (p, q)]
        key = np.union1d(*keys)
        row = key // n_columns
        logs = np.full((2, len(key)), np.nan)
        for side, own, into in zip((p, q), keys, logs, strict=True):
            into[np.searchsorted(key, own)] = side.logs
        there = ~np.isnan(logs)
        both = there.all(axis=0)
        self.row, self.log_p, self.log_q = row[both], logs[0, both], logs[1, both]
        n_tokens = max(p.n_tokens, q.n_tokens)
        self.neither = n_tokens - np.bincount(row, minlength=self.n)
        self.of_p = self._open(p, there[1] & ~there[0], row, logs[1])
        self.of_q = self._open(q, there[0] & ~there[1], row, logs[0])

    def _open(self, side: Side, only: NDArray[np.bool_], row: Ids, logs: Floats) -> Open:
        count = np.bincount(row[only], minlength=self.n)
        values, row = logs[only], row[only]
        order = np.lexsort((values, row))
        width = int(count.max(initial=0))
        ends = np.cumsum(count)
        place = np.arange(len(row)) - np.repeat(ends - count, count) + width - count[row]
        padded = np.full((self.n, width), -np.inf)
        padded[row, place] = values[order]
        known = np.where(padded > -np.inf, np.exp(np.maximum(padded, FLOOR)), 0.0)
        some = side.rest > -np.inf
        mass, most = (
            np.where(some, np.exp(np.maximum(x, FLOOR)), 0.0) for x in (side.rest, side.cap)
        )
        with np.errstate(all="ignore"):
            room = np.where(most > 0.0, self.neither * most, 0.0)
        vague = some & (side.rest < FLOOR)
        return Open(known, padded, count.astype(np.float64), mass, most, room, vague)

    def flipped(self) -> Pairs:
        """The same rows with the sides exchanged."""
        other = object.__new__(Pairs)
        other.n, other.neither, other.row = self.n, self.neither, self.row
        other.log_p, other.log_q, other.of_p, other.of_q = (
            self.log_q,
            self.log_p,
            self.of_q,
            self.of_p,
        )
        return other


class Filled(NamedTuple):
    """What each row has where the other alone lists, and in all where neither does."""

    p: Floats
    q: Floats
    p_neither: Floats
    q_neither: Floats


def nearest(pairs: Pairs) -> Filled:
    """The pair of distributions that is nearest, in every f-divergence at once: with one ratio of
    p to q wherever a row has a choice, as far as caps allow."""
    p, q = pairs.of_p, pairs.of_q
    t, s = _level(p, p.mass), _level(q, q.mass)
    more = [np.maximum(x.mass - x.number * x.most, 0.0) for x in (p, q)]
    four = pairs.neither > 0.0
    p4, q4 = (
        np.where(four & (m > NOISE * x.mass), m, 0.0) for m, x in zip(more, (p, q), strict=True)
    )
    with np.errstate(all="ignore"):
        inner = four & (t > 1.0 / s)
    if inner.any():
        # Tokens that neither lists take from both sides, at the ratio of all others.
        _put(_interior(*some(p, q, inner)), inner, t, s, p4, q4)
        over_p = inner & (p4 > p.room * (1.0 + NOISE))
        over_q = inner & (q4 > q.room * (1.0 + NOISE))
        for first in (True, False):
            over = over_p if first else over_q & ~over_p
            if over.any():
                _put(_capped(*some(p, q, over), first), over, t, s, p4, q4)
                worse = over & ((q4 > q.room * (1.0 + NOISE)) if first else (p4 > p.room))
                if worse.any():
                    _put(_capped(*some(p, q, worse), not first), worse, t, s, p4, q4)
                    still = worse & ((p4 > p.room) if first else (q4 > q.room))
                    both = _both_capped(*some(p, q, still))
                    _put(both, still, t, s, p4, q4)
    return Filled(_poured(p, t), _poured(q, s), p4, q4)


Levels = tuple[Floats, Floats, Floats, Floats]


def _put(found: Levels, where: NDArray[np.bool_], *into: Floats) -> None:
    for values, array in zip(found, into, strict=True):
        array[where] = values


def some(p: Open, q: Open, rows: NDArray[np.bool_]) -> tuple[Open, Open]:
    return Open._make(x[rows] for x in p), Open._make(x[rows] for x in q)


def _poured(x: Open, level: Floats) -> Floats:
    """min(most, level known), where nothing is known nothing."""
    with np.errstate(all="ignore"):
        found: Floats = np.minimum(level[:, np.newaxis] * x.known, x.most[:, np.newaxis])
    found[x.known == 0.0] = 0.0
    return found


def _level(x: Open, mass: Floats, linear: Floats | None = None) -> Floats:
    """The level at which min(most, level known), and level linear beside it, have this mass;
    infinite where all that is known is full before."""
    n, width = x.known.shape
    # With the j largest full, the others share what is left; j grows until none of them is fuller.
    tails = np.hstack([np.zeros((n, 1)), np.cumsum(x.known, axis=1)])[:, ::-1]
    largest = np.hstack([x.known[:, ::-1], np.zeros((n, 1))])
    full = np.arange(width + 1)
    with np.errstate(all="ignore"):
        share = tails + (0.0 if linear is None else linear[:, np.newaxis])
        left = mass[:, np.newaxis] - full * x.most[:, np.newaxis]
        levels = np.where(left > NOISE * mass[:, np.newaxis], left, 0.0) / share
        fits = (
            (levels * largest <= (1.0 + 1e-9) * x.most[:, np.newaxis])
            & (share > 0.0)
            & (left >= 0.0)
        )
    first = np.argmax(fits, axis=1)
    found: Floats = levels[np.arange(n), first]
    found[~fits.any(axis=1)] = np.inf
    found[mass <= 0.0] = 0.0
    return found


def _interior(p: Open, q: Open) -> Levels:
    """One ratio everywhere: a root of a function of pieces that are lines.

    With ratio r, p has min(most, r known) and q has min(most, known / r), and what is left of p is
    r times what is left of q.
    """
    n = len(p.mass)
    with np.errstate(all="ignore"):
        turns_p = np.where(p.known > 0.0, p.most[:, np.newaxis] / p.known, np.inf)
        turns_q = np.where(q.known > 0.0, q.known / q.most[:, np.newaxis], 0.0)
    turns = np.hstack([turns_p, turns_q])
    order = np.argsort(turns, axis=1)
    turns = np.take_along_axis(turns, order, axis=1)
    of_p = np.take_along_axis(np.hstack([p.known, np.zeros_like(q.known)]), order, axis=1)
    of_q = np.take_along_axis(np.hstack([np.zeros_like(p.known), q.known]), order, axis=1)
    zero = np.zeros((n, 1))
    before = [np.hstack([zero, np.cumsum(x, axis=1)]) for x in (of_p > 0.0, of_q)]
    after = [np.hstack([np.cumsum(x[:, ::-1], axis=1)[:, ::-1], zero]) for x in (of_p, of_q > 0.0)]
    base = p.most[:, np.newaxis] * before[0] - before[1]
    slope = after[0] + q.mass[:, np.newaxis] - q.most[:, np.newaxis] * after[1]
    ends = np.hstack([turns, np.full((n, 1), np.inf)])
    with np.errstate(all="ignore"):
        above = ~(base + slope * ends < p.mass[:, np.newaxis])
    above[:, -1] = True
    at = (np.arange(n), np.argmax(above, axis=1))
    with np.errstate(all="ignore"):
        ratio = (p.mass - base[at]) / slope[at]
        low = np.hstack([zero, turns])[at]
        ratio = np.where(np.isfinite(ratio), np.clip(ratio, low, ends[at]), low)
        s = 1.0 / ratio
    p4, q4 = (
        np.maximum(x.mass - _poured(x, level).sum(axis=1), 0.0) for x, level in ((p, ratio), (q, s))
    )
    exact = q4 * p.mass > p4 * q.mass  # the one of which less is lost by the difference
    return ratio, s, np.where(exact, ratio * q4, p4), np.where(exact, q4, s * p4)


def _capped(p: Open, q: Open, first: bool) -> Levels:
    """All that p (`first`), or q, can have where neither lists."""
    if not first:
        s, t, q4, p4 = _capped(q, p, True)
        return t, s, p4, q4
    s = _level(q, q.mass, p.room)
    return _level(p, p.mass - p.room), s, p.room, s * p.room


def _both_capped(p: Open, q: Open) -> Levels:
    return _level(p, p.mass - p.room), _level(q, q.mass - q.room), p.room, q.room


def farthest(pairs: Pairs) -> Filled:
    """The pair that is farthest: rests lie where the other row has nothing, or least."""
    filled = [_packed(x) for x in (pairs.of_p, pairs.of_q)]
    return Filled(filled[0][0], filled[1][0], filled[0][1], filled[1][1])


def _packed(x: Open) -> tuple[Floats, Floats]:
    """The rest where neither row lists, and what has no room there on the least of the others."""
    beside = np.minimum(x.mass, x.room)
    left = x.mass - beside
    left[left <= NOISE * x.mass] = 0.0
    width = x.known.shape[1]
    place = np.arange(width) - (width - x.number)[:, np.newaxis]
    found = np.clip(left[:, np.newaxis] - place * x.most[:, np.newaxis], 0.0, x.most[:, np.newaxis])
    return np.where(place >= 0.0, found, 0.0), beside
