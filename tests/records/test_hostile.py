"""Records that are not what they should be give rows, or one sentence: no reader falls over."""

from __future__ import annotations

import contextlib
import copy
import gzip
import json
import math
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from records.shown import DATA, entry

import matrixbayes as mb

Read = Callable[..., Any]


def of_prompt(read: Read) -> Read:
    return lambda record: read(record, prompt=True)


READERS: dict[str, list[Read]] = {
    "inspect_log.json": [mb.from_inspect, of_prompt(mb.from_inspect)],
    "llama_cpp.json": [mb.from_llama_cpp],
    "llama_cpp_after_sampling.json": [mb.from_llama_cpp],
    "llama_cpp_old.json": [mb.from_llama_cpp],
    "ollama_stream.jsonl": [mb.from_ollama, mb.from_samples],
    "openai_chat.json": [mb.from_openai, mb.from_samples],
    "openai_chat_stream.txt": [mb.from_openai],
    "openai_completions.json": [mb.from_openai, of_prompt(mb.from_openai)],
    "openai_responses.json": [mb.from_openai, mb.from_samples],
    "samples_toy_2026-01-01T00-00-00.000000.jsonl": [mb.from_lm_eval],
    "sglang.json": [mb.from_sglang, of_prompt(mb.from_sglang)],
    "tgi.json": [mb.from_tgi],
    "vllm_chat.json": [mb.from_vllm, of_prompt(mb.from_vllm)],
    "vllm_completions.json": [mb.from_vllm, of_prompt(mb.from_vllm)],
}
ABSENT = object()
DEEP: Any = []
for _ in range(3000):
    DEEP = [DEEP]
VALUES = [ABSENT, None, 5, -1, 10**30, float("nan"), "\ufffd", {"a": 1}, [None], [5, "x"], DEEP]


def loaded(path: Path) -> Any:
    lines = path.read_text("utf-8")
    if path.suffix == ".json":
        return json.loads(lines)
    bare = (line.removeprefix("data:").strip() for line in lines.splitlines())
    return [json.loads(line) for line in bare if line[:1] == "{"]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from places(inner, (*path, i))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    value = copy.copy(value)
    if len(path) > 1:
        value[path[0]] = changed(value[path[0]], path[1:], new)
    elif new is ABSENT:
        del value[path[0]]
    else:
        value[path[0]] = new
    return value


def test_every_written_record_is_changed() -> None:
    assert {path.name for path in DATA.iterdir()} == {*READERS}


@pytest.mark.parametrize("name", READERS)
def test_a_record_of_which_a_field_is_another_gives_rows_or_a_sentence(name: str) -> None:
    whole = loaded(DATA / name)
    for path in places(whole):
        for value in VALUES:
            wrong = changed(whole, path, value)
            for read in READERS[name]:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        read(wrong)
                    except (FileNotFoundError, ValueError, TypeError) as error:
                        assert str(error).count(" ") >= 3  # noqa: PT017
                        assert len(str(error)) < 500  # noqa: PT017


def test_damaged_files_are_named(tmp_path: Path) -> None:
    text = json.dumps(loaded(DATA / "openai_chat.json"))
    packed = bytearray(gzip.compress(text.encode()))
    packed[40:60] = b"\xff" * 20
    path = tmp_path / "r.json.gz"
    path.write_bytes(packed)
    with pytest.raises(ValueError, match=r"r\.json\.gz is no complete gzip file"):
        mb.from_openai(path)
    path = tmp_path / "log.eval"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match=r"log\.eval is no complete log"):
        mb.from_inspect(path)
    with pytest.raises(ValueError, match="the bytes are no text in UTF-8"):
        mb.from_openai(b"{\xff")
    with pytest.raises(ValueError, match="record 0 is not complete JSON"):
        mb.from_openai("[" + "1" * 5000 + "]")


