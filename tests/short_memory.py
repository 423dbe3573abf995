"""What has to be so before memory is made short.

Contents
    CRASHES     whether CPython itself does
    prepare     ends threads that would never end, and skips where CPython crashes
"""

from __future__ import annotations

import sysconfig
import threading

import pytest

# PyList_New() of a free-threaded 3.13 frees an array twice where it gets no memory for another.
CRASHES = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def prepare() -> None:
    """Memory ends in all threads, and CPython 3.11 may then raise in another one for ever: those in
    which tqdm looks after bars of tests before, one for each class of bars, end."""
    if CRASHES:
        pytest.skip("a free-threaded CPython crashes where memory is short")
    for thread in threading.enumerate():
        if thread.name == "tqdm_monitor":
            thread.exit()  # type: ignore[attr-defined]  # the next bar makes another
