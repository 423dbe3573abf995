"""What is wrong with a fit, in words.

Contents
    shortcomings, unidentified    caps that bind, what the data do not identify
    misfit, clear_misfit          the mixture beside a few of its rows: bits per token of draws
    some_of_stream                rows in memory of what is not
    mean_row                      of the data
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base.arguments import whole
from .._base.typing import Floats, Ids
from .._base.weights import checked_weights
from ..mixture import DirichletMixture, FitCheck
from ..mixture.drawn import BLOCK, Counts, Rows, Seen
from ..mixture.fit_check import DRAWS, FREQUENCIES, MOST_ROWS, compared
from ..mixture.partial.seen import RowsInPart
from .count_data import CountData
from .em import Fit
from .partial.density import PartialData
from .partial.drawn import PartialResolutionData
from .resolution import ResolutionData
from .row_data import RowData
from .streams import Data, StreamData

ROWS, SAMPLES = 100, 50  # that it looks at, of the data and of the prior
MORE_ROWS = 300  # where the mean of all rows is not known
CLEAR = 0.2  # bits a token lost to frequencies, of which a fit warns by itself
SEED = 0  # whatever the fit's is: the same rows are asked each time


def unidentified(data: Data) -> bool:
    """Whether the data say nothing of concentrations: no row has more than one draw."""
    if isinstance(data, ResolutionData):
        return data.resolution == 1
    return isinstance(data, CountData) and not (len(data.totals) and data.totals[-1] > 1.0)


def shortcomings(state: Fit, data: Data, has_prior: bool) -> list[str]:
    """Sentences on what a fit to data found no maximum for; `has_prior`: a GammaPrior was on."""
    found = []
    n_components = state.mixture.n_components
    if len(state.capped):
        cause = _cause(data)
        found.append(
            f"the likelihood rises with the concentration of {len(state.capped)} of {n_components} "
            f"components without end, which is at its cap (or held near it by the weak penalty): "
            f"{cause}"
        )
    if len(state.unsettled):
        found.append(f"the M-step of {len(state.unsettled)} components did not settle")
    if len(state.vanished) or (len(state.unsettled) and _single_tokens(data)):
        n = len(state.vanished) or len(state.unsettled)
        found.append(
            f"the likelihood rises as the concentration of {n} of {n_components} components falls "
            "to 0: each of their rows holds a single token, and so would any other draw.  Only "
            "the means speak of the data; a concentration_prior bounds the rest"
        )
    if isinstance(data, (CountData, ResolutionData)) and not has_prior:
        if unidentified(data):
            found.append(
                "no row has more than one draw, so that the concentrations are not identified: "
                "only the means of the components speak of the data"
            )
        unseen = _unseen(data)
        if 0 < len(unseen) < data.n_tokens:
            shown = ", ".join(map(str, unseen[:5])) + (", ..." if len(unseen) > 5 else "")
            found.append(
                f"{len(unseen)} of {data.n_tokens} columns are never seen ({shown}); their alpha "
                "is at its floor, 1e-15.  Leave them out, or give a concentration_prior"
            )
    return found


def _unseen(data: CountData | ResolutionData) -> NDArray[np.intp]:
    """The columns that no row speaks of."""
    if isinstance(data, ResolutionData):
        return np.flatnonzero(data.row_sum == 0.0)
    return np.setdiff1d(np.arange(data.n_tokens), data.cells[0])


def _single_tokens(data: Data) -> bool:
    """Whether no row of counts holds several tokens."""
    if isinstance(data, PartialResolutionData):
        held = np.diff(data.draws.rows.sparse()[0]) + (data.others > 0.0)
        return bool((held <= 1).all())
    if isinstance(data, ResolutionData):
        return _single_tokens(data.draws)
    return isinstance(data, CountData) and bool((np.diff(data.rows.sparse()[0]) <= 1).all())


def _cause(data: Data) -> str:
    """What makes a concentration grow without end."""
    if isinstance(data, ResolutionData):
        return (
            f"its share of the draws from {data.n_rows} rows varies no more than those from one "
            "row do; a multinomial explains it as well"
        )
    if isinstance(data, CountData) or (isinstance(data, StreamData) and data.kind == "counts"):
        return (
            f"its share of the {data.n_rows} rows of counts varies no more than draws from one row "
            "do; a multinomial explains it as well"
        )
    if isinstance(data, (StreamData, PartialData)):
        return "it has closed in on (nearly) equal rows"
    distinct = len({row.tobytes() for row in data.log_probs})
    return (
        f"it has closed in on (nearly) equal rows ({distinct} of the {data.n_rows} rows are "
        "distinct)"
    )


def misfit(prior: DirichletMixture, data: Data) -> tuple[FitCheck | None, Floats | None]:
    """A prior beside a few of the rows that it was fitted to, and the mean of all of them where
    they are in memory.  No check of rows that hold nothing.
    """
    rng = np.random.default_rng(SEED)
    known = mean_row(data)
    most = min(MORE_ROWS if known is None else ROWS, data.n_rows)
    numbers = np.sort(rng.choice(data.n_rows, most, replace=False))
    if isinstance(data, (PartialData, PartialResolutionData)):
        part = np.ones(most) if data.weights is None else data.weights[numbers]
        seen_in_part = RowsInPart(data.rows.some(numbers))
        found = compared(prior, seen_in_part, part, DRAWS, known, SAMPLES, rng)
        return found, None if known is None else known[0]
    some = data.look(numbers) if isinstance(data, ResolutionData) else data.some(numbers)
    weights = np.ones(some.n_rows) if some.weights is None else some.weights
    seen, weights = seen_of(some, weights)
    check = compared(prior, seen, weights, DRAWS, known, SAMPLES, rng) if len(seen) else None
    return check, None if known is None else known[0]


def clear_misfit(check: FitCheck | None) -> list[str]:
    """The sentence of a loss to frequencies that is large and no chance, which a fit warns of."""
    if check is None or FREQUENCIES not in check.fails or not check.loss.max() > CLEAR:
        return []
    return [check.warnings[0]]


def some_of_stream(
    X: Any,
    sample_weight: ArrayLike | None,
    zeros: str,
    wanted: tuple[Any, ...] | None,
    options: dict[str, Any],
) -> tuple[Any, Floats | None]:
    """Rows of a stream in memory, and their weights, as many as a check with these options looks
    at; `options` then say what they are.
    """
    stream = StreamData.of(
        X,
        kind=options["kind"],
        zeros=zeros,
        weights=checked_weights(sample_weight),
        pool=(None, 1),
        wanted=wanted,
    )
    most = min(whole(options.get("max_rows", MOST_ROWS), "max_rows", 1), stream.n_rows)
    rng = np.random.default_rng(SEED)
    some = stream.some(np.sort(rng.choice(stream.n_rows, most, replace=False)))
    if isinstance(some, RowData):
        options["kind"] = "log_probs"
        return some.log_probs, some.weights
    from scipy.sparse import csr_array

    indptr, indices, data = some.rows.sparse()
    return csr_array((data, indices, indptr), shape=(most, stream.n_tokens)), some.weights


def seen_of(data: RowData | CountData, weights: Floats) -> tuple[Seen, Floats]:
    """Data in memory as a check sees them, without rows that hold nothing."""
    if isinstance(data, RowData):
        numbers: Ids = np.arange(data.n_rows)
        return Rows(data.log_probs, "log_probs", numbers, None, data.n_tokens), weights
    indptr, indices, values = data.rows.sparse()
    there = np.diff(indptr) > 0
    kept = np.concatenate([[0], indptr[1:][there]])  # an empty row ends where the one before does
    return Counts(kept, indices, values, data.n_tokens), weights[there]


def mean_row(data: Data) -> tuple[Floats, float] | None:
    """The mean of all rows, or of the proportions of counts, and their weight; None of rows that
    are not in memory or hold nothing.
    """
    if isinstance(data, StreamData):
        return None
    if isinstance(data, (ResolutionData, PartialData)):
        return data.row_sum / data.row_sum.sum(), data.total_weight
    weights = np.ones(data.n_rows) if data.weights is None else data.weights
    if isinstance(data, CountData):
        seen, weights = seen_of(data, weights)
        assert isinstance(seen, Counts)
        return (seen.mean(weights), float(weights.sum())) if len(seen) else None
    total, size = np.zeros(data.n_tokens), max(1, BLOCK // data.n_tokens)
    for start in range(0, data.n_rows, size):
        probs = np.exp(data.log_probs[start : start + size])
        if data.weights is None:
            total += probs.sum(axis=0, dtype=np.float64)
        else:
            total += data.weights[start : start + size] @ probs
    return total / data.total_weight, data.total_weight
