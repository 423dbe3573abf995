"""`elicit_prior` on predictions whose prior is known, and its objective against slow twins."""

from __future__ import annotations

import tracemalloc
import warnings
from functools import partial
from itertools import permutations, product

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.sparse import csr_array
from scipy.special import gammaln, softmax
from threadpoolctl import threadpool_info, threadpool_limits

import matrixbayes as mb
from matrixbayes import elicitation
from matrixbayes._base.parallel import one_blas_thread
from matrixbayes.elicitation.design import design
from matrixbayes.elicitation.histories import checked_histories
from matrixbayes.elicitation.identification import identify
from matrixbayes.elicitation.objective import Objective, Predictor
from matrixbayes.elicitation.parameters import Layout, Parameters, pack_prior, unpack_prior
from matrixbayes.elicitation.search import search, starting_points
from matrixbayes.mixture import DirichletMixture
from matrixbayes.rows import NextTokenRows

elicit_prior = partial(elicitation.elicit_prior, family="iid")  # where a test says no other
PRIORS = {
    1: ([1.0], [[4.0, 2.0, 1.0, 0.3]]),
    2: ([0.7, 0.3], [[8.0, 1.0, 1.0, 0.5], [0.5, 0.5, 2.0, 4.0]]),
    3: ([0.5, 0.3, 0.2], [[8.0, 2.0, 0.5, 0.5], [0.4, 0.4, 0.4, 0.4], [1.0, 1.0, 6.0, 6.0]]),
}


def sample_histories(
    weights: list[float], alpha: list[list[float]], n: int, length: int, seed: int
) -> list[list[int]]:
    """Every beginning, the empty one too, of `n` sequences drawn from the prior."""
    rng = np.random.default_rng(seed)
    histories: list[list[int]] = []
    for _ in range(n):
        p = rng.dirichlet(alpha[rng.choice(len(weights), p=weights)])
        sequence = rng.choice(len(p), size=length, p=p).tolist()
        histories += [sequence[:i] for i in range(length + 1)]
    return histories


def count(histories: list[list[int]], n_tokens: int) -> np.ndarray:
    return np.array([np.bincount(h, minlength=n_tokens) for h in histories], dtype=float)


def slow_predictive(weights: np.ndarray, alpha: np.ndarray, counts: np.ndarray) -> np.ndarray:
    total, mass = alpha.sum(axis=1), counts.sum(axis=1, keepdims=True)
    inner = np.sum(gammaln(alpha + counts[:, None]) - gammaln(alpha), axis=2)
    joint = np.log(weights) + inner + gammaln(total) - gammaln(total + mass)
    means = (alpha + counts[:, None]) / (total + mass)[:, :, None]
    return np.einsum("ik,ikv->iv", softmax(joint, axis=1), means)


def planted(k: int, n: int = 60, length: int = 30) -> tuple[list[list[int]], np.ndarray]:
    weights, alpha = PRIORS[k]
    histories = sample_histories(weights, alpha, n, length, seed=k)
    counts = count(histories, len(alpha[0]))
    return histories, slow_predictive(np.array(weights), np.array(alpha), counts)


# --- planted priors


@pytest.mark.parametrize("k", PRIORS)
def test_a_planted_prior_is_recovered_from_a_cold_start(k: int) -> None:
    histories, model = planted(k)
    found = elicit_prior(histories, model, kind="probs", n_components=k, rng=0)
    np.testing.assert_allclose(found.prior.weights, PRIORS[k][0], rtol=1e-4)
    np.testing.assert_allclose(found.prior.alpha, PRIORS[k][1], rtol=1e-4)
    assert found.mean_kl < 1e-9
    assert found.converged
    assert found.n_agreeing == found.n_starts == 4
    assert found.flags == ()
    assert found.r2 > 1 - 1e-8
    assert found.mae < 1e-6


def test_every_seed_finds_it() -> None:
    histories, model = planted(3, n=40, length=20)
    for seed in range(5):
        found = elicit_prior(
            histories, model, kind="probs", n_components=3, n_starts=1, rng=seed + 100
        )
        np.testing.assert_allclose(found.prior.alpha, PRIORS[3][1], rtol=1e-3)


def test_recovery_from_float32_rows_with_names() -> None:
    histories, model = planted(2)
    rows = NextTokenRows(np.log(model).astype(np.float32), tokens=("a", "b", "c", "d"))
    found = elicit_prior(histories, rows, n_components=2, rng=1)
    np.testing.assert_allclose(found.prior.alpha, PRIORS[2][1], rtol=1e-3)
    assert found.prior.tokens == ("a", "b", "c", "d")


