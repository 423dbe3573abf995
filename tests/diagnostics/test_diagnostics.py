"""Polya urns pass every test at its level; what is not Bayesian fails the test made for it."""

from __future__ import annotations

import html
import json
from importlib.resources import files
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

import matrixbayes as mb
from matrixbayes import windtunnel
from matrixbayes._base.sequences import seen
from matrixbayes.diagnostics.choice import nearest
from matrixbayes.diagnostics.contexts import last_places
from matrixbayes.diagnostics.figures import (
    forgetting_figures,
    learning_figures,
    martingale_figures,
    order_figures,
)
from matrixbayes.diagnostics.nulls import solved
from matrixbayes.diagnostics.paths import Paths, walk
from matrixbayes.diagnostics.result import monte_carlo
from matrixbayes.diagnostics.urns import UrnNull, own_counts

PRIOR = mb.DirichletMixture([1.0], [[1.0, 2.0]])
URN = mb.UrnPredictor(PRIOR)
TESTS = {
    "martingale": mb.martingale_test,
    "exchangeability": mb.exchangeability_test,
    "uncertainty scaling": mb.uncertainty_scaling_test,
    "forgetting": mb.forgetting_test,
}


class Walker:
    """A predictor whose rows are made of the tokens before, in whatever way a subclass says."""

    def __init__(self, alpha=(1.0, 2.0)):
        self.alpha = np.array(alpha)
        self.n_tokens = len(self.alpha)

    def rows(self, tokens):
        """Probabilities (n, length, V) of each token given those before."""
        counts = self.counts(tokens)
        return counts / counts.sum(axis=2, keepdims=True)

    def __call__(self, sequences):
        return np.log(self.rows(np.asarray(sequences)))

    def predict(self, histories):
        rows = np.empty((len(histories), self.n_tokens))
        lengths = np.array([len(history) for history in histories])
        for length in np.unique(lengths):
            own = np.flatnonzero(lengths == length)
            tokens = np.array([[*histories[i], 0] for i in own], dtype=np.int64)
            rows[own] = self(tokens)[:, -1]
        return rows

    def sample(self, n, length, *, history=(), rng=None):
        generator = np.random.default_rng(rng)
        start = len(history)
        tokens = np.zeros((n, start + length), dtype=np.int64)
        tokens[:, :start] = history
        for t in range(start, start + length):
            ends = np.cumsum(self.rows(tokens[:, : t + 1])[:, t], axis=1)
            passed = (generator.random((n, 1)) >= ends).sum(axis=1)
            tokens[:, t] = np.minimum(passed, self.n_tokens - 1)
        return tokens[:, start:]


class OrderUrn(Walker):
    """The last token counts twice more: a planted order effect."""

    def counts(self, tokens):
        counts = seen(tokens, self.n_tokens)[:, :-1] + self.alpha
        counts[:, 1:] += 2.0 * np.eye(self.n_tokens)[tokens[:, :-1]]
        return counts


class ForgettingUrn(Walker):
    """Counts fade by 0.85 before each token."""

    def counts(self, tokens):
        return seen(tokens, self.n_tokens, 0.85)[:, :-1] + self.alpha


class SharpUrn(Walker):
    """Overconfident: probabilities are as the squares of those of Bayes."""

    def counts(self, tokens):
        return (seen(tokens, self.n_tokens)[:, :-1] + self.alpha) ** 2


class EarlyUrn(Walker):
    """Overconfident: a token is one token's news, but makes it as sure as two would."""

    def rows(self, tokens):
        rows = np.empty((*tokens.shape, self.n_tokens))
        rows[:, 0] = self.alpha / self.alpha.sum()
        once = np.eye(self.n_tokens)[tokens]
        for t in range(1, tokens.shape[1]):
            step = once[:, t - 1] - rows[:, t - 1]
            rows[:, t] = rows[:, t - 1] + step / (self.alpha.sum() + 2.0 * t)
        return rows


class IidModel(Walker):
    """Learns nothing."""

    def counts(self, tokens):
        return np.ones((*tokens.shape, self.n_tokens))


class NoisyUrn(mb.UrnPredictor):
    """An urn whose log-probabilities have errors."""

    noise = 1e-3

    def __init__(self, prior, seed):
        super().__init__(prior)
        self.rng = np.random.default_rng(seed)

    def predict(self, histories):
        rows = super().predict(histories)
        rows += self.noise * self.rng.standard_normal(rows.shape)
        return rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))


# ---------------------------------------------------------------------------
# Levels and power
# ---------------------------------------------------------------------------


def is_nominal(p):
    """Rejections within binomial error at two levels, and p-values even over the unit interval."""
    for level in (0.05, 0.2):
        low, high = stats.binom.interval(0.999, len(p), level)
        assert low <= np.sum(p <= level) <= high
    assert stats.kstest(p, "uniform").pvalue > 0.001


