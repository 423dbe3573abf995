"""Whatever a matrix went through, the file that it writes is read again, and answers as it does."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import matrixbayes as mb

V = 3
NAMES = ("a", "b", "c")
MIXTURE = mb.DirichletMixture([0.3, 0.7], [[1.0, 2.0, 3.0], [0.1, 0.1, 4.0]])
KINDS: dict[str, dict[str, Any]] = {
    "one order": {"order": 2, "tokens": NAMES},
    "real": {"order": 2, "n_tokens": V, "discount": 0.9},
    "hierarchy": {"order": 3, "hierarchical": True, "tokens": NAMES},
    "several": {"order": 2, "hierarchical": [([0.4, 0.6], [0.5, 7.0])] * 2, "prior": MIXTURE},
    "discounts": {"order": 2, "discounts": True, "n_tokens": V},
    "tree": {"order": "tree", "depth": 3, "prior": MIXTURE},
}
SCORED = [[0, 1, 2, 2, 1, 0, 2], [1], [], [2, 2, 0]]
texts = st.lists(st.lists(st.integers(0, V - 1), max_size=9), max_size=4)
counts = st.lists(st.integers(0, 3), min_size=V, max_size=V)

Draw = Callable[..., Any]


def again(matrix: mb.TransitionMatrix, tmp: Path, frozen: bool) -> mb.TransitionMatrix:
    path = tmp / f"{len(list(tmp.iterdir()))}.safetensors"
    (matrix.freeze if frozen else matrix.save)(path)
    return mb.TransitionMatrix.open(path)


def is_real(matrix: mb.TransitionMatrix) -> bool:
    """Counts are: `discount` and `forget` make them so."""
    return bool(matrix.totals(np.zeros((1, matrix.order), int)).dtype.kind == "f")


def learns(draw: Draw, matrix: mb.TransitionMatrix, _: Path) -> Any:
    return matrix.update(draw(texts), continued=draw(st.booleans()))


def unlearns(draw: Draw, matrix: mb.TransitionMatrix, _: Path) -> Any:
    """Of one of two texts, so that what it takes away was there."""
    if is_real(matrix):
        return matrix
    gone = draw(texts)
    return matrix.update(gone).update(draw(texts)).downdate(gone)


def learns_rows(draw: Draw, matrix: mb.TransitionMatrix, _: Path) -> Any:
    ids = st.lists(st.integers(0, V - 1), min_size=matrix.order, max_size=matrix.order)
    rows = draw(st.lists(st.tuples(ids, counts), min_size=1, max_size=3))
    return matrix.update_rows([each for each, _ in rows], [each for _, each in rows])


def merges(draw: Draw, matrix: mb.TransitionMatrix, _: Path) -> Any:
    other = matrix.empty().update(draw(texts))
    return matrix.merge(other, weight=draw(st.integers(0, 2)))


def forgets(draw: Draw, matrix: mb.TransitionMatrix, _: Path) -> Any:
    if matrix.hierarchical or matrix.is_tree:
        return matrix
    return matrix.forget(draw(st.sampled_from([0.0, 0.3, 1.0])))


def is_fitted(draw: Draw, matrix: mb.TransitionMatrix, _: Path) -> Any:
    return matrix.fit_prior() if len(matrix) > 0 else matrix


def is_copied(draw: Draw, matrix: mb.TransitionMatrix, _: Path) -> Any:
    ways = (copy.deepcopy, copy.copy, lambda each: pickle.loads(pickle.dumps(each)))
    return draw(st.sampled_from(ways))(matrix)


def is_opened(_: Draw, matrix: mb.TransitionMatrix, tmp: Path) -> Any:
    return again(matrix, tmp, frozen=False)


def is_thawed(draw: Draw, matrix: mb.TransitionMatrix, tmp: Path) -> Any:
    return matrix if is_real(matrix) else again(matrix, tmp, frozen=True).thaw()


STEPS = [learns, unlearns, learns_rows, merges, forgets, is_fitted, is_copied, is_opened, is_thawed]


def answers(matrix: mb.TransitionMatrix) -> list[Any]:
    contexts = np.stack(np.meshgrid(*[range(V)] * matrix.order), axis=-1).reshape(-1, matrix.order)
    return [
        matrix.n_observed,
        matrix.counts(contexts),
        matrix.predict(contexts),
        matrix.log_prob(SCORED),
        matrix.log_evidence(SCORED),
    ]


@pytest.mark.filterwarnings("ignore::matrixbayes.ConvergenceWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(data=st.data())
def test_what_is_written_is_read(kind: str, data: Any, tmp_path_factory: Any) -> None:
    tmp = tmp_path_factory.mktemp("files")
    matrix = mb.TransitionMatrix(**KINDS[kind])
    for step in data.draw(st.lists(st.sampled_from(STEPS), max_size=6)):
        matrix = step(data.draw, matrix, tmp)
    told = answers(matrix)
    for frozen in (False, True):
        if frozen and is_real(matrix):
            continue
        for mine, theirs in zip(told, answers(again(matrix, tmp, frozen)), strict=True):
            assert_array_equal(mine, theirs)
