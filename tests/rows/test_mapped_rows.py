"""Rows of a file are mapped: read-only, checked, safe against a file that takes its place."""

from __future__ import annotations

import contextlib
import copy
import json
import mmap
import os
import pickle
import re
import struct
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import matrixbayes as mb
from matrixbayes._base import files
from matrixbayes._base.mapped import _views, open_mapped, read_mapped, write_mapped
from matrixbayes.rows import NextTokenRows

RNG = np.random.default_rng(5)
ARRAYS = ("log_probs", "token_ids", "input_ids", "offsets", "hidden")


def make_rows(n: int = 40, width: int = 30, dtype: Any = np.float32) -> NextTokenRows:
    logits = RNG.normal(size=(n, width)).astype(dtype)
    offsets = np.arange(n + 1) * 2
    return NextTokenRows(
        NextTokenRows.from_logits(logits).log_probs,
        tokens=[f"t{i}" for i in range(width)],
        token_ids=np.arange(width),
        input_ids=np.arange(2 * n),
        offsets=offsets,
        hidden=RNG.normal(size=(n, 7)).astype(np.float32),
        meta={"prompt": list(range(n)), "model": "m"},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.safetensors"


def is_mapped(array: np.ndarray | None) -> bool:
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap.mmap)


def assert_same(a: NextTokenRows, b: NextTokenRows) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert getattr(a, name).dtype == getattr(b, name).dtype
    assert (a.tokens, a.meta) == (b.tokens, b.meta)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_mapped_or_copied(path: Path, dtype: Any) -> None:
    rows = make_rows(dtype=dtype)
    rows.save(path)
    loaded, copied = NextTokenRows.load(path), NextTokenRows.load(str(path), mapped=False)
    for some, mapped in ((loaded, True), (copied, False)):
        assert_same(some, rows)
        for name in ARRAYS:
            array = getattr(some, name)
            assert is_mapped(array) == mapped
            assert type(array) is np.ndarray
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
    with pytest.raises(ValueError, match="WRITEABLE"):
        loaded.log_probs.flags.writeable = True


def test_parts_of_mapped_rows(path: Path) -> None:
    rows = make_rows()
    rows.save(path)
    loaded = NextTokenRows.load(path)
    for key, mapped in ((slice(3, 20), True), ([1, 5], False), (np.arange(40) % 2 == 0, False)):
        assert_same(loaded[key], rows[key])
        assert is_mapped(loaded[key].log_probs) == mapped
    assert is_mapped(loaded[4])
    path.with_name("part").write_bytes(b"")
    loaded[3:20].save(path.with_name("part"))
    assert_same(NextTokenRows.load(path.with_name("part")), rows[3:20])


def test_pickles_and_deep_copies_have_copies(path: Path) -> None:
    make_rows().save(path)
    loaded = NextTokenRows.load(path)
    for again in (pickle.loads(pickle.dumps(loaded)), copy.deepcopy(loaded)):
        assert_same(again, loaded)
        assert not is_mapped(again.log_probs)
    assert is_mapped(copy.copy(loaded).log_probs)


def test_a_fit_to_mapped_rows_is_the_fit_to_rows(path: Path) -> None:
    rows = make_rows(200, 6)
    rows.save(path)
    fits = [
        mb.DirichletMixtureEstimator(2, random_state=0).fit(each).prior_
        for each in (rows, NextTokenRows.load(path))
    ]
    np.testing.assert_array_equal(fits[0].alpha, fits[1].alpha)


@pytest.mark.skipif(os.name == "nt", reason="mapped files cannot be replaced there")
def test_another_file_in_its_place(path: Path) -> None:
    first, second = make_rows(), make_rows(5, 3)
    first.save(path)
    loaded = NextTokenRows.load(path)
    second.save(path)
    assert_same(loaded, first)
    assert_same(NextTokenRows.load(path), second)
    path.unlink()
    assert_same(loaded, first)
    loaded[:7].save(path)  # from the file that has no name any more
    again = NextTokenRows.load(path)
    again[:3].save(path)  # over itself
    assert_same(again, first[:7])
    assert_same(NextTokenRows.load(path), first[:3])


