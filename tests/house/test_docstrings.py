"""Every example in a docstring runs, and every public name has a docstring with one."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from house import graph

import matrixbayes as mb

# What functions return, whose examples are those functions'.
RESULTS = ("AffineTest", "ApproximationReport", "Comparison", "ContinuityReport", "HeadBound")
RESULTS += ("ElicitationReport", "FamilyComparison", "IclCurve", "IclFit", "LabelDesign", "LawFit")
RESULTS += ("DiagnosticTest", "FitCheck", "LearningPath", "ScalingFit", "ScoreCard", "BitsBounds")
RESULTS += ("Head", "PosteriorPath", "PriorSelection", "SegmentProbe", "SoftmaxSpan", "TokenView")
# Whose examples need a model.
TORCH = ("collect", "elicit", "embed_of", "head_of", "load_demo", "preflight")
MODULES = sorted(graph.modules(Path(__file__).resolve().parents[2]).keys() - {"", "__main__"})


def is_picture(name: str) -> bool:
    """Whether a module needs matplotlib to be imported."""
    words = ("plot", "moving", "drawing", "pictures", "study.figures", "_base.style")
    return any(word in name for word in words)


# What an example needs that is no part of the core, by a word of it.
NEEDED = {"to_pandas": "pandas", "to_arviz": "arviz_base", "plot(": "mpltern"}


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    if "huggingface" in name or name == "study.texts":
        pytest.importorskip("transformers")
    if name in ("dask", "estimator.chunks", "matrix.parts"):
        pytest.importorskip("dask.array")
    if is_picture(name):
        pytest.importorskip("mpltern")
    module = importlib.import_module(f"matrixbayes.{name}")
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS, verbose=False
    )
    for test in finder.find(module, module.__name__, globs={**vars(module), "np": np}):
        # NumPy 1.26 shows a scalar as 0.5, NumPy 2 as np.float64(0.5): examples show neither.
        assert not any(example.want.startswith("np.") for example in test.examples), test.name
        text = "".join(example.source for example in test.examples)
        if all(find_spec(module) for word, module in NEEDED.items() if word in text):
            runner.run(test)
    assert runner.failures == 0


@pytest.mark.parametrize("name", sorted(set(mb.__all__) - {"plot", "windtunnel"}))
def test_public_names_say_what_they_are(name: str) -> None:
    if name in TORCH:
        pytest.importorskip("torch")
    thing = getattr(mb, name)
    text = inspect.getdoc(thing) or ""
    assert len(text.splitlines()[0]) > 20
    if not (inspect.isclass(thing) and issubclass(thing, Exception)):
        assert ">>>" in text or name in RESULTS


def test_contents_are_what_is_there() -> None:
    """A page's list of contents names what the module has."""
    files = graph.modules(Path(__file__).resolve().parents[2])
    lists = {
        name: re.search(r"^Contents\n((?:    .*\n?)+)", inspect.cleandoc(text), re.MULTILINE)
        for name, file in files.items()
        if not is_picture(name) and (text := ast.get_docstring(ast.parse(file.read_text("utf-8"))))
    }
    wrong = []
    for name, contents in lists.items():
        for line in contents[1].splitlines() if contents else []:
            names = re.split(r"\s{2,}", line.strip())[0].split(", ")
            own = {each for each in names if each.isidentifier()}
            there = {*dir(importlib.import_module(f"matrixbayes.{name}".rstrip(".")))}
            there |= {each.removeprefix(f"{name}.") for each in files}  # imported yet or not
            wrong += [f"{name}: {each}" for each in own - there]
    assert sum(contents is not None for contents in lists.values()) > 30
    assert not wrong
