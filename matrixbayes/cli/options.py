"""Options: their values, and those that several commands have.

Names and defaults are those of the Python function that a command stands for; what is Python's
`n_components` is ``--n-components`` here.  A value that cannot be is refused before anything is
loaded.

Contents
    Parser, Commands    a parser that says what is wrong in one line; where commands are added
    command             a new command, with what all commands have
    whole, real, number_or, sizes, words, integers, positions, layers, size, device
                        types of values
    model_options, rows_options, vocab, batch_size, seed, jobs, top, out
                        options of several commands
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeAlias

from .._base.arguments import shown

MOST_SIZES = 1000
DEVICES = ("cpu", "cuda", "mps", "xpu", "hpu", "npu", "mtia", "xla")
DTYPES = ("auto", "float32", "bfloat16", "float16", "float64")
KINDS = ("logits", "log_probs", "probs")
VOCAB = """\
files (UTF-8; - is standard input; in a line \\n, \\t and \\\\ stand for a line break, a tab and a
backslash):
  --prompts   one prompt a line; blank lines are skipped.  With --positions continuation:
              context<TAB>continuation
  --vocab     a JSON object {"yes": [" yes", " Yes"], "no": [" no"]}, given as such or as a file;
              or one group per option: --vocab 'yes= yes| Yes' --vocab 'no= no'.  A spelling is
              text (mind the space in front), a token id (id:9891), or the name of a piece of the
              vocabulary."""

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the arguments, and where help is."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*arguments, **options)

    def _print_message(self, message: str, file: Any = None) -> None:
        (sys.stderr if file is None else file).write(message)  # and no error is hidden

    def error(self, message: str) -> NoReturn:
        line = " ".join(message.split())
        print(f"matrixbayes: {line}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def command(
    commands: Commands,
    name: str,
    run: Callable[[Any], Any],
    *,
    help: str,
    keys: Sequence[str],
    epilog: str = "",
) -> Parser:
    """A new command, with the options that all have; `keys` are those of its JSON object."""
    listed = f"--json prints one object: {', '.join(['command', 'version', *keys, 'warnings'])}."
    text = "\n\n".join(filter(None, [epilog, folded(listed)]))
    sentence = f"{help[:1].upper()}{help[1:]}."
    parser = commands.add_parser(name, help=help, description=folded(sentence), epilog=text)
    parser.set_defaults(run=run, keys=tuple(keys))
    add = parser.add_argument
    add("--json", action="store_true", help="print one JSON object, of finite numbers and null")
    add("--quiet", action="store_true", help="no progress, and of a file only where it is")
    add("--traceback", action="store_true", help="show where an error came from")
    return parser


def folded(text: str) -> str:
    """A paragraph in lines of 100 characters."""
    import textwrap

    return textwrap.fill(text, 100)


# ---------------------------------------------------------------------------
# Types of values
# ---------------------------------------------------------------------------


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """A whole number of a range."""

    def convert(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d+", text.strip()):
            raise argparse.ArgumentTypeError(f"{shown(text)} is not a whole number")
        number = int(text)
        if number < least or (most is not None and number > most):
            span = f"at least {least}" if most is None else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"{text} must be {span}")
        return number

    return convert


def real(
    least: float = 0.0, most: float = float("inf"), *, open: bool = False
) -> Callable[[str], float]:
    """A finite number of a range, which is `open` where its lower end is not in it."""

    def convert(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{shown(text)} is not a number") from None
        if not least <= number <= most or number == float("inf") or (open and number == least):
            above = "above" if open else "at least"
            end = "" if most == float("inf") else f" and at most {most:g}"
            raise argparse.ArgumentTypeError(f"{text} must be {above} {least:g}{end}")
        return number

    return convert


def number_or(number: Callable[[str], Any], *given: str) -> Callable[[str], Any]:
    """A number, or one of the words given."""

    def convert(text: str) -> Any:
        if text in given:
            return text
        try:
            return number(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error}, nor {' or '.join(given)}") from None

    return convert


def sizes(text: str) -> list[int]:
    """Numbers of components: ``1:4`` (both ends included), ``3`` or ``1,2,4``."""
    found = re.fullmatch(r"(\d{1,6}):(\d{1,6})", text.strip())
    numbers: list[int] = []
    if found and int(found[2]) - int(found[1]) < MOST_SIZES:
        numbers = list(range(int(found[1]), int(found[2]) + 1))
    elif not found and re.fullmatch(r"\d{1,6}(,\d{1,6})*", text.strip()):
        numbers = list(dict.fromkeys(map(int, text.split(","))))
    if not numbers or min(numbers) < 1:
        raise argparse.ArgumentTypeError(
            f"{shown(text)}: write a range like 1:6, or numbers like 3 or 1,2,4, from 1 on"
        )
    return numbers


def words(text: str) -> str | list[str]:
    """One word, or several between commas."""
    found = [word.strip() for word in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"{shown(text)}: a word is missing")
    return found[0] if len(found) == 1 else found


def integers(text: str) -> list[int]:
    """Whole numbers between commas."""
    if not re.fullmatch(r"[+-]?\d{1,18}(,[+-]?\d{1,18})*", text.replace(" ", "")):
        raise argparse.ArgumentTypeError(f"{shown(text)}: write whole numbers like 0,3,-1")
    return [int(number) for number in text.split(",")]


def positions(text: str) -> str | list[int]:
    """Those of `collect`."""
    return text if text in ("last", "all", "continuation") else integers(text)


def layers(text: str) -> str | list[int]:
    """Those of `collect`."""
    return text if text == "all" else integers(text)


def size(text: str) -> int:
    """A number of bytes: 500000000, 500MB or 2GB."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) *([kMGT]?)B?", text.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"{shown(text)}: write bytes, or 500MB, or 2GB")
    return int(float(found[1]) * 1000.0 ** " kMGT".index(found[2] or " "))


