"""Rows known in part beside a prior that is checked: all that is asked of them is asked lumped.

Contents
    RowsInPart     entropies, means and draws of such rows
    DrawsInPart    their draws, of which some fall into what a row does not list
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import _core
from ..._base.tokens import order_of
from ..._base.typing import Floats, Ids
from ...rows import PartialRows
from ..drawn import Draws, Looks
from ..smoothing import summed
from .listing import Listing, listing_of, missing


@dataclass(frozen=True)
class DrawsInPart(Draws):
    """Cells of N rows in the order in which they were drawn; V stands for what a row does not list.

    Attributes
    ----------
    listing : Listing
    """

    listing: Listing

    def counts(self, n: int, rows: Ids, n_tokens: int) -> tuple[Ids, Ids, Ids]:
        """As of `Draws`, with a token more."""
        return super().counts(n, rows, n_tokens + 1)

    def log_evidence(self, prior: Any, cells: tuple[Ids, Ids, Ids], rows: Ids) -> Floats:
        """Log-probability of the draws of some rows, as sequences of cells."""
        listing, n_tokens = self.listing.some(rows), prior.n_tokens
        place, token, count = cells
        listed = token < n_tokens
        values = count.astype(np.float64)
        others = summed(place[~listed], values[~listed], len(rows))
        indptr = np.searchsorted(place[listed], np.arange(len(rows) + 1))
        counts = _core.Counts(indptr, token[listed], values[listed], n_tokens)
        table = _core.evidence_table(prior, counts)
        joint = _core.count_log_joint(prior, counts, table, 0, len(rows))
        x = missing(listing, np.ascontiguousarray(prior.alpha.T))
        some = np.broadcast_to(others[:, np.newaxis], x.shape)
        total = summed(place, values, len(rows))[:, np.newaxis]
        joint += _core.lgamma_difference(x, some)
        joint -= _core.lgamma_difference(prior.concentration + (total - some), some)
        most = joint.max(axis=1)
        found: Floats = most + np.log(np.exp(joint - most[:, np.newaxis]).sum(axis=1))
        return found

    def means(self, means: Floats, fold: Ids, cells: tuple[Ids, Ids, Ids], rows: Ids) -> Floats:
        """What the mean row (F, V) of the row's fold has of each cell."""
        left = _left(self.listing.some(rows), means, fold[rows])
        listed = cells[1] < means.shape[1]
        column = np.where(listed, cells[1], 0)
        return np.where(listed, means[fold[rows][cells[0]], column], left[cells[0]])


@dataclass(frozen=True)
class RowsInPart:
    """Rows known in part, their columns in the order of a prior's tokens."""

    listing: Listing

    def __len__(self) -> int:
        return self.listing.n_rows

    @property
    def n_tokens(self) -> int:
        """V."""
        return self.listing.n_tokens

    @classmethod
    def of(cls, rows: PartialRows, numbers: Ids, prior: Any) -> RowsInPart:
        """Some rows that a caller handed in, beside a prior.

        Raises
        ------
        TypeError
            The prior is no mixture of Dirichlets, which alone can be lumped row by row.
        ValueError
            They are over other tokens.
        """
        if not isinstance(prior, _core.DirichletMixture):
            raise TypeError(
                f"a {type(prior).__name__} says nothing of rows known in part: make it a mixture "
                "of Dirichlets (prior.reduce(32)), or rows complete over answers (.group(vocab))"
            )
        if rows.n_tokens != prior.n_tokens:
            raise ValueError(
                f"rows have shape {rows.shape}; they need (N, {prior.n_tokens}), the tokens of "
                "the prior"
            )
        what = "the columns of rows and the prior's tokens"
        return cls(listing_of(rows[numbers], order_of(rows.tokens, prior.tokens, what)))

    def look(
        self, log_mean: Floats, fold: Ids, weights: Floats, n: int, rng: np.random.Generator
    ) -> Looks:
        """As that of `Rows`, each row lumped as it is."""
        rows = self.listing
        probs, rest = np.exp(rows.logs), np.where(rows.is_open, np.exp(rows.rest), 0.0)
        each = weights[rows.row]
        entropy = -summed(rows.row, probs * rows.logs, len(self))
        entropy -= np.where(rest > 0.0, rest * np.maximum(rows.rest, -800.0), 0.0)
        largest = np.where(rows.n_listed == 0, rest, 0.0)
        np.maximum.at(largest, rows.row, probs)
        cross = self.cross_entropy(log_mean[np.newaxis], np.zeros_like(fold))
        share = rows.share(weights)
        sums = np.stack(
            [rows.row_sum(np.where(fold == f, weights, 0.0), share) for f in range(fold.max() + 1)]
        )
        squares = summed(rows.columns, (each * probs) ** 2, self.n_tokens)
        return Looks(np.maximum(entropy, 0.0), largest, cross, sums, squares, self._draws(n, rng))

    def _draws(self, n: int, rng: np.random.Generator) -> DrawsInPart:
        rows = self.listing
        tokens, own = np.empty((len(self), n), dtype=np.int64), np.empty((len(self), n))
        for i, (start, stop) in enumerate(zip(rows.starts, rows.starts[1:], strict=False)):
            logs = np.append(rows.logs[start:stop], rows.rest[i] if rows.is_open[i] else -np.inf)
            cumulated = np.cumsum(np.exp(logs))
            at = cumulated.searchsorted(rng.random(n) * cumulated[-1], side="right")
            tokens[i] = np.append(rows.columns[start:stop], self.n_tokens)[at]
            own[i] = logs[at]
        return DrawsInPart(tokens, np.full(len(self), n), own, rows)

    def cross_entropy(self, log_means: Floats, fold: Ids) -> Floats:
        """As that of `Rows`."""
        rows = self.listing
        values = np.exp(rows.logs) * log_means[fold[rows.row], rows.columns]
        left = np.log(_left(rows, np.exp(log_means), fold))
        rest = np.where(rows.is_open, np.exp(rows.rest) * left, 0.0)
        found: Floats = -summed(rows.row, values, len(self)) - rest
        return found

    def as_these(self, logs: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """As that of `Rows`: of rows that are lumped as one of these would be, by the same tokens
        where all rows list the same, or else by as many of the largest."""
        rows, probs = self.listing, np.exp(logs)
        size = rows.n_listed
        fixed = bool((size == size[0]).all() and (np.ptp(_table(rows, size[0]), axis=0) == 0).all())
        entropy, largest = np.empty(len(probs)), np.empty(len(probs))
        for i, (row, k) in enumerate(zip(probs, rng.choice(size, len(probs)), strict=True)):
            top = rows.columns[:k] if fixed else np.argpartition(-row, min(k, len(row) - 1))[:k]
            cells = np.append(row[top], max(0.0, 1.0 - float(row[top].sum())))
            entropy[i] = -float((cells * np.log(np.maximum(cells, 1e-300))).sum())
            largest[i] = row[top].max() if k else 1.0
        return entropy, largest


def _table(rows: Listing, size: int) -> Ids:
    return rows.columns.reshape(rows.n_rows, int(size))


def _left(rows: Listing, means: Floats, fold: Ids) -> Floats:
    """What mean rows (F, V) have of the tokens that each row does not list."""
    found = missing(rows, np.ascontiguousarray(means.T))
    return np.take_along_axis(found, fold[:, np.newaxis], axis=1)[:, 0]
