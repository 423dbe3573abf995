"""What is wrong with a fit, in words: caps that bind, what the data do not identify."""

from __future__ import annotations

import numpy as np

from .count_data import CountData
from .em import Fit
from .streams import Data, StreamData


def unidentified(data: Data) -> bool:
    """Whether the data say nothing of concentrations: no row has more than one draw."""
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
    if isinstance(data, CountData) and not has_prior:
        if unidentified(data):
            found.append(
                "no row has more than one draw, so that the concentrations are not identified: "
                "only the means of the components speak of the data"
            )
        unseen = np.setdiff1d(np.arange(data.n_tokens), data.cells[0])
        if 0 < len(unseen) < data.n_tokens:
            shown = ", ".join(map(str, unseen[:5])) + (", ..." if len(unseen) > 5 else "")
            found.append(
                f"{len(unseen)} of {data.n_tokens} columns are never seen ({shown}); their alpha "
                "is at its floor, 1e-15.  Leave them out, or give a concentration_prior"
            )
    return found


def _single_tokens(data: Data) -> bool:
    """Whether no row of counts holds several tokens."""
    return isinstance(data, CountData) and bool((np.diff(data.rows.sparse()[0]) <= 1).all())


def _cause(data: Data) -> str:
    """What makes a concentration grow without end."""
    if isinstance(data, CountData) or (isinstance(data, StreamData) and data.kind == "counts"):
        return (
            f"its share of the {data.n_rows} rows of counts varies no more than draws from one row "
            "do; a multinomial explains it as well"
        )
    if isinstance(data, StreamData):
        return "it has closed in on (nearly) equal rows"
    distinct = len({row.tobytes() for row in data.log_probs})
    return (
        f"it has closed in on (nearly) equal rows ({distinct} of the {data.n_rows} rows are "
        "distinct)"
    )
