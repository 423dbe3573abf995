"""Rows known in part as files: round trips, what others write, what is wrong with a file."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rows.test_partial import full_rows, same, some

from matrixbayes._base import files
from matrixbayes.rows import PartialRows, partial

LOGS = np.log([[0.5, 0.3], [0.7, 0.1]])


@pytest.fixture
def arrow() -> Any:
    return pytest.importorskip("pyarrow")


def write(path: Path, **columns: Any) -> Path:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


# --- safetensors


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("columns", np.array([0, 4, 1, 9], np.int32), "row 1 lists column 9"),
        ("log_probs", np.array([-1.0, -1.0, 0.5, -1.0], np.float32), "row 1, column 1 is 0.5"),
        ("rest", np.array([-1.0, -1.0, 0.0]), "together"),
        ("starts", np.array([0, 2, 3]), "starts must rise"),
        ("more", np.zeros(3), "does not hold what a file of such rows holds"),
    ],
)
def test_a_damaged_file_is_refused(name: str, value: Any, why: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.safetensors"
    some().save(path)
    arrays, header = files.read(path, partial.FORMAT)
    files.write(path, arrays | {name: value}, header)
    with pytest.raises(ValueError, match=f"rows.safetensors.*{why}"):
        PartialRows.load(path)


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.safetensors"
    some().save(path)
    arrays, header = files.read(path, partial.FORMAT)
    files.write(path, arrays, header | {"version": partial.VERSION + 1})
    with pytest.raises(ValueError, match="install a newer matrixbayes"):
        PartialRows.load(path)
    for change in ({"tokens": 5}, {"n_tokens": None}, {"meta": []}):
        files.write(path, arrays, header | change)
        with pytest.raises(ValueError, match=r"rows\.safetensors"):
            PartialRows.load(path)


# --- parquet


def test_parquet_says_the_same(arrow: Any, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    full = full_rows(300, 40, 3, least=-1.0)
    for rows in (PartialRows.from_rows(full, 20), PartialRows.from_rows(full, 40)):
        rows.to_parquet(path)
        assert same(PartialRows.from_parquet(path), rows)
    for short in (some(token_ids=[7, 3, 9, 11, 12]), some(), some()[:0]):
        short.to_parquet(path)
        again = PartialRows.from_parquet(path)
        np.testing.assert_allclose(again.rest, short.rest, rtol=1e-6)
        np.testing.assert_array_equal(again.columns, short.columns)
        np.testing.assert_array_equal(again.log_probs, short.log_probs)
        np.testing.assert_allclose(again.cap, short.cap, rtol=1e-6)
        assert (again.tokens, again.meta) == (short.tokens, short.meta)
        np.testing.assert_array_equal(again.input_ids, short.input_ids)
    schema = arrow.parquet.read_schema(path)
    assert [str(schema.field(name).type) for name in ("topk_ids", "topk_logprobs")] == [
        "list<element: int32>",
        "list<element: float>",
    ]
    assert str(schema.field("other_logprob").type) == "float"


def test_ids_are_the_models_own(arrow: Any, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    some(token_ids=[7, 3, 9, 11, 12]).to_parquet(path)
    table = arrow.parquet.read_table(path)
    assert table["topk_ids"].to_pylist() == [[7, 12], [3, 9], []]
    rows = PartialRows.from_parquet(
        write(path, topk_ids=[[100, 7]], topk_logprobs=LOGS[:1].tolist()), token_ids=[7, 55, 100]
    )
    assert rows.columns.tolist() == [0, 2]
    assert rows.n_tokens == 3
    with pytest.raises(ValueError, match="row 0 lists the token id 100, which is not among"):
        PartialRows.from_parquet(path, token_ids=[7, 55])


@pytest.mark.parametrize("ids", ["int64", "large", "fixed", "uint16"])
@pytest.mark.parametrize("logs", ["float", "double", "halffloat"])
def test_files_of_others(ids: str, logs: str, arrow: Any, tmp_path: Path) -> None:
    kinds = {
        "int64": arrow.list_(arrow.int64()),
        "large": arrow.large_list(arrow.int32()),
        "fixed": arrow.list_(arrow.int32(), 2),
        "uint16": arrow.list_(arrow.uint16()),
    }
    real = {"float": arrow.float32(), "double": arrow.float64(), "halffloat": arrow.float16()}[logs]
    path = write(
        tmp_path / "rows.parquet",
        topk_ids=arrow.array([[5, 2], [1, 8]], kinds[ids]),
        topk_logprobs=arrow.array(
            [[np.float16(x) if logs == "halffloat" else x for x in row] for row in LOGS],
            arrow.list_(real),
        ),
        text=["a", "b"],
    )
    rows = PartialRows.from_parquet(path, n_tokens=10)
    assert rows.columns.tolist() == [2, 5, 1, 8]
    assert rows.log_probs.dtype == (np.float64 if logs == "double" else np.float32)
    np.testing.assert_allclose(np.exp(rows.rest), [0.2, 0.2], atol=2e-3)
    with pytest.raises(ValueError, match="does not say how many tokens there are: give n_tokens="):
        PartialRows.from_parquet(path)
    assert PartialRows.from_parquet(path, tokens="abcdefghij").tokens == tuple("abcdefghij")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"topk_ids": [[1, 2], None]}, "topk_ids is null in row 1"),
        ({"topk_logprobs": [[-1.0, -1.0], [None, -1.0]]}, "topk_logprobs holds null in row 1"),
        ({"other_logprob": [-1.6, None]}, "other_logprob is null in row 1"),
        ({"topk_ids": [[1, 2], [1]]}, "row 1 has not as many topk_ids as topk_logprobs"),
        ({"topk_ids": [1, 2]}, "topk_ids is int64; it must be a list"),
        ({"topk_ids": [[1, 1], [1, 2]]}, "row 0 lists column 1 twice"),
        ({"topk_logprobs": [[-1.0, -9999.0], [-1.0, -1.0]]}, "-9999.*not among the top"),
        ({"other_logprob": [-1.609438, -0.2]}, "row 1 lists 0.8 and has a rest of"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(
    changes: dict[str, Any], why: str, arrow: Any, tmp_path: Path
) -> None:
    columns = {"topk_ids": [[1, 2], [3, 4]], "topk_logprobs": LOGS.tolist()} | changes
    path = write(tmp_path / "rows.parquet", **columns)
    with pytest.raises(ValueError, match=why):
        PartialRows.from_parquet(path, n_tokens=10)


def test_files_that_are_none(arrow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.parquet"
    with pytest.raises(FileNotFoundError):
        PartialRows.from_parquet(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="not a complete parquet file"):
        PartialRows.from_parquet(path)
    write(path, text=["a"])
    with pytest.raises(ValueError, match="no column topk_ids; such files have"):
        PartialRows.from_parquet(path)
    some().to_parquet(path)

    def broken(*_: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(arrow.parquet, "ParquetFile", broken)
        with pytest.raises(OSError, match="output error") as raised:
            PartialRows.from_parquet(path)
    assert raised.value.errno == errno.EIO  # the disk's, and nothing wrong with the file
    schema = arrow.parquet.read_schema(path)
    about = json.loads(schema.metadata[b"matrixbayes"])
    for text, why in (
        (json.dumps(about | {"version": 2}), "install a newer"),
        (json.dumps(about | {"format": "x"}), "not that of rows"),
        ("{", "the metadata is damaged"),
    ):
        metadata = {b"matrixbayes": text}
        table = arrow.parquet.read_table(path).replace_schema_metadata(metadata)
        arrow.parquet.write_table(table, tmp_path / "changed.parquet")
        with pytest.raises(ValueError, match=why):
            PartialRows.from_parquet(tmp_path / "changed.parquet")


def test_without_pyarrow_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r'pip install "matrixbayes\[parquet\]"'):
        some().to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ImportError, match="pip install pyarrow"):
        PartialRows.from_parquet(tmp_path / "rows.parquet")


def test_a_data_frame_has_a_row_for_each_token() -> None:
    pytest.importorskip("pandas")
    frame = some().to_pandas("probs")
    assert list(frame.columns) == ["row", "prompt", "position", "token", "probs"]
    assert frame["token"].tolist() == ["a", "e", "<rest>", "b", "c", "<rest>", "<rest>"]
    np.testing.assert_allclose(frame["probs"], [0.5, 0.2, 0.3, 0.1, 0.7, 0.2, 1.0], rtol=1e-6)
    found = some().group(["a"]).to_pandas("probs")
    assert found.shape == (3, 4)
    for rows in (some(), some().group(["a"])):
        with pytest.raises(ValueError, match="kind='counts' is not one of 'log_probs', 'probs'"):
            rows.to_pandas("counts")
