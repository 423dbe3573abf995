"""What draws from rows cost: under a prior, by frequencies, by smoothing; and draws of a prior.

Contents
    Prior             what a prior has to answer
    Lines             what each row costs by itself, and by what
    curves_at         bits per token of n draws from rows
    log_evidence      of draws, in pieces of rows
    smoothed          the best Dirichlet around given means
    random_rows       entropy and largest probability of draws of a prior
    logarithms        of probabilities that may have underflowed
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from .. import _core
from .._base.typing import Floats, Ids
from .drawn import LEAST_LOG, Draws, summed

BITS = 1.0 / np.log(2.0)
WORK = 1 << 22  # numbers that one piece of work holds
GRID = [np.log(10.0) * x for x in (-2.0, 0.0, 2.0, 4.0, 6.0, 8.0)]  # of ln A, before it is refined


class Prior(Protocol):
    """What a prior over rows has to answer to be checked."""

    @property
    def n_tokens(self) -> int: ...
    @property
    def tokens(self) -> tuple[str, ...] | None: ...
    def mean(self) -> Floats: ...
    def sample(self, size: Any = None, *, rng: Any = None, kind: str = "probs") -> Floats: ...
    def log_evidence(self, counts: Any, *, ordered: bool = True) -> Floats: ...


class Lines(NamedTuple):
    """What each row costs by itself, in nats, and by what."""

    entropy: Floats  # (N,)
    cross: Floats  # (N,), with the prior's mean
    frequencies: Floats  # (N,), with the mean of other rows
    log_others: Floats  # (F, V), logarithms of those means
    fold: Ids  # (N,), which of them is whose


def logarithms(probs: Floats) -> Floats:
    """Logarithms of probabilities, of the least double where one underflowed."""
    found: Floats = np.log(np.maximum(probs, np.finfo(np.float64).smallest_subnormal))
    return found


def curves_at(n: int, prior: Prior, draw: Draws, weights: Floats, lines: Lines) -> dict[str, Any]:
    """The curves at n draws, from the rows that have as many."""
    rows = np.flatnonzero(draw.lengths >= n)
    own, floor = draw.own[rows, :n].sum(axis=1) / n, lines.entropy[rows]
    frequencies, weights = lines.frequencies[rows], weights[rows]
    if n == 1:
        bits, smoothing, concentration = lines.cross[rows], frequencies, np.nan
    else:
        n_tokens = lines.log_others.shape[1]
        cells = draw.counts(n, rows, n_tokens)
        bits = floor + own - log_evidence(prior, cells, len(rows)) / n
        means = np.exp(lines.log_others[lines.fold[rows][cells[0]], cells[1]])
        evidence, concentration = smoothed(cells, means, n, weights)
        smoothing = floor + own - evidence / n
    found: dict[str, Any] = {"smoothing_concentration": concentration, "rows_at": len(rows)}
    for name, values in (
        ("bits", bits),
        ("frequencies", frequencies),
        ("smoothing", smoothing),
        ("floor", floor),
        ("loss", bits - frequencies),
        ("smoothing_loss", bits - smoothing),
    ):
        mean = float(weights @ values / weights.sum())
        found[name] = mean * BITS
        if name in ("bits", "loss", "smoothing_loss"):
            found[f"{name}_se"] = _standard_error(values - mean, weights) * BITS
    return found


def _standard_error(deviations: Floats, weights: Floats) -> float:
    """That of a weighted mean over rows; infinite of a single row."""
    n = len(weights)
    if n < 2:
        return float("inf")
    squares = float((weights * deviations) @ (weights * deviations))
    return float(np.sqrt(squares * n / (n - 1.0)) / weights.sum())


def log_evidence(prior: Prior, cells: tuple[Ids, Ids, Ids], n_rows: int) -> Floats:
    """Log-probability of the draws of each row, as sequences; in pieces of rows."""
    place, token, count = cells
    indptr = np.searchsorted(place, np.arange(n_rows + 1))
    values = count.astype(np.float64)
    per_row = prior.n_tokens
    if isinstance(prior, _core.DirichletMixture):  # which looks at what is there alone
        per_row = prior.n_components * (1 + len(place) // n_rows)
    size = max(1, WORK // per_row)
    found = []
    for start in range(0, n_rows, size):
        stop = min(start + size, n_rows)
        cut = slice(int(indptr[start]), int(indptr[stop]))
        part = indptr[start : stop + 1] - indptr[start], token[cut], values[cut]
        if isinstance(prior, _core.DirichletMixture):
            counts = _core.Counts(*part, prior.n_tokens)
            table = _core.evidence_table(prior, counts)
            found.append(_core.count_posterior(prior, counts, table, 0, stop - start)[1])
        else:
            from scipy.sparse import csr_array

            shape = (stop - start, prior.n_tokens)
            rows = csr_array((part[2], part[1], part[0]), shape=shape)
            found.append(np.asarray(prior.log_evidence(rows, ordered=True)))
    return np.concatenate(found)


def smoothed(
    cells: tuple[Ids, Ids, Ids], means: Floats, n: int, weights: Floats
) -> tuple[Floats, float]:
    """Log-evidence of the draws of each row under Dir(A m), with the best A for all of them."""
    place, _, count = cells
    # cells of one mean and count are one, as there are few where tokens are
    kinds, which = np.unique(means + 1j * count, return_inverse=True)
    mass = summed(which, weights[place], len(kinds))
    m, c, total = kinds.real, kinds.imag, float(weights.sum())

    known: dict[float, float] = {}

    def score(log_a: float) -> float:
        if log_a not in known:
            a = float(np.exp(log_a))
            gains = float(mass @ _core.lgamma_difference(a * m, c))
            known[log_a] = gains - total * float(_core.lgamma_difference(a, float(n)))
        return known[log_a]

    low, middle, high = GRID[:3]
    for i in range(1, len(GRID) - 1):
        if score(GRID[i]) >= score(middle):
            low, middle, high = GRID[i - 1 : i + 2]
    for _ in range(5):  # halves of what is left, around the best
        points = [low, 0.5 * (low + middle), middle, 0.5 * (middle + high), high]
        best = min(max(int(np.argmax([score(x) for x in points])), 1), 3)
        low, middle, high = points[best - 1 : best + 2]
    # the top of a parabola through the three
    bend = score(low) - 2.0 * score(middle) + score(high)
    shift = 0.5 * (score(low) - score(high)) / bend if bend < 0.0 else 0.0
    a = float(np.exp(middle + min(max(shift, -1.0), 1.0) * (high - middle)))
    gains = _core.lgamma_difference(a * means, count.astype(np.float64))
    found = summed(place, gains, len(weights)) - float(_core.lgamma_difference(a, float(n)))
    return found, a


def random_rows(
    prior: Prior, n: int, totals: Floats | None, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Entropy in nats and largest probability of random rows, drawn in pieces; beside counts with
    some totals, of what as many draws from them show.
    """
    size = max(1, WORK // prior.n_tokens)
    entropies, largest = [], []
    for start in range(0, n, size):
        logs = np.maximum(prior.sample(min(size, n - start), rng=rng, kind="log_probs"), LEAST_LOG)
        probs = np.exp(logs)
        if totals is not None:
            some = np.clip(np.rint(rng.choice(totals, len(probs))), 1.0, 2.0**31)
            probs /= probs.sum(axis=1, keepdims=True)
            probs = rng.multinomial(some.astype(np.int64), probs) / some[:, np.newaxis]
            logs = np.log(np.maximum(probs, 1e-300))
        entropies.append(-np.einsum("ij,ij->i", probs, logs))
        largest.append(probs.max(axis=1))
    return np.maximum(np.concatenate(entropies), 0.0), np.concatenate(largest)
