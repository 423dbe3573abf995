"""The check of a fit beside its data, and what is warned of."""

from __future__ import annotations

import copy
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

import matrixbayes as mb
from matrixbayes.estimator import shortcomings
from matrixbayes.estimator.count_data import CountData
from matrixbayes.estimator.row_data import RowData

TRUTH = mb.DirichletMixture(
    [0.6, 0.4], [[9.0, 1.0, 1.0, 0.5], [0.5, 0.5, 4.0, 0.2]], tokens=tuple("abcd")
)
ROWS = TRUTH.sample(500, rng=0)
COUNTS = np.random.default_rng(1).multinomial(30, ROWS)
STORIES = Path(__file__).resolve().parents[3] / "shared/reference/stories260K_rows.npz"


def heavy_tailed(n: int, n_tokens: int = 300, rank: int = 8, seed: int = 0) -> np.ndarray:
    """Log-probabilities as of a trained model: softmax of low-rank logits that span 30 nats."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, n_tokens)) * 1.6
    logits += rng.normal(size=n_tokens)
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def test_a_density_of_a_whole_vocabulary_warns():
    rows = heavy_tailed(600)
    estimator = mb.DirichletMixtureEstimator(1, kind="log_probs", random_state=0)
    with pytest.warns(mb.MisfitWarning, match="worse than the frequencies of tokens") as caught:
        estimator.fit(rows)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert "resolution=" in str(caught[0].message)
    assert estimator.converged_
    assert "frequencies" in estimator.check_.fails
    assert "does not describe its rows, loses to frequencies" in repr(estimator)
    with pytest.warns(mb.MisfitWarning):
        estimator.fit_predict(rows)


real = pytest.mark.skipif(not STORIES.exists(), reason="rows of stories260K are not here")


@real
def test_a_real_model_warns():
    rows = np.load(STORIES)["log_probs"]
    estimator = mb.DirichletMixtureEstimator(4, kind="log_probs", random_state=0, tol=1e-3)
    with pytest.warns(mb.MisfitWarning, match="frequencies"):
        estimator.fit(rows[:2000])
    found = estimator.check(rows[2000:])
    assert "frequencies" in found.fails
    assert_allclose(found.frequencies, 7.94, atol=0.01)  # of the first 2,000 rows alone
    assert_allclose(found.floor, 3.73, atol=0.01)


@real
def test_one_dirichlet_to_a_real_model_costs_what_the_table_says():
    data = np.load(STORIES)
    estimator = mb.DirichletMixtureEstimator(1, kind="log_probs")
    estimator._fit(data["log_probs"][:2000], None)
    for n, bits in ((1, 8.96), (5, 7.80), (20, 6.52), (100, 5.21)):
        found = mb.check_prior(estimator.prior_, data[f"draws_{n}"], kind="counts", draws=(n,))
        assert_allclose(found.bits, bits, atol=0.006)
    found = estimator.check(data["log_probs"][2000:])
    assert_allclose(found.bits, [8.96, 7.80, 6.52, 5.21], atol=0.06)  # by other draws
    assert_allclose(found.mean_variation, 0.49, atol=0.005)
    assert_allclose(found.prior_entropy, [6.6, 6.7, 6.9], atol=0.06)


def test_good_fits_do_not_warn():
    """Rows and counts of mixtures of as many components: 60 fits, no warning, and at most one whose
    check fails."""
    failed = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        k, v = int(rng.integers(1, 4)), int(rng.integers(2, 12))
        alpha = rng.gamma(1.0, size=(k, v)) * 10.0 ** rng.uniform(0.0, 1.5, size=(k, 1)) + 0.2
        rows = mb.DirichletMixture(np.full(k, 1.0 / k), alpha).sample(300, rng=rng)
        kind = "probs"
        if seed % 2:
            rows, kind = rng.multinomial(40, rows), "counts"
        estimator = mb.DirichletMixtureEstimator(k, kind=kind, random_state=0, max_iter=30)
        with warnings.catch_warnings():
            warnings.simplefilter("error", mb.MisfitWarning)
            warnings.simplefilter("ignore", mb.ConvergenceWarning)
            estimator.fit(rows)
        failed += not estimator.check_.passed
    assert failed <= 1


@pytest.mark.parametrize("kind", ["probs", "counts", "sparse"])
def test_check_is_check_prior(kind):
    rows = {"probs": ROWS, "counts": COUNTS, "sparse": sparse.csr_array(COUNTS)}[kind]
    kind = "probs" if kind == "probs" else "counts"
    train, held = rows[:400], rows[400:]
    fitted = mb.DirichletMixtureEstimator(2, kind=kind, random_state=0).fit(train)
    shares = np.asarray(train.toarray() if sparse.issparse(train) else train, dtype=float)
    shares = shares / shares.sum(axis=1, keepdims=True)
    found = fitted.check(held, rng=3)
    expected = mb.check_prior(fitted.prior_, held, kind=kind, reference=shares.mean(axis=0), rng=3)
    assert found.passed
    assert_allclose(found.frequencies, expected.frequencies, rtol=1e-6)
    assert_allclose(found.bits, expected.bits, rtol=1e-12)
    assert found == fitted.check(held, rng=3)
    assert found != fitted.check(held, rng=4)
    # of the rows of the fit, frequencies are of other rows
    own, crossed = fitted.check(train), mb.check_prior(fitted.prior_, train, kind=kind)
    assert_allclose(own.frequencies, crossed.frequencies, rtol=1e-9)
    weights = np.arange(100) % 2.0
    weighted = fitted.check(held, sample_weight=weights, draws=(1,))
    assert weighted.n_rows == 50
    assert weighted.draws == (1,)
    named = mb.DirichletMixtureEstimator(2, kind="probs", random_state=0)
    named.fit(mb.NextTokenRows(np.log(ROWS), tokens=tuple("abcd")))
    assert named.check(mb.NextTokenRows(np.log(ROWS), tokens=tuple("abcd"))).tokens == tuple("abcd")


def test_what_is_remembered_of_a_fit():
    fitted = mb.DirichletMixtureEstimator(2, kind="probs", random_state=0)
    assert "\n" not in repr(fitted)
    with pytest.raises(mb.NotFittedError):
        fitted.check(ROWS)
    fitted.fit(ROWS)
    assert isinstance(fitted.check_, mb.FitCheck)
    assert fitted.check_.n_rows == shortcomings.ROWS
    assert_allclose(fitted._mean_row, ROWS.mean(axis=0), rtol=1e-6)
    assert repr(fitted).splitlines()[1].startswith("  found 2 components over 4 tokens, concentr")
    assert repr(fitted).splitlines()[2].startswith("  describes its rows: ")
    again = pickle.loads(pickle.dumps(fitted))
    assert again.check_ == fitted.check_
    assert copy.deepcopy(fitted).check_ == fitted.check_
    old = copy.copy(fitted)  # as one that was pickled before there were checks
    del old.check_, old._mean_row
    assert "describes" not in repr(old)
    assert old.check(ROWS).passed
    fitted.from_summaries(fitted.summarize(ROWS))
    assert fitted.check_ is None
    fitted.fit(ROWS)
    fitted.partial_fit(ROWS[:100])
    assert fitted.check_ is None
    assert fitted.check(ROWS).passed
    batch = mb.DirichletMixtureEstimator(2, kind="probs", random_state=0).partial_fit(ROWS)
    assert batch.check_.passed


def test_the_check_does_not_depend_on_chance_of_the_fit_nor_on_workers():
    one, other = (
        mb.DirichletMixtureEstimator(2, kind="probs", random_state=s, init=TRUTH, n_jobs=j).fit(
            ROWS
        )
        for s, j in ((0, 1), (1, 2))
    )
    assert one.check_ == other.check_


@pytest.mark.parametrize("kind", ["probs", "counts"])
def test_streams_are_checked_by_some_of_their_rows(kind, tmp_path):
    rows = ROWS if kind == "probs" else COUNTS
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    fitted = mb.DirichletMixtureEstimator(2, kind=kind, random_state=0).fit(mapped)
    assert fitted.check_.n_rows == shortcomings.MORE_ROWS
    assert fitted.check_.passed
    assert fitted.check(mapped).passed
    chunks = [rows[:200], rows[200:]]
    weights = np.arange(500) % 3.0
    found = fitted.check(chunks, sample_weight=weights)
    whole = fitted.check(rows, sample_weight=weights)
    assert_allclose(found.floor, whole.floor, rtol=1e-12)
    assert_allclose(found.bits, whole.bits, rtol=1e-12)
    assert fitted.check(chunks, max_rows=60).n_rows == 60


@pytest.mark.parametrize("names", [list("wxyz"), [7, 5, 3, 1]])
def test_columns_are_those_of_the_fit(names):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(ROWS, columns=names)
    fitted = mb.DirichletMixtureEstimator(2, kind="probs", random_state=0).fit(frame)
    found = fitted.check(frame)
    turned = frame[names[::-1]]
    assert_allclose(fitted.check(turned).bits, found.bits, rtol=1e-9)
    if names[0] == "w":  # chunks are matched by strings alone
        chunks = [turned[:300], turned[300:]]
        assert_allclose(fitted.check(chunks).bits, found.bits, rtol=1e-9)
    assert_allclose(fitted.check(ROWS).bits, found.bits, rtol=1e-9)
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.check(frame.rename(columns={names[0]: "other" if names[0] == "w" else 9}))


def test_means_of_rows_by_weight():
    weights = np.arange(500) % 4.0 + 0.5
    mean, total = shortcomings.mean_row(RowData(np.log(ROWS), weights, (None, 1)))
    assert_allclose(mean, np.average(ROWS, axis=0, weights=weights), rtol=1e-12)
    assert total == weights.sum()
    counts = np.array(COUNTS)
    counts[::7] = 0
    there = counts.sum(axis=1) > 0
    mean, total = shortcomings.mean_row(CountData.of(counts, weights))
    shares = counts[there] / counts[there].sum(axis=1, keepdims=True)
    assert_allclose(mean, np.average(shares, axis=0, weights=weights[there]), rtol=1e-12)
    assert total == weights[there].sum()
    assert shortcomings.mean_row(CountData.of(np.zeros((3, 2)))) is None


def test_rows_that_hold_nothing_have_no_check():
    with pytest.warns(mb.ConvergenceWarning):
        fitted = mb.DirichletMixtureEstimator(1, kind="counts").fit(np.zeros((30, 3)))
    assert fitted.check_ is None


def test_frequencies_are_of_other_rows_than_those_that_are_judged():
    """In a hundred rows of 500 as in all: each tenth against all rows that are not in it."""
    fitted = mb.DirichletMixtureEstimator(2, kind="probs", random_state=0).fit(ROWS)
    numbers = np.sort(
        np.random.default_rng(shortcomings.SEED).choice(500, shortcomings.ROWS, replace=False)
    )
    costs = []
    for i, number in enumerate(numbers):
        fold = numbers[np.arange(100) % 10 == i % 10]
        others = ROWS[np.setdiff1d(np.arange(500), fold)].mean(axis=0)
        costs.append(-ROWS[number] @ np.log2(others))
    assert_allclose(fitted.check_.frequencies, np.mean(costs), rtol=1e-5)


def test_the_table_of_sizes_says_it():
    found = mb.select_prior(ROWS, [1, 2], kind="probs", random_state=0)
    for entry in found.table:
        fitted = found.estimators[entry["n_components"]]
        assert entry["bits"] == fitted.check_.bits[2]
        assert entry["check"] == fitted.check_.outcome
    assert found.table[1]["check"] == "ok"
    assert found.table[0]["check"] != "ok"
    assert found.table[0]["check"] in repr(found)
    assert len(repr(found).splitlines()) <= 10
    with pytest.warns(
        mb.MisfitWarning, match=r"^n_components=1: the prior predicts worse"
    ) as caught:
        mb.select_prior(heavy_tailed(400, 200), [1], kind="log_probs", random_state=0)
    assert len(caught) == 1


def test_folds_are_not_checked(monkeypatch):
    called = []
    real_one = shortcomings.compared
    monkeypatch.setattr(shortcomings, "compared", lambda *a: called.append(0) or real_one(*a))
    mb.select_prior(ROWS, [2], kind="probs", criterion="cv", random_state=0)
    assert len(called) == 1