@pytest.mark.parametrize("name", TESTS)
@pytest.mark.slow
def test_a_polya_urn_passes_at_the_nominal_rate(name):
    found = [TESTS[name](URN, n=32, length=12, n_boot=99, rng=seed) for seed in range(500)]
    is_nominal(np.array([test.p_value for test in found]))
    if name != "exchangeability":  # there the null is of permutations
        assert max(test.null_mean_kl for test in found) < 1e-10


def test_noise_of_the_stated_size_passes_at_the_nominal_rate():
    options = {"n_permutations": 4, "noise": 1e-3, "n_boot": 99}
    histories = [[0, 0, 1, 1], [1, 0, 0, 0], [1, 1, 0, 1]]
    p = []
    for seed in range(500):
        test = mb.exchangeability_test(
            NoisyUrn(PRIOR, seed), of="predictions", histories=histories, rng=seed, **options
        )
        p.append(test.p_value)
    is_nominal(np.array(p))


@pytest.mark.parametrize("alpha", [1e-4, 1e-5, 1e-6, 1e-8])
@pytest.mark.parametrize("name", ["martingale", "uncertainty scaling", "forgetting"])
def test_urns_that_repeat_their_first_token_pass_though_all_draws_are_equal(name, alpha):
    """Where draws differ by rounding alone, rounding must not decide."""
    sparse = mb.UrnPredictor(mb.DirichletMixture([1.0], [[alpha] * 3]))
    found = [TESTS[name](sparse, n=50, length=16, n_boot=99, rng=seed) for seed in range(30)]
    assert sum(test.rejected for test in found) <= stats.binom.ppf(0.999, 30, 0.05)
    assert max(test.null_mean_kl for test in found) < 1e-15


class Cycle:
    """Tokens 0, 1, 2 in turn, and sure of it: a drift without any spread."""

    n_tokens = 3

    def predict(self, histories):
        with np.errstate(divide="ignore"):
            return np.log(np.eye(3)[[len(history) % 3 for history in histories]])

    def sample(self, n, length, *, history=(), rng=None):
        return np.tile(np.arange(len(history), len(history) + length) % 3, (n, 1))


def test_a_cycle_is_not_a_martingale():
    options = {"n": 20, "length": 8, "n_boot": 99, "rng": 0}
    test = mb.martingale_test(Cycle(), family="iid", **options)
    assert test.p_value == 0.01
    assert np.isfinite(test.values).all()
    assert mb.uncertainty_scaling_test(Cycle(), family="iid", **options).rejected
    with pytest.warns(RuntimeWarning, match="no power"):
        test = mb.martingale_test(Cycle(), **options)  # it is a chain, and knows its rows
    assert (test.family, test.silent, test.p_value) == ("markov", True, 1.0)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("exchangeability", OrderUrn()),
        ("forgetting", ForgettingUrn()),
        ("uncertainty scaling", EarlyUrn()),
        ("uncertainty scaling", SharpUrn()),
        ("martingale", OrderUrn()),
    ],
)
@pytest.mark.slow
def test_what_is_not_bayesian_fails_its_test(name, model):
    """Twelve of twelve: one of a power of 0.78 would do so once in 20 times, as by 19 of 20."""
    found = [TESTS[name](model, n=100, length=32, n_boot=99, rng=seed) for seed in range(12)]
    assert all(test.rejected for test in found)
    assert all(("Says nothing" not in test.verdict) for test in found)


@pytest.mark.slow
def test_a_martingale_that_is_sure_too_early_passes_as_a_martingale():
    """The tests are not all the same test: what is not at fault does not fail."""
    found = [mb.martingale_test(EarlyUrn(), n=100, length=16, rng=seed) for seed in range(10)]
    # were it rejected in 0.4 of all cases, so few would be once in 20 times
    assert sum(test.rejected for test in found) <= 1


@pytest.mark.parametrize("model", [OrderUrn(), ForgettingUrn(), EarlyUrn()])
def test_predictions_that_depend_on_order_fail(model):
    test = mb.exchangeability_test(model, of="predictions", n_boot=99, rng=0)
    assert test.p_value == 0.01
    assert test.estimates["total_variation"] > 0.005
    assert "Predictions change with order: total variation" in test.verdict
    wide = mb.exchangeability_test(model, of="predictions", noise=3.0, n_boot=99, rng=0)
    assert not wide.rejected  # unless that much is allowed


def test_the_forgetting_filter_is_recovered():
    test = mb.forgetting_test(ForgettingUrn(), n=60, length=20, rng=0)
    assert test.family == "iid"  # though a tree is nearer than an urn that forgets nothing
    assert_allclose(test.estimates["gamma"], 0.85, atol=2e-3)
    assert "Older tokens count less (gamma 0.85)" in test.verdict
    assert mb.forgetting_test(URN, n=60, length=20, rng=0).estimates == {"gamma": 1.0}


# ---------------------------------------------------------------------------
# Figures and nulls against what is known
# ---------------------------------------------------------------------------


