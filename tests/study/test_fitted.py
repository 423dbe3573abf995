"""The prior of a study's rows: which fit is kept, and why."""

from __future__ import annotations

import numpy as np
import pytest

from matrixbayes.estimator import DirichletMixtureEstimator
from matrixbayes.mixture import DirichletMixture
from matrixbayes.rows import NextTokenRows
from matrixbayes.study import fitted
from matrixbayes.study.fitted import fit_prior, mean_row

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")


def trained(n: int, width: int = 60, seed: int = 0) -> NextTokenRows:
    """Rows like those of a trained model: over many orders of magnitude, each in its own way."""
    rng = np.random.default_rng(seed)
    kinds = rng.normal(0.0, 2.0, (6, width))
    logits = kinds[rng.integers(0, 6, n)] + rng.normal(0.0, 3.0, (n, width))
    return NextTokenRows(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))


def test_few_answers_keep_their_density() -> None:
    truth = DirichletMixture([0.5, 0.5], [[8.0, 1.0, 1.0], [1.0, 2.0, 6.0]])
    rows = NextTokenRows(np.log(truth.sample(200, rng=0)))
    found = fit_prior(rows, [1, 2])
    assert found.method == "density"
    assert found.prior == found.selection.best_.prior_ == found.shown
    assert found.check is not None
    assert found.check.passed
    assert found.check.n_rows == 40
    assert list(found.tried) == ["density"]
    assert found.words == "by density, as it describes rows left out, over 3 columns"


def test_a_whole_vocabulary_gets_what_predicts_it() -> None:
    found = fit_prior(trained(150), [1, 2])
    assert found.method != "density"
    assert min(found.tried.values()) == found.tried[found.method] < found.tried["density"]
    assert "bits a token of rows left out, not" in found.words
    assert found.shown.n_components <= 6
    assert found.shown.n_tokens == found.prior.n_tokens == 60


@pytest.mark.parametrize("asked", ["density", "kernels"])
def test_what_is_asked_for_is_done(asked: str) -> None:
    found = fit_prior(trained(60, 8), [1], resolution=asked)
    assert found.method == asked
    assert list(found.tried) == [asked]
    assert found.words.endswith("as it was asked for")


def test_too_few_rows_are_not_checked() -> None:
    found = fit_prior(trained(3, 5), [1])
    assert found.check is None
    assert found.method == "density"
    assert "too few rows" in found.words


@pytest.mark.parametrize("asked", [20, "auto", "kernels", "density", "best"])
@pytest.mark.parametrize("n", [3, 9, 10, 19])
def test_few_rows_are_fitted_as_was_asked(n: int, asked: int | str) -> None:
    """A resolution that is stated needs no rows kept apart, by which others are compared."""
    found = fit_prior(trained(n, 5), [1, 2, 3], resolution=asked)
    wanted = {20: "resolution", "auto": "resolution", "best": "density"}
    assert found.method == wanted.get(asked, asked)
    assert found.reason == (
        "there are too few rows to choose" if asked == "best" else "it was asked for"
    )
    assert np.isfinite(found.prior.mean()).all()
    if found.method == "resolution":
        size = found.selection.best_.n_components
        at = {20: 20, "auto": fitted.USUAL}[asked]
        alone = DirichletMixtureEstimator(size, resolution=at, random_state=0)
        assert found.prior == alone.fit(trained(n, 5)).prior_


def test_the_mean_row_is_of_all_rows() -> None:
    rows = trained(50, 7)
    np.testing.assert_allclose(mean_row(rows), rows.probs().mean(axis=0), rtol=1e-12)


def test_a_density_that_predicts_as_well_as_others_is_kept(monkeypatch) -> None:
    monkeypatch.setattr(fitted, "NARROW", 2)
    truth = DirichletMixture([1.0], [[3.0, 2.0, 1.0]])
    found = fit_prior(NextTokenRows(np.log(truth.sample(60, rng=1))), [1])
    assert list(found.tried) == ["density", "resolution", "kernels"]
    assert found.tried["density"] <= min(found.tried.values()) + fitted.SAME
    assert found.method == "density"
    assert found.words.startswith("by density, as it takes ")
