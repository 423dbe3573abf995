"""Small pictures of what mixtures give.

Contents
    uncertainty, spread                 figures beside each other
    approximation                       how well a mixture stands for a density
    kernel_weights, kernel_reduction    a `KernelMixture`, and what fewer components lose
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._base.display import number, percent
from .._base.display.pictures import lines, named

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .approximation import ApproximationReport
    from .kernels.kernel_mixture import KernelMixture
    from .kernels.reduction import KernelReduction
    from .mixture import Uncertainty
    from .spread import Spread


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
        xlabel=parts.unit,
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
    names = [f"{number(a)}, {percent(share)} to the mean" for a, share in mixture.pairs]
    return named(names, mixture.pair_weights, xlabel="weight", title="Concentrations", ax=ax)
