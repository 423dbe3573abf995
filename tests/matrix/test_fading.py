"""Counts that fade: the C core against dictionaries, closed forms and mpmath."""

from __future__ import annotations

import copy
import math
import pickle
import threading
import time
from collections import defaultdict
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import reference
import short_memory
from alarm import Stopped, alarm, needs_timers
from hypothesis import given, settings
from hypothesis import strategies as st
from insist import insist
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp

import matrixbayes as mb
from matrixbayes._core import FadingCounts

DISCOUNTS = [5e-324, 1e-300, 1e-160, 1e-9, 0.1, 0.5, 0.9, 1 - 1e-6, 1 - 2**-53, 1.0]


class Slow:
    """Rows as dictionaries, each number touched at each token of its row."""

    def __init__(self, order, discount):
        self.order, self.discount, self.rows = order, discount, defaultdict(dict)

    def update(self, documents):
        for text in documents:
            for i in range(len(text) - self.order):
                row = self.rows[tuple(text[i : i + self.order])]
                reference.fade(row, text[i + self.order], self.discount)

    def add(self, pairs):
        for (*context, token), n in pairs.items():
            if n > 0.0:
                row = self.rows[tuple(context)]
                row[token] = row.get(token, 0.0) + n

    def scale(self, factor, contexts=None):
        for context in list(self.rows) if contexts is None else set(contexts):
            row = self.rows.get(context, {})
            self.rows[context] = {t: n * factor for t, n in row.items() if n * factor >= 1e-300}

    def pairs(self):
        return {(*c, token): n for c, row in self.rows.items() for token, n in row.items()}


def pairs_of(found):
    contexts, indptr, tokens, counts = found
    each = np.repeat(contexts, np.diff(indptr), axis=0)
    return {
        (*context, token): n
        for context, token, n in zip(each.tolist(), tokens.tolist(), counts.tolist(), strict=True)
    }


def check(counts, slow, n_tokens):
    """Every answer, to 1e-12 of itself; of rows first, while updates lie in runs of their own."""
    expected = slow.pairs()
    rng = np.random.default_rng(len(expected))
    known = sorted(map(list, slow_rows(slow)))
    asked = np.array(known, dtype=np.int64).reshape(-1, slow.order)
    asked = np.concatenate([asked, rng.integers(0, n_tokens, (3, slow.order))])
    rows = [slow.rows.get(tuple(context), {}) for context in asked.tolist()]
    totals = [math.fsum(row.values()) for row in rows]
    assert_allclose(counts.totals(asked), totals, rtol=1e-12, atol=1e-299)
    starts, some, times = counts.rows(asked)
    for i, row in enumerate(rows):
        cut = slice(starts[i], starts[i + 1])
        assert some[cut].tolist() == sorted(row)
        assert_allclose(times[cut], [row[t] for t in sorted(row)], rtol=1e-12, atol=1e-299)
    wanted = rng.integers(0, n_tokens, len(asked))
    assert_allclose(
        counts.counts(asked, wanted),
        [row.get(token, 0.0) for row, token in zip(rows, wanted.tolist(), strict=True)],
        rtol=1e-12,
        atol=1e-299,
    )
    assert_allclose(counts.n_observed, math.fsum(expected.values()), rtol=1e-12, atol=1e-299)
    contexts, indptr, tokens, _ = found = counts.all()
    assert pairs_of(found) == pytest.approx(expected, rel=1e-12, abs=1e-299)
    assert contexts.tolist() == known
    assert counts.sizes() == (len(contexts), len(tokens)) == (len(known), len(expected))
    assert all((np.diff(tokens[a:b]) > 0).all() for a, b in pairwise(indptr))


def slow_rows(slow):
    return {context for context, row in slow.rows.items() if row}


# -- changes of every kind ----------------------------------------------------------------

V = 4
tokens = st.integers(0, V - 1)
texts = st.lists(st.lists(tokens, max_size=15), max_size=3)
changes = st.lists(
    st.one_of(
        st.tuples(st.just("update"), texts),
        st.tuples(st.just("add"), st.lists(st.tuples(tokens, tokens, st.floats(0, 1e6)))),
        st.tuples(st.just("merge"), texts),
        st.tuples(st.just("double"), st.none()),
        st.tuples(st.just("scale"), st.floats(0, 1)),
        st.tuples(st.just("scale some"), st.tuples(st.floats(0, 1), st.lists(tokens))),
        st.tuples(st.just("pickle"), st.none()),
        st.tuples(st.just("copy"), st.none()),
    ),
    max_size=12,
)


