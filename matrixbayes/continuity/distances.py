"""Distances of rows and of embeddings: of pairs, and of all pairs of two blocks.

Contents
    row_pairs, RowBlock                 rows
    embedding_pairs, embedding_block    embeddings

Where a distance follows from a product of matrices, a block goes by that, and pairs so close that
a difference of products has lost their digits are done again directly.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._base.typing import Floats, Ids

CELLS = 1 << 21  # numbers of a block of rows
MOST_ROWS = 512  # and rows of it
# Below these a difference of products has lost too many digits: such pairs are done directly.
SMALL_VARIATION, SMALL_HELLINGER, SMALL_DIVERGENCE, SMALL_DISTANCE = 1e-4, 1e-4, 1e-4, 1e-5


def row_pairs(log_probs: NDArray[np.floating], i: Ids, j: Ids, metric: str) -> Floats:
    """Distances of pairs of rows."""
    core = _core.pair_distances
    if metric == "hellinger":
        return np.sqrt(core("squared_hellinger", log_probs, i, j))
    if metric == "fisher_rao":
        return _angle(core("squared_hellinger", log_probs, i, j))
    if metric == "jensen_shannon":
        return np.sqrt(core("jensen_shannon_divergence", log_probs, i, j))
    if metric == "reverse_kl":
        return core("kl", log_probs, j, i)
    if metric == "jeffreys":
        return core("kl", log_probs, i, j) + core("kl", log_probs, j, i)
    return core(metric, log_probs, i, j)


def _angle(squared_hellinger: Floats) -> Floats:
    """2 arccos(1 - H^2), exact also where H is small."""
    return 4.0 * np.arcsin(np.sqrt(np.clip(0.5 * squared_hellinger, 0.0, 1.0)))


class RowBlock:
    """A block of rows, and what distances need of it, each made once."""

    def __init__(self, log_probs: NDArray[np.floating], cut: slice) -> None:
        self.all, self.cut = log_probs, cut
        self.log_probs = log_probs[cut].astype(np.float64, copy=False)

    @cached_property
    def probs(self) -> Floats:
        return np.exp(self.log_probs)

    @cached_property
    def roots(self) -> tuple[Floats, Floats]:
        """sqrt p, and half the sum of p."""
        roots = np.exp(0.5 * self.log_probs)
        return roots, 0.5 * np.square(roots).sum(axis=1)

    @cached_property
    def zeros(self) -> Floats | None:
        """1 where p is 0; None where it is nowhere."""
        found = self.log_probs == -np.inf
        return found.astype(np.float64) if found.any() else None

    @cached_property
    def finite(self) -> Floats:
        """ln p, and 0 where p is 0."""
        zeros = self.zeros
        return self.log_probs if zeros is None else np.where(zeros > 0.0, 0.0, self.log_probs)

    @cached_property
    def sums(self) -> tuple[Floats, Floats]:
        """sum p ln p - p, and sum p."""
        total = self.probs.sum(axis=1)
        return np.einsum("iv,iv->i", self.probs, self.finite) - total, total

    def distances(self, other: RowBlock, metric: str) -> Floats:
        """Of these rows p to the rows q of another block, (n, m)."""
        if metric == "hilbert":
            return _core.block_distances("hilbert", self.log_probs, other.log_probs)
        if metric in ("hellinger", "fisher_rao"):
            (p, own), (q, its) = self.roots, other.roots
            squared = own[:, np.newaxis] + its - p @ q.T
            self._mend(squared, SMALL_HELLINGER, other, "squared_hellinger")
            return _angle(squared) if metric == "fisher_rao" else np.sqrt(squared, out=squared)
        if metric == "reverse_kl":
            return other.distances(self, "kl").T
        if metric == "jeffreys":
            return self.distances(other, "kl") + other.distances(self, "kl").T
        if metric == "kl":
            return self._kl(other)
        if metric == "jensen_shannon":
            found = _core.block_distances("jensen_shannon_divergence", self.probs, other.probs)
            self._mend(found, SMALL_DIVERGENCE, other, "jensen_shannon_divergence")
            return np.sqrt(found, out=found)
        found = _core.block_distances("total_variation", self.probs, other.probs)
        self._mend(found, SMALL_VARIATION, other, "total_variation")
        return found

    def _kl(self, other: RowBlock) -> Floats:
        found = self.sums[0][:, np.newaxis] + other.sums[1] - self.probs @ other.finite.T
        if other.zeros is not None:  # a token that only q rules out
            found[self.probs @ other.zeros.T > 0.0] = np.inf
        self._mend(found, SMALL_DIVERGENCE, other, "kl")
        return found

    def _mend(self, found: Floats, small: float, other: RowBlock, kind: str) -> None:
        """Do small entries directly, for a difference has few digits of them."""
        row, column = np.divmod(np.flatnonzero(found < small), found.shape[1])
        if len(row):
            first, second = self.cut.start + row, other.cut.start + column
            found[row, column] = _core.pair_distances(kind, self.all, first, second)


def embedding_pairs(embeddings: NDArray[np.floating], i: Ids, j: Ids, metric: str) -> Floats:
    """Distances of pairs of embeddings."""
    found = np.empty(len(i))
    step = max(1, CELLS // max(embeddings.shape[1], 1))
    for start in range(0, len(i), step):
        cut = slice(start, start + step)
        x, y = (_placed(embeddings[each[cut]], metric) for each in (i, j))
        found[cut] = np.sqrt(np.square(x - y).sum(axis=1))
    return _as_metric(found, metric)


def embedding_block(embeddings: NDArray[np.floating], a: slice, b: slice, metric: str) -> Floats:
    """Distances of the embeddings a to the embeddings b."""
    centre = np.zeros(embeddings.shape[1])
    if metric == "euclidean" and len(embeddings):
        centre = np.asarray(embeddings[0], dtype=np.float64)  # smaller numbers lose less
    x, y = (_placed(embeddings[cut], metric) - centre for cut in (a, b))
    sides = np.square(x).sum(axis=1)[:, np.newaxis] + np.square(y).sum(axis=1)
    squared = sides - 2.0 * (x @ y.T)
    row, column = np.nonzero(squared <= SMALL_DISTANCE * sides)
    for start in range(0, len(row), MOST_ROWS):
        r, c = row[start : start + MOST_ROWS], column[start : start + MOST_ROWS]
        squared[r, c] = np.square(x[r] - y[c]).sum(axis=1)
    return _as_metric(np.sqrt(squared), metric)


def _placed(x: NDArray[Any], metric: str) -> Floats:
    """In double precision, and on the unit sphere where lengths do not count."""
    x = x.astype(np.float64, copy=False)
    if metric == "euclidean":
        return x
    lengths = np.sqrt(np.square(x).sum(axis=1, keepdims=True))
    if (lengths == 0.0).any():
        raise ValueError(
            f"an embedding is 0 and has no direction: {metric} knows no distance to it"
        )
    directions: Floats = x / lengths
    return directions


def _as_metric(distance: Floats, metric: str) -> Floats:
    """From the Euclidean distance of what `_placed` gives."""
    if metric == "cosine":
        return 0.5 * np.square(distance)
    if metric == "angular":
        return 2.0 * np.arcsin(np.clip(0.5 * distance, 0.0, 1.0))
    return distance
