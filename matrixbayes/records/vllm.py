"""Rows from what vLLM gave: its Python objects, and what its server answers.

Contents
    from_vllm    RequestOutput, and responses of the server
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter, itemgetter
from typing import Any

from .._base.arguments import shown
from ..huggingface.answers import Other, Vocab
from . import openai
from .gathered import Listed, Path, Positions, rows_of
from .reading import Refused, field, refuse_ids, unwrapped

LOG_PROB_OF_ITEM, LOG_PROB_OF_OBJECT = itemgetter("logprob"), attrgetter("logprob")
TEXT_OF_ITEM, TEXT_OF_OBJECT = itemgetter("decoded_token"), attrgetter("decoded_token")


def from_vllm(
    records: Any,
    *,
    vocab: Vocab | None = None,
    other: Other = "keep",
    tokenizer: Any = None,
    positions: Positions = "all",
    prompt: bool = False,
    listed: str = "top",
) -> Any:
    """Rows known in part from what vLLM gave, in Python or from its server.

    Parameters
    ----------
    records
        What ``LLM.generate`` returned (with ``SamplingParams(logprobs=20)``, or
        ``prompt_logprobs=20``), in lists of dictionaries or in its flat form; or what the server
        answered (``logprobs``, ``prompt_logprobs``), as objects, dictionaries, JSON text, paths of
        files, or any iterable of these.
    vocab, other, tokenizer, positions
        As for `from_openai`.  Without a tokenizer the columns are the ids that were seen, under the
        texts that the records have for them, and ``<other>``; a spelling is such a text or an id.
    prompt : bool
        The places of the prompt (``prompt_logprobs``) and not the generated ones.  The row of
        position p is that after token p, as in `collect`.
    listed : {"top", "named"}
        What is listed: the most probable tokens; or those that were asked for by name
        (``logprob_token_ids``), of which nothing follows for others but the rest.

    Returns
    -------
    PartialRows
        As of `from_openai`, with the contexts in ``input_ids`` where the records have the ids of
        the prompt (of the server's: ``return_token_ids=True``).

    Raises
    ------
    ValueError
        As of `from_openai`; or the numbers are logits (``logprobs_mode="raw_logits"``).

    Warns
    -----
    UserWarning
        A listed token is impossible (-inf): the engine's ``logprobs_mode`` is one of those
        that give numbers after sampling (``processed_logprobs``), or the model forbids it.

    Notes
    -----
    The token that came next stands beside the most probable ones, where it may be one of them: by
    its rank, where that is told, it is known which.

    Examples
    --------
    >>> import math
    >>> import matrixbayes as mb
    >>> place = {"791": {"logprob": math.log(0.75), "rank": 1, "decoded_token": "The"},
    ...          "32": {"logprob": math.log(0.125), "rank": 2, "decoded_token": "A"}}
    >>> response = {"choices": [{"index": 0, "prompt_logprobs": [None, place]}]}
    >>> rows = mb.from_vllm(response, prompt=True)
    >>> rows.tokens, rows.token_ids
    (('A', 'The', '<other>'), array([ 32, 791,  -1]))
    """
    if listed not in ("top", "named"):
        raise ValueError(f"listed={shown(listed)} is neither 'top' nor 'named'")
    seen: set[Any] = set()
    reader = Reader(prompt, listed == "named", tokenizer is None)

    def paths(record: Any, names: dict[int, str]) -> Iterator[Path]:
        reader.names = names
        record = unwrapped(record)
        outputs = field(record, "outputs")
        if outputs is not None:
            return reader.of_request(record, outputs)
        if prompt:
            return reader.of_prompt(record)
        return reader.of_answer(record, seen)

    rows = rows_of(
        records,
        paths,
        "from_vllm",
        tokenizer=tokenizer,
        vocab=vocab,
        other=other,
        positions=positions,
        prompt=prompt,
    )
    if "impossible" in rows.meta:
        warnings.warn(
            "listed tokens are impossible (-inf): unless the model forbids them, these are numbers "
            "after sampling (logprobs_mode='processed_logprobs' with top_p or top_k) and not the "
            "model's",
            UserWarning,
            stacklevel=2,
        )
    return rows


class Reader:
    """Reads places, each a mapping from ids to numbers."""

    def __init__(self, prompt: bool, named: bool, wants_names: bool) -> None:
        self.prompt, self.named, self.wants_names = prompt, named, wants_names
        self.names: dict[int, str] = {}
        self.seen: set[int] = set()

    # -- Python -----------------------------------------------------------------

    def of_request(self, record: Any, outputs: Sequence[Any]) -> Iterator[Path]:
        """A RequestOutput."""
        before = field(record, "prompt_token_ids")
        if self.prompt:
            yield self._prompt(field(record, "prompt_logprobs"), before, 0, None)
            return
        for number, output in enumerate(outputs):
            places, ids = field(output, "logprobs"), field(output, "token_ids")
            if places is None:
                if not field(output, "token_ids", ()):
                    continue
                raise Refused("there are no log-probabilities: ask for SamplingParams(logprobs=20)")
            places, read = self._read(places)
            index = field(output, "index", number)
            yield Path(places, read, "generated", index, None, 0, before, ids)

    def _prompt(
        self, places: Any, ids: Sequence[int] | None, choice: int, model: str | None
    ) -> Path:
        """The places of a prompt, but for what is before its first token."""
        if places is None:
            raise Refused(
                "there are no log-probabilities of the prompt: ask for prompt_logprobs=20"
            )
        places, read = self._read(places)
        first = int(bool(places) and places[0] is None)
        context, after = (None, None) if ids is None or not first else (ids[:1], ids[1:])
        return Path(places[first:], read, "prompt", choice, model, 0, context, after)

    def _read(self, places: Any) -> tuple[Sequence[Any], Callable[[Any], Listed | None]]:
        """The places of one form or the other, and what reads one."""
        if type(places) is not list and field(places, "start_indices") is not None:
            return flat_places(places), self.flat
        return places, self.place

    # -- the server -------------------------------------------------------------

    def of_prompt(self, record: Any) -> Iterator[Path]:
        """Prompts in a response: of chat once for all choices, of Completions for each."""
        model, choices = field(record, "model"), field(record, "choices") or ()
        places = field(record, "prompt_logprobs")
        if places is not None:
            yield self._prompt(places, field(record, "prompt_token_ids"), 0, model)
            return
        found = False
        for number, choice in enumerate(choices):
            places = field(choice, "prompt_logprobs")
            if places is not None:
                ids = field(choice, "prompt_token_ids")
                found = True
                yield self._prompt(places, ids, field(choice, "index", number), model)
        if not found:
            yield self._prompt(None, None, 0, model)

    def of_answer(self, record: Any, seen: set[Any]) -> Iterator[Path]:
        """Generated places, which the server writes as OpenAI does."""
        choices = field(record, "choices") or ()
        by_index = {field(choice, "index", i): choice for i, choice in enumerate(choices)}
        for path in openai.paths(record, False, seen):
            choice = by_index.get(path.choice)
            before = field(choice, "prompt_token_ids", field(record, "prompt_token_ids"))
            ids = field(choice, "token_ids")
            if ids is None or len(ids) != len(path.places):
                ids = None
            read = path.read
            if self.named:
                path = path._replace(read=lambda place, read=read: read(place)._replace(n_top=0))  # type: ignore[misc]
            yield path if path.stream else path._replace(context=before, ids=ids)

    # -- places -----------------------------------------------------------------

    def place(self, place: Any) -> Listed | None:
        """A mapping from ids to ``Logprob``, or to what JSON makes of it; the sampled one first."""
        if not place:
            return None
        entries = list(place.values())
        first, ids = entries[0], list(map(int, place))
        text: Callable[[Any], Any] | None
        if isinstance(first, dict):
            log_probs = list(map(LOG_PROB_OF_ITEM, entries))
            text = TEXT_OF_ITEM if "decoded_token" in first else None
            ranks = first.get("rank"), entries[-1].get("rank")
        elif hasattr(first, "logprob"):
            log_probs = list(map(LOG_PROB_OF_OBJECT, entries))
            text = TEXT_OF_OBJECT if hasattr(first, "decoded_token") else None
            ranks = getattr(first, "rank", None), getattr(entries[-1], "rank", None)
        else:  # versions of old gave the number alone
            log_probs, text, ranks = entries, None, (None, None)
        refuse_ids(ids)
        if text and self.wants_names and not self.seen.issuperset(ids):
            self.seen.update(ids)
            self.names.update(zip(ids, map(text, entries), strict=True))
        return self._listed(ids, log_probs, ranks)

    def flat(self, place: tuple[Any, Any, Any, Any]) -> Listed | None:
        """A cut of the flat form: ids, numbers, ranks, texts."""
        ids, log_probs, ranks, texts = place
        refuse_ids(ids)
        if self.wants_names and texts:
            self.names.update(zip(ids, texts, strict=False))
        ends = (ranks[0], ranks[-1]) if ranks else (None, None)
        return self._listed(ids, log_probs, ends)

    def _listed(self, ids: list[int], log_probs: list[Any], ranks: tuple[Any, Any]) -> Listed:
        """What is listed, the sampled token first; the ranks are of the first and the last."""
        n, sampled = len(ids), ids[0]
        if self.named:
            return Listed(ids, log_probs, 0, sampled)
        # What is listed beside it are the most probable ones, in order.  If they do not fall, JSON
        # has put them in another order, or they were asked for by name: nothing follows from them.
        first, last = ranks
        n_top = 1 - n  # those behind the first
        if isinstance(first, int) and isinstance(last, int):
            among = n - (sampled in ids[1:])
            if last > among and n > 1:
                n_top = 0
            elif 0 < first <= among:
                n_top = n
        return Listed(ids, log_probs, n_top, sampled, falls=True)


def flat_places(flat: Any) -> list[Any]:
    """The places of the flat form, cut; None where there is nothing."""
    ids, log_probs = _list(flat, "token_ids"), _list(flat, "logprobs")
    ranks, texts = _list(flat, "ranks"), _list(flat, "decoded_tokens")
    starts, ends = _list(flat, "start_indices"), _list(flat, "end_indices")
    if len(starts) != len(ends) or len(ids) != len(log_probs):
        raise Refused(f"{len(ids)} ids have {len(log_probs)} log-probabilities")
    return [
        (ids[a:b], log_probs[a:b], ranks[a:b], texts[a:b]) if b > a else None
        for a, b in zip(starts, ends, strict=True)
    ]


def _list(flat: Any, name: str) -> list[Any]:
    """A list of the flat form, which may be an array."""
    values = field(flat, name, ())
    return values.tolist() if hasattr(values, "tolist") else list(values)
