"""Texts that grow by a token at a time: read on with the model's cache, as long as that is right.

A cache is an implementation of its own, and not every class has a right one: states of Mamba that
take a mask for a text, a window that is one token short, a batch that is mixed up.  So what the
cache says is held against the forward pass, all steps of a stretch at once, and where the two
differ by more than rounding the text is read on in another way, from the first step that was wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.typing import Floats, Ids
from .checks import REFUSALS
from .forward import Forward, takes
from .inside.taps import run_of

if TYPE_CHECKING:
    import torch

CACHES = ("cache", "past_key_values", "cache_params", "state", "mems")  # what it is called
WAYS = ("bare", "masked")  # without an attention mask, which nothing here needs, or with one
STRETCH = 4  # steps before the first comparison; each next stretch is as much longer
# How far rows may lie apart in total variation, by the type of the weights.
ROUNDING = {"float64": 1e-6, "float32": 1e-4, "float16": 0.02, "bfloat16": 0.1}


class Steps:
    """Lets texts of one length grow, token by token.

    Parameters
    ----------
    forward
        The model.
    rows
        From logits (n, width) and places to rows (n, V) of log-probabilities.
    read
        Rows (n, k, V) behind k places of texts (n, length), by the forward pass.

    Attributes
    ----------
    ways : list of str
        The ways to use the cache that were not found wrong; the first is used.  Where none is
        left all is read again at each step, which is what `predict` does.
    known : dict
        From the number of texts and their length at the start to the length up to which the
        first way was found right.
    """

    def __init__(
        self,
        forward: Forward,
        rows: Callable[[Any, list[tuple[int, int]]], Floats],
        read: Callable[[Ids, Ids], Floats],
    ) -> None:
        self.forward, self.rows, self.read = forward, rows, read
        taken = [name for name in CACHES if takes(forward.model, name)]
        self.cache = taken[0] if taken and not forward.n_virtual else ""
        self.ways = list(WAYS) if self.cache else []
        self.known: dict[tuple[int, int], int] = {}

    def grow(self, ids: Ids, first: int, choose: Callable[[int, Floats], Ids]) -> None:
        """Fill `ids` (n, length) from column `first` on, with what `choose` makes of each row.

        `choose` may be asked for one place again; its last word counts.
        """
        end, key = ids.shape[1], (len(ids), first)
        done, stretch, kept = first, STRETCH, None
        while done < end:
            known = max(self.known.get(key, 0), done)
            stop = end if known >= end or not self.ways else min(known + stretch, end)
            try:
                drafted, kept = self._draft(ids, done, stop, kept, choose)
            except (*REFUSALS, ValueError):
                if not self.ways:
                    raise
                self._give_up()
                kept = None
                continue
            right = stop
            if self.ways and stop > known:
                read = self.read(ids[:, : stop - 1], np.arange(done - 1, stop - 1))
                right = done + _first_wrong(drafted, read, ROUNDING.get(self.forward.dtype, 0.1))
            if right < stop:
                self._give_up()
                kept = None
            elif self.ways:
                self.known[key] = max(known, stop)
            done, stretch = right, stretch * STRETCH

    def _draft(
        self, ids: Ids, done: int, stop: int, kept: Any, choose: Callable[[int, Floats], Ids]
    ) -> tuple[Floats, Any]:
        """Fill columns `done` to `stop`: the rows (n, stop - done, V), and the cache of all."""
        found = []
        for t in range(done, stop):
            if self.ways:
                logits, kept = self._step(ids[:, :t], kept)
                row = self.rows(logits, [(i, t - 1) for i in range(len(ids))])
            else:
                row = self.read(ids[:, :t], np.array([t - 1]))[:, 0]
            ids[:, t] = choose(t, row)
            found.append(row)
        return np.stack(found, axis=1), kept

    def _step(self, ids: Ids, kept: Any) -> tuple[torch.Tensor, Any]:
        """Logits (n, width) behind texts (n, length), and the cache; `kept` is the one before."""
        forward, length = self.forward, ids.shape[1]
        fresh = ids if kept is None else ids[:, -1:]
        options: dict[str, Any] = {"use_cache": True} if forward.options else {}
        if forward.route == "logits_to_keep":
            options["logits_to_keep"] = 1
        if kept is not None:
            options[self.cache] = kept
        if self.ways[0] == "masked":
            options["attention_mask"] = forward.tensor(np.ones_like(ids))
        if takes(forward.model, "cache_position"):
            options["cache_position"] = forward.tensor(np.arange(length - fresh.shape[1], length))
        with forward.running(*ids.shape):
            output = run_of(forward.model)(
                input_ids=forward.tensor(fresh), return_dict=True, **options
            )
        cache = getattr(output, self.cache, None)
        if cache is None:
            raise LookupError("the model gave no cache")
        return output.logits[:, -1], cache

    def _give_up(self) -> None:
        """Try the next way."""
        del self.ways[0]
        self.known.clear()


def _first_wrong(drafted: Floats, read: Floats, rounding: float) -> int:
    """The first step (of rows (n, steps, V)) where any text's rows lie apart; steps for none."""
    away = 0.5 * np.abs(np.exp(drafted) - np.exp(read)).sum(axis=2).max(axis=0)
    wrong = np.flatnonzero(~(away <= rounding))
    return int(wrong[0]) if len(wrong) else len(away)
