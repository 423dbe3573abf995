"""Strings to documents, with the tokens of a vocabulary.

Contents
    BEGIN, END, UNKNOWN    words that mean something
    Reading                a tokenizer, and the token that ends a document
    unknown_of             the token that stands for words that are none
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Any

import numpy as np

from ..._base.tokens import Vocabulary
from ..._base.typing import Ids
from .tokenizers import Tokenizer, lines_of

BEGIN, END, UNKNOWN = "<s>", "</s>", ("<unk>", "<UNK>")


def unknown_of(vocabulary: Vocabulary) -> int | None:
    """The number of the token that stands for words that are none; None where there is none."""
    if vocabulary.unknown is not None:
        return vocabulary.unknown
    return next((found for name in UNKNOWN if (found := vocabulary.number(name)) is not None), None)


class Reading:
    """How strings become documents: a tokenizer, and the number of the token that ends each.

    Tokenizers may be anything, and are not pickled: what is loaded knows whether there was one.
    """

    def __init__(self, tokenizer: Any = None, end: int | None = None) -> None:
        self.tokenizer, self.end, self.is_lost = Tokenizer(tokenizer), end, False

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> Reading:
        """Where none was given: at white space, to the end ``</s>`` where there is one."""
        return cls(None, vocabulary.number(END))

    @classmethod
    def saved(cls, state: Any, n_tokens: int) -> Reading | None:
        """What a file says of it; ValueError where that cannot be."""
        if state is None:
            return None
        end = state["end"]
        if not isinstance(state["is_lost"], bool) or not (
            end is None or (type(end) is int and 0 <= end < n_tokens)
        ):
            raise ValueError("the file does not say how texts were read")
        new = cls(None, end)
        new.is_lost = state["is_lost"]
        return new

    def __getstate__(self) -> dict[str, Any]:
        return {"end": self.end, "is_lost": self.is_lost or self.tokenizer.given is not None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, tokenizer=Tokenizer())

    def tokens(self, lines: Iterable[Any]) -> Iterable[list[str] | Ids]:
        """The tokens of each line."""
        if self.is_lost:
            raise ValueError(
                "texts were read by a tokenizer, which files and pickles do not keep: set "
                "matrix.tokenizer, or give documents of token numbers"
            )
        return self.tokenizer(lines)

    def documents(self, text: Any, vocabulary: Vocabulary) -> list[Ids]:
        """The documents of a text, one a line."""
        unknown, found = unknown_of(vocabulary), []
        for d, tokens in enumerate(self.tokens(lines_of(text))):
            ids = self.ids(tokens, vocabulary, unknown, d)
            found.append(ids if self.end is None else np.append(ids, self.end))
        return found

    def ids(
        self, tokens: list[str] | Ids, vocabulary: Vocabulary, unknown: int | None, d: int
    ) -> Ids:
        """The numbers of the tokens of line d."""
        if isinstance(tokens, np.ndarray):
            return vocabulary.ids(tokens, "tokens", lambda i: f"token {i} of line {d}")
        absent = -1 if unknown is None else unknown
        ids = np.fromiter(map(vocabulary.number, tokens, repeat(absent)), np.int64, len(tokens))
        if unknown is None and len(ids) and ids.min() < 0:
            i = int(np.flatnonzero(ids < 0)[0])
            vocabulary.ids([tokens[i]], "tokens", lambda _: f"token {i} of line {d}")  # raises
        return ids
