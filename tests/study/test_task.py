"""The truth that a model's folder may record, and whether it is of use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from matrixbayes.mixture import DirichletMixture
from matrixbayes.rows import NextTokenRows
from matrixbayes.study.inputs import UsageError
from matrixbayes.study.task import Task, true_prior, usable_truth


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"prior": {"weights": [1]}}'])
def test_a_record_of_training_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text(text)
    with pytest.raises(UsageError, match=r"training\.json does not record a prior as expected: "):
        true_prior(tmp_path)


def test_columns_decide_whether_the_truth_can_be_compared_with() -> None:
    truth = DirichletMixture([1.0], [[1.0, 2.0]], tokens=("a", "b"))
    vocab = {"b": ["b"], "a": ["a"]}
    task = Task(None, None, vocab, "keep", 0, None, truth)
    rows = NextTokenRows(np.log([[0.25, 0.75]]), tokens=("b", "a"))
    found, notes = usable_truth(task, rows)
    assert (found, notes) == (DirichletMixture([1.0], [[2.0, 1.0]], tokens=("b", "a")), [])
    rows = NextTokenRows(np.log([[0.25, 0.7499, 1e-4]]), tokens=("b", "a", "<other>"))
    found, notes = usable_truth(task, rows)
    assert found is None
    assert notes[0].startswith("the true prior is over other tokens")
    assert notes[1].startswith("<other> never holds more than 1.0e-04: with other='renormalize'")
