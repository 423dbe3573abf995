"""What a study may say, in one sentence, and what it may not.

Contents
    Findings        what a verdict is made of
    Verdict         the sentence, its kind, and warnings
    verdict         from the one to the other
    measured        the part of `Findings` that predictions along demonstrations give
    constant_kl     KL to a constant prediction, and to one by the last demonstration alone
    reaction        how far predictions move along a sequence
    from_uniform    how far predictions are from all equal
    brief           a figure with few digits

Everything here is arithmetic on what other parts found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._base.display import percent
from .._base.typing import Floats
from ..rows.kl import divergences
from .texts import MOST_OTHER, other_warning

Columns = Sequence[Sequence[int]]

STILL = 1e-3  # bits: predictions that move by less do not react
EVEN = 0.05  # bits: rows that are this near to uniform are ties, if nothing is learned
LIKE, ROUGHLY = 0.9, 0.5  # of what a constant leaves, explained
FEW_PROMPTS, FEW_SEQUENCES, FEW_SHOTS = 20, 10, 8
NOTHING = 1e-9  # rounding
SIGMAS = 2.0  # of a difference that is one


@dataclass(frozen=True)
class Findings:
    """What a verdict is made of.  Divergences are in bits per token, over answers alone.

    Attributes
    ----------
    n_prompts
        Rows that the prior was fitted to.
    spread
        Mean divergence of those rows from their mean.
    n_sequences, n_shots
        Sequences of demonstrations that were followed, and demonstrations in the longest.
    even
        Mean divergence of the model's predictions from all spellings being equally probable.
    moves
        Mean divergence of predictions from the mean of their sequence.
    other
        Probability outside the answers, on average.
    constant, last
        Held out, of the best constant prediction, and of the best by the last demonstration alone.
    elicited, error
        Held out, of the elicited prior; its standard error over sequences.
    gain_error
        Standard error of what the elicited prior gains on the better of `constant` and `last`.
    learner
        The elicited prior in words: "a Bayesian learner of ...".
    also
        Families that explain the model as well as can be told.
    near
        Other priors that what was measured does not tell from those chosen, as clauses.
    p_value, failed
        The smallest p-value of the score card after Holm's correction, and the tests that failed.
    level
        Of the score card.
    untested
        Why there is no p-value.
    loose
        A sentence for each parameter of the elicited prior that the data leave open.
    misfits
        A sentence for each way in which the elicited prior goes wrong.
    open
        What else cannot be said, as clauses.
    """

    n_prompts: int
    spread: float = np.nan
    n_sequences: int = 0
    n_shots: int = 0
    even: float = np.nan
    moves: float = np.nan
    other: float = 0.0
    constant: float = np.nan
    last: float = np.nan
    elicited: float = np.nan
    error: float = np.nan
    gain_error: float = np.nan
    learner: str = ""
    also: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    p_value: float = np.nan
    failed: tuple[str, ...] = ()
    level: float = 0.05
    untested: str = ""
    loose: tuple[str, ...] = ()
    misfits: tuple[str, ...] = ()
    open: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What a study says of a model.

    Attributes
    ----------
    kind
        "bayesian", "roughly", "partly", "last" (the last demonstration alone explains as much),
        "constant" (no prior explains more than a constant does), "still" (nothing moves), "even"
        (all answers are equally probable) or "unknown".
    behaves, test, open
        The clauses of the sentence: what it behaves like, whether it can be told from a Bayesian
        learner, what cannot be said.
    warnings
        What a reader must not overlook.
    """

    kind: str
    behaves: str
    test: str
    open: tuple[str, ...]
    warnings: tuple[str, ...] = field(default=())

    @property
    def sentence(self) -> str:
        """The whole of it."""
        most = ", and ".join(self.open[:2])
        return f"This model {self.behaves}; {self.test}; what cannot be said: {most}."

    def __str__(self) -> str:
        return self.sentence


def verdict(found: Findings) -> Verdict:
    """The verdict on what was found."""
    kind = _kind(found)
    behaves, test = _behaves(kind, found), _test(kind, found)
    return Verdict(kind, behaves, test, _open(kind, found), _warn(kind, found))


