"""What `elicit_prior` learns from samples of the histories.

Contents
    bootstrap    the parameters of samples
    intervals    between which ends they are
    held_out     KL of each row, predicted from the other folds
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .._base.parallel import in_order
from .._base.typing import Floats, Ids, Pool
from .objective import Objective
from .parameters import Parameters
from .search import Search, search


def bootstrap(
    objective: Objective,
    best: Search,
    shares: Floats,
    groups: Ids,
    n_boot: int,
    limits: tuple[int, float],
    pool: Pool,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """The parameters, samples first, of samples of the groups, each fitted from the optimum."""
    drawn = np.flatnonzero(np.bincount(groups, shares))  # the others would change nothing
    chances = np.full(len(drawn), 1.0 / len(drawn))

    def fitted(times: Ids) -> dict[str, Any]:
        often = np.zeros(int(groups.max()) + 1)
        often[drawn] = times
        weights = shares * often[groups]
        found = search(objective.reweighted(weights / weights.sum()), best.theta, *limits)
        return _named(objective.layout.unpack(found.theta), objective.layout.scalars)

    samples = [(rng.multinomial(len(drawn), chances),) for _ in range(n_boot)]
    values = list(in_order(pool, fitted, samples))
    return {name: np.array([value[name] for value in values]) for name in values[0]}


def intervals(draws: Mapping[str, Floats], level: float) -> dict[str, Floats]:
    """Percentiles of the parameters over samples."""
    ends = [0.5 - level / 2.0, 0.5 + level / 2.0]
    return {name: np.quantile(values, ends, axis=0) for name, values in draws.items()}


def _named(parameters: Parameters, scalars: Iterable[str]) -> dict[str, Any]:
    """The numbers that a family searches, by the names that intervals have."""
    found: dict[str, Any] = {}
    for part, prior in parameters.priors.items():
        if isinstance(prior, dict):
            found |= {f"{part}.{name}": value for name, value in prior.items()}
            continue
        weights, alpha = prior
        found[f"{part}.weights"] = weights
        found[f"{part}.concentration"] = alpha.sum(axis=1)
        found[f"{part}.alpha"] = alpha
    return found | {name: parameters.scalar(name) for name in scalars}


def row_kl(objective: Objective, parameters: Parameters) -> Floats:
    """(N,): KL(model || predictive) of each row in nats."""
    return np.concatenate([kl for *_, kl in objective.predictions(parameters)])


def held_out(
    objective: Objective,
    best: Search,
    shares: Floats,
    folds: Ids,
    limits: tuple[int, float],
    pool: Pool,
) -> Floats:
    """(N,): KL of each row under the parameters fitted, from the optimum, to the other folds."""

    def scored(fold: int) -> Floats:
        weights = np.where(folds == fold, 0.0, shares)
        found = search(objective.reweighted(weights / weights.sum()), best.theta, *limits)
        return row_kl(objective, objective.layout.unpack(found.theta))

    n_folds = int(folds.max()) + 1
    found = list(in_order(pool, scored, [(fold,) for fold in range(n_folds)]))
    return np.stack(found)[folds, np.arange(len(folds))]
