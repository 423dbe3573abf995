"""How many components: the same data fitted with each number, and a criterion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import display
from .prior import DirichletMixtureEstimator
from .rows import NextTokenRows, as_log_probs

__all__ = ["PriorSelection", "select_prior"]

CRITERIA = ("aic", "bic")


@dataclass(frozen=True, repr=False)
class PriorSelection:
    """Fits of several sizes; see `select_prior`.

    Attributes
    ----------
    estimators : dict of int to DirichletMixtureEstimator
        The fitted estimators by number of components.
    table : list of dict
        For each: ``n_components``, ``log_likelihood``, ``n_parameters``, ``aic``, ``bic``,
        ``converged``.
    criterion : {"aic", "bic"}
    best_ : DirichletMixtureEstimator
        The one with the lowest criterion, of those that have converged if any has: at a cap on
        concentrations the likelihood is as large as the cap allows and compares with nothing.
    """

    estimators: dict[int, DirichletMixtureEstimator]
    table: list[dict[str, Any]]
    criterion: str

    @property
    def best_(self) -> DirichletMixtureEstimator:
        """The estimator with the lowest criterion among those that have converged, if any has."""
        eligible = [entry for entry in self.table if entry["converged"]] or self.table
        best = min(eligible, key=lambda entry: (entry[self.criterion], entry["n_components"]))
        return self.estimators[best["n_components"]]

    def __repr__(self) -> str:
        return display.selection_text(self)

    def _repr_html_(self) -> str:
        return display.selection_html(self)


def select_prior(
    rows: Any,
    n_components: Iterable[int] = range(1, 9),
    *,
    criterion: str = "bic",
    sample_weight: Any = None,
    **parameters: Any,
) -> PriorSelection:
    """Fit a Dirichlet mixture of each size and compare them.

    Parameters
    ----------
    rows : NextTokenRows, or array_like of shape (N, V)
    n_components : iterable of int
        The sizes to try.
    criterion : {"bic", "aic"}
        What decides; lower is better.
    sample_weight : array_like of shape (N,), optional
    **parameters
        For `DirichletMixtureEstimator`: ``kind``, ``random_state``, ``n_init``, ...

    Returns
    -------
    PriorSelection
        ``best_`` is the chosen estimator, ``table`` the comparison.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> truth = mb.DirichletMixture([0.5, 0.5], [[9.0, 1.0, 1.0], [1.0, 1.0, 9.0]])
    >>> rows = truth.sample(500, rng=0)
    >>> found = mb.select_prior(rows, [1, 2, 3], kind="probs", random_state=0)
    >>> found.best_.n_components
    2
    """
    sizes = list(dict.fromkeys(n_components))
    if not sizes:
        raise ValueError("n_components is empty; give at least one number of components")
    if criterion not in CRITERIA:
        raise ValueError(f"criterion={criterion!r} is not one of {', '.join(map(repr, CRITERIA))}")
    if not isinstance(rows, NextTokenRows):  # convert once, not once per size
        log_probs, tokens = as_log_probs(rows, parameters.get("kind"))
        rows = NextTokenRows(log_probs, tokens=tokens)
    estimators, table = {}, []
    for size in sizes:
        fitted = DirichletMixtureEstimator(size, **parameters).fit(
            rows, sample_weight=sample_weight
        )
        estimators[size] = fitted
        table.append(_entry(fitted))
    return PriorSelection(estimators, table, criterion)


def _entry(fitted: DirichletMixtureEstimator) -> dict[str, Any]:
    """A line of the table."""
    deviance, n_parameters = -2.0 * fitted.log_likelihood_, fitted.n_parameters_
    return {
        "n_components": fitted.n_components,
        "log_likelihood": fitted.log_likelihood_,
        "n_parameters": n_parameters,
        "aic": deviance + 2.0 * n_parameters,
        "bic": deviance + n_parameters * float(np.log(fitted.n_rows_)),
        "converged": fitted.converged_,
    }
