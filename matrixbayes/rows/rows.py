"""Next-token rows: the container between a language model and the statistics.

Contents
    as_log_probs      what a caller hands in (rows, or an array) as log-probabilities
    Checked           the same, with what was found when they were checked
    NextTokenRows     log-probabilities with the tokens, contexts and hidden states they belong to
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._base import display, files
from .._base.arguments import shown
from .._base.mapped import read_mapped
from .._base.saving.made import restore, told
from .._base.tokens import columns_in, labels_of, order_of, string_labels, token_names
from . import parts
from .ingest import flat_logits, log_probs_of, rows_of_generate
from .kl import entropy_nats

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


FORMAT, VERSION = "matrixbayes.rows", 1


def as_log_probs(
    X: Any, kind: str | None = None
) -> tuple[NDArray[np.floating], tuple[str, ...] | None]:
    """Log-probabilities and token names of rows that a caller hands in.

    This is the one place where data of any form become log-probabilities: the kind
    of a bare array is said by the caller and never guessed.

    Parameters
    ----------
    X : NextTokenRows, or array_like of shape (N, V)
        Rows; a NumPy array, a torch tensor (bfloat16 too), a data frame whose columns
        are the tokens, or lists of floats.
    kind : {"logits", "log_probs", "probs"}, optional
        What the numbers are; needed for everything but `NextTokenRows`.

    Returns
    -------
    log_probs : ndarray of shape (N, V)
        float64 where the input is float64, otherwise float32; C-ordered.  Log-probabilities
        that are so already are checked and returned without a copy.
    tokens : tuple of str or None
        The names of the columns, where the input has them.

    Raises
    ------
    ValueError
        No kind was given, or a number is not what the kind allows; the row and
        column are named.
    TypeError
        The numbers are not floating-point.

    Examples
    --------
    >>> import numpy as np
    >>> from matrixbayes.rows import as_log_probs
    >>> log_probs, tokens = as_log_probs([[0.25, 0.75]], "probs")
    >>> np.exp(log_probs), tokens
    (array([[0.25, 0.75]]), None)
    """
    if isinstance(X, NextTokenRows):
        if kind not in (None, "log_probs"):
            raise ValueError(f"NextTokenRows hold log-probabilities; drop kind={shown(kind)}")
        return X.log_probs, X.tokens
    return log_probs_of(X, kind)[:2]


class Checked(NamedTuple):
    """Log-probabilities in the form in which they are kept, and in order."""

    log_probs: NDArray[np.floating]
    tokens: tuple[str, ...] | None = None
    n_zeros: int | None = None  # rows that hold an exact zero; None: nobody has counted

    @classmethod
    def of(cls, X: Any, kind: str | None) -> Checked:
        """Those of `as_log_probs`, counted."""
        if isinstance(X, NextTokenRows):
            return cls(*as_log_probs(X, kind), X._n_zeros)
        return cls(*log_probs_of(X, kind))


@dataclass(frozen=True, eq=False, repr=False)
class NextTokenRows(display.Shown, Sequence[NDArray[np.floating]]):
    """Next-token distributions of a model, one row per context.

    A row is the log-probability of every token after one context.  The container
    never changes: its arrays are read-only views.  It is a sequence: ``rows[i]`` is row i as a
    vector of log-probabilities; a slice, an integer array or a boolean mask gives `NextTokenRows`.

    Parameters
    ----------
    log_probs : array_like of shape (N, V)
        Natural logarithms of probabilities; an exact zero is -inf.  Each row's probabilities sum to
        1 within 1e-3, and lack no more than rounding explains: rows of which some tokens are known
        are `PartialRows`.
    tokens : sequence of str, optional
        The V column names, all different; those of a data frame's columns, where the rows are one.
    token_ids : array_like of int of shape (V,), optional
        The model's id of each column; -1 for a column that is a group of tokens.
    input_ids, offsets : array_like of int, optional
        The contexts: that of row i is ``input_ids[offsets[i]:offsets[i + 1]]``.
    hidden : array_like of shape (N, d), optional
        The model's last hidden state at each row, kept in float32.
    meta : mapping, optional
        Where the rows come from, as JSON can hold it.  The entries ``prompt`` and
        ``position``, where present, hold one value per row and are cut along with the rows.

    Raises
    ------
    ValueError
        Something is not as described; the row and column are named.

    See Also
    --------
    matrixbayes.collect : rows of a HuggingFace model.

    Examples
    --------
    >>> import numpy as np
    >>> from matrixbayes.rows import NextTokenRows
    >>> rows = NextTokenRows(np.log([[0.25, 0.75], [0.5, 0.5]]), tokens=("no", "yes"))
    >>> len(rows), rows.n_tokens, rows[0]
    (2, 2, array([-1.38629436, -0.28768207]))
    >>> rows[1:].probs()
    array([[0.5, 0.5]])
    """

    log_probs: NDArray[np.floating]
    tokens: tuple[str, ...] | None = field(default=None, kw_only=True)
    token_ids: NDArray[np.int64] | None = field(default=None, kw_only=True)
    input_ids: NDArray[np.int64] | None = field(default=None, kw_only=True)
    offsets: NDArray[np.int64] | None = field(default=None, kw_only=True)
    hidden: NDArray[np.float32] | None = field(default=None, kw_only=True)
    meta: dict[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        given: Any = self.log_probs
        names, columns = self.tokens, None
        if not isinstance(given, (np.ndarray, Checked)):
            names, columns = _named(given, names)
        found = given if isinstance(given, Checked) else Checked.of(given, "log_probs")
        log_probs = columns_in(found.log_probs, columns)
        n, width = log_probs.shape
        ids, offsets = parts.contexts(self.input_ids, self.offsets, n)
        self._set(
            log_probs=parts.frozen(log_probs),
            tokens=token_names(names, width),
            token_ids=parts.integers(self.token_ids, "token_ids", (width,), least=-1),
            input_ids=ids,
            offsets=offsets,
            hidden=parts.hidden_states(self.hidden, n),
            meta=parts.plain_meta(self.meta, n),
        )
        if found.n_zeros is not None:
            self._set(_n_zeros=found.n_zeros)

    def _set(self, **values: Any) -> None:
        """Give a new object its values."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            self._set(**{name: parts.frozen(value) if isinstance(value, np.ndarray) else value})

    @cached_property
    def _n_zeros(self) -> int:
        """How many rows hold an exact zero: counted once, when they are checked or later."""
        return _core.check_log_probs(self.log_probs)[0]

    # -- size and parts -----------------------------------------------------

    @property
    def shape(self) -> tuple[int, int]:
        """(N, V)."""
        return self.log_probs.shape[0], self.log_probs.shape[1]

    @property
    def n_tokens(self) -> int:
        """V, the number of columns."""
        return self.shape[1]

    def __len__(self) -> int:
        return len(self.log_probs)

    def __iter__(self) -> Iterator[NDArray[np.floating]]:
        return iter(self.log_probs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy:
            return np.array(self.log_probs, dtype=dtype)
        return np.asarray(self.log_probs, dtype=dtype)

    @overload
    def __getitem__(self, key: int) -> NDArray[np.floating]: ...
    @overload
    def __getitem__(self, key: slice | ArrayLike) -> NextTokenRows: ...
    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):  # rows[i, ...], as scikit-learn asks
            if len(key) != 2 or not (key[1] is Ellipsis or key[1] == slice(None)):
                raise IndexError("rows take one index; use rows.log_probs[i, j] for single numbers")
            key = key[0]
        if hasattr(key, "__index__") and not isinstance(key, (bool, np.bool_, np.ndarray)):
            return self.log_probs[operator.index(key)]
        return self._take(parts.row_numbers(key, len(self)), key)

    def _take(self, numbers: NDArray[np.intp], key: Any) -> NextTokenRows:
        """The rows of these numbers; `key` says the same, and a slice copies nothing."""
        key = key if isinstance(key, slice) else numbers
        part = object.__new__(NextTokenRows)
        part._set(
            log_probs=parts.frozen(np.ascontiguousarray(self.log_probs[key])),
            tokens=self.tokens,
            token_ids=self.token_ids,
            hidden=None if self.hidden is None else parts.frozen(self.hidden[key]),
            **parts.taken_contexts(self, numbers),
        )
        if vars(self).get("_n_zeros") == 0:
            part._set(_n_zeros=0)
        return part

    # -- what the rows say --------------------------------------------------

    def probs(self) -> NDArray[np.floating]:
        """Probabilities, shape (N, V): a new array."""
        probs: NDArray[np.floating] = np.exp(self.log_probs)
        return probs

    def context(self, i: int) -> NDArray[np.int64]:
        """The token ids that row `i` continues."""
        if self.input_ids is None or self.offsets is None:
            raise ValueError("these rows were made without input_ids; their contexts are not known")
        i = range(len(self))[i]
        return self.input_ids[self.offsets[i] : self.offsets[i + 1]]

    def to_pandas(self, kind: str = "log_probs") -> pd.DataFrame:
        """A data frame with a column per token.

        Parameters
        ----------
        kind : {"log_probs", "probs"}
            What its cells hold.

        Returns
        -------
        pandas.DataFrame
            Its index is prompt and position where those are known.
        """
        import pandas as pd

        if kind not in ("log_probs", "probs"):
            raise ValueError(f"kind={shown(kind)} is not one of 'log_probs', 'probs'")
        data = self.probs() if kind == "probs" else self.log_probs
        names = None if self.tokens is None else list(self.tokens)
        return pd.DataFrame(data, columns=names, index=parts.frame_index(self.meta))

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The most probable tokens, and how far rows differ in them."""
        from .plots import rows  # needs matplotlib

        return rows(self, ax=ax)

    def _table(self) -> display.Table:
        n, width = self.log_probs.shape
        shape = f"{n} row{'' if n == 1 else 's'} over {width} tokens"
        amount = display.amount(self.log_probs.nbytes)
        title = f"NextTokenRows: {shape}, {self.log_probs.dtype}, {amount}"
        cells: list[list[Any]] = []
        for i in range(min(n, display.MAX_HTML_ROWS + 1)):
            log_row = np.asarray(self.log_probs[i], dtype=np.float64)
            row = np.exp(log_row)
            bits = abs(float(entropy_nats(row, log_row) / np.log(2.0)))
            cells.append([i, bits, display.top(row, self.tokens, room=77)])
        cells += [[i, 0.0, ""] for i in range(len(cells), n)]
        return display.Table(title, ["row", "entropy (bits)", "most probable"], cells)

    # -- from elsewhere, to and from files ------------------------------------

    @classmethod
    def from_logits(
        cls,
        logits: Any,
        *,
        tokens: Sequence[str] | None = None,
        kind: str = "logits",
        eos_token_id: int | Sequence[int] | None = None,
        attention_mask: ArrayLike | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> NextTokenRows:
        """Rows from logits at hand, or from what ``model.generate`` returned.

        Parameters
        ----------
        logits : array_like of shape (N, V), or the output of ``generate``
            A NumPy array or a torch tensor of any floating type (bfloat16 too); or the whole
            output of ``model.generate(..., return_dict_in_generate=True, output_logits=True)``,
            which gives one row per sequence and generated token, sequence by sequence.
        tokens : sequence of str, optional
            The V column names.
        kind : {"logits", "log_probs", "probs"}
            What an array holds.
        eos_token_id : int or sequence of int, optional
            For ``generate`` with more than one sequence: the ids that end a sequence
            (``model.generation_config.eos_token_id``; ``[]`` if there are none).  What the model
            was made to compute for a sequence after its end is left out.
        attention_mask : array_like of shape (B, P), optional
            For ``generate``: that of the prompts, so that padding is left out of the contexts.
        meta : mapping, optional
            Kept with the rows.

        Raises
        ------
        ValueError
            The output holds only ``scores``: those have been through temperature, top-k and
            the like and are not the model's distribution.

        Examples
        --------
        >>> import numpy as np
        >>> from matrixbayes.rows import NextTokenRows
        >>> rows = NextTokenRows.from_logits(np.zeros((1, 4), np.float32), tokens="abcd")
        >>> rows.probs()
        array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
        """
        if hasattr(logits, "sequences"):
            if kind != "logits":
                raise ValueError(f"the output of generate holds logits, not {shown(kind)}")
            found = rows_of_generate(logits, eos_token_id, attention_mask)
            found["meta"].update(meta or {})
            found["log_probs"] = Checked(found["log_probs"])
            return cls(tokens=None if tokens is None else tuple(tokens), **found)
        flat = flat_logits(logits)
        names, columns = _named(flat, None if tokens is None else tuple(tokens))
        checked: Any = Checked.of(flat, kind)
        checked = checked._replace(log_probs=columns_in(checked.log_probs, columns))
        return cls(checked, tokens=names, meta=dict(meta or {}))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one safetensors file, all or nothing."""
        names = ("log_probs", "token_ids", "input_ids", "offsets", "hidden")
        arrays = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        tokens = None if self.tokens is None else list(self.tokens)
        header = {"format": FORMAT, "version": VERSION, "tokens": tokens, "meta": self.meta}
        files.write(path, arrays, header | told(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, mapped: bool = True) -> NextTokenRows:
        """Open what `save` wrote; every number is checked again.

        Parameters
        ----------
        path : str or path
            The file.
        mapped : bool
            Leave the numbers in the file, of which the system keeps in memory what it has room for:
            rows may be larger than memory, and slices of them are mapped too.  `save` to the same
            path, by anybody, moves another file in its place and leaves these rows as they are; on
            Windows that is refused while they are mapped.  A program that writes into the file
            changes them, and one that cuts it ends this process when it reads what is gone: then,
            or for a file on a disk that may go away, say False, for a copy in memory.  A pickle
            has a copy either way.

        Raises
        ------
        ValueError
            The file is damaged, or is not one of rows.
        """
        arrays, header = (read_mapped if mapped else files.read)(path, FORMAT)
        files.require(path, header, VERSION)
        names = {"log_probs", "token_ids", "input_ids", "offsets", "hidden"}
        tokens, meta = header.get("tokens"), header.get("meta")
        if "log_probs" not in arrays or set(arrays) - names or not isinstance(meta, dict):
            raise ValueError(f"{os.fspath(path)} does not hold what a file of rows holds")
        if tokens is not None and not isinstance(tokens, list):
            raise ValueError(f"{os.fspath(path)}: the tokens are not a list")
        with files.naming(path):
            new = cls(**arrays, tokens=None if tokens is None else tuple(tokens), meta=meta)
        return restore(new, header)


def _named(
    rows: Any, tokens: Iterable[str] | None
) -> tuple[tuple[str, ...] | None, NDArray[np.intp] | None]:
    """The names of columns: those given, or the rows' own; and where they are among the rows'."""
    names = string_labels(rows) if tokens is None else tuple(tokens)
    return names, order_of(labels_of(rows), names, "the columns of the rows and tokens")
