"""How many components: the same data fitted with each number, and a criterion."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import display, parallel
from ._estimator import generator_of
from .errors import ConvergenceWarning
from .mixture import DirichletMixture
from .prior import DirichletMixtureEstimator
from .rows import NextTokenRows, as_log_probs

__all__ = ["PriorSelection", "select_prior"]

CRITERIA = {"aic": -1, "bic": -1, "icl": -1, "log_evidence": 1, "cv": 1}  # 1: higher is better


@dataclass(frozen=True, repr=False)
class PriorSelection:
    """Fits of several sizes; see `select_prior`.

    Attributes
    ----------
    estimators : dict of int to DirichletMixtureEstimator
        The fitted estimators by number of components.
    table : list of dict
        For each: ``n_components``, ``log_likelihood``, ``n_parameters``, ``aic``, ``bic``,
        ``icl`` (lower is better), ``log_evidence`` and ``cv`` (higher is better; None where they
        were not asked for, or could not be had), ``cv_se``, ``converged``.
    criterion : {"bic", "aic", "icl", "log_evidence", "cv"}
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
        sign = CRITERIA[self.criterion]
        known = [entry for entry in self.table if entry[self.criterion] is not None]
        if not known:
            raise ValueError(f"no size has a {self.criterion}: more than 4,000 parameters, or none")
        eligible = [entry for entry in known if entry["converged"]] or known
        best = min(eligible, key=lambda e: (-sign * e[self.criterion], e["n_components"]))
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
    n_folds: int = 5,
    sample_weight: Any = None,
    **parameters: Any,
) -> PriorSelection:
    """Fit a Dirichlet mixture of each size and compare them.

    Each size starts from k-means and, where the size below is among them, also from that mixture
    with one component split in two; the better fit is kept.

    Parameters
    ----------
    rows : NextTokenRows, array_like of shape (N, V), or sparse counts
    n_components : iterable of int
        The sizes to try.
    criterion : {"bic", "aic", "icl", "log_evidence", "cv"}
        What decides: Akaike's or the Bayesian information criterion; the integrated complete
        likelihood, which adds to the latter what the responsibilities leave open (Biernacki,
        Celeux & Govaert 2000); Laplace's approximation of the evidence; or the mean log-score of
        held-out rows.  The last two cost more, and are in the table only if they decide.
    n_folds : int
        For "cv".
    sample_weight : array_like of shape (N,), optional
    **parameters
        For `DirichletMixtureEstimator`: ``kind``, ``random_state``, ``n_init``, ...  With an
        ``executor`` the sizes are fitted beside each other, each on one worker, and the splits
        after them.

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
    if parameters.get("kind") == "counts":
        rows = rows.tocsr() if hasattr(rows, "tocsr") else np.asarray(rows)
    elif not isinstance(rows, NextTokenRows):  # convert once, not once per size
        log_probs, tokens = as_log_probs(rows, parameters.get("kind"))
        rows = NextTokenRows(log_probs, tokens=tokens)
    if criterion == "cv" and not 2 <= n_folds <= rows.shape[0]:
        raise ValueError(f"n_folds is {n_folds}; it must be from 2 to the {rows.shape[0]} rows")
    weights = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    executor = parameters.pop("executor", None)
    if executor is not None:
        parameters["n_jobs"] = 1
    if not isinstance(parameters.get("random_state"), (int, np.integer, type(None))):
        # A seed for all sizes, so that none depends on what another one drew.
        rng = generator_of(parameters["random_state"])
        parameters["random_state"] = int(rng.integers(2**31))
    pool = (executor, parallel.available_cores())
    fits = parallel.in_order(
        pool, _fitted, ((size, parameters, rows, weights, None) for size in sizes)
    )
    found = dict(zip(sizes, fits, strict=True))
    for size in sorted(sizes):
        if size - 1 in found:
            smaller = found[size - 1][0].prior_
            split = _fitted(size, parameters, rows, weights, smaller)
            found[size] = max(found[size], split, key=_height)
    estimators = {size: fitted for size, (fitted, _) in found.items()}
    table = parallel.in_order(
        pool, _entry, ((each, rows, weights, criterion, n_folds) for each in estimators.values())
    )
    selection = PriorSelection(estimators, list(table), criterion)
    for size, (_, reasons) in found.items():
        for reason in reasons:
            warnings.warn(f"n_components={size}: {reason}", ConvergenceWarning, stacklevel=2)
    return selection


def _fitted(
    size: int,
    parameters: dict[str, Any],
    rows: Any,
    weights: NDArray[np.float64] | None,
    smaller: DirichletMixture | None,
) -> tuple[DirichletMixtureEstimator, list[str]]:
    """A fit, from a split of a smaller mixture where one is given, and what is to be warned of."""
    estimator = DirichletMixtureEstimator(size, **parameters)
    return estimator, estimator._fit(rows, weights, smaller)


def _height(fit: tuple[DirichletMixtureEstimator, list[str]]) -> tuple[bool, float]:
    """What the better of two fits has more of; a bound at a cap compares with nothing."""
    return not fit[0]._at_cap, fit[0].lower_bound_


def _entry(
    fitted: DirichletMixtureEstimator,
    rows: Any,
    weights: NDArray[np.float64] | None,
    criterion: str,
    n_folds: int,
) -> dict[str, Any]:
    """A size's line of the table."""
    deviance, n_parameters = -2.0 * fitted.log_likelihood_, fitted.n_parameters_
    bic = deviance + n_parameters * float(np.log(fitted.n_rows_))
    entry = {
        "n_components": fitted.n_components,
        "log_likelihood": fitted.log_likelihood_,
        "n_parameters": n_parameters,
        "aic": deviance + 2.0 * n_parameters,
        "bic": bic,
        "icl": bic + 2.0 * _assignment_entropy(fitted, rows, weights),
        "log_evidence": None,
        "cv": None,
        "cv_se": None,
        "converged": fitted.converged_,
    }
    if criterion == "log_evidence":
        with contextlib.suppress(ValueError):  # too many parameters
            entry["log_evidence"] = fitted.information(rows, weights).log_evidence
    if criterion == "cv":
        entry["cv"], entry["cv_se"] = _held_out(fitted, rows, weights, n_folds)
    return entry


