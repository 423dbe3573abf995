"""The sections of a study's page, as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.display import number, percent, printable, show
from ..rows.kl import divergences
from .fitted import mean_row
from .page import contents, listed, paragraph, picture, section, table
from .result import bits_line, counted, range_line, recovery_line
from .shots import aligned
from .verdict import brief
from .verdict_sections import check_part, context_part, verdict_part

if TYPE_CHECKING:
    from ..mixture import DirichletMixture
    from .figures import Picture
    from .result import StudyResult


MOST_TOKENS = 12
MOST_KINDS = 4
SHOWN_SHOTS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)


def sections_of(result: StudyResult, pictures: Sequence[Picture]) -> list[str]:
    """The sections of the page, in their order."""
    figures = {p.name: picture(p.png, p.alt, p.sentence, p.width) for p in pictures}
    parts = [
        ("The verdict", verdict_part(result)),
        ("In short", _short(result)),
        ("What the model was asked", _rows_part(result)),
        ("How many kinds of row", _choice_part(result, figures)),
        ("The prior", _prior_part(result, figures)),
    ]
    if result.check is not None:
        parts.append(("Does the prior describe the rows?", check_part(result, figures)))
    if result.shots is not None:
        parts.append(("What demonstrations do", _shots_part(result, figures)))
    if result.elicitation is not None:
        parts.append(("Does it learn as Bayes would?", context_part(result)))
    if result.truth is not None:
        parts.append(("Beside the truth", _truth_part(result, figures)))
    parts.append(("Warnings", _notes_part(result)))
    parts.append(("How this was made", _method_part(result)))
    verdict, *others = (section(name, body) for name, body in parts)
    return [verdict, contents([name for name, _ in parts]), *others]


def _short(result: StudyResult) -> str:
    """The findings as a list, in plain words."""
    n, k = len(result.rows), result.shown.n_components
    kinds = "one kind" if k == 1 else f"{k} kinds"
    items = [f"What it says after {n} prompts is of {kinds}, by the best description (BIC)."]
    if result.fit is not None and result.fit.method != "density":
        items = [f"The prior of the rows of {n} prompts is fitted {result.fit.words}."]
    heavy = np.argsort(-np.asarray(result.shown.weights), kind="stable")[:MOST_KINDS]
    items += [f"{_kind(result.shown, int(j))}." for j in heavy]
    if result.elicited is not None:
        totals = [brief(float(a)) for a in np.asarray(result.elicited.concentration)]
        items.append(
            f"When shown demonstrations, it starts from as much as {_listed(totals)} of them would "
            "have taught it: after as many, prompt and prior count the same."
        )
    recovery = recovery_line(result)
    if recovery:
        items.append(f"The elicited prior beside the true one: {recovery}.")
    if result.notes:
        n = len(result.notes)
        items.append(f"There {'is a warning' if n == 1 else f'are {n} warnings'} below.")
    return listed(items)


def _kind(mixture: DirichletMixture, k: int) -> str:
    """A component as a kind of answer."""
    mean = np.asarray(mixture.alpha)[k] / float(np.asarray(mixture.concentration)[k])
    names = mixture.tokens or [str(j) for j in range(len(mean))]
    order = np.argsort(-mean, kind="stable")[:3]
    top = ", ".join(f"{show(names[j])} {percent(mean[j])}" for j in order)
    share = percent(float(mixture.weights[k])) + " of them"
    return f"{'All' if mixture.n_components == 1 else share}: {top}, on average"


def _listed(words: Sequence[str]) -> str:
    """Words as one part of a sentence."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _rows_part(result: StudyResult) -> str:
    """The prompts and the mean row."""
    rows, settings = result.rows, result.settings
    asked = (
        f"The model ({printable(result.model, width=80)}) read {len(rows)} prompts, and its "
        f"distribution of the next token over {rows.n_tokens} columns was kept for each: a row. "
        f"The first prompt is “{printable(settings.get('first_prompt', ''), width=160)}”."
    )
    if settings.get("designed"):
        asked += (
            " Each prompt is a fresh sequence: an urn is drawn from the prior that the model was "
            "trained on, and words are drawn from the urn."
        )
    parts = [paragraph(asked)]
    if settings.get("vocab"):
        parts.append(paragraph(_answers(settings["vocab"], settings.get("other"))))
    names = [str(j) for j in range(rows.n_tokens)] if rows.tokens is None else rows.tokens
    mean = mean_row(rows)
    cells = []
    for j in np.argsort(-mean, kind="stable")[:MOST_TOKENS]:
        low, high = np.quantile(np.exp(rows.log_probs[:, j].astype(np.float64)), [0.05, 0.95])
        cells.append([show(names[j]), percent(mean[j]), percent(low), percent(high)])
    columns = ["token", "mean", "5% quantile", "95% quantile"]
    parts.append(table(columns, cells, caption="The most probable tokens over all rows"))
    return "".join(parts)


