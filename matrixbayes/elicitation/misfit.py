"""Where a family does not explain a model: by the length of a history and its last token.

Contents
    Places, places_of    classes of lengths, and of last tokens
    KLByPlace            mean KL of a family, and of constant and floor, by class
    Misfit               what is wrong, in words
    misfits              both, of one fit

A mean over the rows of a place is tested by its t over groups: of equal histories where the place
has enough of them, else, where the caller named no groups, over rows.  A flag is raised at a level
of a thousandth over all places together, and only where the misfit is large too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base import display
from .._base.typing import Floats, Ids
from ..sources.rows import summed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from scipy.sparse import csr_array

    from .histories import Histories
    from .measures import Baselines
    from .objective import Objective
    from .parameters import Parameters

LEVEL = 1e-3  # of false alarms, of each kind
LEAST_ROWS = 10  # of a class of lengths; shorter ones join the next
LEAST_GROUPS = 10  # of equal histories, below which rows are what varies
TOKENS = 6  # last tokens with a class of their own
ANY, OTHERS = -3, -2  # last tokens, and one of the rarer ones; -1 for none, or not known
FAR = 2.0  # times the floor
FAR_OF_MEANS = 1.25  # the same where the floor is what a cell's mean prediction would leave
LARGE = 0.1  # of what a constant leaves above the floor: an excess that matters
LEAST = 1e-3  # nats that do
MUCH = 0.01  # nats that do in one place, be it as small as it may
IN_ALL = 0.02  # of what a constant leaves above the floor: of the places of a flag together
FALL = 0.01  # of a probability, from no history of a token to a history of nothing else
NAMED = 3  # places in a sentence


class Places(NamedTuple):
    """Classes of rows: by length, and by last token within that.

    Attributes
    ----------
    of_length, of_cell : ndarray of shape (N,)
        The class of each row; of the lengths alone, and of both.
    first, last : ndarray
        The shortest and longest history of each class of lengths.
    cell_length, cell_token : ndarray
        Of each cell the class of lengths, and the last token, -1 or `OTHERS`.
    unit_of_length, unit_of_cell : ndarray of shape (N,)
        What varies within a class: the caller's groups, or equal histories, or single rows.
    """

    of_length: Ids
    of_cell: Ids
    first: Ids
    last: Ids
    cell_length: Ids
    cell_token: Ids
    unit_of_length: Ids
    unit_of_cell: Ids


@display.shown
class KLByPlace(NamedTuple):
    """Mean KL in nats of the rows of each place.

    Attributes
    ----------
    first, last : ndarray
        The shortest and longest histories of a place.
    token : ndarray
        Their last token: -1 for none, or where only counts are known, -2 for one of the rarer, -3
        for any.
    n_rows : ndarray
    mean_kl, error : ndarray
        Of the family; its standard error, NaN where it cannot be told.
    constant : ndarray
        Of the best single row.
    floor : ndarray
        Of the best function of the history, with what repetitions hide put right; of the rows whose
        history repeats, NaN where none does.
    repeated : ndarray
        Their share.
    """

    first: Ids
    last: Ids
    token: Ids
    n_rows: Ids
    mean_kl: Floats
    error: Floats
    constant: Floats
    floor: Floats
    repeated: Floats

    def to_pandas(self) -> pd.DataFrame:
        """A row for each place.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame(self._asdict())

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Mean KL of each place, beside that of a constant."""
        from .plots import kl_by_place  # needs matplotlib

        return kl_by_place(self, ax=ax)

    def _table(self) -> display.Table:
        return display.Table.of("KL by place, nats", self._asdict())


class Misfit(NamedTuple):
    """What is wrong, as "constant", "against" or "floor", and in words."""

    kind: str
    text: str


def places_of(histories: Histories, last: Ids, groups: Ids, named: bool) -> Places:
    """Classes for histories of which the last tokens are known."""
    lengths = np.floor(histories.lengths).astype(np.int64)
    of_length = _length_classes(lengths)
    n = int(of_length.max()) + 1
    first, end = np.full(n, lengths.max()), np.zeros(n, dtype=np.int64)
    np.minimum.at(first, of_length, lengths)
    np.maximum.at(end, of_length, lengths)
    tokens, times = np.unique(last[last >= 0], return_counts=True)
    common = tokens[np.argsort(-times, kind="stable")[:TOKENS]] if len(tokens) > TOKENS else tokens
    token = np.where((last < 0) | np.isin(last, common), last, OTHERS)
    cells, of_cell = np.unique(np.stack([of_length, token]), axis=1, return_inverse=True)
    of_cell = of_cell.ravel()
    units = [groups if named else _units(place, groups) for place in (of_length, of_cell)]
    return Places(of_length, of_cell, first, end, cells[0], cells[1], *units)


def _units(place: Ids, groups: Ids) -> Ids:
    """Groups of equal histories, or single rows where a place has too few of them."""
    few = np.bincount(_pairs(place, groups)[0])[place] < LEAST_GROUPS
    return np.where(few, groups.max() + 1 + np.arange(len(groups)), groups)


def _length_classes(lengths: Ids) -> Ids:
    """0, 1, 2, 3, then from each power of 2 and half-way between; those of few rows joined."""
    doubling = 2 ** np.arange(2, 62, dtype=np.int64)
    starts = np.concatenate([np.arange(4), np.sort(np.append(doubling, doubling // 2 * 3))])
    fine = np.searchsorted(starts, lengths, side="right") - 1
    many = np.bincount(fine)
    joined, rows, coarse = np.zeros(len(many), dtype=np.int64), 0, 0
    for i, n in enumerate(many):
        joined[i] = coarse
        rows += int(n)
        if rows >= LEAST_ROWS:
            rows, coarse = 0, coarse + 1
    if 0 < rows < LEAST_ROWS and coarse:
        joined[joined == coarse] = coarse - 1
    return np.unique(joined[fine], return_inverse=True)[1]


class Means(NamedTuple):
    """Means over places, their standard errors, and how many groups each is from."""

    mean: Floats
    error: Floats
    many: Ids

    def above(self, least: Any = 0.0) -> NDArray[np.bool_]:
        """Which are above 0 beyond chance, and above `least`."""
        from scipy.special import stdtrit

        known = self.many > 2
        level = 1.0 - LEVEL / max(int(np.count_nonzero(known)), 1)
        bar = stdtrit(np.maximum(self.many - 1, 1).astype(float), level)
        with np.errstate(invalid="ignore"):
            found: NDArray[np.bool_] = known & (self.mean > bar * self.error) & (self.mean > least)
        return found


def _means(values: Floats, place: Ids, unit: Ids, shares: Floats) -> Means:
    """Means over places of the values that are numbers, of groups that are units."""
    n = int(place.max()) + 1
    there = np.flatnonzero(~np.isnan(values) & (shares > 0.0))
    values, place, shares = values[there], place[there], shares[there]
    weight = np.bincount(place, shares, n)
    safe = np.where(weight > 0.0, weight, 1.0)
    mean = np.bincount(place, shares * values, n) / safe
    of_pair, pair = _pairs(place, unit[there])
    many = np.bincount(of_pair, minlength=n)
    sums = np.bincount(pair, shares * (values - mean[place]))
    square = np.bincount(of_pair, sums**2, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(square * many / (many - 1.0)) / safe
    return Means(np.where(weight > 0.0, mean, np.nan), np.where(many > 1, error, np.nan), many)


def _pairs(place: Ids, unit: Ids) -> tuple[Ids, Ids]:
    """The place of each pair of place and unit, and each row's pair."""
    width = int(unit.max(initial=0)) + 1
    pairs, number = np.unique(place * width + unit, return_inverse=True)
    return pairs // width, number


