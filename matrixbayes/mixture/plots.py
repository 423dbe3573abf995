"""Pictures of a mixture, and of its check.

Contents
    components, compare_components, ternary    a heat map, components side by side, a triangle
    check                                      bits per token of draws from rows, with the lines
    check_figure                               the same, and draws of the prior beside rows
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._base.display import number, percent
from .._base.display.pictures import lines, named
from .._base.style import (
    COLOURS,
    GREY,
    MARKERS,
    MOST,
    STYLES,
    WIDE,
    entry,
    legend,
    new_axes,
    tidy,
    token_columns,
    token_name,
)
from .._base.tokens import columns_in, order_of
from .._base.typing import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .approximation import ApproximationReport
    from .fit_check import FitCheck, Spread
    from .kernels.kernel_mixture import KernelMixture
    from .kernels.reduction import KernelReduction
    from .mixture import DirichletMixture, Uncertainty

HELD = (0.95, 0.8, 0.5, 0.25)  # the shares of the mass that a triangle outlines ...
SHADES = ("#deebf7", "#9ecae1", "#4292c6", "#08519c")  # ... and their colours
LEAST = 1e-9  # mean probabilities below are drawn there
SAMPLES = 20_000  # draws that say at which density a region holds its share


def components(mixture: DirichletMixture, *, most: int = 12, ax: Axes | None = None) -> Axes:
    """A heat map of the components: one row each, with its weight, concentration A and mean.

    Parameters
    ----------
    mixture
        The prior or posterior to show.
    most
        The most tokens to show: those most probable in some component; the rest are one column.
    ax
        Where to draw; a new figure without it.
    """
    weights, alpha = np.asarray(mixture.weights), np.asarray(mixture.alpha)
    total = alpha.sum(axis=1)
    mean = alpha / total[:, None]
    n = alpha.shape[1]
    keep = np.arange(n)
    names = [token_name(mixture.tokens, j) for j in range(n)] if n <= most else []
    if n > most:
        keep = np.sort(
            np.argsort(-(mean * weights[:, None]).max(axis=0), kind="stable")[: most - 1]
        )
        names = [*(token_name(mixture.tokens, int(j)) for j in keep), "(all others)"]
        mean = np.column_stack([mean[:, keep], 1.0 - mean[:, keep].sum(axis=1)])
    ax = new_axes(ax, 2.6 + 0.62 * len(names), 1.3 + 0.55 * len(weights))
    top = max(float(mean.max()), 1e-12)
    ax.imshow(mean, cmap="Blues", vmin=0.0, vmax=top, aspect="auto")
    for (k, j), value in np.ndenumerate(mean):
        ink = "white" if value > 0.6 * top else "black"
        ax.text(j, k, f"{100 * value:.0f}", ha="center", va="center", color=ink, fontsize="small")
    ax.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
    labels = [
        f"{k}:  weight {w:.2f},  A = {a:.4g}"
        for k, (w, a) in enumerate(zip(weights, total, strict=True))
    ]
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylabel("component")
    ax.set_title("Mean of each component (%)", loc="left", fontsize="medium", fontweight="bold")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return ax


def compare_components(
    mixtures: Mapping[str, DirichletMixture],
    *,
    component: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """One component's mean in several mixtures, side by side: a mark per mixture and token.

    Parameters
    ----------
    mixtures
        Name -> mixture, all over the same tokens, their components in the same order.  Tokens with
        names are matched by them.
    component
        The component to show.
    ax
        Where to draw; a new figure without it.
    """
    ax = new_axes(ax, 7.0, 3.0)
    first = next(iter(mixtures.values()))
    n = first.n_tokens
    spread = np.linspace(-0.24, 0.24, len(mixtures)) if len(mixtures) > 1 else np.zeros(1)
    for i, (name, mixture) in enumerate(mixtures.items()):
        order = order_of(mixture.tokens, first.tokens, f"the tokens of {name!r} and the first")
        alpha = columns_in(np.asarray(mixture.alpha), order)[component]
        words = f"{name}: weight {mixture.weights[component]:.2f}, A = {alpha.sum():.4g}"
        x, y = np.arange(n) + spread[i], alpha / alpha.sum()
        ax.vlines(x, 0.0, y, color=COLOURS[i], linewidth=1.6, linestyle=STYLES[i])
        ax.plot(x, y, linestyle="none", marker=MARKERS[i], color=COLOURS[i], label=words)
    tidy(ax, xlabel="", ylabel="mean probability", title=f"Component {component}")
    names = [token_name(first.tokens, j) for j in range(n)]
    ax.set_xticks(range(n), names, rotation=35, ha="right", rotation_mode="anchor")
    ax.set_ylim(bottom=0.0)
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
        tokens of three, otherwise the two most probable.
    resolution
        Grid points along a side.
    ax
        Ternary axes (`projection="ternary"`, from mpltern); a new figure without it.
    """
    import mpltern  # noqa: F401  (registers the projection)
    from matplotlib.ticker import PercentFormatter

    mixture = mixture.dense() if hasattr(mixture, "dense") else mixture  # kernels written out
    weights, alpha, corners = _triangle(mixture, tokens)
    if ax is None:
        from matplotlib import pyplot

        figure = pyplot.figure(figsize=(8.0, 4.8), layout="constrained")
        ax = figure.add_subplot(projection="ternary")
    if not hasattr(ax, "set_tlabel"):
        raise TypeError('ternary needs ternary axes: figure.add_subplot(projection="ternary")')
    handles = _draw_regions(ax, type(mixture)(weights, alpha), _grid(resolution))
    for k in np.argsort(-weights, kind="stable")[:MOST]:
        mark: dict[str, Any] = {"marker": MARKERS[k % MOST], "color": COLOURS[1], "markersize": 9}
        mark |= {"markeredgecolor": "white", "linestyle": "none"}
        m = alpha[k] / alpha[k].sum()
        ax.plot(*m[:, None], **mark)
        words = f"mean of component {k} (weight {weights[k]:.2f})"
        handles.append(entry(words, **mark))
    for corner, side in zip(corners, "tlr", strict=True):
        getattr(ax, f"set_{side}label")(corner)
        getattr(ax, f"{side}axis").set_major_formatter(PercentFormatter(1.0))
    ax.grid(color="0.8", linewidth=0.5)
    legend(ax, handles)
    return ax


