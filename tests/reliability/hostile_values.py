"""Arguments that nobody should hand in: every dtype, layout and container, and objects that lie.

Contents
    OWN           what the objects here raise of themselves
    values        (label, maker) of each hostile value that stands alone
    variations    (label, maker) of an argument, twisted: its dtype, layout, length, container
"""

from __future__ import annotations

import decimal
import fractions
import importlib.util
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np


class Own(Exception):
    """The error of an argument's own methods: a caller's, which comes out as it is."""


Make = Callable[[], Any]
MOST_DEPTH = 2000


def _raises(*_: Any, **__: Any) -> Any:
    raise Own("this object's own error")


def _object(**methods: Any) -> Any:
    """An object of a type with these special methods."""
    return type("Hostile", (), methods)()


def _deep(depth: int = MOST_DEPTH) -> Any:
    found: Any = [1.0]
    for _ in range(depth):
        found = [found]
    return found


def _circle() -> Any:
    found: list[Any] = [0]
    found.append(found)
    return found


def _memmap() -> Any:
    path = Path(tempfile.mkdtemp()) / "mapped"
    np.arange(12.0).tofile(path)
    return np.memmap(path, dtype=np.float64, mode="r", shape=(4, 3))


def misaligned(array: Any) -> Any:
    """The same numbers, at an odd address."""
    room = np.zeros(array.nbytes + 1, np.uint8)[1:]
    shifted = room.view(array.dtype).reshape(array.shape) if array.nbytes else array
    if array.nbytes:
        shifted[...] = array
    return shifted


SCALARS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    7,
    2**31,
    2**32,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
    2**64,
    -(2**63),
    10**400,
    0.0,
    -0.0,
    0.5,
    -1.0,
    1.5,
    5e-324,
    1e308,
    float("nan"),
    float("inf"),
    -float("inf"),
    1j,
    "",
    "a",
    "nan",
    "0",
    "a\0b",
    "\ud800",
    "\U0001f600",
    "x" * 100_000,
    b"",
    b"\xff\0",
    (),
    [],
    {},
    set(),
    frozenset({1}),
    range(3),
    slice(None),
    Ellipsis,
    NotImplemented,
    int,
    len,
    np,
    decimal.Decimal("NaN"),
    decimal.Decimal("sNaN"),
    fractions.Fraction(1, 3),
    uuid.UUID(int=1),
    Path("/not/there"),
    Path("/"),
    "/not/there/at/all",
    b"/not/there",
)
DTYPES = ("?", "b", "B", "h", "H", "i", "I", "q", "Q", "e", "f", "d", "g", "F", "D", "G", "O")
DTYPES += ("U3", "S3", "M8[s]", "m8[s]", "V5", "f8,i4", ">f8", ">i4", "O")
SHAPES = ((), (0,), (1,), (3,), (4,), (1, 3), (0, 3), (3, 0), (0, 0), (1, 1), (4, 3), (2, 3, 2))


