"""A progress bar for long runs.

A bar shows by itself only where somebody looks at it (a terminal or a notebook)
and only once the work has taken two seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

DELAY = 2.0  # seconds before a bar shows by itself

Advance: TypeAlias = Callable[[int], object]  # called with the number of things done


def watched() -> bool:
    """Whether a person sees the standard error stream: a terminal or a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is not None:
        return True
    stream = sys.stderr
    return stream is not None and hasattr(stream, "isatty") and stream.isatty()


@contextmanager
def bar(
    total: int | None, progress: bool | None = None, *, name: str = "", unit: str = "it"
) -> Iterator[Advance]:
    """A progress bar, as a function to call with the number of things done.

    Parameters
    ----------
    total
        How many things there are; None where nobody knows before the end.
    progress
        True shows the bar, False does not, None decides; see above.
    name
        The words in front of it.
    unit
        What is counted.
    """
    if progress is None and not watched():
        progress = False
    if progress is not False:
        try:
            from tqdm import tqdm  # the plain one: it needs no widgets
        except ImportError:
            progress = False
    if progress is False:
        yield lambda _: None
        return
    delay = DELAY if progress is None else 0.0
    with tqdm(total=total, desc=name, unit=unit, delay=delay, dynamic_ncols=True) as shown:
        yield shown.update
