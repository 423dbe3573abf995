"""Matrices of strings: vocabularies, tokenizers, scores by words as nltk has them."""

from __future__ import annotations

import io
import math
import pickle
import random
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import matrixbayes as mb
from matrixbayes.errors import NoSuchTokenError

LINES = [
    "the cat sat on the mat",
    "the dog sat on the cat",
    "",
    "a cat ran",
    "the dog ran to a cat",
]
SENTENCES = [line.split() for line in LINES]


def test_the_vocabulary_is_in_order_of_frequency() -> None:
    matrix = mb.TransitionMatrix.from_text(LINES, order=1)
    times = Counter(word for line in SENTENCES for word in line)
    words = sorted(times, key=lambda word: -times[word])  # stable: those that came first before
    assert matrix.tokens == ("<unk>", "</s>", *words)
    assert (
        matrix.n_observed == sum(times.values()) - 4 + 4
    )  # a first token is not counted, an end is
    few = mb.TransitionMatrix.from_text(LINES, order=1, min_count=2)
    assert few.tokens == ("<unk>", "</s>", *(word for word in words if times[word] > 1))
    fewer = mb.TransitionMatrix.from_text(LINES, order=1, max_tokens=5)
    assert fewer.tokens == ("<unk>", "</s>", *words[:3])
    rare = sum(times[word] for word in words[3:])
    counted = fewer.counts([[v] for v in range(5)]).sum(axis=0)
    assert counted[0] == rare - 1  # "a" is the first of a line
    bare = mb.TransitionMatrix.from_text(LINES, order=1, unknown=None, end=None)
    assert bare.tokens == tuple(words)


def test_documents_are_lines() -> None:
    """However the lines come; an empty one has an end alone."""
    text = "\n".join(LINES)
    wanted = mb.TransitionMatrix.from_text(LINES, order=2, hierarchical=True)
    ways: list[Any] = [text, text + "\n", io.StringIO(text), iter(LINES), SENTENCES]
    ways.append(io.StringIO(text.replace("\n", "\r\n"), newline=""))
    for way in ways:
        matrix = mb.TransitionMatrix.from_text(way, order=2, hierarchical=True)
        assert matrix.tokens == wanted.tokens
        assert_array_equal(matrix.contexts(), wanted.contexts())
        assert_array_equal(matrix.counts(matrix.contexts()), wanted.counts(wanted.contexts()))
    number = {name: v for v, name in enumerate(wanted.tokens or ())}
    documents = [[number[word] for word in [*line, "</s>"]] for line in SENTENCES]
    plain = mb.TransitionMatrix(2, tokens=wanted.tokens, hierarchical=True).update(documents)
    assert_array_equal(plain.counts(plain.contexts()), wanted.counts(wanted.contexts()))
    for found, document in zip(wanted.encode(text), documents, strict=True):
        assert_array_equal(found, document)


def test_a_given_vocabulary() -> None:
    matrix = mb.TransitionMatrix.from_text(LINES, order=1, vocabulary=["cat", "<unk>", "the"])
    assert matrix.tokens == ("cat", "<unk>", "the", "</s>")
    assert_array_equal(matrix.encode(["a cat"])[0], [1, 0, 3])
    with pytest.raises(ValueError, match="'sat' is not one of the 5 tokens"):
        mb.TransitionMatrix.from_text(
            LINES, order=1, vocabulary=["cat", "dog", "the", "on", "</s>"], unknown=None
        )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"text": ["a <s> b"]}, ValueError, "line 1 has the word '<s>'"),
        ({"text": ["a", "b </s>"]}, ValueError, "line 2 has the word '</s>'.*end=None"),
        ({"text": []}, ValueError, "no tokens in the text"),
        ({"text": ["", " "]}, ValueError, "no tokens in the text"),
        ({"text": b"a b"}, TypeError, "bytes"),
        ({"text": [1, 2]}, TypeError, "line 1 is 1"),
        ({"text": Path("text")}, TypeError, "open it"),
        ({"tokenizer": 3}, TypeError, "tokenizer is 3"),
        ({"tokenizer": "gpt2"}, TypeError, "tokenizer is 'gpt2'"),
        ({"tokenizer": str.lower}, TypeError, "gave one string"),
        ({"tokenizer": lambda line: [0.5]}, TypeError, "a token is 0.5"),
        ({"tokenizer": lambda line: ["a", 1]}, TypeError, "among words"),
        ({"tokenizer": lambda line: [1] if "mat" in line else ["a"]}, TypeError, "others"),
        ({"min_count": 0}, ValueError, "min_count is 0"),
        ({"max_tokens": 2}, ValueError, "max_tokens is 2"),
        ({"vocabulary": ["a"], "min_count": 2}, ValueError, "here it is given"),
        ({"unknown": "<s>"}, ValueError, "beginning of a document"),
        ({"unknown": "x", "end": "x"}, ValueError, "both 'x'"),
        ({"end": 3}, TypeError, "are words"),
        ({"tokens": ["a", "b"]}, ValueError, "give them as vocabulary"),
        (
            {"tokenizer": lambda line: [1, 2], "end": "no", "vocabulary": ["a", "b", "c"]},
            NoSuchTokenError,
            "end is 'no', which is not a token of the tokenizer",
        ),
        ({"tokenizer": lambda line: [1, 2]}, ValueError, "how many tokens"),
        ({"tokenizer": lambda line: [1, 2], "min_count": 2}, ValueError, "choose among words"),
    ],
)
def test_what_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mb.TransitionMatrix.from_text(**{"text": LINES, "order": 1, **options})