def misfits(
    objective: Objective,
    parameters: Parameters,
    kl: Floats,
    histories: Histories,
    shares: Floats,
    known: Baselines,
    places: Places,
    names: tuple[str, ...] | None,
) -> tuple[dict[str, KLByPlace], tuple[Misfit, ...]]:
    """What one fit, of KL (N,), says of a model by "length" and by "last" token within that."""
    slopes, bias = _second_moments(objective, parameters, histories, shares, places)
    repeats = np.where(np.isnan(known.row_corrected), 0.0, 1.0)
    told = []

    def by_length(values: Floats) -> Means:
        return _means(values, places.of_length, places.unit_of_length, shares)

    def by_cell(values: Floats) -> Means:
        return _means(values, places.of_cell, places.unit_of_cell, shares)

    def profile(
        means: Callable[[Floats], Means], place: Ids, lengths: Any, token: Ids
    ) -> KLByPlace:
        own = means(kl)
        return KLByPlace(
            places.first[lengths],
            places.last[lengths],
            token,
            np.bincount(place),
            own.mean,
            own.error,
            means(known.row_constant).mean,
            means(known.row_corrected).mean,
            means(repeats).mean,
        )

    every = np.full(len(places.first), ANY)
    lengths = profile(by_length, places.of_length, slice(None), every)
    cells = profile(by_cell, places.of_cell, places.cell_length, places.cell_token)
    worse = by_length(kl - known.row_constant).above(_large(known))
    if worse.any():
        where = _where(lengths, worse, lengths.constant, names)
        told.append(Misfit("constant", f"it is worse than a constant prediction {where}"))
    model, family, spread = map(by_length, slopes)
    falls = model._replace(mean=-model.mean).above(np.maximum(FALL * spread.mean, 1e-12))
    against = np.flatnonzero(falls & (family.mean > 0.5 * model.mean))
    if len(against):
        told.append(
            Misfit(
                "against",
                "the model goes against its history, as its probability of a token falls the more "
                "often it was seen, and the family does not, " + _listed(lengths, against, names),
            )
        )
    lack = kl - known.row_corrected
    share = summed(places.of_cell, shares, len(cells.token))
    far, floor = _far_above(cells, share, by_cell(lack), by_cell(0.5 * bias), known)
    where = _where(cells, far, floor, names) if far.any() else ""
    if not where:  # little in each cell may be much in all
        by_repeats = known.floor.repeated > 0.5
        missed = lack if by_repeats else 0.5 * bias
        of_all = _means(missed, np.zeros_like(places.of_cell), places.unit_of_cell, shares)
        least = known.floor.corrected if by_repeats else float(shares @ kl) - of_all.mean[0]
        own = least + of_all.mean[0]
        far_above = own > (FAR if by_repeats else FAR_OF_MEANS) * least
        if of_all.above(0.5 * _large(known))[0] and far_above:
            where = f"in all {_against(own, least)}"
    if where:
        text = f"its mean KL is far above what a function of the history leaves {where}"
        told.append(Misfit("floor", text))
    return {"length": lengths, "last": cells}, tuple(told)


