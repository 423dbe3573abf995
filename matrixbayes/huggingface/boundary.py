"""Where a prompt ends and an answer begins: which tokens the text of both holds there.

Contents
    Context        a row's text so far, and the tokens of it
    contexts_of    those of a run, or a sample of them
    Boundary       the tokens of a spelling after each context, and alone
    ends_open      prompts whose last token the next word would change

A tokenizer is asked about the whole, prompt and spelling, never about the spelling alone: what
begins a text, follows a colon or follows a space can be another token each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._base.display import quoted
from .._base.pieces import SPACE
from .prompts import Prompt, untouched

Pieces = tuple[int, ...]

MOST = 50_000  # texts that are encoded in all
SLOW = 20  # times fewer by a tokenizer in Python
LEAST = 256  # contexts that are looked at, however many spellings there are
WHOLE = 240  # characters (and tokens) of a context that is encoded as a whole
TAIL = 120  # characters, or tokens, of a longer one
AGREE = 8  # tokens that the tail and the whole must have in common
MARKS = (SPACE, "Ġ")
PROBES = ("the", "yes", "no", "a", "is")  # words that may follow a space


@dataclass(frozen=True)
class Context:
    """What stands before a row: the end of the text, the tokens of that, and what to call it."""

    text: str
    ids: Pieces
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({quoted(_end(self.text), width=24)})"


class Boundary:
    """What the text holds where a spelling follows.

    Parameters
    ----------
    tokenizer
        Only called.
    contexts
        After what; without any a spelling stands alone.
    """

    def __init__(self, tokenizer: Any, contexts: Sequence[Context] = ()) -> None:
        self.tokenizer, self.contexts = tokenizer, tuple(contexts)

    def alone(self, spelling: str) -> Pieces | None:
        """The tokens of a spelling by itself; None where it cannot be encoded."""
        return encode_all(self.tokenizer, [spelling])[0]

    def after(
        self, spelling: str, contexts: Sequence[Context] | None = None
    ) -> list[Pieces | None]:
        """The tokens that follow each context where the spelling does.

        None where there are none: those of the context change.
        """
        contexts = self.contexts if contexts is None else contexts
        between = " " if self._drops_space(spelling) else ""
        wholes = encode_all(self.tokenizer, [c.text + between + spelling for c in contexts])
        return [
            whole[len(context.ids) :]
            if whole is not None and whole[: len(context.ids)] == context.ids
            else None
            for context, whole in zip(contexts, wholes, strict=True)
        ]

    def _drops_space(self, spelling: str) -> bool:
        """Whether spaces only part words, so that a spelling is the next word as it is."""
        if spelling[:1].isspace() or not self.contexts:
            return False
        one, two, led = encode_all(
            self.tokenizer, [spelling, f"{spelling} {spelling}", f" {spelling}"]
        )
        if not one or two != one + one or led != one:
            return False
        pieces = self.tokenizer.convert_ids_to_tokens(list(one))
        return not any(str(piece).startswith(MARKS) for piece in pieces)


def contexts_of(
    tokenizer: Any,
    prompts: Sequence[Any],
    encoded: Mapping[int, Prompt],
    positions: Any,
    n_spellings: int = 1,
) -> list[Context]:
    """The contexts of the rows of a run; of very many a sample, with different endings first.

    Of all rows of a prompt, the one at its end is looked at; of those of a continuation the first.
    Contexts whose text is not known, as of ids that are no text's, are left out.
    """
    if tokenizer is None:
        return []
    places = list(_places(encoded, positions))
    most = MOST // max(n_spellings, 1)
    most = max(LEAST, most if getattr(tokenizer, "is_fast", False) else most // SLOW)
    if len(places) > most:
        endings: dict[bytes, int] = {}
        for j, (i, k) in enumerate(places):
            endings.setdefault(encoded[i].ids[max(k - 1, 0) : k + 1].tobytes(), j)
        chosen = list(endings.values())[:most]
        others = np.setdiff1d(np.arange(len(places)), chosen)
        more = np.linspace(0, len(others) - 1, most - len(chosen)).astype(int)
        places = [places[j] for j in sorted({*chosen, *others[more].tolist()})]
    found: dict[tuple[str, Pieces], Context] = {}
    with untouched(tokenizer):
        for i, k in places:
            ids, prompt = encoded[i].ids[: k + 1], prompts[i]
            at_end = isinstance(prompt, str) and k == len(encoded[i]) - 1
            known = _of_text(tokenizer, prompt, ids) if at_end else _of_ids(tokenizer, ids)
            if known is not None:
                found.setdefault(known, Context(*known, name=f"prompt {i}"))
    return list(found.values())


def ends_open(tokenizer: Any, contexts: Sequence[Context]) -> list[Context]:
    """Those that end in a space which the next word would take into its own token."""
    ended = [context for context in contexts if context.text.endswith(" ")]
    boundary = Boundary(tokenizer, ended)
    words = [word for word in PROBES if boundary.alone(word)]
    after = [boundary.after(word) for word in words]
    return [context for j, context in enumerate(ended) if any(own[j] is None for own in after)]


def encode_all(tokenizer: Any, texts: Sequence[str]) -> list[Pieces | None]:
    """The tokens of each text, without special ones; None for one that cannot be encoded."""
    options: dict[str, Any] = {"add_special_tokens": False, "verbose": False}
    if getattr(tokenizer, "is_fast", False) and len(texts) > 1:
        options |= {"padding": False, "truncation": False, "return_attention_mask": False}
        try:
            return [tuple(ids) for ids in tokenizer(list(texts), **options)["input_ids"]]
        except Exception:  # one of them; a backend of Rust raises plain Exception
            return [encode_all(tokenizer, [text])[0] for text in texts]
    found: list[Pieces | None] = []
    for text in texts:
        try:
            found.append(tuple(tokenizer.encode(text, add_special_tokens=False)))
        except Exception:  # a backend of Rust raises plain Exception
            found.append(None)
    return found


# ---------------------------------------------------------------------------
# Contexts
# ---------------------------------------------------------------------------


def _places(encoded: Mapping[int, Prompt], positions: Any) -> Iterator[tuple[int, int]]:
    """The prompts and positions to look at."""
    for i, prompt in encoded.items():
        if positions == "continuation" if isinstance(positions, str) else False:
            yield i, int(prompt.positions[0])
        elif isinstance(positions, str):
            yield i, len(prompt) - 1
        else:
            yield from ((i, int(k)) for k in dict.fromkeys(prompt.positions.tolist()))


def _of_text(tokenizer: Any, text: str, ids: Any) -> tuple[str, Pieces] | None:
    """The end of a text, as little of it as its tokens allow, and the tokens of that."""
    if len(text) > WHOLE:
        tail = text[-TAIL:]
        words = tail.find(" ")
        tail = tail[words:] if 0 <= words < TAIL // 2 else tail
        (own,) = encode_all(tokenizer, [tail])
        if own is not None and len(own) >= AGREE + 2 and _ends(ids, own[2:]):
            return tail, own
    (own,) = encode_all(tokenizer, [text])
    return None if own is None or not _ends(ids, own) else (text, own)


def _of_ids(tokenizer: Any, ids: Any) -> tuple[str, Pieces] | None:
    """The text that ids are of, if they are what the tokenizer makes of it."""
    tail = [int(i) for i in ids[-TAIL:]]
    special = set(getattr(tokenizer, "all_special_ids", None) or ())
    begin = 1 if tail[0] in special else 0
    for start in dict.fromkeys((0, begin)):
        try:
            text = tokenizer.decode(tail[start:], clean_up_tokenization_spaces=False)
        except Exception:  # ids that it does not know; a backend of Rust raises plain Exception
            return None
        (own,) = encode_all(tokenizer, [text])
        if own == tuple(tail[start:]):
            return text, own
        cut = len(ids) > TAIL and own is not None and len(own) >= AGREE + 2
        if cut and own is not None and _ends(ids, own[2:]):
            return text, own
    return None


def _ends(ids: Any, own: Pieces) -> bool:
    """Whether ids end in these."""
    return len(own) <= len(ids) and bool(np.array_equal(ids[len(ids) - len(own) :], own))


def _end(text: str) -> str:
    """The last characters of a text."""
    return text if len(text) <= 20 else "…" + text[-20:]