@settings(max_examples=150)
@given(changes, st.integers(1, 4), st.sampled_from(DISCOUNTS) | st.floats(1e-3, 1.0))
def test_changes_of_every_kind_are_those_of_dictionaries(steps, order, discount):
    counts, slow = FadingCounts(order, V, discount), Slow(order, discount)
    for what, given_ in steps:
        if what == "update":
            counts.update([np.array(text, int) for text in given_])
            slow.update(given_)
        elif what == "add":
            contexts = [[first] * order for first, _, _ in given_]
            more = [token for _, token, _ in given_], [n for _, _, n in given_]
            counts.update_rows(np.array(contexts, int).reshape(-1, order), *more)
            for context, (_, token, n) in zip(contexts, given_, strict=True):
                slow.add({(*context, token): n})
        elif what == "merge":
            other, twin = FadingCounts(order, V, 0.5), Slow(order, 0.5)
            other.update([np.array(text, int) for text in given_])
            twin.update(given_)
            counts.merge(other)
            slow.add(twin.pairs())
        elif what == "double":
            counts.merge(counts)
            slow.add(slow.pairs())
        elif what == "scale":
            counts.scale(given_)
            slow.scale(given_)
        elif what == "scale some":
            factor, firsts = given_
            contexts = [[first] * order for first in firsts]
            counts.scale(factor, np.array(contexts, int).reshape(-1, order))
            slow.scale(factor, list(map(tuple, contexts)))
        elif what == "pickle":
            counts = pickle.loads(pickle.dumps(counts))
        else:
            changed, counts = counts, copy.copy(counts)
            changed.update([0] * 20)
            changed.scale(0.0)
    check(counts, slow, V)


@pytest.mark.parametrize("order", [1, 2])
def test_a_token_may_lie_in_several_runs(order):
    """Each update is too short to be merged with the ones before it."""
    rng, v = np.random.default_rng(order), 40
    counts, slow = FadingCounts(order, v, 0.8), Slow(order, 0.8)
    for length in (3000, 300, 40, 6, 3):
        text = rng.integers(0, v, length)
        counts.update([text])
        slow.update([text.tolist()])
        check(copy.copy(counts), slow, v)
    counts.scale(0.5)
    slow.scale(0.5)
    check(counts, slow, v)


@settings(max_examples=60)
@given(
    text=st.lists(tokens, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=20),
    order=st.integers(1, 3),
    discount=st.floats(1e-6, 1.0),
    kept=st.booleans(),
)
def test_a_stream_gives_the_same_bits_wherever_it_is_cut(text, cuts, order, discount, kept):
    whole, parts = FadingCounts(order, V, discount), FadingCounts(order, V, discount)
    whole.update(text)
    for start, end in pairwise([0, *sorted(cuts), len(text)]):
        parts.update(np.array(text[max(0, start - order) : end], int)[:] if end > start else [])
        if kept:
            parts = pickle.loads(pickle.dumps(parts))
    for mine, its in zip(whole.all(), parts.all(), strict=True):
        assert_array_equal(mine, its)


@pytest.mark.parametrize(("order", "n_tokens"), [(1, 2**32), (2, 50257), (16, 2**32), (1, 1)])
def test_large_vocabularies_and_many_contexts(order, n_tokens):
    rng = np.random.default_rng(order)
    # few different tokens, from the whole range, so that contexts return
    some = rng.integers(0, n_tokens, 3)
    documents = [some[rng.integers(0, 3, n)] for n in (3000, 0, order, order + 1, 500)]
    counts, slow = FadingCounts(order, n_tokens, 0.97), Slow(order, 0.97)
    for document in documents:
        counts.update(document)
    slow.update([document.tolist() for document in documents])
    check(counts, slow, n_tokens)


def test_more_tokens_than_are_sorted_at_once():
    rng = np.random.default_rng(0)
    text = rng.integers(0, 30, 700_000)
    counts, slow = FadingCounts(1, 30, 0.999), Slow(1, 0.999)
    counts.update([text[:400_000], text[400_000:]])
    slow.update([text[:400_000].tolist(), text[400_000:].tolist()])
    check(counts, slow, 30)


# -- closed forms -----------------------------------------------------------------------------


