"""Prompts and answer groups as `collect` and `preflight` take them.

Contents
    arguments    what the options say, read and checked: keyword arguments of both
"""

from __future__ import annotations

from typing import Any

from ..errors import UsageError


def arguments(options: Any) -> dict[str, Any]:
    """The arguments of `collect` and `preflight`, but for model and tokenizer."""
    from ..study.inputs import read_prompts, read_vocab

    vocab = read_vocab(options.vocab or [])
    pairs = options.positions == "continuation"
    return {
        "prompts": read_pairs(options.prompts) if pairs else read_prompts(options.prompts),
        "positions": options.positions,
        "vocab": vocab,
        "other": options.other,
        "hidden": options.hidden,
        "batch_size": options.batch_size,
    }


def read_pairs(path: str) -> list[tuple[str, str]]:
    """Pairs ``context<TAB>continuation``, one a line."""
    from ..study.inputs import lines, unescape

    found = []
    for number, line in enumerate(lines(path, "prompts file"), start=1):
        if not line.strip():
            continue
        context, tab, continuation = line.partition("\t")
        if not tab or not continuation:
            raise UsageError(
                f"prompts file {path}, line {number}: write context<TAB>continuation, as "
                "--positions continuation wants"
            )
        found.append((unescape(context), unescape(continuation)))
    if not found:
        raise UsageError(f"prompts file {path} is empty: it needs one pair a line")
    return found
