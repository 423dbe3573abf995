"""One EM pass over rows against the same pass in NumPy and BLAS, in one run on the same data.

    python benchmarks/em.py [--quick]

The baseline converts a chunk of rows to float64, multiplies by alpha - 1 and back by the
responsibilities with BLAS, and is given the best of several chunk sizes.  One thread each.
The last line compares two threads of ours with one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from matrixbayes import DirichletMixture
from matrixbayes._base import parallel
from matrixbayes.estimator.row_data import RowData

# rows, tokens, components, and the ratio to reach
CASES = [
    (100_000, 100, 8, 1.5),
    (20_000, 1_000, 8, 1.5),
    (2_000, 50_257, 4, 4.0),
    (20_000, 1_000, 64, 0.95),
]
CHUNKS = (16, 64, 256, 1024, 4096)


def baseline_pass(
    rows: NDArray[np.float32], mixture: DirichletMixture, chunk: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """N_k, S_kv and the log-likelihood of rows: products by BLAS, float64, chunk by chunk."""
    from scipy.special import gammaln

    alpha = mixture.alpha
    constant = np.log(mixture.weights) + gammaln(alpha.sum(1)) - gammaln(alpha).sum(1)
    exponents = np.ascontiguousarray((alpha - 1.0).T)
    weight, sums, log_likelihood = np.zeros(len(alpha)), np.zeros(alpha.shape), 0.0
    buffer = np.empty((chunk, alpha.shape[1]))
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk]
        x = buffer[: len(part)]
        x[...] = part
        joint = x @ exponents
        joint += constant
        top = joint.max(axis=1, keepdims=True)
        joint -= top
        np.exp(joint, out=joint)
        total = joint.sum(axis=1, keepdims=True)
        joint /= total
        log_likelihood += float((top + np.log(total)).sum())
        weight += joint.sum(axis=0)
        sums += joint.T @ x
    return weight, sums, log_likelihood


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


def make_case(n: int, v: int, k: int) -> tuple[NDArray[np.float32], DirichletMixture]:
    """Float32 rows of the order that a language model gives, and a mixture to judge them by."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((n, v), dtype=np.float32) * np.float32(2.0)
    rows -= np.log(np.exp(rows).sum(axis=1, keepdims=True))
    return rows, DirichletMixture(np.full(k, 1.0 / k), rng.uniform(0.3, 1.5, (k, v)))


def best_chunk(rows: NDArray[np.float32], mixture: DirichletMixture) -> int:
    """The chunk with which the baseline is fastest here."""
    seconds = {}
    for chunk in CHUNKS:
        begin = time.perf_counter()
        baseline_pass(rows, mixture, chunk)
        seconds[chunk] = time.perf_counter() - begin
    return min(seconds, key=seconds.__getitem__)


def measure(n: int, v: int, k: int, goal: float, seconds: float) -> str:
    """A line of the table: one pass of ours against one of NumPy's."""
    rows, mixture = make_case(n, v, k)
    data = RowData(rows, None, (None, 1))
    ours, theirs = data.expectation(mixture), baseline_pass(rows, mixture, 256)
    assert np.allclose(ours.log_sums, theirs[1], rtol=1e-9)
    assert np.isclose(ours.log_likelihood, theirs[2], rtol=1e-12)
    chunk = best_chunk(rows, mixture)
    mine, numpys = paired(
        lambda: data.expectation(mixture), lambda: baseline_pass(rows, mixture, chunk), seconds
    )
    rates = f"{4e-9 * n * v * k / mine:8.1f} {4e-9 * n * v / mine:6.1f}"
    times = f"{1e3 * mine:9.1f} {1e3 * numpys:9.1f} {numpys / mine:6.2f}"
    return f"{n:8d} {v:7d} {k:3d} {times} {goal:5.2f} {rates}"


def two_threads(n: int, v: int, k: int, seconds: float) -> float:
    """How many times as fast two threads are as one."""
    rows, mixture = make_case(n, v, k)
    alone = RowData(rows, None, (None, 1))
    with parallel.workers(None, 2) as pool:
        both = RowData(rows, None, pool)
        two, one = paired(
            lambda: both.expectation(mixture), lambda: alone.expectation(mixture), seconds
        )
    return one / two


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a second per case")
    seconds = 1.0 if parser.parse_args().quick else 8.0
    with threadpool_limits(1):
        print("    rows  tokens   K   ours ms  numpy ms  ratio  goal  GFlop/s   GB/s")
        for case in CASES:
            print(measure(*case, seconds))
        for n, v, k, _ in CASES:
            ratio = two_threads(n, v, k, seconds)
            print(f"two threads, {n} x {v}, K={k}: {ratio:.2f} times as fast as one (goal 1.70)")


if __name__ == "__main__":
    main()
