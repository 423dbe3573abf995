"""Fits on a real local cluster of two worker processes."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager

import numpy as np
import pytest
import reference
from scipy.special import logsumexp

from matrixbayes import DirichletMixture, DirichletMixtureEstimator, TransitionMatrix
from matrixbayes._base import parallel

pytest.importorskip("distributed")
import dask.array as da
from distributed import Client, LocalCluster

from matrixbayes import dask as on_dask
from matrixbayes.estimator.count_data import CountData

pytestmark = [
    pytest.mark.slow,  # a cluster has to come up
    pytest.mark.no_sanitizer,
    pytest.mark.filterwarnings("ignore:Sending large graph"),  # the rows, that lie here
]

TRUTH = DirichletMixture([0.6, 0.4], np.random.default_rng(0).uniform(0.3, 0.9, (2, 5000)))
SIZE = parallel.block_size(10_000)
ROWS = TRUTH.sample(2 * SIZE + 70, rng=1, kind="log_probs").astype(np.float32)


@contextmanager
def cluster():
    """Two worker processes, for as long as they are used."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as workers,
        Client(workers) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client():
    with cluster() as client:
        yield client


@pytest.fixture
def mortal_client():
    """A cluster of its own: one that has lost a worker is not what others should work with."""
    with cluster() as client:
        yield client


def estimator(**parameters):
    return DirichletMixtureEstimator(2, kind="log_probs", random_state=0, tol=1e-7, **parameters)


def of_all_rows(fitted, rows, weights=None):
    """Whether the likelihood that a fit ended at is that of every row, by the slow twin."""
    if fitted.kind == "counts":
        joint = reference.count_log_joint(rows, fitted.weights_, fitted.alpha_)
    else:
        joint = reference.log_joint(fitted.weights_, fitted.alpha_, rows)
    total = logsumexp(joint, axis=1) @ (np.ones(len(rows)) if weights is None else weights)
    np.testing.assert_allclose(fitted.log_likelihood_, total, rtol=1e-9)
    assert fitted.n_rows_ == len(rows)


@pytest.mark.promise(18)
@pytest.mark.parametrize("with_weights", [False, True])
def test_a_cluster_gives_the_same_bits(client, many_blocks, with_weights, figure):
    """Chunks hold one block, or several, the last one less than a whole one."""
    rows = np.ascontiguousarray(ROWS[:1100, :30])
    rows -= logsumexp(rows, axis=1, keepdims=True)
    weights = np.random.default_rng(2).uniform(0.0, 2.0, len(rows)) if with_weights else None
    expected = estimator().set_params(tol=1e-4).fit(rows, sample_weight=weights)
    of_all_rows(expected, rows, weights)
    with many_blocks.on(client):
        for size in (64, 64 * 5):
            chunks = da.from_array(rows, chunks=(size, -1))
            for where in (client, None):
                many_blocks.tasks.clear()
                found = estimator().set_params(tol=1e-4)
                on_dask.fit(found, chunks, where, sample_weight=weights)
                assert many_blocks.tasks["merge"] == 18  # blocks of 64 rows
                assert found.prior_ == expected.prior_
                assert found.lower_bounds_ == expected.lower_bounds_
    figure("a Dask cluster, a fit of rows: the bits of one process")


def test_large_blocks_on_a_cluster_are_those_in_memory(client):
    expected = estimator().fit(ROWS)
    found = on_dask.fit(estimator(), da.from_array(ROWS, chunks=(SIZE, -1)), client)
    of_all_rows(found, ROWS)
    assert found.prior_ == expected.prior_
    assert found.lower_bounds_ == expected.lower_bounds_


@pytest.mark.parametrize("with_weights", [False, True])
def test_counts_on_a_cluster_are_the_same_bits(client, many_blocks, with_weights):
    counts = np.random.default_rng(3).poisson(np.exp(ROWS[:1000, :20].astype(float) + 9.0))
    weights = np.random.default_rng(2).uniform(0.0, 2.0, len(counts)) if with_weights else None
    settings = {"kind": "counts", "random_state": 0}
    expected = DirichletMixtureEstimator(2, **settings).fit(counts, sample_weight=weights)
    blocks = CountData.of(counts).blocks(2)
    rows = da.from_array(counts, chunks=(blocks[0].stop, -1))
    with many_blocks.on(client):
        many_blocks.tasks.clear()
        found = on_dask.fit(
            DirichletMixtureEstimator(2, **settings), rows, client, sample_weight=weights
        )
    assert many_blocks.tasks["merge"] == len(blocks) > 1
    of_all_rows(found, counts, weights)
    assert found.prior_ == expected.prior_
    assert found.lower_bounds_ == expected.lower_bounds_


