"""Transition counts: against a dictionary, at every order; laws, failures, threads."""

from __future__ import annotations

import copy
import itertools
import pickle
import threading
import time
import tracemalloc
import weakref
from collections import Counter
from contextlib import suppress
from itertools import starmap

import numpy as np
import pytest
import reference
import short_memory
from alarm import Stopped, alarm, needs_timers
from hypothesis import given
from hypothesis import strategies as st
from insist import insist
from numpy.testing import assert_array_equal

from matrixbayes._core import TransitionCounts

VOCABULARIES = [1, 2, 3, 255, 256, 257, 50257, 2**21 + 1, 2**31, 2**32]


def counted(order, n_tokens, *documents):
    counts = TransitionCounts(order, n_tokens)
    counts.update([np.asarray(document, dtype=np.int64) for document in documents])
    return counts


def dictionary(contexts, indptr, tokens, times):
    """Rows by (*context, token), each there once."""
    each = np.repeat(contexts, np.diff(indptr), axis=0).tolist()
    pairs = zip(each, tokens.tolist(), times.tolist(), strict=True)
    found = {(*context, token): n for context, token, n in pairs}
    assert len(found) == len(tokens)
    return found


def as_dictionary(counts):
    contexts, indptr, tokens, times = counts.all()
    found = dictionary(contexts, indptr, tokens, times)
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
    rises = np.diff(tokens.astype(np.int64)) > 0
    rises[indptr[1:-1] - 1] = True  # or begins a row
    assert rises.all()
    assert dictionary(contexts, indptr, tokens, times) == expected


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
@pytest.mark.slow
@pytest.mark.in_c
def test_streams_that_fill_many_buckets(order, n_tokens):
    rng = np.random.default_rng(0)
    tokens = np.minimum(rng.zipf(1.2, 100_000), n_tokens) - 1
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
        counts.update(text)
    joined = first
    twin = counts.copy()
    twin.update([[], *second])
    counts.update([[], *third])
    counts.merge(twin)
    twin.merge(twin.copy())
    joint = TransitionCounts(order, 3)
    joint.merge(twin)
    expected = reference.transitions(2 * (joined + second), order)
    assert as_dictionary(joint) == expected
    assert as_dictionary(twin) == expected
    assert as_dictionary(counts) == reference.transitions(2 * joined + third + second, order)


@pytest.mark.slow
@pytest.mark.in_c
def test_a_copy_continues_the_same_stream_and_costs_nothing():
    tokens = np.random.default_rng(0).integers(0, 300, 60_000)
    counts = counted(3, 300, tokens)
    before = tracemalloc_peak(lambda: None)
    copies = []
    assert tracemalloc_peak(lambda: copies.extend(counts.copy() for _ in range(50))) < before + 1e5
    merged = TransitionCounts(3, 300)
    assert tracemalloc_peak(lambda: merged.merge(counts)) < before + 1e5
    more = tokens[:10_000]
    counts.update(tokens[:5])  # goes its own way, too
    copies[7].update(more)
    expected = reference.transitions([tokens, more], 3)
    assert as_dictionary(copies[7]) == expected
    expected = reference.transitions([tokens], 3)
    assert as_dictionary(copies[8]) == as_dictionary(merged) == expected


def tracemalloc_peak(call):
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


# -- arrays and files --------------------------------------------------------------------

NAMES = ("keys", "counts", "large_at", "large", "index", "sums")


