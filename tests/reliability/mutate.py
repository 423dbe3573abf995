"""Files that are not what they should be, made of ones that are.

Contents
    of_bytes          bits, bytes and blocks changed, anywhere
    of_text           the same of text: numbers, lines and words that are others
    of_json           a value anywhere in JSON that is another
    of_safetensors    headers that lie, arrays of other numbers; with checksums that are right
    of_archive        members of a zip that are not what they should be
"""

from __future__ import annotations

import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

Mutate = Callable[[bytes, random.Random], bytes]

WORDS = [struct.pack("<q", n) for n in (0, 1, -1, 2**31, 2**32, 2**62, 2**63 - 1, -(2**63), 10**12)]
WORDS += [struct.pack("<d", x) for x in (float("nan"), float("inf"), -1.0, 0.5, 1e300, -0.0)]
WORDS += [struct.pack("<f", x) for x in (float("nan"), float("-inf"), 1.0, 1e38)]
WORDS += [struct.pack("<i", n) for n in (-1, 0, 2**31 - 1, -(2**31))]
TEXTS = [b"-1", b"0", b"1e999", b"nan", b"inf", b"-inf", b"9" * 30, b"9" * 5000, b"1e-320", b"0.5"]
TEXTS += [
    b"",
    b"\xff\xfe",
    b"\0",
    b"\r\n",
    b"\n\n",
    b" ",
    b"\t",
    b'"',
    b"[" * 3000,
    b"\xef\xbb\xbf",
]
TEXTS += ["\u2028".encode(), "\u0661".encode(), b"1_0", b"0x10", b"#", b"\\", b"<s>", b"</s>"]


def of_bytes(data: bytes, rng: random.Random) -> bytes:
    found, n = bytearray(data), len(data)
    at, size = rng.randrange(n + 1), rng.choice([1, 2, 4, 8, 16, 64, 500])
    how = rng.randrange(9)
    if how == 0:
        for _ in range(rng.choice([1, 1, 2, 8])):
            found[rng.randrange(n)] ^= 1 << rng.randrange(8)
    elif how == 1:
        del found[at:]
    elif how == 2:
        found[at:at] = rng.randbytes(size)
    elif how == 3:
        del found[at : at + size]
    elif how == 4:
        word = rng.choice(WORDS)
        at -= at % len(word) if rng.random() < 0.8 else 0
        found[at : at + len(word)] = word
    elif how == 5:
        found[at:at] = found[at : at + size]
    elif how == 6:
        other = rng.randrange(n + 1)
        one, two = found[at : at + size], found[other : other + size]
        found[at : at + size], found[other : other + size] = two, one
    elif how == 7:
        found[at : at + size] = bytes([rng.choice([0, 255, 32])]) * size
    else:
        found[rng.randrange(n)] = rng.randrange(256)
    return bytes(found)


def of_text(data: bytes, rng: random.Random) -> bytes:
    how = rng.randrange(6)
    if how < 2:
        return of_bytes(data, rng)
    if how == 2:
        numbers = [*re.finditer(rb"-?\d+(\.\d+)?(e-?\d+)?", data)]
        if numbers:
            found = rng.choice(numbers)
            return data[: found.start()] + rng.choice(TEXTS) + data[found.end() :]
    lines = data.split(b"\n")
    if how == 3:
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[i], lines[j] = lines[j], lines[i]
        return b"\n".join(lines)
    if how == 4:
        i = rng.randrange(len(lines))
        lines[i:i] = [lines[rng.randrange(len(lines))]] * rng.choice([1, 1, 3])
        return b"\n".join(lines)
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(TEXTS) + data[at:]


# --- JSON

DEEP: Any = []
for _ in range(500):
    DEEP = [DEEP]
