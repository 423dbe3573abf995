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

Then families of trees, balance and keys with priors of their own: one value and gradient, against
the slow twin of the tests where there is one, and whole searches, of 14 starts over 2 labels.  The
histories are the same; and 33 texts of 100 tokens, over 2 labels, with all that they begin with.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits
from transitions import best

from matrixbayes import DirichletMixture, _core, elicit_prior, windtunnel
from matrixbayes.elicitation.design import design
from matrixbayes.elicitation.histories import checked_histories
from matrixbayes.elicitation.objective import Objective, Predictor
from matrixbayes.elicitation.parameters import Layout, Parameters, fields_of
from matrixbayes.elicitation.search import starting_points

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/elicitation"))
from tree_twin import value_and_gradient

Floats = NDArray[np.float64]
FAMILIES = {"iid": ("iid",), "markov": ("markov",), "iid+markov": ("iid", "markov")}
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
        p[row, columns[own]] = entries[own]
        log_p, m = np.log(p), mass[rows]
        cross = float(np.vdot(m, log_p))
        total = m.sum(axis=1, keepdims=True)
        value -= cross
        by_power -= cross - float(np.sum(total * p * log_p))
        slope = total - m / p
        by_entries[own] = slope[row, columns[own]]
        slope[row, columns[own]] = 0.0
        by_alpha += share[:, rows] @ slope
        by_share[:, rows] = alpha @ slope.T
    return value, by_alpha, by_share, by_entries, by_power


def one_gradient(objective: Objective, family: str, repeat: int) -> None:
    """A line of the table: value and gradient, and the sums over tokens in three ways."""
    theta = next(starting_points(objective, np.random.default_rng(0)))
    found = objective.predictor.forward(objective.layout.unpack(theta))
    arguments = (objective.mass, found.bases, found.share, objective.predictor.starts)
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


def of_sources(family: str, n_tokens: int, rng: np.random.Generator) -> dict[str, Any]:
    """A member of a family of parts that are no mixtures."""
    alpha = rng.gamma(1.0, 20.0 / n_tokens, n_tokens) + 1e-3
    pairs = {"repeat": np.array([0.6, 1.2]), "others": np.array([2.0, 0.7])}
    every = {
        "tree": {"alpha": alpha, "deeper": 0.6, **pairs},
        "balance": {"strength": 1.5, "memory": 0.75},
        "markov(repeat)": {"alpha": alpha, "repeat": 0.6, "others": 2.0},
        "iid": (np.ones(1), alpha[np.newaxis]),
    }
    return {part: every[part] for part in family.split("+")}


def source_family(
    shape: str, family: str, n_tokens: int, histories: list[NDArray[np.int64]], depth: int
) -> None:
    """A line of the table: a value and gradient, the twin's, a whole search, and what it left."""
    rng = np.random.default_rng(1)
    priors = of_sources(family, n_tokens, rng)
    weight: Any = {1: 1.0, 2: 0.4}.get(len(priors), np.full(len(priors), 1.0 / len(priors)))
    seen = design(checked_histories(histories, "tokens", n_tokens), family, 1, False, depth=depth)
    predictor = Predictor(seen, 1.0)
    p = predictor.rows(predictor.forward(Parameters(priors, weight)), 1.0, seen.group)
    q = p * np.exp(0.1 * rng.standard_normal(p.shape))
    q /= q.sum(axis=1, keepdims=True)
    fields = fields_of(seen.names, n_tokens)
    layout = Layout(tuple(seen.names), 1, n_tokens, 1.0, 1.0, 1.0, fields)
    shares = np.full(len(histories), 1.0 / len(histories))
    objective = Objective(predictor, layout, np.log(q), shares)
    theta = next(starting_points(objective, rng))
    once = best(lambda: objective(theta), 5)
    slow = ""
    if family == "tree+balance":
        some, begin = range(0, len(histories), max(1, len(histories) // 20)), time.process_time()
        for i in some:
            value_and_gradient(theta, histories[i].tolist(), q[i], depth)
        each = (time.process_time() - begin) / len(some)
        slow = f"{each * len(histories) / once:8.0f}"
    starts = 14 if n_tokens == 2 else None
    begin = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = elicit_prior(
            histories, q, kind="probs", family=family, depth=depth, n_starts=starts, rng=0, n_jobs=1
        )
    took = time.process_time() - begin
    line = f"{shape:>18}{family:>28}{1e3 * once:10.1f}{slow:>8}{took:10.1f}"
    above = found.mean_kl - objective(layout.pack(Parameters(priors, weight)))[0]
    print(f"{line}{above:12.1e}{found.n_agreeing:>6}/{found.n_starts}")


def source_families(quick: bool, rng: np.random.Generator) -> None:
    """The second table."""
    print("\nfamilies of sources: value and gradient, ms, and the twin's time over it; whole")
    print("searches, s, how far above the planted parameters they end, nats, starts that agree\n")
    head = f"{'histories x tokens':>18}{'family':>28}{'ours':>10}{'twin':>8}{'search':>10}"
    print(f"{head}{'above':>12}{'agree':>8}")
    tenth = 10 if quick else 1
    whole = [rng.integers(0, 2, 100) for _ in range(33 // (tenth // 2 or 1))]
    begun = [text[:t] for text in whole for t in range(1, 101)]
    for family in ("tree+balance", "markov(repeat)", "iid+markov(repeat)+balance"):
        source_family(f"{len(begun)} begun x 2", family, 2, begun, 5)
        apart = texts(3300 // tenth, 2, rng)
        source_family(f"{len(apart)} x 2", family, 2, apart, 5)
        many = texts(5000 // tenth, 1000, rng)
        source_family(f"{len(many)} x 1000", family, 1000, many, 5)


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
    source_families(quick, rng)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
