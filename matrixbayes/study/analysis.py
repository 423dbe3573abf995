"""The whole analysis of a model: its rows, the prior behind them, and how the prompt overrules it.

Contents
    study         from a model to a `StudyResult`
    StudyResult   what was found, and says so; `matrixbayes.report` makes a page of it

Without prompts the model must come with the prior that it was trained on, as the bundled one does
(``training.json`` in its folder): the study then draws fresh sequences from that prior, and says
how much of the truth it recovers.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.tokens import columns_in, order_of
from .inputs import BUNDLED, UsageError, load_model, read_shots
from .result import StudyResult
from .shots import follow
from .texts import Shots, encoder

if TYPE_CHECKING:
    from ..elicitation import ElicitationReport
    from ..huggingface.answers import Other
    from ..huggingface.prompts import Positions
    from ..mixture import DirichletMixture
    from ..rows import NextTokenRows


# The design of a study of a model whose prior is known.
HISTORY = 48  # draws per sequence
FIT_SEQUENCES = 600  # the prior is fitted to the row after the last draw of each
ELICIT_SEQUENCES = 80  # the prior is elicited from the rows after every draw of these
SHOT_SEQUENCES = 100  # and both are judged on these, which neither has seen
DEFAULT_COMPONENTS = range(1, 7)
NEGLIGIBLE = 1e-3


def study(
    model: str | os.PathLike[str] | None = None,
    *,
    prompts: Sequence[str] | None = None,
    vocab: Mapping[str, Sequence[str]] | None = None,
    components: Sequence[int] | None = None,
    shots: str | os.PathLike[str] | Sequence[Shots] | None = None,
    other: Other | None = None,
    seed: int = 0,
    jobs: int | None = None,
    download: bool = False,
    progress: Callable[[str], None] | None = None,
) -> StudyResult:
    """Collect a model's rows, fit the prior, update it on demonstrations, compare with the model.

    Parameters
    ----------
    model
        A folder in HuggingFace format or a name on the hub; the bundled model without it.
    prompts
        Texts; the model's row after each one is collected.  May be left out for a model that comes
        with its true prior.
    vocab
        Answer groups, name -> spellings of one token each.  Without it all tokens, or those of the
        true prior where the model comes with one.
    components
        The numbers of components to choose from, by BIC; 1 to 6 without it.
    shots
        Sequences of demonstrations: a file (``python -m matrixbayes study --help`` says in which
        form) or what `read_shots` makes of one.  Answers are groups of `vocab`.
    other
        What becomes of the probability outside `vocab`: ``"keep"`` (a column ``<other>``, the
        default for prompts given) or ``"renormalize"``.
    seed
        Of every random choice.
    jobs
        Threads for the fits.
    download
        Whether a model's name may be fetched from the hub.
    progress
        Called with a few words as each step begins.

    Returns
    -------
    StudyResult

    Raises
    ------
    UsageError
        Something about the arguments that the user can mend.

    Warns
    -----
    RuntimeWarning
        Whatever a step warned of; the result keeps it in `notes`.
    """
    say = progress or (lambda words: None)
    say("loading the model")
    loaded, tokenizer = load_model(model, download=download)
    truth = _true_prior(BUNDLED if model is None else Path(model))
    _check(prompts, vocab, shots, truth)
    if vocab is None and truth is not None and truth.tokens is not None:
        vocab = {token: [token] for token in truth.tokens}
        other = other or "renormalize"
    if isinstance(shots, (str, os.PathLike)):
        shots = read_shots(shots, vocab or {})
    task = _Task(loaded, tokenizer, vocab, other or "keep", seed, jobs, truth)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = _run(task, prompts, components, shots, say)
    notes = tuple(dict.fromkeys([*result.pop("notes"), *(str(w.message) for w in caught)]))
    for note in notes:
        warnings.warn(note, RuntimeWarning, stacklevel=2)
    return StudyResult(model=_model_name(model), notes=notes, **result)


def _check(prompts: Any, vocab: Any, shots: Any, truth: DirichletMixture | None) -> None:
    """Refuse arguments that leave something unsaid."""
    if prompts is None and truth is None:
        raise UsageError("a model of your own needs prompts: --prompts FILE, one a line")
    if shots is not None and vocab is None and truth is None:
        raise UsageError("demonstrations need answer groups: --vocab 'yes= yes' --vocab 'no= no'")


@dataclass(frozen=True)
class _Task:
    """What every step of a study needs."""

    model: Any
    tokenizer: Any
    vocab: Mapping[str, Sequence[str]] | None
    other: Other
    seed: int
    jobs: int | None
    truth: DirichletMixture | None

    def collect(self, prompts: Sequence[str], positions: Positions = "last") -> NextTokenRows:
        """The model's rows; what is wrong with the prompts or the vocabulary is the user's."""
        from ..huggingface import collect

        try:
            return collect(
                self.model,
                self.tokenizer,
                list(prompts),
                positions=positions,
                vocab=self.vocab,
                other=self.other if self.vocab is not None else "keep",
                batch_size=32,
                progress=False,
            )
        except (ValueError, TypeError, MemoryError) as error:
            raise UsageError(error) from error


def _run(
    task: _Task,
    prompts: Sequence[str] | None,
    components: Sequence[int] | None,
    shots: Sequence[Shots] | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The steps of a study; returns the fields of its result."""
    from ..estimator import select_prior

    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(task.seed).spawn(3)]
    designed = prompts is None
    if prompts is None:
        prompts = [" ".join(words) for words in _draw(task, FIT_SEQUENCES, streams[0])]
    say(f"collecting the rows of {len(prompts)} prompts")
    rows = task.collect(prompts)
    truth, notes = _usable_truth(task, rows)
    sizes = _sizes(components, len(rows))
    say(f"fitting priors of {sizes[0]} to {sizes[-1]} components")
    selection = select_prior(
        rows, n_components=sizes, criterion="bic", random_state=task.seed, n_jobs=task.jobs
    )
    prior = selection.best_.prior_
    elicitation = None
    if designed and truth is not None:
        say("eliciting the prior from predictions in context")
        elicitation = _elicit(task, prior, streams[2])
    shot_study = None
    if shots is None and designed:
        shots = [_as_shots(words) for words in _draw(task, SHOT_SEQUENCES, streams[1])]
    if shots is not None:
        say(f"following {len(shots)} sequence{'' if len(shots) == 1 else 's'} of demonstrations")
        priors = {"fitted prior": prior}
        if elicitation is not None:
            priors["elicited prior"] = elicitation.prior
        shot_study = follow(task.collect, encoder(task.tokenizer), shots, priors, truth)
    return {
        "rows": rows,
        "selection": selection,
        "prior": prior,
        "elicitation": elicitation,
        "truth": truth,
        "shots": shot_study,
        "notes": notes,
        "settings": _settings(task, designed, sizes, prompts),
    }


