"""Weights of rows: numbers of repetitions.  A row of weight 0 is not there.

Contents
    checked_weights    what a caller handed in, as floats
    shares_of          what each row has of all weight
    group_numbers      which rows belong together
    weights_of         those of some rows
    present            rows without those of weight 0, whatever holds them
    without_weightless the same of several things that go together
    weighted_mean      of values by weight
    n_units            how many rows there are, repetitions counted
    merged             equal points as one, of their weight together
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ArgumentError
from .numbers import plain, reals, unmasked
from .typing import Floats, Ids

FEW = 16


def checked_weights(sample_weight: Any, name: str = "sample_weight") -> Floats | None:
    """Weights (N,), or one () for all rows: each finite and >= 0, with a positive sum.

    `name` is that of the argument.

    Raises
    ------
    TypeError
        They are not real numbers, or some are masked.
    ValueError
        One cannot be used, or all are zero.
    """
    if sample_weight is None:
        return None
    weights = reals(sample_weight, name)
    if weights.ndim > 1:
        raise ValueError(f"{name} has shape {weights.shape}; it needs one for each row")
    _check(weights.ravel(), f"{name} of row {{}}", "all sample weights are zero")
    if weights.size and not weights.max() <= np.finfo(np.float64).max / weights.size:
        raise ValueError("the sum of the sample weights is beyond a double's range")
    return weights


def _check(weights: Floats, place: str, none: str) -> None:
    """Refuse what is no weight, by its place, and where there is `none` above 0."""
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0.0)))
    if len(wrong):
        i = int(wrong[0])
        raise ValueError(f"{place.format(i)} is {weights[i]}; it must be finite and >= 0")
    if weights.size and not weights.any():
        raise ValueError(none)


def shares_of(weights: ArrayLike | None, n: int, whose: str = "rows") -> Floats:
    """What each of n rows, or of `whose` else, has of all weight; the same where none is given."""
    if n == 0:
        raise ValueError(f"there are no {whose}; one at least is needed")
    if weights is None:
        return np.full(n, 1.0 / n)
    found = reals(weights, "weights")
    if found.shape != (n,):
        raise ValueError(f"weights have shape {found.shape}, but there are {n} {whose}")
    _check(found, "weights[{}]", "all weights are 0")
    shares: Floats = found / found.max()  # the sum of the largest doubles is none
    shares /= shares.sum()
    return shares


def group_numbers(
    groups: ArrayLike | None, n: int, whose: str, there: NDArray[np.bool_] | None = None
) -> Ids:
    """The number of the group of each of n histories, or of `whose` else, that are `there`."""
    place = np.arange(n) if there is None else np.flatnonzero(there)
    if groups is None:
        return np.arange(len(place))
    labels = np.asarray(unmasked(groups, "groups"))
    if labels.shape != (n,):
        raise ValueError(f"groups have shape {labels.shape}, but there are {n} {whose}")
    labels = labels[place]
    none = labels != labels  # NaN: which rows belong together is not known
    if labels.dtype == object:
        none |= np.array([label is None for label in labels], dtype=bool)
    if np.any(none):
        i = place[int(np.argmax(none))]
        raise ArgumentError(f"groups[{i}] is missing; all {whose} need a group")
    try:
        return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    except TypeError:
        raise TypeError("groups must be all numbers or all strings") from None


def weights_of(weights: Floats | None, kept: NDArray[np.bool_]) -> Floats | None:
    """Those of the kept rows; one weight is that of every row."""
    if weights is None:
        return None
    if weights.ndim == 0:
        weights = np.full(len(kept), float(weights))
    if weights.shape != kept.shape:
        raise ValueError(f"sample_weight has shape {weights.shape} for {len(kept)} rows")
    return weights[kept]


def present(X: Any, weights: Floats | None) -> tuple[Any, Floats | None, NDArray[np.bool_] | None]:
    """X and its weights without the rows of weight 0, and which rows are left.

    Nothing looks at what such rows hold.  None for the rows that are left where all are; rows and
    weights that do not go together are handed on as they are.
    """
    if weights is None or weights.ndim == 0 or weights.all():
        return X, weights, None
    if _length(X) != len(weights):
        return X, weights, None
    there = weights > 0.0
    return taken(X, np.flatnonzero(there)), weights[there], there


def without_weightless(weights: Any, *parts: Any) -> tuple[Any, ...]:
    """Weights and what goes with them, without what weighs 0; None stays None.

    What does not go together, or cannot be a weight, is handed on for others to refuse.
    """
    given = None if weights is None else plain(weights, "weights")
    if given is None or given.ndim != 1 or given.dtype.kind not in "biuf":
        return weights, *parts
    there = np.flatnonzero(given)
    if len(there) in (0, len(given)) or not (given >= 0).all():
        return weights, *parts
    if any(part is not None and _length(part) != len(given) for part in parts):
        return weights, *parts
    return given[there], *(None if part is None else taken(part, there) for part in parts)


def spread(kept: NDArray[np.bool_], there: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of all rows are kept, from which of the rows that are there."""
    result = np.zeros(len(there), dtype=bool)
    result[there] = kept
    return result


