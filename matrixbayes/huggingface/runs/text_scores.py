"""The log-probability of every token of texts of any length in a causal language model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._base.typing import Floats, Ids
from ..forward import Forward
from ..prompts import Prompt
from .batches import run_batches


def text_scores(model: Any, texts: Sequence[Ids], prefix: int, batch_size: int) -> list[Floats]:
    """ln p of every token of texts of token ids, each behind the token `prefix`.

    What is longer than the model takes is read in windows, each half a window on from the last:
    a token has half a window before it at least, or all there is.
    """
    forward = Forward(model)
    found = [np.zeros(len(text)) for text in texts]
    windows: list[Prompt] = []
    targets: list[tuple[int, Ids]] = []  # the text of each window, and places of tokens in it
    for number, text in enumerate(texts):
        led = np.concatenate([[prefix], text]).astype(np.int64)
        length = forward.max_length or len(led)
        start, done = 0, 0
        while done < len(text):
            end = min(start + length, len(text))
            places = np.arange(done, end)
            windows.append(Prompt(led[start:end], places - start))
            targets.append((number, places))
            done, start = end, start + max(length // 2, 1)
    for numbers, batch in run_batches(forward, windows, range(len(windows)), batch_size):
        rows, first = batch.log_probs(), 0
        for window in numbers:
            number, places = targets[window]
            own = np.arange(first, first + len(places))
            if (most := texts[number][places].max()) >= batch.width:
                raise ValueError(
                    f"text {number} has token {most}, and the model's logits are over "
                    f"{batch.width} tokens"
                )
            found[number][places] = rows[own, texts[number][places]]
            first += len(places)
    return found
