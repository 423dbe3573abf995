"""n-grams to files in the format of ARPA.

Contents
    written_names    what the words of a file are called
    write_arpa       n-grams to a file
"""

from __future__ import annotations

import bz2
import gzip
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Any

import numpy as np

from ..._base.saving.whole import replace_file
from ..._base.tokens import Vocabulary, column_of, token_names
from ..._base.typing import Floats
from ..._core import arpa_lines
from ..texts.reading import BEGIN, END, UNKNOWN
from .ngrams import Order

AT_A_TIME = 1 << 17  # lines
NOTHING = -99.0  # the logarithm that says 0
SEPARATES = re.compile(r"[ \t\r\n]")


def written_names(
    vocabulary: Vocabulary, tokens: Iterable[str] | None, end: Any, unknown: Any
) -> list[str]:
    """The names of V tokens in a file.

    `end` and `unknown` are tokens that are written as ``</s>`` and ``<unk>``.
    """
    n, given = vocabulary.n_tokens, token_names(tokens, text=False)
    if given is not None and len(given) != n:
        raise ValueError(f"{len(given)} tokens are given, of {n}")
    names = list(given or vocabulary.names or map(str, range(n)))
    for what, token, word in (("end", end, END), ("unknown", unknown, UNKNOWN[0])):
        if token is None:
            continue
        v = column_of(token, vocabulary.names, n, "the model")
        if word in names and names.index(word) != v:
            raise ValueError(f"{what} is {token!r}, but another token is called {word!r}")
        if names[v] == END and word != END:
            raise ValueError(f"{what} is {token!r}, which is the end of a document")
        names[v] = word
    for v, name in enumerate(names):
        if name == BEGIN:
            raise ValueError(
                f"token {v} is called {BEGIN!r}, which in a file stands for the beginning of a "
                "document: give other names to write, tokens=[...]"
            )
        if not name or SEPARATES.search(name):
            raise ValueError(
                f"token {v} is called {name!r}; words of a file have no spaces and are not empty: "
                "give other names to write, tokens=[...]"
            )
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"token {v} is called {name!r}, which is no UTF-8: {error}") from None
    if UNKNOWN[0] in names and UNKNOWN[1] in names:
        raise ValueError("tokens are called '<unk>' and '<UNK>', which in a file are the same word")
    return names


def write_arpa(path: str | os.PathLike[str], orders: list[Order], names: list[str]) -> None:
    """Write n-grams to a file, all or nothing; what ends in .gz or .bz2 is compressed.

    The number behind those of names is ``<s>``.  Where no token is ``</s>``, it is written with the
    probability 0, for programs that want it.
    """

    def save(opened: IO[bytes]) -> None:
        with _packed(opened, os.fspath(path)) as file:
            for piece in _pieces(orders, names):
                file.write(piece)

    replace_file(path, save)


def _packed(opened: IO[bytes], path: str) -> AbstractContextManager[Any]:
    if path.endswith(".gz"):
        return gzip.GzipFile("", "wb", 6, opened, mtime=0)
    if path.endswith(".bz2"):
        return bz2.BZ2File(opened, "wb")
    return nullcontext(opened)


def _pieces(orders: list[Order], names: list[str]) -> Iterator[bytes]:
    """The text of a file."""
    is_ended = END in names
    words = [name.encode() for name in [*names, BEGIN, END]]
    ends, text = np.cumsum([len(word) for word in words]), b"".join(words)
    sizes = [len(each.tokens) for each in orders]
    sizes[0] += not is_ended
    counts = "".join(f"ngram {k}={size}\n" for k, size in enumerate(sizes, start=1))
    yield f"\\data\\\n{counts}".encode()
    for k, order in enumerate(orders, start=1):
        yield f"\n\\{k}-grams:\n".encode()
        for start in range(0, len(order.tokens), AT_A_TIME):
            cut = slice(start, start + AT_A_TIME)
            backs = None if k == len(orders) else _logarithms(order.backs[cut], np.inf)
            probs = _logarithms(order.probs[cut], 0.0)
            yield arpa_lines(order.words(cut), probs, backs, text, ends)
        if k == 1 and not is_ended:
            yield f"{NOTHING:g}\t{END}\t0\n".encode() if len(orders) > 1 else b"-99\t</s>\n"
    yield b"\n\\end\\\n"


def _logarithms(numbers: Floats, most: float) -> Floats:
    """To base 10, -99 of what is 0."""
    with np.errstate(divide="ignore"):
        found = np.log10(numbers)
    found[np.isneginf(found)] = NOTHING
    return np.minimum(found, most)
