"""A study made readable: one self-contained page, the files.

Contents
    report_html   the page: no script, no network; pictures are part of it
    save_study    the page, its pictures and the priors, into a folder
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .._base.display import printable
from .._base.saving.whole import write_bytes
from .page import page
from .sections import sections_of

if TYPE_CHECKING:
    from .figures import Picture
    from .result import StudyResult


def report_html(result: StudyResult, pictures: Sequence[Picture] | None = None) -> str:
    """The study as one page of HTML that opens anywhere.

    Parameters
    ----------
    result
        What `matrixbayes.study.study` returned.
    pictures
        Its rendered figures; made here without it.

    Returns
    -------
    str
        A whole document.  It loads nothing: styles and pictures are inside, and there is no script.
    """
    if pictures is None:
        from .figures import pictures as render

        pictures = render(result)
    title = f"Study of {printable(result.model, width=80)}"
    return page(title, "\n".join(sections_of(result, pictures)), made=_made(result))


def _made(result: StudyResult) -> str:
    """When, of which model, and by what."""
    settings = result.settings
    versions = [f"{name} {version}" for name, version in settings.get("versions", {}).items()]
    parts = [f"Made on {settings['made']} (UTC)" if "made" in settings else ""]
    if "fingerprint" in settings:
        parts.append(f"model {settings['fingerprint']}")
    return ", ".join([*filter(None, parts), *versions])


def save_study(result: StudyResult, folder: str | os.PathLike[str]) -> Path:
    """Write the page, its pictures, the rows and the priors, each file whole or not at all.

    Parameters
    ----------
    result
        What `matrixbayes.study.study` returned.
    folder
        An existing folder.

    Returns
    -------
    Path
        Of ``report.html``.
    """
    from .figures import pictures as render

    folder = Path(folder)
    pictures = render(result)
    for picture in pictures:
        write_bytes(folder / f"{picture.name}.png", picture.png)
    result.rows.save(folder / "rows.safetensors")
    result.prior.save(folder / "prior.safetensors")
    if result.elicited is not None:
        result.elicited.save(folder / "elicited_prior.safetensors")
    report = folder / "report.html"
    write_bytes(report, report_html(result, pictures).encode())
    return report
