"""The figures of a study: each with the sentence that explains it."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._base.display import show
from ..estimator.plots import criterion
from ..mixture.check_plots import check_figure
from ..mixture.path_plots import concentration_figure, curves
from ..mixture.plots import compare_components, components, ternary
from .shots import aligned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

    from .result import StudyResult


DPI = 120


@dataclass(frozen=True)
class Picture:
    """A rendered figure.

    Attributes
    ----------
    name
        Of its file, without the ending.
    png
        The file's bytes.
    alt
        What a reader who cannot see it is told.
    sentence
        What it shows and how to read it.
    width
        In inches, as it was drawn.
    """

    name: str
    png: bytes
    alt: str
    sentence: str
    width: float = 9.0


def pictures(result: StudyResult) -> list[Picture]:
    """Every figure that the result has data for, in the order of the report."""
    drawn = []
    for name, figure, alt, sentence in _figures(result):
        with io.BytesIO() as file, warnings.catch_warnings():
            # A token may be of a script that the font lacks; its box says so well enough.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
            width = float(figure.get_size_inches()[0])
            drawn.append(Picture(name, file.getvalue(), alt, sentence, width))
    return drawn


def _figures(result: StudyResult) -> Iterator[tuple[str, Figure, str, str]]:
    """Name, figure, alternative text and sentence of each."""
    prior, n = result.shown, result.shown.n_components
    if len(result.selection.table) > 1:
        figure = _figure(6.6, 3.4)
        criterion(result.selection, ax=figure.add_subplot())
        yield (
            "criterion",
            figure,
            f"BIC against the number of components; {n} is chosen.",
            "The Bayesian information criterion weighs how well K components describe the rows "
            f"against how many parameters they take; it is lowest at K = {n}.",
        )
    figure = _figure(9.0, 1.6 + 0.5 * n)
    components(prior, ax=figure.add_subplot())
    yield (
        "components",
        figure,
        "Heat map of the mean of each component of the fitted prior.",
        "One line per kind of row that the prior knows: its mean in percent, how often the kind "
        "occurs (weight), and how alike its rows are (concentration A: the larger, the more).",
    )
    if result.check is not None:
        yield _check_figure(result)
    if prior.n_tokens >= 3:
        yield _triangle(result)
    if result.shots is not None:
        yield from _shot_figures(result)
    if result.truth is not None:
        yield from _truth_figure(result)


def _figure(width: float, height: float) -> Figure:
    """A figure of its own, outside pyplot."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _check_figure(result: StudyResult) -> tuple[str, Figure, str, str]:
    """Bits per token against draws."""
    assert result.check is not None
    figure = _figure(11.0, 6.6)
    check_figure(result.check, figure=figure)
    return (
        "check",
        figure,
        "Bits per token against the number of draws from rows left out.",
        "What tokens drawn from rows that the prior was not fitted to cost under it, in bits, "
        "beside the rows' own entropy (which nothing can beat), the frequencies of tokens alone, "
        "and the best smoothing row by row. A prior that describes its rows lies below these two.",
    )


def _triangle(result: StudyResult) -> tuple[str, Figure, str, str]:
    """The fitted prior as a density."""
    import mpltern  # noqa: F401  (registers the projection)

    figure = _figure(8.0, 4.8)
    ternary(result.shown, ax=figure.add_subplot(projection="ternary"))
    three = result.shown.n_tokens == 3
    names = "the three tokens" if three else "the two most probable tokens, and all others pooled"
    return (
        "ternary",
        figure,
        "The density of the fitted prior on a triangle.",
        f"The fitted prior over {names}: every point is a possible row, the shaded regions "
        "are the smallest that hold the stated share of the prior, the marks are the means of its "
        "components.",
    )


def _shot_figures(result: StudyResult) -> Iterator[tuple[str, Figure, str, str]]:
    """The path along the first sequence, and the averages over all of them."""
    shots = result.shots
    assert shots is not None
    figure = _figure(9.0, 8.6)
    concentration_figure(shots.path, rows=shots.rows, figure=figure)
    which = "elicited" if result.elicited is not None else "fitted"
    yield (
        "concentration",
        figure,
        "Posterior mean and credible bands of the most probable tokens against shots.",
        f"The first sequence, from the {which} prior. Top: the posterior mean of the most probable "
        "tokens (lines) with 90% credible bands, and the model's own prediction (marks): where "
        "the marks follow the lines, the model updates as Bayes' rule says. Middle: how much the "
        "posterior weighs, in demonstrations. Bottom: which component it believes in.",
    )
    figure = _figure(9.0, 3.8)
    means = {d.name: d.mean for d in shots.divergences}
    errors = {d.name: d.stderr for d in shots.divergences if np.isfinite(d.stderr).any()}
    ax = curves(means, errors=errors, ax=figure.add_subplot())
    values = np.concatenate(list(means.values()))
    if (values > 0.0).all():  # a constant lies far above the others
        ax.set_yscale("log")
        ax.set_ylim(0.5 * values.min(), 2.0 * values.max())
    many = shots.n_sequences > 1
    mean = f"Averages over {shots.n_sequences} sequences with one standard error" if many else ""
    yield (
        "divergence",
        figure,
        "Kullback-Leibler divergence in bits against shots.",
        f"{mean or 'The one sequence'}: how many bits per token are lost when the second "
        "distribution named describes draws from the first; zero means that they are the same.",
    )


def _truth_figure(result: StudyResult) -> Iterator[tuple[str, Figure, str, str]]:
    """True, elicited and fitted components side by side."""
    assert result.truth is not None
    found = {"true": result.truth}
    for name, mixture in (("elicited", result.elicited), ("fitted to rows", result.shown)):
        ordered = None if mixture is None else aligned(result.truth, mixture)
        if ordered is not None:
            found[name] = ordered
    if len(found) == 1:
        return
    n = result.truth.n_components
    figure = _figure(9.0, 2.5 * n)
    for k, ax in enumerate(figure.subplots(n, 1, sharex=True, squeeze=False)[:, 0]):
        compare_components(found, component=k, ax=ax)
    tokens = ", ".join(show(token) for token in (result.truth.tokens or ())[:3])
    yield (
        "truth",
        figure,
        "The components of the true prior beside those recovered from the model.",
        f"Each component's mean over the tokens ({tokens}, ...), as the model was trained on it "
        "and as recovered from the model alone; components are paired by weight and mean.",
    )
