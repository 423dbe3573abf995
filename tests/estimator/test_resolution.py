"""Fits at a resolution: draws, the objective against slow sums, what decides and what does not."""

from __future__ import annotations

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.special import gammaln

from matrixbayes import (
    DirichletMixture,
    DirichletMixtureEstimator,
    NextTokenRows,
    _core,
    select_prior,
)
from matrixbayes.errors import ConvergenceWarning, MisfitWarning
from matrixbayes.estimator.penalty import MEAN_WEIGHT
from matrixbayes.estimator.resolution import Plan


def fitted(rows, k=2, n=20, weights=None, **parameters):
    """A fit at a resolution, whatever it warns of."""
    settings = {"kind": "probs", "random_state": 0, "n_jobs": 1} | parameters
    estimator = DirichletMixtureEstimator(k, resolution=n, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(rows, sample_weight=weights)


def drawn(log_probs, n, n_each, seed=0, first=0, weights=None):
    """Draws as a dense table [rows][draws][tokens], and the rows' sum."""
    indptr, indices, data, mean = _core.draw_rows(log_probs, n, n_each, seed, first, weights)
    table = sparse.csr_array((data, indices, indptr), shape=(len(indptr) - 1, log_probs.shape[1]))
    return table.toarray().reshape(len(log_probs), n_each, -1), mean


def heavy_rows(rng, n, v, spread=30.0, rank=4):
    """Log-probabilities of a softmax of logits of low rank, spread over so many nats."""
    logits = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, v))
    logits *= spread / (logits.max() - logits.min())
    logits *= 3.0
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def bits(prior, probs, n, rng):
    """Bits per token of n tokens drawn from rows."""
    counts = rng.multinomial(n, probs / probs.sum(axis=1, keepdims=True)).astype(float)
    return -prior.log_evidence(counts, ordered=True).mean() / n / np.log(2.0)


STORIES = Path(__file__).resolve().parents[3] / "shared/reference/stories260K_rows.npz"
TRUTH = DirichletMixture([0.7, 0.3], [[8.0, 1.0, 1.0, 0.4], [0.5, 3.0, 6.0, 2.0]])


# -- draws ----------------------------------------------------------------------


def test_draws_are_multinomial():
    """Means, variances and covariances of 20,000 draws, within five standard errors."""
    p = np.array([[0.5, 0.3, 0.15, 0.05], [0.01, 0.0, 0.98, 0.01]])
    with np.errstate(divide="ignore"):
        table, mean = drawn(np.log(p), 10, 20_000)
    assert_allclose(mean, p.sum(axis=0), rtol=1e-14)
    assert (table.sum(axis=2) == 10).all()
    for row, counts in zip(p, table, strict=True):
        covariance = 10 * (np.diag(row) - np.outer(row, row))
        error = np.sqrt(np.diag(covariance) / 20_000)
        assert (np.abs(counts.mean(axis=0) - 10 * row) <= 5 * error).all()
        assert_allclose(np.cov(counts.T), covariance, atol=0.12)
        each = np.bincount(counts[:, 0].astype(int), minlength=11) / 20_000
        k = np.arange(11)
        with np.errstate(divide="ignore", invalid="ignore"):
            exact = np.exp(gammaln(11) - gammaln(k + 1) - gammaln(11 - k))
            exact *= row[0] ** k * (1.0 - row[0]) ** (10 - k)
        assert_allclose(each, exact, atol=0.02)
    assert not table[1, :, 1].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_draw_is_that_of_its_row_alone(dtype):
    """Whatever stands beside it, and however many draws there are."""
    rng = np.random.default_rng(0)
    rows = np.log(rng.dirichlet(np.full(300, 0.1), 7)).astype(dtype)
    table, _ = drawn(rows, 50, 3, seed=5, first=2)
    for i in range(7):
        assert_array_equal(drawn(rows[i : i + 1], 50, 3, seed=5, first=2 + i)[0][0], table[i])
    assert_array_equal(drawn(rows, 50, 2, seed=5, first=2)[0], table[:, :2])
    assert (drawn(rows, 50, 3, seed=6, first=2)[0] != table).any()
    assert (drawn(rows, 50, 3, seed=5, first=3)[0] != table).any()


