"""The special functions against mpmath: tables made once, and hard places worked out here."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mpf

from matrixbayes import _core

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(__file__).parents[1] / "data"
# The table holds every fourth point of 10,000; exact values are the sums hi + lo.
TABLE = np.load(DATA / "special_functions.npz")

UNARY = ["log", "exp", "lgamma", "digamma", "trigamma", "inverse_digamma"]
PAIRS = ["lgamma_difference", "digamma_difference"]
PIECE = 1 << 17  # elements that the binding works through at a time

Array = np.ndarray[Any, np.dtype[np.float64]]


def ulp(x: Array) -> Array:
    """The spacing of doubles at x."""
    return np.spacing(np.abs(x))


def table(key: str, n_arguments: int = 1) -> tuple[Array, ...]:
    parts = [*(f"arg{i}" for i in range(n_arguments)), "hi", "lo"]
    return tuple(TABLE[f"{key}__{part}"] for part in parts)


def exact(function: Callable[..., mpf], *arguments: Array, digits: int = 60) -> tuple[Array, Array]:
    """The values of `function` as sums of two doubles."""
    with mpmath.workdps(digits):
        values = [function(*map(mpf, map(float, row))) for row in zip(*arguments, strict=True)]
        hi = np.array([float(v) for v in values])
        lo = np.array([float(v - mpf(h)) for v, h in zip(values, hi, strict=True)])
    return hi, lo


def error(got: Array, hi: Array, lo: Array) -> Array:
    return np.abs((got - hi) - lo)


def allowed_of_lgamma(a: Array, n: Array, difference: Array) -> Array:
    """The error allowed of lgamma(a + n) - lgamma(a), whose terms may cancel."""
    return 2e-15 * (np.abs(difference) + np.minimum(n, 1) * np.maximum(1, np.abs(np.log(a))))


def lgamma(x: mpf) -> mpf:
    return mpmath.loggamma(x)


def digamma(x: mpf) -> mpf:
    return mpmath.psi(0, x)


def trigamma(x: mpf) -> mpf:
    return mpmath.psi(1, x)


def inverse_digamma(y: mpf) -> mpf:
    x = mpmath.exp(y) + 0.5 if y > -2 else -1 / (y + mpmath.euler)
    for _ in range(100):
        step = (mpmath.psi(0, x) - y) / mpmath.psi(1, x)
        x -= min(step, x / 2)
        if abs(step) < mpf(10) ** -45 * x:
            return x
    raise AssertionError(f"no end at {y}")


# --- the tables


def test_digamma_of_the_table() -> None:
    x, hi, lo = table("psi_x")
    assert np.all(error(_core.digamma(x), hi, lo) <= 4 * ulp(np.maximum(1, np.abs(hi))))
    x, hi, lo = table("psi_root")
    assert np.all(error(_core.digamma(x), hi, lo) <= 1e-15 * np.abs(hi))


def test_lgamma_of_the_table() -> None:
    x, hi, lo = table("lg_x")
    assert np.all(error(_core.lgamma(x), hi, lo) <= 2 * ulp(np.maximum(1, np.abs(hi))))
    x, hi, lo = table("lg_n12")
    assert np.all(error(_core.lgamma(x), hi, lo) <= 1e-15 * np.abs(hi))


def test_trigamma_of_the_table() -> None:
    x, hi, lo = table("tri_x")
    assert np.all(error(_core.trigamma(x), hi, lo) <= 1e-15 * hi)


def test_differences_of_the_table() -> None:
    a, n, hi, lo = table("dpsi", 2)
    assert np.all(error(_core.digamma_difference(a, n), hi, lo) <= 1e-15 * hi)
    a, n, hi, lo = table("dlg", 2)
    assert np.all(error(_core.lgamma_difference(a, n), hi, lo) <= allowed_of_lgamma(a, n, hi))


def test_beta_of_the_table() -> None:
    a, b, hi, lo = table("beta", 2)
    a, b = np.minimum(a, b), np.maximum(a, b)  # ln B(a, b), with nothing lost of a in a + b
    difference = _core.lgamma_difference(b, a)
    size = np.abs(_core.lgamma(a)) + np.abs(difference) + 1
    assert np.all(error(_core.lgamma(a) - difference, hi, lo) <= 2e-15 * size)


@pytest.mark.parametrize("name", ["lgamma", "digamma", "trigamma"])
def test_points_printed_to_20_digits(name: str) -> None:
    for point in json.loads((DATA / "special.json").read_text())["points"]:
        wanted = float(point[name])
        got = getattr(_core, name)(point["x"])
        assert abs(got - wanted) <= 1e-15 * abs(wanted), point["x"]


# --- places where an approximation begins or ends, or a root is

ROOT_OF_DIGAMMA = 1.4616321449683622
BORDERS = [0.5, 1.0, ROOT_OF_DIGAMMA, 1.5, 2.0, 2.5, 3.5, 4.0]


def near(places: list[float]) -> Array:
    """Each place with its neighbours, from the next double to a quarter away."""
    steps = np.concatenate([[0.0], 2.0 ** np.arange(-52, -1, 5)])
    x = np.add.outer(places, np.concatenate([-steps, steps])).ravel()
    return np.unique(x[x > 0])


EXTREMES = np.array([5e-324, 2.3e-308, 1e-300, 1e-150, 1e-16, 1e16, 1e150, 1e300, 1.7e308])


def test_lgamma_at_special_places() -> None:
    x = near(BORDERS)
    hi, lo = exact(lgamma, x)
    got = _core.lgamma(x)
    assert np.all(error(got, hi, lo) <= 1e-15 * np.abs(hi))
    assert not _core.lgamma([1.0, 2.0]).any()
    x = EXTREMES[EXTREMES < 1e305]
    hi, lo = exact(lgamma, x)
    assert np.all(error(_core.lgamma(x), hi, lo) <= 2 * ulp(hi))
    assert np.array_equal(_core.lgamma([1.7e308, np.inf]), [np.inf, np.inf])


def test_digamma_at_special_places() -> None:
    x = np.concatenate([near(BORDERS), EXTREMES[2:]])
    hi, lo = exact(digamma, x, digits=80)
    got = _core.digamma(x)
    assert np.all(error(got, hi, lo) <= 4 * ulp(np.maximum(1, np.abs(hi))))
    root = np.abs(x - ROOT_OF_DIGAMMA) < 0.2
    assert np.all((error(got, hi, lo) <= 1e-15 * np.abs(hi))[root])
    assert np.array_equal(_core.digamma([5e-324, np.inf]), [-np.inf, np.inf])


def test_trigamma_at_special_places() -> None:
    x = np.concatenate([near(BORDERS), EXTREMES[3:-1]])
    hi, lo = exact(trigamma, x)
    assert np.all(error(_core.trigamma(x), hi, lo) <= 1e-15 * hi)
    assert np.array_equal(_core.trigamma([1e-155, np.inf]), [np.inf, 0])


def test_log_is_within_1_ulp() -> None:
    random = np.random.default_rng(0)
    x = np.concatenate(
        [np.exp(random.uniform(-708, 709, 1000)), random.uniform(0.6, 1.5, 3000), EXTREMES]
    )
    hi, lo = exact(mpmath.log, x)
    assert np.all(error(_core.log(x), hi, lo) <= ulp(hi))
    x = 1 + np.concatenate([[1.0, -1.0]]) * 2.0**-40
    hi, lo = exact(mpmath.log, x)
    assert np.all(error(_core.log(x), hi, lo) <= ulp(hi))
    assert np.array_equal(_core.log([0, 1, np.inf]), [-np.inf, 0, np.inf])


def test_exp_is_within_1_ulp() -> None:
    random = np.random.default_rng(0)
    x = np.concatenate([random.uniform(-708, 709.7, 2000), random.uniform(-1, 1, 2000)])
    hi, lo = exact(mpmath.exp, x)
    assert np.all(error(_core.exp(x), hi, lo) <= ulp(hi))
    for y in random.uniform(-745, -708, 1000):  # subnormal: a whole number of 2^-1074
        with mpmath.workdps(60):
            assert abs(mpf(float(_core.exp(y))) - mpmath.exp(mpf(y))) <= mpf(2) ** -1074
    ends = _core.exp([-np.inf, -745.2, 0, 709.79, np.inf])
    assert np.array_equal(ends, [0, 0, 1, np.inf, np.inf])


def test_inverse_digamma() -> None:
    random = np.random.default_rng(0)
    y = np.concatenate(
        [
            -np.exp(random.uniform(-3, 30, 80)),
            random.uniform(-5, 5, 200),
            random.uniform(5, 709, 40),
            np.add.outer([-1e8, -0.25, 0.0, 9.5], [-1e-9, 0.0, 1e-9]).ravel(),
        ]
    )
    hi, lo = exact(inverse_digamma, y)
    assert np.all(error(_core.inverse_digamma(y), hi, lo) <= 2e-15 * hi)
    ends = _core.inverse_digamma([-np.inf, -1e300, -1e160, 700, 710, np.inf])
    wanted = [0, 1e-300, 1e-160, np.exp(700), np.inf, np.inf]
    assert np.allclose(ends, wanted, rtol=4e-16, atol=0)


# --- differences


@pytest.fixture(scope="module")
def pairs() -> tuple[Array, Array]:
    """Pairs that reach every case: small and whole n, both sides of 4, tiny n, large both."""
    random = np.random.default_rng(0)
    a = [np.exp(random.uniform(-18.4, 27.6, 600)), random.uniform(0.01, 6, 600)]
    n = [np.exp(random.uniform(-30, 20.7, 600)), random.uniform(0, 6, 600)]
    a += [random.uniform(0.01, 6, 300), 1 + random.uniform(-1e-6, 1e-6, 60)]
    n += [random.integers(0, 9, 300).astype(float), random.integers(1, 4, 60).astype(float)]
    a += [random.uniform(0.01, 9, 100)]
    n += [np.exp(random.uniform(-200, -30, 100))]
    return np.concatenate(a), np.concatenate(n)


def test_lgamma_difference(pairs: tuple[Array, Array]) -> None:
    a, n = pairs
    hi, lo = exact(lambda a, n: lgamma(a + n) - lgamma(a), a, n, digits=150)
    assert np.all(error(_core.lgamma_difference(a, n), hi, lo) <= allowed_of_lgamma(a, n, hi))


def test_digamma_difference(pairs: tuple[Array, Array]) -> None:
    a, n = pairs
    hi, lo = exact(lambda a, n: digamma(a + n) - digamma(a), a, n, digits=150)
    assert np.all(error(_core.digamma_difference(a, n), hi, lo) <= 1e-15 * hi)


def test_differences_of_0_and_1_are_exact() -> None:
    a = np.array([1e-300, 1e-8, 0.3, 1, ROOT_OF_DIGAMMA, 3.999, 4, 1e12, 1e300])
    assert not _core.lgamma_difference(a, 0).any()
    assert not _core.digamma_difference(a, 0).any()
    assert np.array_equal(_core.lgamma_difference(a, 1), _core.log(a))
    assert np.array_equal(_core.digamma_difference(a, 1), 1 / a)


def test_differences_beyond_the_promised_range_are_still_right() -> None:
    a = np.array([1.0, 1e300, 0.5, 1e-300, 5.0])
    n = np.array([1e300, 1e300, 1e20, 1e30, 1e300])
    hi, lo = exact(lambda a, n: lgamma(a + n) - lgamma(a), a, n)
    assert np.all(error(_core.lgamma_difference(a, n), hi, lo) <= 1e-15 * hi)
    hi, lo = exact(lambda a, n: digamma(a + n) - digamma(a), a, n)
    assert np.all(error(_core.digamma_difference(a, n), hi, lo) <= 1e-15 * hi)


STARTS = st.floats(1e-8, 1e12)
COUNTS = st.integers(0, 10**6)


@given(STARTS, COUNTS, COUNTS)
def test_differences_add_up(a: float, m: int, n: int) -> None:
    a = float(np.float32(a))  # so that a + m loses little
    for name in PAIRS:
        difference = getattr(_core, name)
        parts = difference(a, m), difference(a + m, n)
        size = abs(parts[0]) + abs(parts[1]) + (name == "lgamma_difference") * (1 + abs(np.log(a)))
        assert abs(difference(a, m + n) - parts[0] - parts[1]) <= 1e-14 * size + 1e-300


# --- arguments


@pytest.mark.parametrize("name", UNARY)
def test_shapes_and_types(name: str) -> None:
    function = getattr(_core, name)
    x = np.linspace(0.1, 7, 24)
    y = function(x)
    assert y.dtype == np.float64
    for shape in [(24,), (4, 6), (2, 3, 4), (24, 1)]:
        assert np.array_equal(function(x.reshape(shape)), y.reshape(shape))
    assert function(np.zeros((3, 0))).shape == (3, 0)
    assert function(0.1).shape == ()
    assert function(0.1) == y[0]
    assert np.array_equal(function(x[::3]), y[::3])  # strides
    assert np.array_equal(function(x.reshape(4, 6).T), y.reshape(4, 6).T)
    assert np.array_equal(function(x.astype(">f8")), y)
    assert np.array_equal(function(x.tolist()), y)
    assert np.array_equal(function([1, 2]), function([1.0, 2.0]))
    assert np.array_equal(function(x.astype(np.float32)), function(x.astype(np.float32) * 1.0))
    assert np.array_equal(x, np.linspace(0.1, 7, 24))


@pytest.mark.parametrize("name", UNARY)
def test_an_element_does_not_depend_on_its_neighbours(name: str) -> None:
    function = getattr(_core, name)
    x = np.random.default_rng(0).uniform(0.01, 9, 70)
    whole = function(x)
    for start in range(9):
        for stop in range(start, 70, 7):
            assert np.array_equal(function(x[start:stop]), whole[start:stop])


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_broadcast(name: str) -> None:
    function = getattr(_core, name)
    a, n = np.array([0.5, 2, 7, 1e5]), np.array([0, 1, 2, 3.5, 100])
    grid = function(a[:, None], n)
    assert grid.shape == (4, 5)
    for i, j in np.ndindex(4, 5):
        assert function(a[i], n[j]) == grid[i, j]
    assert function(a[:, None], np.zeros((1, 0))).shape == (4, 0)
    a, n = np.broadcast_arrays(np.linspace(0.1, 9, 1001), 3)
    assert np.array_equal(function(a, n), function(a.copy(), 3))
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        function([1, 2], [1, 2, 3])


OUTSIDE = {
    "log": [-1.0, -5e-324, -np.inf, np.nan],
    "exp": [np.nan],
    "lgamma": [0.0, -0.0, -1.0, -np.inf, np.nan],
    "digamma": [0.0, -0.0, -1.0, -np.inf, np.nan],
    "trigamma": [0.0, -0.0, -1.0, -np.inf, np.nan],
    "inverse_digamma": [np.nan],
}


@pytest.mark.parametrize("name", UNARY)
def test_the_first_argument_out_of_range_is_named(name: str) -> None:
    function = getattr(_core, name)
    for bad in OUTSIDE[name]:
        with pytest.raises(ValueError, match=rf"^x must be .*; it is {bad}$"):
            function(bad)
        grid = np.ones((3, 5))
        grid[1, 2] = grid[2, 0] = bad
        with pytest.raises(ValueError, match=rf"it is {bad} at position \(1, 2\)"):
            function(grid)
        x = np.ones(2 * PIECE + 10)
        x[PIECE + 7] = x[-1] = bad
        with pytest.raises(ValueError, match=rf"it is {bad} at position {PIECE + 7}$"):
            function(x)


@pytest.mark.parametrize("name", PAIRS)
def test_the_first_pair_out_of_range_is_named(name: str) -> None:
    function = getattr(_core, name)
    for bad in [0.0, -1.0, np.nan, np.inf]:
        with pytest.raises(ValueError, match=rf"^a must be .*; it is {bad} at position \(2, 0\)$"):
            function([[1.0], [2.0], [bad]], [1, 1])
    for bad in [-1.0, np.nan, np.inf]:
        n = np.ones(1000)
        n[700] = n[800] = bad
        with pytest.raises(ValueError, match=rf"^n must be .*; it is {bad} at position 700$"):
            function(1.0, n)
        with pytest.raises(ValueError, match=rf"^n must be .*; it is {bad}$"):
            function(1.0, bad)


def test_long_arrays_go_through_in_pieces() -> None:
    x = np.resize(np.linspace(0.1, 7, 1001), 2 * PIECE + 3)
    for name in UNARY:
        function = getattr(_core, name)
        assert np.array_equal(function(x), np.resize(function(x[:1001]), x.shape)), name
    for name in PAIRS:
        function = getattr(_core, name)
        assert np.array_equal(function(x, 2.5), np.resize(function(x[:1001], 2.5), x.shape)), name


@pytest.mark.parametrize("name", UNARY + PAIRS)
def test_only_real_numbers_are_taken(name: str) -> None:
    function = getattr(_core, name)
    rest = [1.0] if name in PAIRS else []
    for bad in ["1", [None], 1j, np.array(["2020"], "M8[Y]"), [[1, 2], [3]]]:
        with pytest.raises((TypeError, ValueError)):
            function(bad, *rest)
        if rest:
            with pytest.raises((TypeError, ValueError)):
                function(1.0, bad)
    with pytest.raises(TypeError):
        function()
    with pytest.raises(TypeError):
        function(1.0, 1.0, 1.0)


# --- documentation and provenance


@pytest.mark.parametrize("name", UNARY + PAIRS)
def test_examples(name: str) -> None:
    documentation = getattr(_core, name).__doc__
    example = doctest.DocTestParser().get_doctest(documentation, {}, name, None, 0)
    assert len(example.examples) == 2
    assert doctest.DocTestRunner().run(example).failed == 0


def test_coefficients_are_what_the_script_prints() -> None:
    script = [sys.executable, str(ROOT / "tools" / "make_coefficients.py")]
    printed = subprocess.run(script, capture_output=True, text=True, check=True, timeout=300).stdout
    folder = ROOT / "csrc/core/special"
    source = "".join((folder / f).read_text() for f in ("special_log.h", "special.c"))
    blocks = printed.replace("/*", "\0/*").replace("#define", "\0#define").split("\0")
    assert len(blocks) > 10
    for block in blocks:
        assert block in source
