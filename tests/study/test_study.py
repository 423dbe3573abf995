"""The command line and the study: what it reads, what it finds, what it writes."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("matplotlib")
pytest.importorskip("mpltern")

from matrixbayes.__main__ import main
from matrixbayes.mixture import DirichletMixture
from matrixbayes.rows import NextTokenRows
from matrixbayes.study import analysis as study_module
from matrixbayes.study import inputs, summary
from matrixbayes.study.inputs import UsageError
from matrixbayes.study.shots import (
    Divergence,
    _average,
    aligned,
    follow,
    match_components,
)
from matrixbayes.study.task import HISTORY, Task
from matrixbayes.study.texts import Shots, encoder, predictions_along

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
VOCAB = {"warm": ["red", "orange", "yellow"], "cold": ["blue"]}
FILES = {
    "report.html", "rows.safetensors", "prior.safetensors", "elicited_prior.safetensors",
    "criterion.png", "components.png", "check.png", "ternary.png", "concentration.png",
    "divergence.png", "truth.png",
}  # fmt: skip


# ---------------------------------------------------------------------------
# What the user hands in
# ---------------------------------------------------------------------------


def test_prompts_are_lines(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_bytes("\ufeffone\r\n\n  two \na\\nb\\t\\\\n\\x\nc\u2028d\n".encode())
    assert inputs.read_prompts(file) == ["one", "  two ", "a\nb\t\\n\\x", "c\u2028d"]


@pytest.mark.parametrize("content", [b"", b"\n \n\r\n"])
def test_no_prompts_is_an_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "prompts.txt"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"prompts\.txt is empty"):
        inputs.read_prompts(file)


def test_answer_groups_in_every_form(tmp_path: Path) -> None:
    expected = {"yes": [" yes", " Yes"], "no": [" no"]}
    file = tmp_path / "groups.json"
    file.write_text(json.dumps(expected))
    assert inputs.read_vocab([str(file)]) == expected
    assert inputs.read_vocab([json.dumps(expected)]) == expected
    assert inputs.read_vocab(["yes= yes| Yes", "no= no"]) == expected
    assert inputs.read_vocab(['{"yes": " yes", "no": " no"}']) == {"yes": [" yes"], "no": [" no"]}
    assert inputs.read_vocab(["a=\\n", "b=="]) == {"a": ["\n"], "b": ["="]}
    assert inputs.read_vocab(["y=id:7| yes", "n= id:8"]) == {"y": [7, " yes"], "n": [" id:8"]}
    assert inputs.read_vocab(['{"y": [7, "id:9"], "n": 8}']) == {"y": [7, 9], "n": [8]}
    assert inputs.read_vocab([]) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere.json"], "no such file, and not a group"),
        (["{broken"], "not JSON"),
        (["yes= yes"], "at least two"),
        (["yes= yes", "yes= no"], "given twice"),
        (["yes= yes", "no= yes"], "in 'yes' and 'no'"),
        (["yes= yes", "no="], "non-empty"),
        (["yes= yes", "= no"], "needs a name"),
        (['{"yes": [1.5], "no": ["a"]}'], "'yes' needs"),
        (['{"yes": [true], "no": ["a"]}'], "'yes' needs"),
        (['{"yes": {}, "no": ["a"]}'], "'yes' needs"),
        (["yes=id:3", "no=id:3"], "the spelling 3 is in 'yes' and 'no'"),
    ],
)
def test_wrong_answer_groups_are_explained(options: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        inputs.read_vocab(options)


def test_numbers_of_components() -> None:
    assert inputs.read_components("1:4") == [1, 2, 3, 4]
    assert inputs.read_components("3") == [3]
    assert inputs.read_components("4,1,4") == [1, 4]
    for wrong in ("", "0", "0:3", "4:2", "1:65", "a", "1:2:3", "-1", "1.5", "99999:99999"):
        with pytest.raises(UsageError, match="--components"):
            inputs.read_components(wrong)


def test_demonstrations_with_inputs(tmp_path: Path) -> None:
    file = tmp_path / "shots.txt"
    file.write_text("Sky:\tcold\nFire:\tred\nSun:\n\n\nSea:\t blue\nMoon:\tred\n")
    first, second = inputs.read_shots(file, VOCAB)
    assert first.answers == ("cold", "warm")
    assert first.prompts == ("Sky:", "Sky:blue\nFire:", "Sky:blue\nFire:red\nSun:")
    # " blue" is the spelling "blue" but for its space; the last line's answer is not shown.
    assert second == Shots(("Sea:", "Sea:blue\nMoon:"), ("cold",))


def test_demonstrations_of_answers_alone(tmp_path: Path) -> None:
    file = tmp_path / "shots.txt"
    file.write_text("red\nblue\nwarm\n")
    (shots,) = inputs.read_shots(file, VOCAB)
    assert shots.prompts == ("", "red", "red blue", "red blue red")
    assert shots.answers == ("warm", "cold", "warm")
    (spaced,) = inputs.read_shots(file, {"warm": [" red"], "cold": [" blue"]})
    assert spaced.prompts == ("", " red", " red blue", " red blue red")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("red\npink\n", "line 2: the answer 'pink' is in no vocab group"),
        ("a\tred\nb red\nc\tred\n", "line 2: no tab"),
    ],
)
def test_wrong_demonstrations_are_explained(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "shots.txt"
    file.write_text(content)
    with pytest.raises(UsageError, match=message):
        inputs.read_shots(file, VOCAB)


# ---------------------------------------------------------------------------
# The arithmetic
# ---------------------------------------------------------------------------


def test_averages_are_over_the_sequences_that_are_long_enough() -> None:
    d = _average("x", [np.array([1.0, 3.0, 7.0]), np.array([2.0, 5.0])])
    np.testing.assert_allclose(d.mean, [1.5, 4.0, 7.0])
    np.testing.assert_allclose(d.stderr, [0.5, 1.0, np.nan])


def test_components_are_matched_by_mean_and_weight() -> None:
    true = DirichletMixture([0.5, 0.3, 0.2], [[6, 1, 1], [1, 6, 1], [1, 1, 6]])
    found = DirichletMixture([0.2, 0.3, 0.5], [[2, 2, 11], [2, 12, 1], [13, 1, 2]])
    assert match_components(true, found) == (2, 1, 0)
    ordered = aligned(true, found)
    assert ordered is not None
    np.testing.assert_array_equal(ordered.alpha[0], [13, 1, 2])
    np.testing.assert_array_equal(ordered.weights, [0.5, 0.3, 0.2])
    fewer = DirichletMixture([0.6, 0.4], [[1, 7, 1], [9, 1, 1]])
    assert match_components(true, fewer) == (1, 0, None)
    assert aligned(true, fewer) is None


def test_divergences_are_in_bits_and_the_right_way_round() -> None:
    # One Dirichlet (1, 1); the model always says (3/4, 1/4).
    prior = DirichletMixture([1.0], [[1.0, 1.0]], tokens=("a", "b"))
    model = np.log([0.75, 0.25])

    def collect(texts: list[str], positions: list[list[int]]) -> NextTokenRows:
        assert (texts, positions) == (["a", "b"], [[0, 1], [0, 1]])
        return NextTokenRows(np.tile(model, (4, 1)), tokens=("a", "b"))

    shots = [Shots(("", "a"), ("a",)), Shots(("", "b"), ("b",))]
    found = follow(
        collect, lambda text: [0, *map(ord, text)], shots, {"fitted prior": prior}, prior
    )
    one, other, constant = found.divergences
    assert one.name == "KL(model || fitted prior's predictive)"
    assert other.name == "KL(exact Bayes || model)"
    at_zero = 0.75 * np.log2(1.5) + 0.25 * np.log2(0.5)
    after_a = 0.75 * np.log2(0.75 * 1.5) + 0.25 * np.log2(0.25 * 3)
    after_b = 0.75 * np.log2(0.75 * 3) + 0.25 * np.log2(0.25 * 1.5)
    np.testing.assert_allclose(one.mean, [at_zero, (after_a + after_b) / 2], rtol=1e-12)
    np.testing.assert_allclose(one.stderr, [0.0, abs(after_a - after_b) / 2], atol=1e-12)
    exact_zero = 0.5 * np.log2(0.5 / 0.75) + 0.5 * np.log2(0.5 / 0.25)
    np.testing.assert_allclose(other.mean[0], exact_zero, rtol=1e-12)
    assert constant.name == "KL(model || a constant prediction)"
    np.testing.assert_allclose(constant.mean, 0.0, atol=1e-12)
    np.testing.assert_allclose(found.exact, [[0.5, 0.5], [2 / 3, 1 / 3]], rtol=1e-12)


def test_one_pass_over_a_sequence_says_what_its_prompts_do() -> None:
    model, tokenizer = inputs.load_model(None)
    task = Task(model, tokenizer, None, "keep", 0, None, None)
    prompts = ("", "red", "red blue", "red blue red")
    sequence = Shots(prompts, ("red", "blue", "red"))
    (rows,) = predictions_along(task.collect, encoder(tokenizer), [sequence])
    alone = [task.collect([text]).log_probs[0] for text in prompts]
    np.testing.assert_allclose(rows.log_probs, alone, atol=1e-5)
    # Prompts that are not the beginning of the last one are run one by one.
    loose = Shots(("red", "blue red"), ("red",))
    first, second = predictions_along(task.collect, encoder(tokenizer), [loose, sequence])
    np.testing.assert_allclose(first.log_probs[0], alone[1], atol=1e-5)
    np.testing.assert_allclose(second.log_probs, alone, atol=1e-5)
    assert [len(first), len(second)] == [2, 4]


# ---------------------------------------------------------------------------
# The bundled model, end to end
# ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory):
    """The study of the bundled model: its result and its folder."""
    folder = tmp_path_factory.mktemp("study") / "new" / "out"
    results = []
    original = study_module.study

    def keep(*arguments, **options):
        results.append(original(*arguments, **options))
        return results[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matrixbayes.study.study", keep)
        assert main(["study", "--out", str(folder), "--quiet"]) == 0
    return results[0], folder


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.slow
def test_every_file_is_there_and_nothing_else(bundled) -> None:
    _, folder = bundled
    assert {file.name for file in folder.iterdir()} == FILES
    for file in folder.glob("*.png"):
        assert file.read_bytes().startswith(b"\x89PNG")


def test_the_readme_quotes_what_is_printed(bundled, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).resolve().parents[2]
    (quoted,) = re.findall(r"```text\n(.*?)```", (root / "README.md").read_text("utf-8"), re.DOTALL)
    monkeypatch.syspath_prepend(root / "docs" / "_site")
    same = importlib.import_module("examples").same
    monkeypatch.delitem(sys.modules, "examples")
    printed = summary(bundled[0]).splitlines()
    missing = [line for line in quoted.splitlines() if not any(same(line, own) for own in printed)]
    assert not missing


def test_the_files_can_be_read_again(bundled) -> None:
    result, folder = bundled
    assert DirichletMixture.load(folder / "prior.safetensors") == result.prior
    assert DirichletMixture.load(folder / "elicited_prior.safetensors") == result.elicited
    rows = NextTokenRows.load(folder / "rows.safetensors")
    assert rows.tokens == COLOURS
    np.testing.assert_array_equal(rows.log_probs, result.rows.log_probs)


def test_the_report_loads_nothing(bundled) -> None:
    _, folder = bundled
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    names = [tag for tag, _ in page.tags]
    assert not {"script", "link", "iframe", "object", "embed", "form"} & set(names)
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert tag == "a" or "href" not in attributes
        if tag == "img":
            assert attributes["src"].startswith("data:image/png;base64,")
            assert len(attributes["alt"]) > 20
    assert names.count("img") == names.count("figure") == names.count("figcaption") == 7
    prose = re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.search(r"https?:|url\(|@import", prose)
    assert "default-src" in prose
    assert "in bits" in prose
    # Every sentence below a figure is one.
    for sentence in re.findall(r"<figcaption>(.*?)</figcaption>", prose, flags=re.S):
        assert sentence.endswith(".")
        assert len(sentence.split()) > 8


def test_the_report_can_be_read_anywhere(bundled) -> None:
    _, folder = bundled
    file = folder / "report.html"
    assert file.stat().st_size < 2_000_000
    text = file.read_text(encoding="utf-8")
    page = Page(text)
    names = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert len(names) == len({*names}) > 8
    assert links == [f"#{names[0]}", *(f"#{n}" for n in names), *(f"#{n}" for n in names[1:])]
    for rule in ("prefers-color-scheme: dark", "@media print", "@page", "max-width: 30rem"):
        assert rule in text
    for tag, attributes in page.tags:
        assert tag != "img" or "min-width" in (attributes["style"] or "")
    # The answer in plain words is first, figures follow.
    prose = re.sub(r"<style>.*?</style>|<[^>]+>", " ", text, flags=re.S)
    plain, bits, kl = (prose.index(words) for words in ("Yes, as far as", "In figures:", "KL("))
    assert plain < bits < kl
    assert re.search(r"Made on \d{4}-\d\d-\d\d \(UTC\), model [0-9a-f]{16}, matrixbayes ", prose)
    for library in ("numpy", "torch", "transformers"):
        assert re.search(rf"{library} \d", prose)


def test_near_ties_are_said(bundled) -> None:
    # Of this model BIC prefers 3 kinds of row to 4 by less than its error over rows.
    result, folder = bundled
    (words,) = (clause for clause in result.verdict.open if "kinds" in clause)
    assert words.startswith("whether the rows are not rather of 4 kinds than of 3")
    table = {line["n_components"]: line["bic"] for line in result.selection.table}
    logs = [result.selection.estimators[k].prior_.log_prob(result.rows) for k in (3, 4)]
    error = 2.0 * np.sqrt(len(result.rows)) * np.std(logs[1] - logs[0])
    assert 0.0 < table[4] - table[3] < error < table[2] - table[3]
    assert "near-ties" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_page_of_a_given_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert study_module._today() == "1970-01-02"


def test_the_study_recovers_the_truth(bundled) -> None:
    result, _ = bundled
    assert result.truth is not None
    assert result.prior.n_components == result.truth.n_components == 3
    assert result.elicitation.converged
    found = aligned(result.truth, result.elicited)
    np.testing.assert_allclose(found.weights, result.truth.weights, atol=0.03)
    true_mean = result.truth.alpha / np.asarray(result.truth.concentration)[:, None]
    found_mean = found.alpha / np.asarray(found.concentration)[:, None]
    assert 0.5 * np.abs(found_mean - true_mean).sum(axis=1).max() < 0.03
    ratio = np.asarray(found.concentration) / np.asarray(result.truth.concentration)
    assert (ratio > 0.75).all()
    assert (ratio < 1.33).all()
    # The rows are posterior means, so the prior fitted to them is more concentrated than the truth.
    fitted = aligned(result.truth, result.prior)
    assert (fitted.concentration > 1.2 * np.asarray(result.truth.concentration)).all()


def test_the_model_is_close_to_exact_bayes(bundled) -> None:
    result, _ = bundled
    means = {d.name: float(d.mean.mean()) for d in result.shots.divergences}
    assert means["KL(exact Bayes || model)"] < 0.004
    elicited = means["KL(model || elicited prior's predictive)"]
    fitted = means["KL(model || fitted prior's predictive)"]
    assert elicited < 0.004
    assert elicited < fitted
    exact = result.shots.exact
    assert exact.shape == (HISTORY + 1, 8)
    assert np.abs(result.shots.rows.probs() - exact).max() < 0.1


def test_the_summary_says_it_all(bundled) -> None:
    from matrixbayes.study import summary

    result, _ = bundled
    text = summary(result)
    lines = repr(result).splitlines()
    assert len(lines) == 10
    assert lines[-1].startswith("... and ")
    assert " ".join(lines).startswith(result.verdict.sentence[:300])
    for words in ("3, by BIC out of 1 to 6", "prior fitted", "prior elicited", "prior true"):
        assert words in text
    assert len(text.split("\n")) < 40
    assert all(line.isprintable() for line in text.split("\n"))


# ---------------------------------------------------------------------------
# Prompts, answers and demonstrations of one's own
# ---------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> list[str]:
    """Arguments of a small study with files of one's own."""
    rng = np.random.default_rng(3)
    prompts = "\n".join(" ".join(rng.choice(COLOURS, size=rng.integers(3, 20))) for _ in range(60))
    (tmp_path / "prompts.txt").write_text(prompts)
    (tmp_path / "shots.txt").write_text("red\norange\nblue\n\nblue\nred\n")
    return [
        "study",
        f"--prompts={tmp_path / 'prompts.txt'}",
        f"--shots={tmp_path / 'shots.txt'}",
        "--vocab=<b>warm</b>=red|orange|yellow",
        "--vocab=cold=blue|green",
        "--components=1,2",
        f"--out={tmp_path / 'out'}",
    ]


