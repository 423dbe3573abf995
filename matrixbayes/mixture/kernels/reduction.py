"""Few components for a kernel mixture: EM on random draws of it.

The density of a mixture is no guide to what it predicts (model.md section 4), so what is kept is
the evidence of draws: random sequences of the mixture itself, of which there are as many as one
likes, cut at several lengths that count alike for each token.  Each M-step adds a little of the
mean row to every alpha: what a component saw nothing of keeps a probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import _core
from ..._base import display
from ..._base.arguments import generator_of, times, whole
from ..._base.typing import Floats, Ids

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

HORIZONS = (1, 5, 20, 100)  # draws after which bits are counted
SHRINKAGE = 0.1  # the concentration of the mean row in each component
NO_PENALTY = (0.0, 0.0, 0.0, 1e8)
LOSS_DRAWS = 1000
BLOCK = 5000  # count vectors that a core call looks at


@dataclass(frozen=True, eq=False, repr=False)
class KernelReduction(display.Shown):
    """A smaller mixture and what it loses; see `KernelMixture.reduce`.

    Attributes
    ----------
    mixture : DirichletMixture
    n_draws : tuple of int
        1, 5, 20, 100.
    loss_bits, loss_bits_se : ndarray of shape (4,)
        Bits per token that the small mixture needs more than the large one for as many draws of a
        row of the large one, estimated from random rows, and standard errors.
    loss, loss_se : float
        Of all 100 draws together, in nats: the Kullback-Leibler divergence of the probabilities
        of such sequences, no more than that of the mixtures.
    """

    mixture: Any
    n_draws: tuple[int, ...]
    loss_bits: Floats
    loss_bits_se: Floats
    loss: float
    loss_se: float

    def to_pandas(self) -> pd.DataFrame:
        """A row for each number of draws: what they lose in bits a token, and standard errors.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        names = ["n_draws", "loss_bits", "loss_bits_se"]
        return display.frame({name: getattr(self, name) for name in names})

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Bits a token that are lost, against draws."""
        from ..result_plots import kernel_reduction  # needs matplotlib

        return kernel_reduction(self, ax=ax)

    def _table(self) -> display.Table:
        n = self.mixture.n_components
        lines = [
            [draws, float(lost), float(error)]
            for draws, lost, error in zip(
                self.n_draws, self.loss_bits, self.loss_bits_se, strict=True
            )
        ]
        title = f"KernelReduction to {n} component{'s' * (n != 1)}, and what they lose"
        return display.Table(title, ["draws", "bits a token", "±"], lines)


def reduce_kernels(
    mixture: Any, dense: Any, n_components: int, rng: Any, n_draws: int, n_iter: int
) -> KernelReduction:
    """See `KernelMixture.reduce`; `dense` is the type of the result."""
    n_components = whole(n_components, "n_components", 1)
    n_draws, n_iter = whole(n_draws, "n_draws", 2), times(n_iter, "n_iter", 1)
    if n_components >= mixture.n_components:
        zeros = np.zeros(len(HORIZONS))
        return KernelReduction(mixture, HORIZONS, zeros, zeros, 0.0, 0.0)
    rng = generator_of(rng)
    weights, alpha = _fitted(mixture, n_components, rng, n_draws, n_iter)
    order = np.argsort(-weights, kind="stable")
    small = dense(weights[order], alpha[order], tokens=mixture.tokens)
    tokens = mixture.draw_tokens(LOSS_DRAWS, HORIZONS[-1], rng=rng)
    bits, errors, nats = np.empty(len(HORIZONS)), np.empty(len(HORIZONS)), (0.0, 0.0)
    for h, n in enumerate(HORIZONS):
        entries = entries_of(tokens[:, :n], mixture.n_tokens)
        lost = mixture.log_evidence_of(*entries) - evidence_of(small, *entries)
        nats = float(lost.mean()), float(lost.std(ddof=1) / np.sqrt(len(lost)))
        bits[h], errors[h] = (part / (n * np.log(2.0)) for part in nats)
    return KernelReduction(small, HORIZONS, bits, errors, *nats)


def _fitted(
    mixture: Any, n_components: int, rng: np.random.Generator, n_draws: int, n_iter: int
) -> tuple[Floats, Floats]:
    """Weights and alphas by EM on sequences of the mixture."""
    tokens = mixture.draw_tokens(n_draws, HORIZONS[-1], rng=rng)
    parts = [entries_of(tokens[:, :n], mixture.n_tokens) for n in HORIZONS]
    starts = np.concatenate([[0], *(np.diff(part[0]) for part in parts)]).cumsum()
    counts = _core.Counts(
        starts,
        np.concatenate([part[1] for part in parts]),
        np.concatenate([part[2] for part in parts]),
        mixture.n_tokens,
    )
    worth = np.repeat([1.0 / n for n in HORIZONS], n_draws)
    mean = mixture.mean()
    alpha = mixture.component_alphas(n_components, rng)
    concentration = np.maximum(alpha.sum(axis=1, keepdims=True), 3.0)
    alpha = concentration * (0.7 * alpha / alpha.sum(axis=1, keepdims=True) + 0.3 * mean)
    weights = np.full(n_components, 1.0 / n_components)
    cells = counts.tokens, counts.counts
    for _ in range(n_iter):
        small = _core.DirichletMixture(weights, alpha)
        table = _core.evidence_table(small, counts)
        totals, sums = np.zeros(n_components), np.zeros(())
        for start in range(0, counts.n_rows, BLOCK):
            stop = min(start + BLOCK, counts.n_rows)
            part, cell, _ = _core.count_expectation(small, counts, table, start, stop, worth)
            totals, sums = totals + part, sums + cell
        alpha, _ = _core.count_maximization(*cells, sums, alpha, NO_PENALTY)
        alpha = alpha + SHRINKAGE * mean
        weights = totals + 1e-9 * totals.sum()
        weights /= weights.sum()
    return weights, alpha


def entries_of(tokens: Ids, n_tokens: int) -> tuple[Ids, Ids, Floats]:
    """Sequences (R, n) as rows of counts: starts, tokens and counts."""
    keys = tokens + n_tokens * np.arange(len(tokens))[:, np.newaxis]
    cells, counts = np.unique(keys, return_counts=True)
    rows, seen = np.divmod(cells, n_tokens)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(tokens)))])
    return starts, seen, counts.astype(np.float64)


def evidence_of(mixture: Any, starts: Ids, tokens: Ids, counts: Floats) -> Floats:
    """ln L of rows of counts under a `DirichletMixture`."""
    rows = _core.Counts(starts, tokens, counts, mixture.n_tokens)
    table = _core.evidence_table(mixture, rows)
    parts = [
        _core.count_posterior(mixture, rows, table, start, min(start + BLOCK, rows.n_rows))[1]
        for start in range(0, rows.n_rows, BLOCK)
    ]
    return np.concatenate(parts)
