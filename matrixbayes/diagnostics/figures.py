"""Figures of many data sets at once, from tokens (B, n, length) and rows (B, n, length + 1, V).

Contents
    martingale_figures     halves of the predictive, and products of its steps
    order_figures          where tokens stand, and how often they come again
    order_names            what the latter are
    lengths_of             after how many visits of a row there is enough to learn from
    learning_figures       how much further tokens will teach, by how many were seen
    forgetting_figures     log-likelihood ratios of faded counts

`keys` (B, n, length + 1) say which row each prediction is of: what is asked is asked of each row's
own visits, in their order.  None is for one row, that of an urn.
"""

from __future__ import annotations

import numpy as np

from .._base.typing import Floats, Ids
from .contexts import visits
from .nulls import Null

GAMMAS = (0.98, 0.95, 0.9, 0.8, 0.6)  # alternatives to 1
NOUGHT = 1e-13  # what numbers of size 1 round to when they should be 0
LEAST_SPREAD = 1e-3  # of means, as a share of them: no standard error is smaller
LEAST_RATIO = 1e-6  # nats: logarithms of likelihoods round by less than a 1e-7th of it
LEAST_KL = 1e-14  # nats that float32 cannot tell from none


def martingale_figures(
    rows: Floats, values: Floats | None, lags: int, keys: Ids | None = None
) -> Floats:
    """Means over sequences in standard errors, (B, k): halves of each value, then lags.

    Values (V, m) are in units of their range; None is for each token's own probability.
    """
    if keys is None:
        half = rows.shape[2] // 2
        halves = rows[:, :, :half].mean(axis=2) - rows[:, :, -half:].mean(axis=2)
        key = None
    else:
        at = visits(keys)
        rows, key = at.sort(rows), at.key
        half = at.many // 2
        sign = (at.rank < half) * 1.0 - (at.rank >= at.many - half)
        halves = np.einsum("bnt,bntv->bnv", sign, rows)
        halves /= np.maximum((sign > 0.0).sum(axis=2), 1)[:, :, np.newaxis]
    if values is not None:
        halves = halves @ values
    steps = np.diff(rows, axis=2)
    if key is not None:
        steps *= (key[:, :, 1:] == key[:, :, :-1])[..., np.newaxis]
    moved = np.sqrt(np.einsum("bntv,bntv->b", steps, steps)) + 1e-300
    products = []
    for k in range(1, lags + 1):
        one, other = steps[:, :, :-k], steps[:, :, k:]
        if key is None:
            product = np.einsum("bntv,bntv->bn", one, other)
        else:
            same = key[:, :, k + 1 :] == key[:, :, : -k - 1]
            product = np.einsum("bnt,bntv,bntv->bn", same * 1.0, one, other)
        # a step times the rounding of another, over a step: that of 1
        products.append(product / moved[:, np.newaxis])
    return np.concatenate([_studentised(halves), _studentised(np.stack(products, axis=2))], axis=1)


def _studentised(figures: Floats) -> Floats:
    """Means over the n sequences of (B, n, k), of numbers of size 1, in their standard errors.

    What is the same in all sequences has none but by rounding: it gets a finite one.
    """
    n = figures.shape[1]
    mean, spread = figures.mean(axis=1), figures.std(axis=1, ddof=1)
    there = np.maximum(spread, np.abs(mean)) > NOUGHT
    spread = np.maximum(spread, LEAST_SPREAD * np.abs(mean))
    return np.where(there, np.sqrt(n) * mean / np.where(there, spread, 1.0), 0.0)


def order_figures(tokens: Ids, width: int, lags: int, keys: Ids | None = None) -> Floats:
    """Of tokens (B, n, length): the mean place of each token, and repeats at lags; (B, k).

    With keys: of each token among the visits of its row, repeats among those, and repeats along the
    path at lags from 2, as those at 1 are transitions.
    """
    again = [
        (tokens[:, :, :-k] == tokens[:, :, k:]).sum(axis=(1, 2)).astype(np.float64)
        for k in range(1 if keys is None else 2, lags + 1)
    ]
    if keys is None:
        n, length = tokens.shape[1:]
        place = np.tile(np.arange(length) - (length - 1) / 2.0, n)
        drift = [np.bincount(own.ravel(), place, width) for own in tokens]
    else:
        at = visits(keys[..., :-1])
        key, tokens = at.key, at.sort(tokens)
        places = at.rank - (at.many - 1) / 2.0
        drift = [
            np.bincount(own.ravel(), place.ravel(), width)
            for own, place in zip(tokens, places, strict=True)
        ]
        for k in range(1, lags + 1):
            same = (tokens[:, :, :-k] == tokens[:, :, k:]) & (key[:, :, :-k] == key[:, :, k:])
            again.insert(k - 1, same.sum(axis=(1, 2)).astype(np.float64))
    return np.concatenate([drift, np.stack(again, axis=1)], axis=1)


