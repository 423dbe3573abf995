"""Memory that runs out anywhere in a method of Python's that changes an object or a file, and the
next call.

What was to change is as it was, and changes as it would have; a file is the old or the new one.
"""

from __future__ import annotations

import gc
import os
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest
import short_memory
from core.test_out_of_memory import FAILED, result_of
from reliability.children import Trial, outcomes
from reliability.kinds import KINDS
from tiers import alone, of_tier

import matrixbayes as mb

pytestmark = [
    alone,
    pytest.mark.promise(4),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:the concentration of order"),  # of so short a text
]

POINTS = of_tier(6, 40, 2000)  # allocations that fail, of each call, spread over all there are
FILE_POINTS = of_tier(2, 8, 200)
# How many fail in a row where memory ends.  Not all that follow: what CPython 3.11 needs to raise
# an error in a long function it asks for until it gets it.
MANY = 100
TOKENS = [0, 1, 2, 0, 1, 1, 2, 0]


def matrix() -> mb.TransitionMatrix:
    return mb.TransitionMatrix(2, n_tokens=3, hierarchical=True).update(TOKENS * 3)


def fading() -> mb.TransitionMatrix:
    return mb.TransitionMatrix(1, n_tokens=3, discount=0.9).update(TOKENS)


OTHER = mb.TransitionMatrix(2, n_tokens=3, hierarchical=True).update(TOKENS[::-1])
ROWS = mb.DirichletMixture([1.0], [[4.0, 2.0, 1.0]]).sample(40, rng=0)


def estimator() -> mb.DirichletMixtureEstimator:
    """In one thread, whose memory ends: others go on."""
    return mb.DirichletMixtureEstimator(1, kind="probs", random_state=0, n_jobs=1)


def fitted() -> mb.DirichletMixtureEstimator:
    return estimator().fit(ROWS)


STATISTICS = fitted().summarize(ROWS[:9])


@pytest.fixture(autouse=True)
def _frozen_no_more() -> Iterator[None]:
    yield
    gc.unfreeze()


class Change(NamedTuple):
    """What makes an object, and what changes it."""

    make: Callable[[], Any]
    change: Callable[[Any], object]


