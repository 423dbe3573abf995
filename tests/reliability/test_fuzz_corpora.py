"""What fuzzing found is run again without an engine: each kept input and each past crash (row 5).

The targets of C are built by gcc, with AddressSanitizer and UBSan where it has them; `make fuzz`
runs them, and those of Python, under libFuzzer and atheris.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from house.graph import found
from scripts import loaded
from tiers import of_tier

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "tests" / "data" / "fuzz"
CSRC = ROOT / "csrc"
TARGETS = [file.stem for file in found(CSRC / "test" / "fuzz", "fuzz_*.c")]
SANITIZED = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
Figure = Callable[[str], None]


def kept(name: str) -> list[Path]:
    files = sorted((KEPT / name).iterdir())
    assert files, name
    assert all(file.stat().st_size <= 4096 for file in files)
    return files


def readers() -> ModuleType:
    return loaded(Path(__file__).with_name("fuzz_readers.py"))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the targets, each of which runs files."""
    if not (shutil.which("make") and shutil.which("gcc")):
        pytest.skip("no make and gcc here")
    folder = tmp_path_factory.mktemp("fuzz")
    probe = folder / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    line = ["gcc", *SANITIZED.split(), str(probe), "-o", str(folder / "probe")]
    is_there = subprocess.run(line, capture_output=True, check=False).returncode == 0
    flags = "-O1 -g -DMB_ONE_INSTRUCTION_SET" + (f" {SANITIZED}" if is_there else "")
    make = ["make", "--quiet", "-j2", "-C", str(CSRC), "fuzz", "CC=gcc", f"BUILD={folder}"]
    environment = {
        name: x for name, x in os.environ.items() if not name.startswith(("MAKE", "MFL"))
    }
    environment.pop("LD_PRELOAD", None)
    done = subprocess.run(
        [*make, f"CFLAGS={flags}"], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return folder / "test" / "fuzz"


@pytest.mark.promise(5)
@pytest.mark.slow
@pytest.mark.no_sanitizer
@pytest.mark.parametrize("target", TARGETS)
def test_kept_inputs_of_a_target(target: str, programs: Path, figure: Figure) -> None:
    name = target.removeprefix("fuzz_")
    files = kept(name)
    asan = "allocator_may_return_null=1"
    done = subprocess.run(
        [str(programs / target), *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ASAN_OPTIONS": asan, "UBSAN_OPTIONS": "print_stacktrace=1"},
        timeout=of_tier(120, 300, 300),
    )
    assert done.returncode == 0, done.stderr[-4000:]
    figure(f"{name}: {len(files)} inputs, 0 findings")


@pytest.mark.promise(5)
@pytest.mark.parametrize("name", ["arpa_files", "easel", "logits", "records"])
def test_kept_inputs_of_a_reader(name: str, figure: Figure) -> None:
    if name == "logits" and sys.byteorder != "little":
        pytest.skip("the files are little-endian")
    files = kept(name)
    target = readers().TARGETS[name]
    for file in files:
        target(file.read_bytes())
    figure(f"{name}: {len(files)} inputs, 0 findings")


def test_each_target_keeps_inputs() -> None:
    names = {target.removeprefix("fuzz_") for target in TARGETS} | set(readers().TARGETS)
    assert names == {folder.name for folder in KEPT.iterdir()}
