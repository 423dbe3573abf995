"""Logits of 16, 32 and 64 bits to log-probabilities, against a row loop in NumPy, one thread.

    python benchmarks/ingest.py [--quick]

Both take batches of 64 rows, as a model gives them: NumPy writes into memory allocated
beforehand, ours into a new array, for which the allocator has the last batch's memory.  The
rate counts each number once read and once written; beside it stands that of a copy of float32
in the same run.  The lines behind take all rows at once, both into memory never used before.  The
last are rows of 16-bit codes, as llama.cpp writes them, beside what NumPy makes of the codes alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from matrixbayes._core import decode_rows, log_probs

# type, rows, tokens, and the ratio to reach
CASES = [
    ("float16", 2_000, 50_257, 6.0),
    ("bfloat16", 2_000, 50_257, None),
    ("float32", 2_000, 50_257, None),
    ("float64", 1_000, 50_257, None),
    ("float16", 20_000, 1_000, None),
]
BATCH = 64


def make_logits(dtype: str, n: int, v: int) -> NDArray[np.generic]:
    """Logits of the spread that a language model gives; bfloat16 as its bits."""
    logits = np.random.default_rng(0).standard_normal((n, v), dtype=np.float32)
    logits *= np.float32(3.0)
    if dtype == "bfloat16":
        return (logits.view(np.uint32) >> 16).astype(np.uint16)
    return logits.astype(dtype)


def row_loop(logits: NDArray[np.generic], out: NDArray[np.floating]) -> None:
    """The log-softmax of each row in NumPy, in the type of `out`."""
    for i in range(len(logits)):
        if logits.dtype == np.uint16:
            x = (logits[i].astype(np.uint32) << 16).view(np.float32)
        else:
            x = logits[i].astype(out.dtype)
        x -= x.max()
        np.subtract(x, np.log(np.exp(x).sum()), out=out[i])


def paired(a: Callable[[], object], b: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Median times of a and b, run in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 3:
        for call, record in zip((a, b), times, strict=True):
            begin = time.perf_counter()
            call()
            record.append(time.perf_counter() - begin)
    return float(np.median(times[0])), float(np.median(times[1]))


def copy_rate(seconds: float) -> float:
    """Bytes read and written a second by a copy of 200 MB."""
    source = np.ones(50_000_000, np.float32)
    target = np.ones_like(source)
    once, _ = paired(lambda: np.copyto(target, source), lambda: None, seconds)
    return 2 * source.nbytes / once


def measure(
    dtype: str, n: int, v: int, goal: float | None, batch: int, floor: float, seconds: float
) -> str:
    """A line of the table; `batch` 0 takes all rows at once into new memory."""
    logits = make_logits(dtype, n, v)
    result = np.float64 if dtype == "float64" else np.float32
    reused = np.zeros((batch, v), result)
    bits = dtype == "bfloat16"

    def ours() -> None:
        for start in range(0, n, batch or n):
            log_probs(logits[start : start + (batch or n)], kind="logits", bfloat16=bits)

    def numpys() -> None:
        for start in range(0, n, batch or n):
            part = logits[start : start + (batch or n)]
            row_loop(part, reused if batch else np.empty((n, v), result))

    row_loop(logits[: batch or 64], check := np.empty((batch or 64, v), result))
    got = log_probs(logits[: batch or 64], kind="logits", bfloat16=bits)
    assert np.allclose(got, check, rtol=1e-6, atol=1e-5)

    mine, theirs = paired(ours, numpys, seconds)
    rate = n * v * (logits.itemsize + np.dtype(result).itemsize) / mine
    times = f"{1e3 * mine:9.1f} {1e3 * theirs:9.1f} {theirs / mine:6.2f}"
    aim = f"{goal:5.2f}" if goal else "     "
    return f"{dtype:>9} {n:7d} {v:7d} {times} {aim} {1e-9 * rate:6.1f} {100 * rate / floor:6.0f} %"


def measure_codes(n: int, v: int, floor: float, seconds: float) -> str:
    """A line of the table for codes of rows whose tail is censored."""
    codes = np.random.default_rng(0).integers(0, 30_000, (n, v + 4), dtype=np.uint16)
    codes[:, 4::5] = 0
    p = np.exp(16.0 / 65535 * codes[:, 4:], dtype=np.float32).sum(axis=1, dtype=float)
    heads = np.stack([np.full(n, 16.0 / 65535), -np.log(p)], axis=1).astype(np.float32)
    codes[:, :4] = heads.view(np.uint16)
    buffer = np.empty((BATCH, v), np.float32)

    def ours() -> None:
        for start in range(0, n, BATCH):
            decode_rows(codes[start : start + BATCH], v)

    def numpys() -> None:
        for start in range(0, n, BATCH):
            part = buffer[: min(BATCH, n - start)]
            np.multiply(
                codes[start : start + BATCH, 4:], heads[start : start + BATCH, :1], out=part
            )
            part += heads[start : start + BATCH, 1:]

    mine, theirs = paired(ours, numpys, seconds)
    rate = n * v * 6 / mine
    times = f"{1e3 * mine:9.1f} {1e3 * theirs:9.1f} {theirs / mine:6.2f}      "
    return f"{'codes':>9} {n:7d} {v:7d} {times} {1e-9 * rate:6.1f} {100 * rate / floor:6.0f} %"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a second per case")
    seconds = 1.0 if parser.parse_args().quick else 8.0
    floor = copy_rate(seconds / 2)
    print("     type    rows  tokens   ours ms  numpy ms  ratio  goal   GB/s  of copy")
    for dtype, n, v, goal in CASES:
        print(measure(dtype, n, v, goal, BATCH, floor, seconds))
    print("all rows at once, into memory never used before:")
    for dtype, n, v, _ in CASES[:1]:
        print(measure(dtype, n, v, None, 0, floor, seconds))
    for n, v in ((2_000, 50_257), (1_000, 151_936)):
        print(measure_codes(n, v, floor, seconds))
    print(f"a copy of float32 reads and writes {1e-9 * floor:.1f} GB/s")


if __name__ == "__main__":
    main()
