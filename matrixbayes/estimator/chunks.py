"""Fits to rows in the chunks of a Dask array, wherever they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base import parallel
from .._base.weights import checked_weights
from .streams import StreamData, stated, there_of

if TYPE_CHECKING:
    from .estimator import DirichletMixtureEstimator


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
        chunks hold whole blocks: `matrixbayes._base.parallel.block_size` (K V) rows each.  A
        chunk of counts is one block; how counts in memory are cut depends on how many are not zero:
        ``matrixbayes.estimator.count_data.CountData.of(counts).blocks(K)``.
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
    blocks.  Work on a worker that dies is done again by another one.  At a resolution tokens are
    drawn where the chunks are, once, and the passes over the draws are here.

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
        kind = stated(estimator.kind, estimator.zeros)
        there, weights = there_of(array.shape[0], weights)
        if not there.all():
            array = array[np.flatnonzero(there)]
        chunks = list(array.to_delayed().ravel())
        if client is not None:
            chunks = client.compute(chunks, retries=parallel.RETRIES)
        return cls(
            read=_nothing,
            n_rows=int(array.shape[0]),
            n_tokens=int(array.shape[1]),
            kind=kind,
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

    def _map(self, task: Callable[..., Any], given: Any, cost: int) -> Iterator[Any]:
        lengths = self.array.chunks[0]
        ends = np.cumsum(lengths)
        calls = []
        for chunk, length, end in zip(self.chunks, lengths, ends, strict=True):
            first = int(end - length)
            weights = None if self.weights is None else self.weights[first:end]
            calls.append((task, given, cost, chunk, first, self.kind, self.zeros, weights))
        if self.client is not None:
            # Not pure: the same arguments are no reason to remember the results.
            done = [
                self.client.submit(_of_chunk, *call, pure=False, retries=parallel.RETRIES)
                for call in calls
            ]
            for future in done:
                yield from future.result()
        else:
            from dask.base import compute
            from dask.delayed import delayed

            for results in compute(*(delayed(_of_chunk)(*call) for call in calls)):
                yield from results


def _nothing(size: int) -> Iterator[Any]:
    """Chunks are not read here."""
    raise NotImplementedError


def _of_chunk(
    task: Callable[..., Any],
    given: Any,
    cost: int,
    chunk: Any,
    first: int,
    kind: str,
    zeros: str,
    weights: NDArray[np.float64] | None,
) -> list[Any]:
    """The task's results for each block of a chunk."""
    results = []
    whole = [slice(0, chunk.shape[0])]
    for cut in whole if kind == "counts" else parallel.blocks(len(chunk), cost):
        mine = None if weights is None else weights[cut]
        results.append(task(given, chunk[cut], first + cut.start, kind, zeros, mine))
    return results
