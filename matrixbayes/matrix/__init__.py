"""The Matrix: contexts, what followed them, and a posterior over each row.

Contents
    TransitionMatrix       counts, hierarchy, predictions, evidence, files
    compare, Comparison    a model's rows beside those of a matrix
    ComparisonBounds       the same of rows known in part
    bits_per_byte, BitsPerByte    models of any vocabularies, by what they make of texts
    BackoffModel, read_arpa    back-off models, and files of them
    Pruned                 what pruning took from a matrix
    interpolate, Interpolation    mixtures of models, weighted by held-out text
"""

# Where version 0.1.0 had them: pickles ask for the type here.
from ..mixture.path import PosteriorPath as PosteriorPath
from ..mixture.path import posterior_path as posterior_path
from .arpa.model import BackoffModel
from .arpa.reading import read_arpa
from .comparing.bounds import ComparisonBounds
from .comparing.text_bits import BitsPerByte, bits_per_byte
from .comparison import Comparison, compare
from .matrix import TransitionMatrix
from .mixing.interpolation import Interpolation, interpolate
from .pruning.pruned import Pruned

__all__ = [
    "BackoffModel",
    "BitsPerByte",
    "Comparison",
    "ComparisonBounds",
    "Interpolation",
    "Pruned",
    "TransitionMatrix",
    "bits_per_byte",
    "compare",
    "interpolate",
    "read_arpa",
]
