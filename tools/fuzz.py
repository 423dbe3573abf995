"""Fuzz the C core and what is read by Python, and say in a line each what came of it.

    python tools/fuzz.py                        # each target for a minute, two at once
    python tools/fuzz.py --seconds 600 frozen   # those whose name has one of these words in it
    python tools/fuzz.py --keep                 # and keeps what reached something new
    python tools/fuzz.py --seed 1               # the same inputs in each run, as far as time goes

Targets of C are csrc/test/fuzz/fuzz_*.c, for libFuzzer with AddressSanitizer and UBSan; those of
Python are in tests/reliability/fuzz_readers.py, for atheris.  Each begins with what is kept of its
inputs in tests/data/fuzz/<target>, which tests/reliability/test_fuzz_corpora.py runs without any
engine.  What crashes, leaks, or takes 20 seconds or 2 GB is in build/fuzz/found, as small as it
could be made: mend it, and keep the input as tests/data/fuzz/<target>/crash-<what it was>.  The
next run begins with it, too.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "fuzz"
KEPT = ROOT / "tests" / "data" / "fuzz"
READERS = ROOT / "tests" / "reliability" / "fuzz_readers.py"
OF_PYTHON = ("arpa_files", "easel", "logits", "records")
LONGEST = 4096  # bytes of an input
SMALLER = 20  # seconds to make what crashes smaller
MOST_KEPT = 48  # inputs of a target, none longer than a few kB
CHECKS = "address,undefined,pointer-overflow,implicit-conversion,local-bounds"
C_FLAGS = "-O1 -g -DMB_ONE_INSTRUCTION_SET -fno-omit-frame-pointer -fno-sanitize-recover=all"


def built() -> dict[str, list[str]]:
    """The command of each target that can be built here."""
    commands: dict[str, list[str]] = {}
    BUILD.mkdir(parents=True, exist_ok=True)
    if has_engine():
        make = ["make", "--quiet", "-j2", "-C", str(ROOT / "csrc"), "fuzz", "CC=clang"]
        make += [f"CFLAGS={C_FLAGS} -fsanitize=fuzzer-no-link,{CHECKS}", f"BUILD={BUILD}"]
        subprocess.run(
            [*make, f"LDFLAGS=-fsanitize={CHECKS}", "ENGINE=-fsanitize=fuzzer"], check=True
        )
        for source in sorted((ROOT / "csrc/test/fuzz").glob("fuzz_*.c")):
            name = source.stem.removeprefix("fuzz_")
            commands[name] = [str(BUILD / "test/fuzz" / source.stem)]
    else:
        print("no clang with libFuzzer here: the targets of C are left out")
    if find_spec("atheris"):
        for name in OF_PYTHON:
            commands[name] = [sys.executable, str(READERS), name]
    else:
        print("no atheris here (pip install --group fuzz): the targets of Python are left out")
    return commands


def has_engine() -> bool:
    """Whether clang is here, with the libraries of libFuzzer and its sanitizers."""
    if not shutil.which("clang"):
        return False
    line = ["clang", "-x", "c", "-", "-o", str(BUILD / "probe"), f"-fsanitize=fuzzer,{CHECKS}"]
    code = b"int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return 0 * (d && n); }"
    return subprocess.run(line, input=code, capture_output=True, check=False).returncode == 0


def seeds(name: str) -> list[str]:
    """What is kept of a target's inputs."""
    folder = KEPT / name
    if not folder.is_dir() or not any(folder.iterdir()):
        raise SystemExit(f"{folder} has no inputs: a target begins with what others reached")
    return [str(folder)]


def environment() -> dict[str, str]:
    folder = BUILD / "temporary"
    folder.mkdir(exist_ok=True)
    asan = "allocator_may_return_null=1"
    return {**os.environ, "ASAN_OPTIONS": asan, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}


