"""One token, or any other text, in one printable line."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

MOST_MARKS = 2  # accents on one letter; more of them reach into other lines

# Characters that print nothing, though Python calls them printable.
_BLANK = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
_BLANK |= {*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}


def show(token: Any, *, width: int = 24) -> str:
    r"""A token's name in quotes, as `repr` has it; the number of a column as it is.

    Parameters
    ----------
    token
        A name, or the number of a column where columns have no names.
    width
        The most places in a line that it may take; of what is longer the middle is left out.

    Examples
    --------
    >>> print(show("yes"), show(" yes"), show("a\n"), show("\x1b[0m"), show(7))
    'yes' ' yes' 'a\n' '\x1b[0m' 7
    >>> print(show("internationalisation", width=12))
    'inter…tion'
    """
    if isinstance(token, (int, np.integer)):
        return str(int(token))
    return quoted(token, width=width)


def quoted(text: object, *, width: int = 24) -> str:
    """Any text in quotes, as `show` has a token."""
    raw = str(text)
    mark = '"' if "'" in raw and '"' not in raw else "'"
    escaped = {"\\": "\\\\", mark: f"\\{mark}"}
    return mark + _fit(_pieces(raw, escaped), width - 2) + mark


def printable(text: object, *, width: int = 24) -> str:
    r"""Any text in one line without quotes: what does not print is escaped.

    Examples
    --------
    >>> print(printable("Is it so?\n"))
    Is it so?\n
    """
    return _fit(_pieces(str(text), {}), width)


def cut(line: str, width: int) -> str:
    """A line that prints already, without its middle where it takes more than `width` places."""
    return _fit(_pieces(line, {}), width)


def places(line: str) -> int:
    """How many places a printable line takes in a terminal: two for wide characters."""
    if line.isascii():
        return len(line)
    return sum(map(_place, line))


def _place(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 1 + (unicodedata.east_asian_width(character) in "WF")


def _pieces(text: str, escaped: dict[str, str]) -> list[str]:
    """What is not to be torn apart: a letter with its marks, or an escape."""
    if text.isascii() and text.isprintable() and not escaped:
        return list(text)
    pieces: list[str] = []
    room = 0  # for marks on the last letter
    for character in text:
        if not character.isprintable() or ord(character) in _BLANK:
            pieces.append(_escape(character))
            room = 0
        elif _place(character) == 0:
            if room:
                pieces[-1] += character
                room -= 1
            else:
                pieces.append(_escape(character))
        else:
            pieces.append(escaped.get(character, character))
            room = MOST_MARKS
    return pieces


def _escape(character: str) -> str:
    """How one character that does not print is shown."""
    escape = character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return escape if escape.startswith("\\") else f"\\x{ord(character):02x}"


def _fit(pieces: Sequence[str], width: int) -> str:
    """The pieces in a line, of at most `width` places: the middle gives way."""
    sizes = list(map(places, pieces))
    if sum(sizes) <= width:
        return "".join(pieces)
    room = width - 1
    head = _first(sizes, (room + 1) // 2)
    left = room - sum(sizes[:head])
    tail = _first(sizes[::-1], left)
    return "".join([*pieces[:head], "…", *pieces[len(pieces) - tail :]])


def _first(sizes: Sequence[int], room: int) -> int:
    """How many of the first sizes have room."""
    return int(np.searchsorted(np.cumsum(sizes), room, side="right"))
