"""Paths of a predictor, and the exchangeable model that is nearest to them.

Contents
    Paths           sampled continuations, and the predictive before and after each token
    continuations   what a predictor samples, checked
    drawn, walk     that after a history, and the predictive all along it
    Null            the exchangeable model: paths of it, as many as a bootstrap wants
    nearest         the Null of some paths
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._base.sequences import checked, checked_history, seen
from .._base.typing import Floats, Ids
from ..elicitation import elicit_prior
from ..mixture import DirichletMixture
from ..rows.kl import divergences
from ..windtunnel import Urns
from .predictors import as_rows, at_hand, checked_predictor

EXACT = 1e-10  # mean KL, in nats, below which a prior explains the predictions to rounding
MOST_ROWS = 2000  # that a mixture is elicited from
BETTER = 0.7  # a further component must bring the mean KL below this share of what it was
LEAST_LENGTH = 4  # of continuations
LEAST_ALPHA = 1e-15  # that least squares give
START_ALPHA = 1e-6  # that a search for a better one starts from
STILL = 1e-6  # a predictive that moves by no more does not learn: float32 rounds so


@dataclass(frozen=True, eq=False)
class Paths:
    """Continuations (n, length), and the predictive before and after each token.

    `rows` are probabilities (n, length + 1, V): row t is what is said after t tokens.
    """

    tokens: Ids
    rows: Floats

    @property
    def still(self) -> bool:
        """Whether the predictive is the same everywhere."""
        return float(np.ptp(self.rows, axis=(0, 1)).max()) <= STILL


def drawn(
    predictor: Any, history: Any, n: int, length: int, rng: np.random.Generator
) -> tuple[Ids, Ids]:
    """A history, checked, and n of the predictor's continuations of it."""
    width = checked_predictor(predictor)
    if n < 2:
        raise ValueError(f"n is {n}; one continuation has no spread: take 20 or more")
    if length < LEAST_LENGTH:
        raise ValueError(
            f"length is {length}; a test needs continuations of {LEAST_LENGTH} tokens or more"
        )
    start = checked_history(history, width, "history")
    return start, continuations(predictor, start, n, length, rng)


def continuations(
    predictor: Any, history: Ids, n: int, length: int, rng: np.random.Generator
) -> Ids:
    """What a predictor samples, checked."""
    found = at_hand(predictor.sample(n, length, history=history.tolist(), rng=rng))
    tokens = checked(found, int(predictor.n_tokens), "the predictor's samples")
    if tokens.shape != (n, length):
        raise ValueError(
            f"the predictor sampled shape {tokens.shape}, and it must be {(n, length)}"
        )
    return tokens


def walk(predictor: Any, history: Any, n: int, length: int, rng: np.random.Generator) -> Paths:
    """Sample continuations of a history, and ask for the predictive all along them."""
    start, tokens = drawn(predictor, history, n, length, rng)
    whole = np.concatenate([np.tile(start, (n, 1)), tokens], axis=1)
    if callable(predictor):
        # a last token, whatever it is, so that there is a row after the one before
        longer = np.concatenate([whole, np.zeros((n, 1), dtype=np.int64)], axis=1)
        found = at_hand(predictor(longer))[:, len(start) :]
    else:
        places = range(len(start), len(start) + length + 1)
        found = predictor.predict([row[:t].tolist() for row in whole for t in places])
    return Paths(tokens, as_rows(found, (n, length + 1, int(predictor.n_tokens))))


# ---------------------------------------------------------------------------
# The exchangeable model
# ---------------------------------------------------------------------------


def urn_rows(prior: DirichletMixture, counts: Floats) -> Floats:
    """The predictive (..., V) after counts (..., V)."""
    if prior.n_components == 1:  # several times as fast as by the core, which is general
        rows: Floats = counts + prior.alpha[0]
        rows /= rows.sum(axis=-1, keepdims=True)
        return rows
    return prior.predictive(counts.reshape(-1, prior.n_tokens)).reshape(counts.shape)


