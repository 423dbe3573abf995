"""Files: what is written comes back, a failed write changes nothing, a hostile file is an error."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import inspect
import io
import json
import os
import re
import stat
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from safetensors.numpy import save_file

from matrixbayes._base import files
from matrixbayes._base.saving import unpacked, whole

HEADER = {"format": "test", "version": 1}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.safetensors"


def raw(path: Path, header: Any, data: bytes = b"") -> None:
    """A file of the container's shape: eight bytes of length, a header, the data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


# --- what is written comes back


@given(
    hnp.arrays(
        st.sampled_from(list(files.DTYPES)),
        hnp.array_shapes(min_dims=0, min_side=0),
        elements=None,
        fill=st.nothing(),
    )
)
def test_round_trip_of_any_array(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray
) -> None:
    if array.dtype.kind == "f":
        array = np.nan_to_num(array, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    files.write(path, {"x": array}, HEADER)
    arrays, header = files.read(path, "test")
    assert arrays["x"].dtype == array.dtype
    assert arrays["x"].shape == array.shape
    np.testing.assert_array_equal(arrays["x"], array)
    assert header == HEADER


@pytest.mark.parametrize(
    "array",
    [np.arange(12.0).reshape(3, 4).T, np.arange(6.0)[::-2], np.arange(4, dtype=">f8")],
    ids=["transposed", "reversed", "big-endian"],
)
def test_round_trip_of_any_memory_order(path: Path, array: np.ndarray) -> None:
    files.write(path, {"x": array}, HEADER)
    np.testing.assert_array_equal(files.read(path, "test")[0]["x"], array)


def test_round_trip_of_the_header(path: Path) -> None:
    header = {**HEADER, "tokens": ["é", "\ud800", "\n", "<other>"], "deep": {"n": [1, 2.5, None]}}
    files.write(path, {}, header)
    assert files.read(path, "test") == ({}, header)


def test_the_file_is_what_the_library_writes(path: Path) -> None:
    arrays = {name: np.arange(6).reshape(2, 3).astype(name) for name in files.DTYPES}
    arrays |= {"a": np.zeros(3), "empty": np.zeros((0, 4), np.float32), "one": np.array(5)}
    header = {**HEADER, "tokens": ["é", '"', "\\", "\n"]}
    files.write(path, arrays, header)
    ours = path.read_bytes()
    save_file(arrays, path, metadata={files.KEY: json.dumps(header)})
    assert ours == path.read_bytes()


def test_a_header_that_no_reader_takes_is_not_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_HEADER", 1000)
    with pytest.raises(ValueError, match=r"header would have 1,.* shorter names"):
        files.write(path, {}, {**HEADER, "tokens": ["a" * 1000]})
    assert not path.exists()


def test_name_as_string_or_path(path: Path) -> None:
    files.write(str(path), {"x": np.zeros(2)}, HEADER)
    assert files.read(str(path), "test")[0]["x"].tolist() == [0.0, 0.0]


# --- all or nothing


def test_only_the_file_is_left(path: Path) -> None:
    for _ in range(2):
        files.write(path, {"x": np.zeros(3)}, HEADER)
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("step", ["matrixbayes._base.files.put", "os.replace", "os.fsync"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file(
    path: Path, step: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(path, {"x": np.zeros(3)}, HEADER)
    before = path.read_bytes()

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(step, fail)
    with pytest.raises(type(error)):
        files.write(path, {"x": np.ones(3)}, HEADER)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_permissions_follow_the_umask(path: Path) -> None:
    old = os.umask(0o027)
    try:
        files.write(path, {}, HEADER)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_a_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "real"
    path.symlink_to(real)
    files.write(path, {"x": np.zeros(1)}, HEADER)
    assert path.is_symlink()
    assert real.is_file()


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.write(tmp_path / "nowhere" / "file", {}, HEADER)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="is a folder"):
        files.write(tmp_path, {}, HEADER)
    with pytest.raises(ValueError, match="not a regular file"):
        files.read(tmp_path, "test")


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([object()]), np.zeros(2, "f2"), 1j])
def test_types_that_no_file_holds(path: Path, array: Any) -> None:
    with pytest.raises(TypeError, match=r"array 'x' is .*; a file holds bool"):
        files.write(path, {"x": np.asarray(array)}, HEADER)
    assert not path.exists()


@pytest.mark.parametrize(
    "header", [{"version": 1}, {"format": "test"}, {**HEADER, "x": np.nan}, {**HEADER, "x": {1, 2}}]
)
def test_headers_that_no_file_holds(path: Path, header: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="header"):
        files.write(path, {}, header)
    assert not path.exists()


# --- hostile files


def test_no_such_file(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.read(path, "test")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_does_not_hang(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(ValueError, match="not a regular file"):
        files.read(path, "test")


def test_every_truncation_is_an_error(path: Path) -> None:
    files.write(path, {"x": np.arange(3)}, HEADER)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=re.escape(str(path))):
            files.read(path, "test")


def test_every_changed_byte_of_the_header_is_read_or_refused(path: Path) -> None:
    files.write(path, {"x": np.arange(3)}, {**HEADER, "tokens": ["a", "b"]})
    whole = bytearray(path.read_bytes())
    for i in range(len(whole) - 24):
        for flip in (0x01, 0x20, 0x80):
            changed = bytearray(whole)
            changed[i] ^= flip
            path.write_bytes(changed)
            with contextlib.suppress(ValueError):
                files.read(path, "test")


TENSOR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"{" * 1000,
        {"x": {**TENSOR, "shape": [2**62, 8]}},
        {"x": {**TENSOR, "data_offsets": [0, 2**63]}},
        {"x": {**TENSOR, "dtype": "OBJECT"}},
        {"x": {**TENSOR, "shape": [-1]}},
        {"__metadata__": {"format": 3}, "x": TENSOR},
    ],
)
def test_containers_that_are_damaged(path: Path, header: Any) -> None:
    raw(path, header, bytes(4))
    with pytest.raises(ValueError, match="not a complete safetensors file"):
        files.read(path, "test")


