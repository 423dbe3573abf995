"""The part of a study about demonstrations: how prior, model and exact Bayes move together.

Contents
    follow                  posterior paths beside the model's own predictions, over sequences
    ShotStudy, Divergence   what that finds
    match_components        which components of two mixtures correspond
    aligned                 one mixture with its components in the order of another
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._base.typing import Floats
from ..rows.kl import divergences
from .texts import Collect, Encode, Shots, predictions_along

if TYPE_CHECKING:
    from ..mixture import DirichletMixture, PosteriorPath
    from ..rows import NextTokenRows


@dataclass(frozen=True)
class Divergence:
    """A Kullback-Leibler divergence per shot, averaged over sequences.

    Attributes
    ----------
    name
        Which of which, for instance ``KL(model || fitted prior's predictive)``.
    mean, stderr
        Bits, shape (S + 1,); the standard error is nan where there is a single sequence.
    """

    name: str
    mean: Floats
    stderr: Floats


@dataclass(frozen=True)
class ShotStudy:
    """What demonstrations do.

    Attributes
    ----------
    path
        The first sequence: the posterior after each demonstration.
    rows
        The model's own predictions along it, S + 1 rows.
    exact
        The exact Bayesian predictive along it (S + 1, V), where the truth is known.
    divergences
        Averages over all sequences.
    n_sequences
        How many there are.
    """

    path: PosteriorPath
    rows: NextTokenRows
    exact: Floats | None
    divergences: tuple[Divergence, ...]
    n_sequences: int


def follow(
    collect: Collect,
    encode: Encode,
    shots: Sequence[Shots],
    priors: Mapping[str, DirichletMixture],
    truth: DirichletMixture | None,
) -> ShotStudy:
    """Posterior paths along sequences of demonstrations, beside the model's own predictions.

    Parameters
    ----------
    collect
        Gives the model's rows of texts, after the tokens at given positions of each.
    encode
        Gives the tokens of a text; none where it cannot.
    shots
        The sequences.
    priors
        Name -> prior to judge; the last one is followed in detail.
    truth
        The prior of exact Bayes, where it is known.
    """
    from ..mixture import posterior_path

    own = predictions_along(collect, encode, shots)
    names = [f"KL(model || {name}'s predictive)" for name in priors]
    names += ["KL(exact Bayes || model)"] if truth is not None else []
    values: dict[str, list[Floats]] = {name: [] for name in names}
    for sequence, rows in zip(shots, own, strict=True):
        log_model = rows.log_probs.astype(np.float64)
        for name, mixture in zip(names, priors.values(), strict=False):
            path = posterior_path(mixture, sequence.answers)
            values[name].append(divergences(log_model, path.predictive("log_probs")) / np.log(2.0))
        if truth is not None:
            exact = posterior_path(truth, sequence.answers).predictive("log_probs")
            values[names[-1]].append(divergences(exact, log_model) / np.log(2.0))
    first = shots[0].answers
    return ShotStudy(
        path=posterior_path(list(priors.values())[-1], first),
        rows=own[0],
        exact=None if truth is None else posterior_path(truth, first).predictive(),
        divergences=tuple(_average(name, value) for name, value in values.items()),
        n_sequences=len(shots),
    )


def _average(name: str, values: Sequence[Floats]) -> Divergence:
    """Mean and standard error per shot, over the sequences that are long enough."""
    longest = max(len(value) for value in values)
    mean, stderr = np.full(longest, np.nan), np.full(longest, np.nan)
    for t in range(longest):
        here = np.array([value[t] for value in values if len(value) > t])
        mean[t] = here.mean()
        if len(here) > 1:
            stderr[t] = here.std(ddof=1) / np.sqrt(len(here))
    return Divergence(name, mean, stderr)


def match_components(
    reference: DirichletMixture, mixture: DirichletMixture
) -> tuple[int | None, ...]:
    """For each component of `reference`, the component of `mixture` that corresponds to it.

    The pairing makes the sum of distances smallest; a distance is the total variation between the
    means plus the difference of the weights.  Where `mixture` has fewer components, some have None.

    Examples
    --------
    >>> from matrixbayes.mixture import DirichletMixture
    >>> a = DirichletMixture([0.7, 0.3], [[8.0, 2.0], [2.0, 8.0]])
    >>> b = DirichletMixture([0.4, 0.6], [[1.0, 5.0], [4.0, 1.0]])
    >>> match_components(a, b)
    (1, 0)
    """
    from scipy.optimize import linear_sum_assignment

    a, b = (
        np.asarray(m.alpha) / np.asarray(m.concentration)[:, None] for m in (reference, mixture)
    )
    distance = 0.5 * np.abs(a[:, None] - b[None]).sum(axis=2)
    distance += np.abs(np.asarray(reference.weights)[:, None] - np.asarray(mixture.weights))
    pairs = dict(zip(*(index.tolist() for index in linear_sum_assignment(distance)), strict=True))
    return tuple(pairs.get(k) for k in range(reference.n_components))


def aligned(reference: DirichletMixture, mixture: DirichletMixture) -> DirichletMixture | None:
    """`mixture` with its components in the order of `reference`; None if their numbers differ."""
    if mixture.n_components != reference.n_components:
        return None
    order = [k for k in match_components(reference, mixture) if k is not None]
    weights, alpha = np.asarray(mixture.weights)[order], np.asarray(mixture.alpha)[order]
    return type(mixture)(weights, alpha, tokens=mixture.tokens)
