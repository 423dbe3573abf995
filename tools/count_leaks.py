"""Run the tests that call the core under LeakSanitizer, and count what was lost in csrc.

    python tools/count_leaks.py build/sanitize/site                 # the tests in TESTS
    python tools/count_leaks.py build/sanitize/site core/test_arpa  # or others, by name

A stack counts where one of its frames is a line of csrc: what Python, NumPy and pytest keep to
their ends has none, and so nothing has to be suppressed.  A leak is planted first, and has to be
seen.  Each file of tests is a process of its own, which ends by itself and says what it has lost:
the workers of `make sanitize` do not.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from measure_coverage import TESTS as ALL

ROOT = Path(__file__).resolve().parents[1]
# Not those that stop calls at chosen moments and those that are long: to walk through the stack of
# each allocation makes them many times as slow.
TESTS = [name for name in ALL if name not in ("core/test_interrupt", "estimator/test_counts")]
PLANTED = """
import ctypes
from matrixbayes import _core
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_core.exp([1.0, 2.0])))
"""
AT_ONCE = 2


def library(name: str) -> str:
    """The path of one of gcc's."""
    line = ["gcc", f"-print-file-name=lib{name}.so"]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()


def lost(site: Path, *arguments: str) -> tuple[int, list[str]]:
    """Runs Python with these arguments: its status, and each stack of csrc that lost something."""
    with tempfile.TemporaryDirectory() as folder:
        options = {
            "detect_leaks": 1,
            "fast_unwind_on_malloc": 0,
            "malloc_context_size": 14,  # the frames of csrc are among the innermost
            "allocator_may_return_null": 1,
            "exitcode": 0,
            "log_path": f"{folder}/log",
        }
        environment = os.environ | {
            "LD_PRELOAD": " ".join(library(name) for name in ("asan", "ubsan", "stdc++")),
            "PYTHONMALLOC": "malloc",
            "PYTHONPATH": str(site),
            "PYTHONSAFEPATH": "1",
            "OMP_NUM_THREADS": "1",
            "ASAN_OPTIONS": ":".join(f"{name}={value}" for name, value in options.items()),
        }
        status = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment).returncode
        said = "".join(file.read_text("utf-8", "replace") for file in Path(folder).iterdir())
    stacks = re.split(r"\n\s*\n", said)
    return status, [each for each in stacks if re.search(r"\bcsrc/\w+/", each)]


def main() -> int:
    site = (ROOT / sys.argv[1]).resolve()
    if not lost(site, "-c", PLANTED)[1]:
        raise SystemExit("a leak that was planted in csrc is not seen: is this build sanitized?")
    tests = sys.argv[2:] or TESTS
    pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    pytest += ["-m", "not slow and not exhaustive"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda name: lost(site, *pytest, f"tests/{name}.py"), tests))
    stacks = [stack for _, some in found for stack in some]
    failed = [name for name, (status, _) in zip(tests, found, strict=True) if status]
    print(*stacks, sep="\n\n")
    print(
        f"promise 2: {len(stacks)} stacks of csrc lost memory in {len(tests)} files of tests; the "
        "one that was planted is seen"
    )
    if failed:
        print(f"these tests fail: {', '.join(failed)}")
    return bool(stacks or failed)


if __name__ == "__main__":
    sys.exit(main())
