"""What the core refuses: which error, and that it names what is wrong; and what it keeps alive."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from alarm import alarm, needs_timers

from matrixbayes import _core

ROWS = np.log(np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]]))
WEIGHTS, ALPHA = np.array([0.25, 0.75]), np.array([[1.0, 2.0, 3.0], [0.5, 0.5, 4.0]])
MIXTURE = _core.DirichletMixture(WEIGHTS, ALPHA, tokens=("red", "green", "blue"))
STATISTICS = _core.expectation(MIXTURE, ROWS)
COUNTS = _core.Counts([0, 2, 2, 3], [0, 2, 1], [3.0, 1.0, 2.5], 3)
TABLE = _core.evidence_table(MIXTURE, COUNTS)
CELLS = [COUNTS.tokens, COUNTS.counts, np.ones((len(COUNTS.tokens), 2))]
TRANSITIONS = _core.TransitionCounts(2, 4)
TRANSITIONS.update([0, 1, 2, 3, 0, 1])
DIVERGENCE = [
    np.exp(ROWS),
    np.ones((2, 3)),
    np.full((2, 3), 0.5),
    [0, 1, 1, 2],
    [0, 2],
    [0.1, 0.2],
]


def changed(array: Any, value: float, *index: int) -> np.ndarray:
    """A copy with another value at a place: the last one unless an index is given."""
    other = np.array(array, dtype=float)
    other[index or (-1,) * other.ndim] = value
    return other


# --- numbers that cannot be: a call with one number in one of its arguments, and what is allowed

PRIOR = (0.0, 0.0, 0.01, 1e8)


def a_prior(call: Callable[..., object], place: int) -> Callable[[float], object]:
    def with_number(x: float) -> object:
        prior = [*PRIOR]
        prior[place] = x
        return call(tuple(prior))

    return with_number


maximize = partial(_core.maximization, STATISTICS, ALPHA)
maximize_counts = partial(_core.count_maximization, *CELLS, ALPHA)
NOT_NEGATIVE, POSITIVE = (0.0, True), (0.0, False)  # the least, and whether it is allowed
NUMBERS: dict[str, tuple[Callable[[float], object], tuple[float, bool], str]] = {
    "DirichletMixture, weights": (
        lambda x: _core.DirichletMixture(changed(WEIGHTS, x), ALPHA),
        NOT_NEGATIVE,
        r"weight",
    ),
    "DirichletMixture, alpha": (
        lambda x: _core.DirichletMixture(WEIGHTS, changed(ALPHA, x)),
        POSITIVE,
        r"alpha",
    ),
    "expectation, weights": (
        lambda x: _core.expectation(MIXTURE, ROWS, [1.0, x, 1.0]),
        NOT_NEGATIVE,
        r"sample_weight of row 1",
    ),
    "accumulate, responsibilities": (
        lambda x: _core.accumulate(ROWS, [[1.0, 0.0], [0.5, 0.5], [x, 0.5]]),
        NOT_NEGATIVE,
        r"responsibilities of row 2",
    ),
    "maximization, alpha": (
        lambda x: _core.maximization(STATISTICS, changed(ALPHA, x), PRIOR),
        POSITIVE,
        r"alpha\[1, 2\]",
    ),
    **{
        f"{name}, prior {place}": (a_prior(call, place), NOT_NEGATIVE, r"prior|rate|max_conc")
        for name, call in {
            "maximization": maximize,
            "count_maximization": maximize_counts,
        }.items()
        for place in range(3)
    },
    "count_maximization, counts": (
        lambda x: _core.count_maximization(
            CELLS[0], changed(CELLS[1], x, 0), CELLS[2], ALPHA, PRIOR
        ),
        POSITIVE,
        r"cell [01] ",
    ),
    "count_maximization, weights": (
        lambda x: _core.count_maximization(*CELLS[:2], changed(CELLS[2], x, 1, 1), ALPHA, PRIOR),
        NOT_NEGATIVE,
        r"weight of cell 1",
    ),
    "Counts, data": (lambda x: _core.Counts([0, 1, 2], [0, 2], [1.0, x], 3), NOT_NEGATIVE, "row 1"),
    **{
        name: (lambda x, name=name: getattr(MIXTURE, name)([[1.0, 0.0, 2.0], [0.0, x, 1.0]]), *rest)
        for name in ("log_evidence", "count_responsibilities", "predictive")
        for rest in [(NOT_NEGATIVE, r"counts\[1, 1\]|row 1")]
    },
    "posterior": (lambda x: MIXTURE.posterior([1.0, x, 0.0]), NOT_NEGATIVE, r"column 1"),
    "divergence, power": (lambda x: _core.divergence(*DIVERGENCE, x), POSITIVE, r"power"),
    "digamma_difference, a": (
        lambda x: _core.digamma_difference([1.0, x], 1.0),
        POSITIVE,
        r"a must",
    ),
    "digamma_difference, n": (
        lambda x: _core.digamma_difference(1.0, [1.0, x]),
        NOT_NEGATIVE,
        r"n must",
    ),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_out_of_range_are_refused_by_name(name: str) -> None:
    call, (least, allowed), says = NUMBERS[name]
    wrong = [np.nan, np.inf, -np.inf, -1.0, -5e-324] + [least] * (not allowed)
    for x in wrong:
        with pytest.raises(ValueError, match=says):
            call(x)
    with np.errstate(all="ignore"):
        call(0.75)  # 0.25 + 0.75, and whatever else is asked of it


# --- as many arguments as there are

FADING = _core.FadingCounts(1, 4, 0.5)
LEVEL = _core.FrozenCounts.encode(4, [], *_core.TransitionCounts(0, 4).all())
BACKOFF = _core.BackoffTable(2, [[0, 0]], [[]], [[]], [[1.0]], [np.empty((1, 0), int)], root=[0, 1])
THINGS = (MIXTURE, STATISTICS, COUNTS, TRANSITIONS, FADING, _core.FrozenCounts(4, [LEVEL]), BACKOFF)
CALLS = {name: call for name, call in vars(_core).items() if callable(call)}
CALLS |= {
    f"{type(thing).__name__}.{name}": getattr(thing, name)
    for thing in THINGS
    for name, member in vars(type(thing)).items()
    if not name.startswith("__") and (callable(member) or isinstance(member, classmethod))
}


def test_all_that_can_be_called_is_here() -> None:
    types = {each for each in vars(_core).values() if isinstance(each, type)}
    assert {type(thing) for thing in THINGS} == types


@pytest.mark.parametrize("name", CALLS)
def test_too_many_arguments_are_refused(name: str) -> None:
    frozen = name.startswith("FrozenCounts")  # what changes counts is refused before it is read
    errors: tuple[type[Exception], ...] = (TypeError, ValueError) if frozen else (TypeError,)
    with pytest.raises(errors, match=r"argument|these counts are frozen"):
        CALLS[name](*[None] * 30)


# --- arrays that do not go together

# Of two places of three rows and one pair: p, b, seen, own, shared, concentration, starts, places
# and counts.
KERNELS: list[Any] = [np.full((2, 3), 0.3), np.full((2, 3), 0.5), [0.5, 0.5], [0.5], [0.5], [2.0]]
KERNELS += [[0, 1], [0], [1.0]]


SHAPES: dict[str, tuple[Callable[[], object], str]] = {
    "no component": (lambda: _core.DirichletMixture([], np.ones((0, 3))), r"K, V >= 1"),
    "no token": (lambda: _core.DirichletMixture([1.0], np.ones((1, 0))), r"K, V >= 1"),
    "rows without tokens": (
        lambda: _core.accumulate(np.ones((3, 0)), np.ones((3, 1))),
        r"one token",
    ),
    "start of other components": (
        lambda: _core.maximization(STATISTICS, ALPHA[:1], PRIOR),
        r"\(1, 3\).*\(2, 3\)",
    ),
    "start of other tokens": (
        lambda: _core.maximization(STATISTICS, ALPHA[:, :2].copy(), PRIOR),
        r"\(2, 2\).*\(2, 3\)",
    ),
    "weights of fewer cells": (
        lambda: _core.count_maximization(*CELLS[:2], CELLS[2][1:], ALPHA, PRIOR),
        r"no statistics of 2",
    ),
    "weights of fewer components": (
        lambda: _core.count_maximization(*CELLS[:2], CELLS[2][:, :1], ALPHA, PRIOR),
        r"no statistics of 2",
    ),
    "a cell of no token": (
        lambda: _core.count_maximization([0, 4], [1.0, 1.0], np.ones((2, 2)), ALPHA, PRIOR),
        r"cell 1 is not in order",
    ),
    "equal cells": (
        lambda: _core.count_maximization([0, 0], [1.0, 1.0], np.ones((2, 2)), ALPHA, PRIOR),
        r"cell 1 is not in order",
    ),
    "table of other components": (
        lambda: _core.count_expectation(MIXTURE, COUNTS, TABLE[:, :1].copy(), 0, 3),
        r"table",
    ),
    "rows from behind": (lambda: _core.count_expectation(MIXTURE, COUNTS, TABLE, 2, 1), r"row"),
    "rows from before": (lambda: _core.count_expectation(MIXTURE, COUNTS, TABLE, -1, 1), r"row"),
    "a column beyond": (
        lambda: _core.sum_listed([0, 1, 3], [0, 1, 3], np.ones((3, 2))),
        r"entry 1 of row 1 is no column of 3",
    ),
    "a column below": (
        lambda: _core.add_to_listed([0, 1], [-1], np.ones((1, 2)), 3),
        r"entry 0 of row 0 is no column of 3",
    ),
    "starts that fall": (
        lambda: _core.sum_listed([0, 2, 1], [0, 1], np.ones((3, 2))),
        r"rise from 0 to 2; row 2 does not",
    ),
    "starts that leave out": (
        lambda: _core.sum_listed([0, 1], [0, 1], np.ones((3, 2))),
        r"rise from 0 to 2",
    ),
    "starts that begin late": (
        lambda: _core.sum_listed([1, 2], [0, 1], np.ones((3, 2))),
        r"rise from 0 to 2; row 0",
    ),
    "more tokens than numbers": (
        lambda: _core.add_to_listed([0], [], np.ones((0, 1)), 2**33),
        r"8589934592 tokens",
    ),
    "no rows at all": (lambda: _core.Counts([], [], [], 3), r"indptr has 0 entries"),
    "more columns than values": (lambda: _core.Counts([0, 1], [0, 1], [1.0], 3), r"indices 2"),
    "sums of other components": (lambda: STATISTICS + shorter(1, 3), r"\(2, 3\)|shape|component"),
    "sums of other tokens": (lambda: STATISTICS + shorter(2, 2), r"\(2, 3\)|shape|component"),
    "matrices of other orders": (lambda: merge(1, 4), r"order"),
    "matrices of other tokens": (lambda: merge(2, 5), r"tokens"),
    "a distance by products": (
        lambda: _core.block_distances("squared_hellinger", ROWS, ROWS),
        r"matrix product",
    ),
    **{
        f"pair {pair}": (
            lambda pair=pair: _core.pair_distances("kl", ROWS, *([at] for at in pair)),
            r"pair 0 is of rows that are not there; there are 3",
        )
        for pair in [(-1, 0), (3, 0), (0, -1), (0, 3), (2**62, 0)]
    },
    **{
        f"kernels, argument {place} as {value}": (
            lambda place=place, value=value: _core.kernel_evidence(
                *KERNELS[:place], value, *KERNELS[place + 1 :]
            ),
            says,
        )
        for says, changes in {
            r"need \(U, N\)": [
                (1, np.ones((1, 3))),
                (1, np.ones((2, 2))),
                (2, [0.5]),
                (4, [1.0, 1.0]),
                (5, [1.0, 1.0]),
            ],
            r"starts must rise": [(6, []), (6, [1, 1]), (6, [0, 2]), (6, [0, 2, 1]), (8, [])],
            r"entry 0": [(7, [2]), (7, [-1]), (8, [0.0]), (8, [1e300])],
        }.items()
        for place, value in changes
    },
    "a pair among others": (
        lambda: _core.pair_distances("kl", ROWS, [0, 1, 2], [1, 2, 3]),
        r"pair 2 is",
    ),
}


def shorter(n_components: int, n_tokens: int) -> Any:
    sums = -np.ones((n_components, n_tokens))
    return _core.SufficientStatistics(np.ones(n_components), sums, 0.0, 1)


def merge(order: int, n_tokens: int) -> None:
    TRANSITIONS.merge(_core.TransitionCounts(order, n_tokens))


@pytest.mark.parametrize("what", SHAPES)
def test_what_does_not_go_together_is_refused(what: str) -> None:
    call, says = SHAPES[what]
    with pytest.raises(ValueError, match=says):
        call()


@pytest.mark.parametrize("place", range(len(DIVERGENCE)))
def test_shapes_of_a_divergence_are_all_named(place: int) -> None:
    rows = [*DIVERGENCE]
    given = np.asarray(rows[place])
    for axis in range(given.ndim):
        rows[place] = given.take(range(given.shape[axis] - 1), axis)
        with pytest.raises(ValueError, match=r"they must be \(n, V\), \(J, V\), \(J, n\)"):
            _core.divergence(*rows, 1.0)


@pytest.mark.parametrize("width", [3, 11])
def test_entries_of_a_divergence_stay_in_their_rows(width: int) -> None:
    mass = np.ones((3, width))
    rest = [np.ones((2, width)), np.full((2, 3), 0.5)]
    wrong = [[-1, 1, 1, 2], [0, 1, 0, 2], [0, 1, 1, 3], [0, 3, 3, 2], [0, 1, 2, 2**62]]
    for starts in wrong:
        with pytest.raises(ValueError, match="starts fall or leave the entries"):
            _core.divergence(mass, *rest, starts, [0, 2], [0.1, 0.2], 1.0)
    for column in (-1, width, 2**62):
        with pytest.raises(ValueError, match="a column is not one of mass"):
            _core.divergence(mass, *rest, [0, 1, 1, 2], [0, column], [0.1, 0.2], 1.0)


def test_an_error_says_where_in_any_number_of_axes() -> None:
    cube = np.ones((2, 3, 4))
    cube[1, 2, 3] = -1.0
    with pytest.raises(ValueError, match=r"-1\.0 at position \(1, 2, 3\)$"):
        _core.log(cube)
    with pytest.raises(ValueError, match=r"-1\.0 at position 23$"):
        _core.log(cube.ravel())
    with pytest.raises(ValueError, match=r"it is -1\.0$"):
        _core.log(-1.0)
    many = np.ones((3, 300))
    many[2, 299] = 0.0  # in a later buffer than the first
    with pytest.raises(ValueError, match=r"a must be .* 0\.0 at position \(2, 299\)$"):
        _core.lgamma_difference(many, np.ones(300))


@pytest.mark.parametrize(
    "shape", [(), (1,), (3,), (2, 3), (2, 1, 4), (3, 2, 2, 5), (0,), (2, 0, 3)]
)
def test_pairs_broadcast_in_any_number_of_axes(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    a = rng.uniform(0.5, 20.0, shape)
    for n in (rng.integers(0, 9, shape), rng.integers(0, 9, shape[-1:]), rng.integers(0, 9)):
        got = _core.digamma_difference(a, n)
        steps = np.arange(9)
        whole = np.where(steps < np.asarray(n)[..., None], 1.0 / (a[..., None] + steps), 0.0)
        assert got.shape == np.broadcast_shapes(shape, np.shape(n))
        np.testing.assert_allclose(got, whole.sum(-1), rtol=1e-14)


# --- equality

TOKENS = ("red", "green", "blue")


@pytest.mark.parametrize(
    "other",
    [
        ([0.25, 0.75], ALPHA, ("red", "green", "grey")),
        ([0.25, 0.75], ALPHA, None),
        ([0.75, 0.25], ALPHA, TOKENS),
        ([0.25, 0.75], ALPHA[::-1], TOKENS),
        ([0.25, 0.75], changed(ALPHA, np.nextafter(ALPHA[-1, -1], 9.0)), TOKENS),
        ([1.0], ALPHA[:1], TOKENS),
        ([0.25, 0.75], ALPHA[:, :2], None),
    ],
)
def test_mixtures_are_equal_where_all_of_them_is(other: tuple[Any, Any, Any]) -> None:
    weights, alpha, tokens = other
    same = _core.DirichletMixture(WEIGHTS, ALPHA, tokens=TOKENS)
    assert (same == MIXTURE, same != MIXTURE) == (True, False)
    different = _core.DirichletMixture(weights, alpha, tokens=tokens)
    assert (different == MIXTURE, different != MIXTURE) == (False, True)


def test_an_error_of_names_that_are_compared_comes_out() -> None:
    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            raise OSError("no comparison here")

    one, two = (
        _core.DirichletMixture([1.0], [[1.0, 2.0]], tokens=(Name("a"), "b")) for _ in range(2)
    )
    with pytest.raises(OSError, match="no comparison here"):
        _ = one == two
    with pytest.raises(OSError, match="no comparison here"):
        _core.DirichletMixture([1.0], [[1.0, 2.0]], tokens=(Name("a"), Name("a")))


# --- copies


@pytest.mark.parametrize("counts", [TRANSITIONS, FADING], ids=["counts", "fading counts"])
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
def test_counts_that_are_copied_are_others(how: Callable[[Any], Any], counts: Any) -> None:
    copied, before = how(counts), counts.n_observed
    assert type(copied) is type(counts)
    assert [each.tolist() for each in copied.all()] == [each.tolist() for each in counts.all()]
    copied.update([0, 1, 2])
    assert counts.n_observed == before != copied.n_observed


# --- counts in use

USES: dict[str, Callable[[Any], object]] = {
    "update": lambda counts: counts.update([0, 1, 2]),
    "update_rows": lambda counts: counts.update_rows([[0, 1]], [2], [1]),
    "merge": lambda counts: counts.merge(TRANSITIONS),
    "merge into another": lambda counts: _core.TransitionCounts(2, 4).merge(counts),
    "merge itself": lambda counts: counts.merge(counts),
    "subtract": lambda counts: counts.subtract(TRANSITIONS),
    "scale": lambda counts: counts.scale(2),
    "shorten": lambda counts: counts.shorten(TRANSITIONS),
    "shorten by it": lambda counts: TRANSITIONS.shorten(counts),
    "discounted_rows": lambda counts: counts.discounted_rows(TRANSITIONS),
    "discounted_rows of it": lambda counts: TRANSITIONS.discounted_rows(counts),
    "counts_of_counts": lambda counts: counts.counts_of_counts(3),
    "counts": lambda counts: counts.counts([[0, 1]], [2]),
    "totals": lambda counts: counts.totals([[0, 1]]),
    "rows": lambda counts: counts.rows([[0, 1]]),
    "all": lambda counts: counts.all(),
    "sizes": lambda counts: counts.sizes(),
    "arrays": lambda counts: counts.arrays(),
    "copy": lambda counts: counts.copy(),
    "n_observed": lambda counts: counts.n_observed,
    "nbytes": lambda counts: counts.nbytes,
    "__reduce__": lambda counts: counts.__reduce__(),
}


@needs_timers
@pytest.mark.parametrize("use", USES)
def test_counts_are_no_one_elses_while_they_change(use: str) -> None:
    """Asked by a signal's handler, which runs while they are being changed."""
    counts, errors = _core.TransitionCounts(2, 4), set()
    tokens = np.random.default_rng(0).integers(0, 4, 2_000_000)

    def ask(*_: object) -> None:
        try:
            USES[use](counts)
        except RuntimeError as error:
            errors.add(str(error).partition(";")[0])

    with alarm(0.001, every=0.001, handler=ask):
        for _ in range(20):
            if not errors:
                counts.update(tokens)
    assert errors == {"another thread is changing these counts"}
    USES[use](counts)


