"""Prompts to token ids: which ids, and after which of them a row is wanted.

Contents
    Prompt             one prompt, encoded and checked
    encode_prompts     all of them; the first bad one is an error that names it
    as_list            those of any iterable, or of what a tokenizer returned
    first_of_equals    which of them are the same
    untouched          leaves a tokenizer as it was, whatever is done with it

A tokenizer's defaults are kept: it decides on its own special tokens.  What is
checked is that they do not come twice, and that nothing is cut off or padded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._base.arguments import is_whole, shown
from .._base.numbers import plain
from ..errors import ArgumentError

Positions = Literal["last", "all", "continuation"] | Sequence[int] | Sequence[Sequence[int]]
WORDS = ("last", "all", "continuation")
CHAT = (
    "pass token ids, [tokenizer.apply_chat_template(messages, add_generation_prompt=True, "
    "return_dict=False), ...]"
)


@dataclass(frozen=True)
class Prompt:
    """A prompt's token ids (T,), and the positions (n,) in 0..T-1 whose rows are wanted."""

    ids: NDArray[np.int64]
    positions: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.ids)


def first_of_equals(prompts: Sequence[Prompt]) -> NDArray[np.intp]:
    """For each prompt the number of the first one with the same tokens and wanted positions."""
    seen: dict[tuple[bytes, bytes], int] = {}
    keys = ((p.ids.tobytes(), p.positions.tobytes()) for p in prompts)
    return np.array([seen.setdefault(key, i) for i, key in enumerate(keys)], dtype=np.intp)


def encode_prompts(
    tokenizer: Any,
    prompts: Sequence[Any],
    positions: Positions,
    *,
    n_ids: int | None = None,
    max_length: int | None = None,
) -> list[Prompt]:
    """Encode every prompt.

    Parameters
    ----------
    tokenizer
        As loaded; None where every prompt is a list of ids.
    prompts
        Strings, lists of token ids, or (context, continuation) pairs of strings.
    positions
        See `matrixbayes.collect`.
    n_ids
        How many ids the model has an embedding for.
    max_length
        How many tokens the model can take.

    Returns
    -------
    list of Prompt

    Raises
    ------
    ValueError, TypeError
        What is wrong with the first bad prompt, its number, and the remedy.
    """
    wanted = positions_of(prompts, positions)
    with untouched(tokenizer):
        encoded = [
            encode_prompt(tokenizer, prompt, i, wanted[i], n_ids=n_ids, max_length=max_length)
            for i, prompt in enumerate(prompts)
        ]
    check_padding(tokenizer, prompts, dict(enumerate(encoded)))
    return encoded


def as_list(prompts: Any) -> Sequence[Any]:
    """The prompts of any iterable, counted; of what a tokenizer returns the token ids."""
    if hasattr(prompts, "keys"):
        return _unpadded(prompts)
    if isinstance(prompts, str):
        raise TypeError("prompts is one prompt; for a single one write [prompt]")
    return prompts if isinstance(prompts, (list, tuple)) else list(prompts)


def check_padding(tokenizer: Any, prompts: Sequence[Any], encoded: Mapping[int, Prompt]) -> None:
    """Refuse token ids that were padded to one length: nothing says which of them are text."""
    pad = getattr(tokenizer, "pad_token_id", None)
    if pad is None or any(isinstance(prompt, str) for prompt in prompts):
        return
    lengths = {len(prompt) for prompt in encoded.values()}
    if len(encoded) < 2 or len(lengths) > 1 or lengths == {1}:
        return
    for end, where in ((-1, "ends"), (0, "begins")):
        padded = [i for i, prompt in encoded.items() if prompt.ids[end] == pad]
        if 0 < len(padded) < len(encoded):
            raise ValueError(
                f"all prompts have {lengths.pop()} token ids and prompt {padded[0]} {where} in "
                f"{tokenizer.pad_token!r}, the padding token ({len(padded)} do): pass the whole "
                "encoding, tokenizer(texts), whose attention_mask says what is padding, or the "
                "texts themselves"
            )


