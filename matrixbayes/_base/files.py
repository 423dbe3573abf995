"""Files: named arrays and a small header in one safetensors file.

A file is there whole or not at all (`saving.whole`), and a failed write leaves the
old one as it was.  Reading trusts nothing: the container, the format and
version, the type of every array and the header are checked here, and the
caller checks what the numbers mean.
"""

from __future__ import annotations

import json
import math
import os
import reprlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .saving.made import said
from .saving.whole import replace_file

# The one entry of the file's metadata: with several, their order would differ from run to run.
KEY = "matrixbayes"

# NumPy's name and the file's name of every type that these files hold.
DTYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int32": "I32",
    "uint32": "U32",
    "int64": "I64",
    "float32": "F32",
    "float64": "F64",
}
NAMES = {code: name for name, code in DTYPES.items()} | {"U64": "uint64"}
ORDER = ("I64", "F64", "F32", "U32", "I32", "U8", "BOOL")  # in which the library writes arrays
ALIGNMENT = 8  # bytes, of the first array
MOST_AXES = 8
LONGEST = 800  # characters of a reason
MAX_HEADER = 100_000_000  # bytes, of the library

T = TypeVar("T")


def write(
    path: str | os.PathLike[str],
    arrays: Mapping[str, NDArray[Any]],
    header: Mapping[str, Any],
) -> None:
    """Write arrays and a header to `path`, all or nothing.

    Parameters
    ----------
    path
        The file, replaced if it exists.  Its folder must exist.
    arrays
        Arrays of bool, 8-bit, 32-bit or 64-bit integers, float32 or float64, by name.
    header
        What JSON can hold, with at least ``format`` (the name of what the file
        holds, which `read` asks for) and ``version`` (an integer).

    Raises
    ------
    TypeError
        An array's type, or something in the header, cannot be stored.
    ValueError
        The header is larger than one may be.
    OSError
        The file cannot be written.  The old one is as it was.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> from matrixbayes._base import files
    >>> path = os.path.join(tempfile.mkdtemp(), "numbers.safetensors")
    >>> files.write(path, {"x": np.arange(3)}, {"format": "numbers", "version": 1})
    >>> arrays, header = files.read(path, "numbers")
    >>> arrays["x"], header["version"]
    (array([0, 1, 2]), 1)
    """
    found = {name: _storable(name, array) for name, array in arrays.items()}
    ordered = sorted(found.items(), key=lambda item: (ORDER.index(_code(item[1])), item[0]))
    head = layout(dict(ordered), _metadata(header), ALIGNMENT, MAX_HEADER)
    replace_file(path, lambda file: put(file, head, found=dict(ordered)))