@pytest.mark.parametrize("mixture", [False, True])
def test_nothing_of_the_size_of_the_rows_is_made(path: Path, mixture: bool) -> None:
    rows = make_rows(200, 20_000)
    given: Any = mb.DirichletMixture.from_rows(rows, rng=0) if mixture else rows
    given.save(path)
    kind = type(given)
    tracemalloc.start()
    loaded = kind.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (12 << 20 if mixture else 6 << 20)  # names, and a block of float64; not 16 MB
    if mixture:
        assert loaded == given == kind.load(path, mapped=False)
        np.testing.assert_array_equal(loaded.mean(), given.mean())
    else:
        assert_same(loaded, rows)


def test_what_is_not_aligned_is_copied(path: Path) -> None:
    rows = make_rows(4, 3)
    rows.save(path)
    arrays, header = files.read(path, "matrixbayes.rows")
    table: dict[str, Any] = {"__metadata__": {files.KEY: json.dumps(header)}}
    end, data = 0, b""
    for name in ("hidden", "log_probs", "input_ids", "offsets", "token_ids"):
        array = arrays[name]
        data += array.tobytes()
        code = files.DTYPES[array.dtype.name]
        place = [end, len(data)]
        table[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": place}
        end = len(data)
    for pad in range(8):
        text = json.dumps(table).encode()
        text += b" " * (-len(text) % 8 + pad)
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)
        loaded = NextTokenRows.load(path)
        assert_same(loaded, rows)
        assert is_mapped(loaded.log_probs) == (pad % 4 == 0)
        assert is_mapped(loaded.offsets) == (pad == 0)  # 40 numbers of four bytes before it
        with pytest.raises(ValueError, match="read-only"):
            loaded.offsets[0] = 1  # type: ignore[index]


# --- hostile files: what the library refuses is refused


def outcome(read: Any, path: Path) -> Any:
    try:
        arrays, header = read(path, "test")
    except ValueError:
        return None
    found = {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}
    return found, header


def test_every_truncation_and_every_longer_file_is_an_error(path: Path) -> None:
    files.write(path, {"x": np.arange(3)}, {"format": "test", "version": 1})
    whole = path.read_bytes()
    for data in [whole[:n] for n in range(len(whole))] + [whole + b"\0"]:
        path.write_bytes(data)
        with pytest.raises(ValueError, match=re.escape(str(path))):
            read_mapped(path, "test")


def test_changed_bytes_of_the_header_are_read_alike(path: Path) -> None:
    files.write(path, {"x": np.arange(3), "y": np.zeros(2, np.float32)},
                {"format": "test", "version": 1, "tokens": ["a", "b"]})  # fmt: skip
    whole = bytearray(path.read_bytes())
    for i in range(len(whole) - 32):
        for flip in (0x01, 0x20, 0x80):
            changed = bytearray(whole)
            changed[i] ^= flip
            path.write_bytes(changed)
            strict, mapped = outcome(files.read, path), outcome(read_mapped, path)
            if strict is not None and mapped is not None:
                assert strict == mapped, (i, flip)
            assert strict is not None or mapped is None, (i, flip)


