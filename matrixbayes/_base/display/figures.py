"""Numbers in words: as many digits as it takes to see what they differ by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .tokens import places, printable, show

DIGITS = 4  # significant ones, where that is enough
MOST_DIGITS = 12
NOISE = 1e-9  # part of a figure by which sums of the same numbers differ
SMALL = 1e-5  # a difference that may be rounding
NEAR = 1e-6  # part of two figures by which they may differ and read alike, where others are far


def number(value: Any, *, width: int = 98) -> str:
    """A figure with four significant digits; integers and `nan` as they are, words in one line.

    Examples
    --------
    >>> number(3), number(0.123456), number(1234567.0), number(True)
    ('3', '0.1235', '1.235e+06', 'yes')
    """
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return _figure(float(value), DIGITS)
    return printable("-" if value is None else value, width=width)


def numbers(values: Sequence[Any], *, width: int = 98) -> list[str]:
    """The cells of one column: figures with as many digits as show what they differ by.

    Four significant digits, or more where two of the figures would read the same, or all of them
    differ by little of what they are.

    Examples
    --------
    >>> numbers([0.25, 1e-9, 3]), numbers([-60530123.0, -60530124.5, "-"])
    (['0.2500', '1.000e-09', '3'], ['-60530123.00', '-60530124.50', '-'])
    """
    figures = [float(v) for v in values if isinstance(v, (float, np.floating))]
    digits = _digits(np.array([x for x in figures if np.isfinite(x)]))
    return [
        _figure(float(v), digits) if isinstance(v, (float, np.floating)) else number(v, width=width)
        for v in values
    ]


def _digits(figures: NDArray[np.float64]) -> int:
    """How many significant digits the figures of a column need."""
    unlike = np.unique(figures)
    if unlike.size < 2:
        return DIGITS
    gaps = np.diff(unlike)
    sizes = np.maximum(np.abs(unlike[1:]), np.abs(unlike[:-1]))
    with np.errstate(over="ignore"):
        spread = float(unlike[-1] - unlike[0])
    least = NOISE if spread > SMALL else NEAR  # of likelihoods the last digits tell, not of shares
    if not least * sizes.max() < spread < np.inf:
        return DIGITS
    digits = DIGITS - 2 + np.log10(sizes.max() / spread)
    told = gaps > NEAR * sizes
    if told.any():
        digits = max(digits, 1 + np.log10((sizes[told] / gaps[told]).max()))
    return min(MOST_DIGITS, max(DIGITS, int(np.ceil(digits))))


def _figure(value: float, digits: int) -> str:
    """One figure with so many significant digits; without an exponent where it is short."""
    size = abs(value)
    if digits == DIGITS and 1000.0 <= size < 1e6:
        return f"{value:.1f}"
    if digits > DIGITS and 1.0 <= size < 1e12:
        return f"{value:.{max(0, digits - 1 - int(np.log10(size)))}f}"
    text = f"{value:#.{digits}g}".rstrip(".")
    # What is not 1 does not read as 1.
    if NEAR < 1.0 - size < 0.01 and float(text) in (1.0, -1.0):
        text = f"{value:.{int(np.ceil(-np.log10(1.0 - size) - NOISE)) + 1}f}"
    return text.removeprefix("-") if value == 0.0 else text


def percent(value: float) -> str:
    """A probability as a percentage of three digits: `12.3%`, `<0.1%`, `>99.9%`."""
    if 0.0 < value < 0.0005:
        return "<0.1%"
    if 0.9995 <= value < 1.0:
        return ">99.9%"
    return f"{100.0 * value:.1f}%"


def amount(n_bytes: float) -> str:
    """A number of bytes with three digits.

    Examples
    --------
    >>> amount(999), amount(402_056_000_000)
    ('999 bytes', '402 GB')
    """
    units = ["PB", "TB", "GB", "MB", "kB", "bytes"]
    while n_bytes >= 999.5 and len(units) > 1:
        n_bytes /= 1000
        units.pop()
    return f"{n_bytes:.3g} {units[-1]}"


def top(
    row: NDArray[np.floating], tokens: Sequence[str] | None, n: int = 3, *, room: int = 62
) -> str:
    """The most probable tokens of a row of probabilities in words, at most `n`, with `room`."""
    order = np.argsort(-row, kind="stable")[:n]
    names = (show(int(j) if tokens is None else tokens[j], width=18) for j in order)
    return fitting([f"{name} {share(row[j])}" for name, j in zip(names, order, strict=True)], room)


def fitting(words: list[str], room: int) -> str:
    """As many of some words as have room in a line, the first at least."""
    while len(words) > 1 and places(", ".join(words)) > room:
        words = words[:-1]
    return ", ".join(words)


def share(value: float) -> str:
    """A probability with three decimals, or where that says too little with two digits."""
    if 0.9995 <= value < 1.0:
        return ">0.999"
    return f"{value:.3f}" if value == 0.0 or value >= 0.0095 else f"{value:.2g}"