def _kind(found: Findings) -> str:
    """What the model behaves like, in a word."""
    if found.n_sequences == 0:
        return "unknown"
    if found.moves < STILL:
        return "even" if found.even < EVEN else "still"
    if not np.isfinite(found.elicited):
        return "unknown"
    gain = min(found.constant, found.last) - found.elicited
    if gain <= SIGMAS * (found.gain_error if np.isfinite(found.gain_error) else 0.0):
        if found.even < EVEN:
            return "even"
        return "last" if found.last < LIKE * found.constant else "constant"
    explained = 1.0 - found.elicited / found.constant
    return "bayesian" if explained >= LIKE else "roughly" if explained >= ROUGHLY else "partly"


def _behaves(kind: str, found: Findings) -> str:
    """What it behaves like."""
    moved = f"{brief(found.moves)} bits on average over {_shots(found)}"
    if kind == "unknown":
        return "was shown no demonstrations" if not found.n_sequences else "gave no prior"
    if kind == "even":
        return (
            f"finds all tokens about equally probable (within {brief(found.even)} bits) and does "
            f"not learn from demonstrations (its predictions move by {moved}), as an untrained "
            "network"
        )
    if kind == "still":
        return (
            f"behaves like a constant: it does not react to demonstrations (its predictions move "
            f"by {moved})"
        )
    error = f" ± {brief(found.error)}" if np.isfinite(found.error) else ""
    leaves = f"leaves {brief(found.elicited)}{error} of the {brief(found.constant)} bits"
    if kind == "constant":
        return (
            "does not behave like a Bayesian learner of any family that was tried: the best one, "
            f"{found.learner}, {leaves} a token that a constant leaves"
        )
    if kind == "last":
        return (
            "does not behave like a Bayesian learner of any family that was tried: its last "
            f"demonstration alone explains as much (it leaves {brief(found.last)} of the "
            f"{brief(found.constant)} bits a token that a constant leaves) as the best one, "
            f"{found.learner} ({brief(found.elicited)}{error} bits)"
        )
    how = {"bayesian": "behaves like", "roughly": "behaves roughly like"}.get(kind)
    return (
        f"{how or 'behaves only in part like'} {found.learner}, which {leaves} a token that a "
        f"constant leaves ({percent(1.0 - found.elicited / found.constant)} explained)"
    )


def _test(kind: str, found: Findings) -> str:
    """Whether it can be told from a Bayesian learner."""
    if found.moves < STILL:
        return (
            "it is not distinguishable from a Bayesian learner whose prior outweighs all "
            f"{found.n_shots} demonstrations, as no test finds anything where nothing moves (p = 1)"
        )
    if not np.isfinite(found.p_value):
        why = found.untested or "no test was made"
        return f"whether it is distinguishable from a Bayesian learner is not known ({why})"
    p = f"p = {brief(found.p_value)}"
    if kind == "unknown":
        return f"whether it is Bayesian is tested without a prior, {p}"
    if not found.failed:
        return (
            f"it is not distinguishable from a Bayesian learner with this prior, {p} (the "
            "smallest of the tests, after Holm's correction)"
        )
    names = ", ".join(found.failed[:-1]) + (" and " if found.failed[1:] else "") + found.failed[-1]
    return f"it is distinguishable from an exact Bayesian learner with this prior, {p} ({names})"


