"""`_core.BackoffTable` against the definition by dictionaries; what it refuses; its walks."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import matrixbayes as mb
from matrixbayes import _core
from matrixbayes.matrix.discounts import DiscountedRows
from matrixbayes.matrix.fits.row_sizes import N_BUCKETS
from matrixbayes.matrix.shared import token_scores
from matrixbayes.matrix.tree import TreeRows


class Slow:
    """A model by dictionaries: value of each n-gram, back of each context, as ARPA files say it."""

    def __init__(self, n_tokens: int, value: dict[Any, float], back: dict[Any, float], root: Any):
        self.n_tokens, self.value, self.back, self.root = n_tokens, value, back, root

    def prob(self, context: tuple[int, ...], token: int) -> float:
        order = max(map(len, self.back))
        context = context[max(0, len(context) - order) :]
        if (*context, token) in self.value:
            return self.value[(*context, token)]
        back = self.back.get(context, 1.0)
        if not context:
            return back * float(self.root[token])
        return back * self.prob(context[1:], token)

    def matched(self, context: tuple[int, ...], token: int) -> int:
        order = max(map(len, self.back))
        for start in range(max(0, len(context) - order), len(context) + 1):
            if (*context[start:], token) in self.value:
                return len(context) - start + 1
        return 0


def arrays_of(slow: Slow, rng: np.random.Generator) -> tuple[Any, ...]:
    """Levels with what closure asks for, contexts in any order."""
    value, back = dict(slow.value), dict(slow.back)
    for context in sorted(slow.back, key=len, reverse=True):
        for n in range(len(context), 0, -1):
            back.setdefault(context[: n - 1], 1.0)
            value.setdefault(context[:n], np.nan)
    back.setdefault((), 1.0)
    starts, tokens, values, backs, contexts = [], [], [], [], []
    for level in range(max(map(len, back)) + 1):
        own = [c for c in back if len(c) == level]
        own = [own[i] for i in rng.permutation(len(own))]
        rows = [sorted(g[-1] for g in value if g[:-1] == c) for c in own]
        starts.append(np.cumsum([0, *map(len, rows)]))
        tokens.append(np.array([w for row in rows for w in row], dtype=int))
        values.append(
            np.array([value[(*c, w)] for c, row in zip(own, rows, strict=True) for w in row])
        )
        backs.append(np.array([back[c] for c in own]))
        contexts.append(np.array(own, dtype=int).reshape(len(own), level))
    return slow.n_tokens, starts, tokens, values, backs, contexts


SMALL = 1 / 64  # of which products and sums of these models stay below 1


def model(seed: int, n_tokens: int, order: int, n_grams: int, most: float = SMALL) -> Slow:
    """n-grams anywhere: contexts without suffixes or prefixes, begin tokens at the beginning."""
    rng = np.random.default_rng(seed)
    value: dict[Any, float] = {}
    back: dict[Any, float] = {(): rng.random()}
    for _ in range(n_grams):
        length = int(rng.integers(order + 1))
        begins = int(rng.integers(length + 1)) if rng.random() < 0.3 else 0
        text = (n_tokens,) * begins + tuple(rng.integers(n_tokens, size=length - begins).tolist())
        back[text] = rng.random() * 2
        value[(*text, int(rng.integers(n_tokens)))] = most * rng.random()
    return Slow(n_tokens, value, back, most * rng.random(n_tokens))


def table_of(slow: Slow, seed: int = 0) -> _core.BackoffTable:
    return _core.BackoffTable(*arrays_of(slow, np.random.default_rng(seed)), root=slow.root)


def texts(seed: int, n_tokens: int, lengths: list[int]) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.integers(n_tokens, size=n) for n in lengths]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(0, 4), st.integers(0, 60))
def test_scores_are_those_of_the_definition(
    seed: int, n_tokens: int, order: int, n_grams: int
) -> None:
    slow = model(seed, n_tokens, order, n_grams)
    table = table_of(slow)
    documents = texts(seed, n_tokens, [0, 1, 7, 30, 2])
    for before in ((), (n_tokens,), (n_tokens,) * order, (0, n_tokens, 0)):
        expected, matched = [], []
        for document in documents:
            text = (*before, *document.tolist())
            for i in range(len(before), len(text)):
                expected.append(slow.prob(text[:i], text[i]))
                matched.append(slow.matched(text[:i], text[i]))
        with np.errstate(divide="ignore"):
            assert_allclose(
                table.scores(documents, before=before), np.log(expected), rtol=1e-13, atol=1e-13
            )
        assert_array_equal(table.matched(documents, before=before), matched)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(0, 4), st.integers(0, 60))
def test_rows_and_pairs_are_those_of_the_definition(
    seed: int, n_tokens: int, order: int, n_grams: int
) -> None:
    slow = model(seed, n_tokens, order, n_grams)
    table = table_of(slow)
    for length in range(order + 2):
        contexts = np.random.default_rng(seed).integers(n_tokens + 1, size=(9, length))
        expected = [[slow.prob(tuple(c.tolist()), w) for w in range(n_tokens)] for c in contexts]
        rows = table.rows(contexts)
        assert_allclose(rows, np.reshape(expected, (9, n_tokens)), rtol=1e-13)
        tokens = np.arange(9) % n_tokens
        assert_allclose(table.pair_values(contexts, tokens), rows[np.arange(9), tokens], rtol=1e-13)


@pytest.mark.parametrize("seed", range(5))
def test_own_shares_are_added_to_what_is_backed_off_to(seed: int) -> None:
    slow = model(seed, 4, 3, 80)
    n_tokens, starts, tokens, values, backs, contexts = arrays_of(slow, np.random.default_rng(1))
    own = _core.BackoffTable(
        n_tokens, starts, tokens, values, backs, contexts, own=True, root=slow.root
    )
    for gram in sorted(slow.value, key=len):
        *context, token = gram
        shorter = slow.root[token] if not context else slow.prob(tuple(context[1:]), token)
        slow.value[gram] += slow.back.get(tuple(context), 1.0) * shorter
    every = np.random.default_rng(seed).integers(5, size=(50, 3))
    expected = [[slow.prob(tuple(c.tolist()), w) for w in range(4)] for c in every]
    assert_allclose(own.rows(every), expected, rtol=1e-13)


@pytest.mark.parametrize("seed", range(5))
def test_a_base_is_that_of_the_longest_context(seed: int) -> None:
    slow = model(seed, 4, 3, 80)
    parts = arrays_of(slow, np.random.default_rng(1))
    base = [np.random.default_rng(level).random(len(each)) for level, each in enumerate(parts[4])]
    table = _core.BackoffTable(*parts, base=base, root=slow.root)
    known = {
        tuple(c.tolist()): b
        for level, each in enumerate(parts[5])
        for c, b in zip(each, base[level], strict=True)
    }
    mean, slow.root = slow.root, np.zeros(4)
    every = np.random.default_rng(seed).integers(5, size=(50, 3))
    expected = np.array([[slow.prob(tuple(c.tolist()), w) for w in range(4)] for c in every])
    for row, c in zip(expected, every.tolist(), strict=True):
        row += next(known[tuple(c[i:])] for i in range(4) if tuple(c[i:]) in known) * mean
    assert_allclose(table.rows(every), expected, rtol=1e-13)
    tokens = np.arange(50) % 4
    found = expected[np.arange(50), tokens]
    assert_allclose(table.pair_values(every, tokens), found, rtol=1e-13)
    again = _core.BackoffTable(4, *table.arrays()[:5], base=table.arrays()[5], root=mean)
    assert_array_equal(again.rows(every), table.rows(every))


@pytest.mark.parametrize("seed", range(5))
def test_arrays_make_the_same_table(seed: int) -> None:
    slow = model(seed, 4, 3, 80)
    table, parts = table_of(slow), arrays_of(slow, np.random.default_rng(0))
    arrays = table.arrays()
    for given_, found in zip(parts[1:], arrays, strict=False):
        for level in range(len(given_)):
            if given_ is not parts[4] or level > 0:  # the back of the empty context
                assert_array_equal(found[level], given_[level])
    *rest, root = arrays
    again = _core.BackoffTable(4, *rest[:5], root=root)
    document = texts(seed, 4, [300])
    assert_array_equal(again.scores(document), table.scores(document))
    assert_array_equal(again.matched(document), table.matched(document))


def test_a_value_of_minus_zero_is_a_value() -> None:
    contexts = [np.zeros((1, 0), int), [[0]]]
    table = _core.BackoffTable(
        2, [[0, 2], [0, 1]], [[0, 1], [1]], [[0.25, 0.75], [-0.0]], [[1.0], [2.0]], contexts
    )
    assert_array_equal(table.arrays()[2][1], [0.0])
    assert_array_equal(table.matched([0, 1]), [1, 2])


def test_documents_may_be_cut_by_bounds_and_pieces_do_not_show() -> None:
    table = table_of(model(1, 3, 3, 60))
    documents = texts(2, 3, [5000, 0, 3, 1024, 1025, 2])
    flat, bounds = np.concatenate(documents), np.cumsum([0, *map(len, documents)])
    one_by_one = np.concatenate([table.scores(each) for each in documents])
    assert_array_equal(table.scores(flat, bounds), one_by_one)
    assert_array_equal(table.scores(documents), one_by_one)
    assert_allclose(table.log_prob(documents), one_by_one.sum(), rtol=1e-13)
    assert table.log_prob([[]]) == 0.0
    state, slow = [], model(1, 3, 3, 60)
    for i, token in enumerate(documents[0].tolist()):
        state.append(slow.prob(tuple(documents[0][max(0, i - 3) : i].tolist()), token))
    assert_allclose(one_by_one[:5000], np.log(state), rtol=1e-13, atol=1e-13)


def test_tokens_that_are_skipped_are_context() -> None:
    table = table_of(model(1, 3, 3, 60))
    documents = [np.concatenate([[3, 3, 3], each]) for each in texts(2, 3, [40, 0, 9])]
    expected = table.scores([each[3:] for each in documents], before=[3, 3, 3])
    assert_array_equal(table.scores(documents, skip=3), expected)
    assert len(table.scores(documents, skip=100)) == 0


PARTS: dict[str, Any] = {
    "starts": [[0, 2], [0, 1, 1]],
    "tokens": [[0, 1], [1]],
    "values": [[0.25, 0.75], [0.5]],
    "backs": [[1.0], [2.0, 0.5]],
    "contexts": [np.zeros((1, 0), int), [[0], [1]]],
}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"contexts": [np.zeros((2, 0), int), [[0], [1]]]}, "level 0"),
        ({"contexts": [np.zeros((1, 0), int), [[0], [0]]]}, r"contexts\[1\]: row 0 is there twice"),
        ({"contexts": [np.zeros((1, 0), int), [[0], [3]]]}, r"contexts\[1\]: row 1 has a token"),
        ({"starts": [[0, 2], [0, 2, 1]]}, r"starts\[1\]\[0 \+ 1\]"),
        ({"starts": [[0, 2], [0, 0, 0]]}, r"starts\[1\]"),
        ({"starts": [[0, 2], [1, 1, 1]]}, r"starts\[1\]"),
        ({"tokens": [[0, 1], [2]]}, r"tokens\[1\]: a token of row 0"),
        ({"tokens": [[0, 1], [-1]]}, r"tokens\[1\]: a token of row 0"),
        ({"tokens": [[1, 1], [1]]}, r"tokens\[0\]: the tokens of row 0 do not rise"),
        ({"values": [[0.25, 0.75], [-0.5]]}, r"values\[1\]: a value of row 0"),
        ({"values": [[np.inf, 0.75], [0.5]]}, r"values\[0\]: a value of row 0"),
        ({"backs": [[1.0], [2.0, np.nan]]}, r"backs\[1\]\[1\]"),
        ({"backs": [[-1.0], [2.0, 0.5]]}, r"backs\[0\]\[0\]"),
        ({"backs": [[1.0], [2.0, 1e300]]}, r"backs\[1\]\[1\] must be from 0 to 2\^60"),
        ({"values": [[0.25, 1.75], [0.5]]}, "level 0: a probability after context 0 is above 1"),
        ({"values": [[0.25, 0.75], [1.5]]}, "level 1: a probability after context 0 is above 1"),
        ({"backs": [[1.0], [5.0, 0.5]]}, "level 1: a probability after context 0 is above 1"),
        ({"root": [1.0, 1.0], "base": [[0.3], [0.1, 0.1]]}, "level 0: a probability"),
        ({"root": [1.0, 1.0], "base": [[0.1], [0.6, 0.1]]}, "level 1: a probability"),
        ({"backs": [[1.0], [2.0]]}, "level 1"),
        ({"backs": [[1.0]]}, "1 levels"),
        ({"base": [[1.0], [2.0, -0.5]]}, r"base\[1\]\[1\]"),
        ({"base": [[1.0], [2.0]]}, "level 1"),
        ({"root": [1.0]}, "root has length 1; it needs 2"),
        ({"root": [1.0, -1.0]}, "probability 1 must be"),
        ({"root": [1.0, 2.0]}, "probability 1 must be from 0 to 1"),
    ],
)
def test_what_is_no_table_is_refused(change: dict[str, Any], sentence: str) -> None:
    assert _core.BackoffTable(2, **PARTS).rows([[0]]).sum() == 1.0
    with pytest.raises(ValueError, match=sentence):
        _core.BackoffTable(2, **PARTS | change)


@pytest.mark.parametrize("most", [0.3, 0.6, 1.0])
def test_a_table_is_refused_where_a_probability_is_above_1(most: float) -> None:
    found = set()
    for seed in range(60):
        slow = model(seed, 3, 3, 12, most)
        of_model = arrays_of(slow, np.random.default_rng(seed))
        contexts = [tuple(c.tolist()) for level in of_model[5] for c in level]
        largest = max(slow.prob(context, w) for context in contexts for w in range(3))
        found.add(largest > 1.001)
        if largest > 1.001:
            with pytest.raises(ValueError, match=r"a probability after context .* is above 1"):
                table_of(slow)
        else:
            table_of(slow)
    assert found == {False, True}


def test_rows_that_are_rounded_are_none_above_1() -> None:
    """All but one token is listed, and what is left is less than the digits of a text say."""
    rest, n = 1e-9, 1000
    values = [
        [*np.full(n - 1, (1.0 - rest) / (n - 1)).round(9), rest],
        np.full(n - 1, 0.5 / (n - 1)),
    ]
    every = np.arange(n)
    parts = [[0, n], [0, n - 1]], [every, every[:-1]], values, [[1.0], [0.5 / rest]]
    contexts = [np.zeros((1, 0), int), [[0]]]
    assert_allclose(_core.BackoffTable(n, *parts, contexts).rows([[0]])[0, -1], 0.5)
    values[0][-1] = 3e-9
    with pytest.raises(ValueError, match="above 1"):
        _core.BackoffTable(n, *parts, contexts)


@pytest.mark.parametrize("many", [100, 2000])
def test_few_rows_are_made_to_see_whether_they_keep_to_1(many: int) -> None:
    """Or a file of many contexts that all ask for one would take their product with V."""
    n = 2000
    contexts = [np.zeros((1, 0), int), np.arange(many)[:, np.newaxis]]
    starts, tokens = [[0, n], np.arange(many + 1)], [np.arange(n), np.zeros(many, int)]
    values = [[0.9, *np.full(n - 1, 0.001)], np.full(many, 0.5)]
    parts = (starts, tokens, values, [[1.0], np.full(many, 1.2)], contexts)
    if many == 100:
        assert _core.BackoffTable(n, *parts).rows([[7]]).max() == 0.5
    else:
        with pytest.raises(ValueError, match="a probability after context 1536 is above 1"):
            _core.BackoffTable(n, *parts)


def test_a_context_that_nothing_leads_to_is_refused() -> None:
    starts, tokens, values = ([0, 2], [0, 0], [0, 0]), ([0, 1], [], []), ([0.5, 0.5], [], [])
    contexts = [np.zeros((1, 0), int), [[0]], [[0, 1]]]
    with pytest.raises(ValueError, match=r"contexts\[2\]: row 0 without its newest token"):
        _core.BackoffTable(2, starts, tokens, values, [[1.0]] * 3, contexts)


def test_questions_that_are_none_are_refused() -> None:
    table = _core.BackoffTable(2, **PARTS)
    with pytest.raises(ValueError, match="token 1 of document 1 is 2; tokens are 0 to 1"):
        table.scores([[0], [1, 2]])
    with pytest.raises(ValueError, match=r"before\[0\]"):
        table.scores([0], before=[3])
    for bounds in ([], [1, 2], [0, 3], [0, 2, 1, 2], [0, 1]):
        with pytest.raises(ValueError, match="bounds"):
            table.scores([0, 1], bounds)
    with pytest.raises(ValueError, match="skip is -1"):
        table.scores([0], skip=-1)
    with pytest.raises(ValueError, match=r"contexts\[1, 0\] is 3"):
        table.rows([[0], [3]])
    with pytest.raises(ValueError, match=r"contexts\[1, 0\] is -1"):
        table.pair_values([[0], [-1]], [0, 0])
    with pytest.raises(ValueError, match=r"tokens\[1\] is 2"):
        table.pair_values([[0], [1]], [0, 2])
    with pytest.raises(ValueError, match="2 contexts and 1 tokens"):
        table.pair_values([[0], [1]], [0])


# --- tables of smoothed counts


def smoothed(m: int, n_tokens: int, **options: Any) -> tuple[mb.TransitionMatrix, list[Any]]:
    documents = texts(m, n_tokens, [200, 3, 1, 50, 80])
    documents = [each**2 // n_tokens for each in documents]  # some are commoner
    order = {"depth": m, "order": "tree"} if options.pop("tree", False) else {"order": m}
    return mb.TransitionMatrix(n_tokens=n_tokens, **order, **options).update(documents), documents


def table_of_rows(rows: Any) -> _core.BackoffTable:
    empty = np.zeros((1, 0), dtype=int)
    if isinstance(rows, TreeRows):
        mean = rows.prior.mean_at(np.arange(rows.prior.n_tokens))
        leaves = float(rows.prior.concentration[0]), rows.folded.odds
        return _core.BackoffTable.from_counts(rows.counts, mean, leaves=leaves)
    if isinstance(rows, DiscountedRows):
        way: dict[str, Any] = {"discounts": rows.discounts}
    else:
        way = {"concentrations": rows.concentrations}
    return _core.BackoffTable.from_counts(rows.levels.counts, rows.dense(empty)[0], **way)


SMOOTHED: dict[str, dict[str, Any]] = {
    "concentrations": {"hierarchical": True},
    "discounts": {"discounts": True},
    "one bucket": {"discounts": [[0.5, 1.0, 1.5, 2.0]] * 4},
    "sizes": {"discounts": np.random.default_rng(0).random((4, N_BUCKETS, 8))},
    "tree": {"tree": True, "prior": 0.01},
    "unlikely": {"tree": True, "prior": 1e-9, "deeper": 0.01},
}


@pytest.mark.parametrize("n_tokens", [1, 2, 7, 40])
@pytest.mark.parametrize("kind", SMOOTHED)
def test_smoothed_counts_say_what_their_rows_do(kind: str, n_tokens: int) -> None:
    matrix, _ = smoothed(3, n_tokens, **SMOOTHED[kind])
    if kind == "concentrations":
        values = np.geomspace(0.5, 50.0, 4)
        several = [
            (np.arange(1, 5) / 10, values),
            (np.ones(1), np.ones(1)),
            (np.ones(4) / 4, values),
        ]
        matrix, _ = smoothed(3, n_tokens, hierarchical=several)
    rows: Any = matrix._rows
    table = table_of_rows(rows)
    contexts = np.random.default_rng(0).integers(n_tokens + 1, size=(40, 3))
    contexts[:5] = n_tokens
    assert_allclose(table.rows(contexts), rows.dense(contexts), rtol=1e-12)
    assert_allclose(table.rows(contexts).sum(axis=1), 1.0, rtol=1e-12)
    tokens = np.arange(40) % n_tokens
    assert_allclose(
        table.pair_values(contexts, tokens), rows.pair_probs(contexts, tokens), rtol=1e-12
    )
    if "tree" not in SMOOTHED[kind]:
        for length in range(3):
            some = contexts[:, :length]
            assert_allclose(table.rows(some), rows.dense(some), rtol=1e-12)
    led = rows.led(texts(9, n_tokens, [30, 1, 0, 9]), None)
    assert_allclose(
        table.log_prob(*led.joined(), skip=3), rows.log_prob(led), rtol=1e-12, atol=1e-12
    )


def test_a_table_of_nothing_says_what_is_known_before() -> None:
    for kind, options in SMOOTHED.items():
        if kind not in ("one bucket", "sizes"):
            rows: Any = smoothed(2, 5, **options)[0]._rows.empty()
            contexts = np.array([[0, 1], [5, 5]])
            assert_allclose(table_of_rows(rows).rows(contexts), rows.dense(contexts), rtol=1e-14)


def test_counts_without_what_leads_to_a_context_are_refused() -> None:
    matrix = mb.TransitionMatrix(2, n_tokens=3, hierarchical=True)
    rows: Any = matrix.update_rows([[0, 1]], [[0, 2, 1]])._rows
    with pytest.raises(ValueError, match="without its newest token"):
        table_of_rows(rows)


# --- tables that rows keep


@pytest.mark.parametrize("kind", [*SMOOTHED, "plain", "begun"])
def test_scores_are_log_probabilities_of_tokens(kind: str) -> None:
    """With a table and without; their sum is `log_prob`."""
    begun: dict[str, Any] = {"hierarchical": True, "prior": prior_of_two(7)}
    matrix, _ = smoothed(3, 7, **{**SMOOTHED, "plain": {}, "begun": begun}[kind])
    held = texts(5, 7, [30, 1, 0, 2, 9])
    rows: Any = matrix._rows
    led = rows.led(held, None)
    expected = []
    for each in held:
        for i in range(len(each)):
            before = np.concatenate([matrix.begin, each[:i]]) if len(matrix.begin) else each[:i]
            expected.append(np.log(matrix.copy().predict(before)[each[i]]))
    for asked in (0, 1 << 20):
        if kind != "plain":
            assert (rows.table(asked) is None) == (asked == 0)
        assert_allclose(matrix.scores(held), expected, rtol=1e-12)
        assert_allclose(matrix.log_prob(held), np.sum(expected), rtol=1e-12)
    if kind != "plain":
        contexts = np.random.default_rng(0).integers(8, size=(20, 3))
        assert_allclose(matrix.predict(contexts), rows.dense_of_counts(contexts), rtol=1e-12)
        assert_allclose(
            rows.pair_probs(contexts, np.arange(20) % 7),
            rows.pairs_of_counts(contexts, np.arange(20) % 7),
            rtol=1e-12,
        )
        assert_allclose(token_scores(rows, 3, led), expected, rtol=1e-12)
    assert len(matrix.scores([])) == 0


def prior_of_two(n_tokens: int) -> mb.DirichletMixture:
    rng = np.random.default_rng(1)
    return mb.DirichletMixture([0.3, 0.7], rng.gamma(1.0, size=(2, n_tokens)) + 0.01)


def test_a_table_is_made_when_it_pays_and_dropped_with_the_counts() -> None:
    matrix, documents = smoothed(2, 7, hierarchical=True)
    rows: Any = matrix._rows
    assert rows.table(1) is None
    first = matrix.log_prob(documents[0][:3])
    assert rows.table(0) is None
    matrix.log_prob(documents * 1000)
    table = rows.table(0)
    assert table is not None
    assert matrix.log_prob(documents[0][:3]) == pytest.approx(first, rel=1e-13)
    assert matrix.copy()._rows.table(0) is table  # type: ignore[union-attr]
    assert pickle.loads(pickle.dumps(matrix))._rows.table(0) is None
    matrix.update(documents[0])
    assert matrix._rows.table(0) is None  # type: ignore[union-attr]


def test_counts_that_are_no_texts_have_no_table() -> None:
    matrix = mb.TransitionMatrix(2, n_tokens=3, hierarchical=True)
    rows: Any = matrix.update_rows([[0, 1]], [[0, 2, 1]])._rows
    assert rows.table(1 << 40) is None
    assert_allclose(
        np.exp(matrix.scores([0, 1, 2])), np.diag(matrix.predict([[3, 3], [3, 0], [0, 1]]))
    )


def test_many_tokens_and_frozen_counts_have_no_table(tmp_path: Path) -> None:
    matrix = mb.TransitionMatrix(1, n_tokens=1 << 23, hierarchical=True).update([0, 1, 0])
    assert matrix._rows.table(1 << 40) is None  # type: ignore[union-attr]
    matrix, documents = smoothed(2, 7, hierarchical=True)
    matrix.freeze(tmp_path / "frozen")
    frozen = mb.TransitionMatrix.open(tmp_path / "frozen")
    assert frozen._rows.table(1 << 40) is None  # type: ignore[union-attr]
    assert_allclose(frozen.scores(documents), matrix.scores(documents), rtol=1e-12)


def test_a_tree_of_several_components_has_no_table() -> None:
    matrix, documents = smoothed(2, 7, tree=True, prior=prior_of_two(7))
    rows: Any = matrix._rows
    assert rows.table(1 << 40) is None
    assert_allclose(matrix.scores(documents).sum(), matrix.log_prob(documents), rtol=1e-12)


def test_contexts_cut_short_are_no_whole_ones_in_a_tree() -> None:
    """What is known of them ends there: a table knows whole contexts alone."""
    matrix, documents = smoothed(3, 7, tree=True)
    before = matrix.predict([[1], [2]])
    matrix.log_prob(documents * 1000)
    assert matrix._rows.table(0) is not None  # type: ignore[union-attr]
    assert_array_equal(matrix.predict([[1], [2]]), before)


@pytest.mark.parametrize("kind", ["concentrations", "sizes", "tree"])
def test_damaged_counts_make_no_crash(kind: str) -> None:
    """Arrays of a file that nobody looked at: there is a table of some kind, or an error."""
    matrix, _ = smoothed(3, 7, **SMOOTHED[kind])
    rows: Any = matrix._rows
    levels = [each.arrays() for each in (rows.counts if kind == "tree" else rows.levels.counts)]
    odds = rows.folded.odds if kind == "tree" else ()
    ways: dict[str, Any] = {
        "concentrations": [([0.5, 0.5], [1.0, 9.0])] * 3,
        "sizes": SMOOTHED["sizes"]["discounts"],
        "tree": (0.5, odds),
    }
    way = {"sizes": "discounts", "tree": "leaves"}.get(kind, kind)
    rng, refused = np.random.default_rng(0), 0
    for _ in range(200):
        damaged = [[part.copy() for part in level] for level in levels]
        level = damaged[rng.integers(4)]
        keys, counts = level[0], level[1]
        for _ in range(int(rng.integers(1, 40))):
            place = rng.integers(len(keys), size=2)
            if rng.random() < 0.5:
                keys[place] = keys[place[::-1]]
            else:
                keys[place[0]] = rng.integers(2**63)
            counts[rng.integers(len(counts))] = rng.integers(3)
        opened = [
            _core.TransitionCounts.from_arrays(i, 8, each, verify=False)
            for i, each in enumerate(damaged)
        ]
        try:
            table = _core.BackoffTable.from_counts(opened, np.full(7, 1 / 7), **{way: ways[kind]})
        except ValueError:
            refused += 1
            continue
        table.scores(texts(1, 7, [100]), before=[7] * 3)
        table.rows(np.full((3, 3), 7))
        table.arrays()
    assert 0 < refused < 200


def test_many_counts_weigh_concentrations_as_few_do() -> None:
    """Rows of totals up to 32 and above, with tokens that came once."""
    small, large = np.array([0.01, 1.0, 300.0, 1e6]), np.geomspace(1e14, 1e18, 4)
    for n, values in [*((n, small) for n in (16, 17, 18, 40, 200)), (16, large), (40, large)]:
        several = [(np.ones(4) / 4, values)] * 2
        text = [0, 1, 0, 2] + [0, 3] * n + [0, 4, 0, 4] + [5, 1] * 9
        matrix = mb.TransitionMatrix(2, n_tokens=7, hierarchical=several).update(text)
        rows: Any = matrix._rows
        contexts = np.array([[6, 0], [3, 0], [0, 3], [5, 1], [7, 7]])
        assert_allclose(table_of_rows(rows).rows(contexts), rows.dense(contexts), rtol=1e-12)


def test_threads_may_ask_for_the_first_table_at_once() -> None:
    matrix, documents = smoothed(3, 40, discounts=True)
    expected = matrix.scores(documents)
    rows: Any = matrix._rows
    with ThreadPoolExecutor(4) as executor:
        tables = list(executor.map(rows.table, [1 << 40] * 8))
        found = list(executor.map(matrix.scores, [documents] * 8))
    assert None not in tables
    for each in found:
        assert_allclose(each, expected, rtol=1e-12)


def test_rows_go_on_without_a_table_that_memory_is_short_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matrix, documents = smoothed(3, 7, hierarchical=True)
    rows: Any = matrix._rows

    def fail() -> Any:
        raise MemoryError

    expected = matrix.scores(documents)
    monkeypatch.setattr(rows, "_table", fail)
    assert rows.table(1 << 40) is None
    monkeypatch.undo()
    assert rows.table(1 << 40) is None
    assert_array_equal(matrix.scores(documents), expected)
