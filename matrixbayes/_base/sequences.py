"""Sequences of tokens: their counts, random places in rows, and log-probabilities.

Contents
    checked, checked_history    sequences, and one of them
    seen, followers             counts before each position
    draws, chosen               tokens from rows
    log_sum_exp, log_product    of numbers that may be too small for a double
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .numbers import plain
from .typing import Floats, Ids

BLOCK_NUMBERS = 1 << 24  # worked on at a time


def checked(sequences: ArrayLike, n_tokens: int, what: str = "sequences") -> Ids:
    """Sequences (n, length) of tokens below V; errors call them `what`."""
    array = plain(sequences, what)
    if array.ndim != 2 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(
            f"{what} have shape {array.shape} and type {array.dtype}; they need (n, length) "
            "whole numbers"
        )
    if array.size and not 0 <= int(array.min()) <= int(array.max()) < n_tokens:
        i, t = np.argwhere((array < 0) | (array >= n_tokens))[0]
        raise ValueError(f"{what}[{i}, {t}] is {array[i, t]}; tokens are 0 to {n_tokens - 1}")
    return array.astype(np.int64)


def checked_history(given: Any, n_tokens: int, name: str) -> Ids:
    """One history as column numbers; errors call it `name`."""
    history = plain(given, name)
    if history.ndim != 1 or (history.size and history.dtype.kind not in "iu"):
        raise ValueError(
            f"{name} has shape {history.shape} and type {history.dtype}; it needs column "
            f"numbers from 0 to {n_tokens - 1}"
        )
    outside = np.flatnonzero((history < 0) | (history >= n_tokens))
    if len(outside):
        raise ValueError(
            f"token {outside[0]} of {name} is {history[outside[0]]}; columns are 0 to "
            f"{n_tokens - 1}"
        )
    return history.astype(np.int64)


def log_sum_exp(values: Floats, axis: int) -> Floats:
    """Along an axis, which stays; -inf where all are."""
    most = values.max(axis=axis, keepdims=True)
    most = np.where(np.isneginf(most), 0.0, most)
    with np.errstate(divide="ignore"):
        found: Floats = most + np.log(np.exp(values - most).sum(axis=axis, keepdims=True))
    return found


def log_product(log_x: Floats, matrix: Floats) -> Floats:
    """ln(exp(log_x) @ matrix), also of what is too small for a double."""
    most = log_x.max(axis=1, keepdims=True)
    most = np.where(np.isneginf(most), 0.0, most)
    product = np.exp(log_x - most) @ matrix
    small = product < 1e-290
    with np.errstate(divide="ignore"):
        found = np.log(product) + most
        if small.any():
            can_be = np.isfinite(log_x).astype(float) @ (matrix > 0.0) > 0.0
            i, j = np.nonzero(small & can_be)
            found[i, j] = log_sum_exp(log_x[i] + np.log(matrix.T[j]), axis=1)[:, 0]
    return found


def followers(tokens: Ids, n_tokens: int) -> Floats:
    """Counts (n, length, V) of what followed the last token so far, before each position."""
    n, length = tokens.shape
    counts = np.zeros((n, length, n_tokens))
    before = np.zeros((n, n_tokens), dtype=np.int64)  # the last position behind a token, or 0
    own = np.arange(n)
    for t in range(1, length):
        last = tokens[:, t - 1]
        known = np.flatnonzero(before[own, last])
        then = before[known, last[known]]
        counts[known, t] = counts[known, then]
        counts[known, t, tokens[known, then]] += 1.0
        before[own, last] = t
    return counts


def seen(tokens: Ids, n_tokens: int, gamma: float = 1.0) -> Floats:
    """Counts (..., length + 1, V) after each token; all are multiplied by gamma before another."""
    once = np.zeros((*tokens.shape[:-1], tokens.shape[-1] + 1, n_tokens))
    np.put_along_axis(once[..., 1:, :], tokens[..., np.newaxis], 1.0, axis=-1)
    if gamma == 1.0:
        return np.cumsum(once, axis=-2)
    for t in range(1, once.shape[-2]):
        once[..., t, :] += gamma * once[..., t - 1, :]
    return once


def chosen(ends: Floats, place: Floats) -> Ids:
    """A place for each row of running sums (n, V), with the probability of its step."""
    found: Ids = (place[:, np.newaxis] * ends[:, -1:] >= ends).sum(axis=1)
    np.minimum(found, ends.shape[1] - 1, out=found)
    return found


def draws(rows: Floats, length: int, rng: np.random.Generator) -> Ids:
    """Independent tokens (n, length) from rows (n, V)."""
    n, width = rows.shape
    ends = np.cumsum(rows, axis=1)
    place = rng.random((n, length)) * ends[:, -1:]
    tokens = np.empty((n, length), dtype=np.int64)
    many = max(1, BLOCK_NUMBERS // max(1, length * width))
    for first in range(0, n, many):
        own = slice(first, first + many)
        tokens[own] = (place[own, :, np.newaxis] >= ends[own, np.newaxis]).sum(axis=2)
    np.minimum(tokens, width - 1, out=tokens)
    return tokens
