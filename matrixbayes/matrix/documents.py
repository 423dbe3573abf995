"""What users give a `TransitionMatrix`: documents and contexts, as arrays of token numbers.

Contents
    Texts           documents in one array
    documents_of    one document, or several
    contexts_of     one context, or a batch of equal length
    without_ending  where text goes on once some is unlearnt
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np

from .. import _core
from .._base.arguments import shown
from .._base.numbers import plain, wholes
from .._base.tokens import Vocabulary
from .._base.typing import Ids

ENDINGS = 16  # of the latest updates that are known


class Texts(Sequence[Ids]):
    """Documents that stand in one array, from `starts` to `ends`; a sequence of them."""

    def __init__(self, tokens: Ids, starts: Ids, ends: Ids) -> None:
        self.tokens, self.starts, self.ends = tokens, starts, ends

    @classmethod
    def of(cls, documents: Sequence[Ids]) -> Texts:
        """Documents of any kind."""
        if isinstance(documents, Texts):
            return documents
        if len(documents) == 1:
            n = len(documents[0])
            return cls(documents[0], np.zeros(1, dtype=np.int64), np.array([n], dtype=np.int64))
        bounds = np.append(0, np.cumsum([len(each) for each in documents], dtype=np.int64))
        tokens = np.concatenate([np.zeros(0, dtype=np.int64), *documents])
        return cls(tokens, bounds[:-1], bounds[1:])

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, i: int) -> Ids: ...
    @overload
    def __getitem__(self, i: slice) -> Texts: ...
    def __getitem__(self, i: int | slice) -> Ids | Texts:
        if isinstance(i, slice):
            return Texts(self.tokens, self.starts[i], self.ends[i])
        return self.tokens[self.starts[i] : self.ends[i]]

    @property
    def n_tokens(self) -> int:
        """Of all documents."""
        return int((self.ends - self.starts).sum())

    def joined(self) -> tuple[Ids, Ids]:
        """Their tokens, one after the other, and where each begins and the last one ends."""
        if not np.array_equal(self.starts[1:], self.ends[:-1]):
            return Texts.of(list(self)).joined()
        if len(self) == 0:
            return self.tokens[:0], np.zeros(1, dtype=np.int64)
        bounds = np.append(self.starts, self.ends[-1])
        return self.tokens[bounds[0] : bounds[-1]], bounds - bounds[0]

    def led(self, first: Ids, lead: Ids) -> Texts:
        """The first one behind some tokens, and each other behind others."""
        tokens, bounds = _core.lead_documents(self.tokens, self.starts, self.ends, first, lead)
        return Texts(tokens, bounds[:-1], bounds[1:])

    def without_first(self, n: int) -> Texts:
        """Each without its first n tokens."""
        return Texts(self.tokens, np.minimum(self.starts + n, self.ends), self.ends)

    def first(self, n: int) -> Ids:
        """The first n tokens of each, one after the other."""
        some = np.minimum(self.starts + n, self.ends) - self.starts
        before = np.cumsum(some) - some
        places = np.repeat(self.starts - before, some) + np.arange(some.sum())
        found: Ids = self.tokens[places]
        return found


def documents_of(tokens: Any, vocabulary: Vocabulary, bounds: Any = None) -> Texts:
    """The documents in what a user gave: a sequence of tokens, or several of them.

    The rows of what has two axes (a data frame too) are documents; so are the entries of one column
    of sequences, and what is between `bounds` in one array.
    """
    if bounds is not None:
        return _cut(_document(tokens, 0, vocabulary), bounds)
    if isinstance(tokens, (str, bytes)):
        raise TypeError("a document is a sequence of tokens, not one string: tokenise it first")
    if isinstance(tokens, Mapping):
        raise TypeError(
            "a document is a sequence of tokens, not a mapping; update_rows takes counts"
        )
    if not (hasattr(tokens, "ndim") or np.iterable(tokens)):
        raise TypeError(f"a document is a sequence of tokens, not {shown(tokens)}")
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
    if not several:
        return Texts.of([_document(tokens, 0, vocabulary)])
    joined = _core.join_documents(list(tokens))
    if joined is None:  # names, tensors, what is wrong
        return Texts.of([_document(tokens[d], d, vocabulary) for d in range(len(tokens))])
    found, ends = joined
    if found.size and found.view(np.uint64).max() >= vocabulary.n_tokens:
        i = int(np.flatnonzero((found < 0) | (found >= vocabulary.n_tokens))[0])
        d = int(np.searchsorted(ends, i, "right")) - 1
        _document(tokens[d], d, vocabulary)  # which says what is wrong
    return Texts(found, ends[:-1], ends[1:])


def _cut(tokens: Ids, bounds: Any) -> Texts:
    """One array, cut into documents."""
    ends = wholes(bounds, "bounds")
    if ends.ndim != 1 or len(ends) == 0:
        raise ValueError(f"bounds have shape {ends.shape}; they need (documents + 1,)")
    wrong = np.flatnonzero((np.diff(ends) < 0) | (ends[:-1] < 0) | (ends[1:] > len(tokens)))
    if len(wrong):
        i = int(wrong[0])
        raise ValueError(
            f"document {i} is from {int(ends[i])} to {int(ends[i + 1])}; bounds rise from 0 to the "
            f"number of tokens, {len(tokens)}"
        )
    return Texts(tokens, ends[:-1], ends[1:])


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
