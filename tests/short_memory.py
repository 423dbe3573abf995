"""Memory that ends in this thread, and in no other: csrc/test/short_memory.c, compiled when needed.

A test runner has a thread that waits for messages, and ends the process if that gets no memory.

Contents
    ready        compiles it, and skips where that cannot be
    call_short   a call, with some of its allocations failing
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import pytest

Result = TypeVar("Result")

SOURCE = Path(__file__).resolve().parents[1] / "csrc/test/short_memory.c"
# PyList_New() of a free-threaded 3.13 frees an array twice where it gets no memory for another.
CRASHES = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


@functools.cache
def ready() -> ModuleType:
    """The module, compiled for this interpreter."""
    if CRASHES:
        pytest.skip("a free-threaded CPython crashes where memory is short")
    compiler = shlex.split(sysconfig.get_config_var("LDSHARED") or "none")
    headers = sysconfig.get_path("include")
    if not shutil.which(compiler[0]) or not Path(headers, "Python.h").exists():
        pytest.skip("memory cannot be made short without a compiler and the headers of Python")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "short_memory.so")
        command = [*compiler, "-fPIC", "-I", headers, SOURCE, "-o", file]
        subprocess.run(command, check=True, env=os.environ | {"LD_PRELOAD": ""})
        spec = importlib.util.spec_from_file_location("short_memory", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def call_short(call: Callable[[], Result], first: int, last: int) -> Result:
    """What a call gives where its allocations from `first` up to `last` fail (0: all the rest).

    A tracer that measures coverage is away meanwhile: it would end there.
    """
    within, tracer = ready().call_short, sys.gettrace()
    sys.settrace(None)
    try:
        result: Result = within(call, first, last)
    finally:
        sys.settrace(tracer)
    return result