def test_a_p_value_counts_itself_and_is_exact_for_any_figures():
    null = np.arange(99.0)[:, np.newaxis]
    assert monte_carlo(np.array([1000.0]), null, upper=True).p_value == 0.01
    assert monte_carlo(np.array([-1000.0]), null, upper=True).p_value == 1.0
    assert monte_carlo(np.array([-1000.0]), null).p_value == 0.01
    assert monte_carlo(np.array([89.5]), null, upper=True).p_value == (1 + 9) / 100
    two = monte_carlo(np.array([5.0, 0.0]), np.zeros((99, 2)))  # the second never moves
    assert (two.p_value, two.worst) == (0.01, 0)
    rng = np.random.default_rng(0)  # heavy tails, dependent figures of very different sizes
    p = []
    for _ in range(500):
        draws = rng.standard_cauchy((100, 1)) * [1.0, 1e-9, -1e6]
        p.append(monte_carlo(draws[0], draws[1:]).p_value)
    is_nominal(np.array(p))


def test_what_rounding_changes_is_equal():
    """Figures that move little by little are not compared more finely than they are known."""
    null = np.full((99, 1), -13.4)
    rounded = monte_carlo(np.array([-13.4 * (1.0 + 1e-9)]), null)
    assert (rounded.p_value, rounded.statistic) == (1.0, 0.0)
    null[0] = -13.0  # one draw that differs
    assert monte_carlo(np.array([-13.4 * (1.0 + 1e-9)]), null).p_value == 1.0
    assert monte_carlo(np.array([-12.0]), null).p_value == 0.01


def test_a_small_divergence_has_no_error_of_cancellation():
    import mpmath

    now, later = np.array([0.3, 0.7]), np.array([0.3 + 1e-7, 0.7 - 1e-7])
    rows = np.array([now, now, later, later, later])[np.newaxis, np.newaxis]
    with mpmath.workdps(40):
        p, q = ([mpmath.mpf(float(x)) for x in row] for row in (later, now))
        exact = sum(a * mpmath.log(a / b) - a + b for a, b in zip(p, q, strict=True))
        expected = float(mpmath.log(exact))
    assert np.exp(expected) < 3e-14  # the logarithms of the two cancel to the third digit
    assert_allclose(learning_figures(np.repeat(rows, 2, axis=1), [1, 2])[0, 0], expected, rtol=1e-9)


def test_learning_is_mutual_information():
    """Sums over all sequences, weighted by their probability, without any simulation."""
    length = 8
    tokens = np.array(list(product(range(2), repeat=length)))
    longer = np.concatenate([tokens, np.zeros((len(tokens), 1), int)], axis=1)
    rows = np.exp(URN(longer))
    weight = np.exp(PRIOR.log_evidence(seen(tokens, 2)[:, -1], ordered=True))
    assert_allclose(weight.sum(), 1.0)

    def entropy(p):
        return -(p * np.log(p)).sum(axis=1)

    repeated = np.repeat(rows, np.round(weight * 1e5).astype(int), axis=0)[np.newaxis]
    figures = learning_figures(repeated, [1, 2, 4])[0]
    for j, t in enumerate((1, 2, 4)):
        information = weight @ (entropy(rows[:, t]) - entropy(rows[:, 2 * t]))
        assert_allclose(np.exp(figures[j]), information, rtol=2e-3)
        assert abs(figures[3 + j]) < 0.1  # entropy falls by no more than that


def test_what_is_left_to_learn_falls_like_one_over_n():
    prior = mb.DirichletMixture([1.0], [[1.0, 1.0, 1.0]])
    test = mb.uncertainty_scaling_test(
        mb.UrnPredictor(prior), history=[0, 1, 2] * 40, n=2000, length=256, n_boot=19, rng=0
    )
    left = dict(zip(test.figures, np.exp(test.values), strict=True))
    at = 123 + 128  # (V - 1) / 2 (1 / (A + n) - 1 / (A + 2n)) with those of the history
    assert_allclose(left["ln of what 128 to 256 tokens teach"], 1 / at - 1 / (at + 128), rtol=0.1)
    before = left["ln of what 64 to 128 tokens teach"]
    assert_allclose(before, 64 / ((123 + 64) * (123 + 128)), rtol=0.1)
    assert test.estimates["slope"] > 0.0  # 123 tokens before the first: what is left falls later
    free = mb.uncertainty_scaling_test(mb.UrnPredictor(prior), n=500, length=512, n_boot=19, rng=0)
    left = dict(zip(free.figures, free.values, strict=True))
    last = left["ln of what 256 to 512 tokens teach"] - left["ln of what 64 to 128 tokens teach"]
    assert_allclose(last / np.log(4.0), -1.0, atol=0.15)


