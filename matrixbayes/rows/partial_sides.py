"""Rows known in part beside other rows, of which some may be complete.

Contents
    columns_beside    the columns of both among those of either
    entries_of        how many entries a row has
    side_of           the entries of some rows
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._base.tokens import Names, order_of
from .._base.typing import Ids
from ..errors import ArgumentError
from .known import InPart
from .pairs import Side
from .partial_groups import OTHER
from .rows import NextTokenRows

CELLS = 1 << 20  # entries of a block of rows

Columns = NDArray[np.intp] | None  # the new number of each column; None where they stay


def columns_beside(mine: Any, other: Any) -> tuple[Columns, Columns, int]:
    """Where the columns of both sides are among those of either, and how many these are.

    Raises
    ------
    TypeError, ValueError
        These are no rows that can lie beside each other.
    """
    if not isinstance(other, NextTokenRows) and not hasattr(other, "n_listed"):
        if isinstance(other, InPart):
            raise ArgumentError(other._remedy())
        raise ArgumentError(
            f"other is {type(other).__name__}; it must be NextTokenRows, complete, or PartialRows"
        )
    if len(other) != len(mine):
        raise ValueError(f"other has {len(other)} rows, and these are {len(mine)}")
    if _is_open(mine.tokens) or _is_open(other.tokens):
        if mine.tokens is None or other.tokens is None:
            raise ValueError("an open vocabulary is matched by names, and the other rows have none")
        number: dict[str, int] = {}
        columns = [
            np.array([number.setdefault(name, len(number)) for name in tokens], dtype=np.intp)
            for tokens in (mine.tokens, other.tokens)
        ]
        return columns[0], columns[1], len(number)
    if mine.n_tokens != other.n_tokens:
        raise ValueError(f"other has {other.n_tokens} columns, and these rows {mine.n_tokens}")
    order = order_of(mine.tokens, other.tokens, "the tokens of other and of these rows")
    return None, order, mine.n_tokens


def _is_open(tokens: Names | None) -> bool:
    return tokens is not None and tokens[-1] == OTHER


def entries_of(rows: Any) -> int:
    """About how many entries a row has."""
    if isinstance(rows, NextTokenRows):
        return rows.n_tokens
    return int(len(rows.columns) // max(len(rows), 1))


def side_of(rows: Any, cut: slice, columns: Columns) -> Side:
    """The entries of some rows; a complete one lists all that has a probability."""
    n = cut.stop - cut.start
    is_open = _is_open(rows.tokens)
    if isinstance(rows, NextTokenRows):
        block = rows.log_probs[cut, : rows.n_tokens - is_open]
        row, column = np.nonzero(block > -np.inf)
        logs = block[row, column].astype(np.float64)
        rest = rows.log_probs[cut, -1].astype(np.float64) if is_open else np.full(n, -np.inf)
        cap = rest
    else:
        starts = rows.starts[cut.start : cut.stop + 1]
        row = np.repeat(np.arange(n), np.diff(starts))
        entries = slice(starts[0], starts[-1])
        column, logs = rows.columns[entries], rows.log_probs[entries].astype(np.float64)
        rest, cap = rows.rest[cut], rows.cap[cut]
    numbers: Ids = np.asarray(column if columns is None else columns[column], dtype=np.int64)
    width = np.inf if is_open else float(rows.n_tokens)
    return Side(row, numbers, logs, rest, cap, width)
