"""Rows of every type, kind and layout become log-probabilities; what is none is named."""

from __future__ import annotations

import doctest
import math
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp

from matrixbayes import _core
from matrixbayes._core import check_log_probs, log_probs, lump_log_probs
from matrixbayes.rows import as_log_probs

TYPES = ("float16", "bfloat16", "float32", "float64")
BITS = np.arange(1 << 16, dtype=np.uint16)


def bfloat16(x: np.ndarray) -> np.ndarray:
    """The bits of numbers as bfloat16, rounded towards zero."""
    return (x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def widened(bits: np.ndarray) -> np.ndarray:
    """Numbers of their bits as bfloat16."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def cast(x: np.ndarray, kind: str) -> np.ndarray:
    return bfloat16(x) if kind == "bfloat16" else x.astype(kind)


def ingest(rows: np.ndarray, kind: str = "logits") -> np.ndarray:
    return log_probs(rows, kind=kind, bfloat16=rows.dtype == np.uint16)


def exact(rows: np.ndarray) -> np.ndarray:
    """The log-softmax of rows in float64."""
    values = widened(rows) if rows.dtype.kind == "u" else rows
    return log_softmax(values.astype(np.float64), axis=1)


def assert_close(got: np.ndarray, wanted: np.ndarray) -> None:
    """Within one unit in the last place and what the sum of exponentials may be off."""
    ulp, off = (1.2e-7, 5e-7) if got.dtype == np.float32 else (4.5e-16, 4e-15)
    np.testing.assert_allclose(got, wanted, rtol=ulp, atol=off)


# --- layouts


def unaligned(x: np.ndarray) -> np.ndarray:
    memory = np.empty(x.nbytes + 1, np.uint8)
    out = memory[1:].view(x.dtype).reshape(x.shape)
    out[...] = x
    return out


def spaced(x: np.ndarray) -> np.ndarray:
    out = np.zeros((2 * x.shape[0], 3 * x.shape[1]), x.dtype)[1::2, ::3]
    out[...] = x
    return out


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "rows backwards": lambda x: x[::-1],
    "columns backwards": lambda x: x[:, ::-1],
    "spaced": spaced,
    "unaligned": unaligned,
    "unaligned, backwards": lambda x: unaligned(x)[::-1, ::-1],
    "one row for all": lambda x: np.broadcast_to(x[:1], x.shape),
    "one column for all": lambda x: np.broadcast_to(x[:, :1], x.shape),
    "other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "read only": read_only,
    "list": lambda x: x.tolist() if x.dtype == np.float64 else x,
    "matrix": lambda x: x.view(np.matrix),
}


@given(
    dtype=st.sampled_from(TYPES),
    layout=st.sampled_from(sorted(LAYOUTS)),
    n_rows=st.integers(1, 4),
    n_columns=st.integers(1, 70) | st.sampled_from([127, 128, 129, 1023, 1024, 1025, 2500]),
    scale=st.sampled_from([1e-4, 1.0, 10.0, 1e4]),
    masked=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@pytest.mark.slow
@pytest.mark.in_c
def test_logits_of_any_layout(
    dtype: str, layout: str, n_rows: int, n_columns: int, scale: float, masked: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((n_rows, n_columns)) * scale + rng.standard_normal()
    if masked:
        logits[rng.random(logits.shape) < 0.3] = -np.inf
        logits[:, 0] = 1.5
    rows = LAYOUTS[layout](cast(logits, dtype))
    before = np.array(rows)
    got = log_probs(rows, kind="logits", bfloat16=dtype == "bfloat16")
    assert got.dtype == (np.float64 if dtype == "float64" else np.float32)
    assert got.flags.c_contiguous
    assert got.flags.owndata
    np.testing.assert_array_equal(np.array(rows), before)
    assert_close(got, exact(before))


@given(
    dtype=st.sampled_from(("float32", "float64")),
    layout=st.sampled_from(sorted(LAYOUTS)),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 70) | st.just(1500)),
    zeros=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@pytest.mark.slow
@pytest.mark.in_c
def test_probabilities_and_their_logarithms(
    dtype: str, layout: str, shape: tuple[int, int], zeros: bool, seed: int
) -> None:
    if layout.startswith("one column"):
        return
    p = np.random.default_rng(seed).dirichlet(np.full(shape[1], 0.3), shape[0])
    if zeros and shape[1] > 1:
        p[:, 1] += p[:, 0]
        p[:, 0] = 0.0
    p[p < 1e-37] = 0.0
    rows = LAYOUTS[layout](p.astype(dtype))
    with np.errstate(divide="ignore"):
        wanted = np.log(np.array(rows).astype(np.float64))
    got = ingest(np.asarray(rows), "probs")
    np.testing.assert_allclose(got, wanted, rtol=1.2e-7 if dtype == "float32" else 2.3e-16)
    again = LAYOUTS[layout](got)
    np.testing.assert_array_equal(ingest(np.asarray(again), "log_probs"), np.array(again))
    holes = np.isneginf(np.array(again))
    first = np.argwhere(holes)[0] if holes.any() else (-1, -1)
    assert check_log_probs(again) == (holes.any(axis=1).sum(), *first)
    for array, kind in ((rows, "probs"), (again, "log_probs"), (again, "logits")):
        whole, found = log_probs(array, kind=kind, zeros=True)
        np.testing.assert_array_equal(whole, log_probs(array, kind=kind))
        assert found == check_log_probs(whole)


def test_no_rows() -> None:
    for dtype in TYPES:
        for kind in ("logits", "log_probs", "probs"):
            assert ingest(cast(np.zeros((0, 5)), dtype), kind).shape == (0, 5)
    assert check_log_probs(np.zeros((0, 5))) == (0, -1, -1)
    assert lump_log_probs(np.zeros((0, 5)), [0] * 5, 3).shape == (0, 3)


# --- the 16-bit formats: after widening, the way is that of float32


def both_ways(bits: np.ndarray, is_bfloat16: bool) -> tuple[np.ndarray, np.ndarray]:
    """All rows of 16-bit numbers as such and as float32."""
    if is_bfloat16:
        return bits, widened(bits)
    return bits.view(np.float16), bits.view(np.float16).astype(np.float32)


@pytest.mark.parametrize("is_bfloat16", [False, True], ids=["float16", "bfloat16"])
def test_every_16_bit_number(is_bfloat16: bool) -> None:
    _, values = both_ways(BITS, is_bfloat16)
    finite = BITS[np.isfinite(values)]
    for other in (0, 0x3C00, 0x4001):  # also beside numbers that are neither 0 nor subnormal
        rows = np.stack([finite, np.full_like(finite, other)], axis=1)
        short, wide = both_ways(rows, is_bfloat16)
        np.testing.assert_array_equal(ingest(short), ingest(wide))
    # Beside a probability of 1 every small one counts by its logarithm, the least also.
    small = BITS[(values >= 0) & (values < 1e-3)]
    assert len(small) > 1000
    one = 0x3F80 if is_bfloat16 else 0x3C00
    short, wide = both_ways(np.stack([small, np.full_like(small, one)], axis=1), is_bfloat16)
    np.testing.assert_array_equal(ingest(short, "probs"), ingest(wide, "probs"))
    # Beside a log-probability of 0 every low one is copied.
    low = BITS[values <= -8]
    short, wide = both_ways(np.stack([np.zeros_like(low), low], axis=1), is_bfloat16)
    np.testing.assert_array_equal(ingest(short, "log_probs"), wide)


@pytest.mark.parametrize("is_bfloat16", [False, True], ids=["float16", "bfloat16"])
def test_every_16_bit_number_that_is_none(is_bfloat16: bool) -> None:
    _, values = both_ways(BITS, is_bfloat16)
    for bits in BITS[np.isnan(values) | (values == np.inf)]:
        rows, wide = both_ways(np.array([[0, bits]], np.uint16), is_bfloat16)
        value = "NaN" if np.isnan(wide[0, 1]) else "inf"
        with pytest.raises(ValueError, match=f"row 0, column 1 is {value}"):
            ingest(rows)


# --- accuracy where it is hard


def test_a_large_offset_changes_nothing() -> None:
    x = np.random.default_rng(0).integers(-20, 20, (3, 1000)).astype(np.float64)
    for rows, offset in ((x, 2.0**40), (x.astype(np.float32), np.float32(2.0**18))):
        assert_close(ingest(rows + offset), exact(rows))


def test_a_row_that_is_all_but_certain_keeps_its_tail() -> None:
    for dtype, ulp in ((np.float32, 2.5e-7), (np.float64, 5e-16)):
        rows = np.full((1, 50_257), -60.0, dtype)
        rows[0, 7] = -30.0
        rows[0, 11] = 3.0
        got = ingest(rows)
        np.testing.assert_allclose(got[0, [0, 7]], [-63.0, -33.0], rtol=ulp)
        # -log(1 + 50255 e^-63 + e^-33)
        assert got[0, 11] == pytest.approx(-4.7e-15, rel=0.1, abs=1e-15)


def test_rows_that_were_masked_with_the_least_number() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        rows = np.array([[np.finfo(dtype).min, 1.0, 2.0]], dtype)
        got = ingest(rows)
        np.testing.assert_allclose(got[0, 1:], log_softmax([1.0, 2.0]), rtol=2e-7)
        assert got[0, 0] <= float(np.finfo(dtype).min)


def test_rows_of_one_number_repeated() -> None:
    for value in (-300.0, -1.5, 0.0, 2.75, 60_000.0):
        for dtype in TYPES:
            got = ingest(cast(np.full((2, 50_257), value), dtype))
            np.testing.assert_allclose(got, -np.log(50_257), rtol=1e-7)


# --- what is refused


def rows_with(value: float, kind: str) -> np.ndarray:
    """Five rows over 1500 columns, right but for row 3, column 1234."""
    rows = np.full((5, 1500), 1.0 / 1500)
    rows = rows if kind == "probs" else np.log(rows)
    rows[3, 1234] = value
    return rows


HERE = r"row 3, column 1234 is "


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        *((kind, np.nan, HERE + "NaN: .*leave such rows out") for kind in ("logits", "probs")),
        ("log_probs", np.nan, HERE + "NaN: run the model in float32"),
        ("logits", np.inf, HERE + "inf: nothing but -inf, an exact zero, may be"),
        ("log_probs", np.inf, HERE + "inf: nothing but -inf, an exact zero, may be"),
        ("probs", np.inf, HERE + "inf: no probability is above 1"),
        ("probs", -0.25, HERE + "-0.25: no probability is below 0; pass kind='logits'"),
        ("probs", -np.inf, HERE + "-inf: no probability is below 0"),
        ("log_probs", 1.25, HERE + "1.25: no log-probability is above 0; pass kind='logits'"),
        ("log_probs", -0.5, r"row 3 of exp\(log_probs\) sums to 1.60586, not 1: pass kind="),
        ("probs", 0.5, "row 3 sums to 1.49933, not 1: pass kind='logits' .* or divide each row"),
    ],
)
def test_a_fault_is_named(dtype: Any, kind: str, value: float, message: str) -> None:
    rows = rows_with(value, kind).astype(dtype)
    with pytest.raises(ValueError, match=message):
        log_probs(rows, kind=kind)
    with pytest.raises(ValueError, match=message):
        log_probs(np.asfortranarray(rows), kind=kind)
    if kind == "log_probs":
        with pytest.raises(ValueError, match=message):
            check_log_probs(rows)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", ["logits", "log_probs", "probs"])
def test_a_row_without_probability_is_named(dtype: str, kind: str) -> None:
    rows = np.zeros((3, 1500)) if kind == "probs" else np.full((3, 1500), -np.inf)
    rows[:2, 0] = 1.0 if kind == "probs" else 0.0
    with pytest.raises(ValueError, match=r"row 2 is (0|-inf) everywhere: .*leave such rows out"):
        ingest(cast(rows, dtype), kind)


def test_the_first_fault_is_named() -> None:
    rows = rows_with(np.nan, "logits")
    rows[2, 7] = rows[3, 5] = rows[4, 0] = np.inf
    with pytest.raises(ValueError, match="row 2, column 7 is inf"):
        log_probs(rows, kind="logits")


def test_sums_may_be_off_by_a_thousandth() -> None:
    p = np.array([[0.5, 0.5], [0.25, 0.75]])
    for factor in (1.0009, 0.999998):  # further below 1 only by rounding, see the end
        found = log_probs(p * factor, kind="probs")
        np.testing.assert_allclose(found, np.log(p * factor), rtol=4e-16)
        log_probs(np.log(p * factor), kind="log_probs")
    for factor in (1.0011, 0.9989):
        for kind, rows in (("probs", p * factor), ("log_probs", np.log(p * factor))):
            with pytest.raises(ValueError, match="row 0"):
                log_probs(rows, kind=kind)


def test_rounding_to_16_bits_is_explained() -> None:
    with pytest.raises(ValueError, match="16-bit probabilities round this far; take the logits"):
        ingest(bfloat16(np.full((1, 10), 0.1)), "probs")
    with pytest.raises(ValueError, match="divide each row by its sum"):
        ingest(bfloat16(np.full((1, 10), 0.3)), "probs")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1, 0]], "rows are int64, not float16, float32 or float64; convert them"),
        ([[True, False]], "rows are bool"),
        ([[1j, 0]], "rows are complex128"),
        ([["a", "b"]], "rows are <U1"),
        ([[None, 1.0]], "rows are object"),
        (np.zeros((1, 2), np.longdouble), "rows are (float128|float96)"),
        (np.zeros((1, 2), np.uint16), "pass bfloat16=True if they are the bits"),
        (np.zeros((1, 2), "M8[s]"), "rows are datetime64"),
    ],
)
def test_other_types_are_refused(rows: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        log_probs(rows, kind="logits")
    with pytest.raises(TypeError, match=message):
        check_log_probs(rows)


def test_bfloat16_means_bits() -> None:
    for dtype in (np.float16, np.float32, np.int16):
        with pytest.raises(TypeError, match="takes the bits of the numbers, as uint16"):
            log_probs(np.zeros((1, 2), dtype), kind="logits", bfloat16=True)


@pytest.mark.parametrize("shape", [(), (3,), (1, 2, 3), (3, 0), (0, 0)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    stated = rf"shape \(N, V\).*not \({', '.join(map(str, shape))}"
    for function in (lambda x: log_probs(x, kind="logits"), check_log_probs):
        with pytest.raises(ValueError, match=stated):
            function(np.zeros(shape))


def test_a_kind_must_be_given() -> None:
    rows = np.zeros((1, 2))
    for kind in (None, 3, b"logits"):
        with pytest.raises(TypeError, match="needs kind='logits', 'log_probs' or 'probs'"):
            log_probs(rows, kind=kind)
    with pytest.raises(TypeError):
        log_probs(rows)
    with pytest.raises(TypeError):
        log_probs(rows, "logits")
    for kind in ("", "logit", "logits\0", "Logits", "counts"):
        with pytest.raises(ValueError, match="is not one of 'logits', 'log_probs', 'probs'"):
            log_probs(rows, kind=kind)


@pytest.mark.no_sanitizer  # AddressSanitizer ends the process where an allocation is this large
@pytest.mark.parametrize("shape", [(2**31, 2**28), (2**59, 1), (1, 2**59), (2**30, 2**20)])
def test_sizes_that_no_memory_holds(shape: tuple[int, int]) -> None:
    for dtype in (np.float16, np.float64, ">f4"):
        rows = np.broadcast_to(np.zeros((), dtype), shape)
        with pytest.raises((MemoryError, ValueError)):
            log_probs(rows, kind="logits")
    column = np.broadcast_to(np.zeros(()), (shape[0], 1))
    with pytest.raises((MemoryError, ValueError)):
        lump_log_probs(column[:3].copy(), [0], 2**60)


# --- threads


@pytest.mark.slow
@pytest.mark.in_c
def test_many_threads_agree() -> None:
    rng = np.random.default_rng(0)
    rows = [cast(rng.standard_normal((40, 5000)), TYPES[i % 4]) for i in range(16)]
    wanted = [ingest(r) for r in rows]
    with ThreadPoolExecutor(4) as pool:
        for got, expected in zip(pool.map(ingest, rows), wanted, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_rows_that_change_meanwhile_do_no_harm() -> None:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((300, 3000)).astype(np.float16)
    changing, stop = logits.copy(), threading.Event()

    def change() -> None:
        while not stop.is_set():
            changing[:, ::7] = np.nan
            changing[...] = logits

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(30):
            try:
                got = ingest(changing)
            except ValueError as error:
                assert "is NaN" in str(error)  # noqa: PT017
            else:
                assert np.isfinite(got).all()
    finally:
        stop.set()
        thread.join()


# --- groups


@given(
    dtype=st.sampled_from([np.float32, np.float64]),
    n_rows=st.integers(0, 3),
    n_columns=st.integers(1, 60) | st.sampled_from([1024, 3000]),
    n_groups=st.integers(1, 8),
    seed=st.integers(0, 2**32 - 1),
)
@pytest.mark.slow
@pytest.mark.in_c
def test_groups_of_columns(
    dtype: Any, n_rows: int, n_columns: int, n_groups: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = (-rng.exponential(40.0, (n_rows, n_columns))).astype(dtype)
    rows[rng.random(rows.shape) < 0.1] = -np.inf
    groups = rng.integers(0, n_groups, n_columns)
    got = lump_log_probs(rows, groups, n_groups)
    assert got.dtype == dtype
    assert got.shape == (n_rows, n_groups)
    for g in range(n_groups):
        members = rows[:, groups == g].astype(np.float64)
        if members.shape[1] == 0:
            assert np.isneginf(got[:, g]).all()
        elif members.shape[1] == 1:
            np.testing.assert_array_equal(got[:, g], members[:, 0])
        else:
            assert_close(got[:, g], logsumexp(members, axis=1))


def test_the_smallest_tails_of_groups_are_kept() -> None:
    rows = np.full((1, 2001), -200.0)
    rows[0, 0] = 0.0
    groups = np.repeat([0, 1], [1, 2000])
    for dtype in (np.float32, np.float64):
        got = lump_log_probs(rows.astype(dtype), groups, 2)
        np.testing.assert_allclose(got[0], [0.0, np.log(2000) - 200.0], rtol=1e-7)


def test_group_numbers_of_any_integer_type_and_layout() -> None:
    rows = np.log([[0.1, 0.2, 0.3, 0.4]])
    wanted = np.log([[0.4, 0.6]])
    for dtype in ("i1", "u2", ">i4", "u8", "i8"):
        groups = np.array([0, 9, 1, 9, 0, 9, 1, 9][::-1], dtype)[::-2]
        groups = np.where(groups == 9, 0, groups).astype(dtype)
        got = lump_log_probs(rows, [0, 1, 0, 1], 2)
        np.testing.assert_allclose(got, wanted)
        np.testing.assert_array_equal(
            lump_log_probs(rows, groups, 2), lump_log_probs(rows, groups.tolist(), 2)
        )


@pytest.mark.parametrize(
    ("groups", "n_groups", "message"),
    [
        ([0, 1, 2], 2, r"groups\[2\] is 2, which is not below n_groups=2"),
        ([0, -1, 5], 2, r"groups\[1\] is -1"),
        ([0, 1], 2, "groups has 2 entries for 3 columns"),
        ([[0, 1, 0]], 2, r"groups must have the shape \(V,\)"),
        ([0, 0, 0], 0, r"groups\[0\] is 0, which is not below n_groups=0"),
        ([0, 0, 0], -1, "n_groups is -1"),
        (np.array([0, 1, 2**64 - 1], np.uint64), 2, r"groups\[2\] is -1"),
    ],
)
def test_groups_that_are_none(groups: Any, n_groups: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lump_log_probs(np.zeros((2, 3)), groups, n_groups)


def test_rows_that_cannot_be_lumped() -> None:
    rows = np.zeros((3, 4))
    for bad in ([[0.0] * 4], rows.astype(np.float16), np.asfortranarray(rows), rows.astype(">f8")):
        with pytest.raises(TypeError):
            lump_log_probs(bad, [0] * 4, 1)
    with pytest.raises(TypeError, match="groups must be integers, not float64"):
        lump_log_probs(rows, [0.0] * 4, 1)
    with pytest.raises(ValueError, match=r"shape \(N, V\)"):
        lump_log_probs(rows[0], [0] * 4, 1)
    for value, text in ((np.nan, "NaN"), (np.inf, "inf")):
        rows[1, 2] = rows[1, 3] = rows[2, 0] = value
        for groups in ([0, 1, 0, 1], [3, 2, 1, 0]):
            with pytest.raises(ValueError, match=f"row 1, column 2 is {text}"):
                lump_log_probs(rows, groups, 4)


# --- docstrings


@pytest.mark.parametrize("name", ["log_probs", "check_log_probs", "lump_log_probs"])
def test_docstring_examples(name: str) -> None:
    finder, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    examples = finder.get_doctest(getattr(_core, name).__doc__, {}, name, None, None)
    assert examples.examples
    runner.run(examples, out=sys.stdout.write)
    assert runner.failures == 0


# --- mass that is missing to 1


def real_rows(n: int, width: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).dirichlet(np.full(width, 0.3), n)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["probs", "log_probs"])
@pytest.mark.parametrize("missing", [2e-5, 3e-4, 1e-3])
def test_a_row_that_lacks_tokens_is_no_complete_row(kind: str, dtype: str, missing: float) -> None:
    probs = real_rows(5, 20)
    probs[3] *= 1.0 - missing
    data = (np.log(probs) if kind == "log_probs" else probs).astype(dtype)
    with pytest.raises(ValueError, match=r"row 3 .*sums to 0\.999.*matrixbayes.PartialRows"):
        as_log_probs(data, kind)
    as_log_probs(np.delete(data, 3, axis=0), kind)


@pytest.mark.parametrize("as_logs", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rounding", ["4", "5", "digits 3", "float16", "bfloat16"])
def test_numbers_that_were_rounded_may_miss_so_much(
    rounding: str, dtype: str, as_logs: bool
) -> None:
    probs = real_rows(3000, 10)
    if rounding.isdigit():
        probs = probs.round(int(rounding))
    elif rounding == "float16":
        probs = probs.astype(np.float16)
    elif rounding == "bfloat16":
        bits = probs.astype(np.float32).view(np.uint32)
        probs = ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32)
    else:
        probs = np.array([[float(f"{p:.3g}") for p in row] for row in probs])
    probs = probs.astype(dtype)
    total = probs.sum(axis=1, dtype=np.float64)
    probs = probs[np.abs(total - 1.0) <= 0.999e-3]
    assert (1.0 - probs.sum(axis=1) > 1e-5).sum() > 10  # of which the test is
    with np.errstate(divide="ignore"):
        as_log_probs(np.log(probs) if as_logs else probs, "log_probs" if as_logs else "probs")


@pytest.mark.parametrize("rounding", ["3", "4", "digits 4", "float16", "codes"])
def test_logarithms_that_were_rounded_may_miss_so_much(rounding: str) -> None:
    logs = np.log(real_rows(3000, 10))
    if rounding.isdigit():
        logs = logs.round(int(rounding))
    elif rounding == "float16":
        logs = logs.astype(np.float16).astype(np.float64)
    elif rounding == "codes":  # as llama.cpp writes them: 65,536 even steps
        low = logs.min(axis=1, keepdims=True)
        scale = ((logs.max(axis=1, keepdims=True) - low) / 65535).astype(np.float32)
        low = low.astype(np.float32)
        logs = scale * np.round((logs - low) / scale).astype(np.float32) + low
        assert logs.dtype == np.float32
    else:
        logs = np.array([[float(f"{x:.4g}") for x in row] for row in logs])
    missing = 1.0 - np.exp(logs).sum(axis=1)
    logs = logs[np.abs(missing) <= 0.999e-3]
    assert (missing > 1e-5).sum() > 10
    as_log_probs(logs, "log_probs")
    with pytest.raises(ValueError, match=r"row \d+ .*PartialRows"):
        as_log_probs(np.log(real_rows(3000, 10) * 0.9993), "log_probs")


def test_many_columns_may_miss_what_sums_of_floats_do() -> None:
    width = 1 << 17
    row = np.full((1, width), (1.0 - 5e-4) / width)
    as_log_probs(row, "probs")


def test_equal_terms_behind_a_large_one() -> None:
    """Each is rounded the same way when it is added to 1: few of them may be added to one sum."""
    for n in (2, 31, 100, 127, 1000):
        row = np.full((1, n), -15.0)
        row[0, 0] = first = -3.9735255970092318
        wanted = -math.log1p((n - 1) * math.exp(-15.0 - first))
        assert ingest(row)[0, 0] == pytest.approx(wanted, rel=0, abs=2e-15)