def test_draws_of_rows_as_the_slow_twin_makes_them():
    """Sorted uniform numbers among the sums of a row."""

    def scrambled(x):
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % 2**64
        return x ^ (x >> 31)

    def key(k, i):
        return scrambled((k + 0x9E3779B97F4A7C15 * (i + 1)) % 2**64)

    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.full(200, 0.3))
    p[[0, 77, 199]] = 0.0
    p /= p.sum()
    for n, seed, row in ((1, 0, 0), (40, 9, 3), (1000, 2**62, 2**40)):
        with np.errstate(divide="ignore"):
            table, _ = drawn(np.log(p)[np.newaxis], n, 2, seed=seed, first=row)
        for d in range(2):
            mine = key(key(scrambled(seed), row), d)
            u = [((key(mine, i) >> 11) + 0.5) * 2.0**-53 for i in range(n + 1)]
            places = np.cumsum(-np.log(u))
            tokens = np.searchsorted(np.cumsum(p), places[:n] / places[n] * p.sum(), side="right")
            assert_array_equal(np.bincount(tokens, minlength=200), table[0, d])


def test_how_many_draws_there_are():
    assert Plan.of(100, 2000, 0).n_each == 17
    assert Plan.of(100, 1, 0).n_each == 64
    assert Plan.of(100, 10**6, 0).n_each == 1
    assert Plan.of(2**20, 1, 0).n_each == 1


# -- the objective -----------------------------------------------------------------


def log_evidence(counts, alpha):
    """Of counts as a sequence under one Dirichlet."""
    total = gammaln(alpha.sum()) - gammaln(alpha.sum() + counts.sum())
    return total + (gammaln(alpha + counts) - gammaln(alpha)).sum()


def expected(p, n, mixture):
    """E ln evidence of n tokens of a row, by all counts there are."""
    value = 0.0
    for counts in product(range(n + 1), repeat=len(p)):
        if sum(counts) == n:
            c = np.array(counts)
            chance = np.exp(gammaln(n + 1) - gammaln(c + 1).sum()) * np.prod(p**c)
            terms = [log_evidence(c, a) for a in mixture.alpha]
            value += chance * np.log(mixture.weights @ np.exp(terms))
    return value


@pytest.mark.parametrize(("v", "n"), [(2, 1), (2, 6), (3, 4)])
def test_the_log_likelihood_is_the_mean_over_draws(v, n):
    """Against all counts there are, within five of its standard errors."""
    rng = np.random.default_rng(v + n)
    rows, weights = rng.dirichlet(np.ones(v), 40), rng.integers(1, 4, 40).astype(float)
    found = fitted(rows, 2, n, weights, max_iter=3)
    exact = weights @ [expected(p, n, found.prior_) for p in rows]
    each = found.score_samples(rows)
    spread = 0.0
    for p in rows:
        one = rng.multinomial(n, p, 200).astype(float)
        spread += found.prior_.log_evidence(one, ordered=True).var() / 64
    assert abs(found.log_likelihood_ - exact) <= 5.0 * np.sqrt(weights.max() ** 2 * spread)
    assert_allclose(found.log_likelihood_, weights @ each, rtol=1e-12)
    assert_allclose(found.score(rows, sample_weight=weights), weights @ each / weights.sum())


def test_the_bound_is_the_draws_and_two_divergences():
    rng = np.random.default_rng(3)
    rows, weights = rng.dirichlet(np.ones(5), 60), rng.uniform(0.5, 2.0, 60)
    found = fitted(rows, 3, 7, weights, shrinkage=4.0)
    prior, mean = found.prior_, weights @ rows / weights.sum()
    means = prior.alpha / prior.alpha.sum(axis=1, keepdims=True)
    value = found.log_likelihood_
    value -= 4.0 * sum(mean @ np.log(mean / m) for m in means)
    value -= MEAN_WEIGHT * weights.sum() * (mean @ np.log(mean / prior.mean()))
    value -= 1e-12 * prior.alpha.sum()
    assert_allclose(found.lower_bound_, value / weights.sum(), rtol=1e-10)
    assert (np.diff(found.lower_bounds_) >= 0.0).all()
    plain = fitted(rows, 3, 7, weights, shrinkage=0.0)
    value = plain.log_likelihood_ - 1e-12 * plain.prior_.alpha.sum()
    assert_allclose(plain.lower_bound_, value / weights.sum(), rtol=1e-12)