def _large(known: Baselines) -> float:
    """An excess in nats that matters."""
    return max(LARGE * (known.constant.kl - known.floor.kl), LEAST)


def _far_above(
    cells: KLByPlace, share: Floats, lack: Means, missed: Means, known: Baselines
) -> tuple[NDArray[np.bool_], Floats]:
    """Which cells, of these shares, are far above their floor, and that: from repetitions where
    most rows have some, else from what the mean prediction of a cell misses of the model's."""
    by_repeats = cells.repeated > 0.5
    excess = np.where(by_repeats, lack.mean, missed.mean)
    floor = np.maximum(cells.mean_kl - excess, 0.0)
    far = np.where(by_repeats, FAR, FAR_OF_MEANS)
    large = _large(known)
    found = np.where(by_repeats, lack.above(large), missed.above(large))
    found &= cells.mean_kl > far * floor
    if share[found] @ excess[found] < IN_ALL / LARGE * large:
        found &= excess > MUCH
    return found, floor


def _second_moments(
    objective: Objective,
    parameters: Parameters,
    histories: Histories,
    shares: Floats,
    places: Places,
) -> tuple[tuple[Floats, Floats, Floats], Floats]:
    """Of each row: how the model's and the family's predictions go with the shares of tokens in
    its history, and the square of these; and its part in the squared bias of its cell.

    The bias of one half of a cell's rows is held against that of the other, so that noise adds
    nothing in the mean.
    """
    from scipy.sparse import csr_array

    n, width = objective.log_probs.shape
    n_lengths, n_cells = len(places.first), len(places.cell_length)
    counts = histories.as_counts()
    total = np.maximum(histories.lengths, 1e-300)
    seen = csr_array((1.0 / total, (np.arange(n), np.arange(n))), shape=(n, n)) @ counts
    unit = places.unit_of_cell
    half = np.random.default_rng(0).permutation(unit.max() + 1)[unit] % 2
    place = np.stack([places.of_length, places.of_cell * 2 + half])
    of_q, of_p = np.zeros((n_lengths, width)), np.zeros((n_lengths, width))
    missed, own_p = np.zeros((2 * n_cells, width)), np.zeros((2 * n_cells, width))
    for rows, q, p, _ in objective.predictions(parameters):
        by_length = _indicator(place[0][rows], shares[rows], n_lengths)
        by_half = _indicator(place[1][rows], shares[rows], 2 * n_cells)
        of_q += by_length @ q
        of_p += by_length @ p
        missed += by_half @ (q - p)
        own_p += by_half @ p
    weight = np.maximum(np.bincount(place[0], shares, n_lengths), 1e-300)[:, np.newaxis]
    of_q, of_p = of_q / weight, of_p / weight
    of_seen = (_indicator(place[0], shares, n_lengths) @ seen).toarray() / weight
    weight = np.maximum(np.bincount(place[1], shares, 2 * n_cells), 1e-300)[:, np.newaxis]
    cell_p = np.repeat(own_p.reshape(n_cells, 2, width).sum(axis=1), 2, axis=0)
    cell_p /= cell_p.sum(axis=1, keepdims=True)
    towards = (missed / weight / np.maximum(cell_p, 1e-12)).reshape(n_cells, 2, width)
    towards = towards[:, ::-1].reshape(2 * n_cells, width)  # what the other half misses
    model, family, spread, bias = np.empty((4, n))
    for rows, q, p, _ in objective.predictions(parameters):
        here = place[0][rows]
        share = seen[rows].toarray() - of_seen[here]
        model[rows] = np.einsum("iv,iv->i", share, q - of_q[here])
        family[rows] = np.einsum("iv,iv->i", share, p - of_p[here])
        spread[rows] = np.einsum("iv,iv->i", share, share)
        bias[rows] = np.einsum("iv,iv->i", q - p, towards[place[1][rows]])
    return (model, family, spread), bias


