"""Sizes beyond any memory: a number or a shape that overflows is an error, or costs nothing.

Into a valid call of each public callable (`argument_cases`) go arrays that claim up to 2^62 entries
and hold one (`ARRAYS`), and whole numbers up to 2^65 (`NUMBERS`); all in a process that may ask for
little more memory than it has.  A child process makes the calls, and says which before each: where
it dies, the parent knows of what, and goes on behind it.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import resource
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from alarm import needs_timers
from tiers import of_tier

pytest.importorskip("torch")  # a model is among the valid arguments
pytest.importorskip("transformers")
pytest.importorskip("mpltern")
pytest.importorskip("arviz_base")

from reliability import argument_cases as cases
from reliability import test_arguments

ERRORS = (TypeError, ValueError, OverflowError, MemoryError)
LIMIT = 5.0  # seconds of the processor, of a call
ROOM = 1 << 30  # bytes that the child may ask for beyond what it has
EACH = of_tier(16, 1, 1)  # of so many calls one is made

HUGE = (2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64, 2**65)
NUMBERS = HUGE + tuple(-each for each in HUGE)
SHAPES = ((2**31, 2**31), (2**59,), (2**62,), (2**40, 3), (3, 2**40), (2**31, 3), (3, 2**31))
SHAPES += ((0, 2**62), (2**62, 0), (0, 2**31, 2**31), (2**20, 2**20, 2**20))


class Size(NamedTuple):
    """A huge argument, and how a line says it."""

    label: str
    make: Callable[[], Any]


def claimed(shape: tuple[int, ...], like: Any) -> Any:
    """An array of a shape in the memory of one entry; of bytes where others are too many."""
    own = np.asarray(like)
    dtype = (
        own.dtype if math.prod(filter(None, shape)) * own.itemsize < 2**63 else np.dtype(np.uint8)
    )
    return np.broadcast_to(own.flat[0].astype(dtype) if own.size else dtype.type(0), shape)


def arrays(given: Any) -> Iterator[Size]:
    """What stands for an array: in NumPy, as a range, as a sparse matrix, as a tensor."""
    for shape in SHAPES:
        yield Size(f"array {shape}", lambda s=shape: claimed(s, given))
    own = np.asarray(given)
    if own.dtype.kind in "iu":
        for number in (2**31, 2**62, 2**63 - 1, -(2**63)):
            yield Size(f"entries {number}", lambda n=number: np.full(own.shape, n))
    yield Size("range(2**40)", lambda: range(2**40))
    yield Size("range(2**62)", lambda: range(2**62))
    yield Size("sparse (3, 2**40)", lambda: _sparse((3, 2**40)))
    yield Size("sparse (2**40, 3)", lambda: _sparse((2**40, 3)))
    yield Size("tensor (2**31, 2**31)", lambda: _tensor((2**31, 2**31)))


def _sparse(shape: tuple[int, int]) -> Any:
    from scipy.sparse import coo_array

    return coo_array(([1.0], ([1], [2])), shape=shape)


def _tensor(shape: tuple[int, ...]) -> Any:
    import torch

    return torch.zeros(1).expand(shape)


def numbers() -> Iterator[Size]:
    for number in NUMBERS:
        yield Size(str(number), lambda n=number: n)


def sizes(function: Any, name: str, given: Any) -> Iterator[Size]:
    """What is put into a parameter: nothing where it takes neither arrays nor whole numbers."""
    known = {each.name: str(each.annotation) for each in cases.parameters(function) or ()}
    is_whole = isinstance(given, (int, np.integer)) and not isinstance(given, bool)
    if is_whole or re.search(r"\bint\b", known.get(name, "")):
        yield from numbers()
    if isinstance(given, np.ndarray) or type(given).__name__ == "Tensor":
        is_array = True
    else:
        is_array = isinstance(given, (list, tuple)) and _holds_numbers(given)
    if is_array and (not isinstance(given, np.ndarray) or given.dtype.kind in "biuf"):
        yield from arrays(given)


def _holds_numbers(given: Sequence[Any]) -> bool:
    try:
        return np.asarray(given).dtype.kind in "biuf"
    except (TypeError, ValueError, RuntimeError):
        return False


def calls() -> Iterator[tuple[str, str, Size]]:
    """Each callable with each of its parameters and each size for it."""
    for name in cases.callables():
        call = cases.valid_call(name)
        for parameter, given in call.arguments.items():
            for size in sizes(call.function, parameter, given):
                yield name, parameter, size


def what_came(name: str, parameter: str, size: Size) -> str:
    """What is wrong with what came of a call, or nothing."""
    call, argument = cases.valid_call(name), size.make()
    try:
        with little_room():
            call(**{parameter: argument})
    except ERRORS as error:
        return f"{error}" if isinstance(error, UnicodeError) else ""
    except BaseException as error:
        if isinstance(error, (IndexError, KeyError)) and parameter in test_arguments.PLACES:
            return ""
        return f"{type(error).__name__}: {str(error)[:200]}"
    return ""


@contextmanager
def little_room() -> Iterator[None]:
    """What the process has by now, which grows with what libraries keep, and little more."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (own + ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def child(said: str, first: str) -> None:
    """Make the calls from the first on, and write of each how it went.

    The timer is the system's own: it ends the process, be it in a loop of Python or of C.
    """
    warnings.simplefilter("ignore")
    with open(said, "a", encoding="utf-8") as file:
        for name, parameter, size in itertools.islice(calls(), int(first) * EACH, None, EACH):
            print(f"{name}({parameter}={size.label})", end=" ... ", file=file, flush=True)
            signal.setitimer(signal.ITIMER_PROF, LIMIT)
            wrong = what_came(name, parameter, size)
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            print(" ".join(wrong.split()) or "ok", file=file, flush=True)


def outcomes(said: Path) -> list[str]:
    """A line for each call: what it was, and what came of it."""
    code = "import sys; from reliability.test_sizes import child; child(*sys.argv[1:])"
    said.touch()
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TQDM_DISABLE": "1"}
    while True:
        lines = said.read_text("utf-8").splitlines()
        child = [sys.executable, "-c", code, str(said), str(len(lines))]
        done = subprocess.run(child, cwd=said.parent, env=surroundings, check=False)
        if done.returncode == 0:
            return said.read_text("utf-8").splitlines()
        assert done.returncode < 0, "the child says above what is wrong with it"
        with open(said, "a", encoding="utf-8") as file:
            print(signal.Signals(-done.returncode).name, file=file)


@needs_timers
@pytest.mark.first
@pytest.mark.promise(13)
@pytest.mark.no_sanitizer  # which has terabytes of addresses, and is ended by what asks for more
def test_sizes_beyond_memory_are_errors(figure: Callable[[str], None], tmp_path: Path) -> None:
    said = outcomes(tmp_path / "said")
    assert not [line for line in said if not line.endswith(" ... ok")]
    figure(f"{len(said)} calls: no crash, none of more than {LIMIT:g} s, errors of arguments alone")
