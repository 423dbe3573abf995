"""Mixtures as objects of scipy, pandas and ArviZ."""

from __future__ import annotations

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
    arviz = _optional("arviz_base", "arviz-base")
    names = list(range(mixture.n_tokens) if mixture.tokens is None else mixture.tokens)
    return arviz.from_dict(
        {"posterior": {"p": mixture.sample((chains, draws), rng=rng)}},
        coords={"token": names},
        dims={"p": ["token"]},
    )


def _optional(module: str, package: str | None = None) -> Any:
    """A module that may not be installed."""
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"this needs {module}: pip install {package or module}") from error