def positions_of(prompts: Sequence[Any], positions: Positions) -> list[str | Sequence[int]]:
    """What `positions` asks of each prompt: a word, or whole numbers."""
    if len(prompts) == 0:
        raise ValueError("there are no prompts")
    if isinstance(positions, str):
        if positions not in WORDS:
            known = ", ".join(repr(word) for word in WORDS)
            raise ValueError(f"positions={shown(positions)} is neither one of {known} nor numbers")
        return [positions] * len(prompts)
    given: list[Any] = list(positions)
    if given and all(is_whole(p) for p in given):
        return [[int(p) for p in given]] * len(prompts)
    if len(given) != len(prompts):
        raise ValueError(f"positions has {len(given)} entries for {len(prompts)} prompts")
    for i, own in enumerate(given):
        if isinstance(own, str) or not all(is_whole(p) for p in np.atleast_1d(own).tolist()):
            raise TypeError(f"positions[{i}] is {own!r}; a prompt's positions are whole numbers")
    return [[int(p) for p in np.atleast_1d(own)] for own in given]


def encode_prompt(
    tokenizer: Any,
    prompt: Any,
    number: int,
    wanted: str | Sequence[int],
    *,
    n_ids: int | None = None,
    max_length: int | None = None,
) -> Prompt:
    """Encode one prompt; `number` is what errors call it."""
    name = f"prompt {number}"
    pair = _as_pair(prompt)
    first = None
    if pair is not None:
        ids, first = _encode_pair(tokenizer, *pair, name)
    elif isinstance(prompt, str):
        ids = _encode_text(tokenizer, prompt, name)
    else:
        ids = _given_ids(prompt, name)
    _check_bos(tokenizer, ids, prompt, name)
    _check_ids(ids, name, n_ids, max_length)
    return Prompt(ids, _numbers(wanted, len(ids), first, name))


