"""A coloured text as HTML, and as plain text with bars below it.

Contents
    Scale, scale_of    from values to levels of colour
    as_html            spans of inline styles: what a sanitiser leaves of them can be read
    as_text            two lines for each line of the text
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._base.display import number
from .._base.typing import Floats
from .pieces import columns_of, visible

if TYPE_CHECKING:
    from .view import TokenView

BARS = " ▁▂▃▄▅▆▇█"
LEVELS = len(BARS) - 1
WIDE = 20.0  # a ratio from which a scale is logarithmic
# Okabe and Ito's; half transparent, so that the page's own ink stays legible on light and dark.
COLOURS = {
    "surprise": "213,94,0",
    "entropy": "0,114,178",
    "concentration": "0,158,115",
    "kl": "204,121,167",
}
STRONGEST = 0.62


class Scale(NamedTuple):
    """From values to levels 1 to 8; larger values than the highest are of the last."""

    low: float
    high: float
    log: bool

    def levels(self, values: Floats) -> list[int]:
        """0 where there is no value."""
        ends = np.array([self.low, self.high])
        with np.errstate(divide="ignore", invalid="ignore"):
            x, (low, high) = (np.log(values), np.log(ends)) if self.log else (values, ends)
            share = (x - low) / (high - low) if high > low else np.zeros(len(values))
            found = 1 + np.floor(np.clip(share, 0.0, 1.0) * LEVELS)
        return [0 if np.isnan(level) else min(int(level), LEVELS) for level in found]


def scale_of(values: Floats, value: str) -> Scale:
    """The scale of some values: from 0, but for concentrations, of which only differences show."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Scale(0.0, 1.0, False)
    if value == "concentration":
        low, high = float(finite.min()), float(finite.max())
        return Scale(low, high, low > 0.0 and high > WIDE * low)
    least = 1e-6 if value == "kl" else 1.0  # what is all but certain is not to look surprising
    return Scale(0.0, max(float(np.quantile(finite, 0.98)), least), False)


def as_html(view: TokenView, most: int) -> str:
    """Static HTML."""
    first = next((t for t, v in enumerate(view.values) if np.isfinite(v)), 0)
    start = max(0, first - most // 10)
    shown = range(start, min(len(view), start + most))
    levels = view.scale.levels(view.values)
    spans = [_span(view, t, levels[t]) for t in shown]
    return (
        '<div style="margin:.4em 0;color:inherit;max-width:60em">'
        f'<div style="font-weight:600">{html.escape(view.title)}</div>'
        f"{_legend(view)}"
        '<div dir="auto" style="white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.9;'
        f'unicode-bidi:isolate">{_left_out(start)}{"".join(spans)}'
        f"{_left_out(len(view) - shown.stop)}</div></div>"
    )


def _left_out(n: int) -> str:
    """How many tokens are not shown."""
    if n <= 0:
        return ""
    return f'<span style="opacity:.7"> … {n} token{"" if n == 1 else "s"} not shown … </span>'


def _span(view: TokenView, t: int, level: int) -> str:
    """One token."""
    text = html.escape(visible(view.pieces[t])).replace("\n", "<br/>")
    look = f' style="{_tint(view.value, level)}"' if level else ' style="opacity:.7"'
    return f'<span title="{_attribute(view.hover(t))}"{look}>{text}</span>'


def _attribute(text: str) -> str:
    """A text of several lines inside quotes."""
    return html.escape(text).replace("\n", "&#10;")


def _tint(value: str, level: int) -> str:
    share = STRONGEST * (level - 1) / (LEVELS - 1)
    return f"background-color:rgba({COLOURS[value]},{share:.2f})"


def _legend(view: TokenView) -> str:
    """The scale and its unit."""
    low, high, log = view.scale
    boxes = "".join(
        f'<span style="{_tint(view.value, level)};padding:0 .5em"></span>'
        for level in range(1, LEVELS + 1)
    )
    finite = view.values[np.isfinite(view.values)]
    above = " and more" if len(finite) and finite.max() > high else ""
    name = "KL" if view.value == "kl" else view.value
    least = " (the least it can be)" if _bounded(view) else ""
    words = f"{name} in {view.unit}{least}{', on a logarithmic scale' if log else ''}"
    return (
        f'<div style="font-size:.9em;margin:.3em 0 .5em">{_end(low)} {boxes} '
        f"{_end(high)}{above}: {words}</div>"
    )


def _end(value: float) -> str:
    """An end of the scale."""
    return "0" if value == 0.0 else number(value)


def _bounded(view: TokenView) -> bool:
    low, high = view.measured.of(view.value).T
    return bool((low != high)[np.isfinite(low)].any())


def as_text(view: TokenView, most: int | None, width: int = 88) -> str:
    """Plain text of at most so many lines."""
    scale = view.scale
    name = "KL" if view.value == "kl" else view.value
    low, high = _end(scale.low), _end(scale.high)
    keys = f"{BARS[1]} {low} to {BARS[-1]} {high} {view.unit} of {name}"
    if _bounded(view):
        keys += ", at least"
    lines = [view.title, keys]
    rows = _wrapped(view, width)
    room = len(rows) if most is None else (most - len(lines)) // 2
    shown = rows if len(rows) <= room else rows[: room - 1]
    for text, bars, _ in shown:
        lines += [text.rstrip(), bars.rstrip()]
    left = len(view) - (shown[-1][2] if shown else 0)
    if len(shown) < len(rows):
        lines.append(f"... and {left} token{'' if left == 1 else 's'} more: .text() has all")
    return "\n".join(lines)


def _wrapped(view: TokenView, width: int) -> list[tuple[str, str, int]]:
    """Lines of text, the bars below each, and the tokens up to its end."""
    rows: list[tuple[str, str, int]] = []
    text = bars = ""
    used = 0
    for t, level in enumerate(view.scale.levels(view.values)):
        for part in visible(view.pieces[t]).splitlines(keepends=True):
            piece, size = part.rstrip("\n"), columns_of(part.rstrip("\n"))
            if used and used + size > width:
                rows.append((text, bars, t))
                text, bars, used = "", "", 0
            text, bars, used = text + piece, bars + BARS[level] * size, used + size
            if part.endswith("\n"):
                rows.append((text, bars, t + 1))
                text, bars, used = "", "", 0
    if text:
        rows.append((text, bars, len(view)))
    return rows
