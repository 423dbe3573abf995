"""Bayesian learning of language models' next-token distributions, after Dalal & Misra (2024).

Names are loaded when they are first used: importing the package costs NumPy and
the C core, nothing else.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._core import SufficientStatistics

if TYPE_CHECKING:
    from . import plot, windtunnel
    from ._base.version import __version__ as __version__
    from .continuity import EmbeddingMap, check_continuity, head_bound, probe_segment
    from .diagnostics import (
        UrnPredictor,
        exchangeability_test,
        forgetting_test,
        martingale_test,
        score_card,
        uncertainty_scaling_test,
    )
    from .elicitation import (
        ElicitationReport,
        ElicitedPredictor,
        FamilyComparison,
        elicit_prior,
    )
    from .errors import ConvergenceWarning, MisfitWarning, NotFittedError
    from .estimator import DirichletMixtureEstimator, PriorSelection, select_prior
    from .huggingface import TokenPredictor, collect, load_demo, preflight
    from .icl import (
        fit_icl_curve,
        fit_scaling_laws,
        flipped_label_design,
        icl_curve,
        learning_path,
        unrelated_label_design,
    )
    from .matrix import (
        BackoffModel,
        TransitionMatrix,
        bits_per_byte,
        compare,
        interpolate,
        read_arpa,
    )
    from .mixture import (
        DirichletMixture,
        FitCheck,
        KernelMixture,
        PosteriorPath,
        check_prior,
        posterior_path,
    )
    from .records import (
        AnswerCounts,
        LogitsFile,
        from_inspect,
        from_llama_cpp,
        from_lm_eval,
        from_ollama,
        from_openai,
        from_samples,
        from_sglang,
        from_tgi,
        from_topk,
        from_vllm,
    )
    from .rows import BoundedRows, NextTokenRows, PartialRows
    from .study import elicit

# Where each public name lives.
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
    "score_card": "diagnostics",
    "select_prior": "estimator",
    "span_of": "continuity",
    "uncertainty_scaling_test": "diagnostics",
    "unrelated_label_design": "icl",
    "write_easel": "mixture",
}
_MODULES = ("plot", "windtunnel")

__all__ = [
    "AffineTest",
    "AnswerCounts",
    "ApproximationReport",
    "BackoffModel",
    "BitsBounds",
    "BitsPerByte",
    "BoundedRows",
    "Comparison",
    "ComparisonBounds",
    "ContinuityReport",
    "ConvergenceWarning",
    "CountStatistics",
    "DiagnosticTest",
    "DirichletMixture",
    "DirichletMixtureEstimator",
    "ElicitationReport",
    "ElicitedPredictor",
    "EmbeddingMap",
    "FamilyComparison",
    "FitCheck",
    "GammaPrior",
    "Head",
    "HeadBound",
    "IclCurve",
    "IclFit",
    "Interpolation",
    "KernelMixture",
    "LabelDesign",
    "LawFit",
    "LayerRows",
    "LearningPath",
    "LogitsFile",
    "MisfitWarning",
    "NextTokenRows",
    "NotFittedError",
    "PartialRows",
    "PartialStatistics",
    "PosteriorPath",
    "PriorSelection",
    "Pruned",
    "ScalingFit",
    "ScoreCard",
    "SegmentProbe",
    "SoftmaxSpan",
    "SufficientStatistics",
    "TokenPredictor",
    "TransitionMatrix",
    "UrnPredictor",
    "affine_test",
    "approximation_report",
    "bayesian_law",
    "bits_per_byte",
    "check_continuity",
    "check_prior",
    "collect",
    "compare",
    "elicit",
    "elicit_prior",
    "embed_of",
    "exchangeability_test",
    "fit_icl_curve",
    "fit_scaling_laws",
    "flipped_label_design",
    "forgetting_test",
    "from_inspect",
    "from_llama_cpp",
    "from_lm_eval",
    "from_ollama",
    "from_openai",
    "from_samples",
    "from_sglang",
    "from_tgi",
    "from_topk",
    "from_vllm",
    "head_bound",
    "head_of",
    "icl_curve",
    "interpolate",
    "learning_path",
    "load_demo",
    "martingale_test",
    "plot",
    "posterior_path",
    "preflight",
    "probe_segment",
    "read_arpa",
    "read_easel",
    "score_card",
    "select_prior",
    "span_of",
    "uncertainty_scaling_test",
    "unrelated_label_design",
    "windtunnel",
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


class _MovedModules:
    """Finds modules by names that they once had, after all other finders: old pickles ask."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        if name.rpartition(".")[0] != __name__:
            return None
        from ._moved import spec_of

        return spec_of(name)


sys.meta_path.append(_MovedModules)
