"""What users give a `TransitionMatrix`: documents and contexts, as arrays of token numbers.

Contents
    documents_of    one document, or several
    contexts_of     one context, or a batch of equal length
    without_ending  where text goes on once some is unlearnt
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._base.numbers import plain
from .._base.tokens import Vocabulary
from .._base.typing import Ids

ENDINGS = 16  # of the latest updates that are known


def documents_of(tokens: Any, vocabulary: Vocabulary) -> list[Ids]:
    """The documents in what a user gave: a sequence of tokens, or several of them.

    The rows of what has two axes (a data frame too) are documents; so are the entries of one column
    of sequences.
    """
    if isinstance(tokens, (str, bytes)):
        raise TypeError("a document is a sequence of tokens, not one string: tokenise it first")
    if isinstance(tokens, Mapping):
        raise TypeError(
            "a document is a sequence of tokens, not a mapping; update_rows takes counts"
        )
    if hasattr(tokens, "iloc") and hasattr(tokens, "columns") and tokens.shape[1] == 1:
        column = tokens.iloc[:, 0]
        tokens = column if _holds_documents(list(column.iloc[:1])) else tokens
    is_array = hasattr(tokens, "ndim")
    holds_objects = hasattr(tokens, "iloc") or str(getattr(tokens, "dtype", "")) == "object"
    if is_array and tokens.ndim == 1 and holds_objects:
        is_array = not _holds_documents(list(getattr(tokens, "iloc", tokens)[:1]))
    if is_array:
        tokens = plain(tokens, "tokens")
    elif not isinstance(tokens, (list, tuple)):
        tokens = list(tokens)
    if is_array and tokens.ndim == 2 and tokens.shape[1] == 1 < len(tokens):
        raise ValueError(
            f"tokens have shape {tokens.shape}: {len(tokens)} documents of one token each, in "
            "which nothing follows anything.  For one document give tokens.ravel(); for documents "
            "of one token give a list of them"
        )
    several = tokens.ndim == 2 if is_array else _holds_documents(tokens)
    return (
        [_document(tokens[d], d, vocabulary) for d in range(len(tokens))]
        if several
        else [_document(tokens, 0, vocabulary)]
    )


def _document(tokens: Any, number: int, vocabulary: Vocabulary) -> Ids:
    what = f"tokens of document {number}"
    ids = vocabulary.ids(tokens, what, lambda i: f"token {i} of document {number}")
    if ids.ndim != 1:
        raise ValueError(f"document {number} has shape {ids.shape}; it must be (n,)")
    return ids


def _holds_documents(items: Sequence[Any]) -> bool:
    """Whether a sequence is one of documents: its first item is itself a sequence."""
    return len(items) > 0 and not isinstance(items[0], (str, bytes)) and np.ndim(items[0]) > 0


def contexts_of(contexts: Any, vocabulary: Vocabulary, order: int, last: int) -> tuple[Ids, bool]:
    """Contexts (n, length), the last `order` tokens of each at most, and whether one was given.

    A single token or a 1-D sequence is one context; two axes are a batch.
    """
    array = plain(contexts, "contexts")
    if array.ndim > 2:
        raise ValueError(f"contexts have shape {array.shape}; they need (length,) or (n, length)")
    length = array.shape[-1] if array.ndim > 0 else 1

    def place(i: int) -> str:
        return f"contexts[{i // length}, {i % length}]" if array.ndim == 2 else f"contexts[{i}]"

    ids = vocabulary.ids(array, "contexts", place, last)
    ids = ids.reshape(len(array) if array.ndim == 2 else 1, length)
    return ids[:, max(0, length - order) :], array.ndim < 2


def without_ending(latest: Ids, earlier: tuple[Ids, ...], gone: Ids) -> tuple[Ids, tuple[Ids, ...]]:
    """How the latest update that is left ended, and those before it, once one with this end is
    gone."""
    endings = [*earlier, latest]
    for i in range(len(endings) - 1, -1, -1):
        if np.array_equal(endings[i], gone):
            del endings[i]
            break
    return (endings[-1], tuple(endings[:-1])) if endings else (latest[:0], ())
