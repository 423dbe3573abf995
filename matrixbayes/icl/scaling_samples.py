"""Curves of several tasks, whether they learn at all, and intervals over samples of their groups.

Contents
    Curves              rows of probabilities, the tasks they are of, and what is drawn together
    drawn_of            how many groups a sample has
    criterion, trends   whether a curve is better told by a law, or by a line, than by a constant
    intervals, errors   percentiles over samples: of what is fitted again, and of a law's NRMSE
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base.typing import Floats
from .._base.weights import group_numbers
from .scaling_search import SAME

CLEAR = 6.0  # difference of the criterion (Kass & Raftery 1995)

Interval = tuple[Any, Any]


@dataclass(frozen=True, eq=False)
class Curves:
    """Rows (R, n) of probabilities, numbers of their tasks and of their groups (R,).

    With `several` a task has several rows, and is its mean curve.
    """

    rows: Floats
    tasks: NDArray[np.intp]
    groups: NDArray[np.intp]
    several: bool

    @classmethod
    def checked(cls, rows: Floats, tasks: ArrayLike | None, groups: ArrayLike | None) -> Curves:
        """From what a caller hands in; each row its own task and its own group by default."""
        if tasks is not None and np.shape(tasks) != (len(rows),):
            raise ValueError(
                f"tasks have shape {np.shape(tasks)}, but there are {len(rows)} curves"
            )
        task, group = (group_numbers(each, len(rows), "curves") for each in (tasks, groups))
        return cls(rows, task, group, tasks is not None)

    def means(self, often: Floats | None = None) -> Floats:
        """The mean curve of each task, (M, n), of rows that come so often."""
        weights = np.ones(len(self.rows)) if often is None else often
        of_task = np.zeros((self.tasks.max() + 1, len(self.rows)))
        of_task[self.tasks, np.arange(len(self.rows))] = weights
        means: Floats = of_task @ self.rows / of_task.sum(axis=1, keepdims=True)
        return means

    def samples(self, n: int, level: float, rng: np.random.Generator) -> list[Floats]:
        """How often each row is in n samples of the groups, of those that have the same tasks, so
        that no task is without a row.

        A little fewer than there are, by which percentiles become as wide as Student's t of as
        many groups (Rao & Wu 1988: n - 1 of n alone give the spread its n - 1).
        """
        covered: dict[tuple[int, ...], list[int]] = {}
        for group in range(self.groups.max() + 1):
            own = tuple(np.unique(self.tasks[self.groups == group]).tolist())
            covered.setdefault(own if self.several else (), []).append(group)
        found = []
        for _ in range(n):
            often = np.zeros(self.groups.max() + 1)
            for alike in covered.values():
                drawn = rng.choice(alike, drawn_of(len(alike), level))
                often += np.bincount(drawn, minlength=len(often))
            found.append(often[self.groups])
        return found


def drawn_of(n: int, level: float) -> int:
    """How many of n groups a sample has."""
    from scipy.special import ndtri, stdtrit

    if n < 2:
        return 1
    end = 0.5 + level / 2
    return max(1, round((n - 1) * float(ndtri(end) / stdtrit(n - 1, end)) ** 2))


def criterion(found: Floats, wanted: Floats, parameters: int) -> float:
    """BIC of least squares, with the correction for few points that Akaike's has (Hurvich & Tsai
    1989); infinite where there are no more points than parameters."""
    n, k = wanted.size, parameters + 1  # and the spread
    if n <= k + 1:
        return np.inf
    error = max(float(np.mean((found - wanted) ** 2)), (SAME * float(wanted.mean())) ** 2)
    return float(n * np.log(error) + k * np.log(n) + 2.0 * k * (k + 1.0) / (n - k - 1.0))


def trends(shots: Floats, p: Floats) -> tuple[str, ...]:
    """Of each curve: "rising", "falling" or "flat", by a line in ln(1 + n / the median of n)."""
    x = np.log1p(shots / np.median(shots[shots > 0.0]))
    x = x - x.mean()
    found = []
    for row in p:
        slope = float(x @ row) / float(x @ x)
        flat = np.full(len(row), row.mean())
        gained = criterion(flat, row, 1) - criterion(flat + slope * x, row, 2)
        told = np.isfinite(gained) and gained >= CLEAR
        found.append(("rising" if slope > 0.0 else "falling") if told else "flat")
    return tuple(found)


def intervals(
    fitted: Callable[[Floats], dict[str, Any]],
    curves: Curves,
    samples: list[Floats],
    level: float,
) -> dict[str, Interval]:
    """Percentiles of what samples of the curves give when they are fitted again."""
    found = [fitted(curves.means(often)) for often in samples]
    ends = [0.5 - level / 2, 0.5 + level / 2]
    result = {}
    for name in found[0]:
        low, high = np.quantile(np.array([each[name] for each in found]), ends, axis=0)
        result[name] = (low, high) if np.ndim(low) else (float(low), float(high))
    return result


def errors(
    predicted: Floats, curves: Curves, samples: list[Floats], cut: slice, level: float
) -> Interval:
    """Percentiles of the NRMSE of a law over samples of the curves."""
    wanted = curves.rows[:, cut]
    squares = ((predicted[:, cut] - wanted) ** 2).mean(axis=1)
    means = wanted.mean(axis=1)
    found = [np.sqrt(o @ squares / o.sum()) / (o @ means / o.sum()) for o in samples]
    low, high = np.quantile(found, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)
