"""No public callable keeps anything, whether it succeeds or fails.

Each is called again and again after a warm-up, with what it takes and with what it refuses; then
Python's blocks, bytes of the C library, references to our types, open files, threads, temporary
files and mappings must be what they were, in one of several rounds.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import gc
import inspect
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from reliability import cases
from reliability.kept import LIBC, Kept
from tiers import alone, of_tier, untraced

pytestmark = [
    alone,
    untraced,
    pytest.mark.promise(3),
    pytest.mark.filterwarnings("ignore"),  # calls of few rows warn, and say so elsewhere
    pytest.mark.no_sanitizer,  # it replaces the allocators that are read here
]

SHARE = of_tier(25, 1, 1)  # every so many-th callable
CALLS = of_tier(20, 20, 200)
SECONDS = of_tier(0.02, 0.02, 1.0)


class Bad:
    """An argument that fails when it is looked at."""

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise OSError("no array here")

    def __index__(self) -> int:
        raise OSError("no number here")

    __float__ = __len__ = __iter__ = __index__
    __getitem__ = __array__


# What stands in the place of each argument in turn.
WRONG: tuple[Any, ...] = (Bad(), None, "text", -1, float("nan"), [], [["a", None]], {})
NO = object()


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    """Leaves what there is out of the many collections to come."""
    pytest.importorskip("torch")
    names = cases.public()
    for name in names:
        if name.endswith("__new__") or "." not in name:
            with contextlib.suppress(pytest.skip.Exception):
                cases.call_of(name)
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


STORE: list[bytes] = []


def works(name: str) -> Callable[[], None]:
    """The valid call, all of it made anew; or a leak that is planted."""

    def once() -> None:
        call = cases.call_of(name)
        assert call is not None
        call()

    return once if name != "planted" else lambda: STORE.append(bytes(100))


def fails(name: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """The call with something wrong in the place of an argument; whatever it answers."""
    call = cases.call_of(name)
    assert call is not None
    try:
        parameters = inspect.signature(call.function).parameters
    except (TypeError, ValueError):
        parameters = {}  # of C
    places: list[Any] = [*range(len(call.args)), *call.kwargs]
    places += [
        key
        for key, parameter in list(parameters.items())[len(call.args) :]
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and key not in call.kwargs
    ]
    for place in places:

        def once(place: Any = place) -> None:
            for value in WRONG:
                if place in parameters and parameters[place].default is value:
                    continue
                value = copy.copy(value)  # a memo of copies is filled
                call = cases.call_of(name)
                assert call is not None
                args, kwargs = list(call.args), dict(call.kwargs)
                if isinstance(place, int):
                    args[place] = value
                else:
                    kwargs[place] = value
                with contextlib.suppress(Exception):
                    call.function(*args, **kwargs)

        yield str(place), once

    def unknown() -> None:
        call = cases.call_of(name)
        assert call is not None
        with contextlib.suppress(TypeError, ValueError):  # that of scikit-learn for a parameter
            call.function(*call.args, **call.kwargs, no_such_argument=1)

    yield "unknown", unknown


def alone_too(name: str, place: str = "") -> dict[str, int]:
    """What is kept in a process of its own as well, in which no test before has left threads,
    handlers or caches behind."""
    line = "import sys; from reliability.test_leaks_public import child; child(*sys.argv[1:])"
    command = [sys.executable, "-W", "ignore", "-c", line, name, place]
    own = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TQDM_DISABLE": "1"}
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=True)
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def child(name: str, place: str) -> None:
    os.chdir(cases.folder())
    gate = Kept(CALLS // 4 if place else CALLS, SECONDS, cases.folder())
    print(json.dumps(gate.by(dict(fails(name))[place] if place else works(name))))


def chosen(quick: bool) -> list[str]:
    """The public callables of this tier; of `quick` ones none that draws or takes seconds."""
    names = sorted(cases.public().keys() - cases.WITHOUT.keys() - cases.OF_OTHERS.keys())
    if quick:
        names = [name for name in names if name not in cases.SLOW and not cases.draws(name)]
    return names[::SHARE]


def test_gate_sees_a_leak_of_each_sort() -> None:
    """Each is planted once, larger than what a thread of the test runner frees now and then."""
    gate, store = Kept(20, 1.0, cases.folder()), []
    assert gate.by(lambda: None) == {}
    gate.ROUNDS = 2
    assert gate.by(lambda: store.extend(map(bytes, [100] * 100)))["blocks"] >= 1000
    LIBC.malloc.restype = ctypes.c_void_p
    if hasattr(LIBC, "mallinfo2"):
        assert gate.by(lambda: LIBC.malloc(ctypes.c_size_t(10_000)))["bytes"] >= 100_000
    kind = type(cases.THINGS["SufficientStatistics"]())
    address = ctypes.py_object
    referred = gate.by(lambda: ctypes.pythonapi.Py_IncRef(address(kind)))
    assert referred[kind.__name__] >= 20
    opened: list[int] = []
    assert gate.by(lambda: opened.append(os.dup(0)))["open files"] >= 20
    for each in opened:
        os.close(each)
    files = gate.by(lambda: store.append(tempfile.mkstemp(dir=cases.folder())))
    assert files["files"] >= 20
    end = threading.Event()
    assert gate.by(lambda: threading.Thread(target=end.wait).start())["threads"] >= 20
    end.set()
    file = cases.folder() / "mapped"
    file.write_bytes(bytes(10_000))
    mapped = gate.by(lambda: store.append(np.memmap(file, mode="r")))
    assert mapped["mappings"] >= 10


class Spending(Kept):
    """Whose every other reading frees an object that calls have made."""

    def __init__(self, store: list[bytes]) -> None:
        super().__init__(1, 0.0)
        self.store, self.frees = store, itertools.cycle([True, False])

    def _read(self, out: np.ndarray) -> None:
        if next(self.frees):
            del self.store[-1:]
        super()._read(out)


def test_gate_keeps_apart_what_its_readings_free() -> None:
    store: list[bytes] = []

    def fill() -> None:  # as a cache
        store.extend(bytes(100) for _ in range(50 - len(store)))

    assert Spending(store).by(fill) == {}
    assert Spending(store).by(lambda: store.extend(map(bytes, [100] * 900)))["blocks"] > 0


def test_a_leak_is_there_in_a_process_of_its_own() -> None:
    assert alone_too("DirichletMixture.entropy") == {}
    assert alone_too("DirichletMixture.entropy", "unknown") == {}
    assert alone_too("planted")["blocks"] > 0


@pytest.mark.first
def test_nothing_is_kept_where_calls_work(figure: Callable[[str], None]) -> None:
    gate, leaks, n = Kept(CALLS, SECONDS, cases.folder()), {}, 0
    for name in chosen(of_tier(True, False, False)):
        try:
            found = gate.by(works(name))
        except pytest.skip.Exception:
            continue
        n += 1
        if found and alone_too(name):
            leaks[name] = found
    figure(f"{n} public callables, {gate.n_calls} calls, {len(leaks)} keep something")
    assert not leaks


@pytest.mark.first
def test_nothing_is_kept_where_calls_fail(
    figure: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cases.folder())  # a path may be "text"
    gate, leaks, n = Kept(CALLS // 4, SECONDS, cases.folder()), {}, 0
    # A picture is drawn some twenty times for each of its arguments: minutes, for a release.
    for name in chosen(of_tier(True, True, False)):
        try:
            for place, once in fails(name):
                n += 1
                if (found := gate.by(once)) and alone_too(name, place):
                    leaks[name, place] = found
        except pytest.skip.Exception:
            continue
    figure(f"{n} arguments of public callables wrong in {len(WRONG)} ways, {len(leaks)} kept")
    assert not leaks


def test_nothing_is_kept_where_a_piece_of_work_fails() -> None:
    it = copy.copy(cases.estimator()).set_params(n_jobs=1)

    def once() -> None:
        with contextlib.suppress(ValueError):
            it.bits_bounds(cases.partial(), [1 << 40])

    assert Kept(CALLS, 1.0, cases.folder()).by(once) == {}
