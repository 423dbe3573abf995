"""Paths of a predictor, and what it says all along them.

Contents
    Paths           sampled continuations, and the predictive before and after each token
    continuations   what a predictor samples, checked
    drawn, walk     that after a history, and the predictive all along it
    along           the predictive along given tokens
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._base.arguments import whole
from .._base.asked import asked
from .._base.sequences import checked, checked_history
from .._base.typing import Floats, Ids
from .predictors import as_rows, at_hand, checked_predictor

LEAST_LENGTH = 4  # of continuations
STILL = 1e-6  # a predictive that moves by no more does not learn: float32 rounds so


@dataclass(frozen=True, eq=False)
class Paths:
    """Continuations (n, length), and the predictive before and after each token.

    `rows` are probabilities (n, length + 1, V): row t is what is said after t tokens, and those of
    `history`, which stand before all of them.
    """

    tokens: Ids
    rows: Floats
    history: tuple[int, ...] = ()

    def part(self, which: slice) -> Paths:
        """Some of them."""
        return Paths(self.tokens[which], self.rows[which], self.history)

    def some(
        self, rng: np.random.Generator, most: int, begin: int = 0
    ) -> tuple[list[list[int]], Floats]:
        """Up to `most` places, of tokens from `begin`: all that came before, and what is said."""
        n, places = self.rows.shape[:2]
        i, t = np.divmod(np.arange(n * places), places)
        i, t = i[t >= begin], t[t >= begin]
        some = rng.permutation(len(i))[:most]
        i, t = i[some], t[some]
        start = list(self.history)
        histories = [start + self.tokens[a, :b].tolist() for a, b in zip(i, t, strict=True)]
        return histories, self.rows[i, t]

    @property
    def still(self) -> bool:
        """Whether the predictive is the same everywhere."""
        return float(np.ptp(self.rows, axis=(0, 1)).max()) <= STILL


def drawn(
    predictor: Any, history: Any, n: int, length: int, rng: np.random.Generator
) -> tuple[Ids, Ids]:
    """A history, checked, and n of the predictor's continuations of it."""
    width = checked_predictor(predictor)
    n, length = whole(n, "n", 0), whole(length, "length", 0)
    if n < 2:
        raise ValueError(f"n is {n}; one continuation has no spread: take 20 or more")
    if length < LEAST_LENGTH:
        raise ValueError(
            f"length is {length}; a test needs continuations of {LEAST_LENGTH} tokens or more"
        )
    start = checked_history(history, width, "history")
    return start, continuations(predictor, start, n, length, rng)


def continuations(
    predictor: Any, history: Ids, n: int, length: int, rng: np.random.Generator
) -> Ids:
    """What a predictor samples, checked."""
    given = asked(f"{n} samples", predictor.sample, n, length, history=history.tolist(), rng=rng)
    found = at_hand(given, "the predictor's samples")
    tokens = checked(found, int(predictor.n_tokens), "the predictor's samples")
    if tokens.shape != (n, length):
        raise ValueError(
            f"the predictor sampled shape {tokens.shape}, and it must be {(n, length)}"
        )
    return tokens


def walk(predictor: Any, history: Any, n: int, length: int, rng: np.random.Generator) -> Paths:
    """Sample continuations of a history, and ask for the predictive all along them."""
    start, tokens = drawn(predictor, history, n, length, rng)
    return along(predictor, start, tokens)


def along(predictor: Any, start: Ids, tokens: Ids) -> Paths:
    """The predictive all along tokens (n, length) that come after some others."""
    n, length = tokens.shape
    whole = np.concatenate([np.tile(start, (n, 1)), tokens], axis=1)
    if callable(predictor):
        # a last token, whatever it is, so that there is a row after the one before
        longer = np.concatenate([whole, np.zeros((n, 1), dtype=np.int64)], axis=1)
        where = f"{n} sequences of {longer.shape[1]} tokens"
        found = at_hand(asked(where, predictor, longer), "what the predictor gave")
        wanted = *longer.shape, int(predictor.n_tokens)
        if tuple(found.shape) != wanted:
            raise ValueError(f"the predictor gave shape {tuple(found.shape)}; it must be {wanted}")
        found = found[:, len(start) :]
    else:
        places = range(len(start), len(start) + length + 1)
        histories = [row[:t].tolist() for row in whole for t in places]
        found = asked(f"{len(histories)} histories", predictor.predict, histories)
    rows = as_rows(found, (n, length + 1, int(predictor.n_tokens)), len(start))
    return Paths(tokens, rows, tuple(start.tolist()))
