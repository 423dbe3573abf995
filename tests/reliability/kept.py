"""What calls keep: memory, references, files, threads, as gates of leaks read it.

Contents
    Kept     readings of this process, and what calls change in them
    TYPES    our types in C: each object of theirs refers to its type
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from matrixbayes import _core

TYPES = [value for value in vars(_core).values() if isinstance(value, type)]
OWN = Path("/proc/self")


class MallInfo(ctypes.Structure):
    """struct mallinfo2 of <malloc.h>."""

    _fields_ = [("numbers", ctypes.c_size_t * 10)]


LIBC = ctypes.CDLL(None)
if hasattr(LIBC, "mallinfo2"):
    LIBC.mallinfo2.restype = MallInfo


class Kept:
    """Readings of this process.

    Parameters
    ----------
    calls : int
        Calls between two readings, fewer where a call is slow.
    seconds : float
        Of processor time that these may take.
    folders : of Path
        Where files would stay, beside the system's folder for temporary ones.
    """

    # A leak shows in each; what others cache shows in some.
    ROUNDS = 20
    # The C library's smallest piece.  It gives a little more than is asked for where what would be
    # left is smaller than that, so that bytes vary: below this, no call has kept any.
    PIECE = 32
    NAMES = ("blocks", "bytes", "open files", "threads", "files", "mappings")

    def __init__(self, calls: int, seconds: float, *folders: Path) -> None:
        self.calls, self.seconds = calls, seconds
        self.folders = [Path(tempfile.gettempdir()), *folders]
        self.n_calls = 0
        size = len(self.NAMES) + len(TYPES)
        self._before, self._after = np.zeros((2, size), dtype=np.int64)

    def _read(self, out: np.ndarray) -> None:
        gc.collect()
        sys._clear_type_cache()  # it keeps names that C code looked attributes up by
        if OWN.exists():
            out[2] = len(os.listdir("/proc/self/fd"))
            out[3] = len(os.listdir("/proc/self/task"))
            with open("/proc/self/maps", "rb") as maps:
                out[5] = sum(b"/" in line for line in maps)
        out[4] = sum(len(os.listdir(folder)) for folder in self.folders)
        for place, kind in enumerate(TYPES, len(self.NAMES)):
            out[place] = sys.getrefcount(kind)
        if hasattr(LIBC, "mallinfo2"):
            numbers = LIBC.mallinfo2().numbers
            out[1] = numbers[4] + numbers[7]  # mapped, and taken from arenas
            del numbers
        out[0] = sys.getallocatedblocks()

    def by(self, call: Callable[[], object]) -> dict[str, int]:
        """What calls keep in every round: nothing, or how many of what.

        What is found is looked for once more, a second later: a thread that ends by itself, of a
        call or of a test before, has ended by then, and a leak is there again.
        """
        found = self._by(call)
        if found:
            time.sleep(1.0)
            found = self._by(call)
        return found

    def _by(self, call: Callable[[], object]) -> dict[str, int]:
        began = time.process_time()
        call()
        call()
        each = (time.process_time() - began) / 2
        n = max(1, min(self.calls, int(self.seconds / max(each, 1e-6))))
        gc.collect()
        gc.freeze()  # what there is by now is left out of the many collections to come
        for times in (1, 4):  # what settles, settles; a leak is there after any number of calls
            least = np.full_like(self._before, np.iinfo(np.int64).max)
            self._read(self._before)
            for _ in range(self.ROUNDS):
                for _ in itertools.repeat(None, n * times):
                    call()
                # where a round ends the next begins: a reading frees what calls fill again, as the
                # C library's pieces of a size that it keeps for reuse
                self._read(self._after)
                self.n_calls += n * times
                np.minimum(least, self._after - self._before, out=least)
                least[1] *= least[1] >= self.PIECE * n * times
                if np.all(least <= 0):
                    return {}
                self._before[:] = self._after
        names = [*self.NAMES, *(kind.__name__ for kind in TYPES)]
        return {name: int(x) for name, x in zip(names, least, strict=True) if x > 0}
