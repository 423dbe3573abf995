"""The density of rows known in part under a mixture, each lumped as it is.

Contents
    Tables       what is looked up of a mixture
    joint        log-densities of rows under its components
    normalized   responsibilities from them
    posterior_of responsibilities and log-densities of any number of rows
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ... import _core
from ..._base.typing import Floats
from .listing import Listing, missing


class Tables(NamedTuple):
    """What a pass looks up of a mixture, token by token."""

    alpha: Floats  # (V, K)
    whole: Floats  # (2, K), its sums
    log_gamma: Floats  # (V, K), of alpha
    constant: Floats  # (K,), ln w_k + ln Gamma(A_k)

    @classmethod
    def of(cls, mixture: _core.DirichletMixture) -> Tables:
        """Those of a mixture."""
        alpha = np.ascontiguousarray(mixture.alpha.T)
        with np.errstate(divide="ignore"):
            constant = np.log(mixture.weights) + _core.lgamma(mixture.concentration)
        return cls(alpha, _core.sum_whole(alpha), _core.lgamma(alpha), constant)


def joint(tables: Tables, rows: Listing) -> tuple[Floats, Floats]:
    """ln w_k and the log-density of each row under each component (n, K); alpha of its rest."""
    x = missing(rows, tables.alpha, tables.whole)
    found = tables.constant - _core.sum_listed(*rows.entries, tables.log_gamma)
    found += _core.sum_listed(*rows.entries, tables.alpha - 1.0, rows.logs)
    there = rows.is_open
    found[there] += (x[there] - 1.0) * rows.rest[there, np.newaxis] - _core.lgamma(x[there])
    return found, x


def normalized(log_joint: Floats) -> tuple[Floats, Floats]:
    """Responsibilities (n, K) and log-densities (n,)."""
    most = log_joint.max(axis=1, keepdims=True, initial=-1e308)
    shares = np.exp(log_joint - most)
    total = shares.sum(axis=1, keepdims=True)
    shares /= total
    return shares, (most + np.log(total))[:, 0]


def posterior_of(mixture: _core.DirichletMixture, rows: Listing) -> tuple[Floats, Floats]:
    """Responsibilities (N, K) and log-densities (N,), block by block.

    Raises
    ------
    ValueError
        A row has an exact zero for what it does not list, or lists.
    """
    zero = rows.is_open & np.isneginf(rows.rest)
    zero[rows.row[np.isneginf(rows.logs)]] = True
    if zero.any():
        raise ValueError(
            f"{np.count_nonzero(zero)} of {rows.n_rows} rows give nothing to tokens, where a "
            f"Dirichlet has no finite density; the first is row {int(np.argmax(zero))}, whose rest "
            "is an exact zero.  Say what is missing to 1 as rest"
        )
    tables = Tables.of(mixture)
    parts = [normalized(joint(tables, rows.cut(b))[0]) for b in rows.blocks(mixture.n_components)]
    if not parts:
        return np.zeros((0, mixture.n_components)), np.zeros(0)
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
