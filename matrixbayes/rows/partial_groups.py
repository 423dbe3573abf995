"""Answers over rows known in part: what groups of tokens have of each row, between bounds.

Contents
    Answers       groups of columns, by name
    make_answers  from the `vocab` argument of `group`
    Places        the columns of tokens
    lumped        the bounds of each group's probability
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base.arguments import is_whole, shown
from .._base.tokens import no_such_token
from .._base.typing import Floats, Ids
from ..errors import NoSuchTokenError
from .partial_checks import sums_of

OTHER = "<other>"  # the column, last, of all tokens that are in no answer or have no column


class Answers(NamedTuple):
    """Groups of columns.

    Attributes
    ----------
    names
        Of the answers, and last `OTHER` if some token is in none.
    token_ids
        The id of an answer of one token; -1 for others.
    groups
        The number of each column's group, (V,).
    sizes
        How many tokens each group has; infinite for all others of an open vocabulary.
    """

    names: tuple[str, ...]
    token_ids: Ids
    groups: NDArray[np.intp]
    sizes: Floats


def make_answers(
    vocab: Any,
    tokens: tuple[str, ...] | None,
    token_ids: Ids | None,
    n_tokens: int,
    is_open: bool,
) -> Answers:
    """The groups that `vocab` asks for; names of an open vocabulary need not be among its columns.

    Raises
    ------
    ValueError, TypeError
        A token is not there, belongs to two answers, or there are none.
    """
    if isinstance(vocab, str) or not isinstance(vocab, (Mapping, Sequence, np.ndarray)):
        raise TypeError(
            f"vocab is {shown(vocab)}; it must be {{answer: tokens}}, or a list of tokens"
        )
    answers = vocab if isinstance(vocab, Mapping) else {_name(t, tokens): t for t in vocab}
    if not len(answers) or len(answers) < len(vocab):
        raise ValueError("vocab is empty" if not len(vocab) else "vocab holds a token twice")
    places = Places(tokens, token_ids, n_tokens, is_open)
    owner: dict[int | str, str] = {}
    sizes, single = [], []
    groups = np.full(n_tokens, len(answers), dtype=np.intp)
    for g, (answer, given) in enumerate(answers.items()):
        if not isinstance(answer, str) or answer == OTHER:
            raise ValueError(f"{answer!r} cannot be the name of an answer; choose another string")
        members: dict[int | str, None] = {}
        for token in [given] if isinstance(given, str) or is_whole(given) else list(given):
            for place in places.of(token, f"answer {answer!r}"):
                if owner.setdefault(place, answer) != answer:
                    raise ValueError(
                        f"{token!r} is in two answers, {owner[place]!r} and {answer!r}"
                    )
                members[place] = None
        if not members:
            raise ValueError(f"answer {answer!r} has no tokens")
        columns = [place for place in members if not isinstance(place, str)]
        groups[columns] = g
        sizes.append(float(len(members)))
        alone = token_ids is not None and len(columns) == len(members) == 1
        single.append(int(token_ids[columns[0]]) if alone and token_ids is not None else -1)
    others = np.inf if is_open else float(n_tokens - sum(sizes))
    if others:
        return Answers(
            (*answers, OTHER), np.array([*single, -1], np.int64), groups, np.array([*sizes, others])
        )
    if len(answers) == 1:
        raise ValueError(f"vocab leaves the single column {next(iter(answers))!r}")
    return Answers(tuple(answers), np.array(single, np.int64), groups, np.array(sizes))


def _name(token: Any, tokens: tuple[str, ...] | None) -> str:
    """What a token that is an answer of its own is called."""
    if isinstance(token, str):
        return token
    if not is_whole(token):
        raise TypeError(f"vocab holds {shown(token)}; a token is a name or a number")
    return f"<{operator.index(token)}>"


class Places:
    """Where tokens are among the columns."""

    def __init__(
        self, tokens: tuple[str, ...] | None, token_ids: Ids | None, n_tokens: int, is_open: bool
    ) -> None:
        self.number = {name: v for v, name in enumerate(tokens or ())}
        ids = () if token_ids is None else token_ids.tolist()
        self.of_id = {i: v for v, i in enumerate(ids) if i >= 0}
        self.has_ids = token_ids is not None
        self.width, self.is_open = n_tokens, is_open
        self.alike: dict[str, list[int]] = {}  # columns of ids that are written alike
        for i, v in self.of_id.items():
            name, end = tokens[v] if tokens else "", f"<{i}>"
            if name.endswith(end) and name != end:
                self.alike.setdefault(name[: -len(end)], []).append(v)

    def of(self, token: Any, what: str) -> Sequence[int | str]:
        """The column of a token, or its name where an open vocabulary has no column for it.

        Of ids that are written alike, whose columns are named ``text<id>``, a text means all.
        """
        if isinstance(token, str):
            if token in self.number and not (self.is_open and token == OTHER):
                return [self.number[token]]
            if token in self.alike:
                return self.alike[token]
            if self.is_open and token != OTHER:
                return [token]
            names = tuple(self.number) or None
            raise NoSuchTokenError(f"{what}: {no_such_token(token, names, 'these rows')}")
        if not is_whole(token):
            raise TypeError(f"{what}: {shown(token)} is neither a name nor a number of a token")
        i = operator.index(token)
        if self.has_ids and i in self.of_id:
            return [self.of_id[i]]
        if not self.has_ids and 0 <= i < self.width - self.is_open:
            return [i]
        numbers = "token id" if self.has_ids else "column"
        raise NoSuchTokenError(f"{what}: these rows have no {numbers} {i}")


def lumped(
    row: Ids,
    groups: NDArray[np.intp],
    log_probs: Floats,
    rest: Floats,
    cap: Floats,
    sizes: Floats,
    keep: bool,
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Log-probabilities of groups (N, G) from below and above, and which rows are determined.

    Parameters
    ----------
    row, groups, log_probs
        Of each entry: its row, its group, its number.
    rest, cap
        Of each row.
    sizes
        The number of tokens of each group.
    keep
        Whether the last group stays; else the others are shares of what they have together.
    """
    n, width = len(rest), len(sizes)
    cell, cells = row * width + groups, n * width
    count = np.bincount(cell, minlength=cells).reshape(n, width)
    listed = sums_of(cell, np.exp(log_probs), cells).reshape(n, width)
    missing = sizes - count
    mass, most = np.exp(rest)[:, np.newaxis], np.exp(cap)[:, np.newaxis]
    with np.errstate(invalid="ignore"):
        room = np.where(missing > 0, np.minimum(missing * most, mass), 0.0)
        full = np.isclose((missing * most).sum(axis=1), mass[:, 0], rtol=1e-12, atol=0.0)
    room[np.isinf(missing) & (mass > 0.0)] = np.inf
    # What the other groups cannot take of the rest is this one's.
    others = _of_others(room)
    least = np.maximum(mass - others, 0.0)
    room = np.minimum(room, mass)
    sure = ((missing > 0).sum(axis=1) <= 1) | (mass[:, 0] == 0.0) | full
    least[sure] = room[sure]
    low, high = listed + least, listed + room
    if not keep:
        low, high = _shares(listed, room, mass, missing[:, -1:] * most)
        sure = (high - low <= 1e-15).all(axis=1)
        low[sure] = high[sure]
    with np.errstate(divide="ignore"):
        low, high = np.log(low), np.log(high)
    if keep:  # a number that nothing was added to is itself, to the last bit
        alone = (count == 1) & sure[:, np.newaxis] & (room == 0.0)
        itself = sums_of(cell, log_probs, cells).reshape(n, width)
        bare = (count == 0) & sure[:, np.newaxis] & (room == mass) & (mass > 0.0)
        for bound in (low, high):
            bound[alone] = itself[alone]
            bound[bare] = np.broadcast_to(rest[:, np.newaxis], bare.shape)[bare]
        total = np.log(np.exp(high).sum(axis=1, keepdims=True))
        rounded = sure[:, np.newaxis] & (np.abs(total) > 1e-6)
        low, high = (np.where(rounded, bound - total, bound) for bound in (low, high))
    return low, high, sure


