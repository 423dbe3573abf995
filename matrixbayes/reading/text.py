"""Which text rows are of: its tokens, and the row that predicts each of them.

Contents
    Text        the tokens of a text, beside rows
    text_of     the text that rows are of; an error where they are of several, or of none
    readable    names of tokens as the text that they are
    words       whether names of tokens lack the spaces between them
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._base.arguments import shown
from .._base.pieces import SPACE, bytes_of, text_of_bytes
from .._base.tokens import Names
from .._base.typing import Ids
from ..huggingface.answers import OTHER, UNUSED
from ..huggingface.spellings import token_names

SHARE = 0.05  # of the names begin with a mark, where it is how a vocabulary writes a space
GAP = "…"  # stands for tokens that are not known
REMEDY = (
    'collect(model, tokenizer, [text], positions="all") makes rows of which that is known, and so '
    "do records of what a model wrote"
)


@dataclass(frozen=True)
class Text:
    """The T tokens of a text.

    Attributes
    ----------
    names
        What each is; `GAP` where tokens are missing.
    rows
        The number of the row that predicts each, -1 where there is none.
    columns
        The column of each in the rows, -1 where it has none.
    special
        Whether each is no text, but begins or ends one.
    positions
        Of each in its prompt, as the rows count them.
    spaced
        Whether the names lack the spaces between them.
    """

    names: list[str]
    rows: Ids
    columns: Ids
    special: list[bool]
    positions: Ids
    spaced: bool


def text_of(rows: Any, tokenizer: Any = None, prompt: int | None = None) -> Text:
    """The text that rows are of.

    Raises
    ------
    ValueError
        They are of several texts, or of one that is not known.
    """
    kept = _of_prompt(rows, prompt)
    if len(kept) == 0:
        raise ValueError("there are no rows")
    known = rows.input_ids is not None
    keys, numbers, positions = (_by_context if known else _by_record)(rows, kept)
    columns = np.array([-1] * len(keys), dtype=np.int64)
    place = _places(rows)
    for t, key in enumerate(keys):
        columns[t] = -1 if key is None else place(key)
    if (columns[numbers >= 0] < 0).all():
        raise ValueError(
            "no token of the text is a column of these rows: they are over answers that it does "
            "not give, or over others than those that are named"
        )
    return _named(rows, tokenizer, keys, numbers, columns, positions)


def _named(
    rows: Any, tokenizer: Any, keys: list[Any], numbers: Ids, columns: Ids, positions: Ids
) -> Text:
    """The text of these tokens, with their names."""
    ids = [key for key in keys if key is not None and not isinstance(key, str)]
    special = set(getattr(tokenizer, "all_special_ids", None) or ())
    own: list[str | None] | None = None
    if tokenizer is not None and ids:
        own = token_names(tokenizer, max(ids) + 1)
    vocabulary = own if own is not None else rows.tokens
    single = _single_columns(rows)
    plain = readable(rows.tokens)
    names, marks = [], []
    for key, column in zip(keys, columns.tolist(), strict=True):
        name: str | None = GAP if key is None else key if isinstance(key, str) else None
        if name is None and own is not None:
            name = own[key]
        elif name is None and column >= 0 and single[column] and rows.tokens is not None:
            name = plain(rows.tokens[column])
        names.append(f"<{key}>" if name is None else name)
        marks.append(key in special if tokenizer is not None else _looks_special(names[-1]))
    spaced = not getattr(rows, "is_open", False) and words(vocabulary)
    return Text(names, numbers, columns, marks, positions, spaced)


def readable(names: Sequence[str | None] | None) -> Any:
    """What makes the text of a name, where a vocabulary is named by its pieces."""
    some = [name for name in names or () if name]
    if _begin(some, "Ġ"):

        def read(name: str) -> str:
            raw = None if name.isascii() else bytes_of(name)
            return name if raw is None else text_of_bytes(raw)

        return read
    if _begin(some, SPACE):
        return lambda name: name.replace(SPACE, " ")
    return lambda name: name


def _begin(names: list[str], mark: str) -> bool:
    return bool(names) and sum(name.startswith(mark) for name in names) >= SHARE * len(names)


def words(names: Sequence[str | None] | None) -> bool:
    """Whether no name begins or ends with a space, so that there must be some between them."""
    return not any(
        name and (name[0].isspace() or name[-1].isspace() or name[0] in "Ġ▁")
        for name in names or ()
    )


def _looks_special(name: str) -> bool:
    """Whether a name is that of a beginning or an end, where no tokenizer says which are."""
    inside = (name[:1], name[-1:]) in (("<", ">"), ("[", "]"))
    return inside and len(name) > 2 and not name.startswith("<0x") and not name[1:-1].isdecimal()


# -- which tokens -------------------------------------------------------------


def _of_prompt(rows: Any, prompt: int | None) -> list[int]:
    """The numbers of the rows of one prompt."""
    prompts = rows.meta.get("prompt")
    choices = rows.meta.get("choice")
    if not isinstance(prompts, list):
        if prompt is not None:
            raise ValueError("these rows do not say which prompt they are of: leave prompt out")
        return list(range(len(rows)))
    kept = list(range(len(rows)))
    if prompt is not None:
        kept = [i for i in kept if prompts[i] == prompt]
        if not kept:
            raise ValueError(f"there is no row of prompt {shown(prompt)}; {_those(prompts)}")
    if len({prompts[i] for i in kept}) > 1:
        raise ValueError(f"the rows are not of one text: {_those(prompts)}; say prompt=")
    if isinstance(choices, list) and len({choices[i] for i in kept}) > 1:
        raise ValueError(
            "the rows are not of one text: their record has several choices; keep one, "
            "rows[np.array(rows.meta['choice']) == 0]"
        )
    return kept


def _those(prompts: list[Any]) -> str:
    """Which prompts there are."""
    known = list(dict.fromkeys(prompts))
    if known == list(range(len(known))) and len(known) > 2:
        return f"they are of prompts 0 to {len(known) - 1}"
    return "they are of prompts " + ", ".join(map(str, known[:8])) + ", ..." * (len(known) > 8)


def _by_context(rows: Any, kept: list[int]) -> tuple[list[Any], Ids, Ids]:
    """Tokens, rows and positions from contexts: each continues the one before."""
    sampled = rows.meta.get("sampled")
    order = sorted(kept, key=lambda i: int(rows.offsets[i + 1] - rows.offsets[i]))
    text: list[Any] = rows.context(order[-1]).tolist()
    longest = np.array(text, dtype=np.int64)
    found: dict[int, int] = {}
    for i in order:
        own = rows.context(i)
        if not np.array_equal(own, longest[: len(own)]):
            raise ValueError(
                f"the rows are not of one text: row {i} continues other tokens than row "
                f"{order[-1]} does"
            )
        if len(own) in found:
            raise ValueError(f"rows {found[len(own)]} and {i} are at the same place of the text")
        found[len(own)] = i
    after = None if sampled is None else sampled[order[-1]]
    if after is not None:
        text.append(after)
    for place, i in found.items():
        says = None if sampled is None or place >= len(text) else sampled[i]
        if says is not None and not isinstance(says, str) and says != text[place]:
            raise ValueError(f"the rows are not of one text: after row {i} comes another token")
    numbers = np.array([found.get(t, -1) for t in range(len(text))], dtype=np.int64)
    if (numbers < 0).all():
        raise ValueError(f"no row is followed by a token that is known: {REMEDY}")
    return text, numbers, np.arange(len(text))


def _by_record(rows: Any, kept: list[int]) -> tuple[list[Any], Ids, Ids]:
    """Tokens, rows and positions from what records say came next."""
    sampled, positions = (rows.meta.get(name) for name in ("sampled", "position"))
    if sampled is None or all(sampled[i] is None for i in kept):
        raise ValueError(f"the rows do not say which token follows each of them: {REMEDY}")
    places = positions if positions is not None else list(range(len(rows)))
    order = sorted(kept, key=lambda i: places[i])
    while sampled[order[-1]] is None:  # nothing came after it
        order.pop()
    keys: list[Any] = []
    numbers: list[int] = []
    found: list[int] = []
    for i in order:
        if found and places[i] == found[-1]:
            raise ValueError(f"rows {numbers[-1]} and {i} are at the same place of the text")
        if found and places[i] > found[-1] + 1:
            keys.append(None)
            numbers.append(-1)
            found.append(places[i] - 1)
        keys.append(sampled[i])
        numbers.append(i)
        found.append(places[i])
    return keys, np.array(numbers, dtype=np.int64), np.array(found, dtype=np.int64)


# -- which columns ------------------------------------------------------------


def _single_columns(rows: Any) -> list[bool]:
    """Whether each column is one token, and has its name."""
    if rows.token_ids is None:
        return [True] * rows.n_tokens
    return [bool(i >= 0) for i in rows.token_ids]


def _places(rows: Any) -> Any:
    """What finds the column of a token, an id or a text; -1 where it has none."""
    names: Names | None = rows.tokens
    by_name = {} if names is None else {name: j for j, name in enumerate(names)}
    groups = rows.meta.get("groups")
    if rows.token_ids is None:
        width = rows.n_tokens - (names is not None and names[-1] in (OTHER, UNUSED))
        return lambda key: (
            by_name.get(key, -1) if isinstance(key, str) else key if 0 <= key < width else -1
        )
    by_id = {int(i): j for j, i in enumerate(rows.token_ids) if i >= 0}
    for name, ids in (groups or {}).items():
        by_id |= {i: by_name[name] for i in ids if not isinstance(i, list) and name in by_name}
    # What is in no column is among the rest only where all that is not is known.
    whole = names is not None and names[-1] in (OTHER, UNUSED) and rows.token_ids[-1] < 0
    chains = any(isinstance(i, list) for ids in (groups or {}).values() for i in ids)
    known = (bool(groups) and not chains) or bool((rows.token_ids[:-1] >= 0).all())
    rest = rows.n_tokens - 1 if whole and known else -1
    return lambda key: by_name.get(key, -1) if isinstance(key, str) else by_id.get(key, rest)
