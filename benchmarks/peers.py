"""Whole fits against other programs, those that are installed: same data, same machine.

    python benchmarks/peers.py [--quick] [--limit SECONDS]

Each runs in a process of its own, with the settings it comes with, and is stopped at the limit.
The log-likelihood of the result is always computed here; DirichletMultinomial maximises a penalised
one, so ours is fitted with the same penalty too, and that function evaluated at both.  How to
install the others: README.md beside this file.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from counts import make_case

from matrixbayes import DirichletMixture, DirichletMixtureEstimator, GammaPrior, read_easel
from matrixbayes.estimator.penalty import Penalty

# DirichletMultinomial's: a Gamma(0.1, 0.1) on each alpha, its density taken per unit of ln alpha
PENALTY = GammaPrior(0.1, 0.1, on="log_alpha")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

R_FIT = """
suppressMessages(library(DirichletMultinomial))
options(digits = 17)
a <- commandArgs(trailingOnly = TRUE)
counts <- as.matrix(read.csv(a[1], header = FALSE)); dimnames(counts) <- NULL
rownames(counts) <- seq_len(nrow(counts)); colnames(counts) <- seq_len(ncol(counts))
took <- system.time(fitted <- dmn(counts, as.integer(a[2]), seed = 1))[["elapsed"]]
out <- cbind(mixturewt(fitted)$pi, t(fitted(fitted, scale = FALSE)))
write.table(rbind(c(took, rep(0, ncol(out) - 1)), out), a[3], row.names = FALSE, col.names = FALSE)
"""

PYDIMM_FIT = """
import sys, time, numpy as np
from pyDIMM import DirichletMultinomialMixture
counts = np.loadtxt(sys.argv[1], delimiter=",")
model = DirichletMultinomialMixture(int(sys.argv[2]), tol=1e-6, max_iter=1000, random_state=1)
began = time.perf_counter()
model.fit(counts)
took = time.perf_counter() - began
out = np.column_stack([model.weights, model.alphas])
np.savetxt(sys.argv[3], np.vstack([np.r_[took, 0.0, np.zeros(out.shape[1] - 2)], out]))
"""

DIRICHLET_FIT = """
import sys, time, numpy as np, dirichlet
rows = np.load(sys.argv[1])
began = time.perf_counter()
alpha = dirichlet.mle(rows)
took = time.perf_counter() - began
np.savetxt(sys.argv[3], np.vstack([np.r_[took, np.zeros(len(alpha))], np.r_[1.0, alpha]]))
"""

NONGAUSSIAN_FIT = """
import sys, time, numpy as np
from nongaussian_mixtures import DirichletMixture
rows = np.load(sys.argv[1])
model = DirichletMixture(int(sys.argv[2]), tol=1e-10, max_iter=2000, random_state=1)
began = time.perf_counter()
model.fit(rows)
took = time.perf_counter() - began
out = np.column_stack([model.weights_, model.alphas_])
first = np.zeros(out.shape[1])
first[:2] = took, model.n_iter_
np.savetxt(sys.argv[3], np.vstack([first, out]))
"""

# Seconds, passes (0: it does not say) and the mixture; or why there is none.
Outcome = tuple[float, int, DirichletMixture] | str


def run(command: list[str], limit: float) -> tuple[float, str]:
    """Seconds that a program took, and what went wrong."""
    began = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            timeout=limit,
            capture_output=True,
            text=True,
            env=os.environ | ONE_THREAD,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return limit, f"more than {limit:g} s"
    took = time.perf_counter() - began
    if done.returncode == 0:
        return took, ""
    said = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
    return took, next((line for line in said if "Error" in line), said[-1])[:90]


def by_script(prefix: list[str], data: Path, k: int, limit: float) -> Outcome:
    """Run a script that writes its seconds and passes, then a line (weight, alpha) a component."""
    out = data.with_suffix(".out")
    out.unlink(missing_ok=True)
    _, wrong = run([*prefix, str(data), str(k), str(out)], limit)
    if wrong:
        return wrong
    found = np.loadtxt(out)
    mixture = DirichletMixture(found[1:, 0] / found[1:, 0].sum(), found[1:, 1:])
    return float(found[0, 0]), int(found[0, 1]), mixture


def dirichlet_multinomial(counts: np.ndarray, k: int, folder: Path, limit: float) -> Outcome:
    """R's package DirichletMultinomial."""
    if shutil.which("Rscript") is None:
        return "no R here"
    asked = "quit(status = !requireNamespace('DirichletMultinomial', quietly = TRUE))"
    if run(["Rscript", "-e", asked], 60.0)[1]:
        return "not installed in R"
    data = folder / "counts.csv"
    np.savetxt(data, counts, fmt="%d", delimiter=",")
    script = folder / "fit.R"
    script.write_text(R_FIT)
    return by_script(["Rscript", str(script)], data, k, limit)


def easel(counts: np.ndarray, k: int, folder: Path, limit: float) -> Outcome:
    """Easel's esl-mixdchlet."""
    program = os.environ.get("ESL_MIXDCHLET") or shutil.which("esl-mixdchlet")
    if program is None:
        return "no esl-mixdchlet on the PATH, nor in ESL_MIXDCHLET"
    data, out = folder / "counts.txt", folder / "easel.out"
    np.savetxt(data, counts, fmt="%d")
    command = [program, "fit", "-s", "1", str(k), str(counts.shape[1]), str(data), str(out)]
    seconds, wrong = run(command, limit)
    return wrong or (seconds, 0, read_easel(out))


