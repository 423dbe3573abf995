"""Pictures of mixtures, posterior paths, model choice and learning: axes in, axes out.

Contents
    concentration, total_concentration, component_weights   a `PosteriorPath` against shots
    concentration_figure                                    those three as one figure
    kl, curves                                              divergences per shot, in bits
    components, compare_components, ternary                 a `DirichletMixture`
    criterion                                               a `PriorSelection`
    calibration                                             a `Comparison` with a matrix
    continuity                                              a `ContinuityReport`
    elicitation                                             an `ElicitationReport`
    elicitation_figure                                      the same by length and by last token
    icl_curve, scaling_laws, wind_tunnel                    an `IclFit`, `ScalingFit`, and a score
    learning_path                                           a `LearningPath`: three panels

Every function takes `ax`, draws there and returns the axes; without `ax` it makes a new figure.
Nothing is shown, no rc parameter is changed.  Colours are Okabe & Ito's, safe for the colour-blind;
line styles, markers and printed figures carry the same distinctions, so that the pictures read in
grey.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator
except ImportError as error:  # pragma: no cover - depends on the installation
    raise ImportError("plots need matplotlib: pip install 'matrixbayes[plot]'") from error

from ._numbers import reals
from ._plot_elicitation import elicitation, elicitation_figure
from ._plot_learning import icl_curve, learning_path, scaling_laws, wind_tunnel
from ._plot_mixture import compare_components, components, ternary
from ._plot_style import (
    COLOURS,
    GREY,
    MARKERS,
    MOST,
    STYLES,
    every,
    legend,
    new_axes,
    probabilities,
    shot_axis,
    tidy,
    token_columns,
    token_name,
)

if TYPE_CHECKING:
    from ._continuity_report import ContinuityReport
    from .comparison import Comparison
    from .matrix import PosteriorPath
    from .selection import PriorSelection

__all__ = [
    "calibration",
    "compare_components",
    "component_weights",
    "components",
    "concentration",
    "concentration_figure",
    "continuity",
    "criterion",
    "curves",
    "elicitation",
    "elicitation_figure",
    "icl_curve",
    "kl",
    "learning_path",
    "scaling_laws",
    "ternary",
    "total_concentration",
    "wind_tunnel",
]


def concentration(
    path: PosteriorPath,
    *,
    rows: Any = None,
    kind: str | None = None,
    tokens: Iterable[str | int] | None = None,
    level: float = 0.9,
    ax: Axes | None = None,
) -> Axes:
    """How the posterior concentrates: each token's probability, with credible bands, against shots.

    Parameters
    ----------
    path
        The posterior after each demonstration, from `posterior_path`.
    rows
        The model's own predictions, drawn as markers: `NextTokenRows`, or an array of shape
        (S + 1, V); the zero-shot row first.
    kind
        What an array holds: "log_probs", "probs" or "logits".
    tokens
        Names or columns of the tokens to draw, at most seven; by default the four most probable.
    level
        Probability inside a band, between 0 and 1.
    ax
        Where to draw; a new figure without it.

    Returns
    -------
    Axes
        Lines are posterior means; of many predictions about 25 are marked.  The row of marks above
        the data shows which of the drawn tokens was demonstrated at each shot.
    """
    mean = np.asarray(path.mean())
    own = None if rows is None else probabilities(rows, kind, mean.shape, path.tokens)
    columns = token_columns(path.tokens, tokens, mean.mean(axis=0) + mean[-1])
    bands = path.interval(level, tokens=columns)
    ax = new_axes(ax, 7.5, 4.2)
    shots = np.arange(len(mean))
    handles: list[Any] = []
    for i, j in enumerate(columns):
        look: dict[str, Any] = {"color": COLOURS[i], "linestyle": STYLES[i]}
        mark: dict[str, Any] = {"color": COLOURS[i], "marker": MARKERS[i], "markersize": 5.5}
        mark |= {"markeredgecolor": "white", "markeredgewidth": 0.7}
        band = bands[:, i]
        ax.fill_between(shots, band[:, 0], band[:, 1], color=COLOURS[i], alpha=0.14, linewidth=0)
        ax.plot(shots, band, linewidth=0.6, alpha=0.55, **look)
        ax.plot(shots, mean[:, j], linewidth=1.7, **look)
        if own is not None:
            ax.plot(shots, own[:, j], linestyle="none", markevery=every(len(shots)), **mark)
        _rug(ax, [t + 1 for t, token in enumerate(path.demonstrations) if token == j], mark)
        name = token_name(path.tokens, j)
        handles.append(Line2D([], [], linewidth=1.7, label=name, **look | mark))
    handles += _keys(level, shown=len(path.demonstrations) > 0, own=own is not None)
    tidy(ax, xlabel="demonstrations seen (shots)", ylabel="probability of the next token")
    ax.set_title("Posterior mean", loc="left", fontsize="medium", fontweight="bold", pad=14)
    shot_axis(ax, len(shots) - 1)
    ax.set_ylim(0.0, min(1.0, ax.get_ylim()[1]))
    legend(ax, handles)
    return ax


def _keys(level: float, *, shown: bool, own: bool) -> list[Any]:
    """Legend entries for what is drawn of every token."""
    look: dict[str, Any] = {"linestyle": "none", "color": GREY}
    keys: list[Any] = []
    if shown:
        keys.append(Line2D([], [], marker=r"$\uparrow$", label="marks above: demonstrated", **look))
    keys.append(Patch(facecolor=GREY, alpha=0.25, label=f"{100 * level:g}% credible band"))
    if own:
        label = "model's own prediction"
        keys.append(Line2D([], [], marker="o", markersize=5.5, label=label, **look))
    return keys


def _rug(ax: Axes, shots: list[int], mark: dict[str, Any]) -> None:
    """Marks above the data at the shots where a token was demonstrated."""
    where = ax.get_xaxis_transform()
    height = np.full(len(shots), 1.03)
    ax.plot(shots, height, linestyle="none", transform=where, clip_on=False, **mark)


def total_concentration(path: PosteriorPath, *, ax: Axes | None = None) -> Axes:
    """The posterior's expected concentration (pseudo-counts, sum_k w_k A_k) against shots.

    The thin line is the prior's plus one per demonstration: where the two part, the demonstrations
    have moved weight between components.
    """
    total = np.asarray(path.concentration())
    shots = np.arange(len(total))
    ax = new_axes(ax, 7.0, 3.0)
    look: dict[str, Any] = {"marker": "o", "markersize": 4, "markevery": every(len(shots))}
    ax.plot(shots, total, color=COLOURS[0], label="posterior", **look)
    ax.plot(
        shots, total[0] + shots, color=GREY, linestyle="--", linewidth=1.1, label="prior + shots"
    )
    tidy(
        ax,
        xlabel="demonstrations seen (shots)",
        ylabel="pseudo-counts",
        title="Total concentration",
    )
    shot_axis(ax, len(shots) - 1)
    ax.set_ylim(bottom=0.0)
    legend(ax)
    return ax


def component_weights(path: PosteriorPath, *, ax: Axes | None = None) -> Axes:
    """The posterior weight of each component against shots; of many, the seven heaviest."""
    weights = np.asarray(path.weights)
    means = np.asarray(path.prior.alpha)
    ax = new_axes(ax, 7.0, 3.0)
    shots = np.arange(len(weights))
    heavy = np.sort(np.argsort(-weights.max(axis=0), kind="stable")[:MOST])
    for i, k in enumerate(heavy):
        two = np.argsort(-means[k], kind="stable")[:2]
        top = ", ".join(token_name(path.tokens, int(j), width=9) for j in two)
        look: dict[str, Any] = {"color": COLOURS[i], "linestyle": STYLES[i], "marker": MARKERS[i]}
        look |= {"markersize": 4, "markevery": every(len(shots))}
        ax.plot(shots, weights[:, k], label=f"component {k} ({top})", **look)
    title = (
        "Component weights" if len(heavy) == weights.shape[1] else f"The {MOST} heaviest components"
    )
    tidy(ax, xlabel="demonstrations seen (shots)", ylabel="posterior weight", title=title)
    shot_axis(ax, len(shots) - 1)
    ax.set_ylim(-0.03, 1.03)
    legend(ax)
    return ax


def concentration_figure(
    path: PosteriorPath,
    *,
    rows: Any = None,
    kind: str | None = None,
    tokens: Iterable[str | int] | None = None,
    level: float = 0.9,
    figure: Figure | None = None,
) -> Figure:
    """`concentration`, `total_concentration`, `component_weights`: three panels, one figure."""
    if figure is None:
        from matplotlib import pyplot

        figure = pyplot.figure(figsize=(9.0, 9.0))
    # Fixed margins: a long legend must not squeeze the panels, as a layout engine would let it.
    figure.set_layout_engine("none")
    margins = {"left": 0.085, "right": 0.66, "top": 0.95, "bottom": 0.06, "hspace": 0.22}
    panels = figure.subplots(3, 1, sharex=True, height_ratios=[2, 1, 1], gridspec_kw=margins)
    top, middle, bottom = panels
    concentration(path, rows=rows, kind=kind, tokens=tokens, level=level, ax=top)
    total_concentration(path, ax=middle)
    component_weights(path, ax=bottom)
    for ax in (top, middle):
        ax.set_xlabel("")
    return figure


def kl(path: PosteriorPath, rows: Any, *, kind: str | None = None, ax: Axes | None = None) -> Axes:
    """KL(model || predictive) in bits per shot: how far the prior's predictive is from the model.

    Parameters
    ----------
    path
        The posterior after each demonstration, from `posterior_path`.
    rows
        The model's own predictions, one row per shot, the zero-shot row first.
    kind
        What an array holds: "log_probs", "probs" or "logits".
    ax
        Where to draw; a new figure without it.
    """
    return curves({"KL(model || predictive)": path.kl(rows, kind=kind, base=2)}, ax=ax)


def curves(
    values: Mapping[str, ArrayLike],
    *,
    errors: Mapping[str, ArrayLike] | None = None,
    ylabel: str = "divergence (bits)",
    title: str = "Divergence per shot",
    ax: Axes | None = None,
) -> Axes:
    """Named curves against shots, each with a band of one standard error where it is given.

    Parameters
    ----------
    values
        Name -> one value per shot, the zero-shot value first; at most seven curves.
    errors
        Name -> one standard error per shot; names without an entry get no band.
    ylabel, title
        What the values are, with their unit.
    ax
        Where to draw; a new figure without it.
    """
    if not 1 <= len(values) <= MOST:
        raise ValueError(
            f"asked to draw {len(values)} curves: between 1 and {MOST} can be told apart"
        )
    ax = new_axes(ax, 7.5, 3.6)
    last, lowest = 0, 0.0
    for i, (name, value) in enumerate(values.items()):
        y = reals(value, f"values[{name!r}]")
        shots = np.arange(len(y))
        last, lowest = max(last, len(y) - 1), min(lowest, float(np.nanmin(y)))
        look: dict[str, Any] = {"color": COLOURS[i], "linestyle": STYLES[i], "marker": MARKERS[i]}
        look |= {"markersize": 4, "markevery": (i, every(len(shots)) + len(values) - 1)}
        ax.plot(shots, y, label=name, **look)
        if errors is not None and name in errors:
            e = reals(errors[name], f"errors[{name!r}]")
            ax.fill_between(shots, y - e, y + e, color=COLOURS[i], alpha=0.18, linewidth=0)
    tidy(ax, xlabel="demonstrations seen (shots)", ylabel=ylabel, title=title)
    shot_axis(ax, last)
    if lowest >= 0.0:
        ax.set_ylim(bottom=0.0)
    legend(ax)
    return ax


_CRITERIA = {
    "aic": "AIC (lower is better)",
    "bic": "BIC (lower is better)",
    "icl": "ICL (lower is better)",
    "log_evidence": "log-evidence, nats (higher is better)",
    "cv": "held-out nats a row (higher is better)",
}


def criterion(selection: PriorSelection, *, ax: Axes | None = None) -> Axes:
    """The criterion of a `PriorSelection` against the number of components.

    A held-out score has its standard error.  A size whose fit did not converge is crossed out.
    """
    name = str(getattr(selection, "criterion", "bic"))
    table = [entry for entry in selection.table if entry[name] is not None]
    sizes = [int(entry["n_components"]) for entry in table]
    values = [float(entry[name]) for entry in table]
    best = int(selection.best_.n_components)
    ax = new_axes(ax, 6.0, 3.4)
    ax.plot(sizes, values, color=COLOURS[0], marker="o")
    if name == "cv":
        errors = [float(entry["cv_se"]) for entry in table]
        ax.errorbar(sizes, values, yerr=errors, color=COLOURS[0], linestyle="none", capsize=3)
    unsettled = [i for i, entry in enumerate(table) if not entry.get("converged", True)]
    if unsettled:
        ax.plot(
            [sizes[i] for i in unsettled],
            [values[i] for i in unsettled],
            color=GREY,
            marker="x",
            markersize=11,
            markeredgewidth=2.0,
            linestyle="none",
            zorder=3,
            label="did not converge",
        )
    at = values[sizes.index(best)]
    ring: dict[str, Any] = {
        "markersize": 14,
        "markeredgewidth": 2.0,
        "markerfacecolor": "none",
        "linestyle": "none",
    }
    ax.plot([best], [at], marker="o", color=COLOURS[1], label=f"chosen: {best}", **ring)
    tidy(ax, xlabel="number of components K", ylabel=_CRITERIA[name])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_title("Choice of K", loc="left", fontsize="medium", fontweight="bold")
    legend(ax)
    return ax


def calibration(comparison: Comparison, *, ax: Axes | None = None) -> Axes:
    """The matrix's probability of tokens against the model's, in bins; calibrated on the diagonal.

    Parameters
    ----------
    comparison
        From `compare`.
    ax
        Where to draw; a new figure without it.
    """
    model, matrix, many = comparison.bins[comparison.bins[:, 2] > 0.0].T
    ax = new_axes(ax, 6.4, 4.4)
    ends = [float(min(model.min(), matrix.min())), 1.0]
    ax.plot(ends, ends, color=GREY, linewidth=1.0, linestyle="--", label="calibrated")
    ax.plot(model, matrix, color=COLOURS[0], linewidth=1.0)
    sizes = 12.0 + 22.0 * np.clip(np.log10(np.maximum(many, 1e-3)) + 3.0, 0.0, None) / 3.0
    ax.scatter(model, matrix, s=sizes, color=COLOURS[0], zorder=3, label="tokens in a bin")
    ax.set_xscale("log")
    ax.set_yscale("log")
    tidy(ax, xlabel="probability in the model", ylabel="mean probability in the matrix")
    ax.set_title("Calibration", loc="left", fontsize="medium", fontweight="bold")
    legend(ax)
    return ax


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
        share = f"{100 * report.level:g}% of samples"
        ax.fill_between(report.delta, *report.band, label=share, **band)
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