def test_martingale_figures_by_hand():
    rows = np.random.default_rng(0).dirichlet(np.ones(3), (1, 7, 6))
    found = martingale_figures(rows, np.eye(3), 2)[0]
    half = rows[0, :, :3].mean(axis=1) - rows[0, :, 3:].mean(axis=1)
    for v in range(3):
        assert_allclose(found[v], stats.ttest_1samp(half[:, v], 0.0).statistic)
    products = [sum((r[t + 1] - r[t]) @ (r[t + 3] - r[t + 2]) for t in range(3)) for r in rows[0]]
    assert_allclose(found[4], stats.ttest_1samp(products, 0.0).statistic)


def test_order_and_forgetting_figures_by_hand():
    tokens = np.array([[[0, 0, 1, 1], [1, 0, 1, 0]]])
    assert_allclose(order_figures(tokens, 2, 2), order_by_hand(tokens[0]))
    paths = Paths(tokens[0], np.exp(URN(np.zeros((2, 5), int))))
    null = nearest(paths, PRIOR, "auto", 1, np.random.default_rng(0))
    found = forgetting_figures(tokens, null)[0]
    for j, gamma in enumerate((0.98, 0.95, 0.9, 0.8, 0.6)):
        ratio = 0.0
        for row in tokens[0]:
            plain, faded = np.array([1.0, 2.0]), np.zeros(2)
            for token in row:
                own = faded + PRIOR.alpha[0]
                ratio += np.log(own[token] / own.sum()) - np.log(plain[token] / plain.sum())
                plain[token] += 1.0
                faded *= gamma
                faded[token] += 1.0
        assert_allclose(found[j], ratio)


def test_own_counts_are_those_of_all_tokens():
    tokens = np.random.default_rng(0).integers(0, 4, (3, 5, 9))
    for gamma in (1.0, 0.7):
        whole = seen(tokens, 4, gamma)[..., :-1, :]
        expected = np.take_along_axis(whole, tokens[..., np.newaxis], axis=-1)[..., 0]
        assert_allclose(own_counts(last_places(tokens), gamma), expected, rtol=1e-13)


def test_sequences_of_a_mixture_are_as_likely_as_their_evidence() -> None:
    prior = mb.DirichletMixture([0.3, 0.7], [[1.0, 2.0, 0.5], [5.0, 1.0, 1.0]])
    tokens = np.random.default_rng(0).integers(0, 3, (4, 9))
    counts = (tokens[:, :, np.newaxis] == np.arange(3)).sum(axis=1)
    null = UrnNull(np.nan, prior)
    assert_allclose(null.log_likelihood(tokens, 1.0), prior.log_evidence(counts), rtol=1e-12)
    assert (null.log_likelihood(tokens, 0.5) != null.log_likelihood(tokens, 1.0)).all()


def test_one_dirichlet_over_many_tokens_needs_no_square_of_them():
    width = 20_000  # whose normal equations would fill 3 GB
    alpha = np.random.default_rng(0).uniform(0.01, 1.0, width)
    tokens = np.random.default_rng(1).integers(0, width, (4, 5))
    counts = seen(tokens, width).reshape(-1, width)
    rows = counts + alpha
    rows /= rows.sum(axis=1, keepdims=True)
    assert_allclose(solved(counts, rows), alpha, rtol=1e-8)


def order_by_hand(rows):
    place = [-1.5, -0.5, 0.5, 1.5]
    drift = [sum(place[t] for row in rows for t in range(4) if row[t] == v) for v in range(2)]
    again = [sum(row[t] == row[t + k] for row in rows for t in range(4 - k)) for k in (1, 2)]
    return [[*drift, *again]]


def test_the_null_is_the_models_own_urn():
    rng = np.random.default_rng(0)
    prior = mb.DirichletMixture([1.0], [[0.3, 7.0, 2.0]])
    paths = walk(mb.UrnPredictor(prior), [1, 1, 0], 30, 10, rng)
    found = nearest(paths, None, "iid", 3, rng)
    assert_allclose(found.prior.alpha, [[1.3, 9.0, 2.0]], rtol=1e-6)  # that after the history
    assert found.mean_kl < 1e-12
    two = mb.DirichletMixture([0.5, 0.5], [[9.0, 1.0], [1.0, 9.0]])
    paths = walk(mb.UrnPredictor(two), [], 60, 16, rng)
    one, more = (nearest(paths, None, "iid", k, rng) for k in (1, 3))
    assert one.prior.n_components == 1
    assert more.prior.n_components == 2
    assert more.mean_kl < 1e-4 < one.mean_kl
    given = nearest(paths, two, "auto", 1, rng)
    assert given.prior is two
    assert given.mean_kl < 1e-12
    again = Paths(*given.draw(3, 5, 7, rng))
    assert (again.tokens.shape, again.rows.shape) == ((3, 5, 7), (3, 5, 8, 2))
    longer = np.concatenate([again.tokens[1], np.zeros((5, 1), int)], axis=1)
    assert_allclose(again.rows[1], np.exp(mb.UrnPredictor(two)(longer)), rtol=1e-12)