def values() -> Iterator[tuple[str, Make]]:
    """Every hostile value that needs no argument to stand for."""
    for value in SCALARS:
        yield repr(value)[:40], lambda value=value: value
    for dtype in DTYPES:
        for shape in SHAPES:
            yield f"zeros {dtype} {shape}", lambda d=dtype, s=shape: np.zeros(s, d)
            if dtype in "eddgiqQF":
                yield f"ones {dtype} {shape}", lambda d=dtype, s=shape: np.ones(s, d)
    for number in (np.nan, np.inf, -np.inf, -0.0, 5e-324, 1e308, -1.0, 2.0**63, 2.0**53 + 2):
        for shape in ((), (3,), (4, 3)):
            yield f"full {number} {shape}", lambda n=number, s=shape: np.full(s, n)
    for value in (2**31, 2**63 - 1, -(2**63)):
        yield f"int64 {value}", lambda v=value: np.full((3,), v, np.int64)
        yield f"int64 scalar {value}", lambda v=value: np.int64(v)
    yield "uint64", lambda: np.full((4, 3), 2**64 - 1, np.uint64)
    yield "uint64 scalar", lambda: np.uint64(2**64 - 1)
    yield "float16 scalar", lambda: np.float16(1.0)
    yield "longdouble", lambda: np.longdouble("1e4000")
    yield "datetime", lambda: np.datetime64("2020-01-01")
    yield "NaT", lambda: np.datetime64("NaT")
    for method in (
        "len",
        "getitem",
        "iter",
        "array",
        "index",
        "float",
        "int",
        "bool",
        "str",
        "repr",
    ):
        yield f"__{method}__ raises", lambda m=method: _object(**{f"__{m}__": _raises})
    for method in ("fspath", "call", "eq", "hash", "contains", "getattr", "next", "complex"):
        yield f"__{method}__ raises", lambda m=method: _object(**{f"__{m}__": _raises})
    yield (
        "__len__ of 2^62",
        lambda: _object(
            __len__=lambda _: 2**62, __getitem__=lambda _, i: 0 if i < 9 else _raises()
        ),
    )
    yield "__len__ below 0", lambda: _object(__len__=lambda _: -1, __getitem__=lambda _, i: 0)
    yield (
        "__len__ of more",
        lambda: _object(__len__=lambda _: 9, __getitem__=lambda _, i: [0, 1][i]),
    )
    yield "__array__ of text", lambda: _object(__array__=lambda *_, **__: "text")
    yield "__array__ of None", lambda: _object(__array__=lambda *_, **__: None)
    yield "__array__ of numbers", lambda: _object(__array__=lambda *_, **__: np.ones((4, 3)))
    yield "__array_interface__", lambda: _object(__array_interface__={"version": 3})
    yield "__array_interface__ none", lambda: _object(__array_interface__=3)
    yield "__index__ of text", lambda: _object(__index__=lambda _: "a")
    yield "__float__ of text", lambda: _object(__float__=lambda _: "a")
    yield "__iter__ of None", lambda: _object(__iter__=lambda _: None)
    yield "shape that lies", lambda: _object(shape=(3, 3), ndim=2, dtype=np.dtype("f8"))
    yield "tocsr that lies", lambda: _object(tocsr=lambda _: 3, format="csr", dtype=np.dtype("f8"))
    yield "detach that lies", lambda: _object(detach=lambda _: 3)
    yield "columns that lie", lambda: _object(columns=[1], iloc=3, dtypes=[3])
    yield "to_numpy that lies", lambda: _object(to_numpy=lambda _: 3, isna=3, dtype=3)
    yield "deep list", _deep
    yield "deep list, 40", lambda: _deep(40)
    yield "list in itself", _circle
    yield "ragged", lambda: [[1.0], [1.0, 2.0]]
    yield "mixed", lambda: [1, "a", None]
    yield "None inside", lambda: [[None, 1.0]]
    yield "list of arrays", lambda: [np.zeros(3), np.zeros((3, 3))]
    yield "list of sets", lambda: [{1}, {2}]
    yield "list of huge", lambda: [10**400, 1]
    yield "list of 2**63", lambda: [2**63, 2**64 - 1, 0]
    yield "list of text", lambda: ["a", "b", "c"]
    yield "list of surrogates", lambda: ["\ud800", "b", "c"]
    yield "list of bytes", lambda: [b"a", b"b"]
    yield "list of NaN", lambda: [float("nan"), 1.0, 1.0]
    yield "list of lists", lambda: [[0, 1], [1, 0]]
    yield "list of pairs", lambda: [(0, 1), ("a", "b")]
    yield "list of empty", lambda: [[], []]
    yield "list of dicts", lambda: [{}, {"a": 1}]
    yield "dict", lambda: {"a": 1}
    yield "dict of lists", lambda: {"a": [1, 2], "b": [0.5]}
    yield "dict of None", lambda: {None: None}
    yield "dict of NaN", lambda: {float("nan"): 0}
    yield "generator", lambda: (i for i in range(3))
    yield "generator that raises", lambda: (_raises() for _ in range(3))
    yield "iterator", lambda: iter([1.0, 2.0])
    yield "function", lambda: lambda *_, **__: 3
    yield "function that raises", lambda: _raises
    yield "function of None", lambda: lambda *_, **__: None
    yield "object", object
    yield "bytearray", lambda: bytearray(24)
    yield "memoryview", lambda: memoryview(bytes(24))
    yield "matrix", lambda: np.ones((4, 3)).view(np.matrix)
    yield "masked", lambda: np.ma.masked_array(np.ones((4, 3)), np.eye(4, 3))
    yield "masked vector", lambda: np.ma.masked_array([1, 2, 3], [0, 1, 0])
    yield "masked constant", lambda: np.ma.masked
    yield "memmap", _memmap
    yield "recarray", lambda: np.zeros(3, "f8,i4").view(np.recarray)
    yield "broadcast", lambda: np.broadcast_to(0.25, (4, 3))
    yield "misaligned", lambda: misaligned(np.ones((4, 3)))
    yield "objects", lambda: np.array([object(), None], dtype=object)
    yield "objects of arrays", lambda: np.array([np.zeros(2), None], dtype=object)
    yield "object of itself", lambda: np.array(None, dtype=object)
    yield from _of_others()


