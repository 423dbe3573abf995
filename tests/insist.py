"""A call that another thread may be in the way of.

Contents
    insist    calls until nothing is in the way
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress


def insist(call: Callable[[], object]) -> None:
    """Calls again where another thread was first, which is a RuntimeError."""
    through = False
    while not through:
        with suppress(RuntimeError):
            call()
            through = True
