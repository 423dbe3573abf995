"""Columns of ids and log-probabilities, in arrays, tables and files."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records.shown import listed

import matrixbayes as mb
from matrixbayes.rows import NextTokenRows, PartialRows

IDS = [[7, 3, 9], [3, 2, 7]]
NUMBERS = np.log([[0.5, 0.25, 0.125], [0.75, 0.125, 0.0625]])
REST = np.log([0.125, 0.0625])


def test_arrays() -> None:
    rows = mb.from_topk(IDS, NUMBERS, REST)
    assert rows.tokens == ("<2>", "<3>", "<7>", "<9>", "<other>")
    assert listed(rows, 1) == {"<2>": NUMBERS[1, 1], "<3>": NUMBERS[1, 0], "<7>": NUMBERS[1, 2]}
    assert np.array_equal(rows.rest, REST)
    assert np.allclose(mb.from_topk(IDS, NUMBERS).rest, REST)
    probs = mb.from_topk(IDS, np.exp(NUMBERS), np.exp(REST), kind="probs")
    assert np.allclose(probs.log_probs, rows.log_probs)
    assert np.array_equal(rows.cap, np.minimum(NUMBERS[:, -1], REST))


def test_a_vocabulary_of_a_size() -> None:
    rows = mb.from_topk(np.array(IDS, np.int32), NUMBERS.astype(np.float32), n_tokens=10)
    assert rows.n_tokens == 10
    assert rows.tokens is None
    assert rows[0].columns.tolist() == [3, 7, 9]
    whole = mb.from_topk([[1, 0]], np.log([[0.75, 0.25]]), n_tokens=2)
    assert whole.rest[0] == -np.inf
    with pytest.raises(ValueError, match="id 9 among 8"):
        mb.from_topk(IDS, NUMBERS, n_tokens=8)


def test_rows_of_unequal_length_and_padding() -> None:
    rows = mb.from_topk([[7, 3, 9], [3]], [NUMBERS[0], NUMBERS[1, :1]])
    padded = mb.from_topk([[7, 3, 9], [3, -1, -1]], [NUMBERS[0], [NUMBERS[1, 0], 0.0, -np.inf]])
    floats = mb.from_topk(
        [[7.0, 3.0, 9.0], [3.0, 4.0, 5.0]], [NUMBERS[0], [NUMBERS[1, 0], -9999.0, -np.inf]]
    )
    for other in (padded, floats):
        for name in ("columns", "log_probs", "starts", "rest", "cap"):
            assert np.array_equal(getattr(rows, name), getattr(other, name))


class DataSet:
    """As datasets has it: columns by name, which are no attribute `columns`."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.column_names, self._columns = [*columns], columns

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]


class Two:
    """A tokenizer of two words."""

    def get_vocab(self) -> dict[str, int]:
        return {"no": 0, "yes": 1}

    def __len__(self) -> int:
        return 2

    def decode(self, ids: Any) -> str:
        return " ".join(("no", "yes")[i] for i in ids)


def test_tables(tmp_path: Path) -> None:
    rows = mb.from_topk(IDS, NUMBERS, REST)
    table = {"topk_ids": IDS, "topk_logprobs": NUMBERS, "other_logprob": REST}
    sources: list[Any] = [table]
    pandas = pytest.importorskip("pandas")
    sources.append(pandas.DataFrame({key: list(value) for key, value in table.items()}))
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pyarrow.table(
        {key: [list(x) if np.ndim(x) else x for x in value] for key, value in table.items()}
    )
    parquet.write_table(arrow, tmp_path / "t.parquet", row_group_size=1)
    sources += [arrow, pyarrow.concat_tables([arrow[:1], arrow[1:]]), tmp_path / "t.parquet"]
    sources.append(arrow.combine_chunks().to_batches()[0])
    sources.append(DataSet(arrow.to_pydict()))
    sources.append(arrow.to_pylist())
    lines = tmp_path / "t.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in arrow.to_pylist()), "utf-8")
    sources.append(lines)
    for source in sources:
        found = mb.from_topk(source)
        assert isinstance(found, PartialRows)
        for name in ("columns", "log_probs", "starts", "rest", "cap", "token_ids"):
            assert np.array_equal(getattr(rows, name), getattr(found, name)), name
    named = {"i": IDS, "p": np.exp(NUMBERS)}
    assert np.allclose(mb.from_topk(named, columns=("i", "p"), kind="probs").rest, REST)
    with pytest.raises(ValueError, match="no column 'topk_ids'"):
        mb.from_topk(named)
    with pytest.raises(ValueError, match=r"no column 'ids'.*which of \['topk_ids'"):
        mb.from_topk(tmp_path / "t.parquet", columns=("ids", "topk_logprobs"))


