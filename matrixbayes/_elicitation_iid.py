"""The family "iid" of `elicit_prior`: one Dirichlet mixture, histories entering by their counts.

Contents
    pack, unpack      parameters as one vector: logarithms of alpha, logits of the weights
    IidObjective      mean KL(model || predictive) and its gradient
    fit               one search from one starting point
    starting_points   where the search begins

With counts n of a history (N in all), q its prediction and s its weight, the predictive is
p_v = sum_k c_k (alpha_kv + n_v) with c_k = r_k / (A_k + N), r = softmax_k(ln w_k + L_k) and L the
log-evidence of n.  The objective is sum s [sum_v q_v ln(q_v / p_v) - q_v + p_v]: the mean
Kullback-Leibler divergence when rows sum to one, and not below 0 when they do so to rounding only.
It is linear in q, so histories of equal counts are one row; L is a sum over the distinct pairs
(token, count), of which there are few.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _core

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float64]

BLOCK_ENTRIES = 2**16  # rows x tokens worked on at a time: about what a cache holds
LOG_ALPHA_RANGE = (np.log(1e-8), np.log(1e8))
LOGIT_RANGE = (-40.0, 40.0)
SAMPLE = 2000  # rows that a starting point is made from, at most
JITTER = 0.3
ROUNDING = 1e-7  # a slope that double precision may not let a search get below


def pack(weights: Floats, alpha: Floats) -> Floats:
    """The parameter vector of weights (K,) and alpha (K, V), clipped to the search box."""
    logits = np.log(np.maximum(weights, 1e-300))
    return np.concatenate(
        [np.clip(np.log(alpha), *LOG_ALPHA_RANGE).ravel(), np.clip(logits, *LOGIT_RANGE)]
    )


def unpack(theta: Floats, n_components: int) -> tuple[Floats, Floats]:
    """Weights (K,) and alpha (K, V) of a parameter vector."""
    logits = theta[-n_components:]
    weights = np.exp(logits - logits.max())
    alpha = np.exp(theta[:-n_components]).reshape(n_components, -1)
    return weights / weights.sum(), alpha


class IidObjective:
    """Mean KL(model || predictive) over histories, as a function of the parameter vector.

    Parameters
    ----------
    counts
        (N, V) counts of the histories, in canonical form without stored zeros.
    log_probs
        (N, V) predictions of the model, natural logarithms.
    weights
        (N,) weights of the rows, summing to one.
    """

    def __init__(self, counts: csr_array, log_probs: NDArray[np.floating], weights: Floats) -> None:
        from scipy.sparse import csr_array

        first, group = _distinct_rows(counts)
        self.counts = counts[first]
        self.totals = np.asarray(self.counts.sum(axis=1), dtype=np.float64)
        self.n_tokens = counts.shape[1]
        self.mass = np.zeros((len(first), self.n_tokens))  # sum of s q over equal histories
        self.constant = 1.0
        step = max(1, BLOCK_ENTRIES // self.n_tokens)
        for start in range(0, len(group), step):
            rows = slice(start, start + step)
            log_q = np.asarray(log_probs[rows], dtype=np.float64)
            q = np.exp(log_q)
            finite = np.where(q > 0.0, log_q, 0.0)
            self.constant += float(weights[rows] @ np.sum(q * (finite - 1.0), axis=1))
            np.add.at(self.mass, group[rows], weights[rows, None] * q)
        self.weights = np.bincount(group, weights=weights, minlength=len(first))

        values, of_value = np.unique(self.counts.data, return_inverse=True)
        key = self.counts.indices.astype(np.int64) * len(values) + of_value
        pairs, of_pair = np.unique(key, return_inverse=True)
        self._pair_token = pairs // max(len(values), 1)
        self._pair_count = values[pairs % max(len(values), 1)]
        shape = (len(first), len(pairs))
        ones = np.ones(len(key))
        self._has_pair = csr_array((ones, of_pair, self.counts.indptr), shape=shape)
        self._pair_of = self._has_pair.T.tocsr()
        self._total_values, self._total_of = np.unique(self.totals, return_inverse=True)
        self._row = np.repeat(np.arange(len(first)), np.diff(self.counts.indptr))

    def __call__(self, theta: Floats, n_components: int) -> tuple[float, Floats]:
        """The objective in nats and its gradient at `theta`."""
        alpha = unpack(theta, n_components)[1]
        concentration = alpha.sum(axis=1)
        at_pairs = alpha.T[self._pair_token]  # (P, K)
        evidence = self._has_pair @ _core.lgamma_difference(at_pairs, self._pair_count[:, None])
        of_totals = _core.lgamma_difference(concentration[:, None], self._total_values)
        r = np.ascontiguousarray(evidence.T)  # (K, U), as all that follows
        r -= of_totals[:, self._total_of]
        r += theta[-n_components:, None]
        r -= r.max(axis=0)
        np.exp(r, out=r)
        r /= r.sum(axis=0)
        denominator = concentration[:, None] + self.totals
        c = r / denominator
        value, d_alpha, d_c = self._divergence(alpha, c)

        d_joint = r * d_c / denominator
        d_joint -= r * d_joint.sum(axis=0)
        d_concentration = -np.sum(d_c * c / denominator, axis=1)
        slopes = _core.digamma_difference(concentration[:, None], self._total_values)
        by_pair = self._pair_of @ np.ascontiguousarray(d_joint.T)
        by_pair *= _core.digamma_difference(at_pairs, self._pair_count[:, None])
        for k in range(n_components):
            d_concentration[k] -= np.bincount(self._total_of, weights=d_joint[k]) @ slopes[k]
            d_alpha[k] += np.bincount(self._pair_token, by_pair[:, k], minlength=self.n_tokens)
        d_alpha += d_concentration[:, None]
        return value, np.concatenate([(d_alpha * alpha).ravel(), d_joint.sum(axis=1)])

    def _divergence(self, alpha: Floats, c: Floats) -> tuple[float, Floats, Floats]:
        """The objective and its derivatives by alpha (K, V) and by c (K, U), each held apart."""
        value, d_alpha, d_c = self.constant, np.zeros_like(alpha), np.empty_like(c)
        c_sum = c.sum(axis=0)
        step = max(1, BLOCK_ENTRIES // self.n_tokens)
        for start in range(0, len(self.mass), step):
            rows = slice(start, min(start + step, len(self.mass)))
            stored = slice(self.counts.indptr[rows.start], self.counts.indptr[rows.stop])
            row, n = self._row[stored], self.counts.data[stored]
            where = (row - start) * self.n_tokens + self.counts.indices[stored]
            p = c[:, rows].T @ alpha
            p.reshape(-1)[where] += n * c_sum[row]
            mass = self.mass[rows]
            value -= float(np.vdot(mass, np.log(p)))
            ratio = np.divide(mass, p, out=p)  # minus the derivative by p
            d_alpha -= c[:, rows] @ ratio
            d_c[:, rows] = -alpha @ ratio.T
            d_c[:, rows] -= np.bincount(row - start, n * ratio.reshape(-1)[where], len(ratio))
        return value, d_alpha, d_c


class Search(NamedTuple):
    """Where one search ended; components by falling weight."""

    theta: Floats
    value: float
    converged: bool
    n_iter: int
    largest_slope: float
    at_limit: NDArray[np.bool_]


def fit(
    objective: IidObjective, start: Floats, n_components: int, max_iter: int, tol: float
) -> Search:
    """Minimise from `start` by L-BFGS-B, to a largest derivative of `tol` or to rounding."""
    from scipy.optimize import minimize

    lower, upper = np.array([LOG_ALPHA_RANGE] * (len(start) - n_components)).T
    lower = np.append(lower, np.full(n_components, LOGIT_RANGE[0]))
    upper = np.append(upper, np.full(n_components, LOGIT_RANGE[1]))
    options = {"maxcor": 30, "maxiter": max_iter, "maxfun": 20 * max_iter, "ftol": 0.0, "gtol": tol}
    result = minimize(
        objective,
        start,
        args=(n_components,),
        jac=True,
        method="L-BFGS-B",
        bounds=np.column_stack([lower, upper]),
        options=options,
    )
    slope = float(np.max(np.abs(result.x - np.clip(result.x - result.jac, lower, upper))))
    ran_out = result.status == 1
    order = np.argsort(-result.x[-n_components:], kind="stable")

    def sort(values: NDArray[Any]) -> NDArray[Any]:
        alphas = values[:-n_components].reshape(n_components, -1)[order]
        return np.concatenate([alphas.ravel(), values[-n_components:][order]])

    return Search(
        theta=sort(result.x),
        value=float(result.fun),
        converged=slope <= (tol if ran_out else max(tol, ROUNDING)),
        n_iter=int(result.nit),
        largest_slope=slope,
        at_limit=sort((result.x <= lower) | (result.x >= upper)),
    )


def _distinct_rows(counts: csr_array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The numbers of the first of each group of equal rows, and each row's group."""
    seen: dict[bytes, int] = {}
    first: list[int] = []
    group = np.empty(counts.shape[0], dtype=np.intp)
    indptr, indices, data = counts.indptr.tolist(), counts.indices, counts.data
    for i in range(counts.shape[0]):
        stored = slice(indptr[i], indptr[i + 1])
        key = indices[stored].tobytes() + data[stored].tobytes()
        group[i] = seen.setdefault(key, len(first))
        if group[i] == len(first):
            first.append(i)
    return np.asarray(first, dtype=np.intp), group


