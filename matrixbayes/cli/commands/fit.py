"""`fit`: the Dirichlet-mixture prior of rows or counts, into a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ..answers import Answer, component_lines, components, mendable, say
from ..files import check_out
from ..options import (
    KINDS,
    Commands,
    command,
    jobs,
    number_or,
    out,
    real,
    seed,
    sizes,
    top,
    whole,
)
from ..tables import SUFFIXES, read_table

CRITERIA = ("bic", "aic", "icl", "log_evidence", "cv", "held_bits")
KEYS = ["out", "n_components", "criterion", "resolution", "converged", "check", "n_rows"]
KEYS += ["n_columns", "components", "table"]
EPILOG = f"""\
ROWS is what collect wrote, or one of {", ".join(SUFFIXES[1:])}.  A table of text has a header with
the names of the columns; where its first cell is empty, the first column holds labels.  Whole
numbers are counts unless --kind says otherwise, and of others it must say what they are.

examples:
  matrixbayes fit rows.safetensors --n-components 1:4
  matrixbayes fit counts.csv --n-components 1,2 --criterion log_evidence --out prior.safetensors"""


def add(commands: Commands) -> None:
    """The command's options."""
    about = "the prior that rows or counts come from: priors of several sizes, and the best one"
    parser = command(commands, "fit", run, help=about, keys=KEYS, epilog=EPILOG)
    add = parser.add_argument
    add("rows", metavar="ROWS", help="rows or counts, see below; - is CSV from standard input")
    add("--kind", choices=[*KINDS, "counts"], help="what the numbers of an array are")
    add(
        "--n-components",
        type=sizes,
        default=range(1, 9),
        metavar="SIZES",
        help="to choose from: 1:8 (default), 3, or 1,2,4",
    )
    add("--criterion", choices=CRITERIA, default="bic", help="what decides (default: %(default)s)")
    add("--n-folds", type=whole(2), default=5, metavar="N", help="of cv (default: %(default)s)")
    add(
        "--resolution",
        type=number_or(whole(1), "auto"),
        metavar="N",
        help="match what so many draws from a row show, or auto, and not the rows' density",
    )
    _fitting(parser.add_argument_group("the search"))
    seed(parser, "random_state")
    jobs(parser)
    top(parser)
    out(parser, "prior.safetensors", "the prior")


def _fitting(group: Any) -> None:
    """Parameters of `DirichletMixtureEstimator`."""
    add = group.add_argument
    of = "(default: %(default)s)"
    add("--tol", type=real(), default=1e-5, metavar="NATS", help=f"where it stops {of}")
    add("--max-iter", type=whole(1), default=200, metavar="N", help=f"passes at most {of}")
    add("--n-init", type=whole(1), default=1, metavar="N", help=f"starts of each size {of}")
    add("--init", choices=["kmeans++", "random"], default="kmeans++", help=f"starts from {of}")
    add("--max-concentration", type=real(open=True), default=1e8, metavar="A", help=f"a cap {of}")
    add("--accelerate", action=argparse.BooleanOptionalAction, default=True, help="longer steps")
    add("--zeros", choices=["error", "floor", "drop"], default="error", help=f"exact zeros {of}")
    add("--shrinkage", type=real(), default=30.0, metavar="N", help=f"at a resolution {of}")


PARAMETERS: tuple[str, ...] = (
    "tol",
    "max_iter",
    "n_init",
    "init",
    "max_concentration",
    "accelerate",
    "zeros",
)
PARAMETERS += ("shrinkage", "random_state", "n_jobs")


def run(options: Any) -> Answer:
    """Fit priors, and write the best one."""
    if options.resolution is not None and options.criterion not in ("bic", "held_bits"):
        raise UsageError("sizes at a --resolution are compared by held_bits; leave --criterion out")
    if options.resolution is None and options.criterion == "held_bits":
        raise UsageError("--criterion held_bits needs --resolution, such as --resolution auto")
    check_out(options.out, options.overwrite)
    table = read_table(options.rows, options.kind)
    from ..._base.saving.made import inherit
    from ...estimator import select_prior
    from ...mixture import DirichletMixture

    n, width = table.shape
    say(options, f"fitting priors to {n} rows of {width} columns")
    with mendable():
        found = select_prior(
            table.rows,
            options.n_components,
            kind=table.kind,
            criterion=options.criterion,
            n_folds=options.n_folds,
            resolution=options.resolution,
            **{name: getattr(options, name) for name in PARAMETERS},
        )
        best = found.best_
        prior = best.prior_
        if table.tokens is not None:
            named = DirichletMixture(prior.weights, prior.alpha, tokens=table.tokens)
            prior = inherit(named, prior)
        prior.save(options.out)
    listed = components(prior, options.top)
    lines = [] if options.quiet else [*repr(found).splitlines(), *component_lines(listed)]
    data = {
        "out": options.out,
        "n_components": prior.n_components,
        "criterion": found.criterion,
        "resolution": best.resolution_,
        "converged": best.converged_,
        "check": None if best.check_ is None else best.check_.outcome,
        "n_rows": n,
        "n_columns": width,
        "components": listed,
        "table": found.table,
    }
    return Answer([*lines, f"prior: {Path(options.out).resolve()}"], data)
