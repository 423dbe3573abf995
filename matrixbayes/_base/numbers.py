"""Numbers as callers hand them in: exact, or refused with the place and the reason.

Contents
    plain       any container, as a plain array of numbers or of names
    reals       real numbers, as float64
    floats      real numbers, in float32 where they come so
    wholes      whole numbers, as int64
    entries     row, column and value of each entry of a sparse matrix
    exact_rows  sparse rows, each entry once
    countable   refuse an array of more entries than anything can look at
    unmasked    refuse an array with masked entries

A truth value is a number where numbers are added up (counts, weights), and neither a token nor a
size.  A whole number may be written as a float (682.0) in an array, and not where it is a size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from .typing import Floats, Ids, Place

PYTHONS = {bool, int, float, str}
SCALARS = (bool, int, float, complex, str, np.number, np.bool_)
SHORT = ("bfloat16", "float8")  # floats that others add to NumPy: each is a float32
MOST_REPEATED = 1 << 30  # entries of a broadcast array: more cost nothing, and take for ever
DEEPEST = 64  # lists in each other; NumPy has as many axes
# What a container raises that has the attributes of an array, a tensor or a frame and is none.
FOREIGN = (AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError)
EXACT = 2**53  # whole numbers up to here are doubles


def plain(given: Any, name: str) -> NDArray[Any]:
    """What a caller handed in, as an array of numbers, or of names (dtype object).

    Takes arrays of any layout and byte order, tensors (bfloat16, with a gradient, on any device),
    data frames and their columns (nullable ones too), and sequences of all these.

    Raises
    ------
    ArgumentError
        An entry is masked, missing, or neither a real number nor a name; `name` says of what.
    """
    if type(given) is np.ndarray and given.dtype.kind in "biuf":
        return countable(given, name)
    try:
        array = _unwrapped(given, name)
    except ArgumentError:
        raise
    except FOREIGN as error:  # of a container that is not what it says
        raise ArgumentError(
            f"{name} is of type {type(given).__name__} and gives no array of numbers: {error}"
        ) from error
    kind = array.dtype.kind
    if kind == "V" and array.dtype.name.startswith(SHORT):
        return array.astype(np.float32)
    if kind in "UT":
        return array.astype(object)
    if kind == "O":
        return _of_objects(array, name)
    if kind not in "biuf":
        what = {"c": "complex numbers", "S": "bytes, which are no names until they are decoded"}
        what |= {"M": "dates", "m": "times", "V": "records"}
        raise ArgumentError(
            f"{name} must be numbers, not {array.dtype}: these are {what.get(kind, 'others')}, and "
            "real numbers are needed"
        )
    return array


def is_named(array: NDArray[Any]) -> bool:
    """Whether an array that `plain` gave holds names."""
    return array.dtype.kind == "O"


def reals(given: Any, name: str, shape: tuple[int, ...] | None = None) -> Floats:
    """Real numbers as float64, each exactly what it was; of a shape where one is given."""
    return _shaped(_doubles(_numbers(given, name), name), name, shape)


def floats(given: Any, name: str) -> NDArray[np.floating]:
    """Real numbers as float32 where they come so, else as float64."""
    array = _numbers(given, name)
    if array.dtype.kind == "f" and array.dtype.itemsize == 4:
        return array.astype(np.float32, copy=False)
    return _doubles(array, name)


def wholes(given: Any, name: str, place: Place | None = None, truth: bool = False) -> Ids:
    """Whole numbers as int64, with `truth` also from truth values.

    `place` says in words where the i-th is.
    """
    array = _numbers(given, name)
    kind = array.dtype.kind
    if array.size == 0 or (kind == "b" and truth):
        return array.astype(np.int64)
    if kind == "b":
        raise ArgumentError(
            f"{name} must be whole numbers, not {array.dtype}; np.flatnonzero gives the places of "
            "a mask"
        )
    found = array.astype(np.int64, copy=False) if kind in "iu" else None
    if kind == "u" and array.dtype.itemsize == 8:
        wrong = array > np.iinfo(np.int64).max
    elif kind == "f":
        with np.errstate(invalid="ignore", over="ignore"):  # to float16 2^63 is infinite
            wrong = ~((np.floor(array) == array) & (np.abs(array) < 2.0**63))
    else:
        assert found is not None
        return found
    if wrong.any():
        i = int(np.argmax(wrong))
        value = array.flat[i]
        at = place(i) if place else where(name, array.shape, i)
        why = f"of type {array.dtype}; {name} must be whole numbers"
        raise ArgumentError(f"{at} is {value}, " + (why if kind == "f" else "above 2**63 - 1"))
    return array.astype(np.int64) if found is None else found


def exact_rows(given: Any, name: str) -> Any:
    """Sparse rows as scipy's csr in float64, equal places summed.

    Raises
    ------
    ArgumentError, ValueError
        A number is no double, or the arrays are no sparse rows.
    """
    from scipy.sparse import csr_array

    if not hasattr(given, "tocsr"):
        data, indices, indptr = (getattr(given, part) for part in ("data", "indices", "indptr"))
        parts = reals(data, name), wholes(indices, "indices"), wholes(indptr, "indptr")
        _check_rows(*parts, given.shape)
        given = csr_array(parts, shape=given.shape)
    _check_sparse(given, name)
    if given.dtype.kind != "b" and given.dtype != np.float64:
        # before they are summed: the sum of two int8 is an int8
        if given.format == "csr":
            parts = _doubles(given.data, name), given.indices, given.indptr
            given = type(given)(parts, shape=given.shape)
        else:
            coo = given.tocoo()
            given = type(coo)((_doubles(coo.data, name), (coo.row, coo.col)), shape=coo.shape)
    rows = given.tocsr()
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    return rows.astype(np.float64, copy=False)


def entries(given: Any, name: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Row, column and value of each entry of a sparse matrix, as it is; those at one place add up.

    Raises
    ------
    ArgumentError, ValueError
        A value is no real number, or the arrays are no sparse matrix.
    """
    _check_sparse(given, name)
    # two truth values at one place are one
    coo = (given.tocsr() if given.dtype.kind == "b" else given).tocoo()
    return coo.row, coo.col, coo.data


