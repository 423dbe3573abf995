"""How the extension was compiled and linked, read from its file: also from the one of a wheel."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

from matrixbayes import _core

pytestmark = [
    pytest.mark.no_sanitizer,  # another build, which is not hardened
    pytest.mark.skipif(sys.platform != "linux", reason="an ELF file is read"),
    pytest.mark.promise(16),
]


def read(*line: str) -> str:
    """What a program of the binutils says about the extension."""
    if not shutil.which(line[0]):
        pytest.skip(f"no {line[0]} here")
    done = subprocess.run([*line, _core.__file__], capture_output=True, text=True, check=True)
    return done.stdout


def test_one_symbol_is_exported(figure: Callable[[str], None]) -> None:
    lines = read("nm", "-D", "--defined-only", "--format=posix").splitlines()
    assert [line.split()[0] for line in lines] == ["PyInit__core"]
    figure("1 exported symbol, PyInit__core")


def test_calls_of_the_c_library_are_the_checked_ones(figure: Callable[[str], None]) -> None:
    """_FORTIFY_SOURCE=3, which alone sees sizes that are known only when it runs, and canaries."""
    lines = read("nm", "-D", "--undefined-only", "--format=posix").splitlines()
    names = {line.split()[0].partition("@")[0] for line in lines}
    if not any(name.startswith("__") and name.endswith("_chk") for name in names):
        assert "musl" in read("readelf", "--dynamic", "--wide")  # has no such functions
    assert "__stack_chk_fail" in names
    checked = sorted(name for name in names if re.fullmatch(r"__\w+_chk", name))
    # what writes into a buffer without a bound is not there at all
    assert not names & {"gets", "strcpy", "strcat", "sprintf", "vsprintf", "scanf", "sscanf"}
    # and what runs a program, opens a file or a socket is not either
    assert not names & {"system", "popen", "execve", "fork", "open", "fopen", "socket", "connect"}
    figure(f"stack protector; fortified: {', '.join(checked) or 'none, of musl'}")


def test_memory_is_never_writable_and_executable(figure: Callable[[str], None]) -> None:
    program = read("readelf", "--program-headers", "--wide")
    segments = re.findall(
        r"^ +(LOAD|GNU_STACK|GNU_RELRO) (?: *0x\w+){5} (R?) ?(W?) ?(E?)", program, re.M
    )
    found = [name for name, *_ in segments]
    assert found.count("LOAD") >= 2
    assert found.count("GNU_STACK") == found.count("GNU_RELRO") == 1
    assert not [segment for segment in segments if "W" in segment and "E" in segment]
    assert ("GNU_STACK", "R", "W", "") in segments
    figure("no segment writable and executable, stack RW, RELRO")


def test_linked_at_once_and_from_nowhere_else(figure: Callable[[str], None]) -> None:
    dynamic = read("readelf", "--dynamic", "--wide")
    assert re.search(r"\(FLAGS\) +.*BIND_NOW", dynamic) or re.search(r"FLAGS_1\).*NOW", dynamic)
    assert not re.search(r"\((RPATH|RUNPATH)\)", dynamic), "libraries are looked for elsewhere"
    assert "TEXTREL" not in dynamic
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    assert all(re.match(r"lib(c|m|dl|pthread)\.|libc\.musl|ld-", name) for name in needed)
    figure(f"BIND_NOW, no RPATH or RUNPATH, no text relocations; needs {', '.join(needed)}")
