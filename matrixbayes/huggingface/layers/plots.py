"""Pictures of `LayerRows`: how a prediction comes about from layer to layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..._base.arguments import having, probability
from ..._base.drawing.names import token_names
from ..._base.drawing.ticks import whole_numbers
from ..._base.style import (
    MARKERS,
    STYLES,
    every,
    legend,
    new_axes,
    new_size,
    palette,
    tidy,
    token_columns,
)
from ..._base.typing import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .layer_rows import LayerRows

What = Literal["probability", "entropy", "divergence"]
TITLES = {
    "probability": "Probability of tokens",
    "entropy": "Entropy",
    "divergence": "Distance to the final row",
}
UNITS = {
    "probability": "probability",
    "entropy": "bits",
    "divergence": "KL(final || layer) in bits",
}
LEAST = 5  # rows from which a band says something


def layers(
    rows: LayerRows,
    what: What = "probability",
    *,
    tokens: str | int | Iterable[str | int] | None = None,
    level: float = 0.8,
    ax: Axes | None = None,
) -> Axes:
    """What rows say at each layer: a line, and a band that holds most of the rows.

    The line is the mean of probabilities, and the median of entropies and divergences, which are
    infinite where a layer rules out what comes in the end.

    Parameters
    ----------
    rows : LayerRows
        From ``collect(..., layers=...)``.
    what : {"probability", "entropy", "divergence"}
        Of tokens; of each row in bits; or KL(final row || row of the layer) in bits.
    tokens : sequence of str or int, optional
        Whose probability, at most 7; by default the four that are most probable in the end.
    level : float
        The share of rows that a band holds; there is none for fewer than 5 rows.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure without it.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        There are no rows, or no such token.
    """
    having(rows, "rows", "layers", "final")
    if what not in TITLES:
        raise ValueError(f"what={what!r} is not one of {', '.join(map(repr, TITLES))}")
    level = probability(level, "level", inside=True)
    if not len(rows.final):
        raise ValueError("there are no rows to draw")
    lines = _lines(rows, what, [tokens] if isinstance(tokens, int) else tokens)
    ax = new_axes(ax)
    x, colours = np.array(rows.layers), palette(ax)
    step, middle = every(len(x)), np.mean if what == "probability" else np.median
    for i, (name, values) in enumerate(lines):
        look: dict[str, Any] = {"color": colours[i], "linestyle": STYLES[i], "linewidth": 1.8}
        look |= {"marker": MARKERS[i], "markersize": 4.5, "markevery": step}
        ax.plot(x, middle(values, axis=1), label=name, **look)
        if values.shape[1] >= LEAST:
            edges = np.quantile(values, [0.5 - 0.5 * level, 0.5 + 0.5 * level], axis=1)
            ax.fill_between(x, *edges, color=colours[i], alpha=0.15, linewidth=0)
    title = TITLES[what]
    if len(rows.final) >= LEAST:
        title += f": {middle.__name__}, {100 * level:g}% of {len(rows.final)} rows"
    tidy(ax, xlabel="layer", ylabel=UNITS[what], title=title)
    whole_numbers(ax.xaxis)
    ax.margins(x=0.02)
    if what == "probability":
        ax.set_ylim(top=min(1.02, ax.get_ylim()[1]))
        legend(ax)
    ax.set_ylim(bottom=0.0)
    return ax


def layers_figure(
    rows: LayerRows,
    *,
    tokens: str | int | Iterable[str | int] | None = None,
    level: float = 0.8,
) -> Figure:
    """The three pictures of `layers` above each other, as one figure.

    Parameters
    ----------
    rows, tokens, level
        As for `layers`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    having(rows, "rows", "layers", "final")
    from matplotlib import pyplot

    size = new_size(7.0, 8.4)
    figure, axes = pyplot.subplots(3, 1, figsize=size, sharex=True, layout="constrained")
    for what, ax in zip(TITLES, axes, strict=True):
        layers(rows, what, tokens=tokens, level=level, ax=ax)  # type: ignore[arg-type]
    for ax in axes[:-1]:
        ax.set_xlabel("")
    return figure


def _lines(
    rows: LayerRows, what: What, tokens: str | Iterable[str | int] | None
) -> list[tuple[str, Floats]]:
    """Names and values (layers, N) of what is drawn."""
    if what == "entropy":
        return [("entropy", rows.entropy() / np.log(2.0))]
    if what == "divergence":
        return [("divergence", rows.divergence() / np.log(2.0))]
    mean = np.zeros(rows.final.n_tokens)
    for row in rows.final.log_probs:
        mean += np.exp(row, dtype=np.float64)
    columns = token_columns(rows.final.tokens, tokens, mean)
    names = token_names(rows.final.tokens, columns)
    return [
        (
            name,
            np.stack([np.exp(own.log_probs[:, column], dtype=np.float64) for own in rows.values()]),
        )
        for name, column in zip(names, columns, strict=True)
    ]
