"""Adaptive evidence of a hierarchy: the chain rule, for all tokens of a text at once.

Each token is counted before the next is scored.  There is no closed form, for a row's mean moves
while its row is being filled.  What the chain rule asks at a token is how often its pair and its
context had been counted before: the initial count, and a running sum over the events of the same
group.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ._transition_backoff import BackoffRows
from ._transition_counts import distinct
from ._transition_prior import posterior_weights

__all__ = ["backoff_evidence"]

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]


def backoff_evidence(rows: BackoffRows, documents: Sequence[Ids]) -> float:
    """Log-evidence of documents that their begin tokens lead."""
    order = rows.levels.order
    texts = [sliding_window_view(each, order + 1) for each in documents if len(each) > order]
    if not texts:
        return 0.0
    windows = np.concatenate(texts)
    contexts, tokens = windows[:, :order], windows[:, order]
    event = np.ones(len(tokens), dtype=bool)  # whether this level counts the token
    steps: list[tuple[Any, ...]] = []
    for level in range(order, -1, -1):
        counts = rows.levels.counts[level]
        own, of = distinct(contexts[:, order - level :])
        pair = np.unique(of * (rows.levels.n_tokens + 1) + tokens, return_inverse=True)[1]
        initial = counts.counts(contexts[:, order - level :], tokens)
        seen = initial + _running(pair, event)
        totals = counts.totals(own)[of] + _running(of, event)
        steps.append((level, own, of, event, seen.astype(float), totals.astype(float)))
        event = event & (seen == 0)
    mean = np.zeros(0)  # the predictive of the level below
    for level, own, of, counted, seen, totals in reversed(steps):
        if level == 0:
            alpha, concentration = rows.prior.at(tokens), rows.prior.concentration
        else:
            concentration = rows.concentrations[level - 1].values
            alpha = concentration[:, np.newaxis] * mean
        probs = (alpha + seen) / (concentration[:, np.newaxis] + totals)  # (K, n)
        if len(concentration) == 1:
            mean = probs[0]
            continue
        evidence = np.stack([_running(of, np.where(counted, np.log(p), 0.0)) for p in probs], 1)
        r = posterior_weights(rows.weights(own)[of], evidence)[0]
        mean = np.sum(r.T * probs, axis=0)
    return float(np.log(mean).sum())


def _running(group: NDArray[np.intp], values: NDArray[Any]) -> NDArray[Any]:
    """The sum of the values before each place, within its group."""
    order = np.argsort(group, kind="stable")
    sorted_group = group[order]
    ordered = values[order]
    sums = np.cumsum(ordered) - ordered
    first = np.ones(len(group), dtype=bool)
    first[1:] = sorted_group[1:] != sorted_group[:-1]
    base = np.maximum.accumulate(np.where(first, np.arange(len(group)), 0))
    result = np.empty_like(sums)
    result[order] = sums - sums[base]
    return result
