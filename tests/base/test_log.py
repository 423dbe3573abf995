"""The log of long calls: silent, until somebody listens."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import matrixbayes as mb
from matrixbayes._base.progress import begin

PROBS = np.random.default_rng(0).dirichlet([1.0, 2.0, 3.0], size=40)
HISTORIES = [[], [0], [1, 0], [2, 2]] * 10


def collect() -> Any:
    pytest.importorskip("transformers")
    demo = mb.load_demo()
    return mb.collect(demo[0], demo[1], list(demo[2])[:3], progress=False)


CALLS: dict[str, Callable[[], Any]] = {
    "fit": lambda: mb.DirichletMixtureEstimator(kind="probs").fit(PROBS),
    "select_prior": lambda: mb.select_prior(PROBS, [1, 2], kind="probs", random_state=0),
    "elicit_prior": lambda: mb.elicit_prior(HISTORIES, PROBS, kind="probs", family="iid", rng=0),
    "fit_prior": lambda: (
        mb.TransitionMatrix(1, n_tokens=2).update([0, 1, 1, 0, 1] * 9).fit_prior(progress=False)
    ),
    "collect": collect,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_long_calls_say_when_they_begin_and_end(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="matrixbayes"):
        CALLS[name]()
    said = [record.getMessage() for record in caplog.records if record.name == "matrixbayes"]
    assert [text for text in said if text.startswith(f"{name} begins: ")] == said[:1]
    assert said[-1].startswith(f"{name} done in "), said
    assert {record.levelname for record in caplog.records} == {"INFO"}


def test_steps_are_of_debug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="matrixbayes"):
        CALLS["fit"]()
    passes = [text for text in caplog.messages if text.startswith("fit, pass ")]
    assert passes


@pytest.mark.filterwarnings("ignore")
def test_nothing_is_said_by_default(capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("fit", "select_prior", "elicit_prior", "fit_prior"):
        CALLS[name]()
    assert capfd.readouterr() == ("", "")


def test_a_program_that_listens_hears_it(run_python: Callable[..., str]) -> None:
    code = """
        import logging, sys
        import matrixbayes as mb
        fit = mb.DirichletMixtureEstimator(kind="probs").fit
        fit([[0.1, 0.9], [0.3, 0.7], [0.2, 0.8]])
        print("listening")
        logging.basicConfig(level=logging.INFO, stream=sys.stdout)
        fit([[0.1, 0.9], [0.3, 0.7], [0.2, 0.8]])
    """
    said = run_python(inspect.cleandoc(code)).splitlines()
    assert said[0] == "listening"
    assert said[1] == "INFO:matrixbayes:fit begins: 1 components, 3 rows of 2"
    assert said[2].startswith("INFO:matrixbayes:fit done in 0.")


def test_nothing_is_made_of_what_nobody_hears() -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError("formatted")

    finish = begin("call", "%s", Costly())
    finish("%s", Costly())
    assert "logging" in sys.modules
