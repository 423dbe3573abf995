"""Text that lies on the machine, as token ids: Python's standard library, or a folder.

Words are \\w+ or one other sign.  A file is a document, and a hash of its path says whether it is
held out: one of twenty.  0 is any word that is not among the 30,000 commonest of the others, 1 the
end of a document.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import re
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"\w+|[^\w\s]")
TAG = re.compile(r"<(script|style).*?</\1>|<[^>]*>", re.DOTALL)
PICTURES = {".svg", ".png", ".gif", ".dot", ".js", ".css", ".woff", ".woff2", ".inv"}
UNKNOWN, END = 0, 1
HELD_OUT = 0.05

Document = NDArray[np.int32]


class Text(NamedTuple):
    """Documents of ids below `n_tokens`; each ends in END."""

    name: str
    n_tokens: int
    train: list[Document]
    held: list[Document]

    def first(self, share: float) -> Text:
        """The first documents, until they hold a share of the tokens, and the words they know."""
        ends = np.cumsum([len(each) for each in self.train])
        train = self.train[: int(np.searchsorted(ends, share * ends[-1])) + 1]
        known = np.union1d([UNKNOWN, END], np.concatenate(train))
        number = np.full(self.n_tokens, UNKNOWN, dtype=np.int32)
        number[known] = np.arange(len(known))
        return self._replace(
            n_tokens=len(known),
            train=[number[each] for each in train],
            held=[number[each] for each in self.held],
        )


def standard_library() -> Iterator[tuple[str, str]]:
    """Sources of Python: paths and contents."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        if "site-packages" not in path.parts:
            yield str(path.relative_to(root)), path.read_bytes().decode("utf-8", "replace")


def folder(root: Path, pages: bool = False) -> Iterator[tuple[str, str]]:
    """What reads as text in a folder, unpacked, without tags: paths and contents.

    A folder named html is left out unless `pages` are asked for: they say again what their sources
    beside them say.
    """
    for path in sorted(root.rglob("*")):
        name = path.name.removesuffix(".gz")
        inner = path.relative_to(root)
        if not path.is_file() or path.is_symlink() or Path(name).suffix.lower() in PICTURES:
            continue
        is_page = name.endswith((".html", ".htm"))
        if "html" in inner.parts and not (pages and is_page):
            continue
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace")
        yield str(inner), html.unescape(TAG.sub(" ", text)) if is_page else text


def text_of(
    name: str, files: Iterable[tuple[str, str]], salt: str = "", n_words: int = 30_000
) -> Text:
    """Files cut into words and numbered; another `salt` holds out other files."""
    train: list[list[str]] = []
    held: list[list[str]] = []
    for path, content in files:
        digest = hashlib.sha256((salt + path).encode()).digest()
        is_held = int.from_bytes(digest[:4], "big") >= (1.0 - HELD_OUT) * 2.0**32
        if words := WORD.findall(content):
            (held if is_held else train).append(words)
    seen = Counter(word for document in train for word in document)
    number = {word: i + 2 for i, (word, _) in enumerate(seen.most_common(n_words))}

    def numbered(documents: list[list[str]]) -> list[Document]:
        return [
            np.array([*(number.get(word, UNKNOWN) for word in each), END], dtype=np.int32)
            for each in documents
        ]

    return Text(name, len(number) + 2, numbered(train), numbered(held))
