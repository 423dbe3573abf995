"""A source that balances: it prefers tokens that have not come for long.

P(v) is proportional to exp(-strength c_v), where a token makes c of its own memory c + 1 and of
others memory c: a bet on the other side after one flip of a coin.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .._base.typing import Floats
from .seen import Entries, Field, Numbers, Seen
from .texts import Texts

RANGE = (-8.0, 8.0)
SURE = 1e6  # the concentration of a row that is known

FIELDS = (Field("strength", (), *RANGE), Field("memory", (), *RANGE, is_probability=True))
START: dict[str, Any] = {"strength": 1.0, "memory": 1.0 / (1.0 + np.exp(-1.0))}


class BalanceSource:
    """A balancing source after the histories of some texts.

    Parameters
    ----------
    texts : Texts
    entries : Entries
        All tokens of each history are among them.
    """

    def __init__(self, texts: Texts, entries: Entries) -> None:
        n_slots = int(texts.slots.max(initial=-1)) + 1
        self.n_tokens, self.entries = texts.n_tokens, entries
        self._texts = (texts.n_tokens, n_slots, texts.queries, entries.starts, texts.slots)
        self._slots = texts.slots_of(entries)

    def forward(self, numbers: Numbers, rate: float) -> Seen:
        """The predictions of `FIELDS`; it has a memory of its own, and nothing else fades."""
        strength, memory = float(numbers["strength"]), float(numbers["memory"])
        found = _core.balance_predictions(strength, memory, *self._texts, self._slots)
        evidence, even, entries = found
        nothing = np.empty((0, self.n_tokens)), np.empty((0, len(even[0])))
        slopes = (*found, (strength, memory * (1.0 - memory)))
        return Seen(*nothing, even[0], entries[0], evidence[0], slopes)

    def backward(self, seen: Seen, by: Seen) -> tuple[Floats, float]:
        """Slopes by the vector of `FIELDS`."""
        evidence, even, entries, by_theta = seen.kept
        gradient = evidence[1:] @ by.evidence + even[1:] @ by.even + entries[1:] @ by.entries
        return gradient * by_theta, 0.0

    def rows_after(self, seen: Seen, history: int) -> tuple[Floats, Floats]:
        """The next token's row, which is known: a Dirichlet of very high concentration."""
        row = np.full(self.n_tokens, seen.even[history])
        own = slice(self.entries.starts[history], self.entries.starts[history + 1])
        row[self.entries.columns[own]] = seen.entries[own]
        return np.ones(1), np.maximum(SURE * row, 1e-8)[np.newaxis]
