"""Eliciting a prior: one value and gradient against NumPy, and whole searches, in the same run.

    python benchmarks/elicitation.py [--quick]

Histories are beginnings of texts that urns and Markov chains wrote, half of each; the model is the
exact predictive of the family, with noise.  Sizes: 3,300 histories of up to 100 tokens over 2
labels, and 5,000 over 1,000 tokens; one Dirichlet a part, the default starts, one thread.

One value and gradient is timed, its sums over tokens alone, and these by the kernel that takes any
number of Dirichlets and in NumPy and BLAS, in blocks.  A whole search is timed against L-BFGS-B in
plain logarithms of alpha on the same function, from the first four of the same starts; and, over 2
labels, against Nelder-Mead and then BFGS without gradients from 12 random starts, as one would do
by hand.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits
from transitions import best

from matrixbayes import DirichletMixture, _core, elicit_prior, windtunnel
from matrixbayes.elicitation.design import FAMILIES, design
from matrixbayes.elicitation.histories import checked_histories
from matrixbayes.elicitation.objective import Objective, Predictor
from matrixbayes.elicitation.parameters import Layout, Parameters
from matrixbayes.elicitation.search import starting_points

Floats = NDArray[np.float64]
BLOCK = 64  # rows that NumPy works on at a time


def texts(n: int, n_tokens: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Beginnings, of 0 to 100 tokens, of texts from urns and from chains."""
    flat = DirichletMixture([1.0], [np.full(n_tokens, 20.0 / n_tokens)])
    half = n // 2
    urns = windtunnel.Urns(flat).sample(half, 100, rng=rng)
    chains = windtunnel.MarkovChains(flat).sample(n - half, 100, rng=rng)
    return [t[:m] for t, m in zip([*urns, *chains], rng.integers(0, 101, n), strict=True)]


def planted(
    family: str, n_tokens: int, histories: list[NDArray[np.int64]], rng: np.random.Generator
) -> Objective:
    """The objective on noisy predictions of a known member of the family."""
    priors = {
        part: (np.ones(1), rng.gamma(1.0, 20.0 / n_tokens, (1, n_tokens)) + 1e-3)
        for part in FAMILIES[family]
    }
    truth = Parameters(priors, 0.5 if len(priors) > 1 else 1.0)
    seen = design(checked_histories(histories, "tokens", n_tokens), family, 1, False)
    predictor = Predictor(seen, 1.0)
    p = predictor.rows(predictor.forward(truth), 1.0, seen.group)
    q = p * np.exp(0.1 * rng.standard_normal(p.shape))
    layout = Layout(FAMILIES[family], 1, n_tokens, 1.0, 1.0, 1.0)
    n = len(histories)
    log_probs = np.log(q / q.sum(axis=1, keepdims=True))
    return Objective(predictor, layout, log_probs, np.full(n, 1.0 / n))


def numpys(mass: Floats, alpha: Floats, share: Floats, starts: Any, columns: Any, entries: Floats,
           power: float) -> tuple[float, Floats, Floats, Floats, float]:  # fmt: skip
    """`_core.divergence` in NumPy and BLAS, for a power of 1."""
    value, by_power = 0.0, 0.0
    by_alpha, by_share = np.zeros_like(alpha), np.empty_like(share)
    by_entries = np.empty_like(entries)
    for first in range(0, len(mass), BLOCK):
        rows = slice(first, min(first + BLOCK, len(mass)))
        own = slice(starts[rows.start], starts[rows.stop])
        row = np.repeat(np.arange(rows.stop - first), np.diff(starts[first : rows.stop + 1]))
        p = share[:, rows].T @ alpha
        np.add.at(p, (row, columns[own]), entries[own])
        log_p, m = np.log(p), mass[rows]
        cross = float(np.vdot(m, log_p))
        total = m.sum(axis=1, keepdims=True)
        value -= cross
        by_power -= cross - float(np.sum(total * p * log_p))
        slope = total - m / p
        by_alpha += share[:, rows] @ slope
        by_share[:, rows] = alpha @ slope.T
        by_entries[own] = slope[row, columns[own]]
    return value, by_alpha, by_share, by_entries, by_power


