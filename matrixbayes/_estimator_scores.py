"""What a fitted mixture says of rows: scikit-learn's questions, answered."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import parallel
from ._em_streams import StreamData
from ._estimator import generator_of
from .information import Information, information
from .mixture import DirichletMixture

__all__ = ["ScoresMixin"]

Floats = NDArray[np.float64]


class ScoresMixin:
    """Scores, labels, samples and criteria of an estimator with ``prior_``."""

    prior_: DirichletMixture
    random_state: Any
    executor: Any
    n_jobs: int | None

    def _check_fitted(self) -> None:
        raise NotImplementedError

    def _judged(self, X: Any, sample_weight: Any, pool: Any) -> Any:
        """Data to judge by the fitted mixture."""
        raise NotImplementedError

    def _log_joint(self, X: Any) -> tuple[Floats, Floats]:
        """Probability of each component given each row (N, K), and the row's log-score (N,)."""
        raise NotImplementedError

    def score_samples(self, X: Any) -> Floats:
        """Log-density of each row, or log-evidence of its counts as a sequence, in nats; (N,)."""
        return self._log_joint(X)[1]

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean log-density of a row, in nats; by weight, if rows have one."""
        log_likelihood, total_weight = self._scored(X, sample_weight)
        return log_likelihood / total_weight

    def _scored(self, X: Any, sample_weight: ArrayLike | None) -> tuple[float, float]:
        """Log-likelihood of rows, each as often as its weight says, and how many they are."""
        with parallel.workers(self.executor, self.n_jobs) as pool:
            data = self._judged(X, sample_weight, pool)
            scores = data.posterior(self.prior_)[1]
        if data.weights is None:
            return float(scores.sum()), float(len(scores))
        return float(data.weights @ scores), data.total_weight

    def predict_proba(self, X: Any) -> Floats:
        """Probability of each component given each row; shape (N, K)."""
        return self._log_joint(X)[0]

    def predict(self, X: Any) -> NDArray[np.intp]:
        """The most probable component of each row; shape (N,)."""
        return self.predict_proba(X).argmax(axis=1)

    def sample(self, n_samples: int = 1) -> tuple[Floats, NDArray[np.intp]]:
        """Random rows of probabilities, and the component most probable for each."""
        self._check_fitted()
        rows = self.prior_.sample(n_samples, rng=generator_of(self.random_state), kind="log_probs")
        labels = self.prior_.responsibilities(rows, kind="log_probs").argmax(axis=1)
        return np.exp(rows), labels

    @property
    def n_parameters_(self) -> int:
        """Free parameters: K - 1 weights and K V alphas."""
        self._check_fitted()
        return self.prior_.n_components - 1 + self.prior_.alpha.size

    def aic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Akaike's criterion of the fitted mixture on rows; lower is better."""
        return 2.0 * self.n_parameters_ - 2.0 * self._scored(X, sample_weight)[0]

    def bic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Bayesian information criterion of the fitted mixture on rows; lower is better.

        With weights there are as many rows as they sum to.
        """
        log_likelihood, total_weight = self._scored(X, sample_weight)
        return self.n_parameters_ * float(np.log(total_weight)) - 2.0 * log_likelihood

    def information(self, X: Any, sample_weight: ArrayLike | None = None) -> Information:
        """Standard errors, and Laplace's approximation of the evidence, at the fitted mixture.

        Parameters
        ----------
        X : array_like of shape (N, V), NextTokenRows, or sparse counts
            The rows that the mixture was fitted to, in memory.
        sample_weight : array_like of shape (N,), optional

        Returns
        -------
        Information
            ``alpha_se`` (K, V), ``weights_se`` (K,), ``log_evidence``, ``hessian``, and
            ``is_maximum``: whether the parameters are identified.  With weights, of rows repeated
            as often.

        Raises
        ------
        ValueError
            There are more than 4,000 parameters, or the rows are not in memory.

        Notes
        -----
        The Hessian is that of the whole mixture, responsibilities included (Louis 1982).  The
        evidence is under normal priors of ln alpha, mean 0 and standard deviation 3, and a uniform
        prior of the weights, by Laplace's method at the mode of that posterior; of counts as
        sequences, without multinomial coefficients.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> rows = mb.DirichletMixture([1.0], [[8.0, 2.0]]).sample(400, rng=0)
        >>> fitted = mb.DirichletMixtureEstimator(1, kind="probs").fit(rows)
        >>> fitted.information(rows).alpha_se.round(1)
        array([[0.5, 0.1]])
        """
        with parallel.workers(self.executor, self.n_jobs) as pool:
            data = self._judged(X, sample_weight, pool)
            if isinstance(data, StreamData):
                raise ValueError("the information needs rows in memory; give some of them")
            return information(self.prior_, data)
