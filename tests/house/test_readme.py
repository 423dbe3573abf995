"""The README: short before its first table, and what it shows runs and prints what stands there."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINES = (ROOT / "README.md").read_text("utf-8").splitlines()
MOST_BEFORE = 60  # lines before the first table
WORDS = ("row", "prior", "concentration", "shot", "elicit", "evidence")


def before_tables() -> list[str]:
    return LINES[: next(i for i, line in enumerate(LINES) if line.startswith("|"))]


def test_what_it_is_comes_before_tables() -> None:
    text = "\n".join(before_tables())
    assert len(before_tables()) <= MOST_BEFORE
    assert len(re.findall(r"^!\[", text, re.MULTILINE)) == 1
    assert re.findall(r"^    (make \w+)", text, re.MULTILINE) == ["make demo", "make test"]
    assert set(re.findall(r"\*\*(\w+)\*\*", text)) == set(WORDS)
    assert len(re.findall(r"^>>> ", text, re.MULTILINE)) == 5


def test_its_commands_are_there() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    named = re.findall(r"(?:^    |`)make ([a-z][\w-]*)", "\n".join(LINES), re.MULTILINE)
    assert {"demo", "notebook", "bench", "docs"} <= set(named)
    assert set(named) <= set(targets)


@pytest.mark.slow
@pytest.mark.no_sanitizer
def test_its_examples_print_what_stands_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    monkeypatch.syspath_prepend(ROOT / "docs" / "_site")
    examples = importlib.import_module("examples")
    monkeypatch.delitem(sys.modules, "examples")
    text = "\n".join(LINES)
    assert examples.BLOCK.search(text)
    assert set(re.findall(r"^```(\w+)$", text, re.MULTILINE)) == {"pycon", "text"}
    _, differences = examples.rerun(text)
    assert not differences, "\n".join(differences)
