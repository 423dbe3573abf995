"""Embeddings and the rows they are mapped to: distances of pairs, block by block.

Contents
    EmbeddingMap    N embeddings and their rows
    Pairs           some pairs of them, with both distances

Nothing here is N x N unless it is asked for: all pairs go through blocks of rows, neighbours
through blocks of embeddings, and what is kept is what was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base import display, parallel
from .._base.arguments import generator_of, whole
from .._base.numbers import floats, wholes
from .._base.progress import bar
from .._base.typing import Floats, Ids
from ..rows import as_log_probs
from . import distances
from .distances import RowBlock, embedding_block, embedding_pairs, row_pairs

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

ROW_METRICS = (
    "total_variation",
    "hellinger",
    "jensen_shannon",
    "fisher_rao",
    "kl",
    "reverse_kl",
    "jeffreys",
    "hilbert",
)
EMBEDDING_METRICS = ("euclidean", "cosine", "angular")

KERNEL_ROWS = 128  # where a block is no matrix product: less is done twice along the diagonal
PRODUCTS = ("hellinger", "fisher_rao", "kl", "reverse_kl", "jeffreys")
KEPT = 1 << 24  # numbers of all rows, of which copies in double precision are kept
PAIRS = 1 << 11  # pairs that a task takes, where rows are read one by one


@dataclass(frozen=True, eq=False, repr=False)
class Pairs(display.Shown):
    """Pairs of rows, each once.

    Attributes
    ----------
    first, second : ndarray of shape (n,)
        Numbers of the rows.
    embedding_distance, row_distance : ndarray of shape (n,)
    metric, embedding_metric : str
        Which distances these are.
    """

    first: Ids
    second: Ids
    embedding_distance: Floats
    row_distance: Floats
    metric: str
    embedding_metric: str

    def __len__(self) -> int:
        return len(self.first)

    def ratios(self) -> Floats:
        """row_distance / embedding_distance, (n,); infinite where embeddings are equal and rows
        are not, 0 where both are."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found = self.row_distance / self.embedding_distance
        return np.where(self.row_distance == 0.0, 0.0, found)

    def to_pandas(self) -> pd.DataFrame:
        """A row for each pair: its rows, both distances, their ratio.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        names = ["first", "second", "embedding_distance", "row_distance"]
        columns = {name: getattr(self, name) for name in names}
        return display.frame({**columns, "ratio": self.ratios()})

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Distances between rows against those between embeddings."""
        from .plots import pairs  # needs matplotlib

        return pairs(self, ax=ax)

    def _table(self) -> display.Table:
        n = len(self)
        rows, embeddings = (x.replace("_", " ") for x in (self.metric, self.embedding_metric))
        lines = []
        for name, values in (
            (f"embeddings, {embeddings}", self.embedding_distance),
            (f"rows, {rows}", self.row_distance),
            ("ratio", self.ratios()),
        ):
            if n:
                lines.append([name, *map(float, (values.min(), np.median(values), values.max()))])
        title = f"Pairs: {n} pair{'s' * (n != 1)} of rows"
        return display.Table(title, ["", "least", "median", "most"], lines)


