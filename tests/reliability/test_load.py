"""Large data, to the end, within stated memory, and with the answers that were put in.

The limits are of the whole process, Python, NumPy and SciPy with it.  The system refuses more: what
is asked for above the limit is a MemoryError.

    fit of rows that are mapped    400 MB, however many rows there are
    counts of text in chunks       250 MB, and 48 bytes for each different (context, token)
    recorded top-20 rows           400 MB, and 1.5 kB for each row (20 entries, as they are listed)
"""

from __future__ import annotations

import inspect
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiers import of_tier

pytestmark = [pytest.mark.promise(21), pytest.mark.no_sanitizer]  # which takes memory of its own
MB = 1 << 20


def run_within(limit: int, code: str, folder: Path, *arguments: object) -> dict[str, Any]:
    """What code prints as JSON in a process that may hold `limit` bytes, and its peak of them.

    What is mapped from files is in the peak, and not in what the system refuses.
    """

    def refuse_more() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    begin = "import json, resource, sys\nfolder, *given = sys.argv[1:]\n"
    end = """
        own = resource.getrusage(resource.RUSAGE_SELF)
        found["peak"] = 1024 * own.ru_maxrss
        found["seconds"] = own.ru_utime + own.ru_stime
        print(json.dumps(found))
    """
    code = begin + inspect.cleandoc(code) + "\n" + inspect.cleandoc(end)
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=refuse_more,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["peak"] < limit, f"{found['peak'] / MB:.0f} MB, and stated are {limit / MB:.0f}"
    return found


# Three groups, of which two overlap; each row of 64 probabilities.
TRUTH = """
    import numpy as np
    import matrixbayes as mb
    v = np.arange(64)
    alpha = np.array([40.0 / (1 + v), 0.4 + 0.02 * v, 2.0 + np.sin(v)])
    truth = mb.DirichletMixture([0.5, 0.3, 0.2], alpha)
"""
WRITE_ROWS = (
    TRUTH
    + """
    rng, n = np.random.default_rng(0), int(given[0])
    with open(f"{folder}/rows.f32", "wb") as file:
        for start in range(0, n, 50_000):
            rows = truth.sample(min(50_000, n - start), rng=rng, kind="log_probs")
            rows.astype(np.float32).tofile(file)
    found = {}
"""
)
FIT_ROWS = (
    TRUTH
    + """
    rows = np.memmap(f"{folder}/rows.f32", np.float32, "r").reshape(-1, 64)
    fitted = mb.DirichletMixtureEstimator(3, kind="log_probs", random_state=0, n_jobs=2).fit(rows)
    found = {
        "rows": len(rows),
        "used": fitted.n_rows_,
        "converged": fitted.converged_,
        "passes": fitted.n_iter_,
        "weights": fitted.weights_.tolist(),
        "alpha": float(np.abs(fitted.alpha_ / alpha - 1.0).max()),
    }
"""
)


def test_a_fit_of_rows_that_are_mapped(tmp_path: Path, figure: Callable[[str], None]) -> None:
    """10 million rows of 64 columns: the mixture that they are from comes back."""
    n = of_tier(20_000, 200_000, 10_000_000)
    run_within(400 * MB, WRITE_ROWS, tmp_path, n)
    size = (tmp_path / "rows.f32").stat().st_size
    try:
        found = run_within(400 * MB, FIT_ROWS, tmp_path)
    finally:
        (tmp_path / "rows.f32").unlink()
    assert found["rows"] == found["used"] == n
    assert found["converged"]
    weights, error = found["weights"], 5.0 / n**0.5  # some standard errors
    assert weights == pytest.approx([0.5, 0.3, 0.2], abs=error)
    assert found["alpha"] < 10.0 * error
    figure(
        f"{n:,} rows x 64 ({size / MB:,.0f} MB mapped), {found['passes']} passes: "
        f"{found['seconds']:.0f} s of CPU, {found['peak'] / MB:.0f} MB"
    )
