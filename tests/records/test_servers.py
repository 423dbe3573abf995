"""SGLang, Text Generation Inference, Ollama and llama.cpp's server."""

from __future__ import annotations

import copy
import json
import struct
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from records.shown import DATA, edges, entry, listed, load

import matrixbayes as mb
from matrixbayes.rows import NextTokenRows

CHAT = {"choices": [{"index": 0, "logprobs": {"content": [entry("a", -0.5, entry("a", -0.5))]}}]}
READERS = [mb.from_vllm, mb.from_sglang, mb.from_tgi, mb.from_ollama, mb.from_llama_cpp]


@pytest.mark.parametrize("read", READERS)
def test_their_endpoints_that_are_openais_are_read(read: Any) -> None:
    assert listed(read(CHAT), 0) == {"a": -0.5}
    with pytest.raises(ValueError, match="top_logprobs=20"):
        read({"choices": [{"index": 0, "message": {"content": "a"}, "logprobs": None}]})


# --- SGLang


def test_sglang() -> None:
    rows = mb.from_sglang(load("sglang.json"))
    assert listed(rows, 0) == {" no": -1.5, " maybe": -6.0, " yes": -0.5}
    assert listed(rows, 1) == {"</s>": -0.5, ".": -3.0, " maybe": -9.0, " yes": -8.0, ",": -1.75}
    assert rows[0].cap == min(-1.5, rows[0].rest)  # not -6: that was asked for by its id
    assert rows[1].cap == min(-1.75, rows[1].rest)
    assert rows.context(1).tolist() == [1, 1317, 372, 9834]
    assert rows.meta["sampled"] == [9834, 13]


def test_sglangs_prompt() -> None:
    rows = mb.from_sglang(load("sglang.json"), prompt=True)
    assert [listed(rows, i) for i in range(2)] == [
        {" The": -1.0, " I": -1.5, " Is": -7.5},
        {" is": -0.5, " it": -2.0},
    ]
    assert rows.meta["position"] == [0, 1]
    assert rows.context(1).tolist() == [1, 1317]
    part = load("sglang.json")
    meta = part[0]["meta_info"]
    for name in ("input_token_logprobs", "input_top_logprobs"):
        meta[name] = meta[name][2:]  # logprob_start_len=2
    rows = mb.from_sglang(part, prompt=True)
    assert rows.meta["position"] == [1]
    assert rows.input_ids is None
    assert mb.from_sglang(part).input_ids is None


@pytest.mark.parametrize("whole", [True, False])
def test_sglangs_streams_say_again_what_they_said_or_only_what_is_new(whole: bool) -> None:
    (record,) = load("sglang.json")
    pieces = []
    for i in range(2):
        piece = copy.deepcopy(record)
        meta = piece["meta_info"]
        meta["completion_tokens"] = i + 1
        meta["finish_reason"] = None if i == 0 else {"type": "length"}
        for name in [name for name in meta if name.startswith("output_")]:
            meta[name] = meta[name][0 if whole else i : i + 1]
        pieces.append(piece)
    rows, plain = mb.from_sglang([*pieces, *pieces]), mb.from_sglang([record, record])
    assert np.array_equal(rows.log_probs, plain.log_probs)
    assert rows.meta["position"] == plain.meta["position"] == [0, 1, 0, 1]
    assert np.array_equal(rows.input_ids, plain.input_ids)


def test_what_sglang_was_not_asked() -> None:
    record = load("sglang.json")[0]
    del record["meta_info"]["output_token_logprobs"], record["meta_info"]["input_token_logprobs"]
    with pytest.raises(ValueError, match="return_logprob=True"):
        mb.from_sglang(record)
    with pytest.raises(ValueError, match="logprob_start_len=0"):
        mb.from_sglang(record, prompt=True)
    with pytest.raises(ValueError, match="no response of SGLang's"):
        mb.from_sglang({"text": "a"})
    record = load("sglang.json")[0]
    record["meta_info"]["output_top_logprobs"].pop()
    with pytest.raises(ValueError, match="2 tokens have 1 lists"):
        mb.from_sglang(record)


