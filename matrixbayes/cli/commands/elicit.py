"""`elicit`: the prior that a model acts on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import UsageError
from ..answers import Answer, component_lines, components, mendable, say
from ..files import check_out
from ..histories import read_histories, read_labels, read_sequences, read_shots
from ..models import check_model, loaded, threads
from ..options import (
    KINDS,
    Commands,
    batch_size,
    command,
    jobs,
    model_options,
    number_or,
    out,
    real,
    seed,
    top,
    vocab,
    whole,
    words,
)
from ..tables import read_table

KEYS = ["out", "family", "parts", "weights", "discount", "temperature", "mean_kl_bits"]
KEYS += ["kl_error_bits", "baseline_kl_bits", "r2", "mae", "n_rows", "n_distinct", "n_parameters"]
KEYS += ["converged", "n_starts", "n_agreeing", "flags", "intervals", "comparison", "tokens"]
EPILOG = """\
What the model is shown (one of them):
  --sequences    texts of answers between white space, one a line
  --shots        one demonstration a line, input<TAB>answer, or the answer alone; a blank line
                 starts a new sequence; with inputs the last answer of a sequence is not shown
  --predictions  what a model said before: rows (.safetensors, .npy, .csv), with
  --histories    the tokens before each of them, numbers or names of columns, a line each, which
                 may be blank (.txt, .npy); or with --history-kind counts a table of counts.
                 --groups has a label for each line: beginnings of one text have the same.
  --vocab        as for collect; without it the answers that occur

A family with several priors has a file for each: elicited_prior.iid.safetensors, ...

examples:
  matrixbayes elicit gpt2 --sequences texts.txt --vocab 'h= heads' --vocab 't= tails'
  matrixbayes elicit --histories seen.txt --predictions rows.safetensors --family iid,markov"""

OPTIONS: tuple[str, ...] = (
    "family",
    "n_components",
    "order",
    "tie",
    "depth",
    "discount",
    "temperature",
)
OPTIONS += ("n_starts", "n_boot", "cv", "level", "max_iter", "tol", "n_jobs", "rng")


def add(commands: Commands) -> None:
    """The command's options."""
    about = "the prior that a model behaves as if it had, from its predictions"
    parser = command(commands, "elicit", run, help=about, keys=KEYS, epilog=EPILOG)
    model_options(parser)
    add = parser.add_argument
    shown = parser.add_mutually_exclusive_group(required=True)
    shown.add_argument("--sequences", metavar="FILE", help="texts of answers, see below")
    shown.add_argument("--shots", metavar="FILE", help="demonstrations, see below")
    shown.add_argument("--predictions", metavar="FILE", help="what a model said, see below")
    add("--histories", metavar="FILE", help="with --predictions, see below")
    add("--history-kind", choices=["tokens", "counts"], default="tokens", help="(default: tokens)")
    add("--kind", choices=KINDS, help="what the numbers of --predictions are")
    add("--groups", metavar="FILE", help="labels of histories that belong together")
    vocab(parser)
    add("--prefix", default="", metavar="TEXT", help="stands before every sequence")
    batch_size(parser, 32)
    of = "(default: %(default)s)"
    add("--family", type=words, default="all", help=f"iid, markov, iid+markov, ... {of}")
    add("--n-components", type=whole(1), default=1, metavar="N", help=f"of a mixture {of}")
    add("--order", type=whole(1), default=1, metavar="N", help=f"of a chain {of}")
    ties = ["shared", "repeat", "last", "full"]
    add("--tie", choices=ties, default="shared", help=f"priors of a chain's keys {of}")
    add("--depth", type=whole(1), default=4, metavar="N", help=f"of a tree {of}")
    fitted = number_or(real(open=True), "fit")
    add("--discount", type=fitted, default=1.0, metavar="D", help=f"of counts, or fit {of}")
    add("--temperature", type=fitted, default=1.0, metavar="T", help=f"or fit {of}")
    add("--n-starts", type=whole(1), metavar="N", help="of the search (default: by its size)")
    add("--n-boot", type=whole(0), default=0, metavar="N", help=f"samples for intervals {of}")
    add("--cv", type=whole(0), metavar="N", help="folds (default: 5 for several families)")
    add("--level", type=real(0.0, 1.0), default=0.9, help=f"of intervals {of}")
    add("--max-iter", type=whole(1), default=1000, metavar="N", help=f"of each start {of}")
    add("--tol", type=real(), default=1e-7, help=f"where a search ends {of}")
    seed(parser)
    jobs(parser)
    top(parser)
    out(parser, "elicited_prior.safetensors", "the prior")


