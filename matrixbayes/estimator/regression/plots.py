"""Pictures of a `ConcentrationRegression` and of what it predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..._base.arguments import having
from ..._base.drawing.names import words
from ..._base.drawing.space import cell
from ..._base.drawing.ticks import log_axis, name_axis, whole_numbers
from ..._base.style import COLOURS, GREY, entry, legend, new_axes, tidy
from ..._base.typing import Floats
from .design import Term

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .result import ConcentrationPrediction, ConcentrationRegression

BAND = 0.95
POINTS = 200


def concentration_regression(
    regression: ConcentrationRegression, covariate: str | None = None, *, ax: Axes | None = None
) -> Axes:
    """The concentration of a `ConcentrationRegression` against a covariate, on a log axis.

    Parameters
    ----------
    regression : ConcentrationRegression
    covariate : str, optional
        The first one by default; others are held at their means.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        The fit with its 95% band, and the concentrations that rows with like covariates have by
        themselves, moved to where the other covariates are held, with one standard error each way.
    """
    having(regression, "regression", "names")
    terms = {term.name: term for term in regression.design.terms}
    if not terms:
        raise ValueError("there is no covariate to draw the concentration against")
    name = next(iter(terms)) if covariate is None else covariate
    if name not in terms:
        raise ValueError(f"{name!r} is no covariate of this fit: {', '.join(map(repr, terms))}")
    term = terms[name]
    columns = [regression.names.index(column) for column in term.columns]
    ax = new_axes(ax, 6.0, 3.8)
    place, at = _places(regression, term, columns)
    settings = np.tile(regression.centre, (len(place), 1))
    settings[:, columns] = at
    low, middle, high = _predicted(regression, settings)
    if term.levels is None:
        ax.fill_between(place, low, high, color=COLOURS[0], alpha=0.2, linewidth=0)
        ax.plot(place, middle, color=COLOURS[0])
    else:
        ax.errorbar(
            place, middle, [middle - low, high - middle], color=COLOURS[0], fmt="_", capsize=5
        )
    _draw_observed(ax, regression, term, columns)
    log_axis(ax.yaxis)
    tidy(ax, xlabel=words(name, 30), ylabel="concentration", title="Concentration by covariate")
    if term.levels is not None:  # names come after the numbers that an axis has
        width, height = cell(ax)
        name_axis(ax.xaxis, [words(level, 18) for level in term.levels], 0.5 * width, 0.3 * height)
        ax.set_xlim(-0.5, len(place) - 0.5)
    legend(
        ax,
        [
            entry("fit, 95% band", color=COLOURS[0]),
            entry("rows by themselves, ± s.e.", color=GREY, marker="o", linestyle="none"),
        ],
    )
    return ax


def predictions(prediction: ConcentrationPrediction, *, ax: Axes | None = None) -> Axes:
    """The concentrations of a `ConcentrationPrediction` in order, with their intervals."""
    ax = new_axes(ax, 6.0, 3.4)
    middle, low, high = prediction[:3]
    ends = [np.where(np.isfinite(high), end, np.nan) for end in (middle - low, high - middle)]
    ax.errorbar(np.arange(len(middle)), middle, ends, color=COLOURS[0], fmt="o", capsize=3)
    log_axis(ax.yaxis)
    tidy(ax, xlabel="setting", ylabel="concentration", title="Predicted concentrations")
    whole_numbers(ax.xaxis)
    return ax


def _places(
    regression: ConcentrationRegression, term: Term, columns: list[int]
) -> tuple[Floats, Floats]:
    """Where to draw (n,), and the term's columns there."""
    if term.levels is not None:
        n = len(term.levels)
        return np.arange(n, dtype=float), np.eye(n)[:, 1:]
    seen = regression.observed.covariates[:, columns[0]]
    margin = 0.03 * (seen.max() - seen.min())
    place = np.linspace(seen.min() - margin, seen.max() + margin, POINTS)
    return place, place[:, np.newaxis]


def _predicted(
    regression: ConcentrationRegression, settings: Floats
) -> tuple[Floats, Floats, Floats]:
    """The concentration at rows of a design, between the ends of its band."""
    eta, half = regression.log_concentration(settings, BAND)
    half = np.where(np.isfinite(half), half, np.nan)  # not known: not drawn
    return np.exp(eta - half), np.exp(eta), np.exp(eta + half)


def _draw_observed(
    ax: Axes, regression: ConcentrationRegression, term: Term, columns: list[int]
) -> None:
    """What rows with like covariates say by themselves."""
    seen = regression.observed
    moved = np.tile(regression.centre, (len(seen.covariates), 1))
    moved[:, columns] = seen.covariates[:, columns]
    here = regression.log_concentration(seen.covariates, BAND)[0]
    eta = np.log(seen.concentration) + regression.log_concentration(moved, BAND)[0] - here
    if term.levels is None:
        place = seen.covariates[:, columns[0]]
    else:
        place = seen.covariates[:, columns] @ np.arange(1.0, len(term.levels)) + 0.12
    error = np.minimum(seen.log_error, 5.0)
    ends = np.exp(eta) - np.exp(eta - error), np.exp(eta + error) - np.exp(eta)
    ax.errorbar(place, np.exp(eta), ends, color=GREY, fmt="o", markersize=4, linewidth=1, zorder=1)