def test_the_fit_is_a_maximum():
    """No step nearby raises the objective by more than the fit's tolerance."""
    rng = np.random.default_rng(4)
    rows = rng.dirichlet([4.0, 1.0, 0.5], 200)
    found = fitted(rows, 1, 10, tol=1e-12, max_iter=2000, shrinkage=5000.0)
    indptr, indices, data, row_sum = _core.draw_rows(
        np.log(rows), 10, Plan.of(10, 200, 0).n_each, found._at.seed, 0
    )
    counts = sparse.csr_array((data, indices, indptr), shape=(len(indptr) - 1, 3)).toarray()
    mean = row_sum / row_sum.sum()

    def objective(alpha):
        prior = DirichletMixture([1.0], [alpha])
        value = prior.log_evidence(counts, ordered=True).sum() * 200 / len(counts)
        m = alpha / alpha.sum()
        return value - (5000.0 + MEAN_WEIGHT * 200) * (mean @ np.log(mean / m))

    best = objective(found.alpha_[0])
    for v in range(3):
        for factor in (0.999, 1.001):
            alpha = found.alpha_[0].copy()
            alpha[v] *= factor
            assert objective(alpha) < best


# -- what is found -------------------------------------------------------------------


def test_a_planted_prior_is_recovered():
    rows = TRUTH.sample(4000, rng=0)
    found = fitted(rows, 2, 100)
    assert found.converged_
    assert found.resolution_ == 100
    assert_allclose(found.weights_, TRUTH.weights, atol=0.02)
    assert_allclose(found.alpha_, TRUTH.alpha, rtol=0.1)
    assert_allclose(found.prior_.mean(), rows.mean(axis=0), atol=0.01)


def test_it_predicts_heavy_tails_where_the_density_does_not():
    rng = np.random.default_rng(0)
    log_probs = heavy_rows(rng, 600, 60)
    assert log_probs.min() < -30.0
    train, held = log_probs[:500], np.exp(log_probs[500:])
    at = fitted(train, 16, 50, kind="log_probs")
    density = DirichletMixtureEstimator(16, kind="log_probs", random_state=0)
    with pytest.warns(MisfitWarning, match="Fit at a resolution"):
        density.fit(train)
    assert at.check_.passed
    for n in (1, 5, 20, 100):
        ours, theirs = (bits(m.prior_, held, n, np.random.default_rng(n)) for m in (at, density))
        assert ours < theirs, n
    mean = np.exp(train).mean(axis=0)
    assert 0.5 * np.abs(at.prior_.mean() - mean).sum() < 0.05
    assert 0.5 * np.abs(density.prior_.mean() - mean).sum() > 0.1


def test_shrinkage_keeps_many_components_from_overfitting():
    rng = np.random.default_rng(1)
    log_probs = heavy_rows(rng, 500, 60, rank=8)
    train, held = log_probs[:100], np.exp(log_probs[100:])
    found = {s: fitted(train, 40, 50, kind="log_probs", shrinkage=s) for s in (0.0, 30.0)}
    for n in (5, 20):
        plain, shrunk = (bits(found[s].prior_, held, n, np.random.default_rng(n)) for s in found)
        assert shrunk < plain
    assert (found[30.0].alpha_ > 1e-12).all()


def test_at_one_token_only_the_mean_is_known():
    rows = TRUTH.sample(500, rng=0)
    with pytest.warns(ConvergenceWarning, match="no row has more than one draw"):
        found = DirichletMixtureEstimator(1, kind="probs", random_state=0, resolution=1).fit(rows)
    assert not found.converged_
    assert_allclose(found.prior_.mean(), rows.mean(axis=0), atol=0.01)