# --- tokenizers


def test_callables_of_any_sort() -> None:
    numbers = [[ord(c) % 50 for c in line] for line in LINES]
    wanted = mb.TransitionMatrix(1, n_tokens=50).update([each for each in numbers if each])
    makers: list[Any] = [
        lambda line: [ord(c) % 50 for c in line],
        lambda line: np.array([ord(c) % 50 for c in line], dtype=np.uint16),
        lambda line: {"input_ids": [ord(c) % 50 for c in line], "mask": []},
        lambda line: SimpleNamespace(ids=[ord(c) % 50 for c in line]),
        lambda line: SimpleNamespace(input_ids=[ord(c) % 50 for c in line]),
        SimpleNamespace(encode=lambda line: [ord(c) % 50 for c in line]),
        SimpleNamespace(
            n_vocab=50,
            encode=None,
            encode_ordinary_batch=lambda lines: [[ord(c) % 50 for c in line] for line in lines],
        ),
    ]
    for maker in makers:
        matrix = mb.TransitionMatrix.from_text(LINES, order=1, tokenizer=maker, n_tokens=50)
        assert_array_equal(matrix.counts(matrix.contexts()), wanted.counts(wanted.contexts()))
        assert matrix.tokenizer is maker
    spacy = mb.TransitionMatrix.from_text(
        LINES, order=1, tokenizer=lambda line: (SimpleNamespace(text=w) for w in line.split())
    )
    assert spacy.tokens == mb.TransitionMatrix.from_text(LINES, order=1).tokens
    letters = mb.TransitionMatrix.from_text(LINES, order=1, tokenizer=list)
    assert letters.tokens is not None
    assert set(letters.tokens) == {"<unk>", "</s>", *"".join(LINES)}
    ended = mb.TransitionMatrix.from_text(
        LINES, order=1, tokenizer=makers[0], end=7, vocabulary=[f"t{i}" for i in range(50)]
    )
    assert [document[-1] for document in ended.encode("a\nb")] == [7, 7]


def test_tokenizers_are_asked_for_many_lines_at_once_and_for_words_never() -> None:
    asked: list[int] = []

    def batch(lines: list[str]) -> list[list[str]]:
        asked.append(len(lines))
        return [["?"] if line == "x" else [line[::-1]] for line in lines]

    tokenizer = SimpleNamespace(encode=None, encode_ordinary_batch=batch)
    lines = [*["ab"] * 2000, ["as", "it", "is"], "x"]
    matrix = mb.TransitionMatrix.from_text(lines, order=1, tokenizer=tokenizer)
    assert asked == [1024, 977]
    assert_array_equal(matrix.tokens, ["<unk>", "</s>", "ba", "as", "it", "is", "?"])
    matrix.encode([["ba", "?"]])
    assert len(asked) == 2
    split = mb.TransitionMatrix.from_text(["a b", ["c d"]], order=1)  # by white space, and not
    assert_array_equal(split.tokens, ["<unk>", "</s>", "a", "b", "c d"])


def word_level() -> Any:
    tokenizers = pytest.importorskip("tokenizers")
    words = ["<unk>", "</s>", *dict.fromkeys(word for line in SENTENCES for word in line)]
    model = tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>")
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<unk> $A </s>", special_tokens=[("<unk>", 0), ("</s>", 1)]
    )
    return made, tuple(words)


def test_tokenizers_of_hugging_face_bring_their_vocabulary() -> None:
    """And none of the tokens that they put around a text."""
    made, words = word_level()
    wanted = mb.TransitionMatrix.from_text(LINES, order=1, vocabulary=words, hierarchical=True)
    matrix = mb.TransitionMatrix.from_text(LINES, order=1, tokenizer=made, hierarchical=True)
    assert matrix.tokens == words
    assert_array_equal(matrix.counts(matrix.contexts()), wanted.counts(wanted.contexts()))
    assert_array_equal(matrix.encode("the zebra")[0], [2, 0, 1])
    transformers = pytest.importorskip("transformers")
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", eos_token="</s>"
    )
    matrix = mb.TransitionMatrix.from_text(LINES, order=1, tokenizer=fast, hierarchical=True)
    assert matrix.tokens == words
    assert_array_equal(matrix.counts(matrix.contexts()), wanted.counts(wanted.contexts()))


