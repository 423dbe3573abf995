"""Before a run: what is wrong with it, how exact its batches are, what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._base import display
from .answers import Columns, Other, Vocab, columns_after, count_spellings
from .boundary import contexts_of, ends_open
from .chains import passes
from .forward import Forward, batches_of
from .kept import kept_sizes, largest_difference, tolerance
from .memory import available_memory
from .prompts import (
    Positions,
    Prompt,
    as_list,
    check_padding,
    encode_prompt,
    positions_of,
    untouched,
)
from .runs.batches import run_batches
from .runs.found import Finding, PreflightReport
from .spellings import pieces_of, token_names

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


SHOWN = 5  # bad prompts told one by one


def preflight(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    prompts: Sequence[Any],
    *,
    positions: Positions = "last",
    vocab: Vocab | None = None,
    other: Other = "keep",
    hidden: bool = False,
    batch_size: int = 8,
) -> PreflightReport:
    """Look at a run of `collect` before it is made: the same arguments, a report instead of rows.

    Every prompt is encoded and checked, and a sample of at most `batch_size` prompts
    is run, each alone and all in one batch.

    Parameters
    ----------
    model, tokenizer, prompts, positions, vocab, other, hidden, batch_size
        As `matrixbayes.collect` takes them.

    Returns
    -------
    PreflightReport
        ``.ok`` and ``.findings``; printed, it is a few lines.

    Examples
    --------
    >>> from importlib.resources import files
    >>> from transformers import AutoModelForCausalLM, AutoTokenizer
    >>> import matrixbayes as mb
    >>> urns = str(files("matrixbayes") / "data" / "urns")
    >>> model = AutoModelForCausalLM.from_pretrained(urns)
    >>> tokenizer = AutoTokenizer.from_pretrained(urns)
    >>> report = mb.preflight(model, tokenizer, ["red red blue", "green"])
    >>> report.ok, report.max_difference < 1e-4
    (True, True)
    """
    try:
        prompts = as_list(prompts)
        forward = Forward(model, hidden=hidden)
        model = forward.model
        wanted = positions_of(prompts, positions)
        encoded, findings = _encode_all(tokenizer, prompts, wanted, forward)
        columns = columns_after(tokenizer, prompts, encoded, positions, vocab, other, forward.width)
    except (TypeError, ValueError) as error:
        return PreflightReport((Finding("error", str(error)),))
    findings += _seams(tokenizer, prompts, encoded, positions, columns, vocab)
    findings += _facts(model, tokenizer, encoded, forward)
    n_rows, n_columns, itemsize, extra = kept_sizes(list(encoded.values()), columns, forward)
    n_bytes = n_rows * n_columns * itemsize + extra
    free = available_memory()
    if free is not None and n_bytes > free:
        need, left = display.amount(n_bytes), display.amount(free)
        findings.append(Finding("error", f"the rows take {need} and {left} are free: use vocab="))
    measured = _Measured()
    if encoded:
        measured = _measure(forward, columns, encoded, batch_size)
        findings += measured.findings
    rank = {"error": 0, "warning": 1, "note": 2}
    return PreflightReport(
        tuple(sorted(findings, key=lambda finding: rank[finding.level])),
        measured.difference,
        n_rows,
        n_columns,
        sum(map(len, encoded.values())),
        n_bytes,
        None if measured.seconds is None else measured.seconds * (1 + passes(columns)),
    )


# ---------------------------------------------------------------------------
# Prompts and facts
# ---------------------------------------------------------------------------


def _encode_all(
    tokenizer: Any, prompts: Sequence[Any], wanted: Sequence[Any], forward: Forward
) -> tuple[dict[int, Prompt], list[Finding]]:
    """The good prompts by number, and what is wrong with the others."""
    good: dict[int, Prompt] = {}
    bad: list[Finding] = []
    limits = {"n_ids": forward.n_ids, "max_length": forward.max_length}
    with untouched(tokenizer):
        for i, prompt in enumerate(prompts):
            try:
                good[i] = encode_prompt(tokenizer, prompt, i, wanted[i], **limits)
            except (TypeError, ValueError) as error:
                bad.append(Finding("error", str(error)))
    try:
        check_padding(tokenizer, prompts, good)
    except ValueError as error:
        bad.append(Finding("error", str(error)))
    if len(bad) > SHOWN:
        bad[SHOWN:] = [Finding("error", f"and {len(bad) - SHOWN} more prompts like these")]
    return good, bad


def _seams(
    tokenizer: Any,
    prompts: Sequence[Any],
    encoded: dict[int, Prompt],
    positions: Positions,
    columns: Columns,
    vocab: Vocab | None,
) -> Iterator[Finding]:
    """Where prompts end and answers begin, and answers of several tokens."""
    for note in columns.notes:
        yield Finding("warning", note)
    spelled = tokenizer is not None and count_spellings(vocab) > 0
    some = dict(list(encoded.items())[:SHOWN])
    if spelled and some and not contexts_of(tokenizer, prompts, some, positions):
        yield Finding(
            "note",
            "the text before the rows is not known, as these ids are not what the tokenizer makes "
            "of it: spellings in vocab are taken for what they are by themselves",
        )
    if tokenizer is not None and isinstance(positions, str):
        ending = [i for i, p in enumerate(prompts) if isinstance(p, str) and p.endswith(" ")]
        some = {i: encoded[i] for i in ending if i in encoded}
        with untouched(tokenizer):
            open_ = ends_open(tokenizer, contexts_of(tokenizer, prompts, some, positions))
        if open_:
            yield Finding(
                "warning",
                f"{open_[0].name} ends in a space ({len(ending)} do), which this tokenizer puts "
                "into the token of the next word, so that hardly any word can follow: take it off",
            )
    more = passes(columns)
    if more:
        yield Finding(
            "note",
            f"answers of several tokens: {more} more passes over the rows' contexts, one for each "
            f"beginning of an answer, so about {more + 1} times the time",
        )


def _facts(
    model: Any, tokenizer: Any, encoded: dict[int, Prompt], forward: Forward
) -> list[Finding]:
    """What is worth knowing about model and tokenizer."""
    found = list(_special_tokens(tokenizer, encoded)) if tokenizer is not None else []
    found += _widths(model, tokenizer, forward)
    found += _head(forward) if forward.hidden else ()
    device = str(forward.device)
    how = {
        "logits_to_keep": "logits of the wanted positions only",
        "head": "logits of the wanted positions only, by the head itself",
        "full": "this model computes logits at all positions: lower batch_size if memory runs out",
    }[forward.route]
    found.append(Finding("note", f"{forward.dtype} on {device}; {how}"))
    return found


def _head(forward: Forward) -> Iterator[Finding]:
    """What the hidden states that are kept will enter."""
    if forward.head is None:
        yield Finding("warning", f"of hidden states no head is known: {forward.head_refusal}")
        return
    yield Finding(
        "note",
        f"hidden states enter {forward.head.parts}; {forward.head.dtype} takes the logits up to "
        f"{forward.head.floor:.1g} from what it gives",
    )


def _special_tokens(tokenizer: Any, encoded: dict[int, Prompt]) -> Iterator[Finding]:
    """BOS, padding and unknown tokens."""
    bos, name = tokenizer.bos_token_id, tokenizer.bos_token
    if bos is not None:
        leading = [len(p) > 0 and int(p.ids[0]) == bos for p in encoded.values()]
        if leading and not any(leading):
            yield Finding(
                "note",
                f"no prompt begins with {name!r}, which this tokenizer does not add by itself; "
                "if the model was trained with it in front, put it there",
            )
        elif any(leading):
            yield Finding("note", f"{sum(leading)} of {len(leading)} prompts begin with {name!r}")
    side = "none" if tokenizer.pad_token is None else f"{tokenizer.pad_token!r} on the "
    side += "" if tokenizer.pad_token is None else tokenizer.padding_side
    yield Finding("note", f"the tokenizer's own padding ({side}) is not used, nor needed")
    unknown = tokenizer.unk_token_id
    hit = [i for i, p in encoded.items() if unknown is not None and (p.ids == unknown).any()]
    if hit and unknown != bos:
        yield Finding(
            "warning",
            f"prompt {hit[0]} holds {tokenizer.unk_token!r}, text the vocabulary lacks "
            f"({len(hit)} of {len(encoded)} prompts do)",
        )


def _widths(model: Any, tokenizer: Any, forward: Forward) -> Iterator[Finding]:
    """Whether tokenizer, configuration and logits agree on the size of the vocabulary."""
    config = getattr(model.config, "vocab_size", forward.width)
    if config != forward.width:
        yield Finding(
            "note", f"the configuration says {config} tokens; the logits are {forward.width} wide"
        )
    if tokenizer is None:
        return
    unnamed = token_names(tokenizer, forward.width).count(None)
    if unnamed:
        yield Finding(
            "note",
            f"{unnamed} of the {forward.width} columns of the logits have no name in the "
            "tokenizer; they are summed into '<unused>' ('<other>' with vocab)",
        )
    beyond = sum(i >= forward.width for i in pieces_of(tokenizer).values())
    if beyond:
        yield Finding(
            "warning", f"the tokenizer has {beyond} tokens that the logits have no column for"
        )


# ---------------------------------------------------------------------------
# Measurements
# ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Measured:
    """What running a sample showed."""

    difference: float | None = None
    seconds: float | None = None
    findings: tuple[Finding, ...] = ()


def _measure(
    forward: Forward, columns: Columns, encoded: dict[int, Prompt], batch_size: int
) -> _Measured:
    """Run a sample alone and batched; compare, and take the time."""
    numbers, sample = _sample(encoded, max(batch_size, 2))
    told: list[str] = []
    try:
        alone = _rows(forward, sample, numbers, 1, told.append)
        start = time.perf_counter()
        together = _rows(forward, sample, numbers, len(sample), told.append)
        seconds = time.perf_counter() - start
        foresight = _foresight(forward, sample[0], numbers[0])
    except (ValueError, MemoryError) as error:
        return _Measured(findings=(Finding("error", str(error)),))
    difference = largest_difference(alone, together)
    padded = len(sample) * max(map(len, sample))
    everything = list(encoded.values())
    batches = batches_of(everything, batch_size, forward.width, forward.route)
    work = sum(len(batch) * max(len(everything[i]) for i in batch) for batch in batches)
    limit = tolerance(forward)
    found = [Finding("note", text) for text in told]
    if difference > limit:
        found.append(
            Finding(
                "warning",
                f"a prompt's log-probabilities change by up to {difference:.2g} in a batch, and "
                f"{forward.dtype} explains {limit:g}: use batch_size=1, or load it in float32",
            )
        )
    if foresight > 3 * limit:
        found.append(
            Finding(
                "warning",
                f"a row changes by {foresight:.2g} with what follows it: this is no causal "
                "model, and its rows are no predictions of a next token",
            )
        )
    return _Measured(difference, seconds * work / padded, tuple(found))


def _rows(
    forward: Forward,
    prompts: list[Prompt],
    numbers: list[int],
    batch_size: int,
    tell: Callable[[str], object],
) -> np.ndarray:
    """Log-probabilities of prompts, the longest of which come first."""
    batches = run_batches(forward, prompts, numbers, batch_size, tell=tell)
    return np.concatenate([batch.log_probs() for _, batch in batches])


def _sample(encoded: dict[int, Prompt], size: int) -> tuple[list[int], list[Prompt]]:
    """At most `size` prompts, from the longest to the shortest; padding is there to be tested."""
    order = sorted(encoded, key=lambda i: -len(encoded[i]))
    picks = np.unique(np.linspace(0, len(order) - 1, min(size, len(order))).round().astype(int))
    numbers = [order[k] for k in picks]
    sample = [_shortened(encoded[i], len(encoded[i])) for i in numbers]
    longest = len(sample[0])
    if longest > 1 and len(sample[-1]) == longest:  # all of one length: cut one in half
        numbers.append(numbers[-1])
        sample.append(_shortened(sample[-1], longest // 2))
    return numbers, sample


def _shortened(prompt: Prompt, length: int) -> Prompt:
    """The first tokens of a prompt, with at most eight of the rows that are wanted of it."""
    positions = np.unique(prompt.positions[prompt.positions < length])
    if len(positions) == 0:
        positions = np.array([length - 1])
    picks = np.unique(np.linspace(0, len(positions) - 1, 8).round().astype(int))
    return Prompt(prompt.ids[:length], positions[picks])


def _foresight(forward: Forward, prompt: Prompt, number: int) -> float:
    """By how much a row in the middle of a prompt changes when the rest is taken away."""
    middle = len(prompt) // 2
    if middle == 0:
        return 0.0
    place = np.array([middle - 1])
    whole = forward([Prompt(prompt.ids, place)], [number]).log_probs()
    part = forward([Prompt(prompt.ids[:middle], place)], [number]).log_probs()
    return largest_difference(whole, part)
