"""Numbers of rows in nats: their entropy, and how far others are from them.

Contents
    divergences    Kullback-Leibler divergences, from logarithms
    kl_nats        the same, where the probabilities are there too
    entropy_nats   entropies
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._base.typing import Floats


def divergences(log_p: NDArray[np.floating], log_q: NDArray[np.floating]) -> Floats:
    """KL(p || q) in nats along the last axis.

    Not below 0, though rows sum to 1 to rounding only: what p and q miss of it is counted.

    Examples
    --------
    >>> divergences(np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])).round(4)
    array([0.1438])
    """
    p, q = (np.exp(rows, dtype=np.float64) for rows in (log_p, log_q))
    return kl_nats(p, log_p, q, log_q)


def kl_nats(
    p: Floats, log_p: NDArray[np.floating], q: Floats, log_q: NDArray[np.floating]
) -> Floats:
    """`divergences` of probabilities and their logarithms."""
    with np.errstate(invalid="ignore"):
        # in double precision: float32 would leave 1e-7 of it
        gaps = np.subtract(log_p, log_q, dtype=np.float64)
        terms = np.where(p > 0.0, p * gaps, 0.0)
    found: Floats = np.maximum(np.sum(terms - p + q, axis=-1), 0.0)
    return found


def entropy_nats(p: Floats, log_p: NDArray[np.floating]) -> Floats:
    """The entropy of each row, along the last axis."""
    with np.errstate(invalid="ignore"):
        found: Floats = np.maximum(-np.where(p > 0.0, p * log_p, 0.0).sum(axis=-1), 0.0)
    return found
