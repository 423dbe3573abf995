"""Trees of contexts: how many of the last tokens matter is found out as the text goes on.

Each node, the last d tokens, has an estimate (alpha + n) / (A + N) of what comes next; a node
predicts with its own, or as its child does, with odds that each visit multiplies by how much better
the child did.  That is a Bayesian mixture of sources of all orders up to the depth (Willems,
Shtarkov & Tjalkens 1995, with estimates and odds that are not fixed).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import _core
from .._base.typing import Floats
from .seen import Entries, Field, Numbers, Seen
from .texts import Paths, Texts, paths_of

LOG_RANGE = (-7.0, 9.0)
LOGIT_RANGE = (-15.0, 15.0)
MOST_DEPTH = 64


def tree_fields(depth: int, n_tokens: int) -> tuple[Field, ...]:
    """What a tree is made of.  Raises ValueError where there is one token.

    Of many tokens an alpha may be as small as the share of one among many, of two e^-7.
    """
    if n_tokens < 2:
        raise ValueError("a tree needs two tokens or more: with one there is nothing to predict")
    levels = (min(depth, 2),)
    low, high = LOG_RANGE
    return (
        Field("alpha", (n_tokens,), low - float(np.log(n_tokens / 2)), high),
        Field("repeat", levels, low, high),
        Field("others", levels, low, high),
        Field("deeper", (), *LOGIT_RANGE, is_probability=True),
    )


def tree_start(depth: int, mean: Floats) -> dict[str, Any]:
    """Numbers to begin with, for a mean row."""
    levels = min(depth, 2)
    alpha = mean * min(len(mean), 8)
    return {
        "alpha": alpha,
        "repeat": np.full(levels, np.exp(-0.5)),
        "others": np.full(levels, np.exp(0.5)),
        "deeper": 0.5,
    }


class _State(NamedTuple):
    arguments: Any  # of the kernel
    numbers: Numbers


class TreeSource:
    """A tree of contexts of a depth.

    Parameters
    ----------
    texts : Texts
    depth : int
    entries : Entries
        All tokens of each history are among them.
    """

    def __init__(self, texts: Texts, depth: int, entries: Entries) -> None:
        self.texts, self.depth, self.entries = texts, depth, entries
        self.paths: Paths = paths_of(texts, depth, entries)

    def _arguments(self, numbers: Numbers) -> Any:
        deeper = numbers["deeper"]
        texts, entries, paths = self.texts, self.entries, self.paths
        return (
            numbers["alpha"],
            np.resize(numbers["repeat"], 2),  # of depth 1, nobody is two tokens deep
            np.resize(numbers["others"], 2),
            deeper / (1.0 - deeper),
            *(texts.tokens, texts.queries, entries.starts, entries.columns),
            *(paths.paths, paths.held, paths.n_nodes, paths.longest),
        )

    def forward(self, numbers: Numbers, rate: float) -> Seen:
        """The predictions of `tree_fields`; nothing fades."""
        arguments = self._arguments(numbers)
        share, even, evidence, entries = _core.tree_predictions(*arguments)
        alpha = np.asarray(numbers["alpha"])[np.newaxis]
        return Seen(alpha, share[np.newaxis], even, entries, evidence, _State(arguments, numbers))

    def backward(self, seen: Seen, by: Seen) -> tuple[Floats, float]:
        """Slopes by the vector of `tree_fields`."""
        state: _State = seen.kept
        arguments = (*state.arguments, by.share[0], by.even, by.evidence, by.entries)
        by_alpha, by_repeat, by_others, by_odds = _core.tree_slopes(*arguments)
        numbers, levels = state.numbers, len(state.numbers["repeat"])
        gradient = [
            (by_alpha + by.bases[0]) * numbers["alpha"],
            np.array(by_repeat[:levels]) * numbers["repeat"],
            np.array(by_others[:levels]) * numbers["others"],
            [by_odds],
        ]
        return np.concatenate(gradient), 0.0

    def rows_after(self, seen: Seen, history: int) -> tuple[Floats, Floats]:
        """The rows of the nodes that the next token may come from."""
        state: _State = seen.kept
        numbers, place = state.numbers, int(self.texts.queries[history])
        before = int(self.texts.position[place])
        text = self.texts.tokens[place - before : place]
        alphas = []
        for d in range(min(self.depth, before) + 1):
            alpha = np.array(numbers["alpha"], dtype=np.float64)
            if d > 0:
                level = min(d, 2) - 1
                alpha[:] = numbers["others"][level] / (len(alpha) - 1)
                alpha[text[-1]] = numbers["repeat"][level]
            after = [i for i in range(d, before) if np.all(text[i - d : i] == text[before - d :])]
            np.add.at(alpha, text[after], 1.0)
            alphas.append(alpha)
        weights = self._count_weights(state, place, len(alphas))
        return weights * np.sum(alphas, axis=1), np.array(alphas)

    def _count_weights(self, state: _State, place: int, n: int) -> Floats:
        """What a count at each node of a place weighs in the prediction there."""
        many = 1e9  # counts beside which all else is little
        held = many * np.eye(n + 1, self.depth + 1, -1)
        asked = ([place], [0, n + 1], np.zeros(n + 1, dtype=np.int64), self.paths.paths, held)
        arguments = (*state.arguments[:5], *asked, *state.arguments[10:])
        found = _core.tree_predictions(*arguments)[-1]
        return np.asarray((found[1:] - found[0]) / many)