def test_many_tokens_are_the_rows_themselves():
    rows = TRUTH.sample(300, rng=1)
    at = fitted(rows, 1, 2**20)
    density = DirichletMixtureEstimator(1, kind="probs", tol=1e-9).fit(rows)
    with pytest.raises(ValueError, match="resolution"):
        fitted(rows, 1, 2**20 + 1)
    plain = fitted(rows, 1, 2**18, shrinkage=0.0)
    assert_allclose(plain.alpha_, density.alpha_, rtol=0.02)
    assert at.prior_.mean() @ np.log(rows.mean(axis=0) / at.prior_.mean()) < 1e-3


def test_zeros_are_never_drawn():
    rng = np.random.default_rng(2)
    rows = rng.dirichlet(np.ones(6), 200)
    rows[:, 2] = 0.0
    rows[::3, 4] = 0.0
    rows /= rows.sum(axis=1, keepdims=True)
    for zeros in ("error", "floor", "drop"):
        found = DirichletMixtureEstimator(
            2, kind="probs", random_state=0, resolution=20, zeros=zeros
        )
        with pytest.warns(ConvergenceWarning, match=r"1 of 6 columns are never seen \(2\)"):
            found.fit(rows)
        assert (found.n_rows_, found.n_dropped_) == (200, 0)
        assert found.prior_.mean()[2] < 1e-12
        assert np.isfinite(found.score(rows))
    tokens = fitted(rows[:, [0, 1, 3, 4, 5]], 2, 20)
    assert_allclose(tokens.prior_.mean(), found.prior_.mean()[[0, 1, 3, 4, 5]], atol=1e-3)


def test_one_row_and_equal_rows():
    row = np.array([[0.6, 0.3, 0.1]])
    one = fitted(row, 1, 50)
    assert_allclose(one.prior_.mean(), row[0], atol=0.02)
    equal = fitted(np.repeat(row, 300, axis=0), 1, 50)
    assert_allclose(equal.prior_.mean(), row[0], atol=0.01)
    assert equal.prior_.concentration[0] > 100.0


@pytest.mark.slow
@pytest.mark.skipif(not STORIES.exists(), reason="rows of stories260K are not here")
def test_a_real_model_is_predicted_as_the_table_says():
    """128 components on 2,000 rows, by the draws in the file from rows that are held out."""
    data = np.load(STORIES)
    rows = data["log_probs"][:2000]
    found = fitted(rows, 128, 100, kind="log_probs")
    for n, most in ((1, 7.90), (5, 6.10), (20, 5.04), (100, 4.36)):
        counts = data[f"draws_{n}"].astype(float)
        cost = -found.prior_.log_evidence(counts, ordered=True).mean() / n / np.log(2.0)
        assert cost <= most, n
    mean = np.exp(rows.astype(float)).mean(axis=0)
    assert 0.5 * np.abs(found.prior_.mean() - mean).sum() <= 0.05
    assert found.check_.passed


# -- what does not matter --------------------------------------------------------------


def same(a, b):
    assert_array_equal(a.weights_, b.weights_)
    assert_array_equal(a.alpha_, b.alpha_)
    assert a.lower_bounds_ == b.lower_bounds_
    assert a.log_likelihood_ == b.log_likelihood_


ROWS = heavy_rows(np.random.default_rng(7), 3000, 40).astype(np.float32)


