"""The two sides of a comparison, row by row, over columns that both have.

Contents
    MatrixSide      rows that a matrix, or another model of contexts, predicts
    RowsSide        rows that are there
    PartialSide     rows known in part
    Sides           both, with the same contexts and columns
    checked_sides   from what a caller handed in
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..._base.arguments import listed
from ..._base.numbers import is_named, plain, wholes
from ..._base.tokens import Vocabulary, columns_in, order_of
from ..._base.typing import Floats, Ids
from ...rows import NextTokenRows, PartialRows, as_log_probs
from ...rows.partial_groups import OTHER

LUMPED = (OTHER, "<unused>")  # columns that are no token


class MatrixSide:
    """Rows that a matrix, or another model of contexts, predicts."""

    what = "matrix"

    def __init__(self, matrix: Any) -> None:
        self.matrix, self.tokens, self.width = matrix, matrix.tokens, int(matrix.n_tokens)
        self.own_contexts: list[Ids] | None = None
        self._ids: list[Ids] = []

    def take(self, contexts: Sequence[Ids]) -> None:
        """The contexts of all rows, of which the last `order` tokens count."""
        order = self.matrix.order
        self._ids = [context[max(0, len(context) - order) :] for context in contexts]
        self._lengths = np.array([len(context) for context in self._ids])

    def seen(self) -> NDArray[Any] | None:
        """How often each context was counted; None where that is not known."""
        if not hasattr(self.matrix, "totals"):
            return None
        found = np.zeros(len(self._ids), dtype=np.asarray(self.matrix.n_observed).dtype)
        for some, ids in self._groups(np.arange(len(self._ids))):
            found[some] = self.matrix.totals(ids)
        return found

    def block(self, cut: slice) -> tuple[Floats, Floats]:
        """Probabilities (n, V) and their logarithms."""
        numbers = np.arange(len(self._ids))[cut]
        p = np.empty((len(numbers), self.width))
        for some, ids in self._groups(numbers):
            p[some] = self.matrix.predict(ids)
        with np.errstate(divide="ignore"):
            return p, np.log(p)

    def part(self, cut: slice) -> NextTokenRows:
        """The rows themselves."""
        return NextTokenRows(self.block(cut)[1], tokens=self.tokens)

    def _groups(self, numbers: NDArray[np.intp]) -> list[tuple[NDArray[np.intp], Ids]]:
        """Which of some rows have contexts of the same length, and those (n, length)."""
        lengths = self._lengths[numbers]
        found = []
        for length in np.unique(lengths):
            some = np.flatnonzero(lengths == length)
            ids = np.stack([self._ids[i] for i in numbers[some]])
            found.append((some, self._led(ids)))
        return found

    def _led(self, ids: Ids) -> Ids:
        """Where documents begin with begin tokens, these before contexts that begin with theirs."""
        missing = len(getattr(self.matrix, "begin", ())) - ids.shape[1]
        if missing > 0:
            begin = np.full((len(ids), missing), self.width)
            return np.concatenate([begin, ids], axis=1).astype(np.int64)
        return ids


class RowsSide:
    """Rows that are there."""

    what = "model"

    def __init__(self, rows: Any, kind: str | None) -> None:
        self.log_probs, self.tokens = as_log_probs(rows, kind)
        self.width = self.log_probs.shape[1]
        self.rows = rows
        self.own_contexts = _contexts_of(rows, len(self))

    def __len__(self) -> int:
        return len(self.log_probs)

    def block(self, cut: slice) -> tuple[Floats, Floats]:
        """Probabilities (n, V) and their logarithms."""
        log_p = np.asarray(self.log_probs[cut], dtype=np.float64)
        return np.exp(log_p), log_p

    def part(self, cut: slice) -> NextTokenRows:
        """The rows themselves."""
        if isinstance(self.rows, NextTokenRows):
            return self.rows[cut]
        return NextTokenRows(self.log_probs[cut], tokens=self.tokens)


class PartialSide:
    """Rows known in part."""

    what = "model"

    def __init__(self, rows: PartialRows) -> None:
        self.rows, self.tokens, self.width = rows, rows.tokens, rows.n_tokens
        self.own_contexts = _contexts_of(rows, len(rows))

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, cut: slice) -> PartialRows:
        """The rows themselves."""
        found: PartialRows = self.rows[cut]
        return found


Side = MatrixSide | RowsSide | PartialSide


class Sides:
    """Two sides with the same contexts; of whole rows, columns that both have."""

    def __init__(self, first: Side, second: Side, contexts: tuple[Ids, ...], n: int) -> None:
        self.first, self.second, self.contexts, self.n = first, second, contexts, n
        whats = first.what, second.what
        self.names = ("first", "second") if whats[0] == whats[1] else whats
        self.tokens = first.tokens if first.tokens is not None else second.tokens
        self._shared: tuple[NDArray[np.intp], NDArray[np.intp]] | None = None
        self._order: NDArray[np.intp] | None = None

    def match(self) -> None:
        """Columns by their names, which are the same."""
        first, second = self.first, self.second
        if first.width != second.width:
            sizes = (
                f"rows have {second.width} columns, the matrix {first.width} tokens"
                if self.names == ("matrix", "model")
                else f"the {self.names[0]} has {first.width} columns, the {self.names[1]} "
                f"{second.width}"
            )
            raise ValueError(f"{sizes}; where both have names, shared=True takes what they share")
        self._order = order_of(
            second.tokens,
            first.tokens,
            f"the names of the tokens of the {self.names[0]} and the {self.names[1]} differ, and "
            "shared=True would take what they share",
        )

    def share(self) -> None:
        """Columns that both have by their texts, and one for all others."""
        if self.first.tokens is None or self.second.tokens is None:
            which = self.names[self.first.tokens is not None]
            raise ValueError(f"shared=True goes by the texts of tokens, and the {which} has none")
        place = {name: j for j, name in enumerate(self.second.tokens) if name not in LUMPED}
        both = [j for j, name in enumerate(self.first.tokens) if name in place]
        if not both:
            raise ValueError("no token of one side is a token of the other: nothing is shared")
        names = [self.first.tokens[j] for j in both]
        self._shared = np.array(both), np.array([place[name] for name in names])
        self.tokens = (*names, OTHER)

    def block(self, cut: slice) -> tuple[Floats, Floats, Floats, Floats, NDArray[np.bool_]]:
        """p, ln p, q and ln q of some rows, and in which one token is the most probable of both."""
        assert not isinstance(self.first, PartialSide)
        assert not isinstance(self.second, PartialSide)
        (p, log_p), (q, log_q) = self.first.block(cut), self.second.block(cut)
        tops = [x.max(axis=1, keepdims=True) for x in (p, q)]
        if self._shared is None:
            q, log_q = columns_in(q, self._order), columns_in(log_q, self._order)
            agree = ((p == tops[0]) & (q == tops[1])).any(axis=1)
            return p, log_p, q, log_q, agree
        p, log_p = _lumped(p, log_p, self._shared[0])
        q, log_q = _lumped(q, log_q, self._shared[1])
        agree = ((p == tops[0]) & (q == tops[1]))[:, :-1].any(axis=1)
        return p, log_p, q, log_q, agree

    @property
    def shared(self) -> bool:
        """Whether the last column is all that one side alone has."""
        return self._shared is not None


def _lumped(p: Floats, log_p: Floats, columns: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Some columns, and the sum of all others."""
    others = np.ones(p.shape[1], dtype=bool)
    others[columns] = False
    rest = p[:, others].sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        log_rest = np.log(rest)
    return np.hstack([p[:, columns], rest]), np.hstack([log_p[:, columns], log_rest])


