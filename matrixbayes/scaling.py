"""Scaling laws of in-context learning: the probability of a task's text after n examples.

A learner that weighs M tasks by Bayes' rule gives the next example, of task m, the probability
(Arora et al. 2024)

    P_n = sum_j rho_j P_mj^(K n + 1) / sum_j rho_j P_mj^(K n)

with rho the prior, P_mj what task j expects of text of task m, and K the efficiency: how many
examples' worth of evidence an example is.

Contents
    bayesian_law         that formula
    fit_scaling_laws     Bayesian laws and baselines, fitted to curves and extrapolated
    ScalingFit, LawFit   the results
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import display

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LAWS", "LawFit", "ScalingFit", "bayesian_law", "fit_scaling_laws"]

Floats = NDArray[np.float64]
Seed = np.random.Generator | int | None

LAWS = ("original", "sampling", "scoring", "power", "bounded", "logistic")
STARTS = 8  # of each search
LEAST_P = 1e-9


def bayesian_law(shots: ArrayLike, rho: ArrayLike, p: ArrayLike, efficiency: float = 1.0) -> Floats:
    """The probability of an example after n others.

    Parameters
    ----------
    shots : array_like of shape (n,)
    rho : array_like of shape (M,)
        Prior weights of the tasks; divided by their sum.
    p : array_like of shape (M,)
        The probability that each task gives to an example of the task at hand.
    efficiency : float
        K.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> from matrixbayes.scaling import bayesian_law
    >>> bayesian_law([0, 1, 2, 4, 8, 16], [0.01, 0.99], [0.8, 0.3]).round(6)
    array([0.305   , 0.313115, 0.333508, 0.469047, 0.781364, 0.799992])
    """
    n = np.asarray(shots, dtype=np.float64)
    weights, each = np.asarray(rho, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if n.ndim != 1 or weights.ndim != 1 or weights.shape != each.shape or not len(each):
        raise ValueError(f"shapes {n.shape}, {weights.shape} and {each.shape} do not go together")
    if (weights < 0.0).any() or not weights.sum() > 0.0 or not ((each > 0.0) & (each <= 1.0)).all():
        raise ValueError("rho must not be negative or all 0, and p must be above 0 and at most 1")
    with np.errstate(divide="ignore"):
        joint = np.log(weights) + efficiency * n[:, np.newaxis] * np.log(each)
    share = np.exp(joint - joint.max(axis=1, keepdims=True))
    return share @ each / share.sum(axis=1)


@dataclass(frozen=True, eq=False)
class LawFit:
    """One law fitted to curves; part of a `ScalingFit`.

    Attributes
    ----------
    law : str
    parameters : dict
        Arrays or floats by name.
    n_parameters : int
    nrmse, extrapolation_nrmse : float
        Root mean square error of the probabilities over their mean, on what was fitted and on what
        was not (NaN where all was).
    predicted : ndarray of shape (M, n)
        Probabilities at all shots.
    """

    law: str
    parameters: dict[str, Any]
    n_parameters: int
    nrmse: float
    extrapolation_nrmse: float
    predicted: Floats


@dataclass(frozen=True, eq=False, repr=False)
class ScalingFit:
    """Laws fitted to the same curves; made by `fit_scaling_laws`.

    Attributes
    ----------
    laws : dict of str to LawFit
    n_fitted : int
        How many of the numbers of shots were fitted, the smallest ones.
    shots : ndarray of shape (n,)
    probabilities : ndarray of shape (M, n)
        What was given, fitted or not.
    """

    laws: dict[str, LawFit]
    n_fitted: int
    shots: Floats
    probabilities: Floats

    def __getitem__(self, law: str) -> LawFit:
        return self.laws[law]

    @property
    def best(self) -> LawFit:
        """The law that extrapolates best, or fits best where nothing was left to extrapolate to."""
        fits = list(self.laws.values())
        told = not np.isnan(fits[0].extrapolation_nrmse)
        return min(fits, key=lambda fit: fit.extrapolation_nrmse if told else fit.nrmse)

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        lines = [
            [fit.law, fit.n_parameters, fit.nrmse, fit.extrapolation_nrmse]
            for fit in self.laws.values()
        ]
        return ["law", "parameters", "NRMSE", "NRMSE, extrapolated"], lines

    def __repr__(self) -> str:
        columns, lines = self._table()
        return display.table_text(columns, lines, title="ScalingFit")

    def _repr_html_(self) -> str:
        columns, lines = self._table()
        return display.table_html(columns, lines, caption="ScalingFit")

    def plot(self, *, task: int | None = None, ax: Axes | None = None) -> Axes:
        """What was fitted and held out, with each law; `plot.scaling_laws`."""
        from importlib import import_module  # pictures stand above reports, and need matplotlib

        return import_module("matrixbayes.plot").scaling_laws(self, task=task, ax=ax)


def fit_scaling_laws(
    shots: ArrayLike,
    probabilities: ArrayLike,
    *,
    laws: Iterable[str] | None = None,
    n_fitted: int | None = None,
    rng: Seed = None,
) -> ScalingFit:
    """Fit Bayesian scaling laws and the usual baselines, and extrapolate them.

    Parameters
    ----------
    shots : array_like of shape (n,)
        Rising, not negative.
    probabilities : array_like of shape (M, n) or (n,)
        Of an example of each of M tasks after so many of its own.
    laws : iterable of str, optional
        Some of "original" (rho, a P for each pair of tasks, K), "sampling" (each task's text has a
        P under its own and one under all others), "scoring" (each task gives a P to its own text
        and one to all others'), "power", "bounded", "logistic"; by default all that are different:
        of one curve the Bayesian laws are one, "original", of two hypotheses.
    n_fitted : int, optional
        Fit to so many of the numbers of shots, the smallest, and extrapolate to the others.
    rng : numpy.random.Generator or int, optional
        Makes the starting points.

    Returns
    -------
    ScalingFit

    Notes
    -----
    Least squares of the probabilities.  The baselines are laws of the negative log-probability, one
    for each curve:

    ========  ===============================
    power     C (n + 1)^-alpha + k
    bounded   C (1 + n / n_c)^-alpha + k
    logistic  C / (1 + (n / n_c)^alpha) + k
    ========  ===============================

    Examples
    --------
    >>> import numpy as np
    >>> from matrixbayes.scaling import bayesian_law, fit_scaling_laws
    >>> shots = np.arange(0, 30)
    >>> curve = bayesian_law(shots, [0.01, 0.99], [0.8, 0.3])
    >>> found = fit_scaling_laws(shots, curve, n_fitted=10, rng=0)
    >>> found.best.law, found["original"].parameters["P"].round(3)
    ('original', array([[0.8, 0.3]]))
    """
    n, p = np.array(shots, dtype=np.float64), np.array(probabilities, dtype=np.float64)
    p = p[np.newaxis] if p.ndim == 1 else p
    if n.ndim != 1 or p.ndim != 2 or p.shape[1] != len(n) or len(p) == 0:
        raise ValueError(f"shots have shape {n.shape} and probabilities {p.shape}")
    if not (np.isfinite(n) & (n >= 0.0)).all() or (np.diff(n) <= 0.0).any():
        raise ValueError("shots must be finite, not negative, and rise")
    if not ((p > 0.0) & (p <= 1.0)).all():
        i, j = np.argwhere(~((p > 0.0) & (p <= 1.0)))[0]
        raise ValueError(f"probabilities[{i}, {j}] is {p[i, j]}; it must be above 0 and at most 1")
    fitted = len(n) if n_fitted is None else n_fitted
    if not 3 <= fitted <= len(n):
        raise ValueError(f"n_fitted is {fitted}; it must be from 3 to {len(n)}")
    single = len(p) == 1
    wanted = [law for law in LAWS if not (single and law in ("sampling", "scoring"))]
    if laws is not None:
        wanted = list(laws)
        unknown = [law for law in wanted if law not in LAWS]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not one of {', '.join(map(repr, LAWS))}")
    generator = np.random.default_rng(rng)
    fits = {law: _fit(law, n, p, fitted, generator) for law in wanted}
    return ScalingFit(fits, fitted, n, p)


def _fit(law: str, n: Floats, p: Floats, fitted: int, rng: np.random.Generator) -> LawFit:
    """The best of several searches, none of which sees what is held out."""
    from scipy.optimize import least_squares

    curve, starts, read = _LAWS[law](len(p), n[:fitted], p[:, :fitted])
    best = None
    for start in starts(rng):
        found = least_squares(
            lambda theta: (curve(theta, n[:fitted]) - p[:, :fitted]).ravel(),
            start,
            bounds=(-30.0, 30.0),
            xtol=1e-14,
            ftol=1e-14,
            gtol=1e-14,
            max_nfev=2000,
        )
        if best is None or found.cost < best.cost:
            best = found
    assert best is not None
    predicted = curve(best.x, n)
    rest = np.nan if fitted == len(n) else _nrmse(predicted[:, fitted:], p[:, fitted:])
    return LawFit(
        law,
        read(best.x),
        len(best.x),
        _nrmse(predicted[:, :fitted], p[:, :fitted]),
        rest,
        predicted,
    )


def _nrmse(found: Floats, wanted: Floats) -> float:
    return float(np.sqrt(np.mean((found - wanted) ** 2)) / wanted.mean())


# What a law is: a curve (M, n) from the vector that is searched, starting points, and parameters.
_Law = tuple[
    Callable[[Floats, Floats], Floats],
    Callable[[np.random.Generator], list[Floats]],
    Callable[[Floats], dict[str, Any]],
]


def _logistic(x: Floats) -> Floats:
    return np.clip(1.0 / (1.0 + np.exp(-x)), LEAST_P, 1.0)


def _simplex(x: Floats) -> Floats:
    """Weights from all but the first of their logarithms."""
    scores = np.concatenate([[0.0], x])
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


def _bayesian(form: str) -> Callable[[int, Floats, Floats], _Law]:
    def law(m: int, n: Floats, p: Floats) -> _Law:
        states = max(m, 2)  # one curve has a task of its own and another
        n_p = m * states if form == "original" else 2 * m

        def parts(theta: Floats) -> tuple[Floats, Floats, float]:
            rho, values = _simplex(theta[: states - 1]), _logistic(theta[states - 1 : -1])
            if form == "original":
                matrix = values.reshape(m, states)
            else:
                own, other = values[:m], values[m:]
                rest = other[:, np.newaxis] if form == "sampling" else other
                matrix = np.array(np.broadcast_to(rest, (m, m)))
                np.fill_diagonal(matrix, own)
            return rho, matrix, float(np.exp(theta[-1]))

        def curve(theta: Floats, shots: Floats) -> Floats:
            rho, matrix, efficiency = parts(theta)
            return np.stack([bayesian_law(shots, rho, row, efficiency) for row in matrix])

        def starts(rng: np.random.Generator) -> list[Floats]:
            first, last = (np.clip(p[:, i], 0.01, 0.99) for i in (0, -1))
            odds_first, odds_last = np.log(first / (1.0 - first)), np.log(last / (1.0 - last))
            if form == "original":
                matrix = np.tile(odds_first[:, np.newaxis], (1, states))
                matrix[np.arange(m), np.arange(m)] = odds_last
                values = matrix.ravel()
            else:
                values = np.concatenate([odds_last, odds_first])
            found = []
            for i in range(STARTS):
                rho = np.zeros(states - 1) if m > 1 else np.full(1, 1.0 + i)
                noise = 0.5 * (i > 0) * rng.normal(size=n_p)
                found.append(
                    np.concatenate([rho, values + noise, [rng.normal(-0.5, 1.0) * (i > 0)]])
                )
            return found

        def read(theta: Floats) -> dict[str, Any]:
            rho, matrix, efficiency = parts(theta)
            return {"rho": rho, "P": matrix, "K": efficiency}

        return curve, starts, read

    return law


def _baseline(form: str) -> Callable[[int, Floats, Floats], _Law]:
    names = ("C", "alpha", "k") + (() if form == "power" else ("n_c",))

    def law(m: int, n: Floats, p: Floats) -> _Law:
        def curve(theta: Floats, shots: Floats) -> Floats:
            # within what a double's exponential can bear
            values = np.exp(np.clip(theta.reshape(m, -1), -30.0, 30.0))[:, :, np.newaxis]
            c, alpha, k = values[:, 0], values[:, 1], values[:, 2]
            with np.errstate(over="ignore"):
                if form == "power":
                    loss = c * (shots + 1.0) ** -alpha + k
                elif form == "bounded":
                    loss = c * (1.0 + shots / values[:, 3]) ** -alpha + k
                else:
                    loss = c / (1.0 + (shots / values[:, 3]) ** alpha) + k
            return np.exp(-loss)

        def starts(rng: np.random.Generator) -> list[Floats]:
            loss = -np.log(np.clip(p, 1e-12, 1.0 - 1e-9))
            c = np.log(np.maximum(loss[:, 0] - loss[:, -1], 1e-2))
            k = np.log(np.maximum(loss[:, -1], 1e-6))
            columns = [c, np.zeros(m), k]
            if form != "power":
                columns.append(np.full(m, np.log(max(float(np.median(n)), 1.0))))
            point = np.stack(columns, axis=1).ravel()
            noise = (rng.normal(0.0, 1.0 * (i > 0), len(point)) for i in range(STARTS))
            return [np.clip(point + more, -29.0, 29.0) for more in noise]

        def read(theta: Floats) -> dict[str, Any]:
            return dict(zip(names, np.exp(theta.reshape(m, -1)).T, strict=True))

        return curve, starts, read

    return law


_LAWS: dict[str, Callable[[int, Floats, Floats], _Law]] = {
    **{form: _bayesian(form) for form in ("original", "sampling", "scoring")},
    **{form: _baseline(form) for form in ("power", "bounded", "logistic")},
}
