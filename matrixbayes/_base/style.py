"""What every picture shares: colours, line styles, markers, and axes that are readable.

Colours are Okabe & Ito's, safe for the colour-blind; the i-th line style and the i-th marker go
with the i-th colour, so that a picture reads in grey.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes as AxesOfMatplotlib
from matplotlib.figure import FigureBase
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D

from .arguments import instance
from .drawing.inks import faint, ink
from .drawing.legends import legend as legend  # for all who draw
from .drawing.names import label as label
from .drawing.names import token_name as token_name
from .drawing.space import cell, fit, font, is_alone, make_room, shrink
from .drawing.ticks import plain_axis, whole_numbers
from .tokens import column_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
STYLES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (3, 1)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#767676"
MOST = len(COLOURS)
WIDE = 20.0  # a ratio from which an axis is logarithmic
FONT = 10.0  # the size that figures are made for


def new_size(width: float, height: float) -> tuple[float, float]:
    """The size of a new figure in inches: larger where the style's font is."""
    scale = max(1.0, float(rcParams["font.size"]) / FONT)
    return width * scale, height * scale


def new_axes(ax: Axes | None, width: float = 7.0, height: float = 4.0) -> Axes:
    """The axes given, or those of a new figure."""
    if ax is not None:
        make_room(instance(ax, AxesOfMatplotlib, "ax"))
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(figsize=new_size(width, height), layout="constrained")[1]


def new_figure(figure: Any, width: float, height: float, **options: Any) -> Any:
    """The figure given, or part of one, or a new one."""
    if figure is not None:
        return instance(figure, FigureBase, "figure")
    from matplotlib import pyplot

    return pyplot.figure(figsize=new_size(width, height), **options)


def palette(ax: Axes) -> tuple[str, ...]:
    """`COLOURS`, the last of them being that of text where the axes are dark."""
    return (*COLOURS[:-1], ink(ax))


def token_columns(
    tokens: Sequence[str] | None,
    chosen: Iterable[str | int] | None,
    score: Any,
    *,
    seen: Sequence[int] = (),
    most: int = 4,
) -> list[int]:
    """The columns of the tokens to draw: those asked for; otherwise those seen, and of others the
    highest by `score`, until there are `most`; all by their score."""
    if chosen is None:
        score = np.asarray(score)
        columns, times = np.unique(np.asarray(seen, dtype=np.intp), return_counts=True)
        colours = MOST if len(score) <= MOST else MOST - 1  # one is for all others
        found = columns[np.lexsort((-score[columns], -times))][:colours].tolist()
        order = np.argsort(-score, kind="stable")[: most + len(found)]
        found += [j for j in order.tolist() if j not in found][: max(0, most - len(found))]
        return sorted(found[:colours], key=lambda j: (-score[j], j))
    if isinstance(chosen, str):
        chosen = [chosen]
    names = None if tokens is None else tuple(tokens)
    found = [column_of(token, names, len(score), "what is drawn") for token in chosen]
    if not 1 <= len(found) <= MOST:
        raise ValueError(
            f"asked to draw {len(found)} tokens: between 1 and {MOST} can be told apart"
        )
    return found


def tidy(ax: Axes, *, xlabel: str, ylabel: str, title: str = "", pad: float | None = None) -> None:
    """Labels that have room, a light grid, numbers without an offset, and no box."""
    width, height = cell(ax)
    part = 0.85 if is_alone(ax) else 0.65
    for axis, text, room in ((ax.xaxis, xlabel, width), (ax.yaxis, ylabel, height)):
        size = FontProperties(size=rcParams["axes.labelsize"]).get_size_in_points()
        words, size = fit(text, part * room, size * shrink(ax), lines=3)
        axis.set_label_text(words, fontsize=size)
        plain_axis(axis)
    if title:
        put_title(ax, title, pad)
    # a label at the left end must not touch the lowest one of the other axis
    out = rcParams["xtick.major.size"] if rcParams["xtick.direction"] == "out" else 0.0
    ax.tick_params(axis="x", pad=max(3.5, 0.7 * font(ax) - out))
    ax.spines[["top", "right"]].set_visible(False)
    if not rcParams["axes.grid"]:
        ax.grid(axis="y", color=faint(ax), linewidth=0.7)
    ax.set_axisbelow(True)


def put_title(ax: Axes, title: str, pad: float | None = None) -> None:
    """A title on the left, in lines that have room."""
    part = 0.85 if is_alone(ax) else 0.65
    words, size = fit(title, part * cell(ax)[0], font(ax), "bold")
    ax.set_title(words, loc="left", fontsize=size, fontweight="bold", pad=pad)


def entry(label: str, **look: Any) -> Line2D:
    """An entry of a legend by itself."""
    return Line2D([], [], label=label, **look)


def shot_axis(ax: Axes, last: int) -> None:
    """Whole numbers of shots along the x axis."""
    whole_numbers(ax.xaxis)
    ax.set_xlim(-0.02 * max(last, 1), last * 1.02 + 0.02)


def every(n: int) -> int:
    """Of `n` points along a line, each how manieth gets a marker: about 25 in all."""
    return max(1, round(n / 25))
