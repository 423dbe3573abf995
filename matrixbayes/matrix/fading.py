"""Counts that fade: a row's counts are multiplied by gamma before each new token is added.

Real numbers that depend on the order of the tokens.  Same questions as `_core.TransitionCounts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._base.typing import Floats, Ids
from .._core import FadingCounts, TransitionCounts
from .documents import Texts


class RealCounts:
    """Real counts of tokens after contexts of `order` tokens; they never change."""

    def __init__(self, order: int, n_tokens: int, discount: float = 1.0) -> None:
        self._counts = FadingCounts(order, n_tokens, discount)

    @classmethod
    def of(cls, counts: TransitionCounts) -> RealCounts:
        """From whole counts, which do not fade."""
        contexts, indptr, tokens, times = counts.all()
        each = np.repeat(contexts, np.diff(indptr), axis=0)
        return cls(counts.order, counts.n_tokens).with_rows(each, tokens, times)

    @classmethod
    def from_arrays(
        cls, order: int, n_tokens: int, discount: float, arrays: Sequence[NDArray[Any]]
    ) -> RealCounts:
        """From what `arrays` gives, or `all`; checked."""
        return cls._over(FadingCounts.from_arrays(order, n_tokens, discount, arrays))

    @classmethod
    def _over(cls, counts: FadingCounts) -> RealCounts:
        new = object.__new__(cls)
        new._counts = counts
        return new

    @property
    def order(self) -> int:
        """Tokens in a context."""
        return self._counts.order

    @property
    def n_tokens(self) -> int:
        """Size of the vocabulary."""
        return self._counts.n_tokens

    @property
    def discount(self) -> float:
        """What a row is multiplied by before a token of it is counted."""
        return self._counts.discount

    def with_discount(self, discount: float) -> RealCounts:
        """The same as they are now, which fade in another way from now on."""
        return self.from_arrays(self.order, self.n_tokens, discount, self.all())

    def empty(self) -> RealCounts:
        """The same without a count."""
        return RealCounts(self.order, self.n_tokens, self.discount)

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "_rows" in state:  # of an older version: a dictionary for each context
            state = {"_counts": _of_dictionaries(**state)}
        vars(self).update(state)

    # -- changes, each as new counts --------------------------------------------

    def with_documents(self, documents: Sequence[Ids]) -> RealCounts:
        """After the tokens with a whole context, in their order."""
        counts = self._counts.copy()
        texts = Texts.of(documents)
        counts.update(texts.tokens, texts.starts, texts.ends)
        return self._over(counts)

    def with_rows(
        self, contexts: NDArray[Any], tokens: NDArray[Any], times: NDArray[Any]
    ) -> RealCounts:
        """With more of each pair."""
        counts = self._counts.copy()
        counts.update_rows(contexts, tokens, times.astype(np.float64))
        return self._over(counts)

    def with_counts(self, more: RealCounts) -> RealCounts:
        """With the counts of others, as they are now."""
        counts = self._counts.copy()
        counts.merge(more._counts)
        return self._over(counts)

    def scaled(self, factor: float, contexts: Ids | None) -> RealCounts:
        """Every row, or those of some contexts, multiplied by a factor."""
        counts = self._counts.copy()
        counts.scale(factor, contexts)
        return self._over(counts)

    # -- questions ----------------------------------------------------------------

    @property
    def n_observed(self) -> float:
        """The sum of all counts."""
        return self._counts.n_observed

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self._counts.nbytes

    def sizes(self) -> tuple[int, int]:
        """How many contexts and how many pairs have a count."""
        return self._counts.sizes()

    def counts(self, contexts: Ids, tokens: Ids) -> Floats:
        """Of each pair, (n,)."""
        return self._counts.counts(contexts, tokens)

    def totals(self, contexts: Ids) -> Floats:
        """The sums of rows, (n,)."""
        return self._counts.totals(contexts)

    def rows(self, contexts: Ids) -> tuple[Ids, NDArray[np.uint32], Floats]:
        """Rows as (indptr, tokens, counts); tokens rise within a row."""
        return self._counts.rows(contexts)

    def all(self) -> tuple[Ids, Ids, Ids, Floats]:
        """Every row, as (contexts, indptr, tokens, counts); contexts rise."""
        return self._counts.all()

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The same in arrays that round nothing."""
        return self._counts.arrays()

    def log_evidence(
        self, documents: Sequence[Ids], weights: Floats, concentration: Floats, alpha: Floats
    ) -> float:
        """Of the tokens with a whole context, each counted before the next is scored."""
        return self._counts.log_evidence(list(documents), weights, concentration, alpha)


def _of_dictionaries(
    order: int, n_tokens: int, _rows: dict[tuple[int, ...], dict[int, float]]
) -> FadingCounts:
    """From {context: {token: count}}; the discount is not told."""
    pairs = [(context, token, n) for context, row in _rows.items() for token, n in row.items()]
    counts = FadingCounts(order, n_tokens, 1.0)
    counts.update_rows(
        np.array([context for context, _, _ in pairs], dtype=np.int64).reshape(-1, order),
        np.array([token for _, token, _ in pairs], dtype=np.int64),
        np.array([n for _, _, n in pairs], dtype=np.float64),
    )
    return counts
