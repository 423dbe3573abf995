"""Pictures of an elicited prior: its predictions against the model's, and where they part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._base.arguments import having, shown
from .._base.display.pictures import lines, named
from .._base.drawing.names import token_name, token_names, words
from .._base.drawing.space import cell
from .._base.drawing.ticks import log_axis, name_axis
from .._base.style import (
    COLOURS,
    GREY,
    MARKERS,
    WIDE,
    entry,
    legend,
    new_axes,
    new_figure,
    palette,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .families import FamilyComparison
    from .identification import Identification, PriorWidths
    from .measures import Constant, ElicitationPoints, Floor, KLByLength
    from .misfit import KLByPlace
    from .parameters import Parameters
    from .report import ElicitationReport

CLASSES = 5  # of history lengths, at most
TOKENS = 6  # last tokens with a colour of their own
REPEATED, REPEATS = 0.05, 10  # share and number of rows whose history repeats, to draw a floor
SMALL = 1e-3  # a median probability below which the axes are logarithmic


def elicitation(report: ElicitationReport, *, by: str = "length", ax: Axes | None = None) -> Axes:
    """The elicited prior's probabilities against the model's, token by token.

    Parameters
    ----------
    report
        From `elicit_prior`.
    by
        What colours and marks tell: the ``"length"`` of the history, in classes of about equal
        numbers, or its ``"last"`` token.  ``"kl"`` draws the mean KL by length instead, with its
        standard error, beside that of a constant and the floor of any function of the history,
        and by last token as points.
    ax
        Where to draw; a new figure without it.

    Returns
    -------
    Axes
        Points on the diagonal are predictions that the prior explains; of the KL, where the
        family is near the floor it explains all that a history can.
    """
    having(report, "report", "kl_by_place" if by == "kl" else "points")
    if by == "kl":
        return _kl_by_length(report, new_axes(ax, 6.4, 4.4))
    points = report.points
    if by == "length":
        names, group = _by_length(points.length)
    elif by == "last":
        names, group = _by_last(points.last, report.tokens)
    else:
        raise ValueError(f"by={shown(by)} is not one of 'length', 'last', 'kl'")
    ax = new_axes(ax, 6.4, 4.4)
    x, y = points.observed, points.predicted
    known = (x > 0.0) & (y > 0.0)
    wide = bool(np.median(x) < SMALL and known.any())
    if wide:
        x, y, group = x[known], y[known], group[known]
    low = float(min(x.min(), y.min()))
    ax.plot([low, 1.0], [low, 1.0], color=GREY, linewidth=1.0, linestyle="--", zorder=1)
    looks: list[dict[str, Any]] = [
        {"marker": m, "color": c} for m, c in zip(MARKERS, palette(ax), strict=True)
    ]
    for i in range(len(names)):
        mine = group == i
        ax.scatter(x[mine], y[mine], s=9.0, alpha=0.55, linewidth=0.0, zorder=2, **looks[i])
    keys: list[Any] = [
        entry(name, linestyle="none", **look) for name, look in zip(names, looks, strict=False)
    ]
    keys.append(entry("equal", color=GREY, linewidth=1.0, linestyle="--"))
    title = "By length of the history" if by == "length" else "By last token"
    beside = "predicted by the elicited prior"
    tidy(ax, xlabel="probability in the model", ylabel=beside, title=title)
    if wide:
        log_axis(ax.xaxis)
        log_axis(ax.yaxis)
    legend(ax, keys)
    return ax


def elicitation_figure(report: ElicitationReport, *, figure: Figure | None = None) -> Figure:
    """`elicitation` by length of the history and by last token, side by side, and the KL below."""
    having(report, "report", "points", "kl_by_place")
    known = report.kl_by_place is not None
    figure = new_figure(figure, 11.5, 8.4 if known else 4.4, layout="constrained")
    grid = figure.add_gridspec(1 + known, 2)
    elicitation(report, by="length", ax=figure.add_subplot(grid[0, 0]))
    elicitation(report, by="last", ax=figure.add_subplot(grid[0, 1]))
    if known:
        elicitation(report, by="kl", ax=figure.add_subplot(grid[1, :]))
    return figure


def _kl_by_length(report: ElicitationReport, ax: Axes) -> Axes:
    """Mean KL in bits by class of lengths."""
    if report.kl_by_place is None:
        raise ValueError("a report of an earlier version has no KL by place; elicit again")
    whole, cells = report.kl_by_place["length"], report.kl_by_place["last"]
    bits = 1.0 / float(np.log(2.0))
    x, colours = np.arange(len(whole.first)), palette(ax)
    repeat = (whole.repeated >= REPEATED) & (whole.repeated * whole.n_rows >= REPEATS)
    lines = {
        f"family {report.family!r}": (whole.mean_kl, "-"),
        "a constant": (whole.constant, "--"),
        "floor": (np.where(repeat, whole.floor, np.nan), ":"),
    }
    keys = []
    for i, (name, (kl, style)) in enumerate(lines.items()):
        if np.isnan(kl).all():  # no history repeats
            continue
        look: dict[str, Any] = {"color": colours[i], "linestyle": style, "marker": MARKERS[i]}
        error = whole.error if i == 0 else np.full(len(x), np.nan)
        ax.errorbar(x, bits * kl, bits * error, capsize=2.0, zorder=3 - 0.1 * i, **look)
        keys.append(entry(name, **look))
    tokens, times = np.unique(cells.token[cells.token >= 0], return_counts=True)
    place = np.searchsorted(whole.first, cells.first)
    for j, token in enumerate(tokens[np.argsort(-times, kind="stable")][: len(COLOURS) - 4]):
        own = cells.token == token
        look = {"color": colours[3 + j], "linestyle": "none", "marker": MARKERS[3 + j]}
        shift = 0.08 * (j - 1)  # beside each other, where they are as high
        ax.plot(place[own] + shift, bits * cells.mean_kl[own], markersize=4.5, zorder=2, **look)
        keys.append(entry(f"ending in {token_name(report.tokens, int(token), 12)}", **look))
    drawn = bits * np.concatenate([kl for kl, _ in lines.values()])
    drawn = drawn[drawn > 0.0]
    wide = bool(len(drawn) and drawn.max() > WIDE * drawn.min())
    seen = bits * np.concatenate([whole.mean_kl, whole.constant])
    ends = zip(whole.first.tolist(), whole.last.tolist(), strict=True)
    names = [f"{a}" if a == b else f"{a}\u2013{b}" for a, b in ends]
    beside = "mean KL(model || prediction), bits"
    tidy(ax, xlabel="tokens in the history", ylabel=beside, title="What is left to explain")
    width, height = cell(ax)
    name_axis(ax.xaxis, names, 0.45 * width, 0.3 * height)
    ax.set_xlim(-0.5, len(x) - 0.5)
    if wide:
        log_axis(ax.yaxis)
        ax.set_ylim(bottom=0.5 * seen[seen > 0.0].min())  # a floor of rounding is left below
    legend(ax, keys)
    return ax


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
    told = order[order >= 0].tolist()
    names = ["no token"] * (len(order) - len(told)) + token_names(tokens, told)
    if not known.all():
        names.append("others")
    return names, np.where(known, place, len(order))


def family_comparison(comparison: FamilyComparison, *, ax: Axes | None = None) -> Axes:
    """Held-out KL of families, with the standard error of what each has above the lowest.

    Parameters
    ----------
    comparison
        Of an `ElicitationReport`.
    ax
        Where to draw; a new figure without it.
    """
    bits = 1.0 / float(np.log(2.0))
    held_out, error = bits * comparison.held_out_kl, bits * comparison.standard_error
    return named(
        list(comparison.families),
        held_out,
        low=held_out - error,
        high=held_out + error,
        marked=[comparison.families.index(comparison.best)],
        xlabel="held-out KL, bits",
        title=f"Families: {comparison.best}",
        ax=ax,
    )


def identification(found: Identification, *, ax: Axes | None = None) -> Axes:
    """How far each parameter may move, the freest first; infinite ones are left out.

    Parameters
    ----------
    found
        Of an `ElicitationReport`.
    ax
        Where to draw; a new figure without it.
    """
    rows = sorted((row for row in found._widths() if np.isfinite(row[3])), key=lambda row: -row[3])
    return named(
        [words(" ".join(filter(None, (part, name, str(i))))) for part, name, i, _ in rows],
        [width for *_, width in rows],
        line=float(np.log(2.0)),
        xlabel="half-width, natural logarithm; the line is a factor of 2",
        title="What the data leave open",
        ax=ax,
    )


def kl_by_length(table: KLByLength, *, ax: Axes | None = None) -> Axes:
    """Mean KL against the length of the history.

    Parameters
    ----------
    table
        Of an `ElicitationReport`.
    ax
        Where to draw; a new figure without it.
    """
    return lines(
        table.length,
        {"": table.mean_kl},
        xlabel="tokens in the history",
        ylabel="mean KL, nats",
        title="KL by length",
        ax=ax,
    )


def kl_by_place(table: KLByPlace, *, ax: Axes | None = None) -> Axes:
    """Mean KL of each place, in the order of lengths, beside that of a constant.

    Parameters
    ----------
    table
        Of an `ElicitationReport`.
    ax
        Where to draw; a new figure without it.
    """
    error = np.nan_to_num(table.error)
    return lines(
        np.arange(len(table.mean_kl)),
        {"family": table.mean_kl, "constant": table.constant},
        bands={"family": (table.mean_kl - error, table.mean_kl + error)},
        xlabel="place, by length of the history and its last token",
        ylabel="mean KL, nats",
        title="KL by place",
        ax=ax,
    )


def elicitation_points(points: ElicitationPoints, *, ax: Axes | None = None) -> Axes:
    """Observed probabilities against predicted ones: explained ones are on the diagonal.

    Parameters
    ----------
    points
        Of an `ElicitationReport`.
    ax
        Where to draw; a new figure without it.
    """
    ax = new_axes(ax, 5.0, 4.2)
    ax.plot(points.observed, points.predicted, ".", color=COLOURS[0], alpha=0.6, linestyle="none")
    ax.plot([0.0, 1.0], [0.0, 1.0], color=GREY, linestyle="--", linewidth=1.0)
    tidy(ax, xlabel="model", ylabel="elicited prior", title="Probabilities")
    return ax


def kl_of_constant(constant: Constant, *, ax: Axes | None = None) -> Axes:
    """KL of the best single row, in the data and held out, with two standard errors.

    Parameters
    ----------
    constant
        Of a `FamilyComparison`.
    ax
        Where to draw; a new figure without it.
    """
    values = [constant.kl, constant.held_out]
    return _kl_of("Constant prediction", ["fitted", "held out"], values, constant.error, ax)


def kl_of_floor(floor: Floor, *, ax: Axes | None = None) -> Axes:
    """KL of the best function of the history, and what repetitions leave, with two standard errors.

    Parameters
    ----------
    floor
        Of an `ElicitationReport`.
    ax
        Where to draw; a new figure without it.
    """
    values = [floor.kl, floor.corrected]
    return _kl_of("Floor", ["fitted", "ever more repetitions"], values, floor.error, ax)


def _kl_of(
    title: str, names: list[str], values: list[float], error: float, ax: Axes | None
) -> Axes:
    """Two figures in nats, the first with its standard error."""
    bar = 2.0 * float(np.nan_to_num(error))
    return named(
        names,
        values,
        low=[values[0] - bar, values[1]],
        high=[values[0] + bar, values[1]],
        xlabel="mean KL, nats",
        title=title,
        ax=ax,
    )


def prior_widths(widths: PriorWidths, *, ax: Axes | None = None) -> Axes:
    """The half-width of the concentration of each component of a prior.

    Parameters
    ----------
    widths
        Of an `Identification`.
    ax
        Where to draw; a new figure without it.
    """
    values = widths.log_concentration
    names = [f"component {k}" for k in range(len(values))]
    label_of_x = "half-width of the concentration, natural logarithm"
    return named(names, values, xlabel=label_of_x, title="What the data leave open", ax=ax)


def part_shares(parameters: Parameters, *, ax: Axes | None = None) -> Axes:
    """The prior probability of each part of a family.

    Parameters
    ----------
    parameters
        From `ElicitationReport.parameters`.
    ax
        Where to draw; a new figure without it.
    """
    names = list(parameters.priors)
    return named(names, parameters.shares, xlabel="prior probability", title="Parts", ax=ax)
