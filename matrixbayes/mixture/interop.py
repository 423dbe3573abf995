"""Mixtures as objects of scipy, pandas and ArviZ; and other results as ArviZ's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def to_scipy(mixture: Any) -> Any:
    """See `DirichletMixture.to_scipy`."""
    from scipy.stats import dirichlet

    if mixture.n_components > 1:
        raise ValueError(
            f"scipy.stats has no mixtures, and this one has {mixture.n_components} components; "
            "make one of each row of alpha"
        )
    return dirichlet(mixture.alpha[0])


def to_pandas(mixture: Any) -> Any:
    """See `DirichletMixture.to_pandas`."""
    pandas = _optional("pandas")
    names = range(mixture.n_tokens) if mixture.tokens is None else mixture.tokens
    columns = pandas.MultiIndex.from_tuples(
        [("weight", ""), ("concentration", ""), *(("alpha", name) for name in names)]
    )
    table = np.column_stack([mixture.weights, mixture.concentration, mixture.alpha])
    index = pandas.RangeIndex(mixture.n_components, name="component")
    return pandas.DataFrame(table, index=index, columns=columns)


def to_arviz(mixture: Any, draws: int, chains: int, rng: Any) -> Any:
    """See `DirichletMixture.to_arviz`."""
    names = list(range(mixture.n_tokens) if mixture.tokens is None else mixture.tokens)
    groups = {"posterior": {"p": mixture.sample((chains, draws), rng=rng)}}
    return arviz_data(groups, {"token": names}, {"p": ["token"]})


def check_to_arviz(check: Any) -> Any:
    """See `FitCheck.to_arviz`."""
    n, n_drawn = len(check.row_entropies), len(check.prior_entropies)
    if n_drawn < n:
        raise ValueError(
            f"{n_drawn} random rows of the prior are fewer than {n} rows: give "
            f"check_prior(..., n_samples={10 * n})"
        )
    used = n_drawn - n_drawn % n
    parts = (check.prior_entropies, check.prior_largest)
    entropy, largest = (part[:used].reshape(1, -1, n) for part in parts)
    groups = {
        "prior_predictive": {"entropy": entropy, "largest": largest},
        "observed_data": {"entropy": check.row_entropies, "largest": check.row_largest},
        "constant_data": {"weight": check.row_weights},
    }
    dims = {name: ["row"] for name in ("entropy", "largest", "weight")}
    return arviz_data(groups, {"row": np.arange(n)}, dims)


def arviz_data(
    groups: Mapping[str, Mapping[str, Any]],
    coords: Mapping[str, Any],
    dims: Mapping[str, Sequence[str]],
) -> Any:
    """Groups of variables, each with chains and draws first, as ArviZ has them."""
    arviz = _optional("arviz_base", "arviz-base")
    named = {name: list(axes) for name, axes in dims.items()}
    return arviz.from_dict(
        {group: dict(variables) for group, variables in groups.items()},
        coords=dict(coords),
        dims=named,
    )


def _optional(module: str, package: str | None = None) -> Any:
    """A module that may not be installed."""
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"this needs {module}: pip install {package or module}") from error
