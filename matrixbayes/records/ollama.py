"""Rows from what Ollama answered.

Contents
    from_ollama    responses of /api/generate and /api/chat, whole or streamed
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..huggingface.answers import Other, Vocab
from . import openai
from .entries import entry
from .gathered import Listed, Path, Positions, rows_of
from .reading import Refused, field, refuse_error, unwrapped


def from_ollama(
    records: Any,
    *,
    vocab: Vocab | None = None,
    other: Other = "keep",
    tokenizer: Any = None,
    positions: Positions = "all",
) -> Any:
    """Rows known in part from what Ollama answered.

    Parameters
    ----------
    records
        Responses of ``/api/generate`` or ``/api/chat`` asked with ``logprobs=true,
        top_logprobs=20`` (20 are the most it gives), or the lines of their streams; in any of the
        forms that `from_openai` takes.
    vocab, other, tokenizer, positions
        As for `from_openai`.

    Returns
    -------
    PartialRows
        As of `from_openai`.

    Raises
    ------
    ValueError
        As of `from_openai`.

    Examples
    --------
    >>> import math
    >>> import matrixbayes as mb
    >>> yes = {"token": " yes", "logprob": math.log(0.75), "bytes": [32, 121, 101, 115]}
    >>> rows = mb.from_ollama({"model": "m", "response": " yes", "done": True,
    ...                        "logprobs": [{**yes, "top_logprobs": [yes]}]})
    >>> rows.tokens, rows.meta["model"]
    ((' yes', '<other>'), 'm')
    """
    open_stream = False
    seen: set[Any] = set()

    def paths(record: Any, names: dict[int, str]) -> Iterator[Path]:
        nonlocal open_stream
        record = unwrapped(record)
        if field(record, "choices") is not None:
            yield from openai.paths(record, False, seen)
            return
        refuse_error(record)
        done, places = field(record, "done", True), field(record, "logprobs")
        said = field(record, "response") or field(field(record, "message"), "content")
        if places is None and said and (done or not open_stream):
            raise Refused(
                "the response has no log-probabilities: ask with logprobs=true, top_logprobs=20"
            )
        streamed = open_stream or not done
        open_stream = not done
        yield Path(
            places or (),
            _entry,
            model=field(record, "model"),
            stream="" if streamed else None,
            ended=bool(done),
        )

    return rows_of(
        records,
        paths,
        "from_ollama",
        tokenizer=tokenizer,
        vocab=vocab,
        other=other,
        positions=positions,
        prompt=False,
    )


def _entry(place: Any) -> Listed:
    return entry(place, exact=True)
