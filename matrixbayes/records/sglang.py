"""Rows from what SGLang answered.

Contents
    from_sglang    responses of /generate and of its engine
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..huggingface.answers import Other, Vocab
from . import openai
from .gathered import Listed, Path, Positions, rows_of
from .reading import Refused, field, refuse_error, refuse_ids, unwrapped


def from_sglang(
    records: Any,
    *,
    vocab: Vocab | None = None,
    other: Other = "keep",
    tokenizer: Any = None,
    positions: Positions = "all",
    prompt: bool = False,
) -> Any:
    """Rows known in part from what SGLang answered.

    Parameters
    ----------
    records
        Responses of ``/generate``, or what ``Engine.generate`` returned, asked with
        ``return_logprob=True, top_logprobs_num=20``; or with ``token_ids_logprob=[...]``, the ids
        of the answers, which are then listed beside the most probable ones.  In any of the forms
        that `from_openai` takes; those of its endpoints that are OpenAI's are read too.
    vocab, other, tokenizer, positions
        As for `from_openai`.  Without a tokenizer the columns are the ids that were seen, under
        their texts (``return_text_in_logprobs=True``).
    prompt : bool
        The places of the prompt (``logprob_start_len=0``) and not the generated ones.  The row of
        position p is that after token p, as in `collect`.

    Returns
    -------
    PartialRows
        As of `from_openai`, with the contexts in ``input_ids`` where the log-probabilities begin
        with the prompt.

    Raises
    ------
    ValueError
        As of `from_openai`.

    Examples
    --------
    >>> import math
    >>> import matrixbayes as mb
    >>> meta = {"output_token_logprobs": [[math.log(0.75), 7, " yes"]],
    ...         "output_top_logprobs": [[[math.log(0.75), 7, " yes"]]]}
    >>> mb.from_sglang({"text": " yes", "meta_info": meta}).token_ids
    array([ 7, -1])
    """
    seen: set[Any] = set()
    streams: dict[Any, int] = {}  # places that each open stream has given

    def paths(record: Any, names: dict[int, str]) -> Iterator[Path]:
        record = unwrapped(record)
        if field(record, "choices") is not None:
            yield from openai.paths(record, prompt, seen)
            return
        meta = field(record, "meta_info")
        if meta is None:
            refuse_error(record)
            raise Refused("the record has no meta_info: it is no response of SGLang's")
        path, stream = _path(record, meta, prompt, names), field(meta, "id")
        ended = _ends(meta)
        if stream is None or prompt or (ended and stream not in streams):
            yield path
        else:
            yield _piece(path, stream, ended, field(meta, "completion_tokens"), streams)

    return rows_of(
        records,
        paths,
        "from_sglang",
        tokenizer=tokenizer,
        vocab=vocab,
        other=other,
        positions=positions,
        prompt=prompt,
    )


def _ends(meta: Any) -> bool:
    """Whether a record is whole, or the last piece of a stream."""
    there = "finish_reason" in meta if isinstance(meta, dict) else hasattr(meta, "finish_reason")
    return not there or field(meta, "finish_reason") is not None


def _piece(path: Path, stream: Any, ended: bool, n: Any, streams: dict[Any, int]) -> Path:
    """A piece of a stream, which has all that came before in it, or only what is new."""
    given = streams.get(stream, 0)
    new = given if len(path.places) == n else 0
    streams[stream] = given - new + len(path.places)
    if ended:
        del streams[stream]
    ids = None if path.ids is None else path.ids[new:]
    return path._replace(places=path.places[new:], ids=ids, stream=stream, ended=ended)


def _path(record: Any, meta: Any, prompt: bool, names: dict[int, str]) -> Path:
    """The places of the prompt, or the generated ones."""
    side = "input" if prompt else "output"
    own: Sequence[Any] | None = field(meta, f"{side}_token_logprobs")
    if own is None:
        raise Refused(
            "the response has no log-probabilities"
            + (" of the prompt" if prompt else "")
            + ": ask with return_logprob=True, top_logprobs_num=20"
            + (", logprob_start_len=0" if prompt else "")
        )
    n = len(own)
    tops = field(meta, f"{side}_top_logprobs") or [None] * n
    named = field(meta, f"{side}_token_ids_logprobs") or [None] * n
    if not len(tops) == len(named) == n:
        raise Refused(f"{n} tokens have {len(tops)} lists of the most probable ones")
    places = list(zip(own, tops, named, strict=True))
    before = field(meta, "input_token_logprobs") or ()
    whole = len(before) == field(meta, "prompt_tokens", len(before)) and len(before) > 0
    context: list[int] | None = [each[1] for each in before] if whole else None
    ids = [each[1] for each in own]

    def read(place: Any) -> Listed | None:
        return _place(place, names)

    if not prompt:
        return Path(places, read, context=context, ids=ids)
    first = int(n > 0 and own[0][0] is None)
    start = field(meta, "prompt_tokens", n) - n  # where the log-probabilities begin
    return Path(
        places[first:],
        read,
        "prompt",
        first=start + first - 1,
        context=ids[:1] if context is not None and first else None,
        ids=ids[first:],
    )


def _place(place: tuple[Any, Any, Any], names: dict[int, str]) -> Listed | None:
    """Triples of log-probability, id and text: one's own, the most probable, those asked for."""
    own, top, named = place
    if own[0] is None:
        return None
    listed: dict[int, Any] = {}
    refuse_ids([each[1] for each in (*(top or ()), *(named or ()), own)])
    for log_prob, key, *text in (*(top or ()), *(named or ()), own):
        if key not in listed:
            listed[key] = log_prob
            if text and text[0] is not None:
                names[key] = text[0]
    return Listed([*listed], [*listed.values()], len(top or ()), own[1])
