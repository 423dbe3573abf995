"""What type checkers and editors see of the front: every public name, and no other.

The front itself loads a name when it is first used, by the table `_HOMES`, which holds the same.
"""

from . import plot as plot, windtunnel as windtunnel
from ._base.version import __version__ as __version__
from ._core import SufficientStatistics as SufficientStatistics
from .continuity import (
    AffineTest as AffineTest,
    ContinuityReport as ContinuityReport,
    EmbeddingMap as EmbeddingMap,
    HeadBound as HeadBound,
    SegmentProbe as SegmentProbe,
    SoftmaxSpan as SoftmaxSpan,
    affine_test as affine_test,
    check_continuity as check_continuity,
    head_bound as head_bound,
    probe_segment as probe_segment,
    span_of as span_of,
)
from .diagnostics import (
    DiagnosticTest as DiagnosticTest,
    ScoreCard as ScoreCard,
    UrnPredictor as UrnPredictor,
    exchangeability_test as exchangeability_test,
    forgetting_test as forgetting_test,
    martingale_test as martingale_test,
    score_card as score_card,
    uncertainty_scaling_test as uncertainty_scaling_test,
)
from .elicitation import (
    ElicitationReport as ElicitationReport,
    ElicitedPredictor as ElicitedPredictor,
    FamilyComparison as FamilyComparison,
    elicit_prior as elicit_prior,
)
from .errors import (
    ConvergenceWarning as ConvergenceWarning,
    MisfitWarning as MisfitWarning,
    NotFittedError as NotFittedError,
)
from .estimator import (
    BitsBounds as BitsBounds,
    ConcentrationPrediction as ConcentrationPrediction,
    ConcentrationRegression as ConcentrationRegression,
    CountStatistics as CountStatistics,
    DirichletMixtureEstimator as DirichletMixtureEstimator,
    GammaPrior as GammaPrior,
    PartialStatistics as PartialStatistics,
    PriorSelection as PriorSelection,
    regress_concentration as regress_concentration,
    select_prior as select_prior,
)
from .huggingface import (
    Head as Head,
    LayerRows as LayerRows,
    TokenPredictor as TokenPredictor,
    collect as collect,
    embed_of as embed_of,
    head_of as head_of,
    load_demo as load_demo,
    preflight as preflight,
)
from .icl import (
    IclCurve as IclCurve,
    IclFit as IclFit,
    LabelDesign as LabelDesign,
    LawFit as LawFit,
    LearningPath as LearningPath,
    ScalingFit as ScalingFit,
    bayesian_law as bayesian_law,
    fit_icl_curve as fit_icl_curve,
    fit_scaling_laws as fit_scaling_laws,
    flipped_label_design as flipped_label_design,
    icl_curve as icl_curve,
    learning_path as learning_path,
    unrelated_label_design as unrelated_label_design,
)
from .matrix import (
    BackoffModel as BackoffModel,
    BitsPerByte as BitsPerByte,
    Comparison as Comparison,
    ComparisonBounds as ComparisonBounds,
    Interpolation as Interpolation,
    Pruned as Pruned,
    TransitionMatrix as TransitionMatrix,
    bits_per_byte as bits_per_byte,
    compare as compare,
    interpolate as interpolate,
    read_arpa as read_arpa,
)
from .mixture import (
    ApproximationReport as ApproximationReport,
    DirichletMixture as DirichletMixture,
    FitCheck as FitCheck,
    KernelMixture as KernelMixture,
    PosteriorPath as PosteriorPath,
    approximation_report as approximation_report,
    check_prior as check_prior,
    posterior_path as posterior_path,
    read_easel as read_easel,
    write_easel as write_easel,
)
from .reading import TokenView as TokenView, show_tokens as show_tokens
from .records import (
    AnswerCounts as AnswerCounts,
    LogitsFile as LogitsFile,
    from_inspect as from_inspect,
    from_llama_cpp as from_llama_cpp,
    from_lm_eval as from_lm_eval,
    from_ollama as from_ollama,
    from_openai as from_openai,
    from_samples as from_samples,
    from_sglang as from_sglang,
    from_tgi as from_tgi,
    from_topk as from_topk,
    from_vllm as from_vllm,
)
from .rows import (
    BoundedRows as BoundedRows,
    NextTokenRows as NextTokenRows,
    PartialRows as PartialRows,
)
from .study import (
    elicit as elicit,
)
