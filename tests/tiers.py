"""How much of a check of reliability runs, by tier; docs/reliability.md has the promises.

Contents
    TIER     "short" (each run of the suite), "ci" (the gates), or "release" (by hand)
    of_tier  what a check does in this tier: how many kills, mutations, seconds
    alone    marks what reads the clock or the memory of the process: not beside the whole suite
    untraced marks what reads its memory to the byte: not while a tracer keeps lines
"""

from __future__ import annotations

import os
import sys
from typing import TypeVar

import pytest

Size = TypeVar("Size")

TIERS = ("short", "ci", "release")
TIER = os.environ.get("MATRIXBAYES_TIER", "short")
assert TIER in TIERS, f"MATRIXBAYES_TIER is {TIER!r}, and has to be one of {', '.join(TIERS)}"


def of_tier(short: Size, ci: Size, release: Size) -> Size:
    """The one of this tier."""
    return (short, ci, release)[TIERS.index(TIER)]


alone = pytest.mark.skipif(TIER == "short", reason="by itself, as make check has it")
untraced = pytest.mark.skipif(
    sys.gettrace() is not None,
    reason="a tracer, of coverage or a debugger, takes memory for each new line that it sees",
)
