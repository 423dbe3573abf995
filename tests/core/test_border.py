"""The border between Python and C: nothing that crosses it changes under the core's hands."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from core.leak_cases import (
    BACKOFF,
    BALANCE,
    DISCOUNTED,
    DISCOUNTED_FIT,
    MEAN_ROWS,
    SLOPES,
    TREE,
    even_codes,
)
from house.graph import found
from numpy.testing import assert_array_equal

from matrixbayes import _core

CSRC = Path(__file__).resolve().parents[2] / "csrc"
WEIGHTS, ALPHA = [0.25, 0.75], [[1.0, 2.0, 3.0, 1.5], [0.5, 0.5, 4.0, 2.0]]
MIXTURE = _core.DirichletMixture(WEIGHTS, ALPHA)
ROWS = np.log(np.array([[0.2, 0.3, 0.1, 0.4], [0.6, 0.1, 0.1, 0.2], [0.1, 0.1, 0.7, 0.1]]))
COUNTED = _core.Counts([0, 2, 2, 3], [0, 2, 1], [3.0, 1.0, 2.5], 4)
TABLE = _core.evidence_table(MIXTURE, COUNTED)
SHARES = np.array([[0.5, 0.5], [0.1, 0.9], [1.0, 0.0]])
STATISTICS = _core.expectation(MIXTURE, ROWS)
PRIOR = (0.0, 0.0, 1e-4, 1e8)


def transitions() -> Any:
    counts = _core.TransitionCounts(1, 4)
    counts.update([0, 1, 1, 2, 3, 0, 1])
    return counts


def folded(below: Any, weights: Any, alpha: Any) -> Any:
    counts = _core.TransitionCounts(0, 5)
    counts.update([0, 1, 1, 2])
    return counts.fold(None, below, weights, alpha, 0.5, False)


def frozen() -> Any:
    levels: list[Any] = []
    for counts in (_core.TransitionCounts(0, 4), transitions()):
        if counts.order == 0:
            counts.update([0, 1, 2, 3])
        levels.append(_core.FrozenCounts.encode(4, levels, *counts.all()))
    return _core.FrozenCounts(4, levels)


def backed_off(*parts: Any) -> Any:
    return _core.BackoffTable(2, *parts).rows([[0], [1]])


# --- arguments that change each other

TURNS: dict[str, Callable[[np.ndarray], None]] = {
    "flat": lambda a: setattr(a, "shape", (a.size,)),
    "column": lambda a: setattr(a, "shape", (a.size, 1)),
    "row": lambda a: setattr(a, "shape", (1, a.size)),
    "deep": lambda a: setattr(a, "shape", (1, 1, a.size)),
    "bytes": lambda a: setattr(a, "dtype", np.int8),
    "strides": lambda a: setattr(a, "strides", (0,) * a.ndim),
}


class Meddler:
    """Makes arguments whose conversion changes the shape of all arrays converted before."""

    def __init__(self, turn: Callable[[np.ndarray], None]) -> None:
        self.turn, self.handed = turn, list[np.ndarray]()

    def meddle(self) -> None:
        for array in self.handed:
            self.turn(array)

    def argument(self, value: Any, *, as_array: bool) -> Any:
        if isinstance(value, np.ndarray) and as_array:
            self.handed.append(value.copy())
            return self.handed[-1]
        if isinstance(value, np.ndarray):
            return Turning(self, value)
        if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
            return [self.argument(item, as_array=False) for item in value]
        if isinstance(value, int | float):
            return TurningNumber(self, value)
        if isinstance(value, tuple) and all(isinstance(item, float) for item in value):
            return tuple(TurningNumber(self, item) for item in value)
        return self.names(value) if isinstance(value, tuple) else value

    def names(self, value: Any) -> Iterator[Any]:
        self.meddle()
        yield from value


class Turning:
    def __init__(self, meddler: Meddler, array: np.ndarray) -> None:
        self.meddler, self.array = meddler, array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        self.meddler.meddle()
        self.meddler.handed.append(self.array.copy())
        return self.meddler.handed[-1]


class TurningNumber:
    def __init__(self, meddler: Meddler, number: float) -> None:
        self.meddler, self.number = meddler, number

    def __index__(self) -> int:
        self.meddler.meddle()
        return int(self.number)

    def __float__(self) -> float:
        self.meddler.meddle()
        return float(self.number)


def updated(tokens: Any) -> Any:
    counts = _core.TransitionCounts(1, 4)
    counts.update(tokens)
    return counts.all()


def updated_rows(*arguments: Any) -> Any:
    counts = _core.TransitionCounts(1, 4)
    counts.update_rows(*arguments)
    return counts.all()


def array(*values: Any) -> np.ndarray:
    return np.array(values)


CONTEXTS = array([0], [1], [2])
LISTED, SUMMED = (array(0, 2, 2, 3), array(0, 3, 1)), np.arange(1.0, 9.0).reshape(4, 2)
# Functions of the core with their arguments, and which of these must be arrays to begin with.
CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], set[int]]] = {
    "mixture": (
        lambda w, a, t: _core.DirichletMixture(w, a, tokens=t),
        (np.array(WEIGHTS), np.array(ALPHA), ("a", "b", "c", "d")),
        set(),
    ),
    "statistics": (
        _core.SufficientStatistics,
        (np.array([2.0, 1.0]), -np.ones((2, 3)), 0.5, 2),
        set(),
    ),
    "counts": (
        _core.Counts,
        (array(0, 2, 2, 3), array(0, 2, 1), array(3.0, 1.0, 2.5), 4),
        set(),
    ),
    "log_evidence": (MIXTURE.log_evidence, (np.ones((2, 4)),), set()),
    "expectation": (_core.expectation, (MIXTURE, ROWS, array(1.0, 2.0, 3.0)), {1}),
    "accumulate": (_core.accumulate, (ROWS, SHARES), {0}),
    "maximization": (_core.maximization, (STATISTICS, np.array(ALPHA), PRIOR), set()),
    "count_maximization": (
        _core.count_maximization,
        (COUNTED.tokens, COUNTED.counts, np.ones((len(COUNTED.counts), 2)), np.array(ALPHA), PRIOR),
        set(),
    ),
    "count_log_joint": (_core.count_log_joint, (MIXTURE, COUNTED, TABLE, 0, 3), set()),
    "count_posterior": (_core.count_posterior, (MIXTURE, COUNTED, TABLE, 0, 3), set()),
    "count_expectation": (
        _core.count_expectation,
        (MIXTURE, COUNTED, TABLE, 0, 3, array(1.0, 2.0, 0.5)),
        set(),
    ),
    "count_accumulate": (_core.count_accumulate, (COUNTED, SHARES), set()),
    "sum_whole": (_core.sum_whole, (SUMMED,), set()),
    "sum_unlisted": (_core.sum_unlisted, (*LISTED, SUMMED, _core.sum_whole(SUMMED)), set()),
    "sum_listed": (_core.sum_listed, (*LISTED, SUMMED, array(1.0, 2.0, 0.5)), set()),
    "add_to_listed": (_core.add_to_listed, (*LISTED, SHARES, 4, array(1.0, 2.0, 0.5)), set()),
    "partial_maximization": (
        _core.partial_maximization,
        (array(2.0, 1.0), *(np.full((4, 2), x) for x in (0.5, 0.1, -3.0)), np.array(ALPHA), PRIOR),
        set(),
    ),
    "regression_sums": (
        lambda w, s, *rest: _core.regression_sums((w, s), *rest),
        (
            array(2.0, 1.0),
            -np.ones((2, 4)),
            array(3.0, 4.0),
            np.full((1, 4), 0.25),
            array(0, 2),
            np.ones((2, 1)),
        ),
        set(),
    ),
    "regression_mean": (
        lambda s, t, c, w, *rest: _core.regression_mean((s, t, c, w), *rest),
        (
            array(0, 3),
            array(0, 3, 4),
            array(2.0, 1.0, 3.0),
            array(1.0, 2.0, 1.0),
            array(3.0),
            np.full(4, 0.25),
        ),
        set(),
    ),
    "draw_rows": (_core.draw_rows, (ROWS, 5, 2, 7, 0, array(1.0, 2.0, 0.5)), {0}),
    "block_distances": (_core.block_distances, ("hilbert", ROWS, ROWS[:2]), set()),
    "pair_distances": (_core.pair_distances, ("kl", ROWS, array(0, 1), array(2, 0)), {1}),
    "divergence": (
        _core.divergence,
        (
            np.exp(ROWS),
            np.ones((2, 4)),
            np.full((2, 3), 0.1),
            array(0, 1, 1, 2),
            array(0, 2),
            array(0.1, 0.2),
            0.5,
        ),
        set(),
    ),
    "tree_slopes": (
        _core.tree_slopes,
        tuple(array(*x) if isinstance(x, list) else x for x in TREE + SLOPES),
        set(),
    ),
    "balance_predictions": (
        _core.balance_predictions,
        tuple(array(*x) if isinstance(x, list) else x for x in BALANCE),
        set(),
    ),
    "concentration_evidence": (
        _core.concentration_evidence,
        tuple(map(np.array, MEAN_ROWS)),
        set(),
    ),
    "concentration_shares": (
        _core.concentration_shares,
        tuple(map(np.array, [*MEAN_ROWS, [0.25, 0.75]])),
        set(),
    ),
    "discounted_probs": (_core.discounted_probs, tuple(map(np.array, DISCOUNTED)), set()),
    "discounted_fit": (
        lambda *a: _core.discounted_fit([a[:6]], *a[6:]),
        (*map(np.array, DISCOUNTED), np.array(DISCOUNTED_FIT[2], dtype=float)),
        set(),
    ),
    "arpa_lines": (
        lambda words, probs, backs, ends: len(_core.arpa_lines(words, probs, backs, b"abcd", ends)),
        (array([0, 1], [1, 0]), array(-0.5, -1.0), array(0.0, -0.25), array(1, 4)),
        set(),
    ),
    "row_buckets": (_core.row_buckets, (np.array(DISCOUNTED[3]), 90), set()),
    "log_probs": (lambda rows: _core.log_probs(rows, kind="log_probs"), (ROWS,), set()),
    "check_log_probs": (_core.check_log_probs, (ROWS,), set()),
    "decode_rows": (_core.decode_rows, (even_codes(4, 6), 5), {0}),
    "lump_log_probs": (_core.lump_log_probs, (ROWS, array(0, 1, 1, 0), 2), {0}),
    "lgamma_difference": (
        _core.lgamma_difference,
        (np.ones((4, 3)), np.arange(12.0).reshape(4, 3)),
        set(),
    ),
    "update": (updated, ([array(0, 1, 2), array(3, 3, 1, 0)],), set()),
    "lead_documents": (
        _core.lead_documents,
        (array(0, 1, 2, 3), array(0, 2), array(2, 4), array(1), array(2, 3)),
        set(),
    ),
    "update_rows": (updated_rows, (CONTEXTS, array(0, 1, 2), array(5, 6, 7)), set()),
    "counts of": (transitions().counts, (CONTEXTS, array(1, 1, 3)), set()),
    "totals of": (transitions().totals, (CONTEXTS,), set()),
    "rows of": (transitions().rows, (CONTEXTS,), set()),
    "places of": (transitions().places, (CONTEXTS,), set()),
    "fold": (folded, (np.zeros(3), np.ones(1), np.full((1, 4), 0.5)), set()),
    "counts of frozen": (frozen().counts, (CONTEXTS, array(1, 1, 3)), set()),
    "walk over frozen": (frozen().walk, (CONTEXTS, array(1, 1, 3)), set()),
    "BackoffTable": (
        backed_off,
        tuple([np.array(each) for each in BACKOFF[name]] for name in BACKOFF if name != "n_tokens"),
        set(),
    ),
    "scores": (
        lambda *a: _core.BackoffTable(**BACKOFF).scores(*a[:2], before=a[2]),
        (array(0, 1, 1, 0), array(0, 1, 4), array(2, 0)),
        set(),
    ),
    "pair_values": (
        _core.BackoffTable(**BACKOFF).pair_values,
        (np.array([[0], [1], [2]]), array(0, 1, 1)),
        set(),
    ),
    "prune": (
        lambda states: _core.BackoffTable(**BACKOFF).prune(states, 0.1),
        (np.array([0.0, 0.5, 0.5]),),
        set(),
    ),
    "from_arrays": (
        lambda *a: _core.TransitionCounts.from_arrays(*a).all(),
        (1, 4, transitions().arrays(), array(1)),
        set(),
    ),
}


def numbers(result: Any) -> list[Any]:
    """The arrays and numbers of what a function answers."""
    if isinstance(result, tuple):
        return [number for item in result for number in numbers(item)]
    names = ("weights", "alpha", "weight", "log_sums", "n_rows", "tokens", "counts")
    found = [getattr(result, name) for name in names if hasattr(result, name)]
    return found or [result]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("name", CALLS)
def test_arguments_do_not_change_each_other(name: str, turn: str) -> None:
    function, arguments, arrays = CALLS[name]
    meddler = Meddler(TURNS[turn])
    given = [meddler.argument(a, as_array=i in arrays) for i, a in enumerate(arguments)]
    try:
        answer = function(*given)
    except (TypeError, ValueError):
        assert arrays  # it was changed before its turn came
        return
    for got, right in zip(numbers(answer), numbers(function(*arguments)), strict=True):
        assert_array_equal(got, right)


class Finalizing(np.ndarray):
    """A subclass whose new arrays are kept, to be turned later."""

    meddler: Any = None

    def __array_finalize__(self, of: Any) -> None:
        if self.meddler is not None and type(of) is Finalizing:
            self.meddler.meddle()
            self.meddler.handed.append(self)


NOTHINGS = {"None": None, "empty": (), "no numbers": np.empty(0), "text": "", "an object": object()}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("nothing", NOTHINGS)
@pytest.mark.parametrize("name", CALLS)
def test_nothing_in_the_place_of_an_argument(name: str, nothing: str) -> None:
    """It is refused, or an argument that may be left out: the core never follows it."""
    call, given, _ = CALLS[name]
    for i in range(len(given)):
        arguments = [copy.deepcopy(value) for value in given]
        arguments[i] = NOTHINGS[nothing]
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            call(*arguments)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
def test_subclasses_take_no_part(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    alpha, weights = np.ones((1, 300), dtype).view(Finalizing), np.ones(1, dtype).view(Finalizing)
    monkeypatch.setattr(Finalizing, "meddler", Meddler(TURNS["column"]))
    mixture = _core.DirichletMixture(weights, alpha, tokens=map(str, range(300)))
    assert mixture.alpha.shape == (1, 300)
    assert not Finalizing.meddler.handed


# --- what is handed out


def handed_out() -> dict[str, Callable[[], Any]]:
    """Every array that an object of the core keeps, by where it is got."""
    objects = {"mixture": MIXTURE, "statistics": STATISTICS, "counted": COUNTED}
    found = {
        f"{name}.{attribute}": lambda o=o, a=attribute: getattr(o, a)
        for name, o in objects.items()
        for attribute in dir(o)
        if isinstance(getattr(o, attribute), np.ndarray)
    }
    kept = transitions()
    kept.arrays()  # its runs become one
    found.update({f"arrays()[{i}]": lambda i=i: kept.arrays()[i] for i in range(6)})
    found["statistics.__reduce__"] = lambda: STATISTICS.__reduce__()[1][0]
    found["mixture.__getnewargs_ex__"] = lambda: MIXTURE.__getnewargs_ex__()[0][1]
    return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", handed_out())
def test_what_is_handed_out_is_a_view_of_its_own(name: str) -> None:
    get = handed_out()[name]
    before, bits = (get().shape, get().dtype, get().strides), get().tobytes()
    assert get() is not get()
    for turn in ("flat", "column", "bytes"):
        if turn != "bytes" or get().size:
            TURNS[turn](get())
    if not name.startswith("counted"):  # these are copies
        owner = get()
        while isinstance(owner, np.ndarray):
            with pytest.raises(ValueError, match="WRITEABLE"):
                owner.flags.writeable = True
            assert not owner.flags.writeable
            owner.shape = (owner.size, 1, 1)
            owner = owner.base
        with pytest.raises(TypeError):
            memoryview(owner)
    assert (get().shape, get().dtype, get().strides) == before
    assert get().tobytes() == bits


def test_statistics_say_what_they_are_of() -> None:
    s = _core.SufficientStatistics([2.0], [[-1.0, -3.0]], 0.5, 2)
    said = "SufficientStatistics of 2 row(s): components 1, tokens 2, log-likelihood 0.5 nats"
    assert repr(s) == said


def test_statistics_add_whatever_became_of_their_arrays() -> None:
    s = _core.SufficientStatistics([2.0], [[-1.0, -3.0]], 0.5, 2)
    s.weight.shape = ()
    s.log_sums.shape = (2, 1)
    twice = s + s
    assert_array_equal(twice.weight, [4.0])
    assert_array_equal(twice.log_sums, [[-2.0, -6.0]])
    for again in (copy.deepcopy(twice), pickle.loads(pickle.dumps(twice))):
        assert_array_equal(again.log_sums, twice.log_sums)
        assert again.n_rows == 4


# --- statistics that cannot be

NOT_STATISTICS = [
    ({"n_rows": -1}, ValueError, "n_rows is -1"),
    ({"n_rows": 2**63}, OverflowError, "too big|too large"),
    ({"n_rows": 2**64 + 5}, OverflowError, "too big|too large"),
    ({"n_rows": 2.0}, TypeError, "float"),
    ({"weight": [-1.0, 1.0]}, ValueError, r"weight\[0\] is -1.0"),
    ({"weight": [1.0, np.nan]}, ValueError, r"weight\[1\] is nan"),
    ({"weight": [1.0, np.inf]}, ValueError, r"weight\[1\] is inf"),
    ({"log_sums": [[-1.0, -1.0], [np.nan, -1.0]]}, ValueError, r"log_sums\[1, 0\] is nan"),
    ({"log_sums": [[-1.0, np.inf], [-1.0, -1.0]]}, ValueError, r"log_sums\[0, 1\] is inf"),
    ({"log_likelihood": np.nan}, ValueError, "log_likelihood is nan"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), NOT_STATISTICS)
def test_statistics_that_cannot_be(wrong: dict, error: type[Exception], message: str) -> None:
    right: dict[str, Any] = {"weight": [1.0, 2.0], "log_sums": [[-1.0, -2.0], [-3.0, -4.0]]}
    right |= {"log_likelihood": -1.0, "n_rows": 3}
    _core.SufficientStatistics(**right)
    with pytest.raises(error, match=message):
        _core.SufficientStatistics(**(right | wrong))


def test_the_number_of_rows_does_not_wrap() -> None:
    most = _core.SufficientStatistics([1.0], [[-1.0]], 0.0, 2**63 - 1)
    one = _core.SufficientStatistics([1.0], [[-1.0]], 0.0, 1)
    none = _core.SufficientStatistics([1.0], [[-1.0]], 0.0, 0)
    assert (most + none).n_rows == 2**63 - 1
    with pytest.raises(OverflowError, match=r"2\^63"):
        most + one


# --- loops end


def test_no_loop_of_the_core_runs_on_a_float() -> None:
    """Steps of a float get lost where it is large; all loops count whole numbers."""
    files = found(CSRC, "**/*.[ch]")
    header = re.compile(r"\b(?:for|while)\s*\(((?:[^()]|\([^()]*\))*)\)")
    on_a_float = re.compile(r"^\s*(double|float)\b|[-+*/]=\s*\d*\.\d[^;]*$")
    for file in files:
        for loop in header.findall(file.read_text("utf-8")):
            assert not on_a_float.search(loop), f"{file.name}: {loop}"
        forever = re.findall(r"\bfor\s*\(;;\)|\bwhile\s*\((?:1|true)\)", file.read_text("utf-8"))
        # these two walk runs beside each other, and return when all are at their ends
        assert not forever or file.name in {"fading_row.c", "transition_rows.c"}, file.name


# --- what the module tells Python of itself


def test_the_module_says_that_it_needs_the_gil_where_python_asks() -> None:
    start = ctypes.PyDLL(_core.__file__).PyInit__core
    start.restype = ctypes.c_void_p
    place = object.__basicsize__ // 8 + 7  # of m_slots in a PyModuleDef, which is an object
    slots = ctypes.cast(start(), ctypes.POINTER(ctypes.POINTER(ctypes.c_size_t)))[place]
    told = dict(zip(*[iter(slots[:6])] * 2, strict=True))
    assert told.get(4) == (0 if sys.version_info >= (3, 13) else None)


def test_the_core_links_nothing_outside_the_stable_abi() -> None:
    if not shutil.which("nm") or ".abi3." not in _core.__file__:
        pytest.skip("no nm here, or no stable ABI")
    line = ["nm", "-D", "--undefined-only", "--format=posix", _core.__file__]
    names = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert not re.findall(r"^PyMem_Raw\w*", names, re.MULTILINE)  # stable from 3.13 on only
