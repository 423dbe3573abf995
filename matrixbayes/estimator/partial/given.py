"""Rows known in part as a caller hands them in, made into what a fit takes.

Contents
    as_one       chunks of such rows as one
    in_part      what they list, or complete rows where nothing is missing
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...mixture.partial.listing import Listing, listing_of
from ...rows import NextTokenRows, PartialRows
from ..row_data import FLOOR


def in_part(
    rows: PartialRows, order: NDArray[np.intp] | None, zeros: str
) -> tuple[Listing | NextTokenRows, NDArray[np.bool_]]:
    """What rows list, their columns in an order that `order_of` gave, and which rows they are.

    Parameters
    ----------
    rows : PartialRows
    order : ndarray of shape (V,) or None
    zeros : {"error", "floor", "drop", "keep"}
        As of `without_zeros`; "keep" for those who draw.
    """
    found, kept = listing_of(rows, order), np.ones(len(rows), dtype=bool)
    if found.is_open.any() or not found.n_rows:
        return _without_zeros(found, kept, zeros)
    dtype = rows.log_probs.dtype if len(rows.columns) == found.logs.size else np.dtype(np.float64)
    return NextTokenRows(found.table().astype(dtype, copy=False)), kept


def as_one(X: Any) -> Any:
    """Chunks of rows known in part as one; anything else as it is."""
    if isinstance(X, (list, tuple)):
        first = X[0] if X else None
    elif hasattr(X, "shape") or hasattr(X, "__next__") or not hasattr(X, "__iter__"):
        return X
    else:
        first = next(iter(X), None)
    return _joined(list(X)) if isinstance(first, PartialRows) else X


def _joined(chunks: Sequence[Any]) -> PartialRows:
    """Rows of chunks below each other, by their entries; names are those of the first."""
    first, *others = chunks
    for i, chunk in enumerate(others, 1):
        if not isinstance(chunk, PartialRows) or (chunk.n_tokens, chunk.tokens) != (
            first.n_tokens,
            first.tokens,
        ):
            raise ValueError(
                f"chunk {i} is not of rows known in part over the {first.n_tokens} tokens of the "
                "first"
            )
    ends = np.cumsum([0, *(len(chunk.columns) for chunk in chunks)])
    starts = [chunk.starts[1:] + end for chunk, end in zip(chunks, ends, strict=False)]
    return PartialRows(
        np.concatenate([chunk.columns for chunk in chunks]),
        np.concatenate([chunk.log_probs for chunk in chunks]),
        np.concatenate([[0], *starts]),
        n_tokens=first.n_tokens,
        rest=np.concatenate([chunk.rest for chunk in chunks]),
        cap=np.concatenate([chunk.cap for chunk in chunks]),
        tokens=first.tokens,
    )


def _without_zeros(
    rows: Listing, kept: NDArray[np.bool_], policy: str
) -> tuple[Listing, NDArray[np.bool_]]:
    """Rows without an exact zero among their cells, listed or not."""
    if policy == "keep":
        return rows, kept
    hit = rows.is_open & np.isneginf(rows.rest)
    hit[rows.row[np.isneginf(rows.logs)]] = True
    if not hit.any():
        return rows, kept
    if policy == "drop":
        return rows.some(np.flatnonzero(~hit)), ~hit
    if policy == "error":
        raise ValueError(
            f"{np.count_nonzero(hit)} of {rows.n_rows} rows give nothing to tokens, where a "
            f"Dirichlet has no likelihood; the first is row {int(np.argmax(hit))}, whose rest is "
            "an exact zero.  Say what is missing to 1 as rest; or choose zeros='floor' (at least "
            f"{FLOOR:g} for every token) or zeros='drop' (those rows left out)"
        )
    logs, rest = rows.logs.copy(), rows.rest.copy()
    each = hit[rows.row]
    logs[each] = np.maximum(logs[each], np.log(FLOOR))
    least = np.log(FLOOR * np.maximum(rows.n_tokens - rows.n_listed, 1))
    rest[hit] = np.maximum(rest, np.where(rows.is_open, least, -np.inf))[hit]
    total = np.log(np.bincount(rows.row, np.exp(logs), rows.n_rows) + np.exp(rest))
    logs[each] -= total[rows.row][each]
    rest[hit] -= total[hit]
    return replace(rows, logs=logs, rest=rest), kept
