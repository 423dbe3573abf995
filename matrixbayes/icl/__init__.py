"""In-context learning: curves, designs, scaling laws, paths."""

from .curve import IclCurve, IclFit, fit_icl_curve, icl_curve
from .designs import flipped_label_design, unrelated_label_design
from .label_design import LabelCurve, LabelDesign
from .path import LearningPath, learning_path
from .scaling import LAWS, LawFit, ScalingFit, bayesian_law, fit_scaling_laws

__all__ = [
    "LAWS",
    "IclCurve",
    "IclFit",
    "LabelCurve",
    "LabelDesign",
    "LawFit",
    "LearningPath",
    "ScalingFit",
    "bayesian_law",
    "fit_icl_curve",
    "fit_scaling_laws",
    "flipped_label_design",
    "icl_curve",
    "learning_path",
    "unrelated_label_design",
]
