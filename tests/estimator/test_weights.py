"""Weights are numbers of repetitions, and a row of weight 0 is not there."""

from __future__ import annotations

import copy
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import matrixbayes as mb
from matrixbayes import DirichletMixture, DirichletMixtureEstimator
from matrixbayes._base import weights as _weights
from matrixbayes.estimator import starts
from matrixbayes.estimator.penalty import Penalty
from matrixbayes.estimator.row_data import RowData

TRUTH = DirichletMixture([0.6, 0.4], [[6.0, 2.0, 1.0], [1.0, 2.0, 6.0]])
ROWS = TRUTH.sample(40, rng=0)
COUNTS = np.random.default_rng(1).multinomial(12, ROWS)
PRECISE = {"random_state": 0, "tol": 1e-11, "max_iter": 5000}
CRITERIA = ("bic", "aic", "icl", "log_evidence", "cv")
pytestmark = pytest.mark.filterwarnings("ignore::matrixbayes.ConvergenceWarning")


def rows_of(kind, n=40):
    return (ROWS if kind == "probs" else COUNTS)[:n]


def bits(fitted):
    """Everything that was learned, as bytes and numbers."""
    learned = {name: value for name, value in vars(fitted).items() if name.endswith("_")}
    prior = learned.pop("prior_")
    arrays = [prior.weights.tobytes(), prior.alpha.tobytes()]
    return arrays, {k: np.asarray(v).tolist() for k, v in learned.items()}


# -- repetitions ------------------------------


weight_lists = st.lists(st.integers(0, 4), min_size=40, max_size=40).filter(
    lambda w: sum(x > 0 for x in w) >= 25
)


@pytest.mark.parametrize("kind", ["probs", "counts"])
@given(weights=weight_lists, k=st.integers(1, 3), init=st.sampled_from(["kmeans++", "random"]))
@settings(max_examples=15, deadline=None)
def test_a_fit_with_weights_is_one_to_repeated_rows(kind, weights, k, init):
    rows = rows_of(kind)
    make = lambda: DirichletMixtureEstimator(k, kind=kind, init=init, n_init=2, **PRECISE)  # noqa: E731
    found, expected = make().fit(rows, sample_weight=weights), make()
    expected.fit(repeated := np.repeat(rows, weights, axis=0))
    assert found.total_weight_ == expected.total_weight_ == len(repeated) == expected.n_rows_
    assert_allclose(found.restarts_, expected.restarts_, rtol=1e-7, atol=1e-7)
    assume(found.converged_ and expected.converged_)  # at a cap nothing is exact
    for name in ("score", "aic", "bic"):
        own = getattr(found, name)(rows, sample_weight=weights)
        assert_allclose(own, getattr(found, name)(repeated), rtol=1e-12)
        assert_allclose(own, getattr(expected, name)(repeated), rtol=1e-6)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("kind", ["probs", "counts"])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_criterion_counts_repetitions(kind, criterion, seed):
    rows = rows_of(kind, 30)
    weights = np.random.default_rng(seed).integers(0, 5, 30)
    how = {"kind": kind, "criterion": criterion, **PRECISE}
    found = mb.select_prior(rows, [1, 2], sample_weight=weights, **how)
    repeated = np.repeat(rows, weights, axis=0)
    expected = mb.select_prior(repeated, [1, 2], **how)
    assert found.best_.n_components == expected.best_.n_components
    for own, other in zip(found.table, expected.table, strict=True):
        for name in {"log_likelihood", "aic", "bic", "icl", criterion}:
            assert_allclose(own[name], other[name], rtol=1e-6, err_msg=name)
    if criterion == "cv":
        assert_allclose(found.table[0]["cv_se"], expected.table[0]["cv_se"], rtol=1e-6)