def test_workers_and_blocks_do_not_matter(tmp_path):
    found = fitted(ROWS, 3, kind="log_probs")
    same(found, fitted(ROWS, 3, kind="log_probs", n_jobs=3))
    with ThreadPoolExecutor(2) as executor:
        same(found, fitted(ROWS, 3, kind="log_probs", executor=executor))
    same(found, fitted(NextTokenRows(ROWS), 3, kind=None))
    same(found, fitted([ROWS[:1000], ROWS[1000:1001], ROWS[1001:]], 3, kind="log_probs"))
    np.save(tmp_path / "rows.npy", ROWS)
    same(found, fitted(np.load(tmp_path / "rows.npy", mmap_mode="r"), 3, kind="log_probs"))
    fortran = np.asfortranarray(ROWS)
    same(found, fitted(fortran, 3, kind="log_probs"))
    wide = heavy_rows(np.random.default_rng(8), 40, 200_000)
    wide = wide.astype(np.float16)
    together = fitted(wide, 1, 5, kind="logits")
    same(together, fitted([wide[:7], wide[7:]], 1, 5, kind="logits"))


def test_a_cluster_gives_the_same_bits():
    array = pytest.importorskip("dask.array")
    from matrixbayes import dask

    weights = np.random.default_rng(0).uniform(0.5, 2.0, len(ROWS))
    weights[::7] = 0.0
    found = fitted(ROWS, 3, kind="log_probs", weights=weights)
    estimator = DirichletMixtureEstimator(3, kind="log_probs", random_state=0, resolution=20)
    chunks = array.from_array(ROWS, chunks=(800, -1))
    dask.fit(estimator, chunks, sample_weight=weights)
    assert_allclose(estimator.alpha_, found.alpha_, rtol=1e-9)
    assert_allclose(estimator.log_likelihood_, found.log_likelihood_, rtol=1e-12)


def test_names_of_tokens_do_not_matter():
    pandas = pytest.importorskip("pandas")
    rows = TRUTH.sample(300, rng=2)
    frame = pandas.DataFrame(rows, columns=list("abcd"))
    found = fitted(frame, 2)
    same(found, fitted(rows, 2))
    assert found.prior_.tokens == tuple("abcd")
    assert_allclose(found.score(frame[list("cabd")]), found.score(rows), rtol=1e-12)
    turned = fitted(rows[:, [2, 0, 1, 3]], 2)
    assert_allclose(turned.alpha_[:, [1, 2, 0, 3]], found.alpha_, rtol=0.15)


def test_weights_are_repetitions():
    """Rows of weight 0 are not there; others count so often, by the same draws."""
    rng = np.random.default_rng(3)
    rows = TRUTH.sample(800, rng=rng)
    weights = rng.integers(0, 4, 800).astype(float)
    found = fitted(rows, 2, weights=weights)
    same(found, fitted(rows[weights > 0], 2, weights=weights[weights > 0]))
    again = fitted(np.repeat(rows, weights.astype(int), axis=0), 2)
    assert_allclose(found.total_weight_, again.total_weight_)
    assert_allclose(found.alpha_, again.alpha_, rtol=0.15)
    doubled = fitted(rows, 2, weights=2.0 * weights, shrinkage=0.0)
    assert_allclose(
        doubled.alpha_, fitted(rows, 2, weights=weights, shrinkage=0.0).alpha_, rtol=1e-6
    )


# -- the rest of the estimator ------------------------------------------------------------


def test_pickles_clones_and_parameters():
    base = pytest.importorskip("sklearn.base")
    found = fitted(ROWS[:500], 2, kind="log_probs", shrinkage=7.0)
    again = pickle.loads(pickle.dumps(found))
    assert again.score(ROWS[:100]) == found.score(ROWS[:100])
    clone = base.clone(found)
    assert (clone.resolution, clone.shrinkage) == (20, 7.0)
    assert "resolution=20" in repr(clone)
    same(clone.fit(ROWS[:500]), found)


# -- which resolution -----------------------------------------------------------------------


def test_auto_is_the_best_on_rows_kept_apart():
    rows = heavy_rows(np.random.default_rng(5), 400, 30)
    found = fitted(rows, 4, "auto", kind="log_probs")
    bits_of = found.resolution_bits_
    assert list(bits_of) == [5, 20, 100, 400]
    assert all(each.shape == (4,) for each in bits_of.values())
    means = {n: each.mean() for n, each in bits_of.items()}
    assert found.resolution_ == min(means, key=means.get)
    assert found.n_rows_ == 400
    same(found, fitted(rows, 4, "auto", kind="log_probs"))
    same(found, fitted([rows[:100], rows[100:]], 4, "auto", kind="log_probs"))
    assert np.isfinite(found.score(rows[:50]))
    weights = np.ones(400)
    weights[::5] = 0.0
    some = fitted(rows, 4, "auto", weights, kind="log_probs")
    same(some, fitted(rows[weights > 0], 4, "auto", kind="log_probs"))
    with pytest.raises(ValueError, match="10 are needed"):
        fitted(rows[:9], 1, "auto", kind="log_probs")