def fuzz(name: str, command: list[str], seconds: int, seed: int) -> tuple[str, int]:
    """One target: its line, and how many inputs it crashed on."""
    grown, found = BUILD / "grown" / name, BUILD / "found" / name
    for folder in (grown, found):
        folder.mkdir(parents=True, exist_ok=True)
    for old in found.iterdir():
        old.rename(grown / old.name)
    flags = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={LONGEST}"]
    flags += ["-print_final_stats=1", "-len_control=0", "-timeout=20", "-rss_limit_mb=2048"]
    log = BUILD / f"{name}.log"
    with open(log, "wb") as file:
        line = [*command, *flags, f"-artifact_prefix={found}/", str(grown), *seeds(name)]
        done = subprocess.run(line, stdout=file, stderr=file, env=environment(), check=False)
    said = log.read_text("utf-8", "replace")
    runs = re.findall(r"number_of_executed_units:\s*(\d+)|Done (\d+) runs", said)
    ran = max((int(a or b) for a, b in runs), default=0)
    edges = re.findall(r"\bcov: (\d+)", said) or ["0"]
    inputs = sorted(found.iterdir())
    for each in inputs:
        minimise(command, each)
    crashes = len(inputs) or int(done.returncode != 0)
    line = f"{name:<12} {ran:>9} runs {ran // max(1, seconds):>6} /s {edges[-1]:>5} edges"
    return f"{line} {crashes:>3} findings" + (f"  {log}" if crashes else ""), crashes


def minimise(command: list[str], found: Path) -> None:
    """Puts a smaller input that crashes in the place of one, if there is one."""
    small = BUILD / f"smaller-{found.name}"
    small.unlink(missing_ok=True)
    flags = ["-minimize_crash=1", f"-max_total_time={SMALLER}", f"-exact_artifact_path={small}"]
    quiet = subprocess.DEVNULL
    line = [*command, *flags, str(found)]
    subprocess.run(line, stdout=quiet, stderr=quiet, env=environment(), check=False)
    if small.exists() and 0 < small.stat().st_size < found.stat().st_size:
        small.replace(found)


def keep(name: str, command: list[str]) -> None:
    """Puts the fewest inputs that reach what all of them do in the place of what is kept."""
    merged = BUILD / "merged" / name
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir(parents=True)
    flags = ["-set_cover_merge=1", f"-max_len={LONGEST // 2}", str(merged)]
    quiet = subprocess.DEVNULL
    line = [*command, *flags, str(BUILD / "grown" / name), *seeds(name)]
    subprocess.run(line, stdout=quiet, stderr=quiet, env=environment(), check=True)
    kept = KEPT / name
    kept.mkdir(parents=True, exist_ok=True)
    for file in kept.iterdir():
        if re.fullmatch(r"[0-9a-f]{10}", file.name):
            file.unlink()
    for file in sorted(merged.iterdir(), key=lambda each: each.stat().st_size)[-MOST_KEPT:]:
        shutil.copyfile(file, kept / file.name[:10])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("words", nargs="*", help="parts of names of targets")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--seed", type=int, default=0, help="of inputs (0: another each time)")
    parser.add_argument("--keep", action="store_true", help="keep what reached something new")
    arguments = parser.parse_args()
    commands = {
        name: command
        for name, command in built().items()
        if not arguments.words or any(word in name for word in arguments.words)
    }
    crashes = 0
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(fuzz, name, each, arguments.seconds, arguments.seed)
            for name, each in commands.items()
        ]
        for job in jobs:
            line, some = job.result()
            print(line, flush=True)
            crashes += some
    total = f"{len(commands)} targets, {arguments.seconds} s each: {crashes} findings"
    print(total)
    (BUILD / "total.txt").write_text(f"{total}\n", "utf-8")
    if arguments.keep:
        for name, command in commands.items():
            keep(name, command)
    return int(crashes > 0)


if __name__ == "__main__":
    sys.exit(main())
