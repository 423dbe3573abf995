"""Rows from what Text Generation Inference answered.

Contents
    from_tgi    responses of /generate and of its stream
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from ..huggingface.answers import Other, Vocab
from . import openai
from .gathered import Listed, Path, Positions, rows_of
from .reading import Refused, field, refuse_error, refuse_ids, unwrapped

# What makes numbers those after sampling, and what it is where it does nothing.
PROCESSING = {
    "temperature": (None, 1.0),
    "top_k": (None, 0),
    "top_p": (None, 1.0),
    "typical_p": (None, 1.0),
    "repetition_penalty": (None, 1.0),
    "frequency_penalty": (None, 0.0),
    "watermark": (None, False),
    "grammar": (None, ""),
}


def from_tgi(
    records: Any,
    *,
    vocab: Vocab | None = None,
    other: Other = "keep",
    tokenizer: Any = None,
    positions: Positions = "all",
    prompt: bool = False,
) -> Any:
    """Rows known in part from what Text Generation Inference answered.

    Parameters
    ----------
    records
        Responses of ``/generate`` asked with ``details=true, top_n_tokens=20`` and no temperature,
        top_p or the like, or pieces of the stream; in any of the forms that `from_openai` takes.
        Those of its chat endpoint are OpenAI's.
    vocab, other, tokenizer, positions
        As for `from_openai`.  Without a tokenizer the columns are the ids that were seen, under
        their texts.
    prompt : bool
        Refused: ``prefill`` has the log-probability of each of the prompt's own tokens, which is a
        path and no row.

    Returns
    -------
    PartialRows
        As of `from_openai`.

    Raises
    ------
    ValueError
        There are no details; the request, where it is kept with the response, asked for sampling;
        or a token is shut out (null).

    Warns
    -----
    UserWarning
        A response has a seed: it was sampled, and the server gives log-probabilities after
        temperature, top_k and top_p, where those were asked for.

    Examples
    --------
    >>> import math
    >>> import matrixbayes as mb
    >>> token = {"id": 7, "text": " yes", "logprob": math.log(0.75), "special": False}
    >>> rows = mb.from_tgi({"generated_text": " yes", "details": {
    ...     "seed": None, "prefill": [], "tokens": [token], "top_tokens": [[token]]}})
    >>> rows.tokens, rows[0].log_probs
    ((' yes', '<other>'), array([-0.28768207]))
    """
    if prompt:
        raise ValueError(
            "prefill has the log-probability of each token of the prompt alone: that is a path and "
            "not rows; ask the server to generate one token after each of its beginnings"
        )
    sampled = False
    seen: set[Any] = set()

    def paths(record: Any, names: dict[int, str]) -> Iterator[Path]:
        nonlocal sampled
        _refuse_processed(record)
        record = unwrapped(record)
        if field(record, "choices") is not None:
            yield from openai.paths(record, False, seen)
            return
        details, token = field(record, "details"), field(record, "token")
        if token is not None:  # a piece of a stream
            sampled |= field(details, "seed") is not None
            place = (token, field(record, "top_tokens", ()))
            ended = details is not None or field(record, "generated_text") is not None
            yield Path([place], lambda each: _place(each, names), stream="", ended=ended)
            return
        if details is None:
            refuse_error(record)
            raise Refused("there are no details: ask with details=true, top_n_tokens=20")
        several = details if isinstance(details, list) else [details]
        rest = (each for one in several for each in field(one, "best_of_sequences", ()))
        for number, one in enumerate([*several, *rest]):
            sampled |= field(one, "seed") is not None
            tokens = field(one, "tokens", ())
            tops: Sequence[Any] = field(one, "top_tokens", ())
            if tops and len(tops) != len(tokens):
                raise Refused(f"{len(tokens)} tokens have {len(tops)} lists of the most probable")
            places = list(zip(tokens, tops or [()] * len(tokens), strict=True))
            yield Path(places, lambda each: _place(each, names), choice=number)

    rows = rows_of(
        records,
        paths,
        "from_tgi",
        tokenizer=tokenizer,
        vocab=vocab,
        other=other,
        positions=positions,
        prompt=False,
    )
    if sampled:
        warnings.warn(
            "a response has a seed: it was sampled, and if the request had a temperature, top_k or "
            "top_p, its log-probabilities are those after them and not the model's",
            UserWarning,
            stacklevel=2,
        )
    return rows


def _refuse_processed(record: Any) -> None:
    """Refuse what was asked for with sampling, where the request is kept beside the response."""
    for owner in (record, field(record, "request"), field(record, "input")):
        asked = field(owner, "parameters")
        for name, idle in PROCESSING.items():
            value = field(asked, name)
            if value not in idle:
                raise Refused(
                    f"the request has {name}={value!r}, and the server gives log-probabilities "
                    f"after that, which are not the model's: ask without {name}"
                )


def _place(place: tuple[Any, Any], names: dict[int, str]) -> Listed:
    """A token, and the most probable ones (more than asked for where some are equal)."""
    token, top = place
    own, sampled = field(token, "logprob"), field(token, "id")
    keys = [field(each, "id") for each in top]
    log_probs = [field(each, "logprob") for each in top]
    if not isinstance(sampled, int) or not all(isinstance(key, int) for key in keys):
        raise Refused("a token has no id")
    refuse_ids((sampled, *keys))
    names.update({field(each, "id"): field(each, "text") for each in (token, *top)})
    n_top = len(keys)
    if sampled not in keys:
        keys, log_probs = [*keys, sampled], [*log_probs, own]
    return Listed(keys, log_probs, n_top, sampled)
