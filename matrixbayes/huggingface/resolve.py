"""From the spellings of an answer to tokens: what the text holds, what a name or an id says.

Contents
    Chosen    the tokens that a spelling may be
    choose    those of all spellings of one answer

One rule.  A whole number is a token id, and a tuple of them tokens in a row.  Text is the tokens
that the text of every prompt holds where it follows.  If those are not one token, and the
vocabulary has a piece of just that name (`'Ġyes'`, `'▁yes'`, `'<0x0A>'`, `'##ing'`), it is the
piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from .._base.arguments import shown
from .boundary import Boundary, Context, Pieces
from .spellings import raw_pieces, token_names


class Chosen:
    """The tokens that a spelling may be.

    Parameters
    ----------
    tokenizer
        Encodes texts and names ids; None where all spellings are ids.
    width
        The width of the model's logits.
    boundary
        What the text holds after each prompt.
    """

    def __init__(self, tokenizer: Any, width: int, boundary: Boundary) -> None:
        self.tokenizer, self.width, self.boundary = tokenizer, width, boundary

    @cached_property
    def names(self) -> list[str | None]:
        """The text of each id."""
        return token_names(self.tokenizer, self.width)

    @cached_property
    def _named(self) -> dict[str, int]:
        """The id of each name, as text and as the vocabulary writes it."""
        found: dict[str, int] = {}
        for i, piece in enumerate(raw_pieces(self.tokenizer, self.width)):
            part = "<0x" in str(self.names[i])  # of a character: as text it is another one
            if piece is not None and (not part or piece.startswith("<0x")):
                found.setdefault(piece, i)
        return found

    def name_of(self, token: int) -> str:
        """The name of an id."""
        name = self.names[token] if 0 <= token < self.width else None
        return f"<{token}>" if name is None else name

    def named(self, spelling: str, as_text: bool) -> Pieces | None:
        """The token of that name; `as_text` says whether a name that is text is meant, too."""
        token = self._named.get(spelling)
        if token is None and (as_text or "<0x" in spelling or "#" in spelling):
            token = self.names.index(spelling) if spelling in self.names else None
        return None if token is None else (token,)

    def shown(self, pieces: Sequence[int]) -> str:
        """Tokens in words."""
        return ", ".join(repr(self.name_of(i)) for i in pieces)

    def given(self, spelling: Any, answer: str) -> Pieces:
        """Token ids that the caller wrote."""
        ids = spelling if isinstance(spelling, tuple) and spelling else (spelling,)
        for i in ids:
            if isinstance(i, bool) or not isinstance(i, (int, np.integer)):
                raise TypeError(
                    f"answer {shown(answer)}: {shown(spelling)} is neither text nor a token id"
                )
            if not 0 <= i < self.width:
                raise ValueError(
                    f"answer {shown(answer)}: the model has no token {i} (of {self.width})"
                )
        return tuple(int(i) for i in ids)

    def check(self, pieces: Pieces, spelling: str, answer: str) -> None:
        """Refuse text that the vocabulary lacks, and tokens that the model lacks."""
        unknown, name = (getattr(self.tokenizer, f"unk_token{end}", None) for end in ("_id", ""))
        if unknown in pieces and spelling != name:
            raise ValueError(
                f"answer {shown(answer)}: {shown(spelling)} is not in the vocabulary (it "
                f"becomes {name!r})"
            )
        if max(pieces) >= self.width:
            raise ValueError(
                f"answer {shown(answer)}: {shown(spelling)} is token {max(pieces)}, and the "
                "model's logits "
                f"are {self.width} wide: do tokenizer and model belong together?"
            )


def choose(
    chosen: Chosen, answer: str, spellings: Sequence[Any]
) -> tuple[dict[Any, Pieces], list[str]]:
    """The tokens of each spelling of an answer, and what of that needs to be said.

    After each prompt one of the spellings at least must be what the text holds.

    Raises
    ------
    ValueError, TypeError
        There are none such, or others after one prompt than after another.
    """
    found: dict[Any, Pieces] = {}
    missed: dict[str, list[Context]] = {}
    alone: dict[str, Pieces | None] = {}
    for spelling in spellings:
        if not isinstance(spelling, str):
            found[spelling] = chosen.given(spelling, answer)
        elif chosen.tokenizer is None:
            raise TypeError(
                f"answer {shown(answer)}: {spelling!r} needs a tokenizer; give its token id"
            )
        elif spelling not in alone:
            alone[spelling] = chosen.boundary.alone(spelling)
            pieces, missed[spelling] = _held(chosen, answer, spelling, alone[spelling])
            if pieces is not None:
                chosen.check(pieces, spelling, answer)
                found[spelling] = pieces
    # A context that one of the spellings fits needs no other; ids are the caller's own word.
    if missed and all(missed.values()) and len(alone) == len(set(spellings)):
        open_ = set.intersection(*(set(contexts) for contexts in missed.values()))
        if open_:
            context = next(c for c in chosen.boundary.contexts if c in open_)
            _refuse(chosen, answer, next(iter(missed)), context)
    return found, _notes(chosen, answer, found, alone)


def _held(
    chosen: Chosen, answer: str, spelling: str, alone: Pieces | None
) -> tuple[Pieces | None, list[Context]]:
    """The tokens of a text, and the contexts after which the text does not hold them."""
    boundary = chosen.boundary
    if alone == ():
        raise ValueError(f"answer {shown(answer)}: {shown(spelling)} is no token at all")
    after = list(zip(boundary.contexts, boundary.after(spelling), strict=True))
    if not after:
        after = [] if alone is None else [(Context("", (), "alone"), alone)]
    different: dict[Pieces, Context] = {}
    for context, pieces in after:
        if pieces:
            different.setdefault(pieces, context)
    if set(map(len, different)) != {1} and alone is not None and len(alone) != 1:
        named = chosen.named(spelling, as_text=not boundary.contexts)
        if named is not None:
            return named, []
    if len(different) > 1:
        (one, first), (two, second) = list(different.items())[:2]
        raise ValueError(
            f"answer {shown(answer)}: after {first} the text goes on with {chosen.shown(one)} "
            "where "
            f"{shown(spelling)} follows, and after {second} with {chosen.shown(two)}: end all "
            "prompts "
            f"alike, or give the token ids that count, here {list(one)} and {list(two)}"
        )
    missed = [context for context, pieces in after if not pieces]
    if different:
        return next(iter(different)), missed
    if alone is None:
        raise ValueError(f"answer {shown(answer)}: {shown(spelling)} is not in the vocabulary")
    return (alone if len(alone) == 1 else None), missed


def _refuse(chosen: Chosen, answer: str, spelling: str, context: Context) -> None:
    """Raise the error for a spelling that a prompt's text does not go on with."""
    (whole,) = chosen.boundary.after(spelling, [Context(context.text, (), context.name)])
    seam = 0
    for before, now in zip(context.ids, whole or (), strict=False):
        if before != now:
            break
        seam += 1
    holds = chosen.shown((whole or ())[seam:][:6])
    bare = spelling.strip()
    ways = []
    if context.text.endswith((" ", "\t")):
        ways.append(
            f"take the space off the end of the prompt and put it in front of the answer, "
            f"{' ' + bare!r}"
        )
    for way in (f" {bare}", bare):
        (pieces,) = chosen.boundary.after(way, [context]) if way != spelling else (None,)
        if pieces and not ways:
            ways.append(f"write {way!r}, which the text does hold there")
    ways.append("give the ids of the tokens that you mean")
    raise ValueError(
        f"answer {shown(answer)}: after {context} no row is about {shown(spelling)}, since the "
        "tokens at "
        f"the seam are others where it follows ({holds}): {', or '.join(ways)}"
    )


def _notes(
    chosen: Chosen,
    answer: str,
    found: dict[Any, Pieces],
    alone: dict[str, Pieces | None],
) -> list[str]:
    """What a spelling was taken for, where by itself it is another token."""
    said = []
    for spelling, own in alone.items():
        pieces = found.get(spelling)
        if own is None or len(own) != 1 or pieces is None or own == pieces:
            continue
        if own in found.values():
            continue
        said.append(
            f"answer {answer!r}: where {spelling!r} follows the prompts, the text holds "
            f"{chosen.shown(pieces)} ({_ids(pieces)}), which is counted, and not "
            f"{chosen.shown(own)} ({_ids(own)}), as {spelling!r} is by itself: add {own[0]} to the "
            "spellings if it is an answer too"
        )
    return said


def _ids(pieces: Pieces) -> str:
    """The numbers of tokens."""
    return ("token " if len(pieces) == 1 else "tokens ") + ", ".join(map(str, pieces))
