"""Folds of rows and of weights, and scores of rows that were held out.

Contents
    held        how much of each row is in each fold
    held_out    the log-score of a row that a fit has not seen
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..._base.arguments import is_whole
from ..._base.typing import Floats, Ids
from ..._base.weights import merged
from ...errors import ConvergenceWarning
from ...rows import NextTokenRows, PartialRows
from ..estimator import DirichletMixtureEstimator

MOST_PIECES = 1 << 22  # that the weights of counts are dealt out in


def held(rows: Any, weights: Floats | None, n_folds: int) -> Floats:
    """How much of the weight of each row is in each fold: (folds, N).

    What is dealt out are different rows of probabilities with their weight together, or rows of
    counts in units of weight, and what is left of it.
    """
    w = np.ones(rows.shape[0]) if weights is None else weights
    if isinstance(rows, (NextTokenRows, PartialRows)):
        _, first, place = np.unique(alike(rows, w), return_index=True, return_inverse=True)
        row, piece, size = np.arange(len(w)), place.reshape(len(w)), w
        n_pieces, what = len(first), "different rows"
    else:
        unit = max(1.0, float(np.ceil(w.sum() / MOST_PIECES)))
        times = np.ceil(w / unit).astype(np.intp)
        row = np.repeat(np.arange(len(w)), times)
        size = np.full(len(row), unit)
        size[np.cumsum(times) - 1] = w - unit * (times - 1)
        n_pieces, what = len(row), "rows"
        piece = np.arange(n_pieces)
    if not is_whole(n_folds) or not 2 <= n_folds <= n_pieces:
        raise ValueError(f"n_folds is {n_folds}; it must be from 2 to the {n_pieces} {what}")
    order = np.random.default_rng(0).permutation(n_pieces)
    fold = np.empty(n_pieces, dtype=np.intp)
    for f, members in enumerate(np.array_split(order, n_folds)):
        fold[members] = f
    return np.stack(
        [np.bincount(row, np.where(fold[piece] == f, size, 0.0), len(w)) for f in range(n_folds)]
    )


def alike(rows: NextTokenRows | PartialRows, weights: Floats) -> Ids:
    """A number for each row, the same for equal ones."""
    if isinstance(rows, NextTokenRows):
        return merged(np.ascontiguousarray(rows.log_probs), weights)[2]
    numbers: dict[tuple[bytes, bytes, float], int] = {}
    found = [
        numbers.setdefault((row.columns.tobytes(), row.log_probs.tobytes(), row.rest), len(numbers))
        for row in rows
    ]
    return np.array(found)


def held_out(estimator: DirichletMixtureEstimator, rows: Any, held: Floats) -> tuple[float, float]:
    """Mean log-score of a row that was held out, and its standard error over the folds."""
    parameters = estimator.get_params()
    if isinstance(rows, NextTokenRows):
        rows, parameters["kind"] = rows.log_probs, "log_probs"
    estimator = DirichletMixtureEstimator(**parameters)
    n_folds = len(held)
    means = np.empty(n_folds)
    for f in range(n_folds):
        reasons = estimator._fit(
            rows, sample_weight=np.delete(held, f, axis=0).sum(axis=0), check=False
        )
        for reason in reasons:
            warnings.warn(reason, ConvergenceWarning, stacklevel=2)
        means[f] = estimator.score(rows, sample_weight=held[f])
    shares = held.sum(axis=1) / held.sum()
    mean = float(shares @ means)
    spread = (shares * (means - mean)) ** 2
    return mean, float(np.sqrt(spread.sum() * n_folds / (n_folds - 1)))
