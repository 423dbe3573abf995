"""Every example in a docstring runs, and every public name has a docstring with one."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import numpy as np
import pytest
from house import graph

import matrixbayes as mb

# What functions return, whose examples are those functions'.
RESULTS = ("AffineTest", "ApproximationReport", "Comparison", "ContinuityReport", "HeadBound")
RESULTS += ("ElicitationReport", "FamilyComparison", "IclCurve", "IclFit", "LabelDesign", "LawFit")
RESULTS += ("DiagnosticTest", "LearningPath", "ScalingFit", "ScoreCard")
RESULTS += ("PosteriorPath", "PriorSelection", "SegmentProbe", "SoftmaxSpan")
TORCH = ("collect", "embed_of", "head_of", "preflight")  # whose examples need a model
MODULES = sorted(graph.modules(Path(__file__).resolve().parents[2]).keys() - {"", "__main__"})


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    if "huggingface" in name:
        pytest.importorskip("transformers")
    if name in ("dask", "estimator.chunks", "matrix.parts"):
        pytest.importorskip("dask.array")
    if "plot" in name or name in ("study.figures", "_base.style"):
        pytest.importorskip("mpltern")
    module = importlib.import_module(f"matrixbayes.{name}")
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS, verbose=False
    )
    for test in finder.find(module, module.__name__, globs={**vars(module), "np": np}):
        # NumPy 1.26 shows a scalar as 0.5, NumPy 2 as np.float64(0.5): examples show neither.
        assert not any(example.want.startswith("np.") for example in test.examples), test.name
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
