"""Tests on a predictor's own paths: against draws from the Bayesian learner nearest to them.

Contents
    martingale_test, uncertainty_scaling_test, forgetting_test    sample paths, then test
    martingale, uncertainty_scaling, forgetting                   of paths that are there already
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._base.arguments import generator_of, whole
from .._base.numbers import reals
from .._base.typing import Floats, Ids, Seed
from ..elicitation import ElicitationReport
from ..mixture import DirichletMixture
from .choice import check_family, nearest
from .figures import (
    GAMMAS,
    forgetting_figures,
    learning_figures,
    lengths_of,
    martingale_figures,
)
from .nulls import Null, fitted_gamma
from .paths import Paths, walk
from .predictors import checked_predictor
from .result import SILENT, DiagnosticTest, check_options, monte_carlo, no_power, result

Given = DirichletMixture | ElicitationReport | Null | None
Sampled = tuple[Paths, Null, np.random.Generator]

LAGS = 3
AT_ONCE = 300_000  # probabilities that are simulated at a time: they stay in the cache
STILL = SILENT + "the predictive does not move."


def martingale_test(
    predictor: Any,
    *,
    history: Sequence[int] | ArrayLike = (),
    n: int = 200,
    length: int = 32,
    values: ArrayLike | None = None,
    null: Given = None,
    family: str = "auto",
    max_components: int = 3,
    n_boot: int = 199,
    level: float = 0.05,
    rng: Seed = None,
) -> DiagnosticTest:
    """Test whether the predictive is a martingale on the model's own continuations.

    Two kinds of figures, each a mean over continuations in standard errors: the predictive in the
    first half less that in the second, token by token; and products of steps of the predictive at
    lags 1 to 3.  All have mean 0 under Bayes.

    What is a martingale depends on the family.  Of draws from an urn (``"iid"``) it is what is said
    of the next token.  Of a Markov chain (``"markov"``) it is what is said after one token, visit
    by visit: halves and steps are those of each row's own visits, and rows of different tokens
    are not compared.  Of variable-order chains (``"tree"``) it is what is said after a context; the
    contexts here are so short that each comes about eight times.

    Parameters
    ----------
    predictor
        See `matrixbayes.diagnostics`.
    history : sequence of int
        Column numbers that the model has seen.
    n, length : int
        Continuations, and tokens of each.
    values : array_like of shape (V,) or (V, m), optional
        Look at the mean of these under the predictive instead of at each token's probability.
    null : DirichletMixture, ElicitationReport or the `null` of another test, optional
        What the null draws from: the prior of an urn, after the history; with ``family="markov"``
        that of each row of a chain, before the history, which the null has seen too.  A report may
        be of any family, sums of parts too.  Elicited by default from what the model says along its
        own continuations.
    family : {"auto", "iid", "markov", "tree"}
        What the null learns.  By default that of `null`; or the simplest family that explains the
        model's predictions: to rounding, or as well as any on the continuations that it was not
        fitted to, where more parameters count only if they bring the mean KL below 0.7 of what it
        was, and by more than one standard error.  Of more than 1000 tokens it is ``"iid"``.
    max_components : int
        Of the elicited prior, which has as few as explain the predictions.
    n_boot : int
        Draws of the null.
    level : float
        Of the verdict.
    rng : numpy.random.Generator or int, optional

    Returns
    -------
    DiagnosticTest

    Warns
    -----
    RuntimeWarning
        The predictive does not move at all: the test has no power.

    Notes
    -----
    The null is drawn from the elicited prior, in full.  Predictions have no noise of sampling: one
    elicited from such a draw is the same again, so that a bootstrap of the elicitation would add
    nothing.

    Figures are in standard errors, so the null hardly depends on the elicited prior: with one
    Dirichlet for a mixture of three (mean KL 0.005 nats), 64 continuations of 16 tokens of that
    exact mixture were rejected at level 0.05 in 3% of 150 trials.

    References
    ----------
    F. Falck, Z. Wang, C. Holmes (2024), Is In-Context Learning in Large Language Models Bayesian?
    A Martingale Perspective.

    S. Fortini, S. Petrone (2020), Quasi-Bayes properties of a procedure for sequential learning in
    mixture models.

    P. Diaconis, D. Freedman (1980), De Finetti's theorem for Markov chains.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> urn = mb.UrnPredictor(mb.DirichletMixture([1.0], [[1.0, 2.0]]))
    >>> found = mb.martingale_test(urn, n=50, length=12, rng=2)
    >>> found.rejected, found.figures[:2]
    (False, ('token 0, first half less second', 'token 1, first half less second'))
    """
    scores = None if values is None else _values(values, checked_predictor(predictor))
    found = sampled(predictor, history, n, length, null, family, max_components, n_boot, level, rng)
    return martingale(found, n_boot, level, scores)


def martingale(
    found: Sampled, n_boot: int, level: float, values: Floats | None = None
) -> DiagnosticTest:
    """See `martingale_test`; values (V, m) are in units of their range."""
    paths, null, _ = found
    what, many = ("token", paths.rows.shape[-1]) if values is None else ("value", values.shape[1])
    n, length = paths.tokens.shape
    lags = min(LAGS, length - 1)
    names = [f"{what} {j}, first half less second" for j in range(many)]
    names += [f"steps at lag {k}" for k in range(1, lags + 1)]

    def figures(tokens: Ids, rows: Floats) -> Floats:
        return martingale_figures(rows, values, lags, null.visited(tokens))

    observed, draws = against(found, n_boot, figures)
    return result(
        "martingale",
        names,
        observed,
        monte_carlo(observed, draws),
        (
            STILL
            if null.still(paths)
            else f"No drift or swing of the predictive in {n} continuations.",
            "Not a martingale on its own continuations",
        ),
        null,
        n_sequences=len(paths.tokens),
        level=level,
    )


def uncertainty_scaling_test(
    predictor: Any,
    *,
    history: Sequence[int] | ArrayLike = (),
    n: int = 200,
    length: int = 32,
    null: Given = None,
    family: str = "auto",
    max_components: int = 3,
    n_boot: int = 199,
    level: float = 0.05,
    rng: Seed = None,
) -> DiagnosticTest:
    """Test whether the model becomes sure as fast as its evidence allows.

    What is left to learn after t tokens is measured by how far t further ones of the model's own
    move it: the mean of KL(predictive after 2t || predictive after t).  For exact Bayes that is the
    part of epistemic uncertainty that they take away, (V - 1) / (4t) for large t: of (V - 1) / (2t)
    half, and a slope of -1 on logarithmic axes once t is above the concentration.  A model that is
    sure too early, or hedges, has another level or slope than the learner that explains its
    predictions best.  And entropy must not fall further than was learnt: the mean of H(after t) -
    H(after 2t) is that of the KL.  Of a Markov chain t counts the visits of a row.

    Parameters
    ----------
    predictor
        See `matrixbayes.diagnostics`.
    history, n, length, null, family, max_components, n_boot, level, rng
        As in `martingale_test`; t goes over the powers of 2 up to length / 2, and of a chain as far
        as a quarter of the continuations have rows that were visited so often.

    Returns
    -------
    DiagnosticTest
        ``estimates`` has the slope.

    Warns
    -----
    RuntimeWarning
        The predictive does not move at all, or no row of a chain is visited three times: the test
        has no power.

    Notes
    -----
    The null depends on the prior, unlike in `martingale_test`: a Bayesian model whose prior is no
    mixture of `max_components` Dirichlets is rejected if n is large enough.  Measured as there,
    15% of trials with one Dirichlet and 5% with up to three, which the mixture is; 17% and 8% of
    100 for a prior that is even over an interval.  Look at ``null_mean_kl``.

    Confidence as such is no fault: counts that weigh double are those of an urn with half the
    concentration, which no test can tell from Bayes.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> urn = mb.UrnPredictor(mb.DirichletMixture([1.0], [[1.0, 2.0]]))
    >>> found = mb.uncertainty_scaling_test(urn, n=50, length=16, rng=0)
    >>> found.rejected, found.null_mean_kl < 1e-12
    (False, True)
    """
    found = sampled(predictor, history, n, length, null, family, max_components, n_boot, level, rng)
    return uncertainty_scaling(found, n_boot, level)


def uncertainty_scaling(found: Sampled, n_boot: int, level: float) -> DiagnosticTest:
    """See `uncertainty_scaling_test`."""
    paths, null, _ = found
    length = paths.tokens.shape[1]
    keys = null.visited(paths.tokens)
    often = lengths_of(keys, length)
    lengths = often or [1]
    names = [f"ln of what {t} to {2 * t} tokens teach" for t in lengths]
    names += [f"entropy lost but not learnt, {t} to {2 * t} tokens" for t in lengths]
    names += ["slope"]

    def figures(tokens: Ids, rows: Floats) -> Floats:
        return learning_figures(rows, lengths, null.visited(tokens))

    observed, draws = against(found, n_boot, figures)
    if not often:
        no_power("no row is visited often enough by the continuations")
        observed, draws = 0.0 * observed, 0.0 * draws
    return result(
        "uncertainty scaling",
        names,
        observed,
        monte_carlo(observed, draws),
        (
            _silent(null, paths, often) or "It becomes sure as fast as its evidence allows.",
            "Its certainty does not go with its evidence",
        ),
        null,
        n_sequences=len(paths.tokens),
        estimates={"slope": float(observed[-1])},
        level=level,
    )


def _silent(null: Null, paths: Paths, often: list[int]) -> str:
    """Why the test says nothing, or no word."""
    if null.still(paths):
        return STILL
    return "" if often else SILENT + "no row is visited often enough; take longer continuations."


def forgetting_test(
    predictor: Any,
    *,
    history: Sequence[int] | ArrayLike = (),
    n: int = 200,
    length: int = 32,
    null: Given = None,
    family: str = "auto",
    max_components: int = 3,
    n_boot: int = 199,
    level: float = 0.05,
    rng: Seed = None,
) -> DiagnosticTest:
    """Test whether older tokens count less: gamma = 1 against gamma < 1.

    A discounted filter multiplies its counts by gamma before each token; that of a Markov chain the
    counts of a row before each visit of it.  The figures are the
    log-likelihood ratios of continuations for gamma = 0.98, 0.95, 0.9, 0.8 and 0.6 against 1, under
    the prior of the null; the statistic is the largest, and only high ones count.

    Parameters
    ----------
    predictor
        See `matrixbayes.diagnostics`.
    history, n, length, null, family, max_components, n_boot, level, rng
        As in `martingale_test`.

    Returns
    -------
    DiagnosticTest
        ``estimates["gamma"]`` is that of the filter whose predictive is nearest to the model's; it
        comes from predictions, which have no noise of sampling: there is no interval to it.

    Warns
    -----
    RuntimeWarning
        The predictive does not move at all: the test has no power.

    Notes
    -----
    The null depends on the elicited prior.  Measured as in `martingale_test`, one Dirichlet
    for a mixture of three was rejected in 9% of trials, and up to three in 6%.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> urn = mb.UrnPredictor(mb.DirichletMixture([1.0], [[1.0, 2.0]]))
    >>> found = mb.forgetting_test(urn, n=50, length=12, rng=0)
    >>> found.rejected, found.estimates
    (False, {'gamma': 1.0})
    """
    found = sampled(predictor, history, n, length, null, family, max_components, n_boot, level, rng)
    return forgetting(found, n_boot, level)


def forgetting(found: Sampled, n_boot: int, level: float) -> DiagnosticTest:
    """See `forgetting_test`."""
    paths, null, _ = found

    def figures(tokens: Ids, _: Floats) -> Floats:
        return forgetting_figures(tokens, null)

    observed, draws = against(found, n_boot, figures, rows=False)
    gamma = 1.0 if null.still(paths) else fitted_gamma(paths, null)
    return result(
        "forgetting",
        [f"log-likelihood ratio of gamma {gamma}" for gamma in GAMMAS],
        observed,
        monte_carlo(observed, draws, upper=True),
        (
            STILL if null.still(paths) else "Older tokens count as much as new ones.",
            _forgets(gamma),
        ),
        null,
        n_sequences=len(paths.tokens),
        estimates={"gamma": gamma},
        level=level,
    )


def _forgets(gamma: float) -> str:
    """The sentence of a rejection; the fit to predictions may be of another opinion."""
    if gamma < 1.0:
        return f"Older tokens count less (gamma {gamma:.2f})"
    return "Continuations go by their latest tokens, though predictions do not (gamma 1)"


# ---------------------------------------------------------------------------
# Shared
# ---------------------------------------------------------------------------


def sampled(
    predictor: Any,
    history: Sequence[int] | ArrayLike,
    n: int,
    length: int,
    null: Given,
    family: str,
    max_components: int,
    n_boot: int,
    level: float,
    rng: Seed,
) -> Sampled:
    """The model's paths, the null nearest to them, and a generator for the rest."""
    check_options(n_boot, level)
    max_components = whole(max_components, "max_components", 1)
    width = checked_predictor(predictor)
    check_family(family, null, width)
    generator = generator_of(rng)
    paths = walk(predictor, history, n, length, generator)
    found = nearest(paths, null, family, max_components, generator)
    if found.still(paths):
        no_power("the predictive is the same after all tokens")
    return paths, found, generator


