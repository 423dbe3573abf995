"""What a study does with demonstrations, and where it has to say that something is not known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from toy_models import byte_tokenizer, cached_model, make_tokenizer

from matrixbayes.rows import NextTokenRows
from matrixbayes.study import incontext
from matrixbayes.study.demonstrations import demonstrations_of
from matrixbayes.study.held import held
from matrixbayes.study.incontext import (
    SEVERAL,
    Answers,
    answer_tokens,
    elicited,
    held_out,
    sample_shots,
)
from matrixbayes.study.task import Task
from matrixbayes.study.texts import Shots, demonstrations, encoder

RNG = np.random.default_rng(0)
FULL = Answers(("red", "blue"), (0, 4), (8, *(0,) * 61))  # what stands before fills the model


def rows_of(probs: Any, **meta: Any) -> NextTokenRows:
    return NextTokenRows(np.log(probs), tokens=("maybe", "no"), meta=meta)


def test_a_prompt_that_fills_the_model_leaves_no_place_for_answers() -> None:
    model = cached_model("gpt2")
    with pytest.raises(ValueError, match=r"the model takes \d tokens behind this prompt; 4 are"):
        sample_shots(model, FULL, RNG)
    report: Any = None  # which no test comes to
    assert (
        incontext.tested(model, FULL, report, RNG) == "the model takes too few tokens for the tests"
    )
    task = Task(model, make_tokenizer(), {"red": ["red"], "blue": ["blue"]}, "keep", 0, None, None)
    prompts = ["red " * 61]
    context = demonstrations_of(task, task.collect(prompts), prompts, None, False, [RNG] * 5)
    (clause,) = context.open
    assert clause.startswith("what it learns, as the model takes ")
    assert context.shots == context.elicit == ()


def test_answers_of_several_tokens_are_followed_and_not_tested() -> None:
    tokenizer, vocab = byte_tokenizer(), {"maybe": [" maybe"], "no": [" no"]}
    task = Task(None, tokenizer, vocab, "keep", 0, None, None)
    items = [("", word, f" {word}") for word in ("maybe", "no", "maybe")]
    shots = [demonstrations(items, with_inputs=False, prefix="so:")]
    context = demonstrations_of(task, rows_of([[0.5, 0.5]]), ["so:"], shots, False, [])
    assert context.answers == SEVERAL
    assert context.open == (f"whether it is exactly Bayesian, as {SEVERAL}",)
    assert context.shots == context.elicit == shots
    # Nor does the model write them itself.
    groups = held(tokenizer, encoder(tokenizer), shots, vocab)
    written = demonstrations_of(
        task, rows_of([[0.5, 0.5]], groups=groups), ["so:"], None, False, []
    )
    assert written.shots == ()
    assert written.open == (f"what it learns, as {SEVERAL}",)


def test_the_tests_need_answers_alone_behind_one_beginning() -> None:
    groups, encode = {"blue": [4], "red": [0]}, encoder(make_tokenizer())
    inputs = Shots(("green", "green blue\nwhite"), ("blue",))
    assert "demonstrations have inputs" in answer_tokens([inputs], encode, groups)
    alone = [Shots((begin, f"{begin} blue"), ("blue",)) for begin in ("green", "white")]
    assert "sequences begin differently" in answer_tokens(alone, encode, groups)
    assert answer_tokens(alone[:1], encode, groups) == Answers(("blue", "red"), (4, 0), (8, 3))


def test_one_sequence_has_no_others_to_be_judged_by(monkeypatch: pytest.MonkeyPatch) -> None:
    shots = [Shots(("", "a", "a b", "a b b"), ("maybe", "no", "no"))]
    counts = np.array([[3.0, 1.0], [4.0, 1.0], [4.0, 2.0], [4.0, 3.0]])
    rows = [rows_of(counts / counts.sum(axis=1, keepdims=True))]
    report, tried = elicited(shots, rows, None, 0)
    assert report.comparison is None
    assert held_out(report) == report.mean_kl
    assert tried == [("iid", 1, report.mean_kl / np.log(2.0))]
    np.testing.assert_allclose(report.prior.alpha, [[3.0, 1.0]], rtol=1e-3)
    early = incontext.elicited_from
    monkeypatch.setattr(incontext, "elicited_from", lambda *a, **o: early(*a, **o, max_iter=1))
    with pytest.warns(RuntimeWarning, match=r"the elicited prior, a Bayesian .* did not converge"):
        elicited(shots, rows, None, 0)
