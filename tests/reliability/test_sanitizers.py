"""What `make sanitize` would see: faults are planted in a scratch extension, built as ours is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "tools" / "run_sanitized.py"
PLANTED = """
#include <stdlib.h>

#define SEEN __attribute__((visibility("default")))

SEEN int element(int n);
SEEN int shifted(int n);
SEEN int sum(int n);
SEEN int cast(int n);

int element(int n)
{
    volatile size_t unknown = 8;
    volatile char *eight = calloc(unknown, 1);
    int x = eight ? eight[n] : 0;
    free((void *)eight);
    return x;
}

int shifted(int n)
{
    return 1 << n;
}

int sum(int n)
{
    return 0x7ffffff0 + n;
}

int cast(int n)
{
    return (int)(1e9 * n);
}
"""
FAULTS = {  # for n = 1 they have none
    "element": (8, "heap-buffer-overflow"),
    "shifted": (40, "shift exponent 40 is too large"),
    "sum": (40, "signed integer overflow"),
    "cast": (40, "outside the range of representable values"),
}
CALL = "import ctypes; ctypes.CDLL({library!r}).{function}({n})"
IN_TEST = "def test_planted(): {call}\n"  # pytest keeps what is written there
IN_CHILD = """import subprocess, sys
def test_planted(): subprocess.run([sys.executable, "-c", {call!r}], stdout=subprocess.DEVNULL)
"""
pytestmark = [pytest.mark.promise(1), pytest.mark.slow, pytest.mark.no_sanitizer]  # it starts them


def of_run(built: Path, *arguments: str) -> tuple[int, str]:
    """The status of Python with the sanitizers, and what it says."""
    line = [sys.executable, str(RUN), built.name, str(built), *arguments]
    own = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=300, check=False, cwd=built, env=own
    )
    return done.returncode, done.stdout + done.stderr


def call(built: Path, function: str, n: int) -> str:
    (library,) = built.glob("matrixbayes/_core*.so")
    return CALL.format(library=str(library), function=function, n=n)


def assert_reported(function: str, built: Path, *arguments: str) -> None:
    status, said = of_run(built, *arguments)
    assert status, said
    assert f"\n1 reports of the sanitizers of {built.name}" in said
    assert FAULTS[function][1] in said
    assert "csrc/bind/planted.c" in said


@pytest.fixture(scope="module", params=["gcc", "clang"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the extension; its name is that of the compiler."""
    compiler: str = request.param
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler} here")
    folder = tmp_path_factory.mktemp("planted")
    (folder / "csrc" / "bind").mkdir(parents=True)
    (folder / "csrc" / "bind" / "planted.c").write_text(PLANTED)
    for name in ("setup.py", "CITATION.cff"):
        shutil.copy(ROOT / name, folder)
    line = [sys.executable, "setup.py", "--quiet", "build_ext", "--build-lib", compiler]
    own = {**os.environ, "CC": compiler, "MATRIXBAYES_SANITIZE": "1"}
    done = subprocess.run(line, cwd=folder, env=own, capture_output=True, text=True, check=False)
    if re.search(r"cannot find .*[al]san|unsupported option", done.stderr):
        pytest.skip(f"{compiler} has no sanitizers here")
    assert done.returncode == 0, done.stderr
    return folder / compiler


@pytest.mark.parametrize("function", FAULTS)
def test_a_planted_fault_is_reported(function: str, built: Path) -> None:
    assert_reported(function, built, "-c", call(built, function, FAULTS[function][0]))


@pytest.mark.parametrize("where", [IN_TEST, IN_CHILD], ids=["in a test", "in its child"])
@pytest.mark.parametrize("function", ["element", "shifted"])
def test_pytest_keeps_no_report(function: str, where: str, built: Path) -> None:
    test = built / "test_planted.py"
    test.write_text(where.format(call=call(built, function, FAULTS[function][0])))
    assert_reported(
        function,
        built,
        *("-m", "pytest", "-q", "--capture=sys", "-p", "no:cacheprovider"),
        str(test),
    )


def test_what_is_no_fault_is_not_reported(built: Path) -> None:
    status, said = of_run(built, "-c", "\n".join(call(built, function, 1) for function in FAULTS))
    assert not status, said
    assert f"0 reports of the sanitizers of {built.name}" in said
