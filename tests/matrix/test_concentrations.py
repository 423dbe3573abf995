"""Concentrations of a hierarchy: evidence and shares in C, and how many of them pay."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from alarm import Stopped, alarm, needs_timers
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

import matrixbayes as mb
from matrixbayes import _core
from matrixbayes.matrix.fits import evidence
from matrixbayes.matrix.fits.evidence import _chosen, _Rows, _split
from matrixbayes.matrix.prior import Concentration

VALUES = np.array([1e-6, 0.125, 3.0, 8192.0, 2.0**30, 2.0**60])


def rows_of(n: int, seed: int = 0, most: float = 60.0) -> tuple[Any, Any, Any]:
    """Random rows, some of them empty: starts, counts, means."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 9, n)
    counts = np.floor(
        rng.uniform(0.0, 1.0, lengths.sum()) ** 3 * rng.choice([3.0, most], lengths.sum())
    )
    means = rng.uniform(1e-7, 0.1, len(counts))
    return np.concatenate([[0], np.cumsum(lengths)]), counts, means


def slow_evidence(counts: Any, means: Any, values: Any) -> Any:
    """Of a row, as the definition says it, less the logarithms of the means."""
    a, seen = values[:, np.newaxis], counts > 0.0
    terms = gammaln(a * means[seen] + counts[seen]) - gammaln(a * means[seen]) - np.log(means[seen])
    return terms.sum(axis=1) + gammaln(values) - gammaln(values + counts.sum())


@pytest.mark.parametrize("most", [17.0, 60.0, 2e5])
def test_evidence_against_sums(most: float) -> None:
    starts, counts, means = rows_of(80, most=most)
    few = VALUES[1:4]  # gamma functions of large ones cancel
    found = _core.concentration_evidence(starts, counts, means, few)
    for i, row in enumerate(found):
        own = slice(starts[i], starts[i + 1])
        expected = slow_evidence(counts[own], means[own], few)
        # of a row of one token it is 0, whatever the concentration
        assert_allclose(row, expected, rtol=1e-9, atol=1e-8)


def test_evidence_against_exact_sums() -> None:
    """A factor after the other, also where concentrations are at their limits."""
    starts, counts, means = rows_of(60, 1, most=18.0)
    found = _core.concentration_evidence(starts, counts, means, VALUES)
    for i, row in enumerate(found):
        own = slice(starts[i], starts[i + 1])
        for a, value in zip(VALUES, row, strict=True):
            factors = [
                a * m + c if c else a
                for m, n in zip(means[own], counts[own], strict=True)
                for c in range(int(n))
            ]
            expected = np.log(factors).sum() - np.log(a + np.arange(len(factors))).sum()
            assert_allclose(value, expected, rtol=1e-10, atol=1e-9)


def test_shares_are_those_of_the_posterior() -> None:
    starts, counts, means = rows_of(80, 2)
    weights, values = np.array([0.5, 0.2, 0.0, 0.3]), np.array([0.125, 3.0, 50.0, 8192.0])
    found = _core.concentration_shares(starts, counts, means, values, weights)
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights)
    for i, (to_mean, to_count) in enumerate(found):
        own = slice(starts[i], starts[i + 1])
        joint = log_weights + slow_evidence(counts[own], means[own], values)
        r, total = np.exp(joint - logsumexp(joint)), counts[own].sum()
        assert_allclose(to_mean, (r * values / (values + total)).sum(), rtol=1e-8)
        assert_allclose(to_count, (r / (values + total)).sum(), rtol=1e-8)


def chain(n_tokens: int, order: int, n: int, seed: int, spread: float) -> NDArray[np.int64]:
    """A Markov chain whose rows are drawn around those of shorter contexts."""
    rng = np.random.default_rng(seed)
    rows: dict[tuple[int, ...], Any] = {(): rng.dirichlet(np.full(n_tokens, max(spread, 0.3)))}

    def row(context: tuple[int, ...]) -> Any:
        if context not in rows:
            alpha = np.maximum(spread * n_tokens * row(context[1:]), 1e-6)
            rows[context] = rng.dirichlet(alpha)
        return rows[context]

    text = [0] * order
    for u in rng.random(n):
        ends = np.cumsum(row(tuple(text[-order:])))
        text.append(int(min(np.searchsorted(ends, u), n_tokens - 1)))
    return np.array(text[order:])


CHAINS = [
    (n_tokens, order, n, spread)
    for n_tokens in (2, 20, 100)
    for order in (1, 2)
    for n in (100, 1000)
    for spread in (0.05, 0.5, 5.0)
]
LONG = [(n_tokens, order, 10_000, spread) for n_tokens, order, _, spread in CHAINS[::2]]


def perplexities(text: Any, held: Any, order: int, n_tokens: int, sizes: tuple[int, ...]) -> Any:
    matrix = mb.TransitionMatrix(order, n_tokens=n_tokens, hierarchical=True).update(text)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no order is identified in some
        for n_components in sizes:
            matrix.fit_prior(n_components)
            assert all(len(weights) == n_components for weights, _ in matrix.concentrations)
            found.append(matrix.perplexity(held))
    return np.array(found)