def test_uneven_chunks(client, many_blocks):
    weights = np.random.default_rng(2).uniform(0.0, 2.0, len(ROWS))
    expected = estimator().fit(ROWS, sample_weight=weights)
    rows = da.from_array(ROWS, chunks=(333, -1))
    with many_blocks.on(client):
        found = on_dask.fit(estimator(), rows, client, sample_weight=weights)
    many_blocks.ran("merge")
    of_all_rows(found, ROWS, weights)
    np.testing.assert_allclose(found.alpha_, expected.alpha_, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::matrixbayes.ConvergenceWarning")
@pytest.mark.parametrize("hierarchical", [False, True])
def test_text_on_a_cluster_is_counted_as_in_memory(client, hierarchical):
    import dask.bag as db

    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 50, 4000)
    options = {"n_tokens": 50, "hierarchical": hierarchical}
    expected = TransitionMatrix(3, **options).update(tokens)
    stream = da.from_array(
        tokens, chunks=((1, 1, 0, 2, 996, 3000),)
    )  # parts shorter than a context
    for where in (client, None):
        found = on_dask.update(TransitionMatrix(3, **options), stream, where)
        assert (found.rows() != expected.rows()).nnz == 0
        assert (found.predict(found.contexts()) == expected.predict(expected.contexts())).all()
    documents = [tokens[i : i + 37] for i in range(0, 1000, 37)]
    expected = TransitionMatrix(3, **options).update([[5, 6, 7, 8], *documents])
    found = TransitionMatrix(3, **options).update([5, 6, 7, 8])
    on_dask.update(found, db.from_sequence(documents, npartitions=4), client)
    assert (found.contexts() == expected.contexts()).all()
    assert (found.rows() != expected.rows()).nnz == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS, "must be a dask array"),
        (da.from_array(ROWS, chunks=(SIZE, 2)), "by columns"),
        (da.from_array(ROWS[:, 0], chunks=SIZE), "must be a dask array"),
    ],
)
def test_what_is_no_array_of_rows_is_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        on_dask.fit(estimator(), rows)


def test_what_a_cluster_does_not_count(tmp_path):
    matrix = TransitionMatrix(1, n_tokens=3)
    with pytest.raises(ValueError, match=r"shape \(n,\), or a bag"):
        on_dask.update(matrix, da.zeros((3, 3), dtype=int))
    with pytest.raises(ValueError, match="shape"):
        on_dask.update(matrix, [0, 1])
    with pytest.raises(ValueError, match="token 1 of document 0 is 9"):
        on_dask.update(matrix, da.from_array(np.array([0, 9]), chunks=2))
    with pytest.raises(ValueError, match="depend on the order"):
        on_dask.update(TransitionMatrix(1, n_tokens=3, discount=0.5), da.zeros(3, dtype=int))
    frozen = TransitionMatrix(1, n_tokens=4).freeze(tmp_path / "matrix")
    with pytest.raises(ValueError, match=r"frozen and never changes: matrix\.thaw\(\)"):
        on_dask.update(frozen, da.zeros(3, dtype=int))
    assert len(matrix) == 0


def test_a_series_is_no_text_until_it_is_said_of_what():
    frames, pandas = pytest.importorskip("dask.dataframe"), pytest.importorskip("pandas")
    series = frames.from_pandas(pandas.Series([0, 1, 1]), npartitions=1)
    with pytest.raises(ValueError, match=r"dask series.*tokens\.to_dask_array\(\), or"):
        on_dask.update(TransitionMatrix(1, n_tokens=3), series)
    matrix = on_dask.update(TransitionMatrix(1, n_tokens=3), series.to_dask_array())
    np.testing.assert_array_equal(matrix.counts([1]), [0, 1, 0])


def test_a_worker_that_dies_changes_nothing(mortal_client):
    client = mortal_client
    expected, found = estimator(accelerate=False), estimator(accelerate=False)
    expected.set_params(tol=0.0, max_iter=8)
    found.set_params(tol=0.0, max_iter=8)
    rows = da.from_array(ROWS, chunks=(SIZE, -1))
    victim = next(iter(client.run(os.getpid).values()))
    killer = threading.Timer(0.1, os.kill, (victim, signal.SIGKILL))
    killer.start()
    on_dask.fit(found, rows, client)
    expected.fit(ROWS)
    killer.join()
    assert victim not in client.run(os.getpid).values()
    assert found.prior_ == expected.prior_
