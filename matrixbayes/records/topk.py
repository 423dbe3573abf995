"""Rows from columns of ids and log-probabilities, as caches of teachers hold them.

Contents
    from_topk    arrays, tables, and parquet files
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base.arguments import listed, shown, whole
from ..huggingface.answers import Other, Vocab
from ..rows import PartialRows
from . import columns as tokens_of
from .gathered import CENSORED, LEAST_REST, grouped
from .reading import field, records

JSON = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
MOST_TOKENS = 1 << 32
NAMES = ("topk_ids", "topk_logprobs", "other_logprob")


def from_topk(
    ids: Any,
    log_probs: Any = None,
    rest: ArrayLike | None = None,
    *,
    kind: str = "log_probs",
    columns: Sequence[str] = NAMES,
    n_tokens: int | None = None,
    vocab: Vocab | None = None,
    other: Other = "keep",
    tokenizer: Any = None,
) -> Any:
    """Rows known in part from columns: the ids of some tokens, their log-probabilities, the rest.

    Parameters
    ----------
    ids : array_like of int of shape (N, k), or a table
        The ids of the tokens of each row, the most probable ones; a list a row where they are not
        equally many, and -1 where there is none.  Or a table that has all three as columns: a data
        frame, a dictionary, a table of pyarrow, a data set, a list of dictionaries, or the path of
        a file of parquet or of JSON lines.  Those of sequences, (N, T, k) or lists of lists, are
        rows one behind the other, with their sequence and place in ``meta``.
    log_probs : array_like of shape (N, k)
        Their natural logarithms of probabilities; infinitely small ones are left out.
    rest : array_like of shape (N,), optional
        The logarithm of the mass of all other tokens; by default what is missing to 1.
    kind : {"log_probs", "probs"}
        What the numbers are, the rest too.
    columns : sequence of str
        What a table calls the ids, the log-probabilities and the rest; it may have no rest.
    n_tokens : int, optional
        V, the size of the vocabulary.  By default that of the tokenizer; without one the columns
        are the ids that were seen, and ``<other>``.
    vocab, other, tokenizer
        As for `from_openai`.

    Returns
    -------
    PartialRows
        As of `from_openai`.

    Raises
    ------
    ValueError
        The columns do not fit each other, or are no log-probabilities; the row is named.

    Examples
    --------
    >>> import numpy as np
    >>> import matrixbayes as mb
    >>> rows = mb.from_topk([[2, 0], [1, 2]], np.log([[0.5, 0.25], [0.75, 0.125]]), n_tokens=4)
    >>> np.exp(rows.rest)
    array([0.25 , 0.125])
    """
    if kind not in ("log_probs", "probs"):
        raise ValueError(f"kind={shown(kind)} is not one of 'log_probs', 'probs'")
    if log_probs is None:
        ids, log_probs, rest = _of_table(ids, columns, rest)
    ids, places = _of_sequences(ids)
    log_probs, beside = _of_sequences(log_probs)
    if places is not None and beside is not None and not np.array_equal(places, beside):
        raise ValueError("ids and log_probs are of sequences of different lengths")
    keys, of_keys = _flat(ids, "ids")
    numbers, of_numbers = _flat(log_probs, "log_probs")
    if len(of_keys) != len(of_numbers):
        raise ValueError(f"{len(of_keys) - 1} rows of ids have {len(of_numbers) - 1} of numbers")
    differ = np.flatnonzero(np.diff(of_keys) != np.diff(of_numbers))
    if len(differ):
        i = int(differ[0])
        raise ValueError(
            f"row {i} has {of_keys[i + 1] - of_keys[i]} ids and "
            f"{of_numbers[i + 1] - of_numbers[i]} log-probabilities"
        )
    if keys.dtype.kind not in "iu":
        rounded = keys.astype(np.int64)
        if not (rounded == keys).all():
            raise ValueError("ids are whole numbers")
        keys = rounded
    n = len(of_keys) - 1
    row = np.repeat(np.arange(n), np.diff(of_keys))
    numbers, left = numbers.astype(np.float64), None
    if rest is not None:
        given: Any = rest
        nested = places is not None and len(given) and np.ndim(given[0]) > 0
        left = np.asarray(np.concatenate([*given]) if nested else given, float)
    if left is not None and left.shape != (n,):
        raise ValueError(f"rest has the shape {left.shape}, not ({n},)")
    if kind == "probs":
        negative = numbers < 0
        if negative.any():
            raise ValueError(f"row {row[negative.argmax()]}: {numbers.min():g} is no probability")
        with np.errstate(divide="ignore"):
            numbers, left = np.log(numbers), None if left is None else np.log(left)
    there = (keys >= 0) & ~(numbers < CENSORED)
    keys, numbers, row = keys[there].astype(np.int64), numbers[there], row[there]
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))])
    if left is None:
        mass = np.bincount(row, weights=np.exp(numbers), minlength=n)
        left = np.log(np.maximum(1.0 - mass, LEAST_REST))
        if n_tokens is not None:
            left[np.diff(starts) >= n_tokens] = -np.inf
    cap = np.full(n, 0.0)
    with np.errstate(invalid="ignore"):  # a NaN is refused by its place below
        np.minimum.at(cap, row, numbers)
    made = _columns(keys, n_tokens, tokenizer, vocab)
    rows = PartialRows(
        made(keys),
        np.minimum(numbers, np.where(numbers > 1e-3, numbers, 0.0)),
        starts,
        n_tokens=len(made.token_ids),  # type: ignore[arg-type]
        rest=left,
        cap=np.minimum(cap, left),
        tokens=made.tokens or None,
        token_ids=made.token_ids,
        meta={"source": "matrixbayes.from_topk", **_where(n, places)},
    )
    return grouped(rows, vocab, other)


def _of_sequences(values: Any) -> tuple[Any, NDArray[np.int64] | None]:
    """The places of sequences one behind the other, and how many each has; None for rows."""
    if getattr(values, "ndim", 0) == 3:
        return values.reshape(-1, values.shape[2]), np.repeat(values.shape[1], len(values))
    if isinstance(values, Lists) or getattr(values, "ndim", 1) != 1:
        return values, None
    given = listed(values, "a column")
    values = values if hasattr(values, "__len__") else given
    some: Any = next((row for row in given if hasattr(row, "__len__") and len(row)), ())
    if not len(some) or isinstance(some, str) or not hasattr(some[0], "__len__"):
        return values, None
    if isinstance(some[0], str) or getattr(some[0], "ndim", 1) == 0:
        return values, None
    sizes = np.array([len(row) for row in given], dtype=np.int64)
    return [place for row in given for place in row], sizes


def _where(n: int, places: NDArray[np.int64] | None) -> dict[str, list[int]]:
    """The sequence and the place of each of n rows."""
    if places is None:
        return {"prompt": [*range(n)], "position": [0] * n}
    prompt = np.repeat(np.arange(len(places)), places)
    position = np.arange(n) - np.repeat(np.cumsum(places) - places, places)
    return {"prompt": prompt.tolist(), "position": position.tolist()}


def _columns(
    keys: NDArray[np.int64], n_tokens: int | None, tokenizer: Any, vocab: Vocab | None
) -> tokens_of.Columns:
    """The columns: all ids below a number of them, a tokenizer's, or those seen."""
    if n_tokens is None:
        return tokens_of.make_columns(keys, (), {}, tokenizer, vocab)
    n_tokens = whole(n_tokens, "n_tokens", 1, MOST_TOKENS)
    if len(keys) and int(keys.max()) >= n_tokens:
        raise ValueError(f"there is an id {int(keys.max())} among {n_tokens} tokens")
    every, none = np.arange(n_tokens), np.empty(0, dtype=np.int64)
    names: tuple[str, ...] = ()
    if tokenizer is not None:
        named = tokens_of.make_columns(none, (), {}, tokenizer, None).tokens[:n_tokens]
        names = (*named, *(f"<{i}>" for i in range(len(named), n_tokens)))
    return tokens_of.Columns(names, every, every, every, none)


