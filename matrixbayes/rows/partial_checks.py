"""What rows known in part are made of, checked: entries in order, masses that sum to 1.

Contents
    TOLERANCE, SHORT     how far the masses of a row may sum from 1
    checked_entries      columns, log-probabilities and starts
    checked_masses       the rest of each row and the cap of its tokens
    rounding_of          how far a row may be off by the rounding that its numbers show
    sums, sums_of        sums of entries
    least                the least entry of each row
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base.numbers import floats, plain, reals, wholes
from .._base.typing import Floats, Ids

TOLERANCE = 1e-3  # as of complete rows
SHORT = 1e-2  # of numbers of 16 bits
LEAST = -1000.0  # below are words for "not among the top": -9999, -1e10, the least float


def checked_entries(
    columns: ArrayLike, log_probs: ArrayLike, starts: ArrayLike, width: int
) -> tuple[Ids, NDArray[np.floating], Ids, bool]:
    """Entries with the columns of each row increasing, and whether their numbers are of 16 bits."""
    given = plain(log_probs, "log_probs")
    logs, places = floats(given, "log_probs"), wholes(columns, "columns")
    short = given.dtype.itemsize == 2 or _is_bfloat16(log_probs)
    if short:
        logs = logs.astype(np.float32)
    ends = wholes(starts, "starts")
    if logs.ndim != 1 or places.shape != logs.shape:
        raise ValueError(
            f"columns and log_probs are {places.shape} and {logs.shape}; both have one number for "
            "each known entry, row behind row"
        )
    if ends.ndim != 1 or len(ends) < 1 or ends[0] != 0 or ends[-1] != len(logs):
        raise ValueError(f"starts must rise from 0 to {len(logs)}, the number of entries")
    if (np.diff(ends) < 0).any():
        raise ValueError(f"starts fall in row {int(np.argmax(np.diff(ends) < 0))}")
    row = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    wrong = (places < 0) | (places >= width)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(f"row {row[i]} lists column {places[i]}; columns are 0 to {width - 1}")
    with np.errstate(invalid="ignore"):
        wrong = ~((logs >= LEAST) & (logs <= TOLERANCE))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(f"row {row[i]}, column {places[i]} is {logs[i]}: {_why(float(logs[i]))}")
    ordered = (np.diff(places) > 0) | (np.diff(row) > 0)
    if not ordered.all():
        order = np.argsort(row * width + places)
        places, logs = places[order], logs[order]
        twice = (np.diff(places) == 0) & (np.diff(row) == 0)
        if twice.any():
            i = int(np.argmax(twice))
            raise ValueError(f"row {row[i]} lists column {places[i]} twice")
    return (
        np.ascontiguousarray(places, np.int64),
        np.ascontiguousarray(logs),
        np.ascontiguousarray(ends, np.int64),
        short,
    )


def _is_bfloat16(given: Any) -> bool:
    return "bfloat16" in str(getattr(given, "dtype", ""))


def _why(value: float) -> str:
    """What is wrong with a log-probability."""
    if np.isnan(value):
        return "no number; leave the entry out"
    if value > 0.0:
        return "no log-probability is above 0; these are natural logarithms of probabilities"
    if value == -np.inf:
        return "leave exact zeros out of the list, and let rest=-inf say that nothing is missing"
    return (
        "such numbers stand for 'not among the top' (-9999.0) and are no log-probabilities; leave "
        "the entry out"
    )


def checked_masses(
    log_probs: NDArray[np.floating],
    starts: Ids,
    rest: ArrayLike | None,
    cap: ArrayLike | None,
    width: float,
    tolerance: float,
) -> tuple[Floats, Floats]:
    """The logarithms of the mass that is not listed and of the most that one token has of it.

    `width` is the number of tokens that there are, perhaps infinite.
    """
    n = len(starts) - 1
    size = np.diff(starts)
    known = sums(np.exp(log_probs, dtype=np.float64), starts)
    missing = width - size
    bound = _logs(cap, "cap", n)
    if bound is None:
        bound = least(log_probs, starts)
    bound = np.minimum(bound, 0.0)
    room = np.where(missing > 0, missing, 0.0) * np.exp(bound)
    room[(missing > 0) & np.isinf(width)] = np.inf
    given = _logs(rest, "rest", n)
    if given is None:
        # What is missing to 1 has the rounding of what is there, and so is not 0 for being small.
        rounding = np.finfo(log_probs.dtype).eps * (1.0 + size)
        mass = np.minimum(np.maximum(1.0 - known, rounding), room)
    else:
        mass = np.exp(np.minimum(given, 0.0))
        _refuse(
            (missing <= 0) & (mass > tolerance),
            lambda i: (
                f"row {i} lists all {size[i]} tokens, and its rest is {mass[i]:.6g}; it must be 0, "
                "rest=-inf"
            ),
        )
        mass = np.where(missing > 0, mass, 0.0)
    total = known + mass
    with np.errstate(invalid="ignore"):
        off = ~(np.abs(total - 1.0) <= tolerance)
    for i in np.flatnonzero(off):
        if not abs(total[i] - 1.0) <= rounding_of(log_probs[starts[i] : starts[i + 1]]):
            numbers = float(known[i]), float(mass[i]), float(missing[i])
            raise ValueError(_why_not_1(int(i), *numbers, given is None))
    _refuse(
        mass > room + tolerance,
        lambda i: (
            f"row {i}: {missing[i]:g} tokens of at most {np.exp(bound[i]):.6g} each cannot have "
            f"the rest of {mass[i]:.6g}; cap bounds what any one token that is not listed can have"
        ),
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = (
            np.log(mass) if given is None else np.where(mass > 0.0, np.minimum(given, 0.0), given)
        )
        logs = np.where(missing > 0, logs, -np.inf)
        share = np.where(np.isfinite(logs), logs - np.log(missing), -np.inf)
    return logs, np.maximum(np.minimum(bound, logs), share)


def rounding_of(logs: NDArray[np.floating]) -> float:
    """How far a row may be off that was rounded to 16 bits, or to two or three decimals."""
    single = logs.astype(np.float32)
    with np.errstate(over="ignore"):
        short = (single == single.astype(np.float16)) | (single.view(np.uint32) & 0xFFFF == 0)
    if short.all() and np.array_equal(single, logs):
        return SHORT
    for decimals in (2, 3):
        scaled = logs.astype(np.float64) * 10.0**decimals
        if (np.abs(scaled - np.round(scaled)) <= 1e-6 * np.maximum(np.abs(scaled), 1.0)).all():
            return max(TOLERANCE, 0.51 * 10.0**-decimals)
    return TOLERANCE


def _logs(given: ArrayLike | None, name: str, n: int) -> Floats | None:
    """One logarithm a row of a mass: at most 0, perhaps -inf."""
    if given is None:
        return None
    values = reals(given, name, (n,))
    with np.errstate(invalid="ignore"):
        wrong = ~(values <= TOLERANCE)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(
            f"{name} is {values[i]} in row {i}; it must be the natural logarithm of a probability"
        )
    return values


def _refuse(wrong: NDArray[np.bool_], why: Callable[[int], str]) -> None:
    """Refuse the first row that is wrong."""
    if wrong.any():
        raise ValueError(why(int(np.argmax(wrong))))


def _why_not_1(i: int, known: float, mass: float, missing: float, computed: bool) -> str:
    """Why the masses of a row do not sum to 1."""
    if computed and missing > 0 and known < 1.0:
        return (
            f"row {i} lists {known:.6g}, and the {missing:g} tokens that it does not list can have "
            f"{mass:.6g} at most if none is above the smallest listed; say what they may have by "
            "cap="
        )
    if computed:
        return f"the probabilities that row {i} lists sum to {known:.6g}, not " + (
            "to 1 at most" if known > 1.0 else "to 1, and no token is missing"
        )
    return (
        f"row {i} lists {known:.6g} and has a rest of {mass:.6g}: together {known + mass:.6g}, "
        "not 1; rest is the natural logarithm of the mass that is not listed"
    )


def sums(values: Floats, starts: Ids) -> Floats:
    """The sum of each row's entries."""
    row = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    return sums_of(row, values, len(starts) - 1)


def sums_of(cell: NDArray[np.integer], values: NDArray[np.floating], n: int) -> Floats:
    """The sum of the values of each of n cells."""
    return np.bincount(cell, weights=values, minlength=n).astype(np.float64, copy=False)


def least(values: NDArray[np.floating], starts: Ids) -> Floats:
    """The smallest of each row's entries; 0 where there is none."""
    found = np.zeros(len(starts) - 1)
    some = np.diff(starts) > 0
    if some.any():
        found[some] = np.minimum.reduceat(values, starts[:-1][some])
    return found
