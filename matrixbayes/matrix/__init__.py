"""The Matrix: contexts, what followed them, and a posterior over each row.

Contents
    TransitionMatrix       counts, hierarchy, predictions, evidence, files
    compare, Comparison    a model's rows beside those of a matrix
    interpolate, Interpolation    mixtures of models, weighted by held-out text
"""

# Where version 0.1.0 had them: pickles ask for the type here.
from ..mixture.path import PosteriorPath as PosteriorPath
from ..mixture.path import posterior_path as posterior_path
from .comparing.bounds import ComparisonBounds
from .comparison import Comparison, compare
from .matrix import TransitionMatrix
from .mixing.interpolation import Interpolation, interpolate

__all__ = [
    "Comparison",
    "ComparisonBounds",
    "Interpolation",
    "TransitionMatrix",
    "compare",
    "interpolate",
]
