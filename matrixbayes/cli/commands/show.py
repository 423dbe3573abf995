"""`show`: what a file is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ..answers import Answer, components, mendable
from ..files import (
    BACKOFF,
    KERNELS,
    MATRIX,
    PARTIAL,
    PRIOR,
    ROWS,
    about,
    check_in,
    header_of,
    load_matrix,
)
from ..options import Commands, command, top

KEYS = ["file", "kind", "format", "format_version", "made_by", "made_with", "n_bytes", "arrays"]
KEYS += ["components"]
KINDS = {
    PRIOR: "a prior, DirichletMixture",
    KERNELS: "a prior of kernels around rows, KernelMixture",
    ROWS: "next-token rows, NextTokenRows",
    PARTIAL: "rows known in part, PartialRows",
    MATRIX: "the Matrix of a text, TransitionMatrix",
    BACKOFF: "a back-off model, BackoffModel",
    "matrixbayes.cache": "rows that `collect` keeps as it goes",
}
LONG = 8  # entries of a list that are shown


def add(commands: Commands) -> None:
    """The command's options."""
    about = "say what a file is: its kind, where it comes from, how large, what is on top"
    epilog = "Files of this package, other safetensors files, and models in the format of ARPA."
    parser = command(commands, "show", run, help=about, keys=KEYS, epilog=epilog)
    parser.add_argument("file", metavar="FILE", help="what collect, fit, matrix or study wrote")
    top(parser)


def run(options: Any) -> Answer:
    """Say what a file is."""
    path: str = options.file
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder; give the path of a file")
    check_in(path, "file")
    with mendable():
        found = header_of(path)
    if found is None and ".arpa" not in Path(path).suffixes:
        raise UsageError(f"{path} is neither a safetensors file nor in the format of ARPA (.arpa)")
    arrays, metadata = found or ({}, {})
    header = about(metadata)
    name = str(header.get("format", "ARPA" if found is None else ""))
    kind = KINDS.get(name, "an n-gram model, BackoffModel" if name else "a safetensors file")
    lines = [f"{path}: {kind}"]
    thing = _load(path, name)
    listed = components(thing, options.top) if name == PRIOR else None
    if thing is not None:
        lines += repr(thing).splitlines()
    else:
        lines += [f"  {each}: {_type(about)}" for each, about in list(arrays.items())[:LONG]]
        lines += [f"  ... and {len(arrays) - LONG} more arrays"] * (len(arrays) > LONG)
    made = _made(path, name, {k: v for k, v in metadata.items() if k != "matrixbayes"})
    lines += [f"made by {made['made_by']}"] if made["made_by"] else []
    lines += [f"  {key}: {value}" for key, value in _flat(made["made_with"]) if value is not None]
    data = {
        "file": path,
        "kind": kind,
        "format": name or None,
        "format_version": header.get("version"),
        **made,
        "n_bytes": os.path.getsize(path),
        "arrays": {k: {"dtype": v.get("dtype"), "shape": v["shape"]} for k, v in arrays.items()},
        "components": listed,
    }
    return Answer(lines, data)


def _load(path: str, name: str) -> Any:
    """What the file holds, where this package made it."""
    from ...mixture import DirichletMixture, KernelMixture
    from ...rows import NextTokenRows, PartialRows

    kinds: dict[str, Any] = {PRIOR: DirichletMixture, KERNELS: KernelMixture}
    kinds |= {ROWS: NextTokenRows, PARTIAL: PartialRows}
    if name in (MATRIX, BACKOFF, "ARPA"):
        return load_matrix(path, verify=False)
    if name not in kinds:
        return None
    with mendable():
        return kinds[name].load(path)


def _made(path: str, name: str, others: dict[str, Any]) -> dict[str, Any]:
    """Who made the file, and with what; of files that are not ours what their metadata says."""
    if name not in KINDS:
        return {"made_by": None, "made_with": _short(others)}
    from ..._base.files import describe

    with mendable():
        told = describe(path)
    return {"made_by": told["made_by"], "made_with": _short(told["made_with"])}


def _type(array: dict[str, Any]) -> str:
    """Type and shape of an array."""
    shape = " x ".join(map(str, array["shape"])) or "one number"
    return f"{array.get('dtype', '?')}, {shape}"


def _short(value: Any) -> Any:
    """A header without its long lists."""
    if isinstance(value, dict):
        return {key: _short(each) for key, each in value.items()}
    if isinstance(value, list) and len(value) > LONG:
        return f"{len(value)} entries"
    if isinstance(value, str) and len(value) > 500:
        return f"{value[:500]}..."
    return value


def _flat(header: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """Entries of entries by their whole names."""
    found: list[tuple[str, Any]] = []
    for key, value in header.items():
        if isinstance(value, dict):
            found += _flat(value, f"{before}{key}.")
        else:
            found.append((f"{before}{key}", value))
    return found
