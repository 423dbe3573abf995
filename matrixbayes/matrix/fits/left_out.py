"""Discounts of all orders, fitted together to documents that are left out.

Each fold of the text is unlearnt, exactly, and predicted by the rest.  Whole documents go: what is
left of one would know its sentences.  Of the pairs of the folds a sample is scored: many documents
say more than many tokens of few.

Where a token has gone altogether it counts by how many tokens the whole has not seen either, U of
the U' that the rest has not: with a vocabulary made of the text there are none, and none are to be
predicted.

Contents
    fit_discounts    the numbers of highest left-out log-probability
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ... import _core
from ..._base.progress import Advance
from ..._base.typing import Documents, Floats
from ..._core import TransitionCounts
from ...errors import ConvergenceWarning
from ..counts import Levels, count, of_pairs, pairs
from ..prior import SharedPrior
from .row_sizes import MOST, N_BUCKETS, buckets, kneser_ney

FOLDS = 20  # each a twentieth of the text
LEFT_OUT = 6  # folds that are, or as many as hold
ENOUGH = 1 << 18  # tokens: so many of them are scored
PIECES = 80  # a text of fewer documents is cut into so many pieces
MAX_ITER = 400
TOLERANCE = 1e-6  # of the log-probability
LIMIT = 12.0  # of logits and logarithms
THETA = 0.5  # to begin with


class _Level(NamedTuple):
    """The pairs of a fold, and their rows without it."""

    counts: Floats
    row: NDArray[np.int64]
    shorter: NDArray[np.int64]  # the number of each one's pair in the level below
    sizes: Floats
    bucket: NDArray[np.intp]


class _Fold(NamedTuple):
    """A part of the text, as the rest predicts it."""

    levels: list[_Level]  # from the empty context's on
    a_priori: Floats  # the prior's mean at the tokens of the lowest
    times: Floats  # of the pairs of the highest

    def slopes(self, discounts: Floats) -> tuple[float, Floats]:
        """Its log-probability, and what that has by each discount."""
        levels = [(*each, own) for each, own in zip(self.levels, discounts, strict=True)]
        return _core.discounted_fit(levels, self.a_priori, self.times)


def fit_discounts(
    levels: Levels, prior: SharedPrior, documents: Documents, advance: Advance
) -> Floats:
    """Discounts (m + 1, buckets, 8) that predict led documents, which were counted, best."""
    from scipy.optimize import minimize

    folds = _cut(documents, levels.order)
    n = sum(len(each) - levels.order for fold in folds for each in fold)
    share = min(1.0, ENOUGH / max(n, 1))
    rng = np.random.default_rng(0)
    found = []
    for each in folds:
        fresh = count(levels.order, levels.n_tokens + 1, each)
        found.append(_fold(levels, prior, fresh, _sampled(fresh, share, rng)))
        advance(1)
    text = _joined(found)
    total = max(float(text.times.sum()), 1.0)

    start = np.stack([kneser_ney(each) for each in levels.counts])
    start[:, -1] = THETA
    start = np.repeat(start[:, np.newaxis], N_BUCKETS, axis=1)

    def loss(x: Floats) -> tuple[float, Floats]:
        advance(1)
        discounts, by_x = _discounts_of(x.reshape(start.shape))
        value, slopes = text.slopes(discounts)
        return -value / total, -(slopes * by_x).ravel() / total

    best = minimize(
        loss,
        _x_of(start).ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-LIMIT, LIMIT)] * start.size,
        options={"maxiter": MAX_ITER, "maxcor": 20, "ftol": TOLERANCE, "gtol": 1e-7},
    )
    if not best.success:
        warnings.warn(
            f"the discounts may not be the best ones: {best.message}",
            ConvergenceWarning,
            stacklevel=4,
        )
    return _discounts_of(np.asarray(best.x, dtype=np.float64).reshape(start.shape))[0]


def _discounts_of(x: Floats) -> tuple[Floats, Floats]:
    """D = most / (1 + exp(-x)) and theta = exp(x), and their slopes."""
    share = 1.0 / (1.0 + np.exp(-x[..., :-1]))
    theta = np.exp(x[..., -1:])
    return (
        np.concatenate([MOST[:-1] * share, theta], axis=-1),
        np.concatenate([MOST[:-1] * share * (1.0 - share), theta], axis=-1),
    )


def _x_of(discounts: Floats) -> Floats:
    share = discounts[..., :-1] / MOST[:-1]
    with np.errstate(divide="ignore"):
        x = [np.log(share) - np.log1p(-share), np.log(discounts[..., -1:])]
    within: Floats = np.clip(np.concatenate(x, axis=-1), -LIMIT / 4.0, LIMIT / 4.0)
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
    n_folds = max(LEFT_OUT, min(FOLDS, -(-ENOUGH * FOLDS // max(n, 1))))
    folds = [[pieces[i] for i in shuffled[fold::FOLDS]] for fold in range(n_folds)]
    return [each for each in folds if each]


def _sampled(fresh: TransitionCounts, share: float, rng: np.random.Generator) -> TransitionCounts:
    """Some of what was counted, each token with this probability."""
    if share == 1.0:
        return fresh
    contexts, tokens, times = pairs(fresh)
    times = rng.binomial(times.astype(np.int64), share)
    some = times > 0
    found: TransitionCounts = of_pairs(fresh, contexts[some], tokens[some], times[some])
    return found


def _fold(
    levels: Levels, prior: SharedPrior, fresh: TransitionCounts, scored: TransitionCounts
) -> _Fold:
    """What is scored of a fold that is unlearnt."""
    times = scored.all()[3].astype(np.float64)
    found: list[_Level] = []
    for level in range(levels.order, -1, -1):
        rest = levels.counts[level].copy()
        rest.subtract(fresh)
        counts, row, sizes = rest.discounted_rows(scored)
        if level > 0:
            below = scored.shorten(TransitionCounts(level, levels.n_tokens + 1))
            shorter = scored.shorter_pairs(below)
            fresh, scored = fresh.shorten(rest), below  # what is no longer there
        else:
            shorter = np.arange(len(counts))
        found.append(_Level(counts, row, shorter, sizes, buckets(sizes)))
    found.reverse()
    # tokens of the text that the rest has not seen
    n_seen = levels.counts[0].sizes()[1]
    unseen = levels.n_tokens - n_seen
    n_gone = n_seen - rest.sizes()[1]
    weight = np.where(found[0].counts == 0.0, unseen / max(unseen + n_gone, 1), 1.0)
    for each in found[1:]:
        weight = weight[each.shorter]
    tokens = scored.all()[2].astype(np.int64)
    return _Fold(found, prior.mean_at(tokens), times * weight)


def _joined(folds: Sequence[_Fold]) -> _Fold:
    """Folds as one."""
    levels, before = [], np.array([len(each.a_priori) for each in folds])
    for several in zip(*(each.levels for each in folds), strict=True):
        first_row = np.cumsum([0, *(len(each.sizes) for each in several)])
        first_shorter = np.cumsum([0, *before])
        levels.append(
            _Level(
                np.concatenate([each.counts for each in several]),
                np.concatenate([each.row + i for each, i in zip(several, first_row, strict=False)]),
                np.concatenate(
                    [each.shorter + i for each, i in zip(several, first_shorter, strict=False)]
                ),
                np.concatenate([each.sizes for each in several]),
                np.concatenate([each.bucket for each in several]),
            )
        )
        before = np.array([len(each.counts) for each in several])
    return _Fold(
        levels,
        np.concatenate([each.a_priori for each in folds]),
        np.concatenate([each.times for each in folds]),
    )
