"""What a regression of the concentration found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..._base import display
from ..._base.arguments import probability
from ..._base.typing import Floats
from ...mixture import DirichletMixture
from .design import Design

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class Observed(NamedTuple):
    """Groups of rows with like covariates, each with a concentration of its own."""

    covariates: Floats  # (G, P), means of the columns
    concentration: Floats  # (G,)
    log_error: Floats  # (G,), standard error of its logarithm


@display.shown
class ConcentrationPrediction(NamedTuple):
    """Concentrations that a regression predicts.

    Attributes
    ----------
    concentration, low, high : ndarray of shape (n,)
        With the ends of the interval.
    mean : ndarray of shape (n, V)
        The mean row of each.

    Examples
    --------
    >>> import numpy as np
    >>> import matrixbayes as mb
    >>> rows = np.random.default_rng(0).dirichlet([6.0, 3.0], 500)
    >>> at = mb.regress_concentration(rows, None, kind="probs").predict(None)
    >>> bool(at.low[0] < 9.0 < at.high[0])
    True
    """

    concentration: Floats
    low: Floats
    high: Floats
    mean: Floats

    def to_pandas(self) -> pd.DataFrame:
        """A row for each: ``concentration``, ``low``, ``high``."""
        columns = {"concentration": self.concentration, "low": self.low, "high": self.high}
        return display.frame(columns)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The concentrations in order, with their intervals, on a log axis."""
        from .plots import predictions

        return predictions(self, ax=ax)

    def _table(self) -> display.Table:
        rows = [list(row) for row in zip(self.concentration, self.low, self.high, strict=True)]
        n = len(rows)
        title = f"ConcentrationPrediction: {n:,} setting{'s' * (n != 1)} of the covariates"
        return display.Table(title, ["concentration", "low", "high"], rows)