@pytest.mark.parametrize("discount", [0.3, 0.99, 1 - 1e-3, 1 - 1e-6, 1 - 1e-9, 1 - 2**-53])
def test_a_million_tokens_of_one_row(discount):
    """Token 0 at every 7th place, 1 elsewhere: geometric series."""
    n = 1_000_000
    text = (np.arange(n + 1) % 7 != 0).astype(int)
    counts = FadingCounts(1, 2, discount)
    counts.update_rows([[0], [1]], [1, 0], [3.0, 1e6])
    counts.update(text)
    row = text[1:][text[:-1] == 1]  # what came after 1
    with mpmath.workdps(50):
        gamma, expected = mpmath.mpf(discount), [1e6 * mpmath.mpf(discount) ** len(row), 0]
        # after 1, five 1s and a 0 over and over: 1s at the ages that are not 5 modulo 6, say
        ages = len(row) - 1 - np.arange(len(row))
        for token in (0, 1):
            for first in range(6):
                own = ages[row == token]
                own = own[own % 6 == first]
                assert len(own) in (0, own.max(initial=-6) // 6 + 1)  # each of these ages once
                series = (1 - gamma ** (6 * len(own))) / (1 - gamma**6)
                expected[token] += gamma**first * series if len(own) else 0
        expected = [float(value) for value in expected]
    assert_allclose(counts.counts([[1], [1]], [0, 1]), expected, rtol=1e-12)
    assert_allclose(counts.totals([[1]]), [sum(expected)], rtol=1e-12)


def test_what_vanishes_is_none_and_large_counts_outlive_the_powers():
    counts = FadingCounts(1, 3, 1e-160)
    counts.update_rows([[0]], [2], [1e308])
    counts.update([0, 0])
    assert_allclose(counts.counts([[0], [0]], [0, 2]), [1.0, 1e148], rtol=1e-13)
    counts.update([0, 0])  # 1e-320 is no double of full precision, but 1e308 times it is 1e-12
    assert_allclose(counts.counts([[0], [0]], [0, 2]), [1.0, 1e-12], rtol=1e-13)
    counts.update([0, 1, 0, 1])
    assert counts.rows([[0]])[1].tolist() == [1]
    assert counts.sizes() == (2, 2)
    counts.update_rows([[1]], [1], [1e-305])  # given, not faded
    assert counts.counts([[1]], [1]) == 1e-305
    counts.update([1, 0])
    assert counts.counts([[1]], [1]) == 0.0


@pytest.mark.parametrize("discount", [0.9, 0.93, 0.97])
def test_whether_what_vanished_was_left_out_changes_no_bit(discount):
    whole, parts = (FadingCounts(1, 3, discount) for _ in range(2))
    text = [0] + [0, 1] * 1000 + [0, 2, 0, 0, 2, 1, 0, 2, 0, 0]
    for counts in (whole, parts):
        counts.update_rows([[0]], [2], [1e-290])
    whole.update(text)
    for start in range(len(text) - 1):  # merged, and without token 2 on the way
        parts.update(text[start : start + 2])
    for mine, its in zip(whole.arrays(), parts.arrays(), strict=True):
        assert_array_equal(mine, its)


def test_many_readings_of_old_rows_cost_nothing_and_say_the_same():
    counts = FadingCounts(1, 3, 0.5)
    counts.update([0, 1] * 5)
    before = counts.all()
    for token in (1, 2):  # a row that fades while others stand still
        counts.update([2] + [token, 2] * 30)
    contexts, _, _, _ = counts.all()
    assert contexts.tolist() == [[0], [1], [2]]
    assert_array_equal(counts.rows([[0]])[2], before[3][:1])


# -- evidence ----------------------------------------------------------------------------------


def slow_evidence(matrix, documents, weights, alpha):
    """By the chain rule, a token at a time, from dictionaries."""
    slow = Slow(matrix.order, matrix.discount)
    for context, row in zip(matrix.contexts(), matrix.rows().toarray(), strict=True):
        slow.rows[tuple(context.tolist())] = {t: n for t, n in enumerate(row) if n > 0.0}
    total = 0.0
    for text in documents:
        for i, token in enumerate(text):
            counts = np.zeros(alpha.shape[1])
            if i >= matrix.order:
                row = slow.rows[tuple(text[i - matrix.order : i])]
                counts[list(row)] = list(row.values())
            each = [reference.log_evidence(np.ones(1), a[None], counts) for a in alpha]
            r = np.exp(np.log(weights) + each - logsumexp(np.log(weights) + each))
            total += np.log(r @ ((alpha + counts)[:, token] / (alpha.sum(1) + counts.sum())))
            if i >= matrix.order:
                reference.fade(row, token, matrix.discount)
    return total


@settings(max_examples=40)
@given(
    texts=st.lists(st.lists(st.integers(0, 4), max_size=30), max_size=3),
    first=st.lists(st.integers(0, 4), max_size=30),
    k=st.integers(1, 3),
    order=st.integers(1, 2),
    discount=st.floats(1e-3, 0.999),
    seed=st.integers(0, 99),
)
def test_evidence_is_that_of_the_chain_rule(texts, first, k, order, discount, seed):
    rng = np.random.default_rng(seed)
    weights, alpha = rng.dirichlet(np.ones(k)), rng.gamma(1.0, size=(k, 5)) + 0.05
    prior = mb.DirichletMixture(weights, alpha)
    matrix = mb.TransitionMatrix(order, prior=prior, discount=discount).update(first)
    before = matrix.rows().toarray()
    expected = slow_evidence(matrix, texts, weights, alpha)
    assert_allclose(matrix.log_evidence(texts), expected, rtol=1e-11, atol=1e-11)
    assert_array_equal(matrix.rows().toarray(), before)


def test_evidence_of_more_than_is_sorted_at_once():
    """Two halves, one learnt before the other is scored, are the whole."""
    text = np.random.default_rng(0).integers(0, 20, 600_000)
    for prior in (0.5, mb.DirichletMixture([0.4, 0.6], np.vstack([np.full(20, 0.3), np.ones(20)]))):
        matrix = mb.TransitionMatrix(1, prior=prior, n_tokens=20, discount=0.9)
        cut = 100_001
        first, second = text[:cut], text[cut - 1 :]
        start = matrix.log_evidence(first)
        more = matrix.copy().update(first).log_evidence(second)
        alone = np.log(matrix.predict([])[second[0]])  # its first token has no context there
        assert_allclose(matrix.log_evidence(text), start + more - alone, rtol=1e-12)


# -- files ----------------------------------------------------------------------------


def test_rows_that_are_not_in_order_are_refused():
    counts = FadingCounts(2, 5, 0.9)
    counts.update(np.random.default_rng(0).integers(0, 5, 200))
    good = counts.arrays()
    FadingCounts.from_arrays(2, 5, 0.9, good)
    FadingCounts.from_arrays(2, 5, 0.9, counts.all())
    empty = [np.zeros((0, 2), int), [0], [], []]
    assert FadingCounts.from_arrays(2, 5, 0.9, empty).sizes() == (0, 0)
    n_rows, n_pairs = counts.sizes()
    for which, place, value, message in (
        (0, (0, 0), 5, "a context has a token that is not one"),
        (0, (1, 0), -1, "a context has a token that is not one"),
        (0, (1, 1), 0, "the contexts do not rise"),
        (1, 0, 1, "the rows are not those of all pairs"),
        (1, 1, 0, "the rows do not begin where the last ones end"),
        (1, n_rows, n_pairs + 1, "the rows do not begin where the last ones end"),
        (1, n_rows, n_pairs - 1, "the rows are not those of all pairs"),
        (2, 0, 5, "a token is not one"),
        (2, 1, 0, "the tokens of a row do not rise"),
        (3, 3, 0.0, "a count is not positive and finite"),
        (3, 3, np.nan, "a count is not positive and finite"),
        (3, n_pairs - 1, np.inf, "a count is not positive and finite"),
        (4, 2, 0.1, "a rest is not small"),
        (4, 2, np.nan, "a rest is not small"),
        (5, 2, -1, "a time is after the clock of its row"),
        (5, 2, good[6][0] + 1, "a time is after the clock of its row"),
        (6, 1, -1, "a clock is out of range"),
    ):
        wrong = [array.copy() for array in good]
        wrong[which][place] = value
        with pytest.raises(ValueError, match=message):
            FadingCounts.from_arrays(2, 5, 0.9, wrong)
    with pytest.raises(OverflowError, match="the sum of all counts is infinite"):
        FadingCounts.from_arrays(2, 5, 0.9, [*good[:3], np.full(n_pairs, 1e308)])


def test_any_number_of_a_file_may_be_wrong(tmp_path):
    matrix = mb.TransitionMatrix(1, n_tokens=4, discount=0.5, tokens=("a", "b", "c", "d"))
    matrix.update(np.random.default_rng(0).integers(0, 4, 100))
    path = tmp_path / "matrix.safetensors"
    matrix.save(path)
    assert mb.TransitionMatrix.open(path).tokens == ("a", "b", "c", "d")
    data = bytearray(path.read_bytes())
    for place in range(0, len(data), 3):
        damaged = data.copy()
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"damaged|not a|format"):
            mb.TransitionMatrix.open(path)


