"""The sections of a study's page that answer its question, as HTML.

Contents
    verdict_part    the sentence, what cannot be said, what must not be overlooked
    check_part      whether the fitted prior describes the rows
    context_part    the prior that the model acts on, and the tests of whether it is Bayesian
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._base.display import printable
from .incontext import learner
from .page import listed, paragraph, table

if TYPE_CHECKING:
    from .result import StudyResult

# Each kind of verdict for a reader who knows no bits yet.
PLAIN = {
    "bayesian": "Yes, as far as was seen: shown demonstrations, this model changes its mind as "
    "Bayes' rule says, from a prior that can be written down.",
    "roughly": "Roughly: most of how this model reacts to demonstrations is what Bayes' rule says "
    "from one prior, but not all of it.",
    "partly": "Only in part: Bayes' rule from one prior explains some of how this model reacts to "
    "demonstrations, and leaves much.",
    "last": "No, as far as was seen: this model goes by the last demonstration and forgets the "
    "others, as no Bayesian learner would.",
    "constant": "No, as far as was seen: no prior explains this model's predictions better than "
    "always predicting the same.",
    "still": "It cannot be said: whatever it is shown, this model predicts the same.",
    "even": "No: this model finds everything equally probable and learns nothing from "
    "demonstrations, as one that was never trained.",
    "unknown": "It cannot be said: demonstrations would tell, and there were none to go by.",
}
FAILS = " Tests find that it is not exactly so."
TIES = "Some answers here are near-ties, which what was measured does not settle:"

CARD = ["test", "statistic", "p", "p (Holm)"]


def verdict_part(result: StudyResult) -> str:
    """What may be said, and what not."""
    found = result.verdict
    if found is None:
        return paragraph("This study was made by a version without a verdict.")
    failed = result.card is not None and bool((result.card.adjusted <= result.card.level).any())
    fails = FAILS if failed and found.kind in ("bayesian", "roughly", "partly") else ""
    ties, others = _near_ties(found.open)
    parts = [
        paragraph(PLAIN[found.kind] + fails, kind="verdict"),
        paragraph(f"In figures: this model {found.behaves}."),
        paragraph(f"{found.test[:1].upper()}{found.test[1:]}."),
        paragraph(TIES) + listed(ties) if ties else "",
        paragraph("What cannot be said, and why:"),
        listed(others),
    ]
    return "".join(parts)


def _near_ties(clauses: Sequence[str]) -> tuple[list[str], list[str]]:
    """Sentences of what cannot be told from what was chosen, and of what else is open."""
    sentences = [f"{clause[:1].upper()}{clause[1:]}." for clause in clauses]
    ties = [words for words in sentences if " not rather " in words or "within ±" in words]
    return ties, [words for words in sentences if words not in ties]


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
    assert found is not None
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
