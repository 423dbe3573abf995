"""Measure how much of csrc the tests run, by file, and hold it against the floors.

    python tools/measure_coverage.py            # builds, runs the tests, prints the tables
    python tools/measure_coverage.py --raise    # and lifts the floors to what was measured
    python tools/measure_coverage.py --missing  # and prints each line with a branch not taken

Counted are the lines and branches of every C file and header in csrc/core and csrc/bind, as gcovr
reports them for a build that is not optimized.  A branch is one way out of a condition as it
is written: ``a || b`` has four, and so have conditions that macros bring (MB_TRY, Py_VISIT,
Py_CLEAR), at each place where they stand.  What functions of Python's and NumPy's headers do counts
for those headers.  An inline function counts once, over all its callers, and a kernel that
is compiled for several instruction sets is the portable one alone.  A line that no test can reach
says why, ``/* never: why */`` at its end, and is not counted; all of these are printed.

The tests are the C programs of csrc/test and those in TESTS: the files that reach lines which no
other one does, and some for many ways out of conditions.  Others run the same lines again.  Each
line that was not reached is printed: a test is written for it, or the file that has one is added
to TESTS.  tests/coverage_floors.json keeps the floors, which only rise: a measure below one fails,
and so does a measure more than SLACK above it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ROOT / "tests" / "coverage_floors.json"
BUILD = ROOT / "build" / "coverage"
NEVER = r"/\* never: (.+) \*/$"
CHANCE = 0.2  # percent that a floor is lifted to below a measure: signals move some branches
SLACK = 2.0  # percent above a floor at which it has to be lifted
TESTS = [
    "core/test_border",
    "core/test_interrupt",
    "core/test_out_of_memory",
    "core/test_ranges",
    "core/test_rare_paths",
    "core/test_refusals",
    "elicitation/test_tree_kernels",
    "estimator/test_bounds",
    "matrix/test_backoff_table",
    "matrix/test_discounts",
    "matrix/test_documents",
    "matrix/test_downdate",
    "matrix/test_fading",
    "matrix/test_fold",
    "matrix/test_frozen_counts",
    "matrix/test_pruning",
    "matrix/test_transitions",
    "mixture/test_learning",
    "rows/test_row_ingest",
]


def run(*line: object, check: bool = True, **environment: str) -> int:
    """Runs a program in the repository; its status."""
    done = subprocess.run(
        [str(part) for part in line], cwd=ROOT, env={**os.environ, **environment}, check=check
    )
    return done.returncode


def build() -> Path:
    """The package with an extension that counts, nothing counted yet; the folder to import from."""
    line = [sys.executable, "setup.py", "--quiet", "build", "--build-lib", BUILD / "lib"]
    run(*line, "--build-temp", BUILD / "temp", MATRIXBAYES_COVERAGE="1", PYTHONWARNINGS="ignore")
    for counted in BUILD.rglob("*.gcda"):
        counted.unlink()
    return BUILD / "lib"


def run_drivers() -> None:
    """Builds and runs the C programs, all of one core and the allocator that fails."""
    core = set((ROOT / "csrc/core").glob("*/*.c")) - {ROOT / "csrc/core/base/mem_libc.c"}
    core.add(ROOT / "csrc/test/failing_mem.c")
    drivers = sorted((ROOT / "csrc/test").glob("test_*.c"))
    assert core
    assert drivers
    folder = BUILD / "drivers"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    flags = ["-std=c11", "-O0", "--coverage", "-DMB_ONE_INSTRUCTION_SET", "-ffp-contract=off"]
    flags.append(f"-I{ROOT / 'csrc'}")

    def compiled(source: Path) -> Path:
        run("gcc", *flags, "-c", source, "-o", folder / f"{source.stem}.o")
        return folder / f"{source.stem}.o"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, sorted(core)))

        def run_driver(driver: Path) -> None:
            program = folder / driver.stem
            run("gcc", "--coverage", compiled(driver), *objects, "-lm", "-o", program)
            run(program)

        list(pool.map(run_driver, drivers))  # they add up what they count


def run_tests(package: Path) -> int:
    """Runs the tests on that build, a process a core, which add up what they count; its status."""
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    line += ["-n", "logical", "--maxprocesses", "4", "--dist", "worksteal"]
    tests = [f"tests/{name}.py" for name in TESTS]
    path = {"PYTHONPATH": str(package), "PYTHONSAFEPATH": "1"}
    return run(*line, *tests, check=False, **path)


def measure() -> dict[str, Any]:
    """Prints gcovr's tables; what it found."""
    gcovr = shutil.which("gcovr", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if gcovr is None:
        raise SystemExit("no gcovr here: python -m pip install --group coverage")
    whole, summary = BUILD / "whole.json", BUILD / "summary.json"
    collect = [gcovr, "--root", ROOT, "--filter", "csrc/(core|bind)/", "--exclude", ".*/mem_libc.c"]
    collect += ["--exclude-lines-by-pattern", f".*{NEVER}"]
    # the C programs and the extension have the same functions, compiled in different builds
    run(*collect, "--merge-mode-functions", "separate", "--json", whole, BUILD)
    show = [gcovr, "--root", ROOT, "--add-tracefile", whole]
    run(*show, "--txt", "-", "--json-summary", summary)
    run(*show, "--txt-metric", "branch", "--txt", "-")
    found: dict[str, Any] = json.loads(summary.read_text())
    return found


def excluded() -> list[str]:
    """The lines of csrc that say why they never run."""
    lines = []
    for file in sorted((ROOT / "csrc").glob("[bc]*/**/*.[ch]")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if why := re.search(NEVER, line):
                lines.append(f"{file.relative_to(ROOT)}:{number}: {why[1]}")
    return lines


def missing(whole: dict[str, Any], branches: bool) -> list[str]:
    """Each line that never ran; and those with a branch that was not taken, how often each was."""
    found = []
    for file in whole["files"]:
        text = (ROOT / file["file"]).read_text().splitlines()
        for line in sorted(file["lines"], key=lambda line: line["line_number"]):
            taken = [branch["count"] for branch in line["branches"]]
            never = line["count"] == 0
            if (never or (branches and 0 in taken)) and not line.get("gcovr/excluded"):
                number = line["line_number"]
                times = "never" if never else taken
                found.append(f"{file['file']}:{number}: {times} {text[number - 1].strip()}")
    return found


def compare(found: dict[str, Any], floors: dict[str, float], lift: bool) -> list[str]:
    """What is wrong between the measure and the floors; lifts these where that is asked."""
    least = min(found["files"], key=lambda file: file["branch_percent"] or 100.0)
    measured = {
        "lines": found["line_percent"],
        "branches": found["branch_percent"],
        "branches of each file": least["branch_percent"],
    }
    print(f"least branches: {least['filename']}")
    wrong = []
    for name, value in measured.items():
        floor = floors[name]
        print(f"{name}: {value} %, floor {floor} %")
        if value < floor:
            wrong.append(f"{name} are covered to {value} %, below the floor of {floor} %")
        elif lift:
            room = 0.0 if value == 100.0 else CHANCE
            floors[name] = max(floor, math.floor(10 * (value - room)) / 10)
        elif value > floor + SLACK:
            wrong.append(f"{name} are covered to {value} %: raise the floor of {floor} % (--raise)")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--raise", action="store_true", dest="lift", help="lift the floors")
    parser.add_argument("--missing", action="store_true", help="print what was not reached")
    options = parser.parse_args()
    package = build()
    run_drivers()
    status = run_tests(package)
    found = measure()
    print(*missing(json.loads((BUILD / "whole.json").read_text()), options.missing), sep="\n")
    never = excluded()
    print(*never, f"{len(never)} lines that never run", sep="\n")
    floors = json.loads(FLOORS.read_text())
    wrong = compare(found, floors, options.lift and status == 0)
    if options.lift and not wrong and status == 0:
        FLOORS.write_text(json.dumps(floors, indent=2) + "\n")
    if status != 0:
        wrong.append("tests failed")
    print(*wrong, sep="\n")
    return len(wrong) > 0


if __name__ == "__main__":
    sys.exit(main())
