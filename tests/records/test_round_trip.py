"""Full distributions, written in each format by writers of a few lines, and read back.

What is read holds the truth: every listed number is the full row's, every other token is below the
cap, the rest is what they have together, and intervals over answers hold the full row's answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

import matrixbayes as mb
from matrixbayes.rows import BoundedRows, NextTokenRows, PartialRows

WIDTH = 12
# Texts of the tokens; two are halves of a letter, and have no text but their bytes.
RAW = [
    b" yes",
    b" no",
    b"a",
    b"\n",
    "é".encode(),
    b"\xe2\x96",
    b"\x81",
    b'"',
    b" A",
    b"<s>",
    b"0",
    b"b",
]
TEXT = [raw.decode(errors="replace") for raw in RAW]
NAMES = ["<0xE2><0x96>" if i == 5 else "<0x81>" if i == 6 else TEXT[i] for i in range(WIDTH)]

Row = NDArray[np.float64]


def top(row: Row, k: int) -> list[int]:
    return np.argsort(-row, kind="stable")[:k].tolist()


def entry(row: Row, i: int, **more: Any) -> dict[str, Any]:
    return {"token": TEXT[i], "bytes": list(RAW[i]), "logprob": float(row[i]), **more}


def entries(row: Row, k: int, sampled: int) -> dict[str, Any]:
    return entry(row, sampled, top_logprobs=[entry(row, i) for i in top(row, k)])


def chat(rows: Row, k: int, next_: list[int]) -> Any:
    content = [entries(row, k, i) for row, i in zip(rows, next_, strict=True)]
    return mb.from_openai({"choices": [{"index": 0, "logprobs": {"content": content}}]})


def chat_of_vllm(rows: Row, k: int, next_: list[int]) -> Any:
    """The sampled token first, then the most probable ones, cut to k."""
    content = []
    for row, i in zip(rows, next_, strict=True):
        order = [i, *(j for j in top(row, k) if j != i)][:k]
        content.append(entry(row, i, top_logprobs=[entry(row, j) for j in order]))
    return mb.from_openai({"choices": [{"index": 0, "logprobs": {"content": content}}]})


def responses(rows: Row, k: int, next_: list[int]) -> Any:
    content = [entries(row, k, i) for row, i in zip(rows, next_, strict=True)]
    part = {"type": "output_text", "text": "x", "logprobs": content}
    return mb.from_openai(json.dumps({"output": [{"id": "m", "content": [part]}]}))


def completions(rows: Row, k: int, next_: list[int]) -> Any:
    """As llama-cpp-python: the sampled token is put behind, where it is not among the top."""
    text = [
        "bytes:\\xe2\\x96" if i == 5 else "bytes:\\x81" if i == 6 else TEXT[i] for i in range(WIDTH)
    ]
    tops = []
    for row, i in zip(rows, next_, strict=True):
        tops.append({text[j]: float(row[j]) for j in top(row, k)})
        tops[-1][text[i]] = float(row[i])
    log_probs = {
        "tokens": [text[i] for i in next_],
        "token_logprobs": [float(row[i]) for row, i in zip(rows, next_, strict=True)],
        "top_logprobs": tops,
    }
    return mb.from_openai({"choices": [{"index": 0, "logprobs": log_probs}]})


def of_vllm(row: Row, k: int, sampled: int, ranked: bool = True) -> dict[Any, Any]:
    place = {}
    rank = int((row >= row[sampled]).sum())
    for i, r in [(sampled, rank), *zip(top(row, k), range(1, k + 1), strict=False)]:
        place[str(i)] = {"logprob": float(row[i]), "decoded_token": NAMES[i]}
        if ranked:
            place[str(i)]["rank"] = r
    return place


def vllm(rows: Row, k: int, next_: list[int]) -> Any:
    places = [of_vllm(row, k, i) for row, i in zip(rows, next_, strict=True)]
    return mb.from_vllm(
        json.dumps({"choices": [], "prompt_logprobs": [None, *places]}), prompt=True
    )


def vllm_sorted(rows: Row, k: int, next_: list[int]) -> Any:
    places = [of_vllm(row, k, i) for row, i in zip(rows, next_, strict=True)]
    text = json.dumps({"choices": [], "prompt_logprobs": [None, *places]}, sort_keys=True)
    return mb.from_vllm(text, prompt=True)


def vllm_flat(rows: Row, k: int, next_: list[int]) -> Any:
    flat: dict[str, list[Any]] = {
        name: [] for name in ("start_indices", "end_indices", "token_ids", "logprobs", "ranks")
    }
    for row, i in zip(rows, next_, strict=True):
        ids = [i, *top(row, k)]
        flat["start_indices"].append(len(flat["token_ids"]))
        flat["token_ids"] += ids
        flat["logprobs"] += row[ids].tolist()
        flat["ranks"] += [int((row >= row[i]).sum()), *range(1, len(ids))]
        flat["end_indices"].append(len(flat["token_ids"]))
    return mb.from_vllm({"outputs": [{"index": 0, "token_ids": next_, "logprobs": flat}]})


def vllm_unranked(rows: Row, k: int, next_: list[int]) -> Any:
    places = [of_vllm(row, k, i, False) for row, i in zip(rows, next_, strict=True)]
    return mb.from_vllm({"outputs": [{"index": 0, "token_ids": next_, "logprobs": places}]})


def sglang(rows: Row, k: int, next_: list[int]) -> Any:
    def triple(row: Row, i: int) -> list[Any]:
        return [float(row[i]), i, NAMES[i]]

    meta = {
        "output_token_logprobs": [triple(row, i) for row, i in zip(rows, next_, strict=True)],
        "output_top_logprobs": [[triple(row, i) for i in top(row, k)] for row in rows],
        "output_token_ids_logprobs": [[triple(row, 1), triple(row, 0)] for row in rows],
    }
    return mb.from_sglang({"text": "x", "meta_info": meta})


def tgi(rows: Row, k: int, next_: list[int]) -> Any:
    def token(row: Row, i: int) -> dict[str, Any]:
        return {"id": i, "text": NAMES[i], "logprob": float(row[i]), "special": False}

    details = {
        "seed": None,
        "tokens": [token(row, i) for row, i in zip(rows, next_, strict=True)],
        "top_tokens": [[token(row, i) for i in top(row, k)] for row in rows],
    }
    return mb.from_tgi({"generated_text": "x", "details": details})


def ollama(rows: Row, k: int, next_: list[int]) -> Any:
    lines = [
        {"response": "x", "done": False, "logprobs": [entries(row, k, i)]}
        for row, i in zip(rows, next_, strict=True)
    ]
    return mb.from_ollama("\n".join(map(json.dumps, [*lines, {"response": "", "done": True}])))


def llama_cpp(rows: Row, k: int, next_: list[int]) -> Any:
    places = []
    for row, i in zip(rows, next_, strict=True):
        tops = [entry(row, j, id=j) for j in top(row, k)]
        places.append(entry(row, i, id=i, top_logprobs=tops))
    record = {"content": "x", "stop": True, "completion_probabilities": places}
    found = mb.from_llama_cpp(record)
    assert found.token_ids is not None
    return found


def topk(rows: Row, k: int, next_: list[int]) -> Any:
    ids = np.array([top(row, k) for row in rows])
    return mb.from_topk(ids, np.take_along_axis(rows, ids, axis=1))


WRITERS: list[Callable[[Row, int, list[int]], Any]] = [
    chat, chat_of_vllm, responses, completions, vllm, vllm_sorted, vllm_flat, vllm_unranked,
    sglang, tgi, ollama, llama_cpp, topk,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITERS)
@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from([0.1, 1.0, 5.0, 30.0]),
    k=st.integers(1, WIDTH),
    n=st.integers(1, 4),
)
def test_what_is_read_holds_the_truth(
    write: Callable[[Row, int, list[int]], Any], seed: int, spread: float, k: int, n: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, WIDTH)) * spread
    rows -= np.logaddexp.reduce(rows, axis=1, keepdims=True)
    next_ = rng.integers(0, WIDTH, n).tolist()
    found = write(rows, k, next_)
    assert isinstance(found, PartialRows)
    assert len(found) == n
    assert found.tokens is not None
    if found.token_ids is not None:
        column = {int(i): j for j, i in enumerate(found.token_ids)}
    else:
        column = {NAMES.index(name): j for j, name in enumerate(found.tokens[:-1])}
    for row, (columns, log_probs, rest, cap) in zip(rows, found, strict=True):
        listed = [next(i for i, j in column.items() if j == c) for c in columns.tolist()]
        assert np.array_equal(row[listed], log_probs)
        missing = [i for i in range(WIDTH) if i not in listed]
        left = np.exp(row[missing]).sum()
        assert abs(np.exp(rest) - left) < 1e-7  # the rounding that is not taken for 0
        assert np.exp(row[missing]).max(initial=0.0) <= np.exp(cap) + 1e-12
    # Over answers: two tokens, one, and all others.
    spell = (lambda i: i) if found.token_ids is not None else (lambda i: NAMES[i])
    known = found.token_ids is None or {*range(4)} <= column.keys()
    if known:
        answers = found.group({"a": [spell(0), spell(2)], "b": spell(1)})
        truth = np.exp(rows)
        truth = np.stack([truth[:, 0] + truth[:, 2], truth[:, 1]], axis=1)
        truth = np.column_stack([truth, 1.0 - truth.sum(axis=1)])
        if isinstance(answers, BoundedRows):
            low, high = np.exp(answers.lower), np.exp(answers.upper)
        else:
            assert isinstance(answers, NextTokenRows)
            low = high = answers.probs()
        assert (low <= truth + 1e-7).all()
        assert (truth <= high + 1e-7).all()
