"""The observed information against numerical Hessians, known standard errors, and quadrature."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose
from scipy import optimize, stats
from scipy.special import gammaln, logsumexp

from matrixbayes import (
    ConvergenceWarning,
    DirichletMixture,
    DirichletMixtureEstimator,
    select_prior,
)
from matrixbayes.estimator import evidence, information
from matrixbayes.estimator.count_data import CountData
from matrixbayes.estimator.row_data import RowData

EXPECTED = reference.load("synthetic_expected")


def table(name):
    with np.load(reference.DATA / f"{name}.npz") as file:
        return file["X"]


def fitted_to(k, kind, rows, **parameters):
    return DirichletMixtureEstimator(
        k, kind=kind, random_state=0, tol=1e-12, max_iter=3000, **parameters
    ).fit(rows)


def log_likelihood(theta, k, rows, kind, weights):
    v = rows.shape[1]
    logits = np.append(theta[k * v :], 0.0)
    w = np.exp(logits - logits.max())
    mixture = DirichletMixture(w / w.sum(), theta[: k * v].reshape(k, v))
    if kind == "counts":
        return weights @ mixture.log_evidence(rows)
    return weights @ mixture.log_prob(rows, kind=kind)


def numerical_hessian(function, x, steps):
    d = len(x)
    result = np.empty((d, d))
    for i in range(d):
        for j in range(d):
            total = 0.0
            for a in (1, -1):
                for b in (1, -1):
                    y = x.copy()
                    y[i] += a * steps[i]
                    y[j] += b * steps[j]
                    total += a * b * function(y)
            result[i, j] = total / (4.0 * steps[i] * steps[j])
    return result


@pytest.mark.parametrize("kind", ["probs", "counts"])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_it_is_the_numerical_hessian(kind, k, many_blocks):
    rng = np.random.default_rng(k)
    truth = DirichletMixture(rng.dirichlet(np.ones(k) * 5), rng.uniform(0.5, 4.0, (k, 3)))
    rows = truth.sample(130, rng=rng)
    if kind == "counts":
        rows = np.array([rng.multinomial(rng.integers(0, 20), p) for p in rows])
    weights = rng.uniform(0.5, 2.0, 130)
    fitted = DirichletMixtureEstimator(k, kind=kind, init=truth, max_iter=1)
    with pytest.warns(
        ConvergenceWarning, match="still rose"
    ):  # not at a maximum, where the Hessian is as good a test
        fitted.fit(rows, sample_weight=weights)
    prior = fitted.prior_
    theta = np.append(prior.alpha.ravel(), np.log(prior.weights[:-1] / prior.weights[-1]))
    steps = 1e-3 * np.append(prior.alpha.ravel(), np.ones(k - 1))
    expected = numerical_hessian(lambda t: log_likelihood(t, k, rows, kind, weights), theta, steps)
    found = fitted.information(rows, sample_weight=weights).hessian
    many_blocks.ran("expectation" if kind == "probs" else "count_posterior")
    assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    "name",
    ["probs_V10_K3_A", "probs_V8_K3_overlap_A", "counts_V20_K3_A", "counts_V12_K2_overlap_A"],
)
def test_known_standard_errors(name):
    rows, kind = table(name), "probs" if name.startswith("probs") else "counts"
    found = fitted_to(1, kind, rows).information(rows)
    assert found.is_maximum
    assert_allclose(found.alpha_se[0], EXPECTED[name]["single_mle"]["se"], rtol=1e-8)


def test_what_is_not_identified_has_no_standard_error():
    counts = np.eye(3)[[0, 0, 1, 2, 1, 0]]
    with pytest.warns(UserWarning, match="not identified"):
        fitted = DirichletMixtureEstimator(1, kind="counts").fit(counts)
    found = fitted.information(counts)
    assert not found.is_maximum
    assert np.isinf(found.alpha_se).all()


def test_too_many_parameters_are_refused():
    rows = DirichletMixture([1.0], [np.ones(3000)]).sample(5, rng=0, kind="log_probs")
    fitted = DirichletMixtureEstimator(1, kind="log_probs").fit(rows)
    fitted.prior_ = DirichletMixture([0.5, 0.5], np.ones((2, 3000)))
    with pytest.raises(ValueError, match="6001 parameters"):
        fitted.information(rows)


# -- the evidence ------------------------------

SD = 3.0  # of ln alpha in the prior of the evidence


def log_rising(a, n):
    """ln a (a + 1) ... (a + n - 1), without a difference of large numbers."""
    return sum((np.log(a + j) for j in range(int(n))), np.zeros_like(a))


def log_scores(alpha, rows, kind):
    """(S, U): log-densities of rows of probabilities, or log-evidence of counts, under alphas."""
    total = alpha.sum(axis=1)
    if kind == "probs":
        constant = gammaln(total) - gammaln(alpha).sum(axis=1)
        return constant[:, np.newaxis] + (alpha - 1.0) @ np.log(rows).T
    return np.stack(
        [
            sum(log_rising(a, n) for a, n in zip(alpha.T, row, strict=True))
            - log_rising(total, row.sum())
            for row in rows
        ],
        axis=1,
    )


def different(rows):
    """Different rows, and how often each comes."""
    return np.unique(rows, axis=0, return_counts=True)


def normal_prior(log_alpha):
    """(S,): the prior's log-density of ln alpha (S, V)."""
    return stats.norm(0.0, SD).logpdf(log_alpha).sum(axis=1)