def test_header_length_beyond_the_file(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2**63) + b"{}")
    with pytest.raises(ValueError, match="not a complete safetensors file"):
        files.read(path, "test")


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_types_that_are_never_written(path: Path, dtype: str) -> None:
    raw(path, {"x": {"dtype": dtype, "shape": [2], "data_offsets": [0, 4]}}, bytes(4))
    with pytest.raises(ValueError, match=f"array 'x' has type {dtype}"):
        files.read(path, "test")


def test_nan_is_named(path: Path) -> None:
    array = np.zeros((2, 3))
    array[1, 2] = np.nan
    files.write(path, {"x": array}, HEADER)
    with pytest.raises(ValueError, match=r"array 'x' holds NaN at \(1, 2\)"):
        files.read(path, "test")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "has no header of this package"),
        ({"format": "pt"}, "has no header of this package"),
        ({files.KEY: "{"}, "the header is damaged"),
        ({files.KEY: "[" * 100_000}, "the header is damaged"),
        ({files.KEY: "[]"}, "not an object"),
        ({files.KEY: '{"format": "other", "version": 1}'}, "its format is 'other'"),
        ({files.KEY: '{"format": "test"}'}, "version is None"),
        ({files.KEY: '{"format": "test", "version": true}'}, "version is True"),
        ({files.KEY: '{"format": "test", "version": "1"}'}, "version is '1'"),
        ({files.KEY: '{"format": "test", "version": NaN}'}, "NaN is not JSON"),
        ({files.KEY: '{"x": 1e999}'}, "1e999 is not JSON"),
        ({files.KEY: '{"x": ' + "9" * 5000 + "}"}, "the header is damaged"),
    ],
)
def test_headers_that_are_not_ours(path: Path, metadata: Any, message: str) -> None:
    save_file({"x": np.zeros(1)}, path, metadata=metadata)
    with pytest.raises(ValueError, match=message) as caught:
        files.read(path, "test")
    assert str(path) in str(caught.value)


def test_files_of_a_later_release(path: Path) -> None:
    files.write(path, {}, {"format": "test", "version": 7})
    _, header = files.read(path, "test")
    with pytest.raises(ValueError, match="format version 7, and this release reads up to 1"):
        files.require(path, header, 1)
    files.require(path, header, 7)


