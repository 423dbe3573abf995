"""The log-probability of every token of text in a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..._base.typing import Documents, Floats
from ..counts import BLOCK
from ..matrix import TransitionMatrix


def token_scores(matrix: TransitionMatrix, documents: Documents) -> Floats:
    """ln p of every token, documents one behind the other."""
    rows: Any = matrix._rows
    order, parts = matrix.order, [np.zeros(0)]
    for text, led in zip(documents, rows.led(documents, None), strict=True):
        first = len(text) - max(len(led) - order, 0)
        if first:  # tokens with too little before them
            parts.append(rows.pair_probs(np.zeros((first, 0), dtype=np.int64), led[:first]))
        windows = sliding_window_view(led, order + 1) if len(led) > order else led[:0, np.newaxis]
        for start in range(0, len(windows), BLOCK):
            some = windows[start : start + BLOCK]
            parts.append(rows.pair_probs(some[:, :-1], some[:, -1]))
    return np.log(np.concatenate(parts))
