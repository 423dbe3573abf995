"""Files: named arrays and a small header in one safetensors file.

A file is written beside its target and moved over it when it is complete and
on the disk, so a reader never meets half a file and a failed write leaves the
old one as it was.  Reading trusts nothing: the container, the format and
version, the type of every array and the header are checked here, and the
caller checks what the numbers mean.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .saving.made import said

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
    OSError
        The folder cannot be written.  The old file is as it was.

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
    from safetensors.numpy import save_file

    tensors = {name: _storable(name, array) for name, array in arrays.items()}
    metadata = _metadata(header)
    _write(path, lambda temporary: save_file(tensors, temporary, metadata=metadata))


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text to `path`, all or nothing; its folder must exist."""

    def save(temporary: str) -> None:
        with open(temporary, "w", encoding="ascii", newline="\n") as file:
            file.write(text)

    _write(path, save)


def _write(path: str | os.PathLike[str], save: Callable[[str], None]) -> None:
    """Have a file written beside its target and move it there."""
    target = os.path.realpath(path)  # a link stays a link, and its target is replaced
    folder, name = os.path.split(target)
    if os.path.isdir(target):
        raise IsADirectoryError(f"{target} is a folder; give the path of a file in it")
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(8)}.tmp")
    try:
        mode = _create(temporary)
        save(temporary)
        os.chmod(temporary, mode)  # a library may have put a file of its own in place
        _sync(temporary)
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if type(error).__name__ == "SafetensorError":  # the library's word for a full disk
            raise OSError(f"cannot write {target}: {error}") from error
        raise
    _sync(folder)


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
    _check_regular(path)
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
    _check_regular(path)
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
        n_rows = table.get("rest", table.get("log_probs", ((-1,), "")))[0][0]
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


def _create(path: str) -> int:
    """Make a new empty file and return its permissions, which the user's umask gives."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def _sync(path: str) -> None:
    """Wait until a file or folder is on the disk, where the system can say so."""
    folder = os.path.isdir(path)
    if folder and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError:
        if not folder:  # some file systems cannot sync a folder; the file itself is safe
            raise
    finally:
        os.close(descriptor)


# ---------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------


def _check_regular(path: str) -> None:
    """Refuse what is no file, by the system's own error where it is missing or unreadable."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{path} is not a regular file")
    with open(path, "rb"):
        pass


def _load(path: str, part: Callable[[str, Any, str], T]) -> tuple[dict[str, str], dict[str, T]]:
    """The metadata of a safetensors file, and `part` of each of its arrays."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            parts = {name: part(path, file, name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a complete safetensors file: {error}") from error
    return metadata, parts


def _shape(path: str, file: Any, name: str) -> tuple[tuple[int, ...], str]:
    """Shape and type of an array of an open file."""
    array = file.get_slice(name)
    return tuple(array.get_shape()), NAMES.get(array.get_dtype(), array.get_dtype())


def _array(path: str, file: Any, name: str) -> NDArray[Any]:
    """One array of an open file, of a type we write and without NaN."""
    dtype = file.get_slice(name).get_dtype()
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
            f"{path} is not a {format!r} file (its format is {header.get('format')!r})"
        )
    if not isinstance(header.get("format"), str):
        raise ValueError(f"{path}: the header is damaged: it names no format")
    version = header.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"{path}: the header is damaged: version is {version!r}")
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
