"""Comparisons of rows that are known in part.

Contents
    ComparisonBounds    how far rows are from others, between bounds
    bounds_of           from two sides
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..._base import display
from ..._base.typing import Floats, Ids
from ..._base.weights import weighted_mean
from ...rows import NextTokenRows, PartialRow, PartialRows
from .sides import Sides

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class ComparisonBounds(display.Shown):
    """How far rows are from others where some are known in part; made by `compare`.

    Attributes
    ----------
    contexts : tuple of ndarray
        What the n rows come after, where it is known.
    kl, reverse_kl : ndarray of shape (n, 2)
        Sharp bounds of KL(first || second) and KL(second || first) in nats; an upper one is
        infinite where the other side may rule out what this one may hold.
    total_variation, hellinger : ndarray of shape (n, 2)
        Bounds of distances from 0 to 1.
    top_agrees : ndarray of shape (n,)
        1 where some token is the most probable one of both, 0 where none is, NaN where it is not
        known.
    weights : ndarray of shape (n,)
        Of the rows in means; they sum to 1.
    tokens : tuple of str or None
    names : tuple of str
        What the two sides are.

    Examples
    --------
    >>> import numpy as np
    >>> import matrixbayes as mb
    >>> rows = mb.NextTokenRows(np.log([[0.5, 0.3, 0.1, 0.1]]))
    >>> found = mb.compare(mb.PartialRows.from_rows(rows, 2), [[0.25] * 4], kind="probs")
    >>> found.kl.round(4), found.agreement
    (array([[0.218 , 0.3566]]), (1.0, 1.0))
    """

    contexts: tuple[Ids, ...]
    kl: Floats
    reverse_kl: Floats
    total_variation: Floats
    hellinger: Floats
    top_agrees: Floats
    weights: Floats
    tokens: tuple[str, ...] | None
    names: tuple[str, str]

    def __len__(self) -> int:
        return len(self.kl)

    @property
    def agreement(self) -> tuple[float, float]:
        """Bounds of the share of rows, by weight, whose most probable token is the same."""
        least, most = (np.nan_to_num(self.top_agrees, nan=unknown) for unknown in (0.0, 1.0))
        return float(self.weights @ least), float(self.weights @ most)

    def worst(self, n: int = 10) -> NDArray[np.intp]:
        """The numbers of the rows with the largest KL(first || second) at least, the worst
        first."""
        there = np.flatnonzero(self.weights)
        return there[np.argsort(-self.kl[there, 0], kind="stable")[:n]]

    def to_pandas(self) -> pd.DataFrame:
        """A row for each row compared: bounds of KL in nats and of distances, agreement, weight.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        columns: dict[str, Any] = {}
        for name in ("kl", "reverse_kl", "total_variation", "hellinger"):
            columns[f"{name}_low"], columns[f"{name}_high"] = getattr(self, name).T
        return display.frame({**columns, "top_agrees": self.top_agrees, "weight": self.weights})

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """How many rows are how far apart at least, and at most."""
        from ..plots import comparison_bounds  # needs matplotlib

        return comparison_bounds(self, ax=ax)

    def _table(self) -> display.Table:
        n, (first, second) = len(self), self.names
        title = f"Comparison of {n} row{'' if n == 1 else 's'} that are known in part, by bounds"
        lines = []
        for name, values in (
            (f"KL({first} || {second}), bits", self.kl / np.log(2.0)),
            (f"KL({second} || {first}), bits", self.reverse_kl / np.log(2.0)),
            ("total variation", self.total_variation),
            ("Hellinger", self.hellinger),
        ):
            means = [weighted_mean(bound, self.weights) for bound in values.T]
            lines.append([name, *means, float(values[self.weights > 0.0, 0].max())])
        least, most = map(display.percent, self.agreement)
        words = [f"most probable token the same: {least} to {most} of rows"]
        columns = ["mean of", "lower bounds", "upper bounds", "largest lower bound"]
        return display.Table(title, columns, lines, words=words)


def bounds_of(sides: Sides, shares: Floats, cuts: Sequence[slice]) -> ComparisonBounds:
    """The bounds of rows, block by block."""
    found = np.zeros((4, sides.n, 2))
    agrees = np.zeros(sides.n)
    for cut in cuts:
        first, second = sides.first.part(cut), sides.second.part(cut)
        one, other, turned = first, second, False
        if not isinstance(one, PartialRows):
            one, other, turned = second, first, True
        assert isinstance(one, PartialRows)
        found[0, cut] = one.kl(other, reverse=turned)
        found[1, cut] = one.kl(other, reverse=not turned)
        found[2, cut] = one.total_variation(other)
        found[3, cut] = one.hellinger(other)
        agrees[cut] = _agreement(first, second)
    return ComparisonBounds(
        contexts=sides.contexts,
        kl=found[0],
        reverse_kl=found[1],
        total_variation=found[2],
        hellinger=found[3],
        top_agrees=agrees,
        weights=shares,
        tokens=sides.tokens,
        names=sides.names,
    )


def _agreement(rows: PartialRows | NextTokenRows, others: PartialRows | NextTokenRows) -> Floats:
    """Whether each row has a most probable token that is the other's: 1, 0, or NaN."""
    found = np.full(len(rows), np.nan)
    for i, (one, other) in enumerate(zip(_tops(rows), _tops(others), strict=True)):
        if one is None or other is None:
            continue
        (mine, all_mine), (theirs, all_theirs) = one, other
        if not mine.isdisjoint(theirs):
            found[i] = 1.0
        elif all_mine and all_theirs:
            found[i] = 0.0
    return found


def _tops(rows: PartialRows | NextTokenRows) -> Iterator[tuple[set[Any], bool] | None]:
    """The most probable tokens of each row, and whether these are all; None where they are not
    known."""
    for row in rows:
        if isinstance(row, PartialRow):
            logs, columns, cap = row.log_probs, row.columns, row.cap
        else:
            logs, columns, cap = row, np.arange(len(row)), -np.inf
        most = logs.max(initial=-np.inf)
        if most < cap or most == -np.inf:
            yield None
            continue
        top = columns[logs == most].tolist()
        yield {j if rows.tokens is None else rows.tokens[j] for j in top}, bool(most > cap)