@pytest.mark.parametrize(("n_tokens", "order", "n", "spread"), CHAINS)
def test_more_concentrations_are_no_worse(n_tokens: int, order: int, n: int, spread: float) -> None:
    text = chain(n_tokens, order, n + 3000, 1, spread)
    # an order more than the chain has, too
    for fitted in (order, order + 1):
        found = perplexities(text[:n], text[n:], fitted, n_tokens, (1, 2, 16))
        assert (found <= found[0] * 1.003).all(), found


@pytest.mark.slow
@pytest.mark.parametrize(("n_tokens", "order", "n", "spread"), LONG)
@pytest.mark.parametrize("seed", range(4))
def test_more_concentrations_are_no_worse_after_long_texts(
    n_tokens: int, order: int, n: int, spread: float, seed: int
) -> None:
    text = chain(n_tokens, order, n + 20_000, seed, spread)
    found = perplexities(text[:n], text[n:], order, n_tokens, (1, 2, 4, 16))
    assert (found <= found[0] * 1.003).all(), found


def two_kinds(n: int = 400, n_tokens: int = 12) -> NDArray[np.int64]:
    """Counts (n, V) of rows of which some are nearly their mean, and some nearly one token."""
    rng = np.random.default_rng(3)
    spread = np.where(np.arange(n) % 2, 0.5, 500.0)
    rows = [rng.dirichlet(np.full(n_tokens, a / n_tokens) + 1e-9) for a in spread]
    return np.array([rng.multinomial(60, row) for row in rows])


def matrix_of_two_kinds() -> mb.TransitionMatrix:
    matrix = mb.TransitionMatrix(1, n_tokens=400, hierarchical=True)
    wide = np.zeros((400, 400), dtype=np.int64)
    wide[:, :12] = two_kinds()
    return matrix.update_rows(np.arange(400)[:, np.newaxis], wide)


def test_kinds_of_rows_have_concentrations_of_their_own() -> None:
    ((weights, values),) = matrix_of_two_kinds().fit_prior(2).concentrations
    assert values[0] < 2.0
    assert values[1] > 50.0
    assert_allclose(weights, 0.5, atol=0.1)


def test_more_concentrations_have_no_less_evidence() -> None:
    counts = two_kinds()
    starts = np.arange(0, counts.size + 1, counts.shape[1])
    rows = _Rows.of(starts, counts.ravel(), np.full(counts.size, 1.0 / counts.shape[1]))
    before = rows.evidence(np.array([rows.best()])).sum()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "MOST_ROWS", 1 << 20)
        for n_components in range(2, 9):
            weights, values = evidence._several(1, rows, n_components)
            assert len(values) <= n_components
            assert (np.diff(values) > 0.0).all()
            total = logsumexp(rows.evidence(values) + np.log(weights), axis=1).sum()
            assert total > before - 1e-6
            before = total


def test_rows_that_tell_nothing_apart_have_one_concentration() -> None:
    rng = np.random.default_rng(0)
    values = np.array([0.5, 1.0, 2.0])
    log_evidence = rng.normal(0.0, 1e-3, (50, 3))
    chosen, weights, gap = _chosen(log_evidence, values == 1.0, 3, 4.0)
    assert_array_equal(chosen, [1])
    assert (weights.tolist(), gap) == ([1.0], 0.0)
    # nor does what gains less than it costs
    log_evidence[:10, 0] += 1.0
    assert len(_chosen(log_evidence, values == 1.0, 3, 50.0)[0]) == 1
    log_evidence[:10, 0] += 30.0
    log_evidence[10:, 0] -= 3.0
    assert len(_chosen(log_evidence, values == 1.0, 3, 4.0)[0]) == 2


def test_what_does_not_pay_stands_where_another_does() -> None:
    found = Concentration(np.array([0.3, 0.7]), np.array([1.0, 5.0]))
    weights, values = _split(found, 4)
    assert_array_equal(values, [1.0, 5.0, 5.0, 5.0])
    assert_allclose(weights, [0.3, *[0.7 / 3] * 3])


def test_weights_of_too_few_steps_warn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MAX_ITER", 1)
    with pytest.warns(mb.ConvergenceWarning, match="concentrations of order 1 may be .* nats"):
        matrix_of_two_kinds().fit_prior(2)


def test_some_rows_stand_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    text = np.minimum(np.random.default_rng(0).geometric(0.05, 30_000), 199)
    matrix = mb.TransitionMatrix(2, n_tokens=200, hierarchical=True).update(text[:25_000])
    whole = matrix.copy().fit_prior(8).log_prob(text[25_000:])
    monkeypatch.setattr(evidence, "MOST_ROWS", 500)
    starts, counts, means = rows_of(3000)
    some, step = _Rows.of(starts, counts, means).some()
    assert len(some.totals) <= 500 < 500 * step
    kept = np.flatnonzero(
        np.add.reduceat(np.append(counts, 0.0), starts[:-1]) * np.sign(np.diff(starts)) > 1.0
    )[::step]
    expected = _core.concentration_evidence(starts, counts, means, VALUES)[kept]
    assert_array_equal(some.evidence(VALUES), expected)
    assert_allclose(matrix.copy().fit_prior(8).log_prob(text[25_000:]), whole, rtol=2e-3)


