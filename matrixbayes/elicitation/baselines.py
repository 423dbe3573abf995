"""What the mean KL of every family is held against, whatever the family.

Contents
    Constant, Floor      the best single row, and the best function of the history
    Baselines            both, and the KL of each row to them
    baselines            makes them
    clustered_error      standard error of a weighted mean, by groups
    error_within         the same for new groups of the same larger ones
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base import display
from .._base.typing import Floats, Ids
from ..rows.kl import kl_nats
from .design import BLOCK_ENTRIES

LEAST = 1e-12  # of a token's probability in a row of others, so that no KL is infinite


class Constant(NamedTuple):
    """The best single row, the mean row, as a prediction after every history; KL in nats.

    `error` is the standard error of `kl` over groups; `held_out` is by the folds of the comparison,
    NaN without one.
    """

    kl: float
    error: float
    held_out: float


class Floor(NamedTuple):
    """The best function of the history: after each the mean of the model's predictions there.

    Attributes
    ----------
    kl : float
        Mean KL(model || that function) in nats, which no family ends below.  A history that does
        not repeat adds 0: where none does this says nothing.
    error : float
        Its standard error over groups.
    repeated : float
        The share of the weight that is of rows whose history repeats.
    corrected : float
        Of those rows alone, and without what each adds to its own mean (n equal histories show
        (n - 1)/n of the noise): to second order the KL that the true function would leave, and so
        what a held-out KL can come down to.  NaN where no history repeats.
    """

    kl: float
    error: float
    repeated: float
    corrected: float

    def text(self, unit: str, size: float) -> str:
        """In words, `size` units to a nat."""
        if not self.repeated:
            return "not known, as no history repeats"
        told, noise = (f"{display.number(size * kl)}" for kl in (self.kl, self.corrected))
        if self.repeated > 1.0 - 1e-9:
            return f"{told} {unit} ({noise} with ever more repetitions)"
        share = display.percent(self.repeated)
        return f"{told} {unit} ({noise} in the {share} of rows whose history repeats)"


class Baselines(NamedTuple):
    """Constant and floor, and the KL of each row (N,) to them, in nats.

    `row_corrected` is NaN where a history does not repeat.
    """

    constant: Constant
    floor: Floor
    row_constant: Floats
    row_floor: Floats
    row_corrected: Floats


def baselines(
    log_probs: NDArray[np.floating],
    shares: Floats,
    equal: Ids,
    groups: Ids,
    folds: Ids | None = None,
) -> Baselines:
    """Both baselines of predictions (N, V).

    Parameters
    ----------
    log_probs
        The model's predictions, natural logarithms.
    shares
        (N,) weights, summing to one.
    equal
        (N,) the same number for equal histories.
    groups, folds
        (N,) the group and fold of each row.
    """
    own = _fold_means(log_probs, shares, np.zeros_like(equal))[0]
    row_constant = np.concatenate([_kl(q, log_q, own) for _, q, log_q in _blocks(log_probs)])
    held_out = np.nan
    if folds is not None:
        of_fold = _fold_means(log_probs, shares, folds)
        rest = of_fold.sum(axis=0) - of_fold
        rest /= np.maximum(rest.sum(axis=1, keepdims=True), LEAST)
        held_out = sum(
            float(shares[rows] @ _kl(q, log_q, rest[folds[rows]]))
            for rows, q, log_q in _blocks(log_probs)
        )
    row_floor, row_corrected = _row_floors(log_probs, shares, equal)
    repeated = ~np.isnan(row_corrected)
    weight = float(shares[repeated].sum())
    return Baselines(
        Constant(
            float(shares @ row_constant),
            clustered_error(row_constant, shares, groups),
            held_out,
        ),
        Floor(
            float(shares @ row_floor),
            clustered_error(row_floor, shares, groups),
            min(weight, 1.0),
            float(shares[repeated] @ row_corrected[repeated]) / weight if weight else np.nan,
        ),
        row_constant,
        row_floor,
        row_corrected,
    )


def clustered_error(values: Floats, shares: Floats, groups: Ids) -> float:
    """Standard error of the mean of values (N,) of shares (N,), from whole groups; NaN of one.

    The mean is a sum over groups, each of a weight and a value of its own.
    """
    excess = (values - shares @ values) * shares
    many = int(np.count_nonzero(np.bincount(groups, shares)))
    if many < 2:
        return np.nan
    return float(np.sqrt(np.sum(np.bincount(groups, excess) ** 2) * many / (many - 1)))


def error_within(values: Floats, shares: Floats, outer: Ids, inner: Ids) -> float:
    """Standard error from the inner groups, each less its outer group's mean: the outer groups are
    those there are.  NaN where one of them has a single inner group."""
    weight = np.bincount(outer, shares)
    there = np.flatnonzero(weight > 0.0)
    mean = np.bincount(outer, shares * values) / np.where(weight > 0.0, weight, 1.0)
    heavy = np.flatnonzero(np.bincount(inner, shares) > 0.0)
    outer_of = np.zeros(int(inner.max()) + 1, dtype=np.int64)
    outer_of[inner] = outer
    many = np.bincount(outer_of[heavy], minlength=len(weight))
    if np.any(many[there] < 2):
        return np.nan
    sums = np.bincount(inner, (values - mean[outer]) * shares)[heavy] ** 2
    return float(np.sqrt(np.sum(sums * (many / np.maximum(many - 1, 1))[outer_of[heavy]])))


def _blocks(log_probs: NDArray[np.floating]) -> Iterator[tuple[slice, Floats, Floats]]:
    """Which rows, their probabilities, and the logarithms of these."""
    n, width = log_probs.shape
    step = max(1, BLOCK_ENTRIES // width)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        log_q = np.asarray(log_probs[rows], dtype=np.float64)
        q = np.exp(log_q)
        yield rows, q, np.where(q > 0.0, log_q, 0.0)


def _kl(q: Floats, log_q: Floats, mean: Floats) -> Floats:
    return kl_nats(q, log_q, mean, np.log(np.maximum(mean, LEAST)))


def _fold_means(log_probs: NDArray[np.floating], shares: Floats, folds: Ids) -> Floats:
    """(folds, V): the sum of the weighted rows of each."""
    found = np.zeros((int(folds.max()) + 1, log_probs.shape[1]))
    for rows, q, _ in _blocks(log_probs):
        for fold in np.unique(folds[rows]):
            found[fold] += np.where(folds[rows] == fold, shares[rows], 0.0) @ q
    return found


def _row_floors(
    log_probs: NDArray[np.floating], shares: Floats, equal: Ids
) -> tuple[Floats, Floats]:
    """(N,): the KL of each row to the mean of its equals, and without the row's part in that."""
    n_rows = len(equal)
    weight, square = np.bincount(equal, shares), np.bincount(equal, shares**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = 1.0 - square / weight**2  # (n - 1) / n of n rows of one weight
    again = np.bincount(equal)[equal] > 1
    found, corrected = np.zeros(n_rows), np.full(n_rows, np.nan)
    place = np.full(n_rows, -1)
    repeating, place[again] = np.unique(equal[again], return_inverse=True)
    mean = np.zeros((len(repeating), log_probs.shape[1]))
    for rows, q, _ in _blocks(log_probs):
        own = place[rows]
        np.add.at(mean, own[own >= 0], (q * shares[rows, np.newaxis])[own >= 0])
    mean /= weight[repeating, np.newaxis]
    for rows, q, log_q in _blocks(log_probs):
        own = place[rows]
        mine = own >= 0
        found[rows][mine] = _kl(q[mine], log_q[mine], mean[own[mine]])
    corrected[again] = found[again] / left[equal[again]]
    return found, corrected
