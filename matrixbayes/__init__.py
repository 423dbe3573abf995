"""Bayesian learning of language models' next-token distributions, after Dalal & Misra (2024).

Names are loaded when they are first used: importing the package costs NumPy and
the C core, nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._core import SufficientStatistics

if TYPE_CHECKING:
    from . import plot
    from .comparison import compare
    from .elicitation import elicit_prior
    from .errors import ConvergenceWarning, NotFittedError
    from .huggingface import collect, preflight
    from .matrix import PosteriorPath, posterior_path
    from .mixture import DirichletMixture
    from .prior import DirichletMixtureEstimator
    from .rows import NextTokenRows
    from .selection import PriorSelection, select_prior
    from .transitions import TransitionMatrix

__version__ = "0.1.0"

# Where each public name lives.
_HOMES = {
    "ApproximationReport": "approximation",
    "Comparison": "comparison",
    "ConvergenceWarning": "errors",
    "CountStatistics": "em",
    "DirichletMixture": "mixture",
    "DirichletMixtureEstimator": "prior",
    "GammaPrior": "em",
    "NextTokenRows": "rows",
    "NotFittedError": "errors",
    "PosteriorPath": "matrix",
    "PriorSelection": "selection",
    "TransitionMatrix": "transitions",
    "approximation_report": "approximation",
    "collect": "huggingface",
    "compare": "comparison",
    "elicit_prior": "elicitation",
    "posterior_path": "matrix",
    "preflight": "huggingface",
    "read_easel": "easel",
    "select_prior": "selection",
    "write_easel": "easel",
}
_MODULES = ("plot",)

__all__ = [
    "ApproximationReport",
    "Comparison",
    "ConvergenceWarning",
    "CountStatistics",
    "DirichletMixture",
    "DirichletMixtureEstimator",
    "GammaPrior",
    "NextTokenRows",
    "NotFittedError",
    "PosteriorPath",
    "PriorSelection",
    "SufficientStatistics",
    "TransitionMatrix",
    "approximation_report",
    "collect",
    "compare",
    "elicit_prior",
    "plot",
    "posterior_path",
    "preflight",
    "read_easel",
    "select_prior",
    "write_easel",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    elif name in _MODULES:
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
