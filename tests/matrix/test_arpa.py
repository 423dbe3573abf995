"""Back-off models: what ARPA files say, read and written; matrices written as such files."""

from __future__ import annotations

import bz2
import gzip
import itertools
import math
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import matrixbayes as mb
from matrixbayes import _core
from matrixbayes.matrix.arpa.ngrams import ngrams_of
from matrixbayes.matrix.arpa.tables import of_counts, table_of

KENLM = Path(__file__).parents[1] / "data" / "kenlm_arpa.txt"
# What its program `query` says of lines: logarithms to base 10, and lengths of n-grams.
QUERIED = {
    "the cat ran on the mat": [
        (-0.49116266, 2),
        (-0.74589634, 3),
        (-0.8936556, 2),
        (-1.5000134, 1),
        (-1.2552725, 2),
        (-0.8404858, 3),
        (-0.5574864, 3),
    ],
    "a zebra sat": [(-1.0703574, 2), (-1.5000134, 1), (-1.0122344, 1), (-0.6516553, 2)],
    "": [(-1.4316313, 1)],
    "the the dog": [(-0.49116266, 2), (-1.4217371, 1), (-0.7574872, 2), (-1.6138444, 1)],
}


class Slow:
    """A file's n-grams in dictionaries, and the definition."""

    def __init__(self, text: str) -> None:
        self.prob: dict[tuple[str, ...], float] = {}
        self.back: dict[tuple[str, ...], float] = {}
        for line in text.split("\\1-grams:")[1].splitlines():
            fields = line.split()
            if not fields or fields[0].startswith("\\"):
                continue
            n = len(fields) - 1 if _is_word(fields[-1]) else len(fields) - 2
            gram = tuple(fields[1 : n + 1])
            self.prob[gram] = float(fields[0])
            self.back[gram] = float(fields[-1]) if n == len(fields) - 2 else 0.0

    def score(self, word: str, context: tuple[str, ...]) -> float:
        if (*context, word) in self.prob:
            return self.prob[(*context, word)]
        return self.back.get(context, 0.0) + self.score(word, context[1:])


def _is_word(field: str) -> bool:
    return re.fullmatch(r"-?[\d.]+(e-?\d+)?", field) is None


def lines_of(seed: int, n: int, n_words: int) -> list[str]:
    rng = np.random.default_rng(seed)
    chain = rng.dirichlet(np.full(n_words, 0.3), size=n_words)
    found = []
    for _ in range(n):
        words = [int(rng.integers(n_words))]
        while len(words) < 12 and rng.random() < 0.9:
            words.append(int(rng.choice(n_words, p=chain[words[-1]])))
        found.append(" ".join(f"w{w}" for w in words))
    return found


LINES = lines_of(0, 80, 12)


def matrix_of(**options: Any) -> mb.TransitionMatrix:
    return mb.TransitionMatrix.from_text(LINES, min_count=5, **options)


