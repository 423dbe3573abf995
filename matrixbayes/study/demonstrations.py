"""The part of a study that asks what demonstrations do.

Contents
    Context             demonstrations to follow, and the answers they are of
    demonstrations_of   the user's, those of a design, or such as the model writes itself
    in_context          the elicited prior, the divergences, the score card, what they say
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._base.display import printable
from .fitted import Fit
from .held import held
from .incontext import (
    SEVERAL,
    Answers,
    answer_tokens,
    elicited,
    held_out,
    learner,
    near_priors,
    open_prompt,
    sample_shots,
    tested,
)
from .inputs import UsageError
from .shots import among, compare, log_predictions
from .task import Task, as_shots, draw
from .texts import Shots, answers_alone, encoder, find_answer, predictions_along
from .verdict import STILL, Findings, measured

if TYPE_CHECKING:
    from ..diagnostics.card import ScoreCard
    from ..mixture import DirichletMixture
    from ..rows import NextTokenRows

# The design where the true prior is known.
ELICIT_SEQUENCES = 80  # the prior is elicited from the rows after every draw of these
SHOT_SEQUENCES = 100  # and judged on these, which it has not seen


class Context(NamedTuple):
    """Demonstrations to follow, and those to elicit from where they are others."""

    shots: Sequence[Shots]
    elicit: Sequence[Shots]
    columns: Mapping[str, Sequence[str | int]] | None
    answers: Answers | str
    source: str
    open: tuple[str, ...]


def demonstrations_of(
    task: Task,
    rows: NextTokenRows,
    prompts: Sequence[str],
    shots: Sequence[Shots] | None,
    designed: bool,
    streams: Sequence[np.random.Generator],
) -> Context:
    """The user's sequences, those of a design, or such as the model writes itself."""
    groups = rows.meta.get("groups")
    encode = encoder(task.tokenizer)
    if shots is not None or designed:
        own = shots is None
        try:
            if shots is None:
                shots = _drawn(task, SHOT_SEQUENCES, streams[1])
            elicit = _drawn(task, ELICIT_SEQUENCES, streams[2]) if own else shots
            counted = held(
                task.tokenizer, encode, [*shots, *(elicit if own else ())], task.vocab or {}
            )
        except ValueError as error:
            raise UsageError(error) from error
        answers = answer_tokens(shots, encode, counted)
        source = "drawn from the true prior" if own else "given"
        open_ = "what inputs tell it, as families of priors look at answers alone"
        if answers == SEVERAL:
            open_ = f"whether it is exactly Bayesian, as {SEVERAL}"
        more = (open_,) * isinstance(answers, str)
        return Context(shots, elicit, counted, answers, source, more)
    number, columns = open_prompt(rows, groups)
    names = tuple(rows.tokens[j] for j in columns) if rows.tokens else tuple(map(str, columns))
    if groups is None:
        ids = [int(j) for j in (columns if rows.token_ids is None else rows.token_ids[columns])]
        groups = {name: [i] for name, i in zip(names, ids, strict=True)}
    else:
        groups = {name: groups[name] for name in names}
    single = [[i for i in own if isinstance(i, int)] for own in groups.values()]
    after = printable(prompts[number], width=60)
    source = f"written by the model after “{after}”"
    if not all(single):
        return Context((), (), None, SEVERAL, source, (f"what it learns, as {SEVERAL}",))
    answers = Answers(names, tuple(own[0] for own in single), _ids(rows, number))
    try:
        sampled = sample_shots(task.model, answers, streams[3])
    except ValueError as error:
        return Context((), (), None, str(error), source, (f"what it learns, as {error}",))
    return Context(
        sampled,
        sampled,
        groups,
        answers,
        source,
        ("what it learns from demonstrations that it did not write, or after other prompts",),
    )


def _drawn(task: Task, n: int, rng: np.random.Generator) -> list[Shots]:
    """Sequences from the true prior, whose words are spellings of the answers."""
    groups: Mapping[str, Sequence[Any]] = task.vocab or {}
    drawn = [as_shots(words) for words in draw(task, n, rng)]
    words = {word for sequence in drawn for word in sequence.answers}
    named = {word: find_answer(word, groups, "the words of the true prior")[0] for word in words}
    return [replace(s, answers=tuple(named[word] for word in s.answers)) for s in drawn]


def _ids(rows: NextTokenRows, number: int) -> tuple[int, ...]:
    """The token ids of a prompt."""
    return tuple(int(i) for i in rows.context(number))


def in_context(
    task: Task,
    context: Context,
    fit: Fit,
    truth: DirichletMixture | None,
    found: Findings,
    rng: np.random.Generator,
    say: Callable[[str], None],
) -> tuple[dict[str, Any], Findings]:
    """What demonstrations do: the elicited prior, the divergences, the score card."""

    def collect(prompts: Sequence[Any], positions: Any) -> NextTokenRows:
        return task.collect(prompts, positions, context.columns)

    encode = encoder(task.tokenizer)
    own = predictions_along(collect, encode, context.shots)
    parts = [answers_alone(rows) for rows in own]
    tokens = parts[0][1]
    fitted, shown = among(fit.prior, tokens), among(fit.shown, tokens)
    say("eliciting the prior from predictions in context")
    others = context.elicit is not context.shots
    watched = predictions_along(collect, encode, context.elicit) if others else own
    start = fit.shown if tuple(fit.shown.tokens or ()) == tokens else None
    report, tried = elicited(context.elicit, watched, start, task.seed)
    judged = report.prior if set(report.priors) == {"iid"} else report
    priors = {"fitted prior": fitted, "elicited prior": judged}
    detailed = judged if judged is not report else shown
    shots = compare(context.shots, own, priors, truth, detailed)
    answers = [[tokens.index(name) for name in sequence.answers] for sequence in context.shots]
    predicted = [log_predictions(judged, sequence.answers) for sequence in context.shots]
    log_probs = [part[0] for part in parts]
    known = np.nan if others else held_out(report)  # others were not seen by the elicitation
    card: ScoreCard | str = context.answers if isinstance(context.answers, str) else ""
    groups = own[0].meta.get("groups") or {}
    sizes = [len(groups.get(name, [0])) for name in tokens]
    measures = measured(answers, log_probs, predicted, held_out=known, sizes=sizes)
    if isinstance(context.answers, Answers) and measures["moves"] >= STILL:
        say("testing whether it is Bayesian")
        card = tested(task.model, context.answers, report, rng)
    if not isinstance(card, str):
        failed = [t.name for t, p in zip(card.tests, card.adjusted, strict=True) if p <= card.level]
        measures |= {
            "p_value": float(card.adjusted.min()),
            "failed": tuple(failed),
            "level": card.level,
        }
    compared = report.comparison
    found = replace(
        found,
        **measures,
        other=float(np.concatenate([part[2] for part in parts]).mean()),
        learner=learner(report),
        also=() if compared is None else compared.undecided,
        near=near_priors(report, tried, measures.get("error", np.nan)),
        untested=card if isinstance(card, str) else "",
        loose=report.identification.flags,
        misfits=report.warnings,
    )
    fields = {
        "elicitation": report,
        "card": None if isinstance(card, str) else card,
        "shots": shots,
        "priors": tried,
    }
    return fields, found