def _open(kind: str, found: Findings) -> tuple[str, ...]:
    """What cannot be said, and why: the most important first."""
    clauses = []
    if kind == "unknown" and not found.n_sequences:
        return ("how demonstrations change its predictions, as none were shown", *found.open)
    if kind == "even":
        clauses.append("which prior it has, as it tells no answer from another")
    elif kind == "still":
        clauses.append(
            f"which prior it has beyond its mean, as {found.n_shots} demonstrations show no more"
        )
    if found.other > MOST_OTHER:
        clauses.append(
            f"what it does outside the answers, where {percent(found.other)} of its probability is"
        )
    if found.n_sequences < FEW_SEQUENCES:
        sequences = "one sequence" if found.n_sequences == 1 else f"{found.n_sequences} sequences"
        are = "is" if found.n_sequences == 1 else "are"
        clauses.append(f"how sure this is, as {sequences} {are} too few for an error")
    if found.n_shots < FEW_SHOTS:
        clauses.append(f"how fast the prior gives way, as only {_shots(found)} were shown")
    if found.n_prompts < FEW_PROMPTS:
        clauses.append(
            "whether the prior fitted to the rows holds for others, as it is of "
            f"{found.n_prompts} prompt{'' if found.n_prompts == 1 else 's'}"
        )
    clauses += found.open
    if found.loose and kind != "still":
        many = "one of its parameters" if len(found.loose) == 1 else "some of its parameters"
        clauses.append(f"{many}, which the demonstrations do not identify")
    if found.also and kind in ("bayesian", "roughly", "partly"):
        clauses.append(f"whether the family is not rather {' or '.join(map(repr, found.also))}")
    clauses += [f"whether {words}" for words in found.near]
    clauses.append(f"what happens after more than {found.n_shots}, which were not shown")
    return tuple(clauses)


def _warn(kind: str, found: Findings) -> tuple[str, ...]:
    """What a reader must not overlook."""
    warnings = []
    if found.n_prompts < FEW_PROMPTS:
        many = f"{found.n_prompts} prompt{' is' if found.n_prompts == 1 else 's are'}"
        warnings.append(
            f"{many} too few to fit a prior to and to check it: give {FEW_PROMPTS} or more"
        )
    if found.spread < STILL and found.n_prompts > 1:
        warnings.append(
            f"the rows are all but equal ({brief(found.spread)} bits from their mean): any "
            "concentration that is large enough fits them"
        )
    if not found.n_sequences:
        return tuple(warnings)
    if found.n_sequences < FEW_SEQUENCES:
        warnings.append(
            f"{found.n_sequences} sequence{' is' if found.n_sequences == 1 else 's are'} too few "
            f"to say how sure the elicited prior is: give {FEW_SEQUENCES} or more"
        )
    if found.n_shots < FEW_SHOTS:
        warnings.append(
            f"{_shots(found)} in the longest sequence show the prior's mean and little of its "
            f"concentration: give {FEW_SHOTS} or more"
        )
    if found.other > MOST_OTHER:
        warnings.append(other_warning(found.other))
    if found.loose:
        warnings.append(f"of the elicited prior: {'; '.join(found.loose)}")
    warnings += [f"of the elicited prior: {words}" for words in found.misfits]
    if kind == "even":
        warnings.append(
            f"all tokens are about equally probable, within {brief(found.even)} bits: near-ties, "
            "which an untrained network gives and which fit any prior of that mean"
        )
    if found.moves < STILL:
        warnings.append(
            f"the model does not react to demonstrations: its predictions move by "
            f"{brief(found.moves)} bits, so a small divergence from any prior says nothing"
        )
    return tuple(warnings)


def brief(value: float, digits: int = 2) -> str:
    """A figure with few digits.

    Examples
    --------
    >>> brief(0.48367), brief(0.00056805), brief(1234.5, 3)
    ('0.48', '0.00057', '1.23e+03')
    """
    return "0" if abs(value) < NOTHING else f"{value:.{digits}g}"


def _shots(found: Findings) -> str:
    return f"{found.n_shots} demonstration{'' if found.n_shots == 1 else 's'}"


# ---------------------------------------------------------------------------
# Predictions along demonstrations
# ---------------------------------------------------------------------------