def with_large_counts(rng, order, n_tokens, n=700):
    """Counts and the dictionary of them: long rows, several runs, large counts, a stream."""
    tokens = stream(rng, n, n_tokens)
    counts = counted(order, n_tokens, tokens, tokens[: n // 2])
    expected = Counter(reference.transitions([tokens, tokens[: n // 2]], order))
    for key in rng.choice(sorted(expected), 20):
        counts.update_rows(key[np.newaxis, :-1], key[-1:], [2**32 - 1 + int(key[0]) % 3])
        expected[tuple(key.tolist())] += 2**32 - 1 + int(key[0]) % 3
    return counts, expected


def again(counts, arrays=None, **options):
    arrays = counts.arrays() if arrays is None else arrays
    return TransitionCounts.from_arrays(counts.order, counts.n_tokens, arrays, **options)


def assert_same_arrays(counts, other):
    for name, one, two in zip(NAMES, counts.arrays(), other.arrays(), strict=True):
        assert_array_equal(one, two, err_msg=name)


@pytest.mark.parametrize("order", range(17))
@pytest.mark.parametrize("n_tokens", [1, 3, 50257, 2**32])
def test_a_round_trip_through_a_file(order, n_tokens, tmp_path):
    rng = np.random.default_rng(order)
    counts, expected = with_large_counts(rng, order, n_tokens)
    mapped = []
    for name, array in zip(NAMES, counts.arrays(), strict=True):
        np.save(tmp_path / f"{name}.npy", array)
        kind = {"mmap_mode": "r"} if array.size else {}
        mapped.append(np.load(tmp_path / f"{name}.npy", **kind))
    for verify in (True, False):
        loaded = again(counts, mapped, verify=verify)
        assert loaded.n_observed == counts.n_observed
        assert loaded.nbytes == counts.nbytes
        check_answers(loaded, expected)
        assert as_dictionary(loaded) == expected
        assert_same_arrays(loaded, counts)
        both = loaded.copy()
        both.merge(loaded)
        more = stream(rng, 30, n_tokens)
        for grown in (loaded, twin := counts.copy()):
            grown.update(more)
        assert as_dictionary(loaded) == as_dictionary(twin)
        assert as_dictionary(both) == {key: 2 * n for key, n in expected.items()}


@pytest.mark.parametrize("order", [0, 1, 3, 16])
def test_pickles_and_copies(order):
    counts, expected = with_large_counts(np.random.default_rng(1), order, 50257)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        other = pickle.loads(pickle.dumps(counts, protocol))
        assert as_dictionary(other) == expected
        assert (other.nbytes, other.order, other.n_tokens) == (counts.nbytes, order, 50257)
    for other in (copy.copy(counts), copy.deepcopy(counts)):
        assert_same_arrays(other, counts)
        other.update([3] * 20)
        assert as_dictionary(counts) == expected
        assert other.n_observed == counts.n_observed + 20 - order
    empty = pickle.loads(pickle.dumps(TransitionCounts(order, 9)))
    assert as_dictionary(empty) == {}


def test_pickles_whose_buffers_lie_anywhere():
    """As those that travel apart from the pickle do."""
    counts, expected = with_large_counts(np.random.default_rng(1), 2, 50257)
    buffers = []
    data = pickle.dumps(counts, 5, buffer_callback=buffers.append)
    moved = []
    for buffer in buffers:
        raw = buffer.raw()
        room = bytearray(len(raw) + 1)
        room[1:] = raw
        moved.append(memoryview(room)[1:])
    assert len(moved) > 2
    assert as_dictionary(pickle.loads(data, buffers=moved)) == expected


def test_arrays_are_views_that_outlive_their_counts():
    counts, _ = with_large_counts(np.random.default_rng(1), 2, 999, n=100_000)
    counts.sizes()
    before = tracemalloc_peak(lambda: None)
    assert tracemalloc_peak(counts.arrays) < before + 1e4
    arrays = counts.arrays()
    for array in arrays:
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
    kept = [array.copy() for array in arrays]
    counts.update([1, 2, 3, 4])
    counts.sizes()
    del counts
    for array, other in zip(arrays, kept, strict=True):
        assert_array_equal(array, other)


def test_borrowed_arrays_are_kept_as_long_as_they_are_read():
    counts, expected = with_large_counts(np.random.default_rng(1), 2, 999)
    arrays = [array.copy() for array in counts.arrays()]
    gone = [weakref.ref(array) for array in arrays]
    loaded = again(counts, arrays)
    views = loaded.arrays()
    other = loaded.copy()
    del arrays
    loaded.update([1, 2, 3, 4])
    loaded.sizes()  # merges what was borrowed into a run of its own
    assert all(ref() is not None for ref in gone)
    del views
    assert as_dictionary(other) == expected
    assert all(ref() is not None for ref in gone)
    del other
    assert all(ref() is None for ref in gone)


def ask_everything(counts):
    """Every question and every change, whatever the answers are."""
    rng = np.random.default_rng(0)
    contexts = rng.integers(0, counts.n_tokens, (50, counts.order))
    seen = counts.all()[0][:40].astype(np.int64) % counts.n_tokens
    contexts[: len(seen)] = seen
    counts.counts(contexts, contexts[:, 0] if counts.order else np.arange(50) % 3)
    counts.totals(contexts)
    counts.rows(contexts)
    counts.sizes()
    other = counts.copy()
    other.update(np.append(contexts.ravel(), [0, 1]))
    other.counts(contexts, np.zeros(50, int))
    other.totals(contexts)
    other.rows(contexts)
    with suppress(OverflowError):
        other.merge(counts)
        counts.merge(counts)
    other.all()
    counts.all()
    return counts.nbytes, counts.n_observed, other.nbytes


@pytest.mark.parametrize(
    ("order", "n_tokens"), [(0, 300), (1, 300), (1, 2**32), (2, 50257), (5, 999), (16, 2**32)]
)
@pytest.mark.slow
@pytest.mark.in_c
def test_any_bit_of_the_arrays_may_be_wrong(order, n_tokens):
    """Verified arrays are what the core makes; others may answer anything, but they answer."""
    rng = np.random.default_rng(order)
    counts, _ = with_large_counts(rng, order, n_tokens)
    accepted = 0
    for round_ in range(600):
        arrays = [array.copy() for array in counts.arrays()]
        which = round_ % len(arrays)
        for _ in range(rng.integers(1, 3) if round_ % 3 else 1):
            data = arrays[which].reshape(-1).view(np.uint8)
            if data.size:
                data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        if round_ % 50 == 7:
            arrays[which][...] = rng.integers(0, 2**32, arrays[which].shape)
        if round_ % 50 == 8:
            arrays[which][...] = np.iinfo(arrays[which].dtype).max
        ask_everything(again(counts, arrays, verify=False))
        try:
            verified = again(counts, arrays)
        except ValueError as error:
            assert str(error).partition("[")[0] in NAMES  # noqa: PT017
            continue
        accepted += 1
        contexts, indptr, tokens, times = verified.all()
        rebuilt = TransitionCounts(order, n_tokens)
        times = np.minimum(times, 2**63 - 1)
        rebuilt.update_rows(np.repeat(contexts, np.diff(indptr), axis=0), tokens, times)
        assert_same_arrays(verified, rebuilt)
    assert accepted < 150


@pytest.mark.slow
@pytest.mark.in_c
def test_borrowed_arrays_may_change_at_any_time():
    """As a mapped file may: while questions are answered, another thread writes."""
    rng = np.random.default_rng(0)
    counts = counted(2, 500, rng.integers(0, 500, 300_000))
    counts.update_rows([[1, 2]], [3], [2**40])
    good = counts.arrays()
    arrays = [array.copy() for array in good]
    loaded, done = again(counts, arrays), threading.Event()

    def scribble():
        mine = np.random.default_rng(1)
        while not done.is_set():
            for array, kept in zip(arrays, good, strict=True):
                place = mine.integers(0, len(array), len(array) // 50 + 1)
                array[place] = mine.integers(0, 2**32, array[place].shape)
                array[: len(array) // 2] = np.iinfo(array.dtype).max
                array[...] = kept

    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        for _ in range(25):
            ask_everything(loaded.copy())
            with suppress(ValueError):
                again(counts, arrays)
    finally:
        done.set()
        writer.join()


def test_what_verifying_finds_is_named():
    counts = TransitionCounts(1, 3)
    counts.update_rows([[0], [0], [1], [2]], [0, 2, 1, 0], [1, 2**32, 5, 2**33])
    good = [array.copy() for array in counts.arrays()]
    keys = good[0]

    def changed(which, place, value):
        arrays = [array.copy() for array in good]
        arrays[NAMES.index(which)][place] = value
        return arrays

    cases = [
        (changed("keys", 1, keys[0]), "keys\\[1\\] does not stand behind"),
        (changed("keys", 0, keys[0] | np.uint64(1)), "keys\\[0\\] does not end with zeros"),
        (changed("keys", 3, keys[3] | np.uint64(3 << 60)), "keys\\[3\\] has a token"),
        (changed("counts", 0, 0), "counts\\[0\\] is 0"),
        (changed("counts", 0, 2**32 - 1), "large_at\\[0\\] is not the place"),
        (changed("large_at", 1, 0), "large_at\\[1\\] is not the place"),
        (changed("large", 1, 2**32 - 2), "large\\[1\\] is missing or not large"),
        (changed("large", 1, 2**64 - 2**32), "brings the sum of all past"),
        (changed("counts", 1, 9), "large_at\\[0\\] is not the place"),
        (changed("index", 0, 1), "index\\[0\\] is not the first"),
        (changed("index", -1, 0), "index\\[1\\] is not the first"),
        (changed("sums", 0, 1), "sums\\[0\\] is not the sum"),
        (changed("counts", 0, 2)[:5], "there are 5 arrays"),
        ([keys[:3], *good[1:]], "counts has 4 entries; with 3 keys it needs 3"),
        ([keys, good[1], good[2][:1], *good[3:]], "large has 2 entries; with 4 keys it needs 1"),
        ([keys.repeat(2, axis=1), *good[1:]], "keys have shape"),
        ([keys[:, 0], *good[1:]], "keys must have 2 axes"),
        ([*good[:4], good[4][:1], good[5]], "index has 1 entries; with 4 keys it needs 2"),
        ([*good[:5], good[5].repeat(2)], "sums has 2 entries; with 4 keys it needs 1"),
    ]
    for arrays, message in cases:
        with pytest.raises(ValueError, match=message):
            again(counts, arrays)
    even = [array.copy() for array in counted(0, 64, range(64)).arrays()]
    even[NAMES.index("sums")][1] += 1
    with pytest.raises(ValueError, match="sums\\[1\\] is not the sum"):
        TransitionCounts.from_arrays(0, 64, even)
    for arrays in (
        [keys.astype(np.int64), *good[1:]],
        [keys[::2], good[1][::2], *good[2:]],
        [keys, good[1].astype(">u4"), *good[2:]],
        [keys, good[1].tolist(), *good[2:]],
        None,
    ):
        with pytest.raises(TypeError):
            TransitionCounts.from_arrays(1, 3, arrays)
    # what is not aligned is copied
    moved = np.frombuffer(b"x" + keys.tobytes(), np.uint8)[1:].view(np.uint64)[:, np.newaxis]
    assert not moved.flags.aligned
    copied = TransitionCounts.from_arrays(1, 3, [moved, *good[1:]])
    assert as_dictionary(copied) == as_dictionary(TransitionCounts.from_arrays(1, 3, good))
    for arguments in ((17, 3), (-1, 3), (1, 0), (1, 2**32 + 1)):
        with pytest.raises(ValueError, match="must be from"):
            TransitionCounts.from_arrays(*arguments, good)
    # what pickles of older versions have after the arrays
    assert as_dictionary(TransitionCounts.from_arrays(1, 3, good, np.zeros(1, np.uint32)))


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
    counts.update(np.array([0, 1, 2]))
    assert counts.counts([[0, 1]], [2]) == 2


@pytest.mark.no_sanitizer
@pytest.mark.parametrize(
    "what", ["update", "update_rows", "merge", "all", "rows", "counts", "totals", "copy"]
)
def test_every_allocation_may_fail(what):
    more = counted(2, 5, [4, 3, 2, 1, 0] * 20)
    arrays = more.arrays()
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
                "arrays": counts.arrays,
                "from_arrays": lambda: TransitionCounts.from_arrays(2, 5, arrays),
            }
            call, failed = calls[what], False
            try:
                short_memory.call_short(call, n, 0 if from_here_on else n + 1)
            except MemoryError:
                failed = True
            if not failed:
                break
            assert as_dictionary(counts) == expected
        assert not failed
        assert n > 1


@needs_timers
@pytest.mark.parametrize("what", ["update", "update_rows", "merge", "all", "from_arrays"])
def test_signals_stop_it_and_change_nothing(what):
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 50_000, 2_000_000)
    few = counted(2, 50_000, [0, 1, 2, 3])
    counts, many = counted(2, 50_000, [0, 1, 2, 3]), counted(2, 50_000, tokens)
    if what == "all":
        counts.merge(many)
        counts.update(tokens[:1000])
    before = counts.n_observed

    calls = {
        "update": (counts.update, tokens),
        "update_rows": (counts.update_rows, tokens.reshape(-1, 2), tokens[::2], tokens[1::2]),
        "merge": (counts.merge, many),
        "all": (counts.all,),
        "from_arrays": (TransitionCounts.from_arrays, 2, 50_000, many.arrays()),
    }
    call, *arguments = calls[what]
    kept = []
    # Called from C: a signal that waits for the end of the call finds its result kept.
    with pytest.raises(Stopped), alarm(0.004):
        kept.extend(starmap(call, [arguments]))
    assert not kept
    assert counts.n_observed == before
    if what != "all":
        assert as_dictionary(counts) == as_dictionary(few)


@needs_timers
def test_signals_are_left_to_the_main_thread():
    """What a handler raises there is nothing to a thread that counts."""
    tokens = np.random.default_rng(0).integers(0, 50_000, 3_000_000)
    counts, errors = TransitionCounts(2, 50_000), []

    def work():
        try:
            counts.update(tokens)
        except BaseException as error:
            errors.append(error)

    worker, stopped = threading.Thread(target=work), 0
    worker.start()
    while worker.is_alive():
        try:
            with alarm(0.003):
                time.sleep(0.01)
        except Stopped:
            stopped += 1
    worker.join()
    assert stopped > 0
    assert not errors
    assert_same_arrays(counts, counted(2, 50_000, tokens))


# -- threads ---------------------------------------------------------------------------


def test_a_clash_of_threads_is_an_error():
    tokens = np.random.default_rng(0).integers(0, 50_000, 3_000_000)
    counts = TransitionCounts(3, 50_000)
    writer = threading.Thread(target=insist, args=(lambda: counts.update(tokens),))
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


def test_readers_do_not_disturb_each_other():
    tokens = np.random.default_rng(0).integers(0, 2000, 600_000)
    contexts = tokens[:200_000].reshape(-1, 2)
    errors = []

    def read(counts):
        try:
            counts.totals(contexts)
            assert counts.sizes() == expected
            assert len(counts.all()[2]) == len(counts.arrays()[0]) == expected[1]
            assert pickle.loads(pickle.dumps(counts)).sizes() == expected
        except Exception as error:
            errors.append(error)

    expected = counted(2, 2000, tokens).sizes()
    for _ in range(3):
        counts = counted(2, 2000, tokens[:400_002])
        counts.update(tokens[400_000:])  # two runs, which the first reader merges
        readers = [threading.Thread(target=read, args=(counts,)) for _ in range(3)]
        for each in readers:
            each.start()
        for each in readers:
            each.join()
        assert not errors


@pytest.mark.parametrize("what", ["update", "update_rows"])
def test_tokens_that_change_while_they_are_counted(what):
    """They are read twice: what was counted is of one state of them, or it is an error."""
    tokens, done = np.zeros(300_000, dtype=np.int64), threading.Event()
    pairs = tokens.reshape(-1, 2)[:, :1], tokens[1::2].copy()

    def scribble():
        for k in itertools.cycle(range(1, 200)):
            tokens[...] = np.arange(len(tokens)) % k
            if done.is_set():
                break

    writer, errors = threading.Thread(target=scribble), set()
    writer.start()
    try:
        for _ in range(40):
            counts = TransitionCounts(1, 200)
            try:
                if what == "update":
                    counts.update(tokens)
                else:
                    counts.update_rows(*pairs, pairs[1])
            except RuntimeError as error:
                errors.add(str(error))
                assert as_dictionary(counts) == {}
            else:
                assert counts.n_observed == (0 if what == "update_rows" else len(tokens) - 1)
                check_answers(counts, as_dictionary(counts)) if counts.n_observed else None
    finally:
        done.set()
        writer.join()
    assert errors <= {"another thread has changed the numbers that were being counted"}


@pytest.mark.slow
@pytest.mark.in_c
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
