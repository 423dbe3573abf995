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

import operator
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import display

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LAWS", "LawFit", "ScalingFit", "bayesian_law", "fit_scaling_laws"]

Floats = NDArray[np.float64]
Seed = np.random.Generator | int | None

LAWS = ("original", "sampling", "scoring", "power", "bounded", "logistic")
BAYESIAN = LAWS[:3]
DRAWS, SEARCHES = 256, 64  # starting points that are drawn, and the best that are searched from
STEPS = 400  # of a search; the best may go on for 20 times as many
TOLERANCE = 1e-10
SAME = 1e-4  # NRMSE that makes no difference
FAR = 600.0  # a logarithm that a double's exponential can still bear


def bayesian_law(shots: ArrayLike, rho: ArrayLike, p: ArrayLike, efficiency: float = 1.0) -> Floats:
    """The probability of an example after n others.

    Parameters
    ----------
    shots : array_like of shape (n,)
        Finite, not negative.
    rho : array_like of shape (M,)
        Prior weights of the tasks; divided by their sum.
    p : array_like of shape (M,)
        The probability that each task gives to an example of the task at hand.
    efficiency : float
        K; finite, not negative.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> from matrixbayes.scaling import bayesian_law
    >>> bayesian_law([0, 1, 2, 4, 8, 16], [0.01, 0.99], [0.8, 0.3]).round(6)
    array([0.305   , 0.313115, 0.333508, 0.469047, 0.781364, 0.799992])
    """
    n = _shots(shots)
    weights, each = np.asarray(rho, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if weights.ndim != 1 or weights.shape != each.shape or not len(each):
        raise ValueError(f"shapes {weights.shape} and {each.shape} of rho and p do not go together")
    good = np.isfinite(weights) & (weights >= 0.0)
    if not (good.all() and weights.any() and ((each > 0.0) & (each <= 1.0)).all()):
        raise ValueError(
            "rho must be finite, not negative and not all 0, and p must be above 0 and at most 1"
        )
    if np.ndim(efficiency) or not 0.0 <= efficiency < np.inf:
        raise ValueError(f"efficiency is {efficiency}; it must be one number, finite, not negative")
    with np.errstate(divide="ignore", over="ignore"):
        evidence = np.minimum(efficiency * n, 1e300)[:, np.newaxis]  # times log p is finite yet
        joint = np.log(weights) + evidence * np.log(each)
    share = np.exp(joint - joint.max(axis=1, keepdims=True))
    return share @ each / share.sum(axis=1)


def _shots(shots: ArrayLike) -> Floats:
    n = np.array(shots, dtype=np.float64)
    if n.ndim != 1 or not (np.isfinite(n) & (n >= 0.0)).all():
        raise ValueError("shots must be of one dimension, finite and not negative")
    return n


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
    n_agreeing : int
        How many of the 64 searches came as close as the best one, to 1 % or an NRMSE of 0.0001; of
        the baselines' curves the fewest.
    converged : bool
        Whether the best search came to an end.
    """

    law: str
    parameters: dict[str, Any]
    n_parameters: int
    nrmse: float
    extrapolation_nrmse: float
    predicted: Floats
    n_agreeing: int
    converged: bool

    def __call__(self, shots: ArrayLike) -> Floats:
        """Probabilities of shape (M, n) at any shots."""
        return _predict(self.law, self.parameters, _shots(shots))


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
            [fit.law, fit.n_parameters, fit.nrmse, fit.extrapolation_nrmse, fit.n_agreeing]
            for fit in self.laws.values()
        ]
        columns = ["law", "parameters", "NRMSE", "NRMSE, extrapolated", "searches agreeing"]
        return columns, lines

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
    laws: str | Iterable[str] | None = None,
    n_fitted: int | None = None,
    rng: Seed = None,
) -> ScalingFit:
    """Fit Bayesian scaling laws and the usual baselines, and extrapolate them.

    Parameters
    ----------
    shots : array_like of shape (n,)
        Rising, finite, not negative; 3 or more.
    probabilities : array_like of shape (M, n) or (n,)
        Of an example of each of M tasks after so many of its own.
    laws : str or iterable of str, optional
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

    Warns
    -----
    RuntimeWarning
        Where only one search of 64 found a law's best fit, so that others may be better, or where
        that search did not converge.

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
    if len(n) < 3:
        raise ValueError(f"there are {len(n)} numbers of shots; a law needs 3 or more")
    if not ((p > 0.0) & (p <= 1.0)).all():
        i, j = np.argwhere(~((p > 0.0) & (p <= 1.0)))[0]
        raise ValueError(f"probabilities[{i}, {j}] is {p[i, j]}; it must be above 0 and at most 1")
    fitted = len(n) if n_fitted is None else operator.index(n_fitted)
    if not 3 <= fitted <= len(n):
        raise ValueError(f"n_fitted is {fitted}; it must be from 3 to {len(n)}")
    wanted = _wanted(laws, len(p))
    generator = np.random.default_rng(rng)
    fits = {law: _fit(law, n, p, fitted, generator) for law in wanted}
    for fit in fits.values():
        if fit.n_agreeing < 2 or not fit.converged:
            why = "did not converge" if not fit.converged else "was found by one search only"
            warnings.warn(f"{fit.law}: the best fit {why}", RuntimeWarning, stacklevel=2)
    return ScalingFit(fits, fitted, n, p)


def _wanted(laws: str | Iterable[str] | None, m: int) -> list[str]:
    """Names of laws that m curves can have."""
    for_several = ("sampling", "scoring")
    if laws is None:
        return [law for law in LAWS if m > 1 or law not in for_several]
    wanted = [laws] if isinstance(laws, str) else list(laws)
    if not wanted:
        raise ValueError("laws is empty")
    for law in wanted:
        if law not in LAWS:
            raise ValueError(f"{law!r} is not one of {', '.join(map(repr, LAWS))}")
        if m == 1 and law in for_several:
            raise ValueError(f"{law!r} is a law of two tasks or more; there is one curve")
    return wanted


def _fit(law: str, n: Floats, p: Floats, fitted: int, rng: np.random.Generator) -> LawFit:
    """The best of several searches, none of which sees what is held out."""
    bayes = law in BAYESIAN
    make = _bayesian if bayes else _baseline
    # a baseline is one problem for each curve
    found = [
        _search(make(law, n[:fitted], part), part, rng)
        for part in ([p[:, :fitted]] if bayes else p[:, np.newaxis, :fitted])
    ]
    parameters: dict[str, Any] = found[0].parameters
    if not bayes:
        parameters = {
            name: np.array([each.parameters[name] for each in found]) for name in parameters
        }
    predicted = _predict(law, parameters, n)
    return LawFit(
        law,
        parameters,
        sum(each.size for each in found),
        _nrmse(predicted[:, :fitted], p[:, :fitted]),
        np.nan if fitted == len(n) else _nrmse(predicted[:, fitted:], p[:, fitted:]),
        predicted,
        min(each.n_agreeing for each in found),
        all(each.converged for each in found),
    )


def _nrmse(found: Floats, wanted: Floats) -> float:
    return float(np.sqrt(np.mean((found - wanted) ** 2)) / wanted.mean())


def _predict(law: str, parameters: dict[str, Any], n: Floats) -> Floats:
    """Probabilities (M, n) by the law with these parameters."""
    if law in BAYESIAN:
        rho, efficiency = parameters["rho"], parameters["K"]
        return np.stack([bayesian_law(n, rho, row, efficiency) for row in parameters["P"]])
    c, alpha, k, *more = (value[:, np.newaxis] for value in parameters.values())
    with np.errstate(over="ignore"):
        if law == "power":
            loss = c * (n + 1.0) ** -alpha + k
        elif law == "bounded":
            loss = c * (1.0 + n / more[0]) ** -alpha + k
        else:
            loss = c / (1.0 + (n / more[0]) ** alpha) + k
    return np.exp(-loss)


class _Law(NamedTuple):
    """A law of curves (M, n) as a search sees it: over one vector, without bounds."""

    curve: Callable[[Floats], tuple[Floats, Floats]]  # and its derivatives, (M, n, parameters)
    start: Callable[[np.random.Generator], Floats]
    read: Callable[[Floats], dict[str, Any]]


class _Found(NamedTuple):
    parameters: dict[str, Any]
    size: int
    n_agreeing: int
    converged: bool


def _search(law: _Law, p: Floats, rng: np.random.Generator) -> _Found:
    """Levenberg-Marquardt from the best of many starting points, by shares of the mean of p."""
    from scipy.optimize import least_squares

    starts = [law.start(rng) for _ in range(DRAWS)]
    size, scale = len(starts[0]), p.mean()
    idle = max(size - p.size, 0)  # the method wants as many residuals as parameters

    def residuals(theta: Floats) -> Floats:
        return np.append((law.curve(theta)[0] - p).ravel() / scale, np.zeros(idle))

    def slopes(theta: Floats) -> Floats:
        return np.vstack(
            [law.curve(theta)[1].reshape(-1, size) / scale, np.zeros((idle, size))],
        )

    def descend(start: Floats, steps: int) -> Any:
        goal = {"xtol": TOLERANCE, "ftol": TOLERANCE, "gtol": TOLERANCE}
        with np.errstate(invalid="ignore", over="ignore"):  # a step too far is taken back
            return least_squares(residuals, start, slopes, method="lm", max_nfev=steps, **goal)

    costs = [np.sum(residuals(start) ** 2) for start in starts]
    ends = [descend(starts[i], STEPS) for i in np.argsort(costs)[:SEARCHES]]
    best = min(ends, key=lambda end: np.nan_to_num(end.cost, nan=np.inf))
    if not best.success:
        best = descend(best.x, 20 * STEPS)
    error = np.sqrt(2.0 * np.array([end.cost for end in ends]) / p.size)
    agreeing = error <= 1.01 * np.sqrt(2.0 * best.cost / p.size) + SAME
    return _Found(law.read(best.x), size, int(agreeing.sum()), bool(best.success))


def _bayesian(form: str, n: Floats, p: Floats) -> _Law:
    """Searched: log(rho_j / rho_0), the log-odds of each P, log(K times the last n)."""
    m = len(p)
    states = max(m, 2)  # one curve has a task of its own and another
    own = np.arange(m)
    if form == "original":
        where = np.arange(m * states).reshape(m, states)  # the place of each P_mj
    else:
        of_text, of_task = np.indices((m, m))
        where = m + (of_text if form == "sampling" else of_task)
        where[own, own] = own
    one_hot = np.eye(where.max() + 1)[where]
    last, after = n[-1], n[n > 0.0]

    def parts(theta: Floats) -> tuple[Floats, Floats, Floats]:
        """log rho but for a constant, the log-odds of P, and K."""
        theta = np.clip(theta, -FAR, FAR)
        odds = theta[states - 1 : -1][where]
        return np.append(0.0, theta[: states - 1]), odds, np.exp(np.clip(theta[-1], -30, 30)) / last

    def curve(theta: Floats) -> tuple[Floats, Floats]:
        score, odds, efficiency = parts(theta)
        odds, evidence = odds[:, np.newaxis], (efficiency * n)[:, np.newaxis]
        log_p = -np.logaddexp(0.0, -odds)
        each, other = np.exp(log_p), np.exp(-np.logaddexp(0.0, odds))
        joint = score + evidence * log_p
        share = np.exp(joint - joint.max(axis=-1, keepdims=True))
        share /= share.sum(axis=-1, keepdims=True)
        value = (share * each).sum(axis=-1)
        pull = share * (each - value[..., np.newaxis])  # of the softmax
        by_odds = other * (share * each + evidence * pull)
        by_k = (pull * evidence * log_p).sum(axis=-1, keepdims=True)
        return value, np.concatenate([pull[..., 1:], by_odds @ one_hot, by_k], axis=-1)

    def start(rng: np.random.Generator) -> Floats:
        log_rho = np.log(rng.dirichlet(np.full(states, 0.5)) + 1e-6)
        ends = p[:, [0, -1]]
        first, final = (np.log(ends) - np.log1p(-np.minimum(ends, 1.0 - 1e-9))).T
        odds = np.empty(where.max() + 1)
        # of several texts with one P the last decides, which noise makes of little weight
        odds[where] = first[:, np.newaxis]
        odds += 1.5 * rng.normal(size=len(odds))
        odds[where[own, own]] = final + rng.normal(size=m)
        # K n is about 1 at one of the numbers of shots
        log_k = rng.normal() + np.log(last) - rng.uniform(*np.log(after[[0, -1]]))
        return np.concatenate([log_rho[1:] - log_rho[0], odds, [log_k]])

    def read(theta: Floats) -> dict[str, Any]:
        score, odds, efficiency = parts(theta)
        rho = np.exp(score - score.max())
        return {"rho": rho / rho.sum(), "P": np.exp(-np.logaddexp(0.0, -odds)), "K": efficiency}

    return _Law(curve, start, read)


def _baseline(form: str, n: Floats, p: Floats) -> _Law:
    """Of one curve.  Searched: the parameters' logarithms."""
    names = ("C", "alpha", "k") + (() if form == "power" else ("n_c",))

    def read(theta: Floats) -> dict[str, Any]:
        # within what a double's exponential can bear
        return dict(zip(names, np.exp(np.clip(theta, -30.0, 30.0)), strict=True))

    def curve(theta: Floats) -> tuple[Floats, Floats]:
        c, alpha, k, *more = read(theta).values()
        if form == "power":
            log_factor, by_more = np.log1p(n), []
        elif form == "bounded":
            log_factor, by_more = np.log1p(n / more[0]), [alpha * n / (more[0] + n)]
        else:
            with np.errstate(divide="ignore"):
                power = alpha * (np.log(n) - np.log(more[0]))
            log_factor = np.logaddexp(0.0, power)
            share = np.exp(power - log_factor)
            by_more = [alpha * share]
        if form == "logistic":
            fall = c * np.exp(-log_factor)
            by_alpha = -share * np.where(n > 0.0, power, 0.0)
        else:
            fall = c * np.exp(-alpha * log_factor)
            by_alpha = -alpha * log_factor
        value = np.exp(-fall - k)
        columns = [fall, fall * by_alpha, np.full(len(n), k), *(fall * each for each in by_more)]
        return value[np.newaxis], -(value[:, np.newaxis] * np.stack(columns, axis=1))[np.newaxis]

    def start(rng: np.random.Generator) -> Floats:
        first, last = -np.log(np.minimum(p[0, [0, -1]], 1.0 - 1e-9))
        point = [np.log(max(first - last, 1e-2)), 0.0, np.log(last)]
        if form != "power":
            point.append(np.log(np.median(n)))
        return np.array(point) + rng.normal(size=len(point))

    return _Law(curve, start, read)
