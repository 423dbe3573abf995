"""A thousand fits in a row do not grow the process, nor do updates, files and paths."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reliability.kept import LIBC
from tiers import alone, of_tier, untraced

import matrixbayes as mb

pytestmark = [
    alone,
    untraced,
    pytest.mark.promise(21),
    pytest.mark.no_sanitizer,  # it keeps what is freed for a while
    pytest.mark.filterwarnings("ignore"),  # fits of a few steps say that they are
    pytest.mark.skipif(not hasattr(LIBC, "mallinfo2"), reason="memory is read from glibc"),
]

TIMES = of_tier(50, 1000, 1000)
ROUNDS = 3  # a leak shows in each
PRIOR = mb.DirichletMixture([0.6, 0.4], [[4.0, 1.0, 1.0], [1.0, 4.0, 4.0]])
ROWS = PRIOR.sample(200, rng=0, kind="log_probs")
COUNTS = np.random.default_rng(0).integers(0, 4, (50, 3))
HISTORIES = [[(7 * i + t * t) % 3 for t in range(i % 4)] for i in range(16)]
SEEN = np.array([np.bincount(h, minlength=3) + 1.0 for h in HISTORIES])


def fitted(rows: Any = ROWS, kind: str = "log_probs", n_jobs: int = 1) -> None:
    few: dict[str, Any] = {"max_iter": 5, "tol": 1e-3, "n_init": 1, "random_state": 0}
    mb.DirichletMixtureEstimator(2, kind=kind, n_jobs=n_jobs, **few).fit(rows)


def elicited() -> None:
    rows = SEEN / SEEN.sum(axis=1)[:, np.newaxis]
    mb.elicit_prior(HISTORIES, rows, kind="probs", family="iid", max_iter=20, rng=0)


def updated(matrix: mb.TransitionMatrix) -> None:
    """Counts come, and go again."""
    tokens = [0, 1, 2, 0, 1, 1, 2, 0]
    matrix.update(tokens).downdate(tokens)


def filed(folder: Path) -> None:
    path = folder / "prior.safetensors"
    PRIOR.save(path)
    mb.DirichletMixture.load(path)
    path = folder / "matrix.safetensors"
    mb.TransitionMatrix(1, n_tokens=3).update([0, 1, 2, 0]).save(path)
    mb.TransitionMatrix.open(path)
    path = folder / "rows.safetensors"
    mb.NextTokenRows(ROWS[:5]).save(path)
    mb.NextTokenRows.load(path, mapped=True)


def readings() -> tuple[int, int, int]:
    """Blocks of Python's, KiB of the C library, KiB of the process."""
    gc.collect()
    sys._clear_type_cache()  # it keeps names that attributes were looked up by
    numbers = LIBC.mallinfo2().numbers
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return sys.getallocatedblocks(), (numbers[4] + numbers[7]) >> 10, pages * 4


@pytest.mark.parametrize(
    ("what", "share"),
    [
        ("fits", 1.0),
        ("fits of counts", 1.0),
        ("fits in two threads", 1.0),
        ("elicited priors", 0.2),
        ("updates", 1.0),
        ("files saved and loaded", 0.4),
        ("posterior paths", 0.4),
    ],
)
def test_a_thousand_in_a_row_grow_nothing(
    what: str, share: float, figure: Callable[[str], None], tmp_path: Path
) -> None:
    matrix = mb.TransitionMatrix(2, n_tokens=3, hierarchical=True).update([0, 1, 2, 1] * 9)
    call: Callable[[], object] = {
        "fits": fitted,
        "fits of counts": lambda: fitted(COUNTS, "counts"),
        "fits in two threads": lambda: fitted(n_jobs=2),
        "elicited priors": elicited,
        "updates": lambda: updated(matrix),
        "files saved and loaded": lambda: filed(tmp_path),
        "posterior paths": lambda: mb.posterior_path(PRIOR, [0, 1, 2, 2]).interval(),
    }[what]
    times = max(int(TIMES * share), 20)
    for _ in range(max(times // 5, 20)):
        call()
    for _ in range(ROUNDS):
        before, began = readings(), time.process_time()
        for _ in range(times):
            call()
        seconds = time.process_time() - began
        blocks, inside, resident = (b - a for a, b in zip(before, readings(), strict=True))
        # The readings are some blocks; what each call kept would be 32 bytes at least.
        if blocks <= 16 and inside < max(times // 32, 8) and resident < 1024:
            break
    else:
        pytest.fail(f"{what} keep memory: {blocks} blocks, {inside} KiB, {resident} KiB resident")
    figure(
        f"{times} {what} in {seconds:.1f} s: {blocks:+d} blocks, {inside:+d} KiB allocated, "
        f"{resident:+d} KiB resident"
    )


def test_growth_is_seen() -> None:
    """Each call keeps the smallest piece of memory there is."""
    kept: list[bytes] = []
    before = readings()
    for n in range(1000):
        kept.append(bytes([n % 256]) * 600)
    blocks, inside, _ = (b - a for a, b in zip(before, readings(), strict=True))
    assert blocks >= 500
    assert inside >= 15
