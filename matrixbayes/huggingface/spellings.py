"""The names of a model's tokens: the text that each of them is.

Contents
    token_names    the name of each id, as text
    raw_pieces     as the vocabulary writes them
    pieces_of      the vocabulary of a tokenizer, checked
    size_of        how many ids it has

What a piece of a vocabulary stands for is what its decoder makes of it, but for one thing: a piece
keeps the space that it begins with, which decoders drop at the beginning of a text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .._base.arguments import is_whole
from .._base.asked import asked
from .._base.pieces import SPACE, byte_of, bytes_of, text_of_bytes

MOST_IDS = 1 << 31
SHARE = 0.05  # of the pieces begin with a space, where no decoder says how one is written


def pieces_of(tokenizer: Any) -> Mapping[str | bytes, int]:
    """The vocabulary of a tokenizer: the id of each of its pieces.

    Raises
    ------
    TypeError, ValueError
        It has none, or something in it is no piece or no id.
    """
    if not hasattr(tokenizer, "get_vocab"):
        raise TypeError(
            f"tokenizer is a {type(tokenizer).__name__} without get_vocab(), which says what its "
            "ids are: give a tokenizer of transformers or tokenizers"
        )
    found = asked("the vocabulary", tokenizer.get_vocab)
    if not isinstance(found, Mapping):
        raise TypeError(
            f"the tokenizer's get_vocab() gave {type(found).__name__}, not a dictionary"
        )
    for piece, i in found.items():
        if not isinstance(piece, (str, bytes)) or not is_whole(i):
            raise TypeError(f"the tokenizer's vocabulary has {piece!r} with the id {i!r}")
        if not 0 <= i < MOST_IDS:
            raise ValueError(f"the tokenizer's vocabulary has {piece!r} with the id {i}")
    return found


def size_of(tokenizer: Any) -> int:
    """How many ids a tokenizer has: one more than its highest."""
    return 1 + max(pieces_of(tokenizer).values(), default=-1)


def raw_pieces(tokenizer: Any, width: int) -> list[str | None]:
    """The vocabulary's own name of each id below `width`; None for an id that it does not name."""
    pieces: list[str | None] = [None] * width
    if tokenizer is not None:
        for piece, i in pieces_of(tokenizer).items():
            if i < width:
                pieces[i] = text_of_bytes(piece) if isinstance(piece, bytes) else piece
    return pieces


def token_names(tokenizer: Any, width: int) -> list[str | None]:
    """The text of each id below `width`, all different; None for an id that has no name.

    A byte that is no character by itself is `<0xE2>`.  Where two ids are the same text, the one
    that is no byte, and of those the lowest, has it; the others are named as the vocabulary does.
    """
    pieces = raw_pieces(tokenizer, width)
    if tokenizer is None:
        return pieces
    read = _reader(tokenizer, pieces)
    special = set(getattr(tokenizer, "all_special_ids", None) or ())
    names: list[str | None] = [
        piece if piece is None or i in special else read(piece) for i, piece in enumerate(pieces)
    ]
    owner: dict[str, int] = {}
    twice: list[int] = []
    for i, name in enumerate(names):
        if name is None:
            continue
        before = owner.setdefault(name, i)
        if before == i:
            continue
        if byte_of(pieces[before] or "") is not None:
            owner[name], i = i, before
        twice.append(i)
    for i in twice:
        name = pieces[i]
        names[i] = name if name not in owner else f"{name}#{i}"
        owner[str(names[i])] = i
    return names


def _reader(tokenizer: Any, pieces: Iterable[str | None]) -> Callable[[str], str]:
    """What makes the text of a piece."""
    parts = _decoders(tokenizer)
    kinds = {part["type"] for part in parts}
    named = [piece for piece in pieces if piece]
    table = getattr(tokenizer, "byte_decoder", None)
    if "ByteLevel" in kinds or isinstance(table, dict) or (not parts and _begin(named, "Ġ")):
        return _of_bytes
    spaces = {part["replacement"] for part in parts if part["type"] == "Metaspace"}
    spaces |= {
        part["pattern"].get("String", "")
        for part in parts
        if part["type"] == "Replace" and part["content"] == " "
    }
    if not parts and (hasattr(tokenizer, "sp_model") or _begin(named, SPACE)):
        spaces = {SPACE}
    suffix = next((part["suffix"] for part in parts if part["type"] == "BPEDecoder"), "")
    in_bytes = "ByteFallback" in kinds or (not parts and spaces != set())

    def read(piece: str) -> str:
        byte = byte_of(piece) if in_bytes and piece[:1] == "<" else None
        if byte is not None:
            return chr(byte) if byte < 0x80 else piece
        if suffix and piece.endswith(suffix):
            return piece[: -len(suffix)] + " "
        for space in spaces - {""}:
            piece = piece.replace(space, " ")
        return piece

    return read


def _of_bytes(piece: str) -> str:
    """The text of a piece of a byte-level vocabulary; one with other characters is itself."""
    if piece.isascii():
        return piece
    raw = bytes_of(piece)
    return piece if raw is None else text_of_bytes(raw)


def _decoders(tokenizer: Any) -> list[dict[str, Any]]:
    """What the decoder of a fast tokenizer does, step by step."""
    decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
    if decoder is None:
        return []
    state = json.loads(decoder.__getstate__())
    return [state] if state["type"] != "Sequence" else list(state["decoders"])


def _begin(pieces: list[str], mark: str) -> bool:
    """Whether so many pieces begin with a mark that it is how the vocabulary writes a space."""
    return bool(pieces) and sum(p.startswith(mark) for p in pieces) >= SHARE * len(pieces)
