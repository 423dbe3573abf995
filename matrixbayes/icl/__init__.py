"""In-context learning: how fast, after which demonstrations, and by which law.

Contents
    icl_curve, fit_icl_curve                          learning curves of Bayes' rule, and their fit
    flipped_label_design, unrelated_label_design      prompts that set demonstrations against words
    LabelDesign, LabelCurve                           such prompts, and the curves of a model's rows
    fit_scaling_laws, bayesian_law                    curves of several tasks under one law
    learning_path                                     a model's rows beside a posterior's
"""

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
