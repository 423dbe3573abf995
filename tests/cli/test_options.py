"""Options of the command line: Python's names and defaults, values that are refused, completion."""

from __future__ import annotations

import argparse
import inspect
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import matrixbayes as mb
from matrixbayes.cli import main, options
from matrixbayes.cli.commands import study as study_command
from matrixbayes.cli.program import STATUS, parser

# What the command line has beside the parameters of functions.
EVERYWHERE = {"help", "json", "quiet", "traceback", "out", "overwrite", "top"}
OWN = {
    "study": set(),
    "collect": {"device", "dtype", "download", "n_jobs"},
    "fit": set(),
    "elicit": {"device", "dtype", "download", "shots"},
    "test": {"device", "dtype", "download", "n_jobs", "prior"},
    "matrix build": {"freeze", "fit_prior", "documents"},
    "matrix score": {"matrix", "tokenizer", "scores", "text"},
    "matrix query": {"matrix", "context", "tokenizer"},
    "matrix merge": {"matrix", "freeze"},
    "matrix generate": {"matrix", "tokenizer"},
    "show": {"file"},
    "preflight": {"device", "dtype", "download", "n_jobs"},
    "completion": {"shell"},
}
UNTOLD = {"study": {"vocab"}}  # lists that options gather


def functions(name: str) -> list[Callable[..., Any]]:
    """What a command stands for."""
    from matrixbayes.study import study

    matrix = mb.TransitionMatrix
    return {
        "study": [study],
        "collect": [mb.collect],
        "fit": [mb.select_prior, mb.DirichletMixtureEstimator],
        "elicit": [mb.elicit, mb.elicit_prior],
        "test": [mb.score_card],
        "matrix build": [matrix.from_text, matrix, matrix.update, matrix.fit_prior],
        "matrix score": [matrix.scores],
        "matrix query": [matrix.predict],
        "matrix merge": [matrix.merge],
        "matrix generate": [matrix.generate],
        "preflight": [mb.preflight],
    }.get(name, [])


