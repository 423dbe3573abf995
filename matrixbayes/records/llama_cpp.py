"""Rows from what the programs of llama.cpp wrote.

Contents
    from_llama_cpp    responses of its server
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..huggingface.answers import Other, Vocab
from . import openai
from .entries import entry
from .gathered import Listed, Path, Positions, Refused, rows_of
from .reading import field, unwrapped

AFTER_SAMPLING = (
    "these are probabilities after sampling, which are not the model's: ask with n_probs=20 and "
    "post_sampling_probs=false"
)


def from_llama_cpp(
    records: Any,
    *,
    vocab: Vocab | None = None,
    other: Other = "keep",
    tokenizer: Any = None,
    positions: Positions = "all",
) -> Any:
    """Rows known in part from what llama.cpp's server answered.

    Parameters
    ----------
    records
        Responses of ``/completion`` asked with ``n_probs=20``, or the pieces of its stream; in any
        of the forms that `from_openai` takes.  Those of its endpoints that are OpenAI's are read
        too.
    vocab, other, tokenizer, positions
        As for `from_openai`.  Without a tokenizer the columns are the ids that were seen, under
        their texts.

    Returns
    -------
    PartialRows
        As of `from_openai`.

    Raises
    ------
    ValueError
        As of `from_openai`; or the numbers are those after sampling (``post_sampling_probs``, or
        builds of before 2025, which gave no others).

    Examples
    --------
    >>> import math
    >>> import matrixbayes as mb
    >>> yes = {"id": 7, "token": " yes", "bytes": [32, 121, 101, 115], "logprob": math.log(0.75)}
    >>> rows = mb.from_llama_cpp({"content": " yes", "stop": True, "completion_probabilities": [
    ...     {**yes, "top_logprobs": [yes]}]})
    >>> rows.tokens, rows.token_ids
    ((' yes', '<other>'), array([ 7, -1]))
    """
    open_stream = False
    seen: set[Any] = set()

    def paths(record: Any, names: dict[int, str]) -> Iterator[Path]:
        nonlocal open_stream
        record = unwrapped(record)
        settings = field(record, "generation_settings")
        if field(settings, "post_sampling_probs"):
            raise Refused(AFTER_SAMPLING)

        def place(each: Any) -> Listed:
            return _entry(each, names)

        if field(record, "choices") is not None:
            for path in openai.paths(record, False, seen):
                yield path._replace(read=place) if path.read is entry else path
            return
        if field(record, "error"):
            raise Refused(f"the record is an error: {str(field(record, 'error'))[:200]}")
        places, done = field(record, "completion_probabilities"), field(record, "stop", True)
        if places is None and field(record, "content") and (done or not open_stream):
            raise Refused("the response has no log-probabilities: ask with n_probs=20")
        streamed = open_stream or not done
        open_stream = not done
        yield Path(
            places or (),
            place,
            model=field(record, "model"),
            stream="" if streamed else None,
            ended=bool(done),
        )

    return rows_of(
        records,
        paths,
        "from_llama_cpp",
        tokenizer=tokenizer,
        vocab=vocab,
        other=other,
        positions=positions,
        prompt=False,
    )


def _entry(place: Any, names: dict[int, str]) -> Listed:
    """One token, and the most probable ones by id."""
    if field(place, "top_logprobs") is None and (
        field(place, "top_probs") is not None or field(place, "probs") is not None
    ):
        raise Refused(AFTER_SAMPLING)
    for each in (place, *field(place, "top_logprobs", ())):
        if isinstance(field(each, "id"), int):
            names[field(each, "id")] = field(each, "token")
    return entry(place, exact=True)
