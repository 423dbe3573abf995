"""Sizes of rows, and which discounts rows of a size have.

Contents
    EDGES           totals at which buckets end
    MOST, START     what discounts can be, and are before they are fitted
    buckets         the bucket of each row
    row_sizes       N, t_1, t_2, t_3 of some contexts
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..._base.typing import Floats, Ids
from ..._core import TransitionCounts
from ..prior import Entries, sums

EDGES = np.array([2.0, 5.0, 20.0, 100.0, 1000.0])
MOST = np.array([1.0, 2.0, 3.0, np.inf])  # that D_1, D_2, D_3 and theta can be
START = np.array([0.6, 1.1, 1.5, 0.5])  # D_1, D_2, D_3, theta


def buckets(discounts: Floats, sizes: Floats) -> NDArray[np.intp]:
    """Of each row, by its total; all are one where discounts (levels, 1, 4) have no others."""
    if discounts.shape[1] == 1:
        return np.zeros(len(sizes), dtype=np.intp)
    return np.searchsorted(EDGES, sizes[:, 0])


def row_sizes(counts: TransitionCounts, contexts: Ids) -> Floats:
    """N, t_1, t_2 and t_3 of different contexts, (n, 4)."""
    entries = Entries.of(counts, contexts)
    n, often = len(contexts), np.minimum(entries.counts, 3.0)
    seen = [sums(entries.row, (often == j).astype(np.float64), n) for j in (1.0, 2.0, 3.0)]
    return np.stack([sums(entries.row, entries.counts, n), *seen], axis=1)
