"""Whole-vocabulary rows of a GGUF model, as llama.cpp writes them to a file.

Contents
    read_logits_file    open such a file
    LogitsFile          its rows, decoded when they are asked for
"""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base import display, parallel
from .._base.arguments import whole
from .._base.typing import Floats, Ids
from .._core import decode_rows
from ..huggingface.answers import Columns, Other, Vocab, make_columns
from ..huggingface.spellings import size_of
from ..rows import NextTokenRows, PartialRows
from ..rows.parts import row_numbers
from ..rows.rows import Checked
from .logits_layout import N_BEFORE, open_logits

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

BLOCK_BYTES = 1 << 25  # of decoded rows, in a piece of work


def read_logits_file(
    path: str | os.PathLike[str],
    *,
    rows: slice | None = None,
    tokenizer: Any = None,
    vocab: Vocab | None = None,
    other: Other = "keep",
    bos_token_id: int | None = None,
) -> LogitsFile | NextTokenRows:
    """Rows over the whole vocabulary of a GGUF model, from the file that llama.cpp writes.

    ``llama-perplexity -m MODEL -f TEXT --kl-divergence-base FILE`` cuts a text into chunks of n_ctx
    tokens and writes what the model predicts after each token of a chunk's second half.  The
    file is mapped, not read: it may be larger than memory.

    Parameters
    ----------
    path : path-like
        The file.  Whoever changes it while it is mapped changes the numbers.
    rows : slice, optional
        Which rows; all by default.
    tokenizer : transformers.PreTrainedTokenizerBase, optional
        That of the model: names the columns, and knows spellings in `vocab`.
    vocab : mapping, or sequence of str or int, optional
        Answers to group the tokens into, as in `collect`; token ids where there is no tokenizer.
    other : {"keep", "renormalize"}
        What becomes of the tokens that no answer has, as in `collect`.
    bos_token_id : int, optional
        The id that the model saw first in each chunk.  Where a model adds one llama.cpp puts it in
        place of a chunk's first token, and the file does not say so.

    Returns
    -------
    LogitsFile or NextTokenRows
        The file as a sequence of rows; with `vocab` all rows that are asked for, grouped.

    Raises
    ------
    ValueError
        It is no such file, it is not complete, or it is damaged.
    OSError
        There is no such file, or it cannot be read.

    Notes
    -----
    A log-probability is off by 2.5e-4 at most, a step of its code.  What is more than 16 nats below
    the most probable token is censored: see `LogitsFile`.
    """
    file = LogitsFile(path)
    width = file.layout.n_vocab
    named = 0 if tokenizer is None else size_of(tokenizer)
    if named > width:
        raise ValueError(
            f"the tokenizer has {named} tokens, and the rows of {file.path} are over {width}: it "
            "is not that of the model"
        )
    columns = make_columns(tokenizer, vocab, width, other)
    if bos_token_id is not None:
        bos_token_id = whole(bos_token_id, "bos_token_id", 0, width - 1)
    if rows is not None and not isinstance(rows, slice):
        raise TypeError(f"rows is a slice, not {type(rows).__name__}: take others from the file")
    numbers = range(file.layout.n_rows)[slice(None) if rows is None else rows]
    found = LogitsFile(path, numbers, columns, bos_token_id)
    return found if vocab is None else found[:]


class Block(NamedTuple):
    """Rows that were decoded, and what is known of their censored entries."""

    rows: NDArray[np.floating]
    share: Floats | None  # the probability of what no answer has
    n_censored: Ids
    mass: Floats  # (n, 2): bounds of the probability of the censored entries
    step: float  # the largest, of codes


