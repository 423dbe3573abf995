"""The maximum of a regression's likelihood, its curvature there, and scores by group.

model.md section 4e.  With a mean that all rows share, it is maximised within each evaluation, and
what is left is a function of the few coefficients of the concentration, whose Hessian is exact and
costs V; with covariates of the mean there is one Hessian of all coefficients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..._base.typing import Floats, Ids
from .units import Sums, Units

LARGEST = np.log(1e9)  # of a concentration's logarithm, either way
SETTLED = 1e-8  # nats that another step of Newton's would gain: steps then need no trust region
MOST_PARAMETERS = 2000  # of a dense Hessian
LEAST_MEAN = 1e-120


class Maximum(NamedTuple):
    """Where a likelihood is highest.

    Attributes
    ----------
    gamma : ndarray of shape (P,)
        Coefficients of the concentration.
    beta : ndarray of shape (Q, V)
        Those of the mean's log-ratios; of a mean that all share, its logarithm.
    log_likelihood : float
    information : ndarray of shape (P, P) or (P + Q (V - 1),) twice
        Minus the Hessian of the likelihood, or of its profile.
    gain : float
        What another step would gain, in nats.
    n_iter : int
    """

    gamma: Floats
    beta: Floats
    log_likelihood: float
    information: Floats
    gain: float
    n_iter: int


class At(NamedTuple):
    """A point: value, gradient, Hessian, and what else is known there."""

    value: float
    gradient: Floats
    hessian: Floats
    mean: Floats


def maximize(
    evaluate: Callable[[Floats], At | None], start: Floats, scale: float, most: int
) -> Any:
    """The point, what is known there, and how many steps led there; by trust regions.

    `evaluate` gives None where the likelihood is not looked at.
    """
    from scipy.optimize import minimize

    kept: dict[bytes, At | None] = {}

    def at(x: Floats) -> At | None:
        key = x.tobytes()
        if key not in kept:
            while len(kept) > 3:
                kept.pop(next(iter(kept)))
            kept[key] = evaluate(x)
        return kept[key]

    def value(x: Floats) -> float:
        found = at(x)
        return np.inf if found is None else -found.value / scale

    def known(x: Floats) -> At:
        found = at(x)
        return nowhere if found is None else found

    nowhere = At(-np.inf, np.zeros_like(start), -np.eye(len(start)), start)

    best: list[Any] = [start, 0]

    def seen(x: Floats) -> None:
        best[:] = np.array(x), best[1] + 1
        if gain(known(x)) < SETTLED:
            raise StopIteration

    if gain(known(start)) >= SETTLED:
        minimize(
            value,
            start,
            jac=lambda x: -known(x).gradient / scale,
            hess=lambda x: -known(x).hessian / scale,
            method="trust-exact",
            callback=seen,
            options={"gtol": 1e-14, "maxiter": most, "max_trust_radius": 8.0},
        )
    point: Floats = best[0]
    here = known(point)
    for _ in range(3 if gain(here) < SETTLED else 0):  # the value can no longer tell a step
        further: Floats = point + newton(here)
        there = at(further)
        if there is None or not gain(there) < gain(here):
            break
        point, here, best[1] = further, there, best[1] + 1
    return point, here, best[1]


def newton(at: At) -> Floats:
    """Newton's step, where there is one."""
    return np.asarray(np.linalg.solve(-at.hessian, at.gradient), dtype=np.float64)


def gain(at: At) -> float:
    """What Newton's step would gain; infinite where there is no maximum near."""
    try:
        np.linalg.cholesky(-at.hessian)
    except np.linalg.LinAlgError:
        return np.inf
    return float(0.5 * at.gradient @ newton(at))


@dataclass(frozen=True)
class SharedMean:
    """All rows have one mean, of which nothing is asked but that it is the most likely one."""

    units: Units
    design: Floats  # (U, P), the first column ones

    @property
    def places(self) -> Ids:
        """All units have the first mean."""
        return np.array([0, self.units.n_units])

    def fit(self, gamma: Floats, mean: Floats, scale: float, most: int) -> Maximum:
        """From coefficients and a mean to the maximum."""
        near = [mean]

        def evaluate(x: Floats) -> At | None:
            eta = self.design @ x
            if not np.abs(eta).max() < LARGEST:
                return None
            near[0] = found = self.units.mean(np.exp(eta), near[0])
            sums = self.sums(x, found)
            hessian = -profile(sums, self.design, found)[0]
            return At(float(sums.value.sum()), self.design.T @ sums.slope, hessian, found)

        x, at, n = maximize(evaluate, gamma, scale, most)
        return Maximum(x, np.log(at.mean)[np.newaxis], at.value, -at.hessian, gain(at), n)

    def sums(self, gamma: Floats, mean: Floats) -> Sums:
        """The sums at a point."""
        total = np.exp(self.design @ gamma)
        return self.units.sums(total, mean[np.newaxis], self.places, self.design)


