"""The Matrix beside KenLM, infini-gram and nltk: the same tokens, one core, one run.

    python benchmarks/ngrams.py [FOLDER] [--pages] [--quick] [--orders 2 3 4 5 6] [--order 5]

The text is the standard library's, or what reads as text in FOLDER: documentation, such as Debian's
package linux-doc unpacked (`apt-get download linux-doc-6.1; dpkg -x linux-doc*.deb doc`).
`texts.py` says what a token is and what is held out.  All of this runs on one core, and seconds are
of CPU, medians of runs in turn: a program that waits for its disk is not charged for it.  How to
build the others: README.md beside this file.  A line says what is missing.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from texts import Document, Text, folder, standard_library, text_of

from matrixbayes import TransitionMatrix

Seconds = float


def cpu() -> Seconds:
    """CPU time of this process and of those it has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime


def in_turn(*calls: Callable[[], object], times: int = 3) -> list[Seconds]:
    """Median CPU times of calls, run one after the other."""
    taken: list[list[Seconds]] = [[] for _ in calls]
    for _ in range(times):
        for call, record in zip(calls, taken, strict=True):
            began = cpu()
            call()
            record.append(cpu() - began)
    return [float(np.median(each)) for each in taken]


def megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6


# -- the others -----------------------------------------------------------------


class KenLM:
    """Its programs, on a text in a folder: token v is the word wv, a line is a document."""

    def __init__(self, text: Text, place: Path) -> None:
        self.place, self.n_held = place, sum(map(len, text.held))
        self.words = np.array([f"w{v}" for v in range(text.n_tokens)])
        self.train = self._written(text.train, "train")
        self.held = self._written(text.held, "held")
        (place / "nothing").touch()

    @staticmethod
    def missing() -> str:
        """What is not there."""
        found = all(KenLM._program(name) for name in ("lmplz", "build_binary", "query"))
        return (
            "" if found else "KenLM's lmplz, build_binary, query: not in KENLM_BIN or on the PATH"
        )

    @staticmethod
    def _program(name: str) -> str | None:
        return shutil.which(name, path=os.environ.get("KENLM_BIN")) or shutil.which(name)

    def _written(self, documents: list[Document], name: str) -> Path:
        path = self.place / name
        with path.open("w") as file:
            file.writelines(" ".join(self.words[each[:-1]]) + "\n" for each in documents)
        return path

    def _run(self, name: str, *arguments: object, given: Path | None = None) -> str:
        command = [str(self._program(name)), *map(str, arguments)]
        with (given or self.place / "nothing").open() as file:
            done = subprocess.run(command, stdin=file, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr[-400:]}")
        return done.stdout

    def arpa(self, order: int) -> Path:
        """Text to ARPA."""
        path = self.place / f"{order}.arpa"
        limits = "-S", "2G", "-T", self.place / "sorting"
        self._run("lmplz", "-o", order, *limits, "--text", self.train, "--arpa", path)
        return path

    def binary(self, order: int, kind: str, *options: object) -> Path:
        """ARPA to what is mapped."""
        path = self.place / f"{order}.{kind}{len(options)}"
        self._run("build_binary", *options, kind, self.place / f"{order}.arpa", path)
        return path

    def query(self, model: Path, given: Path | None = None) -> str:
        """Score the held-out text, or nothing."""
        return self._run("query", "-v", "summary", model, given=given)

    def perplexity(self, model: Path) -> float:
        said = self.query(model, self.held)
        tokens = re.search(r"Tokens:\s+(\d+)", said)
        value = re.search(r"including OOVs:\s+(\S+)", said)
        if tokens is None or value is None or int(tokens[1]) != self.n_held:
            raise RuntimeError(f"query counts other tokens: {said}")
        return float(value[1])

    def n_grams(self, order: int) -> int:
        """Of all orders."""
        with (self.place / f"{order}.arpa").open() as file:
            head = [next(file) for _ in range(order + 1)]
        return sum(int(line.split("=")[1]) for line in head if line.startswith("ngram "))


