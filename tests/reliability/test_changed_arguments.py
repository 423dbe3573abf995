"""What others do to an argument while a call reads it without the GIL.

Its memory stays where it is until the call is over.  What is in it may change: the answer may then
be any, or an error, but no number that was checked is read a second time to go somewhere by.
"""

from __future__ import annotations

import array
import mmap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alarm import Stopped, alarm, needs_timers
from core.test_interrupt import CALLS
from tiers import of_tier

from matrixbayes import _core

N = 1_000_000

# --- memory that would go: what a call reads, and what takes it away


def of_array(_: Path) -> tuple[Any, Callable[[], Any]]:
    values = np.ones(N)
    return values, lambda: values.resize(8, refcheck=False)


def of_view(_: Path) -> tuple[Any, Callable[[], Any]]:
    values = np.ones(2 * N)
    return values[N:], lambda: values.resize(8, refcheck=False)


def of_view_of_view(_: Path) -> tuple[Any, Callable[[], Any]]:
    values = np.ones((2, N))
    return np.asarray(memoryview(values[1])), lambda: values.resize(8, refcheck=False)


def of_bytes(_: Path) -> tuple[Any, Callable[[], Any]]:
    values = bytearray(np.ones(N).tobytes())
    return np.ndarray(N, buffer=values), lambda: values.extend(b"1" * 8 * N)


def of_numbers(_: Path) -> tuple[Any, Callable[[], Any]]:
    values = array.array("d", np.ones(N).tobytes())
    return values, lambda: values.extend(values[:])


def of_pages(_: Path) -> tuple[Any, Callable[[], Any]]:
    pages = mmap.mmap(-1, 8 * N)
    pages[:] = np.ones(N).tobytes()
    return np.ndarray(N, buffer=pages), pages.close


def of_file(folder: Path) -> tuple[Any, Callable[[], Any]]:
    values: Any = np.memmap(folder / "ones", mode="w+", shape=N, dtype=float)
    values[:] = 1.0
    return values, values._mmap.close


OWNERS = (of_array, of_view, of_view_of_view, of_bytes, of_numbers, of_pages, of_file)
READERS: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "lgamma": lambda values: (_core.lgamma, values),
    "a mixture": lambda values: (_core.DirichletMixture, [0.5, 0.5], values.reshape(2, -1)),
    "documents": lambda values: (_core.TransitionCounts(1, 2).update, [values[:8], values]),
}


def refusals(call: Callable[..., Any], arguments: tuple[Any, ...], go: Callable[[], Any]) -> int:
    """How often memory stayed where it is in the middle of a call: a signal's handler runs there,
    as another thread does."""
    kept: list[Any] = []
    started, refused = False, 0

    def whole() -> Iterator[tuple[Any, ...]]:
        nonlocal started
        started = True
        yield arguments

    def attempt(*_: Any) -> None:
        nonlocal refused
        if started and not kept:
            with suppress(ValueError, BufferError):
                go()
                raise AssertionError("the memory went")
            refused += 1

    with alarm(0.002, handler=attempt):  # once: a handler on a slow machine is not begun again
        kept.extend(starmap(call, whole()))  # in C, where no handler runs but at its own questions
    return refused


@needs_timers
@pytest.mark.promise(9)
def test_no_memory_goes_while_it_is_read(tmp_path: Path, figure: Callable[[str], None]) -> None:
    found, cases = 0, [(owner, name) for owner in OWNERS for name in READERS]
    for owner, name in cases:
        given, go = owner(tmp_path)
        if owner is of_numbers:
            call, arguments = _core.lgamma, [given]
        else:
            values = given.view(np.int64) if name == "documents" else given
            values[...] = 0 if name == "documents" else 1.0
            call, *arguments = READERS[name](values)
        before, seen = found, 0
        while found == before and seen < 1000:  # a call may be over before its first signal
            found, seen = found + refusals(call, tuple(arguments), go), seen + 1
        assert found > before, (owner.__name__, name)
    figure(f"{found} attempts to take memory that {len(cases)} calls read, refused")


def test_memory_that_is_gone_is_not_read(tmp_path: Path) -> None:
    for owner in (of_pages, of_file):
        values, go = owner(tmp_path)
        go()
        with pytest.raises(ValueError, match="closed"):
            _core.lgamma(values)


class Unwilling:
    """Memory that NumPy reads and that is exported in no form."""

    def __init__(self) -> None:
        self.kept = np.ones(3)
        self.__array_interface__ = self.kept.__array_interface__


