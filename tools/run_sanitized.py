"""Run Python with a build of csrc under AddressSanitizer and UBSan, and count what they report.

    python tools/run_sanitized.py gcc build/sanitize/gcc/site -m pytest tests/core

Reports go to files, and so does stderr, where gcc's UBSan writes whatever it is told: pytest takes
what it has caught along when its process ends in one (it has to have --capture=sys).  All is
printed at the end, and the status is not 0 if there is a report.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# Each begins so; warnings that an allocation fails are none.
REPORT = re.compile(r"^(==\d+==ERROR: \w+Sanitizer|.*: runtime error: )", re.MULTILINE)


def asked(*line: str) -> str:
    """What a program says."""
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()


def runtime(compiler: str) -> list[str]:
    """The libraries that a stock Python needs before all others.

    libstdc++ has to be there before AddressSanitizer looks for __cxa_throw.
    """
    own = {
        "gcc": ["libasan.so", "libubsan.so"],
        "clang": [f"libclang_rt.asan-{platform.machine()}.so"],  # which has UBSan's
    }
    names = [*own[compiler], "libstdc++.so"]
    found = [asked(compiler, f"-print-file-name={name}") for name in names]
    if missing := [name for name in found if not Path(name).is_absolute()]:
        raise FileNotFoundError(f"{compiler} has no {', '.join(missing)} here")
    return found


def symbolizer(folder: Path) -> Path:
    """clang's, in a script without the libraries above, under which it stops for ever as it ends.

    It holds open what its parent writes to, and whoever reads that would wait for it.
    """
    script = folder / "llvm-symbolizer"  # it is known by this name
    program = asked("clang", "-print-prog-name=llvm-symbolizer")
    script.write_text(f'#!/bin/sh\nunset LD_PRELOAD\nexec {program} "$@"\n', "utf-8")
    script.chmod(0o755)
    return script


def environment(compiler: str, site: Path, folder: Path, **options: int) -> dict[str, str]:
    """That of a Python which imports the build in `site`, with its reports in `folder`."""
    common = {"log_path": folder / "report", "allocator_may_return_null": 1}
    own = {
        "ASAN_OPTIONS": {"detect_leaks": 0, **common, **options},
        "UBSAN_OPTIONS": {"print_stacktrace": 1, **common},
    }
    if compiler == "clang":
        own["ASAN_OPTIONS"]["external_symbolizer_path"] = symbolizer(folder)
    return {
        **os.environ,
        **{name: ":".join(f"{a}={b}" for a, b in given.items()) for name, given in own.items()},
        "LD_PRELOAD": " ".join(runtime(compiler)),
        "PYTHONPATH": str(site.resolve()),
        "PYTHONSAFEPATH": "1",
        "OMP_NUM_THREADS": "1",
    }


def run(
    compiler: str, site: Path, *arguments: str, malloc: str = "malloc", **options: int
) -> tuple[int, list[str]]:
    """Runs Python with these arguments: its status, and what each process has written.

    `malloc` is where Python's objects are; `options` are AddressSanitizer's.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = environment(compiler, site, folder, **options) | {"PYTHONMALLOC": malloc}
        with (folder / "report.stderr").open("wb") as errors:
            line = [sys.executable, *arguments]
            status = subprocess.run(line, env=own, stderr=errors, check=False).returncode
        said = [file.read_text("utf-8", "replace") for file in sorted(folder.glob("report.*"))]
    return status, [text for text in said if text]


def main() -> int:
    compiler, site, *arguments = sys.argv[1:]
    status, said = run(compiler, Path(site), *arguments)
    reports = sum(len(REPORT.findall(text)) for text in said)
    print(*said, f"{reports} reports of the sanitizers of {compiler}", sep="\n")
    return status or bool(reports)


if __name__ == "__main__":
    sys.exit(main())
