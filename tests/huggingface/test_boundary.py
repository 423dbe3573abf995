"""Where a prompt meets an answer: the token that is counted is the one that the text holds."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from toy_models import byte_tokenizer, cached_model, make_tokenizer, metaspace_tokenizer

from matrixbayes.huggingface import collect, preflight
from matrixbayes.huggingface.answers import make_columns
from matrixbayes.huggingface.boundary import contexts_of
from matrixbayes.huggingface.prompts import encode_prompts

tokenizers = pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")

from huggingface.tiny_models import since_5  # noqa: E402

TEXT = ["Is it so? yes no yes no (yes) (no) Answer: yes Answer:no is it a red yes? The soyes"] * 5
WORDS = ["yes", "no", "is", "it", "so", "?", "(", ")", ":", "Answer", "red", "the", "\n", "maybe"]
STORIES = Path(__file__).resolve().parents[3] / "shared" / "models" / "stories260K"


def _wrapped(backend: Any, **special: Any) -> Any:
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def _unigram() -> Any:
    parts = tokenizers
    backend = parts.Tokenizer(parts.models.Unigram())
    backend.pre_tokenizer = parts.pre_tokenizers.Metaspace()
    backend.decoder = parts.decoders.Metaspace()
    trainer = parts.trainers.UnigramTrainer(
        vocab_size=60, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    backend.train_from_iterator([*TEXT, "the maybe \n"], trainer)
    return _wrapped(backend, unk_token="<unk>")


def _wordpiece() -> Any:
    parts = tokenizers
    known = ["[UNK]", "[CLS]", "[SEP]", *"yesnoithrdmabw(?:)", *WORDS, "##yes", "##no", "##s"]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(known))}
    backend = parts.Tokenizer(parts.models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = parts.pre_tokenizers.BertPreTokenizer()
    backend.decoder = parts.decoders.WordPiece()
    backend.post_processor = parts.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return _wrapped(backend, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")


def _letters() -> Any:
    parts = tokenizers
    letters = sorted({*"".join([*TEXT, *WORDS]), " "})
    model = parts.models.WordLevel({"<unk>": 0, **{c: i + 1 for i, c in enumerate(letters)}})
    backend = parts.Tokenizer(model)
    backend.pre_tokenizer = parts.pre_tokenizers.Split("", "isolated")
    backend.decoder = parts.decoders.Fuse()
    return _wrapped(backend, unk_token="<unk>")


MAKE: dict[str, Any] = {
    "bytes": byte_tokenizer,
    "metaspace": lambda: metaspace_tokenizer("first"),
    "metaspace, never": lambda: metaspace_tokenizer("never"),
    "metaspace, legacy": lambda: metaspace_tokenizer(None),
    "unigram": _unigram,
    "wordpiece": _wordpiece,
    "words": make_tokenizer,
    "letters": _letters,
}


@functools.cache
def tokenizer_of(kind: str) -> Any:
    return MAKE[kind]()


def columns_after(tokenizer: Any, prompts: list[Any], vocab: Any) -> Any:
    encoded = dict(enumerate(encode_prompts(tokenizer, prompts, "last")))
    contexts = contexts_of(tokenizer, prompts, encoded, "last")
    return make_columns(tokenizer, vocab, len(tokenizer), contexts=contexts, several=True)


def held(tokenizer: Any, prompt: str, answer: str) -> list[int] | None:
    """The slow twin: what a whole text has behind the tokens of its beginning."""
    before, whole = (
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, prompt + answer)
    )
    return whole[len(before) :] if whole[: len(before)] == before else None


texts = st.lists(st.tuples(st.sampled_from(["", " "]), st.sampled_from(WORDS)), max_size=6).map(
    lambda parts: "".join(map("".join, parts))
)


@pytest.mark.parametrize("kind", MAKE)
@settings(max_examples=60, deadline=None)
@given(prompt=texts, space=st.sampled_from(["", " "]), word=st.sampled_from(WORDS), n=st.data())
def test_what_is_counted_is_what_the_text_holds(
    kind: str, prompt: str, space: str, word: str, n: Any
) -> None:
    tokenizer = tokenizer_of(kind)
    prompt = "Is it so? yes no. " * n.draw(st.sampled_from([0, 0, 20])) + prompt
    if kind == "wordpiece":  # which ends all texts: its prompts are ids without that
        ids = tokenizer(prompt)["input_ids"][:-1]
        given_: Any = [ids]
    else:
        given_ = [prompt]
    spelling = space + word
    drops = kind in ("wordpiece", "words")  # spaces only part words
    try:
        columns = columns_after(tokenizer, given_, {"a": spelling})
    except ValueError:
        return
    (pieces,) = columns.members["a"]
    found = pieces if isinstance(pieces, list) else [pieces]
    assert found == held(tokenizer, prompt, " " * drops + spelling)


# --- what is mended, and what is refused


@functools.cache
def model_of(kind: str) -> Any:
    return cached_model("llama", len(tokenizer_of(kind)))


def id_of(kind: str, piece: str) -> int:
    return int(tokenizer_of(kind).get_vocab()[piece])


@pytest.mark.parametrize("kind", ["metaspace", "metaspace, legacy"])
def test_the_token_of_a_spelling_alone_is_not_that_of_the_text(kind: str) -> None:
    """A text begins with the mark of a space, an answer behind a colon does not."""
    tokenizer, prompts = tokenizer_of(kind), ["Answer:", "Is it so? ("]
    glued, spaced = id_of(kind, "yes"), id_of(kind, "▁yes")
    assert tokenizer.encode("yes", add_special_tokens=False) == [spaced]
    with pytest.warns(RuntimeWarning, match=r"the text holds 'yes' \(token \d+\).*not ' yes'"):
        rows = collect(model_of(kind), tokenizer, prompts, vocab={"y": "yes", "n": ["▁no"]})
    assert rows.meta["groups"] == {"y": [glued], "n": [id_of(kind, "▁no")]}
    rows = collect(model_of(kind), tokenizer, prompts, vocab={"y": [" yes", "yes"]})
    assert rows.meta["groups"] == {"y": sorted([glued, spaced])}
    report = preflight(model_of(kind), tokenizer, prompts, vocab={"y": "yes"})
    assert any("the text holds 'yes'" in f.message for f in report.findings)
    assert not report.ok


def test_a_prompt_that_ends_in_a_space() -> None:
    for kind in ("bytes", "metaspace"):
        tokenizer, model = tokenizer_of(kind), model_of(kind)
        with pytest.raises(
            ValueError, match=r"answer 'y': after prompt 0 .'Answer: '.*take the sp"
        ):
            collect(model, tokenizer, ["Answer: "], vocab={"y": "yes"})
        assert collect(model, tokenizer, ["Answer:"], vocab={"y": " yes"}).n_tokens == 2
        report = preflight(model, tokenizer, ["so?", "Answer: ", "so? "])
        assert any("prompt 1 ends in a space" in f.message for f in report.findings)


def test_spaces_that_only_part_words_are_no_trouble() -> None:
    from matrixbayes.study.inputs import load_model

    tokenizer, prompts = tokenizer_of("words"), ["red ", "red"]
    report = preflight(model_of("words"), tokenizer, prompts, vocab=["red", "blue"])
    assert report.ok
    assert preflight(*load_model(None), prompts).ok  # which has no word for what it does not know
    rows = collect(model_of("words"), tokenizer, prompts, vocab=["red", "blue"])
    np.testing.assert_array_equal(rows.log_probs[0], rows.log_probs[1])


def test_a_token_that_differs_between_prompts() -> None:
    kind = "metaspace"
    tokenizer, model = tokenizer_of(kind), model_of(kind)
    with pytest.raises(ValueError, match=r"after prompt 0 .*goes on with ' yes'.*after prompt 1"):
        collect(model, tokenizer, ["", "Answer:"], vocab={"y": "yes"})
    ids = [id_of(kind, "yes"), id_of(kind, "▁yes")]
    rows = collect(model, tokenizer, ["", "Answer:"], vocab={"y": ids})
    assert rows.meta["groups"] == {"y": sorted(ids)}


def test_one_spelling_that_fits_is_enough() -> None:
    """Old calls that list an answer with and without a space stay as they were."""
    tokenizer, model = tokenizer_of("bytes"), model_of("bytes")
    for prompt in ("so?", "Is it so", "yes ye"):
        rows = collect(model, tokenizer, [prompt], vocab={"y": [" yes", "yes"]})
        assert rows.meta["groups"] == {"y": sorted(id_of("bytes", p) for p in ("yes", "Ġyes"))}
    with pytest.raises(ValueError, match="write ' es', which the text does hold there"):
        collect(model, tokenizer, ["so? y"], vocab={"y": "es"})


@pytest.mark.parametrize(
    ("kind", "spelling", "piece"),
    [
        ("bytes", "Ġyes", "Ġyes"),
        ("bytes", "Ċ", "Ċ"),
        ("bytes", "<0xE2>", "â"),
        ("metaspace", "▁yes", "▁yes"),
        ("metaspace", "<0xE2>", "<0xE2>"),
        ("wordpiece", "##yes", "##yes"),
        ("wordpiece", "yes", "yes"),
    ],
)
def test_a_piece_by_its_name(kind: str, spelling: str, piece: str) -> None:
    tokenizer = tokenizer_of(kind)
    prompt = tokenizer("Is it so?")["input_ids"][: -1 if kind == "wordpiece" else None]
    columns = columns_after(tokenizer, [prompt], {"a": spelling})
    assert columns.members == {"a": [id_of(kind, piece)]}


def test_ids_and_positions_have_their_texts() -> None:
    kind = "metaspace"
    tokenizer, model = tokenizer_of(kind), model_of(kind)
    ids = tokenizer("Is it so? Answer:")["input_ids"]
    with pytest.warns(RuntimeWarning, match="the text holds 'yes'"):
        rows = collect(model, tokenizer, [ids], vocab={"y": "yes"})
    assert rows.meta["groups"] == {"y": [id_of(kind, "yes")]}
    with pytest.warns(RuntimeWarning, match="the text holds 'yes'"):
        rows = collect(model, tokenizer, [[*ids, 300, 301]], positions=[-3], vocab={"y": "yes"})
    assert rows.meta["groups"] == {"y": [id_of(kind, "yes")]}
    pair = [("Answer:", "yes no")]
    with pytest.warns(RuntimeWarning, match="the text holds 'yes'"):
        collect(model, tokenizer, pair, positions="continuation", vocab={"y": "yes"})


def test_ids_that_no_text_has() -> None:
    tokenizer, model = tokenizer_of("metaspace"), model_of("metaspace")
    loose = [[1, *tokenizer.convert_tokens_to_ids(["▁y", "e", "s"])]]  # of which it makes others
    report = preflight(model, tokenizer, loose, vocab={"y": "yes"})
    assert any("the text before the rows is not known" in f.message for f in report.findings)
    rows = collect(model, tokenizer, loose, vocab={"y": "yes"})
    assert rows.meta["groups"] == {"y": [id_of("metaspace", "▁yes")]}


def test_very_many_prompts_are_sampled_by_their_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrixbayes.huggingface.boundary.LEAST", 8)
    tokenizer = tokenizer_of("metaspace")
    prompts = ["yes " * (i % 50) + "so" for i in range(200)]
    prompts[77] = "Answer: "
    encoded = dict(enumerate(encode_prompts(tokenizer, prompts, "last")))
    found = contexts_of(tokenizer, prompts, encoded, "last", n_spellings=10_000)
    assert 1 < len(found) <= 8
    assert "prompt 77" in [context.name for context in found]
    assert len(contexts_of(tokenizer, prompts, encoded, "last")) == 51


class Slow:
    """A tokenizer in Python, of texts one by one."""

    is_fast = False

    def __init__(self, kind: str) -> None:
        self._fast = tokenizer_of(kind)

    def __getattr__(self, name: str) -> Any:
        if name == "backend_tokenizer":
            raise AttributeError(name)
        return getattr(self._fast, name)

    def __call__(self, text: str, **options: Any) -> Any:
        assert isinstance(text, str)
        return self._fast(text, **options)


def test_a_tokenizer_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = "metaspace"
    with pytest.warns(RuntimeWarning, match="the text holds 'yes'"):
        rows = collect(model_of(kind), Slow(kind), ["Answer:", "so ("], vocab={"y": "yes"})
    assert rows.meta["groups"] == {"y": [id_of(kind, "yes")]}
    every = collect(model_of(kind), Slow(kind), ["Answer:"])
    assert every.tokens is not None
    assert every.tokens[id_of(kind, "▁yes")] == " yes"
    monkeypatch.setattr("matrixbayes.huggingface.boundary.LEAST", 1)
    prompts = [f"so {i}" for i in range(40)]
    encoded = dict(enumerate(encode_prompts(Slow(kind), prompts, "last")))
    assert len(contexts_of(Slow(kind), prompts, encoded, "last", 100)) == 25


# --- answers of several tokens


def exact(kind: str, ids: list[int], pieces: list[int]) -> float:
    """The slow twin: the probability of tokens in a row, one pass for each."""
    total = 0.0
    for n, token in enumerate(pieces):
        row = collect(model_of(kind), None, [[*ids, *pieces[:n]]], progress=False)
        total += float(row.log_probs[0, token])
    return float(np.exp(total))


@pytest.mark.parametrize("kind", ["bytes", "metaspace"])
def test_answers_of_several_tokens_by_the_chain_rule(kind: str) -> None:
    tokenizer, model = tokenizer_of(kind), model_of(kind)
    prompts = ["Is it so?", "Answer:", "Is it so?"]
    vocab = {"yes": [" yes", " yes yes yes"], "no": " no no", "maybe": [" maybe", "▁no"]}
    vocab["maybe"] = [" maybe"]
    rows = collect(model, tokenizer, prompts, vocab=vocab, hidden=True, batch_size=2)
    assert rows.tokens == ("yes", "no", "maybe", "<other>")
    assert rows.hidden is not None
    np.testing.assert_array_equal(rows.log_probs[0], rows.log_probs[2])
    for i, prompt in enumerate(prompts):
        ids = tokenizer(prompt)["input_ids"]
        for name, text in (("yes", " yes"), ("no", " no no"), ("maybe", " maybe")):
            pieces = held(tokenizer, prompt, text)
            assert pieces is not None
            assert len(pieces) > (name != "yes")
            p = exact(kind, ids, pieces)
            assert rows.probs()[i, rows.tokens.index(name)] == pytest.approx(p, rel=1e-4)
        assert rows.context(i).tolist() == ids
    np.testing.assert_allclose(rows.probs().sum(axis=1), 1.0, atol=1e-6)
    some = collect(model, tokenizer, prompts, vocab=vocab, other="renormalize")
    assert some.tokens == ("yes", "no", "maybe")
    shares = rows.probs()[:, :3] / rows.probs()[:, :3].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(some.probs(), shares, rtol=1e-5)
    assert some.meta["rest"]["dropped"]
    assert some.meta["rest"]["mean"] == pytest.approx(rows.probs()[:, 3].mean(), rel=1e-5)
    report = preflight(model, tokenizer, prompts, vocab=vocab)
    assert any("more passes" in f.message for f in report.findings)
    assert report.n_columns == 4


def test_an_answer_that_begins_another_has_what_does_not_go_on() -> None:
    kind = "bytes"
    tokenizer, model = tokenizer_of(kind), model_of(kind)
    vocab = {"y": " yes", "yn": " yes no", "yny": " yes no yes", "n": [" no", " no no"]}
    rows = collect(model, tokenizer, ["Is it so?"], vocab=vocab)
    ids = tokenizer("Is it so?")["input_ids"]
    y, n = id_of(kind, "Ġyes"), id_of(kind, "Ġno")
    begun = [exact(kind, ids, pieces) for pieces in ([y], [y, n], [y, n, y], [n])]
    expected = [begun[0] - begun[1], begun[1] - begun[2], begun[2], begun[3]]
    np.testing.assert_allclose(rows.probs()[0, :4], expected, rtol=1e-4)
    assert rows.meta["groups"]["yn"] == [[y, n]]


def test_answers_of_ids_in_a_row_and_what_follows_every_token() -> None:
    model = cached_model("gpt2")
    rows = collect(model, None, [[8, 0, 4], [1]], positions="all", vocab={"a": [(1, 2)], "b": 3})
    every = collect(model, None, [[8], [8, 0], [8, 0, 4], [1]])
    after = collect(model, None, [[8, 1], [8, 0, 1], [8, 0, 4, 1], [1, 1]])
    expected = every.log_probs[:, 1] + after.log_probs[:, 2]
    np.testing.assert_allclose(rows.log_probs[:, 0], expected, atol=1e-5)
    np.testing.assert_allclose(rows.log_probs[:, 1], every.log_probs[:, 3], atol=1e-5)
    assert rows.meta["position"] == [0, 1, 2, 0]
    # every first token begins an answer, and the rest is what goes on otherwise
    full = {"a": [(0, 1)], "b": range(1, 12)}
    rows = collect(model, None, [[8]], vocab=full)
    assert rows.tokens == ("a", "b", "<other>")
    p = every.log_probs[0].astype(float)
    assert rows.log_probs[0, 1] == pytest.approx(logsumexp(p[1:]), abs=1e-5)
    with pytest.raises(ValueError, match="longest answer has 65 tokens, and the model takes 64"):
        collect(model, None, [[1] * 63], vocab={"a": [(1, 2, 3)]})


@since_5  # which wrote it
def test_a_real_tokenizer() -> None:
    if not STORIES.is_dir():
        pytest.skip("no stories260K beside the checkout")
    model = transformers.AutoModelForCausalLM.from_pretrained(STORIES).eval()
    folders = [STORIES]
    if importlib.util.find_spec("sentencepiece"):
        folders.append(STORIES / "tokenizer_sentencepiece")
    for folder in folders:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        prompts = ["Once upon a time, there was a little", "The bird was"]
        rows = collect(model, tokenizer, prompts, vocab={"girl": " girl", "big": " big", "a": " a"})
        for name in ("girl", "big", "a"):
            spelled = rows.meta["groups"][name][0]
            found = [spelled] if isinstance(spelled, int) else spelled
            for prompt in prompts:
                assert held(tokenizer, prompt, f" {name}") == found
        every = collect(model, tokenizer, prompts)
        assert every.tokens is not None
        assert not any("▁" in name for name in every.tokens)
