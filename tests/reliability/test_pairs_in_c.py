"""Two threads call the methods of one object of the core: no order of them gives another answer.

`make races` runs this under ThreadSanitizer, which says where two threads touched the same memory.
"""

from __future__ import annotations

import copy
import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reliability.pairs import Shared, clashes, methods
from tiers import of_tier

from matrixbayes import _core

V, ORDER = 300, 2
# What makes an object of its own, and shares none.
MAKERS = {"from_arrays", "from_counts", "encode"}
UNDER_TSAN = hasattr(ctypes.CDLL(None), "__tsan_init")


def text(seed: int, n: int = of_tier(1_500, 10_000, 10_000)) -> Any:
    return np.random.default_rng(seed).integers(0, V, n) ** 2 // V


def asked(order: int = ORDER) -> tuple[Any, Any]:
    tokens = text(5)
    windows = np.lib.stride_tricks.sliding_window_view(tokens, order + 1)
    return windows[:, :order].copy(), windows[:, order].copy()


@cache
def counted(order: int = ORDER, seed: int = 0) -> Any:
    counts = _core.TransitionCounts(order, V)
    for part in range(3):  # three runs, which questions about all of them merge
        counts.update(text(3 * seed + part))
    return counts


@cache
def fading(seed: int = 0) -> Any:
    counts = _core.FadingCounts(ORDER, V, 0.999)
    for part in range(3):
        counts.update(text(3 * seed + part))
    return counts


@cache
def levels() -> list[Any]:
    made: list[Any] = []
    for order in range(ORDER + 1):
        made.append(_core.FrozenCounts.encode(V, made, *counted(order).all()))
    return made


def rows_asked(n: int = 400) -> Any:
    return asked()[0][:n]


def prior() -> Any:
    rng = np.random.default_rng(1)
    return _core.DirichletMixture(np.full(8, 0.125), rng.uniform(0.1, 2.0, (8, V)))


def attributes(kind: type, *more: str) -> dict[str, Callable[[Any], Any]]:
    """What takes no argument."""
    names = {name for name in methods(kind) if not callable(getattr(kind, name))}
    return {name: (lambda it, name=name: getattr(it, name)) for name in names} | {
        name: (lambda it, name=name: getattr(it, name)()) for name in more
    }


COPIES: dict[str, Callable[[Any], Any]] = {
    "__copy__": copy.copy,
    "__deepcopy__": copy.deepcopy,
    "__reduce__": lambda it: it.__reduce__()[1:],
}


def answers(it: Any) -> Any:
    """The state of counts, in whatever runs they are."""
    return it.n_observed, it.counts(*asked()), it.copy().all()


def transitions() -> Shared:
    contexts, tokens = asked()
    once = np.ones(len(tokens), dtype=np.int64)
    calls = attributes(_core.TransitionCounts, "all", "sizes", "copy", "arrays") | COPIES
    calls |= {
        "update": lambda it: it.update(text(7)),
        "update_rows": lambda it: it.update_rows(contexts, tokens, once),
        "merge": lambda it: it.merge(counted(seed=1)),
        "subtract": lambda it: it.subtract(counted()),
        "scale": lambda it: it.scale(3),
        "shorten": lambda it: it.shorten(counted(seed=1)),
        "discounted_rows": lambda it: it.discounted_rows(counted(seed=1)),
        "shorter_pairs": lambda it: it.shorter_pairs(counted(ORDER - 1)),
        "counts_of_counts": lambda it: it.counts_of_counts(5),
        "counts": lambda it: it.counts(contexts, tokens),
        "totals": lambda it: it.totals(contexts),
        "rows": lambda it: it.rows(contexts),
        "fold": lambda it: it.fold(counted(ORDER - 1), None, [1.0], [[0.1]], 0.5, False),
        "places": lambda it: it.places(contexts),
    }
    return Shared(counted().copy, calls, answers)


