"""How a thing was made: remembered with it, told by its file, the same after reading it again.

Contents
    note           remembers what a thing was made with
    made_with      what that is
    inherit        remembers what is remembered of another
    origin         where rows say that they come from
    told, entry    that, as the entry of a header
    said           what a header says
    restore        remembers it with the thing that was read

No time stamp and no machine is told: the same call writes the same bytes.  What was read from a
file that says nothing, of an earlier version, says nothing when it is written again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from ..version import __version__

BY = f"matrixbayes {__version__}"
ENTRY, NAME = "made", "_made"  # of a header, of a thing
MOST = 64  # numbers of an array that are told

Thing = TypeVar("Thing")


def note(thing: Thing, **how: Any) -> Thing:
    """Remember with a thing what it was made with, beside what is remembered; returns it."""
    object.__setattr__(thing, NAME, made_with(thing, **how))
    return thing


def made_with(thing: Any, **how: Any) -> dict[str, Any]:
    """What `note` would remember."""
    before = (getattr(thing, NAME, None) or {}).get("with", {})
    return {"by": BY, "with": before | _plain(how)}


def inherit(thing: Thing, other: Any) -> Thing:
    """Give a thing what is remembered of another, which it stands for; returns it."""
    object.__setattr__(thing, NAME, getattr(other, NAME, None))
    return thing


def origin(rows: Any) -> dict[str, Any]:
    """Where rows come from, where they say it: the short entries of their ``meta``."""
    meta = getattr(rows, "meta", None)
    known = meta if isinstance(meta, Mapping) else {}
    return {
        name: value for name, value in known.items() if isinstance(value, (str, bool, int, float))
    }


def told(thing: Any) -> dict[str, Any]:
    """What a header says of a thing's making: one entry, or none where nobody knows."""
    return entry(getattr(thing, NAME, None))


def entry(made: dict[str, Any] | None) -> dict[str, Any]:
    """That of what is remembered: nobody has said anything (None), or known nothing ({})."""
    if made is None:
        made = {"by": BY}
    return {ENTRY: made} if made else {}


def said(header: Mapping[str, Any]) -> dict[str, Any]:
    """What a header says of a thing's making; nothing where it says nothing, or is damaged."""
    made = header.get(ENTRY)
    return made if isinstance(made, dict) and isinstance(made.get("with", {}), dict) else {}


def restore(thing: Thing, header: Mapping[str, Any]) -> Thing:
    """Give a thing that was read what its header says of its making; returns it."""
    object.__setattr__(thing, NAME, said(header))
    return thing


def _plain(value: Any) -> Any:
    """As JSON can hold it; of what it cannot hold, the name of its type."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, np.ndarray) and value.size <= MOST:
        return _plain(value.tolist())
    if isinstance(value, (list, tuple, range)) and len(value) <= MOST:
        return [_plain(each) for each in value]
    return f"<{type(value).__name__}>"