def n_jobs(text: str) -> int:
    """A number of threads; -1 is one for each core."""
    return -1 if text == "-1" else whole(1)(text)


def device(text: str) -> str:
    """The name of a device, as torch has it."""
    if not re.fullmatch(rf"({'|'.join(DEVICES)})(:\d{{1,3}})?", text):
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is no device: there are cpu, cuda, cuda:1, mps and others of torch"
        )
    return text


# ---------------------------------------------------------------------------
# Options that several commands have
# ---------------------------------------------------------------------------


def model_options(parser: Parser) -> None:
    """A model, where it computes, and in which numbers."""
    group = parser.add_argument_group("the model")
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a model folder in HuggingFace format, or a name; without it the bundled urn model",
    )
    add = group.add_argument
    add("--device", type=device, metavar="DEVICE", help="cpu, cuda, cuda:1, mps (default: cpu)")
    add("--dtype", choices=DTYPES, help="the model's numbers (default: what transformers takes)")
    add("--download", action="store_true", help="fetch MODEL from the hub if it is not cached")


def rows_options(parser: Parser) -> None:
    """What `collect` and `preflight` have in common."""
    add = parser.add_argument
    add("--prompts", required=True, metavar="FILE", help="the prompts, one a line, or -")
    add(
        "--positions",
        type=positions,
        default="last",
        metavar="WHICH",
        help="last (default), all, continuation, or numbers like 0,3,-1: after which tokens",
    )
    vocab(parser)
    add("--other", choices=["keep", "renormalize"], default="keep", help=OTHER)
    add("--hidden", action="store_true", help="the hidden states of the rows too")
    batch_size(parser, 8)


OTHER = (
    "what becomes of the probability outside --vocab: kept as <other> (default), or left out and "
    "the answers renormalized"
)


def vocab(parser: Parser) -> None:
    """Answer groups."""
    parser.add_argument(
        "--vocab", action="append", metavar="GROUPS", help="answer groups, see below"
    )


def batch_size(parser: Parser, default: int) -> None:
    """Prompts or sequences in one pass."""
    parser.add_argument(
        "--batch-size",
        type=whole(1),
        default=default,
        metavar="N",
        help="at once, at most (default: %(default)s)",
    )


def seed(parser: Parser, name: str = "rng") -> None:
    """The seed, under the name that Python has for it, and under its usual one."""
    parser.add_argument(
        f"--{name.replace('_', '-')}",
        "--seed",
        dest=name,
        type=whole(0),
        metavar="N",
        help="of every random choice (default: another one each time)",
    )


def jobs(parser: Parser, default: int | None = None) -> None:
    """Threads."""
    parser.add_argument(
        "--jobs",
        "--n-jobs",
        dest="n_jobs",
        type=n_jobs,
        default=default,
        metavar="N",
        help="threads (default: one for each core)",
    )


def top(parser: Parser) -> None:
    """How many tokens are shown."""
    parser.add_argument(
        "--top",
        type=number_or(whole(1), "all"),
        default=10,
        metavar="N",
        help="the most probable tokens, or all (default: %(default)s)",
    )


def out(parser: Parser, default: str, what: str) -> None:
    """A file that is written."""
    add = parser.add_argument
    add("--out", default=default, metavar="FILE", help=f"{what} (default: %(default)s)")
    add("--overwrite", action="store_true", help="replace FILE where it exists")
