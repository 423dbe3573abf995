"""The rules of the house: rooms and their order, what a file may hold, what the extension shows.

docs/architecture.md says why.  Every walk over files goes through `found`, which fails where it
finds nothing.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Callable
from graphlib import TopologicalSorter
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from house import graph
from house.graph import found
from scripts import loaded

from matrixbayes import _core
from matrixbayes._moved import ELSEWHERE, HOMES

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "matrixbayes"

# From the top: a file imports files of its own room and of rooms further down.  The front
# (``__init__``) is at the top, because it names everything; `_moved` knows what was called how.
ROOMS = [
    "__main__",
    "__init__",
    "_moved",
    "plot",
    "dask",
    "cli",
    "study",
    "reading",
    "diagnostics",
    "matrix",
    "icl",
    "elicitation",
    "sources",
    "estimator",
    "windtunnel",
    "continuity",
    "records",
    "huggingface",
    "mixture",
    "rows",
    "_base",
    "errors",
    "_core",
]
MOST_FILES = 16  # of a folder, beside its front
MOST_LINES = 300  # of code, in a file that holds several things
# from the bottom
CORE_ROOMS = [
    "base",
    "arpa",
    "special",
    "rows",
    "mixture",
    "estimator",
    "elicitation",
    "matrix",
    "frozen",
    "backoff",
]
MOST_LINES_OF_C = {"core": 400, "bind": 300}  # everything counted

# The core is C11 and nothing else: no I/O, no locale, no threads, no Python.
CORE_HEADERS = {"assert.h", "float.h", "limits.h", "math.h", "stdbool.h", "stddef.h", "stdint.h"}
CORE_HEADERS |= {"stdlib.h", "string.h"}
PYTHON_HEADERS = re.compile(
    r"Python\.h|structmember\.h|numpy/[\w/]+\.h|sys/mman\.h|dlfcn\.h|time\.h"
)

# What the extension may take from the C library and the compiler's own.
LIBC = re.compile(
    r"mem(chr|cpy|move|set|cmp)|str(len|cmp|ncmp)|v?snprintf|exp|expm1|log|log1p|pow|sqrt|floor|ceil|qsort"
    r"|__\w+_chk|__stack_chk_fail|__cxa_finalize|__gmon_start__|_ITM_\w+|__cpu_model|__cpu_features2"
    r"|__cpu_indicator_init|__assert_fail|madvise|timespec_get|dlsym|calloc|realloc|free"
)

OPTIONAL = {
    "arviz_base",
    "dask",
    "distributed",
    "huggingface_hub",
    "matplotlib",
    "mpltern",
    "pandas",
    "pyarrow",
    "safetensors",
    "scipy",
    "shtab",
    "sklearn",
    "threadpoolctl",
    "torch",
    "tqdm",
    "transformers",
}
NEEDED = {"scipy", "safetensors", "threadpoolctl"}  # there, but imported where they are used


def command(*arguments: object) -> str:
    """What a program of the binutils prints; the test is skipped where there is no such program."""
    if not shutil.which(str(arguments[0])):
        pytest.skip(f"no {arguments[0]} here")
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=True)
    return done.stdout


def test_walks_over_files_fail_where_there_are_none() -> None:
    source = re.compile(r"\b(?:CSRC|ROOT|PACKAGE|parents\[\d\])[\w\s/\"')]*\.r?glob\(")
    tests = found(ROOT / "tests", "**/*.py")
    own = [file.name for file in tests if source.search(file.read_text("utf-8"))]
    assert not {*own} - {"test_install.py"}, "walk by `found`"  # which compares with a wheel
    walk = re.compile(r"\br?glob\(|\bscandir\(|iter_modules|walk_packages|os\.walk")
    users = {file.name for file in found(ROOT / "tests/house", "*.py") if walk.search(code(file))}
    assert users == {"graph.py", "test_install.py"}  # `found`, and a walk over site-packages


def code(file: Path) -> str:
    """Python without comments and texts."""
    return ast.unparse(NoTexts().visit(ast.parse(file.read_text("utf-8"))))


class NoTexts(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant(0) if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Constant:
        return ast.Constant(0)


def test_what_make_starts_finds_what_it_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """With PYTHONSAFEPATH, as make has it: a script's own folder is not searched."""
    text = (ROOT / "Makefile").read_text("utf-8")
    names = {*re.findall(r"\b((?:tools|benchmarks)/\w+\.py)", text)}
    assert len(names) > 5
    elsewhere = [each for each in sys.path if Path(each).name not in ("tools", "benchmarks")]
    for name in sorted(names):
        monkeypatch.setattr(sys, "path", [*elsewhere])
        try:
            loaded(ROOT / name)
        except ModuleNotFoundError as error:
            if (ROOT / name).with_name(f"{error.name}.py").exists():  # and no package of others
                raise


