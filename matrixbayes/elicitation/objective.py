"""Mean KL(model || predictive) of a family over histories, and its gradient.

Contents
    Predictor     the predictions of a family
    Objective     the function that `elicit_prior` minimises
    Stopped       raised by an objective that nobody waits for any more

A history's predictive is that of its active row; with two parts, of each part's active row,
weighted by the prior weight times the evidence of all rows that the history visited under that
part.  Where counts fade, the evidence is that of the faded counts.

The objective is sum s sum_v q_v ln(q_v / p_v) for predictions q of weight s.  It is linear in q, so
equal histories are one.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._base.typing import Floats, Ids
from ..rows.kl import kl_nats
from .design import BLOCK_ENTRIES, Design, Part, row_sums, spread, summed
from .factored import FactoredDivergence
from .parameters import Layout, Parameters
from .part_rows import PartRows, Slopes, State

if TYPE_CHECKING:
    from scipy.sparse import csr_array


ENTRY_COST = 10  # of an entry of factored rows, in numbers that the kernel passes over


class Forward(NamedTuple):
    """Predictives of all histories: row h is share[:, h] @ alpha + its entries."""

    states: list[State]
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
        self.part_rows = [PartRows(part.rows, design.n_tokens, discount) for part in self.parts]
        self._visited: list[csr_array] = [part.evidence.T.tocsr() for part in self.parts]
        # Entries of the active rows of each history, one part after the other.
        many = np.stack([np.diff(part.rows.starts)[part.active] for part in self.parts], axis=1)
        self.starts = np.concatenate([[0], np.cumsum(many.sum(axis=1))])
        begins = self.starts[:-1, np.newaxis] + np.cumsum(many, axis=1) - many
        n = int(self.starts[-1])
        self.columns = np.empty(n, dtype=np.int64)
        self._places: list[tuple[Ids, Ids, Ids]] = []  # of entries: here, of the part; their starts
        for i, part in enumerate(self.parts):
            starts = np.concatenate([[0], np.cumsum(many[:, i])])
            within = np.arange(starts[-1]) - spread(starts, starts[:-1])
            here = spread(starts, begins[:, i]) + within
            there = spread(starts, part.rows.starts[part.active]) + within
            self.columns[here] = part.rows.columns[there]
            self._places.append((here, there, starts))

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
            here, there, starts = self._places[i]
            added = spread(starts, state.sums[part.active] * shares[i])
            entries[here] = added * state.counts[there]
        return Forward(states, shares, np.concatenate(share), entries)

    def rows(self, found: Forward, temperature: float, chosen: Ids) -> Floats:
        """(chosen, V): the predictions after the chosen histories."""
        if temperature == 1.0:
            p = self._untempered(found, chosen)
            p /= p.sum(axis=1, keepdims=True)
        else:
            p = np.exp(self.log_rows(found, temperature, chosen))
        return p

    def log_rows(self, found: Forward, temperature: float, chosen: Ids) -> Floats:
        """Their logarithms, finite at any temperature."""
        log_p: Floats = np.log(self._untempered(found, chosen)) / temperature
        log_p -= log_p.max(axis=1, keepdims=True)
        log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
        return log_p

    def _untempered(self, found: Forward, chosen: Ids) -> Floats:
        """(chosen, V): the predictives, summing to 1 up to rounding."""
        alpha = np.concatenate([state.alpha for state in found.states])
        p: Floats = found.share[:, chosen].T @ alpha
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
    ) -> tuple[list[Slopes], float]:
        """Slopes of each part and by the log-odds of the last, from the kernel's."""
        of_parts = np.empty_like(found.shares_of_parts)
        kept = []
        start = 0
        for i, (part, state) in enumerate(zip(self.parts, found.states, strict=True)):
            here, there, starts = self._places[i]
            own = by_share[start : start + len(state.concentration)]
            start += len(own)
            slopes_here = by_entries[here]
            own = own + row_sums(starts, slopes_here * state.counts[there])
            of_parts[i] = np.sum(state.factors[:, part.active] * own, axis=0)
            weight = found.shares_of_parts[i]
            by_factors = np.stack([summed(part.active, x, part.rows.n) for x in own * weight])
            added = slopes_here * spread(starts, state.sums[part.active] * weight)
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
        self._factored: FactoredDivergence | None = None
        one_dirichlet = len(layout.parts) * layout.n_components == 1
        if one_dirichlet and ENTRY_COST * len(predictor.columns) < self.mass.size:
            self._factored = FactoredDivergence(self.mass, predictor.starts, predictor.columns)

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
            yield rows, q, p, kl_nats(q, log_q, p, log_p)

    def reweighted(self, weights: Floats) -> Objective:
        """The same with other weights of the rows."""
        return Objective(self.predictor, self.layout, self.log_probs, weights, self.stop)

    def sums_over_tokens(
        self, found: Forward, power: float
    ) -> tuple[float, Floats, Floats, Floats, float]:
        """The objective less its constant; slopes by alpha, shares, entries and the power."""
        alpha = np.concatenate([state.alpha for state in found.states])
        if self._factored is not None:
            return self._factored(alpha, found.share, found.entries, power)
        starts, columns = self.predictor.starts, self.predictor.columns
        return _core.divergence(
            self.mass, alpha, found.share, starts, columns, found.entries, power
        )

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        """The objective in nats and its gradient at `theta`."""
        if self.stop.is_set():
            raise Stopped
        parameters = self.layout.unpack(theta)
        found = self.predictor.forward(parameters)
        value, by_alpha, by_share, by_entries, by_power = self.sums_over_tokens(
            found, 1.0 / parameters.temperature
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
