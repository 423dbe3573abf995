"""The bound of a fit never falls: M-steps, fits, streams and batches of small sparse tables.

Objectives are evaluated here, factor by factor, where differences of log-gammas would lose the
digits that matter.
"""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from unittest import mock

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from matrixbayes import DirichletMixture, DirichletMixtureEstimator, GammaPrior, _core
from matrixbayes.errors import ConvergenceWarning
from matrixbayes.estimator import em
from matrixbayes.estimator.count_data import CountData
from matrixbayes.estimator.penalty import Penalty
from matrixbayes.estimator.row_data import RowData

PRIORS = [
    None,
    GammaPrior(0.1, 0.1, on="log_alpha"),
    GammaPrior(1.5, 0.5, on="alpha"),
    GammaPrior(1.0, 1.0, on="alpha"),
    GammaPrior(3.0, 0.1, on="concentration"),
    GammaPrior(2.0, 1e-3, on="concentration"),
]
SEEDS = st.integers(0, 10**6)

# Two rows share a component, and another has left tokens behind that it will never see.
FELL = [
    [0, 4, 3, 0, 0, 4, 0, 1, 0, 2, 0, 3, 2],
    [1, 0, 4, 1, 0, 0, 2, 0, 0, 0, 0, 1, 3],
    [4, 5, 0, 2, 0, 5, 0, 5, 0, 3, 0, 2, 2],
    [0, 2, 0, 0, 2, 2, 1, 8, 2, 7, 4, 2, 0],
]


def sparse_table(rng, whole=True):
    """A table with many zeros: from a mixture, or of no law."""
    n, v = int(rng.integers(2, 14)), int(rng.integers(2, 20))
    if rng.random() < 0.5:
        k = int(rng.integers(1, 5))
        alpha = rng.gamma(rng.choice([0.1, 0.5]), rng.choice([0.5, 2.0, 20.0]), (k, v)) + 1e-3
        probs = DirichletMixture(rng.dirichlet(np.ones(k)), alpha).sample(n, rng=rng)
        counts = np.array([rng.multinomial(rng.integers(1, 40), p) for p in probs])
    else:
        counts = rng.poisson(rng.choice([0.5, 2.0, 5.0]), (n, v))
        counts = counts * (rng.random((n, v)) < rng.uniform(0.1, 0.8))
    return counts if whole else counts * rng.uniform(0.1, 2.0, counts.shape)


def log_rising(a, n):
    """ln Gamma(a + n) - ln Gamma(a)."""
    if n == int(n):
        return float(np.log(a + np.arange(n)).sum())
    with mpmath.workdps(40):
        return float(mpmath.loggamma(mpmath.mpf(a) + n) - mpmath.loggamma(mpmath.mpf(a)))


def log_evidence(row, alpha):
    seen = np.flatnonzero(row)
    each = sum(log_rising(alpha[v], row[v]) for v in seen)
    return each - log_rising(float(alpha.sum()), float(row.sum()))


def log_prior(alpha, prior, max_concentration=1e8):
    """The logarithm of a prior's density, up to a constant; alpha (K, V)."""
    total = alpha.sum()
    value = -1e-4 / max_concentration * total
    if prior is None:
        return value
    if prior.on == "concentration":
        of = alpha.sum(axis=1)
        return value + ((prior.shape - 1.0) * np.log(of) - prior.rate * of).sum()
    power = prior.shape - (prior.on == "alpha")
    return value + power * np.log(alpha).sum() - prior.rate * total


def log_likelihoods(counts, mixture):
    """Of each row."""
    with np.errstate(divide="ignore"):
        log_weights = np.log(mixture.weights)
    joint = [[log_evidence(row, a) for a in mixture.alpha] for row in counts]
    return np.logaddexp.reduce(np.array(joint) + log_weights, axis=1)


def quietly(estimator, *data, **weights):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(*data, **weights)


# -- the M-step -----------------------------------------------


@settings(max_examples=300)
@given(SEEDS, st.sampled_from(PRIORS), st.booleans())
def test_an_m_step_never_lowers_its_objective(seed, prior, whole):
    rng = np.random.default_rng(seed)
    counts = sparse_table(rng, whole)
    # Of a component that has all but left some rows: their weights underflow.
    weight = np.exp(rng.normal(0.0, rng.choice([0.0, 1.0, 30.0, 150.0]), len(counts)))
    statistics = CountData.of(counts, weight).accumulate(np.ones((len(counts), 1)))
    if rng.random() < 0.5:
        centre, spread = rng.choice([-4.0, 0.0, 5.0, 12.0]), rng.choice([0.1, 1.0, 8.0])
        start = np.exp(rng.normal(centre, spread, (1, counts.shape[1])))
    else:  # near proportions, with rests of what the component has left
        rest = np.exp(-rng.uniform(0.0, 60.0, (1, counts.shape[1])))
        start = rng.choice([1.0, 1e3, 1e6]) * (weight @ counts / weight.max() + rest)
    bound = rng.choice([30.0, 1e8])
    start = np.maximum(start * min(1.0, 0.9 * bound / start.sum()), 1e-15)
    alpha, _ = _core.count_maximization(
        statistics.tokens,
        statistics.counts,
        statistics.cells,
        start,
        Penalty.of(prior, bound).on_alpha,
    )

    def objective(alpha):
        terms = [w * log_evidence(row, alpha[0]) for w, row in zip(weight, counts, strict=True)]
        return sum(terms) + log_prior(alpha, prior, bound)

    slack = 1e-12 * (weight @ counts.sum(axis=1) * 20.0 + 20.0 * counts.shape[1])
    assert objective(alpha) >= objective(start) - slack
    assert alpha.sum() <= bound * (1.0 + 1e-12)


