"""`NextTokenRows` and `as_log_probs`: what goes in comes out, and what is wrong is named."""

from __future__ import annotations

import copy
import pickle
import warnings
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy.special import log_softmax

import matrixbayes as mb
from matrixbayes import _core
from matrixbayes._base import files
from matrixbayes.rows import NextTokenRows, as_log_probs

P = np.array([[0.1, 0.2, 0.7], [0.25, 0.25, 0.5], [0.0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]])
with np.errstate(divide="ignore"):
    LOG_P = np.log(P)
IDS, OFFSETS = [5, 5, 6, 7, 8, 9, 9], [0, 1, 3, 3, 7]
META = {"model": "toy", "prompt": [0, 0, 1, 2], "position": [0, 1, 0, 3]}


@pytest.fixture
def rows() -> NextTokenRows:
    return NextTokenRows(
        LOG_P,
        tokens=("a", "b", "c"),
        token_ids=[4, 7, -1],
        input_ids=IDS,
        offsets=OFFSETS,
        hidden=np.arange(8.0).reshape(4, 2),
        meta=META,
    )


def same(a: NextTokenRows, b: NextTokenRows) -> bool:
    """Whether two containers hold the same in everything."""
    for name in ("log_probs", "token_ids", "input_ids", "offsets", "hidden"):
        x, y = getattr(a, name), getattr(b, name)
        if (x is None) != (y is None):
            return False
        if x is not None and (x.dtype != y.dtype or not np.array_equal(x, y)):
            return False
    return a.tokens == b.tokens and a.meta == b.meta


# --- as_log_probs


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("kind", ["logits", "log_probs", "probs"])
def test_kinds_of_arrays(kind: str, dtype: str) -> None:
    data = {"logits": LOG_P + 3.0, "log_probs": LOG_P, "probs": P}[kind].astype(dtype)
    log_probs, tokens = as_log_probs(data, kind)
    assert log_probs.dtype == (np.float64 if dtype == "float64" else np.float32)
    assert log_probs.flags.c_contiguous
    assert tokens is None
    tolerance = {"float16": 3e-3, "float32": 1e-6, "float64": 1e-14}[dtype]
    np.testing.assert_allclose(log_probs, LOG_P, rtol=tolerance, atol=tolerance)


@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 2**32))
def test_logits_get_a_log_softmax(n: int, width: int, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(size=(n, width), scale=20)
    log_probs, _ = as_log_probs(logits[::-1].T.copy().T, "logits")
    np.testing.assert_allclose(log_probs, log_softmax(logits[::-1], axis=1), atol=1e-13)


def test_a_torch_tensor_on_a_tape_and_in_bfloat16() -> None:
    torch = pytest.importorskip("torch")
    logits = torch.tensor(np.random.default_rng(0).normal(size=(4, 9)), dtype=torch.float32)
    exact = log_softmax(logits.numpy(), axis=1)
    np.testing.assert_allclose(as_log_probs(logits.requires_grad_(), "logits")[0], exact, atol=1e-6)
    short = logits.bfloat16()
    exact = log_softmax(short.double().detach().numpy(), axis=1)
    np.testing.assert_allclose(as_log_probs(short.T.contiguous().T, "logits")[0], exact, atol=1e-6)


def test_names_of_a_data_frame() -> None:
    pandas = pytest.importorskip("pandas")
    assert as_log_probs(pandas.DataFrame(P, columns=list("xyz")), "probs")[1] == ("x", "y", "z")
    assert as_log_probs(pandas.DataFrame(P), "probs")[1] is None


def test_rows_are_taken_as_they_are(rows: NextTokenRows) -> None:
    for kind in (None, "log_probs"):
        log_probs, tokens = as_log_probs(rows, kind)
        assert log_probs is rows.log_probs
        assert tokens == ("a", "b", "c")
    with pytest.raises(ValueError, match="drop kind='probs'"):
        as_log_probs(rows, "probs")


def test_log_probs_are_not_copied(tmp_path: Path) -> None:
    array = LOG_P.astype(np.float32)
    assert np.shares_memory(as_log_probs(array, "log_probs")[0], array)
    np.save(tmp_path / "rows.npy", array)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert np.shares_memory(as_log_probs(mapped, "log_probs")[0], mapped)


def test_the_kind_is_never_guessed() -> None:
    with pytest.raises(
        ValueError, match=r"say what the array holds.*'logits', 'log_probs', 'probs'"
    ):
        as_log_probs(P)
    with pytest.raises(ValueError, match="kind='prob' is not one of"):
        as_log_probs(P, "prob")


def test_probabilities_called_logits_are_warned_of() -> None:
    torch = pytest.importorskip("torch")
    many = np.full((40_000, 3), 1 / 3)  # of several blocks
    for rows in (P, many, torch.tensor(P).bfloat16()):
        with pytest.warns(UserWarning, match="if these are probabilities, say kind='probs'"):
            as_log_probs(rows, "logits")
    many[-1] = -1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_log_probs(many, "logits")


def test_wider_floats_are_read_as_doubles() -> None:
    found = as_log_probs(LOG_P.astype(np.longdouble), "log_probs")[0]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, LOG_P, rtol=1e-15)


