"""`matrix merge`: the counts of several matrices in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....errors import UsageError
from ...answers import Answer, mendable, say
from ...files import MATRIX, check_out, format_of, load_matrix
from ...options import Commands, command, out, real
from .build import data_of

KEYS = ["out", "order", "n_tokens", "kind", "frozen", "n_contexts", "n_pairs", "n_observed"]
KEYS += ["n_documents", "concentrations", "n_bytes"]
EPILOG = """\
The prior is that of the first; tokens with names are matched by them.

example:
  matrixbayes matrix merge monday.safetensors tuesday.safetensors --out week.safetensors"""


def add(commands: Commands) -> None:
    """The command's options."""
    about = "add the counts of matrices, exactly"
    parser = command(commands, "merge", run, help=about, keys=KEYS, epilog=EPILOG)
    add = parser.add_argument
    add("matrix", nargs="+", metavar="MATRIX", help="two or more of what build wrote")
    add("--weight", type=real(), default=1, metavar="W", help="of all but the first (default: 1)")
    add("--freeze", action="store_true", help="write the compact, read-only form")
    out(parser, "merged.safetensors", "the sum")


def run(options: Any) -> Answer:
    """Add, and write."""
    if len(options.matrix) < 2:
        raise UsageError("there is one matrix: two or more are merged")
    for path in options.matrix:
        if format_of(path, "matrix") != MATRIX:
            raise UsageError(f"{path} is no matrix; `matrixbayes show` tells more")
    check_out(options.out, options.overwrite)
    first, *others = options.matrix
    say(options, f"reading {first}")
    with mendable():
        found = load_matrix(first).thaw()
        for path in others:
            say(options, f"adding {path}")
            found.merge(load_matrix(path), weight=options.weight)
        if options.freeze:
            found = found.freeze(options.out)
        else:
            found.save(options.out)
    lines = [] if options.quiet else repr(found).splitlines()
    data = data_of(found, options.out, None)
    return Answer([*lines, f"matrix: {Path(options.out).resolve()}"], data)
