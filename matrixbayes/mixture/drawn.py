"""Rows as a check of a prior sees them: entropies, means, and seeded draws.

Contents
    Rows, Counts    rows of probabilities, looked at in blocks; rows of counts
    seen_of         either of them, of what a caller handed in
    Draws           tokens of each row, one after another
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._base.numbers import exact_rows, plain, reals
from .._base.tokens import columns_in, labels_of, order_of
from .._base.typing import Floats, Ids
from .._base.weights import taken
from ..rows import NextTokenRows, as_log_probs
from ..rows.ingest import as_floats
from .smoothing import smoothed, summed

BLOCK = 1 << 18  # probabilities of a block: what caches hold
LEAST_LOG = -800.0  # whose exponential is 0, and which times 0 is 0
BITS = 1.0 / np.log(2.0)
WORK = 1 << 22  # numbers that one piece of work holds


@dataclass(frozen=True)
class Draws:
    """Tokens of N rows in the order in which they were drawn.

    Attributes
    ----------
    tokens : ndarray of int of shape (N, n)
        Of a row of counts with fewer than n the rest is 0.
    lengths : ndarray of int of shape (N,)
    own : ndarray of shape (N, n)
        Log-probability of each token under its own row.
    """

    tokens: Ids
    lengths: Ids
    own: Floats

    def counts(self, n: int, rows: Ids, n_tokens: int) -> tuple[Ids, Ids, Ids]:
        """Place of the row, token and count of the first n draws of some rows, sorted."""
        places = np.repeat(np.arange(len(rows)), n)
        keys = places * n_tokens + self.tokens[rows, :n].ravel()
        found, counts = np.unique(keys, return_counts=True)
        return found // n_tokens, found % n_tokens, counts

    def log_evidence(self, prior: Prior, cells: tuple[Ids, Ids, Ids], rows: Ids) -> Floats:
        """Log-probability of such counts of some rows, as sequences."""
        return log_evidence(prior, cells, len(rows))

    def means(self, means: Floats, fold: Ids, cells: tuple[Ids, Ids, Ids], rows: Ids) -> Floats:
        """What the mean row (F, V) of the row's fold has of each token counted."""
        found: Floats = means[fold[rows][cells[0]], cells[1]]
        return found


class Looks(NamedTuple):
    """What one pass over rows finds."""

    entropy: Floats  # (N,), in nats
    largest: Floats  # (N,), of the probabilities
    cross: Floats  # (N,), the cross entropy with a mean row
    sums: Floats  # (F, V), of the rows of each fold by weight
    squares: Floats  # (V,), of the squares of all rows and weights
    draws: Draws


