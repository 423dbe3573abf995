"""`study`: the whole analysis of a model, into one report."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..._base.saving.whole import staging
from ...errors import UsageError
from ..answers import Answer, components, say
from ..models import calm_transformers, check_model
from ..options import DTYPES, OTHER, Commands, Parser, command, device, number_or, vocab, whole

RESOLUTIONS = ("best", "density", "auto", "kernels")
DESCRIPTION = """\
Collect a language model's next-token distributions, fit the Dirichlet-mixture prior behind them,
update it on demonstrations, and compare with the model's own predictions.  Writes one
self-contained report.html, its pictures (PNG), rows.safetensors and prior.safetensors.
Without MODEL the bundled tiny model is studied, whose true prior is known."""

EPILOG = """\
files (UTF-8; inside a line \\n, \\t and \\\\ stand for a line break, a tab and a backslash):
  --prompts   one prompt a line; blank lines are skipped
  --shots     one demonstration a line: input<TAB>answer, or the answer alone; a blank line starts
              a new sequence.  An answer is a spelling or the name of a group of --vocab.  With
              inputs, the last line of a sequence is the query and its answer is not shown.
  --vocab     a JSON object {"yes": [" yes", " Yes"], "no": [" no"]}, given as such or as a file;
              or one group per option: --vocab 'yes= yes| Yes' --vocab 'no= no'.  A spelling is
              text (mind the space in front) and counts as the tokens that the text of prompt
              and spelling holds; or a token id, id:9891 (9891 in JSON); or the name of a piece,
              as the vocabulary writes it (<0x0A>, ##ing), that is no single token as text.

examples:
  python -m matrixbayes study
  python -m matrixbayes study gpt2 --prompts questions.txt --vocab 'yes= yes| Yes' --vocab 'no= no'

exit status: 0 success, 1 unexpected failure, 2 usage error, 130 stopped by Ctrl-C"""

KEYS = ["report", "model", "verdict", "prior", "elicited", "truth", "divergences", "tests"]
KEYS += ["n_prompts", "settings"]


def add(commands: Commands) -> None:
    """The command's options."""
    about = "the whole analysis of a model, into one report.html"
    parser = command(commands, "study", run, help=about, keys=KEYS, epilog=EPILOG)
    parser.description = DESCRIPTION
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL", help="a model folder in HuggingFace format, or a name")
    add("--prompts", metavar="FILE", help="the prompts, one a line")
    vocab(parser)
    add("--shots", metavar="FILE", help="demonstrations, see below")
    add("--components", metavar="RANGE", help="numbers to choose from: 1:6 (default), 3, or 1,2,4")
    add(
        "--other",
        choices=["keep", "renormalize"],
        help=f"{OTHER.removesuffix(' and the answers renormalized')} and the answers renormalized",
    )
    add(
        "--resolution",
        default="best",
        type=number_or(whole(1), *RESOLUTIONS),
        metavar="N",
        help="how the prior is fitted to rows: density, a number of draws or auto, kernels (the "
        "rows themselves), or best (default): density where that describes rows left out and they "
        "have few columns, else whichever predicts them best",
    )
    add("--out", default="matrixbayes-study", metavar="DIR", help="folder (default: %(default)s)")
    add("--seed", type=whole(0), default=0, metavar="N", help="of every random choice (default: 0)")
    add("--jobs", type=whole(1), metavar="N", help="threads for the fits (default: one)")
    _model_options(parser)


def _model_options(parser: Parser) -> None:
    """Where the model computes, and how."""
    add = parser.add_argument
    add("--download", action="store_true", help="fetch MODEL from the hub if it is not cached")
    add("--device", type=device, metavar="DEVICE", help="cpu, cuda, cuda:1, mps (default: cpu)")
    add("--dtype", choices=DTYPES, help="the model's numbers (default: what transformers takes)")
    add(
        "--batch-size", type=whole(1), default=32, metavar="N", help="prompts at once (default: 32)"
    )


def run(options: argparse.Namespace) -> Answer:
    """Study a model, and write the report."""
    from ...study.inputs import read_components, read_prompts, read_shots, read_vocab

    vocab = read_vocab(options.vocab or [])
    prompts = None if options.prompts is None else read_prompts(options.prompts)
    components = None if options.components is None else read_components(options.components)
    shots = options.shots
    if shots is not None and vocab is not None:
        read_shots(shots, vocab)  # what is wrong with it is said at once, before a model is loaded
    check_model(options)
    with _staged(options.out) as folder:
        calm_transformers()
        from ...study import save_study, study, summary

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the study keeps them, and the summary says them
            result = study(
                options.model,
                prompts=prompts,
                vocab=vocab,
                components=components,
                shots=shots,
                other=options.other,
                resolution=options.resolution,
                seed=options.seed,
                jobs=options.jobs,
                download=options.download,
                device=options.device,
                dtype=options.dtype,
                batch_size=options.batch_size,
                progress=lambda words: say(options, words),
            )
            say(options, "writing the report")
            save_study(result, folder)
    report = (Path(options.out) / "report.html").resolve()
    lines = [] if options.quiet else ["", summary(result), ""]
    return Answer([*lines, f"report: {report}"], _data(result, report) if options.json else {})


def _data(result: Any, report: Path) -> dict[str, Any]:
    """What was found, for programs."""
    verdict, card = result.verdict, result.card
    found: dict[str, Any] = {"report": report, "model": result.model, "warnings": result.notes}
    found["verdict"] = verdict and {
        "kind": verdict.kind,
        "sentence": verdict.sentence,
        "behaves": verdict.behaves,
        "test": verdict.test,
        "open": verdict.open,
        "warnings": verdict.warnings,
    }
    for name, prior in (("prior", result.shown), ("elicited", result.elicited)):
        found[name] = None if prior is None else components(prior, 10)
    found["truth"] = None if result.truth is None else components(result.truth, 10)
    shots = () if result.shots is None else result.shots.divergences
    found["divergences"] = {each.name: each.mean for each in shots}
    found["tests"] = card and [
        {"name": test.name, "p_value": test.p_value, "p_holm": p, "verdict": test.verdict}
        for test, p in zip(card.tests, card.adjusted, strict=True)
    ]
    return {**found, "n_prompts": len(result.rows), "settings": result.settings}


@contextmanager
def _staged(out: str) -> Iterator[Path]:
    """A temporary folder whose files move into `out` at the end, and only if all went well."""
    target = Path(out).resolve()
    made = [folder for folder in (target, *target.parents) if not folder.exists()]
    try:
        target.mkdir(parents=True, exist_ok=True)
        with staging(target, "study") as folder:
            yield folder
    except OSError as error:
        if str(error.filename or "").startswith(str(target)):
            words = (error.strerror or str(error)).removeprefix("cannot write: ")
            raise UsageError(f"cannot write to --out {out}: {words}") from error
        raise
    finally:
        _remove_empty(made)


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove those of the folders that hold nothing, the innermost first."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