def _answers(vocab: dict[str, list[str]], other: str | None) -> str:
    """What the columns are, in words."""
    groups = [
        show(name) if spellings == [name] else f"{show(name)} ({', '.join(map(show, spellings))})"
        for name, spellings in list(vocab.items())[:MOST_TOKENS]
    ]
    more = f" and {len(vocab) - MOST_TOKENS} more" if len(vocab) > MOST_TOKENS else ""
    rest = "is kept in a last column" if other == "keep" else "is left out of the rows"
    return f"Columns are answers: {', '.join(groups)}{more}. What the model gives to others {rest}."


def _choice_part(result: StudyResult, figures: dict[str, str]) -> str:
    """The table and figure of model choice."""
    keys = [
        ("n_components", "K"),
        ("n_parameters", "parameters"),
        ("log_likelihood", "log-likelihood (nats)"),
        ("aic", "AIC"),
        ("bic", "BIC"),
        ("converged", "converged"),
    ]
    fits = list(result.selection.table)
    keys = [(key, name) for key, name in keys if key in fits[0]]
    rows = [[entry[key] for key, _ in keys] for entry in fits]
    best = [entry["n_components"] for entry in fits].index(result.selection.best_.n_components)
    caption = "Fits of every K tried; the chosen one is bold"
    return (
        paragraph(
            "A prior over rows is a mixture of K Dirichlet distributions. A larger K always fits a "
            "little better; BIC charges for every parameter, and the lowest BIC is chosen."
        )
        + figures.get("criterion", "")
        + table([name for _, name in keys], rows, caption=caption, bold=best)
    )


def _prior_part(result: StudyResult, figures: dict[str, str]) -> str:
    """The fitted prior."""
    return (
        figures.get("components", "")
        + table(*_components_table(result.shown), caption="The fitted prior")
        + figures.get("ternary", "")
    )


