"""The Matrix: learning, prediction and evidence, against closed forms and slow twins."""

from __future__ import annotations

import base64
import copy
import pickle
import signal
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import pairwise, permutations

import numpy as np
import pytest
import reference
from alarm import alarm, needs_timers
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.optimize import minimize, minimize_scalar
from scipy.special import gammaln, logsumexp

import matrixbayes as mb
from matrixbayes.matrix.fits.evidence import _weights

SEQUENCE = [0, 1, 1, 2, 0, 1, 2, 2, 1, 0, 1, 1]
V = 5
MIXTURE = mb.DirichletMixture([0.3, 0.7], [[1.0, 2.0, 3.0, 0.5, 1.0], [0.1, 0.1, 4.0, 1.0, 0.2]])
KINDS = {
    "alpha": {"prior": 0.5, "n_tokens": V},
    "mixture": {"prior": MIXTURE},
    "hierarchical": {"hierarchical": [3.0, 0.7], "n_tokens": V, "prior": 0.25},
    "hierarchical, mixture": {"hierarchical": [3.0, 0.7], "prior": MIXTURE},
    "several": {"hierarchical": True, "n_tokens": V},
    "discount": {"discount": 0.9, "n_tokens": V},
}
documents = st.lists(st.lists(st.integers(0, V - 1), max_size=12), max_size=4)


def matrix_of(kind, order=2, texts=()):
    options = dict(KINDS[kind])
    if "hierarchical" in options and options["hierarchical"] is not True:
        options["hierarchical"] = (options["hierarchical"] * order)[:order]
    matrix = mb.TransitionMatrix(order, **options)
    if kind == "several":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # five tokens: every type is seen, and rows are alike
            matrix.update(stream(300)).fit_prior(4)
    return matrix.update([list(text) for text in texts])


def stream(n, seed=0, n_tokens=V):
    """Tokens that depend on the one before."""
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.full(n_tokens, 0.4), n_tokens)
    tokens = [0]
    for _ in range(n - 1):
        tokens.append(int(rng.choice(n_tokens, p=rows[tokens[-1]])))
    return np.array(tokens)


def same(a, b):
    """Whether two matrices say the same of every context that either has seen."""
    assert_array_equal(a.contexts(), b.contexts())
    assert (a.rows() != b.rows()).nnz == 0
    if len(a):
        assert_array_equal(a.predict(a.contexts()), b.predict(a.contexts()))


# -- the worked example --------------------------------------------------------------


def test_the_worked_example():
    matrix = mb.TransitionMatrix(1, n_tokens=3)
    assert_allclose(matrix.log_evidence(SEQUENCE), -13.9412617632698, rtol=1e-14)
    assert matrix.update(SEQUENCE) is matrix
    assert matrix.counts([[0], [1], [2]]).tolist() == [[0, 3, 0], [1, 2, 2], [1, 1, 1]]
    assert matrix.predict([1]).tolist() == [0.25, 0.375, 0.375]
    assert matrix[1].tolist() == [0.25, 0.375, 0.375]
    assert (len(matrix), matrix.n_pairs, matrix.n_observed) == (3, 7, 11)
    iid = mb.DirichletMixture([1.0], [[1.0, 1.0, 1.0]])
    assert_allclose(iid.log_evidence(np.bincount(SEQUENCE)), -14.3353038517125, rtol=1e-14)


def test_the_worked_example_as_a_product_of_predictions():
    matrix, total = mb.TransitionMatrix(1, n_tokens=3), 0.0
    for i, token in enumerate(SEQUENCE):
        total += np.log(matrix.predict(SEQUENCE[max(0, i - 1) : i])[token])
        matrix.update([token], continued=i > 0)
    assert_allclose(total, -13.9412617632698, rtol=1e-13)


# -- laws ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "several"])
@settings(max_examples=15)
@given(texts=documents, first=documents, order=st.integers(1, 4))
def test_evidence_is_the_product_of_predictions(kind, texts, first, order):
    start = matrix_of(kind, order, first)
    matrix, total = start.copy(), 0.0
    begin = [V] * order if matrix.hierarchical else []
    for text in texts:
        for i, token in enumerate(text):
            context = [*begin, *text[:i]][-order:]
            total += np.log(matrix.predict(context)[token])
            matrix.update([token], continued=i > 0)
    assert_allclose(start.log_evidence(texts), total, rtol=1e-12, atol=1e-12)
    same(matrix, start.copy().update(texts))


@settings(max_examples=10)
@given(texts=documents, order=st.integers(1, 3))
def test_evidence_of_several_concentrations_filters_their_weights(texts, order):
    start = matrix_of("several", order)
    levels = [{} for _ in range(order + 1)]  # context -> (counts, log-weights)
    seen = reference.type_counts([stream(300)], order, V)
    for level, counts in enumerate(seen):
        for key, n in counts.items():
            levels[level].setdefault(key[:-1], [{}, None])[0][key[-1]] = n
    total = 0.0
    for text in texts:
        for key in reference.led_ngrams([text], order, V):
            mean, counted = start.prior / (start.prior * V), True
            steps = []
            for level in range(order + 1):
                context, token = key[order - level : order], key[-1]
                row = levels[level].setdefault(context, [{}, None])
                n, size = row[0].get(token, 0), sum(row[0].values())
                if level == 0:
                    probs, weights = np.array([(n + start.prior) / (size + start.prior * V)]), [1.0]
                else:
                    values = start.concentrations[level - 1].values
                    if row[1] is None:
                        with np.errstate(divide="ignore"):  # some may have no weight
                            row[1] = np.log(start._rows.weights(np.array([context]))[0])
                    probs = (n + values * mean) / (size + values)
                    weights = np.exp(row[1] - logsumexp(row[1]))
                mean = float(probs @ weights)
                steps.append((row, token, probs))
            total += np.log(mean)
            for row, token, probs in reversed(steps):
                if not counted:
                    break
                if row[1] is not None:
                    row[1] = row[1] + np.log(probs)
                counted = token not in row[0]
                row[0][token] = row[0].get(token, 0) + 1
    assert_allclose(start.log_evidence(texts), total, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["alpha", "mixture"])
