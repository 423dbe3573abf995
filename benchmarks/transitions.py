"""Counting of n-grams against np.unique on the same stream, in the same run; and what follows.

    python benchmarks/transitions.py [--quick]

The baseline packs a context and its next token into the smallest integer that holds them and asks
np.unique for counts; where 64 bits are too few, it numbers the first tokens by np.unique and packs
again.  One thread each.  Where a goal has a ratio, more is better; bytes and milliseconds are to
stay below theirs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from matrixbayes import TransitionMatrix
from matrixbayes._core import TransitionCounts

V = 50_257
ORDERS = (1, 2, 3, 5)
Tokens = NDArray[np.int64]


def zipf_stream(n: int) -> Tokens:
    """Independent tokens, the r-th with probability of about 1 / r."""
    shares = np.cumsum(1.0 / (np.arange(V) + 2.7))
    return np.searchsorted(shares, np.random.default_rng(0).random(n) * shares[-1])


def markov_stream(n: int) -> Tokens:
    """Each token has 30 that may follow it, the r-th with probability of about 1 / r."""
    rng = np.random.default_rng(1)
    followers = zipf_stream(V * 30)[rng.permutation(V * 30)].reshape(V, 30)
    shares = np.cumsum(1.0 / (np.arange(30) + 1.0))
    chains, length = 2_000, n // 2_000
    tokens = np.empty((chains, length), dtype=np.int64)
    tokens[:, 0] = rng.integers(0, V, chains)
    for i in range(1, length):
        choice = np.searchsorted(shares, rng.random(chains) * shares[-1])
        tokens[:, i] = followers[tokens[:, i - 1], choice]
    return tokens.ravel()


def baseline(tokens: Tokens, order: int) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Different keys and their counts."""
    n = len(tokens) - order
    kind = np.uint32 if order == 1 else np.uint64
    packed = tokens[:n].astype(kind)
    for place in range(1, min(order, 3) + 1):
        packed *= kind(V)
        packed += tokens[place : n + place].astype(kind)
    if order > 3:
        packed = np.unique(packed, return_inverse=True)[1].astype(kind)
        for place in range(4, order + 1):
            packed *= kind(V)
            packed += tokens[place : n + place].astype(kind)
    return np.unique(packed, return_counts=True)


def count(tokens: Tokens, order: int) -> TransitionCounts:
    counts = TransitionCounts(order, V)
    counts.update(tokens)
    return counts


def best(call: Callable[[], object], times: int) -> float:
    """The shortest of some times, in seconds of this process, whatever else the machine does."""
    taken = []
    for _ in range(times):
        begin = time.process_time()
        call()
        taken.append(time.process_time() - begin)
    return min(taken)


def short_documents(tokens: Tokens) -> None:
    """Half a million documents of 5 to 20 tokens beside one document of as many."""
    lengths = np.random.default_rng(3).integers(5, 21, 500_000)
    bounds = np.append(0, np.cumsum(lengths))
    text = np.resize(tokens, bounds[-1])
    documents = np.split(text, bounds[1:-1])
    for order, hierarchical in ((1, False), (3, False), (3, True), (5, True)):

        def speed(given: object, options: dict[str, object], m=order, h=hierarchical) -> float:
            empty = TransitionMatrix(m, n_tokens=V, hierarchical=h)
            taken = best(lambda: empty.copy().update(given, **options), 3)
            return 1e-6 * len(text) / taken

        one, many = speed(text, {}), speed(documents, {})
        print(
            f"order {order}{', hierarchical' if hierarchical else '':14} Mtok/s of one document "
            f"{one:5.1f}, of 500,000 arrays {many:5.1f} ({many / one:.2f}; goal 0.5), between "
            f"bounds {speed(text, {'bounds': bounds}):5.1f}",
            flush=True,
        )


def small_updates(counts: TransitionCounts, tokens: Tokens) -> tuple[float, float]:
    """Milliseconds that an update by 1,000 tokens takes: the mean, and the longest."""
    taken = []
    for start in range(0, len(tokens) - 1000, 1000):
        begin = time.perf_counter()
        counts.update(tokens[start : start + 1000])
        taken.append(1e3 * (time.perf_counter() - begin))
    return float(np.mean(taken)), max(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the tokens")
    n = 2_000_000 if parser.parse_args().quick else 20_000_000
    times = 3
    rng = np.random.default_rng(2)
    print(
        f"{'stream':>8}{'order':>6}{'pairs':>10}{'Mtok/s':>8}{'np.unique':>10}{'ratio':>7}{'goal':>6}"
        f"{'bytes':>7}{'goal':>6}{'M look-ups/s':>14}{'goal':>6}"
    )
    for name, tokens in (("zipf", zipf_stream(n)), ("markov", markov_stream(n))):
        for order in ORDERS:
            counts = count(tokens, order)
            _, expected = baseline(tokens, order)
            np.testing.assert_array_equal(np.sort(counts.all()[3]), np.sort(expected))
            ours = best(lambda t=tokens, m=order: count(t, m), times)
            theirs = best(lambda t=tokens, m=order: baseline(t, m), 1 if order > 3 else 2)
            places = rng.integers(0, len(tokens) - order, 1_000_000)
            contexts = tokens[places[:, np.newaxis] + np.arange(order)]
            following = tokens[places + order]
            look = best(lambda c=counts, x=contexts, y=following: c.counts(x, y), times)
            pairs = len(expected)
            limit = "14" if order < 3 else "-"
            print(
                f"{name:>8}{order:6}{pairs:10}{1e-6 * n / ours:8.1f}{1e-6 * n / theirs:10.1f}"
                f"{theirs / ours:7.2f}{4.5:6.1f}{counts.nbytes / pairs:7.1f}{limit:>6}"
                f"{1.0 / look:14.1f}{5 if order == 1 else 10:6}",
                flush=True,
            )
    print()
    short_documents(zipf_stream(n))
    counts = count(tokens, 3)
    whole = best(lambda: count(tokens, 3), 1)
    mean, longest = small_updates(counts, zipf_stream(1_000_000)[rng.permutation(1_000_000)])
    print(
        f"\n1,000 tokens into {counts.sizes()[1]} pairs: {mean:.2f} ms on average, "
        f"{longest:.0f} ms at most; counting all of them: {1e3 * whole:.0f} ms"
    )


if __name__ == "__main__":
    main()