def order_names(width: int, lags: int, keyed: bool) -> list[str]:
    """What `order_figures` are."""
    where = " among the visits of its row" if keyed else ""
    names = [f"place of token {v}{where}" for v in range(width)]
    if keyed:
        names += [f"repeats at lag {k} in a row" for k in range(1, lags + 1)]
    return names + [f"repeats at lag {k}" for k in range(2 if keyed else 1, lags + 1)]


def lengths_of(keys: Ids | None, length: int) -> list[int]:
    """The powers of 2 after which as many visits of a row follow: of each path, or with keys
    (n, length + 1) of as many rows as there are quarters of paths."""
    most = [2**j for j in range(int(np.log2(length / 2.0)) + 1)]
    if keys is None:
        return most
    rank = visits(keys).rank
    return [t for t in most if np.count_nonzero(rank == 2 * t) >= max(len(keys) / 4.0, 10.0)]


def learning_figures(rows: Floats, lengths: list[int], keys: Ids | None = None) -> Floats:
    """What t more tokens teach after t, and what entropy they take away; (B, 2m + 1) for m lengths.

    First ln of the mean KL(row after 2t || row after t) for each t.  Under Bayes that mean is the
    mutual information of the next t tokens and the one after them: the part of epistemic
    uncertainty that t more tokens take away.  Then how much further entropy falls, in
    standard errors: sum_v (row after 2t - row after t)_v ln (row after t)_v, which has mean 0 where
    the rows are a martingale.  Last the slope of the first by ln t.

    With keys t and 2t are visits of one row.
    """
    means = np.empty((len(rows), len(lengths)))
    beyond = np.empty((len(rows), rows.shape[1], len(lengths)))
    at = None if keys is None else visits(keys)
    for j, t in enumerate(lengths):
        if at is None:
            now, later = rows[:, :, t], rows[:, :, 2 * t]
        else:
            where = (at.rank[:, :, :-t] == t) & (at.key[:, :, t:] == at.key[:, :, :-t])
            b, i, place = np.nonzero(where)
            now = rows[b, i, at.order[b, i, place]]
            later = rows[b, i, at.order[b, i, place + t]]
        now = np.maximum(now, 1e-300)
        step = later - now
        grown = np.maximum(step / now, 1e-16 - 1.0)
        # of ratios less 1: terms are no larger than the KL, and do not cancel
        learnt = (now * ((1.0 + grown) * np.log1p(grown) - grown)).sum(axis=-1)
        lost = np.einsum("...v,...v->...", step, np.log(now))
        if at is None:
            means[:, j], beyond[:, :, j] = learnt.mean(axis=1), lost
        else:
            path, n = b * rows.shape[1] + i, rows.shape[0] * rows.shape[1]
            means[:, j] = np.bincount(b, learnt, len(rows))
            means[:, j] /= np.maximum(np.bincount(b, minlength=len(rows)), 1)
            beyond[:, :, j] = np.bincount(path, lost, n).reshape(rows.shape[:2])
    logs = np.log(np.maximum(means, LEAST_KL))
    x = np.log(lengths) - np.log(lengths).mean()
    slope = logs @ x[:, np.newaxis] / max(x @ x, 1e-300)
    return np.concatenate([logs, _studentised(beyond), slope], axis=1)


def forgetting_figures(tokens: Ids, null: Null) -> Floats:
    """ln P(tokens | counts faded by gamma) - ln P(tokens | counts), for each gamma; (B, k)."""
    plain, *faded = (null.log_likelihood(tokens, g).sum(axis=1) for g in (1.0, *GAMMAS))
    ratios = np.stack([own - plain for own in faded], axis=1)
    return np.where(np.abs(ratios) > LEAST_RATIO, ratios, 0.0)
