"""What was found before a run: findings, and how large it will be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..._base import display

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes
    ----------
    level : {"error", "warning", "note"}
        `matrixbayes.collect` would refuse; the rows may not be what is wanted; worth knowing.
    message : str
        What, where, and how to mend it.
    """

    level: Literal["error", "warning", "note"]
    message: str

    def __str__(self) -> str:
        return f"{self.level}: {self.message}"


@dataclass(frozen=True, repr=False)
class PreflightReport(display.Shown):
    """What `preflight` found.

    Attributes
    ----------
    findings : tuple of Finding
        Errors first, then warnings, then notes.
    max_difference : float or None
        The largest change of a log-probability, over all tokens of a sample of the
        prompts, between a prompt alone and the same prompt in a batch; None if not measured.
    n_rows, n_columns, n_tokens : int
        The size of the result, and how many tokens the prompts have.
    n_bytes : int
        What the result takes.
    seconds : float or None
        How long `collect` will take, from the sample.
    """

    findings: tuple[Finding, ...]
    max_difference: float | None = None
    n_rows: int = 0
    n_columns: int = 0
    n_tokens: int = 0
    n_bytes: int = 0
    seconds: float | None = None

    @property
    def ok(self) -> bool:
        """Whether there is no error and no warning."""
        return all(finding.level == "note" for finding in self.findings)

    def to_pandas(self) -> pd.DataFrame:
        """A row for each finding: ``level`` and ``message``.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        levels, messages = [f.level for f in self.findings], [f.message for f in self.findings]
        return display.frame({"level": levels, "message": messages})

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """How many findings there are of each level."""
        from .plots import findings  # needs matplotlib

        return findings(self, ax=ax)

    def _table(self) -> display.Table:
        size = (
            f"  {self.n_tokens:,} tokens -> {self.n_rows:,} rows of {self.n_columns:,} columns, "
            f"{display.amount(self.n_bytes)}"
        )
        if self.seconds is not None:
            size += f", about {_seconds_text(self.seconds)}"
        words = [size]
        if self.max_difference is not None:
            words.append(
                f"  alone against batched: log-probabilities within {self.max_difference:.1e}"
            )
        title = f"preflight: {'ready' if self.ok else 'not ready'}"
        return display.Table(title, words=[*words, *(f"  {finding}" for finding in self.findings)])


def _seconds_text(seconds: float) -> str:
    """A time for people to read."""
    if seconds < 90:
        return f"{seconds:.1g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
