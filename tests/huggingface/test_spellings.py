"""Names of tokens: the text that each is, whatever the tokenizer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from toy_models import byte_tokenizer, cached_model, make_tokenizer

import matrixbayes as mb
from matrixbayes.errors import NoSuchTokenError
from matrixbayes.huggingface.spellings import token_names

tokenizers = pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def wrapped(model: Any, decoder: Any = None, **special: Any) -> Any:
    backend = tokenizers.Tokenizer(model)
    if decoder is not None:
        backend.decoder = decoder
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def sentencepiece() -> Any:
    steps = tokenizers.decoders
    decoder = steps.Sequence(
        [steps.Replace("▁", " "), steps.ByteFallback(), steps.Fuse(), steps.Strip(" ", 1, 0)]
    )
    pieces = ["<unk>", "<s>", *BYTES, "▁", "▁the", "the", "A", " ", "▁▁", "</s>"]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    model = tokenizers.models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True)
    return wrapped(model, decoder, unk_token="<unk>", bos_token="<s>")


def test_byte_level_names_are_text() -> None:
    tokenizer = byte_tokenizer()
    names = token_names(tokenizer, len(tokenizer))
    vocabulary = tokenizer.get_vocab()
    assert len({*names}) == len(names) == len(tokenizer)
    assert names[vocabulary["Ġyes"]] == " yes"
    assert names[vocabulary["Ċ"]] == "\n"
    assert names[vocabulary["â"]] == "<0xE2>"
    assert names[tokenizer.eos_token_id] == "<eos>"
    assert token_names(tokenizer, len(tokenizer) + 2)[-2:] == [None, None]
    for i, name in enumerate(names):
        assert name is not None
        if not name.startswith("<"):
            assert tokenizer.decode([i]) == name


def test_sentencepiece_names_are_text() -> None:
    tokenizer = sentencepiece()
    names = token_names(tokenizer, len(tokenizer))
    pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    found = dict(zip(pieces, names, strict=True))
    assert len({*names}) == len(names)
    assert found["▁the"] == " the"
    assert found["the"] == "the"
    assert found["▁▁"] == "  "
    assert found["<0x0A>"] == "\n"
    assert found["<0xE2>"] == "<0xE2>"
    assert (found["A"], found["<0x41>"]) == ("A", "<0x41>")  # the byte is what is named otherwise
    assert found["<s>"] == "<s>"
    assert (found["▁"], found["<0x20>"], found[" "]) == (" ", "<0x20>", " #262")


def test_other_vocabularies() -> None:
    plain = {"[UNK]": 0, "the": 1, "##ing": 2}
    piece = wrapped(tokenizers.models.WordPiece(plain), tokenizers.decoders.WordPiece())
    assert token_names(piece, 3) == ["[UNK]", "the", "##ing"]
    ended = tokenizers.models.BPE({"the</w>": 0, "the": 1}, [], end_of_word_suffix="</w>")
    assert token_names(wrapped(ended, tokenizers.decoders.BPEDecoder()), 2) == ["the ", "the"]
    unigram = tokenizers.models.Unigram([("<unk>", 0.0), ("▁the", -1.0), ("the", -2.0)], 0)
    names = ["<unk>", " the", "the"]
    assert token_names(wrapped(unigram, tokenizers.decoders.Metaspace()), 3) == names
    assert token_names(wrapped(unigram), 3) == names  # where no decoder says so
    words = make_tokenizer()
    assert token_names(words, len(words)) == words.convert_ids_to_tokens(range(len(words)))


def test_tokenizers_that_are_not_fast() -> None:
    class Bytes:  # as those on tiktoken are
        def get_vocab(self) -> dict[Any, int]:
            return {b" the": 0, b"\xe2\x80": 1, "<|end|>": 2}

    class Written:
        def __init__(self) -> None:
            self.byte_decoder = {"Ġ": 32}

        def get_vocab(self) -> dict[str, int]:
            return {"Ġthe": 0, "Ã": 1}

    assert token_names(Bytes(), 3) == [" the", "<0xE2><0x80>", "<|end|>"]
    assert token_names(Written(), 2) == [" the", "<0xC3>"]
    assert token_names(None, 2) == [None, None]


def test_rows_are_named_by_text_and_shown_in_quotes() -> None:
    tokenizer = byte_tokenizer()
    rows = mb.collect(cached_model("gpt2", len(tokenizer)), tokenizer, ["so?"])
    assert rows.tokens is not None
    assert " yes" in rows.tokens
    assert not any("Ġ" in name or "Ċ" in name for name in rows.tokens)
    order = [rows.tokens.index(name) for name in (" yes", "\n", "yes")]
    few = mb.NextTokenRows(np.log([[0.5, 0.3, 0.2]]), tokens=[rows.tokens[j] for j in order])
    assert r"' yes' 0.500, '\n' 0.300, 'yes' 0.200" in repr(few)
    prior = mb.DirichletMixture([1.0], np.ones((1, rows.n_tokens)), tokens=rows.tokens)
    post = mb.posterior_path(prior, [" yes"])
    assert np.all(post.mean()[1, rows.tokens.index(" yes")] > post.mean()[0, 0])
    with pytest.raises(NoSuchTokenError, match="did you mean ' yes'"):
        mb.posterior_path(prior, ["Ġyes"])
