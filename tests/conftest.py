"""What all tests share: how they run beside a sanitizer, and in processes of their own."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

# A child process imports what this one does, not the folder that it starts in.
os.environ["PYTHONSAFEPATH"] = "1"
os.environ.setdefault("MPLBACKEND", "agg")
# Nothing here needs a network: the bundled model is a folder.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# The same examples in each run, and no clock: a failure can be repeated anywhere.
hypothesis.settings.register_profile("suite", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("suite")


def under_address_sanitizer() -> bool:
    """Whether AddressSanitizer is part of this process."""
    return hasattr(ctypes.CDLL(None), "__asan_init")


def pytest_report_header() -> str:
    import matrixbayes

    sanitizer = ", under AddressSanitizer" if under_address_sanitizer() else ""
    return f"matrixbayes: {Path(matrixbayes.__file__).parent}{sanitizer}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not under_address_sanitizer():
        return
    for item in items:
        if item.get_closest_marker("no_sanitizer"):
            item.add_marker(pytest.mark.skip(reason="not under AddressSanitizer"))


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