def one_gradient(objective: Objective, family: str, repeat: int) -> None:
    """A line of the table: value and gradient, and the sums over tokens in three ways."""
    theta = next(starting_points(objective, np.random.default_rng(0)))
    found = objective.predictor.forward(objective.layout.unpack(theta))
    alpha = np.concatenate([state.alpha for state in found.states])
    arguments = (objective.mass, alpha, found.share, objective.predictor.starts)
    arguments += (objective.predictor.columns, found.entries, 1.0)
    calls = (
        lambda: objective.sums_over_tokens(found, 1.0),
        lambda: _core.divergence(*arguments),
        lambda: numpys(*arguments),
    )
    for call in calls[:2]:
        for mine, theirs in zip(call(), numpys(*arguments), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-8, atol=1e-12)
    whole = best(lambda: objective(theta), repeat)
    ours, kernel, other = (best(call, repeat) for call in calls)
    read = best(lambda: objective.mass.sum(), repeat)  # what it takes to read the rows once
    n, width = objective.mass.shape
    times = "".join(f"{1e3 * time:10.2f}" for time in (whole, ours, kernel, other))
    print(
        f"{n:>6} x {width:<6}{family:>12}{times}"
        f"{other / ours:8.1f}{other / kernel:8.1f}{kernel / read:8.1f}"
    )


def whole_search(
    objective: Objective, histories: list[NDArray[np.int64]], family: str, n_tokens: int
) -> None:
    """A line of the table: `elicit_prior` against other searches of the same function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rare tokens are not identified
        begin = time.perf_counter()
        found = elicit_prior(
            histories, objective.log_probs, kind="log_probs", family=family, rng=0, n_jobs=1
        )
        ours = time.perf_counter() - begin
    points = starting_points(objective, np.random.default_rng(0))
    options = {"maxcor": 30, "maxiter": 1000, "maxfun": 20_000, "ftol": 0.0, "gtol": 1e-9}
    bounds = np.column_stack(objective.layout.limits())
    begin = time.perf_counter()
    plain = [
        minimize(objective, next(points), jac=True, method="L-BFGS-B", bounds=bounds,
                 options=options)
        for _ in range(4)
    ]  # fmt: skip
    theirs = time.perf_counter() - begin
    gap = found.mean_kl - min(run.fun for run in plain)
    line = f"{len(histories):>6} x {n_tokens:<6}{family:>12}{ours:10.2f}{theirs:10.2f}"
    line += f"{theirs / ours:8.1f}{gap:12.1e}"
    if n_tokens == 2:
        begin = time.perf_counter()
        value = by_hand(objective)
        took = time.perf_counter() - begin
        line += f"{took:10.1f}{took / ours:8.0f}{found.mean_kl - value:12.1e}"
    print(line)


def by_hand(objective: Objective) -> float:
    """Nelder-Mead, then BFGS with differences for gradients, from 12 starts."""
    rng = np.random.default_rng(1)
    lower, upper = objective.layout.limits()

    def value(theta: Floats) -> float:
        return objective(np.clip(theta, lower, upper))[0]

    found = np.inf
    for _ in range(12):
        rough = minimize(
            value, rng.normal(size=objective.layout.size), method="Nelder-Mead",
            options={"maxiter": 400},
        )  # fmt: skip
        found = min(found, minimize(value, rough.x, method="BFGS").fun)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a tenth of the histories")
    quick = parser.parse_known_args()[0].quick
    rng = np.random.default_rng(0)
    cases = []
    for n, n_tokens in ((3300, 2), (5000, 1000)):
        histories = texts(n // 10 if quick else n, n_tokens, rng)
        cases += [
            (n_tokens, histories, family, planted(family, n_tokens, histories, rng))
            for family in FAMILIES
        ]
    print("value and gradient, ms; its sums over tokens, ms, by the kernel, in NumPy; NumPy over")
    print("both; the kernel over reading the rows once\n")
    print(
        f"{'distinct x tokens':>17}{'family':>8}{'ours':>10}{'sums':>10}{'kernel':>10}{'NumPy':>10}"
        f"{'ratio':>8}{'ratio':>8}{'reads':>8}"
    )
    for n_tokens, _, family, objective in cases:
        one_gradient(objective, family, 50 if n_tokens == 2 else 7)
    print("\nwhole searches, s, and how far above the other's mean KL ours ends, nats\n")
    print(
        f"{'histories x tokens':>18}{'family':>7}{'ours':>10}{'plain':>10}{'ratio':>8}{'above':>12}"
        f"{'by hand':>10}{'ratio':>8}{'above':>12}"
    )
    for n_tokens, histories, family, objective in cases:
        whole_search(objective, histories, family, n_tokens)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
