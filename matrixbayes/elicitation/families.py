"""Families of priors beside each other, by the predictions that they were not fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._base import display
from .._base.typing import Floats, Ids
from .measures import Baselines, Constant, Floor, clustered_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .report import ElicitationReport

ALL = (  # what is compared where nothing is said
    "iid",
    "markov",
    "markov(repeat)",
    "markov(last)",
    "iid+markov",
    "tree+balance",
    "iid+markov+balance",
)
ROUNDING = 1e-8  # nats that tell no family from another


BITS = 1.0 / float(np.log(2.0))  # of a nat


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
    kl_error : ndarray or None
        Standard error of each `mean_kl`, over groups of histories.
    constant : Constant or None
        The best single row as a prediction after every history: ``kl``, ``error``, ``held_out``.
    floor : Floor or None
        The best function of the history, as in each report.
    left_out : dict of str to str, or None
        Families that were not compared where all were asked for, and why.

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
    kl_error: Floats | None = None
    constant: Constant | None = None
    floor: Floor | None = None
    left_out: Mapping[str, str] | None = None

    @property
    def undecided(self) -> tuple[str, ...]:
        """The families that may be as good as `best`: as near to the lowest."""
        near = _nearest(self.held_out_kl, self.standard_error)
        return tuple(self.families[i] for i in near if self.families[i] != self.best)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The KL of predictions left out, family by family."""
        from .plots import family_comparison  # needs matplotlib

        return family_comparison(self, ax=ax)

    def _columns(self, size: float = 1.0) -> dict[str, Sequence[Any]]:
        """The table by columns, `size` units to a nat."""
        columns: dict[str, Sequence[Any]] = {
            "family": self.families,
            "parameters": self.n_parameters.tolist(),
            "mean KL": (size * self.mean_kl).tolist(),
        }
        if self.kl_error is not None:
            columns["± s.e."] = (size * self.kl_error).tolist()
        columns["held out"] = (size * self.held_out_kl).tolist()
        above = self.held_out_kl - self.held_out_kl.min()
        columns["above the lowest"] = (size * above).tolist()
        columns["std. error"] = (size * self.standard_error).tolist()
        if self.kl_error is not None:
            own = [self.reports[name] for name in self.families]
            columns["starts agree"] = [f"{r.n_agreeing} of {r.n_starts}" for r in own]
        return columns

    def _table(self) -> display.Table:
        columns = self._columns(BITS)
        title = f"{self.n_folds}-fold cross-validation, in bits: {self.best!r}"
        if self.undecided:
            title += f", not told from {' and '.join(map(repr, self.undecided))}"
        rows = [list(row) for row in zip(*columns.values(), strict=True)]
        return display.Table(title, list(columns), rows, words=self._baselines())

    def _baselines(self) -> list[str]:
        """What stands below the table, in bits."""
        lines = []
        if self.constant is not None:
            kl, error, held_out = (display.number(BITS * x) for x in self.constant)
            lines.append(f"constant prediction: {kl} ± {error}, held out {held_out}")
        if self.floor is not None:
            lines.append(f"floor of any function of the history: {self.floor.text('bits', BITS)}")
        if self.left_out:
            own = (f"{name} ({why})" for name, why in self.left_out.items())
            lines.append(f"left out: {', '.join(own)}")
        return lines

    def to_pandas(self) -> Any:
        """The table as a pandas data frame, a row for each family; KL in nats."""
        return display.frame(self._columns())


def compare_families(
    reports: Sequence[ElicitationReport],
    row_kls: Sequence[Floats],
    shares: Floats,
    groups: Ids,
    n_folds: int,
    known: Baselines | None = None,
    left_out: Mapping[str, str] | None = None,
) -> FamilyComparison:
    """Compare reports by the held-out KL (N,) of each."""
    kl = np.stack(row_kls)
    means = kl @ shares
    excess = kl - kl[np.argmin(means)]
    spread = np.array([clustered_error(row, shares, groups) for row in excess])
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
        kl_error=None if known is None else np.array([each.kl_error for each in reports]),
        constant=None if known is None else known.constant,
        floor=None if known is None else known.floor,
        left_out=left_out or None,
    )


def _nearest(means: Floats, spread: Floats) -> NDArray[np.intp]:
    """Which families are the best as far as can be told."""
    return np.flatnonzero(means <= means.min() + np.maximum(spread, ROUNDING))
