"""Frozen counts beside those in memory that they were made of: bytes, look-ups of each order.

    python benchmarks/frozen.py [FOLDER] [--order 5] [--quick]

The text is the standard library's, or what reads as text in FOLDER (`texts.py`).  A look-up is one
of a batch of a million: how often the token of a place in held-out text followed the last tokens
before it, or how often these were followed.  The walk answers both for all orders.  Nanoseconds of
CPU on one core, the least of five runs in turn.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from texts import folder, standard_library, text_of

from matrixbayes import TransitionMatrix

PLACES = 1_000_000


def least(*calls: Callable[[], object], times: int = 5) -> list[float]:
    """CPU seconds of calls, run one after the other."""
    taken = [[0.0] * times for _ in calls]
    for run in range(times):
        for record, call in zip(taken, calls, strict=True):
            began = time.process_time()
            call()
            record[run] = time.process_time() - began
    return [min(each) for each in taken]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="documentation; else Python's sources")
    parser.add_argument("--order", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tenth of the text")
    asked = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    files = standard_library() if asked.folder is None else folder(asked.folder)
    text, order = text_of(str(asked.folder or "the standard library"), files), asked.order
    text = text.first(0.1) if asked.quick else text
    matrix = TransitionMatrix(order, n_tokens=text.n_tokens, hierarchical=True).update(text.train)
    held = np.concatenate(text.held).astype(np.int64)
    windows = sliding_window_view(np.resize(held, PLACES + order), order + 1)
    tokens = windows[:, order].copy()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "frozen"
        (seconds,) = least(lambda: matrix.freeze(path), times=1)
        frozen = TransitionMatrix.open(path, verify=False)
        (opening,) = least(lambda: TransitionMatrix.open(path), times=1)
        levels = [each._rows.levels.counts for each in (frozen, matrix)]
        n_grams = sum(counts.sizes()[1] for counts in levels[1])
        print(
            f"{text.name}: {n_grams:,} n-grams of {order + 1} orders, V = {text.n_tokens:,}: "
            f"{path.stat().st_size / n_grams:.2f} bytes each, {matrix.nbytes / n_grams:.1f} in "
            f"memory; frozen in {seconds:.1f} s, opened and checked in {opening:.2f} s\n"
        )
        print(f"{'ns a look-up':16}{'count, frozen':>16}{'in memory':>12}{'total':>8}{'':>12}")
        for level, (mine, theirs) in enumerate(zip(*levels, strict=True)):
            contexts = windows[:, order - level : order].copy()
            found = least(
                lambda mine=mine, own=contexts: mine.counts(own, tokens),
                lambda theirs=theirs, own=contexts: theirs.counts(own, tokens),
                lambda mine=mine, own=contexts: mine.totals(own),
                lambda theirs=theirs, own=contexts: theirs.totals(own),
            )
            a, b, c, d = (1e9 * each / PLACES for each in found)
            print(f"{level} tokens before{a:16.0f}{b:12.0f}{c:8.0f}{d:12.0f}")
        contexts = windows[:, :order].copy()
        longest = levels[0][-1]
        (walk,) = least(lambda: longest.walk(contexts, tokens))
        walk *= 1e9 / PLACES
        print(f"\na walk: {walk:.0f}, for an order {walk / (order + 1):.0f}")


if __name__ == "__main__":
    main()
