"""Distances between rows against SciPy and against bare matrix products, in the same run.

    python benchmarks/continuity.py [--quick] [--large FOLDER]

All pairs of 2,000 rows over 1,000 tokens in float64, one thread.  SciPy is timed on a part of the
pairs (its cost is even).  Hellinger and
Kullback-Leibler are matrix products; theirs is the product of all rows with all rows.  --large also
finds 10 neighbours of each of 20,000 rows over 50,257 tokens, float32 in a file of 4 GB that is
mapped, and says what memory that took.
"""

from __future__ import annotations

import argparse
import os
import resource
import time

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits
from transitions import best

from matrixbayes.continuity import EmbeddingMap

Floats = NDArray[np.float64]


def against_scipy(
    embedding: EmbeddingMap, rows: Floats, metric: str, theirs: str, goal: float
) -> None:
    """A line of the table: the matrix of distances against SciPy's."""
    part = rows[: len(rows) // 20]
    wanted = cdist(part, part, theirs) / (2.0 if theirs == "cityblock" else 1.0)
    found = EmbeddingMap(np.zeros((len(part), 1)), part, kind="probs").row_distances(metric)
    off_diagonal = ~np.eye(len(part), dtype=bool)
    error = float(np.abs(found - wanted)[off_diagonal].max())
    ours = best(lambda: embedding.row_distances(metric), 3)
    scipy = 20.0 * best(lambda: cdist(rows, part, theirs), 2)
    print(
        f"{metric:>16}{1e3 * ours:10.0f}{1e3 * scipy:10.0f}{scipy / ours:8.1f}{goal:8.0f}"
        f"{error:10.1e}"
    )


def against_product(embedding: EmbeddingMap, rows: Floats, metric: str) -> None:
    """A line of the table: the matrix of distances against the product that it is made of."""
    ours = best(lambda: embedding.row_distances(metric), 3)
    other = np.log(rows) if metric == "kl" else rows  # of a matrix with itself NumPy makes half
    product = best(lambda: rows @ other.T, 3)
    print(f"{metric:>16}{1e3 * ours:10.0f}{1e3 * product:10.0f}{ours / product:8.2f}{'<= 1.2':>8}")


def large(folder: str) -> None:
    """Neighbours among rows that are larger than what is wanted in memory."""
    n, width, d = 20_000, 50_257, 64
    path = os.path.join(folder, "rows.npy")
    rng = np.random.default_rng(0)
    e = rng.normal(size=(n, d)).astype(np.float32)
    head = rng.normal(size=(d, width)).astype(np.float32) * 0.3
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (n, width))
    for start in range(0, n, 500):
        logits = e[start : start + 500] @ head
        logits -= logits.max(axis=1, keepdims=True)
        rows[start : start + 500] = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    rows.flush()
    del rows, logits, head
    mapped = np.load(path, mmap_mode="r")
    begin = time.perf_counter()
    embedding = EmbeddingMap(e, mapped, kind="log_probs")
    checked = time.perf_counter() - begin
    before = _own_memory()
    begin = time.perf_counter()
    pairs = embedding.neighbours(10, progress=True)
    took = time.perf_counter() - begin
    print(
        f"\n{n} x {width}, 10 neighbours: {len(pairs)} pairs in {took:.0f} s (rows checked in "
        f"{checked:.0f} s); memory beside the mapped file grew by {_own_memory() - before:.0f} MB, "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB at most with it"
    )
    os.unlink(path)


def _own_memory() -> float:
    """Megabytes that belong to the process alone, not to mapped files."""
    with open("/proc/self/status") as file:
        return float(next(line for line in file if line.startswith("RssAnon")).split()[1]) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a quarter of the rows")
    parser.add_argument("--large", metavar="FOLDER", help="where 4 GB may be written")
    arguments = parser.parse_args()
    n = 500 if arguments.quick else 2000
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.full(1000, 0.5), n)
    embedding = EmbeddingMap(rng.normal(size=(n, 16)), rows, kind="probs")
    print(f"{'distance':>16}{'ours ms':>10}{'theirs ms':>10}{'ratio':>8}{'goal':>8}{'error':>10}")
    with threadpool_limits(1):
        against_scipy(embedding, rows, "total_variation", "cityblock", 12.0)
        against_scipy(embedding, rows, "jensen_shannon", "jensenshannon", 20.0)
        against_product(embedding, rows, "hellinger")
        against_product(embedding, rows, "kl")
    if arguments.large:
        large(arguments.large)


if __name__ == "__main__":
    main()
