"""The columns of rows from records: a tokenizer's ids, or whatever the records name.

Contents
    Columns        names, ids, and the column of each key
    make_columns   those of the keys that were read
    asked          the ids among the spellings of answers
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..huggingface.answers import OTHER, Vocab
from ..huggingface.spellings import pieces_of, token_names

RAW = re.compile("[\u0120\u010a\u2581]")  # what some servers write for a space or a line's end
MOST_UNNAMED = 2**18  # ids behind those of a tokenizer: padding of a model
UNKNOWN = "\ufffd"  # what stands in a text for bytes that are none


class Columns(NamedTuple):
    """Where each key goes: ids from 0 up, the texts -1, -2, ... in the order they were seen."""

    tokens: tuple[str, ...]
    token_ids: NDArray[np.int64] | None
    ids: NDArray[np.int64]  # that were read, rising
    of_ids: NDArray[np.int64]  # their columns
    of_texts: NDArray[np.int64]  # the column of each text; -1: which token it is is not known
    lost: tuple[str, ...] = ()  # those texts

    def __call__(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """The column of each key, -1 for a text that is no one token."""
        columns = np.empty(len(keys), dtype=np.int64)
        texts = keys < 0
        columns[~texts] = self.of_ids[np.searchsorted(self.ids, keys[~texts])]
        columns[texts] = self.of_texts[-keys[texts] - 1]
        return columns


def make_columns(
    keys: NDArray[np.int64],
    texts: Sequence[str],
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
        Its ids are the columns; None for those that were seen or that `vocab` asks for, and
        `OTHER`.
    """
    ids = np.unique(keys[keys >= 0])  # they may be far apart: nothing is as long as the largest
    if tokenizer is not None:
        return _of_tokenizer(tokenizer, ids, texts)
    if len(ids) and texts:
        raise ValueError(
            "some of the records give ids and others texts alone: read them apart, or give the "
            "tokenizer, by which texts become ids"
        )
    if texts:
        return Columns((*texts, OTHER), None, ids, ids, np.arange(len(texts)))
    new = sorted({*asked(vocab)} - {*ids.tolist()})
    known = np.concatenate([ids, np.array(new, dtype=np.int64)])
    called = (names.get(i) for i in known.tolist())
    shown = [name if isinstance(name, str) else None for name in called]
    times = Counter(shown)
    tokens = [
        f"<{i}>" if name is None else name if times[name] == 1 else f"{name}<{i}>"
        for i, name in zip(known.tolist(), shown, strict=True)
    ]
    none = np.empty(0, dtype=np.int64)
    return Columns((*tokens, OTHER), np.append(known, -1), ids, np.arange(len(ids)), none)


def _of_tokenizer(tokenizer: Any, ids: NDArray[np.int64], texts: Sequence[str]) -> Columns:
    """A column for each id that a tokenizer has, or that a record names.

    A text is the token whose name it is: where two are written alike, the one that is.
    """
    vocabulary = pieces_of(tokenizer)
    width = 1 + max(vocabulary.values(), default=-1)
    if len(ids) and ids[-1] >= width:
        if ids[-1] >= width + MOST_UNNAMED:
            raise ValueError(
                f"there is an id {ids[-1]}, and the tokenizer has {width} tokens: it is not that "
                "of the model"
            )
        width = int(ids[-1]) + 1
    named = token_names(tokenizer, width)
    tokens = tuple(f"<{i}>" if name is None else name for i, name in enumerate(named))
    of_names = {name: i for i, name in enumerate(named) if name is not None} if texts else {}
    pieces = {
        text: i for text, i in vocabulary.items() if isinstance(text, str) and RAW.search(text)
    }
    found = [-1 if UNKNOWN in text else of_names.get(text, pieces.get(text, -1)) for text in texts]
    lost = tuple(text for text, i in zip(texts, found, strict=True) if i < 0)
    of_texts = np.array(found, dtype=np.int64)
    return Columns(tokens, np.arange(width), ids, ids, of_texts, lost)


def asked(vocab: Vocab | None) -> Iterator[int]:
    """All ids among the spellings of answers."""
    each: Any = vocab.values() if isinstance(vocab, Mapping) else vocab or ()
    for spelling in each:
        if isinstance(spelling, (int, np.integer)):
            yield int(spelling)
        elif not isinstance(spelling, str):
            yield from (int(i) for i in spelling if isinstance(i, (int, np.integer)))
