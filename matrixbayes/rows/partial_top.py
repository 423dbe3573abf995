"""Complete rows cut to their most probable tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._base.typing import Floats, Ids
from .partial_checks import LEAST

CELLS = 1 << 21  # numbers looked at together


def top_entries(
    log_probs: NDArray[np.floating], k: int, is_open: bool
) -> tuple[Ids, NDArray[np.floating], Ids, Floats, Floats]:
    """Columns, log-probabilities, starts, rest and cap of the `k` most probable tokens of each row;
    the last column of an open vocabulary is never one of them."""
    n, width = log_probs.shape
    k = min(k, width - is_open)
    columns, logs = np.zeros((n, k), np.int64), np.zeros((n, k), log_probs.dtype)
    rest = np.zeros(n)
    step = max(1, CELLS // width)
    for start in range(0, n, step):
        cut = slice(start, start + step)
        block = np.asarray(log_probs[cut])
        tokens = block[:, : width - is_open]
        found = np.sort(np.argpartition(-tokens, k - 1, axis=1)[:, :k], axis=1)
        columns[cut], logs[cut] = found, np.take_along_axis(tokens, found, axis=1)
        others = block.astype(np.float64)
        listed = logs[cut] >= LEAST
        at = np.nonzero(listed)
        others[at[0], found[at]] = -np.inf
        rest[cut] = _log_sum(others)
    listed = logs >= LEAST
    cap = np.where(listed, logs, 0.0).min(axis=1, initial=0.0).astype(np.float64)
    if is_open:
        cap = np.maximum(cap, log_probs[:, -1])
    starts = np.concatenate([[0], np.cumsum(listed.sum(axis=1))]).astype(np.int64)
    return columns[listed], logs[listed], starts, rest, np.minimum(cap, rest)


def _log_sum(logs: Floats) -> Floats:
    """The logarithm of each row's sum; the array is used up."""
    high = logs.max(axis=1)
    base = np.where(np.isfinite(high), high, 0.0)
    np.subtract(logs, base[:, np.newaxis], out=logs)
    with np.errstate(divide="ignore"):
        total: Floats = np.log(np.exp(logs, out=logs).sum(axis=1)) + base
    return total
