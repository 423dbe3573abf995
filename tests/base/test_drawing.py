"""What axes, names and legends become where there is little room, or nothing to draw."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib import pyplot

from matrixbayes._base.display import pictures
from matrixbayes._base.drawing import legends, names, space, ticks
from matrixbayes._base.style import token_columns


def test_escapes_give_way_in_the_middle() -> None:
    """A glyph that no font has is ten letters long."""
    found = names.printed("a" + "\U0001f9ff" * 5 + "z", 24)
    assert len(found) <= 24
    assert found.startswith("a\\U0001f9ff")
    assert found.endswith("z")
    assert "…" in found


def test_figures_of_one_tick_and_of_many_powers() -> None:
    assert ticks.Plain(unit=" s")(2.5) == "2.5 s"
    minus = "\N{MINUS SIGN}"
    assert ticks.Plain().format_ticks([1e-12, 3e-12]) == [f"1e{minus}12", f"3e{minus}12"]
    assert ticks.NameTicks(3, 10.0).tick_values(0.0, 1.0).tolist() == [0, 1, 2]


def test_a_logarithmic_axis_without_extent_has_ticks() -> None:
    ends = [(0.0, 0.0), (5.0, 5.0), (1.0, np.inf), (-1.0, 0.5)]
    found = [ticks.LogTicks().tick_values(low, high).tolist() for low, high in ends]
    assert found == [[0.0, 1.0], [5.0], [1.0], [0.0, 1.0]]


def test_axes_that_were_placed_by_hand_have_some_room_around() -> None:
    figure = pyplot.figure(figsize=(4.0, 2.0), dpi=100)
    inner, wide = figure.add_axes((0.25, 0.25, 0.5, 0.5)), figure.add_axes((0.0, 0.0, 1.0, 0.5))
    assert space.cell(inner) == pytest.approx((1.3 * 144.0, 1.4 * 72.0))
    assert space.cell(wide) == pytest.approx((288.0, 1.4 * 72.0))  # as wide as all there is
    pyplot.close(figure)


def test_what_has_no_finite_figure_has_no_curve() -> None:
    ax = pictures.shares({"none": [np.nan, np.inf], "two": [1.0, 2.0]}, xlabel="x", title="t")
    assert [line.get_label() for line in ax.get_lines()] == ["two"]
    pyplot.close(ax.figure)


def test_a_title_with_mathematics_is_not_shortened() -> None:
    formula = "$x^2$" * 20
    assert space.fit(formula, 10.0, 12.0)[0] == formula
    text, size = space.fit("word" * 40, 60.0, 12.0)
    assert len(text) < 160
    assert size <= 12.0
    assert len(space.fit("word" * 40, 0.01, 12.0)[0]) >= 1


def test_a_token_that_is_drawn_alone_needs_no_list() -> None:
    assert token_columns(("a", "b"), "b", np.ones(2)) == [1]


def test_no_curve_has_no_legend() -> None:
    figure, ax = pyplot.subplots()
    legends.legend(ax)
    assert ax.get_legend() is None
    pyplot.close(figure)


def test_many_curves_in_a_small_figure_are_counted() -> None:
    figure, ax = pyplot.subplots(figsize=(1.5, 1.2))
    for i in range(60):
        ax.plot([0, 1], [i, i], label=f"curve {i}")
    legends.legend(ax)
    legend = ax.get_legend()
    assert legend is not None
    last = legend.get_texts()[-1].get_text()
    assert last.startswith("and ")
    assert last.endswith(" others")
    assert len(legend.get_texts()) - 1 + int(last.split()[1]) == 60
    pyplot.close(figure)
