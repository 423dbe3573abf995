"""Counts of text that lies on a cluster; `matrixbayes.dask.update` to users.

Each part is counted where it is, and the counts are merged there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._base.parallel import RETRIES
from .frozen import REFUSED

if TYPE_CHECKING:
    from .matrix import TransitionMatrix


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
        The array has several axes, or counts fade with the order of the text (discount below 1), or
        the matrix is frozen.

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
    from dask.delayed import delayed

    if matrix.frozen:
        raise ValueError(REFUSED)
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
