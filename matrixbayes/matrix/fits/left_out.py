"""Discounts of all orders, fitted together to documents that are left out.

Each fold of the text is taken from the counts and predicted by the rest.  Whole documents go: what
is left of one would know its sentences.  Nothing is counted again for it: what the pairs of a fold
lose, and their rows, follows from the fold alone.  A pair that is gone from a level is one type
less in the next.

Where a token has gone altogether it counts by how many tokens the whole has not seen either, U of
the U' that the rest has not: with a vocabulary made of the text there are none, and none are to be
predicted.

Contents
    fit_discounts    the numbers of highest left-out log-probability
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ... import _core
from ..._base.progress import Advance
from ..._base.typing import Documents, Floats
from ...errors import ConvergenceWarning
from ..counts import Levels, count, distinct, pairs
from ..prior import SharedPrior
from .row_sizes import MOST, buckets, row_sizes

FOLDS = 20  # each a twentieth of the text
ENOUGH = 1 << 19  # tokens that are left out, in as many folds as that takes
PIECES = 80  # a text of fewer documents is cut into so many pieces
MAX_ITER = 400
LIMIT = 12.0  # of logits and logarithms


class _Level(NamedTuple):
    """The pairs of a fold, and their rows without it."""

    counts: Floats
    row: NDArray[np.intp]
    shorter: NDArray[np.intp]  # the number of each one's pair in the level below
    sizes: Floats
    bucket: NDArray[np.intp]


class _Fold(NamedTuple):
    """A part of the text, as the rest predicts it."""

    levels: list[_Level]  # from the empty context's on
    a_priori: Floats  # the prior's mean at the tokens of the lowest
    times: Floats  # of the pairs of the highest

    def slopes(self, discounts: Floats) -> tuple[float, Floats]:
        """Its log-probability, and what that has by each discount."""
        q = [self.a_priori]
        for level, numbers in zip(self.levels, discounts, strict=True):
            q.append(_core.discounted_probs(*level, numbers, q[-1]))
        by_prob, found = self.times / q[-1], np.empty_like(discounts)
        for i in range(len(self.levels) - 1, -1, -1):
            found[i], by_prob = _core.discounted_slopes(
                *self.levels[i], discounts[i], q[i], q[i + 1], by_prob
            )
        return float(self.times @ np.log(q[-1])), found


def fit_discounts(
    levels: Levels,
    prior: SharedPrior,
    documents: Documents,
    start: Floats,
    advance: Advance,
) -> Floats:
    """Discounts (m + 1, buckets, 4) that predict led documents, which were counted, best."""
    from scipy.optimize import minimize

    folds = [
        _fold(levels, prior, start, count(levels.order, levels.n_tokens + 1, each))
        for each in _cut(documents, levels.order)
    ]
    n = max(sum(float(fold.times.sum()) for fold in folds), 1.0)

    def loss(x: Floats) -> tuple[float, Floats]:
        discounts, by_x = _discounts_of(x.reshape(start.shape))
        advance(1)
        total, slopes = 0.0, np.zeros_like(start)
        for fold in folds:
            value, by_discounts = fold.slopes(discounts)
            total += value
            slopes += by_discounts
        return -total / n, -(slopes * by_x).ravel() / n

    found = minimize(
        loss,
        _x_of(start).ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-LIMIT, LIMIT)] * start.size,
        options={"maxiter": MAX_ITER, "maxcor": 20, "ftol": 1e-10, "gtol": 1e-7},
    )
    if not found.success:
        warnings.warn(
            f"the discounts may not be the best ones: {found.message}",
            ConvergenceWarning,
            stacklevel=4,
        )
    best = np.asarray(found.x, dtype=np.float64).reshape(start.shape)
    return _discounts_of(best)[0]


def _discounts_of(x: Floats) -> tuple[Floats, Floats]:
    """D_j = j / (1 + exp(-x)) and theta = exp(x), and their slopes."""
    share = 1.0 / (1.0 + np.exp(-x[..., :3]))
    theta = np.exp(x[..., 3:])
    return (
        np.concatenate([MOST[:3] * share, theta], axis=-1),
        np.concatenate([MOST[:3] * share * (1.0 - share), theta], axis=-1),
    )


def _x_of(discounts: Floats) -> Floats:
    share = discounts[..., :3] / MOST[:3]
    with np.errstate(divide="ignore"):
        x = [np.log(share) - np.log1p(-share), np.log(discounts[..., 3:])]
    within: Floats = np.clip(np.concatenate(x, axis=-1), -LIMIT, LIMIT)
    return within


def _cut(documents: Documents, order: int) -> list[Documents]:
    """The folds: some of the documents each, or of pieces of them where there are few."""
    n = sum(len(each) - order for each in documents)
    size = max(n, 1) if len(documents) >= PIECES else -(-n // PIECES)
    pieces = [
        each[start : start + size + order]  # behind the tokens that it goes on from
        for each in documents
        for start in range(0, len(each) - order, max(size, 1))
    ]
    shuffled = np.random.default_rng(0).permutation(len(pieces))
    n_folds = min(FOLDS, -(-ENOUGH * FOLDS // max(n, 1)))
    folds = [[pieces[i] for i in shuffled[fold::FOLDS]] for fold in range(n_folds)]
    return [each for each in folds if each]


def _fold(
    levels: Levels, prior: SharedPrior, discounts: Floats, fresh: _core.TransitionCounts
) -> _Fold:
    contexts, tokens, times = pairs(fresh)
    times = times.astype(np.float64)
    weights, lost = times, times
    found: list[_Level] = []
    for level in range(levels.order, -1, -1):
        counts = levels.counts[level]
        before = counts.counts(contexts, tokens).astype(np.float64)
        if (before < lost).any():
            raise ValueError(
                "documents have what was not counted: update the matrix with them before"
            )
        after = before - lost
        own, row = distinct(contexts)
        sizes = row_sizes(counts, own) - _lost_sizes(before, after, row, len(own))
        shorter, tokens_there = np.arange(len(tokens)), tokens
        if level > 0:
            pair, shorter = distinct(np.concatenate([contexts[:, 1:], tokens[:, np.newaxis]], 1))
            contexts, tokens_there = pair[:, :-1], pair[:, -1]
        found.append(_Level(after, row, shorter, sizes, buckets(discounts, sizes)))
        gone = ((after == 0.0) & (lost > 0.0)).astype(np.float64)
        if level > 0:
            lost = np.bincount(shorter, gone, len(tokens_there))
        tokens = tokens_there
    found.reverse()
    # the lowest level's: tokens of the text that the rest has not seen
    n_seen = levels.counts[0].sizes()[1]
    unseen = levels.n_tokens - n_seen
    weight = np.where(gone > 0.0, unseen / max(unseen + gone.sum(), 1.0), 1.0)
    for each in found[1:]:
        weight = weight[each.shorter]
    return _Fold(found, prior.mean_at(tokens), weights * weight)


def _lost_sizes(before: Floats, after: Floats, row: NDArray[np.intp], n: int) -> Floats:
    """What rows lose of N, t_1, t_2 and t_3, (n, 4)."""
    lost = [np.bincount(row, before - after, n)]
    for j in (1.0, 2.0, 3.0):
        change = (np.minimum(before, 3.0) == j).astype(float) - (np.minimum(after, 3.0) == j)
        lost.append(np.bincount(row, change, n))
    return np.stack(lost, axis=1)
