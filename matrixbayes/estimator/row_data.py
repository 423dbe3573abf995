"""Rows of log-probabilities as EM sees them: zeros, passes over blocks, points to start from."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._base import parallel
from .._base.typing import Floats
from ..mixture import DirichletMixture

FLOOR = 1e-12  # what zeros="floor" puts in the place of a smaller probability


@dataclass(frozen=True)
class RowData:
    """Rows of log-probabilities (N, V), their weights, and who works on them."""

    log_probs: NDArray[np.floating]
    weights: Floats | None
    pool: tuple[Executor | None, int]

    @property
    def n_rows(self) -> int:
        """N."""
        return len(self.log_probs)

    @property
    def n_tokens(self) -> int:
        """V."""
        return int(self.log_probs.shape[1])

    @property
    def total_weight(self) -> float:
        """Sum of the rows' weights."""
        return float(len(self.log_probs) if self.weights is None else self.weights.sum())

    def expectation(self, mixture: DirichletMixture) -> _core.SufficientStatistics:
        """The E-step: one pass over the rows."""

        def arguments() -> Iterator[tuple[Any, ...]]:
            for cut in parallel.blocks(len(self.log_probs), mixture.alpha.size):
                weights = None if self.weights is None else self.weights[cut]
                yield mixture, np.ascontiguousarray(self.log_probs[cut]), weights

        return parallel.merge(parallel.in_order(self.pool, _core.expectation, arguments()))

    def posterior(self, mixture: DirichletMixture) -> tuple[Floats, Floats]:
        """Probability of each component given each row (N, K), and its log-density (N,)."""
        return (
            mixture.responsibilities(self.log_probs, kind="log_probs"),
            mixture.log_prob(self.log_probs, kind="log_probs"),
        )

    def some(self, rows: NDArray[np.intp]) -> RowData:
        """Some rows, in rising order, as data of their own."""
        if len(rows) == self.n_rows:
            return self
        weights = None if self.weights is None else self.weights[rows]
        return RowData(self.log_probs[rows], weights, self.pool)

    def accumulate(self, responsibilities: Floats) -> _core.SufficientStatistics:
        """Statistics of the rows under given responsibilities (N, K)."""
        share = responsibilities
        if self.weights is not None:
            share = share * self.weights[:, np.newaxis]

        def arguments() -> Iterator[tuple[Any, ...]]:
            for cut in parallel.blocks(self.n_rows, self.n_tokens * share.shape[1]):
                yield np.ascontiguousarray(self.log_probs[cut]), share[cut]

        return parallel.merge(parallel.in_order(self.pool, _core.accumulate, arguments()))

    def points(self) -> Iterator[NDArray[np.floating]]:
        """Where the rows are when they are grouped: several ways to see them.

        Centred log-probabilities, Aitchison's geometry of the simplex, in which components that
        overlap are told apart; and the logarithms of p + c / V, where what is rare is all the
        same: its noise drowns components that are far from each other.
        """
        centred = np.maximum(self.log_probs, -1e9)  # squares stay finite
        centred -= centred.mean(axis=1, keepdims=True)
        yield centred
        del centred
        for shift in (0.03, 0.1, 0.3):
            probs = np.exp(self.log_probs)
            probs += shift / self.n_tokens
            yield np.log(probs, out=probs)

    def rough_alpha(
        self, statistics: _core.SufficientStatistics, max_concentration: float
    ) -> Floats:
        """Dirichlet parameters near the maximum, from statistics.

        Stirling's formula turns the likelihood equations into
        A = (V - 1) / 2 / -ln sum_v exp(mean_log_v), after Minka (2000); then
        psi(alpha_v) = psi(A) + mean_log_v.
        """
        mean_log = statistics.log_sums / np.maximum(statistics.weight, 1e-300)[:, np.newaxis]
        nobody = statistics.weight == 0.0
        mean_log[nobody] = statistics.log_sums.sum(axis=0) / statistics.weight.sum()
        spread = -np.log(np.exp(mean_log).sum(axis=1))
        total = 0.5 * (mean_log.shape[1] - 1) / np.maximum(spread, 1e-300)
        total = np.clip(total, 1e-6, max_concentration)
        alpha = _core.inverse_digamma(_core.digamma(total)[:, np.newaxis] + mean_log)
        return np.maximum(alpha, 1e-300)


def without_zeros(
    log_probs: NDArray[np.floating], n_zeros: int | None, policy: str
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Rows without exact zeros, and which rows they are.

    Parameters
    ----------
    log_probs : ndarray of shape (N, V)
    n_zeros : int
        How many rows hold one.
    policy : {"error", "floor", "drop"}
        See `DirichletMixtureEstimator`.
    """
    kept = np.ones(len(log_probs), dtype=bool)
    if n_zeros == 0:
        return log_probs, kept
    if policy == "error":
        count, row, column = _core.check_log_probs(log_probs)
        raise ValueError(
            f"{count} of {len(log_probs)} rows hold an exact zero, where a Dirichlet has no "
            f"likelihood; the first is row {row}, column {column}.  Give log-probabilities from "
            "before they underflowed, or a coarser vocabulary; or choose zeros='floor' (at least "
            f"{FLOOR:g} for every token) or zeros='drop' (those rows left out)"
        )
    hit = np.asarray(np.isneginf(log_probs).any(axis=1))
    if policy == "drop":
        return log_probs[~hit], np.logical_not(hit)
    floored = np.array(log_probs)
    raised = np.maximum(floored[hit].astype(np.float64), np.log(FLOOR))
    floored[hit] = raised - np.log(np.exp(raised).sum(axis=1, keepdims=True))
    return floored, kept