def kenlm_rows(
    model: Path, contexts: list[list[str]], words: list[str]
) -> Callable[[], object] | None:
    """Whole rows by KenLM's Python module: a query for each word."""
    if importlib.util.find_spec("kenlm") is None:
        return None
    import kenlm

    asked = kenlm.Model(str(model))

    def row(context: list[str]) -> list[float]:
        state, after = kenlm.State(), kenlm.State()
        asked.NullContextWrite(state)
        for word in context:
            asked.BaseScore(state, word, after)
            state, after = after, state
        return [asked.BaseScore(state, word, after) for word in words]

    return lambda: [row(each) for each in contexts]


def infini_gram(text: Text, order: int, place: Path) -> None:
    """Its suffix array over the same ids: infinite order, no smoothing."""
    if importlib.util.find_spec("infini_gram") is None:
        print("infini-gram: not installed")
        return
    separated = [np.concatenate([[0xFFFF], each]).astype(np.uint16) for each in text.train]
    offsets = np.cumsum([0, *(each.nbytes for each in separated[:-1])], dtype=np.uint64)
    np.concatenate(separated).tofile(place / "tokenized.0")
    offsets.tofile(place / "offset.0")
    limits = "--cpus", "1", "--mem", "4", "--ulimit", "1024"
    command = [sys.executable, "-m", "infini_gram.indexing", "--token_dtype", "u16", *limits]
    began = cpu()
    subprocess.run(
        [*command, "--data_dir", place, "--save_dir", place], capture_output=True, check=True
    )
    taken = cpu() - began
    from infini_gram.engine import InfiniGramEngine

    engine = InfiniGramEngine(str(place), eos_token_id=1, vocab_size=text.n_tokens)
    ids = np.concatenate(text.held)[:5_000].tolist()
    places = range(order, len(ids))
    ask = engine.infgram_prob
    probs: list[float] = []
    began = cpu()
    probs.extend(ask(ids[i - order + 1 : i], ids[i])["prob"] for i in places)
    each = (cpu() - began) / len(places)
    row = in_turn(lambda: engine.infgram_ntd(ids[: order - 1], max_support=text.n_tokens))[0]
    size = sum(megabytes(place / name) for name in ("tokenized.0", "offset.0", "table.0"))
    print(
        f"infini-gram: index of ids in {taken:.1f} s, {size:.0f} MB; {1e6 * each:.0f} us a token, "
        f"{1e3 * row:.2f} ms for what is not zero in a row;\n"
        f"  {np.mean(np.array(probs) == 0.0):.1%} of held-out tokens have probability 0: "
        "no perplexity"
    )


def nltk_beside_ours(text: Text, n: int = 100_000, order: int = 3, n_scored: int = 200) -> None:
    """Interpolated Kneser-Ney of nltk, on as much text as it bears."""
    if importlib.util.find_spec("nltk") is None:
        print("nltk: not installed")
        return
    from nltk.lm import KneserNeyInterpolated

    few = text.first(n / sum(map(len, text.train)))
    n = sum(map(len, few.train))
    begin = ["begin"] * (order - 1)

    def grams(document: Document) -> list[tuple[str, ...]]:
        ids = [*begin, *map(str, document)]
        ends = range(order - 1, len(ids))
        return [tuple(ids[i - j : i + 1]) for i in ends for j in range(order)]

    model = KneserNeyInterpolated(order)
    words = ["begin", *map(str, range(few.n_tokens))]
    sentences = [grams(each) for each in few.train]
    theirs, own = in_turn(
        lambda: model.fit(sentences, vocabulary_text=words),
        lambda: fitted(few, order),
        times=1,
    )
    matrix = fitted(few, order)
    held = [few.held[0][:n_scored]]
    whole = [*begin, *map(str, held[0])]
    ends = range(order - 1, len(whole))
    probs: list[float] = []
    asked, scored = in_turn(
        lambda: probs.extend(
            model.unmasked_score(whole[i], tuple(whole[i - order + 1 : i])) for i in ends
        ),
        lambda: matrix.log_prob(few.held),
        times=1,
    )
    asked, scored = asked / len(held[0]), scored / sum(map(len, few.held))
    none = np.mean(np.array(probs) == 0.0)
    print(
        f"nltk's interpolated Kneser-Ney, order {order}, of {n:,} tokens: built in {theirs:.1f} s "
        f"(ours {own:.2f} s: x {theirs / own:.0f}); {1e3 * asked:.1f} ms a token (ours "
        f"{1e6 * scored:.2f} us: x {asked / scored:,.0f});\n"
        f"  {none:.1%} of {len(probs)} held-out tokens have probability 0"
    )


