"""A head as callers give it: a `Head`, the model that has one, or a bare matrix.

Contents
    head_or_matrix    which of them it is, held against what the rows say of their head
    floor_of          how far rounding takes the rows' logits from their head's
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._base.numbers import reals
from .._base.typing import Floats
from ..huggingface.heads import Head, head_of
from ..rows import NextTokenRows

REMEDY = "give head_of(model, norm=False), or the model, in the place of its matrix"


def head_or_matrix(given: Any, *rows: Any, refused: set[str]) -> Head | Floats:
    """The `Head` of what was given, or the matrix (V, d).

    `refused` is what rows may not say of their head where a bare matrix is given: that it has "a
    bias", "a scale", "a softcap".

    Raises
    ------
    ValueError
        A bare matrix, and rows whose head is more, or none; a head that begins before its final
        norm; a matrix that is none.
    """
    if hasattr(given, "get_output_embeddings"):
        given = head_of(given, norm=False)
    if isinstance(given, Head):
        if given.starts_before_norm:
            raise ValueError(
                "W is a head with its final norm, which is no matrix: give it by "
                "head_of(model, norm=False)"
            )
        return given
    for each in rows:
        said = _said_by(each)
        has = {"a softcap": said.get("cap") is not None, "a bias": said.get("bias", False)}
        has["a scale"] = said.get("scale", 1.0) != 1.0
        for what in has:
            if has[what] and what in refused:
                raise ValueError(f"these rows are from a head with {what}: {REMEDY}")
        if said.get("refusal"):
            raise ValueError(f"these rows are from no head that is known: {said['refusal']}")
    return reals(given, "W")


def floor_of(head: Head | Floats, *rows: Any) -> float:
    """How far rounding takes logits of the rows from those of their head; 0.0 where nobody says."""
    if isinstance(head, Head):
        return head.floor
    return max([0.0, *(float(_said_by(each).get("floor", 0.0)) for each in rows)])


def logits_of(head: Head | Floats, states: Floats) -> Floats:
    """In double precision, (N, V)."""
    return head.exact(states) if isinstance(head, Head) else np.asarray(states @ head.T)


def _said_by(rows: Any) -> dict[str, Any]:
    return dict(rows.meta.get("head") or {}) if isinstance(rows, NextTokenRows) else {}
