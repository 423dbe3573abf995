"""Lines that coverage does not count: each says why, and they are few.

`make coverage` counts every line of csrc but those that end with /* never: why */, and
`make coverage-python` every line of matrixbayes but those with "# pragma: no cover - why", and what
the settings of coverage in pyproject.toml leave out for type checkers.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from house.graph import found
from scripts import loaded

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


def gate() -> ModuleType:
    return loaded(ROOT / "tools" / "measure_coverage.py")


def test_a_line_of_c_that_no_test_reaches_any_more_fails_the_gate() -> None:
    """The floor leaves place for lines that a signal reaches or not."""
    measure = gate()
    floors = json.loads(measure.FLOORS.read_text())
    assert floors["lines"] >= 99.9
    found: dict[str, Any] = {"line_percent": 100.0, "branch_percent": floors["branches"] + 0.1}
    found["files"] = [
        {"filename": "csrc/bind/a.c", "branch_percent": floors["branches of each file"] + 0.1},
        {"filename": "csrc/core/of_no_branch.h", "branch_percent": None},
    ]
    assert measure.compare(found, dict(floors), lift=False) == []
    less = measure.compare({**found, "line_percent": 99.8}, dict(floors), lift=True)
    assert less == ["lines are covered to 99.8 %, below the floor of 99.9 %"]
    less = measure.compare({**found, "branch_percent": floors["branches"] - 0.1}, floors, lift=True)
    assert [line.partition(" ")[0] for line in less] == ["branches"]
    found["files"][0]["branch_percent"] -= 0.2
    less = measure.compare(found, dict(floors), lift=False)
    assert [line.partition(" are")[0] for line in less] == ["branches of each file"]


def test_the_line_that_was_lost_is_told() -> None:
    lines = [
        {"line_number": 1, "count": 3, "branches": []},
        {"line_number": 2, "count": 0, "branches": [{"count": 0}, {"count": 0}]},
        {"line_number": 3, "count": 0, "branches": [], "gcovr/excluded": True},
        {"line_number": 4, "count": 1, "branches": [{"count": 1}, {"count": 0}]},
    ]
    whole = {"files": [{"file": "csrc/bind/bind.h", "lines": lines}]}
    (lost,) = gate().missing(whole, branches=False)
    assert lost.startswith("csrc/bind/bind.h:2: never ")
    assert [line.split()[0] for line in gate().missing(whole, branches=True)] == [
        "csrc/bind/bind.h:2:",
        "csrc/bind/bind.h:4:",
    ]


def test_nothing_else_is_left_out() -> None:
    """Settings of coverage leave out what type checkers alone read, and ask for the rest."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]
    assert settings["report"]["fail_under"] == 100
    assert settings["report"]["exclude_also"] == [
        "if TYPE_CHECKING:",
        r"\.\.\.$",
        "raise NotImplementedError$",
    ]
    assert not {"omit", "exclude_lines"} & (settings["run"].keys() | settings["report"].keys())
