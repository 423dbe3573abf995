"""Dirichlet-multinomial mixtures: cells, passes, the M-step, and fits with known answers."""

from __future__ import annotations

import pickle
import re
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import starmap
from types import SimpleNamespace

import numpy as np
import pytest
import reference
from alarm import Stopped, alarm, needs_timers
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import gammaln

from matrixbayes import DirichletMixture, DirichletMixtureEstimator, GammaPrior, _core
from matrixbayes.errors import ConvergenceWarning
from matrixbayes.estimator.count_data import CountData, encode

WEAK = (0.0, 0.0, 0.0, 1e8)


def make(n, v, k, seed=0, most=30):
    rng = np.random.default_rng(seed)
    mixture = DirichletMixture(rng.dirichlet(np.ones(k)), rng.uniform(0.2, 3.0, (k, v)))
    probs = mixture.sample(n, rng=rng)
    totals = rng.integers(0, most, n)
    counts = np.array([rng.multinomial(t, p) for t, p in zip(totals, probs, strict=True)])
    return mixture, counts.reshape(n, v), rng.uniform(0.0, 2.0, n)


def dense(rows):
    indptr, indices, data = rows.sparse()
    return sparse.csr_array((data, indices, indptr), shape=(rows.n_rows, rows.n_tokens)).toarray()


# -- encoding ----------------------------------------------


@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.sampled_from([0.0, 0.0, 1.0, 2.0, 0.5, 255.0, 256.0, 1e9, 3.25, 1e-300]),
    )
)
def test_encoding_loses_nothing(counts):
    rows = encode(counts)
    assert_array_equal(dense(rows), counts)
    tokens, values = rows.tokens.astype(int), rows.counts
    assert (np.diff(tokens) >= 0).all()
    assert (np.diff(values)[np.diff(tokens) == 0] > 0.0).all()
    expected = {(v, x) for v, column in enumerate(counts.T) for x in column if x > 0.0}
    expected |= {(counts.shape[1], t) for t in counts.sum(axis=1) if t > 0.0}
    assert set(zip(tokens.tolist(), values.tolist(), strict=True)) == expected


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.int8, np.uint32, np.int64, np.float32, np.float64])
def test_every_sparse_form_is_the_same(index, dtype):
    _, counts, _ = make(50, 8, 2)
    matrix = sparse.csr_array(counts.astype(dtype))
    bare = SimpleNamespace(
        indptr=matrix.indptr.astype(index),
        indices=matrix.indices.astype(index),
        data=matrix.data,
        shape=matrix.shape,
    )
    for form in (
        matrix,
        sparse.csc_array(matrix),
        sparse.coo_matrix(matrix),
        bare,
        matrix.toarray(),
    ):
        assert_array_equal(dense(encode(form)), counts)


def test_equal_columns_of_a_row_add_and_zeros_are_left_out():
    rows = _core.Counts([0, 4, 4, 5], [2, 0, 2, 1, 2], [1.0, 3.0, 2.0, 0.0, 7.0], 3)
    assert_array_equal(dense(rows), [[3, 0, 3], [0, 0, 0], [0, 0, 7]])


def test_counts_are_pickled_by_value():
    _, counts, _ = make(20, 5, 2)
    rows = pickle.loads(pickle.dumps(encode(counts)))
    assert_array_equal(dense(rows), counts)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([[1, 2], [3, -1]], "a count of row 1 is -1.0; it must be finite and >= 0"),
        ([[1.0, np.nan]], "a count of row 0 is nan"),
        ([[1.0, 1.0], [np.inf, 0.0]], "a count of row 1 is inf"),
        ([1.0, 2.0], "they need"),
        (SimpleNamespace(indptr=[0, 1], indices=[5], data=[1], shape=(1, 3)), "column 5"),
        (SimpleNamespace(indptr=[0, 2], indices=[1], data=[1], shape=(1, 3)), "indptr"),
        (SimpleNamespace(indptr=[0], indices=[1], data=[1], shape=(1, 3)), "indptr has 1 entries"),
    ],
)
def test_wrong_counts_are_named(counts, message):
    with pytest.raises(ValueError, match=message):
        encode(counts)