def pydimm(counts: np.ndarray, k: int, folder: Path, limit: float) -> Outcome:
    """The Python package pyDIMM."""
    python = os.environ.get("PYDIMM_PYTHON")
    if python is None and importlib.util.find_spec("pyDIMM") is None:
        return "not installed, nor named by PYDIMM_PYTHON"
    data = folder / "counts.csv"
    np.savetxt(data, counts, fmt="%d", delimiter=",")
    return by_script([python or sys.executable, "-c", PYDIMM_FIT], data, k, limit)


def dirichlet(rows: np.ndarray, k: int, folder: Path, limit: float) -> Outcome:
    """The Python package dirichlet, for one component."""
    if importlib.util.find_spec("dirichlet") is None:
        return "not installed"
    data = folder / "rows.npy"
    np.save(data, rows)
    return by_script([sys.executable, "-c", DIRICHLET_FIT], data, k, limit)


def nongaussian(rows: np.ndarray, k: int, folder: Path, limit: float) -> Outcome:
    """The Python package nongaussian-mixtures, from one start."""
    python = os.environ.get("NONGAUSSIAN_PYTHON")
    if python is None and importlib.util.find_spec("nongaussian_mixtures") is None:
        return "not installed, nor named by NONGAUSSIAN_PYTHON"
    data = folder / "rows.npy"
    np.save(data, rows)
    return by_script([python or sys.executable, "-c", NONGAUSSIAN_FIT], data, k, limit)


def ours(data: Any, k: int, kind: str, penalty: GammaPrior | None = None) -> Outcome:
    """The best of two k-means starts, whose cost is in the time."""
    fitted = DirichletMixtureEstimator(
        k,
        kind=kind,
        tol=1e-10,
        max_iter=2000,
        n_init=1 if k == 1 else 2,
        random_state=0,
        n_jobs=1,
        concentration_prior=penalty,
    )
    began = time.perf_counter()
    fitted.fit(data)
    return time.perf_counter() - began, fitted.n_iter_, fitted.prior_


def log_likelihood(mixture: DirichletMixture, data: Any, kind: str) -> float:
    """Of all rows; of counts as sequences."""
    judge = DirichletMixtureEstimator(mixture.n_components, kind=kind)
    judge.prior_, judge.n_features_in_ = mixture, mixture.n_tokens
    return float(judge.score_samples(data).sum())


def penalised(mixture: DirichletMixture, data: Any, kind: str) -> float:
    """The log-likelihood and the logarithm of DirichletMultinomial's prior."""
    added = Penalty.of(PENALTY, 1e10)
    return log_likelihood(mixture, data, kind) + added.log_density(mixture)


def table(title: str, data: Any, kind: str, fits: dict[str, Callable[[], Outcome]]) -> None:
    """Run and print the fits to one data set."""
    print(f"\n{title}")
    print(f"{'':34}{'seconds':>9}{'passes':>8}{'log-likelihood':>18}{'penalised':>18}")
    for name, fit in fits.items():
        found = fit()
        if isinstance(found, str):
            print(f"{name:34}{'skipped: ' + found}")
            continue
        seconds, passes, mixture = found
        print(
            f"{name:34}{seconds:9.3f}{passes or '?':>8}{log_likelihood(mixture, data, kind):18.4f}"
            f"{penalised(mixture, data, kind):18.4f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for each program")
    asked = parser.parse_args()
    # rows, tokens, components, draws a row
    cases = [(20_000, 20, 3, 80), (2_000, 200, 4, 100), (20_000, 1_000, 8, 50)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for n, v, k, draws in cases:
            n = n // 10 if asked.quick else n
            counts, _ = make_case(n, v, k, draws)
            dense = counts.toarray()
            given = (dense, k, folder, asked.limit)
            table(
                f"counts, {n} x {v}, K = {k}",
                counts,
                "counts",
                {
                    "matrixbayes": lambda c=counts, k=k: ours(c, k, "counts"),
                    "matrixbayes, penalised": lambda c=counts, k=k: ours(c, k, "counts", PENALTY),
                    "DirichletMultinomial (penalised)": lambda g=given: dirichlet_multinomial(*g),
                    "Easel": lambda g=given: easel(*g),
                    "pyDIMM": lambda g=given: pydimm(*g),
                },
            )
        for n, v, k in ((20_000, 100, 8), (2_000, 1_000, 8)):
            n = n // 10 if asked.quick else n
            rng = np.random.default_rng(1)
            truth = DirichletMixture(np.full(k, 1.0 / k), rng.gamma(1.0, 1.0, (k, v)) + 0.5)
            rows = truth.sample(n, rng=rng)
            given = (rows, k, folder, asked.limit)
            table(
                f"rows, {n} x {v}, K = {k}",
                rows,
                "probs",
                {
                    "matrixbayes": lambda r=rows, k=k: ours(r, k, "probs"),
                    "nongaussian-mixtures": lambda g=given: nongaussian(*g),
                },
            )
        for n, v in ((20_000, 1_000), (200, 50_257)):
            n = n // 10 if asked.quick else n
            rng = np.random.default_rng(1)
            truth = DirichletMixture([1.0], rng.gamma(1.0, 1.0, (1, v)) + 0.5)
            rows = truth.sample(n, rng=rng)
            table(
                f"one Dirichlet, {n} x {v}",
                rows,
                "probs",
                {
                    "matrixbayes": lambda r=rows: ours(r, 1, "probs"),
                    "dirichlet": lambda r=rows: dirichlet(r, 1, folder, asked.limit),
                },
            )


if __name__ == "__main__":
    main()
