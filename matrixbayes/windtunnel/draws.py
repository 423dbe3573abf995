"""Tokens without rows, and rows that allow the tokens that came.

Contents
    possible                rows, checked against what came
    components, from_urn    tokens of rows that are integrated out
"""

from __future__ import annotations

import numpy as np

from .._base.typing import Floats, Ids
from ..mixture import DirichletMixture


def possible(tokens: Ids, rows: Floats) -> Floats:
    """The rows, if no token has the probability 0 in its own."""
    own = np.take_along_axis(rows, tokens[:, :, np.newaxis], axis=2)[:, :, 0]
    if np.isneginf(own).any():
        i, t = np.argwhere(np.isneginf(own))[0]
        raise ValueError(f"token {t} of sequence {i} is {tokens[i, t]}, which cannot come there")
    return rows


def components(
    prior: DirichletMixture, shape: int | tuple[int, ...], rng: np.random.Generator
) -> Ids:
    """Which component each row is of."""
    return rng.choice(prior.n_components, shape, p=prior.weights)


def from_urn(many: Ids, ends: Floats, component: Ids, rng: np.random.Generator) -> tuple[Ids, Ids]:
    """The next token from each row: Polya's urn, which is the row integrated out.

    A row's next token is one of the `many` that were drawn from it with probability N / (N + A), A
    being the concentration of its component, and else a draw from that component's mean; `ends` are
    the running sums of alpha.  Returns the tokens, and which of those before is drawn again or -1.
    """
    place = rng.random(len(many)) * (many + ends[component, -1])
    again = np.where(place < many, place, -1.0).astype(np.int64)
    tokens = np.zeros(len(many), dtype=np.int64)
    for k, own in enumerate(ends):
        new = (again < 0) & (component == k)
        tokens[new] = np.searchsorted(own, (place - many)[new], side="right")
    return np.minimum(tokens, ends.shape[1] - 1), again
