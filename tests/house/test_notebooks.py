"""The notebooks are kept with what they print, and print it again; what they claim is so.

`claims` holds, for each notebook, what has to be true after some of its cells: there, and not in
the cells, for a reader wants to see what is found and not that it was expected.
"""

from __future__ import annotations

import ast
import base64
import re
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from house.graph import found
from scripts import loaded

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = found(ROOT / "notebooks", "*.ipynb")
CLAIMS = Path(__file__).parent / "claims"
# These train models, read ladders of them, or fit to every token of a vocabulary.
LONG = ("02_the_matrix", "03_continuity", "04_in_context_learning", "06_a_real_model")
MOST_BYTES = 3_000_000  # of all of them
NAMES = [path.stem for path in NOTEBOOKS]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return loaded(ROOT / "tools/run_notebooks.py")


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_notebooks_are_kept_with_what_they_print(path: Path) -> None:
    notebook, cells = read(path), code_cells(path)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    # Nothing that a reader would stumble over: no warning, no error, no bar.
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert {output.output_type for output in outputs} <= {
        "stream",
        "display_data",
        "execute_result",
    }
    forms = {form for output in outputs for form in output.get("data", {})}
    assert forms <= {"image/png", "text/plain", "text/html", "text/markdown"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_notebooks_say_nothing_of_the_machine(path: Path) -> None:
    notebook = read(path)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert set(notebook.metadata.language_info) == {"name", "version"}
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)
    tags = {tag for cell in notebook.cells for tag in cell.metadata.get("tags", ())}
    assert tags <= {"trained", "told"}
    text = path.read_text("utf-8")
    assert not re.search(r"(?<![\w.<])/(?:home|work|root|tmp|Users)/| at 0x[0-9a-f]{6}", text)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_cells_assert_nothing_and_look_at_no_clock(path: Path) -> None:
    for cell in code_cells(path):
        tree = ast.parse(cell.source)
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Assert)], cell.id
        assert not re.search(r"\bimport time\b|perf_counter|process_time|%time", cell.source)


def test_notebooks_are_small() -> None:
    assert sum(path.stat().st_size for path in NOTEBOOKS) < MOST_BYTES


