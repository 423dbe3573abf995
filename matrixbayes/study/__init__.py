"""The whole analysis of a model, and its report."""

from .report import report_html, save_study
from .result import StudyResult, summary
from .study import study

__all__ = [
    "StudyResult",
    "report_html",
    "save_study",
    "study",
    "summary",
]
