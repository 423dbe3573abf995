"""Children of a process whose threads have worked: they fit again, in time, as it does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info, threadpool_limits
from tiers import of_tier

from matrixbayes._base.parallel import one_blas_thread

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# What a child does, and what comes of it; others have threads at work while it is made.
WORK = """
import hashlib, multiprocessing, os, signal, sys, threading, warnings
import numpy as np
import matrixbayes as mb
warnings.simplefilter("ignore")
folder = sys.argv[1]
rows = np.random.default_rng(0).dirichlet(np.ones(8), 4000)
texts = np.random.default_rng(1).integers(0, 8, 3000)
histories = [[i % 3, i % 2] for i in range(8)]

def fit(n_jobs=2):
    made = mb.DirichletMixtureEstimator(2, kind="probs", random_state=0, n_jobs=n_jobs, max_iter=20)
    return made.fit(rows).alpha_.tobytes()

def work():
    matrix = mb.TransitionMatrix.open(folder + "/matrix").update(texts)
    prior = mb.DirichletMixture.load(folder + "/prior")
    rows_after = np.tile(prior.mean(), (8, 1))
    own = mb.elicit_prior(histories, rows_after, kind="probs", family="iid", rng=0)
    parts = [fit(), fit(1), matrix.predict([[0], [1]]).tobytes(), prior.alpha.tobytes()]
    parts += [matrix.scores(texts).tobytes(), own.prior.alpha.tobytes()]
    return hashlib.sha256(b"".join(parts)).hexdigest()

if __name__ == "__main__":
    mb.TransitionMatrix(1, n_tokens=8).update(texts).save(folder + "/matrix")
    mb.DirichletMixture([0.5, 0.5], np.ones((2, 8))).save(folder + "/prior")
    expected, ended = work(), threading.Event()

    def at_work():
        while not ended.is_set():
            fit()

    busy = [threading.Thread(target=at_work) for _ in range(int(sys.argv[3]))]
    for each in busy:
        each.start()
    n = int(sys.argv[4])
    if sys.argv[2] == "os.fork":
        for _ in range(n):
            child = os.fork()
            if child == 0:
                signal.alarm(60)  # ends one that waits for a thread that it does not have
                os._exit(0 if work() == expected else 3)
            assert os.waitpid(child, 0)[1] == 0
    else:
        context = multiprocessing.get_context(sys.argv[2])
        with context.Pool(n) as pool:
            asked = [pool.apply_async(work) for _ in range(n)]
            assert [each.get(100) for each in asked] == [expected] * n
    ended.set()
    for each in busy:
        each.join()
    print("as before")
"""


WAYS = ["os.fork", *multiprocessing.get_all_start_methods()]


@pytest.mark.promise(10)
@pytest.mark.parametrize("busy", of_tier([0], [0], [0, 2]))
@pytest.mark.parametrize("way", of_tier(WAYS[:1], WAYS, WAYS))
def test_children_work_as_their_parent_does(
    way: str, busy: int, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    program = tmp_path / "program.py"
    program.write_text(WORK)
    given = [str(tmp_path), way, str(busy), "2"]
    command = [sys.executable, str(program), *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "as before\n"
    figure(f"2 children by {way}, {busy} threads at work meanwhile: they fit and find the same")


@pytest.mark.promise(10)
def test_a_child_waits_for_no_thread_that_it_does_not_have() -> None:
    """Forked while another thread sets how many threads BLAS has, or is between one and two."""

    def threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(2, "blas"):
        before = threads()
        with one_blas_thread, one_blas_thread._lock:
            child = os.fork()
            if child == 0:
                try:
                    signal.alarm(20)  # ends one that waits
                    anew = threads() == before
                    with one_blas_thread:
                        alone = threads() <= {1}
                    os._exit(0 if anew and alone and threads() == before else 3)
                finally:
                    os._exit(4)
        assert os.waitpid(child, 0)[1] == 0
        assert threads() == before
        with one_blas_thread:
            one_blas_thread.in_child()  # of a thread that forks inside, and goes on
            assert threads() == before
        assert threads() == before
