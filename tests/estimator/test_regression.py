"""Regression of the concentration: closed forms, printed results of other programs, simulation."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import matrixbayes as mb
from matrixbayes.errors import ArgumentError, ConvergenceWarning, MisfitWarning

DATA = Path(__file__).resolve().parents[1] / "data"
MEAN = np.array([0.5, 0.3, 0.2])


def drawn(eta: Any, seed: int = 0, mean: Any = MEAN) -> Any:
    rng = np.random.default_rng(seed)
    return np.array([rng.dirichlet(np.exp(e) * np.asarray(mean)) for e in eta])


def simulated(n: int = 240, seed: int = 0) -> tuple[Any, dict[str, Any]]:
    rng = np.random.default_rng(seed + 99)
    x, layer = rng.normal(size=n), np.arange(n) % 6
    return drawn(1.0 + 0.5 * x + 0.1 * layer, seed), {"x": x, "layer": layer}


ROWS, COVARIATES = simulated()
fit: Any = mb.regress_concentration


# -- closed forms -------------------------------------------------------------------


def test_without_covariates_it_is_the_dirichlet_of_an_estimator() -> None:
    found = fit(ROWS, None, kind="probs")
    other = mb.DirichletMixtureEstimator(1, kind="probs", tol=1e-12).fit(ROWS)
    np.testing.assert_allclose(found.prior(None).alpha, other.alpha_, rtol=1e-9)
    assert found.log_likelihood == pytest.approx(other.log_likelihood_, abs=1e-8)
    assert found.names == ("intercept",)
    assert np.isnan(found.p_value)
    alpha_se = other.information(ROWS).alpha_se[0]
    # Var ln A from the inverse information of alpha, by the delta method
    hessian = -other.information(ROWS).hessian
    slope = np.full(3, 1.0 / other.alpha_.sum())
    wanted = np.sqrt(slope @ np.linalg.inv(hessian) @ slope)
    assert found.standard_errors[0] == pytest.approx(wanted, rel=1e-7)
    assert len(alpha_se) == 3


def test_counts_without_covariates_too() -> None:
    rng = np.random.default_rng(3)
    totals = 5 + np.arange(240) % 30
    counts = np.array([rng.multinomial(n, p) for n, p in zip(totals, ROWS, strict=True)])
    found = fit(counts, None, kind="counts")
    other = mb.DirichletMixtureEstimator(1, kind="counts", tol=1e-13, max_iter=2000).fit(counts)
    np.testing.assert_allclose(found.prior(None).alpha, other.alpha_, rtol=1e-5)
    assert found.log_likelihood >= other.log_likelihood_ - 1e-9
    thin = fit(sparse.csr_array(counts), None, kind="counts")
    np.testing.assert_allclose(thin.coefficients, found.coefficients, rtol=1e-10)


def test_a_group_with_a_mean_of_its_own_is_a_fit_of_its_own() -> None:
    group = np.arange(240) % 2
    found = fit(ROWS, {"group": group}, kind="probs", mean="same")
    for i in (0, 1):
        alone = fit(ROWS[group == i], None, kind="probs")
        alpha = found.prior({"group": i}).alpha
        np.testing.assert_allclose(alpha, alone.prior(None).alpha, rtol=1e-9)
        log_total = np.log(alpha.sum())
        assert log_total == pytest.approx(alone.coefficients[0], abs=1e-9)
    both = [fit(ROWS[group == i], None, kind="probs") for i in (0, 1)]
    assert found.log_likelihood == pytest.approx(sum(f.log_likelihood for f in both), abs=1e-9)
    variance = sum(f.covariance[0, 0] for f in both)
    assert found.standard_errors[1] == pytest.approx(np.sqrt(variance), rel=1e-8)


def test_two_ways_to_the_mean_agree() -> None:
    """The mean that is maximised within, and one Hessian of all coefficients."""
    from matrixbayes.estimator.regression.fit import MeanOnCovariates, SharedMean, profile
    from matrixbayes.estimator.regression.regress import _Case, _data

    given = _data(ROWS, "probs", "error", None, (None, 1))
    case = _Case.of(*given, COVARIATES, "constant", None)
    x = case.design.standard(case.matrix)
    units, places, rows_of = case._units([np.ones((240, 1)), x])
    shared = SharedMean(units, x[rows_of])
    one = shared.fit(np.zeros(3), np.full(3, 1 / 3), 240.0, 50)
    dense = MeanOnCovariates(units, x[rows_of], np.ones((1, 1)), places, 0)
    two = dense.fit(np.zeros(3), np.zeros((1, 3)), 240.0, 50)
    np.testing.assert_allclose(one.gamma, two.gamma, atol=1e-9)
    np.testing.assert_allclose(
        np.linalg.inv(one.information), np.linalg.inv(two.information)[:3, :3], rtol=1e-8
    )
    mean = np.exp(one.beta[0])
    moves, b, ratio = profile(shared.sums(one.gamma, mean), shared.design, mean)[1:]
    inverse = np.linalg.inv(one.information)
    log_mean = np.diag(1 / b) - np.outer(ratio, ratio) / (mean @ ratio) + moves.T @ inverse @ moves
    contrast = np.array([[-1.0, 1.0, 0.0], [-1.0, 0.0, 1.0]])
    wanted = np.linalg.inv(two.information)[3:, 3:]
    np.testing.assert_allclose(contrast @ log_mean @ contrast.T, wanted, rtol=1e-7)


@pytest.mark.parametrize("mean", ["constant", "same"])
def test_gradient_and_hessian_are_differences(mean: str) -> None:
    from matrixbayes.estimator.regression.fit import MeanOnCovariates
    from matrixbayes.estimator.regression.regress import _Case, _data

    counts = np.random.default_rng(1).poisson(6 * ROWS)
    for rows, kind in ((ROWS, "probs"), (counts, "counts")):
        case = _Case.of(*_data(rows, kind, "error", None, (None, 1)), COVARIATES, mean, None)
        x = case.design.standard(case.matrix)
        z = case.mean_design.standard(case.mean_matrix)
        units, places, rows_of = case._units([z, x])
        model = MeanOnCovariates(units, x[rows_of], z[rows_of][places[:-1]], places, 1)
        at = np.random.default_rng(0).normal(size=3 + 2 * z.shape[1]) * 0.3
        here = model.evaluate(at)
        assert here is not None
        assert model.evaluate(1e6 * at) is None  # where exp(eta) is no number
        for j in range(len(at)):
            step = 1e-5 * np.eye(len(at))[j]
            up, down = model.evaluate(at + step), model.evaluate(at - step)
            assert up is not None
            assert down is not None
            slope = (up.value - down.value) / 2e-5
            assert slope == pytest.approx(here.gradient[j], rel=1e-5, abs=1e-4)
            bend = (up.gradient - down.gradient) / 2e-5
            np.testing.assert_allclose(bend, here.hessian[j], rtol=1e-5, atol=1e-4)


# -- other programs -----------------------------------------------------------------


def vgam() -> tuple[Any, Any, Any, Any]:
    table = np.loadtxt(DATA / "regression_vgam.csv", delimiter=",", skiprows=1)
    return table[:, 0], table[:, 1], table[:, 2:5], table[:, 5:]


def test_vgam_prints_the_same_of_counts() -> None:
    """R 4.2.2, VGAM 1.1-7, as tests/data/regression_vgam.R has it; its phi is 1 / (1 + c), so that
    logit(phi) is -ln c, and its log-likelihood is of sequences, as ours."""
    x, _, counts, _ = vgam()
    found = fit(counts, {"x": x}, kind="counts")
    np.testing.assert_allclose(found.coefficients, [1.77063597646, 1.08398834617], rtol=2e-8)
    ratios = np.log(found.mean[:2] / found.mean[2])
    np.testing.assert_allclose(ratios, [0.545105326262, 0.0416574076023], rtol=2e-7)
    assert found.log_likelihood == pytest.approx(-2221.48627082, abs=1e-7)
    assert found.log_likelihood_constant == pytest.approx(-2256.18400424, abs=1e-7)
    # its errors are from the expected information
    np.testing.assert_allclose(found.standard_errors, [0.14050656639, 0.15816988905], rtol=0.03)


def test_vgam_prints_the_same_where_the_mean_has_covariates() -> None:
    """It stops 8e-5 nats below."""
    x, _, counts, _ = vgam()
    found = fit(counts, {"x": x}, kind="counts", mean="same", reference=2)
    np.testing.assert_allclose(found.coefficients, [1.79052493943, 1.07128615335], rtol=2e-4)
    wanted = [[0.601549104205, 0.0495845814637], [-0.108391725327, -0.0168883124432]]
    np.testing.assert_allclose(found.mean_coefficients[:, :2], wanted, atol=2e-3)
    assert -2220.58322526 <= found.log_likelihood < -2220.583


def test_vgam_prints_the_same_of_rows() -> None:
    """family dirichlet, of ln alpha: the same model where a covariate has two values."""
    _, group, _, rows = vgam()
    found = fit(rows, {"g": group}, kind="probs", mean="same")
    first, second = (np.log(found.prior({"g": g}).alpha[0]) for g in (0, 1))
    wanted = [1.335404811938, 0.644166677449, -0.156649250253]
    np.testing.assert_allclose(first, wanted, rtol=1e-9)
    wanted = [0.824843794625, 1.458869582318, 1.889189472569]
    np.testing.assert_allclose(second - first, wanted, rtol=1e-9)
    one = np.log(fit(rows, None, kind="probs").prior(None).alpha[0])
    np.testing.assert_allclose(one, [1.2876213909, 0.908434130035, 0.30410480793], rtol=1e-9)


def test_statsmodels_finds_the_same_where_there_are_two_tokens() -> None:
    """Its beta regression, the mean on z and the precision on x and z; printed by version 0.14 from
    these numbers (its search stops 1e-8 nats below)."""
    betareg = pytest.importorskip("statsmodels.othermod.betareg")
    rng = np.random.default_rng(1)
    x, z = rng.normal(size=(2, 500))
    mu, phi = 1 / (1 + np.exp(-(0.3 + 0.5 * z))), np.exp(2 + 0.7 * x - 0.3 * z)
    y, ones = rng.beta(mu * phi, (1 - mu) * phi), np.ones(500)
    precision = np.column_stack([ones, x, z])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = betareg.BetaModel(y, np.column_stack([ones, z]), exog_precision=precision)
        theirs = model.fit(disp=0, maxiter=500)
    rows = np.column_stack([y, 1 - y])
    found = fit(rows, {"x": x, "z": z}, kind="probs", mean={"z": z}, reference=1)
    mine = np.concatenate([found.mean_coefficients[:, 0], found.coefficients])
    errors = np.concatenate([found.mean_coefficients_se[:, 0], found.standard_errors])
    np.testing.assert_allclose(mine, theirs.params, atol=1e-4)
    np.testing.assert_allclose(errors, theirs.bse, rtol=1e-4)
    assert found.log_likelihood == pytest.approx(theirs.llf, abs=1e-6)


# -- weights, units, groups ---------------------------------------------------------


def test_weights_are_repetitions_and_weight_0_is_not_there() -> None:
    weights = np.arange(240) % 3
    x = np.where(weights > 0, COVARIATES["x"], np.nan)
    rows = np.where(weights[:, None] > 0, ROWS, -7.0)
    group = np.arange(240) // 8
    some = fit(rows, {"x": x}, kind="probs", sample_weight=weights, groups=group)
    many = np.repeat(np.arange(240), weights)
    again = fit(ROWS[many], {"x": COVARIATES["x"][many]}, kind="probs", groups=group[many])
    np.testing.assert_allclose(some.coefficients, again.coefficients, rtol=1e-10)
    np.testing.assert_allclose(some.covariance, again.covariance, rtol=1e-9)
    assert some.likelihood_ratio == pytest.approx(again.likelihood_ratio, abs=1e-8)


@pytest.mark.parametrize("mean", ["constant", "same"])
def test_errors_by_group_are_those_of_scores(mean: str) -> None:
    """Where groups are single rows, the sandwich by hand: scores by differences."""
    rows, x = ROWS[:60], COVARIATES["x"][:60]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fit(rows, {"x": x}, kind="probs", mean=mean, groups=np.arange(60), reference=0)

    def each(theta: Any) -> Any:
        z = np.column_stack([np.ones(60), x]) if mean == "same" else np.ones((60, 1))
        eta = np.column_stack([np.zeros(60), z @ theta[2:].reshape(z.shape[1], 2)])
        m = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
        from scipy.special import gammaln

        c = np.exp(theta[0] + theta[1] * x)
        a = c[:, None] * m
        return gammaln(c) - gammaln(a).sum(1) + ((a - 1) * np.log(rows)).sum(1)

    if mean == "same":
        beta = found.mean_coefficients[:, 1:].ravel()
    else:
        beta = np.log(found.mean[1:] / found.mean[0])
    at, h = np.concatenate([found.coefficients, beta]), 1e-4
    unit = h * np.eye(len(at))
    scores = np.array([(each(at + u) - each(at - u)) / (2 * h) for u in unit]).T
    bend = np.array(
        [
            [
                (each(at + u + w) - each(at + u - w) - each(at - u + w) + each(at - u - w)).sum()
                for w in unit
            ]
            for u in unit
        ]
    )
    inverse = np.linalg.inv(-bend / (4 * h * h))
    wanted = (inverse @ scores.T @ scores @ inverse * 60 / 59)[:2, :2]
    np.testing.assert_allclose(found.covariance, wanted, rtol=1e-4)


def test_rows_in_groups_that_repeat_each_other_are_no_more_rows() -> None:
    many = np.repeat(np.arange(240), 9)
    x = {"x": COVARIATES["x"][many]}
    naive = fit(ROWS[many], x, kind="probs")
    robust = fit(ROWS[many], x, kind="probs", groups=many)
    once = fit(ROWS, {"x": COVARIATES["x"]}, kind="probs")
    assert naive.standard_errors[1] < 0.4 * once.standard_errors[1]
    assert robust.standard_errors[1] == pytest.approx(once.standard_errors[1], rel=0.25)
    assert robust.n_groups == 240


@pytest.mark.filterwarnings("ignore::matrixbayes.errors.MisfitWarning")
def test_any_number_of_jobs_says_the_same() -> None:
    rng = np.random.default_rng(2)
    rows = drawn(rng.normal(5.0, 0.3, 600), mean=rng.dirichlet(np.ones(900)))
    rows = np.maximum(rows, 1e-12)
    x = {"x": rng.normal(size=600)}
    one = fit(rows / rows.sum(1, keepdims=True), x, kind="probs", n_jobs=1)
    three = fit(rows / rows.sum(1, keepdims=True), x, kind="probs", n_jobs=3)
    assert (one.coefficients == three.coefficients).all()
    assert (one.covariance == three.covariance).all()


def test_a_whole_vocabulary() -> None:
    rng, size = np.random.default_rng(4), np.repeat([1.0, 2.0, 3.0], 8)
    mean = rng.dirichlet(np.full(50_000, 50.0))
    logs = np.log(rng.standard_gamma(np.exp(9 + 0.5 * size)[:, None] * mean)).astype(np.float32)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    with pytest.warns(MisfitWarning, match="too high, by about 4.2%"):
        found = fit(mb.NextTokenRows(logs), {"size": size})
    assert found.converged
    np.testing.assert_allclose(found.coefficients, [9.0 + 1 / 24, 0.5], atol=0.02)
    np.testing.assert_allclose(found.mean, mean, atol=5 * found.mean_se.max())
    away = (found.mean - mean) / found.mean_se
    assert 0.95 < away.std() < 1.05


# -- simulation ---------------------------------------------------------------------


def test_what_was_put_in_comes_back() -> None:
    rows, covariates = simulated(4000, 7)
    found = fit(rows, covariates, kind="probs")
    away = (found.coefficients - [1.0, 0.5, 0.1]) / found.standard_errors
    assert np.abs(away).max() < 3.5
    assert found.p_value < 1e-16


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["probs", "counts"])
def test_intervals_cover(kind: str) -> None:
    inside, chance = np.zeros(3), []
    for seed in range(300):
        rows, covariates = simulated(150, seed)
        if kind == "counts":
            rng = np.random.default_rng(seed)
            rows = np.array([rng.multinomial(25, p) for p in rows])
        found = fit(rows, covariates, kind=kind)
        low, high = found.interval(0.9).T
        inside += (low <= [1.0, 0.5, 0.1]) & (high >= [1.0, 0.5, 0.1])
        noise = {"noise": np.random.default_rng(seed).normal(size=150)}
        same = drawn(np.full(150, 1.5), seed)
        chance.append(fit(same, noise, kind="probs").p_value)
    assert (np.abs(inside / 300 - 0.9) < 4 * np.sqrt(0.09 / 300)).all()
    assert np.mean(np.array(chance) < 0.1) == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 300))


# -- covariates ---------------------------------------------------------------------


def test_covariates_in_any_form_are_the_same() -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    wanted = fit(ROWS, COVARIATES, kind="probs")
    frame = pandas.DataFrame(COVARIATES)
    for given in (frame, polars.DataFrame(COVARIATES), frame[["layer", "x"]]):
        found = fit(ROWS, given, kind="probs")
        at = [found.names.index(name) for name in wanted.names]
        np.testing.assert_allclose(found.coefficients[at], wanted.coefficients, rtol=1e-8)
    for rows in (
        pandas.DataFrame(ROWS, columns=list("abc")),
        polars.DataFrame(ROWS, schema=list("abc")),
    ):
        found = fit(rows, frame, kind="probs")
        assert found.tokens == ("a", "b", "c")
        assert found.prior({"x": 0.0, "layer": 1}).tokens == ("a", "b", "c")
    array = fit(ROWS, np.column_stack(list(COVARIATES.values())), kind="probs")
    assert array.names == ("intercept", "x0", "x1")
    assert fit(ROWS, frame["layer"], kind="probs").names == ("intercept", "layer")


def test_names_are_coded_by_levels() -> None:
    pandas = pytest.importorskip("pandas")
    model = np.array(["small", "large", "medium"])[np.arange(240) % 3]
    found = fit(ROWS, {"model": model}, kind="probs")
    assert found.names == ("intercept", "model[medium]", "model[small]")
    ordered = pandas.Categorical(model, categories=["small", "medium", "large", "huge"])
    other = fit(ROWS, pandas.DataFrame({"model": ordered}), kind="probs")
    assert other.names == ("intercept", "model[medium]", "model[large]")
    for level in ("small", "large"):
        here, there = found.predict({"model": level}), other.predict({"model": [level]})
        np.testing.assert_allclose(here.concentration, there.concentration, rtol=1e-8)
    with pytest.raises(ArgumentError, match="'huge'; the fit knows 'large', 'medium', 'small'"):
        found.predict({"model": "huge"})
    with pytest.raises(ArgumentError, match="was names in the fit"):
        found.predict({"model": 3.0})


def test_scale_and_place_of_a_covariate_change_nothing() -> None:
    rows, parameters = ROWS, np.exp(COVARIATES["x"] * 3 + 18)
    plain = fit(rows, {"x": parameters}, kind="probs")
    small = fit(rows, {"x": parameters / 1e9 - 5.0}, kind="probs")
    assert plain.converged
    assert plain.coefficients[1] * 1e9 == pytest.approx(small.coefficients[1], rel=1e-7)
    assert plain.p_value == pytest.approx(small.p_value, rel=1e-6)


@pytest.mark.parametrize(
    ("covariates", "says"),
    [
        ({"x": [1.0, 2.0]}, "'x' has 2 values for 240 rows"),
        ({"x": 3.0}, "needs a value for each of 240 rows"),
        ({"x": np.where(np.arange(240) == 7, np.nan, 1.0)}, "'x' is nan at place 7"),
        ({"x": np.ones((240, 2))}, r"shape \(240, 2\)"),
        ({"intercept": np.arange(240)}, "added by itself"),
        ({3: np.arange(240)}, "names must be strings"),
        (np.ones((240, 1, 1)), "they need"),
    ],
)
def test_what_is_no_covariate_is_refused(covariates: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        fit(ROWS, covariates, kind="probs")


def test_what_is_asked_wrongly_is_refused() -> None:
    for options, says in (
        ({"mean": "free"}, "'constant', 'same'"),
        ({"mean": "same", "reference": 5}, "columns"),
        ({"groups": [1, 2]}, "groups have shape"),
        ({"max_iter": 0}, "max_iter"),
        ({"zeros": "what"}, "zeros"),
        ({"mean": {"z": np.ones(3)}}, "covariate of the mean 'z' has 3 values"),
    ):
        with pytest.raises(ValueError, match=says):
            fit(ROWS, COVARIATES, kind="probs", **options)
    with pytest.raises(ValueError, match="kind="):
        fit(ROWS, COVARIATES)
    with pytest.raises(ValueError, match="exact zero"):
        fit([[0.0, 1.0], [0.5, 0.5]], None, kind="probs")
    with pytest.raises(ValueError, match="in memory"):
        fit([ROWS[:120], ROWS[120:]], COVARIATES, kind="probs")
    wide = np.random.default_rng(0).dirichlet(np.ones(1500), 240)
    with pytest.raises(ValueError, match=r"rows.group\(vocab\)"):
        fit(wide, COVARIATES, kind="probs", mean="same")


def test_rows_known_in_part_are_refused_with_the_remedy() -> None:
    rows = mb.PartialRows.from_rows(mb.NextTokenRows(np.log(ROWS)), 2)
    with pytest.raises(ArgumentError, match="known in part"):
        fit(rows, COVARIATES)


# -- what is not identified ---------------------------------------------------------


def test_a_constant_or_collinear_covariate_is_named_and_left_out() -> None:
    given = {**COVARIATES, "one": np.full(240, 3.0), "twice": 2.0 * COVARIATES["x"] + 1.0}
    with pytest.warns(MisfitWarning) as told:
        found = fit(ROWS, given, kind="probs")
    said = " / ".join(str(w.message) for w in told)
    assert "'one' is the same in all rows" in said
    assert "'twice' is collinear with 'x'" in said
    assert found.converged
    wanted = fit(ROWS, COVARIATES, kind="probs")
    np.testing.assert_allclose(found.coefficients[:3], wanted.coefficients, rtol=1e-8)
    assert np.isnan(found.coefficients[3:]).all()
    assert np.isnan(found.standard_errors[3:]).all()
    assert found.df == 2
    at = {"x": 0.3, "layer": 2, "one": 3.0, "twice": 1.6}
    here, there = found.predict(at), wanted.predict({"x": 0.3, "layer": 2})
    np.testing.assert_allclose(here.low, there.low, rtol=1e-8)


@pytest.mark.parametrize("which", ["rows", "one group", "multinomial"])
def test_a_concentration_without_bound_is_said(which: str) -> None:
    group, kind = np.arange(60) % 2, "probs"
    rows: Any = ROWS[:60].copy()
    if which == "rows":
        rows[:] = rows[0]
    elif which == "one group":
        rows[group == 0] = rows[0]
    else:
        rows, kind = np.tile([5, 3, 2], (60, 1)), "counts"
    with pytest.warns(ConvergenceWarning, match="without bound"):
        found = fit(rows, {"group": group}, kind=kind)
    assert not found.converged
    assert "NOT CONVERGED" in repr(found)
    pytest.importorskip("matplotlib")
    found.plot()


def test_single_draws_say_nothing_of_a_concentration() -> None:
    counts = np.eye(3)[np.arange(60) % 3]
    with pytest.warns(ConvergenceWarning, match="no curvature"):
        found = fit(counts, {"x": COVARIATES["x"][:60]}, kind="counts")
    assert np.isnan(found.standard_errors).all()


def test_few_rows_few_groups_and_few_steps_are_said() -> None:
    with pytest.warns(MisfitWarning, match="which are few"):
        fit(ROWS[:15], {"x": COVARIATES["x"][:15]}, kind="probs")
    with pytest.warns(MisfitWarning, match="4 groups are few"):
        fit(ROWS, COVARIATES, kind="probs", groups=np.arange(240) % 4)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        fit(ROWS, COVARIATES, kind="probs", max_iter=1)


def test_a_token_that_never_occurs_has_no_part() -> None:
    counts = np.column_stack([np.random.default_rng(0).poisson(9 * ROWS), np.zeros(240)])
    for mean in ("constant", "same"):
        found = fit(counts, COVARIATES, kind="counts", mean=mean)
        fewer = fit(counts[:, :3], COVARIATES, kind="counts", mean=mean)
        np.testing.assert_allclose(found.coefficients, fewer.coefficients, rtol=1e-10)
        assert found.predict({"x": 0.0, "layer": 0}).mean[0, 3] == 0.0
        assert found.prior({"x": 0.0, "layer": 0}).n_tokens == 4


# -- what it shows ------------------------------------------------------------------


def test_predictions_and_their_intervals() -> None:
    found = fit(ROWS, COVARIATES, kind="probs", mean={"x": COVARIATES["x"]})
    at = found.predict({"layer": [0, 5], "x": 0.5}, interval=0.9, mean={"x": 0.5})
    matrix = np.array([[1.0, 0.5, 0.0], [1.0, 0.5, 5.0]])
    eta, error = matrix @ found.coefficients, np.sqrt(np.diag(matrix @ found.covariance @ matrix.T))
    np.testing.assert_allclose(at.concentration, np.exp(eta), rtol=1e-12)
    np.testing.assert_allclose(np.log(at.high), eta + 1.6448536269514722 * error, rtol=1e-12)
    np.testing.assert_allclose(np.log(at.low), eta - 1.6448536269514722 * error, rtol=1e-12)
    assert at.mean.shape == (2, 3)
    np.testing.assert_allclose(at.mean.sum(axis=1), 1.0)
    with pytest.raises(ValueError, match="missing are 'layer'"):
        found.predict({"x": 1.0})
    with pytest.raises(ValueError, match="2 and 3 values"):
        found.predict({"x": [1.0, 2.0], "layer": [1, 2, 3]})
    with pytest.raises(ValueError, match="one setting, not of 2"):
        found.prior({"x": [1.0, 2.0], "layer": 1}, mean={"x": 1.0})


def test_it_shows_itself() -> None:
    pandas = pytest.importorskip("pandas")
    many = {f"v{i}": np.random.default_rng(i).normal(size=240) for i in range(20)}
    found = fit(ROWS, many, kind="probs")
    assert len(repr(found).splitlines()) <= 10
    assert "against one for all p = " in repr(found)
    assert "<table" in found._repr_html_()
    table = found.to_pandas()
    assert list(table.index) == list(found.names)
    assert isinstance(table, pandas.DataFrame)
    np.testing.assert_allclose(table["z"], table["coefficient"] / table["std_error"])
    again = pickle.loads(pickle.dumps(found))
    assert repr(again) == repr(found)


def test_the_picture_shows_the_fit_and_the_rows() -> None:
    pytest.importorskip("matplotlib").use("Agg")
    model = np.array(["small", "large"])[np.arange(240) % 2]
    found = fit(ROWS, {**COVARIATES, "model": model}, kind="probs")
    ax = found.plot()
    assert ax.get_yscale() == "log"
    assert ax.get_xlabel() == "x"
    line: Any = ax.lines[0]
    at = found.centre.copy()
    at[1] = line.get_xdata()[17]
    assert line.get_ydata()[17] == pytest.approx(np.exp(at @ found.coefficients))
    ax = mb.plot.concentration_regression(found, "model")
    assert [text.get_text() for text in ax.get_xticklabels()] == ["large", "small"]
    with pytest.raises(ValueError, match="no covariate of this fit"):
        found.plot("size")
    with pytest.raises(ValueError, match="no covariate to draw"):
        fit(ROWS, None, kind="probs").plot()


def test_the_points_of_the_picture_are_fits_of_their_own() -> None:
    """With the mean of the whole fit, which is near enough to that of each group."""
    group = np.arange(240) % 2
    found = fit(ROWS, {"group": group}, kind="probs")
    for i in (0, 1):
        seen = found.observed.concentration[found.observed.covariates[:, 1] == i]
        np.testing.assert_allclose(seen, found.predict({"group": i}).concentration, rtol=1e-3)


@pytest.mark.parametrize("size", [1e-90, 1e-9, 1e9, 1e90])
def test_the_unit_of_a_covariate_is_nothing_to_the_fit(size: float) -> None:
    covariate = np.linspace(-1.0, 1.0, 60) ** 3
    one = fit(ROWS[:60], {"x": covariate}, kind="probs")
    other = fit(ROWS[:60], {"x": size * covariate}, kind="probs")
    assert other.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-9)
    assert other.coefficients[1] * size == pytest.approx(one.coefficients[1], rel=1e-5)
    assert other.p_value == pytest.approx(one.p_value, rel=1e-5)


@pytest.mark.parametrize("size", [1e-300, 1e-110, 1e110, 1e300])
def test_a_covariate_whose_squares_are_no_numbers_is_refused(size: float) -> None:
    with pytest.raises(ValueError, match=r"'x' reaches .* from its mean: give it in a unit"):
        fit(ROWS[:60], {"x": size * np.linspace(-1.0, 1.0, 60)}, kind="probs")