def test_notebooks_and_readme_state_the_same_seconds(tool: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for path in NOTEBOOKS:
        rows = [line for line in readme.splitlines() if line.startswith("|")]
        line = next(line for line in rows if f"notebooks/{path.name})" in line)
        assert re.search(rf"\b{tool.stated(read(path))} s\b", line), line


def claims(name: str) -> dict[str, str]:
    """Python code by the cells that it stands after."""
    text = (CLAIMS / f"{name}.py").read_text("utf-8")
    parts = re.split(r"^# after (\S+)\n", text, flags=re.MULTILINE)
    return {
        cell: f"import numpy as np\n{code}"
        for cell, code in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_every_notebook_has_claims_about_cells_that_are_there() -> None:
    assert {path.stem for path in found(CLAIMS, "*.py")} == set(NAMES)
    for path in NOTEBOOKS:
        held = claims(path.stem)
        assert set(held) <= {cell.id for cell in code_cells(path)}
        assert all("assert " in code for code in held.values())


def marked(path: Path) -> Any:
    """A notebook, with how long it takes."""
    mark = pytest.mark.exhaustive if path.stem in LONG else pytest.mark.slow
    return pytest.param(path, marks=mark, id=path.stem)


@pytest.mark.no_sanitizer
@pytest.mark.filterwarnings("ignore")  # of the Jupyter machinery; the notebook is another process
@pytest.mark.parametrize("path", map(marked, NOTEBOOKS))
def test_notebooks_print_again_what_they_hold(
    path: Path, tool: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("ipykernel", "ipywidgets", "torch", "transformers", "tokenizers", "mpltern"):
        pytest.importorskip(module)
    monkeypatch.delenv("MPLBACKEND", raising=False)  # pictures inside, as a reader gets them
    # With the names that there are then, and without leaving any.
    after = {
        cell: [f"exec(compile({code!r}, 'claims', 'exec'), dict(globals()))"]
        for cell, code in claims(path.stem).items()
    }
    fresh, _ = tool.run(path, after)
    assert not tool.differences(read(path), fresh)


def cell(text: str, *, tags: tuple[str, ...] = (), version: str = "3.11.7") -> Any:
    """A notebook of one cell that prints a text."""
    language = {"name": "python", "version": version}
    notebook = nbformat.v4.new_notebook(metadata={"language_info": language})
    stream = nbformat.v4.new_output("stream", name="stdout", text=text)
    only = nbformat.v4.new_code_cell("print()", execution_count=1, outputs=[stream])
    only.id, only.metadata.tags = "only", list(tags)
    notebook.cells = [only]
    return notebook


@pytest.mark.parametrize(
    ("kept", "fresh", "tags", "same"),
    [
        ("KL 0.0123 bits", "KL 0.0123 bits", (), True),
        ("KL 0.0123 bits", "KL 0.0124 bits", (), True),  # the last digit
        ("KL 0.0123 bits", "KL 0.0143 bits", (), False),
        ("KL 0.0123 bits", "KL 0.0143 bits", ("trained",), True),
        ("KL 0.0123 bits", "KL 0.0223 bits", ("trained",), False),
        ("KL 0.0123 bits", "KL 0.0123 nats", ("trained",), False),
        ("KL 0.0123 bits", "anything", ("told",), True),
        ("rounding 2e-17", "rounding 9e-16", (), True),
        ("rounding 2e-17", "rounding 9e-3", (), False),
        ("60,530,000 rows", "61,530,000 rows", (), False),
        ("at -0.5", "at 0.5", (), False),
        ("1 row", "1 row, 2 rows", (), False),
        ("red 0.448", "blue 0.448", (), False),
        ("p   0.5", "p 0.5", (), True),  # columns may move
    ],
)
def test_what_counts_as_the_same(
    tool: ModuleType, kept: str, fresh: str, tags: tuple[str, ...], same: bool
) -> None:
    said = tool.differences(cell(kept, tags=tags), cell(fresh))
    assert (not said) is same
    assert all(line.startswith("only: ") for line in said)


def test_another_python_is_held_to_kinds_alone(tool: ModuleType) -> None:
    assert not tool.differences(cell("1 a"), cell("2 b", version="3.12.1"))
    empty = cell("2 b", version="3.12.1")
    empty.cells[0].outputs = []
    assert tool.differences(cell("1 a"), empty)


def test_pictures_have_their_sizes(tool: ModuleType) -> None:
    def drawn(width: int, height: int) -> Any:
        header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)
        data = {"image/png": base64.b64encode(header.ljust(60, b"\0")).decode()}
        notebook = cell("")
        notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data=data)]
        return notebook

    assert not tool.differences(drawn(800, 400), drawn(802, 401))
    assert tool.differences(drawn(800, 400), drawn(800, 500))
    assert tool.differences(drawn(800, 400), cell("text"))


@pytest.mark.slow
@pytest.mark.no_sanitizer
@pytest.mark.filterwarnings("ignore")
def test_code_after_cells_sees_their_names_and_leaves_no_trace(
    tool: ModuleType, tmp_path: Path
) -> None:
    pytest.importorskip("ipykernel")
    notebook = cell("")
    notebook.cells = [nbformat.v4.new_code_cell(code) for code in ("a = 1", "print(a)")]
    first, last = (each.id for each in notebook.cells)
    path = tmp_path / "small.ipynb"
    nbformat.write(notebook, path)
    fresh, seconds = tool.run(path, {first: ["assert a == 1", "a = 2"]}, by_cell=True)
    assert [each.source for each in fresh.cells] == ["a = 1", "print(a)"]
    assert [each.id for each in fresh.cells] == [first, last]
    assert [each.execution_count for each in fresh.cells] == [1, 2]
    assert fresh.cells[1].outputs[0].text == "2\n"
    assert seconds > 0
    with pytest.raises(Exception, match="AssertionError"):
        tool.run(path, {first: ["assert a == 2"]})


def test_the_tool_says_what_is_not_stated(tool: ModuleType) -> None:
    notebook = cell("")
    with pytest.raises(ValueError, match="seconds of CPU"):
        tool.stated(notebook)
