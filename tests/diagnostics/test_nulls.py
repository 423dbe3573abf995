"""The null of a test is its family's: chains and trees pass, and what deviates does not."""

from __future__ import annotations

import pickle
import warnings
from collections import Counter
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from elicitation import tree_twin
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

import matrixbayes as mb
from matrixbayes import windtunnel
from matrixbayes._base.sequences import followers
from matrixbayes.diagnostics.chains import nearest_chain, of_prior, row_for_row
from matrixbayes.diagnostics.choice import nearest
from matrixbayes.diagnostics.contexts import check_codes, codes, row_counts, shuffled
from matrixbayes.diagnostics.figures import learning_figures, martingale_figures, order_figures
from matrixbayes.diagnostics.paths import Paths, walk
from matrixbayes.diagnostics.trees import TreeNull
from matrixbayes.diagnostics.urns import nearest_urn

TESTS = {
    "martingale": mb.martingale_test,
    "exchangeability": mb.exchangeability_test,
    "uncertainty scaling": mb.uncertainty_scaling_test,
    "forgetting": mb.forgetting_test,
}


class Learner:
    """Of a task, as a predictor: rows to a power, of counts that fade, with news of an order."""

    def __init__(self, task, power=1.0):
        self.task, self.n_tokens, self.power = task, task.n_tokens, power

    def rows(self, tokens):
        """Probabilities (n, length, V) of each token given those before."""
        return np.exp(self.task.log_predictive(tokens))

    def __call__(self, sequences):
        rows = self.rows(np.asarray(sequences)) ** self.power
        return np.log(rows / rows.sum(axis=2, keepdims=True))

    def predict(self, histories):
        rows = np.empty((len(histories), self.n_tokens))
        lengths = np.array([len(history) for history in histories])
        for length in np.unique(lengths):  # all of a length at once
            own = np.flatnonzero(lengths == length)
            rows[own] = self(np.array([[*histories[i], 0] for i in own]))[:, -1]
        return rows

    def sample(self, n, length, *, history=(), rng=None):
        generator = np.random.default_rng(rng)
        start = len(history)
        tokens = np.zeros((n, start + length), dtype=np.int64)
        tokens[:, :start] = history
        for t in range(start, start + length):
            ends = np.cumsum(np.exp(self(tokens[:, : t + 1])[:, t]), axis=1)
            tokens[:, t] = (generator.random((n, 1)) >= ends[:, :-1]).sum(axis=1)
        return tokens[:, start:]


class FadingChain(Learner):
    """The counts of a row fade by a half before another visit of it."""

    def rows(self, tokens):
        width = self.n_tokens
        counts = row_counts(tokens, codes(tokens, 1, width), width, 0.5)[:, :-1]
        counts = counts + self.task.prior.alpha[0]
        counts[:, 0] = 1.0
        return counts / counts.sum(axis=2, keepdims=True)


class OrderChain(Learner):
    """What followed the last visit of a row counts twice more."""

    def rows(self, tokens):
        width = self.n_tokens
        keys = codes(tokens, 1, width)
        counts = row_counts(tokens, keys, width)[:, :-1] + self.task.prior.alpha[0]
        counts += 2.0 * row_counts(tokens, keys, width, 0.0)[:, :-1]
        counts[:, 0] = 1.0
        return counts / counts.sum(axis=2, keepdims=True)


PRIOR = mb.DirichletMixture([1.0], [[1.0, 1.0]])
CHAIN = Learner(windtunnel.MarkovChains(PRIOR))


def paths_of(model, n=40, length=12, history=(), seed=0):
    return walk(model, list(history), n, length, np.random.default_rng(seed))


# ---------------------------------------------------------------------------
# Shuffles and contexts
# ---------------------------------------------------------------------------


def transitions(row, order, width):
    keys = codes(row, order, width)
    pairs = Counter(zip(keys[:-1].tolist(), row.tolist(), strict=True))
    return tuple(row[:order]), tuple(sorted(pairs.items()))


