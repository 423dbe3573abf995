"""How much of a figure axes have, and how much of it a text takes: all in points.

Contents
    cell, is_alone     the part of a figure that is for axes and what is written around them
    OwnMargins         a layout for figures whose margins nobody has set
    make_room          gives a figure that layout
    shrink, font       how large texts are where there is little room
    extent             the width and height of a text
    fit                a text in few lines, or smaller, or without its middle, as there is room
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from matplotlib import rcParams
from matplotlib.figure import SubplotParams
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine, PlaceHolderLayoutEngine
from matplotlib.textpath import text_to_path

from ..arguments import instance
from ..display import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPARE = 1.04  # hinting makes texts wider at some resolutions
LINE = 1.2  # the height of a line, in sizes of its font
SMALLEST = 5.0  # points of a text that somebody can read
SIZES = (1.0, 0.9, 0.8, 0.7, 0.6)  # a text that has no room gets smaller, in these steps
ROOMY = (20.0, 17.0)  # width and height of a cell, in letters, that has room for all texts
MARGINS = ("left", "right", "bottom", "top", "wspace", "hspace")


class OwnMargins(PlaceHolderLayoutEngine):
    """Constrained layout as long as nobody sets margins: then those hold, and nobody is warned."""

    def __init__(self) -> None:
        super().__init__(adjust_compatible=True, colorbar_gridspec=False)

    def execute(self, fig: Any) -> None:
        """Lay out, unless `subplots_adjust` has."""
        if _untouched(fig):
            for _ in range(1 + any(ax.get_aspect() != "auto" for ax in fig.axes)):
                ConstrainedLayoutEngine().execute(fig)  # a shape that is kept moves what is beside


def _untouched(figure: Any) -> bool:
    """Whether a figure's margins are those of the style."""
    now, usual = figure.subplotpars, SubplotParams()
    return all(getattr(now, side) == getattr(usual, side) for side in MARGINS)


def make_room(ax: Axes) -> None:
    """Give a figure without a layout one that cuts no text, unless its margins are set; and small
    axes small figures along them."""
    size = FontProperties(size=rcParams["xtick.labelsize"]).get_size_in_points()
    if shrink(ax) < 1.0:
        ax.tick_params(labelsize=size * shrink(ax))
    figure = ax.figure.canvas.figure  # of a part of a figure too
    if figure.get_layout_engine() is None and ax.get_subplotspec() and _untouched(figure):
        figure.set_layout_engine(OwnMargins())


def is_alone(ax: Axes) -> bool:
    """Whether a figure is all for these axes."""
    return ax.figure.axes == [ax] and ax.figure is ax.figure.canvas.figure


def cell(ax: Axes) -> tuple[float, float]:
    """Width and height of the part of the figure that is for these axes."""
    points = 72.0 / ax.figure.dpi
    box: Any = ax.figure.bbox
    spec: Any = ax.get_subplotspec()
    if spec is None:  # placed by hand, with some room around
        own = ax.bbox
        return min(1.3 * own.width, box.width) * points, min(1.4 * own.height, box.height) * points
    width, height = box.width * points, box.height * points
    while spec is not None:
        grid = spec.get_gridspec()
        width *= _part(grid.get_width_ratios(), spec.colspan)
        height *= _part(grid.get_height_ratios(), spec.rowspan)
        spec = getattr(grid, "_subplot_spec", None)  # of a grid in a grid
    return width, height


def shrink(ax: Axes) -> float:
    """How much smaller than in the style texts are, where axes have little room for them."""
    size = float(rcParams["font.size"])
    width, height = (room / (n * size) for room, n in zip(cell(ax), ROOMY, strict=True))
    return max(min(1.0, width, height), min(1.0, SMALLEST / size))


def font(ax: Axes) -> float:
    """The size of usual text on these axes."""
    return float(rcParams["font.size"]) * shrink(ax)


def _part(ratios: Sequence[float], span: range) -> float:
    return sum(ratios[i] for i in span) / sum(ratios)


def extent(text: str, size: float, weight: Any = "normal") -> tuple[float, float]:
    """Width and height of a text that is printed at a size."""
    lines = text.replace(r"\$", "$").split("\n")
    family = tuple(rcParams["font.family"])
    width = max(_width(line, size, weight, family) for line in lines)
    return width * SPARE, len(lines) * LINE * size


@lru_cache(maxsize=4096)
def _width(line: str, size: float, weight: Any, family: tuple[str, ...]) -> float:
    style = FontProperties(family=list(family), size=size, weight=weight)
    return float(text_to_path.get_text_width_height_descent(line, style, ismath=False)[0])


def fit(
    text: str, room: float, size: float, weight: Any = "normal", lines: int = 2
) -> tuple[str, float]:
    """A text and its size, so that it is no wider than the room."""
    instance(text, str, "a title or label")
    for scale in SIZES:
        now = max(size * scale, min(size, SMALLEST))
        for wrapped in _wrapped(text, room, now, weight, lines if scale < 1.0 else 2):
            if extent(wrapped, now, weight)[0] <= room:
                return wrapped, now
    if "$" in text.replace(r"\$", ""):  # mathematics of the caller's
        return text, now
    most, shorter = len(text), text
    while most > 4:  # the middle gives way
        most -= max(1, most // 12)
        shorter = printable(text, width=most)
        for wrapped in _wrapped(shorter, room, now, weight, lines):
            if extent(wrapped, now, weight)[0] <= room:
                return wrapped, now
    return shorter, now


def _wrapped(text: str, room: float, size: float, weight: Any, most: int) -> list[str]:
    """A text as it is, and in lines if those are few."""
    if "\n" in text or "$" in text.replace(r"\$", "") or most < 2:
        return [text]
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and extent(longer, size, weight)[0] <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return [text, "\n".join(lines)] if len(lines) <= most else [text]
