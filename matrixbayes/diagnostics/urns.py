"""The null of exchangeable tokens: an urn whose prior is a Dirichlet mixture.

Contents
    UrnNull       the urn
    nearest_urn   the one whose predictive is nearest to what is said along some paths
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .._base.sequences import seen
from .._base.typing import Floats, Ids
from ..elicitation import elicit_prior
from ..mixture import DirichletMixture
from ..windtunnel import Urns
from .contexts import last_places
from .nulls import BETTER, EXACT, MOST_ROWS, Null, mean_kl, solved
from .paths import Paths

START_ALPHA = 1e-6  # that a search for a better one starts from


@dataclass(frozen=True, eq=False)
class UrnNull(Null):
    """Draws from an urn with this prior, which has learnt from the history already."""

    mean_kl: float
    urn: DirichletMixture
    family: ClassVar[str] = "iid"

    @property
    def n_tokens(self) -> int:
        """V."""
        return self.urn.n_tokens

    @property
    def words(self) -> str:
        """Of what it is a learner."""
        return "draws from an urn (iid)"

    @property
    def prior(self) -> DirichletMixture:
        """Of the urn's row."""
        return self.urn

    def after(self, paths: Paths) -> UrnNull:
        """The same urn for other paths."""
        return UrnNull(mean_kl(paths.rows, self.rows(paths.tokens)), self.urn)

    def rows(self, tokens: Ids, gamma: float = 1.0) -> Floats:
        """The predictive before and after each token, (..., length + 1, V)."""
        width, length = self.n_tokens, tokens.shape[-1]
        if self.urn.n_components > 1 or gamma != 1.0:
            return urn_rows(self.urn, seen(tokens, width, gamma))
        flat = tokens.reshape(-1, length)
        own = np.arange(len(flat))
        counts = np.tile(self.urn.alpha[0], (len(flat), 1))
        rows = np.empty((len(flat), length + 1, width))
        for t, total in enumerate(self.urn.alpha[0].sum() + np.arange(length + 1.0)):
            np.divide(counts, total, out=rows[:, t])
            if t < length:
                counts[own, flat[:, t]] += 1.0
        return rows.reshape(*tokens.shape[:-1], length + 1, width)

    def draw(
        self, copies: int, n: int, length: int, rng: np.random.Generator, rows: bool = True
    ) -> tuple[Ids, Floats]:
        """Tokens (copies, n, length) and their `rows`, which are left out if not wanted."""
        tokens = Urns(self.urn).sample(copies * n, length, rng=rng).reshape(copies, n, length)
        return tokens, self.rows(tokens if rows else tokens[:0])

    def log_likelihood(self, tokens: Ids, gamma: float) -> Floats:
        """ln P (...) of tokens (..., length) under counts that fade by gamma."""
        if self.urn.n_components == 1:  # no other token's count matters
            total = seen(np.zeros(tokens.shape[-1], dtype=np.int64), 1, gamma)[:-1, 0]
            own = self.urn.alpha[0][tokens] + own_counts(last_places(tokens), gamma)
            own /= self.urn.alpha[0].sum() + total
        else:
            rows = urn_rows(self.urn, seen(tokens, self.n_tokens, gamma)[..., :-1, :])
            own = np.take_along_axis(rows, tokens[..., np.newaxis], axis=-1)[..., 0]
        return np.asarray(np.log(own).sum(axis=-1), dtype=np.float64)

    def filtered(self, paths: Paths, gamma: float) -> float:
        """One Dirichlet is fitted anew for each gamma; a mixture is kept as it is."""
        counts = seen(paths.tokens, self.n_tokens, gamma).reshape(-1, self.n_tokens)
        rows = paths.rows.reshape(counts.shape)
        prior = self.urn
        if prior.n_components == 1:
            prior = DirichletMixture([1.0], [solved(counts, rows)])
        return mean_kl(rows, urn_rows(prior, counts))


def urn_rows(prior: DirichletMixture, counts: Floats) -> Floats:
    """The predictive (..., V) after counts (..., V)."""
    if prior.n_components == 1:  # several times as fast as by the core, which is general
        rows: Floats = counts + prior.alpha[0]
        rows /= rows.sum(axis=-1, keepdims=True)
        return rows
    return prior.predictive(counts.reshape(-1, prior.n_tokens)).reshape(counts.shape)


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


def one_dirichlet(paths: Paths) -> UrnNull:
    """The urn of one Dirichlet by least squares."""
    width = paths.rows.shape[-1]
    counts = seen(paths.tokens, width).reshape(-1, width)
    rows = paths.rows.reshape(-1, width)
    prior = DirichletMixture([1.0], [solved(counts, rows)])
    return UrnNull(mean_kl(rows, urn_rows(prior, counts)), prior)


def nearest_urn(paths: Paths, max_components: int, rng: np.random.Generator) -> UrnNull:
    """The urn whose predictive is nearest to that of the paths."""
    found = one_dirichlet(paths)
    if found.mean_kl <= EXACT:
        return found
    width = paths.rows.shape[-1]
    counts = seen(paths.tokens, width).reshape(-1, width)
    rows = paths.rows.reshape(-1, width)
    start = DirichletMixture([1.0], np.maximum(found.urn.alpha, START_ALPHA))
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
        own = UrnNull(mean_kl(rows, urn_rows(report.prior, counts)), report.prior)
        if k > 1 and own.mean_kl > BETTER * found.mean_kl:
            break
        found = min(found, own, key=lambda null: null.mean_kl)
        if found.mean_kl <= EXACT:
            break
    return found
