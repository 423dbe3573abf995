"""Rows by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..._base import display
from ..._base.arguments import instance, is_whole, shown
from ..._base.typing import Floats
from ...rows import NextTokenRows, divergences
from ...rows.kl import entropy_nats

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class LayerRows(display.Shown, Mapping[int, NextTokenRows]):
    """Next-token rows at layers of a model: how its prediction comes about, layer by layer.

    A mapping from the number of a layer to its rows, rising; ``rows[-1]`` are those of the model's
    last layer.  Each value is complete `NextTokenRows`, for fits, tests and reports of their own.

    Parameters
    ----------
    rows : mapping of int to NextTokenRows
        Of the same prompts, positions and columns.  ``meta["n_layers"]`` of each says how many
        layers the model has; without it the last one here is the last.

    Attributes
    ----------
    layers : tuple of int
        The numbers of the layers, rising.
    final : NextTokenRows
        The rows of the last of them.

    Raises
    ------
    ValueError
        There are no rows, or they are of different shapes or columns.

    See Also
    --------
    collect : makes them, with ``layers=``.
    matrixbayes.plot.layers : draws them.

    Examples
    --------
    >>> import numpy as np
    >>> import matrixbayes as mb
    >>> even, sure = (mb.NextTokenRows(np.log([[p, 1 - p]])) for p in (0.5, 0.9))
    >>> rows = mb.LayerRows({0: even, 1: sure})
    >>> rows.entropy().round(3), rows.divergence().round(3)
    (array([[0.693],
           [0.325]]), array([[0.368],
           [0.   ]]))
    """

    def __init__(self, rows: Mapping[int, NextTokenRows]) -> None:
        self._rows = dict(sorted(instance(rows, Mapping, "rows").items()))
        if not self._rows:
            raise ValueError("there are no rows of any layer")
        self.layers = tuple(self._rows)
        self.final = self._rows[self.layers[-1]]
        for layer, own in self._rows.items():
            if own.shape != self.final.shape or own.tokens != self.final.tokens:
                raise ValueError(
                    f"the rows of layer {layer} are {own.shape}, those of layer {self.layers[-1]} "
                    f"{self.final.shape}: they need the same rows and columns"
                )

    def __getitem__(self, layer: int) -> NextTokenRows:
        if is_whole(layer) and layer < 0:
            layer += 1 + int(self.final.meta.get("n_layers", self.layers[-1]))
        if layer not in self._rows:
            known = ", ".join(map(str, self.layers))
            raise KeyError(f"no rows of layer {shown(layer)}; there are those of {known}")
        found: NextTokenRows = self._rows[layer]
        return found

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def entropy(self) -> Floats:
        """The entropy of each row at each layer in nats, (layers, N)."""
        return np.stack([_by_row(own, own, entropy=True) for own in self._rows.values()])

    def divergence(self) -> Floats:
        """KL(final row || the row at each layer) in nats, (layers, N)."""
        return np.stack([_by_row(self.final, own) for own in self._rows.values()])

    def to_pandas(self) -> pd.DataFrame:
        """A row for each layer and row: entropy, and divergence from the last layer, in nats.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        n = len(self.final)
        return display.frame(
            {
                "layer": np.repeat(self.layers, n),
                "row": np.tile(np.arange(n), len(self)),
                "entropy": self.entropy().ravel(),
                "divergence": self.divergence().ravel(),
            }
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """What rows say at each layer; `plot.layers`."""
        from .plots import layers  # needs matplotlib

        return layers(self, ax=ax)

    def _table(self) -> display.Table:
        bits = [values.mean(axis=1) / np.log(2.0) for values in (self.entropy(), self.divergence())]
        n, width = self.final.shape
        title = f"LayerRows: {len(self)} layers, {n} rows over {width} tokens each"
        rows = []
        for i, own in enumerate(self._rows.values()):
            mean = np.exp(own.log_probs[0].astype(np.float64)) if n else np.zeros(width)
            shown = display.top(mean, own.tokens, room=55) if n else ""
            rows.append([self.layers[i], bits[0][i], bits[1][i], shown])
        columns = ["layer", "entropy (bits)", "to the last (bits)", "row 0"]
        return display.Table(title, columns, rows, series=True)


def _by_row(p: NextTokenRows, q: NextTokenRows, *, entropy: bool = False) -> Floats:
    """Entropies of p, or divergences from p to q, one row after another: rows may be long."""
    found = np.empty(len(p))
    for i, (a, b) in enumerate(zip(p.log_probs, q.log_probs, strict=True)):
        a = a.astype(np.float64)
        found[i] = entropy_nats(np.exp(a), a) if entropy else divergences(a, b.astype(np.float64))
    return found
