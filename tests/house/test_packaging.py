"""What builds, publishes and answers: one version, workflows that find their commands, forms.

Nothing is built here: `.ci/run` makes the wheel and tests it.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from house.graph import found

import matrixbayes as mb

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
WORKFLOWS = found(ROOT / ".github/workflows", "*.yml")
FORMS = [file for file in found(ROOT / ".github/ISSUE_TEMPLATE", "*.yml") if file.stem != "config"]
CHANGES = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")


def text_of(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def yaml_of(file: Path) -> Any:
    """What a file holds; ``on`` of a workflow is a word there, and True in YAML 1.1."""
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load(file.read_text("utf-8"))


# --- one version


def test_the_version_is_one() -> None:
    version = PROJECT["project"]["version"]
    assert mb.__version__ == version
    assert re.search(rf"^version: {re.escape(version)}$", text_of("CITATION.cff"), re.MULTILINE)
    assert f'version: "{version}"' in text_of("conda/recipe.yaml")
    releases = re.findall(r"^## \[(\d[^\]]*)\]", text_of("CHANGELOG.md"), re.MULTILINE)
    assert releases[0] == version
    date = re.search(r"^date-released: (.*)$", text_of("CITATION.cff"), re.MULTILINE)
    assert date
    assert f"## [{version}] - {date[1]}\n" in text_of("CHANGELOG.md")
    assert ".".join(version.split(".")[:2]) in text_of("SECURITY.md")


def test_the_changelog_has_its_form() -> None:
    """That of Keep a Changelog 1.1.0."""
    lines = text_of("CHANGELOG.md").splitlines()
    assert lines[0] == "# Changelog"
    headings = [line for line in lines if line.startswith("## ")]
    assert headings[0] == "## [Unreleased]"
    dated = [re.fullmatch(r"## \[\d+\.\d+\.\d+\] - (\d{4}-\d\d-\d\d)", h) for h in headings[1:]]
    assert all(dated)
    dates = [match[1] for match in dated if match]
    assert dates == sorted(dates, reverse=True)
    section: list[str] = []
    for line in lines:
        if line.startswith("## "):
            section = []
        elif line.startswith("### "):
            section.append(line[4:])
            assert section == [name for name in CHANGES if name in section], section


# --- the recipe


def test_the_recipe_asks_for_what_the_project_asks_for() -> None:
    recipe = yaml_of(ROOT / "conda/recipe.yaml")
    needs = recipe["requirements"]
    mine = {re.sub(r" ", "", need) for need in needs["run"] if not need.startswith("python ")}
    assert mine == {*PROJECT["project"]["dependencies"]}
    build = {re.sub(r" ", "", need) for need in needs["host"]} - {"python", "pip"}
    assert build == {*PROJECT["build-system"]["requires"]}
    assert f">={recipe['context']['python_min']}" == PROJECT["project"]["requires-python"]
    ((name, entry),) = PROJECT["project"]["scripts"].items()
    assert recipe["build"]["python"]["entry_points"] == [f"{name} = {entry}"]
    assert recipe["about"]["summary"] == PROJECT["project"]["description"]
    assert recipe["about"]["license"] == PROJECT["project"]["license"]


# --- wheels


def minors(words: list[str]) -> set[str]:
    return {word.rpartition(".")[2] for word in words if re.search(r":: 3\.\d+$", word)}


def test_wheels_are_built_for_what_the_project_names() -> None:
    wheels = PROJECT["tool"]["cibuildwheel"]
    stable = {match[1] for name in wheels["build"] if (match := re.fullmatch(r"cp3(\d+)-\*", name))}
    free = {name for name in wheels["build"] if re.fullmatch(r"cp3\d+t-\*", name)}
    assert stable == minors(PROJECT["project"]["classifiers"])
    assert free
    assert len(stable) + len(free) == len(wheels["build"])
    groups = PROJECT["dependency-groups"]
    assert {*wheels["test-groups"]} <= groups.keys()
    (test,) = wheels["test-command"]
    assert all((ROOT / path).exists() for path in re.findall(r"\{project\}/(\S+)", test))
    tags = [word for word in PROJECT["project"]["classifiers"] if "Operating System" in word]
    assert wheels["windows"]["skip"] == ["*"]
    assert not any("Windows" in tag for tag in tags)


@pytest.mark.no_sanitizer
@pytest.mark.parametrize("platform", ["linux", "macos"])
def test_cibuildwheel_reads_its_table(platform: str) -> None:
    if not find_spec("cibuildwheel"):
        pytest.skip("cibuildwheel is not installed")
    line = [sys.executable, "-m", "cibuildwheel", "--print-build-identifiers"]
    done = subprocess.run(
        [*line, "--platform", platform, "--archs", "all" if platform == "linux" else "arm64"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("CIBW_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    named = done.stdout.split()
    for build in PROJECT["tool"]["cibuildwheel"]["build"]:
        assert [name for name in named if name.startswith(build.rstrip("*"))], build


def test_the_lines_that_msvc_does_not_take_are_still_there() -> None:
    """Why there is no wheel for Windows; without them there could be one."""
    assert "#include <dlfcn.h>" in text_of("csrc/bind/mem_python.c")
    assert 'compiler_type == "msvc"' in text_of("setup.py")


# --- workflows


def steps(file: Path) -> list[dict[str, Any]]:
    jobs = yaml_of(file)["jobs"]
    assert jobs
    return [step for job in jobs.values() for step in job["steps"]]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_runs_what_is_there(file: Path) -> None:
    """Targets of make, scripts, groups and modules that its commands name."""
    goals = set(re.findall(r"^([a-z][\w-]*):", text_of("Makefile"), re.MULTILINE))
    groups = PROJECT["dependency-groups"]
    run = [line for step in steps(file) for line in step.get("run", "").splitlines()]
    assert run
    for line in run:
        words = line.split()
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= goals, line
        elif "/" in words[0]:
            assert os.access(ROOT / words[0], os.X_OK), line
        else:
            assert words[0] in ("python", "ls"), line
        for option, name in pairwise(words):
            if option == "--group":
                assert name in groups, line
            if option == "-m" and words[0] == "python" and name != "pip":
                assert any(re.match(rf"{name}\b", need) for need in named(groups)), line


def named(groups: dict[str, Any]) -> list[str]:
    return [need for group in groups.values() for need in group if isinstance(need, str)]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_may_do_little(file: Path) -> None:
    """It reads; what publishes alone may ask for an identity, and there is no secret."""
    content = yaml_of(file)
    assert content["permissions"] == {"contents": "read"}
    asked = {name: job.get("permissions") for name, job in content["jobs"].items()}
    more = {name: permissions for name, permissions in asked.items() if permissions}
    assert more == ({"publish": {"id-token": "write"}} if file.stem == "wheels" else {})
    assert "secrets." not in file.read_text("utf-8")
    used = {step["uses"].partition("@")[0] for step in steps(file) if "uses" in step}
    assert all(name.split("/")[0] in ("actions", "pypa") for name in used)


def test_every_gate_has_its_place_in_the_workflow() -> None:
    run = {step["run"] for step in steps(ROOT / ".github/workflows/tests.yml") if "run" in step}
    assert {"make lint", "make sanitize", ".ci/run"} <= run


@pytest.mark.parametrize("file", FORMS, ids=lambda file: file.stem)
def test_a_form_asks_for_what_an_answer_needs(file: Path) -> None:
    form = yaml_of(file)
    fields = [each for each in form["body"] if each["type"] != "markdown"]
    asked = {each["id"]: each for each in fields}
    assert len(asked) == len(fields)
    assert "version" in asked
    assert any(each.get("validations", {}).get("required") for each in asked.values())
    for code in re.findall(r'python -c "(.*?)"', file.read_text("utf-8")):
        ast.parse(code)


def test_what_forms_name_is_there() -> None:
    pages = re.findall(r"[\w/]+\.md", "".join(file.read_text("utf-8") for file in FORMS))
    assert pages
    assert all((ROOT / page).is_file() for page in pages)


def test_schemas_of_the_forge(capsys: pytest.CaptureFixture[str]) -> None:
    """That of workflows and of forms, which the checker brings along."""
    checker = pytest.importorskip("check_jsonschema")
    config = ROOT / ".github/ISSUE_TEMPLATE/config.yml"
    for kind, files in [
        ("github-workflows", WORKFLOWS),
        ("github-issue-forms", FORMS),
        ("github-issue-config", [config]),
    ]:
        with pytest.raises(SystemExit) as done:
            checker.main(["--builtin-schema", f"vendor.{kind}", *map(str, files)])
        assert done.value.code == 0, capsys.readouterr()


# --- what SECURITY.md promises


def test_the_page_of_security_names_what_there_is() -> None:
    page = text_of("SECURITY.md")
    for name in ("from_openai", "from_vllm", "LogitsFile", "read_arpa"):
        assert f"`{name}`" in page
        assert hasattr(mb, name)
    sources = found(ROOT / "matrixbayes", "**/*.py")
    texts = "".join(file.read_text("utf-8") for file in sources)
    assert "trust_remote_code" not in texts
    assert not re.search(r"\b(pickle|marshal)\.loads?\(|(?<![.\w])(eval|exec)\(", texts)