def test_equal_weights_choose_as_repeated_rows_do():
    rows = DirichletMixture([0.6, 0.4], [[4, 3, 2.0], [2, 3, 4.0]]).sample(30, rng=5).round(4)
    rows /= rows.sum(1, keepdims=True)
    how = {"kind": "probs", "n_init": 5, "random_state": 0, "tol": 1e-10, "max_iter": 3000}
    found = mb.select_prior(rows, [1, 2], sample_weight=np.full(30, 8.0), **how)
    n = 240  # by hand: the criterion of as many rows
    for entry in found.table:
        score = found.estimators[entry["n_components"]].score_samples(rows).sum() * 8.0
        assert_allclose(entry["bic"], entry["n_parameters"] * np.log(n) - 2.0 * score, rtol=1e-9)
    assert found.best_.n_components == 1
    alone = mb.select_prior(np.repeat(rows, 8, axis=0), [1, 2], criterion="cv", **how)
    heavy = mb.select_prior(rows, [1, 2], criterion="cv", sample_weight=np.full(30, 8.0), **how)
    assert_allclose(heavy.table[1]["cv"], alone.table[1]["cv"], rtol=1e-6)


def test_held_out_scores_by_hand():
    """Rows with their weight in folds, fits and scores weighted: the mean over held-out weight."""
    rows, weights = rows_of("probs"), np.random.default_rng(3).uniform(0.2, 3.0, 40)
    found = mb.select_prior(
        rows, [1], kind="probs", criterion="cv", n_folds=4, sample_weight=weights, random_state=0
    ).table[0]
    total, parts = 0.0, []
    for fold in np.array_split(np.random.default_rng(0).permutation(40), 4):
        rest = np.setdiff1d(np.arange(40), fold)
        fitted = DirichletMixtureEstimator(1, kind="probs").fit(rows[rest], None, weights[rest])
        scores = fitted.prior_.log_prob(rows[fold], kind="probs")
        total += weights[fold] @ scores
        parts.append((weights[fold].sum(), weights[fold] @ scores))
    w, s = np.array(parts).T
    mean = total / weights.sum()
    assert_allclose(found["cv"], mean, rtol=1e-9)
    # the standard error of a ratio of sums over folds
    error = np.sqrt(4 / 3 * np.sum((s - w * mean) ** 2)) / weights.sum()
    assert_allclose(found["cv_se"], error, rtol=1e-6)


def test_icl_adds_the_entropy_of_as_many_rows():
    weights = np.random.default_rng(2).uniform(0.2, 3.0, 40)
    found = mb.select_prior(ROWS, [2], kind="probs", sample_weight=weights, random_state=0)
    entry, shares = found.table[0], found.best_.prior_.responsibilities(ROWS, kind="probs")
    entropy = -(weights[:, np.newaxis] * shares * np.log(shares)).sum()
    assert_allclose(entry["icl"] - entry["bic"], 2.0 * entropy, rtol=1e-9)
    assert abs(2.0 * entropy + 2.0 * (shares * np.log(shares)).sum()) > 1.0  # weights matter


def test_copies_of_a_row_of_probabilities_lie_in_one_fold():
    """Else a fit knows what it is scored by: components close in on what is held out."""
    from matrixbayes.estimator.selection import _held

    rows = mb.NextTokenRows(np.log(np.tile(ROWS[:6], (3, 1))))
    held = _held(rows, np.arange(1.0, 19.0), 3)
    assert_array_equal(held.sum(axis=0), np.arange(1.0, 19.0))
    in_fold = held > 0.0
    assert_array_equal(in_fold.sum(axis=0), 1)
    assert_array_equal(in_fold[:, :6], in_fold[:, 6:12])
    assert_array_equal(in_fold[:, :6], in_fold[:, 12:])
    with pytest.raises(ValueError, match="from 2 to the 6 different rows"):
        _held(rows, None, 7)


@given(st.lists(st.floats(0.01, 6.0), min_size=3, max_size=20), st.integers(2, 3))
def test_units_of_the_weight_of_counts_are_dealt_out(weights, n_folds):
    from matrixbayes.estimator.selection import _held

    w = np.array(weights)
    held = _held(np.ones((len(w), 2)), w, n_folds)
    assert_allclose(held.sum(axis=0), w, rtol=1e-14)
    assert (held >= 0.0).all()
    assert (held.sum(axis=1) > 0.0).all()
    whole = np.ceil(w)
    same = _held(np.repeat(np.ones((len(w), 2)), whole.astype(int), axis=0), None, n_folds)
    place = np.repeat(np.arange(len(w)), whole.astype(int))
    expected = np.stack([np.bincount(place, part) for part in same])
    assert_array_equal(_held(np.ones((len(w), 2)), whole, n_folds), expected)


