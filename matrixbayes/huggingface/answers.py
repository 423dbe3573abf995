"""The columns of the rows: every token of the model, or groups of them called answers.

Contents
    Columns            what the columns are, and how the model's rows become theirs
    make_columns       from the `vocab` argument of `collect`
    columns_after      the same, where its spellings follow prompts
    count_spellings    how many texts there are in it

Which token a spelling is, is asked of the text that it ends: `boundary`.  Answers of several tokens
have columns too; their rows are put together in `chains`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._base.arguments import shown
from .._core import log_probs, lump_log_probs
from .boundary import Boundary, Context, Pieces, contexts_of
from .prompts import Positions, Prompt, untouched
from .resolve import Chosen, choose
from .spellings import token_names

Spelling = str | int | tuple[int, ...]
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
        The ids of each answer, by name; several tokens in a row are a list of them.
    rest
        The name of the last column if it gathers what no answer has, else None.
    drop_rest
        Leave the last column out, and renormalize the others.
    chains
        The tokens of each spelling of each answer, where some are of several: a row of the model
        is then not enough, and `groups` is None.
    notes
        What was taken for what, where that is not what the spelling is alone.
    """

    tokens: tuple[str, ...] | None
    token_ids: NDArray[np.int64]
    groups: NDArray[np.intp] | None = None
    members: dict[str, list[Any]] = field(default_factory=dict)
    rest: str | None = None
    drop_rest: bool = False
    chains: tuple[tuple[Pieces, ...], ...] | None = None
    notes: tuple[str, ...] = ()

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


def make_columns(
    tokenizer: Any,
    vocab: Vocab | None,
    width: int,
    other: Other = "keep",
    contexts: Sequence[Context] = (),
    *,
    several: bool = False,
) -> Columns:
    """The columns that `vocab` asks for, of a model whose logits are `width` wide.

    Parameters
    ----------
    tokenizer
        Encodes spellings and names ids; None where `vocab` holds ids or is None.
    vocab
        None for every token; answers by name, each one spelling or several; or a list of
        spellings, each its own answer.  A spelling is text, a token id, or a tuple of the ids of
        several tokens in a row.
    width
        The width of the model's logits, which has the last word on what ids there are.
    other
        Keep what no answer has in a last column, or drop it and renormalize.
    contexts
        What the spellings follow.
    several
        Whether an answer may be several tokens, which a row alone does not say.

    Raises
    ------
    ValueError, TypeError
        A spelling is no token after one of the contexts, belongs to two answers, or there are
        none.
    """
    if other not in ("keep", "renormalize"):
        raise ValueError(f"other={shown(other)} is neither 'keep' nor 'renormalize'")
    if vocab is None:
        if other != "keep":
            raise ValueError("other='renormalize' needs vocab: without it no token is dropped")
        return _every_token(token_names(tokenizer, width), width)
    members, notes = _members(vocab, Chosen(tokenizer, width, Boundary(tokenizer, contexts)))
    single = {i for spelled in members.values() for (i, *more) in spelled if not more}
    chained = any(len(pieces) > 1 for spelled in members.values() for pieces in spelled)
    if chained and not several:
        _refuse_several(members, token_names(tokenizer, width))
    rest = OTHER if chained or len(single) < width else None
    drop = rest is not None and other == "renormalize"
    tokens = (*members, OTHER) if rest and not drop else tuple(members)
    if len(tokens) == 1:
        raise ValueError(f"vocab leaves the single column {tokens[0]!r}, which says nothing")
    alone = [pieces[0] for pieces in members.values()]
    only = [len(pieces) == 1 and len(pieces[0]) == 1 for pieces in members.values()]
    token_ids = np.full(len(tokens), -1, dtype=np.int64)
    token_ids[: len(members)] = [
        first[0] if one else -1 for first, one in zip(alone, only, strict=True)
    ]
    listed = {
        name: [pieces[0] if len(pieces) == 1 else list(pieces) for pieces in spelled]
        for name, spelled in members.items()
    }
    if chained:
        chains = tuple(tuple(spelled) for spelled in members.values())
        return Columns(tokens, token_ids, None, listed, rest, drop, chains, notes)
    groups = np.full(width, len(members), dtype=np.intp)
    for column, ids in enumerate(listed.values()):
        groups[ids] = column
    return Columns(tokens, token_ids, groups, listed, rest, drop, None, notes)


