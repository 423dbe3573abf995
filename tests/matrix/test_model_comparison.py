"""A model in few bits against the same model in many."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import matrixbayes as mb

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from toy_models import WORDS, cached_model, make_tokenizer  # noqa: E402

PROMPTS = [" ".join(WORDS[(i * j + i) % len(WORDS)] for j in range(1 + i % 6)) for i in range(24)]


def quantised(model, bits):
    """Weights rounded to so many bits, with a scale for each row."""
    found = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in found.parameters():
            if parameter.ndim == 2:
                step = parameter.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)
                parameter.copy_(torch.round(parameter / step) * step)
    return found


def test_bits_of_weights_in_order():
    model, tokenizer = cached_model("llama"), make_tokenizer()
    whole = mb.collect(model, tokenizer, PROMPTS)
    half = mb.collect(copy.deepcopy(model).to(torch.bfloat16), tokenizer, PROMPTS)
    found = mb.compare(whole, half)
    assert found.names == ("first", "second")
    assert 0.0 < found.gap_bits < 0.02
    assert found.agreement > 0.85
    rows = {bits: mb.collect(quantised(model, bits), tokenizer, PROMPTS) for bits in (8, 4)}
    eight, four = (mb.compare(whole, rows[bits]) for bits in (8, 4))
    assert 0.0 < eight.gap_bits < four.gap_bits
    assert eight.agreement >= four.agreement
    expected = mb.rows.divergences(whole.log_probs, rows[4].log_probs)
    assert_allclose(four.kl, expected, rtol=1e-9, atol=1e-12)
    assert len(four.worst(3)) == 3
    assert four.kl[four.worst(1)[0]] == four.kl.max()
    assert np.isfinite(four.bins[four.bins[:, 2] > 0.0]).all()
    part = mb.compare(whole, mb.PartialRows.from_rows(rows[4], 5))
    assert (part.kl[:, 0] <= four.kl + 1e-6).all()
    with pytest.raises(ValueError, match="row 0 comes after"):
        mb.compare(whole, mb.collect(model, tokenizer, PROMPTS[::-1]))


def test_bits_per_byte_of_a_language_model():
    model, tokenizer = cached_model("gpt2"), make_tokenizer()
    found = mb.bits_per_byte(model, PROMPTS, tokenizer, batch_size=3)
    for text, bits in zip(PROMPTS, found.bits, strict=True):
        ids = torch.tensor([tokenizer(text)["input_ids"]])  # behind BOS
        with torch.no_grad():
            logs = torch.log_softmax(model(ids).logits[0].double(), dim=-1)
        own = logs[torch.arange(ids.shape[1] - 1), ids[0, 1:]]
        assert_allclose(bits, -own.sum() / np.log(2.0), rtol=1e-5)
    assert_array_equal(found.n_tokens, [len(text.split()) for text in PROMPTS])
    matrix = mb.TransitionMatrix(1, tokens=WORDS).update([text.split() for text in PROMPTS])
    assert found.difference(mb.bits_per_byte(matrix, PROMPTS, str.split)).bits > 0.0
    tokenizer.bos_token = tokenizer.eos_token = None
    with pytest.raises(ValueError, match="neither a BOS nor an EOS"):
        mb.bits_per_byte(model, PROMPTS, tokenizer)


def test_long_texts_are_read_in_windows():
    model, tokenizer = cached_model("gpt2"), make_tokenizer()  # of 64 places
    rng = np.random.default_rng(0)
    text = " ".join(WORDS[i] for i in rng.integers(0, len(WORDS), 150))
    found = mb.bits_per_byte(model, text, tokenizer)
    ids = np.array([8, *tokenizer(text, add_special_tokens=False)["input_ids"]])
    expected = 0.0
    for i in range(1, len(ids)):  # as far back as the windows reach
        start = 0 if i <= 64 else 32 * ((i - 33) // 32)
        with torch.no_grad():
            logits = model(torch.tensor(ids[None, start:i])).logits[0, -1].double()
        expected -= float(torch.log_softmax(logits, dim=-1)[ids[i]]) / np.log(2.0)
    assert_allclose(found.bits, [expected], rtol=1e-5)
