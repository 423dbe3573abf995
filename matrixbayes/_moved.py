"""Modules under the names that they had in version 0.1.0, before the rooms.

A pickle names the module of each class in it.  What was written then is read by this table of
where they are now; what is written now names the rooms.
"""

from __future__ import annotations

from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType

PACKAGE = __name__.rpartition(".")[0]

HOMES: dict[str, str] = {
    "_continuity_affine.AffineTest": "continuity.affine",
    "_continuity_heads.HeadBound": "continuity.heads",
    "_continuity_heads.SegmentProbe": "continuity.heads",
    "_continuity_heads.SoftmaxSpan": "continuity.heads",
    "_continuity_report.ContinuityReport": "continuity.report",
    "_diagnostics_card.ScoreCard": "diagnostics.card",
    "_diagnostics_paths.UrnPredictor": "diagnostics.predictors",
    "_diagnostics_result.DiagnosticTest": "diagnostics.result",
    "_elicitation_identification.Identification": "elicitation.identification",
    "_elicitation_identification.PriorWidths": "elicitation.identification",
    "_elicitation_report.ElicitationPoints": "elicitation.measures",
    "_elicitation_report.ElicitationReport": "elicitation.report",
    "_elicitation_report.KLByLength": "elicitation.measures",
    "_elicitation_resampling.FamilyComparison": "elicitation.families",
    "_em_counts.CountStatistics": "estimator.statistics",
    "_huggingface_preflight.Finding": "huggingface.preflight",
    "_huggingface_preflight.PreflightReport": "huggingface.preflight",
    "_icl_label_design.LabelCurve": "icl.label_design",
    "_icl_label_design.LabelDesign": "icl.label_design",
    "_study_inputs.Shots": "study.inputs",
    "_study_inputs.UsageError": "study.inputs",
    "_study_shots.Divergence": "study.shots",
    "_study_shots.ShotStudy": "study.shots",
    "_transition_backoff.BackoffRows": "matrix.backoff",
    "_transition_counts.Levels": "matrix.counts",
    "_transition_discount.RealCounts": "matrix.fading",
    "_transition_prior.Concentration": "matrix.prior",
    "_transition_prior.SharedPrior": "matrix.prior",
    "_transition_shared.SharedRows": "matrix.shared",
    "_transition_tokens.Vocabulary": "_base.tokens",
    "_windtunnel_mixture.Mixture": "windtunnel.mixture",
    "_windtunnel_score.WindTunnelScore": "windtunnel.score",
    "_windtunnel_tasks.Bijection": "windtunnel.tasks",
    "_windtunnel_tasks.HMM": "windtunnel.tasks",
    "_windtunnel_tasks.MarkovChains": "windtunnel.tasks",
    "_windtunnel_tasks.Switch": "windtunnel.tasks",
    "_windtunnel_tasks.Urns": "windtunnel.tasks",
    "approximation.ApproximationReport": "mixture.approximation",
    "comparison.Comparison": "matrix.comparison",
    "em.GammaPrior": "estimator.penalty",
    "embedding.EmbeddingMap": "continuity.embedding",
    "embedding.Pairs": "continuity.embedding",
    "generation.LearningPath": "icl.path",
    "information.Information": "estimator.information",
    "prior.DirichletMixtureEstimator": "estimator.estimator",
    "reduction.Reduction": "mixture.reduction",
    "scaling.LawFit": "icl.scaling",
    "scaling.ScalingFit": "icl.scaling",
    "selection.PriorSelection": "estimator.selection",
    "transitions.TransitionMatrix": "matrix.matrix",
}


class _Loader(Loader):
    """Fills a module of an old name with what was in it."""

    def create_module(self, spec: ModuleSpec) -> None:
        """The usual one."""

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__.rpartition(".")[2]
        for name, home in HOMES.items():
            if name.rpartition(".")[0] == old:
                name = name.rpartition(".")[2]
                setattr(module, name, getattr(import_module(f"{PACKAGE}.{home}"), name))


def spec_of(name: str) -> ModuleSpec | None:
    """How to load the module of an old name, or None where there never was one."""
    old = name.rpartition(".")[2]
    is_known = any(each.rpartition(".")[0] == old for each in HOMES)
    return ModuleSpec(name, _Loader()) if is_known else None