def _refuse_several(members: Mapping[str, Sequence[Pieces]], names: Sequence[str | None]) -> None:
    """Raise the error for an answer of several tokens, where rows are about one."""
    for answer, spelled in members.items():
        for pieces in spelled:
            if len(pieces) > 1:
                shown = ", ".join(repr(names[i]) for i in pieces)
                raise ValueError(
                    f"answer {answer!r} is {len(pieces)} tokens ({shown}), and a row here is about "
                    "one token: choose an answer that is one, or give a token id, as the first of "
                    f"these, {pieces[0]}"
                )


def columns_after(
    tokenizer: Any,
    prompts: Sequence[Any],
    encoded: Mapping[int, Prompt],
    positions: Positions,
    vocab: Vocab | None,
    other: Other,
    width: int,
) -> Columns:
    """`make_columns`, where the spellings follow the rows of encoded prompts."""
    spellings = count_spellings(vocab)
    with untouched(tokenizer):
        contexts: Sequence[Context] = ()
        if spellings:
            contexts = contexts_of(tokenizer, prompts, encoded, positions, spellings)
        return make_columns(tokenizer, vocab, width, other, contexts, several=True)


def count_spellings(vocab: Vocab | None) -> int:
    """How many texts `vocab` holds."""
    answers = vocab.values() if isinstance(vocab, Mapping) else () if vocab is None else [vocab]
    return sum(
        1 if isinstance(given, str) else sum(isinstance(s, str) for s in given)
        for given in answers
        if isinstance(given, (str, list, tuple))
    )


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


def _members(vocab: Vocab, chosen: Chosen) -> tuple[dict[str, list[Pieces]], tuple[str, ...]]:
    """The tokens of each spelling of each answer, by name, none in two answers; and notes."""
    if isinstance(vocab, str):
        raise TypeError(f"vocab is one string; write [{shown(vocab)}, ...] or {{name: spellings}}")
    answers = vocab if isinstance(vocab, Mapping) else _by_name(vocab, chosen)
    if not answers:
        raise ValueError("vocab is empty; leave it out to keep every token")
    members: dict[str, list[Pieces]] = {}
    owner: dict[Pieces, str] = {}
    notes: list[str] = []
    for answer, given in answers.items():
        if not isinstance(answer, str):
            raise TypeError(f"an answer's name is a string, not {answer!r}")
        if answer == OTHER:
            raise ValueError(f"{OTHER!r} is the name of what no answer has; choose another")
        several = [given] if isinstance(given, (str, int, np.integer)) else list(given)
        spellings = [tuple(s) if isinstance(s, list) else s for s in several]
        if not spellings:
            raise ValueError(f"answer {answer!r} has no spellings")
        found, said = choose(chosen, answer, spellings)
        notes += said
        for spelling, pieces in found.items():
            if owner.setdefault(pieces, answer) != answer:
                which = f"token {pieces[0]}" if len(pieces) == 1 else f"tokens {list(pieces)}"
                raise ValueError(
                    f"{spelling!r} ({which}) is in two answers, {owner[pieces]!r} and {answer!r}: "
                    "take it out of one"
                )
        members[answer] = sorted(set(found.values()))
    return members, tuple(notes)


def _by_name(vocab: Sequence[Spelling], chosen: Chosen) -> dict[str, Spelling]:
    """A list of spellings as answers: text is its own name, an id has that of its token."""
    answers: dict[str, Spelling] = {}
    for spelling in vocab:
        if isinstance(spelling, str):
            name = spelling
        elif isinstance(spelling, (int, np.integer)):
            name = chosen.name_of(int(spelling))
        elif isinstance(spelling, tuple):
            name = "".join(map(chosen.name_of, spelling))
        else:
            raise TypeError(f"vocab holds {spelling!r}; a spelling is text or a token id")
        if name in answers:
            raise ValueError(f"vocab holds {name!r} twice")
        answers[name] = spelling
    return answers
