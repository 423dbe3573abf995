"""The documentation: what a page shows runs and prints what it says, and nothing is left out."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from house.graph import found

import matrixbayes as mb

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [path for path in found(DOCS, "**/*.md") if "_made" not in path.parts]


def of_the_site(name: str) -> ModuleType:
    """What makes the pages, or runs them; it lies beside them."""
    sys.path.insert(0, str(DOCS / "_site"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(DOCS / "_site"))


examples = of_the_site("examples")


def marked(page: Path) -> Any:
    """A page; commands are processes of their own, one of which loads torch."""
    marks = [pytest.mark.slow] if "```console" in page.read_text("utf-8") else []
    return pytest.param(page, marks=marks, id=page.relative_to(DOCS).as_posix())


@pytest.mark.parametrize("page", map(marked, examples.pages()))
def test_examples_print_what_stands_there(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = page.read_text("utf-8")
    for word, module in NEEDED.items():
        if word in text:
            pytest.importorskip(module)
    monkeypatch.chdir(DOCS)
    _, differences = examples.rerun(text)
    if int(np.__version__.split(".")[0]) > 1:  # of older ones the last digits are others
        assert not differences, "\n".join(differences)


# What an example needs that is no part of the core, by a word of it.
NEEDED = {"load_demo": "transformers", "matrixbayes collect": "transformers"}
NEEDED |= {"AutoModel": "transformers", "import torch": "torch", "import matplotlib": "matplotlib"}
NEEDED |= {"mb.plot": "mpltern", ".animate": "PIL", "dask": "dask.array"}
NEEDED |= {
    "to_pandas": "pandas",
    "to_arviz": "arviz_base",
    "sklearn": "sklearn",
    "polars": "polars",
}


def test_other_digits_are_the_same_and_other_words_are_not() -> None:
    text = "```pycon\n>>> 0.5000001, 'a'\n{}\n>>> int('x')\n{}\n```\n"
    error = "Traceback (most recent call last):\n    ...\nValueError: {}"
    same = error.format("invalid literal for int() with base 10: 'x'")
    assert examples.rerun(text.format("(0.5, 'a')", same)) == (text.format("(0.5, 'a')", same), [])
    assert len(examples.rerun(text.format("(0.6, 'a')", error.format("no")))[1]) == 2
    with pytest.raises(ValueError, match="invalid literal"):
        examples.rerun(text.format("(0.5, 'a')", "1"))


def test_the_reference_has_every_public_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")  # which the site sets
    pytest.importorskip("torch")
    pytest.importorskip("mpltern")
    pytest.importorskip("dask.array")
    made = of_the_site("made")
    pages = made.pages()
    here = {place.removeprefix("api/").removesuffix(".rst") for place in pages}
    for module in made.MODULES:
        names = importlib.import_module(f"matrixbayes.{module}").__all__
        assert {n for n in names if n not in mb.__all__} <= {h.rpartition(".")[2] for h in here}
    names = [n for n in mb.__all__ if not inspect.ismodule(getattr(mb, n))]
    assert {f"matrixbayes.{n}" for n in names} <= here
    listed = "".join(text for place, text in pages.items() if place.count(".") == 1)
    assert all(f"`~matrixbayes.{name}`" in listed for name in names)
    assert {*made.MODULES} | {"windtunnel"} >= {n for n in mb.__all__ if n not in names}


def test_every_room_of_the_reference_has_a_title() -> None:
    made = of_the_site("made")
    homes = {home.split(".")[0] for home in mb._HOMES.values()} - {"_base"}
    assert homes <= made.ROOMS.keys()


def test_every_plot_is_in_the_gallery() -> None:
    pytest.importorskip("mpltern")
    gallery = "".join(file.read_text("utf-8") for file in found(DOCS / "gallery", "*.rst"))
    drawn = set(re.findall(r"mb\.plot\.(\w+)\(", gallery))
    assert drawn == {*mb.plot.__all__}
    classes = [thing for name in mb.__all__ if inspect.isclass(thing := getattr(mb, name))]
    classes += [thing for thing in vars(mb.windtunnel).values() if inspect.isclass(thing)]
    own = {kind.__name__ for kind in classes if hasattr(kind, "plot")}
    assert own <= set(re.findall(r"\.(\w+)\.plot`", gallery))


def test_no_picture_asks_for_pandas() -> None:
    """It is no part of the extra `plot`."""
    for file in found(ROOT / "matrixbayes", "**/*plots.py"):
        assert "to_pandas(" not in file.read_text("utf-8"), file


def test_every_error_has_its_place_on_the_page() -> None:
    from matrixbayes import errors

    text = (DOCS / "errors.md").read_text("utf-8")
    for name in errors.__all__:
        assert f"`{name}`" in text


def test_exit_statuses_are_those_of_the_command_line() -> None:
    from matrixbayes.cli.program import STATUS

    rows = "".join(f"| {number} | {words} |\n" for number, words in STATUS.items())
    assert rows in (DOCS / "command_line.md").read_text("utf-8")


def test_every_question_has_its_page() -> None:
    """Those of the README are titles of pages, or lead to some."""
    pages = [page for page in PAGES if DOCS / "how-to" in page.parents]
    titles = {plain(page.read_text("utf-8").splitlines()[0].lstrip("# ")) for page in pages}
    assert len(titles) > 20
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    asked = [line for line in lines if re.match(r"\| [A-Z][^|]*\? \|", line)]
    for line in asked:
        assert "](docs/how-to/" in line or plain(line.split("|")[1].strip()) in titles, line


def plain(text: str) -> str:
    return text.replace("*", "").replace("`", "")


def test_folders_stay_small() -> None:
    for folder in {page.parent for page in PAGES}:
        assert len([path for path in folder.iterdir() if path.is_file()]) <= 16, folder
