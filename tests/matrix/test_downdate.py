"""Counts that are taken away, multiplied and shortened, against dictionaries; laws and failures."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import reference
from alarm import Stopped, alarm, needs_timers
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from matrixbayes._core import TransitionCounts

documents = st.lists(st.lists(st.integers(0, 2), max_size=12), max_size=5)
SIZES = [(0, 9), (1, 50257), (1, 2**32), (2, 300), (3, 50257), (5, 2**21 + 1), (16, 2**32)]


def counted(order, n_tokens, *texts):
    counts = TransitionCounts(order, n_tokens)
    counts.update([np.asarray(text, dtype=np.int64) for text in texts])
    return counts


def as_dictionary(counts):
    contexts, indptr, tokens, times = counts.all()
    rows = np.repeat(contexts, np.diff(indptr), axis=0).tolist()
    pairs = zip(rows, tokens.tolist(), times.tolist(), strict=True)
    found = {(*context, token): n for context, token, n in pairs}
    assert counts.n_observed == sum(found.values())
    return found


def slow_types(found, known):
    """How many pairs that are not known have each end."""
    return Counter(key[1:] for key in found if key not in known)


def assert_same_arrays(one, other):
    for left, right in zip(one.arrays(), other.arrays(), strict=True):
        assert_array_equal(left, right)


# -- laws --------------------------------------------------------------------------


@given(documents, documents, st.integers(0, 4))
def test_what_was_counted_is_taken_away(first, second, order):
    counts = counted(order, 3, *first)
    counts.update([[], *second])
    counts.subtract(counted(order, 3, *second))
    assert as_dictionary(counts) == reference.transitions(first, order)
    assert_same_arrays(counts, counted(order, 3, *first))


@given(documents, documents, documents, st.integers(0, 3))
def test_nothing_falls_below_zero(first, second, third, order):
    """What a dictionary would refuse is refused, and a pair is named."""
    counts, less = counted(order, 3, *first, *second), counted(order, 3, *second, *third)
    have = Counter(reference.transitions(first + second, order))
    want = Counter(reference.transitions(second + third, order))
    left = have.copy()
    left.subtract(want)
    if min(left.values(), default=0) >= 0:
        counts.subtract(less)
        assert as_dictionary(counts) == {key: n for key, n in left.items() if n}
        return
    with pytest.raises(ValueError, match="what was never counted cannot be unlearnt") as caught:
        counts.subtract(less)
    said = {
        f"the count of token {key[-1]} after {list(key[:-1])} is {have[key]}, from which {n} cannot"
        for key, n in want.items()
        if n > have[key]
    }
    assert str(caught.value).partition(" be taken")[0] in said
    assert as_dictionary(counts) == have
    assert as_dictionary(less) == want


@given(documents, st.integers(0, 5), st.integers(0, 3))
def test_a_multiple_is_a_sum(texts, factor, order):
    counts = counted(order, 3, *texts)
    counts.update([[], *texts[:1]])
    expected = reference.transitions(texts + texts[:1], order)
    counts.scale(factor)
    assert as_dictionary(counts) == {key: factor * n for key, n in expected.items() if factor}


@given(documents, documents, st.integers(1, 4))
def test_types_of_shorter_contexts(first, second, order):
    fresh, known = counted(order, 3, *first), counted(order, 3, *second)
    expected = slow_types(reference.transitions(first, order), reference.transitions(second, order))
    assert as_dictionary(fresh.shorten(known)) == expected


@pytest.mark.parametrize(("order", "n_tokens"), SIZES)
def test_any_order_and_vocabulary(order, n_tokens):
    """Tokens of the whole range, several runs, counts above 32 bits."""
    rng = np.random.default_rng(order)
    some = np.unique(np.append(rng.integers(0, n_tokens, 6), [0, n_tokens - 1]))
    texts = [some[rng.integers(0, len(some), n)] for n in (3000, 400, 90)]
    counts, less = TransitionCounts(order, n_tokens), counted(order, n_tokens, texts[1])
    for text in texts:
        counts.update(text)
    expected = Counter(reference.transitions(texts, order))
    for key in rng.choice(sorted(expected), 9):
        for part, n in ((counts, 2**33 + 5), (less, 2**33)):
            part.update_rows(key[np.newaxis, :-1], key[-1:], [n])
        expected[tuple(key.tolist())] += 5
    expected.subtract(reference.transitions(texts[1:2], order))
    whole = counts.copy()
    counts.subtract(less)
    left = {key: n for key, n in expected.items() if n}
    assert as_dictionary(counts) == left
    rebuilt = TransitionCounts(order, n_tokens)
    keys = np.array(sorted(left))
    rebuilt.update_rows(keys[:, :-1], keys[:, -1], [left[tuple(key)] for key in keys.tolist()])
    assert_same_arrays(counts, rebuilt)
    if order > 0:
        known = counted(order, n_tokens, texts[0])
        expected = slow_types(as_dictionary(whole), as_dictionary(known))
        assert as_dictionary(whole.shorten(known)) == expected
        assert whole.shorten(known).order == order - 1
    counts.merge(less)
    assert_same_arrays(counts, whole)
    counts.scale(2**20)
    counts.subtract(counts)
    assert as_dictionary(counts) == {}
    assert counts.n_observed == 0
    assert_same_arrays(counts, TransitionCounts(order, n_tokens))


def test_multiples_are_exact_up_to_64_bits():
    counts = TransitionCounts(1, 3)
    counts.update_rows([[0], [1]], [1, 2], [3, 2**40])
    counts.scale(2**23)
    assert as_dictionary(counts) == {(0, 1): 3 * 2**23, (1, 2): 2**63}
    with pytest.raises(OverflowError, match="2\\^64 - 1 observations"):
        counts.scale(2)
    assert as_dictionary(counts) == {(0, 1): 3 * 2**23, (1, 2): 2**63}
    empty = TransitionCounts(1, 3)
    empty.scale(2**64 - 1)
    assert as_dictionary(empty) == {}


def test_a_copy_and_a_borrowed_run_stay_as_they_were():
    counts = counted(2, 9, [0, 1, 2, 3] * 30)
    expected, arrays = as_dictionary(counts), [array.copy() for array in counts.arrays()]
    borrowed = TransitionCounts.from_arrays(2, 9, arrays)
    for each in (counts, borrowed):
        kept = each.copy()
        each.subtract(counted(2, 9, [1, 2, 3, 0, 1]))
        assert as_dictionary(kept) == expected != as_dictionary(each)


# -- failures ------------------------------------------------------------------------

WRONG = [
    (lambda c: c.subtract(TransitionCounts(1, 3)), ValueError, "these differ"),
    (lambda c: c.subtract(TransitionCounts(2, 4)), ValueError, "these differ"),
    (lambda c: c.subtract(3), TypeError, "with TransitionCounts, not"),
    (lambda c: c.subtract(counted(2, 3, [2, 2, 2])), ValueError, r"token 2 after \[2, 2\] is 0"),
    (lambda c: c.scale(-1), OverflowError, "negative"),
    (lambda c: c.scale(2**64), OverflowError, "int"),
    (lambda c: c.scale(1.0), TypeError, "int"),
    (lambda c: c.shorten(TransitionCounts(1, 3)), ValueError, "these differ"),
    (lambda c: c.shorten([1]), TypeError, "with TransitionCounts, not"),
    (lambda _: TransitionCounts(0, 3).shorten(TransitionCounts(0, 3)), ValueError, "no token"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments_change_nothing(call, error, message):
    counts = counted(2, 3, [0, 1, 2, 0, 1])
    before = as_dictionary(counts)
    with pytest.raises(error, match=message):
        call(counts)
    assert as_dictionary(counts) == before


@needs_timers
@pytest.mark.parametrize("what", ["subtract", "scale", "shorten"])
def test_signals_stop_it_and_change_nothing(what):
    tokens = np.random.default_rng(0).integers(0, 50_000, 2_000_000)
    counts = counted(2, 50_000, tokens)
    few, none = counted(2, 50_000, tokens[:9]), TransitionCounts(2, 50_000)
    calls = {
        "subtract": lambda c: c.subtract(few),
        "scale": lambda c: c.scale(7),
        "shorten": lambda c: c.shorten(none),
    }

    kept, stopped = [], False
    for _ in range(50):  # it may be done before the signal comes
        mine = counts.copy()
        kept.clear()
        try:
            with alarm(0.001):
                kept.extend(map(calls[what], [mine]))
        except Stopped:
            stopped = not kept
        if stopped:
            break
    assert stopped
    assert_same_arrays(mine, counts)
