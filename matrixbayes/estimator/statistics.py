"""What an M-step needs to know of rows, and its arithmetic: sums, steps of a stream, orders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._base import display
from .._base.typing import Floats
from ..mixture import DirichletMixture
from .partial.statistics import PartialStatistics

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class CountStatistics(display.Shown):
    """What an M-step needs to know of any number of rows of counts; ``a + b`` merges.

    Attributes
    ----------
    weight : ndarray of shape (K,)
        Weight of the rows in each component.
    tokens, counts : ndarray of shape (C,)
        The cells that occur: a token with how often it was seen in a row; token V is the total.
        In the order of tokens, then of counts.
    cells : ndarray of shape (C, K or more)
        Weight of the rows with each cell, in each component; padded with zeros.
    log_likelihood : float
        Of the rows as sequences, in nats.
    n_rows : int
    row_sum : ndarray of shape (V,) or None
        At a resolution: the weighted sum of the rows from which these were drawn; there is a cell
        then for one of each token and a total of one, with no weight where it did not occur.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> fitted = mb.DirichletMixtureEstimator(1, kind="counts").fit([[3, 1], [0, 2], [1, 4]])
    >>> found = fitted.summarize([[1, 0]]) + fitted.summarize([[2, 1]])
    >>> found.tokens, found.counts
    (array([0, 0, 1, 2, 2], dtype=uint32), array([1., 2., 1., 1., 3.]))
    """

    weight: Floats
    tokens: NDArray[np.uint32]
    counts: Floats
    cells: Floats
    log_likelihood: float
    n_rows: int
    row_sum: Floats | None = None

    def __radd__(self, other: object) -> CountStatistics:
        # sum() begins with 0
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __add__(self, other: object) -> CountStatistics:
        if not isinstance(other, CountStatistics):
            return NotImplemented
        if self.weight.shape != other.weight.shape:
            raise ValueError(
                f"statistics of {len(self.weight)} and {len(other.weight)} components do not add"
            )
        row_sum, others = self.row_sum, other.row_sum
        if (row_sum is None) != (others is None):
            raise ValueError("statistics of rows at a resolution and of counts do not add")
        tokens, counts, cells = self.tokens, self.counts, self.cells
        same = tokens is other.tokens or (
            np.array_equal(tokens, other.tokens) and np.array_equal(counts, other.counts)
        )
        if same:
            cells = cells + other.cells
        else:
            tokens = np.concatenate([tokens, other.tokens])
            counts = np.concatenate([counts, other.counts])
            order = np.lexsort((counts, tokens))
            tokens, counts = tokens[order], counts[order]
            first = np.ones(len(order), dtype=bool)
            first[1:] = (tokens[1:] != tokens[:-1]) | (counts[1:] != counts[:-1])
            merged = np.zeros((int(first.sum()), cells.shape[1]))
            np.add.at(merged, np.cumsum(first) - 1, np.concatenate([cells, other.cells])[order])
            tokens, counts, cells = tokens[first], counts[first], merged
        return CountStatistics(
            self.weight + other.weight,
            tokens,
            counts,
            cells,
            self.log_likelihood + other.log_likelihood,
            self.n_rows + other.n_rows,
            None if row_sum is None or others is None else row_sum + others,
        )

    def to_pandas(self) -> pd.DataFrame:
        """A row for each component: its ``weight``.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame({"weight": self.weight})

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The weight of each component."""
        from .plots import component_totals  # needs matplotlib

        return component_totals(self, ax=ax)

    def _table(self) -> display.Table:
        likelihood = display.number(float(self.log_likelihood))
        title = f"CountStatistics of {self.n_rows} rows, log-likelihood {likelihood} nats"
        lines = [[k, float(weight)] for k, weight in enumerate(self.weight)]
        return display.Table(title, ["component", "weight"], lines)


Statistics = _core.SufficientStatistics | CountStatistics | PartialStatistics


def row_sum_of(statistics: Statistics) -> Floats | None:
    """The weighted sum of the rows of statistics that know it."""
    return statistics.row_sum if isinstance(statistics, CountStatistics) else None


def step_size(n_batches: int) -> float:
    """The weight of the next batch after `n_batches` others, (n + 2)^-0.6; all of the first.

    After Cappe & Moulines (2009): exponents above 0.5 and up to 1 converge, and smaller ones
    forget the start sooner.
    """
    return 1.0 if n_batches == 0 else (n_batches + 2.0) ** -0.6


def scaled(statistics: Statistics, factor: float) -> Statistics:
    """Statistics of rows whose weights are multiplied by a factor."""
    if isinstance(statistics, PartialStatistics):
        return statistics.scaled(factor)
    if isinstance(statistics, CountStatistics):
        return replace(
            statistics,
            weight=statistics.weight * factor,
            cells=statistics.cells * factor,
            log_likelihood=statistics.log_likelihood * factor,
            row_sum=None if statistics.row_sum is None else statistics.row_sum * factor,
        )
    return _core.SufficientStatistics(
        statistics.weight * factor,
        statistics.log_sums * factor,
        statistics.log_likelihood * factor,
        statistics.n_rows,
    )


def blend(running: Statistics | None, batch: Statistics, step: float) -> Statistics:
    """Statistics per unit of weight, moved a step towards those of a batch."""
    batch = scaled(batch, step / float(batch.weight.sum()))
    return batch if running is None else scaled(running, 1.0 - step) + batch


def permuted(statistics: Statistics, order: NDArray[np.intp]) -> Statistics:
    """Statistics with their components in another order."""
    if isinstance(statistics, PartialStatistics):
        return statistics.permuted(order)
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


def of_same_rows(statistics: Statistics, mixture: DirichletMixture) -> Statistics:
    """Statistics of one component with the likelihood of another alpha; of complete rows."""
    assert not isinstance(statistics, PartialStatistics)
    alpha, total = mixture.alpha[0], mixture.concentration[0]
    if isinstance(statistics, CountStatistics):
        s = statistics
        is_total = s.tokens == mixture.n_tokens
        a = np.append(alpha, total)[s.tokens]
        terms = s.cells[:, 0] * _core.lgamma_difference(a, s.counts)
        log_likelihood = float(terms[~is_total].sum() - terms[is_total].sum())
        return replace(s, log_likelihood=log_likelihood)
    constant = float(_core.lgamma(total)) - float(_core.lgamma(alpha).sum())
    weight, log_sums = statistics.weight, statistics.log_sums
    log_likelihood = float(weight[0]) * constant + float(((alpha - 1.0) * log_sums[0]).sum())
    return _core.SufficientStatistics(weight, log_sums, log_likelihood, statistics.n_rows)