def test_what_is_wrong_in_a_file_is_named_by_its_line(tmp_path: Path) -> None:
    good = json.dumps({"choices": [{"logprobs": {"content": [entry("a", -0.5)]}}]})
    path = tmp_path / "r.jsonl"
    path.write_text(good + "\n\n" + good.replace("-0.5", "0.5") + "\n", "utf-8")
    with pytest.raises(ValueError, match=r"r\.jsonl, line 3, position 0: 0\.5 is no log-prob"):
        mb.from_openai(path)
    log = loaded(DATA / "inspect_log.json")
    log["samples"][0]["output"]["choices"][0]["logprobs"] = None
    with pytest.raises(ValueError, match=r"sample \S+, epoch 1: there are no log-probabilities"):
        mb.from_inspect(log)


def of_ids(name: str, ids: list[int]) -> str:
    """A record of one place that lists these ids, the first of which came next."""
    log_prob = -math.log(2 * len(ids))
    each = [{"id": i, "token": "t", "text": "t", "logprob": log_prob} for i in ids]
    if name == "sglang":
        triples = [[log_prob, i, "t"] for i in ids]
        about = {"output_token_logprobs": triples[:1], "output_top_logprobs": [triples]}
        return json.dumps({"text": "t", "output_ids": ids[:1], "meta_info": about})
    if name == "tgi":
        details = {"tokens": each[:1], "top_tokens": [each]}
        return json.dumps({"generated_text": "t", "details": details})
    if name == "vllm":
        place = {str(one["id"]): {"logprob": log_prob, "decoded_token": "t"} for one in each}
        choice = {"prompt_logprobs": [None, place], "prompt_token_ids": [0, ids[0]]}
        return json.dumps({"choices": [choice]})
    if name == "openai":
        tops = [{"token": f"token_id:{i}", "logprob": log_prob} for i in ids]
        content = [{**tops[0], "top_logprobs": tops}]
        return json.dumps({"choices": [{"logprobs": {"content": content}}]})
    return json.dumps({"completion_probabilities": [{**each[0], "top_logprobs": each}]})


OF_IDS: dict[str, Read] = {
    "llama_cpp": mb.from_llama_cpp,
    "openai": mb.from_openai,
    "sglang": mb.from_sglang,
    "tgi": mb.from_tgi,
    "vllm": of_prompt(mb.from_vllm),
}


@pytest.mark.promise(12)
@pytest.mark.parametrize("name", OF_IDS)
def test_an_id_is_no_size(name: str, figure: Callable[[str], None]) -> None:
    """Rows are over the ids that are there, however far apart, and no more memory is asked for."""
    ids = [0, 7, 2**32 - 1]
    text = of_ids(name, ids)
    OF_IDS[name](text)
    tracemalloc.start()
    try:
        rows = OF_IDS[name](text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows.token_ids.tolist() == [*ids, -1]
    figure(f"{name}: ids up to 2^32 in {len(text)} bytes, {peak / 1e6:.1f} MB")
    assert peak < 4_000_000
    for wrong in (-1, 2**32, 2**40, 2**63, 10**30):
        if name != "openai" or wrong > 0:  # where it is a text
            with pytest.raises(ValueError, match=r"a token has the id"):
                OF_IDS[name](of_ids(name, [3, wrong]))


@pytest.mark.promise(14)
@pytest.mark.no_sanitizer
@pytest.mark.parametrize("name", OF_IDS)
def test_ids_of_one_hash_are_refused_at_once(name: str, figure: Callable[[str], None]) -> None:
    """Python's hash of a whole number is its remainder by 2^61 - 1."""
    n = 6000
    plain = of_ids(name, [7 * i for i in range(n)])
    flood = of_ids(name, [(2**61 - 1) * i for i in range(n)])

    def seconds(text: str) -> float:
        best = math.inf
        for _ in range(3):
            start = time.process_time()
            with contextlib.suppress(ValueError):
                OF_IDS[name](text)
            best = min(best, time.process_time() - start)
        return best

    usual, hostile = seconds(plain), seconds(flood)
    figure(f"{name}: {n} ids of one hash {hostile / usual:.2f} of others")
    assert hostile < 2 * usual


def test_the_id_of_no_tokenizer_is_refused() -> None:
    class Tokenizer:
        def get_vocab(self) -> dict[str, int]:
            return {"a": 0, "b": 1}

        def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
            return ["ab"[i] for i in ids]

    with pytest.raises(ValueError, match="the tokenizer has 2 tokens"):
        mb.from_tgi(of_ids("tgi", [0, 2**30]), tokenizer=Tokenizer())
