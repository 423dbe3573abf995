"""`PartialRows`: what goes in comes out, what is wrong is named, answers are exact or bounded."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import matrixbayes as mb
from matrixbayes.rows import BoundedRows, NextTokenRows, PartialRow, PartialRows

META = {"model": "toy", "prompt": [0, 0, 1], "position": [4, 5, 0]}


def some(**changes: Any) -> PartialRows:
    """Three rows over five tokens; the last lists nothing."""
    arguments: dict[str, Any] = {
        "columns": [4, 0, 2, 1],
        "log_probs": np.log([0.2, 0.5, 0.7, 0.1]).astype(np.float32),
        "starts": [0, 2, 4, 4],
        "n_tokens": 5,
        "cap": np.log([0.2, 0.1, 0.5]),
        "tokens": "abcde",
        "token_ids": [7, 3, 9, 11, -1],
        "input_ids": [5, 6, 7],
        "offsets": [0, 1, 1, 3],
        "meta": META,
    } | changes
    return PartialRows(arguments.pop("columns"), arguments.pop("log_probs"), **arguments)


def full_rows(
    n: int, width: int, seed: int = 0, dtype: str = "float64", least: float = -6.0
) -> NextTokenRows:
    """Rows of Dirichlets whose concentrations range widely."""
    rng = np.random.default_rng(seed)
    shape = 10.0 ** rng.uniform(least, 1.0, (n, 1)) * np.ones(width)
    # log of a gamma draw of any shape: that of shape + 1, and log(u) / shape
    logs = np.log(rng.standard_gamma(shape + 1.0)) + np.log(rng.random(shape.shape)) / shape
    logs -= logs.max(axis=1, keepdims=True)
    return NextTokenRows.from_logits(logs.astype(dtype), tokens=[f"t{v}" for v in range(width)])


def same(a: PartialRows, b: PartialRows) -> bool:
    names = ("columns", "log_probs", "starts", "rest", "cap", "token_ids", "input_ids", "offsets")
    for name in names:
        x, y = getattr(a, name), getattr(b, name)
        if (x is None) != (y is None):
            return False
        if x is not None and (x.dtype != y.dtype or not np.array_equal(x, y)):
            return False
    return (a.tokens, a.meta, a.n_tokens) == (b.tokens, b.meta, b.n_tokens)


# --- the container


def test_what_it_holds() -> None:
    rows = some()
    assert rows.shape == (3, 5)
    assert rows.columns.tolist() == [0, 4, 1, 2]
    np.testing.assert_array_equal(rows.log_probs, np.log([0.5, 0.2, 0.1, 0.7]).astype("f4"))
    assert rows.log_probs.dtype == np.float32
    np.testing.assert_allclose(np.exp(rows.rest), [0.3, 0.2, 1.0], rtol=1e-6)
    np.testing.assert_allclose(np.exp(rows.cap), [0.2, 0.1, 0.5], rtol=1e-12)
    assert rows.n_listed.tolist() == [2, 2, 0]
    assert rows.n_missing.tolist() == [3, 3, 5]
    assert not rows.is_open
    assert rows.context(2).tolist() == [6, 7]
    assert isinstance(rows[-1], PartialRow)
    assert rows[1].columns.tolist() == [1, 2]
    assert [len(row.columns) for row in rows] == [2, 2, 0]


def test_it_never_changes() -> None:
    rows = some()
    with pytest.raises(AttributeError):
        rows.tokens = None  # type: ignore[misc]
    for name in ("columns", "log_probs", "starts", "rest", "cap", "token_ids", "input_ids"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(rows, name)[0] = 0


KEYS = st.one_of(
    st.slices(3),
    st.lists(st.integers(-3, 2), max_size=5),
    st.lists(st.booleans(), min_size=3, max_size=3).map(np.array),
)


@given(KEYS)
def test_parts_keep_what_belongs_to_their_rows(key: Any) -> None:
    rows = some()
    part, numbers = rows[key], np.arange(3)[key]
    assert len(part) == len(numbers)
    for i, number in enumerate(numbers):
        mine, whole = part[i], rows[int(number)]
        np.testing.assert_array_equal(mine.columns, whole.columns)
        np.testing.assert_array_equal(mine.log_probs, whole.log_probs)
        assert (mine.rest, mine.cap) == (whole.rest, whole.cap)
        np.testing.assert_array_equal(part.context(i), rows.context(int(number)))
        assert part.meta["prompt"][i] == META["prompt"][number]
    assert same(pickle.loads(pickle.dumps(part)), part)


@pytest.mark.parametrize("key", ["a", 1.5, [0.5], (0, 1), None])
def test_indices_that_are_none(key: Any) -> None:
    with pytest.raises(IndexError):
        some()[key]


def test_files(tmp_path: Path) -> None:
    for rows in (some(), some(token_ids=None, input_ids=None, offsets=None, tokens=None, meta={})):
        rows.save(tmp_path / "rows.safetensors")
        assert same(PartialRows.load(tmp_path / "rows.safetensors"), rows)
    with pytest.raises(ValueError, match=r"not a 'matrixbayes\.rows' file"):
        NextTokenRows.load(tmp_path / "rows.safetensors")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"columns": [4, 0, 5, 1]}, "row 1 lists column 5; columns are 0 to 4"),
        ({"columns": [4, -1, 2, 1]}, "row 0 lists column -1"),
        ({"columns": [4, 4, 2, 1]}, "row 0 lists column 4 twice"),
        ({"columns": [4, 0, 2]}, "one number for each known entry"),
        ({"starts": [0, 2, 5, 4]}, "starts fall in row 2"),
        ({"starts": [0, 2, 3]}, "starts must rise from 0 to 4"),
        ({"log_probs": [-1.0, -9999.0, -1.0, -1.0]}, r"row 0, column 0 is -9999.*not among the t"),
        ({"log_probs": [-1.0, np.nan, -1.0, -1.0]}, r"row 0, column 0 is nan"),
        ({"log_probs": [-1.0, -1.0, -np.inf, -1.0]}, r"row 1, column 2 is -inf.*rest=-inf"),
        ({"log_probs": [0.2, 0.5, 0.7, 0.1]}, r"row 0, column 4 is 0.2.*natural logarithms"),
        ({"log_probs": np.log([0.7, 0.5, 0.1, 0.1])}, "row 0 lists sum to 1.2, not to 1 at most"),
        ({"rest": np.log([0.3, 0.5, 1.0])}, "row 1 lists 0.8 and has a rest of 0.5: together 1.3"),
        ({"rest": [0.3, 0.2, 1.0]}, "rest is 0.3 in row 0; it must be the natural logarithm"),
        ({"cap": np.log([0.2, 0.001, 0.5])}, "row 1 lists 0.8, and the 3 tokens.*0.003 at most"),
        (
            {"cap": np.log([0.2, 0.001, 0.5]), "rest": np.log([0.3, 0.2, 1.0])},
            "row 1: 3 tokens of at most 0.001 each cannot have the rest of 0.2",
        ),
        ({"n_tokens": 0}, "n_tokens is 0"),
        ({"n_tokens": 2**40, "tokens": None}, "n_tokens is 1099511627776"),
        ({"tokens": "abcd"}, "4 tokens for 5 columns"),
        ({"tokens": ["a", "b", "c", "d", "<other>"]}, "row 0 lists column 4; columns are 0 to 3"),
        ({"meta": {"prompt": [1]}}, "one value for each of the 3 rows"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        some(**changes)


def test_the_rest_is_what_is_missing_and_never_0_for_being_small() -> None:
    rows = PartialRows([0, 1], np.log([0.5, 0.5]).astype("f4"), [0, 2], n_tokens=1000)
    assert 0.0 < np.exp(rows.rest[0]) < 1e-6
    assert rows.cap[0] == rows.rest[0]
    whole = PartialRows([0, 1], np.log([0.5, 0.5]), [0, 2], n_tokens=2)
    assert whole.rest[0] == -np.inf
    assert PartialRows([0], [1e-6], [0, 1], n_tokens=9).rest[0] > -np.inf  # above 1 by rounding


def test_numbers_of_16_bits_are_as_exact_as_they_are() -> None:
    probs = np.array([0.6, 0.29, 0.1, 0.01])
    short = np.log(probs).astype(np.float16)
    rows = PartialRows([0, 1, 2], short[:3], [0, 3], n_tokens=9, rest=[short[3]])
    assert rows.log_probs.dtype == np.float32
    torch = pytest.importorskip("torch")
    short = torch.tensor(np.log(probs)).bfloat16()
    rows = PartialRows([0, 1, 2], short[:3], [0, 3], n_tokens=9, rest=short[3:])
    assert rows.log_probs.dtype == np.float32
    assert abs(np.exp(rows.log_probs).sum() + np.exp(rows.rest[0]) - 1.0) > 1e-3


@pytest.mark.parametrize("rounding", ["2", "bfloat16"])
def test_numbers_that_were_rounded_are_as_exact_as_they_are(rounding: str) -> None:
    logs = np.log(np.random.default_rng(0).dirichlet([5.0, 2.0, 0.3, 0.1, 0.1], 400))
    logs = logs[logs.min(axis=1) > -20]
    if rounding == "2":
        logs = logs.round(2)
    else:
        torch = pytest.importorskip("torch")
        logs = torch.tensor(logs).bfloat16().float().numpy()
    known = np.exp(logs).sum(axis=1)
    assert (np.abs(known - 1.0) > 1e-3).sum() > 10
    n = len(logs)
    rows = PartialRows(np.tile(np.arange(5), n), logs.ravel(), np.arange(n + 1) * 5, n_tokens=5)
    found = rows.group({"x": [0, 1], "y": [2, 3, 4]})
    assert isinstance(found, NextTokenRows)
    np.testing.assert_allclose(found.probs().sum(axis=1), 1.0, atol=2e-6)
    with pytest.raises(ValueError, match=r"sum to 1\.00"):
        PartialRows([0, 1], np.log([0.7171, 0.2858]), [0, 2], n_tokens=5)


# --- answers


def test_answers_that_are_all_listed_are_the_full_row_grouped() -> None:
    full = full_rows(200, 30)
    part = PartialRows.from_rows(full, 20)
    listed = set(range(30))
    for row in part:
        listed &= {*row.columns.tolist()} | (set() if row.rest > -np.inf else {*range(30)})
    for i in range(len(part)):
        columns = part[i].columns
        if len(columns) < 4:
            continue
        vocab = {"x": columns[:2].tolist(), "y": f"t{columns[3]}"}
        found = part[[i]].group(vocab)
        assert isinstance(found, NextTokenRows)
        p = np.exp(full.log_probs[i])
        wanted = [p[columns[:2]].sum(), p[columns[3]]]
        np.testing.assert_allclose(found.probs()[0, :2], wanted, rtol=1e-13)
        np.testing.assert_allclose(found.probs()[0, 2], 1.0 - sum(wanted), atol=1e-13)


@pytest.mark.parametrize("other", ["keep", "renormalize"])
@pytest.mark.parametrize("k", [1, 5, 20, 30])
def test_bounds_hold_the_full_answer(k: int, other: Any) -> None:
    full = full_rows(2000, 30, seed=k, least=-3.0)
    vocab = {"x": [0, 1, 2], "y": [5], "z": list(range(10, 20))}
    found = PartialRows.from_rows(full, k).group(vocab, other)
    p = np.exp(full.log_probs)
    wanted = np.stack([p[:, columns].sum(axis=1) for columns in vocab.values()], axis=1)
    if other == "keep":
        wanted = np.hstack([wanted, 1.0 - wanted.sum(axis=1, keepdims=True)])
    else:
        wanted /= wanted.sum(axis=1, keepdims=True)
    if isinstance(found, NextTokenRows):
        np.testing.assert_allclose(found.probs(), wanted, atol=1e-12)
        return
    assert k < 30
    assert found.tokens == ("x", "y", "z", "<other>")[: wanted.shape[1]]
    low, high = np.moveaxis(found.probs(), -1, 0)
    assert (low <= wanted + 1e-12).all()
    assert (wanted <= high + 1e-12).all()
    assert (low.sum(axis=1) <= 1.0 + 1e-12).all()
    assert (high.sum(axis=1) >= 1.0 - 1e-12).all()
    np.testing.assert_allclose(low[found.determined], high[found.determined])
    np.testing.assert_allclose(found.rows().probs(), wanted[found.determined], atol=1e-12)


def test_an_open_vocabulary_knows_texts_it_has_not_seen() -> None:
    rows = PartialRows(
        [0, 1], np.log([0.6, 0.1]), [0, 2], n_tokens=3, tokens=["yes", "no", "<other>"]
    )
    assert rows.is_open
    exact = rows.group({"yes": ["yes"], "no": "no"})
    assert isinstance(exact, NextTokenRows)
    np.testing.assert_allclose(exact.probs(), [[0.6, 0.1, 0.3]])
    found = rows.group({"yes": ["yes", " yes"], "no": "no"})
    assert isinstance(found, BoundedRows)
    np.testing.assert_allclose(np.exp(found.lower), [[0.6, 0.1, 0.2]])
    np.testing.assert_allclose(np.exp(found.upper), [[0.7, 0.1, 0.3]])


@pytest.mark.parametrize(
    ("vocab", "why"),
    [
        ("a", "it must be"),
        ([], "vocab is empty"),
        (["a", "a"], "a token twice"),
        ({"x": "q"}, "'q' is not a token of these rows"),
        ({"x": 8}, "no token id 8"),
        ({"x": "a", "y": ["b", "a"]}, "'a' is in two answers, 'x' and 'y'"),
        ({"x": []}, "answer 'x' has no tokens"),
        ({"<other>": "a"}, "cannot be the name of an answer"),
        ({"x": 1.5}, "float"),
        ({"x": list("abcde")}, "single column"),
    ],
)
def test_answers_that_are_none(vocab: Any, why: str) -> None:
    with pytest.raises((ValueError, TypeError), match=why):
        some().group(vocab)


def test_answers_among_themselves() -> None:
    rows = some()
    with pytest.raises(ValueError, match="neither 'keep' nor 'renormalize'"):
        rows.group(["a"], other="drop")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="single column"):
        rows.group(["a"], other="renormalize")
    exact = PartialRows([0, 1], np.log([0.6, 0.2]), [0, 2], n_tokens=9, rest=np.log([0.2]))
    found = exact.group({"x": 0, "y": 1}, other="renormalize")
    np.testing.assert_allclose(found.probs(), [[0.75, 0.25]])  # type: ignore[union-attr]
    none = PartialRows([0], [0.0], [0, 1], n_tokens=9, rest=[-np.inf])
    with pytest.raises(ValueError, match="no answer has any probability in row 0"):
        none.group({"x": 1, "y": 2}, other="renormalize")
    with pytest.raises(ValueError, match="contexts are not known"):
        none.context(0)


def test_numbers_are_ids_where_there_are_ids() -> None:
    rows = some()
    found = rows.group({"x": [7, 3], "y": 9})
    assert found.token_ids is not None
    assert found.token_ids.tolist() == [-1, 9, -1]
    assert rows.group([7, 3]).tokens == ("<7>", "<3>", "<other>")
    with pytest.raises(TypeError, match=r"holds 1\.5; a token is a name or a number"):
        rows.group([1.5])
    bare = some(token_ids=None).group({"x": [0, 1], "y": 2})
    np.testing.assert_array_equal(np.asarray(bare.lower), found.lower)  # type: ignore[union-attr]


def test_the_prior_of_what_lists_say_is_that_of_full_rows() -> None:
    """Dirichlets lump exactly, and so do lists that hold all answers."""
    rng = np.random.default_rng(0)
    alpha = np.concatenate([[4.0, 3.0, 2.0], np.full(60, 0.02)])
    full = NextTokenRows(np.log(rng.dirichlet(alpha, 400) + 1e-300))
    part = PartialRows.from_rows(full, 20)
    there = [{0, 1, 2} <= {*row.columns.tolist()} for row in part]
    assert sum(there) > 350
    found = part[there].group({"x": [0, 1], "y": [2]})
    p = full.probs()[there]
    lumped = np.stack([p[:, 0] + p[:, 1], p[:, 2], p[:, 3:].sum(axis=1)], axis=1)
    ours = mb.DirichletMixtureEstimator(1, random_state=0).fit(found).prior_
    theirs = mb.DirichletMixtureEstimator(1, kind="probs", random_state=0).fit(lumped).prior_
    np.testing.assert_allclose(ours.alpha, theirs.alpha, rtol=1e-9)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"upper": np.log([[0.1, 0.9]])}, "row 0, column 0: the bounds"),
        ({"lower": np.log([[np.nan, 0.1]])}, "row 0, column 0: the bounds"),
        ({"determined": [True, False]}, "they must be"),
        ({"tokens": "abc"}, "3 tokens for 2 columns"),
    ],
)
def test_bounds_that_are_none(changes: dict[str, Any], why: str) -> None:
    given = {"lower": np.log([[0.2, 0.1]]), "upper": np.log([[0.9, 0.8]]), "determined": [False]}
    arguments = {"tokens": "ab", **given, **changes}
    with pytest.raises(ValueError, match=why):
        BoundedRows(**arguments)


def test_parts_of_bounds_keep_what_belongs_to_them() -> None:
    found = some().group(["a"])
    assert isinstance(found, BoundedRows)
    assert found.determined.tolist() == [True, False, False]
    part = found[[2, 0]]
    np.testing.assert_array_equal(part.upper, found.upper[[2, 0]])
    assert part.meta["prompt"] == [1, 0]
    assert same_bounds(pickle.loads(pickle.dumps(part)), part)
    assert len(found[1]) == 1
    assert found.rows().meta["prompt"] == [0]
    assert len(repr(found).splitlines()) <= 10
    assert "'a' 0.500" in repr(found[0])
    assert "to" in found._repr_html_()


def same_bounds(a: BoundedRows, b: BoundedRows) -> bool:
    names = ("lower", "upper", "determined", "input_ids", "offsets")
    return a.meta == b.meta and all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in names
    )


WHOLE: dict[str, Any] = {
    "as_log_probs": lambda rows: mb.rows.as_log_probs(rows, "log_probs"),
    "NextTokenRows": mb.NextTokenRows,
    "from_logits": mb.NextTokenRows.from_logits,
    "check_continuity": lambda rows: mb.check_continuity(np.ones((3, 2)), rows),
    "EmbeddingMap": lambda rows: mb.EmbeddingMap(np.ones((3, 2)), rows),
    "affine_test": lambda rows: mb.affine_test(np.ones((3, 2)), rows),
    "span_of": lambda rows: mb.span_of(rows, np.ones((5, 2))),
    "elicit_prior": lambda rows: mb.elicit_prior([[0]] * 3, rows),
    "divergences": lambda rows: mb.rows.divergences(rows, rows),
    "exp": np.exp,
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_needs_whole_rows_says_what_to_do(name: str) -> None:
    rows = some()
    with pytest.raises(TypeError, match=r"known in part.*\.group\(vocab\).*\.rest"):
        WHOLE[name](rows)
    with pytest.raises(TypeError, match=r"known between bounds.*\.rows\(\)"):
        WHOLE[name](rows.group(["a"]))


def test_what_is_listed_and_what_bounds_are_is_drawn() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib import pyplot

    def names(ax: Any) -> list[str]:
        return [label.get_text() for label in ax.get_yticklabels()]

    ax = some().plot()  # p(c) is 0.7 in one of three rows, p(a) 0.5, p(e) 0.2, p(b) 0.1
    assert names(ax)[:4] == ["'c'", "'a'", "'e'", "'b'"]
    assert ax.get_title(loc="left") == "Most probable tokens of 3 rows"
    pyplot.close(ax.figure)
    ax = some().group(["a"]).plot()
    assert names(ax) == ["'<other>'", "'a'"]
    assert ax.get_xlabel() == "probability, at least and at most"
    pyplot.close(ax.figure)


def test_they_are_no_arrays() -> None:
    rows = some()
    for each in (rows, rows.group(["a"])):
        with pytest.raises(TypeError, match=r"known (in part|between bounds).*\.(group|rows)\("):
            np.asarray(each)
    assert "PartialRows: 3 rows, 0 to 2 listed of 5 tokens" in repr(rows)
    assert len(repr(rows).splitlines()) <= 10
    assert "<table" in rows._repr_html_()
    assert "PartialRows: 1 row, 2 listed of 5 tokens" in repr(rows[:1])
    assert rows.group(["a"]).n_tokens == 2
    assert mb.PartialRows is PartialRows
