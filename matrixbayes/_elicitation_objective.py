"""Mean KL(model || predictive) of a family over histories, and its gradient.

Contents
    Objective     the function that `elicit_prior` minimises, and the predictions behind it
    Stopped       raised by an objective that nobody waits for any more

The prior of a part's rows is a Dirichlet mixture: a row with counts n (N in all) has the
log-evidence E = ln sum_k w_k exp(L_k), L_k that of component k, and the predictive
sum_k c_k (alpha_k + n), c_k = r_k / (A_k + N), r = softmax_k(ln w_k + L_k).  A history's predictive
is that of its active row; with two parts, of each part's active row, weighted by the prior weight
times the evidence of all rows that the history visited under that part.  Where counts fade, the
evidence is that of the faded counts.

The objective is sum s sum_v q_v ln(q_v / p_v) for predictions q of weight s.  It is linear in q, so
equal histories are one; L is a sum over cells, the distinct pairs of token and count, of which
there are few while counts are whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._elicitation_design import Design, Part, Rows, summed
from ._elicitation_parameters import Layout, Parameters

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Forward", "Objective", "Predictor", "Stopped"]

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

BLOCK_ENTRIES = 2**17  # rows x tokens worked on at a time


# ---------------------------------------------------------------------------
# Rows under a prior
# ---------------------------------------------------------------------------


class _State(NamedTuple):
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


class _Slopes(NamedTuple):
    """Derivatives of the objective by what a part is made of."""

    logits: Floats  # (K,)
    alpha: Floats  # (K, V)
    rate: float


class _PartRows:
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

    def forward(self, weights: Floats, alpha: Floats, rate: float) -> _State:
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
        return _State(
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
        self, state: _State, by_factors: Floats, by_evidence: Floats, by_counts: Floats
    ) -> _Slopes:
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
        return _Slopes(
            logits=by_joint.sum(axis=1) - state.weights * by_evidence.sum(),
            alpha=by_alpha,
            rate=self._by_rate(state, by_joint, by_denominator, by_cells, by_counts),
        )

    def _by_rate(
        self,
        state: _State,
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


# ---------------------------------------------------------------------------
# Histories under a family
# ---------------------------------------------------------------------------


class Forward(NamedTuple):
    """Predictives of all histories: row h is share[:, h] @ alpha + its entries."""

    states: list[_State]
    shares_of_parts: Floats  # (parts, H)
    share: Floats  # (J, H), J = parts x K
    entries: Floats


class Predictor:
    """The predictives of a family after the histories of a design.

    Parameters
    ----------
    design : Design
    discount : float or None
        What counts are faded by; None where that is a parameter of each call.
    """

    def __init__(self, design: Design, discount: float | None) -> None:
        self.design = design
        self.parts: list[Part] = list(design.parts.values())
        self.part_rows = [_PartRows(part.rows, design.n_tokens, discount) for part in self.parts]
        self._visited: list[csr_array] = [part.evidence.T.tocsr() for part in self.parts]
        # Entries of the active rows of each history, one part after the other.
        many = np.stack([np.diff(part.rows.starts)[part.active] for part in self.parts], axis=1)
        self.starts = np.concatenate([[0], np.cumsum(many.sum(axis=1))])
        begins = self.starts[:-1, np.newaxis] + np.cumsum(many, axis=1) - many
        n = int(self.starts[-1])
        self.columns = np.empty(n, dtype=np.int64)
        self._places: list[tuple[Ids, Ids, Ids]] = []  # of entries: here, of the part, the history
        for i, part in enumerate(self.parts):
            history = np.repeat(np.arange(design.n), many[:, i])
            within = np.arange(len(history)) - np.repeat(
                np.cumsum(many[:, i]) - many[:, i], many[:, i]
            )
            here, there = (
                begins[history, i] + within,
                part.rows.starts[part.active][history] + within,
            )
            self.columns[here] = part.rows.columns[there]
            self._places.append((here, there, history))

    def forward(self, parameters: Parameters) -> Forward:
        """Everything but the sums over tokens."""
        rate = -np.log(parameters.discount)
        states = [
            rows.forward(*prior, rate)
            for rows, prior in zip(self.part_rows, parameters.priors.values(), strict=True)
        ]
        shares = np.ones((1, self.design.n))
        if len(self.parts) == 2:
            evidence = [p.evidence @ s.evidence for p, s in zip(self.parts, states, strict=True)]
            with np.errstate(divide="ignore"):
                odds = np.log(parameters.weight) - np.log1p(-parameters.weight)
            odds = np.clip(odds + evidence[1] - evidence[0], -700.0, 700.0)
            shares = np.stack([1.0 / (1.0 + np.exp(odds)), 1.0 / (1.0 + np.exp(-odds))])
        share, entries = [], np.empty(len(self.columns))
        for i, (part, state) in enumerate(zip(self.parts, states, strict=True)):
            share.append(state.factors[:, part.active] * shares[i])
            here, there, history = self._places[i]
            added = (state.sums[part.active] * shares[i])[history]
            entries[here] = added * state.counts[there]
        return Forward(states, shares, np.concatenate(share), entries)

    def rows(self, found: Forward, temperature: float, chosen: Ids) -> Floats:
        """(chosen, V): the predictions after the chosen histories."""
        if temperature != 1.0:
            return np.exp(self.log_rows(found, temperature, chosen))
        p = self._untempered(found, chosen)
        return p / p.sum(axis=1, keepdims=True)

    def log_rows(self, found: Forward, temperature: float, chosen: Ids) -> Floats:
        """Their logarithms, finite at any temperature."""
        log_p = np.log(self._untempered(found, chosen)) / temperature
        log_p -= log_p.max(axis=1, keepdims=True)
        return log_p - np.log(np.exp(log_p).sum(axis=1, keepdims=True))

    def _untempered(self, found: Forward, chosen: Ids) -> Floats:
        """(chosen, V): the predictives, summing to 1 up to rounding."""
        p = found.share[:, chosen].T @ np.concatenate([state.alpha for state in found.states])
        many = np.diff(self.starts)[chosen]
        row = np.repeat(np.arange(len(chosen)), many)
        first = np.cumsum(many) - many
        entry = np.arange(len(row)) + (self.starts[chosen] - first)[row]
        np.add.at(p, (row, self.columns[entry]), found.entries[entry])
        return p

    def posterior(self, found: Forward, history: int) -> tuple[Floats, Floats]:
        """Weights and alpha of the next token's row: the components of each part's active row."""
        weights, alpha = [], []
        for part, state, share in zip(self.parts, found.states, found.shares_of_parts, strict=True):
            row = part.active[history]
            own = slice(part.rows.starts[row], part.rows.starts[row + 1])
            counts = np.zeros(self.design.n_tokens)
            counts[part.rows.columns[own]] = state.counts[own]
            weights.append(share[history] * state.responsibilities[:, row])
            alpha.append(state.alpha + counts)
        found_weights = np.maximum(np.concatenate(weights), 1e-300)
        return found_weights / found_weights.sum(), np.concatenate(alpha)

    def backward(
        self, found: Forward, by_share: Floats, by_entries: Floats
    ) -> tuple[list[_Slopes], float]:
        """Slopes of each part and by the log-odds of the last, from the kernel's."""
        of_parts = np.empty_like(found.shares_of_parts)
        kept = []
        start = 0
        for i, (part, state) in enumerate(zip(self.parts, found.states, strict=True)):
            here, there, history = self._places[i]
            own = by_share[start : start + len(state.concentration)]
            start += len(own)
            counts = state.counts[there]
            own = own + summed(history, by_entries[here] * counts, self.design.n)
            of_parts[i] = np.sum(state.factors[:, part.active] * own, axis=0)
            weight = found.shares_of_parts[i]
            by_factors = np.stack([summed(part.active, x, part.rows.n) for x in own * weight])
            added = by_entries[here] * (state.sums[part.active] * weight)[history]
            kept.append((by_factors, summed(there, added, len(part.rows.columns))))
        by_odds = np.zeros(self.design.n)
        if len(self.parts) == 2:
            by_odds = found.shares_of_parts[0] * found.shares_of_parts[1]
            by_odds = by_odds * (of_parts[1] - of_parts[0])
        signs = (-1.0, 1.0) if len(self.parts) == 2 else (0.0,)
        slopes = [
            rows.backward(state, by_factors, sign * (visited @ by_odds), by_counts)
            for rows, state, sign, visited, (by_factors, by_counts) in zip(
                self.part_rows, found.states, signs, self._visited, kept, strict=True
            )
        ]
        return slopes, float(by_odds.sum())


