"""Pictures of a `PriorSelection`, of standard errors, and of bounds on bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.arguments import having
from .._base.display.pictures import lines, named
from .._base.drawing.names import token_name
from .._base.drawing.ticks import from_base, whole_numbers
from .._base.style import COLOURS, GREY, legend, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .information import Information
    from .partial.bracket import BitsBounds
    from .partial.statistics import PartialStatistics
    from .sizes.prior_selection import PriorSelection
    from .statistics import CountStatistics


_CRITERIA = {
    "aic": ("AIC", "lower"),
    "bic": ("BIC", "lower"),
    "icl": ("ICL", "lower"),
    "log_evidence": ("log-evidence, nats", "higher"),
    "cv": ("held-out nats a row", "higher"),
    "held_bits": ("held-out bits a token", "lower"),
}


def criterion(selection: PriorSelection, *, ax: Axes | None = None) -> Axes:
    """The criterion of a `PriorSelection` against the number of components.

    The axis has differences from the best, which its label names.  A held-out score has its
    standard error.  A size whose fit did not converge is crossed out.  Of a size that was fitted at
    several resolutions, the best is drawn.
    """
    having(selection, "selection", "table")
    name = str(getattr(selection, "criterion", "bic"))
    sign = 1.0 if _CRITERIA[name][1] == "lower" else -1.0
    known = [entry for entry in selection.table if entry[name] is not None]
    if not known:
        raise ValueError(f"no size has a {name}: there is nothing to compare")
    best_last = sorted(known, key=lambda entry: -sign * entry[name])
    by_size = {int(entry["n_components"]): entry for entry in best_last}
    table = [by_size[size] for size in sorted(by_size)]
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
    what, better = _CRITERIA[name]
    base = f"{at:,.1f}".removesuffix(".0") if abs(at) >= 1000.0 else f"{at:.4g}"
    base = base.replace("-", "\u2212")
    words = f"{what}: difference from {base} ({better} is better)"
    tidy(ax, xlabel="number of components K", ylabel=words, title="Choice of K")
    whole_numbers(ax.xaxis)
    from_base(ax.yaxis, at)
    legend(ax)
    return ax


def standard_errors(information: Information, *, ax: Axes | None = None) -> Axes:
    """Standard errors of a fit's weights and alphas, the largest first.

    Parameters
    ----------
    information
        From `DirichletMixtureEstimator.information`.
    ax
        Where to draw; a new figure without it.
    """
    several, mode = len(information.weights_se) > 1, information.posterior_mode
    tokens = None if mode is None else mode.tokens
    errors = np.column_stack([information.weights_se, information.alpha_se])
    order = np.argsort(-errors, axis=None, kind="stable")
    names = [
        (f"{component}: " if several else "")
        + ("weight" if not place else token_name(tokens, place - 1))
        for component, place in zip(*np.unravel_index(order, errors.shape), strict=True)
    ]
    return named(
        names,
        errors.ravel()[order],
        xlabel="standard error",
        title="Standard errors",
        ax=ax,
    )


def bits_bounds(bounds: BitsBounds, *, ax: Axes | None = None) -> Axes:
    """What a token of complete rows costs: at least, and at most, against draws.

    Parameters
    ----------
    bounds
        From `DirichletMixtureEstimator.bits_bounds`.
    ax
        Where to draw; a new figure without it.
    """
    return lines(
        bounds.draws,
        {"at most": bounds.high, "at least": bounds.low},
        xlabel="draws",
        ylabel="bits a token",
        title="Bits of the complete rows",
        ax=ax,
    )


def component_totals(
    statistics: CountStatistics | PartialStatistics, *, ax: Axes | None = None
) -> Axes:
    """The weight of rows in each component, of what an M-step needs to know.

    Parameters
    ----------
    statistics
        From `DirichletMixtureEstimator.summarize`.
    ax
        Where to draw; a new figure without it.
    """
    weight = statistics.weight
    names = [str(k) for k in range(len(weight))]
    return named(names, weight, xlabel="weight of rows", title="Components", ax=ax)