# -- ours -----------------------------------------------------------------------


def counted(text: Text, order: int, **how: Any) -> TransitionMatrix:
    """n-grams of `order` tokens: contexts of one less."""
    how = how or {"discounts": True}
    return TransitionMatrix(order - 1, n_tokens=text.n_tokens, **how).update(text.train)


def fitted(text: Text, order: int) -> TransitionMatrix:
    """Discounts fitted to documents left out."""
    return counted(text, order).fit_prior(documents=text.train)


def mixed(text: Text, order: int) -> TransitionMatrix:
    """The hierarchy of MacKay and Peto with 16 concentrations."""
    return counted(text, order, hierarchical=True).fit_prior(16)


class Kept:
    """A call that remembers what it found."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._call, self._arguments, self.found = call, arguments, None

    def __call__(self) -> None:
        self.found = self._call(*self._arguments)


# -- the lines ------------------------------------------------------------------


def line(name: str, values: list[float | None], form: str = "9.3f") -> None:
    """A name and a number for each order."""
    width = int(form.split(".")[0])
    print(f"{name:44}", *(f"{v:{form}}" if v is not None else "-".rjust(width) for v in values))


def over(these: list[Any], those: list[Any]) -> list[float | None]:
    return [a / b if a and b else None for a, b in zip(these, those, strict=True)]


def perplexities_and_builds(text: Text, orders: list[int], them: KenLM | None, times: int) -> None:
    """Held-out perplexity, and seconds from text to model, by order."""
    names = "KenLM", "discounts", "concentrations"
    perplexity: dict[str, list[float | None]] = {name: [] for name in names}
    took: dict[str, list[float | None]] = {name: [] for name in names}
    for order in orders:
        calls = [Kept(fitted, text, order), Kept(mixed, text, order)]
        if them:
            calls.append(Kept(them.arpa, order))
        seconds = in_turn(*calls, times=times)
        for name, call, taken in zip(("discounts", "concentrations"), calls, seconds, strict=False):
            perplexity[name].append(call.found.perplexity(text.held))
            took[name].append(taken)
        took["KenLM"].append(seconds[2] if them else None)
        theirs = them.perplexity(them.binary(order, "probing")) if them else None
        perplexity["KenLM"].append(theirs)
    line("order", orders, "9.0f")
    print("held-out perplexity")
    line("  KenLM, modified Kneser-Ney", perplexity["KenLM"])
    for name, title in (("discounts", "discounts"), ("concentrations", "16 concentrations")):
        line(f"  {title}", perplexity[name])
        line("    / KenLM", over(perplexity[name], perplexity["KenLM"]), "9.4f")
    print("build, text to model, s")
    line("  lmplz, text to ARPA", took["KenLM"], "9.2f")
    for name, title in (("discounts", "discounts"), ("concentrations", "16 concentrations")):
        line(f"  {title}, counted and fitted", took[name], "9.2f")
        line("    times as fast as lmplz", over(took["KenLM"], took[name]), "9.2f")


def scores_and_sizes(text: Text, order: int, matrix: TransitionMatrix, them: KenLM) -> None:
    """Microseconds that a token of held-out text takes, models loaded; and bytes an n-gram."""
    n, n_grams = sum(map(len, text.held)), them.n_grams(order)
    frozen = matrix.freeze(them.place / "frozen")
    size = (them.place / "frozen").stat().st_size
    began = cpu()
    matrix.log_prob(text.held)  # whatever is made once is made here
    first = cpu() - began
    frozen.log_prob(text.held)
    print(f"score a token, order {order}, and bytes an n-gram, of {n_grams:,} of all orders")
    for kind, options in (("probing", ()), ("trie", ()), ("trie", ("-q", "8", "-b", "8"))):
        model = them.binary(order, kind, *options)
        asked, loaded, own = in_turn(
            lambda m=model: them.query(m, them.held),
            lambda m=model: them.query(m),
            lambda: matrix.log_prob(text.held),
        )
        theirs, each = asked - loaded, model.stat().st_size / n_grams
        name = f"KenLM {kind}{' in 8 bits' * bool(options)}"
        print(
            f"  {name:22}{1e6 * theirs / n:6.2f} us, ours in turn {1e6 * own / n:.2f} us: x "
            f"{theirs / own:.2f};{each:6.2f} bytes, frozen x {each * n_grams / size:.2f}"
        )
    own, slow = in_turn(lambda: matrix.log_prob(text.held), lambda: frozen.log_prob(text.held))
    print(
        f"  {'ours, live':22}{1e6 * own / n:6.2f} us, the first time {1e6 * first / n:.2f} us;"
        f"{matrix.nbytes / n_grams:6.2f} bytes of counts\n"
        f"  {'ours, frozen':22}{1e6 * slow / n:6.2f} us;{size / n_grams:6.2f} bytes"
    )


def whole_rows(text: Text, order: int, matrix: TransitionMatrix, them: KenLM | None) -> None:
    """A next-word row after each of some places of the held-out text."""
    ids = text.held[0]
    contexts = [ids[i : i + order - 1] for i in range(0, min(len(ids) - order, 500), 50)]
    theirs = None
    if them:
        words = them.words.tolist()
        named = [[words[v] for v in each] for each in contexts]
        theirs = kenlm_rows(them.binary(order, "probing"), named, words)
        if theirs is None:
            print("KenLM's Python module: not installed")
    matrix.predict(contexts[0])
    calls = [lambda: [matrix.predict(each) for each in contexts], *([theirs] if theirs else [])]
    seconds = [1e3 * each / len(contexts) for each in in_turn(*calls, times=9)]
    beside = f", KenLM {seconds[1]:.2f} ms: x {seconds[1] / seconds[0]:.0f}" if theirs else ""
    print(f"a whole row of {text.n_tokens:,}: ours {seconds[0]:.3f} ms{beside}")


def changes(text: Text, order: int, matrix: TransitionMatrix, them: KenLM | None) -> None:
    """What KenLM can do only by building again."""
    again = in_turn(lambda: them.arpa(order), times=1)[0] if them else None
    half = len(text.train) // 2
    one, other = (
        counted(text._replace(train=part), order) for part in (text.train[:half], text.train[half:])
    )
    more = text.held[0][:1_000]
    longer = matrix.copy().update(more)
    asked: dict[str, Callable[[], object]] = {
        "update by 1,000 tokens": lambda: matrix.copy().update(more),
        "downdate by them": lambda: longer.copy().downdate(more),
        "merge of two halves": lambda: one + other,
        "evidence of 1,000 tokens": lambda: matrix.log_evidence(more),
    }
    print("changes, s (KenLM builds again" + (f": {again:.2f} s)" if again else ")"))
    for name, call in asked.items():
        taken = in_turn(call)[0]
        print(f"  {name:30}{taken:9.4f}" + (f"   x {again / taken:,.0f}" if again else ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="documentation; else Python's sources")
    parser.add_argument("--pages", action="store_true", help="its HTML pages too")
    parser.add_argument("--orders", type=int, nargs="+", default=[2, 3, 4, 5, 6])
    parser.add_argument("--order", type=int, default=5, help="of all but perplexity and building")
    parser.add_argument("--salt", default="", help="of the hash that says what is held out")
    parser.add_argument("--times", type=int, default=1, help="runs of each build, in turn")
    parser.add_argument("--quick", action="store_true", help="a tenth of the text, orders 2 and 3")
    asked = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if asked.folder is None:
        text = text_of("the standard library of Python", standard_library(), asked.salt)
    else:
        text = text_of(asked.folder.name, folder(asked.folder, asked.pages), asked.salt)
    orders, order = asked.orders, asked.order
    if asked.quick:
        text, orders, order = text.first(0.1), [2, 3], 3
    print(
        f"{text.name}: {sum(map(len, text.train)):,} tokens of {len(text.train):,} documents to "
        f"learn from, {sum(map(len, text.held)):,} held out; V = {text.n_tokens:,}\n"
    )
    with tempfile.TemporaryDirectory() as name:
        missing = KenLM.missing()
        if missing:
            print(missing)
        place = Path(name)
        them = None if missing else KenLM(text, place)
        perplexities_and_builds(text, orders, them, asked.times)
        if them:
            them.arpa(order)
        matrix = fitted(text, order)
        print()
        if them:
            scores_and_sizes(text, order, matrix, them)
        whole_rows(text, order, matrix, them)
        changes(text, order, matrix, them)
        print()
        infini_gram(text, order, place)
        nltk_beside_ours(text)


if __name__ == "__main__":
    main()