@pytest.mark.parametrize(
    ("row", "order"),
    [
        ([0, 1, 1, 0, 0, 1, 0, 1, 1], 1),
        ([2, 0, 1, 2, 1, 0, 2, 2], 1),
        ([0, 1, 2, 3, 0, 2, 1, 3], 1),
        ([0, 1, 1, 1, 0, 1, 1, 0, 1, 1], 2),
        ([1, 1, 1, 1, 1, 0, 1, 1], 1),
    ],
)
def test_every_path_of_the_same_transitions_is_equally_likely(row, order):
    row = np.array(row)
    width = int(row.max()) + 1
    own = transitions(row, order, width)
    same = [
        each
        for each in product(range(width), repeat=len(row))
        if transitions(np.array(each), order, width) == own
    ]
    assert len(same) > 1
    many = np.tile(row, (500 * len(same), 1))
    found = shuffled(many, codes(many, order, width), np.random.default_rng(0))
    counts = Counter(map(tuple, found.tolist()))
    assert {*counts} == {*same}
    assert stats.chisquare([counts[each] for each in same]).pvalue > 1e-3


def test_shuffles_keep_what_a_chain_has_seen():
    """The predictive after a path of equal transitions is the same, and so is its probability."""
    rng = np.random.default_rng(1)
    for width, order in ((2, 1), (5, 1), (3, 2)):
        tokens = rng.integers(0, width, (200, 20))
        found = shuffled(tokens, codes(tokens, order, width), rng)
        assert (found != tokens).any()
        for one, other in zip(tokens, found, strict=True):
            assert transitions(one, order, width) == transitions(other, order, width)
    task = windtunnel.MarkovChains(mb.DirichletMixture([1.0], [[0.3, 1.0, 2.0]]))
    tokens = task.sample(50, 15, rng=2)
    found = shuffled(tokens, codes(tokens, 1, 3), rng)

    def log_probability(paths):
        rows = task.log_predictive(paths)
        return np.take_along_axis(rows, paths[..., np.newaxis], axis=2).sum(axis=(1, 2))

    assert_allclose(log_probability(found), log_probability(tokens), rtol=1e-12)


def test_counts_of_a_row_are_what_followed_its_token():
    tokens = np.random.default_rng(0).integers(0, 3, (6, 14))
    keys = codes(tokens, 1, 3)
    assert_array_equal(keys[:, 1:], tokens + 1)
    expected = followers(tokens, 3)
    assert_array_equal(row_counts(tokens, keys, 3)[:, :-1], expected)
    path = np.array([[0, 1, 0, 0, 1]])  # after 0 came 1, 0, 1; the first has faded twice
    assert_allclose(row_counts(path, codes(path, 1, 2), 2, 0.5)[0, 4], [1.0, 0.5])
    assert_array_equal(codes(np.array([1, 0, 1]), 2, 2), [0, 2, 1 + 2 * 3, 2 + 1 * 3])


# ---------------------------------------------------------------------------
# Chains
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("history", [(), (1, 0, 0, 1, 1)])
def test_the_null_of_a_chain_is_the_chain(history):
    prior = mb.DirichletMixture([1.0], [[0.5, 2.0]])
    model = Learner(windtunnel.MarkovChains(prior))
    paths = paths_of(model, history=history)
    found = nearest(paths, None, "auto", 3, np.random.default_rng(0))
    assert (found.family, found.words) == ("markov", "Markov chains (order 1)")
    assert found.mean_kl < 1e-12
    for v in range(2):  # the row after v has learnt from the history
        followed = [b for a, b in pairwise(history) if a == v]
        expected = prior.alpha[0] + np.bincount(followed, minlength=2)
        assert_allclose(found.alpha[v], expected, rtol=1e-6)
    given = nearest(paths, prior, "markov", 1, np.random.default_rng(0))
    assert given.row_prior is prior
    assert given.mean_kl < 1e-12
    for null in (found, given):
        tokens, rows = null.draw(2, 30, 9, np.random.default_rng(1))
        whole = np.concatenate(
            [np.tile(history, (30, 1)).astype(int), tokens[1], np.zeros((30, 1), int)], axis=1
        )
        assert_allclose(rows[1], np.exp(model(whole))[:, len(history) :], rtol=1e-6)
        assert_allclose(null.rows(tokens), rows, rtol=1e-12)
        own = np.take_along_axis(rows[:, :, :-1], tokens[..., np.newaxis], axis=3)
        assert_allclose(null.log_likelihood(tokens, 1.0), np.log(own).sum(axis=(2, 3)), rtol=1e-9)