@settings(max_examples=20)
@given(texts=documents, order=st.integers(1, 5))
def test_evidence_of_a_plain_matrix_is_that_of_its_rows(kind, texts, order):
    matrix = matrix_of(kind, order)
    prior = matrix.prior if kind == "mixture" else mb.DirichletMixture([1.0], [[0.5] * V])
    counts = reference.transitions(texts, order)
    rows = {key[:-1]: np.zeros(V) for key in counts}
    for key, n in counts.items():
        rows[key[:-1]][key[-1]] = n
    starts = sum(np.log(prior.mean()[token]) for text in texts for token in text[:order])
    expected = starts + sum(
        reference.log_evidence(prior.weights, prior.alpha, row) for row in rows.values()
    )
    assert_allclose(matrix.log_evidence(texts), expected, rtol=1e-12, atol=1e-12)


def test_a_matrix_whose_contexts_are_all_alike_is_exchangeable():
    prior = mb.DirichletMixture([0.4, 0.6], [[2.0], [3.0]])
    assert mb.TransitionMatrix(1, prior=prior).log_evidence([0, 0, 0]) == 0.0
    # one context, seen before each token: the iid case
    matrix = mb.TransitionMatrix(1, prior=MIXTURE)
    after = [[4, token] for token in (0, 1, 1, 2, 0)]
    first = matrix.log_evidence(after)
    for order in permutations(after):
        assert_allclose(matrix.log_evidence(list(order)), first, rtol=1e-13)


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("discount", "several")])
@settings(max_examples=10)
@given(texts=documents, order=st.integers(1, 4), seed=st.integers(0, 99))
def test_documents_in_any_order_and_merged_in_any_way(kind, texts, order, seed):
    whole = matrix_of(kind, order, texts)
    shuffled = [texts[i] for i in np.random.default_rng(seed).permutation(len(texts))]
    same(matrix_of(kind, order, shuffled), whole)
    empty = matrix_of(kind, order)
    parts = [empty.copy().update([text]) for text in texts] or [empty]
    left, right = parts[0], parts[-1]
    for part in parts[1:]:
        left = left + part
    for part in parts[-2::-1]:
        right = part.copy().merge(right)
    same(left, whole)
    same(right, whole)
    same(left + empty, whole)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15)
@given(text=st.lists(st.integers(0, V - 1), max_size=20), cuts=st.sets(st.integers(0, 20)))
def test_a_stream_may_be_cut_anywhere(kind, text, cuts):
    matrix = matrix_of(kind)
    whole, parts = matrix.copy().update([text]), matrix.copy()
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    for i, (start, end) in enumerate(pairwise(places)):
        parts.update(text[start:end], continued=i > 0)
    same(parts, whole)


@pytest.mark.parametrize("hierarchical", [False, True])
def test_blocks_of_pairs_are_of_no_consequence(hierarchical, monkeypatch):
    options = {"n_tokens": V, "hierarchical": hierarchical}
    whole = mb.TransitionMatrix(2, **options).update(stream(500))
    score, probs = whole.log_prob(stream(100, 3)), whole.predict(whole.contexts())
    top = whole.predict(whole.contexts(), top=2)[1]
    for size in (1, 7):
        monkeypatch.setattr("matrixbayes.matrix.counts.BLOCK", size)
        monkeypatch.setattr("matrixbayes.matrix.shared.CELLS", V * size)
        assert_array_equal(whole.predict(whole.contexts()), probs)
        assert_array_equal(whole.predict(whole.contexts(), top=2)[1], top)
        same(mb.TransitionMatrix(2, **options).update(stream(500)), whole)
        assert_allclose(whole.log_prob(stream(100, 3)), score, rtol=1e-12)


# -- against twins ----------------------------------------------------------------------