def test_mutations_follow_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is of a text that is there once, and is caught by a test that is there."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    mutations = import_module("mutations").MUTATIONS
    assert len(mutations) > 50
    for each in mutations:
        assert (ROOT / each.file).read_text("utf-8").count(each.old) == 1, each.name
        tests = [word for word in each.tests.split() if word.startswith("tests/")]
        assert tests, each.name
        assert all((ROOT / name.partition("::")[0]).exists() for name in tests), each.name


# --- Python: rooms


@pytest.fixture(scope="module")
def arrows() -> graph.Graph:
    return graph.arrows(ROOT)


def test_every_file_is_in_a_room() -> None:
    """And every room has a front, without which it is in no wheel."""
    rooms = {graph.room(module) for module in graph.modules(ROOT)}
    assert rooms - {*ROOMS} == set(), "say in ROOMS where it belongs"
    for folder in {file.parent for file in graph.modules(ROOT).values()}:
        assert (folder / "__init__.py").is_file(), folder
        assert folder == PACKAGE or folder.relative_to(PACKAGE).parts[0] in ROOMS


def test_the_page_has_the_rooms_in_their_order() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    lines = re.findall(r"^\| (`[^|]*) \|", page, re.MULTILINE)
    named = re.findall(r"`(\w+)(?:/|\.py)`", " ".join(lines))
    assert named == [room for room in ROOMS if room != "_core"]


def test_python_imports_point_downwards(arrows: graph.Graph) -> None:
    upwards = [
        f"{module or '__init__'} imports {other or '__init__'}"
        for module, others in arrows.items()
        for other in others
        if ROOMS.index(graph.room(other)) < ROOMS.index(graph.room(module))
    ]
    assert not upwards


def test_python_imports_close_no_circle(arrows: graph.Graph) -> None:
    assert not graph.circles(arrows)
    assert not graph.circles(graph.between(arrows))


def test_a_rooms_front_is_for_other_rooms(arrows: graph.Graph) -> None:
    """Nobody imports the front of all, and old names are looked up by it alone."""
    assert not {module for module, others in arrows.items() if "" in others}
    assert {module for module, others in arrows.items() if "_moved" in others} == {""}


def test_a_rooms_front_hides_none_of_its_files() -> None:
    """What it hands on under the name of a file would be found where the file is meant."""
    fronts = {
        name for name, file in graph.modules(ROOT).items() if name and file.stem == "__init__"
    }
    assert len(fronts) > 10
    if not find_spec("matplotlib"):
        fronts -= {"_base.drawing"}
    for front in fronts:
        handed_on = vars(importlib.import_module(f"matrixbayes.{front}"))
        both = [
            file.stem
            for file in found(PACKAGE / front.replace(".", "/"), "*.py")
            if file.stem in handed_on
        ]
        assert not [name for name in both if not inspect.ismodule(handed_on[name])], front


def test_no_module_is_named_by_a_string() -> None:
    """But by a front, of what lies behind it."""
    users = set()
    for module, file in graph.modules(ROOT).items():
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and graph.called(node) in ("import_module", "__import__"):
                text = ast.unparse(node.args[0])
                if re.match(r"f?['\"](matrixbayes|\.|\{)", text):
                    users.add((module, file.name, text))
    assert users
    assert all(name in ("__init__.py", "_moved.py") for _, name, _ in users), users
    assert all(re.match(r"f'\{(__name__|PACKAGE)\}\.", text) for _, _, text in users), users


def test_folders_are_small() -> None:
    named = (file for file in graph.modules(ROOT).values() if file.stem != "__init__")
    files = Counter(file.parent.relative_to(ROOT) for file in named)
    assert len(files) > 10
    assert not {folder: n for folder, n in files.items() if n > MOST_FILES}


