"""The choice of K: criteria, folds, and candidates beside each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose
from scipy import sparse

import matrixbayes as mb
from matrixbayes.estimator import starts
from matrixbayes.estimator.count_data import CountData
from matrixbayes.estimator.penalty import Penalty
from matrixbayes.estimator.row_data import RowData

TRUTH = mb.DirichletMixture([0.5, 0.5], [[9.0, 1.0, 1.0], [1.0, 1.0, 9.0]])
ROWS = TRUTH.sample(400, rng=0, kind="log_probs")
COUNTS = np.random.default_rng(1).multinomial(25, np.exp(ROWS))


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl", "log_evidence", "cv"])
@pytest.mark.parametrize("kind", ["log_probs", "counts"])
def test_every_criterion_finds_two_components(criterion, kind):
    rows = ROWS if kind == "log_probs" else sparse.csr_array(COUNTS)
    found = mb.select_prior(
        rows, [1, 2], kind=kind, criterion=criterion, random_state=0, max_iter=2000
    )
    assert found.best_.n_components == 2
    names = {"log_evidence": "log-evidence", "cv": "cross-validation"}
    assert f"chosen by {names.get(criterion, criterion.upper())}" in repr(found)
    assert criterion in repr(found)
    assert len(repr(found).splitlines()) <= 10


def test_what_the_table_holds():
    found = mb.select_prior(ROWS, [1, 2], kind="log_probs", random_state=0)
    for entry, fitted in zip(found.table, found.estimators.values(), strict=True):
        assert_allclose(entry["bic"], fitted.bic(ROWS))
        assert_allclose(entry["aic"], fitted.aic(ROWS))
        shares = fitted.predict_proba(ROWS)
        entropy = -(shares * np.log(shares + 1e-300)).sum()
        assert_allclose(entry["icl"], fitted.bic(ROWS) + 2.0 * entropy, rtol=1e-12)
        assert entry["cv"] is None
        assert entry["log_evidence"] is None


def test_a_split_finds_what_a_start_misses():
    # Components of one mean: nothing that groups rows by where they are tells them apart.
    rng = np.random.default_rng(0)
    mean = rng.dirichlet(np.full(20, 0.5))
    alpha = mean * np.array([[1.0], [10.0], [100.0], [1000.0]]) + 1e-3
    rows = mb.DirichletMixture(np.full(4, 0.25), alpha).sample(1500, rng=rng)
    settings = {"kind": "probs", "zeros": "floor", "random_state": 0, "tol": 1e-6}
    found = mb.select_prior(rows, range(1, 6), **settings)
    alone = {k: mb.DirichletMixtureEstimator(k, **settings).fit(rows) for k in range(1, 6)}
    gains = [found.estimators[k].log_likelihood_ - alone[k].log_likelihood_ for k in alone]
    assert min(gains) >= 0.0
    assert gains[3] > 1000.0  # four components
    bounds = [found.estimators[k].lower_bound_ for k in alone]
    assert (np.diff(bounds) > 0.0).all()


@pytest.mark.parametrize("kind", ["log_probs", "counts"])
def test_what_a_split_is(kind):
    rows = np.array(ROWS if kind == "log_probs" else COUNTS)
    data = RowData(rows, None, (None, 1)) if kind == "log_probs" else CountData.of(rows)
    penalty = Penalty.of(None, 1e8)
    rng = np.random.default_rng(0)
    mixtures = list(starts._splits(data, TRUTH, penalty, rng))
    assert len(mixtures) == 2
    for k, mixture in enumerate(mixtures):
        assert_allclose(mixture.weights, [0.5, *mixture.weights[1:]])
        assert_allclose(mixture.alpha[0], TRUTH.alpha[1 - k])
        assert_allclose(mixture.weights[1:].sum(), 0.5)
        assert data.expectation(mixture).log_likelihood > data.n_rows * -20.0
    apart = mb.DirichletMixture([0.5, 0.5], [[9.0, 1.0, 1.0], [1e-3, 1e3, 1e-3]])
    assert len(list(starts._splits(data, apart, penalty, rng))) == 1  # nobody is near the other


def test_warnings_name_the_size():
    equal = np.tile(ROWS[:1], (20, 1))
    with pytest.warns(mb.ConvergenceWarning) as caught:
        mb.select_prior(equal, [1, 2], kind="log_probs", random_state=0)
    for size in (1, 2):
        start = f"n_components={size}: the likelihood rises"
        assert any(str(warning.message).startswith(start) for warning in caught)


def test_held_out_rows_are_scored_by_fits_to_the_others():
    found = mb.select_prior(ROWS, [1], kind="log_probs", criterion="cv", n_folds=4, random_state=0)
    order = np.random.default_rng(0).permutation(400)
    means = []
    for fold in np.array_split(order, 4):
        rest = np.setdiff1d(order, fold)
        fitted = mb.DirichletMixtureEstimator(1, kind="log_probs").fit(ROWS[rest])
        means.append(fitted.score(ROWS[fold]))
    assert_allclose(found.table[0]["cv"], np.mean(means), rtol=1e-12)
    assert_allclose(found.table[0]["cv_se"], np.std(means, ddof=1) / 2.0, rtol=1e-9)
    with pytest.raises(ValueError, match="n_folds is 1"):
        mb.select_prior(ROWS, [1], kind="log_probs", criterion="cv", n_folds=1)


def test_candidates_beside_each_other_are_the_same_bits(many_blocks):
    alone = mb.select_prior(ROWS, [1, 2, 3], kind="log_probs", random_state=0)
    with ThreadPoolExecutor(3) as executor:
        beside = mb.select_prior(
            ROWS, [1, 2, 3], kind="log_probs", random_state=0, executor=executor
        )
    many_blocks.ran("_fitted", "_entry", "expectation")
    assert alone.table == beside.table
    for size in (1, 2, 3):
        fitted = alone.estimators[size]
        assert fitted.prior_ == beside.estimators[size].prior_
        n_k, _, log_likelihood = reference.expectation(
            fitted.weights_, fitted.alpha_, ROWS, np.ones(len(ROWS))
        )
        assert_allclose(fitted.log_likelihood_, log_likelihood, rtol=1e-11)
        bic = (3 * size + size - 1) * np.log(n_k.sum()) - 2.0 * log_likelihood
        assert_allclose(alone.table[size - 1]["bic"], bic, rtol=1e-11)


@pytest.mark.parametrize("criterion", ["icl", "log_evidence", "cv"])
def test_every_criterion_can_be_drawn(criterion):
    figure = pytest.importorskip("matplotlib.figure")
    plot = pytest.importorskip("matrixbayes.plot", exc_type=ImportError)
    found = mb.select_prior(
        ROWS, [1, 2, 3], kind="log_probs", criterion=criterion, random_state=0, max_iter=2000
    )
    ax = plot.criterion(found, ax=figure.Figure().subplots())
    assert "is better" in " ".join(ax.get_ylabel().split())
    assert ax.lines[0].get_xdata().tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "sizes", [3, np.int64(3), np.uint8(3), np.array(3), [3], (3,), np.array([3, 3]), range(3, 4)]
)
def test_one_size_or_several(sizes):
    found = mb.select_prior(ROWS, sizes, kind="log_probs", random_state=0, max_iter=2000)
    assert list(found.estimators) == [3]
    assert type(found.table[0]["n_components"]) is int
    assert found.best_.n_components == 3


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ("3", TypeError, "n_components is '3'; give one number of components, such as 3, or sev"),
        (2.0, TypeError, "n_components is 2.0"),
        (None, TypeError, "n_components is None"),
        (True, TypeError, "n_components is True"),
        (np.array(2.5), TypeError, "n_components is array"),
        ([], ValueError, "empty"),
        (0, ValueError, "holds 0; each must be a positive integer"),
        ([2, -1], ValueError, "holds -1"),
        ([1, 2.5], ValueError, "holds 2.5"),
        ([True], ValueError, "holds True"),
        (["1"], ValueError, "holds '1'"),
    ],
)
def test_what_is_no_size_is_said(sizes, error, message):
    with pytest.raises(error, match=message):
        mb.select_prior(ROWS, sizes, kind="log_probs")


@pytest.mark.parametrize("n_folds", [1, 2.5, "3", True, 401, None])
def test_what_is_no_number_of_folds_is_said(n_folds):
    with pytest.raises(ValueError, match=r"n_folds is .*; it must be from 2 to the 400"):
        mb.select_prior(ROWS, 1, kind="log_probs", criterion="cv", n_folds=n_folds)


def test_a_size_that_did_not_converge_is_marked():
    with pytest.warns(mb.ConvergenceWarning, match="n_components=3"):
        found = mb.select_prior(ROWS, [1, 2, 3], kind="log_probs", random_state=0, max_iter=5)
    assert [entry["converged"] for entry in found.table] == [True, True, False]
    lines = repr(found).splitlines()[2:5]
    assert ["did not converge" in line for line in lines] == [False, False, True]
    rows = found._repr_html_().split("<tr>")[-3:]
    assert ["did not converge" in row for row in rows] == [False, False, True]
    settled = mb.select_prior(ROWS, [1, 2], kind="log_probs", random_state=0, max_iter=2000)
    assert "did not converge" not in repr(settled) + settled._repr_html_()
    figure = pytest.importorskip("matplotlib.figure")
    plot = pytest.importorskip("matrixbayes.plot", exc_type=ImportError)
    ax = plot.criterion(found, ax=figure.Figure().subplots())
    marks = {line.get_label(): line.get_xdata() for line in ax.lines}
    assert list(marks["did not converge"]) == [3]
    ax = plot.criterion(settled, ax=figure.Figure().subplots())
    assert "did not converge" not in {line.get_label() for line in ax.lines}


def test_an_unsettled_size_is_chosen_only_where_none_settled():
    equal = np.tile(ROWS[:1], (20, 1))
    with pytest.warns(mb.ConvergenceWarning):
        found = mb.select_prior(equal, [1, 2], kind="log_probs", random_state=0)
    assert repr(found).count("did not converge") == 2
    assert "<- best, did not converge" in repr(found)


@pytest.mark.parametrize("criterion", ["aic", "bic", "icl", "log_evidence", "cv"])
def test_the_best_is_among_those_that_settled(criterion):
    sign = 1.0 if criterion in ("log_evidence", "cv") else -1.0  # higher or lower is better
    fits = {k: mb.DirichletMixtureEstimator(k) for k in (1, 2, 3, 4)}

    def chosen(values, settled):
        table = [
            {"n_components": k, criterion: None if x is None else sign * x, "converged": c}
            for k, x, c in zip(fits, values, settled, strict=True)
        ]
        return mb.PriorSelection(fits, table, criterion).best_.n_components

    assert chosen([1.0, 5.0, 2.0, 9.0], [True, True, True, True]) == 4
    assert chosen([1.0, 5.0, 2.0, 9.0], [True, True, True, False]) == 2
    assert chosen([1.0, 5.0, 2.0, 9.0], [False, False, False, False]) == 4
    assert chosen([1.0, 5.0, None, 9.0], [False, False, True, False]) == 4
    assert chosen([1.0, 5.0, 5.0, 0.0], [True, True, True, True]) == 2  # the smaller of equals