@pytest.mark.slow
def test_a_study_of_ones_own(own, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The group's name is given in the shots file by its spellings alone.
    assert main(own) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.rstrip().split("\n")[-1] == f"report: {tmp_path / 'out' / 'report.html'}"
    assert "by BIC out of 1, 2" in out
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<b>warm</b>" not in text
    assert "&lt;b&gt;warm&lt;/b&gt;" in text
    assert "Beside the truth" not in text
    assert "2 sequences" in text.replace("Two", "2")
    rows = NextTokenRows.load(tmp_path / "out" / "rows.safetensors")
    assert rows.tokens == ("<b>warm</b>", "cold", "<other>")


@pytest.mark.slow
def test_the_same_seed_gives_the_same_files(own, tmp_path: Path) -> None:
    reports = []
    for _ in range(2):
        assert main([*own, "--quiet"]) == 0
        files = [*(tmp_path / "out").glob("*.html"), *(tmp_path / "out").glob("*.png")]
        reports.append({file.name: file.read_bytes() for file in files})
    assert len(reports[0]) == 7
    assert reports[0] == reports[1]


@pytest.fixture
def unknown(tmp_path: Path) -> Path:
    """The bundled model in a folder that does not say what it was trained on."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in inputs.BUNDLED.iterdir():
        if file.name != "training.json":
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.mark.slow
def test_every_token_without_answer_groups(own, unknown: Path, tmp_path: Path) -> None:
    arguments = [a for a in own if not a.startswith(("--vocab", "--shots"))]
    assert main([*arguments, str(unknown), "--quiet", "--components=1"]) == 0
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "report.html", "rows.safetensors", "prior.safetensors", "components.png", "ternary.png",
        "check.png", "concentration.png", "divergence.png", "elicited_prior.safetensors",
    }  # fmt: skip
    assert len(NextTokenRows.load(tmp_path / "out" / "rows.safetensors").tokens) == 10


# ---------------------------------------------------------------------------
# What can go wrong
# ---------------------------------------------------------------------------


def usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a usage error says."""
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("matrixbayes: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["./nowhere"], "no model folder ./nowhere"),
        (["/no/such/folder"], "no model folder /no/such/folder"),
        (["{tmp}"], "holds no config.json"),
        (["{tmp}/junk"], "cannot load the model"),
        (["no-such-model-anywhere"], "--download fetches it"),
        (["--components=6:1"], "--components '6:1'"),
        (["--prompts={tmp}/empty.txt"], "empty.txt is empty"),
        (["--prompts={tmp}/missing.txt"], "cannot read prompts file"),
        (["--prompts={tmp}/latin1.txt"], "not UTF-8 (byte 2)"),
        (["--prompts={tmp}/pink.txt"], "pink"),
        (["--prompts={tmp}/short.txt", "--components=5"], "5 components need as many rows"),
        (["--vocab=a=red white", "--vocab=b=blue"], "is in no vocab group"),
        (["--vocab=a=pink", "--vocab=b=blue"], "not in the vocabulary"),
        (["--shots={tmp}/short.txt"], "line 2: the answer 'blue red' is in no vocab group"),
        (["--shots={tmp}/pink.txt", "--vocab=a=red", "--vocab=b=blue"], "line 1: the answer"),
        (["--out={tmp}/short.txt"], "cannot write to --out"),
        (["--out={tmp}/short.txt/deeper"], "cannot write to --out"),
    ],
)
def test_usage_errors_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "latin1.txt").write_bytes(b"gr\xfcn\n")
    (tmp_path / "pink.txt").write_text("pink\n")
    (tmp_path / "short.txt").write_text("red\nblue red\n")
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "config.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    arguments = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]
    if not any(argument.startswith("--out") for argument in arguments):
        arguments.append(f"--out={tmp_path / 'deep' / 'out'}")
    assert message in usage_error(["study", *arguments], capsys)
    assert sorted(tmp_path.rglob("*")) == before  # nothing is left behind


