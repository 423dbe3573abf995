"""Every long call gives way to a signal: what its handler raises ends it, with nothing changed."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Callable
from itertools import starmap
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from alarm import Stopped, alarm, needs_timers
from core.leak_cases import even_codes

from matrixbayes import _core
from matrixbayes._base.parallel import workers

PRIOR = (0.1, 0.0, 1e-3, 1e12)


def mixture(n_components: int, n_tokens: int) -> _core.DirichletMixture:
    alpha = np.random.default_rng(0).random((n_components, n_tokens)) + 0.5
    return _core.DirichletMixture(np.full(n_components, 1 / n_components), alpha)


def rows(n: int, n_tokens: int, dtype: Any = np.float64) -> Any:
    """Log-probabilities; what is in them is nothing to a signal."""
    return np.full((n, n_tokens), -np.log(n_tokens), dtype)


MANY = 2_000_000


def rows_of_all() -> tuple[Any, ...]:
    """Each token after itself."""
    each = np.arange(MANY, dtype=np.uint32)
    return each[:, np.newaxis], np.arange(MANY + 1), each, np.ones(MANY, np.uint64)


def levels_of_all() -> list[Any]:
    """Frozen levels of as many tokens, each after itself."""
    contexts, _, tokens, counts = rows_of_all()
    root = _core.FrozenCounts.encode(MANY, [], contexts[:1, :0], [0, MANY], tokens, counts)
    return [root, _core.FrozenCounts.encode(MANY, [root], *rows_of_all())]


def counted(n_tokens: int, n: int, order: int = 2) -> tuple[_core.TransitionCounts, Any]:
    tokens = np.random.default_rng(0).integers(0, n_tokens - 1, n)
    counts = _core.TransitionCounts(order, n_tokens)
    counts.update(tokens)
    return counts, tokens


def backed_off(n_tokens: int, n: int) -> tuple[Any, ...]:
    """Arguments of a table of n contexts of one token and of none."""
    return (
        n_tokens,
        [[0, n], np.arange(n + 1)],
        [np.arange(n), np.arange(n)],
        [np.full(n, 1 / n_tokens)] * 2,
        [np.ones(1), np.full(n, 0.5)],
        [np.zeros((1, 0), dtype=int), np.arange(n)[:, np.newaxis]],
    )


def encoded(n_rows: int, each: int, n_tokens: int) -> _core.Counts:
    rng = np.random.default_rng(0)
    n = n_rows * each
    starts = np.arange(0, n + 1, each)
    values = rng.integers(1, 50, n).astype(float)
    return _core.Counts(starts, rng.integers(0, n_tokens, n), values, n_tokens)


def listed() -> tuple[Any, Any]:
    """A listing of 100 of 500 tokens in each of 50,000 rows."""
    n, each = 50_000, 100
    return np.arange(0, n * each + 1, each), np.tile(np.arange(each) * 5, n)


def cells(n: int, each: int) -> tuple[Any, ...]:
    """The M-step of counts from n cells, `each` of a token."""
    tokens = np.arange(n, dtype=np.uint32) // each
    values = np.tile(np.arange(1.0, each + 1), n // each)
    return tokens, values, np.ones((n, 1)), np.ones((1, n // each)), PRIOR


def statistics(n_components: int, n_tokens: int) -> _core.SufficientStatistics:
    sums = np.random.default_rng(0).random((n_components, n_tokens)) - 20.0
    return _core.SufficientStatistics(np.ones(n_components), sums, -1.0, 1)


def table(call: Callable[..., Any], *rest: Any) -> Callable[[], tuple[Any, ...]]:
    def prepare() -> tuple[Any, ...]:
        m, c = mixture(64, 500), encoded(50_000, 50, 500)
        return call, m, c, _core.evidence_table(m, c), 0, c.n_rows, *rest

    return prepare


def cells_of_units(n: int) -> tuple[Any, ...]:
    """A unit of n cells of 50 tokens."""
    return [0, n], np.sort(np.arange(n) % 50), np.full(n, 20.5), np.ones(n)


def mean_rows(n: int) -> tuple[Any, ...]:
    """Rows of four tokens, and 16 concentrations."""
    counts, means = np.tile([1.0, 2.0, 5.0, 30.0], n), np.full(4 * n, 0.25)
    return 4 * np.arange(n + 1), counts, means, np.geomspace(0.1, 1e4, 16)


def one_text(n: int, depth: int) -> tuple[Any, ...]:
    """A tree's arguments for one text of equal tokens, asked about at its end."""
    tokens = np.append(np.zeros(n - 1, dtype=np.int64), -1)
    node = np.arange(depth + 1)
    times = np.arange(n)[:, np.newaxis] - node
    paths = np.where(times >= 0, node << 32 | np.maximum(times, 0), -1)
    held = np.zeros((1, depth + 1))
    prior = (np.ones(2), [1.0, 1.0], [1.0, 1.0], 1.0)
    return *prior, tokens, [n - 1], [0, 1], [0], paths, held, depth + 1, n - 1


