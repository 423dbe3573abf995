"""Run the notebooks and keep what they print in them: python tools/run_notebooks.py [NAME ...]

Each runs from top to bottom in an empty folder, so that what it imports is what is installed, and
is written back with its outputs and without anything of the machine or the day.  The table that is
printed at the end says how many seconds of CPU each took, beside those that its first cell states;
the exit status is 1 where one took more.

A test runs them again and compares (`differences`): the same words, numbers within a tolerance,
pictures of the same size.  Tags of a cell say what may be otherwise on another machine:

    trained    numbers of a model that is trained here: within a third
    told       words that such a model writes or that are chosen by it: only that there are some

What a notebook says of Python's own library depends on the version of Python: under another one
than that of the outputs only the kinds and the sizes of outputs are compared.
"""

from __future__ import annotations

import argparse
import base64
import platform
import re
import resource
import struct
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbclient
import nbformat

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NUMBER = re.compile(r"(?<![\w.])[-+−]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?")
STATED = re.compile(r"(\d+) seconds of CPU")
CLOCK = "import time as _time; print(_time.process_time())"
TINY = 1e-5  # what is below is rounding, of which only the size is known
TOLERANCE = {"": 2e-3, "trained": 1 / 3}
MARGIN = {"": 0.03, "trained": 0.3, "told": 0.3}  # of a picture's width and height


def notebooks() -> list[Path]:
    """All notebooks, in their order."""
    return sorted(FOLDER.glob("*.ipynb"))


def stated(notebook: Any) -> int:
    """The seconds of CPU that a notebook says it takes."""
    found = STATED.search(notebook.cells[0].source)
    if not found:
        raise ValueError("the first cell does not say how many seconds of CPU it takes")
    return int(found[1])


def run(
    path: Path, after: Mapping[str, Sequence[str]] | None = None, *, by_cell: bool = False
) -> tuple[Any, float]:
    """A notebook with what it prints now, and the seconds of CPU that it took.

    Parameters
    ----------
    path
        The notebook.
    after
        Code to run after cells, by their ids, with the names that are there then; it leaves no
        trace.
    by_cell
        Whether to say on the way, on stderr, what each cell took.
    """
    notebook = nbformat.read(path, as_version=4)
    used = _children()
    with tempfile.TemporaryDirectory() as place:
        client = nbclient.NotebookClient(
            notebook,
            timeout=3600,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": place}},
        )
        with client.setup_kernel():
            for i, cell in enumerate(notebook.cells):
                client.execute_cell(cell, i)
                if by_cell and cell.cell_type == "code":
                    spent = _aside(client, i, CLOCK).outputs[0].text
                    print(f"    {cell.id:12}{float(spent):8.1f}", file=sys.stderr, flush=True)
                for code in (after or {}).get(cell.id, ()):
                    _aside(client, i, code)
    return tidied(notebook), _children() - used


def _aside(client: nbclient.NotebookClient, i: int, code: str) -> Any:
    """Code run after cell i, as a cell; the client would put it in the place of that cell."""
    cell = client.nb.cells[i]
    found = client.execute_cell(nbformat.v4.new_code_cell(code), i, store_history=False)
    client.nb.cells[i] = cell
    return found


def _children() -> float:
    """Seconds of CPU of the processes that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def tidied(notebook: Any) -> Any:
    """The notebook without what belongs to a machine or a day; one stream is one output."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "version": platform.python_version()},
        }
    )
    for cell in notebook.cells:
        cell.metadata = {key: cell.metadata[key] for key in ("tags",) if key in cell.metadata}
        if cell.cell_type != "code":
            continue
        outputs: list[Any] = []
        for output in cell.outputs:
            last = outputs[-1] if outputs else {}
            if output.output_type == "stream" and last.get("name") == output.name:
                last.text += output.text
            else:
                outputs.append(output)
        cell.outputs = outputs
    return notebook


