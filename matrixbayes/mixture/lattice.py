"""The lattice of counts behind Bernstein's approximation of a prior, and weights on it.

On the counts v with |v| = n, the mixture of Dir(v + 1) is Bernstein's polynomial as a density:
weighted by a density's values at v / n, or by expectations of multinomial probabilities
(Durrmeyer).  After Dalal & Misra (2024).
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base.arguments import whole
from .._base.numbers import reals
from .._base.typing import Floats

Density = Callable[[Floats], ArrayLike]

MOST_POINTS = 200_000
FAR_MORE = 10**300  # points, which a double can still be


def lattice(degree: int, n_tokens: int) -> NDArray[np.int64]:
    """All counts v of n_tokens with |v| = degree, shape (M, V), in lexicographic order.

    Raises
    ------
    ValueError
        There are more than 200,000.
    """
    degree, n_tokens = whole(degree, "degree", 1), whole(n_tokens, "n_tokens", 2)
    is_large = max(degree, n_tokens) > MOST_POINTS  # and so is the number of points
    size = FAR_MORE if is_large else comb(degree + n_tokens - 1, n_tokens - 1)
    if size > MOST_POINTS:
        shown = f"{size:,}" if size < 10**15 else f"{float(size):.1e}"
        shown = shown if size < FAR_MORE else "far more"
        raise ValueError(
            f"the lattice of degree {degree} over {n_tokens} tokens has {shown} points, more than "
            f"{MOST_POINTS:,}.  Two ways out: lump the tokens into a few groups, or draw rows "
            "and fit a mixture to them by EM (DirichletMixtureEstimator)"
        )
    points = np.arange(degree + 1)[:, np.newaxis]
    for _ in range(n_tokens - 2):
        left = degree - points.sum(axis=1)
        repeats = np.repeat(np.arange(len(points)), left + 1)
        starts = np.cumsum(left + 1) - (left + 1)
        added = np.arange(len(repeats)) - starts[repeats]
        points = np.column_stack([points[repeats], added])
    return np.column_stack([points, degree - points.sum(axis=1)])


def bernstein(density: Density, degree: int, n_tokens: int) -> tuple[NDArray[np.int64], Floats]:
    """Points and raw weights u(v / n) n! / (n + V - 1)!."""
    from scipy.special import gammaln

    points = lattice(degree, n_tokens)
    values = evaluated(density, points / degree)
    return points, values * np.exp(gammaln(degree + 1.0) - gammaln(degree + float(n_tokens)))


def evaluated(density: Density, rows: Floats, finite: bool = True) -> Floats:
    """A density at rows (n, V), checked; whether it is finite, where that is asked for."""
    values = reals(density(rows), "densities")
    if values.shape != (len(rows),):
        raise ValueError(
            f"density must take rows of shape (n, {rows.shape[1]}) and return (n,); for "
            f"{len(rows)} rows it returned {values.shape}"
        )
    good = (values >= 0.0) & (values < np.inf) if finite else ~(values < 0.0)
    wrong = np.flatnonzero(~good)
    if len(wrong):
        raise ValueError(
            f"the density at {rows[wrong[0]].round(6).tolist()} is {values[wrong[0]]}; it must be "
            "finite and >= 0.  Where it is unbounded use from_samples, or from_mixture"
        )
    return values


def durrmeyer(rows: Floats, shares: Floats, degree: int) -> tuple[NDArray[np.int64], Floats]:
    """Points and mean multinomial probabilities of log-probabilities (N, V), in shares (N,)."""
    points = lattice(degree, rows.shape[1])
    weights = np.zeros(len(points))
    step = max(1, (1 << 22) // len(points))
    coefficient = _log_coefficient(points)
    # An exact zero: 0 draws of it have probability 1, any other number none.
    logs = np.maximum(rows, -1e6)
    for start in range(0, len(rows), step):
        part = np.exp(logs[start : start + step] @ points.T + coefficient)
        weights += shares[start : start + step] @ part
    return points, weights


def checked_shares(sample_weight: ArrayLike | None, n: int) -> Floats:
    """Weights of n samples, divided by their sum."""
    if n == 0:
        raise ValueError("there are no samples")
    shares = np.ones(n) if sample_weight is None else reals(sample_weight, "sample_weight")
    if shares.shape != (n,) or not (np.isfinite(shares) & (shares >= 0.0)).all():
        raise ValueError(f"sample_weight must hold {n} finite numbers >= 0")
    if not shares.sum() > 0.0:
        raise ValueError("all sample weights are zero")
    result: Floats = shares / shares.sum()
    return result


def _log_coefficient(points: NDArray[np.int64]) -> Floats:
    """Logarithms of multinomial coefficients."""
    from scipy.special import gammaln

    result: Floats = gammaln(points.sum(axis=1) + 1.0) - gammaln(points + 1.0).sum(axis=1)
    return result
