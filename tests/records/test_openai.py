"""OpenAI's three forms and their streams; each trap of the schemas."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from records.shown import DATA, edges, entry, listed, load

import matrixbayes as mb
from matrixbayes.rows import BoundedRows, NextTokenRows, PartialRows


def chat(*content: Any, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "logprobs": {"content": list(content)}}], **more}


def as_object(value: Any) -> Any:
    if isinstance(value, dict):
        return SimpleNamespace(**{key: as_object(each) for key, each in value.items()})
    return [as_object(each) for each in value] if isinstance(value, list) else value


def the_same(a: PartialRows, b: PartialRows) -> bool:
    names = ("columns", "log_probs", "starts", "rest", "cap")
    equal = all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)
    return equal and (a.tokens, a.meta) == (b.tokens, b.meta)


# --- Chat completions


def test_chat_completions() -> None:
    rows = mb.from_openai(load("openai_chat.json"))
    assert isinstance(rows, PartialRows)
    yes, no, lower = -0.2231435513142097, -2.302585092994046, -3.506557897319982
    assert listed(rows, 0) == listed(rows, 3) == {"Yes": yes, "No": no, "yes": lower}
    np.testing.assert_allclose(edges(rows, 0), [1 - 0.8 - 0.1 - 0.03, 0.03], rtol=1e-12)
    # the sampled token is the last of its list, which falls: it is one of the most probable
    assert listed(rows, 1) == {"!": math.log(0.5), "<0xF0><0x9F>": -1.2039728043259361}
    np.testing.assert_allclose(edges(rows, 1), [0.2, 0.2], rtol=1e-12)  # .3, but .2 is left
    assert listed(rows, 2) == {"<|end|>": -0.10536051565782628}  # -9999.0 is not among the top
    np.testing.assert_allclose(edges(rows, 2), [0.1, 0.1], rtol=1e-9)
    assert rows.meta["prompt"] == [0, 0, 0, 0]
    assert rows.meta["position"] == [0, 1, 2, 0]
    assert rows.meta["choice"] == [0, 0, 0, 1]
    assert rows.meta["sampled"] == ["Yes", "<0xF0><0x9F>", "<0x91><0x8D>", "No"]
    assert rows.meta["model"] == "gpt-4.1-2025-04-14"


def test_objects_dictionaries_text_and_files_are_read_alike() -> None:
    record, path = load("openai_chat.json"), DATA / "openai_chat.json"
    rows = mb.from_openai([record, record])
    for source in (
        [as_object(record)] * 2,
        [path, json.dumps(record)],
        (x for x in [record, path]),
    ):
        assert the_same(mb.from_openai(source), rows)


def test_what_is_said_of_each_row_is_cut_along_with_them() -> None:
    rows = mb.from_openai(load("openai_chat.json"))
    cut = rows[[3, 0]]
    assert cut.meta["choice"] == [1, 0]
    assert cut.meta["sampled"] == ["No", "Yes"]
    answers = mb.from_openai(load("openai_chat.json"), vocab=["Yes"], positions="first")
    assert answers[1:].meta["sampled"] == ["No"]
    other = mb.NextTokenRows(np.zeros((2, 1)), meta={"choice": "mine", "target": [1, 2, 3]})
    assert other[:1].meta == {"choice": "mine", "target": [1, 2, 3]}


def test_positions() -> None:
    record = load("openai_chat.json")
    assert mb.from_openai(record, positions="first").meta["position"] == [0, 0]
    assert mb.from_openai(record, positions="last").meta["position"] == [2, 0]
    assert mb.from_openai(record, positions=[-1, 0]).meta["position"] == [2, 0, 0, 0]
    with pytest.raises(ValueError, match="no position 1: it has 1 places"):
        mb.from_openai(record, positions=[1])
    with pytest.raises(ValueError, match="is not one of"):
        mb.from_openai(record, positions="middle")
    with pytest.raises(TypeError, match="whole numbers"):
        mb.from_openai(record, positions=[0.5])  # type: ignore[list-item]


def test_answers_are_exact_or_bounded() -> None:
    record = load("openai_chat.json")
    rows = mb.from_openai(record, vocab={"yes": ["Yes", "yes"], "no": "No"}, positions="first")
    assert isinstance(rows, NextTokenRows)
    assert rows.tokens == ("yes", "no", "<other>")
    np.testing.assert_allclose(rows.probs(), [[0.83, 0.1, 0.07]] * 2, rtol=1e-12)
    bounds = mb.from_openai(record, vocab={"yes": "Yes", "no": ["No", "never"]}, positions="first")
    assert isinstance(bounds, BoundedRows)
    np.testing.assert_allclose(np.exp(bounds.lower[0]), [0.8, 0.1, 0.07], rtol=1e-9)
    np.testing.assert_allclose(np.exp(bounds.upper[0]), [0.8, 0.13, 0.1], rtol=1e-9)


def test_an_id_is_no_spelling_where_there_are_texts_alone() -> None:
    """It would be the number of a column, which nobody knows."""
    record = chat(entry("a", -0.5, entry("a", -0.5), entry("b", -1.5)))
    for vocab in ({"a": 0, "b": "b"}, {"a": ["a", 1]}, [1, "a"]):
        with pytest.raises(ValueError, match=r"the id \d, and these records name tokens by text"):
            mb.from_openai(record, vocab=vocab)


def test_entries_that_are_no_content_of_anything() -> None:
    record = {"choices": [{"index": 0, "logprobs": [entry("a", -0.5, entry("a", -0.5))]}]}
    assert listed(mb.from_openai(record), 0) == {"a": -0.5}


def test_a_sampled_token_beside_the_most_probable_bounds_nothing() -> None:
    """Neither appended to the list, nor put first in it, nor alone."""
    top = [entry("a", -0.5), entry("b", -1.5)]
    for tops in (top, [entry("z", -6.0), *top], [*top, entry("z", -6.0)][::-1]):
        rows = mb.from_openai(chat(entry("z", -6.0, *tops)))
        assert listed(rows, 0) == {"a": -0.5, "b": -1.5, "z": -6.0}
        assert rows[0].cap == min(-1.5, rows[0].rest)
    alone = mb.from_openai(chat(entry("z", -6.0, entry("z", -6.0))))
    assert alone[0].cap == alone[0].rest
    assert mb.from_openai(chat(entry("z", -6.0)))[0].cap == alone[0].rest


def test_fewer_entries_than_asked_out_of_order_and_twice() -> None:
    rows = mb.from_openai(
        chat(
            entry("b", -1.5, entry("b", -1.5), entry("a", -0.5), entry("b", -1.5)),
            entry("a", -0.75, entry("c", -3.0), entry("a", -0.75), entry("b", -1.5)),
        )
    )
    assert listed(rows, 0) == {"a": -0.5, "b": -1.5}
    assert listed(rows, 1) == {"a": -0.75, "b": -1.5, "c": -3.0}
    assert rows[1].cap == -3.0


def test_bytes_have_the_last_word() -> None:
    """Null, equal to the text, or of half a letter; escapes and ids that stand as text."""
    half = entry("\ufffd", -0.75, raw=[226, 150])
    rows = mb.from_openai(
        chat(entry("é", -1.0, entry("é", -1.0, raw=[195, 169]), half), entry("é", -2.0), half)
    )
    assert rows.tokens == ("<0xE2><0x96>", "é", "<other>")
    assert listed(rows, 0) == {"é": -1.0, "<0xE2><0x96>": -0.75}
    assert listed(rows, 1) == {"é": -2.0}
    for text in ("bytes:\\xe2\\x96", "byte: \\xe2\\x96"):
        assert mb.from_openai(chat(entry(text, -0.75))).tokens == ("<0xE2><0x96>", "<other>")
    assert mb.from_openai(chat(entry("byte", -0.75))).tokens == ("byte", "<other>")
    ids = mb.from_openai(chat(entry("token_id:31", -0.75, entry("token_id:31", -0.75))))
    assert ids.token_ids is not None
    assert ids.token_ids.tolist() == [31, -1]


def test_two_tokens_of_one_text_have_the_mass_of_both() -> None:
    rows = mb.from_openai(
        chat(entry("�", -1.0, entry("�", -1.0), entry("a", -1.25), entry("�", -2.0)))
    )
    assert listed(rows, 0) == {"�": pytest.approx(np.logaddexp(-1.0, -2.0)), "a": -1.25}


@pytest.mark.parametrize("number", ["-0.5", -0.5, "-5e-1"])
def test_numbers_as_text(number: Any) -> None:
    rows = mb.from_openai(chat(entry("a", number, entry("a", number), entry("b", "-Infinity"))))
    assert listed(rows, 0) == {"a": -0.5}


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (math.nan, "nan is no log-prob"),
        ("NaN", "nan is no log-prob"),
        (math.inf, "inf is no log-prob"),
        (0.7, "a probability"),
        (None, "null"),
        ("much", "'much' is no log-prob"),
        ([1], r"\[1\] is no log-prob"),
    ],
)
def test_what_is_no_log_probability_is_refused(number: Any, why: str) -> None:
    good = chat(entry("a", -0.5))
    with pytest.raises(ValueError, match=f"record 1.*{why}"):
        mb.from_openai([good, chat(entry("a", -0.5, entry("a", -0.5), entry("b", number)))])


def test_rounding_above_0_and_1() -> None:
    rows = mb.from_openai(chat(entry("a", 1e-7, entry("a", 1e-7), entry("b", -9.0))))
    assert listed(rows, 0) == {"a": 0.0, "b": -9.0}
    assert 0.0 < edges(rows, 0)[0] < 1e-7  # what rounding may have hidden is not 0
    with pytest.raises(ValueError, match=r"record 0, position 0.*the mass 1\.2"):
        mb.from_openai(chat(entry("a", -0.5, entry("a", -0.5), entry("b", -0.5))))


def test_what_was_not_asked_for_is_named() -> None:
    none = {"choices": [{"index": 0, "message": {"content": "Hi"}, "logprobs": None}]}
    with pytest.raises(ValueError, match="logprobs=True, top_logprobs=20"):
        mb.from_openai(none)
    with pytest.raises(ValueError, match="record 1: the record is an error: overloaded"):
        mb.from_openai([chat(entry("a", -0.5)), {"error": {"message": "overloaded"}}])
    with pytest.raises(ValueError, match="no response of OpenAI's"):
        mb.from_openai({"something": "else"})
    with pytest.raises(ValueError, match="no record that from_openai knows"):
        mb.from_openai({"choices": 5})
    with pytest.raises(ValueError, match="has no 'logprob'"):
        mb.from_openai(chat({"token": "a"}))
    with pytest.raises(ValueError, match="these are probabilities after sampling"):
        mb.from_openai(chat({"token": "a", "prob": 0.5}))
    with pytest.raises(ValueError, match="and not a text"):
        mb.from_openai(chat({"token": None, "logprob": -1.0}))
    with pytest.raises(ValueError, match="no generated log-probabilities"):
        mb.from_openai(chat())
    with pytest.raises(ValueError, match="of the prompt"):
        mb.from_openai(load("openai_chat.json"), prompt=True)
    with pytest.raises(ValueError, match="by from_vllm"):
        mb.from_openai(load("vllm_chat.json"), prompt=True)
    with pytest.raises(ValueError, match="needs vocab"):
        mb.from_openai(chat(entry("a", -0.5)), other="renormalize")
    with pytest.raises(ValueError, match="neither"):
        mb.from_openai(chat(entry("a", -0.5)), other="some")  # type: ignore[arg-type]


def test_log_probabilities_by_themselves() -> None:
    assert listed(mb.from_openai({"content": [entry("a", -0.5)]}), 0) == {"a": -0.5}


def test_what_is_wrong_with_all_records_of_a_file_names_it(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(chat()))
    with pytest.raises(ValueError, match=r"r\.json: .*no generated log-probabilities"):
        mb.from_openai(path)


def test_calls_of_tools_and_refusals() -> None:
    call = {"index": 0, "message": {"content": None, "tool_calls": [{}]}, "logprobs": None}
    refusal = {"content": None, "refusal": [entry("Sorry", -0.5)]}
    rows = mb.from_openai([{"choices": [call]}, {"choices": [{"index": 0, "logprobs": refusal}]}])
    assert listed(rows, 0) == {"Sorry": -0.5}
    assert rows.meta["prompt"] == [0]


def test_a_stream_is_put_together() -> None:
    rows = mb.from_openai(DATA / "openai_chat_stream.txt")
    assert rows.meta["prompt"] == [0, 0, 1]
    assert rows.meta["position"] == [0, 1, 0]
    assert [listed(rows, i) for i in range(3)] == [
        {"Yes": -0.5, "No": -1.5},
        {".": -0.125, "!": -3.0},
        {"No": -0.25, "Yes": -2.0},
    ]
    last = mb.from_openai(DATA / "openai_chat_stream.txt", positions="last")
    assert last.meta["position"] == [1, 0]


def test_files_of_the_batch_api() -> None:
    line = {
        "id": "b",
        "custom_id": "7",
        "response": {"status_code": 200, "body": chat(entry("a", -0.5))},
    }
    assert listed(mb.from_openai(json.dumps({**line, "error": None})), 0) == {"a": -0.5}


# --- Responses


def test_responses() -> None:
    rows = mb.from_openai(load("openai_responses.json"))
    assert [listed(rows, i) for i in range(2)] == [
        {"Yes": -0.5, "No": -1.5},
        {".": -0.125, "!": -3.0},
    ]
    assert rows.meta["position"] == [0, 1]
    empty = load("openai_responses.json")
    empty["output"][1]["content"][0]["logprobs"] = []
    with pytest.raises(ValueError, match="include="):
        mb.from_openai(empty)
    with pytest.raises(ValueError, match="Responses API has no log-probabilities of the prompt"):
        mb.from_openai(empty, prompt=True)


def test_a_stream_of_responses_counts_nothing_twice() -> None:
    whole = load("openai_responses.json")
    content = whole["output"][1]["content"][0]["logprobs"]
    events = [
        {"type": "response.created", "response": {"output": []}},
        *(
            {
                "type": "response.output_text.delta",
                "item_id": "msg_1",
                "content_index": 0,
                "delta": each["token"],
                "logprobs": [{key: each[key] for key in ("token", "logprob", "top_logprobs")}],
            }
            for each in content
        ),
        {"type": "response.output_text.done", "item_id": "msg_1", "logprobs": content},
        {"type": "response.completed", "response": whole},
    ]
    for each in (events, as_object(events)):
        rows = mb.from_openai(each)
        assert [listed(rows, i) for i in range(len(rows))] == [
            {"Yes": -0.5, "No": -1.5},
            {".": -0.125, "!": -3.0},
        ]
    only_the_end = as_object([events[0], events[-1]])
    assert len(mb.from_openai(only_the_end)) == 2


# --- Completions


def test_completions_and_their_echo() -> None:
    record = load("openai_completions.json")
    rows = mb.from_openai(record)
    assert listed(rows, 0) == {" 4": -0.5, " 5": -1.5}
    assert listed(rows, 1) == {"\n": -1.0, "<0xE2><0x80>": -1.5, ".": -1.25}
    prompt = mb.from_openai(record, prompt=True)
    assert [listed(prompt, i) for i in range(3)] == [
        {" x": -1.0, " +": -2.5},
        {" 2": -1.5, " 3": -1.75},
        {" =": -0.25, "?": -2.0},
    ]
    assert prompt[0].cap == max(-1.0, min(-1.0, prompt[0].rest))
    assert prompt.meta["position"] == [0, 1, 2]
    assert prompt.meta["sampled"] == [" +", " 2", " ="]
    del record["usage"]
    with pytest.warns(UserWarning, match="does not say where it ends"):
        both = mb.from_openai(record)
    assert [listed(both, i) for i in range(5)] == [
        *(listed(prompt, i) for i in range(3)),
        *(listed(rows, i) for i in range(2)),
    ]
    with pytest.raises(ValueError, match="echo=True"):
        mb.from_openai(texts(["a"], [-0.5], [{"a": -0.5}]), prompt=True)


def echoed(*sizes: int, reason: str = "length", **usage: int) -> dict[str, Any]:
    """Choices of so many places each, of which the first has no number."""
    choices = []
    for i, n in enumerate(sizes):
        tokens = [f"{i}.{j}" for j in range(n)]
        tops: list[Any] = [None, *({token: -0.5} for token in tokens[1:])]
        log_probs = {
            "tokens": tokens,
            "token_logprobs": [None, *[-0.5] * (n - 1)],
            "top_logprobs": tops,
        }
        choices.append({"index": i, "finish_reason": reason, "logprobs": log_probs})
    return {"object": "text_completion", "choices": choices, "usage": usage}


@pytest.mark.parametrize(
    ("record", "prompts", "generated"),
    [
        (echoed(3, 4, prompt_tokens=5, completion_tokens=2), [1, 2], ["0.2", "1.3"]),
        (echoed(3, 4, prompt_tokens=7, completion_tokens=0), [2, 3], []),
        (echoed(3, 4, prompt_tokens=7, completion_tokens=2), [2, 3], []),  # drawn, and not listed
        (
            echoed(3, 4, reason="stop", prompt_tokens=2, completion_tokens=3),  # n=2 of one prompt
            [1, 1],
            ["0.2", "1.2", "1.3"],
        ),
        (
            echoed(3, 3, 4, 4, prompt_tokens=5, completion_tokens=4),  # n=2 of two prompts
            [1, 1, 2, 2],
            ["0.2", "1.2", "2.3", "3.3"],
        ),
    ],
)
def test_the_echo_of_several_prompts(record: Any, prompts: list[int], generated: list[str]) -> None:
    """What is said of use is the sum over all of them."""
    rows = mb.from_openai(record, prompt=True)
    assert [rows.meta["choice"].count(i) for i in range(len(prompts))] == prompts
    if generated:
        assert mb.from_openai(record).meta["sampled"] == generated
    else:
        with pytest.raises(ValueError, match="no generated"):
            mb.from_openai(record)


def test_the_echo_of_several_prompts_that_ended_anywhere() -> None:
    record = echoed(3, 4, reason="stop", prompt_tokens=4, completion_tokens=3)
    with pytest.warns(UserWarning, match="several prompts"):
        assert len(mb.from_openai(record)) == 5


def texts(tokens: Any, numbers: Any, tops: Any, **more: Any) -> dict[str, Any]:
    log_probs = {"tokens": tokens, "token_logprobs": numbers, "top_logprobs": tops}
    return {"choices": [{"index": 0, "logprobs": log_probs}], **more}


def test_completions_list_one_of_two_tokens_of_one_text() -> None:
    """The other is among the rest, and the mass of the text is at least what is listed."""
    rows = mb.from_openai(texts(["�"], [-3.0], [{"a": -0.5, "�": -3.0}]))
    assert listed(rows, 0) == {"a": -0.5, "�": -3.0}
    assert rows[0].cap == min(-0.5, rows[0].rest)  # not -3: that is of the sampled token
    assert edges(rows, 0)[0] == pytest.approx(1.0 - math.exp(-0.5) - math.exp(-3.0))


def test_completions_without_lists_and_of_unequal_length() -> None:
    rows = mb.from_openai(texts(["a", "b"], [-0.5, -1.5], None))
    assert listed(rows, 1) == {"b": -1.5}
    with pytest.raises(ValueError, match="2 tokens have 1 log-probabilities"):
        mb.from_openai(texts(["a", "b"], [-0.5], None))


def test_completions_without_a_number_of_their_own_token() -> None:
    """A list may leave out the token that came; nothing at all is no row."""
    rows = mb.from_openai(texts(["a", "b"], [-0.5, None], [{"a": -0.5}, {"c": -0.25}]))
    assert listed(rows, 1) == {"c": -0.25}
    assert rows.meta["sampled"] == ["a", None]
    assert len(mb.from_openai(texts(["a", "b"], [-0.5, None], None))) == 1


def test_pieces_of_a_stream_of_completions() -> None:
    def piece(token: str, reason: Any) -> dict[str, Any]:
        made = texts([token], [-0.5], [{token: -0.5}], id="cmpl-1", object="text_completion")
        made["choices"][0]["finish_reason"] = reason
        return made

    rows = mb.from_openai([piece("a", None), piece("b", None), piece("c", "length")])
    assert rows.meta["prompt"] == [0, 0, 0]
    assert rows.meta["position"] == [0, 1, 2]
    whole = mb.from_openai([piece("a", "stop"), piece("b", "stop")])
    assert whole.meta["prompt"] == [0, 1]


def test_pieces_of_a_stream_of_completions_with_entries() -> None:
    """As llama.cpp's server writes them; the last piece has no text and no log-probabilities."""

    def piece(token: str, reason: Any) -> dict[str, Any]:
        made = chat(entry(token, -0.5, entry(token, -0.5)), id="cmpl-1", object="text_completion")
        made["choices"][0] |= {"finish_reason": reason, "text": token}
        return made

    last = piece("", "length")
    last["choices"][0]["logprobs"] = None
    rows = mb.from_openai([piece("a", None), piece("b", None), last])
    assert rows.meta["prompt"] == [0, 0]
    assert rows.meta["position"] == [0, 1]
    assert mb.from_openai([piece("a", "stop"), piece("b", "stop")]).meta["prompt"] == [0, 1]


@pytest.mark.parametrize(
    "numbers",
    [
        [-0.88671875, -1.234375, -1.7109375, -2.109375],  # bfloat16: the mass is 1.005
        [-0.36, -1.18],  # two decimals: 1.0050
    ],
)
def test_the_mass_of_numbers_that_were_rounded(numbers: list[float]) -> None:
    tops = [entry(f"{i}", number) for i, number in enumerate(numbers)]
    rows = mb.from_openai(chat(entry("0", numbers[0], *tops)))
    assert edges(rows, 0)[0] < 1e-7
    assert rows.group(["0", "1"]).probs().sum() == pytest.approx(1.0, abs=1e-12)
    exact = [entry(f"{i}", number + 1e-5) for i, number in enumerate(numbers)]
    with pytest.raises(ValueError, match=r"record 0, position 0.*the mass 1\.00"):
        mb.from_openai(chat(entry("0", numbers[0], *exact)))