def test_draws_of_a_chain_are_draws_of_its_task():
    task = windtunnel.MarkovChains(mb.DirichletMixture([1.0], [[0.5, 2.0]]))
    null = of_prior(paths_of(Learner(task)), task.prior)
    tokens = null.draw(4, 5000, 4, np.random.default_rng(3))[0].reshape(-1, 4)
    found = np.bincount(tokens @ [8, 4, 2, 1], minlength=16)
    every = np.array(list(product(range(2), repeat=4)))
    rows = task.log_predictive(every)
    p = np.exp(np.take_along_axis(rows, every[..., np.newaxis], axis=2).sum(axis=(1, 2)))
    assert stats.chisquare(found, p * len(tokens)).pvalue > 1e-3


def test_a_chain_of_a_mixture_is_found():
    prior = mb.DirichletMixture([0.5, 0.5], [[9.0, 1.0], [1.0, 9.0]])
    paths = paths_of(Learner(windtunnel.MarkovChains(prior)), n=60, length=16)
    single = row_for_row(paths)
    found = nearest_chain(paths, 2, np.random.default_rng(0))
    assert found.row_prior.n_components == 2
    assert found.mean_kl < 1e-6 < single.mean_kl
    assert_allclose(found.filtered(paths, 1.0), found.mean_kl)
    assert found.filtered(paths, 0.7) > 1e-3


def test_fading_is_of_a_rows_own_counts():
    model = FadingChain(windtunnel.MarkovChains(PRIOR))
    test = mb.forgetting_test(model, n=60, length=24, family="markov", n_boot=99, rng=0)
    assert_allclose(test.estimates["gamma"], 0.5, atol=2e-3)
    assert test.rejected
    assert "Older tokens count less (gamma 0.50)" in test.verdict
    assert test.verdict.endswith("(null: Markov chains (order 1)).")


# ---------------------------------------------------------------------------
# Trees
# ---------------------------------------------------------------------------


def tree_of(theta, depth, history=()):
    """The null of a vector of the slow twin."""
    width = len(theta) - 8
    r1, o1, r2, o2 = np.exp(theta[width : width + 4])
    return TreeNull(
        mean_kl=0.0,
        alpha=np.exp(theta[:width]),
        repeat=np.array([r1, r2]),
        other=np.array([o1, o2]),
        split=theta[width + 4],
        kappa=np.exp(theta[width + 5]),
        delta=tree_twin.sg(theta[width + 6]),
        weight=theta[width + 7],
        depth=depth,
        history=history,
    )


@pytest.mark.parametrize(("width", "depth", "length"), [(2, 4, 30), (3, 3, 20), (5, 2, 12)])
def test_a_tree_predicts_what_its_slow_twin_does(width, depth, length):
    rng = np.random.default_rng(width)
    theta = 0.7 * rng.standard_normal(width + 8)
    tokens = rng.integers(0, width, (3, length))
    expected = [
        [tree_twin.predict(theta, row[:t], depth) for t in range(length + 1)]
        for row in tokens.tolist()
    ]
    found = tree_of(theta, depth).rows(tokens)
    assert_allclose(found, expected, rtol=1e-11)
    after = tree_of(theta, depth, tuple(tokens[0, :7].tolist()))
    assert_allclose(after.rows(tokens[:1, 7:])[0], expected[0][7:], rtol=1e-11)
    drawn, rows = after.draw(1, 3, 5, rng)
    assert_allclose(after.rows(drawn), rows, rtol=1e-12)


