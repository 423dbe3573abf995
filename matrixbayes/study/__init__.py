"""The whole analysis of a model, and its report.

Contents
    elicit                     from a model and texts to the prior that it acts on
    study, StudyResult         from a folder or a name to a prior, and what was found
    summary                    the findings in plain text
    report_html, save_study    one self-contained page; the page, its pictures and the priors
"""

from .analysis import study
from .report import report_html, save_study
from .result import StudyResult, summary
from .texts import elicit

__all__ = [
    "StudyResult",
    "elicit",
    "report_html",
    "save_study",
    "study",
    "summary",
]
