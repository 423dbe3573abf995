"""The part of a study about demonstrations: how prior, model and exact Bayes move together.

Contents
    follow                  posterior paths beside the model's own predictions, over sequences
    compare                 the same, where those predictions are known
    among                   a prior given that one of some columns comes
    log_predictions         what a prior predicts along a sequence
    ShotStudy, Divergence   what that finds
    match_components        which components of two mixtures correspond
    aligned                 one mixture with its components in the order of another
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.typing import Floats
from ..rows.kl import divergences
from .texts import Collect, Encode, Shots, answers_alone, predictions_along
from .verdict import constant_kl

if TYPE_CHECKING:
    from ..elicitation import ElicitationReport
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
    return compare(shots, predictions_along(collect, encode, shots), priors, truth)


def compare(
    shots: Sequence[Shots],
    own: Sequence[NextTokenRows],
    priors: Mapping[str, DirichletMixture | ElicitationReport],
    truth: DirichletMixture | None,
    detailed: Any = None,
) -> ShotStudy:
    """`follow`, where the model's own rows are known.

    Everything is given that one of the answers comes next: of the model's rows by their sum, of a
    Dirichlet mixture exactly, as alphas of a part of the columns are those of that part's shares.
    A report of `elicit_prior` is judged by its predictions.  `detailed` is the prior whose path is
    kept, the last mixture without it.
    """
    from ..mixture import posterior_path
    from ..rows import NextTokenRows

    alone = [answers_alone(rows) for rows in own]
    tokens = alone[0][1]
    judged = {
        name: prior if hasattr(prior, "predict") else among(prior, tokens)
        for name, prior in priors.items()
    }
    values: dict[str, list[Floats]] = {f"KL(model || {name}'s predictive)": [] for name in priors}
    exact = None if truth is None else "KL(exact Bayes || model)"
    if exact is not None:
        values[exact] = []
    for sequence, (log_model, _, _) in zip(shots, alone, strict=True):
        for name, prior in zip(values, judged.values(), strict=False):
            found = log_predictions(prior, sequence.answers)
            values[name].append(divergences(log_model, found) / np.log(2.0))
        if truth is not None and exact is not None:
            known = log_predictions(truth, sequence.answers)
            values[exact].append(divergences(known, log_model) / np.log(2.0))
    columns = [[tokens.index(name) for name in sequence.answers] for sequence in shots]
    constant, _ = constant_kl(columns, [rows for rows, _, _ in alone])
    values["KL(model || a constant prediction)"] = constant
    first = shots[0].answers
    mixtures: list[Any] = [prior for prior in judged.values() if not hasattr(prior, "predict")]
    return ShotStudy(
        path=posterior_path(detailed or mixtures[-1], first),
        rows=NextTokenRows(alone[0][0], tokens=tokens),
        exact=None if truth is None else posterior_path(truth, first).predictive(),
        divergences=tuple(_average(name, value) for name, value in values.items()),
        n_sequences=len(shots),
    )


def among(prior: Any, tokens: Sequence[str]) -> DirichletMixture:
    """A prior over some columns, given that one of them comes.

    Kernels around rows become the Dirichlets that they are, over those columns alone.

    Examples
    --------
    >>> from matrixbayes.mixture import DirichletMixture
    >>> among(DirichletMixture([1.0], [[1.0, 2.0, 3.0]], tokens="abc"), ("c", "a")).alpha
    array([[3., 1.]])
    """
    from ..mixture import DirichletMixture

    if not isinstance(prior, DirichletMixture):
        prior = prior.lump({name: name for name in tokens}).dense()
    if prior.tokens is None or tuple(prior.tokens) == tuple(tokens):
        found: DirichletMixture = prior
        return found
    column = {name: j for j, name in enumerate(prior.tokens)}
    alpha = np.asarray(prior.alpha)[:, [column[name] for name in tokens]]
    return DirichletMixture(prior.weights, alpha, tokens=tuple(tokens))


def log_predictions(prior: Any, answers: Sequence[str]) -> Floats:
    """Log-probabilities (S + 1, V) of a prior, or of an elicited one, along a sequence."""
    from ..mixture import posterior_path

    found: Floats
    if not hasattr(prior, "predict"):
        found = posterior_path(prior, answers).predictive("log_probs")
        return found
    column = {name: j for j, name in enumerate(prior.tokens)}
    shown = [column[name] for name in answers]
    found = np.log(prior.predict([shown[:t] for t in range(len(shown) + 1)]))
    return found


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
