"""All pictures can be read: over any number of tokens, with any names, in any style and size."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("mpltern")

import matplotlib
import mpltern  # noqa: F401  (registers the projection)
from matplotlib import pyplot
from matplotlib.figure import Figure
from pictures.cases import AXES, FIGURES, NAMES, OF_TOKENS, VOCABULARIES, mixture, path
from pictures.readable import assert_readable, faults
from tiers import of_tier

from matrixbayes import plot
from matrixbayes._base.drawing import names as printed
from matrixbayes.mixture import DirichletMixture, posterior_path

STYLES = ("default", "dark_background", "ggplot", "seaborn-v0_8-darkgrid")
SIZES = (6.0, 10.0, 16.0)
RESOLUTIONS = (100.0, 200.0)
LAYOUTS = ("own", "grid")


@pytest.fixture(autouse=True)
def _agg() -> Any:
    """No window, and no figure left over."""
    before = matplotlib.get_backend()
    matplotlib.use("agg")
    yield
    pyplot.close("all")
    matplotlib.use(before)


def draw(name: str, n: int, names: str, layout: str) -> Figure:
    """A figure of one picture, or of four of them in a grid of the style's size."""
    if name in FIGURES:
        return FIGURES[name](n, names)
    if layout == "own":
        return AXES[name](n, names, None).figure
    look = {"projection": "ternary"} if name == "ternary" else {}
    figure, axes = pyplot.subplots(2, 2, subplot_kw=look)
    for ax in axes.flat:
        assert AXES[name](n, names, ax) is ax
    return figure


def check(name: str, n: int, names: str, style: str, size: float, dpi: float, layout: str) -> None:
    with pyplot.style.context(style), matplotlib.rc_context({"font.size": size}):
        found = faults(draw(name, n, names, layout), dpi)
    pyplot.close("all")
    assert not found, "\n".join(found)


def kinds(name: str) -> list[tuple[int, str]]:
    """Numbers of tokens and names that a picture may be of."""
    if name not in (*OF_TOKENS, *(f for f in FIGURES if f in OF_TOKENS)):
        return [(8, "plain")]
    return [(n, k) for n in VOCABULARIES for k in NAMES if (name, n) != ("ternary", 2)]


ALL = [
    (name, n, names, style, size, dpi, layout)
    for name in (*AXES, *FIGURES)
    for layout in (LAYOUTS if name in AXES else LAYOUTS[:1])
    for n, names in kinds(name)
    for style, size, dpi in itertools.product(STYLES, SIZES, RESOLUTIONS)
]


def sample(step: int, first: int = 0) -> list[Any]:
    """Every step-th case of all: a step without common factors with the grid covers its pairs."""
    return [pytest.param(*case, id="-".join(map(str, case))) for case in ALL[first::step]]


@pytest.mark.parametrize(("name", "n", "names", "style", "size", "dpi", "layout"), sample(331))
def test_texts_can_be_read(
    name: str, n: int, names: str, style: str, size: float, dpi: float, layout: str
) -> None:
    check(name, n, names, style, size, dpi, layout)


MANY = sample(of_tier(83, 83, 41), 5)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "n", "names", "style", "size", "dpi", "layout"), MANY)
def test_texts_can_be_read_in_many_more(
    name: str, n: int, names: str, style: str, size: float, dpi: float, layout: str
) -> None:
    check(name, n, names, style, size, dpi, layout)


@pytest.mark.parametrize("name", [*AXES, *FIGURES])
def test_every_kind_can_be_read_in_the_dark(name: str) -> None:
    check(name, 50, "odd", "dark_background", 10.0, 100.0, "own")


def test_every_picture_has_a_case() -> None:
    cases = {name.split(",")[0] for name in (*AXES, *FIGURES)}
    assert set(plot.__all__) == cases


def test_what_cannot_be_read_is_found() -> None:
    figure = Figure(figsize=(3.0, 2.0))
    ax = figure.add_axes((0.3, 0.3, 0.6, 0.6))
    ax.set_xticks(range(9), ["a long name"] * 9)
    ax.set_ylabel("a label that is far too long for axes of this height")
    ax.text(0.5, 0.5, "one")
    ax.text(0.5, 0.5, "other")
    ax.plot([0, 1], [0, 1], color="white", label="line")
    ax.legend(loc="center")
    ax.set_xlim(0, 8)
    found = "\n".join(faults(figure, 100.0))
    for fault in (
        "cut: 'a label",
        "'a long name' lies on",
        "lies on 'other'",
        "line white",
        "legend",
    ):
        assert fault in found
    with pytest.raises(AssertionError, match="lies on"):
        assert_readable(figure)


