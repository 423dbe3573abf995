"""What callers give to be called or read, and what computes for them, fails: nothing is lost.

Each case says which error comes out and what it names; objects are the same bits afterwards, no
thread, process or file is left, and the next call works.  A public callable that takes a model, a
tokenizer, an executor, a bar or anything to be called has a case, or a test fails.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import multiprocessing
import os
import pickle
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import matrixbayes as mb
from matrixbayes import dask as on_dask
from matrixbayes import windtunnel

pytestmark = [pytest.mark.promise(22), pytest.mark.filterwarnings("ignore")]

PRIOR = mb.DirichletMixture([0.6, 0.4], [[8.0, 1.0, 1.0], [1.0, 5.0, 5.0]])
ROWS = PRIOR.sample(300, rng=0)
GONE = OSError("the disk is gone")


class Case(NamedTuple):
    name: str  # of the public callable
    what: str
    call: Callable[[], object]
    error: type[BaseException]
    says: str  # in the message or its notes
    things: tuple[Any, ...] = ()  # that stay as they are


def bits(thing: Any) -> Any:
    """All there is to an object; executors, models and functions by who they are."""
    state = dict(vars(thing)) if hasattr(thing, "__dict__") else {"": thing}
    found = {}
    for name, value in state.items():
        try:
            found[name] = pickle.dumps(value)
        except (TypeError, AttributeError, pickle.PicklingError):
            found[name] = id(value)
    return found


def left_behind() -> set[Any]:
    """Threads of ours, child processes and open files."""
    found: set[Any] = {t for t in threading.enumerate() if t.name.startswith("matrixbayes")}
    found |= {*multiprocessing.active_children()}
    if sys.platform == "linux":
        for link in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # the one by which they are listed
                found.add(os.readlink(link))
    return found


def check(case: Case) -> None:
    """The error that it says, and nothing else."""
    before, there = [bits(thing) for thing in case.things], left_behind()
    with pytest.raises(case.error) as caught:
        case.call()
    error = caught.value
    said = "\n".join([str(error), *getattr(error, "__notes__", ())])
    assert re.search(case.says, said), said
    assert [bits(thing) for thing in case.things] == before
    del caught, error  # whose frames hold what was open
    deadline = time.monotonic() + 5.0
    while left_behind() - there and time.monotonic() < deadline:  # threads end what they are at
        time.sleep(0.01)
    assert not left_behind() - there


def raising(error: BaseException) -> Callable[..., Any]:
    def call(*_: Any, **__: Any) -> Any:
        raise error

    return call


# --- data that are read in pieces


class Chunks:
    """Ten chunks of rows, the fifth of which is something else from the n-th pass on."""

    def __init__(self, instead: Any, passes: int) -> None:
        self.instead, self.left = instead, passes

    def __iter__(self) -> Iterator[Any]:
        self.left -= 1
        for i in range(10):
            if i == 5 and self.left < 0:
                if isinstance(self.instead, BaseException):
                    raise self.instead
                if isinstance(self.instead, str) and self.instead == "end":
                    return
                yield self.instead
            else:
                yield ROWS


def fitted(**options: Any) -> Any:
    return mb.DirichletMixtureEstimator(
        2, kind="probs", random_state=0, max_iter=30, **options
    ).fit(ROWS)


def of_chunks() -> Iterator[Case]:
    changed = "the rows changed between two passes"
    for passes in (0, 1, 2, 3, 5):
        for what, instead, error, says in (
            ("raises", GONE, OSError, "the disk is gone"),
            ("NaN", ROWS * np.nan, ValueError, "row 1500, column 0 is NaN"),
            ("None", None, TypeError, "chunk 5 is None"),
            ("text", "abc", ValueError, "chunk 5 has shape"),
        ):
            of = fitted()
            data = Chunks(instead, passes)
            yield Case(
                "DirichletMixtureEstimator.fit",
                f"{what}, pass {passes}",
                partial(of.fit, data),
                error,
                says,
                (of,),
            )
    for passes in (2, 3, 5):
        for what, instead, says in (
            ("short", "end", changed),
            ("narrow", ROWS[:, :2], changed + ": chunk 5 has 2 columns"),
            ("long", np.concatenate([ROWS, ROWS]), changed),
        ):
            of, data = fitted(), Chunks(instead, passes)
            call = partial(of.fit, data)
            yield Case("DirichletMixtureEstimator.fit", what, call, ValueError, says, (of,))
    of = fitted()
    yield Case(
        "DirichletMixtureEstimator.from_summaries",
        "raises",
        lambda: of.from_summaries(x for x in [of.summarize(ROWS), raising(GONE)()]),
        OSError,
        "gone",
        (of,),
    )


def documents() -> Iterator[Any]:
    yield [0, 1]
    yield [1, 2]
    raise GONE


def of_documents() -> Iterator[Case]:
    for options in ({}, {"hierarchical": True}, {"discounts": True}, {"discount": 0.5}):
        matrix = mb.TransitionMatrix(1, n_tokens=3, **options).update([0, 1, 2, 0, 1])
        for name in ("update", "downdate"):
            if name == "downdate" and options == {"discount": 0.5}:
                continue
            call = partial(getattr(matrix, name), documents())
            yield Case(f"TransitionMatrix.{name}", f"{options}", call, OSError, "gone", (matrix,))
    lines = lambda: (line if line else raising(GONE)() for line in ("a b", "b", ""))  # noqa: E731
    yield Case(
        "TransitionMatrix.from_text",
        "lines raise",
        lambda: mb.TransitionMatrix.from_text(lines(), order=1),
        OSError,
        "gone",
    )
    yield Case(
        "from_vllm",
        "records raise",
        lambda: mb.from_vllm(responses(), prompt=True),
        OSError,
        "gone",
    )


def responses() -> Iterator[Any]:
    yield RECORDS["from_vllm"]
    raise GONE


# --- tokenizers


class OfWords:
    """A tokenizer that splits, but gives something else for the third line."""

    def __init__(self, instead: Any) -> None:
        self.instead, self.calls = instead, 0

    def __call__(self, line: str) -> Any:
        self.calls += 1
        if self.calls != 3:
            return [len(word) for word in line.split()]
        if isinstance(self.instead, BaseException):
            raise self.instead
        return self.instead


class OfBatches:
    """What transformers call a tokenizer, as far as texts are read."""

    def __init__(self, give: Callable[[list[str]], Any], vocab: Any) -> None:
        self.give, self.vocab = give, vocab

    def __call__(self, lines: list[str], **_: Any) -> Any:
        return self.give(lines)

    def convert_ids_to_tokens(self, ids: Any) -> Any:
        return [str(i) for i in ids]

    def get_vocab(self) -> Any:
        return self.vocab() if callable(self.vocab) else self.vocab


LINES = ["a bb", "bb ccc", "a ccc", "ccc"]
NONSENSE = [
    ("None", None, TypeError, "line 3: the tokenizer gave None"),
    ("a string", "abc", TypeError, "line 3: the tokenizer gave one string"),
    ("floats", [1.5], TypeError, r"line 3: a token is 1\.5"),
    ("a float among numbers", [1, 2.5], TypeError, r"line 3: a token is 2\.5"),
    ("NaN", [math.nan], TypeError, "line 3: a token is nan"),
    ("None among numbers", [1, None], TypeError, "line 3: a token is None"),
    ("lists", [[1]], TypeError, r"line 3: a token is \[1\]"),
    ("a list among numbers", [1, [2]], TypeError, r"line 3: a token is \[2\]"),
    ("two axes", np.zeros((2, 2), int), TypeError, "line 3: a token is array"),
    ("huge", [1, 2**70], TypeError, f"line 3: a token is {2**70}"),
    ("beyond int64", [2**63], TypeError, f"line 3: a token is {2**63}"),
    ("a word among numbers", [1, "a"], TypeError, "line 3: a token is 'a'"),
    ("bools", [True], TypeError, "line 3: a token is True"),
    ("a mapping", {"a": 1}, TypeError, "line 3: the tokenizer gave {"),
    ("raises", GONE, OSError, "(?s)gone.*line 3"),
    ("no memory", MemoryError("none"), MemoryError, "(?s)none.*line 3"),
    ("StopIteration", StopIteration(), RuntimeError, "line 3.*StopIteration"),
]
BATCHES = [
    ("too few", lambda _: {"input_ids": [[0]]}, TypeError, "lines 1 to 4: .* 1 lists .* 4"),
    ("too many", lambda n: {"input_ids": [[0]] * 9}, TypeError, "lines 1 to 4: .* 9 lists"),
    ("None", lambda _: None, TypeError, "(?s)gave None.*lines 1 to 4"),
    ("no ids", lambda _: {"ids": []}, TypeError, "(?s)no input_ids.*lines 1 to 4"),
    ("a number", lambda _: {"input_ids": 5}, TypeError, "lines 1 to 4: the tokenizer gave 5"),
    ("raises", raising(GONE), OSError, "(?s)gone.*lines 1 to 4"),
    ("beyond", lambda n: {"input_ids": [[0, 7]] * 4}, ValueError, "token 1 of document 0 is 7"),
    ("negative", lambda n: {"input_ids": [[0, -7]] * 4}, ValueError, "token 1 .* 0 is -7"),
]
VOCABULARIES = [
    ("None", None, TypeError, r"get_vocab\(\) gave NoneType"),
    ("a list", ["a"], TypeError, r"get_vocab\(\) gave list"),
    ("negative", {"a": -1, "b": 0}, ValueError, "'a' with the id -1"),
    ("a word", {"a": "x"}, TypeError, "'a' with the id 'x'"),
    ("a float", {"a": 0.5}, TypeError, r"'a' with the id 0\.5"),
    ("huge", {"a": 2**62}, ValueError, f"'a' with the id {2**62}"),
    ("raises", raising(GONE), OSError, "gone"),
]
TOP = [{"token": "The", "logprob": -0.3, "bytes": None, "top_logprobs": []}]
TOP[0]["top_logprobs"] = [dict(TOP[0], logprob=-0.3)]
VLLM = {"0": {"logprob": math.log(0.75), "rank": 1, "decoded_token": "The"}}
RECORDS: dict[str, Any] = {
    "from_openai": {"choices": [{"index": 0, "logprobs": {"content": TOP}}]},
    "from_vllm": {"choices": [{"index": 0, "prompt_logprobs": [None, VLLM]}]},
}


def of_tokenizers() -> Iterator[Case]:
    for what, instead, error, says in NONSENSE:
        matrix = mb.TransitionMatrix(1, n_tokens=5).update([0, 1, 2, 3])
        text = lambda i=instead: mb.TransitionMatrix.from_text(  # noqa: E731
            LINES, order=1, tokenizer=OfWords(i), end=None, n_tokens=9
        )
        yield Case("TransitionMatrix.from_text", what, text, error, says)
        rate = lambda m=matrix, i=instead: mb.bits_per_byte(m, LINES, OfWords(i))  # noqa: E731
        yield Case("bits_per_byte", what, rate, error, says, (matrix,))
    matrix = mb.TransitionMatrix(1, n_tokens=3).update([0, 1, 2])
    rate = lambda: mb.bits_per_byte(matrix, LINES, OfWords([7]))  # noqa: E731
    yield Case("bits_per_byte", "beyond", rate, ValueError, "document [01] is [0-9]", (matrix,))
    for what, give, error, says in BATCHES:
        of = OfBatches(give, {"a": 0, "b": 1, "c": 2})
        text = lambda of=of: mb.TransitionMatrix.from_text(LINES, order=1, tokenizer=of)  # noqa: E731
        yield Case("TransitionMatrix.from_text", f"batches, {what}", text, error, says)
    for what, vocab, error, says in VOCABULARIES:
        of = OfBatches(lambda n: {"input_ids": [[0]] * len(n)}, vocab)
        text = lambda of=of: mb.TransitionMatrix.from_text(LINES, order=1, tokenizer=of)  # noqa: E731
        yield Case("TransitionMatrix.from_text", f"vocabulary, {what}", text, error, says)
        for name, record in RECORDS.items():
            read = getattr(mb, name)
            options = {"prompt": True} if name == "from_vllm" else {}
            call = lambda r=read, x=record, of=of, o=options: r(x, tokenizer=of, **o)  # noqa: E731
            yield Case(name, f"vocabulary, {what}", call, error, says)
    for name, record in RECORDS.items():
        options = {"prompt": True} if name == "from_vllm" else {}
        call = lambda n=name, x=record, o=options: getattr(mb, n)(x, tokenizer=object(), **o)  # noqa: E731
        yield Case(name, "no tokenizer", call, TypeError, "without get_vocab")


# --- models that are called


def spoilt(how: str) -> Callable[[Any], Any]:
    """Rows, with something wrong in the third of them."""

    def spoil(rows: Any) -> Any:
        if how in ("raises", "StopIteration"):
            raise GONE if how == "raises" else StopIteration
        rows = np.array(rows, dtype=float)
        flat = rows.reshape(-1, rows.shape[-1])
        if how in ("NaN", "infinity", "above 0"):
            flat[2, 1] = {"NaN": np.nan, "infinity": np.inf, "above 0": 0.7}[how]
            return rows
        return {
            "None": None,
            "wide": np.concatenate([rows, rows], axis=-1),
            "turned": np.swapaxes(rows, 0, 1),
            "scalar": 0.5,
            "text": "abc",
            "whole numbers": rows.astype(int),
            "tuple": (rows, None),
        }[how]

    return spoil


SPOILT = [
    ("NaN", ValueError, "sequence {i}, position {t}.*NaN"),
    ("infinity", ValueError, "sequence {i}, position {t}.*inf"),
    ("above 0", ValueError, "sequence {i}, position {t}.*0.7|above 0"),
    ("None", TypeError, "None"),
    ("wide", ValueError, "shape"),
    ("turned", ValueError, "shape"),
    ("scalar", ValueError, "shape"),
    ("text", ValueError, "shape"),
    ("whole numbers", TypeError, "int64"),
    ("tuple", (TypeError, ValueError), "gave|is no|no number|inhomogeneous"),
    ("raises", OSError, "(?s)gone.*raised for"),
    ("StopIteration", RuntimeError, "StopIteration"),
]


class Urn(mb.UrnPredictor):
    def __init__(self, how: str, on: str) -> None:
        super().__init__(PRIOR)
        self.how, self.on = how, on

    def __call__(self, sequences: Any) -> Any:
        found = super().__call__(sequences)
        return spoilt(self.how)(found) if self.on == "call" else found

    def predict(self, histories: Any) -> Any:
        found = super().predict(histories)
        return spoilt(self.how)(found) if self.on == "predict" else found

    def sample(self, n: int, length: int, **given: Any) -> Any:
        found = super().sample(n, length, **given)
        if self.on != "sample":
            return found
        if self.how in ("raises", "StopIteration", "None", "text"):
            return spoilt(self.how)(found)
        return {"beyond": found + 9, "negative": found - 9, "fewer": found[1:]}[self.how]


SMALL = {"n": 20, "length": 6, "n_boot": 19, "rng": 0}
SAMPLED = [
    ("beyond", ValueError, r"\[0, 0\]|\[0\]"),
    ("negative", ValueError, r"\[0, 0\]|\[0\]"),
    ("fewer", ValueError, "shape"),
    ("None", TypeError, "None"),
    ("raises", OSError, "gone"),
    ("StopIteration", RuntimeError, "StopIteration"),
]


def of_models() -> Iterator[Case]:
    tests = ("martingale_test", "uncertainty_scaling_test", "forgetting_test")
    base = windtunnel.Urns(PRIOR)
    for how, error, says in SPOILT:
        own = says.format(i=0, t=2)
        for name in tests:
            test = getattr(mb, name)
            call = lambda t=test, how=how: t(Urn(how, "call"), **SMALL)  # noqa: E731
            yield Case(name, how, call, error, own)  # type: ignore[arg-type]
        call = lambda how=how: mb.exchangeability_test(Urn(how, "call"), **SMALL)  # noqa: E731
        yield Case("exchangeability_test", how, call, error, own)  # type: ignore[arg-type]
        card = partial(
            mb.score_card, Urn(how, "call"), None, base, shots=2, **{**SMALL, "n_boot": 99}
        )
        yield Case("score_card", how, card, error, own)
        model = lambda x, how=how: spoilt(how)(base.log_predictive(x))  # noqa: E731
        path = lambda m=model: mb.learning_path(PRIOR, m, [0, 1, 2, 0])  # noqa: E731
        yield Case("learning_path", how, path, error, own)  # type: ignore[arg-type]
        score = lambda m=model: windtunnel.score(base, m, n=5, length=4, rng=0)  # noqa: E731
        yield Case("windtunnel.score", how, score, error, own)  # type: ignore[arg-type]
        if how != "turned":
            rows = mb.NextTokenRows(
                np.log(ROWS[:3]), input_ids=[0, 0, 1, 0, 1, 1], offsets=[0, 1, 3, 6]
            )
            show = lambda m=model, r=rows: mb.show_tokens(r, m)  # noqa: E731
            yield Case("show_tokens", how, show, error, own)  # type: ignore[arg-type]
    for how, error, says in SAMPLED:
        for name in (*tests, "exchangeability_test"):
            call = partial(getattr(mb, name), Urn(how, "sample"), **SMALL)
            yield Case(name, f"samples, {how}", call, error, says)
        path = lambda how=how: mb.learning_path(PRIOR, Urn(how, "sample"), 4, rng=0)  # noqa: E731
        yield Case("learning_path", f"samples, {how}", path, error, says)
    weights = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    for how, error, says in (
        ("NaN", ValueError, "row 2, column 1 is NaN"),
        ("None", TypeError, "None"),
        ("raises", OSError, "gone"),
        ("StopIteration", RuntimeError, "StopIteration"),
        ("turned", ValueError, "3 rows for 33 states"),
    ):
        head = lambda h, how=how: spoilt(how)(h @ weights.T)  # noqa: E731
        probe = lambda h=head: mb.probe_segment(h, [0.0, 2.0], [2.0, 0.0])  # noqa: E731
        yield Case("probe_segment", how, probe, error, says)
    for what, match, error, says in (
        ("raises", raising(GONE), OSError, "(?s)gone.*prompt 0"),
        ("a list", lambda _: ["yes"], TypeError, "prompt 0: match gave"),
        ("StopIteration", raising(StopIteration()), RuntimeError, "prompt 0"),
        ("no answer", lambda _: "maybe", ValueError, "prompt 0: 'maybe' is not one"),
    ):
        call = lambda m=match: mb.from_samples(["yes", "no"], match=m, vocab=["yes", "no"])  # noqa: E731
        yield Case("from_samples", what, call, error, says)


# --- who computes, and who is told


class Told(threading.Event):
    """A bar of tqdm that fails, when it is made or when it moves."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at

    def __call__(self, *_: Any, **__: Any) -> Told:
        if self.at == "made":
            raise GONE
        return self

    def __enter__(self) -> Told:
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, _: int) -> None:
        raise GONE


