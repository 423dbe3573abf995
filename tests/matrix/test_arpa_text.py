"""The core's reader and writer of ARPA files, against a slow twin that shares nothing with them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from matrixbayes import _core

HEAD = "\\data\\\nngram 1=4\nngram 2=3\nngram 3=1\n\n"
ONES = "\\1-grams:\n-99\t<s>\t-0.5\n-1\ta\t-0.25\n-0.5\tb\t0\n-2\t</s>\t0\n\n"
TWOS = "\\2-grams:\n-0.25\t<s> a\t-1\n-0.5\ta b\t0\n-0.125\tb </s>\t0\n\n"
TEXT = HEAD + ONES + TWOS + "\\3-grams:\n0\t<s> a b\n\n\\end\\\n"


def twin(text: str) -> list[list[tuple[tuple[str, ...], float, float]]]:
    """The n-grams of each order, line by line: words, and both logarithms."""
    orders: list[list[tuple[tuple[str, ...], float, float]]] = []
    for line in text.split("\\1-grams:", 1)[1].split("\\end\\")[0].split("\n"):
        fields = re.split(r"[ \t\r]+", line.strip(" \t\r")) if line.strip(" \t\r") else []
        if re.fullmatch(r"\\\d+-grams:", line.strip(" \t\r")) or not orders:
            orders.append([])
        elif fields:
            n = len(orders)
            back = float(fields[n + 1]) if len(fields) == n + 2 else 0.0
            orders[-1].append((tuple(fields[1 : n + 1]), float(fields[0]), back))
    return orders


def spelt(text: bytes) -> list[list[tuple[tuple[str, ...], float, float]]]:
    """What the core reads, in words."""
    places, orders = _core.read_arpa(text)
    names = [text[start:end].decode() for start, end in places]
    found: list[list[tuple[tuple[str, ...], float, float]]] = []
    for before, words, probs, backs in orders:
        first = [found[-1][i][0] if found else () for i in before]
        grams = [(*w, names[i]) for w, i in zip(first, words, strict=True)]
        found.append(list(zip(grams, probs.tolist(), backs.tolist(), strict=True)))
    return found


def test_a_small_model() -> None:
    assert spelt(TEXT.encode()) == twin(TEXT)
    assert twin(TEXT)[2] == [(("<s>", "a", "b"), 0.0, 0.0)]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\t", " "),
        lambda text: text.replace("\t", "  \t "),
        lambda text: "﻿" + text,
        lambda text: "# a comment\nof the program\n" + text,
        lambda text: text.replace("\t0\n", "\n"),  # no back-off weights where there are none
        lambda text: text.replace("ngram 1=", "ngram  1 =   "),
        lambda text: text.replace("\n\n", "\n"),
        lambda text: text.replace("\n", "\n\n").replace("\\data\\\n", "\\data\\"),
        lambda text: text.removesuffix("\n"),
        lambda text: text.replace("0\t<s> a b", "0\t<s> a b\t0"),
        lambda text: text.replace("\\2-grams:", "\\2-grams:  "),
        lambda text: re.sub(r"\bb\b", "bé中🙂", re.sub(r"\ba\b", "\xa0", text)),
    ],
)
def test_habits_of_other_programs(change: object) -> None:
    text = change(TEXT)  # type: ignore[operator]
    assert spelt(text.encode()) == twin(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ngram 2=3", "ngram 2=4", r"line 17: fewer n-grams are here than were counted"),
        ("ngram 2=3", "ngram 2=2", r"line 15: more n-grams are here than were counted"),
        ("-0.5\ta b", "-0.5\ta c", r"line 14: a word is not among the 1-grams: 'c'"),
        ("-0.5\ta b", "-0.25\t<s> a", r"line 14: an n-gram stands twice: '<s> a'"),
        ("0\t<s> a b", "0\tb a b", r"line 18: these first words .* none of their own: 'b a'"),
        ("-0.5\ta b", "0.5\ta b", r"line 14: .* not above 0: '0\.5'"),
        ("-0.5\ta b", "-0,5\ta b", r"line 14: .* is no number: '-0,5'"),
        ("-0.5\ta b", "nan\ta b", r"line 14: .* is no number"),
        ("b\t0\n-2", "b\t0\n-2\n-3", r"line 10: these are not a number, words"),
        ("<s> a\t-1", "<s> a\t-inf", r"line 13: .* no finite number"),
        ("<s> a\t-1", "<s> a\t300", r"line 13: .* above 10\^10"),
        ("<s> a b", "<s> a b\t-1", r"line 18: the longest n-grams have no back-off weights"),
        ("\\end\\", "", r"line \d+: the text ends before"),
        ("\\data\\", "\\date\\", r"no line is"),
        ("ngram 3=1", "ngram 4=1", r"line 4: counts are of 1, 2"),
        ("ngram 3=1", "ngram 3=123456789", r"line 4: so many n-grams"),
        ("\\3-grams:", "\\4-grams:", r"line 17: here the n-grams of the next order"),
        ("\\end\\\n", "\\end\\\n\\data\\\n", r"line 21: here the text should end"),
    ],
)
def test_what_is_refused(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(ValueError, match=message):
        _core.read_arpa(TEXT.replace(old, new, 1).encode())


def test_damaged_files_are_read_rightly_or_refused() -> None:
    """What is read although it was changed says what the twin reads."""
    rng, read, sentences = np.random.default_rng(0), 0, list[str]()
    raw = TEXT.encode()
    for _ in range(3000):
        text = bytearray(raw)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(text)))
            kind = rng.integers(3)
            piece = bytes([text[rng.integers(len(text))]]) if kind else b""
            text[at : at + int(rng.integers(0, 3 if kind == 2 else 2))] = piece
        try:
            found = spelt(bytes(text))
        except UnicodeDecodeError:
            continue
        except ValueError as error:
            sentences.append(str(error))
            continue
        read += 1
        assert found == twin(text.decode())
    assert read > 300
    assert all(re.match(r"line \d+: \w", sentence) for sentence in sentences)


def test_many_ngrams_in_any_order() -> None:
    """Those of three words, shuffled, some thousands of them."""
    rng = np.random.default_rng(1)
    words = [f"w{i}" for i in range(300)]
    pairs = sorted({(int(a), int(b)) for a, b in rng.integers(300, size=(3000, 2))})
    triples = sorted(
        {
            (*pairs[i], int(c))
            for i, c in zip(
                rng.integers(len(pairs), size=5000), rng.integers(300, size=5000), strict=True
            )
        }
    )
    lines = [[(i,) for i in range(300)], pairs, triples]
    text = "\\data\\\n" + "".join(f"ngram {n}={len(each)}\n" for n, each in enumerate(lines, 1))
    for n, each in enumerate(lines, 1):
        text += f"\\{n}-grams:\n"
        for i in rng.permutation(len(each)):
            name = " ".join(words[w] for w in each[i])
            text += f"{-rng.random():.7g}\t{name}" + (f"\t{rng.normal():.7g}\n" if n < 3 else "\n")
    text += "\\end\\\n"
    assert spelt(text.encode()) == twin(text)


def test_lines_are_what_was_read() -> None:
    """To nine digits, and in the notation of KenLM."""
    names, ends = b"aBBc", [1, 3, 4]
    words = np.array([[0, 1], [2, 0], [1, 1]])
    probs = np.array([-4.3874526, -1e-7, -0.00001234])
    backs = np.array([0.0, -0.301, 1.5])
    lines = _core.arpa_lines(words, probs, backs, names, ends)
    assert lines == b"-4.3874526\ta BB\t0\n-1e-7\tc a\t-0.301\n-0.00001234\tBB BB\t1.5\n"
    assert _core.arpa_lines(words[:1], probs[:1], None, names, ends) == b"-4.3874526\ta BB\n"
    numbers = np.random.default_rng(2).normal(size=1000) * 10.0 ** (np.arange(1000) % 7)
    lines = _core.arpa_lines(np.zeros((1000, 1), dtype=int), -numbers, None, b"a", [1])
    back = [float(line.split()[0]) for line in lines.splitlines()]
    assert_array_equal(back, [float(f"{-number:.9g}") for number in numbers])
