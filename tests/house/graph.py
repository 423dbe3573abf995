"""The package as a graph of files: folders, floors, arrows, circles and lines, of any layout.

    python -m tests.house.graph [FOLDER]

FOLDER holds ``matrixbayes`` and, maybe, ``csrc``; without it, this checkout.  Nothing is imported
but the standard library, and nothing of the package: it is read.

What counts
    arrow    one file imports another at run time: anywhere in it, inside functions too, and by
             ``import_module("matrixbayes....")``; not under ``if TYPE_CHECKING:``
    room     a folder below the package, or a file that lies in the package itself; its own is
             called __init__ here
    floors   files on the longest chain of arrows, a circle being one
    circle   files, or rooms, each of which leads to each other
    line     of Python: not blank, no comment, no docstring; of C: not blank, no comment and
             not text alone, which is how docstrings are written there
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "matrixbayes"
Graph = dict[str, set[str]]

C_WORDS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


# --- files


def found(folder: Path, pattern: str) -> list[Path]:
    """The files of a pattern, sorted; an error where there are none: a walk must go somewhere."""
    files = sorted(path for path in folder.glob(pattern) if path.is_file())
    assert files, f"nothing is called {pattern} in {folder}"
    return files


def modules(root: Path) -> dict[str, Path]:
    """The Python files of the package by their dotted names below it; its own file is ``""``."""
    package = root / PACKAGE
    table = {}
    for file in found(package, "**/*.py"):
        parts = file.relative_to(package).with_suffix("").parts
        table[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return table


def room(module: str) -> str:
    """The room that a module is in, or the module itself where it lies in the package."""
    return module.split(".")[0] or "__init__"


# --- arrows


def imported(file: Path, module: str, known: set[str], types: bool = False) -> Iterator[str]:
    """The modules of the package, of those `known`, that a file imports at run time, or `types`."""
    tree = ast.parse(file.read_text("utf-8"))
    package = module.split(".") if module else []
    if file.stem != "__init__":
        package = package[:-1]

    def named(dotted: str) -> Iterator[str]:
        """``matrixbayes.a.b`` is the module a.b, or a name in the module a."""
        first, _, rest = dotted.partition(".")
        if first == PACKAGE:
            yield rest if rest in known or not rest else rest.rpartition(".")[0]

    for node in ast.walk(tree) if types else at_run_time(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from named(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = [PACKAGE, *package][: len(package) + 2 - node.level]
                base = ".".join([*above, *filter(None, [base])])
            for alias in node.names:
                yield from named(f"{base}.{alias.name}")
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__"):
            for text in [a.value for a in node.args if isinstance(a, ast.Constant)]:
                if isinstance(text, str):
                    yield from named(text)


def called(node: ast.Call) -> str:
    """The name of a function, or of a method."""
    return str(getattr(node.func, "attr", getattr(node.func, "id", "")))


def is_for_types(node: ast.AST) -> bool:
    return "TYPE_CHECKING" in (getattr(node, "id", ""), getattr(node, "attr", ""))


def at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below, but for what only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and any(map(is_for_types, ast.walk(child.test))):
            for other in child.orelse:
                yield other
                yield from at_run_time(other)
        else:
            yield child
            yield from at_run_time(child)


@cache
def arrows(root: Path, types: bool = False) -> Graph:
    """Which module imports which, `types` for type checkers too; the extension imports nothing."""
    files = modules(root)
    known = {*files, "_core"}
    graph = {name: {*imported(file, name, known, types)} - {name} for name, file in files.items()}
    lost = {other for others in graph.values() for other in others} - known
    assert not lost, f"no such modules: {sorted(lost)}"
    return graph | {"_core": set()}


def between(graph: Graph) -> Graph:
    """The graph of rooms under a graph of modules."""
    rooms: Graph = {room(module): set() for module in graph}
    for module, others in graph.items():
        rooms[room(module)] |= {room(other) for other in others} - {room(module)}
    return rooms


# --- circles and floors


def components(graph: Graph) -> list[set[str]]:
    """Strongly connected components, each after those it leads to (Tarjan 1972)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    done: list[set[str]] = []

    def visit(node: str) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in number:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == number[node]:
            done.append(set(stack[stack.index(node) :]))
            del stack[stack.index(node) :]

    for node in sorted(graph):
        if node not in number:
            visit(node)
    return done


