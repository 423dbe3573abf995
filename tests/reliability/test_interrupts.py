"""Ctrl-C in every public call that takes its time, at moments spread over it.

Time is the processor's, of this process: what else the machine does is not waited for.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from alarm import alarm, needs_timers
from reliability import cases
from reliability.pairs import as_bits
from tiers import alone, of_tier

pytestmark = [
    alone,
    needs_timers,
    pytest.mark.filterwarnings("ignore"),
]

LONG = 0.02  # seconds of a call that is worth a signal
MOST = 0.1  # seconds from the signal to its exception
TRIES = 3
MOMENTS = of_tier(3, 10, 10)
PARTS = of_tier(1, 8, 8)


class Watch:
    """When the handler of a signal ran, and whether Python lost what it raised, as it does where an
    object is cleared away."""

    def __init__(self) -> None:
        self.at: float | None = None
        self.is_lost = False

    def __call__(self, *_: Any) -> None:
        self.at = time.process_time()
        raise KeyboardInterrupt

    def lost(self, what: Any) -> None:
        self.is_lost = self.is_lost or what.exc_type is KeyboardInterrupt


@contextmanager
def interrupted_after(seconds: float, watch: Watch) -> Iterator[None]:
    """One signal after so much time of the processor."""
    hook = sys.unraisablehook
    sys.unraisablehook = watch.lost
    try:
        with alarm(seconds, handler=watch, of_processor=True):
            yield
    finally:
        sys.unraisablehook = hook


def arrays_in(given: Any) -> Iterator[Any]:
    for each in given:
        if isinstance(each, np.ndarray) and each.dtype != object:
            yield each
        elif isinstance(each, (list, tuple)):
            yield from arrays_in(each)


def stopped(name: str, moment: float, took: float) -> bool:
    """Whether a signal came out of a call, in time, and left the arguments as they were.

    Late is what is late each time: a machine with much else to do takes a while now and then.
    """
    for _ in range(TRIES):
        late = lateness(name, moment, took)
        if late is None:
            return False
        if late < MOST:
            return True
    raise AssertionError(f"{name} goes on for {late:.3f} s")


def lateness(name: str, moment: float, took: float) -> float | None:
    """Seconds from a signal to its exception; None where the call was over, or Python lost it."""
    call, watch = cases.call_of(name), Watch()
    assert call is not None
    given = list(arrays_in([*call.args, *call.kwargs.values()]))
    before, began, is_out = as_bits(given), time.process_time(), False
    try:
        # What comes as an errstate of NumPy's ends leaves the settings of within: the page says so.
        with np.errstate(), interrupted_after(max(moment * took, 1e-3), watch):
            call()
    except KeyboardInterrupt:
        is_out = True
    late = time.process_time() - began - moment * took
    if watch.at is None or watch.is_lost:
        return None
    assert is_out, f"{name} swallows what ends it"
    assert as_bits(given) == before, f"{name} changes its arguments"
    return late


def alive() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if not each.daemon}


def interrupted(name: str) -> int:
    """How often a call was stopped; it can be made again."""
    call = cases.call_of(name)
    if call is None:
        return 0
    call()  # what is made once is there
    call = cases.call_of(name)
    assert call is not None
    began = time.process_time()
    call()
    took = time.process_time() - began
    if took < LONG:
        return 0
    threads = alive()
    n = sum(stopped(name, (i + 0.5) / MOMENTS, took) for i in range(MOMENTS))
    again = cases.call_of(name)
    assert again is not None
    again()
    for each in alive() - threads:
        each.join(10.0)  # what is under way ends by itself
    assert alive() <= threads, f"{name} leaves threads"
    return n


def names() -> list[str]:
    quick = [each for each in sorted(cases.public()) if not cases.draws(each)]
    return [each for each in quick if each not in cases.SLOW][:: of_tier(20, 1, 1)]


@pytest.mark.promise(8)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_call_that_takes_its_time_is_stopped(
    part: int, figure: Callable[[str], None]
) -> None:
    pytest.importorskip("torch")
    found = {}
    for name in names()[part::PARTS]:
        try:
            found[name] = interrupted(name)
        except pytest.skip.Exception:
            continue
    n, times = sum(map(bool, found.values())), sum(found.values())
    figure(f"{n} of {len(found)} calls take {LONG} s, and were stopped {times} times")
