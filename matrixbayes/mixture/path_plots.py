"""Pictures of a `PosteriorPath`, shot by shot.

Contents
    concentration, total_concentration, component_weights   what is believed after each shot
    concentration_figure                                    those three as one figure
    kl, curves                                              divergences per shot, in bits
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base.arguments import having, instance
from .._base.drawing.inks import ground
from .._base.drawing.names import token_names, words
from .._base.drawing.ticks import log_axis
from .._base.numbers import reals
from .._base.style import (
    COLOURS,
    GREY,
    MARKERS,
    MOST,
    STYLES,
    WIDE,
    entry,
    every,
    legend,
    new_axes,
    new_figure,
    palette,
    shot_axis,
    tidy,
    token_columns,
    token_name,
)
from ..rows import as_log_probs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .path import PosteriorPath


def concentration(
    path: PosteriorPath,
    *,
    rows: Any = None,
    kind: str | None = None,
    tokens: Iterable[str | int] | None = None,
    most: int = 4,
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
        Names or columns of the tokens to draw, at most seven; by default those demonstrated, the
        commonest first, and the most probable.
    most
        How many tokens are drawn by default, unless more have been demonstrated.  Of more than
        seven, all that are not drawn are one line.
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
    having(path, "path", "prior", "demonstrations")
    mean = np.asarray(path.mean())
    own = None if rows is None else probabilities(rows, kind, mean.shape, path.tokens)
    score = mean.mean(axis=0) + mean[-1]
    columns = token_columns(path.tokens, tokens, score, seen=path.demonstrations, most=most)
    names = token_names(path.tokens, columns)
    if tokens is None and mean.shape[1] > MOST:
        names.append(f"{mean.shape[1] - len(columns):,} others")
        path = _pooled(path, columns)
        mean = np.asarray(path.mean())
        if own is not None:
            own = np.column_stack([own[:, columns], np.delete(own, columns, axis=1).sum(axis=1)])
        columns = list(range(len(names)))
    bands = path.interval(level, tokens=columns)
    ax = new_axes(ax, 7.5, 4.2)
    shots, colours, edge = np.arange(len(mean)), palette(ax), ground(ax)
    handles: list[Any] = []
    for i, j in enumerate(columns):
        look: dict[str, Any] = {"color": colours[i], "linestyle": STYLES[i]}
        mark: dict[str, Any] = {"color": colours[i], "marker": MARKERS[i], "markersize": 5.5}
        mark |= {"markeredgecolor": edge, "markeredgewidth": 0.7}
        band = bands[:, i]
        ax.fill_between(shots, band[:, 0], band[:, 1], color=colours[i], alpha=0.14, linewidth=0)
        ax.plot(shots, band, linewidth=0.6, alpha=0.55, **look)
        ax.plot(shots, mean[:, j], linewidth=1.7, **look)
        if own is not None:
            ax.plot(shots, own[:, j], linestyle="none", markevery=every(len(shots)), **mark)
        _rug(ax, [t + 1 for t, token in enumerate(path.demonstrations) if token == j], mark)
        handles.append(entry(names[i], linewidth=1.7, **look | mark))
    handles += _keys(level, shown=len(path.demonstrations) > 0, own=own is not None)
    below, beside = "demonstrations seen (shots)", "probability of the next token"
    tidy(ax, xlabel=below, ylabel=beside, title="Posterior mean", pad=14.0)
    shot_axis(ax, len(shots) - 1)
    ax.set_ylim(0.0, min(1.0, ax.get_ylim()[1]))
    legend(ax, handles)
    return ax


def _pooled(path: PosteriorPath, columns: list[int]) -> PosteriorPath:
    """The path of some tokens, and of all others as one: exact, as Dirichlet mixtures are."""
    place = {j: i for i, j in enumerate(columns)}
    prior = path.prior.lump({str(i): [j] for j, i in place.items()})
    return type(path)(prior, tuple(place.get(j, len(place)) for j in path.demonstrations))


def _keys(level: float, *, shown: bool, own: bool) -> list[Any]:
    """Legend entries for what is drawn of every token."""
    from matplotlib.patches import Patch

    look: dict[str, Any] = {"linestyle": "none", "color": GREY}
    keys: list[Any] = []
    if shown:
        keys.append(entry("marks above: demonstrated", marker=r"$\uparrow$", **look))
    keys.append(Patch(facecolor=GREY, alpha=0.25, label=f"{100 * level:g}% credible band"))
    if own:
        keys.append(entry("model's own prediction", marker="o", markersize=5.5, **look))
    return keys


def _rug(ax: Axes, shots: list[int], mark: dict[str, Any]) -> None:
    """Marks above the data at the shots where a token was demonstrated."""
    if not shots:  # a line without points would lie at a corner of the figure
        return
    where = ax.get_xaxis_transform()
    height = np.full(len(shots), 1.03)
    ax.plot(shots, height, linestyle="none", transform=where, clip_on=False, **mark)


def total_concentration(path: PosteriorPath, *, ax: Axes | None = None) -> Axes:
    """The posterior's expected concentration (pseudo-counts, sum_k w_k A_k) against shots.

    The thin line is the prior's plus one per demonstration: where the two part, the demonstrations
    have moved weight between components.  The axis is logarithmic where it spans decades.
    """
    having(path, "path", "prior", "demonstrations")
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
    drawn = np.concatenate([total, total[0] + shots])
    if drawn.max() > WIDE * drawn.min() > 0.0:
        log_axis(ax.yaxis)
    else:
        ax.set_ylim(bottom=0.0)
    legend(ax)
    return ax


def component_weights(path: PosteriorPath, *, ax: Axes | None = None) -> Axes:
    """The posterior weight of each component against shots; of many, the seven heaviest."""
    having(path, "path", "prior", "demonstrations")
    weights = np.asarray(path.weights)
    means = np.asarray(path.prior.alpha)
    ax = new_axes(ax, 7.0, 3.0)
    shots, colours = np.arange(len(weights)), palette(ax)
    heavy = np.sort(np.argsort(-weights.max(axis=0), kind="stable")[:MOST])
    for i, k in enumerate(heavy):
        two = np.argsort(-means[k], kind="stable")[:2]
        top = ", ".join(token_name(path.tokens, int(j), width=9) for j in two)
        look: dict[str, Any] = {"color": colours[i], "linestyle": STYLES[i], "marker": MARKERS[i]}
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
    having(path, "path", "prior", "demonstrations")
    figure = new_figure(figure, 9.0, 9.0)
    figure.set_layout_engine("constrained")
    panels = figure.subplots(3, 1, sharex=True, height_ratios=[2, 1, 1])
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
    having(path, "path", "prior", "demonstrations")
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
    instance(values, Mapping, "values")
    if not 1 <= len(values) <= MOST:
        raise ValueError(
            f"asked to draw {len(values)} curves: between 1 and {MOST} can be told apart"
        )
    ax = new_axes(ax, 7.5, 3.6)
    last, lowest, colours = 0, 0.0, palette(ax)
    for i, (name, value) in enumerate(values.items()):
        y = reals(value, f"values[{name!r}]")
        shots = np.arange(len(y))
        last, lowest = max(last, len(y) - 1), min(lowest, float(np.nanmin(y)))
        look: dict[str, Any] = {"color": colours[i], "linestyle": STYLES[i], "marker": MARKERS[i]}
        look |= {"markersize": 4, "markevery": (i, every(len(shots)) + len(values) - 1)}
        ax.plot(shots, y, label=words(name), **look)
        if errors is not None and name in errors:
            e = reals(errors[name], f"errors[{name!r}]")
            ax.fill_between(shots, y - e, y + e, color=colours[i], alpha=0.18, linewidth=0)
    tidy(ax, xlabel="demonstrations seen (shots)", ylabel=ylabel, title=title)
    shot_axis(ax, last)
    if lowest >= 0.0:
        ax.set_ylim(bottom=0.0)
    legend(ax)
    return ax


def probabilities(
    rows: Any, kind: str | None, shape: tuple[int, ...], tokens: Sequence[str] | None
) -> NDArray[np.float64]:
    """The model's own predictions as probabilities, one row per shot."""
    log_probs, names = as_log_probs(rows, kind)
    if log_probs.shape != shape:
        raise ValueError(
            f"rows have shape {log_probs.shape}, the path needs {shape}: one row per shot, "
            "the zero-shot row first, over the prior's tokens"
        )
    if names is not None and tokens is not None and tuple(names) != tuple(tokens):
        raise ValueError("the rows' tokens are not the prior's; bring them into the same order")
    return np.exp(log_probs.astype(np.float64))