def test_tokenizers_are_not_kept_in_files(tmp_path: Path) -> None:
    matrix = mb.TransitionMatrix.from_text(LINES, order=1, tokenizer=lambda line: list(line))
    assert_array_equal(matrix.copy().encode("at")[0], matrix.encode("at")[0])
    matrix.save(tmp_path / "matrix")
    for loaded in (
        mb.TransitionMatrix.open(tmp_path / "matrix"),
        pickle.loads(pickle.dumps(matrix)),
        pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(matrix)))),
    ):
        with pytest.raises(ValueError, match=r"set matrix\.tokenizer"):
            loaded.encode("at")
        assert loaded.score("a", ["c"]) == matrix.score("a", ["c"])
        loaded.tokenizer = list
        assert_array_equal(loaded.encode("a?")[0], matrix.encode("a?")[0])
    plain = mb.TransitionMatrix.from_text(LINES, order=1)
    plain.save(tmp_path / "plain")
    opened = mb.TransitionMatrix.open(tmp_path / "plain")
    assert opened.perplexity("the cat ran up") == plain.perplexity("the cat ran up")
    assert opened.log_prob([["the", "zebra"]]) == plain.log_prob([["the", "<unk>"]])


# --- scores


KINDS: list[dict[str, Any]] = [{}, {"hierarchical": True}, {"discounts": True}]


@pytest.mark.parametrize("options", [*KINDS, {"order": "tree", "depth": 2}], ids=str)
def test_scores_are_those_of_rows(options: dict[str, Any]) -> None:
    matrix = mb.TransitionMatrix.from_text(LINES, **{"order": 2, **options})
    names = matrix.tokens
    assert names is not None
    for context in ([], ["the"], ["on", "the"], ["the", "on", "the"], [2, "cat"]):
        row = matrix.predict([names.index(c) if isinstance(c, str) else c for c in context])
        found = [matrix.score(word, context) for word in names]
        assert_allclose(found, row, rtol=1e-12)
        assert_allclose(matrix.logscore("cat", context), math.log2(row[names.index("cat")]))
    first = matrix.predict(matrix.begin)
    assert_allclose([matrix.score(word, ["<s>"]) for word in names], first, rtol=1e-12)
    assert_allclose([matrix.score(word, ["<s>", "<s>"]) for word in names], first, rtol=1e-12)
    second = matrix.predict([*matrix.begin[1:], names.index("the")])
    assert_allclose([matrix.score(v, ["<s>", "the"]) for v in range(len(names))], second)
    assert matrix.score("zebra", ["the"]) == matrix.score("<unk>", ["the"])
    assert matrix.score("cat") == matrix.score("cat", [])
    assert matrix.score("cat", ["zebra"]) == matrix.score("cat", ["<unk>"])
    line = "the cat ran"
    words = [*line.split(), "</s>"]
    by_words = sum(matrix.logscore(w, ["<s>", *words[:i]]) for i, w in enumerate(words))
    assert_allclose(matrix.entropy(line), -by_words / 4)
    assert_allclose(matrix.perplexity(line), 2.0 ** matrix.entropy(line))
    assert_allclose(matrix.log_prob(line), by_words * math.log(2.0))
    assert matrix.entropy([words]) == matrix.entropy(line)


def test_words_are_drawn_as_nltk_draws_them() -> None:
    matrix = mb.TransitionMatrix.from_text(["a b c d e f"], order=1, prior=1e-9)
    assert matrix.generate(3, text_seed=["a"]) == ["b", "c", "d"]
    assert matrix.generate(2, text_seed=["x", "d"], random_seed=3) == ["e", "f"]
    assert matrix.generate(1, ["e"], random_seed=random.Random(1)) == ["f"]
    wide = mb.TransitionMatrix.from_text(LINES, order=2, hierarchical=True)
    assert wide.generate(9, random_seed=4) == wide.generate(9, random_seed=4)
    assert wide.tokens is not None
    assert wide.generate(9, random_seed=4) == [wide.tokens[v] for v in wide.generate(9, rng=4)]
    for wrong in ({"context": [0], "text_seed": ["a"]}, {"rng": 1, "random_seed": 2}):
        with pytest.raises(ValueError, match="not both"):
            matrix.generate(1, **wrong)