@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(0, 4), st.sampled_from([0.0, 1.0, 2.0, 0.5, 300.0])), max_size=9
        ),
        min_size=1,
        max_size=6,
    )
)
def test_entries_of_a_token_that_come_twice_add(rows):
    """In any order, as a sparse matrix may have them that nobody has tidied."""
    counts = np.zeros((len(rows), 5))
    for i, row in enumerate(rows):
        for token, count in row:
            counts[i, token] += count
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    tokens = np.array([token for row in rows for token, _ in row], dtype=np.int64)
    values = np.array([count for row in rows for _, count in row], dtype=np.float64)
    found = _core.Counts(indptr, tokens, values, 5)
    assert_array_equal(dense(found), counts)
    whole = encode(counts)
    assert_array_equal(found.tokens, whole.tokens)
    assert_array_equal(found.counts, whole.counts)


# -- passes --------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 8, 9, 17])
@pytest.mark.parametrize(("n", "v"), [(1, 2), (64, 3), (131, 40)])
def test_expectation_is_its_slow_twin(n, v, k):
    mixture, counts, weight = make(n, v, k)
    found = CountData.of(counts, weight).expectation(mixture)
    joint = reference.count_log_joint(counts, mixture.weights, mixture.alpha)
    log_likelihood = np.logaddexp.reduce(joint, axis=1)
    shares = np.exp(joint - log_likelihood[:, np.newaxis]) * weight[:, np.newaxis]
    assert_allclose(found.weight, shares.sum(axis=0), rtol=1e-10)
    assert_allclose(found.log_likelihood, weight @ log_likelihood, rtol=1e-12, atol=1e-11)
    for token, count, cell in zip(found.tokens, found.counts, found.cells, strict=True):
        column = counts.sum(axis=1) if token == v else counts[:, token]
        assert_allclose(cell[:k], shares[column == count].sum(axis=0), rtol=1e-10, atol=1e-14)
        assert not cell[k:].any()


def test_real_counts_and_huge_ones():
    rng = np.random.default_rng(0)
    mixture, _, _ = make(1, 6, 3)
    counts = rng.gamma(0.7, 3.0, (40, 6)) * rng.integers(0, 2, (40, 6))
    counts[0, 0] = 1e4
    _, evidence = CountData.of(counts).posterior(mixture)
    joint = reference.count_log_joint(counts, mixture.weights, mixture.alpha)
    assert_allclose(evidence, np.logaddexp.reduce(joint, axis=1), rtol=1e-9, atol=1e-12)
    counts[0, 0] = 1e9  # where the twin loses digits
    posterior, evidence = CountData.of(counts).posterior(mixture)
    terms = np.where(counts > 1.0, counts * np.log(np.maximum(counts, 1.0)), 1.0).sum(axis=1)
    assert (np.abs(evidence - mixture.log_evidence(counts)) <= 1e-13 * (1.0 + terms)).all()
    assert_allclose(posterior, mixture.responsibilities(counts, kind="counts"), rtol=1e-4)


@pytest.mark.promise(18)
def test_any_number_of_workers_gives_the_same_bits(many_blocks, figure):
    mixture, counts, weight = make(2000, 12, 4)
    alone = CountData.of(counts, weight)
    statistics, posterior = alone.expectation(mixture), alone.posterior(mixture)
    with ThreadPoolExecutor(5) as threads, ProcessPoolExecutor(2) as processes:
        for pool in ((threads, 5), (processes, 2)):
            data = CountData.of(sparse.csr_array(counts), weight, pool)
            found = data.expectation(mixture)
            assert_array_equal(found.cells, statistics.cells)
            assert_array_equal(found.weight, statistics.weight)
            assert found.log_likelihood == statistics.log_likelihood
            for mine, its in zip(data.posterior(mixture), posterior, strict=True):
                assert_array_equal(mine, its)
    many_blocks.ran("count_expectation", "count_posterior")
    joint = reference.count_log_joint(counts, mixture.weights, mixture.alpha)
    evidence = np.logaddexp.reduce(joint, axis=1)
    shares = np.exp(joint - evidence[:, np.newaxis])
    assert_allclose(posterior[0], shares, rtol=1e-9, atol=1e-14)
    assert_allclose(posterior[1], evidence, rtol=1e-9, atol=1e-12)
    assert_allclose(statistics.weight, weight @ shares, rtol=1e-10)
    assert_allclose(statistics.log_likelihood, weight @ evidence, rtol=1e-12)
    seen = statistics.tokens < 12
    cells = (statistics.cells[:, :4] * statistics.counts[:, np.newaxis])[seen]
    draws = np.zeros((12, 4))
    np.add.at(draws, statistics.tokens[seen], cells)
    assert_allclose(draws, counts.T @ (weight[:, np.newaxis] * shares), rtol=1e-9)
    assert statistics.n_rows == 2000
    figure("workers, a fit of counts: equal bits")


