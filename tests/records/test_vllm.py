"""vLLM: its objects, nested and flat, and its server's JSON; ids, ranks, contexts."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from records.shown import edges, listed, load

import matrixbayes as mb
from matrixbayes.rows import NextTokenRows


@dataclass
class Logprob:
    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


@dataclass
class Flat:
    """The flat form: the sampled token first, then the most probable ones, it among them or not."""

    start_indices: list[int] = field(default_factory=list)
    end_indices: list[int] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    decoded_tokens: list[str] = field(default_factory=list)


def request(places: Any, ids: Any, prompt: Any = None) -> Any:
    output = SimpleNamespace(index=0, text="", token_ids=ids, logprobs=places)
    return SimpleNamespace(
        request_id="0", prompt_token_ids=[5, 6, 7], prompt_logprobs=prompt, outputs=[output]
    )


TOP = {8: Logprob(-0.5, 1, " a"), 9: Logprob(-1.5, 2, " b")}
BESIDE = {4: Logprob(-7.0, 60, " z"), 8: Logprob(-0.5, 1, " a"), 9: Logprob(-1.5, 2, " b")}
THIRD = {4: Logprob(-3.0, 3, " z"), 8: Logprob(-0.5, 1, " a"), 9: Logprob(-1.5, 2, " b")}
SECOND = {9: Logprob(-1.5, 2, " b"), 8: Logprob(-0.5, 1, " a")}


def test_objects() -> None:
    rows = mb.from_vllm([request([TOP, BESIDE, THIRD, SECOND], (8, 4, 4, 9))])
    assert rows.tokens == (" z", " a", " b", "<other>")
    assert rows.token_ids.tolist() == [4, 8, 9, -1]
    assert listed(rows, 0) == listed(rows, 3) == {" a": -0.5, " b": -1.5}
    assert listed(rows, 1) == {" z": -7.0, " a": -0.5, " b": -1.5}
    left = 1.0 - math.exp(-0.5) - math.exp(-1.5)
    np.testing.assert_allclose(edges(rows, 0), [left, left])
    caps = [rows[i].cap for i in range(4)]
    assert caps[1] == min(-1.5, rows[1].rest)  # the sampled token is the 60th
    assert caps[2] == min(-3.0, rows[2].rest)  # the third: all that are listed are the top
    assert caps[3] == caps[0]
    assert rows.meta["sampled"] == [8, 4, 4, 9]
    assert [rows.context(i).tolist() for i in range(4)] == [
        [5, 6, 7],
        [5, 6, 7, 8],
        [5, 6, 7, 8, 4],
        [5, 6, 7, 8, 4, 4],
    ]


def test_without_ranks_the_sampled_token_bounds_nothing() -> None:
    place = {4: Logprob(-3.0), 8: Logprob(-0.75), 9: Logprob(-2.0)}
    rows = mb.from_vllm(request([place], [4]))
    assert rows[0].cap == -2.0
    assert rows.tokens == ("<4>", "<8>", "<9>", "<other>")
    bare = mb.from_vllm({"outputs": [{"logprobs": [{4: -3.0, 8: -0.75}], "token_ids": [8]}]})
    assert listed(bare, 0) == {"<4>": -3.0, "<8>": -0.75}


def test_the_flat_form_says_the_same() -> None:
    flat = Flat(
        [0, 0, 3, 6], [0, 3, 6, 9], [8, 8, 9, 4, 8, 9, 9, 8, 9],
        [-0.5, -0.5, -1.5, -7.0, -0.5, -1.5, -1.5, -0.5, -1.5],
        [1, 1, 2, 60, 1, 2, 2, 1, 2], [" a", " a", " b", " z", " a", " b", " b", " a", " b"],
    )  # fmt: skip
    rows = mb.from_vllm(request(flat, [0, 8, 4, 9]))
    same = mb.from_vllm(request([None, TOP, BESIDE, SECOND], [0, 8, 4, 9]))
    for name in ("columns", "log_probs", "starts", "rest", "cap", "token_ids", "input_ids"):
        assert np.array_equal(getattr(rows, name), getattr(same, name)), name
    assert rows.meta == same.meta


def test_places_of_the_prompt() -> None:
    """Position p is after token p, as in `collect`; the first token has no row."""
    rows = mb.from_vllm(request([TOP], [8], [None, BESIDE, TOP]), prompt=True)
    assert rows.meta["position"] == [0, 1]
    assert rows.meta["sampled"] == [6, 7]
    assert [rows.context(i).tolist() for i in range(2)] == [[5], [5, 6]]
    assert mb.from_vllm(request([], [], [None, BESIDE, TOP]), prompt=True, positions=[-1]).meta[
        "position"
    ] == [1]


def test_the_server() -> None:
    record = load("vllm_completions.json")
    rows = mb.from_vllm(record, prompt=True)
    assert listed(rows, 0) == {" +": -7.5, ".": -1.0, ",": -1.5}
    assert rows[0].cap == -1.5  # " +" is the 90th
    assert listed(rows, 1) == {" ": -0.75, "\n": -1.25}
    assert rows[1].cap == min(-1.25, rows[1].rest)
    assert rows.context(1).tolist() == [17, 488]
    assert rows.meta["model"] == "Qwen/Qwen3-0.6B"
    generated = mb.from_vllm(record)  # return_tokens_as_token_ids
    assert generated.token_ids.tolist() == [19, 20, -1]
    assert generated.context(0).tolist() == [17, 488, 220]


def test_the_servers_chat_puts_the_sampled_token_into_its_list() -> None:
    record = load("vllm_chat.json")
    rows = mb.from_vllm(record)
    assert listed(rows, 0) == {"Maybe": -6.0, "Yes": -0.5}
    assert rows[0].cap == min(-0.5, rows[0].rest)
    assert listed(mb.from_vllm(record, prompt=True), 0) == {",": -1.5, ".": -1.0}


def test_json_that_was_sorted_bounds_nothing_it_should_not() -> None:
    """By id, as text: then the first is not the sampled one, and the order says nothing."""
    record = load("vllm_completions.json")
    text = json.dumps(record, sort_keys=True)
    rows, plain = mb.from_vllm(text, prompt=True), mb.from_vllm(record, prompt=True)
    assert listed(rows, 0) == listed(plain, 0)
    assert rows[0].cap >= plain[0].cap
    assert rows.meta["sampled"] == plain.meta["sampled"]
    by_id = {1: Logprob(-1.0, 1), 2: Logprob(-1.5, 2), 3: Logprob(-9.0, 500)}
    assert mb.from_vllm(request([by_id], [3]))[0].cap >= -1.5


def test_tokens_that_were_asked_for_by_name_bound_nothing() -> None:
    named = {8: Logprob(-0.5, 1), 20: Logprob(-6.0, 1), 21: Logprob(-5.0, 2)}
    rows = mb.from_vllm(request([named], [8]))  # out of order
    assert rows[0].cap == rows[0].rest
    falling = {8: Logprob(-0.5, 1), 20: Logprob(-5.0, 1), 21: Logprob(-6.0, 2)}
    assert mb.from_vllm(request([falling], [8]))[0].cap < -4.0
    said = mb.from_vllm(request([falling], [8]), listed="named")
    assert said[0].cap == said[0].rest
    assert mb.from_vllm(load("vllm_chat.json"), listed="named")[0].cap > -1.5
    with pytest.raises(ValueError, match="neither"):
        mb.from_vllm(request([falling], [8]), listed="some")


def test_answers_by_text_and_by_id() -> None:
    rows = mb.from_vllm(request([TOP], [8]), vocab={"a": [" a"], "b": 9})
    assert isinstance(rows, NextTokenRows)
    np.testing.assert_allclose(rows.probs()[0, :2], np.exp([-0.5, -1.5]))
    unseen = mb.from_vllm(request([TOP], [8]), vocab={"a": 8, "c": [9, 4711]})
    assert not unseen.determined.any()


def test_two_ids_of_one_text_are_two_columns() -> None:
    place = {8: Logprob(-0.5, 1, "�"), 9: Logprob(-1.5, 2, "�")}
    assert mb.from_vllm(request([place], [8])).tokens == ("�<8>", "�<9>", "<other>")


def test_a_text_means_all_ids_that_are_written_so() -> None:
    """As with SentencePiece "yes" with a space before it and without."""
    place = {8: Logprob(-0.5, 1, "yes"), 9: Logprob(-1.5, 2, "yes"), 7: Logprob(-3.0, 3, "no")}
    record = request([place, {8: place[8]}], [8, 8])
    found = mb.from_vllm(record, vocab={"yes": "yes", "no": "no"})
    yes = math.exp(-0.5) + math.exp(-1.5)
    assert found[0].probs()[0, 0].tolist() == pytest.approx([yes, yes])
    assert found[1].probs()[0, 0].tolist() == pytest.approx([math.exp(-0.5), 1.0])
    one = mb.from_vllm(record, vocab={"yes": 8, "no": "no"})
    assert one[0].probs()[0, 0].tolist() == pytest.approx([math.exp(-0.5)] * 2)
    rows = mb.from_vllm(record)
    with pytest.raises(ValueError, match="the text of 2 tokens"):
        rows.prob("yes")
    assert rows.prob(9)[0].tolist() == pytest.approx([math.exp(-1.5)] * 2)
    with pytest.raises(ValueError, match="two answers"):
        rows.group({"yes": "yes", "other": 9})


def test_what_is_not_the_models() -> None:
    with pytest.raises(ValueError, match="a logit"):
        mb.from_vllm(request([{8: Logprob(17.25, 1), 9: Logprob(3.0, 2)}], [8]))
    shut = {8: Logprob(-0.25, 1), 9: Logprob(-math.inf, 2)}
    with pytest.warns(UserWarning, match="processed_logprobs"):
        rows = mb.from_vllm(request([shut], [8]))
    assert listed(rows, 0) == {"<8>": -0.25}
    with pytest.raises(ValueError, match=r"SamplingParams\(logprobs=20\)"):
        mb.from_vllm(request(None, [8]))
    with pytest.raises(ValueError, match="prompt_logprobs=20"):
        mb.from_vllm(request([TOP], [8]), prompt=True)
    with pytest.raises(ValueError, match="prompt_logprobs=20"):
        mb.from_vllm(load("openai_chat.json"), prompt=True)
    flat = Flat([0], [2], [8, 8], [-0.5, -0.75], [1, 1], ["a", "a"])
    with pytest.raises(ValueError, match=r"two log-probabilities, -0\.5 and -0\.75"):
        mb.from_vllm(request(flat, [8]))
    with pytest.raises(ValueError, match="1 ids have 2"):
        mb.from_vllm(request(Flat([0], [2], [8], [-0.5, -0.75]), [8]))
    record = copy.deepcopy(load("vllm_completions.json"))
    record["choices"][0]["prompt_logprobs"][1]["488"].pop("logprob")
    with pytest.raises(ValueError, match=r"no record that from_vllm knows.*logprob"):
        mb.from_vllm([record], prompt=True)


def test_no_text_and_empty_places() -> None:
    rows = mb.from_vllm([request([{}, TOP, None], [1, 8, 2]), request(None, [])])
    assert rows.meta["position"] == [1]
