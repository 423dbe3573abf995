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
    seconds: float,
    *,
    every: float = 0.0,
    handler: Callable[..., Any] = _stop,
    of_processor: bool = False,
) -> Iterator[None]:
    """A signal after so many seconds, and again after each of `every`; of the processor's time, or
    of the clock's.

    What the handler raises comes out once, at the very end too, and all is put back.
    The collector waits meanwhile: what is raised in a callback of its own (hypothesis has one)
    is printed and lost.
    """
    timer, number = signal.ITIMER_REAL, signal.SIGALRM
    if of_processor:
        timer, number = signal.ITIMER_PROF, signal.SIGPROF
    is_over = False

    def once(*args: Any) -> None:
        nonlocal is_over
        if not is_over:
            try:
                handler(*args)
            except BaseException:
                is_over = True
                raise

    collects, old = gc.isenabled(), signal.signal(number, once)
    gc.disable()
    try:
        try:
            signal.setitimer(timer, seconds, every)
            yield
        finally:
            is_over = True
    finally:  # where nothing is raised any more
        signal.setitimer(timer, 0.0)
        signal.signal(number, old)
        if collects:
            gc.enable()
