"""The command line: ``python -m matrixbayes study``.

Exit status: 0 all went well; 1 something unexpected (with a traceback); 2 something the user can
mend, said in one line; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .study.fitted import RESOLUTIONS
from .study.inputs import UsageError, read_components, read_prompts, read_shots, read_vocab

__all__ = ["main"]

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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv
        Arguments, without the program's name; those of the process without it.

    Returns
    -------
    int
        The exit status.
    """
    options = _parser().parse_args(argv)
    try:
        return _study(options)
    except UsageError as error:
        print(f"matrixbayes: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("matrixbayes: stopped; nothing was written", file=sys.stderr)
        return 130


def _version() -> str:
    from ._base.version import __version__

    return f"matrixbayes {__version__}"


def _parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="matrixbayes",
        description="Bayesian inference over next-token distributions.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    study = commands.add_parser(
        "study",
        help="the whole analysis of a model, into one report.html",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = study.add_argument
    add("model", nargs="?", metavar="MODEL", help="a model folder in HuggingFace format, or a name")
    add("--prompts", metavar="FILE", help="the prompts, one a line")
    add("--vocab", action="append", default=[], metavar="GROUPS", help="answer groups, see below")
    add("--shots", metavar="FILE", help="demonstrations, see below")
    add("--components", metavar="RANGE", help="numbers to choose from: 1:6 (default), 3, or 1,2,4")
    add(
        "--other",
        choices=["keep", "renormalize"],
        help="what becomes of the probability outside --vocab: kept as <other> (default), or left "
        "out and the answers renormalized",
    )
    add(
        "--resolution",
        default="best",
        type=_resolution,
        metavar="N",
        help="how the prior is fitted to rows: density, a number of draws or auto, kernels (the "
        "rows themselves), or best (default): density where that describes rows left out and they "
        "have few columns, else whichever predicts them best",
    )
    add("--out", default="matrixbayes-study", metavar="DIR", help="folder (default: %(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="of every random choice (default: 0)")
    add("--jobs", type=_jobs, metavar="N", help="threads for the fits (default: one)")
    add("--download", action="store_true", help="fetch MODEL from the hub if it is not cached")
    add("--quiet", action="store_true", help="say only where the report is")
    return parser


def _resolution(text: str) -> int | str:
    """A number of draws, or a word."""
    if text in RESOLUTIONS:
        return text
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one")
    return number


def _jobs(text: str) -> int:
    """A number of threads."""
    jobs = int(text)
    if jobs < 1:
        raise argparse.ArgumentTypeError("at least one")
    return jobs


def _study(options: argparse.Namespace) -> int:
    """The command `study`."""
    vocab = read_vocab(options.vocab)
    prompts = None if options.prompts is None else read_prompts(options.prompts)
    components = None if options.components is None else read_components(options.components)
    if options.seed < 0:
        raise UsageError("--seed must not be negative")
    shots = options.shots
    if shots is not None and vocab is not None:
        read_shots(shots, vocab)  # what is wrong with it is said at once, before a model is loaded

    def say(words: str) -> None:
        if not options.quiet:
            print(f"... {words}", flush=True)

    with _staged(options.out) as folder:
        _calm_transformers()
        from .study import save_study, study, summary

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
                progress=say,
            )
            say("writing the report")
            save_study(result, folder)
    if not options.quiet:
        print(f"\n{summary(result)}\n")
    print(f"report: {(Path(options.out) / 'report.html').resolve()}")
    return 0


def _calm_transformers() -> None:
    """Switch off the loading bars of transformers, which is our process to decide here."""
    try:
        from transformers.utils import logging
    except ImportError as error:
        raise UsageError("a study needs torch: pip install 'matrixbayes[hf]'") from error
    logging.disable_progress_bar()
    logging.set_verbosity_error()


@contextmanager
def _staged(out: str) -> Iterator[Path]:
    """A temporary folder whose files move into `out` at the end, and only if all went well."""
    target = Path(out)
    made = [folder for folder in (target, *target.parents) if not folder.exists()]
    try:
        target.mkdir(parents=True, exist_ok=True)
        staging = tempfile.TemporaryDirectory(prefix=".study-", dir=target)
    except OSError as error:
        _remove_empty(made)
        raise UsageError(f"cannot write to --out {out}: {error.strerror or error}") from error
    try:
        with staging as folder:
            yield Path(folder)
            for file in sorted(Path(folder).iterdir()):
                os.replace(file, target / file.name)
    except OSError as error:
        if str(error.filename or "").startswith(str(target)):
            raise UsageError(f"cannot write to --out {out}: {error.strerror or error}") from error
        raise
    finally:
        _remove_empty(made)


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove those of the folders that hold nothing, the innermost first."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


if __name__ == "__main__":
    sys.exit(main())
