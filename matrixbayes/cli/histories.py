"""What a model is shown, or was shown: sequences of answers, histories, and labels of groups.

Contents
    read_sequences    texts of answers, one a line
    read_shots        demonstrations as `study` takes them, as pairs or answers
    read_histories    tokens before each prediction, or their counts
    read_labels       a label for each line
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .answers import mendable
from .tables import read_numbers, read_table


def read_sequences(path: str, vocab: Any) -> list[str]:
    """Texts of answers between white space, one a line; blank lines are skipped."""
    from ..study.inputs import lines

    found = []
    for number, line in enumerate(lines(path, "sequences file"), start=1):
        for answer in line.split():
            _check_answer(answer, vocab, f"sequences file {path}, line {number}")
        found += [line] if line.strip() else []
    if not found:
        raise UsageError(f"sequences file {path} is empty: it needs one text of answers a line")
    return found


def read_shots(path: str, vocab: Any) -> list[list[Any]]:
    """Demonstrations: blocks of ``input<TAB>answer``, or of answers alone."""
    from ..study.inputs import blocks, unescape

    found: list[list[Any]] = []
    for block in blocks(path, "shots file"):
        pairs = any("\t" in line for _, line in block)
        items: list[Any] = []
        for i, (number, line) in enumerate(block):
            where = f"shots file {path}, line {number}"
            given, tab, answer = line.rpartition("\t")
            query = pairs and i == len(block) - 1
            if pairs and not tab and not query:
                raise UsageError(f"{where}: no tab between input and answer")
            if pairs and not tab:
                given, answer = line, ""
            text = unescape(answer)
            if not query:
                _check_answer(text, vocab, where)
            items.append((unescape(given), text or None) if pairs else text)
        if pairs and len(items) < 2:
            raise UsageError(f"shots file {path}, line {block[0][0]}: no demonstration")
        found.append(items)
    if not found:
        raise UsageError(f"shots file {path} is empty: it needs one demonstration a line")
    return found


def _check_answer(answer: str, vocab: Any, where: str) -> None:
    """Refuse an answer of no group, where groups are texts alone and so known without a model."""
    from ..study.texts import find_answer

    if vocab is None or any(not isinstance(s, str) for own in vocab.values() for s in own):
        return
    with mendable():
        find_answer(answer, vocab, where)


def read_histories(path: str, kind: str, tokens: Sequence[str] | None) -> Any:
    """Histories: a line of tokens each, numbers of columns or names; or counts, as a table."""
    suffix = Path(path).suffix.lower()
    if kind == "counts":
        return read_table(path, None if suffix == ".npz" else "counts", "histories").rows
    if suffix == ".npy":
        found = read_numbers(path, "histories")
        if found.ndim != 2 or found.dtype.kind not in "iu":
            raise UsageError(f"histories {path}: {found.dtype} of shape {found.shape}, not tokens")
        return found
    from ..study.inputs import lines

    names = {name: j for j, name in enumerate(tokens or ())}
    return [
        _history(line, names, f"histories {path}, line {number}")
        for number, line in enumerate(lines(path, "histories"), start=1)
    ]


def _history(line: str, names: dict[str, int], where: str) -> list[int]:
    """The columns of one line: white space between them, or a JSON list."""
    items: Sequence[Any] = line.split()
    if line.lstrip().startswith("["):
        try:
            items = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{where} is not JSON: {error}") from error
    found = []
    for item in items:
        if isinstance(item, str) and item in names:
            found.append(names[item])
        elif not isinstance(item, bool) and re.fullmatch(r"\d{1,18}", str(item)):
            found.append(int(item))
        else:
            raise UsageError(
                f"{where}: {item!r:.60} is neither the number nor the name of a column"
            )
    return found


def read_labels(path: str, n: int) -> list[str]:
    """A label for each of `n` histories."""
    from ..study.inputs import lines

    found = list(lines(path, "groups file"))
    if len(found) != n:
        raise UsageError(f"groups file {path} has {len(found)} lines for {n} histories")
    return found
