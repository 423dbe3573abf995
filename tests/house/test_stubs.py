"""Type checkers and completion see every public name, and no other."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from house.graph import found

import matrixbayes as mb
from matrixbayes import _HOMES, _MODULES

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "matrixbayes"
STUB = PACKAGE / "__init__.pyi"


def test_type_checkers_see_every_lazy_name_where_it_lives() -> None:
    """The stub in place of the front, which has a `__getattr__` that hides every slip."""
    body = ast.parse(STUB.read_text("utf-8")).body[1:]
    imports = [node for node in body if isinstance(node, ast.ImportFrom)]
    assert len(imports) == len(body) > 10
    seen = {alias.asname: node.module for node in imports for alias in node.names}
    lazy = {**_HOMES, **dict.fromkeys(_MODULES)}
    assert seen == {**lazy, "SufficientStatistics": "_core"}
    assert {*mb.__all__} == seen.keys() - {"__version__"}


def test_no_other_module_has_a_getattr() -> None:
    hides = [
        file.relative_to(PACKAGE).as_posix()
        for file in found(PACKAGE, "**/*.py")
        for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name == "__getattr__"
    ]
    assert hides == ["__init__.py"]


def test_completion_offers_public_names_only() -> None:
    assert dir(mb) == sorted([*mb.__all__, "__version__"])
    assert all(getattr(mb, name) is not None for name in ("select_prior", "windtunnel"))
    assert dir(mb) == sorted([*mb.__all__, "__version__"])  # whatever was loaded


RIGHT = """
    import matrixbayes as mb
    import matrixbayes.dask
    import matrixbayes.plot
    from matrixbayes import TransitionMatrix, plot, select_prior, windtunnel

    found: mb.PriorSelection = select_prior([[0.5, 0.5]], [1, 2], kind="probs")
    prior: mb.DirichletMixture = found.best_.prior_
    matrix: TransitionMatrix = TransitionMatrix(1, n_tokens=2)
    version: str = mb.__version__
    urns = windtunnel.Urns
    fit = matrixbayes.dask.fit
    draw = plot.components
"""
WRONG = {
    "mb.select_priorr": "select_priorr",
    "mb.DirichletMixtures": "DirichletMixtures",
    "mb.plot.componentss": "componentss",
    "mb.windtunnel.Urnss": "Urnss",
    "matrixbayes.dask.fitt": "fitt",
    "prior.posteriorr": "posteriorr",
    "found.bestt_": "bestt_",
}


@pytest.fixture
def snippet(tmp_path: Path) -> Path:
    """Every public name, and after them wrong ones, a line each."""
    pytest.importorskip("dask.array")
    pytest.importorskip("mpltern")
    lines = inspect.cleandoc(RIGHT).splitlines()
    lines += [f"mb.{name}" for name in mb.__all__]
    for module in ("plot", "windtunnel", "dask"):
        names = importlib.import_module(f"matrixbayes.{module}").__all__
        lines += [f"matrixbayes.{module}.{name}" for name in names]
    file = tmp_path / "snippet.py"
    file.write_text("\n".join([*lines, *WRONG]) + "\n")
    return file


def refused(said: str, file: Path) -> set[str]:
    """The lines of the snippet that a type checker names in an error."""
    numbers = re.findall(rf"{re.escape(file.name)}:(\d+):.*\berror\b", said)
    lines = file.read_text().splitlines()
    return {lines[int(number) - 1] for number in numbers}


# Libraries that no public name comes from: torch alone takes mypy a minute.
NOT_READ = "dask distributed IPython matplotlib mpltern pandas polars pyarrow safetensors scipy"
NOT_READ += " sklearn tokenizers torch tqdm transformers"


@pytest.mark.exhaustive  # the package is read anew
@pytest.mark.no_sanitizer
def test_mypy_refuses_a_slip_and_nothing_else(snippet: Path) -> None:
    if not find_spec("mypy"):
        pytest.skip("mypy is not installed")
    settings = snippet.with_name("mypy.ini")
    skipped = ",".join(f"{name}.*" for name in NOT_READ.split())
    settings.write_text(
        "[mypy]\nignore_missing_imports = True\nfollow_imports = silent\n"
        f"[mypy-{skipped}]\nfollow_imports = skip\n"
    )
    line = [sys.executable, "-m", "mypy", "--config-file", str(settings)]
    line += ["--cache-dir", str(snippet.parent / "cache"), str(snippet)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused(done.stdout, snippet) == {*WRONG}, done.stdout + done.stderr
    assert all(f'"{name}"' in done.stdout for name in WRONG.values())


@pytest.mark.exhaustive  # the package is read anew: a minute
@pytest.mark.no_sanitizer
def test_pyright_refuses_a_slip_and_nothing_else(snippet: Path) -> None:
    if not shutil.which("pyright"):
        pytest.skip("pyright is not installed")
    done = subprocess.run(
        ["pyright", "--pythonpath", sys.executable, str(snippet)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused(done.stdout, snippet) == {*WRONG}, done.stdout + done.stderr
