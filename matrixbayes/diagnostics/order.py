"""Tests of order: of tokens in sampled continuations, of demonstrations before a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._base.arguments import generator_of, real, shown, times, whole
from .._base.asked import asked
from .._base.sequences import checked, checked_history
from .._base.typing import Floats, Ids, Seed
from ..mixture import DirichletMixture
from .choice import check_family, nearest
from .figures import order_figures, order_names
from .nulls import Null
from .path_tests import Given
from .paths import Paths, along, continuations, drawn
from .predictors import as_rows, checked_predictor
from .result import SILENT, DiagnosticTest, check_options, monte_carlo, no_power, result
from .urns import UrnNull

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
    null: Given = None,
    family: str = "auto",
    max_components: int = 3,
    n_boot: int = 199,
    level: float = 0.05,
    rng: Seed = None,
) -> DiagnosticTest:
    """Test whether order matters beyond what its family allows.

    Parameters
    ----------
    predictor
        See `matrixbayes.diagnostics`.
    of : {"continuations", "predictions"}
        - "continuations": where tokens stand in sampled continuations, and how often they come
          again after 1 to 3 places.  The null permutes each continuation: exact for any
          model of its family, whatever its prior.
        - "predictions": how much the prediction changes when its history is permuted.

        A learner of draws from an urn (``"iid"``) is exchangeable: every permutation is as
        probable.  One of Markov chains (``"markov"``) is partially exchangeable: paths of the same
        first token and the same transition counts are, and what follows the visits of a
        row is exchangeable.  The null draws evenly among those, and places and repeats are among
        the visits of each row, repeats along the path as well.  Variable-order chains
        (``"tree"``) are partially exchangeable by their deepest contexts, most of which come once,
        but for their balancing source, which is not: continuations are compared with draws of the
        elicited tree, and predictions say nothing where its own go by order.
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
    null, family, max_components
        As in `martingale_test`: only the family matters here.  Choosing one needs the predictions
        all along the continuations or histories; ``family="iid"`` needs none.  Demonstrations of
        two tokens or more (`block`) change places under ``"iid"``.
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

    References
    ----------
    P. Diaconis, D. Freedman (1980), De Finetti's theorem for Markov chains.

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
    check_family(family, null, width)
    max_components = whole(max_components, "max_components", 1)
    generator = generator_of(rng)
    options = (null, family, max_components, generator)
    if of == "continuations":
        start, tokens = drawn(predictor, history, 200 if n is None else n, length, generator)
        paths, found = _nearest(predictor, start, tokens, *options)
        return order_of_continuations(paths, found, n_boot, level, generator)
    if of != "predictions":
        raise ValueError(f"of={shown(of)} is not one of 'continuations', 'predictions'")
    if block > 1:  # that demonstrations may change places is what their size says
        if family not in ("auto", "iid"):
            raise ValueError(f"block is {block}; demonstrations change places under 'iid' alone")
        options = (null, "iid", max_components, generator)
    start = checked_history(history, width, "history")
    count = 16 if n is None else n
    if histories is None:
        check_permutations((count, length), block, n_permutations, noise)
        tokens = continuations(predictor, start, count, length, generator)
    else:
        tokens = checked(histories, width, "histories")
        check_permutations(tokens.shape, block, n_permutations, noise)
    found = _nearest(predictor, start, tokens, *options)[1]
    return order_of_predictions(
        predictor, start, tokens, found, block, n_permutations, noise, n_boot, level, generator
    )


def _nearest(
    predictor: Any,
    start: Ids,
    tokens: Ids,
    null: Given,
    family: str,
    max_components: int,
    rng: np.random.Generator,
) -> tuple[Paths, Null]:
    """The null of what is said along tokens; of an urn no more matters than that it is one."""
    if family == "iid" and null is None:
        width = int(predictor.n_tokens)
        paths = Paths(tokens, np.full((*tokens.shape, width), 1.0 / width), tuple(start.tolist()))
        return paths, UrnNull(np.nan, DirichletMixture([1.0], [np.ones(width)]))
    paths = along(predictor, start, tokens)
    return paths, nearest(paths, null, family, max_components, rng)