def test_heavy_counts_are_dealt_out_in_larger_units():
    from matrixbayes.estimator.selection import _held

    held = _held(np.ones((2, 2)), np.array([1e12, 3.0]), 4)
    assert_allclose(held.sum(axis=0), [1e12, 3.0])
    assert_allclose(held[:, 0], 2.5e11, rtol=0.01)


@pytest.mark.parametrize("kind", ["probs", "counts"])
def test_one_row_of_weight_two_is_two_rows(kind):
    row = [[0.2, 0.8]] if kind == "probs" else [[3, 5]]
    found = DirichletMixtureEstimator(2, kind=kind, random_state=0).fit(row, sample_weight=[2])
    expected = DirichletMixtureEstimator(2, kind=kind, random_state=0).fit(row * 2)
    assert found.converged_ == expected.converged_
    assert_allclose(found.prior_.mean(), expected.prior_.mean(), rtol=1e-6)
    with pytest.raises(ValueError, match="minimum of 2"):
        DirichletMixtureEstimator(2, kind=kind).fit(row, sample_weight=[1.5])
    small = DirichletMixtureEstimator(2, kind=kind, random_state=0)
    small.fit(rows_of(kind), sample_weight=np.full(40, 1 / 40))  # of any scale


def test_a_start_looks_at_rows_by_their_weight(monkeypatch):
    monkeypatch.setattr(starts, "SEED_CELLS", 30)
    monkeypatch.setattr(starts, "SEED_ROWS", 5)
    weights = np.full(1000, 1e-3)
    weights[:3] = [50.0, 30.0, 20.0]
    data = RowData(np.log(TRUTH.sample(1000, rng=2)), weights, (None, 1))
    part = starts._part(data, np.arange(1000), 1, np.random.default_rng(0))
    assert part.total_weight == 10.0
    light = ~np.isin(part.log_probs[:, 0], data.log_probs[:3, 0])
    assert part.weights[light].sum() <= 1.0  # of 0.1 expected
    even = RowData(data.log_probs, None, (None, 1))
    assert starts._part(even, np.arange(1000), 1, np.random.default_rng(0)).n_rows == 10


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 4), st.booleans())
def test_equal_points_are_merged(seed, n, v, single):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 3, (n, v)).astype(np.float32 if single else np.float64)
    weights = rng.integers(1, 9, n).astype(float)
    found, heavy, place = _weights.merged(points, weights)
    assert_array_equal(found[place], points)
    assert len(np.unique(found, axis=0)) == len(found)
    assert_array_equal(heavy, [weights[(points == row).all(axis=1)].sum() for row in found])
    firsts = [np.flatnonzero((points == row).all(axis=1))[0] for row in found]
    assert firsts == sorted(firsts)


def test_points_whose_keys_meet_are_left_alone(monkeypatch):
    monkeypatch.setattr(_weights, "_keys", lambda points: np.zeros(len(points), np.uint64))
    points, weights = np.array([[1.0], [2.0], [1.0]]), np.ones(3)
    assert _weights.merged(points, weights)[0] is points


# -- a row of weight 0 is not there ------------------------------


def containers(kind):
    """The same rows in everything that holds rows; each a function of an array."""
    pd = pytest.importorskip("pandas")
    found = {
        "array": np.asarray,
        "float32": lambda X: np.asarray(X, dtype=np.float32),
        "list": lambda X: X.tolist(),
        "frame": pd.DataFrame,
        "frame, odd index": lambda X: pd.DataFrame(X, index=np.arange(len(X))[::-1] + 5),
        "Fortran order": np.asfortranarray,
        "chunks": lambda X: np.array_split(X, 4),
        "iterable": lambda X: _Again(np.array_split(X, 3)),
    }
    if kind == "counts":
        found |= {"csr": sparse.csr_array, "csc": sparse.csc_matrix}
    return found


class _Again:
    def __init__(self, parts):
        self._parts = parts

    def __iter__(self):
        return iter(self._parts)