def test_statistics_of_parts_merge():
    mixture, counts, _ = make(300, 7, 3)
    whole = CountData.of(counts).expectation(mixture)
    parts = [CountData.of(part).expectation(mixture) for part in np.array_split(counts, 3)]
    merged = pickle.loads(pickle.dumps(parts[0])) + parts[1] + parts[2]
    assert_array_equal(merged.tokens, whole.tokens)
    assert_array_equal(merged.counts, whole.counts)
    assert_allclose(merged.cells, whole.cells, rtol=1e-12, atol=1e-14)
    assert merged.n_rows == 300
    with pytest.raises(ValueError, match="do not add"):
        merged + CountData.of(counts).expectation(DirichletMixture([1.0], [np.ones(7)]))


# -- the M-step ------------------------------------------------


@pytest.mark.parametrize(("v", "most", "seed"), [(3, 5, 0), (20, 40, 1), (6, 3000, 2)])
@pytest.mark.parametrize("start", [1e-3, 1.0, 1e4])
def test_the_gradient_vanishes_at_the_maximum(v, most, seed, start):
    mixture, counts, weight = make(400, v, 2, seed, most)
    statistics = CountData.of(counts, weight).expectation(mixture)
    alpha, outcome = _core.count_maximization(
        statistics.tokens, statistics.counts, statistics.cells, np.full((2, v), start), WEAK
    )
    assert_array_equal(outcome, 0)
    shares = mixture.responsibilities(counts, kind="counts") * weight[:, np.newaxis]
    gradient = reference.count_gradient(counts, shares, alpha)
    terms = np.abs(reference.count_gradient(counts, shares, alpha + 1.0)) + shares.sum()
    assert (np.abs(gradient) < 1e-9 * terms).all()


def test_a_gamma_prior_is_the_maximum_of_the_posterior():
    _, counts, _ = make(150, 4, 1, seed=3)
    for prior in (
        GammaPrior(0.1, 0.1, on="log_alpha"),
        GammaPrior(2.5, 3.0),
        GammaPrior(20.0, 5.0, on="concentration"),
    ):
        fitted = DirichletMixtureEstimator(1, kind="counts", concentration_prior=prior, tol=0.0)
        alpha = fitted.fit(counts).alpha_[0]

        def loss(log_alpha, prior=prior):
            a = np.exp(log_alpha)
            value = reference.count_log_joint(counts, [1.0], a[np.newaxis]).sum()
            x = np.array([a.sum()]) if prior.on == "concentration" else a
            power = prior.shape if prior.on == "log_alpha" else prior.shape - 1.0
            return -(value + (power * np.log(x) - prior.rate * x).sum())

        best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-8})
        assert_allclose(alpha, np.exp(best.x), rtol=1e-5)
        assert loss(np.log(alpha)) <= best.fun + 1e-9


@pytest.mark.parametrize(
    "prior",
    [GammaPrior(0.5, 1.0), GammaPrior(1.0, -1.0), GammaPrior(0.1, 0.1, on="mean")],
)
def test_a_prior_without_a_maximum_is_refused(prior):
    fitted = DirichletMixtureEstimator(kind="counts", concentration_prior=prior)
    with pytest.raises(ValueError, match="GammaPrior on"):
        fitted.fit([[1, 2], [2, 1]])


# -- whole fits --------------------------------------------------

EXPECTED = reference.load("synthetic_expected")
AWKWARD = reference.load("awkward_inputs")


def table(name):
    with np.load(reference.DATA / f"{name}.npz") as file:
        return file["X"]


@pytest.mark.parametrize("name", ["counts_V20_K3_A", "counts_V12_K2_overlap_A"])
def test_the_maximum_of_one_component_is_exact(name):
    fitted = DirichletMixtureEstimator(kind="counts", tol=0.0).fit(table(name))
    expected = EXPECTED[name]["single_mle"]
    assert_allclose(fitted.alpha_[0], expected["alpha"], rtol=1e-10)
    assert_allclose(fitted.log_likelihood_, expected["loglik_no_coef"], rtol=1e-11)


