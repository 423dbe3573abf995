"""Next-token rows: how they come in, what they hold, how far they are from each other."""

from .kl import divergences
from .rows import NextTokenRows, as_log_probs

__all__ = [
    "NextTokenRows",
    "as_log_probs",
    "divergences",
]