# --- what holds what: the collector sees each reference, or a circle through it would never end


def test_the_collector_sees_what_objects_hold() -> None:
    counts = _core.TransitionCounts(2, 4)
    names = tuple(f"token {i}" for i in range(3))
    named = _core.DirichletMixture(WEIGHTS, ALPHA, tokens=names)
    for holder in (named, STATISTICS, COUNTS, counts):
        assert any(found is holder for found in gc.get_referrers(type(holder))), type(holder)
        assert any(found is _core for found in gc.get_referrers(type(holder))), type(holder)
    assert any(found is named for found in gc.get_referrers(named.tokens))


# --- arrays of counts that no counts have


def of_arrays(**others: Any) -> Any:
    """Counts from arrays with one large count, some of them others."""
    counts = _core.TransitionCounts(1, 3)
    counts.update_rows([[0], [1], [2]], [0, 1, 2], [1, 2**40, 7])
    names = ("keys", "counts", "large_at", "large", "index", "sums")
    arrays = dict(zip(names, counts.arrays(), strict=True))
    changed = {name: change(arrays[name]) for name, change in others.items()}
    return _core.TransitionCounts.from_arrays(1, 3, list({**arrays, **changed}.values()))


def test_what_repeats_its_entries_is_refused_and_what_is_as_long_is_not() -> None:
    n = 2**30 + 1
    with pytest.raises(ValueError, match="arrays repeats its entries: 1073741825 are more than"):
        _core.TransitionCounts.from_arrays(1, 3, [np.broadcast_to(np.uint8(0), n)] * 6)
    with pytest.raises(TypeError, match="keys must be uint64"):  # pages that nobody touches
        _core.TransitionCounts.from_arrays(1, 3, [np.zeros(n, dtype=np.uint8)] * 6)


