"""Two calls of one object at once: what may come of it is what one after the other gives, in either
order, or one of them alone, where the other was refused.

Contents
    Shared     an object, its public methods with arguments, and what shows its state
    as_bits    a result as something that compares bit for bit
    methods    the public methods and attributes of a type
    clashes    the pairs that came to something else, of calls that run at the same time
    stepped    the pairs that did, where one call runs between two lines of the other
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import combinations_with_replacement, product
from typing import Any

import numpy as np

REFUSED = "refused: another thread"
SPECIAL = ("__add__", "__copy__", "__deepcopy__", "__getitem__", "__len__", "__reduce__")


def as_bits(value: Any, owner: Any = None) -> Any:
    """What compares equal where every bit does."""
    if value is owner and owner is not None:
        return "itself"
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, (tuple, list)):
        return tuple(as_bits(each, owner) for each in value)
    if isinstance(value, dict):
        return tuple((name, as_bits(each, owner)) for name, each in value.items())
    if isinstance(value, np.generic):
        return (value.dtype.str, value.tobytes())
    if isinstance(value, float):
        return value.hex()
    if value is None or isinstance(value, (int, str, bytes, type)):
        return value
    if callable(getattr(value, "tocsr", None)):
        return as_bits((value.indptr, value.indices, value.data))
    state = value.__reduce_ex__(2)
    return as_bits([each for each in state if not callable(each)])


def _attempt(call: Callable[[Any], Any], owner: Any) -> Any:
    try:
        return as_bits(call(owner), owner)
    except RuntimeError as error:
        if "another thread" in str(error):
            return REFUSED
        raise
    except (ValueError, TypeError) as error:
        return f"{type(error).__name__}: {error}"


@dataclass(frozen=True)
class Shared:
    """An object that two threads share."""

    make: Callable[[], Any]
    calls: dict[str, Callable[[Any], Any]]
    state: Callable[[Any], Any] = lambda _: None

    def after(self, *names: str) -> tuple[Any, ...]:
        """What calls give one after the other, and the state that they leave."""
        owner = self.make()
        results = [_attempt(self.calls[name], owner) for name in names]
        return (*results, as_bits(self.state(owner), owner))

    @cached_property
    def alone(self) -> dict[str, tuple[Any, ...]]:
        return {name: self.after(name) for name in self.calls}

    def allowed(self, first: str, second: str) -> Iterator[tuple[Any, ...]]:
        yield self.after(first, second)
        b, a, state = self.after(second, first)
        yield (a, b, state)
        yield (self.alone[first][0], REFUSED, self.alone[first][1])
        yield (REFUSED, self.alone[second][0], self.alone[second][1])

    def together(self, pool: ThreadPoolExecutor, first: str, second: str) -> tuple[Any, ...]:
        owner, ready = self.make(), threading.Barrier(2)

        def run(name: str) -> Any:
            ready.wait()
            return _attempt(self.calls[name], owner)

        results = [each.result() for each in [pool.submit(run, first), pool.submit(run, second)]]
        return (*results, as_bits(self.state(owner), owner))


class Steps:
    """Counts the lines of a file that run in this thread, and does something before one of them."""

    def __init__(self, file: str, at: int = -1, work: Callable[[], Any] = lambda: None) -> None:
        self.file, self.at, self.work, self.n = file, at, work, 0

    def __call__(self, frame: Any, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != self.file:
            return None
        if event == "line":
            if self.n == self.at:
                self.work()
            self.n += 1
        return self

    def run(self, call: Callable[[], Any]) -> Any:
        before = sys.gettrace()
        sys.settrace(self)
        try:
            return call()
        finally:
            sys.settrace(before)


def stepped(
    shared: Shared, file: str, most: int, chosen: Callable[[str, str], bool]
) -> tuple[int, list[str]]:
    """The same where the second call runs, in another thread, before one after another of the lines
    of a file that the first one runs: before all of them, or as many as `most`."""
    wrong, n = [], 0
    with ThreadPoolExecutor(1) as pool:
        for first, second in product(sorted(shared.calls), repeat=2):
            if not chosen(first, second):
                continue
            lines, owner = Steps(file), shared.make()
            lines.run(partial(_attempt, shared.calls[first], owner))
            allowed = set(shared.allowed(first, second))
            for at in range(0, lines.n, max(-(-lines.n // most), 1)):
                owner = shared.make()
                found: list[Any] = []

                def other(owner: Any = owner, found: Any = found, name: str = second) -> None:
                    found.append(pool.submit(_attempt, shared.calls[name], owner).result())

                result = Steps(file, at, other).run(partial(_attempt, shared.calls[first], owner))
                state = as_bits(shared.state(owner), owner)
                n += 1
                if (result, *found, state) not in allowed:
                    wrong.append(f"{second} before line {at} of {first}")
    return n, wrong


def methods(kind: type) -> set[str]:
    """The public methods and attributes of a type, and the special ones that it defines."""
    special = {
        name for name in SPECIAL if getattr(kind, name, None) is not getattr(object, name, None)
    }
    return {name for name in dir(kind) if not name.startswith("_")} | special


@contextmanager
def frequent_turns() -> Iterator[None]:
    """Threads take turns after a few instructions."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(2e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def clashes(
    shared: Shared,
    rounds: int,
    chosen: Callable[[str, str], bool] = lambda *_: True,
    seen: Callable[[str], None] = lambda _: None,
) -> tuple[int, list[str]]:
    """How many pairs ran, and those that came to what no order of them gives."""
    wrong, n = [], 0
    with ThreadPoolExecutor(2) as pool, frequent_turns():
        for first, second in combinations_with_replacement(sorted(shared.calls), 2):
            if not chosen(first, second):
                continue
            allowed, n = set(shared.allowed(first, second)), n + 1
            found = {shared.together(pool, first, second) for _ in range(rounds)}
            wrong += [f"{first}, {second}"] * (not found <= allowed)
            seen(f"{first}, {second}")
    return n, wrong
