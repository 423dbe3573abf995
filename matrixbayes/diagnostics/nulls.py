"""What a null can be: a family of Bayesian learners, and how paths of one are drawn.

Contents
    Learner     many paths of one model, a token at a time
    Null        a model of a family: its predictive, draws of it, its evidence as older tokens fade
    mean_kl     how far one predictive is from another
    solved      one Dirichlet from the predictive that it has
    fitted_gamma, faded_kl    the filter nearest to what is said, and how far it is
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np

from .._base.sequences import chosen
from .._base.typing import Floats, Ids
from ..rows.kl import divergences
from .contexts import codes, shuffled
from .paths import STILL, Paths

EXACT = 1e-10  # mean KL, in nats, below which a prior explains the predictions to rounding
MOST_ROWS = 2000  # that a prior is elicited from
BETTER = 0.7  # what has more parameters must bring the mean KL below this share of what it was
MOST_TOKENS = 1000  # with rows of their own: beyond, a row is seldom visited again
LEAST_ALPHA = 1e-15  # that least squares give
LEAST_GAMMA = 0.05
ENOUGH = 1000  # rows that a gamma is fitted to


class Learner(Protocol):
    """Paths of a model side by side."""

    def predict(self) -> Floats:
        """Probabilities (n, V) of the next token of each."""

    def observe(self, tokens: Ids) -> None:
        """One token (n,) more on each."""


class Null:
    """A Bayesian learner whose prior is of one family, and has seen a history.

    A family says how it learns (`learner`) and of how many tokens its rows are keyed (`order`); the
    rest follows.

    Attributes
    ----------
    family : str
    order : int
        Tokens that key a row: 0 where all tokens come from one.
    mean_kl : float
        How far a predictor is from it, in nats.
    """

    mean_kl: float
    family: ClassVar[str]
    order: int = 0
    history: tuple[int, ...] = ()
    drawn: ClassVar[bool] = False  # whether its order is tested by draws: it has no permutations

    @property
    def n_tokens(self) -> int:
        """V."""
        raise NotImplementedError

    @property
    def words(self) -> str:
        """Of what it is a learner."""
        raise NotImplementedError

    @property
    def prior(self) -> Any:
        """What a test shows of it."""
        return self

    def learner(self, n: int, length: int, gamma: float = 1.0) -> Learner:
        """Of n paths of up to `length` tokens after the history; counts fade by gamma."""
        raise NotImplementedError

    def rows(self, tokens: Ids, gamma: float = 1.0) -> Floats:
        """The predictive before and after each token, (..., length + 1, V)."""
        length = tokens.shape[-1]
        flat = tokens.reshape(-1, length)
        learner = self.learner(len(flat), length, gamma)
        rows = np.empty((len(flat), length + 1, self.n_tokens))
        for t in range(length):
            rows[:, t] = learner.predict()
            learner.observe(flat[:, t])
        rows[:, length] = learner.predict()
        return rows.reshape(*tokens.shape[:-1], length + 1, self.n_tokens)

    def draw(
        self, copies: int, n: int, length: int, rng: np.random.Generator, rows: bool = True
    ) -> tuple[Ids, Floats]:
        """Tokens (copies, n, length) and their `rows`, which are left out if not wanted."""
        many = copies * n
        learner = self.learner(many, length)
        tokens = np.empty((many, length), dtype=np.int64)
        said = np.empty((many if rows else 0, length + 1, self.n_tokens))
        for t in range(length):
            row = learner.predict()
            tokens[:, t] = chosen(np.cumsum(row, axis=1), rng.random(many))
            learner.observe(tokens[:, t])
            if rows:
                said[:, t] = row
        if rows:
            said[:, length] = learner.predict()
        return tokens.reshape(copies, n, length), said.reshape(-1, n, length + 1, self.n_tokens)

    def log_likelihood(self, tokens: Ids, gamma: float) -> Floats:
        """ln P (...) of tokens (..., length) under counts that fade by gamma."""
        length = tokens.shape[-1]
        flat = tokens.reshape(-1, length)
        learner = self.learner(len(flat), length, gamma)
        own, total = np.arange(len(flat)), np.zeros(len(flat))
        for t in range(length):
            total += np.log(learner.predict()[own, flat[:, t]])
            learner.observe(flat[:, t])
        return total.reshape(tokens.shape[:-1])

    def few(self, length: int) -> int:
        """Of how many tokens the rows are keyed that paths of a length visit often."""
        return self.order

    def keys(self, tokens: Ids, order: int, history: tuple[int, ...] | None = None) -> Ids | None:
        """Which row each prediction (..., length + 1) is of, after a history or its own; None where
        there is only one."""
        if not order:
            return None
        start = (self.history if history is None else history)[-order:]
        front = np.broadcast_to(np.array(start, dtype=np.int64), (*tokens.shape[:-1], len(start)))
        whole = np.concatenate([front, tokens], axis=-1)
        return codes(whole, order, self.n_tokens)[..., len(start) :]

    def shuffled(
        self, tokens: Ids, rng: np.random.Generator, history: tuple[int, ...] | None = None
    ) -> Ids:
        """Paths (..., length) that are as probable as these, each such one as likely as others."""
        keys = self.keys(tokens, self.order, history)
        if keys is None:
            return rng.permuted(tokens, axis=-1)
        length = tokens.shape[-1]
        found = shuffled(tokens.reshape(-1, length), keys.reshape(-1, length + 1), rng)
        return found.reshape(tokens.shape)

    def visited(self, tokens: Ids) -> Ids | None:
        """The keys that figures are of."""
        return self.keys(tokens, self.few(tokens.shape[-1]))

    def last_rows(self, tokens: Ids, history: tuple[int, ...]) -> Floats | None:
        """What it says after each of (..., length), where that may differ among `shuffled`."""
        return None

    def kls(self, paths: Paths) -> Floats:
        """Mean KL (n,) of what is said along each path to this predictive, in nats."""
        with np.errstate(divide="ignore"):
            found = divergences(np.log(paths.rows), np.log(self.rows(paths.tokens)))
        return np.asarray(found.mean(axis=-1), dtype=np.float64)

    def after(self, paths: Paths) -> Null:
        """The same model for other paths, whose history it has seen."""
        raise NotImplementedError

    def still(self, paths: Paths) -> bool:
        """Whether what is said of no row moves, so that nothing is learnt."""
        keys = self.keys(paths.tokens, self.order)
        if keys is None or paths.still:
            return paths.still
        _, row = np.unique(keys, return_inverse=True)
        row, said = row.ravel(), paths.rows.reshape(-1, self.n_tokens)
        order = np.argsort(row, kind="stable")
        begins = np.flatnonzero(np.diff(row[order], prepend=-1))
        high = np.maximum.reduceat(said[order], begins)
        return bool((high - np.minimum.reduceat(said[order], begins)).max() <= STILL)

    def filtered(self, paths: Paths, gamma: float) -> float:
        """Mean KL of what is said to the predictive of counts that fade by gamma."""
        return mean_kl(paths.rows, self.rows(paths.tokens, gamma))


def mean_kl(rows: Floats, other: Floats) -> float:
    """Mean of KL(row || other) in nats, along the last axis."""
    with np.errstate(divide="ignore"):
        return float(divergences(np.log(rows), np.log(other)).mean())


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


def faded_kl(paths: Paths, null: Null) -> float:
    """The mean KL of that filter on the rows that it is fitted to."""
    few = paths.part(slice(max(ENOUGH // paths.rows.shape[1], 1)))
    return null.filtered(few, fitted_gamma(paths, null))


def fitted_gamma(paths: Paths, null: Null) -> float:
    """The gamma of the discounted filter whose predictive is nearest to the paths' own."""
    from scipy.optimize import minimize_scalar

    if null.mean_kl <= EXACT:
        return 1.0
    few = paths.part(
        slice(max(ENOUGH // paths.rows.shape[1], 1))
    )  # there is no noise to be smoothed
    found = minimize_scalar(
        lambda gamma: null.filtered(few, gamma),
        bounds=(LEAST_GAMMA, 1.0),
        method="bounded",
        options={"xatol": 1e-4},
    )
    # the bounded search does not try its ends
    return 1.0 if null.filtered(few, 1.0) <= found.fun else round(float(found.x), 4)