def differences(kept: Any, fresh: Any) -> list[str]:
    """What a run printed that a notebook does not have, or has otherwise; a line for each cell."""
    same_python = kept.metadata.language_info.version == fresh.metadata.language_info.version
    found = []
    for old, new in zip(kept.cells, fresh.cells, strict=True):
        if old.cell_type == "code":
            tag = next((t for t in ("told", "trained") if t in old.metadata.get("tags", ())), "")
            said = _apart(old, new, tag, same_python)
            found += [f"{old.id}: {said}"] if said else []
    return found


def _apart(old: Any, new: Any, tag: str, same_python: bool) -> str:
    """How the outputs of a cell differ; nothing where they agree."""
    if old.execution_count != new.execution_count:
        return f"its number is {old.execution_count}, and {new.execution_count} when it is run"
    kinds = [[_kind(output) for output in cell.outputs] for cell in (old, new)]
    if kinds[0] != kinds[1]:
        return f"it has {kinds[0]}, and {kinds[1]} when it is run"
    for one, other in zip(old.outputs, new.outputs, strict=True):
        if "image/png" in one.get("data", {}):
            sizes = [_size(output.data["image/png"]) for output in (one, other)]
            margin = MARGIN[tag if same_python else "told"]
            if any(abs(a - b) > margin * a for a, b in zip(*sizes, strict=True)):
                return f"its picture is {sizes[0]} pixels large, and {sizes[1]} when it is run"
        elif same_python and tag != "told":
            said = texts_apart(_text(one), _text(other), TOLERANCE[tag])
            if said:
                return said
    return ""


def _kind(output: Any) -> tuple[str, ...]:
    """What an output is, and in which forms."""
    return (output.output_type, output.get("name", ""), *sorted(output.get("data", {})))


def _text(output: Any) -> str:
    return str(output["text"] if "text" in output else output.data.get("text/plain", ""))


def _size(picture: str) -> tuple[int, int]:
    """Width and height of a PNG, as its header has them."""
    header = base64.b64decode(picture[:64])
    width, height = struct.unpack(">II", header[16:24])
    return width, height


def texts_apart(old: str, new: str, tolerance: float) -> str:
    """Where two texts differ: in a word, or in a number by more than last digit and tolerance."""
    words = [NUMBER.sub(" 0 ", text).split() for text in (old, new)]
    if words[0] != words[1]:
        return f"its words are {old!r}, and {new!r} when it is run"
    for a, b in zip(*(NUMBER.findall(text) for text in (old, new)), strict=True):
        x, y = _value(a), _value(b)
        largest = max(abs(x), abs(y))
        near = 1.5 * max(_unit(a), _unit(b)) + tolerance * largest
        if abs(x - y) > near and largest > TINY:
            return f"it says {a}, and {b} when it is run"
    return ""


def _value(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))


def _unit(text: str) -> float:
    """What one more in the last digit of a number is."""
    digits, _, exponent = text.replace(",", "").partition("e")
    return float(10.0 ** (int(exponent or 0) - len(digits.partition(".")[2])))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and write those that are named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="notebooks by the beginning of their names")
    parser.add_argument("--cells", action="store_true", help="say what is used up after each cell")
    asked = parser.parse_args(arguments)
    names = tuple(asked.names)
    chosen = [path for path in notebooks() if path.name.startswith(names or ("",))]
    lines, late = [f"{'notebook':28}{'CPU s':>8}{'stated':>8}{'kB':>8}"], False
    for path in chosen:
        print(f"... {path.stem}", file=sys.stderr)
        notebook, seconds = run(path, by_cell=asked.cells)
        nbformat.write(notebook, path)
        limit = stated(notebook)
        late = late or seconds > limit
        size = path.stat().st_size / 1e3
        lines.append(f"{path.stem:28}{seconds:8.1f}{limit:8}{size:8.0f}")
    print(*lines, sep="\n")
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