@pytest.mark.parametrize(
    "bad",
    [
        np.array([[1, 0], [0, 1]]),
        np.array([[1 + 0j, 0]]),
        np.array([["a", "b"]]),
        np.array([[True, False]]),
        np.ma.masked_array(P, P > 0.6),
        np.array([[None, 1.0]]),
    ],
    ids=["integers", "complex", "text", "bool", "masked", "objects"],
)
def test_types_that_are_no_rows(bad: Any) -> None:
    with pytest.raises(TypeError):
        as_log_probs(bad, "probs")


@pytest.mark.parametrize("shape", [(3,), (1, 1, 3), ()])
def test_shapes_that_are_no_rows(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape \(N, V\)"):
        as_log_probs(np.zeros(shape), "logits")


@pytest.mark.parametrize("kind", ["logits", "log_probs", "probs"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_numbers_are_named(kind: str, value: float) -> None:
    data = {"logits": LOG_P, "log_probs": LOG_P, "probs": P}[kind].copy()
    data[3, 1] = value
    with pytest.raises(ValueError, match=r"row 3.*column 1"):
        as_log_probs(data, kind)


def test_rows_are_counted_from_the_first_also_in_large_arrays() -> None:
    width = 1 << 18  # several pieces
    data = np.full((12, width), -np.log(width))
    data[10, 7] = np.nan
    with pytest.raises(ValueError, match=r"row 10.*column 7"):
        as_log_probs(data, "log_probs")


def test_sums_that_are_off_are_refused_not_mended() -> None:
    for kind, data in (("probs", P), ("log_probs", LOG_P)):
        off = data.copy()
        off[1] = data[1] * 1.01 if kind == "probs" else data[1] + 0.01
        with pytest.raises(ValueError, match="row 1"):
            as_log_probs(off, kind)


# --- the container


def test_what_it_holds(rows: NextTokenRows) -> None:
    assert rows.shape == (4, 3)
    assert (len(rows), rows.n_tokens) == (4, 3)
    np.testing.assert_array_equal(rows.log_probs, LOG_P)
    np.testing.assert_allclose(rows.probs(), P, rtol=1e-15)
    assert rows.token_ids is not None
    assert rows.token_ids.dtype == np.int64
    assert rows.hidden is not None
    assert rows.hidden.dtype == np.float32
    assert [rows.context(i).tolist() for i in range(4)] == [[5], [5, 6], [], [7, 8, 9, 9]]
    assert rows.context(-1).tolist() == [7, 8, 9, 9]
    assert rows.meta == META


def test_it_never_changes(rows: NextTokenRows) -> None:
    with pytest.raises(AttributeError):
        rows.tokens = None  # type: ignore[misc]
    for name in ("log_probs", "token_ids", "input_ids", "offsets", "hidden"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(rows, name)[0] = 0
    own = LOG_P.copy()
    NextTokenRows(own)
    own[0, 0] = 1.0  # the caller's array stays the caller's


def test_it_is_a_sequence_of_vectors(rows: NextTokenRows) -> None:
    np.testing.assert_array_equal(rows[2], LOG_P[2])
    np.testing.assert_array_equal(rows[np.int64(-1)], LOG_P[-1])
    np.testing.assert_array_equal(list(rows), LOG_P)
    np.testing.assert_array_equal(np.asarray(rows), LOG_P)
    for index in (4, -5):
        with pytest.raises(IndexError):
            rows[index]
        with pytest.raises(IndexError):
            rows.context(index)


KEYS = st.one_of(
    st.slices(4),
    st.lists(st.integers(-4, 3), max_size=6),
    st.lists(st.integers(-4, 3), max_size=6).map(lambda k: np.array(k, dtype=int)),
    st.lists(st.booleans(), min_size=4, max_size=4).map(np.array),
)


@given(KEYS)
def test_parts_keep_what_belongs_to_their_rows(key: Any) -> None:
    rows = NextTokenRows(
        LOG_P, input_ids=IDS, offsets=OFFSETS, hidden=np.arange(8.0).reshape(4, 2), meta=META
    )
    part, numbers = rows[key], np.arange(4)[key]
    assert isinstance(part, NextTokenRows)
    assert part.hidden is not None
    np.testing.assert_array_equal(part.log_probs, LOG_P[numbers])
    np.testing.assert_array_equal(part.hidden, np.arange(8.0).reshape(4, 2)[numbers])
    assert len(part) == len(numbers)
    for i, number in enumerate(numbers):
        np.testing.assert_array_equal(part.context(i), rows.context(int(number)))
        assert part.meta["prompt"][i] == META["prompt"][number]
    assert part.meta["model"] == "toy"
    # and a part is as good as rows made from its contents
    again = NextTokenRows(
        part.log_probs,
        input_ids=part.input_ids,
        offsets=part.offsets,
        hidden=part.hidden,
        meta=part.meta,
    )
    assert same(part, again)


def test_a_slice_does_not_copy(rows: NextTokenRows) -> None:
    assert np.shares_memory(rows[1:3].log_probs, rows.log_probs)


@pytest.mark.parametrize("key", ["a", 1.5, [0.5], (0, 1), [[0, 1]], None])
def test_indices_that_are_none(rows: NextTokenRows, key: Any) -> None:
    with pytest.raises(IndexError):
        rows[key]


def test_scikit_learn_can_split_it(rows: NextTokenRows) -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    train, test = selection.train_test_split(rows, test_size=0.25, random_state=0)
    assert isinstance(train, NextTokenRows)
    assert (len(train), len(test)) == (3, 1)


def test_copies_and_pickles(rows: NextTokenRows) -> None:
    for again in (pickle.loads(pickle.dumps(rows)), copy.deepcopy(rows), copy.copy(rows)):
        assert same(again, rows)
        assert not again.log_probs.flags.writeable


def test_data_frame(rows: NextTokenRows) -> None:
    pytest.importorskip("pandas")
    frame = rows.to_pandas("probs")
    assert list(frame.columns) == ["a", "b", "c"]
    assert frame.index.names == ["prompt", "position"]
    np.testing.assert_allclose(frame.loc[(2, 3)], P[3])
    assert NextTokenRows(LOG_P).to_pandas().shape == (4, 3)
    with pytest.raises(ValueError, match="kind='logits'"):
        rows.to_pandas("logits")


def test_printed(rows: NextTokenRows) -> None:
    assert "4 rows over 3 tokens" in repr(rows)
    assert len(repr(rows).splitlines()) <= 10
    assert "<table" in rows._repr_html_()
    assert "0 rows" in repr(rows[:0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": ["a", "b"]}, "2 tokens for 3 columns"),
        ({"tokens": ["a", "b", "a"]}, "two columns are named 'a'"),
        ({"token_ids": [1, 2]}, "token_ids has the shape"),
        ({"token_ids": [1, 2, -2]}, "token_ids holds -2 at 2"),
        ({"input_ids": None}, "come together"),
        ({"offsets": None}, "come together"),
        ({"offsets": [0, 1, 3, 3, 8]}, "rise from 0 to 7"),
        ({"offsets": [0, 3, 1, 3, 7]}, "rise from 0 to 7"),
        ({"offsets": [0, 1, 7]}, "offsets has the shape"),
        ({"input_ids": [-1] * 7}, "input_ids holds -1 at 0"),
        ({"hidden": np.zeros((3, 2))}, r"not \(4, d\) for 4 rows"),
        ({"hidden": np.full((4, 2), np.nan)}, "hidden holds nan in row 0, column 0"),
        ({"meta": {"prompt": [1, 2]}}, r"meta\['prompt'\] needs one value for each of the 4 rows"),
    ],
)
def test_parts_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    whole = {"input_ids": IDS, "offsets": OFFSETS}
    with pytest.raises(ValueError, match=message):
        NextTokenRows(LOG_P, **{**whole, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": ["a", "b", 3]},
        {"token_ids": [0.5, 1, 2]},
        {"meta": {"x": {1}}},
        {"meta": {"x": np.nan}},
    ],
)
def test_parts_of_the_wrong_type(change: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        NextTokenRows(LOG_P, **change)


def test_numpy_numbers_in_meta_become_plain() -> None:
    rows = NextTokenRows(LOG_P, meta={"x": np.float32(0.5), "y": np.arange(2), "z": (1, 2)})
    assert rows.meta == {"x": 0.5, "y": [0, 1], "z": [1, 2]}


# --- files


def test_files(rows: NextTokenRows, tmp_path: Path) -> None:
    path = tmp_path / "rows.safetensors"
    for some in (rows, rows[::2], rows[:0], NextTokenRows(LOG_P.astype(np.float32))):
        some.save(path)
        assert same(NextTokenRows.load(path), some)


def break_file(path: Path, **changes: Any) -> None:
    """The file of rows with some of its parts changed."""
    arrays, header = files.read(path, "matrixbayes.rows")
    for name, value in changes.items():
        (arrays if isinstance(value, np.ndarray) else header)[name] = value
    files.write(path, arrays, header)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"log_probs": LOG_P + 0.1}, "row 0"),
        ({"log_probs": LOG_P[0]}, "shape"),
        ({"log_probs": np.arange(12).reshape(4, 3)}, "not floating-point"),
        ({"offsets": np.array([0, 2**62, 1, 3, 7])}, "rise from 0"),
        ({"offsets": np.array([0, -1, 1, 3, 7])}, "offsets holds -1"),
        ({"input_ids": np.zeros(3, np.int64)}, "rise from 0"),
        ({"token_ids": np.zeros((3, 1), np.int64)}, "token_ids"),
        ({"hidden": np.full((4, 2), np.inf, np.float32)}, "hidden holds inf"),
        ({"extra": np.zeros(3)}, "does not hold what a file of rows holds"),
        ({"tokens": "abc"}, "not a list"),
        ({"tokens": ["a", 2, "c"]}, "tokens are strings"),
        ({"meta": [1]}, "does not hold"),
        ({"meta": {"prompt": 3}}, "one value for each"),
        ({"version": 2}, "install a newer matrixbayes"),
        ({"format": "matrixbayes.mixture"}, "is not a 'matrixbayes.rows' file"),
    ],
)
def test_files_are_checked(
    rows: NextTokenRows, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "rows.safetensors"
    rows.save(path)
    break_file(path, **changes)
    with pytest.raises(ValueError, match=message) as caught:
        NextTokenRows.load(path)
    assert str(path) in str(caught.value)


def test_rows_are_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = np.random.default_rng(0).normal(size=(40, 5))
    rows = [NextTokenRows.from_logits(logits.astype(dtype)) for dtype in ("f2", "f4", "f8")]
    rows += [NextTokenRows(rows[2].log_probs), rows[0][::2], rows[1][np.arange(30)]]

    def never(_: object) -> None:
        raise AssertionError("checked again")

    monkeypatch.setattr(_core, "check_log_probs", never)
    for each in rows:
        fitted = mb.DirichletMixtureEstimator(random_state=0).fit(each)
        fitted.summarize(each)
        fitted.prior_.log_prob(each)


def test_zeros_are_where_they_are() -> None:
    logits = np.zeros((4, 3), np.float32)
    logits[2, 1] = -np.inf
    whole = NextTokenRows.from_logits(logits)
    kept = pickle.loads(pickle.dumps(whole))
    object.__delattr__(kept, "_n_zeros")  # as a pickle from before has it
    for rows in (whole, whole[1:], kept, NextTokenRows(whole.log_probs)):
        place = f"row {2 - 4 + len(rows)}, column 1"
        with pytest.raises(ValueError, match=f"1 of {len(rows)} rows .* the first is {place}"):
            mb.DirichletMixtureEstimator().fit(rows)
    assert mb.DirichletMixtureEstimator(zeros="drop").fit(whole).n_dropped_ == 1
    mb.DirichletMixtureEstimator().fit(whole[:2])


@given(st.integers(0, 2**32 - 1))
def test_divergences_of_float32_are_those_of_float64(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log_p, log_q = (
        log_softmax(rng.normal(0.0, 3.0, (5, 40)), axis=1).astype(np.float32) for _ in range(2)
    )
    exact = mb.rows.divergences(log_p.astype(np.float64), log_q.astype(np.float64))
    np.testing.assert_allclose(mb.rows.divergences(log_p, log_q), exact, rtol=1e-12)