def _assignment_entropy(
    fitted: DirichletMixtureEstimator, rows: Any, weights: NDArray[np.float64] | None
) -> float:
    """Entropy of the components of all rows, in nats."""
    if fitted.n_components == 1 or fitted.n_dropped_:
        return 0.0 if fitted.n_components == 1 else float("nan")
    shares = fitted.predict_proba(rows)
    entropy = -np.where(shares > 0.0, shares * np.log(np.maximum(shares, 1e-300)), 0.0).sum(axis=1)
    return float(entropy.sum() if weights is None else weights @ entropy)


def _held_out(
    estimator: DirichletMixtureEstimator,
    rows: Any,
    weights: NDArray[np.float64] | None,
    n_folds: int,
) -> tuple[float, float]:
    """Mean log-score of a row that was held out, and its standard error over the folds."""
    if isinstance(rows, NextTokenRows):
        rows = rows.log_probs
        estimator = DirichletMixtureEstimator(**{**estimator.get_params(), "kind": "log_probs"})
    else:
        estimator = DirichletMixtureEstimator(**estimator.get_params())
    order = np.random.default_rng(0).permutation(rows.shape[0])
    means = []
    for fold in np.array_split(order, n_folds):
        rest = np.setdiff1d(order, fold)
        estimator.fit(rows[rest], sample_weight=None if weights is None else weights[rest])
        scores = estimator.score_samples(rows[fold])
        means.append(float(np.average(scores, weights=None if weights is None else weights[fold])))
    return float(np.mean(means)), float(np.std(means, ddof=1) / np.sqrt(n_folds))
