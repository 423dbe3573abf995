"""Laplace's approximation of a mixture's evidence, at the mode of the posterior.

The prior: each ln alpha is normal, mean 0 and standard deviation 3; the weights are uniform on the
simplex.  All is done in theta, the K V ln alphas and the K - 1 log-ratios ln(w_k / w_K), over which
the posterior has a mode even where the likelihood rises without end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .. import _core
from .._base.typing import Floats
from ..mixture import DirichletMixture
from .count_data import CountData
from .row_data import RowData
from .statistics import CountStatistics, Statistics

Derivatives = Callable[[DirichletMixture], tuple[Floats, Floats]]

SPREAD = 3.0  # standard deviation of ln alpha
LOG_RANGE = (-34.0, 23.0)  # of ln alpha in the search: 1e-15 to 1e10
EDGE = 1e-3  # of that range, where the search is held back
STEPS = 200  # of Newton's method ...
SHORTEST = 1e-9  # ... and how much less than a whole one may be taken
SETTLED = 1e-9  # nats that another step would gain ...
BLUR = 1e-2  # ... or so many, where rounding hides them


class Evidence(NamedTuple):
    """ln p(rows), and the mixture where it was taken; or why there is none."""

    log_evidence: float | None
    mode: DirichletMixture | None
    why_none: str


def laplace(
    mixture: DirichletMixture, data: RowData | CountData, derivatives: Derivatives
) -> Evidence:
    """The evidence of data by a mode near a mixture.

    Parameters
    ----------
    mixture : DirichletMixture
        Where the search begins, the likelihood's maximum say.
    data : RowData or CountData
    derivatives : function
        From a mixture to the Hessian of the log-likelihood by alpha and log-ratios, and its
        gradient by alpha.
    """
    from scipy.special import gammaln

    posterior = _Posterior(data, mixture, derivatives)
    ends = [posterior.climb(start) for start in _starts(mixture, data.total_weight)]
    best = max(ends, key=lambda end: end.value)
    log_alpha = best.theta[: mixture.alpha.size]
    if log_alpha.min() < LOG_RANGE[0] + EDGE or log_alpha.max() > LOG_RANGE[1] - EDGE:
        return Evidence(None, None, "the posterior rises beyond alphas of 1e-15 to 1e10")
    if not best.settled:
        return Evidence(None, None, "the search for the posterior's mode did not settle")
    mode = posterior.mixture(best.theta)
    curvature = posterior.curvature(mode)
    scale = np.sqrt(np.abs(np.diag(curvature)))
    factor = cholesky(curvature / np.outer(scale, scale))
    if factor is None:
        why = "the Hessian of the log-posterior is not negative definite at its mode, where the "
        return Evidence(None, mode, why + "posterior is no Gaussian")
    log_det = 2.0 * float(np.log(np.diag(factor)).sum() + np.log(scale).sum())
    volume = 0.5 * len(scale) * np.log(2.0 * np.pi) - 0.5 * log_det
    # There are K! modes, one for each order of the components.  Where the mode's components are
    # alike the orders are one, but then the posterior reaches further than its Gaussian: without
    # K! the approximation, which is below the evidence there, would be lower still.
    modes = float(gammaln(mode.n_components + 1.0))
    return Evidence(float(best.value + volume + modes), mode, "")


def cholesky(matrix: Floats) -> Floats | None:
    """The Cholesky factor, or None where the matrix is not positive definite beyond rounding."""
    if not len(matrix):  # of parameters that are all at their floor
        return None
    try:
        factor = np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    pivots = np.diag(factor)
    return factor if pivots.min() > 1e-7 * pivots.max() else None


def _starts(mixture: DirichletMixture, total: float) -> list[Floats]:
    """Where searches begin: at the mixture, and where its concentrations are more moderate."""
    w = total * mixture.weights + 1.0  # the weights' own mode, given how many rows each has
    odds = np.log(w[:-1] / w[-1])
    log_alpha = np.clip(np.log(mixture.alpha), LOG_RANGE[0] + 1.0, LOG_RANGE[1] - 1.0)
    mild = np.clip(
        log_alpha - np.maximum(log_alpha.max(axis=1, keepdims=True) - SPREAD, 0.0), -6, 6
    )
    found = [np.append(log_alpha.ravel(), odds)]
    if np.abs(mild - log_alpha).max() > SPREAD:
        found.append(np.append(mild.ravel(), odds))
    return found


class _End(NamedTuple):
    theta: Floats
    value: float
    settled: bool


class _Posterior:
    """ln of likelihood times prior, as a function of theta."""

    def __init__(
        self, data: RowData | CountData, like: DirichletMixture, derivatives: Derivatives
    ) -> None:
        from scipy.special import gammaln

        self._data, self._like, self._derivatives = data, like, derivatives
        k, n_alpha = like.n_components, like.alpha.size
        self._constant = float(gammaln(k)) - n_alpha * np.log(SPREAD * np.sqrt(2.0 * np.pi))

    def mixture(self, theta: Floats) -> DirichletMixture:
        """The mixture that a point stands for."""
        shape = self._like.alpha.shape
        odds = np.append(theta[self._like.alpha.size :], 0.0)
        w = np.exp(odds - odds.max())
        return DirichletMixture(w / w.sum(), np.exp(theta[: self._like.alpha.size]).reshape(shape))

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        """Its value and its gradient."""
        mixture = self.mixture(theta)
        statistics = self._data.expectation(mixture)
        k, n_alpha = mixture.n_components, mixture.alpha.size
        log_alpha, w = theta[:n_alpha], mixture.weights
        with np.errstate(divide="ignore"):
            of_weights = float(np.log(w).sum())  # a uniform prior has this density of log-ratios
        value = self._constant + of_weights - 0.5 * float(log_alpha @ log_alpha) / SPREAD**2
        by_alpha = _slopes(mixture, statistics) * mixture.alpha
        by_odds = statistics.weight - self._data.total_weight * w + 1.0 - k * w
        gradient = np.append(by_alpha.ravel() - log_alpha / SPREAD**2, by_odds[:-1])
        return statistics.log_likelihood + value, gradient

    def curvature(self, mixture: DirichletMixture) -> Floats:
        """Minus its Hessian (d, d) at a mixture."""
        hessian, gradient = self._derivatives(mixture)
        alpha, w, n_alpha = mixture.alpha.ravel(), mixture.weights, mixture.alpha.size
        scale = np.concatenate([alpha, np.ones(len(w) - 1)])
        result = -hessian * np.outer(scale, scale)
        place = np.arange(n_alpha)
        result[place, place] += SPREAD**-2 - alpha * gradient
        result[n_alpha:, n_alpha:] += len(w) * (np.diag(w) - np.outer(w, w))[:-1, :-1]
        return result

    def climb(self, start: Floats) -> _End:
        """The mode that is reached: by gradients most of the way, then by Newton's method."""
        from scipy.optimize import minimize

        def loss(theta: Floats) -> tuple[float, Floats]:
            value, gradient = self(theta)
            return -value, -gradient

        n_alpha = self._like.alpha.size
        bounds = [LOG_RANGE] * n_alpha + [(-40.0, 40.0)] * (len(start) - n_alpha)
        options = {"maxiter": 300, "ftol": 1e-10, "gtol": 1e-4}
        near = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        theta, (low, high) = near.x, np.transpose(bounds)
        value, gradient = self(theta)
        for _ in range(STEPS):
            curvature, damping = self.curvature(self.mixture(theta)), 0.0
            while (step := _solved(curvature, gradient, damping)) is None:
                damping = max(10.0 * damping, 1e-10)
            gain = 0.5 * float(gradient @ step)
            if damping == 0.0 and gain < SETTLED:
                return _End(theta, value, True)
            with np.errstate(divide="ignore", invalid="ignore"):
                room = np.where(step > 0.0, high - theta, low - theta) / step
            length = min(1.0, float(np.nanmin(room)))  # shorter until it leads uphill
            while length > SHORTEST:
                there = np.clip(theta + length * step, low, high)
                found, slope = self(there)
                if found > value:
                    break
                length *= 0.5
            else:  # nothing leads uphill: the mode, but for rounding, or the edge of the range
                return _End(theta, value, damping == 0.0 and gain < BLUR)
            theta, value, gradient = there, found, slope
        return _End(theta, value, False)


