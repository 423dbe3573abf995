"""Fits to rows, and counts of text, that lie on a cluster.

Contents
    fit       an estimator, to a Dask array of rows
    update    a `TransitionMatrix`, by a Dask array or bag of tokens

Each chunk stays where it is; a pass sends the mixture to the chunks and brings back statistics,
K (V + 2) numbers a block, that merge in the same tree as in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import parallel
from ._em_streams import StreamData
from ._weights import checked_weights, weights_of
from .mixture import DirichletMixture
from .transitions import TransitionMatrix

if TYPE_CHECKING:
    from .prior import DirichletMixtureEstimator

__all__ = ["fit", "update"]

RETRIES = 3  # of a chunk whose worker died


def fit(
    estimator: DirichletMixtureEstimator,
    rows: Any,
    client: Any = None,
    *,
    sample_weight: ArrayLike | None = None,
) -> DirichletMixtureEstimator:
    """Fit an estimator to a Dask array, where its chunks are.

    Parameters
    ----------
    estimator : DirichletMixtureEstimator
        With ``kind`` set.
    rows : dask.array.Array of shape (N, V)
        Cut by rows only.  The result is that of the rows in memory, to the last bit where
        chunks hold whole blocks: `matrixbayes.parallel.block_size` (K V) rows each.  A chunk of
        counts is one block; how counts in memory are cut depends on how many are not zero:
        ``matrixbayes.em.CountData.of(counts).blocks(K)``.
    client : distributed.Client, optional
        The cluster; Dask's own threads by default.
    sample_weight : array_like of shape (N,), optional
        As in memory: weight k counts a row as k equal rows, and one of weight 0 is not there.

    Returns
    -------
    DirichletMixtureEstimator
        The same estimator, fitted.

    Raises
    ------
    ValueError
        The array has not two axes, is cut by columns, or has chunks of unknown size.

    Notes
    -----
    A pass moves the mixture, K (V + 1) numbers, to each chunk and K (V + 2) back for each of its
    blocks.  Work on a worker that dies is done again by another one.

    Examples
    --------
    >>> import dask.array as da, matrixbayes as mb
    >>> from matrixbayes import dask
    >>> truth = mb.DirichletMixture([1.0], [[8.0, 1.0, 1.0]])
    >>> rows = da.from_array(truth.sample(4096, rng=0), chunks=(1024, 3))
    >>> dask.fit(mb.DirichletMixtureEstimator(1, kind="probs"), rows).converged_
    True
    """
    weights = checked_weights(sample_weight)
    return estimator.fit(ChunkData.over(rows, estimator, weights, client))


def update(matrix: TransitionMatrix, tokens: Any, client: Any = None) -> TransitionMatrix:
    """Let a matrix learn from text where its parts are.

    Parameters
    ----------
    matrix : TransitionMatrix
        It is changed, once all parts are counted.
    tokens : dask.array.Array of shape (n,), dask.bag.Bag of documents, or dask.dataframe.DataFrame
        An array is one document, cut into chunks; contexts cross from one chunk into the next.  The
        rows of a data frame are documents, as are the entries of its one column of sequences.
    client : distributed.Client, optional
        The cluster; Dask's own threads by default.

    Returns
    -------
    TransitionMatrix
        The same matrix; its counts are those of the text in memory.

    Raises
    ------
    ValueError
        The array has several axes, or counts fade with the order of the text (discount below 1).

    Notes
    -----
    Each part is counted by itself, and the counts are merged on the workers, pair by pair; what
    comes back is one matrix.

    Examples
    --------
    >>> import dask.array as da, matrixbayes as mb
    >>> from matrixbayes import dask
    >>> stream = da.from_array([0, 1, 1, 2, 0, 1, 2, 2, 1, 0, 1, 1], chunks=5)
    >>> dask.update(mb.TransitionMatrix(1, n_tokens=3), stream).counts([1])
    array([1, 2, 2], dtype=uint64)
    """
    from dask import delayed

    if matrix.discount < 1.0:
        raise ValueError("counts that fade depend on the order of the text: update the matrix here")
    is_stream, is_frame = hasattr(tokens, "chunks"), getattr(tokens, "ndim", 0) == 2
    if not is_stream and hasattr(tokens, "to_delayed") and getattr(tokens, "ndim", 0) == 1:
        raise ValueError(
            "tokens are a dask series, of which it is not known whether it is one document: give "
            "tokens.to_dask_array(), or tokens.to_frame() where each entry is a document"
        )
    if (is_stream and tokens.ndim != 1) or not hasattr(tokens, "to_delayed"):
        raise ValueError("tokens must be a dask array of shape (n,), or a bag of documents")
    pieces = list(tokens.to_delayed().ravel() if is_stream else tokens.to_delayed())
    empty, parts, before = matrix.empty(), [], None
    for piece in pieces:
        if is_stream:
            parts.append(delayed(_learnt)(empty, piece, before))
            before = delayed(_ending)(matrix.order, before, piece)
        else:
            documents = piece if is_frame else delayed(list)(piece)
            parts.append(delayed(_learnt)(empty, documents, None))
    while len(parts) > 1:
        pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
        parts = [delayed(_merged)(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    for part in parts:
        found = part.compute() if client is None else client.compute(part, retries=RETRIES).result()
        matrix.merge(found)
    return matrix


def _learnt(empty: TransitionMatrix, tokens: Any, before: NDArray[Any] | None) -> TransitionMatrix:
    """What a part of a text teaches, after what stands before it."""
    if before is None:
        return empty.copy().update(tokens)
    return empty.copy().going_on_from(before).update(tokens, continued=True)


def _ending(order: int, before: NDArray[Any] | None, tokens: NDArray[Any]) -> NDArray[Any]:
    """The last tokens up to the end of a part."""
    joined = tokens if before is None else np.concatenate([before, tokens])
    return joined[max(0, len(joined) - order) :]


def _merged(a: TransitionMatrix, b: TransitionMatrix) -> TransitionMatrix:
    return a + b


@dataclass(frozen=True)
class ChunkData(StreamData):
    """The chunks of a Dask array as EM sees them."""

    array: Any
    client: Any
    chunks: tuple[Any, ...]  # with a client, futures of the chunks; else delayed ones

    @classmethod
    def over(
        cls,
        array: Any,
        estimator: DirichletMixtureEstimator,
        weights: NDArray[np.float64] | None,
        client: Any,
    ) -> ChunkData:
        """From a Dask array, whose chunks begin to be loaded."""
        if getattr(array, "ndim", 0) != 2 or not hasattr(array, "to_delayed"):
            raise ValueError("rows must be a dask array of shape (N, V)")
        if array.numblocks[1] != 1:
            raise ValueError(
                f"rows are cut into {array.numblocks[1]} parts by columns; use "
                "rows.rechunk({1: -1}) first"
            )
        if any(np.isnan(n) for n in array.shape):
            raise ValueError("chunks have unknown sizes; use rows.compute_chunk_sizes() first")
        if estimator.kind is None:
            raise ValueError("set the estimator's kind: what the rows hold")
        if estimator.zeros == "drop":
            raise ValueError("zeros='drop' needs rows in memory; give zeros='floor'")
        there = np.ones(array.shape[0], dtype=bool)
        weights = weights_of(weights, there)
        if weights is not None and not weights.all():
            there = weights > 0.0
            array, weights = array[np.flatnonzero(there)], weights[there]
        chunks = list(array.to_delayed().ravel())
        if client is not None:
            chunks = client.compute(chunks, retries=RETRIES)
        return cls(
            read=_nothing,
            n_rows=int(array.shape[0]),
            n_tokens=int(array.shape[1]),
            kind=estimator.kind,
            zeros=estimator.zeros,
            weights=weights,
            pool=(None, 1),
            there=there,
            tokens=None,
            array=array,
            client=client,
            chunks=tuple(chunks),
        )

    def _some(self, rows: NDArray[np.intp]) -> NDArray[Any]:
        picked = self.array[rows]
        return np.asarray(
            picked.compute(scheduler=self.client) if self.client else picked.compute()
        )

    def _map(self, task: Callable[..., Any], mixture: DirichletMixture) -> Iterator[Any]:
        lengths = self.array.chunks[0]
        ends = np.cumsum(lengths)
        calls = []
        for chunk, length, end in zip(self.chunks, lengths, ends, strict=True):
            first = int(end - length)
            weights = None if self.weights is None else self.weights[first:end]
            calls.append((task, mixture, chunk, first, self.kind, self.zeros, weights))
        if self.client is not None:
            # Not pure: the same arguments are no reason to remember the results.
            done = [
                self.client.submit(_of_chunk, *call, pure=False, retries=RETRIES) for call in calls
            ]
            for future in done:
                yield from future.result()
        else:
            import dask

            for results in dask.compute(*(dask.delayed(_of_chunk)(*call) for call in calls)):
                yield from results


def _nothing(size: int) -> Iterator[Any]:
    raise NotImplementedError("chunks are not read here")


def _of_chunk(
    task: Callable[..., Any],
    mixture: DirichletMixture,
    chunk: Any,
    first: int,
    kind: str,
    zeros: str,
    weights: NDArray[np.float64] | None,
) -> list[Any]:
    """The task's results for each block of a chunk."""
    results = []
    whole = [slice(0, chunk.shape[0])]
    for cut in whole if kind == "counts" else parallel.blocks(len(chunk), mixture.alpha.size):
        mine = None if weights is None else weights[cut]
        results.append(task(mixture, chunk[cut], first + cut.start, kind, zeros, mine))
    return results
