"""DirichletMixtureEstimator: known optima, planted mixtures, degenerate data, conventions."""

from __future__ import annotations

import signal
import threading
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import reference
from alarm import alarm
from numpy.testing import assert_allclose, assert_array_equal

import matrixbayes as mb
from matrixbayes import ConvergenceWarning, DirichletMixture, DirichletMixtureEstimator, _core
from matrixbayes.estimator import row_data

EXPECTED = reference.load("synthetic_expected")
ROWS = [name for name in EXPECTED if name.startswith("probs_")]
AWKWARD = reference.load("awkward_inputs")


def rows_of(name):
    return np.load(reference.DATA / f"{name}.npz")["X"]


def match(mixture, weights, alpha):
    """The expected parameters in the order of falling weight, as fits report them."""
    order = np.argsort(-np.asarray(weights))
    return np.asarray(weights)[order], np.asarray(alpha)[order]


# -- known optima ------------------------------


@pytest.mark.parametrize("name", ROWS)
def test_single_dirichlet_to_the_last_digits(name):
    expected = EXPECTED[name]["single_mle"]
    fitted = DirichletMixtureEstimator(kind="probs").fit(rows_of(name))
    assert_allclose(fitted.alpha_[0], reference.numbers(expected["alpha_str"]), rtol=1e-9)
    assert_allclose(fitted.log_likelihood_, float(expected["loglik_str"]), rtol=1e-11)
    assert fitted.converged_


def test_weighted_mle():
    expected = EXPECTED["probs_V10_K3_A"]["single_mle_first2000_rows_weighted"]
    weights = (np.arange(2000) * 7919 % 13 + 1) / 7.0  # the table's "weights_rule"
    fitted = DirichletMixtureEstimator(kind="probs").fit(
        rows_of("probs_V10_K3_A")[:2000], sample_weight=weights
    )
    assert_allclose(fitted.alpha_[0], reference.numbers(expected["alpha_str"]), rtol=1e-9)


@pytest.mark.parametrize("name", ROWS)
def test_best_known_mixture(name):
    expected = EXPECTED[name]["mixture_mle"]
    fitted = DirichletMixtureEstimator(
        expected["k"], kind="probs", tol=1e-12, max_iter=2000, random_state=0
    ).fit(rows_of(name))
    best = expected["loglik"]
    assert fitted.log_likelihood_ >= best - 1e-6 - 1e-10 * abs(best)
    weights, alpha = match(fitted.prior_, expected["weights"], expected["alpha"])
    assert_allclose(fitted.weights_, weights, atol=1e-5)
    assert_allclose(fitted.alpha_, alpha, rtol=1e-4)


@pytest.mark.parametrize(
    "name", [name for name in AWKWARD if name[0] == "P" and AWKWARD[name]["expected"]]
)
def test_awkward_rows_with_an_exact_answer(name):
    X = np.load(reference.DATA / "awkward_inputs.npz")[name]
    expected = AWKWARD[name]["expected"]
    fitted = DirichletMixtureEstimator(kind="probs").fit(X)
    assert fitted.converged_
    # float32 rows are stored in float32; a concentration of 1e7 rests on differences of 1e-7.
    rtol = 1e-7 if X.dtype == np.float32 or name == "P6_conc1e7" else 1e-9
    assert_allclose(fitted.alpha_[0], reference.numbers(expected["alpha_str"]), rtol=rtol)


def test_never_below_scipy_from_the_same_start():
    from scipy.optimize import minimize
    from scipy.special import gammaln, logsumexp

    rng = np.random.default_rng(0)
    truth = DirichletMixture([0.6, 0.4], [[2.0, 3.0, 4.0], [5.0, 1.0, 1.0]])
    log_probs = truth.sample(400, rng=rng, kind="log_probs")
    start = DirichletMixture([0.5, 0.5], [[1.0, 2.0, 2.0], [2.0, 1.0, 1.0]])

    def loss(theta):
        log_w = theta[:2] - logsumexp(theta[:2])
        alpha = np.exp(theta[2:]).reshape(2, 3)
        constant = gammaln(alpha.sum(1)) - gammaln(alpha).sum(1)
        return -logsumexp(log_w + constant + log_probs @ (alpha - 1.0).T, axis=1).sum()

    theta = np.concatenate([np.log(start.weights), np.log(start.alpha).ravel()])
    scipys = minimize(loss, theta, method="L-BFGS-B", options={"maxiter": 2000})
    fitted = DirichletMixtureEstimator(
        2, kind="log_probs", init=start, tol=1e-12, max_iter=2000
    ).fit(log_probs)
    assert fitted.log_likelihood_ >= -scipys.fun - 1e-6


