"""A `TransitionMatrix` in a file that is mapped when it is opened.

The arrays of each order's counts are those of the C core, which reads them in place.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base.files import require
from .._base.mapped import open_mapped, write_mapped
from .._base.tokens import Vocabulary
from .._core import TransitionCounts
from ..mixture import DirichletMixture
from .arguments import checked_discounts
from .backoff import BackoffRows
from .counts import Levels
from .discounts import DiscountedRows
from .fading import RealCounts
from .prior import Concentration, SharedPrior
from .shared import SharedRows
from .tree import TreeRows

FORMAT, VERSION = "matrixbayes.matrix", 3  # version 1 has no times, 2 no trees and discounts
PARTS = ("keys", "counts", "large_at", "large", "index", "sums")  # of whole counts
REAL_PARTS = ("contexts", "indptr", "tokens", "counts", "rests", "times", "clocks")


class Saved(NamedTuple):
    """What a file holds of a matrix."""

    order: int
    vocabulary: Vocabulary
    discount: float
    latest: NDArray[np.int64]
    rows: SharedRows | BackoffRows | TreeRows


def write(path: str | os.PathLike[str], saved: Saved) -> None:
    """Write a matrix, all or nothing."""
    rows = saved.rows
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION
        if isinstance(rows, (TreeRows, DiscountedRows))
        else 2
        if rows.real
        else 1,
        "order": saved.order,
        "n_tokens": saved.vocabulary.n_tokens,
        "tokens": None if saved.vocabulary.names is None else list(saved.vocabulary.names),
        "discount": saved.discount,
        "latest": saved.latest.tolist(),
        "hierarchical": rows.hierarchical,
        "real": rows.real,
        "prior": None,
    }
    arrays: dict[str, NDArray[Any]] = {}
    if isinstance(rows.prior.given, DirichletMixture):
        arrays |= {"prior.weights": rows.prior.given.weights, "prior.alpha": rows.prior.given.alpha}
    else:
        header["prior"] = rows.prior.given
    if isinstance(rows, TreeRows):
        header["deeper"] = rows.deeper
        arrays |= _levels(rows.counts)
    elif isinstance(rows, BackoffRows):
        arrays |= _levels(rows.levels.counts)
        for level, found in enumerate(rows.concentrations, start=1):
            arrays |= _named(f"concentration{level}", Concentration._fields, found)
        if isinstance(rows, DiscountedRows):
            arrays["discounts"] = rows.discounts
    elif isinstance(rows.counts, RealCounts):
        arrays |= _named("real", REAL_PARTS, rows.counts.arrays())
    else:
        arrays |= _named(f"order{saved.order}", PARTS, rows.counts.arrays())
    write_mapped(path, arrays, header)


def _levels(counts: tuple[TransitionCounts, ...]) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for level, each in enumerate(counts):
        found |= _named(f"order{level}", PARTS, each.arrays())
    return found


def _named(prefix: str, names: tuple[str, ...], arrays: Any) -> dict[str, NDArray[Any]]:
    return {f"{prefix}.{name}": array for name, array in zip(names, arrays, strict=True)}


def read(path: str | os.PathLike[str], verify: bool) -> Saved:
    """Open a matrix; its counts stay in the file.

    Raises
    ------
    ValueError
        The file is not one of a matrix, or is damaged.
    """
    arrays, header = open_mapped(path, FORMAT, verify=verify)
    require(path, header, VERSION)
    try:
        return _assembled(arrays, header, verify)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise ValueError(f"{os.fspath(path)} is damaged: {error!r}") from error


def _assembled(arrays: dict[str, NDArray[Any]], header: dict[str, Any], verify: bool) -> Saved:
    order, n_tokens = _integer(header["order"], 1, 16), _integer(header["n_tokens"], 1, 2**32)
    names = None if header["tokens"] is None else tuple(header["tokens"])
    if names is not None and not all(isinstance(name, str) for name in names):
        raise ValueError("a name is no text")
    if names is not None and (len(names) != n_tokens or len(set(names)) != n_tokens):
        raise ValueError("the names are not one for each token")
    hierarchical, real = header["hierarchical"], header["real"]
    latest = np.array([_integer(t, 0, n_tokens) for t in header["latest"]], dtype=np.int64)
    discount = header["discount"]
    if not isinstance(discount, float) or not 0.0 < discount <= 1.0 or len(latest) > order:
        raise ValueError("discount or latest are out of range")
    prior: DirichletMixture | float
    if header["prior"] is None:
        prior = DirichletMixture(arrays["prior.weights"], arrays["prior.alpha"], tokens=names)
        if prior.n_tokens != n_tokens:
            raise ValueError("the prior is not over these tokens")
    else:
        prior = header["prior"]
        if not isinstance(prior, float) or prior <= 0.0:
            raise ValueError("the prior is no positive number")
    shared = SharedPrior(prior, n_tokens)

    def counts(level: int, width: int) -> TransitionCounts:
        parts = [arrays[f"order{level}.{name}"] for name in PARTS]
        return TransitionCounts.from_arrays(level, width, parts, verify=verify)

    rows: SharedRows | BackoffRows | TreeRows
    if "deeper" in header:
        deeper = header["deeper"]
        if not isinstance(deeper, float) or not 0.0 < deeper < 1.0:
            raise ValueError("deeper is no probability")
        every = tuple(counts(j, n_tokens + 1) for j in range(order + 1))
        rows = TreeRows(every, shared, deeper)
    elif hierarchical is True:
        levels = Levels(order, n_tokens, tuple(counts(j, n_tokens + 1) for j in range(order + 1)))
        if "discounts" in arrays:
            numbers = checked_discounts(arrays["discounts"], order)
            rows = DiscountedRows(levels, shared, numbers)
            return Saved(order, Vocabulary(n_tokens, names), discount, latest, rows)
        found = tuple(_concentration(arrays, level) for level in range(1, order + 1))
        rows = BackoffRows(levels, shared, found)
    elif real is True:
        known = REAL_PARTS if header["version"] > 1 else REAL_PARTS[:4]
        parts = [arrays[f"real.{name}"] for name in known]
        rows = SharedRows(RealCounts.from_arrays(order, n_tokens, discount, parts), shared)
    else:
        rows = SharedRows(counts(order, n_tokens), shared)
    return Saved(order, Vocabulary(n_tokens, names), discount, latest, rows)


def _integer(value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{value!r} is not from {least} to {most}")
    return value


def _concentration(arrays: dict[str, NDArray[Any]], level: int) -> Concentration:
    weights, values = (
        np.array(arrays[f"concentration{level}.{name}"], dtype=np.float64)
        for name in Concentration._fields
    )
    if weights.ndim != 1 or weights.shape != values.shape or len(weights) == 0:
        raise ValueError(f"the concentrations of order {level} have no shape")
    good = np.isfinite(values).all() and (values > 0.0).all() and (weights >= 0.0).all()
    if not good or not abs(weights.sum() - 1.0) < 1e-9:
        raise ValueError(f"the concentrations of order {level} are out of range")
    return Concentration(weights, values)