def test_bits_of_rows_kept_apart_are_those_of_draws():
    rows = heavy_rows(np.random.default_rng(5), 1000, 30)
    found = fitted(rows[:800], 4, 20, kind="log_probs")
    chosen = select_prior(rows, 4, kind="log_probs", random_state=0, resolution=20)
    held = np.exp(rows[800:])
    for n in (1, 5, 20, 100):
        ours = bits(found.prior_, np.repeat(held, 5, axis=0), n, np.random.default_rng(n))
        assert_allclose(chosen.table[0][f"held_bits_{n}"], ours, atol=0.35)


def test_sizes_and_resolutions_are_chosen_together():
    rows = heavy_rows(np.random.default_rng(6), 400, 30)
    found = select_prior(rows, [1, 6], kind="log_probs", random_state=0, resolution="auto")
    assert [(e["n_components"], e["resolution"]) for e in found.table] == [
        (k, n) for k in (1, 6) for n in (5, 20, 100, 400)
    ]
    assert found.criterion == "held_bits"
    best = min(found.table, key=lambda e: e["held_bits"])
    assert found.best_.n_components == best["n_components"] == 6
    assert found.best_.resolution_ == best["resolution"]
    assert found.best_.n_rows_ == 400
    assert "resolution" in repr(found)
    assert "chosen by held-out bits" in repr(found)
    for e in found.table:
        curve = [e[f"held_bits_{n}"] for n in (1, 5, 20, 100)]
        assert_allclose(e["held_bits"], np.mean(curve))
        assert (np.diff(curve) < 0.0).all()
    assert pickle.loads(pickle.dumps(found)).best_.resolution_ == best["resolution"]
    again = select_prior(
        NextTokenRows(rows), [1, 6], random_state=0, resolution="auto", criterion="held_bits"
    )
    assert again.table == found.table
    one = select_prior(rows, 6, kind="log_probs", random_state=0, resolution=20)
    assert [e["resolution"] for e in one.table] == [20]


@pytest.mark.filterwarnings("ignore::matrixbayes.ConvergenceWarning")
def test_what_is_alone_needs_no_rows_kept_apart():
    """One size at one resolution is fitted to any rows; what is compared needs ten of them."""
    many = select_prior(ROWS[:50], 1, kind="log_probs", random_state=0, resolution=20)
    for n in (1, 2, 9):
        found = select_prior(ROWS[:n], 1, kind="log_probs", random_state=0, resolution=20)
        same(found.best_, fitted(ROWS[:n], 1, 20, kind="log_probs"))
        (line,) = found.table
        assert line["held_bits"] is None
        assert line["log_likelihood"] == found.best_.log_likelihood_
        assert list(line) == list(many.table[0])
        assert "1 component(s) at resolution 20 as given, too few rows" in repr(found)
        for sizes, resolution in (([1, 2], 20), (1, "auto")):
            with pytest.raises(ValueError, match=f"there are {n} rows, .* give one of each"):
                select_prior(ROWS[:n], sizes, kind="log_probs", resolution=resolution)


@pytest.mark.filterwarnings("ignore::matrixbayes.ConvergenceWarning")
def test_what_is_alone_compares_with_nothing():
    found = select_prior(ROWS[:9], 1, kind="log_probs", random_state=0, resolution=20)
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match="nothing to compare"):
        found.plot()
    pytest.importorskip("pandas")
    assert "held_bits" not in found.to_pandas()


