"""Distances between rows and between embeddings, against SciPy and mpmath, in every way to ask."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from scipy.special import kl_div

from matrixbayes import _core
from matrixbayes.continuity import EMBEDDING_METRICS, ROW_METRICS, EmbeddingMap

RNG = np.random.default_rng(0)


def rows_with_zeros(n, width, rng=RNG):
    """Rows, some with zeros, some equal, some close, some with disjoint supports."""
    p = rng.dirichlet(np.full(width, 0.5), n)
    p[n // 2 :][rng.random((n - n // 2, width)) < 0.3] = 0.0
    p[:, 0] += 1e-3
    p[1] = p[0]
    p[2] = p[0] * (1.0 + 1e-9 * rng.normal(size=width))
    p[3, : width // 2], p[4, width // 2 :] = 0.0, 0.0
    return p / p.sum(axis=1, keepdims=True)


def expected(metric, p, q):
    """Distances of all rows p to all q, from SciPy and definitions."""
    root = cdist(np.sqrt(p), np.sqrt(q))
    kl = np.array([[kl_div(a, b).sum() for b in q] for a in p])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(p)[:, np.newaxis] - np.log(q)
    return {
        "total_variation": lambda: cdist(p, q, "cityblock") / 2.0,
        "hellinger": lambda: root / np.sqrt(2.0),
        "jensen_shannon": lambda: np.nan_to_num(cdist(p, q, "jensenshannon")),
        "fisher_rao": lambda: 4.0 * np.arcsin(np.minimum(root / 2.0, 1.0)),
        "kl": lambda: kl,
        "reverse_kl": lambda: np.array([[kl_div(b, a).sum() for b in q] for a in p]),
        "jeffreys": lambda: kl + np.array([[kl_div(b, a).sum() for b in q] for a in p]),
        "hilbert": lambda: np.nanmax(ratio, axis=2) - np.nanmin(ratio, axis=2),
    }[metric]()


@pytest.mark.parametrize("metric", ROW_METRICS)
@pytest.mark.parametrize("width", [2, 15, 16, 17, 300, 1030])
def test_rows_against_scipy(metric, width):
    p = rows_with_zeros(23, width)
    embedding = EmbeddingMap(RNG.normal(size=(23, 3)), p, kind="probs")
    wanted = expected(metric, p, p)
    found = embedding.row_distances(metric)
    # SciPy's Jensen-Shannon is itself the root of a difference
    loose = metric == "jensen_shannon"
    assert_allclose(found, wanted, rtol=1e-12, atol=1e-7 if loose else 1e-13)
    pairs = embedding.all_pairs(metric=metric)
    assert_allclose(pairs.row_distance, found[pairs.first, pairs.second], rtol=1e-9, atol=1e-13)
    first, second = np.divmod(np.arange(23 * 23), 23)
    direct = embedding.pairs(first, second, metric=metric).row_distance.reshape(23, 23)
    assert_allclose(direct, found, rtol=1e-12, atol=1e-13)
    assert direct[0, 1] == found[0, 1] == 0.0
    assert_array_equal(np.diag(direct), 0.0)


@pytest.mark.parametrize(
    "metric", ["hellinger", "jensen_shannon", "kl", "fisher_rao", "total_variation"]
)
@pytest.mark.parametrize("size", [1e-3, 1e-7, 1e-11])
def test_close_rows_against_mpmath(metric, size):
    p = RNG.dirichlet(np.full(40, 1.0))
    q = p * (1.0 + size * RNG.normal(size=40))
    log_rows = np.log([p, q / q.sum()])
    with mpmath.workdps(50):
        a, b = ([mpmath.exp(mpmath.mpf(float(x))) for x in row] for row in log_rows)
        log = mpmath.log
        squared = sum((mpmath.sqrt(x) - mpmath.sqrt(y)) ** 2 for x, y in zip(a, b, strict=True)) / 2
        middle = sum(
            x * log(2 * x / (x + y)) + y * log(2 * y / (x + y)) for x, y in zip(a, b, strict=True)
        )
        wanted = {
            "hellinger": mpmath.sqrt(squared),
            "fisher_rao": 4 * mpmath.asin(mpmath.sqrt(squared / 2)),
            "jensen_shannon": mpmath.sqrt(middle / 2),
            "kl": sum(x * log(x / y) - x + y for x, y in zip(a, b, strict=True)),
            "total_variation": sum(abs(x - y) for x, y in zip(a, b, strict=True)) / 2,
        }[metric]
    embedding = EmbeddingMap(np.zeros((2, 1)), log_rows, kind="log_probs")
    for found in (
        embedding.row_distances(metric)[0, 1],
        embedding.pairs([0], [1], metric=metric).row_distance[0],
    ):
        assert abs(found - float(wanted)) <= 1e-15
        assert abs(found - float(wanted)) <= 1e-4 * float(wanted)


@pytest.mark.parametrize("embedding_metric", EMBEDDING_METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_embeddings_against_scipy(embedding_metric, dtype):
    e = RNG.normal(size=(40, 7)).astype(dtype) + dtype(100.0 * (embedding_metric == "euclidean"))
    e[1] = e[0]
    e[2] = e[0] + dtype(1e-4)
    embedding = EmbeddingMap(e, np.full((40, 2), 0.5), kind="probs")
    wide = e.astype(np.float64)
    if embedding_metric == "euclidean":
        wanted = cdist(wide, wide)
    else:
        unit = wide / np.linalg.norm(wide, axis=1, keepdims=True)
        chord = cdist(unit, unit)
        wanted = chord**2 / 2 if embedding_metric == "cosine" else 2 * np.arcsin(chord / 2)
        assert_allclose(
            wanted if embedding_metric == "cosine" else 1 - np.cos(wanted),
            cdist(wide, wide, "cosine"),
            atol=1e-12,
        )
    found = embedding.embedding_distances(embedding_metric)
    assert_allclose(found, wanted, rtol=1e-9, atol=1e-14)
    assert found[0, 1] == 0.0
    pairs = embedding.all_pairs(embedding_metric=embedding_metric)
    assert_allclose(
        pairs.embedding_distance, found[pairs.first, pairs.second], rtol=1e-9, atol=1e-14
    )


# -- which pairs -------------------------------------------------------------------------


def test_every_pair_is_there_once(monkeypatch):
    monkeypatch.setattr("matrixbayes.continuity.distances.MOST_ROWS", 7)
    embedding = EmbeddingMap(RNG.normal(size=(31, 2)), RNG.dirichlet([1.0] * 4, 31), kind="probs")
    pairs = embedding.all_pairs()
    wanted = [(i, j) for i in range(31) for j in range(i + 1, 31)]
    assert sorted(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == wanted
    assert_array_equal(pairs.row_distance, embedding.row_distances()[pairs.first, pairs.second])
    with np.errstate(divide="ignore"):
        assert_array_equal(pairs.ratios(), pairs.row_distance / pairs.embedding_distance)


@pytest.mark.parametrize("k", [1, 5, 30])
def test_neighbours_are_the_nearest(k, monkeypatch):
    monkeypatch.setattr("matrixbayes.continuity.distances.MOST_ROWS", 7)
    e = np.round(RNG.normal(size=(31, 2)), 1)  # some equally near, some equal
    embedding = EmbeddingMap(e, RNG.dirichlet([1.0] * 4, 31), kind="probs")
    distances = embedding.embedding_distances()
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
    wanted = {(min(i, j), max(i, j)) for i, row in enumerate(nearest.tolist()) for j in row}
    pairs = embedding.neighbours(k)
    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == sorted(wanted)


@settings(max_examples=30)
@given(n=st.integers(2, 40), share=st.floats(0, 1), seed=st.integers(0, 9))
def test_a_sample_is_of_different_pairs(n, share, seed):
    embedding = EmbeddingMap(np.arange(n)[:, np.newaxis], np.full((n, 2), 0.5), kind="probs")
    total = n * (n - 1) // 2
    many = round(share * total)
    pairs = embedding.sample(many, rng=seed)
    assert len(set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))) == many
    assert (pairs.first < pairs.second).all()
    assert_array_equal(embedding.sample(many, rng=seed).first, pairs.first)


def test_a_sample_is_even():
    embedding = EmbeddingMap(np.arange(8)[:, np.newaxis], np.full((8, 2), 0.5), kind="probs")
    seen = np.zeros((8, 8))
    for seed in range(2000):
        pairs = embedding.sample(5, rng=seed)
        seen[pairs.first, pairs.second] += 1
    counts = seen[np.triu_indices(8, 1)]
    assert counts.sum() == 10_000
    assert abs(counts - 10_000 / 28).max() < 5 * np.sqrt(10_000 / 28)


@pytest.mark.promise(18)
@pytest.mark.parametrize("metric", ROW_METRICS)
def test_any_number_of_workers_gives_the_same_bits(metric, many_blocks, figure):
    e, p = RNG.normal(size=(70, 3)).astype(np.float32), rows_with_zeros(70, 50) + 1e-9
    embedding = EmbeddingMap(e, np.log(p), kind="logits")
    p /= p.sum(axis=1, keepdims=True)
    rows, places = expected(metric, p, p), cdist(e.astype(float), e.astype(float))
    ways = {
        "_block_of": embedding.all_pairs,
        "_nearest": embedding.neighbours,
        "_directly": lambda **o: embedding.sample(300, rng=0, **o),
    }
    for task, way in ways.items():
        many_blocks.tasks.clear()
        one = way(metric=metric)
        many_blocks.ran(task)
        for n_jobs in (2, 5):
            several = way(metric=metric, n_jobs=n_jobs)
            for name in ("first", "second", "embedding_distance", "row_distance"):
                assert_array_equal(getattr(several, name), getattr(one, name))
        with ThreadPoolExecutor(2) as executor:
            assert_array_equal(way(metric=metric, executor=executor).row_distance, one.row_distance)
        at = (one.first, one.second)
        assert_allclose(one.embedding_distance, places[at], rtol=1e-9)
        loose = metric == "jensen_shannon"  # SciPy's is itself the root of a difference
        assert_allclose(one.row_distance, rows[at], rtol=1e-9, atol=1e-7 if loose else 1e-13)
    figure("1, 2 and 5 workers, distances of pairs: equal bits")


# -- axioms ------------------------------------------------------------------------------


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), width=st.integers(2, 40))
def test_metrics_are_metrics(seed, width):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(width, rng.choice([0.1, 1.0, 10.0])), 6) + 1e-12
    embedding = EmbeddingMap(
        np.zeros((6, 1)), np.log(p / p.sum(1, keepdims=True)), kind="log_probs"
    )
    for metric in ROW_METRICS:
        d = embedding.row_distances(metric)
        assert (d >= 0.0).all()
        assert_array_equal(np.diag(d), 0.0)
        if metric in ("kl", "reverse_kl"):
            continue
        assert_allclose(d, d.T, rtol=1e-12, atol=1e-15)
        if metric != "jeffreys":
            assert (d[:, :, np.newaxis] <= d[:, np.newaxis] + d[np.newaxis] + 1e-9).all()
    tv, h = (embedding.row_distances(m) for m in ("total_variation", "hellinger"))
    assert (h**2 <= tv + 1e-12).all()
    assert (tv <= np.sqrt(2.0) * h + 1e-12).all()
    assert (2 * tv**2 <= embedding.row_distances("kl") + 1e-12).all()  # Pinsker
    assert (tv <= np.tanh(embedding.row_distances("hilbert") / 4) + 1e-12).all()


# -- arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m: EmbeddingMap([0.0], [[1.0]], kind="probs"), ValueError, "need \\(N, d\\)"),
        (lambda m: EmbeddingMap([["a"]], [[1.0]], kind="probs"), ValueError, "real numbers"),
        (
            lambda m: EmbeddingMap(np.zeros((2, 1)), [[1.0]], kind="probs"),
            ValueError,
            "2 embeddings and 1",
        ),
        (
            lambda m: EmbeddingMap([[0.0, np.nan]], [[1.0]], kind="probs"),
            ValueError,
            r"\[0, 1\] is nan",
        ),
        (lambda m: m.all_pairs(metric="tv"), ValueError, "'tv' is not one of 'total_variation'"),
        (lambda m: m.all_pairs(embedding_metric="l2"), ValueError, "not one of 'euclidean'"),
        (lambda m: m.neighbours(3), ValueError, "from 1 to 2"),
        (lambda m: m.neighbours(0), ValueError, "n_neighbors is 0"),
        (lambda m: m.sample(-1), ValueError, "negative"),
        (lambda m: m.pairs([0], [3]), ValueError, "rows 0 to 2"),
        (lambda m: m.pairs([0, 1], [0]), ValueError, "shapes"),
        (lambda m: m.all_pairs(embedding_metric="cosine"), ValueError, "no direction"),
        (
            lambda m: _core.block_distances("kl", m.log_probs, m.log_probs),
            ValueError,
            "matrix product",
        ),
        (
            lambda m: _core.block_distances("hilbert", [[1.0]], [[1.0, 2.0]]),
            ValueError,
            "1 columns and b 2",
        ),
        (lambda m: _core.pair_distances("kl", m.log_probs, [0], [-1]), ValueError, "pair 0"),
        (lambda m: _core.pair_distances("kl", [[0.0]], [0], [0]), TypeError, "array"),
        (lambda m: _core.pair_distances("x", m.log_probs, [0], [0]), ValueError, "'x' is not"),
    ],
)
def test_wrong_arguments_are_named(call, error, says):
    embedding = EmbeddingMap([[0.0], [1.0], [2.0]], [[0.5, 0.5]] * 3, kind="probs")
    with pytest.raises(error, match=says):
        call(embedding)


def test_one_row_and_none():
    for n in (0, 1):
        embedding = EmbeddingMap(np.zeros((n, 2)), np.full((n, 3), 1 / 3), kind="probs")
        assert len(embedding.all_pairs()) == len(embedding.sample(5)) == 0
        assert embedding.row_distances("jensen_shannon").shape == (n, n)
        with pytest.raises(ValueError, match="n_neighbors"):
            embedding.neighbours(1)
