"""What happens seldom: a signal that is there when a call begins, or comes while counts change, and
memory that is short for a copy of what was given in another type."""

from __future__ import annotations

import _thread
import operator
import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
from core.test_out_of_memory import (  # noqa: F401  # quick_collections, for all that is here
    FAILED,
    each_failure,
    quick_collections,
    result_of,
)

from matrixbayes import _core

N = 1_000_000
V = 50_000


@contextmanager
def handler(call: Callable[..., object]) -> Iterator[None]:
    before = signal.signal(signal.SIGINT, call)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def with_signal(call: Callable[[], object]) -> list[object]:
    """The result of a call from C which finds a signal waiting that no bytecode has seen."""
    results: deque[object] = deque(map(operator.call, [_thread.interrupt_main, call]), maxlen=1)
    return list(results)


@pytest.fixture(scope="module")
def text() -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.random.default_rng(0).integers(0, V, N)


@pytest.fixture(scope="module")
def transitions(text: np.ndarray[Any, np.dtype[np.int64]]) -> _core.TransitionCounts:
    counts = _core.TransitionCounts(1, V)
    counts.update(text)
    counts.all()  # which leaves one run of all
    return counts


@pytest.fixture(scope="module")
def fading(text: np.ndarray[Any, np.dtype[np.int64]]) -> _core.FadingCounts:
    counts = _core.FadingCounts(1, V, 0.9)
    counts.update(text)
    counts.sizes()
    return counts


# --- signals


@pytest.mark.parametrize(
    ("kind", "name"), [("transitions", "all"), ("fading", "all"), ("fading", "arrays")]
)
def test_a_signal_that_waits_stops_what_lists_all(
    kind: str, name: str, request: pytest.FixtureRequest
) -> None:
    counts = request.getfixturevalue(kind)
    before = counts.n_observed
    with handler(signal.default_int_handler), pytest.raises(KeyboardInterrupt):
        with_signal(getattr(counts, name))
    assert counts.n_observed == before
    assert len(getattr(counts, name)()) >= 4


def test_a_signal_that_waits_stops_the_check_of_a_start() -> None:
    alpha = np.ones((4, 1_000_000))
    statistics = _core.SufficientStatistics(np.ones(4), np.full(alpha.shape, -2.0), 0.0, 9)
    call = partial(_core.maximization, statistics, alpha, (1.0, 0.0, 0.0, 1e8))
    with handler(signal.default_int_handler), pytest.raises(KeyboardInterrupt):
        with_signal(call)


MANY = 2_200_000  # numbers that are worth a question


def large_table() -> Any:
    """A table of as many tokens, and contexts of none and of one."""
    return _core.BackoffTable(
        MANY,
        [[0, 0], [0, 0]],
        [[], []],
        [[], []],
        [[1.0], [0.5]],
        [np.zeros((1, 0), np.int64), np.zeros((1, 1), np.int64)],
        root=np.full(MANY, 1 / MANY),
    )


def two_levels() -> list[Any]:
    counts = [_core.TransitionCounts(order, 3) for order in range(2)]
    for order, each in enumerate(counts):
        each.update([2] * order + [0, 1, 1, 0])
    return counts


# What looks through large arguments, or through all that it has.
LONG: dict[str, Callable[[], Callable[[], object]]] = {
    "lines": lambda: partial(
        _core.arpa_lines, np.zeros((MANY, 0), np.int64), np.full(MANY, -1.0), None, b"", []
    ),
    "leads": lambda: large_table().leads,
    "concentrations": lambda: partial(
        _core.BackoffTable.from_counts,
        two_levels(),
        [0.5, 0.5],
        concentrations=[(np.ones(MANY), np.ones(MANY))],
    ),
    "sum": lambda: partial(operator.add, *[statistics_of(MANY)] * 2),
}


def statistics_of(n_tokens: int) -> Any:
    return _core.SufficientStatistics(np.ones(1), np.full((1, n_tokens), -2.0), 0.0, 9)


