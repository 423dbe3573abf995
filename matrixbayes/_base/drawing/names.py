r"""Names of tokens, and other texts of callers, that matplotlib can print.

Contents
    label, words              a token in quotes; any other text without
    token_name, token_names   the names of columns, all different
    printed                   a line without what no font of the style has

A dollar does not begin mathematics, a low line does not hide an entry of a legend, and a character
that no font in ``rcParams["font.family"]`` has is shown as its escape, as `\u4e2d`: matplotlib
would print a box and warn.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from matplotlib import font_manager

from ..display import printable, quoted

WIDTH = 18
_PIECE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})|.", re.DOTALL)


def label(token: object, width: int = WIDTH) -> str:
    """A token as matplotlib may print it, in quotes; the number of a column as it is."""
    return printed(quoted(token, width=width) if isinstance(token, str) else str(token), width)


def words(text: object, width: int = 40) -> str:
    """Any other text as matplotlib may print it."""
    line = printable(text, width=width)
    # matplotlib takes an entry that begins so for one to hide, and an empty one for none
    return printed(line if line.strip() and line[0] != "_" else quoted(text, width=width), width)


def printed(line: str, width: int) -> str:
    """A line without mathematics, and with escapes for what no font has; its middle gives way."""
    known = _characters(_fonts())
    pieces = _PIECE.findall("".join(c if ord(c) in known else _escape(c) for c in line))
    if sum(map(len, pieces)) > width:  # escapes are long
        head, tail = pieces[:1], pieces[-1:]
        rest = pieces[1:-1]
        room = width - 3
        while rest and len(rest[0]) <= room:
            room -= len(rest[0])
            head.append(rest.pop(0))
            if rest and len(rest[-1]) <= room:
                room -= len(rest[-1])
                tail.insert(0, rest.pop())
        pieces = [*head, "…" if ord("…") in known else "...", *tail]
    return "".join(pieces).replace("$", r"\$")


def token_name(tokens: Sequence[str] | None, column: int, width: int = WIDTH) -> str:
    """The name of a column, or its number where tokens have no names."""
    return label(int(column) if tokens is None else tokens[column], width)


def token_names(
    tokens: Sequence[str] | None, columns: Sequence[int], width: int = WIDTH
) -> list[str]:
    """The names of columns; what looks the same when it is shortened has its number too."""
    names = [token_name(tokens, j, width) for j in columns]
    times = Counter(names)
    return [
        name if times[name] == 1 else f"{name} #{j}" for name, j in zip(names, columns, strict=True)
    ]


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii") if ord(character) > 127 else character


def _fonts() -> tuple[str, ...]:
    """The files that matplotlib takes glyphs from, in the style of now."""
    style = font_manager.FontProperties()
    manager = font_manager.fontManager
    several = getattr(manager, "_find_fonts_by_props", None)  # there is no public way to ask
    found = [manager.findfont(style)] if several is None else several(style)
    return tuple(map(str, found))


@lru_cache(maxsize=16)
def _characters(fonts: tuple[str, ...]) -> frozenset[int]:
    """The characters that one of some fonts has."""
    return frozenset().union(*(font_manager.get_font(font).get_charmap() for font in fonts))
