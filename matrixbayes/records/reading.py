"""Records as a caller has them: objects, dictionaries, text, files, and lists of all of these.

Contents
    records         every record, with where it stands; files are read as streams
    unwrapped       what a log put around a response, taken off
    refuse_error    refuses what a server answered in place of a response
    field           a field of a record, which is a dictionary or an object
    in_words        where that is, in words
    shown           a value in few characters
    Refused         why a record is not read
    refuse_ids      refuses numbers that are no ids of tokens
    MISTAKES        what reading a record of another form may raise
    explain         the error for what was raised of a record
    refuse          the error for a record, with where it stands
    naming          names the file in what is wrong with all of its records
    as_kept         a value that rows keep, which JSON has to hold
    Placed          a record that was read already, with where it stands
"""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import os
import re
import reprlib
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, NamedTuple, NoReturn

from .._base.saving.unpacked import Unpacked

MOST_NESTED = 8  # lists in lists
MOST_ID = 2**32  # ids of tokens are below
BUFFER = 1 << 20  # characters
BETWEEN = {" ": 0, "\t": 0, "\r": 0, "\n": 0, ",": 0, "[": 1, "]": -1}  # and how deep they lead
WHAT = re.compile(r"\S")
IDLE = ("event:", ":", "id:", "retry:")  # lines of a stream of events that hold no record

MISTAKES = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)

Where = str | tuple[str, int]  # in words, or before a number
Found = Iterator[tuple[Any, Where]]


def records(source: Any, depth: int = 0) -> Found:
    """Every record of `source`, in order, with where it stands.

    Parameters
    ----------
    source
        A record (a dictionary or an object); JSON or JSON lines as text; the path of a file
        ``.json`` or ``.jsonl``, ``.gz`` behind it or not; or any iterable of these, mixed or not.

    Yields
    ------
    record, where
        `in_words` makes words of ``where``.
    """
    if depth > MOST_NESTED:
        raise ValueError(f"the records are in lists of lists, {MOST_NESTED} deep")
    if isinstance(source, Placed):
        yield from _each(*source, depth)
    elif isinstance(source, os.PathLike):
        yield from _of_file(os.fspath(source))
    elif isinstance(source, (str, bytes, bytearray)):
        text = source if isinstance(source, str) else _decoded(bytes(source))
        if text.lstrip("\ufeff \t\r\n")[:1] in ("{", "[") or text.lstrip()[:5] == "data:":
            yield from _of_stream(io.StringIO(text), "the text", depth)
        else:
            yield from _of_file(text)
    elif _is_many(source):
        for i, item in enumerate(source):
            for record, where in records(item, depth + 1):
                yield record, where or f"record {i}"
    elif source is None or isinstance(source, (int, float)):
        raise TypeError(
            f"{shown(source)} is no record: give an object, a dictionary, JSON or a path"
        )
    else:
        yield source, ""


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"the bytes are no text in UTF-8: {error}") from None


def _is_many(source: Any) -> bool:
    """Whether something is a collection of records and not one."""
    if isinstance(source, Mapping) or dataclasses.is_dataclass(source):
        return False
    if hasattr(source, "model_dump"):  # pydantic's objects are iterable too
        return False
    return isinstance(source, Iterable)


def _of_file(path: str) -> Found:
    """The records of a file."""
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path} is a folder; give the paths of files in it")
    if not os.path.exists(path):
        shown = path if len(path) < 200 else path[:200] + "..."
        raise FileNotFoundError(f"{shown!r} is neither JSON nor the path of a file")
    if not os.path.isfile(path):  # a pipe without a writer would be waited for
        raise ValueError(f"{path} is not a regular file: give its text, or its lines")
    with _opened(path) as file:
        try:
            yield from _of_stream(file, path, 0)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path} is no complete gzip file: {error}") from None


def _opened(path: str) -> IO[str]:
    if not path.endswith(".gz"):
        return open(path, encoding="utf-8-sig")
    packed = Unpacked(gzip.open(path), os.path.getsize(path), path)  # noqa: SIM115
    return io.TextIOWrapper(io.BufferedReader(packed, BUFFER), encoding="utf-8-sig")


def _of_stream(file: Any, name: str, depth: int) -> Found:
    """The records of an open file: one list, one document, or one record a line."""
    try:
        first, line = file.read(1), 1
        while first and first in "\ufeff \t\r\n":
            line += first == "\n"
            first = file.read(1)
        if first == "[":
            yield from _of_list(file, name, depth)
        elif first:
            yield from _of_lines(file, name, first, line, depth)
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is no text in UTF-8: {error}") from None


def _of_lines(file: Any, name: str, first: str, start: int, depth: int) -> Found:
    """One record a line, blank ones left out; or documents over several lines."""
    place = f"{name}, line"
    for i, line in enumerate(file, start):
        text = first + line if i == start else line
        if text[:1] != "{":
            text = text.strip()
            if text.startswith("data:"):  # server-sent events, as they went over the wire
                text = text[5:].strip()
            if not text or text == "[DONE]" or text.startswith(IDLE):
                continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            if i > start or not isinstance(error, json.JSONDecodeError):
                raise _broken((place, i), error) from None
            yield from _of_documents(text + file.read(), place, i, depth)
            return
        if type(record) is dict:
            yield record, (place, i)
        else:
            yield from _each(record, (place, i), depth)