@pytest.mark.parametrize(
    "entry",
    [
        {"shape": [2**62, 8]},
        {"data_offsets": [0, 2**63]},
        {"data_offsets": [4, 8]},
        {"dtype": "OBJECT"},
        {"dtype": "F16", "shape": [2]},
        {"shape": [-1]},
        {"shape": [True]},
    ],
)
def test_arrays_that_are_nowhere(path: Path, entry: dict[str, Any]) -> None:
    header = {"__metadata__": {files.KEY: '{"format": "test", "version": 1}'},
              "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} | entry}  # fmt: skip
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    with pytest.raises(ValueError, match="array 'x'"):
        read_mapped(path, "test")


def test_nan_is_named(path: Path) -> None:
    array = np.zeros((2, 3))
    array[1, 2] = np.nan
    files.write(path, {"x": array}, {"format": "test", "version": 1})
    with pytest.raises(ValueError, match=r"array 'x' holds NaN at \(1, 2\)"):
        read_mapped(path, "test")


def test_files_without_our_header_and_no_files(path: Path, tmp_path: Path) -> None:
    save_file({"x": np.zeros(1)}, path)
    with pytest.raises(ValueError, match="no header of this package"):
        NextTokenRows.load(path)
    with pytest.raises(FileNotFoundError):
        NextTokenRows.load(tmp_path / "none")
    with pytest.raises(ValueError, match="not a regular file"):
        NextTokenRows.load(tmp_path)
    with contextlib.suppress(FileExistsError):
        (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match="not a complete safetensors file"):
        NextTokenRows.load(tmp_path / "empty")


def test_a_mixture_is_read_without_another_beside_it(path: Path) -> None:
    alpha = RNG.gamma(1.0, size=(40, 20_000)) + 0.01
    mixture = mb.DirichletMixture(np.full(40, 1 / 40), alpha)
    mixture.save(path)
    tracemalloc.start()
    loaded = mb.DirichletMixture.load(path)
    end, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert loaded == mixture
    assert peak - end < alpha.nbytes / 4
    assert not is_mapped(loaded.alpha)


# --- files that are mapped or refused


def changed(path: Path, old: bytes, new: bytes) -> None:
    """The file with other bytes in its header, which are as many."""
    raw = path.read_bytes()
    assert len(old) == len(new)
    assert raw.count(old) == 1
    path.write_bytes(raw.replace(old, new))


@pytest.fixture
def ours(path: Path) -> Path:
    header = {"format": "test", "version": 1, "note": "of old"}
    write_mapped(path, {"a": np.arange(4.0), "b": np.arange(3)}, header)
    return path


def test_a_changed_header_or_array_is_seen_by_its_checksum(ours: Path) -> None:
    assert open_mapped(ours, "test", verify=True)[0]["b"].tolist() == [0, 1, 2]
    raw = ours.read_bytes()
    ours.write_bytes(raw[:-1] + b"\x01")
    open_mapped(ours, "test", verify=False)
    with pytest.raises(ValueError, match="array 'b' is damaged: its checksum is wrong"):
        open_mapped(ours, "test", verify=True)
    ours.write_bytes(raw)
    changed(ours, b"of old", b"of new")
    with pytest.raises(ValueError, match="the header is damaged: its checksum is wrong"):
        open_mapped(ours, "test")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"[]", "it is not an object"),
        (b'{"__metadata__": {"a": 1}}', "its metadata are no texts"),
        (b'{"__metadata__": []}', "its metadata are no texts"),
    ],
)
def test_headers_that_are_no_table(path: Path, text: bytes, why: str) -> None:
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(ValueError, match=f"the header is damaged: {why}"):
        read_mapped(path, "test")


def test_what_is_not_aligned_cannot_be_mapped(path: Path) -> None:
    whole = np.zeros(17, np.uint8)
    table = {"a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}
    with pytest.raises(ValueError, match="array 'a' is not aligned"):
        _views("x", table, whole, 9, aligned=True)
    assert _views("x", table, whole, 9, aligned=False)["a"].tolist() == [0.0]


def test_machines_of_the_other_byte_order_read_and_do_not_map(
    ours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "byteorder", "big")
    found = read_mapped(ours, "test")[0]["b"]  # which the library swaps for such a machine
    assert found.byteswap().tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="mapped files need a little-endian machine"):
        open_mapped(ours, "test")
