"""What a diagnostic found, and the Monte Carlo test that all of them share.

Contents
    DiagnosticTest    the result
    monte_carlo       several figures against those of draws from the null: one p-value
    result            the result from both
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._base import display
from .._base.arguments import probability, times
from .._base.typing import Floats
from .nulls import Null

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

ROUNDING = 1e-7  # of a figure, as a share of it: predictions and their urn agree to rounding only
SILENT = "Says nothing: "  # verdicts of tests that had nothing to look at


@dataclass(frozen=True, eq=False, repr=False)
class DiagnosticTest(display.Shown):
    """One test of whether a predictor is Bayesian.

    Attributes
    ----------
    name : str
    statistic : float
        The largest of the figures below, in standard deviations of itself and the draws of the null
        together; it cannot be above sqrt(B).
    p_value : float
        (1 + draws of the null whose statistic is no smaller) / (1 + draws).
    verdict : str
        What it comes to, in a sentence.
    null_statistics : ndarray of shape (B,)
        The statistic of each draw of the null, sorted.
    figures : tuple of str
        What was looked at.
    values, low, high : ndarray of shape (n_figures,)
        Each figure, and the middle 95% of it under the null.
    n_sequences : int
    null : DirichletMixture, ChainNull, TreeNull or None
        The prior of the urn that the null draws from, or the chain or tree, which can be given to
        another test; None where it only permutes or adds noise.
    null_mean_kl : float
        How far the predictor is from that model: mean KL in nats; NaN without one.
    estimates : dict of str to float
        What else was measured.
    level : float
        A p-value of this or less is a rejection.
    family : {"iid", "markov", "tree"}
        Of the null: a Bayesian learner of what the test asks after.
    learner : str
        The same in words; none where an earlier version wrote the test.
    """

    name: str
    statistic: float
    p_value: float
    verdict: str
    null_statistics: Floats
    figures: tuple[str, ...]
    values: Floats
    low: Floats
    high: Floats
    n_sequences: int
    null: Any = None
    null_mean_kl: float = np.nan
    estimates: Mapping[str, float] = field(default_factory=dict)
    level: float = 0.05
    family: str = "iid"
    learner: str = ""

    @property
    def rejected(self) -> bool:
        """Whether the p-value is at most the level."""
        return self.p_value <= self.level

    @property
    def silent(self) -> bool:
        """Whether there was nothing to look at, so that the test had no power."""
        return self.verdict.startswith(SILENT)

    def null_quantile(self, q: float) -> float:
        """A quantile of the statistic under the null."""
        return float(np.quantile(self.null_statistics, q))

    def to_pandas(self) -> pd.DataFrame:
        """A row for each figure: its value, and the middle 95 % of it under the null.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        names = ["value", "low", "high"]
        values = [self.values, self.low, self.high]
        return display.frame(
            {"figure": list(self.figures), **dict(zip(names, values, strict=True))}
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Each figure with the middle 95 % of it under the null."""
        from .plots import diagnostic_test  # needs matplotlib

        return diagnostic_test(self, ax=ax)

    def _table(self) -> display.Table:
        title = f"{self.name}: p = {display.number(self.p_value)}. {self.verdict}"
        lines: list[list[Any]] = [
            [name, float(v), float(low), float(high)]
            for name, v, low, high in zip(
                self.figures, self.values, self.low, self.high, strict=True
            )
        ]
        outside = np.maximum(self.low - self.values, self.values - self.high)
        width = np.where(self.high > self.low, self.high - self.low, 1.0)
        order = np.argsort(-outside / width, kind="stable")  # what is amiss comes first
        columns = ["", "value", "95% of null from", "to"]
        return display.Table(title, columns, [lines[i] for i in order], sentence=True)


@dataclass(frozen=True, eq=False)
class MonteCarlo:
    """Figures against their null: the largest deviation, its p-value, and where it is."""

    statistic: float
    p_value: float
    null_statistics: Floats
    low: Floats
    high: Floats
    worst: int


def monte_carlo(observed: Floats, null: Floats, *, upper: bool = False) -> MonteCarlo:
    """The largest standardised figure against the null.

    Figures are standardised by the mean and spread of observed and null together: that treats all
    B + 1 alike, so the p-value is exact whatever the figures' distribution.

    Parameters
    ----------
    observed : ndarray of shape (k,)
    null : ndarray of shape (B, k)
    upper : bool
        Whether high deviations alone count.
    """
    pool = np.concatenate([observed[np.newaxis], null])
    centre, spread = pool.mean(axis=0), pool.std(axis=0)
    blur = ROUNDING * np.abs(centre)
    moving = spread > blur + 1e-300
    scaled = np.where(moving, (pool - centre) / np.where(moving, spread, 1.0), 0.0)
    counted = scaled if upper else np.abs(scaled)
    largest = counted.max(axis=1)
    low, high = np.quantile(null, [0.025, 0.975], axis=0)
    # what is rounded differently is equal
    least = (counted[0] - np.where(moving, blur / np.where(moving, spread, 1.0), 0.0)).max()
    at_least = int(np.sum(largest[1:] >= least - 1e-12))
    return MonteCarlo(
        statistic=float(largest[0]),
        p_value=(1 + at_least) / len(pool),
        null_statistics=np.sort(largest[1:]),
        low=low,
        high=high,
        worst=int(np.argmax(counted[0])),
    )


def result(
    name: str,
    figures: Sequence[str],
    observed: Floats,
    found: MonteCarlo,
    says: tuple[str, str],
    null: Null,
    drawn: bool = True,
    **more: Any,
) -> DiagnosticTest:
    """A test's result; `says` is the sentence where it passes, and where it is rejected.

    Whether figures are of draws of the null, or of permutations: then no prior matters.
    """
    level = more["level"]
    worst = found.worst
    value, low, high = (f"{float(x[worst]):.3g}" for x in (observed, found.low, found.high))
    fails = f"{says[1]}: {figures[worst]} is {value}, and the null gives {low} to {high}"
    passes, fails = says[0], f"{fails} (null: {null.words})."
    if not passes.startswith(SILENT):
        passes = f"{passes[:-1]} (null: {null.words})."
    return DiagnosticTest(
        name=name,
        statistic=found.statistic,
        p_value=found.p_value,
        verdict=fails if found.p_value <= level else passes,
        null_statistics=found.null_statistics,
        figures=tuple(figures),
        values=observed,
        low=found.low,
        high=found.high,
        null=null.prior if drawn else None,
        null_mean_kl=null.mean_kl if drawn else np.nan,
        family=null.family,
        learner=null.words,
        **more,
    )


def no_power(why: str) -> None:
    """Warn the caller of a test, which calls a helper that calls this."""
    warnings.warn(f"{why}: the test has no power", RuntimeWarning, stacklevel=4)


def check_options(n_boot: int, level: float, n_tests: int = 1) -> None:
    """Of every test, and of a card of several whose smallest p-value counts `n_tests` times."""
    probability(level, "level", inside=True)
    least = int(np.ceil(n_tests / level - 1e-9)) - 1
    if times(n_boot, "n_boot", 0) < least:
        of_tests = f" after Holm's correction for {n_tests} tests" if n_tests > 1 else ""
        raise ValueError(
            f"n_boot is {n_boot}; with fewer than {least} no p-value can be as low as "
            f"{level:g}{of_tests}"
        )
