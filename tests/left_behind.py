"""What a test may not leave behind in the process, where any other test may come next.

Contents
    state        what all of the process shares, by name
    differences  what a test changed of it
"""

from __future__ import annotations

import gc
import locale
import logging
import os
import signal
import sys
import threading
from functools import lru_cache
from typing import Any

import numpy as np

SIGNALS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGALRM] if hasattr(signal, "SIGALRM") else [])]
# Of the environment: what pytest says to each test, and what libraries say to themselves when they
# are loaded (OpenMP, torch, polars); of matplotlib: how its backend came to be what it is.
OF_OTHERS = ("PYTEST_", "KMP_", "OMP_", "TORCH", "CUDA_", "__KMP", "_RJEM_", "backend_fallback")
# What grows as modules are loaded; only what is gone from it is missed.
GROWING = {"sys.meta_path", "sys.modules"}


def of_logger(logger: logging.Logger) -> tuple[Any, ...]:
    heard = [handler for handler in logger.handlers if type(handler) is not logging.NullHandler]
    return logger.level, logger.propagate, logger.disabled, heard


@lru_cache(1)
def ours(n_loaded: int) -> list[str]:
    """The modules of the package, which are looked up anew where others have been loaded."""
    return [name for name in sys.modules if name.partition(".")[0] == "matrixbayes"]


def state() -> dict[str, Any]:
    """A tenth of a millisecond or two."""
    version, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - which is guarded
    found = {
        "os.environ": dict(getattr(os.environ, "_data", os.environ)),  # not decoded: that is slow
        "the working directory": os.getcwd(),
        "np.random, its global state": (version, keys.tobytes(), *rest),
        "np.geterr()": np.geterr(),
        "np.get_printoptions()": np.get_printoptions(),
        "handlers of signals": [signal.getsignal(number) for number in SIGNALS],
        "the root logger": of_logger(logging.getLogger()),
        "the logger of matrixbayes": of_logger(logging.getLogger("matrixbayes")),
        "gc.isenabled()": gc.isenabled(),
        "locale": locale.setlocale(locale.LC_ALL),
        "sys.path": list(sys.path),
        "sys.meta_path": {id(finder): finder for finder in sys.meta_path},
        "sys.excepthook": (sys.excepthook, threading.excepthook, sys.unraisablehook),
        "sys.getrecursionlimit()": sys.getrecursionlimit(),
        "sys.modules": {name: id(sys.modules.get(name)) for name in ours(len(sys.modules))},
    }
    rc_params = getattr(sys.modules.get("matplotlib"), "rcParams", None)
    if rc_params is not None:
        found["matplotlib.rcParams"] = dict(dict.items(rc_params))
    torch = sys.modules.get("torch")
    if hasattr(torch, "get_num_threads"):
        found["the settings of torch"] = (
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
        )
    return found


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What was changed, and how."""
    changed = []
    for name, was in before.items():
        now = after.get(name)
        if now == was:
            continue
        if not isinstance(was, dict):
            changed.append(f"{name}: {was!r} -> {now!r}"[:400])
            continue
        for key in was.keys() | now.keys():
            text = key.decode() if isinstance(key, bytes) else str(key)
            is_new = key not in was and name in GROWING
            is_same = str(was.get(key)).lower() == str(now.get(key)).lower()  # "agg", then "Agg"
            if not is_same and not is_new and not text.startswith(OF_OTHERS):
                changed.append(f"{name}, {text}: {was.get(key)!r} -> {now.get(key)!r}"[:400])
    return changed