def _of_documents(text: str, place: str, line: int, depth: int) -> Found:
    """Documents over several lines, one behind the other."""
    decode, at = json.JSONDecoder().raw_decode, 0
    while found := WHAT.search(text, at):
        start = found.start()
        line += text.count("\n", at, start)
        try:
            record, at = decode(text, start)
        except (ValueError, RecursionError) as error:
            raise _broken((place, line), error) from None
        yield from _each(record, (place, line), depth)
        line += text.count("\n", start, at)


def _each(record: Any, where: Where, depth: int) -> Found:
    """A record of a file, or those of a list there; a text in a file is never a path."""
    if isinstance(record, list) and depth < MOST_NESTED:
        for inner in record:
            yield from _each(inner, where, depth + 1)
    elif isinstance(record, list):
        refuse(where, "lists in lists, too deep to be read")
    elif isinstance(record, dict):
        yield record, where
    else:
        refuse(where, f"{shown(record)} is no record")


def _of_list(file: Any, name: str, depth: int) -> Found:
    """The items of JSON lists, of which a buffer is in memory at a time."""
    decode, buffer, at, number, size, level = json.JSONDecoder().raw_decode, "", 0, 0, BUFFER, 1
    place = f"{name}, record"
    while True:
        while at < len(buffer) and buffer[at] in BETWEEN:
            level += BETWEEN[buffer[at]]
            at += 1
            if level + depth > MOST_NESTED:
                refuse((place, number), "lists in lists, too deep to be read")
        start = at
        try:
            record, at = decode(buffer, at)
        except RecursionError as error:
            raise _broken((place, number), error) from None
        except json.JSONDecodeError as error:
            chunk = file.read(size)
            if not chunk and (start < len(buffer) or level):
                raise _broken((place, number), error) from None
            if not chunk:
                return
            buffer, at = buffer[start:] + chunk, 0
            size *= 2  # a record longer than the buffer is not read again for each piece of it
            continue
        except ValueError as error:  # a number of thousands of digits
            raise _broken((place, number), error) from None
        yield from _each(record, (place, number), depth)
        number, size = number + 1, BUFFER


def _broken(where: Where, error: Exception) -> ValueError:
    """The error for what is no JSON."""
    where = in_words(where)
    if isinstance(error, RecursionError):
        return ValueError(f"{where}: lists in lists, too deep to be read")
    what = getattr(error, "msg", str(error))
    return ValueError(f"{where} is not complete JSON: {what}")


def unwrapped(record: Any) -> Any:
    """A response out of what a log put around it: ``response``, and ``body`` in that (batches)."""
    if type(record) is dict and "response" not in record and "body" not in record:
        return record
    for _ in range(2):
        for name in ("response", "body"):
            inner = field(record, name)
            if isinstance(inner, Mapping) or hasattr(inner, "model_dump"):
                record = inner
                break
    return record


def refuse_error(record: Any) -> None:
    """Refuse what a server answered in place of a response."""
    error = field(record, "error")
    if error:
        raise Refused(f"the record is an error: {str(field(error, 'message', error))[:200]}")


def field(record: Any, name: str, default: Any = None) -> Any:
    """A field of a dictionary or an object; `default` where it is not there or null."""
    if type(record) is dict or isinstance(record, Mapping):  # the first is quick
        value = record.get(name)
    else:
        value = getattr(record, name, None)
    return default if value is None else value


def in_words(where: Where) -> str:
    """Where a record stands."""
    return where if isinstance(where, str) else f"{where[0]} {where[1]}"


def shown(value: Any) -> str:
    """A value in few characters, however long or deep it is."""
    return reprlib.repr(value)


class Placed(NamedTuple):
    """A record of a file that somebody else opened, and where it stands."""

    record: Any
    where: Where


def as_kept(value: Any) -> Any:
    """A value of a record, if JSON can hold it, as it must what rows say of themselves."""
    if value is not None and not isinstance(value, str):
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise Refused(f"{shown(value)} is nothing that JSON can hold: {error}") from None
    return value


@contextmanager
def naming(source: Any) -> Iterator[None]:
    """Name the file, if there is one, in what is wrong with all of its records together."""
    try:
        yield
    except ValueError as error:
        is_path = isinstance(source, os.PathLike) or (
            isinstance(source, str) and len(source) < 5000 and os.path.exists(source)
        )
        if not is_path or os.fspath(source) in str(error):
            raise
        raise ValueError(f"{os.fspath(source)}: {error}") from error


class Refused(ValueError):
    """Why a record is not read; where it stands is said by who reads."""


def refuse_ids(ids: Collection[Any]) -> None:
    """Refuse numbers that are no ids: a record may hold those that dictionaries are slow with."""
    wrong = (min(ids), max(ids)) if ids else (0, 0)
    if wrong[0] < 0 or wrong[1] >= MOST_ID:
        raise Refused(f"a token has the id {shown(wrong[0] if wrong[0] < 0 else wrong[1])}")


def explain(error: Exception, where: Where, reader: str) -> NoReturn:
    """Raise the error for what was raised while a record was read."""
    if isinstance(error, Refused):
        refuse(where, str(error))
    what = f"{type(error).__name__}: {error}"
    refuse(where, f"this is no record that {reader} knows ({what})")


def refuse(where: Where, why: str) -> NoReturn:
    """Raise the error for a record."""
    place = in_words(where)
    raise ValueError(f"{place}: {why}" if place else why)
