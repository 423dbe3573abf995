"""The C tests of the core alone: each csrc/test/test_*.c is a program that ends with 0."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from core.instruction_sets import HERE, KEPT
from house.graph import found

CSRC = Path(__file__).resolve().parents[2] / "csrc"
DRIVERS = found(CSRC, "test/test_*.c")
assert DRIVERS
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes"]
WARNINGS += ["-Wmissing-prototypes"]
BUILDS = {
    "plain": ["gcc", "-O2", *KEPT],  # which can have each instruction set in turn
    # -g1, lines alone, is what a report shows, and compiles in two thirds of the time of -g
    "sanitized": [
        "gcc",
        *("-O1", "-g1", "-DMB_ONE_INSTRUCTION_SET", "-fno-omit-frame-pointer"),
        *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    ],
    # clang's also sees NULL + 8, which gcc's calls well
    "clang": [
        "clang",
        *("-O1", "-g1", "-DMB_ONE_INSTRUCTION_SET", "-fno-omit-frame-pointer"),
        *("-fsanitize=address,undefined,pointer-overflow,implicit-conversion,local-bounds",),
        "-fno-sanitize-recover=all",
    ],
}
pytestmark = [pytest.mark.slow, pytest.mark.no_sanitizer]  # they bring their own


def run(*line: object, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in line],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, (
        f"{line[0]} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return done.stdout


@pytest.fixture(scope="module", params=BUILDS)
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the core's objects, built in one of the ways."""
    if not shutil.which(BUILDS[request.param][0]):
        pytest.skip(f"no {BUILDS[request.param][0]} here")
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "flags").write_text("\n".join(BUILDS[request.param]))
    compile_ = [*BUILDS[request.param], "-std=c11", "-Werror", "-ffp-contract=off", *WARNINGS]
    jobs = []
    for file in found(CSRC, "core/*/*.c"):
        line = [*compile_, f"-I{CSRC}", "-c", str(file), "-o", str(folder / f"{file.stem}.o")]
        jobs.append(subprocess.Popen(line, stderr=subprocess.PIPE, text=True))
    assert jobs
    errors = [job.communicate()[1] for job in jobs]
    assert all(job.returncode == 0 for job in jobs), "".join(errors)
    return folder


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.stem)
def test_driver(build: Path, driver: Path) -> None:
    program = build / driver.stem
    flags = [*(build / "flags").read_text().split(), "-std=c11", "-Werror", *WARNINGS]
    core = [file for file in sorted(build.glob("*.o")) if file.stem != "mem_libc"]
    allocator = CSRC / "test" / "failing_mem.c"  # in its place
    run(*flags, f"-I{CSRC}", driver, allocator, *core, "-lm", "-o", program)
    asan = "detect_leaks=1:allocator_may_return_null=1"
    for best in HERE if build.name.startswith("plain") else HERE[:1]:
        options = {"ASAN_OPTIONS": asan, "UBSAN_OPTIONS": "print_stacktrace=1"}
        run(program, MB_INSTRUCTION_SET=best, **options)


def test_core_has_no_global_variables(build: Path) -> None:
    if not build.name.startswith("plain"):
        pytest.skip("the sanitizers add their own")
    objects = list(build.glob("*.o"))
    assert objects
    for file in objects:
        symbols = run("nm", "--format=posix", file)
        assert not re.findall(r"^(\S+) [BbDdCGgSs] ", symbols, re.MULTILINE), file.name
