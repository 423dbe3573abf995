"""The kernels over every remainder of their tiles, and M-steps by what a maximum has to satisfy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import reference
from scipy.special import digamma, rel_entr

from matrixbayes import _core

SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13)


def random_rows(rng: np.random.Generator, n: int, width: int) -> np.ndarray:
    return rng.dirichlet(np.full(width, 0.7), n) * (1 - 1e-6) + 1e-6 / width


# --- distances

DISTANCES: dict[str, Any] = {
    "total_variation": lambda p, q: abs(p - q).sum(-1) / 2,
    "squared_hellinger": lambda p, q: ((np.sqrt(p) - np.sqrt(q)) ** 2).sum(-1) / 2,
    "jensen_shannon_divergence": lambda p, q: (
        (rel_entr(p, (p + q) / 2) + rel_entr(q, (p + q) / 2)).sum(-1) / 2
    ),
    "kl": lambda p, q: rel_entr(p, q).sum(-1),
    "hilbert": lambda p, q: np.ptp(np.log(p) - np.log(q), axis=-1),
}


@pytest.mark.parametrize("kind", ["total_variation", "jensen_shannon_divergence", "hilbert"])
@pytest.mark.parametrize("width", [1, 2, 7, 8, 17, 300])
def test_distances_of_blocks_of_any_size(kind: str, width: int) -> None:
    rng = np.random.default_rng(width)
    p = random_rows(rng, 13, width)
    given = np.log(p) if kind == "hilbert" else p
    wanted = DISTANCES[kind](p[:, None], p)
    for n in SIZES:
        for m in SIZES:
            got = _core.block_distances(kind, given[:n], given[-m:])
            np.testing.assert_allclose(got, wanted[:n, -m:], rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("kind", DISTANCES)
@pytest.mark.parametrize("width", [1, 3, 8, 21, 300])
def test_distances_of_pairs_of_either_type(kind: str, width: int) -> None:
    rows = np.log(random_rows(np.random.default_rng(width), 9, width))
    first, second = np.divmod(np.arange(81), 9)
    for given in (rows, rows.astype(np.float32)):
        p = np.exp(given.astype(float))
        got = _core.pair_distances(kind, given, first, second)
        np.testing.assert_allclose(got, DISTANCES[kind](p[first], p[second]), rtol=1e-7, atol=1e-7)


def test_an_exact_zero_is_infinitely_far_or_as_far_as_it_can_be() -> None:
    p = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.5, 0.0]])
    with np.errstate(divide="ignore", invalid="ignore"):
        rows = np.log(p)
    far = {"total_variation": 0.5, "squared_hellinger": 0.5, "kl": np.inf, "hilbert": np.inf}
    far["jensen_shannon_divergence"] = 0.5 * math.log(2)
    for kind, wanted in far.items():
        got = _core.pair_distances(kind, rows, [0, 0], [1, 2])
        np.testing.assert_allclose(got, [wanted, 0.0], atol=1e-15)
    for kind in ("total_variation", "jensen_shannon_divergence"):
        got = _core.block_distances(kind, p[:1], p[1:])
        np.testing.assert_allclose(got, [[far[kind], 0.0]], atol=1e-15)
    np.testing.assert_allclose(_core.block_distances("hilbert", rows[:1], rows[1:]), [[np.inf, 0]])


# --- statistics


@pytest.mark.parametrize("n_components", [*range(1, 10), 12, 15])
@pytest.mark.parametrize("width", [1, 3, 8, 13, 40, 2100])
def test_statistics_of_any_number_of_components(n_components: int, width: int) -> None:
    rng = np.random.default_rng(n_components)
    alpha = rng.uniform(0.2, 5.0, (n_components, width))
    weights = rng.dirichlet(np.ones(n_components))
    mixture = _core.DirichletMixture(weights, alpha)
    for n in (1, 5, 64, 70) if width < 2000 else (13,):
        rows = np.log(random_rows(rng, n, width))
        shares = rng.uniform(0.0, 1.0, (n, n_components))
        sample_weight = rng.uniform(0.0, 3.0, n)
        for given in (rows, rows.astype(np.float32)):
            wide = given.astype(float)
            got = _core.accumulate(given, shares)
            np.testing.assert_allclose(got.weight, shares.sum(0), rtol=1e-12)
            np.testing.assert_allclose(got.log_sums, shares.T @ wide, rtol=1e-12, atol=1e-10)
            got = _core.expectation(mixture, given, sample_weight)
            wanted = reference.expectation(mixture.weights, alpha, wide, sample_weight)
            np.testing.assert_allclose(got.weight, wanted[0], rtol=1e-9)
            np.testing.assert_allclose(got.log_sums, wanted[1], rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(got.log_likelihood, wanted[2], rtol=1e-10, atol=1e-9)


# --- divergences


@pytest.mark.parametrize("power", [1.0, 0.5, 2.0])
@pytest.mark.parametrize("width", [1, 2, 7, 8, 9, 16, 21, 70])
def test_divergences_of_any_width_and_power(width: int, power: float) -> None:
    rng = np.random.default_rng(width)
    n, n_components = 11, 3
    mass = rng.uniform(0.0, 1.0, (n, width))
    alpha = rng.uniform(0.5, 2.0, (n_components, width))
    share = rng.uniform(0.1, 1.0, (n_components, n))
    extra = rng.uniform(0.0, 0.5, (n, width)) * (rng.random((n, width)) < 0.4)
    total = np.where(extra > 0.0, extra, share.T @ alpha).sum(1)  # a row sums to 1
    share, extra = share / total, extra / total[:, None]
    rows, columns = np.nonzero(extra)
    starts = np.searchsorted(rows, np.arange(n + 1))
    got = _core.divergence(mass, alpha, share, starts, columns, extra[rows, columns], power)
    wanted = reference.divergence(mass, alpha, share, starts, columns, extra[rows, columns], power)
    for mine, theirs in zip(got, wanted, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-10)


# --- M-steps: where the slope is 0, or what holds alpha pushes against it


def slope_of_prior(alpha: np.ndarray, prior: tuple[float, ...]) -> np.ndarray:
    each, total, rate, _ = prior
    return each / alpha + total / alpha.sum() - rate


def check_maximum(
    alpha: np.ndarray,
    start: np.ndarray,
    outcome: int,
    slope: np.ndarray,
    bend: float,
    prior: tuple[float, ...],
    least: float,
) -> None:
    """Whether alpha [V] with this slope is one; `bend` is the size of what the slope is made of."""
    if outcome < 0:
        assert np.array_equal(alpha, start)
        return
    total, cap = alpha.sum(), prior[3]
    assert total <= cap * (1 + 1e-12)
    free = alpha > 2 * least
    assert (slope[~free] <= 1e-6 * bend / alpha[~free]).all()
    level = 0.0
    if outcome == 1 and total > cap * (1 - 1e-9):
        level = (slope * alpha)[free].sum() / alpha[free].sum()  # what A's bound takes
        assert level * total >= -1e-6 * bend
    np.testing.assert_allclose(((slope - level) * alpha)[free], 0.0, atol=1e-5 * bend)


def random_prior(rng: np.random.Generator) -> tuple[float, ...]:
    each, total = rng.choice([0.0, 0.3, 5.0], 2)
    rate = rng.choice([0.0, 1e-9, 0.01, 3.0])
    return float(each), float(total), float(rate), float(10.0 ** rng.integers(-1, 9))


@pytest.mark.parametrize("seed", range(150))
def test_the_m_step_of_rows_ends_at_a_maximum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_components, width = int(rng.integers(1, 4)), int(rng.integers(2, 9))
    true = 10.0 ** rng.uniform(-2, 4, (n_components, width))
    rows = np.vstack([rng.dirichlet(a, int(rng.integers(1, 9))) for a in true])
    rows = np.log(np.maximum(rows, 1e-290))
    shares = rng.dirichlet(np.ones(n_components), len(rows))
    if seed % 5 == 0:
        shares[:, 0] = 0.0
    found = _core.accumulate(rows, shares)
    start = true * 10.0 ** rng.uniform(-3, 3, (n_components, 1))
    prior = random_prior(rng)
    alpha, outcomes = _core.maximization(found, start, prior)
    for k, outcome in enumerate(outcomes):
        weight = shares[:, k].sum()
        if weight == 0.0:
            assert np.array_equal(alpha[k], start[k])
            continue
        total = alpha[k].sum()
        slope = weight * (digamma(total) - digamma(alpha[k])) + shares[:, k] @ rows
        slope += slope_of_prior(alpha[k], prior)
        bend = weight * (1 + total) + abs(shares[:, k] @ rows * alpha[k]).max() + sum(prior[:2])
        check_maximum(alpha[k], start[k], outcome, slope, bend, prior, 1e-300)


@pytest.mark.parametrize("seed", range(150))
def test_the_m_step_of_counts_ends_at_a_maximum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_components, width, n = 2, int(rng.integers(2, 8)), int(rng.integers(1, 30))
    true = 10.0 ** rng.uniform(-2, 3, width)
    n_draws = int(rng.choice([1, 2, 9, 200]))
    counts = np.array([rng.multinomial(n_draws, rng.dirichlet(true)) for _ in range(n)], float)
    if seed % 3 == 0 and n_draws > 1:
        counts *= rng.uniform(0.1, 2.0, counts.shape)
    shares = rng.dirichlet(np.ones(n_components), n)
    rows, columns = np.nonzero(counts)
    starts = np.searchsorted(rows, np.arange(n + 1))
    encoded = _core.Counts(starts, columns, counts[rows, columns], width)
    _, weights = _core.count_accumulate(encoded, shares)
    start = np.tile(true, (n_components, 1)) * 10.0 ** rng.uniform(-3, 3)
    prior = random_prior(rng)
    alpha, outcomes = _core.count_maximization(
        encoded.tokens, encoded.counts, weights, start, prior
    )
    for k, outcome in enumerate(outcomes):
        total, sums = alpha[k].sum(), counts.sum(1)
        if sums.max() <= 1.0 and prior[:2] == (0.0, 0.0):  # nothing is said of A
            mean = (shares[:, k] @ counts) / shares[:, k].sum()
            np.testing.assert_allclose(alpha[k] / total, mean, atol=1e-9)
            continue
        part = shares[:, k] @ (digamma(alpha[k] + counts) - digamma(alpha[k]))
        whole = shares[:, k] @ (digamma(total + sums) - digamma(total))
        slope = part - whole + slope_of_prior(alpha[k], prior)
        bend = abs(part * alpha[k]).max() + whole * total + sum(prior[:2]) + prior[2] * total
        check_maximum(alpha[k], start[k], outcome, slope, bend, prior, 1e-15)
