"""A language model held against the ideal matrix, or against another model, row by row.

Contents
    compare       divergences of rows from those of a TransitionMatrix, or from other rows
    Comparison    the result
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base import display
from .._base.typing import Floats, Ids
from .._base.weights import shares_of, weighted_mean
from ..rows import PartialRows
from ..rows.kl import entropy_nats, kl_nats
from .comparing.bounds import ComparisonBounds, bounds_of
from .comparing.sides import MatrixSide, PartialSide, Sides, checked_sides

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

CELLS = 1 << 22  # entries of dense rows worked on at a time
# Bins of the model's probabilities, four to a factor of ten; the first begins at 0.
EDGES = np.concatenate([[0.0], np.logspace(-6.0, 0.0, 25)])


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(display.Shown):
    """How far a model's rows are from the matrix's; made by `compare`.

    Where it compared other things, "the matrix" stands for the first of them and "the model" for
    the second.

    Attributes
    ----------
    contexts : tuple of ndarray
        The n contexts, as whole as they were given; none where two sides of rows do not know them.
    kl : ndarray of shape (n,)
        KL(matrix || model) in nats: what the model loses on text from the matrix.
    reverse_kl : ndarray of shape (n,)
        KL(model || matrix) in nats.
    total_variation, hellinger : ndarray of shape (n,)
        Distances from 0 to 1.
    seen : ndarray of shape (n,) or None
        How often the matrix has seen the context; where it is 0, the row is the prior's.  None
        where there is no matrix.
    weights : ndarray of shape (n,)
        Of the rows in what follows; they sum to 1.
    matrix_bits, model_bits : float
        Mean entropy of the matrix's rows, and mean cross-entropy of the model on them, in bits.
    bins : ndarray of shape (25, 3)
        Calibration.  For all tokens whose probability in the model is in a bin (four bins to a
        factor of ten, the first from 0 to 1e-6): its mean in the model, its mean in the matrix,
        and how many tokens a row are in the bin.  Bins without tokens have means of NaN.
    tokens : tuple of str or None
        The names of the columns.
    top_agrees : ndarray of bool of shape (n,)
        Whether some token is the most probable one of both.
    lumped : ndarray of shape (n, 2) or None
        With ``shared=True`` the probability of the matrix, and of the model, on tokens that the
        other does not have: one column, ``<other>``, of everything above.
    names : tuple of str
        What the two sides are.
    """

    contexts: tuple[Ids, ...]
    kl: Floats
    reverse_kl: Floats
    total_variation: Floats
    hellinger: Floats
    seen: NDArray[Any] | None
    weights: Floats
    matrix_bits: float
    model_bits: float
    bins: Floats
    tokens: tuple[str, ...] | None
    top_agrees: NDArray[np.bool_] | None = None
    lumped: Floats | None = None
    names: tuple[str, str] = ("matrix", "model")

    def __len__(self) -> int:
        return len(self.kl)

    @property
    def gap_bits(self) -> float:
        """Cross-entropy gap: bits a token that the model loses on text from the matrix."""
        return self.model_bits - self.matrix_bits

    @property
    def agreement(self) -> float | None:
        """The share of rows, by weight, whose most probable token is the same."""
        return None if self.top_agrees is None else float(self.weights @ self.top_agrees)

    def worst(self, n: int = 10) -> NDArray[np.intp]:
        """The numbers of the rows with the largest KL(matrix || model), the worst first."""
        there = np.flatnonzero(self.weights)
        return there[np.argsort(-self.kl[there], kind="stable")[:n]]

    def to_pandas(self) -> pd.DataFrame:
        """A row for each context: KL in nats, distances, agreement, weight.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        columns: dict[str, Any] = {
            "context": [tuple(map(int, context)) for context in self.contexts],
            "kl": self.kl,
            "reverse_kl": self.reverse_kl,
            "total_variation": self.total_variation,
            "hellinger": self.hellinger,
        }
        if len(self.contexts) != len(self):  # of rows, which may come after anything
            del columns["context"]
        if self.top_agrees is not None:
            columns["top_agrees"] = self.top_agrees
        return display.frame({**columns, "weight": self.weights})

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """One side's probabilities against the other's; `plot.calibration`."""
        from .plots import calibration  # needs matplotlib

        return calibration(self, ax=ax)

    def _table(self) -> display.Table:
        n, (first, second) = len(self), self.names
        title = (
            f"Comparison of {n} row{'' if n == 1 else 's'}: cross-entropy "
            f"{display.number(self.model_bits)} bits where the {first} has "
            f"{display.number(self.matrix_bits)}, a gap of {display.number(self.gap_bits)}"
        )
        lines = []
        for name, values in (
            (f"KL({first} || {second}), bits", self.kl / np.log(2.0)),
            (f"KL({second} || {first}), bits", self.reverse_kl / np.log(2.0)),
            ("total variation", self.total_variation),
            ("Hellinger", self.hellinger),
        ):
            there = values[self.weights > 0.0]
            mean = weighted_mean(values, self.weights)
            lines.append([name, mean, float(np.median(there)), float(there.max())])
        words = []
        if self.agreement is not None:
            words.append(f"most probable token the same: {display.percent(self.agreement)} of rows")
        if self.lumped is not None:
            mass = (display.percent(share) for share in self.weights @ self.lumped)
            words.append(
                f"over the {len(self.tokens or ()) - 1} tokens of both and one column for all "
                f"others, {' and '.join(mass)} of the mass: KL are lower bounds"
            )
        return display.Table(title, ["", "mean", "median", "largest"], lines, words=words)


