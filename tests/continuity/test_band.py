"""The band of the modulus of continuity: does it hold the median curve of fresh samples?"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.special import softmax

from matrixbayes.continuity import EmbeddingMap, check_continuity
from matrixbayes.continuity.band import LEAST, dimension

SHARES = [0.01, 0.05, 0.2, 0.5, 0.9]  # of the pairs, at distances where the band is looked at
SLOPES = np.random.default_rng(7).normal(size=(20, 10))


def line(n, rng):
    e = rng.uniform(-2.0, 2.0, (n, 1))
    return e, softmax(np.hstack([e, -e]), axis=1)


def affine(n, rng):
    e = rng.uniform(0.0, 1.0, (n, 1))
    return e, np.hstack([e, 1.0 - e])


def head(d):
    def draw(n, rng):
        e = rng.normal(size=(n, d))
        return e, softmax(1.5 / np.sqrt(d) * e @ SLOPES[:d], axis=1)

    return draw


def wave(n, rng):
    e = rng.uniform(0.0, 1.0, (n, 2))
    z = 2.0 * np.sin(9.0 * e[:, :1] + 4.0 * e[:, 1:])
    return e, softmax(np.hstack([z, -z, 0.5 * z]), axis=1)


def noisy(n, rng):
    e = rng.normal(size=(n, 3))
    return e, softmax(e @ SLOPES[:3, :6] + 0.5 * rng.normal(size=(n, 6)), axis=1)


def unrelated(n, rng):
    return rng.normal(size=(n, 4)), rng.dirichlet(np.ones(5), n)


def clusters(n, rng):
    e = 3.0 * np.eye(4)[rng.integers(0, 4, n)] + 0.2 * rng.normal(size=(n, 4))
    return e, softmax(e @ SLOPES[:4, :8], axis=1)


def heavy(n, rng):
    e = rng.standard_t(3, size=(n, 3))
    return e, softmax(e @ SLOPES[:3, :6], axis=1)


MAPS = {
    "line": line,
    "affine": affine,
    "wave": wave,
    "head of 2": head(2),
    "head of 5": head(5),
    "head of 20": head(20),
    "noisy": noisy,
    "unrelated": unrelated,
    "clusters": clusters,
    "heavy tails": heavy,
}


def curve(e, p, at):
    """The modulus at some distances, by all pairs at once."""
    apart = np.sqrt(np.square(e[:, np.newaxis] - e).sum(axis=2))
    change = 0.5 * np.abs(p[:, np.newaxis] - p).sum(axis=2)
    return np.array([change[apart <= x].max() for x in at])


def coverage(draw, n, repeats, seed=0, level=0.9):
    """How often the band holds the median curve of fresh samples, at each distance."""
    rng = np.random.default_rng(seed)
    e, _ = draw(400, rng)
    apart = np.sqrt(np.square(e[:, np.newaxis] - e).sum(axis=2))[np.triu_indices(400, 1)]
    at = np.append(np.quantile(apart, SHARES), 2.0 * apart.max())
    median = np.median([curve(*draw(n, rng), at) for _ in range(300)], axis=0)
    held = []
    for _ in range(repeats):
        report = check_continuity(
            *draw(n, rng), kind="probs", level=level, n_boot=100, n_permutations=0, rng=rng
        )
        low, high = report.band[:, np.searchsorted(report.delta, at, side="right") - 1]
        inside = (low <= median + 1e-9) & (median - 1e-9 <= high)
        held.append(np.where(at >= report.band_begins, inside, np.nan))
    held = np.array(held)
    told = np.isfinite(held).mean(axis=0) > 0.5
    return np.nanmean(held[:, told], axis=0)


@pytest.mark.parametrize(
    ("name", "n"),
    [
        pytest.param(name, n, marks=[] if few else pytest.mark.slow)
        for name in MAPS
        for n in (40, 100, 200)
        for few in [n == 40 and name in ("affine", "head of 5", "noisy")]
    ],
)
def test_the_band_holds_the_median_of_fresh_samples(name, n):
    """A bootstrap's quantiles, which no curve of the sample's rows exceeds, hold it half the time.

    The bounds leave 80 samples three of their standard errors.
    """
    found = coverage(MAPS[name], n, 80 if n == 40 else 60)
    print(f"{name}, {n} rows:", found.round(2), "mean", found.mean().round(3))
    assert len(found) >= 3
    assert found.min() >= 0.6
    assert 0.78 <= found.mean() <= 0.995


def test_where_too_few_pairs_are_near_it_is_said_and_nothing_is_banded():
    e, p = head(5)(60, np.random.default_rng(0))
    report = check_continuity(e, p, kind="probs", rng=0, n_permutations=0)
    near = np.searchsorted(report.pairs.embedding_distance, report.delta, side="right")
    few = near < LEAST
    assert few.any()
    assert report.band_begins == report.delta[~few][0]
    assert_array_equal(report.band[:, few], np.array([[0.0], [1.0]]).repeat(few.sum(), axis=1))
    assert (report.band[:, ~few] != [[0.0], [1.0]]).any(axis=0).all()
    assert (report.band[0] <= report.modulus).all()
    assert (report.band[1] >= report.modulus).all()
    words = " ".join(report.verdict())
    assert f"begins at {report.band_begins:.3g}" in words
    assert f"nearer than {report.pairs.embedding_distance[0]:.3g}" in words
    none = check_continuity(e, p, kind="probs", rng=0, n_permutations=0, n_boot=0)
    assert none.band is None
    assert none.band_begins is None
    assert "band" not in " ".join(none.verdict())


def test_too_few_rows_have_no_band_and_a_picture_still():
    e, p = head(5)(9, np.random.default_rng(0))
    alone = check_continuity(e, p, kind="probs", rng=0, n_permutations=0)
    assert alone.band_begins == np.inf
    assert "too few pairs" in " ".join(alone.verdict())
    ax = pytest.importorskip("matplotlib.figure").Figure().add_subplot()
    assert alone.plot(ax=ax) is ax


def test_distances_without_a_bound_have_no_band_where_they_are_infinite():
    rng = np.random.default_rng(1)
    e, p = rng.normal(size=(60, 2)), rng.dirichlet(np.ones(3), 60)
    p[30:, 0] = 0.0  # the second of a pair, mostly
    p /= p.sum(axis=1, keepdims=True)
    report = check_continuity(e, p, kind="probs", metric="kl", rng=0, n_permutations=0)
    endless = np.isinf(report.modulus)
    assert endless.any()
    assert (report.band[1, endless] == np.inf).all()
    assert (report.band[0, endless] == 0.0).all()
    assert not np.isnan(report.band).any()


@pytest.mark.parametrize("metric", ["euclidean", "angular", "cosine"])
@pytest.mark.parametrize("d", [1, 2, 4])
def test_dimensions_are_those_that_points_fill_near_by(d, metric):
    rng = np.random.default_rng(3)
    e = rng.normal(size=(300, d)) @ rng.normal(size=(d, 9))  # in nine dimensions
    if metric != "euclidean":
        e += 20.0 * np.eye(9)[0]  # directions
    pairs = EmbeddingMap(e, np.ones((300, 2)) / 2, kind="probs").all_pairs(embedding_metric=metric)
    assert 0.8 * d < dimension(pairs.embedding_distance, metric) < 1.2 * d


def test_dimensions_of_equal_distances_are_without_end():
    assert dimension(np.ones(9), "euclidean") == np.inf
    assert dimension(np.zeros(9), "euclidean") == np.inf


def test_a_band_of_equal_curves_is_one_line():
    """Two clusters, each of one row: the largest distance is never in doubt."""
    rng = np.random.default_rng(2)
    e = rng.normal(size=(50, 2))
    p = np.where(rng.random(50)[:, np.newaxis] < 0.5, [[0.9, 0.1]], [[0.2, 0.8]])
    report = check_continuity(e, p, kind="probs", rng=0, n_permutations=0)
    assert np.abs(report.band[:, -1] - 0.7).max() < 1e-6
