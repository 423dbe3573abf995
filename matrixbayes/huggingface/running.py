"""Prompts through a model, batch by batch, with what memory there is.

Contents
    run_batches     what each batch of some prompts gives, the longest prompts first
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Container, Iterator, Sequence
from typing import Any

from .forward import Batch, Forward, batches_of
from .prompts import Prompt


def run_batches(
    forward: Forward,
    prompts: Sequence[Prompt],
    numbers: Sequence[int],
    batch_size: int,
    done: Container[int] = (),
) -> Iterator[tuple[list[int], Batch]]:
    """Run prompts, each once; what each batch gave, with the numbers of its prompts.

    Where memory runs out the batch is halved, and with it all that follow, which are no longer;
    one warning says so.

    Parameters
    ----------
    forward
        The model.
    prompts, numbers
        What it reads, and what errors call each of them.
    batch_size
        The most prompts at once.
    done
        The numbers of prompts to leave out.  The batches are those of all of them, so that what
        was left out and what is run are, to the last bit, what one run would give.

    Raises
    ------
    MemoryError
        A single prompt is too much; the message names it.
    """
    batches = batches_of(prompts, batch_size, forward.width, forward.route)
    left = ([i for i in places if numbers[i] not in done] for places in batches)
    todo = [places for places in left if places]
    return _halving(forward, prompts, numbers, todo)


def _halving(
    forward: Forward, prompts: Sequence[Prompt], numbers: Sequence[int], todo: list[list[int]]
) -> Iterator[tuple[list[int], Batch]]:
    """Batches in their order, cut to what was found to fit."""
    limit, told = max(map(len, todo), default=1), False
    todo = todo[::-1]  # the next one is the last
    while todo:
        places = todo.pop()
        if len(places) > limit:
            todo += [places[limit:], places[:limit]]
            continue
        own, called = [prompts[i] for i in places], [numbers[i] for i in places]
        batch = None
        try:
            batch = forward(own, called)
        except MemoryError as error:
            if len(places) == 1:
                raise _too_long(own[0], called[0], forward.device) from error
            limit = (len(places) + 1) // 2
            if not told:
                _tell(forward.device, own, limit)
            told = True
            todo.append(places)
        if batch is None:
            _give_back(forward.device)  # behind the error, which holds what the model computed
        else:
            yield called, batch


def _tell(device: Any, prompts: Sequence[Prompt], limit: int) -> None:
    """Warn of batches that are smaller than was asked."""
    warnings.warn(
        f"no memory on {device} for {len(prompts)} prompts of up to {len(prompts[0]):,} tokens at "
        f"once: going on with at most {limit}; batch_size={limit} would begin with that",
        UserWarning,
        stacklevel=4,
    )


def _too_long(prompt: Prompt, number: int, device: Any) -> MemoryError:
    """The error for a prompt that does not fit by itself."""
    rows = len(prompt.positions)
    asked = f" and {rows:,} rows of it" if rows > 1 else ""
    return MemoryError(
        f"no memory on {device} for prompt {number} alone, with its {len(prompt):,} tokens{asked}: "
        "shorten it, ask for fewer positions, load the model in bfloat16, or run it where there "
        "is more memory"
    )


def _give_back(device: Any) -> None:
    """Return what nothing holds any more to the device, whose allocator keeps it in pieces."""
    import torch

    gc.collect()
    kind: Any = getattr(torch, torch.device(device).type, None)
    if hasattr(kind, "empty_cache"):
        kind.empty_cache()
