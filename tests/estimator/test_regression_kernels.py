"""Sums of a regression of the concentration: against plain sums, differences, and 40 digits."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import optimize, special

from matrixbayes import _core

rng = np.random.default_rng(5)
WEIGHT = np.array([2.0, 1.0, 3.5])
LOG_SUMS = np.array([w * np.log(rng.dirichlet(np.ones(300))) for w in WEIGHT])
CELLS = (
    np.array([0, 4, 5, 10]),
    np.array([0, 1, 1, 4, 4, 0, 2, 3, 4, 4]),
    np.array([2.0, 1.0, 20.0, 22.0, 1.0, 0.5, 17.0, 3.0, 20.5, 40.0]),
    np.array([1.0, 2.0, 1.0, 1.0, 1.5, 0.5, 1.0, 2.0, 1.0, 0.0]),
)
TOTAL = np.array([0.3, 4.0, 250.0])
DESIGN = np.array([[1.0, -2.0], [1.0, 0.0], [1.0, 3.0]])


def log_likelihood(units: Any, log_total: Any, alpha: Any) -> Any:
    """Of each unit, from alpha (U, V) and the logarithm of its concentration; SciPy alone."""
    total, found = np.exp(log_total), []
    for u in range(len(alpha)):
        if len(units) == 2:
            weight, sums = units[0][u], units[1][u]
            value = weight * (special.gammaln(total[u]) - special.gammaln(alpha[u]).sum())
            found.append(value + ((alpha[u] - 1.0) * sums).sum())
            continue
        cells = slice(units[0][u], units[0][u + 1])
        a = np.append(alpha[u], total[u])[units[1][cells]]
        sign = np.where(units[1][cells] == alpha.shape[1], -1.0, 1.0) * units[3][cells]
        found.append((sign * (special.gammaln(a + units[2][cells]) - special.gammaln(a))).sum())
    return np.array(found)


def sums_by_hand(units: Any, total: Any, means: Any, places: Any, design: Any) -> Any:
    """The slow twin: e and k by token, and what they sum to."""
    mean = np.repeat(means, np.diff(places), axis=0)
    alpha, e, k = total[:, None] * mean, np.zeros(mean.shape), np.zeros(mean.shape)
    slope, bend = np.zeros(len(total)), np.zeros(len(total))
    if len(units) == 2:
        w = units[0][:, None]
        e = alpha * (units[1] - w * special.digamma(alpha))
        k = e - alpha**2 * w * special.polygamma(1, alpha)
        slope = total * units[0] * special.digamma(total)
        bend = slope + total**2 * units[0] * special.polygamma(1, total)
    else:
        for u in range(len(total)):
            for i in range(units[0][u], units[0][u + 1]):
                v, n, w = (part[i] for part in units[1:])
                a = np.append(alpha[u], total[u])[v]
                d = a * w * (special.digamma(a + n) - special.digamma(a))
                t = a * a * w * (special.polygamma(1, a) - special.polygamma(1, a + n))
                if v < mean.shape[1]:
                    e[u, v] += d
                    k[u, v] += d - t
                else:
                    slope[u] -= d
                    bend[u] -= d - t
    value = log_likelihood(units, np.log(total), alpha)
    first = np.add.reduceat(e, places[:-1])
    second = np.add.reduceat(design[:, :, None] * k[:, None], places[:-1])
    return value, e.sum(1) + slope, k.sum(1) + bend, first, second


def case(which: str) -> tuple[Any, int]:
    return ((WEIGHT, LOG_SUMS), 300) if which == "rows" else (CELLS, 4)


@pytest.mark.parametrize("which", ["rows", "counts"])
@pytest.mark.parametrize("places", [[0, 3], [0, 1, 3], [0, 1, 2, 3]])
def test_sums_are_those_of_a_plain_loop(which: str, places: list[int]) -> None:
    units, width = case(which)
    means = rng.dirichlet(np.full(width, 0.3) + 0.05, len(places) - 1)
    given = (units, TOTAL, means, np.array(places), DESIGN)
    for found, wanted in zip(_core.regression_sums(*given), sums_by_hand(*given), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-11 * np.abs(wanted).max())


@pytest.mark.parametrize("which", ["rows", "counts"])
def test_slopes_and_bends_are_differences_of_values(which: str) -> None:
    units, width = case(which)
    mean, h = rng.dirichlet(np.ones(width), 1), 1e-4

    def at(log_total: Any, theta: Any) -> Any:
        moved = special.softmax(theta, axis=-1)
        return log_likelihood(units, log_total, np.exp(log_total)[:, None] * moved)

    eta, theta = np.log(TOTAL), np.log(np.repeat(mean, 3, axis=0))
    _, slope, bend, first, second = _core.regression_sums(units, TOTAL, mean, [0, 3], DESIGN)
    low, middle, high = (at(eta + s * h, theta) for s in (-1, 0, 1))
    np.testing.assert_allclose((high - low) / (2 * h), slope, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose((high - 2 * middle + low) / h**2, bend, rtol=1e-3, atol=1e-3)
    e, k = first[0], second[0]
    slopes, cross = e - mean[0] * e.sum(), k - mean[0] * k.sum(axis=1)[:, None]
    for v in range(4):
        step = h * np.eye(width)[v]
        up, down = at(eta, theta + step), at(eta, theta - step)
        assert (up - down).sum() / (2 * h) == pytest.approx(slopes[v], rel=1e-5, abs=1e-5)
        mixed = at(eta + h, theta + step) - at(eta - h, theta + step)
        mixed -= at(eta + h, theta - step) - at(eta - h, theta - step)
        np.testing.assert_allclose(
            DESIGN.T @ mixed / (4 * h * h), cross[:, v], rtol=1e-3, atol=2e-3
        )


def test_numbers_of_40_digits() -> None:
    mpmath.mp.dps = 40
    total, mean, sums, weight = map(mpmath.mpf, ("37.25", "0.0625", "-5.5", "2.0"))
    rest, a = 1 - mean, total * mean
    b = total * rest
    other = mpmath.mpf("-0.25")

    def value(log_total: Any) -> Any:
        t = mpmath.exp(log_total)
        x, y = t * mean, t * rest
        found = weight * (mpmath.loggamma(t) - mpmath.loggamma(x) - mpmath.loggamma(y))
        return found + (x - 1) * sums + (y - 1) * other

    units = (np.array([2.0]), np.array([[-5.5, -0.25]]))
    means = np.array([[0.0625, 0.9375]])
    found = _core.regression_sums(units, [37.25], means, [0, 1], [[1.0]])
    where = mpmath.log(total)
    assert found[0][0] == pytest.approx(float(value(where)), rel=1e-14)
    assert found[1][0] == pytest.approx(float(mpmath.diff(value, where)), rel=1e-13)
    assert found[2][0] == pytest.approx(float(mpmath.diff(value, where, 2)), rel=1e-12)
    assert found[3][0, 0] == pytest.approx(float(a * (sums - weight * mpmath.psi(0, a))), rel=1e-13)
    assert found[3][0, 1] == pytest.approx(
        float(b * (other - weight * mpmath.psi(0, b))), rel=1e-13
    )


@pytest.mark.parametrize("which", ["rows", "counts"])
def test_the_shared_mean_is_the_most_likely_one(which: str) -> None:
    """By slopes that are all the same; with two tokens, also by a search."""
    units, width = case(which)
    found = _core.regression_mean(units, TOTAL, np.full(width, 1.0 / width))
    assert found.sum() == pytest.approx(1.0, abs=1e-14)
    first = _core.regression_sums(units, TOTAL, found[None], [0, 3], DESIGN)[3][0]
    np.testing.assert_allclose(first / found, first.sum(), rtol=1e-6)

    two = (WEIGHT, np.stack([LOG_SUMS[:, 0], LOG_SUMS[:, 1:].max(axis=1)], axis=1))

    def loss(p: float) -> float:
        mean = TOTAL[:, None] * np.array([p, 1.0 - p])
        return -float(log_likelihood(two, np.log(TOTAL), mean).sum())

    best = optimize.minimize_scalar(loss, (1e-9, 1 - 1e-9), (1e-9, 1 - 1e-9), method="bounded")
    mean = _core.regression_mean(two, TOTAL, [0.9, 0.1])
    assert mean[0] == pytest.approx(best.x, abs=1e-4)
    assert loss(mean[0]) <= best.fun + 1e-9
