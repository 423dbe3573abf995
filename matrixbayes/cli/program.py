"""From the arguments to an exit status.

Contents
    STATUS    exit statuses and what they mean
    parser    of all commands
    main      run the command line
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress

from ..errors import UsageError
from .answers import Answer, as_json, reason, write
from .commands import collect, completion, elicit, fit, preflight, show, study, test
from .commands.matrix import build, generate, merge, query, score
from .options import Parser

STATUS = {
    0: "all went well",
    1: "something unexpected, with a traceback",
    2: "something that you can mend, said in one line: arguments, files, a full disk",
    130: "stopped by Ctrl-C",
    141: "whoever read the output closed it",
}
OK, MEND, STOPPED, CLOSED = 0, 2, 130, 141

EPILOG = """\
Results go to standard output, progress and warnings to standard error.  COMMAND --help tells of a
command's files and options, whose names and defaults are those of Python.

exit status:
""" + "\n".join(f"  {number:<4} {words}" for number, words in STATUS.items())


def parser() -> Parser:
    """The parser of all commands."""
    from .._base.version import __version__

    found = Parser(
        prog="matrixbayes",
        description="Bayesian inference over next-token distributions.",
        epilog=EPILOG,
    )
    found.set_defaults(root=found)
    found.add_argument("--version", action="version", version=f"matrixbayes {__version__}")
    commands = found.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for each in (study, collect, fit, elicit, test):
        each.add(commands)
    matrix = commands.add_parser(
        "matrix",
        help="the Matrix of a text: build, score, query, merge, generate",
        description="A row of next-token probabilities for each context, learnt from text.",
    )
    inner = matrix.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
    for part in (build, score, query, merge, generate):
        part.add(inner)
    show.add(commands)
    preflight.add(commands)
    completion.add(commands)
    return found


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
    try:
        try:
            return _run(parser().parse_args(argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return CLOSED
    except OSError as error:  # a full disk, mostly
        _complain(reason(error) if error.filename else f"cannot write: {reason(error)}")
        _drop_output()
        return MEND
    except KeyboardInterrupt:
        return STOPPED


def _run(options: argparse.Namespace) -> int:
    """Run a command and say what it found."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for ours in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", ours)  # of libraries to their callers
        last, status = "", 0
        try:
            answer = options.run(options)
        except UsageError as error:
            if options.traceback:
                raise
            last, status = str(error), MEND
        except KeyboardInterrupt:
            kept = getattr(options, "cache_dir", None)
            rest = f"{kept} keeps the rows that were finished" if kept else "nothing was written"
            last, status = f"stopped; {rest}", STOPPED
        finally:
            said = list(dict.fromkeys(_line(each.message) for each in caught))
            for words in said:
                _complain(f"warning: {words}")
    if last:
        _complain(last)
        return status
    _tell(options, answer, said)
    return int(answer.status)


def _tell(options: argparse.Namespace, answer: Answer, said: list[str]) -> None:
    """The answer, in the form asked for."""
    if not options.json:
        write(answer.lines)
        return
    from .._base.version import __version__

    name = " ".join(filter(None, [options.command, getattr(options, "subcommand", None)]))
    missing = {*options.keys} ^ ({*answer.data} - {"warnings"})
    assert not missing, f"keys that are not as listed: {sorted(missing)}"
    warned = [*answer.data.get("warnings", ()), *said]
    found = {"command": name, "version": __version__, **answer.data, "warnings": warned}
    write([as_json(found)])


def _line(text: object) -> str:
    """In one line."""
    return " ".join(str(text).split())


def _complain(words: str) -> None:
    """A line on standard error."""
    with suppress(OSError):
        print(f"matrixbayes: {words}", file=sys.stderr, flush=True)


def _drop_output() -> None:
    """Let what is left of the output go nowhere, or the interpreter complains at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