def test_least_squares_stays_legal_where_no_dirichlet_fits():
    counts = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    rows = np.array([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]])  # away from what was seen
    assert (solved(counts, rows) > 0.0).all()


def test_a_predictor_that_cannot_be_called_is_asked_for_each_history():
    class Plain:
        n_tokens = 2
        predict = staticmethod(URN.predict)
        sample = staticmethod(URN.sample)

    one = walk(URN, [0, 1], 6, 5, np.random.default_rng(0))
    other = walk(Plain(), [0, 1], 6, 5, np.random.default_rng(0))
    assert_array_equal(one.tokens, other.tokens)
    assert_allclose(one.rows, other.rows, rtol=1e-12)


def test_an_urn_goes_on_from_its_history():
    tokens = URN.sample(20_000, 2, history=[0, 0, 1], rng=0)
    assert abs((tokens[:, 0] == 0).mean() - 3 / 6) < 0.015
    assert abs((tokens == 0).all(axis=1).mean() - 3 / 6 * 4 / 7) < 0.015
    assert_allclose(np.exp(URN.predict([[0, 0, 1]])), [[0.5, 0.5]])
    assert "UrnPredictor(DirichletMixture" in repr(URN)
    with pytest.raises(ValueError, match="token 1 of history 1 is -1"):
        URN.predict([[], [0, -1]])


# ---------------------------------------------------------------------------
# Without power, and wrong
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["martingale", "uncertainty scaling", "forgetting"])
def test_a_model_that_learns_nothing_is_no_evidence(name):
    with pytest.warns(RuntimeWarning, match="the predictive is the same.*no power"):
        test = TESTS[name](IidModel(), n=20, length=8, rng=0)
    assert test.p_value == 1.0
    assert test.verdict == "Says nothing: the predictive does not move."


def test_equal_tokens_have_no_order():
    sure = mb.UrnPredictor(mb.DirichletMixture([1.0], [[1e-8, 1.0]]))
    with pytest.warns(RuntimeWarning, match="repeats one token: the test has no power"):
        test = mb.exchangeability_test(sure, n=20, length=6, rng=0)
    assert (test.p_value, test.verdict[:12]) == (1.0, "Says nothing")
    with pytest.warns(RuntimeWarning, match="its own permutation: the test has no power"):
        test = mb.exchangeability_test(URN, of="predictions", histories=[[0, 0], [1, 1]], rng=0)
    assert (test.p_value, test.verdict[:12]) == (1.0, "Says nothing")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n": 1}, "n is 1; one continuation has no spread"),
        ({"length": 3}, "length is 3"),
        ({"n_boot": 18}, "n_boot is 18"),
        ({"level": 1.0}, "level is 1.0"),
        ({"max_components": 0}, "max_components is 0"),
        ({"history": [2]}, "token 0 of history is 2; columns are 0 to 1"),
        ({"history": [[0]]}, "history has shape"),
        ({"history": [0.5]}, "history has shape"),
        ({"null": mb.DirichletMixture([1.0], [[1.0, 1.0, 1.0]])}, "null has 3 tokens"),
        ({"values": [1.0]}, r"values have shape \(1,\)"),
        ({"values": [np.nan, 1.0]}, "finite"),
    ],
)
def test_wrong_options_are_named(options, says):
    with pytest.raises(ValueError, match=says):
        mb.martingale_test(URN, rng=0, **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"of": "tokens"}, "of='tokens' is not one of"),
        ({"of": "predictions", "noise": 0.0}, "noise is 0"),
        ({"of": "predictions", "n_permutations": 1}, "n_permutations is 1"),
        ({"of": "predictions", "block": 5}, "not two demonstrations of 5"),
        ({"of": "predictions", "histories": [[0]]}, "not two demonstrations of 1"),
        ({"of": "predictions", "histories": [0, 1]}, "histories have shape"),
        ({"of": "predictions", "histories": np.zeros((0, 4), int)}, "nothing to permute"),
        (
            {"of": "predictions", "histories": [[0, 2]]},
            r"histories\[0, 1\] is 2; tokens are 0",
        ),
    ],
)
def test_wrong_options_of_order_are_named(options, says):
    with pytest.raises(ValueError, match=says):
        mb.exchangeability_test(URN, rng=0, **options)


def test_what_is_no_predictor_is_refused():
    with pytest.raises(TypeError, match="dict has no n_tokens; wrap a model"):
        mb.martingale_test({})
    with pytest.raises(ValueError, match="one token, which is always right"):
        mb.forgetting_test(mb.UrnPredictor(mb.DirichletMixture([1.0], [[1.0]])))

    class Wrong(mb.UrnPredictor):
        def sample(self, n, length, **_):
            return np.zeros((n, length + 1), int)

    with pytest.raises(ValueError, match="the predictor sampled shape"):
        mb.martingale_test(Wrong(PRIOR))

    class Short(mb.UrnPredictor):
        def __call__(self, sequences):
            return super().__call__(sequences)[:, 1:]

    with pytest.raises(ValueError, match="the predictor gave shape"):
        mb.martingale_test(Short(PRIOR))


