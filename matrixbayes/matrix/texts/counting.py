"""The vocabulary of a text, and its documents, in one pass over the lines.

Contents
    Counted     a text that was read: its tokens, and its documents as their numbers
    counted     from lines, by a tokenizer that gives words or numbers
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..._base.arguments import shown, whole
from ..._base.tokens import token_names
from ..._base.typing import Ids
from ...errors import NoSuchTokenError
from .reading import BEGIN, END, Reading
from .tokenizers import lines_of

Names = tuple[str, ...]


class Counted(NamedTuple):
    """A text that was read."""

    n_tokens: int | None
    names: Names | None
    unknown: int | None
    reading: Reading
    documents: list[Ids]


class Wanted(NamedTuple):
    """What is to be in a vocabulary."""

    names: Names | None
    min_count: int
    max_tokens: int | None
    unknown: str | None
    end: Any


def counted(
    text: Any,
    tokenizer: Any,
    vocabulary: Any,
    min_count: Any,
    max_tokens: Any,
    unknown: Any,
    end: Any,
) -> Counted:
    """The tokens of a text, from the most frequent on behind `unknown` and `end`, or those of a
    vocabulary or a tokenizer; and its documents, a line each."""
    wanted = Wanted(
        token_names(vocabulary, text=False),
        whole(min_count, "min_count", 1),
        None if max_tokens is None else whole(max_tokens, "max_tokens", 1),
        unknown,
        end,
    )
    if wanted.names is not None and (wanted.min_count > 1 or max_tokens is not None):
        raise ValueError("min_count and max_tokens choose a vocabulary: here it is given")
    for what, word in (("unknown", unknown), ("end", end)):
        if word == BEGIN:
            raise ValueError(f"{what} is {BEGIN!r}, which stands for the beginning of a document")
    if unknown is not None and unknown == end:
        raise ValueError(f"unknown and end are both {shown(end)}")
    reading = Reading(tokenizer)
    number: defaultdict[str, int] = defaultdict()
    number.default_factory = number.__len__  # the number of a word that is new
    found, kinds = [], set()
    for tokens in reading.tokens(lines_of(text)):
        if isinstance(tokens, np.ndarray):
            kinds.add("numbers")
            found.append(tokens)
        else:
            kinds |= {"words"} if tokens else set()
            found.append(np.fromiter(map(number.__getitem__, tokens), np.int64, len(tokens)))
    if len(kinds) == 2:
        raise TypeError("the tokenizer gives words for some lines, and numbers for others")
    if not kinds:
        raise ValueError("there are no tokens in the text")
    if kinds == {"numbers"}:
        return _of_numbers(found, reading, wanted)
    return _of_words(list(number), found, reading, wanted)


def _of_words(words: list[str], found: list[Ids], reading: Reading, wanted: Wanted) -> Counted:
    """Documents as numbers of words in the order in which they came."""
    if not all(word is None or isinstance(word, str) for word in (wanted.unknown, wanted.end)):
        raise TypeError("unknown and end are words, or None")
    flat, lengths = np.concatenate(found), np.array([len(each) for each in found])
    special = [word for word in (wanted.unknown, wanted.end) if word is not None]
    for word in (BEGIN, wanted.end):
        if word in words:
            line = int(
                np.searchsorted(np.cumsum(lengths), np.argmax(flat == words.index(word)), "right")
            )
            what = "beginning of" if word == BEGIN else "end that is added to"
            raise ValueError(
                f"line {line + 1} has the word {word!r}, which stands for the {what} a document: "
                "take it out" + (", or give end=None" if word == wanted.end else "")
            )
    names = wanted.names
    if names is None:
        names = (*special, *_frequent(words, flat, special, wanted))
    else:
        names = (*names, *(word for word in special if word not in names))
    place = {name: v for v, name in enumerate(names)}
    unknown = None if wanted.unknown is None else place[wanted.unknown]
    new = np.array([place.get(word, -1 if unknown is None else unknown) for word in words])
    if new.min() < 0:
        raise NoSuchTokenError(
            f"{words[int(new.argmin())]!r} is not one of the {len(names)} tokens, and none stands "
            "for words that are not: give unknown='<unk>'"
        )
    reading.end = None if wanted.end is None else place[wanted.end]
    return Counted(len(names), names, unknown, reading, _documents(new[flat], lengths, reading.end))


def _frequent(words: list[str], flat: Ids, special: list[str], wanted: Wanted) -> list[str]:
    """The words that are frequent enough, the most frequent first, those that came first before."""
    times = np.bincount(flat, minlength=len(words))
    order = np.argsort(-times, kind="stable")
    order = order[times[order] >= wanted.min_count]
    kept = [words[i] for i in order.tolist() if words[i] not in special]
    if wanted.max_tokens is None:
        return kept
    if wanted.max_tokens <= len(special):
        raise ValueError(f"max_tokens is {wanted.max_tokens}, of which {len(special)} are no words")
    return kept[: wanted.max_tokens - len(special)]


def _documents(flat: Ids, lengths: NDArray[np.int64], end: int | None) -> list[Ids]:
    """Documents one behind the other, cut, with an end to each."""
    ends = np.cumsum(lengths)
    if end is not None:
        flat = np.insert(flat, ends, end)
        ends = ends + np.arange(1, len(ends) + 1)
    return np.split(flat, ends[:-1])


def _of_numbers(found: list[Ids], reading: Reading, wanted: Wanted) -> Counted:
    """Documents as a tokenizer numbers its tokens."""
    if wanted.min_count > 1 or wanted.max_tokens is not None:
        raise ValueError(
            "min_count and max_tokens choose among words; the tokenizer gives numbers, and with "
            "them the vocabulary"
        )
    tokenizer = reading.tokenizer
    names = wanted.names or tokenizer.names()
    n_tokens = len(names) if names is not None else tokenizer.size()
    end: Any = wanted.end
    if isinstance(end, str):
        known = {} if names is None else {name: v for v, name in enumerate(names)}
        if end not in known and end != END:
            raise NoSuchTokenError(f"end is {end!r}, which is not a token of the tokenizer")
        end = known.get(end, tokenizer.number("eos"))
    elif end is not None:
        end = whole(end, "end", 0, None if n_tokens is None else n_tokens - 1)
    reading.end = end
    unknown = None if names is None or wanted.unknown not in names else names.index(wanted.unknown)
    lengths = np.array([len(each) for each in found])
    flat = np.concatenate(found).astype(np.int64, copy=False)
    return Counted(n_tokens, names, unknown, reading, _documents(flat, lengths, end))
