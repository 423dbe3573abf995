"""`preflight`: a run of `collect` looked at before it is made."""

from __future__ import annotations

from typing import Any

from ..answers import Answer, mendable, say
from ..models import check_model, loaded, model_name, threads
from ..options import VOCAB, Commands, command, jobs, model_options, rows_options
from ..prompts import arguments

KEYS = ["ok", "model", "findings", "max_difference", "n_rows", "n_columns", "n_tokens", "n_bytes"]
KEYS += ["seconds"]
EPILOG = f"""\
{VOCAB}

The status is 2 where `collect` would refuse."""


def add(commands: Commands) -> None:
    """The command's options."""
    about = "look at a run of collect before it is made: what is wrong, how exact, how long"
    parser = command(commands, "preflight", run, help=about, keys=KEYS, epilog=EPILOG)
    model_options(parser)
    rows_options(parser)
    jobs(parser)


def run(options: Any) -> Answer:
    """Look at prompts, model and tokenizer."""
    given = arguments(options)
    check_model(options)
    model, tokenizer = loaded(options)
    from ...huggingface import preflight

    say(options, f"looking at {len(given['prompts'])} prompts")
    with threads(options.n_jobs), mendable():
        report = preflight(model, tokenizer, given.pop("prompts"), **given)
    found = [{"level": each.level, "message": each.message} for each in report.findings]
    data = {"ok": report.ok, "model": model_name(options), "findings": found}
    names = ("max_difference", "n_rows", "n_columns", "n_tokens", "n_bytes", "seconds")
    data |= {name: getattr(report, name) for name in names}
    refused = any(each.level == "error" for each in report.findings)
    return Answer(repr(report).splitlines(), data, 2 if refused else 0)