def with_entry(value: int, place: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        other = array.copy()
        other.flat[place] = value
        return other

    return change


def longer(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array, array[-1:]])


def without(array: np.ndarray) -> np.ndarray:
    return array[:0].copy()


HOSTILE: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no large count": (
        {"large": without, "large_at": without},
        ValueError,
        r"large\[0\] is missing",
    ),
    "a large count too many": (
        {"large": longer, "large_at": longer},
        ValueError,
        r"large_at\[1\] is not the place",
    ),
    "a large count that is not": (
        {"large": with_entry(2**32 - 2)},
        ValueError,
        r"large\[0\] is missing or not large",
    ),
    "another place": ({"large_at": with_entry(9)}, ValueError, r"large_at\[0\] is not"),
    "a count of 0": ({"counts": with_entry(0)}, ValueError, r"counts\[0\] is 0"),
    "more than all": ({"large": with_entry(2**64 - 1)}, ValueError, r"past 2\^64 - 1"),
    "a padding of ones": ({"keys": lambda keys: keys | 1}, ValueError, r"keys\[0\] does not end"),
    "keys that fall": ({"keys": lambda keys: keys[::-1].copy()}, ValueError, r"does not stand"),
    "an index behind": ({"index": with_entry(1)}, ValueError, r"index\[0\] is not"),
    "another sum": ({"sums": with_entry(1)}, ValueError, r"sums\[0\] is not"),
    "few keys": ({"keys": lambda keys: keys[:2].copy()}, ValueError, r"counts has 3 .* needs 2"),
    **{
        f"more {name}": ({name: longer}, ValueError, rf"{says} has \d+ entries; with \d+ keys")
        for name, says in {
            "counts": "counts",
            "large_at": "large",
            "large": "large",
            "index": "index",
            "sums": "sums",
        }.items()
    },
    "wide keys": (
        {"keys": lambda keys: np.repeat(keys, 2, axis=1)},
        ValueError,
        r"\(3, 2\); they need \(n, 1\)",
    ),
    "flat keys": ({"keys": lambda keys: keys.ravel()}, ValueError, r"keys must have 2 axes"),
    "other integers": (
        {"counts": lambda counts: counts.astype(np.int32)},
        TypeError,
        r"counts must be uint32",
    ),
    "other bytes": (
        {"sums": lambda sums: sums.astype(sums.dtype.newbyteorder())},
        TypeError,
        r"sums must be uint64 in C order and native",
    ),
    "strides": ({"keys": lambda keys: keys[::-1]}, TypeError, r"keys must be uint64 in C order"),
    "a list": ({"large": lambda large: large.tolist()}, TypeError, r"large must be an array"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_arrays_of_no_counts_are_refused(what: str) -> None:
    others, error, says = HOSTILE[what]
    with pytest.raises(error, match=says):
        of_arrays(**others)
    assert of_arrays().counts([[1]], [1]).tolist() == [2**40]


def test_arrays_anywhere_in_memory_are_taken() -> None:
    def shifted(array: np.ndarray) -> np.ndarray:
        room = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        room[...] = array
        return room

    counts = of_arrays(keys=shifted, counts=shifted, large=shifted)
    assert counts.counts([[0], [1], [2]], [0, 1, 2]).tolist() == [1, 2**40, 7]