def test_the_maximum_under_weights_is_exact():
    expected = EXPECTED["counts_V20_K3_A"]["single_mle_first2000_rows_weighted"]
    weights = ((np.arange(2000) * 7919) % 13 + 1) / 7.0
    fitted = DirichletMixtureEstimator(kind="counts", tol=0.0)
    fitted.fit(table("counts_V20_K3_A")[:2000], sample_weight=weights)
    assert_allclose(fitted.alpha_[0], expected["alpha"], rtol=1e-10)
    assert_allclose(fitted.log_likelihood_, expected["loglik_no_coef"], rtol=1e-11)


@pytest.mark.parametrize("name", ["counts_V20_K3_A", "counts_V12_K2_overlap_A"])
@pytest.mark.parametrize("accelerate", [False, True])
def test_the_best_known_mixture_is_found(name, accelerate):
    expected = EXPECTED[name]["mixture_mle"]
    counts = table(name)
    fitted = DirichletMixtureEstimator(
        expected["k"],
        kind="counts",
        tol=1e-11,
        max_iter=2000,
        random_state=0,
        accelerate=accelerate,
    ).fit(sparse.csr_array(counts))
    assert fitted.converged_
    coefficient = (gammaln(counts.sum(axis=1) + 1.0) - gammaln(counts + 1.0).sum(axis=1)).sum()
    best = expected["loglik"]
    assert fitted.log_likelihood_ + coefficient >= best - 1e-6 - 1e-10 * abs(best)
    order = np.argsort(-np.array(expected["weights"]))
    assert_allclose(fitted.weights_, np.array(expected["weights"])[order], atol=1e-5)
    assert_allclose(fitted.alpha_, np.array(expected["alpha"])[order], rtol=1e-4)
    assert (np.diff(fitted.lower_bounds_) >= 0.0).all()


def test_longer_steps_save_passes_and_lose_nothing():
    counts = table("counts_V20_K3_A")
    fits = [
        DirichletMixtureEstimator(
            3, kind="counts", tol=1e-11, random_state=0, accelerate=accelerate
        ).fit(counts)
        for accelerate in (False, True)
    ]
    assert fits[1].n_iter_ < fits[0].n_iter_
    assert fits[1].lower_bound_ >= fits[0].lower_bound_ - 1e-11


def test_plain_counts_of_the_awkward_cases():
    expected = AWKWARD["C0_plain"]["expected"]
    with np.load(reference.DATA / "awkward_inputs.npz") as file:
        fitted = DirichletMixtureEstimator(kind="counts").fit(file["C0_plain"])
    assert_allclose(fitted.alpha_[0], expected["alpha"], rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "message", "converged"),
    [
        ("C2_zerocol", r"1 of 4 columns are never seen \(2\)", True),
        ("C4_onerow", "rises with the concentration", False),
        ("C6_totals1", "concentrations are not identified", False),
        ("C8_underdispersed", "rises with the concentration", False),
    ],
)
def test_what_counts_leave_undetermined_is_said(name, message, converged):
    with np.load(reference.DATA / "awkward_inputs.npz") as file:
        counts = file[name]
    fitted = DirichletMixtureEstimator(kind="counts", max_iter=2000)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted.fit(counts)
    assert any(re.search(message, str(w.message)) for w in caught)
    assert fitted.converged_ == converged
    assert np.isfinite(fitted.alpha_).all()
    assert np.isfinite(fitted.lower_bound_)


DEGENERATE = {
    "all equal": np.tile([3, 1, 2], (10, 1)),
    "one row": np.array([[3, 1, 2]]),
    "two different rows": np.array([[5, 0, 1], [0, 4, 4]] * 5),
    "a constant column": np.column_stack([np.full(9, 2), np.arange(9), np.arange(9)[::-1]]),
    "one entry a row": np.diag([4, 2, 7, 1]),
    "all empty": np.zeros((5, 3)),
    "some empty": np.array([[0, 0, 0], [1, 2, 3], [4, 0, 1], [0, 0, 0]]),
    "one column seen": np.array([[3, 0], [5, 0], [1, 0]]),
    "tiny real counts": np.array([[1e-9, 2e-9], [3e-9, 1e-9]]),
    "huge counts": np.array([[10**9, 3], [2, 10**9], [10**8, 10**8]]),
}


@pytest.mark.parametrize("name", sorted(DEGENERATE))
@pytest.mark.parametrize("k", [1, 3])
def test_degenerate_counts_end_in_finite_numbers(name, k):
    counts = DEGENERATE[name]
    fitted = DirichletMixtureEstimator(k, kind="counts", random_state=0, max_iter=500)
    if len(counts) < k:
        with pytest.raises(ValueError, match="one per component"):
            fitted.fit(counts)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(counts)
    assert np.isfinite(fitted.alpha_).all()
    assert np.isfinite(fitted.weights_).all()
    assert np.isfinite(fitted.lower_bounds_).all()
    if fitted.converged_:
        assert (fitted.prior_.concentration < fitted.max_concentration * 0.999).all()


