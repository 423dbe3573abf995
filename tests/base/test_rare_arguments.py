"""Arguments that come seldom, and systems that lack something."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import matrixbayes as mb
from matrixbayes._base import numbers as numbers_of
from matrixbayes._base import parallel
from matrixbayes._base.arguments import generator_of, listed, shown
from matrixbayes._base.numbers import exact_rows, plain
from matrixbayes._base.weights import taken
from matrixbayes.errors import ArgumentError, NoSuchTokenError

PRIOR = mb.DirichletMixture([1.0], [[1.0, 2.0, 3.0]])


def test_cores_are_all_there_are_where_none_are_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert parallel.available_cores() == 7


def test_nothing_cannot_be_merged() -> None:
    with pytest.raises(ValueError, match="there is nothing to merge"):
        parallel.merge([])


def test_an_old_random_state_is_a_seed() -> None:
    first, second = (generator_of(np.random.RandomState(3)) for _ in range(2))
    assert first.random() == second.random()
    assert first.random() != generator_of(np.random.RandomState(4)).random()


def test_several_seeds_are_those_of_numpy() -> None:
    for seeds in ([3, 4], (3, 4), np.array([3, 4])):
        assert generator_of(seeds).random() == np.random.default_rng([3, 4]).random()


def test_items_of_tensors_and_of_nothing() -> None:
    torch = pytest.importorskip("torch")
    rows = listed(torch.tensor([[1, 2], [3, 4]]), "rows")
    assert [row.tolist() for row in rows] == [[1, 2], [3, 4]]
    for given in ("ab", 3, None):
        with pytest.raises(ArgumentError, match=rf"rows is of type {type(given).__name__}"):
            listed(given, "rows")


def test_one_weight_is_that_of_all_rows() -> None:
    rows = PRIOR.sample(20, rng=0)
    one, each = (
        mb.select_prior(rows, [1], kind="probs", sample_weight=weight).best_.prior_.alpha
        for weight in (2.0, np.full(20, 2.0))
    )
    assert np.array_equal(one, each)
    with pytest.raises(ValueError, match="sample_weight must hold 20 finite numbers"):
        mb.DirichletMixture.from_samples(rows, kind="probs", degree=3, sample_weight=[0.0, 1.0])


def test_counts_by_names_and_numbers_of_tokens() -> None:
    whole = PRIOR.posterior([0.0, 3.0, 1.0]).alpha
    assert np.array_equal(PRIOR.posterior({1.0: 3, np.float32(2.0): 1}).alpha, whole)
    for counts, why in (({"b": 1}, "the tokens of .* have none"), ({1.5: 1}, "1.5 is not one of")):
        with pytest.raises(NoSuchTokenError, match=why):
            PRIOR.posterior(counts)
    for given in (np.full((2, 1, 3), "a"), np.ones((2, 1, 3)), np.array(1)):
        with pytest.raises(ValueError, match="have shape"):
            PRIOR.posterior(given)


def test_columns_of_counts_in_another_order_or_of_two_kinds() -> None:
    pandas = pytest.importorskip("pandas")
    turned = pandas.DataFrame([[1.0, 0.0, 3.0]], columns=[2, 0, 1])
    assert np.array_equal(PRIOR.predictive(turned), PRIOR.predictive([[0.0, 3.0, 1.0]]))
    with pytest.raises(ArgumentError, match="named by strings and by other things"):
        PRIOR.predictive(pandas.DataFrame([[1.0, 0.0, 3.0]], columns=["a", 0, 1]))


def test_frames_need_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        mb.probe_segment(np.eye(2), [0.0, 2.0], [2.0, 0.0]).to_pandas()


def test_sparse_rows_that_are_wanted_dense_are_refused() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(ArgumentError, match=r"X\.toarray\(\)"):
        PRIOR.log_prob(sparse.csr_array(np.full((1, 3), 1 / 3)), kind="probs")


def test_rows_of_anything_sparse_are_taken() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    whole = sparse.csr_array(np.arange(12.0).reshape(4, 3))
    like = SimpleNamespace(
        data=whole.data, indices=whole.indices, indptr=whole.indptr, shape=whole.shape
    )
    found = taken(like, np.array([2, 0]))
    assert np.array_equal(found.toarray(), whole.toarray()[[2, 0]])


class Without:
    """Something that says it is an array, and has no repr."""

    def __array__(self, dtype: object = None, copy: object = None) -> object:
        raise RuntimeError("it is gone")

    def __repr__(self) -> str:
        raise RuntimeError("it is gone")


def test_what_has_no_repr_is_named_by_its_type() -> None:
    assert shown(Without()) == "an object of type Without"


def test_what_only_looks_like_an_array_is_refused() -> None:
    with pytest.raises(ArgumentError, match="X is of type Without and gives no array of numbers"):
        plain(Without(), "X")
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ArgumentError, match="the lists of X are in each other without end"):
        plain(endless, "X")
    with pytest.raises(ArgumentError, match="too many entries to look at"):
        plain(np.broadcast_to(np.float64(0.0), (1 << 45,)), "X")


def test_objects_are_read_as_what_they_are() -> None:
    assert plain(np.array([True, False], dtype=object), "X").dtype == bool
    assert plain(np.ma.array(["a", "b"]), "X").tolist() == ["a", "b"]
    assert plain(np.ma.array(["a", "b"]), "X").dtype == object


def test_short_floats_of_other_packages_are_read_as_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As ml_dtypes adds them to NumPy, which calls their kind void."""
    short = SimpleNamespace(
        dtype=SimpleNamespace(kind="V", name="bfloat16"), astype=np.array([1.5]).astype
    )
    monkeypatch.setattr(numbers_of, "_unwrapped", lambda given, name: short)
    assert plain("of another package", "X").dtype == np.float32


def test_frames_of_several_integers_and_of_no_column() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": np.array([1, 2]), "b": np.array([3, 4], dtype=np.int8)})
    assert plain(frame, "X").tolist() == [[1, 3], [2, 4]]
    assert plain(frame, "X").dtype == np.int64
    assert plain(frame[[]], "X").shape == (2, 0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"indptr": [0, 2]}, "indptr has 2 entries for 2 rows"),
        ({"indptr": [0, 5, 2]}, "leaves the entries at row 0"),
        ({"indptr": [0, 2, 1]}, "indptr falls or leaves the entries at row 1"),
        ({"indptr": [1, 2, 3]}, "leaves the entries at row 0"),
        ({"indices": [0, 1, 3]}, "row 1 has an entry in column 3, of 3 columns"),
        ({"indices": [0, -1, 2]}, "row 0 has an entry in column -1"),
    ],
)
def test_sparse_rows_that_do_not_hold_together(change: dict[str, list[int]], why: str) -> None:
    pytest.importorskip("scipy")
    parts = {"data": [1.0, 2.0, 3.0], "indices": [0, 1, 2], "indptr": [0, 2, 3]} | change
    with pytest.raises(ValueError, match=why):
        exact_rows(SimpleNamespace(shape=(2, 3), **parts), "counts")


def test_sparse_rows_of_no_real_numbers_are_refused() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(ArgumentError, match="must be an array of real numbers, not of complex128"):
        exact_rows(sparse.csr_array(np.array([[1j, 0.0]])), "counts")
