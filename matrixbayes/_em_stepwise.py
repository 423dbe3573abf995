"""Arithmetic of statistics for streams: stepwise EM."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._em_counts import CountStatistics

__all__ = ["blend", "permuted", "scaled", "step_size"]


def step_size(n_batches: int) -> float:
    """The weight of the next batch after `n_batches` others, (n + 2)^-0.6; all of the first.

    After Cappe & Moulines (2009): exponents above 0.5 and up to 1 converge, and smaller ones
    forget the start sooner.
    """
    return 1.0 if n_batches == 0 else (n_batches + 2.0) ** -0.6


def scaled(statistics: Any, factor: float) -> Any:
    """Statistics of rows whose weights are multiplied by a factor."""
    if isinstance(statistics, CountStatistics):
        return replace(
            statistics,
            weight=statistics.weight * factor,
            cells=statistics.cells * factor,
            log_likelihood=statistics.log_likelihood * factor,
        )
    return _core.SufficientStatistics(
        statistics.weight * factor,
        statistics.log_sums * factor,
        statistics.log_likelihood * factor,
        statistics.n_rows,
    )


def blend(running: Any, batch: Any, step: float) -> Any:
    """Statistics per unit of weight, moved a step towards those of a batch."""
    batch = scaled(batch, step / float(batch.weight.sum()))
    return batch if running is None else scaled(running, 1.0 - step) + batch


def permuted(statistics: Any, order: NDArray[np.intp]) -> Any:
    """Statistics with their components in another order."""
    if isinstance(statistics, CountStatistics):
        cells = statistics.cells.copy()
        cells[:, : len(order)] = cells[:, order]
        return replace(statistics, weight=statistics.weight[order], cells=cells)
    return _core.SufficientStatistics(
        statistics.weight[order],
        statistics.log_sums[order],
        statistics.log_likelihood,
        statistics.n_rows,
    )
