"""Tokens as they are seen in a running text.

Contents
    characters    the text that each token adds, where some hold parts of characters alone
    visible       a piece of text with what does not show itself marked
    isolated      a name that keeps its direction inside a sentence
    columns_of    how many columns of a terminal a text takes
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from .._base.display import printable

PART = "·"
BYTES = re.compile(r"(?:<0x[0-9A-Fa-f]{2}>)+")
JOINERS = "\u200c\u200d\ufe0e\ufe0f"  # of Persian and Hindi words, and of emoji
MARKS = {"\t": "⇥", "\r": "␍", "\n": "⏎"}


def characters(names: Sequence[str]) -> list[str]:
    """The text that each token adds: a character of several tokens comes with its last one.

    `PART` stands where a token begins one; bytes that are no text keep their names.

    Examples
    --------
    >>> characters(["a <0xE2><0x80>", "<0x94>", "b", "<0xE2>"])
    ['a ·', '—', 'b', '<0xE2>']
    """
    found = [""] * len(names)
    owners: list[int] = []  # the token of each byte that is not read yet
    raw = bytearray()
    for t, name in enumerate(names):
        for part in re.split(f"({BYTES.pattern})", name):
            if BYTES.fullmatch(part):
                some = bytes.fromhex("".join(re.findall(r"0x(..)>", part)))
                raw += some
                owners += [t] * len(some)
            elif part:
                _read(bytes(raw), owners, found)
                raw.clear()
                owners.clear()
                found[t] += part
    _read(bytes(raw), owners, found)
    return found


def _read(raw: bytes, owners: Sequence[int], found: list[str]) -> None:
    """Give the characters of some bytes to the tokens that end them."""
    end = 0
    for character in raw.decode(errors="surrogateescape"):
        start, end = end, end + len(character.encode(errors="surrogateescape"))
        for t in sorted(set(owners[start : end - 1]) - {owners[end - 1]}):
            found[t] += PART
        no_text = "\udc80" <= character <= "\udcff"
        found[owners[end - 1]] += f"<0x{raw[start]:02X}>" if no_text else character


def visible(text: str) -> str:
    r"""A piece of text as it is, but for what does not show itself.

    Spaces are kept, and marked where there is nothing else; `⏎` stands before each line's end,
    `⇥` for a tab, escapes for other control characters and changes of writing direction.

    Examples
    --------
    >>> visible(" a"), visible("  "), visible("\x1b\u202e"), visible("a\n")
    (' a', '␣␣', '\\x1b\\u202e', 'a⏎\n')
    """
    if text and not text.strip(" "):
        return "␣" * len(text)
    joined = any(c.isprintable() for c in text)
    return "".join(_mark(c, joined) for c in text)


def _mark(character: str, joined: bool) -> str:
    if character in MARKS:
        return MARKS[character] + "\n" * (character == "\n")
    if character == " " or (joined and character in JOINERS):
        return character
    return printable(character, width=16)


def isolated(name: str) -> str:
    """A name that keeps its own writing direction, and the sentence its."""
    if any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in name):
        return f"\u2068{name}\u2069"
    return name


def columns_of(text: str) -> int:
    """How many columns of a terminal a text takes.

    Examples
    --------
    >>> columns_of("ab"), columns_of("日本"), columns_of("e\u0301")
    (2, 4, 1)
    """
    return sum(
        1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
        if not unicodedata.combining(c) and c not in JOINERS
    )
