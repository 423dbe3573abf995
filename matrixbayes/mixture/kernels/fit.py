"""Which kernels describe rows: pairs (A, l) and their weights, by the evidence of draws.

Some rows are kept apart, in turn; tokens are drawn from them, and the weights are those under which
the kernels around all other rows make 1, 5, 20 and 100 such draws most probable, each length
counted by the token.  Peaked rows want other pairs than flat ones: each pair has a weight for each
quarter of the rows by entropy.  That is EM over pairs and quarters, concave; the sum over rows is
done once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..._base.arguments import generator_of, listed, whole
from ..._base.numbers import reals
from ..._base.saving.made import note, origin
from ..._base.tokens import columns_in, order_of, token_names
from ..._base.typing import Floats, Ids, Seed
from ..._base.weights import checked_weights, shares_of, without_weightless
from ...rows import PartialRows, as_log_probs
from ..mixture import DirichletMixture
from .kernel_mixture import KernelMixture, check_pairs
from .reduction import HORIZONS, entries_of, evidence_of
from .rows import KernelRows, balanced, nearest, roots, summary

# Concentrations around that of the longest sequence, and shares of the mean.
GRID = [
    (HORIZONS[-1] * 10.0 ** (step / 2.0), share)
    for step in range(-4, 4)
    for share in (0.01, 0.1, 0.3, 0.6, 1.0)
]
LOCAL = 0.9  # of the mean that rows are drawn to, what is that of their neighbours
NEIGHBOURS = 2.5  # of them, times the root of the number of rows
FOLDS, HELD = 5, 300  # how often rows are kept apart, and how many in all
REPEATS = 8  # sequences from each, at most, where rows are few
GROUPS, PER_GROUP = 4, 50  # groups of rows by entropy, at most; rows in one, at least
DROPPED = 0.015  # less weight of a pair in its group, or of a fit, is left out
N_ITER = 1000


def from_rows(
    rows: Any,
    *,
    kind: str | None = None,
    sample_weight: ArrayLike | None = None,
    max_rows: int | None = 10_000,
    pairs: ArrayLike | None = None,
    pair_weights: ArrayLike | None = None,
    neighbours: int | None = None,
    fits: DirichletMixture | Iterable[DirichletMixture] = (),
    tokens: Sequence[str] | None = None,
    rng: Seed = 0,
) -> KernelMixture:
    """See `DirichletMixture.from_rows`."""
    generator = generator_of(rng)
    if isinstance(rows, PartialRows):
        raise TypeError(
            "a kernel stands around a complete row: fit rows known in part "
            "(DirichletMixtureEstimator(resolution=100)), or make them rows over answers "
            "(.group(vocab))"
        )
    checked_weights(sample_weight)
    sample_weight, rows = without_weightless(sample_weight, rows)
    logs, given = as_log_probs(rows, kind)
    names = given if tokens is None else token_names(tokens, logs.shape[1])
    logs = columns_in(logs, order_of(given, names, "the columns of rows and tokens"))
    shares = shares_of(sample_weight, len(logs))
    log_sums, mean, entropies = summary(logs, shares)
    kept = np.arange(len(logs))
    if max_rows is not None and len(kept) > whole(max_rows, "max_rows", 1):
        kept = np.sort(generator.choice(kept, max_rows, replace=False))
    k = round(NEIGHBOURS * np.sqrt(len(kept))) if neighbours is None else neighbours
    k = min(whole(k, "neighbours", 0), len(kept) - 1)
    grid = np.array(GRID) if pairs is None else reals(pairs, "pairs")
    if grid.ndim != 2 or grid.shape[1] != 2 or not len(grid):
        raise ValueError(f"pairs have shape {grid.shape}; they need (J, 2): A and l")
    local = LOCAL if k else 0.0
    check_pairs(grid, mean, local)
    beside = [_matched(fit, names, logs.shape[1]) for fit in _several(fits)]

    points = roots(logs, mean, kept) if k else np.empty((len(kept), 0), dtype=np.float32)

    def around(mine: Ids) -> KernelRows:
        """The rows numbered `mine` of the kept ones, and their neighbours among them."""
        few = min(k, len(mine) - 1)
        near = nearest(points[mine], kept[mine], len(logs), few)
        of_near = balanced(near, kept[mine], shares)
        return KernelRows(logs, log_sums, near, of_near, mean, local if few else 0.0)

    n_groups = int(np.clip(len(kept) // PER_GROUP, 1, GROUPS))
    groups = np.argsort(np.argsort(entropies[kept], kind="stable")) * n_groups // len(kept)
    if pair_weights is not None:
        given_weights = shares_of(pair_weights, len(grid) + len(beside), "pairs and fits")
        own = np.tile(given_weights[: len(grid), np.newaxis], n_groups)
        of_fits = given_weights[len(grid) :]
    else:
        own, of_fits = _weights(around, kept, shares, groups, grid, beside, generator)
    share = shares[kept] / shares[kept].sum()
    weights = own[:, groups] * share
    used = weights.any(axis=1)
    used[0] |= not used.any()  # where fits have all weight a pair holds the place of the others
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights[used])
    made = KernelMixture(
        around(np.arange(len(kept))),
        kept,
        grid[used],
        log_weights,
        _joined(beside, of_fits) if of_fits.any() else None,
        float(of_fits.sum()),
        None,
        names,
    )
    return note(
        made,
        call="DirichletMixture.from_rows",
        rows=origin(rows),
        n_rows=len(logs),
        max_rows=max_rows,
        neighbours=k,
        n_fits=len(beside),
        rng=rng,
    )


def _weights(
    around: Any,
    kept: Ids,
    shares: Floats,
    groups: Ids,
    grid: Floats,
    beside: list[DirichletMixture],
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """By the evidence of draws from rows kept apart: factors of the rows' shares for each pair and
    group (J, G), and weights of the fits."""
    n, n_groups = len(kept), int(groups.max()) + 1
    if n == 1:  # there is no other row
        even = 1.0 / (len(grid) + len(beside))
        return np.full((len(grid), 1), even), np.full(len(beside), even)
    folds = min(FOLDS, n)
    held = np.array_split(rng.permutation(n)[:HELD], folds)
    repeats = int(np.clip(HELD // n, 1, REPEATS))
    tables: list[list[Floats]] = [[] for _ in HORIZONS]
    worth: list[Floats] = []
    for apart in held:
        mine = np.setdiff1d(np.arange(n), apart)
        some = around(mine)
        log_share = np.log(shares[kept[mine]] / shares[kept[mine]].sum())
        each = KernelMixture(
            some, kept[mine], grid, np.broadcast_to(log_share, (len(grid), len(mine)))
        )
        rows = np.repeat(kept[apart], repeats)
        worth.append(shares[rows])
        drawn = some.draw(np.repeat(rows, HORIZONS[-1]), rng).reshape(len(rows), -1)
        for table, length in zip(tables, HORIZONS, strict=True):
            entries = entries_of(drawn[:, :length], some.n_tokens)
            own = each.group_evidence(groups[mine], *entries)
            columns = [own.reshape(len(rows), -1)]
            columns += [evidence_of(fit, *entries)[:, np.newaxis] for fit in beside]
            table.append(np.concatenate(columns, axis=1))
    weight = np.concatenate(worth)
    return _best(
        [np.concatenate(table) for table in tables],
        weight / weight.sum(),
        (len(grid), n_groups),
    )


def _best(tables: list[Floats], worth: Floats, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """The weights of columns under which rows of log-evidence are most probable, by EM: of pairs in
    groups (J, G), in each group summing to what fits leave, and of the fits; tables count by the
    token."""
    n_own = shape[0] * shape[1]
    likelihoods = [np.exp(table - table.max(axis=1, keepdims=True)) for table in tables]
    weights = np.full(likelihoods[0].shape[1], 1.0)
    weights[:n_own] = 1.0 / shape[0]
    weights /= 1.0 + len(weights) - n_own
    before = -np.inf

    def normalized(own: Floats, of_fits: Floats) -> Floats:
        own = own.reshape(shape)
        own = own / np.maximum(own.sum(axis=0), 1e-300) * (1.0 - of_fits.sum())
        return np.concatenate([own.ravel(), of_fits])

    for _ in range(N_ITER):
        new, value = np.zeros(len(weights)), 0.0
        for likelihood, length in zip(likelihoods, HORIZONS, strict=True):
            total = likelihood @ weights
            new += (worth / length / total) @ likelihood
            value += float((worth / length) @ np.log(total))
        taken = weights * new
        weights = normalized(taken[:n_own], taken[n_own:] / taken.sum())
        if value - before < 1e-7:
            break
        before = value
    weights[weights < DROPPED] = 0.0
    of_fits = weights[n_own:] / max(1.0, float(weights[n_own:].sum()))
    weights = normalized(weights[:n_own], of_fits)
    return weights[:n_own].reshape(shape), weights[n_own:]


def _several(fits: DirichletMixture | Iterable[DirichletMixture]) -> list[DirichletMixture]:
    return [fits] if isinstance(fits, DirichletMixture) else listed(fits, "fits")


def _matched(fit: DirichletMixture, names: Any, n_tokens: int) -> DirichletMixture:
    """The fit with its tokens in the rows' order."""
    if not isinstance(fit, DirichletMixture):
        raise TypeError(f"fits are DirichletMixtures, not {type(fit).__name__}")
    if fit.n_tokens != n_tokens:
        raise ValueError(f"rows have {n_tokens} columns, a fit {fit.n_tokens} tokens")
    order = order_of(fit.tokens, names, "the tokens of a fit and of the rows")
    return DirichletMixture(fit.weights, columns_in(fit.alpha, order), tokens=names)


def _joined(fits: list[DirichletMixture], weights: Floats) -> DirichletMixture:
    """One mixture of several, by their weights."""
    share = np.concatenate([w * fit.weights for w, fit in zip(weights, fits, strict=True)])
    alpha = np.concatenate([fit.alpha for fit in fits])
    return DirichletMixture(
        share[share > 0.0] / share.sum(), alpha[share > 0.0], tokens=fits[0].tokens
    )


DirichletMixture._around_rows = staticmethod(from_rows)
