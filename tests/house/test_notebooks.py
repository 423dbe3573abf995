"""The notebooks run from top to bottom, and are committed without what they print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from house.graph import found

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
for module in ("ipykernel", "torch", "transformers", "tokenizers", "nltk", "mpltern"):
    pytest.importorskip(module)

TRAINING = ("02_the_matrix", "04_in_context_learning")  # minutes: models are trained, ladders read
NOTEBOOKS = found(Path(__file__).parents[2] / "notebooks", "*.ipynb")


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS
    assert {path.stem for path in NOTEBOOKS} >= set(TRAINING)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_committed_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def marked(path: Path) -> Any:
    """A notebook, with how long it takes."""
    mark = pytest.mark.exhaustive if path.stem in TRAINING else pytest.mark.slow
    return pytest.param(path, marks=mark, id=path.stem)


@pytest.mark.no_sanitizer
@pytest.mark.filterwarnings("ignore")  # of the Jupyter machinery; the notebook is another process
@pytest.mark.parametrize("path", map(marked, NOTEBOOKS))
def test_notebooks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPLBACKEND", raising=False)  # pictures inside, as a reader gets them
    # What tqdm says to everyone who has no ipywidgets.
    monkeypatch.setenv("PYTHONWARNINGS", "ignore:IProgress not found")
    notebook = nbformat.read(path, as_version=4)
    # In an empty folder, so that the installed package is what it imports.
    client = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert any("assert " in cell.source for cell in code)
    printed = [output for cell in code for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in printed)
    # Nothing that a reader would stumble over: no warning, no noise.
    noise = [output.text for output in printed if output.get("name") == "stderr"]
    assert noise == []
