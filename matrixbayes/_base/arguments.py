"""Single arguments, checked: numbers of a range, seeds.

Contents
    whole          a whole number of a range: a size, a place
    times          how often something random is done again
    is_whole       whether something is a whole number
    real           a real number of a range
    probability    a number from 0 to 1, or between them
    unit_size      the nats of a unit of information, by the base of its logarithm
    listed         any container, as a list of what is in it
    has_items      whether something is a container
    generator_of   the generator of a seed
    instance       an object of a type, or of one of several
    having         an object with some attributes
    shown          what a message says of an argument
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

from ..errors import ArgumentError
from .numbers import countable, plain, wholes

T = TypeVar("T")
MOST_TIMES = 1 << 24  # of what is drawn or searched again: more would neither end nor tell more
LONGEST = 200  # letters of an argument in a message


def shown(value: Any) -> str:
    """What a message says of an argument: its repr, cut short, or its type where it has none."""
    try:
        text = repr(value)
    except Exception:  # its own error, or nested too deep
        return f"an object of type {type(value).__name__}"
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def instance(value: Any, kind: type[T] | tuple[type[T], ...], name: str) -> T:
    """The same, which has to be of a type."""
    if isinstance(value, kind):
        return value
    kinds = kind if isinstance(kind, tuple) else (kind,)
    wanted = " or ".join(each.__name__ for each in kinds)
    raise ArgumentError(f"{name} is {shown(value)}; it must be of type {wanted}")


def is_whole(value: Any) -> bool:
    """Whether it is an integer of any type, but no truth value."""
    if type(value) is int or isinstance(value, np.integer):
        return True
    if isinstance(value, (bool, np.bool_)) or str(getattr(value, "dtype", "")).endswith("bool"):
        return False
    try:
        operator.index(value)
    except (TypeError, RuntimeError):  # an array; a tensor that holds no number
        return False
    return True


def whole(value: Any, name: str, least: int, most: int | None = None) -> int:
    """One whole number from `least` to `most`: of any type of integers, but no truth value."""
    if not is_whole(value):
        raise ArgumentError(f"{name} is {shown(value)}; it must be a whole number, an integer")
    number = operator.index(value)
    if number >= least and (most is None or number <= most):
        return number
    span = f"from {least} to {most}" if most is not None else f"{least} at least"
    if most is None and least == 0:
        span = "not negative"
    raise ValueError(f"{name} is {shown(number)}; it must be {span}")


def times(value: Any, name: str, least: int) -> int:
    """How often something is done again: samples, permutations, starts, rounds."""
    return whole(whole(value, name, least), name, least, MOST_TIMES)


def real(value: Any, name: str, most: float = 1.0, least: float | None = None) -> float:
    """A number above 0, or from `least` on, to `most`."""
    try:
        if isinstance(value, (str, bytes)) or np.ndim(value):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise ArgumentError(f"{name} is {shown(value)}; it must be a real number") from None
    if not (number > 0.0 if least is None else number >= least) or not number <= most:
        start = "above 0" if least is None else f"from {least:g}"
        end = f" and at most {most:g}" if most < np.inf else ""
        raise ValueError(f"{name} is {number:g}; it must be {start}{end}")
    return number


def probability(value: Any, name: str, *, inside: bool = False) -> float:
    """A number from 0 to 1, or `inside`, which is neither of them."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        good = bool(0.0 < value < 1.0 if inside else 0.0 <= value <= 1.0)
    except (TypeError, ValueError, ArithmeticError, RuntimeError):
        raise ArgumentError(f"{name} is {shown(value)}; it must be a number from 0 to 1") from None
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
        right = bool(1.0 < base < np.inf)
    except (TypeError, ValueError, ArithmeticError, RuntimeError):
        right = False
    if not right:
        raise ArgumentError(f"base must be a number above 1 (2 for bits), not {shown(base)}")
    return float(np.log(base))


def listed(given: Any, name: str) -> list[Any]:
    """What is in a container, one after another: of an array or a tensor, its rows."""
    if hasattr(given, "detach") or hasattr(given, "tocsr"):
        given = plain(given, name)
    if isinstance(given, np.ndarray):
        countable(given, name)
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ArgumentError(f"{name} is of type {type(given).__name__}; it must be a sequence")
    return list(given)


def has_items(given: Any) -> bool:
    """Whether something is made of items, by its type: a tensor, if asked, makes all its rows."""
    is_text = isinstance(given, (str, bytes))
    return isinstance(given, Iterable) and not is_text and getattr(given, "ndim", 1) != 0


def having(value: T, name: str, *attributes: str) -> T:
    """The same, which has to have these attributes: of no one type, but of one shape."""
    lacks = [each for each in attributes if not hasattr(value, each)]
    if lacks or isinstance(value, type):
        raise ArgumentError(f"{name} is {shown(value)}; it must have {', '.join(attributes)}")
    return value


GENERATORS = (np.random.Generator, np.random.BitGenerator, np.random.SeedSequence)


def generator_of(random_state: Any, name: str = "rng") -> np.random.Generator:
    """The generator of a seed; a Generator as it is, an old RandomState by a draw from it.

    NumPy takes a list that holds itself, or one nested without end, until the stack is full.
    """
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**31 - 1)
    elif is_whole(random_state):
        random_state = whole(random_state, name, 0)
    elif random_state is not None and not isinstance(random_state, GENERATORS):
        is_list = isinstance(random_state, (list, tuple))
        seeds = list(random_state) if is_list else wholes(random_state, name).tolist()
        if not isinstance(seeds, list) or not all(is_whole(s) and s >= 0 for s in seeds):
            raise ArgumentError(
                f"{name} is {shown(random_state)}; it must be a numpy.random.Generator, a seed (a "
                "whole number that is not negative, or several), or None"
            )
        random_state = seeds
    return np.random.default_rng(random_state)