@settings(max_examples=200)
@given(SEEDS, st.sampled_from(PRIORS))
def test_an_m_step_on_rows_never_lowers_its_objective(seed, prior):
    from scipy.special import gammaln

    rng = np.random.default_rng(seed)
    v = int(rng.integers(2, 12))
    mean_log = rng.normal(0.0, rng.choice([0.1, 2.0, 20.0]), (int(rng.integers(1, 9)), v))
    mean_log -= np.log(np.exp(mean_log).sum(axis=1, keepdims=True)) + 1e-9
    weight, sums = float(len(mean_log)), mean_log.sum(axis=0)
    statistics = _core.SufficientStatistics([weight], [sums], 0.0, len(mean_log))
    start = np.exp(rng.normal(rng.choice([-4.0, 0.0, 5.0]), rng.choice([0.1, 3.0]), (1, v)))
    alpha, _ = _core.maximization(statistics, start, Penalty.of(prior, 1e8).on_alpha)

    def objective(alpha):
        constant = gammaln(alpha.sum()) - gammaln(alpha).sum()
        return weight * constant + ((alpha[0] - 1.0) @ sums) + log_prior(alpha, prior)

    terms = weight * gammaln(max(alpha.sum(), start.sum()) + 2.0) + np.abs(sums) @ alpha[0]
    assert objective(alpha) >= objective(start) - 1e-12 * terms - 1e-9


# -- fits ------------------------------------------------------


@settings(max_examples=300)
@given(SEEDS, st.integers(1, 5), st.sampled_from(PRIORS), st.booleans(), st.booleans())
def test_the_bound_never_falls_and_is_the_best_seen(seed, k, prior, accelerate, whole):
    rng = np.random.default_rng(seed)
    counts = sparse_table(rng, whole)
    weight = None if rng.random() < 0.5 else rng.uniform(0.0, 3.0, len(counts))
    if len(counts) < k:
        counts, weight = np.tile(counts, (k, 1)), None
    estimator = DirichletMixtureEstimator(
        k,
        kind="counts",
        random_state=seed,
        init=rng.choice(["kmeans++", "random"]),
        max_iter=int(rng.choice([7, 100])),
        accelerate=accelerate,
        concentration_prior=prior,
        n_jobs=1,
    )
    chunks = [counts[:1], counts[1:]]  # a stream, half of the times
    fitted = quietly(estimator, counts if seed % 2 else chunks, sample_weight=weight)
    assert (np.diff(fitted.lower_bounds_) >= 0.0).all()
    assert fitted.lower_bound_ == max(fitted.lower_bounds_)
    weight = np.ones(len(counts)) if weight is None else weight
    value = weight @ log_likelihoods(counts, fitted.prior_) + log_prior(fitted.alpha_, prior)
    scale = 1.0 + 20.0 * counts.sum(axis=1).max() + abs(value) / weight.sum()
    assert abs(fitted.lower_bound_ - value / weight.sum()) <= 1e-12 * scale


def test_a_component_that_leaves_rows_behind_does_not_fall():
    fitted = quietly(DirichletMixtureEstimator(3, kind="counts", random_state=0), FELL)
    assert fitted.lower_bound_ >= -45.46058618
    restarted = DirichletMixtureEstimator(3, kind="counts", random_state=0, max_iter=2)
    shares = quietly(restarted, FELL).predict_proba(FELL)
    again = quietly(DirichletMixtureEstimator(3, kind="counts", init=shares, max_iter=1), FELL)
    assert fitted.lower_bound_ >= again.lower_bound_ - 1e-8


