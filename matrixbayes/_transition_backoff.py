"""Rows of the Matrix whose mean is the predictive of the next shorter context.

The row of a context has the prior sum_k w_k Dir(A_k m), with m the predictive of the context less
its first token, and w and A those of its length (MacKay & Peto 1995: one A).  The row of the
empty context has the shared prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from ._core import TransitionCounts
from ._transition_counts import Levels, count, distinct
from ._transition_prior import (
    Concentration,
    Entries,
    SharedPrior,
    log_evidence,
    posterior_weights,
    sums,
)
from ._transition_shared import SharedRows, scores

__all__ = ["BackoffRows"]

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
Documents = Sequence[Ids]
Pool = tuple[Executor | None, int]


class BackoffRows:
    """Counts of contexts of 0 to m tokens, and their concentrations; it never changes."""

    def __init__(
        self, levels: Levels, prior: SharedPrior, concentrations: tuple[Concentration, ...]
    ) -> None:
        self.levels, self.prior, self.concentrations = levels, prior, concentrations
        self.shortest = SharedRows(levels.counts[0], prior)

    @property
    def longest(self) -> TransitionCounts:
        """Counts of whole contexts."""
        return self.levels.counts[-1]

    @property
    def nbytes(self) -> int:
        """Memory of the counts."""
        return sum(each.nbytes for each in self.levels.counts)

    # -- learning -----------------------------------------------------------------

    def empty(self) -> BackoffRows:
        """The same prior without counts."""
        none = Levels(self.levels.order, self.levels.n_tokens)
        return BackoffRows(none, self.prior, self.concentrations)

    def led(self, documents: Documents, before: Ids | None) -> Documents:
        """Documents behind begin tokens; `before` is what the first one goes on from."""
        begin = self.levels.begin
        lead = begin if before is None or len(before) == 0 else before
        return [
            np.concatenate([lead if i == 0 else begin, each]) for i, each in enumerate(documents)
        ]

    def with_documents(self, documents: Documents, pool: Pool) -> BackoffRows:
        """After more text."""
        levels = self.levels
        return self.with_counts(count(levels.order, levels.n_tokens + 1, documents, pool))

    def with_counts(self, more: TransitionCounts) -> BackoffRows:
        """With more counts of whole contexts."""
        return BackoffRows(self.levels.with_more(more), self.prior, self.concentrations)

    # -- prediction ---------------------------------------------------------------

    def pair_probs(self, contexts: Ids, tokens: Ids) -> Floats:
        """The predictive of a token after a context of at most m tokens, for each of n."""
        level = contexts.shape[1]
        if level == 0:
            return self.shortest.pair_probs(contexts, tokens)
        own, of = distinct(contexts)
        seen = self.levels.counts[level].counts(contexts, tokens).astype(np.float64)
        totals = self.levels.counts[level].totals(own).astype(np.float64)
        if len(self.concentrations[level - 1].weights) == 1:
            mean = self.pair_probs(contexts[:, 1:], tokens)
            r = np.ones((len(own), 1))
        else:
            # one question to the shorter level: these tokens', and those of whole rows
            entries = Entries.of(self.levels.counts[level], own)
            both = np.concatenate([contexts[:, 1:], own[entries.row, 1:]])
            means = self.pair_probs(both, np.concatenate([tokens, entries.tokens]))
            mean, r = (
                means[: len(tokens)],
                self._weights(level, means[len(tokens) :], entries, totals),
            )
        to_mean, to_counts = self._shares(level, r, totals)
        return to_mean[of] * mean + to_counts[of] * seen

    def dense(self, contexts: Ids) -> Floats:
        """The predictive after each context of at most m tokens, (n, V)."""
        level = contexts.shape[1]
        if level == 0:
            return np.repeat(self.shortest.dense(contexts[:1]), len(contexts), axis=0)
        shorter, of = distinct(contexts[:, 1:])
        rows = self.dense(shorter)[of]
        r, entries, totals = self._dense_weights(level, contexts, rows)
        to_mean, to_counts = self._shares(level, r, totals)
        rows *= to_mean[:, np.newaxis]
        rows[entries.row, entries.tokens] += to_counts[entries.row] * entries.counts
        return rows

    def seen(self, context: Ids) -> Ids:
        """Tokens that the prior alone does not account for."""
        return self.shortest.seen(context[:0])

    def posterior(self, context: Ids) -> tuple[Floats, Floats]:
        """Weights (K,) and alpha (K, V) of the row of one context."""
        level = len(context)
        if level == 0:
            return self.shortest.posterior(context)
        mean = self.dense(context[np.newaxis, 1:])
        r, entries, _ = self._dense_weights(level, context[np.newaxis], mean)
        alpha = self.concentrations[level - 1].values[:, np.newaxis] * mean
        alpha[:, entries.tokens] += entries.counts
        return r[0], alpha

    def draw(self, context: Ids, rng: np.random.Generator) -> int:
        """A token from the predictive after a context."""
        for level in range(len(context), 0, -1):
            own = context[np.newaxis, len(context) - level :]
            counts = self.levels.counts[level]
            totals = counts.totals(own).astype(np.float64)
            if totals[0] > 0.0:
                to_counts = self._shares(level, self.weights(own), totals)[1]
                if rng.random() < to_counts[0] * totals[0]:
                    return Entries.of(counts, own).draw(rng)
        return self.shortest.draw(context[:0], rng)

    # -- scores of text -------------------------------------------------------------

    def log_prob(self, documents: Documents) -> float:
        """Of led documents, each token scored by these counts."""
        return scores(self, count(self.levels.order, self.levels.n_tokens + 1, documents))

    # -- inside -----------------------------------------------------------------------

    def weights(self, contexts: Ids) -> Floats:
        """r (n, K) of different contexts of one length."""
        level = contexts.shape[1]
        if level == 0:
            totals = self.levels.counts[0].totals(contexts).astype(np.float64)
            return self.shortest.weights(contexts, totals)[0]
        if len(self.concentrations[level - 1].weights) == 1:
            return np.ones((len(contexts), 1))
        entries = Entries.of(self.levels.counts[level], contexts)
        totals = sums(entries.row, entries.counts, len(contexts))
        mean = self.pair_probs(contexts[entries.row, 1:], entries.tokens)
        return self._weights(level, mean, entries, totals)

    def _dense_weights(
        self, level: int, contexts: Ids, means: Floats
    ) -> tuple[Floats, Entries, Floats]:
        """r (n, K), entries and totals of contexts whose means (n, V) are known."""
        entries = Entries.of(self.levels.counts[level], contexts)
        totals = sums(entries.row, entries.counts, len(contexts))
        return (
            self._weights(level, means[entries.row, entries.tokens], entries, totals),
            entries,
            totals,
        )

    def _weights(self, level: int, mean: Floats, entries: Entries, totals: Floats) -> Floats:
        """r (n, K); mean is that of each entry."""
        weights, values = self.concentrations[level - 1]
        if len(weights) == 1:
            return np.ones((len(totals), 1))
        found = log_evidence(values[:, np.newaxis] * mean, values, entries, totals)
        return posterior_weights(weights, found)[0]

    def _shares(self, level: int, r: Floats, totals: Floats) -> tuple[Floats, Floats]:
        """What the mean and each count are multiplied by: sum_k r_k A_k / (A_k + N), / 1."""
        values = self.concentrations[level - 1].values
        shares = r / (values + totals[:, np.newaxis])
        return shares @ values, shares.sum(axis=1)
