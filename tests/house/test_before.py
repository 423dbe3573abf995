"""What earlier versions wrote still loads and says the same; public names are theirs, or new."""

from __future__ import annotations

import base64
import importlib
import io
import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from house.facts import differences, facts, members

import matrixbayes as mb

BEFORE = Path(__file__).resolve().parents[1] / "data" / "before"
OPTIONAL = {"matrixbayes.plot": "mpltern", "matrixbayes.dask": "dask.array"}


def table(name: str) -> dict[str, Any]:
    found = json.loads((BEFORE / f"{name}.json").read_text("utf-8"))
    assert len(found) > 4
    return found


PICKLES, FILES, NAMES = table("pickles"), table("files"), table("public_names")
HOMES = table("homes")  # the module of each public name


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_from_before_says_the_same(name: str) -> None:
    pytest.importorskip("numpy._core")  # NumPy 2 wrote them, whose arrays 1.26.0 does not know
    thing = pickle.loads(base64.b64decode(PICKLES[name]["pickle"]))
    assert not differences(facts(thing), PICKLES[name]["says"])
    again = pickle.loads(pickle.dumps(thing))
    assert not differences(facts(again), PICKLES[name]["says"])


def test_pickles_are_written_under_the_names_of_today() -> None:
    """Old names of modules are for reading only."""
    pytest.importorskip("numpy._core")

    class Reader(pickle._Unpickler):  # type: ignore[name-defined]
        def find_class(self, module: str, name: str) -> Any:
            seen.add(module)
            return super().find_class(module, name)

    seen: set[str] = set()
    for kept in PICKLES.values():
        thing = pickle.loads(base64.b64decode(kept["pickle"]))
        Reader(io.BytesIO(pickle.dumps(thing))).load()
    ours = [importlib.import_module(name) for name in seen if name.startswith("matrixbayes")]
    files = {str(module.__file__) for module in ours}
    assert any(Path(file).parent.name == "matrixbayes" for file in files)
    assert not [file for file in files if "_moved" in Path(file).parts]


def test_every_public_type_of_before_has_a_pickle() -> None:
    made = {entry["says"]["type"] for entry in PICKLES.values()}
    names = {*NAMES["matrixbayes"]} - {"plot"}  # which needs what may not be there
    public = {name for name in names if isinstance(getattr(mb, name), type)}
    assert public - made == {"TokenPredictor"}  # which holds a model


@pytest.mark.parametrize("name", FILES)
def test_a_file_from_before_says_the_same(name: str, tmp_path: Path) -> None:
    path, kind = BEFORE / "files" / name, FILES[name]["type"]
    if name.endswith(".txt"):
        found = mb.read_easel(path, tokens="abc")
    elif kind == "TransitionMatrix":
        found = mb.TransitionMatrix.open(path)
    else:
        found = getattr(mb, kind).load(path)
    assert not differences(facts(found), FILES[name])
    if name.endswith(".txt"):
        mb.write_easel(found, tmp_path / name)
    else:
        found.save(tmp_path / name)
    assert (tmp_path / name).read_bytes() == path.read_bytes()


def test_every_file_is_read() -> None:
    assert {file.name for file in (BEFORE / "files").iterdir()} == FILES.keys()


# What is meant to be otherwise than before: the name, and why.
CHANGED: dict[str, str] = {
    "elicit_prior": "the default family is all that fit the histories, where it was 'iid': real "
    "models are none of one family, and nothing said so",
}


@pytest.mark.parametrize("module", NAMES)
def test_public_names_are_those_from_before_or_new(module: str) -> None:
    if module in OPTIONAL:
        pytest.importorskip(OPTIONAL[module])
    found = importlib.import_module(module)
    assert {*NAMES[module]} <= {*found.__all__}
    for name, kept in NAMES[module].items():
        now = members(found, [name])[name]
        for part, before in kept.items() if isinstance(kept, dict) else [("", kept)]:
            said = now[part] if isinstance(kept, dict) else now
            assert f"{name}.{part}".rstrip(".") in CHANGED or extends(said, before), (name, part)


def extends(now: Any, before: Any) -> bool:
    """Whether every call that was legal before means the same: parameters may be new where they
    can be left out, behind all that can be given by place."""
    if now == before or not (isinstance(now, str) and now.startswith("(")):
        return bool(now == before)
    mine, theirs = (re.split(r", (?![^(\[]*[)\]])", text[1:-1]) for text in (now, before))
    places = mine[: mine.index("*")] if "*" in mine else mine
    by_place = theirs[: theirs.index("*")] if "*" in theirs else theirs
    by_place = [each for each in by_place if not each.startswith("**")]
    new = [each for each in mine if each not in theirs and each != "*"]
    return (
        places[: len(by_place)] == by_place
        and {*theirs} - {"*"} <= {*mine}
        and all("=" in each or each.startswith("**") for each in new)
    )


def test_a_signature_may_only_grow() -> None:
    assert extends("(a, b=(1, 2), *, c, d=0)", "(a, b=(1, 2), *, c)")
    assert extends("(a, *, c=1)", "(a)")
    assert extends("(a, *, c=1, **options)", "(a, **options)")
    assert not extends("(a, *, c=1)", "(a, **options)")
    assert not extends("(a, c)", "(a)")
    assert not extends("(c=1, a=2)", "(a=2)")
    assert not extends("(a, *, d=1)", "(a, *, d=0)")


@pytest.mark.parametrize("name", HOMES)
def test_a_public_name_is_where_it_was(name: str) -> None:
    old = importlib.import_module(f"matrixbayes.{HOMES[name]}")
    assert getattr(old, name) is getattr(mb, name)


def test_old_modules_are_no_more_than_their_names() -> None:
    from matrixbayes import em, parallel  # type: ignore[attr-defined]

    assert parallel.block_size(8) > 0
    assert em.CountData.__name__ == "CountData"
    with pytest.raises(AttributeError, match="no_such_thing"):
        em.no_such_thing  # noqa: B018
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("matrixbayes.no_such_module")
