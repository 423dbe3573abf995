"""What every picture shares: colours, line styles, markers, labels that are safe to print.

Colours are Okabe & Ito's, safe for the colour-blind; the i-th line style and the i-th marker go
with the i-th colour, so that a picture reads in grey.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

try:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator
except ImportError as error:  # pragma: no cover - depends on the installation
    raise ImportError("plots need matplotlib: pip install 'matrixbayes[plot]'") from error

from .display import show
from .tokens import column_of

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
STYLES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (3, 1)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#767676"
MOST = len(COLOURS)
WIDE = 20.0  # a ratio from which an axis is logarithmic


def new_axes(ax: Axes | None, width: float = 7.0, height: float = 4.0) -> Axes:
    """The axes given, or those of a new figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height), layout="constrained")[1]


def label(text: object, width: int = 18) -> str:
    """A token as matplotlib may print it: no mathematics, no hidden legend entry."""
    line = show(text, width=width).replace("$", r"\$")
    return f"“{line}”" if line.startswith("_") else line


def token_name(tokens: Sequence[str] | None, column: int, width: int = 18) -> str:
    """The name of a column, or its number where tokens have no names."""
    return label(column if tokens is None else tokens[column], width)


def token_columns(
    tokens: Sequence[str] | None, chosen: Iterable[str | int] | None, score: Any
) -> list[int]:
    """The columns of the tokens to draw: those asked for, or the highest by `score`."""
    if chosen is None:
        return [int(j) for j in np.argsort(-np.asarray(score), kind="stable")[: min(4, len(score))]]
    if isinstance(chosen, str):
        chosen = [chosen]
    names = None if tokens is None else tuple(tokens)
    found = [column_of(token, names, len(score), "what is drawn") for token in chosen]
    if not 1 <= len(found) <= MOST:
        raise ValueError(
            f"asked to draw {len(found)} tokens: between 1 and {MOST} can be told apart"
        )
    return found


def tidy(ax: Axes, *, xlabel: str, ylabel: str, title: str = "") -> None:
    """Labels, a light grid and no box."""
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    if title:
        ax.set_title(title, loc="left", fontsize="medium", fontweight="bold")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="0.88", linewidth=0.7)
    ax.set_axisbelow(True)


def legend(ax: Axes, handles: Sequence[Any] | None = None) -> None:
    """The legend to the right of the data."""
    places: dict[str, Any] = {} if handles is None else {"handles": handles}
    ax.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, fontsize="small", **places
    )


def entry(label: str, **look: Any) -> Line2D:
    """An entry of a legend by itself."""
    return Line2D([], [], label=label, **look)


def whole_numbers(axis: Axis) -> None:
    """Ticks at whole numbers only."""
    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def shot_axis(ax: Axes, last: int) -> None:
    """Whole numbers of shots along the x axis."""
    whole_numbers(ax.xaxis)
    ax.set_xlim(-0.02 * max(last, 1), last * 1.02 + 0.02)


def every(n: int) -> int:
    """Of `n` points along a line, each how manieth gets a marker: about 25 in all."""
    return max(1, round(n / 25))
