"""Bernstein's, Durrmeyer's and kernel mixtures against closed forms; smaller mixtures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, stats
from scipy.special import digamma, gammaln

import matrixbayes as mb
from matrixbayes import DirichletMixture
from matrixbayes.mixture.lattice import bernstein, lattice


@pytest.mark.parametrize(("v", "n", "size"), [(2, 5, 6), (3, 32, 561), (10, 10, 92_378)])
def test_the_lattice(v, n, size):
    points = lattice(n, v)
    assert points.shape == (size, v)
    assert (points.sum(axis=1) == n).all()
    assert (points >= 0).all()
    assert len(np.unique(points, axis=0)) == size


@pytest.mark.parametrize(("v", "n"), [(50_000, 10), (10, 12), (2, 10**9)])
def test_a_lattice_too_large_is_refused_with_two_ways_out(v, n):
    with pytest.raises(ValueError, match=r"lump the tokens.*EM"):
        DirichletMixture.from_density(lambda p: p[:, 0], degree=n, n_tokens=v)


def polynomial(values, degree, rows):
    """Bernstein's polynomial of a function at rows, in its plainest form."""
    points = lattice(degree, rows.shape[1])
    log_coefficient = gammaln(degree + 1) - gammaln(points + 1.0).sum(axis=1)
    basis = np.exp(np.log(rows) @ points.T + log_coefficient)
    return basis @ values(points / degree)


@given(st.integers(2, 4), st.integers(1, 9), st.integers(0, 10**6))
def test_the_mixture_is_the_polynomial(v, degree, seed):
    rng = np.random.default_rng(seed)
    rows, slope = rng.dirichlet(np.ones(v), 5), rng.normal(size=v)

    def density(p):
        return np.exp(p @ slope)

    mixture = DirichletMixture.from_density(density, degree=degree, n_tokens=v)
    mass = bernstein(density, degree, v)[1].sum()
    found = mass * np.exp(mixture.log_prob(rows, kind="probs"))
    # B_n[exp(l.p)] = (sum_v p_v e^(l_v / n))^n
    assert_allclose(found, (rows @ np.exp(slope / degree)) ** degree, rtol=1e-9)
    assert_allclose(found, polynomial(density, degree, rows), rtol=1e-9)


@pytest.mark.parametrize("degree", [2, 7, 20])
def test_products_shrink_by_one_over_the_degree(degree):
    rows = np.random.default_rng(0).dirichlet(np.ones(3), 6)
    mixture = DirichletMixture.from_density(lambda p: p[:, 0] * p[:, 1], degree=degree, n_tokens=3)
    mass = bernstein(lambda p: p[:, 0] * p[:, 1], degree, 3)[1].sum()
    found = mass * np.exp(mixture.log_prob(rows, kind="probs"))
    assert_allclose(found, (1.0 - 1.0 / degree) * rows[:, 0] * rows[:, 1], rtol=1e-10)


@pytest.mark.parametrize("degree", [3, 10, 50])
def test_the_report_of_a_parabola(degree):
    report = mb.approximation_report(
        lambda p: 6.0 * p[:, 0] * p[:, 1], degree=degree, n_tokens=2, tol=0.01, counts=[3, 1]
    )
    assert_allclose(report.sup_error, 1.5 / degree, rtol=1e-6)
    assert_allclose(report.bound, 1.5 / degree, rtol=1e-3)
    assert_allclose(report.raw_mass, 1.0 - 1.0 / degree, rtol=1e-12)
    assert report.suggested_degree == 150
    mixture = DirichletMixture.from_density(
        lambda p: 6.0 * p[:, 0] * p[:, 1], degree=degree, n_tokens=2
    )
    exact = integrate.quad(lambda x: x**5 * (1 - x) ** 2, 0, 1)[0]
    exact /= integrate.quad(lambda x: x**4 * (1 - x) ** 2, 0, 1)[0]
    expected = abs(mixture.predictive([3, 1])[0] - exact)
    assert abs(report.predictive_error - expected) < 4.0 * report.predictive_se
    assert len(repr(report).splitlines()) <= 10
    assert "raw mass" in report._repr_html_()