def discounted_pairs(n: int) -> tuple[Any, ...]:
    """Pairs, all in one row."""
    of, row = np.zeros(n, dtype=np.int64), [[9.0, *[1.0] * 7]]
    return np.ones(n), of, of, row, [0], [[0.5, 1.0, 1.5, 1.5, 1.5, 1.5, 1.5, 1.0]], [0.5]


def words_as_arpa(n: int) -> bytes:
    """A model of n words, all equally probable."""
    words = b"".join(b"-1 %x\n" % i for i in range(n))
    return b"\\data\\\nngram 1=%d\n\\1-grams:\n" % n + words + b"\\end\\\n"


# Each takes some 0.1 s and more on a machine with nothing else to do, and below 1 GB.
CALLS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "Counts of many tokens": lambda: (_core.Counts, [0, 1], [0], [1.0], 6_000_000),
    "Counts of many entries": lambda: (
        _core.Counts,
        np.arange(0, 8_000_001, 4),
        np.arange(8_000_000) % 100_000,
        np.random.default_rng(0).random(8_000_000),
        100_000,
    ),
    "sparse": lambda: (encoded(2_000_000, 8, 500).sparse,),
    "DirichletMixture": lambda: (
        _core.DirichletMixture,
        np.full(128, 1 / 128),
        np.ones((128, 200_000)),
    ),
    "posterior": lambda: (mixture(64, 200_000).posterior, np.ones(200_000)),
    "predictive": lambda: (mixture(64, 20_000).predictive, np.ones((40, 20_000))),
    "log_evidence": lambda: (mixture(64, 20_000).log_evidence, np.ones((40, 20_000))),
    "count_responsibilities": lambda: (
        mixture(4, 100).count_responsibilities,
        np.ones((200_000, 100)),
    ),
    "log_prob": lambda: (mixture(64, 5000).log_prob, rows(10_000, 5000, np.float32)),
    "responsibilities of long rows": lambda: (
        mixture(64, 200_000).responsibilities,
        rows(300, 200_000, np.float32),
    ),
    "sample_log_probs": lambda: (mixture(2, 20_000).sample_log_probs, 1000, np.random.PCG64(0)),
    "component_entropy": lambda: (mixture(64, 100_000).component_entropy,),
    "variance": lambda: (mixture(128, 100_000).variance,),
    "uncertainty": lambda: (mixture(64, 100_000).uncertainty,),
    "uncertainty of one component": lambda: (mixture(1, 20_000_000).uncertainty,),
    "expectation": lambda: (_core.expectation, mixture(32, 5000), rows(10_000, 5000, np.float32)),
    "accumulate": lambda: (
        _core.accumulate,
        rows(20_000, 2000, np.float32),
        np.ones((20_000, 128)),
    ),
    "maximization": lambda: (
        _core.maximization,
        statistics(1, 2_000_000),
        np.ones((1, 2_000_000)),
        PRIOR,
    ),
    "maximization of many components": lambda: (
        _core.maximization,
        statistics(500_000, 3),
        np.ones((500_000, 3)),
        PRIOR,
    ),
    "count_maximization": lambda: (_core.count_maximization, *cells(5_000_000, 100)),
    "count_maximization of one token": lambda: (
        _core.count_maximization,
        *cells(5_000_000, 5_000_000),
    ),
    "evidence_table": lambda: (
        _core.evidence_table,
        mixture(64, 100_000),
        encoded(100_000, 10, 100_000),
    ),
    "kernel_evidence": lambda: (
        _core.kernel_evidence,
        *2 * (np.full((500, 4000), 0.002),),
        np.zeros(500),
        *3 * (np.ones(10),),
        np.arange(0, 20_001, 100),
        np.arange(20_000) % 500,
        np.ones(20_000),
    ),
    "kernel_evidence of one vector": lambda: (
        _core.kernel_evidence,
        *2 * (np.full((30_000, 200), 0.002),),
        np.zeros(30_000),
        *3 * (np.ones(50),),
        [0, 30_000],
        np.arange(30_000),
        np.full(30_000, 0.5),
    ),
    "count_expectation": table(_core.count_expectation),
    "count_posterior": table(_core.count_posterior),
    "count_log_joint": table(_core.count_log_joint),
    "sum_whole": lambda: (_core.sum_whole, np.ones((1_000_000, 16))),
    "sum_unlisted": lambda: (_core.sum_unlisted, *listed(), np.ones((500, 16)), np.ones((2, 16))),
    "sum_listed": lambda: (_core.sum_listed, *listed(), np.ones((500, 16))),
    "add_to_listed": lambda: (_core.add_to_listed, *listed(), np.ones((50_000, 16)), 500),
    "partial_maximization": lambda: (
        _core.partial_maximization,
        np.ones(1),
        *(np.full((1_000_000, 1), x) for x in (0.5, 0.1, -30.0)),
        np.ones((1, 1_000_000)),
        PRIOR,
    ),
    "count_accumulate": lambda: (
        _core.count_accumulate,
        encoded(100_000, 50, 500),
        np.ones((100_000, 64)),
    ),
    "regression_sums": lambda: (
        _core.regression_sums,
        (np.ones(20), rows(20, 200_000)),
        np.full(20, 1e3),
        np.full((1, 200_000), 5e-6),
        [0, 20],
        np.ones((20, 2)),
    ),
    "regression_sums of counts": lambda: (
        _core.regression_sums,
        cells_of_units(2_000_000),
        *(np.ones(1), np.full((1, 50), 0.02), [0, 1], np.ones((1, 1))),
    ),
    "regression_mean": lambda: (
        _core.regression_mean,
        (np.ones(20), rows(20, 200_000)),
        *(np.full(20, 1e3), np.geomspace(1e-9, 1e-3, 200_000)),
    ),
    "regression_mean of counts": lambda: (
        _core.regression_mean,
        cells_of_units(2_000_000),
        *(np.ones(1), np.geomspace(1e-3, 0.1, 50)),
    ),
    "draw_rows": lambda: (_core.draw_rows, rows(1000, 50_000), 100, 16, 0, 0),
    "draw_rows of many tokens": lambda: (_core.draw_rows, rows(50, 7), 1 << 20, 2, 0, 0),
    "total variation": lambda: (
        _core.block_distances,
        "total_variation",
        *2 * (np.exp(rows(2000, 3000)),),
    ),
    "total variation of short rows": lambda: (
        _core.block_distances,
        "total_variation",
        *2 * (np.exp(rows(8000, 4)),),
    ),
    "Jensen-Shannon": lambda: (
        _core.block_distances,
        "jensen_shannon_divergence",
        *2 * (np.exp(rows(400, 5000)),),
    ),
    "Hilbert": lambda: (_core.block_distances, "hilbert", *2 * (rows(600, 5000),)),
    "pair_distances": lambda: (
        _core.pair_distances,
        "kl",
        rows(10, 20_000),
        np.arange(10_000) % 10,
        np.arange(10_000) % 9,
    ),
    "lgamma": lambda: (_core.lgamma, np.linspace(0.1, 9.0, 40_000_000)),
    "inverse_digamma": lambda: (_core.inverse_digamma, np.linspace(-9.0, 9.0, 30_000_000)),
    "lgamma_difference": lambda: (
        _core.lgamma_difference,
        np.linspace(0.1, 9.0, 30_000_000),
        3.0,
    ),
    "check_log_probs": lambda: (_core.check_log_probs, rows(1000, 50_000)),
    "decode_rows": lambda: (_core.decode_rows, even_codes(2000, 50_000), 50_000),
    "lump_log_probs": lambda: (
        _core.lump_log_probs,
        rows(1000, 50_000, np.float32),
        np.arange(50_000) % 20_000,
        20_000,
    ),
    "divergence": lambda: (
        _core.divergence,
        np.exp(rows(2000, 20_000)),
        np.ones((8, 20_000)),
        np.full((8, 2000), 1 / 160_000),
        np.zeros(2001, dtype=int),
        np.zeros(0, dtype=int),
        np.zeros(0),
        1.0,
    ),
    "tree_predictions": lambda: (_core.tree_predictions, *one_text(1_500_000, 5)),
    "tree_slopes": lambda: (
        _core.tree_slopes,
        *one_text(600_000, 5),
        *([1.0], [1.0], [1.0], [1.0]),
    ),
    "balance_predictions": lambda: (
        _core.balance_predictions,
        *(1.0, 0.9, 50_000, 10_000, [], [0], np.append(np.arange(10_000), -1), []),
    ),
    "concentration_evidence": lambda: (_core.concentration_evidence, *mean_rows(500_000)),
    "concentration_shares": lambda: (_core.concentration_shares, *mean_rows(500_000), np.ones(16)),
    "discounted_probs": lambda: (_core.discounted_probs, *discounted_pairs(8_000_000)),
    "discounted_fit": lambda: (
        _core.discounted_fit,
        *([discounted_pairs(4_000_000)[:-1]], [0.5], np.ones(4_000_000)),
    ),
    "read_arpa": lambda: (_core.read_arpa, words_as_arpa(2_000_000)),
    "arpa_lines": lambda: (
        _core.arpa_lines,
        *(np.zeros((2_000_000, 1), dtype=int), -np.ones(2_000_000), None, b"a", [1]),
    ),
    "row_buckets": lambda: (_core.row_buckets, np.ones((6_000_000, 8)), 90),
    "update of equal tokens": lambda: (
        _core.TransitionCounts(2, 10).update,
        np.zeros(20_000_000, dtype=int),
    ),
    "counts of transitions": lambda: (lambda c, t: (c.counts, t.reshape(-1, 2), t[::2]))(
        *counted(50_000, 3_000_000)
    ),
    "totals of transitions": lambda: (lambda c, t: (c.totals, t.reshape(-1, 2)))(
        *counted(50_000, 3_000_000)
    ),
    "lead_documents": lambda: (
        _core.lead_documents,
        *(np.arange(3), np.zeros(3_000_000, int), np.full(3_000_000, 3), [], np.arange(9)),
    ),
    "join_documents": lambda: (_core.join_documents, [list(range(100))] * 100_000),
    "subtract transitions": lambda: (lambda c, _: (c.subtract, c.copy()))(
        *counted(50_000, 3_000_000)
    ),
    "scale transitions": lambda: (lambda c, _: (c.scale, 3))(*counted(50_000, 3_000_000)),
    "shorten transitions": lambda: (lambda c, _: (c.shorten, _core.TransitionCounts(2, 50_000)))(
        *counted(50_000, 3_000_000)
    ),
    "discounted_rows of transitions": lambda: (lambda c, _: (c.discounted_rows, c))(
        *counted(50_000, 3_000_000)
    ),
    "shorter_pairs of transitions": lambda: (lambda a, b: (a.shorter_pairs, b))(
        counted(50_000, 3_000_000)[0], counted(50_000, 3_000_000, 1)[0]
    ),
    "places of transitions": lambda: (lambda c, t: (c.places, t.reshape(-1, 2)))(
        *counted(50_000, 3_000_000)
    ),
    "fold of transitions": lambda: (
        counted(50_000, 2_000_000)[0].fold,
        *(counted(50_000, 2_000_000, 1)[0], None, [1.0], [[0.1]], 0.5, False),
    ),
    "BackoffTable": lambda: (_core.BackoffTable, *backed_off(2_000_000, 2_000_000)),
    "table of counts": lambda: (
        lambda *levels: _core.BackoffTable.from_counts(
            levels, np.full(49_999, 2e-5), concentrations=[([0.5, 0.5], [1.0, 9.0])]
        ),
        counted(50_000, 100_000, 0)[0],
        counted(50_000, 4_000_000, 1)[0],
    ),
    "scores": lambda: (
        _core.BackoffTable(*backed_off(50_000, 50_000)).scores,
        np.arange(8_000_000) % 50_000,
    ),
    "pair_values": lambda: (
        _core.BackoffTable(*backed_off(50_000, 50_000)).pair_values,
        np.arange(4_000_000).reshape(-1, 1) % 50_000,
        np.arange(4_000_000) % 50_000,
    ),
    "rows of a table": lambda: (
        _core.BackoffTable(*backed_off(50_000, 50_000)).rows,
        np.arange(3000).reshape(-1, 1),
    ),
    "prune": lambda: (
        _core.BackoffTable(*backed_off(2_000_000, 2_000_000)).prune,
        *(np.ones(2_000_001), 0.0),
    ),
    "arrays of a table": lambda: (_core.BackoffTable(*backed_off(3_000_000, 3_000_000)).arrays,),
    "rows of transitions": lambda: (lambda c, _: (c.rows, np.full((300_000, 2), 1)))(
        *counted(30, 3_000_000)
    ),
    "encoding of frozen counts": lambda: (
        _core.FrozenCounts.encode,
        *(MANY, levels_of_all()[:1], *rows_of_all()),
    ),
    "opening of frozen counts": lambda: (_core.FrozenCounts, MANY, levels_of_all()),
    "walk over frozen counts": lambda: (
        _core.FrozenCounts(MANY, levels_of_all()).walk,
        *(np.arange(MANY)[:, np.newaxis], np.arange(MANY)),
    ),
    "all of frozen counts": lambda: (_core.FrozenCounts(MANY, levels_of_all()).all,),
}


