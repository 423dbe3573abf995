"""What a place lists where tokens are entries {token, logprob, bytes, top_logprobs}, maybe with id.

OpenAI's Chat completions and Responses write it so, and most servers after them; Ollama,
llama.cpp, Grok and Inspect AI too.

Contents
    entry      reads one place
    text_of    the text of a token that is an entry without an id
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from operator import attrgetter, itemgetter
from typing import Any

from .._base.pieces import text_of_bytes
from .gathered import Listed, numbers
from .reading import Refused, field, refuse_ids, shown

AS_ID = "token_id:"  # how vLLM writes an id where a text stands
ESCAPES = re.compile(r"(?:bytes:|byte: )((?:\\x[0-9a-fA-F]{1,2})+)")


def entry(place: Any, top: str = "top_logprobs", exact: bool = False) -> Listed:
    """What one place lists.

    Parameters
    ----------
    place
        The entry of the token that came next.
    top
        The name of its list of the most probable tokens.
    exact
        Whether that list is of the most probable ones only.  Some servers put the token that came
        next in it as well: the least of the list then says nothing of those not listed if it is
        that one.
    """
    listed = field(place, top) or ()
    own_key, own = _key(place), _log_prob(place)
    if not listed:
        return Listed([own_key], [own], 0, own_key)
    if isinstance(listed, Mapping):
        raise Refused("the list of the most probable tokens is no list")
    first = listed[0]
    if isinstance(first, dict):
        try:
            log_probs = [each["logprob"] for each in listed]
        except KeyError:
            log_probs = [_log_prob(each) for each in listed]
        keys = _keys(listed, first)
    else:
        log_probs = list(map(attrgetter("logprob"), listed))
        keys = [_key(each) for each in listed]
    n_top = len(keys)
    if own_key not in keys:
        keys.append(own_key)
        log_probs.append(own)
        return Listed(keys, log_probs, n_top, own_key)
    if exact:
        return Listed(keys, log_probs, n_top, own_key)
    if not all(type(number) is float for number in log_probs):
        log_probs = numbers(log_probs)
    at = keys.index(own_key)
    if log_probs[at] == min(log_probs):
        falling = all(a >= b for a, b in pairwise(log_probs))
        if not (falling and at == n_top - 1 > 0):  # it may not be one of the most probable
            keys.append(keys.pop(at))
            log_probs.append(log_probs.pop(at))
            n_top -= 1
    return Listed(keys, log_probs, n_top, own_key)


def _keys(listed: Sequence[Any], first: dict[str, Any]) -> list[Any]:
    """The keys of dictionaries that are alike."""
    if isinstance(first.get("id"), int):
        return list(map(itemgetter("id"), listed))
    try:  # most have bytes that are text
        keys = [bytes([*each["bytes"]]).decode() for each in listed]  # of a number: so many zeros
    except (KeyError, TypeError, ValueError, OverflowError):
        return [_key(each) for each in listed]
    if "" in keys or keys[0].startswith(AS_ID):
        return [_key(each) for each in listed]
    return keys


def _key(place: Any) -> Any:
    """The id of an entry; else its text, which its bytes have the last word on."""
    known = field(place, "id")
    if isinstance(known, int):
        refuse_ids([known])
        return known
    return text_of(field(place, "token"), field(place, "bytes"))


def text_of(text: Any, raw: Any = None) -> Any:
    """A token's text, by its bytes where it has them; its id where that is what the text says."""
    if not isinstance(text, str):
        raise Refused(f"a listed token is {shown(text)}, and not a text")
    if text.startswith(AS_ID) and text[len(AS_ID) :].isdecimal():
        refuse_ids([known := int(text[len(AS_ID) :])])
        return known
    if raw:
        return text_of_bytes(bytes([*raw]))
    if text[:4] == "byte":
        match = ESCAPES.fullmatch(text)
        if match:
            return text_of_bytes(bytes(int(byte, 16) for byte in match[1].split("\\x")[1:]))
    return text


def _log_prob(place: Any) -> Any:
    """The log-probability of an entry."""
    value = field(place, "logprob")
    if value is None:
        if field(place, "prob") is not None:
            raise Refused(
                "these are probabilities after sampling (prob), which are not the model's: ask "
                "with post_sampling_probs=false"
            )
        if "logprob" not in place if isinstance(place, Mapping) else not hasattr(place, "logprob"):
            raise Refused("an entry has no 'logprob'")
    return value
