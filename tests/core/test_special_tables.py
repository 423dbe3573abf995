"""The special functions and the evidence against tables of mpmath, on every instruction set here.

The tables are written once, by tools/make_special_tables.py.  Each function is asked for every
value in three ways: as the extension has it, and as the core's files compiled by each compiler have
it with the best instruction set that this machine has, and with each lesser one.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import mpmath
import numpy as np
import pytest
from core.instruction_sets import HERE, KEPT
from mpmath import mpf
from scripts import loaded
from tiers import of_tier

import matrixbayes as mb
from matrixbayes import _core

ROOT = Path(__file__).resolve().parents[2]
TABLE = np.load(ROOT / "tests/data/special_by_mpmath.npz")
NAMES = sorted(key.removesuffix("__value") for key in TABLE if key.endswith("__value"))
PAIRS = ["lgamma_difference", "digamma_difference"]
ARRAYS = ["log", "exp", "lgamma", "digamma", "trigamma", "inverse_digamma"]
ONE = ["lgamma", "digamma", "trigamma", "gamma_entropy", "log_excess", "inverse_digamma"]
SOURCES = ["special/special", "mixture/posterior", "mixture/mixture", "base/mem_libc"]

ROOT_OF_DIGAMMA = 1.4616321449683622
EPS = 2.0**-52

Array = np.ndarray[Any, np.dtype[np.float64]]
pytestmark = pytest.mark.promise(19)


class Library(Protocol):
    """Who computes: a function by its name, of arrays, and the evidence of rows of counts."""

    def __call__(self, name: str, *columns: Array) -> Array: ...
    def evidence(self, alpha: Array, counts: Array) -> Array: ...


class Extension:
    """What is installed."""

    def __call__(self, name: str, *columns: Array) -> Array:
        return np.asarray(getattr(_core, name)(*columns))

    def evidence(self, alpha: Array, counts: Array) -> Array:
        priors = [mb.DirichletMixture([1.0], row[None]) for row in alpha]
        pairs = zip(priors, counts, strict=True)
        return np.array([prior.log_evidence(row[None])[0] for prior, row in pairs])


class Compiled:
    """The files of the core with at best that instruction set."""

    def __init__(self, path: Path, best: str) -> None:
        self.library = ctypes.CDLL(str(path))
        self.best = best

    def call(self, name: str, *arguments: Any, result: Any = ctypes.c_int) -> Any:
        function = self.library[f"mb_{name}"]
        function.restype = result
        before = os.environ.get("MB_INSTRUCTION_SET")
        os.environ["MB_INSTRUCTION_SET"] = self.best
        try:
            return function(*arguments)
        finally:
            os.environ.pop("MB_INSTRUCTION_SET")
            if before is not None:
                os.environ["MB_INSTRUCTION_SET"] = before

    def __call__(self, name: str, *columns: Array) -> Array:
        columns = tuple(np.ascontiguousarray(column) for column in columns)
        out = np.full(columns[0].shape, np.nan)
        pointers = [ctypes.c_void_p(each.ctypes.data) for each in (*columns, out)]
        self.call(f"{name}s" * (name in PAIRS) or name, ctypes.c_size_t(out.size), *pointers)
        return out

    def one(self, name: str, *columns: Array) -> Array:
        """By the function of one value."""
        function = self.library[f"mb_{name}" + "1" * (name not in PAIRS)]
        function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double] * len(columns)
        return np.array([function(*row) for row in zip(*columns, strict=True)])

    def evidence(self, alpha: Array, counts: Array) -> Array:
        found, one = np.full(len(alpha), np.nan), np.ones(1)
        for i in range(len(alpha)):
            mixture, row, given = ctypes.c_void_p(), alpha[i].copy(), counts[i].copy()
            width = ctypes.c_size_t(row.size)
            pointers = [ctypes.c_void_p(each.ctypes.data) for each in (one, row)]
            status = self.call(
                "mixture_new", ctypes.c_size_t(1), width, *pointers, None, ctypes.byref(mixture)
            )
            assert status == 0
            pointers = [ctypes.c_void_p(each.ctypes.data) for each in (given, found[i : i + 1])]
            n = ctypes.c_size_t(1)
            status = self.call(
                "mixture_log_joint_counts", mixture, n, pointers[0], None, pointers[1]
            )
            assert status == 0
            self.call("mixture_free", mixture, result=None)
        return found


@pytest.fixture(scope="module", params=of_tier(["gcc"], ["gcc", "clang"], ["gcc", "clang"]))
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the core that the tables are of, as setup.py compiles them."""
    if not shutil.which(request.param):
        pytest.skip(f"no {request.param} here")
    path = tmp_path_factory.mktemp(request.param) / "special.so"
    flags = ["-std=c11", "-O3", "-fPIC", "-shared", "-ffp-contract=off", "-fno-math-errno"]
    flags += ["-fno-trapping-math", *KEPT]
    sources = [str(ROOT / f"csrc/core/{name}.c") for name in SOURCES]
    line = [request.param, *flags, f"-I{ROOT / 'csrc'}", *sources, "-lm", "-o", str(path)]
    subprocess.run(line, check=True, timeout=300)
    return path


