"""Pictures of a `ContinuityReport`, of pairs, and of what heads do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.arguments import having
from .._base.display.pictures import lines, named
from .._base.drawing.inks import shades
from .._base.drawing.space import font
from .._base.drawing.ticks import log_axis, log_ticks
from .._base.style import COLOURS, legend, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .affine import AffineTest
    from .embedding import Pairs
    from .heads import HeadBound, SegmentProbe
    from .report import ContinuityReport
    from .span import SoftmaxSpan

MOST_POINTS = 500


def continuity(report: ContinuityReport, *, ax: Axes | None = None) -> Axes:
    """Distances between rows against those between embeddings, and the modulus of continuity.

    Parameters
    ----------
    report
        From `check_continuity`.
    ax
        Where to draw; a new figure without it.
    """
    having(report, "report", "pairs", "modulus")
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
        cmap=shades(ax),
        extent=(0.0, float(x.max(initial=0.0)) or 1.0, 0.0, top),
        linewidths=0.1,
    )
    _colours(cells, ax)
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
    below, beside = f"{other} distance between embeddings", f"{metric} between rows"
    tidy(ax, xlabel=below, ylabel=beside, title="Modulus of continuity")
    ax.set_ylim(0.0, top)
    legend(ax, below=True)
    return ax


def _colours(cells: Any, ax: Axes) -> None:
    """What the colours of cells say, beside the axes."""
    bar = ax.figure.colorbar(cells, ax=ax, pad=0.02)
    bar.set_label("pairs", fontsize=font(ax))
    bar.ax.tick_params(labelsize=font(ax))
    bar.outline.set_visible(False)
    log_ticks(bar.ax.yaxis)


def pairs(pairs: Pairs, *, ax: Axes | None = None) -> Axes:
    """Distances between rows against those between embeddings, pair by pair.

    Parameters
    ----------
    pairs
        From an `EmbeddingMap`.
    ax
        Where to draw; a new figure without it.
    """
    rows, embeddings = (x.replace("_", " ") for x in (pairs.metric, pairs.embedding_metric))
    return _cloud(
        pairs.embedding_distance,
        pairs.row_distance,
        xlabel=f"{embeddings} distance between embeddings",
        ylabel=f"{rows} between rows",
        title="Pairs of rows",
        ax=ax,
    )


def head_bound(bound: HeadBound, *, ax: Axes | None = None) -> Axes:
    """Total variation between rows against what the head allows: nothing is above the line.

    Parameters
    ----------
    bound
        From `head_bound`.
    ax
        Where to draw; a new figure without it.
    """
    ax = _cloud(
        bound.certificate,
        bound.total_variation,
        xlabel="what the head allows",
        ylabel="total variation between rows",
        title="Certificate of a head",
        ax=ax,
    )
    end = float(bound.certificate.max(initial=0.0)) or 1.0
    ax.plot([0.0, end], [0.0, end], color=COLOURS[1], linewidth=2.0)
    return ax


def _cloud(x: Any, y: Any, *, xlabel: str, ylabel: str, title: str, ax: Axes | None) -> Axes:
    """Points, or cells where there are too many of them."""
    ax = new_axes(ax, 6.0, 4.0)
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    if len(x) <= MOST_POINTS:
        ax.plot(x, y, "o", color=COLOURS[0], alpha=0.5, markersize=4, linestyle="none")
    else:
        cells = ax.hexbin(x, y, gridsize=40, bins="log", mincnt=1, cmap=shades(ax), linewidths=0.1)
        _colours(cells, ax)
    tidy(ax, xlabel=xlabel, ylabel=ylabel, title=title)
    return ax


def affine_test(test: AffineTest, *, ax: Axes | None = None) -> Axes:
    """What no affine map of the embeddings explains, beside what it would be by chance.

    Parameters
    ----------
    test
        From `affine_test`.
    ax
        Where to draw; a new figure without it.
    """
    return named(
        ["rows", "by chance"],
        [test.residual, test.expected_residual],
        marked=[0],
        xlabel="unexplained share of the rows' spread",
        title=f"Affine map: {'exact' if test.exact else f'p = {test.p_value:.3g}'}",
        ax=ax,
    )


def segment(probe: SegmentProbe, *, ax: Axes | None = None) -> Axes:
    """How far a head's rows are from mixtures of those at the ends, along a segment.

    Parameters
    ----------
    probe
        From `probe_segment`.
    ax
        Where to draw; a new figure without it.
    """
    return lines(
        probe.position,
        {"from the mixture": probe.convexity, "from the geometric one": probe.log_affinity},
        xlabel="place along the segment",
        ylabel="total variation",
        title="Between two states",
        ax=ax,
    )


def softmax_span(span: SoftmaxSpan, *, ax: Axes | None = None) -> Axes:
    """Singular values of rows as logits, and the rank behind which they are rounding.

    Parameters
    ----------
    span
        From `span_of`.
    ax
        Where to draw; a new figure without it.
    """
    values = np.maximum(span.singular_values, np.finfo(float).tiny)
    ax = lines(
        np.arange(1, len(values) + 1),
        {"": values},
        xlabel="number",
        ylabel="singular value",
        title=f"Rank {span.rank}",
        ax=ax,
    )
    log_axis(ax.yaxis)
    ax.axvline(span.rank + 0.5, color=COLOURS[1], linestyle="--")
    return ax
