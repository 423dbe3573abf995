"""The whole analysis of a model, and its report."""

from .analysis import study
from .report import report_html, save_study
from .result import StudyResult, summary

__all__ = [
    "StudyResult",
    "report_html",
    "save_study",
    "study",
    "summary",
]
