"""Sizes of rows, classes of counts, and which discounts rows of a size have.

Contents
    CLASSES            the least count of each class, which is lessened by the class's discount
    MOST, START        what discounts and theta can be, and are before they are fitted
    N_BUCKETS          how many sizes of rows have numbers of their own
    buckets            the bucket of each row
    classes            the class of each count
    row_sizes          N, and how many counts of each class, of some contexts
    row_shares         what a row's excesses, and the shorter context's row, are multiplied by
    expanded           D_1, D_2, D_3 and theta as the numbers of all classes
    kneser_ney         discounts from counts of counts
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import _core
from ..._base.typing import Floats, Ids
from ..._core import TransitionCounts
from ..prior import Entries, sums

CLASSES = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 10.0, 25.0])
N_CLASSES = len(CLASSES)
MOST = np.append(CLASSES, np.inf)  # that D_1, ..., D_7 and theta can be
START = np.array([0.6, 1.1, 1.5, 1.5, 1.5, 1.5, 1.5, 0.5])

N_BUCKETS = 90


def buckets(sizes: Floats, n_buckets: int = N_BUCKETS) -> NDArray[np.int64]:
    """Of each row, by its total and the share of its tokens that were seen once; all are one where
    there is one."""
    return _core.row_buckets(sizes, n_buckets)


def classes(counts: NDArray[Any]) -> NDArray[np.intp]:
    """The class of each count, 0 to 6; -1 of none."""
    return np.searchsorted(CLASSES, counts, side="right") - 1


def row_sizes(counts: TransitionCounts, contexts: Ids) -> Floats:
    """N and t_1, ..., t_7 of different contexts, (n, 8)."""
    entries = Entries.of(counts, contexts)
    cells = entries.row * N_CLASSES + classes(entries.counts)
    seen = np.bincount(cells, minlength=len(contexts) * N_CLASSES).reshape(-1, N_CLASSES)
    return np.column_stack([sums(entries.row, entries.counts, len(contexts)), seen])


def row_shares(numbers: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """1 / (N + theta) and (theta + sum_j D_j t_j) / (N + theta) of rows with numbers (n, 8).

    Of empty rows 0 and 1.
    """
    theta, seen = numbers[:, -1], sizes[:, 0] > 0.0
    of_count = seen / np.where(seen, sizes[:, 0] + theta, 1.0)
    freed = theta + np.sum(numbers[:, :-1] * sizes[:, 1:], axis=1)
    return of_count, np.where(seen, freed * of_count, 1.0)


def expanded(numbers: Floats) -> Floats:
    """D_1, D_2, D_3 and theta (..., 4) as D_1, ..., D_7 and theta, those from 3 on alike."""
    return np.concatenate(
        [numbers[..., :3], np.repeat(numbers[..., 2:3], N_CLASSES - 3, -1), numbers[..., 3:]],
        axis=-1,
    )


def kneser_ney(counts: TransitionCounts) -> Floats:
    """D_1, ..., D_7 and a theta of 0 of an order, from counts of counts (Chen & Goodman 1999).

    D_j = j - (j + 1) Y n_{j+1} / n_j with Y = n_1 / (n_1 + 2 n_2), D_3 from 3 on; where counts of
    counts are missing, or say what no discount is, what is nearest to it.
    """
    n = counts.counts_of_counts(4).astype(np.float64)
    y = n[0] / max(n[0] + 2.0 * n[1], 1.0)
    j = np.arange(1.0, 4.0)
    found = np.where(n[:3] > 0.0, j - (j + 1.0) * y * n[1:] / np.maximum(n[:3], 1.0), 0.0)
    return expanded(np.append(np.clip(found, 0.0, j), 0.0))
