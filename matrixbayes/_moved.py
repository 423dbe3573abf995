"""Modules under the names that they had in version 0.1.0, before the rooms.

A pickle names the module of each class in it, and what was written then is read by this table of
where they are now; what is written now names the rooms.  Modules that were public then are here
too, for those who import from them.
"""

from __future__ import annotations

from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PACKAGE = __name__.rpartition(".")[0]

HOMES = {
    "_continuity_affine": "continuity.affine",
    "_continuity_heads": "continuity.heads",
    "_continuity_report": "continuity.report",
    "_diagnostics_card": "diagnostics.card",
    "_diagnostics_paths": "diagnostics.paths",
    "_diagnostics_result": "diagnostics.result",
    "_elicitation_identification": "elicitation.identification",
    "_elicitation_report": "elicitation.report",
    "_elicitation_resampling": "elicitation.resampling",
    "_em_counts": "estimator.count_data",
    "_huggingface_preflight": "huggingface.preflight_report",
    "_icl_label_design": "icl.label_design",
    "_study_inputs": "study.inputs",
    "_study_shots": "study.shots",
    "_transition_backoff": "matrix.backoff",
    "_transition_counts": "matrix.counts",
    "_transition_discount": "matrix.fading",
    "_transition_prior": "matrix.prior",
    "_transition_shared": "matrix.shared",
    "_transition_tokens": "matrix.documents",
    "_windtunnel_mixture": "windtunnel.mixture",
    "_windtunnel_score": "windtunnel.scoring",
    "_windtunnel_tasks": "windtunnel.tasks",
    "approximation": "mixture.approximation",
    "comparison": "matrix.comparison",
    "display": "_base.display",
    "easel": "mixture.easel",
    "em": "estimator.em",
    "embedding": "continuity.embedding",
    "generation": "icl.path",
    "icl_designs": "icl.designs",
    "information": "estimator.information",
    "interop": "mixture.interop",
    "io": "_base.files",
    "lattice": "mixture.lattice",
    "parallel": "_base.parallel",
    "predictor": "huggingface.predictor",
    "prior": "estimator.estimator",
    "reduction": "mixture.reduction",
    "report": "study.report",
    "scaling": "icl.scaling",
    "selection": "estimator.selection",
    "transitions": "matrix.matrix",
}
# What has left its module since.
ELSEWHERE = {
    "_diagnostics_paths.UrnPredictor": "diagnostics.predictors",
    "_elicitation_report.ElicitationPoints": "elicitation.measures",
    "_elicitation_report.KLByLength": "elicitation.measures",
    "_elicitation_resampling.FamilyComparison": "elicitation.families",
    "_em_counts.CountStatistics": "estimator.statistics",
    "_transition_tokens.Vocabulary": "_base.tokens",
    "em.CountData": "estimator.count_data",
    "em.CountStatistics": "estimator.statistics",
    "em.GammaPrior": "estimator.penalty",
    "em.RowData": "estimator.row_data",
    "em.StreamData": "estimator.streams",
    "em.encode": "estimator.count_data",
}


class _Loader(Loader):
    """Makes modules of old names, which look up what they are asked for."""

    def create_module(self, spec: ModuleSpec) -> None:
        """The usual one."""

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__.rpartition(".")[2]

        def found(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            home = ELSEWHERE.get(f"{old}.{name}", HOMES[old])
            return getattr(import_module(f"{PACKAGE}.{home}"), name)

        module.__dict__["__getattr__"] = found


def spec_of(name: str) -> ModuleSpec | None:
    """How to load the module of an old name, or None where there never was one."""
    return ModuleSpec(name, _Loader()) if name.rpartition(".")[2] in HOMES else None
