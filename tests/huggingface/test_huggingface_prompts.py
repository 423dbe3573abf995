"""`collect`: which tokens a prompt is, which rows of it are kept, and over which columns."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp
from toy_models import (
    PROMPTS,
    SPECIAL,
    WIDTH,
    WORDS,
    byte_tokenizer,
    cached_model,
    make_tokenizer,
)

from matrixbayes.huggingface import collect, preflight
from matrixbayes.huggingface.prompts import encode_prompts

torch = pytest.importorskip("torch")


@pytest.fixture(params=["gpt2", "llama"])
def model(request: pytest.FixtureRequest) -> Any:
    return cached_model(request.param)


def exact(model: Any, ids: Any) -> np.ndarray:
    """The slow twin: all rows of one prompt alone, in float64."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([list(ids)])).logits[0]
    return log_softmax(logits.double().numpy(), axis=1)


# --- prompts and positions


def test_token_ids_and_text_give_the_same(model: Any) -> None:
    tokenizer = make_tokenizer()
    ids = [tokenizer(text)["input_ids"] for text in PROMPTS]
    expected = collect(model, tokenizer, PROMPTS)
    forms = [ids, [np.array(i) for i in ids], [torch.tensor(i) for i in ids], iter(PROMPTS)]
    for prompts in [*forms, tuple(ids)]:
        np.testing.assert_array_equal(
            collect(model, tokenizer, prompts).log_probs, expected.log_probs
        )
    bare = collect(model, None, ids)
    assert bare.tokens is None
    np.testing.assert_array_equal(bare.log_probs, expected.log_probs)


def test_positions(model: Any) -> None:
    tokenizer = make_tokenizer()
    every = collect(model, tokenizer, PROMPTS[:2], positions="all")  # 3 and 2 tokens
    for positions, numbers in [
        ("last", [2, 4]),
        ([-1], [2, 4]),
        ([0, -1], [0, 2, 3, 4]),
        ([1, 0], [1, 0, 4, 3]),
        ([[2, 0], [-2]], [2, 0, 3]),
        (np.array([[0, 1], [1, 1]]), [0, 1, 4, 4]),
    ]:
        rows = collect(model, tokenizer, PROMPTS[:2], positions=positions)
        np.testing.assert_allclose(rows.log_probs, every.log_probs[numbers], atol=1e-6)
        assert rows.meta["position"] == [every.meta["position"][i] for i in numbers]


def test_pairs_give_the_rows_of_the_continuation(model: Any) -> None:
    tokenizer = make_tokenizer()
    pairs = [("red blue", " green black"), ["", "white"], ("orange ", "red")]
    rows = collect(model, tokenizer, pairs, positions="continuation")
    contexts = [rows.context(i).tolist() for i in range(len(rows))]
    assert contexts == [[8, 0, 4], [8, 0, 4, 3], [8], [8, 1]]
    whole = exact(model, [8, 0, 4, 3, 7])
    np.testing.assert_allclose(rows.log_probs[:2], whole[2:4], atol=1e-5)
    # as the whole text: other words than "all" and whole numbers would be a guess
    assert len(collect(model, tokenizer, pairs, positions="all")) == 5 + 2 + 3
    with pytest.raises(ValueError, match=r"prompt 0 is a .* pair: say positions='continuation'"):
        collect(model, tokenizer, pairs)


def test_the_whole_is_encoded_then_split() -> None:
    tokenizer = byte_tokenizer()
    assert tokenizer.tokenize("yes") == ["yes"]
    assert tokenizer.tokenize("y") + tokenizer.tokenize("es") != ["yes"]
    # The token over the seam belongs to the continuation: the row before it is about it.
    for context, continuation, first in [
        ("so? y", "es no", "Ġyes"),
        ("so?", " yes", "Ġyes"),
        ("so? ", "yes", "Ġyes"),
        ("é", "é", "Ã"),
    ]:
        (prompt,) = encode_prompts(tokenizer, [(context, continuation)], "continuation")
        whole = tokenizer(context + continuation)["input_ids"]
        k = int(prompt.positions[0])
        pieces = tokenizer.convert_ids_to_tokens(whole)
        assert prompt.ids.tolist() == whole
        assert pieces[k + 1] == first or continuation == "é"
        assert prompt.positions.tolist() == list(range(k, len(whole) - 1))
        before = tokenizer.decode(whole[: k + 1])
        assert (context + continuation).startswith(before)
        assert len(before) <= len(context)