def test_means_are_the_predictives_of_the_order_below() -> None:
    """The fit's own arithmetic, level by level, is what the fitted matrix predicts."""
    text = chain(20, 2, 3000, 5, 0.5)
    matrix = mb.TransitionMatrix(3, n_tokens=20, hierarchical=True).update(text).fit_prior(4)
    rows: Any = matrix._rows
    _, indptr, tokens, times = rows.levels.counts[0].all()
    probs = rows.pairs_of_counts(np.zeros((len(tokens), 0), np.int64), tokens.astype(np.int64))
    for level in (1, 2, 3):
        counts = rows.levels.counts[level]
        contexts, indptr, tokens, times = counts.all()
        means = probs[counts.shorter_pairs(rows.levels.counts[level - 1])]
        probs = _Rows.of(indptr, times, means).predicted(rows.concentrations[level - 1])
        each = np.repeat(contexts.astype(np.int64), np.diff(indptr), axis=0)
        assert_allclose(probs, rows.pairs_of_counts(each, tokens.astype(np.int64)), rtol=1e-9)


@needs_timers
def test_a_fit_is_stopped_and_leaves_the_matrix_as_it_was() -> None:
    rng = np.random.default_rng(0)
    matrix = mb.TransitionMatrix(3, n_tokens=5000, hierarchical=True)
    matrix.update(np.minimum(rng.zipf(1.3, 400_000), 4999))
    before = matrix.concentrations, matrix.prior

    def fit_again() -> None:
        for _ in range(1000):
            matrix.copy().fit_prior(16)

    with pytest.raises(Stopped), alarm(0.1):
        fit_again()
    assert (matrix.concentrations, matrix.prior) == before
    assert matrix.update([1, 2, 3]).order == 3


@pytest.mark.parametrize("order", [1, 2, "tree"])
@pytest.mark.parametrize("n_tokens", [5, 100])
def test_more_components_are_no_worse_of_few_rows(order: int | str, n_tokens: int) -> None:
    text = chain(n_tokens, 1, 3500, 0, 0.5)
    depth: dict[str, Any] = {"depth": 2} if order == "tree" else {}
    matrix = mb.TransitionMatrix(order, n_tokens=n_tokens, **depth).update(text[:500])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is not identified
        one = matrix.fit_prior(1).perplexity(text[500:])
        several = matrix.fit_prior(3, random_state=0)
    assert isinstance(several.prior, mb.DirichletMixture)
    assert several.prior.n_components == 3
    assert several.perplexity(text[500:]) <= one * 1.003


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # what is not identified
def test_components_of_hardly_a_row_are_one() -> None:
    """There is nothing to leave out of rows that are as few as they are."""
    matrix = mb.TransitionMatrix(1, n_tokens=3).update([0, 1, 0, 1, 0, 2])
    prior = matrix.fit_prior(3).prior
    assert isinstance(prior, mb.DirichletMixture)
    assert_array_equal(prior.alpha, prior.alpha[[0, 0, 0]])


def test_components_of_real_counts_are_those_of_the_estimator() -> None:
    """There are no tokens to leave out of halves, by which they might be judged."""
    shapes = np.kron([[0.2, 2.0], [2.0, 0.2]], np.ones((20, 5)))
    rows = np.random.default_rng(0).gamma(shapes)
    matrix = mb.TransitionMatrix(1, n_tokens=40, discount=0.9)
    wide = np.zeros((40, 40))
    wide[:, :10] = rows
    matrix.update_rows(np.arange(40)[:, np.newaxis], wide)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tokens that never came
        prior = matrix.fit_prior(2, random_state=0).prior
        fit = mb.DirichletMixtureEstimator(2, kind="counts", random_state=0).fit(wide)
    assert isinstance(prior, mb.DirichletMixture)
    assert_allclose(prior.alpha, fit.prior_.alpha, rtol=1e-6)
    assert (prior.alpha[0] != prior.alpha[1]).any()


def test_components_that_predict_better_are_several() -> None:
    rows = np.zeros((300, 20), dtype=np.int64)
    rng = np.random.default_rng(0)
    for i, row in enumerate(rows):  # each kind has tokens of its own
        row[10 * (i % 2) : 10 * (i % 2) + 10] = rng.multinomial(40, np.full(10, 0.1))
    matrix = mb.TransitionMatrix(1, n_tokens=300)
    wide = np.zeros((300, 300), dtype=np.int64)
    wide[:, :20] = rows
    matrix.update_rows(np.arange(300)[:, np.newaxis], wide)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prior = matrix.fit_prior(2, random_state=0).prior
    assert isinstance(prior, mb.DirichletMixture)
    assert (prior.alpha[0] != prior.alpha[1]).any()
