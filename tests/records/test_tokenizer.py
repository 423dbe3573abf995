"""With a tokenizer the columns are its ids, and texts are the tokens that are written so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records.shown import entry, listed, load

import matrixbayes as mb
from matrixbayes.rows import BoundedRows, NextTokenRows

transformers = pytest.importorskip("transformers")
STORIES = Path(__file__).resolve().parents[3] / "shared" / "models" / "stories260K"


@pytest.fixture(scope="module")
def byte_level() -> Any:
    """A tokenizer whose pieces are letters for bytes, with one token more than its vocabulary."""
    tokenizers = pytest.importorskip("tokenizers")
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate(letters)}
    for piece in ("Ġy", "es", "Ġyes", "Ġn", "Ġno", "ðŁ"):
        vocabulary[piece] = len(vocabulary)
    merges = [("Ġ", "y"), ("e", "s"), ("Ġy", "es"), ("Ġ", "n"), ("Ġn", "o"), ("ð", "Ł")]
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>")


def chat(*content: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "logprobs": {"content": list(content)}}]}


def test_texts_and_bytes_become_ids(byte_level: Any) -> None:
    ids = byte_level.get_vocab()
    half = entry("\ufffd", -2.0, raw=[240, 159])
    content = chat(
        entry(" yes", -0.5, entry(" yes", -0.5), half, entry("<|end|>", -3.0)),
        entry("\n", -0.25, entry("\n", -0.25)),
    )
    rows = mb.from_openai(content, tokenizer=byte_level)
    assert rows.n_tokens == len(byte_level)
    assert rows.tokens[ids["Ġyes"]] == " yes"
    assert sorted(rows[0].columns) == sorted([ids["Ġyes"], ids["ðŁ"], ids["<|end|>"]])
    assert rows[1].columns.tolist() == [ids["Ċ"]]
    assert rows.token_ids.tolist() == list(range(len(byte_level)))
    assert rows.meta["sampled"] == [" yes", "\n"]


def test_a_text_that_is_no_one_token_is_left_to_the_rest(byte_level: Any) -> None:
    """And no token of the rest is said to be below it."""
    place = entry(" yes", -0.75, entry(" yes", -0.75), entry("\ufffd", -1.5), entry("maybe", -2.5))
    rows = mb.from_openai(chat(place), tokenizer=byte_level)
    assert listed(rows, 0) == {" yes": -0.75}
    assert rows.meta["unknown"] == ["\ufffd", "maybe"]
    assert rows[0].cap == min(-1.5, rows[0].rest)
    log_probs = {"tokens": [" yes"], "token_logprobs": [-0.75]}
    log_probs["top_logprobs"] = [{" yes": -0.75, "\ufffd": -1.5, "b": -3.0}]  # type: ignore[list-item]
    texts = mb.from_openai({"choices": [{"logprobs": log_probs}]}, tokenizer=byte_level)
    assert texts[0].cap == texts[0].rest  # another token of that text may have more


def test_texts_that_are_raw_pieces_are_their_tokens(byte_level: Any) -> None:
    """Servers that name tokens by their pieces, as old ones of vLLM in Completions."""
    record = chat(entry("Ġyes", -0.5, entry("Ġyes", -0.5), entry("Ġno", -1.5), entry("Ċ", -3.0)))
    rows = mb.from_openai(record, tokenizer=byte_level)
    assert listed(rows, 0) == {" yes": -0.5, " no": -1.5, "\n": -3.0}


def test_answers_are_texts_or_ids(byte_level: Any) -> None:
    ids = byte_level.get_vocab()
    record = chat(entry(" yes", -0.5, entry(" yes", -0.5), entry(" no", -1.5)))
    answers = {"yes": [" yes"], "no": ids["Ġno"]}
    rows = mb.from_openai(record, tokenizer=byte_level, vocab=answers)
    assert isinstance(rows, NextTokenRows)
    np.testing.assert_allclose(rows.probs()[0, :2], np.exp([-0.5, -1.5]))
    assert rows.token_ids.tolist() == [ids["Ġyes"], ids["Ġno"], -1]
    wider = mb.from_openai(record, tokenizer=byte_level, vocab={**answers, "a": "a"})
    assert isinstance(wider, BoundedRows)
    shares = mb.from_openai(record, tokenizer=byte_level, vocab=answers, other="renormalize")
    assert shares.tokens == ("yes", "no")
    with pytest.raises(ValueError, match="' maybe' is not a token"):
        mb.from_openai(record, tokenizer=byte_level, vocab=[" yes", " maybe"])


def test_ids_and_texts_together_need_a_tokenizer(byte_level: Any) -> None:
    records = [chat(entry("a", -0.5)), chat(entry("token_id:5", -0.25))]
    with pytest.raises(ValueError, match="read them apart, or give the tokenizer"):
        mb.from_openai(records)
    rows = mb.from_openai(records, tokenizer=byte_level)
    assert rows[0].columns.tolist() == [byte_level.get_vocab()["a"]]
    assert rows[1].columns.tolist() == [5]


def test_ids_beyond_the_tokenizer_widen_the_columns(byte_level: Any) -> None:
    place = {str(len(byte_level) + 3): {"logprob": -0.5, "rank": 1}}
    record = {"choices": [{"prompt_logprobs": [None, place]}]}
    rows = mb.from_vllm(record, prompt=True, tokenizer=byte_level)
    assert rows.n_tokens == len(byte_level) + 4
    assert rows.tokens[-1] == f"<{len(byte_level) + 3}>"
    arrays = mb.from_topk([[5, 3]], [[-0.5, -1.5]], tokenizer=byte_level)
    assert arrays.n_tokens == len(byte_level)


def test_rows_of_records_and_of_collect_have_the_same_columns(byte_level: Any) -> None:
    tokens = mb.from_llama_cpp(load("llama_cpp.json"), tokenizer=byte_level).tokens
    from matrixbayes.huggingface.answers import make_columns

    assert tokens[: len(byte_level)] == make_columns(byte_level, None, len(byte_level)).tokens


@pytest.mark.skipif(not STORIES.is_dir(), reason=f"there is no {STORIES}")
def test_sentencepiece() -> None:
    if int(transformers.__version__.partition(".")[0]) < 5:
        pytest.skip("transformers 5 wrote this tokenizer")
    tokenizer = transformers.AutoTokenizer.from_pretrained(STORIES)
    ids = tokenizer.get_vocab()
    content = chat(
        entry(
            " the", -0.5, entry(" the", -0.5), entry("\n", -1.5), entry("<0xE2>", -3.0, raw=[226])
        )
    )
    rows = mb.from_openai(content, tokenizer=tokenizer)
    assert sorted(rows[0].columns) == sorted([ids["▁the"], ids["<0x0A>"], ids["<0xE2>"]])
