"""What axes, names and legends become where there is little room, or nothing to draw."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib import pyplot

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
