"""What the leak gate calls: each public callable of the core, in success and in each error.

A case is a label and a function without arguments; the cases of a callable come from a generator.
"""

from __future__ import annotations

import copy
import operator
import pickle
import sysconfig
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from matrixbayes import _core


def fails(
    error: type[Exception] | tuple[type[Exception], ...],
    call: Callable[..., Any],
    /,
    *args: Any,
    **kwargs: Any,
) -> None:
    """Calls what must raise `error`, and says what with no hole in the sentence."""
    try:
        call(*args, **kwargs)
    except error as raised:
        said = str(raised)
    else:
        raise AssertionError(f"{call} did not raise {error}")
    assert "<NULL>" not in said


def wrongly(call: Callable[..., Any], /, *args: Any) -> None:
    """Calls what may raise ValueError, or may not see what is wrong."""
    with suppress(ValueError):
        call(*args)


VECTOR = np.array([0.5, 1.5, 1e-3, 40.0])
ROWS = np.log(np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]]))


class Bad:
    """An argument that fails when it is looked at."""

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise OSError("no array here")

    def __index__(self) -> int:
        raise OSError("no number here")

    __float__ = __index__
    __len__ = __index__


class OtherArray(np.ndarray[Any, Any]):
    """An array of a type of its own, which masks nothing."""


class BadMask(OtherArray):
    """One that fails when its mask is looked at."""

    @property
    def mask(self) -> Any:
        raise OSError("no mask here")


Cases = Iterator[tuple[str, Callable[[], object]]]


def block_distances() -> Cases:
    call = _core.block_distances
    for kind in ("total_variation", "jensen_shannon_divergence", "hilbert"):
        yield kind, partial(call, kind, ROWS, ROWS[:2])
    yield "converted", lambda: call("hilbert", ROWS.astype(np.float32), ROWS.tolist())
    yield "kind", lambda: fails(ValueError, call, "chebyshev", ROWS, ROWS)
    yield "kind, number", lambda: fails(ValueError, call, 3, ROWS, ROWS)
    yield "product", lambda: fails(ValueError, call, "kl", ROWS, ROWS)
    yield "columns", lambda: fails(ValueError, call, "hilbert", ROWS, ROWS[:, :2])
    yield "axes", lambda: fails(ValueError, call, "hilbert", ROWS, VECTOR)
    yield "bad", lambda: fails(OSError, call, "hilbert", ROWS, Bad())
    yield "few", lambda: fails(TypeError, call, "hilbert", ROWS)


def divergence() -> Cases:
    call = _core.divergence
    whole = [np.exp(ROWS), np.ones((2, 3)), np.full((2, 3), 0.5), [0, 1, 1, 2], [0, 2], [0.1, 0.2]]
    yield "plain", partial(call, *whole, 1.0)
    yield "tempered", partial(call, *whole, 0.5)
    yield "no rows", partial(call, np.ones((0, 3)), whole[1], np.ones((2, 0)), [0], [], [], 1.0)
    for i in range(len(whole)):
        arguments = [*whole[:i], Bad(), *whole[i + 1 :]]
        yield f"bad {i}", partial(fails, OSError, call, *arguments, 1.0)
    yield "shapes", lambda: fails(ValueError, call, ROWS, *whole[:1], *whole[2:], 1.0)
    yield "starts", lambda: fails(ValueError, call, *whole[:3], [0, 2, 1, 2], *whole[4:], 1.0)
    yield "column", lambda: fails(ValueError, call, *whole[:4], [0, 3], whole[5], 1.0)
    yield "power", lambda: fails(ValueError, call, *whole, 0.0)
    yield "few", lambda: fails(TypeError, call, *whole)


# The text 0 1 0 in a tree one token deep: after nothing of it, and after all of it.
TEXT = [[0, 1, 0, -1], [0, 3], [0, 0, 2], [0, 1]]
PATHS = [[0, -1], [0, 1 << 32], [1, 2 << 32], [0, 1 << 32]]
TREE = [[1.0, 2.0], [0.5, 0.5], [1.5, 1.5], 1.0, *TEXT, PATHS, [[2.0, 0.0], [1.0, 1.0]], 3, 3]
SLOPES = [[1.0, 1.0], [1.0, 1.0], [0.0, 1.0], [0.5, 0.5]]
BALANCE = [1.0, 0.5, 2, 2, [0, 3], [0, 0, 2], [0, 1, 0, -1], [0, 1]]
MEAN_ROWS: list[Any] = [[0, 2, 3], [1.0, 3.0, 40.0], [0.1, 0.2, 0.3], [0.5, 20.0]]
DISCOUNTED = (
    [3.0, 0.0],
    [0, 0],
    [0, 1],
    [[4.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]],
    [0],
    [[0.5, 1.0, 1.5, 1.5, 1.5, 1.5, 1.5, 2.0]],
    [0.25, 0.75],
)
DISCOUNTED_FIT = (
    [DISCOUNTED[:-1], [*DISCOUNTED[:2], [0, 1], *DISCOUNTED[3:-1]]],
    [0.5, 0.5],
    [1, 2],
)


def wrong_trees(call: Callable[..., object], arguments: list[Any]) -> Cases:
    yield "plain", partial(call, *arguments)
    for i in range(len(arguments)):
        bad = [*arguments[:i], Bad(), *arguments[i + 1 :]]
        yield f"bad {i}", partial(fails, (OSError, TypeError), call, *bad)
    for i, value in ((0, [1.0]), (2, [0.0, 1.0]), (3, 0.0), (4, [0, 1, 9, -1]), (4, [0, 1, 0, 0])):
        wrong = [*arguments[:i], value, *arguments[i + 1 :]]
        if value != [0, 1, 0, 0] or call is _core.tree_slopes:
            yield f"wrong {i}, {value}", partial(fails, ValueError, call, *wrong)
    for i, value in ((6, [0, 3, 2]), (7, [0, 2]), (8, [[-1, -1]] * 4), (10, 1), (11, -1)):
        wrong = [*arguments[:i], value, *arguments[i + 1 :]]
        yield f"wrong {i}, {value}", partial(fails, ValueError, call, *wrong)
    yield "few", lambda: fails(TypeError, call, *arguments[:-1])


def tree_predictions() -> Cases:
    yield from wrong_trees(_core.tree_predictions, TREE)


def tree_slopes() -> Cases:
    yield from wrong_trees(_core.tree_slopes, TREE + SLOPES)


def balance_predictions() -> Cases:
    call = _core.balance_predictions
    yield "plain", partial(call, *BALANCE)
    for i in range(len(BALANCE)):
        bad = [*BALANCE[:i], Bad(), *BALANCE[i + 1 :]]
        yield f"bad {i}", partial(fails, (OSError, TypeError), call, *bad)
    for i, value in ((0, -1.0), (1, 1.5), (2, 0), (3, -1), (3, 1), (5, [0, 2]), (6, [1, 0, 0, -1])):
        wrong = [*BALANCE[:i], value, *BALANCE[i + 1 :]]
        yield f"wrong {i}, {value}", partial(fails, ValueError, call, *wrong)
    yield "starts", lambda: fails(ValueError, call, *BALANCE[:5], [0, 3, 2], *BALANCE[6:])
    yield "few", lambda: fails(TypeError, call, *BALANCE[:-1])


def discounted_probs() -> Cases:
    call, given = _core.discounted_probs, DISCOUNTED
    yield "plain", partial(call, *given)
    for i in range(len(given)):
        bad = [*given[:i], Bad(), *given[i + 1 :]]
        yield f"bad {i}", partial(fails, (OSError, TypeError), call, *bad)
        axes = [*given[:i], [[[1]]], *given[i + 1 :]]
        yield f"axes {i}", partial(fails, ValueError, call, *axes)
    wrong = ((1, [0, 2]), (1, [0]), (2, [0, 2]), (3, [[1.0, 1.0, 0.0]]), (4, [1]), (4, [0, 0]))
    for i, value in (*wrong, (5, [[1.0, 1.0, 1.0]])):
        changed = [*given[:i], value, *given[i + 1 :]]
        yield f"wrong {i}, {value}", partial(fails, ValueError, call, *changed)
    yield "few", lambda: fails(TypeError, call, *given[:-1])


def read_arpa() -> Cases:
    call = _core.read_arpa
    head = b"\\data\\\nngram 1=2\nngram 2=1\n\\1-grams:\n-1 a -0.5\n-0.1 b\n\\2-grams:\n"
    yield "plain", partial(call, head + b"-0.5 a b\n\\end\\\n")
    yield "empty", lambda: fails(ValueError, call, b"")
    yield "a word", lambda: fails(ValueError, call, head + b"-0.5 a c\n\\end\\\n")
    yield "no text", lambda: fails(ValueError, call, head + b"-0.5 a \xff\n")
    yield "no end", lambda: fails(ValueError, call, head + b"-0.5 a b\n")
    yield "str", lambda: fails(TypeError, call, "a")


def arpa_lines() -> Cases:
    call = _core.arpa_lines
    given = [[[0, 1], [1, 0]], [-0.5, -1.0], [0.0, -0.25], b"abcd", [1, 4]]
    yield "plain", partial(call, *given)
    yield "bare", partial(call, *given[:2], None, *given[3:])
    for i in range(5):
        yield (
            f"bad {i}",
            partial(fails, (OSError, TypeError), call, *given[:i], Bad(), *given[i + 1 :]),
        )
    wrong: tuple[tuple[int, Any], ...] = (
        (0, [[0, 2], [1, 0]]),
        (0, [0]),
        (1, [0.0]),
        (1, [np.nan] * 2),
    )
    wrong += ((2, [0.0]), (2, [np.inf] * 2), (4, [1, 9]), (4, [4, 1]), (4, [1]))
    for i, value in wrong:
        changed = [*given[:i], value, *given[i + 1 :]]
        yield f"wrong {i}, {value}", partial(fails, ValueError, call, *changed)
    yield "few", lambda: fails(TypeError, call, *given[:-1])


def discounted_fit() -> Cases:
    call, (levels, q, times) = _core.discounted_fit, DISCOUNTED_FIT
    yield "plain", lambda: call(levels, q, times)
    yield "no levels", lambda: fails(ValueError, call, [], q, times)
    yield "levels that are none", lambda: fails(TypeError, call, 3, q, times)
    yield "a level that is none", lambda: fails(TypeError, call, [3], q, times)
    yield "a short level", lambda: fails(ValueError, call, [levels[0][:3]], q, times)
    yield "a bad level", lambda: fails(OSError, call, [[Bad(), *levels[0][1:]]], q, times)
    yield "bad q", lambda: fails(OSError, call, levels, Bad(), times)
    yield "bad times", lambda: fails(OSError, call, levels, q, Bad())
    yield "few times", lambda: fails(ValueError, call, levels, q, [1.0])
    two = [*levels[1][:-1], levels[1][-1] * 2]
    yield "buckets", lambda: fails(ValueError, call, [levels[0], two], q, times)
    far = [*levels[1][:2], [0, 9], *levels[1][3:]]
    yield "indices", lambda: fails(ValueError, call, [levels[0], far], q, times)
    yield "impossible", lambda: fails(ValueError, call, levels, [0.0, 0.0], times)


