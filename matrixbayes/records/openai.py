"""Rows from what OpenAI's APIs and servers after them answer.

Contents
    from_openai    Chat completions, Responses and Completions, whole or in pieces of a stream
    paths          those of one record
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..huggingface.answers import Other, Vocab
from .entries import entry, text_of
from .gathered import Listed, Path, Positions, rows_of
from .reading import Refused, field, refuse_error, unwrapped

DELTA, DONE = "response.output_text.delta", "response.output_text.done"


def from_openai(
    records: Any,
    *,
    vocab: Vocab | None = None,
    other: Other = "keep",
    tokenizer: Any = None,
    positions: Positions = "all",
    prompt: bool = False,
) -> Any:
    """Rows known in part from what OpenAI's APIs answered, and servers that answer as they do.

    Parameters
    ----------
    records
        Responses, as objects of the SDK, dictionaries, JSON text, paths of files (``.json``,
        ``.jsonl``, ``.gz`` behind them), or any iterable of these.  Chat completions (asked with
        ``logprobs=True, top_logprobs=20``), the Responses API
        (``include=["message.output_text.logprobs"], top_logprobs=20``), Completions
        (``logprobs=5``), pieces of their streams, and output files of the Batch API.
    vocab : mapping, or sequence of str or int, optional
        Answers, as in `collect`: ``{"yes": [" yes", "yes"], "no": " no"}`` makes rows over them.
        A spelling is the text of one token, or its id where there are ids.
    other : {"keep", "renormalize"}
        What becomes of all tokens that no answer has, as in `collect`.
    tokenizer
        That of the model, from transformers: the columns are its ids, and texts become ids by
        their bytes.  Without it the columns are the texts that were seen, and ``<other>``.
    positions : {"all", "first", "last"} or sequence of int
        Which places of each sequence: all, or those of these numbers, from 0 on; negative ones
        count from the end.
    prompt : bool
        The places of the prompt, where the record has them (``echo``), and not the generated ones.
        A record that does not say where its prompt ends gives both, with a warning.

    Returns
    -------
    PartialRows
        A row for each place, in the order of the records; with `vocab`, what
        `PartialRows.group` gives.  ``meta`` has the number of the record (``prompt``) and of the
        place (``position``), that of the choice where there are several, and the token that came
        next (``sampled``).

    Raises
    ------
    ValueError
        A record has no log-probabilities, and the message says what to ask for; numbers are no
        log-probabilities of the model; a file is cut short, and the line is named.

    Notes
    -----
    A token that is not listed has at most the least probability of the most probable ones, and at
    most the rest.  ``-9999.0`` says that a token is not among them, and is left out.  The token
    that came next is listed even where it is not among them.  Completions list tokens by their
    text: of two tokens of one text one is listed, and the other is among the rest.

    Examples
    --------
    >>> import math
    >>> import matrixbayes as mb
    >>> tops = [{"token": " yes", "logprob": math.log(0.75)},
    ...         {"token": " no", "logprob": math.log(0.125)}]
    >>> content = [{"token": " yes", "logprob": math.log(0.75), "top_logprobs": tops}]
    >>> response = {"model": "m", "choices": [{"index": 0, "logprobs": {"content": content}}]}
    >>> rows = mb.from_openai(response)
    >>> rows.tokens, rows[0].rest == math.log(0.125)
    ((' yes', ' no', '<other>'), True)
    >>> mb.from_openai(response, vocab=[" yes", " no"]).probs()
    array([[0.75 , 0.125, 0.125]])
    """
    seen: set[Any] = set()
    return rows_of(
        records,
        lambda record, names: paths(unwrapped(record), prompt, seen),
        "from_openai",
        tokenizer=tokenizer,
        vocab=vocab,
        other=other,
        positions=positions,
        prompt=prompt,
    )


def paths(record: Any, prompt: bool, seen: set[Any]) -> Iterator[Path]:
    """The paths of one response, or of a piece of one."""
    kind = field(record, "type", "")
    choices = field(record, "choices")
    if choices is None and field(record, "output") is None:
        refuse_error(record)
    if isinstance(kind, str) and kind.startswith("response."):
        yield from _of_event(record, kind, prompt, seen)
    elif choices is not None:
        yield from _of_choices(record, choices, prompt, seen)
    elif field(record, "output") is not None:
        yield from _of_response(record, prompt, seen)
    elif field(record, "content") is not None and isinstance(field(record, "content"), list):
        yield _of_content(field(record, "content"), 0, None)
    else:
        raise Refused("the record has neither choices nor output: it is no response of OpenAI's")


def _of_choices(
    record: Any, choices: Sequence[Any], prompt: bool, seen: set[Any]
) -> Iterator[Path]:
    """Chat completions and Completions."""
    model, stream = field(record, "model"), field(record, "id")
    for number, choice in enumerate(choices):
        index = field(choice, "index", number)
        log_probs = field(choice, "logprobs")
        delta = field(choice, "delta")
        kind, ended = field(record, "object"), field(choice, "finish_reason") is not None
        piece = delta is not None or kind == "chat.completion.chunk"
        if delta is None and stream is not None and _names(choice, "finish_reason"):
            texts = kind == "text_completion" or field(log_probs, "tokens") is not None
            piece |= texts and (not ended or stream in seen)
        if log_probs is None:
            if piece or _silent(choice):
                continue
            raise Refused(
                "the response has no log-probabilities (logprobs is null): ask for them by "
                "logprobs=True, top_logprobs=20 (Completions: logprobs=5)"
            )
        if field(log_probs, "tokens") is not None:
            found = _of_texts(record, log_probs, index, model, prompt)
        elif prompt:
            raise Refused(
                "chat completions have no log-probabilities of the prompt"
                + (" but those of vLLM: read them by from_vllm" * _names(record, "prompt_logprobs"))
            )
        else:
            bare = log_probs if isinstance(log_probs, list) else field(log_probs, "content")
            content = bare or field(log_probs, "refusal") or ()
            found = _of_content(content, index, model)
        if piece and stream is not None:
            seen.add(stream)
            found = found._replace(stream=stream, ended=ended)
        yield found


def _names(record: Any, name: str) -> bool:
    """Whether a record has a field, be it null."""
    return name in record if isinstance(record, Mapping) else hasattr(record, name)


def _silent(choice: Any) -> bool:
    """Whether a choice has said nothing: no text to have log-probabilities of, or a tool's call."""
    message = field(choice, "message")
    if message is None:
        return bool(field(choice, "text") == "")
    return not field(message, "content") and not field(message, "refusal")