class LogitsFile(display.Shown, Sequence[NDArray[np.floating]]):
    """The rows of a file that llama.cpp wrote, decoded when they are asked for.

    A sequence like `NextTokenRows`: ``file[i]`` is row i as a vector of log-probabilities, a slice,
    an integer array or a boolean mask gives `NextTokenRows`.  Fits take it as it is, block by
    block, and so does whatever reads a memory-mapped array.

    Each row has 65,536 levels over the 16 nats below its most probable token: a code is off by
    1.2e-4 at most.  A token further down is *censored*: its probability is somewhere between 0 and
    e^-16 of the largest.  What the censored tokens of a row have together is bounded by that, and
    by what the others leave; they are given equal shares of the middle of the bounds, and each row
    is divided by its sum, which is within 1.3e-4 of 1.
    `censored` says how many there are, and the bounds; `partial` keeps to them.

    Attributes
    ----------
    path : str
    layout : Layout
        Tokens of a chunk ``n_ctx``, of the vocabulary ``n_vocab``, and chunks ``n_chunk``.
    texts : ndarray of int32 of shape (n_chunk, n_ctx)
        The tokens of all chunks.
    tokens : tuple of str or None
        The names of the columns.
    shape : tuple of int
        (N, V).

    See Also
    --------
    from_llama_cpp : opens one, with names of tokens and answers.

    Examples
    --------
    >>> import math, pathlib, struct, tempfile
    >>> import matrixbayes as mb
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.kld"
    >>> sizes_and_tokens = struct.pack("<3i3i", 3, 2, 1, 0, 1, 1)  # a chunk of 3 tokens, of 2
    >>> row = struct.pack("<2f2H", 16 / 65535, -16.0, 0, 65535)  # scale, least, codes
    >>> n = path.write_bytes(b"_logits_" + sizes_and_tokens + row)
    >>> file = mb.LogitsFile(path)
    >>> file[:].probs().round(3), file[:].context(0).tolist()
    (array([[0., 1.]], dtype=float32), [0, 1])
    >>> file.censored()[0]
    array([1])
    """

    kind = "log_probs"  # what fits are to take the rows for
    ndim = 2
    dtype = np.dtype(np.float32)

    def __init__(
        self,
        path: str | os.PathLike[str],
        numbers: range | None = None,
        columns: Columns | None = None,
        bos_token_id: int | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.layout, self.texts, self._codes = open_logits(self.path)
        self._numbers = range(len(self._codes)) if numbers is None else numbers
        if columns is None:
            columns = make_columns(None, None, self.layout.n_vocab)
        self._columns, self._bos = columns, bos_token_id
        self._check_complete()

    def __reduce__(self) -> tuple[Any, ...]:
        return LogitsFile, (self.path, self._numbers, self._columns, self._bos)

    def _check_complete(self) -> None:
        """Refuse rows that the file ends before."""
        there = len(self._codes)
        if len(self._numbers) and max(self._numbers[0], self._numbers[-1]) >= there:
            chunks = there // self.layout.per_chunk
            raise ValueError(
                f"{self.path} is not complete: it has {chunks} of {self.layout.n_chunk} chunks. "
                f"llama-perplexity is still writing, or was stopped; rows=slice({there}) takes the "
                "rows that are there"
            )

    # -- size and parts -----------------------------------------------------

    @property
    def tokens(self) -> tuple[str, ...] | None:
        """The names of the columns."""
        return self._columns.tokens

    @property
    def shape(self) -> tuple[int, int]:
        """(N, V)."""
        return len(self), len(self._columns)

    @property
    def chunks(self) -> tuple[int, int]:
        """The shape of what is decoded in a piece."""
        return self._block, len(self._columns)

    @property
    def _block(self) -> int:
        return max(1, BLOCK_BYTES // (4 * self.layout.n_vocab))

    @property
    def _name(self) -> str:
        return os.path.basename(self.path)

    @property
    def _mmap(self) -> Any:
        """The map, for who lets the system have its pages back."""
        return getattr(self._codes, "_mmap", None)

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[NDArray[np.floating]]:
        for start in range(0, len(self), self._block):
            yield from self._decode(np.asarray(self._numbers[start : start + self._block])).rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:].log_probs, dtype=dtype)

    @overload
    def __getitem__(self, key: int) -> NDArray[np.floating]: ...
    @overload
    def __getitem__(self, key: slice | ArrayLike) -> NextTokenRows: ...
    def __getitem__(self, key: Any) -> Any:
        if hasattr(key, "__index__") and not isinstance(key, (bool, np.bool_, np.ndarray)):
            return self._decode(np.array([self._numbers[operator.index(key)]])).rows[0]
        numbers = self._numbers_of(key)
        rows = np.empty((len(numbers), len(self._columns)), dtype=np.float32)
        share = np.zeros(len(numbers))
        n_censored, mass, step, start = 0, np.zeros(2), 0.0, 0
        for block in self._blocks(numbers):
            end = start + len(block.rows)
            rows[start:end] = block.rows
            share[start:end] = 0.0 if block.share is None else block.share
            n_censored += int(block.n_censored.sum())
            mass = np.maximum(mass, block.mass.max(axis=0, initial=0.0))
            step, start = max(step, block.step), end
        meta = {
            "source": "llama.cpp",
            "model": self._name,
            "groups": self._columns.members or None,
            "rest": self._rest(share),
            "censored": {"entries": n_censored, "most_mass": float(mass[1])},
            "half_step": 0.5 * step,
        }
        return NextTokenRows(
            Checked(rows, None, 0),  # type: ignore[arg-type]
            tokens=self._columns.tokens,
            token_ids=self._columns.token_ids,
            **self._contexts(numbers, meta),
        )

    def censored(self, key: Any = slice(None)) -> tuple[Ids, Floats]:
        """How many tokens of each row are censored, and how much probability they have.

        Parameters
        ----------
        key : slice, int array or mask
            Which rows; all by default.

        Returns
        -------
        n : ndarray of int of shape (n,)
            Tokens of a row that are more than 16 nats below its most probable one.
        mass : ndarray of shape (n, 2)
            Bounds of the probability that they have together.
        """
        blocks = [(b.n_censored, b.mass) for b in self._blocks(self._numbers_of(key))]
        n, mass = zip(*blocks, strict=True)
        return np.concatenate(n), np.concatenate(mass)

    def partial(self, key: Any = slice(None)) -> PartialRows:
        """The same as rows known in part, which list the tokens that are not censored.

        Of these what depends on the censored tokens is answered by bounds: how probable an answer
        is whose tokens are far down, the entropy of a row with a long tail.

        Parameters
        ----------
        key : slice, int array or mask
            Which rows; all by default.  A token that is listed takes 12 bytes.

        Returns
        -------
        PartialRows
            Over the ids of the whole vocabulary.  ``rest`` is the middle of the bounds that
            `censored` gives, ``cap`` the floor of the row.
        """
        numbers = self._numbers_of(key)
        blocks = [self._listed(block) for block in self._cuts(numbers)]
        columns, log_probs, n_listed, rest, cap = (
            np.concatenate(part) for part in zip(*blocks, strict=True)
        )
        width = self.layout.n_vocab
        return PartialRows(
            columns,
            log_probs,
            np.concatenate([[0], np.cumsum(n_listed)]),
            n_tokens=width,
            rest=rest,
            cap=cap,
            tokens=self.tokens if self._columns.groups is None else None,
            token_ids=np.arange(width),
            **self._contexts(numbers, {"source": "llama.cpp", "model": self._name}),
        )

    def _listed(self, numbers: Ids) -> tuple[NDArray[Any], ...]:
        """Columns and log-probabilities of what is listed, how many of a row, rest and cap."""
        codes = self._codes[numbers]
        log_probs, n_censored, mass = self._decoded(numbers, codes)
        floor = np.ascontiguousarray(codes[:, 2:4]).view(np.float32)[:, 0].astype(float)
        codes = codes[:, N_BEFORE : N_BEFORE + self.layout.n_vocab]
        row, columns = np.nonzero((codes > 0) | (n_censored == 0)[:, np.newaxis])
        with np.errstate(divide="ignore"):
            rest = np.log(mass.mean(axis=1))
        return (
            columns,
            log_probs[row, columns],
            np.bincount(row, minlength=len(numbers)),
            rest,
            floor,
        )

    # -- how they come ------------------------------------------------------

    def _numbers_of(self, key: Any) -> Ids:
        """The numbers, in the file, of the rows that a key selects."""
        return np.asarray(self._numbers, dtype=np.int64)[row_numbers(key, len(self))]

    def _blocks(self, numbers: Ids) -> Iterator[Block]:
        """The rows of these numbers, decoded by whatever cores there are."""
        cuts = [(cut,) for cut in self._cuts(numbers)]
        with parallel.workers(None, 1 if len(cuts) < 2 else None) as pool:
            yield from parallel.in_order(pool, self._decode, cuts)

    def _cuts(self, numbers: Ids) -> list[Ids]:
        """Numbers in pieces; one at least."""
        return [numbers[i : i + self._block] for i in range(0, max(1, len(numbers)), self._block)]

    def _decode(self, numbers: Ids) -> Block:
        """Rows of these numbers over the columns."""
        ordered = len(numbers) > 0 and bool((np.diff(numbers) == 1).all())
        codes = self._codes[slice(numbers[0], numbers[-1] + 1) if ordered else numbers]
        log_probs, n_censored, mass = self._decoded(numbers, codes)
        rows, share = self._columns.apply(log_probs)
        scales = np.ascontiguousarray(codes[:, :2]).view(np.float32)
        return Block(rows, share, n_censored, mass, float(scales.max(initial=0.0)))

    def _decoded(
        self, numbers: Ids, codes: NDArray[np.uint16]
    ) -> tuple[NDArray[np.float32], Ids, Floats]:
        """What `decode_rows` makes of codes; an error names the row by its number in the file."""
        try:
            return decode_rows(codes, self.layout.n_vocab)
        except ValueError as error:
            row, why = re.fullmatch(r"row (\d+) (.*)", str(error)).groups()  # type: ignore[union-attr]
            raise ValueError(f"{self.path}: row {numbers[int(row)]} {why}") from error

    def _contexts(self, numbers: Ids, meta: dict[str, Any]) -> dict[str, Any]:
        """The texts that rows of these numbers continue, and `meta` with their places."""
        chunk, place = np.divmod(numbers, self.layout.per_chunk)
        place += self.layout.first
        offsets = np.concatenate([[0], np.cumsum(place + 1)])
        texts = [self.texts[c, : k + 1] for c, k in zip(chunk, place, strict=True)]
        ids = np.concatenate([np.zeros(0, dtype=np.int64), *texts])
        if self._bos is not None:
            ids[offsets[:-1]] = self._bos
        return {
            "input_ids": ids,
            "offsets": offsets,
            "meta": {**meta, "prompt": chunk, "position": place},
        }

    def _rest(self, share: Floats) -> dict[str, Any] | None:
        """How much probability the last column gathers, or gathered before it was dropped."""
        if self._columns.rest is None or not len(share):
            return None
        return {
            "column": self._columns.rest,
            "dropped": self._columns.drop_rest,
            "ids": self._columns.n_rest,
            "mean": float(share.mean()),
            "max": float(share.max()),
        }

    def to_pandas(self, kind: str = "log_probs") -> pd.DataFrame:
        """All rows in memory, as `NextTokenRows.to_pandas` has them.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return self[:].to_pandas(kind)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The most probable tokens of the first thousand rows."""
        return self[:1000].plot(ax=ax)

    def _table(self) -> display.Table:
        layout = self.layout
        title = (
            f"LogitsFile: {len(self)} rows over {len(self._columns)} tokens, "
            f"of {layout.n_chunk} chunks of {layout.n_ctx} tokens, mapped"
        )
        head = self[: display.MAX_HTML_ROWS + 1]._table()
        rest = [[i, 0.0, ""] for i in range(len(head.rows), len(self))]
        return display.Table(title, head.columns, [*head.rows, *rest])
