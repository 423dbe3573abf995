"""The shape of the code: who may include or import whom, and what the extension shows the world."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from matrixbayes import _core

ROOT = Path(__file__).resolve().parents[1]
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "matrixbayes"

# The core is C11 and nothing else: no I/O, no locale, no threads, no Python.
CORE_HEADERS = {"assert.h", "float.h", "limits.h", "math.h", "stdbool.h", "stddef.h", "stdint.h"}
CORE_HEADERS |= {"stdlib.h", "string.h"}
PYTHON_HEADERS = re.compile(
    r"Python\.h|structmember\.h|numpy/[\w/]+\.h|sys/mman\.h|dlfcn\.h|time\.h"
)

# What the extension may take from the C library and the compiler's own.
LIBC = re.compile(
    r"mem(cpy|move|set|cmp)|str(len|cmp|ncmp)|v?snprintf|exp|expm1|log|log1p|pow|sqrt|floor|ceil|qsort"
    r"|__\w+_chk|__stack_chk_fail|__cxa_finalize|__gmon_start__|_ITM_\w+|__cpu_model|__cpu_features2"
    r"|__cpu_indicator_init|__assert_fail|madvise|timespec_get|dlsym|calloc|realloc|free"
)

# Each module imports modules further down, or of its own layer where that closes no circle.
# A private module belongs where its first word does: _elicitation_plots to elicitation.
LAYERS = [
    {"main"},
    {"plot"},
    {"study", "report"},
    {"diagnostics"},
    {"windtunnel"},
    {"predictor"},
    {"huggingface"},
    {"continuity", "embedding"},
    {"selection", "dask", "comparison", "generation"},
    {"transitions", "transition"},
    {"prior", "matrix", "elicitation"},
    {"estimator", "em", "information"},
    {"approximation", "easel", "icl", "scaling"},
    {"mixture"},
    {"interop", "lattice", "reduction"},
    {"rows"},
    {"base", "display", "io", "parallel", "names", "weights", "numbers"},
    {"errors"},
    {"core"},
]

OPTIONAL = {
    "arviz_base",
    "dask",
    "matplotlib",
    "mpltern",
    "pandas",
    "safetensors",
    "scipy",
    "sklearn",
    "threadpoolctl",
    "torch",
}
NEEDED = {"scipy", "safetensors", "threadpoolctl"}  # there, but imported where they are used
OPTIONAL |= {"arviz_base", "distributed", "tqdm", "transformers"}


def command(*arguments: object) -> str:
    """What a program of the binutils prints; the test is skipped where there is no such program."""
    if not shutil.which(str(arguments[0])):
        pytest.skip(f"no {arguments[0]} here")
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=True)
    return done.stdout


# --- C: the include graph


def includes(file: Path) -> tuple[set[str], set[str]]:
    """The names a C file includes: in angle brackets, in quotes."""
    text = file.read_text(encoding="utf-8")
    found = re.findall(r'^[ \t]*#[ \t]*include[ \t]*(<([^>]+)>|"([^"]+)")', text, re.MULTILINE)
    return {a for _, a, _ in found if a}, {q for _, _, q in found if q}


def test_core_includes_core_and_the_c_standard_only() -> None:
    files = sorted((CSRC / "core").rglob("*.[ch]"))
    assert files
    for file in files:
        standard, own = includes(file)
        assert standard <= CORE_HEADERS, file.name
        for name in own:
            assert name.startswith("core/"), f"{file.name}: {name}"
            assert (CSRC / name).is_file(), f"{file.name}: {name}"


def test_binding_includes_the_core_and_itself() -> None:
    files = sorted((CSRC / "bind").rglob("*.[ch]"))
    assert files
    for file in files:
        outside, own = includes(file)
        unknown = {name for name in outside if not PYTHON_HEADERS.fullmatch(name)} - CORE_HEADERS
        assert not unknown, file.name
        for name in own:
            assert (CSRC / name).is_file(), f"{file.name} includes {name}"


def test_the_gil_is_released_and_signals_are_seen_to_in_one_place() -> None:
    words = re.compile(r"PyEval_\w+Thread|_ALLOW_THREADS|PyErr_CheckSignals")
    users = [file.name for file in CSRC.glob("bind/**/*.[ch]") if words.search(file.read_text())]
    assert users == ["work.c"]


def test_whatever_can_be_stopped_is_stopped_in_a_test() -> None:
    """Sorting and runs, which updates and merges of transitions go through, by these."""
    driver = (CSRC / "test/test_interrupt.c").read_text()
    takes = re.compile(r"\b(mb_\w+)\([^;{}]*\bmb_interrupt \*")
    comment = re.compile(r"/\*.*?\*/", re.DOTALL)
    headers = {
        file.name: takes.findall(comment.sub("", file.read_text()))
        for file in CSRC.glob("core/*/*.h")
    }
    sorting = {"ngram_run.h", "ngram_sort.h", "fading_run.h", "fading_ngrams.h"}
    asked = {name for file, found in headers.items() for name in found if file not in sorting}
    asked -= {"mb_ask", "mb_transitions_add_run"}  # the question, and what an update ends with
    asked -= {"mb_fading_add_run", "mb_fading_reserve"}
    assert len(asked) > 30
    assert not {name for name in asked if not re.search(rf"\b{name}\(", driver)}


def test_headers_include_without_circles() -> None:
    graph = {str(file.relative_to(CSRC)): includes(file)[1] for file in CSRC.rglob("*.h")}
    assert graph
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


# --- Python: the import graph


def is_type_checking(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in ast.unparse(test)


def imported(node: ast.AST) -> Iterator[str]:
    """The modules of matrixbayes imported anywhere below `node`, also in functions, at run time."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and is_type_checking(child.test):
            continue
        if isinstance(child, ast.ImportFrom) and child.level == 1 and child.module:
            yield child.module.split(".")[0]
        elif isinstance(child, ast.ImportFrom) and (
            child.level == 1 or child.module == "matrixbayes"
        ):
            for alias in child.names:
                if (PACKAGE / f"{alias.name}.py").exists() or alias.name == "_core":
                    yield alias.name
                else:
                    yield "__init__"
        elif isinstance(child, ast.ImportFrom) and (child.module or "").startswith("matrixbayes."):
            yield str(child.module).split(".")[1]
        elif isinstance(child, ast.Import):
            for alias in child.names:
                package, _, rest = alias.name.partition(".")
                if package == "matrixbayes":
                    yield rest.partition(".")[0] or "__init__"
        yield from imported(child)


