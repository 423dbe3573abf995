"""What fits refuse before they begin, and what they say of themselves on the way."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import matrixbayes as mb
from matrixbayes.estimator import estimator as module
from matrixbayes.estimator import starts
from matrixbayes.estimator.count_data import CountData, encode
from matrixbayes.estimator.data import At, data_of
from matrixbayes.estimator.shortcomings import _single_tokens

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


def test_regressions_of_rows_of_one_token_each_have_no_concentration() -> None:
    rows = np.kron(np.eye(3, dtype=int), np.arange(2, 22)[:, np.newaxis])
    with pytest.warns(mb.ConvergenceWarning, match="falls to 0.*one token each"):
        found = mb.regress_concentration(rows, np.arange(60.0), kind="counts")
    assert not found.converged


def test_regressions_take_covariates_in_columns_and_rows_from_disk(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(200, 2))
    wanted = mb.regress_concentration(ROWS, {"x0": x[:, 0], "x1": x[:, 1]}, kind="probs")
    np.save(tmp_path / "rows.npy", ROWS)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    found = mb.regress_concentration(mapped, x, kind="probs")
    assert found.names == wanted.names
    assert np.array_equal(found.coefficients, wanted.coefficients)
    pandas = pytest.importorskip("pandas")
    series = mb.regress_concentration(ROWS, pandas.Series(x[:, 0], name="depth"), kind="probs")
    assert series.names[1] == "depth"
    both = {"a": np.tile(["b", "c"], 100), "a[c]": x[:, 0]}
    with pytest.raises(ValueError, match="two columns of the covariates have one name"):
        mb.regress_concentration(ROWS, both, kind="probs")


def test_regressions_say_their_groups_and_want_a_reference_that_occurs() -> None:
    x = np.linspace(-1.0, 1.0, 200)
    found = mb.regress_concentration(ROWS, x, kind="probs", groups=np.arange(200) // 4)
    assert ", 50 groups" in repr(found)
    counts = np.random.default_rng(0).multinomial(9, [0.5, 0.5, 0.0], 200)
    with pytest.raises(ValueError, match="the reference 2 occurs in no row"):
        mb.regress_concentration(counts, x, kind="counts", mean="same", reference=2)


def partial(rows: Any = ROWS, k: int = 2) -> mb.PartialRows:
    return mb.PartialRows.from_rows(mb.NextTokenRows(np.log(rows)), k)


@pytest.mark.parametrize("kind", ["probs", "counts"])
def test_no_rows_have_no_components(kind: str) -> None:
    rows = ROWS
    if kind == "counts":
        rows = np.random.default_rng(0).multinomial(20, ROWS)
    fitted = mb.DirichletMixtureEstimator(1, kind=kind).fit(rows)
    assert fitted.predict_proba(rows[:0]).shape == (0, 1)
    assert fitted.score_samples(rows[:0]).shape == (0,)
    with pytest.raises(ValueError, match="X has no rows, of which there is no mean"):
        fitted.score(rows[:0])


def test_no_rows_of_a_file_have_no_components() -> None:
    class Empty:
        shape, dtype = (0, 3), ROWS.dtype

        def __getitem__(self, cut: slice) -> Any:
            return ROWS[:0]

    assert estimator(2).fit(ROWS).predict_proba(Empty()).shape == (0, 2)


def test_statistics_that_are_none_are_refused() -> None:
    fitted = estimator().fit(ROWS)
    with pytest.raises(ValueError, match="there are no statistics"):
        fitted.from_summaries([])
    with pytest.raises(TypeError, match="they must be those of summarize, or several"):
        fitted.from_summaries(3)  # type: ignore[arg-type]
    rows = partial(k=1)
    parts: Any = mb.DirichletMixtureEstimator(1).fit(rows).summarize(rows)
    with pytest.raises(ValueError, match="order must have each of 0 to 0 once"):
        parts.permuted(np.array([1]))


def test_bounds_of_bits_are_of_rows_that_weigh_and_have_the_columns_of_the_fit() -> None:
    fitted = estimator().fit(ROWS)
    weights = np.tile([1.0, 0.0], 100)
    found, wanted = (
        fitted.bits_bounds(partial(), [5], sample_weight=weights),
        fitted.bits_bounds(partial()[::2], [5]),
    )
    assert np.allclose(found.low, wanted.low, rtol=1e-12)
    assert np.allclose(found.high, wanted.high, rtol=1e-12)
    wide = np.random.default_rng(0).dirichlet(np.ones(4), 5)
    with pytest.raises(ValueError, match="rows have 4 columns, the fit 3"):
        fitted.bits_bounds(partial(wide), [5])


def test_a_start_from_shares_needs_rows_in_memory() -> None:
    shares = np.full((200, 2), 0.5)
    with pytest.raises(ValueError, match="need rows in memory; give a mixture"):
        estimator(2, init=shares).fit([ROWS[:100], ROWS[100:]])


def test_chunks_may_be_single_rows_and_rows_with_names() -> None:
    names = ("a", "b", "c")
    whole = estimator(2).fit(ROWS)
    rows = [mb.NextTokenRows(np.log(ROWS[:100]), tokens=names), *np.log(ROWS[100:])]
    found = mb.DirichletMixtureEstimator(2, kind="log_probs", random_state=0).fit(rows)
    assert found.prior_.tokens == names
    assert found.log_likelihood_ == pytest.approx(whole.log_likelihood_, rel=1e-5)


def test_chunks_that_change_their_columns_between_passes_are_refused() -> None:
    class Narrowing:
        passes = 0

        def __iter__(self) -> Iterator[Any]:
            self.passes += 1  # the first ones measure
            return iter([ROWS if self.passes < 3 else ROWS[:, :2]])

    made = mb.DirichletMixtureEstimator(1, kind="counts")
    with pytest.raises(ValueError, match="chunk 0 has 2 columns"):
        made.fit(Narrowing())


def test_a_row_that_is_wrong_is_named_at_a_resolution_too() -> None:
    wrong = ROWS.copy()
    wrong[150] = 0.5
    with pytest.raises(ValueError, match="row 150"):
        estimator(2, resolution=10).fit(wrong)
    with pytest.raises(ValueError, match="0 sample"):
        estimator(2, resolution=10).fit(ROWS[:0])


def test_starts_at_a_resolution_look_at_rows_by_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "SEED_CELLS", 1)
    monkeypatch.setattr(starts, "SEED_ROWS", 20)
    weights = np.where(np.arange(200) < 100, 1.0, 1e-6)
    some = estimator(2, resolution=20).fit(ROWS, sample_weight=weights)
    wanted = estimator(2, resolution=20).fit(ROWS[:100])
    assert np.allclose(some.prior_.mean(), wanted.prior_.mean(), atol=0.02)


def test_stopped_before_its_first_pass_a_fit_has_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "start", stop)
    made = estimator(2)
    with pytest.raises(KeyboardInterrupt):
        made.fit(ROWS)
    assert not hasattr(made, "prior_")


def test_more_starts_than_anyone_waits_for_are_refused() -> None:
    with pytest.raises(ValueError, match=r"n_init is 1099511627776; it must be from 1 to 16777216"):
        estimator(2).set_params(n_init=2**40).fit(ROWS)


def test_a_generator_gives_one_seed_to_all_sizes() -> None:
    options: dict[str, Any] = {"kind": "probs", "n_init": 1}
    for more in ({}, {"resolution": 10, "criterion": "held_bits"}):
        once, again = (
            mb.select_prior(ROWS, [1, 2], random_state=np.random.default_rng(5), **options, **more)
            for _ in range(2)
        )
        assert [e.lower_bound_ for e in once.estimators.values()] == [
            e.lower_bound_ for e in again.estimators.values()
        ]


@pytest.mark.parametrize("n_tokens", [3, 4])  # two of which are listed: all is known, or not
def test_sizes_of_rows_in_part_are_judged_by_those_without_zeros(n_tokens: int) -> None:
    table = np.random.default_rng(0).dirichlet([3.0, 2.0, 1.0], 200)
    table[::20] = [0.6, 0.4, 0.0]
    with np.errstate(divide="ignore"):
        logs, rest = np.log(table[:, :2]).ravel(), np.log(table[:, 2])
    columns, bounds = np.tile([0, 1], 200), np.arange(0, 401, 2)
    rows = mb.PartialRows(columns, logs, bounds, n_tokens=n_tokens, rest=rest, cap=rest)
    kept = np.arange(200) % 20 != 0
    options: dict[str, Any] = {"criterion": "cv", "n_folds": 3, "random_state": 0}
    found = mb.select_prior(rows, [1], zeros="drop", **options)
    wanted = mb.select_prior(rows[kept], [1], **options)
    assert found.table[0]["cv"] == wanted.table[0]["cv"]


def test_sizes_of_counts_keep_the_names_of_columns() -> None:
    pandas = pytest.importorskip("pandas")
    counts = np.random.default_rng(0).multinomial(30, ROWS)
    frame = pandas.DataFrame(counts, columns=["a", "b", "c"])
    found = mb.select_prior(frame, [1], kind="counts", criterion="bic", random_state=0)
    assert found.best_.prior_.tokens == ("a", "b", "c")


def test_what_a_pool_refuses_is_told_at_a_resolution() -> None:
    class Closed(Executor):
        def submit(self, *_: Any, **__: Any) -> Any:
            raise ValueError("this pool is closed")

    with pytest.raises(ValueError, match="this pool is closed"):
        estimator(resolution=10, executor=Closed()).fit(ROWS)


def test_reasons_name_the_size_at_a_resolution() -> None:
    options: dict[str, Any] = {"kind": "probs", "resolution": 20, "random_state": 0}
    with pytest.warns(mb.ConvergenceWarning, match="n_components=2: the bound still rose"):
        mb.select_prior(ROWS, [2], criterion="held_bits", max_iter=1, tol=0.0, **options)


def test_rows_of_a_single_token_say_nothing_of_concentrations() -> None:
    """However they are held: as counts, at a resolution, or known in part."""
    single, several = np.eye(3, dtype=int)[[0, 1, 2, 2]], np.full((4, 3), 2)
    pool = (None, 1)
    assert _single_tokens(CountData(encode(single), None, pool))
    assert not _single_tokens(CountData(encode(several), None, pool))
    for rows in (ROWS, partial(k=1)):
        for resolution in (1, 20):
            at, kind = At(resolution, 0), "probs" if rows is ROWS else None
            data = data_of(rows, None, pool, kind=kind, zeros="error", at=at)[0]
            assert _single_tokens(data) == (resolution == 1)


@pytest.mark.filterwarnings("ignore::matrixbayes.errors.ConvergenceWarning")
def test_sizes_of_counts_of_nothing_have_no_check() -> None:
    found = mb.select_prior(np.zeros((20, 3), int), [1], kind="counts", criterion="bic")
    assert (found.table[0]["bits"], found.table[0]["check"]) == (None, None)
