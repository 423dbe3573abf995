"""Rows of one Dirichlet mixture: evidence, responsibilities, predictives and their slopes.

The prior is a Dirichlet mixture: a row with counts n (N in all) has the log-evidence
E = ln sum_k w_k exp(L_k), L_k that of component k, and the predictive sum_k c_k (alpha_k + n),
c_k = r_k / (A_k + N), r = softmax_k(ln w_k + L_k).  L is a sum over cells, the distinct pairs of
token and count, of which there are few while counts are whole.

Contents
    RowSource   rows that all come from one prior, as a source of histories' next tokens
    PartRows    forward: all of that; backward: slopes by weights, alpha and the rate of fading
    State       what forward finds
    Slopes      what backward finds
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import _core
from .._base.typing import Floats, Ids
from .rows import Rows, Visited, row_sums, spread, summed
from .seen import Entries, Seen


class State(NamedTuple):
    """A part's rows (U of them) under a prior; what the way back needs again."""

    weights: Floats  # (K,)
    alpha: Floats  # (K, V)
    concentration: Floats  # (K,)
    counts: Floats  # of entries
    slope: Floats  # of counts, by the rate of fading
    totals: Floats  # (U,)
    at_cells: Floats  # (cells, K) alpha
    of_cells: Floats  # (cells, 1) counts
    responsibilities: Floats  # (K, U)
    evidence: Floats  # (U,)
    factors: Floats  # (K, U), c
    sums: Floats  # (U,), of c


class Slopes(NamedTuple):
    """Derivatives of the objective by what a part is made of."""

    logits: Floats  # (K,)
    alpha: Floats  # (K, V)
    rate: float


class PartRows:
    """The rows of one part, their cells, and the sums over both."""

    def __init__(self, rows: Rows, n_tokens: int, discount: float | None) -> None:
        from scipy.sparse import csr_array

        fading = discount is None
        if discount is not None and discount < 1.0:
            rows = rows._replace(counts=rows.faded(-np.log(discount))[0])
        self.rows, self.n_tokens, self.fading = rows, n_tokens, fading
        n_entries = len(rows.columns)
        cell = np.arange(n_entries)
        self._first = cell
        if not fading and n_entries:
            values, of_value = np.unique(rows.counts, return_inverse=True)
            keys = rows.columns * len(values) + of_value
            _, self._first, cell = np.unique(keys, return_index=True, return_inverse=True)
        shape = (rows.n, len(self._first))
        self.has_cell = csr_array((np.ones(n_entries), cell, rows.starts), shape=shape)
        self._of_cell = self.has_cell.T.tocsr()
        self._row = rows.row
        self._cell = cell
        self._token = rows.columns[self._first]
        self._total = self._totals(rows.counts)

    def _totals(self, counts: Floats) -> tuple[Floats, Floats, Ids]:
        """The total of each row, their distinct values, and which of these each row has."""
        totals = summed(self._row, counts, self.rows.n)
        return totals, *np.unique(totals, return_inverse=True)

    def forward(self, weights: Floats, alpha: Floats, rate: float) -> State:
        """Evidence, responsibilities and predictive of every row."""
        counts, slope, total = self.rows.counts, np.zeros(0), self._total
        if self.fading:
            counts, slope = self.rows.faded(rate)
            total = self._totals(counts)
        totals, values, of_value = total
        concentration = alpha.sum(axis=1)
        at_cells, of_cells = alpha.T[self._token], counts[self._first][:, np.newaxis]
        joint = (self.has_cell @ _core.lgamma_difference(at_cells, of_cells)).T
        joint = joint - _core.lgamma_difference(concentration[:, np.newaxis], values)[:, of_value]
        joint += np.log(np.maximum(weights, 1e-300))[:, np.newaxis]
        top = joint.max(axis=0)
        r = np.exp(joint - top)
        sums = r.sum(axis=0)
        r /= sums
        factors = r / (concentration[:, np.newaxis] + totals)
        return State(
            weights=weights,
            alpha=alpha,
            concentration=concentration,
            counts=counts,
            slope=slope,
            totals=totals,
            at_cells=at_cells,
            of_cells=of_cells,
            responsibilities=r,
            evidence=top + np.log(sums),
            factors=factors,
            sums=factors.sum(axis=0),
        )

    def backward(
        self, state: State, by_factors: Floats, by_evidence: Floats, by_counts: Floats
    ) -> Slopes:
        """Slopes from those by c (K, U), by E (U,), and by the counts where they stand alone."""
        r, a = state.responsibilities, state.concentration
        denominator = a[:, np.newaxis] + state.totals
        pull = r * by_factors / denominator
        by_joint = pull - r * pull.sum(axis=0) + r * by_evidence
        by_denominator = -by_factors * state.factors / denominator
        _, values, of_value = self._totals(state.counts) if self.fading else self._total
        slopes = _core.digamma_difference(a[:, np.newaxis], values)
        by_cells = self._of_cell @ np.ascontiguousarray(by_joint.T)  # (cells, K)
        weighted = by_cells * _core.digamma_difference(state.at_cells, state.of_cells)
        by_alpha = np.empty_like(state.alpha)
        for k in range(len(a)):
            by_alpha[k] = summed(self._token, weighted[:, k], self.n_tokens)
            of_values = summed(of_value, by_joint[k], len(values))
            by_alpha[k] += by_denominator[k].sum() - of_values @ slopes[k]
        return Slopes(
            logits=by_joint.sum(axis=1) - state.weights * by_evidence.sum(),
            alpha=by_alpha,
            rate=self._by_rate(state, by_joint, by_denominator, by_cells, by_counts),
        )

    def _by_rate(
        self,
        state: State,
        by_joint: Floats,
        by_denominator: Floats,
        by_cells: Floats,
        by_counts: Floats,
    ) -> float:
        """The slope by the rate of fading, through every count and every total."""
        if not self.fading:
            return 0.0
        a = state.concentration[:, np.newaxis]
        by_count = by_counts + np.sum(by_cells * _core.digamma(state.at_cells + state.of_cells), 1)
        by_total = by_denominator - by_joint * _core.digamma(a + state.totals)
        return float((by_count + by_total.sum(axis=0)[self._row]) @ state.slope)


