"""What rows known in part leave open: entropies and distances, between sharp bounds.

Contents
    entropy_bounds    entropies
    distance_bounds   distances of rows beside each other

The derivations are in section 1b of docs/model.md.
"""

from __future__ import annotations

import numpy as np

from .._base.typing import Floats
from .pairs import FLOOR, NOISE, Filled, Open, Pairs, farthest, nearest, some
from .partial_checks import sums_of


def entropy_bounds(listed: Floats, rest: Floats, cap: Floats, missing: Floats) -> Floats:
    """Bounds of entropies (N, 2) in nats: `listed` and what the rest adds.

    The least is that of a rest on as few tokens as may be, each with exp(cap) but the last; the
    most that of a rest that is even over all the `missing` tokens.
    """
    mass = np.exp(rest)
    left = mass > 0.0
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        full = np.where(left, np.floor(np.exp(rest - cap) * (1.0 + NOISE)), 0.0)
        packed = np.where(full > 0.0, full * np.exp(cap), 0.0)
        last = np.maximum(mass - packed, 0.0)
        least = -np.where(full > 0.0, packed * cap, 0.0)
        least -= np.where(last > NOISE * mass, last * np.log(last), 0.0)
        most = np.where(left, mass * (np.log(missing) - rest), 0.0)
    return np.maximum(np.stack([listed + least, listed + np.maximum(least, most)], axis=1), 0.0)


def _kl(p: Floats, q: Floats, log_p: Floats, log_q: Floats) -> Floats:
    with np.errstate(all="ignore"):
        found: Floats = np.where(p > 0.0, p * (log_p - log_q), 0.0) - p + q
    return found


def _variation(p: Floats, q: Floats, log_p: Floats, log_q: Floats) -> Floats:
    found: Floats = 0.5 * np.abs(p - q)
    return found


def _squared_hellinger(p: Floats, q: Floats, log_p: Floats, log_q: Floats) -> Floats:
    found: Floats = 0.5 * np.square(np.sqrt(p) - np.sqrt(q))
    return found


def _jensen_shannon(p: Floats, q: Floats, log_p: Floats, log_q: Floats) -> Floats:
    with np.errstate(all="ignore"):
        log_m = np.log(p + q) - np.log(2.0)
        terms = [
            np.where(x > 0.0, x * (log_x - log_m), 0.0) for x, log_x in ((p, log_p), (q, log_q))
        ]
    found: Floats = 0.5 * (terms[0] + terms[1])
    return found


TERMS = {
    "kl": _kl,
    "total_variation": _variation,
    "hellinger": _squared_hellinger,
    "jensen_shannon": _jensen_shannon,
}


def _log(x: Floats) -> Floats:
    with np.errstate(all="ignore"):
        found: Floats = np.log(x)
    return found


def distance_bounds(pairs: Pairs, metric: str) -> Floats:
    """Bounds of distances (N, 2): of nats for "kl"; roots for "hellinger", "jensen_shannon"."""
    term = TERMS[metric]
    both = (np.exp(pairs.log_p), np.exp(pairs.log_q), pairs.log_p, pairs.log_q)
    known = sums_of(pairs.row, term(*both), pairs.n)
    low = _total(known, pairs, nearest(pairs), metric, FLOOR)
    far = farthest(pairs)
    if metric == "kl":
        high = _most_kl(known, pairs, far)
    else:
        none = np.zeros(pairs.n)
        high = _total(known, pairs, far._replace(p_neither=none, q_neither=none), metric)
        for alone in (far.p_neither, far.q_neither):  # each beside nothing of the other
            high += term(alone, none, _log(alone), none)
    found: Floats = np.maximum(np.stack([low, np.maximum(low, high)], axis=1), 0.0)
    if metric in ("hellinger", "jensen_shannon"):
        np.sqrt(found, out=found)
    return found


def _total(
    known: Floats, pairs: Pairs, filled: Filled, metric: str, floor: float = -np.inf
) -> Floats:
    """What all tokens together contribute; no less is a lower bound with q from a floor on."""
    term, p, q = TERMS[metric], np.maximum(pairs.of_p.logs, floor), pairs.of_q.logs
    p = np.where(pairs.of_p.known > 0.0, p, -np.inf)
    found: Floats = (
        known
        + term(filled.p, np.exp(p), _log(filled.p), p).sum(axis=1)
        + term(np.exp(q), filled.q, q, _log(filled.q)).sum(axis=1)
        + term(filled.p_neither, filled.q_neither, _log(filled.p_neither), _log(filled.q_neither))
    )
    return found


def _most_kl(known: Floats, pairs: Pairs, far: Filled) -> Floats:
    """Infinite where q may be 0 at a token of p; else q is nearly determined."""
    p, q = pairs.of_p, pairs.of_q
    found = _total(known, pairs, far, "kl")
    open_q = q.number + pairs.neither
    with np.errstate(all="ignore"):
        tight = ~q.vague & (q.mass > (open_q - 1.0) * q.most * (1.0 + NOISE))
    mixed = (q.number > 0.0) | ((pairs.neither > 0.0) & (p.mass > 0.0))
    found[mixed & ~tight] = np.inf
    for i in np.flatnonzero(mixed & tight & (pairs.neither > 0.0)):
        row = np.arange(pairs.n) == i
        found[i] = known[i] + _tight_kl(*some(p, q, row), int(pairs.neither[i]))
    return found


def _tight_kl(p: Open, q: Open, neither: int) -> float:
    """Of one row whose q has all tokens at the most but one, which is lower."""
    mine, theirs = p.logs[p.known > 0.0], q.logs[q.known > 0.0]
    low = _log(q.mass - (len(theirs) + neither - 1) * q.most)
    found = []
    for lower_theirs in (True, False):  # which is worth lowering: the largest of p, or any other
        if not (len(theirs) if lower_theirs else neither):
            continue
        on_theirs, on_neither = (np.full(n, _log(q.most)) for n in (len(theirs), neither))
        (on_theirs if lower_theirs else on_neither)[-1:] = low
        rest = np.sort(np.concatenate([mine, on_neither]))
        taken = np.clip(p.mass - np.arange(len(rest)) * p.most, 0.0, p.most)
        total = _kl(np.exp(theirs), np.exp(on_theirs), theirs, on_theirs).sum()
        found.append(float(total + _kl(taken, np.exp(rest), _log(taken), rest).sum()))
    return max(found)
