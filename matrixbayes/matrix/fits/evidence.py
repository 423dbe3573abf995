"""Priors of the rows that were seen, by maximum evidence.

Contents
    fit_shared     one prior for all rows, as the estimator fits it
    fit_leaves     the same for rows that count in part
    fit_backoff    concentrations of a hierarchy, one order after the other

With the shorter contexts' predictive m as the mean, the rows of an order have the evidence
(MacKay & Peto 1995, with counts n)

    sum_rows ln sum_k w_k exp[ lnG(A_k) - lnG(A_k + N) + sum_v lnG(A_k m_v + n_v) - lnG(A_k m_v) ]

One concentration is found by a bounded search in ln A.  Several are chosen from a grid and that
one: the weights of all its points are a concave problem, whose distance from the optimum is known;
then the point that is missed least goes, again and again, until no more are left than asked for and
each is worth the two numbers of it by BIC.  So more of them have no less evidence, and what few
rows cannot tell from one concentration stays one.
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
from ..fading import RealCounts
from ..prior import (
    Concentration,
    Entries,
    SharedPrior,
    log_evidence,
    posterior_weights,
    sums,
)

if TYPE_CHECKING:
    from ..backoff import BackoffRows


SEARCHED = (1e-6, 1e9)  # concentrations, by the search for one
GRID = (0.125, 8192.0)  # and where several stand
GRID_SIZE = (16, 64)  # of which there are as many as are asked for
MAX_ITER = 100
GAP = 1e-6  # nats a row from the highest evidence
FLOOR = 1e-200  # of a likelihood beside the highest of its row
MOST_ROWS = 1 << 16  # that weights are fitted to
HELD = 0.2  # of the tokens, by which it is judged whether several components pay
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
    _, indptr, columns, times = counts.all()
    data = _SparseRows(indptr, columns, times, (len(indptr) - 1, counts.n_tokens))
    several = n_components == 1 or _pays(data, None, n_components, options)
    return _mixture(data, None, n_components, several, tokens, options)


def fit_leaves(
    levels: Sequence[tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]],
    weights: Sequence[Floats],
    prior: SharedPrior,
    n_components: int,
    tokens: tuple[str, ...] | None,
    options: dict[str, Any],
) -> SharedPrior:
    """The prior of rows of several levels (indptr, tokens, counts), each with its weight."""
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
        several = n_components == 1 or bool((before.alpha != before.alpha[0]).any())
        if several:
            options = {"init": before} | options
    else:
        several = n_components == 1 or _pays(data, weight[some], n_components, options)
    return _mixture(data, weight[some], n_components, several, tokens, options)


def _mixture(
    data: _SparseRows,
    weight: Floats | None,
    n_components: int,
    several: bool,
    tokens: tuple[str, ...] | None,
    options: dict[str, Any],
) -> SharedPrior:
    """The prior of highest evidence, all components of which are one unless they are several."""
    from ...estimator import DirichletMixtureEstimator

    if not several:
        options = {key: value for key, value in options.items() if key != "init"}
    estimator = DirichletMixtureEstimator(n_components if several else 1, kind="counts", **options)
    found = estimator.fit(data, sample_weight=weight).prior_
    shares, alpha = found.weights, found.alpha
    if not several:
        shares = np.full(n_components, 1.0 / n_components)
        alpha = np.repeat(alpha, n_components, axis=0)
    return SharedPrior(DirichletMixture(shares, alpha, tokens=tokens), data.shape[1])


def _pays(
    data: _SparseRows, weight: Floats | None, n_components: int, options: dict[str, Any]
) -> bool:
    """Whether several components predict tokens that are left out better than one does.

    A fifth of the tokens of all rows is predicted by the rest, by three standard errors better:
    what has highest evidence of few rows need not.
    """
    whole = np.asarray(data.data)
    times = whole.astype(np.int64)
    if not np.array_equal(times, whole):
        return True  # real counts have no tokens to leave out
    held = np.random.default_rng(0).binomial(times, HELD)
    rest, row = times - held, np.repeat(np.arange(data.shape[0]), np.diff(data.indptr))
    there, totals = rest > 0, sums(row, rest.astype(np.float64), data.shape[0])
    used = totals > 0.0
    entries = Entries(row, np.asarray(data.indices), rest.astype(np.float64))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row[there], minlength=len(used))[used])])
    part = _SparseRows(indptr, entries.tokens[there], rest[there], (len(indptr) - 1, data.shape[1]))
    own = None if weight is None else weight[used]
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for several in (False, True):
            if len(indptr) <= n_components:
                return False
            prior = _mixture(part, own, n_components, several, None, options)
            alpha, concentration = prior.at(entries.tokens), prior.concentration
            evidence = log_evidence(alpha, concentration, entries, totals)
            r = posterior_weights(prior.weights, evidence)[0] / (concentration + totals[:, None])
            found.append(np.log(np.sum(r[row].T * (alpha + rest), axis=0)))
    gain = found[1] - found[0]
    many = held if weight is None else held * weight[row]
    return bool(many @ gain > 3.0 * np.sqrt(many @ gain**2))


def fit_backoff(rows: BackoffRows, n_components: int, advance: Advance) -> BackoffRows:
    """Rows with the concentrations of orders 1 to m fitted.

    A mixture that was given as the empty context's prior is kept; a single alpha is fitted.  The
    means of an order are the predictives of the order below at its pairs, which are kept pair by
    pair.
    """
    levels, prior = rows.levels, rows.prior
    _, indptr, tokens, times = levels.counts[0].all()
    if prior.symmetric and prior.n_tokens > 1:
        even = np.full(len(tokens), 1.0 / prior.n_tokens)
        data = _Rows.of(indptr, times, even)
        if data.totals.max(initial=0.0) > 1.0:
            concentration = float(_one(0, data).values[0])
            prior = SharedPrior(concentration / prior.n_tokens, prior.n_tokens)
    found: list[Concentration] = []
    empty = type(rows)(levels, prior, ())
    probs = empty.pairs_of_counts(np.zeros((len(tokens), 0), np.int64), tokens.astype(np.int64))
    for level in range(1, levels.order + 1):
        counts = levels.counts[level]
        _, indptr, _, times = counts.all()
        data = _Rows.of(indptr, times, probs[counts.shorter_pairs(levels.counts[level - 1])])
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
        found.append(_split(best, n_components))
        if level < levels.order:
            probs = data.predicted(best)
        advance(1)
    return type(rows)(levels, prior, tuple(found))


class _Rows(NamedTuple):
    """Rows of an order, one behind the other, and the means of their prior."""

    starts: NDArray[np.int64]
    counts: Floats
    means: Floats  # of each count's token
    totals: Floats

    @classmethod
    def of(cls, starts: NDArray[np.int64], counts: NDArray[Any], means: Floats) -> _Rows:
        ends = np.concatenate([[0], np.cumsum(counts)])[starts]
        return cls(starts, counts.astype(np.float64), means, np.diff(ends).astype(np.float64))

    def some(self) -> tuple[_Rows, int]:
        """Rows of several tokens, of many every so-manieth; a token alone says nothing."""
        rows = np.flatnonzero(self.totals > 1.0)
        step = max(-(-len(rows) // MOST_ROWS), 1)
        rows = rows[::step]
        lengths = np.diff(self.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        pairs = np.arange(starts[-1]) + np.repeat(self.starts[rows] - starts[:-1], lengths)
        return _Rows(starts, self.counts[pairs], self.means[pairs], self.totals[rows]), step

    def evidence(self, values: Floats) -> Floats:
        """Of each row under each concentration, (n, K), but for what all have in common."""
        return _core.concentration_evidence(self.starts, self.counts, self.means, values)

    def best(self) -> float:
        """The concentration of highest evidence."""
        from scipy.optimize import minimize_scalar

        found = minimize_scalar(
            lambda log_a: -float(self.evidence(np.exp([log_a])).sum()),
            bounds=tuple(np.log(SEARCHED)),
            method="bounded",
            options={"xatol": 1e-9},
        )
        return float(np.exp(found.x))

    def predicted(self, concentration: Concentration) -> Floats:
        """The predictive at each count's token."""
        weights, values = concentration
        shares = _core.concentration_shares(self.starts, self.counts, self.means, values, weights)
        lengths = np.diff(self.starts)
        to_mean, to_counts = np.repeat(shares[:, 0], lengths), np.repeat(shares[:, 1], lengths)
        return to_mean * self.means + to_counts * self.counts