def _length(X: Any) -> int:
    """How many rows there are; -1 where that cannot be said."""
    shape = getattr(X, "shape", None)
    return int(shape[0]) if shape else len(X) if hasattr(X, "__len__") else -1


def taken(X: Any, rows: NDArray[np.intp]) -> Any:
    """Some rows of an array, a data frame, sparse rows, or a sequence of rows."""
    if isinstance(X, (list, tuple)):
        return [X[i] for i in rows]
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if hasattr(X, "tocsr"):
        return X.tocsr()[rows]
    if hasattr(X, "indptr"):
        from scipy import sparse

        return sparse.csr_array((X.data, X.indices, X.indptr), shape=X.shape)[rows]
    return X[rows] if hasattr(X, "__getitem__") else np.asarray(X)[rows]


def n_units(n_rows: int, total_weight: float) -> float:
    """How many rows there are, each as often as its weight says.

    Weights of any scale are legal: below 1 in the mean they take nothing from the rows.
    """
    return max(float(n_rows), total_weight)


def weighted_mean(values: Floats, weights: Floats) -> float:
    """The mean by weight: a value of weight 0 is not in it, be it infinite."""
    there = weights > 0.0
    return float(weights[there] @ values[there] / weights[there].sum())


def merged(
    points: NDArray[np.floating], weights: Floats
) -> tuple[NDArray[np.floating], Floats, NDArray[np.intp]]:
    """The different rows of an array (n, V), their weights, and which of them each row is.

    In the order in which they come first; -0.0 is not 0.0.  Rows that are all different come back
    as they are.
    """
    n = len(points)
    each = np.arange(n)
    if n < 2:
        return points, weights, each
    for some in (points[:, :FEW], points):  # a few columns tell most rows apart
        keys = _keys(some)
        rising = np.sort(keys)
        if (rising[1:] != rising[:-1]).all():
            return points, weights, each
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    first, place = first[order], np.argsort(order)[place.reshape(n)]
    bits = _bits(points)
    if not all(
        np.array_equal(bits[cut], bits[first[place[cut]]])
        for cut in (slice(i, i + 4096) for i in range(0, n, 4096))
    ):  # two rows of one key, by chance: once in 2^64 / n^2
        return points, weights, each
    return points[first], np.bincount(place, weights, len(first)).astype(np.float64), place


def _bits(points: NDArray[np.floating]) -> NDArray[np.unsignedinteger]:
    return np.ascontiguousarray(points).view(f"u{points.dtype.itemsize}")


def _keys(points: NDArray[np.floating]) -> NDArray[np.uint64]:
    """A number for each row that different rows share by chance only."""
    odd = np.random.default_rng(0).integers(2**63, size=points.shape[1], dtype=np.uint64) * 2 + 1
    keys = np.empty(len(points), dtype=np.uint64)
    step = max(1, (1 << 18) // max(1, points.shape[1]))
    for start in range(0, len(points), step):
        bits = _bits(points[start : start + step]).astype(np.uint64)
        bits ^= bits >> np.uint64(29)
        keys[start : start + step] = ((bits * odd) ^ (bits >> np.uint64(17))).sum(
            axis=1, dtype=np.uint64
        )
    return keys
