"""`_core.FrozenCounts`: what the counts say that they were made of, in little memory."""

from __future__ import annotations

import copy
import os
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from numpy.testing import assert_array_equal

from matrixbayes import _core

FrozenCounts = _core.FrozenCounts


def levels_of(text: np.ndarray, order: int, n_tokens: int) -> tuple[list[Any], list[Any]]:
    """Counts of contexts of 0 to `order` tokens of a text, and the same frozen, as words."""
    counts: list[Any] = []
    words: list[Any] = []
    for level in range(order + 1):
        counts.append(_core.TransitionCounts(level, n_tokens))
        counts[-1].update(text[order - level :])
        words.append(FrozenCounts.encode(n_tokens, words, *counts[-1].all()))
    return counts, words


class Twin:
    """The same from a dictionary of n-grams."""

    def __init__(self, text: np.ndarray, order: int, level: int) -> None:
        grams = [tuple(text[i - level : i + 1].tolist()) for i in range(order, len(text))]
        self.grams, self.level = Counter(grams), level

    def row(self, context: tuple[int, ...]) -> dict[int, int]:
        found = {g[-1]: n for g, n in self.grams.items() if g[:-1] == context}
        return dict(sorted(found.items()))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=5, max_size=120),
    st.integers(0, 4),
    st.sampled_from([6, 7, 300, 2**20, 2**32]),
    st.data(),
)
def test_they_answer_as_a_dictionary_of_n_grams(
    tokens: list[int], order: int, n_tokens: int, data: st.DataObject
) -> None:
    spread = (n_tokens - 1) // 5  # over the whole vocabulary
    text = np.array(tokens, dtype=np.int64) * spread
    _, words = levels_of(text, order, n_tokens)
    asked = data.draw(st.lists(st.integers(0, 5), min_size=order + 1, max_size=order + 1))
    windows = sliding_window_view(np.concatenate([text, np.array(asked) * spread]), order + 1)
    for level in range(order + 1):
        frozen, twin = FrozenCounts(n_tokens, words[: level + 1]), Twin(text, order, level)
        contexts, after = windows[:, order - level : order], windows[:, order]
        rows = [twin.row(tuple(c)) for c in contexts.tolist()]
        assert frozen.counts(contexts, after).tolist() == [
            row.get(t, 0) for row, t in zip(rows, after.tolist(), strict=True)
        ]
        assert frozen.totals(contexts).tolist() == [sum(row.values()) for row in rows]
        indptr, found, times = frozen.rows(contexts)
        assert indptr.tolist() == [0, *np.cumsum([len(row) for row in rows]).tolist()]
        assert found.tolist() == [t for row in rows for t in row]
        assert times.tolist() == [n for row in rows for n in row.values()]
        assert frozen.n_observed == sum(twin.grams.values())
        assert frozen.sizes() == (len({g[:-1] for g in twin.grams}), len(twin.grams))
        own, indptr, found, times = frozen.all()
        each = np.repeat(own, np.diff(indptr), axis=0)
        grams = [(*c, t) for c, t in zip(each.tolist(), found.tolist(), strict=True)]
        assert dict(zip(grams, times.tolist(), strict=True)) == dict(twin.grams)
        assert_array_equal(frozen.places(own), np.arange(len(own)))


def test_one_walk_says_what_all_levels_say() -> None:
    rng = np.random.default_rng(0)
    text = (9 * rng.random(3000) ** 2).astype(np.int64)
    counts, words = levels_of(text, 3, 10)
    contexts = np.concatenate([sliding_window_view(text, 3)[:500], rng.integers(0, 10, (500, 3))])
    tokens = rng.integers(0, 10, 1000)
    seen, totals = FrozenCounts(10, words).walk(contexts, tokens)
    for level, each in enumerate(counts):
        own = contexts[:, 3 - level :]
        assert_array_equal(seen[:, level], each.counts(own, tokens))
        assert_array_equal(totals[:, level], each.totals(own))


def test_large_counts_and_rows() -> None:
    """Among small ones: of any size up to the sum that fits."""
    counts = _core.TransitionCounts(1, 70_000)
    counts.update(np.arange(70_000))
    counts.update_rows([[7]] * 4, [0, 8, 9, 69_999], [1, 2**40, 2**61, 10**6])
    counts.update_rows(np.full((60_000, 1), 11), np.arange(60_000), np.ones(60_000, int))
    root = FrozenCounts.encode(70_000, [], np.zeros((1, 0), np.uint32), None, None, None)
    frozen = FrozenCounts(70_000, [root, FrozenCounts.encode(70_000, [root], *counts.all())])
    asked = np.array([[7], [11], [12], [69_999]])
    for mine, theirs in zip(frozen.rows(asked), counts.rows(asked), strict=True):
        assert_array_equal(mine, theirs)
    assert_array_equal(frozen.totals(asked), counts.totals(asked))
    assert frozen.counts([[7], [7], [11]], [8, 9, 59_999]).tolist() == [2**40 + 1, 2**61, 1]
    assert frozen.n_observed == counts.n_observed
    assert frozen.nbytes < counts.nbytes / 3
    counts.update_rows([[3]], [3], [2**62])
    with pytest.raises(OverflowError, match="too many counts"):
        FrozenCounts.encode(70_000, [root], *counts.all())


