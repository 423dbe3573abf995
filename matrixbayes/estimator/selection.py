"""How many components: the same data fitted with each number, and a criterion."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from .._base import parallel
from .._base.arguments import generator_of, is_whole, listed, shown
from .._base.numbers import exact_rows, plain
from .._base.progress import begin
from .._base.saving.made import note
from .._base.typing import Floats
from .._base.weights import checked_weights, present, weights_of
from ..errors import ConvergenceWarning, MisfitWarning
from ..mixture import DirichletMixture
from ..rows import NextTokenRows, PartialRows
from ..rows.rows import Checked
from .cross.folds import held as _held
from .cross.folds import held_out
from .estimator import DirichletMixtureEstimator
from .partial.given import as_one, in_part
from .resolution import CANDIDATES, TooFewRowsError, checked_resolution
from .row_data import without_zeros
from .shortcomings import clear_misfit
from .sizes.prior_selection import COLUMNS, CRITERIA, CURVE_COLUMNS, PriorSelection


def select_prior(
    rows: Any,
    n_components: int | Iterable[int] = range(1, 9),
    *,
    criterion: str = "bic",
    n_folds: int = 5,
    sample_weight: Any = None,
    resolution: int | str | None = None,
    **parameters: Any,
) -> PriorSelection:
    """Fit a Dirichlet mixture of each size and compare them.

    Each size starts from k-means and, where the size below is among them, also from that mixture
    with one component split in two; the better fit is kept.

    Parameters
    ----------
    rows : NextTokenRows, PartialRows, array_like of shape (N, V), or sparse counts
    n_components : int or iterable of int
        The sizes to try.
    criterion : {"bic", "aic", "icl", "log_evidence", "cv"}
        What decides, but at a resolution: Akaike's or the Bayesian information criterion; the
        integrated complete likelihood, which adds to the latter what the responsibilities leave
        open (Biernacki, Celeux & Govaert 2000); Laplace's approximation of the evidence; or the
        mean log-score of held-out rows.  The last two cost more, and are in the table only if they
        decide.
    n_folds : int
        For "cv".  Equal rows of probabilities lie in one fold: else the fits know what they are
        scored by, and the score is too high.  Equal rows of counts are draws of their own, and
        lie anywhere; so does each unit of a row's weight.
    sample_weight : array_like of shape (N,), optional
        Numbers of repetitions, in every criterion: weight k is k equal rows, fractions are legal,
        and a row of weight 0 is not there, whatever it holds.
    resolution : int, "auto" or None
        That of the fits, see `DirichletMixtureEstimator`; "auto" compares 5, 20, 100 and 400.
        Sizes and resolutions then are compared by the bits per token on a fifth of the rows, kept
        apart (the mean of those after 1, 5, 20 and 100 draws), whose floor is the same for all; the
        other criteria are none of a fit at a resolution.  What is in ``estimators``, for each size
        at the best of its resolutions, is fitted to all rows.  Fewer than 10 rows compare nothing:
        one size at one resolution is fitted to them, without ``held_bits``.
    **parameters
        For `DirichletMixtureEstimator`: ``kind``, ``random_state``, ``n_init``, ...  With an
        ``executor`` the sizes are fitted beside each other, each on one worker, and the splits
        after them.

    Returns
    -------
    PriorSelection
        ``best_`` is the chosen estimator, ``table`` the comparison.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> truth = mb.DirichletMixture([0.5, 0.5], [[9.0, 1.0, 1.0], [1.0, 1.0, 9.0]])
    >>> rows = truth.sample(500, rng=0)
    >>> found = mb.select_prior(rows, [1, 2, 3], kind="probs", random_state=0)
    >>> found.best_.n_components
    2
    """
    sizes = _sizes(n_components)
    if criterion not in CRITERIA:
        raise ValueError(
            f"criterion={shown(criterion)} is not one of {', '.join(map(repr, CRITERIA))}"
        )
    if resolution is not None:
        if criterion not in ("bic", "held_bits"):
            raise ValueError(
                f"criterion={shown(criterion)} compares no resolutions, whose likelihoods are "
                "of other "
                "draws; sizes at a resolution are compared by held_bits"
            )
        parameters["resolution"] = resolution
        return _at_resolution(rows, sizes, sample_weight, parameters)
    if criterion == "held_bits":
        raise ValueError("criterion='held_bits' needs a resolution, such as resolution='auto'")
    finish = begin("select_prior", "sizes %s by %s", sizes, criterion)
    given = rows = as_one(rows)
    rows, weights, _ = present(rows, checked_weights(sample_weight))
    if isinstance(rows, PartialRows):
        pass
    elif parameters.get("kind") == "counts":
        rows = exact_rows(rows, "counts") if hasattr(rows, "tocsr") else plain(rows, "counts")
    elif not isinstance(rows, NextTokenRows):  # convert once, not once per size
        checked: Any = Checked.of(rows, parameters.get("kind"))
        rows = NextTokenRows(checked, tokens=checked.tokens)
    weights = weights_of(weights, np.ones(rows.shape[0], dtype=bool))
    held = _held(*_judged(rows, weights, parameters), n_folds) if criterion == "cv" else None
    executor = parameters.pop("executor", None)
    if executor is not None:
        parameters["n_jobs"] = 1
    if not isinstance(parameters.get("random_state"), (int, np.integer, type(None))):
        # A seed for all sizes, so that none depends on what another one drew.
        rng = generator_of(parameters["random_state"])
        parameters["random_state"] = int(rng.integers(2**31))
    pool = (executor, parallel.available_cores())
    fits = parallel.in_order(
        pool, _fitted, ((size, parameters, rows, weights, None) for size in sizes)
    )
    found = dict(zip(sizes, fits, strict=True))
    for size in sorted(sizes):
        if size - 1 in found:
            smaller = found[size - 1][0].prior_
            split = _fitted(size, parameters, rows, weights, smaller)
            found[size] = max(found[size], split, key=_height)
    estimators = {size: fitted for size, (fitted, _) in found.items()}
    judged = _judged(rows, weights, parameters)
    entries = parallel.in_order(
        pool, _entry, ((each, *judged, criterion, held) for each in estimators.values())
    )
    table, whys = map(list, zip(*entries, strict=True))
    for (_, reasons), why in zip(found.values(), whys, strict=True):
        reasons += [f"there is no log-evidence: {why}"] if why else []
    for each in estimators.values():
        each._remember_names(given)
        note(each.prior_, selected_by=criterion, sizes=sizes)
    selection = PriorSelection(estimators, table, criterion)
    for size, (_, reasons) in found.items():
        for reason in reasons:
            warnings.warn(f"n_components={size}: {reason}", ConvergenceWarning, stacklevel=2)
    if any(entry[criterion] is not None for entry in table):
        best = selection.best_
        finish("%d components", best.n_components)
        for reason in clear_misfit(best.check_):
            words = f"n_components={best.n_components}: {reason}"
            warnings.warn(words, MisfitWarning, stacklevel=2)
    return selection


def _at_resolution(
    rows: Any, sizes: list[int], sample_weight: Any, parameters: dict[str, Any]
) -> PriorSelection:
    """Sizes and resolutions by bits of rows kept apart."""
    first = DirichletMixtureEstimator(sizes[0], **parameters)
    first._check_parameters()
    given = checked_resolution(first.resolution, first.kind)
    finish = begin("select_prior", "sizes %s at resolution %s", sizes, given)
    tried = [given] if isinstance(given, int) else list(CANDIDATES)
    rng = generator_of(first.random_state)
    if not isinstance(first.random_state, (int, np.integer, type(None))):
        parameters["random_state"] = int(rng.integers(2**31))  # the same for all sizes
    curves: dict[tuple[int, int], Floats] = {}
    with parallel.workers(first.executor, first.n_jobs) as pool:
        try:
            trial = first._trial(rows, sample_weight, pool, tried, rng)
        except TooFewRowsError:
            if len(sizes) > 1 or len(tried) > 1:
                raise  # what is alone needs none kept apart
        else:
            for size in sizes:
                estimator = DirichletMixtureEstimator(size, **parameters)
                curves |= {(size, n): estimator._bits(trial, n, rng) for n in tried}
    estimators: dict[int, DirichletMixtureEstimator] = {}
    table: list[dict[str, Any]] = []
    reasons: list[str] = []
    for size in sizes:
        curve = {n: curves[size, n] for n in tried if (size, n) in curves}
        chosen = min(curve, key=lambda n: float(curve[n].mean()), default=tried[0])
        parameters["resolution"] = chosen
        fitted, why = _fitted(size, parameters, rows, sample_weight, None)
        for n in tried:
            entry: dict[str, Any] = dict.fromkeys([*COLUMNS, "check"])
            entry |= {"n_components": size, "resolution": n, "n_parameters": fitted.n_parameters_}
            entry["converged"] = fitted.converged_
            if n in curve:
                entry |= dict(zip(CURVE_COLUMNS, map(float, curve[n]), strict=True))
                entry["held_bits"] = float(curve[n].mean())
            if n == chosen:
                entry |= {"log_likelihood": fitted.log_likelihood_, **_checked(fitted)}
            table.append(entry)
        estimators[size] = fitted
        note(fitted.prior_, selected_by="held_bits", sizes=sizes, resolutions=tried)
        reasons += [f"n_components={size}: {reason}" for reason in why]
    selection = PriorSelection(estimators, table, "held_bits")
    finish("%d components", selection.best_.n_components)
    for reason in reasons:
        warnings.warn(reason, ConvergenceWarning, stacklevel=3)
    return selection


def _checked(fitted: DirichletMixtureEstimator) -> dict[str, Any]:
    """What a fit's own check says, for the table."""
    check = fitted.check_
    if check is None:
        return {"bits": None, "check": None}
    return {"bits": float(check.bits[min(2, len(check.draws) - 1)]), "check": check.outcome}


