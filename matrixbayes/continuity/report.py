"""What `check_continuity` found, in numbers, in words and as a picture."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._base import display
from .._base.numbers import reals
from .._base.typing import Floats
from .affine import AffineTest
from .embedding import Pairs

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


QUANTILES = (0.5, 0.9, 0.99)
TOP = 4
EQUAL = {"float32": 1e-6, "float64": 1e-12}  # rows no further apart are equal but for rounding
SHOWN = 56  # characters of a text, the last ones: they are what the row comes after


@dataclass(frozen=True, eq=False, repr=False)
class ContinuityReport:
    """How smooth a map was found to be; made by `check_continuity`.

    Attributes
    ----------
    n_rows : int
    pairs : Pairs
        What was looked at, the nearest embeddings first.
    all_pairs : bool
        Whether those are all, not a sample.
    neighbours : Pairs
        Each row and its nearest.
    delta, modulus : ndarray of shape (m,)
        The modulus of continuity: the largest distance between rows of points at most delta apart.
    band : ndarray of shape (2, m) or None
        Where the median curve of fresh samples of as many rows is, at each delta by itself; from 0
        to the largest distance there is where too few pairs are so near to tell.
    band_begins : float or None
        The smallest delta at which it tells; infinite where it nowhere does.
    affine : AffineTest, str or None
        The test of convexity preservation, or why it was refused; None where it was left out.
    """

    n_rows: int
    pairs: Pairs
    all_pairs: bool
    neighbours: Pairs
    delta: Floats
    modulus: Floats
    band: Floats | None
    level: float
    affine: AffineTest | str | None
    tokens: tuple[str, ...] | None
    texts: tuple[str, ...] | None
    log_probs: NDArray[np.floating] = field(repr=False)
    band_begins: float | None = None

    # -- numbers ------------------------------------------------------------------------

    @cached_property
    def _finite_ratios(self) -> Floats:
        """row / embedding distance of pairs that are not at one point."""
        apart = self.pairs.embedding_distance > 0.0
        return self.pairs.row_distance[apart] / self.pairs.embedding_distance[apart]

    @property
    def lipschitz(self) -> float:
        """The largest ratio of distances seen: no constant below it holds."""
        return float(self._finite_ratios.max()) if len(self._finite_ratios) else float("nan")

    def lipschitz_quantiles(self, shares: Any = QUANTILES) -> Floats:
        """Quantiles of the ratios of distances."""
        asked = reals(shares, "shares")
        if len(self._finite_ratios) == 0:
            return np.full(asked.shape, np.nan)
        found: Floats = np.quantile(self._finite_ratios, asked)
        return found

    @property
    def local_over_global(self) -> float:
        """The median ratio among neighbours over that among all pairs: well above 1, the map is
        rougher near by than far apart suggests."""
        near = self.neighbours.ratios()
        near = near[(self.neighbours.embedding_distance > 0.0)]
        whole = float(np.median(self._finite_ratios)) if len(self._finite_ratios) else 0.0
        return float(np.median(near)) / whole if len(near) and whole > 0.0 else float("nan")

    @cached_property
    def discontinuities(self) -> NDArray[np.intp]:
        """Numbers of the pairs with equal embeddings and unequal rows."""
        return np.flatnonzero((self.pairs.embedding_distance == 0.0) & ~self._equal_rows)

    @property
    def _equal_rows(self) -> NDArray[np.bool_]:
        """Which pairs have rows that rounding may have made unequal."""
        return self.pairs.row_distance <= EQUAL[self.log_probs.dtype.name]

    def worst(self, n: int = 10) -> list[dict[str, Any]]:
        """The pairs with the largest ratio of distances, discontinuities first.

        Returns
        -------
        list of dict
            With first, second, embedding_distance, row_distance, ratio, and for both rows the text
            (where known) and the most probable tokens.
        """
        ratios = self.pairs.ratios()
        ratios[(self.pairs.embedding_distance == 0.0) & self._equal_rows] = 0.0
        order = np.lexsort((-self.pairs.row_distance, -ratios))[:n]
        found = []
        for k in order.tolist():
            i, j = int(self.pairs.first[k]), int(self.pairs.second[k])
            entry: dict[str, Any] = {
                "first": i,
                "second": j,
                "embedding_distance": float(self.pairs.embedding_distance[k]),
                "row_distance": float(self.pairs.row_distance[k]),
                "ratio": float(ratios[k]),
            }
            for name, row in (("first", i), ("second", j)):
                if self.texts is not None:
                    entry[f"{name}_text"] = self.texts[row]
                entry[f"{name}_top"] = self._top(row)
            found.append(entry)
        return found

    def _top(self, row: int) -> str:
        p = np.exp(self.log_probs[row].astype(np.float64))
        return display.top(p, self.tokens, TOP, room=100)

    # -- words ------------------------------------------------------------------------

    def verdict(self) -> list[str]:
        """What the data allow to say, a sentence each."""
        of = "all pairs" if self.all_pairs else f"{len(self.pairs):,} of the pairs"
        rows, embeddings = (
            name.replace("_", " ") for name in (self.pairs.metric, self.pairs.embedding_metric)
        )
        words = [f"{self.n_rows} rows, {of}: {rows} between rows, {embeddings} between embeddings."]
        torn = len(self.discontinuities)
        if torn:
            words.append(
                f"The map is not a function of these embeddings: {torn} pair"
                f"{'' if torn == 1 else 's'} with equal embeddings and unequal rows."
            )
        if len(self._finite_ratios) == 0:
            words.append("No two of the embeddings differ: there is nothing to say of distances.")
        else:
            median, high, most = map(display.number, self.lipschitz_quantiles())
            words.append(
                "Distances between rows per unit of distance between embeddings: "
                f"{median} in the median, {high} at 90 %, {most} at 99 %, "
                f"{display.number(self.lipschitz)} at most.  No smaller constant is a Lipschitz "
                "constant; points between these may need a larger one."
            )
        if self.band_begins is not None:
            words.append(self._of_band(self.band_begins))
        local = self.local_over_global
        if np.isfinite(local):
            words.append(
                f"Among nearest neighbours the ratio is {display.number(local)} times that of "
                "pairs at large: " + _of_locality(local)
            )
        if isinstance(self.affine, AffineTest):
            words.append(self.affine.verdict())
        elif self.affine is not None:
            words.append(f"Convexity preservation was not tested: {self.affine}.")
        return words

    def _of_band(self, begins: float) -> str:
        """What the band is of, and where there is none."""
        share = f"{100 * self.level:g} %"
        if not np.isfinite(begins):
            return f"There are too few pairs for a {share} band of the modulus of continuity."
        near = float(self.pairs.embedding_distance.min())
        return (
            f"The {share} band is of the median modulus of {self.n_rows} fresh rows and begins at "
            f"{display.number(begins)}: too few pairs are nearer to tell it there, and none is "
            f"nearer than {display.number(near)}."
        )

    def _table(self) -> display.Table:
        columns = ["", "ratio", "embeddings", "rows", "first", "second"]
        lines = []
        for k, entry in enumerate(self.worst(10)):
            names = [_end(entry.get(f"{side}_text", entry[side])) for side in ("first", "second")]
            distances = [entry["ratio"], entry["embedding_distance"], entry["row_distance"]]
            lines.append([k + 1, *distances, *names])
        return display.Table("the steepest pairs", columns, lines)

    def __repr__(self) -> str:
        first, *others = self.verdict()
        words = [sentence.split(".  ")[0].rstrip(".") for sentence in others]
        table = self._table()
        few = table.rows[:2]  # what is said matters more
        table = table._replace(title=f"ContinuityReport: {first}", rows=few, words=words)
        return table.text()

    def _repr_html_(self) -> str:
        words = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self.verdict())
        tops = [
            [k + 1, entry["first_top"], entry["second_top"]]
            for k, entry in enumerate(self.worst(10))
        ]
        beside = display.Table("their most probable tokens", ["", "first", "second"], tops)
        return words + self._table().html() + beside.html()

    def to_pandas(self) -> pd.DataFrame:
        """Every pair that was looked at, a line each, the nearest embeddings first."""
        import pandas as pd

        return pd.DataFrame(
            {
                "first": self.pairs.first,
                "second": self.pairs.second,
                "embedding_distance": self.pairs.embedding_distance,
                "row_distance": self.pairs.row_distance,
                "ratio": self.pairs.ratios(),
            }
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Distances of all pairs, with the modulus of continuity on them; `plot.continuity`."""
        from .plots import continuity  # needs matplotlib

        return continuity(self, ax=ax)


def _end(text: Any) -> Any:
    """The last characters of a text."""
    return text if not isinstance(text, str) or len(text) <= SHOWN else "…" + text[1 - SHOWN :]


def _of_locality(ratio: float) -> str:
    if ratio > 2.0:
        return "near by, the map is steeper than far apart suggests, or the embeddings are noisy."
    if ratio < 0.5:
        return "near by, the map is flatter than far apart."
    return "near by as far apart."