def test_levels_of_links_alone_lead_to_the_longest() -> None:
    text = np.random.default_rng(1).integers(0, 5, 400)
    counts, whole = levels_of(text, 3, 5)
    words: list[Any] = []
    for level in range(3):
        contexts = FrozenCounts(5, whole[: level + 1]).all()[0]
        words.append(FrozenCounts.encode(5, words, contexts, None, None, None))
        bare = FrozenCounts(5, words)
        assert bare.sizes() == (len(contexts), 0)
        assert bare.n_observed == 0
        assert bare.counts(contexts, contexts[:, :1].sum(axis=1) * 0).sum() == 0
        assert bare.totals(contexts).sum() == 0
        assert bare.rows(contexts)[0].sum() == 0
        assert_array_equal(bare.places(bare.all()[0]), np.arange(len(contexts)))
    words.append(FrozenCounts.encode(5, words, *counts[3].all()))
    frozen, asked = FrozenCounts(5, words), sliding_window_view(text, 4)
    own, tokens = asked[:, :3], asked[:, 3]
    assert_array_equal(frozen.counts(own, tokens), counts[3].counts(own, tokens))
    listed, indptr, after, times = frozen.all()
    assert_array_equal(counts[3].counts(np.repeat(listed, np.diff(indptr), axis=0), after), times)
    assert frozen.nbytes == sum(each.nbytes for each in words)


def test_nothing_is_frozen_too() -> None:
    words: list[Any] = []
    for level in range(3):
        words.append(FrozenCounts.encode(4, words, *_core.TransitionCounts(level, 4).all()))
        frozen = FrozenCounts(4, words)
        assert frozen.sizes() == (0, 0)
        assert frozen.n_observed == 0
        assert frozen.counts(np.zeros((2, level), int), [0, 3]).tolist() == [0, 0]
        assert [len(each) for each in frozen.all()] == [0, 1, 0, 0]


def test_they_never_change_and_travel() -> None:
    _, words = levels_of(np.array([0, 1, 2, 0, 1, 1, 2]), 2, 3)
    frozen = FrozenCounts(3, words)
    for change in (frozen.merge, frozen.update):
        with pytest.raises(ValueError, match=r"frozen and never change; those of matrix\.thaw\(\)"):
            change(frozen)
    with pytest.raises(ValueError, match="frozen"):
        frozen.update_rows([[0, 1]], [2], [1])
    for same in (frozen.copy(), copy.copy(frozen), copy.deepcopy(frozen)):
        assert same is frozen
    again = pickle.loads(pickle.dumps(frozen))
    for mine, theirs in zip(again.all(), frozen.all(), strict=True):
        assert_array_equal(mine, theirs)
    for mine, theirs in zip(frozen.arrays(), words, strict=True):
        assert np.shares_memory(mine, theirs)


# --- what is refused


def test_rows_that_are_none_are_refused() -> None:
    counts, words = levels_of(np.array([0, 1, 2, 0, 1, 1, 2, 2]), 1, 3)
    contexts, indptr, tokens, times = counts[1].all()

    def encode(**changed: Any) -> Any:
        rows = {"contexts": contexts, "indptr": indptr, "tokens": tokens, "times": times} | changed
        return FrozenCounts.encode(3, words[:1], *rows.values())

    assert_array_equal(encode(), words[1])
    for wrong in (
        {"contexts": contexts[[0, 0, 2]]},
        {"contexts": contexts + np.uint32(1)},
        {"tokens": tokens[::-1].copy()},
        {"tokens": tokens + np.uint32(1)},
        {"times": times - np.uint64(1)},
        {"indptr": np.append(indptr[:-1], 0)},
        {"indptr": indptr[:-1]},
        {"indptr": np.array([0, len(tokens), 0, len(tokens)])},
        {"times": times[:-1]},
    ):
        with pytest.raises(ValueError, match=r"rows|indptr"):
            encode(**wrong)
    for wrong in ({"contexts": contexts.astype(int)}, {"tokens": tokens[:, np.newaxis]}):
        with pytest.raises(TypeError, match="as all"):
            encode(**wrong)
    with pytest.raises(ValueError, match="shape"):
        encode(contexts=np.zeros((3, 2), np.uint32))
    with pytest.raises(ValueError, match="there are 18 levels"):
        FrozenCounts.encode(3, words * 9, contexts, None, None, None)


