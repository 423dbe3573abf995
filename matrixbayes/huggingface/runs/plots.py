"""A picture of what was found before a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._base.display.pictures import named

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .found import PreflightReport


def findings(report: PreflightReport, *, ax: Axes | None = None) -> Axes:
    """How many errors, warnings and notes there are.

    Parameters
    ----------
    report
        From `preflight`.
    ax
        Where to draw; a new figure without it.
    """
    levels = ("error", "warning", "note")
    counts = [sum(found.level == level for found in report.findings) for level in levels]
    ready = "ready" if report.ok else "not ready"
    marked = [i for i in (0, 1) if counts[i]]
    return named(
        levels, counts, marked=marked, xlabel="findings", title=f"Preflight: {ready}", ax=ax
    )
