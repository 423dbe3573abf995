"""Quantiles of something, in words and as a bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._base import display
from .._base.typing import Floats

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

QUANTILES = (0.1, 0.5, 0.9)


@display.shown
class Spread(NamedTuple):
    """The 10 %, 50 % and 90 % quantiles of something."""

    low: float
    median: float
    high: float

    def to_pandas(self) -> pd.DataFrame:
        """One row: ``low``, ``median``, ``high``.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame(self._asdict())

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The median, and the range between the others."""
        from .result_plots import spread  # needs matplotlib

        return spread(self, ax=ax)

    def _table(self) -> display.Table:
        return display.Table("Spread", ["10 %", "50 %", "90 %"], [[*self]])

    def __str__(self) -> str:
        low, median, high = display.numbers([*map(float, self)])
        return f"{median} ({low} to {high})"


def spread(values: Floats, weights: Floats | None = None) -> Spread:
    """Quantiles of values by weight."""
    order = np.argsort(values, kind="stable")
    w = np.ones(len(values)) if weights is None else weights[order]
    at = (np.cumsum(w) - 0.5 * w) / w.sum()
    return Spread(*(float(q) for q in np.interp(QUANTILES, at, values[order])))