@contextmanager
def untouched(tokenizer: Any) -> Iterator[None]:
    """Put back the padding and truncation that calling a fast tokenizer switches off."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    padding = getattr(backend, "padding", None)
    truncation = getattr(backend, "truncation", None)
    try:
        yield
    finally:
        if padding is not None and backend.padding != padding:
            backend.enable_padding(**padding)
        if truncation is not None and backend.truncation != truncation:
            backend.enable_truncation(**truncation)


# ---------------------------------------------------------------------------
# The forms of a prompt
# ---------------------------------------------------------------------------


def _unpadded(encoding: Any) -> list[NDArray[Any]]:
    """The token ids of each text of an encoding, without what its mask leaves out."""
    if "input_ids" not in encoding:
        raise TypeError(
            "prompts is a mapping without 'input_ids'; pass texts, lists of token ids, or what "
            "the tokenizer returns for texts"
        )
    if "attention_mask" not in encoding:
        raise TypeError(
            "prompts is an encoding without 'attention_mask', so nothing says which ids are "
            "padding: pass encoding['input_ids'] if none are"
        )
    rows = [
        _rows_of(encoding[name], f"prompts[{name!r}]") for name in ("input_ids", "attention_mask")
    ]
    if [len(row) for row in rows[0]] != [len(row) for row in rows[1]]:
        raise ValueError("prompts: input_ids and attention_mask have different shapes")
    found = []
    for i, (ids, mask) in enumerate(zip(*rows, strict=True)):
        kept = np.flatnonzero(mask)
        if len(kept) and len(kept) != kept[-1] - kept[0] + 1:
            raise ValueError(f"prompt {i}: its attention_mask leaves out ids between others")
        found.append(ids[kept])
    return found


def _rows_of(values: Any, what: str) -> list[NDArray[Any]]:
    """One row, or rows of one length or of several, as arrays."""
    flat = isinstance(values, (list, tuple)) and all(is_whole(value) for value in values)
    rows = [values] if flat or getattr(values, "ndim", 2) == 1 else list(values)
    return [np.atleast_1d(plain(row, f"{what}[{i}]")) for i, row in enumerate(rows)]


def _as_pair(prompt: Any) -> tuple[str, str] | None:
    """Context and continuation, if that is what the prompt is."""
    if isinstance(prompt, (tuple, list)) and prompt and all(isinstance(p, str) for p in prompt):
        if len(prompt) != 2:
            raise TypeError(f"{len(prompt)} strings as one prompt; a pair has two: {prompt!r:.80}")
        return prompt[0], prompt[1]
    return None


def _given_ids(prompt: Any, name: str) -> NDArray[np.int64]:
    """Token ids that the caller wrote."""
    if isinstance(prompt, dict) or hasattr(prompt, "keys"):
        if "role" in prompt:
            raise TypeError(f"{name} is a chat message, and prompts a conversation; {CHAT}")
        raise TypeError(f"{name} is a mapping; pass its token ids: encoding['input_ids']")
    if isinstance(prompt, (tuple, list)) and any(isinstance(p, dict) for p in prompt):
        raise TypeError(f"{name} is a list of chat messages; {CHAT}")
    try:
        array = plain(prompt, name)
    except ArgumentError:
        array = np.asarray(None)  # refused below
    if array.size == 0:
        raise ValueError(f"{name} is empty: a model needs at least one token, such as its BOS")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(
            f"{name} is {prompt!r:.80}; a prompt is a string, a list of token ids, or a "
            "(context, continuation) pair of strings"
        )
    return array.astype(np.int64)


def _encode(tokenizer: Any, text: str, name: str, offsets: bool = False) -> Any:
    """The tokenizer's own encoding of a text: nothing cut, nothing padded."""
    if tokenizer is None:
        raise TypeError(f"{name} is text, which needs a tokenizer; without one pass token ids")
    try:
        return tokenizer(
            text,
            padding=False,
            truncation=False,
            return_attention_mask=False,
            return_offsets_mapping=offsets,
            verbose=False,
        )
    except Exception as error:  # a backend of Rust raises plain Exception
        raise ValueError(f"{name}: the tokenizer cannot encode {text!r:.80}: {error}") from error


def _encode_text(tokenizer: Any, text: str, name: str) -> NDArray[np.int64]:
    """A text's ids, with the special tokens that the tokenizer adds, but none of them twice."""
    ids = np.asarray(_encode(tokenizer, text, name)["input_ids"], dtype=np.int64)
    if len(ids) == 0:
        raise ValueError(
            f"{name} is {text!r:.80}, which this tokenizer encodes as no token at all: begin with "
            "a token, such as [tokenizer.bos_token_id]"
        )
    for kind in ("eos", "sep"):
        last, end = (getattr(tokenizer, f"{kind}_token{part}", None) for part in ("_id", ""))
        if last is not None and len(ids) > 1 and ids[-1] == last and not text.endswith(str(end)):
            raise ValueError(
                f"{name}: the tokenizer puts {end!r} after the text, so no row would continue the "
                "text: pass token ids without it, as in tokenizer(text)['input_ids'][:-1]"
            )
    return ids


def _check_bos(tokenizer: Any, ids: NDArray[np.int64], prompt: Any, name: str) -> None:
    """Refuse a beginning-of-sequence token that is there twice."""
    bos = getattr(tokenizer, "bos_token_id", None)
    if bos is None or len(ids) < 2 or ids[0] != bos or ids[1] != bos:
        return
    pair = _as_pair(prompt)
    text = prompt if isinstance(prompt, str) else "".join(pair) if pair else None
    if text is None:
        raise ValueError(
            f"{name} begins with {tokenizer.bos_token!r} (token {bos}) more than once, which "
            "shifts every probability: leave out the padding on the left, or what a chat template "
            "and the tokenizer put there both; if it is meant, pass tokenizer=None, and answers by "
            "their token ids"
        )
    raise ValueError(
        f"{name} begins with {tokenizer.bos_token!r} twice: the text {text!r:.60} brings one "
        "and the tokenizer adds its own, which shifts every probability; take it out of the "
        "text, or pass token ids: tokenizer(text, add_special_tokens=False)['input_ids']"
    )


