"""The columns of the rows: every token of the model, or groups of them called answers.

Contents
    Columns            what the columns are, and how the model's rows become theirs
    make_columns       from the `vocab` argument of `collect`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._core import log_probs, lump_log_probs
from .spellings import token_names

Spelling = str | int
Vocab = Mapping[str, Spelling | Sequence[Spelling]] | Sequence[Spelling]
Other = Literal["keep", "renormalize"]

OTHER = "<other>"
UNUSED = "<unused>"


@dataclass(frozen=True)
class Columns:
    """What the columns of the rows are.

    Attributes
    ----------
    tokens
        Their names; None where there is no tokenizer to give them.
    token_ids
        The model's id of each column; -1 for a column of several ids.
    groups
        The column of each of the model's ids, (width,); None where the columns are the ids.
    members
        The ids of each answer, by name.
    rest
        The name of the last column if it gathers what no answer has, else None.
    drop_rest
        Leave the last column out, and renormalize the others.
    """

    tokens: tuple[str, ...] | None
    token_ids: NDArray[np.int64]
    groups: NDArray[np.intp] | None = None
    members: dict[str, list[int]] = field(default_factory=dict)
    rest: str | None = None
    drop_rest: bool = False

    def __len__(self) -> int:
        return len(self.token_ids)

    @property
    def width(self) -> int:
        """How many ids the model's rows have."""
        return len(self.token_ids) if self.groups is None else len(self.groups)

    @property
    def n_rest(self) -> int:
        """How many ids the last column gathers, or gathered before it was dropped."""
        last = len(self) if self.drop_rest else len(self) - 1
        return 0 if self.groups is None or not self.rest else int((self.groups == last).sum())

    def apply(
        self, rows: NDArray[np.floating]
    ) -> tuple[NDArray[np.floating], NDArray[np.float64] | None]:
        """Rows over the model's ids (n, width) as rows over these columns, and the rest's share.

        Probabilities are summed as logarithms, so what is small is not lost.
        """
        if self.groups is None:
            return rows, None
        lumped = lump_log_probs(rows, self.groups, len(self) + self.drop_rest)
        if self.rest is None:
            return lumped, None
        share = np.exp(lumped[:, -1].astype(np.float64))
        if not self.drop_rest:
            return lumped, share
        return log_probs(np.ascontiguousarray(lumped[:, :-1]), kind="logits"), share


def make_columns(tokenizer: Any, vocab: Vocab | None, width: int, other: Other = "keep") -> Columns:
    """The columns that `vocab` asks for, of a model whose logits are `width` wide.

    Parameters
    ----------
    tokenizer
        Encodes spellings and names ids; None where `vocab` holds ids or is None.
    vocab
        None for every token; answers by name, each one spelling or several; or a list of
        spellings, each its own answer.  A spelling is text or a token id.
    width
        The width of the model's logits, which has the last word on what ids there are.
    other
        Keep what no answer has in a last column, or drop it and renormalize.

    Raises
    ------
    ValueError, TypeError
        A spelling is not one token, belongs to two answers, or there are none.
    """
    if other not in ("keep", "renormalize"):
        raise ValueError(f"other={other!r} is neither 'keep' nor 'renormalize'")
    names = token_names(tokenizer, width)
    if vocab is None:
        if other != "keep":
            raise ValueError("other='renormalize' needs vocab: without it no token is dropped")
        return _every_token(names, width)
    members = _members(tokenizer, vocab, names, width)
    groups = np.full(width, len(members), dtype=np.intp)
    for column, ids in enumerate(members.values()):
        groups[ids] = column
    rest = OTHER if sum(map(len, members.values())) < width else None
    drop = rest is not None and other == "renormalize"
    tokens = (*members, OTHER) if rest and not drop else tuple(members)
    single = [ids[0] if len(ids) == 1 else -1 for ids in members.values()]
    token_ids = np.asarray(single + [-1] * (len(tokens) - len(single)), dtype=np.int64)
    if len(tokens) == 1:
        raise ValueError(f"vocab leaves the single column {tokens[0]!r}, which says nothing")
    return Columns(tokens, token_ids, groups, members, rest, drop)


def _every_token(names: list[str | None], width: int) -> Columns:
    """A column per named id; the ids without a name, if any, in one last column."""
    ids = [i for i, name in enumerate(names) if name is not None]
    if len(ids) in (0, width):  # no tokenizer, or one that names them all
        tokens = tuple(name for name in names if name is not None) or None
        return Columns(tokens, np.arange(width, dtype=np.int64))
    rest = UNUSED
    taken = set(names)
    while rest in taken:
        rest = f"<{rest}>"
    groups = np.full(width, len(ids), dtype=np.intp)
    groups[ids] = np.arange(len(ids))
    tokens = (*(str(names[i]) for i in ids), rest)
    return Columns(tokens, np.asarray([*ids, -1], dtype=np.int64), groups, {}, rest)


