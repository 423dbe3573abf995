"""Pictures of a text's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._base.drawing.space import cell
from .._base.drawing.ticks import name_axis, whole_numbers
from .._base.style import COLOURS, label, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .view import TokenView

NAMED = 40  # tokens whose names are printed


def token_values(view: TokenView, *, ax: Axes | None = None) -> Axes:
    """A bar for each token of a text; of rows known in part a line reaches to the most.

    Parameters
    ----------
    view
        From `show_tokens`.
    ax
        Where to draw; a new figure without it.
    """
    ax = new_axes(ax, 9.0, 3.4)
    places = np.arange(len(view))
    low, high = view.measured.of(view.value).T
    few = len(view) <= NAMED
    if few:
        ax.bar(places, np.nan_to_num(low), color=COLOURS[0], width=0.8)
    else:
        ax.fill_between(places, np.nan_to_num(low), step="mid", color=COLOURS[0], linewidth=0)
    open_ = np.isfinite(high) & (high > low)
    ax.vlines(places[open_], low[open_], high[open_], color=COLOURS[1], linewidth=1.0)
    name = "KL" if view.value == "kl" else view.value
    title = f"{name[:1].upper()}{name[1:]} along the text"
    tidy(ax, xlabel="token of the text", ylabel=f"{name} ({view.unit})", title=title)
    if few:
        names = [label(token, 12) for token in view.tokens]
        width, height = cell(ax)
        name_axis(ax.xaxis, names, 0.8 * width, 0.4 * height)
        ax.set_xlabel("")
    else:
        whole_numbers(ax.xaxis)
    ax.set_xlim(-0.7, len(view) - 0.3)
    ax.set_ylim(bottom=0.0)
    return ax
