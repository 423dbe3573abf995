"""A posterior along a text, against mpmath, the same posterior made anew, and laws."""

from __future__ import annotations

import time

import mpmath
import numpy as np
import pytest
import reference
from alarm import Stopped, alarm, needs_timers
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import gammaln

import matrixbayes as mb
from matrixbayes._core import posterior_learning


def mixture(k, v, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return mb.DirichletMixture(
        rng.dirichlet(np.ones(k)), scale * rng.gamma(0.5, size=(k, v)) + 1e-3
    )


@settings(max_examples=50)
@given(
    k=st.integers(1, 9),
    v=st.integers(1, 300),
    n=st.integers(0, 30),
    seed=st.integers(0, 999),
    whole=st.booleans(),
    scale=st.sampled_from([1e-2, 1.0, 1e3]),
)
def test_each_step_is_that_of_the_slow_twin(k, v, n, seed, whole, scale):
    rng = np.random.default_rng(seed)
    prior = mixture(k, v, seed, scale)
    counts = rng.integers(0, 3, v) if whole else rng.gamma(0.3, size=v)
    tokens = rng.integers(0, v, n)
    predictive, parts = posterior_learning(prior, counts, tokens)
    assert predictive.shape == (n + 1, v)
    # the twin takes large logarithms of gamma functions from each other
    rtol = 1e-11 + 2e-15 * gammaln((prior.alpha + counts).sum(axis=1).max() + n)
    for t in range(n + 1):
        now = counts + np.bincount(tokens[:t], minlength=v)
        mean, total, aleatoric = reference.entropies(prior.weights, prior.alpha, now)
        assert_allclose(predictive[t], mean, rtol=rtol)
        assert_allclose(parts[t, :2], [total, aleatoric], rtol=rtol, atol=1e-13)
        assert_allclose(parts[t, 2], max(parts[t, 0] - parts[t, 1], 0.0), rtol=0, atol=1e-15)


def test_a_long_text_is_as_exact_as_a_short_one():
    """Entropies near 0 too: 20,000 tokens, nearly all of them the same, in 60 digits."""
    rng = np.random.default_rng(0)
    prior, n = mixture(3, 5), 20_000
    tokens = np.where(rng.random(n) < 1e-3, rng.integers(0, 5, n), 2)
    predictive, parts = posterior_learning(prior, np.zeros(5), tokens)
    for t in (0, 1, 100, n):
        counts = np.bincount(tokens[:t], minlength=5)
        with mpmath.workdps(60):
            alpha = [[mpmath.mpf(a) for a in row] for row in prior.alpha]
            joint = []
            for w, row in zip(prior.weights, alpha, strict=True):
                ratio = mpmath.mpf(w) / mpmath.rf(sum(row), int(counts.sum()))
                for a, c in zip(row, counts, strict=True):
                    ratio *= mpmath.rf(a, int(c))
                joint.append(ratio)
            r = [each / sum(joint) for each in joint]
            after = [[a + int(c) for a, c in zip(row, counts, strict=True)] for row in alpha]
            p = [
                sum(w * row[v] / sum(row) for w, row in zip(r, after, strict=True))
                for v in range(5)
            ]
            total = -sum(x * mpmath.log(x) for x in p)
            aleatoric = sum(
                w
                * sum(
                    a / sum(row) * (mpmath.psi(0, sum(row) + 1) - mpmath.psi(0, a + 1)) for a in row
                )
                for w, row in zip(r, after, strict=True)
            )
            expected = np.array([float(x) for x in (total, aleatoric, total - aleatoric)])
        assert_allclose(predictive[t], [float(x) for x in p], rtol=1e-11)
        assert_allclose(parts[t, :2], expected[:2], rtol=1e-11)
        assert_allclose(parts[t, 2], expected[2], rtol=1e-9, atol=1e-14)


def test_large_concentrations():
    """With A = 1e12 the entropy of a row is that of its mean, less (V - 1) / 2A."""
    prior = mb.DirichletMixture([1.0], np.full((1, 4), 2.5e11))
    _, parts = posterior_learning(prior, np.zeros(4), [0, 1, 2])
    assert_allclose(parts[:, :2], np.log(4.0), rtol=1e-11)
    point = mb.DirichletMixture([1.0], [[1e12, 1e-12]])
    _, parts = posterior_learning(point, [0.0, 0.0], [])
    with mpmath.workdps(60):
        a, b = mpmath.mpf(1e12), mpmath.mpf(1e-12)
        psi = mpmath.psi(0, a + b + 1)
        row = a * (psi - mpmath.psi(0, a + 1)) + b * (psi - mpmath.psi(0, b + 1))
        expected = float(row / (a + b))
    assert_allclose(parts[0, 1], expected, rtol=1e-12)


def test_tokens_may_stand_in_any_order_and_components_too():
    rng = np.random.default_rng(1)
    prior, tokens = mixture(4, 30), rng.integers(0, 30, 50)
    first, parts = posterior_learning(prior, np.zeros(30), tokens)
    again, others = posterior_learning(prior, np.zeros(30), rng.permutation(tokens))
    assert_allclose(again[-1], first[-1], rtol=1e-12)
    assert_allclose(others[-1], parts[-1], rtol=1e-11)
    order, columns = rng.permutation(4), rng.permutation(30)
    moved = mb.DirichletMixture(prior.weights[order], prior.alpha[order][:, columns])
    other, others = posterior_learning(moved, np.zeros(30), np.argsort(columns)[tokens])
    assert_allclose(other, first[:, columns], rtol=1e-12)
    assert_allclose(others, parts, rtol=1e-11)


def test_a_component_without_weight_is_not_there():
    prior = mb.DirichletMixture([0.0, 1.0], [[5.0, 1.0], [1.0, 1.0]])
    found = posterior_learning(prior, [0.0, 0.0], [0, 0, 1])
    alone = posterior_learning(mb.DirichletMixture([1.0], [[1.0, 1.0]]), [0.0, 0.0], [0, 0, 1])
    for mine, its in zip(found, alone, strict=True):
        assert_allclose(mine, its, rtol=1e-14)


@pytest.mark.parametrize(
    ("counts", "tokens", "message"),
    [
        ([0.0, 0.0], [0], r"counts have shape \(2,\); they need \(3,\)"),
        ([0.0, -1.0, 0.0], [0], r"counts\[1\] must be finite and >= 0"),
        ([0.0, np.nan, 0.0], [0], r"counts\[1\] must be finite and >= 0"),
        ([0.0, 0.0, 0.0], [0, 3], r"tokens\[1\] is 3; tokens are 0 to 2"),
        ([0.0, 0.0, 0.0], [-1], r"tokens\[0\] is -1; tokens are 0 to 2"),
    ],
)
def test_wrong_arguments_are_named(counts, tokens, message):
    with pytest.raises(ValueError, match=message):
        posterior_learning(mixture(2, 3), counts, tokens)


@needs_timers
@pytest.mark.parametrize("n", [0, 200])
def test_signals_stop_it(n):
    prior = mixture(64, 40_000) if n == 0 else mixture(8, 20_000)
    counts = np.ones(prior.n_tokens)
    with pytest.raises(Stopped), alarm(0.01):  # noqa: PT012
        posterior_learning(prior, counts, np.zeros(n, int))
        time.sleep(1.0)


@pytest.mark.filterwarnings("ignore:its mean KL is far")  # of an urn read as another family
def test_paths_of_reports_are_those_of_their_posteriors():
    """The batch is taken where tokens are independent, and only there."""
    rng = np.random.default_rng(0)
    prior = mb.DirichletMixture([0.4, 0.6], [[4.0, 1.0, 1.0], [0.5, 0.5, 3.0]])
    histories = [rng.integers(0, 3, n).tolist() for n in rng.integers(0, 12, 60)]
    counts = np.array([np.bincount(np.array(h, dtype=int), minlength=3) for h in histories])
    text = [0, 2, 2, 1, 0, 0, 2]
    for own in ({}, {"discount": 0.8}, {"temperature": 1.5}, {"family": "markov"}):
        options = {"family": "iid"} | own
        found = mb.elicit_prior(histories, prior.predictive(counts), kind="probs", rng=0, **options)
        path = mb.learning_path(found, lambda x: np.full((*x.shape, 3), -np.log(3.0)), text)
        ends = [text[:t] for t in range(len(text))]
        assert_allclose(path.predictive, found.predict(ends), rtol=1e-13)
        each = np.array([found.posterior(end).uncertainty() for end in ends])
        assert_allclose(path.total, each[:, 0], rtol=1e-11)
        assert_allclose(path.aleatoric, each[:, 1], rtol=1e-11)
