"""What the signatures of the package name often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from concurrent.futures import Executor

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]  # numbers of tokens, columns, rows

Seed = np.random.Generator | int | None
Place = Callable[[int], str]  # where the i-th number of an argument is, in words
Documents = Sequence[Ids]
Pool = tuple["Executor | None", int]  # and how many tasks to keep under way