def layout(
    arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str], alignment: int, most: int
) -> bytes:
    """The header of a safetensors file of these arrays, in their order; padded, for the first.

    Raises
    ------
    ValueError
        It has more than `most` bytes.
    """
    table: dict[str, Any] = {"__metadata__": dict(metadata)}
    start = 0
    for name, array in arrays.items():
        end = start + array.nbytes
        table[name] = {
            "dtype": _code(array),
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
        start = end
    text = json.dumps(table, separators=(",", ":")).encode("ascii")
    text += b" " * (-(8 + len(text)) % alignment)
    if len(text) > most:
        raise ValueError(
            f"the header would have {len(text):,} bytes, and files are read with up to {most:,}: "
            "fewer or shorter names or meta data fit"
        )
    return text


def put(file: IO[bytes], head: bytes, found: Mapping[str, NDArray[Any]]) -> None:
    """Write header and arrays, in C order, without a copy of them."""
    file.write(len(head).to_bytes(8, "little"))
    file.write(head)
    for array in found.values():
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        file.write(little.reshape(-1).view(np.uint8).data)


def _code(array: NDArray[Any]) -> str:
    """The file's name of an array's type."""
    return next(code for code, name in NAMES.items() if name == array.dtype.name)


def read(
    path: str | os.PathLike[str], format: str
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what `write` wrote, and check it.

    Parameters
    ----------
    path
        The file.
    format
        The format that the header must name.

    Returns
    -------
    arrays : dict of str to ndarray
        Every array of the file, copied into memory.  A floating-point array holds
        no NaN; whether its numbers make sense is the caller's to check.
    header : dict
        With ``format``, ``version`` and whatever else was written.

    Raises
    ------
    ValueError
        The file is not complete, is of another format, or is not what `write` writes.
    OSError
        There is no such file, or it cannot be read.
    """
    path = os.fspath(path)
    check_regular(path)
    metadata, arrays = _load(path, _array)
    return arrays, _header(path, metadata, format)


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a file of this package says of itself; its arrays are not read.

    Parameters
    ----------
    path
        A safetensors file that this package wrote.

    Returns
    -------
    dict
        ``kind`` ("prior", "rows", "partial_rows", "kernels", "matrix", "backoff", "cache");
        ``format_version``; ``made_by``, such as "matrixbayes 0.2.0", None in files from before;
        ``made_with``, a dict of what it was made with, as far as is known: the parameters of a fit,
        where rows come from, the settings of a matrix; ``n_tokens``, None where no header says it;
        ``tokens``, the names or None; ``shapes`` and ``dtypes`` of the arrays by name; ``bytes`` of
        the file.

    Raises
    ------
    ValueError
        The file is not complete, or not of this package.
    OSError
        There is no such file, or it cannot be read.

    Examples
    --------
    >>> import os, tempfile, matrixbayes as mb
    >>> from matrixbayes._base import files
    >>> path = os.path.join(tempfile.mkdtemp(), "prior.safetensors")
    >>> mb.DirichletMixture([1.0], [[2.0, 3.0]], tokens=("no", "yes")).save(path)
    >>> told = files.describe(path)
    >>> told["kind"], told["shapes"], told["tokens"]
    ('prior', {'alpha': (1, 2), 'weights': (1,)}, ('no', 'yes'))
    """
    path = os.fspath(path)
    check_regular(path)
    metadata, table = _load(path, _shape)
    header = _header(path, metadata, None)
    made = said(header)
    tokens, meta = header.get("tokens"), header.get("meta")
    names = tuple(map(str, tokens)) if isinstance(tokens, list) else None
    settings = {
        name: value
        for name, value in header.items()
        if name not in ("format", "version", "n_tokens", "unknown")
        and isinstance(value, (str, int, float))
    }
    if isinstance(meta, dict):  # but what is one for each row
        shape = table.get("rest", table.get("log_probs", ((), "")))[0]
        n_rows = shape[0] if shape else -1
        settings |= {
            name: value
            for name, value in meta.items()
            if not (isinstance(value, list) and len(value) == n_rows)
        }
    return {
        "kind": str(header["format"]).removeprefix("matrixbayes."),
        "format_version": header["version"],
        "made_by": str(made["by"]) if "by" in made else None,
        "made_with": settings | made.get("with", {}),
        "n_tokens": _width(header, table) if names is None else len(names),
        "tokens": names,
        "shapes": {name: shape for name, (shape, _) in sorted(table.items())},
        "dtypes": {name: dtype for name, (_, dtype) in sorted(table.items())},
        "bytes": os.path.getsize(path),
    }


@contextmanager
def naming(path: str | os.PathLike[str], says: str = "") -> Iterator[None]:
    """What is wrong with what a file holds is a ValueError that names the file, in few words."""
    try:
        yield
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
        name = os.fspath(path)
        words = str(error) if isinstance(error, (TypeError, ValueError)) else repr(error)
        if len(words) > LONGEST:
            words = f"{words[:LONGEST]}..."
        raise ValueError(words if name in words else f"{name}{says}: {words}") from error


def require(path: str | os.PathLike[str], header: Mapping[str, Any], version: int) -> None:
    """Refuse a file that a later release of the package wrote."""
    if header["version"] > version:
        raise ValueError(
            f"{os.fspath(path)} has format version {header['version']}, and this release reads up "
            f"to {version}: install a newer matrixbayes"
        )


# ---------------------------------------------------------------------------
# Writing
# ---------------------------------------------------------------------------


def _storable(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """The array in C order and the machine's byte order; its type must be one of ours."""
    array = np.asarray(array)
    if array.dtype.name not in DTYPES:
        known = ", ".join(DTYPES)
        raise TypeError(f"array {name!r} is {array.dtype}; a file holds {known}")
    return np.require(array, dtype=array.dtype.newbyteorder("="), requirements="C")


def _metadata(header: Mapping[str, Any]) -> dict[str, str]:
    """The header as safetensors wants it: text by name."""
    if not isinstance(header.get("format"), str) or not isinstance(header.get("version"), int):
        raise TypeError("a header needs 'format' (a string) and 'version' (an integer)")
    try:
        text = json.dumps(dict(header), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"the header does not fit into JSON: {error}") from error
    return {KEY: text}


# ---------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------


def check_regular(path: str) -> None:
    """Refuse what is no file, by the system's own error where it is missing or unreadable."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{path} is not a regular file")
    try:
        with open(path, "rb"):
            pass
    except UnicodeEncodeError as error:
        raise ValueError(f"{path!a} is no name that a file can have: {error}") from error


def _load(path: str, part: Callable[[str, Any, str], T]) -> tuple[dict[str, str], dict[str, T]]:
    """The metadata of a safetensors file, and `part` of each of its arrays."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            parts = {name: part(path, file, name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        words = str(error)[:LONGEST]
        raise ValueError(f"{path} is not a complete safetensors file: {words}") from error
    return metadata, parts


def _shape(path: str, file: Any, name: str) -> tuple[tuple[int, ...], str]:
    """Shape and type of an array of an open file."""
    array = file.get_slice(name)
    return tuple(array.get_shape()), NAMES.get(array.get_dtype(), array.get_dtype())


def _array(path: str, file: Any, name: str) -> NDArray[Any]:
    """One array of an open file, of a type we write and without NaN."""
    known = file.get_slice(name)
    dtype = known.get_dtype()
    if len(known.get_shape()) > MOST_AXES:
        raise ValueError(f"{path}: array {name!r} has more axes than any that these files hold")
    if dtype not in DTYPES.values():
        raise ValueError(f"{path}: array {name!r} has type {dtype}, which these files never hold")
    array: NDArray[Any] = file.get_tensor(name)
    refuse_nan(path, name, array)
    return array


def refuse_nan(path: str, name: str, array: NDArray[Any]) -> None:
    """An error for an array with NaN, which says where; nothing of the array's size is made."""
    if array.dtype.kind == "f" and array.size and np.isnan(array.max()):
        where = tuple(int(i) for i in np.argwhere(np.isnan(array))[0])
        raise ValueError(f"{path}: array {name!r} holds NaN at {where}")


def _header(path: str, metadata: Mapping[str, str], format: str | None) -> dict[str, Any]:
    """The header of a file, which must be ours and of the right format, or of any."""
    if KEY not in metadata:
        wanted = "file of this package" if format is None else f"{format!r} file"
        raise ValueError(f"{path} is not a {wanted}: it has no header of this package")
    try:
        header = json.loads(metadata[KEY], parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: the header is damaged: {error}") from error
    if not isinstance(header, dict):
        raise ValueError(f"{path}: the header is damaged: it is not an object")
    if header.get("format") != format and format is not None:
        raise ValueError(
            f"{path} is not a {format!r} file (its format is {reprlib.repr(header.get('format'))})"
        )
    if not isinstance(header.get("format"), str):
        raise ValueError(f"{path}: the header is damaged: it names no format")
    version = header.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"{path}: the header is damaged: version is {reprlib.repr(version)}")
    return header


def _width(header: Mapping[str, Any], table: Mapping[str, tuple[tuple[int, ...], str]]) -> Any:
    """V of a file without names: what its header says, else the columns of its numbers."""
    columns = [table[name][0] for name in ("alpha", "log_probs") if name in table]
    wide = [shape[1] for shape in columns if len(shape) == 2]
    return header.get("n_tokens", wide[0] if wide else None)


def _refuse(constant: str) -> float:
    """JSON has no NaN and no infinities."""
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    """A number of the header; one too large for a float is refused."""
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)