class EmbeddingMap:
    """N embeddings and the next-token rows that a model maps them to.

    Parameters
    ----------
    embeddings : array_like of shape (N, d)
        Real and finite; of any layer, or of any other model.
    rows : NextTokenRows, or array_like of shape (N, V)
        The distributions.
    kind : {"logits", "log_probs", "probs"}, optional
        What a bare array of rows holds.

    Attributes
    ----------
    embeddings : ndarray of shape (N, d)
    log_probs : ndarray of shape (N, V)
    tokens : tuple of str or None

    Raises
    ------
    ValueError
        Shapes do not match, or a number is not finite; its row and column are named.

    Notes
    -----
    Distances between rows p and q:

    ================  ==========================================================================
    total_variation   sum |p - q| / 2
    hellinger         sqrt(sum (sqrt p - sqrt q)^2 / 2)
    jensen_shannon    the root of the Jensen-Shannon divergence in nats (a metric, as SciPy's)
    fisher_rao        2 arccos(sum sqrt(p q))
    kl                sum p ln(p / q) - p + q, in nats; p is the first row of a pair
    reverse_kl        the same with p and q exchanged
    jeffreys          kl + reverse_kl
    hilbert           max ln(p / q) - min ln(p / q)
    ================  ==========================================================================

    Distances between embeddings: euclidean; cosine, 1 - cos; angular, the angle in radians.

    Examples
    --------
    >>> import numpy as np
    >>> from matrixbayes.continuity import EmbeddingMap
    >>> rows = [[0.5, 0.5], [0.4, 0.6], [0.1, 0.9]]
    >>> pairs = EmbeddingMap([[0.0], [1.0], [3.0]], rows, kind="probs").all_pairs()
    >>> pairs.embedding_distance, pairs.row_distance.round(6)
    (array([1., 3., 2.]), array([0.1, 0.4, 0.3]))
    """

    def __init__(self, embeddings: ArrayLike, rows: Any, *, kind: str | None = None) -> None:
        array = floats(embeddings, "embeddings")
        if array.ndim != 2:
            raise ValueError(
                f"embeddings have shape {array.shape} and type {array.dtype}; they need (N, d) "
                "real numbers"
            )
        self.log_probs, self.tokens = as_log_probs(rows, kind)
        if len(array) != len(self.log_probs):
            raise ValueError(f"there are {len(array)} embeddings and {len(self.log_probs)} rows")
        for start in range(0, len(array), distances.MOST_ROWS):
            wrong = ~np.isfinite(array[start : start + distances.MOST_ROWS])
            if wrong.any():
                i, j = np.argwhere(wrong)[0]
                raise ValueError(f"embeddings[{start + i}, {j}] is {array[start + i, j]}")
        self.embeddings = array

    def __len__(self) -> int:
        return len(self.embeddings)

    def __repr__(self) -> str:
        n, d = self.embeddings.shape
        width = self.log_probs.shape[1]
        return f"EmbeddingMap: {n} embeddings of {d} numbers, rows over {width} tokens"

    # -- pairs ------------------------------------------------------------------------

    def all_pairs(
        self,
        *,
        metric: str = "total_variation",
        embedding_metric: str = "euclidean",
        executor: Executor | None = None,
        n_jobs: int | None = 1,
        progress: bool | None = None,
    ) -> Pairs:
        """Every pair once: N (N - 1) / 2 of them, 32 bytes each.

        Parameters
        ----------
        metric, embedding_metric : str
            See the notes of the class.
        executor, n_jobs
            Who works; results are the same bits.
        progress : bool, optional
            A bar: True, False, or where somebody looks at it and it takes long.
        """
        _check_metrics(metric, embedding_metric)
        n = len(self)
        cuts, block = self._blocks(metric), self._row_block()
        tasks = [(a, b) for i, a in enumerate(cuts) for b in cuts[i:]]
        found: list[NDArray[Any]] = [
            np.empty(n * (n - 1) // 2, dtype=kind) for kind in (np.int64, np.int64, float, float)
        ]
        at = 0
        with (
            parallel.workers(executor, n_jobs) as pool,
            bar(len(tasks), progress, name="pairs", unit="block") as advance,
        ):
            arguments = (
                (self.embeddings, block(a), block(b), metric, embedding_metric) for a, b in tasks
            )
            for part in parallel.in_order(pool, _block_of, arguments):
                many = len(part[0])
                for to, values in zip(found, part, strict=True):
                    to[at : at + many] = values
                at += many
                advance(1)
        return Pairs(found[0], found[1], found[2], found[3], metric, embedding_metric)

    def neighbours(
        self,
        n_neighbors: int = 10,
        *,
        metric: str = "total_variation",
        embedding_metric: str = "euclidean",
        executor: Executor | None = None,
        n_jobs: int | None = 1,
        progress: bool | None = None,
    ) -> Pairs:
        """Each row with those whose embeddings are nearest; every pair is there once.

        Parameters
        ----------
        n_neighbors : int
            Neighbours of each row, at most N - 1.
        metric, embedding_metric, executor, n_jobs, progress
            As for `all_pairs`.
        """
        _check_metrics(metric, embedding_metric)
        n = len(self)
        n_neighbors = whole(n_neighbors, "n_neighbors", 1, n - 1)
        step = max(1, min(distances.MOST_ROWS, distances.CELLS // max(n, 1)))
        cuts = [slice(start, min(start + step, n)) for start in range(0, n, step)]
        nearest: list[Ids] = []
        with (
            parallel.workers(executor, n_jobs) as pool,
            bar(n, progress, name="neighbours", unit="row") as advance,
        ):
            arguments = ((self, cut, n_neighbors, embedding_metric) for cut in cuts)
            for part in parallel.in_order(pool, _nearest, arguments):
                nearest.append(part)
                advance(len(part))
        second = np.concatenate([*nearest, np.zeros((0, n_neighbors), dtype=np.int64)]).ravel()
        first = np.repeat(np.arange(n), n_neighbors)
        code = np.unique(np.minimum(first, second) * n + np.maximum(first, second))
        return self.pairs(
            code // n,
            code % n,
            metric=metric,
            embedding_metric=embedding_metric,
            executor=executor,
            n_jobs=n_jobs,
            progress=progress,
        )

    def sample(
        self,
        n_pairs: int,
        *,
        rng: np.random.Generator | int | None = None,
        metric: str = "total_variation",
        embedding_metric: str = "euclidean",
        executor: Executor | None = None,
        n_jobs: int | None = 1,
        progress: bool | None = None,
    ) -> Pairs:
        """Some of all pairs, drawn without replacement; all where there are no more.

        Parameters
        ----------
        n_pairs : int
        rng : numpy.random.Generator or int, optional
        metric, embedding_metric, executor, n_jobs, progress
            As for `all_pairs`.
        """
        n = len(self)
        total = n * (n - 1) // 2
        options: dict[str, Any] = {"metric": metric, "embedding_metric": embedding_metric}
        options |= {"executor": executor, "n_jobs": n_jobs, "progress": progress}
        if whole(n_pairs, "n_pairs", 0) >= total:
            return self.all_pairs(**options)
        chosen = _distinct_below(total, n_pairs, generator_of(rng))
        # pair number c, in the order (0, 1), (0, 2), (1, 2), (0, 3), ...
        second = ((1.0 + np.sqrt(1.0 + 8.0 * chosen)) / 2.0).astype(np.int64)
        second -= second * (second - 1) // 2 > chosen  # where the root was rounded up
        second += (second + 1) * second // 2 <= chosen
        return self.pairs(chosen - second * (second - 1) // 2, second, **options)

    def pairs(
        self,
        first: ArrayLike,
        second: ArrayLike,
        *,
        metric: str = "total_variation",
        embedding_metric: str = "euclidean",
        executor: Executor | None = None,
        n_jobs: int | None = 1,
        progress: bool | None = None,
    ) -> Pairs:
        """These pairs, each done directly from its two rows.

        Parameters
        ----------
        first, second : array_like of int of shape (n,)
            Numbers of rows.
        metric, embedding_metric, executor, n_jobs, progress
            As for `all_pairs`.
        """
        _check_metrics(metric, embedding_metric)
        i, j = wholes(first, "first"), wholes(second, "second")
        if i.ndim != 1 or i.shape != j.shape:
            raise ValueError(
                f"first and second have shapes {i.shape} and {j.shape}; they need (n,)"
            )
        if i.size and not (min(i.min(), j.min()) >= 0 and max(i.max(), j.max()) < len(self)):
            raise ValueError(f"there are rows 0 to {len(self) - 1}; a pair has another")
        cuts = [slice(start, start + PAIRS) for start in range(0, len(i), PAIRS)]
        d_embedding, d_row = np.empty(len(i)), np.empty(len(i))
        with (
            parallel.workers(executor, n_jobs) as pool,
            bar(len(i), progress, name="pairs", unit="pair") as advance,
        ):
            arguments = ((self, i[cut], j[cut], metric, embedding_metric) for cut in cuts)
            for cut, part in zip(cuts, parallel.in_order(pool, _directly, arguments), strict=True):
                d_embedding[cut], d_row[cut] = part
                advance(len(part[0]))
        return Pairs(i, j, d_embedding, d_row, metric, embedding_metric)

    def row_distances(self, metric: str = "total_variation") -> Floats:
        """The whole (N, N) matrix of distances between rows; in (i, j), p is row i and q row j."""
        _check_metrics(metric, "euclidean")
        whole = np.empty((len(self), len(self)))
        cuts, block = self._blocks(metric), self._row_block()
        for i, a in enumerate(cuts):
            for j, b in enumerate(cuts):
                if j < i and metric not in ("kl", "reverse_kl"):
                    whole[a, b] = whole[b, a].T
                else:
                    whole[a, b] = block(a).distances(block(b), metric)
        return whole

    def embedding_distances(self, metric: str = "euclidean") -> Floats:
        """The whole (N, N) matrix of distances between embeddings."""
        _check_metrics("kl", metric)
        whole = np.empty((len(self), len(self)))
        for a in self._blocks("kl"):
            for b in self._blocks("kl"):
                whole[a, b] = embedding_block(self.embeddings, a, b, metric)
        return whole

    def _row_block(self) -> Callable[[slice], RowBlock]:
        """Makes blocks of rows; the same again where all of them are not much to keep."""

        def make(start: int, stop: int) -> RowBlock:
            return RowBlock(self.log_probs, slice(start, stop))

        kept = cache(make) if self.log_probs.size <= KEPT else make
        return lambda cut: kept(cut.start, cut.stop)

    def _blocks(self, metric: str) -> list[slice]:
        n, width = len(self), max(self.log_probs.shape[1], self.embeddings.shape[1], 1)
        most = distances.MOST_ROWS if metric in PRODUCTS else min(distances.MOST_ROWS, KERNEL_ROWS)
        step = min(most, max(1, distances.CELLS // width))
        return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def _check_metrics(metric: str, embedding_metric: str) -> None:
    for name, value, known in (
        ("metric", metric, ROW_METRICS),
        ("embedding_metric", embedding_metric, EMBEDDING_METRICS),
    ):
        if value not in known:
            raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, known))}")


def _distinct_below(total: int, n: int, rng: np.random.Generator) -> Ids:
    """n different numbers below `total`, rising."""
    if n > total // 2:
        return np.sort(rng.permutation(total)[:n])
    chosen = np.zeros(0, dtype=np.int64)
    while len(chosen) < n:
        more = rng.integers(0, total, n - len(chosen) + 16)
        chosen = np.unique(np.concatenate([chosen, more]))
    return np.sort(rng.permutation(chosen)[:n])


# ---------------------------------------------------------------------------
# Tasks
# ---------------------------------------------------------------------------


def _block_of(
    embeddings: NDArray[np.floating], a: RowBlock, b: RowBlock, metric: str, embedding_metric: str
) -> tuple[Ids, Ids, Floats, Floats]:
    """The pairs of two blocks, or those within one, each once."""
    apart = embedding_block(embeddings, a.cut, b.cut, embedding_metric)
    rows = a.distances(b, metric)
    if a.cut == b.cut:
        i, j = np.triu_indices(len(rows), 1)
        return a.cut.start + i, a.cut.start + j, apart[i, j], rows[i, j]
    first = np.repeat(np.arange(a.cut.start, a.cut.stop), rows.shape[1])
    second = np.tile(np.arange(b.cut.start, b.cut.stop), len(rows))
    return first, second, apart.ravel(), rows.ravel()


def _nearest(map: EmbeddingMap, cut: slice, n_neighbors: int, embedding_metric: str) -> Ids:
    """The nearest of all rows to some, (n, n_neighbors); of equally near ones the first."""
    apart = embedding_block(map.embeddings, cut, slice(0, len(map)), embedding_metric)
    apart[np.arange(len(apart)), np.arange(cut.start, cut.stop)] = np.inf
    reach = np.partition(apart, n_neighbors - 1, axis=1)[:, n_neighbors - 1 : n_neighbors]
    found = np.empty((len(apart), n_neighbors), dtype=np.int64)
    for row, near in enumerate(apart <= reach):
        candidates = np.flatnonzero(near)
        order = np.argsort(apart[row, candidates], kind="stable")
        found[row] = candidates[order[:n_neighbors]]
    return found


def _directly(
    map: EmbeddingMap, i: Ids, j: Ids, metric: str, embedding_metric: str
) -> tuple[Floats, Floats]:
    return (
        embedding_pairs(map.embeddings, i, j, embedding_metric),
        row_pairs(map.log_probs, i, j, metric),
    )
