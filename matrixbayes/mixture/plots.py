"""Pictures of a mixture.

Contents
    components, compare_components, ternary    a heat map, components side by side, a triangle
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from .._base.arguments import having, instance, shown, whole
from .._base.drawing.inks import faint, ground, ink, is_dark, on
from .._base.drawing.names import token_name, token_names, words
from .._base.drawing.space import LINE, SMALLEST, cell, extent, fit, font, is_alone, make_room
from .._base.drawing.ticks import Plain, log_axis, most_names, name_axis
from .._base.style import (
    COLOURS,
    FONT,
    MARKERS,
    MOST,
    STYLES,
    WIDE,
    entry,
    legend,
    new_axes,
    new_size,
    palette,
    put_title,
    tidy,
    token_columns,
)
from .._base.tokens import columns_in, order_of
from .._base.typing import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .mixture import DirichletMixture

HELD = (0.95, 0.8, 0.5, 0.25)  # the shares of the mass that a triangle outlines ...
SHADES = ("#deebf7", "#9ecae1", "#4292c6", "#08519c")  # ... and their colours
SAMPLES = 20_000  # draws that say at which density a region holds its share
ROWS = 20  # components with a row of their own
OTHERS, REST = "(all others)", "all others"
NEARLY_ALL = 0.9  # a mean share of the pooled corner that leaves no room for the two others
TINY = 1e-9  # the least part of a triangle that is shown
SEEN = 0.02  # a part of a triangle below which its regions are hardly seen ...
DOTS = 300  # ... and draws are


def components(mixture: DirichletMixture, *, most: int = 12, ax: Axes | None = None) -> Axes:
    """A heat map of the components: one row each, with its weight, concentration A and mean.

    Parameters
    ----------
    mixture
        The prior or posterior to show.
    most
        The most tokens to show: those most probable in some component; the rest are one column.
        There are fewer where the axes are small.  Of many components the heaviest have rows, and
        the rest are one.
    ax
        Where to draw; a new figure without it.
    """
    having(mixture, "mixture", "weights", "alpha")
    weights, alpha = np.asarray(mixture.weights), np.asarray(mixture.alpha)
    total = alpha.sum(axis=1)
    mean, rows = alpha / total[:, None], ROWS
    if ax is not None:
        new_axes(ax)
        width, height = cell(ax)
        most = min(most, most_names(ax, (0.5 if is_alone(ax) else 0.4) * width))
        rows = min(rows, most_names(ax, (0.6 if is_alone(ax) else 0.4) * height))
    columns, mean = _pooled(mean, (mean * weights[:, None]).max(axis=0), most)
    names = [*token_names(mixture.tokens, columns), OTHERS][: mean.shape[1]]
    kept, lines = _heaviest(weights, mean, rows)
    if ax is None:
        longest = max(extent(name, FONT)[0] for name in names)
        upright = longest / 72.0 if longest > 40.0 else 0.2
        ax = new_axes(None, 3.6 + 0.62 * len(names), 0.9 + upright + 0.5 * len(lines))
    _heat(ax, lines, names, _component_labels(weights, total, kept, len(lines)))
    return ax


def _pooled(mean: Floats, score: Floats, most: int) -> tuple[list[int], Floats]:
    """The columns of highest score, in their order, and the means there and in all others."""
    n = mean.shape[1]
    if n <= most:
        return list(range(n)), mean
    keep = np.sort(np.argsort(-score, kind="stable")[: max(most - 1, 1)])
    rest = np.delete(mean, keep, axis=1).sum(axis=1)
    return keep.tolist(), np.column_stack([mean[:, keep], rest])


def _heaviest(weights: Floats, mean: Floats, most: int) -> tuple[list[int], Floats]:
    """The heaviest components, in their order, and the means of those and of all others."""
    n = len(weights)
    if n <= most:
        return list(range(n)), mean
    keep = np.sort(np.argsort(-weights, kind="stable")[: max(most - 1, 1)])
    others = np.setdiff1d(np.arange(n), keep)
    share = weights[others] / max(weights[others].sum(), 1e-300)
    return keep.tolist(), np.vstack([mean[keep], share @ mean[others]])


def _component_labels(
    weights: Floats, total: Floats, kept: list[int], n: int
) -> list[tuple[str, list[str]]]:
    """What rows are called, from long to short, each way with the label of the axis."""
    known = [(k, _weight(weights[k]), f"{total[k]:.4g}") for k in kept]
    more, rest = len(weights) - len(kept), _weight(max(1.0 - weights[kept].sum(), 0.0))
    ways = [
        (
            "component",
            [f"{k}:  weight {w},  A = {a}" for k, w, a in known],
            f"{more} others:  weight {rest}",
        ),
        (
            "component: weight, A",
            [f"{k}: {w}, {a}" for k, w, a in known],
            f"{more} others: {rest}",
        ),
        ("component", [str(k) for k, _, _ in known], "others"),
    ]
    return [(name, [*labels, others][:n]) for name, labels, others in ways]


def _weight(weight: float) -> str:
    """A weight with two decimals, or the first digit of one that has none there."""
    return f"{weight:.2f}" if weight >= 0.005 or weight == 0.0 else f"{weight:.0e}"


def _heat(ax: Axes, mean: Floats, names: list[str], ways: list[tuple[str, list[str]]]) -> None:
    """The means as colours, and as figures where they have room."""
    width, height = cell(ax)
    alone, usual = is_alone(ax), font(ax)
    most = (0.45 if alone else 0.3) * width
    lefts = [max(extent(text, usual)[0] for text in labels) for _, labels in ways]
    way = next((i for i, left in enumerate(lefts) if left <= most), len(ways) - 1)
    left, (ylabel, labels) = lefts[way], ways[way]
    length = (width - left - 3.0 * usual if alone else 0.4 * width) * 0.95
    takes = name_axis(ax.xaxis, names, length, (0.45 if alone else 0.3) * height)
    deep = (height - takes - 2.5 * usual if alone else 0.4 * height) * 0.9
    name_axis(ax.yaxis, labels, deep, 0.45 * width)
    top = max(float(mean[:, : len(names) - (names[-1] == OTHERS)].max()), 1e-12)
    ax.imshow(mean, cmap="Blues", vmin=0.0, vmax=top, aspect="auto")
    ax.grid(False)
    room = (length / len(names), deep / len(mean))
    texts = [_percent(value) for value in mean.flat]
    size = min(0.85 * usual, room[1] / LINE)
    size = min(size, 0.9 * room[0] * size / max(extent(text, size)[0] for text in texts))
    if size >= min(SMALLEST, 0.85 * usual):
        for (k, j), value in np.ndenumerate(mean):
            look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": size}
            colour = on(colormaps["Blues"](min(value / top, 1.0)))
            ax.text(j, k, texts[k * len(names) + j], color=colour, **look)
    put_title(ax, "Mean of each component (%)")
    label, size = fit(ylabel, 0.6 * height, usual)
    ax.set_ylabel(label, fontsize=size)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)


def _percent(value: float) -> str:
    """A share in percent, with a digit however small it is."""
    share = 100.0 * value
    if share >= 0.995 or share == 0.0:
        return f"{share:.0f}"
    return f"{share:.1g}" if share >= 0.001 else f"{share:.0e}".replace("e-0", "e-")


def compare_components(
    mixtures: Mapping[str, DirichletMixture],
    *,
    component: int = 0,
    most: int = 24,
    ax: Axes | None = None,
) -> Axes:
    """One component's mean in several mixtures, side by side: a mark per mixture and token.

    Parameters
    ----------
    mixtures
        Name -> mixture, at most seven, all over the same tokens, their components in the same
        order.  Tokens with names are matched by them.
    component
        The component to show.
    most
        The most tokens to show: those most probable in some mixture; the rest are one place.
        There are fewer where the axes are small.
    ax
        Where to draw; a new figure without it.  Its axis is logarithmic where means span decades.
    """
    instance(mixtures, Mapping, "mixtures")
    if not 1 <= len(mixtures) <= MOST:
        raise ValueError(
            f"asked to compare {len(mixtures)} mixtures: between 1 and {MOST} can be told apart"
        )
    first = next(iter(mixtures.values()))
    for name, mixture in mixtures.items():
        having(mixture, f"mixtures[{shown(name)}]", "weights", "alpha")
    fewest = min(len(mixture.weights) for mixture in mixtures.values())
    component = whole(component, "component", -fewest, fewest - 1)
    alphas = []
    for name, mixture in mixtures.items():
        order = order_of(mixture.tokens, first.tokens, f"the tokens of {name!r} and the first")
        alphas.append(columns_in(np.asarray(mixture.alpha), order)[component])
    ax = new_axes(ax, 7.0, 3.8)
    width, height = cell(ax)
    length = (0.5 if is_alone(ax) else 0.36) * width
    totals = np.array([alpha.sum() for alpha in alphas])
    mean = np.stack(alphas) / totals[:, None]
    columns, mean = _pooled(mean, mean.max(axis=0), min(most, most_names(ax, length)))
    names = [*token_names(first.tokens, columns), OTHERS][: mean.shape[1]]
    low = float(mean[mean > 0.0].min())
    wide = bool(mean.max() > WIDE * np.median(mean.max(axis=0)))
    foot = 0.5 * low if wide else 0.0
    spread = np.linspace(-0.24, 0.24, len(mixtures)) if len(mixtures) > 1 else np.zeros(1)
    for i, (name, mixture) in enumerate(mixtures.items()):
        weight = _weight(float(mixture.weights[component]))
        text = f"{words(name, 24)}: weight {weight}, A = {totals[i]:.4g}"
        x, y, colour = np.arange(len(names)) + spread[i], mean[i], palette(ax)[i]
        ax.vlines(x, foot, y, color=colour, linewidth=1.6, linestyle=STYLES[i])
        ax.plot(x, y, linestyle="none", marker=MARKERS[i], color=colour, label=text)
    tidy(ax, xlabel="", ylabel="mean probability", title=f"Component {component}")
    name_axis(ax.xaxis, names, length, (0.42 if is_alone(ax) else 0.3) * height)
    ax.set_xlim(-0.5, len(names) - 0.5)
    if wide:
        log_axis(ax.yaxis)
    ax.set_ylim(bottom=foot)
    legend(ax)
    return ax


def ternary(
    mixture: DirichletMixture,
    *,
    tokens: Sequence[str | int] | None = None,
    resolution: int = 120,
    ax: Axes | None = None,
) -> Axes:
    """The density of a mixture on a triangle: regions of highest density and components' means.

    Parameters
    ----------
    mixture
        The prior or posterior to show.
    tokens
        Two tokens, all others being pooled in the third corner; or three, and the picture is of
        their shares among themselves.  Both are again Dirichlet mixtures, exactly.  By default all
        tokens of three, otherwise the two most probable; or the three most probable, where all
        others have nearly everything.
    resolution
        Grid points along a side.
    ax
        Ternary axes (`projection="ternary"`, from mpltern); a new figure without it.

    Returns
    -------
    Axes
        They show the part of the triangle where the mixture is.  Where its regions are too small
        to be seen, draws are dots.
    """
    having(mixture, "mixture", "n_tokens", "mean")
    import mpltern  # noqa: F401  (registers the projection)

    mixture = mixture.dense() if hasattr(mixture, "dense") else mixture  # kernels written out
    weights, alpha, corners = _triangle(mixture, tokens)
    if tokens is None and corners[2] == REST and _share(weights, alpha) > NEARLY_ALL:
        best = np.argsort(-np.asarray(mixture.mean()), kind="stable")[:3]
        weights, alpha, corners = _triangle(mixture, best.tolist())
    among = mixture.n_tokens > 3 and corners[2] != REST
    if ax is None:
        from matplotlib import pyplot

        figure = pyplot.figure(figsize=new_size(8.0, 4.8))
        ax = figure.add_subplot(projection="ternary")
    if not hasattr(ax, "set_tlabel"):
        raise TypeError('ternary needs ternary axes: figure.add_subplot(projection="ternary")')
    make_room(ax)
    part = type(mixture)(weights, alpha)
    heavy = np.argsort(-weights, kind="stable")[:MOST]
    means = alpha[heavy] / alpha[heavy].sum(axis=1, keepdims=True)
    drawn = np.asarray(part.sample(SAMPLES, rng=0, kind="log_probs"), dtype=np.float64)
    low, size = _window(np.exp(drawn), means)
    handles = _draw_regions(ax, part, drawn, low + size * _grid(resolution))
    edge = ground(ax)
    for k, m in zip(heavy, means, strict=True):
        mark: dict[str, Any] = {"marker": MARKERS[k % MOST], "color": COLOURS[1], "markersize": 9}
        mark |= {"markeredgecolor": edge, "linestyle": "none", "clip_on": False}
        ax.plot(*m[:, None], **mark)
        text = f"mean of component {k} (weight {_weight(weights[k])})"
        handles.append(entry(text, **mark))
    if len(weights) > MOST:
        handles.append(entry(f"and {len(weights) - MOST} others", linestyle="none"))
    _corners(ax, corners, low, size)
    if among:
        put_title(ax, "Shares of three tokens among themselves", 1.5 * font(ax) + 6.0)
    legend(ax, handles)
    return ax


def _share(weights: Floats, alpha: Floats) -> float:
    """The mean share of the third corner."""
    return float(weights @ (alpha[:, 2] / alpha.sum(axis=1)))


def _window(drawn: Floats, means: Floats) -> tuple[Floats, float]:
    """The lowest corner, and the size, of the part of the triangle where draws and means are."""
    low = np.minimum(np.quantile(drawn, 0.005, axis=0), means.min(axis=0))
    size = max(1.0 - float(low.sum()), TINY)
    if size > 0.5:
        return np.zeros(3), 1.0
    low = np.maximum(low - 0.1 * size, 0.0)
    return low, max(1.0 - float(low.sum()), TINY)


def _corners(ax: Any, corners: list[str], low: Floats, size: float) -> None:
    """Names at the corners, and shares in percent along the sides."""
    (width, height), usual = cell(ax), font(ax)
    least = 24.0 if is_alone(ax) else 36.0  # heights of a letter that figures on three sides take
    ends = [end for share in low for end in (share, share + size)]
    if size < 1.0:
        ax.set_ternary_lim(*ends, fit="triangle")
    for corner, side, start in zip(corners, "tlr", low, strict=True):
        axis = getattr(ax, f"{side}axis")
        text, size_of_text = fit(corner, 0.3 * width, usual, lines=1)
        getattr(ax, f"set_{side}label")(text, fontsize=size_of_text)
        shares = (0.2, 0.4, 0.6, 0.8) if min(width, height) > least * usual else ()
        axis.set_ticks([float(start) + size * share for share in shares])  # corners have names
        axis.set_tick_params(labelsize=0.8 * usual)
        axis.set_major_formatter(Plain(factor=100.0, unit="%"))
    ax.grid(color=faint(ax, 0.2), linewidth=0.5)


def _draw_regions(ax: Any, part: DirichletMixture, drawn: Floats, grid: Floats) -> list[Any]:
    """Shade the regions of highest density, or dot draws; returns their legend entries."""
    from matplotlib.patches import Patch

    density = np.asarray(part.log_prob(np.log(grid), kind="log_probs"), dtype=np.float64)
    at_drawn = np.asarray(part.log_prob(drawn, kind="log_probs"), dtype=np.float64)
    levels, held = _regions(at_drawn, float(density.max()))
    shades, line = SHADES[: len(held)], "#08306b"
    if is_dark(ax):
        shades, line = SHADES[::-1][: len(held)], SHADES[0]
    look = {"colors": line, "linewidths": 0.5, "linestyles": "-"}
    ax.tricontourf(*grid.T, density, levels=levels, colors=shades)
    ax.tricontour(*grid.T, density, levels=levels[:-1], **look)
    keys: list[Any] = [
        Patch(facecolor=s, edgecolor=line, linewidth=0.5, label=f"holds {h:.0%} of the mass")
        for s, h in zip(shades, held, strict=True)
    ]
    if np.mean(density > levels[0]) < SEEN or len(held) < len(HELD):
        dot: dict[str, Any] = {"marker": ".", "color": ink(ax), "markersize": 3, "alpha": 0.5}
        ax.plot(*np.exp(drawn[:DOTS]).T, linestyle="none", clip_on=False, **dot)
        keys.append(entry(f"{DOTS} draws", linestyle="none", **dot))
    return keys


def _triangle(
    mixture: DirichletMixture, tokens: Sequence[str | int] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Weights, alpha (K, 3) and corner names of the mixture on three tokens or groups."""
    alpha = np.asarray(mixture.alpha, dtype=np.float64)
    n = alpha.shape[1]
    if n < 3:
        raise ValueError(f"a triangle needs three tokens, the mixture has {n}")
    mean = np.asarray(mixture.mean())
    if tokens is None:
        tokens = [0, 1, 2] if n == 3 else [int(j) for j in np.argsort(-mean, kind="stable")[:2]]
    columns = token_columns(mixture.tokens, tokens, mean)
    if len(set(columns)) != len(columns) or len(columns) not in (2, 3):
        raise ValueError(f"a triangle takes two or three different tokens, got {list(tokens)!r}")
    part, names = alpha[:, columns], [token_name(mixture.tokens, j) for j in columns]
    if len(columns) == 2:
        rest = np.delete(alpha, columns, axis=1).sum(axis=1)
        part, names = np.column_stack([part, rest]), [*names, REST]
    return np.asarray(mixture.weights, dtype=np.float64), part, names


def _grid(n: int) -> NDArray[np.float64]:
    """Points (M, 3) inside the triangle, M = (n + 1)(n + 2)/2, none of them on an edge."""
    i, j = np.array([(i, j) for i in range(n + 1) for j in range(n + 1 - i)]).T
    return (np.column_stack([i, j, n - i - j]) + 1.0 / 3.0) / (n + 1.0)


def _regions(
    log_density: NDArray[np.float64], highest: float
) -> tuple[NDArray[np.float64], list[float]]:
    """Ascending contour levels of the regions of highest density, and the mass each one holds.

    The region that holds a share q of the mass is where the density exceeds its own (1 - q)
    quantile under the distribution (Hyndman 1996), here over draws.  `highest` is the most that the
    picture can show: regions smaller than its grid are left out.
    """
    top = highest + 1e-9 * (1.0 + abs(highest))
    cuts = {float(np.quantile(log_density, 1.0 - held)): held for held in HELD}
    kept = [(cut, held) for cut, held in sorted(cuts.items()) if cut < highest]
    if not kept:
        kept = [(highest - 1.0, HELD[0])]
    return np.array([*(cut for cut, _ in kept), top]), [held for _, held in kept]
