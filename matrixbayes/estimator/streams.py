"""Data that are not in memory, as EM sees them: blocks read one after another.

A source is cut where rows in memory would be, so that the fit is the same bits.
"""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._base import parallel
from .._base.numbers import exact_rows, plain
from .._base.tokens import columns_in, labels_of, order_of, string_labels
from .._base.typing import Floats
from .._base.weights import weights_of
from ..mixture import DirichletMixture
from ..rows.rows import Checked
from .count_data import CountData, encode
from .partial.density import PartialData
from .resolution import Drawn, Plan, ResolutionData, draw_block
from .row_data import RowData, without_zeros


def is_stream(X: Any) -> bool:
    """Whether rows are better read block by block: files, data sets, and iterables of chunks."""
    if isinstance(X, np.memmap):
        return True
    if isinstance(X, (list, tuple)):  # of chunks, or of rows
        return len(X) > 0 and len(getattr(X[0], "shape", ())) == 2
    if isinstance(X, np.ndarray) or hasattr(X, "detach"):
        return False
    if hasattr(X, "to_numpy") or hasattr(X, "log_probs") or hasattr(X, "indptr"):
        return False  # a data frame, NextTokenRows, sparse rows
    if hasattr(X, "tocsr") or (hasattr(X, "__array__") and not hasattr(X, "chunks")):
        return False
    return hasattr(X, "__iter__") or hasattr(X, "__getitem__")


@dataclass(frozen=True)
class StreamData:
    """Rows or counts (N, V) read in blocks.

    Attributes
    ----------
    read : function
        From a size to an iterator over raw blocks of that many rows, from the first on.
    kind : {"logits", "log_probs", "probs", "counts"}
    zeros : {"error", "floor"}
    weights : ndarray of shape (N,) or None
    there : ndarray of bool
        Which rows of the source those of `read` are: all whose weight is not 0.
    """

    read: Callable[[int], Iterator[Any]]
    n_rows: int
    n_tokens: int
    kind: str
    zeros: str
    weights: Floats | None
    pool: tuple[Executor | None, int]
    there: NDArray[np.bool_]
    tokens: tuple[str, ...] | None  # names of the columns, where chunks have some

    @classmethod
    def of(
        cls,
        X: Any,
        *,
        kind: str | None,
        zeros: str,
        weights: Floats | None,
        pool: tuple[Executor | None, int],
        wanted: tuple[Any, ...] | None = None,
    ) -> StreamData:
        """From what `is_stream` finds to be one.

        Raises
        ------
        TypeError
            It can be read only once.
        ValueError
            It holds no rows, or they are not of one width.
        """
        kind = stated(getattr(X, "kind", None) if kind is None else kind, zeros)
        if _read_once(X):
            raise TypeError(
                f"a {type(X).__name__} can be read once, and a fit makes many passes.  Give "
                "something that can be iterated again: a list of chunks, a memory-mapped array, or "
                "an object whose __iter__ starts anew"
            )
        if hasattr(X, "column_names") and hasattr(X, "features"):
            X = _Column(X, kind)
        if hasattr(X, "shape") and hasattr(X, "__getitem__"):
            if len(X.shape) != 2:
                raise ValueError(f"rows have shape {tuple(X.shape)}; they need (N, V)")
            if any(n != n for n in X.shape):  # NaN, of a Dask array that was selected from
                raise ValueError("their number is unknown; use rows.compute_chunk_sizes() first")
            n_rows, n_tokens = map(int, X.shape)
            read, names = _slices(X), string_labels(X)
        else:
            n_rows, n_tokens, names = _measure(X, wanted)
            read = _chunks(X, names, n_tokens)
            names = names if names and _are_strings(names) else None
        there, weights = there_of(n_rows, weights)
        if not there.all():
            read = _present(read, there)
        n_rows = int(np.count_nonzero(there))
        return cls(read, n_rows, n_tokens, kind, zeros, weights, pool, there, names)

    @property
    def total_weight(self) -> float:
        """Sum of the rows' weights."""
        return float(self.n_rows if self.weights is None else self.weights.sum())

    def expectation(self, mixture: DirichletMixture) -> Any:
        """The E-step: one pass over the rows."""
        return parallel.merge(self._map(_expectation, mixture, mixture.alpha.size))

    def posterior(self, mixture: DirichletMixture) -> tuple[Floats, Floats]:
        """Probability of each component given each row (N, K), and the row's log-score (N,)."""
        parts = list(self._map(_posterior, mixture, mixture.alpha.size))
        if not parts:
            return np.zeros((0, mixture.n_components)), np.zeros(0)
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def drawn(self, plan: Plan) -> Iterator[Drawn]:
        """The draws from all rows, in pieces: one pass."""
        for pieces in self._map(_drawn, plan, self.n_tokens):
            yield from pieces

    def some(self, rows: NDArray[np.intp]) -> RowData | CountData:
        """Some rows, in rising order, as data in memory."""
        weights = None if self.weights is None else self.weights[rows]
        return _in_memory(self._some(rows), 0, self.kind, self.zeros, weights)

    def _some(self, rows: NDArray[np.intp]) -> Any:
        """The same as a raw block."""
        picked, start = [], 0
        for block in self.read(parallel.block_size(self.n_tokens)):
            end = start + int(block.shape[0])
            low, high = np.searchsorted(rows, [start, end])
            if high > low:
                picked.append(block[rows[low:high] - start])
            start = end
        return _stacked(picked)

    def _map(self, task: Callable[..., Any], given: Any, cost: int) -> Iterator[Any]:
        """task(given, ...) of each block, in order; a few blocks are in memory at once.

        `cost` is that of a row.
        """
        size = parallel.block_size(cost)

        def arguments() -> Iterator[tuple[Any, ...]]:
            start = 0
            for block in self.read(size):
                end = start + int(block.shape[0])
                if end > self.n_rows or block.shape[1] != self.n_tokens:
                    break
                weights = None if self.weights is None else self.weights[start:end]
                yield given, block, start, self.kind, self.zeros, weights
                start = end
            if start != self.n_rows:
                raise ValueError(
                    f"the rows changed between two passes: there were {self.n_rows} of "
                    f"{self.n_tokens} columns"
                )

        return parallel.in_order(self.pool, task, arguments())


