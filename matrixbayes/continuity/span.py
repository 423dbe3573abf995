"""The softmax bottleneck: the rank of rows, and rows that a head cannot produce.

Contents
    span_of, SoftmaxSpan    rank, and the share of each row outside the span of a head
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._base import display
from .._base.typing import Floats
from ..huggingface.heads import Head
from ..rows import as_log_probs
from .given import floor_of, head_or_matrix

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

ROUNDED = 1e-9  # a share that rounding in float32 may put outside
SHIFTS = 32  # of a row, tried before the best is looked for


@dataclass(frozen=True, repr=False)
class SoftmaxSpan(display.Shown):
    """The linear span of log-probabilities; made by `span_of`.

    Attributes
    ----------
    rank : int
        Numerical rank of the log-probabilities, each row less its mean; of a `Head`, of what its
        matrix gave: without scale, bias and cap.
    singular_values : ndarray
    outside : ndarray of shape (N,) or None
        With W given: the share of each centred row that lies outside the span of the head, 0 for a
        row that the head can produce, whatever the state.
    """

    rank: int
    singular_values: Floats
    outside: Floats | None

    def verdict(self) -> str:
        """Whether there is a bottleneck, or whether the head gives all rows: a sentence."""
        rank, most = self.rank, len(self.singular_values)
        of = f"The rows have rank {rank}"
        if self.outside is not None:
            beyond = int((self.outside > ROUNDED).sum())
            worst = display.number(float(self.outside.max(initial=0.0)))
            if not beyond:
                return f"{of}, and the head can produce all of them: at most {worst} is outside."
            return (
                f"{of}, and the head cannot produce {beyond} of {len(self.outside)}: up to "
                f"{worst} of a row is outside its span."
            )
        if rank < most - 1:
            return f"{of} of {most} possible: a head of width {rank} can produce them."
        return f"{of} of {most} possible: it cannot be said which head they need, with so few rows."

    def to_pandas(self) -> pd.DataFrame:
        """A row for each singular value, and for each row's share outside: ``what``, ``number``,
        ``value``.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        parts = {"singular value": self.singular_values}
        if self.outside is not None:
            parts["outside"] = self.outside
        return display.frame(
            {
                "what": [name for name, values in parts.items() for _ in values],
                "number": np.concatenate([np.arange(len(values)) for values in parts.values()]),
                "value": np.concatenate([*parts.values()]),
            }
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The singular values, and the rank."""
        from .plots import softmax_span  # needs matplotlib

        return softmax_span(self, ax=ax)

    def _table(self) -> display.Table:
        values = self.singular_values
        words = []
        if 0 < self.rank < len(values):
            last, after = (display.number(float(x)) for x in values[self.rank - 1 : self.rank + 1])
            words = [f"singular values: {last} is the last that counts, {after} is rounding"]
        return display.Table(f"SoftmaxSpan: {self.verdict()}", words=words)


def span_of(rows: Any, W: Any = None, *, kind: str | None = None) -> SoftmaxSpan:
    """The rank of rows as logits: at most d for a head of width d (one more with a bias).

    Parameters
    ----------
    rows : NextTokenRows, or array_like of shape (N, V)
        Without exact zeros.
    W : Head, transformers.PreTrainedModel, or array_like of shape (V, d), optional
        A head, to say which rows it can produce: what `head_of` gives with norm=False, the model,
        or a bare matrix where the head is nothing else.
    kind : {"logits", "log_probs", "probs"}, optional
        What a bare array of rows holds.

    Returns
    -------
    SoftmaxSpan

    Raises
    ------
    ValueError
        A row has an exact zero; shapes do not match; or a bare matrix is given for rows that say
        that their head has a bias or a cap.

    Notes
    -----
    Singular values count down to the rounding of the rows' type, and to the floor of a `Head`.
    Log-probabilities are logits but for a shift of each row.  A softcap c is taken off by
    c artanh(l / c) at the shift at which what is left lies nearest to the span of W; a row that no
    shift brings between -c and c is wholly outside.

    Examples
    --------
    >>> import numpy as np, matrixbayes as mb
    >>> rng = np.random.default_rng(0)
    >>> W, hidden = rng.normal(size=(30, 4)), rng.normal(size=(20, 4))
    >>> found = mb.span_of(hidden @ W.T, W, kind="logits")
    >>> found.rank, bool(found.outside.max() < 1e-20)
    (4, True)
    """
    head = None if W is None else head_or_matrix(W, rows, refused={"a bias", "a softcap"})
    log_probs, _ = as_log_probs(rows, kind)
    if not np.isfinite(log_probs).all():
        i, j = np.argwhere(~np.isfinite(log_probs))[0]
        raise ValueError(f"row {i} has an exact zero at column {j}: no logits give it")
    w = None if head is None else _checked(head, log_probs.shape[1])
    centred = log_probs.astype(np.float64)
    never = np.zeros(len(centred), dtype=bool)
    basis = None
    if isinstance(head, Head) and w is not None:
        if head.cap is not None:
            basis = np.linalg.qr(w)[0]
            centred, never = _uncapped(centred, head, basis)
        centred /= head.scale
        centred -= 0.0 if head.bias is None else head.bias
    if basis is None:
        centred -= centred.mean(axis=1, keepdims=True)
    values: Floats = np.linalg.svd(centred[~never], compute_uv=False).astype(np.float64)
    precision = float(np.finfo(log_probs.dtype).eps)
    scale = float(np.abs(log_probs).max(initial=0.0)) * np.sqrt(centred.size)
    least = precision * max(max(centred.shape) * values.max(initial=0.0), scale)
    if head is not None:  # the largest singular value of as many numbers of the size of rounding
        noise = floor_of(head, rows) * float(np.sqrt(centred.shape).sum())
        least = max(least, noise / abs(head.scale) if isinstance(head, Head) else noise)
    rank = int((values > least).sum())
    if w is None:
        return SoftmaxSpan(rank, values, None)
    if basis is None:
        basis = np.linalg.qr(w - w.mean(axis=0))[0]
    rest = centred - (centred @ basis) @ basis.T
    size = np.square(centred).sum(axis=1)
    outside = np.square(rest).sum(axis=1) / np.where(size > 0.0, size, 1.0)
    return SoftmaxSpan(rank, values, np.where(never, 1.0, outside))


def _checked(head: Head | Floats, width: int) -> Floats:
    """The matrix of a head for rows of a width, in double precision."""
    w = np.asarray(head.matrix if isinstance(head, Head) else head, dtype=np.float64)
    if w.ndim != 2 or w.shape[0] != width:
        raise ValueError(f"W has shape {w.shape}; it needs ({width}, d)")
    if not np.isfinite(w).all():
        i, j = np.argwhere(~np.isfinite(w))[0]
        raise ValueError(f"W[{i}, {j}] is {w[i, j]}; weights are finite")
    return w


def _uncapped(log_probs: Floats, head: Head, basis: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Rows without the cap, each at its best shift; and which ones no shift brings below it."""
    from scipy.optimize import minimize_scalar

    cap = head.cap
    assert cap is not None
    offset = 0.0 if head.bias is None else head.scale * head.bias
    found, never = np.zeros_like(log_probs), np.zeros(len(log_probs), dtype=bool)
    for i, row in enumerate(log_probs):
        low, high = -cap - row.min(), cap - row.max()
        if not low < high:
            never[i] = True
            continue

        def lifted(shift: float, row: Floats = row) -> Floats:
            inner = np.clip((row + shift) / cap, -1.0 + 1e-15, 1.0 - 1e-15)
            return np.asarray(cap * np.arctanh(inner))

        def share(shift: float, lifted: Any = lifted) -> float:
            z = lifted(shift) - offset
            inside = basis.T @ z
            return 1.0 - float(inside @ inside) / max(float(z @ z), 1e-300)

        trial = low + (high - low) * (
            0.5 - 0.5 * np.cos(np.pi * (np.arange(SHIFTS) + 0.5) / SHIFTS)
        )
        best = int(np.argmin([share(shift) for shift in trial]))
        ends = [low, *trial, high][best : best + 3]
        at = minimize_scalar(
            share, bounds=(ends[0], ends[2]), method="bounded", options={"xatol": 1e-12 * cap}
        )
        found[i] = lifted(float(at.x))
    return found, never