def with_junk(rows, seed):
    """Rows, with others among them that no fit could use; and which of them are rows."""
    rng = np.random.default_rng(seed)
    junk = np.array([[np.nan] * 3, [-1.0, 1.0, 1.0], [np.inf, 0.0, 0.0], [0.0, 0.0, 1.0]])
    there = rng.permutation(np.repeat([True, False], [len(rows), 9]))
    mixed = np.empty((len(there), 3))
    mixed[there] = rows
    mixed[~there] = junk[rng.integers(0, 4, 9)]
    return mixed, there


@pytest.mark.parametrize("container", [*containers("counts")])
@pytest.mark.parametrize("kind", ["probs", "counts"])
@pytest.mark.parametrize("seed", [0, 1])
def test_rows_of_no_weight_change_no_bit(kind, container, seed):
    made = containers(kind)
    if container not in made:
        pytest.skip("sparse rows are counts")
    rows, weights = rows_of(kind).astype(float), np.random.default_rng(seed).uniform(0.5, 2, 40)
    mixed, there = with_junk(rows, seed)
    shares = np.zeros(len(mixed))
    shares[there] = weights
    make = made[container]
    fits = [DirichletMixtureEstimator(2, kind=kind, random_state=0) for _ in range(2)]
    fits[0].fit(make(mixed), sample_weight=shares)
    fits[1].fit(make(rows), sample_weight=weights)
    assert bits(fits[0]) == bits(fits[1])
    for fitted, X, w in zip(fits, (mixed, rows), (shares, weights), strict=True):
        fitted.partial_fit(make(X), sample_weight=w)
    assert bits(fits[0]) == bits(fits[1])
    for name in ("score", "aic", "bic"):
        values = [
            getattr(fitted, name)(make(X), sample_weight=w)
            for fitted, X, w in zip(fits, (mixed, rows), (shares, weights), strict=True)
        ]
        assert values[0] == values[1]
    sums = [
        fitted.summarize(make(X), sample_weight=w)
        for fitted, X, w in zip(fits, (mixed, rows), (shares, weights), strict=True)
    ]
    assert sums[0].log_likelihood == sums[1].log_likelihood
    assert sums[0].n_rows == sums[1].n_rows == 40
    assert_array_equal(sums[0].weight, sums[1].weight)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("kind", ["probs", "counts"])
def test_rows_of_no_weight_change_no_criterion(kind, criterion):
    rows = rows_of(kind).astype(float)
    mixed, there = with_junk(rows, 3)
    how = {"kind": kind, "criterion": criterion, "random_state": 0}
    found = mb.select_prior(mixed, [1, 2], sample_weight=there, **how)
    expected = mb.select_prior(rows, [1, 2], sample_weight=np.ones(40), **how)
    assert found.table == expected.table
    assert found.best_.prior_ == expected.best_.prior_
    plain = mb.select_prior(rows, [1, 2], **how)
    assert_allclose(found.table[1]["bic"], plain.table[1]["bic"], rtol=1e-9)


def test_tensors_and_rows_with_names():
    torch = pytest.importorskip("torch")
    mixed, there = with_junk(ROWS, 5)
    expected = DirichletMixtureEstimator(2, kind="probs", random_state=0).fit(
        ROWS, None, np.ones(40)
    )
    found = DirichletMixtureEstimator(2, kind="probs", random_state=0)
    found.fit(torch.tensor(mixed), sample_weight=torch.tensor(there.astype(float)))
    assert bits(found) == bits(expected)
    rows = mb.NextTokenRows(np.log(TRUTH.sample(60, rng=1)), tokens=["a", "b", "c"])
    w = np.arange(60) % 3.0
    one = DirichletMixtureEstimator(2, random_state=0).fit(rows, sample_weight=w)
    two = DirichletMixtureEstimator(2, random_state=0).fit(rows[w > 0], sample_weight=w[w > 0])
    assert bits(one) == bits(two)
    assert one.prior_.tokens == ("a", "b", "c")


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_mapped_rows_of_no_weight(tmp_path, dtype):
    kind = "probs" if dtype is np.float64 else "counts"
    rows = np.tile(rows_of(kind), (80, 1)).astype(dtype)
    mapped = np.memmap(tmp_path / "rows", dtype=dtype, mode="w+", shape=rows.shape)
    mapped[:] = rows
    w = np.random.default_rng(0).integers(0, 3, len(rows))
    how = {"kind": kind, "random_state": 0, "tol": 1e-4}
    found = DirichletMixtureEstimator(2, **how).fit(mapped, sample_weight=w)
    expected = DirichletMixtureEstimator(2, **how).fit(
        _Again(np.array_split(rows[w > 0], 3)), sample_weight=w[w > 0]
    )
    assert bits(found) == bits(expected)
    assert found.n_rows_ == np.count_nonzero(w)


