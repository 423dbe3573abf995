"""What long runs say of themselves: a progress bar, and lines of a log.

Contents
    bar            a progress bar, as a function to call with the number of things done
    watched        whether somebody sees it
    begin          a line of the log; returns what says the end, and the seconds that it took
    LOG            the logger ``matrixbayes``: silent until somebody listens

A bar shows by itself only where somebody looks at it (a terminal or a notebook) and only once the
work has taken two seconds.  A line of the log is made only where it is wanted: calls begin and end
at the level INFO, their steps are of DEBUG.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

DELAY = 2.0  # seconds before a bar shows by itself

Advance: TypeAlias = Callable[[int], object]  # called with the number of things done

LOG = logging.getLogger("matrixbayes")
LOG.addHandler(logging.NullHandler())


def begin(name: str, what: str, *values: Any) -> Callable[..., None]:
    """Say in the log that a long call begins, and how large it is.

    Parameters
    ----------
    name
        Of the call.
    what, *values
        A text and its values as `logging` takes them.

    Returns
    -------
    function
        To call at the end with a text and its values.

    Examples
    --------
    >>> finish = begin("fit", "%d rows", 100)
    >>> finish("%d passes", 7)
    """
    LOG.info("%s begins: " + what, name, *values)
    began = time.perf_counter()

    def finish(found: str, *values: Any) -> None:
        LOG.info("%s done in %.2f s: " + found, name, time.perf_counter() - began, *values)

    return finish


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