def run(options: Any) -> Answer:
    """Elicit a prior, and write it."""
    own = {name: getattr(options, name) for name in OPTIONS}
    _check_family(options)
    there = [path for path in (options.out, *part_files(options.out)) if Path(path).exists()]
    check_out(there[0] if there else options.out, options.overwrite)
    if options.predictions is not None:
        report = _from_predictions(options, own)
    elif options.histories is not None or options.groups is not None or options.kind is not None:
        raise UsageError("--histories, --groups and --kind go with --predictions")
    else:
        report = _from_model(options, own)
    files = _written(report, options.out)
    parts = {name: components(prior, options.top) for name, prior in report.priors.items()}
    lines = [] if options.quiet else repr(report).splitlines()
    for name, listed in parts.items():
        lines += [] if options.quiet else [f"prior of {name}:", *component_lines(listed)]
    if report.comparison is not None and not options.quiet:
        lines += repr(report.comparison).splitlines()
    if not files:
        lines.append(f"family {report.family} has no mixture to write: its numbers are above")
    return Answer(
        [*lines, *(f"prior: {Path(file).resolve()}" for file in files)], _data(report, files, parts)
    )


def _check_family(options: Any) -> None:
    """Refuse a family that there is not."""
    from ...sources.names import parts_of

    given = [options.family] if isinstance(options.family, str) else options.family
    with mendable():
        for name in given:
            if name != "all":
                parts_of(name, options.order, options.tie, options.depth)


def _from_model(options: Any, own: dict[str, Any]) -> Any:
    """Of a model that is shown texts."""
    from ...study.inputs import read_vocab

    groups = read_vocab(options.vocab or [])
    if options.shots is None:
        shown: list[Any] = list(read_sequences(options.sequences, groups))
    else:
        shown = list(read_shots(options.shots, groups))
    check_model(options)
    model, tokenizer = loaded(options)
    from ...study import elicit

    say(options, f"reading {len(shown)} sequences, and eliciting the prior")
    given = {"vocab": groups, "prefix": options.prefix, "batch_size": options.batch_size}
    if len(shown) == 1 and own["family"] == "all":
        del own["family"]  # one sequence leaves none to compare families on
    with threads(options.n_jobs), mendable():
        return elicit(model, tokenizer, shown, **given, **own)


def _from_predictions(options: Any, own: dict[str, Any]) -> Any:
    """Of predictions that were made before."""
    from ...elicitation import elicit_prior
    from ...rows import NextTokenRows

    if options.model is not None or options.vocab is not None:
        raise UsageError("--predictions were made before: no MODEL and no --vocab belong to them")
    if options.histories is None:
        raise UsageError("--predictions need --histories: what stood before each of them")
    said = options.kind or _kind(options.predictions)
    table = read_table(options.predictions, said, "predictions")
    rows, kind = table.rows, table.kind
    if table.tokens is not None:
        with mendable():
            rows, kind = NextTokenRows.from_logits(rows, tokens=table.tokens, kind=kind or ""), None
    names = getattr(rows, "tokens", None)
    histories = read_histories(options.histories, options.history_kind, names)
    n = int(histories.shape[0]) if hasattr(histories, "shape") else len(histories)
    if n != table.shape[0]:
        raise UsageError(
            f"{n} histories in {options.histories} and {table.shape[0]} predictions in "
            f"{options.predictions}: each history needs the distribution after it"
        )
    groups = None if options.groups is None else read_labels(options.groups, n)
    say(options, f"eliciting the prior of {n} predictions")
    with mendable():
        return elicit_prior(
            histories, rows, history_kind=options.history_kind, kind=kind, groups=groups, **own
        )


def _kind(path: str) -> str | None:
    """Predictions are no counts, and what else they are is to be said."""
    if not path.endswith(".safetensors"):
        raise UsageError(f"predictions {path}: say what the numbers are, --kind probs, logits, ...")
    return None


def part_files(path: str) -> list[str]:
    """Where the priors of a family with several would go."""
    target = Path(path)
    there = sorted(target.parent.glob(f"{target.stem}.*{target.suffix}"))
    return [str(file) for file in there]


def _written(report: Any, path: str) -> list[str]:
    """The files of the priors."""
    target = Path(path)
    files = []
    for name, prior in report.priors.items():
        own = target.with_name(f"{target.stem}.{name}{target.suffix}")
        files.append(str(target if len(report.priors) == 1 else own))
        with mendable():
            prior.save(files[-1])
    return files


def _data(report: Any, files: list[str], parts: dict[str, Any]) -> dict[str, Any]:
    """What was found, for programs."""
    comparison, bits = report.comparison, 1.4426950408889634
    numbers = {**{name: {"components": listed} for name, listed in parts.items()}, **report.numbers}
    names = ["discount", "temperature", "mean_kl_bits", "baseline_kl_bits", "r2", "mae", "n_rows"]
    names += ["n_distinct", "n_parameters", "converged", "n_starts", "n_agreeing", "flags"]
    found = {name: getattr(report, name) for name in names}
    found |= {"out": files, "family": report.family, "parts": numbers, "weights": report.weights}
    found |= {"kl_error_bits": bits * report.kl_error, "intervals": report.intervals}
    found["tokens"] = report.tokens if report.n_tokens <= 1000 else None
    found["comparison"] = comparison and [
        {
            "family": name,
            "n_parameters": int(comparison.n_parameters[i]),
            "mean_kl_bits": bits * float(comparison.mean_kl[i]),
            "held_out_kl_bits": bits * float(comparison.held_out_kl[i]),
            "standard_error_bits": bits * float(comparison.standard_error[i]),
        }
        for i, name in enumerate(comparison.families)
    ]
    return found