def test_selections_that_make_no_sense():
    rows = ROWS[:50]
    with pytest.raises(ValueError, match="compares no resolutions"):
        select_prior(rows, 2, kind="log_probs", resolution=5, criterion="aic")
    with pytest.raises(ValueError, match="needs a resolution"):
        select_prior(rows, 2, kind="log_probs", criterion="held_bits")
    with pytest.raises(ValueError, match="counts are draws already"):
        select_prior(np.ones((20, 3)), 2, kind="counts", resolution="auto")


@pytest.mark.parametrize("resolution", [0, -3, 2.5, "all", True, [1, 5], 2**21, np.nan])
def test_no_resolution(resolution):
    with pytest.raises(ValueError, match="resolution="):
        DirichletMixtureEstimator(1, kind="probs", resolution=resolution).fit(ROWS[:5])


def test_counts_have_none():
    with pytest.raises(ValueError, match="counts are draws already"):
        DirichletMixtureEstimator(1, kind="counts", resolution=5).fit(np.ones((3, 2)))
    with pytest.raises(ValueError, match="shrinkage"):
        DirichletMixtureEstimator(1, kind="probs", resolution=5, shrinkage=-1.0).fit([[0.5, 0.5]])


def test_a_bad_row_is_named():
    rows = np.full((5000, 3000), 1.0 / 3000, dtype=np.float32)
    rows[4321, 7] = np.nan
    with pytest.raises(ValueError, match="row 4321"):
        fitted(rows, 1, 5)
    with pytest.raises(ValueError, match="in the rows from"):
        fitted([rows[:4000], rows[4000:]], 1, 5)


def test_components_of_rows_and_summaries():
    rows = TRUTH.sample(600, rng=5)
    found = fitted(rows, 2)
    shares = found.predict_proba(rows)
    assert shares.shape == (600, 2)
    assert_allclose(shares.sum(axis=1), 1.0)
    exact = TRUTH.responsibilities(rows, kind="probs").argmax(axis=1)
    assert (found.predict(rows) == exact).mean() > 0.9
    whole = found.summarize(rows)
    assert_allclose(whole.row_sum, rows.sum(axis=0))
    assert whole.n_rows == 600
    both = pickle.loads(pickle.dumps(found.summarize(rows[:250]))) + found.summarize(rows[250:])
    assert_allclose(both.row_sum, whole.row_sum)
    assert_allclose(both.weight, whole.weight, rtol=0.05)
    draws = sparse.csr_array(found._judged(rows, None, (None, 1)).draws.rows.sparse()[::-1])
    counts = fitted(draws, 2, None, kind="counts")
    with pytest.raises(ValueError, match="do not add"):
        whole + counts.summarize(draws)
    before = found.lower_bound_
    found.from_summaries(whole)
    assert_allclose(found.lower_bound_, before, rtol=1e-9)
    assert_allclose(found.information(rows).hessian, found.information(rows).hessian.T, rtol=1e-6)
    assert np.isfinite(found.aic(rows) + found.bic(rows))


def test_a_stream_of_batches_reaches_the_prior():
    rows = TRUTH.sample(6000, rng=6)
    found = DirichletMixtureEstimator(2, kind="probs", random_state=0, resolution=50, n_jobs=1)
    for batch in np.split(rows, 12):
        found.partial_fit(batch)
    assert found.n_rows_ == 6000
    assert_allclose(found.weights_, TRUTH.weights, atol=0.04)
    assert_allclose(found.prior_.mean(), rows.mean(axis=0), atol=0.02)


def test_it_resumes():
    rows = TRUTH.sample(500, rng=8)
    short = fitted(rows, 2, 20, max_iter=3, warm_start=True)
    low = short.lower_bound_
    short.max_iter = 200
    assert short.fit(rows).lower_bound_ > low


def test_prior_on_concentrations():
    from matrixbayes import GammaPrior

    rows = TRUTH.sample(500, rng=8)
    weak, strong = fitted(rows, 2), fitted(rows, 2, concentration_prior=GammaPrior(1.0, 50.0))
    assert strong.prior_.concentration.max() < weak.prior_.concentration.max()