def test_a_balance_that_forbids_a_token_has_a_logarithm():
    theta = np.append(THETA[:-3], [8.0, 3.0, 0.0])  # e^8 counts against a token
    tokens = np.zeros((1, 12), dtype=np.int64)
    expected = [tree_twin.predict(theta, [0] * t, 4) for t in range(2)]
    found = tree_of(theta, 4).rows(tokens)
    assert np.isfinite(found).all()
    assert_allclose(found[0, :2], expected, rtol=1e-11)


THETA = np.array([0.0, 0.0, -0.5, 0.2, -0.7, 0.0, 0.5, -0.7, 0.8, -2.0])


class TreeLearner(Learner):
    """A learner of trees."""

    def __init__(self, theta=THETA, depth=4):
        self.null, self.n_tokens, self.power = tree_of(theta, depth), len(theta) - 8, 1.0

    def rows(self, tokens):
        return self.null.rows(tokens)[:, :-1]

    def sample(self, n, length, *, history=(), rng=None):
        null = replace(self.null, history=tuple(history))
        return null.draw(1, n, length, np.random.default_rng(rng))[0][0]


def test_a_tree_is_elicited_and_chosen():
    paths = paths_of(TreeLearner(), n=40, length=16, history=(0, 1))
    found = nearest(paths, None, "auto", 1, np.random.default_rng(0))
    assert (found.family, found.depth, found.history) == ("tree", 4, (0, 1))
    assert found.mean_kl < 1e-9
    assert_allclose(found.alpha, [1.0, 1.0], rtol=1e-2)
    assert_allclose([found.split, found.weight], THETA[[6, 9]], atol=0.05)


