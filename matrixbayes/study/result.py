"""What a study found, in data and in words.

Contents
    StudyResult   what was found
    summary       the findings in plain text
    component_line, bits_line, recovery_line, range_line
                  findings in words, for the terminal and the page alike
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._base import display
from .._base.display import percent, printable, show
from .incontext import learner
from .shots import Divergence, ShotStudy, aligned

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from ..diagnostics.card import ScoreCard
    from ..elicitation import ElicitationReport
    from ..estimator import PriorSelection
    from ..mixture import DirichletMixture, FitCheck
    from ..rows import NextTokenRows
    from .fitted import Fit
    from .verdict import Verdict


@dataclass(frozen=True, repr=False)
class StudyResult:
    """What a study found.

    Attributes
    ----------
    model
        The model's name.
    rows
        The rows that the prior was fitted to.
    selection
        The fits of every number of components tried.
    prior
        The prior fitted to the rows: a `DirichletMixture`, or a `KernelMixture` around rows.
    fit
        How it was found, what else was tried, and its check on rows left out.
    elicitation
        The report of `elicit_prior`: the prior that explains the model's predictions in context.
    truth
        The prior that the model was trained on, where it is known.
    shots
        What demonstrations do, where there are any.
    card
        The score card: five tests of whether it is Bayesian, where they could be made.
    verdict
        What may be said, in a sentence, and what not.
    settings
        How the study was made; JSON can hold it.
    notes
        Warnings met on the way.
    """

    model: str
    rows: NextTokenRows
    selection: PriorSelection
    prior: Any
    elicitation: ElicitationReport | None = None
    truth: DirichletMixture | None = None
    shots: ShotStudy | None = None
    card: ScoreCard | None = None
    verdict: Verdict | None = None
    fit: Fit | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def check(self) -> FitCheck | None:
        """The prior beside rows that its method was not fitted to, where there were enough."""
        return None if self.fit is None else self.fit.check

    @property
    def shown(self) -> DirichletMixture:
        """The fitted prior, reduced to a few components where it is of very many."""
        found: DirichletMixture = self.prior if self.fit is None else self.fit.shown
        return found

    @property
    def elicited(self) -> DirichletMixture | None:
        """The elicited prior, where it is one of exchangeable answers."""
        found = self.elicitation
        return found.prior if found is not None and set(found.priors) == {"iid"} else None

    def to_pandas(self) -> pd.DataFrame:
        """The prior that is shown: a row for each component.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        found: pd.DataFrame = self.shown.to_pandas()
        return found

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """What demonstrations do, where there are any; else the components of the prior."""
        shown = self.shown if self.shots is None else self.shots.path
        return shown.plot(ax=ax)

    def __repr__(self) -> str:
        first, *others = filter(None, summary(self).split("\n"))
        words = [display.cut(line, display.MAX_TEXT_WIDTH) for line in others]
        return display.Table(first, words=words).text()

    def _repr_html_(self) -> str:
        first, *others = filter(None, summary(self).split("\n"))
        return display.Table(first, words=others).html()


def summary(result: StudyResult) -> str:
    """The findings in plain text, for a terminal.

    Parameters
    ----------
    result
        What `matrixbayes.study.study` returned.

    Returns
    -------
    str
        Some ten to thirty lines.
    """
    n, width = result.rows.log_probs.shape
    sizes = result.settings.get("components", [])
    lines = [] if result.verdict is None else [result.verdict.sentence, ""]
    lines += [
        f"model       {printable(result.model, width=70)}",
        f"rows        {n} prompts, {width} columns",
        _components(result, sizes),
    ]
    if result.fit is not None:
        lines.append(f"fit         {result.fit.words}")
    if result.check is not None:
        lines.append(f"check       {result.check.verdict}")
    named = [("fitted to the rows", result.shown)]
    if result.elicited is not None:
        named.append(("elicited from predictions in context", result.elicited))
    if result.truth is not None:
        named.append(("true (what the model was trained on)", result.truth))
    for name, mixture in named:
        lines.append(f"prior {name}:")
        heavy = np.argsort(-np.asarray(mixture.weights), kind="stable")[:6]
        lines += [f"  {component_line(mixture, int(k))}" for k in heavy]
    recovery = recovery_line(result)
    if recovery:
        lines.append(f"elicited against true: {recovery}")
    if result.elicitation is not None and result.elicited is None:
        lines.append(f"elicited from predictions in context: {learner(result.elicitation)}")
    if result.shots is not None:
        lines += [f"{d.name}: {bits_line(d)}" for d in result.shots.divergences]
    if result.card is not None:
        lines.append(f"score card: {result.card.verdict}")
    lines += [f"warning: {printable(note, width=300)}" for note in result.notes]
    return "\n".join(lines)


def _components(result: StudyResult, sizes: Sequence[int]) -> str:
    """How many components the prior has."""
    if result.shown is not result.prior:
        n = result.prior.n_components
        return f"components  {n}, kernels around rows; {result.shown.n_components} shown"
    if result.fit is not None and result.fit.method != "density":
        return f"components  {result.prior.n_components}"
    return f"components  {result.prior.n_components}, by BIC out of {range_line(sizes)}"


def component_line(mixture: DirichletMixture, k: int) -> str:
    """One component in words."""
    alpha = np.asarray(mixture.alpha)[k]
    mean = alpha / alpha.sum()
    names = mixture.tokens
    order = np.argsort(-mean, kind="stable")[:3]
    top = ", ".join(f"{show(j if names is None else names[j])} {percent(mean[j])}" for j in order)
    return f"weight {mixture.weights[k]:.3f}, A = {alpha.sum():.4g}: {top}"


def counted(mixture: DirichletMixture) -> str:
    """How many components there are, in words."""
    n = mixture.n_components
    return f"{n} component{'' if n == 1 else 's'}"


def bits_line(divergence: Divergence) -> str:
    """A divergence at its first shot, its last, and on average, in words."""
    mean = divergence.mean
    last = len(mean) - 1
    return (
        f"{float(np.mean(mean)):.5f} bits on average over shots 0 to {last} "
        f"({mean[0]:.5f} at 0, {mean[-1]:.5f} at {last})"
    )


def recovery_line(result: StudyResult) -> str | None:
    """How far the elicited prior is from the true one, in words."""
    if result.truth is None or result.elicited is None:
        return None
    true, found = result.truth, aligned(result.truth, result.elicited)
    if found is None:
        n = result.elicited.n_components
        were = "was" if n == 1 else "were"
        return f"{counted(result.elicited)} {were} found, {true.n_components} are true"
    weight = float(np.abs(np.asarray(found.weights) - np.asarray(true.weights)).max())
    means = [np.asarray(m.alpha) / np.asarray(m.concentration)[:, None] for m in (found, true)]
    variation = float(0.5 * np.abs(means[0] - means[1]).sum(axis=1).max())
    ratio = np.asarray(found.concentration) / np.asarray(true.concentration)
    return (
        f"weights within {weight:.3f}, means within {variation:.3f} (total variation), "
        f"concentrations {ratio.min():.2f} to {ratio.max():.2f} times the true ones"
    )


def range_line(sizes: Sequence[int]) -> str:
    """Numbers of components in words."""
    if len(sizes) > 2 and list(sizes) == list(range(sizes[0], sizes[-1] + 1)):
        return f"{sizes[0]} to {sizes[-1]}"
    return ", ".join(map(str, sizes)) or "those given"
