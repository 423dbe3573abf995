"""One call from a model and sequences of demonstrations to the prior that it acts on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from toy_models import byte_tokenizer, cached_model, make_tokenizer

import matrixbayes as mb
from matrixbayes.rows import NextTokenRows
from matrixbayes.study import inputs, texts
from matrixbayes.study.texts import Shots, demonstrations, elicit

COLOURS = ["red", "orange", "yellow", "green", "blue", "purple", "white", "black"]


@pytest.fixture(scope="module")
def urns() -> tuple[Any, Any]:
    return inputs.load_model(None)


@pytest.fixture
def sequences() -> list[list[str]]:
    rng = np.random.default_rng(1)
    urns = rng.dirichlet([2.0, 1.0, 1.0], 30)
    return [[COLOURS[j] for j in rng.choice(3, 14, p=urn)] for urn in urns]


@pytest.mark.filterwarnings("ignore:it is worse than a constant")  # one Dirichlet of three
def test_texts_and_lists_and_spellings_are_one(urns: Any, sequences: list[list[str]]) -> None:
    options: dict[str, Any] = {"family": "iid", "n_starts": 1, "rng": 0}
    one = elicit(*urns, sequences, vocab=COLOURS[:3], **options)
    other = elicit(*urns, [" ".join(s) for s in sequences], vocab=COLOURS[:3], **options)
    groups = {"r": ["red"], "o": ["orange"], "y": ["yellow"]}
    named = elicit(*urns, [[word[0] for word in s] for s in sequences], vocab=groups, **options)
    assert one.prior == other.prior
    assert one.tokens == ("red", "orange", "yellow")
    assert named.tokens == ("r", "o", "y")
    np.testing.assert_array_equal(named.prior.alpha, one.prior.alpha)


@pytest.mark.filterwarnings("ignore:it is worse than a constant")
def test_it_is_what_the_parts_say(urns: Any, sequences: list[list[str]]) -> None:
    rows = mb.collect(
        *urns,
        [" ".join(s) for s in sequences],
        positions="all",
        vocab=COLOURS[:3],
        other="renormalize",
        progress=False,
    )
    histories = [[COLOURS.index(w) for w in s[:t]] for s in sequences for t in range(len(s) + 1)]
    by_hand = mb.elicit_prior(histories, rows, family="iid", n_starts=1, rng=0)
    found = elicit(*urns, sequences, vocab=COLOURS[:3], family="iid", n_starts=1, rng=0)
    np.testing.assert_allclose(found.prior.alpha, by_hand.prior.alpha, rtol=1e-3)
    # Whole sequences are what intervals and folds are drawn from.
    assert found.n_rows == 30 * 15
    compared = elicit(*urns, sequences[:12], vocab=COLOURS[:3], family=["iid", "markov"], rng=0)
    assert compared.comparison is not None
    assert compared.family == "iid"


def test_inputs_are_shown_and_the_query_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def along(collect: Any, encode: Any, shots: list[Shots]) -> list[NextTokenRows]:
        seen.extend(shots)
        return [NextTokenRows(np.log(np.full((2, 3), 1 / 3)), tokens=("a", "b", "<other>"))]

    monkeypatch.setattr(texts, "predictions_along", along)
    vocab = {"a": " red", "b": [" blue"]}
    with pytest.warns(RuntimeWarning):
        elicit(None, None, [[("Fire:", "a"), ("Sea:", None)]], vocab=vocab, prefix="Q\n", rng=0)
    assert seen == [Shots(("Q\nFire:", "Q\nFire: red\nSea:"), ("a",))]


def test_answers_that_the_model_hardly_gives_are_warned_of() -> None:
    model, tokenizer = cached_model("gpt2"), make_tokenizer()
    with pytest.warns(RuntimeWarning, match="outside the answers on average"):
        elicit(model, tokenizer, ["red blue red red"] * 2, family="iid", rng=0)


def test_a_tokenizer_with_spaces_in_its_tokens_needs_no_groups() -> None:
    model, tokenizer = cached_model("gpt2", 290), byte_tokenizer()
    with pytest.warns(RuntimeWarning):
        found = elicit(model, tokenizer, ["yes no no"] * 2, prefix="Is it so?", family="iid", rng=0)
    assert found.tokens == ("yes", "no")
    with pytest.raises(ValueError, match="give prefix="):
        elicit(model, tokenizer, ["yes no no"] * 2)


@pytest.mark.parametrize(
    ("given", "vocab", "error", "message"),
    [
        ("red blue", None, TypeError, r"write \[text\]"),
        ([], None, ValueError, "no sequences"),
        ([""], None, ValueError, "sequence 0 has no demonstration"),
        ([[("Sky:", "blue")]], None, ValueError, "sequence 0 has no demonstration"),
        (["red", ["red", 3]], None, TypeError, "sequence 1 is"),
        ([["red", ("a", "blue")]], None, ValueError, "sequence 0 mixes"),
        ([[("a", "b", "c"), ("d", "e")]], None, TypeError, "sequence 0 is"),
        ([[("Sky:", None), ("Sea:", None)]], None, TypeError, "an answer is None; it is a text"),
        (["red red"], None, ValueError, r"the answers are \['red'\]"),
        (["red pink"], ["red", "blue"], ValueError, "sequence 0: the answer 'pink' is in no"),
        (["red pink"], None, ValueError, "not in the vocabulary"),
    ],
)
def test_what_is_wrong_is_named(
    urns: Any, given: Any, vocab: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        elicit(*urns, given, vocab=vocab)


def test_prompts_grow_by_what_was_shown() -> None:
    items = [("", "yes", " yes"), ("", "no", "no")]
    assert demonstrations(items, with_inputs=False, prefix="So:").prompts == (
        "So:",
        "So: yes",
        "So: yes no",
    )
