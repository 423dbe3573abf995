"""Rows of the Matrix whose contexts are as long as they have to be: context-tree weighting.

A source is a tree of contexts of at most D tokens, each leaf with a row of its own.  A context is
no leaf with probability rho, the row of a leaf has the shared prior, and the counts of a context
have the evidence P_e.  The sum over all trees is

    P_w(s) = (1 - rho) P_e(s) + rho prod_v P_w(v s),     P_w = P_e of D tokens

(Willems, Shtarkov & Tjalkens 1995; of more than two tokens Kontoyiannis et al. 2022).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .._base.progress import Advance
from .._base.typing import Documents, Floats, Ids
from .._core import BackoffTable, FrozenCounts, TransitionCounts
from .counts import BLOCK, count, distinct, pair_blocks, thawed
from .documents import Texts
from .fits.evidence import fit_leaves
from .kept import KeptTable, row_cost
from .prior import Concentration, SharedPrior
from .shared import CELLS, FEW_CELLS, SharedRows, scores, token_scores

ROUNDS = 20  # of a fit
TOLERANCE = 1e-6  # nats a token


class Folded(NamedTuple):
    """What counts say of trees: the log-evidence, and the log-odds that a context is no leaf, of
    each length below D at the places of the counts' pairs."""

    evidence: float
    odds: tuple[Floats, ...]


