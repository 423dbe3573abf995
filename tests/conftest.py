"""What all tests share: how they run beside a sanitizer, in processes of their own, in many blocks.

Contents
    figure         what a check of a promise came to, for the table at the end
    run_python     code in a fresh interpreter
    many_blocks    data and pieces of work of a few rows: small tests run many tasks, and say so
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import left_behind
import offline  # noqa: F401  # denies every machine but this one, to all tests
import pytest

# A child process imports what this one does, not the folder that it starts in.
os.environ["PYTHONSAFEPATH"] = "1"
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    os.environ.setdefault("PYTHON_GIL", "1")  # loading the core switches it on, with a warning
os.environ.setdefault("MPLBACKEND", "agg")
# Nothing here needs a network: the bundled model is a folder.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# A shell that starts tests in the background has them ignore Ctrl-C, and their children with them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in each run, and no clock: a failure can be repeated anywhere.
hypothesis.settings.register_profile("suite", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("suite")


def under_address_sanitizer() -> bool:
    """Whether AddressSanitizer is part of this process."""
    return hasattr(ctypes.CDLL(None), "__asan_init")


if "xdist" in sys.modules:
    # A worker writes what coverage has counted when it ends, and is killed if that takes longer.
    importlib.import_module("xdist.workermanage").NodeManager.EXIT_TIMEOUT = 300


def pytest_report_header() -> str:
    import matrixbayes

    sanitizer = ", under AddressSanitizer" if under_address_sanitizer() else ""
    return f"matrixbayes: {Path(matrixbayes.__file__).parent}{sanitizer}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # What takes a minute comes first: several processes then end at one time.
    items.sort(key=lambda item: not any(map(item.get_closest_marker, ("exhaustive", "first"))))
    if not under_address_sanitizer():
        return
    for item in items:
        if item.get_closest_marker("no_sanitizer"):
            item.add_marker(pytest.mark.skip(reason="not under AddressSanitizer"))


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says what a test marked ``promise(number)`` ran and came to, in a line at the end."""
    (number,) = request.node.get_closest_marker("promise").args
    return lambda text: request.node.user_properties.append(("figure", (number, text)))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The figures of all promises that were checked, wherever in the suite."""
    reports = [each for many in terminalreporter.stats.values() for each in many]
    lines = {
        (*figure, report.nodeid.rpartition("/")[2], report.outcome)
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, figure in report.user_properties
        if name == "figure"
    }
    if not lines:
        return
    where = " under AddressSanitizer" if under_address_sanitizer() else ""
    table = [
        f"{n:>3}  {outcome}  {text}{where}  ({test})" for n, text, test, outcome in sorted(lines)
    ]
    terminalreporter.section("promises, by their numbers in docs/reliability.md")
    for line in table:
        terminalreporter.line(line)
    if file := os.environ.get("MATRIXBAYES_FIGURES"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        with open(file, "a", encoding="utf-8") as figures:
            figures.writelines(f"{line}\n" for line in table)


@pytest.fixture(autouse=True)
def no_figure_stays_open() -> Iterator[None]:
    """Closes what a test left open in pyplot: any test may come next in this process."""
    yield
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
        pyplot.close("all")


@pytest.fixture(autouse=True)
def nothing_stays_changed() -> Iterator[None]:
    """Fails a test that leaves the process otherwise than it was: any test may come next."""
    before, loaded = left_behind.state(), len(sys.modules)
    yield
    if len(sys.modules) > loaded:  # what libraries change when they are first loaded is theirs
        return
    left = left_behind.differences(before, left_behind.state())
    assert not left, "others find changed what this test left: " + "; ".join(left)


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., str]:
    """Runs code in a fresh interpreter, in an empty folder, and returns what it prints."""

    def run(code: str, *arguments: str, python: str | Path = sys.executable) -> str:
        done = subprocess.run(
            [str(python), *arguments, "-c", code],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


# --- many blocks

# Where work is cut, and sizes at which a test of some hundred rows has many pieces.
SMALL = {
    "_base.parallel.BLOCK_COST": 1,
    "_base.parallel.LEAST_ROWS": 64,  # a tile of the kernels: what rows are cut by is never less
    "estimator.information.BLOCK_CELLS": 64,
    "continuity.distances.CELLS": 512,
    "continuity.distances.MOST_ROWS": 16,
    "continuity.embedding.KERNEL_ROWS": 8,
    "continuity.embedding.PAIRS": 64,
    "sources.rows.BLOCK_ENTRIES": 64,
}
# Who else takes these names from there, or `in_order` from parallel.
USERS = ("sources.factored", "elicitation.objective", "elicitation.resampling")
USERS += ("elicitation.search", "elicitation.elicit")


class ManyBlocks:
    """How many tasks ran in one call at most, by the name of what ran; `merge` is what adds up."""

    def __init__(self) -> None:
        self.tasks: Counter[str] = Counter()
        self.whole: dict[str, int] = {}  # the sizes that SMALL replaces

    def ran(self, *names: str) -> None:
        """Fail unless each ran more than once in some call."""
        few = {name: self.tasks[name] for name in names if self.tasks[name] < 2}
        assert names
        assert not few, f"one block is no test of many: {few} of {dict(self.tasks)}"

    @contextmanager
    def on(self, client: Any) -> Iterator[None]:
        """The same sizes in the worker processes of a Dask cluster."""
        from matrixbayes._base import parallel

        whole = {
            name: self.whole[f"_base.parallel.{name}"] for name in ("BLOCK_COST", "LEAST_ROWS")
        }
        try:
            for name in whole:
                client.run(setattr, parallel, name, getattr(parallel, name))
            yield
        finally:
            for name, size in whole.items():
                client.run(setattr, parallel, name, size)


RAN = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Remembers whether a test ran to its end: one that was skipped cut nothing."""
    report = yield
    if report.when == "call":
        item.stash[RAN] = report.passed
    return report


@pytest.fixture
def many_blocks(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[ManyBlocks]:
    """Cuts all work into small pieces, here and in forked workers, and counts the tasks.

    A test says which were cut, ``many_blocks.ran("expectation")``, and compares with something
    that was not cut: a slow twin, or one call of a kernel.  Two ways that both lose all that
    comes after the first block agree to the last bit.
    """
    blocks = ManyBlocks()
    names = {name.rpartition(".")[0] for name in SMALL} | set(USERS)
    modules = [importlib.import_module(f"matrixbayes.{name}") for name in sorted(names)]
    for place, size in SMALL.items():
        home, _, name = place.rpartition(".")
        whole = getattr(importlib.import_module(f"matrixbayes.{home}"), name)
        blocks.whole[place] = whole
        for module in modules:
            if getattr(module, name, None) is whole:
                monkeypatch.setattr(module, name, size)
    from matrixbayes._base import parallel

    in_order, merge = parallel.in_order, parallel.merge

    def counted(name: str, many: Any) -> Iterator[Any]:
        for n, each in enumerate(many, 1):
            blocks.tasks[name] = max(blocks.tasks[name], n)
            yield each

    def counting_in_order(pool: Any, task: Any, arguments: Any) -> Iterator[Any]:
        return counted(task.__name__, in_order(pool, task, arguments))

    def counting_merge(parts: Any) -> Any:
        return merge(counted("merge", parts))

    for module in modules:
        if getattr(module, "in_order", None) is in_order:
            monkeypatch.setattr(module, "in_order", counting_in_order)
    monkeypatch.setattr(parallel, "merge", counting_merge)
    yield blocks
    if request.node.stash.get(RAN, False):
        blocks.ran(max(blocks.tasks, key=blocks.tasks.__getitem__, default="tasks"))
