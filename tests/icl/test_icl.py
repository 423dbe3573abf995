"""In-context learning curves: closed forms, planted priors, and what noise leaves open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

import matrixbayes as mb
from matrixbayes.errors import ConvergenceWarning
from matrixbayes.icl import fit_icl_curve, icl_curve, search
from matrixbayes.icl.search import Points, curve, kl

SHOTS = np.arange(0, 60, 3)
SWITCH = mb.DirichletMixture([0.999, 0.001], [[40.0, 4.0], [0.5, 20.0]])


def curve_of(prior, shots=SHOTS):
    return icl_curve(prior, np.column_stack([0 * shots, shots]))[:, 1]


@pytest.mark.parametrize(("a", "m"), [(10.0, 0.8), (300.0, 0.55), (2.0, 0.95)])
def test_one_dirichlet_has_its_closed_form_and_is_found(a, m):
    prior = mb.DirichletMixture([1.0], [[a * m, a * (1 - m)]])
    expected = (a * (1 - m) + SHOTS) / (a + SHOTS)
    assert_allclose(curve_of(prior), expected, rtol=1e-12)
    found = fit_icl_curve(SHOTS, expected, n_boot=5, rng=0)
    curve = found.dirichlet
    assert_allclose([curve.concentration, curve.mean], [a, m], rtol=1e-5)
    assert_allclose(curve.crossover, a * (2 * m - 1), rtol=1e-5)
    assert found.best is curve
    assert_allclose(curve([0, 7]), [(1 - m), (a * (1 - m) + 7) / (a + 7)], rtol=1e-5)
    assert set(curve.intervals) == {"crossover", "concentration", "mean"}


def test_a_switch_is_found_and_told_from_slow_learning():
    found = fit_icl_curve(SHOTS, curve_of(SWITCH), n_boot=5, rng=0)
    assert found.best is found.switch
    assert found.bic_difference > 100.0
    assert found.verdict().startswith("A switch")
    assert_allclose(found.switch.prior.alpha, SWITCH.alpha, rtol=1e-3)
    assert_allclose(found.switch.prior.weights, SWITCH.weights, rtol=1e-3)
    low, high = found.switch.crossover - 0.01, found.switch.crossover + 0.01
    assert curve_of(SWITCH, np.array([low]))[0] < 0.5 < curve_of(SWITCH, np.array([high]))[0]
    assert "one Dirichlet" in repr(found)
    assert "<table" in found._repr_html_()


def test_a_little_gain_is_no_learning() -> None:
    found = fit_icl_curve(SHOTS, curve_of(SWITCH), n_boot=0)
    best = found.best.bic
    little = replace(found, constant_bic=best + 5.9, falling_bic=best + 9.0)
    assert little.verdict().startswith("The data do not tell learning from a constant")
    assert replace(little, constant_bic=best + 6.1).verdict().startswith("A switch")


def test_a_search_that_ends_on_a_slope_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "FLAT", -1.0)
    with pytest.warns(ConvergenceWarning, match=r"a curve of [12] components ended at a slope of"):
        fit_icl_curve(SHOTS, curve_of(SWITCH), n_boot=0)


@pytest.mark.parametrize("k", [1, 2])
def test_slopes_against_differences(k):
    rng = np.random.default_rng(0)
    n, others = np.array([0.0, 1.0, 2.5, 40.0, 3.0]), np.array([0.0, 0.0, 0.0, 0.0, 7.5])
    for _ in range(20):
        theta = rng.normal(0.5, 1.5, 2 if k == 1 else 5)
        slopes = curve(theta, k, n, others)[1]
        for j in range(len(theta)):
            step = np.zeros(len(theta))
            step[j] = 1e-6
            numeric = (
                curve(theta + step, k, n, others)[0] - curve(theta - step, k, n, others)[0]
            ) / 2e-6
            assert_allclose(slopes[j], numeric, rtol=1e-5, atol=1e-8)


@pytest.mark.slow
def test_intervals_cover_the_planted_values():
    a, m, inside = 10.0, 0.8, 0
    shots = np.repeat(np.arange(0, 30, 6), 6)
    truth = (a * (1 - m) + shots) / (a + shots)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noisy = np.clip(truth + rng.normal(0.0, 0.03, len(shots)), 0.0, 1.0)
        found = fit_icl_curve(shots, noisy, n_boot=40, rng=rng).dirichlet
        low, high = found.intervals["crossover"]
        inside += low <= a * (2 * m - 1) <= high
    assert inside >= 13  # of 18 expected


def test_demonstrations_of_other_labels_count_too():
    a, m = 12.0, 0.75
    shown, others = np.divmod(np.arange(36), 6)
    p = (a * (1 - m) + shown) / (a + shown + others)
    found = fit_icl_curve(shown, p, others=others, n_boot=0, rng=0)
    assert_allclose([found.dirichlet.concentration, found.dirichlet.mean], [a, m], rtol=1e-5)
    assert_allclose(found.dirichlet(shown, others), p, rtol=1e-6)
    assert found.best is found.dirichlet
    expected = icl_curve(SWITCH, np.column_stack([others, shown]))[:, 1]
    found = fit_icl_curve(shown, expected, others=others, n_boot=0, rng=0)
    assert found.best is found.switch
    assert_allclose(found.switch(shown, others), expected, rtol=1e-4)
    assert found.others is not None
    assert_allclose(found.probabilities, expected)


def test_intervals_know_what_points_belong_together():
    # Each sequence has its own prior, so that its points err together.
    shots = np.arange(0, 24, 2)
    rng = np.random.default_rng(0)
    own = rng.beta(16, 4, 30)
    p = np.stack([(10 * (1 - m) + shots) / (10 + shots) for m in own])
    n, groups = np.tile(shots, 30), np.repeat(np.arange(30), len(shots))
    widths = []
    for names in (None, groups):
        found = fit_icl_curve(n, p.ravel(), groups=names, n_boot=100, rng=1)
        low, high = found.dirichlet.intervals["crossover"]
        widths.append(high - low)
    # The mean curve has A = 10 and the mean of the 30 draws of m, so that n* = 20 m - 10.
    expected = 20 * 2 * 1.645 * own.std(ddof=1) / np.sqrt(30)
    assert_allclose(widths[1], expected, rtol=0.3)
    assert widths[0] < 0.5 * widths[1]
    alone = fit_icl_curve(shots, p[0], groups=np.zeros(len(shots)), n_boot=5, rng=0)
    assert alone.dirichlet.intervals == {}


def test_a_heavy_point_does_not_count_as_many():
    # One point carries the estimate: an interval over samples of points must show that.
    shots, p = np.repeat([0, 10], 10), np.tile([0.1, 0.3], 10)
    weights = np.ones(20)
    weights[0] = 100.0
    heavy = fit_icl_curve(shots, p, weights=weights, n_boot=100, rng=0).dirichlet
    even = fit_icl_curve(shots, p, n_boot=100, rng=0).dirichlet
    (low, high), (first, last) = heavy.intervals["mean"], even.intervals["mean"]
    assert high - low > 1.2 * (last - first)
    none = np.r_[np.ones(10), np.zeros(10)]
    with pytest.raises(ValueError, match="same number of shots"):
        fit_icl_curve(shots, p, weights=none)


def test_few_points_and_curves_that_never_cross():
    few = fit_icl_curve([0, 2, 4], [0.2, 1 / 3, 3 / 7], n_boot=0, rng=0)
    assert few.switch is None
    assert np.isnan(few.bic_difference)
    assert "Too few" in few.verdict()
    assert few.dirichlet.intervals == {}
    early = fit_icl_curve([0, 1, 2], [0.6, 0.7, 0.8], n_boot=0, rng=0)
    assert early.dirichlet.crossover == 0.0
    sure = fit_icl_curve([0, 1], [0.0, 1.0], n_boot=0, rng=0)
    assert np.isfinite(sure.dirichlet.mean_kl)
    weighted = fit_icl_curve([0, 5, 5], [0.2, 0.4666666, 0.9], weights=[1, 1, 0], n_boot=0, rng=0)
    assert weighted.dirichlet.mean_kl < 1e-10


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([1, 2], [0.5]), "shapes"),
        (([-1, 2], [0.5, 0.5]), r"shots\[0\] is -1"),
        (([1, 2], [0.5, 1.5]), r"probabilities\[1\] is 1.5"),
        (([1, 2], [0.5, np.nan]), r"probabilities\[1\] is nan"),
        (([3, 3], [0.5, 0.6]), "same number of shots"),
        (([], []), "no points"),
    ],
)
def test_wrong_points_are_named(arguments, says):
    with pytest.raises(ValueError, match=says):
        fit_icl_curve(*arguments)
    with pytest.raises(ValueError, match="level"):
        fit_icl_curve([0, 1], [0.2, 0.3], level=2.0)
    with pytest.raises(ValueError, match="weights"):
        fit_icl_curve([0, 1], [0.2, 0.3], weights=[0, 0])
    for name in ("others", "groups"):
        with pytest.raises(ValueError, match=f"{name} have shape"):
            fit_icl_curve([0, 1], [0.2, 0.3], **{name: [0]})
    with pytest.raises(ValueError, match=r"others\[1\] is -1"):
        fit_icl_curve([0, 1], [0.2, 0.3], others=[0, -1])
    with pytest.raises(ValueError, match="need \\(n, V\\)"):
        icl_curve(SWITCH, [1.0, 2.0])


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.499])
def test_a_curve_that_does_not_rise_crosses_nowhere(probability: float) -> None:
    shots = np.arange(0, 40, 3)
    found = fit_icl_curve(shots, np.full(len(shots), probability), n_boot=10, rng=0)
    assert found.dirichlet.crossover == np.inf
    assert found.dirichlet.intervals["crossover"] == (np.inf, np.inf)
    assert found.verdict().startswith("No learning")


def test_a_number_of_samples_is_not_negative() -> None:
    with pytest.raises(ValueError, match="n_boot is -1"):
        fit_icl_curve([0, 1], [0.2, 0.3], n_boot=-1)


@pytest.mark.parametrize("probability", [0.1, 0.3, 0.5, 0.8])
@pytest.mark.slow
def test_noise_is_not_learning(probability: float) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        shots = rng.integers(0, 30, 60)
        seen = np.clip(probability + rng.normal(0.0, 0.05, 60), 0.001, 0.999)
        found = fit_icl_curve(shots, seen, n_boot=0, rng=0)
        assert found.verdict().startswith(("No learning", "The data do not tell learning"))
        assert found.constant_kl >= found.dirichlet.mean_kl - 1e-6


def test_a_constant_beats_what_only_the_limits_of_the_search_leave() -> None:
    rng = np.random.default_rng(0)
    shots, others = np.tile([0.0, 2.0, 4.0, 6.0], 20), np.repeat(np.arange(4.0), 20)
    seen = 0.5 + rng.normal(0.0, 1e-6, 80)
    found = fit_icl_curve(shots, seen, others=others, n_boot=0, rng=0)
    assert found.verdict().startswith("No learning")
    shots = np.arange(0.0, 30.0, 2.0)
    assert fit_icl_curve(shots, 0.9 - 0.02 * shots, rng=0).verdict().startswith("No learning")
    assert "constant" in repr(found)


FALLS = {
    "a line": lambda n: 0.9 - 0.015 * n,
    "one Dirichlet of the other label": lambda n: 8.0 / (10.0 + n),
    "to a plateau": lambda n: 0.6 + 0.25 * np.exp(-n / 5.0),
    "a switch": lambda n: 0.9 - 0.7 / (1.0 + np.exp(0.5 * (20.0 - n))),
}


@pytest.mark.parametrize("noise", [0.0, 0.03])
@pytest.mark.parametrize("name", FALLS)
def test_a_falling_curve_is_called_falling(name: str, noise: float) -> None:
    shots = np.arange(0.0, 40.0, 2.0)
    seen = np.clip(FALLS[name](shots) + np.random.default_rng(0).normal(0.0, noise, 20), 0.0, 1.0)
    found = fit_icl_curve(shots, seen, n_boot=0, rng=0)
    assert found.is_falling
    assert found.verdict().startswith("No learning: the curve is falling")
    assert "falling" in repr(found)
    if name.startswith("one") and noise == 0.0:
        assert found.falling_kl < 1e-9
    mirrored = fit_icl_curve(shots, 1.0 - seen, n_boot=0, rng=0)  # of the other label
    assert not mirrored.is_falling
    assert "falling" not in repr(mirrored)
    assert np.isnan(mirrored.falling_bic)


def test_a_curve_that_neither_rises_nor_falls_is_not_called_falling() -> None:
    shots = np.arange(0.0, 40.0, 2.0)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        flat = fit_icl_curve(shots, 0.6 + rng.normal(0.0, 0.05, 20), n_boot=0, rng=0)
        assert not flat.is_falling
        assert np.isfinite(flat.falling_bic)
    waves = fit_icl_curve(shots, 0.5 + 0.2 * np.cos(shots / 3.0), n_boot=0, rng=0)
    assert not waves.is_falling


@pytest.mark.slow
def test_intervals_are_as_wide_as_the_noise_however_small() -> None:
    shots = np.arange(15.0)
    noise = np.random.default_rng(1).normal(size=15)
    wide = []
    for size in (1e-3, 1e-5, 1e-6):
        found = fit_icl_curve(shots, (2.0 + shots) / (10.0 + shots) + size * noise, rng=0)
        low, high = found.dirichlet.intervals["crossover"]
        wide.append((high - low) / size)
    assert_allclose(wide, wide[0], rtol=0.05)


def test_no_intervals_where_a_curve_goes_through_all_points() -> None:
    assert fit_icl_curve([0, 5], [0.2, 0.4], rng=0).dirichlet.intervals == {}
    assert fit_icl_curve([0, 5, 0, 5], [0.2, 0.4, 0.2, 0.4], rng=0).dirichlet.intervals == {}
    assert fit_icl_curve([0, 5, 9], [0.2, 0.4, 0.5], rng=0).dirichlet.intervals["crossover"]


def test_points_of_equal_demonstrations_count_by_their_mean() -> None:
    """And by how far they are from it, which no curve changes."""
    rng = np.random.default_rng(0)
    shots, weights = np.repeat([0.0, 3.0, 9.0, 20.0], 5), rng.random(20)
    seen = np.clip((2.0 + shots) / (10.0 + shots) + rng.normal(0.0, 0.05, 20), 0.0, 1.0)
    points = Points.checked(shots, seen, None, weights, None)
    places, apart = points.merged()
    theta = np.log([3.0, 2.0])
    whole = points.weights @ kl(seen, curve(theta, 1, shots, 0.0 * shots)[0])
    merged = places.weights @ kl(
        places.probabilities, curve(theta, 1, places.shown, places.others)[0]
    )
    assert merged + apart == pytest.approx(whole, rel=1e-12)
    found = fit_icl_curve(shots, seen, weights=weights, rng=0, n_boot=0).dirichlet
    own = points.weights @ kl(seen, found(shots))
    assert found.mean_kl == pytest.approx(own, rel=1e-9)


def test_other_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"n_boot is 2.5"):
        fit_icl_curve([0, 1], [0.2, 0.3], n_boot=2.5)
    with pytest.raises(TypeError, match=r"groups\[1\] is missing"):
        fit_icl_curve([0, 1], [0.2, 0.3], groups=["a", None])
    found = fit_icl_curve([0, 1, 2], [0.2, 0.3, 0.4], weights=[1e308] * 3, level=0.975, rng=0)
    assert "97.5% from" in repr(found)


def test_points_of_no_weight_are_no_points() -> None:
    found = fit_icl_curve([0, 3, 6, 10**6], [0.2, 0.4, 0.5, 0.0], weights=[1, 1, 1, 0], rng=0)
    assert found.shots.tolist() == [0.0, 3.0, 6.0]
    assert len(found.probabilities) == len(found.others) == 3


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_numbers_of_repetitions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shots, others = rng.integers(0, 30, 25).astype(float), rng.integers(0, 3, 25).astype(float)
    p = np.clip((2.0 + shots) / (10.0 + shots + others) + rng.normal(0.0, 0.03, 25), 0.0, 1.0)
    weights = rng.integers(0, 5, 25)
    again = [np.repeat(values, weights) for values in (shots, p, others)]
    same = np.repeat(np.arange(25), weights)  # an interval is over samples of points as they are
    found = fit_icl_curve(shots, p, others=others, weights=weights, n_boot=20, rng=0)
    expected = fit_icl_curve(again[0], again[1], others=again[2], groups=same, n_boot=20, rng=0)
    for own, other in ((found.dirichlet, expected.dirichlet), (found.switch, expected.switch)):
        assert_allclose([own.mean_kl, own.bic], [other.mean_kl, other.bic], rtol=1e-6)
    own, other = found.dirichlet.intervals, expected.dirichlet.intervals
    assert_allclose(own["crossover"], other["crossover"], rtol=1e-4)
    assert_allclose(found.constant_bic, expected.constant_bic, rtol=1e-9)
    # by hand
    n = weights.sum()
    bic = n * np.log(found.dirichlet.mean_kl) + 2.0 * np.log(n)
    assert_allclose(found.dirichlet.bic, bic, rtol=1e-12)
    assert found.verdict() == expected.verdict()


def test_what_weighs_nothing_may_be_anything() -> None:
    shots, p = np.array([0.0, 3.0, 6.0, 9.0, 15.0]), np.array([0.2, 0.4, 0.45, 0.6, 0.7])
    found = fit_icl_curve(
        np.r_[shots, np.nan, -1.0], np.r_[p, 0.5, 7.0], weights=[1, 2, 1, 1, 1, 0, 0], rng=0
    )
    expected = fit_icl_curve(shots, p, weights=[1, 2, 1, 1, 1], rng=0)
    assert found.dirichlet.prior == expected.dirichlet.prior
    assert found.dirichlet.intervals == expected.dirichlet.intervals
    assert found.dirichlet.bic == expected.dirichlet.bic
    # of any scale: less than one in the mean takes nothing from the points
    small = fit_icl_curve(shots, p, weights=np.array([1, 2, 1, 1, 1]) / 6, rng=0)
    assert_allclose(small.dirichlet.bic, fit_icl_curve(shots, p, rng=0).dirichlet.bic, rtol=0.5)