def _encode_pair(
    tokenizer: Any, context: str, continuation: str, name: str
) -> tuple[NDArray[np.int64], int]:
    """The ids of the whole text, and the first of them that is of the continuation.

    A token belongs to the continuation if it holds any character of it.  The two
    parts are never encoded apart: that can give other tokens than the whole does.
    """
    if not continuation:
        raise ValueError(f"{name} has an empty continuation")
    text, fast = context + continuation, getattr(tokenizer, "is_fast", False)
    encoding = _encode(tokenizer, text, name, offsets=fast)
    ids = np.asarray(encoding["input_ids"], dtype=np.int64)
    if fast:
        ends = [end for _, end in encoding["offset_mapping"]]
        own = [i for i, end in enumerate(ends) if end > len(context)]
        if not own:
            raise ValueError(f"{name}: no token holds any of {continuation!r:.60}")
        return ids[: own[-1] + 1], own[0]  # a token that the tokenizer puts at the end is left out
    alone = np.asarray(_encode(tokenizer, context, name)["input_ids"], dtype=np.int64)
    if not np.array_equal(ids[: len(alone)], alone) or len(alone) == len(ids):
        raise ValueError(
            f"{name}: the tokens of {context!r:.40} change when {continuation!r:.40} follows, and "
            "this tokenizer does not say where its tokens lie in the text: load it with "
            "use_fast=True, or pass token ids and positions"
        )
    return ids, len(alone)


# ---------------------------------------------------------------------------
# Checks
# ---------------------------------------------------------------------------


def _check_ids(
    ids: NDArray[np.int64], name: str, n_ids: int | None, max_length: int | None
) -> None:
    """Ids that the model has, and no more of them than it takes."""
    if n_ids is not None and (ids.min() < 0 or ids.max() >= n_ids):
        where = int(np.argmax((ids < 0) | (ids >= n_ids)))
        raise ValueError(
            f"{name} has the token id {ids[where]} at position {where}, and the model knows ids 0 "
            f"to {n_ids - 1}: do tokenizer and model belong together?"
        )
    if max_length is not None and len(ids) > max_length:
        raise ValueError(
            f"{name} has {len(ids)} tokens and the model takes {max_length}: shorten it, for "
            f"instance to its last {max_length} token ids"
        )


def _numbers(
    wanted: str | Sequence[int], length: int, first: int | None, name: str
) -> NDArray[np.intp]:
    """The positions wanted of a prompt of `length` tokens, whose continuation starts at `first`."""
    if wanted == "continuation":
        if first is None:
            raise ValueError(
                f"{name} is no pair: positions='continuation' needs (context, continuation)"
            )
        if first == 0:
            raise ValueError(
                f"{name}: nothing stands before its continuation, so no row predicts its first "
                "token: give it a context, or a tokenizer that adds a BOS"
            )
        return np.arange(first - 1, length - 1)
    if wanted == "last":
        if first is not None:
            raise ValueError(
                f"{name} is a (context, continuation) pair: say positions='continuation' for the "
                "rows that predict the continuation, or pass the whole text as one string"
            )
        return np.arange(length - 1, length)
    if wanted == "all":
        return np.arange(length)
    numbers = np.asarray(wanted, dtype=np.intp)
    bad = numbers[(numbers < -length) | (numbers >= length)]
    if len(numbers) == 0 or len(bad):
        what = f"position {bad[0]}" if len(bad) else "no position"
        raise ValueError(f"{what} is asked of {name}, which has {length} tokens")
    return numbers % length
