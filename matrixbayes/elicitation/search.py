"""The search for the parameters of a family: where it begins, and one run from there.

Contents
    Search            where one run ended
    search            one run of L-BFGS-B
    starting_points   where runs begin
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base.k_means import Points, groups
from .._base.typing import Floats
from ..sources import balance, seen
from ..sources.rows import BLOCK_ENTRIES, summed
from ..sources.tied import tied_start
from ..sources.tree import tree_start
from .objective import Objective
from .parameters import Layout, pack_prior

SAMPLE = 2000  # rows that a starting point is made from, at most
SPREAD = 0.5  # of logarithms, that starting points are moved by
ROUNDING = 1e-6  # a slope that double precision may not let a search get below
LEAST_SCALE = 1e-5
MEMORY = 30  # steps back that L-BFGS knows
LOOK_BACK = 100  # iterations in which the objective must fall by this share of itself
SETTLED = 1e-5
STOPPED = 99  # scipy's status of a search that its callback ends


class Search(NamedTuple):
    """Where one run ended; components stay in the order of its start."""

    theta: Floats
    value: float
    converged: bool
    n_iter: int
    largest_slope: float
    at_limit: NDArray[np.bool_]


def search(objective: Objective, start: Floats, max_iter: int, tol: float) -> Search:
    """Minimise from `start` by L-BFGS-B, to a largest derivative of `tol`, to rounding, or until
    the objective has all but ceased to fall: of many parameters some may hardly matter.

    It moves in units in which the curvature is about 1: of many tokens most are rare, and their
    alphas would wait for those of the others.
    """
    from scipy.optimize import OptimizeResult, minimize

    scale = _scale(objective, start)
    lower, upper = objective.layout.limits()

    def scaled(x: Floats) -> tuple[float, Floats]:
        value, gradient = objective(x / scale)
        return value, gradient / scale

    values: list[float] = []

    def settled(intermediate_result: OptimizeResult) -> None:
        values.append(intermediate_result.fun)
        if len(values) > LOOK_BACK and values[-LOOK_BACK] - values[-1] < SETTLED * values[-1]:
            raise StopIteration

    few = len(start) if objective.layout.fields else MEMORY
    options = {
        "maxcor": min(MEMORY, max(few, 5)),  # more than there are numbers tell nothing
        "maxiter": max_iter,
        "maxfun": 20 * max_iter,
        "ftol": 0.0,
        "gtol": tol,
    }
    result = minimize(
        scaled,
        start * scale,
        jac=True,
        method="L-BFGS-B",
        bounds=np.column_stack([lower * scale, upper * scale]),
        callback=settled,
        options=options,
    )
    step = result.x - np.clip(result.x - result.jac, lower * scale, upper * scale)
    slope = float(np.max(np.abs(step)))
    at_lower, at_upper = result.x <= lower * scale, result.x >= upper * scale
    theta = np.where(at_lower, lower, np.where(at_upper, upper, result.x / scale))
    ran_out = result.status == 1
    return Search(
        theta=theta,
        value=float(result.fun),
        converged=result.status == STOPPED or slope <= (tol if ran_out else max(tol, ROUNDING)),
        n_iter=int(result.nit),
        largest_slope=slope,
        at_limit=at_lower | at_upper,
    )


def _scale(objective: Objective, theta: Floats) -> Floats:
    """Square roots of curvatures: those of ln alpha by the Fisher information of the predictions,
    responsibilities held; 1 for all else.

    With two mixtures, one number for all: which tokens matter to which part changes on the way.
    """
    layout, predictor = objective.layout, objective.predictor
    if layout.fields:
        return np.ones(layout.size)
    parameters = layout.unpack(theta)
    found = predictor.forward(parameters)
    inverse = np.zeros((len(found.share), layout.n_tokens))
    weighted = found.share**2 * objective.weights
    step = max(1, BLOCK_ENTRIES // layout.n_tokens)
    for start in range(0, predictor.design.n, step):
        chosen = np.arange(start, min(start + step, predictor.design.n))
        inverse += weighted[:, chosen] @ (1.0 / predictor.rows(found, 1.0, chosen))
    scale = np.ones(layout.size)
    k = layout.n_components
    for i, part in enumerate(layout.parts):
        own = slice(i * k, (i + 1) * k)
        root = found.bases[own] * np.sqrt(inverse[own])
        first = layout.prior(part).start
        scale[first : first + root.size] = np.maximum(root.ravel(), LEAST_SCALE)
    return scale if len(layout.parts) == 1 else np.full_like(scale, np.sqrt(np.mean(scale**2)))


def starting_points(objective: Objective, rng: np.random.Generator) -> Iterator[Floats]:
    """Starting points without end, each from another grouping of the fullest rows' predictions.

    After a row with many counts a prediction is close to a draw from the prior.  Such predictions
    fall into K groups (seeded as in k-means++, between square roots of probabilities); each
    group's mean and spread give a Dirichlet by its moments.  All but the first point are then moved
    at random: two parts that start alike may end in each other's place.
    """
    layout = objective.layout
    shape = (layout.n_components, layout.n_tokens)
    for spread in chain([0.0], repeat(SPREAD)):
        theta = np.zeros(layout.size)
        for part in layout.parts:
            if part in layout.fields:
                centre = _centre(objective, part, rng)
                theta[layout.prior(part)] = centre + 2.0 * spread * rng.normal(size=len(centre))
                continue
            weights, alpha = _moment_prior(objective, part, layout.n_components, rng)
            moves = rng.standard_normal(shape) + rng.standard_normal((layout.n_components, 1))
            theta[layout.prior(part)] = pack_prior(weights, alpha * np.exp(spread * moves))
        _place_scalars(theta, layout, spread, rng)
        yield np.clip(theta, *layout.limits())


def _place_scalars(theta: Floats, layout: Layout, spread: float, rng: np.random.Generator) -> None:
    """Even odds, the oldest visit at half its weight, no temperature; or about there."""
    scalars = layout.scalars
    for name in layout.weight_names:
        theta[scalars[name]] = (2.0 if layout.fields else 3.0) * spread * rng.normal()
    if "discount" in scalars:
        theta[scalars["discount"]] = np.log(2.0) * np.exp(3.0 * spread * rng.normal())
    if "temperature" in scalars:
        theta[scalars["temperature"]] = spread * rng.normal()


def _centre(objective: Objective, part: str, rng: np.random.Generator) -> Floats:
    """What starts of a part that is no mixture lie about."""
    fields, own = objective.layout.fields[part], objective.predictor.design.names[part]
    if own.kind == "balance":
        return seen.pack(fields, balance.START)
    if own.kind == "tree":
        mean = objective.mass.sum(axis=0) + 1e-3 / objective.layout.n_tokens
        return seen.pack(fields, tree_start(own.depth, mean / mean.sum()))
    _, (alpha,) = _moment_prior(objective, part, 1, rng)
    return seen.pack(fields, tied_start(own.tie, alpha, fields))


def _moment_prior(
    objective: Objective, part: str, n_components: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Weights and alpha of one part's prior."""
    own = objective.predictor.design.parts[part]
    totals = summed(own.rows.row, own.rows.counts, own.rows.n)[own.active]
    known = np.flatnonzero(objective.weights > 0.0)
    known = known[totals[known] >= np.median(totals[known])]
    rows = known if len(known) <= SAMPLE else rng.choice(known, SAMPLE, replace=False)
    weights = objective.weights[rows]
    q = objective.mass[rows] / weights[:, np.newaxis]
    group = groups(Points.of(np.sqrt(q)), n_components, rng)
    share, alpha = np.empty(n_components), np.empty((n_components, q.shape[1]))
    for k in range(n_components):
        of_group = weights * (group == k)
        of_group = of_group if of_group.any() else weights
        share[k] = np.sum(of_group)
        alpha[k] = _moments(q, of_group / np.sum(of_group), totals[rows])
    if n_components > 1:  # equal components would stay equal
        alpha *= np.exp(SPREAD * rng.standard_normal(alpha.shape))
    return share / share.sum(), alpha


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
    alpha: Floats = np.clip(concentration, 0.1, 1e4) * mean
    return alpha
