"""Priors of the rows that were seen, by maximum evidence.

Contents
    fit_shared     one prior for all rows, as the estimator fits it
    fit_leaves     the same for rows that count in part
    fit_backoff    concentrations of a hierarchy, one order after the other

With the shorter contexts' predictive m as the mean, the rows of an order have the evidence
(MacKay & Peto 1995, with counts n)

    sum_rows ln sum_k w_k exp[ lnG(A_k) - lnG(A_k + N) + sum_v lnG(A_k m_v + n_v) - lnG(A_k m_v) ]

One concentration is found by a bounded search in ln A.  Several stand on a fixed grid, and their
weights are a concave problem, whose distance from the optimum is known.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ... import _core
from ..._base.progress import Advance
from ..._base.typing import Floats
from ..._core import TransitionCounts
from ...errors import ConvergenceWarning
from ...mixture import DirichletMixture
from ..counts import BLOCK, pair_blocks
from ..fading import RealCounts
from ..prior import Concentration, Entries, SharedPrior, sums

if TYPE_CHECKING:
    from ..backoff import BackoffRows


SEARCHED = (1e-6, 1e9)  # concentrations, by the search for one
GRID = (0.125, 8192.0)  # and where several stand
MAX_ITER = 100
GAP = 1e-6  # nats a row from the highest evidence
LEAST = 1e-9  # probability of a leaf whose row is looked at


class _SparseRows(NamedTuple):
    """Compressed sparse rows, as an estimator takes them."""

    indptr: NDArray[np.int64]
    indices: NDArray[Any]
    data: NDArray[Any]
    shape: tuple[int, int]


def fit_shared(
    counts: TransitionCounts | RealCounts,
    n_components: int,
    tokens: tuple[str, ...] | None,
    options: dict[str, Any],
) -> SharedPrior:
    """The prior of all rows, fitted to those that were seen."""
    from ...estimator import DirichletMixtureEstimator

    _, indptr, columns, times = counts.all()
    data = _SparseRows(indptr, columns, times, (len(indptr) - 1, counts.n_tokens))
    estimator = DirichletMixtureEstimator(n_components, kind="counts", **options)
    found = estimator.fit(data).prior_
    named = DirichletMixture(found.weights, found.alpha, tokens=tokens)
    return SharedPrior(named, counts.n_tokens)


def fit_leaves(
    levels: Sequence[tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]],
    weights: Sequence[Floats],
    prior: SharedPrior,
    n_components: int,
    tokens: tuple[str, ...] | None,
    options: dict[str, Any],
) -> SharedPrior:
    """The prior of rows of several levels (indptr, tokens, counts), each with its weight."""
    from ...estimator import DirichletMixtureEstimator

    lengths = np.concatenate([np.diff(indptr) for indptr, _, _ in levels])
    columns, times = (np.concatenate([each[i] for each in levels]) for i in (1, 2))
    weight = np.concatenate(weights)
    some = weight > LEAST
    kept = np.repeat(some, lengths)
    indptr = np.concatenate([[0], np.cumsum(lengths[some])])
    shape = (len(indptr) - 1, prior.n_tokens)
    data = _SparseRows(indptr, columns[kept].astype(np.int64), times[kept], shape)
    before = prior.given
    if isinstance(before, DirichletMixture) and before.n_components == n_components:
        options = {"init": before} | options
    estimator = DirichletMixtureEstimator(n_components, kind="counts", **options)
    found = estimator.fit(data, sample_weight=weight[some]).prior_
    named = DirichletMixture(found.weights, found.alpha, tokens=tokens)
    return SharedPrior(named, prior.n_tokens)


def fit_backoff(rows: BackoffRows, n_components: int, advance: Advance) -> BackoffRows:
    """Rows with the concentrations of orders 1 to m fitted.

    A mixture that was given as the empty context's prior is kept; a single alpha is fitted.
    """
    levels, prior = rows.levels, rows.prior
    if prior.symmetric and prior.n_tokens > 1:
        data = _Rows.of(levels.counts[0], 1.0 / prior.n_tokens)
        if data.totals.max(initial=0.0) > 1.0:
            concentration = float(_one(0, data).values[0])
            prior = SharedPrior(concentration / prior.n_tokens, prior.n_tokens)
    rows = type(rows)(levels, prior, ())
    for level in range(1, levels.order + 1):
        data = _Rows.of(levels.counts[level], rows)
        if data.totals.max() <= 1.0:
            warnings.warn(
                f"every context of {level} tokens was seen once, so that no concentration of order "
                f"{level} is better than another; it is set to 1",
                RuntimeWarning,
                stacklevel=4,
            )
            best = Concentration(np.ones(1), np.ones(1))
        else:
            best = _one(level, data) if n_components == 1 else _several(level, data, n_components)
        rows = type(rows)(levels, prior, (*rows.concentrations, best))
        advance(1)
    return rows


class _Rows(NamedTuple):
    """All rows of an order, and the means of their prior."""

    entries: Entries
    totals: Floats
    means: Floats  # of each entry

    @classmethod
    def of(cls, counts: TransitionCounts, mean: BackoffRows | float) -> _Rows:
        _, indptr, tokens, times = counts.all()
        row = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        if isinstance(mean, float):
            means = np.full(len(tokens), mean)
        else:
            means = np.concatenate(
                [mean.pair_probs(each[:, 1:], token) for each, token, _ in pair_blocks(counts)]
            )
        entries = Entries(row, tokens.astype(np.int64), times.astype(np.float64))
        return cls(entries, sums(row, entries.counts, len(indptr) - 1), means)

    def log_evidence(self, concentration: float) -> Floats:
        """Of each row."""
        terms = np.empty(len(self.means))
        for start in range(0, len(terms), BLOCK):
            cut = slice(start, start + BLOCK)
            alpha = concentration * self.means[cut]
            terms[cut] = _core.lgamma_difference(alpha, self.entries.counts[cut])
        totals = _core.lgamma_difference(np.array(concentration), self.totals)
        return sums(self.entries.row, terms, len(totals)) - totals


def _one(level: int, rows: _Rows) -> Concentration:
    from scipy.optimize import minimize_scalar

    bounds = np.log(SEARCHED)
    found = minimize_scalar(
        lambda log_a: -float(rows.log_evidence(np.exp(log_a)).sum()),
        bounds=tuple(bounds),
        method="bounded",
        options={"xatol": 1e-9},
    )
    if np.abs(bounds - found.x).min() < 0.01:
        warnings.warn(
            f"the concentration of order {level} is at the end of the range that is searched, "
            f"{np.exp(found.x):.1e}: its rows are "
            + (
                "no further from their means than draws are" if found.x > 0 else "of one token each"
            ),
            RuntimeWarning,
            stacklevel=5,
        )
    return Concentration(np.ones(1), np.exp([found.x]))


def _several(level: int, rows: _Rows, n_components: int) -> Concentration:
    values = np.geomspace(*GRID, n_components)
    evidence = np.stack([rows.log_evidence(a) for a in values], axis=1)
    # a token alone says nothing of its row's concentration
    evidence = evidence[rows.totals > 1.0]
    likelihood = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    weights, gap = _weights(likelihood)
    if gap > GAP:
        warnings.warn(
            f"the weights of the concentrations of order {level} may be {gap:.1e} nats a row from "
            "the highest evidence",
            ConvergenceWarning,
            stacklevel=5,
        )
    return Concentration(weights, values)


def _weights(likelihood: Floats) -> tuple[Floats, float]:
    """Weights (K,) of highest mean log likelihood (n, K) @ weights, and how far it may be from it.

    Newton steps on the mean less the sum of the weights, whose maximum sums to 1; each is a
    non-negative least-squares problem (Kim, Carbonetto, Stephens & Anitescu 2020).  By concavity
    no other weights are better by more than the largest derivative.
    """
    from scipy.optimize import nnls

    n, k = likelihood.shape
    weights = np.full(k, 1.0 / k)
    for _ in range(MAX_ITER):
        scaled = likelihood / (likelihood @ weights)[:, np.newaxis]
        gain = scaled.mean(axis=0)
        gap = float(gain.max()) - 1.0
        if gap <= GAP:
            break
        curvature = scaled.T @ scaled / n
        curvature += 1e-9 * np.trace(curvature) * np.eye(k)
        root = np.linalg.cholesky(curvature).T
        target = nnls(root, np.linalg.solve(root.T, 2.0 * gain - 1.0))[0]
        # a weight that is wrongly taken for 0 must be able to come back
        step = np.maximum(target, 0.1 * weights) - weights
        size = 1.0
        while size > 1e-3 and not _better(likelihood, weights, size * step):
            size *= 0.5
        # EM where a Newton step does not help: it never gets worse
        weights = weights + size * step if size > 1e-3 else weights * gain
        weights /= weights.sum()
    return weights, gap


def _better(likelihood: Floats, weights: Floats, step: Floats) -> bool:
    """Whether a step raises the mean log-likelihood, less the sum of the weights."""
    change = likelihood @ step / (likelihood @ weights)
    return bool(change.min() > -1.0 and np.log1p(change).mean() > step.sum())
