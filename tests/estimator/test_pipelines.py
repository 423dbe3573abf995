"""The estimator among scikit-learn's tools, and data frames in and out."""

from __future__ import annotations

import pickle
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import matrixbayes as mb

TRUTH = mb.DirichletMixture([0.6, 0.4], [[9.0, 1.0, 1.0], [1.0, 4.0, 9.0]])
ROWS = TRUTH.sample(120, rng=0)
COUNTS = np.random.default_rng(0).poisson(20 * ROWS)
NAMES = ["yes", "no", "maybe"]
EACH = ["dirichletmixtureestimator0", "dirichletmixtureestimator1"]


def estimator(**options: Any) -> mb.DirichletMixtureEstimator:
    options = {"kind": "probs", "random_state": 0, **options}
    return mb.DirichletMixtureEstimator(2, **options)


def test_transform_is_the_probability_of_each_component() -> None:
    fitted = estimator().fit(ROWS)
    np.testing.assert_array_equal(fitted.transform(ROWS), fitted.predict_proba(ROWS))
    np.testing.assert_array_equal(estimator().fit_transform(ROWS), fitted.transform(ROWS))
    assert list(fitted.get_feature_names_out()) == EACH
    with pytest.raises(mb.NotFittedError):
        estimator().get_feature_names_out()


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_output_in_the_container_that_is_asked_for(container: str) -> None:
    frames = pytest.importorskip(container)
    fitted = estimator().fit(ROWS).set_output(transform=container)
    found = fitted.transform(ROWS)
    assert isinstance(found, frames.DataFrame)
    assert list(found.columns) == EACH
    np.testing.assert_array_equal(found.to_numpy(), fitted.predict_proba(ROWS))
    again = pickle.loads(pickle.dumps(fitted)).transform(ROWS)
    assert isinstance(again, frames.DataFrame)
    plain = fitted.set_output().transform(ROWS)
    assert isinstance(plain, frames.DataFrame)
    assert isinstance(fitted.set_output(transform="default").transform(ROWS), np.ndarray)
    with pytest.raises(ValueError, match="'arrow' is not one of"):
        fitted.set_output(transform="arrow")


def test_frames_of_polars_are_made_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is installed or not."""
    stand_in = SimpleNamespace(DataFrame=lambda data, **options: (data, options))
    monkeypatch.setitem(sys.modules, "polars", stand_in)
    fitted = estimator().fit(ROWS).set_output(transform="polars")
    found, options = fitted.transform(ROWS)
    np.testing.assert_array_equal(found, fitted.predict_proba(ROWS))
    assert options == {"schema": EACH, "orient": "row"}


def test_rows_keep_their_index() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(ROWS, columns=NAMES, index=[f"row {i}" for i in range(120)])
    found = estimator().set_output(transform="pandas").fit_transform(frame)
    assert list(found.index) == list(frame.index)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_columns_of_frames_are_tokens_and_are_matched_by_name(container: str) -> None:
    frames = pytest.importorskip(container)
    frame = frames.DataFrame(dict(zip(NAMES, ROWS.T, strict=True)))
    fitted = estimator().fit(frame)
    assert list(fitted.feature_names_in_) == NAMES
    assert fitted.n_features_in_ == 3
    assert fitted.prior_.tokens == tuple(NAMES)
    turned = frame[["maybe", "yes", "no"]]
    np.testing.assert_allclose(fitted.transform(turned), fitted.transform(frame), rtol=1e-12)
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.transform(frame[["yes", "no"]])
    counted = frames.DataFrame(dict(zip(NAMES, COUNTS.T, strict=True)))
    assert estimator(kind="counts").fit(counted).prior_.tokens == tuple(NAMES)
    rows = mb.NextTokenRows(np.log(ROWS[:, [2, 0, 1]]), tokens=("maybe", "yes", "no"))
    np.testing.assert_allclose(fitted.predict_proba(rows), fitted.predict_proba(frame), atol=1e-9)


def test_a_pipeline_a_clone_and_a_search() -> None:
    sklearn = pytest.importorskip("sklearn")
    pandas = pytest.importorskip("pandas")
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.pipeline import Pipeline, make_pipeline

    group = (ROWS[:, 0] > 0.5).astype(int)
    line = make_pipeline(estimator(), LogisticRegression()).fit(ROWS, group)
    assert line.score(ROWS, group) > 0.9
    first = Pipeline([("mixture", estimator())]).set_output(transform="pandas")
    assert list(first.fit_transform(ROWS).columns) == EACH
    assert list(first.get_feature_names_out()) == EACH
    asked = estimator().set_output(transform="pandas")
    assert isinstance(clone(asked).fit(ROWS).transform(ROWS), pandas.DataFrame)
    assert not hasattr(clone(estimator().fit(ROWS)), "prior_")
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(estimator().fit(ROWS).transform(ROWS), pandas.DataFrame)
    search = GridSearchCV(Pipeline([("m", estimator())]), {"m__n_components": [1, 2]}, cv=3)
    assert search.fit(ROWS).best_params_ == {"m__n_components": 2}
    scores = cross_val_score(estimator(kind="counts"), COUNTS, cv=3)
    assert np.isfinite(scores).all()


def test_statistics_and_matrices_sum() -> None:
    fitted = estimator().fit(ROWS)
    parts: list[Any] = [fitted.summarize(ROWS[i::3]) for i in range(3)]
    whole: Any = fitted.summarize(ROWS)
    for total in (sum(parts), sum(parts, 0)):
        np.testing.assert_allclose(total.weight, whole.weight, rtol=1e-12)
        np.testing.assert_allclose(total.log_sums, whole.log_sums, rtol=1e-12)
        assert total.n_rows == 120
    with pytest.raises(TypeError):
        1 + parts[0]
    with pytest.raises(TypeError):
        parts[0] + 1
    counted = estimator(kind="counts").fit(COUNTS)
    halves: list[Any] = [counted.summarize(COUNTS[i::2]) for i in range(2)]
    total = sum(halves)
    np.testing.assert_allclose(total.weight, counted.summarize(COUNTS).weight, rtol=1e-12)
    matrices = [mb.TransitionMatrix(1, n_tokens=3).update([0, i, 2]) for i in range(3)]
    together = mb.TransitionMatrix(1, n_tokens=3)
    for i in range(3):
        together.update([0, i, 2])
    summed: Any = sum(matrices)
    np.testing.assert_array_equal(summed.predict([[0], [1]]), together.predict([[0], [1]]))
