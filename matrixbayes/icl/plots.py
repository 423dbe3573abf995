"""Pictures of learning: in-context curves, scaling laws, texts as evidence."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._base.arguments import having
from .._base.display.pictures import lines
from .._base.drawing.inks import ground, ink
from .._base.drawing.names import token_name
from .._base.drawing.space import cell
from .._base.drawing.ticks import far_axis, log_axis, most_names, name_axis, whole_numbers
from .._base.style import (
    COLOURS,
    GREY,
    MARKERS,
    STYLES,
    WIDE,
    every,
    legend,
    new_axes,
    new_figure,
    palette,
    tidy,
)
from .._base.typing import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .curve import IclCurve, IclFit
    from .label_design import LabelCurve, LabelDesign
    from .path import LearningPath
    from .scaling import LawFit, ScalingFit

POINTS = 200  # along a fitted curve
NAMED = 40  # tokens whose names are printed


def icl_curve(fit: IclFit, *, ax: Axes | None = None) -> Axes:
    """A learning curve: the points, one Dirichlet and a switch, and where they pass 1/2.

    Parameters
    ----------
    fit
        From `fit_icl_curve`.
    ax
        Where to draw; a new figure without it.

    Returns
    -------
    Axes
        Shots are on a logarithmic axis, linear from 0 to 1, where they reach far.  The form that
        the data prefer is drawn heavier.  Of many points with the same demonstrations the mean is
        marked, with one standard deviation.  Hollow marks are points that have demonstrations of
        other labels too, one for each number of those: the curves are of points that have none.
    """
    having(fit, "fit", "shots")
    ax = new_axes(ax, 7.5, 4.0)
    last = int(np.ceil(fit.shots.max()))
    ax.axhline(0.5, color=GREY, linewidth=0.8)
    for i, (name, curve) in enumerate((("one Dirichlet", fit.dirichlet), ("switch", fit.switch))):
        if curve is not None:
            _fitted(ax, i, name, curve, fit, last)
    alone = fit.others == 0.0
    _observed(ax, fit, alone, "observed", ink(ax))
    _observed(ax, fit, ~alone, "observed, with others", "none")
    below, beside = "demonstrations of the label (shots)", "probability of the label"
    tidy(ax, xlabel=below, ylabel=beside, title="In-context learning")
    _reaching(ax, np.array([0.0, last]))
    ax.set_ylim(-0.02, 1.02)
    legend(ax)
    return ax


def _fitted(ax: Axes, i: int, name: str, curve: IclCurve, fit: IclFit, last: int) -> None:
    """A form and its crossover, with the interval as a bar on the line at 1/2."""
    look: dict[str, Any] = {"color": COLOURS[i]}
    n, (low, high) = curve.crossover, curve.intervals.get("crossover", (np.nan, np.nan))
    if n == 0.0:
        words = "above 1/2 from the beginning"
    else:
        words = f"passes 1/2 at {n:.3g}" if np.isfinite(n) else "never passes 1/2"
        words += f" ({low:.3g} to {high:.3g})" if np.isfinite(low) else ""
    shots = np.expm1(np.linspace(0.0, np.log1p(last), POINTS))  # denser where a log axis is wider
    look |= {"linestyle": STYLES[i], "linewidth": 2.4 if curve is fit.best else 1.3}
    ax.plot(shots, curve(shots), label=f"{name}:\n{words}", **look)
    if low < last:
        bar: dict[str, Any] = {"linewidth": 5.0, "alpha": 0.45, "solid_capstyle": "butt"}
        ax.plot([low, min(high, last)], [0.5, 0.5], color=COLOURS[i], **bar)
    if 0.0 < n <= last:
        mark: dict[str, Any] = {"marker": MARKERS[2 + i], "markersize": 8, "zorder": 4}
        ax.plot([n], [0.5], color=COLOURS[i], markeredgecolor=ground(ax), linestyle="none", **mark)


def _observed(ax: Axes, fit: IclFit, chosen: NDArray[np.bool_], name: str, face: str) -> None:
    """Points, or their mean and standard deviation where several have the same demonstrations."""
    if not chosen.any():
        return
    both, p = np.column_stack([fit.shots, fit.others])[chosen], fit.probabilities[chosen]
    places, where, many = np.unique(both, axis=0, return_inverse=True, return_counts=True)
    shots, where = places[:, 0], where.reshape(-1)
    mean = np.bincount(where, p) / many
    with np.errstate(invalid="ignore"):  # of a single point there is none
        spread = np.sqrt(np.bincount(where, (p - mean[where]) ** 2) / (many - 1))
    mark: dict[str, Any] = {"marker": "o", "markersize": 4.5, "markerfacecolor": face}
    mark |= {"color": ink(ax), "linestyle": "none", "zorder": 3}
    if many.max() > 1:
        name += ", mean ± sd"
        ax.errorbar(shots, mean, yerr=spread, label=name, elinewidth=0.9, capsize=2, **mark)
    else:
        ax.plot(shots, mean, label=name, **mark)


def scaling_laws(fit: ScalingFit, *, task: int | None = None, ax: Axes | None = None) -> Axes:
    """Laws fitted to the first shots and extrapolated, with what was held out.

    Parameters
    ----------
    fit
        From `fit_scaling_laws`.
    task
        The number of the curve to show; by default their mean.
    ax
        Where to draw; a new figure without it.

    Returns
    -------
    Axes
        Shots are on a logarithmic axis, linear from 0 to 1, where they reach far.  Filled marks
        were fitted, hollow ones were not; the law that is best is drawn heavier.
    """
    having(fit, "fit", "laws")
    m = len(fit.probabilities)
    if task is not None:
        task = operator.index(task)
        if not 0 <= task < m:
            raise ValueError(f"task is {task}; there are curves 0 to {m - 1}")

    def shown(values: Floats) -> Floats:
        found: Floats = values.mean(axis=0) if task is None else values[task]
        return found

    ax = new_axes(ax, 7.5, 4.0)
    colours = palette(ax)
    shots, p = fit.shots, shown(fit.probabilities)
    # even on the axis, and through every number of shots that was given
    start, stop = np.log1p(shots[[0, -1]])
    dense = np.union1d(shots, np.expm1(np.linspace(start, stop, POINTS)))
    dense = np.clip(dense, shots[0], shots[-1])  # rounding may reach further
    for i, law in enumerate(fit.laws.values()):
        width = 2.4 if law is fit.best else 1.3
        error = law.nrmse if np.isnan(law.extrapolation_nrmse) else law.extrapolation_nrmse
        look: dict[str, Any] = {"color": colours[i], "linestyle": STYLES[i], "linewidth": width}
        ax.plot(dense, shown(law(dense)), label=f"{law.law} (NRMSE {error:.2g})", **look)
    mark: dict[str, Any] = {"marker": "o", "markersize": 4.5, "linestyle": "none"}
    mark["color"] = ink(ax)
    cut = fit.n_fitted
    ax.plot(shots[:cut], p[:cut], label="observed, fitted", zorder=3, **mark)
    if cut < len(shots):
        ax.plot(shots[cut:], p[cut:], label="observed, held out", markerfacecolor="none", **mark)
        ax.axvline((shots[cut - 1] + shots[cut]) / 2.0, color=GREY, linewidth=0.8, linestyle=":")
    of = "" if m == 1 else " (mean of tasks)" if task is None else f" (task {task})"
    below, beside = "examples seen (shots)", "probability of the next example"
    tidy(ax, xlabel=below, ylabel=beside, title=f"Scaling laws{of}")
    _reaching(ax, shots)
    if p.max() > WIDE * p.min():
        log_axis(ax.yaxis)
    legend(ax)
    return ax


def _reaching(ax: Axes, shots: Floats) -> None:
    """The axis of shots, logarithmic where they reach far."""
    if shots[-1] > WIDE:
        far_axis(ax.xaxis)
        ax.set_xlim(-0.1 if shots[0] < 1.0 else 0.9 * shots[0], 1.1 * shots[-1])
    else:
        whole_numbers(ax.xaxis)


def learning_path(
    path: LearningPath, *, ax: Axes | None = None, axes: Sequence[Axes] | None = None
) -> Any:
    """A text as evidence: KL and what the posterior does not know, token by token.

    Parameters
    ----------
    path
        From `learning_path`.
    ax
        Where to draw; a new figure without it.
    axes
        Three to draw the panels of `learning_path_figure` on instead, from above.

    Returns
    -------
    Axes
        Or a tuple of the three, where they were given: the model's and the posterior predictive
        probability of the token that came; KL(model || predictive); total, aleatoric and epistemic
        uncertainty of the posterior.
    """
    having(path, "path", "kl", "model_probability")
    if axes is None:
        return _along(path, ax)
    if len(axes) != 3:
        raise ValueError(f"there are {len(axes)} axes; three are needed")
    panels: list[tuple[str, str, dict[str, Floats]]] = [
        (
            "The token that came",
            "probability",
            {"model": path.model_probability, "posterior predictive": path.predictive_probability},
        ),
        ("Model against posterior predictive", "nats", {"KL(model || predictive)": path.kl}),
        (
            "Uncertainty of the posterior",
            "nats",
            {"total": path.total, "aleatoric": path.aleatoric, "epistemic": path.epistemic},
        ),
    ]
    for ax, (title, ylabel, values) in zip(map(new_axes, axes), panels, strict=True):
        for i, (name, value) in enumerate(values.items()):
            look: dict[str, Any] = {"color": COLOURS[i], "linestyle": STYLES[i]}
            look |= {"marker": MARKERS[i], "markersize": 4, "markevery": every(len(path))}
            ax.plot(np.arange(len(path)), value, label=name, **look)
        tidy(ax, xlabel="", ylabel=ylabel, title=title)
        whole_numbers(ax.xaxis)
        legend(ax)
    top, middle, bottom = axes
    top.set_ylim(-0.02, 1.02)
    for ax in (middle, bottom):
        ax.set_ylim(bottom=0.0)
    bottom.set_xlabel("token of the text")
    width, height = cell(bottom)
    if len(path) <= min(NAMED, most_names(bottom, 0.6 * width)):
        names = [token_name(path.names, int(j), width=12) for j in path.tokens]
        name_axis(bottom.xaxis, names, 0.6 * width, 0.35 * height)
    return top, middle, bottom


def _along(path: LearningPath, ax: Axes | None) -> Axes:
    """KL and uncertainty, which are both in nats."""
    drawn = lines(
        np.arange(len(path)),
        {"KL(model || predictive)": path.kl, "total": path.total, "epistemic": path.epistemic},
        xlabel="token of the text",
        ylabel="nats",
        title="Model against posterior predictive",
        ax=ax,
    )
    whole_numbers(drawn.xaxis)
    return drawn


def learning_path_figure(path: LearningPath, *, figure: Figure | None = None) -> Figure:
    """A text as evidence in three panels.

    Along the text: the model's and the posterior predictive probability of the token that came;
    KL(model || predictive); total, aleatoric and epistemic uncertainty of the posterior.

    Parameters
    ----------
    path
        From `learning_path`.
    figure
        An empty one to draw on; a new one without it.
    """
    having(path, "path", "kl", "model_probability")
    figure = new_figure(figure, 9.0, 7.5, layout="constrained")
    learning_path(path, axes=figure.subplots(3, 1, sharex=True))
    return figure


def fitted_curve(curve: IclCurve, *, ax: Axes | None = None) -> Axes:
    """The probability of the label that is shown, against shots.

    Parameters
    ----------
    curve
        Of an `IclFit`.
    ax
        Where to draw; a new figure without it.
    """
    end = 2.0 * curve.crossover if 0.0 < curve.crossover < np.inf else 32.0
    shots = np.unique(np.linspace(0.0, max(8.0, end), 200).round())
    ax = lines(
        shots,
        {"": curve(shots)},
        xlabel="demonstrations seen (shots)",
        ylabel="probability of the label shown",
        title="Fitted curve",
        ax=ax,
    )
    ax.axhline(0.5, color=GREY, linestyle="--", linewidth=1.0)
    ax.set_ylim(-0.02, 1.02)
    return ax


def label_curve(curve: LabelCurve, *, ax: Axes | None = None) -> Axes:
    """The probability of the label by the rule, with two standard errors to each side.

    Parameters
    ----------
    curve
        From `LabelDesign.curve`.
    ax
        Where to draw; a new figure without it.
    """
    p, error = curve.probability, 2.0 * np.nan_to_num(curve.standard_error)
    ax = lines(
        curve.shots,
        {"": p},
        bands={"": (p - error, p + error)},
        xlabel="demonstrations seen (shots)",
        ylabel="probability",
        title="The label by the rule",
        ax=ax,
    )
    ax.set_ylim(-0.02, 1.02)
    return ax


def label_design(design: LabelDesign, *, ax: Axes | None = None) -> Axes:
    """How many prompts show how many demonstrations, and of them how many follow the rule.

    Parameters
    ----------
    design
        From `flipped_label_design` or `unrelated_label_design`.
    ax
        Where to draw; a new figure without it.
    """
    shots, times = np.unique(design.shots, return_counts=True)
    followed = [float(design.followed[design.shots == k].mean()) for k in shots]
    ax = lines(
        shots,
        {"prompts": times, "following the rule, mean": followed},
        xlabel="demonstrations in a prompt",
        ylabel="number",
        title=f"{len(design)} prompts",
        ax=ax,
    )
    ax.set_ylim(bottom=0.0)
    whole_numbers(ax.xaxis)
    return ax


def law(fit: LawFit, *, ax: Axes | None = None) -> Axes:
    """Probabilities that a law predicts, at the numbers of shots that it was given: their mean.

    Parameters
    ----------
    fit
        Of a `ScalingFit`.
    ax
        Where to draw; a new figure without it.
    """
    predicted = np.asarray(fit.predicted)
    ax = lines(
        np.arange(predicted.shape[1]),
        {"": predicted.mean(axis=0)},
        bands={"": (predicted.min(axis=0), predicted.max(axis=0))},
        xlabel="number of shots, by rank",
        ylabel="probability",
        title=f"{fit.law}: mean and range of {len(predicted)} tasks",
        ax=ax,
    )
    ax.set_ylim(-0.02, 1.02)
    return ax
