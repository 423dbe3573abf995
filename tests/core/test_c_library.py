"""libmatrixbayes: csrc as a C library without Python, its example and its drivers."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from house.graph import found

import matrixbayes as mb

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
pytestmark = [pytest.mark.slow, pytest.mark.no_sanitizer]  # nothing of the extension is run


def run(*line: object) -> str:
    done = subprocess.run(
        [str(part) for part in line], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make(compiler: str, folder: Path, *targets: str) -> None:
    if not shutil.which(compiler) or not shutil.which("make"):
        pytest.skip(f"no {compiler} or no make here")
    flags = "CFLAGS=-O1 -Werror"
    run("make", "-s", "-j2", "-C", CSRC, f"CC={compiler}", f"BUILD={folder}", flags, *targets)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders with the library and its example, each made once, by their compilers."""

    @cache
    def build(compiler: str) -> Path:
        folder = tmp_path_factory.mktemp(compiler)
        make(compiler, folder, "all", "example")
        return folder

    return build


@pytest.fixture(params=["gcc", "clang"])
def library(request: pytest.FixtureRequest, built: Callable[[str], Path]) -> Path:
    return built(request.param)


def test_its_names_begin_with_mb(library: Path) -> None:
    said = run("nm", "-g", "--defined-only", "--format=posix", library / "libmatrixbayes.a")
    names = set(re.findall(r"^(\S+) [A-Zi] ", said, re.MULTILINE))
    assert {"mb_expectation", "mb_calloc", "mb_transitions_new"} <= names
    assert all(name.startswith("mb_") for name in names)
    assert "Py" not in run("nm", "-u", library / "libmatrixbayes.a")


@pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc here")
def test_one_header_is_enough(tmp_path: Path) -> None:
    source = tmp_path / "program.c"
    source.write_text('#include "matrixbayes.h"\n#include "matrixbayes.h"\n')
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{CSRC}"]
    text = run("gcc", *flags, "-E", source)
    for name in ("lgamma", "log_probs", "mixture_new", "expectation", "transitions_update"):
        assert f"mb_{name}(" in text
    assert "_object" not in text
    run("gcc", *flags, "-fsyntax-only", source)


def test_example_fits_as_python_does(library: Path, tmp_path: Path) -> None:
    truth = mb.DirichletMixture([0.6, 0.4], [[8.0, 2.0, 1.0, 1.0], [1.0, 6.0, 2.0, 3.0]])
    table = truth.sample(200, rng=0)
    file = tmp_path / "table.txt"
    lines = [" ".join(map(repr, row)) for row in table.tolist()]
    file.write_text("\n".join(["200 4", *lines]))
    total, *components = run(library / "fit_mixture", 2, file).splitlines()
    found = [[float(x) for x in re.findall(r"[-\d.e]+\d", line)] for line in components]
    share = 0.05 + 0.9 * (table.argmax(axis=1)[:, np.newaxis] % 2 == np.arange(2))
    fitted = mb.DirichletMixtureEstimator(
        2, kind="probs", init=share, tol=0.0, max_iter=2000, accelerate=False
    ).fit(table)
    order = np.argsort([-weight for weight, *_ in found])
    assert float(total.split()[1]) == pytest.approx(fitted.log_likelihood_, rel=1e-9)
    weights, alpha = np.array(found)[order, 0], np.array(found)[order, 1:]
    np.testing.assert_allclose(weights, fitted.weights_, rtol=1e-4)
    np.testing.assert_allclose(alpha, fitted.alpha_, rtol=1e-4)


@pytest.mark.parametrize("text", ["", "2 2\n0.5 0.5\n0.5", "1 2\n0.5 0.6", "1 2\n1 0", "1 2\n1 x"])
def test_example_refuses(library: Path, tmp_path: Path, text: str) -> None:
    file = tmp_path / "table.txt"
    file.write_text(text)
    line = [str(library / "fit_mixture"), "1", str(file)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert "no fit" in done.stderr


def test_drivers_run(built: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(built("gcc"), tmp_path / "build")
    make("gcc", folder, "test")
    passed = {file.stem for file in (folder / "test").glob("*.passed")}
    assert passed == {file.stem for file in found(CSRC, "test/test_*.c")}
    assert passed
    make("gcc", folder, "clean")
    assert not list(tmp_path.rglob("*.*"))


def test_flags_are_those_of_the_extension() -> None:
    tree = ast.parse((ROOT / "setup.py").read_text("utf-8"))
    text = (CSRC / "Makefile").read_text("utf-8").replace("\\\n", " ")
    for name in ("WARNINGS", "ARITHMETIC"):
        lists = [
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
        ]
        (line,) = re.findall(rf"^{name} := (.*)$", text, re.MULTILINE)
        assert [line.split()] == lists