@pytest.mark.parametrize("prior", [0.3, MIXTURE])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_plain_row_is_the_posterior_mean_of_its_prior(prior, order):
    text = stream(200)
    matrix = mb.TransitionMatrix(order, prior=prior, n_tokens=V).update(text)
    mixture = prior if prior is MIXTURE else mb.DirichletMixture([1.0], [[prior] * V])
    contexts = np.concatenate([matrix.contexts(), [[4] * order]])
    counts = matrix.counts(contexts)
    assert_allclose(matrix.predict(contexts), mixture.predictive(counts), rtol=1e-12)
    for context, row in zip(contexts, counts, strict=True):
        found, expected = matrix.posterior(context), mixture.posterior(row)
        assert_allclose(found.weights, expected.weights, rtol=1e-12)
        assert_allclose(found.alpha, expected.alpha)
    assert_array_equal(matrix.predict([]), mixture.mean())
    assert matrix.posterior([]) == mixture
    expected = np.log(matrix.predict(text[np.newaxis, :0])[0][text[:order]]).sum()
    for i in range(order, len(text)):
        expected += np.log(matrix.predict(text[:i])[text[i]])
    assert_allclose(matrix.log_prob(text), expected, rtol=1e-12)
    assert_allclose(matrix.perplexity(text), np.exp(-expected / 200), rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_a_hierarchy_is_the_recursion_over_types(order):
    texts = [stream(80), stream(30, seed=1), [3]]
    concentrations = [4.0, 1.5, 0.6, 9.0][:order]
    matrix = mb.TransitionMatrix(order, prior=0.2, n_tokens=V, hierarchical=concentrations)
    matrix.update(texts)
    levels = reference.type_counts(texts, order, V)
    unseen = [(4, 4, 4, 4)[:order], (V,) * order]
    for context in [*map(tuple, matrix.contexts().tolist()), *unseen]:
        for length in range(order + 1):
            short = context[order - length :]
            row = matrix.predict(short)
            expected = [
                reference.backoff(levels, short, v, [0.2] * V, concentrations) for v in range(V)
            ]
            assert_allclose(row, expected, rtol=1e-12)
            assert_allclose(row.sum(), 1.0, rtol=1e-12)
            assert_allclose(matrix.posterior(short).mean(), row, rtol=1e-12)
    expected = sum(
        np.log(matrix.predict(key[:-1])[key[-1]]) for key in reference.led_ngrams(texts, order, V)
    )
    assert_allclose(matrix.log_prob(texts), expected, rtol=1e-12)


def test_several_concentrations_are_a_mixture_of_dirichlets():
    matrix = matrix_of("several", 2)
    for context in matrix.contexts():
        weights, values = matrix.concentrations[1]
        mean = matrix.predict(context[1:])
        prior = mb.DirichletMixture(weights, values[:, np.newaxis] * mean)
        expected = prior.posterior(matrix.counts(context))
        found = matrix.posterior(context)
        assert_allclose(found.weights, expected.weights, rtol=1e-9)
        assert_allclose(found.alpha, expected.alpha, rtol=1e-12)
        assert_allclose(matrix.predict(context), expected.mean(), rtol=1e-10)
    scored = sum(
        np.log(matrix.predict(key[:-1])[key[-1]])
        for key in reference.led_ngrams([stream(60, seed=3)], 2, V)
    )
    assert_allclose(matrix.log_prob(stream(60, seed=3)), scored, rtol=1e-10)


def test_concentrations_of_another_matrix():
    fitted = matrix_of("several", 2)
    options = {"prior": fitted.prior, "hierarchical": fitted.concentrations, "n_tokens": V}
    same(mb.TransitionMatrix(2, **options).update(stream(300)), fitted)
    first = fitted.predict(fitted.begin)
    assert_array_equal(first, fitted.predict([V, V]))
    assert mb.TransitionMatrix(2, n_tokens=V).begin.tolist() == []


HANDED_ON = {
    "copy": lambda matrix, text, tmp: matrix.copy(),
    "deep copy": lambda matrix, text, tmp: copy.deepcopy(matrix),
    "pickle": lambda matrix, text, tmp: pickle.loads(pickle.dumps(matrix)),
    "empty": lambda matrix, text, tmp: matrix.empty().update(text),
    "sum": lambda matrix, text, tmp: sum([matrix, matrix.empty()]),
    "file": lambda matrix, text, tmp: through_a_file(matrix, tmp),
    "rows": lambda matrix, text, tmp: matrix.empty().update_rows(matrix.contexts(), matrix.rows()),
    "concentrations": lambda matrix, text, tmp: mb.TransitionMatrix(
        matrix.order, n_tokens=V, hierarchical=matrix.concentrations
    ).update(text),
    "pickled concentrations": lambda matrix, text, tmp: mb.TransitionMatrix(
        matrix.order,
        n_tokens=V,
        hierarchical=list(pickle.loads(pickle.dumps(matrix.concentrations))),
    ).update(text),
}


def through_a_file(matrix, folder):
    matrix.save(folder / "matrix")
    return mb.TransitionMatrix.open(folder / "matrix")


@pytest.mark.parametrize("prior", [1.0, 0.3, MIXTURE])
@pytest.mark.parametrize("n_components", [1, 3])
@pytest.mark.parametrize("way", HANDED_ON)
def test_a_hierarchy_that_is_handed_on_has_the_same_evidence(way, n_components, prior, tmp_path):
    text, held = stream(400), stream(80, seed=5)
    matrix = mb.TransitionMatrix(2, prior=prior, n_tokens=V, hierarchical=True).update(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        matrix.fit_prior(n_components)
    assert matrix.prior != 1.0
    for each in (matrix, matrix.empty()):  # before text and after
        seen = text if len(each) else []
        again = HANDED_ON[way](each, [seen], tmp_path)
        assert again.log_evidence(held) == each.log_evidence(held)
        assert again.prior == each.prior


def test_shorter_hierarchies_have_the_prior_too():
    matrix = mb.TransitionMatrix(2, prior=MIXTURE, hierarchical=True)
    short = mb.TransitionMatrix(1, n_tokens=V, hierarchical=matrix.concentrations[:1])
    assert short.prior == MIXTURE


def test_a_prior_that_is_given_is_the_prior():
    matrix = mb.TransitionMatrix(1, prior=0.3, n_tokens=V, hierarchical=True)
    other = mb.TransitionMatrix(1, prior=MIXTURE, hierarchical=True)
    assert mb.TransitionMatrix(
        1, prior=1.0, n_tokens=V, hierarchical=matrix.concentrations
    ).prior == (1.0)
    plain = [(weights, values) for weights, values in matrix.concentrations]  # numbers alone
    assert mb.TransitionMatrix(1, n_tokens=V, hierarchical=plain).prior == 1.0
    mixed = [*matrix.concentrations, *other.concentrations]
    with pytest.raises(ValueError, match="different priors"):
        mb.TransitionMatrix(2, n_tokens=V, hierarchical=mixed)
    assert mb.TransitionMatrix(2, prior=0.5, n_tokens=V, hierarchical=mixed).prior == 0.5
    # the default of one matrix, given to another, is given
    default = mb.TransitionMatrix(1, n_tokens=V, hierarchical=True).prior
    again = mb.TransitionMatrix(1, prior=default, n_tokens=V, hierarchical=matrix.concentrations)
    assert again.prior == 1.0


def test_counts_that_fade():
    matrix = mb.TransitionMatrix(1, n_tokens=3, discount=0.5).update([0, 1, 0, 1, 0, 2])
    # the row of 0: after 1, 1, 2 it is 1/4 + 1/2 of token 1 and 1 of token 2
    assert matrix.counts([0]).tolist() == [0.0, 0.75, 1.0]
    assert matrix.counts([1]).tolist() == [1.5, 0.0, 0.0]
    assert_allclose(matrix.predict([0]), np.array([1.0, 1.75, 2.0]) / 4.75)
    assert matrix.forget(0.5, [0]).counts([[0], [1]]).tolist() == [[0, 0.375, 0.5], [1.5, 0, 0]]
    assert len(matrix.forget(0.0)) == 0
    whole = mb.TransitionMatrix(1, n_tokens=3).update(SEQUENCE)
    before = whole.copy()
    assert whole.forget(1.0).n_observed == 11.0
    assert_array_equal(whole.predict([[0], [1]]), before.predict([[0], [1]]))
    assert_array_equal((before + whole).counts([1]), 2 * before.counts([1]))
    assert_array_equal((whole + before).update_rows([1], [0, 0, 0.5]).counts([1]), [2, 4, 4.5])
    with pytest.raises(ValueError, match="types, which do not fade"):
        mb.TransitionMatrix(1, n_tokens=3, hierarchical=True).forget(0.5)


def test_rows_that_were_counted_elsewhere():
    matrix = mb.TransitionMatrix(2, n_tokens=V).update(stream(500))
    for again in (
        mb.TransitionMatrix(2, n_tokens=V).update_rows(matrix.contexts(), matrix.rows()),
        mb.TransitionMatrix(2, n_tokens=V).update_rows(
            matrix.contexts(), matrix.counts(matrix.contexts())
        ),
    ):
        same(again, matrix)
    matrix.update_rows([0, 1], [0, 0, 2**40, 0, 0])
    assert matrix.counts([0, 1])[2] >= 2**40
    with pytest.raises(OverflowError, match="2\\^64"):
        matrix.update_rows(np.zeros((2, 2), int), np.full((2, V), 2**62))


# -- fitting ------------------------------------------------------------------------------


def direct_evidence(log_a, counts, means):
    """ln P of rows under A m, and nothing shared with the package."""
    a = np.exp(log_a)
    n = counts.sum(axis=1)
    terms = gammaln(a * means + counts) - gammaln(a * means)
    return float((gammaln(a) - gammaln(a + n) + terms.sum(axis=1)).sum())


@pytest.mark.parametrize("order", [1, 2])
def test_mackay_and_peto_against_scipy(order):
    n_tokens = 60
    texts = [np.minimum(stream(900, seed, n_tokens) ** 2 // 20, 59) for seed in range(3)]
    matrix = mb.TransitionMatrix(order, n_tokens=n_tokens, hierarchical=True)
    matrix.update(texts).fit_prior()
    levels = reference.type_counts(texts, order, n_tokens)
    row = np.zeros((1, n_tokens))
    for key, n in levels[0].items():
        row[0, key[-1]] = n
    even = np.full((1, n_tokens), 1.0 / n_tokens)
    found = minimize_scalar(lambda x: -direct_evidence(x, row, even), (-1.0, 3.0))
    assert_allclose(matrix.prior * n_tokens, np.exp(found.x), rtol=1e-5)
    mean = (row[0] + matrix.prior) / (row.sum() + matrix.prior * n_tokens)
    contexts = sorted({key[:-1] for key in levels[1]})
    counts = np.array([[levels[1].get((*c, v), 0) for v in range(n_tokens)] for c in contexts])
    means = np.repeat(mean[np.newaxis], len(counts), axis=0)
    found = minimize(
        lambda x: -direct_evidence(x[0], counts, means), [1.0], method="Nelder-Mead", tol=1e-10
    )
    weights, values = matrix.concentrations[0]
    assert weights.tolist() == [1.0]
    assert_allclose(values, np.exp(found.x), rtol=1e-5)


def test_weights_of_concentrations_against_scipy():
    rng = np.random.default_rng(0)
    likelihood = np.exp(rng.normal(0.0, 3.0, (400, 6)))
    weights, gap = _weights(likelihood)
    assert gap <= 1e-6
    found = minimize(
        lambda x: -np.log(likelihood @ np.exp(x - logsumexp(x))).mean(), np.zeros(6), method="BFGS"
    )
    assert np.log(likelihood @ weights).mean() >= -found.fun - 1e-7
    # rows that one component alone explains give it a weight, be they ever so few
    likelihood = np.ones((10_000, 3))
    likelihood[:, 1] = 1e-300
    likelihood[0] = [1e-200, 1.0, 1e-250]
    weights, gap = _weights(likelihood)
    assert gap <= 1e-6
    assert_allclose(weights[1], 1e-4, rtol=1e-2)


def test_fit_prior_of_a_plain_matrix_is_the_estimator_on_its_rows():
    matrix = mb.TransitionMatrix(1, n_tokens=30).update(stream(3000, n_tokens=30))
    expected = mb.DirichletMixtureEstimator(1, kind="counts").fit(matrix.rows())
    assert_allclose(matrix.fit_prior().prior.alpha, expected.prior_.alpha, rtol=1e-6)
    assert matrix.fit_prior(2, random_state=0).prior.n_components == 2
    before = mb.TransitionMatrix(1, n_tokens=30)
    after = mb.TransitionMatrix(1, prior=matrix.prior)
    text = stream(3000, n_tokens=30)
    assert after.log_evidence(text) > before.log_evidence(text) + 100.0


def test_fits_say_what_they_cannot_know():
    with pytest.raises(ValueError, match="no context was counted"):
        mb.TransitionMatrix(1, n_tokens=3).fit_prior()
    nine = mb.DirichletMixture([1.0], [[1.0] * 9])
    once = mb.TransitionMatrix(2, prior=nine, hierarchical=True).update([1, 2, 3, 4, 5])
    with pytest.warns(RuntimeWarning, match="tokens was seen once"):
        once.fit_prior()
    assert once.concentrations[1].values.tolist() == [1.0]
    with pytest.raises(TypeError, match="no option 'tol'"):
        once.fit_prior(tol=1.0)
    two = mb.DirichletMixture([1.0], [[1.0, 1.0]])
    alike = mb.TransitionMatrix(1, prior=two, hierarchical=True)
    alike.update_rows([[0], [1], [2]], [[50, 50], [50, 50], [50, 50]])
    with pytest.warns(RuntimeWarning, match="no further from their means than draws are"):
        alike.fit_prior()


# -- predictions ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_top_tokens_are_those_of_the_row(kind):
    matrix = matrix_of(kind, 2, [stream(200)])
    contexts = np.concatenate([matrix.contexts()[:7], [[4, 4]]])
    rows = matrix.predict(contexts)
    tokens, probs = matrix.predict(contexts, top=3)
    assert_array_equal(tokens, np.argsort(-rows, axis=1, kind="stable")[:, :3])
    assert_array_equal(probs, np.take_along_axis(rows, tokens, axis=1))
    assert_array_equal(matrix.predict(contexts[0], top=V)[0], np.argsort(-rows[0], kind="stable"))
    assert_array_equal(matrix[contexts], rows)
    assert_allclose(rows.sum(axis=1), 1.0, rtol=1e-12)


def test_top_tokens_of_a_vocabulary_without_end():
    matrix = mb.TransitionMatrix(2, prior=0.01, n_tokens=2**32)
    matrix.update([2**32 - 1, 7, 5, 2**32 - 1, 7, 5, 2**32 - 1, 7, 9])
    tokens, probs = matrix.predict([[2**32 - 1, 7], [1, 1], [7, 5]], top=4)
    assert tokens.tolist() == [[5, 9, 0, 1], [0, 1, 2, 3], [2**32 - 1, 0, 1, 2]]
    total = 0.01 * 2**32
    assert_allclose(probs[0], np.array([2.01, 1.01, 0.01, 0.01]) / (3 + total), rtol=1e-12)
    assert_allclose(probs[1], 2.0**-32)
    assert matrix.generate(3, [1, 2], rng=0).shape == (3,)
    assert_allclose(matrix.log_prob([1, 2, 3]), -3 * 32 * np.log(2.0))
    short = matrix.predict(np.zeros((1, 0), int), top=3)  # no row of this matrix
    assert short[0].tolist() == [[0, 1, 2]]
    assert_allclose(short[1], 2.0**-32)


@pytest.mark.parametrize("options", [{"hierarchical": True}, {"discounts": True}, {}])
def test_top_tokens_after_contexts_of_any_length_in_a_vocabulary_without_end(options):
    """Tokens that were seen after any context come before all others."""
    order, last = "tree" if not options else 2, 2**31 - 1
    matrix = mb.TransitionMatrix(order, prior=0.01, n_tokens=2**31, **options)
    matrix.update([last, 7, 5, last, 7, 5, last, 7, 9])
    tokens, probs = matrix.predict([[last, 7], [1, 1]], top=6)
    for context, own, p in zip([[last, 7], [1, 1]], tokens, probs, strict=True):
        assert sorted(own.tolist()) == [0, 1, 5, 7, 9, last]
        assert_allclose(p, [matrix.score(v, context) for v in own.tolist()], rtol=1e-12)
        assert (np.diff(p) <= 0.0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.slow
def test_text_is_drawn_from_the_rows(kind, temperature):
    matrix = matrix_of(kind, 1, [stream(300)])
    text = matrix.generate(2000, rng=1, temperature=temperature)
    assert_array_equal(text, matrix.generate(2000, rng=1, temperature=temperature))
    for context in range(V):
        after = text[1:][text[:-1] == context]
        expected = matrix.predict([context]) ** (1.0 / temperature)
        expected *= len(after) / expected.sum()
        seen = np.bincount(after, minlength=V)
        rare = expected < 5.0
        seen, expected = (np.append(each[~rare], each[rare].sum()) for each in (seen, expected))
        keep = expected > 1e-9
        if keep.sum() > 1:
            expected = expected[keep] * seen[keep].sum() / expected[keep].sum()
            assert stats.chisquare(seen[keep], expected).pvalue > 1e-4
    first = [matrix.generate(1, rng=seed)[0] for seed in range(300)]
    if temperature == 1.0:
        begin = [V] if matrix.hierarchical else []
        assert_allclose(np.bincount(first, minlength=V) / 300, matrix.predict(begin), atol=0.1)
    greedy = matrix.generate(3, [0], temperature=0.0)
    assert greedy[0] == matrix.predict([0]).argmax()


def test_names_may_come_one_by_one():
    assert mb.TransitionMatrix(1, tokens=(name for name in "abc")).tokens == ("a", "b", "c")


def test_names():
    names = ("the", "cat", "sat")
    matrix = mb.TransitionMatrix(1, tokens=names).update(["the", "cat", "the", "cat", "sat"])
    assert matrix.counts("the").tolist() == [0, 2, 0]
    assert_array_equal(matrix["the"], matrix[0])
    assert_array_equal(matrix.predict([["the"], ["sat"]]), matrix.predict([[0], [2]]))
    assert matrix.posterior("cat").tokens == names
    prior = mb.DirichletMixture([1.0], [[1.0] * 3], tokens=names)
    assert mb.TransitionMatrix(1, prior=prior).tokens == names
    with pytest.raises(ValueError, match="'dog', which is not one of the 3 tokens"):
        matrix.update(["the", "dog"])
    with pytest.raises(ValueError, match="have no names"):
        mb.TransitionMatrix(1, n_tokens=3).update(["the"])


# -- workers, threads, files ----------------------------------------------------------------


@pytest.mark.parametrize("hierarchical", [False, True])
def test_any_number_of_workers_counts_the_same(hierarchical):
    texts = [stream(n, n) for n in (1000, 3, 0, 450)]
    options = {"n_tokens": V, "hierarchical": hierarchical}
    expected = mb.TransitionMatrix(3, **options).update(texts)
    led = [[V] * 3 * hierarchical + text.tolist() for text in texts]
    for (*context, token), times in reference.transitions(led, 3).items():
        assert expected.counts(context)[token] == times
    same(mb.TransitionMatrix(3, **options).update(texts, n_jobs=2), expected)
    with pytest.raises(ValueError, match="n_jobs is 0"):
        expected.update(texts, n_jobs=0)
    for pool in (ThreadPoolExecutor(2), ProcessPoolExecutor(2)):
        with pool as executor:
            same(mb.TransitionMatrix(3, **options).update(texts, executor=executor), expected)


def test_readers_see_the_matrix_as_it_was_and_a_second_writer_is_refused():
    matrix = mb.TransitionMatrix(2, n_tokens=V).update(stream(1000))
    before = matrix.predict(matrix.contexts())
    inside, go = threading.Event(), threading.Event()

    class Slow(list):
        """A document whose conversion waits."""

        def __array__(self, dtype=None, copy=None):
            inside.set()
            assert go.wait(300)
            return stream(500, 1)

    writer = threading.Thread(target=matrix.update, args=(_Lazy(Slow()),))
    writer.start()
    assert inside.wait(300)
    assert_array_equal(matrix.predict(matrix.contexts()), before)
    with pytest.raises(RuntimeError, match="another thread is changing this matrix"):
        matrix.update([0, 1])
    go.set()
    writer.join()
    same(matrix, mb.TransitionMatrix(2, n_tokens=V).update([stream(1000), stream(500, 1)]))


class _Lazy:
    """One document that becomes an array when it is asked for."""

    ndim = 1

    def __init__(self, inner):
        self.__array__ = inner.__array__
        self.inner = inner

    def __array__(self, dtype=None, copy=None):
        return self.inner.__array__(dtype, copy)


@pytest.mark.parametrize("hierarchical", [False, True])
def test_what_fails_changes_nothing(hierarchical):
    matrix = mb.TransitionMatrix(2, n_tokens=V, hierarchical=hierarchical).update(stream(100))
    before = matrix.copy()
    for call in (
        lambda: matrix.update([[0, 1, 2], [0, 1, V]]),
        lambda: matrix.update([0.5]),
        lambda: matrix.update_rows([[0, 1]], [[1, 1, 1, 1, -1]]),
        lambda: matrix.update_rows([[0, 1]], [[2**63 - 1] * V]),
        lambda: matrix.merge(mb.TransitionMatrix(1, n_tokens=V)),
    ):
        with pytest.raises((ValueError, TypeError, OverflowError)):
            call()
        same(matrix, before)
    same(matrix.update([1, 2, 3], continued=True), before.update([1, 2, 3], continued=True))


@needs_timers
def test_ctrl_c_changes_nothing():
    matrix = mb.TransitionMatrix(2, n_tokens=1000, hierarchical=True).update(stream(1000))
    before = matrix.copy()
    text = np.random.default_rng(0).integers(0, 1000, 3_000_000)
    with pytest.raises(KeyboardInterrupt), alarm(0.1, handler=signal.default_int_handler):  # noqa: PT012
        matrix.update(text)
        time.sleep(1.0)
    same(matrix, before)


@pytest.mark.parametrize("kind", KINDS)
def test_files_and_pickles(kind, tmp_path):
    matrix = matrix_of(kind, 2, [stream(200)])
    path = tmp_path / "matrix.safetensors"
    matrix.save(path)
    text = stream(50, 9)
    for other in (
        mb.TransitionMatrix.open(path),
        mb.TransitionMatrix.open(path, verify=False),
        pickle.loads(pickle.dumps(matrix)),
        matrix.copy(),
    ):
        same(other, matrix)
        assert repr(other) == repr(matrix)
        assert other.log_prob(text) == matrix.log_prob(text)
        assert other.log_evidence(text) == matrix.log_evidence(text)
        same(other.update(text, continued=True), matrix.copy().update(text, continued=True))
    mb.TransitionMatrix.open(path).save(path)  # over itself, while it is mapped
    same(mb.TransitionMatrix.open(path), matrix)


@pytest.mark.parametrize("name", ["plain", "hierarchical", "discount", "forgotten"])
def test_files_and_pickles_of_older_versions(name, tmp_path):
    pytest.importorskip("numpy._core")  # NumPy 2 wrote the pickles, which 1.26.0 does not read
    kept = reference.load("matrices_of_old")
    text, path = kept["text"], tmp_path / "matrix.safetensors"
    path.write_bytes(base64.b64decode(kept[name]["file"]))
    expected = reference.transitions([[4, 4, *text] if name == "hierarchical" else text], 2)
    if name == "discount":
        expected = reference.fading_transitions([text], 2, 0.75)
    elif name == "forgotten":
        expected = {key: 0.375 * n for key, n in reference.transitions([text], 1).items()}
    for matrix in (
        mb.TransitionMatrix.open(path),
        pickle.loads(base64.b64decode(kept[name]["pickle"])),
    ):
        rows, found = matrix.rows().tocoo(), {}
        for row, token, n in zip(rows.row, rows.col, rows.data, strict=True):
            found[(*matrix.contexts()[row].tolist(), int(token))] = n
        assert found == pytest.approx(expected, rel=1e-13)
        assert len(pickle.loads(pickle.dumps(matrix))) == len(matrix)
        going_on = matrix.copy().update([1], continued=True)
        before = np.append(matrix.begin, text)[-matrix.order :]
        fades = 0.75 if name == "discount" else 1.0
        assert going_on.totals(before) == pytest.approx(fades * matrix.totals(before) + 1.0)
        assert going_on.discount == (0.75 if name == "discount" else 1.0)


def test_a_file_is_a_safetensors_file(tmp_path):
    from safetensors.numpy import load_file

    matrix = matrix_of("mixture", 2, [stream(200)])
    matrix.save(tmp_path / "matrix.safetensors")
    arrays = load_file(tmp_path / "matrix.safetensors")
    assert_array_equal(arrays["prior.alpha"], MIXTURE.alpha)
    assert arrays["order2.counts"].sum() == matrix.n_observed


@pytest.mark.parametrize("kind", KINDS)
def test_every_change_of_a_file_is_noticed(kind, tmp_path):
    path, other = tmp_path / "matrix.safetensors", tmp_path / "other.safetensors"
    matrix_of(kind, 2, [stream(200)]).save(path)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for place, bit in zip(rng.integers(0, len(data), 150), rng.integers(0, 8, 150), strict=True):
        changed = bytearray(data)
        changed[place] ^= 1 << bit
        other.write_bytes(changed)
        with pytest.raises(ValueError, match="other"):
            mb.TransitionMatrix.open(other)
        try:
            unverified = mb.TransitionMatrix.open(other, verify=False)
            unverified.predict(unverified.contexts() % V)
        except (ValueError, MemoryError, OverflowError, IndexError):
            pass
    for length in rng.integers(0, len(data), 30):
        other.write_bytes(data[:length])
        with pytest.raises(ValueError, match="other"):
            mb.TransitionMatrix.open(other)
    other.write_bytes(data + b"\0")
    with pytest.raises(ValueError, match="bytes, and its arrays end"):
        mb.TransitionMatrix.open(other)
    mb.DirichletMixture([1.0], [[1.0, 2.0]]).save(other)
    with pytest.raises(ValueError, match=r"is not a 'matrixbayes\.matrix' file"):
        mb.TransitionMatrix.open(other)


# -- arguments -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"order": 0}, ValueError, "order is 0; it must be from 1 to 16"),
        ({"order": 17}, ValueError, "order is 17"),
        ({"order": 1.5}, TypeError, "order is 1.5; it must be a whole number"),
        ({"n_tokens": None}, ValueError, "how many tokens are there"),
        ({"n_tokens": 2**32 + 1}, ValueError, "from 1 to 4294967296"),
        ({"n_tokens": 2**32, "hierarchical": True}, ValueError, "2\\*\\*32 - 1 at most"),
        ({"n_tokens": 4, "prior": MIXTURE}, ValueError, "n_tokens says 4, prior says 5"),
        ({"tokens": "ab", "n_tokens": None}, TypeError, "sequence of str"),
        ({"tokens": ["a", "a"], "n_tokens": None}, ValueError, "'a' is there twice"),
        ({"prior": 0.0}, ValueError, "positive and finite"),
        ({"prior": "even"}, TypeError, "DirichletMixture or a number"),
        ({"discount": 0.0}, ValueError, "above 0 and at most 1"),
        ({"discount": float("nan")}, ValueError, "discount is nan"),
        ({"discount": 0.5, "hierarchical": True}, ValueError, "types, which do not fade"),
        ({"hierarchical": [1.0]}, ValueError, "2 positive numbers"),
        ({"hierarchical": 3.0}, ValueError, "2 positive numbers"),
        ({"hierarchical": [([0.5, 0.6], [1, 2]), 1.0]}, ValueError, "2 positive numbers"),
        ({"hierarchical": ["a", 1.0]}, ValueError, "2 positive numbers"),
        ({"hierarchical": [1.0, -1.0]}, ValueError, "2 positive numbers"),
    ],
)
def test_parameters_are_checked(arguments, error, says):
    with pytest.raises(error, match=says):
        mb.TransitionMatrix(**({"order": 2, "n_tokens": V} | arguments))


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m: m.update([[0, 1], [2, 7]]), ValueError, "token 1 of document 1 is 7"),
        (lambda m: m.update(np.array([-1], np.int8)), ValueError, "is -1; tokens are 0 to 4"),
        (lambda m: m.update(np.array([2**63], np.uint64)), ValueError, "9223372036854775808"),
        (lambda m: m.update("text"), TypeError, "tokenise it first"),
        (lambda m: m.update({0: 1}), TypeError, "not a mapping; update_rows takes counts"),
        (lambda m: m.update(np.zeros((2, 2, 2), int)), ValueError, "has shape"),
        (lambda m: m.update([0.5]), TypeError, "of type float64"),
        (lambda m: m.predict([[0, 1], [2, 9]]), ValueError, r"contexts\[1, 1\] is 9"),
        (lambda m: m.predict([0, 1], top=6), ValueError, "top is 6"),
        (lambda m: m.counts([0]), ValueError, "has 1 tokens; it needs 2"),
        (lambda m: m.posterior([[0, 1], [1, 2]]), ValueError, "one context"),
        (lambda m: m.generate(-1), ValueError, "n is -1"),
        (lambda m: m.generate(1, temperature=-1.0), ValueError, "temperature is -1"),
        (lambda m: m.perplexity([]), ValueError, "no tokens to score"),
        (lambda m: m.update_rows([0, 1], [1, 2]), ValueError, "counts have shape"),
        (lambda m: m.update_rows([0, 1], np.zeros((1, 1, V))), ValueError, r"shape \(1, 1, 5\)"),
        (lambda m: m.update_rows([0, 1], [0.5] * V), TypeError, "must be whole numbers"),
        (lambda m: m.update_rows([0, 1], [0, 0, -3, 0, 0]), ValueError, "row 0, column 2 is -3"),
        (lambda m: m.merge(3), TypeError, "not int"),
        (lambda m: m + 3, TypeError, "unsupported operand"),
        (lambda m: 3 + m, TypeError, "unsupported operand"),
        (lambda m: m + mb.TransitionMatrix(2, n_tokens=6), ValueError, "n_tokens is 5 here and 6"),
        (lambda m: m.forget(2.0), ValueError, "factor is 2"),
        (lambda m: m.fit_prior(0), ValueError, "n_components is 0"),
    ],
)
def test_bad_arguments_say_what_is_wrong(call, error, says):
    with pytest.raises(error, match=says):
        call(mb.TransitionMatrix(2, n_tokens=V).update(SEQUENCE))


