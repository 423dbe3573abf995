"""Where things are in a file of logits that llama.cpp wrote.

``_logits_``; three int32: the length of a chunk n_ctx, the tokens of the vocabulary n_vocab, the
number of chunks; all their tokens, int32; then of each chunk, for each position from n_ctx // 2 on
but the last, a row: two float32, a code of 16 bits for each token, one of padding where n_vocab is
odd (``tools/perplexity/perplexity.cpp`` in llama.cpp).
"""

from __future__ import annotations

import os
import struct
import sys
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAGIC = b"_logits_"
HEAD = struct.Struct("<8s3i")
N_BEFORE = 4  # numbers of 16 bits in a row before its codes: two floats


@dataclass(frozen=True)
class Layout:
    """The sizes in a file's head.

    Attributes
    ----------
    n_ctx, n_vocab, n_chunk
        Tokens of a chunk, of the vocabulary, and how many chunks.
    """

    n_ctx: int
    n_vocab: int
    n_chunk: int

    @property
    def first(self) -> int:
        """The position of a chunk's first row."""
        return self.n_ctx // 2

    @property
    def per_chunk(self) -> int:
        """Rows of a chunk."""
        return self.n_ctx - 1 - self.first

    @property
    def n_rows(self) -> int:
        """Rows of the file."""
        return self.n_chunk * self.per_chunk

    @property
    def width(self) -> int:
        """Numbers of 16 bits in a row."""
        return N_BEFORE + 2 * ((self.n_vocab + 1) // 2)

    @property
    def start(self) -> int:
        """The byte where the rows begin."""
        return HEAD.size + 4 * self.n_ctx * self.n_chunk

    @property
    def size(self) -> int:
        """The bytes of the file."""
        return self.start + 2 * self.width * self.n_rows


def open_logits(path: str) -> tuple[Layout, NDArray[np.int32], NDArray[np.uint16]]:
    """The layout of a file, its tokens (n_chunk, n_ctx), and its rows (n, width), mapped.

    There may be fewer rows than the layout says, where the file is not complete.

    Raises
    ------
    ValueError
        It is no such file, or sizes or tokens are none that llama.cpp writes.
    OSError
        There is no such file, or it cannot be read.
    """
    if sys.byteorder != "little":
        raise ValueError("mapped files need a little-endian machine")
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{path} is not a regular file")
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        layout = _head(path, file.read(HEAD.size), size)
        tokens = _tokens(path, file, layout)
        n_rows = min((size - layout.start) // (2 * layout.width), layout.n_rows)
        shape = (n_rows, layout.width)
        if n_rows == 0:
            raise ValueError(f"{path} ends before its first row over {layout.n_vocab} tokens does")
        rows: Any = np.memmap(file, np.uint16, mode="r", offset=layout.start, shape=shape)
    return layout, tokens, rows


def _head(path: str, head: bytes, size: int) -> Layout:
    if head[:8] != MAGIC:
        raise ValueError(
            f"{path} does not begin with {MAGIC.decode()!r}: it is no file that llama-perplexity "
            "wrote with --kl-divergence-base (and without --kl-divergence)"
        )
    if len(head) < HEAD.size:
        raise ValueError(
            f"{path} ends within its head: llama-perplexity stopped at once, as it does where the "
            "text has fewer tokens than two chunks"
        )
    layout = Layout(*HEAD.unpack(head)[1:])
    for name, least in (("n_ctx", 3), ("n_vocab", 1), ("n_chunk", 1)):
        if getattr(layout, name) < least:
            raise ValueError(
                f"{path} is damaged: {name} is {getattr(layout, name)}, and rows need {least}"
            )
    if size < layout.start:
        raise ValueError(
            f"{path} ends within its {layout.n_chunk} x {layout.n_ctx} tokens: it has {size} bytes"
        )
    if size > layout.size:
        raise ValueError(
            f"{path} has {size} bytes, and {layout.n_chunk} chunks of {layout.n_ctx} tokens over a "
            f"vocabulary of {layout.n_vocab} end at {layout.size}"
        )
    return layout


def _tokens(path: str, file: BinaryIO, layout: Layout) -> NDArray[np.int32]:
    tokens = np.fromfile(file, np.int32, layout.n_chunk * layout.n_ctx)
    tokens = tokens.reshape(layout.n_chunk, layout.n_ctx)
    wrong = (tokens < 0) | (tokens >= layout.n_vocab)
    if wrong.any():
        chunk, place = np.argwhere(wrong)[0]
        raise ValueError(
            f"{path} is damaged: token {place} of chunk {chunk} is {tokens[chunk, place]}, of a "
            f"vocabulary of {layout.n_vocab}"
        )
    tokens.flags.writeable = False
    return tokens