def _flat(values: Any, what: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Rows of numbers in one array, and where each begins."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().float() if values.is_floating_point() else values.cpu()
    if (isinstance(values, np.ndarray) and values.dtype != object) or hasattr(values, "__array__"):
        array = np.asarray(values)
        if array.ndim == 2:
            return array.ravel(), np.arange(len(array) + 1) * array.shape[1]
        if array.dtype != object:
            raise ValueError(f"{what} have the shape {array.shape}; they need (N, k)")
        values = array
    if isinstance(values, Lists):
        return values.values, values.starts.astype(np.int64)
    rows = [np.asarray(row) for row in listed(values, what)]
    wrong = next((i for i, row in enumerate(rows) if row.ndim != 1), None)
    if wrong is not None:
        raise ValueError(f"row {wrong} of {what} is no list")
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)])
    flat = np.concatenate(rows) if rows else np.empty(0)
    if flat.dtype.kind not in "iuf":
        flat = flat.astype(np.float64)
    return flat, starts


def _of_table(table: Any, columns: Sequence[str], rest: Any) -> tuple[Any, Any, Any]:
    """The columns of a table."""
    if len(columns) not in (2, 3):
        raise ValueError("columns names the ids, the log-probabilities and maybe the rest")
    if isinstance(table, (str, os.PathLike)) and os.fspath(table).endswith(JSON):
        table = [record for record, _ in records(table)]
    elif isinstance(table, (str, os.PathLike)):
        import pyarrow.parquet as parquet

        every = parquet.read_schema(table).names
        wanted = [name for name in columns if name in every]
        table = parquet.read_table(table, columns=wanted if {*columns[:2]} <= {*every} else None)
    if hasattr(table, "column_names") and hasattr(table, "combine_chunks"):
        table = {name: _arrow(table[name]) for name in table.column_names}
    if isinstance(table, (list, tuple)) and table and isinstance(table[0], Mapping):
        table = {name: [field(row, name) for row in table] for name in table[0]}
    there = table if isinstance(table, Mapping) else getattr(table, "column_names", None)
    names = [*(getattr(table, "columns", ()) if there is None else there)]
    missing = [name for name in columns[:2] if name not in names]
    if missing:
        raise ValueError(
            f"the table has no column {missing[0]!r}; say by columns= which of {names} are the "
            "ids, the log-probabilities and the rest"
        )
    if rest is None and len(columns) == 3 and columns[2] in names:
        rest = table[columns[2]]
    return table[columns[0]], table[columns[1]], rest


def _arrow(column: Any) -> Any:
    """A column of lists without a Python object for each number."""
    import pyarrow

    column = column.combine_chunks()
    if not (pyarrow.types.is_list(column.type) or pyarrow.types.is_large_list(column.type)):
        return column.to_numpy(zero_copy_only=False)
    if pyarrow.types.is_nested(column.type.value_type):  # places of sequences
        return column.to_pylist()
    values, starts = column.flatten().to_numpy(zero_copy_only=False), column.offsets.to_numpy()
    return Lists(values, starts - starts[0])


class Lists(Sequence[NDArray[Any]]):
    """Lists of numbers in one array."""

    def __init__(self, values: NDArray[Any], starts: NDArray[Any]) -> None:
        self.values, self.starts = values, starts

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, i: Any) -> Any:
        return self.values[self.starts[i] : self.starts[i + 1]]
