"""How well a family of priors explains predictions: the measures of a report.

Contents
    Rows                             what they are taken of
    scores                           all of them
    last_tokens                      of histories
    KLByLength, ElicitationPoints    those that are more than a number
    Constant, Floor                  the best single row, and the best function of the history
    Baselines, baselines             both, whatever the family, and the KL of each row to them
    clustered_error                  standard error of a weighted mean, by groups
    error_within                     the same for new groups of the same larger ones
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base import display
from .._base.typing import Floats, Ids
from ..rows.kl import kl_nats
from ..sources.rows import BLOCK_ENTRIES
from .histories import Histories
from .misfit import Places, misfits
from .objective import Objective
from .parameters import Parameters

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

POINTS = 4000  # predictions that a report keeps, at most
LEAST = 1e-12  # of a token's probability in a row of others, so that no KL is infinite


@display.shown
class KLByLength(NamedTuple):
    """Mean KL(model || predictive) in nats for each length of history, shortest first."""

    length: Floats
    n_rows: NDArray[np.int64]
    mean_kl: Floats

    def to_pandas(self) -> pd.DataFrame:
        """A row for each length.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame(self._asdict())

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Mean KL against the length of the history."""
        from .plots import kl_by_length  # needs matplotlib

        return kl_by_length(self, ax=ax)

    def _table(self) -> display.Table:
        return display.Table.of("KL by length of the history, nats", self._asdict())


@display.shown
class ElicitationPoints(NamedTuple):
    """Single probabilities, of the model and of the predictive, chosen at random, the same always.

    `last` is the last token of the history: -1 where it is empty, or known by its counts alone.
    """

    observed: Floats
    predicted: Floats
    token: Ids
    length: Floats
    last: Ids

    def to_pandas(self) -> pd.DataFrame:
        """A row for each probability.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame(self._asdict())

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Observed probabilities against predicted ones."""
        from .plots import elicitation_points  # needs matplotlib

        return elicitation_points(self, ax=ax)

    def _table(self) -> display.Table:
        return display.Table.of("Single probabilities, predicted and observed", self._asdict())


@display.shown
class Constant(NamedTuple):
    """The best single row, the mean row, as a prediction after every history; KL in nats.

    `error` is the standard error of `kl` over groups; `held_out` is by the folds of the comparison,
    NaN without one.
    """

    kl: float
    error: float
    held_out: float

    def to_pandas(self) -> pd.DataFrame:
        """One row, in nats.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame(self._asdict())

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Its KL, with two standard errors."""
        from .plots import kl_of_constant  # needs matplotlib

        return kl_of_constant(self, ax=ax)

    def _table(self) -> display.Table:
        return display.Table.of("A constant prediction: KL in nats", self._asdict())


@display.shown
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

    def to_pandas(self) -> pd.DataFrame:
        """One row, in nats but for the share that repeats.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame(self._asdict())

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Its KL, with two standard errors."""
        from .plots import kl_of_floor  # needs matplotlib

        return kl_of_floor(self, ax=ax)

    def _table(self) -> display.Table:
        return display.Table.of("Floor of any function of the history: KL in nats", self._asdict())

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


class Rows(NamedTuple):
    """What is known of the rows, whatever the family: (N,) each.

    `outer` is each row's group, `inner` the group within it where there are two levels.
    """

    histories: Histories
    shares: Floats
    outer: Ids
    inner: Ids | None
    known: Baselines
    places: Places


def scores(
    objective: Objective, parameters: Parameters, data: Rows, names: tuple[str, ...] | None
) -> dict[str, Any]:
    """The measures of fit of an `ElicitationReport`."""
    shares = data.shares
    n_rows, width = objective.log_probs.shape
    centre = objective.mass.sum(axis=0)
    many = n_rows * width
    # at random: an even step would pick the same few tokens of every row where it is whole rows
    chosen = np.random.default_rng(0).choice(many, min(many, POINTS), replace=False)
    chosen.sort()
    kl, points = np.empty(n_rows), []
    residual = spread = absolute = 0.0
    for rows, q, p, divergence in objective.predictions(parameters):
        kl[rows] = divergence
        share = shares[rows]
        residual += float(share @ np.sum((q - p) ** 2, axis=1))
        spread += float(share @ np.sum((q - centre) ** 2, axis=1))
        absolute += float(share @ np.mean(np.abs(q - p), axis=1))
        first, last = np.searchsorted(chosen, [rows.start * width, rows.stop * width])
        here = chosen[first:last] - rows.start * width
        points.append(np.stack([q.ravel()[here], p.ravel()[here]]))
    r2 = 1.0 - residual / spread if spread > 1e-24 else float(residual <= 1e-12)
    observed, predicted = np.concatenate(points, axis=1)
    lengths = data.histories.lengths
    profiles, told = misfits(
        objective, parameters, kl, data.histories, shares, data.known, data.places, names
    )
    within = np.nan if data.inner is None else error_within(kl, shares, data.outer, data.inner)
    return {
        "mean_kl": max(float(shares @ kl), 0.0),
        "kl_error": clustered_error(kl, shares, data.outer),
        "kl_error_within": within,
        "baseline_kl": data.known.constant.kl,
        "floor": data.known.floor,
        "kl_by_place": profiles,
        "misfits": told,
        "r2": r2,
        "mae": absolute,
        "kl_by_length": _by_length(lengths, kl, shares),
        "points": ElicitationPoints(
            observed,
            predicted,
            chosen % width,
            lengths[chosen // width],
            last_tokens(data.histories)[chosen // width],
        ),
    }


def last_tokens(histories: Histories) -> Ids:
    """The last token of each history, or -1."""
    last = np.full(histories.n, -1)
    if histories.tokens is not None and histories.offsets is not None:
        some = np.diff(histories.offsets) > 0
        last[some] = histories.tokens[histories.offsets[1:][some] - 1]
    return last


def _by_length(totals: Floats, kl: Floats, shares: Floats) -> KLByLength:
    """Weighted mean KL of the rows of each length; lengths whose rows all weigh 0 are left out."""
    length, group, n_rows = np.unique(np.floor(totals), return_inverse=True, return_counts=True)
    weight = np.bincount(group, shares)
    known = weight > 0.0
    mean = np.bincount(group, shares * kl)[known] / weight[known]
    return KLByLength(length[known], n_rows[known], np.maximum(mean, 0.0))


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
