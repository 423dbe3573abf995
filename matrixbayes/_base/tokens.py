"""Names of tokens: those that a caller's data carry, matched to those of others.

Contents
    labels_of       the names of the columns of what a caller hands in
    order_of        where the columns of one are among those of another
    columns_in      rows with their columns in the order of another's names
    token_names     the names of tokens, checked
    column_of       the column of one token, by name or number
    columns_of      those of several
    numbers_of      those of several names
    Vocabulary      the numbers of tokens in arrays of any shape
    counted         labels, counted
    near            what may have been meant
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError, NoSuchTokenError
from .arguments import is_whole, listed, shown
from .numbers import exact_rows, is_named, plain, reals, wholes
from .pieces import readings
from .typing import Floats, Ids, Place

Names = tuple[str, ...]

LOOKED_AT = 10_000  # names that a near miss is looked for among
SHOWN = 5  # names in a sentence


def token_names(
    tokens: Iterable[str] | None, width: int | None = None, text: bool = True
) -> Names | None:
    """The names of tokens: strings, all different, as many as there are columns; with `text` also
    the letters of one string."""
    if tokens is None:
        return None
    if isinstance(tokens, bytes if text else (str, bytes)) or not np.iterable(tokens):
        raise TypeError("tokens must be a sequence of str, one name for each token")
    names = tuple(str(name) if isinstance(name, str) else name for name in tokens)
    if not all(isinstance(name, str) for name in names):
        wrong = next(name for name in names if not isinstance(name, str))
        raise TypeError(f"tokens are strings, one name for each token; found {shown(wrong)}")
    if width is not None and len(names) != width:
        raise ValueError(f"{len(names)} tokens for {width} columns")
    _all_different(names, "tokens")
    return names


def labels_of(X: Any) -> tuple[Any, ...] | None:
    """The labels of the columns of a frame, or of the entries of one column, or the tokens of rows;
    None where there are none.

    Those of a frame may be of any type; the numbers 0, 1, ... that a frame has by default are none.

    Raises
    ------
    ValueError
        Two columns have the same name.
    """
    if hasattr(X, "to_numpy") and (hasattr(X, "columns") or hasattr(X, "index")):
        labels = tuple(X.columns if hasattr(X, "columns") else X.index)
        what = "the columns of a data frame" if hasattr(X, "columns") else "the index of a column"
        _all_different(labels, what)
        if {isinstance(label, str) for label in labels} == {True, False}:
            raise ArgumentError(
                f"{what} are named by strings and by other things: make all strings, as with "
                ".astype(str)"
            )
        return None if labels == tuple(range(len(labels))) else labels
    tokens = getattr(X, "tokens", None)
    return tuple(tokens) if isinstance(tokens, tuple) else None


def string_labels(X: Any) -> Names | None:
    """The labels of the columns where they are names: strings."""
    labels = labels_of(X)
    return labels if labels and isinstance(labels[0], str) else None


def order_of(
    given: Sequence[Any] | None, wanted: Sequence[Any] | None, what: str
) -> NDArray[np.intp] | None:
    """The place of each wanted name among the given ones; None where they are in that order, or
    where one side has no names.

    Raises
    ------
    ValueError
        The names differ; it is said which.
    """
    if given is None or wanted is None or tuple(given) == tuple(wanted):
        return None
    place = {name: j for j, name in enumerate(given)}
    if len(place) != len(wanted) or any(name not in place for name in wanted):
        raise ArgumentError(f"{what}: {difference(given, wanted)}")
    return np.array([place[name] for name in wanted], dtype=np.intp)


def columns_in(array: NDArray[Any], order: NDArray[np.intp] | None) -> NDArray[Any]:
    """The columns of rows, or the entries of a vector, in an order that `order_of` gave."""
    return array if order is None else np.ascontiguousarray(array[..., order])


def difference(given: Sequence[Any], wanted: Sequence[Any]) -> str:
    """How the names of two sides differ, in words."""
    known, had = set(wanted), set(given)
    unexpected = [name for name in given if name not in known]
    missing = [name for name in wanted if name not in had]
    parts = []
    if unexpected:
        parts.append(f"unexpected are {_listed(unexpected)}{_meant(unexpected, missing)}")
    if missing:
        parts.append(f"missing are {_listed(missing)}")
    return "; ".join(parts) or "one name is there twice"


def near(name: str, names: Sequence[str]) -> str | None:
    """The name that was most likely meant; None where none is near."""
    some = [other for other in names if isinstance(other, str)]
    meant = set(readings(name))
    for other in some if meant else ():
        if other in meant:
            return other
    for other in some:
        if not other.isascii() and name in readings(other):
            return other
    for same in (str.strip, lambda text: text.strip().casefold()):
        for other in some:
            if same(other) == same(name):
                return other
    found = difflib.get_close_matches(name, some[:LOOKED_AT], n=1)
    return found[0] if found else None


def no_such_token(name: str, names: Sequence[str] | None, whose: str) -> str:
    """Why a name cannot be looked up, and what may have been meant."""
    if names is None:
        return (
            f"{name!r} is a name, but the tokens of {whose} have none; give column numbers, or "
            "make it with tokens=(...)"
        )
    return f"{name!r} is not a token of {whose}{_hint(name, names)}"


def _hint(name: str, names: Sequence[str]) -> str:
    """What may have been meant, or what there is."""
    meant = near(name, names)
    return f", whose tokens are {_listed(names)}" if meant is None else f"; did you mean {meant!r}?"


def column_of(token: Any, names: Names | None, n_tokens: int, whose: str) -> int:
    """The column of a token, by name or by number; negative numbers count from the end.

    Raises
    ------
    NoSuchTokenError
        There is no such token.
    """
    if isinstance(token, str):
        if names is None:
            raise NoSuchTokenError(no_such_token(token, names, whose))
        try:
            return names.index(token)
        except ValueError:
            raise NoSuchTokenError(
                f"{shown(token)} is not among the {n_tokens} tokens of {whose}{_hint(token, names)}"
            ) from None
    number = _number(token)
    if number is None or not -n_tokens <= number < n_tokens:
        raise NoSuchTokenError(
            f"{shown(token)} is not one of the {n_tokens} columns of {whose}"
            + ("" if names is None else ", nor a name")
        )
    return number % n_tokens


def _number(token: Any) -> int | None:
    """A token's number; None where it is none."""
    if is_whole(token):
        return operator.index(token)
    rounded = isinstance(token, (float, np.floating)) and float(token).is_integer()
    return int(token) if rounded else None