def _draw_regions(ax: Any, mixture: DirichletMixture, grid: NDArray[np.float64]) -> list[Any]:
    """Shade the regions of highest density; returns their legend entries."""
    from matplotlib.patches import Patch

    log_density = np.asarray(mixture.log_prob(np.log(grid), kind="log_probs"), dtype=np.float64)
    drawn = mixture.sample(SAMPLES, rng=0, kind="log_probs")
    at_drawn = np.asarray(mixture.log_prob(drawn, kind="log_probs"), dtype=np.float64)
    levels, held = _regions(at_drawn, float(log_density.max()))
    shades = SHADES[: len(held)]
    edge = {"colors": "#08306b", "linewidths": 0.5, "linestyles": "-"}
    ax.tricontourf(*grid.T, log_density, levels=levels, colors=shades)
    ax.tricontour(*grid.T, log_density, levels=levels[:-1], **edge)
    return [
        Patch(facecolor=s, edgecolor="#08306b", linewidth=0.5, label=f"holds {h:.0%} of the mass")
        for s, h in zip(shades, held, strict=True)
    ]


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
        part, names = np.column_stack([part, rest]), [*names, "all others"]
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
    if figure is None:
        from matplotlib import pyplot

        figure = pyplot.figure(figsize=(10.0, 6.4), layout="constrained")
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
        ax.set_xscale("log")
    shown = draws[np.unique(np.linspace(0, len(draws) - 1, 5).round().astype(int))]
    ax.set_xticks(shown, [str(n) for n in shown])
    ax.minorticks_off()
    ax.set_ylim(bottom=0.0)
    legend(ax)