def test_the_bound_holds_in_more_dimensions():
    truth = DirichletMixture([1.0], [[4.0, 5.0, 3.5]])

    def density(p):
        return np.exp(truth.log_prob(np.maximum(p, 1e-300), kind="probs"))

    errors = [mb.approximation_report(density, degree=n, n_tokens=3) for n in (20, 40)]
    assert 0.4 < errors[1].sup_error / errors[0].sup_error < 0.7
    assert errors[1].sup_error < 1.2 * errors[1].bound


def dirichlet(*alpha):
    """The density of a Dirichlet."""
    truth = DirichletMixture([1.0], [alpha])
    return lambda p: np.exp(truth.log_prob(np.maximum(p, 1e-300), kind="probs"))


SMOOTH = {
    "flat": (lambda p: np.ones(len(p)), 0.0),
    "parabola": (lambda p: 6.0 * p[:, 0] * p[:, 1], 12.0),
    "alpha of 1 and 2": (lambda p: 2.0 * p[:, 0], 0.0),
    "alpha of 3": (lambda p: 30.0 * (p[:, 0] * p[:, 1]) ** 2, 60.0),
    "wave": (lambda p: 1.0 + np.sin(40.0 * p[:, 0]), 1600.0),
    "narrow": (lambda p: np.exp(-0.5 * ((p[:, 0] - 0.3137) / 1e-3) ** 2), 1e6),
    "in single precision": (lambda p: (6.0 * p[:, 0] * p[:, 1]).astype(np.float32), 12.0),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_the_bound_is_that_of_the_second_derivative(name):
    density, most = SMOOTH[name]
    report = mb.approximation_report(density, degree=20, n_tokens=2, tol=0.5)
    rounding = 2e-3 if name == "in single precision" else 5e-4
    assert_allclose(report.bound, most / 160.0, rtol=rounding, atol=1e-12)
    assert report.why_no_bound == ""
    assert report.sup_error <= report.bound * (1.0 + rounding) + 1e-12
    assert report.suggested_degree == pytest.approx(max(1.0, most / 4.0), rel=1e-3, abs=1.0)


UNSMOOTH = {
    "alpha of 1.5": (dirichlet(1.5, 3.0), [0.0, 1.0]),
    "alpha of 2.5": (dirichlet(4.0, 2.5), [1.0, 0.0]),
    "alpha of 2.9": (dirichlet(2.9, 3.0), [0.0, 1.0]),
    "kink": (lambda p: np.abs(p[:, 0] - 0.3137), [0.314, 0.686]),
    "slight kink": (
        lambda p: 6 * p[:, 0] * p[:, 1] + 0.05 * np.abs(p[:, 0] - 0.7137),
        [0.714, 0.286],
    ),
    "jump": (lambda p: (p[:, 0] > 0.3137) * 1.0, [0.314, 0.686]),
    "jump of whole numbers": (lambda p: (p[:, 0] > 0.3137) * 1, [0.314, 0.686]),
    "singularity": (lambda p: np.abs(p[:, 0] - 0.31371) ** -0.3, [0.314, 0.686]),
    "gap": (
        lambda p: np.where(np.abs(p[:, 0] - 0.3137) < 2e-3, np.nan, 1.0),
        None,
    ),
    "edge of three": (dirichlet(1.5, 3.0, 3.0), None),
    "kink of three": (lambda p: np.abs(p[:, 0] - p[:, 1]), None),
    "largest of four": (lambda p: p.max(axis=1), None),
}


@pytest.mark.parametrize("name", UNSMOOTH)
def test_a_density_without_second_derivatives_has_no_bound(name):
    density, where = UNSMOOTH[name]
    n_tokens = {"three": 3, "four": 4}.get(name.split()[-1], 2)
    report = mb.approximation_report(density, degree=9, n_tokens=n_tokens, tol=0.1)
    assert (report.bound, report.suggested_degree) == (np.inf, None)
    assert report.why_no_bound[:40] in repr(report)
    assert f"near {'[' if where is None else where}" in report.why_no_bound


def test_a_density_that_is_infinite_on_the_lattice_is_refused():
    with pytest.raises(ValueError, match="finite and >= 0"):
        mb.approximation_report(
            lambda p: np.where(p[:, 0] > 0.0, 1.0, np.inf), degree=5, n_tokens=2
        )


@pytest.mark.parametrize("v", [2, 3, 5])
def test_the_error_of_a_quadratic_form(v):
    """B_n of p'Qp is p'Qp + (sum_i Q_ii p_i - p'Qp) / n, and its Hessian is 2 Q everywhere."""
    rng = np.random.default_rng(v)
    root = rng.normal(size=(v, v))
    form = root @ root.T
    found = mb.approximation_report(
        lambda p: np.einsum("ni,ij,nj->n", p, form, p), degree=8, n_tokens=v
    )
    p = rng.dirichlet(np.full(v, 0.8), 200_000)
    error = np.abs(p @ np.diag(form) - np.einsum("ni,ij,nj->n", p, form, p)).max() / 8
    assert error * (1.0 - 1e-9) <= found.sup_error < 1.01 * error
    centre = np.eye(v) - 1.0 / v
    most = np.abs(np.linalg.eigvalsh(2.0 * centre @ form @ centre)).max()
    assert_allclose(found.bound, most * (1.0 - 1.0 / v) / 16.0, rtol=1e-5)
    assert found.sup_error <= found.bound * (1.0 + 1e-5)


@pytest.mark.parametrize("concentration", [4.0, 40.0, 4e3, 4e5])
def test_the_largest_error_is_found_between_the_points_of_a_grid(concentration):
    alpha = concentration * np.array([0.7137, 0.2863]) + 3.0
    density = dirichlet(*alpha)
    found = mb.approximation_report(density, degree=30, n_tokens=2)
    mode, width = (alpha[0] - 1.0) / (alpha.sum() - 2.0), 0.5 / np.sqrt(alpha.sum())
    near = mode + width * np.linspace(-8.0, 8.0, 4001)
    x = np.concatenate([np.linspace(1e-9, 1.0 - 1e-9, 4001), near[(near > 0.0) & (near < 1.0)]])
    k = np.arange(31)
    weights = stats.binom.pmf(k, 30, x[:, np.newaxis])
    error = weights @ density(np.column_stack([k, 30 - k]) / 30) - density(
        np.column_stack([x, 1.0 - x])
    )
    assert_allclose(found.sup_error, np.abs(error).max(), rtol=1e-5)
    assert found.sup_error <= found.bound


def test_a_peak_over_three_tokens_is_climbed():
    alpha = [300.0, 300.0, 400.0]
    found = mb.approximation_report(dirichlet(*alpha), degree=8, n_tokens=3)
    mode = (np.array(alpha) - 1.0) / 997.0
    k = lattice(8, 3)
    raw = stats.multinomial.pmf(k, 8, mode) @ dirichlet(*alpha)(k / 8)
    at_mode = abs(raw - dirichlet(*alpha)(mode[np.newaxis])[0])
    assert at_mode * (1.0 - 1e-9) <= found.sup_error < 1.0001 * at_mode
    assert found.sup_error <= found.bound


@pytest.mark.parametrize("v", [2, 3, 5])
def test_durrmeyer_of_a_dirichlet(v):
    alpha = np.random.default_rng(v).uniform(0.5, 4.0, v)
    prior = DirichletMixture([1.0], [alpha])
    found = prior.durrmeyer(7)
    mean = alpha / alpha.sum()
    assert_allclose(found.mean(), (7 * mean + 1.0) / (7 + v), rtol=1e-12)
    rows = prior.sample(20_000, rng=0)
    sampled = DirichletMixture.from_samples(rows, kind="probs", degree=7)
    assert_array_equal(sampled.alpha, found.alpha)
    assert_allclose(sampled.weights, found.weights, atol=0.02)


def test_kernels_around_samples():
    rows = [[0.25, 0.75], [1.0, 0.0]]
    found = DirichletMixture.from_samples(
        rows, kind="probs", bandwidth=0.5, sample_weight=[3, 1], tokens=("a", "b")
    )
    assert_allclose(found.alpha, [[1.5, 2.5], [3.0, 1.0]])
    assert_allclose(found.weights, [0.75, 0.25])
    assert found.tokens == ("a", "b")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "give degree"),
        ({"degree": 3, "bandwidth": 0.1}, "give degree"),
        ({"bandwidth": 0.0}, "bandwidth=0.0"),
        ({"degree": 0}, "degree is 0; it must be 1 at least"),
        ({"degree": 2, "sample_weight": [1.0]}, "2 finite numbers"),
        ({"degree": 2, "sample_weight": [0.0, 0.0]}, "all sample weights are zero"),
    ],
)
def test_wrong_parameters_of_samples(parameters, message):
    with pytest.raises(ValueError, match=message):
        DirichletMixture.from_samples([[0.5, 0.5], [0.2, 0.8]], kind="probs", **parameters)