@pytest.fixture(scope="module", params=HERE)
def compiled(request: pytest.FixtureRequest, built: Path) -> Compiled:
    return Compiled(built, request.param)


@cache
def table(name: str) -> tuple[tuple[Array, ...], Array, Array]:
    """Arguments, values, and what is missing from these, in units of their last place."""
    columns = [TABLE[key] for key in (f"{name}__0", f"{name}__1") if key in TABLE]
    return tuple(columns), TABLE[f"{name}__value"], TABLE[f"{name}__rest"]


def errors(got: Array, value: Array, rest: Array) -> Array:
    """How far what was got is from the values; none where both are infinite."""
    finite = np.isfinite(value)
    assert np.array_equal(got[~finite], value[~finite])
    found = np.zeros(value.shape)
    unit = np.spacing(np.abs(value[finite]))
    found[finite] = np.abs((got[finite] - value[finite]) - rest[finite] * unit)
    assert not np.isnan(found).any()
    return found


def ulps(got: Array, value: Array, rest: Array, least: float = 0.0) -> float:
    """The largest error in units of the last place of max(least, |value|)."""
    size = np.abs(np.where(np.isfinite(value), value, 1))
    return float(np.max(errors(got, value, rest) / np.spacing(np.maximum(least, size))))


def relative(got: Array, value: Array, rest: Array) -> float:
    """The largest error by the value, of those that are normal numbers."""
    normal = np.isfinite(value) & (np.abs(value) > np.finfo(float).tiny)
    found = errors(got, value, rest)[normal] / np.abs(value[normal])
    return float(np.max(found))


def checked(library: Library, names: list[str]) -> Iterator[tuple[str, float]]:
    """Each function held to its contract (special.h); its largest error, as that counts it."""
    for name in names:
        columns, value, rest = table(name)
        got = library(name, *columns)
        if name in ("log", "exp"):
            found, most = ulps(got, value, rest), 1.0
        elif name in ("lgamma", "digamma"):
            found, most = ulps(got, value, rest, 1.0), {"lgamma": 2.0, "digamma": 4.0}[name]
            roots = [1.0, 2.0] if name == "lgamma" else [ROOT_OF_DIGAMMA]
            near = np.min(np.abs(np.subtract.outer(columns[0], roots)), axis=1) < 0.2
            assert np.count_nonzero(near) > 100
            worst = relative(got[near], value[near], rest[near])
            assert worst <= 1e-15, f"{name} is {worst} of itself off near its root"
        elif name == "lgamma_difference":
            a, n = columns
            size = np.abs(value) + np.minimum(n, 1) * np.maximum(1, np.abs(np.log(a)))
            found = float(np.max(errors(got, value, rest) / size)) / EPS
            most = 2e-15 / EPS
            assert relative(got, value, rest) <= 1e-13
        elif name == "gamma_entropy":  # which has a root at 0.2976...
            near = np.abs(columns[0] - 0.2976) < 0.01
            found = relative(got[~near], value[~near], rest[~near]) / EPS
            most = 1e-14 / EPS
        else:
            most = {"inverse_digamma": 2e-15, "log_excess": 1e-14}.get(name, 1e-15) / EPS
            found = relative(got, value, rest) / EPS
        assert found <= most, f"{name} is {found} units off"
        yield name, found


