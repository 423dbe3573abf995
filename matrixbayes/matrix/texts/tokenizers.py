"""What a tokenizer of any make gives for a line: words, or numbers.

Contents
    lines_of      the lines of a text, a document each
    Tokenizer     a callable, or an object with `encode`, asked for many lines at a time
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

import numpy as np

from ..._base.arguments import is_whole, shown
from ..._base.asked import asked
from ..._base.typing import Ids
from ...huggingface.spellings import size_of, token_names

AT_A_TIME = 1024  # lines
MOST = 2**63 - 1


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
        numbers = [i for i, line in enumerate(lines, before + 1) if isinstance(line, str)]
        tokens = self._of([lines[i - before - 1] for i in numbers], numbers)
        for i, line in enumerate(lines, start=before + 1):
            yield _tokens(next(tokens) if isinstance(line, str) else line, f"line {i}")

    def _of(self, lines: list[str], numbers: list[int]) -> Iterator[Any]:
        """What the tokenizer gives for each of some lines, which have these numbers."""
        at_once = self._at_once()
        if at_once is None:
            one: Any = self.given if callable(self.given) else self.given.encode
            each = zip(numbers, lines, strict=True)
            return (asked(f"line {number}", one, line) for number, line in each)
        if not lines:
            return iter(())
        where = f"lines {numbers[0]} to {numbers[-1]}"
        found = asked(where, at_once, lines)
        if not isinstance(found, Sequence) or len(found) != len(lines):
            n = len(found) if isinstance(found, Sized) else repr(found)
            raise TypeError(
                f"{where}: the tokenizer gave {n} lists of tokens for {len(lines)} lines"
            )
        return iter(found)

    def _at_once(self) -> Callable[[list[str]], Any] | None:
        """How it is asked for several lines; None where it takes one."""
        given = self.given
        if given is None:
            return lambda lines: [line.split() for line in lines]
        if hasattr(given, "convert_ids_to_tokens") and callable(given):
            return lambda lines: _input_ids(given(lines, add_special_tokens=False))
        if hasattr(given, "encode_ordinary_batch"):
            return lambda lines: given.encode_ordinary_batch(lines)
        if hasattr(given, "encode_batch") and hasattr(given, "id_to_token"):
            return lambda lines: given.encode_batch(lines, add_special_tokens=False)
        return None

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
            return size_of(given)
        return given.n_vocab if is_whole(getattr(given, "n_vocab", None)) else None

    def number(self, which: str) -> int | None:
        """The number of its special token, such as "eos"; None where it has none."""
        found: Any = getattr(self.given, f"{which}_token_id", None)
        return int(found) if is_whole(found) else None


def _input_ids(found: Any) -> Any:
    """Of what a tokenizer of transformers gives."""
    if not isinstance(found, Mapping) or "input_ids" not in found:
        raise TypeError(f"the tokenizer gave {found!r}, which has no input_ids")
    return found["input_ids"]


def _tokens(found: Any, where: str) -> list[str] | Ids:
    """The tokens of one line, whatever holds them."""
    if isinstance(found, Mapping):
        found = found.get("input_ids", found)
    elif hasattr(found, "input_ids"):
        found = found.input_ids
    elif hasattr(found, "ids"):
        found = found.ids
    if isinstance(found, (str, bytes, Mapping)) or not np.iterable(found):
        what = f"one string, {found[:40]!r}" if isinstance(found, (str, bytes)) else repr(found)
        raise TypeError(f"{where}: the tokenizer gave {what}; it must give a sequence of tokens")
    items = found if isinstance(found, (Sequence, np.ndarray)) else asked(where, list, found)
    if len(items) == 0:
        return []
    first = items[0]
    if isinstance(first, str):
        return _words(items, where)
    if is_whole(first):
        return _ids(items, where)
    if hasattr(first, "text"):
        return _words([item.text for item in items], where)
    raise TypeError(f"{where}: a token is {first!r}; tokens are words or whole numbers")


def _ids(items: Any, where: str) -> Ids:
    try:
        ids = np.asarray(items)
    except ValueError:  # of lists among numbers
        ids = np.zeros(0)
    if ids.dtype.kind not in "iu" or ids.ndim != 1 or ids.max() > MOST:
        wrong = next((x for x in items if not is_whole(x) or not -MOST <= x <= MOST), items)
        raise TypeError(f"{where}: a token is {wrong!r}; tokens are words or whole numbers")
    return ids.astype(np.int64)


def _words(items: Any, where: str) -> list[str]:
    words = list(items)
    if not all(isinstance(word, str) for word in words):
        wrong = next(word for word in words if not isinstance(word, str))
        raise TypeError(f"{where}: a token is {wrong!r} among words")
    return words
