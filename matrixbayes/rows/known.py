"""Rows that hold less than one number for every column: what they answer instead of an array.

Contents
    InPart     a type of rows that are no array
    whole      anything but those
"""

from __future__ import annotations

from typing import Any

from .._base import display
from ..errors import ArgumentError


class InPart(display.Shown):
    """Rows that are known in part, and so are no array of numbers."""

    __slots__ = ()

    def _remedy(self) -> str:
        """What to do where whole rows are needed, in a sentence."""
        raise NotImplementedError

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise ArgumentError(self._remedy())


def whole(X: Any) -> Any:
    """What a caller handed in, unless it is rows known in part.

    Raises
    ------
    ArgumentError
        It is; the message says what to do.
    """
    if isinstance(X, InPart):
        raise ArgumentError(X._remedy())
    return X