@pytest.mark.parametrize("name", LONG)
def test_a_signal_that_waits_stops_what_is_long(name: str) -> None:
    call = LONG[name]()
    with handler(signal.default_int_handler), pytest.raises(KeyboardInterrupt):
        with_signal(call)


@pytest.mark.parametrize("change", [lambda tokens: tokens.append(1), lambda tokens: tokens.pop()])
def test_documents_that_change_while_they_are_joined_are_not_joined(
    change: Callable[[list[int]], object],
) -> None:
    """By the handler of a signal, behind a document that is long."""
    last = [0, 1, 2]
    joined = partial(_core.join_documents, [np.zeros(N, np.int64), last])
    with handler(lambda *_: change(last)):
        assert with_signal(joined) == [None]
    found = joined()
    assert found is not None
    assert found[1].tolist() == [0, N, N + len(last)]
    assert found[0][N:].tolist() == last


def test_fading_counts_that_are_being_changed_answer_nothing(
    text: np.ndarray[Any, np.dtype[np.int64]],
) -> None:
    """Asked by the handler of a signal, in the middle of an update."""
    counts, clashes = _core.FadingCounts(1, V, 0.9), set()
    counts.update(text[:1000])
    alpha = np.ones((1, V))
    asked: dict[str, Callable[[], object]] = {
        "sizes": counts.sizes,
        "all": counts.all,
        "arrays": counts.arrays,
        "n_observed": lambda: counts.n_observed,
        "update_rows": lambda: counts.update_rows([[1]], [2], [1.0]),
        "log_evidence": lambda: counts.log_evidence(text[:9], [1.0], [9.0], alpha),
    }

    def ask(*_: object) -> None:
        for name, call in asked.items():
            with pytest.raises(RuntimeError, match="another thread is changing these counts"):
                call()
            clashes.add(name)

    with handler(ask):
        with_signal(partial(counts.update, text))
    assert clashes == {*asked}
    twin = _core.FadingCounts(1, V, 0.9)
    twin.update(text[:1000])
    twin.update(text)
    assert counts.n_observed == twin.n_observed


# --- memory


def test_memory_that_is_short_for_numbers_of_another_type() -> None:
    whole = np.arange(1, 4000, dtype=np.int64)[::2]
    call = partial(_core.log, whole)
    ended = [result is not FAILED for result in each_failure(call)]
    assert ended[-1]
    assert not all(ended)
    assert np.array_equal(call(), _core.log(whole.astype(float)))


def test_memory_that_is_short_for_arrays_that_are_not_aligned() -> None:
    counts = _core.TransitionCounts(1, 9)
    counts.update([1, 2, 3, 1, 2, 4])

    def moved(array: Any) -> Any:
        room = np.zeros(array.nbytes + 1, np.uint8)[1:]
        room[:] = np.frombuffer(array.tobytes(), np.uint8)
        return room.view(array.dtype).reshape(array.shape)

    arrays = [moved(each) if isinstance(each, np.ndarray) else each for each in counts.arrays()]
    assert any(isinstance(each, np.ndarray) and not each.flags.aligned for each in arrays)
    call = partial(_core.TransitionCounts.from_arrays, 1, 9, tuple(arrays))
    ended = [result is not FAILED for result in each_failure(call)]
    assert ended[-1]
    assert not all(ended)
    assert call().n_observed == counts.n_observed


def test_memory_that_is_short_for_what_fading_counts_hold(
    text: np.ndarray[Any, np.dtype[np.int64]],
) -> None:
    """Counted in several runs, of which one of all is made."""
    counts = _core.FadingCounts(1, V, 0.5)
    for n in (4000, 100, 5):
        counts.update(text[:n])
    ended = [result is not FAILED for result in each_failure(counts.sizes)]
    assert ended[-1]
    assert not all(ended)
    assert counts.sizes() == counts.copy().sizes()


