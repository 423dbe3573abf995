"""A wind tunnel of several tasks, and which one it is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._base import display
from .._base.arguments import generator_of, having, whole
from .._base.sequences import checked, chosen, log_sum_exp
from .._base.typing import Floats, Ids, Seed
from .tasks import Task


@dataclass(frozen=True, eq=False, repr=False)
class Mixture:
    """One of several tasks, drawn anew for each sequence; which one it is must be inferred.

    The predictive is the mean of theirs, each weighted by its posterior probability: the weight
    times the evidence of the tokens so far.

    Parameters
    ----------
    tasks : sequence of K tasks
        Over the same V tokens.  Each is asked about sequences of the others: a task of your own
        whose `log_predictive` refuses some may have a method `lenient` that does not.
    weights : array_like of shape (K,), optional
        Prior probabilities of the tasks; even by default.

    Examples
    --------
    >>> import numpy as np, matrixbayes as mb
    >>> from matrixbayes import windtunnel
    >>> prior = mb.DirichletMixture([1.0], [[0.5, 0.5]])
    >>> task = windtunnel.Mixture([windtunnel.Urns(prior), windtunnel.MarkovChains(prior)])
    >>> alternating = [[0, 1, 0, 1, 0, 1, 0, 1]]
    >>> np.exp(task.log_posterior(alternating))[0, :, 1].round(3)         # that it is the chain
    array([0.5  , 0.5  , 0.667, 0.667, 0.8  , 0.857, 0.923, 0.952])
    >>> np.exp(task.log_predictive(alternating))[0, :, 1].round(3)
    array([0.5  , 0.375, 0.5  , 0.625, 0.3  , 0.774, 0.192, 0.854])
    """

    tasks: Sequence[Task]
    weights: ArrayLike | None = None

    def __repr__(self) -> str:
        weights = display.numbers(np.asarray(self.weights).tolist())
        names = (type(task).__name__ for task in self.tasks)
        said = ", ".join(f"{name} {w}" for name, w in zip(names, weights, strict=True))
        return display.cut(f"Mixture over {self.n_tokens} tokens: {said}", display.MAX_TEXT_WIDTH)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", tuple(self.tasks))
        if not self.tasks:
            raise ValueError("a mixture needs at least one task")
        for i, task in enumerate(self.tasks):
            having(task, f"tasks[{i}]", "n_tokens", "sample", "log_predictive")
        sizes = [task.n_tokens for task in self.tasks]
        if len(set(sizes)) > 1:
            raise ValueError(f"the tasks have {sizes} tokens; they must be over the same")
        many = len(self.tasks)
        given = np.full(many, 1.0 / many) if self.weights is None else self.weights
        weights = np.array(given, dtype=np.float64)
        if weights.shape != (many,):
            raise ValueError(f"weights have shape {weights.shape}; there are {many} tasks")
        if not np.isfinite(weights).all() or (weights < 0.0).any():
            raise ValueError("weights must be finite and not negative")
        if not np.isclose(weights.sum(), 1.0, rtol=0.0, atol=1e-9):
            raise ValueError("weights do not sum to 1")
        object.__setattr__(self, "weights", weights)

    @property
    def n_tokens(self) -> int:
        """V."""
        return int(self.tasks[0].n_tokens)

    def sample(self, n: int, length: int, *, rng: Seed = None) -> Ids:
        """Sequences (n, length), each of a task of its own."""
        n, length, generator = whole(n, "n", 0), whole(length, "length", 0), generator_of(rng)
        drawn = chosen(np.tile(np.cumsum(np.asarray(self.weights)), (n, 1)), generator.random(n))
        tokens = np.empty((n, length), dtype=np.int64)
        for k, task in enumerate(self.tasks):
            own = drawn == k
            tokens[own] = task.sample(int(own.sum()), length, rng=generator)
        return tokens

    def log_posterior(self, sequences: ArrayLike) -> Floats:
        """Log-probabilities (n, length, K) of the tasks, given the tokens before each position."""
        return self._parts(checked(sequences, self.n_tokens))[0]

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """The exact posterior predictive, (n, length, V)."""
        posterior, rows = self._parts(checked(sequences, self.n_tokens))
        return log_sum_exp(posterior[..., np.newaxis] + rows, axis=2)[:, :, 0]

    def _parts(self, tokens: Ids) -> tuple[Floats, Floats]:
        """Of each task before each token: its posterior, and its row (n, length, K, V)."""
        # A task that its tokens rule out has weight 0 from there; its rows do not count.
        calls = [getattr(task, "lenient", task.log_predictive) for task in self.tasks]
        rows = np.stack([call(tokens) for call in calls], axis=2)
        own = np.take_along_axis(rows, tokens[:, :, np.newaxis, np.newaxis], axis=3)[..., 0]
        posterior = np.empty(own.shape)
        with np.errstate(divide="ignore"):
            now = np.tile(np.log(np.asarray(self.weights)), (len(tokens), 1))
        for t in range(tokens.shape[1]):
            total = log_sum_exp(now, axis=1)
            if np.isneginf(total).any():
                i = int(np.argmin(total))
                raise ValueError(f"token {t - 1} of sequence {i} is impossible in every task")
            posterior[:, t] = now - total
            now = posterior[:, t] + own[:, t]
        return posterior, rows
