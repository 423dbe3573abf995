"""What commands say: results on standard output, everything else on standard error.

Contents
    Answer                         what a command found, for people and for programs
    write                          lines on standard output, whatever its encoding
    say, progress                  a step that begins, and bars, where somebody watches
    plain, as_json                 any result as JSON can hold it: finite numbers and null
    components, component_lines    those of a prior, for programs and for people
    mendable, reason               errors about what the user gave, in one line
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError


@dataclass(frozen=True)
class Answer:
    """What a command found.

    Attributes
    ----------
    lines
        For people.
    data
        For programs: the keys that the command lists, with what `plain` takes.
    status
        The exit status.
    """

    lines: Iterable[str]
    data: Mapping[str, Any]
    status: int = 0


def write(lines: Iterable[str]) -> None:
    """Lines on standard output; what its encoding lacks is written as its escape."""
    encoding = sys.stdout.encoding or "utf-8"
    for line in lines:
        sys.stdout.write(f"{line}\n".encode(encoding, "backslashreplace").decode(encoding))


def say(options: Any, words: str) -> None:
    """A step that begins, on standard error where it is a terminal."""
    if not options.quiet and sys.stderr is not None and sys.stderr.isatty():
        print(f"... {words}", file=sys.stderr, flush=True)


def progress(options: Any) -> bool | None:
    """What functions of the library take: their own bars, which need a terminal; or none."""
    return False if options.quiet else None


def plain(value: Any) -> Any:
    """What JSON can hold: finite numbers, and null for others; arrays are lists."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Iterable):
        return [plain(each) for each in value]
    raise TypeError(f"{type(value).__name__} is nothing that JSON holds")


def as_json(data: Mapping[str, Any]) -> str:
    """One object, in ASCII, in one line."""
    return json.dumps(plain(data), allow_nan=False)


def components(prior: Any, top: int | str) -> list[dict[str, Any]]:
    """A mixture's components, the heaviest first: weight, concentration and probable tokens."""
    import numpy as np

    weights, alpha = np.asarray(prior.weights), np.asarray(prior.alpha)
    names = prior.tokens
    n = alpha.shape[1] if top == "all" else min(int(top), alpha.shape[1])
    found = []
    for k in np.argsort(-weights, kind="stable"):
        mean = alpha[k] / alpha[k].sum()
        order = np.argsort(-mean, kind="stable")[:n]
        tokens = [[int(j) if names is None else names[j], float(mean[j])] for j in order]
        total = float(alpha[k].sum())
        found.append({"weight": float(weights[k]), "concentration": total, "tokens": tokens})
    return found


def component_lines(found: list[dict[str, Any]], shown: int = 5) -> Iterator[str]:
    """Components in words."""
    from .._base.display import number, percent, quoted

    for each in found:
        top = ", ".join(f"{quoted(name)} {percent(p)}" for name, p in each["tokens"][:shown])
        weight, total = each["weight"], number(each["concentration"])
        yield f"  weight {weight:.3f}, concentration {total}: {top}"


@contextmanager
def mendable() -> Iterator[None]:
    """Errors of the library about what the user gave are the user's to mend."""
    try:
        yield
    except UsageError:
        raise
    except MemoryError as error:
        raise UsageError(str(error) or "there is not enough memory") from error
    except (ValueError, TypeError, OverflowError, ImportError) as error:
        raise UsageError(error) from error
    except OSError as error:
        raise UsageError(reason(error)) from error


def reason(error: OSError) -> str:
    """What the system said, and of which file."""
    words = error.strerror or str(error)
    return f"{words}: {error.filename}" if error.filename else words
