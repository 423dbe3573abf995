"""Memory that runs out at any point: a call says so, changes nothing, and works the next time."""

from __future__ import annotations

import _imp
import collections
import gc
import importlib.util
import pickle
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import short_memory
from core.leak_cases import CASES
from reliability.kept import TYPES, Kept
from tiers import of_tier, untraced

from matrixbayes import _core

pytestmark = pytest.mark.promise(4)

MOST = 1000  # allocations of a call
# What has others convert or copy, who then lose errors, or read what is not there: pickle and
# copyreg of CPython, and lists of which NumPy cannot make one array.
OTHERS = {"copies", "copy", "mixed", "pickle", "pickled", "reduce"}
# A name for each generator of cases.
NAMES = {make: name for name, make in reversed(CASES.items())}.values()


@pytest.fixture(scope="module", autouse=True)
def quick_collections() -> Iterator[None]:
    """Leaves what there is out of the many collections to come."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


FAILED = object()


def result_of(call: Callable[[], Any], first: int, last: int, *others: type[Exception]) -> Any:
    """What a call gives where its allocations from `first` up to `last` fail (0: all the rest),
    or FAILED."""
    errors = (MemoryError, *others)
    short_memory.ready()
    gc.collect()  # no floats and tuples kept for reuse: each one has to be asked for
    try:
        return short_memory.call_short(call, first, last)
    except errors:
        return FAILED
    except SystemError as error:  # CPython has no memory to call a function written in Python
        if not str(error).startswith("<function "):
            raise
        return FAILED


def each_failure(call: Callable[[], Any]) -> Iterator[Any]:
    """Calls with the n-th allocation failing, for every n: alone, and with all that follow.

    Yields after each call what it gave, or FAILED; the last one gives something.
    """
    for first in range(MOST):
        yield result_of(call, first, first + 1)  # some calls can do without
        result = result_of(call, first, 0)
        yield result
        if result is not FAILED:
            return
    raise AssertionError("it never ends well")


def bits(value: Any) -> Any:
    """What a call gave, or what an object holds, to be compared."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, tuple | list):
        return [bits(each) for each in value]
    if type(value) in TYPES:
        what = value.arrays() if hasattr(value, "arrays") else pickle.dumps(value)
        return type(value).__name__, bits(what)
    return value if isinstance(value, int | float | str | bytes) else type(value).__name__


def held(call: Any) -> list[Any]:
    """The objects and arrays that a case calls again and again: its owner, its arguments."""
    parts = [cell.cell_contents for cell in getattr(call, "__closure__", None) or ()]
    parts += [*getattr(call, "args", ()), getattr(call, "func", None)]
    parts += [getattr(part, "__self__", None) for part in [call, *parts]]
    parts += [each for part in parts if isinstance(part, tuple | list) for each in part]
    return [part for part in parts if type(part) in (np.ndarray, *TYPES)]


def cases(every: int = 1) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The cases of every so many-th callable."""
    for name in sorted(NAMES)[::every]:
        for label, call in CASES[name]():
            if label not in OTHERS:
                yield f"{name}, {label}", call


def test_each_allocation_may_fail(figure: Callable[[str], None]) -> None:
    """Memory that is short is said to be, or done without; all that is called upon stays the same,
    and gives the same afterwards."""
    n_cases = n_failures = 0
    for label, call in cases():
        given = [bits(call()) for _ in range(2)]
        things = held(call)
        before = [bits(thing) for thing in things]
        for result in each_failure(call):
            n_failures += result is FAILED
            assert [bits(thing) for thing in things] == before, label
            if result is not FAILED and given[0] == given[1]:  # nothing random
                assert bits(result) == given[0], label
        if given[0] == given[1]:
            assert bits(call()) == given[0], label
        n_cases += 1
    figure(f"{n_cases} calls of the core, too little memory {n_failures} times, nothing changed")


@untraced
@pytest.mark.no_sanitizer  # it stands below the allocators that are read here
def test_what_failed_keeps_nothing(figure: Callable[[str], None]) -> None:
    """Not of lists that a case makes: CPython 3.11 loses items of its own."""
    gate, kept, n = Kept(1, 0.0), {}, 0
    for label, call in cases(of_tier(8, 1, 1)):
        n += 1
        if found := gate.by(lambda call=call: collections.deque(each_failure(call), maxlen=0)):
            kept[label] = found
    figure(f"{n} calls of the core with too little memory at each point, {len(kept)} keep any")
    assert not kept


def test_the_core_asks_the_allocators_that_fail_here() -> None:
    for name in ("Counts", "count_expectation", "expectation", "DirichletMixture.posterior"):
        _, call = next(CASES[name]())
        assert result_of(call, 0, 0) is FAILED


def test_other_threads_have_memory() -> None:
    """A thread of the test runner's reads what comes, and takes the process with it if it fails."""
    begun, done = threading.Lock(), threading.Lock()
    given: list[Any] = []

    def ask() -> None:
        begun.acquire()
        try:
            given.append((bytearray(1000), np.ones(1000), [object()]))
        finally:
            done.release()

    for lock in (begun, done):
        lock.acquire()
    other = threading.Thread(target=ask)
    other.start()

    def call() -> object:
        return begun.release(), done.acquire(), bytearray(1000)  # this one gets none

    assert result_of(call, 0, 0) is FAILED
    other.join()
    assert done.locked()
    assert given