def _solved(curvature: Floats, gradient: Floats, damping: float) -> Floats | None:
    """A step of Newton's method, shorter by damping; None where that leads downhill."""
    from scipy.linalg import cho_solve

    scale = np.sqrt(np.abs(np.diag(curvature))) + 1e-300
    factor = cholesky(curvature / np.outer(scale, scale) + damping * np.eye(len(scale)))
    return None if factor is None else cho_solve((factor, True), gradient / scale) / scale


def _slopes(mixture: DirichletMixture, statistics: Statistics) -> Floats:
    """Gradient (K, V) of the log-likelihood by alpha, from the statistics of an E-step."""
    alpha, total = mixture.alpha, mixture.concentration
    if isinstance(statistics, CountStatistics):
        k, v = alpha.shape
        tokens, counts = statistics.tokens, statistics.counts[:, np.newaxis]
        at = np.column_stack([alpha, total]).T[tokens]  # (C, K)
        bends = statistics.cells[:, :k] * _core.digamma_difference(
            at, np.broadcast_to(counts, at.shape)
        )
        result = np.zeros((v + 1, k))
        np.add.at(result, tokens, bends)
        slopes: Floats = (result[:-1] - result[-1]).T
        return slopes
    assert isinstance(statistics, _core.SufficientStatistics)
    level = _core.digamma(total)[:, np.newaxis] - _core.digamma(alpha)
    slopes = statistics.log_sums + statistics.weight[:, np.newaxis] * level
    return slopes
