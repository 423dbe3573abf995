"""Rows and counts of any file: what `fit` and `elicit` read.

Contents
    Table, read_table    numbers, their kind, and the names of columns
    read_numbers         an array of a .npy file
"""

from __future__ import annotations

import csv
import math
import os
import reprlib
import struct
import sys
import tokenize
import zipfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .._base.saving.unpacked import DAMAGED, most_of
from ..errors import UsageError
from .answers import mendable
from .files import PARTIAL, ROWS, check_in, format_of

MOST_ROWS, MOST_COLUMNS = 2**31 - 1, 2**63 - 1  # of a sparse matrix
MOST_PACKED = 1000  # bytes that each packed one may become: arrays of zeros pack well
# What is raised of files that are not as they should be.
UNREADABLE: tuple[type[Exception], ...] = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    SyntaxError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    *DAMAGED,
    struct.error,
    tokenize.TokenError,
)
SUFFIXES = (".safetensors", ".npy", ".npz", ".csv", ".tsv")


@dataclass(frozen=True)
class Table:
    """Rows or counts.

    Attributes
    ----------
    rows
        `NextTokenRows`, `PartialRows`, an array (N, V) or sparse counts.
    kind
        What an array holds; None where the rows know.
    tokens
        The names of the columns; None where the file has none, or the rows know.
    """

    rows: Any
    kind: str | None = None
    tokens: tuple[str, ...] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(N, V)."""
        return int(self.rows.shape[0]), int(self.rows.shape[1])


def read_table(path: str, kind: str | None, what: str = "rows") -> Table:
    """The numbers of a file, and their kind, which is asked for where it cannot be known.

    Counts need not be said: integers, and whole numbers of sparse matrices and tables of text.
    """
    suffix = ".csv" if path == "-" else Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise UsageError(f"{what} {path}: the name must end in one of {known}, or be - for CSV")
    if suffix in (".csv", ".tsv"):
        return _separated(path, "," if suffix == ".csv" else "\t", kind, what)
    if suffix == ".safetensors":
        return _kept(path, kind, what)
    found = _sparse(path, what) if suffix == ".npz" else read_numbers(path, what)
    if found.ndim != 2:
        raise UsageError(f"{what} {path} has shape {found.shape}; rows are (N, V)")
    sparse = hasattr(found, "tocsr")
    are_counts = _are_whole(found.tocsr().data) if sparse else found.dtype.kind in "iu"
    return Table(found, _kind(kind, are_counts, path, what))


def _kind(given: str | None, are_counts: bool, path: str, what: str) -> str:
    """The kind that was said, or counts where the numbers can be nothing else."""
    if given is None and not are_counts:
        raise UsageError(f"{what} {path}: say what the numbers are, --kind probs, logits, ...")
    return given or "counts"


def _are_whole(numbers: Any) -> bool:
    """Whether all numbers are whole, and none is negative."""
    return bool(((numbers >= 0) & (numbers == np.floor(numbers))).all())


def _kept(path: str, kind: str | None, what: str) -> Table:
    """Rows of this package."""
    from ..rows import NextTokenRows, PartialRows

    if kind not in (None, "log_probs"):
        raise UsageError(f"{what} {path} holds log-probabilities; leave --kind out")
    found = format_of(path, what)
    if found not in (ROWS, PARTIAL):
        known = f"its format is {found}" if found else "it has no header of this package"
        raise UsageError(f"{what} {path} holds no rows: {known}; `matrixbayes show` tells more")
    with mendable():
        return Table((NextTokenRows if found == ROWS else PartialRows).load(path))


def read_numbers(path: str, what: str) -> Any:
    """The array of a .npy file, mapped; never a pickle."""
    check_in(path, what)
    try:
        found: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except UNREADABLE as error:
        raise UsageError(
            f"{what} {path} is no array that can be read: {str(error)[:200]}"
        ) from error
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iufb":
        kind = getattr(found, "dtype", "several arrays")
        raise UsageError(f"{what} {path} holds no numbers: {kind}")
    return found


def _sparse(path: str, what: str) -> Any:
    """A sparse matrix of SciPy, or the one array of an archive."""
    from scipy import sparse

    check_in(path, what)
    try:
        with np.load(path, allow_pickle=False) as archive:
            _check_sizes(path, archive)
            names = list(archive.files)
            if "format" in names:
                _check_sparse(path, archive)
                found: Any = sparse.load_npz(path)
                if hasattr(found, "check_format"):  # SciPy reads where indices say, unless asked
                    found.check_format(full_check=True)
                found = found.tocsr()
            elif len(names) == 1:
                found = archive[names[0]]
            else:
                shown = reprlib.repr(names)
                raise UsageError(f"{what} {path} holds {shown}: neither sparse nor one array")
    except UsageError:
        raise
    except UNREADABLE as error:
        raise UsageError(
            f"{what} {path} is no archive that can be read: {str(error)[:200]}"
        ) from error
    if not isinstance(getattr(found, "dtype", None), np.dtype) or found.dtype.kind not in "iufb":
        raise UsageError(f"{what} {path} holds no numbers: {getattr(found, 'dtype', found)}")
    return found


def _check_sizes(path: str, archive: Any) -> None:
    """Refuse arrays that say that they have more bytes than there are."""
    for member in archive.zip.infolist():
        with archive.zip.open(member) as file:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(file)
        if math.prod(shape) * dtype.itemsize > member.file_size:
            raise ValueError(f"{member.filename!r} has not the {shape} numbers that it says")
        if member.file_size > most_of(member.compress_size, MOST_PACKED):
            raise ValueError(f"{member.filename!r} unpacks to {member.file_size:,} bytes")


def _check_sparse(path: str, archive: Any) -> None:
    """Refuse what SciPy takes from a file unseen, and crashes of or asks for all memory.

    That is a shape of more rows than a file of this size has, for each takes memory, and pointers
    that fall, which it does not look at where the last one is 0.
    """
    shape, size = archive["shape"], os.path.getsize(path)
    if shape.shape != (2,) or shape.dtype.kind not in "iu":
        raise ValueError(f"its shape is {reprlib.repr(shape.tolist())}, and not two numbers")
    rows, columns = map(int, shape)
    if not 0 <= rows < min(MOST_ROWS, MOST_PACKED * size) or not 0 <= columns < MOST_COLUMNS:
        raise ValueError(f"its shape is {rows:,} x {columns:,}, and it has {size:,} bytes")
    pointers = archive.get("indptr", np.zeros(1, dtype=np.int64))
    if pointers.dtype.kind not in "iu" or (np.diff(pointers.astype(np.int64)) < 0).any():
        raise ValueError("its rows do not begin one behind the other")


def _separated(path: str, separator: str, kind: str | None, what: str) -> Table:
    """A table of text with a header; a first column without a name holds labels."""
    from ..study.inputs import lines

    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(lines(path, what), delimiter=separator, strict=True)
    rows: list[Any] = []
    header: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = cells
                continue
            rows.append(_numbers(cells, header, f"{what} {path}, line {reader.line_num}"))
    except csv.Error as error:
        raise UsageError(f"{what} {path}, line {reader.line_num}: {error}") from error
    if header is None or not rows:
        raise UsageError(f"{what} {path} is empty: it needs a header and a row of numbers")
    names = tuple(header[_labels(header) :])
    if _is_data(names):
        raise UsageError(
            f"{what} {path}, line 1: a header with the names of the columns is missing"
        )
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise UsageError(f"{what} {path}, line 1: the column {twice!r:.60} is there twice")
    found = np.array(rows)
    return Table(found, _kind(kind, _are_whole(found), path, what), names)


def _labels(header: list[str]) -> int:
    """How many columns hold labels."""
    return int(not header[0].strip())


def _is_data(names: tuple[str, ...]) -> bool:
    """Whether a header is a row of data: numbers, but none that rise as those of columns do."""
    try:
        numbers = [float(name) for name in names]
    except ValueError:
        return False
    rising = all(a < b for a, b in pairwise(numbers))
    return not rising or any(number % 1.0 for number in numbers)


def _numbers(cells: list[str], header: list[str], where: str) -> Any:
    """One line of numbers."""
    if len(cells) != len(header):
        raise UsageError(f"{where}: {len(cells)} columns, and the header has {len(header)}")
    first, row = _labels(header), []
    for name, cell in zip(header[first:], cells[first:], strict=True):
        try:
            number = float(cell)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise UsageError(f"{where}, column {name!r:.60}: {cell!r:.60} is no finite number")
        row.append(number)
    return np.array(row)
