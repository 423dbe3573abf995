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

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._base import display
from .._base.arguments import generator_of, having, probability, times
from .._base.numbers import reals
from .._base.tokens import counted
from .._base.typing import Floats, Seed
from ..mixture import DirichletMixture
from .search import Points, crossing, kl, mixture, percentiles, search, starts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


EXACT = 1e-10  # a mean KL that is none: logits in float32, and a concentration at its limit
LEAST_UNIT = 1e-14  # nats below which a mean KL is rounding
STRONG = 6.0  # difference of BIC


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
    having(prior, "prior", "n_tokens", "predictive")
    counts, single = counted(label_counts, prior.tokens, prior.n_tokens, "the prior")
    if single:
        raise ValueError(f"label_counts have shape {counts[0].shape}; they need (n, V)")
    return prior.predictive(counts)


@dataclass(frozen=True, eq=False, repr=False)
class IclCurve(display.Shown):
    """One form fitted to a curve; part of an `IclFit`.

    Attributes
    ----------
    prior : DirichletMixture
        Over (the label the prior prefers, the label that is shown).
    mean_kl : float
        Mean KL(observed || fitted) in nats.
    bic : float
        n ln(mean KL) + parameters ln n, for n points, each as often as its weight says (where
        weights are below 1 in the mean, once); lower is better.
    crossover : float
        Shots after which the shown label is the more probable one; infinite where it never is, or
        not within 10,000 shots of a switch, 0 where it is from the beginning.
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

    def __call__(self, shots: ArrayLike, others: ArrayLike = 0.0) -> Floats:
        """P(n) at any number of shots, and of demonstrations of other labels beside them."""
        n = np.atleast_1d(reals(shots, "shots"))
        rest = np.broadcast_to(reals(others, "others"), n.shape)
        return self.prior.predictive(np.column_stack([rest, n]))[:, 1]

    def to_pandas(self) -> pd.DataFrame:
        """A row for each component: that of ``prior``.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        found: pd.DataFrame = self.prior.to_pandas()
        return found

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Probability of the label that is shown, against shots."""
        from .plots import fitted_curve  # needs matplotlib

        return fitted_curve(self, ax=ax)

    def _table(self) -> display.Table:
        n = self.prior.n_components
        low, high = self.intervals.get("crossover", (np.nan, np.nan))
        lines: list[list[Any]] = [
            ["mean KL, nats", self.mean_kl],
            ["BIC", self.bic],
            ["crossover, shots", self.crossover],
            ["from", low],
            ["to", high],
            ["concentration", ", ".join(display.numbers([*map(float, self.prior.concentration)]))],
        ]
        title = f"IclCurve: {'one Dirichlet' if n == 1 else f'a mixture of {n}'}"
        return display.Table(title, ["", ""], lines)


@dataclass(frozen=True, eq=False, repr=False)
class IclFit(display.Shown):
    """Both forms of a learning curve; made by `fit_icl_curve`.

    Attributes
    ----------
    dirichlet : IclCurve
        One Dirichlet: slow.
    switch : IclCurve or None
        A mixture of two; None where there are too few different numbers of shots.
    constant_kl, constant_bic : float
        Of the mean probability, whatever the shots; one parameter.
    level : float
        Of the intervals.
    shots, others, probabilities : ndarray of shape (n,)
        The points that were fitted, which weigh anything.
    falling_kl, falling_bic : float
        Of the same forms for the other labels' probability, which then rises with the shots; the
        better of both.  NaN where a form that rises is clearly better than a constant.
    """

    dirichlet: IclCurve
    switch: IclCurve | None
    constant_kl: float
    constant_bic: float
    level: float
    shots: Floats
    others: Floats
    probabilities: Floats
    falling_kl: float = np.nan
    falling_bic: float = np.nan

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

    @property
    def is_falling(self) -> bool:
        """Whether the points clearly fall with the shots, which no learner of the label's do."""
        return self.falling_bic < min(self.constant_bic - STRONG, self.best.bic)

    def verdict(self) -> str:
        """Which form, in a sentence."""
        gained = self.constant_bic - self.best.bic
        if self.is_falling:
            fall = display.number(self.constant_bic - self.falling_bic)
            return (
                "No learning: the curve is falling, the label becomes less probable the more often "
                f"it is shown (BIC {fall} lower than a constant's)."
            )
        if gained <= 0.0:
            return (
                "No learning: a constant probability explains the points as well, its BIC "
                f"{display.number(-gained)} lower."
            )
        if gained < STRONG:
            return (
                "The data do not tell learning from a constant probability: their BIC differ by "
                "less than 6."
            )
        if self.switch is None:
            return "Too few points to tell a switch from slow learning."
        told = f"BIC {display.number(abs(self.bic_difference))} lower than the other's"
        if self.best is self.switch:
            return f"A switch: {told}."
        if self.bic_difference < -STRONG:
            return f"Slow learning from one Dirichlet: {told}."
        return "The data do not tell a switch from slow learning: their BIC differ by less than 6."

    def _table(self) -> display.Table:
        lines = []
        for name, curve in (("one Dirichlet", self.dirichlet), ("switch", self.switch)):
            if curve is not None:
                low, high = curve.intervals.get("crossover", (np.nan, np.nan))
                lines.append([name, curve.mean_kl, curve.bic, curve.crossover, low, high])
        if self.is_falling:
            lines.append(["falling", self.falling_kl, self.falling_bic, "", "", ""])
        lines.append(["constant", self.constant_kl, self.constant_bic, "", "", ""])
        percent = f"{100 * self.level:g}%"
        columns = ["", "mean KL", "BIC", "crossover", f"{percent} from", "to"]
        return display.Table(self.verdict(), columns, lines)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The points, both forms and where they pass 1/2; `plot.icl_curve`."""
        from .plots import icl_curve  # needs matplotlib

        return icl_curve(self, ax=ax)

    def to_pandas(self) -> pd.DataFrame:
        """A row for each form: mean KL in nats, BIC, crossover and its interval.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        rows = []
        for name, curve in (("dirichlet", self.dirichlet), ("switch", self.switch)):
            if curve is not None:
                ends = curve.intervals.get("crossover", (np.nan, np.nan))
                rows.append([name, curve.mean_kl, curve.bic, curve.crossover, *ends])
        rows.append(["falling", self.falling_kl, self.falling_bic, np.nan, np.nan, np.nan])
        rows.append(["constant", self.constant_kl, self.constant_bic, np.nan, np.nan, np.nan])
        names = ["form", "mean_kl", "bic", "crossover", "crossover_low", "crossover_high"]
        return display.frame(dict(zip(names, zip(*rows, strict=True), strict=True)))