def profile(sums: Sums, design: Floats, mean: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """The information of gamma at its best mean, (P, P); how that mean's logarithm moves with each
    coefficient, (P, V); and what is known of it, b (V,), and m / b (V,), by which, gamma being
    known, the covariance of ln m is diag(1 / b) - (m / b) (m / b)' / sum(m^2 / b)."""
    e, k = sums.first[0], sums.second[0]
    b = np.maximum(e - k[0], 1e-300)
    cross = k - mean * k.sum(axis=1, keepdims=True)
    ratio = mean / b
    moves = cross / b - ratio * ((cross @ ratio) / (mean @ ratio))[:, np.newaxis]
    information = -(design.T * sums.bend) @ design - cross @ moves.T
    return 0.5 * (information + information.T), moves, b, ratio


@dataclass(frozen=True)
class MeanOnCovariates:
    """The mean's log-ratios to a reference token are sums of covariates, too."""

    units: Units
    design: Floats  # (U, P)
    mean_design: Floats  # (M, Q), of the units between places
    places: Ids
    reference: int

    @property
    def free(self) -> NDArray[np.intp]:
        """The tokens that have coefficients."""
        return np.delete(np.arange(self.units.n_tokens), self.reference)

    def means(self, beta: Floats) -> Floats:
        """The mean of each of the M."""
        return self.means_of(self.mean_design, beta)

    @staticmethod
    def means_of(mean_design: Floats, beta: Floats) -> Floats:
        """The means (M, V) at a design (M, Q)."""
        eta = mean_design @ beta
        probs = np.exp(eta - eta.max(axis=1, keepdims=True))
        probs /= probs.sum(axis=1, keepdims=True)
        found: Floats = np.maximum(probs, LEAST_MEAN)
        return found

    def split(self, x: Floats) -> tuple[Floats, Floats]:
        """All coefficients as gamma (P,) and beta (Q, V)."""
        n, width = self.design.shape[1], self.mean_design.shape[1]
        beta = np.zeros((width, self.units.n_tokens))
        beta[:, self.free] = x[n:].reshape(width, -1)
        return x[:n], beta

    def fit(self, gamma: Floats, beta: Floats, scale: float, most: int) -> Maximum:
        """From coefficients to the maximum."""
        beta = beta - beta[:, [self.reference]]
        start = np.concatenate([gamma, beta[:, self.free].ravel()])
        x, at, n = maximize(self.evaluate, start, scale, most)
        gamma, beta = self.split(x)
        return Maximum(gamma, beta, at.value, -at.hessian, gain(at), n)

    def evaluate(self, x: Floats) -> At | None:
        """Value, gradient and Hessian."""
        gamma, beta = self.split(x)
        eta = self.design @ gamma
        if not np.abs(eta).max() < LARGEST:
            return None
        means = self.means(beta)
        sums = self.units.sums(np.exp(eta), means, self.places, self.design)
        gradient = np.concatenate(
            [self.design.T @ sums.slope, self.mean_slopes(sums, means, self.mean_design)]
        )
        return At(float(sums.value.sum()), gradient, self.hessian(sums, means), means)

    def mean_slopes(self, sums: Sums, means: Floats, mean_design: Floats) -> Floats:
        """The gradient by the coefficients of the mean."""
        residual = sums.first - means * sums.first.sum(axis=1, keepdims=True)
        slopes: Floats = (mean_design.T @ residual)[:, self.free].ravel()
        return slopes

    def hessian(self, sums: Sums, means: Floats) -> Floats:
        """Second derivatives by all coefficients."""
        z, free = self.mean_design, self.free
        n, width, size = self.design.shape[1], z.shape[1], len(free)
        e, k = sums.first.sum(axis=1), sums.second[:, 0]
        k_all = sums.second.sum(axis=2)
        cross = sums.second - means[:, np.newaxis] * k_all[:, :, np.newaxis]
        m = (z[:, :, np.newaxis] * means[:, np.newaxis, free]).reshape(len(z), -1)
        k_z = (z[:, :, np.newaxis] * k[:, np.newaxis, free]).reshape(len(z), -1)
        low = k_z.T @ m
        among = m.T @ ((e + k_all[:, 0])[:, np.newaxis] * m) - low - low.T
        diagonal = (k - means * e[:, np.newaxis])[:, free]
        blocks = np.einsum("mq,mr,mv->qrv", z, z, diagonal, optimize=True)
        each = np.arange(size)
        among.reshape(width, size, width, size)[:, each, :, each] += blocks.transpose(2, 0, 1)
        full = np.empty((n + width * size,) * 2)
        full[:n, :n] = (self.design.T * sums.bend) @ self.design
        mixed = np.einsum("mq,mpv->pqv", z, cross[:, :, free], optimize=True).reshape(n, -1)
        full[:n, n:], full[n:, :n] = mixed, mixed.T
        full[n:, n:] = among
        return full


def grouped_covariance(inverse: Floats, scores: Floats) -> Floats:
    """The covariance of coefficients from that of their scores (G, P) among groups."""
    n_groups = len(scores)
    centre = scores.T @ scores * (n_groups / (n_groups - 1.0))
    return inverse @ centre @ inverse
