"""Rows of the Matrix with discounts: modified Kneser-Ney's family, all orders fitted together.

After a context with counts n, N in all, t_j of class j (1, 2, 3, 4 to 5, 6 to 9, 10 to 24, more),
with q the predictive of the context less its first token, or the prior's mean below the empty one,

    P(w) = [ n_w - D(n_w) + (theta + sum_j D_j t_j) q_w ] / (N + theta)

and D(n) is D_j of the class of n, 0 of none.  Each order has such numbers for each size of rows.

Contents
    DiscountedRows    counts of contexts of 0 to m tokens, and their discounts
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .. import _core
from .._base.progress import Advance
from .._base.typing import Documents, Floats, Ids
from .backoff import BackoffRows, running
from .counts import Levels, distinct
from .fits.left_out import fit_discounts
from .fits.row_sizes import N_CLASSES, buckets, classes, kneser_ney, row_shares, row_sizes
from .prior import Entries, SharedPrior


class DiscountedRows(BackoffRows):
    """Counts of contexts of 0 to m tokens, and their discounts (m + 1, sizes, 8); it never
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
        found = fit_discounts(self.levels, self.prior, documents, advance)
        return DiscountedRows(self.levels, self.prior, found)

    def fitted(
        self,
        n_components: int,
        tokens: tuple[str, ...] | None,
        options: dict[str, Any],
        advance: Advance,
    ) -> DiscountedRows:
        """The same counts with the numbers of Kneser and Ney, from counts of counts."""
        if options or n_components != 1:
            raise TypeError("discounts are fitted without other options than documents")
        found = np.stack([kneser_ney(each)[np.newaxis] for each in self.levels.counts])
        advance(1)
        return DiscountedRows(self.levels, self.prior, found)

    # -- prediction ---------------------------------------------------------------

    def _smoothing(self) -> dict[str, Any]:
        return {"discounts": self.discounts}

    def pairs_of_counts(self, contexts: Ids, tokens: Ids) -> Floats:
        """`pair_probs`, each row made of its counts."""
        level = contexts.shape[1]
        shorter = contexts[:, 1:]
        q = self.prior.mean_at(tokens) if level == 0 else self.pairs_of_counts(shorter, tokens)
        own, of = distinct(contexts)
        counts = self.levels.counts[level]
        sizes = row_sizes(counts, own)
        return _core.discounted_probs(
            counts.counts(contexts, tokens),
            of,
            np.arange(len(tokens)),
            sizes,
            self._buckets(sizes),
            self.discounts[level],
            q,
        )

    def dense_of_counts(self, contexts: Ids) -> Floats:
        """`dense`, likewise."""
        level = contexts.shape[1]
        if level == 0:
            a_priori = self.prior.weights / self.prior.concentration
            rows = np.repeat(self.prior.blend(a_priori[np.newaxis]), len(contexts), axis=0)
        else:
            shorter, of = distinct(contexts[:, 1:])
            rows = self.dense_of_counts(shorter)[of]
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
        was to begin with, and running sums of what each event adds to N and to each t_j.
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
            before, after = classes(seen), classes(seen + 1)
            for j in range(N_CLASSES):
                more = (after == j).astype(int) - (before == j)
                sizes[:, 1 + j] += running(of, np.where(counted, more, 0))
            steps.append((level, seen.astype(np.float64), sizes))
            counted = counted & (seen == 0)
        q, each = self.prior.mean_at(tokens), np.arange(len(tokens))
        for level, seen, sizes in reversed(steps):
            bucket, numbers = self._buckets(sizes), self.discounts[level]
            q = _core.discounted_probs(seen, each, each, sizes, bucket, numbers, q)
        return float(np.log(q).sum())

    # -- inside -------------------------------------------------------------------

    def back_weights(self, contexts: Ids) -> Floats:
        """What the shorter context's probability of a token that was not seen is multiplied by."""
        return self._excess(contexts)[0]

    def _excess(self, contexts: Ids) -> tuple[Floats, Floats, Entries]:
        """The share of the shorter context's row, what counts add to it, and the entries."""
        level = contexts.shape[1]
        entries = Entries.of(self.levels.counts[level], contexts)
        sizes = row_sizes(self.levels.counts[level], contexts)
        numbers = self.discounts[level][self._buckets(sizes)]
        of_count, to_mean = row_shares(numbers, sizes)
        lessened = entries.counts - numbers[entries.row, classes(entries.counts)]
        return to_mean, lessened * of_count[entries.row], entries

    def _buckets(self, sizes: Floats) -> NDArray[np.intp]:
        return buckets(sizes, self.discounts.shape[1])