def test_a_bound_that_is_no_number_is_never_settled():
    class Broken(RowData):
        """Rows whose likelihood is NaN."""

        def expectation(self, mixture):
            s = super().expectation(mixture)
            return SimpleNamespace(weight=s.weight, log_sums=s.log_sums, log_likelihood=np.nan)

    rows = np.log(np.random.default_rng(0).dirichlet(np.ones(3), 40))
    data, penalty = Broken(rows, None, (None, 1)), Penalty.of(None, 1e8)
    start = DirichletMixture([0.5, 0.5], [[1.0, 1.0, 2.0], [2.0, 1.0, 1.0]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(em, "maximization", lambda s, m, p: (start, np.zeros(2, np.int8)))
        patch.setattr(em, "_same", lambda a, b: False)
        assert not em.fit(data, start, tol=1e-5, max_iter=10, penalty=penalty).settled


def test_a_bound_that_rounding_lowers_is_not_reported(monkeypatch):
    """The state before is returned, and it has settled."""
    counts = np.random.default_rng(0).poisson(3.0, (30, 4))
    data, calls = CountData.of(counts), []
    plain = CountData.expectation

    def expectation(self, mixture):
        calls.append(mixture)
        found = plain(self, mixture)
        return em.replace(found, log_likelihood=-100.0 - (len(calls) == 3) * 1e-13)

    monkeypatch.setattr(CountData, "expectation", expectation)
    start = DirichletMixture([0.5, 0.5], np.random.default_rng(1).uniform(0.5, 2.0, (2, 4)))
    found = em.fit(
        data, start, tol=0.0, max_iter=50, penalty=Penalty(0, 0, 0.0, 1e8), accelerate=False
    )
    assert found.bounds == [-100.0 / 30.0, -100.0 / 30.0]
    assert found.mixture == calls[1]
    assert found.settled
    assert found.n_passes == 3


# -- statistics that are merged, and batches -----------------------


@settings(max_examples=100)
@given(SEEDS, st.integers(1, 4), st.sampled_from(PRIORS))
def test_passes_over_statistics_made_elsewhere_never_lower_the_bound(seed, k, prior):
    rng = np.random.default_rng(seed)
    counts = np.tile(sparse_table(rng), (2, 1))
    estimator = DirichletMixtureEstimator(
        k,
        kind="counts",
        random_state=seed,
        max_iter=1,
        concentration_prior=prior,
        n_jobs=1,
    )
    if len(counts) < k:
        return
    quietly(estimator, counts)
    for _ in range(12):
        parts = [estimator.summarize(counts[:1]), estimator.summarize(counts[1:])]
        estimator.from_summaries(parts)
    bounds = np.array(estimator.lower_bounds_)
    assert (np.diff(bounds) >= -1e-12 * (1.0 + np.abs(bounds).max())).all()


@settings(max_examples=100)
@given(SEEDS, st.integers(1, 4), st.sampled_from(PRIORS))
def test_a_batch_never_lowers_the_objective_of_what_was_seen(seed, k, prior):
    rng = np.random.default_rng(seed)
    counts = np.tile(sparse_table(rng), (2, 1))
    estimator = DirichletMixtureEstimator(
        k, kind="counts", random_state=seed, max_iter=3, concentration_prior=prior, n_jobs=1
    )
    if len(counts) < k:
        return
    quietly(estimator, counts)

    def objective(weights, alpha, statistics):
        value = statistics.weight @ np.log(np.maximum(weights, 1e-300)) + log_prior(alpha, prior)
        of_token = np.column_stack([alpha, alpha.sum(axis=1)])
        for token, count, cell in zip(
            statistics.tokens, statistics.counts, statistics.cells, strict=True
        ):
            each = [log_rising(a, count) for a in of_token[:, token]]
            value += cell[:k] @ each * (-1.0 if token == alpha.shape[1] else 1.0)
        return value

    steps, plain = [], em.maximization

    def maximization(statistics, mixture, penalty):
        found = plain(statistics, mixture, penalty)
        steps.append((statistics, mixture.alpha, found[0]))
        return found

    for _ in range(3):
        batch = counts[rng.integers(len(counts), size=5)]
        before = estimator.prior_
        with mock.patch.object(em, "maximization", maximization):
            estimator.partial_fit(batch)
        statistics, alpha, after = steps.pop()
        assert not steps
        shares = statistics.weight / statistics.weight.sum()
        slack = 1e-11 * statistics.weight.sum() * (1.0 + 20.0 * counts.sum(axis=1).max())
        value = objective(after.weights, after.alpha, statistics)
        assert value >= objective(shares, alpha, statistics) - slack
        assert value >= objective(before.weights, before.alpha, statistics) - slack
        # The bound of a batch is at the mixture before its step, the prior's share in it.
        bound = log_likelihoods(batch, before).mean()
        bound += log_prior(before.alpha, prior) / statistics.weight.sum()
        assert_allclose(estimator.lower_bounds_[-1], bound, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("prior", PRIORS[1:])
def test_a_prior_is_in_the_bound_of_a_batch(prior):
    rows = DirichletMixture([0.5, 0.5], [[4.0, 1.0, 1.0], [1.0, 4.0, 4.0]]).sample(60, rng=0)
    estimator = DirichletMixtureEstimator(
        2, kind="probs", random_state=0, concentration_prior=prior
    ).fit(rows)
    before = estimator.prior_
    estimator.partial_fit(rows[:20])
    expected = before.log_prob(rows[:20], kind="probs").mean()
    expected += log_prior(before.alpha, prior) / 80.0
    assert_allclose(estimator.lower_bounds_[-1], expected, rtol=1e-12)
