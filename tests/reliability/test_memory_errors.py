"""Memory that runs out anywhere in a method of Python's that changes counts, and the next call.

The matrix is as it was, and changes as it would have.
"""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from core.test_out_of_memory import FAILED, result_of
from tiers import alone, of_tier

import matrixbayes as mb

pytestmark = [alone, pytest.mark.promise(4)]

POINTS = of_tier(6, 40, 2000)  # allocations that fail, of each call, spread over all there are
TOKENS = [0, 1, 2, 0, 1, 1, 2, 0]


def matrix() -> mb.TransitionMatrix:
    return mb.TransitionMatrix(2, n_tokens=3, hierarchical=True).update(TOKENS * 3)


def fading() -> mb.TransitionMatrix:
    return mb.TransitionMatrix(1, n_tokens=3, discount=0.9).update(TOKENS)


@pytest.fixture(scope="module", autouse=True)
def _quick_collections() -> Iterator[None]:
    """Leaves what there is out of the many collections to come."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class Change(NamedTuple):
    """What makes an object, and what changes it."""

    make: Callable[[], Any]
    change: Callable[[Any], object]


CHANGES = {
    "update": Change(matrix, lambda m: m.update([TOKENS, TOKENS[1:]])),
    "update, fading": Change(fading, lambda m: m.update(TOKENS)),
    "update_rows": Change(matrix, lambda m: m.update_rows([[0, 1]], [[1, 0, 2]])),
    "downdate": Change(matrix, lambda m: m.downdate(TOKENS)),
    "forget": Change(fading, lambda m: m.forget(0.5)),
}


def bits(thing: Any) -> Any:
    """All that an object holds, to be compared."""
    if isinstance(thing, np.ndarray):
        return thing.dtype.str, thing.shape, thing.tobytes()
    if isinstance(thing, dict):
        return {key: bits(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [bits(each) for each in thing]
    if isinstance(thing, mb.DirichletMixture):
        return bits([thing.weights, thing.alpha, thing.tokens])
    if isinstance(thing, mb.TransitionMatrix):
        rows = thing.rows().toarray()
        return bits([thing.n_observed, rows, thing.prior, thing.log_prob(TOKENS), thing.discounts])
    return repr(thing)


def attempt(call: Callable[[], Any], first: int, last: int) -> bool:
    """Whether a call ends well where these allocations fail.  CPython makes another error of
    a few: what becomes of the object is the same."""
    return result_of(call, first, last, Exception) is not FAILED


def points(fresh: Callable[[], Callable[[], Any]]) -> Iterator[tuple[int, int]]:
    """Which allocations of a call fail, from one and up to another: alone, and with all others."""
    most = 1
    while not attempt(fresh(), most, 0):
        most *= 2
        assert most < 1 << 20, "it never ends well"
    for first in np.unique(np.linspace(0, most, POINTS).astype(int)).tolist():
        yield first, first + 1
        yield first, 0


@pytest.mark.parametrize("name", CHANGES)
def test_an_object_is_as_it_was(name: str, figure: Callable[[str], None]) -> None:
    make, change = CHANGES[name]
    kept = pickle.dumps(make())
    change(pickle.loads(kept))
    before = bits(pickle.loads(kept))
    wanted = pickle.loads(kept)
    change(wanted)
    wanted = bits(wanted)
    n = failed = 0
    for first, last in points(lambda: partial(change, pickle.loads(kept))):
        thing = pickle.loads(kept)
        bits(thing)  # what it makes when it is asked
        n += 1
        if not attempt(partial(change, thing), first, last):
            failed += 1
            assert bits(thing) == before, (name, first, last)
            change(thing)
        assert bits(thing) == wanted, (name, first, last)
    figure(f"{name}: memory short at {n} points, {failed} errors, the object as it was")
    assert failed > n // 8