def _of_others(values: Floats) -> Floats:
    """What all other columns of each row sum to; some of them may be infinite."""
    vast = np.isinf(values)
    finite = np.where(vast, 0.0, values)
    found: Floats = np.maximum(finite.sum(axis=1, keepdims=True) - finite, 0.0)
    found[vast.sum(axis=1, keepdims=True) - vast > 0] = np.inf
    return found


def _shares(listed: Floats, room: Floats, mass: Floats, spare: Floats) -> tuple[Floats, Floats]:
    """The same bounds of shares among all groups but the last, which has room for `spare`.

    A share is largest where its group takes all that it can of the rest, and the others only what
    neither it nor the last group can.
    """
    with np.errstate(invalid="ignore"):
        spare = np.where(mass > 0.0, np.minimum(spare, mass), 0.0) + listed[:, -1:] * 0.0
    own, taken = listed[:, :-1], room[:, :-1]
    theirs = own.sum(axis=1, keepdims=True) - own
    other = np.minimum(_of_others(taken), mass)
    up = own + taken
    beside = theirs + np.maximum(mass - taken - spare, 0.0)
    down = own + np.maximum(mass - other - spare, 0.0)
    above = theirs + other
    if not (up.sum(axis=1) > 0.0).all():
        i = int(np.argmin(up.sum(axis=1) > 0.0))
        raise ValueError(f"no answer has any probability in row {i}: there is nothing to be shared")
    with np.errstate(invalid="ignore", divide="ignore"):
        high = np.where(up > 0.0, up / (up + beside), 0.0)
        low = np.where(down > 0.0, down / (down + above), 0.0)
    return low, high
