"""What users give a `TransitionMatrix`: documents and contexts, as arrays of token numbers.

Contents
    documents_of    one document, or several
    contexts_of     one context, or a batch of equal length
    names_of        the names of tokens, checked
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._names import near, token_names
from ._numbers import is_named, plain, wholes
from .errors import NoSuchTokenError

__all__ = ["Vocabulary", "contexts_of", "documents_of", "names_of"]

Ids = NDArray[np.int64]
Place = Callable[[int], str]


def names_of(tokens: Iterable[str] | None) -> tuple[str, ...] | None:
    """The names of tokens, all different."""
    if tokens is None:
        return None
    if isinstance(tokens, str):
        raise TypeError("tokens must be a sequence of str, one name for each token")
    return token_names(tokens)


class Vocabulary:
    """V tokens, perhaps with names; turns what users write into their numbers."""

    def __init__(self, n_tokens: int, names: tuple[str, ...] | None) -> None:
        self.n_tokens, self.names = n_tokens, names
        self._number = None if names is None else {name: v for v, name in enumerate(names)}

    def ids(self, tokens: Any, what: str, place: Place, last: int | None = None) -> Ids:
        """Names or whole numbers from 0 to V - 1, or to `last`, as int64 in the same shape.

        `what` they are, and where the i-th of them is, in words.
        """
        array = plain(tokens, what)
        if array.size == 0:
            return np.zeros(array.shape, dtype=np.int64)
        if is_named(array):
            named = [self._named(name, place(i)) for i, name in enumerate(array.ravel().tolist())]
            return np.array(named, dtype=np.int64).reshape(array.shape)
        numbers = wholes(array, what, place)
        last = self.n_tokens - 1 if last is None else last
        # one pass, not two: a negative number is a huge one without its sign
        if numbers.view(np.uint64).max() > last:
            flat = numbers.ravel()
            i = int(np.flatnonzero((flat < 0) | (flat > last))[0])
            raise ValueError(f"{place(i)} is {int(flat[i])}; tokens are 0 to {self.n_tokens - 1}")
        return numbers

    def _named(self, name: Any, where: str) -> int:
        if self._number is None:
            raise ValueError(
                f"{where} is {name!r}, but these tokens have no names: give numbers, or make the "
                "matrix with tokens=(...)"
            )
        number = self._number.get(name) if isinstance(name, str) else None
        if number is None:
            meant = near(str(name), self.names or ())
            raise NoSuchTokenError(
                f"{where} is {name!r}, which is not one of the {self.n_tokens} tokens"
                + (f" (did you mean {meant!r}?)" if meant is not None else "")
                + ".  For words that may be unknown make the matrix with a token that stands for "
                "them, tokens=(..., '<unk>'), and write it in their place"
            )
        return number


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
