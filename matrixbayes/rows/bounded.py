"""Rows over answers whose probabilities are known between bounds."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._base import display
from .._base.arguments import shown
from .._base.tokens import token_names
from .._base.typing import Floats, Ids
from . import parts
from .known import InPart
from .rows import Checked, NextTokenRows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class BoundedRows(InPart):
    """Rows whose log-probabilities are known between bounds: of answers that records list in part.

    The bounds of a row are sharp and hold together: some distribution that agrees with the record
    has the lower, another the upper bound of each answer.

    Parameters
    ----------
    lower, upper : ndarray of shape (N, G)
        Log-probabilities of the answers; lower <= upper.
    determined : ndarray of bool of shape (N,)
        The rows whose bounds are equal.
    tokens : tuple of str
        The names of the answers.
    token_ids : ndarray of int of shape (G,), optional
        The id of an answer of one token; -1 for others.
    input_ids, offsets, meta
        As of `NextTokenRows`.

    See Also
    --------
    PartialRows.group : makes them.

    Examples
    --------
    >>> import numpy as np
    >>> import matrixbayes as mb
    >>> part = mb.PartialRows([0, 1], np.log([0.5, 0.3]), [0, 2], n_tokens=4, tokens="abcd")
    >>> found = part.group(["a", "c"])
    >>> np.exp(found.lower).round(3), np.exp(found.upper).round(3)
    (array([[0.5, 0. , 0.3]]), array([[0.5, 0.2, 0.5]]))
    """

    lower: Floats
    upper: Floats
    determined: NDArray[np.bool_]
    tokens: tuple[str, ...] = field(kw_only=True)
    token_ids: Ids | None = field(default=None, kw_only=True)
    input_ids: Ids | None = field(default=None, kw_only=True)
    offsets: Ids | None = field(default=None, kw_only=True)
    meta: dict[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        low, high = (np.ascontiguousarray(x, np.float64) for x in (self.lower, self.upper))
        sure = np.asarray(self.determined)
        if low.ndim != 2 or high.shape != low.shape or sure.shape != low.shape[:1]:
            raise ValueError(
                f"lower, upper and determined are {low.shape}, {high.shape} and {sure.shape}; "
                "they must be (N, G), (N, G) and (N,)"
            )
        wrong = ~(low <= high)
        if wrong.any():
            i, g = np.argwhere(wrong)[0]
            raise ValueError(f"row {i}, column {g}: the bounds {low[i, g]}, {high[i, g]} are none")
        ids, offsets = parts.contexts(self.input_ids, self.offsets, len(low))
        values = {
            "lower": parts.frozen(low),
            "upper": parts.frozen(high),
            "determined": parts.frozen(sure.astype(bool)),
            "tokens": token_names(self.tokens, low.shape[1]),
            "token_ids": parts.integers(self.token_ids, "token_ids", low.shape[1:], least=-1),
            "input_ids": ids,
            "offsets": offsets,
            "meta": parts.plain_meta(self.meta, len(low)),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            frozen = parts.frozen(value) if isinstance(value, np.ndarray) else value
            object.__setattr__(self, name, frozen)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, G)."""
        return self.lower.shape[0], self.lower.shape[1]

    @property
    def n_tokens(self) -> int:
        """G, the number of answers."""
        return self.shape[1]

    def __len__(self) -> int:
        return len(self.lower)

    def __getitem__(self, key: Any) -> BoundedRows:
        """The rows that an integer, a slice, integers or a mask selects."""
        if hasattr(key, "__index__") and not isinstance(key, (bool, np.bool_, np.ndarray)):
            key = [range(len(self))[operator.index(key)]]
        numbers = parts.row_numbers(key, len(self))
        return BoundedRows(
            self.lower[numbers],
            self.upper[numbers],
            self.determined[numbers],
            tokens=self.tokens,
            token_ids=self.token_ids,
            **parts.taken_contexts(self, numbers),
        )

    def rows(self) -> NextTokenRows:
        """The determined rows, complete."""
        sure = self[self.determined]
        return NextTokenRows(
            Checked(sure.lower),  # type: ignore[arg-type]
            tokens=sure.tokens,
            token_ids=sure.token_ids,
            input_ids=sure.input_ids,
            offsets=sure.offsets,
            meta=sure.meta,
        )

    def probs(self) -> Floats:
        """The bounds as probabilities, shape (N, G, 2): a new array."""
        found: Floats = np.exp(np.stack([self.lower, self.upper], axis=-1))
        return found

    def to_pandas(self, kind: str = "log_probs") -> pd.DataFrame:
        """A data frame with two columns per answer, ``lower`` and ``upper``.

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
        bounds = np.stack([self.lower, self.upper], axis=-1).reshape(len(self), -1)
        columns = pd.MultiIndex.from_product(
            [list(self.tokens), ["lower", "upper"]], names=["token", "bound"]
        )
        return pd.DataFrame(
            np.exp(bounds) if kind == "probs" else bounds,
            columns=columns,
            index=parts.frame_index(self.meta),
        )

    def _remedy(self) -> str:
        n = int(self.determined.sum())
        return (
            f"these answers are known between bounds ({n} of {len(self)} rows are determined): "
            "take those by .rows(), or the bounds as .lower and .upper"
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Mean bounds of each answer."""
        from .plots import bounded_rows  # needs matplotlib

        return bounded_rows(self, ax=ax)

    def _table(self) -> display.Table:
        n, width = self.shape
        title = f"BoundedRows: {n} row{'' if n == 1 else 's'} over {width} answers, "
        title += f"{int(self.determined.sum())} determined"
        cells: list[list[Any]] = []
        for i in range(min(n, display.MAX_HTML_ROWS + 1)):
            order = np.argsort(-self.upper[i], kind="stable")[:3]
            said = [f"{display.show(self.tokens[g], width=16)} {self._span(i, g)}" for g in order]
            cells.append([i, bool(self.determined[i]), display.fitting(said, 80)])
        cells += [[i, False, ""] for i in range(len(cells), n)]
        return display.Table(title, ["row", "determined", "most probable"], cells)

    def _span(self, i: int, g: int) -> str:
        """Both bounds in words, or the one number."""
        low, high = np.exp([self.lower[i, g], self.upper[i, g]])
        return display.share(low) + ("" if self.determined[i] else f" to {display.share(high)}")
