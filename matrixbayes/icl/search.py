"""The searches of `fit_icl_curve`: what is fitted, the curve and its slopes, samples of the points.

Contents
    Points              demonstrations, probabilities and weights, checked
    kl                  between two outcomes and two others
    curve, mixture      P, and a mixture of k Dirichlets over two labels, from the searched vector
    search, starts      the best vector found from several starting points
    crossing            where the curve of a mixture passes 1/2
    percentiles         intervals over samples of the points
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._base.numbers import reals
from .._base.typing import Floats
from .._base.weights import group_numbers, n_units, shares_of
from ..errors import ConvergenceWarning
from ..mixture import DirichletMixture

LOG_RANGE = (-9.0, 14.0)  # of the logarithm of an alpha
STARTS = 12  # of the search for a switch
FLAT = 1e-4  # a slope of the mean KL that a search may end at
MOST = 1e300  # points by weight: as many nats more are still a double
MOST_SHOTS = 1e4  # where a crossing is looked for: a hundredth of the largest alpha


@dataclass(frozen=True, eq=False)
class Points:
    """What is fitted, an entry for each point.

    Attributes
    ----------
    shown, others : ndarray of shape (n,)
        Demonstrations of the label that is shown, and of the others.
    probabilities : ndarray of shape (n,)
        Of the label that is shown.
    weights : ndarray of shape (n,)
        They sum to 1.
    n_points : float
        How many points there are, each as often as its weight says.
    groups : ndarray of int of shape (n,)
        The number of each point's group.
    places : ndarray of int of shape (n,)
        The same for points of equal demonstrations.
    """

    shown: Floats
    others: Floats
    probabilities: Floats
    weights: Floats
    n_points: float
    groups: NDArray[np.intp]
    places: NDArray[np.intp]

    @classmethod
    def checked(
        cls,
        shots: ArrayLike,
        probabilities: ArrayLike,
        others: ArrayLike | None,
        weights: ArrayLike | None,
        groups: ArrayLike | None,
    ) -> Points:
        """From what a caller hands in; a point of weight 0 is not there."""
        n, p = reals(shots, "shots"), reals(probabilities, "probabilities")
        if n.ndim != 1 or n.shape != p.shape:
            raise ValueError(f"shots and probabilities have shapes {n.shape} and {p.shape}")
        if not len(n):
            raise ValueError("there are no points; a curve needs two")
        rest = np.zeros(len(n)) if others is None else reals(others, "others")
        if rest.shape != n.shape:
            raise ValueError(f"others have shape {rest.shape}; shots have {n.shape}")
        share = shares_of(weights, len(n), "points")
        most = 1.0 if weights is None else float(reals(weights, "weights").max())
        there = share > 0.0
        for name, counts in (("shots", n), ("others", rest)):
            good = np.isfinite(counts) & (counts >= 0.0) | ~there
            if not good.all():
                i = int(np.argmin(good))
                raise ValueError(f"{name}[{i}] is {counts[i]}; it must be finite and not negative")
        good = (p >= 0.0) & (p <= 1.0) | ~there
        if not good.all():
            i = int(np.argmin(good))
            raise ValueError(f"probabilities[{i}] is {p[i]}; it must be from 0 to 1")
        group = group_numbers(groups, len(n), "points", there)
        n, p, rest, share = n[there], p[there], rest[there], share[there]
        total = min(1.0 / share.max(), MOST / most) * most
        both = np.column_stack([n, rest])
        place = np.unique(both, axis=0, return_inverse=True)[1].reshape(n.shape)
        return cls(n, rest, p, share, n_units(len(n), float(total)), group, place)

    def __len__(self) -> int:
        return len(self.shown)

    def merged(self) -> tuple[Points, float]:
        """One point for equal demonstrations, of mean probability; and the mean KL from the points
        to those, which no curve can do anything about."""
        _, first, place = np.unique(self.places, return_index=True, return_inverse=True)
        weights, means = (
            np.bincount(place, values).astype(np.float64)
            for values in (self.weights, self.weights * self.probabilities)
        )
        means = np.where(weights > 0.0, means / np.where(weights > 0.0, weights, 1.0), 0.5)
        means = np.clip(means, 0.0, 1.0)
        apart = float(self.weights @ kl(self.probabilities, means[place]))
        each = np.arange(len(first))
        places = (self.shown[first], self.others[first], means, weights)
        return Points(*places, self.n_points, each, each), apart

    def n_different(self) -> int:
        """How many different demonstrations there are among points that weigh anything."""
        return int(np.count_nonzero(np.bincount(self.places, self.weights)))

    def exceed(self, parameters: int) -> bool:
        """Whether there are more different points than that: else no sample differs from them."""
        both = np.column_stack([self.places, self.probabilities])[self.weights > 0.0]
        return len(np.unique(both, axis=0)) > parameters

    def sample(self, rng: np.random.Generator) -> Points:
        """As many groups, drawn with replacement: each has a point, and each point a weight."""
        drawn = rng.integers(0, self.groups.max() + 1, self.groups.max() + 1)
        often = np.bincount(drawn, minlength=self.groups.max() + 1)[self.groups]
        w = self.weights * often
        kept = w > 0.0
        return Points(
            self.shown[kept],
            self.others[kept],
            self.probabilities[kept],
            w[kept] / w.sum(),
            self.n_points,
            self.groups[kept],
            self.places[kept],
        )


def kl(p: Floats, q: Floats) -> Floats:
    """KL between two outcomes of probability p and 1 - p, and those of q, in nats."""
    q = np.clip(q, 1e-300, 1.0 - 1e-16)
    with np.errstate(divide="ignore", invalid="ignore"):
        yes = np.where(p > 0.0, p * np.log(p / q), 0.0)
        no = np.where(p < 1.0, (1.0 - p) * np.log((1.0 - p) / (1.0 - q)), 0.0)
    return yes + no


def mixture(theta: Floats, k: int) -> DirichletMixture:
    """From the vector that is searched: ln alpha (k, 2), and the log-odds of the second weight."""
    alpha = np.exp(theta[: 2 * k]).reshape(k, 2)
    if k == 1:
        return DirichletMixture([1.0], alpha)
    share = 1.0 / (1.0 + np.exp(-theta[-1]))
    return DirichletMixture([1.0 - share, share], alpha)


def curve(theta: Floats, k: int, shown: Floats, others: Floats) -> tuple[Floats, Floats]:
    """P of the label shown, and its derivative by each parameter (parameters, n)."""
    a = np.exp(theta[: 2 * k]).reshape(k, 2)
    total, n = a.sum(axis=1)[:, np.newaxis], shown + others
    each = (a[:, 1:] + shown) / (total + n)  # (k, n)
    of_other = -each / (total + n)  # by the alphas
    of_shown = (1.0 - each) / (total + n)
    if k == 1:
        return each[0], np.stack([a[0, 0] * of_other[0], a[0, 1] * of_shown[0]])
    seen = ((a[:, :1], others), (a[:, 1:], shown))
    first, second = (_core.lgamma_difference(x, m) for x, m in seen)
    evidence = first + second - _core.lgamma_difference(total, n)
    odds = np.minimum(np.maximum(theta[-1] + evidence[1] - evidence[0], -700.0), 700.0)
    share = 1.0 / (1.0 + np.exp(-odds))
    by_odds = share * (1.0 - share) * (each[1] - each[0])
    of_total = _core.digamma_difference(total, n)  # of the evidence
    by_other, by_shown = (_core.digamma_difference(x, m) - of_total for x, m in seen)
    rows = []
    for j, (weight, sign) in enumerate(((1.0 - share, -1.0), (share, 1.0))):
        rows.append(a[j, 0] * (weight * of_other[j] + sign * by_odds * by_other[j]))
        rows.append(a[j, 1] * (weight * of_shown[j] + sign * by_odds * by_shown[j]))
    return (1.0 - share) * each[0] + share * each[1], np.stack([*rows, by_odds])


def search(points: Points, k: int, starts: list[Floats], unit: float = 1.0) -> tuple[Floats, float]:
    """The best parameters found from several starts, and their mean KL.

    `unit` is the mean KL, about, that tolerances are shares of.
    """
    from scipy.optimize import minimize

    places, apart = points.merged()
    p, w = places.probabilities, places.weights
    not_p = 1.0 - p
    # of 0 log 0 make 0 log 1
    over, not_over = np.where(p > 0.0, p, 1.0), np.where(p < 1.0, not_p, 1.0)

    def loss(theta: Floats) -> tuple[float, Floats]:
        q, slopes = curve(theta, k, places.shown, places.others)
        q = np.minimum(np.maximum(q, 1e-300), 1.0 - 1e-16)
        not_q = 1.0 - q
        apart = p * np.log(over / q) + not_p * np.log(not_over / not_q)  # as `kl` has it
        by_q = w * (not_p / not_q - p / q) / unit
        return float(w @ apart) / unit, slopes @ by_q

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
    slope = unit * float(np.abs(best.jac[inside]).max(initial=0.0))
    if slope > FLAT and len(starts) > 1:
        warnings.warn(
            f"the search for a curve of {k} components ended at a slope of {slope:.1e}",
            ConvergenceWarning,
            stacklevel=3,
        )
    return best.x, max(unit * float(best.fun), 0.0) + apart


def starts(points: Points, k: int, rng: np.random.Generator) -> list[Floats]:
    """Where the searches begin."""
    places, _ = points.merged()
    n = places.shown + places.others
    first = float(np.clip(places.probabilities[np.argmin(n)], 0.01, 0.99))
    middle = max(float(np.median(n)), 1.0)
    one = np.log([middle * (1.0 - first), middle * first])
    if k == 1:
        return [one, one + 2.0, one - 2.0]
    found = []
    for _ in range(STARTS):
        slow = one + rng.normal(0.0, 1.5, 2)
        flipped = np.log([0.5, 5.0]) + rng.normal(0.0, 1.5, 2)
        found.append(np.concatenate([slow, flipped, [rng.normal(-3.0, 2.0)]]))
    return found


def _unmoved(prior: DirichletMixture) -> bool:
    """Whether this is one Dirichlet whose concentration only the limit of the search held back."""
    return prior.n_components == 1 and bool(np.log(prior.alpha).max() > LOG_RANGE[1] - 0.01)


def crossing(prior: DirichletMixture) -> float:
    """Where the curve passes 1/2; infinite where that is a matter of the search's limits."""
    from scipy.optimize import brentq

    def above(shots: float) -> float:
        return float(prior.predictive([[0.0, shots]])[0, 1]) - 0.5

    if above(0.0) >= 0.0:
        return 0.0
    if _unmoved(prior):
        return np.inf
    if prior.n_components == 1:
        return float(prior.alpha[0, 0] - prior.alpha[0, 1])  # A (2 m - 1)
    end = 1.0
    while above(end) < 0.0:
        end *= 2.0
        if end > MOST_SHOTS:
            return np.inf
    return float(brentq(above, 0.0, end, xtol=1e-10))


def percentiles(
    points: Points,
    k: int,
    theta: Floats,
    unit: float,
    n_boot: int,
    level: float,
    rng: np.random.Generator,
) -> dict[str, tuple[float, float]]:
    """Percentiles over samples of the groups of points; none where there is a single group, or
    where a curve goes through all points."""
    values: dict[str, list[float]] = {"crossover": []}
    if k == 1:
        values |= {"concentration": [], "mean": []}
    possible = points.groups.max() > 0 and points.exceed(len(theta))
    for _ in range(n_boot if possible else 0):
        drawn = points.sample(rng)
        if drawn.n_different() < 2:
            continue
        own = mixture(search(drawn, k, [theta], unit)[0], k)
        values["crossover"].append(crossing(own))
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