def fading_counts() -> Shared:
    contexts, tokens = asked()
    times = np.full(len(tokens), 0.5)
    one = [1.0], [V * 0.1], np.full((1, V), 0.1)
    calls = attributes(_core.FadingCounts, "all", "sizes", "copy", "arrays") | COPIES
    calls |= {
        "update": lambda it: it.update(text(7)),
        "update_rows": lambda it: it.update_rows(contexts, tokens, times),
        "merge": lambda it: it.merge(fading(1)),
        "scale": lambda it: it.scale(0.5, rows_asked()),
        "counts": lambda it: it.counts(contexts, tokens),
        "totals": lambda it: it.totals(contexts),
        "rows": lambda it: it.rows(contexts),
        "log_evidence": lambda it: it.log_evidence(text(7), *one),
    }
    return Shared(fading().copy, calls, answers)


def frozen() -> Shared:
    contexts, tokens = asked()
    calls = attributes(_core.FrozenCounts, "all", "sizes", "copy", "arrays") | COPIES
    calls |= {
        "update": lambda it: it.update(tokens),
        "update_rows": lambda it: it.update_rows(contexts, tokens, tokens),
        "merge": lambda it: it.merge(it),
        "counts": lambda it: it.counts(contexts, tokens),
        "totals": lambda it: it.totals(contexts),
        "rows": lambda it: it.rows(contexts),
        "walk": lambda it: it.walk(contexts, tokens),
        "places": lambda it: it.places(contexts),
    }
    return Shared(lambda: _core.FrozenCounts(V, levels()), calls)


@cache
def table() -> Any:
    both = np.full(2, 0.5), np.array([1.0, 9.0])
    some = [counted(order) for order in range(ORDER + 1)]
    return _core.BackoffTable.from_counts(
        some, np.full(V - 1, 1 / (V - 1)), concentrations=[both] * ORDER
    )


def backoff() -> Shared:
    contexts, tokens = asked()
    below = tokens % (V - 1)
    calls = attributes(_core.BackoffTable, "arrays", "leads")
    calls |= {
        "scores": lambda it: it.scores(below),
        "log_prob": lambda it: it.log_prob([below, below]),
        "matched": lambda it: it.matched(below),
        "pair_values": lambda it: it.pair_values(contexts, below),
        "rows": lambda it: it.rows(rows_asked(50)),
        "prune": lambda it: it.prune(np.ones(sum(map(len, it.arrays()[3]))), 1e-9),
    }
    return Shared(table, calls)


def mixtures() -> Shared:
    rng = np.random.default_rng(2)
    rows = np.log(rng.dirichlet(np.ones(V), 200))
    counts = rng.integers(0, 3, (100, V))
    calls = attributes(
        _core.DirichletMixture, "mean", "variance", "component_entropy", "uncertainty"
    )
    calls |= {
        "log_prob": lambda it: it.log_prob(rows),
        "responsibilities": lambda it: it.responsibilities(rows),
        "log_evidence": lambda it: it.log_evidence(counts),
        "count_responsibilities": lambda it: it.count_responsibilities(counts),
        "posterior": lambda it: it.posterior(counts[0]).alpha,
        "predictive": lambda it: it.predictive(counts),
        "sample_log_probs": lambda it: it.sample_log_probs(20, np.random.PCG64(0)),
    }
    return Shared(prior, calls)


def generators() -> Shared:
    """Draws of one generator: each takes the next ones whole."""
    mixture = prior()
    calls: dict[str, Callable[[Any], Any]] = {
        "draw": lambda it: mixture.sample_log_probs(30, it),
        "draw more": lambda it: mixture.sample_log_probs(40, it),
    }
    return Shared(lambda: np.random.PCG64(3), calls, lambda it: it.state["state"]["state"])


def statistics() -> Shared:
    rng = np.random.default_rng(3)
    one = _core.SufficientStatistics(np.ones(8), -rng.random((8, V)), -1.0, 5)
    calls = attributes(_core.SufficientStatistics)
    calls |= {
        "__add__": lambda it: (it + it).log_sums,
        "__reduce__": lambda it: it.__reduce__()[1:],
    }
    calls["maximized"] = lambda it: _core.maximization(it, np.ones((8, V)), (0.1, 0.0, 1e-3, 1e12))
    return Shared(lambda: one + one, calls)


