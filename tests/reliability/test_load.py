"""Large data, to the end, within stated memory, and with the answers that were put in.

The limits are of the whole process, Python, NumPy and SciPy with it.  The system refuses more: what
is asked for above the limit is a MemoryError.

    fit of rows that are mapped    400 MB, however many rows there are
    counts of text in chunks       300 MB, and 100 bytes for each different (context, token)
    recorded top-20 rows           400 MB, and 3 kB for each row
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
        # Not ru_maxrss, which begins with what the process had that this one was forked from.
        status = open("/proc/self/status").read()
        found["peak"] = 1024 * int(status.partition("VmHWM:")[2].split()[0])
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


# Three groups of rows of 64 probabilities.
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


# A chain over 1,000 tokens, each followed by 20 others, equally often.
COUNT_TEXT = """
    import numpy as np
    import matrixbayes as mb
    n, order = int(given[0]), int(given[1])
    rng, width, length = np.random.default_rng(0), 1000, 1000
    after = np.argsort(rng.random((width, width)), axis=1)[:, :20]
    matrix = mb.TransitionMatrix(order, n_tokens=width)
    pairs = np.zeros((width, width), dtype=np.int64)
    watched, seen = None, 0
    for start in range(0, n, 2_000_000):
        text = np.empty((min(2_000_000, n - start) // length, length), dtype=np.int64)
        text[:, 0] = rng.integers(width, size=len(text))
        for t in range(1, length):
            text[:, t] = after[text[:, t - 1], rng.integers(20, size=len(text))]
        matrix.update(text)
        at = slice(order - 1, -1), slice(order, None)
        pairs += np.bincount(
            (text[:, at[0]] * width + text[:, at[1]]).ravel(), minlength=width**2
        ).reshape(width, width)
        windows = np.lib.stride_tricks.sliding_window_view(text, order + 1, axis=1)
        watched = text[0, :order] if watched is None else watched
        seen += (windows[..., :order] == watched).all(axis=-1).sum()
    rows = matrix.rows()
    last = matrix.contexts()[:, -1]
    found_pairs = np.zeros_like(pairs)
    lengths = np.diff(rows.indptr)
    np.add.at(found_pairs, (np.repeat(last, lengths), rows.indices), rows.data.astype(np.int64))
    found = {
        "observed": int(matrix.n_observed),
        "expected": n - order * (n // length),
        "same": bool((found_pairs == pairs).all()),
        "watched": [int(matrix.totals([watched])[0]), int(seen)],
        "pairs": int(matrix.n_pairs),
        "bytes": int(matrix.nbytes),
    }
"""


@pytest.mark.parametrize("order", [1, 2, 3])
def test_counts_of_text_in_chunks(
    order: int, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """200 million tokens: every pair is counted, as np.bincount has it."""
    n = of_tier(100_000, 4_000_000, 200_000_000)
    pairs = min(n, 1000 * 20**order)
    found = run_within(300 * MB + 100 * pairs, COUNT_TEXT, tmp_path, n, order)
    assert found["observed"] == found["expected"]
    assert found["same"]
    assert found["watched"][0] == found["watched"][1] > 0
    figure(
        f"{n:,} tokens, order {order}, {found['pairs']:,} pairs: {found['seconds']:.0f} s of CPU, "
        f"{found['peak'] / MB:.0f} MB, of which counts {found['bytes'] / MB:.0f} MB"
    )


# One group of 200 tokens, of which the twenty most probable are listed.
WRITE_RECORDS = """
    import json
    import numpy as np
    rng, n, width = np.random.default_rng(0), int(given[0]), 200
    alpha = 60.0 / np.arange(1, width + 1)
    with open(f"{folder}/records.jsonl", "w") as file:
        for start in range(0, n, 1000):
            rows = rng.dirichlet(alpha, size=min(1000, n - start))
            best = np.argsort(-rows, axis=1)[:, :20]
            for row, ids in zip(rows, best):
                place = {
                    str(i): {"logprob": p, "rank": k + 1, "decoded_token": f"t{i}"}
                    for k, (i, p) in enumerate(zip(ids.tolist(), np.log(row[ids]).tolist()))
                }
                choice = {"index": 0, "prompt_logprobs": [None, place]}
                file.write(json.dumps({"choices": [choice]}) + "\\n")
    found = {}
"""
FIT_RECORDS = """
    import numpy as np
    import matrixbayes as mb
    rows = mb.from_vllm(f"{folder}/records.jsonl", prompt=True)
    fitted = mb.DirichletMixtureEstimator(1, random_state=0, n_jobs=2).fit(rows)
    alpha = 60.0 / np.arange(1, 201)
    means = {name: float(m) for name, m in zip(rows.tokens, fitted.prior_.mean())}
    true = alpha / alpha.sum()
    found = {
        "rows": rows.shape[0],
        "off": max(abs(means[f"t{i}"] / true[i] - 1.0) for i in range(3)),  # which every row lists
    }
"""


def test_recorded_rows(tmp_path: Path, figure: Callable[[str], None]) -> None:
    """100,000 prompts of top-20 rows, as vLLM writes them: the means of the prior come back."""
    n = of_tier(500, 2_000, 100_000)
    run_within(400 * MB, WRITE_RECORDS, tmp_path, n)
    found = run_within(400 * MB + 3000 * n, FIT_RECORDS, tmp_path)
    assert found["rows"] == n
    assert found["off"] < 0.02 + 1.0 / n**0.5
    figure(
        f"{n:,} recorded top-20 rows, read and fitted: {found['seconds']:.0f} s of CPU, "
        f"{found['peak'] / MB:.0f} MB; means off by {found['off']:.1%} at most"
    )