def concentrations(name: str) -> Cases:
    call = getattr(_core, name)
    given = MEAN_ROWS if name == "concentration_evidence" else [*MEAN_ROWS, [0.25, 0.75]]
    yield "plain", lambda: call(*given)
    for i in range(len(given)):
        bad = [*given[:i], Bad(), *given[i + 1 :]]
        yield f"bad {i}", partial(fails, OSError, call, *bad)
        axes = [*given[:i], [[1]], *given[i + 1 :]]
        yield f"axes {i}", partial(fails, ValueError, call, *axes)
        few = [*given[:i], [], *given[i + 1 :]]
        yield f"none of {i}", partial(fails, ValueError, call, *few)
    wrong: list[tuple[int, Any]] = [(0, [0, 9]), (0, [-1, 2]), (0, [2, 1]), (1, [1.0, 2.0, -1.0])]
    wrong += [(2, [0.5, 0.5, np.nan]), (3, [0.0, 1.0])]
    for i, value in wrong:
        changed = [*given[:i], value, *given[i + 1 :]]
        yield f"wrong {i}, {value}", partial(fails, ValueError, call, *changed)
    yield "few", lambda: fails(TypeError, call, *given[:-1])


def row_buckets() -> Cases:
    call = _core.row_buckets
    yield "plain", lambda: call(DISCOUNTED[3], 90)
    yield "bad", lambda: fails(OSError, call, Bad(), 90)
    yield "sizes", lambda: fails(ValueError, call, [[1.0]], 90)
    yield "number", lambda: fails(TypeError, call, DISCOUNTED[3], "30")


def pair_distances() -> Cases:
    call = _core.pair_distances
    kinds = ("total_variation", "squared_hellinger", "jensen_shannon_divergence", "kl", "hilbert")
    for kind in kinds:
        yield kind, partial(call, kind, ROWS, [0, 1], [1, 2])
        yield f"{kind}, float32", partial(call, kind, ROWS.astype(np.float32), [0], [2])
    yield "kind", lambda: fails(ValueError, call, "chebyshev", ROWS, [0], [1])
    yield "list", lambda: fails(TypeError, call, "kl", ROWS.tolist(), [0], [1])
    yield "axes", lambda: fails(TypeError, call, "kl", VECTOR, [0], [1])
    yield "order", lambda: fails(TypeError, call, "kl", ROWS.T, [0], [1])
    yield "lengths", lambda: fails(ValueError, call, "kl", ROWS, [0, 1], [1])
    yield "outside", lambda: fails(ValueError, call, "kl", ROWS, [0, 1], [1, 3])
    yield "reals", lambda: fails(TypeError, call, "kl", ROWS, [0.5], [1])
    yield "bad", lambda: fails(OSError, call, "kl", ROWS, [0], Bad())
    yield "few", lambda: fails(TypeError, call, "kl", ROWS)


def special(name: str) -> Cases:
    """A function of one array."""
    function, imaginary = getattr(_core, name), 1j * VECTOR
    unmasked, masked = (np.ma.masked_array(VECTOR, most < VECTOR) for most in (99.0, 0.0))
    yield "vector", lambda: function(VECTOR)
    yield "matrix, float32", lambda: function(np.ones((3, 3), np.float32).T)
    yield "scalar", lambda: function(1.5)
    yield "empty", lambda: function([])
    yield "nan", lambda: fails(ValueError, function, np.nan)
    yield "masked nowhere", lambda: function(unmasked)
    yield "masked", lambda: fails(ValueError, function, masked)
    yield "of another type", partial(function, VECTOR.view(OtherArray))
    yield "mask", partial(fails, OSError, function, VECTOR.view(BadMask))
    yield "rounded", lambda: fails(ValueError, function, [2**53 + 1])
    yield "large", lambda: function([2**60])
    yield "rounded, unsigned", lambda: fails(ValueError, function, np.array([2**64 - 1], "u8"))
    yield "nan in a vector", lambda: fails(ValueError, function, [1.0, np.nan])
    yield "nan in a matrix", lambda: fails(ValueError, function, [[1.0, np.nan]])
    yield "text", lambda: fails(TypeError, function, "abc")
    yield "complex", lambda: fails(TypeError, function, imaginary)
    yield "raises", lambda: fails(OSError, function, Bad())
    yield "no argument", lambda: fails(TypeError, function)


def difference(name: str) -> Cases:
    """A function of two arrays that broadcast."""
    function = getattr(_core, name)
    yield "vectors", lambda: function(VECTOR, VECTOR)
    yield "broadcast", lambda: function(VECTOR[:, None], [0, 1, 2])
    yield "shapes", lambda: fails(ValueError, function, VECTOR, [1, 2, 3])
    yield "range of a", lambda: fails(ValueError, function, [1.0, -1.0], 1)
    yield "range of n", lambda: fails(ValueError, function, 1.0, -1)
    yield "range in a matrix", lambda: fails(ValueError, function, VECTOR[:, None], [1, np.inf])
    yield "first", lambda: fails(TypeError, function, "a", VECTOR)
    yield "second", lambda: fails(TypeError, function, VECTOR, "a")
    yield "raises", lambda: fails(OSError, function, VECTOR, Bad())
    yield "one argument", lambda: fails(TypeError, function, VECTOR)


WEIGHTS, ALPHA = [0.25, 0.75], [[1.0, 2.0, 3.0], [0.5, 0.5, 4.0]]
COUNTS = np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
NAMES = ("red", "green", "blue")


def mixture() -> Any:
    return _core.DirichletMixture(WEIGHTS, ALPHA, tokens=NAMES)


class MixtureOfOurs(_core.DirichletMixture):
    """A subclass with a __dict__, as the public one is."""


def new_mixture() -> Cases:
    new = _core.DirichletMixture
    yield "names", mixture
    yield "no names", lambda: new(WEIGHTS, ALPHA)
    yield "arrays", lambda: new(np.array(WEIGHTS), np.array(ALPHA))
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):  # CPython 3.13 keeps a block of any object
        yield "in a circle", lambda: vars(ours := MixtureOfOurs(WEIGHTS, ALPHA)).update(me=ours)
    yield "no argument", lambda: fails(TypeError, new)
    yield "shapes", lambda: fails(ValueError, new, [1.0], ALPHA)
    yield "axes", lambda: fails(ValueError, new, WEIGHTS, [1.0, 2.0])
    yield "text", lambda: fails(TypeError, new, WEIGHTS, "abc")
    yield "raises", lambda: fails(OSError, new, Bad(), ALPHA)
    yield "raises later", lambda: fails(OSError, new, WEIGHTS, Bad())
    yield "weight", lambda: fails(ValueError, new, [-1.0, 2.0], ALPHA)
    yield "sum of weights", lambda: fails(ValueError, new, [1.0, 2.0], ALPHA)
    yield "alpha", lambda: fails(ValueError, new, WEIGHTS, -np.array(ALPHA))
    yield "overflow", lambda: fails(OverflowError, new, WEIGHTS, np.full((2, 3), 1.7e308))
    yield "empty", lambda: fails(ValueError, new, [], np.ones((0, 3)))
    yield "letters", lambda: new(WEIGHTS, ALPHA, tokens="abc")
    yield "few tokens", lambda: fails(ValueError, new, WEIGHTS, ALPHA, tokens=["a"])
    yield "not a name", lambda: fails(TypeError, new, WEIGHTS, ALPHA, tokens=["a", "b", 3])
    yield "twice", lambda: fails(ValueError, new, WEIGHTS, ALPHA, tokens=["a", "b", "a"])
    yield "no sequence", lambda: fails(TypeError, new, WEIGHTS, ALPHA, tokens=3)


def of_mixture(name: str) -> Cases:
    """A getter, or a method without arguments."""
    object_ = mixture()
    if callable(getattr(object_, name)):
        method = getattr(object_, name)
        yield "call", method
        yield "argument", lambda: fails(TypeError, method, 1)
    else:
        yield "get", lambda: getattr(object_, name)
        yield "outlives", lambda: getattr(mixture(), name)
        yield "set", lambda: fails(AttributeError, setattr, object_, name, 1)


def of_rows(name: str) -> Cases:
    method = getattr(mixture(), name)
    single = ROWS.astype(np.float32)
    yield "float64", lambda: method(ROWS)
    yield "float32", lambda: method(single)
    yield "no rows", lambda: method(ROWS[:0])
    yield "list", lambda: fails(TypeError, method, [[1.0, 2.0, 3.0]])
    yield "order", lambda: fails(TypeError, method, ROWS.T)
    yield "integers", lambda: fails(TypeError, method, np.zeros((2, 3), int))
    yield "width", lambda: fails(ValueError, method, np.zeros((2, 4)))
    yield "axes", lambda: fails(ValueError, method, np.zeros(3))


def of_counts(name: str, one: bool = False) -> Cases:
    method = getattr(mixture(), name)
    good = COUNTS[0] if one else COUNTS
    missing = good * np.nan
    yield "float64", lambda: method(good)
    yield "integers", lambda: method(good.astype(int).tolist())
    yield "width", lambda: fails(ValueError, method, np.hstack([good, good]))
    yield "total", partial(fails, ValueError, method, good + 2.0**53)
    yield "axes", lambda: fails(ValueError, method, good[None])
    yield "negative", lambda: fails(ValueError, method, good - 5)
    yield "nan", lambda: fails(ValueError, method, missing)
    yield "text", lambda: fails(TypeError, method, "abc")
    yield "raises", lambda: fails(OSError, method, Bad())


def compared() -> Cases:
    left, right = mixture(), mixture()
    other = _core.DirichletMixture(WEIGHTS, ALPHA)
    yield "equal", lambda: left == right
    yield "different", lambda: left == other
    yield "foreign", lambda: left == 3
    yield "order", lambda: fails(TypeError, left.__class__.__lt__, left)
    yield "hash", lambda: fails(TypeError, hash, left)


def statistics(n_components: int = 2) -> Any:
    sums = -np.ones((n_components, 3))
    return _core.SufficientStatistics(np.ones(n_components), sums, -1.5, 7)