def circles(graph: Graph) -> list[list[str]]:
    return [sorted(each) for each in components(graph) if len(each) > 1]


def chain(graph: Graph) -> list[str]:
    """The longest chain of arrows, from the top; of a circle one stands for all."""
    best: dict[str, list[str]] = {}
    for group in components(graph):
        below = {other for node in group for other in graph[node]} - group
        longest = max((best[other] for other in below), key=len, default=[])
        for node in group:
            best[node] = [node, *longest]
    return max(best.values(), key=len)


# --- lines


def python_lines(text: str) -> int:
    """Lines that hold code: neither blank nor comment nor docstring alone."""
    skip = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    skip |= {tokenize.ENCODING, tokenize.ENDMARKER}
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skip:
            held.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        text_alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if text_alone and isinstance(node.value.value, str):
            held -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(held)


def without_comments(text: str) -> str:
    """C without its comments; texts are kept, and so are the numbers of lines."""
    return C_WORDS.sub(lambda m: "\n" * m[0].count("\n") if m[0][0] == "/" else m[0], text)


def c_lines(text: str) -> int:
    texts = re.compile(r'\s*("(\\.|[^"\\])*"\s*)+[,;)]*\s*')
    lines = without_comments(text).splitlines()
    return sum(bool(line.strip()) and not texts.fullmatch(line) for line in lines)


# --- the report


def report(root: Path) -> str:
    files, graph = modules(root), arrows(root)
    rooms = between(graph)
    folders = Counter(file.parent.relative_to(root).as_posix() for file in files.values())
    (largest, count), *_ = folders.most_common(1)
    pairs = {(a, b) for a, others in graph.items() for b in others}
    crossing = sum(room(a) != room(b) for a, b in pairs)
    lines = [
        f"Python files        {len(files)}, {len(folders)} folders",
        f"largest folder      {largest}, {count} files",
        f"floors of files     {len(chain(graph))}: {' > '.join(chain(graph))}",
        f"floors of rooms     {len(chain(rooms))}: {' > '.join(chain(rooms))}",
        f"arrows of files     {len(pairs)}, {crossing} between rooms",
        f"arrows of rooms     {sum(map(len, rooms.values()))}",
    ]
    for what, each in (("files", graph), ("rooms", rooms)):
        round_ = circles(each)
        lines.append(f"circles of {what}    {len(round_)}, {sum(map(len, round_))} {what}")
        lines += [f"    {', '.join(circle)}" for circle in round_]
    seen = arrows(root, types=True)
    rounds = [len(circle) for circle in circles(seen)]
    counts = f"{sum(map(len, seen.values()))} arrows, {len(rounds)} circles of {sum(rounds)} files"
    lines.append(f"for type checkers   {counts}")
    texts = [file.read_text("utf-8") for file in files.values()]
    code = sum(map(python_lines, texts))
    total = sum(text.count("\n") for text in texts)
    lines.append(f"lines of Python     {code} of code, {total} in all")
    for part in ("core", "bind", "test"):
        if (root / "csrc" / part).is_dir():
            texts = [f.read_text("utf-8") for f in found(root / "csrc" / part, "**/*.[ch]")]
            code = sum(map(c_lines, texts))
            total = sum(text.count("\n") for text in texts)
            lines.append(
                f"lines of csrc/{part}  {code} of code, {total} in all, {len(texts)} files"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    print(report(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).resolve().parents[2]))