def test_values_are_looked_at_instead_of_tokens():
    test = mb.martingale_test(URN, values=[0.0, 5.0], n=30, length=8, rng=0)
    assert test.figures[0] == "value 0, first half less second"
    each = mb.martingale_test(URN, n=30, length=8, rng=0)
    assert_allclose(test.values[0], each.values[1])  # in standard errors, which have no scale


def test_the_scale_of_values_does_not_matter():
    one, small, large = (
        mb.martingale_test(
            mb.UrnPredictor(mb.DirichletMixture([1.0], [[1.0, 2.0, 1.0]])),
            values=np.array([1.0, 2.0, 0.0]) * scale,
            n=30,
            length=8,
            rng=0,
        )
        for scale in (1.0, 1e-20, 8e307)
    )
    assert_allclose(small.values, one.values)
    assert_allclose(large.values, one.values)
    assert abs(one.values[0]) > 0.01


@pytest.mark.parametrize("test", [*TESTS.values()])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda tokens: tokens * np.nan, "samples have shape .* type float64; they need"),
        (lambda tokens: tokens + 0.5, "samples have shape .* type float64; they need"),
        (lambda tokens: tokens == 1, "samples have shape .* type bool; they need"),
        (lambda tokens: tokens.astype(str), "samples have shape .* type object; they need"),
        (lambda tokens: tokens + 2, r"samples\[0, 0\] is \d; tokens are 0 to 1"),
    ],
)
def test_samples_that_are_no_tokens_are_refused(test, change, says):
    class Wrong(mb.UrnPredictor):
        def sample(self, *args, **options):
            return change(super().sample(*args, **options))

    with pytest.raises(ValueError, match=says):
        test(Wrong(PRIOR), n=20, length=8, rng=0)


def test_samples_may_be_of_any_whole_type():
    class Unsigned(mb.UrnPredictor):
        def sample(self, *args, **options):
            return super().sample(*args, **options).astype(np.uint64)

    options = {"history": [0, 1], "n": 20, "length": 8, "rng": 0}
    found = mb.martingale_test(Unsigned(PRIOR), **options)
    assert found.p_value == mb.martingale_test(URN, **options).p_value


class NeverSampled(mb.UrnPredictor):
    """Fails where arguments are looked at too late."""

    def sample(self, *args, **options):
        pytest.fail("sampled before all arguments were looked at")


@pytest.mark.parametrize(
    ("test", "options"),
    [
        (mb.martingale_test, {"values": [1.0]}),
        (mb.martingale_test, {"null": mb.DirichletMixture([1.0], [[1.0] * 3])}),
        (mb.exchangeability_test, {"of": "predictions", "noise": 0.0}),
        (mb.exchangeability_test, {"of": "predictions", "block": 0}),
        (mb.exchangeability_test, {"of": "predictions", "n_permutations": 1}),
        (mb.exchangeability_test, {"of": "predictions", "history": [7]}),
    ],
)
def test_arguments_are_looked_at_before_the_model_runs(test, options):
    with pytest.raises(ValueError, match=f"{list(options)[-1]}|demonstrations of 0"):
        test(NeverSampled(PRIOR), rng=0, **options)


def test_a_history_stays_before_what_is_permuted():
    asked = []

    class Listening(mb.UrnPredictor):
        def predict(self, histories):
            asked.extend(histories)
            return super().predict(histories)

    options = {"of": "predictions", "history": [1, 1, 0], "n_permutations": 3, "rng": 0}
    mb.exchangeability_test(Listening(PRIOR), n=2, length=6, **options)
    mb.exchangeability_test(Listening(PRIOR), histories=[[0, 1, 1, 1, 0, 0]], **options)
    assert len(asked) == 3 * 3
    assert all(own[:3] == [1, 1, 0] and len(own) == 9 for own in asked)
    assert all(sum(own[3:]) == 3 for own in asked[6:])


def test_predictors_may_give_tensors():
    torch = pytest.importorskip("torch")

    class Tensors(mb.UrnPredictor):
        dtype = torch.float32

        def __call__(self, sequences):
            return torch.tensor(super().__call__(sequences), requires_grad=True)

        def predict(self, histories):
            return torch.tensor(super().predict(histories), dtype=self.dtype)

        def sample(self, *args, **options):
            return torch.tensor(super().sample(*args, **options))

    half = Tensors(mb.DirichletMixture([1.0], [[1.0, 1.0]]))
    found = mb.martingale_test(half, n=20, length=8, rng=0)
    same = mb.martingale_test(mb.UrnPredictor(half.prior), n=20, length=8, rng=0)
    assert_allclose(found.values, same.values, rtol=1e-6)
    assert mb.exchangeability_test(half, of="predictions", rng=0).p_value == 1.0
    half.dtype = torch.bfloat16
    with pytest.raises(ValueError, match="16-bit probabilities round this far"):
        mb.exchangeability_test(half, of="predictions", rng=0)


