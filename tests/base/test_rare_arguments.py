"""Arguments that come seldom, and systems that lack something."""

from __future__ import annotations

import os
from types import SimpleNamespace

import numpy as np
import pytest

import matrixbayes as mb
from matrixbayes._base import parallel
from matrixbayes._base.arguments import generator_of
from matrixbayes._base.weights import taken
from matrixbayes.errors import ArgumentError

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
