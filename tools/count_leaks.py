"""Run the tests that call the core under LeakSanitizer, and count what was lost in csrc.

    python tools/count_leaks.py gcc build/sanitize/gcc/site                 # the tests in TESTS
    python tools/count_leaks.py gcc build/sanitize/gcc/site matrix/test_fold  # or others, by name
    python tools/count_leaks.py --quick gcc build/sanitize/gcc/site           # a few times as quick

A stack counts where one of its frames is a line of csrc: what Python, NumPy and pytest keep to
their ends has none, and so nothing has to be suppressed.  A leak is planted first, and has to be
seen.  Each file of tests is a process of its own, which ends by itself and says what it has lost:
the workers of `make sanitize` do not.

With --quick Python's small objects stay in its arenas.  Those are not counted, and not looked
through: what a lost one holds is reported, and what a living one holds as well, so that a file
with any report is run again without.
"""

from __future__ import annotations

import argparse
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))  # make sets PYTHONSAFEPATH

from measure_coverage import TESTS as ALL  # noqa: E402
from run_sanitized import run  # noqa: E402

# Not those that stop calls at chosen moments and those that are long: to walk through the stack of
# each allocation makes them many times as slow.
TESTS = [name for name in ALL if name not in ("core/test_interrupt", "estimator/test_counts")]
PLANTED = """
import ctypes
from matrixbayes import _core
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_core.exp([1.0, 2.0])))
"""
AT_ONCE = 2


OPTIONS = {
    "detect_leaks": 1,
    "fast_unwind_on_malloc": 0,  # which ends at the first function without a frame pointer
    "malloc_context_size": 14,  # the frames of csrc are among the innermost
    "exitcode": 0,
}
Lost = tuple[int, list[str]]


def lost(compiler: str, site: Path, *arguments: str, quick: bool = False) -> Lost:
    """Runs Python with these arguments: its status, and each stack of csrc that lost something."""
    malloc = "pymalloc" if quick else "malloc"
    status, said = run(compiler, site, *arguments, malloc=malloc, **OPTIONS)
    stacks = re.split(r"\n\s*\n", "\n\n".join(said))
    stacks = [each for each in stacks if re.search(r"\bcsrc/\w+/", each)]
    # what tracemalloc notes of an allocation is CPython's own; the allocation has another stack
    stacks = [each for each in stacks if " in traceback_new " not in each]
    if quick:  # what the module was made with is held from an arena
        stacks = [each for each in stacks if " module_exec " not in each]
    return status, stacks


def lost_in(compiler: str, site: Path, quick: bool, name: str) -> Lost:
    """That of a file of tests."""
    line = ["-m", "pytest", "-q", "--capture=sys", "-p", "no:cacheprovider"]
    line += ["-m", "not slow and not exhaustive", str(ROOT / "tests" / f"{name}.py")]
    if quick:
        status, stacks = lost(compiler, site, *line, quick=True)
        if not stacks:
            return status, stacks
        print(f"{name}: once more, with every object by itself", flush=True)
    return lost(compiler, site, *line)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="without Python's small objects")
    parser.add_argument("compiler", choices=("gcc", "clang"))
    parser.add_argument("site", type=Path)
    parser.add_argument("tests", nargs="*", default=TESTS)
    asked = parser.parse_args()
    if not lost(asked.compiler, asked.site, "-c", PLANTED, quick=asked.quick)[1]:
        raise SystemExit("a leak that was planted in csrc is not seen: is this build sanitized?")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        in_file = partial(lost_in, asked.compiler, asked.site, asked.quick)
        found = list(pool.map(in_file, asked.tests))
    stacks = [stack for _, some in found for stack in some]
    failed = [name for name, (status, _) in zip(asked.tests, found, strict=True) if status]
    print(*stacks, sep="\n\n")
    print(
        f"promise 2: {len(stacks)} stacks of csrc lost memory in {len(asked.tests)} files of "
        "tests; the one that was planted is seen"
    )
    if failed:
        print(f"these tests fail: {', '.join(failed)}")
    return bool(stacks or failed)


if __name__ == "__main__":
    sys.exit(main())