NUMBERS = np.random.default_rng(0).normal(size=(40, 3))


def embedding() -> Any:
    return mb.EmbeddingMap(NUMBERS, ROWS[:40], kind="probs")


def of_bars() -> Iterator[Case]:
    matrix = mb.TransitionMatrix(2, n_tokens=3, hierarchical=True).update([0, 1, 2, 0, 1, 1] * 9)
    fit = lambda: matrix.fit_prior(progress=True)  # noqa: E731
    yield Case("TransitionMatrix.fit_prior", "a bar", fit, OSError, "gone", (matrix,))
    for name, given in (("all_pairs", ()), ("neighbours", (3,)), ("sample", (50,))):
        places = embedding()
        call = partial(getattr(places, name), *given, progress=True)
        yield Case(f"EmbeddingMap.{name}", "a bar", call, OSError, "gone")
    call = lambda: mb.check_continuity(NUMBERS, ROWS[:40], kind="probs", progress=True)  # noqa: E731
    yield Case("check_continuity", "a bar", call, OSError, "gone")


def closed() -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    return pool


def of_executors() -> Iterator[Case]:
    says = "cannot schedule new futures"
    of = fitted().set_params(executor=closed())
    for name in ("fit", "partial_fit", "summarize"):
        call = partial(getattr(of, name), ROWS)
        yield Case(f"DirichletMixtureEstimator.{name}", "closed", call, RuntimeError, says, (of,))
    for name, given in (("all_pairs", ()), ("neighbours", (3,)), ("sample", (50,))):
        f = getattr(embedding(), name)
        call = lambda f=f, g=given: f(*g, executor=closed())  # noqa: E731
        yield Case(f"EmbeddingMap.{name}", "closed", call, RuntimeError, says)
    call = lambda: mb.check_continuity(NUMBERS, ROWS[:40], kind="probs", executor=closed())  # noqa: E731
    yield Case("check_continuity", "closed", call, RuntimeError, says)
    design = np.linspace(-1.0, 1.0, len(ROWS))[:, np.newaxis]
    call = lambda: mb.regress_concentration(ROWS, design, kind="probs", executor=closed())  # noqa: E731
    yield Case("regress_concentration", "closed", call, RuntimeError, says)
    call = lambda: mb.select_prior(ROWS, [1, 2], kind="probs", executor=closed())  # noqa: E731
    yield Case("select_prior", "closed", call, RuntimeError, says)


