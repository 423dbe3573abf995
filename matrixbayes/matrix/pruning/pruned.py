"""Fewer n-grams, by what a model loses with them (Stolcke 1998).

Contents
    Pruned          what went, and what it cost
    counted_states  how often tokens came after each context of a table
    pruned_table    a table without the n-grams that are worth little
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._base import display
from ..._base.typing import Floats
from ..._core import BackoffTable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Pruned(display.Shown):
    """What pruning took from a model.

    Attributes
    ----------
    threshold : float
        What an n-gram had to be worth, in nats a token.
    before, after : tuple of int
        How many n-grams of 1, 2, ... tokens there were, and are.
    loss : float
        The relative entropy of the model to what is left, in nats a token: the mean, over what
        stood before the tokens that were counted, of the divergence of whole rows.  The perplexity
        of text as the model would write it is ``exp(loss)`` times what it was; that of other text
        is to be measured.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> matrix = mb.TransitionMatrix(1, n_tokens=3, hierarchical=True).update([0, 1, 2] * 20)
    >>> matrix.prune(0.02).pruned
    6 of 7 n-grams (85.7%), at a loss of 0.002781 nats a token
    tokens  before  after
         1       3      3
         2       4      3
    """

    threshold: float
    before: tuple[int, ...]
    after: tuple[int, ...]
    loss: float

    @property
    def perplexity_ratio(self) -> float:
        """exp(loss)."""
        return math.exp(self.loss)

    def to_pandas(self) -> pd.DataFrame:
        """A row for each length of n-grams: how many there were, and are.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        tokens = np.arange(1, len(self.before) + 1)
        return display.frame({"tokens": tokens, "before": self.before, "after": self.after})

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """How many n-grams there were, and are, by length."""
        from ..plots import pruned  # needs matplotlib

        return pruned(self, ax=ax)

    def _table(self) -> display.Table:
        left, all_of_them = sum(self.after), sum(self.before)
        title = (
            f"{left} of {all_of_them} n-grams ({display.percent(left / all_of_them)}), at a loss "
            f"of {display.number(self.loss)} nats a token"
        )
        rows = [[i + 1, *each] for i, each in enumerate(zip(self.before, self.after, strict=True))]
        return display.Table(title, ["tokens", "before", "after"], rows)


def counted_states(table: BackoffTable, counts: Any) -> Floats:
    """How often a token was counted after each context, level after level: those of whole contexts,
    that of the longest one."""
    levels = table.arrays()[4]
    found = [np.zeros(len(level)) for level in levels]
    if table.order == counts.order:
        found[-1] = counts.totals(levels[-1]).astype(np.float64)
    return np.concatenate(found)


def pruned_table(
    table: BackoffTable, states: Floats, threshold: float
) -> tuple[BackoffTable, Pruned]:
    """A table without the n-grams that lose `threshold` nats a token at most, each by itself.

    states (n,) are how often tokens came after each context, level after level: that of the longest
    suffix of what stood before.
    """
    total = float(states.sum())
    kept, new_backs, loss = table.prune(states / total if total > 0.0 else states, threshold)
    starts, tokens, values, backs, contexts, _, root = table.arrays()
    ends = np.cumsum([0, *map(len, tokens)])
    at = np.cumsum([0, *map(len, backs)])
    before, after = [table.n_tokens], [table.n_tokens]
    for level in range(1, len(starts)):
        stays = kept[ends[level] : ends[level + 1]]
        row = np.repeat(np.arange(len(backs[level])), np.diff(starts[level]))[stays]
        many = np.bincount(row, minlength=len(backs[level]))
        is_value = ~np.isnan(values[level])
        before.append(int(is_value.sum()))
        after.append(int((is_value & stays).sum()))
        there = many > 0
        starts[level] = np.concatenate([[0], np.cumsum(many[there])])
        tokens[level], values[level] = tokens[level][stays], values[level][stays]
        backs[level] = new_backs[at[level] : at[level + 1]][there]
        contexts[level] = contexts[level][there]
    new = BackoffTable(table.n_tokens, starts, tokens, values, backs, contexts, root=root)
    return new, Pruned(float(threshold), tuple(before), tuple(after), loss)
