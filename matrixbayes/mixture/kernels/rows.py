"""The rows that a kernel mixture stands around, asked for few columns or few rows at a time.

Row i has the probabilities p_i, as the caller keeps them, and what it is drawn towards,

    b_i = local sum_k s_ik p_k + (1 - local) mean,    s_ik > 0 for the rows k nearest to it,

which is linear in the rows and never written out.  Some rows are near to many and some to none: s
is balanced so that each row has the same part in all b_i together, and their mean is that of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._base.typing import Floats, Ids

CACHED = 1 << 22  # probabilities of rows that are kept besides their logarithms
LOOKED_AT = 4096  # columns by which rows are near each other, and one of all that is left
BLOCK = 1 << 22  # numbers that are made at a time
ROUNDS = 20  # in which the shares of neighbours are balanced


@dataclass(frozen=True, eq=False)
class KernelRows:
    """M rows over V tokens, and which are near which.

    Attributes
    ----------
    log_probs : ndarray of shape (M, V)
        float32 or float64; of the caller.
    log_sums : ndarray of shape (M,)
        Logarithms of the sums of the rows' probabilities, by which they are divided.
    near : ndarray of int of shape (M, k)
        Numbers of rows; k may be 0.  -1 in all of a row that is not used.
    near_shares : ndarray of shape (M, k)
        s, of each of these; they sum to 1.
    mean : ndarray of shape (V,)
    local : float
        The share of the nearest rows; 0 where k is.
    """

    log_probs: NDArray[np.floating]
    log_sums: Floats
    near: NDArray[np.int32]
    near_shares: Floats
    mean: Floats
    local: float

    @property
    def n_tokens(self) -> int:
        """V."""
        return int(self.log_probs.shape[1])

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    # -- few columns ------------------------------------------------------------------------

    def blocks(self, size: int | None = None) -> Iterator[slice]:
        """Columns, some at a time."""
        step = max(1, (BLOCK if size is None else size) // len(self.log_probs))
        for start in range(0, self.n_tokens, step):
            yield slice(start, min(start + step, self.n_tokens))

    def at(self, columns: Any, rows: Ids) -> tuple[Floats, Floats]:
        """p and b of some rows at some columns, (U, N) each."""
        if self._whole is not None:
            p, b = self._whole
            if len(rows) == p.shape[1]:
                return p[columns], b[columns]
            return p[columns][:, rows], b[columns][:, rows]
        p, b = self._columns(columns)
        return (p, b) if len(rows) == p.shape[1] else (p[:, rows], b[:, rows])

    @cached_property
    def _whole(self) -> tuple[Floats, Floats] | None:
        """p and b where they are small."""
        if self.log_probs.size > CACHED:
            return None
        parts = [self._columns(columns) for columns in self.blocks(BLOCK // 8)]
        return np.concatenate([p for p, _ in parts]), np.concatenate([b for _, b in parts])

    def _columns(self, columns: Any) -> tuple[Floats, Floats]:
        p = np.exp(np.subtract(self.log_probs[:, columns].T, self.log_sums, dtype=np.float64))
        p = np.ascontiguousarray(p)
        mean = self.mean[columns, np.newaxis]
        if not self.local:
            return p, np.ascontiguousarray(np.broadcast_to(mean, p.shape))
        b = np.ascontiguousarray((self._averages @ p.T).T)
        b *= self.local
        b += (1.0 - self.local) * mean
        return p, b

    @cached_property
    def _averages(self) -> Any:
        """The sparse matrix (M, M) that makes means of nearest rows."""
        from scipy.sparse import csr_array

        n = len(self.near)
        used = self.near >= 0
        starts = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
        return csr_array((self.near_shares[used], self.near[used], starts), shape=(n, n))

    # -- all columns ------------------------------------------------------------------------

    def combined(self, of_p: Floats, of_b: Floats, rows: Ids) -> Floats:
        """sum_i of_p[r, i] p_i + of_b[r, i] b_i over some rows, shape (R, V)."""
        factors = np.zeros((len(of_p), len(self.log_probs)))
        factors[:, rows] = of_p
        if self.local:
            shares = np.zeros_like(factors)
            shares[:, rows] = self.local * of_b
            factors += (self._averages.T @ shares.T).T
        rest = (1.0 - self.local) * of_b.sum(axis=1)
        result = np.outer(rest, self.mean)
        for columns in self.blocks():
            if self._whole is not None:
                p = self._whole[0][columns]
            else:
                p = np.exp(np.subtract(self.log_probs[:, columns].T, self.log_sums, dtype=float))
            result[:, columns] += factors @ p.T
        return result

    def row(self, i: int) -> tuple[Floats, Floats]:
        """p and b of one row, (V,) each."""
        if self._whole is not None:
            return self._whole[0][:, i], self._whole[1][:, i]
        p = self._probs(i)
        if not self.local:
            return p, self.mean
        b = np.zeros(self.n_tokens)
        for k, share in zip(self.near[i], self.near_shares[i], strict=True):
            b += share * self._probs(int(k))
        return p, self.local * b + (1.0 - self.local) * self.mean

    def _probs(self, i: int) -> Floats:
        found: Floats = np.exp(np.subtract(self.log_probs[i], self.log_sums[i], dtype=np.float64))
        return found

    def draw(self, rows: Ids, rng: np.random.Generator) -> Ids:
        """A token from each of these rows, which may be the same ones; -1 is the mean."""
        tokens = np.empty(len(rows), dtype=np.int64)
        order = np.argsort(rows, kind="stable")
        different, starts = np.unique(rows[order], return_index=True)
        for i, mine in zip(different, np.split(order, starts[1:]), strict=True):
            ends = np.cumsum(self.mean if i < 0 else self._probs(int(i)))
            tokens[mine] = inverse(ends, rng.random(len(mine)))
        return tokens

    def draw_near(self, rows: Ids, rng: np.random.Generator) -> Ids:
        """A row near each of these, by its share."""
        ends, chances = np.cumsum(self.near_shares, axis=1), rng.random(len(rows))
        found = np.empty(len(rows), dtype=np.int64)
        step = max(1, BLOCK // max(ends.shape[1], 1))
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            place = (ends[some] <= chances[start : start + step, np.newaxis]).sum(axis=1)
            found[start : start + step] = self.near[some, np.minimum(place, ends.shape[1] - 1)]
        return found

    def lumped(self, of_column: NDArray[np.intp], n_groups: int) -> KernelRows:
        """The same over groups of tokens."""
        probs = np.zeros((len(self.log_probs), n_groups))
        for columns in self.blocks():
            p = np.exp(np.subtract(self.log_probs[:, columns].T, self.log_sums, dtype=np.float64))
            np.add.at(probs.T, of_column[columns], p)
        with np.errstate(divide="ignore"):
            logs = np.log(probs)
        mean = np.bincount(of_column, self.mean, minlength=n_groups).astype(np.float64)
        return KernelRows(logs, np.zeros(len(probs)), self.near, self.near_shares, mean, self.local)


def inverse(ends: Floats, chances: Floats) -> Ids:
    """Where chances in [0, 1) fall among the ends of intervals, empty ones left out."""
    found: Ids = np.searchsorted(ends, chances * ends[-1], side="right")
    last: Ids = np.searchsorted(ends, ends[-1:], side="left")
    return np.asarray(np.minimum(found, last))


def summary(log_probs: NDArray[np.floating], shares: Floats) -> tuple[Floats, Floats, Floats]:
    """The logarithms of the rows' sums; of the rows divided by them the mean, by shares, and the
    entropies."""
    log_sums, entropies = np.empty(len(log_probs)), np.empty(len(log_probs))
    mean = np.zeros(log_probs.shape[1])
    step = max(1, BLOCK // max(log_probs.shape[1], 1))
    for start in range(0, len(log_probs), step):
        rows = slice(start, start + step)
        probs = np.exp(log_probs[rows], dtype=np.float64)
        sums = probs.sum(axis=1)
        log_sums[rows] = np.log(sums)
        mean += (shares[rows] / sums) @ probs
        logs = np.where(probs > 0.0, log_probs[rows], 0.0)
        entropies[rows] = log_sums[rows] - np.einsum("iv,iv->i", probs, logs) / sums
    return log_sums, mean / mean.sum(), entropies


def roots(log_probs: NDArray[np.floating], mean: Floats, rows: Ids) -> NDArray[np.float32]:
    """Points whose scalar products are affinities of rows (Bhattacharyya's, by which Hellinger's
    distance goes), over the columns that are probable in the mean and all others as one."""
    n_tokens = log_probs.shape[1]
    if n_tokens <= LOOKED_AT:
        return np.asarray(np.exp(0.5 * log_probs[rows]), dtype=np.float32)
    columns = np.sort(np.argpartition(-mean, LOOKED_AT)[:LOOKED_AT])
    points = np.empty((len(rows), LOOKED_AT + 1), dtype=np.float32)
    step = max(1, BLOCK // LOOKED_AT)
    for start in range(0, len(rows), step):
        some = np.exp(log_probs[rows[start : start + step, np.newaxis], columns])
        points[start : start + step, :-1] = np.sqrt(some)
        points[start : start + step, -1] = np.sqrt(np.maximum(1.0 - some.sum(axis=1), 0.0))
    return points


def nearest(points: NDArray[np.float32], rows: Ids, n_all: int, k: int) -> NDArray[np.int32]:
    """The k rows nearest to each of `rows` but for itself, among them; (n_all, k).

    `points` are those of `rows`.  Other rows get -1.
    """
    near = np.full((n_all, k), -1, dtype=np.int32)
    if k == 0:
        return near
    step = max(1, BLOCK // 16 // len(rows))
    for start in range(0, len(rows), step):
        affinity = points[start : start + step] @ points.T
        own = np.arange(len(affinity))
        affinity[own, start + own] = -1.0
        best = np.argpartition(-affinity, k - 1, axis=1)[:, :k]
        near[rows[start : start + step]] = np.sort(rows[best], axis=1)
    return near


def balanced(near: NDArray[np.int32], rows: Ids, shares: Floats) -> Floats:
    """Shares of the nearest rows by which every one of `rows` has its own share in all of them
    together: Sinkhorn's iteration from equal ones, some rounds of it."""
    result = np.zeros(near.shape)
    if near.shape[1] == 0:
        return result
    part = np.full((len(rows), near.shape[1]), 1.0 / near.shape[1])
    places, own = near[rows], shares[rows, np.newaxis]
    for _ in range(ROUNDS):
        sums = np.bincount(places.ravel(), (own * part).ravel(), minlength=len(near))
        part *= shares[places] / sums[places]
        part /= part.sum(axis=1, keepdims=True)
    result[rows] = part
    return result