def test_blocks_stay_together():
    class Pairs(Walker):
        """The second of each pair counts, so that only whole pairs may change places."""

        def counts(self, tokens):
            place = (np.arange(tokens.shape[1]) % 2 == 1)[:, np.newaxis]
            once = np.eye(self.n_tokens)[tokens] * place
            return np.cumsum(once, axis=1) - once + self.alpha

    histories = np.random.default_rng(0).integers(0, 2, (8, 12))
    kept, torn = (
        mb.exchangeability_test(Pairs(), of="predictions", histories=histories, block=block, rng=0)
        for block in (2, 1)
    )
    assert kept.p_value == 1.0
    assert torn.rejected


# ---------------------------------------------------------------------------
# The card
# ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cards():
    task = windtunnel.Urns(PRIOR)
    options = {"n": 100, "length": 24, "shots": 0, "n_boot": 99, "rng": 0}
    return {
        "urn": mb.score_card(URN, None, task, **options),
        "forgetful": mb.score_card(ForgettingUrn(), None, task, **options),
    }


def test_a_card_has_a_line_for_each_test(cards):
    names = [test.name for test in cards["urn"].tests]
    assert names == [
        "martingale",
        "exchangeability of continuations",
        "exchangeability of predictions",
        "uncertainty scaling",
        "forgetting",
    ]
    assert cards["urn"]["forgetting"] is cards["urn"].tests[4]
    with pytest.raises(KeyError, match="'x' is not one of"):
        cards["urn"]["x"]
    assert cards["urn"].verdict.startswith("Nothing here speaks against Bayes")
    text = cards["forgetful"].verdict
    assert text.startswith("Not exactly Bayesian: rejected at level 0.05 after Holm's correction")
    assert "forgetting" in text


def test_results_show_themselves(cards):
    card = cards["forgetful"]
    for test in card.tests:
        assert html.escape(test.verdict) in card._repr_html_()
        assert test.name in repr(card)
        assert repr(test).startswith(test.name)
        assert "<table" in test._repr_html_()
        assert 0.0 < test.p_value <= 1.0
        assert test.null_quantile(0.0) <= test.null_quantile(1.0)
        assert len(test.figures) == len(test.values) == len(test.low) == len(test.high)
    assert "<script" not in card._repr_html_()
    assert card._repr_html_().count("<tr>") == 6
    assert len(repr(card).splitlines()) <= 10
    assert "\ntest  " in repr(cards["urn"])


def test_a_card_as_a_data_frame(cards):
    pytest.importorskip("pandas")
    table = cards["urn"].to_pandas()
    assert list(table.columns) == ["statistic", "p", "p (Holm)", "verdict"]
    assert table.loc["martingale", "p"] == cards["urn"].tests[0].p_value


def test_holms_correction_by_hand(cards):
    from dataclasses import replace

    p = [0.01, 0.04, 0.03, 0.005]
    tests = tuple(
        replace(test, p_value=own) for test, own in zip(cards["urn"].tests, p, strict=False)
    )
    card = replace(cards["urn"], tests=tests)
    assert_allclose(card.adjusted, [0.03, 0.06, 0.06, 0.02])
    assert "correction are martingale and uncertainty scaling, beside" in card.verdict
    verdicts = [line[-1] for line in card._lines()]
    not_after = [verdict.endswith("(Not after the correction.)") for verdict in verdicts]
    assert not_after == [False, True, True, False]


@pytest.mark.slow
def test_cards_of_an_urn_reject_no_more_than_their_level():
    task = windtunnel.Urns(PRIOR)
    options = {"n": 32, "length": 12, "shots": 3, "n_boot": 99}
    found = [mb.score_card(URN, None, task, rng=seed, **options) for seed in range(60)]
    wrong = sum(card.verdict.startswith("Not exactly") for card in found)
    assert wrong <= stats.binom.ppf(0.999, 60, 0.05)


def test_a_model_that_learns_nothing_has_a_card():
    card = mb.score_card(IidModel(), None, windtunnel.Urns(PRIOR), n=20, length=8, rng=0)
    assert sum("Says nothing" in test.verdict for test in card.tests) == 3


def test_wrong_cards_are_named():
    task = windtunnel.Urns(mb.DirichletMixture([1.0], [[1.0, 1.0, 1.0]]))
    with pytest.raises(ValueError, match="the model has 2 tokens and the task 3"):
        mb.score_card(URN, None, task)
    with pytest.raises(ValueError, match="shots is -1"):
        mb.score_card(URN, None, windtunnel.Urns(PRIOR), shots=-1)
    with pytest.raises(TypeError, match="list has no n_tokens"):
        mb.score_card([], None, task)
    for options in ({"tokens": ["a", "b"]}, {"prefix": [0]}):
        with pytest.raises(ValueError, match="tokens and prefix are of a language model"):
            mb.score_card(URN, None, windtunnel.Urns(PRIOR), **options)
    for options in ({"noise": 0.0}, {"n_permutations": 1}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} is"):
            mb.score_card(NeverSampled(PRIOR), None, windtunnel.Urns(PRIOR), **options)


