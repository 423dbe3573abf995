"""The tokens that stand for answers in demonstrations are those of the text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from toy_models import byte_tokenizer, cached_model, make_tokenizer, metaspace_tokenizer

from matrixbayes.study.held import held, readable
from matrixbayes.study.incontext import SEVERAL, answer_tokens
from matrixbayes.study.inputs import UsageError, load_model, read_shots, read_vocab
from matrixbayes.study.task import Task
from matrixbayes.study.texts import Shots, demonstrations, encoder, find_answer

VOCAB = {"yes": ["yes"], "no": ["no"]}


def ids_of(tokenizer: Any, *pieces: str) -> list[int]:
    return [tokenizer.get_vocab()[piece] for piece in pieces]


def held_by(tokenizer: Any, shots: list[Shots], vocab: Any) -> dict[str, Any]:
    return held(tokenizer, encoder(tokenizer), shots, vocab)


def read(tmp_path: Path, text: str, vocab: Any, tokenizer: Any = None) -> list[Shots]:
    file = tmp_path / "shots.txt"
    file.write_text(text, "utf-8")
    return read_shots(file, vocab, tokenizer)


def test_glued_answers_are_glued_tokens(tmp_path: Path) -> None:
    """What `--shots` counted behind a colon was the token of a text that begins with the word."""
    tokenizer = metaspace_tokenizer("first")
    assert tokenizer.encode("yes", add_special_tokens=False) == ids_of(tokenizer, "▁yes")
    shots = read(tmp_path, "so:\tyes\nit:\tno\nis:\n", VOCAB)
    assert shots[0].prompts[1] == "so:yes\nit:"
    assert held_by(tokenizer, shots, VOCAB) == {
        "yes": ids_of(tokenizer, "yes"),
        "no": ids_of(tokenizer, "no"),
    }
    spaced = read(tmp_path, "so:\t yes\nit:\t no\nis:\n", VOCAB)
    assert spaced[0].prompts[1] == "so:yes\nit:"  # as the vocabulary spells it


@pytest.mark.parametrize("scheme", ["first", "never", None])
def test_the_space_between_answers_is_theirs(scheme: str | None) -> None:
    tokenizer = metaspace_tokenizer(scheme)
    items = [("", word, word) for word in ("yes", "no", "no", "yes")]
    (shots,) = [demonstrations(items, with_inputs=False, prefix="so:")]
    expected = {"yes": ids_of(tokenizer, "▁yes"), "no": ids_of(tokenizer, "▁no")}
    assert held_by(tokenizer, [shots], VOCAB) == expected
    # Both ways of writing it, where both are listed.
    both = held_by(tokenizer, [shots], {"yes": ["yes", " yes"], "no": ["no"]})
    assert sorted(both["yes"]) == sorted(ids_of(tokenizer, "▁yes", "yes"))
    # At the beginning of a text the answer has no space, or that of the tokenizer.
    (bare,) = [demonstrations(items, with_inputs=False)]
    begin = ids_of(tokenizer, "yes" if scheme == "never" else "▁yes")
    assert held_by(tokenizer, [bare], VOCAB)["yes"] == list({begin[0]: 0, expected["yes"][0]: 0})


def test_every_token_of_a_shown_answer_is_in_the_text() -> None:
    rng = np.random.default_rng(0)
    for tokenizer in (byte_tokenizer(), *map(metaspace_tokenizer, ("first", "never", None))):
        for inputs in (True, False):
            words = rng.choice(["yes", "no", "maybe"], 6)
            items = [("so:" * inputs, str(w), " " * int(rng.integers(2)) + str(w)) for w in words]
            shots = demonstrations(items, with_inputs=inputs, prefix="it?")
            vocab = {w: list({spelled for _, name, spelled in items if name == w}) for w in words}
            found = held_by(tokenizer, [shots], vocab)
            whole = encoder(tokenizer)(shots.prompts[-1])
            for name, prompt in zip(shots.answers, shots.prompts, strict=False):
                behind = whole[len(encoder(tokenizer)(prompt)) :]
                spelled = [s if isinstance(s, tuple) else (s,) for s in found[name]]
                assert any(tuple(behind[: len(s)]) == s for s in spelled)


def test_what_no_text_holds_is_refused() -> None:
    tokenizer = byte_tokenizer()
    shots = Shots(("it? ", "it? yes\nso? "), ("yes",))
    with pytest.raises(
        ValueError, match=r"sequence 0, after 0 .*put the space into the answer, ' y"
    ):
        held_by(tokenizer, [shots], {"yes": ["yes"], "no": ["no"]})
    words = make_tokenizer()
    shots = Shots(("red", "red blue"), ("blue",))
    with pytest.raises(ValueError, match="'grue' is not in the vocabulary"):
        held_by(words, [shots], {"blue": ["blue"], "grue": ["grue"]})
    assert held_by(words, [shots], {"blue": ["blue"], "red": [0]}) == {"blue": [4], "red": [0]}
    by_ids = Shots(((8, 0), (8, 0, 4)), ("blue",))
    assert held_by(words, [by_ids], VOCAB) == VOCAB


def test_ids_and_pieces_are_answers_too(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    yes, no = ids_of(tokenizer, "Ġyes", "Ġno")
    vocab = read_vocab([f"yes=id:{yes}", "no=Ġno"])
    assert vocab == {"yes": [yes], "no": ["Ġno"]}
    assert readable(tokenizer, vocab) == {"yes": [" yes"], "no": [" no"]}
    lines = f"so?\tid:{yes}\nso?\tĠno\nso?\tyes\nso?\tno\nso?\n"
    (shots,) = read(tmp_path, lines, vocab, tokenizer)
    assert shots.answers == ("yes", "no", "yes", "no")
    assert shots.prompts[-1] == "so? yes\nso? no\nso? yes\nso? no\nso?"
    assert held_by(tokenizer, [shots], vocab) == {"yes": [yes], "no": [no]}
    assert find_answer("x", {"x": [3, "X"]}, "") == ("x", "X")
    with pytest.raises(UsageError, match="line 1: the answer 5 is in no vocab group"):
        read(tmp_path, "id:5\n", vocab, tokenizer)
    assert load_model(None)[1] is not None


def test_the_tests_need_answers_of_one_token() -> None:
    tokenizer = byte_tokenizer()
    items = [("", word, f" {word}") for word in ("maybe", "no", "maybe")]
    shots = [demonstrations(items, with_inputs=False, prefix="so:")]
    found = held_by(tokenizer, shots, {"maybe": [" maybe"], "no": [" no"]})
    assert isinstance(found["maybe"][0], tuple)
    assert answer_tokens(shots, encoder(tokenizer), found) == SEVERAL
    spelled = {**found, "maybe": [3]}  # an id that the text does not hold
    assert answer_tokens(shots, encoder(tokenizer), spelled) == SEVERAL


def test_what_a_model_wrote_is_read_as_it_is() -> None:
    task = Task(cached_model("gpt2"), make_tokenizer(), None, "keep", 0, None, None)
    twice = [(8, 8, 0)]  # the mark of a beginning, and the model wrote another
    rows = task.collect(twice, [[1, 2]], {"red": [0], "blue": [4]})
    assert rows.tokens == ("red", "blue", "<other>")
    with pytest.raises(UsageError, match="begins with '<bos>'"):
        task.collect(twice, [[1, 2]], {"red": ["red"], "blue": [4]})