def _of_content(content: Sequence[Any], index: int, model: str | None) -> Path:
    """A list of entries."""
    return Path(content, entry, choice=index, model=model)


def _of_texts(record: Any, log_probs: Any, index: int, model: str | None, prompt: bool) -> Path:
    """Completions: lists side by side, of tokens, of numbers, and of mappings from text."""
    tokens = field(log_probs, "tokens") or ()
    own = field(log_probs, "token_logprobs") or [None] * len(tokens)
    tops = field(log_probs, "top_logprobs") or [None] * len(tokens)
    if not len(tokens) == len(own) == len(tops):
        raise Refused(
            f"{len(tokens)} tokens have {len(own)} log-probabilities and {len(tops)} lists of the "
            "most probable"
        )
    places = list(zip(tokens, own, tops, strict=True))
    usage = field(record, "usage")
    n_prompt, n_generated = field(usage, "prompt_tokens"), field(usage, "completion_tokens", 0)
    echoed = bool(places) and own[0] is None
    if not echoed and n_prompt and len(places) == n_prompt + n_generated and n_generated:
        echoed = True
    if echoed and n_prompt is not None:
        n_prompt = _ends_at(len(places), field(record, "choices"), n_prompt, n_generated)
    if prompt and not echoed:
        raise Refused("the record has no log-probabilities of the prompt: ask with echo=True")
    if not echoed:
        return Path(places, _by_text, choice=index, model=model)
    if n_prompt is None:
        warnings.warn(
            "a record repeats the prompt (echo) and does not say where it ends (it lacks "
            "usage.prompt_tokens, or that is of several prompts): the rows are those of the prompt "
            "and of what follows it",
            UserWarning,
            stacklevel=2,
        )
        return Path(places[1:], _by_text, "prompt" if prompt else "generated", index, model)
    if prompt:  # what comes before the first token is nothing
        return Path(places[1:n_prompt], _by_text, "prompt", index, model)
    return Path(places[n_prompt:], _by_text, choice=index, model=model)


def _ends_at(n: int, choices: Sequence[Any], n_prompt: int, n_generated: int) -> int | None:
    """The places of the prompt among the n of one choice; None where that is not known.

    What is said of use is the sum over all prompts of a request, each of which has its choices.
    """
    total, count = (
        sum(len(field(field(c, "logprobs"), "tokens", ())) for c in choices),
        len(choices),
    )
    if count == 1 or total == count * n_prompt + n_generated:  # one prompt
        return n_prompt
    if n_generated == 0 or total == n_prompt:
        return n
    listed = (total - n_generated) % n_prompt == 0  # and not the prompts alone
    if listed and all(field(choice, "finish_reason") == "length" for choice in choices):
        return n - n_generated // count
    return None


def _by_text(place: tuple[Any, Any, Any]) -> Listed | None:
    """What a place of Completions lists."""
    token, own, top = place
    if own is None and not top:
        return None
    sampled = text_of(token)
    if not top:
        return Listed([sampled], [own], 0, sampled)
    log_probs = dict(top) if isinstance(top, dict) else dict(vars(top))
    if own is None:
        own = log_probs.get(token)
    log_probs.pop(token, None)
    keys = [text_of(text) for text in log_probs]
    numbers = list(log_probs.values())
    n_top = len(keys)
    if own is None:
        return Listed(keys, numbers, n_top, None, True)
    return Listed([*keys, sampled], [*numbers, own], n_top, sampled, True)


def _of_response(record: Any, prompt: bool, seen: set[Any]) -> Iterator[Path]:
    """The Responses API: messages among what was put out."""
    if prompt:
        raise Refused("the Responses API has no log-probabilities of the prompt")
    model, number, texts = field(record, "model"), 0, 0
    for item in field(record, "output"):
        if field(item, "id") in seen:
            continue
        for part in field(item, "content") or ():
            if field(part, "type") != "output_text":
                continue
            texts += bool(field(part, "text"))
            content = field(part, "logprobs")
            if content:
                yield _of_content(content, number, model)
                number += 1
    if texts and not number:
        raise Refused(
            "the response has no log-probabilities: ask for them by "
            'include=["message.output_text.logprobs"], top_logprobs=20'
        )


def _of_event(record: Any, kind: str, prompt: bool, seen: set[Any]) -> Iterator[Path]:
    """A piece of the Responses API's stream; what it repeats at the end is left out."""
    if kind == DELTA and field(record, "logprobs"):
        item = field(record, "item_id")
        seen.add(item)
        path = _of_content(field(record, "logprobs"), field(record, "content_index", 0), None)
        yield path._replace(stream=item, ended=False)
    elif kind == DONE and field(record, "item_id") in seen:
        index = field(record, "content_index", 0)
        yield Path((), entry, choice=index, stream=field(record, "item_id"))
    elif kind in ("response.completed", "response.incomplete"):
        whole = field(record, "response")
        if whole is not None:
            yield from _of_response(whole, prompt, seen)