def said(found: Iterator[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {worst:.2f}" for name, worst in found)


# --- the table


def make_tables() -> Any:
    return loaded(ROOT / "tools/make_special_tables.py")


def test_the_table_says_where_it_is_from() -> None:
    provenance = str(TABLE["provenance"])
    assert "tools/make_special_tables.py" in provenance
    assert "mpmath" in provenance
    assert len(NAMES) == 11


def test_arguments_are_in_every_binade_and_beside_every_root() -> None:
    for name in ("log", "lgamma", "digamma", "trigamma"):
        (x,), value, _ = table(name)
        assert {*np.frexp(x)[1]} == {*range(-1073, 1025)}, name
        for place in (1.0, ROOT_OF_DIGAMMA, 2.0):
            for side in (np.nextafter(place, 0), place, np.nextafter(place, 9)):
                assert side in x, (name, side)
        assert np.isfinite(value).mean() > 0.7


def test_the_table_is_what_mpmath_says(figure: Callable[[str], None]) -> None:
    """A part of it worked out again, with 40 more digits."""
    tool = make_tables()
    random = np.random.default_rng()
    count = 0
    for name, function in tool.FUNCTIONS.items():
        columns, value, rest = table(name)
        for i in random.choice(value.size, of_tier(12, 60, 400), replace=False):
            with mpmath.workdps(tool.DIGITS + 40):
                exact = function(*(mpf(float(column[i])) for column in columns))
                nearest, part = tool.split(exact)
            assert nearest == value[i], (name, [column[i] for column in columns])
            assert abs(part - rest[i]) < 1e-6, (name, [column[i] for column in columns])
            count += 1
    figure(f"{count} of the tables' values worked out again")


# --- what is promised


def test_the_extension(figure: Callable[[str], None]) -> None:
    library = Extension()
    found = said(checked(library, ARRAYS + PAIRS))
    figure(f"ulp at most, as installed: {found}")
    figure(f"evidence as installed: {evidence_of(library)}")


def test_each_instruction_set(
    compiled: Compiled, built: Path, figure: Callable[[str], None]
) -> None:
    found = said(checked(compiled, ARRAYS + PAIRS))
    figure(f"ulp at most, {built.parent.name.rstrip('0')} {compiled.best}: {found}")
    figure(f"evidence {built.parent.name.rstrip('0')} {compiled.best}: {evidence_of(compiled)}")


def test_functions_of_one_value(built: Path, figure: Callable[[str], None]) -> None:
    compiled = Compiled(built, "any")

    class One:
        def __call__(self, name: str, *columns: Array) -> Array:
            return compiled.one(name, *columns)

        evidence = compiled.evidence

    figure(f"ulp at most, of one value: {said(checked(One(), ONE + PAIRS))}")


def test_instruction_sets_and_single_values_are_the_same_bits(compiled: Compiled) -> None:
    for name in ARRAYS + PAIRS:
        columns, _, _ = table(name)
        got = compiled(name, *columns)
        assert np.array_equal(got, Compiled(Path(compiled.library._name), "any")(name, *columns))
        assert np.array_equal(got, Extension()(name, *columns)), name
        if name in ONE + PAIRS:
            assert np.array_equal(got, compiled.one(name, *columns)), name


def evidence_of(library: Library) -> str:
    """Evidence held to 1e-13 of what its terms add up to in size; what it came to."""
    alpha, counts, size = (TABLE[f"evidence__{key}"] for key in ("0", "1", "size"))
    _, value, rest = table("evidence")
    found = errors(library.evidence(alpha, counts), value, rest)
    size = np.maximum(size, np.finfo(float).tiny)
    worst = float(np.max(found / size))
    assert worst <= 1e-13
    return f"{worst:.1e} of its terms off at most"


def test_the_check_sees_an_error_of_a_few_places() -> None:
    class Off(Extension):
        def __call__(self, name: str, *columns: Array) -> Array:
            got = super().__call__(name, *columns)
            got[-1] += 20 * np.spacing(max(abs(got[-1]), 1))
            return got

    for name in ("log", "lgamma", "digamma", "lgamma_difference"):
        with pytest.raises(AssertionError):
            list(checked(Off(), [name]))
