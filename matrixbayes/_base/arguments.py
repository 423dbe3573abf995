"""Single arguments, checked: numbers of a range, seeds.

Contents
    whole          a whole number of a range: a size, a place
    is_whole       whether something is a whole number
    real           a real number of a range
    probability    a number from 0 to 1, or between them
    unit_size      the nats of a unit of information, by the base of its logarithm
    generator_of   the generator of a seed
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..errors import ArgumentError


def is_whole(value: Any) -> bool:
    """Whether it is an integer of any type, but no truth value."""
    if type(value) is int or isinstance(value, np.integer):
        return True
    if isinstance(value, (bool, np.bool_)) or str(getattr(value, "dtype", "")).endswith("bool"):
        return False
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def whole(value: Any, name: str, least: int, most: int | None = None) -> int:
    """One whole number from `least` to `most`: of any type of integers, but no truth value."""
    if not is_whole(value):
        raise ArgumentError(f"{name} is {value!r}; it must be a whole number, an integer")
    number = operator.index(value)
    if number >= least and (most is None or number <= most):
        return number
    span = f"from {least} to {most}" if most is not None else f"{least} at least"
    if most is None and least == 0:
        span = "not negative"
    raise ValueError(f"{name} is {number}; it must be {span}")


def real(value: Any, name: str, most: float = 1.0, least: float | None = None) -> float:
    """A number above 0, or from `least` on, to `most`."""
    number = float(value)
    if not (number > 0.0 if least is None else number >= least) or not number <= most:
        start = "above 0" if least is None else f"from {least:g}"
        raise ValueError(f"{name} is {number:g}; it must be {start} and at most {most:g}")
    return number


def probability(value: Any, name: str, *, inside: bool = False) -> float:
    """A number from 0 to 1, or `inside`, which is neither of them."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        good = bool(0.0 < value < 1.0 if inside else 0.0 <= value <= 1.0)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name} is {value!r}; it must be a number from 0 to 1") from None
    if not good:
        raise ValueError(
            f"{name} is {value}; it must be {'between 0 and 1' if inside else 'from 0 to 1'}"
        )
    return float(value)


def unit_size(base: Any) -> float:
    """The size in nats of a unit of information: 1 where no base is given."""
    if base is None:
        return 1.0
    try:
        right = 1.0 < base < np.inf
    except (TypeError, ValueError):
        right = False
    if not right:
        raise ArgumentError(f"base must be a number above 1 (2 for bits), not {base!r}")
    return float(np.log(base))


def generator_of(random_state: Any) -> np.random.Generator:
    """The generator of a seed; a Generator as it is, an old RandomState by a draw from it."""
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**31 - 1)
    return np.random.default_rng(random_state)
