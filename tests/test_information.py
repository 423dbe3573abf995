"""The observed information against numerical Hessians, known standard errors, and quadrature."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose
from scipy import integrate

from matrixbayes import ConvergenceWarning, DirichletMixture, DirichletMixtureEstimator

EXPECTED = reference.load("synthetic_expected")


def table(name):
    with np.load(reference.DATA / f"{name}.npz") as file:
        return file["X"]


def fitted_to(k, kind, rows, **parameters):
    return DirichletMixtureEstimator(
        k, kind=kind, random_state=0, tol=1e-12, max_iter=3000, **parameters
    ).fit(rows)


def log_likelihood(theta, k, rows, kind, weights):
    v = rows.shape[1]
    logits = np.append(theta[k * v :], 0.0)
    w = np.exp(logits - logits.max())
    mixture = DirichletMixture(w / w.sum(), theta[: k * v].reshape(k, v))
    if kind == "counts":
        return weights @ mixture.log_evidence(rows)
    return weights @ mixture.log_prob(rows, kind=kind)


def numerical_hessian(function, x, steps):
    d = len(x)
    result = np.empty((d, d))
    for i in range(d):
        for j in range(d):
            total = 0.0
            for a in (1, -1):
                for b in (1, -1):
                    y = x.copy()
                    y[i] += a * steps[i]
                    y[j] += b * steps[j]
                    total += a * b * function(y)
            result[i, j] = total / (4.0 * steps[i] * steps[j])
    return result


@pytest.mark.parametrize("kind", ["probs", "counts"])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_it_is_the_numerical_hessian(kind, k):
    rng = np.random.default_rng(k)
    truth = DirichletMixture(rng.dirichlet(np.ones(k) * 5), rng.uniform(0.5, 4.0, (k, 3)))
    rows = truth.sample(60, rng=rng)
    if kind == "counts":
        rows = np.array([rng.multinomial(rng.integers(0, 20), p) for p in rows])
    weights = rng.uniform(0.5, 2.0, 60)
    fitted = DirichletMixtureEstimator(k, kind=kind, init=truth, max_iter=1)
    with pytest.warns(
        ConvergenceWarning, match="still rose"
    ):  # not at a maximum, where the Hessian is as good a test
        fitted.fit(rows, sample_weight=weights)
    prior = fitted.prior_
    theta = np.append(prior.alpha.ravel(), np.log(prior.weights[:-1] / prior.weights[-1]))
    steps = 1e-3 * np.append(prior.alpha.ravel(), np.ones(k - 1))
    expected = numerical_hessian(lambda t: log_likelihood(t, k, rows, kind, weights), theta, steps)
    found = fitted.information(rows, sample_weight=weights).hessian
    assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    "name",
    ["probs_V10_K3_A", "probs_V8_K3_overlap_A", "counts_V20_K3_A", "counts_V12_K2_overlap_A"],
)
def test_known_standard_errors(name):
    rows, kind = table(name), "probs" if name.startswith("probs") else "counts"
    found = fitted_to(1, kind, rows).information(rows)
    assert found.is_maximum
    assert_allclose(found.alpha_se[0], EXPECTED[name]["single_mle"]["se"], rtol=1e-8)


def test_the_evidence_against_quadrature():
    rng = np.random.default_rng(0)
    counts = rng.multinomial(12, DirichletMixture([1.0], [[2.0, 3.0]]).sample(200, rng=rng))
    found = fitted_to(1, "counts", counts).information(counts)
    fitted = fitted_to(1, "counts", counts)
    top = fitted.log_likelihood_

    def density(x, y):
        mixture = DirichletMixture([1.0], np.exp([[x, y]]))
        prior = np.exp(-(x * x + y * y) / 18.0) / (18.0 * np.pi)
        return np.exp(mixture.log_evidence(counts).sum() - top) * prior

    x, y = np.log(fitted.alpha_[0])
    value, _ = integrate.dblquad(density, y - 1.5, y + 1.5, x - 1.5, x + 1.5, epsabs=1e-9)
    assert found.log_evidence == pytest.approx(top + np.log(value), abs=0.02)


def test_what_is_not_identified_has_no_standard_error():
    counts = np.eye(3)[[0, 0, 1, 2, 1, 0]]
    with pytest.warns(UserWarning, match="not identified"):
        fitted = DirichletMixtureEstimator(1, kind="counts").fit(counts)
    found = fitted.information(counts)
    assert not found.is_maximum
    assert np.isinf(found.alpha_se).all()


def test_too_many_parameters_are_refused():
    rows = DirichletMixture([1.0], [np.ones(3000)]).sample(5, rng=0, kind="log_probs")
    fitted = DirichletMixtureEstimator(1, kind="log_probs").fit(rows)
    fitted.prior_ = DirichletMixture([0.5, 0.5], np.ones((2, 3000)))
    with pytest.raises(ValueError, match="6001 parameters"):
        fitted.information(rows)