def parsers(
    found: argparse.ArgumentParser | None = None, name: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command by its whole name."""
    found = parser() if found is None else found
    inner = [a for a in found._actions if isinstance(a, argparse._SubParsersAction)]
    if not inner:
        yield name, found
    for action in inner:
        for word, each in action.choices.items():
            yield from parsers(each, f"{name} {word}".strip())


COMMANDS = dict(parsers())


def test_every_command_is_listed() -> None:
    assert COMMANDS.keys() == OWN.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_names_and_defaults_are_those_of_python(name: str) -> None:
    if name in ("collect", "preflight", "elicit"):
        pytest.importorskip("torch")
    known: dict[str, Any] = {}
    for function in reversed(functions(name)):
        known |= {n: p.default for n, p in inspect.signature(function).parameters.items()}
    compared = 0
    for action in COMMANDS[name]._actions:
        if action.dest in EVERYWHERE | OWN[name]:
            continue
        assert action.dest in known, f"{name}: no function has {action.dest}"
        default = known[action.dest]
        if default is not inspect.Parameter.empty:
            assert action.default == default, action.dest
            assert type(action.default) is type(default) or action.default == default
            compared += 1
        named = [o for o in action.option_strings if o.startswith("--")]
        if named:
            assert f"--{action.dest.replace('_', '-')}" in named, action.dest
    assert compared > 3 or name not in ("study", "collect", "fit", "elicit", "test", "preflight")


def test_words_of_options_are_those_of_the_library() -> None:
    from matrixbayes.estimator.selection import CRITERIA
    from matrixbayes.estimator.starts import INITS
    from matrixbayes.sources.names import TIES
    from matrixbayes.study.fitted import RESOLUTIONS

    def choices(name: str, dest: str) -> set[str]:
        (action,) = (a for a in COMMANDS[name]._actions if a.dest == dest)
        assert action.choices
        return {*action.choices}

    assert choices("fit", "criterion") == {*CRITERIA}
    assert choices("fit", "init") == {*INITS}
    assert choices("elicit", "tie") == {*TIES}
    assert study_command.RESOLUTIONS == RESOLUTIONS


@pytest.mark.parametrize("name", COMMANDS)
def test_help_tells_of_every_option_and_every_key(name: str, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*name.split(), "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for action in COMMANDS[name]._actions:
        assert all(word in text for word in action.option_strings)
        assert action.help
        assert action.metavar is None or action.metavar in text
    assert max(map(len, text.splitlines())) <= 100
    told = " ".join(text.split())
    assert all(f"{key}," in told for key in COMMANDS[name].get_default("keys"))


def test_the_statuses_are_in_the_help(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(f"  {number:<4} {words}" in text for number, words in STATUS.items())
    assert {*STATUS} == {0, 1, 2, 130, 141}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "x.csv", "--tol", "soon"], "'soon' is not a number"),
        (["fit", "x.csv", "--tol", "nan"], "must be at least 0"),
        (["fit", "x.csv", "--tol", "inf"], "must be at least 0"),
        (["fit", "x.csv", "--max-concentration=0"], "must be above 0"),
        (["fit", "x.csv", "--max-iter", "0"], "0 must be at least 1"),
        (["fit", "x.csv", "--max-iter", "1.5"], "'1.5' is not a whole number"),
        (["fit", "x.csv", "--n-components", "4:1"], "'4:1': write a range"),
        (["fit", "x.csv", "--n-components", "0:3"], "'0:3': write a range"),
        (["fit", "x.csv", "--n-components", "1:999999"], "write a range"),
        (["fit", "x.csv", "--criterion", "bics"], "invalid choice: 'bics'"),
        (["fit", "x.csv", "--jobs", "0"], "0 must be at least 1"),
        (["study", "--seed=-1"], "--seed: -1 must be at least 0"),
        (["study", "--jobs", "many"], "--jobs: 'many' is not a whole number"),
        (["study", "--jobs", "0"], "--jobs: 0 must be at least 1"),
        (["study", "--resolution", "fine"], "'fine' is not a whole number, nor best or density"),
        (["study", "--resolution", "0"], "0 must be at least 1, nor best"),
        (["collect", "--prompts", "x", "--device", "cdua"], "'cdua' is no device"),
        (["collect", "--prompts", "x", "--dtype", "float31"], "invalid choice: 'float31'"),
        (["collect", "--prompts", "x", "--positions", "first"], "write whole numbers like"),
        (["collect", "--prompts", "x", "--layers", "0,x"], "write whole numbers like"),
        (["collect", "--prompts", "x", "--max-memory", "lots"], "write bytes"),
        (["elicit", "--sequences", "x", "--family", "iid,"], "a word is missing"),
        (["elicit", "--discount", "none"], "'none' is not a number, nor fit"),
        (["elicit"], "--sequences --shots --predictions is required"),
        (["matrix", "build", "x", "--order", "17"], "17 must be from 1 to 16, nor tree"),
        (["matrix", "build", "x"], "required: --order"),
        (["matrix"], "required: COMMAND"),
        (["studdy"], "invalid choice: 'studdy'"),
        ([], "required: COMMAND"),
        (["completion", "fish"], "invalid choice: 'fish'"),
    ],
)
def test_wrong_values_are_one_line(arguments: list[str], message: str, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("matrixbayes: ")
    assert err.count("\n") == 1
    assert "--help" in err
    assert message in err


def test_values() -> None:
    assert options.sizes("1:4") == [1, 2, 3, 4]
    assert options.sizes("4,1,4") == [4, 1]
    assert options.sizes("3") == [3]
    assert options.words("iid") == "iid"
    assert options.words("iid, markov") == ["iid", "markov"]
    assert options.integers("0, -1") == [0, -1]
    assert [options.size(t) for t in ("12", "3kB", "1.5MB", "2 GB")] == [
        12,
        3000,
        1500000,
        2 * 10**9,
    ]
    assert options.device("cuda:1") == "cuda:1"
    assert options.n_jobs("-1") == -1


# ---------------------------------------------------------------------------
# Completion
# ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("shtab")
    if not shutil.which("bash"):
        pytest.skip("no bash here")
    folder = tmp_path_factory.mktemp("completion")
    (folder / "rows.safetensors").touch()
    (folder / "prompts.txt").touch()
    import contextlib
    import io

    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        assert main(["completion", "bash"]) == 0
    (folder / "completion.bash").write_text(written.getvalue())
    return folder / "completion.bash"


def completed(script: Path, *words: str) -> set[str]:
    """What bash offers for the last of the words."""
    code = (
        f"source {script}; COMP_WORDS=(matrixbayes {' '.join(map(repr, words))}); "
        f"COMP_CWORD={len(words)}; _shtab_matrixbayes; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(
        ["bash", "-c", code], capture_output=True, text=True, cwd=script.parent, check=True
    )
    return {*done.stdout.split()}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ma"], {"matrix"}),
        (["matrix", ""], {"build", "score", "query", "merge", "generate"}),
        (["matrix", "build", "--hi"], {"--hierarchical"}),
        (["fit", "--criterion", "l"], {"log_evidence"}),
        (["collect", "--dtype", "b"], {"bfloat16"}),
        (["collect", "--prompts", "pro"], {"prompts.txt"}),
        (["fit", "ro"], {"rows.safetensors"}),
        (["elicit", "--n-b"], {"--n-boot"}),
        (["completion", "z"], {"zsh"}),
    ],
)
def test_bash_completes(script: Path, words: list[str], offered: set[str]) -> None:
    assert offered <= completed(script, *words)


def test_the_script_for_zsh_knows_commands_and_files(capsys) -> None:
    pytest.importorskip("shtab")
    assert main(["completion", "zsh"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("#compdef matrixbayes")
    for word in ("matrix", "build", "--n-components", "log_evidence", "_files"):
        assert word in text
    if shutil.which("zsh"):
        subprocess.run(["zsh", "-n"], input=text, text=True, check=True)


def test_completion_as_json(capsys) -> None:
    pytest.importorskip("shtab")
    assert main(["completion", "zsh", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["command"] == "completion"
    assert found["script"].startswith("#compdef matrixbayes")


def test_without_shtab_it_says_what_to_install(capsys, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    said = "matrixbayes: completion needs shtab: pip install 'matrixbayes[completion]'\n"
    assert capsys.readouterr().err == said
