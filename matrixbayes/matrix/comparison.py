"""A language model held against the ideal matrix, row by row.

Contents
    compare       divergences of a model's rows from those of a TransitionMatrix
    Comparison    the result
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base import display
from .._base.numbers import plain
from .._base.tokens import columns_in, order_of
from .._base.typing import Floats, Ids
from .._base.weights import shares_of, weighted_mean
from ..rows import NextTokenRows, as_log_probs
from ..rows.kl import entropy_nats, kl_nats
from .matrix import TransitionMatrix

CELLS = 1 << 22  # entries of dense rows worked on at a time
# Bins of the model's probabilities, four to a factor of ten; the first begins at 0.
EDGES = np.concatenate([[0.0], np.logspace(-6.0, 0.0, 25)])


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(display.Shown):
    """How far a model's rows are from the matrix's; made by `compare`.

    Attributes
    ----------
    contexts : tuple of ndarray
        The n contexts, as whole as they were given.
    kl : ndarray of shape (n,)
        KL(matrix || model) in nats: what the model loses on text from the matrix.
    reverse_kl : ndarray of shape (n,)
        KL(model || matrix) in nats.
    total_variation, hellinger : ndarray of shape (n,)
        Distances from 0 to 1.
    seen : ndarray of shape (n,)
        How often the matrix has seen the context; where it is 0, the row is the prior's.
    weights : ndarray of shape (n,)
        Of the rows in what follows; they sum to 1.
    matrix_bits, model_bits : float
        Mean entropy of the matrix's rows, and mean cross-entropy of the model on them, in bits.
    bins : ndarray of shape (25, 3)
        Calibration.  For all tokens whose probability in the model is in a bin (four bins to a
        factor of ten, the first from 0 to 1e-6): its mean in the model, its mean in the matrix,
        and how many tokens a row are in the bin.  Bins without tokens have means of NaN.
    """

    contexts: tuple[Ids, ...]
    kl: Floats
    reverse_kl: Floats
    total_variation: Floats
    hellinger: Floats
    seen: NDArray[Any]
    weights: Floats
    matrix_bits: float
    model_bits: float
    bins: Floats
    tokens: tuple[str, ...] | None

    def __len__(self) -> int:
        return len(self.kl)

    @property
    def gap_bits(self) -> float:
        """Cross-entropy gap: bits a token that the model loses on text from the matrix."""
        return self.model_bits - self.matrix_bits

    def worst(self, n: int = 10) -> NDArray[np.intp]:
        """The numbers of the rows with the largest KL(matrix || model), the worst first."""
        there = np.flatnonzero(self.weights)
        return there[np.argsort(-self.kl[there], kind="stable")[:n]]

    def _table(self) -> display.Table:
        n = len(self)
        title = (
            f"Comparison of {n} row{'' if n == 1 else 's'}: cross-entropy "
            f"{display.number(self.model_bits)} bits where the matrix has "
            f"{display.number(self.matrix_bits)}, a gap of {display.number(self.gap_bits)}"
        )
        lines = []
        for name, values in (
            ("KL(matrix || model), bits", self.kl / np.log(2.0)),
            ("KL(model || matrix), bits", self.reverse_kl / np.log(2.0)),
            ("total variation", self.total_variation),
            ("Hellinger", self.hellinger),
        ):
            there = values[self.weights > 0.0]
            mean = weighted_mean(values, self.weights)
            lines.append([name, mean, float(np.median(there)), float(there.max())])
        return display.Table(title, ["", "mean", "median", "largest"], lines)


def compare(
    matrix: TransitionMatrix,
    rows: Any,
    contexts: Sequence[ArrayLike] | None = None,
    *,
    kind: str | None = None,
    weights: ArrayLike | None = None,
) -> Comparison:
    """Hold a model's next-token distributions against the rows of a matrix.

    Parameters
    ----------
    matrix : TransitionMatrix
        The ideal.
    rows : NextTokenRows, or array_like of shape (n, V)
        The model's rows, over the matrix's tokens.
    contexts : sequence of array_like of int, optional
        What each row comes after, from the beginning of its document or at least `order` tokens;
        by default what `rows` says.
    kind : {"logits", "log_probs", "probs"}, optional
        What a bare array holds.
    weights : array_like of shape (n,), optional
        Of the rows in means; all equal by default.  A row of weight 0 is in no mean, whatever its
        divergence.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        Shapes or tokens do not match, or the rows say nothing of their contexts.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> matrix = mb.TransitionMatrix(1, n_tokens=2).update([0, 1, 0, 1, 0, 0])
    >>> found = mb.compare(matrix, [[0.4, 0.6], [0.5, 0.5]], [[0], [1]], kind="probs")
    >>> found.total_variation.round(6)
    array([0.  , 0.25])
    >>> round(found.gap_bits, 6)
    0.094361
    """
    log_probs, names = as_log_probs(rows, kind)
    n, width = log_probs.shape
    if width != matrix.n_tokens:
        raise ValueError(f"rows have {width} columns, the matrix {matrix.n_tokens} tokens")
    order = order_of(
        names, matrix.tokens, "the names of the rows' tokens are not those of the matrix's"
    )
    log_probs = columns_in(log_probs, order)
    if contexts is None:
        if not isinstance(rows, NextTokenRows):
            raise ValueError("give contexts: what each of the rows comes after")
        contexts = [rows.context(i) for i in range(n)]
    if len(contexts) != n:
        raise ValueError(f"there are {len(contexts)} contexts and {n} rows")
    shares = shares_of(weights, n)
    whole = tuple(plain(each, f"context {i}") for i, each in enumerate(contexts))
    found, bins = np.zeros((5, n)), np.zeros((len(EDGES) - 1, 3))
    seen = np.zeros(n, dtype=np.asarray(matrix.n_observed).dtype)
    for length, members in _by_length(matrix, whole):
        ids = np.stack([whole[i][len(whole[i]) - length :] for i in members])
        seen[members] = matrix.totals(_led(matrix, ids))
        step = max(1, CELLS // width)
        for start in range(0, len(members), step):
            some = members[start : start + step]
            p = matrix.predict(_led(matrix, ids[start : start + step]))
            log_q = np.asarray(log_probs[some], dtype=np.float64)
            found[:, some] = _divergences(p, log_q)
            _calibrate(bins, p, np.exp(log_q), shares[some])
    filled = bins[:, 2] > 0.0
    bins[:, :2] = np.where(
        filled[:, np.newaxis],
        bins[:, :2] / np.where(filled, bins[:, 2], 1.0)[:, np.newaxis],
        np.nan,
    )
    kl, reverse_kl, variation, hellinger, entropy = found
    matrix_bits = float(shares @ entropy / np.log(2.0))
    return Comparison(
        contexts=whole,
        kl=kl,
        reverse_kl=reverse_kl,
        total_variation=variation,
        hellinger=hellinger,
        seen=seen,
        weights=shares,
        matrix_bits=matrix_bits,
        model_bits=matrix_bits + float(weighted_mean(kl, shares) / np.log(2.0)),
        bins=bins,
        tokens=matrix.tokens,
    )


def _by_length(
    matrix: TransitionMatrix, contexts: Sequence[Ids]
) -> list[tuple[int, NDArray[np.intp]]]:
    """The numbers of the contexts of each length, `order` at most."""
    for i, context in enumerate(contexts):
        if context.ndim != 1:
            raise ValueError(f"context {i} has shape {context.shape}; it must be (length,)")
    lengths = np.array([min(len(context), matrix.order) for context in contexts])
    return [(int(length), np.flatnonzero(lengths == length)) for length in np.unique(lengths)]


def _led(matrix: TransitionMatrix, contexts: Ids) -> Ids:
    """Where documents begin with begin tokens, these before contexts that begin with theirs."""
    missing = len(matrix.begin) - contexts.shape[1]
    if missing > 0:
        begin = np.full((len(contexts), missing), matrix.n_tokens)
        return np.concatenate([begin, contexts], axis=1).astype(np.int64)
    return contexts


def _divergences(p: Floats, log_q: Floats) -> tuple[Floats, ...]:
    """KL both ways, total variation and Hellinger of rows (n, V), and the entropy of p."""
    q, log_p = np.exp(log_q), np.log(p)
    return (
        kl_nats(p, log_p, q, log_q),
        kl_nats(q, log_q, p, log_p),
        0.5 * np.abs(p - q).sum(axis=1),
        np.sqrt(0.5 * np.square(np.sqrt(p) - np.sqrt(q)).sum(axis=1)),
        entropy_nats(p, log_p),
    )


def _calibrate(bins: Floats, p: Floats, q: Floats, shares: Floats) -> None:
    """Add rows to the sums of each bin."""
    place = np.clip(np.searchsorted(EDGES, q.ravel(), side="right") - 1, 0, len(bins) - 1)
    weight = np.repeat(shares, p.shape[1])
    for column, values in enumerate((weight * q.ravel(), weight * p.ravel(), weight)):
        bins[:, column] += np.bincount(place, values, minlength=len(bins))
