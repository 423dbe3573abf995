"""Rows gathered from records of any source, place by place, and what is checked of all of them.

Contents
    numbers     log-probabilities, which may be text
    Listed      what a place lists
    Path        the places of one sequence
    Gathered    takes paths, gives rows
    rows_of     from the records of a source to rows
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base.arguments import is_whole
from ..huggingface.answers import Other, Vocab
from ..rows import PartialRows
from ..rows.partial_checks import rounding_of
from . import columns
from .reading import (
    MISTAKES,
    Refused,
    Where,
    as_kept,
    explain,
    in_words,
    naming,
    records,
    refuse,
    refuse_ids,
    shown,
)

Positions = str | Sequence[int]

CENSORED = -1000.0  # -9999.0, the least float, -inf: not among the top, or nothing at all
TOLERANCE = 1e-3  # of a logarithm above 0, of a mass above 1, of two numbers for one token
LEAST_REST = 2.0**-24  # what rounding in float32 leaves of 1
MOST_CONTEXT = 2**25  # ids; contexts that would be more are not kept
NONE = -(2**62)  # no sampled token
ABOUT = ("size", "n_top", "prompt", "position", "choice", "sampled", "hides", "falls")


def numbers(values: Iterable[Any]) -> list[float]:
    """Log-probabilities, which may be written as text."""
    found = []
    for value in values:
        if value is None:
            raise Refused(
                "a listed token has no log-probability (null): servers write that for tokens that "
                "sampling (top_p, top_k) has shut out, and such numbers are not the model's"
            )
        try:
            found.append(float(value))
        except (TypeError, ValueError, OverflowError):
            raise Refused(f"{shown(value)} is no log-probability") from None
    return found


class Listed(NamedTuple):
    """What a place lists; those that are surely the most probable first."""

    keys: list[Any]  # ids, or all of them texts
    log_probs: list[Any]
    n_top: int  # how many are the most probable ones; below 0 so many behind the first
    sampled: Any = None  # the key of the token that came next
    hides: bool = False  # two tokens of one text would be one entry
    falls: bool = False  # they are the most probable ones only if those behind the first fall


class Path(NamedTuple):
    """The places of one sequence of tokens, and how they are read."""

    places: Sequence[Any]
    read: Callable[[Any], Listed | None]
    part: str = "generated"  # or "prompt"
    choice: int = 0
    model: str | None = None
    first: int = 0  # the position of the first place
    context: Sequence[int] | None = None  # the ids before the first place
    ids: Sequence[int] | None = None  # those at the places
    stream: Any = None  # what all pieces of a stream share; "" where one comes after another
    ended: bool = True
    target: Any = None  # what the record has for the right answer


class Numbered(dict[Any, int]):
    """Texts by number: -1, -2, ... in the order they are asked for."""

    def __missing__(self, text: Any) -> int:
        if not isinstance(text, str):
            raise Refused(f"a listed token is {shown(text)}, and others are texts")
        number = self[text] = -len(self) - 1
        return number


class Gathered:
    """Places of records, in flat arrays."""

    def __init__(self, positions: Positions) -> None:
        if isinstance(positions, str):
            if positions not in ("all", "first", "last"):
                raise ValueError(
                    f"positions={shown(positions)} is not one of 'all', 'first', 'last'"
                )
        else:
            positions = [operator.index(positions)] if is_whole(positions) else list(positions)  # type: ignore[arg-type]
            if not all(is_whole(p) for p in positions):
                raise TypeError("positions are 'all', 'first', 'last' or whole numbers")
        self.positions = positions
        self.names: dict[int, str] = {}
        self.texts = Numbered()
        self.rows_about: dict[str, NDArray[np.int64]] = {}
        self.models: dict[str, None] = {}
        self.keys, self.log_probs = array("q"), array("d")
        self.about = array("q")  # of each row what `ABOUT` names, one after another
        self.context, self.offsets, self.known = array("q"), array("q", [0]), True
        self.targets: list[Any] = []
        self._open: dict[Any, tuple[int, list[Path]]] = {}
        self._numbers: dict[Any, int] = {}
        self._wheres: list[Where] = []  # of each record

    # -- taking ---------------------------------------------------------------

    def take(self, paths: Iterable[Path], where: Where) -> None:
        """The places of one record, or of a piece of a stream."""
        own = None
        for path in paths:
            if path.stream is None:
                if own is None:
                    own = self._next(where)
                self._add(path, own)
                continue
            number = self._numbers.get(path.stream)
            if number is None:
                number = self._numbers[path.stream] = self._next(where)
            key = path.stream, path.part, path.choice
            self._open.setdefault(key, (number, []))[1].append(path)
            if path.ended:
                self._close(key)

    def close(self) -> None:
        """What is open of streams is all there is."""
        for key in [*self._open]:
            self._close(key)

    def _next(self, where: Where) -> int:
        self._wheres.append(where)
        return len(self._wheres) - 1

    def _close(self, key: Any) -> None:
        number, pieces = self._open.pop(key)
        if key[0] == "":
            del self._numbers[""]
        ids = [piece.ids for piece in pieces]
        whole = pieces[0]._replace(
            places=[place for piece in pieces for place in piece.places],
            ids=None if any(each is None for each in ids) else [i for each in ids for i in each],  # type: ignore[union-attr]
        )
        self._add(whole, number)

    def _add(self, path: Path, number: int) -> None:
        """The wanted places of a path."""
        places, read = path.places, path.read
        if path.model is not None:
            self.models[as_kept(path.model)] = None
        as_kept(path.target)
        for i in self._chosen(len(places)):
            listed = None if places[i] is None else read(places[i])
            if listed is None or not listed.keys:
                continue
            keys, log_probs, n_top, sampled, hides, falls = listed
            n_before = len(self.keys)
            if not isinstance(keys[0], int):
                texts = self.texts
                keys = [texts[text] for text in keys]
                sampled = None if sampled is None else texts[sampled]
            else:
                sampled = sampled if path.ids is None else path.ids[i]
                refuse_ids(keys if sampled is None else (sampled, *keys))
            try:
                self.log_probs.extend(log_probs)
            except TypeError:  # what it took before that is cut off again
                del self.log_probs[n_before:]
                self.log_probs.extend(numbers(log_probs))
            self.keys.extend(keys)
            after = NONE if sampled is None else sampled
            place, size = path.first + i, len(keys)
            self.about.extend((size, n_top, number, place, path.choice, after, hides, falls))
            self.targets.append(path.target)
            if self.known:
                self._add_context(path, i)

    def _add_context(self, path: Path, i: int) -> None:
        """The ids before a place; where those of one are not known, none are kept."""
        context = self.context
        self.known = path.context is not None and (i == 0 or path.ids is not None)
        if self.known:
            context.extend(path.context)  # type: ignore[arg-type]
            if i:
                context.extend(path.ids[:i])  # type: ignore[index]
            self.offsets.append(len(context))
            self.known = len(context) <= MOST_CONTEXT
        if not self.known:
            del context[:]

    def _chosen(self, n: int) -> Iterable[int]:
        """The numbers of the wanted places, of n."""
        if self.positions == "all":
            return range(n)
        if isinstance(self.positions, str):
            return range(min(n, 1)) if self.positions == "first" else range(max(n - 1, 0), n)
        wrong = next((p for p in self.positions if not -n <= p < n), None)
        if wrong is not None:
            raise Refused(f"there is no position {wrong}: it has {n} places")
        return [p % n for p in self.positions]

    # -- giving ---------------------------------------------------------------

    def rows(self, source: str, part: str, tokenizer: Any, vocab: Vocab | None) -> PartialRows:
        """All that was taken, checked."""
        n = len(self.about) // len(ABOUT)
        if n == 0:
            raise ValueError(f"the records hold no {part} log-probabilities: there is no row")
        keys, log_probs = np.frombuffer(self.keys, np.int64), np.frombuffer(self.log_probs)
        about = np.frombuffer(self.about, np.int64).reshape(n, -1).T
        self.rows_about = dict(zip(ABOUT, about, strict=True))
        sizes = self.rows_about["size"]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        made = columns.make_columns(keys, [*self.texts], self.names, tokenizer, vocab)
        of_keys = made(keys)
        row = np.repeat(np.arange(n), sizes)
        self._check(log_probs, row)
        np.minimum(log_probs, 0.0, out=log_probs)
        censored = log_probs < CENSORED
        cap, impossible = self._caps(log_probs, row, starts)
        lost = of_keys < 0
        if lost.any():  # they are among the rest, of which each may be as likely as they are
            hidden = self.rows_about["hides"][row[lost]] > 0
            np.maximum.at(cap, row[lost], np.where(hidden, 0.0, log_probs[lost]))
        kept = ~(censored | lost)
        of_keys, log_probs, row = of_keys[kept], log_probs[kept], row[kept]
        of_keys, log_probs, row = self._once(of_keys, log_probs, row, len(made.tokens))
        mass = np.bincount(row, weights=np.exp(log_probs), minlength=n)
        ends = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))])
        for i in np.flatnonzero(mass > 1.0 + TOLERANCE).tolist():
            if mass[i] > 1.0 + rounding_of(log_probs[ends[i] : ends[i + 1]]):
                refuse(
                    self._where(i),
                    f"the listed tokens have the mass {mass[i]:.6g}; they are no probabilities of "
                    "one distribution (logits, or numbers after sampling?)",
                )
        rest = np.log(np.maximum(1.0 - mass, LEAST_REST))
        order = np.argsort(self.rows_about["prompt"], kind="stable")
        found = PartialRows(
            of_keys,
            log_probs,
            ends,
            n_tokens=len(made.tokens),
            rest=rest,
            cap=np.minimum(cap, rest),
            tokens=made.tokens,
            token_ids=made.token_ids,
            meta=self._meta(source, part, made) | impossible,
            **self._contexts(),
        )
        return found if (np.diff(order) == 1).all() else found[order]

    def _caps(
        self, log_probs: NDArray[np.float64], row: NDArray[np.intp], starts: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], dict[str, int]]:
        """The least of the most probable tokens of each row, 0 where there are none; and how many
        rows list impossible tokens among them."""
        place = np.arange(len(log_probs)) - starts[row]
        falls, n_top = self.rows_about["falls"] > 0, self.rows_about["n_top"]
        if falls.any():
            rises = row[1:][(np.diff(log_probs) > 0.0) & (place[1:] > 1)]
            n_top = n_top.copy()
            n_top[rises[falls[rises]]] = 0
        most = n_top[row]
        top = np.where(most < 0, (place > 0) & (place <= -most), place < most)
        shut = {*row[falls[row] & (place > 0) & (log_probs == -np.inf)].tolist()}
        top &= log_probs >= CENSORED
        cap = np.minimum.reduceat(np.where(top, log_probs, np.inf), starts[:-1])
        return np.where(np.isinf(cap), 0.0, cap), {"impossible": len(shut)} if shut else {}

    def _check(self, log_probs: NDArray[np.float64], row: NDArray[np.intp]) -> None:
        """Refuse what is no logarithm of a probability."""
        wrong = np.isnan(log_probs) | (log_probs > TOLERANCE)
        if wrong.any():
            i = int(wrong.argmax())
            refuse(
                self._where(int(row[i])),
                f"{log_probs[i]:g} is no log-probability (a logit, a probability, or after "
                "sampling?)",
            )

    def _once(
        self,
        of_keys: NDArray[np.int64],
        log_probs: NDArray[np.float64],
        row: NDArray[np.intp],
        width: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.intp]]:
        """The entries by row and column, each column once."""
        place = row * width + of_keys
        if len(place) > 1 and (np.diff(place) <= 0).any():
            order = np.argsort(place)
            place, log_probs = place[order], log_probs[order]
        new = np.ones(len(place), dtype=bool)
        new[1:] = np.diff(place) != 0
        if new.all():
            return place % width, log_probs, place // width
        begins = np.flatnonzero(new)
        largest = np.maximum.reduceat(log_probs, begins)
        differ = np.flatnonzero(np.minimum.reduceat(log_probs, begins) < largest)
        place = place[begins]
        if self.texts:  # several tokens of one text: the text has the mass of all
            ends = np.append(begins[1:], len(log_probs))
            for i in differ:
                largest[i] = np.logaddexp.reduce(np.unique(log_probs[begins[i] : ends[i]]))
        for i in differ if not self.texts else ():
            least = log_probs[begins[i] : begins[i] + 2].min()
            if largest[i] - least > TOLERANCE:
                refuse(
                    self._where(int(place[i] // width)),
                    f"one token has two log-probabilities, {largest[i]:g} and {least:g}",
                )
        return place % width, largest, place // width

    def _where(self, row: int) -> str:
        number = int(self.rows_about["prompt"][row])
        record = in_words(self._wheres[number]) or f"record {number}"
        return f"{record}, position {self.rows_about['position'][row]}"

    def _meta(self, source: str, part: str, made: columns.Columns) -> dict[str, Any]:
        """Where the rows come from."""
        found: dict[str, Any] = {
            "source": source,
            "model": next(iter(self.models), None) if len(self.models) < 2 else [*self.models],
            "part": part,
            "prompt": self.rows_about["prompt"].tolist(),
            "position": self.rows_about["position"].tolist(),
        }
        if self.rows_about["choice"].any():
            found["choice"] = self.rows_about["choice"].tolist()
        sampled = self.rows_about["sampled"]
        if (sampled != NONE).any():
            texts = [*self.texts]
            found["sampled"] = [
                None if key == NONE else key if key >= 0 else texts[-key - 1]
                for key in sampled.tolist()
            ]
        if any(target is not None for target in self.targets):
            found["target"] = self.targets
        if made.lost:
            found["unknown"] = [*made.lost]
        return found

    def _contexts(self) -> dict[str, Any]:
        """The ids before each place, where all are known and they are not very many."""
        if not self.known:
            return {}
        return {"input_ids": np.array(self.context), "offsets": np.array(self.offsets)}


def rows_of(
    source: Any,
    paths: Callable[[Any, dict[int, str]], Iterator[Path]],
    name: str,
    *,
    tokenizer: Any,
    vocab: Vocab | None,
    other: Other,
    positions: Positions,
    prompt: bool,
    split: Callable[[Any, Where], Iterable[tuple[Any, Where]]] = lambda *record: (record,),
) -> Any:
    """The rows of all records of a source, grouped where answers are asked for.

    `paths` gives the paths of a record, and tells the mapping it is given what ids are called;
    `split` makes several records of one that holds them.
    """
    gathered = Gathered(positions)
    place: Where = ""
    for record, where in records(source):
        place = where
        try:
            for each, place in split(record, where):
                gathered.take(paths(each, gathered.names), place)
        except MISTAKES as error:
            explain(error, place, name)
    try:
        gathered.close()
    except MISTAKES as error:
        explain(error, place, name)
    part = "prompt" if prompt else "generated"
    with naming(source):
        rows = gathered.rows(f"matrixbayes.{name}", part, tokenizer, vocab)
    asked = None if rows.token_ids is not None else next(columns.asked(vocab), None)
    if asked is not None:
        raise ValueError(
            f"vocab holds the id {asked}, and these records name tokens by text alone: give the "
            "text, or the tokenizer"
        )
    return grouped(rows, vocab, other)


def grouped(rows: PartialRows, vocab: Vocab | None, other: Other) -> Any:
    """Rows over the answers that are asked for, if any are."""
    if other not in ("keep", "renormalize"):
        raise ValueError(f"other={shown(other)} is neither 'keep' nor 'renormalize'")
    if vocab is None:
        if other != "keep":
            raise ValueError("other='renormalize' needs vocab: without it no token is dropped")
        return rows
    return rows.group(vocab, other=other)
