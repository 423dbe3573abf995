"""Rows from what the programs of llama.cpp wrote.

Contents
    from_llama_cpp    responses of its server, and files of whole rows
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from ..huggingface.answers import Other, Vocab
from . import openai
from .entries import entry
from .gathered import Listed, Path, Positions, rows_of
from .logits_file import read_logits_file
from .logits_layout import MAGIC
from .reading import Refused, field, refuse_error, refuse_ids, unwrapped

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
    bos_token_id: int | None = None,
) -> Any:
    """Rows from what llama.cpp's programs wrote: known in part of its server, whole of its files.

    Parameters
    ----------
    records
        Responses of ``/completion`` asked with ``n_probs=20``, or the pieces of its stream; in any
        of the forms that `from_openai` takes.  Those of its endpoints that are OpenAI's are read
        too.  Or the path of a file of whole rows, as ``llama-perplexity --kl-divergence-base``
        writes it: it is mapped, and decoded where it is asked for.
    vocab, other, tokenizer, positions
        As for `from_openai`.  Without a tokenizer the columns are the ids that were seen, under
        their texts.
    bos_token_id : int, optional
        Of a file of whole rows: the id that the model saw first in each chunk, where it adds one.

    Returns
    -------
    PartialRows
        As of `from_openai`.  Of a file of whole rows a sequence of them, over its whole
        vocabulary, of which a slice is `NextTokenRows`; with `vocab`, all of them as that.

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
    if _is_logits_file(records):
        if positions != "all":
            raise ValueError("a file of whole rows has no positions: take rows of it by number")
        return read_logits_file(
            records, tokenizer=tokenizer, vocab=vocab, other=other, bos_token_id=bos_token_id
        )
    if bos_token_id is not None:
        raise ValueError("bos_token_id is for a file of whole rows, and this is none")
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
        refuse_error(record)
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


def _is_logits_file(source: Any) -> bool:
    """Whether it is the path of a file of whole rows."""
    if not isinstance(source, (str, os.PathLike)) or not os.path.isfile(source):
        return False
    with open(source, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _entry(place: Any, names: dict[int, str]) -> Listed:
    """One token, and the most probable ones by id."""
    if field(place, "top_logprobs") is None and (
        field(place, "top_probs") is not None or field(place, "probs") is not None
    ):
        raise Refused(AFTER_SAMPLING)
    each_listed = (place, *field(place, "top_logprobs", ()))
    named = [each for each in each_listed if isinstance(field(each, "id"), int)]
    refuse_ids([field(each, "id") for each in named])
    names.update((field(each, "id"), field(each, "token")) for each in named)
    return entry(place, exact=True)