def measured(
    answers: Columns,
    own: Sequence[Floats],
    found: Sequence[Floats],
    *,
    held_out: float = np.nan,
    sizes: Sequence[int] | None = None,
) -> dict[str, Any]:
    """What predictions along demonstrations say.

    Parameters
    ----------
    answers
        Of each sequence the S columns that were shown.
    own
        The model's log-probabilities along each, (S + 1, V).
    found
        Those of the elicited prior.
    held_out
        Its mean divergence on sequences that it was not fitted to, in nats; those at hand if nan.
    sizes
        As for `from_uniform`.

    Returns
    -------
    dict
        Fields of `Findings`.
    """
    kls = [divergences(a, b) / np.log(2.0) for a, b in zip(own, found, strict=True)]
    constant, last = constant_kl(answers, own)
    better = constant if _mean(constant) <= _mean(last) else last
    gains = [a - b for a, b in zip(better, kls, strict=True)]
    return {
        "n_sequences": len(own),
        "n_shots": max(map(len, answers)),
        "even": from_uniform(own, sizes),
        "moves": reaction(own),
        "constant": _mean(constant),
        "last": _mean(last),
        "elicited": held_out / np.log(2.0) if np.isfinite(held_out) else _mean(kls),
        "error": _error(kls),
        "gain_error": _error(gains),
    }


def _mean(values: Sequence[Floats]) -> float:
    return float(np.concatenate(list(values)).mean())


def _error(values: Sequence[Floats]) -> float:
    """Standard error of a mean over sequences."""
    means = np.array([value.mean() for value in values])
    return float(means.std(ddof=1) / np.sqrt(len(means))) if len(means) > 1 else np.nan


def reaction(own: Sequence[Floats]) -> float:
    """Mean divergence, in bits, of predictions from the mean of their sequence.

    Examples
    --------
    >>> reaction([np.log([[0.5, 0.5], [0.5, 0.5]])])
    0.0
    >>> round(reaction([np.log([[0.75, 0.25], [0.25, 0.75]])]), 4)
    0.1887
    """
    parts = []
    for rows in own:
        mean = np.log(np.exp(rows).mean(axis=0))
        parts.append(divergences(rows, np.broadcast_to(mean, rows.shape)))
    return _mean(parts) / float(np.log(2.0))


def from_uniform(own: Sequence[Floats], sizes: Sequence[int] | None = None) -> float:
    """Mean divergence, in bits, of predictions from all tokens being equally probable.

    Parameters
    ----------
    own
        Log-probabilities (S + 1, V) of each sequence.
    sizes
        How many tokens count as each answer; one by default.

    Examples
    --------
    >>> from_uniform([np.log([[0.5, 0.25, 0.25]])], [2, 1, 1])
    0.0
    """
    rows = np.concatenate(list(own))
    share = np.ones(rows.shape[1]) if sizes is None else np.asarray(sizes, dtype=float)
    flat = np.broadcast_to(np.log(share / share.sum()), rows.shape)
    return float(divergences(rows, flat).mean() / np.log(2.0))


def constant_kl(
    answers: Sequence[Sequence[int]], own: Sequence[Floats]
) -> tuple[list[Floats], list[Floats]]:
    """Divergences, in bits, of predictions from constants that other sequences make.

    Parameters
    ----------
    answers, own
        As for `measured`.

    Returns
    -------
    constant
        From the mean row of all other sequences (of its own where there is no other).
    last
        From the mean row of those after the same last demonstration; the constant of all counts as
        one more row there.
    """
    width = own[0].shape[1]
    probs = [np.exp(rows) for rows in own]
    keys = [np.concatenate([[width], np.asarray(a, dtype=np.intp)]) for a in answers]
    sums, counts = [], []
    for rows, key in zip(probs, keys, strict=True):
        total = np.zeros((width + 1, width))
        np.add.at(total, key, rows)
        sums.append(total)
        counts.append(np.bincount(key, minlength=width + 1).astype(float))
    all_sums, all_counts = np.sum(sums, axis=0), np.sum(counts, axis=0)
    constant, last = [], []
    for rows, key, total, count in zip(own, keys, sums, counts, strict=True):
        alone = len(own) == 1
        others = all_sums if alone else all_sums - total
        times = all_counts if alone else all_counts - count
        mean = others.sum(axis=0) / times.sum()
        by_last = (others + mean) / (times + 1.0)[:, np.newaxis]
        with np.errstate(divide="ignore"):
            flat = np.broadcast_to(np.log(mean), rows.shape)
            constant.append(divergences(rows, flat) / np.log(2.0))
            last.append(divergences(rows, np.log(by_last[key])) / np.log(2.0))
    return constant, last