def checked_sides(
    first: Any,
    second: Any,
    contexts: Sequence[ArrayLike] | None,
    kind: str | None,
    shared: bool,
) -> Sides:
    """Both sides, with their contexts and columns matched."""
    given = first, second
    is_array = [not (_is_model(each) or isinstance(each, NextTokenRows)) for each in given]
    sides = [
        _side(each, kind if own or not any(is_array) else None)
        for each, own in zip(given, is_array, strict=True)
    ]
    rows = [side for side in sides if not isinstance(side, MatrixSide)]
    if len(rows) == 2 and len(rows[0]) != len(rows[1]):
        raise ValueError(f"the first has {len(rows[0])} rows, the second {len(rows[1])}")
    if len(rows) == 2:
        _check_prompts(rows[0], rows[1], shared)
    own = next((side.own_contexts for side in rows if side.own_contexts is not None), None)
    whose: Sequence[ArrayLike] | None = contexts
    # whose numbers of tokens contexts have
    reader = next((side for side in sides if isinstance(side, MatrixSide)), sides[0])
    if contexts is None:
        if len(rows) < 2 and (own is None or (shared and sides[0].tokens != sides[1].tokens)):
            raise ValueError(
                "give contexts: what each of the rows comes after"
                + (", in the tokens of the matrix" if own is not None else "")
            )
        whose = own
    whose = [] if whose is None else listed(whose, "contexts")
    n = len(rows[0]) if rows else len(whose)
    whole = tuple(_context(each, i, reader) for i, each in enumerate(whose))
    if len(whole) not in (0, n) or (n and not whole and len(rows) < 2):
        raise ValueError(f"there are {len(whole)} contexts and {n} rows")
    for i, context in enumerate(whole):
        if context.ndim != 1:
            raise ValueError(f"context {i} has shape {context.shape}; it must be (length,)")
    for side in sides:
        if isinstance(side, MatrixSide):
            side.take(_numbered(whole, reader, side))
    if any(isinstance(side, PartialSide) for side in sides):
        sides = [_open(side) for side in sides] if shared else sides
        return Sides(sides[0], sides[1], whole, n)  # matched where they lie beside each other
    found = Sides(sides[0], sides[1], whole, n)
    if shared:
        found.share()
    else:
        found.match()
    return found


