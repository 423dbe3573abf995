"""The prior of a row of the Matrix, a mixture of K Dirichlets A_k m_k, and what counts make of it.

With counts n of a row (N in all), a_k = A_k m_k and posterior weights r_k:

    evidence      of component k: sum_v lnG(a_kv + n_v) - lnG(a_kv) - lnG(A_k + N) + lnG(A_k)
    weights       r_k in proportion to w_k exp(evidence)
    predictive    sum_k r_k (a_kv + n_v) / (A_k + N)

Contents
    SharedPrior                      the same mixture for every row
    Concentration                    the A_k of an order of a hierarchy, and their weights
    Entries                          what was seen after some contexts
    log_evidence, posterior_weights, sums
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._base import display
from .._base.typing import Floats, Ids
from ..mixture import DirichletMixture

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class SharedPrior:
    """A Dirichlet mixture over V tokens; symmetric ones need no vector of V numbers."""

    def __init__(self, prior: DirichletMixture | float, n_tokens: int) -> None:
        self.given, self.n_tokens = prior, n_tokens
        if isinstance(prior, DirichletMixture):
            self.weights, self.concentration = prior.weights, prior.concentration
        else:
            self.weights, self.concentration = np.ones(1), np.array([prior * n_tokens])

    @property
    def symmetric(self) -> bool:
        """Whether it is a number, the alpha of each token."""
        return not isinstance(self.given, DirichletMixture)

    @property
    def alpha(self) -> Floats:
        """(K, V), or (1, 1) where all tokens have the same."""
        if isinstance(self.given, DirichletMixture):
            return self.given.alpha
        return np.full((1, 1), self.given)

    def at(self, tokens: Ids) -> Floats:
        """alpha of some tokens, (K, n)."""
        if isinstance(self.given, DirichletMixture):
            return self.given.alpha[:, tokens]
        return np.full((1, len(tokens)), self.given)

    def blend(self, shares: Floats) -> Floats:
        """sum_k shares_ik alpha_k, (n, V)."""
        if isinstance(self.given, DirichletMixture):
            return shares @ self.given.alpha
        return np.repeat(shares * self.given, self.n_tokens, axis=1)

    def mean_at(self, tokens: Ids) -> Floats:
        """The mean row at some tokens."""
        return (self.weights / self.concentration) @ self.at(tokens)

    def draw(self, shares: Floats, rng: np.random.Generator) -> int:
        """A token of component k, with probability in proportion to shares (K,)."""
        if not isinstance(self.given, DirichletMixture):
            return int(rng.integers(self.n_tokens))
        return _choose(self.given.alpha[_choose(shares, rng)], rng)

    def mixture(self, tokens: tuple[str, ...] | None) -> DirichletMixture:
        """As a DirichletMixture."""
        if isinstance(self.given, DirichletMixture):
            return self.given
        return DirichletMixture([1.0], np.full((1, self.n_tokens), self.given), tokens=tokens)


def _choose(shares: Floats, rng: np.random.Generator) -> int:
    """A place, with probability in proportion to its share."""
    ends = np.cumsum(shares)
    return int(min(np.searchsorted(ends, rng.random() * ends[-1], side="right"), len(ends) - 1))


class _Concentration(NamedTuple):
    weights: Floats
    values: Floats


@display.shown
class Concentration(_Concentration):
    """Weights (K,) and values (K,) of the concentrations of one order.

    Those that a matrix shows remember the prior of the empty context that they stand beside:
    without it, they are another hierarchy.
    """

    _prior: DirichletMixture | float | None = None

    def to_pandas(self) -> pd.DataFrame:
        """A row for each concentration: ``weight`` and ``concentration``.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame({"weight": self.weights, "concentration": self.values})

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The weight of each concentration."""
        from .plots import order_concentrations  # needs matplotlib

        return order_concentrations(self, ax=ax)

    def _table(self) -> display.Table:
        lines = [list(line) for line in zip(self.weights, self.values, strict=True)]
        title = "Concentration of the contexts of one order"
        return display.Table(title, ["weight", "concentration"], lines)

    def beside(self, prior: DirichletMixture | float) -> Concentration:
        """The same, and the prior of their hierarchy."""
        shown = Concentration(*self)
        shown._prior = prior
        return shown


class Entries(NamedTuple):
    """What was seen after some contexts, row after row."""

    row: NDArray[np.intp]
    tokens: Ids
    counts: Floats

    @classmethod
    def of(cls, counts: Any, contexts: Ids) -> Entries:
        indptr, tokens, times = counts.rows(contexts)
        row = np.repeat(np.arange(len(contexts)), np.diff(indptr))
        return cls(row, tokens.astype(np.int64), times.astype(np.float64))

    def draw(self, rng: np.random.Generator) -> int:
        """A token, with probability in proportion to its count."""
        return int(self.tokens[_choose(self.counts, rng)])


def sums(row: NDArray[np.intp], values: Floats, n_rows: int) -> Floats:
    """The sum of the values of each row."""
    return np.bincount(row, values, minlength=n_rows).astype(np.float64, copy=False)


def log_evidence(alpha: Floats, concentration: Floats, entries: Entries, totals: Floats) -> Floats:
    """Log-evidence of each row under each Dirichlet, (n, K); alpha (K, entries)."""
    terms = _core.lgamma_difference(alpha, entries.counts)
    seen = [sums(entries.row, each, len(totals)) for each in terms]
    return np.stack(seen, axis=1) - _core.lgamma_difference(concentration, totals[:, np.newaxis])


def posterior_weights(weights: Floats, evidence: Floats) -> tuple[Floats, Floats]:
    """r (n, K), and the log-evidence (n,) of the mixture."""
    with np.errstate(divide="ignore"):
        joint = np.log(weights) + evidence
    most = joint.max(axis=1, keepdims=True)
    r = np.exp(joint - most)
    total = r.sum(axis=1, keepdims=True)
    return r / total, (most + np.log(total))[:, 0]
