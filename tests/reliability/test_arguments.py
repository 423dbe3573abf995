"""Any argument at all: each public callable answers, or raises an error that names the argument.

A valid call of each (`argument_cases`) has one to three arguments replaced by hostile ones
(`hostile_values`).  What may come of it is a result, or one of `ERRORS`; never another error, a
warning of NumPy, a NaN that nobody gave, a changed argument, or a call without end.
"""

from __future__ import annotations

import decimal
import math
import resource
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest
from alarm import alarm, needs_timers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiers import of_tier

pytest.importorskip("torch")  # a model is among the valid arguments
pytest.importorskip("transformers")
pytest.importorskip("mpltern")

from reliability import argument_cases as cases
from reliability import hostile_values as hostile

ERRORS = (TypeError, ValueError, OverflowError, MemoryError, OSError, hostile.Own)
LIMIT = 20.0  # seconds of this process; under a sanitizer all is slower
ROOM = 8 << 30  # bytes that the process may ask for beyond what it has
# What asks for that much work, and may be stopped by a signal instead of being refused.
WORK = ("n_boot", "n_starts", "n_permutations", "n_init", "n_samples", "n_sequences", "max_iter")
WORK += ("n_components", "max_components", "draws", "n_draws", "n_iter", "options", "parameters")
WORK += ("n", "length", "size", "n_pairs", "degree", "shots", "n_fitted", "cv", "n_folds")
# What is looked up by its place raises what sequences and mappings do.
PLACES = {"key", "i"}


class Late(BaseException):
    """A call that took too long."""


def _late(*_: Any) -> None:
    raise Late


