"""The papers of the house: what cites a page cites one that is there, and versions agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from house.graph import found

import matrixbayes as mb

ROOT = Path(__file__).resolve().parents[2]
PAPERS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]
PAPERS += [page.relative_to(ROOT).as_posix() for page in found(ROOT / "docs", "**/*.md")]
CODE = [
    *found(ROOT / "csrc", "**/*.[ch]"),
    *found(ROOT / "matrixbayes", "**/*.py*"),
    *found(ROOT / "tools", "*.py"),
    *found(ROOT / "tests", "**/*.py"),
]


def headings(page: Path) -> set[str]:
    return set(re.findall(r"^## ([0-9]+)\. ", page.read_text("utf-8"), re.MULTILINE))


def test_sections_that_are_cited_are_there() -> None:
    sections = headings(ROOT / "docs/model.md")
    assert sections == {str(n) for n in range(1, 11)}
    cited = re.compile(r"model\.md,? sections? ([0-9]+)(?:(?: and|,|,? to) ([0-9]+))*")
    seen = set()
    for file in CODE:
        if file.suffix == ".pyc":
            continue
        text = re.sub(r"\n[ \t]*[*#]?[ \t]*", " ", file.read_text("utf-8"))
        numbers = {n for match in cited.finditer(text) for n in match.groups() if n}
        assert numbers <= sections, file
        seen |= numbers
    assert {"3", "4", "5", "10"} <= seen


def test_pages_that_are_named_are_there() -> None:
    named = re.compile(r"(?<![\w/])((?:[\w-]+/)*[\w-]+\.md)\b")
    for file in CODE:
        if file.suffix == ".pyc":
            continue
        for name in named.findall(file.read_text("utf-8")):
            places = [ROOT, ROOT / "docs", ROOT / "csrc", ROOT / "benchmarks", file.parent]
            assert any((place / name).is_file() for place in places), f"{file}: {name}"


@pytest.mark.parametrize("page", PAPERS)
def test_links_lead_somewhere(page: str) -> None:
    file = ROOT / page
    text = file.read_text("utf-8")
    for link in re.findall(r"\]\(([^)#\s]+)\)", text):
        assert link.startswith("https://") or (file.parent / link).exists(), link


@pytest.mark.parametrize("page", PAPERS)
def test_files_that_are_named_are_there(page: str) -> None:
    """By a path; from the root, the package, the core, or what is written above."""
    text = (ROOT / page).read_text("utf-8")
    for name in re.findall(r"`([\w.-]+/[\w./-]+\.(?:py|pyi|c|h|md|json|toml|txt))`", text):
        places = (ROOT, ROOT / "matrixbayes", ROOT / "csrc")
        if name.startswith(("build/", "sboms/")):  # what is made
            continue
        assert any((place / name).exists() for place in places), name


def test_pages_carry_no_paths_of_a_machine() -> None:
    for page in PAPERS:
        assert not re.search(r"(?<![\w.])/(?:home|work|root|tmp|Users)/", (ROOT / page).read_text())


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["version"] == mb.__version__
    assert f"\nversion: {mb.__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    pinned = re.findall(
        r'"([\w-]+==[\w.]+)"', (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    )
    assert {name.partition("==")[0] for name in pinned} == {"ruff", "clang-format"}
    assert {*pinned} <= {*project["dependency-groups"]["lint"]}


def test_papers_come_with_the_source() -> None:
    manifest = (ROOT / "MANIFEST.in").read_text("utf-8").split()
    for page in PAPERS:
        assert page in manifest or (page.startswith("docs/") and "docs" in manifest), page
    for name in ("CITATION.cff", ".editorconfig", ".pre-commit-config.yaml"):
        assert name in manifest, name


def test_the_map_of_csrc_names_every_file() -> None:
    text = (ROOT / "csrc/README.md").read_text("utf-8").partition("## Rules")[0]
    named = set(re.findall(r"`(?:\w+/)*(\w+\.[ch])`", text))
    named |= {f"{name}.{end}" for name in re.findall(r"`(\w+)\.\[ch\]`", text) for end in "ch"}
    there = {file.name for file in found(ROOT / "csrc", "*/**/*.[ch]")}
    assert named - {"x.c", "x.h"} == there
