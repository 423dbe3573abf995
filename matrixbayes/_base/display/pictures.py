"""Small pictures that results of many kinds share: axes in, axes out.

Contents
    named     a figure with its range for each of some names, as many as there is room for
    lines     figures along an axis, with their bands
    shares    for each value, the share of figures that are no larger
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..drawing.space import cell
from ..drawing.ticks import log_axis, name_axis, whole_numbers
from ..style import FONT, GREY, MOST, STYLES, legend, new_axes, palette, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..typing import Floats

MOST_NAMES = 24
MOST_POINTS = 1000  # of a curve
WIDE = 100.0  # a ratio from which figures are told apart on a logarithmic axis only
FURNITURE = 7.0  # heights of a letter, of title, ticks and label
FAR = 1e3  # by how much a bar may be longer than its figure
ROW = 1.7  # heights of a letter, from a name to the next


def named(
    names: Sequence[str],
    values: Any,
    *,
    low: Any = None,
    high: Any = None,
    marked: Collection[int] = (),
    line: float | None = None,
    xlabel: str,
    title: str,
    ax: Axes | None = None,
) -> Axes:
    """A point for each name, from the top, with a bar from `low` to `high`.

    Parameters
    ----------
    names
        Labels that matplotlib may print.
    values, low, high
        A number for each name; bars are optional.
    marked
        Which ones to set apart, in colour and shape.
    line
        Where to draw a line from top to bottom.
    """
    values = np.asarray(values, dtype=np.float64)
    ends = [values if end is None else np.asarray(end, dtype=np.float64) for end in (low, high)]
    from matplotlib import rcParams

    ax = new_axes(ax, 7.0, 1.3 + ROW * FONT / 72.0 * min(len(names), MOST_NAMES))
    width, height = cell(ax)
    size = float(rcParams["font.size"])
    room = (height - FURNITURE * size) / (ROW * size)
    n = min(len(names), int(np.clip(room, 2, MOST_NAMES)))
    at, colours = np.arange(n), palette(ax)
    ax.hlines(at, ends[0][:n], ends[1][:n], color=colours[0], linewidth=1.5)
    for chosen, marker, colour in ((False, "o", colours[0]), (True, "D", colours[1])):
        here = [i for i in range(n) if (i in marked) is chosen]
        if here:
            ax.plot(values[here], here, marker, color=colour, linestyle="none")
    ax.set_ylim(n - 0.5, -0.5)
    if line is not None:
        ax.axvline(line, color=GREY, linestyle="--", linewidth=1.2)
    drawn = np.concatenate([values[:n], *(end[:n] for end in ends), [] if line is None else [line]])
    drawn = drawn[np.isfinite(drawn)]
    left_out = "" if n == len(names) else f" (the first {n} of {len(names)})"
    tidy(ax, xlabel=xlabel, ylabel="", title=title + left_out)
    _figures(ax, drawn)
    known = values[:n][np.isfinite(values[:n])]
    if ax.get_xscale() == "log" and known.min(initial=1.0) > 0.0:  # bars may begin next to 0
        ax.set_xlim(left=max(0.5 * drawn.min(), known.min(initial=np.inf) / FAR))
    ax.grid(visible=False, axis="y")
    name_axis(ax.yaxis, list(names[:n]), 0.7 * height, 0.4 * width)
    return ax


def lines(
    x: Any,
    curves: Mapping[str, Any],
    *,
    bands: Mapping[str, tuple[Any, Any]] | None = None,
    xlabel: str,
    ylabel: str,
    title: str,
    ax: Axes | None = None,
) -> Axes:
    """Curves by name, each with its band if there is one; a name that is empty has no entry."""
    ax = new_axes(ax, 7.0, 3.6)
    x = np.asarray(x)
    few, colours = len(x) <= 30, palette(ax)
    for i, (name, y) in enumerate(curves.items()):
        look: dict[str, Any] = {"color": colours[i % MOST]}
        if bands is not None and name in bands:
            ax.fill_between(x, *bands[name], alpha=0.2, linewidth=0, **look)
        ax.plot(x, y, linestyle=STYLES[i % MOST], marker="o" if few else None, **look,
                label=name or "_")  # fmt: skip
    tidy(ax, xlabel=xlabel, ylabel=ylabel, title=title)
    if np.issubdtype(x.dtype, np.integer):
        whole_numbers(ax.xaxis)
    if any(curves):
        legend(ax)
    return ax


def shares(
    values: Mapping[str, Any],
    *,
    xlabel: str,
    title: str,
    of: str = "rows",
    ax: Axes | None = None,
) -> Axes:
    """The share of figures that are no larger, by name: however many, each counts."""
    ax = new_axes(ax, 7.0, 3.6)
    seen: list[Floats] = []
    colours = palette(ax)
    for i, (name, figures) in enumerate(values.items()):
        finite = np.sort(np.asarray(figures, dtype=np.float64).ravel())
        finite = finite[np.isfinite(finite)]
        if not len(finite):
            continue
        seen.append(finite)
        share = np.arange(1, len(finite) + 1) / len(finite)
        keep = np.unique(np.linspace(0, len(finite) - 1, MOST_POINTS).round().astype(np.intp))
        ax.step(
            finite[keep], share[keep], where="post", label=name or "_",
            color=colours[i % MOST], linestyle=STYLES[i % MOST],
            marker="o" if len(finite) < 3 else None,
        )  # fmt: skip
    ax.set_ylim(0.0, 1.05)
    tidy(ax, xlabel=xlabel, ylabel=f"share of {of}", title=title)
    _figures(ax, np.concatenate(seen) if seen else np.zeros(0))
    if any(values):
        legend(ax)
    return ax


def _figures(ax: Axes, drawn: Floats) -> None:
    """The x axis: logarithmic where figures span decades, else with as many as have room."""
    if len(drawn) and drawn.min() > 0.0 and drawn.max() > WIDE * drawn.min():
        log_axis(ax.xaxis)
    else:
        ax.locator_params(axis="x", nbins=max(2, int(0.5 * cell(ax)[0] / (6.0 * FONT))))
