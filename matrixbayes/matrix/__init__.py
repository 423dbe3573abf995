"""The Matrix: transition counts, the hierarchy over them, evidence, files."""

# Where version 0.1.0 had them: pickles ask for the type here.
from ..mixture.path import PosteriorPath as PosteriorPath
from ..mixture.path import posterior_path as posterior_path
from .comparison import Comparison, compare
from .matrix import TransitionMatrix

__all__ = [
    "Comparison",
    "TransitionMatrix",
    "compare",
]