@overload
def compare(
    matrix: PartialRows,
    rows: Any,
    contexts: Sequence[ArrayLike] | None = ...,
    *,
    kind: str | None = ...,
    weights: ArrayLike | None = ...,
    shared: bool = ...,
) -> ComparisonBounds: ...
@overload
def compare(
    matrix: Any,
    rows: PartialRows,
    contexts: Sequence[ArrayLike] | None = ...,
    *,
    kind: str | None = ...,
    weights: ArrayLike | None = ...,
    shared: bool = ...,
) -> ComparisonBounds: ...
@overload
def compare(
    matrix: Any,
    rows: Any,
    contexts: Sequence[ArrayLike] | None = ...,
    *,
    kind: str | None = ...,
    weights: ArrayLike | None = ...,
    shared: bool = ...,
) -> Comparison: ...
def compare(
    matrix: Any,
    rows: Any,
    contexts: Sequence[ArrayLike] | None = None,
    *,
    kind: str | None = None,
    weights: ArrayLike | None = None,
    shared: bool = False,
) -> Comparison | ComparisonBounds:
    """Hold a model's next-token distributions against the rows of a matrix, or of another model.

    Parameters
    ----------
    matrix : TransitionMatrix, Interpolation, NextTokenRows, PartialRows, or array_like (n, V)
        The ideal, or what is taken for it: a model in 16 bits, say.
    rows : NextTokenRows, PartialRows, array_like of shape (n, V), or TransitionMatrix
        The model's rows, over the same tokens: the same model in 4 bits, say.
    contexts : sequence of array_like, optional
        What each row comes after, from the beginning of its document or at least `order` tokens:
        names, or numbers of the first matrix's tokens; by default what rows say.  Two sides of
        rows that say different things are refused; where neither says anything, row i is held
        against row i.
    kind : {"logits", "log_probs", "probs"}, optional
        What bare arrays hold.
    weights : array_like of shape (n,), optional
        Of the rows in means; all equal by default.  A row of weight 0 is in no mean, whatever its
        divergence.
    shared : bool
        Of two vocabularies, take the tokens whose texts are in both, and all others of each side
        for one, whose mass is said.  Distances are lower bounds then, by the data-processing
        inequality, of those between the distributions of the next token's text.  Contexts are the
        same text, cut by each tokenizer: a matrix needs its own (`contexts`).  Of rows known in
        part nothing is lumped: they may have any text that they do not list.

    Returns
    -------
    Comparison
        Or `ComparisonBounds`, where rows are known in part.

    Raises
    ------
    ValueError
        Shapes, tokens or contexts do not match, or the rows say nothing of their contexts.

    See Also
    --------
    bits_per_byte : models of any vocabularies, by what they make of the same texts.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> matrix = mb.TransitionMatrix(1, n_tokens=2).update([0, 1, 0, 1, 0, 0])
    >>> found = mb.compare(matrix, [[0.4, 0.6], [0.5, 0.5]], [[0], [1]], kind="probs")
    >>> found.total_variation.round(6)
    array([0.  , 0.25])
    >>> round(found.gap_bits, 6)
    0.094361

    Rows over two vocabularies:

    >>> import numpy as np
    >>> one = mb.NextTokenRows(np.log([[0.5, 0.3, 0.2]]), tokens=(" the", " a", " then"))
    >>> other = mb.NextTokenRows(np.log([[0.2, 0.6, 0.2]]), tokens=(" a", " the", " th"))
    >>> found = mb.compare(one, other, shared=True)
    >>> found.tokens, found.lumped
    ((' the', ' a', '<other>'), array([[0.2, 0.2]]))
    """
    sides = checked_sides(matrix, rows, contexts, kind, shared)
    n = sides.n
    shares = shares_of(weights, n)
    step = max(1, CELLS // max(sides.first.width, sides.second.width))
    cuts = [slice(start, min(start + step, n)) for start in range(0, n, step)]
    if isinstance(sides.first, PartialSide) or isinstance(sides.second, PartialSide):
        return bounds_of(sides, shares, cuts)
    found, bins = np.zeros((5, n)), np.zeros((len(EDGES) - 1, 3))
    agrees, lumped = np.zeros(n, dtype=bool), np.zeros((n, 2))
    for cut in cuts:
        p, log_p, q, log_q, agrees[cut] = sides.block(cut)
        found[:, cut] = _divergences(p, log_p, q, log_q)
        lumped[cut] = np.stack([p[:, -1], q[:, -1]], axis=1)
        _calibrate(bins, p, q, shares[cut])
    filled = bins[:, 2] > 0.0
    bins[:, :2] = np.where(
        filled[:, np.newaxis],
        bins[:, :2] / np.where(filled, bins[:, 2], 1.0)[:, np.newaxis],
        np.nan,
    )
    kl, reverse_kl, variation, hellinger, entropy = found
    matrix_bits = float(shares @ entropy / np.log(2.0))
    return Comparison(
        contexts=sides.contexts,
        kl=kl,
        reverse_kl=reverse_kl,
        total_variation=variation,
        hellinger=hellinger,
        seen=_seen(sides),
        weights=shares,
        matrix_bits=matrix_bits,
        model_bits=matrix_bits + float(weighted_mean(kl, shares) / np.log(2.0)),
        bins=bins,
        tokens=sides.tokens,
        top_agrees=agrees,
        lumped=lumped if sides.shared else None,
        names=sides.names,
    )


def _seen(sides: Sides) -> NDArray[Any] | None:
    """How often the first matrix has seen each context."""
    matrices = (side for side in (sides.first, sides.second) if isinstance(side, MatrixSide))
    return next((seen for each in matrices if (seen := each.seen()) is not None), None)


def _divergences(p: Floats, log_p: Floats, q: Floats, log_q: Floats) -> tuple[Floats, ...]:
    """KL both ways, total variation and Hellinger of rows (n, V), and the entropy of p."""
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
