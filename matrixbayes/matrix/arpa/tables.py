"""The table of a matrix's rows, for its n-grams.

Contents
    table_of     the `BackoffTable` of rows of any kind that has one
    of_counts    that of a hierarchy's counts, whatever they are of
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._base.typing import Ids
from ..._core import BackoffTable
from ..backoff import BackoffRows
from ..counts import BLOCK, pairs
from ..shared import SharedRows
from ..tree import TreeRows

ALL = 1 << 62  # tokens that are asked about: a table pays


def table_of(rows: Any) -> BackoffTable:
    """The table of rows.

    Raises
    ------
    ValueError
        Their probabilities are no products of n-grams' and back-off weights.
    """
    if isinstance(rows, TreeRows):
        raise ValueError(
            "a tree of contexts has no back-off weights: what a context does not list depends on "
            "all shorter ones.  Hierarchies and rows with discounts have them"
        )
    if isinstance(rows, SharedRows):
        return _plain(rows)
    table: BackoffTable | None = rows.table(ALL)
    return of_counts(rows) if table is None else table


def of_counts(rows: BackoffRows) -> BackoffTable:
    """The table of counts of any origin, context by context.

    What longer contexts begin with is listed, where it was not seen too: counts of rows that were
    made elsewhere know nothing of it.
    """
    levels: list[tuple[Any, ...]] = []
    longer = np.zeros((0, rows.levels.order + 1), dtype=np.int64)
    for level in range(rows.levels.order, 0, -1):
        seen, token, _ = pairs(rows.levels.counts[level])
        grams = np.concatenate([np.column_stack([seen, token]), longer])
        grams, first = np.unique(grams, axis=0, return_index=True)
        values = np.full(len(grams), np.nan)
        for cut in _cuts(len(grams)):
            some = first[cut] < len(seen)
            own = grams[cut][some]
            values[cut][some] = rows.pairs_of_counts(own[:, :-1], own[:, -1])
        contexts, of = np.unique(grams[:, :-1], axis=0, return_inverse=True)
        backs = [rows.back_weights(contexts[cut]) for cut in _cuts(len(contexts))]
        starts = _starts(of.reshape(-1), len(contexts))
        levels.append((starts, grams[:, -1], values, np.concatenate(backs), contexts))
        longer = contexts
    none = np.zeros((1, 0), dtype=np.int64)
    bare = np.full(len(longer), np.nan)
    levels.append((np.array([0, len(longer)]), longer[:, 0], bare, np.ones(1), none))
    root = rows.dense_of_counts(none)[0]
    return BackoffTable(rows.levels.n_tokens, *zip(*reversed(levels), strict=True), root=root)


def _cuts(n: int) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, max(n, 1), BLOCK)]


def _plain(rows: SharedRows) -> BackoffTable:
    """Whole contexts, whose rows back off to the prior's mean at once."""
    prior, order = rows.prior, rows.counts.order
    if len(prior.weights) > 1:
        raise ValueError(
            f"rows with a prior of {len(prior.weights)} Dirichlets have no back-off weights: what "
            "is not seen has another share of each.  Of one Dirichlet they have"
        )
    found, indptr, token, times = rows.counts.all()
    contexts, each = found.astype(np.int64), np.diff(indptr)
    rank = np.empty(len(contexts), dtype=np.int64)
    rank[np.lexsort(contexts.T[::-1])] = np.arange(len(contexts))
    row = np.repeat(rank, each)
    by = np.lexsort((token, row))
    row, tokens = row[by], token[by].astype(np.int64)
    contexts = contexts[np.argsort(rank)]
    whole = float(prior.concentration[0])
    totals = whole + np.bincount(row, times[by], minlength=len(contexts))
    values = (prior.at(tokens)[0] + times[by]) / totals[row]
    last = _starts(row, len(contexts)), tokens, values, whole / totals, contexts
    levels = [*(_prefixes(contexts, j) for j in range(order)), last]
    root = prior.blend(1.0 / prior.concentration[np.newaxis])[0]
    return BackoffTable(prior.n_tokens, *zip(*levels, strict=True), root=root)


def _prefixes(contexts: Ids, length: int) -> tuple[Any, ...]:
    """The first tokens of contexts in rising order, which list what longer ones go on with."""
    is_new = np.ones((2, len(contexts)), dtype=bool)  # by `length` tokens, and by one more
    for found, n in zip(is_new, (length, length + 1), strict=True):
        found[1:] = (contexts[1:, :n] != contexts[:-1, :n]).any(axis=1)
    row = (np.cumsum(is_new[0]) - 1)[is_new[1]]
    own = contexts[is_new[0], :length] if len(contexts) or length else np.zeros((1, 0), np.int64)
    tokens = contexts[is_new[1], length]
    return _starts(row, len(own)), tokens, np.full(len(row), np.nan), np.ones(len(own)), own


def _starts(row: Any, n: int) -> Ids:
    """Where the pairs of each of n rows begin."""
    return np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))]).astype(np.int64)
