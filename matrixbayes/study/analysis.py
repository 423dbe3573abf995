"""The whole analysis of a model: its rows, the prior behind them, and how the prompt overrules it.

Contents
    study    from a model to a `StudyResult`

The demonstrations that it follows are the user's, or the model writes them itself.  Without prompts
the model must come with the prior that it was trained on, as the bundled one does
(``training.json`` in its folder): the study then draws fresh sequences from that prior, and says
how much of the truth it recovers.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.arguments import shown
from .._base.progress import LOG, begin
from ..huggingface.demo import BUNDLED
from ..huggingface.runs.cache import model_fingerprint
from .demonstrations import demonstrations_of, in_context
from .fitted import RESOLUTIONS, fit_prior, near_ties
from .held import readable
from .inputs import UsageError, load_model, read_shots
from .result import StudyResult
from .task import Task, draw, true_prior, usable_truth
from .texts import Shots
from .verdict import Findings, reaction, verdict

if TYPE_CHECKING:
    from ..huggingface.answers import Other
    from ..mixture import DirichletMixture


# The design of a study of a model whose prior is known.
FIT_SEQUENCES = 600  # the prior is fitted to the row after the last draw of each
DEFAULT_COMPONENTS = range(1, 7)
FINGERPRINT = 16  # letters of a model's that a report shows


def study(
    model: str | os.PathLike[str] | None = None,
    *,
    prompts: Sequence[Any] | None = None,
    vocab: Mapping[str, Sequence[str | int]] | None = None,
    components: Sequence[int] | None = None,
    shots: str | os.PathLike[str] | Sequence[Shots] | None = None,
    other: Other | None = None,
    seed: int = 0,
    jobs: int | None = None,
    download: bool = False,
    resolution: int | str = "best",
    progress: Callable[[str], None] | None = None,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int = 32,
) -> StudyResult:
    """Collect a model's rows, fit the prior, update it on demonstrations, compare with the model.

    Parameters
    ----------
    model
        A folder in HuggingFace format or a name on the hub; the bundled model without it.
    prompts
        Texts, or lists of token ids; the model's row after each one is collected.  May be left out
        for a model that comes with its true prior.
    vocab
        Answer groups, name -> spellings, as for `collect`.  Without it all tokens, or those of the
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
    resolution
        How the prior is fitted to the rows: "density", at a number of draws or "auto", "kernels"
        for the rows themselves, or "best" for whichever predicts rows left out best, where a
        density does not describe them.
    progress
        Called with a few words as each step begins.
    device, dtype
        Where the model computes and in which numbers, as torch names them; what transformers
        chooses without them.
    batch_size
        Prompts at once.

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
    finish = begin("study", "%s", _model_name(model))

    def say(words: str) -> None:
        LOG.info("study, %s", words)
        if progress is not None:
            progress(words)

    if not isinstance(resolution, int) and resolution not in RESOLUTIONS:
        words = ", ".join(RESOLUTIONS)
        raise UsageError(f"resolution {shown(resolution)} is neither a number nor one of {words}")
    say("loading the model")
    loaded, tokenizer = load_model(model, download=download, device=device, dtype=dtype)
    truth = true_prior(BUNDLED if model is None else Path(model))
    _check(prompts, vocab, shots, truth)
    if vocab is None and truth is not None and truth.tokens is not None:
        vocab = {token: [token] for token in truth.tokens}
        other = other or "renormalize"
    if isinstance(shots, (str, os.PathLike)):
        shots = read_shots(shots, vocab or {}, tokenizer)
    task = Task(loaded, tokenizer, vocab, other or "keep", seed, jobs, truth, batch_size)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = _run(task, prompts, components, shots, resolution, say)
    said = [*result.pop("notes"), *result["verdict"].warnings, *(str(w.message) for w in caught)]
    notes = tuple(dict.fromkeys(said))
    for note in notes:
        warnings.warn(note, RuntimeWarning, stacklevel=2)
    finish("%s", result["verdict"].sentence)
    return StudyResult(model=_model_name(model), notes=notes, **result)


def _check(prompts: Any, vocab: Any, shots: Any, truth: DirichletMixture | None) -> None:
    """Refuse arguments that leave something unsaid."""
    if prompts is None and truth is None:
        raise UsageError("a model of your own needs prompts: --prompts FILE, one a line")
    if shots is not None and vocab is None and truth is None:
        raise UsageError("demonstrations need answer groups: --vocab 'yes= yes' --vocab 'no= no'")


def _run(
    task: Task,
    prompts: Sequence[str] | None,
    components: Sequence[int] | None,
    shots: Sequence[Shots] | None,
    resolution: int | str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The steps of a study; returns the fields of its result."""
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(task.seed).spawn(5)]
    designed = prompts is None
    if prompts is None:
        prompts = [" ".join(words) for words in draw(task, FIT_SEQUENCES, streams[0])]
    say(f"collecting the rows of {len(prompts)} prompts")
    rows = task.collect(prompts)
    truth, notes = usable_truth(task, rows)
    context = demonstrations_of(task, rows, prompts, shots, designed, streams)
    sizes = _sizes(components, len(rows))
    say(f"fitting priors of {sizes[0]} to {sizes[-1]} components")
    fit = fit_prior(rows, sizes, resolution=resolution, seed=task.seed, jobs=task.jobs)
    if fit.check is not None:
        notes += fit.check.warnings
    settings = _settings(task, designed, sizes, prompts)
    fields: dict[str, Any] = {"elicitation": None, "card": None, "shots": None}
    found = Findings(n_prompts=len(rows), spread=reaction([rows.log_probs.astype(np.float64)]))
    if context.shots:
        n = len(context.shots)
        say(f"following {n} sequence{'' if n == 1 else 's'} of demonstrations")
        fields, found = in_context(task, context, fit, truth, found, streams[4], say)
        settings |= {"demonstrations": context.source, "priors": fields.pop("priors")}
    near = (*found.near, *near_ties(fit, rows))
    return {
        "rows": rows,
        "selection": fit.selection,
        "prior": fit.prior,
        "fit": fit,
        "truth": truth,
        **fields,
        "verdict": verdict(replace(found, near=near, open=(*found.open, *context.open))),
        "notes": notes,
        "settings": settings,
    }


def _model_name(model: str | os.PathLike[str] | None) -> str:
    """What to call the model."""
    return "the bundled urn model" if model is None else str(model)


def _sizes(components: Sequence[int] | None, n_rows: int) -> list[int]:
    """The numbers of components to try, none of them above the number of rows."""
    if components is None:
        return [k for k in DEFAULT_COMPONENTS if k == 1 or 4 * k <= n_rows]
    if max(components) > n_rows:
        raise UsageError(f"{max(components)} components need as many rows; there are {n_rows}")
    return sorted(set(components))


def _today() -> str:
    """The day, in UTC; that of SOURCE_DATE_EPOCH where it is set, so that a page can be made again.

    https://reproducible-builds.org/specs/source-date-epoch
    """
    now = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    return time.strftime("%Y-%m-%d", time.gmtime(now))


def _settings(
    task: Task, designed: bool, sizes: Sequence[int], prompts: Sequence[str]
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
        "vocab": None if task.vocab is None else readable(task.tokenizer, task.vocab),
        "other": task.other,
        "components": list(sizes),
        "seed": task.seed,
        "made": _today(),
        "fingerprint": model_fingerprint(task.model)[:FINGERPRINT],
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