def test_memory_that_is_short_for_a_name() -> None:
    statistics = statistics_of(2)
    ended = [result is not FAILED for result in each_failure(partial(repr, statistics))]
    assert ended[-1]
    assert not all(ended)


def test_memory_that_is_short_for_saying_which_token() -> None:
    counts = _core.TransitionCounts(1, 10_000)
    call = partial(counts.counts, np.array([[10_000]]), np.array([0]))
    with pytest.raises(ValueError, match="tokens are 0 to 9999"):
        call()
    for n in range(30):
        assert result_of(call, n, n + 1, ValueError) is FAILED


def test_memory_that_is_short_for_saying_what_was_not_counted() -> None:
    counts, others = (_core.TransitionCounts(1, 10_000) for _ in range(2))
    others.update([9000, 8000])
    call = partial(counts.subtract, others)
    with pytest.raises(ValueError, match=r"\[9000\]"):
        call()
    for n in range(30):
        assert result_of(call, n, n + 1, ValueError) is FAILED


def test_memory_that_is_short_for_saying_where() -> None:
    bad = np.ones((300, 300))
    bad[290, 280] = -1.0
    with pytest.raises(ValueError, match=r"at position \(290, 280\)"):
        _core.log(bad)
    for n in range(30):
        assert result_of(partial(_core.log, bad), n, n + 1, ValueError) is FAILED


# --- memory of others


def test_an_owner_that_refuses_its_memory_by_now_is_kept() -> None:
    """It gave it to NumPy, and gives it to nobody else."""
    testbuffer = pytest.importorskip("_testbuffer")
    numbers = {"shape": [3], "format": "d"}
    owner = testbuffer.ndarray([1.0, 2.0, 1.0], flags=testbuffer.ND_VAREXPORT, **numbers)
    values = np.frombuffer(owner)
    owner.push([5.0, 5.0, 5.0], flags=testbuffer.ND_GETBUF_FAIL, **numbers)
    with pytest.raises(BufferError):
        memoryview(owner)
    assert _core.lgamma(values).tolist() == [0.0, 0.0, 0.0]


def test_a_level_of_two_axes_is_refused() -> None:
    with pytest.raises(TypeError, match="one axis, not uint64 of 2"):
        _core.FrozenCounts(4, [np.zeros((2, 8), np.uint64)])


def test_a_mask_that_is_none_is_an_error() -> None:
    class Odd(np.ndarray[Any, Any]):
        mask = ((0, 1), (1,))

    with pytest.raises(ValueError, match="inhomogeneous"):
        _core.lgamma(np.ones(3).view(Odd))


# --- sizes


def test_whole_numbers_beyond_2_53_that_doubles_hold_are_taken() -> None:
    for type_, values in {
        np.int64: [2**60, 3 * 2**55, 2**62],
        np.uint64: [2**63, 3 * 2**60],
    }.items():
        same = _core.log(np.array(values, float))
        assert np.array_equal(_core.log(np.array(values, type_)), same)
    assert np.array_equal(_core.exp(np.array([-(2**63), -(2**54)], np.int64)), [0, 0])
    with pytest.raises(ValueError, match="which no double holds exactly"):
        _core.log(np.array([2**53 + 1], np.int64))


def test_draws_that_no_memory_holds() -> None:
    rows = np.log(np.full((3, 4), 0.25))
    with pytest.raises(MemoryError):
        _core.draw_rows(rows, 2, 2**62, 0, 0)


def test_a_cap_above_all_that_is_allowed_is_that() -> None:
    statistics = _core.SufficientStatistics(np.ones(1), np.log([[0.25, 0.75]]), 0.0, 1)
    prior = (1.0, 0.0, 0.0)
    found = [
        _core.maximization(statistics, np.ones((1, 2)), (*prior, cap))[0]
        for cap in (np.inf, 2.0**61, 2.0**60)
    ]
    assert np.isfinite(found).all()
    assert np.array_equal(found[0], found[2])
    assert np.array_equal(found[1], found[2])