# ---------------------------------------------------------------------------
# A known truth, and sequences drawn from it
# ---------------------------------------------------------------------------


def _model_name(model: str | os.PathLike[str] | None) -> str:
    """What to call the model."""
    return "the bundled urn model" if model is None else str(model)


def _true_prior(folder: Path) -> DirichletMixture | None:
    """The prior recorded in a model's folder, if it is."""
    from ..mixture import DirichletMixture

    path = folder / "training.json"
    if not path.is_file():
        return None
    try:
        prior = json.loads(path.read_text(encoding="utf-8"))["prior"]
        return DirichletMixture(prior["weights"], prior["alpha"], tokens=tuple(prior["tokens"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} does not record a prior as expected: {error!r}") from error


def _usable_truth(task: _Task, rows: NextTokenRows) -> tuple[DirichletMixture | None, list[str]]:
    """The truth, if it is about the columns of the rows; and notes for the reader."""
    notes = []
    truth = task.truth
    names = None if truth is None else truth.tokens
    if truth is not None and names is not None and set(names) == set(rows.tokens or ()):
        order = order_of(names, rows.tokens, "the tokens of the true prior")
        alpha = columns_in(truth.alpha, order)
        truth = type(truth)(truth.weights, alpha, tokens=rows.tokens)
    elif truth is not None and rows.tokens != names:
        truth = None
        notes.append("the true prior is over other tokens than --vocab: not compared with")
    if task.vocab is not None and rows.tokens is not None and len(rows.tokens) > len(task.vocab):
        share = float(np.exp(rows.log_probs[:, -1].max()))
        if share < NEGLIGIBLE:
            notes.append(
                f"{rows.tokens[-1]} never holds more than {share:.1e}: with other='renormalize' "
                "(--other renormalize) the prior is about the answers alone"
            )
    return truth, notes


def _draw(task: _Task, n: int, rng: np.random.Generator) -> list[list[str]]:
    """`n` sequences of words: an urn from the true prior, then draws from the urn."""
    truth = task.truth
    if truth is None or truth.tokens is None:
        raise UsageError("this model's folder does not record the prior that it was trained on")
    urns = np.asarray(truth.sample(n, rng=rng))
    columns = [rng.choice(len(urn), size=HISTORY, p=urn / urn.sum()) for urn in urns]
    return [[truth.tokens[j] for j in row] for row in columns]


def _as_shots(words: Sequence[str]) -> Shots:
    """A sequence of draws as demonstrations without inputs."""
    texts = tuple(" ".join(words[:t]) for t in range(len(words) + 1))
    return Shots(texts, tuple(words))


def _sizes(components: Sequence[int] | None, n_rows: int) -> list[int]:
    """The numbers of components to try, none of them above the number of rows."""
    if components is None:
        return [k for k in DEFAULT_COMPONENTS if k == 1 or 4 * k <= n_rows]
    if max(components) > n_rows:
        raise UsageError(f"{max(components)} components need as many rows; there are {n_rows}")
    return sorted(set(components))


def _settings(
    task: _Task, designed: bool, sizes: Sequence[int], prompts: Sequence[str]
) -> dict[str, Any]:
    """How the study was made."""
    import scipy
    import torch
    import transformers

    from .._base.version import __version__

    return {
        "designed": designed,
        "prompts": len(prompts),
        "first_prompt": prompts[0],
        "vocab": None if task.vocab is None else {k: list(v) for k, v in task.vocab.items()},
        "other": task.other,
        "components": list(sizes),
        "seed": task.seed,
        "parameters": int(sum(p.numel() for p in task.model.parameters())),
        "model_type": str(getattr(task.model.config, "model_type", "unknown")),
        "versions": {
            "matrixbayes": __version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }


# ---------------------------------------------------------------------------
# Predictions in context
# ---------------------------------------------------------------------------


def _elicit(task: _Task, start: DirichletMixture, rng: np.random.Generator) -> ElicitationReport:
    """The prior that explains the model's predictions after 0 to 48 draws."""
    from ..elicitation import elicit_prior

    words = _draw(task, ELICIT_SEQUENCES, rng)
    predictions = task.collect([" ".join(row) for row in words], positions="all")
    column = {token: j for j, token in enumerate(start.tokens or ())}
    numbers = [[column[word] for word in row] for row in words]
    histories = [row[:t] for row in numbers for t in range(HISTORY + 1)]
    return elicit_prior(
        histories,
        predictions,
        family="iid",
        n_components=start.n_components,
        start=start,
        n_starts=2,
        rng=task.seed,
    )
