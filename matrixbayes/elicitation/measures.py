"""How well a family of priors explains predictions: the measures of a report.

Contents
    Rows                             what they are taken of
    scores                           all of them
    KLByLength, ElicitationPoints    those that are more than a number
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base.typing import Floats, Ids
from .baselines import Baselines, clustered_error, error_within
from .histories import Histories
from .objective import Objective
from .parameters import Parameters

POINTS = 4000  # predictions that a report keeps, at most


class KLByLength(NamedTuple):
    """Mean KL(model || predictive) in nats for each length of history, shortest first."""

    length: Floats
    n_rows: NDArray[np.int64]
    mean_kl: Floats


class ElicitationPoints(NamedTuple):
    """Single probabilities, of the model and of the predictive, chosen at random, the same always.

    `last` is the last token of the history: -1 where it is empty, or known by its counts alone.
    """

    observed: Floats
    predicted: Floats
    token: Ids
    length: Floats
    last: Ids


class Rows(NamedTuple):
    """What is known of the rows, whatever the family: (N,) each.

    `outer` is each row's group, `inner` the group within it where there are two levels.
    """

    histories: Histories
    shares: Floats
    outer: Ids
    inner: Ids | None
    known: Baselines


def scores(objective: Objective, parameters: Parameters, data: Rows) -> dict[str, Any]:
    """The measures of fit of an `ElicitationReport`."""
    shares = data.shares
    n_rows, width = objective.log_probs.shape
    centre = objective.mass.sum(axis=0)
    many = n_rows * width
    # at random: an even step would pick the same few tokens of every row where it is whole rows
    chosen = np.random.default_rng(0).choice(many, min(many, POINTS), replace=False)
    chosen.sort()
    kl, points = np.empty(n_rows), []
    residual = spread = absolute = 0.0
    for rows, q, p, divergence in objective.predictions(parameters):
        kl[rows] = divergence
        share = shares[rows]
        residual += float(share @ np.sum((q - p) ** 2, axis=1))
        spread += float(share @ np.sum((q - centre) ** 2, axis=1))
        absolute += float(share @ np.mean(np.abs(q - p), axis=1))
        first, last = np.searchsorted(chosen, [rows.start * width, rows.stop * width])
        here = chosen[first:last] - rows.start * width
        points.append(np.stack([q.ravel()[here], p.ravel()[here]]))
    r2 = 1.0 - residual / spread if spread > 1e-24 else float(residual <= 1e-12)
    observed, predicted = np.concatenate(points, axis=1)
    lengths = data.histories.lengths
    within = np.nan if data.inner is None else error_within(kl, shares, data.outer, data.inner)
    return {
        "mean_kl": max(float(shares @ kl), 0.0),
        "kl_error": clustered_error(kl, shares, data.outer),
        "kl_error_within": within,
        "baseline_kl": data.known.constant.kl,
        "floor": data.known.floor,
        "r2": r2,
        "mae": absolute,
        "kl_by_length": _by_length(lengths, kl, shares),
        "points": ElicitationPoints(
            observed,
            predicted,
            chosen % width,
            lengths[chosen // width],
            _last_tokens(data.histories)[chosen // width],
        ),
    }


def _last_tokens(histories: Histories) -> Ids:
    """The last token of each history, or -1."""
    last = np.full(histories.n, -1)
    if histories.tokens is not None and histories.offsets is not None:
        some = np.diff(histories.offsets) > 0
        last[some] = histories.tokens[histories.offsets[1:][some] - 1]
    return last


def _by_length(totals: Floats, kl: Floats, shares: Floats) -> KLByLength:
    """Weighted mean KL of the rows of each length; lengths whose rows all weigh 0 are left out."""
    length, group, n_rows = np.unique(np.floor(totals), return_inverse=True, return_counts=True)
    weight = np.bincount(group, shares)
    known = weight > 0.0
    mean = np.bincount(group, shares * kl)[known] / weight[known]
    return KLByLength(length[known], n_rows[known], np.maximum(mean, 0.0))
