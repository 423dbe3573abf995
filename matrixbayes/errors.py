"""The warnings and errors of this package that Python has no word for."""

__all__ = ["ConvergenceWarning", "NotFittedError"]


class ConvergenceWarning(UserWarning):
    """A fit ended somewhere else than at an optimum; the message says why."""


class NotFittedError(ValueError, AttributeError):
    """An estimator was asked for what it only knows after `fit`."""
