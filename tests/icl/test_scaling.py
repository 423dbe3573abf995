"""Scaling laws: the closed form, planted laws found again, and honest extrapolation."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.optimize import least_squares

from matrixbayes.icl import LAWS, bayesian_law, fit_scaling_laws, scaling_search
from matrixbayes.icl.scaling_samples import Curves, drawn_of

SHOTS = np.arange(0, 40)


def test_the_closed_form():
    found = bayesian_law([0, 1, 2, 4, 8, 16], [0.01, 0.99], [0.8, 0.3])
    wanted = [0.305, 0.3131147541, 0.3335078534, 0.4690466364, 0.7813637421, 0.7999924299]
    assert_allclose(found, wanted, atol=5e-11)
    # Bayes' rule, example by example
    rho, p = np.array([0.2, 0.5, 0.3]), np.array([0.9, 0.5, 0.1])
    belief = rho
    for n in range(6):
        assert_allclose(bayesian_law([n], rho, p)[0], belief @ p / belief.sum(), rtol=1e-12)
        belief = belief * p
    assert_allclose(bayesian_law([1e6], [1e-9, 1.0], [0.8, 0.3]), [0.8], rtol=1e-12)
    assert_allclose(
        bayesian_law([3], [1, 1], [0.8, 0.3], 2.0), bayesian_law([6], [1, 1], [0.8, 0.3])
    )


def test_evidence_without_end_leaves_one_task():
    assert_allclose(bayesian_law([1e300], [1e-9, 1.0], [0.8, 0.3], 1e300), [0.8])
    assert_allclose(bayesian_law([1e300], [0.5, 0.5], [1.0, 0.3], 1e300), [1.0])


def planted(form):
    rho = np.array([0.7, 0.28, 0.02])
    if form == "original":
        p = np.array([[0.8, 0.3, 0.2], [0.25, 0.7, 0.4], [0.1, 0.35, 0.9]])
    elif form == "sampling":
        p = np.array([[0.8, 0.3, 0.3], [0.25, 0.7, 0.25], [0.1, 0.1, 0.9]])
    else:
        p = np.array([[0.8, 0.3, 0.2], [0.25, 0.7, 0.2], [0.25, 0.3, 0.9]])
    return np.stack([bayesian_law(SHOTS, rho, row, 0.6) for row in p])


# of 12 parameters without noise there are many optima within 0.001
@pytest.mark.filterwarnings("ignore:original. the best fit was found by one search:RuntimeWarning")
@pytest.mark.parametrize("form", ["original", "sampling", "scoring"])
@pytest.mark.slow
def test_planted_bayesian_laws_are_found_and_extrapolate(form):
    curves = planted(form)
    found = fit_scaling_laws(SHOTS, curves, laws=[form, "power"], n_fitted=25, rng=0)
    assert found[form].nrmse < 5e-4
    assert found[form].extrapolation_nrmse < 1e-3
    assert found.best.law == form
    assert_allclose(found[form].predicted, curves, atol=1e-3)
    assert found[form].n_parameters == {"original": 12, "sampling": 9, "scoring": 9}[form]
    assert_allclose(found[form].parameters["rho"].sum(), 1.0)


@pytest.mark.parametrize("law", ["power", "bounded", "logistic"])
@pytest.mark.slow
def test_planted_baselines_are_found(law):
    loss = {
        "power": 1.2 * (SHOTS + 1.0) ** -0.7 + 0.3,
        "bounded": 1.2 * (1.0 + SHOTS / 5.0) ** -1.5 + 0.3,
        "logistic": 1.2 / (1.0 + (SHOTS / 8.0) ** 2.0) + 0.3,
    }[law]
    found = fit_scaling_laws(SHOTS, np.exp(-loss), n_fitted=25, rng=0)
    assert list(found.laws) == ["original", "power", "bounded", "logistic"]
    assert found[law].nrmse < 1e-5
    assert found[law].extrapolation_nrmse < 1e-3
    values = {name: float(v[0]) for name, v in found[law].parameters.items()}
    assert_allclose([values["C"], values["k"]], [1.2, 0.3], rtol=0.02)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.slow
def test_what_is_held_out_does_not_shape_the_fit(law):
    curves = planted("original")[:2, ::4]
    other, later = curves.copy(), SHOTS[::4].copy()
    other[:, 7:], later[7:] = 0.02, [100, 1000, 10000]
    found = fit_scaling_laws(SHOTS[::4], curves, laws=[law], n_fitted=7, rng=0)[law]
    again = fit_scaling_laws(later, other, laws=[law], n_fitted=7, rng=0)[law]
    assert found.nrmse == again.nrmse
    for name, value in found.parameters.items():
        np.testing.assert_array_equal(value, again.parameters[name])


def noisy(m):
    r, shots = np.random.default_rng(106), np.arange(0, 32, 2)
    rho, p = r.dirichlet(np.ones(m)), r.uniform(0.05, 0.95, (m, m))
    curves = np.stack([bayesian_law(shots, rho, row, 0.3) for row in p])
    return shots, np.clip(curves + r.normal(0, 0.02, curves.shape), 0.01, 0.99)


def another_optimum(form, shots, curves, starts=12):
    """The least NRMSE that another method finds: trust regions, bounds, differences for slopes."""
    m = len(curves)
    own = np.eye(m, dtype=bool)

    def misfit(theta):
        rho, each, efficiency = np.exp(theta[:m]), theta[m:-1], np.exp(theta[-1])
        other = np.broadcast_to(each[m:], (m, m))  # of a task, under every text
        p = np.where(own, each[:m], other.T if form == "sampling" else other)
        evidence = rho * p ** (efficiency * shots[:, np.newaxis, np.newaxis])
        return ((evidence * p).sum(axis=2) / evidence.sum(axis=2)).T.ravel() - curves.ravel()

    rng = np.random.default_rng(5)
    low = np.concatenate([np.full(m, -30.0), np.full(2 * m, 1e-9), [-8.0]])
    high = np.concatenate([np.zeros(m), np.full(2 * m, 1.0 - 1e-9), [3.0]])
    found = []
    for _ in range(starts):
        start = np.concatenate(
            [-rng.exponential(2.0, m), rng.uniform(0.05, 0.95, 2 * m), [rng.uniform(-4.0, 0.5)]]
        )
        found.append(least_squares(misfit, start, bounds=(low, high), xtol=1e-12, ftol=1e-12))
    best = min(end.cost for end in found)
    return np.sqrt(2.0 * best / curves.size) / curves.mean()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["sampling", "scoring"])
def test_the_seed_does_not_choose_the_optimum(form):
    shots, curves = noisy(3)
    best = another_optimum(form, shots[:10].astype(float), curves[:, :10])
    for seed in range(4):
        found = fit_scaling_laws(shots, curves, laws=[form], n_fitted=10, rng=seed)[form]
        assert found.nrmse <= best * (1.0 + 1e-4)
        assert found.converged
        if form == "scoring":
            assert found.n_agreeing > 1


def test_the_law_that_fits_best_is_not_the_one_that_extrapolates_best():
    """Twelve parameters follow the noise of few points, where a planted power law goes on."""
    rng = np.random.default_rng(3)
    shots = np.arange(0, 60, 3)
    loss = 1.0 * (shots + 1.0) ** -0.6 + 0.4
    curves = np.exp(-loss * np.exp(rng.normal(0.0, 0.02, (2, len(shots)))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = fit_scaling_laws(shots, curves, n_fitted=7, rng=0)
    for fit in found.laws.values():  # what is told of each is what it predicts
        for cut, told in ((slice(0, 7), fit.nrmse), (slice(7, None), fit.extrapolation_nrmse)):
            error = fit.predicted[:, cut] - curves[:, cut]
            wanted = np.sqrt((error**2).mean()) / curves[:, cut].mean()
            assert_allclose(told, wanted, rtol=1e-12)
    by_fit = min(found.laws.values(), key=lambda fit: fit.nrmse)
    by_extrapolation = min(found.laws.values(), key=lambda fit: fit.extrapolation_nrmse)
    assert by_fit.law != by_extrapolation.law
    assert found.best is by_extrapolation


@pytest.mark.parametrize("unit", [1e-3, 1.0, 100.0, 1000.0])
@pytest.mark.slow
def test_shots_have_any_scale(unit):
    curve = bayesian_law(np.arange(30), [0.01, 0.99], [0.8, 0.3])
    for seed in range(4):
        found = fit_scaling_laws(np.arange(30) * unit, curve, laws=["original"], rng=seed)
        assert found["original"].nrmse < 1e-8
        assert_allclose(found["original"].parameters["K"], 1.0 / unit, rtol=1e-3)


@pytest.mark.parametrize("scale", [1e-12, 1e-100])
@pytest.mark.slow
def test_probabilities_have_any_scale(scale):
    found = fit_scaling_laws(np.arange(30), np.full(30, scale), rng=0)
    assert max(fit.nrmse for fit in found.laws.values()) < 1e-6
    curve = scale * bayesian_law(SHOTS, [0.01, 0.99], [0.8, 0.3])
    assert fit_scaling_laws(SHOTS, curve, laws=["original"], rng=0)["original"].nrmse < 1e-6


def test_a_doubtful_fit_is_told(monkeypatch):
    monkeypatch.setattr(scaling_search, "SEARCHES", 1)
    with pytest.warns(RuntimeWarning, match="scoring: the best fit was found by one search only"):
        fit_scaling_laws(*noisy(3), laws=["scoring"], rng=0)
    monkeypatch.setattr(scaling_search, "STEPS", 1)
    with pytest.warns(RuntimeWarning, match="original: the best fit did not converge"):
        found = fit_scaling_laws(*noisy(3), laws=["original"], rng=0)
    assert not found["original"].converged


@pytest.mark.parametrize("form", LAWS)
def test_derivatives_are_those_of_the_curve(form):
    shots, curves = noisy(3)
    make = scaling_search.bayesian if form in LAWS[:3] else scaling_search.baseline
    law = make(form, shots.astype(float), curves if form in LAWS[:3] else curves[:1])
    theta = law.start(np.random.default_rng(0))
    steps = 1e-6 * np.eye(len(theta))
    wanted = [(law.curve(theta + h)[0] - law.curve(theta - h)[0]) / 2e-6 for h in steps]
    assert_allclose(law.curve(theta)[1], np.stack(wanted, axis=-1), atol=1e-8)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.slow
def test_a_law_is_told_at_any_shots(law):
    curves = planted("original")[:2, ::4]
    fit = fit_scaling_laws(SHOTS[::4], curves, laws=[law], n_fitted=8, rng=0)[law]
    assert_allclose(fit(SHOTS)[:, ::4], fit.predicted, rtol=1e-12)
    assert fit([0.5, 1e9]).shape == (2, 2)
    with pytest.raises(ValueError, match="finite and not negative"):
        fit([-1.0])


def test_without_extrapolation_the_best_fit_is_the_best():
    curve = bayesian_law(SHOTS, [0.01, 0.99], [0.8, 0.3])
    found = fit_scaling_laws(SHOTS, curve, rng=0)
    assert np.isnan(found["power"].extrapolation_nrmse)
    assert found.best.law == "original"
    assert "NRMSE" in repr(found)
    assert "<table" in found._repr_html_()
    assert set(found.laws) < set(LAWS)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: bayesian_law([[0]], [1.0], [0.5]), "one dimension"),
        (lambda: bayesian_law([0], [1.0, 1.0], [0.5]), "do not go together"),
        (lambda: bayesian_law([np.nan], [1.0], [0.5]), "finite and not negative"),
        (lambda: bayesian_law([np.inf], [1.0], [0.5]), "finite and not negative"),
        (lambda: bayesian_law([-1], [1.0], [0.5]), "finite and not negative"),
        (lambda: bayesian_law([0], [np.inf, 1.0], [0.5, 0.5]), "rho must be finite"),
        (lambda: bayesian_law([0], [np.nan, 1.0], [0.5, 0.5]), "rho must be finite"),
        (lambda: bayesian_law([0], [1.0], [0.5], np.nan), "efficiency is nan"),
        (lambda: bayesian_law([0], [1.0], [0.5], np.inf), "efficiency is inf"),
        (lambda: bayesian_law([0], [1.0], [0.5], -1.0), "efficiency is -1"),
        (lambda: bayesian_law([0], [1.0, 1.0], [0.5, 0.5], [1.0, 2.0]), "one number"),
        (lambda: bayesian_law([0], [1.0, 1.0], [0.5, 0.0]), "above 0"),
        (lambda: bayesian_law([0], [0.0], [0.5]), "all 0"),
        (lambda: fit_scaling_laws([0, 1], [0.5, 0.5, 0.5]), "have shape"),
        (lambda: fit_scaling_laws([0, 2, 1], [0.5, 0.5, 0.5]), "rise"),
        (lambda: fit_scaling_laws([0, 1, 2], [0.5, 0.0, 0.5]), r"\[0, 1\] is 0.0"),
        (lambda: fit_scaling_laws([0, 1, 2], [0.5] * 3, n_fitted=2), "from 3 to 3"),
        (lambda: fit_scaling_laws([0, 1, 2], [0.5] * 3, laws=["cubic"]), "'cubic' is not one of"),
        (lambda: fit_scaling_laws([0, 1, 2], [0.5] * 3, laws="cubic"), "'cubic' is not one of"),
        (lambda: fit_scaling_laws([0, 1, 2], [0.5] * 3, laws=[]), "laws is empty"),
        (lambda: fit_scaling_laws([0, 1, 2], [0.5] * 3, laws=["sampling"]), "two tasks or more"),
        (lambda: fit_scaling_laws([0, 1], [0.5] * 2), "there are 2 numbers of shots"),
    ],
)
def test_wrong_arguments_are_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()


@pytest.mark.parametrize("n_fitted", [3.0, "a"])
def test_a_number_of_shots_is_whole(n_fitted):
    with pytest.raises(TypeError, match="integer"):
        fit_scaling_laws([0, 1, 2], [0.5] * 3, n_fitted=n_fitted)


def test_one_law_may_be_named_alone():
    assert list(fit_scaling_laws(SHOTS, planted("original"), laws="power", rng=0).laws) == ["power"]


# -- whether a curve learns at all, and how sure that is ---------------------------------------


FLAT = {
    "constant": np.full(30, 0.4),
    "noise": 0.4 + np.random.default_rng(0).normal(0.0, 0.02, 30),
    "two of noise": 0.4 + np.random.default_rng(1).normal(0.0, 0.02, (2, 30)),
}


@pytest.mark.parametrize("name", FLAT)
def test_a_flat_curve_has_no_law(name):
    found = fit_scaling_laws(np.arange(30), FLAT[name], laws=["power", "logistic"], rng=0)
    assert set(found.trends) == {"flat"}
    assert found.gain < 0.0
    assert found.verdict().startswith("No learning: a constant probability")
    assert found.best is found.constant
    assert found.best.law == "constant"
    assert found.best([0, 99]) == pytest.approx(
        np.atleast_2d(FLAT[name]).mean(axis=1)[:, np.newaxis].repeat(2, axis=1)
    )
    assert "No learning" in repr(found)


def test_noise_is_not_learning():
    told = []
    for n in (8, 30):
        for seed in range(5):
            p = 0.4 + np.random.default_rng(seed).normal(0.0, 0.05, n)
            told.append(fit_scaling_laws(np.arange(n), p, laws=["power", "logistic"], rng=0))
    assert sum(found.gain >= 6.0 for found in told) <= 1
    assert sum(found.trends != ("flat",) for found in told) <= 1


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_a_falling_curve_is_called_falling(noise):
    shots = np.arange(30)
    p = 0.8 - 0.012 * shots + np.random.default_rng(0).normal(0.0, noise, 30)
    found = fit_scaling_laws(shots, p, laws=["power", "original"], n_fitted=20, rng=0)
    assert found.trends == ("falling",)
    assert found.best.law == "constant"
    assert found.verdict().startswith("No learning: the curve is falling")
    both = np.stack([bayesian_law(shots, [0.01, 0.99], [0.8, 0.3]), p])
    found = fit_scaling_laws(shots, both, laws=["power"], rng=0)
    assert found.trends == ("rising", "falling")
    assert found.verdict().startswith("Learning: power fits best")
    assert "the curve of task 1 is falling" in found.verdict()
    assert fit_scaling_laws(shots, both[:1] * 0 + both[1], laws=["power"], rng=0).gain < 0.0


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1000.0])
def test_a_rising_curve_learns_at_any_scale_of_shots(unit):
    curve = bayesian_law(np.arange(30), [0.01, 0.99], [0.8, 0.3])
    found = fit_scaling_laws(np.arange(30) * unit, curve, laws=["original"], n_fitted=20, rng=0)
    assert found.trends == ("rising",)
    assert found.verdict().startswith("Learning: original extrapolates best")
    assert found.best.law == "original"
    step = np.where(np.arange(30) > 0, 0.7, 0.3)  # in the first example alone
    found = fit_scaling_laws(np.arange(30) * unit, step, laws=["bounded"], rng=0)
    assert found.best.law == "bounded"


def test_a_little_gain_is_no_learning() -> None:
    found = fit_scaling_laws(np.arange(30), FLAT["constant"], laws=["power"], rng=0)
    little = replace(found, gain=5.9)
    assert little.verdict().startswith("The data do not tell learning from a constant")
    assert little.best is little.constant
    assert replace(found, gain=6.1).verdict().startswith("Learning: power fits best")


def test_too_few_points_are_told():
    found = fit_scaling_laws([0, 1, 2, 3], [0.1, 0.2, 0.7, 0.9], laws=["logistic"], rng=0)
    assert np.isnan(found.gain)
    assert found.verdict().startswith("There are too few points")
    assert found.best.law == "logistic"


def samples_of_power(n, seed, groups=None):
    """Curves of one task around a law, each moved as a whole, those of a group together."""
    rng = np.random.default_rng(seed)
    truth = np.exp(-(1.2 * (SHOTS + 1.0) ** -0.6 + 0.3))
    groups = np.arange(n) if groups is None else groups
    moved = rng.normal(0.0, 0.035, groups.max() + 1)[groups, np.newaxis]
    return truth, truth + moved + rng.normal(0.0, 0.03, (n, len(SHOTS)))


def coverage(repeats, groups=None):
    """How often intervals of 0.9 hold the curve, at each number of shots, and the parameters."""
    held = []
    for seed in range(repeats):
        n = 24 if groups is None else len(groups)
        truth, rows = samples_of_power(n, seed, groups)
        options = {"laws": "power", "n_fitted": 25, "rng": 0, "n_boot": 100, "groups": groups}
        found = fit_scaling_laws(SHOTS, rows, tasks=["a"] * n, **options)["power"].intervals
        low, high = found["predicted"]
        inside = ((low[0] <= truth) & (truth <= high[0])).tolist()
        for name, value in {"C": 1.2, "alpha": 0.6, "k": 0.3}.items():
            inside.append(found[name][0][0] <= value <= found[name][1][0])
        held.append(inside)
    return np.mean(held, axis=0)


@pytest.mark.parametrize(
    ("repeats", "groups"),
    [
        (20, None),
        pytest.param(120, None, marks=pytest.mark.slow),
        pytest.param(120, np.arange(72) // 3, marks=pytest.mark.slow),
    ],
)
def test_intervals_hold_the_law_as_often_as_they_say(repeats, groups):
    """Within three standard errors on average over shots; 24 groups."""
    held = coverage(repeats, groups)
    print(held.round(2))
    room = 3.0 * np.sqrt(0.1 * 0.9 / repeats)
    assert held.min() > 0.88 - 1.5 * room
    assert abs(held[: len(SHOTS)].mean() - 0.89) < room


def test_curves_that_belong_together_make_intervals_wider():
    groups = np.arange(60) // 10
    _, rows = samples_of_power(60, 0, groups)
    width = {}
    for name, given in (("own", None), ("groups", groups)):
        options = {"tasks": np.zeros(60), "groups": given, "laws": "power", "rng": 0}
        low, high = fit_scaling_laws(SHOTS, rows, **options)["power"].intervals["predicted"]
        width[name] = (high - low).mean()
    assert width["groups"] > 1.7 * width["own"]


def test_curves_of_tasks_are_fitted_by_their_means():
    rng = np.random.default_rng(0)
    curves = planted("sampling")[:, ::4]
    rows = np.repeat(curves, 2, axis=0) + np.tile([[0.01], [-0.01]], (len(curves), 1))
    tasks = np.repeat([f"task {m}" for m in range(len(curves))], 2)
    order = rng.permutation(len(rows))
    options = {"laws": ["power", "sampling"], "rng": 0}
    found = fit_scaling_laws(SHOTS[::4], rows[order], tasks=tasks[order], n_boot=5, **options)
    np.testing.assert_allclose(found.probabilities, curves, rtol=1e-12)
    plain = fit_scaling_laws(SHOTS[::4], curves, **options)
    assert plain["power"].intervals is None
    for law in found.laws:
        assert found[law].nrmse == pytest.approx(plain[law].nrmse, abs=1e-6)
        low, high = found[law].intervals["predicted"]
        assert low.shape == high.shape == curves.shape
        assert set(found[law].intervals) == {*found[law].parameters, "predicted"}


def test_without_tasks_samples_of_curves_tell_how_far_off_a_law_is():
    """Against the percentiles of the mean over samples that are counted one by one."""
    curves = noisy(4)[1]
    shots = noisy(4)[0]
    groups = [0, 0, 1, 2]
    assert drawn_of(3, 0.9) == 1  # Student's t of three is that wide
    found = fit_scaling_laws(
        shots, curves, laws="power", n_fitted=8, groups=groups, n_boot=4000, rng=0
    )["power"]
    assert set(found.intervals) == {"nrmse", "extrapolation_nrmse"}
    errors = []
    for drawn in range(3):
        rows = np.flatnonzero(np.array(groups) == drawn)
        off = found.predicted[rows, :8] - curves[rows, :8]
        errors.append(np.sqrt(np.mean(off**2)) / curves[rows, :8].mean())
    expected = np.quantile(errors, [0.05, 0.95], method="inverted_cdf")
    np.testing.assert_allclose(found.intervals["nrmse"], expected, rtol=0.02)
    assert found.intervals["nrmse"][0] <= found.nrmse <= found.intervals["nrmse"][1]


@pytest.mark.parametrize("n", [2, 5, 24, 1000])
def test_samples_of_groups_spread_as_students_t_does(n):
    """Of a mean: percentiles over samples against its interval, n values of one normal."""
    values = np.random.default_rng(n).normal(size=n)
    curves = Curves.checked(np.full((n, 1), 1.0), np.zeros(n), None)
    drawn = curves.samples(4000, 0.9, np.random.default_rng(0))
    low, high = np.quantile([values @ often / often.sum() for often in drawn], [0.05, 0.95])
    wanted = 2.0 * stats.t.ppf(0.95, n - 1) * values.std(ddof=1) / np.sqrt(n)
    if n > 2:  # of which no sample has half a value
        assert_allclose(high - low, wanted, rtol=0.16)
    assert {often.sum() for often in drawn} == {drawn_of(n, 0.9)}


def test_the_only_group_of_a_task_is_in_every_sample():
    curves = Curves.checked(np.ones((3, 1)), [0, 0, 1], None)
    drawn = curves.samples(50, 0.9, np.random.default_rng(0))
    assert all(often[2] == 1.0 for often in drawn)
    assert {tuple(often[:2]) for often in drawn} == {(1.0, 0.0), (0.0, 1.0)}


def test_every_sample_has_every_task():
    tasks, groups = [0, 0, 0, 1, 1, 2, 2, 2], [0, 0, 1, 2, 3, 4, 5, 6]
    curves = Curves.checked(np.ones((8, 1)), tasks, groups)
    for often in curves.samples(50, 0.9, np.random.default_rng(0)):
        assert (np.bincount(tasks, often) > 0.0).all()
        assert often[0] == often[1]


def test_wrong_tasks_and_groups_are_named():
    with pytest.raises(ValueError, match=r"tasks have shape \(2,\), but there are 1 curves"):
        fit_scaling_laws(SHOTS, planted("original")[0], tasks=[0, 0], rng=0)
    with pytest.raises(ValueError, match="groups have shape"):
        fit_scaling_laws(SHOTS, planted("original")[0], groups=[0, 0], rng=0)
    with pytest.raises(ValueError, match="n_boot is -1"):
        fit_scaling_laws(SHOTS, planted("original")[0], n_boot=-1)
    with pytest.raises(ValueError, match="level"):
        fit_scaling_laws(SHOTS, planted("original")[0], level=1.0)
