"""Memory that runs out at any point: a call says so, changes nothing, and works the next time."""

from __future__ import annotations

import _imp
import collections
import gc
import importlib.util
import sys
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from core.leak_cases import CASES

from matrixbayes import _core

testcapi = pytest.importorskip("_testcapi")
pytestmark = pytest.mark.no_sanitizer  # it stands below the allocators that fail here

MOST = 1000  # allocations of a call
# What has others convert or copy, who then lose errors, or read what is not there: pickle and
# copyreg of CPython, and lists of which NumPy cannot make one array.
OTHERS = {"copies", "copy", "mixed", "pickle", "pickled", "reduce"}
# A name for each generator of cases.
NAMES = {make: name for name, make in reversed(CASES.items())}.values()


@pytest.fixture(scope="module", autouse=True)
def _quick_collections() -> Iterator[None]:
    """Leaves what there is out of the many collections to come."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def succeeds(call: Callable[[], object], first: int, last: int, *others: type[Exception]) -> bool:
    """Whether a call ends well where its allocations `first` to `last` fail; 0: all the rest."""
    errors = (MemoryError, *others)
    gc.collect()  # no floats and tuples kept for reuse: each one has to be asked for
    testcapi.set_nomemory(first, last)
    try:
        call()
    except errors:
        return False
    except SystemError as error:  # CPython has no memory to call a function written in Python
        if not str(error).startswith("<function "):
            raise
        return False
    finally:
        testcapi.remove_mem_hooks()
    return True


def each_failure(call: Callable[[], object]) -> Iterator[bool]:
    """Calls with the n-th allocation failing, for every n: alone, and with all that follow.

    Yields after each call whether it ended well; the last one does.
    """
    for first in range(MOST):
        yield succeeds(call, first, first + 1)  # some calls can do without
        well = succeeds(call, first, 0)
        yield well
        if well:
            return
    raise AssertionError("it never ends well")


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_allocation_may_fail(name: str) -> None:
    for label, call in CASES[name]():
        if label not in OTHERS:
            call()
            collections.deque(each_failure(call), maxlen=0)
            call()


def kept(call: Callable[[], object], rounds: int) -> int:
    """The blocks of Python's that calls leave behind whose memory was short, in some rounds."""

    def in_use() -> int:
        gc.collect()
        sys._clear_type_cache()  # it keeps names that C code looked attributes up by
        return sys.getallocatedblocks()

    before = in_use()
    for _ in range(rounds):
        collections.deque(each_failure(call), maxlen=0)
    return in_use() - before


# Cases that make what there is of each type.  (Not of a list: CPython 3.11 loses items of its own.)
MAKERS = {
    "BackoffTable": {"plain", "based, arrays", "own", "plain, bounds", "plain, rows", "buckets"},
    "Counts": {"made", "sparse", "tokens"},
    "DirichletMixture": {"names"},
    "DirichletMixture.posterior": {"float64"},
    "FrozenCounts": {"opened", "encoded", "rows", "walk", "all"},
    "SufficientStatistics": {"arrays"},
    "SufficientStatistics.__add__": {"sum"},
    "TransitionCounts": {"arrays", "rows", "copy", "__reduce__", "shorten", "discounted_rows"},
    "count_expectation": {"weighted"},
    "divergence": {"plain"},
    "draw_rows": {"float32, weights"},
    "expectation": {"float32, weights"},
    "maximization": {"found"},
    "pair_distances": {"kl"},
    "regression_mean": {"rows", "counts"},
    "regression_sums": {"rows", "counts"},
}


@pytest.mark.parametrize("name", MAKERS)
def test_what_failed_keeps_nothing(name: str) -> None:
    for label, call in CASES[name]():
        if label in MAKERS[name]:
            kept(call, 1)
            assert kept(call, 5) < 5, label


def test_the_core_asks_the_allocators_that_fail_here() -> None:
    for name in ("Counts", "count_expectation", "expectation", "DirichletMixture.posterior"):
        _, call = next(CASES[name]())
        assert not succeeds(call, 0, 0)


TOKENS = np.array([0, 1, 2, 3, 0, 1, 2, 2] * 5)
CONTEXTS = np.array([[0, 1], [1, 2], [3, 3]])


def some_counts() -> Any:
    counts = _core.TransitionCounts(2, 4)
    counts.update(TOKENS)
    counts.update_rows(CONTEXTS, [0, 1, 2], [1, 2**40, 0])
    return counts


CHANGES: dict[str, Callable[[Any], object]] = {
    "update": lambda counts: counts.update([TOKENS, TOKENS[1:].copy()]),
    "update_rows": lambda counts: counts.update_rows(CONTEXTS, [3, 1, 2], [7, 2**33, 1]),
    "merge": lambda counts: counts.merge(some_counts()),
    "merge itself": lambda counts: counts.merge(counts),
    "subtract": lambda counts: counts.subtract(some_counts()),
    "scale": lambda counts: counts.scale(3),
}


def contents(counts: Any) -> list[Any]:
    return [counts.n_observed, *(array.tolist() for array in counts.copy().all())]


@pytest.mark.parametrize("change", CHANGES)
def test_counts_that_memory_was_short_for_are_as_they_were(change: str) -> None:
    counts = [some_counts()]
    before, failed = contents(counts[0]), 0
    for well in each_failure(lambda: CHANGES[change](counts[0])):
        if well:  # it was changed: from the start again
            assert contents(counts[0]) != before
            counts[0] = some_counts()
        else:
            failed += 1
            assert contents(counts[0]) == before
    assert failed > 5


def test_a_generator_is_unlocked_again_whatever_fails() -> None:
    mixture = _core.DirichletMixture([0.25, 0.75], [[1.0, 2.0, 3.0], [0.5, 0.5, 4.0]])
    generator = np.random.PCG64(0)
    for _ in each_failure(lambda: mixture.sample_log_probs(3, generator)):
        assert generator.lock.acquire(blocking=False)
        generator.lock.release()


def fresh_module() -> Any:
    """Another module of the same file, not yet executed."""
    spec = importlib.util.find_spec("matrixbayes._core")
    assert spec is not None
    return _imp.create_dynamic(spec)


def test_a_module_that_memory_was_short_for_is_no_module_and_goes() -> None:
    def loads(first: int) -> bool:
        module = fresh_module()
        gone = weakref.ref(module)
        # NumPy has an error of its own, and CPython loses some
        well = succeeds(partial(_imp.exec_dynamic, module), first, 0, ImportError, SystemError)
        gc.collect()  # looks into what is half made
        assert not well or module.exp(0.0) == 1.0
        del module
        gc.collect()
        assert gone() is None
        return well

    assert [loads(first) for first in range(0, MOST, 3)].index(True) > 20


def test_modules_of_the_same_file_share_nothing() -> None:
    module = fresh_module()
    _imp.exec_dynamic(module)
    assert module.DirichletMixture is not _core.DirichletMixture
    mixture = module.DirichletMixture([1.0], [[1.0, 3.0]])
    with pytest.raises(TypeError):
        _core.expectation(mixture, np.log([[0.5, 0.5]]))
    gone = weakref.ref(module)
    del module
    gc.collect()
    assert mixture.mean().tolist() == [0.25, 0.75]  # its type keeps the module
    del mixture
    gc.collect()
    assert gone() is None