# ---------------------------------------------------------------------------
# Answers
# ---------------------------------------------------------------------------


def _members(
    tokenizer: Any, vocab: Vocab, names: list[str | None], width: int
) -> dict[str, list[int]]:
    """The ids of each answer, by name; no id in two answers."""
    if isinstance(vocab, str):
        raise TypeError(f"vocab is one string; write [{vocab!r}, ...] or {{name: spellings}}")
    answers = vocab if isinstance(vocab, Mapping) else _by_name(vocab, names)
    if not answers:
        raise ValueError("vocab is empty; leave it out to keep every token")
    members: dict[str, list[int]] = {}
    owner: dict[int, str] = {}
    for answer, given in answers.items():
        if not isinstance(answer, str):
            raise TypeError(f"an answer's name is a string, not {answer!r}")
        if answer == OTHER:
            raise ValueError(f"{OTHER!r} is the name of what no answer has; choose another")
        spellings = [given] if isinstance(given, (str, int, np.integer)) else list(given)
        if not spellings:
            raise ValueError(f"answer {answer!r} has no spellings")
        ids = [_id_of(tokenizer, spelling, answer, width) for spelling in spellings]
        for i, spelling in zip(ids, spellings, strict=True):
            if owner.setdefault(i, answer) != answer:
                raise ValueError(
                    f"{spelling!r} (token {i}) is in two answers, {owner[i]!r} and {answer!r}: "
                    "take it out of one"
                )
        members[answer] = sorted(set(ids))
    return members


def _by_name(vocab: Sequence[Spelling], names: list[str | None]) -> dict[str, Spelling]:
    """A list of spellings as answers: text is its own name, an id has the vocabulary's."""
    answers: dict[str, Spelling] = {}
    for spelling in vocab:
        if isinstance(spelling, str):
            name = spelling
        elif isinstance(spelling, (int, np.integer)):
            known = names[spelling] if 0 <= spelling < len(names) else None
            name = known if known is not None else f"<{spelling}>"
        else:
            raise TypeError(f"vocab holds {spelling!r}; a spelling is text or a token id")
        if name in answers:
            raise ValueError(f"vocab holds {name!r} twice")
        answers[name] = spelling
    return answers


def _id_of(tokenizer: Any, spelling: Spelling, answer: str, width: int) -> int:
    """The one token that a spelling is."""
    if isinstance(spelling, (int, np.integer)) and not isinstance(spelling, bool):
        if not 0 <= spelling < width:
            raise ValueError(f"answer {answer!r}: the model has no token {spelling} (of {width})")
        return int(spelling)
    if not isinstance(spelling, str):
        raise TypeError(f"answer {answer!r}: {spelling!r} is neither text nor a token id")
    if tokenizer is None:
        raise TypeError(f"answer {answer!r}: {spelling!r} needs a tokenizer; give its token id")
    try:
        ids = tokenizer.encode(spelling, add_special_tokens=False)
    except Exception as error:  # a backend of Rust raises plain Exception
        raise ValueError(f"answer {answer!r}: {spelling!r} is not in the vocabulary") from error
    if len(ids) != 1:
        _refuse_pieces(tokenizer, spelling, answer, ids)
    if ids[0] == tokenizer.unk_token_id and spelling != tokenizer.unk_token:
        raise ValueError(
            f"answer {answer!r}: {spelling!r} is not in the vocabulary (it becomes "
            f"{tokenizer.unk_token!r})"
        )
    if ids[0] >= width:
        raise ValueError(
            f"answer {answer!r}: {spelling!r} is token {ids[0]}, and the model's logits are "
            f"{width} wide: do tokenizer and model belong together?"
        )
    return int(ids[0])


def _refuse_pieces(tokenizer: Any, spelling: str, answer: str, ids: Sequence[int]) -> None:
    """Raise the error for a spelling of no token or of several."""
    pieces = tokenizer.convert_ids_to_tokens(list(ids))
    raise ValueError(
        f"answer {answer!r}: {spelling!r} is {len(ids)} tokens, {pieces}, and a row is about one "
        "token: use a spelling that is a single token (often with a space in front, as in "
        f"{' ' + spelling.strip()!r}), or give the id of its first piece"
        + (f", {int(ids[0])}" if len(ids) else "")
    )