def _check_sparse(given: Any, name: str) -> None:
    """Refuse what is no sparse matrix of real numbers: scipy trusts the arrays of one."""
    if given.format == "csr":
        _check_rows(given.data, given.indices, given.indptr, given.shape)
    elif hasattr(given, "check_format"):
        given.check_format(full_check=True)
    if given.dtype.kind not in "biuf":
        raise ArgumentError(f"{name} must be an array of real numbers, not of {given.dtype}")


def _check_rows(
    data: NDArray[Any], indices: NDArray[Any], indptr: NDArray[Any], shape: tuple[int, int]
) -> None:
    """Refuse what is no compressed sparse rows: scipy trusts them."""
    if len(indptr) != shape[0] + 1:
        raise ValueError(f"indptr has {len(indptr)} entries for {shape[0]} rows")
    wrong = (np.diff(indptr) < 0) | (indptr[1:] > min(len(indices), len(data))) | (indptr[:-1] < 0)
    if wrong.any() or indptr[0] != 0:
        row = int(np.argmax(wrong)) if wrong.any() else 0
        raise ValueError(f"indptr falls or leaves the entries at row {row}")
    columns = indices[: indptr[-1]]
    outside = (columns < 0) | (columns >= shape[1])
    if outside.any():
        i = int(np.argmax(outside))
        row = int(np.searchsorted(indptr, i, side="right")) - 1
        raise ValueError(f"row {row} has an entry in column {columns[i]}, of {shape[1]} columns")


def unmasked(array: Any, name: str) -> Any:
    """The array itself, unless one of its entries is masked."""
    if isinstance(array, np.ma.MaskedArray) and np.ma.getmaskarray(array).any():
        i = int(np.argmax(np.ma.getmaskarray(array)))
        raise ArgumentError(
            f"{where(name, array.shape, i)} is masked: what is under a mask is not used; leave "
            "such rows out, or fill them, array.filled(0) for counts that are 0"
        )
    return array


def where(name: str, shape: Sequence[int], i: int, columns: Sequence[Any] | None = None) -> str:
    """The place of the i-th entry of an array, in words."""
    if len(shape) == 0:
        return name
    at = [int(k) for k in np.unravel_index(i, tuple(shape))]
    if len(shape) == 2:
        column = at[1] if columns is None else columns[at[1]]
        return f"row {at[0]}, column {column!r} of {name}"
    return f"{name}[{', '.join(map(str, at))}]"


