"""Pieces of vocabularies as text."""

from __future__ import annotations

import pytest

from matrixbayes._base.pieces import byte_of, bytes_of, readings, text_of_bytes
from matrixbayes._base.tokens import near


def test_every_byte_has_one_character() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    letters = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    assert sorted(b for letter in letters for b in bytes_of(letter) or b"") == [*range(256)]
    split = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for text in ("the", " naïve\n", "日本 \t'’", "\x00\x7f\xad"):
        ((piece, _),) = split.pre_tokenize_str(text)
        assert bytes_of(piece) == text.encode()


def test_bytes_that_are_no_text_are_named() -> None:
    assert text_of_bytes("’".encode()) == "’"
    assert text_of_bytes("’".encode()[:2]) == "<0xE2><0x80>"
    assert text_of_bytes(b"a\x99") == "a<0x99>"
    assert bytes_of("▁the") is None
    assert byte_of("<0x0a>") == 10
    assert byte_of("0x0a") is None


def test_a_name_of_the_vocabulary_is_recognized() -> None:
    names = (" the", "the", "\n", "’", "yes")
    for given, meant in (("Ġthe", " the"), ("▁the", " the"), ("Ċ", "\n"), ("<0x0A>", "\n")):
        assert near(given, names) == meant
    assert near("âĢĻ", names) == "’"
    assert near(" the", ("the", "Ġthe")) == "Ġthe"  # of rows that were saved before
    assert readings("plain") == []
