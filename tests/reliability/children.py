"""Trials in a process of their own, which others may end where memory is short.

CPython, NumPy and pyarrow have places that do not look whether they got memory: `ContextVar.set`,
which each `np.errstate` calls, and np.random with it; `warnings.warn`; the arithmetic of a NumPy
scalar; indexing with arrays.  What ends the process there is theirs.  The core has its own test,
in one process, at each of its allocations: tests/core/test_out_of_memory.py.

Contents
    outcomes  what a trial says of each point, or None where others ended its process
"""

from __future__ import annotations

import faulthandler
import linecache
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import matrixbayes as mb

Point = tuple[int, int]
Trial = Callable[[int, int], bool]

OURS = str(Path(mb.__file__).parent)
LAST = re.compile(r'Current thread .*\n(?:  Garbage-collecting\n)?  File "(.+)", line (\d+)')


def outcomes(trial: Trial, points: Sequence[Point]) -> Iterator[bool | None]:
    """One after another, in as few processes as do; what fails in there fails here."""
    left = list(points)
    while left:
        said, died = _in_child(trial, left)
        yield from (each == ord("1") for each in said)
        left = left[len(said) :]
        if died:
            assert _by_others(died), f"it ends the process at {left[0]}:\n{died}"
            yield None
            del left[0]


def _in_child(trial: Trial, points: Sequence[Point]) -> tuple[bytes, str]:
    """What it said, a byte for each point, and where the next one ended the process, if it did."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told:
        child = os.fork()
        if not child:
            _run(trial, points, said.fileno(), told.fileno())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        told.seek(0)
        words = told.read().decode()
        assert status <= 0, words
        return said.read(), words if status < 0 else ""


def _run(trial: Trial, points: Sequence[Point], said: int, told: int) -> NoReturn:
    status = 1
    try:
        faulthandler.enable(told)
        lost: list[Any] = []  # errors that nobody can be told of
        sys.unraisablehook = lost.append
        for point in points:
            answer = trial(*point)
            ours = [words for words in map(_words, lost) if not _known(words)]
            assert not ours, f"{point}: {ours[0]}"
            lost.clear()
            os.write(said, b"1" if answer else b"0")
        status = 0
    except BaseException:
        os.write(told, traceback.format_exc().encode())
    finally:
        os._exit(status)


def _words(what: Any) -> str:
    of = traceback.format_exception(what.exc_type, what.exc_value, what.exc_traceback)
    return f"{what.object!r}\n{''.join(of)}"


def _known(words: str) -> bool:
    """CPython ends a generator that nobody goes on with by an error, for which it has no memory,
    and says so; it closes files and folders that it could not enter, and says that it did.
    pyarrow's writer of a file, which it could not begin, raises where it goes."""
    of_python = ("<generator object", "<_io.FileIO", "<posix.ScandirIterator")
    return words.startswith(of_python) or "pyarrow" in words


def _by_others(died: str) -> bool:
    """Whether the line that ran last is none of ours that calls the core."""
    last = LAST.search(died)
    if last is None or not last[1].startswith(OURS):
        return True
    return "_core." not in linecache.getline(last[1], int(last[2]))
