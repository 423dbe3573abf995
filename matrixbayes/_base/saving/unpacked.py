"""What compressed files may unpack to.

Contents
    DAMAGED       what is raised of packed bytes that are not as they should be
    most_of       the bytes that so many packed ones may become
    Unpacked      a file that is unpacked as it is read, and no further
"""

from __future__ import annotations

import io
from contextlib import suppress
from importlib import import_module
from typing import Any

DAMAGED: tuple[type[Exception], ...] = (EOFError, OSError)
for _module, _error in (
    ("zlib", "error"),
    ("lzma", "LZMAError"),
    ("compression.zstd", "ZstdError"),  # from Python 3.14 on
):
    with suppress(ImportError):  # a Python may be built without
        DAMAGED += (getattr(import_module(_module), _error),)

FREE = 1 << 26  # bytes that any file may become
TIMES = 200  # and so many for each: texts of numbers become about 10


def most_of(packed: int, times: int = TIMES) -> int:
    """How many bytes so many may become, or they are a trap."""
    return max(FREE, times * packed)


class Unpacked(io.RawIOBase):
    """Reads another file, up to a number of bytes.

    Parameters
    ----------
    file
        Gives what is unpacked.
    packed
        How many bytes it is unpacked from.
    name
        What it is called in the ValueError for more.
    """

    def __init__(self, file: Any, packed: int, name: str) -> None:
        self._file, self._left, self._name = file, most_of(packed), name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n = int(self._file.readinto(buffer))
        self._left -= n
        if self._left < 0:
            raise ValueError(
                f"{self._name} unpacks to more than {TIMES} times what it is: unpack it by hand if "
                "that is as it should be"
            )
        return n

    def close(self) -> None:
        self._file.close()
        super().close()
