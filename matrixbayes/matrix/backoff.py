"""Rows of the Matrix whose mean is the predictive of the next shorter context.

The row of a context has the prior sum_k w_k Dir(A_k m), with m the predictive of the context less
its first token, and w and A those of its length (MacKay & Peto 1995: one A).  The row of the
empty context has the shared prior.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .._base.progress import Advance
from .._base.typing import Documents, Floats, Ids
from .._core import BackoffTable, FrozenCounts, TransitionCounts
from .counts import Levels, count, distinct
from .documents import Texts
from .fits.evidence import fit_backoff
from .kept import KeptTable, row_cost
from .prior import Concentration, Entries, SharedPrior, log_evidence, posterior_weights, sums
from .shared import CELLS, FEW_CELLS, SharedRows, scores, token_scores


class BackoffRows:
    """Counts of contexts of 0 to m tokens, and their concentrations; it never changes."""

    hierarchical, real = True, False
    _kept: KeptTable | None = None

    def __init__(
        self, levels: Levels, prior: SharedPrior, concentrations: tuple[Concentration, ...]
    ) -> None:
        self.levels, self.prior, self.concentrations = levels, prior, concentrations
        self.shortest = SharedRows(levels.counts[0], prior)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_kept": None}  # made again where it pays

    @property
    def longest(self) -> TransitionCounts:
        """Counts of whole contexts."""
        return self.levels.counts[-1]

    @property
    def begin(self) -> Ids:
        """What stands before a document: m begin tokens."""
        return self.levels.begin

    @property
    def nbytes(self) -> int:
        """Memory of the counts."""
        return sum(each.nbytes for each in self.levels.counts)

    # -- learning -----------------------------------------------------------------

    def with_levels(self, levels: Levels) -> BackoffRows:
        """Other counts with the same prior."""
        return BackoffRows(levels, self.prior, self.concentrations)

    def empty(self) -> BackoffRows:
        """The same prior without counts."""
        none = Levels(self.levels.order, self.levels.n_tokens)
        return self.with_levels(none)

    def led(self, documents: Documents, before: Ids | None) -> Documents:
        """Documents behind begin tokens; `before` is what the first one goes on from."""
        begin = self.begin
        lead = begin if before is None or len(before) == 0 else before
        return Texts.of(documents).led(lead, begin)

    def with_documents(self, documents: Documents) -> BackoffRows:
        """After more text."""
        levels = self.levels
        return self.with_counts(count(levels.order, levels.n_tokens + 1, documents))

    def with_counts(self, more: TransitionCounts) -> BackoffRows:
        """With more counts of whole contexts."""
        return self.with_levels(self.levels.with_more(more))

    def without_documents(self, documents: Documents) -> BackoffRows:
        """As if some text had never been counted."""
        levels = self.levels
        gone = count(levels.order, levels.n_tokens + 1, documents)
        return self.with_levels(levels.with_less(gone))

    def scaled(self, factor: float, contexts: Ids | None) -> BackoffRows:
        """Refused."""
        raise ValueError("a hierarchy counts types, which do not fade")

    def fitted(
        self,
        n_components: int,
        tokens: tuple[str, ...] | None,
        options: dict[str, Any],
        advance: Advance,
    ) -> BackoffRows:
        """The same counts with the concentrations of highest evidence."""
        if options:
            raise TypeError(f"a hierarchy has no option {next(iter(options))!r}")
        return fit_backoff(self, n_components, advance)

    # -- prediction ---------------------------------------------------------------

    def table(self, asked: int) -> BackoffTable | None:
        """The table of these rows, where it pays for a question about so many tokens."""
        if self._kept is None:
            self._kept = KeptTable(self.levels.counts, self.levels.n_tokens)
        return self._kept.after(asked, self._table)

    def _table(self) -> BackoffTable:
        row = self.dense_of_counts(np.zeros((1, 0), dtype=np.int64))[0]
        return BackoffTable.from_counts(self.levels.counts, row, **self._smoothing())

    def _smoothing(self) -> dict[str, Any]:
        """How a table is told of it."""
        return {"concentrations": self.concentrations}

    @property
    def cells(self) -> int:
        """Entries of dense rows to be made at a time."""
        return CELLS if self._kept is None or self._kept.table is None else FEW_CELLS

    def pair_probs(self, contexts: Ids, tokens: Ids) -> Floats:
        """The predictive of a token after a context of at most m tokens, for each of n."""
        table = self.table(len(tokens))
        if table is None:
            return self.pairs_of_counts(contexts, tokens)
        return table.pair_values(contexts, tokens)

    def dense(self, contexts: Ids) -> Floats:
        """The predictive after each context of at most m tokens, (n, V)."""
        table = self.table(len(contexts) * row_cost(self.levels.n_tokens))
        return self.dense_of_counts(contexts) if table is None else table.rows(contexts)

    def pairs_of_counts(self, contexts: Ids, tokens: Ids) -> Floats:
        """`pair_probs`, each row made of its counts."""
        level = contexts.shape[1]
        if level == 0:
            return self.shortest.pair_probs(contexts, tokens)
        if isinstance(self.longest, FrozenCounts) and self._single(level):
            return self._pairs_by_a_walk(contexts, tokens)
        own, of = distinct(contexts)
        seen = self.levels.counts[level].counts(contexts, tokens).astype(np.float64)
        totals = self.levels.counts[level].totals(own).astype(np.float64)
        if len(self.concentrations[level - 1].weights) == 1:
            mean = self.pairs_of_counts(contexts[:, 1:], tokens)
            r = np.ones((len(own), 1))
        else:
            # one question to the shorter level: these tokens', and those of whole rows
            entries = Entries.of(self.levels.counts[level], own)
            both = np.concatenate([contexts[:, 1:], own[entries.row, 1:]])
            means = self.pairs_of_counts(both, np.concatenate([tokens, entries.tokens]))
            mean, r = (
                means[: len(tokens)],
                self._weights(level, means[len(tokens) :], entries, totals),
            )
        to_mean, to_counts = self._shares(level, r, totals)
        return to_mean[of] * mean + to_counts[of] * seen

    def _single(self, level: int) -> bool:
        """Whether contexts of up to so many tokens have one concentration each."""
        return all(len(each.weights) == 1 for each in self.concentrations[:level])

    def _pairs_by_a_walk(self, contexts: Ids, tokens: Ids) -> Floats:
        """`pairs_of_counts` of frozen counts that ask for no whole row."""
        level = contexts.shape[1]
        counts: Any = self.levels.counts[level]
        seen, totals = counts.walk(contexts, tokens)
        mean = self.shortest.pair_probs(contexts[:, :0], tokens)
        r = np.ones((len(tokens), 1))
        for d in range(1, level + 1):
            to_mean, to_counts = self._shares(d, r, totals[:, d].astype(np.float64))
            mean = to_mean * mean + to_counts * seen[:, d].astype(np.float64)
        return mean

    def dense_of_counts(self, contexts: Ids) -> Floats:
        """`dense`, likewise."""
        level = contexts.shape[1]
        if level == 0:
            return np.repeat(self.shortest.dense(contexts[:1]), len(contexts), axis=0)
        shorter, of = distinct(contexts[:, 1:])
        rows = self.dense_of_counts(shorter)[of]
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

    def scores(self, documents: Documents) -> Floats:
        """The log-probability of each token of led documents, one after the other."""
        order, texts = self.levels.order, Texts.of(documents)
        table = self.table(texts.n_tokens)
        if table is None:
            return token_scores(self, order, texts)
        return table.scores(*texts.joined(), skip=order)

    def log_prob(self, documents: Documents) -> float:
        """Of led documents, each token scored by these counts."""
        texts = Texts.of(documents)
        table = self.table(texts.n_tokens)
        if table is not None:
            return table.log_prob(*texts.joined(), skip=self.levels.order)
        return scores(self, count(self.levels.order, self.levels.n_tokens + 1, documents))

    def log_evidence(self, documents: Documents) -> float:
        """Of led documents, each token counted before the next is scored.

        By the chain rule, for all tokens at once.  There is no closed form, for a row's mean moves
        while its row is being filled.  What the chain rule asks at a token is how often its pair
        and its context had been counted before: the initial count, and a running sum over the
        events of the same group.
        """
        order = self.levels.order
        texts = [sliding_window_view(each, order + 1) for each in documents if len(each) > order]
        if not texts:
            return 0.0
        windows = np.concatenate(texts)
        contexts, tokens = windows[:, :order], windows[:, order]
        event = np.ones(len(tokens), dtype=bool)  # whether this level counts the token
        steps: list[tuple[Any, ...]] = []
        for level in range(order, -1, -1):
            counts = self.levels.counts[level]
            own, of = distinct(contexts[:, order - level :])
            pair = np.unique(of * (self.levels.n_tokens + 1) + tokens, return_inverse=True)[1]
            initial = counts.counts(contexts[:, order - level :], tokens)
            seen = initial + running(pair, event)
            totals = counts.totals(own)[of] + running(of, event)
            steps.append((level, own, of, event, seen.astype(float), totals.astype(float)))
            event = event & (seen == 0)
        mean = np.zeros(0)  # the predictive of the level below
        for level, own, of, counted, seen, totals in reversed(steps):
            if level == 0:
                alpha, concentration = self.prior.at(tokens), self.prior.concentration
            else:
                concentration = self.concentrations[level - 1].values
                alpha = concentration[:, np.newaxis] * mean
            probs = (alpha + seen) / (concentration[:, np.newaxis] + totals)  # (K, n)
            if len(concentration) == 1:
                mean = probs[0]
                continue
            evidence = np.stack([running(of, np.where(counted, np.log(p), 0.0)) for p in probs], 1)
            r = posterior_weights(self.weights(own)[of], evidence)[0]
            mean = np.sum(r.T * probs, axis=0)
        return float(np.log(mean).sum())

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

    def back_weights(self, contexts: Ids) -> Floats:
        """What the shorter context's probability of a token that was not seen is multiplied by."""
        level = contexts.shape[1]
        totals = self.levels.counts[level].totals(contexts).astype(np.float64)
        return self._shares(level, self.weights(contexts), totals)[0]

    def _shares(self, level: int, r: Floats, totals: Floats) -> tuple[Floats, Floats]:
        """What the mean and each count are multiplied by: sum_k r_k A_k / (A_k + N), / 1."""
        values = self.concentrations[level - 1].values
        shares = r / (values + totals[:, np.newaxis])
        return shares @ values, shares.sum(axis=1)


def running(group: NDArray[np.intp], values: NDArray[Any]) -> NDArray[Any]:
    """The sum of the values before each place, within its group."""
    order = np.argsort(group, kind="stable")
    sorted_group = group[order]
    ordered = values[order]
    sums: NDArray[Any] = np.cumsum(ordered) - ordered
    first = np.ones(len(group), dtype=bool)
    first[1:] = sorted_group[1:] != sorted_group[:-1]
    base = np.maximum.accumulate(np.where(first, np.arange(len(group)), 0))
    result = np.empty_like(sums)
    result[order] = sums - sums[base]
    return result
