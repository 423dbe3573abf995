"""A signal that comes while a call runs."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

needs_timers = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")


class Stopped(Exception):
    """What the signal's handler raises."""


def _stop(*_: object) -> None:
    raise Stopped


@contextmanager
def alarm(
    seconds: float, *, every: float = 0.0, handler: Callable[..., Any] = _stop
) -> Iterator[None]:
    """A signal after so many seconds, and again after each of `every`.

    The collector waits meanwhile: what is raised in a callback of its own (hypothesis has one)
    is printed and lost.
    """
    collects, old = gc.isenabled(), signal.signal(signal.SIGALRM, handler)
    gc.disable()
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, every)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, old)
        if collects:
            gc.enable()
