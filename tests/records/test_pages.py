"""The examples of the page on closed models run, and say what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "closed_models.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    return names


def test_the_prior_behind_an_api_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    names = run(EXAMPLES[0])
    assert names["prior"].tokens == ("yes", "no", "<other>")
    np.testing.assert_allclose(names["prior"].alpha[0], [3.0, 1.5, 1.5], rtol=0.1)
    assert "('yes', 'no', '<other>')" in capsys.readouterr().out


def test_samples_are_fitted_with_their_noise() -> None:
    names = run(EXAMPLES[1])
    np.testing.assert_allclose(names["fitted"].prior_.alpha[0], [6.0, 2.0], rtol=0.25)
    assert names["naive"].prior_.concentration[0] < 6.0
    assert len(EXAMPLES) == 2