def _sizes(n_components: int | Iterable[int]) -> list[int]:
    """The sizes to try, each once."""
    several = isinstance(n_components, Iterable) and getattr(n_components, "ndim", 1) != 0
    if isinstance(n_components, (str, bytes)) or not (several or is_whole(n_components)):
        raise TypeError(
            f"n_components is {shown(n_components)}; give one number of components, such as 3, or "
            "several, such as range(1, 9)"
        )
    sizes: list[Any] = listed(n_components, "n_components") if several else [n_components]
    if not sizes:
        raise ValueError("n_components is empty; give at least one number of components")
    for size in sizes:
        if not is_whole(size) or size < 1:
            raise ValueError(f"n_components holds {size!r}; each must be a positive integer")
    return list(dict.fromkeys(operator.index(size) for size in sizes))


def _judged(
    rows: Any, weights: Floats | None, parameters: dict[str, Any]
) -> tuple[Any, Floats | None]:
    """The rows that criteria are about: all that are fitted."""
    if parameters.get("zeros") != "drop" or not isinstance(rows, (NextTokenRows, PartialRows)):
        return rows, weights
    found: Any = rows
    if isinstance(rows, PartialRows):
        found, kept = in_part(rows, None, "drop")
    if isinstance(found, NextTokenRows):  # or rows known in part that list all
        checked = Checked.of(found, None)
        kept = without_zeros(checked.log_probs, checked.n_zeros, "drop")[1]
    return rows[kept], weights_of(weights, kept)


