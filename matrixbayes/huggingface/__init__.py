"""Rows from the causal models of HuggingFace, and what lies between a state and a row."""

from .collection import collect
from .heads import embed_of, head_of
from .predictor import TokenPredictor
from .preflight_report import Finding, PreflightReport, preflight

__all__ = [
    "Finding",
    "PreflightReport",
    "TokenPredictor",
    "collect",
    "embed_of",
    "head_of",
    "preflight",
]
