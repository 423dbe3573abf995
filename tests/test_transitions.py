"""Transition counts: against a dictionary, at every order; laws, failures, threads."""

from __future__ import annotations

import signal
import threading
import tracemalloc
from collections import Counter
from itertools import starmap

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from matrixbayes._core import TransitionCounts

VOCABULARIES = [1, 2, 3, 255, 256, 257, 50257, 2**21 + 1, 2**31, 2**32]


def counted(order, n_tokens, *documents):
    counts = TransitionCounts(order, n_tokens)
    counts.update([np.asarray(document, dtype=np.int64) for document in documents])
    return counts


def as_dictionary(counts):
    contexts, indptr, tokens, times = counts.all()
    rows = np.repeat(contexts, np.diff(indptr), axis=0).tolist()
    pairs = zip(rows, tokens.tolist(), times.tolist(), strict=True)
    found = {(*context, token): n for context, token, n in pairs}
    assert len(found) == len(tokens)
    assert counts.sizes() == (len(contexts), len(tokens))
    assert len({tuple(context) for context in contexts.tolist()}) == len(contexts)
    assert counts.n_observed == sum(found.values())
    return found


def as_totals(found):
    totals = Counter()
    for key, n in found.items():
        totals[key[:-1]] += n
    return totals


def check_answers(counts, expected):
    """Every question about what a dictionary holds, before runs are merged to one."""
    keys = np.array(sorted(expected))
    asked = counts.counts(keys[:, :-1], keys[:, -1])
    assert asked.tolist() == [expected[tuple(key)] for key in keys.tolist()]
    totals = as_totals(expected)
    contexts = np.array(list(totals), dtype=np.int64).reshape(len(totals), -1)
    assert counts.totals(contexts).tolist() == list(totals.values())
    indptr, tokens, times = counts.rows(contexts)
    for i, context in enumerate(totals):
        cut = slice(indptr[i], indptr[i + 1])
        assert (np.diff(tokens[cut].astype(int)) > 0).all()
        row = zip(tokens[cut].tolist(), times[cut].tolist(), strict=True)
        assert {(*context, token): n for token, n in row}.items() <= expected.items()
        assert times[cut].sum() == totals[context]
    assert indptr[-1] == len(keys)


def stream(rng, n, n_tokens):
    """Few tokens most of the time, from the whole range of the vocabulary."""
    some = np.unique(np.append(rng.integers(0, n_tokens, 12), [0, n_tokens - 1]))
    return some[rng.integers(0, len(some), n) * rng.integers(0, 2, n)]


# -- against the dictionary ------------------------------------------------------


@pytest.mark.parametrize("order", range(17))
@pytest.mark.parametrize("n_tokens", VOCABULARIES)
def test_every_order_and_vocabulary(order, n_tokens):
    rng = np.random.default_rng(order)
    documents = [stream(rng, n, n_tokens) for n in (700, 0, order, order + 1, 300)]
    expected = reference.transitions(documents, order)
    counts = counted(order, n_tokens, *documents)
    assert as_dictionary(counts) == expected
    assert as_dictionary(TransitionCounts(order, n_tokens)) == {}
    check_answers(counts, expected)
    unseen = rng.choice(n_tokens, (5, order))
    totals = as_totals(expected)
    assert counts.totals(unseen).tolist() == [totals[tuple(c)] for c in unseen.tolist()]
    assert TransitionCounts(order, n_tokens).totals(unseen).tolist() == [0] * 5


@pytest.mark.parametrize(
    ("order", "n_tokens"), [(0, 50257), (1, 50257), (2, 300), (3, 65536), (5, 9), (7, 999)]
)
def test_streams_that_fill_many_buckets(order, n_tokens):
    rng = np.random.default_rng(0)
    tokens = np.minimum(rng.zipf(1.2, 300_000), n_tokens) - 1
    counts = counted(order, n_tokens, tokens)
    expected = reference.transitions([tokens], order)
    check_answers(counts, expected)
    assert as_dictionary(counts) == expected


@pytest.mark.parametrize("n_tokens", [1, 2, 2**32])
def test_a_constant_stream(n_tokens):
    for order in (0, 1, 3, 16):
        counts = counted(order, n_tokens, np.full(100_000, n_tokens - 1))
        assert as_dictionary(counts) == {(n_tokens - 1,) * (order + 1): 100_000 - order}


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, ">i2", np.uint16, "<u4", np.int64, np.uint64])
def test_any_whole_numbers_in_any_layout(dtype):
    tokens = np.array([3, 1, 2, 1, 2, 0, 1, 2], dtype=dtype)
    expected = reference.transitions([tokens], 2)
    for form in (tokens, np.repeat(tokens, 2)[::2], tokens.tolist(), [tokens], list(tokens)):
        counts = TransitionCounts(2, 4)
        counts.update(form)
        assert as_dictionary(counts) == expected


