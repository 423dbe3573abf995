"""A `TransitionMatrix` in a file that is mapped when it is opened.

The arrays of each order's counts are those of the C core, which reads them in place.
"""

from __future__ import annotations

import itertools
import os
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base.arguments import shown
from .._base.files import naming, require
from .._base.mapped import open_mapped, write_mapped
from .._base.saving.made import entry, said
from .._base.tokens import Vocabulary
from .._core import TransitionCounts
from ..mixture import DirichletMixture
from .arguments import checked_discounts
from .backoff import BackoffRows
from .counts import Levels
from .discounts import DiscountedRows
from .fading import RealCounts
from .frozen import encoded, levels_of, opened
from .prior import Concentration, SharedPrior
from .shared import SharedRows
from .texts.reading import Reading
from .tree import Folded, TreeRows

# version 1 has no times, 2 no trees and discounts, 3 is not frozen
FORMAT, VERSION = "matrixbayes.matrix", 4
PARTS = ("keys", "counts", "large_at", "large", "index", "sums")  # of whole counts
REAL_PARTS = ("contexts", "indptr", "tokens", "counts", "rests", "times", "clocks")


class Saved(NamedTuple):
    """What a file holds of a matrix."""

    order: int
    vocabulary: Vocabulary
    discount: float
    latest: NDArray[np.int64]
    rows: SharedRows | BackoffRows | TreeRows
    reading: Reading | None = None
    made: dict[str, Any] | None = None  # see `_base.saving.made`


def write(path: str | os.PathLike[str], saved: Saved, *, freeze: bool = False) -> None:
    """Write a matrix, all or nothing; its counts in a compact code where they are to be frozen."""
    rows = saved.rows
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION
        if freeze
        else 3
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
    header |= entry(saved.made)
    if freeze:
        header["frozen"] = True
    if saved.vocabulary.unknown is not None:
        header["unknown"] = saved.vocabulary.unknown
    if saved.reading is not None:
        header["reading"] = saved.reading.__getstate__()
    arrays: dict[str, NDArray[Any]] = {}
    if isinstance(rows.prior.given, DirichletMixture):
        arrays |= {"prior.weights": rows.prior.given.weights, "prior.alpha": rows.prior.given.alpha}
    else:
        header["prior"] = rows.prior.given
    if isinstance(rows, TreeRows):
        header["deeper"] = rows.deeper
    elif isinstance(rows, BackoffRows):
        for level, found in enumerate(rows.concentrations, start=1):
            arrays |= _named(f"concentration{level}", Concentration._fields, found)
        if isinstance(rows, DiscountedRows):
            arrays["discounts"] = rows.discounts
    if freeze:
        words = encoded(rows)
        arrays |= {f"frozen{level}": each for level, each in enumerate(words)}
        if isinstance(rows, TreeRows):
            header["evidence"] = rows.folded.evidence
            arrays |= _odds(rows, words)
    elif isinstance(rows.longest, RealCounts):
        arrays |= _named("real", REAL_PARTS, rows.longest.arrays())
    else:
        for counts in levels_of(rows):
            arrays |= _named(f"order{counts.order}", PARTS, counts.arrays())
    write_mapped(path, arrays, header)


def _odds(rows: TreeRows, words: list[NDArray[np.uint64]]) -> dict[str, NDArray[Any]]:
    """The log-odds of a tree by the numbers that contexts have among frozen words."""
    found: dict[str, NDArray[Any]] = {}
    for level, odds in enumerate(rows.folded.odds):
        contexts = opened(rows.longest.n_tokens, words[: level + 1], False)[-1].all()[0]
        found[f"odds{level}"] = odds[rows.counts[level].places(contexts)]
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
    with naming(path, " is damaged"):
        return _assembled(arrays, header, verify)._replace(made=said(header))


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
    unknown = header.get("unknown")  # which older files do not have
    if unknown is not None:
        unknown = _integer(unknown, 0, n_tokens - 1)
    vocabulary = Vocabulary(n_tokens, names, unknown)
    reading = Reading.saved(header.get("reading"), n_tokens)

    every = _counts(arrays, header, order, n_tokens, verify)
    rows: SharedRows | BackoffRows | TreeRows
    if "deeper" in header:
        deeper = header["deeper"]
        if not isinstance(deeper, float) or not 0.0 < deeper < 1.0:
            raise ValueError("deeper is no probability")
        if verify:
            _check_tokens(every)
        rows = TreeRows(every, shared, deeper)
        if "frozen" in header:
            rows.fold_as(_folded(arrays, header, every))
        elif verify:
            _ = rows.folded  # which needs shorter contexts to be there
    elif hierarchical is True:
        if verify:
            _check_types(every)
        levels = Levels(order, n_tokens, every)
        if "discounts" in arrays:
            numbers = checked_discounts(arrays["discounts"], order)
            rows = DiscountedRows(levels, shared, numbers)
            return Saved(order, vocabulary, discount, latest, rows, reading)
        found = tuple(_concentration(arrays, level) for level in range(1, order + 1))
        rows = BackoffRows(levels, shared, found)
    elif real is True:
        known = REAL_PARTS if header["version"] > 1 else REAL_PARTS[:4]
        parts = [arrays[f"real.{name}"] for name in known]
        rows = SharedRows(RealCounts.from_arrays(order, n_tokens, discount, parts), shared)
    else:
        rows = SharedRows(every[-1], shared)
    return Saved(order, vocabulary, discount, latest, rows, reading)


def _counts(
    arrays: dict[str, NDArray[Any]], header: dict[str, Any], order: int, n_tokens: int, verify: bool
) -> tuple[Any, ...]:
    """Whole counts of each order that has some."""
    several = "deeper" in header or header["hierarchical"] is True
    width = n_tokens + several  # the beginning of a document
    if header.get("frozen", False) is True:
        words = [arrays[f"frozen{level}"] for level in range(order + 1)]
        return opened(width, words, verify, several)
    if header["real"] is True:
        return ()
    return tuple(
        TransitionCounts.from_arrays(
            level,
            width,
            [arrays[f"order{level}.{name}"] for name in PARTS],
            verify=verify,
            begins=several,
        )
        for level in range(0 if several else order, order + 1)
    )


def _check_tokens(every: tuple[Any, ...]) -> None:
    """Each order of a tree counts every token."""
    n = every[-1].n_observed
    for counts in every:
        if counts.n_observed != n:
            raise ValueError(
                f"order {counts.order} counts {counts.n_observed} tokens, and the longest one {n}"
            )


def _check_types(every: tuple[Any, ...]) -> None:
    """Shorter contexts count types: as many as the longer ones have n-grams."""
    for shorter, longer in itertools.pairwise(every):
        _, n_types = longer.sizes()
        if shorter.n_observed != n_types:
            raise ValueError(
                f"order {shorter.order} counts {shorter.n_observed} types of the {n_types} n-grams "
                f"of order {longer.order}"
            )


def _folded(arrays: dict[str, NDArray[Any]], header: dict[str, Any], every: Any) -> Folded:
    """What the counts of a frozen tree say of trees."""
    odds = tuple(arrays[f"odds{level}"] for level in range(len(every) - 1))
    for counts, each in zip(every, odds, strict=False):
        if each.dtype != np.float64 or each.shape != (counts.sizes()[0],) or np.isnan(each).any():
            raise ValueError("the odds of contexts are not one number for each")
    if not isinstance(header["evidence"], float):
        raise ValueError("the evidence is no number")
    return Folded(header["evidence"], odds)


def _integer(value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{shown(value)} is not from {least} to {most}")
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