Data = RowData | CountData | ResolutionData | PartialData | StreamData


def stated(kind: str | None, zeros: str) -> str:
    """What rows that are read in blocks hold: it is to be said, and none can be left out."""
    if kind is None:
        raise ValueError("say what the rows hold: kind='logits', 'log_probs', 'probs', 'counts'")
    if zeros == "drop":
        raise ValueError(
            "zeros='drop' needs rows in memory, where it can be counted which they are; give "
            "zeros='floor', or leave those rows out yourself"
        )
    return kind


def there_of(n_rows: int, weights: Floats | None) -> tuple[NDArray[np.bool_], Floats | None]:
    """Which of some rows are there, those of weight 0 being not, and their weights."""
    there = np.ones(n_rows, dtype=bool)
    weights = weights_of(weights, there)
    if weights is None:
        return there, None
    return weights > 0.0, weights[weights > 0.0]


def _read_once(X: Any) -> bool:
    """Whether an object is an iterator: used up by the first pass."""
    return hasattr(X, "__next__")


# -- the tasks of a worker ------------------------------


def _in_memory(
    block: Any, first: int, kind: str, zeros: str, weights: Floats | None
) -> RowData | CountData:
    """A raw block as data, for the worker's one thread."""
    alone = (None, 1)
    try:
        if kind == "counts":
            return CountData(encode(block), weights, alone)
        found = Checked.of(np.ascontiguousarray(block), kind)
        return RowData(without_zeros(found.log_probs, found.n_zeros, zeros)[0], weights, alone)
    except ValueError as error:
        raise ValueError(f"in the rows from {first} on: {error}") from error


def _expectation(mixture: DirichletMixture, *block: Any) -> Any:
    return _in_memory(*block).expectation(mixture)


def _posterior(mixture: DirichletMixture, *block: Any) -> tuple[Floats, Floats]:
    return _in_memory(*block).posterior(mixture)


def _drawn(
    plan: Plan, block: Any, first: int, kind: str, zeros: str, weights: Floats | None
) -> list[Drawn]:
    """The draws from a raw block."""
    del zeros  # what has no probability is not drawn
    try:
        return draw_block(plan, np.ascontiguousarray(block), first, kind, weights)
    except ValueError as error:
        raise ValueError(f"in the rows from {first} on: {error}") from error


# -- where blocks come from ------------------------------


def _slices(X: Any) -> Callable[[int], Iterator[Any]]:
    """Blocks of something that can be sliced."""

    def read(size: int) -> Iterator[Any]:
        for start in range(0, X.shape[0], size):
            yield np.array(plain(X[start : start + size], "rows"))
            _forget_pages(X)

    return read


def _forget_pages(X: Any) -> None:
    """Let the system have back the memory that a mapped file was read through."""
    mapped = getattr(X, "_mmap", None)
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


class _Column:
    """The one column of rows of a HuggingFace data set."""

    def __init__(self, dataset: Any, kind: str) -> None:
        names = list(dataset.column_names)
        name = kind if kind in names else names[0]
        if len(names) > 1 and kind not in names:
            raise ValueError(
                f"the data set has the columns {', '.join(names)}; keep the one of rows, "
                "dataset.select_columns(...), or name it as kind"
            )
        self._dataset, self._name = dataset, name
        self.shape = (len(dataset), len(dataset[0][name]) if len(dataset) else 0)

    def __getitem__(self, cut: slice) -> NDArray[Any]:
        return plain(self._dataset[cut][self._name], "rows")


