"""The leak gate: no public callable of the core keeps anything, whether it succeeds or fails.

Each case is called 200 times after a warm-up; allocated blocks of Python, bytes allocated
from the C library and references to our types must then be what they were.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from core import leak_cases
from core.leak_cases import CASES
from reliability.kept import LIBC, TYPES, Kept

from matrixbayes import _core

CALLS = 200
ROUNDS = 8  # a leak shows in each; what a neighbour in this process caches shows in one


def watched(call: Callable[[], object]) -> list[object]:
    """Our types, and what the calls use again and again: an owner or an argument of theirs."""
    used = [value for value in vars(leak_cases).values() if isinstance(value, np.ndarray)]
    used += [cell.cell_contents for cell in getattr(call, "__closure__", None) or ()]
    owners = [getattr(value, "__self__", None) for value in [call, *used]]
    return TYPES + used + [owner for owner in owners if owner is not None]


def read(objects: list[object], out: np.ndarray) -> None:
    """What is in use now: Python's blocks, bytes of the C library, references to `objects`."""
    gc.collect()
    sys._clear_type_cache()  # it keeps names that C code looked attributes up by
    for position, value in enumerate(objects, 2):
        out[position] = sys.getrefcount(value)
    if hasattr(LIBC, "mallinfo2"):
        numbers = LIBC.mallinfo2().numbers
        out[1] = numbers[4] + numbers[7]  # mapped, and taken from arenas
        del numbers
    out[0] = sys.getallocatedblocks()


def kept(call: Callable[[], object]) -> np.ndarray:
    """What `CALLS` calls keep, in a round of calls that keeps least."""
    objects = watched(call)
    before, after = np.zeros((2, len(objects) + 2), dtype=np.int64)
    for _ in range(20):
        call()
    least = None
    for _ in range(ROUNDS):
        read(objects, before)
        for _ in itertools.repeat(None, CALLS):
            call()
        read(objects, after)
        found = after - before
        if abs(found[1]) < CALLS * Kept.PIECE:  # no call has kept any
            found[1] = 0
        if least is None or abs(found).sum() < abs(least).sum():
            least = found
        if not least.any():
            break
    assert least is not None
    return least


@pytest.mark.no_sanitizer  # it replaces the allocators that are read here: references are left
def test_gate_sees_a_leak_of_each_sort() -> None:
    store: list[object] = []
    assert kept(lambda: store.append(bytes(100)))[0] > CALLS // 2  # 3.14 lets go of some meanwhile
    LIBC.malloc.restype = ctypes.c_void_p
    if hasattr(LIBC, "mallinfo2"):
        assert kept(lambda: LIBC.malloc(ctypes.c_size_t(1000)))[1] >= 1000 * CALLS
    borrowed, address = object(), ctypes.py_object
    assert CALLS in kept(lambda: ctypes.pythonapi.Py_IncRef(address(borrowed)))


# --- the gate

# What a type inherits, and slots that the cases of another name go through.
ELSEWHERE = {"__doc__", "__module__", "__new__", "__hash__", "__radd__"}
ELSEWHERE |= {f"__{name}__" for name in ("ne", "lt", "le", "gt", "ge")}


def callables() -> Iterator[str]:
    """All that can be called or got from the core: functions, types, and what types define."""
    for name, value in vars(_core).items():
        if not name.startswith("_") and callable(value):
            yield name
        if isinstance(value, type):
            yield from (f"{name}.{member}" for member in vars(value).keys() - ELSEWHERE)


def test_every_public_callable_has_cases() -> None:
    assert set(callables()) == CASES.keys()


@pytest.fixture(scope="module", autouse=True)
def _quick_collections() -> Iterator[None]:
    """Leaves what there is out of the many collections to come."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("name", sorted(CASES))
def test_nothing_is_kept(name: str) -> None:
    leaks = {label: found for label, call in CASES[name]() if (found := kept(call)).any()}
    assert not leaks, "blocks, bytes and references kept"
