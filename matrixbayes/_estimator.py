"""What an estimator of scikit-learn's kind needs besides its model: parameters, zeros."""

from __future__ import annotations

import copy
import inspect
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._base_arguments import generator_of as generator_of
from ._numbers import plain, reals

__all__ = [
    "FLOOR",
    "ParametersMixin",
    "distinct_rows",
    "numeric",
    "without_zeros",
]

FLOOR = 1e-12  # what zeros="floor" puts in the place of a smaller probability


class ParametersMixin:
    """The constructor's parameters as scikit-learn's tools read and set them."""

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's parameters by name; `deep` is ignored, none of them nests."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters of the constructor by name; returns the estimator."""
        known = self._parameter_names()
        for name in parameters:
            if name not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self}. Valid parameters are: "
                    f"{known}."
                )
        for name, value in parameters.items():
            setattr(self, name, value)
        return self

    # An executor holds threads and locks, which neither copy nor pickle.

    def __copy__(self) -> Self:
        again = type(self).__new__(type(self))
        vars(again).update(vars(self))
        return again

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        again = type(self).__new__(type(self))
        for name, value in vars(self).items():
            setattr(again, name, value if name == "executor" else copy.deepcopy(value, memo))
        return again

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "executor": None}

    def __sklearn_clone__(self) -> Self:
        return type(self)(
            **{
                name: value if name == "executor" else copy.deepcopy(value)
                for name, value in self.get_params().items()
            }
        )

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if not _is_default(value, defaults[name].default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(
            estimator_type="density_estimator",
            target_tags=TargetTags(required=False),
            input_tags=InputTags(allow_nan=False),
        )


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, (int, float, str)) and value == default)


def numeric(X: Any) -> Any:
    """Input of the kinds that scikit-learn's tools hand over, as an array of floats.

    A tensor is handed on as it is.
    """
    if hasattr(X, "tocsr"):
        raise TypeError("Sparse data was passed but dense rows are required; use X.toarray()")
    if hasattr(X, "detach"):
        return X
    if getattr(getattr(X, "dtype", None), "kind", "") == "c":
        raise ValueError(f"Complex data not supported: rows are {X.dtype}")
    array = plain(X, "rows")
    if array.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {array.ndim}D array of shape {array.shape} instead. Reshape "
            "your data: X.reshape(1, -1) if it is a single row"
        )
    if array.shape[1] == 0:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={array.shape}) while a minimum of 2 is required."
        )
    return reals(array, "rows") if array.dtype.kind in "biuO" else array


def without_zeros(
    log_probs: NDArray[np.floating], policy: str
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Rows without exact zeros, and which rows they are.

    Parameters
    ----------
    log_probs : ndarray of shape (N, V)
    policy : {"error", "floor", "drop"}
        See `DirichletMixtureEstimator`.
    """
    count, row, column = _core.check_log_probs(log_probs)
    kept = np.ones(len(log_probs), dtype=bool)
    if count == 0:
        return log_probs, kept
    if policy == "error":
        raise ValueError(
            f"{count} of {len(log_probs)} rows hold an exact zero, where a Dirichlet has no "
            f"likelihood; the first is row {row}, column {column}.  Give log-probabilities from "
            "before they underflowed, or a coarser vocabulary; or choose zeros='floor' (at least "
            f"{FLOOR:g} for every token) or zeros='drop' (those rows left out)"
        )
    hit = np.asarray(np.isneginf(log_probs).any(axis=1))
    if policy == "drop":
        return log_probs[~hit], np.logical_not(hit)
    floored = np.array(log_probs)
    raised = np.maximum(floored[hit].astype(np.float64), np.log(FLOOR))
    floored[hit] = raised - np.log(np.exp(raised).sum(axis=1, keepdims=True))
    return floored, kept


def distinct_rows(log_probs: NDArray[np.floating]) -> int:
    """How many different rows there are."""
    return len({row.tobytes() for row in log_probs})
