"""What goes into a fit, checked, in the form that EM wants."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base import parallel
from .._base.numbers import plain, reals
from .._base.tokens import columns_in, labels_of, order_of, string_labels
from .._base.typing import Floats
from .._base.weights import checked_weights, n_units, present, spread, weights_of
from ..errors import ArgumentError
from ..mixture.partial.listing import Listing
from ..rows import NextTokenRows, PartialRows
from ..rows.rows import Checked
from .count_data import CountData, encode
from .partial.density import PartialData
from .partial.drawn import PartialResolutionData
from .partial.given import as_one, in_part
from .resolution import Plan, ResolutionData, draw_block
from .row_data import RowData, without_zeros
from .streams import Data, StreamData, both_labels, is_stream


def data_of(
    X: Any,
    sample_weight: ArrayLike | None,
    pool: tuple[Executor | None, int],
    *,
    kind: str | None,
    zeros: str,
    wanted: tuple[Any, ...] | None = None,
    at: At | None = None,
) -> tuple[Data, tuple[str, ...] | None, NDArray[np.bool_], int]:
    """Data for EM, token names, which rows of X they are, and how many zeros dropped.

    Rows of weight 0 are left out before anything looks at them; columns with labels are put
    in the order of the `wanted` ones.  What is seen `at` a resolution is in memory, whatever X is.
    """
    if at is not None and zeros == "drop":
        zeros = "error"  # there is nothing to drop: a zero is not drawn
    if isinstance(X, StreamData):
        return X if at is None else _read(X, at), None, X.there, 0
    weights, X = checked_weights(sample_weight), as_one(X)
    if is_stream(X):
        stream = StreamData.of(X, kind=kind, zeros=zeros, weights=weights, pool=pool, wanted=wanted)
        return stream if at is None else _read(stream, at), stream.tokens, stream.there, 0
    X, weights, there = present(X, weights)
    order, tokens = _order(X, wanted), string_labels(X)
    data: Data
    if isinstance(X, PartialRows):
        X, kept = in_part(X, order, zeros if at is None else "keep")
        order = None
    if isinstance(X, Listing):
        data = _in_part(X, weights_of(weights, kept), at, pool)
    elif kind == "counts" and not isinstance(X, NextTokenRows):
        rows = encode(X if order is None else columns_in(plain(X, "counts"), order))
        kept = np.ones(rows.n_rows, dtype=bool)
        data = CountData(rows, weights_of(weights, kept), pool)
    elif at is not None:
        rows, kind = _bare(X, kind)
        kept = np.ones(int(rows.shape[0]), dtype=bool)
        data = _drawn(columns_in(rows, order), kind, weights_of(weights, kept), at, pool)
    else:
        found = _checked(X, kind)
        log_probs, kept = without_zeros(columns_in(found.log_probs, order), found.n_zeros, zeros)
        data = RowData(log_probs, weights_of(weights, kept), pool)
    n_dropped = len(kept) - data.n_rows
    return data, tokens, kept if there is None else spread(kept, there), n_dropped


class At(NamedTuple):
    """At which resolution rows are seen, by which draws, the first row having which number."""

    resolution: int
    seed: int
    first: int = 0


def _in_part(
    rows: Listing, weights: Floats | None, at: At | None, pool: tuple[Executor | None, int]
) -> Data:
    """Rows known in part, by their density or at a resolution."""
    if not rows.n_rows:
        raise ValueError(f"Found array with 0 sample(s) (shape=(0, {rows.n_tokens}))")
    if at is None:
        return PartialData(rows, weights, pool)
    plan = Plan.of(at.resolution, rows.n_rows, at.seed)
    return PartialResolutionData.of_rows(rows, plan, at.first, weights, pool)


def _drawn(
    rows: Any, kind: str | None, weights: Floats | None, at: At, pool: tuple[Executor | None, int]
) -> ResolutionData:
    """Rows in memory at a resolution; they are not copied but for a few at a time."""
    plan = Plan.of(at.resolution, int(rows.shape[0]), at.seed)

    def arguments() -> Iterator[tuple[Any, ...]]:
        for cut in parallel.blocks(int(rows.shape[0]), int(rows.shape[1])):
            mine = None if weights is None else weights[cut]
            yield plan, rows[cut], at.first + cut.start, kind, mine

    try:
        pieces = list(chain.from_iterable(parallel.in_order(pool, draw_block, arguments())))
    except ValueError:
        Checked.of(rows, kind)  # says which of all rows it is
        raise
    if not pieces:
        raise ValueError(f"Found array with 0 sample(s) (shape={tuple(rows.shape)})")
    return ResolutionData.of(pieces, plan, weights, pool, lambda some: rows[some], kind)


def _read(stream: StreamData, at: At) -> ResolutionData:
    """What is read in blocks at a resolution: read once."""
    plan = Plan.of(at.resolution, stream.n_rows, at.seed)
    return ResolutionData.of(
        stream.drawn(plan), plan, stream.weights, stream.pool, stream._some, stream.kind
    )


def _bare(X: Any, kind: str | None) -> tuple[Any, str | None]:
    """Rows as they are, and what they hold."""
    return (X.log_probs, "log_probs") if isinstance(X, NextTokenRows) else (_numeric(X), kind)


def check_shape(data: Data, n_components: int) -> None:
    """Refuse data too small for a mixture of so many components."""
    shape = f"(shape=({data.n_rows}, {data.n_tokens}))"
    if data.n_tokens < 2:
        raise ValueError(
            f"Found array with {data.n_tokens} feature(s) {shape} while a minimum of 2 is required."
        )
    if n_units(data.n_rows, data.total_weight) < n_components:
        raise ValueError(
            f"Found array with {data.n_rows} sample(s) {shape} while a minimum of {n_components} "
            "is required: one per component"
        )


def _checked(X: Any, kind: str | None) -> Checked:
    """Log-probabilities; `kind` speaks of bare arrays only."""
    is_bare = not isinstance(X, NextTokenRows)
    return Checked.of(_numeric(X), kind) if is_bare else Checked.of(X, None)


def _numeric(X: Any) -> Any:
    """Input of the kinds that scikit-learn's tools hand over, as an array of floats.

    A tensor is handed on as it is.
    """
    if hasattr(X, "tocsr"):
        raise TypeError("Sparse data was passed but dense rows are required; use X.toarray()")
    if hasattr(X, "detach"):
        return X
    if getattr(getattr(X, "dtype", None), "kind", "") == "c":
        raise ValueError(f"Complex data not supported: rows are {X.dtype}")
    array = plain(X, "rows")
    if array.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {array.ndim}D array of shape {array.shape} instead. Reshape "
            "your data: X.reshape(1, -1) if it is a single row"
        )
    if array.shape[1] == 0:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={array.shape}) while a minimum of 2 is required."
        )
    return reals(array, "rows") if array.dtype.kind in "biuO" else array


def in_order(X: Any, wanted: tuple[Any, ...] | None) -> Any:
    """A data frame with the columns of a fit, in their order; as it is where they are in place."""
    order = _order(X, wanted)
    return X if order is None else columns_in(plain(X, "rows"), order)


def _order(X: Any, wanted: tuple[Any, ...] | None) -> NDArray[np.intp] | None:
    """Where the columns of the fit are among those of X; None where they are in place.

    The sentences are scikit-learn's, whose tools look for them.
    """
    given = labels_of(X)
    if wanted is None and given is None:
        return None
    wanted, given = both_labels(X, wanted, given)
    try:
        return order_of(given, wanted, "the columns")
    except ArgumentError as error:
        assert given is not None
        assert wanted is not None
        unseen = [name for name in given if name not in set(wanted)]
        gone = [name for name in wanted if name not in set(given)]
        parts = ["The feature names should match those that were passed during fit."]
        for title, names in (
            ("Feature names unseen at fit time:", unseen),
            ("Feature names seen at fit time, yet now missing:", gone),
        ):
            more = ["- ..."] if len(names) > 5 else []
            if names:
                parts += [title, *(f"- {name}" for name in sorted(names, key=str)[:5]), *more]
        raise ValueError("\n".join([*parts, f"({error})"])) from None
