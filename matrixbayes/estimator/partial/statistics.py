"""What an M-step needs to know of rows known in part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ... import _core
from ..._base import display
from ..._base.arguments import instance
from ..._base.numbers import wholes
from ..._base.typing import Floats

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class PartialStatistics(display.Shown):
    """What an M-step needs to know of any number of rows known in part; ``a + b`` merges, and
    takes statistics of complete rows too.

    Attributes
    ----------
    weight : ndarray of shape (K,)
        Weight of the rows in each component.
    listed : ndarray of shape (V, K)
        The same of the rows that list a token.
    single, slope : ndarray of shape (V, K)
        What stands before ln alpha, and before alpha, in the bound that the M-step raises: model.md
        section 4d.  They hold the alpha of the E-step.
    log_likelihood : float
        Of the rows, lumped as each of them is, in nats.
    n_rows : int

    Examples
    --------
    >>> import numpy as np
    >>> import matrixbayes as mb
    >>> rows = mb.DirichletMixture([1.0], [[4.0, 2.0, 1.0, 1.0]]).sample(9, rng=0)
    >>> some = mb.PartialRows.from_rows(mb.NextTokenRows(np.log(rows)), 2)
    >>> fitted = mb.DirichletMixtureEstimator(1, max_iter=1000).fit(some)
    >>> (fitted.summarize(some) + fitted.summarize(some)).weight
    array([18.])
    """

    weight: Floats
    listed: Floats
    single: Floats
    slope: Floats
    log_likelihood: float
    n_rows: int

    @classmethod
    def of_complete(cls, statistics: _core.SufficientStatistics) -> PartialStatistics:
        """Those of complete rows, each of which lists all tokens."""
        instance(statistics, _core.SufficientStatistics, "statistics")
        log_sums = np.ascontiguousarray(statistics.log_sums.T)
        listed = np.repeat(statistics.weight[np.newaxis], len(log_sums), axis=0)
        return cls(
            statistics.weight,
            listed,
            np.zeros_like(log_sums),
            log_sums,
            statistics.log_likelihood,
            statistics.n_rows,
        )

    def __radd__(self, other: object) -> PartialStatistics:
        # sum() begins with 0
        return self if isinstance(other, int) and other == 0 else self + other

    def __add__(self, other: object) -> PartialStatistics:
        if isinstance(other, _core.SufficientStatistics):
            other = self.of_complete(other)
        if not isinstance(other, PartialStatistics):
            return NotImplemented
        if self.listed.shape != other.listed.shape:
            raise ValueError(
                f"statistics of shapes {self.listed.shape} and {other.listed.shape} do not add"
            )
        return PartialStatistics(
            self.weight + other.weight,
            self.listed + other.listed,
            self.single + other.single,
            self.slope + other.slope,
            self.log_likelihood + other.log_likelihood,
            self.n_rows + other.n_rows,
        )

    def scaled(self, factor: float) -> PartialStatistics:
        """Statistics of rows whose weights are multiplied by a factor."""
        return PartialStatistics(
            self.weight * factor,
            self.listed * factor,
            self.single * factor,
            self.slope * factor,
            self.log_likelihood * factor,
            self.n_rows,
        )

    def permuted(self, order: NDArray[np.intp]) -> PartialStatistics:
        """Statistics with their components in another order."""
        order = wholes(order, "order")
        if not np.array_equal(np.sort(order, axis=None), np.arange(len(self.weight))):
            raise ValueError(f"order must have each of 0 to {len(self.weight) - 1} once")
        order = order.ravel()
        return PartialStatistics(
            self.weight[order],
            self.listed[:, order],
            self.single[:, order],
            self.slope[:, order],
            self.log_likelihood,
            self.n_rows,
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
        from ..plots import component_totals  # needs matplotlib

        return component_totals(self, ax=ax)

    def _table(self) -> display.Table:
        likelihood = display.number(float(self.log_likelihood))
        title = f"PartialStatistics of {self.n_rows} rows, log-likelihood {likelihood} nats"
        lines = [[k, float(weight)] for k, weight in enumerate(self.weight)]
        return display.Table(title, ["component", "weight"], lines)
