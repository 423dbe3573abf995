"""Files of arrays that are mapped into memory, not loaded: safetensors, written without a copy.

Contents
    write_mapped     arrays to a file, with checksums
    open_mapped      such a file, mapped
    read_mapped      what `files.write` wrote, mapped

The layout is that of the safetensors format, which its library reads; here arrays go from memory to
the file and from the file into the address space, so that they may be larger than memory.  Each
array has a checksum in the header, and the header one of its own: a file with a single bit changed
is refused, unless the caller does without the pass over the numbers.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import files
from .saving.whole import replace_file

Arrays = Mapping[str, NDArray[Any]]

ALIGNMENT = 64  # bytes, of the first array
MAX_HEADER = 1 << 28
NO_CHECKSUM = "0" * 8  # stands in the header while its checksum is made
PIECE = 1 << 24  # bytes to a step of a checksum, so that it stops on Ctrl-C
DTYPES = {name: code for name, code in files.DTYPES.items() if name != "bool"} | {"uint64": "U64"}


def write_mapped(path: str | os.PathLike[str], arrays: Arrays, header: Mapping[str, Any]) -> None:
    """Write arrays and a header to `path`, all or nothing, without copies of the arrays.

    Parameters
    ----------
    path, header
        As for `files.write`.
    arrays
        Numbers of 64, 32 or 8 bits, in C order.

    Raises
    ------
    ValueError
        The header is larger than one may be.
    OSError
        The file cannot be written.  The old one is as it was.
    """
    # the widest first, so that each begins at a multiple of its width
    named = sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    flat = {name: np.ascontiguousarray(array) for name, array in named}
    told = dict(header) | {"checksums": {name: _checksum(array) for name, array in flat.items()}}
    text = _header_of(flat, json.dumps(told, allow_nan=False))
    replace_file(path, lambda file: files.put(file, text, flat))


def open_mapped(
    path: str | os.PathLike[str], format: str, *, verify: bool = True
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Map the arrays of a file that `write_mapped` wrote, read-only, and read its header.

    Parameters
    ----------
    path
        The file.  Whoever changes it while it is mapped changes the numbers.
    format
        The format that the header must name.
    verify
        Whether to read everything once and compare checksums; the header is always checked.

    Raises
    ------
    ValueError
        The file is not complete, of another format, or not what `write_mapped` wrote.
    OSError
        There is no such file, or it cannot be read.
    """
    path = os.fspath(path)
    text, whole = _parts(path)
    table, metadata = _table(path, text)
    header = files._header(path, metadata, format)
    found = metadata.get("checksum", "")
    if found != _header_checksum(text, found):
        raise ValueError(f"{path}: the header is damaged: its checksum is wrong")
    arrays = _views(path, table, whole, 8 + len(text), aligned=True)
    if verify:
        told = header.get("checksums")
        for name, array in arrays.items():
            if not isinstance(told, dict) or told.get(name) != _checksum(array):
                raise ValueError(f"{path}: array {name!r} is damaged: its checksum is wrong")
    return arrays, header


