"""The wheel: what it is called, what is in it, and that it needs no more than it says."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.no_sanitizer]  # an ordinary build is what is looked at
if not os.environ.get("MATRIXBAYES_WHEEL"):
    pytestmark.append(pytest.mark.slow)  # one is built


def pip(python: Path | str, *arguments: object) -> subprocess.CompletedProcess[str]:
    line = [str(python), "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, made in a copy of what belongs to it."""
    given = os.environ.get("MATRIXBAYES_WHEEL")
    if given:
        return Path(given)
    if not (find_spec("setuptools") and find_spec("pip") and (ROOT / "setup.py").exists()):
        pytest.skip("no checkout with setuptools to make a wheel of")
    folder = tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns("__pycache__", "*.so", ".*", "build", "*.egg-info")
    for name in ("csrc", "matrixbayes"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=unwanted)
    for file in ROOT.iterdir():
        if file.is_file() and not file.name.startswith("."):
            shutil.copy(file, folder / "source")
    options = ("--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    done = pip(sys.executable, "wheel", *options, folder / "source")
    assert done.returncode == 0, done.stderr + done.stdout
    (made,) = folder.glob("*.whl")
    return made


def test_wheel_is_for_every_python_from_3_11(wheel: Path) -> None:
    assert "-cp311-abi3-" in wheel.name


def test_wheel_holds_the_package_only(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
        metadata = next(n for n in file.namelist() if n.endswith(".dist-info/METADATA"))
        text = file.read(metadata).decode()
    tree = {p for p in (ROOT / "matrixbayes").rglob("*") if p.is_file()}
    tree = {p for p in tree if "__pycache__" not in p.parts and p.suffix not in (".so", ".pyd")}
    wanted = {p.relative_to(ROOT).as_posix() for p in tree}
    extension = {name for name in names if name.startswith("matrixbayes/_core.abi3.")}
    assert len(extension) == 1
    assert names - extension == wanted
    assert {"matrixbayes/py.typed", "matrixbayes/_core.pyi"} <= wanted
    assert "License-Expression: MIT" in text
    needs = [line for line in text.splitlines() if line.startswith("Requires-Dist:")]
    assert {n.split()[1].split(">")[0] for n in needs if "extra ==" not in n} == {
        "numpy",
        "scipy",
        "safetensors",
        "threadpoolctl",
    }


def test_core_works_without_the_extras(
    wheel: Path, tmp_path: Path, run_python: Callable[..., str]
) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    folder = "Scripts" if sys.platform == "win32" else "bin"
    python = tmp_path / "venv" / folder / "python"
    done = pip(python, "install", "numpy", "scipy", "safetensors", "threadpoolctl")
    if done.returncode != 0:
        pytest.skip("what the package needs cannot be installed from here")
    done = pip(python, "install", "--no-index", wheel)
    assert done.returncode == 0, done.stderr
    code = """
        import sys
        import numpy as np
        import matrixbayes as mb
        rng = np.random.default_rng(0)
        rows = rng.dirichlet([2.0, 3.0, 5.0], size=400)
        prior = mb.DirichletMixtureEstimator(kind="probs", random_state=0).fit(rows).prior_
        assert np.allclose(prior.alpha, [[2.0, 3.0, 5.0]], rtol=0.25), prior.alpha
        posterior = prior.posterior([1, 0, 2])
        assert np.isclose(posterior.predictive().sum(), 1)
        posterior.save("posterior.safetensors")
        assert mb.DirichletMixture.load("posterior.safetensors") == posterior
        print("torch" in sys.modules, mb.__version__)
    """
    assert run_python(inspect.cleandoc(code), python=python).split()[0] == "False"
