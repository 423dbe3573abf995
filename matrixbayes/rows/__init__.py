"""Next-token rows: how they come in, what they hold, how far they are from each other.

Contents
    NextTokenRows    rows, their tokens, contexts and hidden states, never changed
    as_log_probs     arrays of any kind as log-probabilities
    divergences      KL of rows, in nats
"""

from .kl import divergences
from .rows import NextTokenRows, as_log_probs

__all__ = [
    "NextTokenRows",
    "as_log_probs",
    "divergences",
]
