"""Families of priors beside each other, by the predictions that they were not fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._base import display
from .._base.typing import Floats, Ids

if TYPE_CHECKING:
    from .report import ElicitationReport

ROUNDING = 1e-8  # nats that tell no family from another


@dataclass(frozen=True, eq=False, repr=False)
class FamilyComparison(display.Shown):
    """Families of priors by the KL of predictions that they were not fitted to.

    Attributes
    ----------
    families : tuple of str
    n_parameters : ndarray of int
    mean_kl : ndarray
        Of the fit to all histories, in nats.
    held_out_kl : ndarray
        Mean over the folds, each fitted to the others, in nats.
    standard_error : ndarray
        Of the difference to the lowest `held_out_kl`, over groups of histories.
    best : str
        The family of fewest parameters among those within one standard error of the lowest, or
        within 1e-8 nats, which is no more than a search may leave.
    n_folds : int
    reports : dict of str to ElicitationReport
        The fit of each family to all histories.

    See Also
    --------
    elicit_prior : makes one, with an example.
    """

    families: tuple[str, ...]
    n_parameters: NDArray[np.int64]
    mean_kl: Floats
    held_out_kl: Floats
    standard_error: Floats
    best: str
    n_folds: int
    reports: dict[str, ElicitationReport]

    @property
    def undecided(self) -> tuple[str, ...]:
        """The families that may be as good as `best`: as near to the lowest."""
        near = _nearest(self.held_out_kl, self.standard_error)
        return tuple(self.families[i] for i in near if self.families[i] != self.best)

    def _table(self) -> display.Table:
        columns = ["family", "parameters", "mean KL", "held out", "above the lowest", "std. error"]
        above = self.held_out_kl - self.held_out_kl.min()
        lines = [
            [name, int(n), float(kl), float(out), float(more), float(error)]
            for name, n, kl, out, more, error in zip(
                self.families,
                self.n_parameters,
                self.mean_kl,
                self.held_out_kl,
                above,
                self.standard_error,
                strict=True,
            )
        ]
        title = f"{self.n_folds}-fold cross-validation, in nats: {self.best!r}"
        if self.undecided:
            title += f", not told from {' and '.join(map(repr, self.undecided))}"
        return display.Table(title, columns, lines)

    def to_pandas(self) -> Any:
        """The table as a pandas data frame, a row for each family."""
        import pandas as pd

        table = self._table()
        return pd.DataFrame(table.rows, columns=table.columns)


def compare_families(
    reports: Sequence[ElicitationReport],
    row_kls: Sequence[Floats],
    shares: Floats,
    groups: Ids,
    n_folds: int,
) -> FamilyComparison:
    """Compare reports by the held-out KL (N,) of each."""
    n_groups = int(groups.max()) + 1
    kl = np.stack(row_kls)
    means = kl @ shares
    lowest = int(np.argmin(means))
    # The mean difference is a sum over groups, each of a weight and a difference of its own.
    excess = (kl - kl[lowest] - (means - means[lowest])[:, np.newaxis]) * shares
    by_group = np.stack([np.bincount(groups, row, n_groups) for row in excess])
    n_heavy = np.count_nonzero(np.bincount(groups, shares))
    spread = np.sqrt(np.sum(by_group**2, axis=1) * n_heavy / (n_heavy - 1))
    n_parameters = np.array([report.n_parameters for report in reports])
    near = _nearest(means, spread)
    best = near[np.lexsort((means[near], n_parameters[near]))[0]]
    return FamilyComparison(
        families=tuple(report.family for report in reports),
        n_parameters=n_parameters,
        mean_kl=np.array([report.mean_kl for report in reports]),
        held_out_kl=means,
        standard_error=spread,
        best=reports[best].family,
        n_folds=n_folds,
        reports={report.family: report for report in reports},
    )


def _nearest(means: Floats, spread: Floats) -> NDArray[np.intp]:
    """Which families are the best as far as can be told."""
    return np.flatnonzero(means <= means.min() + np.maximum(spread, ROUNDING))
