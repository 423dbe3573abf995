"""The null of variable-order chains: trees of contexts up to a depth, and a balancing source.

Contents
    TreeNull        the learner
    nearest_tree    the one whose predictive is nearest to what is said along some paths
    of_report       the one of an elicited prior
    tree_of, balance_of    one of its sources alone
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from .._base.typing import Floats, Ids
from ..elicitation import ElicitationReport, elicit_prior
from ..sources.names import parts_of
from .contexts import Contexts, check_codes
from .nulls import MOST_ROWS, Learner, Null, mean_kl
from .paths import Paths

DEPTH = 4  # of an elicited tree
STARTS = 4  # of its search


@dataclass(frozen=True, eq=False)
class TreeNull(Null):
    """A learner of context trees and of a source that balances tokens; docs/model.md section 10.

    Attributes
    ----------
    alpha : ndarray of shape (V,)
        Of the row of no context.
    repeat, other : ndarray of shape (2,)
        Of rows of one token of context, and of more: for the last token, and for all others.
    split : float
        Log-odds that a context is told from longer ones.
    kappa, delta : float
        The balancing source says exp(-kappa c_v), where c fades by delta before each token.
    weight : float
        Its log-odds.
    depth : int
        Tokens of the longest context.
    history : tuple of int
        What it has seen; the rest is before.
    """

    mean_kl: float
    alpha: Floats
    repeat: Floats
    other: Floats
    split: float
    kappa: float
    delta: float
    weight: float
    depth: int
    history: tuple[int, ...] = ()
    family: ClassVar[str] = "tree"
    drawn: ClassVar[bool] = True

    @property
    def order(self) -> int:  # type: ignore[override]
        """Tokens that key a row."""
        return self.depth

    @property
    def n_tokens(self) -> int:
        """V."""
        return len(self.alpha)

    @property
    def words(self) -> str:
        """Of what it is a learner."""
        return f"variable-order chains (depth {self.depth})"

    def learner(self, n: int, length: int, gamma: float = 1.0) -> Learner:
        """Of n paths of up to `length` tokens after the history; counts fade by gamma."""
        return _TreeLearner(self, n, length, gamma)

    def few(self, length: int) -> int:
        """So many tokens that each of their contexts comes eight times, or one."""
        many = np.log(max(length / 8.0, 1.0)) / np.log(self.n_tokens)
        return max(1, min(self.depth, int(many + 1e-9)))

    def last_rows(self, tokens: Ids, history: tuple[int, ...]) -> Floats:
        """The balancing source goes by the order of what it has seen."""
        return replace(self, history=history).rows(tokens)[..., -1, :]

    def after(self, paths: Paths) -> TreeNull:
        """The same trees for other paths, whose history they have seen."""
        null = replace(self, history=paths.history)
        return replace(null, mean_kl=mean_kl(paths.rows, null.rows(paths.tokens)))


def nearest_tree(paths: Paths, max_components: int, rng: np.random.Generator) -> TreeNull:
    """The tree whose predictive is nearest to that of the paths."""
    histories, rows = paths.some(rng, MOST_ROWS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # as for urns
        report = elicit_prior(
            histories,
            rows,
            family="tree+balance",
            kind="probs",
            depth=DEPTH,
            n_starts=STARTS,
            rng=rng,
        )
    return of_report(paths, report)


def of_report(paths: Paths, report: ElicitationReport) -> TreeNull:
    """The tree of an elicited prior, which may have no balancing source."""
    (tree,) = (numbers for part, numbers in report.numbers.items() if part.startswith("tree"))
    depth = parts_of(report.family, depth=report.depth)[next(iter(report.numbers))].depth
    check_codes(depth, report.n_tokens)
    found = tree_of(tree, depth)
    if "balance" in report.numbers:
        balance = report.numbers["balance"]
        with np.errstate(divide="ignore"):
            odds = float(np.log(report.weight) - np.log1p(-report.weight))
        strength, memory = float(balance["strength"]), float(balance["memory"])
        found = replace(found, kappa=strength, delta=memory, weight=odds)
    return found.after(paths)


def tree_of(numbers: Mapping[str, Any], depth: int) -> TreeNull:
    """A tree alone, by its numbers as a report has them."""
    with np.errstate(divide="ignore"):
        split = float(np.log(numbers["deeper"]) - np.log1p(-numbers["deeper"]))
    return TreeNull(
        mean_kl=np.nan,
        alpha=np.asarray(numbers["alpha"]),
        repeat=np.resize(numbers["repeat"], 2),
        other=np.resize(numbers["others"], 2),
        split=split,
        kappa=0.0,
        delta=0.0,
        weight=-np.inf,
        depth=depth,
    )


def balance_of(numbers: Mapping[str, Any], n_tokens: int) -> TreeNull:
    """A balancing source alone: all of the weight of a tree of no depth."""
    return replace(
        tree_of({"alpha": np.ones(n_tokens), "repeat": 1.0, "others": 1.0, "deeper": 0.5}, 0),
        kappa=float(numbers["strength"]),
        delta=float(numbers["memory"]),
        weight=np.inf,
    )


class _TreeLearner:
    """Paths of a tree side by side."""

    def __init__(self, null: TreeNull, n: int, length: int, gamma: float) -> None:
        self.null, self.gamma, self.own = null, gamma, np.arange(n)
        width, longest = null.n_tokens, length + len(null.history)
        self.contexts = [Contexts(n, longest, d, width) for d in range(null.depth + 1)]
        self.counts = [np.zeros((n, each.many, width)) for each in self.contexts]
        self.splits = [np.full((n, each.many), null.split) for each in self.contexts[:-1]]
        self.recent = np.zeros((n, width))
        self.odds = np.full(n, null.weight)
        self.last: Ids | None = None
        self.t = 0
        for token in null.history:
            self.predict()
            self.observe(np.full(n, token))

    def predict(self) -> Floats:
        """Probabilities (n, V) of the next token of each."""
        null, own = self.null, self.own
        known = min(null.depth, self.t) + 1
        self.places = [each.at() for each in self.contexts[:known]]
        self.rows = []
        for d, place in enumerate(self.places):
            row = self.counts[d][own, place]
            if d == 0:
                row += null.alpha
            else:
                k = min(d, 2) - 1
                share = null.other[k] / (null.n_tokens - 1)
                row += share
                row[own, self.last] += null.repeat[k] - share
            row /= row.sum(axis=1, keepdims=True)
            self.rows.append(row)
        self.mixed = self.rows[:]  # of each context and all that are longer
        for d in range(known - 2, -1, -1):
            longer = _logistic(self.splits[d][own, self.places[d]])[:, np.newaxis]
            self.mixed[d] = self.rows[d] + longer * (self.mixed[d + 1] - self.rows[d])
        least = self.recent.min(axis=1, keepdims=True)
        self.log_balance = -null.kappa * (self.recent - least)  # whose probabilities may vanish
        self.log_balance -= np.log(np.exp(self.log_balance).sum(axis=1, keepdims=True))
        balance = np.exp(self.log_balance)
        share = _logistic(self.odds)[:, np.newaxis]
        found: Floats = self.mixed[0] + share * (balance - self.mixed[0])
        return found

    def observe(self, tokens: Ids) -> None:
        """One token (n,) more on each, after `predict`."""
        own = self.own
        mixed = [np.log(each[own, tokens]) for each in self.mixed]
        for d, place in enumerate(self.places):
            if d + 1 < len(self.places):
                self.splits[d][own, place] += mixed[d + 1] - np.log(self.rows[d][own, tokens])
            if self.gamma != 1.0:
                self.counts[d][own, place] *= self.gamma
            self.counts[d][own, place, tokens] += 1.0
        self.odds += self.log_balance[own, tokens] - mixed[0]
        self.recent *= self.null.delta
        self.recent[own, tokens] += 1.0
        for each in self.contexts:
            each.add(tokens)
        self.last = tokens
        self.t += 1


def _logistic(x: Floats) -> Floats:
    found: Floats = 0.5 + 0.5 * np.tanh(0.5 * x)
    return found
