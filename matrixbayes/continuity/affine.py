"""Does the map preserve convex combinations?  On N points: is every affine dependency among the
embeddings one among the rows.

Contents
    affine_test     the least-squares fit of rows by an affine map of the embeddings
    AffineTest      its residual, degrees of freedom and permutation p-value
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base import display
from .._base.arguments import generator_of, times
from .._base.typing import Floats
from .embedding import EmbeddingMap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

EXACT = 1e-10  # share of the rows' spread that rounding may leave unexplained
COLUMNS = 1 << 12  # tokens whose rows are in double precision at a time


@dataclass(frozen=True, repr=False)
class AffineTest(display.Shown):
    """How far rows are from an affine map of their embeddings; made by `affine_test`.

    Attributes
    ----------
    residual : float
        Share of the rows' sum of squares (about their mean) that no affine map explains, 0 to 1.
    expected_residual : float
        Its mean where rows have nothing to do with embeddings.
    p_value : float
        Share of permutations of the rows (their own order counted) with a residual as small.
    n_rows, rank, degrees_of_freedom : int
        N, the rank of the centred embeddings, and N - 1 - rank: the affine dependencies tested.
    """

    residual: float
    expected_residual: float
    p_value: float
    n_rows: int
    rank: int
    degrees_of_freedom: int

    @property
    def exact(self) -> bool:
        """Whether the map is affine on these points, but for rounding."""
        return self.residual <= EXACT

    def verdict(self) -> str:
        """What follows, in a sentence."""
        of = f"{self.degrees_of_freedom} affine dependencies among {self.n_rows} embeddings"
        if self.exact:
            return f"The rows keep all {of}: convex combinations are preserved here."
        if self.p_value <= 0.05:
            return (
                f"The rows do not keep the {of}: {self.residual:.1%} of their spread is no affine "
                f"map of the embeddings, though less than chance leaves (p = {self.p_value:.3g}).  "
                "Convex combinations are not preserved."
            )
        return (
            f"The rows do not keep the {of}: {self.residual:.1%} of their spread is no affine map "
            f"of the embeddings, as it would be if they were unrelated (p = {self.p_value:.3g})."
        )

    def to_pandas(self) -> pd.DataFrame:
        """One row, with a column for each attribute, and ``exact``.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame({**asdict(self), "exact": self.exact})

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """What no affine map explains, beside what chance leaves."""
        from .plots import affine_test  # needs matplotlib

        return affine_test(self, ax=ax)

    def _table(self) -> display.Table:
        word = "holds" if self.exact else "does not hold"
        title = f"AffineTest: convexity preservation {word}.  {self.verdict()}"
        lines = [
            ["unexplained share of the rows", self.residual],
            ["where rows know nothing of embeddings", self.expected_residual],
            ["p of a permutation", self.p_value],
            ["rows", self.n_rows],
            ["rank of the embeddings", self.rank],
        ]
        return display.Table(title, ["", ""], lines, sentence=True)


def affine_test(
    embeddings: ArrayLike,
    rows: Any,
    *,
    kind: str | None = None,
    n_permutations: int = 199,
    rng: np.random.Generator | int | None = None,
) -> AffineTest:
    """Test the hypothesis that convex combinations of embeddings give those of rows.

    On a convex set f(a x + (1 - a) y) = a f(x) + (1 - a) f(y) for all points holds if and only if f
    is affine (after Dalal & Misra, 2024).  On N points it says that every affine dependency among
    the embeddings is one among the rows.

    Parameters
    ----------
    embeddings : array_like of shape (N, d)
    rows : NextTokenRows, or array_like of shape (N, V)
    kind : {"logits", "log_probs", "probs"}, optional
        What a bare array of rows holds.
    n_permutations : int
        Permutations of the rows behind the p-value.
    rng : numpy.random.Generator or int, optional

    Returns
    -------
    AffineTest

    Raises
    ------
    ValueError
        There are no degrees of freedom: the embeddings have no affine dependency, and whatever the
        rows are, some affine map goes through them.  The message says how many rows are needed.

    Examples
    --------
    >>> import numpy as np
    >>> from matrixbayes.continuity import affine_test
    >>> e = np.random.default_rng(0).random((20, 2))
    >>> rows = np.column_stack([e / 3, 1 - e.sum(axis=1) / 3])     # an affine map
    >>> found = affine_test(e, rows, kind="probs", rng=0)
    >>> found.exact, found.degrees_of_freedom, found.p_value
    (True, 17, 0.005)
    """
    map = EmbeddingMap(embeddings, rows, kind=kind)
    n = len(map)
    basis = _basis(map.embeddings)
    rank = basis.shape[1]
    freedom = n - 1 - rank
    if freedom < 1:
        raise ValueError(
            f"{n} embeddings of rank {rank} have no affine dependency, so that any rows at all are "
            f"an affine map of them: the hypothesis says nothing here.  It needs at least "
            f"{rank + 2 - n} more row{'' if rank + 2 - n == 1 else 's'} in the same span"
            + (f", or embeddings of at most {n - 2} dimensions" if n > 2 else "")
        )
    gram = _gram(map.log_probs)
    total = float(np.trace(gram))
    if total <= 0.0:
        raise ValueError("all rows are equal: any constant map explains them")

    def unexplained(order: NDArray[np.intp]) -> float:
        moved = basis[order]
        return 1.0 - float(np.sum(moved * (gram @ moved))) / total

    generator, n_permutations = generator_of(rng), times(n_permutations, "n_permutations", 0)
    own = max(_residual(map.log_probs, basis) / total, 0.0)
    others = [unexplained(generator.permutation(n)) for _ in range(n_permutations)]
    as_small = sum(other <= own + 1e-12 for other in others)
    return AffineTest(
        residual=own,
        expected_residual=freedom / (n - 1),
        p_value=(1 + as_small) / (1 + n_permutations),
        n_rows=n,
        rank=rank,
        degrees_of_freedom=freedom,
    )


def _basis(embeddings: NDArray[np.floating]) -> Floats:
    """Orthonormal columns (N, rank) that span the centred embeddings."""
    centred = embeddings.astype(np.float64)
    if len(centred) == 0:
        return np.zeros((0, 0))
    centred -= centred.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    precision = float(np.finfo(embeddings.dtype).eps)
    scale = float(np.abs(embeddings).max(initial=0.0)) * np.sqrt(centred.size)
    keep = s > max(centred.shape) * precision * max(s.max(initial=0.0), 1e-3 * scale)
    return u[:, keep]


def _centred(log_probs: NDArray[np.floating], cut: slice) -> Floats:
    p: Floats = np.exp(log_probs[:, cut].astype(np.float64))
    p -= p.mean(axis=0)
    return p


def _gram(log_probs: NDArray[np.floating]) -> Floats:
    """Inner products (N, N) of the centred rows."""
    n, width = log_probs.shape
    gram = np.zeros((n, n))
    for start in range(0, width, COLUMNS):
        p = _centred(log_probs, slice(start, start + COLUMNS))
        gram += p @ p.T
    return gram


def _residual(log_probs: NDArray[np.floating], basis: Floats) -> float:
    """Sum of squares of what the basis leaves of the rows; no difference of large numbers."""
    total = 0.0
    for start in range(0, log_probs.shape[1], COLUMNS):
        p = _centred(log_probs, slice(start, start + COLUMNS))
        total += float(np.square(p - basis @ (basis.T @ p)).sum())
    return total
