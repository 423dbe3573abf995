"""Models by their names: loaded, and moved to where they compute."""

from __future__ import annotations

import sys

import pytest

from matrixbayes.study import study
from matrixbayes.study.inputs import UsageError, load_model


def test_without_transformers_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r"models need torch: pip install 'matrixbayes\[hf\]'"):
        load_model(None)


def test_a_model_goes_to_its_device() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    model, _ = load_model(None, device="meta")
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


def test_a_word_that_is_no_resolution() -> None:
    with pytest.raises(UsageError, match="'densty' is neither a number nor one of best, density"):
        study(resolution="densty")
