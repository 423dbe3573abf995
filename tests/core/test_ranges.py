"""The legal range of alphas and counts: refused outside, and right inside, ends and all."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from matrixbayes import DirichletMixture, DirichletMixtureEstimator, _core

LEAST, MOST, MOST_COUNT = 1e-300, 2.0**60, 2.0**53
DIGITS = 140  # more than what cancels: 1e-50 beside 2^60


def exact(x: Any) -> Any:
    return mpmath.mpf(float(x))


# --- right inside


@st.composite
def mixtures(draw: st.DrawFn) -> DirichletMixture:
    """Any sizes of alphas, up to whole ranges in a row; some components are nearly equal."""
    n_components, n_tokens = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    low, high = draw(st.sampled_from([(-50, 17), (-12, 17), (8, 17), (15, 17), (-2, 2), (-50, -5)]))
    exponents = st.lists(st.floats(low, high), min_size=n_tokens, max_size=n_tokens)
    rows = [draw(exponents) for _ in range(n_components)]
    if n_components > 1 and draw(st.booleans()):
        shift = draw(st.floats(-15, -1))
        rows[1] = [x + 10.0**shift * (v + 1) for v, x in enumerate(rows[0])]
    alpha = np.maximum(10.0 ** np.array(rows), LEAST)
    weights = np.array([draw(st.floats(0.01, 1.0)) for _ in range(n_components)])
    return DirichletMixture(weights / weights.sum(), alpha)


def slow_entropy(alpha: np.ndarray) -> tuple[Any, Any]:
    """The entropy of a Dirichlet, and the sum of the magnitudes of what it is made of."""
    a = [exact(x) for x in alpha]
    total = mpmath.fsum(a)
    parts = [mpmath.loggamma(x) - (x - 1) * mpmath.digamma(x) for x in a]
    whole = mpmath.loggamma(total) - (total - len(a)) * mpmath.digamma(total)
    scale = mpmath.fsum(1 / x + abs(mpmath.log(x)) + 1 for x in a) + len(a) * (
        abs(mpmath.log(total)) + 1 / total
    )
    return mpmath.fsum(parts) - whole, scale


def slow_uncertainty(mixture: DirichletMixture) -> tuple[Any, Any, Any]:
    weights = [exact(w) for w in mixture.weights]
    weights = [w / mpmath.fsum(weights) for w in weights]
    total = aleatoric = mpmath.mpf(0)
    rows = [[exact(x) for x in row] for row in mixture.alpha]
    sums = [mpmath.fsum(row) for row in rows]
    for v in range(mixture.n_tokens):
        mean = mpmath.fsum(w * r[v] / s for w, r, s in zip(weights, rows, sums, strict=True))
        total -= mean * mpmath.log(mean)
        for w, r, s in zip(weights, rows, sums, strict=True):
            aleatoric += w * r[v] / s * (mpmath.digamma(s + 1) - mpmath.digamma(r[v] + 1))
    return total, aleatoric, total - aleatoric


@settings(max_examples=40)
@given(mixtures())
def test_entropy_and_uncertainty_are_right_for_all_alphas(mixture: DirichletMixture) -> None:
    with mpmath.workdps(DIGITS):
        for found, alpha in zip(mixture.component_entropy(), mixture.alpha, strict=True):
            entropy, scale = slow_entropy(alpha)
            assert abs(exact(found) - entropy) <= 2e-15 * scale
        for found, right in zip(mixture.uncertainty(), slow_uncertainty(mixture), strict=True):
            # where components are all but equal, their distance has the digits of a difference
            near = 1e-31 + 1e-15 * mpmath.sqrt(abs(right)) if mixture.n_components > 1 else 0
            assert abs(exact(found) - right) <= 1e-13 * abs(right) + near
            assert found >= 0.0


@pytest.mark.parametrize("weights", [[0.5, 0.5], [1.0, 0.0], [1e-300, 1.0], [0.9, 0.1]])
@pytest.mark.parametrize("other", [[1.0, 1.0], [1e-300, 2.0**59], [2.0**59, 1e-300], [1e-300] * 2])
def test_uncertainty_where_means_are_as_far_apart_as_may_be(
    weights: list[float], other: list[float]
) -> None:
    """Their ratio is no number, or too large for one; a component may have no weight."""
    mixture = DirichletMixture(weights, [[2.0**59, 1e-300], other])
    with mpmath.workdps(DIGITS + 300):
        for found, right in zip(mixture.uncertainty(), slow_uncertainty(mixture), strict=True):
            assert abs(exact(found) - right) <= 1e-13 * abs(right) + 1e-307


def test_uncertainty_is_never_negative() -> None:
    """No clamp hides a difference that rounding made negative."""
    rng = np.random.default_rng(0)
    ranges = [(-300, 17), (-20, 17), (14, 17), (-2, 2), (-1, 1), (0, 17)]
    for i in range(6000):
        n_components, n_tokens = rng.integers(1, 4, 2)
        alpha = 10.0 ** rng.uniform(*ranges[i % 6], (1, n_tokens))
        alpha[0, 1:] *= 1e-20 if i % 4 == 0 else 1.0
        near = rng.integers(0, 2) * 10.0 ** rng.uniform(-16, -12)
        alpha = alpha * (1.0 + near * rng.integers(-3, 4, (n_components, n_tokens)))
        mixture = _core.DirichletMixture(
            np.full(n_components, 1.0 / n_components), alpha.clip(LEAST)
        )
        assert min(mixture.uncertainty()) >= 0.0, alpha


@pytest.mark.parametrize("total", [1e8, 1e12, 1e15, 1e18])
def test_entropy_of_a_narrow_dirichlet(total: float) -> None:
    alpha = total * np.array([0.2, 0.3, 0.5])
    with mpmath.workdps(60):
        right = slow_entropy(alpha)[0]
    assert_allclose(DirichletMixture([1.0], [alpha]).entropy(), float(right), rtol=1e-13)


@settings(max_examples=60)
@given(mixtures(), st.lists(st.floats(0, 15), min_size=4, max_size=4), st.booleans())
def test_evidence_and_predictive_are_right_for_all_counts(
    mixture: DirichletMixture, exponents: list[float], few: bool
) -> None:
    counts = np.array([0.0 if few and i % 2 else 10.0**x for i, x in enumerate(exponents)])
    counts = counts[: mixture.n_tokens]
    found = _core.DirichletMixture([1.0], mixture.alpha[:1])
    alpha, n = [exact(x) for x in mixture.alpha[0]], [exact(x) for x in counts]
    total, seen = mpmath.fsum(alpha), mpmath.fsum(n)
    with mpmath.workdps(DIGITS):
        terms = [mpmath.loggamma(a + x) - mpmath.loggamma(a) for a, x in zip(alpha, n, strict=True)]
        terms.append(mpmath.loggamma(total) - mpmath.loggamma(total + seen))
        error = abs(exact(found.log_evidence(counts[np.newaxis])[0]) - mpmath.fsum(terms))
        assert error <= 1e-13 * mpmath.fsum(map(abs, terms))
        right = [float((a + x) / (total + seen)) for a, x in zip(alpha, n, strict=True)]
    assert_allclose(found.predictive(counts[np.newaxis])[0], right, rtol=1e-13)
    assert_allclose(found.posterior(counts).mean(), right, rtol=1e-13)


@settings(max_examples=40)
@given(mixtures())
def test_variance_is_right_for_all_alphas(mixture: DirichletMixture) -> None:
    alone = DirichletMixture([1.0], mixture.alpha[:1])
    with mpmath.workdps(DIGITS):
        a = [exact(x) for x in alone.alpha[0]]
        total = mpmath.fsum(a)
        right = [float(x / total * ((total - x) / total) / (total + 1)) for x in a]
    assert_allclose(alone.variance(), right, rtol=1e-13, atol=1e-320)


@settings(max_examples=60)
@given(mixtures(), st.integers(0, 2**32))
def test_samples_are_rows(mixture: DirichletMixture, seed: int) -> None:
    rows = mixture.sample(50, rng=seed, kind="log_probs")
    assert np.isfinite(rows).all()
    assert_allclose(np.exp(rows).sum(axis=1), 1.0, rtol=1e-12)


@pytest.mark.parametrize("alpha", [[LEAST, LEAST], [1e-3, 2e-3], [0.3, 4.0], [1e10, 3e10]])
def test_samples_have_the_mean_and_the_spread(alpha: list[float]) -> None:
    mixture = DirichletMixture([1.0], [alpha])
    rows = mixture.sample(20_000, rng=1)
    spread = np.sqrt(mixture.variance())
    assert_allclose((rows.mean(axis=0) - mixture.mean()) / spread, 0.0, atol=4 / np.sqrt(20_000))
    assert_allclose(rows.std(axis=0) / spread, 1.0, rtol=0.03)


@pytest.mark.parametrize("total", [1e17, MOST / 1.1])
def test_samples_spread_where_doubles_just_tell(total: float) -> None:
    mixture = DirichletMixture([1.0], [[0.3 * total, 0.7 * total]])
    rows = mixture.sample(5000, rng=2)[:, 0] - 0.3
    assert_allclose(rows.std(), np.sqrt(mixture.variance()[0]), rtol=0.05)
    assert_allclose(rows.mean(), 0.0, atol=4 * rows.std() / np.sqrt(5000))


@pytest.mark.parametrize("level", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("total", [1e4, 1e8, 1e11, 1e12, 1e15, 1e18])
@pytest.mark.parametrize("mean", [0.5, 0.3, 0.02])
def test_intervals_of_narrow_betas(total: float, mean: float, level: float) -> None:
    """Against the normal distribution with the terms of skewness and kurtosis."""
    a, b = total * mean, total * (1.0 - mean)
    with mpmath.workdps(40):
        z = mpmath.sqrt(2) * mpmath.erfinv(level)
        A, B = exact(a), exact(b)
        S, spread = A + B, mpmath.sqrt(A * B / (A + B + 1)) / (A + B)
        skew = 2 * (B - A) * mpmath.sqrt(S + 1) / ((S + 2) * mpmath.sqrt(A * B))
        bulge = 6 * ((A - B) ** 2 * (S + 1) - A * B * (S + 2)) / (A * B * (S + 2) * (S + 3))
        for found, sign in zip(
            DirichletMixture([1.0], [[a, b]]).interval(0, level), (-1, 1), strict=True
        ):
            x = sign * z
            right = x + (x**2 - 1) * skew / 6 + (x**3 - 3 * x) * bulge / 24
            right -= (2 * x**3 - 5 * x) * skew**2 / 36
            far = float((exact(found) - A / S) / spread - right)
            assert abs(far) < 1e-9 + 30 * min(a, b) ** -1.5 + 2.3e-16 * mean / float(spread)


def test_intervals_of_a_mixture_of_narrow_betas() -> None:
    mixture = DirichletMixture([0.25, 0.75], [[2e13, 8e13], [5e13, 5e13]])
    low, high = mixture.interval(0, 0.9)
    assert_allclose([low, high], [0.2, 0.5], atol=1e-6)
    assert low < 0.2 < 0.5 < high


def test_the_least_alpha() -> None:
    """Next to nothing: a row is one token for sure, and which one the first token tells."""
    mixture = DirichletMixture([1.0], [[LEAST, LEAST]])
    total, aleatoric, epistemic = mixture.uncertainty()
    assert_allclose([total, epistemic], np.log(2.0), rtol=1e-15)
    assert_allclose(aleatoric, LEAST * np.pi**2 / 6.0, rtol=1e-13)  # psi(1 + 2a) - psi(1 + a)
    assert_allclose(mixture.entropy(), -1.0 / LEAST, rtol=1e-13)
    assert_allclose(mixture.predictive([1.0, 0.0]), [1.0, LEAST])
    assert_allclose(mixture.log_evidence([3.0, 0.0]), np.log(0.5), rtol=1e-13)
    assert_allclose(mixture.interval(0), [0.0, 1.0], atol=1e-300)


@pytest.mark.parametrize("least", [-300, -200, -155, -100, -20])
@pytest.mark.parametrize("ratio", [1e-3, 0.5, 1.0, 40.0])
def test_intervals_of_next_to_nothing(least: int, ratio: float) -> None:
    """A Beta of small shapes is 0 or 1; with probability b / (a + b) it is 0."""
    a, b = max(10.0**least, 10.0**least * ratio), max(10.0**least, 10.0**least / ratio)
    for weights, alphas in (([1.0], [[a, b]]), ([0.5, 0.5], [[a, b], [a, b * 2.0]])):
        mixture = DirichletMixture(weights, alphas)
        none = sum(w * y / (x + y) for w, (x, y) in zip(weights, alphas, strict=True))
        for level in (0.05, 0.5, 0.9, 0.999):
            expected = [(1.0 - level) / 2.0 > none, (1.0 + level) / 2.0 > none]
            assert_allclose(mixture.interval(0, level), expected, atol=1e-300)


# --- refused outside


@pytest.mark.parametrize(
    ("alpha", "error"),
    [
        ([1.0, 9e-301], ValueError),
        ([1.0, 0.0], ValueError),
        ([1.0, np.nan], ValueError),
        ([1.0, np.inf], ValueError),
        ([1.0, 8e307], OverflowError),
        ([MOST, 1e3], OverflowError),
    ],
)
def test_alphas_out_of_range_are_refused(alpha: list[float], error: type[Exception]) -> None:
    DirichletMixture([1.0], [[LEAST, MOST]])
    with pytest.raises(error, match=r"1e-300|2\^60"):
        DirichletMixture([1.0], [alpha])


@pytest.mark.parametrize("counts", [[MOST_COUNT, 2.0], [1e306, 1e306], [0.0, 2.0**54]])
def test_counts_out_of_range_are_refused(counts: list[float]) -> None:
    mixture = DirichletMixture([0.5, 0.5], [[1.0, 1.0], [2.0, 3.0]])
    assert np.isfinite(mixture.log_evidence([MOST_COUNT - 1.0, 1.0]))
    assert_allclose(mixture.predictive([MOST_COUNT, 0.0])[0], 1.0)
    for call in (mixture.log_evidence, mixture.predictive, mixture.posterior):
        with pytest.raises(ValueError, match=r"row 0 .*2\^53"):
            call(counts)
    with pytest.raises(ValueError, match=r"row 0 .*2\^53"):
        _core.Counts([0, 2], [0, 1], counts, 2)
    with pytest.raises(OverflowError, match=r"2\^60"):
        DirichletMixture([1.0], [[MOST, 1.0]]).posterior([1e4, 0.0])


def test_the_cap_on_concentrations_is_in_range() -> None:
    rows = np.log([[0.3, 0.7]] * 3)
    for bound in (0.0, np.inf, np.nan, 2.0**61):
        with pytest.raises(ValueError, match="max_concentration"):
            DirichletMixtureEstimator(1, kind="log_probs", max_concentration=bound).fit(rows)


# --- and calls end, whatever the numbers

ENDLESS = [
    "mb.DirichletMixtureEstimator(1, kind='counts').fit([[2.**49 + i, i + 3] for i in (0, 4, 8)])",
    "mb.DirichletMixtureEstimator(1, kind='counts').fit([[2.**52 + i, i + 3] for i in range(3)])",
    "core.count_maximization([0, 0, 1, 2, 2], [2.**54, 2.**54 + 4, 3., 2.**54, 2.**54 + 4], "
    "[[1.], [1.], [1.], [1.], [1.]], [[1., 1.]], (0., 0., 1e-12, 1e8))",
    "mb.DirichletMixture([1.0], [[5e17, 5e17]]).sample(1000, rng=0)",
]


@pytest.mark.parametrize("code", ENDLESS)
def test_calls_end(code: str) -> None:
    line = [sys.executable, "-W", "ignore", "-c"]
    line.append(f"import matrixbayes as mb\nfrom matrixbayes import _core as core\n{code}")
    subprocess.run(line, check=True, timeout=300)