def _context(given: Any, i: int, reader: Side) -> NDArray[Any]:
    """One context; names are turned into numbers of the reader's tokens."""
    context = plain(given, f"context {i}")
    if context.size == 0 or not is_named(context):
        return context
    names = Vocabulary(reader.width, reader.tokens)
    return names.ids(context, f"context {i}", lambda j: f"token {j} of context {i}")


def _numbered(contexts: Sequence[Ids], reader: Side, side: Side) -> Sequence[Ids]:
    """Contexts with the numbers that another side's tokens of the same names have."""
    if None in (reader.tokens, side.tokens) or reader.tokens == side.tokens:
        return contexts
    names = reader.tokens or ()
    number = Vocabulary(side.width, side.tokens).number
    numbers = np.array([*(number(name, -1) for name in names), side.width])  # and of the beginning
    found = []
    for i, context in enumerate(contexts):
        ids = wholes(context, f"context {i}")
        if ids.size and ids.view(np.uint64).max() > len(names):
            raise ValueError(f"context {i} has what is no token of 0 to {len(names) - 1}")
        own = numbers[ids]
        if (own < 0).any():
            raise ValueError(
                f"context {i} has the token {names[ids[np.argmin(own)]]!r}, which one side does "
                "not have: give contexts of tokens that both have"
            )
        found.append(own)
    return found


def _open(side: Side) -> Side:
    """Rows known in part, whose tokens are not all that there are."""
    if not isinstance(side, PartialSide) or side.rows.is_open:
        return side
    if side.tokens is None:
        raise ValueError(
            "shared=True goes by the texts of tokens, and rows known in part have none"
        )
    ids = side.rows.token_ids
    return PartialSide(
        replace(
            side.rows,
            n_tokens=side.width + 1,
            tokens=(*side.tokens, OTHER),
            token_ids=None if ids is None else np.append(ids, -1),
        )
    )


def _side(given: Any, kind: str | None) -> Side:
    if isinstance(given, PartialRows):
        return PartialSide(given)
    return MatrixSide(given) if _is_model(given) else RowsSide(given, kind)


def _is_model(given: Any) -> bool:
    return hasattr(given, "predict") and hasattr(given, "order")


def _contexts_of(rows: Any, n: int) -> list[Ids] | None:
    """What each row comes after, where the rows say so."""
    if getattr(rows, "input_ids", None) is None:
        return None
    return [rows.context(i) for i in range(n)]


def _check_prompts(first: Any, second: Any, shared: bool) -> None:
    """Refuse rows that come after different things, as far as they say."""
    a, b = first.own_contexts, second.own_contexts
    if a is not None and b is not None and not shared:
        for i, (one, other) in enumerate(zip(a, b, strict=True)):
            if not np.array_equal(one, other):
                raise ValueError(
                    f"row {i} comes after {_end(one)} in the first and after {_end(other)} in the "
                    "second: rows are compared after the same contexts"
                )
        return
    for name in ("prompt",) if shared else ("prompt", "position"):
        told = [getattr(side.rows, "meta", {}).get(name) for side in (first, second)]
        if None in told:
            continue
        for i, (one, other) in enumerate(zip(*told, strict=True)):
            if type(one) is type(other) and one != other:
                raise ValueError(
                    f"row {i} is of {name} {one!r} in the first, {other!r} in the second"
                )


def _end(context: Ids) -> str:
    """A context in a few words."""
    last = ", ".join(map(str, context[-5:]))
    return f"[{'..., ' if len(context) > 5 else ''}{last}]"