@pytest.mark.parametrize(
    ("density", "message"),
    [
        (lambda p: p[:, 0] - 1.0, r"the density at \[0.0, 1.0\] is -1.0"),
        (lambda p: np.full(len(p), np.nan), "is nan"),
        (lambda p: 1.0, "must take rows of shape"),
        (lambda p: np.zeros(len(p)), "is 0 at all"),
    ],
)
def test_wrong_densities(density, message):
    with pytest.raises(ValueError, match=message):
        DirichletMixture.from_density(density, degree=4, n_tokens=2)


# -- smaller mixtures ------------------------------


def test_equal_components_become_one_without_loss():
    rng = np.random.default_rng(0)
    alpha = rng.uniform(0.5, 9.0, (3, 4))
    big = DirichletMixture(np.full(6, 1 / 6), np.repeat(alpha, 2, axis=0), tokens="abcd")
    found = big.reduce(3, rng=0)
    assert found.bound < 1e-9
    assert abs(found.loss) < 1e-9
    assert found.mixture.tokens == tuple("abcd")
    order, mine = np.argsort(alpha[:, 0]), np.argsort(found.mixture.alpha[:, 0])
    assert_allclose(found.mixture.alpha[mine], alpha[order], rtol=1e-9)
    assert_allclose(found.mixture.weights, 1 / 3)