@pytest.mark.parametrize("kind", ["probs", "counts"])
def test_chunks_on_a_cluster(kind):
    da = pytest.importorskip("dask.array")
    from matrixbayes import dask

    rows = np.tile(rows_of(kind), (3, 1))
    w = np.random.default_rng(0).integers(0, 3, len(rows))
    w[40:80] = 0  # a whole chunk
    how = {"kind": kind, "random_state": 0, "tol": 1e-10, "max_iter": 2000}
    found = dask.fit(
        DirichletMixtureEstimator(2, **how), da.from_array(rows, chunks=(40, 3)), sample_weight=w
    )
    expected = DirichletMixtureEstimator(2, **how).fit(rows, sample_weight=w)
    assert_allclose(found.alpha_, expected.alpha_, rtol=1e-6)
    assert found.n_rows_ == np.count_nonzero(w)
    assert found.total_weight_ == w.sum()
    with pytest.raises(ValueError, match="shape"):
        dask.fit(
            DirichletMixtureEstimator(2, **how), da.from_array(rows, chunks=40), sample_weight=w[1:]
        )


def test_responsibilities_to_start_from_go_with_all_rows():
    mixed, there = with_junk(ROWS, 1)
    share = np.random.default_rng(0).dirichlet([1.0, 1.0], len(mixed))
    found = DirichletMixtureEstimator(2, kind="probs", init=share).fit(mixed, None, there)
    expected = DirichletMixtureEstimator(2, kind="probs", init=share[there])
    assert bits(found)[0] == bits(expected.fit(ROWS, None, np.ones(40)))[0]


def test_zeros_are_dropped_among_rows_that_are_there():
    rows = np.vstack([ROWS, [[0.0, 0.5, 0.5]], [[0.0, 0.1, 0.9]]])
    w = np.r_[np.ones(41), 0.0]
    found = DirichletMixtureEstimator(kind="probs", zeros="drop").fit(rows, sample_weight=w)
    assert (found.n_rows_, found.n_dropped_) == (40, 1)
    with pytest.raises(ValueError, match="1 of 41 rows hold an exact zero"):
        DirichletMixtureEstimator(kind="probs").fit(rows, sample_weight=w)
    for criterion in CRITERIA:
        how = {"kind": "probs", "criterion": criterion, "random_state": 0}
        dropped = mb.select_prior(rows, [1, 2], zeros="drop", sample_weight=w, **how)
        without = mb.select_prior(ROWS, [1, 2], sample_weight=np.ones(40), **how)
        assert_allclose(dropped.table[1][criterion], without.table[1][criterion], rtol=1e-9)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (np.zeros(40), ValueError, "all sample weights are zero"),
        (0.0, ValueError, "all sample weights are zero"),
        (np.r_[np.ones(39), -1.0], ValueError, r"row 39 is -1"),
        (np.r_[np.ones(39), np.nan], ValueError, r"row 39 is nan"),
        (np.r_[np.ones(39), np.inf], ValueError, r"row 39 is inf"),
        (np.full(40, 1e308), ValueError, "beyond a double's range"),
        (np.ones(39), ValueError, r"shape \(39,\) for 40 rows"),
        (np.r_[np.zeros(1), np.ones(38)], ValueError, r"shape \(39,\) for 40 rows"),
        (np.ones((40, 1)), ValueError, r"shape \(40, 1\)"),
        (["1"] * 40, TypeError, "must be numbers"),
        (np.ones(40) * 1j, TypeError, "must be numbers"),
        (np.ma.masked_array(np.ones(40), [True] + [False] * 39), TypeError, "masked"),
    ],
)
@pytest.mark.parametrize("kind", ["probs", "counts"])
def test_bad_weights(kind, weights, error, message):
    rows = rows_of(kind)
    fitted = DirichletMixtureEstimator(1, kind=kind).fit(rows)
    calls = [fitted.fit, fitted.summarize, fitted.partial_fit, fitted.score, fitted.bic]
    calls += [fitted.aic, fitted.information, fitted.fit_predict]
    for call in calls:
        with pytest.raises(error, match=message):
            call(rows, sample_weight=weights)
    with pytest.raises(error, match=message):
        mb.select_prior(rows, 1, kind=kind, sample_weight=weights)
    with pytest.raises(error, match=message):
        fitted.fit([rows[:20], rows[20:]], sample_weight=weights)


