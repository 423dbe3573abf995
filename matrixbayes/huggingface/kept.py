"""What a run keeps of each batch, put together in the order of the prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rows import NextTokenRows
from .answers import Columns
from .forward import Batch, Forward
from .prompts import Prompt


class Kept:
    """The rows of a run: allocated at the first batch, filled batch by batch.

    Parameters
    ----------
    prompts
        All of them, in the caller's order.
    columns
        What the columns of the rows are.
    """

    def __init__(self, prompts: Sequence[Prompt], columns: Columns) -> None:
        self.prompts = prompts
        self.columns = columns
        self.starts = np.cumsum([0, *(len(p.positions) for p in prompts)])
        self.log_probs: NDArray[np.floating] | None = None
        self.hidden: NDArray[np.float32] | None = None
        self.rest: NDArray[np.float64] | None = None

    def add(self, numbers: Sequence[int], batch: Batch) -> None:
        """Keep a batch of the prompts with these numbers."""
        rows, rest = self.columns.apply(batch.log_probs())
        where = np.concatenate([np.arange(self.starts[i], self.starts[i + 1]) for i in numbers])
        if self.log_probs is None:
            self.log_probs = np.empty((self.starts[-1], rows.shape[1]), dtype=rows.dtype)
        self.log_probs[where] = rows
        if rest is not None:
            if self.rest is None:
                self.rest = np.empty(self.starts[-1])
            self.rest[where] = rest
        if batch.hidden is not None:
            states = batch.hidden.float().cpu().numpy()
            if self.hidden is None:
                self.hidden = np.empty((self.starts[-1], states.shape[1]), dtype=np.float32)
            self.hidden[where] = states

    def repeat(self, first: NDArray[np.intp]) -> None:
        """Give each prompt the rows of the one, added before, that `first` says is its equal."""
        copies = np.flatnonzero(first != np.arange(len(first)))
        if not len(copies):
            return
        to, source = (
            np.concatenate([np.arange(self.starts[i], self.starts[i + 1]) for i in numbers])
            for numbers in (copies, first[copies])
        )
        for values in (self.log_probs, self.hidden, self.rest):
            if values is not None:
                values[to] = values[source]

    def rows(self, meta: dict[str, Any]) -> NextTokenRows:
        """Everything that was kept, with `meta` and what goes with each row."""
        if self.log_probs is None:
            raise ValueError("no batch was added")
        contexts = [p.ids[: k + 1] for p in self.prompts for k in p.positions]
        places = [(i, int(k)) for i, p in enumerate(self.prompts) for k in p.positions]
        meta = {
            **meta,
            "rest": self._rest(),
            "prompt": [i for i, _ in places],
            "position": [k for _, k in places],
        }
        return NextTokenRows(
            self.log_probs,
            tokens=self.columns.tokens,
            token_ids=self.columns.token_ids,
            input_ids=np.concatenate(contexts),
            offsets=np.cumsum([0, *map(len, contexts)]),
            hidden=self.hidden,
            meta=meta,
        )

    def _rest(self) -> dict[str, Any] | None:
        """How much probability the last column gathers, or gathered before it was dropped."""
        if self.rest is None:
            return None
        return {
            "column": self.columns.rest,
            "dropped": self.columns.drop_rest,
            "ids": self.columns.n_rest,
            "mean": float(self.rest.mean()),
            "max": float(self.rest.max()),
        }


def kept_sizes(
    prompts: Sequence[Prompt], columns: Columns, forward: Forward
) -> tuple[int, int, int, int]:
    """Rows, columns, bytes per number, and bytes of contexts and hidden states beside them."""
    n = sum(len(p.positions) for p in prompts)
    extra = 8 * sum(int(p.positions.sum()) + len(p.positions) for p in prompts)
    extra += 4 * n * forward.n_hidden if forward.hidden else 0
    return n, len(columns), 8 if forward.dtype == "float64" else 4, extra
