"""In-context learning curves: how fast demonstrations overrule a prior, and in which way.

n demonstrations of a label that the prior thinks unlikely; P(n) is the probability of that label
then.  One Dirichlet of concentration A with mean m on the other label gives

    P(n) = (A (1 - m) + n) / (A + n),        past 1/2 after n* = A (2 m - 1)

slowly, like 1 / n.  A mixture, one component of which expects the label, gives a switch: the
log-odds of the component grow by about the same with each demonstration.

Contents
    icl_curve                    the predictive along demonstrations, under any prior
    fit_icl_curve, IclFit        both forms fitted to a curve, and which one the data prefer
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core, display
from .errors import ConvergenceWarning
from .mixture import DirichletMixture

__all__ = ["IclCurve", "IclFit", "fit_icl_curve", "icl_curve"]

Floats = NDArray[np.float64]
Seed = np.random.Generator | int | None

LOG_RANGE = (-9.0, 14.0)  # of the logarithm of an alpha
STARTS = 12  # of the search for a switch
EXACT = 1e-12  # a mean KL that is none
FLAT = 1e-4  # a slope of the mean KL that a search may end at
STRONG = 6.0  # difference of BIC
MOST_SHOTS = 1e7  # where a crossing is looked for


def icl_curve(prior: DirichletMixture, label_counts: ArrayLike) -> Floats:
    """The predictive after each of several sets of demonstrations.

    Parameters
    ----------
    prior : DirichletMixture
        Over V labels.
    label_counts : array_like of shape (n, V)
        How often each label was shown.

    Returns
    -------
    ndarray of shape (n, V)

    Examples
    --------
    >>> import matrixbayes as mb
    >>> prior = mb.DirichletMixture([1.0], [[8.0, 2.0]])         # A = 10, m = 0.8: n* = 6
    >>> mb.icl_curve(prior, [[0, 0], [0, 6], [0, 30]])[:, 1]
    array([0.2, 0.5, 0.8])
    """
    counts = np.asarray(label_counts)
    if counts.ndim != 2:
        raise ValueError(f"label_counts have shape {counts.shape}; they need (n, V)")
    return prior.predictive(counts)


@dataclass(frozen=True, eq=False)
class IclCurve:
    """One form fitted to a curve; part of an `IclFit`.

    Attributes
    ----------
    prior : DirichletMixture
        Over (the label the prior prefers, the label that is shown).
    mean_kl : float
        Mean KL(observed || fitted) in nats.
    bic : float
        n ln(mean KL) + parameters ln n, for n points; lower is better.
    crossover : float
        Shots after which the shown label is the more probable one; infinite where it never is, 0
        where it is from the beginning.
    intervals : dict of str to (low, high)
        Of crossover and, for one Dirichlet, of concentration and mean; over samples of the points.
    """

    prior: DirichletMixture
    mean_kl: float
    bic: float
    crossover: float
    intervals: dict[str, tuple[float, float]]

    @property
    def concentration(self) -> float:
        """A, of the one Dirichlet or summed over components by weight."""
        return float(self.prior.weights @ self.prior.concentration)

    @property
    def mean(self) -> float:
        """m: the prior probability of the label that is not shown."""
        return float(self.prior.mean()[0])

    def __call__(self, shots: ArrayLike) -> Floats:
        """P(n) at any number of shots."""
        n = np.atleast_1d(np.asarray(shots, dtype=np.float64))
        return self.prior.predictive(np.column_stack([np.zeros(len(n)), n]))[:, 1]


@dataclass(frozen=True, eq=False, repr=False)
class IclFit:
    """Both forms of a learning curve; made by `fit_icl_curve`.

    Attributes
    ----------
    dirichlet : IclCurve
        One Dirichlet: slow.
    switch : IclCurve or None
        A mixture of two; None where there are too few different numbers of shots.
    level : float
        Of the intervals.
    """

    dirichlet: IclCurve
    switch: IclCurve | None
    level: float

    @property
    def bic_difference(self) -> float:
        """BIC of the Dirichlet less that of the switch: above 6 is strong evidence for a switch,
        below -6 against it (Kass & Raftery 1995); NaN without a switch."""
        return np.nan if self.switch is None else self.dirichlet.bic - self.switch.bic

    @property
    def best(self) -> IclCurve:
        """The form that the data prefer: one Dirichlet, unless the switch is clearly better."""
        if self.switch is not None and self.bic_difference > STRONG:
            return self.switch
        return self.dirichlet

    def verdict(self) -> str:
        """Which form, in a sentence."""
        if self.switch is None:
            return "Too few points to tell a switch from slow learning."
        told = f"BIC {display.number(abs(self.bic_difference))} lower than the other's"
        if self.best is self.switch:
            return f"A switch: {told}."
        if self.bic_difference < -STRONG:
            return f"Slow learning from one Dirichlet: {told}."
        return "The data do not tell a switch from slow learning: their BIC differ by less than 6."

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        lines = []
        for name, curve in (("one Dirichlet", self.dirichlet), ("switch", self.switch)):
            if curve is not None:
                low, high = curve.intervals.get("crossover", (np.nan, np.nan))
                lines.append([name, curve.mean_kl, curve.bic, curve.crossover, low, high])
        percent = f"{self.level:.0%}"
        return ["", "mean KL", "BIC", "crossover", f"{percent} from", "to"], lines

    def __repr__(self) -> str:
        columns, lines = self._table()
        return display.table_text(columns, lines, title=self.verdict())

    def _repr_html_(self) -> str:
        columns, lines = self._table()
        return display.table_html(columns, lines, caption=self.verdict())


def fit_icl_curve(
    shots: ArrayLike,
    probabilities: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    n_boot: int = 200,
    level: float = 0.9,
    rng: Seed = None,
) -> IclFit:
    """Fit slow and sudden learning to a curve of probabilities against shots.

    Parameters
    ----------
    shots : array_like of shape (n,)
        Demonstrations of the label that was shown; not negative.  The same number may come often.
    probabilities : array_like of shape (n,)
        What the model gives that label, from 0 to 1.
    weights : array_like of shape (n,), optional
        Of the points.
    n_boot : int
        Samples of the points behind the intervals; 0 for none.
    level : float
        Of the intervals.
    rng : numpy.random.Generator or int, optional

    Returns
    -------
    IclFit

    Warns
    -----
    ConvergenceWarning
        A search ended without meeting its tolerance.

    Notes
    -----
    Both minimise the mean of KL(observed || fitted) over points.

    Examples
    --------
    >>> import numpy as np, matrixbayes as mb
    >>> shots = np.arange(0, 40, 3)
    >>> found = mb.fit_icl_curve(shots, (2 + shots) / (10 + shots), rng=0)
    >>> curve = found.dirichlet
    >>> round(curve.concentration, 3), round(curve.mean, 3), round(curve.crossover, 3)
    (10.0, 0.8, 6.0)
    """
    n, p, w = _points(shots, probabilities, weights)
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it must be between 0 and 1")
    generator = np.random.default_rng(rng)
    if len(np.unique(n)) < 2:
        raise ValueError("all points have the same number of shots; a curve needs two")
    fits = []
    for k in (1, 2):
        parameters = 2 if k == 1 else 5
        if len(np.unique(n)) <= parameters and k == 2:
            break
        theta, value = _search(n, p, w, k, _starts(n, p, k, generator))
        fits.append(
            IclCurve(
                prior=_prior(theta, k),
                mean_kl=value,
                bic=len(n) * np.log(max(value, EXACT)) + parameters * np.log(len(n)),
                crossover=_crossover(_prior(theta, k)),
                intervals=_intervals(n, p, w, k, theta, n_boot, level, generator),
            )
        )
    return IclFit(fits[0], fits[1] if len(fits) == 2 else None, level)


def _points(
    shots: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    n, p = (np.asarray(x, dtype=np.float64) for x in (shots, probabilities))
    if n.ndim != 1 or n.shape != p.shape:
        raise ValueError(f"shots and probabilities have shapes {n.shape} and {p.shape}")
    if not (np.isfinite(n) & (n >= 0.0)).all():
        i = int(np.argmin(np.isfinite(n) & (n >= 0.0)))
        raise ValueError(f"shots[{i}] is {n[i]}; it must be finite and not negative")
    if not ((p >= 0.0) & (p <= 1.0)).all():
        i = int(np.argmin((p >= 0.0) & (p <= 1.0)))
        raise ValueError(f"probabilities[{i}] is {p[i]}; it must be from 0 to 1")
    w = np.ones(len(n)) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != n.shape or not (np.isfinite(w) & (w >= 0.0)).all() or w.sum() == 0.0:
        raise ValueError("weights must be one for each point, finite, >= 0, and not all 0")
    return n, p, w / w.sum()


def _prior(theta: Floats, k: int) -> DirichletMixture:
    """From the vector that is searched: ln alpha (k, 2), and the log-odds of the second weight."""
    alpha = np.exp(theta[: 2 * k]).reshape(k, 2)
    if k == 1:
        return DirichletMixture([1.0], alpha)
    share = 1.0 / (1.0 + np.exp(-theta[-1]))
    return DirichletMixture([1.0 - share, share], alpha)


def _curve(theta: Floats, k: int, n: Floats) -> tuple[Floats, Floats]:
    """P(n), and its derivative by each parameter (parameters, n)."""
    a = np.exp(theta[: 2 * k]).reshape(k, 2)
    total = a.sum(axis=1)[:, np.newaxis]
    each = (a[:, 1:] + n) / (total + n)  # (k, n)
    of_other = -each / (total + n)  # by the alphas
    of_shown = (1.0 - each) / (total + n)
    if k == 1:
        return each[0], np.stack([a[0, 0] * of_other[0], a[0, 1] * of_shown[0]])
    evidence = _core.lgamma_difference(a[:, 1:], n) - _core.lgamma_difference(total, n)
    odds = np.clip(theta[-1] + evidence[1] - evidence[0], -700.0, 700.0)
    share = 1.0 / (1.0 + np.exp(-odds))
    by_odds = share * (1.0 - share) * (each[1] - each[0])
    by_total = -_core.digamma_difference(total, n)  # of the evidence
    by_shown = _core.digamma_difference(a[:, 1:], n) + by_total
    rows = []
    for j, (weight, sign) in enumerate(((1.0 - share, -1.0), (share, 1.0))):
        rows.append(a[j, 0] * (weight * of_other[j] + sign * by_odds * by_total[j]))
        rows.append(a[j, 1] * (weight * of_shown[j] + sign * by_odds * by_shown[j]))
    return (1.0 - share) * each[0] + share * each[1], np.stack([*rows, by_odds])


def _search(n: Floats, p: Floats, w: Floats, k: int, starts: list[Floats]) -> tuple[Floats, float]:
    """The best parameters found from several starts, and their mean KL."""
    from scipy.optimize import minimize

    def loss(theta: Floats) -> tuple[float, Floats]:
        q, slopes = _curve(theta, k, n)
        q = np.clip(q, 1e-300, 1.0 - 1e-16)
        with np.errstate(divide="ignore", invalid="ignore"):
            yes = np.where(p > 0.0, p * np.log(p / q), 0.0)
            no = np.where(p < 1.0, (1.0 - p) * np.log((1.0 - p) / (1.0 - q)), 0.0)
        return float(w @ (yes + no)), slopes @ (w * ((1.0 - p) / (1.0 - q) - p / q))

    bounds = [LOG_RANGE] * (2 * k) + [(-30.0, 30.0)] * (k - 1)
    # from the optimum of all points, to that of a sample of them, less will do
    again = len(starts) == 1
    options = {"maxiter": 60 if again else 2000, "ftol": 1e-9 if again else 1e-16, "gtol": 1e-10}
    found = [
        minimize(loss, x, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        for x in starts
    ]
    best = min(found, key=lambda f: f.fun)
    inside = (best.x > LOG_RANGE[0] + 1e-6) & (best.x < LOG_RANGE[1] - 1e-6)
    slope = float(np.abs(best.jac[inside]).max(initial=0.0))
    if slope > FLAT and len(starts) > 1:
        warnings.warn(
            f"the search for a curve of {k} components ended at a slope of {slope:.1e}",
            ConvergenceWarning,
            stacklevel=3,
        )
    return best.x, max(float(best.fun), 0.0)


def _starts(n: Floats, p: Floats, k: int, rng: np.random.Generator) -> list[Floats]:
    first = float(np.clip(p[np.argmin(n)], 0.01, 0.99))
    middle = max(float(np.median(n)), 1.0)
    one = np.log([middle * (1.0 - first), middle * first])
    if k == 1:
        return [one, one + 2.0, one - 2.0]
    starts = []
    for _ in range(STARTS):
        slow = one + rng.normal(0.0, 1.5, 2)
        flipped = np.log([0.5, 5.0]) + rng.normal(0.0, 1.5, 2)
        starts.append(np.concatenate([slow, flipped, [rng.normal(-3.0, 2.0)]]))
    return starts


def _crossover(prior: DirichletMixture) -> float:
    """Where the curve passes 1/2."""
    from scipy.optimize import brentq

    def above(shots: float) -> float:
        return float(prior.predictive([[0.0, shots]])[0, 1]) - 0.5

    if above(0.0) >= 0.0:
        return 0.0
    if prior.n_components == 1:
        return float(prior.alpha[0, 0] - prior.alpha[0, 1])  # A (2 m - 1)
    end = 1.0
    while above(end) < 0.0:
        end *= 2.0
        if end > MOST_SHOTS:
            return np.inf
    return float(brentq(above, 0.0, end, xtol=1e-10))


def _intervals(
    n: Floats,
    p: Floats,
    w: Floats,
    k: int,
    theta: Floats,
    n_boot: int,
    level: float,
    rng: np.random.Generator,
) -> dict[str, tuple[float, float]]:
    """Percentiles over samples of the points."""
    values: dict[str, list[float]] = {"crossover": []}
    if k == 1:
        values |= {"concentration": [], "mean": []}
    for _ in range(n_boot):
        drawn = rng.choice(len(n), len(n), p=w)
        if len(np.unique(n[drawn])) < 2:
            continue
        even = np.full(len(n), 1.0 / len(n))
        own = _prior(_search(n[drawn], p[drawn], even, k, [theta])[0], k)
        values["crossover"].append(_crossover(own))
        if k == 1:
            values["concentration"].append(float(own.concentration[0]))
            values["mean"].append(float(own.mean()[0]))
    ends = [0.5 - level / 2, 0.5 + level / 2]
    return {
        name: (float(low), float(high))
        for name, found in values.items()
        if found
        for low, high in [np.quantile(found, ends, method="nearest")]
    }
