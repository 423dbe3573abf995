"""The divergence of `_core.divergence` where one Dirichlet stands behind every row.

A predictive is then share_i alpha_v but at its row's entries, and its logarithm a sum elsewhere.
So the model's rows count by their sums over rows, over tokens and at entries: these are taken once,
and an evaluation costs what the entries cost, not rows times tokens.
"""

from __future__ import annotations

import numpy as np

from .._base.typing import Floats, Ids
from .rows import BLOCK_ENTRIES, row_sums, spread, summed


class FactoredDivergence:
    """-sum mass ln p and its derivatives, for many alpha, shares, entries and powers.

    Sums elsewhere are the sums less those at entries: entries are not far below share_i alpha_v,
    as those of counts are, unless all alpha are equal.

    Parameters
    ----------
    mass : ndarray
        (n, V) the model's rows times their weights.
    starts, columns : ndarray of int
        (n + 1,) and (E,): which tokens of a row have entries, none of them twice.
    """

    def __init__(self, mass: Floats, starts: Ids, columns: Ids) -> None:
        n, n_tokens = mass.shape
        self.starts, self.columns = starts, columns
        row = spread(starts, np.arange(n))
        self.total = mass.sum(axis=1)
        self.mass_at_entries = mass[row, columns]
        # Elsewhere: summed without the entries, not lessened by them, so that nothing cancels.
        self.mass_by_token, self.mass_by_row = np.zeros(n_tokens), np.zeros(n)
        step = max(1, BLOCK_ENTRIES // n_tokens)
        for first in range(0, n, step):
            block = mass[first : first + step].copy()
            own = slice(starts[first], starts[first + len(block)])
            block[row[own] - first, columns[own]] = 0.0
            self.mass_by_token += block.sum(axis=0)
            self.mass_by_row[first : first + step] = block.sum(axis=1)

    def __call__(
        self, alpha: Floats, share: Floats, entries: Floats, power: float
    ) -> tuple[float, Floats, Floats, Floats, float]:
        """What `_core.divergence` returns, for alpha (1, V) and share (1, n)."""
        (alpha,), (share,) = alpha, share
        starts, columns = self.starts, self.columns
        share = np.maximum(share, 1e-300)  # 0 where there is no token but the entries'
        log_alpha, log_share = np.log(alpha), np.log(share)
        log_p = np.log(entries)
        cross = self.mass_by_token @ log_alpha + self.mass_by_row @ log_share
        cross += self.mass_at_entries @ log_p

        # Powers, over the highest of their row: at entries, and of alpha and share elsewhere.
        highest = log_alpha.max()
        top = self._at_least(log_share + highest, log_p)
        powers = np.exp(power * (log_p - spread(starts, top)))
        of_alpha = np.exp(power * (log_alpha - highest))
        of_share = np.exp(power * (log_share + highest - top))
        taken = of_alpha[columns]
        left = np.maximum(of_alpha.sum() - row_sums(starts, taken), 0.0)
        norm = of_share * left + row_sums(starts, powers)
        value = self.total @ (np.log(norm) + power * top) - power * cross

        # The slope of an entry is its row's total times q, less its mass, by ln p.
        of_share *= self.total / norm
        q = powers * spread(starts, self.total / norm)
        by_entries = power * (q - self.mass_at_entries) / entries
        reach = of_share.sum() - summed(columns, spread(starts, of_share), len(alpha))
        by_alpha = power * (of_alpha * np.maximum(reach, 0.0) - self.mass_by_token) / alpha
        by_share = power * (of_share * left - self.mass_by_row) / share
        weighted_log = of_alpha @ log_alpha - row_sums(starts, taken * log_alpha[columns])
        of_logs = of_share @ (left * log_share + weighted_log) + q @ log_p
        by_power = float(of_logs - cross)
        return float(value), by_alpha[np.newaxis], by_share[np.newaxis], by_entries, by_power

    def _at_least(self, values: Floats, of_entries: Floats) -> Floats:
        """The values of rows, or the largest among their entries where that is larger."""
        filled = np.flatnonzero(np.diff(self.starts))
        if len(filled):
            most = np.maximum.reduceat(of_entries, self.starts[filled])
            values[filled] = np.maximum(values[filled], most)
        return values
