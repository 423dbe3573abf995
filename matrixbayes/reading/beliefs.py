"""What a posterior says before each token of a text.

Contents
    Beliefs       its means, some tokens at a time, and its concentration
    beliefs_of    of a prior, a path, a predictor, or rows
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._base.asked import asked
from .._base.numbers import plain
from .._base.tokens import columns_in, order_of
from .._base.typing import Floats, Ids
from ..errors import ArgumentError
from ..mixture import PosteriorPath
from ..rows import NextTokenRows
from ..rows.ingest import rows_asked_for
from .text import Text

KNOWN = (
    "a DirichletMixture, a PosteriorPath, a LearningPath, an ElicitationReport, a predictor that "
    "gives rows (n, length, V) of sequences (n, length), or NextTokenRows"
)
NO_PRIOR = "{} does not say how concentrated it is: give the prior, or a PosteriorPath"


@dataclass(frozen=True)
class Beliefs:
    """What a posterior says before each of some tokens.

    Attributes
    ----------
    means
        From a slice of the tokens to probabilities (n, V), in the columns of the rows.
    concentration
        From nothing to the expected pseudo-counts before each token, (T,); or why there are none.
    """

    means: Callable[[slice], Floats]
    concentration: Callable[[], Floats] | str


def beliefs_of(posterior: Any, rows: Any, text: Text) -> Beliefs:
    """What `posterior` says before each token of a text that has a row.

    Raises
    ------
    TypeError, ValueError
        It is no posterior, of other tokens, or along another text.
    """
    seen = (text.columns >= 0) & ~np.array(text.special, dtype=bool)
    here = text.rows >= 0
    before = (np.cumsum(seen) - seen)[here]  # of each token with a row, the evidence before it
    if isinstance(posterior, NextTokenRows):
        return _of_rows(posterior, rows, text.rows[here])
    width = _width(posterior)
    if width is not None and width != rows.n_tokens:
        raise ValueError(
            f"the posterior is over {width} tokens and the rows over {rows.n_tokens}: rows over "
            'the answers alone are made by collect(..., vocab=..., other="renormalize")'
        )
    order = order_of(_names(posterior), rows.tokens, "the tokens of the posterior and of the rows")
    evidence = text.columns[seen]
    evidence = evidence if order is None else order[evidence]  # in the posterior's own columns
    wanted = text.columns[here]
    if order is not None:
        wanted = np.where(wanted >= 0, order[wanted], -1)
    if hasattr(posterior, "demonstrations") or hasattr(posterior, "history"):
        return _of_path(posterior, order, wanted, before, evidence)
    if hasattr(posterior, "predictive") and hasattr(posterior, "posterior"):
        return _of_prior(posterior, order, before, evidence)
    if hasattr(posterior, "predict") and hasattr(posterior, "posterior"):
        return _of_report(posterior, order, before, evidence)
    if callable(posterior):
        return _of_predictor(posterior, order, before, evidence, rows.n_tokens)
    raise ArgumentError(f"posterior is {type(posterior).__name__}; it is {KNOWN}")


def _width(posterior: Any) -> int | None:
    """Over how many tokens it is, where it says so."""
    if hasattr(posterior, "demonstrations"):
        return int(posterior.prior.n_tokens)
    if hasattr(posterior, "history"):
        return int(posterior.predictive.shape[1])
    found = getattr(posterior, "n_tokens", None)
    return None if found is None else int(found)


def _names(posterior: Any) -> tuple[str, ...] | None:
    if hasattr(posterior, "history"):
        return posterior.names  # type: ignore[no-any-return]
    return getattr(posterior, "tokens", None)


def _of_rows(posterior: NextTokenRows, rows: Any, numbers: Ids) -> Beliefs:
    """Rows beside the rows: those of another model, say."""
    if posterior.shape != rows.shape:
        raise ValueError(f"posterior has the shape {posterior.shape}, and the rows {rows.shape}")
    order = order_of(posterior.tokens, rows.tokens, "the tokens of the posterior and of the rows")

    def means(cut: slice) -> Floats:
        found = np.exp(posterior.log_probs[numbers[cut]], dtype=np.float64)
        return np.asarray(columns_in(found, order))

    return Beliefs(means, NO_PRIOR.format("a posterior that is rows"))


def _of_path(path: Any, order: Any, wanted: Ids, before: Ids, evidence: Ids) -> Beliefs:
    """A path along this very text: that, or that with what stands before it."""
    is_posterior = isinstance(path, PosteriorPath)
    own = np.asarray(path.demonstrations if is_posterior else path.tokens, dtype=np.int64)
    start = int(before[0]) if len(before) else 0
    first = {len(evidence): 0, len(evidence) - start: start}.get(len(own))
    name = type(path).__name__
    if first is None:
        raise ValueError(
            f"the {name} is along {len(own)} tokens, and the text has {len(evidence)}, of which "
            f"{len(evidence) - start} have a row"
        )
    differ = np.flatnonzero(own != evidence[first:])
    if len(differ):
        t = int(differ[0])
        raise ValueError(
            f"the {name} is along another text: its token {t} is column {own[t]}, and that of the "
            f"text is column {evidence[first + t]}"
        )
    entries = np.minimum(before - first, len(path) - 1)
    predictive = path.predictive() if is_posterior else path.predictive

    def means(cut: slice) -> Floats:
        return np.asarray(columns_in(predictive[entries[cut]], order))

    if not is_posterior:
        return Beliefs(means, NO_PRIOR.format(f"a {name}"))
    return Beliefs(means, lambda: np.asarray(path.concentration())[entries])


def _of_prior(prior: Any, order: Any, before: Ids, evidence: Ids) -> Beliefs:
    """A mixture, updated by each token."""

    def counts(cut: slice) -> Floats:
        ends = before[cut]
        found = np.zeros((len(ends), prior.n_tokens))
        if len(ends):
            found[0] = np.bincount(evidence[: ends[0]], minlength=prior.n_tokens)
        for i in range(1, len(ends)):
            found[i] = found[i - 1]
            np.add.at(found[i], evidence[ends[i - 1] : ends[i]], 1.0)
        return found

    def means(cut: slice) -> Floats:
        return np.asarray(columns_in(prior.predictive(counts(cut)), order))

    def concentration() -> Floats:
        step = max(1, (1 << 20) // prior.n_tokens)
        found = [
            np.sum(
                prior.responsibilities(counts(slice(i, i + step)), kind="counts")
                * (prior.concentration + before[i : i + step, np.newaxis]),
                axis=1,
            )
            for i in range(0, len(before), step)
        ]
        return np.concatenate(found)

    return Beliefs(means, concentration)


def _of_report(report: Any, order: Any, before: Ids, evidence: Ids) -> Beliefs:
    """An elicited prior, of any family."""

    def means(cut: slice) -> Floats:
        found = report.predict([evidence[:end] for end in before[cut]])
        return np.asarray(columns_in(np.asarray(found, dtype=np.float64), order))

    def concentration() -> Floats:
        after = [report.posterior(evidence[:end]) for end in before]
        return np.array([float(np.asarray(m.weights) @ np.asarray(m.concentration)) for m in after])

    return Beliefs(means, concentration)


def _of_predictor(model: Any, order: Any, before: Ids, evidence: Ids, width: int) -> Beliefs:
    """Anything that says what comes next, by log-probabilities (n, length, V)."""
    end = int(before.max(initial=0)) + 1
    sequence = np.append(evidence, 0)[:end]  # the last is not looked at
    given = asked(f"a text of {end} tokens", model, sequence[np.newaxis])
    found = plain(given, "what the posterior gave")
    if found.shape != (1, end, width):
        raise ValueError(
            f"the posterior gave shape {found.shape}; of a sequence of {end} over {width} tokens "
            f"it must be {(1, end, width)}"
        )
    found = rows_asked_for(found, (1, end, width), "log_probs", "the posterior")

    def means(cut: slice) -> Floats:
        return np.asarray(columns_in(np.exp(found[0, before[cut]], dtype=np.float64), order))

    return Beliefs(means, NO_PRIOR.format("a predictor"))