@contextmanager
def limits() -> Iterator[None]:
    """Little memory."""
    old = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        own = int(file.read().split()[0]) * resource.getpagesize()
    bounded = not hasattr(__import__("ctypes").CDLL(None), "__asan_init")
    if bounded:  # a sanitizer has terabytes of addresses
        resource.setrlimit(resource.RLIMIT_AS, (own + ROOM, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)


def allowed(error: BaseException, names: tuple[str, ...], values: tuple[Any, ...]) -> bool:
    """Whether an error may come out."""
    if isinstance(error, Late):
        return any(name in WORK for name in names)
    if isinstance(error, (IndexError, KeyError)) and PLACES & {*names}:
        return True
    if isinstance(error, RuntimeError) and "Tensor" in str(error):  # a tensor's own, as a flag
        return any(type(value).__module__.startswith("torch") for value in values)
    return isinstance(error, ERRORS) and not isinstance(error, UnicodeError)


def has_nan(thing: Any, depth: int = 2) -> bool:
    """Whether a NaN is in an answer, or in those that it is made of."""
    if isinstance(thing, float):
        return math.isnan(thing)
    if isinstance(thing, np.ndarray):
        return thing.dtype.kind == "f" and bool(np.isnan(thing).any())
    if isinstance(thing, (tuple, list)) and depth:
        return any(has_nan(each, depth - 1) for each in thing)
    return False


def frozen(thing: Any) -> Any:
    """What must be the same after a call; None where nothing tells."""
    if isinstance(thing, np.ndarray) and not thing.dtype.hasobject:
        return thing.shape, thing.dtype, np.asarray(thing).tobytes()
    if isinstance(thing, (list, dict, bytearray)):
        try:
            return repr(thing)
        except Exception:
            return None
    return None


def trial(name: str, changed: dict[str, Any]) -> str:
    """One call, ended if it takes too long; what is wrong with what came of it, or nothing."""
    call = cases.valid_call(name)
    before = {key: frozen(value) for key, value in changed.items()}
    answer = None
    said = f"{name} with {', '.join(changed)}"
    try:
        with warnings.catch_warnings(), alarm(LIMIT, handler=_late, of_processor=True):
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", "(divide|overflow|underflow|invalid) ", RuntimeWarning)
            warnings.filterwarnings("error", "Mean of empty|Degrees of freedom", RuntimeWarning)
            answer = call(**changed)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        if not allowed(error, tuple(changed), tuple(changed.values())):
            return f"{said}: {type(error).__name__}: {str(error)[:200]}"
    after = {key: frozen(value) for key, value in changed.items()}
    wrong = [key for key in changed if before[key] is not None and before[key] != after[key]]
    if wrong:
        return f"{said}: changed {wrong}"
    if has_nan(answer) and not any(map(gives_nan, changed.values())):
        return "" if has_nan(cases.valid_call(name)()) else f"{said}: NaN that nobody gave"
    return ""


def gives_nan(value: Any) -> bool:
    """Whether a NaN was handed in, or something that a NaN is the answer to."""
    try:
        return bool(np.isnan(np.asarray(value, dtype=np.float64)).any())
    except Exception:
        return "nan" in str(type(value)) or has_nan(value) or callable(value)


@cache
def alone() -> tuple[tuple[str, Callable[[], Any]], ...]:
    return tuple(hostile.values())


@st.composite
def arguments(draw: st.DrawFn, name: str) -> dict[str, tuple[str, Callable[[], Any]]]:
    """One to three parameters of a callable, with what goes there."""
    own = cases.valid_call(name).arguments
    chosen = draw(
        st.lists(st.sampled_from(sorted(own)), min_size=1, max_size=3, unique=True)
        if own
        else st.just([])
    )
    found = {}
    for each in chosen:
        twisted = tuple(hostile.variations(own[each]))
        from_own = bool(twisted) and draw(st.booleans())
        found[each] = draw(st.sampled_from(twisted if from_own else alone()))
    return found


def groups() -> dict[str, tuple[str, ...]]:
    """Callables for a test each: functions, types by their letters, and those of modules."""
    found: dict[str, list[str]] = {}
    for name in cases.callables():
        first = name.split(".")[0]
        kind = first
        if first == "_core":
            kind = "functions of the core" if name.count(".") == 1 else "types of the core"
        elif first not in ("plot", "windtunnel"):
            letter = first[0]
            kind = "functions" if letter.islower() else f"types {'A-D' if letter < 'E' else 'E-Z'}"
        found.setdefault(kind, []).append(name)
    return {kind: tuple(names) for kind, names in found.items()}


EXAMPLES = of_tier(200, 2_000, 20_000)


@needs_timers
@pytest.mark.promise(6)
@pytest.mark.parametrize("kind", sorted(groups()))
def test_only_errors_of_arguments_come_out(
    kind: str, figure: Callable[[str], None], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = groups()[kind]
    n = max(1, EXAMPLES * len(names) // len(cases.callables()))
    monkeypatch.chdir(tmp_path)  # a name of a file may be anything
    monkeypatch.setenv("TQDM_DISABLE", "1")
    tempfile.tempdir = str(tmp_path)

    @settings(max_examples=n, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(names))
        made = data.draw(arguments(name))
        found = trial(name, {each: make() for each, (_, make) in made.items()})
        assert not found, {each: label for each, (label, _) in made.items()}

    try:
        with limits():
            check()
    finally:
        tempfile.tempdir = None
    figure(f"{n} calls of {len(names)} callables of {kind}, 0 errors that are none of arguments")


@pytest.mark.promise(6)
def test_every_public_callable_has_a_valid_call(figure: Callable[[str], None]) -> None:
    without = []
    for name in cases.callables():
        try:
            cases.valid_call(name)
        except (KeyError, TypeError):
            without.append(name)
    assert not without, "argument_cases.CALLS or CORE wants a valid call of each"
    assert len(cases.callables()) > 500
    figure(f"{len(cases.callables())} public callables, each with a valid call")


@pytest.mark.slow
def test_the_valid_calls_are_valid() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in cases.callables():
            if name in cases.REFUSING:
                with pytest.raises(ValueError, match=r"frozen|draws"):
                    cases.valid_call(name)()
            else:
                cases.valid_call(name)()


# -- what came out once ------------------------------


def _circle() -> list[Any]:
    found: list[Any] = [0]
    found.append(found)
    return found


MENDED: tuple[tuple[str, str, Callable[[], Any]], ...] = (
    ("Interpolation.generate", "rng", _circle),  # NumPy filled the stack: a crash
    ("Interpolation.generate", "n", hostile._deep),
    ("BackoffModel", "tokens", hostile._deep),
    ("BackoffModel.logscore", "word", _circle),
    ("AffineTest.plot", "ax", lambda: 7),
    ("ElicitationReport.plot", "figure", dict),
    ("EmbeddingMap.all_pairs", "executor", lambda: 7),
    ("DirichletMixture.lump", "groups", lambda: [1]),
    ("DirichletMixtureEstimator.from_summaries", "statistics", lambda: [1]),
    ("DirichletMixtureEstimator.score", "X", lambda: np.zeros((0, 3))),
    ("DirichletMixtureEstimator.fit", "sample_weight", lambda: np.longdouble("1e4000")),
    ("BitsPerByte.difference", "other", lambda: 3),
    ("ConcentrationRegression.predict", "covariates", lambda: hostile._object(detach=len)),
    ("KernelMixture.group_evidence", "groups", dict),
    ("KernelMixture.log_evidence_of", "tokens", lambda: [99]),
    ("PartialRows.from_rows", "rows", lambda: 7),
    ("PartialStatistics.permuted", "order", lambda: 7),
    ("TokenView.hover", "t", lambda: -(2**63)),
    ("check_prior", "prior", lambda: True),
    ("check_prior", "reference", lambda: np.full(3, -np.inf)),
    ("elicit", "prefix", lambda: np.ones(1)),
    ("embed_of", "model", lambda: 1),
    ("from_openai", "tokenizer", lambda: 1),
    ("icl_curve", "prior", lambda: 1),
    ("posterior_path", "prior", lambda: b""),
    ("probe_segment", "n", lambda: decimal.Decimal("NaN")),
    ("score_card", "task", lambda: 1),
    ("score_card", "noise", lambda: 1e308),
    ("windtunnel.HMM.lenient", "tokens", lambda: np.zeros((2, 3), dtype=object)),
    ("windtunnel.Mixture", "tasks", lambda: [1]),
    ("write_easel", "mixture", lambda: 1e308),
    ("plot.components", "mixture", lambda: None),
    ("plot.curves", "values", lambda: 3),
    ("plot.curves", "title", lambda: memoryview(b"a title")),
    ("Head.of_layer", "states", lambda: np.zeros(0)),
    ("Head.of_layer", "states", lambda: 1.0),
    ("Head.of_layer", "states", lambda: np.zeros((4, 3))),
    ("Head.refusal", "logits", lambda: __import__("torch").ones(0, 12)),
    ("TokenView.of", "value", lambda: "nothing"),
    ("_core.FadingCounts.log_evidence", "concentration", lambda: np.array([np.inf])),
    ("_core.discounted_fit", "q", lambda: np.zeros(2)),
    ("approximation_report", "n_tokens", lambda: np.uint8(2)),
    ("from_topk", "n_tokens", lambda: 2**63 - 1),
    ("probe_segment", "n", lambda: 2**63 - 1),
    ("read_easel", "path", lambda: "\ud800"),
)
REPEATED = (  # rounds that would never end: refused in a sentence
    ("DirichletMixture.reduce", "n_init"),
    ("KernelMixture.reduce", "n_iter"),
    ("LabelDesign.fit", "n_boot"),
    ("affine_test", "n_permutations"),
    ("check_continuity", "n_boot"),
    ("check_prior", "n_samples"),
    ("elicit_prior", "n_boot"),
    ("elicit_prior", "n_starts"),
    ("fit_icl_curve", "n_boot"),
    ("fit_scaling_laws", "n_boot"),
    ("flipped_label_design", "n_sequences"),
    ("martingale_test", "n_boot"),
    ("score_card", "n_boot"),
)


@pytest.mark.parametrize(("name", "parameter", "make"), MENDED)
def test_what_came_out_once_stays_in(name: str, parameter: str, make: Callable[[], Any]) -> None:
    with limits():
        assert not trial(name, {parameter: make()})


@pytest.mark.parametrize("number", [2**31, 2**64])
@pytest.mark.parametrize(("name", "parameter"), REPEATED)
def test_what_would_never_end_is_refused(name: str, parameter: str, number: int) -> None:
    call = cases.valid_call(name)
    with pytest.raises(ValueError, match=rf"^{parameter} is {number}; it must be from "):
        call(**{parameter: number})


# -- that the check sees what it looks for ------------------------------


@needs_timers
@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (lambda x: {}["x"], "KeyError"),
        (lambda x: [][5], "IndexError"),
        (lambda x: x.nothing, "AttributeError"),
        (lambda x: 1 // 0, "ZeroDivisionError"),
        (lambda x: np.log(np.zeros(1)), "RuntimeWarning"),
        (lambda x: x.fill(7), "changed"),
        (lambda x: np.where(x > 0.0, np.nan, x), "NaN"),
    ],
)
def test_a_defect_is_seen(
    wrong: Callable[[Any], Any], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cases.CALLS, "planted", lambda: (wrong, (np.zeros(3),), {}))
    with limits():
        assert what in trial("planted", {"x": np.ones(3)})


@needs_timers
def test_a_call_without_end_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def spin(x: Any) -> None:
        while True:
            pass

    monkeypatch.setitem(cases.CALLS, "planted", lambda: (spin, (0,), {}))
    monkeypatch.setitem(globals(), "LIMIT", 0.1)
    with limits():
        assert "Late" in trial("planted", {"x": 1})
