"""The examples of the pages: run, and their outputs compared or written anew.

    python docs/_site/examples.py --write [PAGE ...]

A block that begins with three backticks and `pycon` is a session with its outputs, one of `python`
is code alone; those of a page share their names.  One of `console` has lines of a shell, after $,
with what they print; those of a page share a folder.  Without pages all are meant.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import math
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(pycon|python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def pages() -> list[Path]:
    """Every page with code that is run."""
    files = sorted(path for path in DOCS.rglob("*.md") if "_made" not in path.parts)
    return [path for path in files if BLOCK.search(path.read_text("utf-8"))]


def rerun(text: str) -> tuple[str, list[str]]:
    """A page with the outputs of today, and what differs from those that it has."""
    names: dict[str, Any] = {"__name__": "__main__"}
    differences: list[str] = []

    def anew(block: re.Match[str]) -> str:
        kind, code = block.groups()
        if kind == "console":
            return f"```console\n{console(code, folder, differences)}```"
        if kind == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(code, "page", "exec"), names)
            return block[0]
        parts = doctest.DocTestParser().parse(code)
        found = "".join(p if isinstance(p, str) else example(p, names, differences) for p in parts)
        return f"```pycon\n{found}```"

    with tempfile.TemporaryDirectory() as folder:
        return BLOCK.sub(anew, text), differences


def console(block: str, folder: str, differences: list[str]) -> str:
    """Lines of a shell, run in a folder, each with what it prints."""
    found = ""
    tools = f'matrixbayes() {{ {sys.executable} -m matrixbayes "$@"; }}; '
    tools += f'python() {{ {sys.executable} "$@"; }}; '
    for line, want in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        options: dict[str, Any] = {"cwd": folder, "text": True, "check": False}
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(["bash", "-c", tools + line], **options)
        if done.returncode:
            raise RuntimeError(f"{line} ended with {done.returncode}: {done.stdout}")
        got = done.stdout.replace(f"{folder}/", "./")
        if not same(want, got):
            differences.append(f"$ {line}\nprinted\n{got}instead of\n{want}")
            want = got
        found += f"$ {line}\n{want}"
    return found


def example(one: doctest.Example, names: dict[str, Any], differences: list[str]) -> str:
    """An example with what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            exec(compile(one.source, "page", "single"), names)
        except Exception as error:
            if one.exc_msg is None and not one.want.startswith("Traceback"):
                raise
            said = textwrap.fill(f"{type(error).__name__}: {error}", 96, subsequent_indent="  ")
            print(f"Traceback (most recent call last):\n    ...\n{said}")
    got = re.sub(r" +$", "", printed.getvalue(), flags=re.MULTILINE)
    first, *more = one.source.splitlines()
    code = "".join([f">>> {first}\n", *(f"... {line}".rstrip() + "\n" for line in more)])
    if same(one.want, got):
        return code + one.want
    differences.append(f"{code}printed\n{got}instead of\n{one.want}")
    return code + got.replace("\n\n", "\n<BLANKLINE>\n")


def same(wanted: str, got: str) -> bool:
    """Whether two outputs say the same: other machines round the last digits in other ways."""
    if doctest.OutputChecker().check_output(wanted, got, FLAGS):
        return True
    number = r"[-+]?(?:\d+\.\d*|\.\d+)(?:e[-+]?\d+)?|[-+]?\d+e[-+]?\d+"
    words = [re.sub(number, " # ", text).split() for text in (wanted, got)]
    numbers = [[float(x) for x in re.findall(number, text)] for text in (wanted, got)]
    return words[0] == words[1] and all(
        math.isclose(a, b, rel_tol=0.02, abs_tol=1e-9) for a, b in zip(*numbers, strict=True)
    )


def main() -> None:
    chosen = [Path(name).resolve() for name in sys.argv[1:] if name != "--write"]
    for page in chosen or pages():
        text, differences = rerun(page.read_text("utf-8"))
        print(f"{page.relative_to(DOCS)}: {len(differences)} outputs changed")
        if "--write" in sys.argv:
            page.write_text(text, "utf-8")
        else:
            print(*differences, sep="\n")


if __name__ == "__main__":
    main()
