"""What callers give to be called, models and tokenizers: their errors say where they came from.

Contents
    asked    a call of it; what it raises is told which prompt, line or text it was for
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def asked(where: str, call: Callable[..., T], /, *args: object, **kwargs: object) -> T:
    """call(*args, **kwargs); an error of it is its own, with a note of where.

    A StopIteration would end whatever loop is above, in silence: it is a RuntimeError.

    Examples
    --------
    >>> try:
    ...     asked("line 7", int, "x")
    ... except ValueError as error:
    ...     print(error, error.__notes__)
    invalid literal for int() with base 10: 'x' ['this was raised for line 7']
    """
    try:
        return call(*args, **kwargs)
    except StopIteration as error:
        raise RuntimeError(f"{where}: what was called raised StopIteration") from error
    except Exception as error:
        note = f"this was raised for {where}"
        if note not in getattr(error, "__notes__", ()):  # it may be raised again
            error.add_note(note)
        raise
