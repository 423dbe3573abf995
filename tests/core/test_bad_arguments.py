"""Any argument at all: each public callable of the core answers, or raises one of four errors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from matrixbayes import _core

ERRORS = (TypeError, ValueError, OverflowError, MemoryError)
EXAMPLES = 500
WEIGHTS, ALPHA = [0.25, 0.75], [[1.0, 2.0, 3.0], [0.5, 0.5, 4.0]]
MIXTURE = _core.DirichletMixture(WEIGHTS, ALPHA)
STATISTICS = _core.SufficientStatistics([1.0, 2.0], -np.ones((2, 3)), -1.0, 3)
TRANSITIONS = _core.TransitionCounts(2, 6)
FADING = _core.FadingCounts(2, 6, 0.5)
LEVEL = _core.FrozenCounts.encode(6, [], *_core.TransitionCounts(0, 6).all())
FROZEN = _core.FrozenCounts(6, [LEVEL])


def public_callables() -> dict[str, Callable[..., Any]]:
    """Every function, type and method of the core."""
    found = {}
    for name, value in vars(_core).items():
        if not name.startswith("_") and callable(value):
            found[name] = value
    for instance in (MIXTURE, STATISTICS, TRANSITIONS, FADING, FROZEN):
        for name in dir(instance):
            if not name.startswith("_") and callable(getattr(instance, name)):
                found[f"{type(instance).__name__}.{name}"] = getattr(instance, name)
    return found


# --- arguments

any_dtype = st.one_of(
    hnp.floating_dtypes(endianness="?"),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.complex_number_dtypes(),
    hnp.boolean_dtypes(),
    hnp.unicode_string_dtypes(max_len=3),
    hnp.byte_string_dtypes(max_len=3),
    hnp.datetime64_dtypes(),
    hnp.timedelta64_dtypes(),
    hnp.array_dtypes(max_size=2),
    st.sampled_from([np.dtype(object), np.dtype(np.longdouble)]),
)
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@st.composite
def as_given(draw: st.DrawFn, array: np.ndarray) -> np.ndarray:
    """The same numbers, laid out in some other way."""
    match draw(st.integers(0, 6)):
        case 0:
            return np.asfortranarray(array)
        case 1:
            return array[::-1] if array.ndim else array
        case 2:
            return np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array
        case 3 if not array.dtype.hasobject:
            room = np.zeros(array.nbytes + 1, np.uint8)[1:]
            shifted = room.view(array.dtype) if array.nbytes else array.reshape(-1)
            shifted = shifted.reshape(array.shape)
            shifted[...] = array
            return shifted
        case 4:
            array.flags.writeable = False
            return array
        case 5:
            return np.broadcast_to(array, (2, *array.shape))
        case _:
            return array


any_array = any_dtype.flatmap(lambda dtype: hnp.arrays(dtype, shapes)).flatmap(as_given)
numbers = hnp.arrays(
    st.sampled_from([np.float16, np.float32, np.float64, np.uint16, np.int64]),
    st.sampled_from([(3,), (2, 3), (4, 3), (2, 2), (0, 3), (2,), (3, 2), (2, 3, 1), ()]),
    elements=st.sampled_from([0, 1, 2, 3, 5]),
).flatmap(as_given)
rows = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from([(1, 3), (4, 3), (0, 3), (5, 2)]),
    elements=st.sampled_from([-1.0, -0.5, -np.inf, -30.0, -(2.0**100), np.nan, np.inf, 1.0]),
)
others = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-2, 5),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.lists(st.floats(), max_size=4),
    st.lists(st.lists(st.floats(), max_size=3), max_size=3),
    st.sampled_from(["logits", "probs", "log_probs", "counts"]),
    st.sampled_from(
        [MIXTURE, STATISTICS, TRANSITIONS, _core, object(), np.zeros(3, "V5"), np.random.PCG64(1)]
    ),
)
argument = st.one_of(any_array, numbers, rows, others)
kwargs = st.dictionaries(
    st.sampled_from(["kind", "bfloat16", "tokens", "dtype", "n_rows"]), argument, max_size=2
)


@cache
def drawn() -> list[tuple[list[Any], dict[str, Any]]]:
    """The same for all callables: to draw arguments takes a hundred times as long as a call."""
    found = []

    @settings(max_examples=EXAMPLES)
    @given(st.lists(argument, max_size=4), st.one_of(st.just({}), kwargs))
    def keep(arguments: list[Any], options: dict[str, Any]) -> None:
        found.append((arguments, options))

    keep()
    return found


@pytest.mark.parametrize("name", sorted(public_callables()))
def test_only_four_errors_come_out(name: str) -> None:
    function = public_callables()[name]
    assert len(drawn()) >= EXAMPLES
    with np.errstate(all="ignore"):
        for arguments, options in drawn():
            try:
                function(*arguments, **options)
            except ERRORS:
                continue
            except BaseException as error:
                error.add_note(f"of {name}(*{arguments!r}, **{options!r})")
                raise


# --- sizes that no memory holds

HUGE = [(2**35, 2**24), (2**59, 1), (1, 2**59), (2**45, 3), (3, 2**45)]


@pytest.mark.skipif(sys.maxsize < 2**40, reason="sizes of 64 bits")
@pytest.mark.parametrize("shape", HUGE, ids=str)
@pytest.mark.parametrize("name", sorted(public_callables()))
def test_huge_shapes_are_refused(name: str, shape: tuple[int, int]) -> None:
    function = public_callables()[name]
    for kind in (np.float64, np.float32, np.float16, np.int8):
        huge = np.broadcast_to(kind(1), shape)
        for arguments in ([huge], [huge, huge], [MIXTURE, huge], [WEIGHTS, huge], [huge, ALPHA]):
            with pytest.raises(ERRORS):
                function(*arguments)
        for options in ({"kind": "probs"}, {"kind": "logits"}):
            with pytest.raises(ERRORS):
                function(huge, **options)


@pytest.mark.parametrize("place", [3, 20_000, 69_999])
def test_a_number_outside_is_found_in_any_piece(place: int) -> None:
    """Long arrays are looked through in pieces, so that a signal need not wait for all of them."""
    alpha = np.ones((1, 70_000))
    alpha[0, place] = -1.0
    with pytest.raises(ValueError, match=rf"\b{place}\b"):
        _core.DirichletMixture([1.0], alpha)


def test_kernel_evidence_says_what_is_wrong() -> None:
    p, three = np.full((2, 5), 0.5), np.ones(3)
    good = [p, p, np.zeros(2), three, three, three, [0, 1], [0], [1.0]]
    for place, wrong, says in (
        (0, p[0], "p"),
        (1, p[:, :2], "need"),
        (1, p[:1], "need"),
        (2, three, "need"),
        (4, three[:2], "need"),
        (5, three[:2], "need"),
        (6, [], "starts must rise"),
        (6, [0, 2], "starts must rise"),
        (6, [1, 1], "starts must rise"),
        (6, [0, 2, 1], "starts must rise"),
        (7, [2], "place 2"),
        (7, [-1], "place -1"),
        (7, [0, 1], "starts must rise"),
        (8, [0.0], "finite and > 0"),
        (8, [np.nan], "finite and > 0"),
        (8, [np.inf], "finite and > 0"),
        (8, [1.0, 1.0], "starts must rise"),
    ):
        with pytest.raises(ValueError, match=says):
            _core.kernel_evidence(*good[:place], wrong, *good[place + 1 :])
