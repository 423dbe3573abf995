"""Bits of complete rows of which a part is known: at least, and at most, model.md section 4d."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ... import _core
from ..._base import display, parallel
from ..._base.typing import Floats
from ...mixture import DirichletMixture
from ...mixture.partial.listing import Listing
from ...mixture.partial.lumped import normalized
from .drawn import Lookup, PartialResolutionData, joint_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@display.shown
class BitsBounds(NamedTuple):
    """Between which bits per token draws from complete rows cost; see `bits_bounds`.

    Attributes
    ----------
    draws : tuple of int
        Numbers n of tokens.
    low, high : ndarray of shape (D,)
    """

    draws: tuple[int, ...]
    low: Floats
    high: Floats

    def to_pandas(self) -> pd.DataFrame:
        """A row for each number of draws: ``low`` and ``high``, in bits a token.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame(self._asdict())

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Both bounds against the number of draws."""
        from ..plots import bits_bounds  # needs matplotlib

        return bits_bounds(self, ax=ax)

    def _table(self) -> display.Table:
        title = "BitsBounds: a token of the complete rows costs so many bits"
        return display.Table(title, ["draws", "at least", "at most"], list(zip(*self, strict=True)))


def bounds_at(
    data: PartialResolutionData, cap: Floats, mixture: DirichletMixture, has_other: bool
) -> tuple[float, float]:
    """Between which bits a token of the complete rows costs, in the mean; `cap` (N,) is the bound
    of each row, `has_other` whether the last column stands for tokens that no bound is of."""
    at = data.lookup(mixture)
    log_alpha = np.log(mixture.alpha)
    if has_other:
        log_alpha = np.minimum(log_alpha, log_alpha[:, -1:])
    log_alpha.sort(axis=1)
    room = np.where(data.rows.is_open, cap - data.rows.rest, 0.0)
    room[~np.isfinite(room)] = 0.0
    dearest = _dearest(np.exp(np.minimum(room, 0.0)), log_alpha)
    sharpest = np.zeros(data.n_rows) if has_other else np.maximum(-room, 0.0)
    weights = data.draws.weights
    assert weights is not None
    arguments = (
        (at, *block, float(data.resolution), dearest[cut], sharpest[cut], weights[draws])
        for cut, draws, block in data.blocks(mixture.n_components)
    )
    sums = np.array(list(parallel.in_order(data.pool, _nats, arguments))).sum(axis=0)
    low, high = sums / (data.total_weight * data.resolution * np.log(2.0))
    return float(low), float(high)


def _dearest(share: Floats, log_alpha: Floats) -> Floats:
    """The least mean (N, K) of sorted ln alpha (K, V) that shares of at most so much can have."""
    n_tokens = log_alpha.shape[1]
    share = np.maximum(share, 1.0 / n_tokens)
    whole = np.minimum(np.floor(1.0 / share), n_tokens).astype(np.intp)
    sums = np.concatenate([np.zeros((len(log_alpha), 1)), np.cumsum(log_alpha, axis=1)], axis=1)
    last = np.minimum(whole, n_tokens - 1)
    left = np.maximum(1.0 - whole * share, 0.0)
    found: Floats = (share * sums[:, whole] + left * log_alpha[:, last]).T
    return found


def _nats(
    at: Lookup,
    counts: _core.Counts,
    draws: slice,
    rows: Listing,
    others: Floats,
    total: float,
    dearest: Floats,
    sharpest: Floats,
    weights: Floats,
) -> tuple[float, float]:
    """What draws cost at least and at most, by weight."""
    log_joint, x = joint_of(at, counts, draws, rows, others, total)
    each = len(others) // max(1, len(sharpest))
    some = np.broadcast_to(others[:, np.newaxis], x.shape)
    least = others * np.repeat(sharpest, each) - normalized(log_joint)[1]
    log_joint += some * np.repeat(dearest, each, axis=0) - _core.lgamma_difference(x, some)
    return float(weights @ least), float(-(weights @ normalized(log_joint)[1]))
