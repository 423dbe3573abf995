"""Weights of a mixture of models, by the evidence of text: what each says of every token.

With p_tk what model k gives token t, and w on the simplex under a uniform prior, the log-posterior
is L(w) = sum_t ln sum_k w_k p_tk and a constant: concave, and its maximum that of the likelihood.

Contents
    Weights         the maximum, and the posterior around it
    fit_weights     both, from log-probabilities (n, K)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..._base.typing import Floats

NONE = 1e-3  # tokens that a model speaks for: with fewer its weight is 0
FLAT = 1e-9  # curvature beside the largest, in which the text says nothing


class Weights(NamedTuple):
    """Weights (K,), their standard deviations, and how they were found.

    No other weights gain more than `gap` nats a token: that is the largest slope of L at the
    maximum, and L is concave.  Where `known` is false the text says nothing of a weight.
    """

    weights: Floats
    errors: Floats
    known: NDArray[np.bool_]
    log_prob: float
    evidence: float
    gap: float
    n_passes: int


def fit_weights(log_probs: Floats, max_iter: int, tol: float) -> Weights:
    """The weights of the highest posterior, from log-probabilities (n, K), and their posterior.

    Each pass is a step of EM, then one of Newton where that is better: a quadratic program over
    the simplex (Kim, Carbonetto, Stephens & Anitescu 2020).  L never falls.
    """
    highest = log_probs.max(axis=1)
    p = np.exp(log_probs - highest[:, np.newaxis])
    n, n_models = p.shape
    w = np.full(n_models, 1.0 / n_models)
    for passes in range(max_iter + 1):
        share = p / (p @ w)[:, np.newaxis]
        slope = share.mean(axis=0)
        gap = max(float(slope.max()) - 1.0, 0.0)
        if gap <= tol or passes == max_iter:
            break
        curve = share.T @ share / n
        w = w * slope
        w /= w.sum()
        other = _newton(curve, slope, w)
        if np.log(p @ other).sum() > np.log(p @ w).sum():
            w = other
    w = np.where(w * n < NONE, 0.0, w)
    w /= w.sum()
    alone = log_probs.sum(axis=0)
    if alone.max() > (1.0 - 1e-13) * (np.log(p @ w) + highest).sum():
        w = np.eye(n_models)[alone.argmax()]
    share = p / (p @ w)[:, np.newaxis]
    log_prob = float((np.log(p @ w) + highest).sum())
    errors, known, room = _posterior(share, w)
    return Weights(w, errors, known, log_prob, log_prob + room, gap, passes)


def _newton(curve: Floats, slope: Floats, w: Floats) -> Floats:
    """The maximum over the simplex of the parabola that L is near w.

    The sum of the weights is free with a price of 1, which makes it 1 at the maximum.  A trace of
    the distance from w holds what the curve does not: the shares of models that are equal.
    """
    from scipy.optimize import nnls

    held = 1e-9 * np.trace(curve)
    root = np.linalg.cholesky(curve + held * np.eye(len(w)))
    towards = np.linalg.solve(root, 2.0 * slope - 1.0 + held * w)
    found: Floats = nnls(root.T, towards)[0]
    return found / found.sum() if found.sum() > 0.0 else w


def _posterior(share: Floats, w: Floats) -> tuple[Floats, NDArray[np.bool_], float]:
    """Standard deviations by Laplace's method, which of them are known, and ln of the integral of
    the prior and exp(L - max L).

    Around weights above 0 the posterior is normal; from a weight of 0 on it is the tail of a
    normal, as far as L falls there.
    """
    from scipy.special import erfcx

    n_models = len(w)
    errors, known = np.zeros(n_models), np.ones(n_models, dtype=bool)
    inside, out = np.flatnonzero(w), np.flatnonzero(w == 0.0)
    # directions: the weights move, and the first of those inside makes up for them
    basis = np.eye(n_models)
    basis[inside[0]] = -1.0
    curve = basis.T @ (share.T @ share) @ basis
    values, vectors = np.linalg.eigh(curve[np.ix_(inside[1:], inside[1:])])
    seen = values > FLAT * len(share)
    values, turned = values[seen], vectors[:, seen]
    moves = basis[np.ix_(inside, inside[1:])] @ vectors
    known[inside] = ~(moves[:, ~seen] ** 2 > FLAT).any(axis=1)
    across = turned.T @ curve[np.ix_(inside[1:], out)]
    bend = curve[out, out] - (1.0 / values) @ across**2
    known[out] = bend > FLAT * len(share)
    root = np.sqrt(np.maximum(bend, FLAT * len(share)))
    fall = np.maximum(len(share) - share.sum(axis=0)[out], 0.0) / root
    tail = math.sqrt(0.5 * math.pi) * erfcx(fall / math.sqrt(2.0))  # where it is long, 1 / fall
    spread = np.where(fall < 50.0, 1.0 + fall / tail - 1.0 / tail**2, 1.0 / (1.0 + fall**2))
    errors[out] = np.sqrt(spread) / root
    made_up = basis[np.ix_(inside, out)] - moves[:, seen] @ (across / values[:, np.newaxis])
    errors[inside] = np.sqrt(moves[:, seen] ** 2 @ (1.0 / values) + made_up**2 @ errors[out] ** 2)
    room = math.lgamma(n_models) + 0.5 * len(values) * math.log(2.0 * math.pi)
    room += float(np.log(tail / root).sum() - 0.5 * np.log(values).sum())
    errors[~known] = np.nan
    return errors, known, room if known.all() else math.nan
