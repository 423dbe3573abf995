"""Tests of order: of tokens in sampled continuations, of demonstrations before a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._base.sequences import checked, checked_history
from .._base.typing import Floats, Ids, Seed
from .figures import order_figures
from .paths import continuations, drawn
from .predictors import as_rows, checked_predictor
from .result import SILENT, DiagnosticTest, check_options, monte_carlo, no_power, result

LAGS = 3
AT_ONCE = 2_000_000  # tokens that are permuted at a time
FIXED = SILENT + "every permutation is the same."


def exchangeability_test(
    predictor: Any,
    *,
    of: str = "continuations",
    history: Sequence[int] | ArrayLike = (),
    histories: ArrayLike | None = None,
    block: int = 1,
    n: int | None = None,
    length: int = 32,
    n_permutations: int = 8,
    noise: float = 1e-5,
    n_boot: int = 199,
    level: float = 0.05,
    rng: Seed = None,
) -> DiagnosticTest:
    """Test whether order matters.

    Parameters
    ----------
    predictor
        See `matrixbayes.diagnostics`.
    of : {"continuations", "predictions"}
        - "continuations": where tokens stand in sampled continuations, and how often they come
          again after 1 to 3 places.  The null permutes each continuation: exact for any
          exchangeable model, whatever its prior.
        - "predictions": how much the prediction changes when its history is permuted.
    history : sequence of int
        What the model has seen before the continuations, or before each permuted history.
    histories : array_like of int of shape (n, length), optional
        Predictions: what is permuted; the model's own continuations of `history` by default.
    block : int
        Predictions: tokens of a demonstration, which stay together (2 for input and label).
    n : int, optional
        Continuations (200 by default) or histories (16).
    length : int
        Of each.
    n_permutations : int
        Predictions: of each history, itself included.
    noise : float
        Predictions: standard deviation of a log-probability's error, 1e-5 by default for weights in
        float32.  An exact model changes by rounding alone, so the null is: no change but noise of
        this size.  Where the true noise is smaller the test rejects less often than `level`.
    n_boot : int
        Draws of the null.
    level : float
        Of the verdict.
    rng : numpy.random.Generator or int, optional

    Returns
    -------
    DiagnosticTest
        Of predictions: ``estimates["total_variation"]`` says how large the change is, which
        matters more than that there is one.

    Warns
    -----
    RuntimeWarning
        Nothing can be permuted, as where all tokens are equal: the test has no power.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> urn = mb.UrnPredictor(mb.DirichletMixture([1.0], [[1.0, 2.0]]))
    >>> mb.exchangeability_test(urn, n=50, length=12, rng=0).rejected
    False
    >>> found = mb.exchangeability_test(urn, of="predictions", rng=0)
    >>> found.p_value, found.estimates["total_variation"] < 1e-12
    (1.0, True)
    """
    check_options(n_boot, level)
    width = checked_predictor(predictor)
    generator = np.random.default_rng(rng)
    if of == "continuations":
        tokens = drawn(predictor, history, 200 if n is None else n, length, generator)[1]
        return order_of_continuations(tokens, width, n_boot, level, generator)
    if of != "predictions":
        raise ValueError(f"of={of!r} is not one of 'continuations', 'predictions'")
    start = checked_history(history, width, "history")
    count = 16 if n is None else n
    if histories is None:
        check_permutations((count, length), block, n_permutations, noise)
        tokens = continuations(predictor, start, count, length, generator)
    else:
        tokens = checked(histories, width, "histories")
        check_permutations(tokens.shape, block, n_permutations, noise)
    return order_of_predictions(
        predictor, start, tokens, block, n_permutations, noise, n_boot, level, generator
    )


def order_of_continuations(
    tokens: Ids, width: int, n_boot: int, level: float, rng: np.random.Generator
) -> DiagnosticTest:
    """Continuations against their own permutations."""
    n, length = tokens.shape
    fixed = bool((tokens == tokens[:, :1]).all())
    if fixed:
        no_power("each continuation repeats one token")
    lags = min(LAGS, length - 1)
    names = [f"place of token {v}" for v in range(width)]
    names += [f"repeats at lag {k}" for k in range(1, lags + 1)]
    observed = order_figures(tokens[np.newaxis], width, lags)[0]
    at_once = max(AT_ONCE // tokens.size, 1)
    draws = []
    for start in range(0, n_boot, at_once):
        copies = np.tile(tokens, (min(at_once, n_boot - start), 1, 1))
        draws.append(order_figures(rng.permuted(copies, axis=2), width, lags))
    null = np.concatenate(draws)
    passes = FIXED if fixed else f"No trace of order in {n} continuations."
    return result(
        "exchangeability of continuations",
        names,
        observed,
        monte_carlo(observed, null),
        (passes, "Order shows in continuations"),
        n_sequences=n,
        level=level,
    )


def check_permutations(
    shape: tuple[int, ...], block: int, n_permutations: int, noise: float
) -> None:
    """Refuse histories (n, length) that are not of two whole demonstrations or more."""
    n, length = shape
    if n < 1 or length < 1:
        raise ValueError(f"histories have shape {shape}: there is nothing to permute")
    if block < 1 or length % block or length < 2 * block:
        raise ValueError(f"histories of {length} tokens are not two demonstrations of {block}")
    if n_permutations < 2:
        raise ValueError(f"n_permutations is {n_permutations}; a spread needs two or more")
    if not 0.0 < noise < np.inf:
        raise ValueError(f"noise is {noise}; it is a positive number: exact models round too")


def order_of_predictions(
    predictor: Any,
    start: Ids,
    tokens: Ids,
    block: int,
    n_permutations: int,
    noise: float,
    n_boot: int,
    level: float,
    rng: np.random.Generator,
) -> DiagnosticTest:
    """Predictions after permuted histories, against one prediction for all of them, with noise.

    The tokens of `start` stay in front of each.
    """
    width = int(predictor.n_tokens)
    n, length = tokens.shape
    parts = np.repeat(tokens.reshape(n, 1, -1, block), n_permutations, axis=1)
    for own in parts:
        for other in own[1:]:  # the first stays as it was
            rng.shuffle(other)
    fixed = bool((parts == parts[:, :1]).all())
    if fixed:
        no_power("every history is its own permutation")
    permuted = parts.reshape(-1, length)
    whole = np.concatenate([np.tile(start, (len(permuted), 1)), permuted], axis=1)
    rows = as_rows(predictor.predict(whole.tolist()), (n, n_permutations, width))
    mean = rows.mean(axis=1, keepdims=True)
    observed = _apart(rows)
    draws = np.empty((n_boot, 2))
    for b in range(n_boot):
        noisy = mean * np.exp(noise * rng.standard_normal(rows.shape))
        draws[b] = _apart(noisy / noisy.sum(axis=-1, keepdims=True))
    passes = "Predictions do not change with the order of a history, but for noise."
    return result(
        "exchangeability of predictions",
        ["total variation, on average", "total variation, at most"],
        observed,
        monte_carlo(observed, draws, upper=True),
        (FIXED if fixed else passes, "Predictions change with order"),
        n_sequences=n,
        estimates={"total_variation": float(observed[0])},
        level=level,
    )


def _apart(rows: Floats) -> Floats:
    """Total variation of rows (n, permutations, V) from their mean: on average, and at most."""
    apart = 0.5 * np.abs(rows - rows.mean(axis=1, keepdims=True)).sum(axis=2)
    return np.array([apart.mean(), apart.max()])
