"""Fits to rows, and counts of text, that lie on a cluster.

Contents
    fit       an estimator, to a Dask array of rows
    update    a `TransitionMatrix`, by a Dask array or bag of tokens

Each chunk stays where it is; a pass sends the mixture to the chunks and brings back statistics,
K (V + 2) numbers a block, that merge in the same tree as in memory.
"""

from .estimator.chunks import fit
from .matrix.parts import update

__all__ = ["fit", "update"]