def _indicator(place: Ids, shares: Floats, n: int) -> csr_array:
    """(n, rows) whose product with rows are their weighted sums by place."""
    from scipy.sparse import csr_array

    return csr_array((shares, (place, np.arange(len(place)))), shape=(n, len(place)))


def _where(
    profile: KLByPlace,
    chosen: NDArray[np.bool_],
    other: Floats,
    names: tuple[str, ...] | None,
) -> str:
    """The worst places in words, with both numbers of the worst."""
    excess = np.where(chosen, (profile.mean_kl - other) * profile.n_rows, -np.inf)
    order = np.argsort(-excess)[: np.count_nonzero(chosen)]
    worst = _against(profile.mean_kl[order[0]], other[order[0]])
    return _listed(profile, order, names, f" {worst}")


def _against(kl: float, other: float) -> str:
    mine, theirs = (display.number(x / np.log(2.0)) for x in (kl, other))
    return f"({mine} against {theirs} bits)"


def _listed(
    profile: KLByPlace, order: NDArray[np.intp], names: tuple[str, ...] | None, first: str = ""
) -> str:
    """Some places in words, with a word on the `first` of them."""
    words = [place_name(profile, int(i), names) for i in order[:NAMED]]
    words[0] += first
    if len(order) > NAMED:
        words.append(f"{len(order) - NAMED} more")
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def place_name(profile: KLByPlace, i: int, names: tuple[str, ...] | None) -> str:
    """A place in words."""
    first, last, token = (int(x[i]) for x in (profile.first, profile.last, profile.token))
    span = f"{first}" if first == last else f"{first} to {last}"
    found = f"after {span} token{'' if span == '1' else 's'}"
    if token >= 0:
        found += f" ending in {display.quoted(token if names is None else names[token])}"
    return found + (" ending in a rarer one" if token == OTHERS else "")
