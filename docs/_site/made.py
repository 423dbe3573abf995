"""Pages that are made of what is there: the reference, commands, the C headers, the notebooks.

Contents
    reference    public names by room: every name of the front, so that a new one appears by itself
    write_all    all pages, into a folder; what is there already and the same is left alone

A page is written before Sphinx looks for pages, and read as any other.
"""

from __future__ import annotations

import argparse
import inspect
import os
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent

# Public modules, and rooms in the order in which a reader meets them.
MODULES = ("plot", "windtunnel", "dask", "errors")
ROOMS = {
    "huggingface": "Rows of a model",
    "records": "Rows of models that others ran",
    "rows": "Rows",
    "reading": "Texts",
    "mixture": "Priors and posteriors",
    "estimator": "Fits",
    "icl": "In-context learning",
    "study": "The whole analysis",
    "elicitation": "The prior that a model acts on",
    "diagnostics": "Is it Bayesian?",
    "matrix": "The matrix of a text",
    "continuity": "Embeddings and rows",
    "errors": "Errors and warnings",
    "plot": "Pictures",
    "windtunnel": "Wind tunnels",
    "dask": "On a cluster",
    "_core": "The core",
    "_base": "The package",
}


def reference() -> dict[str, dict[str, Any]]:
    """Each room's public names, as they are imported, and what they are."""
    front = import_module("matrixbayes")
    rooms: dict[str, dict[str, Any]] = {}
    for name in front.__all__:
        thing = getattr(front, name)
        if not inspect.ismodule(thing):
            home = front._HOMES.get(name) or thing.__module__.removeprefix("matrixbayes.")
            rooms.setdefault(home.split(".")[0], {})[f"matrixbayes.{name}"] = thing
    for module in MODULES:
        inside: ModuleType = import_module(f"matrixbayes.{module}")
        for name in inside.__all__:
            if f"matrixbayes.{name}" not in rooms.get(module, {}):
                rooms.setdefault(module, {})[f"matrixbayes.{module}.{name}"] = getattr(inside, name)
    order = [*ROOMS, *(room for room in rooms if room not in ROOMS)]
    return {room: rooms[room] for room in order if room in rooms}


def heading(text: str) -> str:
    return f"{text}\n{'=' * len(text)}\n\n"


def page_of(name: str, thing: Any) -> str:
    """The page of one name."""
    module, _, short = name.rpartition(".")
    text = heading(short.replace("_", r"\_")) + f".. currentmodule:: {module}\n\n"
    if not inspect.isclass(thing):
        return text + f".. autofunction:: {short}\n"
    text += f".. autoclass:: {short}\n"
    if issubclass(thing, BaseException):
        return text + "   :show-inheritance:\n"
    foreign = [base for base in thing.__mro__ if not base.__module__.startswith("matrixbayes")]
    names = ", ".join(base.__name__ for base in foreign)
    return text + f"   :members:\n   :inherited-members: {names}\n"


def summary(thing: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def room_page(room: str, names: dict[str, Any]) -> str:
    """The names of a room with a line about each, and the way to their pages."""
    text = heading(ROOMS.get(room, room)) + ".. currentmodule:: matrixbayes\n\n"
    for name, thing in names.items():
        role = "class" if inspect.isclass(thing) else "func"
        role = "exc" if role == "class" and issubclass(thing, BaseException) else role
        text += f":py:{role}:`~{name}`\n    {summary(thing)}\n\n"
    text += "\n.. toctree::\n   :hidden:\n\n"
    return text + "".join(f"   {name}\n" for name in names)


def header_page(room: str, headers: list[str]) -> str:
    """The contracts of a room of the C library, as they stand above the declarations."""
    text = heading(f"core/{room}")
    for name in headers:
        text += f"{name}\n{'-' * len(name)}\n\n"
        text += f".. literalinclude:: /../csrc/core/{room}/{name}\n   :language: c\n\n"
    return text


def commands() -> str:
    """What each command says of itself."""
    os.environ["COLUMNS"] = "96"  # of this process, which makes pages and nothing else
    from matrixbayes.cli.program import parser

    return "".join(
        f"### {name}\n\n```text\n{each.format_help().strip()}\n```\n\n"
        for name, each in parsers("matrixbayes", parser())
        if name != "matrixbayes"
    )


def parsers(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, Any]]:
    """A parser and those of its commands, by what is typed."""
    inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not inner or name == "matrixbayes":
        yield name, parser
    for action in inner:
        for word, each in action.choices.items():
            yield from parsers(f"{name} {word}", each)


def pages() -> dict[str, str]:
    """Every page that is made, by its place."""
    rooms = reference()
    made = {f"api/{room.strip('_')}.rst": room_page(room, names) for room, names in rooms.items()}
    for names in rooms.values():
        made |= {f"api/{name}.rst": page_of(name, thing) for name, thing in names.items()}
    made["commands.inc"] = commands()
    made["api/index.rst"] = (
        heading("Reference")
        + "Every public name, by the question that it answers; each page has examples that run.\n\n"
        + ".. toctree::\n   :maxdepth: 1\n\n"
        + "".join(f"   {room.strip('_')}\n" for room in rooms)
    )
    library = (ROOT / "csrc/matrixbayes.h").read_text("utf-8")
    headers: dict[str, list[str]] = {}
    for room, name in re.findall(r'#include "core/(\w+)/(\w+\.h)"', library):
        headers.setdefault(room, []).append(name)
    made |= {f"c/{room}.rst": header_page(room, names) for room, names in headers.items()}
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        made[f"notebooks/{notebook.name}"] = notebook.read_text("utf-8")
    return made


def write_all(folder: Path) -> None:
    made = pages()
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for old in there - made.keys():
        (folder / old).unlink()
    for place, text in made.items():
        file = folder / place
        if not file.exists() or file.read_text("utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")


def ask_for_nothing(app: Any, failure: Exception | None) -> None:
    """No page asks another machine for a script, a font or a picture."""
    asks = re.compile(r"<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)=.(?:https?:)?//")
    if failure is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            if found := asks.search(page.read_text("utf-8")):
                raise RuntimeError(f"{page}: {found[0]} is asked of another machine")


def setup(app: Any) -> dict[str, bool]:
    app.connect("config-inited", lambda app, config: write_all(DOCS / "_made"))
    app.connect("build-finished", ask_for_nothing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