@dataclass(frozen=True)
class Rows:
    """Rows of probabilities: `array` of a kind, its columns in the order of `columns`."""

    array: Any
    kind: str | None
    numbers: Ids  # of the rows that are looked at
    columns: NDArray[np.intp] | None
    n_tokens: int

    def __len__(self) -> int:
        return len(self.numbers)

    def _blocks(self) -> Iterator[tuple[slice, Floats, Floats]]:
        """A slice of the rows, their probabilities and logarithms, zeros as `LEAST_LOG`."""
        size = max(1, BLOCK // self.n_tokens)
        for start in range(0, len(self), size):
            cut = slice(start, min(start + size, len(self)))
            numbers = self.numbers[cut]
            first, last = int(numbers[0]), int(numbers[-1]) + 1
            whole = last - first == len(numbers)
            block = self.array[first:last] if whole else taken(self.array, numbers)
            try:
                found = columns_in(_log_probs(block, self.kind), self.columns)
            except ValueError as error:
                if first == 0:
                    raise
                raise ValueError(f"in the rows from {first} on: {error}") from error
            logs = np.maximum(found, LEAST_LOG, dtype=np.float64)
            yield cut, np.exp(logs), logs

    def look(
        self, log_mean: Floats, fold: Ids, weights: Floats, n: int, rng: np.random.Generator
    ) -> Looks:
        """One pass over the rows, with n draws from each."""
        n_rows = len(self)
        entropy, largest, cross = (np.empty(n_rows) for _ in range(3))
        sums, squares = np.zeros((int(fold.max()) + 1, self.n_tokens)), np.zeros(self.n_tokens)
        tokens, own = np.empty((n_rows, n), dtype=np.int64), np.empty((n_rows, n))
        for cut, probs, logs in self._blocks():
            entropy[cut] = -np.einsum("ij,ij->i", probs, logs)
            largest[cut] = probs.max(axis=1)
            cross[cut] = -(probs @ log_mean)
            for f in np.unique(fold[cut]):
                there = fold[cut] == f
                sums[f] += weights[cut][there] @ probs[there]
            squares += np.einsum("i,ij,ij->j", weights[cut] ** 2, probs, probs)
            at = rng.random((len(probs), n))
            cumulated = np.cumsum(probs, axis=1)
            for i, (each, row) in enumerate(zip(at, cumulated, strict=True), cut.start):
                tokens[i] = row.searchsorted(each * row[-1], side="right")
            own[cut] = np.take_along_axis(logs, tokens[cut], axis=1)
        lengths = np.full(n_rows, n)
        draws = Draws(tokens, lengths, own)
        return Looks(np.maximum(entropy, 0.0), largest, cross, sums, squares, draws)

    def cross_entropy(self, log_means: Floats, fold: Ids) -> Floats:
        """That of each row with the mean row (F, V) of its fold, in nats."""
        found = np.empty(len(self))
        for cut, probs, _ in self._blocks():
            found[cut] = -np.einsum("ij,ij->i", probs, log_means[fold[cut]])
        return found

    def as_these(self, logs: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Entropy and largest probability of rows of log-probabilities, seen as these are."""
        return _entropies(np.exp(logs), logs)


def _entropies(probs: Floats, logs: Floats) -> tuple[Floats, Floats]:
    return -np.einsum("ij,ij->i", probs, logs), probs.max(axis=1)


def _log_probs(block: Any, kind: str | None) -> NDArray[np.floating]:
    """Those of a block of rows; of logits without asking again whether that is what they are."""
    if kind != "logits":
        return as_log_probs(block, kind)[0]
    array, bfloat16 = as_floats(block)
    return _core.log_probs(array, kind=kind, bfloat16=bfloat16)


@dataclass(frozen=True)
class Counts:
    """Rows of counts, none of them empty: what they say of the row is their proportions."""

    indptr: Ids
    indices: Ids
    data: Floats
    n_tokens: int

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @cached_property
    def _row(self) -> Ids:
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    @cached_property
    def totals(self) -> Floats:
        """Sum of each row."""
        found: Floats = summed(self._row, self.data, len(self))
        return found

    def mean(self, weights: Floats) -> Floats:
        """The mean of the rows' proportions."""
        values = weights[self._row] * self._shares
        found: Floats = summed(self.indices, values, self.n_tokens) / weights.sum()
        return found

    @cached_property
    def _shares(self) -> Floats:
        found: Floats = self.data / self.totals[self._row]
        return found

    def look(
        self, log_mean: Floats, fold: Ids, weights: Floats, n: int, rng: np.random.Generator
    ) -> Looks:
        """As that of `Rows`; whole counts are drawn without putting back."""
        shares, n_rows = self._shares, len(self)
        entropy = -summed(self._row, shares * np.log(shares), n_rows)
        largest = np.maximum.reduceat(shares, self.indptr[:-1])
        cross = -summed(self._row, shares * log_mean[self.indices], n_rows)
        n_folds = int(fold.max()) + 1
        places = fold[self._row] * self.n_tokens + self.indices
        sums = summed(places, weights[self._row] * shares, n_folds * self.n_tokens)
        squares = summed(self.indices, (weights[self._row] * shares) ** 2, self.n_tokens)
        sums, draws = sums.reshape(n_folds, -1), self._draws(n, rng)
        return Looks(np.maximum(entropy, 0.0), largest, cross, sums, squares, draws)

    def _draws(self, n: int, rng: np.random.Generator) -> Draws:
        tokens = np.zeros((len(self), n), dtype=np.int64)
        own, lengths = np.zeros((len(self), n)), np.full(len(self), n)
        for i, (start, stop) in enumerate(zip(self.indptr, self.indptr[1:], strict=False)):
            data, total = self.data[start:stop], self.totals[i]
            if (data == np.floor(data)).all():
                lengths[i] = min(n, int(total))
                at = rng.choice(int(total), lengths[i], replace=False).astype(np.float64)
            else:  # how often such a thing was seen is not known
                at = rng.random(n) * total
            place = np.cumsum(data).searchsorted(at, side="right")
            tokens[i, : lengths[i]] = self.indices[start:stop][place]
            own[i, : lengths[i]] = np.log(data[place] / total)
        return Draws(tokens, lengths, own)

    def cross_entropy(self, log_means: Floats, fold: Ids) -> Floats:
        """As that of `Rows`."""
        logs = log_means[fold[self._row], self.indices]
        found: Floats = -summed(self._row, self._shares * logs, len(self))
        return found

    def as_these(self, logs: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """As that of `Rows`: of as many draws from them as rows of counts hold."""
        probs = np.exp(logs)
        some = np.clip(np.rint(rng.choice(self.totals, len(probs))), 1.0, 2.0**31)
        probs /= probs.sum(axis=1, keepdims=True)
        probs = rng.multinomial(some.astype(np.int64), probs) / some[:, np.newaxis]
        return _entropies(probs, np.log(np.maximum(probs, 1e-300)))


Seen = Rows | Counts


def seen_of(
    given: Any,
    kind: str | None,
    numbers: Ids,
    n_tokens: int,
    tokens: tuple[str, ...] | None,
) -> tuple[Seen, Ids]:
    """Some rows of what a caller handed in, and which of `numbers` they are: empty ones are not.

    Raises
    ------
    ValueError
        They are not over the tokens of the prior, or not what `kind` says; the row is named.
    """
    names = labels_of(given)
    if kind == "counts" and not isinstance(given, NextTokenRows):
        return _counts(given, numbers, order_of(names, tokens, _WHAT), n_tokens)
    if hasattr(given, "iloc"):
        given = plain(given, "rows")
    if given.shape[1] != n_tokens:
        raise ValueError(
            f"rows have shape {tuple(given.shape)}; they need (N, {n_tokens}), the tokens of the "
            "prior"
        )
    if isinstance(given, NextTokenRows):
        given, kind = given.log_probs, "log_probs"
    return Rows(given, kind, numbers, order_of(names, tokens, _WHAT), n_tokens), numbers


_WHAT = "the columns of rows and the prior's tokens"


def _counts(
    given: Any, numbers: Ids, columns: NDArray[np.intp] | None, n_tokens: int
) -> tuple[Counts, Ids]:
    """Those rows of counts that hold something."""
    if hasattr(given, "tocsr") or hasattr(given, "indptr"):
        rows = exact_rows(given, "counts")[numbers]
        indptr, indices, data = rows.indptr, rows.indices.astype(np.int64), rows.data
        width = rows.shape[1]
    else:
        dense = plain(given, "counts")
        dense, width = columns_in(dense[numbers], columns), dense.shape[1]
        there = dense != 0
        indices, data = np.nonzero(there)[1], reals(dense[there], "counts")
        indptr = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    if width != n_tokens:
        raise ValueError(f"counts have {width} columns, the prior {n_tokens} tokens")
    if not (np.isfinite(data) & (data >= 0.0)).all():
        raise ValueError("counts must be finite and >= 0")
    there = data > 0.0
    before = np.concatenate([[0], np.cumsum(there)])[indptr]  # entries that hold something
    kept = np.diff(before) > 0
    indptr = np.concatenate([[0], before[1:][kept]]).astype(np.int64)
    return Counts(indptr, indices[there], data[there], n_tokens), numbers[kept]


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
        bits = floor + own - draw.log_evidence(prior, cells, rows) / n
        means = draw.means(np.exp(lines.log_others), lines.fold, cells, rows)
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
    if hasattr(prior, "log_evidence_of"):  # a KernelMixture, which takes them as they are
        return np.asarray(prior.log_evidence_of(indptr, token, values))
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
