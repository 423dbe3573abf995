"""Pictures of mixtures, posterior paths, model choice and learning: axes in, axes out.

Contents
    concentration, total_concentration, component_weights   a `PosteriorPath` against shots
    concentration_figure                                    those three as one figure
    kl, curves                                              divergences per shot, in bits
    components, compare_components, ternary                 a `DirichletMixture`
    criterion                                               a `PriorSelection`
    concentration_regression                                a `ConcentrationRegression`
    check                                                   a `FitCheck`
    check_figure                                            the same, and draws beside rows
    calibration                                             a `Comparison` with a matrix
    mixture_weights                                         an `Interpolation` of models
    continuity                                              a `ContinuityReport`
    elicitation                                             an `ElicitationReport`
    elicitation_figure                                      the same by length and by last token
    icl_curve, scaling_laws, wind_tunnel                    an `IclFit`, `ScalingFit`, and a score
    learning_path                                           a `LearningPath`
    learning_path_figure                                    the same in three panels
    layers, layers_figure                                   `LayerRows`

Results draw themselves: ``result.plot()`` is one of these, or a small picture of its own.

Every function takes `ax`, draws there and returns the axes; without `ax` it makes a new figure.
Nothing is shown, no rc parameter is changed.  Colours are Okabe & Ito's, safe for the colour-blind;
line styles, markers and printed figures carry the same distinctions, so that the pictures read in
grey.
"""

from .continuity.plots import continuity
from .elicitation.plots import elicitation, elicitation_figure
from .estimator.plots import criterion
from .estimator.regression.plots import concentration_regression
from .huggingface.layers.plots import layers, layers_figure
from .icl.plots import icl_curve, learning_path, learning_path_figure, scaling_laws
from .matrix.plots import calibration, mixture_weights
from .mixture.check_plots import check, check_figure
from .mixture.path_plots import (
    component_weights,
    concentration,
    concentration_figure,
    curves,
    kl,
    total_concentration,
)
from .mixture.plots import compare_components, components, ternary
from .windtunnel.plots import wind_tunnel

__all__ = [
    "calibration",
    "check",
    "check_figure",
    "compare_components",
    "component_weights",
    "components",
    "concentration",
    "concentration_figure",
    "concentration_regression",
    "continuity",
    "criterion",
    "curves",
    "elicitation",
    "elicitation_figure",
    "icl_curve",
    "kl",
    "layers",
    "layers_figure",
    "learning_path",
    "learning_path_figure",
    "mixture_weights",
    "scaling_laws",
    "ternary",
    "total_concentration",
    "wind_tunnel",
]


def __dir__() -> list[str]:
    """What completion offers: pictures, and nothing else."""
    return __all__
