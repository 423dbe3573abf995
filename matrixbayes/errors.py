"""The warnings and errors of this package that Python has no word for."""

__all__ = [
    "ArgumentError",
    "ConvergenceWarning",
    "MisfitWarning",
    "NoSuchTokenError",
    "NotFittedError",
    "UsageError",
]


class ConvergenceWarning(UserWarning):
    """A fit ended somewhere else than at an optimum; the message says why."""


class MisfitWarning(UserWarning):
    """A fit is at its optimum, and what it found does not describe the data; the message says how
    it is seen and what to do.  No `ConvergenceWarning`: more passes do not mend it."""


class NotFittedError(ValueError, AttributeError):
    """An estimator was asked for what it only knows after `fit`."""


class ArgumentError(TypeError, ValueError):
    """An argument that is not what it must be; of a wrong type or value, which are one question
    where a type holds some values and not others."""


class NoSuchTokenError(KeyError, ValueError):
    """A name or number that is no token; the message says which were meant."""

    __str__ = Exception.__str__  # that of KeyError puts the sentence in quotes


class UsageError(ValueError):
    """Something the user of the command line can mend; its message is one line."""

    def __init__(self, message: object) -> None:
        super().__init__(" ".join(str(message).split()))
