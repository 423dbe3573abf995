"""The answers of demonstrations as the text of the demonstrations holds them.

Contents
    held        the tokens of each answer, in the places where answers are shown
    readable    spellings as the text to show: ids and names of pieces too

An answer stands in a text behind what is before it, with or without a space.  What is counted as it
are the tokens that the text holds there, not those of its spelling alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.arguments import shown
from ..huggingface.boundary import MOST, Boundary, Context, Pieces, contexts_of
from ..huggingface.prompts import Prompt, untouched
from ..huggingface.resolve import Chosen

if TYPE_CHECKING:
    from .texts import Encode, Shots

LOOKED_AT = 1000  # places, those with different ends first


@dataclass(frozen=True)
class _Place:
    """Where an answer comes: the space before it, and which is shown, if one is."""

    lead: str | None
    answer: str | None
    name: str


def held(
    tokenizer: Any,
    encode: Encode,
    shots: Sequence[Shots],
    vocab: Mapping[str, Sequence[Any]],
) -> dict[str, list[Any]]:
    """The answers of `vocab` by the tokens that stand for them along demonstrations.

    Token ids, and names of pieces, stay; each text becomes the tokens that it is behind the space
    that the demonstrations have there.  Several are a tuple.

    Raises
    ------
    ValueError
        The text does not hold an answer where it is shown, or anywhere.
    """
    texts = [sequence for sequence in shots if all(isinstance(p, str) for p in sequence.prompts)]
    if tokenizer is None or not texts:
        return {name: list(spellings) for name, spellings in vocab.items()}
    prompts, places = _places(texts)
    ids = [np.asarray(encode(text), dtype=np.int64) for text in prompts]
    encoded = {i: Prompt(own, np.array([len(own) - 1])) for i, own in enumerate(ids) if len(own)}
    contexts = contexts_of(tokenizer, prompts, encoded, "last", MOST // LOOKED_AT)
    numbers = [int(context.name.split()[1]) for context in contexts]
    chosen = Chosen(tokenizer, len(tokenizer), Boundary(tokenizer, contexts))
    found: dict[str, list[Any]] = {}
    with untouched(tokenizer):
        for name, spellings in vocab.items():
            named = [_by_name(chosen, spelling) for spelling in spellings]
            own = [s for s, id_ in zip(spellings, named, strict=True) if id_ is None]
            kept: list[Any] = [id_ for id_ in named if id_ is not None]
            fits = [False] * len(contexts)
            for form in _forms(own):
                for j, pieces in enumerate(_after(chosen, contexts, numbers, places, form)):
                    if pieces:
                        fits[j] = True
                        kept.append(pieces[0] if len(pieces) == 1 else pieces)
            for context, i, fit in zip(contexts, numbers, fits, strict=True):
                if own and not fit and (places[i].answer == name or not any(fits)):
                    _refuse(chosen, name, own[0], context, places[i])
            found[name] = list(dict.fromkeys(kept)) or list(spellings)
    return found


def readable(tokenizer: Any, vocab: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    """The spellings of each answer as text: an id is that of its token."""
    chosen: Chosen | None = None
    found: dict[str, list[str]] = {}
    for name, spellings in vocab.items():
        texts = []
        for spelling in spellings:
            text = spelling
            if tokenizer is not None:
                chosen = chosen or Chosen(tokenizer, len(tokenizer), Boundary(tokenizer))
                ids = _by_name(chosen, spelling)
                if ids is not None:
                    own = ids if isinstance(ids, tuple) else (ids,)
                    text = "".join(map(chosen.name_of, own))
            texts.append(text if isinstance(text, str) else name)
        found[name] = texts
    return found


def _by_name(chosen: Chosen, spelling: Any) -> Any:
    """The id of a spelling that is one, or the name of a piece; None for text."""
    if not isinstance(spelling, str):
        return spelling
    alone = chosen.boundary.alone(spelling)
    if alone is None or len(alone) < 2:
        return None
    named = chosen.named(spelling, as_text=False)
    return None if named is None else named[0]


def _places(texts: Sequence[Shots]) -> tuple[list[str], list[_Place]]:
    """All prompts, and of each what comes next."""
    prompts: list[str] = []
    places: list[_Place] = []
    for s, sequence in enumerate(texts):
        lead: str | None = None
        for t, prompt in enumerate(sequence.prompts):
            answer = None
            if t < len(sequence.answers):
                answer, next_ = sequence.answers[t], sequence.prompts[t + 1]
                more = next_[len(prompt) :] if next_.startswith(prompt) else ""
                lead = more[: len(more) - len(more.lstrip())] if more.strip() else None
            prompts.append(prompt)
            places.append(_Place(lead, answer, f"sequence {s}, after {t} demonstrations"))
    return prompts, places


def _forms(spellings: Sequence[str]) -> list[tuple[str, bool]]:
    """Texts, and whether they stand behind the space that the demonstrations have.

    One that is there with and without a space is both; otherwise the demonstrations say which.
    """
    forms = [(spelling, True) for spelling in spellings]
    bare = [spelling.strip() for spelling in spellings]
    forms += [(s, False) for s in spellings if bare.count(s.strip()) > 1]
    return forms


def _after(
    chosen: Chosen,
    contexts: Sequence[Context],
    numbers: Sequence[int],
    places: Sequence[_Place],
    form: tuple[str, bool],
) -> list[Pieces | None]:
    """The tokens of a text after each context, None where it does not hold them."""
    spelling, led = form
    texts = []
    for i in numbers:
        lead = places[i].lead if led and spelling.strip() else None
        texts.append(spelling if lead is None else lead + spelling.lstrip())
    found: list[Pieces | None] = [None] * len(contexts)
    unknown = getattr(chosen.tokenizer, "unk_token_id", None)
    for text in dict.fromkeys(texts):
        here = [j for j, own in enumerate(texts) if own == text]
        after = chosen.boundary.after(text, [contexts[j] for j in here])
        for j, pieces in zip(here, after, strict=True):
            found[j] = pieces if pieces and unknown not in pieces else None
    return found


def _refuse(chosen: Chosen, name: str, spelling: str, context: Context, place: _Place) -> None:
    """Raise the error for an answer that the text does not hold."""
    alone = chosen.boundary.alone(spelling)
    if not alone or getattr(chosen.tokenizer, "unk_token_id", None) in alone:
        raise ValueError(f"answer {name!r}: {shown(spelling)} is not in the vocabulary")
    way = "write what is before it, or the answer, otherwise"
    if context.text.endswith((" ", "\t")):
        way = f"put the space into the answer, {' ' + spelling.strip()!r}, not before it"
    raise ValueError(
        f"{place.name}: behind {context.text[-20:]!r} the text does not hold the answer {name!r} "
        f"as tokens of its own, since those before it change: {way}"
    )