# --- Text Generation Inference


def test_tgi() -> None:
    rows = mb.from_tgi(load("tgi.json"))
    assert listed(rows, 0) == {" yes": -0.5, " no": -1.5}
    assert listed(rows, 1) == {"</s>": -0.25, ",": -2.0, ".": -2.5}
    assert rows[1].cap == min(-2.0, rows[1].rest)
    assert rows.token_ids.tolist() == [2, 694, 4874, 29889, 29892, -1]
    with pytest.raises(ValueError, match="a path and not rows"):
        mb.from_tgi(load("tgi.json"), prompt=True)


def test_tgis_stream_and_several_sequences() -> None:
    (record,) = load("tgi.json")
    details = record["details"]
    pairs = zip(details["tokens"], details["top_tokens"], strict=True)
    pieces: list[Any] = [
        {"index": i, "token": token, "top_tokens": top, "generated_text": None, "details": None}
        for i, (token, top) in enumerate(pairs)
    ]
    pieces[-1]["generated_text"] = " yes."
    whole, rows = mb.from_tgi([record, record]), mb.from_tgi(pieces * 2)
    for name in ("columns", "log_probs", "starts", "rest", "cap"):
        assert np.array_equal(getattr(rows, name), getattr(whole, name))
    assert rows.meta == whole.meta
    record["details"]["best_of_sequences"] = [copy.deepcopy(details)]
    assert mb.from_tgi(record).meta["choice"] == [0, 0, 1, 1]
    assert mb.from_tgi({"details": [details, details]}).meta["choice"] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_errors_that_stand_where_responses_do() -> None:
    for read in (mb.from_tgi, mb.from_sglang, mb.from_ollama, mb.from_llama_cpp, mb.from_openai):
        for error in ("too long", {"message": "too long", "type": "validation"}):
            with pytest.raises(ValueError, match="record 0: the record is an error: too long"):
                read([{"error": error}])