def test_a_file_holds_one_thing_or_little() -> None:
    """A class is one file, however long; several things together are not."""
    large = {}
    for module, file in graph.modules(ROOT).items():
        text = file.read_text("utf-8")
        if text.count("\n") <= MOST_LINES or (lines := graph.python_lines(text)) <= MOST_LINES:
            continue
        classes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
        parts = [ast.get_source_segment(text, node) or "" for node in classes]
        if max(map(graph.python_lines, parts), default=0) < 0.6 * lines:
            large[module] = lines
    assert not large


def test_no_class_is_cut_into_mixins() -> None:
    names = [
        f"{module}: {node.name}"
        for module, file in graph.modules(ROOT).items()
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ClassDef) and node.name.endswith("Mixin")
    ]
    assert not names


def test_private_modules_have_no_list_of_names() -> None:
    """`__all__` is for what users import from: fronts, and what lies beside them."""
    assigned = re.compile(r"^__all__\b", re.MULTILINE)
    users = {
        module
        for module, file in graph.modules(ROOT).items()
        if "." in module and file.stem != "__init__" and assigned.search(file.read_text("utf-8"))
    }
    assert not users


def test_files_in_rooms_have_no_prefix() -> None:
    names = [module for module in graph.modules(ROOT) if module.rpartition(".")[2].startswith("_")]
    inside = {name for name in names if "." in name}
    assert not inside
    assert {name for name in names if "." not in name} <= {"_base", "_moved", "__main__"}


def test_old_names_are_no_modules_of_today() -> None:
    """A name that is a room now is found there, and its front has what pickles ask of it."""
    today = graph.modules(ROOT)
    assert len(HOMES) > 20
    assert not HOMES.keys() & today.keys()
    assert {*HOMES.values(), *ELSEWHERE.values()} <= today.keys()
    assert {name.rpartition(".")[0] for name in ELSEWHERE} <= HOMES.keys()


# --- C: rooms


def includes(file: Path) -> tuple[set[str], set[str]]:
    """The names a C file includes: in angle brackets, in quotes; and those of kernels."""
    text = graph.without_comments(file.read_text("utf-8"))
    pattern = r'^[ \t]*#[ \t]*(?:include|define[ \t]+KERNEL)[ \t]*(<([^>]+)>|"([^"]+)")'
    named = re.findall(pattern, text, re.MULTILINE)
    return {a for _, a, _ in named if a}, {q for _, _, q in named if q}


def c_files(part: str, kind: str = "[ch]") -> list[Path]:
    return found(CSRC / part, f"**/*.{kind}")


def test_core_includes_core_and_the_c_standard_only() -> None:
    """Of its own room, and of rooms below."""
    for file in c_files("core"):
        standard, own = includes(file)
        assert standard <= CORE_HEADERS, file.name
        floor = CORE_ROOMS.index(file.relative_to(CSRC / "core").parts[0])
        for name in own:
            assert (CSRC / name).is_file(), f"{file.name}: {name}"
            part, room, _ = name.split("/")
            assert part == "core", f"{file.name}: {name}"
            assert CORE_ROOMS.index(room) <= floor, f"{file.name}: {name}"


def test_every_room_of_the_core_is_there() -> None:
    rooms = {file.parent.name for file in c_files("core")}
    assert rooms == {*CORE_ROOMS}
    assert {file.parent.name for file in c_files("bind")} - {"bind"} <= rooms


def test_binding_includes_the_core_and_itself() -> None:
    for file in c_files("bind"):
        outside, own = includes(file)
        unknown = {name for name in outside if not PYTHON_HEADERS.fullmatch(name)} - CORE_HEADERS
        assert not unknown, file.name
        for name in own:
            assert (CSRC / name).is_file(), f"{file.name} includes {name}"
            if name.startswith("bind/"):
                assert Path(name).parent.name in ("bind", file.parent.name), (file.name, name)


def test_headers_include_without_circles() -> None:
    headers = {
        file.relative_to(CSRC).as_posix(): includes(file)[1] for file in found(CSRC, "**/*.h")
    }
    TopologicalSorter(headers).prepare()  # raises CycleError, which names the circle