def _fitted(
    size: int,
    parameters: dict[str, Any],
    rows: Any,
    weights: Floats | None,
    smaller: DirichletMixture | None,
) -> tuple[DirichletMixtureEstimator, list[str]]:
    """A fit, from a split of a smaller mixture where one is given, and what is to be warned of."""
    estimator = DirichletMixtureEstimator(size, **parameters)
    return estimator, estimator._fit(rows, weights, smaller)


def _height(fit: tuple[DirichletMixtureEstimator, list[str]]) -> tuple[bool, float]:
    """What the better of two fits has more of; a bound at a cap compares with nothing."""
    return not fit[0]._at_cap, fit[0].lower_bound_


def _entry(
    fitted: DirichletMixtureEstimator,
    rows: Any,
    weights: Floats | None,
    criterion: str,
    held: Floats | None,
) -> tuple[dict[str, Any], str]:
    """A size's line of the table, and why it has no evidence if that was asked for."""
    deviance, n_parameters = -2.0 * fitted.log_likelihood_, fitted.n_parameters_
    bic = deviance + n_parameters * float(np.log(fitted.total_weight_))
    entry: dict[str, Any] = {
        "n_components": fitted.n_components,
        "log_likelihood": fitted.log_likelihood_,
        "n_parameters": n_parameters,
        "aic": deviance + 2.0 * n_parameters,
        "bic": bic,
        "icl": bic + 2.0 * _assignment_entropy(fitted, rows, weights),
        "log_evidence": None,
        "cv": None,
        "cv_se": None,
        **_checked(fitted),
        "converged": fitted.converged_,
    }
    why = ""
    if criterion == "log_evidence":
        try:
            found = fitted.information(rows, weights)
            entry["log_evidence"], why = found.log_evidence, found.why_no_evidence
        except ValueError as error:  # too many parameters
            why = str(error)
    if held is not None:
        entry["cv"], entry["cv_se"] = held_out(fitted, rows, held)
    return entry, why


def _assignment_entropy(
    fitted: DirichletMixtureEstimator, rows: Any, weights: Floats | None
) -> float:
    """Entropy of the components of all rows, in nats."""
    if fitted.n_components == 1:
        return 0.0
    shares = fitted.predict_proba(rows)
    entropy = -np.where(shares > 0.0, shares * np.log(np.maximum(shares, 1e-300)), 0.0).sum(axis=1)
    return float(entropy.sum() if weights is None else weights @ entropy)
