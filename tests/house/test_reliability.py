"""docs/reliability.md against what is there: each promise has a check, each check a promise."""

from __future__ import annotations

import re
from pathlib import Path

from house.graph import found

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"
ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
CHECK = re.compile(r"`(?:(tests/[\w/]+\.py)|make ([\w-]+))`")


def rows() -> dict[int, str]:
    """Where each promise is checked, as the page says."""
    lines = ROW.findall(PAGE.read_text("utf-8"))
    checks = {int(number): where for number, _, _, where, _ in lines}
    assert len(checks) == len(lines), "a number stands there twice"
    return checks


def in_tests() -> dict[int, set[str]]:
    """The files with tests of each promise."""
    files: dict[int, set[str]] = {}
    for file in found(ROOT / "tests", "**/test_*.py"):
        for number in re.findall(r"\bmark\.promise\((\d+)\)", file.read_text("utf-8")):
            files.setdefault(int(number), set()).add(file.relative_to(ROOT).as_posix())
    return files


def in_make() -> dict[int, set[str]]:
    """The targets that print a figure of each promise."""
    targets: dict[int, set[str]] = {}
    for recipe in (ROOT / "Makefile").read_text("utf-8").split("\n\n"):
        for number in re.findall(r"\$\(call figure,(\d+),", recipe):
            names = re.findall(r"^([\w-]+):(?!=)", recipe, re.MULTILINE)
            targets.setdefault(int(number), set()).add(names[-1])
    return targets


def test_every_check_has_its_promise_and_conversely() -> None:
    there = in_tests()
    for number, targets in in_make().items():
        there.setdefault(number, set()).update(f"make {target}" for target in targets)
    stated = {
        number: {file or f"make {target}" for file, target in CHECK.findall(where)}
        for number, where in rows().items()
    }
    assert stated.keys() == there.keys()
    assert not [number for number in stated if not stated[number]]
    assert not {number: more for number in stated if (more := stated[number] - there[number])}


def test_every_tier_is_a_target() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    named = re.findall(r"`?make ([a-z-]+)", PAGE.read_text("utf-8"))
    assert {"check-short", "check", "check-release"} <= {*named}
    assert not [name for name in named if not re.search(rf"^{name}:", text, re.MULTILINE)]
