"""Prompts through a model, batch by batch, with what memory there is, on any device.

Contents
    run_batches     what each batch of some prompts gives, the longest prompts first

From CUDA each batch travels in the model's own type, half precision as 16 bits, into pinned memory
and on a stream of its own, while the next one is computed; it is handed on when that one is under
way.  Other devices have no such memory: from them it is copied as it is.
"""

from __future__ import annotations

import gc
import warnings
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ..forward import Batch, Forward, batches_of, in_words
from ..prompts import Prompt


def run_batches(
    forward: Forward,
    prompts: Sequence[Prompt],
    numbers: Sequence[int],
    batch_size: int,
    done: Container[int] = (),
    cut: Callable[[Batch], Batch] | None = None,
    tell: Callable[[str], object] | None = None,
) -> Iterator[tuple[list[int], Batch]]:
    """Run prompts, each once; what each batch gave, on the host, with the numbers of its prompts.

    Where memory runs out the batch is halved, and with it all that follow, called are no longer;
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
    cut
        What is taken of a batch where it was computed, before it is copied; by default all.
    tell
        Takes the sentence about halved batches; by default it is a warning.

    Raises
    ------
    MemoryError
        A single prompt is too much; the message names it.
    """
    batches = batches_of(prompts, batch_size, forward.width, forward.route)
    left = ([i for i in places if numbers[i] not in done] for places in batches)
    todo = [places for places in left if places]
    return _on_host(_halving(forward, prompts, numbers, todo, tell or _warn), cut)


def _halving(
    forward: Forward,
    prompts: Sequence[Prompt],
    numbers: Sequence[int],
    todo: list[list[int]],
    tell: Callable[[str], object],
) -> Iterator[tuple[list[int], Batch]]:
    """Batches in their order, cut to what was found to fit."""
    limit, told = max(map(len, todo), default=1), False
    width = None
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
                tell(
                    f"no memory on {forward.device} for {len(own)} prompts of up to {len(own[0]):,}"
                    f" tokens at once: going on with at most {limit}, as batch_size={limit} would"
                )
            told = True
            todo.append(places)
        if batch is None:
            _give_back(forward.device)  # behind the error, called holds what the model computed
            continue
        if batch.width != (width or batch.width):
            raise ValueError(
                f"the model's logits for {in_words(called)} are over {batch.width} tokens, and "
                f"those before are over {width}"
            )
        width = batch.width
        yield called, batch


def _on_host(
    found: Iterator[tuple[list[int], Batch]], cut: Callable[[Batch], Batch] | None
) -> Iterator[tuple[list[int], Batch]]:
    """Batches in the host's memory; those on their way are handed on one late."""
    streams: dict[Any, Any] = {}  # by device
    waiting: deque[tuple[list[int], _Copy]] = deque()
    for numbers, batch in found:
        waiting.append((numbers, _copy(batch if cut is None else cut(batch), streams)))
        del batch  # not beside what the next one needs
        while waiting and (len(waiting) > 1 or not waiting[0][1].ends):
            called, copy = waiting.popleft()
            yield called, copy.ended()
            del copy
    for called, copy in waiting:
        yield called, copy.ended()


@dataclass(frozen=True)
class _Copy:
    """A batch on the host, or on its way there until all of `ends` have come."""

    batch: Batch
    ends: list[Any]

    def ended(self) -> Batch:
        """The batch, once it is there."""
        for end in self.ends:
            end.synchronize()
        return self.batch


def _copy(batch: Batch, streams: dict[Any, Any]) -> _Copy:
    """Begin to copy all tensors of a batch, each in its own type."""
    ends: list[Any] = []
    found: dict[str, Any] = {}
    for each in fields(batch):
        value = getattr(batch, each.name)
        if hasattr(value, "is_cuda") and value.is_cuda:
            found[each.name] = _pinned(value, streams, ends)
        elif hasattr(value, "cpu"):
            found[each.name] = value.cpu()
    return _Copy(replace(batch, **found), ends)


def _pinned(tensor: Any, streams: dict[Any, Any], ends: list[Any]) -> Any:
    """A tensor of a CUDA device in pinned memory, there once the last of `ends` has come."""
    import torch

    try:
        host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    except RuntimeError:  # the system has no more of it to give
        return tensor.cpu()
    device = tensor.device
    if device not in streams:
        streams[device] = torch.cuda.Stream(device)
    stream = streams[device]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        host.copy_(tensor, non_blocking=True)
        ends.append(stream.record_event())
    tensor.record_stream(stream)  # its memory is not used again before it was copied
    return host


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=5)  # where collect or the predictor was called


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
