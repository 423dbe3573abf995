"""Text that is unlearnt, and matrices that are summed with weights: laws, files, refusals."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import matrixbayes as mb

V = 4
MIXTURE = mb.DirichletMixture([0.3, 0.7], [[1.0, 2.0, 3.0, 0.5], [0.1, 0.1, 4.0, 1.0]])
KINDS = {
    "alpha": {"order": 2, "prior": 0.5, "n_tokens": V},
    "mixture": {"order": 1, "prior": MIXTURE},
    "hierarchical": {"order": 3, "hierarchical": True, "n_tokens": V},
    "several": {"order": 2, "hierarchical": [([0.4, 0.6], [0.5, 7.0])] * 2, "prior": MIXTURE},
    "discounts": {"order": 2, "discounts": True, "n_tokens": V},
    "tree": {"order": "tree", "depth": 3, "prior": MIXTURE},
}
documents = st.lists(st.lists(st.integers(0, V - 1), max_size=12), max_size=4)
SCORED = [[0, 1, 2, 3, 3, 1, 0, 2], [1], [2, 2, 2, 1, 0]]


def matrix_of(kind, *texts):
    options = dict(KINDS[kind])
    matrix = mb.TransitionMatrix(options.pop("order"), **options)
    for text in texts:
        matrix.update(text)
    return matrix


def file_of(matrix, tmp_path_factory):
    path = tmp_path_factory.mktemp("matrix") / "matrix.safetensors"
    matrix.save(path)
    return path.read_bytes()


def facts(matrix):
    """What a matrix answers."""
    return (
        matrix.n_observed,
        matrix.contexts().tolist(),
        matrix.rows().toarray().tolist() if len(matrix) else [],
        matrix.predict([[0, 1, 2, 3], [3, 3, 3, 3], [1, 2, 2, 2]]).tolist(),
        matrix.log_prob(SCORED),
        matrix.log_evidence(SCORED),
    )


# -- unlearning ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12)
@given(first=documents, second=documents)
def test_unlearning_is_the_inverse_of_learning(kind, first, second, tmp_path_factory):
    matrix = matrix_of(kind, first)
    before, file = facts(matrix), file_of(matrix, tmp_path_factory)
    kept = matrix.copy()
    assert matrix.update(second).downdate(second) is matrix
    assert facts(matrix) == before
    assert file_of(matrix, tmp_path_factory) == file
    assert facts(kept) == before
    matrix.downdate(first)
    assert facts(matrix) == facts(matrix_of(kind))
    assert file_of(matrix, tmp_path_factory) == file_of(matrix_of(kind), tmp_path_factory)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12)
@given(texts=st.lists(documents, max_size=5), data=st.data())
def test_any_text_is_unlearnt_whatever_came_after(kind, texts, data):
    gone = data.draw(st.permutations(range(len(texts))))[: len(texts) // 2]
    matrix, left = matrix_of(kind, *texts), matrix_of(kind)
    for i in gone:
        matrix.downdate(texts[i])
    for i, text in enumerate(texts):
        if i not in gone:
            left.update(text)
    assert facts(matrix) == facts(left)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10)
@given(text=st.lists(st.integers(0, V - 1), max_size=15), cuts=st.sets(st.integers(1, 14)))
def test_a_window_moves_over_a_stream(kind, text, cuts):
    """Its oldest part is unlearnt before what stood in front of it is known no more."""
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    parts = [text[start:end] for start, end in pairwise(places)]
    matrix, before = matrix_of(kind), None
    for i, part in enumerate(parts):
        matrix.update(part, continued=i > 0)
    for part, start in zip(parts[:-1], places[:-1], strict=False):
        matrix.downdate(part, before=text[:start] if start else before)
    if parts:
        last = matrix_of(kind).going_on_from(text[: places[-2]]) if len(parts) > 1 else None
        expected = matrix_of(kind, []) if last is None else last
        assert facts(matrix) == facts(expected.update(parts[-1], continued=last is not None))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_never_counted_is_refused_and_changes_nothing(kind, tmp_path_factory):
    matrix = matrix_of(kind, [0, 1, 2, 3, 0, 1, 2], [3, 3])
    before, file = facts(matrix), file_of(matrix, tmp_path_factory)
    for wrong in (
        [[0, 1, 2, 3, 0, 1, 2], [0, 1, 2, 3]],  # more often than it came
        [1, 3, 3, 3, 2],
        [[0, 1, 2, 3], [2, 2, 2, 2]],
    ):
        with pytest.raises(ValueError, match=r"the count of token \d after .* never counted"):
            matrix.downdate(wrong)
        assert facts(matrix) == before
    for error, wrong in ((ValueError, [0, V]), (TypeError, "text"), (ValueError, [[0], ["a"]])):
        with pytest.raises(error):
            matrix.downdate(wrong)
    assert file_of(matrix, tmp_path_factory) == file
    matrix.downdate([])
    matrix.downdate([[]])
    assert facts(matrix) == before


def test_a_stream_goes_on_from_the_latest_text_that_is_left():
    matrix, texts = matrix_of("alpha"), [[i % V, (i // V) % V, 3] for i in range(20)]
    for text in texts:
        matrix.update(text)
    left = matrix_of("alpha", *texts[:-2], [2, 2, 2])
    matrix.update([2, 2, 2]).downdate(texts[-1]).downdate(texts[-2])
    matrix.downdate([2, 2, 2]).update([1, 0], continued=True)
    left.downdate([2, 2, 2]).update([1, 0], continued=True)
    assert facts(matrix) == facts(left)
    assert facts(matrix) == facts(matrix_of("alpha", *texts[:-3], [*texts[-3], 1, 0]))
    other = pickle.loads(pickle.dumps(matrix))
    state = matrix.__getstate__()
    state.pop("_earlier")  # as in a pickle of an older version
    old = object.__new__(mb.TransitionMatrix)
    old.__setstate__(state)
    for each in (other, old):
        assert facts(each.downdate(texts[0])) == facts(matrix.copy().downdate(texts[0]))


@pytest.mark.parametrize("made", ["discount", "forget", "weights"])
def test_real_counts_are_not_unlearnt(made):
    matrix = mb.TransitionMatrix(1, n_tokens=V, discount=0.5 if made == "discount" else 1.0)
    matrix.update([0, 1, 2])
    if made != "discount":
        matrix.forget(1.0)
    if made == "weights":
        matrix.merge(matrix, weight=0.5)
    before = facts(matrix)
    with pytest.raises(ValueError, match="only whole counts can be taken away"):
        matrix.downdate([0, 1, 2])
    assert facts(matrix) == before


def test_named_tokens_and_opened_files_are_unlearnt(tmp_path):
    matrix = mb.TransitionMatrix(1, tokens=("a", "b"), hierarchical=True)
    matrix.update([["a", "b", "b"]])
    before = matrix.counts(matrix.contexts())
    matrix.update(["b", "a"]).save(tmp_path / "m")
    opened = mb.TransitionMatrix.open(tmp_path / "m")
    assert_array_equal(opened.downdate([["b", "a"]]).counts(opened.contexts()), before)
    assert mb.TransitionMatrix.open(tmp_path / "m").n_observed == 5


# -- sums ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10)
@given(a=documents, b=documents, c=documents)
def test_sums_commute_associate_and_are_undone(kind, a, b, c):
    first, second, third = (matrix_of(kind, text) for text in (a, b, c))
    kept = facts(first)
    whole = facts(matrix_of(kind, a + b + c))
    assert facts(sum([first, second, third])) == whole
    assert facts(first + (second + third)) == facts((third + second) + first) == whole
    assert facts((first + second).downdate(b)) == kept == facts(first)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10)
@given(a=documents, b=documents, weight=st.integers(0, 4))
def test_a_whole_weight_is_so_many_copies(kind, a, b, weight):
    first, second = matrix_of(kind, a), matrix_of(kind, b)
    expected = facts(matrix_of(kind, a + weight * b))
    assert facts(first.copy().merge(second, weight=weight)) == expected
    assert facts(first.copy().merge(second, weight=float(weight))) == expected
    for _ in range(weight):
        first.merge(second)
    assert facts(first) == expected


@settings(max_examples=20)
@given(a=documents, b=documents, weight=st.floats(0, 9, width=16), which=st.integers(1, 3))
def test_a_real_weight_multiplies_real_counts(a, b, weight, which):
    first, second = matrix_of("alpha", a), matrix_of("alpha", b)
    contexts = np.array([(i, j) for i in range(V) for j in range(V)])
    expected = first.counts(contexts) + weight * second.counts(contexts)
    if which & 1:
        first.forget(1.0)
    if which & 2:
        second.forget(1.0)
    assert_allclose(first.merge(second, weight=weight).counts(contexts), expected, rtol=1e-15)


def test_weights_that_are_none_are_refused():
    for kind in KINDS:
        first, second = matrix_of(kind, [0, 1, 2, 3]), matrix_of(kind, [3, 2, 1])
        before = facts(first)
        with pytest.raises(ValueError, match=r"weight is 0\.5, and counts are whole numbers"):
            first.merge(second, weight=0.5)
        for wrong in (-1, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="weight is"):
                first.merge(second, weight=wrong)
        for huge in (2**64, 2**70, 1e300):
            with pytest.raises(OverflowError, match="2\\^64 - 1 observations"):
                first.merge(second, weight=huge)
        with pytest.raises((TypeError, ValueError)):
            first.merge(second, weight="x")
        assert facts(first) == before
