"""Rows known in part: some tokens of each and the mass of the rest, as servers and logs give them.

Contents
    PartialRow     one of them
    PartialRows    many, compact, never changed
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base import display, files
from .._base.arguments import instance, shown
from .._base.arguments import whole as whole_number
from .._base.saving.made import restore, told
from .._base.tokens import Names, token_names
from .._base.typing import Floats, Ids
from . import parts
from .bounded import BoundedRows
from .bounds import distance_bounds, entropy_bounds
from .known import InPart
from .pairs import Pairs
from .partial_checks import SHORT, TOLERANCE, checked_entries, checked_masses, sums_of
from .partial_files import columns_of_ids, read_parquet, write_parquet
from .partial_groups import OTHER, Places, lumped, make_answers
from .partial_sides import CELLS, columns_beside, entries_of, side_of
from .partial_top import top_entries
from .rows import Checked, NextTokenRows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FORMAT, VERSION = "matrixbayes.partial_rows", 1
MOST_TOKENS = 2**32 - 1  # as many as the core takes
ARRAYS = ("columns", "log_probs", "starts", "rest", "cap", "token_ids", "input_ids", "offsets")


class PartialRow(NamedTuple):
    """One row known in part."""

    columns: Ids
    log_probs: NDArray[np.floating]
    rest: float
    cap: float


@dataclass(frozen=True, eq=False, repr=False)
class PartialRows(InPart):
    """Next-token distributions known in part: some tokens of each row, and the mass of the rest.

    What a server's ``top_logprobs``, an evaluator's log or a teacher's cache holds.  A row lists
    the log-probabilities of a few tokens; all others together have the probability exp(rest), and
    none of them more than exp(cap).  Whatever is asked of such rows is answered exactly where the
    record determines it, and by bounds where it does not.  The container never changes; ``rows[i]``
    is a `PartialRow`, a slice, an integer array or a boolean mask gives `PartialRows`.

    Parameters
    ----------
    columns : array_like of int of shape (M,)
        The column of each listed token, row behind row; each once in a row, and kept in increasing
        order.
    log_probs : array_like of shape (M,)
        Their natural logarithms of probabilities; float16 and bfloat16 become float32.
    starts : array_like of int of shape (N + 1,)
        Row i lists the entries ``starts[i]:starts[i + 1]``.
    n_tokens : int
        V, the number of columns.
    rest : array_like of shape (N,), optional
        The logarithm of the mass that a row does not list; -inf says that all other tokens are
        impossible.  By default what is missing to 1, and no less than the rounding of that.
    cap : array_like of shape (N,), optional
        An upper bound of the log-probability of any one token that a row does not list.  By default
        the smallest that it lists, as in a list of the most probable; say it where tokens are
        listed that are not among the most probable (``cap=rest`` where they are chosen by name).
        Kept no larger than ``rest``.
    tokens : sequence of str of length V, optional
        The names of the columns.  A last one called ``<other>`` says that the vocabulary is open:
        it stands for all tokens without a column, however many, and is never listed.
    token_ids : array_like of int of shape (V,), optional
        The model's id of each column; -1 where there is none.
    input_ids, offsets : array_like of int, optional
        The contexts: that of row i is ``input_ids[offsets[i]:offsets[i + 1]]``.
    meta : mapping, optional
        As of `NextTokenRows`: ``prompt`` and ``position`` hold one value per row.

    Raises
    ------
    ValueError
        Something is not as described; the row and column are named.  Listed mass and rest sum to 1
        within 1e-3; within 1e-2 where the numbers are, or were, of 16 bits, and 5e-3 where they
        have two decimals.

    See Also
    --------
    NextTokenRows : rows that are complete.

    Examples
    --------
    >>> import numpy as np
    >>> import matrixbayes as mb
    >>> rows = mb.PartialRows(
    ...     [2, 0, 1], np.log([0.5, 0.2, 0.9]), [0, 2, 3], n_tokens=4, tokens=["a", "b", "c", "d"]
    ... )
    >>> np.exp(rows.rest).round(3), rows[0].columns
    (array([0.3, 0.1]), array([0, 2]))
    >>> rows.prob("d").round(3)
    array([[0.1, 0.2],
           [0. , 0.1]])
    """

    columns: Ids
    log_probs: NDArray[np.floating]
    starts: Ids
    n_tokens: int = field(kw_only=True)
    rest: Floats = field(default=None, kw_only=True)  # type: ignore[arg-type]
    cap: Floats = field(default=None, kw_only=True)  # type: ignore[arg-type]
    tokens: tuple[str, ...] | None = field(default=None, kw_only=True)
    token_ids: Ids | None = field(default=None, kw_only=True)
    input_ids: Ids | None = field(default=None, kw_only=True)
    offsets: Ids | None = field(default=None, kw_only=True)
    meta: dict[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        self._check(TOLERANCE)

    def _check(self, tolerance: float) -> None:
        """Give everything its final form, or refuse it."""
        width = whole_number(self.n_tokens, "n_tokens", 1, MOST_TOKENS)
        tokens = token_names(self.tokens, width)
        columns, log_probs, starts, short = checked_entries(
            self.columns, self.log_probs, self.starts, width - _is_open(tokens)
        )
        n = len(starts) - 1
        rest, cap = checked_masses(
            log_probs,
            starts,
            self.rest,
            self.cap,
            np.inf if _is_open(tokens) else float(width),
            SHORT if short else tolerance,
        )
        ids, offsets = parts.contexts(self.input_ids, self.offsets, n)
        self._set(
            columns=parts.frozen(columns),
            log_probs=parts.frozen(log_probs),
            starts=parts.frozen(starts),
            n_tokens=width,
            rest=parts.frozen(rest),
            cap=parts.frozen(cap),
            tokens=tokens,
            token_ids=parts.integers(self.token_ids, "token_ids", (width,), least=-1),
            input_ids=ids,
            offsets=offsets,
            meta=parts.plain_meta(self.meta, n),
        )

    def _set(self, **values: Any) -> None:
        """Give a new object its values."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            self._set(**{name: parts.frozen(value) if isinstance(value, np.ndarray) else value})

    # -- size and parts -----------------------------------------------------

    @property
    def shape(self) -> tuple[int, int]:
        """(N, V)."""
        return len(self), self.n_tokens

    @property
    def is_open(self) -> bool:
        """Whether there are tokens without a column: the last column is ``<other>``."""
        return _is_open(self.tokens)

    @property
    def n_listed(self) -> Ids:
        """How many tokens each row lists, (N,)."""
        return np.diff(self.starts)

    @property
    def n_missing(self) -> Floats:
        """How many tokens each row does not list, (N,); infinite where the vocabulary is open."""
        width = np.inf if self.is_open else float(self.n_tokens)
        return np.subtract(width, self.n_listed, dtype=np.float64)

    @property
    def nbytes(self) -> int:
        """The bytes of the arrays, without contexts and names."""
        return sum(getattr(self, name).nbytes for name in ARRAYS[:5])

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __iter__(self) -> Iterator[PartialRow]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        if hasattr(key, "__index__") and not isinstance(key, (bool, np.bool_, np.ndarray)):
            i = range(len(self))[operator.index(key)]
            cut = slice(self.starts[i], self.starts[i + 1])
            return PartialRow(
                self.columns[cut], self.log_probs[cut], float(self.rest[i]), float(self.cap[i])
            )
        numbers = parts.row_numbers(key, len(self))
        places, starts = parts.taken_entries(self.starts, numbers)
        part = object.__new__(PartialRows)
        part._set(
            columns=parts.frozen(self.columns[places]),
            log_probs=parts.frozen(self.log_probs[places]),
            starts=parts.frozen(starts),
            n_tokens=self.n_tokens,
            rest=parts.frozen(self.rest[numbers]),
            cap=parts.frozen(self.cap[numbers]),
            tokens=self.tokens,
            token_ids=self.token_ids,
            **parts.taken_contexts(self, numbers),
        )
        return part

    def context(self, i: int) -> Ids:
        """The token ids that row `i` continues."""
        if self.input_ids is None or self.offsets is None:
            raise ValueError("these rows were made without input_ids; their contexts are not known")
        i = range(len(self))[i]
        return self.input_ids[self.offsets[i] : self.offsets[i + 1]]

    def _row(self) -> Ids:
        """The row of each entry."""
        return np.repeat(np.arange(len(self)), self.n_listed)

    # -- what the rows say --------------------------------------------------

    def group(
        self,
        vocab: Mapping[str, Any] | Sequence[Any],
        other: Literal["keep", "renormalize"] = "keep",
    ) -> NextTokenRows | BoundedRows:
        """The rows over answers: groups of tokens, whose probabilities sum.

        A row that lists every token of every answer is determined: it is the full row, grouped.
        Where tokens are missing, an answer has at least what it lists, and at most that and
        min(exp(rest), missing exp(cap)) of the rest.

        Parameters
        ----------
        vocab : mapping of str to token or several, or sequence of tokens
            The answers by name, or tokens that are answers of their own.  A token is a name, or a
            number: its id where the rows have ``token_ids``, else its column.  Of an open
            vocabulary any name is a token.  Of ids that records write alike (columns
            ``text<id>``) the text means all.
        other : {"keep", "renormalize"}
            Keep what no answer has in a last column, ``<other>``, or drop it and renormalize.

        Returns
        -------
        NextTokenRows or BoundedRows
            Complete rows, in float64, where every row is determined; else bounds.

        Raises
        ------
        ValueError
            A token is not there or in two answers; or with ``other="renormalize"`` no answer has
            any probability in some row.

        Notes
        -----
        Where the numbers of a determined row were rounded so far that they sum to 1 only within
        1e-6 to 1e-2, the row is divided by its sum.

        Examples
        --------
        >>> import numpy as np
        >>> import matrixbayes as mb
        >>> rows = mb.PartialRows(
        ...     [0, 1, 2], np.log([0.5, 0.2, 0.2]), [0, 3], n_tokens=5, tokens="abcde"
        ... )
        >>> rows.group({"yes": ["a", "b"], "no": "c"}).probs().round(3)
        array([[0.7, 0.2, 0.1]])
        """
        if other not in ("keep", "renormalize"):
            raise ValueError(f"other={shown(other)} is neither 'keep' nor 'renormalize'")
        answers = make_answers(vocab, self.tokens, self.token_ids, self.n_tokens, self.is_open)
        keep = other == "keep" or answers.names[-1] != OTHER
        if not keep and len(answers.names) == 2:
            raise ValueError(f"vocab leaves the single column {answers.names[0]!r}")
        low, high, sure = lumped(
            self._row(),
            answers.groups[self.columns],
            self.log_probs.astype(np.float64),
            self.rest,
            self.cap,
            answers.sizes,
            keep,
        )
        kept = slice(None) if keep else slice(-1)
        about: dict[str, Any] = {
            "tokens": answers.names[kept],
            "token_ids": answers.token_ids[kept],
            "input_ids": self.input_ids,
            "offsets": self.offsets,
            "meta": self.meta,
        }
        if sure.all():
            return NextTokenRows(Checked(low), **about)  # type: ignore[arg-type]
        return BoundedRows(low, high, sure, **about)

    def prob(self, token: str | int) -> Floats:
        """Bounds of one token's probability in each row, (N, 2): equal where it is listed.

        Parameters
        ----------
        token : str or int
            As in `group`.
        """
        places = Places(self.tokens, self.token_ids, self.n_tokens, self.is_open)
        column, *alike = places.of(token, "token")
        if alike:
            raise ValueError(
                f"{shown(token)} is the text of {1 + len(alike)} tokens: give the id of one, or "
                "take "
                "them together by group"
            )
        found = np.zeros((len(self), 2))
        missing, cap, rest = self.n_missing, np.exp(self.cap), np.exp(self.rest)
        with np.errstate(invalid="ignore"):
            others = np.where(cap > 0.0, (missing - 1.0) * cap, 0.0)
        found[:, 0] = np.maximum(rest - others, 0.0)
        found[:, 1] = np.minimum(rest, cap)
        listed = self.columns == (-1 if isinstance(column, str) else column)
        found[self._row()[listed]] = np.exp(self.log_probs[listed, np.newaxis], dtype=np.float64)
        return found

    def entropy(self) -> Floats:
        """Bounds of the entropy of each row in nats, (N, 2).

        The upper bound is infinite where the vocabulary is open and something is not listed.

        Examples
        --------
        >>> import numpy as np
        >>> import matrixbayes as mb
        >>> mb.PartialRows([0], [np.log(0.5)], [0, 1], n_tokens=5).entropy().round(4)
        array([[0.6931, 1.3863]])
        """
        p = np.exp(self.log_probs, dtype=np.float64)
        listed = sums_of(self._row(), -p * self.log_probs, len(self))
        return entropy_bounds(listed, self.rest, self.cap, self.n_missing)

    def kl(self, other: PartialRows | NextTokenRows, reverse: bool = False) -> Floats:
        """Bounds of KL(these || other) of each row in nats, (N, 2).

        The upper bound is infinite where `other` may rule out what these rows may hold: nearly
        always, unless `other` is complete.

        Parameters
        ----------
        other : PartialRows or NextTokenRows
            As many rows, over the same tokens.
        reverse : bool
            KL(other || these) instead.

        Examples
        --------
        >>> import numpy as np
        >>> import matrixbayes as mb
        >>> rows = mb.NextTokenRows(np.log([[0.5, 0.3, 0.1, 0.1]]))
        >>> mb.PartialRows.from_rows(rows, 2).kl(mb.NextTokenRows(np.log([[0.25] * 4]))).round(4)
        array([[0.218 , 0.3566]])
        """
        return self._distance(other, "kl", reverse)

    def total_variation(self, other: PartialRows | NextTokenRows) -> Floats:
        """Bounds of the total variation from the rows of `other`, (N, 2); see `kl`."""
        return self._distance(other, "total_variation")

    def hellinger(self, other: PartialRows | NextTokenRows) -> Floats:
        """Bounds of the Hellinger distance, at most 1, from the rows of `other`, (N, 2)."""
        return self._distance(other, "hellinger")

    def jensen_shannon(self, other: PartialRows | NextTokenRows) -> Floats:
        """Bounds of the Jensen-Shannon distance, the root of the divergence in nats, (N, 2)."""
        return self._distance(other, "jensen_shannon")

    def _distance(
        self, other: PartialRows | NextTokenRows, metric: str, reverse: bool = False
    ) -> Floats:
        """Bounds of a distance, block by block."""
        mine, theirs, width = columns_beside(self, other)
        found = np.zeros((len(self), 2))
        entries = max(1, len(self.columns) // max(len(self), 1), entries_of(other))
        step = max(1, CELLS // entries)
        for start in range(0, len(self), step):
            cut = slice(start, min(start + step, len(self)))
            pairs = Pairs(side_of(self, cut, mine), side_of(other, cut, theirs), width)
            found[cut] = distance_bounds(pairs.flipped() if reverse else pairs, metric)
        return found

    # -- from elsewhere, to and from files ------------------------------------

    @classmethod
    def from_rows(cls, rows: NextTokenRows, k: int) -> PartialRows:
        """Complete rows cut to their `k` most probable tokens, as a server would list them.

        Parameters
        ----------
        rows : NextTokenRows
            Over a column called ``<other>``, if any, the vocabulary becomes open.
        k : int
            From 1 on; impossible tokens are never listed.

        Examples
        --------
        >>> import numpy as np
        >>> import matrixbayes as mb
        >>> rows = mb.NextTokenRows(np.log([[0.5, 0.3, 0.15, 0.05]]))
        >>> np.exp(mb.PartialRows.from_rows(rows, 2).rest).round(3)
        array([0.2])
        """
        instance(rows, NextTokenRows, "rows")
        columns, log_probs, starts, rest, cap = top_entries(
            rows.log_probs, whole_number(k, "k", 1), _is_open(rows.tokens)
        )
        return cls(
            columns,
            log_probs,
            starts,
            n_tokens=rows.n_tokens,
            rest=rest,
            cap=cap,
            tokens=rows.tokens,
            token_ids=rows.token_ids,
            input_ids=rows.input_ids,
            offsets=rows.offsets,
            meta=rows.meta,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one safetensors file, all or nothing."""
        arrays = {name: getattr(self, name) for name in ARRAYS if getattr(self, name) is not None}
        if self.n_tokens <= np.iinfo(np.int32).max:
            arrays["columns"] = self.columns.astype(np.int32)
        files.write(
            path,
            arrays,
            {
                "format": FORMAT,
                "version": VERSION,
                "n_tokens": self.n_tokens,
                "tokens": None if self.tokens is None else list(self.tokens),
                "meta": self.meta,
                **told(self),
            },
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PartialRows:
        """Read what `save` wrote; every number is checked again.

        Raises
        ------
        ValueError
            The file is damaged, or is not one of rows known in part.
        """
        arrays, header = files.read(path, FORMAT)
        files.require(path, header, VERSION)
        tokens, meta = header.get("tokens"), header.get("meta")
        if {*ARRAYS[:5]} - {*arrays} or {*arrays} - {*ARRAYS} or not isinstance(meta, dict):
            raise ValueError(f"{os.fspath(path)} does not hold what a file of such rows holds")
        if tokens is not None and not isinstance(tokens, list):
            raise ValueError(f"{os.fspath(path)}: the tokens are not a list")
        width = {"n_tokens": header.get("n_tokens")}
        found = {**arrays, **width, "tokens": tokens, "meta": meta}
        return restore(cls._of_file(path, SHORT, found), header)

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write a parquet file as caches of teachers are: one row a row, all or nothing.

        Its columns are ``topk_ids: list<int32>``, ``topk_logprobs: list<float32>`` and
        ``other_logprob: float32`` (float64 where the log-probabilities are); ``unlisted_cap`` and
        ``input_ids`` where there are such.  Ids are those of ``token_ids``, else columns.

        Raises
        ------
        ImportError
            There is no pyarrow.
        """
        write_parquet(self, path)

    @classmethod
    def from_parquet(
        cls,
        path: str | os.PathLike[str],
        *,
        n_tokens: int | None = None,
        tokens: Sequence[str] | None = None,
        token_ids: ArrayLike | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> PartialRows:
        """Read what `to_parquet` or another program wrote; every number is checked.

        Parameters
        ----------
        path : path
            A file with the columns ``topk_ids`` and ``topk_logprobs``, lists of any kind, integers
            and floats of any size; and ``other_logprob``, else the rest is what is missing to 1.
        n_tokens : int, optional
            The width of the vocabulary; needed where another program wrote the file.
        tokens : sequence of str, optional
            The names of the columns.
        token_ids : array_like of int, optional
            The id of each column, where columns are not ids.
        meta : mapping, optional
            Kept with the rows.

        Raises
        ------
        ValueError
            The file is damaged or lacks something; the row is named.
        ImportError
            There is no pyarrow.
        """
        found = read_parquet(path)
        own = "n_tokens" in found
        if not own and token_ids is not None:
            found["columns"] = columns_of_ids(found["columns"], found["starts"], token_ids)
            n_tokens = len(np.asarray(token_ids)) if n_tokens is None else n_tokens
        given = {"n_tokens": n_tokens, "tokens": tokens, "token_ids": token_ids, "meta": meta}
        found |= {name: value for name, value in given.items() if value is not None}
        if found.get("n_tokens") is None:
            if found.get("tokens") is None:
                raise ValueError(
                    f"{os.fspath(path)} does not say how many tokens there are: give n_tokens=, "
                    "the width of the model's logits"
                )
            found["n_tokens"] = len(found["tokens"])
        return cls._of_file(path, SHORT if own else TOLERANCE, found)

    @classmethod
    def _of_file(
        cls, path: str | os.PathLike[str], tolerance: float, found: Mapping[str, Any]
    ) -> PartialRows:
        """Rows of what a file holds, checked again."""
        rows = object.__new__(cls)
        absent: dict[str, Any] = dict.fromkeys(("rest", "cap", "tokens", *ARRAYS[5:]))
        rows._set(**{**absent, "meta": {}, **found})
        with files.naming(path):
            rows._check(tolerance)
        return rows

    def to_pandas(self, kind: str = "log_probs") -> pd.DataFrame:
        """A data frame with a row for each listed token, and one for each row's rest.

        Parameters
        ----------
        kind : {"log_probs", "probs"}
            What is beside the tokens.

        Returns
        -------
        pandas.DataFrame
            Columns ``row`` (and prompt, position where known), ``token`` (a name, or the number of
            a column; ``<rest>`` for what is not listed) and the kind.
        """
        import pandas as pd

        if kind not in ("log_probs", "probs"):
            raise ValueError(f"kind={shown(kind)} is not one of 'log_probs', 'probs'")
        row = np.concatenate([self._row(), np.arange(len(self))])
        names: list[Any] = self.columns.tolist()
        if self.tokens is not None:
            names = [self.tokens[v] for v in names]
        logs = np.concatenate([self.log_probs, self.rest])
        table: dict[str, Any] = {"row": row}
        for name in parts.PER_ROW:
            if name in self.meta:
                values = np.empty(len(self), dtype=object)
                values[:] = self.meta[name]
                table[name] = values[row]
        table["token"] = [*names, *["<rest>"] * len(self)]
        table[kind] = np.exp(logs) if kind == "probs" else logs
        return pd.DataFrame(table).sort_values("row", kind="stable", ignore_index=True)

    def _remedy(self) -> str:
        return (
            "these rows are known in part and are no array: .group(vocab) makes them rows over "
            "answers, .rest has the mass that each does not list, and .columns and .log_probs what "
            "it does"
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The most probable tokens that are listed, and what is not."""
        from .plots import partial_rows  # needs matplotlib

        return partial_rows(self, ax=ax)

    def _table(self) -> display.Table:
        n, width = self.shape
        size = self.n_listed
        listed = "none" if n == 0 else f"{size.min()} to {size.max()}"
        if n and size.min() == size.max():
            listed = str(size[0])
        of = f"{width - 1} texts and others" if self.is_open else f"{width}"
        title = f"PartialRows: {n} row{'' if n == 1 else 's'}, {listed} listed of {of} tokens"
        title += f", {self.log_probs.dtype}, {display.amount(self.nbytes)}"
        cells: list[list[Any]] = []
        for i in range(min(n, display.MAX_HTML_ROWS + 1)):
            row = self[i]
            names = [str(c) if self.tokens is None else self.tokens[c] for c in row.columns]
            probs = np.exp(row.log_probs, dtype=np.float64)
            cells.append([i, float(np.exp(row.rest)), display.top(probs, names)])
        cells += [[i, 0.0, ""] for i in range(len(cells), n)]
        return display.Table(title, ["row", "not listed", "most probable"], cells)


def _is_open(tokens: Names | None) -> bool:
    """Whether names of columns say that there are tokens without one."""
    return tokens is not None and tokens[-1] == OTHER
