"""Chains whose keys have priors of their own, tied or not.

P(v | key) = (alpha_v + n_v) / (A + N), with n what came after the key, and the key the last tokens,
or all of them where there are fewer.  Alpha is

    "repeat"   alpha at the beginning; elsewhere `repeat` of the last token, `others` in all of the
               others
    "last"     alpha of the last token's row; one more row, the first, for the beginning
    "full"     alpha of each key's row, in the order of `keys_of`
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import _core
from .._base.arguments import shown
from .._base.typing import Floats, Ids
from .row_priors import entry_places
from .rows import Visited, n_keys, row_sums, summed
from .seen import Entries, Field, Numbers, Seen

LOG_RANGE = (float(np.log(1e-8)), float(np.log(1e8)))
MOST_NUMBERS = 1 << 18


def tied_fields(tie: str, order: int, n_tokens: int) -> tuple[Field, ...]:
    """What a chain is made of.

    Raises
    ------
    ValueError
        There are too many keys, or one token.
    """
    if tie == "repeat":
        if n_tokens < 2:
            raise ValueError("tie='repeat' needs two tokens or more: there are no others")
        return (
            Field("alpha", (n_tokens,), *LOG_RANGE, scale_free=1),
            Field("repeat", (), *LOG_RANGE),
            Field("others", (), *LOG_RANGE),
        )
    keys = n_keys(n_tokens, key_order(tie, order))
    if keys * n_tokens > MOST_NUMBERS:
        raise ValueError(
            f"tie={shown(tie)} has an alpha for each of {n_tokens} tokens after each of {keys} "
            "keys, "
            f"{keys * n_tokens} in all; at most {MOST_NUMBERS} are fitted: use tie='repeat' or "
            "'shared', or lump tokens into groups"
        )
    beginnings = n_keys(n_tokens, order - 1) if tie == "full" else 1
    return (Field("alpha", (keys, n_tokens), *LOG_RANGE, scale_free=beginnings),)


def key_order(tie: str, order: int) -> int:
    """How many tokens tell priors apart."""
    return order if tie == "full" else 1


class _State(NamedTuple):
    numbers: Floats  # (P,), all alphas in a row
    totals: Floats  # (C,), of alpha, by class
    counts: Floats  # of entries of rows
    slope: Floats  # of counts, by the rate of fading
    visits: Floats  # (U,), of each row
    factors: Floats  # (U,), 1 / (A + N)


class TiedSource:
    """Each token comes from the row of a key, whose Dirichlet is the key's.

    A row's alpha of a token is a number of the vector of all alphas; for "repeat" `others`, shared
    out, is one of them.

    Parameters
    ----------
    tie : {"repeat", "last", "full"}
    visited : Visited
        Told apart by `key_order` tokens.
    n_tokens : int
    discount : float or None
        None where it is a parameter of each call.
    entries : Entries
    """

    def __init__(
        self,
        tie: str,
        visited: Visited,
        n_tokens: int,
        discount: float | None,
        entries: Entries,
    ) -> None:
        assert visited.key is not None
        self.tie, self.visited, self.entries, self.n_tokens = tie, visited, entries, n_tokens
        rows = visited.rows
        self.fading = discount is None
        if discount is not None and discount < 1.0:
            rows = rows._replace(counts=rows.faded(-np.log(discount))[0])
        self.rows, self._row = rows, rows.row
        key = visited.key
        self._number = self._numbers(key[self._row], rows.columns)
        self._history = entries.history
        active = key[visited.active]
        self._entry_number = self._numbers(active[self._history], entries.columns)
        self._class = np.minimum(key, 1) if tie == "repeat" else key
        self.place = entry_places(visited, n_tokens, entries)
        self._visits = visited.evidence.T.tocsr()
        self._begins = active == 0

    def _numbers(self, key: Ids, columns: Ids) -> Ids:
        """The number of the alpha of each token in the row of a key."""
        if self.tie != "repeat":
            return key * self.n_tokens + columns
        later = self.n_tokens + (columns != key - 1)  # `keys_of` of one token
        return np.where(key == 0, columns, later)

    def _alpha(self, numbers: Numbers) -> tuple[Floats, Floats]:
        """All alphas in a row, and their sums in the row of each class."""
        alpha = np.asarray(numbers["alpha"])
        if self.tie != "repeat":
            return alpha.ravel(), alpha.sum(axis=1)
        repeat, others = numbers["repeat"], numbers["others"]
        each = others / (self.n_tokens - 1)
        return np.append(alpha, [repeat, each]), np.array([alpha.sum(), repeat + others])

    def forward(self, numbers: Numbers, rate: float) -> Seen:
        """The predictions of some alphas."""
        counts, slope = self.rows.counts, np.zeros(0)
        if self.fading:
            counts, slope = self.rows.faded(rate)
        a, totals = self._alpha(numbers)
        visits = summed(self._row, counts, self.rows.n)
        total = totals[self._class]
        evidence = row_sums(self.rows.starts, _core.lgamma_difference(a[self._number], counts))
        evidence -= _core.lgamma_difference(total, visits)
        factors = 1.0 / (total + visits)
        own = factors[self.visited.active]
        held = np.append(counts, 0.0)[self.place]
        entries = own[self._history] * (a[self._entry_number] + held)
        bases, share, even = (
            np.empty((0, self.n_tokens)),
            np.empty((0, len(own))),
            np.zeros(len(own)),
        )
        if self.tie == "repeat":
            bases, share = a[np.newaxis, : self.n_tokens], np.where(self._begins, own, 0.0)[None]
            even = np.where(self._begins, 0.0, own * a[-1])
        state = _State(a, totals, counts, slope, visits, factors)
        return Seen(bases, share, even, entries, self.visited.evidence @ evidence, state)

    def backward(self, seen: Seen, by: Seen) -> tuple[Floats, float]:
        """Slopes by logarithms of alphas, and by the rate of fading."""
        state: _State = seen.kept
        a, n, active = state.numbers, self.rows.n, self.visited.active
        own = state.factors[active]
        held = np.append(state.counts, 0.0)[self.place]
        by_own = row_sums(self.entries.starts, by.entries * (a[self._entry_number] + held))
        by_evidence = np.asarray(self._visits @ by.evidence)
        spread_evidence = by_evidence[self._row]
        at_entries = a[self._number]
        by_a = summed(self._entry_number, by.entries * own[self._history], len(a))
        digamma = _core.digamma_difference(at_entries, state.counts)
        by_a += summed(self._number, spread_evidence * digamma, len(a))
        if self.tie == "repeat":
            by_own += np.where(self._begins, by.share[0], by.even * a[-1])
            by_a[: self.n_tokens] += by.bases[0]
            by_a[-1] += np.sum(np.where(self._begins, 0.0, by.even * own))
        total = state.totals[self._class]
        by_sum = -summed(active, by_own * own * own, n)  # by A + N of each row
        by_total = by_sum - by_evidence * _core.digamma_difference(total, state.visits)
        by_class = summed(self._class, by_total, len(state.totals))
        gradient = self._pull(a, by_a, by_class)
        if not self.fading:
            return gradient, 0.0
        by_counts = summed(self.place, by.entries * own[self._history], len(state.counts) + 1)[:-1]
        by_counts += spread_evidence * _core.digamma(at_entries + state.counts)
        by_visits = by_sum - by_evidence * _core.digamma(total + state.visits)
        return gradient, float((by_counts + by_visits[self._row]) @ state.slope)

    def _pull(self, a: Floats, by_a: Floats, by_class: Floats) -> Floats:
        """Slopes by logarithms of the fields, from those by all alphas and by their sums."""
        if self.tie != "repeat":
            return a * (by_a + np.repeat(by_class, self.n_tokens))
        by_a[:-2] += by_class[0]
        by_a[-2] += by_class[1]
        by_a[-1] += by_class[1] * (self.n_tokens - 1)
        return a * by_a

    def rows_after(self, seen: Seen, history: int) -> tuple[Floats, Floats]:
        """The next token's row after a history: one Dirichlet."""
        state: _State = seen.kept
        assert self.visited.key is not None
        row = self.visited.active[history]
        columns = np.arange(self.n_tokens)
        key = np.full(self.n_tokens, self.visited.key[row])
        alpha = state.numbers[self._numbers(key, columns)]
        own = slice(self.rows.starts[row], self.rows.starts[row + 1])
        alpha[self.rows.columns[own]] += state.counts[own]
        return np.ones(1), alpha[np.newaxis]


def tied_start(tie: str, alpha: Floats, fields: tuple[Field, ...]) -> dict[str, Any]:
    """Numbers to begin with: alpha of all rows alike, one of the last token and of all others."""
    if tie != "repeat":
        return {"alpha": np.broadcast_to(alpha, fields[0].shape)}
    return {"alpha": alpha, "repeat": 1.0, "others": 1.0}
