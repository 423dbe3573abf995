"""A picture of a `Comparison` with a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._base.style import COLOURS, GREY, legend, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .comparison import Comparison


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
