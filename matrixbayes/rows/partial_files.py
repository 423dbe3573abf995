"""Rows known in part as parquet files, as caches of teachers' predictions are.

Contents
    write_parquet    topk_ids: list<int32>, topk_logprobs: list<float32>, other_logprob: float32
    read_parquet     the parts of rows that such a file holds, whoever wrote it

What the schema has no place for is in the file's metadata, as JSON, and in columns that others may
skip: ``unlisted_cap`` where it is not the smallest listed, ``input_ids``.
"""

from __future__ import annotations

import json
import os
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .._base import files
from .._base.saving.made import NAME, said, told
from .._base.saving.whole import replace_file
from .._base.typing import Ids
from .partial_checks import least

FORMAT, VERSION = "matrixbayes.partial_rows.parquet", 1
KEY = b"matrixbayes"
IDS, LOGS, REST, CAP, CONTEXT = (
    "topk_ids",
    "topk_logprobs",
    "other_logprob",
    "unlisted_cap",
    "input_ids",
)
AT_ONCE = 1 << 16  # rows of a group


def _parquet() -> tuple[Any, Any]:
    """pyarrow and its module of parquet files."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            'parquet files need pyarrow: pip install "matrixbayes[parquet]", or pip install pyarrow'
        ) from error
    return pyarrow, pyarrow.parquet


# -- writing ---------------------------------


def write_parquet(rows: Any, path: str | os.PathLike[str]) -> None:
    """Write `PartialRows`, all or nothing."""
    arrow, parquet = _parquet()
    ids, by_id = rows.columns, False
    if rows.token_ids is not None and (rows.token_ids[rows.columns] >= 0).all():
        ids, by_id = rows.token_ids[rows.columns], True
    ids = ids.astype(np.int32 if ids.max(initial=0) < 2**31 else np.int64)
    real = arrow.float32() if rows.log_probs.dtype == np.float32 else arrow.float64()
    fields = [
        (IDS, arrow.list_(arrow.from_numpy_dtype(ids.dtype))),
        (LOGS, arrow.list_(real)),
        (REST, real),
    ]
    usual = np.minimum(least(rows.log_probs, rows.starts), rows.rest)
    if (rows.cap != usual).any():
        fields.append((CAP, arrow.float64()))
    if rows.input_ids is not None:
        fields.append((CONTEXT, arrow.list_(arrow.int64())))
    about = {
        "format": FORMAT,
        "version": VERSION,
        "n_tokens": rows.n_tokens,
        "tokens": None if rows.tokens is None else list(rows.tokens),
        "token_ids": None if rows.token_ids is None else rows.token_ids.tolist(),
        "by_id": by_id,
        "meta": rows.meta,
        **told(rows),
    }
    schema = arrow.schema(fields, metadata={KEY: json.dumps(about, allow_nan=False)})

    def lists(values: NDArray[Any], ends: Ids, kind: Any) -> Any:
        entries = arrow.array(values[ends[0] : ends[-1]], kind.value_type)
        return arrow.ListArray.from_arrays(arrow.array(ends - ends[0], arrow.int32()), entries)

    def save(opened: IO[bytes]) -> None:
        with parquet.ParquetWriter(opened, schema) as file:
            for start in range(0, max(len(rows), 1), AT_ONCE):
                cut = slice(start, min(start + AT_ONCE, len(rows)))
                ends = slice(cut.start, cut.stop + 1)
                columns: dict[str, Any] = {
                    IDS: lists(ids, rows.starts[ends], fields[0][1]),
                    LOGS: lists(rows.log_probs, rows.starts[ends], fields[1][1]),
                    REST: arrow.array(rows.rest[cut], real),
                    CAP: arrow.array(rows.cap[cut], arrow.float64()),
                }
                if rows.input_ids is not None:
                    columns[CONTEXT] = lists(rows.input_ids, rows.offsets[ends], fields[-1][1])
                file.write_table(arrow.table([columns[name] for name, _ in fields], schema=schema))

    replace_file(path, save)


# -- reading ---------------------------------


def read_parquet(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The arguments of `PartialRows` that a file holds; ``n_tokens`` only if this package wrote it.

    Raises
    ------
    ValueError
        It is no such file; a row that lacks something is named.
    """
    arrow, parquet = _parquet()
    path = os.fspath(path)
    files.check_regular(path)
    try:
        file = parquet.ParquetFile(path)
        names = file.schema_arrow.names
        wanted = [name for name in (IDS, LOGS, REST, CAP, CONTEXT) if name in names]
        table = file.read(columns=wanted)
    except (arrow.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        if getattr(error, "errno", None):  # the system's own
            raise
        raise ValueError(f"{path} is not a complete parquet file: {error}") from error
    with files.naming(path):
        return _parts(arrow, path, file, table)


def _parts(arrow: Any, path: str, file: Any, table: Any) -> dict[str, Any]:
    """The arguments that the columns of a table are, and what is said beside them."""
    names = file.schema_arrow.names
    for name in (IDS, LOGS):
        if name not in names:
            raise ValueError(
                f"{path} has no column {name}; such files have {IDS}, {LOGS} and perhaps {REST}, "
                f"and this one has {', '.join(names)}"
            )
    about = _about(path, file.schema_arrow.metadata or {})
    ids, starts = _lists(arrow, path, table, IDS)
    logs, ends = _lists(arrow, path, table, LOGS)
    if not np.array_equal(starts, ends):
        i = int(np.argmax(starts != ends)) - 1
        raise ValueError(f"{path}: row {i} has not as many {IDS} as {LOGS}")
    found: dict[str, Any] = {"columns": ids, "log_probs": logs, "starts": starts}
    for name, column in (("rest", REST), ("cap", CAP)):
        if column in table.column_names:
            found[name] = _numbers(path, table, column)
    if CONTEXT in table.column_names:
        found["input_ids"], found["offsets"] = _lists(arrow, path, table, CONTEXT)
    if about is not None:
        found |= {name: about.get(name) for name in ("n_tokens", "tokens", "token_ids")}
        found["meta"] = about.get("meta") or {}
        found[NAME] = said(about)
        if about.get("by_id"):
            found["columns"] = columns_of_ids(ids, starts, found["token_ids"])
    return found


def columns_of_ids(ids: Ids, starts: Ids, token_ids: Any) -> Ids:
    """The column of each id."""
    known = np.asarray(token_ids, dtype=np.int64)
    order = np.argsort(known, kind="stable")
    place = np.minimum(np.searchsorted(known[order], ids), len(known) - 1)
    wrong = (known[order][place] != ids) | (np.asarray(ids) < 0)
    if wrong.any():
        i = int(np.argmax(wrong))
        row = int(np.searchsorted(starts, i, side="right")) - 1
        raise ValueError(f"row {row} lists the token id {ids[i]}, which is not among token_ids")
    found: Ids = order[place].astype(np.int64)
    return found


def _about(path: str, metadata: dict[bytes, bytes]) -> dict[str, Any] | None:
    """What this package wrote beside the columns."""
    if KEY not in metadata:
        return None
    try:
        about = json.loads(metadata[KEY])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: the metadata is damaged: {error}") from error
    version = about.get("version") if isinstance(about, dict) else None
    if not isinstance(version, int) or about.get("format") != FORMAT:
        raise ValueError(f"{path}: the metadata is not that of rows known in part")
    files.require(path, about, VERSION)
    return dict(about)


def _lists(arrow: Any, path: str, table: Any, name: str) -> tuple[NDArray[Any], Ids]:
    """The entries of a column of lists, of any kind, and where each row's start."""
    import pyarrow.compute as compute

    column = table.column(name)
    kinds = (arrow.types.is_list, arrow.types.is_large_list, arrow.types.is_fixed_size_list)
    if not any(kind(column.type) for kind in kinds):
        raise ValueError(f"{path}: {name} is {column.type}; it must be a list a row")
    _refuse_nulls(path, column, name)
    sizes = compute.list_value_length(column).to_numpy().astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    flat = compute.list_flatten(column)
    if flat.null_count:
        i = int(np.argmax(flat.is_null().to_numpy()))
        row = int(np.searchsorted(starts, i, side="right")) - 1
        raise ValueError(f"{path}: {name} holds null in row {row}")
    return _array(flat), starts


def _numbers(path: str, table: Any, name: str) -> NDArray[Any]:
    column = table.column(name)
    _refuse_nulls(path, column, name)
    return _array(column).astype(np.float64)


def _array(column: Any) -> NDArray[Any]:
    return np.asarray(column.combine_chunks().to_numpy(zero_copy_only=False))


def _refuse_nulls(path: str, column: Any, name: str) -> None:
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise ValueError(f"{path}: {name} is null in row {row}; leave such rows out")