CHANGES = {
    "update": Change(matrix, lambda m: m.update([TOKENS, TOKENS[1:]])),
    "update, the first": Change(
        lambda: mb.TransitionMatrix(2, n_tokens=3), lambda m: m.update(TOKENS)
    ),
    "update, fading": Change(fading, lambda m: m.update(TOKENS)),
    "update_rows": Change(matrix, lambda m: m.update_rows([[0, 1]], [[1, 0, 2]])),
    "downdate": Change(matrix, lambda m: m.downdate(TOKENS)),
    "forget": Change(fading, lambda m: m.forget(0.5)),
    "merge": Change(matrix, lambda m: m.merge(OTHER, weight=2)),
    "going_on_from": Change(matrix, lambda m: m.going_on_from([1, 0])),
    "fit_prior": Change(fading, lambda m: m.fit_prior(n_jobs=1)),
    "fit_prior, hierarchical": Change(matrix, lambda m: m.fit_prior()),
    "fit": Change(estimator, lambda e: e.fit(ROWS)),
    "fit, again": Change(fitted, lambda e: e.fit(ROWS[:30])),
    "fit_predict": Change(fitted, lambda e: e.fit_predict(ROWS[:30])),
    "fit_transform": Change(fitted, lambda e: e.fit_transform(ROWS[:30])),
    "partial_fit, the first": Change(estimator, lambda e: e.partial_fit(ROWS)),
    "partial_fit": Change(fitted, lambda e: e.partial_fit(ROWS[:9])),
    "from_summaries": Change(fitted, lambda e: e.from_summaries(STATISTICS)),
    "set_params": Change(fitted, lambda e: e.set_params(tol=1e-3, n_components=3)),
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
        told = [thing.n_observed, thing.rows().toarray(), thing.prior, thing.log_prob(TOKENS)]
        return bits([*told, thing.concentrations, thing._earlier, thing._latest, thing._made])
    if isinstance(thing, mb.DirichletMixtureEstimator):
        return bits(vars(thing))
    plain = thing is None or isinstance(thing, str | int | float)
    return repr(thing) if plain else pickle.dumps(thing)


def attempt(call: Callable[[], Any], first: int, last: int) -> bool:
    """Whether a call ends well where these allocations fail.  CPython makes another error of
    a few: what becomes of the object is the same.  NumPy has no memory to take back an errstate."""
    with np.errstate():
        return result_of(call, first, last, Exception) is not FAILED


def tried(
    fresh: Callable[[], Callable[[], Any]], trial: Trial, n: int = POINTS
) -> tuple[int, int, int]:
    """At how many points allocations failed, from one and up to another: alone, and with many
    others; how many errors there were, and at how many points others ended the process."""
    short_memory.ready()
    gc.collect()
    gc.freeze()  # what was imported by now is left out of the many collections to come
    doubled = [(1 << i, (1 << i) + MANY) for i in range(20)]
    well = list(outcomes(lambda *which: attempt(fresh(), *which), doubled))
    most, _ = doubled[well.index(True)]
    firsts = np.unique(np.linspace(0, most, n).astype(int)).tolist()
    both = [(first, first + more) for first in firsts for more in (1, MANY)]
    came = list(outcomes(trial, both))
    return len(came), came.count(False), came.count(None)


@pytest.mark.parametrize("name", CHANGES)
def test_an_object_is_as_it_was(name: str, figure: Callable[[str], None]) -> None:
    make, change = CHANGES[name]
    kept = pickle.dumps(make())
    change(pickle.loads(kept))
    before = bits(pickle.loads(kept))
    wanted = pickle.loads(kept)
    change(wanted)
    wanted = bits(wanted)

    def trial(first: int, last: int) -> bool:
        thing = pickle.loads(kept)
        bits(thing)  # what it makes when it is asked
        well = attempt(partial(change, thing), first, last)
        if not well:
            assert bits(thing) == before, (name, first, last)
            change(thing)
        assert bits(thing) == wanted, (name, first, last)
        return well

    n, failed, ended = tried(lambda: partial(change, pickle.loads(kept)), trial)
    figure(
        f"{name}: memory short at {n} points, {failed} errors, the object as it was"
        + by_others(ended)
    )
    assert failed > n // 8 > ended


def by_safetensors(read: Callable[[], Any]) -> bool:
    """Whether a file is read by that library, which ends the process where it has no memory."""
    with mock.patch("safetensors.safe_open", side_effect=InterruptedError):
        try:
            read()
        except InterruptedError:
            return True
    return False


@pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0",
    reason="cumsum of NumPy 1 ends the process where it has no memory",
)
@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.is_here()])
def test_a_file_is_the_old_or_the_new(
    name: str, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    kind, path = KINDS[name], tmp_path / name
    save = kind.save(1)
    save(path)
    new = path.read_bytes()
    read = kind.read
    if read is not None:
        read(path)  # imports what that takes
    kind.save(0)(path)
    old = path.read_bytes()

    def saving(first: int, last: int) -> bool:
        path.write_bytes(old)
        well = attempt(partial(save, path), first, last)
        assert path.read_bytes() in ((new,) if well else (old, new)), (first, last)
        return well

    n, failed, ended = tried(lambda: partial(save, path), saving, FILE_POINTS)
    save(path)  # it removes what another had no memory to remove
    assert os.listdir(tmp_path) == [name]
    assert failed > n // 8 > ended
    if read is not None and not by_safetensors(partial(read, path)):
        reading = partial(attempt, partial(read, path))
        more = tried(lambda: partial(read, path), reading, FILE_POINTS)
        n, failed, ended = n + more[0], failed + more[1], ended + more[2]
        read(path)
    assert path.read_bytes() == new
    figure(
        f"{name}: memory short at {n} points of saving and reading, {failed} errors, 0 torn"
        + by_others(ended)
    )


def by_others(ended: int) -> str:
    return f", {ended} processes ended by CPython or NumPy" if ended else ""