def encoded() -> Shared:
    rng = np.random.default_rng(4)
    starts, columns = np.arange(0, 4001, 10), rng.integers(0, V, 4000)
    values = rng.integers(1, 9, 4000).astype(float)
    made, mixture = _core.Counts(starts, columns, values, V), prior()
    memory = _core.evidence_table(mixture, made)
    calls = attributes(_core.Counts, "sparse") | {"__reduce__": lambda it: it.__reduce__()[1:]}
    calls |= {
        "evidence": lambda it: _core.evidence_table(mixture, it),
        "expectation": lambda it: _core.count_expectation(mixture, it, memory, 0, 400),
        "posterior": lambda it: _core.count_posterior(mixture, it, memory, 0, 400),
    }
    return Shared(lambda: made, calls)


SHARED: dict[type, Callable[[], Shared]] = {
    _core.TransitionCounts: transitions,
    _core.FadingCounts: fading_counts,
    _core.FrozenCounts: frozen,
    _core.BackoffTable: backoff,
    _core.DirichletMixture: mixtures,
    _core.SufficientStatistics: statistics,
    _core.Counts: encoded,
    np.random.PCG64: generators,
}


def test_no_type_and_no_method_is_left_out() -> None:
    kinds = {each for each in vars(_core).values() if isinstance(each, type)}
    assert kinds <= set(SHARED)
    for kind in kinds:
        left_out = methods(kind) - MAKERS - set(SHARED[kind]().calls)
        assert not left_out, (kind, left_out)


def reports() -> list[str]:
    """What ThreadSanitizer has said so far in this process."""
    options = dict(
        each.split("=", 1) for each in os.environ.get("TSAN_OPTIONS", "").split(":") if each
    )
    path = Path(f"{options.get('log_path', os.devnull)}.{os.getpid()}")
    return path.read_text().split("WARNING: ThreadSanitizer:")[1:] if path.exists() else []


@pytest.mark.promise(7)
@pytest.mark.parametrize("kind", SHARED, ids=lambda kind: kind.__name__)
def test_every_pair_of_methods(kind: type, figure: Callable[[str], None]) -> None:
    said = len(reports())
    n, wrong = clashes(SHARED[kind](), of_tier(1, 4, 40))
    raced = reports()[said:]
    assert not wrong
    assert not raced, "".join(raced)
    figure(
        f"{n} pairs of methods of {kind.__name__}, 0 torn"
        + (", 0 reports of ThreadSanitizer" if UNDER_TSAN else "")
    )


# Both are there from the first sum to the last, or the GIL, which ctypes gives up and takes again,
# would order one before the other: there were no race then.
RACING = """
int x, there;
void meet(int n)
{
    __atomic_fetch_add(&there, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&there, __ATOMIC_RELAXED) < n)
        ;
}
void add(void)
{
    meet(2);
    for (int i = 0; i < 1000; i++)
        x++;
    meet(4);
}
"""
PLANTED = """
import ctypes, sys, threading
add = ctypes.CDLL(sys.argv[1]).add
two = [threading.Thread(target=add) for _ in range(2)]
for each in two: each.start()
for each in two: each.join()
"""


@pytest.mark.skipif(not UNDER_TSAN, reason="for ThreadSanitizer: make races")
def test_a_planted_race_is_seen(tmp_path: Path) -> None:
    source, library = tmp_path / "race.c", tmp_path / "race.so"
    source.write_text(RACING)
    command = ["gcc", "-fsanitize=thread", "-shared", "-fPIC", "-o", library, source]
    subprocess.run(command, check=True, env=os.environ | {"LD_PRELOAD": ""})
    options = f"log_path={tmp_path}/report:exitcode=0"
    subprocess.run(
        [sys.executable, "-c", PLANTED, library],
        check=True,
        env=os.environ | {"TSAN_OPTIONS": options},
        timeout=60,
    )
    assert "data race" in "".join(path.read_text() for path in tmp_path.glob("report.*"))
