"""Next-token rows: how they come in, what they hold, how far they are from each other.

Contents
    NextTokenRows    rows, their tokens, contexts and hidden states, never changed
    PartialRows      rows known in part: some tokens of each, and the mass of the rest
    BoundedRows      rows over answers whose probabilities are known between bounds
    as_log_probs     arrays of any kind as log-probabilities
    divergences      KL of rows, in nats
"""

from .bounded import BoundedRows
from .kl import divergences
from .partial import PartialRow, PartialRows
from .rows import NextTokenRows, as_log_probs

__all__ = [
    "BoundedRows",
    "NextTokenRows",
    "PartialRow",
    "PartialRows",
    "as_log_probs",
    "divergences",
]