def numbers_of(labels: Iterable[Any], names: Names | None, whose: str, what: str) -> Ids:
    """The column of each of many names; `what` says what they are."""
    number = _numbers_by(names)
    found = []
    for i, label in enumerate(labels):
        v = number.get(label) if isinstance(label, str) else None
        if v is None:
            raise NoSuchTokenError(f"{what}[{i}]: {no_such_token(str(label), names, whose)}")
        found.append(v)
    return np.array(found, dtype=np.int64)


def columns_of(
    items: Iterable[Any], names: Names | None, n_tokens: int, whose: str, what: str
) -> tuple[int, ...]:
    """Names and column numbers from 0 to V - 1 as column numbers, checked."""
    number = _numbers_by(names)
    columns = []
    for i, item in enumerate(listed(items, what)):
        if not isinstance(item, str) and not is_whole(item):
            raise TypeError(
                f"{what}[{i}] is {shown(item)} ({type(item).__name__}); "
                "give the name of a token or a column number"
            )
        column = number.get(item, -1) if isinstance(item, str) else operator.index(item)
        if not 0 <= column < n_tokens:
            raise NoSuchTokenError(
                f"{what}[{i}]: {no_such_token(item, names, whose)}"
                if isinstance(item, str)
                else f"{what}[{i}] is column {column}, but {whose} has columns 0 to {n_tokens - 1}"
            )
        columns.append(column)
    return tuple(columns)


def _numbers_by(names: Names | None) -> dict[str, int]:
    return {name: v for v, name in enumerate(names or ())}


class Vocabulary:
    """V tokens, perhaps with names; turns what users write into their numbers.

    Names that are none are the token `unknown`, where there is such a one.
    """

    unknown: int | None = None

    def __init__(
        self, n_tokens: int, names: tuple[str, ...] | None, unknown: int | None = None
    ) -> None:
        self.n_tokens, self.names, self.unknown = n_tokens, names, unknown
        self._number = _numbers_by(names)

    def number(self, name: str, default: Any = None) -> Any:
        """The number of a name, or `default`."""
        return self._number.get(name, default)

    def ids(self, tokens: Any, what: str, place: Place, last: int | None = None) -> Ids:
        """Names or whole numbers from 0 to V - 1, or to `last`, as int64 in the same shape.

        `what` they are, and where the i-th of them is, in words.
        """
        array = plain(tokens, what)
        if array.size == 0:
            return np.zeros(array.shape, dtype=np.int64)
        if is_named(array):
            named = [self._named(name, place(i)) for i, name in enumerate(array.ravel().tolist())]
            return np.array(named, dtype=np.int64).reshape(array.shape)
        numbers = wholes(array, what, place)
        last = self.n_tokens - 1 if last is None else last
        # one pass, not two: a negative number is a huge one without its sign
        if numbers.view(np.uint64).max() > last:
            flat = numbers.ravel()
            i = int(np.flatnonzero((flat < 0) | (flat > last))[0])
            raise ValueError(f"{place(i)} is {int(flat[i])}; tokens are 0 to {self.n_tokens - 1}")
        return numbers

    def _is_line(self, name: str) -> bool:
        """Whether a name that may be unknown is of several words, as no token here is."""
        several = len(name.split()) > 1 and name not in self._number
        return several and not any(len(each.split()) > 1 for each in self.names or ())

    def _named(self, name: Any, where: str) -> int:
        if self.names is None:
            raise ValueError(
                f"{where} is {name!r}, but these tokens have no names: give numbers, or make the "
                "matrix with tokens=(...)"
            )
        number = self._number.get(name, self.unknown) if isinstance(name, str) else None
        if number is not None and number == self.unknown and self._is_line(name):
            raise ValueError(
                f"{where} is {name!r}, which are several words: a token is one, and encode(lines) "
                "makes documents of lines"
            )
        if number is None:
            meant = near(str(name), self.names)
            raise NoSuchTokenError(
                f"{where} is {name!r}, which is not one of the {self.n_tokens} tokens"
                + (f" (did you mean {meant!r}?)" if meant is not None else "")
                + ".  For words that may be unknown make the matrix with a token that stands for "
                "them, tokens=(..., '<unk>'), and write it in their place"
            )
        return number


