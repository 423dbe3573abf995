"""Mean KL(model || predictive) of a family over histories, and its gradient.

Contents
    Predictor     the predictions of a family
    Objective     the function that `elicit_prior` minimises
    Stopped       raised by an objective that nobody waits for any more

A history's predictive is that of its parts, weighted by the prior weight times the evidence of all
that the history shows under each.  Where counts fade, the evidence is that of the faded counts.

The objective is sum s sum_v q_v ln(q_v / p_v) for predictions q of weight s.  It is linear in q, so
equal histories are one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from threading import Event
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._base.typing import Floats, Ids
from ..rows.kl import kl_nats
from ..sources.factored import FactoredDivergence
from ..sources.rows import BLOCK_ENTRIES, row_sums, summed
from ..sources.seen import Seen
from .design import Design
from .parameters import Layout, Parameters

LEAST = 1e-300  # of a prediction: what balances may hold a token for impossible
ENTRY_COST = 10  # of an entry of factored rows, in numbers that the kernel passes over


class Forward(NamedTuple):
    """Predictives of all histories: row h is share[:, h] @ bases, but for its entries."""

    parts: list[Seen]
    shares_of_parts: Floats  # (parts, H)
    log_evidence: Floats  # (H,), of the histories
    bases: Floats  # (J, V), those of the parts, and ones where any part has them
    share: Floats  # (J, H)
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
        self.sources = design.sources(discount)
        self.starts, self.columns = design.entries
        self._history = design.entries.history  # of each entry
        names = design.names.values()
        with_bases = any(part.is_mixture or part.has_base for part in names)
        self.has_even = any(part.is_even for part in names) or not with_bases

    def n_bases(self, n_components: int) -> int:
        """J."""
        names = self.design.names.values()
        many = sum(n_components if part.is_mixture else part.has_base for part in names)
        return many + self.has_even

    def forward(self, parameters: Parameters) -> Forward:
        """Everything but the sums over tokens."""
        rate = -np.log(parameters.discount)
        parts = [
            source.forward(prior, rate)
            for source, prior in zip(self.sources, parameters.priors.values(), strict=True)
        ]
        with np.errstate(divide="ignore"):
            joint = np.log(parameters.shares)[:, np.newaxis] + [own.evidence for own in parts]
        top = joint.max(axis=0)
        shares = np.exp(np.maximum(joint - top, -700.0))
        total = shares.sum(axis=0)
        shares /= total
        bases = [own.bases for own in parts]
        share = [own.share * weight for own, weight in zip(parts, shares, strict=True)]
        if len(parts) == 1 and not self.has_even:
            entries = np.maximum(parts[0].entries, LEAST)
            return Forward(parts, shares, top, bases[0], parts[0].share, entries)
        if self.has_even:
            bases.append(np.ones((1, self.design.n_tokens)))
            even = sum(own.even * weight for own, weight in zip(parts, shares, strict=True))
            share.append(np.asarray(even)[np.newaxis])
        entries = np.zeros(len(self.columns))
        for own, weight in zip(parts, shares, strict=True):
            entries += own.entries * weight[self._history]
        np.maximum(entries, LEAST, out=entries)
        evidence = top + np.log(total)
        return Forward(
            parts, shares, evidence, np.concatenate(bases), np.concatenate(share), entries
        )

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
        p: Floats = found.share[:, chosen].T @ found.bases
        many = np.diff(self.starts)[chosen]
        row = np.repeat(np.arange(len(chosen)), many)
        first = np.cumsum(many) - many
        entry = np.arange(len(row)) + (self.starts[chosen] - first)[row]
        p[row, self.columns[entry]] = found.entries[entry]
        return p

    def posterior(self, found: Forward, history: int) -> tuple[Floats, Floats]:
        """Weights and alpha of the next token's row: the components of each part."""
        weights, alpha = [], []
        for source, own, share in zip(
            self.sources, found.parts, found.shares_of_parts, strict=True
        ):
            of_part, its_alpha = source.rows_after(own, history)
            weights.append(share[history] * of_part)
            alpha.append(its_alpha)
        found_weights = np.maximum(np.concatenate(weights), 1e-300)
        return found_weights / found_weights.sum(), np.concatenate(alpha)

    def backward(
        self, found: Forward, by_bases: Floats, by_share: Floats, by_entries: Floats
    ) -> tuple[list[Floats], float, Floats]:
        """Slopes of each part, by the rate of fading, and by the log-odds of the parts."""
        parts, weights = found.parts, found.shares_of_parts
        by_even = by_share[-1] if self.has_even else np.zeros(self.design.n)
        of_parts = np.empty_like(weights)
        firsts = np.cumsum([0, *(len(own.bases) for own in parts)])
        kernels = [slice(a, b) for a, b in pairwise(firsts.tolist())]
        if len(parts) == 1:
            by = Seen(by_bases, by_share, by_even, by_entries, np.zeros(self.design.n))
            gradient, by_rate = self.sources[0].backward(parts[0], by)
            return [gradient], by_rate, np.zeros(1)
        for i, (own, kernel) in enumerate(zip(parts, kernels, strict=True)):
            of_parts[i] = np.sum(own.share * by_share[kernel], axis=0) + own.even * by_even
            of_parts[i] += row_sums(self.starts, own.entries * by_entries)
        by_logits = weights * (of_parts - np.sum(weights * of_parts, axis=0))
        slopes, by_rate = [], 0.0
        for i, (source, own, kernel) in enumerate(zip(self.sources, parts, kernels, strict=True)):
            weight = weights[i]
            by = Seen(
                by_bases[kernel],
                by_share[kernel] * weight,
                by_even * weight,
                by_entries * weight[self._history],
                by_logits[i],
            )
            gradient, own_rate = source.backward(own, by)
            slopes.append(gradient)
            by_rate += own_rate
        return slopes, by_rate, by_logits.sum(axis=1)


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
        few = ENTRY_COST * len(predictor.columns) < self.mass.size
        if few and n > 0 and predictor.n_bases(layout.n_components) == 1:
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
        """The objective less its constant; slopes by bases, shares, entries and the power."""
        if self._factored is not None:
            return self._factored(found.bases, found.share, found.entries, power)
        starts, columns = self.predictor.starts, self.predictor.columns
        return _core.divergence(
            self.mass, found.bases, found.share, starts, columns, found.entries, power
        )

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        """The objective in nats and its gradient at `theta`."""
        if self.stop.is_set():
            raise Stopped
        parameters = self.layout.unpack(theta)
        found = self.predictor.forward(parameters)
        value, by_bases, by_share, by_entries, by_power = self.sums_over_tokens(
            found, 1.0 / parameters.temperature
        )
        slopes, by_rate, by_logits = self.predictor.backward(found, by_bases, by_share, by_entries)
        gradient = np.empty(self.layout.size)
        for part, own in zip(self.layout.parts, slopes, strict=True):
            gradient[self.layout.prior(part)] = own
        of_scalars = dict(zip(self.layout.weight_names, by_logits[1:], strict=True))
        of_scalars["discount"] = by_rate / self.layout.span
        of_scalars["temperature"] = -by_power / parameters.temperature
        for name, place in self.layout.scalars.items():
            gradient[place] = of_scalars[name]
        return self.constant + value, gradient
