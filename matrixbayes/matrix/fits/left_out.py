"""Discounts of all orders, fitted together to documents that are left out.

Each fold of the text is unlearnt, exactly, and predicted by the rest.  Whole documents go: what is
left of one would know its sentences.  Of the pairs of the folds a sample is scored: many documents
say more than many tokens of few.

A vocabulary that was made of the text has few tokens that are rare in the whole, but many that are
rare in the rest: those of the fold's own.  A token counts by how many of the whole are as rare by
how many of the rest are; where it has gone altogether, by how many the whole has not seen either.

Contents
    fit_discounts    the numbers of highest left-out log-probability
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ... import _core
from ..._base.progress import Advance
from ..._base.typing import Documents, Floats
from ..._core import TransitionCounts
from ...errors import ConvergenceWarning
from ..counts import Levels, count, of_pairs
from ..prior import SharedPrior
from .row_sizes import MOST, N_BUCKETS, N_CLASSES, buckets, classes, kneser_ney

FOLDS = 20  # each a twentieth of the text
LEFT_OUT = 8  # folds that are, or as many as hold
ENOUGH = 1 << 19  # tokens: so many of them are scored
LONGEST = 200  # of which no document is more than this part, where there are more documents
PIECES = 80  # a text of fewer documents is cut into so many pieces
MAX_ITER = 400
TOLERANCE = 3e-7  # of the log-probability
LIMIT = 12.0  # of logits and logarithms
THETA = 0.5  # to begin with
SPREAD = 0.5  # of logits and logarithms a priori, around Kneser and Ney's


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
    most = ENOUGH / min(LONGEST, max(sum(map(len, folds)), 1))
    rng = np.random.default_rng(0)
    found = []
    for each in folds:
        fresh = count(levels.order, levels.n_tokens + 1, each)
        scored = fresh.copy() if n <= ENOUGH else _sampled(fresh, each, ENOUGH / n, most, rng)
        found.append(_fold(levels, prior, fresh, scored))
        advance(1)
    text = _joined(found)
    total = max(float(text.times.sum()), 1.0)

    start = np.stack([kneser_ney(each) for each in levels.counts])
    start[:, -1] = THETA
    start = np.repeat(start[:, np.newaxis], N_BUCKETS, axis=1)

    x_start = _x_of(start).ravel()

    def loss(x: Floats) -> tuple[float, Floats]:
        advance(1)
        discounts, by_x = _discounts_of(x.reshape(start.shape))
        value, slopes = text.slopes(discounts)
        away = x - x_start
        value -= 0.5 * float(away @ away) / SPREAD**2
        return -value / total, (away / SPREAD**2 - (slopes * by_x).ravel()) / total

    best = minimize(
        loss,
        x_start,
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
    # NumPy 1 rounds numbers that are not beside each other by where they lie.
    theta = np.exp(np.ascontiguousarray(x[..., -1:]))
    return (
        np.concatenate([MOST[:-1] * share, theta], axis=-1),
        np.concatenate([MOST[:-1] * share * (1.0 - share), theta], axis=-1),
    )


def _x_of(discounts: Floats) -> Floats:
    share = discounts[..., :-1] / MOST[:-1]
    with np.errstate(divide="ignore"):
        theta = np.ascontiguousarray(discounts[..., -1:])
        x = [np.log(share) - np.log1p(-share), np.log(theta)]
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


def _sampled(
    like: TransitionCounts,
    documents: Documents,
    share: float,
    most: float,
    rng: np.random.Generator,
) -> TransitionCounts:
    """Tokens of documents, each with this probability, and about so many of one at most."""
    order = like.order
    ends = np.cumsum([len(each) for each in documents])
    sizes = np.diff(ends, prepend=0) - order  # tokens that are scored, one or more in each piece
    places = np.arange(sizes.sum()) + np.repeat(ends - order - np.cumsum(sizes), sizes)
    wanted = np.repeat(np.minimum(share, most / sizes), sizes)
    places = places[rng.random(len(places)) < wanted]
    taken = sliding_window_view(np.concatenate(documents), order + 1)[places]
    once = np.ones(len(taken), dtype=np.int64)
    found: TransitionCounts = of_pairs(like, taken[:, :order], taken[:, order], once)
    return found


def _fold(
    levels: Levels, prior: SharedPrior, fresh: TransitionCounts, scored: TransitionCounts
) -> _Fold:
    """What is scored of a fold that is unlearnt."""
    times = scored.all()[3].astype(np.float64)
    found: list[_Level] = []
    rest = levels.with_less(fresh).counts
    for level in range(levels.order, -1, -1):
        counts, row, sizes = rest[level].discounted_rows(scored)
        shorter = np.arange(len(counts))
        if level > 0:
            below = scored.shorten(TransitionCounts(level, levels.n_tokens + 1))
            shorter, scored = scored.shorter_pairs(below), below
        found.append(_Level(counts, row, shorter, sizes, buckets(sizes)))
    found.reverse()
    whole, left = (_by_class(each, levels.n_tokens) for each in (levels.counts[0], rest[0]))
    weight = np.minimum(1.0, whole / np.maximum(left, 1.0))[classes(found[0].counts)]
    for each in found[1:]:
        weight = weight[each.shorter]
    tokens = scored.all()[2].astype(np.int64)
    return _Fold(found, prior.mean_at(tokens), times * weight)


def _by_class(counts: TransitionCounts, n_tokens: int) -> Floats:
    """How many tokens have counts of each class, those without any last."""
    seen = np.bincount(classes(counts.all()[3]), minlength=N_CLASSES).astype(np.float64)
    return np.append(seen, n_tokens - seen.sum())


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