def _one(level: int, rows: _Rows) -> Concentration:
    best = rows.best()
    if min(best / SEARCHED[0], SEARCHED[1] / best) < 1.01:
        warnings.warn(
            f"the concentration of order {level} is at the end of the range that is searched, "
            f"{best:.1e}: its rows are "
            + ("no further from their means than draws are" if best > 1.0 else "of one token each"),
            RuntimeWarning,
            stacklevel=5,
        )
    return Concentration(np.ones(1), np.array([best]))


def _several(level: int, rows: _Rows, n_components: int) -> Concentration:
    """At most so many concentrations: those that pay."""
    some, step = rows.some()
    best = some.best()
    grid = np.geomspace(*GRID, int(np.clip(n_components, *GRID_SIZE)))
    values = np.sort(np.append(grid[np.abs(np.log(grid / best)) > 1e-3], best))
    cost = float(np.log(rows.totals.sum())) / step  # two numbers, by BIC
    chosen, weights, gap = _chosen(some.evidence(values), values == best, n_components, cost)
    if gap > GAP:
        warnings.warn(
            f"the weights of the concentrations of order {level} may be {gap:.1e} nats a row from "
            "the highest evidence",
            ConvergenceWarning,
            stacklevel=5,
        )
    return Concentration(weights, values[chosen] if len(chosen) > 1 else np.array([rows.best()]))


