"""How well a Bernstein mixture stands for a density, after Dalal & Misra (2024)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._base import display
from .._base.arguments import generator_of, real, whole
from .._base.numbers import reals
from .._base.typing import Floats
from .extremes import climb, curvature
from .lattice import Density, bernstein, evaluated
from .mixture import DirichletMixture

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class ApproximationReport(display.Shown):
    """How far Bernstein's mixture is from a density; see `approximation_report`.

    Attributes
    ----------
    degree, n_components : int
    raw_mass : float
        Sum of the weights before they were divided by it; the density's integral in the limit.
    sup_error : float
        Largest difference of densities, of the raw polynomial: on a grid, and searched further
        from the largest there.
    bound : float
        What sup_error is at most, whatever the degree, for a density u with second derivatives on
        the whole simplex, border included: L (1 - 1/V) / (2 n), L the largest eigenvalue of its
        Hessian along the simplex, by size.  For V = 2 it is sup|u''| / (8 n).  Derivatives are
        numerical.  Infinite where they have no bound.
    suggested_degree : int or None
        The degree at which the bound is `tol`; None where there is no bound.
    predictive_error : float or None
        Total variation between the next-token predictives after `counts`, of the mixture and of
        the density.
    predictive_se : float or None
        Standard error of what is exact but for random rows.
    why_no_bound : str
        What was found that no bound allows, and where: a kink, a jump, an edge that is no parabola,
        as of a Dirichlet with an alpha below 3 that is neither 1 nor 2; empty where there is none.
    """

    degree: int
    n_components: int
    raw_mass: float
    sup_error: float
    bound: float
    suggested_degree: int | None
    predictive_error: float | None
    predictive_se: float | None
    why_no_bound: str = ""

    def to_pandas(self) -> pd.DataFrame:
        """One row, with a column for each attribute.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame(asdict(self))

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The errors and their bound."""
        from .result_plots import approximation  # needs matplotlib

        return approximation(self, ax=ax)

    def _table(self) -> display.Table:
        rows: list[list[Any]] = [
            ["components", self.n_components],
            ["raw mass", self.raw_mass],
            ["sup error on a grid", self.sup_error],
            ["bound by second derivatives", self.bound],
        ]
        if self.why_no_bound:
            rows.append(["why no bound", self.why_no_bound])
        if self.suggested_degree is not None:
            rows.append(["degree for tol", self.suggested_degree])
        if self.predictive_error is not None:
            rows.append(["error of the predictive", self.predictive_error])
            rows.append(["its standard error", self.predictive_se])
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
        probabilities; for a bound it needs second derivatives on the whole simplex.
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
    n_tokens = whole(n_tokens, "n_tokens", 2)
    points, raw = bernstein(density, degree, n_tokens)
    mass = float(raw.sum())
    mixture = DirichletMixture.from_density(density, degree=degree, n_tokens=n_tokens)

    def error_at(rows: Floats) -> Floats:
        polynomial = mass * np.exp(mixture.log_prob(np.log(rows), kind="log_probs"))
        off = np.abs(polynomial - evaluated(density, rows, finite=False))
        return np.where(np.isnan(off), np.inf, off)

    sup_error, _ = climb(error_at, n_tokens, cost=len(points))
    bend, why = curvature(density, n_tokens)
    suggested = None
    if tol is not None:
        tol = real(tol, "tol", np.inf)
        if not why:
            suggested = max(1, int(np.ceil((1.0 - 1e-4) * bend / tol)))  # derivatives are numerical
    error, se = (
        (None, None)
        if counts is None
        else _predictive_error(density, mixture, reals(counts, "counts"), n_samples, rng)
    )
    return ApproximationReport(
        degree, len(points), mass, sup_error, bend / degree, suggested, error, se, why
    )


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
    rows = proposal.sample(whole(n_samples, "n_samples", 1), rng=generator_of(rng))
    weights = evaluated(density, rows)
    if not weights.sum() > 0.0:
        raise ValueError("the density is 0 wherever these counts lead; they contradict it")
    weights = weights / weights.sum()
    exact = weights @ rows
    difference = mixture.predictive(counts) - exact
    se = np.sqrt((weights**2) @ (rows - exact) ** 2)
    return 0.5 * float(np.abs(difference).sum()), 0.5 * float(se.sum())