@dataclass(frozen=True, repr=False, eq=False)
class ConcentrationRegression(display.Shown):
    """The concentration of rows as a function of covariates; see `regress_concentration`.

    Attributes
    ----------
    names : tuple of str
        The coefficients: the intercept, and one for each column of covariates.
    coefficients : ndarray of shape (P,)
        Of the logarithm of the concentration: a unit of a covariate multiplies the concentration by
        exp(coefficient).  NaN where it is not identified.
    covariance : ndarray of shape (P, P)
        From the observed information, or among groups where some were given.
    log_likelihood, log_likelihood_constant : float
        In nats: of this fit, and with one concentration for all rows; of counts as sequences.
    n_rows : int
    total_weight : float
    n_tokens : int
    n_groups : int or None
    tokens : tuple of str or None
    of_counts : bool
        Whether counts were given, and not rows.
    converged : bool
    n_iter : int
    mean_names : tuple of str
        The columns that the mean depends on.
    centre : ndarray of shape (P,)
        The mean of each column: where others are held in a plot.
    mean, mean_se : ndarray of shape (V,) or None
        The mean of all rows, and its standard error; None where it has covariates.
    mean_coefficients, mean_coefficients_se : ndarray of shape (Q, V) or None
        Of the logarithm of a token's probability over that of the reference, whose are 0.
    reference : int or None
        The column of that token.

    Examples
    --------
    >>> import numpy as np
    >>> import matrixbayes as mb
    >>> draw = np.random.default_rng(0)
    >>> rows = np.vstack([draw.dirichlet([4, 2, 2], 300), draw.dirichlet([16, 8, 8], 300)])
    >>> model = np.repeat(["small", "large"], 300)
    >>> found = mb.regress_concentration(rows, {"model": model}, kind="probs")
    >>> found.names, bool(found.p_value < 1e-6)
    (('intercept', 'model[small]'), True)
    """

    names: tuple[str, ...]
    coefficients: Floats
    covariance: Floats
    log_likelihood: float
    log_likelihood_constant: float
    n_rows: int
    total_weight: float
    n_tokens: int
    n_groups: int | None
    tokens: tuple[str, ...] | None
    of_counts: bool
    converged: bool
    n_iter: int
    mean_names: tuple[str, ...]
    centre: Floats
    observed: Observed
    design: Design
    mean_design: Design
    mean: Floats | None = None
    mean_se: Floats | None = None
    mean_coefficients: Floats | None = None
    mean_coefficients_se: Floats | None = None
    reference: int | None = None

    @property
    def standard_errors(self) -> Floats:
        """Roots of the diagonal of the covariance; shape (P,)."""
        with np.errstate(invalid="ignore"):
            errors: Floats = np.sqrt(np.diag(self.covariance))
        return errors

    @property
    def z(self) -> Floats:
        """Coefficients over their standard errors; shape (P,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio: Floats = self.coefficients / self.standard_errors
        return ratio

    @property
    def p_values(self) -> Floats:
        """Of Wald's test that a coefficient is 0, two-sided; shape (P,)."""
        from scipy.stats import norm

        values: Floats = 2.0 * norm.sf(np.abs(self.z))
        return values

    @property
    def likelihood_ratio(self) -> float:
        """Twice what the log-likelihood gains on one concentration for all rows."""
        return 2.0 * (self.log_likelihood - self.log_likelihood_constant)

    @property
    def df(self) -> int:
        """Identified coefficients beside the intercept."""
        return int(np.isfinite(self.coefficients[1:]).sum())

    @property
    def p_value(self) -> float:
        """Of the likelihood ratio: that large by chance, were the concentration one for all rows.

        With groups the rows are taken as independent all the same.
        """
        from scipy.stats import chi2

        return float(chi2.sf(self.likelihood_ratio, self.df)) if self.df else float("nan")

    def interval(self, level: float = 0.95) -> Floats:
        """The interval of each coefficient, by the normal distribution; shape (P, 2)."""
        half = _quantile(level) * self.standard_errors
        return np.stack([self.coefficients - half, self.coefficients + half], axis=1)

    def predict(
        self, covariates: Any, *, interval: float = 0.9, mean: Any = None
    ) -> ConcentrationPrediction:
        """The concentration at other covariates, and the interval in which it is.

        Parameters
        ----------
        covariates : dict, data frame or array_like
            As in the fit, n of each or one for all.
        interval : float
            How probable the interval is: of the concentration itself, not of another row's.
        mean : optional
            Covariates of the mean, where these are others.

        Returns
        -------
        ConcentrationPrediction
            ``concentration``, ``low``, ``high`` (n,), and ``mean`` (n, V).

        Examples
        --------
        >>> import numpy as np
        >>> import matrixbayes as mb
        >>> shots = np.repeat([0, 8], 200)
        >>> draw = np.random.default_rng(0)
        >>> rows = [draw.dirichlet([2.0 + n, 1.0 + n / 2]) for n in shots]
        >>> found = mb.regress_concentration(rows, {"shots": shots}, kind="probs")
        >>> at = found.predict({"shots": 8})
        >>> at.concentration.round(0), at.mean.round(2)
        (array([15.]), array([[0.67, 0.33]]))
        """
        eta, half = self.log_concentration(self.design.matrix(covariates), interval)
        rows = self._mean_rows(covariates if mean is None else mean, len(eta))
        return ConcentrationPrediction(np.exp(eta), np.exp(eta - half), np.exp(eta + half), rows)

    def log_concentration(self, matrix: Floats, level: float) -> tuple[Floats, Floats]:
        """The logarithm of the concentration at rows (n, P) of a design, and half of its interval,
        which is infinite where errors are not known."""
        eta = matrix @ np.nan_to_num(self.coefficients)
        if not np.isfinite(self.covariance).any():
            return eta, np.full(len(eta), np.inf)
        known = np.nan_to_num(self.covariance)
        variance = np.einsum("np,pq,nq->n", matrix, known, matrix)
        return eta, _quantile(level) * np.sqrt(np.maximum(variance, 0.0))

    def _mean_rows(self, covariates: Any, n: int) -> Floats:
        """The mean rows (n, V) at covariates of the mean."""
        if self.mean is not None:
            return np.broadcast_to(self.mean, (n, self.n_tokens))
        assert self.mean_coefficients is not None
        matrix = self.mean_design.matrix(covariates, "covariate of the mean")
        seen = np.isfinite(self.mean_coefficients[0])
        eta = np.full((len(matrix), self.n_tokens), -np.inf)
        eta[:, seen] = matrix @ np.nan_to_num(self.mean_coefficients[:, seen])
        rows = np.exp(eta - eta.max(axis=1, keepdims=True))
        rows /= rows.sum(axis=1, keepdims=True)
        return np.broadcast_to(rows, (n, self.n_tokens)) if len(rows) == 1 else rows

    def prior(self, covariates: Any, *, mean: Any = None) -> DirichletMixture:
        """The Dirichlet of rows at one setting of the covariates.

        Examples
        --------
        >>> import numpy as np
        >>> import matrixbayes as mb
        >>> rows = np.random.default_rng(0).dirichlet([6.0, 3.0], 500)
        >>> found = mb.regress_concentration(rows, None, kind="probs")
        >>> found.prior(None).alpha.round(0)
        array([[6., 3.]])
        """
        at = self.predict(covariates, mean=mean)
        if len(at.concentration) != 1:
            raise ValueError(f"a prior is of one setting, not of {len(at.concentration)}")
        alpha = np.maximum(at.concentration[:, np.newaxis] * at.mean, 1e-15)
        return DirichletMixture([1.0], alpha, tokens=self.tokens)

    def plot(self, covariate: str | None = None, *, ax: Axes | None = None) -> Axes:
        """The concentration against a covariate; see `matrixbayes.plot.concentration_regression`.

        Parameters
        ----------
        covariate : str, optional
            The first one by default.
        ax : matplotlib.axes.Axes, optional
        """
        from .plots import concentration_regression

        return concentration_regression(self, covariate, ax=ax)

    def to_pandas(self, level: float = 0.95) -> pd.DataFrame:
        """The coefficients as a data frame: a row each, with errors, z, p and the interval."""
        low, high = self.interval(level).T
        columns = {
            "coefficient": self.coefficients,
            "std_error": self.standard_errors,
            "z": self.z,
            "p_value": self.p_values,
            "low": low,
            "high": high,
        }
        return display.frame(columns, index=list(self.names))

    def _table(self) -> display.Table:
        what = "counts" if self.of_counts else "rows"
        title = f"ConcentrationRegression: {self.n_rows:,} {what} over {self.n_tokens:,} tokens"
        if self.df:
            title += f", against one for all p {_p(self.p_value, '= ')}"
        if self.n_groups is not None:
            title += f", {self.n_groups} groups"
        if not self.converged:
            title += ", NOT CONVERGED"
        low, high = self.interval().T
        rows = [
            [name, b, error, f"{_short(lo)} to {_short(hi)}", _p(p)]
            for name, b, error, lo, hi, p in zip(
                self.names,
                self.coefficients,
                self.standard_errors,
                low,
                high,
                self.p_values,
                strict=True,
            )
        ]
        columns = ["ln concentration", "coefficient", "std. error", "95% interval", "p"]
        return display.Table(title, columns, rows)


def _quantile(level: float) -> float:
    """Half of a two-sided interval, in standard errors."""
    from scipy.stats import norm

    return float(norm.isf(0.5 * (1.0 - probability(level, "interval", inside=True))))


def _short(value: float) -> str:
    return "nan" if np.isnan(value) else f"{value:.3g}"


def _p(value: float, equals: str = "") -> str:
    """A p-value in two digits."""
    return "< 1e-16" if value < 1e-16 else f"{equals}{value:.2g}"
