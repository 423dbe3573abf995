"""Rows of the Matrix with discounts: modified Kneser-Ney's family, all orders fitted together.

After a context with counts n (N in all, t_1, t_2, t_3 tokens seen once, twice, more often), with q
the predictive of the context less its first token, or the prior's mean below the empty context,

    P(w) = [ n_w - D(n_w) + (theta + D_1 t_1 + D_2 t_2 + D_3 t_3) q_w ] / (N + theta)

and D(n) is 0, D_1, D_2 or D_3.  Each order has such numbers for each size of rows.

Contents
    DiscountedRows    counts of contexts of 0 to m tokens, and their discounts
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .. import _core
from .._base.progress import Advance
from .._base.typing import Documents, Floats, Ids
from .backoff import BackoffRows, running
from .counts import Levels, distinct
from .fits.left_out import fit_discounts
from .fits.row_sizes import buckets, row_sizes
from .prior import Entries, SharedPrior


class DiscountedRows(BackoffRows):
    """Counts of contexts of 0 to m tokens, and their discounts (m + 1, sizes, 4); it never
    changes."""

    def __init__(self, levels: Levels, prior: SharedPrior, discounts: Floats) -> None:
        super().__init__(levels, prior, ())
        self.discounts = discounts

    def with_levels(self, levels: Levels) -> DiscountedRows:
        """Other counts with the same numbers."""
        return DiscountedRows(levels, self.prior, self.discounts)

    def fitted_to(self, documents: Documents, advance: Advance) -> DiscountedRows:
        """The same counts with the numbers that predict each of some documents, which were counted,
        from all others."""
        found = fit_discounts(self.levels, self.prior, documents, self.discounts, advance)
        return DiscountedRows(self.levels, self.prior, found)

    def fitted(
        self,
        n_components: int,
        tokens: tuple[str, ...] | None,
        options: dict[str, Any],
        advance: Advance,
    ) -> DiscountedRows:
        """Refused."""
        raise ValueError(
            "discounts are fitted to documents that are left out: give those that were counted, "
            "fit_prior(documents=...)"
        )

    # -- prediction ---------------------------------------------------------------

    def pair_probs(self, contexts: Ids, tokens: Ids) -> Floats:
        """The predictive of a token after a context of at most m tokens, for each of n."""
        level = contexts.shape[1]
        shorter = contexts[:, 1:]
        q = self.prior.mean_at(tokens) if level == 0 else self.pair_probs(shorter, tokens)
        own, of = distinct(contexts)
        counts = self.levels.counts[level]
        sizes = row_sizes(counts, own)
        return _core.discounted_probs(
            counts.counts(contexts, tokens),
            of,
            np.arange(len(tokens)),
            sizes,
            buckets(self.discounts, sizes),
            self.discounts[level],
            q,
        )

    def dense(self, contexts: Ids) -> Floats:
        """The predictive after each context of at most m tokens, (n, V)."""
        level = contexts.shape[1]
        if level == 0:
            a_priori = self.prior.weights / self.prior.concentration
            rows = np.repeat(self.prior.blend(a_priori[np.newaxis]), len(contexts), axis=0)
        else:
            shorter, of = distinct(contexts[:, 1:])
            rows = self.dense(shorter)[of]
        to_mean, excess, entries = self._excess(contexts)
        rows *= to_mean[:, np.newaxis]
        rows[entries.row, entries.tokens] += excess
        return rows

    def posterior(self, context: Ids) -> tuple[Floats, Floats]:
        """Refused."""
        raise ValueError("a row with discounts is no mixture of Dirichlets; predict gives its mean")

    def draw(self, context: Ids, rng: np.random.Generator) -> int:
        """A token from the predictive after a context."""
        for level in range(len(context), -1, -1):
            own = context[np.newaxis, len(context) - level :]
            to_mean, excess, entries = self._excess(own)
            if len(excess) and rng.random() >= to_mean[0]:
                return entries._replace(counts=excess).draw(rng)
        return self.prior.draw(self.prior.weights, rng)

    # -- scores of text -----------------------------------------------------------

    def log_evidence(self, documents: Documents) -> float:
        """Of led documents, each token counted before the next is scored.

        What the chain rule asks at a token is what had been counted of its row before: what there
        was to begin with, and running sums of what each event adds to N and to t_1, t_2, t_3.
        """
        order = self.levels.order
        texts = [sliding_window_view(each, order + 1) for each in documents if len(each) > order]
        if not texts:
            return 0.0
        windows = np.concatenate(texts)
        contexts, tokens = windows[:, :order], windows[:, order]
        counted = np.ones(len(tokens), dtype=bool)  # whether this level counts the token
        steps: list[tuple[int, Floats, Floats]] = []
        for level in range(order, -1, -1):
            counts = self.levels.counts[level]
            own, of = distinct(contexts[:, order - level :])
            pair = np.unique(of * (self.levels.n_tokens + 1) + tokens, return_inverse=True)[1]
            initial = counts.counts(contexts[:, order - level :], tokens)
            seen = initial + running(pair, counted)
            sizes = row_sizes(counts, own)[of]
            sizes[:, 0] += running(of, counted)
            for j in (1, 2, 3):
                more = (np.minimum(seen + 1, 3) == j).astype(int) - (np.minimum(seen, 3) == j)
                sizes[:, j] += running(of, np.where(counted, more, 0))
            steps.append((level, seen.astype(np.float64), sizes))
            counted = counted & (seen == 0)
        q, each = self.prior.mean_at(tokens), np.arange(len(tokens))
        for level, seen, sizes in reversed(steps):
            bucket = buckets(self.discounts, sizes)
            numbers = self.discounts[level]
            q = _core.discounted_probs(seen, each, each, sizes, bucket, numbers, q)
        return float(np.log(q).sum())

    # -- inside -------------------------------------------------------------------

    def weights(self, contexts: Ids) -> Floats:
        """One concentration: there is nothing to weigh."""
        return np.ones((len(contexts), 1))

    def _excess(self, contexts: Ids) -> tuple[Floats, Floats, Entries]:
        """The share of the shorter context's row, what counts add to it, and the entries."""
        level = contexts.shape[1]
        entries = Entries.of(self.levels.counts[level], contexts)
        sizes = row_sizes(self.levels.counts[level], contexts)
        numbers = self.discounts[level][buckets(self.discounts, sizes)]
        freed = numbers[:, 3] + np.sum(numbers[:, :3] * sizes[:, 1:], axis=1)
        total = sizes[:, 0] + numbers[:, 3]
        seen = sizes[:, 0] > 0.0
        to_mean = np.where(seen, freed, 1.0) / np.where(seen, total, 1.0)
        which = np.minimum(entries.counts, 3.0).astype(np.intp) - 1
        excess = (entries.counts - numbers[entries.row, which]) / total[entries.row]
        return to_mean, excess, entries