def test_what_tgi_gives_after_sampling_is_refused_or_said() -> None:
    (record,) = load("tgi.json")
    idle = {"temperature": 1.0, "top_p": None, "do_sample": True, "details": True}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mb.from_tgi({**record, "parameters": idle})
    for name, value in {"temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.2}.items():
        request = {"inputs": "Is it", "parameters": {name: value}}
        with pytest.raises(ValueError, match=f"the request has {name}={value}"):
            mb.from_tgi({"request": request, "response": record})
    seeded = copy.deepcopy(record)
    seeded["details"]["seed"] = 42
    with pytest.warns(UserWarning, match="has a seed"):
        mb.from_tgi(seeded)
    shut = copy.deepcopy(record)
    shut["details"]["top_tokens"][0][1]["logprob"] = None
    with pytest.raises(ValueError, match=r"shut out"):
        mb.from_tgi(shut)
    with pytest.raises(ValueError, match="details=true, top_n_tokens=20"):
        mb.from_tgi({"generated_text": "a"})
    short = copy.deepcopy(record)
    short["details"]["top_tokens"].pop()
    with pytest.raises(ValueError, match="2 tokens have 1 lists"):
        mb.from_tgi(short)
    del record["details"]["tokens"][0]["id"]
    with pytest.raises(ValueError, match="no id"):
        mb.from_tgi(record)
    none = load("tgi.json")[0]
    del none["details"]["top_tokens"]
    assert listed(mb.from_tgi(none), 0) == {" yes": -0.5}


# --- Ollama


def test_ollama() -> None:
    rows = mb.from_ollama(DATA / "ollama_stream.jsonl")
    assert [listed(rows, i) for i in range(3)] == [
        {"Yes": -0.5, "No": -1.5},
        {"!": -0.5, ",": -1.5, ".": -2.5},
        {"No": -0.25},
    ]
    assert rows.meta["prompt"] == [0, 0, 1]
    assert rows.meta["position"] == [0, 1, 0]
    assert rows.meta["model"] == "llama3.2"
    assert rows[1].cap == min(-1.5, rows[1].rest)
    with pytest.raises(ValueError, match="logprobs=true, top_logprobs=20"):
        mb.from_ollama({"model": "m", "response": "Yes", "done": True})
    with pytest.raises(ValueError, match="is an error: no such model"):
        mb.from_ollama({"error": "no such model"})
    after = {"response": "a", "done": True, "logprobs": [entry("a", 0.9, entry("a", 0.9))]}
    with pytest.raises(ValueError, match="a probability"):  # what some versions pass on
        mb.from_ollama(after)


# --- llama.cpp


def test_llama_cpp() -> None:
    rows = mb.from_llama_cpp(load("llama_cpp.json"))
    assert listed(rows, 0) == {" yes": -0.5, " no": -1.5}  # the least float is not among the top
    assert listed(rows, 1) == {" a": -0.5, " the": -1.75, "<243>": -3.0, " ": -4.0}
    assert rows[1].cap == min(-3.0, rows[1].rest)
    assert rows.meta["model"] == "stories260K.gguf"
    left = 1.0 - np.exp([-0.5, -1.5]).sum()
    np.testing.assert_allclose(edges(rows, 0), [left, left])


def test_llama_cpps_stream() -> None:
    record = load("llama_cpp.json")
    pieces: list[Any] = [
        {"index": 0, "content": "x", "stop": False, "completion_probabilities": [place]}
        for place in record["completion_probabilities"]
    ]
    text = "".join(f"data: {json.dumps(p)}\n\n" for p in [*pieces, {"content": "", "stop": True}])
    rows, whole = mb.from_llama_cpp(text), mb.from_llama_cpp(record)
    assert np.array_equal(rows.log_probs, whole.log_probs)
    assert rows.meta["position"] == [0, 1]
    assert rows.meta["prompt"] == [0, 0]


def test_llama_cpps_endpoint_like_openais_has_ids() -> None:
    content = load("llama_cpp.json")["completion_probabilities"]
    rows = mb.from_llama_cpp({"choices": [{"index": 0, "logprobs": {"content": content}}]})
    assert rows.token_ids.tolist() == [1, 243, 263, 278, 694, 9834, 29871, -1]


def test_llama_cpp_after_sampling_is_refused() -> None:
    for name in ("llama_cpp_after_sampling.json", "llama_cpp_old.json"):
        with pytest.raises(ValueError, match="post_sampling_probs=false"):
            mb.from_llama_cpp(load(name))
    record = load("llama_cpp_after_sampling.json")
    del record["generation_settings"]
    with pytest.raises(ValueError, match="post_sampling_probs=false"):
        mb.from_llama_cpp(record)
    with pytest.raises(ValueError, match="n_probs=20"):
        mb.from_llama_cpp({"content": "yes", "stop": True})
    with pytest.raises(ValueError, match="is an error"):
        mb.from_llama_cpp({"error": {"code": 500}})


@pytest.mark.skipif(sys.byteorder != "little", reason="the files are little-endian")
def test_llama_cpps_file_of_whole_rows(tmp_path: Path) -> None:
    logits = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]], np.float32)
    path = tmp_path / "model.kld"
    path.write_bytes(
        b"_logits_"
        + struct.pack("<3i", 5, 3, 1)
        + np.array([2, 0, 1, 2, 0], "<i4").tobytes()
        + reference.codes(logits).astype("<u2").tobytes()
    )
    rows = mb.from_llama_cpp(path)[:]
    assert isinstance(rows, NextTokenRows)
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(rows.probs(), truth, rtol=2e-4)
    assert rows.context(1).tolist() == [2, 0, 1, 2]
    assert mb.from_llama_cpp(str(path), bos_token_id=1)[:].context(0).tolist() == [1, 0, 1]
    grouped = mb.from_llama_cpp(path, vocab={"a": [0, 2], "b": 1})
    np.testing.assert_allclose(grouped.probs()[:, 1], truth[:, 1], rtol=2e-4)
    with pytest.raises(ValueError, match="rows of it by number"):
        mb.from_llama_cpp(path, positions="last")
    with pytest.raises(ValueError, match="this is none"):
        mb.from_llama_cpp(load("llama_cpp.json"), bos_token_id=1)
