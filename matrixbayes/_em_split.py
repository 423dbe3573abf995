"""Starts from a smaller mixture: one of its components in two.

Splitting finds optima that k-means misses, at the cost of a few passes for each component
(after Ueda, Nakano, Ghahramani & Hinton 2000).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from . import em
from ._estimator_penalty import Penalty
from ._weights import n_units
from .mixture import DirichletMixture

__all__ = ["best_split"]

PASSES = 4  # before the ways to split are compared


def best_split(
    data: em.RowData | em.CountData,
    mixture: DirichletMixture,
    penalty: Penalty,
    rng: np.random.Generator,
) -> DirichletMixture | None:
    """The best mixture of one more component after a few passes; None where none can be split."""
    ended = [
        em.fit(data, start, tol=0.0, max_iter=PASSES, penalty=penalty)
        for start in _splits(data, mixture, penalty, rng)
    ]
    return em.best(ended).mixture if ended else None


def _splits(
    data: em.RowData | em.CountData,
    mixture: DirichletMixture,
    penalty: Penalty,
    rng: np.random.Generator,
) -> Iterator[DirichletMixture]:
    """The mixture with each component in turn replaced by two: by k-means of its own rows."""
    shares, _ = data.posterior(mixture)
    nearest = shares.argmax(axis=1)
    for k in range(mixture.n_components):
        mine = np.flatnonzero(nearest == k)
        heavy = 0.0 if data.weights is None else float(data.weights[mine].sum())
        if n_units(len(mine), heavy) < 2.0:
            continue
        halves = em.start_on(data, mine, 2, penalty, mixture.tokens, rng)
        weights = np.concatenate(
            [np.delete(mixture.weights, k), mixture.weights[k] * halves.weights]
        )
        alpha = np.concatenate([np.delete(mixture.alpha, k, axis=0), halves.alpha])
        yield DirichletMixture(weights / weights.sum(), alpha, tokens=mixture.tokens)