def starting_points(
    objective: IidObjective, n_components: int, rng: np.random.Generator
) -> Iterator[Floats]:
    """Starting points without end, each from another grouping of the longest histories' rows.

    After a long history a row is close to a draw from the prior.  Such rows fall into K
    groups (seeded as in k-means++, between square roots of probabilities); each group's mean and
    spread give a Dirichlet by its moments.
    """
    known = np.flatnonzero(objective.weights > 0.0)
    totals = objective.totals[known]
    known = known[totals >= np.median(totals)]
    while True:
        rows = known if len(known) <= SAMPLE else rng.choice(known, SAMPLE, replace=False)
        weights = objective.weights[rows]
        q = objective.mass[rows] / weights[:, None]
        group = _grouping(np.sqrt(q), n_components, rng)
        share, alpha = np.empty(n_components), np.empty((n_components, q.shape[1]))
        for k in range(n_components):
            of_group = weights * (group == k)
            of_group = of_group if of_group.any() else weights
            share[k] = np.sum(of_group)
            alpha[k] = _moments(q, of_group / np.sum(of_group), objective.totals[rows])
        if n_components > 1:  # equal components would stay equal
            alpha *= np.exp(JITTER * rng.standard_normal(alpha.shape))
        yield pack(share / share.sum(), alpha)


