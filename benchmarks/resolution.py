"""Rows of a whole vocabulary: a fit at a resolution against one of the density.

    python benchmarks/resolution.py [--quick]

Logits in float16, of low rank over 50,257 tokens and spread over tens of nats, as those of language
models are.  Each fit is a process of its own with one thread: seconds of its CPU from the logits to
the prior, and how far its memory rose above the logits.  The goal: under a third of the time, and
no second copy of the rows.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
import warnings

import numpy as np
from numpy.typing import NDArray

from matrixbayes import DirichletMixtureEstimator

GOAL = 3.0
N_TOKENS, RANK = 50_257, 16


def logits_of(n: int) -> NDArray[np.float16]:
    """Rows of low rank with common frequencies."""
    rng = np.random.default_rng(0)
    common = 2.0 * rng.normal(size=N_TOKENS).astype(np.float32)
    columns = 1.5 * rng.normal(size=(RANK, N_TOKENS)).astype(np.float32)
    logits = np.empty((n, N_TOKENS), dtype=np.float16)
    for start in range(0, n, 50):
        rows = rng.normal(size=(min(50, n - start), RANK)).astype(np.float32)
        logits[start : start + 50] = rows @ columns + common
    return logits


def peak() -> float:
    """The most memory this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def measure(n: int, k: int, resolution: int | None) -> None:
    """Seconds of CPU, passes and MB above the rows of one fit, printed."""
    logits = logits_of(n)
    before, began = peak(), time.process_time()
    fitted = DirichletMixtureEstimator(
        k, kind="logits", random_state=0, n_jobs=1, resolution=resolution
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted.fit(logits)
    seconds = time.process_time() - began
    print(seconds, fitted.n_iter_, peak() - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    parser.add_argument("--one", nargs=3, type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        measure(given.one[0], given.one[1], given.one[2] or None)
        return
    n, k = 200 if given.quick else 2000, 8
    print(f"rows {n} x {N_TOKENS}, K = {k}: {2 * n * N_TOKENS / 1e6:.0f} MB of logits")
    seconds = {}
    for name, resolution in (("density", 0), ("resolution 100", 100)):
        command = [sys.executable, __file__, "--one", str(n), str(k), str(resolution)]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        seconds[name] = float(found[0])
        print(
            f"{name:>15}: {seconds[name]:7.2f} s, {found[1]} passes, {float(found[2]):5.0f} MB more"
        )
    ratio = seconds["density"] / seconds["resolution 100"]
    print(f"ratio {ratio:.2f}, goal {GOAL:.1f}")


if __name__ == "__main__":
    main()
