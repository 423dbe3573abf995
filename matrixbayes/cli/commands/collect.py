"""`collect`: the next-token rows of a model, into a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import UsageError
from ..answers import Answer, mendable, plain, progress, say
from ..files import check_out
from ..models import check_model, loaded, model_name, threads
from ..options import (
    VOCAB,
    Commands,
    command,
    jobs,
    layers,
    model_options,
    out,
    rows_options,
    size,
)
from ..prompts import arguments

KEYS = ["out", "model", "n_rows", "n_columns", "tokens", "layers", "dtype", "n_bytes", "other"]
EPILOG = f"""\
{VOCAB}

With --layers there is a file for each layer: rows.layer0.safetensors, ...

example:
  matrixbayes collect gpt2 --prompts questions.txt --vocab 'yes= yes| Yes' --vocab 'no= no'"""


def add(commands: Commands) -> None:
    """The command's options."""
    about = "run a model over prompts and keep its next-token rows"
    parser = command(commands, "collect", run, help=about, keys=KEYS, epilog=EPILOG)
    model_options(parser)
    rows_options(parser)
    add = parser.add_argument
    add(
        "--max-memory",
        type=size,
        metavar="BYTES",
        help="of all rows (default: what is free)",
    )
    add("--cache-dir", metavar="DIR", help="keep rows as they are finished, and go on")
    add("--layers", type=layers, metavar="WHICH", help="all, or numbers like 0,-1: rows of layers")
    jobs(parser)
    out(parser, "rows.safetensors", "the rows")


def run(options: Any) -> Answer:
    """Collect rows, and write them."""
    given = arguments(options)
    if options.layers is not None and options.cache_dir is not None:
        raise UsageError("rows of layers are not kept in --cache-dir: leave out one of the two")
    check_out(options.out, options.overwrite)
    there = [] if options.layers is None else layer_files(options.out, "*")
    if there and not options.overwrite:
        raise UsageError(f"{there[0]} exists: --overwrite replaces it")
    if options.cache_dir is not None and Path(options.cache_dir).is_file():
        raise UsageError(f"--cache-dir {options.cache_dir} is a file; it must be a folder")
    check_model(options)
    model, tokenizer = loaded(options)
    from ...huggingface import collect

    say(options, f"collecting the rows of {len(given['prompts'])} prompts")
    with threads(options.n_jobs), mendable():
        rows = collect(
            model,
            tokenizer,
            given.pop("prompts"),
            **given,
            progress=progress(options),
            max_memory=options.max_memory,
            cache_dir=options.cache_dir,
            layers=options.layers,
        )
    numbers = None if options.layers is None else list(rows)
    last = rows if numbers is None else rows[numbers[-1]]
    with mendable():
        if numbers is None:
            files = [options.out]
            rows.save(options.out)
        else:
            files = [layer_file(options.out, n) for n in numbers]
            for n, file in zip(numbers, files, strict=True):
                rows[n].save(file)
    shown = [] if options.quiet else repr(rows).splitlines()
    rest = last.meta.get("rest") or {}
    data = {
        "out": files[0] if numbers is None else files,
        "model": model_name(options),
        "n_rows": len(last),
        "n_columns": last.n_tokens,
        "tokens": None if given["vocab"] is None else last.tokens,
        "layers": numbers,
        "dtype": str(last.log_probs.dtype),
        "n_bytes": sum(Path(file).stat().st_size for file in files),
        "other": plain(rest) or None,
    }
    return Answer([*shown, *(f"rows: {Path(file).resolve()}" for file in files)], data)


def layer_file(path: str, layer: int | str) -> str:
    """Where the rows of one layer go."""
    target = Path(path)
    return str(target.with_name(f"{target.stem}.layer{layer}{target.suffix}"))


def layer_files(path: str, layer: str) -> list[Path]:
    """Those that are there."""
    pattern = Path(layer_file(path, layer))
    return sorted(pattern.parent.glob(pattern.name))
