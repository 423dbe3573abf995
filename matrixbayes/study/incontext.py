"""What a model does with demonstrations: which ones it is shown, the prior it acts on, the tests.

Contents
    Answers           the answers as columns, each with a token of the model
    open_prompt       the prompt after which a model is least sure of its answers
    sample_shots      sequences that the model writes itself
    answer_tokens     the token of each answer in sequences of answers alone
    elicited          the prior that explains the predictions along sequences
    tested            the score card of a model over its answers
    learner           an elicited prior in words
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.typing import Ids
from ..huggingface import TokenPredictor
from ..sources.names import parts_of
from .texts import Encode, Shots, elicited_from
from .verdict import brief

if TYPE_CHECKING:
    from ..diagnostics.card import ScoreCard
    from ..elicitation import ElicitationReport
    from ..mixture import DirichletMixture
    from ..rows import NextTokenRows

SAMPLED, LENGTH = 64, 32  # sequences that a model writes, and answers in each
MOST_ANSWERS = 8  # where no groups are given: the most likely tokens
MOST_ROWS = 4000  # that a prior is elicited from
LOOKED_AT = 8  # sequences whose tokens are compared
FAMILIES = ("iid", "markov", "markov(repeat)", "markov(last)", "iid+markov", "tree+balance")
KINDS = {
    "iid": "independent draws",
    "markov": "Markov chains",
    "tree": "sources of variable order",
    "balance": "sources that balance their tokens",
}
TIED = {
    "shared": "with one prior of all rows",
    "repeat": "that tell repetition from change",
    "last": "with a prior for each last token",
    "full": "with a prior for each context",
}
SEVERAL = "an answer is several tokens, and the tests need answers of one"
CARD, CARD_LENGTH, LEAST = 128, 24, 4  # continuations for the score card


@dataclass(frozen=True)
class Answers:
    """What a model chooses between: names, the id of each, and the ids before everything."""

    names: tuple[str, ...]
    ids: tuple[int, ...]
    prefix: tuple[int, ...]

    def predictor(self, model: Any) -> TokenPredictor:
        """The model over these answers alone."""
        return TokenPredictor(model, self.ids, prefix=self.prefix)


# ---------------------------------------------------------------------------
# Sequences
# ---------------------------------------------------------------------------


def open_prompt(rows: NextTokenRows, groups: Mapping[str, Sequence[int]] | None) -> tuple[int, Ids]:
    """The row whose answers hold the most entropy, and the columns that are the answers.

    Without groups the answers of a row are its most likely tokens.
    """
    best, chosen, most = 0, np.zeros(0, dtype=np.intp), -1.0
    width = rows.n_tokens if groups is None else len(groups)
    for i in range(len(rows)):
        row = rows.log_probs[i].astype(np.float64)
        own = np.arange(width)
        if groups is None and width > MOST_ANSWERS:
            own = np.sort(np.argpartition(-row, MOST_ANSWERS)[:MOST_ANSWERS])
        p = np.exp(row[own])
        entropy = float(-(p * (row[own] - np.log(p.sum()))).sum())
        if entropy > most:
            best, chosen, most = i, own, entropy
    return best, chosen


def sample_shots(
    model: Any, answers: Answers, rng: np.random.Generator, n: int = SAMPLED
) -> list[Shots]:
    """Sequences of answers that the model writes after its prompt, as token ids.

    Raises
    ------
    ValueError
        The model takes too few tokens behind the prompt.
    """
    predictor = answers.predictor(model)
    room = predictor.max_history
    length = LENGTH if room is None else min(LENGTH, room)
    if length < LEAST:
        raise ValueError(f"the model takes {length} tokens behind this prompt; {LEAST} are needed")
    found = []
    for row in predictor.sample(n, length, rng=rng).tolist():
        ids = [answers.ids[v] for v in row]
        prompts = tuple((*answers.prefix, *ids[:t]) for t in range(length + 1))
        found.append(Shots(prompts, tuple(answers.names[v] for v in row)))
    return found


def answer_tokens(
    shots: Sequence[Shots], encode: Encode, groups: Mapping[str, Sequence[Any]]
) -> Answers | str:
    """The token of each answer where sequences are answers alone; else why there is none.

    Parameters
    ----------
    shots, encode
        The sequences, and what gives their tokens.
    groups
        The ids that count as each answer: the first stands for an answer that is never shown.
    """
    begins: set[tuple[int, ...]] = set()
    seen: dict[str, Counter[int]] = {name: Counter() for name in groups}
    single = {name: [i for i in own if isinstance(i, int)] for name, own in groups.items()}
    if not all(single.values()):
        return SEVERAL
    for sequence in shots[:LOOKED_AT]:
        ids = [list(encode(text)) for text in sequence.prompts]
        begins.add(tuple(ids[0]))
        for before, after, name in zip(ids, ids[1:], sequence.answers, strict=False):
            if len(after) > len(before) + 1 and "\n" not in sequence.prompts[-1]:
                return SEVERAL
            if len(after) != len(before) + 1 or after[:-1] != before:
                return "demonstrations have inputs, and the tests need answers alone"
            seen[name][after[-1]] += 1
    if len(begins) > 1:
        return "sequences begin differently, and the tests go on from one beginning"
    chosen = [own.most_common(1)[0][0] if own else single[name][0] for name, own in seen.items()]
    return Answers(tuple(groups), tuple(chosen), begins.pop())


# ---------------------------------------------------------------------------
# The prior, and the tests
# ---------------------------------------------------------------------------


def elicited(
    shots: Sequence[Shots],
    rows: Sequence[NextTokenRows],
    start: DirichletMixture | None,
    seed: int,
) -> tuple[ElicitationReport, list[tuple[str, int, float]]]:
    """The best of all families, and of mixtures of exchangeable ones, by held-out sequences.

    `start` is a prior over the same answers, where there is one: as many components are tried.
    With the best come all: family, components, and mean KL on sequences left out, in bits.
    """
    many = max(1, MOST_ROWS // max(len(own) for own in rows))
    shots, rows = shots[:many], rows[:many]
    options: dict[str, Any] = {"rng": seed}
    if len(shots) > 1:
        options |= {"cv": min(5, len(shots)), "family": FAMILIES}
    more = [start.n_components] if start is not None else [2, 3]
    with warnings.catch_warnings():
        # of fits that may not be chosen; the verdict says what the chosen one leaves open
        warnings.simplefilter("ignore", RuntimeWarning)
        reports = [elicited_from(shots, rows, **options)]
        for k in more:
            if k > 1 and len(shots) > 1:
                own = {"n_components": k, "start": start, "n_starts": 2, "family": "iid"}
                reports.append(elicited_from(shots, rows, **(options | own)))
    found = min(reports, key=held_out)
    if not found.converged:
        warnings.warn(f"the elicited prior, {learner(found)}, did not converge", RuntimeWarning, 2)
    return found, [pair for report in reports for pair in _tried(report)]


def _tried(report: ElicitationReport) -> list[tuple[str, int, float]]:
    """The families of a report, their components, and their KL on sequences left out, in bits."""
    compared = report.comparison
    own = {report.family: report} if compared is None else compared.reports
    return [
        (
            name,
            max((prior.n_components for prior in each.priors.values()), default=1),
            float(held_out(report, name) / np.log(2.0)),
        )
        for name, each in own.items()
    ]


def near_priors(
    found: ElicitationReport, tried: Sequence[tuple[str, int, float]], error: float
) -> tuple[str, ...]:
    """Sizes of the chosen family that left-out sequences do not tell from it, as clauses.

    `error` is the standard error over sequences of what the chosen prior leaves, in bits.  Other
    families are told apart where they are compared.
    """
    own = max((prior.n_components for prior in found.priors.values()), default=1)
    best = min((bits for name, k, bits in tried if (name, k) == (found.family, own)), default=0.0)
    return tuple(
        f"the elicited prior has not rather {k} component{'' if k == 1 else 's'} than {own}, as "
        f"left-out sequences tell them apart by {brief(bits - best)} bits, within ± {brief(error)}"
        for name, k, bits in tried
        if name == found.family and k != own and bits - best < error
    )


def held_out(report: ElicitationReport, family: str | None = None) -> float:
    """The mean KL of sequences left out, in nats; of all where nothing was left out."""
    compared = report.comparison
    if compared is None:
        return report.mean_kl
    return float(compared.held_out_kl[compared.families.index(family or report.family)])


class _Own:
    """A model's own sequences, as a task of the score card."""

    def __init__(self, predictor: Any) -> None:
        self.n_tokens = predictor.n_tokens
        self.sample = lambda n, length, *, rng=None: predictor.sample(n, length, rng=rng)


