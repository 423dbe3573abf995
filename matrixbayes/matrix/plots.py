"""Pictures of a `Comparison`, and of an `Interpolation`.

Contents
    calibration        the first side's probabilities against the second's
    mixture_weights    the weights of models, with standard errors
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.display.pictures import plain_label
from .._base.style import COLOURS, GREY, legend, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .comparison import Comparison
    from .mixing.interpolation import Interpolation


def calibration(comparison: Comparison, *, ax: Axes | None = None) -> Axes:
    """The matrix's probability of tokens against the model's, in bins; calibrated on the diagonal.

    Of a comparison of other things, the first side's against the second's.

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
    first, second = comparison.names
    tidy(ax, xlabel=f"probability in the {second}", ylabel=f"mean probability in the {first}")
    ax.set_title("Calibration", loc="left", fontsize="medium", fontweight="bold")
    legend(ax)
    return ax


def mixture_weights(interpolation: Interpolation, *, ax: Axes | None = None) -> Axes:
    """The weights of the models of a mixture, with standard errors where text has told them.

    Parameters
    ----------
    interpolation
        From `interpolate`.
    ax
        Where to draw; a new figure without it.
    """
    ax = new_axes(ax, 6.0, 3.4)
    places, weights = np.arange(len(interpolation)), interpolation.weights
    ax.bar(places, weights, width=0.6, color=COLOURS[0], label="weight")
    errors = interpolation.standard_errors
    if errors is not None:
        known = np.isfinite(errors)
        bars: dict[str, Any] = {
            "fmt": "none",
            "ecolor": GREY,
            "capsize": 4,
            "label": "\u00b1 standard error",
        }
        ax.errorbar(places[known], weights[known], yerr=errors[known], **bars)
    names = [plain_label(name) for name in interpolation.names]
    ax.set_xticks(places, names)
    tidy(ax, xlabel="model", ylabel="weight")
    ax.set_title("Mixture of models", loc="left", fontsize="medium", fontweight="bold")
    legend(ax)
    return ax
