"""Groups of points: k-means++ seeds by any divergence, and a few rounds of k-means.

Contents
    seeds    points far from each other, and the nearest one of each point
    Points   points (n, V) and their squared distances
    groups   the group of each point
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .typing import Floats

Places = NDArray[np.intp]


def seeds(
    n_points: int,
    n_seeds: int,
    divergences: Callable[[Places], NDArray[np.floating]],
    rng: np.random.Generator,
    weights: Floats | None = None,
    tries: int = 1,
) -> tuple[list[int], Places]:
    """Which points are seeds, and which seed is nearest to each point.

    A seed is drawn by weight and divergence from the nearest one so far: the best of several draws
    (Arthur & Vassilvitskii 2007).  `divergences` are those of all points from some: (n, draws).
    """
    each = np.ones(n_points) if weights is None else weights
    chosen: list[int] = []
    nearest = np.full(n_points, np.inf)
    found = np.zeros(n_points, dtype=np.intp)
    chance = weights
    for k in range(n_seeds):
        p = None if chance is None else chance / chance.sum()
        drawn = rng.choice(n_points, size=tries if k else 1, p=p)
        closer = np.minimum(divergences(drawn), nearest[:, np.newaxis])
        best = np.argmin(each @ closer)
        found[closer[:, best] < nearest] = k
        nearest = closer[:, best]
        chosen.append(int(drawn[best]))
        chance = each * nearest
        if not chance.sum() > 0.0:  # fewer different points than seeds
            chance = weights
    return chosen, found


class Points(NamedTuple):
    """Points (n, V) to be grouped, their squared lengths, and their weights, if any."""

    at: NDArray[np.floating]
    lengths: NDArray[np.floating]
    weights: Floats | None

    @classmethod
    def of(cls, at: NDArray[np.floating], weights: Floats | None = None) -> Points:
        """From points, which are moved to lie around 0: distances then keep their digits."""
        at -= at.mean(axis=0)
        return cls(at, np.einsum("ij,ij->i", at, at), weights)

    def squared_distances(self, centres: NDArray[np.floating]) -> NDArray[np.floating]:
        """Squared distance of each to each of some points (C, V); (n, C), 0 for equal ones."""
        lengths = self.lengths[:, np.newaxis] + np.einsum("ij,ij->i", centres, centres)
        distances: NDArray[np.floating] = lengths - 2.0 * (self.at @ centres.T)
        distances[distances < 64.0 * np.finfo(distances.dtype).eps * lengths] = 0.0
        return distances


def groups(
    points: Points, n_groups: int, rng: np.random.Generator, tries: int = 1, rounds: int = 4
) -> Places:
    """Groups by k-means++, of several tries each, and a few rounds; an empty group stays so."""
    _, found = seeds(
        len(points.at),
        n_groups,
        lambda drawn: points.squared_distances(points.at[drawn]),
        rng,
        points.weights,
        tries,
    )
    for _ in range(rounds):
        weight = np.bincount(found, points.weights, n_groups)
        filled = np.flatnonzero(weight > 0.0)
        each = 1.0 if points.weights is None else points.weights
        part = (each / np.maximum(weight, 1e-300)[found]).astype(points.at.dtype)
        share = np.where(found[:, np.newaxis] == filled, part[:, np.newaxis], 0.0)
        closest = filled[points.squared_distances(share.T @ points.at).argmin(axis=1)]
        if (closest == found).all():
            break
        found = closest
    return found
