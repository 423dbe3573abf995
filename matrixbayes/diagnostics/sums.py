"""The null of any other elicited family: chains whose keys have priors of their own, and sums of
parts, each with the weight that evidence gives it.

Contents
    SumNull       the learner
    of_report     the one of an elicited prior
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._base.typing import Floats, Ids
from ..elicitation import ElicitationReport
from ..mixture import DirichletMixture
from ..sources.names import Part, parts_of
from .contexts import Contexts, check_codes
from .nulls import Learner, Null, mean_kl
from .paths import Paths
from .trees import balance_of, tree_of
from .urns import urn_rows


@dataclass(frozen=True, eq=False)
class SumNull(Null):
    """A learner that holds several sources for possible; docs/model.md section 10.

    Attributes
    ----------
    name : str
        Of the family, parts with ``+`` between them.
    parts : dict of str to (Part, numbers)
        What each part is, and its `DirichletMixture` or its numbers as in a report.
    weights : ndarray of shape (P,)
        Prior probabilities of the parts.
    width : int
        V.
    history : tuple of int
        What it has seen; the rest is before.
    """

    mean_kl: float
    name: str
    parts: Mapping[str, tuple[Part, Any]]
    weights: Floats
    width: int
    history: tuple[int, ...] = ()

    @property
    def family(self) -> str:  # type: ignore[override]
        """That of the report."""
        return self.name

    @property
    def order(self) -> int:  # type: ignore[override]
        """Tokens that key a row of the part that looks back furthest."""
        return max(max(part.order, part.depth) for part, _ in self.parts.values())

    @property
    def drawn(self) -> bool:  # type: ignore[override]
        """Whether a part goes by more than the transitions of its rows."""
        return any(not part.reads_rows for part, _ in self.parts.values())

    @property
    def n_tokens(self) -> int:
        """V."""
        return self.width

    @property
    def words(self) -> str:
        """Of what it is a learner."""
        every = [_words(part) for part, _ in self.parts.values()]
        return f"{' or '.join(every)} ({self.name})"

    def learner(self, n: int, length: int, gamma: float = 1.0) -> Learner:
        """Of n paths of up to `length` tokens after the history; counts fade by gamma."""
        return _SumLearner(self, n, length, gamma)

    def few(self, length: int) -> int:
        """So many tokens that each of their contexts comes eight times, or one."""
        if self.order < 2:
            return self.order
        many = np.log(max(length / 8.0, 1.0)) / np.log(self.n_tokens)
        return max(1, min(self.order, int(many + 1e-9)))

    def last_rows(self, tokens: Ids, history: tuple[int, ...]) -> Floats | None:
        """What goes by more than transitions goes by the order of what it has seen."""
        return replace(self, history=history).rows(tokens)[..., -1, :] if self.drawn else None

    def after(self, paths: Paths) -> SumNull:
        """The same sources for other paths, whose history they have seen."""
        null = replace(self, history=paths.history)
        return replace(null, mean_kl=mean_kl(paths.rows, null.rows(paths.tokens)))

    def __repr__(self) -> str:
        return f"SumNull: {self.words}"


def of_report(paths: Paths, report: ElicitationReport) -> SumNull:
    """The sources of an elicited prior, of whatever family."""
    parts = {
        name: (part, report.priors[name] if part.is_mixture else report.numbers[name])
        for name, part in parts_of(report.family, report.order, depth=report.depth).items()
    }
    null = SumNull(np.nan, report.family, parts, report.weights, report.n_tokens)
    check_codes(null.order, null.n_tokens)
    return null.after(paths)


def _words(part: Part) -> str:
    if part.kind == "iid":
        return "draws from an urn"
    if part.kind == "markov":
        return f"Markov chains (order {part.order})"
    if part.kind == "tree":
        return f"variable-order chains (depth {part.depth})"
    return "a source that balances its tokens"


class _SumLearner:
    """Paths of several sources side by side, each with its weight on each path."""

    def __init__(self, null: SumNull, n: int, length: int, gamma: float) -> None:
        self.own = np.arange(n)
        longest = length + len(null.history)
        self.learners: list[Any] = []
        for part, numbers in null.parts.values():
            if part.kind == "tree":
                self.learners.append(tree_of(numbers, part.depth).learner(n, longest, gamma))
            elif part.kind == "balance":
                self.learners.append(balance_of(numbers, null.width).learner(n, longest, gamma))
            else:
                self.learners.append(_RowLearner(part, numbers, null.width, n, longest, gamma))
        with np.errstate(divide="ignore"):
            self.log_weights = np.tile(np.log(null.weights)[:, np.newaxis], n)
        for token in null.history:
            self.predict()
            self.observe(np.full(n, token))

    def predict(self) -> Floats:
        """Probabilities (n, V) of the next token of each."""
        self.rows = np.stack([each.predict() for each in self.learners])
        shares = np.exp(self.log_weights - self.log_weights.max(axis=0))
        shares /= shares.sum(axis=0)
        found: Floats = np.einsum("jn,jnv->nv", shares, self.rows)
        return found

    def observe(self, tokens: Ids) -> None:
        """One token (n,) more on each, after `predict`."""
        with np.errstate(divide="ignore"):
            self.log_weights = self.log_weights + np.log(self.rows[:, self.own, tokens])
        for each in self.learners:
            each.observe(tokens)


class _RowLearner:
    """Paths of an urn or a chain side by side: a row of counts for each context."""

    def __init__(
        self, part: Part, numbers: Any, width: int, n: int, length: int, gamma: float
    ) -> None:
        self.part, self.numbers, self.width, self.gamma = part, numbers, width, gamma
        self.own = np.arange(n)
        self.contexts = Contexts(n, length, part.order, width)
        self.counts = np.zeros((n, self.contexts.many, width))
        self.last: list[Ids] = []  # the latest tokens, the very last first
        self.place = self.contexts.at()

    def predict(self) -> Floats:
        """Probabilities (n, V) of the next token of each."""
        counts = self.counts[self.own, self.place]
        if isinstance(self.numbers, DirichletMixture):
            return urn_rows(self.numbers, counts)
        counts = counts + self._alpha()
        return np.asarray(counts / counts.sum(axis=1, keepdims=True))

    def _alpha(self) -> Floats:
        """Of the key of each path (sources/tied.py), (n, V) or (1, V)."""
        alpha = np.asarray(self.numbers["alpha"])
        if self.part.tie == "repeat":
            if not self.last:
                return alpha[np.newaxis]
            each = self.numbers["others"] / (self.width - 1)
            found = np.full((len(self.own), self.width), float(each))
            found[self.own, self.last[0]] = float(self.numbers["repeat"])
            return found
        key, step = np.zeros(len(self.own), dtype=np.int64), 1
        for token in self.last[: 1 if self.part.tie == "last" else self.part.order]:
            key += step * (1 + token)
            step *= self.width
        return np.asarray(alpha[key])

    def observe(self, tokens: Ids) -> None:
        """One token (n,) more on each."""
        if self.gamma != 1.0:
            self.counts[self.own, self.place] *= self.gamma
        self.counts[self.own, self.place, tokens] += 1.0
        self.contexts.add(tokens)
        self.place = self.contexts.at()
        self.last = [tokens, *self.last][: max(self.part.order, 1)]
