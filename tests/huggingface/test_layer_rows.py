"""Rows by layer: a mapping, its numbers, and its pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import matrixbayes as mb


def two_layers() -> mb.LayerRows:
    rng = np.random.default_rng(0)
    rows = {
        layer: mb.NextTokenRows(np.log(rng.dirichlet([1.0, 2.0, 3.0], 5)), tokens=("a", "b", "c"))
        for layer in (7, 3)
    }
    return mb.LayerRows(rows)


def test_a_mapping_from_layers_to_rows() -> None:
    rows = two_layers()
    assert rows.layers == tuple(rows) == (3, 7)
    assert len(rows) == 2
    assert rows[-1] is rows[7] is rows.final
    with pytest.raises(KeyError, match="no rows of layer 4; there are those of 3, 7"):
        rows[4]
    with pytest.raises(KeyError):
        rows["3"]  # type: ignore[index]
    assert 3 in rows
    assert 4 not in rows
    for i, layer in enumerate(rows):
        p, log_q = rows.final.probs(), rows[layer].log_probs
        assert_allclose(rows.entropy()[i], -(np.exp(log_q) * log_q).sum(axis=1))
        wanted = (p * (np.log(p) - log_q)).sum(axis=1)
        assert_allclose(rows.divergence()[i], wanted, atol=1e-12)
    assert repr(rows).startswith("LayerRows: 2 layers, 5 rows over 3 tokens each")
    assert "to the last" in rows._repr_html_()


def test_rows_that_do_not_belong_together() -> None:
    rows = two_layers()
    with pytest.raises(ValueError, match="no rows of any layer"):
        mb.LayerRows({})
    with pytest.raises(ValueError, match="the rows of layer 3 are"):
        mb.LayerRows({3: rows[3][:2], 7: rows[7]})


# --- pictures

plot = pytest.importorskip("matplotlib.pyplot")
WHAT = ("probability", "entropy", "divergence")


def many_layers(n_layers: int, n: int, width: int = 9) -> mb.LayerRows:
    rng = np.random.default_rng(n_layers)
    logits = rng.normal(0.0, 2.0, (n_layers, n, width)).astype(np.float32)
    names = [f"$t_{i}$" for i in range(width)]
    return mb.LayerRows(
        {i: mb.NextTokenRows.from_logits(x, tokens=names) for i, x in enumerate(logits)}
    )


@pytest.fixture(autouse=True)
def no_figures_are_left() -> Any:
    yield
    plot.close("all")


@pytest.mark.parametrize("what", WHAT)
def test_lines_are_the_numbers_of_the_rows(what: Any) -> None:
    rows = many_layers(7, 40)
    ax = mb.plot.layers(rows, what, tokens=["$t_2$", 5])
    drawn = [line.get_ydata() for line in ax.get_lines()]
    if what == "probability":
        for line, column in zip(drawn, (2, 5), strict=True):
            assert_allclose(
                line, [own.probs()[:, column].mean() for own in rows.values()], rtol=1e-5
            )
    else:
        values = rows.entropy() if what == "entropy" else rows.divergence()
        assert_allclose(drawn[0], np.median(values, axis=1) / np.log(2.0))
    assert ax.get_lines()[0].get_xdata().tolist() == list(range(7))
    assert len(ax.collections) == len(drawn)  # a band for each
    assert "80% of 40 rows" in ax.get_title(loc="left")
    ax.figure.canvas.draw()


@pytest.mark.parametrize(("n_layers", "n"), [(1, 1), (2, 3), (130, 6)])
def test_few_rows_and_many_layers(n_layers: int, n: int) -> None:
    rows = many_layers(n_layers, n)
    figure = mb.plot.layers_figure(rows, tokens=0)
    assert len(figure.axes) == 3
    assert all(bool(ax.collections) == (n >= 5) for ax in figure.axes)
    figure.canvas.draw()


def test_a_picture_draws_where_it_is_told() -> None:
    _, ax = plot.subplots(figsize=(2.0, 1.5))
    assert mb.plot.layers(many_layers(3, 6), "entropy", ax=ax) is ax
    assert mb.plot.layers(many_layers(3, 6)).get_legend() is not None


def test_what_cannot_be_drawn() -> None:
    rows = many_layers(3, 6)
    with pytest.raises(ValueError, match="what='mean' is not one of"):
        mb.plot.layers(rows, "mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="level"):
        mb.plot.layers(rows, level=1.0)
    with pytest.raises(ValueError, match="there is none"):
        mb.plot.layers(rows, tokens=["there is none"])
    with pytest.raises(ValueError, match="no rows"):
        mb.plot.layers(mb.LayerRows({0: rows[0][:0]}))
    with pytest.raises(ValueError, match="between 1 and 7"):
        mb.plot.layers(rows, tokens=range(8))


def test_what_a_layer_rules_out_is_infinitely_far() -> None:
    with np.errstate(divide="ignore"):
        rows = [mb.NextTokenRows(np.log([[p, 1.0 - p]])) for p in (1.0, 0.5)]
    layers = mb.LayerRows(dict(enumerate(rows)))
    assert layers.divergence().tolist() == [[np.inf], [0.0]]
    mb.plot.layers(layers, "divergence").figure.canvas.draw()
