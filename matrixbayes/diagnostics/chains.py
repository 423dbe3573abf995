"""The null of Markov chains: each row of the chain is an urn.

Contents
    ChainNull       the chain
    nearest_chain   the one whose predictive is nearest to what is said along some paths
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from .._base.typing import Floats, Ids
from ..elicitation import elicit_prior
from ..mixture import DirichletMixture
from .contexts import Contexts, check_codes, row_counts
from .nulls import (
    BETTER,
    EXACT,
    LEAST_ALPHA,
    MOST_ROWS,
    MOST_TOKENS,
    Learner,
    Null,
    mean_kl,
    solved,
)
from .paths import STILL, Paths

MOST_ALPHA = 1e8  # of a row that does not learn


@dataclass(frozen=True, eq=False)
class ChainNull(Null):
    """A Markov chain whose rows are independent; those of beginnings are rows of their own.

    Attributes
    ----------
    row_prior : DirichletMixture or None
        Of each row, before the history; or None, where `alpha` is there.
    alpha : ndarray of shape (V, V) or None
        Of a Dirichlet for the row after each token, which has learnt from the history already.
    first : ndarray of shape (V,)
        Probabilities of a first token without any history, which are known.
    order : int
    history : tuple of int
    """

    mean_kl: float
    row_prior: DirichletMixture | None
    alpha: Floats | None
    first: Floats
    order: int = 1
    history: tuple[int, ...] = ()
    family: ClassVar[str] = "markov"

    @property
    def n_tokens(self) -> int:
        """V."""
        return len(self.first)

    @property
    def words(self) -> str:
        """Of what it is a learner."""
        return f"Markov chains (order {self.order})"

    def learner(self, n: int, length: int, gamma: float = 1.0) -> Learner:
        """Of n paths of up to `length` tokens after the history; counts fade by gamma."""
        return _ChainLearner(self, n, length, gamma)

    def after(self, paths: Paths) -> ChainNull:
        """The same chain for other paths; `alpha` has learnt from the first history."""
        null = replace(self, history=paths.history, first=paths.rows[:, 0].mean(axis=0))
        return replace(null, mean_kl=mean_kl(paths.rows, null.rows(paths.tokens)))

    def filtered(self, paths: Paths, gamma: float) -> float:
        """One Dirichlet for each row is fitted anew for each gamma; a mixture is kept as it is."""
        null, prior = self, self.row_prior
        single = self.order == 1 and (prior is None or prior.n_components == 1)
        if single and self.n_tokens <= MOST_TOKENS:
            null = replace(self, row_prior=None, alpha=_alpha_of_rows(self, paths, gamma))
        return mean_kl(paths.rows, null.rows(paths.tokens, gamma))

    def __repr__(self) -> str:
        prior = self.row_prior if self.alpha is None else f"rows after each token {self.alpha!r}"
        return f"ChainNull: {self.words}, {prior!s}"


class _ChainLearner:
    """Paths of a chain side by side."""

    def __init__(self, null: ChainNull, n: int, length: int, gamma: float) -> None:
        self.null, self.gamma, self.own = null, gamma, np.arange(n)
        own_keys = null.alpha is not None
        history = null.history[-1:] if own_keys else null.history
        self.contexts = Contexts(n, length + len(history), null.order, null.n_tokens)
        self.counts = np.zeros((n, self.contexts.many, null.n_tokens))
        self.last: Ids | None = None
        self.place = self.contexts.at()
        for token in history:
            if own_keys:  # whose alpha has learnt it
                self._move(np.full(n, token))
            else:
                self.observe(np.full(n, token))

    def predict(self) -> Floats:
        """Probabilities (n, V) of the next token of each."""
        null = self.null
        if self.last is None:
            return np.tile(null.first, (len(self.own), 1))
        counts = self.counts[self.own, self.place]
        if null.alpha is not None:
            counts += null.alpha[self.last]
        elif null.row_prior is not None and null.row_prior.n_components > 1:
            return null.row_prior.predictive(counts)
        elif null.row_prior is not None:
            counts += null.row_prior.alpha[0]
        counts /= counts.sum(axis=1, keepdims=True)
        return counts

    def observe(self, tokens: Ids) -> None:
        """One token (n,) more on each."""
        if self.gamma != 1.0:
            self.counts[self.own, self.place] *= self.gamma
        self.counts[self.own, self.place, tokens] += 1.0
        self._move(tokens)

    def _move(self, tokens: Ids) -> None:
        self.contexts.add(tokens)
        self.place, self.last = self.contexts.at(), tokens


def _alpha_of_rows(null: ChainNull, paths: Paths, gamma: float) -> Floats:
    """A Dirichlet (V, V) for the row after each token by least squares."""
    width = null.n_tokens
    keys = null.keys(paths.tokens, 1)
    assert keys is not None
    counts = row_counts(paths.tokens, keys, width, gamma)
    whole = keys > 0  # a first token without history is drawn from a row that is known
    shared = solved(counts[whole], paths.rows[whole])
    alpha = np.tile(shared, (width, 1))
    for v in range(width):
        own = keys == v + 1
        if not own.any():
            continue
        rows, seen = paths.rows[own], counts[own]
        if np.ptp(rows, axis=0).max() <= STILL or not seen.any():
            learns = shared.sum() if not seen.any() else MOST_ALPHA
            alpha[v] = np.maximum(rows.mean(axis=0) * learns, LEAST_ALPHA)
        else:
            alpha[v] = solved(seen, rows)
    return alpha


def row_for_row(paths: Paths) -> ChainNull:
    """The chain of one Dirichlet for the row after each token by least squares."""
    first = paths.rows[:, 0].mean(axis=0)
    null = ChainNull(np.inf, None, np.empty(0), first, history=paths.history)
    null = replace(null, alpha=_alpha_of_rows(null, paths, 1.0))
    return replace(null, mean_kl=mean_kl(paths.rows, null.rows(paths.tokens)))


def of_prior(paths: Paths, prior: DirichletMixture, order: int = 1) -> ChainNull:
    """The chain whose rows have a given prior, before the history of the paths."""
    check_codes(order, prior.n_tokens)
    first = paths.rows[:, 0].mean(axis=0)
    null = ChainNull(np.inf, prior, None, first, order, paths.history)
    return replace(null, mean_kl=mean_kl(paths.rows, null.rows(paths.tokens)))


def nearest_chain(paths: Paths, max_components: int, rng: np.random.Generator) -> ChainNull:
    """The chain whose predictive is nearest to that of the paths."""
    found = row_for_row(paths) if paths.rows.shape[-1] <= MOST_TOKENS else None
    if found is not None and found.mean_kl <= EXACT:
        return found
    histories, rows = paths.some(rng, MOST_ROWS, int(not paths.history))  # the first row is known
    for k in range(1, max_components + 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # as for urns
            report: Any = elicit_prior(
                histories, rows, family="markov", kind="probs", n_components=k, rng=rng
            )
        own = of_prior(paths, report.prior)
        if k > 1 and found is not None and own.mean_kl > BETTER * found.mean_kl:
            break
        if found is None or own.mean_kl < found.mean_kl:
            found = own
        if found.mean_kl <= EXACT:
            break
    assert found is not None
    return found
