"""Curvature of a mixture's likelihood: standard errors and Laplace's approximation of the evidence.

By Louis' identity the observed information is the expected information of the complete data less
the variance of its score, responsibilities included: each row adds, for components k and l,
r_k (delta_kl - r_l) g_k g_l' to the Hessian, with g_k the row's score under component k.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._base import display
from .._base.typing import Floats
from ..mixture import DirichletMixture
from .count_data import CountData
from .evidence import cholesky, laplace
from .row_data import RowData

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MOST_PARAMETERS = 4000  # a Hessian of 128 MB
BLOCK_CELLS = 1 << 21


@dataclass(frozen=True, repr=False)
class Information(display.Shown):
    """Curvature of the log-likelihood at a mixture; see `DirichletMixtureEstimator.information`.

    Attributes
    ----------
    hessian : ndarray of shape (d, d)
        Second derivatives of the log-likelihood by the K V alphas, in C order, and K - 1
        log-ratios ln(w_k / w_K); d = K V + K - 1.
    alpha_se, weights_se : ndarray of shape (K, V), (K,)
        Standard errors: roots of the diagonal of the inverse of -hessian, of weights by the delta
        method.  Infinite for an alpha at its floor.
    is_maximum : bool
        Whether -hessian is positive definite: if not, parameters are not identified or this is
        no maximum, and the standard errors are infinite.
    log_evidence : float or None
        Laplace's approximation of ln p(rows), in nats; None where it has none.  Counts are taken in
        the order they came: a row's multinomial coefficient is no part of it.  With one component
        it is within 0.15 nats of quadrature, however few the rows; with several that are well
        apart within 0.5; where rows do not tell the components apart, a nat or two off.
    posterior_mode : DirichletMixture or None
        Where the evidence was taken: the mode of the posterior, which may be far from the
        likelihood's maximum.
    why_no_evidence : str
        The reason in a sentence; empty where there is an evidence.
    """

    hessian: Floats
    alpha_se: Floats
    weights_se: Floats
    is_maximum: bool
    log_evidence: float | None
    posterior_mode: DirichletMixture | None
    why_no_evidence: str

    def to_pandas(self) -> pd.DataFrame:
        """A row for each parameter: component, token (a column; None: the weight), standard error.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        n, width = self.alpha_se.shape
        tokens = self._names(width)
        return display.frame(
            {
                "component": np.repeat(np.arange(n), width + 1),
                "parameter": ["weight", *["alpha"] * width] * n,
                "token": np.array([None, *tokens] * n, dtype=object),
                "standard_error": np.column_stack([self.weights_se, self.alpha_se]).ravel(),
            }
        )

    def _names(self, width: int) -> list[Any]:
        """Tokens by name, where the mixture knows them."""
        names = None if self.posterior_mode is None else self.posterior_mode.tokens
        return list(range(width)) if names is None else list(names)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Standard errors of weights and alphas, the largest first."""
        from .plots import standard_errors  # needs matplotlib

        return standard_errors(self, ax=ax)

    def _table(self) -> display.Table:
        n = len(self.weights_se)
        what = "a maximum" if self.is_maximum else "NO maximum: what is not identified has no error"
        title = f"Information of {len(self.hessian)} parameters at {what}"
        columns = ["component", "s.e. of its weight", "of alphas: median", "largest"]
        medians, most = np.median(self.alpha_se, axis=1), self.alpha_se.max(axis=1)
        rows = [[k, self.weights_se[k], medians[k], most[k]] for k in range(n)]
        said = f"no log-evidence: {self.why_no_evidence}"
        if self.log_evidence is not None:
            said = f"log-evidence {display.number(float(self.log_evidence))} nats, by Laplace"
        return display.Table(title, columns, rows, words=[said])


def information(mixture: DirichletMixture, data: RowData | CountData) -> Information:
    """The observed information of a mixture on rows or counts.

    The evidence is that under independent normal priors of each ln alpha, mean 0 and standard
    deviation 3, and a uniform prior of the weights, by Laplace's method at the mode of that
    posterior, in ln alpha and the log-ratios of the weights; K! equal modes are counted.

    Raises
    ------
    ValueError
        There are more than 4,000 parameters.
    """
    n_components, n_tokens = mixture.alpha.shape
    d = n_components * (n_tokens + 1) - 1
    if d > MOST_PARAMETERS:
        raise ValueError(
            f"{d} parameters have a Hessian of {d * d * 8 / 1e9:.1f} GB; at most {MOST_PARAMETERS} "
            "are supported.  Use a criterion without one (bic, cv), or lump tokens"
        )
    hessian, _ = derivatives(mixture, data)
    alpha_se, weights_se, is_maximum = _standard_errors(mixture, hessian)
    evidence = laplace(mixture, data, lambda at: derivatives(at, data))
    return Information(hessian, alpha_se, weights_se, is_maximum, *evidence)


def derivatives(mixture: DirichletMixture, data: RowData | CountData) -> tuple[Floats, Floats]:
    """Hessian (d, d), and gradient (K V,) by alpha, of the log-likelihood."""
    shares, _ = data.posterior(mixture)
    weights = np.ones(data.n_rows) if data.weights is None else data.weights
    n_components, n_tokens = mixture.alpha.shape
    n_alpha = n_components * n_tokens
    hessian = np.zeros((n_alpha + n_components, n_alpha + n_components))
    gradient = np.zeros(n_alpha)
    parts = [slice(k * n_tokens, (k + 1) * n_tokens) for k in range(n_components)]
    scores = _Scores(mixture, data)
    step = max(1, BLOCK_CELLS // n_alpha)
    for start in range(0, data.n_rows, step):
        rows = slice(start, min(start + step, data.n_rows))
        r, s = shares[rows], weights[rows, np.newaxis]
        # Each row's mean score: that of alpha under all components, then that of the weights.
        mean = np.empty((len(r), n_alpha + n_components))
        for k, part in enumerate(parts):
            g = scores.of(rows, k)
            mean[:, part] = r[:, [k]] * g
            weighted = s * mean[:, part]
            hessian[part, part] += weighted.T @ g
            gradient[part] += weighted.sum(axis=0)
            hessian[part, n_alpha + k] += weighted.sum(axis=0)
        mean[:, n_alpha:] = r
        hessian -= (s * mean).T @ mean
    for k, part in enumerate(parts):
        diagonal, constant = scores.complete(k, shares[:, k] * weights)
        hessian[part, part] += constant - np.diag(diagonal)
    hessian[n_alpha:, :n_alpha] = hessian[:n_alpha, n_alpha:].T
    of_weights = slice(n_alpha, None)
    total = float(weights.sum())
    w = mixture.weights
    hessian[of_weights, of_weights] += np.diag(weights @ shares)
    hessian[of_weights, of_weights] -= total * (np.diag(w) - np.outer(w, w))
    return hessian[:-1, :-1], gradient


class _Scores:
    """Scores of rows under a component, and the expected curvature of the complete data."""

    def __init__(self, mixture: DirichletMixture, data: RowData | CountData) -> None:
        self._mixture, self._data = mixture, data
        if isinstance(data, CountData):
            self._indptr, self._indices, self._counts = data.rows.sparse()
            each = np.repeat(np.arange(data.n_rows), np.diff(self._indptr))
            self._totals = np.bincount(each, self._counts, minlength=data.n_rows)

    def of(self, rows: slice, k: int) -> Floats:
        """Derivatives (n, V) by alpha_k of the rows' log-density or log-evidence."""
        alpha, total = self._mixture.alpha[k], self._mixture.concentration[k]
        if isinstance(self._data, RowData):
            level = _core.digamma(total) - _core.digamma(alpha)
            return self._data.log_probs[rows] + level
        n = rows.stop - rows.start
        seen = slice(self._indptr[rows.start], self._indptr[rows.stop])
        row = np.repeat(np.arange(n), np.diff(self._indptr[rows.start : rows.stop + 1]))
        column = self._indices[seen]
        result = np.zeros((n, len(alpha)))
        result[row, column] = _core.digamma_difference(alpha[column], self._counts[seen])
        whole = _core.digamma_difference(np.full(n, total), self._totals[rows])
        return result - whole[:, np.newaxis]

    def complete(self, k: int, weights: Floats) -> tuple[Floats, float]:
        """Minus the diagonal (V,), and the constant, of the weighted rows' own Hessians."""
        alpha, total = self._mixture.alpha[k], self._mixture.concentration[k]
        if isinstance(self._data, RowData):
            weight = float(weights.sum())
            return weight * _core.trigamma(alpha), weight * float(_core.trigamma(total))
        each = np.repeat(weights, np.diff(self._indptr))
        a = alpha[self._indices]
        bends = each * (_core.trigamma(a) - _core.trigamma(a + self._counts))
        whole = _core.trigamma(total) - _core.trigamma(total + self._totals)
        diagonal = np.zeros(len(alpha))
        np.add.at(diagonal, self._indices, bends)
        return diagonal, float(weights @ whole)