# -- laws --------------------------------------------------------------------------

documents = st.lists(st.lists(st.integers(0, 2), max_size=12), max_size=5)


@given(documents, st.integers(1, 4), st.randoms())
def test_the_order_of_documents_does_not_matter(texts, order, random):
    shuffled = list(texts)
    random.shuffle(shuffled)
    expected = reference.transitions(texts, order)
    assert as_dictionary(counted(order, 3, *texts)) == expected
    assert as_dictionary(counted(order, 3, *shuffled)) == expected


@given(documents, documents, documents, st.integers(1, 3))
def test_merging_commutes_and_associates(a, b, c, order):
    left, right, other = counted(order, 3, *a), counted(order, 3, *b), counted(order, 3, *c)
    left.merge(other)
    left.merge(right)
    right.merge(counted(order, 3, *c))
    right.merge(counted(order, 3, *a))
    expected = reference.transitions(a + b + c, order)
    assert as_dictionary(left) == expected
    assert as_dictionary(right) == expected


@given(st.lists(st.integers(0, 2), max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_a_stream_may_be_cut_anywhere(tokens, cuts):
    for order in (1, 3, 7):
        counts = TransitionCounts(order, 3)
        for part in np.split(np.array(tokens, dtype=int), sorted(cuts)):
            counts.update(part, continued=True)
        assert as_dictionary(counts) == reference.transitions([tokens], order)


def test_a_new_document_continues_nothing():
    counts = counted(1, 3, [0, 1])
    counts.update(np.array([2, 2]))
    counts.update([np.array([0]), np.array([1, 0])], continued=True)
    counts.update([], continued=True)
    assert as_dictionary(counts) == {(0, 1): 1, (2, 2): 1, (2, 0): 1, (1, 0): 1}


def test_many_small_updates_are_one_large_one():
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 40, n) for n in rng.integers(0, 60, 200)]
    counts = TransitionCounts(2, 40)
    for part in parts:
        counts.update(part)
    expected = reference.transitions(parts, 2)
    check_answers(counts, expected)
    assert as_dictionary(counts) == expected


def test_contexts_that_share_their_mixed_bits_stay_apart():
    """Twice as many contexts as the index tells apart, and all of a small vocabulary."""
    n = 512
    contexts = np.stack(np.meshgrid(np.arange(n), np.arange(n)), axis=-1).reshape(-1, 2)
    counts = TransitionCounts(2, n)
    counts.update_rows(contexts, contexts[:, 0], np.arange(1, n * n + 1))
    assert counts.sizes() == (n * n, n * n)
    assert_array_equal(counts.counts(contexts, contexts[:, 0]), np.arange(1, n * n + 1))
    assert not counts.counts(contexts, (contexts[:, 0] + 1) % n).any()


@pytest.mark.parametrize("order", range(17))
@pytest.mark.parametrize("n_rows", [1, 3])
def test_totals_of_long_rows_in_several_runs(order, n_rows):
    """Rows that begin and end anywhere in the blocks of running sums; some counts are large."""
    rng = np.random.default_rng(order)
    counts, expected = TransitionCounts(order, 5000), Counter()
    for n in (1000, 300, 64, 5):
        contexts = np.repeat(rng.integers(0, n_rows, (n, 1)), order, axis=1)
        tokens = rng.integers(0, 5000, n)
        times = rng.choice([1, 7, 2**32 - 2, 2**32 - 1, 2**45], n, p=[0.5, 0.3, 0.1, 0.05, 0.05])
        counts.update_rows(contexts, tokens, times)
        for context, token, many in zip(contexts.tolist(), tokens.tolist(), times, strict=True):
            expected[(*context, token)] += int(many)
        check_answers(counts, expected)
    assert as_dictionary(counts) == expected
    check_answers(counts, expected)