def fit_icl_curve(
    shots: ArrayLike,
    probabilities: ArrayLike,
    *,
    others: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    groups: ArrayLike | None = None,
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
    others : array_like of shape (n,), optional
        Demonstrations of other labels in the same prompts; none by default.
    weights : array_like of shape (n,), optional
        Of the points: weight k counts one as k equal points, and one of weight 0 is not there.
    groups : array_like of shape (n,), optional
        What points belong together, those of one order of demonstrations say; samples are of whole
        groups, two at least.  By default each point is its own, however heavy: a point and its
        repetitions belong together.
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
    Both minimise the mean of KL(observed || fitted) over points.  With `others`, o of them, the
    Dirichlet's curve is (A (1 - m) + n) / (A + n + o).  There are intervals where there are more
    different points than parameters; with few groups they are too narrow, those of 5 groups at 0.9
    hold the truth in about 82 % of cases.

    Examples
    --------
    >>> import numpy as np, matrixbayes as mb
    >>> shots = np.arange(0, 40, 3)
    >>> found = mb.fit_icl_curve(shots, (2 + shots) / (10 + shots), rng=0)
    >>> curve = found.dirichlet
    >>> round(curve.concentration, 3), round(curve.mean, 3), round(curve.crossover, 3)
    (10.0, 0.8, 6.0)
    """
    points = Points.checked(shots, probabilities, others, weights, groups)
    level = probability(level, "level", inside=True)
    n_boot = times(n_boot, "n_boot", 0)
    if points.n_different() < 2:
        raise ValueError("all points have the same number of shots; a curve needs two")
    generator = generator_of(rng)
    many = points.n_points

    def bic(mean_kl: float, parameters: int) -> float:
        return float(many * np.log(max(mean_kl, EXACT)) + parameters * np.log(many))

    fits = []
    for k, parameters in ((1, 2), (2, 5)):
        if k == 2 and points.n_different() <= parameters:
            break
        theta, value = search(points, k, starts(points, k, generator))
        prior = mixture(theta, k)
        fits.append(
            IclCurve(
                prior=prior,
                mean_kl=value,
                bic=bic(value, parameters),
                crossover=crossing(prior),
                intervals=percentiles(
                    points, k, theta, max(value, LEAST_UNIT), n_boot, level, generator
                ),
            )
        )
    mean = float(points.weights @ points.probabilities)
    constant = float(points.weights @ kl(points.probabilities, np.full(len(points), mean)))
    falling = (np.nan, np.nan)
    if min(fit.bic for fit in fits) > bic(constant, 1) - STRONG:
        other = replace(points, probabilities=1.0 - points.probabilities)
        for k, parameters in ((1, 2), (2, 5))[: len(fits)]:
            value = search(other, k, starts(other, k, generator))[1]
            if not falling[1] <= bic(value, parameters):
                falling = value, bic(value, parameters)
            if falling[1] < bic(constant, 1) - STRONG:
                break
    return IclFit(
        dirichlet=fits[0],
        switch=fits[1] if len(fits) == 2 else None,
        constant_kl=constant,
        constant_bic=bic(constant, 1),
        level=level,
        shots=points.shown,
        others=points.others,
        probabilities=points.probabilities,
        falling_kl=falling[0],
        falling_bic=falling[1],
    )