@needs_timers
@pytest.mark.parametrize("name", CALLS)
def test_a_signal_stops_it(name: str) -> None:
    for seconds in (0.01, 0.003, 0.001):  # a fast machine may be done before the first
        call, *arguments = CALLS[name]()
        before = [array.sum() for array in arguments if isinstance(array, np.ndarray)]
        kept: list[Any] = []
        # Called from C: a signal that waits for the end of the call finds its result kept.
        stopped = False
        try:
            with alarm(seconds):
                kept.extend(starmap(call, [arguments]))
        except Stopped:
            stopped = not kept
        if stopped:
            break
    assert stopped
    assert before == [array.sum() for array in arguments if isinstance(array, np.ndarray)]


@needs_timers
def test_an_alarm_puts_all_back_whenever_it_comes() -> None:
    """At the end of what it watches too, where it ended before all was put back."""
    rng = np.random.default_rng(0)
    before, came = signal.getsignal(signal.SIGALRM), 0
    for seconds, n in zip(
        rng.uniform(1e-6, 3e-5, 5000), rng.integers(1200, size=5000), strict=True
    ):
        try:
            with alarm(seconds):
                for _ in range(n):
                    pass
        except Stopped:
            came += 1
        assert signal.getsignal(signal.SIGALRM) is before
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
        assert gc.isenabled()
    assert came > 0


def test_what_stops_a_run_waits_for_no_worker() -> None:
    """Signals reach the main thread alone, and a worker's block may take seconds."""
    release = threading.Event()
    with pytest.raises(KeyboardInterrupt), workers(None, 2) as (executor, _):  # noqa: PT012
        assert executor is not None
        under_way = executor.submit(release.wait, 60.0)
        raise KeyboardInterrupt
    assert not under_way.done()
    release.set()
    assert under_way.result(60.0)


@pytest.mark.parametrize(
    ("threads", "error"),
    [
        (None, ImportError),
        (SimpleNamespace(), AttributeError),
        (SimpleNamespace(main_thread=SimpleNamespace), AttributeError),
        (SimpleNamespace(main_thread=lambda: SimpleNamespace(ident="one")), TypeError),
    ],
    ids=["no module", "no main thread", "no number", "a word"],
)
def test_where_no_thread_is_known_to_be_the_main_one(
    threads: Any, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What asks for signals asks once which thread this is, and says where it cannot learn it."""
    mean, log_probs = mixture(8, 1000), rows(2000, 1000)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "threading", threads)
        with pytest.raises(error):
            _core.expectation(mean, log_probs)
    assert _core.expectation(mean, log_probs) is not None