@pytest.mark.skipif(os.name == "nt", reason="limits of a process")
def test_a_disk_without_room_is_an_oserror(run_python: Callable[..., str], tmp_path: Path) -> None:
    # A limit on the size of files stands in for a full disk.
    code = """
        import os, resource
        import numpy as np
        from matrixbayes._base import files
        files.write("file", {"x": np.zeros(3)}, {"format": "test", "version": 1})
        before = open("file", "rb").read()
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        try:
            files.write("file", {"x": np.zeros(10_000)}, {"format": "test", "version": 1})
        except OSError as error:
            print(error)
        assert open("file", "rb").read() == before
        assert os.listdir() == ["file"], os.listdir()
    """
    assert "cannot write" in run_python(inspect.cleandoc(code))


# --- what systems lack


def copy_without_locks(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module as it is where there is no fcntl."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    about = importlib.util.spec_from_file_location("without_locks", whole.__file__)
    assert about is not None
    assert about.loader is not None
    module = importlib.util.module_from_spec(about)
    about.loader.exec_module(module)
    return module


def test_files_and_folders_are_written_where_there_are_no_locks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = copy_without_locks(monkeypatch)
    assert module.locks is None
    left = tmp_path / f".a.{'0' * 16}.tmp"
    left.write_bytes(b"of one that may still write")
    module.write_bytes(tmp_path / "a", b"new")
    with module.staging(tmp_path, "a") as folder:
        (folder / "b").write_bytes(b"two")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "b").read_bytes() == b"two"
    assert sorted(os.listdir(tmp_path)) == [left.name, "a", "b"]


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_what_another_process_clears_is_begun_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It may hold what was just made before the one that made it does."""
    answers = iter([False, True, False, True])
    monkeypatch.setattr(whole, "_is_ours", lambda *_: next(answers))
    whole.write_bytes(tmp_path / "a", b"new")
    with whole.staging(tmp_path, "b") as folder:
        (folder / "b").write_bytes(b"two")
    assert next(answers, None) is None
    assert (tmp_path / "a").read_bytes() + (tmp_path / "b").read_bytes() == b"newtwo"


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_a_file_is_ours_unless_another_holds_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    with open(path, "wb") as first, open(path, "rb") as second:
        assert whole._is_ours(first.fileno(), str(path))
        assert not whole._is_ours(second.fileno(), str(path))

        def no_locks(*_: Any) -> None:
            raise OSError(errno.ENOLCK, "no locks")

        monkeypatch.setattr(whole, "locks", SimpleNamespace(flock=no_locks, LOCK_EX=2, LOCK_NB=4))
        assert whole._is_ours(second.fileno(), str(path))


def test_only_regular_files_are_replaced(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("pipes with names")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file, and only such are replaced"):
        whole.write_bytes(tmp_path / "pipe", b"")


def test_folders_are_not_synced_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "os", SimpleNamespace(name="nt"))  # it opens nothing
    whole.sync_folder("no such folder")


@pytest.mark.skipif(not hasattr(os, "fchown"), reason="owners")
def test_the_owner_of_what_is_replaced_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, seen = tmp_path / "a", []
    path.write_bytes(b"old")
    before = os.stat(path)
    monkeypatch.setattr(os, "fchown", lambda _, *owner: seen.append(owner))
    fields = list(before)
    fields[stat.ST_UID] += 1
    with open(path, "rb") as file:
        whole._hand_on(os.stat_result(fields), file.fileno())
    assert seen == [(before.st_uid + 1, before.st_gid)]


# --- what is too much


def test_what_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "FREE", 1000)
    bomb = unpacked.Unpacked(io.BytesIO(bytes(2000)), 5, "r.gz")
    with pytest.raises(ValueError, match=r"r\.gz unpacks to more than 200 times what it is"):
        bomb.readinto(bytearray(2000))


def test_an_array_of_many_axes_is_none_of_ours(path: Path) -> None:
    save_file({"a": np.zeros((1,) * 9)}, path, metadata={files.KEY: json.dumps(HEADER)})
    with pytest.raises(ValueError, match="array 'a' has more axes than any that these files hold"):
        files.read(path, "test")


def test_a_long_reason_is_cut(path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.b: x{800}\.\.\.$"), files.naming("a.b"):
        raise ValueError("x" * 10_000)