@pytest.mark.parametrize("k", [1, 2])
def test_rows_of_a_single_token_have_no_concentration(k):
    counts = np.vstack([np.repeat(np.eye(4) * 3.0, 5, axis=0), np.zeros((2, 4))])
    fitted = DirichletMixtureEstimator(k, kind="counts", random_state=0)
    with pytest.warns(ConvergenceWarning) as caught:
        fitted.fit(counts)
    assert any("falls to 0: each of their rows holds a single" in str(w.message) for w in caught)
    assert not fitted.converged_
    assert np.isfinite(fitted.lower_bound_)
    bounded = DirichletMixtureEstimator(
        k, kind="counts", random_state=0, concentration_prior=GammaPrior(2.0, 2.0)
    ).fit(counts)
    assert bounded.converged_


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(2, 6), st.booleans())
def test_a_pass_never_lowers_the_bound(seed, k, v, accelerate):
    _, counts, weight = make(40, v, k, seed, most=9)
    fitted = DirichletMixtureEstimator(
        k, kind="counts", random_state=0, max_iter=60, accelerate=accelerate, init="random"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(counts, sample_weight=weight)
    assert (np.diff(fitted.lower_bounds_) >= -1e-12).all()


def test_a_weight_is_a_number_of_rows():
    _, counts, _ = make(200, 5, 2)
    times = np.random.default_rng(5).integers(0, 4, 200)
    init = DirichletMixture([0.5, 0.5], np.random.default_rng(1).uniform(0.5, 2.0, (2, 5)))
    settings = {"kind": "counts", "init": init, "tol": 1e-12, "max_iter": 1000}
    weighted = DirichletMixtureEstimator(2, **settings).fit(counts, sample_weight=times)
    repeated = DirichletMixtureEstimator(2, **settings).fit(np.repeat(counts, times, axis=0))
    assert_allclose(weighted.log_likelihood_, repeated.log_likelihood_, rtol=1e-12)
    assert_allclose(weighted.alpha_, repeated.alpha_, rtol=1e-4)


def test_what_the_fit_says_of_counts():
    _, counts, _ = make(300, 5, 2)
    fitted = DirichletMixtureEstimator(2, kind="counts", random_state=0).fit(counts)
    matrix = sparse.csr_array(counts)
    assert_allclose(fitted.score_samples(matrix), fitted.prior_.log_evidence(counts), rtol=1e-12)
    expected = fitted.prior_.responsibilities(counts, kind="counts")
    assert_allclose(fitted.predict_proba(matrix), expected, rtol=1e-9)
    assert_array_equal(fitted.predict(matrix), expected.argmax(axis=1))
    statistics = fitted.summarize(matrix[:100]) + fitted.summarize(matrix[100:])
    assert_allclose(statistics.log_likelihood, fitted.log_likelihood_, rtol=1e-12)
    before = fitted.lower_bound_
    fitted.from_summaries(statistics)
    assert fitted.score(matrix) >= before - 1e-9
    with pytest.raises(ValueError, match="expecting 5 features"):
        fitted.score(counts[:, :4])


def test_how_many_starts_agreed_is_said(capsys):
    counts = table("counts_V12_K2_overlap_A")
    fitted = DirichletMixtureEstimator(
        2, kind="counts", n_init=3, random_state=0, tol=1e-9, verbose=1
    ).fit(counts)
    assert fitted.n_agreed_ == sum(
        abs(bound - fitted.lower_bound_) <= 1e-8 for bound in fitted.restarts_
    )
    assert f"{fitted.n_agreed_} of 3 starts ended at the best bound" in capsys.readouterr().out


@needs_timers
@pytest.mark.parametrize("many", ["entries", "counts of a token"])
def test_encoding_gives_way_to_signals(many):
    n = 4_000_000
    value = np.ones(n) if many == "entries" else np.random.default_rng(0).random(n)
    rows = (np.arange(0, n + 1, 4), np.zeros(n, dtype=np.int64), value, 1)

    kept = []

    # Called from C: a signal that waits for the end of the call finds its result kept.
    with pytest.raises(Stopped), alarm(0.01):  # seen at the first question, if not before
        kept.extend(starmap(_core.Counts, [rows]))
    assert not kept