def against(
    found: Sampled, n_boot: int, figures: Callable[[Ids, Floats], Floats], rows: bool = True
) -> tuple[Floats, Floats]:
    """The figures (k,) of paths, and (n_boot, k) of as many draws of the null.

    `figures` get tokens and, if wanted, the rows along them; else those of the paths, or nothing.
    """
    paths, null, rng = found
    n, length = paths.tokens.shape
    own = figures(paths.tokens[np.newaxis], paths.rows[np.newaxis])[0]
    if null.still(paths):  # figures would be of rounding
        return 0.0 * own, np.zeros((n_boot, len(own)))
    at_once = max(AT_ONCE // paths.rows.size, 1)
    parts = [min(at_once, n_boot - b) for b in range(0, n_boot, at_once)]
    draws = [null.draw(many, n, length, rng, rows) for many in parts]
    return own, np.concatenate([figures(tokens, said) for tokens, said in draws])


def _values(values: ArrayLike, width: int) -> Floats:
    """What the martingale is of, (V, m), in units of their range."""
    array = reals(values, "values")
    if array.ndim not in (1, 2) or len(array) != width or not np.isfinite(array).all():
        raise ValueError(f"values have shape {array.shape}; they need ({width},), finite")
    array = array.reshape(width, -1)
    units: Floats = array / np.maximum(np.abs(array).max(axis=0), 1e-300)  # a range could overflow
    units -= units.min(axis=0)
    units /= np.maximum(units.max(axis=0), 1e-300)
    return units