class Stopped(Exception):
    """Nobody waits for the value any more."""


class Objective:
    """Mean KL(model || predictive) over histories, as a function of the parameter vector.

    Parameters
    ----------
    predictor : Predictor
    layout : Layout
    log_probs
        (N, V) predictions of the model, natural logarithms.
    weights
        (N,) weights of the rows, summing to one.
    stop
        Once it is set, calls raise `Stopped`: no signal reaches a search in another thread.
    """

    def __init__(
        self,
        predictor: Predictor,
        layout: Layout,
        log_probs: NDArray[np.floating],
        weights: Floats,
        stop: Event | None = None,
    ) -> None:
        self.stop = Event() if stop is None else stop
        self.predictor, self.layout, self.log_probs = predictor, layout, log_probs
        group, n = predictor.design.group, predictor.design.n
        self.mass = np.zeros((n, predictor.design.n_tokens))  # sum of s q over equal histories
        self.constant = 1.0
        for rows in self._blocks():
            q, log_q = self._rows(rows)
            # less q, and 1 for p: not below 0 where rows sum to 1 to rounding only
            self.constant += float(weights[rows] @ np.sum(q * (log_q - 1.0), axis=1))
            np.add.at(self.mass, group[rows], weights[rows, np.newaxis] * q)
        self.weights = summed(group, weights, n)

    def _blocks(self) -> Iterator[slice]:
        """Cuts the rows."""
        n, width = self.log_probs.shape
        step = max(1, BLOCK_ENTRIES // width)
        return (slice(start, min(start + step, n)) for start in range(0, n, step))

    def _rows(self, rows: slice) -> tuple[Floats, Floats]:
        """Probabilities of the model, and their logarithms, with 0 for that of 0."""
        log_q = np.asarray(self.log_probs[rows], dtype=np.float64)
        q = np.exp(log_q)
        return q, np.where(q > 0.0, log_q, 0.0)

    def predictions(self, parameters: Parameters) -> Iterator[tuple[slice, Floats, Floats, Floats]]:
        """Blocks of rows: which, the model's probabilities, the predictive's, and the KL."""
        found = self.predictor.forward(parameters)
        for rows in self._blocks():
            q, log_q = self._rows(rows)
            group = self.predictor.design.group[rows]
            log_p = self.predictor.log_rows(found, parameters.temperature, group)
            p = np.exp(log_p)
            yield rows, q, p, np.sum(q * (log_q - log_p) - q + p, axis=1)

    def reweighted(self, weights: Floats) -> Objective:
        """The same with other weights of the rows."""
        return Objective(self.predictor, self.layout, self.log_probs, weights, self.stop)

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        """The objective in nats and its gradient at `theta`."""
        if self.stop.is_set():
            raise Stopped
        parameters = self.layout.unpack(theta)
        found = self.predictor.forward(parameters)
        alpha = np.concatenate([state.alpha for state in found.states])
        value, by_alpha, by_share, by_entries, by_power = _core.divergence(
            self.mass,
            alpha,
            found.share,
            self.predictor.starts,
            self.predictor.columns,
            found.entries,
            1.0 / parameters.temperature,
        )
        slopes, by_odds = self.predictor.backward(found, by_share, by_entries)
        gradient = np.empty(self.layout.size)
        n_components = self.layout.n_components
        for i, (part, own) in enumerate(zip(self.layout.parts, slopes, strict=True)):
            direct = by_alpha[i * n_components : (i + 1) * n_components]
            by_log_alpha = (direct + own.alpha) * found.states[i].alpha
            gradient[self.layout.prior(part)] = np.append(by_log_alpha.ravel(), own.logits)
        of_scalars = {
            "weight": by_odds,
            "discount": sum(own.rate for own in slopes) / self.layout.span,
            "temperature": -by_power / parameters.temperature,
        }
        for name, place in self.layout.scalars.items():
            gradient[place] = of_scalars[name]
        return self.constant + value, gradient