GROUPS = [of_chunks, of_documents, of_tokenizers, of_models, of_bars, of_executors]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_what_fails_changes_nothing(
    group: Callable[[], Iterator[Case]],
    monkeypatch: pytest.MonkeyPatch,
    figure: Callable[[str], None],
) -> None:
    bars = ["made", "moved"] if group is of_bars else [None]
    ran = 0
    for at in bars:
        if at is not None:
            tqdm = pytest.importorskip("tqdm")
            monkeypatch.setattr(tqdm, "tqdm", Told(at))
        for case in group():
            try:
                check(case)
            except BaseException as error:
                error.add_note(f"case: {case.name}, {case.what}")
                raise
            ran += 1
    assert ran
    figure(f"{ran} faults, each with its error, and nothing changed ({group.__name__})")


# --- workers that are killed


@pytest.mark.no_sanitizer
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
def test_a_worker_that_is_killed(many_blocks: Any, figure: Callable[[str], None]) -> None:
    """BrokenProcessPool, at once and with a word of what to do; another executor then serves."""
    many, calls = PRIOR.sample(20_000, rng=1), 0

    def again(of: Any, name: str, before: list[Any]) -> None:
        """Calls until the kill, which may come between two calls."""
        while True:
            before[:] = [bits(of)]
            getattr(of, name)(many)

    for name in ("fit", "partial_fit", "summarize"):
        of, before = fitted(tol=0.0), []
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
            victims = set(pool.map(who, range(20)))
            of.set_params(executor=pool)
            killer = threading.Timer(0.05, lambda v=victims: [os.kill(pid, 9) for pid in v])
            killer.start()
            with pytest.raises(BrokenProcessPool) as caught:
                again(of, name, before)
            killer.join()
        assert [bits(of)] == before
        calls += 1
        of.set_params(executor=None)
        getattr(of, name)(ROWS)
        assert "worker of the executor died" in "".join(getattr(caught.value, "__notes__", ()))
    figure(f"{calls} calls whose workers were killed: an error each, the estimator as it was")


