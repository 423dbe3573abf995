"""Pictures of a `FitCheck`.

Contents
    check           bits per token of draws from rows, with the lines
    check_figure    the same, and draws of the prior beside rows
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.arguments import having
from .._base.drawing.ticks import log_axis
from .._base.style import (
    COLOURS,
    GREY,
    MARKERS,
    STYLES,
    WIDE,
    legend,
    new_axes,
    new_figure,
    tidy,
)
from .._base.typing import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .fit_check import FitCheck

LEAST = 1e-9  # mean probabilities below are drawn there


def check(check: FitCheck, *, ax: Axes | None = None) -> Axes:
    """Bits per token of draws from rows, against the number of draws, with the three lines.

    A good prior is on the line of frequencies after one draw, below both dashed lines after more,
    and comes down to the entropy of the rows, which nothing can beat.  Bars are one standard error.

    Parameters
    ----------
    check
        From `check_prior`, or `DirichletMixtureEstimator.check`.
    ax
        Where to draw; a new figure without it.
    """
    having(check, "check", "bits", "smoothing")
    ax = new_axes(ax, 7.0, 3.6)
    _bits(check, ax)
    return ax


def check_figure(check: FitCheck, *, figure: Figure | None = None) -> Figure:
    """Bits against draws; and beside the rows what the prior draws: means, entropies, tops.

    Parameters
    ----------
    check
        From `check_prior`, or `DirichletMixtureEstimator.check`.
    figure
        Where to draw; a new figure without it.
    """
    having(check, "check", "bits", "smoothing")
    figure = new_figure(figure, 10.0, 6.4, layout="constrained")
    grid = figure.add_gridspec(2, 3)
    _bits(check, figure.add_subplot(grid[0, :]))
    mean, entropy, largest = (figure.add_subplot(grid[1, i]) for i in range(3))
    _means(check, mean)
    _shares(entropy, check.row_entropies, check.prior_entropies, check.row_weights)
    tidy(entropy, xlabel="entropy, bits", ylabel="share of rows below", title="Entropies")
    _shares(largest, check.row_largest, check.prior_largest, check.row_weights)
    tidy(
        largest,
        xlabel="largest probability",
        ylabel="share of rows below",
        title="Largest probabilities",
    )
    largest.set_xlim(0.0, 1.0)
    legend(largest)
    return figure


def _bits(check: FitCheck, ax: Axes) -> None:
    """Bits per token against draws, and the lines."""
    draws = np.array(check.draws)
    lines: list[tuple[str, Floats, int]] = [
        ("frequencies alone", check.frequencies, 1),
        ("best smoothing", check.smoothing, 2),
        ("rows' entropy", check.floor, 3),
    ]
    for name, values, i in lines:
        look: dict[str, Any] = {"color": COLOURS[i], "linestyle": STYLES[i], "linewidth": 1.4}
        ax.plot(draws, values, marker=MARKERS[i], markersize=4, label=name, **look)
    ax.errorbar(
        draws,
        check.bits,
        yerr=np.where(np.isfinite(check.bits_se), check.bits_se, 0.0),
        color=COLOURS[0],
        marker=MARKERS[0],
        linewidth=2.0,
        capsize=3,
        label="the prior",
        zorder=3,
    )
    tidy(
        ax,
        xlabel="draws from a row",
        ylabel="bits per token",
        title="The prior describes its rows"
        if check.passed
        else "The prior does not describe its rows",
    )
    if len(draws) > 1:
        log_axis(ax.xaxis)
    ax.set_ylim(bottom=0.0)
    legend(ax)


def _means(check: FitCheck, ax: Axes) -> None:
    """The prior's mean against the mean row, token by token."""
    x, y = np.maximum(check.mean_row, LEAST), np.maximum(check.prior_mean, LEAST)
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    ends = (0.7 * low, min(1.4 * high, 1.0))
    wide = bool(high > WIDE * low)
    if not wide:
        ends = (0.0, min(1.1 * high, 1.0))
    ax.plot(ends, ends, color=GREY, linewidth=1.0, linestyle=STYLES[1])
    size = 30 if len(x) < 50 else 12
    ax.scatter(x, y, s=size, color=COLOURS[0], alpha=0.7, linewidths=0, rasterized=len(x) > 2000)
    title = f"Mean row: total variation {check.mean_variation:.2g}"
    tidy(ax, xlabel="mean of the rows", ylabel="mean of the prior", title=title)
    if wide:
        log_axis(ax.xaxis)
        log_axis(ax.yaxis)
    ax.set(xlim=ends, ylim=ends)


def _shares(ax: Axes, rows: Floats, draws: Floats, weights: Floats) -> None:
    """Distribution functions of something of the rows, and of draws of the prior."""
    for name, values, w, i in (
        ("rows", rows, weights, 3),
        ("draws of the prior", draws, np.ones(len(draws)), 0),
    ):
        order = np.argsort(values, kind="stable")
        share = np.cumsum(w[order]) / w.sum()
        ax.step(
            np.concatenate([values[order[:1]], values[order]]),
            np.concatenate([[0.0], share]),
            where="post",
            color=COLOURS[i],
            linestyle=STYLES[i],
            linewidth=1.8,
            label=name,
        )
    ax.set_ylim(0.0, 1.0)