GONE = object()
VALUES = [
    GONE, None, True, False, 0, 1, -1, 7, 0.5, -0.5, 1e300, 2**31, 2**62, 2**64, 10**30, 10**400,
    "", "x", "\ud800", "\0", "nan", "-1", [], {}, [None], [1], ["x", "x"], {"a": 1}, [[]], DEEP,
    float("nan"), float("inf"), [0] * 1000, {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for i, inner in enumerate(value[:50]):
            yield from places(inner, (*path, i))


@lru_cache(64)
def parsed(text: bytes | str) -> tuple[Any, list[list[tuple[Any, ...]]]]:
    """What a text says, which is not to be changed, and the places in it up to each depth."""
    value = json.loads(text)
    paths = [*places(value)]
    return value, [[path for path in paths if len(path) <= depth] for depth in range(21)]


def changed(text: bytes | str, rng: random.Random) -> Any:
    """What it says, in which something is another, twice or not there."""
    value, paths = parsed(text)
    path = rng.choice(paths[rng.choice([1, 2, 3, 4, 5, 20])])
    new = rng.choice(VALUES)
    if rng.random() < 0.2:
        new = at(value, rng.choice(paths[20]))
    elif rng.random() < 0.3 and isinstance(old := at(value, path), int):
        new = old + rng.choice([-1, 1, 8, -8, 2**32])
    return put(value, path, new)


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for each in path:
        value = value[each]
    return value


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return {} if new is GONE else new
    value = value.copy()
    if len(path) > 1 or new is not GONE:
        value[path[0]] = put(value[path[0]], path[1:], new)
    else:
        del value[path[0]]
    return value


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def of_json(data: bytes, rng: random.Random) -> bytes:
    """Of a document, or of lines of documents."""
    if rng.random() < 0.3:
        return of_text(data, rng)
    try:
        return dumped(changed(data, rng))
    except ValueError:
        lines = data.split(b"\n")
    i = rng.choice([i for i, line in enumerate(lines) if b"{" in line])
    start = lines[i].index(b"{")
    lines[i] = lines[i][:start] + dumped(changed(lines[i][start:], rng))
    return b"\n".join(lines)


# --- safetensors


def of_safetensors(data: bytes, rng: random.Random) -> bytes:
    how = rng.randrange(10)
    if how == 0:
        return of_bytes(data, rng)
    size = int.from_bytes(data[:8], "little")
    text, body = data[8 : 8 + size], data[8 + size :]
    if how == 1:
        text = of_text(text, rng)
        return sealed(text, body)
    if how < 5:  # numbers
        body = of_bytes(body, rng) if body else b"x"
        return checked(json.loads(text), body, fits=rng.random() < 0.7)
    head = json.loads(text)
    if how == 5:
        return checked(changed(text, rng), body, fits=False)
    if how == 6:  # arrays that are others, or moved
        names = [name for name in head if name != "__metadata__"]
        one, two = rng.choice(names), rng.choice(names)
        head[one], head[two] = head[two], head[one]
        return checked(head, body, fits=False)
    if how == 7:  # of another type or shape, that fits
        name = rng.choice([name for name in head if name != "__metadata__"])
        entry = dict(head[name])
        begin, end = entry["data_offsets"]
        width, code = rng.choice(
            [(8, "F64"), (8, "I64"), (4, "F32"), (4, "I32"), (1, "U8"), (8, "U64"), (4, "U32")]
        )
        n = (end - begin) // width
        shapes = [[n], [n, 1], [1, n], [1] * 40 + [n], [n, 1, 1]]
        entry |= {"dtype": code, "shape": rng.choice(shapes)}
        head[name] = entry
        return checked(head, body, fits=False)
    if how == 8:  # a cut array
        name = rng.choice([name for name in head if name != "__metadata__"])
        shape = head[name]["shape"]
        if shape and shape[0]:
            kept = dict(head[name])
            begin, end = kept["data_offsets"]
            row = (end - begin) // shape[0]
            kept |= {"shape": [shape[0] - 1, *shape[1:]]}
            body = body[: end - row] + body[end:]
            for other in head:
                if other != "__metadata__" and head[other]["data_offsets"][0] >= end:
                    places_ = [x - row for x in head[other]["data_offsets"]]
                    head[other] = {**head[other], "data_offsets": places_}
            kept["data_offsets"] = [begin, end - row]
            head[name] = kept
        return checked(head, body, fits=False)
    told = head["__metadata__"]["matrixbayes"]
    head["__metadata__"]["matrixbayes"] = json.dumps(changed(told, rng))
    return checked(head, body, fits=False)


def sealed(text: bytes, body: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text + body


def checked(head: Any, body: bytes, fits: bool) -> bytes:
    """The file, with checksums of what it holds where it has some; `fits`: as long as it was."""
    if fits and isinstance(head, dict):
        ends = [e["data_offsets"][1] for n, e in head.items() if n != "__metadata__"]
        body = (body + bytes(max(ends, default=0)))[: max(ends, default=0)]
    try:
        told = json.loads(head["__metadata__"]["matrixbayes"])
        if "checksums" in told:
            told["checksums"] = {
                name: f"{zlib.crc32(body[slice(*entry['data_offsets'])]):08x}"
                for name, entry in head.items()
                if name != "__metadata__"
            }
            meta = {"matrixbayes": json.dumps(told), "checksum": "0" * 8}
            head = head | {"__metadata__": head["__metadata__"] | meta}
    except (TypeError, KeyError, ValueError, AttributeError):
        pass
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    if b'"checksum":"00000000"' in text:
        seal = b'"checksum":"%08x"' % zlib.crc32(text)
        text = text.replace(b'"checksum":"00000000"', seal)
    return sealed(text, body)


# --- archives


def of_archive(inner: Mutate) -> Mutate:
    def mutate(data: bytes, rng: random.Random) -> bytes:
        if rng.random() < 0.5:
            return of_bytes(data, rng)
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
            names = old.namelist()
            chosen = rng.choice(names)
            for name in names:
                member = old.read(name)
                if name == chosen:
                    member = inner(member, rng)
                    name = rng.choice([name, name, name, "../" + name, "/" + name, "x", name * 2])
                how = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
                new.writestr(name, member, compress_type=how)
        return out.getvalue()

    return mutate