def test_merged_statistics_know_their_weight():
    w = np.random.default_rng(0).integers(0, 4, 40)
    fitted = DirichletMixtureEstimator(2, kind="probs", random_state=0).fit(ROWS)
    parts = [fitted.summarize(ROWS[cut], w[cut]) for cut in (slice(0, 15), slice(15, 40))]
    fitted.from_summaries(parts)
    assert fitted.total_weight_ == pytest.approx(w.sum(), rel=1e-12)
    for _ in range(2):  # the first is a fit
        fitted.partial_fit(ROWS, sample_weight=w)
    assert fitted.total_weight_ == pytest.approx(2 * w.sum(), rel=1e-12)
    assert fitted.n_rows_ == 2 * np.count_nonzero(w)


# -- copies of an estimator ------------------------------


def test_copies_share_an_executor_and_pickles_have_none():
    base = pytest.importorskip("sklearn.base")
    with ThreadPoolExecutor(1) as executor:
        fitted = DirichletMixtureEstimator(2, kind="counts", random_state=0, executor=executor)
        assert base.clone(fitted).executor is executor
        assert fitted.get_params()["executor"] is executor
        fitted.fit(COUNTS)
        for again in (copy.copy(fitted), copy.deepcopy(fitted)):
            assert again.executor is executor
            assert bits(again) == bits(fitted)
            assert bits(again.fit(COUNTS)) == bits(fitted)
        loaded = pickle.loads(pickle.dumps(fitted))
        assert fitted.executor is executor
        clone = base.clone(fitted)
        assert not hasattr(clone, "prior_")
        assert bits(clone.fit(COUNTS)) == bits(fitted)
        assert clone.set_params(executor=None).executor is None
    assert loaded.executor is None
    assert_array_equal(loaded.predict(COUNTS), loaded.fit(COUNTS).predict(COUNTS))
    deep = copy.deepcopy(fitted)
    deep.lower_bounds_.append(0.0)
    assert len(deep.lower_bounds_) == len(fitted.lower_bounds_) + 1
    init = DirichletMixtureEstimator(2, init=np.full((40, 2), 0.5))
    assert base.clone(init).init is not init.init


def test_a_search_over_sizes_takes_an_executor():
    search = pytest.importorskip("sklearn.model_selection")
    with ThreadPoolExecutor(2) as executor:
        estimator = DirichletMixtureEstimator(kind="counts", random_state=0, executor=executor)
        found = search.GridSearchCV(estimator, {"n_components": [1, 2]}, cv=2).fit(COUNTS)
        assert found.best_estimator_.executor is executor


def test_fitted_labels():
    fitted = DirichletMixtureEstimator(2, kind="probs", random_state=0)
    labels = fitted.fit_predict(ROWS)
    assert_array_equal(labels, fitted.predict(ROWS))
    assert labels.shape == (40,)
    w = np.arange(40) % 2
    labels = fitted.fit_predict(ROWS, None, w)
    assert labels.shape == (40,)  # those of weight 0 too
    alone = DirichletMixtureEstimator(2, kind="probs", random_state=0).fit(ROWS, sample_weight=w)
    assert_array_equal(labels, alone.predict(ROWS))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(mb.ConvergenceWarning, match="max_iter"):
            fitted.set_params(max_iter=1).fit_predict(ROWS)


# -- other things with weights ------------------------------


