"""The pieces of a vocabulary as the text that they are.

Contents
    text_of_bytes    bytes as text; those that are none as `<0xE2>`
    bytes_of         what a piece of a byte-level vocabulary stands for
    byte_of          the byte of a piece like `<0x0A>`
    readings         the texts that a name may stand for, read as a piece

Byte-level vocabularies (GPT-2's and its heirs') write each byte as a character that prints, so that
a space is `Ġ`; SentencePiece writes a space as `▁`, and bytes outside its vocabulary as `<0x0A>`.
"""

from __future__ import annotations

import re

SPACE = "▁"  # SentencePiece's
_PRINTING = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = [byte for byte in range(256) if byte not in _PRINTING]
# To the character of Latin-1 that has the byte as its number.
_LATIN = {
    **dict.fromkeys(range(0x100), "\uffff"),
    **{byte: chr(byte) for byte in _PRINTING},
    **{256 + i: chr(byte) for i, byte in enumerate(_OTHERS)},
}
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_NO_TEXT = re.compile("[\udc80-\udcff]")


def text_of_bytes(raw: bytes) -> str:
    r"""Bytes as text; those that are no UTF-8, such as a part of a character, as `<0xE2>`.

    Examples
    --------
    >>> text_of_bytes(b" the"), text_of_bytes(b" \xe2\x80")
    (' the', ' <0xE2><0x80>')
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        text = raw.decode(errors="surrogateescape")
        return _NO_TEXT.sub(lambda found: f"<0x{ord(found[0]) - 0xDC00:02X}>", text)


def bytes_of(piece: str) -> bytes | None:
    """What a piece of a byte-level vocabulary stands for; None where it is none.

    Examples
    --------
    >>> bytes_of("Ġthe"), bytes_of("Ċ"), bytes_of("â"), bytes_of("▁the")
    (b' the', b'\\n', b'\\xe2', None)
    """
    try:
        return piece.translate(_LATIN).encode("latin-1")
    except UnicodeEncodeError:
        return None


def byte_of(piece: str) -> int | None:
    """The byte of a piece like `<0x0A>`; None where it is none."""
    found = _BYTE.fullmatch(piece)
    return int(found[1], 16) if found else None


def readings(name: str) -> list[str]:
    """The texts that a name may stand for, read as a piece of one vocabulary or another.

    Examples
    --------
    >>> readings("Ġthe"), readings("▁the"), readings("<0x0A>"), readings("the")
    ([' the'], [' the'], ['\\n'], [])
    """
    found = []
    raw, byte = bytes_of(name), byte_of(name)
    if raw is not None:
        found.append(text_of_bytes(raw))
    if byte is not None and byte < 0x80:
        found.append(chr(byte))
    found.append(name.replace(SPACE, " "))
    return [text for text in dict.fromkeys(found) if text != name]
