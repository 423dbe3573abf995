"""What matrices and their files refuse; what they answer where nothing was counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import matrixbayes as mb
from matrixbayes._base.mapped import open_mapped, write_mapped
from matrixbayes.matrix.files import FORMAT

NAMES = ("a", "b", "c")


def matrix(order: int | str = 2, **options: Any) -> Any:
    made = mb.TransitionMatrix(order, tokens=NAMES, **options)
    return made.update([0, 1, 2, 0, 1, 1, 2, 0])


def damaged(path: Path, change: dict[str, Any], **other: Any) -> None:
    """Writes a file of a matrix again with another header, or other arrays, and the checksums."""
    found, header = open_mapped(path, FORMAT)
    arrays = {name: np.array(array) for name, array in found.items()}
    write_mapped(path, arrays | other, header | change)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"tokens": ["a", "b", 3]}, "a name is no text"),
        ({"tokens": ["a", "b"]}, "the names are not one for each token"),
        ({"tokens": ["a", "b", "b"]}, "the names are not one for each token"),
        ({"order": True}, "True is not from 1 to 16"),
        ({"order": 17}, "17 is not from 1 to 16"),
        ({"n_tokens": "3"}, "'3' is not from 1 to"),
        ({"prior": -1.0}, "the prior is no positive number"),
        ({"prior": "much"}, "the prior is no positive number"),
        ({"discount": 1.5}, "discount or latest are out of range"),
        ({"deeper": 1.0}, "deeper is no probability"),
        ({"deeper": "half"}, "deeper is no probability"),
        ({"reading": {"end": 9, "is_lost": False}}, "how texts were read"),
        ({"reading": {"end": None, "is_lost": 1}}, "how texts were read"),
    ],
)
def test_headers_that_lie_are_refused(change: dict[str, Any], wanted: str, tmp_path: Path) -> None:
    path = tmp_path / "counts.safetensors"
    matrix("tree" if "deeper" in change else 2).save(path)
    damaged(path, change)
    with pytest.raises(ValueError, match=f"is damaged: .*{wanted}"):
        mb.TransitionMatrix.open(path)


def test_numbers_of_priors_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "counts.safetensors"
    matrix(prior=mb.DirichletMixture([1.0], [[1.0, 2.0, 3.0]])).save(path)
    damaged(path, {"tokens": None}, **{"prior.alpha": np.ones((1, 4))})
    with pytest.raises(ValueError, match="is damaged: the prior is not over these tokens"):
        mb.TransitionMatrix.open(path)
    matrix(hierarchical=True).save(path)
    damaged(path, {}, **{"concentration2.values": np.ones(2)})
    with pytest.raises(ValueError, match="is damaged: the concentrations of order 2 have no shape"):
        mb.TransitionMatrix.open(path)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_levels_of_other_matrices_are_refused(order: int, frozen: bool, tmp_path: Path) -> None:
    """Each is valid; a shorter one has to count what the longer one has."""
    path, other = tmp_path / "counts.safetensors", tmp_path / "other.safetensors"
    made = [matrix(hierarchical=True), matrix(hierarchical=True).update([0, 0, 2, 2, 1, 0])]
    for each, file in zip(made, (path, other), strict=True):
        (each.freeze if frozen else each.save)(file)
    name = f"frozen{order}" if frozen else f"order{order}."
    theirs = {
        key: np.array(array)
        for key, array in open_mapped(other, FORMAT)[0].items()
        if key.startswith(name)
    }
    damaged(path, {}, **theirs)
    wanted = r"is damaged: order [01] counts \d+ types of the \d+ n-grams of order [12]"
    with pytest.raises(ValueError, match=wanted):
        mb.TransitionMatrix.open(path)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_orders_of_another_tree_are_refused(order: int, frozen: bool, tmp_path: Path) -> None:
    path, other = tmp_path / "counts.safetensors", tmp_path / "other.safetensors"
    made = [matrix("tree"), matrix("tree").update([0, 0, 2, 2, 1, 0])]
    for each, file in zip(made, (path, other), strict=True):
        (each.freeze if frozen else each.save)(file)
    name = f"frozen{order}" if frozen else f"order{order}."
    found = open_mapped(other, FORMAT)[0].items()
    damaged(path, {}, **{key: np.array(array) for key, array in found if key.startswith(name)})
    with pytest.raises(ValueError, match=rf"is damaged: order {order} counts 14 tokens"):
        mb.TransitionMatrix.open(path)


def test_contexts_and_counts_of_too_many_axes_are_refused() -> None:
    made = matrix()
    with pytest.raises(ValueError, match=r"contexts have shape \(1, 1, 2\)"):
        made.predict(np.zeros((1, 1, 2), int))


def test_nothing_counted_costs_nothing() -> None:
    made = mb.TransitionMatrix(2, tokens=NAMES)
    assert made.n_observed == 0
    assert np.allclose(made.predict([0, 1]), 1 / 3)
    assert made != 3


def test_a_mixture_of_kernels_is_no_prior() -> None:
    rows = np.random.default_rng(0).dirichlet([1.0, 2.0, 3.0], 20)
    kernels = mb.DirichletMixture.from_rows(rows, kind="probs", pairs=[[2.0, 0.1]])
    with pytest.raises(TypeError, match=r"few, all of them in memory: give prior\.reduce"):
        mb.TransitionMatrix(1, prior=kernels)


def test_a_matrix_that_has_seen_nothing_fades_as_the_other_does() -> None:
    made = matrix(discount=0.5)
    empty = made.empty()
    assert empty.n_observed == 0.0
    text = [0, 1, 0, 1, 0, 2, 0]
    again = mb.TransitionMatrix(2, tokens=NAMES, discount=0.5).update(text)
    assert (empty.update(text).rows() != again.rows()).nnz == 0
