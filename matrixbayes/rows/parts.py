"""Checks of what `NextTokenRows` is made of: names, contexts, hidden states, meta data, indices."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base.arguments import shown
from .._base.numbers import floats, wholes

if TYPE_CHECKING:
    import pandas as pd

PER_ROW = ("prompt", "position")  # the entries of `meta` that hold one value per row
ALONG = ("choice", "sampled", "target")  # and those of records that do, where they are lists of it


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view: the caller's own array stays writeable."""
    view = array.view()
    view.flags.writeable = False
    return view


def integers(
    values: ArrayLike | None, name: str, shape: tuple[int, ...] | None, least: int
) -> NDArray[np.int64] | None:
    """Integers of a shape (None: any vector) and not below `least`, as int64."""
    if values is None:
        return None
    array = wholes(values, name)
    if array.ndim != 1 or (shape is not None and array.shape != shape):
        raise ValueError(f"{name} has the shape {array.shape}, not {shape or '(n,)'}")
    if array.size and int(array.min()) < least:
        raise ValueError(f"{name} holds {int(array.min())} at {int(array.argmin())}")
    return frozen(np.ascontiguousarray(array, dtype=np.int64))


def contexts(
    input_ids: ArrayLike | None, offsets: ArrayLike | None, n: int
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
    """Contexts of n rows: both parts or neither, and fitting each other."""
    if (input_ids is None) != (offsets is None):
        raise ValueError("input_ids and offsets come together: one of them is missing")
    ids = integers(input_ids, "input_ids", None, least=0)
    ends = integers(offsets, "offsets", (n + 1,), least=0)
    if ids is None or ends is None:
        return None, None
    if ends[0] != 0 or ends[-1] != len(ids) or (np.diff(ends) < 0).any():
        raise ValueError(f"offsets must rise from 0 to {len(ids)}, the length of input_ids")
    return ids, ends


def hidden_states(hidden: ArrayLike | None, n: int) -> NDArray[np.float32] | None:
    """Hidden states of n rows: finite, float32."""
    if hidden is None:
        return None
    array = np.ascontiguousarray(floats(hidden, "hidden"), dtype=np.float32)
    if array.ndim != 2 or len(array) != n:
        raise ValueError(f"hidden has the shape {array.shape}, not ({n}, d) for {n} rows")
    if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(f"hidden holds {array[row, column]} in row {row}, column {column}")
    return frozen(array)


def plain_meta(meta: Mapping[str, Any] | None, n: int) -> dict[str, Any]:
    """The meta data as JSON gives them back; entries per row must have n values."""
    try:
        text = json.dumps(dict(meta or {}), default=_plain, allow_nan=False)
        plain: dict[str, Any] = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"meta does not fit into JSON: {error}") from error
    for name in PER_ROW:
        if name in plain and (not isinstance(plain[name], list) or len(plain[name]) != n):
            raise ValueError(f"meta[{name!r}] needs one value for each of the {n} rows")
    return plain


def _plain(value: Any) -> Any:
    """A NumPy number or array as Python's own."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {shown(value)}")


def row_numbers(key: Any, n: int) -> NDArray[np.intp]:
    """Row numbers that a slice, an integer array or a boolean mask selects."""
    if isinstance(key, slice):
        return np.arange(n)[key]
    if isinstance(key, tuple):
        raise IndexError("rows take one index")
    array = np.asarray(key)
    if array.size == 0 and array.dtype != bool:
        array = array.astype(np.intp)
    if array.ndim != 1 or array.dtype.kind not in "iub":
        raise IndexError(
            f"rows take an integer, a slice, integers or a mask, not {type(key).__name__}"
        )
    numbers: NDArray[np.intp] = np.arange(n)[array]
    return numbers


def taken_contexts(rows: Any, numbers: NDArray[np.intp]) -> dict[str, Any]:
    """The contexts and meta data of some of the rows: input_ids, offsets and meta."""
    ids, offsets = rows.input_ids, rows.offsets
    if ids is not None and offsets is not None:
        places, offsets = taken_entries(offsets, numbers)
        ids = ids[places]
    meta = dict(rows.meta)
    for name in (*PER_ROW, *ALONG):
        values = meta.get(name)
        if isinstance(values, list) and len(values) == len(rows):
            meta[name] = [values[i] for i in numbers]
    return {"input_ids": ids, "offsets": offsets, "meta": meta}


def taken_entries(
    starts: NDArray[np.int64], numbers: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the entries of some rows are among those of all, and where each row's start then."""
    sizes = np.diff(starts)[numbers]
    ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return np.arange(ends[-1]) + np.repeat(starts[:-1][numbers] - ends[:-1], sizes), ends


def frame_index(meta: Mapping[str, Any]) -> pd.MultiIndex | None:
    """Prompt and position of each row as the index of a data frame, where they are known."""
    import pandas as pd

    known = {name: meta[name] for name in PER_ROW if name in meta}
    return pd.MultiIndex.from_arrays(list(known.values()), names=list(known)) if known else None
