"""Pictures: what they draw, that they read in grey, and that they leave everything else alone."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("mpltern")

import matplotlib
from matplotlib import colors, pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from matrixbayes import plot, windtunnel
from matrixbayes._base.style import MOST, label
from matrixbayes.continuity import check_continuity
from matrixbayes.elicitation import elicit_prior
from matrixbayes.icl import fit_icl_curve, fit_scaling_laws, learning_path
from matrixbayes.matrix import TransitionMatrix, compare, interpolate
from matrixbayes.mixture import DirichletMixture, check_prior, plots, posterior_path
from matrixbayes.rows import NextTokenRows

TOKENS = (" yes", "$x^2$", "_hidden", "a\nb", "blue")
PRIOR = DirichletMixture(
    [0.6, 0.4], [[4.0, 2.0, 1.0, 0.5, 0.5], [0.5, 0.5, 1.0, 5.0, 2.0]], tokens=TOKENS
)
PATH = posterior_path(PRIOR, [0, 0, 3, 0, 1, 4])
OWN = NextTokenRows(np.log(0.9 * PATH.mean() + 0.02), tokens=TOKENS)
SELECTION = SimpleNamespace(
    criterion="bic",
    best_=SimpleNamespace(n_components=2),
    table=[{"n_components": k, "bic": b} for k, b in [(1, -5.0), (2, -9.0), (3, -8.0)]],
)
COMPARISON = compare(
    TransitionMatrix(1, n_tokens=3).update([0, 1, 1, 2, 0, 1, 2, 2, 1, 0, 1, 1]),
    [[0.2, 0.7, 0.1], [0.3, 0.3, 0.4], [0.01, 0.9, 0.09]],
    [[0], [1], [2]],
    kind="probs",
)
MIXED = interpolate(
    [TransitionMatrix(k, n_tokens=3).update([0, 1, 1, 2] * 4) for k in (1, 2)], [0, 1, 1, 2, 2, 0]
)
TORN = check_continuity(
    [[0.0], [0.0], [1.0], [3.0]],
    [[0.5, 0.5], [0.9, 0.1], [0.4, 0.6], [0.2, 0.8]],
    kind="probs",
    rng=0,
)
HISTORIES = [[(7 * i + t * t) % 5 for t in range(i % 9)] for i in range(90)]
SEEN = np.array([np.bincount(h, minlength=5) + 1.0 for h in HISTORIES])
ELICITED = elicit_prior(
    HISTORIES, NextTokenRows(np.log(SEEN / SEEN.sum(axis=1)[:, None]), tokens=TOKENS), rng=0
)
SHOTS = np.array([0, 1, 2, 4, 8, 16, 32])
LEARNT = fit_icl_curve(
    np.repeat(SHOTS, 2),
    np.repeat((2 + SHOTS) / (10 + SHOTS), 2) + [0.01, -0.01] * 7,
    n_boot=9,
    rng=0,
)
LAWS = fit_scaling_laws(
    SHOTS, np.stack([0.9 - 0.8 / (SHOTS + 1), 0.5 - 0.4 / (SHOTS + 1)]), n_fitted=5, rng=0
)
CHECKED = check_prior(PRIOR, PRIOR.sample(40, rng=0), kind="probs", n_samples=40)
URNS = windtunnel.Urns(DirichletMixture([0.5, 0.5], [[9.0, 1.0], [1.0, 9.0]]))


def tunnel(alpha: float) -> windtunnel.WindTunnelScore:
    """How an urn of one Dirichlet scores against one of two."""
    other = windtunnel.Urns(DirichletMixture([0.5, 0.5], [[alpha, 1.0], [1.0, 9.0]]))
    return windtunnel.score(URNS, other.log_predictive, n=20, length=8, rng=0)


TEXT = learning_path(PRIOR, lambda x: np.full((*x.shape, 5), 0.2), [0, 0, 3, 1, 0], kind="probs")
FAR, NEAR = tunnel(1.0), tunnel(8.9)
OKABE_ITO = {
    "#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"
}  # fmt: skip

DRAWINGS = {
    "concentration": lambda ax: plot.concentration(PATH, rows=OWN, ax=ax),
    "total_concentration": lambda ax: plot.total_concentration(PATH, ax=ax),
    "component_weights": lambda ax: plot.component_weights(PATH, ax=ax),
    "kl": lambda ax: plot.kl(PATH, OWN, ax=ax),
    "curves": lambda ax: plot.curves({"a": [1.0, 0.5], "b": [0.2, 0.1]}, ax=ax),
    "components": lambda ax: plot.components(PRIOR, ax=ax),
    "compare_components": lambda ax: plot.compare_components({"a": PRIOR, "b": PRIOR}, ax=ax),
    "ternary": lambda ax: plot.ternary(PRIOR, resolution=40, ax=ax),
    "calibration": lambda ax: plot.calibration(COMPARISON, ax=ax),
    "mixture_weights": lambda ax: plot.mixture_weights(MIXED, ax=ax),
    "check": lambda ax: plot.check(CHECKED, ax=ax),
    "continuity": lambda ax: plot.continuity(TORN, ax=ax),
    "criterion": lambda ax: plot.criterion(SELECTION, ax=ax),
    "elicitation": lambda ax: plot.elicitation(ELICITED, ax=ax),
    "elicitation, last": lambda ax: plot.elicitation(ELICITED, by="last", ax=ax),
    "elicitation, kl": lambda ax: plot.elicitation(ELICITED, by="kl", ax=ax),
    "icl_curve": lambda ax: plot.icl_curve(LEARNT, ax=ax),
    "scaling_laws": lambda ax: plot.scaling_laws(LAWS, ax=ax),
    "wind_tunnel": lambda ax: plot.wind_tunnel(FAR, ax=ax),
    "wind_tunnel_near": lambda ax: plot.wind_tunnel(NEAR, ax=ax),
}


@pytest.fixture(autouse=True)
def _agg():
    """No window, and no figure left over."""
    before = matplotlib.get_backend()
    matplotlib.use("agg")
    yield
    pyplot.close("all")
    matplotlib.use(before)


def new_axes(name: str) -> Axes:
    projection = "ternary" if name == "ternary" else None
    return Figure(layout="constrained").add_subplot(projection=projection)


def png(figure: Figure) -> bytes:
    with io.BytesIO() as file:
        figure.savefig(file, format="png")
        return file.getvalue()


@pytest.mark.parametrize("name", DRAWINGS)
@pytest.mark.slow
def test_axes_in_axes_out_and_nothing_else(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyplot, "show", lambda *a, **k: pytest.fail("plt.show was called"))
    ax = new_axes(name)
    settings = dict(matplotlib.rcParams)
    assert DRAWINGS[name](ax) is ax
    assert dict(matplotlib.rcParams) == settings
    assert pyplot.get_fignums() == []  # pyplot was not asked
    assert png(ax.figure).startswith(b"\x89PNG")  # and warns of nothing


@pytest.mark.parametrize("name", DRAWINGS)
def test_without_axes_there_is_one_new_figure(name: str) -> None:
    ax = DRAWINGS[name](None)
    assert isinstance(ax, Axes)
    assert pyplot.get_fignums() == [ax.figure.number]


@pytest.mark.parametrize("name", [n for n in DRAWINGS if n != "components"])
@pytest.mark.slow
def test_legends_stand_outside_the_data(name: str) -> None:
    ax = DRAWINGS[name](new_axes(name))
    png(ax.figure)
    legend, data = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert legend.x0 >= data.x1 or legend.y1 <= data.y0


@pytest.mark.parametrize("name", [n for n in DRAWINGS if n not in ("components", "ternary")])
def test_axes_are_labelled_and_titled(name: str) -> None:
    ax = DRAWINGS[name](new_axes(name))
    assert ax.get_ylabel()
    assert ax.get_title(loc="left")
    assert ax.get_xlabel() or name == "compare_components"


@pytest.mark.parametrize(
    "name", ["check", "concentration", "component_weights", "curves", "scaling_laws", "wind_tunnel"]
)
def test_what_colour_tells_apart_line_styles_tell_too(name: str) -> None:
    ax = DRAWINGS[name](new_axes(name))
    looks = {}
    for line in ax.get_lines():
        if line.get_linestyle() != "None" and line.get_linewidth() >= 1.0:
            colour = colors.to_hex(line.get_color())
            assert colour in OKABE_ITO
            looks.setdefault(colour, set()).add(str(line._unscaled_dash_pattern))
    styles = [style for look in looks.values() for style in look]
    assert len(looks) >= 2
    assert len(set(styles)) == len(styles) == len(looks)


def test_concentration_draws_the_numbers_of_the_path() -> None:
    ax = plot.concentration(PATH, rows=OWN, tokens=[" yes", 3], level=0.8, ax=new_axes(""))
    drawn = [np.asarray(line.get_ydata()) for line in ax.get_lines()]

    def is_drawn(values: np.ndarray) -> bool:
        return any(d.shape == values.shape and np.allclose(d, values) for d in drawn)

    for column, token in ((0, 0), (1, 3)):
        band = PATH.interval(0.8, tokens=[0, 3])[:, column]
        for values in (PATH.mean()[:, token], OWN.probs()[:, token], band[:, 0], band[:, 1]):
            assert is_drawn(values)
        shaded = ax.collections[column].get_paths()[0].vertices[:, 1]
        assert set(band.ravel().round(12)) <= set(shaded.round(12))
    assert not is_drawn(PATH.mean()[:, 1])
    # Marks above the data at the shots that showed the token.
    above = [line for line in ax.get_lines() if len(line.get_ydata()) and line.get_ydata()[0] > 1.0]
    assert [list(line.get_xdata()) for line in above] == [[1, 2, 4], [3]]


def test_weights_of_a_mixture_are_drawn() -> None:
    ax = plot.mixture_weights(MIXED, ax=new_axes(""))
    assert np.allclose([bar.get_height() for bar in ax.patches], MIXED.weights)
    assert [text.get_text() for text in ax.get_xticklabels()][1].startswith("Transition")
    plot.mixture_weights(replace(MIXED, standard_errors=None), ax=new_axes(""))


def test_the_default_tokens_are_the_most_probable() -> None:
    ax = plot.concentration(PATH, ax=new_axes(""))
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(names) == 4 + 2
    assert label(" yes") in names
    assert not any("model" in name for name in names)


def test_names_are_printed_as_they_are() -> None:
    ax = plot.concentration(PATH, tokens=[*TOKENS], ax=new_axes(""))
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names[:5] == [label(token) for token in TOKENS]
    assert names[1:3] == [r"'\$x^2\$'", "'_hidden'"]
    png(ax.figure)


def test_kl_is_in_bits() -> None:
    drawn = plot.kl(PATH, OWN, ax=new_axes("")).get_lines()[0].get_ydata()
    np.testing.assert_allclose(drawn, PATH.kl(OWN) / np.log(2.0), rtol=1e-12)
    same = plot.kl(PATH, OWN.probs(), kind="probs", ax=new_axes("")).get_lines()[0].get_ydata()
    np.testing.assert_allclose(same, drawn, rtol=1e-6)


def test_three_panels_share_their_shots() -> None:
    figure = plot.concentration_figure(PATH, rows=OWN, figure=Figure(layout="constrained"))
    assert len(figure.axes) == 3
    assert len({ax.get_xlim() for ax in figure.axes}) == 1
    assert [ax.get_xlabel() for ax in figure.axes][:2] == ["", ""]
    assert png(figure)
    assert pyplot.get_fignums() == []


def test_a_long_legend_does_not_squeeze_the_panels() -> None:
    rng = np.random.default_rng(0)
    names = ["a name that is quite long " + str(j) for j in range(7)]
    many = DirichletMixture(np.full(7, 1 / 7), rng.uniform(0.2, 5.0, (7, 7)), tokens=names)
    path = posterior_path(many, [0, 1])
    figure = plot.concentration_figure(path, tokens=names, figure=Figure((9.0, 9.0)))
    png(figure)
    width, height = figure.get_size_inches() * figure.dpi
    for ax, share in zip(figure.axes, (0.35, 0.15, 0.15), strict=True):
        assert ax.get_window_extent().height > share * height
        legend = ax.get_legend().get_window_extent()
        assert legend.x1 <= width


def test_a_check_has_four_panels() -> None:
    figure = plot.check_figure(CHECKED, figure=Figure((9.0, 6.0), layout="constrained"))
    assert png(figure)
    assert pyplot.get_fignums() == []
    assert [bool(ax.get_legend()) for ax in figure.axes] == [True, False, False, True]
    for ax in figure.axes:
        assert ax.get_xlabel()
        assert ax.get_ylabel()
        assert ax.get_window_extent().width > 0.18 * figure.dpi * 9.0


def test_components_pools_what_it_does_not_show() -> None:
    rng = np.random.default_rng(0)
    wide = DirichletMixture([0.7, 0.3], rng.uniform(0.1, 3.0, (2, 500)))
    ax = plot.components(wide, most=6, ax=new_axes(""))
    shown = np.asarray(ax.get_images()[0].get_array())
    assert shown.shape == (2, 6)
    np.testing.assert_allclose(shown.sum(axis=1), 1.0)
    assert [t.get_text() for t in ax.get_xticklabels()][-1] == "(all others)"


def test_components_that_have_no_row_are_one_together() -> None:
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(300))
    many = DirichletMixture(weights, rng.uniform(0.1, 3.0, (300, 3)))
    ax = plot.components(many, ax=new_axes(""))
    shown = np.asarray(ax.get_images()[0].get_array())
    assert 2 < len(shown) < 300
    heavy = np.sort(np.argsort(-weights)[: len(shown) - 1])
    means = many.alpha / many.alpha.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shown[:-1], means[heavy])
    others = np.delete(np.arange(300), heavy)
    np.testing.assert_allclose(
        shown[-1], np.average(means[others], axis=0, weights=weights[others])
    )


def test_a_triangle_counts_the_means_that_it_does_not_mark() -> None:
    rng = np.random.default_rng(0)
    many = DirichletMixture(np.full(9, 1 / 9), rng.uniform(1.0, 9.0, (9, 3)))
    ax = plot.ternary(many, resolution=20, ax=new_axes("ternary"))
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sum(word.startswith("mean of component") for word in words) == MOST
    assert f"and {9 - MOST} others" in words


def test_a_curve_has_a_band_of_its_standard_error() -> None:
    values, errors = {"a": [1.0, 0.5], "b": [0.2, 0.1]}, {"a": [0.125, 0.25]}
    (band,) = plot.curves(values, errors=errors, ax=new_axes("")).collections
    ends = {tuple(point) for point in band.get_paths()[0].vertices.tolist()}
    assert ends == {(0.0, 0.875), (0.0, 1.125), (1.0, 0.25), (1.0, 0.75)}


@pytest.mark.parametrize("tokens", [None, [" yes", "blue"], [0, 3, 4]])
def test_a_triangle_is_of_a_mixture_that_is_exact(tokens) -> None:
    weights, alpha, names = plots._triangle(PRIOR, tokens)
    np.testing.assert_array_equal(weights, PRIOR.weights)
    full = np.asarray(PRIOR.alpha)
    columns = {None: [0, 3], (" yes", "blue"): [0, 4], (0, 3, 4): [0, 3, 4]}[
        None if tokens is None else tuple(tokens)
    ]
    expected = full[:, columns]
    if len(columns) == 2:
        rest = full.sum(axis=1) - expected.sum(axis=1)
        expected = np.column_stack([expected, rest])
        assert names[2] == "all others"
    np.testing.assert_allclose(alpha, expected, rtol=1e-14)


def test_regions_hold_the_mass_that_they_name() -> None:
    # Dir(1, 1, 4): the density is 20 p_3^3, so a region is {p_3 > c}, and p_3 is Beta(4, 2).
    mixture = DirichletMixture([1.0], [[1.0, 1.0, 4.0]])
    draws = mixture.sample(50_000, rng=1, kind="log_probs")
    levels, held = plots._regions(mixture.log_prob(draws, kind="log_probs"), 3.0)
    assert held == [0.95, 0.8, 0.5, 0.25]
    for level, share in zip(levels, held, strict=False):
        cut = np.exp((level - np.log(20.0)) / 3.0)
        np.testing.assert_allclose(1.0 - (5 * cut**4 - 4 * cut**5), share, atol=0.01)
    assert (np.diff(levels) > 0).all()


@pytest.mark.slow
def test_a_spike_can_be_drawn_too() -> None:
    spike = DirichletMixture([0.5, 0.5], [[1e7, 2e7, 1e7], [1e-3, 1e-3, 1e-3]])
    png(plot.ternary(spike, resolution=30, ax=new_axes("ternary")).figure)


def test_the_criterion_marks_the_choice() -> None:
    ax = plot.criterion(SELECTION, ax=new_axes(""))
    assert list(ax.get_lines()[0].get_ydata()) == [-5.0, -9.0, -8.0]
    assert (list(ax.get_lines()[1].get_xdata()), list(ax.get_lines()[1].get_ydata())) == ([2], [-9])


def drawn(ax: Axes) -> list[tuple[list[float], list[float]]]:
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.get_lines()]


def test_a_learning_curve_marks_its_crossover() -> None:
    ax = LEARNT.plot(ax=new_axes(""))
    n, (low, high) = LEARNT.dirichlet.crossover, LEARNT.dirichlet.intervals["crossover"]
    assert ([n], [0.5]) in drawn(ax)
    assert ([low, high], [0.5, 0.5]) in drawn(ax)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert f"one Dirichlet:\npasses 1/2 at {n:.3g} ({low:.3g} to {high:.3g})" in names
    assert "observed, mean ± sd" in names
    means = [np.asarray(y) for x, y in drawn(ax) if x == SHOTS.tolist()]
    assert any(np.allclose(y, (2 + SHOTS) / (10 + SHOTS)) for y in means)
    lines = {line.get_label().split(":")[0]: line.get_linewidth() for line in ax.get_lines()}
    assert lines["one Dirichlet"] > lines["switch"]  # as LEARNT.best is


@pytest.mark.parametrize(
    ("p", "words"),
    [
        ([0.6, 0.7, 0.8], "above 1/2 from"),
        ([0.2, 0.2, 0.2], "never passes 1/2"),
        ([0.2, 0.3, 0.4], "1/2 at"),
    ],
)
def test_a_learning_curve_need_not_pass_one_half(p: list[float], words: str) -> None:
    fit = fit_icl_curve([0, 1, 2], p, others=[0, 0, 1], n_boot=0, rng=0)
    ax = plot.icl_curve(fit, ax=new_axes(""))
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words in names[0]
    assert names[1:] == ["observed", "observed, with others"]
    assert png(ax.figure)


def test_points_with_different_other_labels_are_not_pooled() -> None:
    fit = fit_icl_curve(
        [4, 4, 4, 0, 8], [0.4, 0.2, 0.4, 0.2, 0.5], others=[4, 12, 12, 0, 0], n_boot=0, rng=0
    )
    ax = plot.icl_curve(fit, ax=new_axes(""))
    assert any(x == [4, 4] and np.allclose(y, [0.4, 0.3]) for x, y in drawn(ax))
    assert png(ax.figure)


def test_far_shots_are_on_a_logarithmic_axis() -> None:
    shots = np.array([0, *2 ** np.arange(11)])
    fit = fit_icl_curve(shots, (2 + shots) / (10 + shots), n_boot=0, rng=0)
    ax = plot.icl_curve(fit, ax=new_axes(""))
    assert ax.get_xscale() == "symlog"
    x = np.array(next(x for x, _ in drawn(ax) if len(x) > 100))
    assert (x[0], round(x[-1])) == (0.0, 1024)
    assert (x < 10.0).sum() > 50
    low, high = ax.get_xlim()
    assert low < 0.0 < 1024.0 < high
    few = fit_icl_curve([0, 1, 2], [0.2, 0.3, 0.4], n_boot=0, rng=0)
    assert plot.icl_curve(few, ax=new_axes("")).get_xscale() == "linear"


def test_a_curve_that_never_passes_has_no_interval_for_where() -> None:
    curve = replace(LEARNT.dirichlet, crossover=np.inf, intervals={"crossover": (np.inf, np.inf)})
    ax = plot.icl_curve(replace(LEARNT, dirichlet=curve), ax=new_axes(""))
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "one Dirichlet:\nnever passes 1/2" in names


@pytest.mark.slow
def test_a_text_has_three_panels() -> None:
    figure = Figure((9.0, 7.5), layout="constrained")
    axes = tuple(figure.subplots(3, 1, sharex=True))
    assert TEXT.plot(axes=axes) == axes
    whole = Figure()
    assert TEXT.plot_figure(figure=whole) is whole
    assert [ax.get_title(loc="left") for ax in whole.axes] == [
        ax.get_title(loc="left") for ax in axes
    ]
    assert pyplot.get_fignums() == []
    steps = list(range(5))
    shown = [
        [TEXT.model_probability, TEXT.predictive_probability],
        [TEXT.kl],
        [TEXT.total, TEXT.aleatoric, TEXT.epistemic],
    ]
    assert png(figure)
    for ax, values in zip(axes, shown, strict=True):
        assert drawn(ax) == [(steps, value.tolist()) for value in values]
        assert ax.get_legend().get_window_extent().x0 >= ax.get_window_extent().x1
        assert ax.get_ylabel()
        assert ax.get_title(loc="left")
    names = [text.get_text() for text in axes[2].get_xticklabels()]
    assert names == [label(TOKENS[j]) for j in (0, 0, 3, 1, 0)]
    many = learning_path(PRIOR, lambda x: np.full((*x.shape, 5), 0.2), [0] * 60, kind="probs")
    assert len(plot.learning_path_figure(many).axes[2].get_xticks()) < 20
    assert len(pyplot.get_fignums()) == 1


@pytest.mark.slow
def test_scaling_laws_are_curves_between_sparse_shots() -> None:
    shots = np.array([0.0, 100.0, 1000.0, 10000.0])
    fit = fit_scaling_laws(shots, [0.1, 0.2, 0.7, 0.9], laws=["logistic"], rng=0)
    ax = plot.scaling_laws(fit, ax=new_axes(""))
    x, y = ax.get_lines()[0].get_data()
    assert len(x) >= 200
    assert x[0] == 0.0
    assert x[-1] == 10000.0
    assert set(shots) <= set(x)
    np.testing.assert_array_equal(y, fit["logistic"](x)[0])
    with pytest.raises(TypeError, match="integer"):
        plot.scaling_laws(fit, task=0.0)  # type: ignore[arg-type]


@pytest.mark.slow
def test_laws_over_decades_are_on_a_logarithmic_axis() -> None:
    assert plot.scaling_laws(LAWS, ax=new_axes("")).get_yscale() == "linear"
    rising = fit_scaling_laws(SHOTS, 0.9 - 0.89 / (SHOTS + 1.0), laws=["power"], rng=0)
    assert plot.scaling_laws(rising, ax=new_axes("")).get_yscale() == "log"


def test_scaling_laws_tell_what_was_held_out() -> None:
    ax = LAWS.plot(task=1, ax=new_axes(""))
    p = LAWS.probabilities[1].tolist()
    assert (SHOTS[:5].tolist(), p[:5]) in drawn(ax)
    assert (SHOTS[5:].tolist(), p[5:]) in drawn(ax)
    x, y = next(line for line in ax.get_lines() if line.get_label().startswith("power")).get_data()
    np.testing.assert_array_equal(y[np.isin(x, SHOTS)], LAWS["power"].predicted[1])
    assert ax.get_xscale() == "symlog"
    short = fit_scaling_laws([1, 2, 3], [0.01, 0.2, 0.9], laws=["power"], rng=0)
    ax = plot.scaling_laws(short, ax=new_axes(""))
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "log")
    assert not any("held out" in text.get_text() for text in ax.get_legend().get_texts())


@pytest.mark.slow
def test_a_wind_tunnel_shows_a_small_kl_too() -> None:
    assert FAR.plot(ax=new_axes("")).get_yscale() == "linear"
    ax = NEAR.plot(ax=new_axes(""))
    assert ax.get_yscale() == "log"
    assert (list(range(8)), NEAR.kl.tolist()) in drawn(ax)
    exact = windtunnel.score(URNS, URNS.log_predictive, n=1, length=8, rng=0)
    assert png(exact.plot(ax=new_axes("")).figure)  # no KL, and no standard error of one sequence


def markers(ax: Axes, name: str) -> list[float]:
    """The heights of the markers that a line shows."""
    (line,) = (line for line in ax.get_lines() if line.get_label() == name)
    heights = np.asarray(line.get_ydata())[line.get_markevery()]
    return [float(y) for y in heights if np.isfinite(y)]


@pytest.mark.parametrize("positions", [[5], [2, 5], [0, 2, 5]])
def test_a_wind_tunnel_shows_each_line_at_few_positions(positions: list[int]) -> None:
    ax = replace(FAR, positions=np.array(positions)).plot(ax=new_axes(""))
    for name in ("entropy of exact Bayes", "entropy of the model", "KL(Bayes || model)"):
        assert markers(ax, name)


@pytest.mark.slow
def test_a_wind_tunnel_marks_an_infinite_kl() -> None:
    kl, error = NEAR.kl.copy(), NEAR.standard_error.copy()
    kl[[3, 5]], error[[3, 5]] = np.inf, np.nan
    score = replace(NEAR, kl=kl, standard_error=error)
    ax = score.plot(ax=new_axes(""))
    assert ([3, 5], [1.0, 1.0]) in drawn(ax)
    assert "KL is infinite" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert kl[4] in markers(ax, "KL(Bayes || model)")  # a point that no line reaches
    assert ax.get_yscale() == "log"
    assert png(ax.figure)
    everywhere = replace(score, positions=np.array([3, 5])).plot(ax=new_axes(""))
    assert ([3, 5], [1.0, 1.0]) in drawn(everywhere)
    assert png(everywhere.figure)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot.concentration(PATH, tokens=["no"]), "'no' is not among the"),
        (lambda: plot.concentration(PATH, tokens=[9]), "9 is not one of the"),
        (lambda: plot.concentration(PATH, tokens=[]), "0 tokens"),
        (
            lambda: plot.concentration(PATH, rows=OWN[:3]),
            r"the path needs \(7, 5\)",
        ),
        (lambda: plot.concentration(PATH, rows=OWN.log_probs), "kind="),
        (
            lambda: plot.concentration(
                PATH, rows=NextTokenRows(OWN.log_probs, tokens=TOKENS[::-1])
            ),
            "bring them into the same order",
        ),
        (lambda: plot.ternary(PRIOR, tokens=[0, 0]), "two or three different tokens"),
        (lambda: plot.ternary(DirichletMixture([1.0], [[1.0, 2.0]])), "needs three tokens"),
        (lambda: plot.curves({}), "0 curves"),
        (lambda: plot.elicitation(ELICITED, by="age"), "by='age' is not one of"),
        (lambda: plot.scaling_laws(LAWS, task=2), "curves 0 to 1"),
        (lambda: plot.learning_path(TEXT, axes=[new_axes("")]), "1 axes; three are needed"),
    ],
)
def test_wrong_arguments_are_explained(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_triangle_needs_ternary_axes() -> None:
    with pytest.raises(TypeError, match="projection"):
        plot.ternary(PRIOR, ax=new_axes("plain"))


def test_levels_are_not_rounded() -> None:
    ax = plot.continuity(replace(TORN, level=0.975), ax=new_axes(""))
    assert "97.5% of samples" in [text.get_text() for text in ax.get_legend().get_texts()]
    report = replace(
        ELICITED, level=0.999, discount=0.9, intervals={"discount": np.array([0.8, 0.95])}
    )
    assert "0.9 (99.9%: 0.8 to 0.95)" in repr(report)


def test_the_kl_by_length_is_that_of_the_report() -> None:
    ax = plot.elicitation(ELICITED, by="kl", ax=new_axes(""))
    own = ELICITED.kl_by_place["length"]
    lines = drawn(ax)
    places = list(range(len(own.first)))
    for kl in (own.mean_kl, own.constant):
        assert (places, (np.log2(np.e) * kl).tolist()) in lines
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names[:2] == ["family 'iid'", "a constant"]
    assert any(name.startswith("ending in ") for name in names)
    apart = own._replace(repeated=np.zeros_like(own.repeated))  # no history comes twice
    other = replace(ELICITED, kl_by_place={**ELICITED.kl_by_place, "length": apart})
    ax = plot.elicitation(other, by="kl", ax=new_axes(""))
    assert "floor" in names
    assert "floor" not in [text.get_text() for text in ax.get_legend().get_texts()]
    old = replace(ELICITED, kl_by_place=None)
    with pytest.raises(ValueError, match="earlier version has no KL by place"):
        plot.elicitation(old, by="kl", ax=new_axes(""))
    for report, panels in ((ELICITED, 3), (old, 2)):
        figure = report.plot(figure=Figure(layout="constrained"))
        assert len(figure.axes) == panels
        assert png(figure)


def test_elicitation_of_points_that_are_all_zero() -> None:
    zero = ELICITED.points._replace(observed=np.zeros_like(ELICITED.points.observed))
    ax = plot.elicitation(replace(ELICITED, points=zero))
    assert ax.get_xscale() == "linear"


def test_completion_offers_pictures_alone() -> None:
    assert dir(plot) == sorted(plot.__all__)
