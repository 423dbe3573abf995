"""Pictures of rows: the tokens that matter, however many there are of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.display.pictures import named
from .._base.style import label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from .._base.typing import Floats
    from .bounded import BoundedRows
    from .partial import PartialRows
    from .rows import NextTokenRows

MOST_ROWS = 1000  # that a picture is made of, evenly chosen
MOST_TOKENS = 12
RANGE = 5, 95  # percentiles


def rows(rows: NextTokenRows, *, ax: Axes | None = None) -> Axes:
    """The most probable tokens: mean probability, and the range that nine of ten rows are in.

    Parameters
    ----------
    rows
        From `collect`, or made of logits; of very many, a thousand evenly chosen ones.
    ax
        Where to draw; a new figure without it.
    """
    n = len(rows)
    at = np.unique(np.linspace(0, max(n - 1, 0), min(n, MOST_ROWS)).round().astype(np.intp))
    mean = np.zeros(rows.log_probs.shape[1])
    for i in at:  # one after another: they may be long, and on disk
        mean += np.exp(np.asarray(rows.log_probs[i], dtype=np.float64)) / len(at)
    best = np.argsort(-mean, kind="stable")[:MOST_TOKENS]
    shown = np.exp(np.asarray(rows.log_probs[at][:, best], dtype=np.float64))
    return _tokens(best, shown, mean[best], rows.tokens, n, ax)


def partial_rows(rows: PartialRows, *, ax: Axes | None = None) -> Axes:
    """The most probable tokens that rows list: mean and range, 0 where one does not list it.

    Parameters
    ----------
    rows
        Rows known in part.
    ax
        Where to draw; a new figure without it.
    """
    n, width = rows.shape
    probs = np.exp(rows.log_probs.astype(np.float64))
    row = np.repeat(np.arange(n), rows.n_listed)
    mean = np.bincount(rows.columns, probs, minlength=width) / max(n, 1)
    best = np.argsort(-mean, kind="stable")[:MOST_TOKENS]
    place = np.full(width, -1)
    place[best] = np.arange(len(best))
    shown = np.zeros((n, len(best)))
    there = place[rows.columns] >= 0
    shown[row[there], place[rows.columns[there]]] = probs[there]
    return _tokens(best, shown, mean[best], rows.tokens, n, ax)


def bounded_rows(rows: BoundedRows, *, ax: Axes | None = None) -> Axes:
    """The mean of the bounds of each answer: the most probable first.

    Parameters
    ----------
    rows
        From `PartialRows.group`.
    ax
        Where to draw; a new figure without it.
    """
    low, high = np.exp(rows.lower).mean(axis=0), np.exp(rows.upper).mean(axis=0)
    order = np.argsort(-high, kind="stable")
    return named(
        [label(rows.tokens[g]) for g in order],
        (0.5 * (low + high))[order],
        low=low[order],
        high=high[order],
        xlabel="probability, at least and at most",
        title=f"{len(rows)} rows",
        ax=ax,
    )


def answer_counts(counts: Any, *, ax: Axes | None = None) -> Axes:
    """The share of each answer over all prompts, and the range that nine of ten prompts are in.

    Parameters
    ----------
    counts
        From `from_samples`.
    ax
        Where to draw; a new figure without it.
    """
    n = np.maximum(counts.counts.sum(axis=1, keepdims=True), 1)
    shown = counts.counts / n
    mean = counts.counts.sum(axis=0) / max(int(counts.counts.sum()), 1)
    order = np.argsort(-mean, kind="stable")
    return _tokens(order, shown[:, order], mean[order], counts.tokens, len(n), ax)


def _tokens(
    columns: Any,
    shown: Floats,
    mean: Floats,
    names: Sequence[str] | None,
    n: int,
    ax: Axes | None,
) -> Axes:
    """A token a line: its mean, and how rows differ in it."""
    low, high = np.percentile(shown, RANGE, axis=0) if len(shown) else (mean, mean)
    return named(
        [label(int(j) if names is None else names[j]) for j in columns],
        mean,
        low=low,
        high=high,
        xlabel="probability: mean, and 90 % of rows",
        title=f"Most probable tokens of {n} row{'s' * (n != 1)}",
        ax=ax,
    )
