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

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._base import display
from .._base.arguments import generator_of, probability, times, whole
from .._base.numbers import reals
from .._base.typing import Floats, Seed
from .scaling_samples import CLEAR, Curves, Interval, criterion, errors, intervals, trends
from .scaling_search import SEARCHES, Law, again, baseline, bayesian, search

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


LAWS = ("original", "sampling", "scoring", "power", "bounded", "logistic")
BAYESIAN = LAWS[:3]

Refit = Callable[[Floats], dict[str, Any]]  # from other curves to a law's parameters


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
    >>> from matrixbayes.icl import bayesian_law
    >>> bayesian_law([0, 1, 2, 4, 8, 16], [0.01, 0.99], [0.8, 0.3]).round(6)
    array([0.305   , 0.313115, 0.333508, 0.469047, 0.781364, 0.799992])
    """
    n = _shots(shots)
    weights, each = reals(rho, "rho"), reals(p, "p")
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
    found: Floats = share @ each / share.sum(axis=1)
    return found


def _shots(shots: ArrayLike) -> Floats:
    n = reals(shots, "shots")
    if n.ndim != 1 or not (np.isfinite(n) & (n >= 0.0)).all():
        raise ValueError("shots must be of one dimension, finite and not negative")
    return n


@dataclass(frozen=True, eq=False, repr=False)
class LawFit(display.Shown):
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
    intervals : dict or None
        Over samples of the groups, (low, high) each: where tasks have several curves, of every
        parameter and of "predicted"; else of "nrmse" and "extrapolation_nrmse", for the law as it
        is.  None without `tasks` and `groups`.
    """

    law: str
    parameters: dict[str, Any]
    n_parameters: int
    nrmse: float
    extrapolation_nrmse: float
    predicted: Floats
    n_agreeing: int
    converged: bool
    intervals: dict[str, Interval] | None = None

    def __call__(self, shots: ArrayLike) -> Floats:
        """Probabilities of shape (M, n) at any shots."""
        return _predict(self.law, self.parameters, _shots(shots))

    def to_pandas(self) -> pd.DataFrame:
        """A row for each parameter (and task): ``parameter``, ``task``, ``value``.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        rows = [
            [name, i if np.ndim(values) else None, value]
            for name, values in self.parameters.items()
            for i, value in enumerate(np.ravel(values).tolist())
        ]
        names, tasks, values = zip(*rows, strict=True) if rows else ((), (), ())
        return display.frame(
            {"parameter": names, "task": tasks, "value": values}, index=range(len(rows))
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Predicted probabilities, at the numbers of shots that were fitted."""
        from .plots import law  # needs matplotlib

        return law(self, ax=ax)

    def _table(self) -> display.Table:
        lines = []
        for name, values in self.parameters.items():
            said = display.numbers([*map(float, np.ravel(values)[:4])])
            more = ", ..." * (np.size(values) > 4)
            lines.append([name.replace("_", " "), ", ".join(said) + more])
        title = f"LawFit, {self.law}: NRMSE {display.number(float(self.nrmse))}"
        if np.isfinite(self.extrapolation_nrmse):
            title += f", extrapolated {display.number(float(self.extrapolation_nrmse))}"
        title += "" if self.converged else ", NOT converged"
        return display.Table(title, ["", ""], lines)