def quadrature_of_one(rows, kind, low=-12.0, high=22.0, many=501):
    """ln evidence of one component over two tokens, on a grid of ln alpha."""
    t = np.linspace(low, high, many)
    points = np.stack(np.meshgrid(t, t, indexing="ij"), axis=-1).reshape(-1, 2)
    u, often = different(rows)
    value = normal_prior(points) + log_scores(np.exp(points), u, kind) @ often
    return logsumexp(value) + 2.0 * np.log(t[1] - t[0])


@pytest.mark.parametrize("seed", range(6))
def test_the_evidence_of_one_component_where_an_alpha_runs_away(seed):
    counts = np.random.default_rng(seed).multinomial(15, [0.4, 0.6], size=40)
    fitted = DirichletMixtureEstimator(1, kind="counts", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(counts)
    found = fitted.information(counts)
    truth = quadrature_of_one(counts, "counts")
    assert found.log_evidence == pytest.approx(truth, abs=0.12)
    assert found.why_no_evidence == ""
    if seed == 1:
        assert fitted.prior_.concentration[0] > 1e6
        assert truth == pytest.approx(-412.0, abs=0.05)
        # the mode, by a search that knows no derivative
        u, often = different(counts)

        def loss(x):
            scores = log_scores(np.exp(x)[np.newaxis], u, "counts")[0]
            return -(scores @ often + normal_prior(x[np.newaxis])[0])

        best = optimize.minimize(loss, [3.0, 3.0], method="Nelder-Mead", options={"xatol": 1e-7})
        assert_allclose(np.log(found.posterior_mode.alpha[0]), best.x, atol=1e-4)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("n", "total", "alpha"),
    [(5, 5, (2.0, 3.0)), (40, 3, (1.0, 1.0)), (100, 20, (20.0, 30.0)), (20, 50, (0.05, 0.1))],
)
def test_the_evidence_of_one_component_whatever_the_rows(n, total, alpha, seed):
    rng = np.random.default_rng(seed)
    counts = np.array([rng.multinomial(total, p) for p in rng.dirichlet(alpha, n)])
    found = settled(1, "counts", counts).information(counts)
    assert found.log_evidence == pytest.approx(quadrature_of_one(counts, "counts"), abs=0.15)


@pytest.mark.parametrize("concentration", [5.0, 1e4])
def test_the_evidence_of_one_component_on_rows(concentration):
    rows = DirichletMixture([1.0], [[0.3 * concentration, 0.7 * concentration]]).sample(30, rng=2)
    found = fitted_to(1, "probs", rows).information(rows)
    x = np.log(found.posterior_mode.alpha[0])
    truth = quadrature_of_one(rows, "probs", x.min() - 3.0, x.max() + 3.0, 801)
    assert found.log_evidence == pytest.approx(truth, abs=0.1)


