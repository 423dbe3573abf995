"""Two threads call the methods of one matrix: no order of them gives another answer, and what can
not be had together is refused.  Seven readers beside a writer, and eight threads with one mixture,
or with an estimator each, find what one thread finds.
"""

from __future__ import annotations

import inspect
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reliability.pairs import Shared, as_bits, clashes, frequent_turns, methods, stepped
from tiers import of_tier

import matrixbayes as mb

pytestmark = pytest.mark.filterwarnings("ignore")  # fits of some hundred tokens

V = 12
NAMES = [f"w{v}" for v in range(V)]


def text(seed: int, n: int = 300) -> Any:
    """Some tokens, and an end that no other text has."""
    rng = np.random.default_rng(seed)
    return np.append(rng.integers(0, 8, n) ** 2 // 8, [8 + seed % 4, seed % V, 8 + seed // 4 % 4])


KINDS: dict[str, Callable[[], Any]] = {
    "plain": lambda: mb.TransitionMatrix(2, tokens=NAMES),
    "hierarchical": lambda: mb.TransitionMatrix(2, tokens=NAMES, hierarchical=True),
    "with discounts": lambda: mb.TransitionMatrix(2, tokens=NAMES, discounts=True),
    "tree": lambda: mb.TransitionMatrix("tree", depth=2, tokens=NAMES),
    "fading": lambda: mb.TransitionMatrix(2, tokens=NAMES, discount=0.99),
}
FROZEN = ("plain", "hierarchical", "with discounts", "tree")
WRITERS = {"update", "update_rows", "downdate", "merge", "forget", "fit_prior", "going_on_from"}
# What shares no matrix, what draws (pyplot is for one thread), and what asks a network.
ELSEWHERE = {"from_text", "open", "plot", "from_pretrained", "push_to_hub"}


@cache
def counted(kind: str) -> Any:
    return KINDS[kind]().update(text(0)).update(text(1))


def apart(kind: str) -> Callable[[], Any]:
    """Makes matrices that share nothing.  Copies share what their rows have been asked so far: once
    that was much, or one of them was pruned, a table answers, and differs in rounding."""
    return partial(pickle.loads, pickle.dumps(counted(kind)))


@cache
def frozen(kind: str, folder: Path) -> Any:
    return counted(kind).freeze(folder / kind.replace(" ", "_"))


def calls(folder: Path, kind: str) -> dict[str, Callable[[Any], Any]]:
    contexts = np.array([[0, 1], [3, 0], [11, 11]])
    rows = np.eye(3, V, dtype=np.int64) * 4
    other = counted(kind).copy()

    def written(how: str, it: Any) -> bytes:
        path = folder / f"{how}{threading.get_ident()}"
        getattr(it, how)(path)
        return path.read_bytes()

    given: dict[str, Callable[[Any], Any]] = {
        "update": lambda it: it.update(text(2), continued=True),
        "update_rows": lambda it: it.update_rows(contexts, rows),
        "downdate": lambda it: it.downdate(text(1)),
        "merge": lambda it: it.merge(other),
        "forget": lambda it: it.forget(0.5),
        "fit_prior": lambda it: it.fit_prior(),
        "going_on_from": lambda it: it.going_on_from(text(3)),
        "__add__": lambda it: (it + other).rows(),
        "__getitem__": lambda it: it[contexts],
        "__len__": len,
        "best_tree": lambda it: it.best_tree(),
        "contexts": lambda it: it.contexts(),
        "copy": lambda it: state(it.copy()),
        "counts": lambda it: it.counts(contexts),
        "empty": lambda it: it.empty().n_observed,
        "encode": lambda it: it.encode("w1 w2"),
        "entropy": lambda it: it.entropy(text(4)),
        "freeze": lambda it: it.freeze(folder / f"freeze{threading.get_ident()}").rows(),
        "generate": lambda it: it.generate(5, rng=0),
        "log_evidence": lambda it: it.log_evidence(text(4)),
        "log_prob": lambda it: it.log_prob(text(4)),
        "logscore": lambda it: it.logscore("w1", ["w2", "w3"]),
        "perplexity": lambda it: it.perplexity(text(4)),
        "posterior": lambda it: it.posterior([0, 1]).alpha,
        "posterior_order": lambda it: it.posterior_order(),
        "predict": lambda it: (it.predict(contexts), it.predict(contexts, top=3)),
        "prune": lambda it: it.prune(1e-4).predict(contexts),
        "rows": lambda it: it.rows(),
        "save": partial(written, "save"),
        "score": lambda it: it.score("w1", ["w2", "w3"]),
        "scores": lambda it: it.scores(text(4)),
        "thaw": lambda it: it.thaw().rows(),
        "to_arpa": partial(written, "to_arpa"),
        "to_pandas": frame,
        "totals": lambda it: it.totals(contexts),
        "repr": repr,
        "pickle": lambda it: state(pickle.loads(pickle.dumps(it))),
    }
    names = methods(mb.TransitionMatrix) - set(given)
    for name in names:
        if not callable(getattr(mb.TransitionMatrix, name)):
            given[name] = lambda it, name=name: getattr(it, name)
    return given


def frame(it: Any) -> Any:
    return it.to_pandas().to_numpy().tolist()


def state(it: Any) -> Any:
    """How it is, and how it would go on."""
    going_on = None if it.frozen else it.copy().update([1, 2], continued=True).rows()
    return it.n_observed, it.rows(), it.predict(it.contexts()[:5]), going_on


def test_no_method_is_left_out(tmp_path: Path) -> None:
    assert methods(mb.TransitionMatrix) - ELSEWHERE <= set(calls(tmp_path, "plain"))
    assert set(calls(tmp_path, "plain")) >= WRITERS


HOME = str(inspect.getsourcefile(mb.TransitionMatrix))


def changes(first: str, second: str) -> bool:
    return first in WRITERS or second in WRITERS


@pytest.mark.promise(7)
@pytest.mark.parametrize("kind", KINDS)
def test_every_pair_of_methods_of_a_matrix(
    kind: str, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    given = calls(tmp_path, kind)
    few = {"update", "downdate", "copy", "to_pandas"}
    some = few | {"merge", "forget", "fit_prior"} | set(sorted(given)[::3])
    given = {name: given[name] for name in of_tier(few, some, given)}
    n, wrong = stepped(Shared(apart(kind), given, state), HOME, of_tier(12, 8, 1000), changes)
    assert not wrong
    figure(f"{n} changes between two lines of a method of a matrix, {kind}: 0 torn")


@pytest.mark.promise(7)
@pytest.mark.parametrize("kind", FROZEN)
def test_every_pair_of_methods_of_a_frozen_matrix(
    kind: str, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    given = calls(tmp_path, kind)
    chosen = sorted(given)[:: of_tier(9, 2, 1)]
    it = frozen(kind, tmp_path)
    n, wrong = clashes(Shared(lambda: it, {name: given[name] for name in chosen}), 2)
    assert not wrong
    figure(f"{n} pairs of methods of a frozen matrix, {kind}: 0 torn")


# --- eight threads

EIGHT = 8


def at_once(works: list[Callable[[], Any]]) -> list[Any]:
    """What they give, each in a thread of its own, all begun together."""
    ready = threading.Barrier(len(works) + 1)

    def run(work: Callable[[], Any]) -> Any:
        ready.wait(60.0)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        begun = [pool.submit(run, work) for work in works]
        # Turns of microseconds from here on: a tracer's thread that begins in them can be lost.
        with frequent_turns():
            ready.wait(60.0)
            return [each.result() for each in begun]


def rows_of(n: int, width: int) -> Any:
    return np.random.default_rng(5).dirichlet(np.full(width, 0.5), n)


@pytest.mark.promise(21)
def test_eight_threads_share_a_mixture(figure: Callable[[str], None]) -> None:
    rng = np.random.default_rng(0)
    prior = mb.DirichletMixture(np.full(8, 0.125), rng.uniform(0.1, 2.0, (8, 50)))
    counts = rng.integers(0, 4, (40, 50))

    def work(seed: int) -> Any:
        now, found = prior, []
        for row in counts[:6]:
            found += [now.predictive(), now.log_evidence(counts), now.uncertainty()]
            found += [now.sample(3, rng=seed), now.log_prob(rows_of(20, 50), kind="probs")]
            now = now.posterior(row)
        return as_bits(found)

    works = [partial(work, seed) for seed in range(EIGHT)]
    alone = [work() for work in works]
    rounds = of_tier(1, 5, 50)
    for _ in range(rounds):
        assert at_once(works) == alone
    figure(f"{EIGHT} threads with one mixture, {rounds} times: the bits of one thread")


@pytest.mark.promise(21)
@pytest.mark.parametrize("kind", KINDS)
def test_seven_readers_and_a_writer_share_a_matrix(
    kind: str, figure: Callable[[str], None]
) -> None:
    """Each answer is that of a state which the matrix had, and none is of one before the last."""
    contexts = np.array([[0, 1], [3, 0], [11, 11]])
    updates = [text(seed, 60) for seed in range(10, 10 + of_tier(6, 20, 100))]

    def asked(it: Any) -> Any:
        return [as_bits(each) for each in (it.predict(contexts), it.rows(), frame(it))]

    one, states = apart(kind)(), []
    for tokens in [None, *updates]:
        states.append(asked(one if tokens is None else one.update(tokens)))
    shared, written = apart(kind)(), threading.Event()

    def write() -> None:
        for tokens in updates:
            shared.update(tokens)
        written.set()

    def read() -> list[Any]:
        seen = []
        while not written.is_set():
            seen.append(asked(shared))
        return [*seen, asked(shared)]

    _, *seen = at_once([write, *[read] * 7])
    for which in range(len(states[0])):
        order = [each[which] for each in states]
        for answers in seen:
            places = [order.index(each[which]) for each in answers]
            assert places == sorted(places)
            assert places[-1] == len(updates)
    n = sum(map(len, seen))
    figure(f"7 readers and a writer of a matrix, {kind}: {n} answers, each of a state that it had")


@pytest.mark.promise(21)
def test_eight_estimators_at_once(figure: Callable[[str], None]) -> None:
    rows = rows_of(200, 12)
    counts = np.random.default_rng(1).poisson(20 * rows)

    def fit(seed: int) -> Any:
        given, kind = (rows, "probs") if seed % 2 else (counts, "counts")
        made = mb.DirichletMixtureEstimator(2, kind=kind, random_state=seed, n_init=2, n_jobs=2)
        made.fit(given)
        return as_bits((made.weights_, made.alpha_, made.lower_bounds_, made.predict(given)))

    works = [partial(fit, seed) for seed in range(EIGHT)]
    alone = [work() for work in works]
    rounds = of_tier(1, 3, 20)
    for _ in range(rounds):
        assert at_once(works) == alone
    figure(f"{EIGHT} estimators at once, {rounds} times: the bits of one thread")