def read_mapped(
    path: str | os.PathLike[str], format: str
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Map the arrays of a file that `files.write` wrote, read-only, and read its header.

    It says what `files.read` says and refuses what that refuses; what is not aligned is copied.

    Parameters
    ----------
    path
        The file.  Moving another in its place or removing it does no harm on POSIX systems, and is
        refused on Windows while it is mapped.  Whoever writes into it changes the numbers, and
        whoever cuts it ends the processes that read what is gone.
    format
        The format that the header must name.

    Raises
    ------
    ValueError
        The file is not complete, is of another format, or is not what `files.write` writes.
    OSError
        There is no such file, or it cannot be read.
    """
    if sys.byteorder != "little":
        return files.read(path, format)
    path = os.fspath(path)
    text, whole = _parts(path)
    table, metadata = _table(path, text)
    header = files._header(path, metadata, format)
    arrays = _views(path, table, whole, 8 + len(text), aligned=False)
    for name, array in arrays.items():
        files.refuse_nan(path, name, array)
    return arrays, header


def _parts(path: str) -> tuple[bytes, NDArray[np.uint8]]:
    """The header of a file as it is written, and all of its bytes, mapped."""
    if sys.byteorder != "little":
        raise ValueError("mapped files need a little-endian machine")
    files.check_regular(path)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER):
            raise ValueError(f"{path} is not a complete safetensors file")
        text = file.read(length)
        return text, np.memmap(file, dtype=np.uint8, mode="r")  # this file, whatever takes its name


def _header_of(arrays: Arrays, told: str) -> bytes:
    """The header of a safetensors file, padded, with its own checksum in it."""
    metadata = {files.KEY: told, "checksum": NO_CHECKSUM}
    text = files.layout(arrays, metadata, ALIGNMENT, MAX_HEADER)
    checksum = _header_checksum(text, NO_CHECKSUM)
    return text.replace(_entry(NO_CHECKSUM), _entry(checksum))


def _header_checksum(text: bytes, found: str) -> str:
    """Of a header, as it was before its checksum was put in."""
    return f"{zlib.crc32(text.replace(_entry(found), _entry(NO_CHECKSUM))):08x}"


def _entry(checksum: str) -> bytes:
    """A checksum in a header; the quotes within other texts are escaped."""
    return f'"checksum":"{checksum}"'.encode()


def _checksum(array: NDArray[Any]) -> str:
    """CRC-32 of the bytes of an array in C order."""
    data, value = array.reshape(-1).view(np.uint8).data, 0
    for start in range(0, len(data), PIECE):
        value = zlib.crc32(data[start : start + PIECE], value)
    return f"{value:08x}"


def _table(path: str, text: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """The places of the arrays, and the metadata."""
    try:
        table = json.loads(text, parse_constant=files._refuse, parse_float=files._finite)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: the header is damaged: {error}") from error
    if not isinstance(table, dict):
        raise ValueError(f"{path}: the header is damaged: it is not an object")
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(t, str) for t in metadata.values()):
        raise ValueError(f"{path}: the header is damaged: its metadata are no texts")
    return table, metadata


def _views(
    path: str, table: dict[str, Any], whole: NDArray[np.uint8], start: int, aligned: bool
) -> dict[str, NDArray[Any]]:
    """The arrays of a table, which must fill the rest of the file without a gap.

    What is not aligned is refused where `aligned`, else copied.
    """
    size = len(whole)
    arrays, next_offset = {}, 0
    for name, entry in sorted(table.items(), key=lambda item: _offsets(path, item[0], item[1])):
        begin, end = _offsets(path, name, entry)
        dtype = next((kind for kind, code in DTYPES.items() if code == entry.get("dtype")), None)
        shape = entry.get("shape")
        good = (
            isinstance(shape, list) and len(shape) <= files.MOST_AXES and all(map(_is_size, shape))
        )
        if dtype is None or not good:
            raise ValueError(f"{path}: array {name!r} has no known type or shape")
        n_bytes = np.dtype(dtype).itemsize
        for n in shape:
            n_bytes *= n
        if begin != next_offset or end - begin != n_bytes or start + end > size:
            raise ValueError(f"{path}: array {name!r} is not where its shape {shape} puts it")
        data = whole[start + begin : start + end]
        if (start + begin) % np.dtype(dtype).itemsize:
            if aligned:
                raise ValueError(f"{path}: array {name!r} is not aligned")
            data = data.copy()
            data.flags.writeable = False
        with files.naming(path):  # axes of no entries, and too many of others
            arrays[name] = data.view(dtype).reshape(shape)
        next_offset = end
    if start + next_offset != size:
        raise ValueError(f"{path} has {size} bytes, and its arrays end at {start + next_offset}")
    return {name: array.view(np.ndarray) for name, array in arrays.items()}


def _is_size(n: object) -> bool:
    return isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**62


def _offsets(path: str, name: str, entry: Any) -> tuple[int, int]:
    found = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(found, list) or len(found) != 2 or not all(map(_is_size, found)):
        raise ValueError(f"{path}: array {name!r} has no place in the file")
    return found[0], found[1]
