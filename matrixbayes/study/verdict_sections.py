"""The sections of a study's page that answer its question, as HTML.

Contents
    verdict_part    the sentence, what cannot be said, what must not be overlooked
    check_part      whether the fitted prior describes the rows
    context_part    the prior that the model acts on, and the tests of whether it is Bayesian
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._base.display import printable
from .incontext import learner
from .page import listed, paragraph, table

if TYPE_CHECKING:
    from .result import StudyResult

CARD = ["test", "statistic", "p", "p (Holm)"]


def verdict_part(result: StudyResult) -> str:
    """What may be said, and what not."""
    found = result.verdict
    if found is None:
        return paragraph("This study was made by a version without a verdict.")
    said = found.behaves[:1].upper() + found.behaves[1:]
    parts = [
        paragraph(f"This model {found.behaves}.", kind="verdict") if said else "",
        paragraph(f"{found.test[:1].upper()}{found.test[1:]}."),
        paragraph("What cannot be said, and why:"),
        listed([f"{clause[:1].upper()}{clause[1:]}." for clause in found.open]),
    ]
    return "".join(parts)


def check_part(result: StudyResult, figures: Mapping[str, str]) -> str:
    """The check of the fit, and what else was tried."""
    check, fit = result.check, result.fit
    assert check is not None
    assert fit is not None
    lines = check._table()
    parts = [
        paragraph(
            f"The prior was fitted {fit.words}. The same was fitted to a part of the rows and "
            f"checked on {check.n_rows} others: it {check.verdict}."
        ),
        figures.get("check", ""),
        table(lines.columns, lines.rows, caption="Bits per token of draws from rows left out"),
        listed([f"{words[:1].upper()}{words[1:]}." for words in lines.words]),
    ]
    if len(fit.tried) > 1:
        cells = [[name, f"{bits:.3f}"] for name, bits in fit.tried.items()]
        parts.append(table(["fit", "bits per token"], cells, caption="What was tried"))
    return "".join(parts)


def context_part(result: StudyResult) -> str:
    """The elicited prior, and the score card."""
    found = result.elicitation
    if found is None:
        return paragraph("No demonstrations were followed, so nothing is known of this.")
    source = result.settings.get("demonstrations", "given")
    parts = [
        paragraph(
            "The elicited prior is the one whose Bayesian predictions after each history of "
            "answers come closest to the model's own, given that one of the answers comes: "
            f"{learner(found)}. Families were compared by sequences that they were not fitted to. "
            f"The demonstrations were {printable(source, width=120)}."
        ),
        table(["measure", "value"], found._measures(), caption="The elicited prior"),
    ]
    tried = [[name, k, f"{bits:.5f}"] for name, k, bits in result.settings.get("priors", [])]
    if len(tried) > 1:
        caption = "What was tried, by KL(model || predictive) on sequences left out"
        parts.append(table(["family", "components", "bits per token"], tried, caption=caption))
    card = result.card
    if card is None:
        reason = "" if result.verdict is None else f": {result.verdict.test}"
        return "".join([*parts, paragraph(f"No tests were made{reason}.")])
    parts += [
        paragraph(
            "A Bayesian learner's predictions are a martingale along what it writes itself, do "
            "not depend on the order of what it saw where its family says so, and become surer as "
            f"its evidence grows. {card.verdict}"
        ),
        table(CARD, _card_lines(card), caption=f"Tests at level {card.level:g} of the whole card"),
        listed([f"{line[0]}: {line[4]}" for line in card._lines()]),
    ]
    return "".join(parts)


def _card_lines(card: Any) -> list[list[Any]]:
    return [line[:4] for line in card._lines()]
