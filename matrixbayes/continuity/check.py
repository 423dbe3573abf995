"""The check of a map: modulus of continuity, ratios, discontinuities, affine test, as a report."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._base.arguments import generator_of, probability, times
from .affine import AffineTest, affine_test
from .band import band, dimension, modulus, steps_of
from .embedding import EmbeddingMap, Pairs
from .report import ContinuityReport

MOST_PAIRS = 2_000_000  # looked at without being asked for more


def check_continuity(
    embeddings: ArrayLike,
    rows: Any,
    *,
    kind: str | None = None,
    metric: str = "total_variation",
    embedding_metric: str = "euclidean",
    n_neighbors: int = 10,
    n_pairs: int = MOST_PAIRS,
    n_boot: int = 200,
    level: float = 0.9,
    n_permutations: int = 199,
    texts: Sequence[str] | None = None,
    rng: np.random.Generator | int | None = None,
    executor: Executor | None = None,
    n_jobs: int | None = 1,
    progress: bool | None = None,
) -> ContinuityReport:
    """How smooth a map from embeddings to next-token rows is, from N points of it.

    Parameters
    ----------
    embeddings : array_like of shape (N, d)
        Of any layer, or of any other model; N at least 3.
    rows : NextTokenRows, or array_like of shape (N, V)
    kind : {"logits", "log_probs", "probs"}, optional
        What a bare array of rows holds.
    metric, embedding_metric : str
        Distances between rows and between embeddings; see `EmbeddingMap`.
    n_neighbors : int
        Neighbours of each row that count as local.
    n_pairs : int
        All pairs are looked at where there are no more, else so many drawn at random.
    n_boot : int
        Parts of the rows behind the band of the curve; 0 for none.
    level : float
        Of the band.
    n_permutations : int
        Behind the p-value of the affine test; 0 leaves the test out.
    texts : sequence of str of length N, optional
        What to call the rows; by default what ``rows.meta["prompt"]`` says, if it is texts.
    rng : numpy.random.Generator or int, optional
    executor, n_jobs
        Who works; the report is the same.
    progress : bool, optional
        A bar: True, False, or where somebody looks at it and it takes long.

    Returns
    -------
    ContinuityReport

    Raises
    ------
    ValueError
        Something is not as described.

    Notes
    -----
    The modulus of continuity is the largest distance between rows of any two points at most
    delta apart.  On N points it is a lower bound: more points can only raise it, and so the band
    says how it depends on which N rows were drawn, not how far it may rise.

    The band is where the median curve of fresh samples of N rows is, at each distance by itself:
    by parts of 0.36 N rows, whose spread is scaled to N and turned around the curve.  Where fewer
    than 40 pairs are at most so far apart it is everywhere, and a jump that no pair of the rows
    straddles is in no band.  Rows that belong together (prompts of one template) are fewer rows
    than they seem, and the band is too narrow.  At levels below 0.8 it is too wide.

    Of 90 % bands of 14 maps (1 to 20 dimensions; smooth, noisy, torn, in clusters, of heavy tails)
    for 40, 100 and 200 rows, 92 % held the median; 86 to 98 % by map and number of rows, and
    fewest, some 75 %, at the largest distances in clusters or a cloud with corners, which few rows
    decide.

    Rows of float32 that are at most 1e-6 apart count as equal.  Embeddings count as equal where
    they are so to the last bit, which those of one prompt in two batches of a model need not be.

    Memory: 32 bytes a pair, and blocks of 2**21 numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from matrixbayes.continuity import check_continuity
    >>> e = np.linspace(-2, 2, 50)[:, np.newaxis]
    >>> report = check_continuity(e, np.hstack([e, -e]), kind="logits", rng=0)
    >>> round(report.lipschitz, 2)                # of p = 1 / (1 + exp(-2 e)): 1/2 at 0
    0.5
    """
    map = EmbeddingMap(embeddings, rows, kind=kind)
    n = len(map)
    if n < 3:
        raise ValueError(f"there are {n} rows; continuity needs at least 3")
    level = probability(level, "level", inside=True)
    n_boot = times(n_boot, "n_boot", 0)
    n_permutations = times(n_permutations, "n_permutations", 0)
    if texts is not None and len(texts) != n:
        raise ValueError(f"there are {len(texts)} texts for {n} rows")
    generator = generator_of(rng)
    options: dict[str, Any] = {"metric": metric, "embedding_metric": embedding_metric}
    options |= {"executor": executor, "n_jobs": n_jobs, "progress": progress}
    pairs = map.sample(n_pairs, rng=generator, **options)
    near = map.neighbours(min(n_neighbors, n - 1), **options)
    twins = _twins(map, options)
    seen = _joined(pairs, near, twins, n)
    steps = steps_of(seen)
    around = None
    if n_boot:
        filled = dimension(pairs.embedding_distance, embedding_metric)  # seen has more near ones
        around = band(seen, steps, n, filled, n_boot, level, generator)
    affine: AffineTest | str | None = None
    if n_permutations > 0:
        try:
            affine = affine_test(
                map.embeddings,
                map.log_probs,
                kind="log_probs",
                n_permutations=n_permutations,
                rng=generator,
            )
        except ValueError as error:
            affine = str(error)
    return ContinuityReport(
        n_rows=n,
        pairs=seen,
        all_pairs=len(pairs) == n * (n - 1) // 2,
        neighbours=near,
        delta=steps,
        modulus=modulus(seen, steps),
        band=None if around is None else around.edges,
        level=level,
        affine=affine,
        tokens=map.tokens,
        texts=_texts(rows, texts),
        log_probs=map.log_probs,
        band_begins=None if around is None else around.begins,
    )


def _texts(rows: Any, given: Sequence[str] | None) -> tuple[str, ...] | None:
    """What to call the rows."""
    known = getattr(rows, "meta", {}).get("prompt") if given is None else given
    if given is None and not all(isinstance(text, str) for text in known or ()):
        return None  # numbers of prompts tell no more than those of rows
    return None if known is None else tuple(str(text) for text in known)


def _twins(map: EmbeddingMap, options: dict[str, Any]) -> Pairs:
    """Rows whose embeddings are equal, each with the first of them."""
    _, first, of = np.unique(map.embeddings, axis=0, return_index=True, return_inverse=True)
    own = np.arange(len(map))
    leader = first[of.reshape(-1)]
    others = own[leader != own]
    return map.pairs(leader[others], others, **options)


def _joined(pairs: Pairs, near: Pairs, twins: Pairs, n: int) -> Pairs:
    """All pairs that were looked at, each once, the nearest first."""
    parts = (pairs, near, twins)
    first, second = (
        np.concatenate([getattr(p, name) for p in parts]) for name in ("first", "second")
    )
    code = np.minimum(first, second) * n + np.maximum(first, second)
    once = np.unique(code, return_index=True)[1]
    distance = np.concatenate([p.embedding_distance for p in parts])[once]
    row_distance = np.concatenate([p.row_distance for p in parts])[once]
    order = np.lexsort((once, distance))
    return Pairs(
        first[once][order],
        second[once][order],
        distance[order],
        row_distance[order],
        pairs.metric,
        pairs.embedding_metric,
    )
