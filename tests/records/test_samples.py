"""Counts of answers among samples."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from records.shown import DATA

import matrixbayes as mb

YES_NO = {"yes": ["yes", "Yes"], "no": "no"}


def test_texts_are_counted() -> None:
    counts = mb.from_samples([["yes", " Yes\n", "no", "well"], ["no"]], YES_NO)
    assert counts.tokens == ("yes", "no", "<other>")
    assert np.asarray(counts).tolist() == [[2, 1, 1], [0, 1, 0]]
    assert mb.from_samples([["yes", "well"]], YES_NO, other="drop")[:].tolist() == [[1, 0]]
    assert mb.from_samples(["yes", "yes"], ["yes", "no"])[:].tolist() == [[2, 0, 0]]
    every = mb.from_samples([["b", "a", "b"], ["c", "a", "b"]])
    assert every.tokens == ("b", "a", "c")
    assert every[:].tolist() == [[2, 1, 0], [1, 1, 1]]
    with pytest.raises(ValueError, match="read-only"):
        every.counts[0, 0] = 5


def test_prompts_ids_and_counts() -> None:
    named = mb.from_samples({"Is it?": ["yes"], "Was it?": {"no": 3, "yes": 1}}, YES_NO)
    assert named.meta["prompt"] == ["Is it?", "Was it?"]
    assert named[:].tolist() == [[1, 0, 0], [1, 3, 0]]
    ids = mb.from_samples([[5, 6, 5], np.array([6])], {"a": [5, 7], "b": 6})
    assert ids[:].tolist() == [[2, 1, 0], [0, 1, 0]]
    assert mb.from_samples([[5, 6, 5]], [5, 6]).tokens == ("<5>", "<6>", "<other>")
    assert mb.from_samples([[5, 6, 5]]).tokens == ("<5>", "<6>")


def test_counters_and_arrays() -> None:
    once = mb.from_samples(Counter({"yes": 3, "no": 2}))
    assert once.tokens == ("yes", "no")
    assert once[:].tolist() == [[3, 2]]
    assert mb.from_samples({"p": Counter({"yes": 3}), "q": {" yes\n": 1}})[:].tolist() == [[3], [1]]
    ids = mb.from_samples(np.array([[7, 8], [7, 7]]), [7, 8], other="drop")
    assert ids[:].tolist() == [[1, 1], [2, 0]]
    assert mb.from_samples(np.array([["a", "b"], ["a", "a"]]))[:].tolist() == [[1, 1], [2, 0]]


def test_counts_take_the_room_of_their_texts_alone() -> None:
    many = mb.from_samples({"yes": 2**53, " yes": 0, "no": np.int64(10**12), "well": 0}, YES_NO)
    assert many[:].tolist() == [[2**53, 10**12, 0]]
    assert mb.from_samples({"yes": 2, "no": 0}).tokens == ("yes",)
    for n in (2**53 + 1, 2**80):
        with pytest.raises(
            ValueError, match=rf"prompt 1: {n} samples of one answer, and {2**53} are"
        ):
            mb.from_samples([["no"], {"yes": n}], YES_NO)


def test_generated_texts_of_lm_eval(tmp_path: Path) -> None:
    """What `from_lm_eval` sends here; a document stands there once for each of its filters."""
    made = [
        {
            "doc_id": i,
            "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": {"until": ["\n"]}}},
            "resps": [[" yes", "no", "yes"][: 2 + i]],
            "filter": name,
        }
        for name in ("strict", "flexible")
        for i in range(2)
    ]
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in made), "utf-8")
    for source in (made, path):
        assert mb.from_samples(source, YES_NO, other="drop")[:].tolist() == [[1, 1], [2, 1]]


def test_the_beginning_of_a_text() -> None:
    texts = [["Yes, it is.", "yes", "yesterday", "No!", "no way", " no"]]
    counts = mb.from_samples(
        texts, {"yes": ["yes", "Yes"], "no": ["no", "No"], "never": "no way"}, match="start"
    )
    assert counts[:].tolist() == [[2, 2, 1, 1]]

    def judge(text: str) -> str | None:
        return "long" if len(text) > 3 else None

    assert mb.from_samples(texts, ["long"], match=judge)[:].tolist() == [[3, 3]]
    assert mb.from_samples(texts, match=judge, other="drop").tokens == ("long",)
    with pytest.raises(ValueError, match="'long' is not one of the answers"):
        mb.from_samples(texts, ["short"], match=judge)


def test_responses() -> None:
    chat = {"choices": [{"message": {"content": "yes"}}, {"message": {"content": None}}]}
    parts = {"choices": [{"message": {"content": [{"type": "text", "text": "no"}]}}]}
    legacy = SimpleNamespace(choices=[SimpleNamespace(text=" yes")])
    whole = {
        "output": [{"type": "reasoning"}, {"content": [{"type": "output_text", "text": "no"}]}]
    }
    ollama = {"message": {"content": "yes"}, "done": True}
    vllm = {"outputs": [{"text": "no"}, {"text": "no"}]}
    counts = mb.from_samples([chat, [parts, legacy, whole], ollama, vllm], YES_NO)
    assert counts[:].tolist() == [[1, 0, 1], [1, 2, 0], [1, 0, 0], [0, 2, 0]]
    assert mb.from_samples(chat, YES_NO)[:].tolist() == [[1, 0, 1]]
    named = mb.from_samples({"p": chat, "q": ["no"]}, YES_NO)
    assert named[:].tolist() == [[1, 0, 1], [0, 1, 0]]
    assert named.meta["prompt"] == ["p", "q"]

    class Pydantic(SimpleNamespace):
        def __iter__(self) -> Any:
            return iter(vars(self).items())

    assert mb.from_samples(Pydantic(**vars(legacy)), YES_NO)[:].tolist() == [[1, 0, 0]]
    assert mb.from_samples([Pydantic(**vars(legacy))], YES_NO)[:].tolist() == [[1, 0, 0]]
    assert mb.from_samples(DATA / "openai_chat.json", ["No"])[:].tolist() == [[1, 1]]
    assert mb.from_samples(str(DATA / "openai_responses.json"), ["Yes."])[:].tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (([],), "no samples"),
        (([["a"]], {"a": "x", "b": "x"}), "in two answers"),
        (([["a"]], {"a": " "}), "empty spelling"),
        (([["a"]], []), "vocab is empty"),
        (([["a"]], ["a", "a"]), "twice"),
    ],
)
def test_wrong_values_are_refused(arguments: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        mb.from_samples(*arguments)


def test_wrong_types_are_refused(tmp_path: Path) -> None:
    for wrong, why in (
        ([[1.5]], "neither a text nor a token id"),
        ([[True]], "neither a text nor a token id"),
        ({"a": "text"}, "are one string"),
        (5, "no text that is known"),
        ({"p": 5, "q": ["a"]}, "are 5, and no list"),
        ([{"a": 1.5}], "1.5 times"),
        ({"choices": 5}, "5 where a list is"),
        ({"choices": [{"delta": {"content": "a"}}]}, "piece of a stream"),
        ({"message": {"content": "a"}, "done": False}, "piece of a stream"),
        ({"choices": [{"message": {"content": [{"text": 5}]}}]}, "is 5, and no text"),
    ):
        with pytest.raises(TypeError, match=why):
            mb.from_samples(wrong)
    with pytest.raises(TypeError, match="prompt 0: match gave 5 for 'a'; it must give the name"):
        mb.from_samples([["a"]], match=lambda sample: 5)  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match="vocab is one string"):
        mb.from_samples([["a"]], "a")
    for options, why in (
        ({"match": "fuzzy"}, "match="),
        ({"other": "renormalize"}, "neither 'keep' nor 'drop'"),
        ({"match": "start"}, "needs vocab"),
    ):
        with pytest.raises(ValueError, match=why):
            mb.from_samples([["a"]], **options)  # type: ignore[arg-type]


def test_ids_begin_with_themselves() -> None:
    counts = mb.from_samples([["yes, it is", 7, 8]], {"yes": ["yes", 7]}, match="start")
    assert counts[:].tolist() == [[2, 1]]


def test_counts_are_a_table_with_a_line_for_each_prompt() -> None:
    counts = mb.from_samples([["yes", "no", "no"], ["no"]], YES_NO)
    assert len(counts) == 2
    with pytest.raises(ValueError, match=r"counts have shape \(2,\); they need"):
        type(counts)(np.array([1, 2]), ("yes", "no"))


def test_shares_of_answers_are_drawn() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib import pyplot

    ax = mb.from_samples([["yes", "no", "no"], ["no"]], YES_NO, other="drop").plot()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["'no'", "'yes'"]
    assert ax.get_title(loc="left") == "Most probable tokens of 2 rows"
    pyplot.close(ax.figure)


def test_counts_are_data_for_everything_that_takes_counts() -> None:
    """The likelihood is that of the samples: few of them say little, and no prior is read in."""
    rng = np.random.default_rng(0)
    alpha = np.array([2.0, 6.0])
    rows = [rng.choice(["yes", "no"], 8, p=p).tolist() for p in rng.dirichlet(alpha, 400)]
    counts = mb.from_samples(rows, ["yes", "no"], other="drop")
    fitted = mb.DirichletMixtureEstimator(1, kind="counts").fit(counts)
    assert fitted.prior_.tokens == ("yes", "no")
    np.testing.assert_allclose(fitted.prior_.alpha[0], alpha, rtol=0.25)
    flipped = mb.from_samples(rows, ["no", "yes"], other="drop")
    again = mb.DirichletMixtureEstimator(1, kind="counts").fit(flipped)
    np.testing.assert_allclose(again.prior_.alpha[0][::-1], fitted.prior_.alpha[0], rtol=1e-6)
    evidence = fitted.prior_.log_evidence(counts)
    np.testing.assert_allclose(fitted.prior_.log_evidence(flipped), evidence, rtol=1e-12)
    assert "AnswerCounts: 400 prompts, 3200 samples, 2 answers" in repr(counts)
    assert "<table" in counts._repr_html_()
    frame = pytest.importorskip("pandas") and counts.to_pandas()
    assert list(frame.columns) == ["yes", "no"]
