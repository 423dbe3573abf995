"""A table of rows, kept from the question on that pays for it.

Contents
    KeptTable    the table, or none so far
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .._core import BackoffTable, TransitionCounts

# What it costs to make a table, in tokens that are scored without: one for so many bytes of counts,
# which are about 25 pairs, and one for so many entries of the row of the empty context.  (That is a
# quarter of the time: who asks for so much asks for more.)
# Below LEAST nobody waits for answers without one, which are the same to the last bit each time.
BYTES, ENTRIES, LEAST = 512, 64, 1 << 18
CALL = 128  # a question without a table, before its first token
MOST_TOKENS = 1 << 22  # a table has a row of the whole vocabulary


class KeptTable:
    """The table of counts that never change.

    A table costs memory of the order of the counts', and time: it is made when the questions so far
    have cost as much without.  Its answers differ in rounding.  Two threads may both make it;
    either is right.
    """

    def __init__(self, counts: Sequence[Any], n_tokens: int) -> None:
        self.table: BackoffTable | None = None  # what was made so far
        self._asked = 0
        able = n_tokens <= MOST_TOKENS and all(type(each) is TransitionCounts for each in counts)
        cost = sum(each.nbytes for each in counts) / BYTES + n_tokens / ENTRIES
        self._cost = max(cost, LEAST) if able else math.inf

    def after(self, asked: int, make: Callable[[], BackoffTable]) -> BackoffTable | None:
        """The table for a question about so many tokens; None where it does not pay yet, or the
        counts, being none of texts, have no table."""
        if self.table is None and self._cost < math.inf:
            self._asked += asked + CALL
            if self._asked > self._cost:
                try:
                    self.table = make()
                except (ValueError, OverflowError, MemoryError):
                    self._cost = math.inf
        return self.table


def row_cost(n_tokens: int) -> int:
    """A whole row, in tokens."""
    return 1 + n_tokens // 128