def test_nothing_and_single_things():
    matrix = mb.TransitionMatrix(3, n_tokens=1).update([[], [0], [0] * 9])
    assert matrix.predict([0, 0, 0]).tolist() == [1.0]
    assert matrix.log_evidence([0] * 9) == 0.0
    empty = mb.TransitionMatrix(2, n_tokens=V, hierarchical=True)
    assert empty.contexts().shape == (0, 2)
    assert empty.rows().shape == (0, V)
    assert empty.predict(np.zeros((0, 2), int)).shape == (0, V)
    assert_allclose(empty.predict([0, 1]), 0.2)
    assert empty.log_prob([]) == empty.log_evidence([]) == 0.0
    assert empty.update([]).n_observed == 0
    read_only = stream(20)
    read_only.setflags(write=False)
    same(
        mb.TransitionMatrix(2, n_tokens=V).update(read_only[::-1]),
        mb.TransitionMatrix(2, n_tokens=V).update(read_only[::-1].astype(">u2")),
    )
    batch = np.arange(10).reshape(2, 5) % V
    same(
        mb.TransitionMatrix(2, n_tokens=V).update(batch),
        mb.TransitionMatrix(2, n_tokens=V).update(list(batch)),
    )


def test_how_it_shows_itself():
    matrix = matrix_of("several", 2)
    assert "hierarchical" in repr(matrix)
    assert "concentrations, on average (4)" in repr(matrix)
    assert repr(matrix_of("hierarchical")).rstrip().endswith("3, 0.7")
    assert "<table" in matrix._repr_html_()
    assert "discount" in repr(matrix_of("discount"))
    assert "2 Dirichlets" in repr(matrix_of("mixture"))
