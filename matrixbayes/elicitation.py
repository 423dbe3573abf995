"""The prior that a model behaves as if it had.

Contents
    elicit_prior         find the prior whose predictive is closest to a model's predictions
    ElicitationReport    that prior, how well it explains the model, and what the data leave open
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._elicitation_histories import counts_of_histories
from ._elicitation_identification import identify
from ._elicitation_iid import IidObjective, fit, pack, starting_points, unpack
from ._elicitation_report import ElicitationReport, scores
from .mixture import DirichletMixture
from .rows import as_log_probs

__all__ = ["ElicitationReport", "elicit_prior"]

Floats = NDArray[np.float64]

FAMILIES = ("iid",)


def elicit_prior(
    histories: Sequence[Sequence[int]] | ArrayLike,
    predictions: Any,
    *,
    family: str = "iid",
    history_kind: str = "tokens",
    kind: str | None = None,
    n_components: int = 1,
    start: DirichletMixture | None = None,
    weights: ArrayLike | None = None,
    n_starts: int = 4,
    max_iter: int = 500,
    tol: float = 1e-9,
    rng: np.random.Generator | int | None = None,
) -> ElicitationReport:
    """Find the prior whose Bayesian predictions are closest to those of a model.

    Minimises the mean of KL(model || predictive) over pairs of a history and the model's
    distribution of the token that follows it.  In the family ``"iid"`` tokens are independent draws
    from one row with a Dirichlet-mixture prior, so that a history enters by its counts alone.

    Parameters
    ----------
    histories : sequence of N sequences of int, or array_like of shape (N, V)
        The tokens seen before each prediction, as column numbers of `predictions`, of any
        lengths (none too); or their counts.
    predictions : NextTokenRows, or array_like of shape (N, V)
        The model's next-token distribution after each history; exact zeros are legal.
    family : {"iid"}
        The family of priors.
    history_kind : {"tokens", "counts"}
        Whether `histories` are column numbers in their order, or an (N, V) matrix of counts (dense
        or SciPy sparse; whole or real numbers).
    kind : {"logits", "log_probs", "probs"}, optional
        What an array of predictions holds; needed for everything but `NextTokenRows`.
    n_components : int
        K, the components of the mixture.
    start : DirichletMixture, optional
        The first starting point; the others are made from the predictions.
    weights : array_like of shape (N,), optional
        Weights of the rows, not negative; default all equal.
    n_starts : int
        Starting points in all.
    max_iter : int
        Iterations of L-BFGS-B from each.
    tol : float
        A search ends where no derivative of the mean KL (nats) by the logarithm of a
        parameter is larger.
    rng : numpy.random.Generator or int, optional
        Makes the starting points.

    Returns
    -------
    ElicitationReport

    Warns
    -----
    RuntimeWarning
        The best search did not converge, or the data do not identify a parameter.

    Raises
    ------
    ValueError, TypeError
        Something is not as described; the history's number and position are named.

    Notes
    -----
    Parameters stay in 1e-8 <= alpha <= 1e8.  Time and memory are O(rows x V) per iteration plus
    O(stored counts x K); sample the rows first where they are very many.

    Examples
    --------
    A model that counts with three of each token in advance:

    >>> import numpy as np
    >>> from matrixbayes.elicitation import elicit_prior
    >>> histories = [[], [0], [1], [0, 0], [0, 1, 0, 0]]
    >>> counts = np.array([[h.count(0), h.count(1)] for h in histories])
    >>> model = (counts + 3) / (counts + 3).sum(axis=1, keepdims=True)
    >>> found = elicit_prior(histories, model, kind="probs", rng=0)
    >>> found.prior.alpha.round(4)
    array([[3., 3.]])
    >>> found.converged, found.n_agreeing, found.flags
    (True, 4, ())
    """
    _check_options(family, n_components, n_starts, max_iter, tol)
    log_probs, tokens = as_log_probs(predictions, kind)
    counts = counts_of_histories(histories, history_kind, log_probs.shape[1])
    if counts.shape[0] != log_probs.shape[0]:
        raise ValueError(
            f"{counts.shape[0]} histories but {log_probs.shape[0]} predictions: "
            "each history needs the model's distribution after it"
        )
    tokens = _checked_start(start, n_components, log_probs.shape[1], tokens)
    shares = _row_weights(weights, log_probs.shape[0])
    objective = IidObjective(counts, log_probs, shares)
    points = starting_points(objective, n_components, np.random.default_rng(rng))
    first = next(points) if start is None else pack(start.weights, start.alpha)
    starts = [first, *(next(points) for _ in range(n_starts - 1))]
    searches = [fit(objective, point, n_components, max_iter, tol) for point in starts]
    best = min(searches, key=operator.attrgetter("value"))
    prior_weights, alpha = unpack(best.theta, n_components)
    identification = identify(
        lambda theta: objective(theta, n_components)[1],
        best.theta,
        alpha,
        best.at_limit,
        max(best.value, 0.0),
        tokens,
    )
    prior = DirichletMixture(prior_weights, alpha, tokens=tokens)
    report = ElicitationReport(
        family=family,
        prior=prior,
        n_rows=len(shares),
        n_distinct=len(objective.weights),
        converged=best.converged,
        n_iter=best.n_iter,
        start_kls=tuple(search.value for search in searches),
        identification=identification,
        **scores(prior, counts, log_probs, shares),
    )
    _warn(report, best.largest_slope)
    return report


def _check_options(
    family: str, n_components: int, n_starts: int, max_iter: int, tol: float
) -> None:
    """Raise where an option is not as described."""
    if family not in FAMILIES:
        names = ", ".join(repr(name) for name in FAMILIES)
        raise ValueError(f"family={family!r} does not exist; there is {names}")
    for name, value in (
        ("n_components", n_components),
        ("n_starts", n_starts),
        ("max_iter", max_iter),
    ):
        if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    if not 0.0 < tol < np.inf:
        raise ValueError(f"tol must be above 0, not {tol!r}")


def _checked_start(
    start: DirichletMixture | None,
    n_components: int,
    n_tokens: int,
    tokens: tuple[str, ...] | None,
) -> tuple[str, ...] | None:
    """The tokens' names, from the predictions or else from `start`, which must fit them."""
    if start is None:
        return tokens
    if (start.n_components, start.n_tokens) != (n_components, n_tokens):
        raise ValueError(
            f"start has {start.n_components} components over {start.n_tokens} tokens; "
            f"n_components is {n_components} and the predictions have {n_tokens} tokens"
        )
    if tokens is not None and start.tokens is not None and tokens != start.tokens:
        raise ValueError("the tokens of start are not those of the predictions, in their order")
    return start.tokens if tokens is None else tokens


