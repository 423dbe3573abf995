"""The modulus of continuity of pairs of rows, and a band for that of fresh samples.

Contents
    modulus           the largest distance between rows of pairs at most so far apart
    band, Band        where the median curve of fresh samples of as many rows is
    steps_of          distances at which the curve is told
    dimension         how many dimensions points fill near by

The modulus omega is a maximum over pairs, for which the ordinary bootstrap fails: no sample drawn
from the rows rises above them, and the median of fresh samples is above them half of the time.
Parts of b = 0.36 n rows, drawn without replacement, have curves omega_b that spread as those of n
rows do but for a factor (Politis & Romano 1994), and the band is turned around the curve:

    from  omega - c (q_high - q_half)  to  omega + c (q_half - q_low),      c = (b / (n - b))^r

with q the quantiles of omega_b, and n - b in place of n because a part shares its rows with the
whole (Shao & Wu 1989).  The rate r = 2 / (d + 1/2), 1 at most, is that of a smooth map in d
dimensions, whose supremum is met by pairs of two inner places (half a power of the gap for each
coordinate) with a length that is an edge: n^2 g^(d + 1/2) pairs are within g of it.  d is that of
the embeddings near by (Takens 1985).  With so large a part a wrong rate does little: c is 0.56 in
one dimension, 0.63, 0.81 and 0.95 in 2, 5 and 20.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base.typing import Floats
from .embedding import Pairs

STEPS = 40  # of the curve
SHARE = 0.36  # of the rows, in a part
NEAR = 0.1  # of the pairs, by which dimensions are told
LEAST = 40  # pairs: with fewer, a part has five or less and its maximum says nothing
# Of distances that have one; the others can be infinite.
LARGEST = {
    "total_variation": 1.0,
    "hellinger": 1.0,
    "jensen_shannon": math.sqrt(math.log(2.0)),
    "fisher_rao": math.pi,
}


class Band(NamedTuple):
    """Quantiles (2, steps), and the smallest distance of which they say anything."""

    edges: Floats
    begins: float


def steps_of(pairs: Pairs) -> Floats:
    """Distances at which the curve is told: 0, even steps, shares of the pairs, dense where few
    are, and where the curve rises: with these it is exact everywhere."""
    positive = pairs.embedding_distance[pairs.embedding_distance > 0.0]
    told = np.zeros(1)
    if len(positive):
        shares = np.unique(np.geomspace(1, len(positive), STEPS).round().astype(int)) - 1
        even = np.linspace(0.0, positive[-1], 2 * STEPS)
        told = np.concatenate([even, positive[shares]])
    highest = np.maximum.accumulate(pairs.row_distance)
    rise = np.ones(len(highest), dtype=bool)
    rise[1:] = highest[1:] > highest[:-1]
    return np.union1d(told, pairs.embedding_distance[rise])


def modulus(pairs: Pairs, steps: Floats, keep: NDArray[np.bool_] | None = None) -> Floats:
    """The largest distance between rows of pairs at most each step apart."""
    distance = pairs.row_distance if keep is None else np.where(keep, pairs.row_distance, 0.0)
    ends = np.searchsorted(pairs.embedding_distance, steps, side="right")
    highest: Floats = np.maximum.accumulate(np.append(0.0, distance))
    return highest[ends]


def dimension(distances: Floats, metric: str) -> float:
    """How many dimensions points fill near by, from distances of pairs of them."""
    apart = distances[distances > 0.0]
    near = np.sort(apart)[: max(1, round(NEAR * len(apart)))]
    growth = float(np.log(near[-1] / near).mean()) if len(near) else 0.0
    found = 1.0 / growth if growth > 0.0 else np.inf
    return 2.0 * found if metric == "cosine" else found  # which is the square of a distance


def band(
    pairs: Pairs,
    steps: Floats,
    n: int,
    dimensions: float,
    n_parts: int,
    level: float,
    rng: np.random.Generator,
) -> Band:
    """Where the median curve of fresh samples of n rows is, at each step by itself.

    Where too few pairs are so near, it is anywhere.
    """
    highest = LARGEST.get(pairs.metric, np.inf)
    edges = np.stack([np.zeros(len(steps)), np.full(len(steps), highest)])
    several = np.searchsorted(pairs.embedding_distance, steps, side="right") >= LEAST
    if not several.any():
        return Band(edges, np.inf)
    size = round(SHARE * n)
    curves = np.empty((n_parts, len(steps)))
    for curve in curves:
        part = np.zeros(n, dtype=bool)
        part[rng.permutation(n)[:size]] = True
        curve[:] = modulus(pairs, steps, part[pairs.first] & part[pairs.second])
    whole = modulus(pairs, steps)
    with np.errstate(invalid="ignore"):  # distances may be infinite
        low, half, high = np.quantile(curves, [0.5 - level / 2, 0.5, 0.5 + level / 2], axis=0)
        factor = (size / (n - size)) ** min(1.0, 2.0 / (dimensions + 0.5))
        around = np.stack([whole - factor * (high - half), whole + factor * (half - low)])
    said = several & np.isfinite(around).all(axis=0)
    edges[:, said] = np.clip(around[:, said], 0.0, highest)
    return Band(edges, float(steps[said].min(initial=np.inf)))