@pytest.mark.slow
def test_recovery_in_a_larger_vocabulary() -> None:
    rng = np.random.default_rng(4)
    alpha = [rng.gamma(0.5, size=60) + 0.02, rng.gamma(0.5, size=60) + 0.02]
    histories = sample_histories([0.6, 0.4], [a.tolist() for a in alpha], 150, 25, seed=5)
    model = slow_predictive(np.array([0.6, 0.4]), np.array(alpha), count(histories, 60))
    found = elicit_prior(histories, model, kind="probs", n_components=2, n_starts=2, rng=0)
    np.testing.assert_allclose(found.prior.weights, [0.6, 0.4], rtol=1e-3)
    np.testing.assert_allclose(found.prior.alpha, alpha, rtol=1e-3)


def test_recovery_from_real_valued_counts() -> None:
    rng = np.random.default_rng(6)
    counts = rng.gamma(0.7, 4.0, size=(400, 4))
    weights, alpha = (np.array(part) for part in PRIORS[2])
    model = slow_predictive(weights, alpha, counts)
    found = elicit_prior(
        counts, model, kind="probs", history_kind="counts", n_components=2, n_starts=2, rng=0
    )
    np.testing.assert_allclose(found.prior.alpha, alpha, rtol=1e-3)


# --- the objective


def objective_on(
    counts: np.ndarray, log_probs: np.ndarray, k: int, shares: np.ndarray | None = None
) -> Objective:
    """That of the family "iid" on histories of which the counts are known."""
    seen = design(checked_histories(counts, "counts", counts.shape[1]), "iid", 1, False)
    layout = Layout(("iid",), k, counts.shape[1], 1.0, 1.0, 1.0)
    shares = np.full(len(counts), 1 / len(counts)) if shares is None else shares
    return Objective(Predictor(seen, 1.0), layout, log_probs, shares)


