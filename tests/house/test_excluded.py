"""Lines that coverage does not count: each says why, and they are few.

`make coverage` counts every line of csrc but those that end with /* never: why */, and
`make coverage-python` every line of matrixbayes but those with "# pragma: no cover - why", and what
the settings of coverage in pyproject.toml leave out for type checkers.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from house.graph import found

ROOT = Path(__file__).resolve().parents[2]
# What is added has to be taken from another place, or argued for here.
MOST = {"csrc": 20, "matrixbayes": 40}
MARKS = {"csrc": r"\bnever\b\s*:?(.*)", "matrixbayes": r"#\s*pragma:?\s*no\s*(?:cover|branch)(.*)"}
REASONS = {"csrc": r": ([a-z].{9,}) \*/$", "matrixbayes": r" - ([a-z].{9,})$"}


def marked(folder: str) -> list[tuple[str, str, str | None]]:
    """Where each mark of a folder is, the line, and its reason, None without one."""
    files = [
        *found(ROOT / folder, "c*/**/*.[ch]" if folder == "csrc" else "**/*.py"),
        *(found(ROOT / folder, "bind/**/*.[ch]") if folder == "csrc" else ()),
    ]
    lines = []
    for file in files:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if folder == "csrc" and "/* never" not in line:
                continue
            if mark := re.search(MARKS[folder], line):
                why = re.search(REASONS[folder], line[mark.start() :])
                place = f"{file.relative_to(ROOT)}:{number}"
                lines.append((place, line.strip(), why[1] if why else None))
    return lines


@pytest.mark.promise(17)
@pytest.mark.parametrize("folder", MOST)
def test_lines_that_are_left_out_say_why_and_are_few(
    folder: str, figure: Callable[[str], None]
) -> None:
    lines = marked(folder)
    assert [line for line in lines if line[2] is None] == []
    listed = "\n".join(f"{place}: {why}" for place, _, why in lines)
    print(listed)
    assert len(lines) <= MOST[folder], listed
    figure(f"{folder}: {len(lines)} lines that no test reaches, each with its reason")


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("matrixbayes", "x = 1  # pragma: no cover"),
        ("matrixbayes", "x = 1  #pragma:no cover"),
        ("matrixbayes", "x = 1  # pragma: no cover - why"),
        ("csrc", "return -1; /* never */"),
        ("csrc", "return -1; /* never: no */"),
    ],
)
def test_a_mark_without_a_reason_is_seen(folder: str, line: str) -> None:
    mark = re.search(MARKS[folder], line)
    assert mark is not None
    assert re.search(REASONS[folder], line[mark.start() :]) is None


def test_nothing_else_is_left_out() -> None:
    """Settings of coverage leave out what type checkers alone read, and ask for the rest."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]
    assert settings["report"]["fail_under"] >= 97
    assert settings["report"]["exclude_also"] == [
        "if TYPE_CHECKING:",
        r"\.\.\.$",
        "raise NotImplementedError$",
    ]
    assert not {"omit", "exclude_lines"} & (settings["run"].keys() | settings["report"].keys())