@pytest.fixture(scope="module")
def bundled():
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = files("matrixbayes") / "data" / "urns"
    record = json.loads((folder / "training.json").read_text("utf-8"))
    return (
        transformers.AutoModelForCausalLM.from_pretrained(str(folder)),
        transformers.AutoTokenizer.from_pretrained(str(folder)),
        windtunnel.Urns(mb.DirichletMixture(**record["prior"])),
    )


@pytest.mark.slow
def test_the_bundled_model_has_a_card(bundled):
    model, tokenizer, task = bundled
    card = mb.score_card(model, tokenizer, task, n=60, n_boot=99, rng=0)
    assert len(card.history) == 8
    order = card["exchangeability of predictions"]
    assert 1e-4 < order.estimates["total_variation"] < 0.02  # near to Bayes, and not exactly
    assert order.rejected
    assert card["forgetting"].estimates["gamma"] > 0.97
    assert card["martingale"].null_mean_kl < 0.005
    assert model.training is False
    same = mb.score_card(
        mb.TokenPredictor(model, range(8), prefix=[8]), None, task, n=60, n_boot=99, rng=0
    )
    assert [test.p_value for test in same.tests] == [test.p_value for test in card.tests]


def test_wrong_tokens_of_a_model_are_named(bundled):
    model, tokenizer = bundled[:2]
    unnamed = windtunnel.Urns(mb.DirichletMixture([1.0], [[1.0, 1.0]]))
    with pytest.raises(ValueError, match="give tokens, the spelling or the id"):
        mb.score_card(model, tokenizer, unnamed)
    with pytest.raises(ValueError, match="the model has 3 tokens and the task 2"):
        mb.score_card(model, tokenizer, unnamed, tokens=["red", "blue", 3])
    with pytest.raises(ValueError, match="not in the vocabulary"):
        mb.score_card(model, tokenizer, unnamed, tokens=["red", "pink"])
    with pytest.raises(ValueError, match="no BOS token: give prefix"):
        mb.score_card(model, None, unnamed, tokens=[0, 1])
    with pytest.raises(ValueError, match="behind a prefix of 1"):
        mb.score_card(model, tokenizer, unnamed, tokens=[0, 1], shots=8, length=60)


def test_levels_that_no_draw_could_reach_are_refused() -> None:
    with pytest.raises(ValueError, match=r"with fewer than 99 no p-value .* low as 0\.01$"):
        mb.martingale_test(URN, n_boot=98, level=0.01, rng=0)
    task = windtunnel.Urns(URN.prior)
    with pytest.raises(ValueError, match=r"fewer than 99 .* 0\.05 after Holm's .* 5 tests"):
        mb.score_card(URN, None, task, n_boot=98, rng=0)
    forgetful = mb.martingale_test(URN, n=20, length=8, n_boot=9, level=0.1, rng=0)
    assert len(forgetful.null_statistics) == 9


def test_a_card_counts_the_tests_that_say_nothing() -> None:
    class Sure:
        """Nothing but token 1."""

        n_tokens = URN.n_tokens

        def predict(self, histories: Any) -> np.ndarray:
            row = np.full(self.n_tokens, -np.inf)
            row[1] = 0.0
            return np.tile(row, (len(histories), 1))

        def sample(self, n: int, length: int, *, history: Any = (), rng: Any = None) -> np.ndarray:
            return np.ones((n, length), dtype=np.int64)

    card = mb.score_card(Sure(), None, windtunnel.Urns(URN.prior), n=30, rng=0)
    assert sum(test.silent for test in card.tests) == 4
    assert card.verdict.endswith("and 4 of 5 tests say nothing.")


def test_a_model_that_takes_too_few_tokens_for_a_card() -> None:
    class Short(mb.UrnPredictor):
        max_history = 9

    with pytest.raises(ValueError, match="takes 9 tokens, which leaves too few after 8 shots"):
        mb.score_card(Short(URN.prior), None, windtunnel.Urns(URN.prior), rng=0)


def test_the_null_is_a_mixture() -> None:
    with pytest.raises(TypeError, match="null is a int; it must be a DirichletMixture"):
        mb.martingale_test(URN, null=3, rng=0)  # type: ignore[arg-type]


def test_a_card_needs_answers_of_one_token() -> None:
    pytest.importorskip("torch")
    from toy_models import cached_model, make_tokenizer

    task = windtunnel.Urns(PRIOR)
    with pytest.raises(ValueError, match="answer 'red blue' is 2 tokens"):
        mb.score_card(cached_model("gpt2"), make_tokenizer(), task, tokens=["red blue", "red"])
