"""Commands on the bundled model, on tables and on texts: what they find is what Python finds."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import matrixbayes as mb
from matrixbayes.cli import main

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
WORDS = ["the", "cat", "sat", "on", "a", "mat", "dog", "ran"]
Run = Callable[..., tuple[str, str]]
Ask = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command that goes well; returns what it printed on both streams."""

    def call(*arguments: str, status: int = 0) -> tuple[str, str]:
        found = main(list(map(str, arguments)))
        out, err = capsys.readouterr()
        assert found == status, err
        return out, err

    return call


@pytest.fixture
def ask(run: Run) -> Ask:
    """Runs a command with --json; returns its object."""

    def call(*arguments: str, status: int = 0) -> dict[str, Any]:
        out, _ = run(*arguments, "--json", status=status)
        assert out.count("\n") == 1

        def refuse(word: str) -> None:
            raise AssertionError(f"{word} is not JSON")

        found: dict[str, Any] = json.loads(out, parse_constant=refuse)
        words = len(found["command"].split())
        assert found["command"] == " ".join(arguments[:words])
        assert found["version"] == mb.__version__
        return found

    return call


def texts(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    urns = rng.dirichlet(np.ones(8), n)
    return [" ".join(rng.choice(COLOURS, 12, p=urn)) for urn in urns]


# ---------------------------------------------------------------------------
# Models
# ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def urns() -> tuple[Any, Any]:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from matrixbayes.study.inputs import load_model

    return load_model(None)


VOCAB = ("--vocab", "warm=red|orange|yellow", "--vocab", "cold=blue|green")
GROUPS = {"warm": ["red", "orange", "yellow"], "cold": ["blue", "green"]}


def test_collect_is_collect(urns, ask: Ask, run: Run) -> None:
    prompts = texts(12)
    Path("prompts.txt").write_text("\r\n".join(["\ufeff" + prompts[0], "", *prompts[1:]]), "utf-8")
    found = ask("collect", "--prompts", "prompts.txt", *VOCAB)
    rows = mb.NextTokenRows.load("rows.safetensors")
    expected = mb.collect(*urns, prompts, vocab=GROUPS)
    np.testing.assert_array_equal(rows.log_probs, expected.log_probs)
    assert found["tokens"] == ["warm", "cold", "<other>"] == list(rows.tokens or ())
    assert (found["n_rows"], found["n_columns"], found["out"]) == (12, 3, "rows.safetensors")
    assert found["n_bytes"] == Path("rows.safetensors").stat().st_size
    assert found["warnings"] == []
    out, err = run("collect", "--prompts", "prompts.txt", "--overwrite", "--quiet", "--hidden")
    assert out == f"rows: {Path('rows.safetensors').resolve()}\n"
    assert err == ""
    assert mb.NextTokenRows.load("rows.safetensors").hidden is not None


def test_collect_reads_standard_input_pairs_layers_and_a_cache(
    urns, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = b"red red\t blue\n\nwhite\t black black\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    found = ask("collect", "--prompts", "-", "--positions", "continuation", "--jobs", "1")
    assert found["n_rows"] == 3
    Path("two.txt").write_text("red red blue\nwhite black\n")
    found = ask("collect", "--prompts", "two.txt", "--positions=-1,0", "--layers=all", "--out=l.st")
    assert found["out"] == [f"l.layer{n}.st" for n in found["layers"]]
    assert mb.NextTokenRows.load(found["out"][-1]).shape[0] == found["n_rows"] == 4
    found = ask("collect", "--prompts", "two.txt", "--cache-dir", "kept", "--out", "c.safetensors")
    assert list(Path("kept").rglob("*"))
    assert found["dtype"] == "float32"
    found = ask("collect", "--prompts", "two.txt", "--out", "d.safetensors", "--dtype", "float64")
    assert found["dtype"] == "float64"


def test_preflight_is_preflight(urns, ask: Ask, run: Run) -> None:
    Path("good.txt").write_text("red red blue\ngreen\n")
    found = ask("preflight", "--prompts", "good.txt")
    assert found["ok"]
    assert found["n_rows"] == 2
    assert found["max_difference"] < 1e-4
    assert {each["level"] for each in found["findings"]} == {"note"}
    Path("long.txt").write_text("red " * 500 + "\n")
    found = ask("preflight", "--prompts", "long.txt", status=2)
    assert found["findings"][0]["level"] == "error"
    out, _ = run("preflight", "--prompts", "long.txt", status=2)
    assert out.startswith("preflight: not ready\n")


def test_elicit_is_elicit(urns, ask: Ask, run: Run) -> None:
    shown = texts(12, seed=1)
    Path("texts.txt").write_text("\n".join(shown))
    options = ("--family", "iid", "--n-components", "2", "--rng", "0", "--top", "all")
    found = ask("elicit", "--sequences", "texts.txt", *options)
    expected = mb.elicit(*urns, shown, family="iid", n_components=2, rng=0)
    assert found["mean_kl_bits"] == pytest.approx(expected.mean_kl_bits, rel=1e-9)
    kept = mb.DirichletMixture.load("elicited_prior.safetensors")
    np.testing.assert_allclose(kept.alpha, expected.prior.alpha)
    heaviest = found["parts"]["iid"]["components"][0]
    assert heaviest["weight"] == pytest.approx(expected.prior.weights.max())
    assert sum(p for _, p in heaviest["tokens"]) == pytest.approx(1.0)
    assert found["comparison"] is None
    assert found["out"] == ["elicited_prior.safetensors"]
    Path("shots.txt").write_text("Sky:\tcold\nFire:\tred\nSun:\n")
    Path("more.txt").write_text("\n\n".join(text.replace(" ", "\n") for text in shown[:3]))
    out, _ = run(
        "elicit", "--shots", "more.txt", "--family", "iid", "--rng=0", "--out", "s.st", "--quiet",
        "--n-starts", "1", "--max-iter", "20",
    )  # fmt: skip
    assert out == f"prior: {Path('s.st').resolve()}\n"
    Path("one.txt").write_text(shown[0])  # of one sequence there are no families to compare
    found = ask("elicit", "--sequences", "one.txt", "--rng=0", "--n-starts=1", "--out", "one.st")
    assert (found["family"], found["comparison"]) == ("iid", None)


def test_the_tests_are_those_of_the_score_card(
    urns, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--n", "8", "--n-boot", "99", "--length", "8", "--rng", "3", "--max-components", "1")
    options = (*options, "--family", "iid", "--n-permutations", "2")
    found = ask("test", *options)
    prior = mb.DirichletMixture.load(_truth())
    from matrixbayes import windtunnel

    sizes: dict[str, Any] = {"n": 8, "n_boot": 99, "length": 8, "n_permutations": 2}
    task = windtunnel.Urns(prior)
    card = mb.score_card(*urns, task, **sizes, max_components=1, family="iid", rng=3)
    assert [each["p_value"] for each in found["tests"]] == [test.p_value for test in card.tests]
    assert found["verdict"] == card.verdict
    assert found["rejected"] == [e["name"] for e in found["tests"] if e["p_holm"] <= 0.05]
    given: dict[str, Any] = {}

    def fake(model: Any, tokenizer: Any, task: Any, **options: Any) -> Any:
        given.update(options, task=task)
        return card

    monkeypatch.setattr("matrixbayes.diagnostics.score_card", fake)
    files = ("--prior", "truth.safetensors", "--null", "truth.safetensors", "--task", "markov")
    again = ask("test", *files, "--tokens", ",".join(COLOURS), "--prefix", "8,0", "--shots", "2")
    assert again["tests"] == found["tests"]
    assert isinstance(given["task"], windtunnel.MarkovChains)
    assert (given["tokens"], given["prefix"], given["shots"]) == ([*COLOURS], [8, 0], 2)
    assert given["null"].n_components == prior.n_components


@pytest.mark.slow
def test_a_study_as_json_says_what_its_summary_says(urns, ask: Ask) -> None:
    pytest.importorskip("mpltern")
    Path("prompts.txt").write_text("\n".join(texts(20)))
    Path("shots.txt").write_text("red\norange\nblue\n\nblue\nred\n")
    given = ("--prompts=prompts.txt", "--shots=shots.txt", "--components=1", "--dtype=float64")
    found = ask("study", *given, *VOCAB, "--resolution=density", "--out=here", "--batch-size=4")
    assert found["report"] == str(Path("here/report.html").resolve())
    assert found["verdict"]["sentence"].startswith("This model ")
    assert found["n_prompts"] == 20
    assert found["warnings"]
    kept = mb.DirichletMixture.load("here/prior.safetensors")
    assert found["prior"][0]["concentration"] == pytest.approx(kept.concentration[0])
    assert found["truth"] is None
    assert len(found["tests"] or []) in (0, 5)
    assert mb.NextTokenRows.load("here/rows.safetensors").log_probs.dtype == np.float64


def _truth() -> str:
    """The bundled model's own prior, in a file."""
    from matrixbayes.study.inputs import BUNDLED
    from matrixbayes.study.task import true_prior

    prior = true_prior(BUNDLED)
    assert prior is not None
    prior.save("truth.safetensors")
    return "truth.safetensors"


# ---------------------------------------------------------------------------
# Fits
# ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    rng = np.random.default_rng(0)
    mixture = mb.DirichletMixture([0.5, 0.5], [[9.0, 1.0, 1.0], [1.0, 1.0, 9.0]])
    return np.array([rng.multinomial(20, p / p.sum()) for p in mixture.sample(200, rng=rng)])


def _csv(counts: np.ndarray, separator: str = ",") -> str:
    lines = [["yes", "no", "it is"], *counts.tolist()]
    return "\n".join(separator.join(map(str, line)) for line in lines)


FIT = ("--n-components", "1:2", "--random-state", "0")


def test_counts_of_any_file_give_the_same_prior(counts: np.ndarray, ask: Ask) -> None:
    Path("a.csv").write_text("\ufeff" + _csv(counts).replace("\n", "\r\n") + "\r\n", "utf-8")
    Path("b.tsv").write_text(_csv(counts, "\t"))
    labelled = [f"{'' if i == 0 else i},{line}" for i, line in enumerate(_csv(counts).split("\n"))]
    Path("c.csv").write_text("\n".join(labelled))
    np.save("d.npy", counts)
    sparse.save_npz("e.npz", sparse.csr_array(counts))
    np.savez("f.npz", counts=counts)
    found = [ask("fit", name, *FIT, "--out", f"{name}.st") for name in sorted(map(str, _files()))]
    assert len(found) == 6
    expected = mb.select_prior(counts, [1, 2], kind="counts", random_state=0)
    for each in found:
        assert each["n_components"] == expected.best_.n_components == 2
        assert each["table"][1]["bic"] == pytest.approx(expected.table[1]["bic"], rel=1e-9)
        assert each["table"][1]["cv"] is None
        assert (each["n_rows"], each["n_columns"]) == (200, 3)
    named = mb.DirichletMixture.load("a.csv.st")
    assert named.tokens == ("yes", "no", "it is")
    np.testing.assert_allclose(named.alpha, expected.best_.prior_.alpha)
    assert found[0]["components"][0]["tokens"][0][0] in ("yes", "it is")
    assert ask("show", "a.csv.st")["made_with"] == ask("show", "e.npz.st")["made_with"] != {}
    assert found[3]["components"][0]["tokens"][0][0] in (0, 2)


def _files() -> list[Path]:
    return [path for path in Path().iterdir() if path.suffix in (".csv", ".tsv", ".npy", ".npz")]


def test_rows_and_arrays_of_other_kinds(ask: Ask, run: Run) -> None:
    prior = mb.DirichletMixture([1.0], [[4.0, 2.0, 1.0]], tokens="abc")
    probs = prior.sample(80, rng=0)
    mb.NextTokenRows(np.log(probs), tokens="abc").save("rows.safetensors")
    np.save("probs.npy", probs)
    first = ask("fit", "rows.safetensors", "--n-components", "1")
    second = ask("fit", "probs.npy", "--kind", "probs", "--n-components=1", "--out=other.st")
    mean = [p for _, p in first["components"][0]["tokens"]]
    assert mean == pytest.approx([p for _, p in second["components"][0]["tokens"]], rel=1e-6)
    assert [name for name, _ in first["components"][0]["tokens"]] == ["a", "b", "c"]
    out, _ = run("fit", "rows.safetensors", "--n-components", "1,2", "--out", "third.st")
    assert "PriorSelection" in out
    assert out.splitlines()[-1] == f"prior: {Path('third.st').resolve()}"
    found = ask("fit", "rows.safetensors", "--n-components=1", "--resolution=20", "--out=r.st")
    assert (found["criterion"], found["resolution"]) == ("held_bits", 20)
    Path("few.csv").write_text("a,b,c\n0.2,0.3,0.5\n0.1,0.1,0.8\n", "utf-8")
    few = ["fit", "few.csv", "--kind=probs", "--n-components=1", "--resolution=20", "--out=few.st"]
    assert ask(*few)["n_rows"] == 2


def test_warnings_go_to_standard_error_and_into_the_object(capsys) -> None:
    np.save("flat.npy", np.full((30, 3), 7))
    assert main(["fit", "flat.npy", "--n-components", "1", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["warnings"]
    assert err == "".join(f"matrixbayes: warning: {words}\n" for words in found["warnings"])


def test_elicit_of_predictions_is_elicit_prior(ask: Ask, run: Run) -> None:
    rng = np.random.default_rng(2)
    histories = [rng.integers(0, 2, n).tolist() for n in rng.integers(0, 9, 80)]
    seen = np.array([[h.count(0) + 3.0, h.count(1) + 1.0] for h in histories])
    probs = seen / seen.sum(axis=1, keepdims=True)
    np.save("p.npy", probs)
    mb.NextTokenRows(np.log(probs), tokens=("h", "t")).save("p.safetensors")
    Path("h.txt").write_text("".join(f"{' '.join(map(str, h))}\n" for h in histories))
    Path("h.jsonl").write_text("".join(f"{h}\n" for h in histories))
    Path("names.txt").write_text("".join(f"{' '.join('ht'[i] for i in h)}\n" for h in histories))
    np.save("counts.npy", seen.astype(int) - [3, 1])
    Path("groups.txt").write_text("".join(f"{i // 8}\n" for i in range(80)))
    options = ("--family", "iid", "--rng", "0")
    cases = [
        ("--predictions=p.npy", "--kind=probs", "--histories=h.txt"),
        ("--predictions=p.npy", "--kind=probs", "--histories=h.jsonl"),
        ("--predictions=p.safetensors", "--histories=names.txt", "--groups=groups.txt"),
        ("--predictions=p.safetensors", "--histories=counts.npy", "--history-kind=counts"),
    ]
    for i, case in enumerate(cases):
        found = ask("elicit", *case, *options, "--out", f"{i}.st")
        np.testing.assert_allclose(mb.DirichletMixture.load(f"{i}.st").alpha, [[3, 1]], rtol=1e-3)
        assert found["n_rows"] == 80
    found = ask(
        "elicit", *cases[2], "--family", "iid,iid+markov", "--cv", "2", "--rng=0", "--out", "m.st"
    )
    assert [each["family"] for each in found["comparison"]] == ["iid", "iid+markov"]
    found = ask("elicit", *cases[2], "--family", "iid+markov", "--rng=0", "--out", "two.st")
    assert found["out"] == ["two.iid.st", "two.markov.st"]
    assert all(Path(each).is_file() for each in found["out"])
    out, _ = run("elicit", *cases[2], "--family=balance", "--rng=0", "--out=none.st")
    assert out.endswith("family balance has no mixture to write: its numbers are above\n")
    assert not Path("none.st").exists()


# ---------------------------------------------------------------------------
# Matrices
# ---------------------------------------------------------------------------


@pytest.fixture
def corpus() -> list[str]:
    rng = np.random.default_rng(4)
    rows = np.where(rng.random((8, 8)) < 0.4, 10.0, 0.3)  # some words follow, others hardly
    rows /= rows.sum(axis=1, keepdims=True)
    lines = []
    for _ in range(60):
        line = [int(rng.integers(8))]
        while len(line) < 9:
            line.append(int(rng.choice(8, p=rows[line[-1]])))
        lines.append(" ".join(WORDS[i] for i in line))
    Path("corpus.txt").write_text("\n".join(lines) + "\n")
    return lines


@pytest.mark.filterwarnings("ignore:the concentration of order")
def test_a_matrix_is_that_of_python(corpus: list[str], ask: Ask, run: Run) -> None:
    found = ask("matrix", "build", "corpus.txt", "--order", "2", "--hierarchical", "--fit-prior")
    expected = mb.TransitionMatrix.from_text(corpus, order=2, hierarchical=True).fit_prior()
    kept = mb.TransitionMatrix.open("matrix.safetensors")
    assert kept.tokens == expected.tokens
    np.testing.assert_array_equal(kept.predict(["cat", "sat"]), expected.predict(["cat", "sat"]))
    assert found["n_documents"] == 60
    assert found["n_observed"] == expected.n_observed == 600
    assert (found["kind"], found["frozen"], found["n_tokens"]) == ("hierarchical", False, 10)
    Path("held.txt").write_text("the cat sat\na dog ran off\n")
    score = ask("matrix", "score", "matrix.safetensors", "held.txt", "--scores")
    text = ["the cat sat", "a dog ran off"]
    assert score["perplexity"] == pytest.approx(expected.perplexity("\n".join(text)))
    with pytest.warns(RuntimeWarning, match="does not have"):
        rate = mb.bits_per_byte(expected, text)
    assert score["bits_per_byte"] == pytest.approx(float(rate))
    assert (score["n_unknown"], score["n_tokens"], score["n_documents"]) == (1, 9, 2)
    assert [line[:3] for line in score["scores"][:5]] == [
        [0, 0, "the"], [0, 1, "cat"], [0, 2, "sat"], [0, 3, "</s>"], [1, 0, "a"],
    ]  # fmt: skip
    assert sum(line[3] for line in score["scores"]) == pytest.approx(score["log_prob"])
    query = ask("matrix", "query", "matrix.safetensors", "cat", "sat", "--top", "3")
    tokens, probs = expected.predict(["cat", "sat"], top=3)
    assert [p for _, p in query["tokens"]] == pytest.approx(probs)
    assert [t for t, _ in query["tokens"]] == [expected.tokens[t] for t in tokens]
    assert query["times_seen"] == int(expected.totals(["cat", "sat"]))
    first = ask("matrix", "query", "matrix.safetensors", "<s>", "--top", "all")
    assert sum(p for _, p in first["tokens"]) == pytest.approx(1.0)
    assert len(first["tokens"]) == 10
    drawn = ask("matrix", "generate", "matrix.safetensors", "--n", "7", "--rng", "5")
    assert drawn["tokens"] == [expected.tokens[t] for t in expected.generate(7, rng=5)]
    out, _ = run("matrix", "generate", "matrix.safetensors", "-n", "7", "--seed", "5")
    assert out == f"{drawn['text']}\n"
    after = ask("matrix", "generate", "matrix.safetensors", "-n2", "--context", "the", "--rng=1")
    assert after["context"] == ["the"]


def test_matrices_merge(corpus: list[str], ask: Ask) -> None:
    Path("one.txt").write_text("\n".join(corpus[:30]))
    Path("two.txt").write_text("\n".join(corpus[30:]))
    options = ("--order", "1", "--vocabulary", "words.txt")
    Path("words.txt").write_text("\n".join(WORDS))
    for name in ("one", "two", "corpus"):
        ask("matrix", "build", f"{name}.txt", *options, "--out", f"{name}.st")
    ask("matrix", "merge", "one.st", "two.st", "--out", "sum.st")
    merged, whole = (mb.TransitionMatrix.open(name) for name in ("sum.st", "corpus.st"))
    np.testing.assert_array_equal(merged.counts([[0], [3]]), whole.counts([[0], [3]]))
    found = ask("matrix", "merge", "one.st", "two.st", "two.st", "--weight=2", "--freeze")
    assert found["frozen"]
    assert found["out"] == "merged.safetensors"


def test_matrices_of_ids_trees_discounts_and_standard_input(
    corpus: list[str], ask: Ask, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = np.random.default_rng(0).integers(0, 5, (20, 30))
    np.save("ids.npy", ids)
    found = ask("matrix", "build", "ids.npy", "--order", "1", "--out", "i.st", "--prior", "0.5")
    expected = mb.TransitionMatrix(1, prior=0.5, n_tokens=5).update(list(ids))
    kept = mb.TransitionMatrix.open("i.st")
    np.testing.assert_array_equal(kept.predict([3]), expected.predict([3]))
    assert found["n_documents"] == 20
    score = ask("matrix", "score", "i.st", "ids.npy")
    assert score["perplexity"] == pytest.approx(expected.perplexity(list(ids)))
    assert score["bits_per_byte"] is None
    found = ask("matrix", "build", "ids.npy", "--order=1", "--fit-prior", "--jobs=1", "--out=p.st")
    np.testing.assert_allclose(
        [each["values"] for each in found["concentrations"]],
        [each.values for each in expected.fit_prior().concentrations],
    )
    assert ask("matrix", "query", "i.st", "3", "--top=2")["context"] == [3]
    tree = ask("matrix", "build", "ids.npy", "--order=tree", "--depth=2", "--freeze", "--out=t.st")
    assert (tree["kind"], tree["frozen"], tree["order"]) == ("tree", True, 2)
    stream = io.TextIOWrapper(io.BytesIO("\n".join(corpus).encode()))
    monkeypatch.setattr(sys, "stdin", stream)
    options = ("--order", "2", "--discounts", "--fit-prior", "--documents", "--out", "d.st")
    found = ask("matrix", "build", "-", *options)
    assert (found["kind"], found["n_documents"]) == ("discounts", 60)
    expected = mb.TransitionMatrix.from_text(corpus, order=2, discounts=True)
    expected.fit_prior(documents=expected.encode(corpus))
    kept = mb.TransitionMatrix.open("d.st")
    np.testing.assert_allclose(kept.discounts, expected.discounts)
    kept.prune(0.0).save("b.st")
    kept.to_arpa("m.arpa")
    for name in ("b.st", "m.arpa"):
        again = ask("matrix", "query", name, "the", "cat", "--top", "2")
        there = ask("matrix", "query", "d.st", "the", "cat", "--top", "2")["tokens"]
        assert [t for t, _ in again["tokens"]] == [t for t, _ in there]


def test_a_matrix_of_a_tokenizer(urns, corpus: list[str], ask: Ask, run: Run) -> None:
    from matrixbayes.study.inputs import BUNDLED

    Path("colours.txt").write_text("\n".join(texts(10)))
    folder = str(BUNDLED)
    found = ask("matrix", "build", "colours.txt", "--order=1", "--tokenizer", folder)
    assert found["n_tokens"] == len(urns[1].get_vocab())
    score = ask("matrix", "score", "matrix.safetensors", "colours.txt", "--tokenizer", folder)
    matrix = mb.TransitionMatrix.from_text(texts(10), order=1, tokenizer=urns[1])
    assert score["perplexity"] == pytest.approx(matrix.perplexity("\n".join(texts(10))))
    _, err = run("matrix", "score", "matrix.safetensors", "colours.txt", status=2)
    assert "was built by a tokenizer: give --tokenizer PATH" in err
    file = str(BUNDLED / "tokenizer.json")
    again = ask("matrix", "build", "colours.txt", "--order=1", "--tokenizer", file, "--out=f.st")
    assert {**again, "out": "", "n_bytes": 0} == {**found, "out": "", "n_bytes": 0}
    query = ask("matrix", "query", "matrix.safetensors", "red", "--tokenizer", folder, "--top=1")
    assert query["context"] == ["red"]
    drawn = ask("matrix", "generate", "matrix.safetensors", "-n3", "--rng=0", "--tokenizer", folder)
    assert drawn["text"]


def test_a_text_of_ends_alone_has_no_bits_per_byte(corpus: list[str], ask: Ask, run: Run) -> None:
    ask("matrix", "build", "corpus.txt", "--order=1")
    Path("blank.txt").write_text("\n  \n")
    found = ask("matrix", "score", "matrix.safetensors", "blank.txt")
    assert (found["n_documents"], found["n_tokens"], found["bits_per_byte"]) == (2, 2, None)
    out, _ = run("matrix", "score", "matrix.safetensors", "blank.txt")
    assert "bits per token" in out
    assert "bits per byte" not in out


def test_a_probability_of_zero_is_null(ask: Ask) -> None:
    text = "\\data\\\nngram 1=3\n\n\\1-grams:\n-99\t<s>\n-99\t</s>\n0\ta\n\n\\end\\\n"
    Path("m.arpa").write_text(text)
    Path("t.txt").write_text("a a\n")
    found = ask("matrix", "score", "m.arpa", "t.txt")
    assert found["log_prob"] is None or math.isfinite(found["log_prob"])


# ---------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------


def test_show_says_what_files_are(corpus: list[str], ask: Ask, run: Run) -> None:
    prior = mb.DirichletMixture([0.7, 0.3], [[8.0, 2.0], [2.0, 8.0]], tokens=("head", "tail"))
    prior.save("prior.st")
    mb.NextTokenRows(np.log([[0.25, 0.75]]), tokens=("no", "yes"), meta={"model": "m"}).save("r.st")
    matrix = mb.TransitionMatrix.from_text(corpus, order=1)
    matrix.save("m.st")
    matrix.freeze("f.st")
    mb.TransitionMatrix.from_text(corpus, order=1, hierarchical=True).to_arpa("m.arpa")
    from safetensors.numpy import save_file

    save_file({"x": np.zeros((2, 3), np.float32)}, "other.safetensors", {"by": "somebody"})
    said = {
        "prior.st": ("prior", "matrixbayes.prior", "head"),
        "r.st": ("rows", "matrixbayes.rows", "model: m"),
        "m.st": ("Matrix", "matrixbayes.matrix", "order 1"),
        "f.st": ("Matrix", "matrixbayes.matrix", "frozen"),
        "m.arpa": ("n-gram model", "ARPA", "order 1"),
        "other.safetensors": ("a safetensors file", None, "x: F32, 2 x 3"),
    }
    for name, (kind, format, words) in said.items():
        out, _ = run("show", name)
        assert out.startswith(f"{name}: ")
        assert kind in out.splitlines()[0]
        assert words in out
        found = ask("show", name)
        assert found["format"] == format
        assert found["made_by"] == (f"matrixbayes {mb.__version__}" if name[-3:] == ".st" else None)
        assert found["n_bytes"] == Path(name).stat().st_size
    assert ask("show", "r.st")["made_with"]["model"] == "m"
    save_file({"x": np.zeros(1)}, "broken.safetensors", {"matrixbayes": "{", "by": "somebody"})
    found = ask("show", "broken.safetensors")
    assert (found["format"], found["made_with"]) == (None, {"by": "somebody"})
    meta = {"seeds": list(range(9)), "few": [1, 2], "note": "x" * 501}
    mb.NextTokenRows(np.log([[0.25, 0.75]]), meta=meta).save("long.st")
    made = ask("show", "long.st")["made_with"]
    assert (made["seeds"], made["few"]) == ("9 entries", [1, 2])
    assert made["note"] == "x" * 500 + "..."
    found = ask("show", "prior.st", "--top", "1")
    assert found["components"][0]["tokens"] == [["head", pytest.approx(0.8)]]
    assert found["arrays"]["alpha"] == {"dtype": "F64", "shape": [2, 2]}