def test_tokens_that_are_none_are_named() -> None:
    _, words = levels_of(np.array([0, 1, 2, 0, 1, 1, 2]), 2, 3)
    frozen = FrozenCounts(3, words)
    with pytest.raises(ValueError, match=r"contexts\[1, 0\] is 3; tokens are 0 to 2"):
        frozen.totals([[0, 1], [3, 1]])
    with pytest.raises(ValueError, match=r"tokens\[0\] is -1; tokens are 0 to 2"):
        frozen.walk([[0, 1]], [-1])
    with pytest.raises(ValueError, match=r"shape \(1, 1\); they need \(n, 2\)"):
        frozen.rows([[0]])


@pytest.mark.parametrize("level", range(4))
def test_changed_words_are_refused_or_do_no_harm(level: int) -> None:
    """The check finds what no level looks like; without it, answers are wrong at worst."""
    rng = np.random.default_rng(level)
    text = (7 * rng.random(600) ** 2).astype(np.int64)
    _, words = levels_of(text, 3, 8)
    contexts = np.concatenate([sliding_window_view(text, 3)[:100], rng.integers(0, 8, (100, 3))])
    own, tokens, refused = contexts[:, 3 - level :], rng.integers(0, 8, 200), 0
    for i in range(250):
        changed = [each.copy() for each in words[: level + 1]]
        at = int(rng.integers(9 if i % 3 == 0 else len(changed[level])))
        bit = np.uint64(1) << np.uint64(rng.integers(64))
        changed[level][at] = rng.integers(2**63) if i % 2 == 0 else changed[level][at] ^ bit
        try:
            FrozenCounts(8, changed)
        except ValueError:
            refused += 1
        try:
            loose = FrozenCounts(8, changed, verify=False)
            loose.counts(own, tokens), loose.totals(own), loose.rows(own), loose.places(own)
            loose.walk(own, tokens), loose.n_observed, loose.all()
        except (ValueError, MemoryError):
            pass
    assert refused > 150


def test_links_are_checked() -> None:
    """Pairs of them that are none, or stand in no order."""
    rng, refused = np.random.default_rng(0), 0
    _, words = levels_of(rng.integers(0, 5, 2000), 3, 5)
    head, links, sizes = 3, int(words[3][0]), int(words[3][4])
    for at in range(head + 2 + sizes, head + links - 2):
        changed = words[3].copy()
        changed[at] ^= np.uint64(1) << np.uint64(rng.integers(64))
        try:
            FrozenCounts(5, [*words[:3], changed])
        except ValueError:
            refused += 1
    assert refused > 0.3 * (links - 4 - sizes)


def test_words_that_change_while_they_are_read_do_no_harm() -> None:
    """As a file does that somebody writes into: wrong answers at worst."""
    rng = np.random.default_rng(5)
    text = (7 * rng.random(600) ** 2).astype(np.int64)
    _, words = levels_of(text, 2, 8)
    frozen, contexts = FrozenCounts(8, words), rng.integers(0, 8, (100, 2))
    for _ in range(300):
        each = words[rng.integers(3)]
        each[rng.integers(len(each))] = rng.integers(2**63)
        frozen.counts(contexts, contexts[:, 0]), frozen.totals(contexts), frozen.rows(contexts)
        try:
            frozen.all()
        except ValueError as error:
            assert "damaged" in str(error)  # noqa: PT017


def test_no_row_is_longer_than_the_vocabulary() -> None:
    """Whatever a level says of its rows: what is asked takes the memory of whole rows at most."""
    rows = np.zeros((1, 0), np.uint32), np.array([0, 9]), np.arange(9, dtype=np.uint32)
    words = FrozenCounts.encode(9, [], *rows, np.ones(9, np.uint64))
    frozen = FrozenCounts(4, [words], verify=False)
    assert len(frozen.rows(np.zeros((3, 0), int))[1]) <= 12
    with pytest.raises(ValueError, match="damaged"):
        FrozenCounts(4, [words])


# --- size


def test_a_text_takes_less_than_five_bytes_an_n_gram() -> None:
    """Of all orders, with counts: words of some of Python's own library."""
    folder = Path(os.__file__).parent
    words_of: dict[str, int] = {}
    ids = [
        words_of.setdefault(word, len(words_of))
        for file in sorted(folder.glob("*.py"))[:60]
        for word in file.read_text("utf-8", "replace").split()
    ]
    counts, words = levels_of(np.array(ids), 3, len(words_of))
    n_grams = sum(each.sizes()[1] for each in counts)
    assert sum(each.nbytes for each in words) < 5.0 * n_grams
