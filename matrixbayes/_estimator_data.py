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
from ._estimator_penalty import GammaPrior, Penalty
from ._names import columns_in, labels_of, order_of, string_labels
from ._numbers import plain, whole
from ._rows_ingest import log_probs_of
from ._weights import checked_weights, n_units, present, spread, weights_of
from .em import CountData, RowData, StreamData
from .errors import ArgumentError, NotFittedError
from .mixture import DirichletMixture
from .rows import NextTokenRows

__all__ = ["DataMixin"]

Floats = NDArray[np.float64]


class DataMixin:
    """Checks of an estimator's parameters, and its data."""

    prior_: DirichletMixture
    n_components: int
    n_features_in_: int
    weights_: Floats
    alpha_: Floats
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
            try:
                whole(value, name, 1)
            except ValueError:
                raise ValueError(f"{name}={value!r} must be a positive integer") from None
        if not self.tol >= 0.0:
            raise ValueError(f"tol={self.tol!r} must be >= 0")
        if not 0.0 < self.max_concentration <= 2.0**60:
            raise ValueError(
                f"max_concentration={self.max_concentration!r} must be positive and 2**60 at most"
            )
        if self.zeros not in ("error", "floor", "drop"):
            raise ValueError(f"zeros={self.zeros!r} is not one of 'error', 'floor', 'drop'")

        self._penalty()

    def _penalty(self) -> Penalty:
        """What EM adds to the log-likelihood, checked."""
        return Penalty.of(self.concentration_prior, self.max_concentration)

    def _log_probs(self, X: Any) -> NDArray[np.floating]:
        """Log-probabilities; `kind` speaks of bare arrays only."""
        if isinstance(X, NextTokenRows):
            return X.log_probs
        return log_probs_of(numeric(X), self.kind, check=False)[0]  # `without_zeros` does

    def _data(
        self,
        X: Any,
        sample_weight: ArrayLike | None,
        pool: tuple[Executor | None, int],
        zeros: str | None = None,
        wanted: tuple[Any, ...] | None = None,
    ) -> tuple[em.Data, tuple[str, ...] | None, NDArray[np.bool_], int]:
        """Data for EM, token names, which rows of X they are, and how many zeros dropped.

        Rows of weight 0 are left out before anything looks at them; columns with labels are put
        in the order of the `wanted` ones.
        """
        policy = zeros or self.zeros
        if isinstance(X, StreamData):
            return X, None, X.there, 0
        weights = checked_weights(sample_weight)
        if is_stream(X):
            stream = StreamData.of(
                X, kind=self.kind, zeros=policy, weights=weights, pool=pool, wanted=wanted
            )
            return stream, stream.tokens, stream.there, 0
        X, weights, there = present(X, weights)
        order, tokens = self._order(X, wanted), string_labels(X)
        data: em.Data
        if self.kind == "counts" and not isinstance(X, NextTokenRows):
            rows = em.encode(X if order is None else columns_in(plain(X, "counts"), order))
            kept = np.ones(rows.n_rows, dtype=bool)
            data = CountData(rows, weights_of(weights, kept), pool)
        else:
            log_probs, kept = without_zeros(columns_in(self._log_probs(X), order), policy)
            data = RowData(log_probs, weights_of(weights, kept), pool)
        n_dropped = len(kept) - data.n_rows
        return data, tokens, kept if there is None else spread(kept, there), n_dropped

    def _order(self, X: Any, wanted: tuple[Any, ...] | None) -> NDArray[np.intp] | None:
        """Where the columns of the fit are among those of X; None where they are in place.

        The sentences are scikit-learn's, whose tools look for them.
        """
        given = labels_of(X)
        if wanted is None and given is None:
            return None
        wanted, given = _both_labels(X, wanted, given)
        try:
            return order_of(given, wanted, "the columns")
        except ArgumentError as error:
            assert given is not None
            assert wanted is not None
            unseen = [name for name in given if name not in set(wanted)]
            gone = [name for name in wanted if name not in set(given)]
            parts = ["The feature names should match those that were passed during fit."]
            for title, names in (
                ("Feature names unseen at fit time:", unseen),
                ("Feature names seen at fit time, yet now missing:", gone),
            ):
                more = ["- ..."] if len(names) > 5 else []
                if names:
                    parts += [title, *(f"- {name}" for name in sorted(names, key=str)[:5]), *more]
            raise ValueError("\n".join([*parts, f"({error})"])) from None

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

    def _remember_names(self, X: Any) -> None:
        """The columns' names, of a mixture that was fitted to the numbers of X alone."""
        self._remember_columns(X, self.n_features_in_)
        tokens = string_labels(X)
        if tokens is not None and self.prior_.tokens is None:
            self.prior_ = DirichletMixture(self.weights_, self.alpha_, tokens=tokens)
            self.weights_, self.alpha_ = self.prior_.weights, self.prior_.alpha

    def _remember_columns(self, X: Any, width: int) -> None:
        self.n_features_in_ = width
        columns = getattr(X, "columns", None) if hasattr(X, "to_numpy") else None
        self._columns_in = labels_of(X) if columns is None else tuple(columns)
        names = string_labels(X)
        if columns is not None and names is not None:
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
        wanted = getattr(self, "_columns_in", self.prior_.tokens)
        data, *_ = self._data(X, sample_weight, pool, policy, wanted)
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


def _both_labels(
    X: Any, wanted: tuple[Any, ...] | None, given: tuple[Any, ...] | None
) -> tuple[tuple[Any, ...] | None, tuple[Any, ...] | None]:
    """The labels of both sides; of numbers that a frame has by default, none but where the other
    side has the same numbers in another order."""
    mine = tuple(X.columns) if given is None and hasattr(X, "columns") else given
    if wanted is None or mine is None:
        return None, None
    by_default = tuple(range(len(wanted)))
    if (wanted == by_default or mine == tuple(range(len(mine)))) and set(wanted) != set(mine):
        return None, None
    return wanted, mine