def countable(array: NDArray[Any], name: str) -> NDArray[Any]:
    """The array itself, unless it repeats few entries so often that nothing comes to their end."""
    many = math.prod(max(n, 1) for n in array.shape)  # rows of nothing are many too
    held = sum((n - 1) * abs(s) for n, s in zip(array.shape, array.strides, strict=True))
    if many > MOST_REPEATED and many * array.itemsize > held + array.itemsize:
        raise ArgumentError(f"{name} has shape {array.shape}: too many entries to look at")
    return array


# -- containers ------------------------------


def _unwrapped(given: Any, name: str) -> NDArray[Any]:
    """The array that a container holds, of whatever type."""
    if isinstance(given, np.ndarray):
        countable(given, name)
    if isinstance(given, np.ma.MaskedArray):
        return np.asarray(unmasked(given, name).data)
    if hasattr(given, "detach"):
        return _of_tensor(given, name)
    if hasattr(given, "tocsr"):
        raise ArgumentError(f"{name} is a sparse matrix; rows are needed dense, as X.toarray()")
    if hasattr(given, "columns") and hasattr(given, "iloc"):
        return _of_frame(given, name)
    if hasattr(given, "to_numpy") and hasattr(given, "isna"):
        return _of_series(given, name, lambda i: where(name, (len(given),), i))
    is_array = hasattr(given, "__array__") or hasattr(given, "__array_interface__")
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes, dict)) and not is_array:
        return _of_sequence(list(given), name)
    array = np.asarray(given)
    return np.asarray(array, dtype=object) if array.dtype.kind in "UT" else array


def _of_tensor(tensor: Any, name: str) -> NDArray[Any]:
    """The numbers of a tensor of torch, on any device, with or without gradient."""
    layout = str(getattr(tensor, "layout", "torch.strided"))
    if layout != "torch.strided":
        raise ArgumentError(f"{name} is a sparse tensor ({layout}); give X.to_dense()")
    if getattr(tensor, "is_meta", False):
        raise ArgumentError(f"{name} is a tensor on the device 'meta', which holds no numbers")
    tensor = tensor.detach().cpu()
    if str(tensor.dtype).startswith(tuple(f"torch.{short}" for short in SHORT)):
        tensor = tensor.float()
    if hasattr(tensor, "resolve_neg"):
        tensor = tensor.resolve_conj().resolve_neg()
    return countable(np.asarray(tensor.numpy()), name)


def _of_frame(frame: Any, name: str) -> NDArray[Any]:
    """The numbers of a data frame of pandas; each column is read in its own type."""
    kinds = list(frame.dtypes)
    if kinds and isinstance(kinds[0], np.dtype) and all(kind == kinds[0] for kind in kinds):
        array = np.asarray(frame.to_numpy())
        if array.dtype.kind != "O":
            return array
    shape, columns = frame.shape, list(frame.columns)

    def column(j: int) -> NDArray[Any]:
        return _of_series(
            frame.iloc[:, j], name, lambda i: where(name, shape, i * shape[1] + j, columns)
        )

    parts = [column(j) for j in range(shape[1])]
    if not parts:
        return np.zeros(shape)
    return _stacked(parts, name, axis=1)


def _of_series(series: Any, name: str, place: Place) -> NDArray[Any]:
    """The numbers or names of one column; what is missing is refused by its place."""
    dtype = series.dtype
    if not isinstance(dtype, np.dtype):
        missing = np.asarray(series.isna(), dtype=bool)
        if missing.any():
            i = int(np.argmax(missing))
            raise ArgumentError(f"{place(i)} is missing (NA): leave it out, or fill it")
        wanted = getattr(dtype, "numpy_dtype", None)
        if isinstance(wanted, np.dtype):
            return _known(np.asarray(series.to_numpy(dtype=wanted)), name, place)
    array = np.asarray(series)
    return _known(array, name, place)


def _known(array: NDArray[Any], name: str, place: Place) -> NDArray[Any]:
    return _of_objects(array, name, place) if array.dtype.kind == "O" else array


def _of_sequence(items: Sequence[Any], name: str) -> NDArray[Any]:
    """A sequence of numbers, names, arrays, or sequences."""
    clean = _clean(items, name)
    try:
        text = bool(clean) and isinstance(clean[0], str)
        array = np.array(clean, dtype=object if text else None)
        # NumPy turns all into doubles where some are, or where none else holds all of them.
        rounded = array.dtype.kind == "f" and array.size and not _is_small(array)
        if array.dtype.kind in "US" or rounded:
            array = np.array(clean, dtype=object)
    except ValueError:
        raise ArgumentError(
            f"{name} have rows of different lengths, or numbers beside rows; one shape is needed"
        ) from None
    return array