def test_sequences(tmp_path: Path) -> None:
    """As caches of teachers have them: the places of each sequence, which may be padded."""
    ids = [[[7, 3], [9, 2]], [[3, 2]]]
    numbers = [[[-0.5, -1.5], [-0.25, -2.0]], [[-1.0, -1.5]]]
    flat = [place for each in ids for place in each], [place for each in numbers for place in each]
    whole = mb.from_topk(*flat)
    table = {"topk_ids": ids, "topk_logprobs": numbers}
    sources: list[Any] = [(ids, numbers), (iter(ids), iter(numbers)), (table,)]
    sources.append(([np.array(x) for x in ids], [np.array(x) for x in numbers]))
    padded = np.full((2, 2, 2), -1), np.full((2, 2, 2), -np.inf)
    for i, each in enumerate(ids):
        padded[0][i, : len(each)], padded[1][i, : len(each)] = each, numbers[i]
    arrow = pytest.importorskip("pyarrow").table(table)
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow, tmp_path / "t.parquet")
    sources += [(arrow,), (tmp_path / "t.parquet",), (arrow.to_pandas(),)]
    table["other_logprob"] = [list(part) for part in np.split(whole.rest, [2])]
    sources.append((pytest.importorskip("pyarrow").table(table),))
    for source in sources:
        rows = mb.from_topk(*source)
        assert rows.meta["prompt"] == [0, 0, 1]
        assert rows.meta["position"] == [0, 1, 0]
        for name in ("columns", "log_probs", "starts", "rest", "cap", "token_ids"):
            assert np.array_equal(getattr(rows, name), getattr(whole, name)), name
    rows = mb.from_topk(*padded)
    assert rows.meta["position"] == [0, 1, 0, 1]
    assert np.array_equal(rows[[0, 1, 2]].log_probs, whole.log_probs)
    good = np.log([[[0.5, 0.25]]])
    assert mb.from_topk([[[1, 2]]], good, np.log([[0.25]])).rest.tolist() == [np.log(0.25)]
    assert mb.from_topk([[[1, 2]]], good, np.log([0.25])).rest.tolist() == [np.log(0.25)]


def test_numbers_of_any_kind_are_read() -> None:
    """Scalars of arrays, and numbers that NumPy holds as objects."""
    whole = mb.from_topk([[7, 3]], [[-0.5, -1.5]])
    numbers = [[Fraction(-1, 2), Fraction(-3, 2)]]
    for ids, logs in (
        ([[np.array(7), np.array(3)]], [[np.array(-0.5), np.array(-1.5)]]),
        ([[7, 3]], numbers),
    ):
        assert mb.from_topk(ids, logs)[0].log_probs.tolist() == whole[0].log_probs.tolist()


def test_a_tokenizer_names_the_columns_of_a_size() -> None:
    rows = mb.from_topk([[1, 0]], [[-0.5, -1.5]], n_tokens=4, tokenizer=Two())
    assert rows.tokens == ("no", "yes", "<2>", "<3>")
    assert mb.from_topk([[0]], [[0.0]], n_tokens=1, tokenizer=Two()).tokens == ("no",)


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    values, ids = torch.log_softmax(torch.tensor([[3.0, 1.0, 0.0, 2.0]]), -1).topk(2)
    rows = mb.from_topk(ids, values.bfloat16(), n_tokens=4)
    assert rows[0].columns.tolist() == [0, 3]
    np.testing.assert_allclose(rows[0].log_probs, values[0].bfloat16().float())


def test_answers() -> None:
    rows = mb.from_topk(IDS, NUMBERS, vocab={"a": [3, 7], "b": 2})
    assert not isinstance(rows, NextTokenRows)  # 2 is not listed in the first row
    assert rows.determined.tolist() == [False, True]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (([[1, 2]], [[-1.0]]), "row 0 has 2 ids and 1"),
        (([[1], [2]], [[-1.0]]), "2 rows of ids have 1"),
        (([[1.5]], [[-1.0]]), "whole numbers"),
        (([[1]], [[-1.0]], [0.1, 0.2]), "rest has the shape"),
        (([1, 2], [[-1.0], [-2.0]]), "no list"),
        ((np.zeros((1, 2, 3), int), [[-1.0]]), "2 rows of ids have 1"),
        ((np.zeros((1, 1, 2, 3), int), [[-1.0]]), "they need"),
        (([[[1], [2]]], [[[-1.0]], [[-1.0]]]), "different lengths"),
        (([[1]], [[0.5]]), "row 0"),
        (([[1]], [[math.nan]]), "row 0"),
        (([[1, 1]], [[-1.0, -2.0]]), "twice"),
        (([[1, 2]], [[-0.1, -0.1]]), "sum to|together"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        mb.from_topk(*arguments)


def test_wrong_words_are_refused() -> None:
    with pytest.raises(ValueError, match="is not one of"):
        mb.from_topk(IDS, NUMBERS, kind="logits")
    with pytest.raises(ValueError, match="is no probability"):
        mb.from_topk([[1]], [[-0.5]], kind="probs")
    with pytest.raises(ValueError, match="columns names"):
        mb.from_topk({"a": 1}, columns=("a",))
