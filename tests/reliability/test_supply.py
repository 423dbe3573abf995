"""What the package is made of, asks for, and asks from others: the supply chain.

`make reproducible` builds twice and compares, `make lowest` runs the tests on the lowest versions.
"""

from __future__ import annotations

import ast
import json
import os
import re
import socket
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from house.graph import found
from offline import OFFLINE
from tiers import of_tier

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

pytestmark = [pytest.mark.promise(23), pytest.mark.no_sanitizer]


def python(code: str, *arguments: object, cwd: Path = ROOT, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- the bill of materials

WRITE_BILL = """
import sys
from pathlib import Path
from setuptools.dist import Distribution
import distutils.core
built = distutils.core.run_setup("setup.py", ["--quiet"], stop_after="commandline")
command = built.get_command_obj("bdist_wheel")
command.bdist_dir = sys.argv[1]
command.ensure_finalized()
folder = Path(sys.argv[1]) / "x.dist-info"
folder.mkdir()
command.write_wheelfile(str(folder))
"""


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of the wheel that is tested, or as a build would write it."""
    if given := os.environ.get("MATRIXBAYES_WHEEL"):
        with zipfile.ZipFile(given) as wheel:
            (name,) = [name for name in wheel.namelist() if "/sboms/" in name]
            assert re.fullmatch(r"matrixbayes-[\d.]+\.dist-info/sboms/matrixbayes\.cdx\.json", name)
            return json.loads(wheel.read(name))  # type: ignore[no-any-return]
    if not (find_spec("setuptools") and (ROOT / "setup.py").exists()):
        pytest.skip("no checkout with setuptools")
    folder = tmp_path_factory.mktemp("bill")
    python(WRITE_BILL, folder)
    file = folder / "x.dist-info" / "sboms" / "matrixbayes.cdx.json"
    return json.loads(file.read_text("utf-8"))  # type: ignore[no-any-return]


def test_the_wheel_says_what_it_is_made_of(
    bill: dict[str, Any], figure: Callable[[str], None]
) -> None:
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    own = bill["metadata"]["component"]
    assert (own["name"], own["version"]) == (PROJECT["name"], PROJECT["version"])
    assert own["licenses"] == [{"license": {"id": PROJECT["license"]}}]
    assert own["purl"] == own["bom-ref"] == f"pkg:pypi/{own['name']}@{own['version']}"
    needs = {
        each["name"] + each["properties"][0]["value"]: each["bom-ref"]
        for each in bill["components"]
        if each["scope"] == "required"
    }
    assert needs.keys() == {*PROJECT["dependencies"]}
    whole, *others = bill["dependencies"]
    assert whole == {"ref": own["bom-ref"], "dependsOn": [*needs.values()]}
    assert [each["ref"] for each in others] == [*needs.values()]
    figure(f"bill of materials: 1 component, {len(needs)} that it needs, 0 copied in")


def test_the_bill_is_what_cyclonedx_says(bill: dict[str, Any]) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    wrong = validation.JsonStrictValidator(schema.SchemaVersion.V1_6).validate_str(json.dumps(bill))
    assert wrong is None, wrong


@pytest.mark.skipif(sys.platform != "linux", reason="readelf is for ELF files")
def test_nothing_else_is_linked_in() -> None:
    """The bill says so: the extension is our sources, and asks the system for its C library."""
    from matrixbayes import _core

    try:
        told = subprocess.run(["readelf", "-d", _core.__file__], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no readelf")
    needed = {match.split(".so")[0] for match in re.findall(r"\(NEEDED\).*\[(.*?)\]", told.stdout)}
    assert "libc" in needed
    assert needed <= {"libc", "libm", "libdl", "libpthread", "ld-linux-x86-64", "ld-linux-aarch64"}


# --- the same bits twice


def test_the_source_archive_is_the_same_twice(figure: Callable[[str], None]) -> None:
    """In another folder, on another day, with another umask; `make reproducible`: the wheel too."""
    if not (find_spec("setuptools") and (ROOT / "tools").is_dir()):
        pytest.skip("no checkout with setuptools")
    kinds = of_tier(["--sdist"], ["--sdist"], [])
    line = [sys.executable, str(ROOT / "tools/check_reproducible.py"), *kinds]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *files, last = done.stdout.splitlines()
    assert last == "the same bits twice"
    assert len(files) == 2 - len(kinds)
    figure("the same bits twice: " + ", ".join(file.split("  ")[1] for file in files))


# --- no network


def test_no_test_of_this_process_may_ask_the_network(figure: Callable[[str], None]) -> None:
    """What denies it to the whole suite (tests/offline.py) is there, and denies."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for ask in (
            lambda: socket.create_connection(("192.0.2.1", 80), timeout=1),
            lambda: socket.getaddrinfo("example.org", 80),
            lambda: socket.gethostbyname("example.org"),
            lambda: udp.sendto(b"x", ("192.0.2.1", 53)),
        ):
            asked = len(OFFLINE.asked)
            with pytest.raises(PermissionError, match="network"):
                ask()
            assert len(OFFLINE.asked) == asked + 1
            OFFLINE.asked.pop()
    assert not OFFLINE.asked, OFFLINE.asked
    figure("every test runs with other machines denied: 0 asked for")


