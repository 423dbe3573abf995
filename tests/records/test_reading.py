"""Records come in any form, once and in order; what is cut short is named by its line."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from matrixbayes.records import reading

ONE, TWO = {"a": 1, "b": [1, "]}"]}, {"a": {"c": None}}


def read(source: Any) -> list[Any]:
    return [record for record, _ in reading.records(source)]


def places(source: Any) -> list[str]:
    return [reading.in_words(w) for _, w in reading.records(source)]


def written(path: Path, text: str) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, "utf-8")
    return path


TEXTS = [
    json.dumps([ONE, TWO]),
    json.dumps([ONE, TWO], indent=2),
    f"{json.dumps(ONE)}\n{json.dumps(TWO)}\n",
    f"\n\n{json.dumps(ONE)}\n\n  {json.dumps(TWO)}",
    f"data: {json.dumps(ONE)}\n\nevent: x\n: ping\ndata: {json.dumps(TWO)}\n\ndata: [DONE]\n\n",
    f"[{json.dumps(ONE)}]\n[{json.dumps(TWO)}]\n",
    json.dumps([[ONE], [], [TWO]]),
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", ["r.json", "r.jsonl", "r.jsonl.gz"])
def test_the_same_records_in_every_form(tmp_path: Path, text: str, name: str) -> None:
    path = written(tmp_path / name, text)
    assert read(text) == read(text.encode()) == read(path) == read(str(path)) == [ONE, TWO]


def test_a_document_over_several_lines(tmp_path: Path) -> None:
    assert read(written(tmp_path / "r.json", json.dumps(ONE, indent=4))) == [ONE]
    assert read("\ufeff" + json.dumps(ONE, indent=4)) == [ONE]


def test_documents_over_several_lines_one_behind_the_other() -> None:
    """As jq prints them."""
    text = "\n" + json.dumps(ONE, indent=2) + "\n" + json.dumps(TWO, indent=2) + "\n"
    assert read(text) == [ONE, TWO]
    assert places(text) == ["the text, line 2", "the text, line 9"]
    with pytest.raises(ValueError, match="line 9 is not complete JSON"):
        read(text[:-4])
    with pytest.raises(ValueError, match="line 3 is not complete JSON"):
        read("\n\n" + '{"a": ')


def test_lists_on_a_line_are_opened() -> None:
    text = json.dumps(ONE) + "\n" + json.dumps([[TWO], ONE])
    assert read(text) == [ONE, TWO, ONE]
    assert places(text)[1:] == ["the text, line 2"] * 2


def test_mixed_lists_and_generators(tmp_path: Path) -> None:
    path, thing = written(tmp_path / "r.jsonl", TEXTS[2]), SimpleNamespace(a=3)
    mixed = [ONE, path, json.dumps(TWO), [thing]]
    assert read(mixed) == read(iter(mixed)) == read(x for x in mixed) == [ONE, ONE, TWO, TWO, thing]
    assert places(mixed)[:3] == ["record 0", f"{path}, line 1", f"{path}, line 2"]


def test_objects_that_are_iterable_are_records() -> None:
    class Pydantic(SimpleNamespace):
        def __iter__(self) -> Any:
            return iter(vars(self).items())

        def model_dump(self) -> dict[str, Any]:
            return vars(self)

    thing = Pydantic(a=1)
    assert read([thing]) == [thing]
    assert reading.field(thing, "a") == 1
    assert reading.field(thing, "b", 5) == 5


BROKEN: list[tuple[str, str]] = [
    (json.dumps(ONE) + '\n{"a":', "line 2 is not complete JSON"),
    (json.dumps(ONE) + "\nnonsense", "line 2 is not complete JSON"),
    ('{"a": 1', "line 1 is not complete JSON"),
    ('[{"a": 1}, {"b":', "record 1 is not complete JSON"),
    ('[{"a": 1}', "record 1 is not complete JSON"),
    ("[" * 100_000, "too deep"),
    ('{"a":' * 100_000, "too deep"),
    ("[" + '{"a":' * 100_000, "too deep"),
    ("[1, 2]", "1 is no record"),
    (json.dumps(ONE) + "\n\n{", "line 3 is not complete JSON"),
    (json.dumps(ONE) + "\n3", "line 2: 3 is no record"),
    (json.dumps(ONE) + "\n" + "[" * 9 + "{}" + "]" * 9, "line 2: lists in lists, too deep"),
]


@pytest.mark.parametrize(("text", "why"), BROKEN)
def test_what_is_cut_short_or_hostile_is_named(tmp_path: Path, text: str, why: str) -> None:
    path = written(tmp_path / "r.jsonl", text)
    for source in (text, path):
        with pytest.raises(ValueError, match=why):
            read(source)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="neither JSON nor the path"):
        read("no such file.jsonl")
    with pytest.raises(IsADirectoryError, match="a folder"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="is not a regular file: give its text"):
        read(tmp_path / "pipe")
    cut = written(tmp_path / "r.jsonl.gz", TEXTS[2] * 100)
    cut.write_bytes(cut.read_bytes()[:-20])
    with pytest.raises(ValueError, match="no complete gzip"):
        read(cut)
    other = tmp_path / "r.jsonl"
    other.write_bytes(b'{"a": "\xff"}\n')
    with pytest.raises(ValueError, match="UTF-8"):
        read(other)
    for wrong in (None, 3, [3.5]):
        with pytest.raises(TypeError, match="no record"):
            read(wrong)
    nested: list[Any] = []
    nested.append(nested)
    with pytest.raises(ValueError, match="lists of lists"):
        read(nested)


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_a_list_is_read_through_a_buffer_of_any_size(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(reading, "BUFFER", size)
    long = {"a": "x" * 100, "b": [{"c": "\u2581\u00e9]"}] * 3}
    assert read(json.dumps([ONE, long, TWO, {}, long], indent=1)) == [ONE, long, TWO, {}, long]


def test_a_long_file_is_never_whole_in_memory(tmp_path: Path) -> None:
    """Neither a list nor lines: what is read of it is little when its first record is given."""

    class Counting:
        def __init__(self, text: str) -> None:
            self.text, self.at = text, 0

        def read(self, n: int = -1) -> str:
            n = len(self.text) - self.at if n < 0 else n
            self.at += n
            return self.text[self.at - n : self.at]

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> str:
            end = self.text.index("\n", self.at) + 1
            return self.read(end - self.at)

    lines = (json.dumps({"a": "x" * 1000}) + "\n") * 5000
    forms: list[Callable[[], str]] = [lambda: lines, lambda: json.dumps([{"a": "x" * 1000}] * 5000)]
    for form in forms:
        file = Counting(form())
        records = reading._of_stream(file, "file", 0)
        assert next(records)[0] == {"a": "x" * 1000}
        assert file.at < 1.1 * reading.BUFFER < len(file.text) / 4
