"""A picture of a `ContinuityReport`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.style import COLOURS, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .report import ContinuityReport


def continuity(report: ContinuityReport, *, ax: Axes | None = None) -> Axes:
    """Distances between rows against those between embeddings, and the modulus of continuity.

    Parameters
    ----------
    report
        From `check_continuity`.
    ax
        Where to draw; a new figure without it.
    """
    x, y = report.pairs.embedding_distance, report.pairs.row_distance
    finite = np.isfinite(y)
    ax = new_axes(ax, 7.0, 4.2)
    top = float(y[finite].max(initial=0.0)) * 1.05 or 1.0
    cells = ax.hexbin(
        x[finite],
        y[finite],
        gridsize=50,
        bins="log",
        mincnt=1,
        cmap="Greys",
        extent=(0.0, float(x.max(initial=0.0)) or 1.0, 0.0, top),
        linewidths=0.1,
    )
    colour = ax.figure.colorbar(cells, ax=ax, pad=0.02, label="pairs")
    colour.outline.set_visible(False)
    name = "modulus"
    ax.step(report.delta, report.modulus, where="post", color=COLOURS[1], linewidth=2.0, label=name)
    if report.band is not None:
        band: dict[str, Any] = {"step": "post", "color": COLOURS[1], "alpha": 0.25, "linewidth": 0}
        tells = report.delta >= (report.band_begins or 0.0)
        share = f"{100 * report.level:g}% of samples"
        edges = report.band[:, tells]
        ax.fill_between(report.delta[tells], *edges, label=share, **band)
    torn = report.discontinuities
    if len(torn):
        mark: dict[str, Any] = {"color": COLOURS[0], "marker": "x", "linestyle": "none"}
        ax.plot(x[torn], y[torn], label="discontinuities", **mark)
    metric, other = (
        str(n).replace("_", " ") for n in (report.pairs.metric, report.pairs.embedding_metric)
    )
    tidy(ax, xlabel=f"{other} distance between embeddings", ylabel=f"{metric} between rows")
    ax.set_title("Modulus of continuity", loc="left", fontsize="medium", fontweight="bold")
    ax.set_ylim(0.0, top)
    ax.legend(
        loc="upper left", bbox_to_anchor=(0.0, -0.16), frameon=False, fontsize="small", ncols=3
    )
    return ax