DENIED = """
import sys
sys.path.insert(0, sys.argv[1])
from offline import OFFLINE
"""
EVERYTHING = """
import importlib, pathlib
import matrixbayes
root = pathlib.Path(matrixbayes.__file__).parent
for file in sorted(root.rglob("*.py")):
    name = ".".join(file.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")
    try:
        importlib.import_module(name)
    except ImportError:  # of an extra
        pass
assert len([name for name in sys.modules if name.startswith("matrixbayes.")]) > 100
print(len(OFFLINE.asked), OFFLINE.asked)
"""
A_STUDY = """
from matrixbayes.__main__ import main
for line in (["--help"], ["study", "--quiet", "--components", "1", "--resolution", "20"]):
    try:
        main(line)
    except SystemExit as ended:
        assert not ended.code, ended
print(len(OFFLINE.asked), OFFLINE.asked)
"""


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(EVERYTHING, id="import"),
        pytest.param(A_STUDY, id="study", marks=pytest.mark.slow),
    ],
)
def test_nothing_is_asked_for(code: str, tmp_path: Path) -> None:
    """Also where no library could: without a network at all, where that may be had."""
    if code is A_STUDY:
        pytest.importorskip("transformers")
    line = [sys.executable, "-W", "ignore", "-c", DENIED + code, str(ROOT / "tests")]
    alone = ["unshare", "--net", "--map-root-user"]
    try:
        none = subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        none = False
    unset = {name: x for name, x in os.environ.items() if name not in ("HF_HUB_OFFLINE",)}
    done = subprocess.run(
        [*alone, *line] if none else line,
        cwd=tmp_path,
        env=unset,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "0 []"


def test_no_module_of_ours_opens_a_connection() -> None:
    """What the network is asked by stands in two modules, and calls the hub's own library."""
    banned = {
        "socket",
        "ssl",
        "urllib",
        "http",
        "ftplib",
        "smtplib",
        "requests",
        "httpx",
        "aiohttp",
    }
    seen = 0
    for file in found(ROOT / "matrixbayes", "**/*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = {each.name.split(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = {node.module.split(".")[0]}
            else:
                continue
            seen += 1
            assert not names & banned, f"{file.name}: {names & banned}"
    assert seen > 100


# --- lower bounds


def test_every_lower_bound_is_one_that_can_be_installed() -> None:
    """`make lowest` takes its versions from here."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import lowest
    except ImportError:
        pytest.skip("no tools beside the tests")
    finally:
        sys.path.pop(0)
    bounds = lowest.lowest(PROJECT)
    needs = [*PROJECT["dependencies"], *chain(*PROJECT["optional-dependencies"].values())]
    named = {re.split(r"[\[><=]", need)[0] for need in needs} - {PROJECT["name"]}
    assert bounds.keys() == named
    with pytest.raises(ValueError, match="no lowest version"):
        lowest.lowest({**PROJECT, "dependencies": ["numpy"]})
    with pytest.raises(ValueError, match="lower bounds"):
        lowest.lowest({**PROJECT, "dependencies": ["numpy>=1.26", "numpy>=2"]})
    run = (ROOT / "tools/pythons.sh").read_text("utf-8")
    for need in PROJECT["dependencies"]:
        name, bound = need.split(">=")
        assert re.search(rf"'{name}=={re.escape(bound)}(\.\*)?'", run), f".ci/run: {need}"