def test_a_mean_knows_nothing_of_what_weighs_nothing():
    matrix = mb.TransitionMatrix(1, n_tokens=2).update([0, 1, 0, 1, 0, 0])
    rows, contexts = [[0.4, 0.6], [0.5, 0.5], [1.0, 0.0]], [[0], [1], [1]]
    found = mb.compare(matrix, rows, contexts, kind="probs", weights=[2.0, 1.0, 0.0])
    expected = mb.compare(matrix, rows[:2], contexts[:2], kind="probs", weights=[2.0, 1.0])
    assert found.kl[2] == np.inf
    assert found.model_bits == expected.model_bits
    assert found.gap_bits == expected.gap_bits
    assert_array_equal(found.worst(), expected.worst())
    assert repr(found).splitlines()[1:] == repr(expected).splitlines()[1:]
    again = [0, 0, 1]
    repeated = mb.compare(
        matrix, [rows[i] for i in again], [contexts[i] for i in again], kind="probs"
    )
    assert_allclose(found.gap_bits, repeated.gap_bits, rtol=1e-12)


def test_kernels_of_weight_0_are_no_components():
    mixed, there = with_junk(ROWS, 2)
    how = {"kind": "probs", "bandwidth": 0.1}
    found = DirichletMixture.from_samples(mixed, sample_weight=there, **how)
    assert found == DirichletMixture.from_samples(ROWS, sample_weight=np.ones(40), **how)
    w = np.arange(40) % 3
    how = {"kind": "probs", "degree": 4}
    found = DirichletMixture.from_samples(ROWS, sample_weight=w, **how)
    expected = DirichletMixture.from_samples(np.repeat(ROWS, w, axis=0), **how)
    assert_allclose(found.weights, expected.weights, rtol=1e-12)


@pytest.mark.parametrize("family", ["iid", ["iid", "markov"]])
def test_histories_of_no_weight_are_not_there(family):
    rng = np.random.default_rng(0)
    histories = [rng.integers(0, 2, n).tolist() for n in (1, 2, 3, 4, 5, 6, 8, 10) * 3]
    p = np.array([(sum(h) + 2.0) / (len(h) + 5.0) for h in histories])
    q = np.column_stack([1.0 - p, p]) * np.exp(rng.normal(0.0, 0.1, (24, 2)))
    q /= q.sum(axis=1, keepdims=True)
    weights = rng.uniform(0.5, 2.0, 24)
    place = rng.permutation(np.repeat([True, False], [24, 6]))
    mixed, w, rows = [[7, 7]] * 30, np.zeros(30), np.full((30, 2), np.nan)
    for i, at in enumerate(np.flatnonzero(place)):
        mixed[at], w[at], rows[at] = histories[i], weights[i], q[i]
    how = {"kind": "probs", "family": family, "n_boot": 5, "n_starts": 2, "rng": 0, "n_jobs": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = mb.elicit_prior(mixed, rows, weights=w, groups=np.arange(30) // 2 * place, **how)
        groups = (np.arange(30) // 2 * place)[place]
        expected = mb.elicit_prior(histories, q, weights=weights, groups=groups, **how)
    assert found.mean_kl == expected.mean_kl
    assert found.prior == expected.prior
    assert found.n_rows == expected.n_rows == 24
    for name, ends in expected.intervals.items():
        assert_array_equal(found.intervals[name], ends)
    if found.comparison is not None:
        assert_array_equal(found.comparison.held_out_kl, expected.comparison.held_out_kl)
        assert_array_equal(found.comparison.standard_error, expected.comparison.standard_error)


@pytest.mark.parametrize(
    ("n", "weight", "splits"), [(1, 1.0, 0), (1, 1.5, 0), (1, 2.0, 1), (2, 0.1, 1), (2, 1.0, 1)]
)
def test_a_component_of_one_row_is_split_if_that_row_comes_twice(n, weight, splits):
    near = DirichletMixture([1.0], [[90.0, 5.0, 5.0]]).sample(n, rng=0, kind="log_probs")
    mixture = DirichletMixture([0.5, 0.5], [[90.0, 5.0, 5.0], [5.0, 5.0, 90.0]])
    data = RowData(near, np.full(n, weight), (None, 1))
    found = list(starts._splits(data, mixture, Penalty.of(None, 1e8), np.random.default_rng(0)))
    assert len(found) == splits