def users_of(words: str, parts: tuple[str, ...] = ("core", "bind")) -> set[str]:
    """The C files in which words of a pattern stand, not counting comments."""
    pattern = re.compile(words)
    files = [file for part in parts for file in c_files(part)]
    return {
        file.relative_to(CSRC).as_posix()
        for file in files
        if pattern.search(graph.without_comments(file.read_text("utf-8")))
    }


def test_what_is_done_in_one_place() -> None:
    gil = users_of(r"PyEval_\w+Thread|_ALLOW_THREADS|PyErr_CheckSignals")
    assert gil == {"bind/work.c"}
    sets = users_of(r"target_clones|__builtin_cpu_supports|pragma GCC target|\btarget\(")
    assert len(sets) == 1
    assert next(iter(sets)).startswith("core/base/")
    contraction = users_of(r"fp-contract|FP_CONTRACT|fp contract")
    assert len(contraction) == 1
    assert next(iter(contraction)).startswith("core/base/")


def statics(file: Path) -> set[str]:
    """The names that are a file's own; in kernels with the suffix of one instruction set."""
    text = graph.without_comments(file.read_text("utf-8"))
    kernel = re.sub(r"\b(?:NAME|LOOP)\((\w+)\)", r"\1_any", text)
    return set(re.findall(r"^static\b(?:[^;{=(\[])*?\b(\w+)\s*[(\[=;]", kernel, re.MULTILINE))


def test_static_names_are_unique() -> None:
    homes = defaultdict(set)
    for part in ("core", "bind"):
        for file in c_files(part):
            for name in statics(file):
                homes[name].add(file.relative_to(CSRC).as_posix())
    assert len(homes) > 200
    assert not {name: sorted(files) for name, files in homes.items() if len(files) > 1}


def test_c_files_are_short() -> None:
    long = {
        file.relative_to(CSRC).as_posix(): lines
        for part, most in MOST_LINES_OF_C.items()
        for file in c_files(part)
        if (lines := file.read_text("utf-8").count("\n")) > most
    }
    assert not long