KINDS: dict[str, dict[str, Any]] = {
    "hierarchy": {"order": 3, "hierarchical": True},
    "one token": {"order": 1, "hierarchical": True},
    "several concentrations": {"order": 2, "hierarchical": [([0.4, 0.6], [0.5, 20.0])] * 2},
    "discounts": {"order": 3, "discounts": True},
    "Kneser-Ney": {"order": 2, "discounts": [[0.5, 1.0, 1.5, 0.0]] * 3},
    "plain": {"order": 2, "prior": 0.1},
    "plain, one token": {"order": 1, "prior": 2.0},
    "fading": {"order": 2, "prior": 0.1, "discount": 0.9},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.arpa"


# --- files


def test_a_file_of_kenlm(path: Path) -> None:
    model = mb.read_arpa(KENLM)
    assert model.sizes == (13, 24, 33)
    assert model.order == 2
    assert model.tokens is not None
    assert model.tokens[:4] == ("<unk>", "</s>", "the", "cat")
    for line, queried in QUERIED.items():
        documents = model.encode([line])
        scores = model.scores(documents) / math.log(10.0)
        assert_allclose(scores, [score for score, _ in queried], atol=2e-6)
        assert_array_equal(model.matched(documents), [max(length, 1) for _, length in queried])
        assert_allclose(model.log_prob(documents), scores.sum() * math.log(10.0))
    text = "\n".join(QUERIED)
    numbers = [score for each in QUERIED.values() for score, _ in each]
    assert_allclose(model.perplexity(text), 10.0 ** -np.mean(numbers), rtol=1e-5)
    model.to_arpa(path)
    theirs = sorted(KENLM.read_text("utf-8").replace("0\t<s>", "-99\t<s>").splitlines())
    assert sorted(path.read_text("utf-8").splitlines()) == theirs


@pytest.mark.parametrize("name", KINDS)
def test_a_matrix_there_and_back(name: str, path: Path) -> None:
    matrix = matrix_of(**KINDS[name])
    assert matrix.to_arpa(path) is matrix
    model = mb.read_arpa(path)
    assert model.tokens == matrix.tokens
    assert model.order == matrix.order
    contexts = matrix.contexts()
    assert_allclose(model.predict(contexts), matrix.predict(contexts), rtol=2e-7, atol=1e-9)
    for short in ([], [3], [4, 2], [0, 0], [7, 7]):
        if len(short) < matrix.order or name == "one token":
            assert_allclose(model.predict(short), matrix.predict(short), rtol=2e-7, atol=1e-9)
    assert_allclose(model.predict(model.begin), matrix.predict(matrix.begin), rtol=2e-7)
    text = "\n".join([*lines_of(1, 20, 14), "", "w1"])
    assert_allclose(model.log_prob(text), matrix.log_prob(text), rtol=1e-7)
    assert_allclose(model.predict(contexts).sum(axis=1), 1.0, rtol=1e-7)
    slow = Slow(path.read_text("utf-8"))
    names = matrix.tokens or ()
    for context in itertools.product(["w1", "w3", "<unk>", "<s>"], repeat=2):
        if context[1] != "<s>":
            found = [model.logscore(word, context) * math.log10(2.0) for word in names]
            own = context[-matrix.order :]
            assert_allclose(found, [slow.score(word, own) for word in names], atol=1e-8)
    again = path.with_suffix(".again")
    model.to_arpa(again)
    assert again.read_bytes() == path.read_bytes()


def test_files_are_compressed_by_their_names(path: Path) -> None:
    matrix = matrix_of(order=2, hierarchical=True).to_arpa(path)
    for suffix, module in ((".gz", gzip), (".bz2", bz2)):
        packed = path.with_suffix(suffix)
        matrix.to_arpa(packed)
        assert module.decompress(packed.read_bytes()) == path.read_bytes()
        assert mb.read_arpa(packed).sizes == mb.read_arpa(path).sizes
        packed.write_bytes(packed.read_bytes()[:-40])
        with pytest.raises(ValueError, match="compressed, and damaged"):
            mb.read_arpa(packed)


@pytest.mark.parametrize("name", ["hierarchy", "several concentrations", "discounts", "Kneser-Ney"])
def test_tables_by_counts_are_those_of_texts(name: str) -> None:
    """Context by context, and from the sorted runs."""
    rows = matrix_of(**KINDS[name])._rows
    slow, fast = (ngrams_of(table) for table in (of_counts(rows), table_of(rows)))  # type: ignore[arg-type]
    for mine, theirs in zip(slow, fast, strict=True):
        assert_array_equal(mine.words(slice(None)), theirs.words(slice(None)))
        assert_allclose(mine.probs, theirs.probs, rtol=1e-11)
        assert_allclose(mine.backs, theirs.backs, rtol=1e-11)


def test_counts_of_no_text_are_written(path: Path) -> None:
    """Their shorter contexts were never seen with what longer ones begin with."""
    matrix = mb.TransitionMatrix(3, n_tokens=4, hierarchical=True)
    matrix.update_rows([[0, 1, 2], [3, 3, 3]], [[1, 0, 2, 0], [0, 0, 0, 5]]).to_arpa(path)
    model = mb.read_arpa(path)
    for context in [[0, 1, 2], [3, 3, 3], [1, 2], [0, 1], [2, 2, 2], []]:
        assert_allclose(model.predict(context), matrix.predict(context), rtol=1e-7)
    empty = mb.TransitionMatrix(3, n_tokens=4, hierarchical=True).to_arpa(path)
    assert_allclose(mb.read_arpa(path)[[]], empty[[]], rtol=1e-8)
    bare = mb.TransitionMatrix(2, n_tokens=4).to_arpa(path)
    assert_allclose(mb.read_arpa(path)[[]], bare[[]], rtol=1e-8)


def test_frozen_matrices_are_written(path: Path, tmp_path: Path) -> None:
    matrix = matrix_of(order=2, discounts=True)
    matrix.to_arpa(path)
    frozen = matrix.freeze(tmp_path / "frozen").to_arpa(tmp_path / "again.arpa")
    assert frozen.frozen
    again = (tmp_path / "again.arpa").read_text("utf-8").split()
    assert_array_equal(len(again), len(path.read_text("utf-8").split()))
    assert_allclose(mb.read_arpa(tmp_path / "again.arpa")[[2]], matrix[[2]], rtol=1e-7)


def test_what_is_no_such_model_is_not_written(path: Path) -> None:
    tree = mb.TransitionMatrix.from_text(LINES, order="tree", depth=2)
    with pytest.raises(ValueError, match="a tree of contexts has no back-off weights"):
        tree.to_arpa(path)
    prior = mb.DirichletMixture([0.5, 0.5], [[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(ValueError, match="prior of 2 Dirichlets"):
        mb.TransitionMatrix(1, prior=prior).to_arpa(path)
    assert not path.exists()


def test_names_of_words(path: Path) -> None:
    matrix = mb.TransitionMatrix(1, n_tokens=3, hierarchical=True).update([0, 1, 2, 1])
    matrix.to_arpa(path)
    model = mb.read_arpa(path)
    assert model.tokens == ("0", "1", "2")  # </s> is there, and says that it never comes
    assert "-99\t</s>\t0\n" in path.read_text("utf-8")
    matrix.to_arpa(path, tokens=["<|end|>", "?", "é"], end=0, unknown=1)
    assert mb.read_arpa(path).tokens == ("</s>", "<unk>", "é")
    named = mb.TransitionMatrix(1, tokens=["a", " b", ""], hierarchical=True)
    for tokens, message in (
        (None, r"token 1 is called ' b'; words of a file have no spaces"),
        (["a", "b", ""], r"token 2 is called ''"),
        (["a", "b", "<s>"], r"token 2 is called '<s>'"),
        (["a", "b"], r"2 tokens are given, of 3"),
        (["a", "b", "b"], "'b' is there twice"),
        (["a", "b", "\ud800"], "no UTF-8"),
        (["<UNK>", "b", "<unk>"], "same word"),
    ):
        with pytest.raises(ValueError, match=message):
            named.to_arpa(path, tokens=tokens)
    with pytest.raises(ValueError, match="end is 0, but another token is called '</s>'"):
        named.to_arpa(path, tokens=["a", "</s>", "c"], end=0)
    for given, end in ((None, 0), (["</s>", "b", "c"], None)):
        with pytest.raises(ValueError, match="unknown is 0, which is the end of a document"):
            named.to_arpa(path, tokens=given, end=end, unknown=0)
    with pytest.raises(KeyError, match="'z'"):
        named.to_arpa(path, end="z")
    named.to_arpa(path, tokens=["a", "b\xa0c", "\x0b"])  # spaces of other sorts do not separate
    assert mb.read_arpa(path).tokens == ("a", "b\xa0c", "\x0b")


def test_words_that_a_file_lacks(path: Path) -> None:
    """No <s>, no </s>, no <unk>, no weights; n-grams that were pruned."""
    path.write_text(
        "\\data\\\nngram 1=2\nngram 2=2\nngram 3=1\n\n\\1-grams:\n-0.25 a\n-0.5 b -0.125\n\n"
        "\\2-grams:\n-0.3 a b -0.7\n-0.2 b a\n\n\\3-grams:\n-0.1 a b b\n\n\\end\\\n"
    )
    model = mb.read_arpa(path)
    slow = Slow(path.read_text("utf-8"))
    for context in itertools.product("ab", repeat=2):
        for word in "ab":
            found = model.logscore(word, context) * math.log10(2.0)
            assert_allclose(found, slow.score(word, context))
    assert_allclose(model.predict(model.begin), model[[]])
    assert_allclose(model.predict([2, 0]), model[[0]])
    assert_array_equal(model.encode("a b")[0], [0, 1])
    with pytest.raises(ValueError, match="'c', which is not one of the 2 tokens"):
        model.encode("a c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "line 0: no line is"),
        (
            b"\\data\\\nngram 1=1\n\\1-grams:\n0.5 a\n\\end\\\n",
            r"model\.arpa: line 4: .*not above 0",
        ),
        (b"\\data\\\nngram 1=1\n\\1-grams:\n-1 \xff\n\\end\\\n", "line 4: a word is no UTF-8"),
        (b"\\data\\\nngram 1=1\n\\1-grams:\n-1 <s>\n\\end\\\n", "no word but those"),
        (b"\\data\\\nngram 1=1\nngram 2=0\n\\1-grams:\n-1 a 400\n\\end\\\n", r"above 10\^10"),
    ],
)
def test_files_that_are_refused(text: bytes, message: str, path: Path) -> None:
    path.write_bytes(text)
    with pytest.raises(ValueError, match=message):
        mb.read_arpa(path)
    with pytest.raises(FileNotFoundError):
        mb.read_arpa(path.with_suffix(".none"))


def test_damaged_files_are_refused_or_right(path: Path) -> None:
    """What is read nevertheless predicts as the definition says."""
    text, rng, read = KENLM.read_text("utf-8"), np.random.default_rng(0), 0
    for _ in range(400):
        lines = text.splitlines()
        i = int(rng.integers(6, len(lines)))
        if rng.random() < 0.5 and lines[i]:
            at = int(rng.integers(len(lines[i])))
            lines[i] = lines[i][:at] + str(rng.choice(list("-.1 \ta"))) + lines[i][at + 1 :]
        else:
            lines[i : i + int(rng.integers(2))] = [lines[int(rng.integers(len(lines)))]]
        path.write_text("\n".join(lines), "utf-8")
        try:
            model = mb.read_arpa(path)
        except ValueError:
            continue
        read += 1
        slow = Slow(path.read_text("utf-8"))
        for context in (("the", "cat"), ("<s>", "a"), ("on", "the")):
            for word in ("the", "mat", "</s>"):
                if (word,) in slow.prob and (word in (model.tokens or ())):
                    found = model.score(word, context)
                    assert_allclose(found, 10.0 ** slow.score(word, context), rtol=1e-9)
    assert read > 20


# --- models


def test_a_model_shows_itself_and_is_kept(tmp_path: Path) -> None:
    model = mb.read_arpa(KENLM)
    shown = repr(model)
    assert "BackoffModel, order 2, 13 tokens" in shown
    assert "n-grams of 3 tokens" in shown
    assert "<table" in model._repr_html_()
    assert model.nbytes > 0
    model.save(tmp_path / "model")
    for same in (pickle.loads(pickle.dumps(model)), mb.BackoffModel.open(tmp_path / "model")):
        assert repr(same) == shown
        assert same.tokens == model.tokens
        assert_array_equal(same[["the", "cat"]], model[["the", "cat"]])
        assert same.log_prob("the zebra ran") == model.log_prob("the zebra ran")
    raw = (tmp_path / "model").read_bytes()
    for place in (len(raw) // 2, len(raw) - 9, 40):
        (tmp_path / "bad").write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        with pytest.raises(ValueError, match=r"damaged|checksum|not"):
            mb.BackoffModel.open(tmp_path / "bad")
    with pytest.raises(TypeError, match="BackoffTable"):
        mb.BackoffModel(model)  # type: ignore[arg-type]


def test_predictions_of_a_model() -> None:
    model = mb.read_arpa(KENLM)
    row = model["the", "cat"]
    assert_allclose([model.score(word, ["the", "cat"]) for word in model.tokens or ()], row)
    tokens, probs = model.predict([[2, 3], [3, 4]], top=3)
    assert_allclose(probs, np.sort(model.predict([[2, 3], [3, 4]]), axis=1)[:, :-4:-1])
    assert_allclose(model.predict([2, 3])[tokens[0]], probs[0])
    assert_allclose(model.score("the", ["<s>"]), 10.0**-0.49116266)
    assert_allclose(model.score("the", ["<s>", "<s>"]), 10.0**-0.49116266)
    assert_allclose(model.entropy("the cat"), -model.log_prob("the cat") / 3 / math.log(2.0))
    documents = [["the", "cat"], ["a", "zebra"]]
    assert_allclose(model.scores(documents).sum(), model.log_prob(documents))
    assert_array_equal(model.begin, [13, 13])


def test_texts_drawn_from_a_model() -> None:
    model = mb.read_arpa(KENLM)
    drawn = model.generate(4000, [2], rng=0)
    assert_array_equal(drawn, model.generate(4000, ["the"], rng=0))
    after = drawn[1:][drawn[:-1] == 3]
    often = np.bincount(after, minlength=13) / len(after)
    assert_allclose(often, model.predict([3]), atol=0.09)
    assert model.generate(3, text_seed=["the"], random_seed=1) == model.generate(
        3, text_seed=["the"], random_seed=1
    )
    greedy = model.generate(1, ["the", "cat"], temperature=0.0)
    assert greedy[0] == model[["the", "cat"]].argmax()
    with pytest.raises(ValueError, match="one context"):
        model.generate(1, [[2, 3], [3, 4]])


def test_a_model_of_single_words(path: Path) -> None:
    path.write_text("\\data\\\nngram 1=2\n\\1-grams:\n-0.30103 a\n-0.30103 b\n\\end\\\n")
    model = mb.read_arpa(path)
    assert model.order == 0
    assert_allclose(model.predict([0, 1]), [0.5, 0.5], rtol=1e-5)
    assert_allclose(model.log_prob([[0, 1]]), -2 * math.log(2), rtol=1e-5)
    assert len(model.generate(3, rng=0)) == 3
    model.to_arpa(path)
    assert mb.read_arpa(path).sizes == (2,)


def test_a_table_of_a_tree_is_a_model_but_no_file(path: Path) -> None:
    tree = mb.TransitionMatrix("tree", depth=2, n_tokens=3).update([0, 1, 2, 1, 0, 0, 2])
    model = mb.BackoffModel(tree._rows._table())  # type: ignore[union-attr, call-arg]
    assert_allclose(model.predict([1, 2]), tree.predict([1, 2]))
    with pytest.raises(ValueError, match="a tree of contexts"):
        model.to_arpa(path)
    model.save(path)
    assert_array_equal(mb.BackoffModel.open(path)[[1, 2]], model[[1, 2]])


@pytest.mark.parametrize("name", KINDS)
def test_kenlm_gives_the_same_numbers(name: str, path: Path) -> None:
    kenlm = pytest.importorskip("kenlm")
    matrix = matrix_of(**KINDS[name])
    matrix.to_arpa(path)
    peer, model = kenlm.Model(str(path)), mb.read_arpa(path)
    for line in [*lines_of(2, 30, 15), "", "zebra w1 w2"]:
        theirs = [(score, length) for score, length, _ in peer.full_scores(line)]
        own = model.encode([line])
        assert_allclose(model.scores(own) / math.log(10.0), [s for s, _ in theirs], atol=1e-5)
        assert_allclose(matrix.log_prob(own) / math.log(10.0), peer.score(line), atol=1e-5)


def test_the_module_reads_nothing_but_bytes() -> None:
    with pytest.raises(TypeError):
        _core.read_arpa("text")  # type: ignore[arg-type]


def test_pairs_of_a_table_lead_to_longer_contexts() -> None:
    table = table_of(matrix_of(order=3, hierarchical=True)._rows)
    starts, tokens, _, _, contexts, _, _ = table.arrays()
    leads = table.leads()
    assert len(leads) == 3
    assert_array_equal(contexts[1][leads[0][leads[0] >= 0], 0], np.flatnonzero(leads[0] >= 0))
    for k in (1, 2):
        row = np.repeat(np.arange(len(contexts[k])), np.diff(starts[k]))
        pairs = np.column_stack([contexts[k][row], tokens[k]])[leads[k] >= 0]
        assert_array_equal(contexts[k + 1][leads[k][leads[k] >= 0]], pairs)
        assert len(pairs) == len(contexts[k + 1])