def test_a_layout_of_ours_gives_way_to_margins_that_are_set() -> None:
    figure, axes = pyplot.subplots(2, 2)
    plot.components(mixture(8, "plain"), ax=axes[0, 0])
    figure.subplots_adjust(left=0.3)
    assert_readable_left = [ax.get_position().x0 for ax in axes[:, 0]]
    figure.canvas.draw()
    assert [ax.get_position().x0 for ax in axes[:, 0]] == assert_readable_left
    figure, axes = pyplot.subplots(2, 2)
    for ax in axes.flat:
        plot.components(mixture(8, "plain"), ax=ax)
    figure.tight_layout()  # warns of nothing
    assert_readable(figure)


def test_demonstrated_tokens_are_drawn_and_all_others_are_one() -> None:
    shown = path(3000, "plain")
    ax = plot.concentration(shown)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    for j in set(shown.demonstrations):
        assert f"'word{j}'" in names
    assert "2,996 others" in names
    mean = np.asarray(shown.mean())
    others = mean.sum(axis=1) - mean[:, sorted(drawn_columns(names))].sum(axis=1)
    lines = [np.asarray(line.get_ydata()) for line in ax.get_lines()]
    assert any(line.shape == others.shape and np.allclose(line, others) for line in lines)
    few = plot.concentration(shown, most=6).get_legend().get_texts()
    assert "2,994 others" in [text.get_text() for text in few]


def drawn_columns(names: list[str]) -> list[int]:
    """The columns of names that are words with numbers."""
    return [int(name.strip("'").removeprefix("word")) for name in names if name.startswith("'word")]


def test_many_demonstrated_tokens_do_not_run_out_of_colours() -> None:
    many = posterior_path(mixture(50, "plain"), [*range(20), 3, 3])
    names = [t.get_text() for t in plot.concentration(many).get_legend().get_texts()]
    assert "'word3'" in names
    assert len(drawn_columns(names)) == 6


def test_a_triangle_is_never_empty() -> None:
    sparse = DirichletMixture([1.0], np.full((1, 50_000), 1e-3))
    spike = DirichletMixture([1.0], [[2e8, 1e8, 1e8]])
    for prior in (sparse, spike, mixture(3000, "plain")):
        ax = plot.ternary(prior, resolution=30)
        names = [text.get_text() for text in ax.get_legend().get_texts()]
        assert "300 draws" in names or "holds 25% of the mass" in names
        assert not faults(ax.figure, 100.0)


def test_compared_components_pool_what_they_do_not_show() -> None:
    ax = plot.compare_components({"a": mixture(3000, "plain")}, most=5)
    heights = np.asarray(ax.get_lines()[0].get_ydata())
    assert heights.shape == (5,)
    np.testing.assert_allclose(heights.sum(), 1.0)
    with pytest.raises(ValueError, match="0 mixtures"):
        plot.compare_components({})


def test_the_criterion_shows_differences_from_the_best() -> None:
    ax = AXES["criterion"](8, "plain", None)
    ax.figure.canvas.draw()
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert "0" in labels
    assert all(len(label) < 5 for label in labels)
    assert "733,000,000" in ax.get_ylabel()
    assert ax.yaxis.get_offset_text().get_text() == ""


def test_total_concentration_is_logarithmic_where_it_spans_decades() -> None:
    far = DirichletMixture([0.5, 0.5], [[1e6, 1e6], [1.0, 0.1]])
    assert plot.total_concentration(posterior_path(far, [0] * 9 + [1] * 3)).get_yscale() == "log"
    near = DirichletMixture([1.0], [[3.0, 1.0]])
    assert plot.total_concentration(posterior_path(near, [0, 1])).get_yscale() == "linear"


def test_what_no_font_has_is_escaped() -> None:
    with matplotlib.rc_context({"font.family": ["DejaVu Sans"]}):
        assert printed.label("\u4e2d") == "'\\u4e2d'"
        assert printed.label("a\u00e9") == "'a\u00e9'"
        assert len(printed.label("\u4e2d" * 30)) <= 18
    assert printed.label("$x$ ") == r"'\$x\$ '"
    assert printed.words("_low") == "'_low'"
    assert printed.words("") == "''"
    alike = [f"internationalisation {j} of a long name" for j in range(3)]
    assert len(set(printed.token_names(alike, range(3)))) == 3
