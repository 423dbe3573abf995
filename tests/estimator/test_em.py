"""The E-step and M-step kernels against slow twins, and what must not change a bit."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from matrixbayes import DirichletMixture, SufficientStatistics, _core
from matrixbayes._base import parallel
from matrixbayes.estimator import em
from matrixbayes.estimator.penalty import Penalty
from matrixbayes.estimator.row_data import RowData


def make(n, v, k, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    mixture = DirichletMixture(rng.dirichlet(np.ones(k)), rng.uniform(0.2, 3.0, (k, v)))
    rows = mixture.sample(n, rng=rng, kind="log_probs").astype(dtype)
    return mixture, np.ascontiguousarray(rows), rng.uniform(0.0, 2.0, n)


# Sizes on both sides of every tile: 8, 4, 2, 1 components, whole and partial vectors, blocks of 64.
SIZES = [(n, v, k) for n in (1, 7, 65) for v in (2, 3, 8, 15, 40) for k in (1, 2, 3, 7, 8, 15)]


@pytest.mark.parametrize(("n", "v", "k"), [*SIZES, (300, 100, 16), (130, 4099, 5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_expectation_is_its_slow_twin(n, v, k, dtype):
    mixture, rows, weight = make(n, v, k, dtype)
    found = _core.expectation(mixture, rows, weight)
    n_k, s_kv, log_likelihood = reference.expectation(mixture.weights, mixture.alpha, rows, weight)
    assert_allclose(found.weight, n_k, rtol=1e-9, atol=1e-13 * n)
    scale = np.abs(rows).sum()
    assert_allclose(found.log_sums, s_kv, rtol=1e-9, atol=1e-13 * scale)
    assert_allclose(found.log_likelihood, log_likelihood, rtol=1e-11, atol=1e-10)
    assert found.n_rows == n


@pytest.mark.parametrize(("n", "v", "k"), [(7, 3, 2), (65, 8, 9), (200, 29, 4)])
def test_accumulate_is_a_product(n, v, k):
    _, rows, _ = make(n, v, k, np.float32)
    share = np.random.default_rng(1).uniform(size=(n, k))
    found = _core.accumulate(rows, share)
    assert_allclose(found.weight, share.sum(0), rtol=1e-12)
    assert_allclose(found.log_sums, share.T @ rows.astype(float), rtol=1e-11)


@given(
    st.integers(2, 30),
    st.floats(-3.0, 4.0),
    st.floats(0.01, 2.0),
    st.integers(0, 10_000),
)
def test_maximization_finds_the_root_of_the_gradient(v, log_scale, spread, seed):
    rng = np.random.default_rng(seed)
    truth = np.exp(rng.normal(log_scale, spread, v))
    rows = DirichletMixture([1.0], [truth]).sample(60, rng=rng, kind="log_probs")
    sums = rows.sum(0)
    statistics = SufficientStatistics([60.0], [sums], 0.0, 60)
    alpha, outcome = _core.maximization(statistics, np.ones((1, v)), (0.0, 0.0, 1e-12, 1e8))
    assert outcome[0] == 0
    gradient = reference.gradient(alpha[0], 60.0, sums, 1e-12)
    assert np.abs(gradient * alpha[0]).max() < 1e-8 * np.abs(sums * alpha[0]).max() + 1e-9


@pytest.mark.parametrize("start", [1e-6, 1.0, 1e6])
def test_maximization_does_not_depend_on_the_start(start):
    rows = DirichletMixture([1.0], [[0.01, 3.0, 200.0]]).sample(500, rng=0, kind="log_probs")
    statistics = SufficientStatistics([500.0], [rows.sum(0)], 0.0, 500)
    alpha, _ = _core.maximization(statistics, np.full((1, 3), start), (0.0, 0.0, 0.0, 1e8))
    best, _ = _core.maximization(statistics, np.array([[0.01, 3.0, 200.0]]), (0.0, 0.0, 0.0, 1e8))
    assert_allclose(alpha, best, rtol=1e-10)


def test_the_cap_binds_and_the_mean_is_still_best():
    mean = np.array([0.1, 0.2, 0.7])
    statistics = SufficientStatistics([5.0], [5.0 * np.log(mean)], 0.0, 5)
    alpha, outcome = _core.maximization(statistics, np.ones((1, 3)), (0.0, 0.0, 0.0, 1e4))
    assert outcome[0] == 1
    assert_allclose(alpha.sum(), 1e4, rtol=1e-12)
    # At the bound the gradient is the same for every token.
    gradient = reference.gradient(alpha[0], 5.0, 5.0 * np.log(mean), 0.0)
    assert np.ptp(gradient) < 1e-9
    assert gradient.min() > 0.0


def test_a_bound_that_is_crossed_on_the_way_does_not_hold():
    rows = DirichletMixture([1.0], [[30.0, 40.0, 25.0]]).sample(400, rng=0, kind="log_probs")
    statistics = SufficientStatistics([400.0], [rows.sum(0)], 0.0, 400)
    free, _ = _core.maximization(statistics, np.ones((1, 3)), (0.0, 0.0, 0.0, 1e8))
    for start in (1e-3, 10.0, 1e5):
        near, outcome = _core.maximization(
            statistics, np.full((1, 3), start), (0.0, 0.0, 0.0, 1.001 * free.sum())
        )
        assert outcome[0] == 0
        assert_allclose(near, free, rtol=1e-9)


def test_a_component_without_rows_stays():
    statistics = SufficientStatistics([0.0, 4.0], [[0.0, 0.0], [-3.0, -5.0]], 0.0, 4)
    alpha, outcome = _core.maximization(statistics, [[2.0, 3.0], [1.0, 1.0]], (0.0, 0.0, 0.0, 1e8))
    assert_array_equal(alpha[0], [2.0, 3.0])
    assert outcome[0] == 0


def test_statistics_add_pickle_and_refuse():
    mixture, rows, _ = make(40, 5, 3)
    whole = _core.expectation(mixture, rows)
    parts = _core.expectation(mixture, rows[:17]) + _core.expectation(mixture, rows[17:])
    assert_allclose(parts.log_sums, whole.log_sums, rtol=1e-12)
    assert parts.n_rows == 40
    again = pickle.loads(pickle.dumps(whole))
    assert_array_equal(again.log_sums, whole.log_sums)
    assert again.log_likelihood == whole.log_likelihood
    with pytest.raises(ValueError, match=r"\(3, 5\) and \(1, 2\) do not add"):
        whole + SufficientStatistics([1.0], [[1.0, 2.0]], 0.0, 1)
    with pytest.raises(TypeError):
        whole + 1
    with pytest.raises(ValueError, match="read-only"):
        whole.log_sums[0, 0] = 1.0


# -- the same bits ------------------------------


def same_bits(results):
    for other in results[1:]:
        assert_array_equal(other.log_sums, results[0].log_sums)
        assert_array_equal(other.weight, results[0].weight)
        assert other.log_likelihood == results[0].log_likelihood


@pytest.mark.promise(18)
def test_same_bits_for_any_number_of_workers(many_blocks, figure):
    mixture, rows, weight = make(1100, 37, 5, np.float32)
    share = np.random.default_rng(1).uniform(size=(1100, 5))
    passes, sums = [], []
    for n_jobs in (1, 2, 5):
        with parallel.workers(None, n_jobs) as pool:
            data = RowData(rows, weight, pool)
            passes.append(data.expectation(mixture))
            sums.append(data.accumulate(share))
    with ThreadPoolExecutor(3) as executor, parallel.workers(executor, None) as pool:
        passes.append(RowData(rows, weight, pool).expectation(mixture))
    many_blocks.ran("expectation", "accumulate")
    same_bits(passes)
    same_bits(sums)
    n_k, s_kv, log_likelihood = reference.expectation(mixture.weights, mixture.alpha, rows, weight)
    assert_allclose(passes[0].weight, n_k, rtol=1e-9)
    assert_allclose(passes[0].log_sums, s_kv, rtol=1e-9)
    assert_allclose(passes[0].log_likelihood, log_likelihood, rtol=1e-11)
    assert_allclose(sums[0].weight, weight @ share, rtol=1e-12)
    assert_allclose(sums[0].log_sums, (weight[:, np.newaxis] * share).T @ rows, rtol=1e-9)
    assert passes[0].n_rows == sums[0].n_rows == 1100
    figure("1, 2 and 5 workers, a pass of EM and its statistics: equal bits")


@pytest.mark.promise(18)
@pytest.mark.no_sanitizer
def test_same_bits_in_processes(many_blocks, figure):
    mixture, rows, weight = make(1200, 9, 3)
    alone = RowData(rows, weight, (None, 1)).expectation(mixture)
    with ProcessPoolExecutor(2) as executor:
        apart = RowData(rows, weight, (executor, 2)).expectation(mixture)
    many_blocks.ran("expectation")
    same_bits([alone, apart])
    whole = _core.expectation(mixture, rows, weight)
    assert_allclose(apart.log_sums, whole.log_sums, rtol=1e-11)
    assert_allclose(apart.log_likelihood, whole.log_likelihood, rtol=1e-12)
    assert apart.n_rows == 1200
    figure("threads and processes, a pass of EM: equal bits")


@given(st.integers(0, 5000), st.integers(1, 10**9))
def test_blocks_cover_the_rows_once(n_rows, cost):
    cuts = parallel.blocks(n_rows, cost)
    assert [i for cut in cuts for i in range(cut.start, cut.stop)] == list(range(n_rows))


@given(st.lists(st.integers(), min_size=1, max_size=40))
def test_merge_is_a_fixed_tree_in_order(parts):
    assert parallel.merge([(part,) for part in parts]) == tuple(parts)


def test_a_failing_block_fails_the_whole():
    def task(i):
        if i == 3:
            raise RuntimeError("block 3")
        return (i,)

    with parallel.workers(None, 2) as pool, pytest.raises(RuntimeError, match="block 3"):
        parallel.merge(parallel.in_order(pool, task, ((i,) for i in range(100))))


def test_results_come_in_order_whoever_is_first():
    last = threading.Event()

    def task(i):
        if i == 7:
            last.set()
        assert last.wait(300) if i == 0 else True  # the first ends after the last one under way
        return i

    for n in (4, 5):
        last.clear()
        with ThreadPoolExecutor(2) as executor:
            found = list(parallel.in_order((executor, n), task, ((i,) for i in range(23))))
        assert found == list(range(23))
    assert list(parallel.in_order((None, 1), task, [(i,) for i in range(1, 9)])) == [*range(1, 9)]


def test_an_executor_is_kept_busy_whatever_n_jobs_is(monkeypatch):
    monkeypatch.setattr(parallel, "available_cores", lambda: 7)
    with ThreadPoolExecutor(1) as executor:
        for n_jobs, under_way in ((1, 7), (None, 7), (9, 9), (-2, 7)):
            with parallel.workers(executor, n_jobs) as pool:
                assert pool == (executor, under_way)
        assert executor.submit(int).result() == 0  # left open
    with parallel.workers(None, 1) as pool:
        assert pool == (None, 1)


def test_what_is_under_way_is_cancelled_after_an_error():
    failed, ran = threading.Event(), []

    def task(i):
        ran.append(i)
        if i == 0:
            raise RuntimeError("block 0")
        assert failed.wait(300)  # no later task begins before the error has been seen

    with ThreadPoolExecutor(1) as executor:
        results = parallel.in_order((executor, 4), task, ((i,) for i in range(100)))
        with pytest.raises(RuntimeError, match="block 0"):
            next(results)
        failed.set()
    assert set(ran) <= {0, 1}


def test_a_long_step_does_not_settle():
    """It shows that longer is no better, not that EM itself has nothing to gain."""
    rows = DirichletMixture([0.5, 0.5], [[2.0, 1.0, 1.5], [1.0, 2.0, 1.5]]).sample(
        400, rng=0, kind="log_probs"
    )
    data, penalty = RowData(rows, None, (None, 1)), Penalty.of(None, 1e8)
    start = DirichletMixture([0.5, 0.5], [[1.5, 1.0, 1.2], [1.0, 1.5, 1.2]])
    plain = em.fit(data, start, tol=1e-6, max_iter=5000, penalty=penalty, accelerate=False)

    def back(trail, _):
        return DirichletMixture(trail[-2].weights, trail[-2].alpha)  # where EM stands: no rise

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(em, "_long_step", back)
        found = em.fit(data, start, tol=1e-6, max_iter=5000, penalty=penalty)
    assert found.settled
    assert_allclose(found.bounds[-1], plain.bounds[-1], rtol=0.0, atol=1e-4)


# -- bad input ------------------------------


def test_rows_of_the_wrong_kind():
    mixture, rows, _ = make(4, 3, 2)
    for wrong in (rows.astype(np.float16), rows[:, ::-1], rows.T.copy().T, rows.astype(">f8")):
        with pytest.raises(TypeError, match="C order"):
            _core.expectation(mixture, wrong)
    with pytest.raises(TypeError, match="must be an array"):
        _core.expectation(mixture, rows.tolist())
    with pytest.raises(ValueError, match=r"\(n, 3\), not \(4, 2\)"):
        _core.expectation(mixture, rows[:, :2].copy())
    with pytest.raises(ValueError, match="5 entries for 4 rows"):
        _core.expectation(mixture, rows, np.ones(5))
    with pytest.raises(ValueError, match="of row 2 is nan"):
        _core.expectation(mixture, rows, [1.0, 1.0, np.nan, 1.0])
    bad = SufficientStatistics([1.0], [[-np.inf, -1.0]], 0.0, 1)
    with pytest.raises(ValueError, match="not finite"):
        _core.maximization(bad, [[1.0, 1.0]], (0.0, 0.0, 0.0, 1e8))


def test_no_rows():
    mixture, rows, _ = make(4, 3, 2)
    nothing = _core.expectation(mixture, rows[:0])
    assert nothing.n_rows == 0
    assert nothing.log_likelihood == 0.0
    assert_array_equal(nothing.weight, 0.0)