def _split(found: Concentration, n_components: int) -> Concentration:
    """The same mixture in so many parts: those that are too few stand at the heaviest one."""
    heaviest = int(found.weights.argmax())
    times = np.ones(len(found.weights), dtype=np.int64)
    times[heaviest] += n_components - len(times)
    return Concentration(
        *(np.repeat(each, times) for each in (found.weights / times, found.values))
    )


def _chosen(
    evidence: Floats, alone: NDArray[np.bool_], most: int, cost: float
) -> tuple[NDArray[np.intp], Floats, float]:
    """Columns (k,) of evidence (n, K), which rise, their weights, and their gap.

    From all columns on, the one that is missed least goes as long as they are more than `most`, or
    it is missed less than `cost`.  What is left must be worth `cost` each beside the one alone.
    """
    highest = evidence.max(axis=1)
    # no row is lost to rounding, whichever columns go
    likelihood = np.maximum(np.exp(evidence - highest[:, np.newaxis]), FLOOR)
    single = float(np.log(likelihood[:, alone].copy()).sum())
    weights, gap = _weights(likelihood)
    chosen = np.flatnonzero(weights > GAP)
    weights = weights[chosen] / weights[chosen].sum()
    found = _fit(likelihood[:, chosen], weights)
    while len(chosen) > 1:
        some = likelihood[:, chosen]
        mean = some @ weights
        # each one's weight goes to its neighbour
        neighbour = np.maximum(np.arange(len(chosen)) - 1, 0)
        neighbour[0] = 1
        moved = some[:, neighbour] - some
        left = np.log(np.maximum(mean[:, np.newaxis] + weights * moved, FLOOR)).sum(axis=0)
        least = int(left.argmax())
        start = weights.copy()
        start[neighbour[least]] += weights[least]
        rest = np.delete(np.arange(len(chosen)), least)
        fewer, fewer_gap = _weights(some[:, rest], start[rest])
        fit = _fit(some[:, rest], fewer)
        if len(chosen) <= most and found - fit > cost:
            break
        chosen, weights, gap, found = chosen[rest], fewer, fewer_gap, fit
    if len(chosen) == 1 or found - single < (len(chosen) - 1) * cost:
        return np.flatnonzero(alone), np.ones(1), 0.0
    return chosen, weights, gap


def _fit(likelihood: Floats, weights: Floats) -> float:
    return float(np.log(likelihood @ weights).sum())


def _weights(likelihood: Floats, start: Floats | None = None) -> tuple[Floats, float]:
    """Weights (K,) of highest mean log likelihood (n, K) @ weights, and how far it may be from it.

    Newton steps on the mean less the sum of the weights, whose maximum sums to 1; each is a
    non-negative least-squares problem (Kim, Carbonetto, Stephens & Anitescu 2020).  By concavity
    no other weights are better by more than the largest derivative.
    """
    from scipy.optimize import nnls

    n, k = likelihood.shape
    weights = np.full(k, 1.0 / k) if start is None else start
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
