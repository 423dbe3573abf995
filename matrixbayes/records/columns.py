"""The columns of rows from records: a tokenizer's ids, or whatever the records name.

Contents
    Columns        names, ids, and the column of each key
    make_columns   those of the keys that were read
    readable       a text, or bytes that are none
    bytes_of       what each id of a tokenizer is written as
    answers        groups of columns, by the spellings of a tokenizer
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..huggingface import answers as spelled
from ..huggingface import spellings
from ..huggingface.answers import OTHER, Other, Vocab

Text = str | bytes  # bytes where they are no text

UNKNOWN = "\ufffd"  # what stands in a text for bytes that are none


class Columns(NamedTuple):
    """Where each key goes: ids from 0 up, the texts -1, -2, ... in the order they were seen."""

    tokens: tuple[str, ...]
    token_ids: NDArray[np.int64] | None
    of_ids: NDArray[np.int64]  # the column of ids first, first + 1, ...
    first: int
    of_texts: NDArray[np.int64]  # the column of each text; -1: which token it is is not known
    lost: tuple[str, ...] = ()  # texts that are no token of the tokenizer, or of several

    def __call__(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """The column of each key, -1 for a text that is no one token."""
        columns = np.empty(len(keys), dtype=np.int64)
        texts = keys < 0
        columns[~texts] = self.of_ids[keys[~texts] - self.first]
        columns[texts] = self.of_texts[-keys[texts] - 1]
        return columns


def make_columns(
    keys: NDArray[np.int64],
    texts: Sequence[Text],
    names: Mapping[int, str],
    tokenizer: Any,
    vocab: Vocab | None,
) -> Columns:
    """The columns for keys that were read.

    Parameters
    ----------
    keys
        Ids, and below 0 the numbers of texts.
    texts
        The texts, in the order of their numbers.
    names
        What records call an id.
    tokenizer
        Its ids are the columns; None for those that were seen and `vocab` asks for, and `OTHER`.
    """
    ids = keys[keys >= 0]
    first = int(ids.min()) if len(ids) else 0
    seen = np.zeros(int(ids.max()) + 1 - first if len(ids) else 0, dtype=bool)
    seen[ids - first] = True
    if tokenizer is not None:
        return _of_tokenizer(tokenizer, first, len(seen), texts)
    if len(ids) and texts:
        raise ValueError(
            "some of the records give ids and others texts alone: read them apart, or give the "
            "tokenizer, by which texts become ids"
        )
    if len(ids):
        known = np.flatnonzero(seen) + first
        new = sorted({*_asked(vocab)} - {*known.tolist()})
        known = np.concatenate([known, np.array(new, dtype=np.int64)])
        shown = [names.get(int(i)) for i in known]
        times = Counter(shown)
        tokens = [
            f"<{i}>" if name is None else name if times[name] == 1 else f"{name}<{i}>"
            for i, name in zip(known.tolist(), shown, strict=True)
        ]
        of_ids = np.cumsum(seen) - 1
        none = np.empty(0, dtype=np.int64)
        return Columns((*tokens, OTHER), np.append(known, -1), of_ids, first, none)
    tokens, of_ids = [readable(text) for text in texts], np.empty(0, dtype=np.int64)
    return Columns((*tokens, OTHER), None, of_ids, 0, np.arange(len(texts)))


def _of_tokenizer(tokenizer: Any, first: int, n_seen: int, texts: Sequence[Text]) -> Columns:
    """A column for each id that a tokenizer has, or that a record names."""
    width = max(max(tokenizer.get_vocab().values(), default=-1) + 1, first + n_seen)
    named = spellings.token_names(tokenizer, width)
    tokens = tuple(f"<{i}>" if name is None else name for i, name in enumerate(named))
    found = np.full(len(texts), -1, dtype=np.int64)
    if texts:
        ids = _ids_by_bytes(tokenizer)
        for number, text in enumerate(texts):
            if isinstance(text, bytes) or UNKNOWN not in text:
                raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
                found[number] = ids.get(raw, -1)
    lost = tuple(readable(texts[i]) for i in np.flatnonzero(found < 0).tolist())
    of_ids = np.arange(first, first + n_seen)
    return Columns(tokens, np.arange(width), of_ids, first, found, lost)


def readable(text: Text) -> str:
    """A text, or bytes that are none as no text is: <0xE2><0x80>."""
    return text if isinstance(text, str) else "".join(f"<0x{byte:02X}>" for byte in text)


def _asked(vocab: Vocab | None) -> Iterator[int]:
    """All ids among the spellings of answers."""
    each: Any = vocab.values() if isinstance(vocab, Mapping) else vocab or ()
    for spelling in each:
        if isinstance(spelling, (int, np.integer)):
            yield int(spelling)
        elif not isinstance(spelling, str):
            yield from (int(i) for i in spelling if isinstance(i, (int, np.integer)))


def _ids_by_bytes(tokenizer: Any) -> dict[bytes, int]:
    """The id that bytes are; those that two tokens are written as are left out.

    A piece for a single byte stands aside where another token is written so: models that have a
    token for it use that.
    """
    ids: dict[bytes, int] = {}
    spare: dict[bytes, int] = {}
    double = set()
    for i, (raw, is_byte) in bytes_of(tokenizer).items():
        table = spare if is_byte else ids
        if raw in table:
            double.add(raw)
        table[raw] = i
    for raw in double:
        ids.pop(raw, None)
    return {**{raw: i for raw, i in spare.items() if raw not in double}, **ids}


def bytes_of(tokenizer: Any) -> dict[int, tuple[bytes, bool]]:
    """What each id of a tokenizer is written as, and whether it is a piece for a single byte.

    The pieces of a byte-level vocabulary are letters for bytes; those of SentencePiece have ▁ for
    a space and <0xE2> for a byte; added tokens are what they are.
    """
    vocabulary = tokenizer.get_vocab()
    added = {
        int(i): str(token) for i, token in getattr(tokenizer, "added_tokens_decoder", {}).items()
    }
    pieces = {i: piece for piece, i in vocabulary.items() if i not in added}
    byte_level = sum("\u0120" in piece for piece in pieces.values())
    pieced = sum("\u2581" in piece for piece in pieces.values())
    table = _letters() if byte_level > pieced else {}
    written: dict[int, tuple[bytes, bool]] = {}
    for i, piece in pieces.items():
        if table and all(letter in table for letter in piece):
            written[i] = bytes(table[letter] for letter in piece), False
        elif not table and len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            written[i] = bytes([int(piece[3:5], 16)]), True
        else:
            written[i] = piece.replace("\u2581", " ").encode("utf-8", "surrogatepass"), False
    for i, text in added.items():
        written[i] = text.encode("utf-8", "surrogatepass"), False
    return written


def _letters() -> dict[str, int]:
    """The letter that stands for each byte in byte-level vocabularies (Radford et al. 2019)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + n): b for n, b in enumerate(others)}


def answers(tokenizer: Any, vocab: Vocab, width: int, other: Other) -> Mapping[str, list[int]]:
    """The ids of each answer, as `collect` has them."""
    return spelled.make_columns(tokenizer, vocab, width, other).members