def _row_weights(weights: ArrayLike | None, n_rows: int) -> Floats:
    """Weights of the rows, summing to one."""
    if n_rows == 0:
        raise ValueError("there are no histories: a prior needs at least one prediction")
    if weights is None:
        return np.full(n_rows, 1.0 / n_rows)
    shares = np.asarray(weights, dtype=np.float64)
    if shares.shape != (n_rows,):
        raise ValueError(f"weights have shape {shares.shape}, but there are {n_rows} histories")
    bad = np.flatnonzero(~(shares >= 0.0) | np.isinf(shares))
    if len(bad):
        raise ValueError(
            f"weights[{bad[0]}] is {shares[bad[0]]}; weights are finite and not below 0"
        )
    if not np.any(shares > 0.0):
        raise ValueError("all weights are 0")
    shares = shares / shares.max()
    return shares / shares.sum()


def _warn(report: ElicitationReport, slope: float) -> None:
    """Say, in one warning, what the caller must not overlook."""
    complaints = []
    if not report.converged:
        complaints.append(
            f"elicit_prior did not converge in {report.n_iter} iterations (largest derivative "
            f"{slope:.1e}): raise max_iter, or use fewer components"
        )
    if report.flags:
        only_empty = np.all(report.kl_by_length.length == 0.0)
        advice = (
            "all histories are empty, and empty histories show the mean alone"
            if only_empty
            else "use fewer components, or longer and more varied histories"
        )
        complaints.append("; ".join(report.flags) + f": {advice}")
    if complaints:
        warnings.warn("; ".join(complaints), RuntimeWarning, stacklevel=3)
