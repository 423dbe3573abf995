"""Pruning: losses against divergences of whole rows, laws, and what is refused."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import rel_entr

import matrixbayes as mb
from matrixbayes import _core
from matrixbayes.matrix.pruning.pruned import pruned_table

V = 4


def matrix_of(seed: int, order: int = 3, n: int = 120) -> mb.TransitionMatrix:
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.full(V, 0.4), V)
    text = [0]
    for u in rng.random(n):
        text.append(int(np.searchsorted(np.cumsum(rows[text[-1]]), u)))
    return mb.TransitionMatrix(order, n_tokens=V, hierarchical=[2.0, 1.0, 0.5, 0.5][:order]).update(
        np.split(np.minimum(text, V - 1), [n // 3])
    )


def table_of(matrix: mb.TransitionMatrix) -> tuple[_core.BackoffTable, Any]:
    """Its rows as a table, and how often tokens came after each context, level after level."""
    counts = matrix._rows.levels.counts
    table = _core.BackoffTable.from_counts(
        counts,
        matrix._rows.dense(np.zeros((1, 0), dtype=int))[0],
        concentrations=matrix.concentrations,
    )
    *shorter, longest = table.arrays()[4]
    none = [np.zeros(len(level)) for level in shorter]
    return table, np.concatenate([*none, counts[-1].totals(longest).astype(float)])


def n_grams(table: _core.BackoffTable) -> dict[tuple[int, ...], float]:
    """What a table lists above the empty context."""
    starts, tokens, values, _, contexts, _, _ = table.arrays()
    found = {}
    for level in range(1, len(starts)):
        row = np.repeat(np.arange(len(contexts[level])), np.diff(starts[level]))
        for i, w, v in zip(row, tokens[level].tolist(), values[level].tolist(), strict=True):
            found[(*contexts[level][i].tolist(), w)] = v
    return found


def row_of(table: _core.BackoffTable, context: tuple[int, ...]) -> Any:
    return table.rows(np.array([context], dtype=int).reshape(1, -1))[0]


def contexts_of(table: _core.BackoffTable) -> list[tuple[int, ...]]:
    return [tuple(c) for level in table.arrays()[4] for c in level.tolist()]


def slow_losses(table: _core.BackoffTable, states: Any) -> dict[tuple[int, ...], float]:
    """What each n-gram loses by itself: the divergence of a row with it to that without."""
    grams, share = n_grams(table), dict(zip(contexts_of(table), states / states.sum(), strict=True))
    found = {}
    for gram, value in grams.items():
        if np.isnan(value):
            continue
        *context, w = gram
        reach = sum(x for c, x in share.items() if c[len(c) - len(context) :] == tuple(context))
        p, shorter = row_of(table, tuple(context)), row_of(table, tuple(context[1:]))
        listed = [v for v in range(V) if not np.isnan(grams.get((*context, v), np.nan))]
        if len(listed) == V:  # any one goes for nothing
            listed.remove(int(np.argmin(p)))
        listed = [v for v in listed if v != w]
        q = np.where(np.isin(np.arange(V), listed), p, 0.0)
        rest = np.where(np.isin(np.arange(V), listed), 0.0, shorter)
        q += rest * (1.0 - q.sum()) / rest.sum()
        found[gram] = float(reach * rel_entr(p, q).sum())
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.0, 1e-4, 1e-3, 1e-2])
def test_what_stays_and_what_is_lost(seed: int, threshold: float) -> None:
    table, states = table_of(matrix_of(seed))
    left, found = pruned_table(table, states, threshold)
    losses, there = slow_losses(table, states), n_grams(table)
    stays: set[tuple[int, ...]] = set()
    for gram in sorted(there, key=len, reverse=True):
        leads = any(other[: len(gram)] == gram for other in stays if len(other) > len(gram))
        if leads or (gram in losses and losses[gram] > threshold * (1.0 + 1e-9) + 1e-15):
            stays.add(gram)
    assert n_grams(left).keys() == stays
    assert found.after[1:] == tuple(
        sum(len(g) == n and g[-1] < V for g in stays) for n in range(2, len(found.after) + 1)
    )
    contexts, share = contexts_of(table), states / states.sum()
    p, q = (np.array([row_of(each, c) for c in contexts]) for each in (table, left))
    assert_allclose(q.sum(axis=1), 1.0, rtol=1e-12)
    assert_allclose(found.loss, share @ rel_entr(p, q).sum(axis=1), rtol=1e-9, atol=1e-15)
    values = n_grams(left)
    assert all(values[gram] == there[gram] for gram in values if not np.isnan(values[gram]))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 4), st.floats(0.0, 0.05), st.floats(0.0, 0.05))
def test_laws(seed: int, order: int, one: float, other: float) -> None:
    table, states = table_of(matrix_of(seed, order))
    low, high = sorted((one, other))
    few, many = (pruned_table(table, states, x) for x in (high, low))
    assert n_grams(few[0]).keys() <= n_grams(many[0]).keys()
    assert few[1].after <= many[1].after <= many[1].before
    every = np.array(list(product(range(V + 1), repeat=order)))
    for left in (few[0], many[0]):
        assert_allclose(left.rows(every).sum(axis=1), 1.0, rtol=1e-12)
    same, nothing = pruned_table(table, states, 0.0)
    assert nothing.loss < 1e-12
    assert_allclose(same.rows(every), table.rows(every), rtol=1e-9)


def test_the_most_that_can_be_pruned() -> None:
    table, states = table_of(matrix_of(0))
    left, found = pruned_table(table, states, 1e9)
    assert n_grams(left) == {}
    assert found.after == (V, 0, 0, 0)
    assert_allclose(row_of(left, (1, 2)), row_of(table, ()), rtol=1e-15)
    assert found.perplexity_ratio == pytest.approx(np.exp(found.loss))
    assert "4 of " in repr(found)
    assert "<table" in found._repr_html_()
    again, _ = pruned_table(left, np.ones(1), 0.0)
    assert_array_equal(row_of(again, ()), row_of(left, ()))


@pytest.mark.parametrize(
    ("states", "threshold", "says"),
    [
        (1, 0.0, "there are"),
        (None, -1.0, "threshold must be"),
        (None, np.nan, "threshold must be"),
        (-1.0, 0.0, r"states\[0\] is negative"),
        (np.nan, 0.0, r"states\[0\] is negative or not finite"),
    ],
)
def test_what_is_refused(states: Any, threshold: float, says: str) -> None:
    table, own = table_of(matrix_of(0))
    if states == 1:
        own = own[1:]
    elif states is not None:
        own[0] = states
    with pytest.raises(ValueError, match=says):
        table.prune(own, threshold)


NAMES = tuple("abcd")


@pytest.mark.parametrize("kind", ["hierarchical", "several", "discounts", "plain"])
def test_a_pruned_matrix(kind: str) -> None:
    rng = np.random.default_rng(0)
    text = rng.integers(0, 2, 200) + rng.integers(0, 3, 200)
    options: dict[str, Any] = {
        "hierarchical": {"hierarchical": True},
        "several": {"hierarchical": [([0.5, 0.5], [0.5, 8.0])] * 2},
        "discounts": {"discounts": [[0.4, 0.8, 1.0, 0.5]] * 3},
        "plain": {"prior": 0.3},
    }[kind]
    matrix = mb.TransitionMatrix(2, tokens=NAMES, **options).update(np.split(text, [90]))
    every = np.array(list(product(range(V), repeat=2)))
    same = matrix.prune(0.0)
    assert_allclose(same.predict(every), matrix.predict(every), rtol=1e-9)
    assert same.pruned is not None
    assert same.pruned.loss < 1e-12
    assert same.tokens == NAMES
    less = matrix.prune(0.002)
    assert less.pruned is not None
    assert less.sizes == less.pruned.after
    assert sum(less.sizes) < sum(less.pruned.before)
    assert_allclose(less.predict(every).sum(axis=1), 1.0, rtol=1e-12)
    # over what stood before the counted tokens
    contexts = matrix.contexts()
    share = matrix.totals(contexts) / matrix.n_observed
    p, q = matrix.predict(contexts), less.predict(contexts)
    assert_allclose(less.pruned.loss, share @ rel_entr(p, q).sum(axis=1), rtol=1e-6)
    assert "lost, nats a token" in repr(less)
    assert less.perplexity(text) > 1.0


def test_a_matrix_that_is_not_pruned() -> None:
    tree = mb.TransitionMatrix("tree", n_tokens=2).update([0, 1, 0])
    with pytest.raises(ValueError, match="no back-off weights"):
        tree.prune(0.0)
    matrix = mb.TransitionMatrix(2, n_tokens=2, hierarchical=True)
    assert matrix.prune(0.0).sizes[0] == 2  # which has seen nothing
    with pytest.raises(ValueError, match="threshold"):
        matrix.prune(-1.0)
    with pytest.raises(ValueError, match="threshold"):
        matrix.prune(float("nan"))


def test_a_pruned_matrix_as_a_file_of_n_grams(tmp_path: Any) -> None:
    matrix = mb.TransitionMatrix(2, tokens=NAMES, hierarchical=True).update([0, 1, 2, 3, 1, 2] * 9)
    model = matrix.prune(1e-3)
    model.to_arpa(tmp_path / "model.arpa")
    again = mb.read_arpa(tmp_path / "model.arpa")
    assert again.order <= 2
    text = [0, 1, 2, 3, 3, 1]
    names = [NAMES[t] for t in text]
    assert_allclose(again.log_prob(names), model.log_prob(text), rtol=1e-6)


def test_strings_are_read_as_by_the_matrix(tmp_path: Any) -> None:
    options: dict[str, Any] = {"order": 1, "hierarchical": True, "unknown": "?", "end": "."}
    matrix = mb.TransitionMatrix.from_text(["a-b-a", "b-a-c"], tokenizer=split, **options)
    model = matrix.prune(0.0)
    assert model.entropy("a-z-b") == pytest.approx(matrix.entropy("a-z-b"), rel=1e-12)
    assert model.score("z", ["a"]) == pytest.approx(matrix.score("?", ["a"]), rel=1e-12)
    model.save(tmp_path / "model")
    again = mb.BackoffModel.open(tmp_path / "model")
    with pytest.raises(ValueError, match=r"set matrix\.tokenizer"):
        again.encode("a-z-b")
    again.tokenizer = split
    assert again.entropy("a-z-b") == model.entropy("a-z-b")


def split(line: str) -> list[str]:
    return line.split("-")


def test_an_infinite_threshold_is_refused_as_others_are() -> None:
    with pytest.raises(ValueError, match="threshold is inf; it must be from 0"):
        mb.TransitionMatrix(1, n_tokens=2, hierarchical=True).update([0, 1]).prune(np.inf)
