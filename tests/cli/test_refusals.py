"""What can go wrong: said in one line, with status 2, before a model is loaded, nothing written."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import matrixbayes as mb
from matrixbayes.cli import answers, main
from matrixbayes.cli.options import DTYPES
from matrixbayes.errors import UsageError
from matrixbayes.study import inputs

Refused = Callable[..., str]


@pytest.fixture
def refused(capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Runs a command that must be refused without a model; returns what was said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inputs, "load_model", _never)
    monkeypatch.setattr("matrixbayes.cli.models.calm_transformers", _never)
    monkeypatch.setattr("matrixbayes.cli.commands.study.calm_transformers", _never)

    def call(*arguments: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        assert main(list(arguments)) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("matrixbayes: ")
        assert err.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before
        return str(err)

    return call


def _never(*arguments: object, **options: object) -> None:
    raise AssertionError("a model was loaded")


def _files() -> None:
    """Files of all kinds."""
    Path("good.txt").write_text("red\nblue\n")
    Path("empty.txt").write_bytes(b"")
    Path("latin1.txt").write_bytes(b"one\ngr\xfcn\n")
    Path("utf16.txt").write_bytes("red\n".encode("utf-16"))
    Path("binary.txt").write_bytes(b"one\ntwo\0\n")
    Path("broken.json").write_text('{"a": ["x"], "b": ')
    Path("list.json").write_text('["a"]')
    Path("there.st").write_text("old")
    Path("rows.layer0.st").write_text("old")
    Path("folder").mkdir()
    Path("junk.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0notjson!")
    Path("short.npy").write_bytes(b"\x93NUMPY")
    Path("counts.csv").write_text("a,b\n1,2\n3,4\n")
    Path("ragged.csv").write_text("a,b\n1,2\n\n3\n")
    Path("words.csv").write_text("a,b\n1,2\n3,many\n")
    Path("nan.csv").write_text("a,b\n1,2\n3,nan\n")
    Path("probs.csv").write_text("a,b\n0.5,0.5\n1,0\n")
    Path("headless.csv").write_text("3,0,5\n1,2,3\n")
    Path("header.csv").write_text("a,b\n")
    Path("twice.csv").write_text("a,a\n1,2\n")
    Path("quote.csv").write_text('a,b\n1,"2\n')
    np.save("float.npy", np.full((3, 2), 0.5))
    np.save("line.npy", np.arange(4))
    sparse.save_npz("probs.npz", sparse.csr_array([[0.5, 0.5], [1.0, 0.0]]))
    np.savez("two.npz", a=np.ones(2), b=np.ones(2))
    np.save("objects.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    mb.DirichletMixture([1.0], [[1.0, 2.0]]).save("prior.st")
    mb.DirichletMixture([1.0], [[1.0, 2.0]], tokens=("h", "t")).save("named.st")
    mb.NextTokenRows(np.log([[0.5, 0.5]]), tokens=("h", "t")).save("kept.safetensors")
    mb.TransitionMatrix(1, n_tokens=3).update([0, 1, 2]).save("m.st")
    mb.TransitionMatrix(2, n_tokens=3).update([0, 1, 2, 1]).save("m2.st")
    Path("h.txt").write_text("h t\nx\n")
    Path("json.txt").write_text("[0, 1]\n[0, \n")
    Path("tabs.txt").write_text("Sky:\tred\nFire: blue\nSun:\n")
    Path("alone.txt").write_text("Sky:\tred\n")
    np.save("words.npy", np.array([["a", "b"]]))
    np.savez("words.npz", np.array([["a", "b"]]))
    Path("one.txt").write_text("h\n")
    Path("ht.txt").write_text("h\nt\n")
    np.save("none.npy", np.zeros(0, dtype=np.int64))
    Path("brace.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{notjso}")
    Path("short.npz").write_bytes(b"PK")
    Path("folder.npy").mkdir()
    Path("model").mkdir()
    Path("model", "config.json").write_text("{}")


COLLECT = ("collect", "--prompts=good.txt")
PREDICTED = ("elicit", "--predictions=kept.safetensors")
CASES = [
    (("collect", "--prompts=nowhere.txt"), "cannot read prompts file nowhere.txt: No such file"),
    (("collect", "--prompts=folder"), "cannot read prompts file folder: Is a directory"),
    (("collect", "--prompts=empty.txt"), "empty.txt is empty"),
    (("collect", "--prompts=latin1.txt"), "latin1.txt, line 2: not UTF-8 (byte 6)"),
    (("collect", "--prompts=utf16.txt"), "utf16.txt, line 1: a NUL byte"),
    (("collect", "--prompts=binary.txt"), "binary.txt, line 2: a NUL byte"),
    (("preflight", "--prompts=nowhere.txt"), "cannot read prompts file nowhere.txt"),
    ((*COLLECT, "--positions=continuation"), "line 1: write context<TAB>continuation"),
    (("collect", "--prompts=empty.txt", "--positions=continuation"), "it needs one pair a line"),
    ((*COLLECT, "--vocab=broken.json"), "vocab file broken.json is not JSON"),
    ((*COLLECT, '--vocab={"a": ["x"}'), "--vocab is not JSON"),
    ((*COLLECT, "--vocab=nowhere.json"), "no such file, and not a group"),
    ((*COLLECT, "--vocab=a=x"), "at least two answer groups"),
    ((*COLLECT, "--vocab=a=x", "--vocab=b=x"), "is in 'a' and 'b'"),
    ((*COLLECT, "--out=there.st"), "there.st exists: --overwrite replaces it"),
    ((*COLLECT, "--out=folder"), "--out folder is a folder"),
    ((*COLLECT, "--out="), "is a folder; give the path of a file"),
    ((*COLLECT, "--out=no/where.st"), "there is no folder no"),
    ((*COLLECT, "--out=good.txt/x.st"), "there is no folder good.txt"),
    ((*COLLECT, "--cache-dir=good.txt"), "--cache-dir good.txt is a file"),
    ((*COLLECT, "--cache-dir=k", "--layers=all"), "leave out one of the two"),
    ((*COLLECT, "--layers=all", "--out=rows.st"), "rows.layer0.st exists: --overwrite"),
    ((*COLLECT, "--vocab=list.json"), "vocab file list.json must be an object like"),
    ((*COLLECT, "./nowhere"), "no model folder ./nowhere"),
    (("collect", "folder", "--prompts=good.txt"), "holds no config.json"),
    (("study", "--prompts=nowhere.txt"), "cannot read prompts file nowhere.txt"),
    (("study", "./nowhere"), "no model folder ./nowhere"),
    (("study", "--out=good.txt"), "cannot write to --out good.txt"),
    (("fit", "nowhere.csv"), "cannot read rows nowhere.csv: No such file"),
    (("fit", "nowhere.npy"), "cannot read rows nowhere.npy"),
    (("fit", "nowhere.safetensors"), "cannot read rows nowhere.safetensors"),
    (("fit", "good.txt"), "the name must end in one of .safetensors"),
    (("fit", "empty.csv"), "cannot read rows empty.csv"),
    (("fit", "header.csv"), "needs a header and a row"),
    (("fit", "ragged.csv"), "ragged.csv, line 4: 1 columns, and the header has 2"),
    (("fit", "words.csv"), "words.csv, line 3, column 'b': 'many' is no finite number"),
    (("fit", "nan.csv"), "nan.csv, line 3, column 'b': 'nan' is no finite number"),
    (("fit", "headless.csv"), "line 1: a header with the names of the columns is missing"),
    (("fit", "twice.csv"), "line 1: the column 'a' is there twice"),
    (("fit", "quote.csv"), "quote.csv, line "),
    (("fit", "float.npy"), "say what the numbers are, --kind"),
    (("fit", "probs.csv"), "probs.csv: say what the numbers are, --kind"),
    (("fit", "probs.npz"), "probs.npz: say what the numbers are, --kind"),
    (("fit", "counts.csv", "--zeros=error", "--kind=probs"), "1"),
    (("fit", "line.npy"), "has shape (4,); rows are (N, V)"),
    (("fit", "short.npy"), "is no array that can be read"),
    (("fit", "objects.npy"), "is no array that can be read"),
    (("fit", "two.npz"), "neither sparse nor one array"),
    (("fit", "short.npz"), "short.npz is no archive that can be read"),
    (("fit", "folder.npy"), "cannot read rows folder.npy: Is a directory"),
    (("fit", "brace.safetensors"), "it has no header of this package"),
    (("fit", "words.npy"), "rows words.npy holds no numbers: <U1"),
    (("fit", "words.npz"), "rows words.npz holds no numbers: <U1"),
    (("fit", "junk.safetensors"), "it has no header of this package"),
    (("fit", "kept.safetensors", "--kind=probs"), "leave --kind out"),
    (("fit", "kept.safetensors", "--n-components=5"), "5"),
    (("fit", "counts.csv", "--out=there.st"), "there.st exists"),
    (("fit", "counts.csv", "--criterion=held_bits"), "needs --resolution"),
    (("fit", "counts.csv", "--criterion=cv", "--resolution=5"), "leave --criterion out"),
    (("elicit", "--sequences=nowhere.txt"), "cannot read sequences file nowhere.txt"),
    (("elicit", "--sequences=empty.txt"), "sequences file empty.txt is empty"),
    (("elicit", "--sequences=good.txt", "--family=markof"), "family='markof' does not exist"),
    (
        ("elicit", "--sequences=good.txt", "--vocab=a=red", "--vocab=b=pink"),
        "sequences file good.txt, line 2: the answer 'blue' is in no vocab group",
    ),
    (
        ("elicit", "--shots=good.txt", "--vocab=a=red", "--vocab=b=pink"),
        "shots file good.txt, line 2: the answer 'blue' is in no vocab group",
    ),
    (("elicit", "--shots=empty.txt"), "shots file empty.txt is empty"),
    (("elicit", "--shots=tabs.txt"), "tabs.txt, line 2: no tab between input and answer"),
    (("elicit", "--shots=alone.txt"), "alone.txt, line 1: no demonstration"),
    (("elicit", "--sequences=good.txt", "--histories=h.txt"), "go with --predictions"),
    (PREDICTED, "--predictions need --histories"),
    ((*PREDICTED, "--histories=h.txt"), "h.txt, line 2: 'x' is neither the number nor the name"),
    (
        (*PREDICTED, "--histories=one.txt", "--groups=good.txt"),
        "groups file good.txt has 2 lines for 1 histories",
    ),
    (
        (*PREDICTED, "--histories=ht.txt"),
        "2 histories in ht.txt and 1 predictions in kept.safetensors",
    ),
    ((*PREDICTED, "--histories=json.txt"), "histories json.txt, line 2 is not JSON"),
    ((*PREDICTED, "--histories=float.npy"), "float64 of shape (3, 2), not tokens"),
    ((*PREDICTED, "--histories=good.txt", "--vocab=a=x"), "no MODEL and no --vocab"),
    (("elicit", "--predictions=float.npy", "--histories=h.txt"), "--kind probs"),
    (("elicit", "--sequences=good.txt", "--out=there.st"), "there.st exists"),
    (("test", "--prior=nowhere.st"), "cannot read prior nowhere.st"),
    (("test", "--prior=kept.safetensors"), "is not a 'matrixbayes.prior' file"),
    (("test", "--prior=prior.st"), "the prior has no names of tokens: give --tokens"),
    (("test", "--prior=named.st", "--tokens=a,b,c"), "--tokens has 3 names and the prior 2"),
    (("test", "--prior=named.st", "--null=good.txt"), "good.txt"),
    (("test", "./nowhere"), "no model folder ./nowhere"),
    (("test", "model"), "a model of your own needs --prior FILE"),
    (("matrix", "build", "nowhere.txt", "--order=1"), "cannot read text nowhere.txt"),
    (("matrix", "build", "latin1.txt", "--order=1"), "text latin1.txt, line 2: not UTF-8"),
    (("matrix", "build", "binary.txt", "--order=1"), "text binary.txt, line 2: a NUL byte"),
    (("matrix", "build", "empty.txt", "--order=1"), "empty.txt: there is no text"),
    (("matrix", "build", "-", "-", "--order=1"), "standard input can be read once"),
    (("matrix", "build", "good.txt", "line.npy", "--order=1"), "give one kind"),
    (("matrix", "build", "float.npy", "--order=1"), "are no token ids"),
    (("matrix", "build", "line.npy", "--order=1", "--n-tokens=2"), "2"),
    (("matrix", "build", "good.txt", "--order=1", "--tokenizer=nowhere"), "neither words nor"),
    (("matrix", "build", "good.txt", "--order=1", "--tokenizer=folder"), "without a tokenizer"),
    (("matrix", "build", "good.txt", "--order=tree", "--hierarchical"), "is no hierarchy"),
    (("matrix", "build", "good.txt", "--order=1", "--depth=3"), "are of --order tree"),
    (("matrix", "build", "good.txt", "--order=1", "--n-tokens=3"), "of token ids"),
    (("matrix", "build", "line.npy", "--order=1", "--max-tokens=3"), "of texts, not token ids"),
    (("matrix", "build", "good.txt", "--order=1", "--documents"), "goes with --discounts"),
    (("matrix", "build", "good.txt", "--order=1", "--n-components=2"), "goes with --fit-prior"),
    (("matrix", "build", "good.txt", "--order=1", "--out=there.st"), "there.st exists"),
    (("matrix", "build", "good.txt", "--order=1", "--prior=nowhere.st"), "cannot read prior"),
    (
        ("matrix", "build", "good.txt", "--order=1", "--freeze", "--discount=0.5"),
        "what fades has real counts, which are not frozen",
    ),
    (("matrix", "score", "m.st", "none.npy"), "none.npy: there are no tokens to score"),
    (("matrix", "score", "nowhere.st", "good.txt"), "cannot read matrix nowhere.st"),
    (("matrix", "score", "m.st", "nowhere.txt"), "cannot read text nowhere.txt"),
    (("matrix", "score", "prior.st", "line.npy"), "is not a 'matrixbayes.matrix' file"),
    (("matrix", "score", "m.st", "line.npy"), "3"),
    (("matrix", "query", "m.st", "cat"), "'cat': this matrix has no names of tokens"),
    (("matrix", "query", "junk.safetensors", "1"), "junk.safetensors"),
    (("matrix", "merge", "m.st"), "two or more are merged"),
    (("matrix", "merge", "m.st", "prior.st"), "prior.st is no matrix"),
    (("matrix", "merge", "m.st", "m2.st"), "these do not merge"),
    (("matrix", "merge", "m.st", "m.st", "--weight=0.5"), "weight"),
    (("show", "nowhere"), "cannot read file nowhere"),
    (("show", "folder"), "folder is a folder"),
    (("show", "good.txt"), "is neither a safetensors file nor"),
    (("show", "empty.txt"), "is neither a safetensors file nor"),
    (("show", "junk.safetensors"), "is neither a safetensors file nor"),
]


@pytest.mark.parametrize(("arguments", "message"), CASES)
def test_what_is_wrong_is_one_line(
    arguments: tuple[str, ...], message: str, refused: Refused, recwarn
) -> None:
    _files()
    assert message in refused(*arguments)


PACKERS = ("ZIP_DEFLATED", "ZIP_BZIP2", "ZIP_LZMA", "ZIP_ZSTANDARD")


@pytest.mark.parametrize("packer", [name for name in PACKERS if hasattr(zipfile, name)])
def test_archives_whose_packed_bytes_are_wrong(packer: str, refused: Refused) -> None:
    """Each packer has an error of its own."""
    packed = zipfile.ZipFile("packed.npz", "w", getattr(zipfile, packer))
    with packed, packed.open("a.npy", "w") as file:
        np.save(file, np.random.default_rng(0).random((9, 9)))
    found = bytearray(Path("packed.npz").read_bytes())
    found[50:150] = b"\xff" * 100
    Path("packed.npz").write_bytes(found)
    assert "packed.npz is no archive that can be read" in refused("fit", "packed.npz")


def test_archives_that_would_be_traps(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    """SciPy takes them unseen, and crashes or asks for all memory."""
    good: dict[str, Any] = {"format": "csr", "shape": [2, 2], "data": [1, 2]}
    good |= {"indices": [0, 1], "indptr": [0, 1, 2]}
    cases = [
        ({"shape": [2, 2, 2]}, "its shape is [2, 2, 2], and not two numbers"),
        ({"shape": [2**31, 2]}, "its shape is 2,147,483,648 x 2"),
        ({"shape": [-1, 2]}, "its shape is -1 x 2"),
        ({"indptr": [0, 2, 0]}, "its rows do not begin one behind the other"),
    ]
    for changes, message in cases:
        np.savez("trap.npz", **{**good, **changes})
        assert message in refused("fit", "trap.npz")
    with zipfile.ZipFile("short.npz", "w") as archive, archive.open("a.npy", "w") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (1000, 1000)}
        np.lib.format.write_array_header_1_0(file, header)
    assert "'a.npy' has not the (1000, 1000) numbers that it says" in refused("fit", "short.npz")
    monkeypatch.setattr("matrixbayes._base.saving.unpacked.FREE", 1 << 16)
    np.savez_compressed("zeros.npz", a=np.zeros((1 << 15, 32)))
    assert "'a.npy' unpacks to 8,388,736 bytes" in refused("fit", "zeros.npz")


@pytest.mark.parametrize("missing", ["transformers", "tokenizers"])
def test_without_transformers_it_says_how_to_get_it(
    missing: str, capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _files()
    for name in (missing, f"{missing}.utils"):
        monkeypatch.setitem(sys.modules, name, None)
    build = ("matrix", "build", "good.txt", "--order=1", "--tokenizer=list.json")
    assert main(list(COLLECT if missing == "transformers" else build)) == 2
    said = "models need torch" if missing == "transformers" else "tokenizers need transformers"
    assert capsys.readouterr().err == f"matrixbayes: {said}: pip install 'matrixbayes[hf]'\n"


def test_a_broken_tokenizer(refused: Refused) -> None:
    pytest.importorskip("tokenizers")
    _files()
    said = refused("matrix", "build", "good.txt", "--order=1", "--tokenizer=list.json")
    assert said.startswith("matrixbayes: --tokenizer list.json: ")


def test_json_holds_paths_and_nothing_unknown() -> None:
    assert answers.plain({"file": Path("a", "b"), 3: [float("inf")]}) == {
        "file": "a/b",
        "3": [None],
    }
    with pytest.raises(TypeError, match="object is nothing that JSON holds"):
        answers.plain(object())


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "there is not enough memory"),
        (MemoryError("8 TB"), "8 TB"),
        (OSError(28, "No space left on device", "x.st"), "No space left on device: x.st"),
        (OSError("the disk is gone"), "the disk is gone"),
    ],
)
def test_what_the_system_says_is_the_users_to_mend(error: Exception, says: str) -> None:
    with pytest.raises(UsageError) as caught, answers.mendable():
        raise error
    assert str(caught.value) == says


def test_a_folder_that_is_not_writable(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    _files()
    monkeypatch.setattr(os, "access", lambda *a, **k: False)
    assert "folder folder is not writable" in refused(*COLLECT, "--out=folder/x.st")


def test_an_overwritten_file_is_replaced_at_the_end(refused: Refused, capsys) -> None:
    _files()
    assert main(["fit", "counts.csv", "--n-components=1", "--out=there.st", "--overwrite"]) == 0
    assert mb.DirichletMixture.load("there.st").tokens == ("a", "b")
    assert main(["fit", "ragged.csv", "--out=there.st", "--overwrite"]) == 2
    assert mb.DirichletMixture.load("there.st").tokens == ("a", "b")


def test_an_error_says_where_it_came_from_if_asked(refused: Refused) -> None:
    with pytest.raises(inputs.UsageError):
        main(["fit", "nowhere.csv", "--traceback"])


def test_what_is_unexpected_is_a_traceback(refused: Refused, monkeypatch) -> None:
    _files()

    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("matrixbayes.estimator.select_prior", fail)
    with pytest.raises(RuntimeError):
        main(["fit", "counts.csv"])


def test_a_device_that_is_not_there(capsys, tmp_path: Path, monkeypatch) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    _files()
    for name in ("mps", f"cuda:{torch.cuda.device_count()}"):
        if name == "mps" and torch.backends.mps.is_available():
            continue
        assert main([*COLLECT, "--device", name]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"matrixbayes: there is no device {name}: ")
        assert err.count("\n") == 1
    assert all(name == "auto" or hasattr(torch, name) for name in DTYPES)


def test_stopping(refused: Refused, capsys, monkeypatch) -> None:
    _files()

    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("matrixbayes.estimator.select_prior", stop)
    assert main(["fit", "counts.csv"]) == 130
    assert capsys.readouterr().err == "matrixbayes: stopped; nothing was written\n"
    assert not Path("prior.safetensors").exists()


def test_stopping_while_the_answer_is_printed(refused: Refused, capsys, monkeypatch) -> None:
    _files()

    def stop(lines: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("matrixbayes.cli.program.write", stop)
    assert main(["fit", "counts.csv", "--n-components=1", "--quiet"]) == 130
    assert capsys.readouterr().out == ""


def test_stopping_keeps_what_is_in_a_cache(refused: Refused, capsys, monkeypatch) -> None:
    _files()

    def stop(options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("matrixbayes.cli.commands.collect.loaded", stop)
    assert main([*COLLECT, "--cache-dir", "kept"]) == 130
    said = "matrixbayes: stopped; kept keeps the rows that were finished\n"
    assert capsys.readouterr().err == said


def test_no_progress_where_nobody_looks(refused: Refused, capsys, monkeypatch) -> None:
    _files()
    assert main(["fit", "counts.csv", "--n-components=1", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "... " not in err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(["fit", "counts.csv", "--n-components=1", "--json", "--out=b.st"]) == 0
    again, err = capsys.readouterr()
    assert "... fitting priors to 2 rows of 2 columns\n" in err
    assert json.loads(again)["components"] == json.loads(out)["components"]
    assert main(["fit", "counts.csv", "--n-components=1", "--out=c.st", "--quiet"]) == 0
    assert "... " not in capsys.readouterr().err
