"""The kernels of trees of contexts and of balancing sources, against their slow twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from elicitation import tree_twin
from hypothesis import given, settings
from hypothesis import strategies as st

from matrixbayes import _core
from matrixbayes.elicitation.histories import checked_histories
from matrixbayes.sources.seen import Entries
from matrixbayes.sources.texts import Texts, paths_of, texts_of


def prepared(histories: list[list[int]], width: int, depth: int) -> tuple[Any, ...]:
    given = checked_histories(histories, "tokens", width)
    texts, _, group = texts_of(given.tokens, given.offsets, width)
    history, columns = texts.seen()
    order = np.lexsort((columns, history))
    starts = np.searchsorted(history[order], np.arange(len(texts.queries) + 1))
    entries = Entries(starts, columns[order])
    return texts, group, entries, paths_of(texts, depth, entries)


def value_and_gradient(
    theta: np.ndarray, histories: list[list[int]], q: np.ndarray, depth: int
) -> tuple[float, np.ndarray]:
    """The sum over histories by the kernels, the mixture of both sources by hand."""
    width = q.shape[1]
    texts, group, entries, paths = prepared(histories, width, depth)
    alpha, (r1, o1, r2, o2) = np.exp(theta[:width]), np.exp(theta[width : width + 4])
    strength, memory = np.exp(theta[width + 5]), tree_twin.sg(theta[width + 6])
    tree = (alpha, [r1, r2], [o1, o2], np.exp(theta[width + 4]), texts.tokens, texts.queries)
    tree += (entries.starts, entries.columns, paths.paths, paths.held, paths.n_nodes, paths.longest)
    share, even, evidence, of = found = _core.tree_predictions(*tree)
    slots = (int(texts.slots.max(initial=-1)) + 1, texts.queries, entries.starts, texts.slots)
    log_b, b_even, b_of = _core.balance_predictions(
        strength, memory, width, *slots, texts.slots_of(entries)
    )
    by = [np.zeros_like(x) for x in found]
    value, gradient, by_balance = 0.0, np.zeros_like(theta), np.zeros(2)
    for i, h in enumerate(group):
        own = slice(entries.starts[h], entries.starts[h + 1])
        seen = entries.columns[own]
        rest = np.setdiff1d(np.arange(width), seen)
        m, b = share[h] * alpha + even[h], np.full(width, b_even[0, h])
        m[seen], b[seen] = of[own], b_of[0, own]
        np.testing.assert_allclose([m.sum(), b.sum()], 1.0, rtol=1e-12)
        w = tree_twin.sg(theta[-1] + log_b[0, h] - evidence[h])
        p = (1.0 - w) * m + w * b
        with np.errstate(divide="ignore", invalid="ignore"):
            value -= float(np.sum(np.where(q[i] > 0.0, q[i] * np.log(p), 0.0)))
        by_p = -q[i] / p
        by_weight = (by_p @ (b - m)) * w * (1.0 - w)
        by_m, by_b = by_p * (1.0 - w), by_p * w
        by[0][h] += by_m[rest] @ alpha[rest]
        by[1][h] += by_m[rest].sum()
        by[2][h] -= by_weight
        by[3][own] += by_m[seen]
        gradient[rest] += by_m[rest] * share[h] * alpha[rest]
        gradient[-1] += by_weight
        by_balance += by_weight * log_b[1:, h] + by_b[rest].sum() * b_even[1:, h]
        by_balance += b_of[1:, own] @ by_b[seen]
    by_alpha, by_repeat, by_others, by_odds = _core.tree_slopes(*tree, *by)
    gradient[:width] += by_alpha * alpha
    gradient[width : width + 4] = np.array([by_repeat, by_others]).T.ravel() * (r1, o1, r2, o2)
    gradient[width + 4] = by_odds
    gradient[width + 5 : width + 7] = by_balance * (strength, memory * (1.0 - memory))
    return value, gradient


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, list[list[int]], np.ndarray, int]:
    width, depth = draw(st.integers(2, 6)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    text = st.lists(st.integers(0, draw(st.integers(0, width - 1))), max_size=30)
    histories = draw(st.lists(text, min_size=1, max_size=4))
    histories += [h[: draw(st.integers(0, 30))] for h in histories]  # they begin alike
    q = rng.dirichlet(np.ones(width), len(histories))
    q[rng.random(q.shape) < 0.2] = 0.0
    return rng.normal(scale=draw(st.floats(0.1, 2.0)), size=width + 8), histories, q, depth


@given(cases())
@settings(max_examples=60)
def test_kernels_say_what_the_slow_twin_says(case: tuple) -> None:
    theta, histories, q, depth = case
    value, gradient = value_and_gradient(theta, histories, q, depth)
    both = zip(histories, q, strict=True)
    slow = [tree_twin.value_and_gradient(theta, h, own, depth) for h, own in both]
    assert value == pytest.approx(sum(v for v, _ in slow), rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(gradient, sum(g for _, g in slow), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("alternates", [False, True])
def test_odds_beyond_any_double_are_certain(repeats: bool, alternates: bool) -> None:
    """Of a child that is right, or wrong, hundreds of times; a text that changes shows both."""
    large, small = 8.0, -5.0
    pair = [large, small] if repeats else [small, large]
    theta = np.array([0.5, 0.0, *pair, *pair, 0.3, -1.0, 0.5, -4.0])
    text = [0, 1] * 900 if alternates else [0] * 1800
    text += [1, 1, 0, 1, 0, 0]
    q = np.array([[0.3, 0.7]])
    value, gradient = value_and_gradient(theta, [text], q, 3)
    slow, by_hand = tree_twin.value_and_gradient(theta, text, q[0], 3)
    assert value == pytest.approx(slow, rel=1e-11, abs=1e-11)
    np.testing.assert_allclose(gradient, by_hand, rtol=1e-8, atol=1e-8)


def test_the_twin_by_differences() -> None:
    rng = np.random.default_rng(0)
    for width, depth, length in ((2, 5, 30), (4, 3, 20), (3, 2, 0)):
        theta, q = rng.normal(scale=0.7, size=width + 8), rng.dirichlet(np.ones(width))
        history = rng.integers(0, width, length).tolist()
        _, gradient = tree_twin.value_and_gradient(theta, history, q, depth)
        numeric = [
            (
                tree_twin.value_and_gradient(theta + step, history, q, depth)[0]
                - tree_twin.value_and_gradient(theta - step, history, q, depth)[0]
            )
            / 2e-5
            for step in 1e-5 * np.eye(len(theta))
        ]
        np.testing.assert_allclose(gradient, numeric, atol=1e-9)


def test_many_tokens_and_odds_beyond_any_double() -> None:
    """A long text of one token: what is deeper is so much better that no double holds the odds."""
    rng = np.random.default_rng(1)
    theta = rng.normal(size=308)
    theta[300:305] = [3.0, -6.0, 3.0, -6.0, 10.0]
    histories = [[7] * 400 + [8], [8, 7] * 150, rng.integers(0, 300, 200).tolist()]
    q = rng.dirichlet(np.ones(300), 3)
    value, gradient = value_and_gradient(theta, histories, q, 3)
    both = zip(histories, q, strict=True)
    slow = [tree_twin.value_and_gradient(theta, h, own, 3) for h, own in both]
    assert value == pytest.approx(sum(v for v, _ in slow), rel=1e-12)
    np.testing.assert_allclose(gradient, sum(g for _, g in slow), rtol=1e-9, atol=1e-9)


def test_histories_that_begin_alike_are_read_once() -> None:
    rng = np.random.default_rng(2)
    one = rng.integers(0, 2, 100).tolist()
    given = [one[:i] for i in rng.permutation(101)] + [[*one[:50], 1 - one[50]]]
    columns = checked_histories(given, "tokens", 2)
    texts, first, group = texts_of(columns.tokens, columns.offsets, 2)
    assert isinstance(texts, Texts)
    assert len(texts.queries) == 102
    assert len(texts.tokens) == 101 + 52
    assert [given[i] for i in first[group]] == given
    for h, i in enumerate(first):
        assert texts.position[texts.queries[h]] == len(given[i])


@pytest.mark.parametrize("histories", [[[]], [[], []], [[], [0]]])
def test_histories_with_nothing_in_them(histories: list[list[int]]) -> None:
    rng = np.random.default_rng(3)
    theta, q = rng.normal(size=11), rng.dirichlet(np.ones(3), len(histories))
    value, gradient = value_and_gradient(theta, histories, q, 4)
    both = zip(histories, q, strict=True)
    slow = [tree_twin.value_and_gradient(theta, h, own, 4) for h, own in both]
    assert value == pytest.approx(sum(v for v, _ in slow), rel=1e-12)
    np.testing.assert_allclose(gradient, sum(g for _, g in slow), atol=1e-12)
