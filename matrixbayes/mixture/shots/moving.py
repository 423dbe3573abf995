"""The pictures of a posterior path that moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..._base.style import COLOURS, GREY, label
from .animation import settle
from .frames import Frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure


def moving_bars(frames: Frames) -> tuple[Figure, Callable[[int], None]]:
    """A figure of bars, and what makes it that of picture i: nothing but bars and words moves."""
    from matplotlib.figure import Figure

    several = len(frames.components) > 1
    figure = Figure(
        layout="constrained",
        figsize=(8.0, 1.5 + 0.34 * max(len(frames.tokens), len(frames.components))),
    )
    axes = figure.subplots(1, 1 + several, squeeze=False)[0]
    places = np.arange(len(frames.tokens))[::-1]
    ax = axes[0]
    bars = ax.barh(places, frames.mean[0], color=COLOURS[0], height=0.62)
    bands = ax.hlines(places, frames.low[0], frames.high[0], color=GREY, linewidth=2.2)
    marks = None
    if frames.own is not None:
        look: dict[str, Any] = {"linestyle": "none", "marker": "o", "color": COLOURS[1]}
        (marks,) = ax.plot(frames.own[0], places, **look)
    ax.set_yticks(places, [label(name) for name in frames.tokens])
    ax.set_xlim(0.0, frames.top)
    model = "" if frames.own is None else "; dots: model"
    ax.set_xlabel(f"posterior mean, {100 * frames.level:g}% band{model}")
    shares = None
    if several:
        rows = np.arange(len(frames.components))[::-1]
        shares = axes[1].barh(rows, frames.weights[0], color=COLOURS[2], height=0.62)
        axes[1].set_yticks(rows, [label(name) for name in frames.components])
        axes[1].set_xlim(0.0, 1.0)
        axes[1].set_xlabel("weight of each component")
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    words = figure.text(0.015, 0.985, "", va="top", fontweight="bold")
    below = figure.text(0.015, 0.02, "", va="bottom", color=GREY, fontsize="small")
    settle(figure, top=0.36, bottom=0.26)

    def draw(i: int) -> None:
        for bar, value in zip(bars, frames.mean[i], strict=True):
            bar.set_width(value)
        ends = zip(frames.low[i], frames.high[i], places, strict=True)
        bands.set_segments([[(a, y), (b, y)] for a, b, y in ends])
        if marks is not None and frames.own is not None:
            marks.set_xdata(frames.own[i])
        if shares is not None:
            for bar, value in zip(shares, frames.weights[i], strict=True):
                bar.set_width(value)
        words.set_text(frames.title(i).replace("$", r"\$"))
        below.set_text(frames.below(i))

    return figure, draw
