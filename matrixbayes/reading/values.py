"""Numbers of each token of a text: surprise, entropy, rank, and what a posterior says of it.

Contents
    VALUES      what can be shown of each token, with its unit
    Measured    the numbers
    measured    from rows, a text and a posterior
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._base.typing import Floats, Ids
from ..rows import NextTokenRows
from ..rows.kl import divergences, entropy_nats
from .beliefs import Beliefs

VALUES = {
    "surprise": "bits",
    "entropy": "bits",
    "concentration": "pseudo-counts",
    "kl": "bits",
}
TOP = 5
CELLS = 1 << 22  # of a block of rows
BITS = 1.0 / float(np.log(2.0))


@dataclass(frozen=True)
class Measured:
    """Numbers of each of T tokens; NaN where there is no row, or the token has no column.

    Of rows known in part they lie between bounds, (T, 2).

    Attributes
    ----------
    probability, surprise, entropy, kl : ndarray of shape (T, 2)
        KL(model || posterior mean); all in bits but the first.
    rank : ndarray of shape (T, 2)
        Of the token that came, 1 for the most probable.
    posterior, concentration : ndarray of shape (T,)
        The posterior mean of the token that came, and the posterior's expected pseudo-counts.
    top : ndarray of int of shape (T, 5)
        The columns of the most probable tokens, -1 where fewer are known.
    top_model, top_posterior : ndarray of shape (T, 5)
        Their probability, and its posterior mean.
    """

    probability: Floats
    surprise: Floats
    entropy: Floats
    kl: Floats
    rank: Floats
    posterior: Floats
    concentration: Floats
    top: Ids
    top_model: Floats
    top_posterior: Floats

    def of(self, value: str) -> Floats:
        """The bounds of what is shown, (T, 2)."""
        found: Floats = getattr(self, value)
        return found if found.ndim == 2 else np.stack([found, found], axis=1)


def measured(
    rows: Any, numbers: Ids, columns: Ids, beliefs: Beliefs | None, value: str
) -> Measured:
    """The numbers of T tokens.

    Parameters
    ----------
    rows
        `NextTokenRows` or `PartialRows`.
    numbers, columns
        The row that predicts each token, and its column in it; -1 where there is none.
    beliefs
        What a posterior says before each token that has a row.
    value
        What is asked for: KL of rows known in part from wide ones takes long, and is bounded for
        nothing else.
    """
    total = len(numbers)
    here = np.flatnonzero(numbers >= 0)
    two = {name: np.full((total, 2), np.nan) for name in ("probability", "entropy", "kl", "rank")}
    one = {name: np.full(total, np.nan) for name in ("posterior", "concentration")}
    top = np.full((total, TOP), -1, dtype=np.int64)
    tops = {name: np.full((total, TOP), np.nan) for name in ("top_model", "top_posterior")}
    step = max(1, CELLS // rows.n_tokens)
    for start in range(0, len(here), step):
        cut = slice(start, start + step)
        at, n = here[cut], len(here[cut])
        part, own = rows[numbers[at]], columns[at]
        whole = isinstance(part, NextTokenRows)
        (_complete if whole else _in_part)(part, own, at, two, top, tops["top_model"])
        if beliefs is None:
            continue
        means = beliefs.means(cut)
        known = own >= 0
        one["posterior"][at[known]] = means[known, own[known]]
        there = np.maximum(top[at], 0)
        found = means[np.arange(n)[:, np.newaxis], there]
        tops["top_posterior"][at] = np.where(top[at] >= 0, found, np.nan)
        if not whole and value != "kl" and total * rows.n_tokens > CELLS:
            continue
        with np.errstate(divide="ignore"):
            logs = np.log(means)
        if whole:
            two["kl"][at] = BITS * divergences(part.log_probs, logs)[:, np.newaxis]
        else:
            beside = NextTokenRows(logs, tokens=part.tokens)
            two["kl"][at] = BITS * part.kl(beside)
    if beliefs is not None:
        if not isinstance(beliefs.concentration, str):
            one["concentration"][here] = beliefs.concentration()
        elif value == "concentration":
            raise ValueError(beliefs.concentration)
    with np.errstate(divide="ignore"):
        surprise = -np.log2(two["probability"][:, ::-1])
    return Measured(surprise=surprise + 0.0, top=top, **two, **one, **tops)


def _complete(
    part: Any, own: Ids, at: Ids, two: dict[str, Floats], top: Ids, model: Floats
) -> None:
    """Complete rows."""
    logs = part.log_probs.astype(np.float64)
    probs = np.exp(logs)
    two["entropy"][at] = BITS * entropy_nats(probs, logs)[:, np.newaxis]
    known = np.flatnonzero(own >= 0)
    mine = probs[known, own[known]]
    two["probability"][at[known]] = mine[:, np.newaxis]
    ahead = (probs[known] > mine[:, np.newaxis]).sum(axis=1)
    two["rank"][at[known]] = 1.0 + ahead[:, np.newaxis]
    k = min(TOP, logs.shape[1])
    some = np.argpartition(-logs, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(logs, some, axis=1), axis=1, kind="stable")
    found = np.take_along_axis(some, order, axis=1)
    top[at, :k] = found
    model[at, :k] = np.take_along_axis(probs, found, axis=1)


def _in_part(part: Any, own: Ids, at: Ids, two: dict[str, Floats], top: Ids, model: Floats) -> None:
    """Rows known in part."""
    two["entropy"][at] = BITS * part.entropy()
    missing = part.n_missing
    for i, t in enumerate(at):
        row = part[i]
        order = np.argsort(-row.log_probs, kind="stable")[:TOP]
        top[t, : len(order)] = row.columns[order]
        model[t, : len(order)] = np.exp(row.log_probs[order], dtype=np.float64)
        if own[i] < 0:
            continue
        where = np.flatnonzero(row.columns == own[i])
        if len(where):
            log_p = float(row.log_probs[where[0]])
            two["probability"][t] = np.exp(log_p)
            ahead = float((row.log_probs > log_p).sum())
            # Of tokens that are not listed as many may come before it as fit into the rest.
            fit = np.floor(np.exp(row.rest - log_p)) if row.cap > log_p else 0.0
            two["rank"][t] = 1.0 + ahead, 1.0 + ahead + min(fit, missing[i])
        else:
            most = min(row.rest, row.cap)
            others = (missing[i] - 1.0) * np.exp(row.cap) if row.cap > -np.inf else 0.0
            two["probability"][t] = max(np.exp(row.rest) - others, 0.0), np.exp(most)
            ahead = float((row.log_probs > most).sum())
            two["rank"][t] = 1.0 + ahead, len(row.columns) + missing[i]
