"""Counts that fade: a row's counts are multiplied by gamma before each new token is added.

Real numbers that depend on the order of the tokens: kept in dictionaries, a row at a time.  Same
questions as `_core.TransitionCounts`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._core import TransitionCounts

__all__ = ["RealCounts"]

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
Row = dict[int, float]

BYTES_A_ROW, BYTES_A_PAIR = 300, 130  # of a dictionary and its numbers, about
VANISHED = 1e-300  # a count below this is none


class RealCounts:
    """Real counts of tokens after contexts of `order` tokens."""

    def __init__(self, order: int, n_tokens: int, rows: dict[tuple[int, ...], Row] | None = None):
        self.order, self.n_tokens = order, n_tokens
        self._rows = {} if rows is None else rows

    @classmethod
    def of(cls, counts: TransitionCounts) -> RealCounts:
        """From whole counts."""
        contexts, indptr, tokens, times = counts.all()
        arrays = (contexts, indptr, tokens, times.astype(np.float64))
        return cls.from_arrays(counts.order, counts.n_tokens, arrays)

    @classmethod
    def from_arrays(cls, order: int, n_tokens: int, arrays: Sequence[NDArray[Any]]) -> RealCounts:
        """From what `all` gives, checked."""
        contexts, indptr, tokens, times = arrays
        if contexts.ndim != 2 or contexts.shape[1] != order or contexts.dtype.kind not in "iu":
            raise ValueError(f"contexts have shape {contexts.shape}; they need (n, {order})")
        if indptr.shape != (len(contexts) + 1,) or tokens.ndim != 1 or tokens.shape != times.shape:
            raise ValueError("the arrays of the rows have no matching shapes")
        if indptr[0] != 0 or indptr[-1] != len(tokens) or (np.diff(indptr) <= 0).any():
            raise ValueError("the rows do not begin where the last ones end")
        for name, numbers in (("contexts", contexts), ("tokens", tokens)):
            if numbers.size and not 0 <= int(numbers.min()) <= int(numbers.max()) < n_tokens:
                raise ValueError(f"{name} are not from 0 to {n_tokens - 1}")
        if not (np.isfinite(times) & (times > 0.0)).all():
            raise ValueError("a count is not positive and finite")
        rows = {}
        for i, context in enumerate(contexts.tolist()):
            cut = slice(indptr[i], indptr[i + 1])
            rows[tuple(context)] = dict(zip(tokens[cut].tolist(), times[cut].tolist(), strict=True))
        if len(rows) != len(contexts) or sum(map(len, rows.values())) != len(tokens):
            raise ValueError("a context, or a token of a row, is there twice")
        return cls(order, n_tokens, rows)

    def _changed(self, rows: dict[tuple[int, ...], Row]) -> RealCounts:
        """These with some rows replaced."""
        kept = {context: row for context, row in (self._rows | rows).items() if row}
        return RealCounts(self.order, self.n_tokens, kept)

    # -- changes, each as new counts --------------------------------------------

    def with_documents(self, documents: Sequence[Ids], discount: float) -> RealCounts:
        """After the tokens with a whole context, in their order."""
        changed: dict[tuple[int, ...], Row] = {}
        for document in documents:
            text = document.tolist()
            for t in range(self.order, len(text)):
                row = self._own_row(changed, tuple(text[t - self.order : t]))
                _observe(row, text[t], discount)
        return self._changed(changed)

    def _own_row(self, changed: dict[tuple[int, ...], Row], context: tuple[int, ...]) -> Row:
        """The row of a context among those that change, copied there the first time."""
        if context not in changed:
            changed[context] = dict(self._rows.get(context, {}))
        return changed[context]

    def with_rows(self, contexts: Ids, tokens: Ids, times: NDArray[Any]) -> RealCounts:
        """With more of each pair."""
        changed: dict[tuple[int, ...], Row] = {}
        for context, token, n in zip(
            map(tuple, contexts.tolist()), tokens.tolist(), times.tolist(), strict=True
        ):
            row = self._own_row(changed, context)
            if n > 0.0:
                row[token] = row.get(token, 0.0) + n
        return self._changed(changed)

    def copy(self) -> RealCounts:
        """Counts of their own, for `observe`."""
        return RealCounts(self.order, self.n_tokens, {c: dict(r) for c, r in self._rows.items()})

    def observe(self, context: tuple[int, ...], token: int, discount: float) -> None:
        """Count one token, in place."""
        _observe(self._rows.setdefault(context, {}), token, discount)

    def scaled(self, factor: float, contexts: Ids | None) -> RealCounts:
        """Every row, or those of some contexts, multiplied by a factor."""
        chosen = self._rows if contexts is None else map(tuple, contexts.tolist())
        return self._changed(
            {
                context: _scaled(self._rows[context], factor)
                for context in chosen
                if context in self._rows
            }
        )

    # -- questions ----------------------------------------------------------------

    @property
    def n_observed(self) -> float:
        """The sum of all counts."""
        return math.fsum(n for row in self._rows.values() for n in row.values())

    @property
    def nbytes(self) -> int:
        """Bytes of memory, about."""
        return BYTES_A_ROW * len(self._rows) + BYTES_A_PAIR * self.sizes()[1]

    def sizes(self) -> tuple[int, int]:
        """How many contexts and how many pairs have a count."""
        return len(self._rows), sum(map(len, self._rows.values()))

    def counts(self, contexts: Ids, tokens: Ids) -> Floats:
        """Of each pair, (n,)."""
        found = (
            self._rows.get(context, {}).get(token, 0.0)
            for context, token in zip(map(tuple, contexts.tolist()), tokens.tolist(), strict=True)
        )
        return np.fromiter(found, dtype=np.float64, count=len(tokens))

    def totals(self, contexts: Ids) -> Floats:
        """The sums of rows, (n,)."""
        rows = (self._rows.get(tuple(context), {}) for context in contexts.tolist())
        found = (math.fsum(row.values()) for row in rows)  # the same in whatever order
        return np.fromiter(found, dtype=np.float64, count=len(contexts))

    def rows(self, contexts: Ids) -> tuple[Ids, Ids, Floats]:
        """Rows as (indptr, tokens, counts); tokens rise within a row."""
        rows = [sorted(self._rows.get(tuple(context), {}).items()) for context in contexts.tolist()]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)])
        tokens = np.array([token for row in rows for token, _ in row], dtype=np.int64)
        return indptr, tokens, np.array([n for row in rows for _, n in row], dtype=np.float64)

    def all(self) -> tuple[Ids, Ids, Ids, Floats]:
        """Every row, as (contexts, indptr, tokens, counts)."""
        contexts = np.array(sorted(self._rows), dtype=np.int64).reshape(-1, self.order)
        return (contexts, *self.rows(contexts))


def _observe(row: Row, token: int, discount: float) -> None:
    """A new token of a row, whose counts fade first."""
    if discount < 1.0:
        for seen in list(row):
            row[seen] *= discount
            if row[seen] < VANISHED:
                del row[seen]
    row[token] = row.get(token, 0.0) + 1.0


def _scaled(row: Row, factor: float) -> Row:
    return {token: n * factor for token, n in row.items() if n * factor >= VANISHED}
