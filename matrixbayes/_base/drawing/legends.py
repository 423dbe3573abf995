"""Legends that have room: beside the axes or below them, smaller or shorter where it is little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from .inks import ink
from .space import SMALLEST, cell, fit, font, is_alone, shrink

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BESIDE = {True: (0.45, 0.8), False: (0.36, 0.7)}  # parts of the cell, by whether axes are alone
BELOW = (0.85, 0.34)
ENOUGH = 0.85  # a legend that must be smaller than this is tried below the axes


def legend(ax: Axes, handles: Sequence[Any] | None = None, *, below: bool = False) -> None:
    """The legend to the right of the data, or below where there is no room or it is asked for."""
    if handles is None:
        handles, labels = ax.get_legend_handles_labels()
    else:
        labels = [str(handle.get_label()) for handle in handles]
    if not handles:
        return
    size = FontProperties(size="small").get_size_in_points() * shrink(ax)
    least = min(1.0, SMALLEST / size)
    width, height = cell(ax)
    right, top = BESIDE[is_alone(ax)]
    scale, place = _scale(ax, handles, labels, size, right * width, top * height), 0
    if below:
        scale = 0.0
    if scale < ENOUGH:
        for columns in range(1, min(4, len(handles)) + 1):
            room = (BELOW[0] * width, BELOW[1] * height)
            other = _scale(ax, handles, labels, size, *room, ncols=columns)
            if other > scale:
                scale, place = other, columns
    if scale < least:  # some entries give way
        columns = max(place, 1)
        keep = max(1, int(len(handles) * scale / least) - columns)
        rest = Line2D([], [], linestyle="none")
        more = f"and {len(handles) - keep} others"
        handles, labels = [*handles[:keep], rest], [*labels[:keep], more]
        scale = least
    look: dict[str, Any] = {"fontsize": size * scale, "labelcolor": ink(ax, outside=True)}
    if place:
        where, down = _under(ax)
        box = _put(ax, handles, labels, ncols=place, **look, **where).get_window_extent()
        _shorten(ax, height - down - box.height * 72.0 / ax.figure.dpi)
    else:
        _put(ax, handles, labels, bbox_to_anchor=(1.01, 1.0), **look)


def _scale(
    ax: Axes,
    handles: Sequence[Any],
    labels: Sequence[str],
    size: float,
    width: float,
    height: float,
    **how: Any,
) -> float:
    """How large the legend can be in some room, at most 1."""
    box = _put(ax, handles, labels, fontsize=size, **how).get_window_extent()
    points = 72.0 / ax.figure.dpi
    return float(min(1.0, width / (box.width * points), height / (box.height * points)))


def _put(ax: Axes, handles: Sequence[Any], labels: Sequence[str], **how: Any) -> Any:
    look: dict[str, Any] = {"loc": "upper left", "frameon": False, "borderaxespad": 0.0}
    look |= {"borderpad": 0.0, "handletextpad": 0.6, "columnspacing": 1.2}
    return ax.legend(handles, labels, **look | how)


def _shorten(ax: Axes, room: float) -> None:
    """Fit the label of the y axis to what a legend below leaves of a cell's height."""
    axis, above = ax.yaxis, 2.5 * font(ax)  # the title
    size = float(axis.label.get_fontsize())
    room = max(0.9 * (room - above), 4.0 * size)
    text, size = fit(axis.get_label_text().replace("\n", " "), room, size, lines=3)
    axis.set_label_text(text, fontsize=size)


def _under(ax: Axes) -> tuple[dict[str, Any], float]:
    """A place below what is written below the axes, from where there is text beside them; and how
    far below it is."""
    box: Any = ax.get_window_extent()
    sides = [getattr(ax, f"{side}axis") for side in "tlr" if hasattr(ax, f"{side}axis")]
    written = [side.get_tightbbox() for side in sides or (ax.xaxis, ax.yaxis)]
    bottom = min([box.y0, *(w.y0 for w in written if w is not None)])
    start = min([box.x0, *(w.x0 for w in written if w is not None)])
    down, left = 0.08 + (box.y0 - bottom) / ax.figure.dpi, (box.x0 - start) / ax.figure.dpi
    move = ScaledTranslation(-left, -down, ax.figure.dpi_scale_trans)
    return {"bbox_to_anchor": (0.0, 0.0), "bbox_transform": ax.transAxes + move}, 72.0 * down