def test_what_has_no_words_says_so() -> None:
    named = mb.TransitionMatrix(1, tokens=["a", "b"]).update(["a", "b", "a"])
    assert named.score("b", ["a"]) == named["a"][1]
    with pytest.raises(ValueError, match="'c', which is not one of the 2 tokens"):
        named.score("c", ["a"])
    with pytest.raises(ValueError, match="token 1 of line 0 is 'c'"):
        named.encode("a c")
    with pytest.raises(TypeError, match="tokenise it first"):
        named.log_prob("a b")  # as ever: it did not come from text
    with pytest.raises(TypeError, match="give a list of words"):
        named.score("a", "b a")
    with pytest.raises(ValueError, match="no tokens to score"):
        named.entropy([])
    numbered = mb.TransitionMatrix(1, n_tokens=2).update([0, 1, 0])
    assert numbered.score(1, [0]) == numbered[0][1]
    with pytest.raises(ValueError, match="no names"):
        numbered.score("a", [0])


@pytest.mark.parametrize("order", [2, 3])
def test_lidstone_of_nltk(order: int) -> None:
    """It has the token <s> among those that may come; here another stands for it."""
    nltk = pytest.importorskip("nltk.lm")
    pipeline = pytest.importorskip("nltk.lm.preprocessing").padded_everygram_pipeline
    peer = nltk.Lidstone(0.5, order)
    peer.fit(*pipeline(order, SENTENCES))
    words = sorted({word for line in SENTENCES for word in line})
    matrix = mb.TransitionMatrix.from_text(
        SENTENCES, order=order - 1, prior=0.5, vocabulary=[*words, "another"]
    )
    assert len(peer.vocab) == matrix.n_tokens
    for context in [["the"], ["cat"], ["on", "the"], ["the", "cat"], ["zebra", "the"]]:
        if len(context) == order - 1:
            for word in (*words, "zebra", "</s>"):
                assert_allclose(matrix.score(word, context), peer.score(word, context))
                assert_allclose(matrix.logscore(word, context), peer.logscore(word, context))


def test_kneser_ney_of_nltk() -> None:
    """Interpolated, with one discount for all counts, of pairs of words."""
    nltk = pytest.importorskip("nltk.lm")
    pipeline = pytest.importorskip("nltk.lm.preprocessing").padded_everygram_pipeline
    peer = nltk.KneserNeyInterpolated(2, discount=0.3)
    peer.fit(*pipeline(2, SENTENCES))
    matrix = mb.TransitionMatrix.from_text(
        SENTENCES, order=1, discounts=[[0.0] * 4, [0.3, 0.3, 0.3, 0.0]]
    )
    words = sorted({word for line in SENTENCES for word in line})
    for context in [["<s>"], ["the"], ["cat"], ["on"]]:
        for word in (*words, "</s>"):
            assert_allclose(matrix.score(word, context), peer.score(word, context), rtol=1e-12)
    pairs = [
        pair for line in SENTENCES for pair in zip(["<s>", *line], [*line, "</s>"], strict=True)
    ]
    ended = [[*line, "</s>"] for line in SENTENCES]
    assert_allclose(matrix.entropy(ended), peer.entropy(pairs))
    assert_allclose(matrix.perplexity(ended), peer.perplexity(pairs))


def test_tokens_are_called_by_their_texts() -> None:
    """As rows of a model call them, so that the two are compared."""
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {"<unk>": 0, "Ġa": 1, "b": 2, "Ġb": 4}  # 3 has no name
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, "<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    matrix = mb.TransitionMatrix.from_text(["b a b", "b b"], order=1, tokenizer=made)
    assert matrix.tokens == ("<unk>", " a", "b", "<3>", " b")
    assert_array_equal(matrix.encode("b a b x")[0], [2, 1, 4, 0])
    assert matrix.score(" a", ["b"]) == matrix["b"][1]


def test_lines_are_not_taken_for_unknown_words() -> None:
    matrix = mb.TransitionMatrix.from_text(["the cat sat", "a dog"], order=1)
    for ask in (matrix.perplexity, matrix.scores, matrix.log_prob):
        with pytest.raises(ValueError, match=r"'the cat sat', which are several words.*encode"):
            ask(["the cat sat"])
    assert matrix.perplexity(matrix.encode(["the cat sat"])) == matrix.perplexity("the cat sat")
    assert matrix.scores(["the", "bird"]).shape == (2,)  # an unknown word is none


@pytest.mark.parametrize(
    "nonsense", [None, 3, "ab", [2.5], [None], ["a", 1], [[1, 2]], [1, [2]], [1, 2.5]]
)
def test_nonsense_of_a_tokenizer_is_told_with_its_line(nonsense: Any) -> None:
    given = {"fine": ["a"], "not": nonsense}
    with pytest.raises(TypeError, match=r"line 2: (the tokenizer gave|a token is)"):
        mb.TransitionMatrix.from_text(["fine", "not"], tokenizer=given.get, order=1)
