"""Figures of many data sets at once, from tokens (B, n, length) and rows (B, n, length + 1, V).

Contents
    martingale_figures     halves of the predictive, and products of its steps
    order_figures          where tokens stand, and how often they come again
    learning_figures       how much further tokens will teach, by how many were seen
    forgetting_figures     log-likelihood ratios of faded counts
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._base.sequences import seen
from .._base.typing import Floats, Ids
from ..mixture import DirichletMixture
from .paths import EXACT, Null, Paths, mean_kl, solved, urn_rows

GAMMAS = (0.98, 0.95, 0.9, 0.8, 0.6)  # alternatives to 1
LEAST_GAMMA = 0.05
ENOUGH = 1000  # rows that a gamma is fitted to
NOUGHT = 1e-13  # what numbers of size 1 round to when they should be 0
LEAST_SPREAD = 1e-3  # of means, as a share of them: no standard error is smaller
LEAST_RATIO = 1e-6  # nats: logarithms of likelihoods round by less than a 1e-7th of it
LEAST_KL = 1e-14  # nats that float32 cannot tell from none


def martingale_figures(rows: Floats, values: Floats | None, lags: int) -> Floats:
    """Means over sequences in standard errors, (B, k): halves of each value, then lags.

    Values (V, m) are in units of their range; None is for each token's own probability.
    """
    half = rows.shape[2] // 2
    halves = rows[:, :, :half].mean(axis=2) - rows[:, :, -half:].mean(axis=2)
    if values is not None:
        halves = halves @ values
    steps = np.diff(rows, axis=2)
    moved = np.sqrt(np.einsum("bntv,bntv->b", steps, steps)) + 1e-300
    products = [
        np.einsum("bntv,bntv->bn", steps[:, :, :-k], steps[:, :, k:]) / moved[:, np.newaxis]
        for k in range(1, lags + 1)  # a step times the rounding of another, over a step: that of 1
    ]
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


def order_figures(tokens: Ids, width: int, lags: int) -> Floats:
    """Of tokens (B, n, length): the mean place of each token, and repeats at lags; (B, k)."""
    n, length = tokens.shape[1:]
    place = np.tile(np.arange(length) - (length - 1) / 2.0, n)
    drift = [np.bincount(own.ravel(), place, width) for own in tokens]
    again = [
        (tokens[:, :, :-k] == tokens[:, :, k:]).sum(axis=(1, 2)).astype(np.float64)
        for k in range(1, lags + 1)
    ]
    return np.concatenate([drift, np.stack(again, axis=1)], axis=1)


def learning_figures(rows: Floats, lengths: list[int]) -> Floats:
    """What t more tokens teach after t, and what entropy they take away; (B, 2m + 1) for m lengths.

    First ln of the mean KL(row after 2t || row after t) for each t.  Under Bayes that mean is the
    mutual information of the next t tokens and the one after them: the part of epistemic
    uncertainty that t more tokens take away.  Then how much further entropy falls, in
    standard errors: sum_v (row after 2t - row after t)_v ln (row after t)_v, which has mean 0 where
    the rows are a martingale.  Last the slope of the first by ln t.
    """
    means = np.empty((len(rows), len(lengths)))
    beyond = np.empty((len(rows), rows.shape[1], len(lengths)))
    for j, t in enumerate(lengths):
        now = np.maximum(rows[:, :, t], 1e-300)
        step = rows[:, :, 2 * t] - now
        grown = np.maximum(step / now, 1e-16 - 1.0)
        # of ratios less 1: terms are no larger than the KL, and do not cancel
        means[:, j] = (now * ((1.0 + grown) * np.log1p(grown) - grown)).sum(axis=2).mean(axis=1)
        beyond[:, :, j] = np.einsum("bnv,bnv->bn", step, np.log(now))
    logs = np.log(np.maximum(means, LEAST_KL))
    x = np.log(lengths) - np.log(lengths).mean()
    slope = logs @ x[:, np.newaxis] / (x @ x)
    return np.concatenate([logs, _studentised(beyond), slope], axis=1)


def forgetting_figures(tokens: Ids, null: Null) -> Floats:
    """ln P(tokens | counts faded by gamma) - ln P(tokens | counts), for each gamma; (B, k)."""
    last = last_places(tokens)
    plain, *faded = (_log_likelihood(tokens, last, null.prior, g) for g in (1.0, *GAMMAS))
    ratios = np.stack([own - plain for own in faded], axis=1)
    return np.where(np.abs(ratios) > LEAST_RATIO, ratios, 0.0)


def _log_likelihood(tokens: Ids, last: Ids, prior: DirichletMixture, gamma: float) -> Any:
    """Of each data set, (B,)."""
    if prior.n_components == 1:  # no other token's count matters
        total = seen(np.zeros(tokens.shape[-1], dtype=np.int64), 1, gamma)[:-1, 0]
        own = prior.alpha[0][tokens] + own_counts(last, gamma)
        own /= prior.alpha[0].sum() + total
    else:
        rows = urn_rows(prior, seen(tokens, prior.n_tokens, gamma)[..., :-1, :])
        own = np.take_along_axis(rows, tokens[..., np.newaxis], axis=-1)[..., 0]
    return np.log(own).sum(axis=(1, 2))


def last_places(tokens: Ids) -> Ids:
    """Where each token of (..., length) stood last before; -1 for a new one."""
    order = np.argsort(tokens, axis=-1, kind="stable")
    ranked = np.take_along_axis(tokens, order, axis=-1)
    before = np.where(ranked[..., 1:] == ranked[..., :-1], order[..., :-1], -1)
    last = np.full(tokens.shape, -1)
    np.put_along_axis(last, order[..., 1:], before, axis=-1)
    return last


def own_counts(last: Ids, gamma: float) -> Floats:
    """Each token's own count before it, (..., length), as of `seen`, from its last places."""
    counts = np.zeros(last.shape)
    for t in range(1, last.shape[-1]):
        then = last[..., t]
        before = np.take_along_axis(counts, then[..., np.newaxis], axis=-1)[..., 0]
        faded = gamma ** np.arange(t - 1, -2, -1.0)  # since each place; the last is for -1
        faded[t] = 0.0
        counts[..., t] = faded[then] * (1.0 + gamma * before)
    return counts


def fitted_gamma(paths: Paths, null: Null) -> float:
    """The gamma of the discounted filter whose predictive is nearest to the paths' own.

    One Dirichlet is fitted anew for each gamma; a mixture is kept as it is.
    """
    from scipy.optimize import minimize_scalar

    if null.mean_kl <= EXACT:
        return 1.0
    length, width = paths.rows.shape[1:]
    few = max(ENOUGH // length, 1)  # predictions have no noise that more of them would smooth
    tokens, rows = paths.tokens[:few], paths.rows[:few].reshape(-1, width)

    def loss(gamma: float) -> float:
        counts = seen(tokens, width, gamma).reshape(-1, width)
        prior = null.prior
        if prior.n_components == 1:
            prior = DirichletMixture([1.0], [solved(counts, rows)])
        return mean_kl(rows, urn_rows(prior, counts))

    found = minimize_scalar(
        loss, bounds=(LEAST_GAMMA, 1.0), method="bounded", options={"xatol": 1e-4}
    )
    # the bounded search does not try its ends
    return 1.0 if loss(1.0) <= found.fun else round(float(found.x), 4)