def _means(check: FitCheck, ax: Axes) -> None:
    """The prior's mean against the mean row, token by token."""
    x, y = np.maximum(check.mean_row, LEAST), np.maximum(check.prior_mean, LEAST)
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    ends = (0.7 * low, min(1.4 * high, 1.0))
    if high > WIDE * low:
        ax.set(xscale="log", yscale="log")
    else:
        ends = (0.0, min(1.1 * high, 1.0))
    ax.plot(ends, ends, color=GREY, linewidth=1.0, linestyle=STYLES[1])
    size = 30 if len(x) < 50 else 12
    ax.scatter(x, y, s=size, color=COLOURS[0], alpha=0.7, linewidths=0, rasterized=len(x) > 2000)
    ax.set(xlim=ends, ylim=ends)
    title = f"Mean row: total variation {check.mean_variation:.2g}"
    tidy(ax, xlabel="mean of the rows", ylabel="mean of the prior", title=title)


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


def uncertainty(parts: Uncertainty, *, ax: Axes | None = None) -> Axes:
    """Total, aleatoric and epistemic uncertainty, beside each other.

    Parameters
    ----------
    parts
        From `DirichletMixture.uncertainty`.
    ax
        Where to draw; a new figure without it.
    """
    return named(
        list(parts._fields),
        list(parts),
        xlabel="nats",
        title="Uncertainty of the next token",
        ax=ax,
    )


def spread(spread: Spread, *, ax: Axes | None = None) -> Axes:
    """A median, and the range that eight of ten lie in.

    Parameters
    ----------
    spread
        Of a `FitCheck`.
    ax
        Where to draw; a new figure without it.
    """
    return named(
        ["median"],
        [spread.median],
        low=[spread.low],
        high=[spread.high],
        xlabel="10 % to 90 %",
        title="Spread",
        ax=ax,
    )


def approximation(report: ApproximationReport, *, ax: Axes | None = None) -> Axes:
    """How far a mixture is from a density, and how far it can be at most.

    Parameters
    ----------
    report
        From `approximation_report`.
    ax
        Where to draw; a new figure without it.
    """
    found = {
        "density": report.sup_error,
        "its bound": report.bound,
        "predictive": report.predictive_error,
    }
    shown = {name: x for name, x in found.items() if x is not None and np.isfinite(x)}
    return named(
        [*shown],
        [*shown.values()],
        xlabel="largest difference",
        title=f"Approximation of degree {report.degree}",
        ax=ax,
    )


def kernel_reduction(reduction: KernelReduction, *, ax: Axes | None = None) -> Axes:
    """Bits a token that a smaller mixture loses, against draws, with standard errors.

    Parameters
    ----------
    reduction
        From `KernelMixture.reduce`.
    ax
        Where to draw; a new figure without it.
    """
    lost, error = reduction.loss_bits, reduction.loss_bits_se
    return lines(
        reduction.n_draws,
        {"": lost},
        bands={"": (lost - error, lost + error)},
        xlabel="draws",
        ylabel="bits a token",
        title="What fewer components lose",
        ax=ax,
    )


def kernel_weights(mixture: KernelMixture, *, ax: Axes | None = None) -> Axes:
    """The weight of each concentration of a `KernelMixture`.

    Parameters
    ----------
    mixture
        From `DirichletMixture.from_rows`.
    ax
        Where to draw; a new figure without it.
    """
    table = mixture.to_pandas()
    names = [
        f"{number(a)}, {percent(share)} to the mean"
        for a, share in zip(table["concentration"], table["drawn_to_mean"], strict=True)
    ]
    return named(names, table["weight"], xlabel="weight", title="Concentrations", ax=ax)