def test_without_a_balance_a_tree_is_partially_exchangeable():
    """What it says after paths of the same transitions of its deepest contexts is the same."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 2, (40, 24))
    for weight, change in ((-60.0, 0.0), (0.0, 1e-3)):
        null = tree_of(np.append(THETA[:-1], weight), 2)
        found = null.shuffled(tokens, rng)
        assert (found != tokens).any()
        apart = np.abs(null.last_rows(found, ()) - null.last_rows(tokens, ())).max()
        assert change <= apart <= max(1e-12, change * 1000.0)


@pytest.mark.parametrize("history", [(), (0, 1, 1)])
def test_the_null_of_a_tree_is_the_tree(history):
    model = TreeLearner()
    options = {"n": 60, "length": 16, "n_boot": 99, "rng": 0, "null": model.null}
    test = mb.martingale_test(model, history=history, **options)
    assert (test.family, test.learner) == ("tree", "variable-order chains (depth 4)")
    assert test.null_mean_kl < 1e-12
    assert test.null.history == history
    assert not test.rejected
    assert not mb.exchangeability_test(model, history=history, **options).rejected
    found = mb.exchangeability_test(
        TreeLearner(np.append(THETA[:-1], -60.0)),
        of="predictions",
        null=tree_of(np.append(THETA[:-1], -60.0), 4),
        rng=0,
    )
    assert not found.silent
    assert found.p_value == 1.0
    with pytest.warns(RuntimeWarning, match="what the null says goes by order as well"):
        found = mb.exchangeability_test(model, of="predictions", null=model.null, rng=0)
    assert (found.silent, found.p_value) == (True, 1.0)


# ---------------------------------------------------------------------------
# Figures of rows
# ---------------------------------------------------------------------------


def test_one_row_for_all_is_no_other_thing():
    """Keys that are all the same give the figures of an urn."""
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.ones(3), (2, 7, 11))
    tokens = rng.integers(0, 3, (2, 7, 10))
    keys = np.full((2, 7, 11), 4)
    for values in (None, np.eye(3)[:, :2]):
        expected = martingale_figures(rows, values, 3)
        assert_allclose(martingale_figures(rows, values, 3, keys), expected, rtol=1e-9)
    expected = learning_figures(rows, [1, 2, 4])
    assert_allclose(learning_figures(rows, [1, 2, 4], keys), expected, rtol=1e-9)
    found, expected = order_figures(tokens, 3, 3, keys), order_figures(tokens, 3, 3)
    assert_allclose(found[:, :6], expected)
    assert_allclose(found[:, 6:], expected[:, 4:])  # along the path, from lag 2


def test_figures_of_rows_by_hand():
    tokens = np.array([[[0, 0, 1, 0, 1, 1, 0, 0]]])
    keys = codes(tokens, 1, 2)
    # after the beginning: 0; after 0: 0 1 1 0; after 1: 0 1 0
    found = order_figures(tokens, 2, 2, keys)[0]
    place = [-1.5 + 1.5 - 1.0 + 1.0, -0.5 + 0.5 + 0.0]
    assert_allclose(found, [*place, 1.0, 1.0, 2.0])
    rows = np.random.default_rng(0).dirichlet(np.ones(2), (1, 2, 9))
    keys = np.repeat(keys, 2, axis=1)
    halves, products = [], []
    for own, key in zip(rows[0], keys[0], strict=True):
        visits = [own[key == k] for k in (0, 1, 2)]  # 1, 5 and 3 of them
        first = sum((v[: len(v) // 2] - v[len(v) - len(v) // 2 :]).sum(axis=0) for v in visits)
        halves.append(first / 3.0)
        steps = [np.diff(v, axis=0) for v in visits]
        products.append(sum((s[:-1] * s[1:]).sum() for s in steps))
    found = martingale_figures(rows, None, 1, keys)[0]
    assert_allclose(found[0], stats.ttest_1samp(np.array(halves)[:, 0], 0.0).statistic)
    assert_allclose(found[2], stats.ttest_1samp(products, 0.0).statistic)
    kls = []
    for own, key in zip(rows[0], keys[0], strict=True):
        for visits in (own[key == 1], own[key == 2]):
            kls.append((visits[2] * np.log(visits[2] / visits[1])).sum())
    assert_allclose(np.exp(learning_figures(rows, [1], keys)[0, 0]), np.mean(kls), rtol=1e-9)


# ---------------------------------------------------------------------------
# Rates
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["auto", "markov"])
@pytest.mark.parametrize(
    ("model", "tests"),
    [
        (OrderChain(CHAIN.task), [0, 1, 2, 3, 4]),
        (FadingChain(CHAIN.task), [0, 1, 2, 3, 4]),
        (Learner(CHAIN.task, 2.5), [3]),
    ],
)
def test_what_is_planted_in_a_chain_is_found(model, tests, family):
    """An order effect, forgetting, and probabilities to a power: confidence beyond any prior."""
    options = {"shots": 0, "n": 100, "length": 32, "n_boot": 99, "rng": 0}
    card = mb.score_card(model, None, model, family=family, **options)
    assert {i for i, test in enumerate(card.tests) if test.rejected} >= {*tests}
    if len(tests) > 1:
        assert card.verdict.startswith("Not exactly Bayesian")


def test_news_of_double_weight_are_no_fault():
    """They are those of rows with half the concentration."""

    class Double(Learner):
        def rows(self, tokens):
            counts = row_counts(tokens, codes(tokens, 1, 2), 2)[:, :-1]
            counts = 2.0 * counts + self.task.prior.alpha[0]
            return counts / counts.sum(axis=2, keepdims=True)

    test = mb.uncertainty_scaling_test(Double(CHAIN.task), n=60, length=16, n_boot=99, rng=0)
    assert test.family == "markov"
    assert test.null_mean_kl < 1e-12
    assert_allclose(test.null.alpha, 0.5, rtol=1e-6)
    assert not test.rejected


def is_nominal(p):
    """Rejections within binomial error at two levels."""
    for level in (0.05, 0.2):
        assert np.sum(p <= level, axis=0).max() <= stats.binom.ppf(0.9995, len(p), level)


@pytest.mark.parametrize("model", [CHAIN, TreeLearner()])
@pytest.mark.slow
def test_an_exact_learner_passes_at_the_nominal_rate(model):
    null = getattr(model, "null", None)  # of a tree; benchmarks/nulls.py elicits it
    # of few continuations: the level is the same of any number, and each costs time
    options = {"shots": 0, "n": 16, "length": 12, "n_boot": 99, "null": null}
    p, cards = [], []
    for seed in range(100):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            card = mb.score_card(model, None, model, rng=seed, **options)
        p.append([test.p_value for test in card.tests])
        cards.append(card.adjusted.min())
    is_nominal(np.array(p))
    assert np.sum(np.array(cards) <= 0.05) <= stats.binom.ppf(0.9995, 100, 0.05)


# ---------------------------------------------------------------------------
# Families, and what is given
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", TESTS)
def test_a_learner_of_chains_passes_as_one_and_not_as_an_urn(name):
    options = {"n": 60, "length": 16, "n_boot": 99, "rng": 0}
    test = TESTS[name](CHAIN, **options)
    assert (test.family, test.learner) == ("markov", "Markov chains (order 1)")
    assert not test.rejected
    assert test.verdict.endswith("(null: Markov chains (order 1)).")
    found = [TESTS[name](CHAIN, **{**options, "rng": i}, family="iid") for i in range(5)]
    assert any(test.rejected for test in found)
    assert all("(null: draws from an urn (iid))" in test.verdict for test in found)


def test_the_card_of_a_chain_names_it():
    card = mb.score_card(CHAIN, None, CHAIN.task, shots=3, n=60, length=16, n_boot=99, rng=0)
    assert card.family == "markov"
    assert card.verdict.startswith(
        "Nothing here speaks against Bayes: like a Bayesian learner of Markov chains (order 1) "
        "with this prior, the smallest p-value"
    )
    again = pickle.loads(pickle.dumps(card))
    assert repr(again) == repr(card)
    as_urn = mb.score_card(
        CHAIN, None, CHAIN.task, shots=3, n=60, length=16, n_boot=99, rng=0, family="iid"
    )
    assert as_urn.verdict.startswith("Not exactly Bayesian: rejected")
    assert "beside the nearest learner of draws from an urn (iid)" in as_urn.verdict


def test_predictions_change_with_the_order_of_transitions_alone():
    """A chain says the same after a path of equal transitions, and other things after others."""
    options = {"of": "predictions", "n_boot": 99, "rng": 0}
    test = mb.exchangeability_test(CHAIN, **options)
    assert (test.p_value, test.family) == (1.0, "markov")
    assert test.estimates["total_variation"] < 1e-12
    assert mb.exchangeability_test(CHAIN, family="iid", **options).rejected
    order = OrderChain(CHAIN.task)
    test = mb.exchangeability_test(order, family="markov", **options)
    assert test.p_value == 0.01
    after = mb.exchangeability_test(CHAIN, histories=[[1, 0, 0, 1, 0, 1]], history=[0], **options)
    assert after.p_value == 1.0


@pytest.mark.filterwarnings("ignore:it is worse than a constant")  # an urn that learns a chain
def test_what_is_given_decides_the_family():
    paths = paths_of(CHAIN, n=60)
    options = {"n": 20, "length": 8, "n_boot": 99, "rng": 0}
    test = mb.martingale_test(CHAIN, null=PRIOR, **options)
    assert (test.family, test.null) == ("iid", PRIOR)
    test = mb.martingale_test(CHAIN, null=PRIOR, family="markov", **options)
    assert test.null.row_prior is PRIOR
    assert test.null_mean_kl < 1e-12
    again = mb.martingale_test(CHAIN, null=test.null, **options)
    assert_array_equal(again.null_statistics, test.null_statistics)
    rows = [
        (h, r)
        for x, own in zip(paths.tokens, paths.rows, strict=True)
        for h, r in ((x[:t].tolist(), own[t]) for t in range(1, 13))
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of an urn, that does not explain a chain
        reports = {
            family: mb.elicit_prior(
                [h for h, _ in rows], [r for _, r in rows], kind="probs", family=family, rng=0
            )
            for family in ("iid", "markov", "tree", "tree2+balance")
        }
    for family, kl in (("iid", 1e-3), ("markov", 0.0), ("tree", 0.0), ("tree2+balance", 0.0)):
        report = reports[family]
        test = mb.martingale_test(CHAIN, null=report, history=[0, 1, 1], **options)
        assert test.family == family[: 4 if family[0] == "t" else None]
        if family[0] == "t":
            assert test.null.depth == (2 if "2" in family else 4)
            expected = report.predictor().predict([[0, 1, 1], [0, 1, 1, 0], [0, 1, 1, 0, 1]])
            found = test.null.rows(np.array([[0, 1]]))[0]
            assert_allclose(found, np.exp(expected), rtol=1e-6)
            continue
        assert kl <= test.null_mean_kl < kl + 0.1 * (kl > 0.0) + 1e-7
    with pytest.raises(ValueError, match="null has a discount or a temperature"):
        mb.martingale_test(CHAIN, null=replace(report, discount=0.9))
    with pytest.raises(ValueError, match="null is of family 'tree', and family='iid'"):
        mb.martingale_test(CHAIN, null=report, family="iid")
    with pytest.raises(ValueError, match="family='urn' is not one of 'auto', 'iid', 'markov'"):
        mb.score_card(CHAIN, None, CHAIN.task, family="urn")
    with pytest.raises(TypeError, match="null is a list; it must be a DirichletMixture, an Elic"):
        mb.exchangeability_test(CHAIN, null=[1.0])
    with pytest.raises(ValueError, match="demonstrations change places under 'iid' alone"):
        mb.exchangeability_test(CHAIN, of="predictions", block=2, family="markov")


def test_what_one_dirichlet_explains_is_not_searched_for() -> None:
    rng = np.random.default_rng(0)
    chain = nearest_chain(paths_of(CHAIN), 3, rng)
    assert chain.mean_kl < 1e-12
    assert_allclose(chain.alpha, 1.0, rtol=1e-6)
    assert repr(chain).startswith("ChainNull: Markov chains (order 1), rows after each token ")
    urn = nearest_urn(paths_of(mb.UrnPredictor(PRIOR)), 3, rng)
    assert urn.mean_kl < 1e-12
    assert_allclose(urn.prior.alpha, PRIOR.alpha, rtol=1e-6)
    assert rng.random() == np.random.default_rng(0).random()  # no draw was needed


def test_contexts_without_a_number_are_refused() -> None:
    check_codes(62, 1)
    with pytest.raises(ValueError, match="contexts of 63 of 1 tokens are too many"):
        check_codes(63, 1)


def test_many_tokens_have_no_rows_of_their_own():
    """A square of the tokens would not fit; rows share a prior, and only urns are tried unasked."""
    width = 1001
    task = windtunnel.MarkovChains(mb.DirichletMixture([1.0], [np.full(width, 1e-3)]))
    paths = walk(Learner(task), [], 4, 6, np.random.default_rng(0))
    assert nearest(paths, None, "auto", 1, np.random.default_rng(0)).family == "iid"
    found = nearest_chain(paths, 1, np.random.default_rng(0))
    assert found.alpha is None
    assert found.draw(1, 3, 5, np.random.default_rng(0))[1].shape == (1, 3, 6, width)
    assert np.isfinite(found.filtered(paths, 0.9))


def test_a_chain_that_knows_its_rows_says_nothing():
    class Known(Learner):
        def rows(self, tokens):
            rows = np.full((*tokens.shape, 2), 0.5)
            rows[:, 1:] = np.array([[0.9, 0.1], [0.3, 0.7]])[tokens[:, :-1]]
            return rows

    with pytest.warns(RuntimeWarning, match="no power"):
        test = mb.uncertainty_scaling_test(Known(CHAIN.task), n=20, length=8, n_boot=99, rng=0)
    assert (test.family, test.silent) == ("markov", True)


def test_rows_that_are_seldom_visited_say_nothing():
    wide = Learner(windtunnel.MarkovChains(mb.DirichletMixture([1.0], [[1.0] * 30])))
    with pytest.warns(RuntimeWarning, match="no row is visited often enough"):
        test = mb.uncertainty_scaling_test(wide, n=20, length=6, n_boot=99, rng=0, family="markov")
    assert test.silent
    assert test.p_value == 1.0


def test_draws_of_the_null_elicit_the_null():
    """Predictions have no noise of sampling: eliciting from a draw gives the same null again, and
    a bootstrap of the elicitation adds nothing."""
    rng = np.random.default_rng(0)
    paths = paths_of(CHAIN, n=60, history=(0, 1))
    null = nearest(paths, None, "auto", 3, rng)
    tokens, rows = null.draw(1, 60, 12, rng)
    again = nearest(Paths(tokens[0], rows[0], paths.history), None, "auto", 3, rng)
    assert_allclose(again.alpha, null.alpha, rtol=1e-6)


@pytest.mark.parametrize(
    "family",
    [
        "markov(last)",
        "markov(repeat)",
        "markov2(full)",
        "iid+markov2",
        "iid+markov(repeat)+balance",
        "tree+iid",
        "iid+balance",
    ],
)
@pytest.mark.parametrize("history", [[], [2, 0, 1, 1, 0]])
def test_a_null_of_any_family_predicts_as_its_report(family: str, history: list[int]) -> None:
    rng = np.random.default_rng(0)
    histories = [rng.integers(0, 3, rng.integers(0, 12)).tolist() for _ in range(60)]
    alpha = rng.gamma(2.0, 0.5, (4, 3))  # of rows after each token, and at the beginning
    counts = np.array([[h[1:].count(v) * (h[-1:] != [v]) for v in range(3)] for h in histories])
    rows = alpha[[(h or [3])[-1] for h in histories]] + counts
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of so little nothing is identified
        report = mb.elicit_prior(
            histories,
            rows / rows.sum(axis=1, keepdims=True),
            kind="probs",
            family=family,
            depth=3,
            n_starts=1,
            max_iter=20,
            rng=0,
        )
    tokens = rng.integers(0, 3, (4, 24))
    every = [history + row[:t].tolist() for row in tokens for t in range(25)]
    said = np.exp(report.predictor().predict(every)).reshape(4, 25, 3)
    null = nearest(Paths(tokens, said, tuple(history)), report, "auto", 3, rng)
    assert null.family == report.family
    assert_allclose(null.rows(tokens), said, rtol=0.0, atol=1e-12)
    assert null.mean_kl < 1e-12
    assert repr(null) == f"SumNull: {null.words}"
    assert ("variable-order chains (depth 3)" in null.words) == ("tree" in family)
    assert null.few(10**6) == null.order  # of two tokens too, where each pair comes often
    assert null.few(1) == min(1, null.order)
    faded = null.rows(tokens, 0.5)
    assert_allclose(faded[:, 0], said[:, 0], rtol=1e-12 if not history else 1.0)
    assert abs(faded - said).max() > 1e-6


@pytest.mark.filterwarnings("ignore:what the null says goes by order")
@pytest.mark.parametrize("family", ["iid+markov", "markov(last)", "iid+balance"])
def test_a_learner_of_any_family_passes_as_one(family: str) -> None:
    rng = np.random.default_rng(1)
    histories = [rng.integers(0, 2, t % 16).tolist() for t in range(64)]
    model = [
        [(h.count(0) + 1.0) / (len(h) + 2.5), (h.count(1) + 1.5) / (len(h) + 2.5)]
        for h in histories
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        report = mb.elicit_prior(histories, model, kind="probs", family=family, n_starts=2, rng=0)
    learner = report.predictor()
    card = mb.score_card(learner, None, learner, n=60, length=16, null=report, rng=0)
    assert card.family == family
    assert min(test.p_value for test in card.tests) > 0.01
    assert f"({family}) with this prior" in card.verdict
