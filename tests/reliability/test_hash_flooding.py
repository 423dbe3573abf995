"""Files made to make every look-up slow: words and contexts that a hash without a key sends to one
slot cost no more than random ones (row 14).

The only table with a hash is that of words and n-grams while an ARPA file is read, which is keyed.
Counts are in sorted runs: no key chooses where a context goes, and what crowds into one of their
buckets is sorted by digits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tiers import alone, of_tier

from matrixbayes import _core

FACTOR = np.uint64(0x9E3779B97F4A7C15)
SHIFT = np.uint64(32)
N = of_tier(12_000, 20_000, 60_000)
pytestmark = alone
Figure = Callable[[str], None]


def mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The hash of eight bytes that has no key: a product by 2^64 over the golden ratio, folded."""
    products = numbers * FACTOR
    return products ^ (products >> SHIFT)


def unmixed(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The eight bytes that have these hashes."""
    products = hashes ^ (hashes >> SHIFT)
    return products * np.uint64(pow(int(FACTOR), -1, 2**64))


def model(words: list[bytes], pairs: NDArray[Any]) -> bytes:
    lines = [b"\\data\\\nngram 1=%d\nngram 2=%d\n\\1-grams:\n" % (len(words), len(pairs))]
    lines += [b"-1 %b -1\n" % word for word in words]
    lines += [b"\\2-grams:\n"]
    lines += [b"-1 %b %b\n" % (words[u], words[w]) for u, w in pairs.tolist()]
    return b"".join([*lines, b"\\end\\\n"])


def words_of_one_slot(n: int, slots: int) -> list[bytes]:
    """Different words of eight bytes whose hashes differ in what chooses no slot."""
    hashes = np.arange(1, 6 * n, dtype=np.uint64) * np.uint64(slots)
    numbers = unmixed(unmixed(hashes)) ^ np.uint64(8)  # of the length, the letters, and no rest
    letters = numbers.view(np.uint8).reshape(-1, 8)
    printed = (letters > 32) & (letters != 92)
    found = numbers[printed.all(axis=1)][:n]
    assert len(np.unique(found)) == n
    return [row.tobytes() for row in found]


def pairs_of_one_slot(n: int, n_words: int, slots: int) -> NDArray[np.uint64]:
    pieces: list[NDArray[np.uint64]] = []
    after = np.arange(n_words, dtype=np.uint64)
    for before in range(n_words):
        if sum(map(len, pieces)) >= n:
            break
        pairs = np.uint64(before) << SHIFT | after
        pieces.append(pairs[mixed(pairs) & np.uint64(slots - 1) < np.uint64(16)])
    all_ = np.concatenate(pieces)[:n]
    return np.stack([all_ >> SHIFT, all_ & np.uint64(2**32 - 1)], axis=1)


def siphash(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SipHash-1-3 of words of eight bytes, under a key of zeros."""
    zeros = np.zeros_like(numbers)
    start = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    a, b, c, d = (zeros + np.uint64(x) for x in start)
    zero = np.uint64(0)
    for turn, block in enumerate((numbers, np.uint64(8 << 56), zero, zero, zero)):
        c = c ^ np.uint64(0xFF) if turn == 2 else c
        d = d ^ block
        a, b = a + b, rotated(b, 13)
        c, d = c + d, rotated(d, 16)
        b, d, a = b ^ a, d ^ c, rotated(a, 32)
        c, a = c + b, a + d
        b, d = rotated(b, 17) ^ c, rotated(d, 21) ^ a
        c = rotated(c, 32)
        a = a ^ block
    return a ^ b ^ c ^ d


def rotated(x: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    return x << np.uint64(bits) | x >> np.uint64(64 - bits)


def seconds(text: bytes) -> float:
    """The least CPU time of reading it nine times."""
    best = np.inf
    for _ in range(9):
        start = time.process_time()
        _core.read_arpa(text)
        best = min(best, time.process_time() - start)
    return best


def slots_of(n: int) -> int:
    """The slots of a table for that many."""
    return 1 << max(4, (2 * n - 1).bit_length())


@pytest.mark.promise(14)
@pytest.mark.no_sanitizer
def test_hostile_models_are_read_as_quickly_as_others(figure: Figure) -> None:
    random = np.random.default_rng(0)
    plain = [b"%08d" % i for i in random.permutation(N)]
    some = random.integers(0, N, (N, 2), dtype=np.uint64)
    some = np.unique(some, axis=0)
    usual = seconds(model(plain, some))
    words = seconds(model(words_of_one_slot(N, slots_of(N)), some))
    bad_pairs = pairs_of_one_slot(N, N, slots_of(N))
    assert len(bad_pairs) == N
    pairs = seconds(model(plain, bad_pairs))
    figure(f"{N} words or n-grams of one slot: {words / usual:.2f}, {pairs / usual:.2f} of random")
    assert words < 2 * usual
    assert pairs < 2 * usual


@pytest.mark.promise(14)
@pytest.mark.no_sanitizer
def test_no_key_is_known(figure: Figure) -> None:
    n = 3000
    random = np.random.default_rng(0)
    tries = random.integers(1, 2**64, 300 * n, np.uint64)
    letters = tries.view(np.uint8).reshape(-1, 8)
    tries = tries[(letters > 32).all(axis=1) & (letters != 92).all(axis=1)]
    bad = tries[siphash(tries) & np.uint64(slots_of(n) - 1) < np.uint64(128)][:n]
    assert len(bad) == n
    pairs = np.zeros((0, 2), np.uint64)
    usual = seconds(model([x.tobytes() for x in tries[:n]], pairs))
    words = seconds(model([x.tobytes() for x in bad], pairs))
    figure(f"{n} words of 128 slots under a key of zeros: {words / usual:.2f} of random")
    assert words < 2 * usual


def seconds_of_counts(contexts: NDArray[np.int64], tokens: NDArray[np.int64]) -> float:
    """The least CPU time of counting pairs and asking for each, of nine."""
    best = np.inf
    text = np.stack([contexts, tokens], axis=1).ravel()
    for _ in range(9):
        start = time.process_time()
        counts = _core.TransitionCounts(1, 2**32)
        counts.update_rows(contexts[:, None], tokens, np.ones(len(tokens), np.int64))
        counts.update([text])
        counts.counts(contexts[:, None], tokens)
        counts.totals(contexts[:, None])
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.promise(14)
@pytest.mark.no_sanitizer
def test_crowded_contexts_are_counted_as_quickly_as_others(figure: Figure) -> None:
    random = np.random.default_rng(0)
    tokens = random.integers(0, 2**32 - 1, N)
    usual = random.choice(2**32 - 1, N, replace=False).astype(np.int64)
    # contexts are spread by a product: those that it makes the first numbers have one bucket
    inverse = pow(int(FACTOR & np.uint64(2**32 - 1)) | 1, -1, 2**32)
    crowded = random.permutation(N).astype(np.int64) * inverse % 2**32
    ratio = seconds_of_counts(crowded, tokens) / seconds_of_counts(usual, tokens)
    figure(f"{N} contexts of one bucket: {ratio:.2f} of random")
    assert ratio < 2
