"""What goes into an estimator: parameters and data, checked, in the form that EM wants."""

from __future__ import annotations

import sys
from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import em, parallel
from ._em_streams import is_stream
from ._estimator import numeric, without_zeros
from ._rows_ingest import log_probs_of
from ._weights import checked_weights, n_units, present, spread, weights_of
from .em import CountData, GammaPrior, RowData, StreamData
from .errors import NotFittedError
from .mixture import DirichletMixture
from .rows import NextTokenRows, as_log_probs

__all__ = ["DataMixin"]

Floats = NDArray[np.float64]


class DataMixin:
    """Checks of an estimator's parameters, and its data."""

    prior_: DirichletMixture
    n_components: int
    kind: str | None
    tol: float
    max_iter: int
    max_concentration: float
    concentration_prior: GammaPrior | None
    zeros: str
    executor: Executor | None
    n_jobs: int | None

    def _check_parameters(self) -> None:
        for name in ("n_components", "max_iter", "n_init"):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name}={value!r} must be a positive integer")
        if not self.tol >= 0.0:
            raise ValueError(f"tol={self.tol!r} must be >= 0")
        if not (self.max_concentration > 0.0 and np.isfinite(self.max_concentration)):
            raise ValueError(
                f"max_concentration={self.max_concentration!r} must be positive and finite"
            )
        if self.zeros not in ("error", "floor", "drop"):
            raise ValueError(f"zeros={self.zeros!r} is not one of 'error', 'floor', 'drop'")

        self._prior()

    def _prior(self) -> em.Prior:
        """The prior on concentrations, checked."""
        return em.Prior.of(self.concentration_prior, self.max_concentration)

    def _log_probs(self, X: Any) -> tuple[NDArray[np.floating], tuple[str, ...] | None]:
        """Log-probabilities and token names; `kind` speaks of bare arrays only."""
        if isinstance(X, NextTokenRows):
            return as_log_probs(X)
        return log_probs_of(numeric(X), self.kind, check=False)  # `without_zeros` does

    def _data(
        self,
        X: Any,
        sample_weight: ArrayLike | None,
        pool: tuple[Executor | None, int],
        zeros: str | None = None,
    ) -> tuple[em.Data, tuple[str, ...] | None, NDArray[np.bool_], int]:
        """Data for EM, token names, which rows of X they are, and how many zeros dropped.

        Rows of weight 0 are left out before anything looks at them.
        """
        policy = zeros or self.zeros
        if isinstance(X, StreamData):
            return X, None, X.there, 0
        weights = checked_weights(sample_weight)
        if is_stream(X):
            stream = StreamData.of(X, kind=self.kind, zeros=policy, weights=weights, pool=pool)
            return stream, None, stream.there, 0
        X, weights, there = present(X, weights)
        tokens: tuple[str, ...] | None = None
        data: em.Data
        if self.kind == "counts" and not isinstance(X, NextTokenRows):
            rows = em.encode(X)
            kept = np.ones(rows.n_rows, dtype=bool)
            data = CountData(rows, weights_of(weights, kept), pool)
        else:
            log_probs, tokens = self._log_probs(X)
            log_probs, kept = without_zeros(log_probs, policy)
            data = RowData(log_probs, weights_of(weights, kept), pool)
        n_dropped = len(kept) - data.n_rows
        return data, tokens, kept if there is None else spread(kept, there), n_dropped

    def _check_shape(self, data: em.Data) -> None:
        """Refuse data too small for the mixture."""
        shape = f"(shape=({data.n_rows}, {data.n_tokens}))"
        if data.n_tokens < 2:
            raise ValueError(
                f"Found array with {data.n_tokens} feature(s) {shape} while a minimum of 2 is "
                "required."
            )
        if n_units(data.n_rows, data.total_weight) < self.n_components:
            raise ValueError(
                f"Found array with {data.n_rows} sample(s) {shape} while a minimum of "
                f"{self.n_components} is required: one per component"
            )

    def _remember_columns(self, X: Any, width: int) -> None:
        self.n_features_in_ = width
        names = getattr(X, "columns", None) if hasattr(X, "to_numpy") else None
        if names is not None and all(isinstance(name, str) for name in names):
            self.feature_names_in_ = np.asarray(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _judged(
        self, X: Any, sample_weight: ArrayLike | None, pool: tuple[Executor | None, int]
    ) -> em.Data:
        """Data to judge by the fitted mixture."""
        self._check_fitted()
        # Dropping rows here would tear results and rows apart.
        policy = "floor" if self.zeros == "floor" else "error"
        data, *_ = self._data(X, sample_weight, pool, policy)
        if data.n_tokens != self.n_features_in_:
            raise ValueError(
                f"X has {data.n_tokens} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        return data

    def _check_fitted(self) -> None:
        if not hasattr(self, "prior_"):
            # both ours and scikit-learn's, where that is loaded, whoever loaded it
            known = sys.modules.get("sklearn.exceptions")
            both = (NotFittedError,) if known is None else (NotFittedError, known.NotFittedError)
            raise type("NotFittedError", both, {})(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with "
                "appropriate arguments before using this estimator."
            )

    def _log_joint(self, X: Any) -> tuple[Floats, Floats]:
        """Probability of each component given each row (N, K), and the row's log-score (N,)."""
        with parallel.workers(self.executor, self.n_jobs) as pool:
            return self._judged(X, None, pool).posterior(self.prior_)
