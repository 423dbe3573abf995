"""What fits refuse before they begin, and what they say of themselves on the way."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import matrixbayes as mb

ROWS = np.random.default_rng(0).dirichlet([1.0, 2.0, 3.0], 200)


def estimator(n: int = 1, **options: Any) -> mb.DirichletMixtureEstimator:
    return mb.DirichletMixtureEstimator(n, kind="probs", random_state=0, **options)


def test_each_pass_is_said_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    fitted = estimator(2, verbose=2, max_iter=5, tol=1e-3).fit(ROWS)
    said = capsys.readouterr().out.splitlines()
    passes = [line for line in said if line.startswith("pass ")]
    assert len(passes) >= fitted.n_iter_ > 0
    assert all(line.endswith("nats a row") for line in passes)


def test_samples_are_rows_and_the_component_that_each_is_of() -> None:
    prior = mb.DirichletMixture([0.5, 0.5], [[900.0, 50.0, 50.0], [50.0, 50.0, 900.0]])
    fitted = estimator(2).fit(prior.sample(300, rng=0), y=None)
    rows, labels = fitted.sample(50)
    assert rows.shape == (50, 3)
    assert np.allclose(rows.sum(axis=1), 1.0)
    largest = fitted.prior_.alpha.argmax(axis=1)
    assert {*labels.tolist()} == {0, 1}
    assert np.array_equal(rows.argmax(axis=1), largest[labels])


def test_names_of_columns_are_forgotten_with_the_rows_that_had_them() -> None:
    pandas = pytest.importorskip("pandas")
    fitted = estimator().fit(pandas.DataFrame(ROWS, columns=["a", "b", "c"]))
    assert fitted.feature_names_in_.tolist() == ["a", "b", "c"]
    fitted.fit(ROWS)
    assert not hasattr(fitted, "feature_names_in_")


@pytest.mark.parametrize("wrong", ["shape", "columns", "sizes"])
def test_dask_arrays_that_are_no_rows_are_refused(wrong: str) -> None:
    array = pytest.importorskip("dask.array")
    rows = array.from_array(ROWS, chunks=(100, 3))
    given, said = {
        "shape": (lambda: rows[0], r"of shape \(N, V\)"),
        "columns": (lambda: rows.rechunk((100, 2)), "cut into 2 parts by columns"),
        "sizes": (lambda: rows[rows[:, 0] > 0.5], "unknown sizes"),
    }[wrong]
    with pytest.raises(ValueError, match=said):
        importlib.import_module("matrixbayes.dask").fit(estimator(), given())


def test_a_dask_array_of_unknown_size_is_refused_with_the_remedy() -> None:
    array = pytest.importorskip("dask.array")
    rows = array.from_array(ROWS, chunks=(100, 3))
    with pytest.raises(ValueError, match=r"number is unknown; use rows\.compute_chunk_sizes"):
        estimator().fit(rows[rows[:, 0] > 0.5])


def test_information_needs_rows_in_memory() -> None:
    fitted = estimator().fit(ROWS)
    with pytest.raises(ValueError, match="needs rows in memory"):
        fitted.information([ROWS[:100], ROWS[100:]])


@pytest.mark.parametrize(
    ("rows", "covariates", "options", "said"),
    [
        (ROWS[:0], np.zeros(0), {}, "no rows|0 sample"),
        (ROWS, {"a": np.zeros(200), "b": np.zeros((200, 2))}, {}, "b"),
        (np.tile([1.0, 0.0, 0.0], (5, 1)), np.arange(5.0), {"kind": "counts"}, "two at least"),
    ],
)
def test_regressions_without_enough_are_refused(
    rows: Any, covariates: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        mb.regress_concentration(rows, covariates, **{"kind": "probs", **options})