def order_of_continuations(
    paths: Paths, null: Null, n_boot: int, level: float, rng: np.random.Generator
) -> DiagnosticTest:
    """Continuations against their own permutations, or against draws of a null that has none."""
    tokens, width = paths.tokens, null.n_tokens
    n, length = tokens.shape
    keyed = null.few(length) > 0
    lags = min(LAGS, length - 1)
    observed = order_figures(tokens[np.newaxis], width, lags, null.visited(tokens[np.newaxis]))[0]
    at_once = max(AT_ONCE // tokens.size, 1)
    draws = []
    fixed = not null.drawn
    for start in range(0, n_boot, at_once):
        many = min(at_once, n_boot - start)
        if null.drawn:
            copies, _ = null.draw(many, n, length, rng, rows=False)
        else:
            copies = null.shuffled(np.tile(tokens, (many, 1, 1)), rng)
            fixed &= bool((copies == tokens).all())
        draws.append(order_figures(copies, width, lags, null.visited(copies)))
    if fixed:
        no_power(f"each continuation {'is its own permutation' if keyed else 'repeats one token'}")
    passes = FIXED if fixed else f"No trace of order in {n} continuations."
    return result(
        "exchangeability of continuations",
        order_names(width, lags, keyed),
        observed,
        monte_carlo(observed, np.concatenate(draws)),
        (passes, "Order shows in continuations"),
        null,
        drawn=null.drawn,
        n_sequences=n,
        level=level,
    )


MOST_NOISE = 100.0  # the standard deviation of a logarithm


def check_permutations(
    shape: tuple[int, ...], block: int, n_permutations: int, noise: float
) -> None:
    """Refuse histories (n, length) that are not of two whole demonstrations or more."""
    n, length = shape
    block, n_permutations = whole(block, "block", 0), times(n_permutations, "n_permutations", 0)
    if n < 1 or length < 1:
        raise ValueError(f"histories have shape {shape}: there is nothing to permute")
    if block < 1 or length % block or length < 2 * block:
        raise ValueError(f"histories of {length} tokens are not two demonstrations of {block}")
    if n_permutations < 2:
        raise ValueError(f"n_permutations is {n_permutations}; a spread needs two or more")
    real(noise, "noise", MOST_NOISE)  # above 0: exact models round too


def order_of_predictions(
    predictor: Any,
    start: Ids,
    tokens: Ids,
    null: Null,
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
    parts = np.repeat(tokens[:, np.newaxis], n_permutations, axis=1)
    if null.order:
        parts[:, 1:] = null.shuffled(parts[:, 1:], rng, tuple(start.tolist()))
    else:
        for own in parts.reshape(n, n_permutations, -1, block):
            for other in own[1:]:  # the first stays as it was
                rng.shuffle(other)
    fixed = bool((parts == parts[:, :1]).all())
    if fixed:
        no_power("every history is its own permutation")
    permuted = parts.reshape(-1, length)
    texts = np.concatenate([np.tile(start, (len(permuted), 1)), permuted], axis=1)
    found = asked(f"{len(texts)} histories", predictor.predict, texts.tolist())
    rows = as_rows(found, (n, n_permutations, width))
    mean = rows.mean(axis=1, keepdims=True)
    observed = _apart(rows)
    draws = np.empty((n_boot, 2))
    for b in range(n_boot):
        noisy = mean * np.exp(noise * rng.standard_normal(rows.shape))
        draws[b] = _apart(noisy / noisy.sum(axis=-1, keepdims=True))
    says = "Predictions do not change with the order of a history, but for noise."
    null_rows = null.last_rows(parts, tuple(start.tolist()))
    if null_rows is not None and _apart(null_rows)[1] > noise:
        no_power("what the null says goes by order as well")
        says = SILENT + f"a learner of {null.words} goes by order itself."
        observed, draws = 0.0 * observed, 0.0 * draws
    return result(
        "exchangeability of predictions",
        ["total variation, on average", "total variation, at most"],
        observed,
        monte_carlo(observed, draws, upper=True),
        (FIXED if fixed else says, "Predictions change with order"),
        null,
        drawn=False,
        n_sequences=n,
        estimates={"total_variation": float(observed[0])},
        level=level,
    )


def _apart(rows: Floats) -> Floats:
    """Total variation of rows (n, permutations, V) from their mean: on average, and at most."""
    apart = 0.5 * np.abs(rows - rows.mean(axis=1, keepdims=True)).sum(axis=2)
    return np.array([apart.mean(), apart.max()])
