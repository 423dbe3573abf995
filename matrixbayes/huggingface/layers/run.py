"""A run over prompts whose rows are kept at several layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..._base.progress import bar
from ..answers import Columns
from ..kept import Kept, kept_sizes
from ..memory import check_memory
from ..prompts import Prompt, first_of_equals
from ..runs.batches import run_batches
from .layer_rows import LayerRows
from .lens import Lens


def by_layer(
    lens: Lens,
    prompts: Sequence[Prompt],
    columns: Columns,
    again: Callable[[int], Columns],
    meta: Callable[[Columns], Mapping[str, Any]],
    *,
    batch_size: int,
    progress: bool | None,
    max_memory: int | None,
) -> LayerRows:
    """The rows of prompts at each layer of a lens.

    Parameters
    ----------
    columns, again
        The columns, and what they are of logits of another width.
    meta
        What the rows say of where they come from, but for the layer.
    """
    n, width, size, extra = kept_sizes(prompts, columns, lens)
    extra -= 0 if lens.keeps_hidden else 4 * n * lens.n_hidden
    times = len(lens.layers)
    check_memory(times * n, width, size, times * extra, max_memory, progress is False)
    kept = {layer: Kept(prompts, columns) for layer in lens.layers}
    first = first_of_equals(prompts)
    once, count = np.unique(first, return_counts=True)
    read = [prompts[i] for i in once]
    shares = dict(zip(once.tolist(), count.tolist(), strict=True))
    with bar(len(prompts), progress, name="collect", unit="prompt") as advance:
        for numbers, batch in run_batches(lens, read, once.tolist(), batch_size):
            for layer, part in lens.parts(batch):
                if part.width != kept[layer].columns.width:  # the logits have the last word
                    kept[layer].columns = again(part.width)
                kept[layer].add(numbers, part)
            advance(sum(shares[i] for i in numbers))
    rows = {}
    for layer, own in kept.items():
        own.repeat(first)
        place = {"layer": layer, "n_layers": lens.n_layers}
        rows[layer] = own.rows({**meta(own.columns), **place})
    return LayerRows(rows)