def _standard_errors(mixture: DirichletMixture, hessian: Floats) -> tuple[Floats, Floats, bool]:
    alpha, w = mixture.alpha, mixture.weights
    n_alpha = alpha.size
    free = np.ones(len(hessian), dtype=bool)
    free[:n_alpha] = alpha.ravel() > 1e-14  # what lies at the floor of alpha is no maximum
    alpha_se, weights_se = np.full(alpha.shape, np.inf), np.full(len(w), np.inf)
    # In ln alpha the diagonal is of one size; rounding then spoils no small alpha.
    scale = np.concatenate([alpha.ravel(), np.ones(len(w) - 1)])[free]
    factor = cholesky(-hessian[np.ix_(free, free)] * np.outer(scale, scale))
    if factor is None:
        return alpha_se, weights_se, False
    from scipy.linalg import cho_solve

    covariance = cho_solve((factor, True), np.eye(len(factor))) * np.outer(scale, scale)
    n_free = int(free[:n_alpha].sum())
    alpha_se.ravel()[free[:n_alpha]] = np.sqrt(np.diag(covariance)[:n_free])
    slopes = (np.diag(w) - np.outer(w, w))[:, :-1]
    of_weights = covariance[n_free:, n_free:]
    weights_se = np.sqrt(np.einsum("ki,ij,kj->k", slopes, of_weights, slopes))
    return alpha_se, weights_se, True
