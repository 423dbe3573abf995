"""Rows against other rows: two models, two vocabularies, rows known in part."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import rel_entr

import matrixbayes as mb

V = 7
RNG = np.random.default_rng(0)
P = RNG.dirichlet(np.full(V, 0.7), 30)
Q = RNG.dirichlet(np.full(V, 0.7), 30)
NAMES = tuple("abcdefg")
CONTEXTS = [RNG.integers(0, V, i % 4 + 1) for i in range(30)]


def rows(probs, tokens=NAMES, contexts=CONTEXTS, **more):
    if contexts is not None:
        more["input_ids"] = np.concatenate(contexts)
        more["offsets"] = np.cumsum([0, *map(len, contexts)])
    return mb.NextTokenRows(np.log(probs), tokens=tokens, **more)


def test_two_sets_of_rows(monkeypatch):
    monkeypatch.setattr("matrixbayes.matrix.comparison.CELLS", 4 * V)  # several blocks
    weights = RNG.random(30)
    found = mb.compare(rows(P), rows(Q), weights=weights)
    assert_allclose(found.kl, rel_entr(P, Q).sum(axis=1), rtol=1e-12)
    assert_allclose(found.reverse_kl, rel_entr(Q, P).sum(axis=1), rtol=1e-12)
    assert_allclose(found.total_variation, abs(P - Q).sum(axis=1) / 2, rtol=1e-12)
    assert_array_equal(found.top_agrees, P.argmax(axis=1) == Q.argmax(axis=1))
    assert_allclose(found.agreement, np.average(found.top_agrees, weights=weights))
    assert_allclose(found.gap_bits, np.average(found.kl, weights=weights) / np.log(2.0))
    assert found.seen is None
    assert found.lumped is None
    assert found.names == ("first", "second")
    assert_array_equal(found.contexts[5], CONTEXTS[5])
    assert "KL(first || second)" in repr(found)
    assert "most probable token the same" in found._repr_html_()
    again = pickle.loads(pickle.dumps(found))
    assert_array_equal(again.kl, found.kl)
    turned = mb.compare(rows(Q), rows(P), weights=weights)
    assert_allclose(turned.kl, found.reverse_kl, rtol=1e-12)


def test_columns_are_matched_by_name_and_arrays_by_place():
    order = RNG.permutation(V)
    turned = rows(Q[:, order], tuple(NAMES[j] for j in order))
    expected = mb.compare(P, Q, kind="probs")
    assert expected.contexts == ()
    assert_allclose(mb.compare(rows(P), turned).kl, expected.kl, rtol=1e-12)
    assert_allclose(mb.compare(P, rows(Q), kind="probs").kl, expected.kl, rtol=1e-12)
    with pytest.raises(ValueError, match="drop kind"):
        mb.compare(rows(P), rows(Q), kind="probs")
    assert_array_equal(mb.compare(rows(P), turned).top_agrees, expected.top_agrees)


def test_equal_tops_agree():
    found = mb.compare([[0.4, 0.4, 0.2]] * 2, [[0.2, 0.4, 0.4], [0.1, 0.2, 0.7]], kind="probs")
    assert_array_equal(found.top_agrees, [True, False])


def test_a_matrix_in_either_place():
    matrix = mb.TransitionMatrix(2, tokens=NAMES, hierarchical=True).update(RNG.integers(0, V, 300))
    there = mb.compare(matrix, rows(Q))
    back = mb.compare(rows(Q), matrix)
    assert_allclose(back.kl, there.reverse_kl, rtol=1e-12)
    assert_allclose(back.reverse_kl, there.kl, rtol=1e-12)
    assert_array_equal(back.seen, there.seen)
    assert back.names == ("model", "matrix")
    assert there.names == ("matrix", "model")
    other = mb.TransitionMatrix(1, tokens=NAMES).update(RNG.integers(0, V, 300))
    found = mb.compare(matrix, other, CONTEXTS)
    p = np.array([matrix.predict([V, V, *c][-2:]) for c in CONTEXTS])
    q = np.array([other.predict(c[-1:]) for c in CONTEXTS])
    assert_allclose(found.kl, rel_entr(p, q).sum(axis=1), rtol=1e-12)
    mixture = mb.Interpolation([matrix, other], [0.5, 0.5])
    found = mb.compare(mixture, rows(Q))
    assert_allclose(found.kl, rel_entr((p + q) / 2, Q).sum(axis=1), rtol=1e-12)
    assert found.seen is None


# -- two vocabularies ------------------------------------------------------------------

OTHERS = ("e", "a", "x", "c", "<unused>", "g")  # of which e, a, c, g are shared
R = RNG.dirichlet(np.full(len(OTHERS), 0.7), 30)


def lumped(probs, names, shared):
    own = [names.index(name) for name in shared]
    return np.column_stack([probs[:, own], 1.0 - probs[:, own].sum(axis=1)])


def test_contexts_of_two_matrices_are_matched_by_names():
    texts = [list("abca"), list("cabb")]
    one = mb.TransitionMatrix(1, tokens=list("abc"), hierarchical=True).update(texts)
    other = mb.TransitionMatrix(1, tokens=list("cab"), hierarchical=True).update(texts)
    for contexts in ([[0], [1], [3]], [["a"], ["b"]]):
        found = mb.compare(one, other, contexts)
        assert_allclose(found.kl, 0.0, atol=1e-15)
        assert_array_equal(found.contexts[1], [1])
    more = mb.TransitionMatrix(1, tokens=list("xcab"), hierarchical=True).update(texts)
    kl = mb.compare(one, more, [["a"], ["c"]], shared=True).kl
    x, y = one.predict([[0], [2]]), more.predict([[2], [1]])[:, [2, 3, 1]]
    assert_allclose(kl, (x * np.log(x / y)).sum(axis=1), rtol=1e-12)
    with pytest.raises(ValueError, match="context 0 has the token 'x', which one side does not"):
        mb.compare(more, one, [["x"]], shared=True)
    with pytest.raises(ValueError, match="token 0 of context 1 is 'z'"):
        mb.compare(one, other, [["a"], ["z"]])
    with pytest.raises(ValueError, match="context 0 has what is no token"):
        mb.compare(one, other, [[7]])


def test_shared_tokens_and_one_column_for_the_rest():
    contexts = [c[:1] for c in CONTEXTS]  # of another tokenizer
    found = mb.compare(rows(P), rows(R, OTHERS, contexts), shared=True)
    shared = ["a", "c", "e", "g"]
    p, q = lumped(P, NAMES, shared), lumped(R, OTHERS, shared)
    assert found.tokens == (*shared, "<other>")
    assert_allclose(found.kl, rel_entr(p, q).sum(axis=1), rtol=1e-9)
    assert_allclose(found.reverse_kl, rel_entr(q, p).sum(axis=1), rtol=1e-9)
    assert_allclose(found.lumped, np.column_stack([p[:, -1], q[:, -1]]), rtol=1e-12)
    tops = [NAMES[i] == OTHERS[j] for i, j in zip(P.argmax(1), R.argmax(1), strict=True)]
    assert_array_equal(found.top_agrees, tops)
    assert "KL are lower bounds" in " ".join(repr(found).split())


@pytest.mark.parametrize("n_shared", [1, 3, 6])
def test_lumping_is_a_lower_bound(n_shared):
    """Of the distance between rows over all texts, whatever is called the same."""
    names = (*NAMES[:n_shared], *(f"#{j}" for j in range(V - n_shared)))
    whole = mb.compare(P, Q, kind="probs")
    found = mb.compare(rows(P), rows(Q, names), shared=True)
    for part in ("kl", "reverse_kl", "total_variation", "hellinger"):
        assert (getattr(found, part) <= getattr(whole, part) + 1e-12).all()
    same = mb.compare(rows(P), rows(Q), shared=True)
    assert_allclose(same.kl, whole.kl, rtol=1e-12)
    assert_array_equal(same.lumped, 0.0)


def test_a_matrix_of_another_vocabulary_needs_its_own_contexts():
    matrix = mb.TransitionMatrix(1, tokens=NAMES).update(RNG.integers(0, V, 300))
    contexts = [c[-1:] for c in CONTEXTS]
    found = mb.compare(matrix, rows(R, OTHERS), contexts, shared=True)
    p = lumped(matrix.predict(np.array(contexts)), NAMES, ["a", "c", "e", "g"])
    q = lumped(R, OTHERS, ["a", "c", "e", "g"])
    assert_allclose(found.kl, rel_entr(p, q).sum(axis=1), rtol=1e-9)
    with pytest.raises(ValueError, match="in the tokens of the matrix"):
        mb.compare(matrix, rows(R, OTHERS), shared=True)


# -- rows known in part ----------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3, V])
@pytest.mark.parametrize("sides", ["both", "first", "second"])
def test_bounds_hold_the_truth(k, sides, monkeypatch):
    monkeypatch.setattr("matrixbayes.matrix.comparison.CELLS", 4 * V)
    whole = mb.compare(rows(P), rows(Q))
    first = mb.PartialRows.from_rows(rows(P), k) if sides != "second" else rows(P)
    second = mb.PartialRows.from_rows(rows(Q), k) if sides != "first" else rows(Q)
    found = mb.compare(first, second)
    assert isinstance(found, mb.ComparisonBounds)
    for part in ("kl", "reverse_kl", "total_variation", "hellinger"):
        low, high = getattr(found, part).T
        assert (low <= getattr(whole, part) + 1e-9).all()
        assert (high >= getattr(whole, part) - 1e-9).all()
    known = ~np.isnan(found.top_agrees)
    assert_array_equal(found.top_agrees[known], whole.top_agrees[known])
    assert known.all() or k == 1
    least, most = found.agreement
    assert least <= whole.agreement <= most
    if k == V:
        assert_allclose(found.kl, np.column_stack([whole.kl] * 2), rtol=1e-6)
        assert_array_equal(found.worst(3), whole.worst(3))
    assert "lower bounds" in repr(found)
    assert "<table" in found._repr_html_()
    assert len(found) == 30


def test_a_matrix_beside_rows_known_in_part():
    matrix = mb.TransitionMatrix(1, tokens=NAMES).update(RNG.integers(0, V, 300))
    part = mb.PartialRows.from_rows(rows(Q), 3)
    whole, found = mb.compare(matrix, rows(Q)), mb.compare(matrix, part)
    assert (found.kl[:, 0] <= whole.kl + 1e-9).all()
    assert (found.reverse_kl[:, 1] >= whole.reverse_kl - 1e-9).all()
    back = mb.compare(part, matrix)
    assert_allclose(back.kl, found.reverse_kl, rtol=1e-9)
    assert_array_equal(found.contexts[3], CONTEXTS[3])
    chosen = mb.PartialRows([0], np.log([0.1]), [0, 1], n_tokens=V, cap=[np.log(0.9)])
    assert np.isnan(mb.compare(chosen, P[:1], kind="probs").top_agrees).all()


@pytest.mark.parametrize("sides", ["both", "first", "second"])
def test_two_vocabularies_known_in_part(sides):
    """Over all texts, of which one side may have what it does not list."""
    texts = sorted({*NAMES, *OTHERS})
    p, q = (np.zeros((30, len(texts))) for _ in range(2))
    p[:, [texts.index(name) for name in NAMES]] = P
    q[:, [texts.index(name) for name in OTHERS]] = R
    first = mb.PartialRows.from_rows(rows(P), 3) if sides != "second" else rows(P)
    second = rows(R, OTHERS, [c[:1] for c in CONTEXTS])
    second = mb.PartialRows.from_rows(second, 2) if sides != "first" else second
    found = mb.compare(first, second, shared=True)
    variation = abs(p - q).sum(axis=1) / 2
    assert (found.total_variation[:, 0] <= variation + 1e-9).all()
    assert (found.total_variation[:, 1] >= variation - 1e-9).all()
    lumped = mb.compare(rows(P), rows(R, OTHERS), [()] * 30, shared=True)
    tops = found.top_agrees
    assert_array_equal(tops[~np.isnan(tops)], lumped.top_agrees[~np.isnan(tops)])
    assert (found.kl[:, 1] >= lumped.kl - 1e-9).all()


# -- what does not match ---------------------------------------------------------------

MOVED = [*CONTEXTS[:4], np.array([6, 6, 6, 6, 6, 6, 6]), *CONTEXTS[5:]]


@pytest.mark.parametrize(
    ("first", "second", "options", "says"),
    [
        (
            rows(P),
            rows(Q, contexts=MOVED),
            {},
            r"row 4 comes after \[\d\] .*\[\.\.\., 6, 6, 6, 6, 6",
        ),
        (rows(P), rows(Q[:9], contexts=CONTEXTS[:9]), {}, "first has 30 rows, the second 9"),
        (rows(P), rows(R, OTHERS), {}, "first has 7 columns, the second 6; .*shared=True"),
        (rows(P), rows(Q, tuple("abcdefx")), {}, "shared=True.*unexpected are 'x'"),
        (rows(P), rows(R, None), {"shared": True}, "the second has none"),
        (rows(P), rows(R, tuple("uvwxyz")), {"shared": True}, "nothing is shared"),
        (rows(P), rows(Q), {"contexts": CONTEXTS[:3]}, "3 contexts and 30 rows"),
        (
            mb.PartialRows.from_rows(rows(P, None), 2),
            rows(R, OTHERS),
            {"shared": True},
            "known in part have none",
        ),
        (
            rows(P, contexts=None, meta={"prompt": list(range(30))}),
            rows(Q, contexts=None, meta={"prompt": [*range(7), 8, *range(8, 30)]}),
            {},
            "row 7 is of prompt 7 in the first, 8 in the second",
        ),
    ],
)
def test_what_is_refused(first, second, options, says):
    with pytest.raises(ValueError, match=says):
        mb.compare(first, second, **options)
