"""What a source says after histories, and how its parameters are laid out.

Contents
    Entries   tokens that are asked about one by one after each history
    Seen      predictions after histories, or slopes by them
    Source    what every source answers
    Field     numbers that a source is made of, as a search moves them
    block_size, block_limits, unpack, pack   of several fields in one vector
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from .._base.typing import Floats, Ids


class Entries(NamedTuple):
    """Of history h the tokens columns[starts[h]:starts[h + 1]], rising."""

    starts: Ids
    columns: Ids

    @property
    def history(self) -> Ids:
        """The history of each."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


class Seen(NamedTuple):
    """What is predicted after H histories, with E entries; or slopes by all of it.

    Of token v after history h share[:, h] @ bases[:, v] + even[h]; at the entries what they say.

    Attributes
    ----------
    bases : ndarray of shape (J, V)
        J may be 0.
    share : ndarray of shape (J, H)
    even : ndarray of shape (H,)
    entries : ndarray of shape (E,)
    evidence : ndarray of shape (H,)
        Log-probability of each history.
    kept : object
        What the way back needs.
    """

    bases: Floats
    share: Floats
    even: Floats
    entries: Floats
    evidence: Floats
    kept: Any = None


class Source(Protocol):
    """What may have written histories, by a prior of its own."""

    def forward(self, prior: Any, rate: float) -> Seen:
        """Predictions and evidence of a prior; counts fade at a rate where they may."""

    def backward(self, seen: Seen, by: Seen) -> tuple[Floats, float]:
        """From slopes by predictions to those by the source's vector, and by the rate."""

    def rows_after(self, seen: Seen, history: int) -> tuple[Floats, Floats]:
        """The posterior of the next token's row: shares (C,) and alpha (C, V) of components."""


class Field(NamedTuple):
    """Positive numbers by their logarithms, or probabilities by their log-odds, with limits.

    Of a matrix the first `scale_free` rows (of a vector, it) are of keys that come once in a text:
    nothing is ever added to them, and all that they say is their mean.
    """

    name: str
    shape: tuple[int, ...]
    low: float
    high: float
    is_probability: bool = False
    scale_free: int = 0

    @property
    def size(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)


Numbers = Mapping[str, Any]  # of each field an array, or a float where its shape is ()


def block_size(fields: Sequence[Field]) -> int:
    """Numbers of some fields."""
    return sum(field.size for field in fields)


def block_limits(fields: Sequence[Field]) -> list[tuple[float, float]]:
    """The lowest and highest value of each number."""
    return [(field.low, field.high) for field in fields for _ in range(field.size)]


def unpack(fields: Sequence[Field], theta: Floats) -> dict[str, Any]:
    """The numbers of a vector."""
    found: dict[str, Any] = {}
    start = 0
    for field in fields:
        x = theta[start : start + field.size].reshape(field.shape)
        start += field.size
        value = 1.0 / (1.0 + np.exp(-x)) if field.is_probability else np.exp(x)
        found[field.name] = value if field.shape else float(value)
    return found


def pack(fields: Sequence[Field], numbers: Numbers) -> Floats:
    """The vector of some numbers, within the limits."""
    parts = []
    with np.errstate(divide="ignore"):
        for field in fields:
            x = np.asarray(numbers[field.name], dtype=np.float64)
            log = np.log(x) - np.log1p(-x) if field.is_probability else np.log(x)
            parts.append(np.clip(np.broadcast_to(log, field.shape), field.low, field.high).ravel())
    return np.concatenate(parts)
