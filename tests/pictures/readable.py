"""Whether the texts of a figure can be read: none is cut, none lies on another, all are seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text

from matrixbayes._base.drawing.inks import _contrast

SLACK = 0.012  # inches that the boxes of two texts may share: a pixel or so


def texts(figure: Figure) -> Iterator[tuple[Any, Text]]:
    """Every text that is drawn, with the axes that it is of."""
    for text in figure.texts:
        yield None, text
    for ax in figure.axes:
        if not ax.get_visible():
            continue
        yield from ((ax, text) for text in (ax.title, ax._left_title, ax._right_title, *ax.texts))
        names = ("xaxis", "yaxis", "taxis", "laxis", "raxis")
        sides = [getattr(ax, name) for name in names if hasattr(ax, name)]
        if hasattr(ax, "taxis"):  # whose own x and y are not drawn
            sides = sides[2:]
        for axis in sides:
            yield ax, axis.label
            yield ax, axis.offsetText
            for tick in axis._update_ticks():
                yield from ((ax, label) for label in (tick.label1, tick.label2))
        legend = ax.get_legend()
        if legend is not None:
            yield from ((ax, text) for text in (*legend.get_texts(), legend.get_title()))


def faults(figure: Figure, dpi: float) -> list[str]:
    """What cannot be read in a figure as it is saved."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    slack = SLACK * dpi
    drawn = [
        (ax, text, text.get_window_extent(renderer))
        for ax, text in texts(figure)
        if text.get_visible() and text.get_text().strip()
    ]
    assert drawn, "there is no text"
    found = []
    for ax, text, box in drawn:
        words = text.get_text()
        whole = figure.bbox
        if (
            box.x0 < whole.x0 - slack
            or box.x1 > whole.x1 + slack
            or box.y0 < whole.y0 - slack
            or box.y1 > whole.y1 + slack
        ):
            found.append(f"cut: {words!r}")
        if ax is not None and text is ax.yaxis.offsetText:
            found.append(f"offset: {words!r}")
        behind = figure.get_facecolor()
        if ax is not None and text not in ax.texts and _contrast(text.get_color(), behind) < 2.5:
            found.append(f"not seen: {words!r}")
    for i, (_, one, a) in enumerate(drawn):
        for _, other, b in drawn[i + 1 :]:
            wide = min(a.x1, b.x1) - max(a.x0, b.x0)
            high = min(a.y1, b.y1) - max(a.y0, b.y0)
            if min(wide, high) > slack:
                found.append(f"{one.get_text()!r} lies on {other.get_text()!r}")
    for ax in figure.axes:
        legend, data = ax.get_legend(), ax.get_window_extent()
        if legend is not None:
            box = legend.get_window_extent()
            if min(box.x1, data.x1) - max(box.x0, data.x0) > slack and (
                min(box.y1, data.y1) - max(box.y0, data.y0) > slack
            ):
                found.append("the legend lies on the data")
        behind = ax.get_facecolor()
        for line in ax.get_lines():
            colour = line.get_color()
            if to_rgba(colour)[3] > 0.9 and _contrast(colour, behind) < 1.4:
                found.append(f"a line {colour} is not seen on {behind}")
        if min(data.width, data.height) < 0.2 * dpi and ax.get_label() != "<colorbar>":
            found.append(f"axes of {data.width / dpi:.2f} by {data.height / dpi:.2f} inches")
    return found


def assert_readable(figure: Figure, dpi: float = 100.0) -> None:
    """Fail, and say which texts cannot be read."""
    found = faults(figure, dpi)
    assert not found, "\n".join(found)