# -- planted mixtures ------------------------------


@pytest.mark.parametrize(("v", "n"), [(3, 6000), (20, 4000), (1000, 600)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.slow
def test_planted_mixture_is_recovered(v, n, dtype):
    rng = np.random.default_rng(v)
    weights = np.array([0.5, 0.3, 0.2])
    alpha = np.exp(rng.normal(0.3, 1.0, (3, v)))
    truth = DirichletMixture(weights, alpha)
    rows = truth.sample(n, rng=rng, kind="log_probs").astype(dtype)
    fitted = DirichletMixtureEstimator(
        3, kind="log_probs", random_state=0, n_init=3, tol=1e-9, max_iter=2000
    ).fit(rows)
    # 5 standard errors; a component's alphas by the information of as many rows of its own.
    assert np.all(np.abs(fitted.weights_ - weights) < 5.0 * np.sqrt(weights * (1 - weights) / n))
    for k in range(3):
        error = _standard_errors(alpha[k], weights[k] * n)
        slack = 5.0 if v > 3 else 15.0  # three tokens: the components overlap
        assert np.all(np.abs(fitted.alpha_[k] - alpha[k]) < slack * error)
    assert fitted.log_likelihood_ >= truth.log_prob(rows, kind="log_probs").sum() - 1e-3


def _standard_errors(alpha, n):
    from scipy.special import polygamma

    information = n * (np.diag(polygamma(1, alpha)) - polygamma(1, alpha.sum()))
    return np.sqrt(np.diag(np.linalg.inv(information)))


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_never_falls(seed):
    rng = np.random.default_rng(seed)
    truth = DirichletMixture([0.5, 0.5], np.exp(rng.normal(0.0, 1.5, (2, 6))))
    rows = truth.sample(300, rng=rng)
    fitted = DirichletMixtureEstimator(
        4, kind="probs", random_state=seed, init="random", tol=0.0, max_iter=60
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(rows)
    rises = np.diff(fitted.lower_bounds_)
    assert rises.min() >= -1e-12 * np.abs(fitted.lower_bounds_).max()


def test_weights_count_rows():
    rows = DirichletMixture([1.0], [[1.0, 2.0, 3.0]]).sample(60, rng=0)
    weight = np.arange(60) % 4
    start = DirichletMixture([0.5, 0.5], [[1.0, 1.0, 2.0], [2.0, 3.0, 1.0]])
    settings = {"kind": "probs", "init": start, "tol": 1e-10, "max_iter": 3000}
    weighted = DirichletMixtureEstimator(2, **settings).fit(rows, sample_weight=weight)
    repeated = DirichletMixtureEstimator(2, **settings).fit(np.repeat(rows, weight, axis=0))
    assert_allclose(weighted.alpha_, repeated.alpha_, rtol=1e-6)
    assert_allclose(weighted.log_likelihood_, repeated.log_likelihood_, rtol=1e-12)


def test_permuting_rows_and_tokens_permutes_the_fit():
    rng = np.random.default_rng(5)
    rows = DirichletMixture([0.5, 0.5], np.exp(rng.normal(0, 1, (2, 5)))).sample(400, rng=rng)
    start = DirichletMixture([0.5, 0.5], np.exp(rng.normal(0, 1, (2, 5))))
    tokens = rng.permutation(5)
    settings = {"kind": "probs", "tol": 1e-10, "max_iter": 3000}
    one = DirichletMixtureEstimator(2, init=start, **settings).fit(rows)
    moved = DirichletMixture(start.weights, start.alpha[:, tokens])
    two = DirichletMixtureEstimator(2, init=moved, **settings).fit(
        rows[rng.permutation(400)][:, tokens]
    )
    assert_allclose(two.alpha_, one.alpha_[:, tokens], rtol=1e-6)


@pytest.mark.promise(18)
def test_same_bits_for_any_number_of_workers(many_blocks, figure):
    rows = DirichletMixture([0.5, 0.5], np.ones((2, 40))).sample(1000, rng=0, kind="log_probs")
    weight = np.random.default_rng(2).uniform(0.0, 2.0, 1000)
    fits = [
        DirichletMixtureEstimator(
            3, kind="log_probs", random_state=1, n_jobs=n_jobs, tol=0.0, max_iter=5
        )
        for n_jobs in (1, 2, 5)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for fitted in fits:
            fitted.fit(rows, sample_weight=weight)
    many_blocks.ran("expectation", "accumulate")
    for fitted in fits[1:]:
        assert_array_equal(fitted.alpha_, fits[0].alpha_)
        assert fitted.lower_bounds_ == fits[0].lower_bounds_
    fitted = fits[0]
    found = fitted.summarize(rows, sample_weight=weight)
    slow = reference.expectation(fitted.weights_, fitted.alpha_, rows, weight)
    assert_allclose(found.log_sums, slow[1], rtol=1e-9)
    assert_allclose([found.log_likelihood, fitted.log_likelihood_], slow[2], rtol=1e-11)
    figure("1, 2 and 5 workers, a fit of rows: equal bits")


def test_statistics_made_elsewhere_give_the_same_pass(many_blocks):
    rows = DirichletMixture([0.5, 0.5], [[4.0, 1.0, 1.0], [1.0, 4.0, 4.0]]).sample(500, rng=0)
    fitted = DirichletMixtureEstimator(2, kind="probs", random_state=0, tol=1e-3).fit(rows)
    before = fitted.log_likelihood_
    slow = reference.expectation(fitted.weights_, fitted.alpha_, np.log(rows), np.ones(500))
    parts = [fitted.summarize(rows[:200]), fitted.summarize(rows[200:])]
    many_blocks.ran("expectation")
    fitted.from_summaries(parts)
    assert_allclose(fitted.log_likelihood_, before, rtol=1e-12)
    assert_allclose(fitted.log_likelihood_, slow[2], rtol=1e-11)
    assert_allclose(fitted.weights_ * 500, np.sort(slow[0])[::-1], rtol=1e-9)
    assert fitted.score(rows) * 500 >= before


# -- zeros ------------------------------


def with_zeros():
    rows = DirichletMixture([1.0], [[2.0, 3.0, 4.0]]).sample(50, rng=0)
    rows[[7, 20]] = [[0.0, 0.5, 0.5], [0.25, 0.75, 0.0]]
    return rows


def test_a_zero_is_an_error_that_says_where_and_what_to_do():
    with pytest.raises(ValueError, match=r"2 of 50 rows.*row 7, column 0.*'floor'.*'drop'"):
        DirichletMixtureEstimator(kind="probs").fit(with_zeros())


def test_dropping_and_flooring_zeros():
    rows = with_zeros()
    dropped = DirichletMixtureEstimator(kind="probs", zeros="drop").fit(rows)
    assert (dropped.n_rows_, dropped.n_dropped_) == (48, 2)
    without = DirichletMixtureEstimator(kind="probs").fit(np.delete(rows, [7, 20], axis=0))
    assert_allclose(dropped.alpha_, without.alpha_, rtol=1e-12)
    floored = DirichletMixtureEstimator(kind="probs", zeros="floor").fit(rows)
    by_hand = np.maximum(rows, 1e-12)
    by_hand /= by_hand.sum(axis=1, keepdims=True)
    expected = DirichletMixtureEstimator(kind="probs").fit(by_hand)
    assert_allclose(floored.alpha_, expected.alpha_, rtol=1e-9)
    assert np.isfinite(floored.score(rows))


# -- degenerate data ------------------------------


def test_equal_rows_end_at_the_cap_with_a_warning():
    X = np.load(reference.DATA / "awkward_inputs.npz")["P2_identical"]
    with pytest.warns(ConvergenceWarning, match=r"cap.*1 of the 200 rows are distinct"):
        fitted = DirichletMixtureEstimator(kind="probs").fit(X)
    assert not fitted.converged_
    assert_allclose(fitted.prior_.mean(), X[0], rtol=1e-7)
    assert_allclose(fitted.prior_.concentration, 1e8, rtol=1e-12)


def test_one_row():
    with pytest.warns(ConvergenceWarning, match="1 of the 1 rows"):
        fitted = DirichletMixtureEstimator(kind="probs").fit([[0.2, 0.3, 0.5]])
    assert np.isfinite(fitted.lower_bound_)


def test_fewer_distinct_rows_than_components():
    rows = np.repeat([[0.2, 0.8], [0.6, 0.4]], 20, axis=0)
    with pytest.warns(ConvergenceWarning, match="2 of the 40 rows are distinct"):
        fitted = DirichletMixtureEstimator(4, kind="probs", random_state=0).fit(rows)
    assert np.isfinite(fitted.alpha_).all()
    assert np.isfinite(fitted.lower_bounds_).all()
    assert not fitted.converged_


def test_extreme_but_legal_rows():
    rows = np.array([[-1e-30, -700.0, -1e4], [-800.0, -1e-30, -2e4], [-1.1, -1.1, -1.0912]])
    rows = np.repeat(rows, 5, axis=0)
    rows[10:] = np.log([0.3, 0.3, 0.4])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = DirichletMixtureEstimator(2, kind="log_probs", random_state=0).fit(rows)
    assert np.isfinite(fitted.alpha_).all()
    assert np.isfinite(fitted.log_likelihood_)


def test_stopping_early_is_said():
    rows = DirichletMixture([0.5, 0.5], [[3.0, 2.0], [2.0, 3.0]]).sample(200, rng=0)
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        fitted = DirichletMixtureEstimator(2, kind="probs", max_iter=2, tol=0.0).fit(rows)
    assert not fitted.converged_
    assert fitted.n_iter_ == 2


def test_warm_start_resumes():
    rows = DirichletMixture([0.5, 0.5], [[3.0, 2.0, 2.0], [2.0, 3.0, 1.0]]).sample(300, rng=0)
    fitted = DirichletMixtureEstimator(
        2, kind="probs", max_iter=5, tol=1e-12, warm_start=True, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        first = fitted.fit(rows).lower_bound_
        second = fitted.fit(rows)
    assert second.lower_bounds_[0] == pytest.approx(first, abs=1e-14)
    assert second.lower_bound_ > first


# -- Ctrl-C ------------------------------


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals to a thread")
def test_ctrl_c_keeps_the_best_so_far(monkeypatch, many_blocks):
    """What is under way is finished, and no more of the pass's 313 blocks is begun."""
    rows = DirichletMixture([1.0], [np.full(60, 0.8)]).sample(20_000, rng=0, kind="log_probs")
    fitted = DirichletMixtureEstimator(
        8, kind="log_probs", tol=0.0, max_iter=100_000, random_state=0, n_jobs=2
    )
    begun, fired = [], []

    def interrupt(*_):
        fired.append(len(begun))
        raise KeyboardInterrupt

    def expectation(*args):
        begun.append(args)
        if len(begun) == 15 * 313 + 100:  # in the middle of a pass, after the twelve of the start
            signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)
        return _core.expectation(*args)

    assert threading.current_thread() is threading.main_thread()
    monkeypatch.setattr(
        row_data, "_core", SimpleNamespace(**vars(_core) | {"expectation": expectation})
    )
    with (
        pytest.warns(ConvergenceWarning, match="warm_start=True resumes"),
        pytest.raises(KeyboardInterrupt),
        alarm(0.0, handler=interrupt),  # no clock: a task sends it
    ):
        fitted.fit(rows)
    many_blocks.ran("expectation")
    assert len(begun) - fired[0] <= 2 * 2  # as many as are under way for each worker
    assert len(begun) < 16 * 313
    assert not fitted.converged_
    assert fitted.prior_.n_components == 8
    assert np.isfinite(fitted.lower_bound_)


# -- what goes wrong is said ------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "n_components is 0; it must be 1 at least"),
        ({"n_components": 2.0}, "n_components is 2.0; it must be a whole number"),
        ({"max_iter": 0}, "max_iter is 0; it must be 1 at least"),
        ({"tol": -1.0}, "tol=-1.0"),
        ({"max_concentration": np.inf}, "max_concentration=inf"),
        ({"zeros": "ignore"}, "zeros='ignore'"),
        ({"init": "best"}, "init='best'"),
        ({"init": np.ones((3, 3))}, r"shape \(3, 3\)"),
        ({"init": DirichletMixture([1.0], [[1.0, 1.0]])}, "1 components over 2 tokens"),
        ({"n_jobs": 0}, "n_jobs is 0"),
        ({"kind": None}, "kind="),
        ({"kind": "prob"}, "'prob' is not one of"),
        ({"n_components": 60}, r"50 sample\(s\).*minimum of 60"),
    ],
)
def test_bad_parameters(parameters, message):
    rows = DirichletMixture([1.0], [[2.0, 3.0, 4.0]]).sample(50, rng=0)
    with pytest.raises(ValueError, match=message):
        DirichletMixtureEstimator(**{"kind": "probs", **parameters}).fit(rows)


@pytest.mark.parametrize(
    "parameters", [{"init": "best"}, {"init": np.ones((1, 1))}, {"n_jobs": 0}, {"n_components": 9}]
)
def test_a_refused_fit_changes_nothing(parameters):
    rows = DirichletMixture([1.0], [[2.0, 3.0, 4.0]]).sample(50, rng=0)
    fitted = DirichletMixtureEstimator(kind="probs").fit(rows)
    before = {name: value for name, value in vars(fitted).items() if name.endswith("_")}
    with pytest.raises(ValueError, match=r"."):
        fitted.set_params(**parameters).fit(np.full((7, 2), 0.5))
    assert all(getattr(fitted, name) is value for name, value in before.items())


def test_bad_weights_and_columns():
    rows = DirichletMixture([1.0], [[2.0, 3.0, 4.0]]).sample(5, rng=0)
    fitted = DirichletMixtureEstimator(kind="probs").fit(rows)
    with pytest.raises(ValueError, match=r"row 1 is -1\.0"):
        fitted.fit(rows, sample_weight=[1.0, -1.0, 1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="all sample weights are zero"):
        fitted.fit(rows, sample_weight=np.zeros(5))
    with pytest.raises(ValueError, match=r"shape \(4,\) for 5 rows"):
        fitted.fit(rows, sample_weight=np.ones(4))
    with pytest.raises(ValueError, match="2 features, but"):
        fitted.predict([[0.5, 0.5]])
    with pytest.raises(mb.NotFittedError, match="not fitted"):
        DirichletMixtureEstimator(kind="probs").predict(rows)


# -- scikit-learn's conventions ------------------------------


def test_parameters_repr_and_clone():
    sklearn = pytest.importorskip("sklearn.base")
    estimator = DirichletMixtureEstimator(3, kind="probs", tol=1e-6)
    assert repr(estimator) == "DirichletMixtureEstimator(n_components=3, kind='probs', tol=1e-06)"
    again = sklearn.clone(estimator)
    assert again.get_params() == estimator.get_params()
    with pytest.raises(ValueError, match="Invalid parameter 'k'"):
        estimator.set_params(k=1)


def test_grid_search_chooses_a_size():
    selection = pytest.importorskip("sklearn.model_selection")
    truth = DirichletMixture([0.5, 0.5], [[9.0, 1.0, 1.0], [1.0, 1.0, 9.0]])
    search = selection.GridSearchCV(
        DirichletMixtureEstimator(kind="probs", random_state=0), {"n_components": [1, 2]}, cv=3
    ).fit(truth.sample(300, rng=0))
    assert search.best_params_ == {"n_components": 2}


@pytest.mark.no_sanitizer
def test_sklearn_checks():
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    # kind="logits": any real matrix is then a legal input, as the checks need it.
    estimator = DirichletMixtureEstimator(kind="logits", random_state=0)
    seeded = np.random.get_state()  # noqa: NPY002 - by the checks
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = checks.check_estimator(estimator, on_fail=None)
    np.random.set_state(seeded)  # noqa: NPY002
    failed = {r["check_name"]: str(r["exception"]) for r in results if r["status"] == "failed"}
    assert failed == {}


def test_select_prior_finds_the_number_of_components():
    truth = DirichletMixture([0.5, 0.3, 0.2], np.eye(3) * 8.0 + 1.0)
    rows = truth.sample(1500, rng=0)
    found = mb.select_prior(rows, range(1, 6), kind="probs", random_state=0)
    assert found.best_.n_components == 3
    assert [entry["n_components"] for entry in found.table] == [1, 2, 3, 4, 5]
    entry = found.table[2]
    assert entry["bic"] == pytest.approx(found.best_.bic(rows), rel=1e-12)
    assert entry["aic"] == pytest.approx(found.best_.aic(rows), rel=1e-12)
    assert mb.select_prior(rows, [1, 2], kind="probs", criterion="aic").criterion == "aic"
    with pytest.raises(ValueError, match="criterion='mdl'"):
        mb.select_prior(rows, [1], kind="probs", criterion="mdl")
    with pytest.raises(ValueError, match="empty"):
        mb.select_prior(rows, [], kind="probs")


# -- memory ------------------------------


@pytest.mark.no_sanitizer
@pytest.mark.slow
def test_a_fit_makes_no_second_copy_of_the_rows(run_python):
    """Peak memory is the rows and O(block x K + K x V), measured in a process of its own."""
    code = """
import resource, warnings
import numpy as np
import matrixbayes as mb

warnings.simplefilter("ignore")
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
rows = np.empty((40_000, 500), np.float32)
rng = np.random.default_rng(0)
for part in np.split(rows, 40):
    part[...] = rng.standard_normal(part.shape, dtype=np.float32)
    part -= np.log(np.exp(part).sum(axis=1, keepdims=True))
del part
estimator = mb.DirichletMixtureEstimator(
    4, kind="log_probs", max_iter=3, tol=0.0, n_jobs=2, random_state=0
)
estimator.fit(rows[:2000])  # what loading SciPy and the rest costs once
before = peak()
estimator.fit(rows)
print((peak() - before) / rows.nbytes)
"""
    # 80 MB of rows; the start looks at 4 M numbers of them, 16 MB.
    assert float(run_python(code)) < 0.5
