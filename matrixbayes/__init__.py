"""Bayesian learning of language models' next-token distributions, after Dalal & Misra (2024).

Names are loaded when they are first used: importing the package costs NumPy and
the C core, nothing else.
"""

import sys
from importlib import import_module
from typing import Any

from ._core import SufficientStatistics as SufficientStatistics

# Where each public name lives; __init__.pyi says the same to type checkers.
_HOMES = {
    "__version__": "_base.version",
    "AffineTest": "continuity",
    "AnswerCounts": "records",
    "BackoffModel": "matrix",
    "ApproximationReport": "mixture",
    "BitsBounds": "estimator",
    "BitsPerByte": "matrix",
    "BoundedRows": "rows",
    "Comparison": "matrix",
    "ComparisonBounds": "matrix",
    "ConcentrationPrediction": "estimator",
    "ConcentrationRegression": "estimator",
    "ContinuityReport": "continuity",
    "ConvergenceWarning": "errors",
    "CountStatistics": "estimator",
    "DiagnosticTest": "diagnostics",
    "DirichletMixture": "mixture",
    "DirichletMixtureEstimator": "estimator",
    "ElicitationReport": "elicitation",
    "ElicitedPredictor": "elicitation",
    "EmbeddingMap": "continuity",
    "FamilyComparison": "elicitation",
    "FitCheck": "mixture",
    "GammaPrior": "estimator",
    "Head": "huggingface",
    "HeadBound": "continuity",
    "IclCurve": "icl",
    "IclFit": "icl",
    "Interpolation": "matrix",
    "KernelMixture": "mixture",
    "LabelDesign": "icl",
    "LawFit": "icl",
    "LayerRows": "huggingface",
    "LearningPath": "icl",
    "LogitsFile": "records",
    "MisfitWarning": "errors",
    "NextTokenRows": "rows",
    "NotFittedError": "errors",
    "PartialRows": "rows",
    "PartialStatistics": "estimator",
    "PosteriorPath": "mixture",
    "PriorSelection": "estimator",
    "Pruned": "matrix",
    "ScalingFit": "icl",
    "ScoreCard": "diagnostics",
    "SegmentProbe": "continuity",
    "SoftmaxSpan": "continuity",
    "TokenPredictor": "huggingface",
    "TokenView": "reading",
    "TransitionMatrix": "matrix",
    "UrnPredictor": "diagnostics",
    "affine_test": "continuity",
    "approximation_report": "mixture",
    "bayesian_law": "icl",
    "bits_per_byte": "matrix",
    "check_continuity": "continuity",
    "check_prior": "mixture",
    "collect": "huggingface",
    "compare": "matrix",
    "elicit": "study",
    "elicit_prior": "elicitation",
    "embed_of": "huggingface",
    "exchangeability_test": "diagnostics",
    "fit_icl_curve": "icl",
    "fit_scaling_laws": "icl",
    "flipped_label_design": "icl",
    "forgetting_test": "diagnostics",
    "from_inspect": "records",
    "from_llama_cpp": "records",
    "from_lm_eval": "records",
    "from_ollama": "records",
    "from_openai": "records",
    "from_samples": "records",
    "from_sglang": "records",
    "from_tgi": "records",
    "from_topk": "records",
    "from_vllm": "records",
    "head_bound": "continuity",
    "head_of": "huggingface",
    "icl_curve": "icl",
    "interpolate": "matrix",
    "learning_path": "icl",
    "load_demo": "huggingface",
    "martingale_test": "diagnostics",
    "posterior_path": "mixture",
    "preflight": "huggingface",
    "probe_segment": "continuity",
    "read_arpa": "matrix",
    "read_easel": "mixture",
    "regress_concentration": "estimator",
    "score_card": "diagnostics",
    "select_prior": "estimator",
    "show_tokens": "reading",
    "span_of": "continuity",
    "uncertainty_scaling_test": "diagnostics",
    "unrelated_label_design": "icl",
    "write_easel": "mixture",
}
_MODULES = ("plot", "windtunnel")

__all__ = sorted({*_HOMES, *_MODULES, "SufficientStatistics"} - {"__version__"})


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
    return sorted({*__all__, "__version__"})


class _MovedModules:
    """Finds modules by names that they once had, after all other finders: old pickles ask."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        if name.rpartition(".")[0] != __name__:
            return None
        from ._moved import spec_of

        return spec_of(name)


sys.meta_path.append(_MovedModules)