class RowSource:
    """Each token comes from the row of a key; all rows come from one Dirichlet mixture.

    Parameters
    ----------
    visited : Visited
    n_tokens : int
    discount : float or None
        None where it is a parameter of each call.
    entries : Entries
    """

    def __init__(
        self, visited: Visited, n_tokens: int, discount: float | None, entries: Entries
    ) -> None:
        self.visited, self.entries = visited, entries
        self.rows = PartRows(visited.rows, n_tokens, discount)
        self.place = entry_places(visited, n_tokens, entries)
        self._visits = visited.evidence.T.tocsr()
        self._row = visited.active[entries.history]  # of each entry
        self._held = np.append(self.rows.rows.counts, 0.0)[self.place]

    def _counts(self, state: State) -> Floats:
        """Of each entry's token, in the row that comes next."""
        return np.append(state.counts, 0.0)[self.place] if self.rows.fading else self._held

    def forward(self, prior: tuple[Floats, Floats], rate: float) -> Seen:
        """The predictions of weights (K,) and alpha (K, V)."""
        state = self.rows.forward(*prior, rate)
        active = self.visited.active
        entries = state.sums[self._row] * self._counts(state)
        for own, alpha in zip(state.factors, state.alpha, strict=True):
            entries += own[self._row] * alpha[self.entries.columns]
        evidence = self.visited.evidence @ state.evidence
        share = state.factors[:, active]
        return Seen(state.alpha, share, np.zeros(len(active)), entries, evidence, state)

    def backward(self, seen: Seen, by: Seen) -> tuple[Floats, float]:
        """Slopes by logarithms of alpha and logits, and by the rate of fading."""
        state: State = seen.kept
        active, columns = self.visited.active, self.entries.columns
        counts = self._counts(state)
        by_factors, direct = np.empty_like(state.factors), by.bases.copy()
        for k, alpha in enumerate(state.alpha):
            at_entries = row_sums(self.entries.starts, by.entries * (alpha[columns] + counts))
            by_factors[k] = summed(active, by.share[k] + at_entries, self.visited.rows.n)
            weighted = by.entries * state.factors[k][self._row]
            direct[k] += summed(columns, weighted, len(alpha))
        by_counts = np.zeros(len(state.counts) + 1)
        if self.rows.fading:
            added = by.entries * state.sums[self._row]
            by_counts = summed(self.place, added, len(by_counts))
        own = self.rows.backward(state, by_factors, self._visits @ by.evidence, by_counts[:-1])
        by_log_alpha = (direct + own.alpha) * state.alpha
        return np.append(by_log_alpha.ravel(), own.logits), own.rate

    def rows_after(self, seen: Seen, history: int) -> tuple[Floats, Floats]:
        """The components of the next token's row after a history: shares and alpha."""
        state: State = seen.kept
        row = self.visited.active[history]
        own = slice(self.visited.rows.starts[row], self.visited.rows.starts[row + 1])
        counts = np.zeros(state.alpha.shape[1])
        counts[self.visited.rows.columns[own]] = state.counts[own]
        return state.responsibilities[:, row], state.alpha + counts


def entry_places(visited: Visited, n_tokens: int, entries: Entries) -> Ids:
    """Where each entry's count is among those of the rows; one behind them where it has none."""
    rows, n = visited.rows, len(visited.rows.columns)
    keys = spread(rows.starts, np.arange(rows.n)) * n_tokens + rows.columns  # rising
    wanted = visited.active[entries.history] * n_tokens + entries.columns
    if n == 0:
        return np.zeros(len(wanted), dtype=np.int64)
    at = np.minimum(np.searchsorted(keys, wanted), n - 1)
    return np.where(keys[at] == wanted, at, n)
