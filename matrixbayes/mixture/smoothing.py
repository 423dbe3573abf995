"""Row-by-row smoothing: what draws cost under one Dirichlet around a mean row."""

from __future__ import annotations

import numpy as np

from .. import _core
from .._base.typing import Floats, Ids

GRID = [np.log(10.0) * x for x in (-2.0, 0.0, 2.0, 4.0, 6.0, 8.0)]  # of ln A, before it is refined


def summed(places: Ids, values: Floats, n: int) -> Floats:
    """The sum of the values at each of n places."""
    return np.asarray(np.bincount(places, values, n), dtype=np.float64)  # also where there are none


def smoothed(
    cells: tuple[Ids, Ids, Ids], means: Floats, n: int, weights: Floats
) -> tuple[Floats, float]:
    """Log-evidence of the draws of each row under Dir(A m), with the best A for all of them."""
    place, _, count = cells
    # cells of one mean and count are one, as there are few where tokens are
    kinds, which = np.unique(means + 1j * count, return_inverse=True)
    mass = summed(which, weights[place], len(kinds))
    m, c, total = kinds.real, kinds.imag, float(weights.sum())

    known: dict[float, float] = {}

    def score(log_a: float) -> float:
        if log_a not in known:
            a = float(np.exp(log_a))
            gains = float(mass @ _core.lgamma_difference(a * m, c))
            known[log_a] = gains - total * float(_core.lgamma_difference(a, float(n)))
        return known[log_a]

    low, middle, high = GRID[:3]
    for i in range(1, len(GRID) - 1):
        if score(GRID[i]) >= score(middle):
            low, middle, high = GRID[i - 1 : i + 2]
    for _ in range(5):  # halves of what is left, around the best
        points = [low, 0.5 * (low + middle), middle, 0.5 * (middle + high), high]
        best = min(max(int(np.argmax([score(x) for x in points])), 1), 3)
        low, middle, high = points[best - 1 : best + 2]
    # the top of a parabola through the three
    bend = score(low) - 2.0 * score(middle) + score(high)
    shift = 0.5 * (score(low) - score(high)) / bend if bend < 0.0 else 0.0
    a = float(np.exp(middle + min(max(shift, -1.0), 1.0) * (high - middle)))
    gains = _core.lgamma_difference(a * means, count.astype(np.float64))
    found = summed(place, gains, len(weights)) - float(_core.lgamma_difference(a, float(n)))
    return found, a