def _of_others() -> Iterator[tuple[str, Make]]:
    """Containers of other libraries, where they are installed."""
    have = importlib.util.find_spec
    if have("scipy"):
        from scipy import sparse

        yield "csr", lambda: sparse.csr_array(np.eye(4, 3))
        yield "coo", lambda: sparse.coo_array(np.eye(4, 3))
        yield "csr of complex", lambda: sparse.csr_array(np.eye(4, 3) * 1j)
        yield "csr that lies", lambda: _lying_csr()
    if have("torch"):
        import torch

        yield "tensor", lambda: torch.ones(4, 3)
        yield "tensor of long", lambda: torch.zeros(3, dtype=torch.long)
        yield "tensor with gradient", lambda: torch.ones(4, 3, requires_grad=True)
        yield "tensor, bfloat16", lambda: torch.ones(4, 3, dtype=torch.bfloat16)
        yield "tensor, complex", lambda: torch.ones(4, 3, dtype=torch.complex64)
        yield "tensor, meta", lambda: torch.ones(4, 3, device="meta")
        yield "tensor, sparse", lambda: torch.ones(4, 3).to_sparse()
        yield "tensor, 0-d", lambda: torch.tensor(1)
        yield "module", lambda: torch.nn.Linear(2, 2)
    if have("pandas"):
        import pandas

        yield "frame", lambda: pandas.DataFrame({"a": [1.0, 2.0], "b": ["x", None]})
        yield "frame, empty", lambda: pandas.DataFrame()
        yield "series", lambda: pandas.Series([1, None, 3], dtype="Int64")
        yield "NA", lambda: pandas.NA
        yield "categories", lambda: pandas.Series(["a", "b"], dtype="category")
    if have("polars"):
        import polars

        yield "polars frame", lambda: polars.DataFrame({"a": [1.0, None]})
        yield "polars series", lambda: polars.Series([1, None])
    if have("ml_dtypes"):
        import ml_dtypes

        yield "bfloat16", lambda: np.ones((4, 3), ml_dtypes.bfloat16)
        yield "float8", lambda: np.ones((4, 3), ml_dtypes.float8_e5m2)


def _lying_csr() -> Any:
    from scipy import sparse

    found = sparse.csr_array(np.eye(4, 3))
    found.indices = np.array([0, 1, 1 << 20], np.int32)
    return found


def variations(given: Any) -> Iterator[tuple[str, Make]]:
    """The same argument in another type, layout, length or container."""
    if isinstance(given, (bool, int, float)):
        for change in (-1, 1, 2):
            yield f"{change:+}", lambda c=change: given + c
        for kind in (np.float32, np.float64, np.int64, np.uint8, np.array):
            yield kind.__name__, lambda k=kind: _of_kind(k, given)
        yield "negative", lambda: -given
        yield "text", lambda: str(given)
        yield "in a list", lambda: [given]
        return
    if isinstance(given, str):
        yield "twice", lambda: given * 2
        yield "bytes", lambda: given.encode("utf-8", "replace")
        yield "numpy.str_", lambda: np.str_(given)
        yield "with NUL", lambda: given + "\0"
        yield "upper", lambda: given.upper()
        return
    try:
        array = np.asarray(given)
    except Exception:
        return
    if array.dtype.kind not in "biufUO" or (array.dtype.kind == "O" and array.ndim == 0):
        return
    if isinstance(given, (list, tuple)):
        yield "shorter", lambda: given[:-1]
        yield "longer", lambda: [*given, *list(given)[-1:]]
        yield "none of it", lambda: type(given)()
        yield "reversed", lambda: given[::-1]
        yield "as a set", lambda: set(map(repr, given))
        yield "as a generator", lambda: (each for each in given)
        yield "one replaced", lambda: [*list(given)[:-1], None]
        yield "one replaced by NaN", lambda: [*list(given)[:-1], float("nan")]
        yield "nested", lambda: [given]
    if array.dtype.kind not in "biuf":
        return
    for dtype in DTYPES:
        yield f"as {dtype}", lambda d=dtype: _cast(array, d)
    yield "Fortran", lambda: np.asfortranarray(array)
    yield "negated", lambda: -array.astype(np.float64)
    yield "huge", lambda: array.astype(np.float64) * 1e300
    yield "tiny", lambda: array.astype(np.float64) * 5e-324
    yield "misaligned", lambda: misaligned(array)
    yield "swapped", lambda: array.astype(array.dtype.newbyteorder())
    yield "transposed", lambda: array.T
    yield "matrix", lambda: array.view(np.matrix) if array.ndim == 2 else array
    yield "doubled axes", lambda: array[np.newaxis]
    if array.ndim:
        yield "reversed array", lambda: array[::-1]
        yield "spaced", lambda: np.repeat(array, 2, axis=-1)[..., ::2]
        yield "short", lambda: array[:-1]
        yield "narrow", lambda: array[..., :-1]
        yield "empty", lambda: array[:0]
        yield "no columns", lambda: array[..., :0]
        yield "wide", lambda: np.concatenate([array, array], axis=-1)
        yield "long", lambda: np.concatenate([array, array])
        yield "broadcast", lambda: np.broadcast_to(array[:1], array.shape)
        for number in (np.nan, np.inf, -np.inf, -1.0, 1e308, 2.0**63):
            yield f"one is {number}", lambda n=number: _with(array, n)
        yield "masked", lambda: np.ma.masked_array(array, np.arange(array.size) == 0)


def _of_kind(kind: Callable[[Any], Any], given: float) -> Any:
    """A number as a type of NumPy's has it, or another of that type."""
    try:
        return kind(given)
    except (OverflowError, ValueError):  # a sign or a NaN that the type does not have
        return kind(0)


def _cast(array: Any, dtype: str) -> Any:
    with np.errstate(all="ignore"):
        try:
            return array.astype(dtype)
        except (TypeError, ValueError):
            return np.zeros(array.shape, dtype)


def _with(array: Any, number: float) -> Any:
    found = array.astype(np.float64)
    if found.size:
        found.flat[-1] = number
    return found
