"""The wheel: what it is called, what is in it, and that it needs no more than it says.

And an installed checkout, as type checkers see it.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest
from house import graph

ROOT = Path(__file__).resolve().parents[2]
# What modules may ask for that a bare environment does not have.
OPTIONAL = {"arviz_base", "dask", "distributed", "matplotlib", "mpltern", "pandas", "torch"}
OPTIONAL |= {"huggingface_hub", "tqdm", "transformers"}

pytestmark = [pytest.mark.no_sanitizer]  # an ordinary build is what is looked at


def needs_wheel(test: Callable[..., None]) -> Callable[..., None]:
    """Slow where a wheel has to be built."""
    return test if os.environ.get("MATRIXBAYES_WHEEL") else pytest.mark.slow(test)


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


@needs_wheel
def test_wheel_is_for_every_python_from_3_11(wheel: Path) -> None:
    assert "-cp311-abi3-" in wheel.name


@needs_wheel
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


@pytest.fixture(scope="session")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel and what it says it needs alone."""
    place = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    python = place / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    done = pip(python, "install", "numpy", "scipy", "safetensors", "threadpoolctl")
    if done.returncode != 0:
        pytest.skip("what the package needs cannot be installed from here")
    done = pip(python, "install", "--no-index", wheel)
    assert done.returncode == 0, done.stderr
    return python


@needs_wheel
def test_every_room_is_there_and_imports(bare: Path, run_python: Callable[..., str]) -> None:
    code = """
        import importlib, json, pathlib
        import matrixbayes
        failed, root = {}, pathlib.Path(matrixbayes.__file__).parent  # not all can be imported
        files = [file.relative_to(root.parent).with_suffix("") for file in root.rglob("*.py")]
        names = [".".join(file.parts).removesuffix(".__init__") for file in files]
        for name in names:
            try:
                importlib.import_module(name)
            except ImportError as error:  # with a sentence of ours, or as it came
                failed[name] = (error.__cause__ or error).name
        print(json.dumps([names, failed]))
    """
    names, failed = json.loads(run_python(inspect.cleandoc(code), "-I", python=bare))
    wanted = {f"matrixbayes.{name}".strip(".") for name in graph.modules(ROOT)}
    assert len(wanted) > 50
    assert not wanted - {*names}
    assert {str(name).split(".")[0] for name in failed.values()} <= OPTIONAL


@needs_wheel
def test_core_works_without_the_extras(bare: Path, run_python: Callable[..., str]) -> None:
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
    assert run_python(inspect.cleandoc(code), "-I", python=bare).split()[0] == "False"


def test_type_checkers_find_an_installed_checkout() -> None:
    """They run nothing: they look along the folders of site-packages and of its .pth files."""
    try:
        told = distribution("matrixbayes").read_text("direct_url.json")
    except PackageNotFoundError:
        told = None
    url = json.loads(told or "{}")
    source = Path(url2pathname(urlparse(url.get("url", "")).path))
    if not url.get("dir_info", {}).get("editable") or source != ROOT:
        pytest.skip("this checkout is not installed here as one to edit")
    site = Path(str(distribution("matrixbayes").locate_file("")))
    lines = [line for file in site.glob("*.pth") for line in file.read_text().splitlines()]
    folders = [Path(line) for line in lines if line and not line.startswith(("import ", "#"))]
    assert any((folder / "matrixbayes" / "__init__.py").is_file() for folder in folders)