def counted(counts: Any, names: Names | None, n_tokens: int, whose: str) -> tuple[Floats, bool]:
    """Counts (N, V) of what a caller saw, and whether it was a single vector.

    A mapping or a column of pandas gives the count of each name, or column number; names by
    themselves are counted; the columns of a frame are put in the order of `names`.
    """
    if type(counts) is np.ndarray and counts.dtype == np.float64 and counts.ndim in (1, 2):
        counts = plain(counts, "counts")
        return (counts[np.newaxis], True) if counts.ndim == 1 else (counts, False)
    if hasattr(counts, "tocsr"):
        return exact_rows(counts, "counts").toarray(), False
    if isinstance(counts, Mapping):
        return _by_token(counts.keys(), list(counts.values()), names, n_tokens, whose), True
    if isinstance(counts, (str, bytes)):
        raise TypeError(f"counts are one string; for a single token write [{shown(counts)}]")
    ragged = isinstance(counts, (list, tuple)) and any(
        isinstance(item, (list, tuple)) and item and isinstance(item[0], str) for item in counts
    )
    if ragged:
        rows = [_count(numbers_of(row, names, whose, "labels"), n_tokens) for row in counts]
        return np.array(rows).reshape(len(rows), n_tokens), False
    array = plain(counts, "counts")
    if array.dtype.kind == "O" and array.size:
        if array.ndim not in (1, 2):
            raise ValueError(f"labels have shape {array.shape}; they need (n,) or (N, n)")
        rows = [
            _count(numbers_of(row, names, whose, "labels"), n_tokens)
            for row in (array if array.ndim == 2 else array[np.newaxis])
        ]
        return np.array(rows), array.ndim == 1
    if hasattr(counts, "index") and hasattr(counts, "to_numpy") and array.ndim == 1:
        labels = tuple(counts.index)
        if labels != tuple(range(len(labels))) or len(labels) < n_tokens:
            return _by_token(labels, array, names, n_tokens, whose), True
    array = reals(array, "counts")
    if array.ndim not in (1, 2):
        raise ValueError(f"counts have shape {array.shape}; they need (V,) or (N, V)")
    given = labels_of(counts)
    wanted: Any = names
    if names is None and given is not None and set(given) == set(range(n_tokens)):
        wanted = range(n_tokens)  # column numbers, in another order
    array = columns_in(array, order_of(given, wanted, f"the columns of counts and {whose}"))
    return (array[np.newaxis], True) if array.ndim == 1 else (array, False)


def _by_token(
    tokens: Iterable[Any], counts: Any, names: Names | None, n_tokens: int, whose: str
) -> Floats:
    """One row (1, V) of counts by token; the others' are 0."""
    labels = list(tokens)
    values = reals(counts, "counts", (len(labels),))
    row = np.zeros((1, n_tokens))
    seen: dict[int, Any] = {}
    known = _numbers_by(names)
    for label, value in zip(labels, values, strict=True):
        v = known.get(label) if isinstance(label, str) else None
        v = column_of(label, names, n_tokens, whose) if v is None else v
        if v in seen:
            raise ArgumentError(f"counts hold the token {label!r} twice (as {seen[v]!r})")
        seen[v] = label
        row[0, v] = value
    return row


def _count(columns: NDArray[Any], n_tokens: int) -> Floats:
    return np.bincount(columns, minlength=n_tokens).astype(np.float64)


def _all_different(names: Sequence[Any], what: str) -> None:
    if len(set(names)) == len(names):
        return
    seen: set[Any] = set()
    for name in names:
        if name in seen:
            raise ArgumentError(f"{what}: {name!r} is there twice (two columns are named {name!r})")
        seen.add(name)


def _listed(names: Sequence[Any]) -> str:
    shown = ", ".join(repr(name) for name in names[:SHOWN])
    more = len(names) - SHOWN
    return shown if more <= 0 else f"{shown} and {more} more"


def _meant(unexpected: Sequence[Any], missing: Sequence[Any]) -> str:
    """The first near miss among names."""
    for name in unexpected[:SHOWN]:
        meant = near(name, missing) if isinstance(name, str) else None
        if meant is not None:
            return f" (did you mean {meant!r} by {name!r}?)"
    return ""