@pytest.mark.parametrize("n", [63, 64, 65, 127, 128, 129, 640, 641])
def test_totals_at_the_ends_of_blocks(n):
    for start in (0, 1, n - 1):
        counts = TransitionCounts(1, 1000)
        counts.update_rows(np.zeros((start, 1)).astype(int), np.arange(start), np.ones(start, int))
        counts.update_rows(np.full((n, 1), 7), np.arange(n), np.arange(1, n + 1))
        counts.sizes()
        assert counts.totals([[0], [7], [8]]).tolist() == [start, n * (n + 1) // 2, 0]


# -- copies ------------------------------------------------------------------------------


@given(documents, documents, documents, st.integers(0, 3))
def test_copies_go_their_own_ways(first, second, third, order):
    counts = TransitionCounts(order, 3)
    for text in first:
        counts.update(text, continued=True)
    joined = [[token for text in first for token in text]]
    copy = counts.copy()
    copy.update([[], *second])
    counts.update([[], *third])
    counts.merge(copy)
    copy.merge(copy.copy())
    again = TransitionCounts(order, 3)
    again.merge(copy)
    expected = reference.transitions(2 * (joined + second), order)
    assert as_dictionary(again) == expected
    assert as_dictionary(copy) == expected
    assert as_dictionary(counts) == reference.transitions(2 * joined + third + second, order)


def test_a_copy_continues_the_same_stream_and_costs_nothing():
    tokens = np.random.default_rng(0).integers(0, 300, 200_000)
    counts = counted(3, 300, tokens)
    before = tracemalloc_peak(lambda: None)
    copies = []
    assert tracemalloc_peak(lambda: copies.extend(counts.copy() for _ in range(50))) < before + 1e5
    merged = TransitionCounts(3, 300)
    assert tracemalloc_peak(lambda: merged.merge(counts)) < before + 1e5
    more = tokens[:10_000]
    counts.update(tokens[:5])  # goes its own way, too
    copies[7].update(more, continued=True)
    expected = reference.transitions([np.append(tokens, more)], 3)
    assert as_dictionary(copies[7]) == expected
    expected = reference.transitions([tokens], 3)
    assert as_dictionary(copies[8]) == as_dictionary(merged) == expected


def tracemalloc_peak(call):
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


# -- large counts --------------------------------------------------------------------


def test_counts_of_64_bits_are_exact():
    big = [2**32 - 2, 2**32 - 1, 2**32, 2**63 - 2**40]
    counts = TransitionCounts(1, 8)
    counts.update_rows([[0], [1], [2], [3]], [0, 1, 2, 3], big)
    assert_array_equal(counts.counts([[0], [1], [2], [3]], [0, 1, 2, 3]), big)
    counts.merge(counts)
    expected = {(i, i): 2 * n for i, n in enumerate(big)}
    assert as_dictionary(counts) == expected
    with pytest.raises(OverflowError, match="2\\^64 - 1 observations"):
        counts.merge(counts)
    with pytest.raises(OverflowError):
        counts.update_rows([[5], [6]], [0, 0], [1, 2**63 - 1])
    assert as_dictionary(counts) == expected
    counts.update_rows([[3]], [3], [2**64 - 1 - counts.n_observed])
    assert counts.n_observed == 2**64 - 1
    with pytest.raises(OverflowError):
        counts.update(np.array([0, 1]))


def test_large_counts_of_one_side_or_of_both_merge():
    sides = [
        {0: 2**40, 1: 2**32 - 1, 2: 2**32 - 2, 3: 2**31, 7: 5},
        {2: 1, 3: 2**31 - 1, 4: 1, 5: 2**32 - 1, 6: 2**50, 7: 2**33},
    ]
    counts = []
    for side in sides:
        counts.append(TransitionCounts(1, 8))
        tokens = np.array(list(side))
        counts[-1].update_rows(tokens[:, np.newaxis], tokens, list(side.values()))
    counts[0].merge(counts[1])
    expected = {(t, t): sides[0].get(t, 0) + sides[1].get(t, 0) for t in range(8)}
    assert as_dictionary(counts[0]) == expected


def test_a_pair_costs_at_most_14_bytes():
    rng = np.random.default_rng(0)
    for order in (1, 2):
        counts = counted(order, 50257, rng.integers(0, 50257, 400_000))
        assert counts.nbytes <= 14 * counts.sizes()[1]


# -- failures leave everything as it was -----------------------------------------------

WRONG = [
    (lambda c: c.update(np.array([0, 3])), ValueError, "token 1 of document 0 is 3; tokens are 0"),
    (lambda c: c.update([np.zeros(9, int), np.array([1, -4])]), ValueError, "document 1 is -4"),
    (lambda c: c.update(np.array([0.0, 1.0])), TypeError, "tokens must be whole numbers"),
    (lambda c: c.update(np.zeros((2, 2), int)), ValueError, "tokens must have 1 axes, not 2"),
    (lambda c: c.update_rows([[0, 7]], [0], [1]), ValueError, r"contexts\[0, 1\] is 7"),
    (lambda c: c.update_rows([[0, 1]], [3], [1]), ValueError, r"tokens\[0\] is 3"),
    (lambda c: c.update_rows([[0, 1]], [2], [-1]), ValueError, r"counts\[0\] is -1"),
    (lambda c: c.update_rows([[0, 1]], [2], [1, 1]), ValueError, "1 tokens and 2 counts"),
    (lambda c: c.rows([[0]]), ValueError, r"shape \(1, 1\); they need \(n, 2\)"),
    (lambda c: c.counts([[0, 1]], [0, 1]), ValueError, "1 contexts and 2 tokens"),
    (lambda c: c.merge(TransitionCounts(1, 3)), ValueError, "these differ"),
    (lambda c: c.totals([[0]]), ValueError, r"shape \(1, 1\); they need \(n, 2\)"),
    (lambda c: c.totals([[0, 1], [0, 3]]), ValueError, r"contexts\[1, 1\] is 3"),
    (lambda c: TransitionCounts(-1, 3), ValueError, "order is -1; it must be from 0 to 16"),
    (lambda c: TransitionCounts(17, 3), ValueError, "order is 17; it must be from 0 to 16"),
    (lambda c: TransitionCounts(2, 2**32 + 1), ValueError, "from 1 to 2"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments_are_named_and_change_nothing(call, error, message):
    counts = counted(2, 3, [0, 1, 2, 0, 1])
    before = as_dictionary(counts)
    with pytest.raises(error, match=message):
        call(counts)
    assert as_dictionary(counts) == before
    counts.update(np.array([2]), continued=True)  # the latest tokens are as they were, too
    assert counts.counts([[0, 1]], [2]) == 2


@pytest.mark.no_sanitizer
@pytest.mark.parametrize(
    "what", ["update", "update_rows", "merge", "all", "rows", "counts", "totals", "copy"]
)
def test_every_allocation_may_fail(what):
    _testcapi = pytest.importorskip("_testcapi")
    more = counted(2, 5, [4, 3, 2, 1, 0] * 20)
    part = np.arange(60) % 5
    for from_here_on in (False, True):
        for n in range(200):
            counts = counted(2, 5, [0, 1, 2, 3, 4] * 50)
            counts.update(np.array([0, 1, 1]))
            expected = as_dictionary(counted(2, 5, [0, 1, 2, 3, 4] * 50, [0, 1, 1]))
            calls = {
                "update": lambda c=counts: c.update(part),
                "update_rows": lambda c=counts: c.update_rows([[4, 4]], [4], [2**40]),
                "merge": lambda c=counts: c.merge(more),
                "all": counts.all,
                "rows": lambda c=counts: c.rows([[0, 1]]),
                "counts": lambda c=counts: c.counts([[0, 1]], [1]),
                "totals": lambda c=counts: c.totals([[0, 1]]),
                "copy": counts.copy,
            }
            call, failed = calls[what], False
            _testcapi.set_nomemory(n, 0 if from_here_on else n + 1)
            try:
                call()
            except MemoryError:
                failed = True
            finally:
                _testcapi.remove_mem_hooks()
            if not failed:
                break
            assert as_dictionary(counts) == expected
        assert not failed
        assert n > 1


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
@pytest.mark.parametrize("what", ["update", "update_rows", "merge", "all"])
def test_signals_stop_it_and_change_nothing(what):
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 50_000, 2_000_000)
    few = counted(2, 50_000, [0, 1, 2, 3])
    counts, many = counted(2, 50_000, [0, 1, 2, 3]), counted(2, 50_000, tokens)
    if what == "all":
        counts.merge(many)
        counts.update(tokens[:1000])
    before = counts.n_observed

    class Stopped(Exception):
        pass

    def stop(*_):
        signal.setitimer(signal.ITIMER_REAL, 0.0)  # once is enough
        raise Stopped

    calls = {
        "update": (counts.update, tokens),
        "update_rows": (counts.update_rows, tokens.reshape(-1, 2), tokens[::2], tokens[1::2]),
        "merge": (counts.merge, many),
        "all": (counts.all,),
    }
    call, *arguments = calls[what]
    kept = []
    old = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.004)
        # Called from C: a signal that waits for the end of the call finds its result kept.
        with pytest.raises(Stopped):
            kept.extend(starmap(call, [arguments]))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, old)
    assert not kept
    assert counts.n_observed == before
    if what != "all":
        assert as_dictionary(counts) == as_dictionary(few)


# -- threads ---------------------------------------------------------------------------


def test_a_clash_of_threads_is_an_error():
    tokens = np.random.default_rng(0).integers(0, 50_000, 3_000_000)
    counts = TransitionCounts(3, 50_000)
    writer = threading.Thread(target=counts.update, args=(tokens,))
    clashes = set()
    writer.start()
    while writer.is_alive():
        try:
            counts.counts([[0, 0, 0]], [0])
            counts.update(np.array([0]))
        except RuntimeError as error:
            clashes.add(str(error).partition(";")[0])
    writer.join()
    assert clashes == {"another thread is changing these counts"}
    assert counts.n_observed == len(tokens) - 3


def test_parts_counted_in_threads_merge():
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 100, 50_000) for _ in range(4)]
    counts = [TransitionCounts(2, 100) for _ in parts]
    threads = [
        threading.Thread(target=c.update, args=(part,))
        for c, part in zip(counts, parts, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in counts[1:]:
        counts[0].merge(other)
    assert as_dictionary(counts[0]) == reference.transitions(parts, 2)