def _is_small(array: NDArray[Any]) -> bool:
    """Whether all numbers are below those that a double may not hold."""
    return float(array.min()) > -EXACT and float(array.max()) < EXACT


def _clean(items: Sequence[Any], name: str, depth: int = 1) -> Sequence[Any]:
    """The same with what NumPy would misread (tensors, masks, missing values) read by `plain`."""
    if depth > DEEPEST:
        raise ArgumentError(f"the lists of {name[: name.find('[')]} are in each other without end")
    kinds = set(map(type, items))
    if kinds <= PYTHONS or all(issubclass(kind, SCALARS) for kind in kinds):
        return items
    return [
        item
        if isinstance(item, SCALARS)
        else _clean(item, f"{name}[{i}]", depth + 1)
        if isinstance(item, (list, tuple))
        else plain(item, f"{name}[{i}]")
        for i, item in enumerate(items)
    ]


# -- numbers ------------------------------


def _numbers(given: Any, name: str) -> NDArray[Any]:
    """An array of numbers and no names."""
    array = plain(given, name)
    if is_named(array) and array.size:
        raise ArgumentError(
            f"{where(name, array.shape, 0)} is {array.flat[0]!r}: {name} must be numbers, not "
            "names; real numbers are needed"
        )
    return array


def _of_objects(array: NDArray[Any], name: str, place: Place | None = None) -> NDArray[Any]:
    """Objects as numbers of one type, or as they are where all are names."""
    flat = array.ravel().tolist()
    kinds = set(map(type, flat))
    if all(issubclass(kind, str) for kind in kinds):
        return array
    if all(issubclass(kind, (bool, np.bool_)) for kind in kinds):
        return array.astype(bool)
    if all(issubclass(kind, (int, np.integer)) for kind in kinds):
        least, most = min(map(int, flat)), max(map(int, flat))
        for dtype in (np.int64, np.uint64):
            if np.iinfo(dtype).min <= least and most <= np.iinfo(dtype).max:
                return np.array(flat, dtype=dtype).reshape(array.shape)
    found = np.empty(len(flat))
    for i, value in enumerate(flat):
        why = _why_not(value)
        if why:
            at = place(i) if place else where(name, array.shape, i)
            raise ArgumentError(f"{at} is {value!r}, {why}")
        found[i] = float(value)
    return found.reshape(array.shape)


def _why_not(value: Any) -> str:
    """Why a value is no double; nothing where it is."""
    if isinstance(value, float):
        return ""
    if isinstance(value, str):
        return "which is text where numbers are needed"
    try:
        return "" if bool(float(value) == value) else "which no double holds exactly"
    except OverflowError:
        return "which is too large"
    except (TypeError, ValueError) as error:
        return f"which is no number ({error})"


def _doubles(array: NDArray[Any], name: str) -> Floats:
    """The same numbers as float64, unless one of them is none."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    with np.errstate(over="ignore", under="ignore"):  # a long double; it is compared below
        found: Floats = array.astype(np.float64, copy=False)
    wrong: Any = False
    if kind == "f" and size > 8:
        wrong = (found != array) & ~np.isnan(found)
    elif kind in "iu" and size == 8 and array.size:
        most = max(int(array.max()), -int(array.min()))
        if most > EXACT:
            safe = found < float(np.iinfo(array.dtype).max)  # the cast back of others is undefined
            wrong = np.where(safe, found, 0.0).astype(array.dtype) != array
    if np.any(wrong):
        i = int(np.argmax(wrong))
        raise ArgumentError(
            f"{where(name, array.shape, i)} is {array.flat[i]}, which no double holds exactly; "
            "round it yourself, .astype(float)"
        )
    return found


def _stacked(parts: list[NDArray[Any]], name: str, axis: int) -> NDArray[Any]:
    """Arrays beside each other, of one type that holds them all exactly."""
    if any(part.dtype.kind == "O" for part in parts) or len({part.dtype for part in parts}) == 1:
        return np.stack(parts, axis=axis)
    if np.result_type(*parts).kind == "f":
        parts = [_doubles(part, name) for part in parts]
    return np.stack(parts, axis=axis)


def _shaped(array: Floats, name: str, shape: tuple[int, ...] | None) -> Floats:
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; it must be {shape}")
    return array
