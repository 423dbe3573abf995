"""Files that commands read and write, checked before anything is loaded.

Contents
    check_out       refuses an output that could not be written, or would be lost
    check_in        refuses an input that is not there
    format_of       what kind a file is of, by its header
    load_prior      a Dirichlet mixture, whatever its file
    load_matrix     a TransitionMatrix or back-off model, whatever its file
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .answers import mendable

PRIOR, KERNELS = "matrixbayes.prior", "matrixbayes.kernels"
ROWS, PARTIAL = "matrixbayes.rows", "matrixbayes.partial_rows"
MATRIX, BACKOFF = "matrixbayes.matrix", "matrixbayes.backoff"
LONGEST_HEADER = 1 << 30


def check_out(path: str, overwrite: bool, option: str = "--out") -> None:
    """Refuse a path that cannot be written, or where something is."""
    target = Path(path)
    folder = target.parent
    if not path or target.is_dir():
        raise UsageError(f"{option} {path or repr(path)} is a folder; give the path of a file")
    if not folder.is_dir():
        raise UsageError(f"cannot write {option} {path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write {option} {path}: folder {folder} is not writable")
    if target.exists() and not overwrite:
        raise UsageError(f"{path} exists: --overwrite replaces it, {option} FILE writes elsewhere")


def check_in(path: str, what: str) -> None:
    """Refuse a file that is not there, or cannot be read."""
    if os.path.exists(path) and not os.path.isfile(path):
        kind = "Is a directory" if os.path.isdir(path) else "Not a regular file"
        raise UsageError(f"cannot read {what} {path}: {kind}")
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise UsageError(f"cannot read {what} {path}: {error.strerror or error}") from error


def header_of(path: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Of a safetensors file the arrays (type and shape by name) and the metadata, else None.

    Read by hand, for files of all sizes and of later versions: nothing but the header is.
    """
    with open(path, "rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        room = os.fstat(file.fileno()).st_size - 8
        if len(start) < 8 or not 2 <= length <= min(room, LONGEST_HEADER):
            return None
        text = file.read(length)
    try:
        arrays = json.loads(text) if text[:1] == b"{" else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(arrays, dict):
        return None
    metadata = arrays.pop("__metadata__", {})
    good = all(isinstance(each, dict) and "shape" in each for each in arrays.values())
    return (arrays, metadata if isinstance(metadata, dict) else {}) if good else None


def about(metadata: dict[str, Any]) -> dict[str, Any]:
    """The header of this package in the metadata of a file; empty where there is none."""
    try:
        found = json.loads(metadata.get("matrixbayes", "{}"))
    except (TypeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def format_of(path: str, what: str) -> str:
    """The format that a file of this package names; "" for any other file."""
    check_in(path, what)
    with mendable():
        found = header_of(path)
    return "" if found is None else str(about(found[1]).get("format", ""))


def load_prior(path: str, what: str = "prior") -> Any:
    """A `DirichletMixture`."""
    from ..mixture import DirichletMixture

    check_in(path, what)
    with mendable():
        return DirichletMixture.load(path)


def load_matrix(path: str, *, verify: bool = True) -> Any:
    """A `TransitionMatrix`, or a `BackoffModel` of a file of its own or in the format of ARPA."""
    from ..matrix import BackoffModel, TransitionMatrix, read_arpa

    kind = format_of(path, "matrix")
    with mendable():
        if kind == BACKOFF:
            return BackoffModel.open(path)
        if not kind and path.removesuffix(".gz").removesuffix(".bz2").endswith(".arpa"):
            return read_arpa(path)
        return TransitionMatrix.open(path, verify=verify)
