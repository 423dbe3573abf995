"""Mixtures of models: weights by held-out text, their posterior, and what the mixture says."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp

import matrixbayes as mb
from matrixbayes.matrix.mixing.weights import fit_weights

V = 5
RNG = np.random.default_rng(0)


def chain(rows, n, rng):
    """A text of a Markov chain."""
    text = [0]
    for u in rng.random(n - 1):
        text.append(int(np.searchsorted(np.cumsum(rows[text[-1]]), u)))
    return np.array(text)


ROWS = RNG.dirichlet(np.full(V, 0.5), V)
TEXTS = [chain(ROWS, 300, RNG) for _ in range(4)]
HELD = [chain(ROWS, 150, RNG) for _ in range(3)]
NAMES = tuple("abcde")


def models():
    plain = mb.TransitionMatrix(1, n_tokens=V).update(TEXTS[0])
    deep = mb.TransitionMatrix(3, n_tokens=V, hierarchical=True).update(TEXTS[:3])
    tree = mb.TransitionMatrix("tree", depth=2, n_tokens=V).update(TEXTS[3])
    return [plain, deep, tree]


def by_hand(model, texts):
    """ln p of every token, by a row for each."""
    found = []
    for text in texts:
        led = [*model.begin, *text]
        for i in range(len(model.begin), len(led)):
            found.append(np.log(model.predict(led[max(0, i - model.order) : i])[led[i]]))
    return np.array(found)


def slow_em(log_probs, passes):
    p = np.exp(log_probs)
    w = np.full(p.shape[1], 1.0 / p.shape[1])
    for _ in range(passes):
        joint = p * w
        w = (joint / joint.sum(axis=1, keepdims=True)).mean(axis=0)
    return w


def test_weights_are_those_of_plain_em():
    found = mb.interpolate(models(), HELD)
    each = np.stack([by_hand(model, HELD) for model in models()], axis=1)
    assert_allclose(found.model_log_probs, each.sum(axis=0), rtol=1e-12)
    assert_allclose(found.weights, slow_em(each, 5_000), atol=2e-5)
    assert found.converged
    assert_allclose(found.held_out_log_prob, found.log_prob(HELD), rtol=1e-12)
    assert_allclose(found.scores(HELD), logsumexp(each, b=found.weights, axis=1), rtol=1e-12)
    assert_allclose(found.perplexity(HELD), np.exp(-found.log_prob(HELD) / 450), rtol=1e-12)
    assert found.n_held_out == 450


def test_rows_of_the_mixture():
    found = mb.Interpolation(models(), [0.5, 0.3, 0.2])
    for context in ([], [1], [4, 2, 1, 3], found.begin, [*found.begin, 2][-3:]):
        expected = np.zeros(V)
        for model, w in zip(models(), found.weights, strict=True):
            own = context if len(model.begin) else [t for t in context if t < V]
            expected += w * model.predict(np.array(own, dtype=int))
        assert_allclose(found.predict(np.array(context, dtype=int)), expected, rtol=1e-12)
    batch = np.array([[5, 5, 1], [0, 1, 2], [5, 5, 5], [3, 3, 3]])
    rows = found.predict(batch)
    assert_allclose(rows, [found[context] for context in batch], rtol=1e-12)
    assert_allclose(rows.sum(axis=1), 1.0, rtol=1e-12)
    tokens, probs = found.predict(batch, top=2)
    assert_array_equal(tokens, np.argsort(-rows, axis=1)[:, :2])
    assert_allclose(probs, np.sort(rows, axis=1)[:, :-3:-1], rtol=1e-12)
    # the chain rule: scores are those of rows
    assert_allclose(found.scores(HELD[0]), by_hand(found, HELD[:1]), rtol=1e-12)


def test_tokens_are_matched_by_names():
    turned = [NAMES[::-1].index(name) for name in NAMES]
    a = mb.TransitionMatrix(1, tokens=NAMES).update(TEXTS[0])
    b = mb.TransitionMatrix(2, tokens=NAMES[::-1], hierarchical=True)
    b.update([np.array(turned)[text] for text in TEXTS[1:3]])
    same = mb.TransitionMatrix(2, tokens=NAMES, hierarchical=True).update(TEXTS[1:3])
    one, other = (mb.interpolate([a, x], HELD) for x in (b, same))
    assert_allclose(one.weights, other.weights, rtol=1e-9)
    assert_allclose(one.predict([[5, 1]]), other.predict([[5, 1]]), rtol=1e-12)
    assert_allclose(one.predict(["a", "b"]), other.predict([0, 1]), rtol=1e-12)
    assert one.tokens == NAMES


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.01, 1.0, 30.0]),
    st.integers(0, 2**32),
)
def test_never_worse_than_the_best_alone(n, k, sharp, seed):
    rng = np.random.default_rng(seed)
    each = -np.abs(sharp * rng.standard_normal((n, k)))
    found = fit_weights(each, 1000, 1e-9)
    assert found.log_prob >= each.sum(axis=0).max() * (1.0 + 1e-12) - 1e-12
    assert_allclose(found.weights.sum(), 1.0, rtol=1e-12)
    assert found.gap <= 1e-9
    some = rng.dirichlet(np.ones(k), 50)
    others = logsumexp(each[:, np.newaxis], b=some, axis=2).sum(axis=0)
    assert found.log_prob >= others.max() - 1e-8 * n - 1e-3


@pytest.mark.parametrize("shift", [0.0, -0.25, -0.6])
def test_posterior_against_a_grid(shift):
    each = 0.8 * np.random.default_rng(1).standard_normal((300, 2))
    each[:, 0] += shift
    found = fit_weights(each, 1000, 1e-12)
    w = (np.arange(20_000) + 0.5) / 20_000
    log_posterior = np.log(np.exp(each) @ np.stack([w, 1.0 - w])).sum(axis=0)
    evidence = logsumexp(log_posterior) - np.log(len(w))
    share = np.exp(log_posterior - evidence) / len(w)
    deviation = np.sqrt(share @ (w - share @ w) ** 2)
    assert_allclose(found.evidence, evidence, atol=0.1)
    assert_allclose(found.errors, deviation, rtol=0.15)


def test_posterior_of_three_against_draws():
    each = 0.8 * np.random.default_rng(2).standard_normal((300, 3))
    each[:, 0] -= 0.6
    found = fit_weights(each, 1000, 1e-12)
    assert found.weights[0] == 0.0
    draws = np.random.default_rng(0).dirichlet(np.ones(3), 40_000)
    log_posterior = np.log(np.exp(each) @ draws.T).sum(axis=0)
    evidence = logsumexp(log_posterior) - np.log(len(draws))
    share = np.exp(log_posterior - evidence) / len(draws)
    deviation = np.sqrt(share @ (draws - share @ draws) ** 2)
    assert_allclose(found.evidence, evidence, atol=0.1)
    assert_allclose(found.errors, deviation, rtol=0.15)


def test_equal_models_share_and_are_not_identified():
    a, b = models()[:2]
    with pytest.warns(RuntimeWarning, match="models 0, 2 are not identified"):
        found = mb.interpolate([a, b, a], HELD)
    alone = mb.interpolate([a, b], HELD)
    assert_allclose(found.weights[[0, 2]], alone.weights[0] / 2, rtol=1e-4)
    assert_allclose(found.weights[1], alone.weights[1], rtol=1e-4)
    assert_allclose(found.standard_errors[1], alone.standard_errors[1], rtol=1e-2)
    assert np.isnan(found.standard_errors[[0, 2]]).all()
    assert np.isnan(found.evidence)


def test_a_mixture_of_a_mixture_and_one_model():
    a, b = models()[:2]
    inner = mb.Interpolation([a, b], [0.25, 0.75])
    outer = mb.Interpolation([inner, a], [0.5, 0.5])
    flat = mb.Interpolation([a, b], [0.625, 0.375])
    assert_allclose(outer.scores(HELD), flat.scores(HELD), rtol=1e-12)
    assert_allclose(outer.predict(outer.begin), flat.predict(flat.begin), rtol=1e-12)
    alone = mb.interpolate([b], HELD)
    assert_array_equal(alone.weights, [1.0])
    assert_allclose(alone.held_out_log_prob, b.log_prob(HELD), rtol=1e-12)
    assert_allclose(alone.evidence, alone.held_out_log_prob, rtol=1e-12)


def test_a_matrix_beside_itself_pruned():
    deep = models()[1]
    found = mb.interpolate([deep.prune(0.01), deep], HELD)
    assert found.predict(found.begin).sum() == pytest.approx(1.0)
    assert_allclose(found.scores(HELD[0]), by_hand(found, HELD[:1]), rtol=1e-12)


class Unigram:
    """A model of others: the same row after everything."""

    n_tokens = V

    def __init__(self, row):
        self.row = np.array(row)

    def predict(self, contexts):
        return np.repeat(self.row[np.newaxis], len(contexts), axis=0)

    def scores(self, documents):
        with np.errstate(divide="ignore"):
            return [np.log(self.row[text]) for text in documents]


def test_models_of_others():
    even = Unigram(np.full(V, 1.0 / V))
    found = mb.interpolate([even, models()[1]], HELD)
    assert found.weights[1] > 0.5
    assert_allclose(found.predict([1, 2, 3]).sum(), 1.0)
    first = Unigram([1.0, 0.0, 0.0, 0.0, 0.0])  # which rules tokens out
    found = mb.interpolate([first, even], [0, 0, 0, 1, 2])
    assert_allclose(found.weights, slow_em(np.log([[1, 0.2]] * 3 + [[1e-300, 0.2]] * 2), 9999))
    with pytest.raises(ValueError, match="token 1 of document 1 is impossible"):
        mb.interpolate([first], [[0], [0, 1]])


def test_generated_text_has_the_rows():
    found = mb.Interpolation(models(), [0.5, 0.3, 0.2])
    drawn = found.generate(1500, rng=0)
    after = drawn[1:][drawn[:-1] == 1]
    share = np.bincount(after, minlength=V) / len(after)
    assert abs(share - found.predict([1, 1])).max() < 0.2
    assert_array_equal(found.generate(5, [1], rng=3), found.generate(5, [1], rng=3))
    assert found.generate(1, [2], temperature=0.0) == [found[[2]].argmax()]


def test_too_few_passes_warn_and_the_rest_is_shown():
    with pytest.warns(mb.ConvergenceWarning, match="0 passes"):
        found = mb.interpolate(models(), HELD, max_iter=0)
    assert not found.converged
    assert found.gap > 1e-9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = mb.interpolate(models(), HELD)
    assert "450 held-out tokens" in repr(found)
    assert "<table" in found._repr_html_()
    assert "weight" in repr(mb.Interpolation(models(), [0.2, 0.2, 0.6]))
    again = pickle.loads(pickle.dumps(found))
    assert_array_equal(again.scores(HELD), found.scores(HELD))
    assert len(found) == 3


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda a: mb.interpolate([], HELD), "no models"),
        (lambda a: mb.interpolate([a], []), "no tokens"),
        (lambda a: mb.interpolate([a, mb.TransitionMatrix(1, n_tokens=9)], HELD), "5, 9"),
        (lambda a: mb.interpolate([a, object()], HELD), "model 1 is object"),
        (lambda a: mb.interpolate([a], HELD, tol=0.0), "tol"),
        (lambda a: mb.interpolate([a], HELD, max_iter=-1), "max_iter"),
        (lambda a: mb.interpolate([a], [0, 7]), "is 7"),
        (lambda a: mb.Interpolation([a], [0.5, 0.5]), "weights have shape"),
        (lambda a: mb.Interpolation([a], [0.5]), "their sum 1"),
        (lambda a: mb.Interpolation([a], [np.nan]), "weights are"),
        (lambda a: mb.Interpolation([a], [1.0]).predict([0], top=9), "top"),
        (lambda a: mb.Interpolation([a], [1.0]).generate(1, [[0]]), "one context"),
        (lambda a: mb.Interpolation([a], [1.0]).perplexity([]), "no tokens"),
    ],
)
def test_what_cannot_be_mixed(call, says):
    with pytest.raises((ValueError, TypeError), match=says):
        call(models()[0])


def test_scores_of_a_wrong_shape():
    model = Unigram(np.full(V, 0.2))
    model.scores = lambda documents: [np.zeros(1)]
    with pytest.raises(ValueError, match="for 2 tokens"):
        mb.interpolate([model], [0, 1])
    named = [mb.TransitionMatrix(1, tokens=t).update([0]) for t in (NAMES, tuple("abcdf"))]
    with pytest.raises(ValueError, match="unexpected are 'f'"):
        mb.interpolate(named, HELD)


def test_unknown_words_are_those_of_the_first_with_names():
    texts = ["the cat sat", "the dog sat"]
    options = {"order": 1, "hierarchical": True, "unknown": "?"}
    one, other = (mb.TransitionMatrix.from_text(texts[:n], **options) for n in (2, 2))
    mixed = mb.Interpolation([one, other], [0.5, 0.5])
    words = ["the", "zebra", "sat"]
    assert_allclose(mixed.scores(words), one.scores(words), rtol=1e-12)
    assert mb.Interpolation([mixed], [1.0]).predict(["zebra"]).shape == (6,)
    with pytest.warns(RuntimeWarning, match="1 of 2 tokens stand"):
        assert mb.bits_per_byte(mixed, "the zebra").n_unknown == 1


@pytest.mark.parametrize("call", [mb.interpolate, mb.Interpolation])
def test_one_model_is_no_list_of_them(call):
    with pytest.raises(TypeError, match="models is one TransitionMatrix; give a list"):
        call(mb.TransitionMatrix(1, n_tokens=2), [0, 1])


def test_text_of_models_of_single_words_is_drawn(tmp_path):
    path = tmp_path / "one.arpa"
    path.write_text("\\data\\\nngram 1=2\n\n\\1-grams:\n-0.30103\ta\n-0.30103\tb\n\n\\end\\\n")
    model = mb.read_arpa(path)
    found = mb.interpolate([model], [[0, 1, 0]])
    assert found.order == 0
    assert set(found.generate(50, rng=0)) == {0, 1}