# -- errors --------------------------------------------------------------------------


def counted():
    counts = FadingCounts(2, 3, 0.5)
    counts.update([0, 1, 2, 0, 1, 1, 1, 2])
    return counts


WRONG = [
    (lambda c: c.update([0, 3]), ValueError, "token 1 of document 0 is 3; tokens are 0 to 2"),
    (lambda c: c.update([[0, 1, 2], [1, 2, -4]]), ValueError, "token 2 of document 1 is -4"),
    (lambda c: c.update([[0, 1, 2, 0], [9]]), ValueError, "token 0 of document 1 is 9"),
    (lambda c: c.update([0.5, 1.0]), TypeError, "must be whole numbers"),
    (lambda c: c.update_rows([[0, 7]], [0], [1]), ValueError, r"contexts\[0, 1\] is 7"),
    (lambda c: c.update_rows([[0, 1]], [3], [1]), ValueError, r"tokens\[0\] is 3"),
    (lambda c: c.update_rows([[0, 1]] * 2, [2, 2], [1, -1]), ValueError, r"counts\[1\] must be"),
    (lambda c: c.update_rows([[0, 1]], [2], [np.nan]), ValueError, r"counts\[0\] must be finite"),
    (lambda c: c.update_rows([[0, 1]], [2], [1, 1]), ValueError, r"need \(n, 2\), \(n,\) and"),
    (lambda c: c.update_rows([[0, 1]], [2, 2], [1]), ValueError, r"need \(n, 2\), \(n,\) and"),
    (lambda c: c.update_rows([[0]], [2], [1]), ValueError, r"need \(n, 2\), \(n,\) and"),
    (lambda c: c.update_rows([[0, 1]] * 2, [2, 2], [1e308] * 2), OverflowError, "infinite"),
    (lambda c: c.scale(-0.5), ValueError, "factor must be from 0 to 1"),
    (lambda c: c.scale(np.nan), ValueError, "factor must be from 0 to 1"),
    (lambda c: c.scale(0.5, [[0, 1], [0, 3]]), ValueError, r"contexts\[1, 1\] is 3"),
    (lambda c: c.rows([[0]]), ValueError, r"shape \(1, 1\); they need \(n, 2\)"),
    (lambda c: c.counts([[0, 1]], [3]), ValueError, r"tokens\[0\] is 3"),
    (lambda c: c.totals([[0, 1], [0, 3]]), ValueError, r"contexts\[1, 1\] is 3"),
    (lambda c: c.merge(FadingCounts(1, 3, 0.5)), ValueError, "these differ"),
    (lambda c: c.log_evidence([3], [1.0], [1.0], [[1.0]]), ValueError, "token 0 of document 0"),
    (lambda c: c.log_evidence([0], [1.0], [1.0], [[1.0, 2.0]]), ValueError, r"\(K, V\) or"),
    (lambda c: c.log_evidence([0], [], [], np.ones((0, 1))), ValueError, r"\(K, V\) or"),
    (lambda c: c.log_evidence([0], [1.0], [1.0, 1.0], [[1.0]]), ValueError, r"\(K, V\) or"),
    (lambda c: c.log_evidence([0], [1.0], [1.0], [[1.0], [1.0]]), ValueError, r"\(K, V\) or"),
    (lambda c: FadingCounts.from_arrays(0, 3, 0.5, c.all()), ValueError, "order is 0"),
    (lambda c: FadingCounts.from_arrays(2, 3, 0.0, c.all()), ValueError, "discount must be"),
    (lambda _: FadingCounts(0, 3, 0.5), ValueError, "order is 0; it must be from 1 to 16"),
    (lambda _: FadingCounts(1, 2**32 + 1, 0.5), ValueError, "from 1 to 2"),
    (lambda _: FadingCounts(1, 3, 1.5), ValueError, "discount must be above 0 and at most 1"),
    (lambda _: FadingCounts(1, 3, np.nan), ValueError, "discount must be above 0 and at most 1"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments_are_named_and_change_nothing(call, error, message):
    counts = counted()
    with pytest.raises(error, match=message):
        call(counts)
    for mine, its in zip(counts.arrays(), counted().arrays(), strict=True):
        assert_array_equal(mine, its)


def test_sums_that_have_faded_make_room():
    counts = FadingCounts(1, 3, 1e-9)
    for _ in range(3):
        counts.update_rows([[0]], [0], [1.5e308])
        with pytest.raises(OverflowError):
            counts.update_rows([[0]], [1], [1.5e308])
        counts.update([0, 1])
    assert np.isfinite(counts.n_observed)


@pytest.mark.no_sanitizer
@pytest.mark.parametrize(
    "what", ["update", "update_rows", "merge", "scale", "scale some", "all", "rows", "log_evidence"]
)
def test_every_allocation_may_fail(what):
    more = FadingCounts(2, 5, 0.5)
    more.update([4, 3, 2, 1, 0] * 20)
    part = np.arange(60) % 5
    for from_here_on in (False, True):
        for n in range(200):
            counts = FadingCounts(2, 5, 0.5)
            counts.update([0, 1, 2, 3, 4] * 50)
            counts.update([0, 1, 1])
            twin = copy.copy(counts)
            call = {
                "update": lambda c=counts: c.update(part),
                "update_rows": lambda c=counts: c.update_rows([[4, 4]], [4], [0.5]),
                "merge": lambda c=counts: c.merge(more),
                "scale": lambda c=counts: c.scale(0.5),
                "scale some": lambda c=counts: c.scale(0.5, [[0, 1], [4, 4]]),
                "all": counts.all,
                "rows": lambda c=counts: c.rows([[0, 1]]),
                "log_evidence": lambda c=counts: c.log_evidence(part, [1.0], [1.0], [[0.2]]),
            }[what]
            failed = False
            try:
                short_memory.call_short(call, n, 0 if from_here_on else n + 1)
            except MemoryError:
                failed = True
            if not failed:
                break
            for mine, its in zip(counts.arrays(), twin.arrays(), strict=True):
                assert_array_equal(mine, its)
        assert not failed
        assert n > 1


@needs_timers
@pytest.mark.parametrize(
    "what", ["update", "update_rows", "merge", "scale", "totals", "rows", "log_evidence"]
)
def test_signals_stop_it_and_change_nothing(what):
    rng = np.random.default_rng(0)
    text, counts = rng.integers(0, 10_000, 3_000_000), FadingCounts(1, 10_000, 0.9)
    counts.update(text[:500_000])
    other = FadingCounts(1, 10_000, 0.5)
    other.update(text)
    contexts = rng.integers(0, 10_000, (1_000_000, 1))
    before, held = counts.arrays(), other.n_observed
    prior = np.full(2, 0.5), np.full(2, 1e4), np.ones((2, 10_000))
    call = {
        "update": lambda: counts.update(text),
        "update_rows": lambda: counts.update_rows(contexts, contexts[:, 0], np.ones(10**6)),
        "merge": lambda: counts.merge(other),
        "scale": lambda: other.scale(0.5),
        "totals": lambda: other.totals(contexts),
        "rows": lambda: other.rows(contexts),
        "log_evidence": lambda: counts.log_evidence(text, *prior),
    }[what]
    with pytest.raises(Stopped), alarm(0.01):  # noqa: PT012
        call()
        time.sleep(1.0)
    for mine, its in zip(counts.arrays(), before, strict=True):
        assert_array_equal(mine, its)
    assert other.n_observed == held


def test_a_clash_of_threads_is_an_error_and_readers_agree():
    rng = np.random.default_rng(0)
    text, counts = rng.integers(0, 1000, 1_000_000), FadingCounts(1, 1000, 0.9)
    counts.update(text[:1000])
    other = counts.copy()
    clashes, begun = [], threading.Event()

    def change():
        begun.set()
        insist(lambda: other.update(text))

    thread = threading.Thread(target=change)
    thread.start()
    begun.wait()
    while thread.is_alive():
        try:
            other.sizes()
            other.update([0, 1])
        except RuntimeError as error:
            clashes.append(str(error))
    thread.join()
    assert any("another thread is changing these counts" in each for each in clashes)
    other.update(text[:5])  # runs that nobody has merged
    other = pickle.loads(pickle.dumps(other))
    found = []
    threads = [threading.Thread(target=lambda: found.append(other.all())) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for one in found[1:]:
        for mine, its in zip(one, found[0], strict=True):
            assert_array_equal(mine, its)
    assert len(found) == 4