def both_labels(
    X: Any, wanted: tuple[Any, ...] | None, given: tuple[Any, ...] | None
) -> tuple[tuple[Any, ...] | None, tuple[Any, ...] | None]:
    """The labels of both sides; of numbers that a frame has by default, none but where the other
    side has the same numbers in another order."""
    is_frame = hasattr(X, "columns") and hasattr(X, "to_numpy")
    mine = tuple(X.columns) if given is None and is_frame else given
    if wanted is None or mine is None:
        return None, None
    by_default = tuple(range(len(wanted)))
    if (wanted == by_default or mine == tuple(range(len(mine)))) and set(wanted) != set(mine):
        return None, None
    return wanted, mine


def _measure(
    X: Iterable[Any], wanted: tuple[Any, ...] | None
) -> tuple[int, int, tuple[Any, ...] | None]:
    """Rows and columns of an iterable of chunks, and the columns' labels: those wanted, or those of
    the first chunk that has names, or else of the first frame."""
    n_rows, widths = 0, set()
    names = wanted
    for i, chunk in enumerate(X):
        if names is None or not _are_strings(names):
            names = string_labels(chunk) or names or getattr(chunk, "columns", None)
            names = None if names is None else tuple(names)
        chunk = _two_axes(chunk, names, i)
        if names is None:  # columns of an array are told by their numbers
            names = tuple(range(chunk.shape[1]))
        n_rows += chunk.shape[0]
        widths.add(chunk.shape[1])
        if len(widths) > 1:
            raise ValueError(f"chunks have {sorted(widths)} columns; they need the same number")
    if not n_rows:
        raise ValueError("there are no rows: the iterable gave no chunk with one")
    return n_rows, int(widths.pop()), names


def _are_strings(names: tuple[Any, ...]) -> bool:
    return isinstance(names[0], str)


def _two_axes(chunk: Any, names: tuple[Any, ...] | None, i: int) -> Any:
    """A chunk of rows, its columns in the order of names; a single row is a chunk of one."""
    wanted, given = both_labels(chunk, names, labels_of(chunk))
    order = order_of(given, wanted, "the columns of a chunk and those of the others")
    if hasattr(chunk, "log_probs"):
        chunk = chunk.log_probs
    chunk = exact_rows(chunk, "counts") if hasattr(chunk, "tocsr") else plain(chunk, f"chunk {i}")
    if chunk.ndim == 1:
        chunk = chunk[np.newaxis]
    if chunk.ndim != 2:
        raise ValueError(f"chunk {i} has shape {chunk.shape}; it needs (n, V), or (V,)")
    return columns_in(chunk, order)


def _chunks(
    X: Iterable[Any], names: tuple[Any, ...] | None, n_tokens: int
) -> Callable[[int], Iterator[Any]]:
    """Blocks from the chunks of an iterable."""

    def chunks() -> Iterator[Any]:
        for i, chunk in enumerate(X):
            chunk = _two_axes(chunk, names, i)
            if chunk.shape[1] != n_tokens:
                raise ValueError(
                    f"the rows changed between two passes: chunk {i} has {chunk.shape[1]} columns, "
                    f"and there were {n_tokens}"
                )
            yield chunk

    return lambda size: _of_size(chunks(), size)


def _present(
    read: Callable[[int], Iterator[Any]], there: NDArray[np.bool_]
) -> Callable[[int], Iterator[Any]]:
    """Blocks of the rows that are there alone."""

    def some(size: int) -> Iterator[Any]:
        start = 0
        for block in read(size):
            end = start + int(block.shape[0])
            # rows beyond those that were measured are kept, and then found to be too many
            kept = np.append(there[start:end], np.ones(max(0, end - max(start, len(there))), bool))
            yield block[kept]
            start = end

    return lambda size: _of_size(some(size), size)


def _of_size(chunks: Iterable[Any], size: int) -> Iterator[Any]:
    """Blocks of one size from chunks of any."""
    waiting: deque[Any] = deque()
    n = 0
    for chunk in chunks:
        waiting.append(chunk)
        n += chunk.shape[0]
        while n >= size:
            yield _take(waiting, size)
            n -= size
    if n:
        yield _take(waiting, n)


def _take(waiting: deque[Any], size: int) -> Any:
    """The first `size` rows of waiting chunks, as one."""
    parts = []
    while size:
        chunk = waiting.popleft()
        if chunk.shape[0] > size:
            waiting.appendleft(chunk[size:])
            chunk = chunk[:size]
        parts.append(chunk)
        size -= chunk.shape[0]
    return _stacked(parts)


def _stacked(parts: list[Any]) -> Any:
    """Raw blocks below each other."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    from scipy import sparse

    return sparse.vstack(parts, format="csr")
