"""How well a Bernstein mixture stands for a density, after Dalal & Misra (2024)."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._base import display
from .._base.numbers import reals
from .._base.typing import Floats
from .lattice import MOST_POINTS, Density, bernstein, evaluated, lattice
from .mixture import DirichletMixture


@dataclass(frozen=True, repr=False)
class ApproximationReport(display.Shown):
    """How far Bernstein's mixture is from a density; see `approximation_report`.

    Attributes
    ----------
    degree, n_components : int
    raw_mass : float
        Sum of the weights before they were divided by it; the density's integral in the limit.
    sup_error : float
        Largest difference of densities on a grid, of the raw polynomial.
    bound : float
        What the second derivatives allow: sum_ij (p_i delta_ij - p_i p_j) u_ij / (2 n) at its
        largest.  For V = 2 it is at most sup|u''| / (8 n).  Derivatives are numerical.
    suggested_degree : int or None
        The degree at which the bound is `tol`.
    predictive_error : float or None
        Total variation between the next-token predictives after `counts`, of the mixture and of
        the density.
    predictive_se : float or None
        Standard error of what is exact but for random rows.
    """

    degree: int
    n_components: int
    raw_mass: float
    sup_error: float
    bound: float
    suggested_degree: int | None
    predictive_error: float | None
    predictive_se: float | None

    def _table(self) -> display.Table:
        rows: list[list[Any]] = [
            ["components", self.n_components],
            ["raw mass", self.raw_mass],
            ["sup error on a grid", self.sup_error],
            ["bound by second derivatives", self.bound],
        ]
        if self.suggested_degree is not None:
            rows.append(["degree for tol", self.suggested_degree])
        if self.predictive_error is not None:
            shown = f"{self.predictive_error:.3g} +- {self.predictive_se:.1g}"
            rows.append(["error of the predictive", shown])
        return display.Table(f"ApproximationReport: degree {self.degree}", ["", ""], rows)


def approximation_report(
    density: Density,
    *,
    degree: int,
    n_tokens: int,
    counts: ArrayLike | None = None,
    tol: float | None = None,
    n_samples: int = 100_000,
    rng: Any = 0,
) -> ApproximationReport:
    """How well Bernstein's mixture of a degree stands for a density over rows.

    Parameters
    ----------
    density : function
        From rows (n, V) to their densities (n,), per unit of volume of the first V - 1
        probabilities; twice differentiable for the bound to mean something.
    degree, n_tokens : int
    counts : array_like of shape (V,), optional
        Tokens seen, after which the predictive of the mixture is compared with the exact one.
    tol : float, optional
        A sup error to suggest a degree for.
    n_samples : int
        Random rows for the exact predictive: uniform on the simplex, weighted by the density.
    rng : numpy.random.Generator or int

    Returns
    -------
    ApproximationReport

    Examples
    --------
    >>> import matrixbayes as mb
    >>> report = mb.approximation_report(lambda p: 6.0 * p[:, 0] * p[:, 1], degree=10, n_tokens=2)
    >>> round(report.sup_error, 6), round(report.bound, 4)
    (0.15, 0.15)
    """
    points, raw = bernstein(density, degree, n_tokens)
    mass = float(raw.sum())
    mixture = DirichletMixture.from_density(density, degree=degree, n_tokens=n_tokens)
    grid = _grid(n_tokens)
    polynomial = mass * np.exp(mixture.log_prob(np.log(grid), kind="log_probs"))
    sup_error = float(np.abs(polynomial - evaluated(density, grid)).max())
    curvature = _curvature(density, grid)
    suggested = None
    if tol is not None:
        if not tol > 0.0:
            raise ValueError(f"tol={tol!r} must be > 0")
        suggested = max(1, int(np.ceil(curvature / tol - 1e-4)))  # derivatives are numerical
    error, se = (
        (None, None)
        if counts is None
        else _predictive_error(density, mixture, reals(counts, "counts"), n_samples, rng)
    )
    return ApproximationReport(
        degree, len(points), mass, sup_error, curvature / degree, suggested, error, se
    )


def _grid(n_tokens: int) -> Floats:
    """Rows inside the simplex at which errors are looked at, some 2,000 at most."""
    step = 2
    while step < 400 and comb(step + n_tokens, n_tokens - 1) <= 2_000:
        step += 2
    points = (
        lattice(step, n_tokens).astype(np.float64)
        if comb(step + n_tokens - 1, n_tokens - 1) <= MOST_POINTS
        else np.full((1, n_tokens), 1.0)
    )
    inside = points + 1e-9
    result: Floats = inside / inside.sum(axis=1, keepdims=True)
    return result


def _curvature(density: Density, grid: Floats) -> float:
    """Largest |sum_ij (p_i delta_ij - p_i p_j) u_ij| / 2 on the grid, by second differences.

    It is what remains of n (B_n u - u) in the limit (Voronovskaya), and for V = 2 at most
    sup|u''| / 8.  Directions keep the sum of a row.
    """
    n, n_tokens = grid.shape
    centre = grid * 0.98 + 0.02 / n_tokens  # room for the differences
    h = 1e-3 / n_tokens
    middle = evaluated(density, centre)
    total = np.zeros(n)
    for i in range(n_tokens):
        for j in range(i + 1, n_tokens):
            shift = np.zeros(n_tokens)
            shift[i], shift[j] = h, -h
            second = evaluated(density, centre + shift) + evaluated(density, centre - shift)
            total += grid[:, i] * grid[:, j] * (second - 2.0 * middle) / (h * h)
    return 0.5 * float(np.abs(total).max())


def _predictive_error(
    density: Density, mixture: DirichletMixture, counts: Floats, n_samples: int, rng: Any
) -> tuple[float, float]:
    """Total variation of predictives after counts, and its standard error.

    The exact one is the mean of p under u(p) prod p_v^c_v: rows from Dir(counts + 1), weighted.
    """
    n_tokens = mixture.n_tokens
    if counts.shape != (n_tokens,) or not (np.isfinite(counts) & (counts >= 0.0)).all():
        raise ValueError(f"counts must hold {n_tokens} finite numbers >= 0")
    proposal = DirichletMixture([1.0], [counts + 1.0])
    rows = proposal.sample(n_samples, rng=np.random.default_rng(rng))
    weights = evaluated(density, rows)
    if not weights.sum() > 0.0:
        raise ValueError("the density is 0 wherever these counts lead; they contradict it")
    weights = weights / weights.sum()
    exact = weights @ rows
    difference = mixture.predictive(counts) - exact
    se = np.sqrt((weights**2) @ (rows - exact) ** 2)
    return 0.5 * float(np.abs(difference).sum()), 0.5 * float(se.sum())
