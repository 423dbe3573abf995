"""What `select_prior` returns: fits of several sizes, and which one a criterion chooses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..._base import display
from ..resolution import CURVE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from ..estimator import DirichletMixtureEstimator

CURVE_COLUMNS = [f"held_bits_{n}" for n in CURVE]
COLUMNS = ["n_components", "resolution", "log_likelihood", "n_parameters", "aic", "bic", "icl"]
COLUMNS += ["log_evidence", "cv", "cv_se", *CURVE_COLUMNS, "held_bits", "bits", "converged"]
CRITERIA = {"aic": -1, "bic": -1, "icl": -1, "log_evidence": 1, "cv": 1}  # 1: higher is better
CRITERIA["held_bits"] = -1
DIFFERENCES = {"log_likelihood", "aic", "bic", "icl", "log_evidence", "cv"}
_SHORT = {"n_components": "K", "n_parameters": "parameters"}  # how columns are headed


@dataclass(frozen=True, repr=False)
class PriorSelection(display.Shown):
    """Fits of several sizes; see `select_prior`.

    Attributes
    ----------
    estimators : dict of int to DirichletMixtureEstimator
        The fitted estimators by number of components.
    table : list of dict
        For each: ``n_components``, ``log_likelihood``, ``n_parameters``, ``aic``, ``bic``,
        ``icl`` (lower is better), ``log_evidence`` and ``cv`` (higher is better; None where they
        were not asked for, or could not be had), ``cv_se`` (its standard error over the folds),
        ``converged``; and of the fit's own ``check_`` (None where there is none) ``bits``, of a
        token at 20 draws from a row or as many as there are, and ``check``, "ok" or what speaks
        against the fit.
        At a resolution the likelihood is one of draws, so that only ``resolution`` and held-out
        bits are there: ``held_bits_1``, ``_5``, ``_20`` and ``_100`` of a token after so many draws
        from rows kept apart, and ``held_bits``, their mean (lower is better).
    criterion : {"bic", "aic", "icl", "log_evidence", "cv", "held_bits"}
    best_ : DirichletMixtureEstimator
        The best by the criterion, of those that have converged if any has: at a cap on
        concentrations the likelihood is as large as the cap allows and compares with nothing.
    """

    estimators: dict[int, DirichletMixtureEstimator]
    table: list[dict[str, Any]]
    criterion: str

    @property
    def best_(self) -> DirichletMixtureEstimator:
        """The best by the criterion among those that have converged, if any has."""
        return self.estimators[self._best_entry["n_components"]]

    @property
    def _best_entry(self) -> dict[str, Any]:
        """The line of the table that is chosen."""
        if self.criterion == "held_bits" and len(self.table) == 1:
            return self.table[0]  # of few rows none could be kept apart, and none had to
        sign = CRITERIA[self.criterion]
        known = [entry for entry in self.table if entry[self.criterion] is not None]
        if not known:
            raise ValueError(f"no size has a {self.criterion}; a warning said why")
        eligible = [entry for entry in known if entry["converged"]] or known
        return min(eligible, key=lambda e: (-sign * e[self.criterion], e["n_components"]))

    def to_pandas(self) -> pd.DataFrame:
        """The table as a data frame, a row for each size (and resolution).

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        columns = {name: [e.get(name) for e in self.table] for name in COLUMNS}
        return display.frame({name: x for name, x in columns.items() if set(x) != {None}})

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The criterion against the number of components; `plot.criterion`."""
        from ..plots import criterion  # needs matplotlib

        return criterion(self, ax=ax)

    def _table(self) -> display.Table:
        best = self._best_entry
        chosen = {"log_evidence": "log-evidence", "cv": "cross-validation"}
        chosen["held_bits"] = "held-out bits"
        by = chosen.get(self.criterion, self.criterion.upper())
        n = best.get("resolution")
        where = "" if n is None else f" at resolution {n}"
        title = f"PriorSelection: {best['n_components']} component(s){where} "
        if (height := best[self.criterion]) is None:
            title += "as given, too few rows to keep some apart"
        else:
            title += f"chosen by {by}, {display.number(float(height))}"
        columns: dict[str, list[Any]] = {}
        words = ""
        for name in COLUMNS:
            values = [e.get(name) for e in self.table]
            if name == "bits" or all(x is None for x in values):  # in bits: `check_` of each fit
                continue
            if name in DIFFERENCES and self.criterion == "held_bits":  # in nats, of other draws
                continue
            if name in DIFFERENCES:
                known = [x for x in values if x is not None]
                top = min(known) if CRITERIA.get(name, 1) < 0 else max(known)
                values = [None if x is None else x - top for x in values]
                words = (
                    "Differences from the best of each column, in nats; aic, bic and icl in half "
                )
                words += "nats."
            columns[_SHORT.get(name, name)] = values
        at = next(i for i, entry in enumerate(self.table) if entry is best)
        return display.Table(
            title,
            list(columns),
            list(zip(*columns.values(), strict=True)),
            best=at,
            marks=[", ".join(_marks(entry)) for entry in self.table],
            words=[words] if words else [],
        )


def _marks(entry: dict[str, Any]) -> list[str]:
    """What is to be said beside a size."""
    found = [] if entry["converged"] else ["did not converge"]
    check = entry.get("check")
    return found if check in (None, "ok", "too few rows") else [*found, str(check)]