def _components_table(mixture: DirichletMixture) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows that show each component."""
    weights, alpha = np.asarray(mixture.weights), np.asarray(mixture.alpha)
    total = alpha.sum(axis=1)
    names = mixture.tokens or [str(j) for j in range(alpha.shape[1])]
    rows = []
    for k in range(len(weights)):
        mean = alpha[k] / total[k]
        order = np.argsort(-mean, kind="stable")[:4]
        top = ", ".join(f"{show(names[j])} {percent(mean[j])}" for j in order)
        rows.append([k, f"{weights[k]:.3f}", number(float(total[k])), top])
    return ["component", "weight", "concentration A", "mean of the most probable tokens"], rows


def _some_shots(last: int) -> list[int]:
    """The shots that a table shows."""
    return sorted({*(t for t in SHOWN_SHOTS if t < last), last})


def _shots_part(result: StudyResult, figures: dict[str, str]) -> str:
    """The posterior path and the divergences."""
    shots = result.shots
    assert shots is not None
    cells: list[list[Any]] = []
    for t in _some_shots(len(shots.divergences[0].mean) - 1):
        row: list[Any] = [t]
        for d in shots.divergences:
            error = f" ± {d.stderr[t]:.5f}" if np.isfinite(d.stderr[t]) else ""
            row.append(f"{d.mean[t]:.5f}{error}")
        cells.append(row)
    names = ["shots", *(d.name for d in shots.divergences)]
    many = "" if shots.n_sequences == 1 else f", mean ± standard error over {shots.n_sequences}"
    sequences = "one sequence" if shots.n_sequences == 1 else f"{shots.n_sequences} sequences"
    return (
        paragraph(
            f"{sequences.capitalize()} of demonstrations were followed. After each demonstration "
            "the prior is updated by Bayes' rule, and the model is asked for its own prediction. "
            "If the model does Bayesian inference under this prior, the two agree at every shot."
        )
        + figures.get("concentration", "")
        + figures.get("divergence", "")
        + paragraph("KL(p || q): bits per token lost when q stands in for p; 0 where they agree.")
        + listed([f"{d.name}: {bits_line(d)}." for d in shots.divergences])
        + table(names, cells, caption=f"Divergence in bits per token{many}")
    )


def _truth_part(result: StudyResult, figures: dict[str, str]) -> str:
    """What is known of the truth beside what was recovered."""
    truth = result.truth
    assert truth is not None
    text = (
        "This model was trained on sequences from a known prior, so every answer can be checked. "
        "Two priors were recovered. The fitted one describes the rows that the model gives after "
        "its prompts: those are posterior means, less spread than the urns they stand for, since a "
        "finite prompt never pins an urn down. So its concentrations must come out larger than the "
        "true ones: it is the right answer to another question. The elicited prior is the "
        "one whose Bayesian predictions after every history come closest to the model's; "
        "it accounts for the number of draws, and it is the one to compare with the truth."
    )
    priors, tables = {"true": truth}, []
    for name, mixture in (("elicited", result.elicited), ("fitted to rows", result.shown)):
        if mixture is None:
            continue
        ordered = aligned(truth, mixture)
        if ordered is not None:
            priors[name] = ordered
        else:
            n = counted(mixture)
            caption = f"{name.capitalize()}: {n}, so not paired with the true ones"
            tables.append(table(*_components_table(mixture), caption=caption))
    for k in range(truth.n_components):
        cells = []
        for name, mixture in priors.items():
            alpha = np.asarray(mixture.alpha)[k]
            of_tokens = [f"{a:.4g}" for a in alpha[:MOST_TOKENS]]
            cells.append([name, f"{mixture.weights[k]:.3f}", f"{alpha.sum():.4g}", *of_tokens])
        names = [show(token) for token in (truth.tokens or ())[:MOST_TOKENS]]
        caption = f"Component {k} of the true prior: weight, concentration A, and alpha by token"
        tables.append(table(["prior", "weight", "A", *names], cells, caption=caption))
    found = result.elicitation
    if found is not None:
        text += (
            f" It was found from {found.n_rows} predictions, which its own miss by "
            f"{number(found.mean_kl_bits)} bits on average; a constant prediction misses them by "
            f"{number(found.baseline_kl_bits)} bits."
        )
    return paragraph(text) + "".join(tables) + figures.get("truth", "") + _exact_table(result)


def _exact_table(result: StudyResult) -> str:
    """The model's predictive beside exact Bayes along the first sequence."""
    shots, truth = result.shots, result.truth
    if shots is None or shots.exact is None or truth is None:
        return ""
    log_model = shots.rows.log_probs.astype(np.float64)
    model, exact = np.exp(log_model), shots.exact
    kl = divergences(np.log(exact), log_model) / np.log(2.0)
    names = truth.tokens or [str(j) for j in range(truth.n_tokens)]
    chosen = np.argsort(-exact.mean(axis=0), kind="stable")[:3]
    columns = ["shot", "shown last"]
    for j in chosen:
        columns += [f"{show(names[j])}: model", "exact"]
    cells = []
    for t in _some_shots(len(exact) - 1):
        seen = show(names[shots.path.demonstrations[t - 1]]) if t else "(nothing)"
        pairs = [percent(p[t, j]) for j in chosen for p in (model, exact)]
        cells.append([t, seen, *pairs, f"{kl[t]:.5f}"])
    return paragraph(
        "The model never saw these probabilities; it learned from drawn words alone. Its "
        "prediction and that of exact Bayes under the true prior, along the first sequence:"
    ) + table(
        [*columns, "KL(exact || model), bits"],
        cells,
        caption="The model's predictive beside exact Bayes",
    )


def _notes_part(result: StudyResult) -> str:
    """What the reader must not overlook."""
    if not result.notes:
        return paragraph("None.")
    return listed([printable(note, width=600) for note in result.notes])


def _method_part(result: StudyResult) -> str:
    """Settings, versions, and how to go on."""
    settings = result.settings
    sizes = range_line(settings.get("components", []))
    cells = [
        ["model", printable(result.model, width=80)],
        ["architecture", printable(settings.get("model_type", "unknown"))],
        ["parameters of the model", f"{settings.get('parameters', 0):,}"],
        ["numbers of components tried", sizes],
        ["seed", str(settings.get("seed", ""))],
        *([name, version] for name, version in settings.get("versions", {}).items()),
    ]
    code = (
        "import matrixbayes as mb\n\n"
        'prior = mb.DirichletMixture.load("prior.safetensors")\n'
        'rows = mb.NextTokenRows.load("rows.safetensors")\n'
        "prior.posterior(counts).predictive()"
    )
    return (
        table(["what", "value"], cells)
        + paragraph("The files beside this page hold the rows and the priors. In Python:")
        + f"<pre><code>{html.escape(code)}</code></pre>"
        + paragraph(
            "Logarithms are natural unless bits are named. KL(p || q) is the expected number of "
            "bits per token lost when q describes draws from p. The concentration A of a component "
            "counts how many demonstrations it weighs as much as. After Dalal & Misra (2024)."
        )
    )