def test_an_owner_that_exports_nothing_is_kept() -> None:
    assert _core.lgamma(np.asarray(Unwilling())).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("verify", [True, False])
def test_counts_hold_the_arrays_that_they_read(verify: bool) -> None:
    """For as long as they are there."""
    counts = _core.TransitionCounts(1, 4)
    counts.update([0, 1, 2, 3, 2, 1])
    arrays = [each.copy() for each in counts.arrays()]
    words = _core.FrozenCounts.encode(4, [], *_core.TransitionCounts(0, 4).all()).copy()
    borrowed = _core.TransitionCounts.from_arrays(1, 4, arrays, verify=verify)
    frozen = _core.FrozenCounts(4, [words], verify=verify)
    for each in (*arrays, words):
        if each.size:
            with pytest.raises(ValueError, match="resize"):
                each.resize(each.size + 1000, refcheck=False)
    assert borrowed.counts([[1]], [2]) == 1
    assert frozen.n_observed == 0


# --- memory that changes

CHOSEN = list(CALLS)[:: of_tier(9, 1, 1)]
PARTS = of_tier(1, 4, 4)
ROUNDS = of_tier(1, 3, 40)
LONGEST = 0.2  # seconds of a call, which is stopped then
REFUSALS = (Stopped, ValueError, OverflowError, RuntimeError, MemoryError)


def arrays_in(arguments: Any) -> Iterator[Any]:
    for each in arguments:
        if isinstance(each, np.ndarray) and each.size and each.flags.writeable:
            yield each
        elif isinstance(each, (list, tuple)):
            yield from arrays_in(each)


def scramble(values: Any, rng: np.random.Generator) -> None:
    """Numbers that no argument may have, and others that it may, in all of it or here and there."""
    part = values if rng.random() < 0.5 else values[rng.integers(len(values)) :: 7]
    if values.dtype.kind in "iu":
        wide = np.iinfo(values.dtype)
        some = (wide.min, -1, wide.max, 1 << 31, 1 << 32, int(rng.integers(1 << 30)), 0)
        made = [each for each in some if wide.min <= each <= wide.max]
    else:
        made = [np.nan, np.inf, -np.inf, -1.0, 0.0, 1e300, float(rng.random())]
    which = int(rng.integers(len(made) + 1))
    if which == len(made):
        part[...] = part[::-1].copy()
    else:
        with np.errstate(over="ignore"):  # infinite, in a type that is narrow
            part[...] = made[which]


def is_whole(call: Any) -> bool:
    """Whether counts that a call changed are counts."""
    counts = getattr(call, "__self__", None)
    if not isinstance(counts, (_core.TransitionCounts, _core.FadingCounts)):
        return True
    contexts, starts, tokens, times = counts.all()
    lowest = int(tokens.min(initial=0)) >= 0 and int(contexts.min(initial=0)) >= 0
    highest = max(int(tokens.max(initial=0)), int(contexts.max(initial=0)))
    is_exact = isinstance(counts, _core.FadingCounts) or int(times.sum()) == counts.n_observed
    return lowest and highest < counts.n_tokens and starts[-1] == len(tokens) and is_exact


def rewritten(name: str) -> int:
    """How many calls ran while their arguments were rewritten."""
    call, *arguments = CALLS[name]()
    arrays = list(arrays_in(arguments))
    if not arrays:
        return 0
    before = [each.copy() for each in arrays]
    rng = np.random.default_rng(len(name))
    for _ in range(ROUNDS):
        wait = float(rng.random() ** 2 * LONGEST)

        def rewrite(wait: float = wait) -> None:
            time.sleep(wait)
            for each in arrays:
                scramble(each, rng)

        other = threading.Thread(target=rewrite)
        other.start()
        with suppress(*REFUSALS), alarm(LONGEST):
            call(*arguments)
        other.join()
        for each, old in zip(arrays, before, strict=True):
            each[...] = old
    assert is_whole(call), name
    return ROUNDS


@needs_timers
@pytest.mark.promise(9)
@pytest.mark.parametrize("part", range(PARTS))
def test_what_is_rewritten_while_it_is_read(part: int, figure: Callable[[str], None]) -> None:
    n = sum(rewritten(name) for name in CHOSEN[part::PARTS])
    figure(f"{n} calls whose arguments were rewritten meanwhile, 0 crashes")