def test_make_sees_every_c_file() -> None:
    """`make lint` and `make analyze` read what the wildcards of C_FILES find."""
    line = re.search(r"^C_FILES := (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert line
    patterns = re.findall(r"\$\(wildcard ([^)]*)\)", line[1])
    seen = {file for pattern in " ".join(patterns).split() for file in found(ROOT, pattern)}
    assert {file for part in ("core", "bind", "test") for file in c_files(part)} <= seen


def test_whatever_can_be_stopped_is_stopped_in_a_test() -> None:
    """Sorting, runs, links, bounds, lines and walks, which others go through, by these."""
    (driver,) = found(CSRC, "test/**/test_interrupt.c")
    text = driver.read_text("utf-8")
    takes = re.compile(r"\b(mb_\w+)\([^;{}]*\bmb_interrupt \*")
    headers = {
        file.name: takes.findall(graph.without_comments(file.read_text("utf-8")))
        for file in c_files("core", "h")
    }
    sorting = {"ngram_run.h", "ngram_sort.h", "fading_run.h", "fading_ngrams.h"}
    sorting |= {"link.h", "bound.h", "lines.h", "transition_walk.h"}
    assert sorting <= headers.keys()
    asked = {name for file, names in headers.items() for name in names if file not in sorting}
    asked -= {"mb_ask", "mb_transitions_add_run"}  # the question, and what an update ends with
    asked -= {"mb_fading_add_run", "mb_fading_reserve"}
    assert len(asked) > 30
    assert not {name for name in asked if not re.search(rf"\b{name}\(", text)}


# --- what importing costs


def test_import_loads_numpy_and_the_core_only(run_python: Callable[..., str]) -> None:
    code = """
        import sys, numpy
        before = set(sys.modules)
        import matrixbayes
        new = {name.split(".")[0] for name in set(sys.modules) - before}
        print(*(new - set(sys.stdlib_module_names)))
        print(*(name for name in sys.modules if name.startswith("matrixbayes.")))
    """
    packages, ours = run_python(inspect.cleandoc(code)).splitlines()
    assert set(packages.split()) <= {"matrixbayes", "numpy"}
    assert set(ours.split()) <= {"matrixbayes._core"}


def test_every_public_name_loads_without_optional_packages(run_python: Callable[..., str]) -> None:
    code = f"""
        import sys
        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {sorted(OPTIONAL - NEEDED)}:
                    raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        sys.meta_path.insert(0, Missing())
        import matrixbayes as mb
        for name in mb.__all__:
            if name != "plot":
                getattr(mb, name)
        assert set(mb.__all__) <= set(dir(mb))
        print(*({sorted(OPTIONAL)} & sys.modules.keys()))
    """
    assert run_python(inspect.cleandoc(code)).split() == []


def test_importing_does_next_to_nothing(run_python: Callable[..., str]) -> None:
    """What it costs, on any machine: modules loaded and functions called."""
    code = """
        import sys, importlib, numpy  # some versions of NumPy have loaded importlib, others not
        try:  # what NumPy 1.26 loads of its own when its C API is asked for
            import numpy._core._multiarray_umath
        except ImportError:
            pass
        before, calls = set(sys.modules), []
        sys.setprofile(lambda frame, event, argument: calls.append(event))
        import matrixbayes
        sys.setprofile(None)
        print(sum(event in ("call", "c_call") for event in calls))
        print(*(set(sys.modules) - before))
    """
    calls, loaded = run_python(inspect.cleandoc(code)).splitlines()
    editable = {name for name in loaded.split() if name.startswith("__editable__")}
    assert set(loaded.split()) - editable == {"matrixbayes", "matrixbayes._core"}
    assert int(calls) < 1000  # 366 on Python 3.11, nearly all of them the search for two files


# --- what the extension shows


@pytest.fixture(scope="module")
def extension() -> Path:
    file = Path(_core.__file__)
    if sys.platform != "linux":
        pytest.skip("an ELF file is looked at")
    return file


@pytest.mark.no_sanitizer
def test_extension_needs_little_of_the_c_library(extension: Path) -> None:
    symbols = command("nm", "-D", "--undefined-only", "--format=posix", extension)
    names = {line.split()[0].split("@")[0] for line in symbols.splitlines()}
    names = {name for name in names if not re.match(r"_?Py", name)}
    assert not {name for name in names if not LIBC.fullmatch(name)}


def test_wheel_tag_of_the_extension() -> None:
    is_stable = Path(_core.__file__).suffixes in ([".abi3", ".so"], [".pyd"])
    assert is_stable != bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


# --- the type stub against the module

STUB = ast.parse((PACKAGE / "_core.pyi").read_text("utf-8"))


def stub_names(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """The public names that a module or a class of the stub declares."""
    names: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names[node.name] = node
        elif isinstance(node, ast.AnnAssign):
            names[ast.unparse(node.target)] = node
    return {name: node for name, node in names.items() if not name.startswith("_")}


def public(names: dict[str, Any] | Any) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def shape(signature: inspect.Signature) -> list[tuple[str, str, bool]]:
    """Name, kind and optionality of each parameter but the first self."""
    parameters = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    return [(p.name, p.kind.name, p.default is not p.empty) for p in parameters]


def stub_shape(node: ast.FunctionDef) -> list[tuple[str, str, bool]]:
    source = ast.unparse(ast.FunctionDef("f", node.args, [ast.Pass()], [], lineno=0))
    scope: dict[str, Any] = {}
    exec("from __future__ import annotations\n" + source, scope)
    return shape(inspect.signature(scope["f"]))


def test_stub_names_what_the_module_has() -> None:
    assert stub_names(STUB.body).keys() == public(vars(_core))
    for name, node in stub_names(STUB.body).items():
        if isinstance(node, ast.ClassDef):
            assert stub_names(node.body).keys() == public(vars(getattr(_core, name))), name


def test_stub_signatures_are_the_modules() -> None:
    for name, node in stub_names(STUB.body).items():
        members = [(name, node, getattr(_core, name))]
        if isinstance(node, ast.ClassDef):
            members = [
                (f"{name}.{member}", inner, getattr(getattr(_core, name), member))
                for member, inner in stub_names(node.body).items()
            ]
        for full_name, declared, real in members:
            if isinstance(declared, ast.FunctionDef) and callable(real):
                assert stub_shape(declared) == shape(inspect.signature(real)), full_name