def who(_: int) -> int:
    time.sleep(0.01)
    return os.getpid()


def test_a_task_without_memory_and_one_that_fails() -> None:
    class Fails(ThreadPoolExecutor):
        def submit(self, task: Any, /, *given: Any, **named: Any) -> Any:  # type: ignore[override]
            return super().submit(raising(MemoryError("no more")))

    with Fails(2) as pool:
        of = fitted().set_params(executor=pool)
        check(Case("", "", lambda: of.fit(ROWS), MemoryError, "no more", (of,)))


# --- the clock, and chance


def test_a_clock_that_goes_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fitted().prior_
    ticks = iter(range(10**9, 0, -1))
    for name in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, name, lambda: float(next(ticks)))
    assert fitted().prior_ == expected
    matrix = mb.TransitionMatrix(1, n_tokens=3, hierarchical=True).update([0, 1, 2, 0, 1, 1] * 9)
    assert matrix.fit_prior().n_observed == 54


class Chance(np.random.Generator):
    """A generator that fails."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def random(self, *_: Any, **__: Any) -> Any:
        raise GONE

    standard_gamma = choice = integers = permutation = spawn = shuffle = random  # type: ignore[assignment]


def test_a_generator_that_fails() -> None:
    of = fitted().set_params(random_state=Chance())
    check(Case("", "", lambda: of.fit(ROWS), OSError, "gone", (of,)))
    matrix = mb.TransitionMatrix(1, n_tokens=3).update([0, 1, 2])
    check(Case("", "", lambda: matrix.generate(5, rng=Chance()), OSError, "gone", (matrix,)))


# --- every callable that takes something to call has a case

CALLED = {"model", "tokenizer", "executor", "progress", "callback", "cache_dir", "predictor"}
CALLED |= {"head", "client", "match", "callable"}
# Of these the cases are elsewhere, or what they are given is not called.
ELSEWHERE = {
    "collect": "test_fault_models.py",
    "preflight": "test_fault_models.py",
    "TokenPredictor.__init__": "test_fault_models.py",
    "embed_of": "test_fault_models.py",
    "head_of": "test_fault_models.py",
    "Head.__init__": "test_fault_models.py",
    "elicit": "test_fault_models.py",
    "dask.fit": "test_dask.py: a worker that dies",
    "dask.update": "test_dask.py: a worker that dies",
    "DirichletMixtureEstimator.__init__": "it stores the executor: fit and others have cases",
    "TransitionMatrix.update": "the executor is of no consequence",
    "EmbeddingMap.pairs": "it calls all_pairs or sample",
}
SAME = {  # they read records by one function, of which two have cases
    "from_inspect",
    "from_llama_cpp",
    "from_ollama",
    "from_sglang",
    "from_tgi",
    "from_topk",
    "LogitsFile.__init__",
    "head_bound",
    "affine_test",
    "span_of",
}


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    for home, names in (
        (mb, mb.__all__),
        (windtunnel, dir(windtunnel)),
        (on_dask, on_dask.__all__),
    ):
        prefix = "" if home is mb else home.__name__.rpartition(".")[2] + "."
        for name in names:
            thing = getattr(home, name)
            if inspect.isclass(thing) and home is mb:
                for method, inner in vars(thing).items():
                    inner = getattr(inner, "__func__", inner)
                    if callable(inner) and (method == "__init__" or not method.startswith("_")):
                        yield f"{name}.{method}", inner
            elif inspect.isfunction(thing) and thing.__module__.startswith("matrixbayes"):
                yield prefix + name, thing


def takes(call: Callable[..., Any]) -> bool:
    """Whether something is given to be called."""
    try:
        parameters = inspect.signature(call).parameters.values()
    except (ValueError, TypeError):
        return False
    return any(p.name in CALLED or "Callable" in str(p.annotation) for p in parameters)


def test_every_callable_that_is_given_something_to_call_has_a_case() -> None:
    cases = {case.name for group in GROUPS for case in group()}
    wanted = {name for name, call in public() if takes(call)}
    assert len(wanted) > 25
    assert wanted - cases - ELSEWHERE.keys() - SAME == set()
    assert ELSEWHERE.keys() | SAME <= {name for name, _ in public()}
    here = Path(__file__).parent
    assert all((here / x).exists() for x in ELSEWHERE.values() if x.endswith(".py"))