def layer(module: str) -> int:
    """The layer a module belongs to."""
    word = module.strip("_").split("_")[0]
    for depth, names in enumerate(LAYERS):
        if word in names:
            return depth
    raise AssertionError(f"say in LAYERS where the module {module} belongs")


def modules() -> dict[str, set[str]]:
    """The runtime import graph of the package, without the lazy front."""
    files = [file for file in sorted(PACKAGE.glob("*.py")) if file.stem != "__init__"]
    return {file.stem: set(imported(ast.parse(file.read_text("utf-8")))) for file in files}


def test_python_imports_point_downwards() -> None:
    graph = modules()
    assert graph
    upwards = [
        f"{module} imports {other}"
        for module, others in graph.items()
        for other in others - {"__init__"}
        if layer(other) < layer(module)
    ]
    assert not upwards


def test_python_imports_close_no_circle() -> None:
    TopologicalSorter(modules()).prepare()  # raises CycleError, which names the circle


def test_only_the_top_uses_the_lazy_front() -> None:
    users = {module for module, others in modules().items() if "__init__" in others}
    assert users <= {"__main__", "study"}


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
        import sys, numpy
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
def test_one_symbol_is_exported(extension: Path) -> None:
    symbols = command("nm", "-D", "--defined-only", "--format=posix", extension)
    assert [line.split()[0] for line in symbols.splitlines()] == ["PyInit__core"]


@pytest.mark.no_sanitizer
def test_hardening(extension: Path) -> None:
    program = command("readelf", "--program-headers", "--wide", extension)
    dynamic = command("readelf", "--dynamic", "--wide", extension)
    symbols = command("nm", "-D", "--undefined-only", extension)
    assert "GNU_RELRO" in program
    assert re.search(r"GNU_STACK\s.*\sRW\s", program)
    assert re.search(r"FLAGS(_1)?\)\s.*NOW", dynamic)
    assert "TEXTREL" not in dynamic
    assert "__stack_chk_fail" in symbols


@pytest.mark.no_sanitizer
def test_extension_needs_little_of_the_c_library(extension: Path) -> None:
    symbols = command("nm", "-D", "--undefined-only", "--format=posix", extension)
    names = {line.split()[0].split("@")[0] for line in symbols.splitlines()}
    names = {name for name in names if not re.match(r"_?Py", name)}
    assert not {name for name in names if not LIBC.fullmatch(name)}


def test_wheel_tag_of_the_extension() -> None:
    assert (
        Path(_core.__file__).suffixes in ([".abi3", ".so"], [".pyd"])
        or not getattr(sys, "_is_gil_enabled", lambda: True)()
    )


# --- the type stub against the module

STUB = (
    ast.parse((PACKAGE / "_core.pyi").read_text("utf-8"))
    if (PACKAGE / "_core.pyi").exists()
    else None
)


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
    assert STUB is not None
    assert stub_names(STUB.body).keys() == public(vars(_core))
    for name, node in stub_names(STUB.body).items():
        if isinstance(node, ast.ClassDef):
            assert stub_names(node.body).keys() == public(vars(getattr(_core, name))), name


def test_stub_signatures_are_the_modules() -> None:
    assert STUB is not None
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
