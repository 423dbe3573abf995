"""Rows of the Matrix that share one prior.

Contents
    SharedRows                             counts and their prior: what they learn and predict
    dense_blocks, most_probable            predictions of any rows
    scores, token_scores                   the log-probability of text, and of each token
    drawn, tempered                        text drawn token by token; at another temperature
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .._base.progress import Advance
from .._base.typing import Documents, Floats, Ids
from .._core import TransitionCounts
from .counts import BLOCK, count, distinct, pair_blocks, pairs
from .documents import Texts
from .fading import RealCounts
from .fits.evidence import fit_shared
from .prior import Concentration, Entries, SharedPrior, log_evidence, posterior_weights, sums

CELLS = 1 << 22  # entries of dense rows made at a time
FEW_CELLS = 1 << 17  # by a table, which takes less time than memory does for more


class Rows(Protocol):
    """What can be asked for predictions."""

    prior: SharedPrior

    @property
    def cells(self) -> int: ...
    def pair_probs(self, contexts: Ids, tokens: Ids) -> Floats: ...
    def dense(self, contexts: Ids) -> Floats: ...
    def seen(self, context: Ids) -> Ids: ...


def dense_blocks(rows: Rows, contexts: Ids) -> Iterator[tuple[slice, Floats]]:
    """The predictive after each context, (n, V), some rows at a time."""
    size = max(rows.cells // rows.prior.n_tokens, 1)
    for start in range(0, len(contexts), size):
        cut = slice(start, start + size)
        yield cut, rows.dense(contexts[cut])


def most_probable(rows: Rows, contexts: Ids, k: int) -> tuple[Ids, Floats]:
    """The k most probable tokens after each context, and their probabilities, (n, k)."""
    tokens = np.empty((len(contexts), k), dtype=np.int64)
    probs = np.empty((len(contexts), k))
    if rows.prior.n_tokens > CELLS and rows.prior.symmetric:
        for i, context in enumerate(contexts):
            tokens[i], probs[i] = _most_probable_of_few(rows, context, k)
        return tokens, probs
    for cut, dense in dense_blocks(rows, contexts):
        best = np.argsort(-dense, axis=1, kind="stable")[:, :k]
        tokens[cut], probs[cut] = best, np.take_along_axis(dense, best, axis=1)
    return tokens, probs


def _most_probable_of_few(rows: Rows, context: Ids, k: int) -> tuple[Ids, Floats]:
    """Where all tokens that were never seen are equally probable."""
    seen = rows.seen(context)
    some = np.arange(min(k + len(seen), rows.prior.n_tokens))
    tokens = np.union1d(seen, some)
    probs = rows.pair_probs(np.repeat(context[np.newaxis], len(tokens), axis=0), tokens)
    best = np.argsort(-probs, kind="stable")[:k]
    return tokens[best], probs[best]


def drawn(n: int, text: Ids, order: int, draw: Callable[[Ids], int]) -> Ids:
    """n tokens, each drawn after the last `order` of what stands before it."""
    found = np.empty(n, dtype=np.int64)
    for i in range(n):
        text = text[max(0, len(text) - order) :]
        found[i] = draw(text)
        text = np.append(text, found[i])
    return found


def tempered(row: Floats, temperature: float, rng: np.random.Generator) -> int:
    """A token drawn from a row at another temperature."""
    if temperature == 0.0:
        return int(row.argmax())
    scores = np.log(row) / temperature
    shares = np.cumsum(np.exp(scores - scores.max()))
    return int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))


def scores(rows: Rows, text: TransitionCounts) -> float:
    """The log-probability of text that was counted."""
    total = 0.0
    for contexts, tokens, times in pair_blocks(text):
        total += float(times.astype(np.float64) @ np.log(rows.pair_probs(contexts, tokens)))
    return total


def token_scores(rows: Rows, order: int, documents: Documents) -> Floats:
    """The log-probability of each token that has `order` before it, document after document."""
    found, texts, n = [np.zeros(0)], [], 0
    for i, each in enumerate(documents):
        if len(each) > order:
            texts.append(sliding_window_view(each, order + 1))
            n += len(texts[-1])
        if n >= BLOCK or (texts and i == len(documents) - 1):  # short ones are asked about together
            for windows in np.array_split(np.concatenate(texts), -(-n // BLOCK)):
                found.append(np.log(rows.pair_probs(windows[:, :order], windows[:, order])))
            texts, n = [], 0
    return np.concatenate(found)


class SharedRows:
    """Counts of one order, with one prior for all rows; it never changes.

    Counts are whole or, once they fade, real.
    """

    hierarchical, cells = False, CELLS
    concentrations: tuple[Concentration, ...] = ()

    def __init__(self, counts: TransitionCounts | RealCounts, prior: SharedPrior) -> None:
        self.counts, self.prior = counts, prior

    def __setstate__(self, state: dict[str, Any]) -> None:
        discount = state.pop("discount", 1.0)  # of an older version, whose counts do not know it
        vars(self).update(state)
        if isinstance(self.counts, RealCounts) and discount < 1.0:
            self.counts = self.counts.with_discount(discount)

    @property
    def longest(self) -> TransitionCounts | RealCounts:
        """Counts of whole contexts."""
        return self.counts

    @property
    def real(self) -> bool:
        """Whether counts are real numbers."""
        return isinstance(self.counts, RealCounts)

    @property
    def begin(self) -> Ids:
        """What stands before a document: nothing."""
        return np.zeros(0, dtype=np.int64)

    @property
    def nbytes(self) -> int:
        """Memory of the counts."""
        return self.counts.nbytes

    # -- learning -----------------------------------------------------------------

    def empty(self) -> SharedRows:
        """The same prior without counts."""
        counts = self.counts
        if isinstance(counts, RealCounts):
            return self._with(counts.empty())
        return self._with(TransitionCounts(counts.order, counts.n_tokens))

    def led(self, documents: Documents, before: Ids | None) -> Documents:
        """Documents to count; `before` is what the first one goes on from."""
        texts = Texts.of(documents)
        return texts if before is None else texts.led(before, self.begin)

    def with_documents(self, documents: Documents) -> SharedRows:
        """After more text."""
        if isinstance(self.counts, RealCounts):
            return self._with(self.counts.with_documents(documents))
        return self.with_counts(count(self.counts.order, self.counts.n_tokens, documents))

    def with_counts(self, more: TransitionCounts | RealCounts) -> SharedRows:
        """With the counts of others; real where either are."""
        if isinstance(more, RealCounts):
            return self._with(self._real().with_counts(more))
        if isinstance(self.counts, RealCounts):
            return self._with(self.counts.with_rows(*pairs(more)))
        counts = self.counts.copy()
        counts.merge(more)
        return self._with(counts)

    def without_documents(self, documents: Documents) -> SharedRows:
        """As if some text had never been counted."""
        if isinstance(self.counts, RealCounts):
            raise ValueError(
                "counts are real numbers (discount, forget, weights), of which it is not known how "
                "much of a document is left: only whole counts can be taken away"
            )
        counts = self.counts.copy()
        counts.subtract(count(counts.order, counts.n_tokens, documents))
        return self._with(counts)

    def scaled(self, factor: float, contexts: Ids | None) -> SharedRows:
        """With the rows of some contexts multiplied, or with all."""
        return self._with(self._real().scaled(factor, contexts))

    def fitted(
        self,
        n_components: int,
        tokens: tuple[str, ...] | None,
        options: dict[str, Any],
        advance: Advance,
    ) -> SharedRows:
        """The same counts with the prior of highest evidence."""
        prior = fit_shared(self.counts, n_components, tokens, options)
        advance(1)
        return SharedRows(self.counts, prior)

    def _with(self, counts: TransitionCounts | RealCounts) -> SharedRows:
        return SharedRows(counts, self.prior)

    def _real(self) -> RealCounts:
        return self.counts if isinstance(self.counts, RealCounts) else RealCounts.of(self.counts)

    # -- prediction ---------------------------------------------------------------

    def pair_probs(self, contexts: Ids, tokens: Ids) -> Floats:
        """The predictive of a token after a context, for each of n; a priori after short ones."""
        if contexts.shape[1] < self.counts.order:
            return self.prior.mean_at(tokens)
        own, of = distinct(contexts)
        shares, _, _ = self.shares(own)
        seen = self.counts.counts(contexts, tokens).astype(np.float64)
        probs: Floats = np.sum(shares[of].T * (self.prior.at(tokens) + seen), axis=0)
        return probs

    def dense(self, contexts: Ids) -> Floats:
        """The predictive after each context, (n, V); the prior's after contexts too short."""
        if contexts.shape[1] < self.counts.order:
            a_priori = self.prior.weights / self.prior.concentration
            return np.repeat(self.prior.blend(a_priori[np.newaxis]), len(contexts), axis=0)
        shares, entries, _ = self.shares(contexts, entries=True)
        rows = self.prior.blend(shares)
        rows[entries.row, entries.tokens] += shares.sum(axis=1)[entries.row] * entries.counts
        return rows

    def seen(self, context: Ids) -> Ids:
        """Tokens that the prior alone does not account for."""
        if len(context) < self.counts.order:
            return np.zeros(0, dtype=np.int64)
        return Entries.of(self.counts, context[np.newaxis]).tokens

    def posterior(self, context: Ids) -> tuple[Floats, Floats]:
        """Weights (K,) and alpha (K, V) of the row of one context."""
        if len(context) < self.counts.order:
            return self.prior.weights, self.prior.mixture(None).alpha
        _, entries, weights = self.shares(context[np.newaxis], entries=True)
        alpha = self.prior.mixture(None).alpha.copy()
        alpha[:, entries.tokens] += entries.counts
        return weights[0], alpha

    def draw(self, context: Ids, rng: np.random.Generator) -> int:
        """A token from the predictive after a context; a priori after one too short."""
        weights = self.prior.weights[np.newaxis]
        totals, entries = np.zeros(1), None
        if len(context) == self.counts.order:
            totals = self.counts.totals(context[np.newaxis]).astype(np.float64)
            weights, entries = self.weights(context[np.newaxis], totals)
        shares = weights[0] * self.prior.concentration / (self.prior.concentration + totals)
        choice = rng.random()
        if choice < shares.sum() or totals[0] == 0.0:
            return self.prior.draw(shares, rng)
        entries = Entries.of(self.counts, context[np.newaxis]) if entries is None else entries
        return entries.draw(rng)

    # -- scores of text -------------------------------------------------------------

    def scores(self, documents: Documents) -> Floats:
        """The log-probability of each token of documents, one after the other."""
        order = self.counts.order
        tokens, bounds = Texts.of(documents).joined()
        place = np.arange(len(tokens)) - np.repeat(bounds[:-1], np.diff(bounds))
        found, early = np.empty(len(tokens)), place < order  # without a whole context
        found[early] = np.log(self.prior.mean_at(tokens[early]))
        found[~early] = token_scores(self, order, documents)
        return found

    def log_prob(self, documents: Documents) -> float:
        """Of documents, each token scored by these counts."""
        fresh = count(self.counts.order, self.counts.n_tokens, documents)
        return self._starts(documents) + scores(self, fresh)

    def log_evidence(self, documents: Documents) -> float:
        """Of documents, each token counted before the next is scored."""
        if isinstance(self.counts, RealCounts):
            prior = self.prior
            found = self.counts.log_evidence(
                documents, prior.weights, prior.concentration, prior.alpha
            )
            return self._starts(documents) + found
        fresh = count(self.counts.order, self.counts.n_tokens, documents)
        return self._starts(documents) + self._evidence(fresh)

    def _starts(self, documents: Documents) -> float:
        """Log-probability of the tokens without a whole context."""
        tokens = Texts.of(documents).first(self.counts.order)
        return float(np.log(self.prior.mean_at(tokens)).sum())

    def _evidence(self, fresh: TransitionCounts) -> float:
        """Of more counts, in whatever order: a closed form for each row."""
        contexts, indptr, tokens, times = fresh.all()
        own, row = contexts.astype(np.int64), np.repeat(np.arange(len(contexts)), np.diff(indptr))
        more = Entries(row, tokens.astype(np.int64), times.astype(np.float64))
        totals = self.counts.totals(own).astype(np.float64)
        seen = [self.counts.counts(each, token) for each, token, _ in pair_blocks(fresh)]
        before = np.concatenate([*seen, np.zeros(0)]).astype(np.float64)
        found = log_evidence(
            self.prior.at(more.tokens) + before,
            self.prior.concentration + totals[:, np.newaxis],
            more,
            sums(row, more.counts, len(own)),
        )
        return float(posterior_weights(self.weights(own, totals)[0], found)[1].sum())

    # -- inside -----------------------------------------------------------------------

    def weights(self, contexts: Ids, totals: Floats) -> tuple[Floats, Entries | None]:
        """r (n, K) of different contexts, and their entries where it took them."""
        prior = self.prior
        if len(prior.weights) == 1:
            return np.ones((len(contexts), 1)), None
        entries = Entries.of(self.counts, contexts)
        found = log_evidence(prior.at(entries.tokens), prior.concentration, entries, totals)
        return posterior_weights(prior.weights, found)[0], entries

    def shares(self, contexts: Ids, entries: bool = False) -> tuple[Floats, Any, Floats]:
        """r_k / (A_k + N) of each context (n, K), its entries where asked for, and r."""
        totals = self.counts.totals(contexts).astype(np.float64)
        weights, found = self.weights(contexts, totals)
        if entries and found is None:
            found = Entries.of(self.counts, contexts)
        return weights / (self.prior.concentration + totals[:, np.newaxis]), found, weights
