"""Documents as callers have them, joined and led: against lists; what is wrong is named."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import matrixbayes as mb
from matrixbayes import _core
from matrixbayes.matrix.documents import Texts

TYPES = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
WHOLE = [[0, 1, 2, 1], [], [2, 2], [1]]
texts = st.lists(st.lists(st.integers(0, 2), max_size=9), max_size=6)


def joined(documents):
    tokens, bounds = _core.join_documents(documents)
    assert tokens.dtype == bounds.dtype == np.int64
    return [tokens[a:b].tolist() for a, b in pairwise(bounds)]


@pytest.mark.parametrize("dtype", TYPES)
def test_arrays_of_every_type_and_layout_are_joined(dtype):
    arrays = [np.array(each, dtype=dtype) for each in WHOLE]
    assert joined(arrays) == joined(tuple(arrays)) == joined(WHOLE) == WHOLE
    assert joined([np.repeat(each, 3)[::3] for each in arrays]) == WHOLE
    assert joined([each[::-1] for each in arrays]) == [each[::-1] for each in WHOLE]
    least, most = np.iinfo(dtype).min, min(np.iinfo(dtype).max, 2**63 - 1)
    assert joined([np.array([least, most], dtype=dtype)]) == [[least, most]]


def test_lists_and_tuples_are_joined_beside_arrays():
    mixed = [[2**63 - 1, -(2**63)], (), (1, -1), np.array([3]), np.zeros(0), np.zeros(0, object)]
    assert joined(mixed) == [[2**63 - 1, -(2**63)], [], [1, -1], [3], [], []]
    assert joined([]) == []


@pytest.mark.parametrize(
    "other",
    [
        [1.0], [True], ["a"], [2**63], [None], (1, 2.0), 3, "ab", None, range(3), [[1]],
        np.array([1.0]), np.array([True]), np.array(["a"]), np.array([[1]]), np.array(1),
        np.array([2**63], dtype=np.uint64), np.array([1], dtype=">i4"), np.ma.array([1]),
        np.array([1], dtype=object), [np.int64(1)],
    ],
)  # fmt: skip
def test_what_is_nothing_to_join_is_left_to_others(other):
    assert _core.join_documents([[1], other]) is None
    assert _core.join_documents([other, [1]]) is None


@given(texts, st.lists(st.integers(0, 9), max_size=3), st.lists(st.integers(0, 9), max_size=3))
def test_documents_are_led(documents, first, lead):
    flat = Texts.of([np.array(each, dtype=np.int64) for each in documents])
    expected = [(lead if i else first) + each for i, each in enumerate(documents)]
    led = flat.led(np.array(first, dtype=np.int64), np.array(lead, dtype=np.int64))
    assert [each.tolist() for each in led] == expected
    assert len(led) == len(documents)
    assert led.n_tokens == sum(map(len, expected))
    for n in range(4):
        assert [each.tolist() for each in flat.without_first(n)] == [x[n:] for x in documents]
        assert flat.first(n).tolist() == [token for each in documents for token in each[:n]]
    assert [each.tolist() for each in flat[1:3]] == documents[1:3]


@given(texts, st.integers(0, 4), st.sampled_from([3, 2**20]))
def test_pieces_of_one_array_are_documents(documents, order, n_tokens):
    """In any order, with gaps, some of them twice; keys of one word and of several."""
    tokens = np.array([token for each in documents for token in [7, *each]], dtype=np.int64)
    ends = np.cumsum([len(each) + 1 for each in documents], dtype=np.int64)
    starts = ends - [len(each) for each in documents] if documents else ends
    counts, expected = (_core.TransitionCounts(order, n_tokens) for _ in range(2))
    counts.update(tokens, starts, ends)
    expected.update([np.array(each, dtype=np.int64) for each in documents])
    assert_array_equal(counts.arrays()[0], expected.arrays()[0])
    assert_array_equal(counts.arrays()[1], expected.arrays()[1])
    counts.update(tokens, starts[::-1].copy(), ends[::-1].copy())
    assert counts.n_observed == 2 * sum(reference.transitions(documents, order).values())


@pytest.mark.parametrize("order", [0, 1, 3])
def test_batches_of_many_documents(order):
    """Long ones and short ones and none, so that batches end anywhere."""
    rng = np.random.default_rng(order)
    lengths = rng.choice(
        [0, 1, 2, 5, 9, 2047, 2048, 2049], 900, p=[0.1] * 3 + [0.3] * 2 + [0.1 / 3] * 3
    )
    documents = [rng.integers(0, 5, n) for n in lengths]
    counts = _core.TransitionCounts(order, 5)
    counts.update(documents)
    flat = Texts.of(documents)
    again = _core.TransitionCounts(order, 5)
    again.update(flat.tokens, flat.starts, flat.ends)
    contexts, indptr, tokens, times = counts.all()
    rows = np.repeat(contexts, np.diff(indptr), axis=0).tolist()
    found = {(*c, t): n for c, t, n in zip(rows, tokens.tolist(), times.tolist(), strict=True)}
    assert found == reference.transitions(documents, order)
    for one, two in zip(counts.arrays(), again.arrays(), strict=True):
        assert_array_equal(one, two)
    wrong = [*documents, [4, 4, 5]]
    with pytest.raises(ValueError, match="token 2 of document 900 is 5; tokens are 0 to 4"):
        counts.update(wrong)
    assert counts.n_observed == sum(found.values())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, 1], [0]), TypeError, "starts come with ends"),
        (([0, 1], [0], [1, 2]), ValueError, "1 starts and 2 ends"),
        (([0, 1], [0], [3]), ValueError, "document 0 is from 0 to 3 of 2 tokens"),
        (([0, 1], [0, -1], [1, 1]), ValueError, "document 1 is from -1 to 1 of 2"),
        (([0, 1], [0, 2], [1, 1]), ValueError, "document 1 is from 2 to 1 of 2"),
        (([0, 1], [0.0], [1]), TypeError, "starts must be whole numbers"),
        (([0, 3, 0], [0, 1], [1, 3]), ValueError, "token 0 of document 1 is 3"),
    ],
)
def test_wrong_pieces_are_named(arguments, error, message):
    counts = _core.TransitionCounts(1, 3)
    with pytest.raises(error, match=message):
        counts.update(*arguments)
    if len(arguments) == 3 and "token 0" not in message:
        with pytest.raises(error, match=message):
            _core.lead_documents(*arguments, [], [])
    assert counts.n_observed == 0


@pytest.mark.parametrize("hierarchical", [False, True])
def test_one_array_with_bounds_is_its_documents(hierarchical):
    documents = [[0, 1, 2, 2], [], [1], [2, 1, 0, 0, 1]]
    tokens, bounds = np.concatenate(documents).astype(np.uint16), [0, 4, 4, 5, 10]
    matrix = mb.TransitionMatrix(2, n_tokens=3, hierarchical=hierarchical)
    expected = matrix.copy().update(documents)
    found = matrix.copy().update(tokens, bounds=bounds)
    assert_array_equal(found.rows().toarray(), expected.rows().toarray())
    assert len(found.downdate(tokens, bounds=bounds)) == 0
    part = matrix.copy().update(tokens, bounds=[5, 10])
    assert_array_equal(part.contexts(), matrix.copy().update(documents[3]).contexts())
    for wrong in ([0, 11], [3, 2], [-1, 2], [], 3):
        with pytest.raises(ValueError, match="bounds"):
            matrix.update(tokens, bounds=wrong)


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([[0, 1], [2, 3]], "token 1 of document 1 is 3; tokens are 0 to 2"),
        ([np.array([0, -1]), [2]], "token 1 of document 0 is -1; tokens are 0 to 2"),
        ([(), np.array([2**64 - 1], dtype=np.uint64)], "document 1"),
        ([[0], [2**64]], "document 1"),
        ([[0], [0.5]], "token 0 of document 1 is 0.5"),
        ([[0], ["a"]], "token 0 of document 1 is 'a'"),
        ([[0], [[1]]], r"document 1 has shape \(1, 1\)"),
        ([[0], [True, False]], "document 1 must be whole numbers"),
    ],
)
def test_what_is_no_token_is_named_by_its_document(documents, message):
    with pytest.raises(ValueError, match=message):
        mb.TransitionMatrix(1, n_tokens=3).update(documents)


def test_documents_are_joined_wherever_they_lie() -> None:
    tokens = np.arange(10)
    texts = Texts(tokens, np.array([0, 3, 5]), np.array([3, 5, 9]))
    for some in (texts, texts[1:], texts[::2], texts[:0], texts.without_first(1)):
        joined, bounds = some.joined()
        assert len(bounds) == len(some) + 1
        assert bounds[0] == 0
        assert bounds[-1] == len(joined)
        for i, each in enumerate(some):
            assert joined[bounds[i] : bounds[i + 1]].tolist() == each.tolist()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [np.int8, np.uint64, np.float16, np.float32, ">i2", ">f8"])
def test_whole_numbers_of_any_type(kind):
    tokens = np.array([0, 1, 1, 2, 0]).astype(kind)
    matrix = mb.TransitionMatrix(1, n_tokens=3).update(tokens)
    assert matrix.counts([1]).tolist() == [0, 1, 1]


@pytest.mark.parametrize("tokens", [3, None])
def test_what_is_no_sequence(tokens):
    with pytest.raises(TypeError, match=f"a document is a sequence of tokens, not {tokens}"):
        mb.TransitionMatrix(1, n_tokens=3).update(tokens)
