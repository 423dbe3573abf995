"""Rows with discounts: predictions against a slow twin, sums, evidence, fits to left-out text."""

from __future__ import annotations

import copy
import pickle
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import matrixbayes as mb
from matrixbayes import _core
from matrixbayes._core import TransitionCounts
from matrixbayes.matrix.counts import Levels, count
from matrixbayes.matrix.discounts import DiscountedRows
from matrixbayes.matrix.fits import left_out
from matrixbayes.matrix.fits.row_sizes import row_sizes

V, M = 7, 3
LEAST = [1, 2, 3, 4, 6, 10, 25]  # counts of each class


def text(rng: np.random.Generator, n: int) -> Any:
    return np.cumsum(rng.choice([0, 1, 1, 2, 5], n)) % V


def documents(seed: int = 1, n: int = 90) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [text(rng, length) for length in rng.integers(5, 60, n)]


def numbers(n_buckets: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    most = [*LEAST, 3.0]  # theta up to 3
    return rng.random((M + 1, n_buckets, 8)) * most


class Twin:
    """The same by dictionaries, a context at a time."""

    def __init__(self, texts: list[Any], discounts: Any) -> None:
        self.discounts = discounts
        self.rows = [defaultdict(Counter) for _ in range(M + 1)]
        for each in texts:
            led = [V] * M + [int(t) for t in each]
            for i in range(M, len(led)):
                self.rows[M][tuple(led[i - M : i])][led[i]] += 1
        for level in range(M, 0, -1):
            for context, row in self.rows[level].items():
                self.rows[level - 1][context[1:]].update(row.keys())

    def prob(self, context: tuple[int, ...], token: int) -> float:
        level, row = len(context), self.rows[len(context)][context]
        q = self.prob(context[1:], token) if level else 1.0 / V
        total = sum(row.values())
        if total == 0:
            return q
        by_total = sum(total > edge for edge in (2, 5, 10, 20, 50, 100, 300, 1000, 10000))
        single = [*row.values()].count(1) / len(row)
        by_single = sum(single > edge / 10 for edge in range(2, 10))
        bucket = 9 * by_total + by_single if self.discounts.shape[1] > 1 else 0
        *d, theta = self.discounts[level, bucket]
        lost = {v: d[sum(n >= least for least in LEAST) - 1] for v, n in row.items()}
        freed = theta + sum(lost.values())
        return (row[token] - lost.get(token, 0.0) + freed * q) / (total + theta)


def matrix(texts: list[Any], discounts: Any = True, **options: Any) -> mb.TransitionMatrix:
    made = mb.TransitionMatrix(M, n_tokens=V, discounts=discounts, **options)
    return made.update(texts) if texts else made


@pytest.mark.parametrize("n_buckets", [1, 90])
@pytest.mark.parametrize("length", range(M + 1))
def test_predictions_are_the_slow_twins(n_buckets: int, length: int) -> None:
    texts = documents()
    twin, found = Twin(texts, numbers(n_buckets)), matrix(texts, numbers(n_buckets))
    contexts = np.random.default_rng(2).integers(0, V, (12, length))
    rows = found.predict(contexts)
    slow = [[twin.prob(tuple(c), v) for v in range(V)] for c in contexts.tolist()]
    assert_allclose(rows, slow, rtol=1e-12)
    assert_allclose(rows.sum(axis=1), 1.0, atol=1e-14)


def test_text_is_scored_as_the_twin_scores_it() -> None:
    texts, new = documents(), documents(5, 3)
    twin = Twin(texts, numbers(90))
    slow = sum(
        np.log(twin.prob(tuple(led[i - M : i]), led[i]))
        for led in ([V] * M + each.tolist() for each in new)
        for i in range(M, len(led))
    )
    assert_allclose(matrix(texts, numbers(90)).log_prob(new), slow, rtol=1e-12)


def test_with_discounts_of_counts_of_counts_it_is_kneser_and_ney() -> None:
    texts = documents()
    given = []
    for counts in Levels(M, V).with_more(count(M, V + 1, led(texts))).counts:
        n = [np.sum(counts.all()[3] == k) for k in (1, 2, 3, 4)]
        y = n[0] / (n[0] + 2 * n[1]) if n[0] else 0.5
        d = [j - (j + 1) * y * n[j] / n[j - 1] if n[j - 1] else 0.0 for j in (1, 2, 3)]
        given.append([*np.clip(d, 0.0, [1.0, 2.0, 3.0]), 0.0])
    found = matrix(texts, given)
    row = Counter(int(t) for each in texts for t in each[1:][each[:-1] == 3])
    # of order 1: absolute discounts of types, and what they free
    types = defaultdict(set)
    for each in texts:
        line = [V] * M + each.tolist()
        for i in range(M, len(line)):
            types[line[i - 1], line[i]].add(line[i - 2])
    seen = {v: len(types[3, v]) for v in row}
    d1 = given[1]
    own = {v: n - d1[min(n, 3) - 1] for v, n in seen.items()}
    total = sum(seen.values())
    left = 1.0 - sum(own.values()) / total
    shorter = found.predict(np.zeros((1, 0), dtype=int))[0]
    expected = [own.get(v, 0.0) / total + left * shorter[v] for v in range(V)]
    assert_allclose(found.predict([3]), expected, rtol=1e-12)


def test_without_discounts_it_is_the_dirichlet_hierarchy() -> None:
    texts, values = documents(), [3.0, 1.5, 0.5]
    root = 0.25
    plain = mb.TransitionMatrix(M, n_tokens=V, hierarchical=values, prior=root).update(texts)
    zeros = [[0.0, 0.0, 0.0, theta] for theta in (root * V, *values)]
    found = matrix(texts, zeros, prior=root)
    assert_allclose(found.log_prob(documents(7, 3)), plain.log_prob(documents(7, 3)), rtol=1e-12)
    evidence = plain.empty().log_evidence(texts)
    assert_allclose(found.empty().log_evidence(texts), evidence, rtol=1e-12)


@pytest.mark.parametrize("n_before", [0, 90])
def test_evidence_is_the_chain_rule(n_before: int) -> None:
    start = matrix(documents()[:n_before], numbers(90))
    new = documents(9, 4)
    slow, each = 0.0, start.copy()
    for document in new:
        for i, token in enumerate(document):
            context = np.concatenate([each.begin, document[:i]])[-M:]
            slow += np.log(each.predict(context)[token])
            each.update(document[i : i + 1], continued=i > 0)
    assert_allclose(start.log_evidence(new), slow, rtol=1e-12)
    assert start.log_evidence([]) == start.log_evidence([[], []]) == 0.0


# --- what is left out


def led(texts: list[Any]) -> list[Any]:
    return [np.concatenate([np.full(M, V), each]) for each in texts]


def fold_of(rows: DiscountedRows, part: list[Any]) -> Any:
    fresh = count(M, V + 1, part)
    return left_out._fold(rows.levels, rows.prior, fresh, fresh)


def test_a_fold_is_predicted_by_the_rest() -> None:
    texts = documents()
    made = matrix(texts, numbers(90))
    rows: Any = made._rows
    for which in (range(0, 90, 20), [3], range(45)):
        part = led([texts[i] for i in which])
        rest = matrix([each for i, each in enumerate(texts) if i not in which], numbers(90))
        found = fold_of(rows, part).slopes(numbers(90))[0]
        assert_allclose(found, rest._rows.log_prob(part), rtol=1e-12)


def test_tokens_count_by_those_that_are_as_rare_in_the_whole() -> None:
    texts = [*documents(1, 12), np.array([0, 1, 0, 3])]
    left = texts[:-2]
    fold = fold_of(matrix(texts, numbers(1))._rows, led(texts[-2:]))  # type: ignore[arg-type]
    rows = [Twin(some, numbers(1)).rows[0][()] for some in (texts, left)]
    whole, rest = (
        Counter(sum(row[v] >= least for least in LEAST) for v in range(V)) for row in rows
    )
    of = [sum(rows[1][v] >= least for least in LEAST) for v in range(V)]
    weights = [min(1.0, whole[c] / rest[c]) for c in of]
    assert min(weights) < 1.0
    tokens = np.concatenate(texts[-2:])
    assert_allclose(fold.times.sum(), sum(weights[v] for v in tokens), rtol=1e-12)


def test_slopes_are_differences() -> None:
    given = numbers(90)
    fold = fold_of(matrix(documents(), given)._rows, led(documents()[::20]))  # type: ignore[arg-type]
    slow = np.empty_like(given)
    for i in np.ndindex(given.shape):
        step = np.zeros_like(given)
        step[i] = 1e-5
        slow[i] = (fold.slopes(given + step)[0] - fold.slopes(given - step)[0]) / 2e-5
    assert_allclose(fold.slopes(given)[1], slow, atol=1e-7)


@pytest.mark.parametrize("n", [2, 200])
def test_every_token_of_a_text_is_in_one_fold(n: int) -> None:
    texts = documents(3, n)
    parts = [each for fold in left_out._cut(led(texts), M) for each in fold]
    whole, cut = count(M, V + 1, led(texts)), count(M, V + 1, parts)
    for a, b in zip(whole.all(), cut.all(), strict=True):
        assert_array_equal(a, b)


def test_a_fit_predicts_new_text_better_and_changes_no_count() -> None:
    texts, new = documents(1, 200), documents(11, 40)
    made = matrix(texts)
    before, counts = made.log_prob(new), made.counts(made.contexts())
    made.fit_prior(documents=texts)
    assert made.log_prob(new) > before
    assert_array_equal(made.counts(made.contexts()), counts)
    again = matrix(texts).fit_prior(documents=texts)
    assert_array_equal(again.discounts, made.discounts)
    assert made.discounts is not None
    assert made.discounts.shape == (M + 1, 90, 8)
    assert (made.discounts[..., :-1] <= LEAST).all()
    made.fit_prior(documents=texts[0])


def test_discounts_do_not_depend_on_where_numbers_lie() -> None:
    """NumPy 1 rounds the exponentials of a column by the place of its output in memory."""
    x = np.random.default_rng(0).normal(size=(4, 90, 8))
    wanted, others = left_out._discounts_of(x), []
    for size in range(1, 200):
        others.append(np.empty(size * 24))  # the next arrays lie elsewhere
        for found, expected in zip(left_out._discounts_of(x.copy()), wanted, strict=True):
            assert_array_equal(found, expected)


def test_a_fit_of_too_few_steps_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(left_out, "MAX_ITER", 1)
    with pytest.warns(mb.ConvergenceWarning, match="the discounts may not be the best ones: "):
        matrix(documents()).fit_prior(documents=documents())


@pytest.mark.parametrize(
    ("options", "documented"),
    [({"discounts": True}, True), ({"hierarchical": True}, False), ({}, False)],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_fit_shows_its_steps(
    options: dict[str, Any], documented: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm")
    texts = documents()
    made = mb.TransitionMatrix(2, n_tokens=V, **options).update(texts)
    made.fit_prior(documents=texts if documented else None, progress=True)
    assert "fit_prior" in capsys.readouterr().err
    made.fit_prior(documents=texts if documented else None, progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("step", [1, 10, 25])
def test_a_fit_that_is_stopped_changes_nothing(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, taken = documents(1, 200), []

    @contextmanager
    def bar(*_: Any, **__: Any) -> Iterator[Any]:
        def advance(_: int) -> None:
            taken.append(1)
            if len(taken) == step:
                raise KeyboardInterrupt

        yield advance

    made = matrix(texts)
    before, counts = made.discounts, made.counts(made.contexts())
    monkeypatch.setattr("matrixbayes.matrix.matrix.bar", bar)
    with pytest.raises(KeyboardInterrupt):
        made.fit_prior(documents=texts)
    assert_array_equal(made.discounts, before)
    assert_array_equal(made.counts(made.contexts()), counts)
    made.fit_prior(documents=texts)  # nothing is held back


def test_very_long_documents_do_not_weigh_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(left_out, "ENOUGH", 2000)
    rng = np.random.default_rng(0)
    texts = led([text(rng, 50) for _ in range(100)] + [text(rng, 5000)])
    fresh = count(M, V + 1, texts)
    found = left_out._sampled(fresh, texts, 0.2, 20.0, rng)
    assert 700 < found.n_observed < 1300  # 100 of 10 tokens, and 20 of the long one
    made = matrix([each[M:] for each in texts]).fit_prior(documents=[each[M:] for each in texts])
    assert made.discounts is not None


# --- the object


def test_files_copies_and_pickles_have_the_discounts(tmp_path: Path) -> None:
    made = matrix(documents(), numbers(90))
    made.save(tmp_path / "m")
    others = [
        mb.TransitionMatrix.open(tmp_path / "m"),
        copy.deepcopy(made),
        pickle.loads(pickle.dumps(made)),
        matrix(documents()[:50], made.discounts).merge(matrix(documents()[50:])),
        matrix([], made.discounts).update(documents()),
    ]
    for other in others:
        assert_array_equal(other.discounts, made.discounts)
        assert_array_equal(other.predict([[1, 2, 3]]), made.predict([[1, 2, 3]]))
    assert "with discounts" in repr(made)
    assert made.hierarchical
    assert made.concentrations == ()


def test_draws_have_the_frequencies_of_the_predictive() -> None:
    made = matrix(documents(), numbers(90))
    rng = np.random.default_rng(0)
    rows: Any = made._rows
    drawn = [rows.draw(np.array([1, 2, 3]), rng) for _ in range(3000)]
    share = np.bincount(drawn, minlength=V) / 3000
    assert np.abs(share - made.predict([1, 2, 3])).max() < 0.04


REFUSED: list[tuple[type[Exception], str, Callable[[], Any]]] = [
    (ValueError, "shape", lambda: matrix([], numbers(1)[:-1])),
    (ValueError, "shape", lambda: matrix([], numbers(5))),
    (ValueError, "from 0 to what", lambda: matrix([], numbers(1) + 1.0)),
    (ValueError, "from 0 to what", lambda: matrix([], numbers(1) * np.nan)),
    (ValueError, "not both", lambda: matrix([], hierarchical=[1.0] * M)),
    (ValueError, "fade", lambda: matrix([], discount=0.5)),
    (ValueError, "never counted", lambda: matrix(documents()).fit_prior(documents=documents(8))),
    (TypeError, "alone", lambda: matrix(documents()).fit_prior(2, documents=documents())),
    (TypeError, "documents", lambda: matrix(documents()).fit_prior(2)),
    (ValueError, "no mixture", lambda: matrix(documents()).posterior([1])),
    (
        ValueError,
        "discounts=True",
        lambda: mb.TransitionMatrix(1, n_tokens=V).update([1, 2]).fit_prior(documents=[1, 2]),
    ),
]


@pytest.mark.parametrize(("error", "match", "call"), REFUSED)
def test_what_cannot_be_is_refused(
    error: type[Exception], match: str, call: Callable[[], Any]
) -> None:
    with pytest.raises(error, match=match):
        call()


PAIRS = (
    [0.0, 1.0, 4.0],
    [0, 1, 1],
    [0, 1, 0],
    [[0.0] * 8, [5.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]],
    [0, 0],
    [[0.5, 1.0, 1.5, 1.5, 1.5, 1.5, 1.5, 2.0]],
    [0.25, 0.75],
)


def test_the_core_gives_the_formula() -> None:
    freed = (2.0 + 0.5 + 1.5) / 7.0
    expected = [0.25, 0.5 / 7.0 + freed * 0.75, 2.5 / 7.0 + freed * 0.25]
    assert_allclose(_core.discounted_probs(*PAIRS), expected, rtol=1e-15)


@pytest.mark.parametrize("where", [1, 2, 4])
@pytest.mark.parametrize("wrong", [-1, 2, 2**62])
def test_indices_out_of_range_are_refused(where: int, wrong: int) -> None:
    arguments: list[Any] = list(PAIRS)
    arguments[where] = [*arguments[where][:-1], wrong]
    with pytest.raises(ValueError, match="out of range"):
        _core.discounted_probs(*arguments)
    with pytest.raises(ValueError, match="out of range"):
        _core.discounted_fit([arguments[:-1]], arguments[-1], [1.0] * 3)


# what goes wrong, and what is then said
LEVEL = PAIRS[:-1]
WRONG: list[tuple[str, Callable[[], Any]]] = [
    ("sizes are", lambda: _core.discounted_probs(*LEVEL[:3], [[1.0]], *LEVEL[4:], [0.5])),
    ("row has length", lambda: _core.discounted_probs([1.0], *PAIRS[1:])),
    ("0 levels", lambda: _core.discounted_fit([], [0.5], [1.0])),
    ("18 levels", lambda: _core.discounted_fit([LEVEL] * 18, [0.5], [1.0])),
    ("times has length", lambda: _core.discounted_fit([LEVEL], [0.5, 0.5], [1.0])),
    ("probability 0", lambda: _core.discounted_fit([LEVEL], [0.0, 0.0], [1.0] * 3)),
    ("sizes are", lambda: _core.row_buckets([[1.0]], 90)),
]


@pytest.mark.parametrize(("match", "call"), WRONG)
def test_arguments_of_the_core_that_do_not_go_together(match: str, call: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=match):
        call()


def test_pairs_and_rows_are_found_in_counts() -> None:
    texts = led(documents())
    counts, events = count(M, V + 1, texts[:60]), count(M, V + 1, texts[50:])
    contexts, indptr, tokens, _ = events.all()
    each = np.repeat(contexts.astype(np.int64), np.diff(indptr), axis=0)
    found, row, sizes = counts.discounted_rows(events)
    assert_array_equal(found, counts.counts(each, tokens.astype(np.int64)))
    assert_array_equal(row, np.repeat(np.arange(len(contexts)), np.diff(indptr)))
    assert_array_equal(sizes, row_sizes(counts, contexts.astype(np.int64)))
    shorter = events.shorten(TransitionCounts(M, V + 1))
    below, starts, last, _ = shorter.all()
    pairs = np.column_stack([np.repeat(below, np.diff(starts), axis=0), last])
    assert_array_equal(pairs[events.shorter_pairs(shorter)], np.column_stack([each[:, 1:], tokens]))
    with pytest.raises(ValueError, match="not in the shorter"):
        events.shorter_pairs(TransitionCounts(M - 1, V + 1))
    with pytest.raises(ValueError, match="order - 1"):
        events.shorter_pairs(events)
    with pytest.raises(TypeError, match="must be TransitionCounts"):
        events.shorter_pairs([])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="from 0 to"):
        events.counts_of_counts(-1)
    times = counts.all()[3]
    assert_array_equal(counts.counts_of_counts(9), [np.sum(times == k) for k in range(1, 10)])
    nothing = TransitionCounts(M, V + 1)
    assert nothing.discounted_rows(events)[2].sum() == 0.0
    assert [len(part) for part in counts.discounted_rows(nothing)] == [0, 0, 0]
    assert len(nothing.shorter_pairs(shorter)) == 0


def test_a_fit_without_documents_is_kneser_and_ney() -> None:
    texts = documents()
    made = matrix(texts).fit_prior()
    given = []
    for counts in Levels(M, V).with_more(count(M, V + 1, led(texts))).counts:
        n = [np.sum(counts.all()[3] == k) for k in (1, 2, 3, 4)]
        y = n[0] / (n[0] + 2 * n[1]) if n[0] else 0.0
        d = [j - (j + 1) * y * n[j] / n[j - 1] if n[j - 1] else 0.0 for j in (1, 2, 3)]
        given.append([*np.clip(d, 0.0, [1.0, 2.0, 3.0]), 0.0])
    assert_allclose(made.discounts, matrix([], given).discounts, rtol=1e-12)