def test_one_component_has_the_mean_logarithm_of_all():
    rng = np.random.default_rng(1)
    big = DirichletMixture(rng.dirichlet(np.ones(5)), rng.uniform(0.5, 9.0, (5, 3)))
    b = big.reduce(1, rng=0).mixture.alpha[0]
    mean_log = digamma(big.alpha) - digamma(big.concentration)[:, np.newaxis]
    assert_allclose(digamma(b) - digamma(b.sum()), big.weights @ mean_log, rtol=1e-9)


@given(st.integers(0, 10**6), st.integers(1, 6))
def test_the_bound_is_one(seed, k):
    rng = np.random.default_rng(seed)
    big = DirichletMixture(rng.dirichlet(np.ones(6)), rng.uniform(0.5, 9.0, (6, 3)))
    found = big.reduce(k, rng=0, n_samples=2000)
    assert found.loss <= found.bound + 4.0 * found.loss_se + 1e-12
    assert found.mixture.n_components == k
    if k == 6:
        assert found.mixture is big


def test_planted_groups_are_found():
    rng = np.random.default_rng(2)
    centres = np.array([[30.0, 3.0, 3.0], [3.0, 30.0, 3.0], [3.0, 3.0, 30.0]])
    alpha = np.repeat(centres, 10, axis=0) * rng.uniform(0.9, 1.1, (30, 3))
    found = DirichletMixture(np.full(30, 1 / 30), alpha).reduce(3, rng=0)
    assert_allclose(found.mixture.weights, 1 / 3)
    assert found.bound < 0.05
    with pytest.raises(ValueError, match="n_components is 0"):
        found.mixture.reduce(0)
