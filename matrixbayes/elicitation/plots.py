"""Pictures of an elicited prior: its predictions against the model's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._base.style import COLOURS, GREY, MARKERS, entry, legend, new_axes, tidy, token_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .report import ElicitationReport

CLASSES = 5  # of history lengths, at most
TOKENS = 6  # last tokens with a colour of their own
SMALL = 1e-3  # a median probability below which the axes are logarithmic


def elicitation(report: ElicitationReport, *, by: str = "length", ax: Axes | None = None) -> Axes:
    """The elicited prior's probabilities against the model's, token by token.

    Parameters
    ----------
    report
        From `elicit_prior`.
    by
        What colours and marks tell: the ``"length"`` of the history, in classes of about equal
        numbers, or its ``"last"`` token.
    ax
        Where to draw; a new figure without it.

    Returns
    -------
    Axes
        Points on the diagonal are predictions that the prior explains.
    """
    points = report.points
    if by == "length":
        names, group = _by_length(points.length)
    elif by == "last":
        names, group = _by_last(points.last, report.tokens)
    else:
        raise ValueError(f"by={by!r} is not one of 'length', 'last'")
    ax = new_axes(ax, 6.4, 4.4)
    x, y = points.observed, points.predicted
    known = (x > 0.0) & (y > 0.0)
    if np.median(x) < SMALL and known.any():
        x, y, group = x[known], y[known], group[known]
        ax.set_xscale("log")
        ax.set_yscale("log")
    low = float(min(x.min(), y.min()))
    ax.plot([low, 1.0], [low, 1.0], color=GREY, linewidth=1.0, linestyle="--", zorder=1)
    looks: list[dict[str, Any]] = [
        {"marker": m, "color": c} for m, c in zip(MARKERS, COLOURS, strict=True)
    ]
    for i in range(len(names)):
        mine = group == i
        ax.scatter(x[mine], y[mine], s=9.0, alpha=0.55, linewidth=0.0, zorder=2, **looks[i])
    keys: list[Any] = [
        entry(name, linestyle="none", **look) for name, look in zip(names, looks, strict=False)
    ]
    keys.append(entry("equal", color=GREY, linewidth=1.0, linestyle="--"))
    tidy(ax, xlabel="probability in the model", ylabel="predicted by the elicited prior")
    title = "By length of the history" if by == "length" else "By last token"
    ax.set_title(title, loc="left", fontsize="medium", fontweight="bold")
    legend(ax, keys)
    return ax


def elicitation_figure(report: ElicitationReport, *, figure: Figure | None = None) -> Figure:
    """`elicitation` by length of the history and by last token, side by side."""
    if figure is None:
        from matplotlib import pyplot

        figure = pyplot.figure(figsize=(11.5, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    elicitation(report, by="length", ax=left)
    elicitation(report, by="last", ax=right)
    return figure


def _by_length(length: NDArray[np.float64]) -> tuple[list[str], NDArray[np.intp]]:
    """Classes of about equal numbers, and the class of each point."""
    whole = np.floor(length)
    ends = np.unique(np.quantile(whole, np.linspace(0.0, 1.0, CLASSES + 1)[1:], method="lower"))
    group = np.searchsorted(ends, whole)
    names, first = [], int(whole.min())
    for end in ends.astype(int).tolist():
        plural = "" if end == 1 else "s"
        names.append(f"{end} token{plural}" if first == end else f"{first} to {end} tokens")
        first = end + 1
    return names, group


def _by_last(
    last: NDArray[np.int64], tokens: tuple[str, ...] | None
) -> tuple[list[str], NDArray[np.intp]]:
    """The commonest last tokens, then all others; and which of them each point has."""
    values, times = np.unique(last, return_counts=True)
    common = values[np.argsort(-times, kind="stable")]
    common = common if len(common) <= TOKENS + 1 else common[:TOKENS]
    order = np.sort(common)
    place = np.searchsorted(order, last)
    known = np.isin(last, order)
    names = ["no token" if v < 0 else token_name(tokens, int(v)) for v in order]
    if not known.all():
        names.append("others")
    return names, np.where(known, place, len(order))