def objective_of(k: int, n_tokens: int = 5) -> tuple[Objective, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    counts = rng.poisson(1.0, size=(80, n_tokens)).astype(float) * rng.integers(0, 2, (80, 1))
    model = rng.dirichlet(np.ones(n_tokens), size=80)
    model[3] = np.eye(n_tokens)[0]  # exact zeros
    with np.errstate(divide="ignore"):
        log_probs = np.log(model)
    shares = rng.dirichlet(np.ones(80))
    objective = objective_on(counts, log_probs, k, shares)
    theta = rng.normal(scale=0.7, size=k * n_tokens + k)
    weights, alpha = unpack_prior(theta, k)
    predictive = slow_predictive(weights, alpha, counts)
    ratio = np.where(model > 0, model, 1.0) / predictive
    return objective, theta, np.array(shares @ np.sum(model * np.log(ratio), axis=1))


@pytest.mark.parametrize("k", [1, 2, 4])
def test_objective_is_the_mean_divergence(k: int) -> None:
    objective, theta, expected = objective_of(k)
    assert len(objective.weights) < 80  # equal histories are one
    np.testing.assert_allclose(objective(theta)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_gradient_is_that_of_finite_differences(k: int) -> None:
    objective, theta, _ = objective_of(k)
    numeric = [
        (objective(theta + step)[0] - objective(theta - step)[0]) / 2e-5
        for step in 1e-5 * np.eye(len(theta))
    ]
    np.testing.assert_allclose(objective(theta)[1], numeric, atol=1e-9)
    assert abs(objective(theta)[1][-k:].sum()) < 1e-15  # logits have one freedom too many


def test_optimum_is_not_worse_than_a_slow_search_finds() -> None:
    from scipy.optimize import minimize

    rng = np.random.default_rng(8)
    histories, model = planted(2, n=15, length=10)
    model = softmax(np.log(model) + 0.3 * rng.normal(size=model.shape), axis=1)
    counts = count(histories, 4)
    entropy = np.sum(model * np.log(model)) / len(model)

    def slow(theta: np.ndarray) -> float:
        weights, alpha = unpack_prior(theta, 2)
        predictive = slow_predictive(weights, alpha, counts)
        return float(entropy - np.sum(model * np.log(predictive)) / len(model))

    found = elicit_prior(histories, model, kind="probs", n_components=2, rng=0)
    others = [minimize(slow, rng.normal(size=10), method="BFGS").fun for _ in range(4)]
    assert found.mean_kl <= min(others) + 1e-9
    weights, alpha = found.prior.weights, found.prior.alpha
    np.testing.assert_allclose(slow(pack_prior(weights, alpha)), found.mean_kl, rtol=1e-9)
    assert np.max(np.abs(approx_fprime(pack_prior(weights, alpha), slow))) < 1e-6


# --- what the report says


def test_measures_of_fit() -> None:
    rng = np.random.default_rng(9)
    histories, model = planted(1, n=20, length=8)
    model = softmax(np.log(model) + 0.2 * rng.normal(size=model.shape), axis=1)
    weights = rng.uniform(size=len(model))
    found = elicit_prior(histories, model, kind="probs", weights=weights, rng=0)
    shares = weights / weights.sum()
    counts = count(histories, 4)
    p = slow_predictive(found.prior.weights, found.prior.alpha, counts)
    centre = shares @ model
    kl = np.sum(model * np.log(model / p), axis=1)
    np.testing.assert_allclose(found.mean_kl, shares @ kl, rtol=1e-9)
    np.testing.assert_allclose(found.mean_kl_bits, shares @ kl / np.log(2.0), rtol=1e-9)
    baseline = shares @ np.sum(model * np.log(model / centre), axis=1)
    np.testing.assert_allclose(found.baseline_kl, baseline, rtol=1e-9)
    np.testing.assert_allclose(found.baseline_kl_bits, baseline / np.log(2.0), rtol=1e-9)
    residual = shares @ np.sum((model - p) ** 2, axis=1)
    spread = shares @ np.sum((model - centre) ** 2, axis=1)
    np.testing.assert_allclose(found.r2, 1 - residual / spread, rtol=1e-9)
    np.testing.assert_allclose(found.mae, shares @ np.mean(np.abs(model - p), axis=1), rtol=1e-9)
    lengths = np.array([len(h) for h in histories])
    assert found.kl_by_length.length.tolist() == list(range(9))
    assert found.kl_by_length.n_rows.tolist() == [20] * 9
    expected = [np.average(kl[lengths == n], weights=weights[lengths == n]) for n in range(9)]
    np.testing.assert_allclose(found.kl_by_length.mean_kl, expected, rtol=1e-7)
    np.testing.assert_allclose(found.predict(histories), p, rtol=1e-10)
    np.testing.assert_allclose(found.predict(counts, history_kind="counts"), p, rtol=1e-10)
    assert found.n_rows == 180
    assert found.n_distinct == len(np.unique(counts, axis=0))


def test_whole_weights_are_repetitions() -> None:
    rng = np.random.default_rng(10)
    histories, model = planted(1, n=6, length=6)
    model = softmax(np.log(model) + 0.1 * rng.normal(size=model.shape), axis=1)
    times = rng.integers(0, 4, size=len(model))
    weighted = elicit_prior(histories, model, kind="probs", weights=times, rng=0)
    repeated = elicit_prior(
        [h for h, n in zip(histories, times, strict=True) for _ in range(n)],
        np.repeat(model, times, axis=0),
        kind="probs",
        rng=0,
    )
    np.testing.assert_allclose(weighted.prior.alpha, repeated.prior.alpha, rtol=1e-5)
    np.testing.assert_allclose(weighted.mean_kl, repeated.mean_kl, rtol=1e-9)
    np.testing.assert_allclose(weighted.r2, repeated.r2, rtol=1e-6)


def test_order_of_tokens_and_rows_does_not_matter() -> None:
    rng = np.random.default_rng(11)
    histories, model = planted(2, n=15, length=10)
    model = softmax(np.log(model) + 0.1 * rng.normal(size=model.shape), axis=1)
    found = elicit_prior(histories, model, kind="probs", n_components=2, rng=0)
    order = rng.permutation(len(model))
    shuffled = [rng.permutation(histories[i]).astype(int) for i in order]
    again = elicit_prior(shuffled, model[order], kind="probs", n_components=2, rng=3)
    np.testing.assert_allclose(again.prior.alpha, found.prior.alpha, rtol=1e-4)


def test_the_same_seed_gives_the_same_bits() -> None:
    histories, model = planted(2, n=10, length=10)
    one, other = (
        elicit_prior(histories, model, kind="probs", n_components=2, n_starts=2, rng=rng)
        for rng in (5, np.random.default_rng(5))
    )
    assert one.prior == other.prior
    assert one.start_kls == other.start_kls


def test_a_given_start_comes_first() -> None:
    histories, model = planted(3, n=20, length=10)
    start = DirichletMixture(*PRIORS[3], tokens=tuple("wxyz"))
    found = elicit_prior(
        histories, model, kind="probs", n_components=3, start=start, n_starts=1, rng=0
    )
    assert found.n_iter <= 1
    assert found.n_starts == 1
    assert found.prior.tokens == tuple("wxyz")
    np.testing.assert_allclose(found.prior.alpha, PRIORS[3][1], rtol=1e-6)


def test_the_best_start_wins() -> None:
    histories, model = planted(2)
    stuck = DirichletMixture([0.5, 0.5], np.ones((2, 4)))  # equal components stay equal
    found = elicit_prior(
        histories, model, kind="probs", n_components=2, start=stuck, n_starts=3, rng=0
    )
    assert found.start_kls[0] > 1e-3
    assert found.mean_kl < 1e-9
    assert found.n_agreeing == 2
    np.testing.assert_allclose(found.prior.alpha, PRIORS[2][1], rtol=1e-4)


def test_components_come_by_falling_weight() -> None:
    histories, model = planted(3)
    for order in permutations(range(3)):
        start = DirichletMixture(
            np.array(PRIORS[3][0])[list(order)], np.array(PRIORS[3][1])[list(order)]
        )
        found = elicit_prior(
            histories, model, kind="probs", n_components=3, start=start, n_starts=1, rng=0
        )
        np.testing.assert_allclose(found.prior.weights, PRIORS[3][0], rtol=1e-6)
        np.testing.assert_allclose(found.prior.alpha, PRIORS[3][1], rtol=1e-6)


def test_exact_zeros_in_the_predictions() -> None:
    histories, model = planted(1, n=20, length=10)
    model = np.column_stack([model, np.zeros(len(model))])  # a token the model rules out
    found = elicit_prior(histories, model, kind="probs", rng=0)
    np.testing.assert_allclose(found.prior.alpha[0, :4], PRIORS[1][1][0], rtol=1e-3)
    assert found.prior.alpha[0, 4] < 1e-6
    assert np.isfinite([found.mean_kl, found.baseline_kl, found.r2, found.mae]).all()


def test_a_constant_model() -> None:
    histories, _ = planted(1, n=20, length=10)
    model = np.tile([0.4, 0.3, 0.2, 0.1], (len(histories), 1))
    with pytest.warns(RuntimeWarning, match="concentration is not identified"):
        found = elicit_prior(histories, model, kind="probs", rng=0)
    assert found.prior.concentration[0] > 1e4  # it learns nothing in context
    np.testing.assert_allclose(found.prior.mean(), model[0], rtol=1e-3)
    assert found.baseline_kl < 1e-12
    assert found.r2 in (0.0, 1.0)


def test_it_shows() -> None:
    histories, model = planted(1, n=10, length=5)
    found = elicit_prior(histories, model, kind="probs", rng=0)
    assert len(repr(found).splitlines()) <= 10
    assert "converged" in repr(found)
    assert "not identified: nothing" in repr(found)
    assert found._repr_html_().count("<table") == 2


# --- what the data do not settle


def test_empty_histories_show_the_mean_alone() -> None:
    with pytest.warns(RuntimeWarning, match="empty histories show the mean alone"):
        found = elicit_prior([[]] * 5, np.tile([0.7, 0.2, 0.1], (5, 1)), kind="probs", rng=0)
    np.testing.assert_allclose(found.prior.mean(), [0.7, 0.2, 0.1], rtol=1e-6)
    assert found.flags == ("component 0: its concentration is not identified",)
    assert np.isinf(found.identification.priors["iid"].log_concentration[0])
    assert found.r2 == 1.0


def test_one_token_of_history_identifies_a_concentration() -> None:
    histories = [[], [0], [1], [2]]
    model = slow_predictive(np.ones(1), np.array([[4.0, 2.0, 1.0]]), count(histories, 3))
    found = elicit_prior(histories, model, kind="probs", rng=0)
    np.testing.assert_allclose(found.prior.alpha, [[4.0, 2.0, 1.0]], rtol=1e-5)
    assert found.flags == ()


def test_more_components_than_the_data_show() -> None:
    histories, model = planted(1)
    with pytest.warns(RuntimeWarning, match="identified"):
        found = elicit_prior(
            histories, model, kind="probs", n_components=2, n_starts=1, max_iter=2000, rng=0
        )
    assert found.mean_kl < 1e-6
    assert any("weight" in flag for flag in found.flags)


def test_short_histories_cannot_tell_two_components_apart() -> None:
    histories = [list(h) for n in range(2) for h in product(range(2), repeat=n)]
    alpha = np.array([[3.0, 1.0], [1.0, 2.0]])
    model = slow_predictive(np.array([0.6, 0.4]), alpha, count(histories, 2))
    with pytest.warns(RuntimeWarning, match="identified"):  # 3 numbers for 5 parameters
        elicit_prior(histories, model, kind="probs", n_components=2, rng=0)


def test_widths_are_those_of_the_profile() -> None:
    """Along a parameter with all others adapted, the mean KL rises by `rise` at the width."""
    from scipy.optimize import brentq, minimize

    histories, model = planted(1, n=10, length=10)
    rng = np.random.default_rng(12)
    model = softmax(np.log(model) + 0.05 * rng.normal(size=model.shape), axis=1)
    found = elicit_prior(histories, model, kind="probs", rng=0)
    shares = np.full(len(model), 1 / len(model))
    objective = objective_on(count(histories, 4), np.log(model), 1, shares)
    alpha, told = found.prior.alpha[0], found.identification
    widths = told.priors["iid"].log_alpha

    def profile(move: float) -> float:
        def others(rest: np.ndarray) -> float:
            theta = np.concatenate([[np.log(alpha[0]) + move], rest, [0.0]])
            return objective(theta)[0]

        return float(minimize(others, np.log(alpha[1:]), options={"gtol": 1e-10}).fun)

    assert told.rise == pytest.approx(0.01 * found.mean_kl)
    width = brentq(lambda move: profile(move) - found.mean_kl - told.rise, 1e-6, 1.0)
    assert widths is not None
    np.testing.assert_allclose(widths[0, 0], width, rtol=0.05)


def test_many_tokens_probe_concentrations_and_weights() -> None:
    alpha = np.array([np.full(150, 0.02), np.linspace(0.01, 0.5, 150)])
    histories = sample_histories([0.5, 0.5], alpha.tolist(), 60, 12, seed=13)
    model = slow_predictive(np.array([0.5, 0.5]), alpha, count(histories, 150))
    found = elicit_prior(
        histories,
        model,
        kind="probs",
        n_components=2,
        start=DirichletMixture([0.5, 0.5], alpha),
        n_starts=1,
    )
    assert found.identification.priors["iid"].log_alpha is None
    assert found.identification.eigenvalues.shape == (3,)
    assert found.flags == ()


def flags_of(
    curvature: list[float], at_limit: list[bool], names: tuple[str, ...] | None, k: int = 1
) -> tuple[str, ...]:
    """The flags at the optimum of a parabola, where alpha is 1, 2, 3 in each component."""
    alpha = np.tile([1.0, 2.0, 3.0], (k, 1))
    theta = np.append(np.log(alpha).ravel(), np.zeros(k))
    slopes = np.array(curvature)
    layout = Layout(("iid",), k, 3, 1.0, 1.0, 1.0)
    told = identify(lambda x: slopes * (x - theta), theta, layout, np.array(at_limit), 0.0, names)
    return told.flags


def test_flags_name_the_tokens() -> None:
    alpha_of_a = "component 0: its alpha is not identified for "
    settled, no = [1.0, 1.0, 1.0, 0.0], [False] * 4
    loose = [2e-8, 1e-7, 1e-7, 0.0]  # by the first parameter the rise of 1e-8 comes at 1
    assert flags_of(settled, no, None) == ()
    assert flags_of(loose, no, ("a", "b", "c")) == (f"{alpha_of_a}'a'",)
    assert flags_of(loose, no, None) == (f"{alpha_of_a}column 0",)
    limit = "component 0: its alpha stopped at a limit of the search for 'c'"
    assert flags_of(settled, [False, False, True, False], ("a", "b", "c")) == (limit,)
    every = flags_of(settled, [True, True, True, False], ("a", "b", "c"))
    assert every == ("component 0: its alpha stopped at a limit of the search for 'a', 'b', 'c'",)


def test_flags_tell_weights_from_concentrations() -> None:
    free = [False] * 8
    weights = flags_of([1.0] * 6 + [0.0, 0.0], free, None, k=2)
    assert weights == tuple(f"component {k}: its weight is not identified" for k in (0, 1))
    both = flags_of([0.0] * 3 + [1.0] * 3 + [0.0, 0.0], free, None, k=2)
    assert both[0] == "component 0: neither its weight nor its concentration is identified"
    one = flags_of([0.0] * 3 + [1.0] * 5, free, None, k=2)
    assert one == ("component 0: its concentration is not identified",)


def test_a_search_cut_short_says_so() -> None:
    histories, model = planted(2, n=10, length=10)
    with pytest.warns(RuntimeWarning, match="did not converge in 2 iterations"):
        found = elicit_prior(histories, model, kind="probs", n_components=2, max_iter=2, rng=0)
    assert not found.converged
    assert "NOT converged" in repr(found)


# --- starting points


def test_starting_points_are_seeded_and_differ() -> None:
    objective, _, _ = objective_of(3)
    points = starting_points(objective, np.random.default_rng(0))
    again = starting_points(objective, np.random.default_rng(0))
    one, two = next(points), next(points)
    np.testing.assert_array_equal(one, next(again))
    assert not np.array_equal(one, two)


def test_more_components_than_distinct_rows() -> None:
    objective = objective_on(np.zeros((2, 3)), np.log(np.full((2, 3), 1 / 3)), 4)
    start = next(starting_points(objective, np.random.default_rng(0)))
    assert np.isfinite(search(objective, start, 10, 1e-9).value)


# --- bad input

MODEL = np.full((2, 3), 1 / 3)


@pytest.mark.parametrize(
    ("histories", "options", "error", "message"),
    [
        ([[0], [0, 3]], {}, ValueError, r"histories\[1\]\[1\] is 3, .* columns 0 to 2"),
        ([[0], [-1]], {}, ValueError, r"histories\[1\]\[0\] is -1"),
        ([[0], [0.5]], {}, TypeError, r"histories\[1\] holds float64.*history_kind='counts'"),
        ([[0], [True]], {}, TypeError, r"histories\[1\] holds bool"),
        ([[0], "ab"], {}, TypeError, r"histories\[1\] is 'ab'"),
        ([[0], ["a"]], {}, TypeError, r"histories\[1\] holds <U1"),
        ([[0], [[1]]], {}, ValueError, r"histories\[1\] has 2 dimensions"),
        ([[0]], {}, ValueError, "1 histories but 2 predictions"),
        ([[0], [1], [2]], {}, ValueError, "3 histories but 2 predictions"),
        ([[0], [1]], {"history_kind": "ids"}, ValueError, "not one of 'tokens', 'counts'"),
        ([[0], [1]], {"family": "hmm"}, ValueError, r"'hmm' does not exist; there are 'iid', 'mar"),
        ([[0], [1]], {"family": ["iid", "x"]}, ValueError, r"family='x' does not exist"),
        ([[0], [1]], {"family": []}, ValueError, "family is empty"),
        ([[0], [1]], {"family": ["iid", "iid"]}, ValueError, "family names one twice"),
        ([[0], [1]], {"order": 0}, ValueError, "order is 0; it must be 1 at least"),
        ([[0], [1]], {"cv": 1}, ValueError, "cv is 1; it must be 2 at least"),
        ([[0], [1]], {"cv": 3}, ValueError, "3 folds need as many groups .*, and there are 2"),
        ([[0], [1]], {"n_boot": -1}, ValueError, "n_boot is -1; it must be not negative"),
        ([[0], [1]], {"level": 1.0}, ValueError, "level is 1.0; it must be between 0 and 1"),
        (
            [[0], [1]],
            {"discount": 1.5},
            ValueError,
            "discount must be 'fit' or a number above 0 an",
        ),
        ([[0], [1]], {"discount": "best"}, ValueError, "discount must be 'fit' or a number"),
        ([[0], [1]], {"temperature": 0}, ValueError, "temperature must be 'fit' or a number"),
        ([[0], [1]], {"temperature": np.nan}, ValueError, "temperature must be 'fit' or a number"),
        ([[0], [1]], {"temperature": 1e-300}, ValueError, "a number from 0.01 to 100, not 1e-300"),
        ([[0], [1]], {"groups": [np.nan, 1.0]}, ValueError, r"groups\[0\] is missing"),
        ([[0], [1]], {"groups": ["a", None]}, ValueError, r"groups\[1\] is missing"),
        ([[0], [1]], {"groups": np.array(["a", 1], object)}, TypeError, "all numbers or all str"),
        ([[0], [1]], {"groups": [1]}, ValueError, r"groups have shape \(1,\)"),
        ([[0], [1]], {"start": {"hmm": None}}, ValueError, "start has the key 'hmm'"),
        (
            [[0], [1]],
            {"start": {"markov": None}},
            ValueError,
            "start has the key 'markov'; the parts",
        ),
        ([[0], [1]], {"n_jobs": 0}, ValueError, "n_jobs is 0"),
        ([[0], [1]], {"n_jobs": 1.5}, ValueError, "n_jobs is 1.5; it must be a whole number"),
        ([[0], [1]], {"n_jobs": "2"}, ValueError, "n_jobs is '2'; it must be a whole number"),
        ([[0], [1]], {"family": None}, TypeError, "family is None; it is a name, or several"),
        (None, {}, TypeError, "histories is None"),
        ([[0], np.array([2**63], np.uint64)], {}, ValueError, "holds 9223372036854775808, which"),
        ([[0], [2**63]], {}, ValueError, "holds 9223372036854775808, which"),
        ([[0], [1]], {"n_components": 0}, ValueError, "n_components is 0; it must be 1 at least"),
        ([[0], [1]], {"n_starts": 1.5}, ValueError, "n_starts is 1.5; it must be a whole number"),
        ([[0], [1]], {"max_iter": True}, ValueError, "max_iter is True; it must be a whole number"),
        ([[0], [1]], {"tol": 0.0}, ValueError, "tol must be above 0"),
        ([[0], [1]], {"tol": "a"}, ValueError, "tol must be above 0, not 'a'"),
        ([[0], [1]], {"level": None}, ValueError, "level is None; it must be a number from 0 to 1"),
        ([[0], [1]], {"weights": [1j, 1j]}, TypeError, "weights must be numbers, not complex128"),
        ([[0], [1]], {"weights": [1.0]}, ValueError, r"weights have shape \(1,\)"),
        ([[0], [1]], {"weights": [1.0, -1.0]}, ValueError, r"weights\[1\] is -1.0"),
        ([[0], [1]], {"weights": [np.nan, 1.0]}, ValueError, r"weights\[0\] is nan"),
        ([[0], [1]], {"weights": [0.0, 0.0]}, ValueError, "all weights are 0"),
        ([[0], [1]], {"kind": None}, ValueError, "kind"),
    ],
)
def test_bad_input(histories: list, options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        elicit_prior(histories, MODEL, **{"kind": "probs", **options})


@pytest.mark.parametrize(
    ("counts", "error", "message"),
    [
        ([[0, 1, 2], [0, -1, 0]], ValueError, r"counts\[1, 1\] is -1"),
        ([[0, 1, 2], [np.nan, 1, 0]], ValueError, r"counts\[1, 0\] is nan"),
        ([[0, np.inf, 2], [0, 1, 0]], ValueError, r"counts\[0, 1\] is inf"),
        ([[0, 1], [0, 1]], ValueError, r"counts have shape \(2, 2\).*needs shape \(N, 3\)"),
        ([0, 1, 2], ValueError, r"counts have shape \(3,\)"),
        ([["a", "b", "c"]], TypeError, "counts must be numbers"),
        ([[0, 1, 2]], ValueError, "1 histories but 2 predictions"),
        ([[0, 1, 2], [0, 1]], ValueError, "counts have rows of different lengths"),
        ([[0, 1, 2], [0, 1e155, 1e155]], ValueError, r"counts\[1\] sum to 2e\+155"),
    ],
)
def test_bad_counts(counts: list, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        elicit_prior(counts, MODEL, kind="probs", history_kind="counts")


def test_counts_of_less_than_a_token_are_not_empty_histories() -> None:
    counts = np.tile([0.5, 0.3, 0.199], (5, 1))
    with pytest.warns(RuntimeWarning) as caught:
        elicit_prior(counts, [[0.4, 0.3, 0.3]] * 5, kind="probs", history_kind="counts", rng=0)
    assert not any("all histories are empty" in str(w.message) for w in caught)


def test_a_posterior_after_counts_of_any_form() -> None:
    counts = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 4.0], [3.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    model = (counts + 1.0) / (counts + 1.0).sum(axis=1, keepdims=True)
    found = elicit_prior(counts, model, kind="probs", history_kind="counts", rng=0)
    for one in ([1, 2, 0], counts[0], counts[:1], csr_array(counts[:1])):
        after = found.posterior(one, history_kind="counts")
        np.testing.assert_allclose(after.alpha, [[2.0, 3.0, 1.0]], rtol=1e-4)
    for history, kind in ((counts, "counts"), (np.array([[0, 1], [1, 0]]), "tokens")):
        with pytest.raises(ValueError, match="histories; a posterior is after one"):
            found.posterior(history, history_kind=kind)


def test_blas_has_one_thread_until_the_last_fit_ends() -> None:
    def threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(2, "blas"):
        before = threads()
        with one_blas_thread:
            with one_blas_thread:
                assert threads() <= {1}
            assert threads() <= {1}
        assert threads() == before


def test_a_start_must_fit() -> None:
    start = DirichletMixture([1.0], [[1.0, 1.0, 1.0]], tokens=("a", "b", "c"))
    with pytest.raises(ValueError, match="start has 1 components over 3 tokens; n_components is 2"):
        elicit_prior([[0], [1]], MODEL, kind="probs", n_components=2, start=start)
    rows = NextTokenRows(np.log(MODEL), tokens=("a", "c", "b"))
    with pytest.raises(ValueError, match="tokens of start are not those of the predictions"):
        elicit_prior([[0], [1]], rows, start=start)


def test_no_histories_at_all() -> None:
    with pytest.raises(ValueError, match="there are no histories"):
        elicit_prior([], np.empty((0, 3)), kind="probs")


def test_histories_in_any_form_say_the_same() -> None:
    lists = [[], [2, 0, 2], [1]]
    expected = [[0, 0, 0], [1, 0, 2], [0, 1, 0]]
    arrays = [np.array(h, dtype=np.uint8) for h in lists]

    def seen(form: object, kind: str, n_tokens: int) -> list[list[float]]:
        rows = design(checked_histories(form, kind, n_tokens), "iid", 1, False)
        own = rows.parts["iid"].rows
        dense = csr_array((own.counts, own.columns, own.starts), shape=(own.n, n_tokens)).toarray()
        return dense[rows.group].tolist()

    for form, kind in ((lists, "tokens"), (arrays, "tokens"), (expected, "counts")):
        assert seen(form, kind, 3) == expected
    assert seen(csr_array(np.array(expected)), "counts", 3) == expected
    square = np.array([[0, 1], [1, 1]])  # never taken for counts unless said
    assert seen(square, "tokens", 2) == [[1, 1], [0, 2]]
    frame = pytest.importorskip("pandas").DataFrame(square, columns=["first", "second"])
    assert seen(frame, "tokens", 2) == [[1, 1], [0, 2]]


def test_histories_may_name_their_tokens() -> None:
    histories, names = [[], ["c", "a", "c"], ["b"]], ("a", "b", "c")
    found = checked_histories(histories, "tokens", 3, names)
    assert found.tokens.tolist() == [2, 0, 2, 1]
    assert found.offsets.tolist() == [0, 0, 3, 4]
    with pytest.raises(ValueError, match="'d'"):
        checked_histories([["d"]], "tokens", 3, names)


def test_weights_of_several_parts_are_numbers_by_name() -> None:
    several = Parameters({"iid": None, "markov": None, "tree": None}, np.array([0.5, 0.3, 0.2]))
    assert several.scalar("weight of markov") == 0.3
    assert several.scalar("weight of tree") == 0.2
    assert several.scalar("discount") == 1.0


def test_an_interrupt_ends_the_searches_of_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = [], []

    def long_search(objective: Objective, start: np.ndarray, *limits: float) -> None:
        begun.append(start)
        if len(begun) == 1:
            raise KeyboardInterrupt
        for _ in range(20_000):
            objective(start)
        ended.append(start)

    monkeypatch.setattr("matrixbayes.elicitation.elicit.search", long_search)
    model = np.random.default_rng(0).dirichlet(np.ones(64), size=9000)  # enough for threads
    with pytest.raises(KeyboardInterrupt):
        elicit_prior([[0]] * 9000, model, kind="probs", n_starts=3, n_jobs=3, rng=0)
    assert not ended


@pytest.mark.parametrize("temperature", ["fit", 0.01])
def test_divergences_are_numbers_where_a_temperature_leaves_nothing_of_a_token(
    temperature: float | str,
) -> None:
    rng = np.random.default_rng(0)
    histories = [rng.integers(0, 3, rng.integers(0, 12)).tolist() for _ in range(60)]
    commonest = np.eye(3)[count(histories, 3).argmax(axis=1)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the temperature stopped at a limit")
        found = elicit_prior(
            histories, commonest, kind="probs", temperature=temperature, cv=3, rng=0
        )
    assert np.isfinite(found.mean_kl)
    assert np.isfinite(found.kl_by_length.mean_kl).all()
    assert found.comparison is not None
    assert np.isfinite(found.comparison.held_out_kl).all()


def test_a_limit_is_seen_whatever_the_units_of_the_search() -> None:
    limit = np.log(1e-8)
    scales = np.random.default_rng(0).gamma(1.0, size=10_000)
    scale = scales[np.argmax(limit * scales / scales > limit)]  # rounding leads away from it
    assert limit * scale / scale > limit
    objective = objective_on(np.zeros((1, 2)), np.log([[0.5, 0.5]]), 1)

    class Falling:
        """Falls with the first alpha alone."""

        layout, predictor, weights = objective.layout, objective.predictor, objective.weights

        def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
            return float(theta[0]), np.array([1.0, 0.0, 0.0])

    with pytest.MonkeyPatch.context() as patch:
        scales = np.array([scale, 1.0, 1.0])
        patch.setattr("matrixbayes.elicitation.search._scale", lambda *_: scales)
        found = search(Falling(), np.zeros(3), 100, 1e-9)  # type: ignore[arg-type]
    assert found.theta[0] == limit
    assert found.at_limit.tolist() == [True, False, False]


@pytest.mark.filterwarnings("ignore:.*not identified")
def test_an_order_longer_than_any_history_costs_no_more() -> None:
    histories, model = [[], [0], [1, 0]], np.array([[0.5, 0.5], [0.4, 0.6], [0.3, 0.7]])
    of_two, of_many = (
        elicit_prior(histories, model, kind="probs", family="markov", order=order, rng=0)
        for order in (2, 10**12)
    )
    np.testing.assert_array_equal(of_two.prior.alpha, of_many.prior.alpha)


@pytest.mark.filterwarnings("ignore:.*not")
def test_points_are_of_all_tokens() -> None:
    """3,999 rows: 4,000 even steps are whole rows."""
    model = np.random.default_rng(0).dirichlet(np.ones(20), size=3999)
    found = elicit_prior([[]] * 3999, model, kind="probs", n_starts=1, max_iter=1, rng=0)
    assert len(found.points.token) == 4000
    assert np.bincount(found.points.token, minlength=20).min() > 100


@pytest.mark.filterwarnings("ignore:.*not")
def test_what_is_identified_takes_no_memory_by_the_square_of_the_vocabulary() -> None:
    width = 6000  # whose square is 288 MB
    model = np.random.default_rng(0).dirichlet(np.ones(width), size=3)
    tracemalloc.start()
    try:
        elicit_prior([[], [0], [1]], model, kind="probs", n_starts=1, max_iter=2, rng=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50e6


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_samples_of_a_bootstrap_as_arviz_data() -> None:
    pytest.importorskip("arviz_base")
    histories = [[(7 * i + t * t) % 3 for t in range(i % 9)] for i in range(60)]
    seen = np.array([np.bincount(h, minlength=3) + 1.5 for h in histories])
    rows = mb.NextTokenRows(
        np.log(seen / seen.sum(axis=1, keepdims=True)), tokens=("yes", "no", "maybe")
    )
    report = mb.elicit_prior(histories, rows, family="iid", n_boot=12, rng=0)
    data = report.to_arviz()["posterior"]
    assert data["iid.alpha"].dims == ("chain", "draw", "iid_component", "token")
    assert data["iid.alpha"].shape == (1, 12, 1, 3)
    assert list(data["token"].values) == ["yes", "no", "maybe"]
    ends = np.quantile(data["iid.concentration"].values[0], [0.05, 0.95], axis=0)
    np.testing.assert_allclose(ends, report.intervals["iid.concentration"])
    with pytest.raises(ValueError, match="n_boot"):
        mb.elicit_prior(histories, rows, family="iid", rng=0).to_arviz()
