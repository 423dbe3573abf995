"""What a run keeps of each batch, put together in the order of the prompts.

Contents
    Kept                    the rows of a run
    kept_sizes              what they will take
    largest_difference      between two runs
    tolerance               what of it rounding explains
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import fields, replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._base.parallel import available_cores, in_order
from ..rows import NextTokenRows
from .answers import Columns
from .forward import Batch, Forward
from .inside.probe import product_type
from .prompts import Prompt

BLOCK = 1 << 20  # logits to a task: what it makes of them stays in reach
# By how much a log-probability may change in company, by the type of the model's weights.
TOLERANCES = {"float64": 1e-6, "float32": 1e-3, "float16": 0.05, "bfloat16": 0.3}


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
        self.arrays: dict[str, NDArray[Any]] = {}  # by name, each with all rows
        self._pool: Executor | None = None
        self._lock = Lock()

    def add(self, numbers: Sequence[int], batch: Batch) -> None:
        """Keep a batch of the prompts with these numbers, a few rows to a task."""
        where = self.places(numbers)
        step = max(1, BLOCK // batch.width)
        cuts = [slice(start, start + step) for start in range(0, len(where), step)]
        tasks = ((_part(batch, rows), where[rows]) for rows in cuts)
        if len(cuts) > 1 and self._pool is None:
            self._pool = ThreadPoolExecutor(available_cores(), thread_name_prefix="matrixbayes")
        for _ in in_order((self._pool, available_cores()), self._take, tasks):
            pass

    def _take(self, batch: Batch, where: NDArray[np.intp]) -> None:
        """Keep these rows of a batch."""
        rows, rest = self.columns.apply(batch.log_probs())
        found = {"log_probs": rows}
        if rest is not None:
            found["rest"] = rest
        if batch.hidden is not None:
            found["hidden"] = batch.hidden.cpu().float().numpy()
        self._put(where, found)

    def put(self, numbers: Sequence[int], found: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays whose rows are those of these prompts, one prompt behind the other."""
        self._put(self.places(numbers), found)

    def _put(self, where: NDArray[np.intp], found: Mapping[str, NDArray[Any]]) -> None:
        for name, values in found.items():
            with self._lock:
                if name not in self.arrays:
                    shape = (self.starts[-1], *values.shape[1:])
                    self.arrays[name] = np.empty(shape, dtype=values.dtype)
            self.arrays[name][where] = values

    def places(self, numbers: Sequence[int] | NDArray[np.intp]) -> NDArray[np.intp]:
        """The numbers of the rows of these prompts."""
        return np.concatenate([np.arange(self.starts[i], self.starts[i + 1]) for i in numbers])

    def repeat(self, first: NDArray[np.intp]) -> None:
        """Give each prompt the rows of the one, added before, that `first` says is its equal."""
        for i in np.flatnonzero(first != np.arange(len(first))):
            to, source = (slice(self.starts[j], self.starts[j + 1]) for j in (i, first[i]))
            for values in self.arrays.values():
                values[to] = values[source]

    def rows(self, meta: dict[str, Any]) -> NextTokenRows:
        """Everything that was kept, with `meta` and what goes with each row."""
        contexts = [p.ids[: k + 1] for p in self.prompts for k in p.positions]
        places = [(i, int(k)) for i, p in enumerate(self.prompts) for k in p.positions]
        meta = {
            **meta,
            "rest": self._rest(),
            "prompt": [i for i, _ in places],
            "position": [k for _, k in places],
        }
        after = [
            int(p.ids[k + 1]) if k + 1 < len(p) else None for p in self.prompts for k in p.positions
        ]
        if any(token is not None for token in after):
            meta["sampled"] = after  # as records call the token that came next
        return NextTokenRows(
            self.arrays["log_probs"],
            tokens=self.columns.tokens,
            token_ids=self.columns.token_ids,
            input_ids=np.concatenate(contexts),
            offsets=np.cumsum([0, *map(len, contexts)]),
            hidden=self.arrays.get("hidden"),
            meta=meta,
        )

    def _rest(self) -> dict[str, Any] | None:
        """How much probability the last column gathers, or gathered before it was dropped."""
        if "rest" not in self.arrays:
            return None
        rest = self.arrays["rest"]
        return {
            "column": self.columns.rest,
            "dropped": self.columns.drop_rest,
            "ids": self.columns.n_rest,
            "mean": float(rest.mean()),
            "max": float(rest.max()),
        }


def kept_sizes(
    prompts: Sequence[Prompt], columns: Columns, forward: Forward
) -> tuple[int, int, int, int]:
    """Rows, columns, bytes per number, and bytes of contexts and hidden states beside them."""
    n = sum(len(p.positions) for p in prompts)
    extra = 8 * sum(int(p.positions.sum()) + len(p.positions) for p in prompts)
    extra += 4 * n * forward.n_hidden if forward.hidden else 0
    return n, len(columns), 8 if forward.dtype == "float64" else 4, extra


def _part(batch: Batch, rows: slice) -> Batch:
    """Some rows of a batch."""
    found: dict[str, Any] = {each.name: getattr(batch, each.name) for each in fields(batch)}
    cut = {name: values[rows] for name, values in found.items() if hasattr(values, "__getitem__")}
    return replace(batch, **cut)


def tolerance(forward: Forward) -> float:
    """By how much rounding may change a log-probability of this model in company."""
    dtype = product_type(forward.device) if forward.dtype == "float32" else forward.dtype
    return TOLERANCES.get(dtype, TOLERANCES["bfloat16"])


def largest_difference(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """The largest change of a log-probability; two exact zeros are equal."""
    same = a == b
    return float(np.abs(np.where(same, 0.0, a) - np.where(same, 0.0, b)).max())