def _grouping(points: Floats, n_groups: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """The group of each point: k-means++ seeds and a few rounds of k-means."""
    centres = points[rng.integers(len(points))][None]
    for _ in range(n_groups - 1):
        distance = np.min(_squared_distances(points, centres), axis=1)
        total = distance.sum()
        chance = distance / total if total > 0.0 else None
        centres = np.vstack([centres, points[rng.choice(len(points), p=chance)]])
    for _ in range(5):
        group = np.argmin(_squared_distances(points, centres), axis=1)
        for k in range(n_groups):
            if np.any(group == k):
                centres[k] = points[group == k].mean(axis=0)
    return group


def _squared_distances(points: Floats, centres: Floats) -> Floats:
    """Squared distance of each point to each centre, never negative."""
    cross = points @ centres.T
    sizes = np.sum(points**2, axis=1)[:, None] + np.sum(centres**2, axis=1)
    return np.maximum(sizes - 2.0 * cross, 0.0)


def _moments(q: Floats, weights: Floats, totals: Floats) -> Floats:
    """The Dirichlet whose predictives after histories of about these totals spread as rows `q` do.

    Over histories drawn from the prior, Var q_v = m_v (1 - m_v) N / ((A + N)(A + 1)).
    """
    mean = weights @ q
    within = np.sum(weights @ (q - mean) ** 2)
    n = max(float(weights @ totals), 1.0)
    ratio = max(float(within / max(np.sum(mean * (1.0 - mean)), 1e-12)), 1e-6)
    concentration = (np.sqrt((n - 1.0) ** 2 + 4.0 * n / ratio) - n - 1.0) / 2.0
    mean = (mean + 1e-3 / len(mean)) / (1.0 + 1e-3)
    return np.clip(concentration, 0.1, 1e4) * mean