def test_a_model_of_ones_own_needs_prompts(
    unknown: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = usage_error(["study", str(unknown), f"--out={tmp_path / 'out'}"], capsys)
    assert "needs prompts" in said
    (tmp_path / "prompts.txt").write_text("red\nblue\n")
    files = [f"--prompts={tmp_path / 'prompts.txt'}", f"--shots={tmp_path / 'prompts.txt'}"]
    said = usage_error(["study", str(unknown), *files, f"--out={tmp_path / 'out'}"], capsys)
    assert "demonstrations need answer groups" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KeyboardInterrupt, 130),
        (UsageError("no"), 2),
        (OSError(28, "No space left on device", "elsewhere"), 2),
        (RuntimeError, None),
    ],
)
def test_a_failure_leaves_the_folder_as_it_was(
    error, status: int | None, own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(result, folder: Path) -> None:
        (folder / "report.html").write_text("half of it")
        raise error

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.html").write_text("the last one")
    monkeypatch.setattr("matrixbayes.study.study", lambda *a, **k: None)
    monkeypatch.setattr("matrixbayes.study.save_study", fail)
    if status is None:
        with pytest.raises(RuntimeError):  # the interpreter prints it and exits with 1
            main(own)
    else:
        assert main(own) == status
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["report.html"]
    assert (tmp_path / "out" / "report.html").read_text() == "the last one"


@pytest.mark.slow
def test_what_steps_warn_of_reaches_the_reader(own, tmp_path: Path, capsys) -> None:
    # All prompts alike: one row only, which no prior can be fitted to without a warning.
    (tmp_path / "prompts.txt").write_text("red red\n" * 8)
    assert main([*own, "--components=1"]) == 0
    printed = capsys.readouterr().out
    assert "warning: " in printed
    for text in (printed, (tmp_path / "out" / "report.html").read_text()):
        assert "rows are distinct" in text


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "matrixbayes", *arguments]
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_command_itself(tmp_path: Path) -> None:
    version = run("--version", cwd=tmp_path)
    assert (version.returncode, version.stderr) == (0, "")
    assert re.fullmatch(r"matrixbayes \d+\.\d+\.\d+\n", version.stdout)
    usage = run("study", "--help", cwd=tmp_path)
    assert usage.returncode == 0
    for word in ("--prompts", "--vocab", "--shots", "--components", "--out", "input<TAB>answer"):
        assert word in usage.stdout
    assert run(cwd=tmp_path).returncode == 2
    wrong = run("study", "./nowhere", cwd=tmp_path)
    assert (wrong.returncode, wrong.stderr) == (2, "matrixbayes: no model folder ./nowhere\n")
    assert list(tmp_path.iterdir()) == []


def test_a_divergence_without_repetition_has_no_error() -> None:
    d = _average("x", [np.array([1.0, 2.0])])
    assert isinstance(d, Divergence)
    assert np.isnan(d.stderr).all()