class TreeRows:
    """Counts of contexts of 0 to D tokens and the prior of trees; it never changes.

    Documents are led by D begin tokens, number V, so that every token has all its contexts; one
    that begins with a begin token is a leaf.
    """

    hierarchical, real = False, False
    concentrations: tuple[Concentration, ...] = ()
    _kept: KeptTable | None = None

    def __init__(
        self, counts: tuple[TransitionCounts, ...], prior: SharedPrior, deeper: float
    ) -> None:
        self.counts, self.prior, self.deeper = counts, prior, deeper
        self._folded: Folded | None = None

    @classmethod
    def new(cls, depth: int, prior: SharedPrior, deeper: float) -> TreeRows:
        """Without counts."""
        sizes = [(d, prior.n_tokens + 1) for d in range(depth + 1)]
        return cls(tuple(TransitionCounts(*each) for each in sizes), prior, deeper)

    def __getstate__(self) -> dict[str, Any]:
        if isinstance(self.longest, FrozenCounts):
            return vars(self) | {"_kept": None}
        return vars(self) | {"_folded": None, "_kept": None}  # found again where it is asked for

    @property
    def depth(self) -> int:
        """Tokens of the longest context, D."""
        return len(self.counts) - 1

    @property
    def longest(self) -> TransitionCounts:
        """Counts of whole contexts."""
        return self.counts[-1]

    @property
    def begin(self) -> Ids:
        """What stands before a document: D begin tokens."""
        return np.full(self.depth, self.prior.n_tokens, dtype=np.int64)

    @property
    def nbytes(self) -> int:
        """Memory of the counts."""
        return sum(each.nbytes for each in self.counts)

    # -- learning -----------------------------------------------------------------

    def empty(self) -> TreeRows:
        """The same prior without counts."""
        return TreeRows.new(self.depth, self.prior, self.deeper)

    def led(self, documents: Documents, before: Ids | None) -> Documents:
        """Documents behind begin tokens; `before` is what the first one goes on from."""
        begin = self.begin
        lead = begin if before is None or len(before) == 0 else before
        return Texts.of(documents).led(lead, begin)

    def with_documents(self, documents: Documents) -> TreeRows:
        """After more text."""
        return self._with(self._counted(documents))

    def without_documents(self, documents: Documents) -> TreeRows:
        """As if some text had never been counted."""
        counts = tuple(each.copy() for each in self.counts)
        gone = list(self._counted(documents))
        for each, less in zip(counts[::-1], gone[::-1], strict=True):  # whole contexts first
            each.subtract(less)
        return TreeRows(counts, self.prior, self.deeper)

    def _counted(self, documents: Documents) -> Iterator[TransitionCounts]:
        """Text by contexts of 0 to D tokens."""
        depth, width = self.depth, self.prior.n_tokens + 1
        for d in range(depth + 1):
            yield count(d, width, Texts.of(documents).without_first(depth - d))

    def with_counts(self, more: TransitionCounts) -> TreeRows:
        """With more counts of whole contexts."""
        counts = [TransitionCounts(d, more.n_tokens) for d in range(self.depth)]
        for contexts, tokens, times in pair_blocks(more):
            for d, each in enumerate(counts):
                each.update_rows(contexts[:, self.depth - d :], tokens, times.astype(np.int64))
        return self._with([*counts, more])

    def _with(self, more: Any) -> TreeRows:
        counts = tuple(each.copy() for each in self.counts)
        for each, fresh in zip(counts, more, strict=True):
            each.merge(fresh)
        return TreeRows(counts, self.prior, self.deeper)

    def scaled(self, factor: float, contexts: Ids | None) -> TreeRows:
        """Refused."""
        raise ValueError("the counts of a tree of contexts do not fade")

    def fitted(
        self,
        n_components: int,
        tokens: tuple[str, ...] | None,
        options: dict[str, Any],
        advance: Advance,
    ) -> TreeRows:
        """The same counts with the prior of leaves of highest evidence: EM over trees."""
        rows, levels = self, [each.all() for each in self.counts]
        for _ in range(ROUNDS):
            weights = [rows._leaf_weights(d, each) for d, each in enumerate(levels)]
            prior = fit_leaves(
                [each[1:] for each in levels], weights, rows.prior, n_components, tokens, options
            )
            better = TreeRows(rows.counts, prior, rows.deeper)
            advance(1)
            gain = better.folded.evidence - rows.folded.evidence
            rows = better if gain > 0.0 or rows is self else rows
            if gain <= TOLERANCE * rows.longest.n_observed:
                break
        return rows

    def _leaf_weights(self, d: int, level: Any) -> Floats:
        """The posterior probability of each context of d tokens, of all, that it is a leaf."""
        contexts, indptr = level[0].astype(np.int64), level[1]
        blocks = range(0, len(contexts), BLOCK)
        reached = np.concatenate(
            [self.depths(contexts[i : i + BLOCK])[:, d] for i in blocks] or [np.zeros(0)]
        )
        if d == self.depth:
            return reached
        stops: Floats = reached * _logistic(-self.folded.odds[d][indptr[:-1]])
        return stops

    def thawed(self) -> TreeRows:
        """The same in memory where it is frozen: trees are folded there."""
        if not isinstance(self.longest, FrozenCounts):
            return self
        return TreeRows(tuple(thawed(each) for each in self.counts), self.prior, self.deeper)

    # -- the tree -----------------------------------------------------------------

    @property
    def folded(self) -> Folded:
        """What the counts say of trees; found once."""
        if self._folded is None:
            self._folded = self.fold(best=False)
        return self._folded

    def fold_as(self, folded: Folded) -> None:
        """Take what was found before, for counts that cannot be folded again."""
        self._folded = folded

    def fold(self, best: bool) -> Folded:
        """The sum over all trees, or the most probable one."""
        prior, below, odds = self.prior, None, []
        weights, alpha, evidence = np.asarray(prior.weights), prior.alpha, 0.0
        for d in range(self.depth, -1, -1):
            shorter = self.counts[d - 1] if d > 0 else None
            own, below, evidence = self.counts[d].fold(
                shorter, below, weights, alpha, self.deeper, best
            )
            if d < self.depth:
                odds.append(own)
        return Folded(evidence, tuple(reversed(odds)))

    def depths(self, contexts: Ids, folded: Folded | None = None) -> Floats:
        """The posterior of the length of the context in use, (n, length + 1).

        What is known of contexts of fewer than D tokens ends there.
        """
        n, length = contexts.shape
        odds = (self.folded if folded is None else folded).odds
        shares = np.zeros((n, length + 1))
        left = np.ones(n)
        for d in range(length):
            own = contexts[:, length - d :]
            place = self.counts[d].places(own)
            seen = place >= 0
            log_odds = np.full(n, np.log(self.deeper) - np.log1p(-self.deeper))
            log_odds[seen] = odds[d][place[seen]]
            if d > 0:
                log_odds[own[:, 0] == self.prior.n_tokens] = -np.inf
            shares[:, d] = left * _logistic(-log_odds)
            left = left * _logistic(log_odds)
        shares[:, length] = left
        return shares

    # -- prediction ---------------------------------------------------------------

    def _level(self, d: int) -> SharedRows:
        """Contexts of d tokens, as a matrix of their own."""
        return SharedRows(self.counts[d], self.prior)

    def table(self, asked: int) -> BackoffTable | None:
        """The table of these rows after whole contexts, where it pays for a question about so many
        tokens; one concentration has tables alone."""
        if len(self.prior.weights) > 1:
            return None
        if self._kept is None:
            self._kept = KeptTable(self.counts, self.prior.n_tokens)
        return self._kept.after(asked, self._table)

    def _table(self) -> BackoffTable:
        mean = self.prior.blend(1.0 / self.prior.concentration[np.newaxis])[0]
        leaves = float(self.prior.concentration[0]), self.folded.odds
        return BackoffTable.from_counts(self.counts, mean, leaves=leaves)

    @property
    def cells(self) -> int:
        """Entries of dense rows to be made at a time."""
        return CELLS if self._kept is None or self._kept.table is None else FEW_CELLS

    def pair_probs(self, contexts: Ids, tokens: Ids) -> Floats:
        """The predictive of a token after a context of at most D tokens, for each of n."""
        table = self.table(len(tokens)) if contexts.shape[1] == self.depth else None
        if table is None:
            return self.pairs_of_counts(contexts, tokens)
        return table.pair_values(contexts, tokens)

    def dense(self, contexts: Ids) -> Floats:
        """The predictive after each context of at most D tokens, (n, V)."""
        cost = len(contexts) * row_cost(self.prior.n_tokens)
        table = self.table(cost) if contexts.shape[1] == self.depth else None
        return self.dense_of_counts(contexts) if table is None else table.rows(contexts)

    def pairs_of_counts(self, contexts: Ids, tokens: Ids) -> Floats:
        """`pair_probs`, each row made of its counts."""
        length, alpha = contexts.shape[1], self.prior.at(tokens)
        own, of = distinct(contexts)
        depths, probs = self.depths(own), np.zeros(len(tokens))
        for d in range(length + 1):
            short, at = own[:, length - d :], of
            if len(alpha) > 1:  # rows are read, and short contexts have long ones
                short, where = distinct(short)
                at = where[of]
            shares = self._level(d).shares(short)[0][at] * depths[of, d : d + 1]
            seen = self.counts[d].counts(contexts[:, length - d :], tokens).astype(np.float64)
            probs += np.sum(shares.T * (alpha + seen), axis=0)
        return probs

    def dense_of_counts(self, contexts: Ids) -> Floats:
        """`dense`, likewise."""
        n, length = contexts.shape
        shares = self.depths(contexts)
        of_alpha, seen = np.zeros((n, len(self.prior.weights))), []
        for d in range(length + 1):
            own, entries, _ = self._level(d).shares(contexts[:, length - d :], entries=True)
            own = own * shares[:, d : d + 1]
            of_alpha += own
            seen.append((entries, own.sum(axis=1)))
        rows = self.prior.blend(of_alpha)
        for entries, of_counts in seen:
            rows[entries.row, entries.tokens] += of_counts[entries.row] * entries.counts
        return rows

    def seen(self, context: Ids) -> Ids:
        """Tokens that the prior alone does not account for."""
        return self._level(0).seen(context[:0])

    def posterior(self, context: Ids) -> tuple[Floats, Floats]:
        """Weights and alpha of the row of one context: of each length, those of that context."""
        shares = self.depths(context[np.newaxis])[0]
        found = [self._level(d).posterior(context[len(context) - d :]) for d in range(len(shares))]
        weights = [share * each for share, (each, _) in zip(shares, found, strict=True)]
        return np.concatenate(weights), np.concatenate([alpha for _, alpha in found])

    def draw(self, context: Ids, rng: np.random.Generator) -> int:
        """A token from the predictive after a context."""
        shares = self.depths(context[np.newaxis])[0]
        d = int(rng.choice(len(shares), p=shares / shares.sum()))
        return self._level(d).draw(context[len(context) - d :], rng)

    # -- scores of text -------------------------------------------------------------

    def scores(self, documents: Documents) -> Floats:
        """The log-probability of each token of led documents, one after the other."""
        texts = Texts.of(documents)
        table = self.table(texts.n_tokens)
        if table is None:
            return token_scores(self, self.depth, texts)
        return table.scores(*texts.joined(), skip=self.depth)

    def log_prob(self, documents: Documents) -> float:
        """Of led documents, each token scored by these counts."""
        texts = Texts.of(documents)
        table = self.table(texts.n_tokens)
        if table is not None:
            return table.log_prob(*texts.joined(), skip=self.depth)
        return scores(self, count(self.depth, self.prior.n_tokens + 1, documents))

    def log_evidence(self, documents: Documents) -> float:
        """Of led documents, each token counted before the next is scored: in closed form."""
        rows = self.thawed()
        return rows.with_documents(documents).folded.evidence - rows.folded.evidence

    # -- what was learnt of the order ---------------------------------------------------

    def mean_depths(self) -> Floats:
        """The posterior of the length of the context in use, (D + 1,), averaged over the text."""
        contexts, indptr, _, times = thawed(self.longest).all()  # sums depend on their order
        if len(contexts) == 0:
            a_priori: Floats = self.depths(self.begin[np.newaxis])[0]
            return a_priori
        totals = np.add.reduceat(times.astype(np.float64), indptr[:-1])
        found = np.zeros(self.depth + 1)
        for start in range(0, len(contexts), BLOCK):
            cut = slice(start, start + BLOCK)
            found += totals[cut] @ self.depths(contexts[cut].astype(np.int64))
        mean: Floats = found / found.sum()
        return mean

    def leaves(self) -> list[Ids]:
        """The contexts of d tokens (n, d), d = 0 to D, that were seen and are leaves of the most
        probable tree."""
        if isinstance(self.longest, FrozenCounts):
            return self.thawed().leaves()
        folded = self.fold(best=True)
        hard = tuple(np.where(odds > 0.0, np.inf, -np.inf) for odds in folded.odds)
        contexts = self.longest.all()[0].astype(np.int64)
        length = self.depths(contexts, Folded(folded.evidence, hard)).argmax(axis=1)
        found = []
        for d in range(self.depth + 1):
            own = contexts[length == d, self.depth - d :]
            found.append(np.unique(own, axis=0) if d > 0 else own[:1])
        return found


def _logistic(x: Floats) -> Floats:
    with np.errstate(over="ignore"):
        found: Floats = 1.0 / (1.0 + np.exp(-x))
    return found