def settled(k, kind, rows):
    """A fit that may have run away."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fitted_to(k, kind, rows)


def planted_counts(weights, alpha, n, total, seed):
    rng = np.random.default_rng(seed)
    rows = DirichletMixture(weights, alpha).sample(n, rng=rng)
    return np.array([rng.multinomial(total, p) for p in rows])


def quadrature_of_two(rows, kind, mode):
    """ln evidence of two components over two tokens that are far apart.

    Each component is anywhere on grids around both places, so that both orders are there.
    """
    u, often = different(rows)
    points, cells = [], []
    for k in range(2):
        # how wide: by differences of the component's own part
        centre = np.log(mode.alpha[k])
        own = mode.responsibilities(u, kind=kind)[:, k] * often

        def value(x, own=own):
            scores = log_scores(np.exp(x)[np.newaxis], u, kind)[0]
            return -(own @ scores + normal_prior(x[np.newaxis])[0])

        root = np.linalg.inv(np.linalg.cholesky(numerical_hessian(value, centre, [1e-3, 1e-3]))).T
        step = 0.8
        t = np.arange(-5.6, 5.61, step)
        grid = np.stack(np.meshgrid(t, t, indexing="ij"), axis=-1).reshape(-1, 2)
        points.append(centre + grid @ root.T)
        cells.append(np.full(len(grid), 2.0 * np.log(step) + np.log(np.abs(np.linalg.det(root)))))
    points, cells = np.concatenate(points), np.concatenate(cells)
    scores = log_scores(np.exp(points), u, kind).T
    top = scores.max(axis=1)
    likely = np.exp(scores - top[:, np.newaxis])
    of_one = normal_prior(points) + cells
    step, parts = 0.2, []
    for odds in np.arange(-2.0, 2.01, step):
        w = 1.0 / (1.0 + np.exp(-odds))
        both = of_one[:, np.newaxis] + of_one
        for each, m in zip(likely, often, strict=True):
            both = both + m * np.log(w * each[:, np.newaxis] + (1.0 - w) * each)
        parts.append(logsumexp(both) + np.log(w * (1.0 - w)) + np.log(step))
    return logsumexp(parts) + float(often @ top)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["counts", "probs"])
def test_the_evidence_of_two_components_against_quadrature(kind):
    """Both orders of the components are in the integral: without K! it is ln 2 off."""
    alpha = [[12.0, 2.0], [3.0, 16.0]]
    if kind == "counts":
        rows = planted_counts([0.5, 0.5], alpha, 300, 20, 0)
    else:
        rows = DirichletMixture([0.5, 0.5], alpha).sample(60, rng=4)
    found = settled(2, kind, rows).information(rows)
    truth = quadrature_of_two(rows, kind, found.posterior_mode)
    assert found.log_evidence == pytest.approx(truth, abs=0.2)


def log_posterior(theta, k, rows, kind):
    """(S,): ln of likelihood times prior at thetas (S, d): ln alpha and log-ratios of weights."""
    v = rows.shape[1]
    log_alpha = theta[:, : k * v].reshape(-1, k, v)
    odds = np.column_stack([theta[:, k * v :], np.zeros(len(theta))])
    log_w = odds - logsumexp(odds, axis=1, keepdims=True)
    value = log_w.sum(axis=1) + gammaln(k) + normal_prior(theta[:, : k * v])
    u, often = different(rows)
    each = [log_scores(np.exp(log_alpha[:, j]), u, kind) + log_w[:, [j]] for j in range(k)]
    return value + np.logaddexp.reduce(each) @ often


def importance_sampling(rows, kind, mode, n, seed):
    """ln evidence and its standard error: from a t distribution at each order of a mode."""
    k, v = mode.alpha.shape
    centre = np.append(np.log(mode.alpha), np.log(mode.weights[:-1] / mode.weights[-1]))
    posterior = lambda x: float(log_posterior(x[np.newaxis], k, rows, kind)[0])  # noqa: E731
    curvature = -numerical_hessian(posterior, centre, np.full(len(centre), 1e-3))
    near = stats.multivariate_t(centre, 1.3 * np.linalg.inv(curvature), df=8)
    drawn = near.rvs(n, random_state=seed)

    def ordered(order):
        odds = np.column_stack([drawn[:, k * v :], np.zeros(n)])[:, order]
        alphas = drawn[:, : k * v].reshape(n, k, v)[:, order].reshape(n, -1)
        return np.column_stack([alphas, odds[:, :-1] - odds[:, -1:]])

    # The posterior is the same in each order: drawing from one is drawing from all.
    orders = [list(order) for order in itertools.permutations(range(k))]
    log_q = logsumexp([near.logpdf(ordered(order)) for order in orders], axis=0) - gammaln(k + 1)
    log_ratio = log_posterior(drawn, k, rows, kind) - log_q
    ratio = np.exp(log_ratio - log_ratio.max())
    return (
        float(np.log(ratio.mean()) + log_ratio.max()),
        float(ratio.std(ddof=1) / ratio.mean() / np.sqrt(n)),
    )


@pytest.mark.slow
@pytest.mark.parametrize(("k", "v", "kind"), [(1, 2, "counts"), (3, 3, "counts"), (2, 4, "probs")])
def test_the_evidence_against_importance_sampling(k, v, kind):
    alpha = 1.0 + 14.0 * np.eye(k, v)
    if kind == "counts":
        rows = planted_counts(np.ones(k) / k, alpha, 120 * k, 12, 7)
    else:
        rows = DirichletMixture(np.ones(k) / k, alpha).sample(100 * k, rng=3)
    found = settled(k, kind, rows).information(rows)
    truth, error = importance_sampling(rows, kind, found.posterior_mode, 5000, 0)
    assert error < 0.05
    assert found.log_evidence == pytest.approx(truth, abs=0.25 + 3.0 * error)


def test_the_evidence_counts_repetitions():
    counts = planted_counts([0.5, 0.5], [[9.0, 2.0], [2.0, 9.0]], 40, 9, 1)
    weights = np.random.default_rng(0).integers(0, 4, 40)
    repeated = np.repeat(counts, weights, axis=0)
    fitted = settled(2, "counts", counts)
    found = fitted.information(counts, sample_weight=weights)
    expected = fitted.information(repeated)
    assert found.log_evidence == pytest.approx(expected.log_evidence, rel=1e-9)
    assert_allclose(found.alpha_se, expected.alpha_se, rtol=1e-9)
    assert_allclose(found.weights_se, expected.weights_se, rtol=1e-9)


def test_the_mode_is_one_of_the_posterior():
    counts = planted_counts([0.7, 0.3], [[9.0, 2.0, 1.0], [1.0, 3.0, 9.0]], 80, 9, 1)
    mode = settled(2, "counts", counts).information(counts).posterior_mode
    centre = np.append(np.log(mode.alpha), np.log(mode.weights[0] / mode.weights[1]))
    top = log_posterior(centre[np.newaxis], 2, counts, "counts")[0]
    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-2, 0.1):
        near = centre + size * rng.normal(size=(50, len(centre)))
        assert log_posterior(near, 2, counts, "counts").max() < top
    by = optimize.approx_fprime(
        centre, lambda x: log_posterior(x[np.newaxis], 2, counts, "counts")[0], 1e-6
    )
    assert np.abs(by).max() < 1e-2


def test_columns_never_seen_and_counts_of_one_draw_have_an_evidence():
    """The likelihood has no maximum there; the posterior has."""
    counts = np.eye(3)[[0, 0, 1, 0, 1, 0]][:, :2]
    with pytest.warns(ConvergenceWarning):
        fitted = DirichletMixtureEstimator(1, kind="counts").fit(counts)
    found = fitted.information(counts)
    assert found.log_evidence == pytest.approx(quadrature_of_one(counts, "counts"), abs=0.15)
    unseen = np.column_stack([planted_counts([1.0], [[2.0, 3.0]], 60, 10, 0), np.zeros(60, int)])
    with pytest.warns(ConvergenceWarning):
        fitted = DirichletMixtureEstimator(1, kind="counts").fit(unseen)
    found = fitted.information(unseen)
    truth, error = importance_sampling(unseen, "counts", found.posterior_mode, 5000, 0)
    assert error < 0.05
    assert found.log_evidence == pytest.approx(truth, abs=0.3)


def test_no_evidence_without_a_reason(monkeypatch):
    counts = planted_counts([1.0], [[2.0, 3.0]], 30, 10, 0)
    fitted = settled(1, "counts", counts)
    assert fitted.information(counts).why_no_evidence == ""
    monkeypatch.setattr(evidence, "STEPS", 0)
    found = fitted.information(counts)
    assert found.log_evidence is None
    assert "did not settle" in found.why_no_evidence
    monkeypatch.undo()
    monkeypatch.setattr(evidence, "cholesky", lambda matrix: None)
    monkeypatch.setattr(
        evidence._Posterior,
        "climb",
        lambda self, start: evidence._End(start, 0.0, True),
    )
    found = fitted.information(counts)
    assert found.log_evidence is None
    assert "not negative definite" in found.why_no_evidence
    monkeypatch.undo()
    monkeypatch.setattr(evidence, "LOG_RANGE", (-34.0, 0.5))
    found = fitted.information(counts)
    assert found.log_evidence is None
    assert "beyond alphas" in found.why_no_evidence
    with pytest.warns(ConvergenceWarning, match="n_components=1: there is no log-evidence: the po"):
        chosen = select_prior(counts, [1], kind="counts", criterion="log_evidence")
    assert chosen.table[0]["log_evidence"] is None
    with pytest.raises(ValueError, match="no size has a log_evidence"):
        chosen.best_  # noqa: B018


@pytest.mark.parametrize("kind", ["counts", "probs"])
@pytest.mark.parametrize("k", [1, 3])
def test_value_slopes_and_curvature_are_those_of_the_posterior(kind, k):
    """Prior included, anywhere: against the formula, and its differences."""
    rng = np.random.default_rng(k)
    like = DirichletMixture(rng.dirichlet(np.ones(k) * 5), rng.uniform(0.5, 9.0, (k, 3)))
    rows = planted_counts(like.weights, like.alpha, 12, 6, 3) if kind == "counts" else None
    rows = like.sample(12, rng=1) if rows is None else rows
    weights = rng.integers(1, 4, len(rows)).astype(float)
    repeated = np.repeat(rows, weights.astype(int), axis=0)
    data = (
        CountData.of(rows, weights)
        if kind == "counts"
        else RowData(np.log(rows), weights, (None, 1))
    )
    posterior = evidence._Posterior(data, like, lambda at: information.derivatives(at, data))
    theta = np.append(np.log(like.alpha), np.log(like.weights[:-1] / like.weights[-1]))

    def expected(x):
        return float(log_posterior(x[np.newaxis], k, repeated, kind)[0])

    value, slopes = posterior(theta)
    assert value == pytest.approx(expected(theta), rel=1e-10)
    assert_allclose(slopes, optimize.approx_fprime(theta, expected, 1e-6), atol=1e-3)
    curvature = -numerical_hessian(expected, theta, np.full(len(theta), 1e-3))
    assert_allclose(posterior.curvature(posterior.mixture(theta)), curvature, atol=1e-3)


@pytest.mark.parametrize("start", [-20.0, -6.0, 0.0, 6.0, 15.0])
def test_the_mode_is_found_by_newtons_method_from_anywhere(start, monkeypatch):
    """Where the posterior bends upwards, and where whole steps lead too far."""
    counts = planted_counts([1.0], [[2.0, 3.0]], 30, 10, 0)
    data, like = CountData.of(counts), DirichletMixture([1.0], [[2.0, 3.0]])
    posterior = evidence._Posterior(data, like, lambda at: information.derivatives(at, data))
    wanted = posterior.climb(np.log([2.0, 3.0]))
    monkeypatch.setattr(
        optimize, "minimize", lambda loss, at, **_: optimize.OptimizeResult(x=np.array(at))
    )
    found = posterior.climb(np.array([start, 0.5 * start]))
    assert found.settled
    assert_allclose(found.theta, wanted.theta, atol=1e-3)


def test_standard_errors_of_weights_are_those_of_another_parametrisation():
    """In the weights themselves, the last of which is what the others leave."""
    truth = DirichletMixture([0.5, 0.3, 0.2], 1.0 + 12.0 * np.eye(3))
    rows = truth.sample(300, rng=4)
    fitted = fitted_to(3, "probs", rows)
    prior = fitted.prior_

    def score(x):
        mixture = DirichletMixture(np.append(x[:2], 1.0 - x[:2].sum()), x[2:].reshape(3, 3))
        return float(mixture.log_prob(rows, kind="probs").sum())

    at = np.append(prior.weights[:2], prior.alpha)
    steps = np.append([1e-4, 1e-4], 1e-3 * prior.alpha)
    covariance = np.linalg.inv(-numerical_hessian(score, at, steps))
    errors = np.sqrt(np.append(np.diag(covariance)[:2], covariance[:2, :2].sum()))
    found = fitted.information(rows)
    assert_allclose(found.weights_se, errors, rtol=1e-3)
    assert_allclose(found.alpha_se.ravel(), np.sqrt(np.diag(covariance)[2:]), rtol=1e-3)


def test_alphas_all_at_their_floor_have_no_standard_error():
    fitted = settled(1, "counts", np.array([[3, 0], [0, 2], [4, 0]]))
    fitted.prior_ = DirichletMixture([1.0], [[1e-15, 1e-15]])
    found = fitted.information(np.array([[3, 0], [0, 2], [4, 0]]))
    assert not found.is_maximum
    assert np.isinf(found.alpha_se).all()
    assert np.isfinite(found.log_evidence)
