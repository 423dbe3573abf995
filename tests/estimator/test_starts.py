"""Where EM starts: groups of rows that lead to the best optimum known, block by block."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist

from matrixbayes import DirichletMixture, DirichletMixtureEstimator
from matrixbayes._base import parallel
from matrixbayes._base.k_means import Points, groups
from matrixbayes.estimator import em
from matrixbayes.estimator.count_data import CountData
from matrixbayes.estimator.row_data import RowData


def separated(seed, n, v, k):
    """Rows of components that are far from each other, most of their tokens rare."""
    rng = np.random.default_rng(seed)
    truth = DirichletMixture(rng.dirichlet(np.full(k, 5.0)), rng.gamma(0.3, 2.0, (k, v)) + 0.05)
    return truth, truth.sample(n, rng=rng, kind="log_probs")


def ends(truth, rows, seeds):
    """How far below the fit from the truth each fit ends, in nats a row."""
    settings = {"kind": "log_probs", "n_jobs": 1}
    best = DirichletMixtureEstimator(truth.n_components, init=truth, **settings).fit(rows)
    fits = [
        DirichletMixtureEstimator(truth.n_components, random_state=s, **settings).fit(rows)
        for s in seeds
    ]
    return [best.lower_bound_ - fitted.lower_bound_ for fitted in fits]


def test_separated_components_are_found():
    below = [ends(*separated(100 + i, 3000, 100, 8), range(4)) for i in range(3)]
    assert (np.array(below) < 1e-3).sum() >= 11
    assert max(ends(*separated(7, 10_000, 200, 8), [0])) < 1e-3


def test_overlapping_components_are_found():
    rng = np.random.default_rng(0)
    truth = DirichletMixture(np.full(4, 0.25), rng.gamma(2.0, 1.0, (4, 8)) + 0.3)
    rows = truth.sample(3000, rng=rng, kind="log_probs")
    assert max(ends(truth, rows, range(4))) < 1e-3


def test_components_of_one_mean_are_found():
    mean = np.random.default_rng(1).dirichlet(np.full(20, 0.5))
    truth = DirichletMixture([0.5, 0.5], mean * np.array([[3.0], [100.0]]))
    rows = truth.sample(2000, rng=1, kind="log_probs")
    assert min(ends(truth, rows, range(4))) < 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distances_of_points(dtype):
    rng = np.random.default_rng(0)
    at = (50.0 + rng.normal(size=(40, 7))).astype(dtype)
    at[3] = at[11]
    expected = cdist(at.astype(np.float64), at[:5].astype(np.float64), "sqeuclidean")
    points = Points.of(at, np.ones(40))
    found = points.squared_distances(points.at[:5])
    assert_allclose(found, expected, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-4)
    assert found[11, 3] == found[3, 3] == 0.0


def test_no_weight_is_drawn_to_be_a_centre():
    rng = np.random.default_rng(0)
    at = np.repeat(np.arange(4.0), 25)[:, np.newaxis] * [1.0, 2.0]
    weights = np.where(at[:, 0] == 3.0, 0.0, 1.0)
    found = groups(Points.of(at, weights), 3, rng, tries=8)
    assert len({found[0], found[25], found[50]}) == 3


def test_a_start_at_the_cap_does_not_win():
    mixture = DirichletMixture([1.0], [[1.0, 1.0]])
    held = em.Fit(mixture, [5.0], outcomes=np.array([em.CAPPED], np.int8))
    free = em.Fit(mixture, [1.0], outcomes=np.array([0], np.int8))
    unknown = em.Fit(mixture, [0.5])
    assert em.best([held, unknown, free]) is free
    assert em.best([held]) is held


# -- many blocks ------------------------------


class Counting:
    """How many tasks ran."""

    def __init__(self, patch):
        patch.setattr(parallel, "BLOCK_COST", 1)
        patch.setattr(parallel, "LEAST_ROWS", 64)
        self.tasks, plain = 0, parallel.in_order

        def in_order(pool, task, arguments):
            for each in plain(pool, task, arguments):
                self.tasks += 1
                yield each

        patch.setattr(parallel, "in_order", in_order)


@pytest.fixture
def many_blocks(monkeypatch):
    return Counting(monkeypatch)


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_each_block_has_its_own_shares_and_weights(many_blocks, n_jobs):
    rng = np.random.default_rng(0)
    truth, rows = separated(0, 500, 5, 3)
    share, weight = rng.dirichlet(np.ones(3), 500), rng.uniform(0.0, 2.0, 500)
    with parallel.workers(None, n_jobs) as pool:
        data = RowData(rows, weight, pool)
        given, passed = data.accumulate(share), data.expectation(truth)
    assert many_blocks.tasks == 16
    mine = share * weight[:, np.newaxis]
    assert_allclose(given.weight, mine.sum(axis=0), rtol=1e-12)
    assert_allclose(given.log_sums, mine.T @ rows, rtol=1e-11)
    expected = reference.expectation(truth.weights, truth.alpha, rows, weight)
    assert_allclose(passed.weight, expected[0], rtol=1e-9)
    assert_allclose(passed.log_sums, expected[1], rtol=1e-9)
    assert_allclose(passed.log_likelihood, expected[2], rtol=1e-11)


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_each_block_of_counts_has_its_own_weights(many_blocks, n_jobs):
    rng = np.random.default_rng(0)
    truth, rows = separated(0, 700, 5, 3)
    counts, weight = rng.multinomial(9, np.exp(rows)), rng.uniform(0.0, 2.0, 700)
    with parallel.workers(None, n_jobs) as pool:
        found = CountData.of(counts, weight, pool).expectation(truth)
    assert many_blocks.tasks > 2
    joint = reference.count_log_joint(counts, truth.weights, truth.alpha)
    evidence = np.logaddexp.reduce(joint, axis=1)
    assert_allclose(found.log_likelihood, weight @ evidence, rtol=1e-11)
    shares = np.exp(joint - evidence[:, np.newaxis]) * weight[:, np.newaxis]
    assert_allclose(found.weight, shares.sum(axis=0), rtol=1e-9)


@pytest.mark.parametrize("kind", ["log_probs", "counts"])
def test_a_stream_of_many_blocks_is_the_same_fit(many_blocks, kind):
    rng = np.random.default_rng(0)
    _, rows = separated(0, 900, 6, 3)
    if kind == "counts":
        rows = rng.multinomial(9, np.exp(rows))
    weight = rng.uniform(0.0, 2.0, 900)
    fits = []
    for source, n_jobs in ((rows, 1), (rows, 3), (np.split(rows, [100, 333]), 3)):
        many_blocks.tasks = 0
        estimator = DirichletMixtureEstimator(
            3, kind=kind, random_state=0, n_jobs=n_jobs, tol=1e-3, max_iter=50
        )
        fits.append(estimator.fit(source, sample_weight=weight))
        assert many_blocks.tasks > 2 * estimator.n_iter_
    assert fits[1].prior_ == fits[0].prior_
    if kind == "log_probs":
        assert fits[2].prior_ == fits[0].prior_
    # Cells of blocks that are merged stand in another tree than those of all the rows.
    assert_allclose(fits[2].alpha_, fits[0].alpha_, rtol=1e-6)
    assert_array_equal(fits[2].predict(rows), fits[0].predict(rows))
