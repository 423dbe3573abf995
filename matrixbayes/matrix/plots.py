"""Pictures of comparisons, mixtures of models, and n-grams.

Contents
    calibration        the first side's probabilities against the second's
    mixture_weights    the weights of models, with standard errors
    comparison_bounds, text_bits, bits_difference                rows known in part, texts
    context_counts, order_concentrations, ngrams, pruned         what a matrix, a model is made of
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.arguments import having
from .._base.display import number
from .._base.display.pictures import named, shares
from .._base.drawing.names import words
from .._base.drawing.space import cell
from .._base.drawing.ticks import log_axis, name_axis
from .._base.style import COLOURS, GREY, legend, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .arpa.model import BackoffModel
    from .comparing.bounds import ComparisonBounds
    from .comparing.text_bits import BitsPerByte, Difference
    from .comparison import Comparison
    from .matrix import TransitionMatrix
    from .mixing.interpolation import Interpolation
    from .prior import Concentration
    from .pruning.pruned import Pruned


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
    having(comparison, "comparison", "bins")
    model, matrix, many = comparison.bins[comparison.bins[:, 2] > 0.0].T
    ax = new_axes(ax, 6.4, 4.4)
    ends = [float(min(model.min(), matrix.min())), 1.0]
    ax.plot(ends, ends, color=GREY, linewidth=1.0, linestyle="--", label="calibrated")
    ax.plot(model, matrix, color=COLOURS[0], linewidth=1.0)
    sizes = 12.0 + 22.0 * np.clip(np.log10(np.maximum(many, 1e-3)) + 3.0, 0.0, None) / 3.0
    ax.scatter(model, matrix, s=sizes, color=COLOURS[0], zorder=3, label="tokens in a bin")
    first, second = (words(name) for name in comparison.names)
    below, beside = f"probability in the {second}", f"mean probability in the {first}"
    tidy(ax, xlabel=below, ylabel=beside, title="Calibration")
    log_axis(ax.xaxis)
    log_axis(ax.yaxis)
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
    having(interpolation, "interpolation", "weights")
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
    tidy(ax, xlabel="model", ylabel="weight", title="Mixture of models")
    width, height = cell(ax)
    names = [words(name, 24) for name in interpolation.names]
    name_axis(ax.xaxis, names, 0.5 * width, 0.35 * height)
    legend(ax)
    return ax


def context_counts(matrix: TransitionMatrix, *, ax: Axes | None = None) -> Axes:
    """How often contexts were seen: the share of them seen no more often.

    Parameters
    ----------
    matrix
        A matrix of counts.
    ax
        Where to draw; a new figure without it.
    """
    seen = np.asarray(matrix.rows().sum(axis=1)).ravel()
    title = f"{len(seen)} contexts of {matrix.order} token{'s' * (matrix.order != 1)}"
    return shares({"": seen}, xlabel="times seen", of="contexts", title=title, ax=ax)


def ngrams(model: BackoffModel, *, ax: Axes | None = None) -> Axes:
    """How many n-grams a model has, by their length.

    Parameters
    ----------
    model
        From `read_arpa` or `TransitionMatrix.prune`.
    ax
        Where to draw; a new figure without it.
    """
    return named(
        [_tokens(k) for k in range(1, model.order + 2)],
        model.sizes,
        xlabel="n-grams",
        title="n-grams by length",
        ax=ax,
    )


def pruned(pruned: Pruned, *, ax: Axes | None = None) -> Axes:
    """How many n-grams there were before pruning, and are, by their length.

    Parameters
    ----------
    pruned
        Of a `BackoffModel`.
    ax
        Where to draw; a new figure without it.
    """
    return named(
        [_tokens(k) for k in range(1, len(pruned.after) + 1)],
        pruned.after,
        low=pruned.after,
        high=pruned.before,
        xlabel="n-grams left, and before",
        title="n-grams after pruning",
        ax=ax,
    )


def _tokens(n: int) -> str:
    return f"{n} token{'s' * (n != 1)}"


def comparison_bounds(comparison: ComparisonBounds, *, ax: Axes | None = None) -> Axes:
    """How far rows known in part are apart: at least, and at most.

    Parameters
    ----------
    comparison
        From `compare`.
    ax
        Where to draw; a new figure without it.
    """
    bits = comparison.kl / np.log(2.0)
    first, second = comparison.names
    return shares(
        {"at least": bits[:, 0], "at most": bits[:, 1]},
        xlabel=f"KL({first} || {second}), bits",
        title="Rows known in part",
        ax=ax,
    )


def text_bits(bits: BitsPerByte, *, ax: Axes | None = None) -> Axes:
    """Bits per byte of texts: the share of them that take no more.

    Parameters
    ----------
    bits
        From `bits_per_byte`.
    ax
        Where to draw; a new figure without it.
    """
    each = bits.bits / np.maximum(bits.n_bytes, 1)
    title = f"{number(float(bits))} bits per byte of all"
    ax = shares({"": each}, xlabel="bits per byte", of="texts", title=title, ax=ax)
    ax.axvline(float(bits), color=GREY, linestyle="--")
    return ax


def bits_difference(difference: Difference, *, ax: Axes | None = None) -> Axes:
    """A difference of bits per byte, with two standard errors to each side.

    Parameters
    ----------
    difference
        From `BitsPerByte.difference`.
    ax
        Where to draw; a new figure without it.
    """
    error = 2.0 * difference.standard_error
    return named(
        ["difference"],
        [difference.bits],
        low=[difference.bits - error],
        high=[difference.bits + error],
        line=0.0,
        xlabel="bits per byte",
        title="Difference, ± 2 standard errors",
        ax=ax,
    )


def order_concentrations(concentration: Concentration, *, ax: Axes | None = None) -> Axes:
    """The weight of each concentration of contexts of one order.

    Parameters
    ----------
    concentration
        One of `TransitionMatrix.concentrations`.
    ax
        Where to draw; a new figure without it.
    """
    return named(
        [number(float(value)) for value in concentration.values],
        concentration.weights,
        xlabel="weight",
        title="Concentrations",
        ax=ax,
    )