TOKENS = np.array([0, 1, 2, 3, 0, 1, 2, 2] * 5)
CONTEXTS = np.array([[0, 1], [1, 2], [3, 3]])


def some_counts(kind: str = "TransitionCounts") -> Any:
    numbers = (2, 4, 0.5) if kind == "FadingCounts" else (2, 4)
    counts = getattr(_core, kind)(*numbers)
    counts.update(TOKENS)
    counts.update_rows(CONTEXTS, [0, 1, 2], [1, 2**40, 0])
    return counts


# What changes an object, by its type and name; everything else is read.
CHANGES: dict[str, dict[str, Callable[[Any], object]]] = {
    "TransitionCounts": {
        "update": lambda counts: counts.update([TOKENS, TOKENS[1:].copy()]),
        "update, pieces": lambda counts: counts.update(TOKENS, [0, 4], [3, 9]),
        "update_rows": lambda counts: counts.update_rows(CONTEXTS, [3, 1, 2], [7, 2**33, 1]),
        "merge": lambda counts: counts.merge(some_counts()),
        "merge, itself": lambda counts: counts.merge(counts),
        "subtract": lambda counts: counts.subtract(some_counts()),
        "scale": lambda counts: counts.scale(3),
    },
    "FadingCounts": {
        "update": lambda counts: counts.update([TOKENS, TOKENS[1:].copy()]),
        "update_rows": lambda counts: counts.update_rows(CONTEXTS, [3, 1, 2], [7, 0.25, 1]),
        "merge": lambda counts: counts.merge(some_counts("FadingCounts")),
        "merge, itself": lambda counts: counts.merge(counts),
        "scale": lambda counts: counts.scale(0.5, CONTEXTS[:1]),
        "scale, all": lambda counts: counts.scale(0.25),
    },
}
READS = {"order", "n_tokens", "n_observed", "nbytes", "discount", "copy", "counts", "totals"}
READS |= {"rows", "all", "sizes", "fold", "places", "shorten", "discounted_rows", "shorter_pairs"}
READS |= {"counts_of_counts", "arrays", "from_arrays", "log_evidence"}


def contents(counts: Any) -> list[Any]:
    return [counts.n_observed, *bits(counts.copy().all())]


@pytest.mark.parametrize("kind", CHANGES)
def test_all_that_changes_counts_is_here(kind: str) -> None:
    members = {name for name in vars(getattr(_core, kind)) if not name.startswith("_")}
    assert {name.partition(",")[0] for name in CHANGES[kind]} == members - READS


@pytest.mark.parametrize("kind", CHANGES)
def test_counts_that_memory_was_short_for_are_as_they_were(kind: str) -> None:
    for name, change in CHANGES[kind].items():
        counts = [some_counts(kind)]
        before, failed = contents(counts[0]), 0
        for result in each_failure(lambda counts=counts, change=change: change(counts[0])):
            if result is not FAILED:  # it was changed: from the start again
                assert contents(counts[0]) != before, name
                counts[0] = some_counts(kind)
            else:
                failed += 1
                assert contents(counts[0]) == before, name
        assert failed > 2, name


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
    # NumPy 1.26.0 has none, which is looked for each time: an import of CPython 3.11 that gets no
    # memory may wait for its own lock for ever
    pytest.importorskip("numpy._core")

    def loads(first: int) -> bool:
        module = fresh_module()
        gone = weakref.ref(module)
        # NumPy has an error of its own, and CPython loses some
        load = partial(_imp.exec_dynamic, module)
        well = result_of(load, first, 0, ImportError, SystemError) is not FAILED
        gc.collect()  # looks into what is half made
        assert not well or module.exp(0.0) == 1.0
        del module, load
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
