"""What `elicit_prior` learns from samples of the histories: intervals, and how families compare.

Contents
    bootstrap           intervals of the parameters
    held_out            KL of each row, predicted from the other folds
    FamilyComparison    several families, held against each other
    compare_families    makes one
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import display
from ._base_typing import Floats, Ids, Pool
from ._elicitation_objective import Objective
from ._elicitation_parameters import Parameters
from ._elicitation_search import Search, search
from .parallel import in_order

if TYPE_CHECKING:
    from ._elicitation_report import ElicitationReport

__all__ = ["FamilyComparison", "bootstrap", "compare_families", "held_out", "row_kl"]

ROUNDING = 1e-8  # nats that tell no family from another


def bootstrap(
    objective: Objective,
    best: Search,
    shares: Floats,
    groups: Ids,
    n_boot: int,
    level: float,
    limits: tuple[int, float],
    pool: Pool,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Percentiles of the parameters over samples of the groups, each fitted from the optimum."""
    drawn = np.flatnonzero(np.bincount(groups, shares))  # the others would change nothing
    chances = np.full(len(drawn), 1.0 / len(drawn))

    def fitted(times: Ids) -> dict[str, Any]:
        often = np.zeros(int(groups.max()) + 1)
        often[drawn] = times
        weights = shares * often[groups]
        found = search(objective.reweighted(weights / weights.sum()), best.theta, *limits)
        return _named(objective.layout.unpack(found.theta), objective.layout.scalars)

    samples = [(rng.multinomial(len(drawn), chances),) for _ in range(n_boot)]
    values = list(in_order(pool, fitted, samples))
    ends = [0.5 - level / 2.0, 0.5 + level / 2.0]
    return {
        name: np.quantile(np.array([value[name] for value in values]), ends, axis=0)
        for name in values[0]
    }


def _named(parameters: Parameters, scalars: Iterable[str]) -> dict[str, Any]:
    """The numbers that a family searches, by the names that intervals have."""
    found: dict[str, Any] = {}
    for part, (weights, alpha) in parameters.priors.items():
        found[f"{part}.weights"] = weights
        found[f"{part}.concentration"] = alpha.sum(axis=1)
        found[f"{part}.alpha"] = alpha
    return found | {name: getattr(parameters, name) for name in scalars}


def row_kl(objective: Objective, parameters: Parameters) -> Floats:
    """(N,): KL(model || predictive) of each row in nats."""
    return np.concatenate([kl for *_, kl in objective.predictions(parameters)])


def held_out(
    objective: Objective,
    best: Search,
    shares: Floats,
    folds: Ids,
    limits: tuple[int, float],
    pool: Pool,
) -> Floats:
    """(N,): KL of each row under the parameters fitted, from the optimum, to the other folds."""

    def scored(fold: int) -> Floats:
        weights = np.where(folds == fold, 0.0, shares)
        found = search(objective.reweighted(weights / weights.sum()), best.theta, *limits)
        return row_kl(objective, objective.layout.unpack(found.theta))

    n_folds = int(folds.max()) + 1
    found = list(in_order(pool, scored, [(fold,) for fold in range(n_folds)]))
    return np.stack(found)[folds, np.arange(len(folds))]


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
