"""Bits per byte: models of other vocabularies on the same texts."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import matrixbayes as mb

TEXTS = ["the cat sat", "the dog saw the cat", "a cat – à la carte", "the the the"]
LETTERS = sorted({c for text in TEXTS for c in text})
WORDS = sorted({w for text in TEXTS for w in text.split()})


def letters():
    matrix = mb.TransitionMatrix(2, tokens=LETTERS, hierarchical=True)
    return matrix.update([list(text) for text in TEXTS[:2]])


def words():
    matrix = mb.TransitionMatrix(1, tokens=WORDS, hierarchical=True)
    return matrix.update([text.split() for text in TEXTS[:3]])


def test_bits_are_those_of_the_model():
    found = mb.bits_per_byte(letters(), TEXTS, list)
    bits = [-letters().log_prob(list(text)) / np.log(2.0) for text in TEXTS]
    n_bytes = [len(text.encode()) for text in TEXTS]
    assert n_bytes[2] > len(TEXTS[2])
    assert_allclose(found.bits, bits, rtol=1e-12)
    assert_array_equal(found.n_bytes, n_bytes)
    assert_array_equal(found.n_tokens, [len(text) for text in TEXTS])
    assert_allclose(float(found), sum(bits) / sum(n_bytes), rtol=1e-12)
    assert_allclose(found.bits_per_token / found.bytes_per_token, float(found), rtol=1e-12)
    assert "bits per byte of 4 texts" in repr(found)
    assert "<table" in found._repr_html_()
    again = pickle.loads(pickle.dumps(found))
    assert float(again) == float(found)
    one = mb.bits_per_byte(letters(), TEXTS[0], list)
    assert len(one) == 1
    assert np.isnan(one.standard_error)


def test_differences_are_of_the_same_texts():
    a = mb.bits_per_byte(letters(), TEXTS, list)
    b = mb.bits_per_byte(words(), TEXTS, str.split)
    found = a.difference(b)
    assert_allclose(found.bits, float(a) - float(b), rtol=1e-12)
    # as a jackknife over texts has it
    left = [np.delete(np.arange(4), i) for i in range(4)]
    some = [(a.bits - b.bits)[i].sum() / a.n_bytes[i].sum() for i in left]
    jackknife = np.sqrt(3 / 4 * np.sum((np.array(some) - np.mean(some)) ** 2))
    assert_allclose(found.standard_error, jackknife, rtol=0.3)
    with pytest.raises(ValueError, match="4 texts, there 3"):
        a.difference(mb.bits_per_byte(words(), TEXTS[:3], str.split))
    with pytest.raises(ValueError, match="text 0 is"):
        a.difference(mb.bits_per_byte(words(), TEXTS[::-1], str.split))


def test_tokenizers_of_all_forms():
    expected = mb.bits_per_byte(words(), TEXTS, str.split).bits
    number = {word: i for i, word in enumerate(WORDS)}

    def ids(text, **options):
        return [number[word] for word in text.split()]

    def asked(texts, add_special_tokens=True):
        assert not add_special_tokens
        return {"input_ids": [ids(text) for text in texts]}

    asked.convert_ids_to_tokens = None
    forms = [
        None,
        ids,
        lambda text: np.array(ids(text)),
        lambda text: iter(text.split()),
        asked,
        SimpleNamespace(encode=lambda text: SimpleNamespace(ids=ids(text))),
    ]
    for form in forms:
        assert_allclose(mb.bits_per_byte(words(), TEXTS, form).bits, expected, rtol=1e-12)
    mixed = mb.Interpolation([words()], [1.0])
    assert_allclose(mb.bits_per_byte(mixed, TEXTS, ids).bits, expected, rtol=1e-12)


def test_unknown_words_are_told():
    matrix = mb.TransitionMatrix(1, tokens=[*WORDS[:3], "<unk>"]).update([0, 1, 2, 3])
    known = {*WORDS[:3]}
    with pytest.warns(RuntimeWarning, match="of 17 tokens stand for"):
        found = mb.bits_per_byte(matrix, TEXTS)
    assert found.n_unknown == sum(w not in known for text in TEXTS for w in text.split())
    assert "unknown tokens" in repr(found)


@pytest.mark.parametrize(
    ("texts", "tokenizer", "says"),
    [
        ([], list, "no text"),
        (["", ""], list, "no text"),
        ([b"the"], list, "text 0 is bytes"),
        (TEXTS, 3, "tokenizer is 3"),
        (["xyz!"], list, "not one of the"),
    ],
)
def test_what_has_no_bits(texts, tokenizer, says):
    with pytest.raises((ValueError, TypeError), match=says):
        mb.bits_per_byte(letters(), texts, tokenizer)


def test_texts_without_a_token():
    matrix = mb.TransitionMatrix(1, tokens=("a", "b")).update(list("ab"))
    with pytest.raises(ValueError, match="no token of any text"):
        mb.bits_per_byte(matrix, ["  ", " "])