def tested(
    model: Any, answers: Answers, report: ElicitationReport, rng: np.random.Generator
) -> ScoreCard | str:
    """The score card of the model on what it writes after its prompt; else why there is none.

    The null is the elicited prior.
    """
    from ..diagnostics import score_card

    predictor = answers.predictor(model)
    room = predictor.max_history
    length = CARD_LENGTH if room is None else min(CARD_LENGTH, room)
    if length < LEAST:
        return "the model takes too few tokens for the tests"
    with warnings.catch_warnings():
        # what the elicitation inside leaves open is said of the elicited prior
        warnings.simplefilter("ignore", RuntimeWarning)
        return score_card(
            predictor,
            None,
            _Own(predictor),
            shots=0,
            n=CARD,
            length=length,
            null=report,
            rng=rng,
        )


def learner(report: ElicitationReport) -> str:
    """An elicited prior in words.

    Examples
    --------
    >>> from matrixbayes.elicitation import elicit_prior
    >>> learner(elicit_prior([[], [0], [0, 0]], [[0.5, 0.5], [0.6, 0.4], [2 / 3, 1 / 3]],
    ...                      kind="probs", rng=0))
    'a Bayesian learner of independent draws (one Dirichlet, A = 4)'
    """
    parts = []
    for name, part in parts_of(report.family, report.order).items():
        words = KINDS[part.kind]
        prior = report.priors.get(name)
        if prior is not None:
            totals = [brief(float(a), 3) for a in np.asarray(prior.concentration)]
            many = "one Dirichlet" if len(totals) == 1 else f"{len(totals)} Dirichlets"
            listed = ", ".join(totals[:-1]) + (" and " if totals[1:] else "") + totals[-1]
            words += f" ({many}, A = {listed})"
        elif part.kind == "markov":
            words += " " + TIED[part.tie]
        parts.append(words)
    if set(report.priors) == {"iid", "markov"}:
        parts[1] += f" with prior probability {brief(report.weight)}"
    return "a Bayesian learner of " + " or ".join(parts)