def test_a_tokenizer_without_offsets_splits_only_where_it_is_safe() -> None:
    class Slow:
        is_fast, bos_token_id, eos_token_id = False, None, None

        def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
            return {"input_ids": [ord(c) for c in text.replace("ab", "X")]}

    slow = Slow()
    (prompt,) = encode_prompts(slow, [("ca", "cab")], "continuation")
    assert prompt.positions.tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"prompt 0: the tokens of 'ca' change.*use_fast=True"):
        encode_prompts(slow, [("ca", "b")], "continuation")


@pytest.mark.parametrize(
    ("prompts", "positions", "message"),
    [
        ([], "last", "there are no prompts"),
        (["red"], "first", "positions='first' is neither"),
        (["red"], [5], "position 5 is asked of prompt 0, which has 2 tokens"),
        (["red", "blue red"], [-3], "position -3 is asked of prompt 0, which has 2"),
        (["red", "blue"], [[0]], "positions has 1 entries for 2 prompts"),
        (["red"], [[]], "no position is asked of prompt 0"),
        (["red"], "continuation", "prompt 0 is no pair"),
        ([("red", "")], "continuation", "empty continuation"),
        (["red", [0, 12]], "last", "prompt 1 has the token id 12 at position 1.*0 to 11"),
        (["red", [0, -1]], "last", "token id -1 at position 1"),
        (["red", "red " * 64], "last", "prompt 1 has 65 tokens and the model takes 64"),
        (["<bos> red"], "last", "prompt 0 begins with '<bos>' twice.*add_special_tokens=False"),
        ([("<bos> red", " blue")], "continuation", "prompt 0 begins with '<bos>' twice"),
        ([[]], "last", "prompt 0 is empty"),
    ],
)
def test_prompts_that_are_refused(model: Any, prompts: Any, positions: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collect(model, make_tokenizer(), prompts, positions=positions)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ("red", r"write \[prompt\]"),
        (["red", 3], "prompt 1 is 3; a prompt is a string"),
        (["red", None], "prompt 1 is None"),
        ([[[1, 2], [3, 4]]], "prompt 0 is"),
        ([["red", "blue", "red"]], "3 strings as one prompt"),
        ([[{"role": "user", "content": "hi"}]], "apply_chat_template"),
        ([{"input_ids": [1]}], r"encoding\['input_ids'\]"),
        ([[0.5, 1.5]], "prompt 0 is"),
    ],
)
def test_prompts_of_the_wrong_type(model: Any, prompts: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        collect(model, make_tokenizer(), prompts)


def test_an_empty_prompt_needs_a_bos(model: Any) -> None:
    assert collect(model, make_tokenizer(), [""]).context(0).tolist() == [8]
    with pytest.raises(ValueError, match=r"prompt 1 is '', which .* no token at all"):
        collect(model, make_tokenizer(bos=False), ["red", ""])
    with pytest.raises(ValueError, match="prompt 0: nothing stands before its continuation"):
        collect(model, make_tokenizer(bos=False), [("", "red")], positions="continuation")


def test_bos_is_the_tokenizers_decision(model: Any) -> None:
    for bos in (True, False):
        tokenizer = make_tokenizer(bos=bos)
        context = collect(model, tokenizer, ["red blue"]).context(0)
        assert context.tolist() == ([8, 0, 4] if bos else [0, 4])
    # once in the text is once, and ids that have it twice are padded, or had it put there twice
    assert collect(model, make_tokenizer(bos=False), ["<bos> red"]).context(0).tolist() == [8, 0]
    with pytest.raises(ValueError, match=r"prompt 0 begins with '<bos>' .token 8. more than once"):
        collect(model, make_tokenizer(), [[8, 8, 0]])
    assert collect(model, None, [[8, 8, 0]]).context(0).tolist() == [8, 8, 0]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", [None, "pt", "np"])
def test_what_a_tokenizer_returned_is_its_ids(model: Any, side: str, kind: str | None) -> None:
    tokenizer = make_tokenizer(side=side)
    padded = kind is not None
    encoding = tokenizer(PROMPTS, padding=padded, return_tensors=kind)
    expected = collect(model, tokenizer, PROMPTS)
    for form in (encoding, dict(encoding)):
        rows = collect(model, tokenizer, form)
        np.testing.assert_array_equal(rows.log_probs, expected.log_probs)
        np.testing.assert_array_equal(rows.input_ids, expected.input_ids)
        assert preflight(model, tokenizer, form).n_rows == len(PROMPTS)
    one = tokenizer(PROMPTS[0], return_tensors=kind)
    rows = collect(model, tokenizer, one)
    np.testing.assert_allclose(rows.log_probs, expected.log_probs[:1], atol=1e-6)
    if padded:  # nothing says what is text
        with pytest.raises(ValueError, match=r"'<pad>', the padding token .4 do.: pass the whole"):
            collect(model, tokenizer, encoding["input_ids"])
        same = tokenizer(["red blue", "green black"], return_tensors=kind)["input_ids"]
        assert len(collect(model, tokenizer, same)) == 2


def test_encodings_that_are_refused(model: Any) -> None:
    tokenizer = make_tokenizer()
    with pytest.raises(TypeError, match="without 'attention_mask'"):
        collect(model, tokenizer, {"input_ids": [[8, 0], [8, 10]]})
    with pytest.raises(TypeError, match="without 'input_ids'"):
        collect(model, tokenizer, {"text": ["red"]})
    with pytest.raises(ValueError, match="prompt 0: its attention_mask leaves out ids between"):
        collect(model, tokenizer, {"input_ids": [[8, 0, 1]], "attention_mask": [[1, 0, 1]]})
    with pytest.raises(ValueError, match="different shapes"):
        collect(model, tokenizer, {"input_ids": [[8, 0]], "attention_mask": [[1]]})
    with pytest.raises(ValueError, match="prompt 0 is empty"):
        collect(model, tokenizer, {"input_ids": [[8, 0]], "attention_mask": [[0, 0]]})
    with pytest.raises(TypeError, match=r"prompt 0 is a chat message.*apply_chat_template"):
        collect(model, tokenizer, [{"role": "user", "content": "hi"}])


def test_a_tokenizer_that_ends_its_texts(model: Any) -> None:
    tokenizer = make_tokenizer(eos=True)
    with pytest.raises(ValueError, match="prompt 0: the tokenizer puts '<eos>' after the text"):
        collect(model, tokenizer, ["red"])
    rows = collect(model, tokenizer, [("red", " blue")], positions="continuation")
    assert [rows.context(i).tolist() for i in range(len(rows))] == [[8, 0]]


def test_text_that_cannot_be_encoded(model: Any) -> None:
    with pytest.raises(ValueError, match="prompt 1: the tokenizer cannot encode 'red grue'"):
        collect(model, make_tokenizer(unk=False), ["red", "red grue"])
    with pytest.raises(TypeError, match="prompt 0 is text, which needs a tokenizer"):
        collect(model, None, ["red"])


# --- answers


VOCABS: list[tuple[Any, tuple[str, ...], list[list[int]]]] = [
    (["red", "blue"], ("red", "blue"), [[0], [4]]),
    ([0, 4], ("red", "blue"), [[0], [4]]),
    ({"r": "red", "b": 4}, ("r", "b"), [[0], [4]]),
    ({"warm": ["red", "orange", 2], "blue": "blue"}, ("warm", "blue"), [[0, 1, 2], [4]]),
    ({"r": ["red", "red", 0]}, ("r",), [[0]]),
]


@pytest.mark.parametrize(("vocab", "names", "members"), VOCABS)
def test_answers_are_sums(
    model: Any, vocab: Any, names: tuple[str, ...], members: list[list[int]]
) -> None:
    tokenizer = make_tokenizer()
    every = collect(model, tokenizer, PROMPTS).log_probs.astype(np.float64)
    rows = collect(model, tokenizer, PROMPTS, vocab=vocab)
    assert rows.tokens == (*names, "<other>")
    taken = [i for ids in members for i in ids]
    others = [i for i in range(WIDTH) if i not in taken]
    expected = np.stack([logsumexp(every[:, ids], axis=1) for ids in [*members, others]], axis=1)
    np.testing.assert_allclose(rows.log_probs, expected, atol=1e-6)
    assert rows.token_ids is not None
    assert rows.token_ids.tolist() == [*(m[0] if len(m) == 1 else -1 for m in members), -1]
    assert rows.meta["groups"] == dict(zip(names, members, strict=True))
    rest = rows.meta["rest"]
    assert (rest["column"], rest["ids"], rest["dropped"]) == ("<other>", len(others), False)
    np.testing.assert_allclose(
        [rest["mean"], rest["max"]],
        [np.exp(expected[:, -1]).mean(), np.exp(expected[:, -1]).max()],
        rtol=1e-6,
    )


def test_answers_renormalized(model: Any) -> None:
    tokenizer, vocab = make_tokenizer(), {"warm": ["red", "orange"], "blue": "blue"}
    kept = collect(model, tokenizer, PROMPTS, vocab=vocab)
    rows = collect(model, tokenizer, PROMPTS, vocab=vocab, other="renormalize")
    assert rows.tokens == ("warm", "blue")
    np.testing.assert_allclose(
        rows.log_probs, log_softmax(kept.log_probs[:, :2], axis=1), atol=1e-6
    )
    assert rows.meta["rest"] == {**kept.meta["rest"], "dropped": True}


def test_answers_that_leave_nothing_over(model: Any) -> None:
    rows = collect(model, make_tokenizer(), PROMPTS, vocab={"a": range(6), "b": range(6, WIDTH)})
    assert rows.tokens == ("a", "b")
    assert rows.meta["rest"] is None
    np.testing.assert_allclose(rows.probs().sum(axis=1), 1.0, atol=1e-6)


def test_tiny_answers_keep_their_logarithm() -> None:
    model = copy.deepcopy(cached_model("gpt2"))
    row = torch.full((WIDTH,), 0.0)
    row[0], row[1] = -300.0, -301.0  # far below the smallest probability of float32
    head = torch.nn.Linear(32, WIDTH).eval()
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(row)
    model.set_output_embeddings(head)
    rows = collect(model, make_tokenizer(), ["red"], vocab={"tiny": ["red", "orange"]})
    assert rows.log_probs[0, 0] == pytest.approx(-300 + np.log1p(np.exp(-1)) - np.log(10), abs=1e-4)


@pytest.mark.parametrize(
    ("vocab", "message"),
    [
        ({}, "vocab is empty"),
        ([], "vocab is empty"),
        ({"a": [], "b": "red"}, "answer 'a' has no spellings"),
        ({"a": "red", "b": ["blue", "red"]}, "'red' .token 0. is in two answers, 'a' and 'b'"),
        ({"a": "red", "b": 0}, "in two answers"),
        (["red", "red"], "vocab holds 'red' twice"),
        ({"a": "red grue"}, "'red grue' is not in the vocabulary"),
        ({"a": ""}, "'' is no token at all"),
        ({"a": [(0, 12)]}, "the model has no token 12"),
        ({"a": [(0, 4)], "b": "red blue"}, r"'red blue' .tokens \[0, 4\]. is in two answers"),
        ({"a": "grue"}, "'grue' is not in the vocabulary"),
        ({"a": 12}, "the model has no token 12"),
        ({"a": -1}, "the model has no token -1"),
        ({"<other>": "red"}, "'<other>' is the name of what no answer has"),
        ({"a": range(WIDTH)}, "the single column 'a'"),
    ],
)
def test_answers_that_are_refused(model: Any, vocab: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collect(model, make_tokenizer(), ["red"], vocab=vocab)


@pytest.mark.parametrize(
    "vocab",
    ["red", {"a": [1.5]}, {3: "red"}, [None], {"a": [True]}, {"a": [(1, True)]}, {"a": [()]}],
)
def test_answers_of_the_wrong_type(model: Any, vocab: Any) -> None:
    with pytest.raises(TypeError):
        collect(model, make_tokenizer(), ["red"], vocab=vocab)


def test_other_answers_that_are_refused(model: Any) -> None:
    tokenizer = make_tokenizer()
    with pytest.raises(ValueError, match=r"renormalize.*needs vocab"):
        collect(model, tokenizer, ["red"], other="renormalize")
    with pytest.raises(ValueError, match="neither 'keep' nor"):
        collect(model, tokenizer, ["red"], vocab=["red"], other="drop")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the single column 'red'"):
        collect(model, tokenizer, ["red"], vocab=["red"], other="renormalize")
    with pytest.raises(TypeError, match="needs a tokenizer; give its token id"):
        collect(model, None, [[1]], vocab=["red"])
    assert collect(model, None, [[1]], vocab={"r": 0}).tokens == ("r", "<other>")


def test_spellings_of_a_byte_level_tokenizer() -> None:
    tokenizer = byte_tokenizer()
    model = cached_model("gpt2", len(tokenizer))
    rows = collect(model, tokenizer, ["so?"], vocab={"yes": [" yes", "yes"], "no": [" no", "no"]})
    every = collect(model, tokenizer, ["so?"])
    assert every.tokens is not None
    ids = [every.tokens.index(piece) for piece in (" yes", "yes")]
    assert rows.log_probs[0, 0] == pytest.approx(logsumexp(every.log_probs[0, ids]), abs=1e-5)


# --- sizes of vocabularies


def test_the_width_of_the_logits_rules() -> None:
    model, tokenizer = cached_model("gpt2", 20), make_tokenizer()
    every = collect(model, None, [[8, 0, 4]])
    assert every.n_tokens == 20
    rows = collect(model, tokenizer, ["red blue"])
    assert rows.tokens == (*WORDS, *SPECIAL, "<unused>")
    assert rows.token_ids is not None
    assert rows.token_ids.tolist() == [*range(WIDTH), -1]
    np.testing.assert_allclose(rows.log_probs[:, :-1], every.log_probs[:, :WIDTH], atol=1e-6)
    unused = logsumexp(every.log_probs[0, WIDTH:])
    assert rows.log_probs[0, -1] == pytest.approx(unused, abs=1e-6)
    assert rows.meta["rest"]["column"] == "<unused>"
    assert rows.meta["rest"]["ids"] == 20 - WIDTH
    assert rows.meta["rest"]["mean"] == pytest.approx(np.exp(unused), rel=1e-5)
    assert collect(model, tokenizer, ["red"], vocab=[0, 15]).tokens == ("red", "<15>", "<other>")


def test_a_tokenizer_larger_than_the_logits() -> None:
    model, tokenizer = cached_model("gpt2", 10), make_tokenizer()
    assert collect(model, tokenizer, ["red"]).tokens == (*WORDS, "<bos>", "<eos>")
    with pytest.raises(ValueError, match=r"prompt 0 has the token id 10.*belong together"):
        collect(model, tokenizer, ["red <pad>"])
    with pytest.raises(ValueError, match="'<pad>' is token 10, and the model's logits are 10 wide"):
        collect(model, tokenizer, ["red"], vocab=["red", "<pad>"])


def test_logits_of_another_width_than_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    model = cached_model("gpt2", 20)
    real = type(model).forward

    def forward(self: Any, *args: Any, logits_to_keep: Any = 0, **options: Any) -> Any:
        output = real(self, *args, logits_to_keep=logits_to_keep, **options)
        output.logits = output.logits[..., :14]  # some models cut their padding off
        return output

    expected = log_softmax(collect(model, None, [[8, 0]]).log_probs[:, :14], axis=1)
    monkeypatch.setattr(type(model), "forward", forward)
    assert collect(model, make_tokenizer(), ["red"]).tokens == (*WORDS, *SPECIAL, "<unused>")
    np.testing.assert_allclose(collect(model, None, [[8, 0]]).log_probs, expected, atol=1e-6)