def new_statistics() -> Cases:
    new = _core.SufficientStatistics
    yield "arrays", statistics
    yield "lists", lambda: new([1.0], [[-1.0, -2.0]], 0.5, 2)
    yield "no argument", lambda: fails(TypeError, new)
    yield "shapes", lambda: fails(ValueError, new, [1.0, 2.0], [[-1.0]], 0.5, 2)
    yield "axes", lambda: fails(ValueError, new, [1.0], [-1.0], 0.5, 2)
    yield "text", lambda: fails(TypeError, new, "a", [[-1.0]], 0.5, 2)
    yield "raises", lambda: fails(OSError, new, [1.0], Bad(), 0.5, 2)
    for i, value in ((0, [-1.0]), (0, [np.inf]), (1, [[np.nan]]), (1, [[np.inf]]), (2, np.nan)):
        wrong = [value if j == i else each for j, each in enumerate([[1.0], [[-1.0]], 0.5, 2])]
        yield f"{value} in {i}", partial(fails, ValueError, new, *wrong)
    yield "rows", partial(fails, ValueError, new, [1.0], [[-1.0]], 0.5, -1)


def of_statistics(name: str) -> Cases:
    object_ = statistics()
    yield "get", lambda: getattr(object_, name)
    yield "outlives", lambda: getattr(statistics(), name)
    yield "set", lambda: fails(AttributeError, setattr, object_, name, 1)


def added() -> Cases:
    object_, other = statistics(), statistics(3)
    many = _core.SufficientStatistics([1.0], [[-1.0]], 0.5, 2**63 - 1)
    yield "many rows", lambda: fails(OverflowError, operator.add, many, many)
    yield "sum", lambda: object_ + object_
    yield "shapes", lambda: fails(ValueError, operator.add, object_, other)
    yield "foreign", lambda: fails(TypeError, operator.add, object_, 1)
    yield "sum of several", lambda: sum([object_, object_])
    yield "foreign, first", lambda: fails(TypeError, operator.add, 1, object_)


def copied(make: Callable[[], Any], method: str) -> Cases:
    """What pickle and copy rely on."""
    object_ = make()
    yield "call", getattr(object_, method)
    yield "reduce", lambda: object_.__reduce_ex__(4)
    yield "copy", lambda: copy.deepcopy(object_)
    yield "pickle", lambda: pickle.loads(pickle.dumps(object_))


