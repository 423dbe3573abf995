"""Entropies and distances of rows known in part: bounds hold the full answer, and are sharp."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from rows.test_partial import full_rows
from scipy.optimize import linprog, minimize
from scipy.special import rel_entr

from matrixbayes.rows import NextTokenRows, PartialRows

METRICS = ("kl", "total_variation", "hellinger", "jensen_shannon")
REFERENCE = Path(__file__).parents[2] / "../shared/reference/stories260K_rows.npz"


def distance(p: Any, q: Any, metric: str) -> Any:
    """From the definitions, along the last axis."""
    if metric == "kl":
        return rel_entr(p, q).sum(axis=-1)
    if metric == "total_variation":
        return 0.5 * np.abs(p - q).sum(axis=-1)
    if metric == "hellinger":
        return np.sqrt(0.5 * np.square(np.sqrt(p) - np.sqrt(q)).sum(axis=-1))
    m = 0.5 * (p + q)
    return np.sqrt(np.maximum(0.5 * (rel_entr(p, m) + rel_entr(q, m)).sum(axis=-1), 0.0))


def bounds_of(rows: PartialRows, other: Any, metric: str) -> Any:
    return getattr(rows, metric)(other)


def holds(bounds: Any, truth: Any, tolerance: float = 1e-9) -> bool:
    inside = (bounds[:, 0] <= truth + tolerance) & (truth <= bounds[:, 1] + tolerance)
    return bool(inside.all())


def check(full: NextTokenRows, other: NextTokenRows, k: int, k_other: int) -> None:
    """Every interval of the rows cut to their top holds what the full rows say."""
    p, q = (np.exp(rows.log_probs, dtype=np.float64) for rows in (full, other))
    part, part_other = PartialRows.from_rows(full, k), PartialRows.from_rows(other, k_other)
    assert holds(part.entropy(), -rel_entr(p, 1.0).sum(axis=1))
    for v in (0, 7):
        assert holds(part.prob(v), p[:, v], 1e-12)
    for metric in METRICS:
        truth = distance(p, q, metric)
        tolerance = 1e-9 if metric in ("kl", "total_variation") else 3e-8  # of a root
        assert holds(bounds_of(part, part_other, metric), truth, tolerance)
        assert holds(bounds_of(part, other, metric), truth, tolerance)
        if metric == "kl":
            assert holds(part_other.kl(full, reverse=True), truth)
            assert holds(part.kl(part_other, reverse=True), distance(q, p, metric))
        else:
            assert holds(bounds_of(part_other, full, metric), truth, tolerance)


@pytest.mark.parametrize(
    ("width", "k", "k_other"), [(30, 20, 20), (30, 1, 1), (30, 29, 5), (10, 3, 3), (60, 20, 60)]
)
def test_intervals_hold_the_full_answer(width: int, k: int, k_other: int) -> None:
    full = full_rows(1000, width, seed=k, least=-1.7)
    check(full, full_rows(1000, width, seed=k + 100, least=-1.7), k, k_other)
    noise = 0.2 * np.random.default_rng(k).normal(size=full.shape)
    near = NextTokenRows.from_logits(full.log_probs + noise, tokens=full.tokens)
    check(full, near, k, k_other)


@pytest.mark.skipif(not REFERENCE.exists(), reason="the rows of a real model are not here")
def test_intervals_of_a_real_model_hold_the_full_answer() -> None:
    with np.load(REFERENCE) as file:
        rows = NextTokenRows(file["log_probs"][::6].astype(np.float64))
    shifted = np.roll(np.arange(len(rows)), 1)
    check(rows, rows[shifted], 20, 20)
    part = PartialRows.from_rows(rows, 20)
    width = np.ptp(part.entropy(), axis=1)
    assert np.median(width) < 0.5  # nats: they are no empty words
    near = NextTokenRows.from_logits(rows.log_probs + 0.1 * rows.log_probs.std())
    assert holds(part.total_variation(near), np.zeros(len(rows)), 1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_rows_that_list_everything_are_exact(metric: str) -> None:
    full, other = full_rows(500, 12, 1, least=-1.5), full_rows(500, 12, 2, least=-1.5)
    parts = [PartialRows.from_rows(rows, 12) for rows in (full, other)]
    p, q = (np.exp(rows.log_probs) for rows in (full, other))
    found = bounds_of(parts[0], parts[1], metric)
    np.testing.assert_allclose(found, np.stack([distance(p, q, metric)] * 2, axis=1), atol=3e-8)
    entropy = parts[0].entropy()
    np.testing.assert_allclose(entropy[:, 0], -rel_entr(p, 1.0).sum(axis=1), atol=1e-12)
    np.testing.assert_array_equal(entropy[:, 0], entropy[:, 1])


def test_a_rest_of_0_leaves_nothing_open() -> None:
    rows = PartialRows([0, 1], np.log([0.75, 0.25]), [0, 2], n_tokens=9, rest=[-np.inf])
    other = PartialRows([0, 2], np.log([0.5, 0.5]), [0, 2], n_tokens=9, rest=[-np.inf])
    np.testing.assert_allclose(rows.total_variation(other), [[0.5, 0.5]])
    assert rows.kl(other).tolist() == [[np.inf, np.inf]]
    np.testing.assert_allclose(np.ptp(rows.entropy(), axis=1), 0.0)
    np.testing.assert_array_equal(rows.prob(5), [[0.0, 0.0]])


def test_an_open_vocabulary_is_matched_by_texts() -> None:
    one = PartialRows([0], np.log([0.6]), [0, 1], n_tokens=2, tokens=["a", "<other>"])
    two = PartialRows([1], np.log([0.9]), [0, 1], n_tokens=3, tokens=["b", "a", "<other>"])
    assert one.entropy()[0, 1] == np.inf
    np.testing.assert_allclose(one.total_variation(two), [[0.3, 0.4]])
    closed = NextTokenRows(np.log([[0.1, 0.9]]), tokens=["b", "a"])
    np.testing.assert_allclose(one.total_variation(closed), [[0.3, 0.4]])
    lumped = NextTokenRows(np.log([[0.3, 0.5, 0.2]]), tokens=["b", "a", "<other>"])
    np.testing.assert_allclose(one.total_variation(lumped), [[0.1, 0.5]])
    cut = PartialRows.from_rows(lumped, 9)
    assert cut.is_open
    np.testing.assert_allclose(np.exp([cut.rest[0], cut.cap[0]]), [0.2, 0.2])


@pytest.mark.parametrize("cells", [1, 100, 3000])
def test_blocks_of_rows_are_all_of_them(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    full, other = full_rows(203, 12, 5, least=-1.0), full_rows(203, 12, 6, least=-1.0)
    mine, theirs = PartialRows.from_rows(full, 4), PartialRows.from_rows(other, 6)
    wanted = [bounds_of(mine, each, "kl") for each in (theirs, other)]
    monkeypatch.setattr("matrixbayes.rows.partial.CELLS", cells)
    monkeypatch.setattr("matrixbayes.rows.partial_top.CELLS", cells)
    for each, before in zip((theirs, other), wanted, strict=True):
        np.testing.assert_allclose(bounds_of(mine, each, "kl"), before, rtol=1e-12)
    again = PartialRows.from_rows(full, 4)
    np.testing.assert_array_equal(again.columns, mine.columns)
    np.testing.assert_array_equal(again.rest, mine.rest)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (PartialRows.from_rows(full_rows(3, 5), 1).group(["t0", "t1"]), "known between bounds"),
        (PartialRows([], [], [0] * 4, n_tokens=2, tokens=["a", "<other>"]), "matched by names"),
        (np.ones((3, 3)) / 3, "NextTokenRows, complete, or PartialRows"),
        (full_rows(2, 5), "other has 2 rows"),
        (full_rows(3, 6), "other has 6 columns"),
        (NextTokenRows(full_rows(3, 5).log_probs, tokens="abcde"), "unexpected are"),
    ],
)
def test_what_cannot_lie_beside_them(other: Any, why: str) -> None:
    rows = PartialRows.from_rows(full_rows(3, 5), 2)
    if "by names" in why:
        rows = PartialRows.from_rows(NextTokenRows(full_rows(3, 5).log_probs), 2)
    with pytest.raises((TypeError, ValueError), match=why):
        rows.kl(other)


# --- sharp: the slow twins


def vertices(listed: Any, mass: float, most: float) -> list[Any]:
    """The extreme distributions that agree with a record; nan marks what it does not list."""
    free = np.flatnonzero(np.isnan(listed))
    full = min(int(mass / most + 1e-9), len(free)) if most else 0
    found = []
    for chosen in combinations(free, full):
        last = [v for v in free if v not in chosen] if mass - full * most > 1e-12 else [None]
        for v in last:
            row = np.where(np.isnan(listed), 0.0, listed)
            row[list(chosen)] = most
            if v is not None:
                row[v] = mass - full * most
            found.append(row)
    return found


def record(weights: Any, k: int, rng: np.random.Generator) -> tuple[PartialRows, Any, float, float]:
    """Some tokens of a row, its top or any others, and a cap that may be higher than need be."""
    logs = np.log(weights / weights.sum())
    order = np.argsort(-logs) if rng.random() < 0.5 else rng.permutation(len(logs))
    listed, others = np.sort(order[:k]), order[k:]
    most = logs[others].max(initial=-np.inf) + rng.choice([0.0, 0.05, 1.0])
    rest = [np.logaddexp.reduce(logs[others])] if len(others) else [-np.inf]
    part = PartialRows(
        listed, logs[listed], [0, k], n_tokens=len(logs), rest=rest, cap=[min(most, 0.0)]
    )
    known = np.full(len(weights), np.nan)
    known[listed] = np.exp(logs[listed])
    return part, known, float(np.exp(part.rest[0])), float(np.exp(part.cap[0]))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 7), st.integers(1, 7), st.booleans())
def test_bounds_are_attained(seed: int, k: int, k_two: int, is_even: bool) -> None:
    rng = np.random.default_rng(seed)
    one, two = rng.gamma(20.0 if is_even else 1.0, size=(2, 7)) + 1e-3
    (p, p_listed, *p_rest), (q, q_listed, *q_rest) = record(one, k, rng), record(two, k_two, rng)
    ends = vertices(p_listed, *p_rest), vertices(q_listed, *q_rest)
    entropies = [-rel_entr(row, 1.0).sum() for row in ends[0]]
    np.testing.assert_allclose(p.entropy()[0, 0], min(entropies), atol=1e-9)
    free = np.isnan(p_listed)
    even = np.where(free, p_rest[0] / max(free.sum(), 1), p_listed)
    np.testing.assert_allclose(p.entropy()[0, 1], -rel_entr(even, 1.0).sum(), atol=1e-9)
    neither = (free & np.isnan(q_listed)).sum()
    for metric in METRICS:
        low, high = bounds_of(p, q, metric)[0]
        most = max(distance(x, y, metric) for x in ends[0] for y in ends[1])
        if metric == "kl" or neither == 0 or 0.0 in (p_rest[0], q_rest[0]):
            np.testing.assert_allclose(high, most, atol=1e-7)
        assert high >= most - 1e-7
        least = nearest_by_search(p_listed, p_rest, q_listed, q_rest, metric)
        assert low <= least + 1e-6
        assert low >= least - 2e-3 * max(1.0, least)


@pytest.mark.parametrize(
    ("first", "second"),
    [((0.45, 0.12), (0.05, 0.5)), ((0.48, 0.115), (0.2, 0.165)), ((0.3, 0.15), (0.3, 0.15))],
)
@pytest.mark.parametrize("metric", METRICS)
def test_caps_that_hold_back_what_neither_lists(metric: str, first: Any, second: Any) -> None:
    parts, sides = [], []
    for column, (listed, most) in enumerate((first, second)):
        cap = np.log([most])
        parts.append(PartialRows([column], np.log([listed]), [0, 1], n_tokens=6, cap=cap))
        known = np.full(6, np.nan)
        known[column] = listed
        sides.append((known, (1.0 - listed, most)))
    for p, q in ((0, 1), (1, 0)):
        least = nearest_by_search(*sides[p], *sides[q], metric)
        found = bounds_of(parts[p], parts[q], metric)[0, 0]
        np.testing.assert_allclose(found, least, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_tight_caps_on_both_sides(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(25):
        parts, sides = [], []
        for k in rng.integers(1, 4, 2):
            columns = np.sort(rng.permutation(6)[:k])
            listed = rng.dirichlet(np.ones(k)) * rng.uniform(0.1, 0.9)
            rest = 1.0 - listed.sum()
            most = min(rest, rest / (6 - k) * rng.choice([1.001, 1.05, 1.3]))
            known = np.full(6, np.nan)
            known[columns] = listed
            logs = np.log(np.array([rest, most]))
            parts.append(
                PartialRows(
                    columns, np.log(listed), [0, k], n_tokens=6, rest=logs[:1], cap=logs[1:]
                )
            )
            sides.append((known, (rest, most)))
        least = nearest_by_search(*sides[0], *sides[1], "total_variation")
        np.testing.assert_allclose(parts[0].total_variation(parts[1])[0, 0], least, atol=1e-9)


def nearest_by_search(p: Any, p_rest: Any, q: Any, q_rest: Any, metric: str) -> float:
    """The least distance of two polytopes of distributions, by a general optimizer."""
    open_p, open_q = np.flatnonzero(np.isnan(p)), np.flatnonzero(np.isnan(q))
    n = len(open_p)

    def rows(x: Any) -> tuple[Any, Any]:
        full = p.copy(), q.copy()
        full[0][open_p], full[1][open_q] = x[:n], x[n:]
        return full

    start = np.concatenate(
        [np.full(len(o), r[0] / max(len(o), 1)) for o, r in ((open_p, p_rest), (open_q, q_rest))]
    )
    if len(start) == 0:
        return float(distance(p, q, metric))
    limits = [(0.0, p_rest[1])] * n + [(0.0, q_rest[1])] * len(open_q)
    if metric == "total_variation":  # has corners: a linear program
        width, m = len(p), len(start)
        columns = np.zeros((width, m))
        columns[open_p, np.arange(n)], columns[open_q, np.arange(n, m)] = 1.0, -1.0
        fixed = np.nan_to_num(q) - np.nan_to_num(p)
        sides = np.zeros((2, m + width))
        sides[0, :n] = sides[1, n:m] = 1.0
        slack = -np.eye(width)
        program = linprog(
            np.r_[np.zeros(m), np.full(width, 0.5)],
            A_ub=np.block([[columns, slack], [-columns, slack]]),
            b_ub=np.r_[fixed, -fixed],
            A_eq=sides,
            b_eq=[p_rest[0], q_rest[0]],
            bounds=[*limits, *[(0.0, None)] * width],
        )
        return float(program.fun)
    squared = {"hellinger": 2, "jensen_shannon": 2}.get(metric, 1)
    found = minimize(
        lambda x: min(distance(*rows(np.maximum(x, 1e-300)), metric) ** squared, 1e3),
        start,
        method="SLSQP",
        bounds=limits,
        constraints=[
            {"type": "eq", "fun": lambda x, cut=cut, mass=mass: x[cut].sum() - mass}
            for cut, mass in ((slice(n), p_rest[0]), (slice(n, None), q_rest[0]))
            if len(start[cut])
        ],
        options={"ftol": 1e-12, "maxiter": 300},
    )
    return float(max(found.fun, 0.0) ** (1 / squared))
