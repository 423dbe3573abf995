"""What a tokenizer of any make gives for a line: words, or numbers.

Contents
    lines_of      the lines of a text, a document each
    Tokenizer     a callable, or an object with `encode`, asked for many lines at a time
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..._base.arguments import is_whole, shown
from ..._base.typing import Ids
from ...huggingface.spellings import token_names

AT_A_TIME = 1024  # lines


def lines_of(text: Any) -> Iterator[Any]:
    """The lines of one string or of an open file, or the items of any iterable, without the
    characters that end a line."""
    if isinstance(text, bytes):
        raise TypeError("the text is bytes: decode it first, as with .decode('utf-8')")
    if isinstance(text, str):
        text = text.removesuffix("\n").split("\n") if text else []
    if isinstance(text, os.PathLike):
        raise TypeError(f"the text is a path, {shown(text)}: open it, and give the open file")
    for i, line in enumerate(text, start=1):
        if not isinstance(line, str) and not np.iterable(line):
            raise TypeError(f"line {i} is {line!r}; a line is a string, or words")
        yield line.rstrip("\r\n") if isinstance(line, str) else line


class Tokenizer:
    """Lines to words, or to numbers; None splits at white space.

    A callable of one line gives words or numbers, or what holds them (``input_ids``, `ids`, objects
    with a `text`).  Tokenizers of transformers, tokenizers and tiktoken are asked in batches,
    without the special tokens that they put around a text.
    """

    def __init__(self, given: Any = None) -> None:
        known = given is None or callable(given) or hasattr(given, "encode")
        if not known or isinstance(given, str):
            raise TypeError(
                f"tokenizer is {shown(given)}; it must be a callable that takes a line and "
                "gives its "
                "tokens, or have a method encode"
            )
        self.given = given

    def __call__(self, lines: Iterable[Any]) -> Iterator[list[str] | Ids]:
        """The tokens of each line: words, or their numbers.  A line may be words already."""
        batch: list[Any] = []
        n = 0
        for line in lines:
            batch.append(line)
            if len(batch) == AT_A_TIME:
                yield from self._batch(batch, n)
                n += len(batch)
                batch = []
        yield from self._batch(batch, n)

    def _batch(self, lines: list[Any], before: int) -> Iterator[list[str] | Ids]:
        if self.given is None and all(isinstance(line, str) for line in lines):
            yield from (line.split() for line in lines)
            return
        strings = [line for line in lines if isinstance(line, str)]
        tokens = iter(self._of(strings) if strings else ())
        for i, line in enumerate(lines, start=before + 1):
            yield _tokens(next(tokens) if isinstance(line, str) else line, f"line {i}")

    def _of(self, lines: list[str]) -> Iterable[Any]:
        given = self.given
        if given is None:
            return [line.split() for line in lines]
        if hasattr(given, "convert_ids_to_tokens") and callable(given):
            found: Any = given(lines, add_special_tokens=False)["input_ids"]
            return list(found)
        if hasattr(given, "encode_ordinary_batch"):
            return list(given.encode_ordinary_batch(lines))
        if hasattr(given, "encode_batch") and hasattr(given, "id_to_token"):
            return list(given.encode_batch(lines, add_special_tokens=False))
        return map(given if callable(given) else given.encode, lines)

    # -- of tokenizers whose tokens are numbers -----------------------------------

    def names(self) -> tuple[str, ...] | None:
        """The texts of its tokens, as rows of a model name them; None where it does not say."""
        n = self.size()
        if n is None or not hasattr(self.given, "get_vocab"):
            return None
        found = token_names(self.given, n)
        return tuple(f"<{i}>" if name is None else name for i, name in enumerate(found))

    def size(self) -> int | None:
        """How many tokens it has, where it says so."""
        given = self.given
        if hasattr(given, "get_vocab"):
            return 1 + max(given.get_vocab().values(), default=-1)
        return given.n_vocab if is_whole(getattr(given, "n_vocab", None)) else None

    def number(self, which: str) -> int | None:
        """The number of its special token, such as "eos"; None where it has none."""
        found: Any = getattr(self.given, f"{which}_token_id", None)
        return int(found) if is_whole(found) else None


def _tokens(found: Any, where: str) -> list[str] | Ids:
    """The tokens of one line, whatever holds them."""
    if isinstance(found, Mapping) or hasattr(found, "input_ids"):
        found = found["input_ids"]
    elif hasattr(found, "ids"):
        found = found.ids
    if isinstance(found, (str, bytes)) or not np.iterable(found):
        what = f"one string, {found[:40]!r}" if isinstance(found, (str, bytes)) else repr(found)
        raise TypeError(f"{where}: the tokenizer gave {what}; it must give a sequence of tokens")
    items = found if isinstance(found, (Sequence, np.ndarray)) else list(found)
    if len(items) == 0:
        return []
    first = items[0]
    if isinstance(first, str):
        return _words(items, where)
    if is_whole(first):
        ids = np.asarray(items)
        if ids.dtype.kind in "iu" and ids.ndim == 1:
            return ids.astype(np.int64)
    elif hasattr(first, "text"):
        return _words([item.text for item in items], where)
    raise TypeError(f"{where}: a token is {first!r}; tokens are words or whole numbers")


def _words(items: Any, where: str) -> list[str]:
    words = list(items)
    if not all(isinstance(word, str) for word in words):
        wrong = next(word for word in words if not isinstance(word, str))
        raise TypeError(f"{where}: a token is {wrong!r} among words")
    return words