@dataclass(frozen=True, eq=False)
class Null:
    """Draws from an urn with this prior; `mean_kl` is how far a predictor is from it, in nats."""

    prior: DirichletMixture
    mean_kl: float

    def tokens(self, copies: int, n: int, length: int, rng: np.random.Generator) -> Ids:
        """Tokens (copies, n, length)."""
        return Urns(self.prior).sample(copies * n, length, rng=rng).reshape(copies, n, length)

    def rows(self, tokens: Ids) -> Floats:
        """The predictive before and after each token, (..., length + 1, V)."""
        width, length = self.prior.n_tokens, tokens.shape[-1]
        if self.prior.n_components > 1:
            return urn_rows(self.prior, seen(tokens, width))
        flat = tokens.reshape(-1, length)
        own = np.arange(len(flat))
        counts = np.tile(self.prior.alpha[0], (len(flat), 1))
        rows = np.empty((len(flat), length + 1, width))
        for t, total in enumerate(self.prior.alpha[0].sum() + np.arange(length + 1.0)):
            np.divide(counts, total, out=rows[:, t])
            if t < length:
                counts[own, flat[:, t]] += 1.0
        return rows.reshape(*tokens.shape[:-1], length + 1, width)


def nearest(
    paths: Paths, prior: DirichletMixture | None, max_components: int, rng: np.random.Generator
) -> Null:
    """The urn whose predictive is nearest to that of the paths, or the one with a given prior."""
    width = paths.rows.shape[-1]
    counts = seen(paths.tokens, width).reshape(-1, width)
    rows = paths.rows.reshape(-1, width)
    if prior is not None:
        return Null(prior, mean_kl(rows, urn_rows(prior, counts)))
    single = DirichletMixture([1.0], [solved(counts, rows)])
    found = Null(single, mean_kl(rows, urn_rows(single, counts)))
    if found.mean_kl <= EXACT:
        return found
    start = DirichletMixture([1.0], np.maximum(single.alpha, START_ALPHA))
    some = rng.permutation(len(rows))[:MOST_ROWS]
    for k in range(1, max_components + 1):
        with warnings.catch_warnings():
            # which parameters the paths leave open does not matter: only their urn is used
            warnings.simplefilter("ignore", RuntimeWarning)
            report = elicit_prior(
                counts[some],
                rows[some],
                family="iid",
                history_kind="counts",
                kind="probs",
                n_components=k,
                start=start if k == 1 else None,
                rng=rng,
            )
        own = Null(report.prior, mean_kl(rows, urn_rows(report.prior, counts)))
        if k > 1 and own.mean_kl > BETTER * found.mean_kl:
            break
        found = min(found, own, key=lambda null: null.mean_kl)
        if found.mean_kl <= EXACT:
            break
    return found


def solved(counts: Floats, rows: Floats) -> Floats:
    """One Dirichlet by least squares; exact where there is one that explains the rows.

    n_v - p_v N = p_v A - alpha_v is a line in p_v of one slope for all v: A is the sum of alpha
    then, as p and n - p N have sums 1 and 0.
    """
    total = counts.sum(axis=1)
    weights = 1.0 / (1.0 + total) ** 2  # an error of p counts the same at any N
    weights /= weights.sum()
    share = weights @ rows
    away = rows - share
    missing = counts - rows * total[:, np.newaxis]
    slope = weights @ np.einsum("iv,iv->i", away, missing)
    slope /= max(weights @ np.einsum("iv,iv->i", away, away), 1e-300)
    alpha: Floats = np.clip(slope * share - weights @ missing, LEAST_ALPHA, 1e8)
    return alpha


def mean_kl(rows: Floats, other: Floats) -> float:
    """Mean of KL(row || other) in nats, along the last axis."""
    with np.errstate(divide="ignore"):
        return float(divergences(np.log(rows), np.log(other)).mean())