@dataclass(frozen=True, eq=False, repr=False)
class ScalingFit(display.Shown):
    """Laws fitted to the same curves; made by `fit_scaling_laws`.

    Attributes
    ----------
    laws : dict of str to LawFit
    n_fitted : int
        How many of the numbers of shots were fitted, the smallest ones.
    shots : ndarray of shape (n,)
    probabilities : ndarray of shape (M, n)
        What was given, fitted or not; of tasks with several curves their means.
    constant : LawFit or None
        One probability for each task, whatever the shots.
    trends : tuple of str
        Of each task's curve: "rising", "flat" or "falling", on what was fitted.
    gain : float
        How much better the best law is than a constant, by a BIC of least squares corrected for few
        points: above 6 is strong evidence of learning, below 0 speaks against it; NaN where there
        are too few points to tell.
    """

    laws: dict[str, LawFit]
    n_fitted: int
    shots: Floats
    probabilities: Floats
    constant: LawFit | None = None
    trends: tuple[str, ...] = ()
    gain: float = np.nan

    def __getitem__(self, law: str) -> LawFit:
        return self.laws[law]

    @property
    def best(self) -> LawFit:
        """The law that extrapolates best, or fits best where nothing was left to extrapolate to;
        the constant where no law is clearly better than that."""
        if self.constant is not None and self.gain < CLEAR:
            return self.constant
        fits, told = list(self.laws.values()), self._extrapolates
        return min(fits, key=lambda fit: fit.extrapolation_nrmse if told else fit.nrmse)

    @property
    def _extrapolates(self) -> bool:
        return self.n_fitted < len(self.shots)

    def verdict(self) -> str:
        """Whether the curves learn, and by which law, in a sentence or two."""
        falling = [m for m, trend in enumerate(self.trends) if trend == "falling"]
        whose = f" of task {', '.join(map(str, falling))}"
        whose = "" if len(falling) == len(self.trends) else whose
        falls = (
            f"the curve{whose} is falling" if len(falling) == 1 else f"curves{whose} are falling"
        )
        if self.gain >= CLEAR:
            error = self.best.extrapolation_nrmse if self._extrapolates else self.best.nrmse
            told = (
                f"Learning: {self.best.law} {'extrapolates' if self._extrapolates else 'fits'} best"
            )
            words = f"{told}, NRMSE {display.number(error)}."
            return f"{words}  But {falls}, which no law of learning does." if falling else words
        if falling:
            return f"No learning: {falls} with more examples, which no law of learning does."
        if np.isnan(self.gain):
            return "There are too few points to tell a law from a constant probability."
        if self.gain <= 0.0:
            return "No learning: a constant probability explains the curves as well as any law."
        return "The data do not tell learning from a constant probability."

    def _table(self) -> display.Table:
        lines = [
            [fit.law, fit.n_parameters, fit.nrmse, fit.extrapolation_nrmse, fit.n_agreeing]
            for fit in self.laws.values()
        ]
        title = "ScalingFit"
        if self.constant is not None:
            same = self.constant
            lines.append(["constant", same.n_parameters, same.nrmse, same.extrapolation_nrmse, ""])
            title = f"ScalingFit.  {self.verdict()}"
        columns = ["law", "parameters", "NRMSE", "NRMSE, extrapolated", "searches agreeing"]
        return display.Table(title, columns, lines)

    def plot(self, *, task: int | None = None, ax: Axes | None = None) -> Axes:
        """What was fitted and held out, with each law; `plot.scaling_laws`."""
        from .plots import scaling_laws  # needs matplotlib

        return scaling_laws(self, task=task, ax=ax)

    def to_pandas(self) -> pd.DataFrame:
        """A row for each law: parameters, both errors, searches that agree.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        fits = [*self.laws.values()] + ([] if self.constant is None else [self.constant])
        names = ["law", "n_parameters", "nrmse", "extrapolation_nrmse", "n_agreeing", "converged"]
        return display.frame({name: [getattr(fit, name) for fit in fits] for name in names})


def fit_scaling_laws(
    shots: ArrayLike,
    probabilities: ArrayLike,
    *,
    laws: str | Iterable[str] | None = None,
    n_fitted: int | None = None,
    rng: Seed = None,
    tasks: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    n_boot: int = 200,
    level: float = 0.9,
) -> ScalingFit:
    """Fit Bayesian scaling laws and the usual baselines, and extrapolate them.

    Parameters
    ----------
    shots : array_like of shape (n,)
        Rising, finite, not negative; 3 or more.
    probabilities : array_like of shape (M, n), (R, n) or (n,)
        Of an example of each of M tasks after so many of its own; with `tasks`, of R texts.
    laws : str or iterable of str, optional
        Some of "original" (rho, a P for each pair of tasks, K), "sampling" (each task's text has a
        P under its own and one under all others), "scoring" (each task gives a P to its own text
        and one to all others'), "power", "bounded", "logistic"; by default all that are different:
        of one curve the Bayesian laws are one, "original", of two hypotheses.
    n_fitted : int, optional
        Fit to so many of the numbers of shots, the smallest, and extrapolate to the others.
    rng : numpy.random.Generator or int, optional
        Makes the starting points and the samples.
    tasks : array_like of shape (R,), optional
        Which task each curve is of: laws are fitted to the mean curve of each, in the order of
        their labels.  By default each curve is a task of its own.
    groups : array_like of shape (R,), optional
        Which curves belong together, those of one template or one sequence say: samples are of
        whole groups.  By default each is its own.
    n_boot : int
        Samples behind the intervals, which there are where `tasks` or `groups` are given.
    level : float
        Of the intervals.

    Returns
    -------
    ScalingFit

    Warns
    -----
    RuntimeWarning
        Where only one search of 64 found a law's best fit, so that others may be better, or where
        that search did not converge, of curves that a constant does not explain as well.

    Notes
    -----
    Least squares of the probabilities.  The baselines are laws of the negative log-probability, one
    for each curve:

    ========  ===============================
    power     C (n + 1)^-alpha + k
    bounded   C (1 + n / n_c)^-alpha + k
    logistic  C / (1 + (n / n_c)^alpha) + k
    ========  ===============================

    Every law rises with the shots.  Whether curves do is judged on what is fitted, against one
    constant for each task; a curve that falls is told by a line in the logarithm of the shots.

    Samples are of groups with the same tasks, somewhat fewer than there are (Rao & Wu 1988), which
    makes the percentiles as wide as Student's t; each sample is fitted again from the best fit.
    Those of 0.9 by 24 groups held a planted curve, extrapolated to 1.6 times the shots, in 88 % of
    480 cases.  Parameters need not be identified (tasks of one P, an n_c beyond the shots).

    Examples
    --------
    >>> import numpy as np
    >>> from matrixbayes.icl import bayesian_law, fit_scaling_laws
    >>> shots = np.arange(0, 30)
    >>> curve = bayesian_law(shots, [0.01, 0.99], [0.8, 0.3])
    >>> found = fit_scaling_laws(shots, curve, n_fitted=10, rng=0)
    >>> found.best.law, found["original"].parameters["P"].round(3)
    ('original', array([[0.8, 0.3]]))
    """
    n, p = reals(shots, "shots").copy(), reals(probabilities, "probabilities").copy()
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
    fitted = len(n) if n_fitted is None else whole(n_fitted, "n_fitted", 3, len(n))
    n_boot = times(n_boot, "n_boot", 0)
    level = probability(level, "level", inside=True)
    curves = Curves.checked(p, tasks, groups)
    p = curves.means()
    wanted = _wanted(laws, len(p))
    generator = generator_of(rng)
    fits = {law: _fit(law, n, p, fitted, generator) for law in wanted}
    constant = _constant(p, fitted)
    gain = _gain([fit for fit, _ in fits.values()], constant, p[:, :fitted])
    if not gain < CLEAR:
        for fit, _ in fits.values():
            if fit.n_agreeing < 2 or not fit.converged:
                why = "did not converge" if not fit.converged else "was found by one search only"
                warnings.warn(f"{fit.law}: the best fit {why}", RuntimeWarning, stacklevel=2)
    if n_boot and not (tasks is None and groups is None):
        samples = curves.samples(n_boot, level, generator)
        for law, (fit, refit) in fits.items():
            ends = _intervals(fit, refit, curves, samples, n, fitted, level)
            fits[law] = replace(fit, intervals=ends), refit
    found = {law: fit for law, (fit, _) in fits.items()}
    return ScalingFit(found, fitted, n, p, constant, trends(n[:fitted], p[:, :fitted]), gain)


def _constant(p: Floats, fitted: int) -> LawFit:
    """The mean of what is fitted of each curve."""
    means = p[:, :fitted].mean(axis=1)
    predicted = np.repeat(means[:, np.newaxis], p.shape[1], axis=1)
    return LawFit(
        "constant",
        {"p": means},
        len(p),
        _nrmse(predicted[:, :fitted], p[:, :fitted]),
        np.nan if fitted == p.shape[1] else _nrmse(predicted[:, fitted:], p[:, fitted:]),
        predicted,
        SEARCHES,
        True,
    )


def _gain(fits: list[LawFit], constant: LawFit, p: Floats) -> float:
    """How much better the best law is than a constant; NaN where no law has points to spare."""

    def told(fit: LawFit) -> float:
        return criterion(fit.predicted[:, : p.shape[1]], p, fit.n_parameters)

    best = min(map(told, fits))
    return told(constant) - best if np.isfinite(best) else np.nan


def _intervals(
    fit: LawFit,
    refit: Refit,
    curves: Curves,
    samples: list[Floats],
    n: Floats,
    fitted: int,
    level: float,
) -> dict[str, Interval]:
    """Of parameters and curves where tasks have several curves, else of how far off the law is."""
    if curves.several:

        def found(p: Floats) -> dict[str, Any]:
            parameters = refit(p[:, :fitted])
            return parameters | {"predicted": _predict(fit.law, parameters, n)}

        return intervals(found, curves, samples, level)
    cuts = {"nrmse": slice(0, fitted), "extrapolation_nrmse": slice(fitted, len(n))}
    return {
        name: errors(fit.predicted, curves, samples, cut, level)
        for name, cut in cuts.items()
        if cut.start < cut.stop
    }


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


def _fit(
    law: str, n: Floats, p: Floats, fitted: int, rng: np.random.Generator
) -> tuple[LawFit, Refit]:
    """The best of several searches, none of which sees what is held out, and how to fit again."""
    bayes = law in BAYESIAN
    make = bayesian if bayes else baseline

    def parts(p: Floats) -> list[Floats]:
        return [p] if bayes else list(p[:, np.newaxis])  # a baseline is one problem for each curve

    def joined(found: list[dict[str, Any]]) -> dict[str, Any]:
        if bayes:
            return found[0]
        return {name: np.array([each[name] for each in found]) for name in found[0]}

    problems: list[Law] = [make(law, n[:fitted], part) for part in parts(p[:, :fitted])]
    found = [
        search(problem, part, rng)
        for problem, part in zip(problems, parts(p[:, :fitted]), strict=True)
    ]

    def refit(p: Floats) -> dict[str, Any]:
        each = zip(problems, parts(p), found, strict=True)
        return joined([again(problem, part, one.theta) for problem, part, one in each])

    parameters = joined([each.parameters for each in found])
    predicted = _predict(law, parameters, n)
    fit = LawFit(
        law,
        parameters,
        sum(each.size for each in found),
        _nrmse(predicted[:, :fitted], p[:, :fitted]),
        np.nan if fitted == len(n) else _nrmse(predicted[:, fitted:], p[:, fitted:]),
        predicted,
        min(each.n_agreeing for each in found),
        all(each.converged for each in found),
    )
    return fit, refit


def _nrmse(found: Floats, wanted: Floats) -> float:
    return float(np.sqrt(np.mean((found - wanted) ** 2)) / wanted.mean())


def _predict(law: str, parameters: dict[str, Any], n: Floats) -> Floats:
    """Probabilities (M, n) by the law with these parameters."""
    if law == "constant":
        return np.repeat(parameters["p"][:, np.newaxis], len(n), axis=1)
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
    p: Floats = np.exp(-loss)
    return p
