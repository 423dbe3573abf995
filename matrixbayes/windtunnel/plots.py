"""A picture of a `WindTunnelScore`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._base.arguments import having
from .._base.drawing.ticks import log_axis, whole_numbers
from .._base.style import COLOURS, MARKERS, STYLES, WIDE, every, legend, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from . import WindTunnelScore


def wind_tunnel(score: WindTunnelScore, *, ax: Axes | None = None) -> Axes:
    """A model against exact Bayes by position: both entropies, and KL with its standard error.

    Parameters
    ----------
    score
        From `windtunnel.score`.
    ax
        Where to draw; a new figure without it.

    Returns
    -------
    Axes
        All are bits; the axis is logarithmic where the KL would vanish beside the entropies.  A KL
        that is infinite is marked at the upper edge.
    """
    having(score, "score", "bayes_entropy", "positions")
    at, endless = score.positions, np.isposinf(score.kl[score.positions])
    ax = new_axes(ax, 7.5, 4.0)
    kl = np.where(endless, np.nan, score.kl[at])
    values = (score.bayes_entropy[at], score.model_entropy[at], kl)
    names = ("entropy of exact Bayes", "entropy of the model", "KL(Bayes || model)")
    most = kl[~endless].max(initial=0.0)
    wide = bool(most * WIDE < values[0].max() and most > 0.0)
    for i, (name, value) in enumerate(zip(names, values, strict=True)):
        look: dict[str, Any] = {"color": COLOURS[i], "linestyle": STYLES[i], "marker": MARKERS[i]}
        shown = np.where(value > 0.0, value, np.nan) if wide else value
        ax.plot(at, shown, label=name, markersize=4, markevery=_marked(shown, i), **look)
    error = np.where(endless, 0.0, np.nan_to_num(score.standard_error[at]))
    low = kl - error
    if wide:  # a band that reaches 0 ends at a tenth of its middle
        low = np.maximum(low, 0.1 * kl)
    ax.fill_between(
        at,
        low,
        kl + error,
        color=COLOURS[2],
        alpha=0.2,
        linewidth=0,
        label="± one standard error",
    )
    if endless.any():
        edge: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False}
        edge |= {"color": COLOURS[2], "marker": "x", "markersize": 6, "linestyle": "none"}
        ax.plot(at[endless], np.ones(endless.sum()), label="KL is infinite", **edge)
    title = f"Wind tunnel: {score.n_sequences} sequences"
    tidy(ax, xlabel="position", ylabel="bits", title=title)
    whole_numbers(ax.xaxis)
    if wide:
        log_axis(ax.yaxis)
    else:
        ax.set_ylim(bottom=min(0.0, float(low[~endless].min(initial=0.0))))
    legend(ax)
    return ax


def _marked(values: NDArray[np.float64], i: int) -> list[int]:
    """Where the i-th line has markers: at some of its points, and at those that no line reaches."""
    n, gap = len(values), np.isnan(np.pad(values, 1, constant_values=np.nan))
    alone = np.flatnonzero(gap[:-2] & ~gap[1:-1] & gap[2:])
    return sorted({*range(i % n, n, every(n) + 2), *alone.tolist()})
