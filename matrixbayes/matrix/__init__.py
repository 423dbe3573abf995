"""The Matrix: transition counts, the hierarchy over them, evidence, files."""

# Where version 0.1.0 had it: pickles ask for it here.
from ..mixture.path import PosteriorPath as PosteriorPath
from .comparison import Comparison, compare
from .matrix import TransitionMatrix

__all__ = [
    "Comparison",
    "TransitionMatrix",
    "compare",
]