def log_probs() -> Cases:
    function = _core.log_probs
    logits = 3 * ROWS
    probs = np.exp(ROWS)
    half = logits.astype(np.float16)
    bits = (logits.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    bad = probs.copy()
    bad[1, 2] = np.nan
    yield "logits", lambda: function(logits, kind="logits")
    yield "float16", lambda: function(half, kind="logits")
    yield "bfloat16", lambda: function(bits, kind="logits", bfloat16=True)
    yield "log_probs", lambda: function(ROWS, kind="log_probs")
    yield "probs", lambda: function(probs.astype(np.float32), kind="probs")
    yield "strides", lambda: function(probs[::-1, ::1], kind="probs")
    yield "zeros", lambda: function(probs, kind="probs", zeros=True)
    yield "no rows", lambda: function(probs[:0], kind="probs")
    yield "nan", lambda: fails(ValueError, function, bad, kind="probs")
    yield "infinite", lambda: fails(ValueError, function, logits + np.inf, kind="logits")
    yield "negative", lambda: fails(ValueError, function, -probs, kind="probs")
    yield "sum", lambda: fails(ValueError, function, 2 * probs, kind="probs")
    yield "positive", lambda: fails(ValueError, function, -ROWS, kind="log_probs")
    yield "kind", lambda: fails(ValueError, function, probs, kind="other")
    yield "no kind", lambda: fails(TypeError, function, probs)
    yield "kind of kind", lambda: fails(TypeError, function, probs, kind=3)
    yield "integers", lambda: fails(TypeError, function, [[1, 0]], kind="probs")
    yield "axes", lambda: fails(ValueError, function, probs[0], kind="probs")
    yield "raises", lambda: fails(OSError, function, Bad(), kind="probs")
    yield "bits", partial(fails, TypeError, function, probs, kind="logits", bfloat16=True)
    yield "nowhere", partial(fails, ValueError, function, 0.0 * probs, kind="probs")
    yield "nowhere, logits", partial(fails, ValueError, function, probs - np.inf, kind="logits")
    short = (0.9 * probs).astype(np.float16)
    yield "16 bits", partial(fails, ValueError, function, short, kind="probs")
    yield "a part", partial(fails, ValueError, function, ROWS[:, :2], kind="log_probs")


def check_log_probs() -> Cases:
    function, zero = _core.check_log_probs, ROWS.copy()
    zero[1] = [-np.inf, np.log(0.5), np.log(0.5)]
    yield "float64", lambda: function(ROWS)
    yield "float16, strides", lambda: function(ROWS.astype(np.float16)[::-1])
    yield "a zero", lambda: function(zero)
    yield "no rows", lambda: function(ROWS[:0])
    yield "nan", lambda: fails(ValueError, function, ROWS * np.nan)
    yield "positive", lambda: fails(ValueError, function, -ROWS)
    yield "integers", lambda: fails(TypeError, function, [[1, 2]])
    yield "axes", lambda: fails(ValueError, function, ROWS[0])
    yield "raises", lambda: fails(OSError, function, Bad())


def even_codes(n: int, width: int) -> np.ndarray:
    """Rows of codes (n, width + 4) of even distributions."""
    codes = np.zeros((n, width + 4), np.uint16)
    codes[:, :4] = np.array([0.0, -np.log(width)], np.float32).view(np.uint16)
    return codes


def decode_rows() -> Cases:
    function, codes = _core.decode_rows, even_codes(3, 5)
    wrong, infinite = codes.copy(), codes.copy()
    wrong[1, :4] = np.array([0.0, -1.0], np.float32).view(np.uint16)
    infinite[2, :4] = np.array([np.inf, -1.0], np.float32).view(np.uint16)
    yield "rows", lambda: function(codes, 5)
    yield "strides", lambda: function(codes[::-1], 5)
    yield "byte order", lambda: function(codes.astype(">u2"), 5)
    yield "no rows", lambda: function(codes[:0], 5)
    yield "sum", lambda: fails(ValueError, function, wrong, 5)
    yield "scale", lambda: fails(ValueError, function, infinite, 5)
    yield "tokens", lambda: fails(ValueError, function, codes, 6)
    yield "no tokens", lambda: fails(ValueError, function, codes, 0)
    yield "type", lambda: fails(TypeError, function, codes.astype(int), 5)
    yield "axes", lambda: fails(ValueError, function, codes[0], 5)
    yield "raises", lambda: fails(OSError, function, Bad(), 5)
    yield "number", lambda: fails((TypeError, OSError), function, codes, Bad())
    yield "no argument", lambda: fails(TypeError, function)


def lump() -> Cases:
    function = _core.lump_log_probs
    single = ROWS.astype(np.float32)
    yield "float64", lambda: function(ROWS, [0, 1, 0], 2)
    yield "float32", lambda: function(single, np.array([0, 1, 0]), 3)
    yield "no rows", lambda: function(ROWS[:0], [0, 1, 0], 2)
    yield "list", lambda: fails((TypeError, ValueError), function, "abc", [0, 1, 0], 2)
    yield "too large", lambda: fails(ValueError, function, ROWS, [0, 1, 2], 2)
    yield "negative", lambda: fails(ValueError, function, ROWS, [0, 1, -1], 2)
    yield "length", lambda: fails(ValueError, function, ROWS, [0, 1], 2)
    yield "floats", lambda: fails(TypeError, function, ROWS, [0.5, 1, 0], 2)
    yield "axes", lambda: fails(ValueError, function, ROWS, [[0, 1, 0]], 2)
    yield "axes of rows", lambda: fails(ValueError, function, ROWS[0], [0, 1, 0], 2)
    yield "below none", lambda: fails(ValueError, function, ROWS, [0, 1, 0], -1)
    yield "nan", partial(fails, ValueError, function, ROWS * np.nan, [0, 1, 0], 2)
    yield "raises", lambda: fails(OSError, function, ROWS, Bad(), 2)
    yield "number", lambda: fails((TypeError, OSError), function, ROWS, [0, 1, 0], Bad())
    yield "no argument", lambda: fails(TypeError, function)


def sampled() -> Cases:
    draw, generator = mixture().sample_log_probs, np.random.PCG64(0)
    no_capsule = SimpleNamespace(capsule=3, lock=threading.Lock())
    no_lock = SimpleNamespace(capsule=generator.capsule)
    yield "rows", lambda: draw(5, generator)
    yield "no rows", lambda: draw(0, generator)
    yield "negative", lambda: fails(ValueError, draw, -1, generator)
    yield "number", lambda: fails(TypeError, draw, "a", generator)
    yield "no generator", lambda: fails((AttributeError, TypeError), draw, 1, None)
    yield "no lock", lambda: fails((AttributeError, TypeError), draw, 1, no_lock)
    yield "no capsule", lambda: fails((TypeError, ValueError), draw, 1, no_capsule)


def expectation() -> Cases:
    function, prior = _core.expectation, mixture()
    single = ROWS.astype(np.float32)
    yield "float64", lambda: function(prior, ROWS)
    yield "float32, weights", lambda: function(prior, single, [1.0, 0.0, 2.0])
    yield "no rows", lambda: function(prior, ROWS[:0], None)
    yield "subclass", lambda: function(MixtureOfOurs(WEIGHTS, ALPHA), ROWS)
    yield "no mixture", lambda: fails(TypeError, function, 3, ROWS)
    yield "width", lambda: fails(ValueError, function, prior, ROWS[:, :2].copy())
    yield "order", lambda: fails(TypeError, function, prior, ROWS.T)
    yield "few weights", lambda: fails(ValueError, function, prior, ROWS, [1.0])
    yield "weight", lambda: fails(ValueError, function, prior, ROWS, [1.0, -1.0, 1.0])
    yield "text", lambda: fails(TypeError, function, prior, ROWS, "abc")
    yield "raises", lambda: fails(OSError, function, prior, ROWS, Bad())


def accumulate() -> Cases:
    function, shares = _core.accumulate, np.full((3, 2), 0.5)
    single = ROWS.astype(np.float32)
    yield "float64", lambda: function(ROWS, shares)
    yield "float32", lambda: function(single, shares)
    yield "no array", lambda: fails(TypeError, function, [[1.0]], shares)
    yield "axes", lambda: fails((TypeError, ValueError), function, ROWS[0], shares)
    yield "few shares", lambda: fails(ValueError, function, ROWS, shares[:2])
    yield "no component", lambda: fails(ValueError, function, ROWS, shares[:, :0])
    yield "share", lambda: fails(ValueError, function, ROWS, -shares)
    yield "raises", lambda: fails(OSError, function, ROWS, Bad())


def maximization() -> Cases:
    function = _core.maximization
    found = _core.expectation(mixture(), ROWS)
    infinite = _core.SufficientStatistics([1.0, 1.0], np.full((2, 3), -np.inf), 0.0, 2)
    empty = _core.SufficientStatistics([0.0, 0.0], np.zeros((2, 3)), 0.0, 0)
    weak, cap = (0.0, 0.0, 0.0, 1e8), (0.0, 0.0, 0.0, 0.5)
    yield "found", lambda: function(found, ALPHA, (0.0, 0.0, 0.01, 1e8))
    yield "gamma", lambda: function(found, ALPHA, (1.0, 2.0, 0.01, 1e8))
    yield "capped", lambda: function(found, ALPHA, cap)
    yield "empty", lambda: function(empty, ALPHA, weak)
    yield "infinite sums", lambda: fails(ValueError, function, infinite, ALPHA, weak)
    yield "no statistics", lambda: fails(TypeError, function, 3, ALPHA, weak)
    yield "shapes", lambda: fails(ValueError, function, found, [[1.0, 2.0]], weak)
    yield "axes", lambda: fails(ValueError, function, found, [1.0, 2.0], weak)
    yield "alpha", lambda: fails(ValueError, function, found, np.zeros((2, 3)), weak)
    yield "no cap", lambda: fails(ValueError, function, found, ALPHA, (0.0, 0.0, 0.0, 0.0))
    yield "rate", lambda: fails(ValueError, function, found, ALPHA, (0.0, 0.0, -1.0, 1e8))
    yield "few", lambda: fails(TypeError, function, found, ALPHA, (0.0, 0.0))
    yield "raises", lambda: fails(OSError, function, found, Bad(), weak)
    yield "raises earlier", lambda: fails(OSError, function, found, ALPHA, (Bad(), 0.0, 0.0, 1.0))


SPARSE = ([0, 2, 2, 3], [0, 2, 1], [3.0, 1.0, 2.5], 3)


def encoded_counts() -> Cases:
    rows = _core.Counts(*SPARSE)
    yield "made", lambda: _core.Counts(*SPARSE)
    yield "many", lambda: _core.Counts([0, 3], [1, 1, 0], [1000, 70, 0], 2)
    yield "pickled", lambda: pickle.loads(pickle.dumps(rows))
    yield "sparse", rows.sparse
    yield "__reduce__", rows.__reduce__
    for name in ("n_rows", "n_tokens", "n_entries", "tokens", "counts"):
        yield name, partial(getattr, rows, name)
    wrong: list[Any] = [
        ([0, 2], [0], [1.0], 3),
        ([1, 0], [0], [1.0], 3),
        ([0, 5], [0], [1.0], 3),
        ([0, 1], [7], [1.0], 3),
        ([0, 1], [0], [-1.0], 3),
        ([0, 1], [0], [np.nan], 3),
        ([0, 2], [0, 1], [1.7e308, 1.7e308], 3),
        ([], [0], [1.0], 3),
        ([0, 1], [0], [1.0], 0),
    ]
    wrong.append(([0, 1], np.array([2**64 - 1], "u8"), [1.0], 3))
    wrong.append(([0, 1], np.ma.masked_array([0], [True]), [1.0], 3))
    for arguments in wrong:
        yield str(arguments), partial(fails, ValueError, _core.Counts, *arguments)
    yield "raises", lambda: fails(OSError, _core.Counts, Bad(), [0], [1.0], 3)
    yield "raises, data", lambda: fails(OSError, _core.Counts, [0, 1], [0], Bad(), 3)


def count_passes(name: str) -> Cases:
    function, rows, prior = getattr(_core, name), _core.Counts(*SPARSE), mixture()
    narrow = _core.Counts([0, 1], [0], [1.0], 2)
    if name == "evidence_table":
        yield "made", lambda: function(prior, rows)
        yield "width", lambda: fails(ValueError, function, prior, narrow)
        yield "types", lambda: fails(TypeError, function, rows, prior)
        return
    table = _core.evidence_table(prior, rows)
    yield "all", lambda: function(prior, rows, table, 0, 3)
    yield "none", lambda: function(prior, rows, table, 1, 1)
    yield "weighted", lambda: function(prior, rows, table, 0, 3, [1.0, 2.0, 0.0])
    yield "rows", lambda: fails(ValueError, function, prior, rows, table, 2, 4)
    yield "table", lambda: fails(ValueError, function, prior, rows, table[:2], 0, 3)
    yield "weights", lambda: fails(ValueError, function, prior, rows, table, 0, 3, [1.0])
    yield "types", lambda: fails(TypeError, function, rows, prior, table, 0, 3)
    yield "raises", lambda: fails(OSError, function, prior, rows, Bad(), 0, 3)
    yield "raises, weights", lambda: fails(OSError, function, prior, rows, table, 0, 3, Bad())


def count_accumulate() -> Cases:
    function, rows, shares = _core.count_accumulate, _core.Counts(*SPARSE), np.full((3, 2), 0.5)
    yield "all", lambda: function(rows, shares)
    yield "some", lambda: function(rows, shares[:2], 1)
    yield "shape", lambda: fails(ValueError, function, rows, shares[:2])
    yield "beyond", lambda: fails(ValueError, function, rows, shares[:2], 2)
    yield "none", lambda: fails(ValueError, function, rows, shares[:2], 4)
    yield "no component", lambda: fails(ValueError, function, rows, shares[:, :0])
    yield "types", lambda: fails(TypeError, function, shares, shares)
    yield "number", lambda: fails(OSError, function, rows, shares, Bad())
    yield "raises", lambda: fails(OSError, function, rows, Bad())


LISTED = ([0, 2, 2, 3], [0, 2, 1])  # of three tokens
TABLE = np.array([[1.0, 0.5], [2.0, 0.25], [0.5, 3.0]])


def sum_whole() -> Cases:
    yield "sums", lambda: _core.sum_whole(TABLE)
    yield "no token", lambda: _core.sum_whole(TABLE[:0])
    yield "axes", lambda: fails(ValueError, _core.sum_whole, TABLE[0])
    yield "raises", lambda: fails(OSError, _core.sum_whole, Bad())


def listed_sums(name: str) -> Cases:
    function = getattr(_core, name)
    given, last = [*LISTED, TABLE], [[1.0, 2.0, 0.0]]
    if name == "sum_unlisted":
        last = [_core.sum_whole(TABLE)]
        yield "whole", lambda: fails(ValueError, function, *given, TABLE)
    elif name == "add_to_listed":
        given += [3]
        yield "rows", lambda: fails(ValueError, function, *LISTED, TABLE[:2], 3)
        yield "width", lambda: fails(ValueError, function, *LISTED, TABLE, -1)
        yield "number", lambda: fails(OSError, function, *LISTED, TABLE, Bad())
    if name != "sum_unlisted":
        yield "plain", lambda: function(*given)
        yield "factors", lambda: fails(ValueError, function, *given, [1.0])
    yield "sums", lambda: function(*given, *last)
    yield "starts", lambda: fails(ValueError, function, [0, 2, 1, 3], *given[1:], *last)
    yield "no starts", lambda: fails(ValueError, function, [], *given[1:], *last)
    yield "short", lambda: fails(ValueError, function, [0, 2, 2, 2], *given[1:], *last)
    yield "column", lambda: fails(ValueError, function, LISTED[0], [0, 3, 1], *given[2:], *last)
    yield "axes", lambda: fails(ValueError, function, *LISTED, TABLE[0], *given[3:], *last)
    yield "types", lambda: fails(TypeError, function, LISTED[0], [0.5], *given[2:], *last)
    yield "few", lambda: fails(TypeError, function, LISTED[0])
    for i in range(3):
        bad = [Bad() if j == i else x for j, x in enumerate(given)]
        yield f"raises {i}", lambda bad=bad: fails(OSError, function, *bad, *last)
    yield "raises, last", lambda: fails(OSError, function, *given, Bad())


def partial_maximization() -> Cases:
    function, weak = _core.partial_maximization, (0.0, 0.0, 0.01, 1e8)
    weight, listed = [2.0, 1.0], np.array([[1.0, 0.5], [0.5, 0.0], [2.0, 1.0]])
    single, slope = 0.1 * np.ones((3, 2)), -3.0 * np.ones((3, 2))
    sums = [weight, listed, single, slope]
    yield "found", lambda: function(*sums, ALPHA, weak)
    yield "gamma", lambda: function(*sums, ALPHA, (1.0, 2.0, 0.01, 1e8))
    yield "capped", lambda: function(*sums, ALPHA, (0.0, 0.0, 0.0, 0.5))
    yield "empty", lambda: function([1.0, 0.0], *sums[1:], ALPHA, weak)
    yield "infinite", lambda: fails(ValueError, function, *sums[:3], slope - np.inf, ALPHA, weak)
    yield "below 0", lambda: fails(ValueError, function, weight, -listed, *sums[2:], ALPHA, weak)
    for i, wrong in [(1, np.inf), (2, -1.0), (2, np.inf), (2, np.nan), (3, np.nan)]:
        bad = [*sums[:i], np.full((3, 2), wrong), *sums[i + 1 :]]
        yield f"{wrong} in {i}", lambda bad=bad: fails(ValueError, function, *bad, ALPHA, weak)
    yield "shapes", lambda: fails(ValueError, function, *sums[:3], slope[:2], ALPHA, weak)
    yield "width", lambda: fails(ValueError, function, *sums[:3], slope[:, :1], ALPHA, weak)
    yield "alpha", lambda: fails(ValueError, function, *sums, ALPHA[:1], weak)
    yield "axes", lambda: fails(ValueError, function, weight, weight, single, slope, ALPHA, weak)
    yield "no cap", lambda: fails(ValueError, function, *sums, ALPHA, (0.0, 0.0, 0.0, 0.0))
    yield "few", lambda: fails(TypeError, function, *sums, ALPHA)
    yield "raises", lambda: fails(OSError, function, *sums[:3], Bad(), ALPHA, weak)
    yield "raises, alpha", lambda: fails(OSError, function, *sums, Bad(), weak)


UNITS = (np.array([2.0, 1.0]), np.array([[-1.0, -3.0, -2.0], [-0.5, -2.0, -1.5]]))
CELLS = ([0, 3, 5], [0, 2, 3, 1, 3], [2.0, 20.5, 22.5, 1.0, 1.0], [1.0, 1.0, 1.0, 2.0, 2.0])
ASKED = ([3.0, 4.0], np.full((1, 3), 1 / 3), [0, 2], [[1.0, 0.5], [1.0, -0.5]])


def regression_sums() -> Cases:
    function = _core.regression_sums
    yield "rows", lambda: function(UNITS, *ASKED)
    yield "counts", lambda: function(CELLS, *ASKED)
    two = (ASKED[0], np.full((2, 3), 1 / 3), [0, 1, 2], np.zeros((2, 0)))
    yield "two means", lambda: function(UNITS, *two)
    none = ([], np.ones((1, 3)), [0, 0], np.zeros((0, 1)))
    yield "no units", lambda: function(([0], [], [], []), *none)
    for i, wrong in [
        (0, [3.0]),
        (0, [3.0, 0.0]),
        (0, [[3.0, 4.0]]),
        (1, np.zeros((1, 3))),
        (1, np.ones(3)),
        (1, np.ones((1, 2))),
        (2, [0, 1]),
        (2, [0, 1, 2]),
        (2, [1, 2]),
        (3, [[1.0], [np.nan]]),
        (3, [[1.0]]),
    ]:
        bad = [*ASKED[:i], wrong, *ASKED[i + 1 :]]
        yield f"{wrong} in {i}", lambda bad=bad: fails(ValueError, function, UNITS, *bad)
    yield from wrong_units(lambda units, error: fails(error, function, units, *ASKED))
    yield "a list", lambda: fails(TypeError, function, list(UNITS), *ASKED)
    yield "few", lambda: fails(TypeError, function, UNITS)
    for i in range(4):
        bad = [*ASKED[:i], Bad(), *ASKED[i + 1 :]]
        yield f"raises {i}", lambda bad=bad: fails(OSError, function, UNITS, *bad)


def wrong_units(call: Callable[[Any, Any], None]) -> Cases:
    """Units that are none."""
    for i, wrong in [
        (0, [2.0, -1.0]),
        (0, [2.0]),
        (1, UNITS[1] * np.inf),
        (1, UNITS[1][:, :2]),
        (1, UNITS[1][0]),
    ]:
        bad = (*UNITS[:i], wrong, *UNITS[i + 1 :])
        yield f"rows, {wrong} in {i}", lambda bad=bad: call(bad, ValueError)
    for i, wrong in [
        (0, []),
        (0, [0, 3, 4]),
        (0, [1, 3, 5]),
        (0, [0, 6, 5]),
        (1, [0, 2, 4, 1, 3]),
        (1, [0, 2, -1, 1, 3]),
        (1, [0, 2, 3, 1]),
        (2, [2.0, 0.0, 2.0, 1.0, 1.0]),
        (2, [2.0]),
        (3, [1.0, 1.0, 1.0, 2.0, -2.0]),
        (3, [1.0]),
    ]:
        bad = (*CELLS[:i], wrong, *CELLS[i + 1 :])
        yield f"counts, {wrong} in {i}", lambda bad=bad: call(bad, ValueError)
    yield "three arrays", lambda: call(CELLS[:3], ValueError)
    yield "types", lambda: call((CELLS[0], [0.5], *CELLS[2:]), TypeError)
    for units in (UNITS, CELLS):
        for i in range(len(units)):
            bad = (*units[:i], Bad(), *units[i + 1 :])
            yield f"raises {i} of {len(units)}", lambda bad=bad: call(bad, OSError)


def regression_mean() -> Cases:
    function, mean = _core.regression_mean, [0.5, 0.25, 0.25]
    yield "rows", lambda: function(UNITS, ASKED[0], mean)
    yield "counts", lambda: function(CELLS, ASKED[0], mean)
    yield "totals", lambda: fails(ValueError, function, UNITS, [1.0], mean)
    yield "negative", lambda: fails(ValueError, function, UNITS, [1.0, -1.0], mean)
    yield "mean", lambda: fails(ValueError, function, UNITS, ASKED[0], [0.5, 0.5, 0.0])
    yield "width", lambda: fails(ValueError, function, UNITS, ASKED[0], mean[:2])
    yield "axes", lambda: fails(ValueError, function, UNITS, ASKED[0], [mean])
    yield from wrong_units(lambda units, error: fails(error, function, units, ASKED[0], mean))
    yield "few", lambda: fails(TypeError, function, UNITS)
    yield "raises, totals", lambda: fails(OSError, function, UNITS, Bad(), mean)
    yield "raises, mean", lambda: fails(OSError, function, UNITS, ASKED[0], Bad())


def draw_rows() -> Cases:
    function = _core.draw_rows
    yield "drawn", lambda: function(ROWS, 5, 2, 7, 0)
    yield "float32, weights", lambda: function(ROWS.astype("f"), 5, 2, 7, 3, [1.0, 0.0, 2.0])
    yield "none", lambda: function(ROWS[:0], 5, 2, 7, 0)
    yield "tokens", lambda: fails(ValueError, function, ROWS, 0, 2, 7, 0)
    yield "draws", lambda: fails(ValueError, function, ROWS, 5, 0, 7, 0)
    yield "seed", lambda: fails(ValueError, function, ROWS, 5, 2, -1, 0)
    yield "weights", lambda: fails(ValueError, function, ROWS, 5, 2, 7, 0, [1.0])
    yield "nothing", lambda: fails(ValueError, function, ROWS - np.inf, 5, 2, 7, 0)
    yield "no token", lambda: fails(ValueError, function, ROWS[:, :0].copy(), 5, 2, 7, 0)
    yield "order", lambda: fails(TypeError, function, np.asfortranarray(ROWS), 5, 2, 7, 0)
    yield "types", lambda: fails(TypeError, function, ROWS.tolist(), 5, 2, 7, 0)
    yield "raises", lambda: fails(OSError, function, ROWS, 5, 2, 7, 0, Bad())
    yield "raises, number", lambda: fails(OSError, function, ROWS, Bad(), 2, 7, 0)


def count_maximization() -> Cases:
    function, rows, weak = _core.count_maximization, _core.Counts(*SPARSE), (0.0, 0.0, 1e-12, 1e8)
    tokens, counts_, weights = rows.tokens, rows.counts, np.ones((len(rows.tokens), 4))
    yield "found", lambda: function(tokens, counts_, weights, ALPHA, weak)
    yield "gamma", lambda: function(tokens, counts_, weights, ALPHA, (0.1, 0.1, 0.1, 1e8))
    yield "none", lambda: function([], [], np.zeros((0, 4)), ALPHA, weak)
    yield "order", lambda: fails(ValueError, function, tokens[::-1], counts_, weights, ALPHA, weak)
    yield "shape", lambda: fails(ValueError, function, tokens, counts_[:1], weights, ALPHA, weak)
    yield "weight", lambda: fails(ValueError, function, tokens, counts_, -weights, ALPHA, weak)
    yield (
        "alpha",
        lambda: fails(ValueError, function, tokens, counts_, weights, np.zeros((2, 3)), weak),
    )
    yield (
        "prior",
        lambda: fails(ValueError, function, tokens, counts_, weights, ALPHA, (0.0, 0.0, 0.0, 0.0)),
    )
    yield "raises", lambda: fails(OSError, function, tokens, counts_, weights, Bad(), weak)


def join_documents() -> Cases:
    function = _core.join_documents
    yield "arrays", lambda: function([np.arange(3), np.arange(4, dtype=np.uint8)])
    yield "lists", lambda: function(([1, 2], (3,), []))
    for letter in "bBhHiIlLqQ":
        yield letter, partial(function, (np.arange(3, dtype=letter),))
    yield "bytes turned", partial(function, (np.arange(3, dtype=">i8"),))
    yield "long", partial(function, (np.arange(3_000_000, dtype="i4"),) * 3)
    yield "none", lambda: function([])
    yield "others", lambda: function([[1], [1.5]])
    yield "large", lambda: function([[2**70]])
    yield "no sequence", lambda: fails(TypeError, function, 3)


def lead_documents() -> Cases:
    function, given = _core.lead_documents, (np.arange(5), [0, 2], [2, 5])
    yield "led", lambda: function(*given, [7], [8, 9])
    yield "none", lambda: function([], [], [], [7], [8, 9])
    yield "few ends", lambda: fails(ValueError, function, *given[:2], [2], [], [])
    yield "outside", lambda: fails(ValueError, function, *given[:2], [2, 6], [], [])
    yield "few", lambda: fails(TypeError, function, *given)
    for i in range(5):
        some = [Bad() if j == i else each for j, each in enumerate([*given, [7], [8]])]
        yield f"raises {i}", partial(fails, OSError, function, *some)


def transition_counts() -> Cases:
    new = _core.TransitionCounts
    old, other, twin = new(2, 4), new(1, 4), new(2, 4)
    tokens, contexts = np.array([0, 1, 2, 3, 0, 1, 2, 2]), np.array([[0, 1], [1, 2], [3, 3]])
    old.update(tokens)

    def grown() -> Any:
        made = new(2, 4)
        made.update([tokens, tokens[::-1].astype(np.uint8)])
        made.update_rows(contexts, [0, 1, 2], [1, 2**40, 0])
        made.merge(old)
        made.merge(made)
        return made.all()

    yield "grown", grown
    yield "counts", lambda: old.counts(contexts, [2, 3, 0])
    yield "totals", lambda: old.totals(contexts)
    yield "rows", lambda: old.rows(contexts)

    def copied_twice() -> Any:
        first = old.copy()
        second = first.copy()
        first.update(tokens)
        second.merge(first)
        empty = new(2, 4)
        empty.merge(second)
        return empty.all()

    yield "copy", copied_twice
    arrays = old.arrays()
    wrong = [array.copy() for array in arrays]
    wrong[1][0] = 0
    copies, other_borrowed = list(map(np.copy, arrays)), new.from_arrays(2, 4, arrays, verify=False)

    def borrowed() -> Any:
        made = new.from_arrays(2, 4, copies)
        made.update(tokens)
        made.merge(other_borrowed)
        return made.arrays()

    yield "borrowed", borrowed
    yield "arrays", old.arrays
    yield "__reduce__", old.__reduce__
    yield "__copy__", old.__copy__
    yield "wrong", lambda: fails(ValueError, new.from_arrays, 2, 4, wrong)
    yield "an old pickle's", lambda: new.from_arrays(2, 4, arrays, Bad())
    few, lists = arrays[:2], [[1]] * 6
    yield "few arrays", lambda: fails(ValueError, new.from_arrays, 2, 4, few)
    yield "lists", lambda: fails(TypeError, new.from_arrays, 2, 4, lists)
    for i, array in enumerate(arrays):
        for what, made in (("types", array.astype(float)), ("axes", array[None])):
            parts = [*arrays[:i], made, *arrays[i + 1 :]]
            error = TypeError if what == "types" else ValueError
            yield f"{what} of {i}", partial(fails, error, new.from_arrays, 2, 4, parts)
        parts = [*arrays[:i], array[:-1], *arrays[i + 1 :]]
        yield f"short {i}", partial(wrongly, new.from_arrays, 2, 4, parts)
        parts = [*arrays[:i], np.repeat(array, 2, axis=0)[::2], *arrays[i + 1 :]]
        if len(array) > 1:
            yield f"strides of {i}", partial(fails, TypeError, new.from_arrays, 2, 4, parts)
    wide = new.from_arrays(4, 2**32, new(4, 2**32).arrays()).arrays()
    yield "width of keys", partial(wrongly, new.from_arrays, 2, 4, wide)
    yield "no arrays", lambda: fails(TypeError, new.from_arrays, 2, 4, 6)
    yield "of order 17", lambda: fails(ValueError, new.from_arrays, 17, 4, arrays)
    yield "pickled", lambda: pickle.loads(pickle.dumps(old))
    yield "copies", lambda: (copy.copy(old), copy.deepcopy(old))
    yield "order 0", lambda: new(0, 4).update(tokens)
    yield "empty", lambda: (twin.all(), twin.sizes(), twin.rows(contexts[:0]))
    for name in ("order", "n_tokens", "n_observed", "nbytes"):
        yield name, partial(getattr, old, name)
    for arguments in ((-1, 3), (17, 3), (2, 0), (2, 2**33)):
        yield str(arguments), partial(fails, ValueError, new, *arguments)
    yield "order of text", lambda: fails(TypeError, new, "a", 3)
    yield "too large", lambda: fails(ValueError, old.update, [0, 4])
    yield "token", lambda: fails(ValueError, old.update, np.array([0, 4]))
    yield "mixed", lambda: fails((TypeError, ValueError), old.update, [0, tokens])
    yield "second document", lambda: fails(ValueError, old.update, [tokens, np.array([-1])])
    yield "floats", lambda: fails(TypeError, old.update, tokens * 0.5)
    yield "axes", lambda: fails(ValueError, old.update, contexts)
    yield "raises", lambda: fails(OSError, old.update, Bad())
    yield "raises in a list", lambda: fails(OSError, old.update, [tokens, Bad()])
    yield "context", lambda: fails(ValueError, old.rows, [[0, 9]])
    yield "width", lambda: fails(ValueError, old.rows, [[0]])
    yield "total", lambda: fails(ValueError, old.totals, [[0, 9]])
    yield "lengths", lambda: fails(ValueError, old.counts, contexts, [0])
    yield "token asked for", lambda: fails(ValueError, old.counts, contexts, [0, 1, 4])
    yield "raises, tokens", lambda: fails(OSError, old.counts, contexts, Bad())
    yield "negative", lambda: fails(ValueError, old.update_rows, contexts, [0, 1, 2], [1, -1, 1])
    yield "few", lambda: fails(ValueError, old.update_rows, contexts, [0, 1, 2], [1])
    short = new(1, 4)
    short.update(tokens[1:])
    inner = new(2, 4)
    inner.update(tokens[tokens < 3])
    base = new(1, 4)
    base.update(tokens[tokens < 3][1:])
    leaf = (None, [1.0], [[0.5]], 0.5, False)
    yield "fold", lambda: inner.fold(base, *leaf)
    yield "fold of order 0", lambda: new(0, 4).fold(None, *leaf)
    yield "fold into nothing", lambda: fails(ValueError, inner.fold, new(1, 4), *leaf)
    yield "fold, token", lambda: fails(ValueError, old.fold, short, *leaf)
    yield "fold into None", lambda: fails(TypeError, inner.fold, None, *leaf)
    yield "fold into itself", lambda: fails(ValueError, inner.fold, inner, *leaf)
    yield "fold, below", lambda: fails(ValueError, inner.fold, base, [1.0], *leaf[1:])
    for i, value in ((1, []), (2, [[0.5, 0.5]]), (3, 1.5), (3, 0.0)):
        some = [value if j == i else each for j, each in enumerate(leaf)]
        yield f"fold, {value} in {i}", partial(fails, ValueError, inner.fold, base, *some)
    yield "fold, prior", lambda: fails(ValueError, inner.fold, base, None, [1.0], [[0.0]], 0.5, 0)
    yield "fold, NaN", lambda: fails(ValueError, inner.fold, base, None, [0.0], *leaf[2:])
    for i in (1, 2, 3):
        some = [Bad() if j == i else each for j, each in enumerate([base, *leaf])]
        yield f"fold, bad {i}", partial(fails, OSError, inner.fold, *some)
    other_two = new(2, 4)
    other_two.update([3, 3, 3, 3])
    yield "pieces", lambda: old.copy().update(tokens, [0, 4], [3, 8])
    yield "pieces outside", lambda: fails(ValueError, old.update, tokens, [0], [9])
    yield "starts alone", lambda: fails(TypeError, old.update, tokens, [0])
    yield "raises, ends", lambda: fails(OSError, old.update, tokens, [0], Bad())
    yield "subtract itself", lambda: (made := old.copy(), made.subtract(made))
    yield "subtract", lambda: old.copy().subtract(old)
    yield "subtract what was never there", lambda: fails(ValueError, old.subtract, other_two)
    yield "subtract others", lambda: fails(ValueError, old.subtract, other)
    yield "subtract something else", lambda: fails(TypeError, old.subtract, 3)
    yield "scale", lambda: old.copy().scale(3)
    yield "scale by what is no number", lambda: fails(TypeError, old.scale, "3")
    yield "scale too far", lambda: fails(OverflowError, old.scale, 2**63)
    yield "shorten", lambda: old.shorten(other_two)
    yield "shorten by others", lambda: fails(ValueError, old.shorten, other)
    yield "shorten nothing", lambda: fails(ValueError, new(0, 4).shorten, new(0, 4))
    yield "discounted_rows", lambda: old.discounted_rows(other_two)
    yield "discounted_rows of others", lambda: fails(ValueError, old.discounted_rows, other)
    yield "shorter_pairs", lambda: old.shorter_pairs(old.shorten(other_two))
    yield "shorter_pairs, none", lambda: fails(ValueError, old.shorter_pairs, new(1, 4))
    yield "shorter_pairs, others", lambda: fails(ValueError, old.shorter_pairs, old)
    yield "shorter_pairs, type", lambda: fails(TypeError, old.shorter_pairs, 3)
    yield "counts_of_counts", lambda: old.counts_of_counts(4)
    yield "counts_of_counts, range", lambda: fails(ValueError, old.counts_of_counts, -1)
    yield "counts_of_counts, type", lambda: fails(TypeError, old.counts_of_counts, "4")
    yield "places", lambda: old.places(contexts)
    yield "places, context", lambda: fails(ValueError, old.places, [[0, 9]])
    yield "places, raises", lambda: fails(OSError, old.places, Bad())
    huge = [2**63 - 1] * 3
    yield "sum", lambda: fails(OverflowError, old.update_rows, contexts, [0, 1, 2], huge)
    yield "orders", lambda: fails(ValueError, old.merge, other)
    yield "type", lambda: fails(TypeError, old.merge, 3)


def posterior_learning() -> Cases:
    function, prior = _core.posterior_learning, mixture()
    counts, tokens = np.array([1.0, 0.5, 0.0]), np.array([0, 2])
    yield "learns", lambda: function(prior, counts, tokens)
    yield "integers", lambda: function(prior, [1, 0, 0], tokens.astype(np.uint8))
    yield "nothing", lambda: function(prior, counts, [])
    yield "length", lambda: fails(ValueError, function, prior, counts[:1], tokens)
    yield "negative", lambda: fails(ValueError, function, prior, -counts, tokens)
    yield "token", lambda: fails(ValueError, function, prior, counts, [0, 3])
    yield "type", lambda: fails(TypeError, function, counts, counts, tokens)
    yield "raises", lambda: fails(OSError, function, prior, counts, Bad())
    yield "raises, counts", lambda: fails(OSError, function, prior, Bad(), tokens)


def kernel_evidence() -> Cases:
    function = _core.kernel_evidence
    p, three = np.full((2, 5), 0.5), np.array([1.0, 2.0, 3.0])
    rest = np.zeros(2), three, three, 2.0 * three
    entries = np.array([0, 1, 3]), np.array([1, 0, 1]), np.array([1.0, 2.0, 0.5])
    starts, places, counts = entries
    yield "vectors", lambda: function(p, p, *rest, *entries)
    yield "none", lambda: function(p, p, *rest, [0], [], [])
    yield "integers", lambda: function(p, p, *rest, [0, 1], places[:1].astype(np.uint8), [3])
    yield "shape", lambda: fails(ValueError, function, p, p[:1], *rest, *entries)
    yield "starts", lambda: fails(ValueError, function, p, p, *rest, [0, 2], places, counts)
    yield "falls", lambda: fails(ValueError, function, p, p, *rest, [0, 3, 2, 3], places, counts)
    yield "place", lambda: fails(ValueError, function, p, p, *rest, starts, [0, 2, 0], counts)
    yield "count", lambda: fails(ValueError, function, p, p, *rest, starts, places, -counts)
    yield "raises", lambda: fails(OSError, function, p, p, *rest, starts, Bad(), counts)
    yield "raises, p", lambda: fails(OSError, function, Bad(), p, *rest, *entries)
    yield "raises, counts", lambda: fails(OSError, function, p, p, *rest, starts, places, Bad())


def fading_counts() -> Cases:
    new = _core.FadingCounts
    old, other, twin = new(2, 4, 0.9), new(1, 4, 0.9), new(2, 4, 0.5)
    tokens, contexts = np.array([0, 1, 2, 3, 0, 1, 2, 2]), np.array([[0, 1], [1, 2], [3, 3]])
    old.update(tokens)
    prior = [0.25, 0.75], [4.0, 4.0], np.full((2, 4), 1.0)

    def grown() -> Any:
        made = new(2, 4, 0.5)
        made.update([tokens, tokens[::-1].astype(np.uint8)])
        made.update(tokens)
        made.update_rows(contexts, [0, 1, 2], [1, 0.25, 0])
        made.merge(old)
        made.merge(made)
        made.scale(0.5, contexts)
        made.update(tokens)
        made.scale(0.5)
        made.log_evidence(tokens, *prior)
        return made.all(), made.sizes(), made.rows(contexts), made.totals(contexts)

    yield "grown", grown
    yield "counts", lambda: old.counts(contexts, [2, 3, 0])
    yield "totals", lambda: old.totals(contexts)
    yield "rows", lambda: old.rows(contexts)
    yield "evidence", lambda: old.log_evidence([tokens, [1]], [1.0], [2.0], [[0.5]])

    def copied_twice() -> Any:
        first = old.copy()
        second = first.copy()
        first.update(tokens)
        second.merge(first)
        second.scale(0.0)
        empty = new(2, 4, 0.9)
        empty.merge(first)
        return empty.all(), second.all()

    yield "copy", copied_twice
    arrays = old.arrays()
    wrong = [array.copy() for array in arrays]
    wrong[3][0] = 0.0
    yield "arrays", old.arrays
    yield "from arrays", lambda: new.from_arrays(2, 4, 0.9, arrays)
    yield "from all", lambda: new.from_arrays(2, 4, 0.9, old.all())
    yield "wrong", lambda: fails(ValueError, new.from_arrays, 2, 4, 0.9, wrong)
    yield "few arrays", lambda: fails(ValueError, new.from_arrays, 2, 4, 0.9, arrays[:2])
    shapes, raises = [*arrays[:6], [1, 2]], [*arrays[:6], Bad()]
    yield "shapes", lambda: fails(ValueError, new.from_arrays, 2, 4, 0.9, shapes)
    yield "width", lambda: fails(ValueError, new.from_arrays, 1, 4, 0.9, arrays)
    yield "no arrays", lambda: fails(TypeError, new.from_arrays, 2, 4, 0.9, 6)
    yield "raises, arrays", lambda: fails(OSError, new.from_arrays, 2, 4, 0.9, raises)
    yield "of order 17", lambda: fails(ValueError, new.from_arrays, 17, 4, 0.9, arrays)
    yield "pickled", lambda: pickle.loads(pickle.dumps(old))
    yield "copies", lambda: (copy.copy(old), copy.deepcopy(old))
    yield "empty", lambda: (twin.all(), twin.sizes(), twin.rows(contexts[:0]), twin.scale(0.5))
    for name in ("order", "n_tokens", "discount", "n_observed", "nbytes"):
        yield name, partial(getattr, old, name)
    for arguments in ((0, 3, 0.5), (17, 3, 0.5), (2, 0, 0.5), (2, 2**33, 0.5), (2, 3, 0.0)):
        yield str(arguments), partial(fails, ValueError, new, *arguments)
    yield "order of text", lambda: fails(TypeError, new, "a", 3, 0.5)
    yield "token", lambda: fails(ValueError, old.update, np.array([0, 4]))
    yield "short", lambda: fails(ValueError, old.update, [tokens, [4]])
    yield "floats", lambda: fails(TypeError, old.update, tokens * 0.5)
    yield "raises", lambda: fails(OSError, old.update, [tokens, Bad()])
    yield "context", lambda: fails(ValueError, old.rows, [[0, 9]])
    yield "width of a context", lambda: fails(ValueError, old.totals, [[0]])
    yield "token asked for", lambda: fails(ValueError, old.counts, contexts, [0, 1, 4])
    yield "raises, tokens", lambda: fails(OSError, old.counts, contexts, Bad())
    yield "negative", lambda: fails(ValueError, old.update_rows, contexts, [0, 1, 2], [1, -1, 1])
    yield "few", lambda: fails(ValueError, old.update_rows, contexts, [0, 1, 2], [1])
    yield "raises, counts", lambda: fails(OSError, old.update_rows, contexts, [0, 1, 2], Bad())
    yield "sum", lambda: fails(OverflowError, old.update_rows, contexts, [0, 1, 2], [1e308] * 3)
    yield "orders", lambda: fails(ValueError, old.merge, other)
    yield "type", lambda: fails(TypeError, old.merge, 3)
    yield "factor", lambda: fails(ValueError, old.scale, 1.5)
    yield "context scaled", lambda: fails(ValueError, old.scale, 0.5, [[0, 4]])
    yield "raises, context", lambda: fails(OSError, old.scale, 0.5, Bad())
    yield "prior", lambda: fails(ValueError, old.log_evidence, tokens, [1.0], [1.0], [[1.0, 2.0]])
    yield "token scored", lambda: fails(ValueError, old.log_evidence, [9], *prior)
    yield (
        "endless prior",
        lambda: fails(ValueError, old.log_evidence, [1], [1.0], [np.inf], [[0.5]]),
    )
    yield "raises, prior", lambda: fails(OSError, old.log_evidence, tokens, *prior[:2], Bad())


def frozen_counts() -> Cases:
    new, encode = _core.FrozenCounts, _core.FrozenCounts.encode
    tokens, contexts = np.array([0, 1, 2, 3, 0, 1, 2, 2]), np.array([[0, 1], [1, 2], [3, 3]])
    rows, levels = [], []
    for order in range(3):
        counts = _core.TransitionCounts(order, 4)
        counts.update(tokens[2 - order :])
        rows.append(counts.all())
        levels.append(encode(4, levels, *rows[-1]))
    old, wrong = new(4, levels), [*levels[:2], levels[2].copy()]
    wrong[2][-2] = 1
    yield "opened", lambda: new(4, levels)
    yield "not aligned", lambda: new(4, [np.repeat(each, 2)[::2] for each in levels], verify=False)
    yield "encoded", lambda: encode(4, levels[:2], *rows[2])
    yield "bare", lambda: encode(4, levels[:2], rows[2][0], None, None, None)
    yield "counts", lambda: old.counts(contexts, [2, 3, 0])
    yield "totals", lambda: old.totals(contexts)
    yield "rows", lambda: old.rows(contexts)
    yield "walk", lambda: old.walk(contexts, [2, 3, 0])
    yield "places", lambda: old.places(contexts)
    yield "all", old.all
    yield "sizes", old.sizes
    yield "arrays", lambda: old.arrays()
    yield "pickled", lambda: pickle.loads(pickle.dumps(old))
    yield "copies", lambda: (copy.copy(old), copy.deepcopy(old), old.copy())
    for name in ("order", "n_tokens", "n_observed", "nbytes"):
        yield name, partial(getattr, old, name)
    yield "update", lambda: fails(ValueError, old.update, tokens)
    yield "update rows", lambda: fails(ValueError, old.update_rows, contexts, tokens, tokens)
    yield "merge", lambda: fails(ValueError, old.merge, old)
    yield "damaged", lambda: fails(ValueError, new, 4, wrong)
    cut, six = [*levels[:2], levels[2][:-1]], levels * 6
    yield "cut", lambda: fails(ValueError, new, 4, cut)
    yield "none", lambda: fails(ValueError, new, 4, [])
    yield "many", lambda: fails(ValueError, new, 4, six)
    high: list[Any] = []
    for order in range(17):
        nothing = _core.TransitionCounts(order, 4).all()
        high.append(encode(4, high, *nothing))
    yield "highest", lambda: fails(ValueError, encode, 4, high, *nothing)
    trusted = new(4, wrong, verify=False)
    yield "trusted", lambda: wrongly(trusted.all)
    yield "tokens", lambda: fails(ValueError, new, 0, levels)
    yield "types", lambda: fails(TypeError, new, 4, [levels[0].astype(float)])
    yield "no arrays", lambda: fails(TypeError, new, 4, [[1, 2]])
    yield "no levels", lambda: fails(TypeError, new, 4, 3)
    yield "context", lambda: fails(ValueError, old.rows, [[0, 9]])
    yield "width", lambda: fails(ValueError, old.places, [[0]])
    yield "token asked for", lambda: fails(ValueError, old.walk, contexts, [0, 1, 4])
    yield "raises", lambda: fails(OSError, old.totals, Bad())
    yield "raises, tokens", lambda: fails(OSError, old.counts, contexts, Bad())
    yield (
        "raises, rows",
        lambda: fails(OSError, encode, 4, levels[:2], rows[2][0], Bad(), *tokens[:2]),
    )
    yield "no shorter one", lambda: fails(ValueError, encode, 4, [levels[0]], *rows[2])
    yield (
        "twice",
        lambda: fails(
            ValueError, encode, 4, levels[:1], np.zeros((2, 1), np.uint32), None, None, None
        ),
    )
    yield (
        "rows of others",
        lambda: fails(ValueError, encode, 4, levels[:2], rows[2][0], *rows[0][1:]),
    )
    yield (
        "lists",
        lambda: fails(TypeError, encode, 4, levels[:2], rows[2][0].tolist(), None, None, None),
    )


BACKOFF: dict[str, Any] = {
    "n_tokens": 2,
    "starts": [[0, 2], [0, 1, 2]],
    "tokens": [[0, 1], [1, 2]],
    "values": [[0.25, 0.75], [0.5, np.nan]],
    "backs": [[1.0], [0.6, 0.5]],
    "contexts": [np.zeros((1, 0), int), [[0], [1]]],
}


def smoothed_tables() -> Cases:
    """Tables of the counts of a text of two tokens, and begin tokens."""
    made = _core.BackoffTable.from_counts
    longer, shorter = _core.TransitionCounts(1, 3), _core.TransitionCounts(0, 3)
    longer.update([2, 0, 1, 1, 0, 0])
    shorter.update([0, 1, 1, 0, 0])
    levels, row = (shorter, longer), [0.5, 0.5]
    ways: dict[str, Any] = {
        "concentrations": [([0.5, 0.5], [1.0, 2.0])],
        "discounts": [DISCOUNTED[5]] * 2,
        "leaves": (2.0, [[0.5, 0.0]]),
    }
    for name, way in ways.items():
        yield name, partial(made, levels, row, **{name: way})
        for place in range(2):
            bad = [Bad() if i == place else given for i, given in enumerate((levels, row))]
            yield (
                f"{name}, bad {place}",
                partial(fails, (OSError, TypeError), made, *bad, **{name: way}),
            )
        yield (
            f"bad {name}",
            partial(fails, (OSError, TypeError), made, levels, row, **{name: Bad()}),
        )
        yield f"few {name}", partial(fails, ValueError, made, levels, row, **{name: way[:0]})
        yield f"{name}, row", partial(fails, ValueError, made, levels, [1.0], **{name: way})
        yield f"{name}, level", partial(fails, ValueError, made, levels[:0], row, **{name: way})
        yield f"{name}, orders", partial(fails, ValueError, made, [longer], row, **{name: way})
    open_ones = _core.TransitionCounts(2, 3)
    open_ones.update_rows([[0, 1]], [1], [1])
    many = ways["concentrations"] * 2
    none = _core.TransitionCounts(1, 3)
    yield (
        "open",
        partial(fails, ValueError, made, (shorter, none, open_ones), row, concentrations=many),
    )
    yield "buckets", partial(made, levels, row, discounts=[[*DISCOUNTED[5]] * 90] * 2)
    for name, wrong in (
        ("concentrations", [([0.5], [0.0])]),
        ("concentrations", [([0.0], [1.0])]),
        ("concentrations", [([1.0], [1.0, 1.0])]),
        ("discounts", [[[1.0]]]),
        ("discounts", [[[0.5, 1.0, 1.5, 1.5, 1.5, 1.5, 1.5, -1.0]]] * 2),
        ("leaves", (0.0, [[0.5, 0.0]])),
        ("leaves", (1.0, [[0.5]])),
    ):
        yield f"{name}, {wrong}", partial(fails, ValueError, made, levels, row, **{name: wrong})
    yield "no way", partial(fails, TypeError, made, levels, row)
    yield "two ways", partial(fails, TypeError, made, levels, row, **ways)
    yield "type", partial(fails, TypeError, made, [3], row, leaves=ways["leaves"])


def backoff_table() -> Cases:
    new = _core.BackoffTable
    plain, based = new(**BACKOFF), new(**BACKOFF, base=[[0.5], [0.1, 0.2]], root=[0.5, 0.5])
    document = np.array([0, 1, 1, 0])
    for label, table in (("plain", plain), ("based", based)):
        yield label, partial(new, **BACKOFF)
        yield f"{label}, scores", partial(table.scores, [document, [0, 1]], before=[2])
        yield f"{label}, bounds", partial(table.log_prob, document, [0, 1, 4], skip=1)
        yield f"{label}, matched", partial(table.matched, document)
        yield f"{label}, pairs", partial(table.pair_values, [[0], [2]], [1, 0])
        yield f"{label}, rows", partial(table.rows, [[0], [2]])
        yield f"{label}, arrays", table.arrays
        yield f"{label}, leads", table.leads
        for name in ("n_tokens", "order", "nbytes"):
            yield f"{label}, {name}", partial(getattr, table, name)
    yield "own", partial(new, **BACKOFF, own=True, base=[[0.5], [0.1, 0.2]], root=[0.5, 0.5])
    for name in ("starts", "tokens", "values", "backs", "contexts", "base", "root"):
        arguments = BACKOFF | {name: Bad()}
        yield f"raises {name}", partial(fails, (OSError, TypeError), new, **arguments)
        if name != "root":
            arguments = BACKOFF | {name: [[1], Bad()]}
            yield f"raises in {name}", partial(fails, (OSError, ValueError), new, **arguments)
            yield f"few {name}", partial(fails, ValueError, new, **BACKOFF | {name: [[1]]})
            yield f"none {name}", partial(fails, ValueError, new, **BACKOFF | {name: []})
    for name, wrong in (
        ("n_tokens", 0),
        ("starts", [[0, 2], [0, 2, 1]]),
        ("tokens", [[0, 1], [2, 2]]),
        ("values", [[0.25, -0.75], [0.5, 1.0]]),
        ("backs", [[1.0], [2.0, np.inf]]),
        ("contexts", [np.zeros((1, 0), int), [[0], [0]]]),
        ("contexts", [np.zeros((1, 0), int), [[0], [3]]]),
        ("root", [1.0]),
        ("contexts", [np.zeros((1, 0), int), [[0, 1], [1, 0]]]),
        ("values", [[0.25, 0.75], [0.5]]),
        ("root", [1.0, -1.0]),
    ):
        yield f"wrong {name}, {wrong}", partial(fails, ValueError, new, **BACKOFF | {name: wrong})
    yield "few", lambda: fails(TypeError, new, 2)
    yield from smoothed_tables()
    for method in (plain.scores, plain.matched, plain.log_prob):
        yield f"{method}, token", partial(fails, ValueError, method, [[0], [2]])
        yield f"{method}, raises", partial(fails, OSError, method, [[0], Bad()])
        yield f"{method}, bounds", partial(fails, ValueError, method, [0], [0, 2])
        yield f"{method}, raises, bounds", partial(fails, OSError, method, [0], Bad())
        yield f"{method}, before", partial(fails, ValueError, method, [0], before=[3])
        yield f"{method}, raises, before", partial(fails, OSError, method, [0], before=Bad())
        yield f"{method}, skip", partial(fails, ValueError, method, [0], skip=-1)
        yield f"{method}, few", partial(fails, TypeError, method)
    yield "context", lambda: fails(ValueError, plain.rows, [[3]])
    yield "axes", lambda: fails(ValueError, plain.rows, [3])
    yield "raises, context", lambda: fails(OSError, plain.pair_values, Bad(), [1])
    yield "raises, tokens", lambda: fails(OSError, plain.pair_values, [[1]], Bad())
    yield "tokens", lambda: fails(ValueError, plain.pair_values, [[1]], [2])
    yield "lengths", lambda: fails(ValueError, plain.pair_values, [[1]], [1, 1])
    yield "few arguments", lambda: fails(TypeError, plain.pair_values, [[1]])
    yield "prune", partial(plain.prune, np.ones(3), 0.1)
    yield "prune, bases", lambda: fails(ValueError, based.prune, np.ones(3), 0.1)
    for i, states in enumerate((np.ones(2), [1.0, -1.0, 1.0], [1.0, np.inf, 1.0], [[1.0] * 3])):
        yield f"prune, states {i}", partial(fails, ValueError, plain.prune, states, 0.1)
    yield "prune, threshold", lambda: fails(ValueError, plain.prune, np.ones(3), np.nan)
    yield "prune, raises", lambda: fails(OSError, plain.prune, Bad(), 0.1)
    yield "prune, few arguments", lambda: fails(TypeError, plain.prune, np.ones(3))


SPECIAL = ("digamma", "exp", "inverse_digamma", "lgamma", "log", "trigamma")
GETTERS = ("weights", "alpha", "concentration", "n_components", "n_tokens", "tokens")
MOMENTS = ("mean", "variance", "component_entropy", "uncertainty")
SUMS = ("weight", "log_sums", "log_likelihood", "n_rows")
OF_COUNTS = ("n_rows", "n_tokens", "n_entries", "tokens", "counts", "sparse", "__reduce__")
PASSES = ("evidence_table", "count_log_joint", "count_posterior", "count_expectation")
LISTED_SUMS = ("sum_listed", "sum_unlisted", "add_to_listed")

OF_TRANSITIONS = ("order", "n_tokens", "n_observed", "nbytes", "update", "update_rows", "merge")
OF_TRANSITIONS += (
    "copy",
    "counts",
    "totals",
    "rows",
    "all",
    "sizes",
    "fold",
    "places",
    "subtract",
    "scale",
    "shorten",
    "discounted_rows",
    "shorter_pairs",
    "counts_of_counts",
    "arrays",
    "from_arrays",
)
OF_TRANSITIONS += ("__copy__", "__deepcopy__", "__reduce__")

OF_MEANS = ("evidence", "shares")
OF_FADING = ("order", "n_tokens", "discount", "n_observed", "nbytes", "update", "update_rows")
OF_FADING += ("merge", "scale", "copy", "counts", "totals", "rows", "all", "sizes", "arrays")
OF_FADING += ("from_arrays", "log_evidence", "__copy__", "__deepcopy__", "__reduce__")

OF_FROZEN = ("order", "n_tokens", "n_observed", "nbytes", "update", "update_rows", "merge", "copy")
OF_FROZEN += ("counts", "totals", "rows", "walk", "places", "all", "sizes", "arrays", "encode")
OF_FROZEN += ("__copy__", "__deepcopy__", "__reduce__")

OF_BACKOFF = ("n_tokens", "order", "nbytes", "scores", "log_prob", "matched", "pair_values")
OF_BACKOFF += ("rows", "arrays", "leads", "from_counts", "prune")

CASES: dict[str, Callable[[], Cases]] = {
    **{name: partial(special, name) for name in SPECIAL},
    **{name: partial(difference, name) for name in ("digamma_difference", "lgamma_difference")},
    "log_probs": log_probs,
    "block_distances": block_distances,
    "divergence": divergence,
    "pair_distances": pair_distances,
    "tree_predictions": tree_predictions,
    "tree_slopes": tree_slopes,
    "balance_predictions": balance_predictions,
    **{f"concentration_{x}": partial(concentrations, f"concentration_{x}") for x in OF_MEANS},
    "discounted_probs": discounted_probs,
    "discounted_fit": discounted_fit,
    "row_buckets": row_buckets,
    "read_arpa": read_arpa,
    "arpa_lines": arpa_lines,
    "join_documents": join_documents,
    "lead_documents": lead_documents,
    "check_log_probs": check_log_probs,
    "lump_log_probs": lump,
    "decode_rows": decode_rows,
    "expectation": expectation,
    "accumulate": accumulate,
    "maximization": maximization,
    "Counts": encoded_counts,
    **{f"Counts.{name}": encoded_counts for name in OF_COUNTS},
    **{name: partial(count_passes, name) for name in PASSES},
    "count_accumulate": count_accumulate,
    "sum_whole": sum_whole,
    **{name: partial(listed_sums, name) for name in LISTED_SUMS},
    "partial_maximization": partial_maximization,
    "count_maximization": count_maximization,
    "draw_rows": draw_rows,
    "regression_sums": regression_sums,
    "regression_mean": regression_mean,
    "TransitionCounts": transition_counts,
    **{f"TransitionCounts.{name}": transition_counts for name in OF_TRANSITIONS},
    "posterior_learning": posterior_learning,
    "kernel_evidence": kernel_evidence,
    "BackoffTable": backoff_table,
    **{f"BackoffTable.{name}": backoff_table for name in OF_BACKOFF},
    "FadingCounts": fading_counts,
    **{f"FadingCounts.{name}": fading_counts for name in OF_FADING},
    "FrozenCounts": frozen_counts,
    **{f"FrozenCounts.{name}": frozen_counts for name in OF_FROZEN},
    "DirichletMixture": new_mixture,
    **{f"DirichletMixture.{name}": partial(of_mixture, name) for name in GETTERS + MOMENTS},
    **{
        f"DirichletMixture.{name}": partial(of_rows, name)
        for name in ("log_prob", "responsibilities")
    },
    **{
        f"DirichletMixture.{name}": partial(of_counts, name)
        for name in ("log_evidence", "count_responsibilities", "predictive")
    },
    "DirichletMixture.posterior": partial(of_counts, "posterior", one=True),
    "DirichletMixture.sample_log_probs": sampled,
    "DirichletMixture.__eq__": compared,
    "DirichletMixture.__getnewargs_ex__": partial(copied, mixture, "__getnewargs_ex__"),
    "SufficientStatistics": new_statistics,
    **{f"SufficientStatistics.{name}": partial(of_statistics, name) for name in SUMS},
    "SufficientStatistics.__add__": added,
    "SufficientStatistics.__reduce__": partial(copied, statistics, "__reduce__"),
    "SufficientStatistics.__repr__": partial(copied, statistics, "__repr__"),
}
