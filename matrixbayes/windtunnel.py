"""Wind tunnels: synthetic tasks whose exact posterior predictive is known, and a score against it.

A sequence has a hidden rule (an urn, a chain, a bijection, ...), drawn from a known prior; whoever
predicts its tokens well must infer the rule from those before, and Bayes' rule says how well that
can be done (Agarwal, Dalal & Misra 2025).

Contents
    Urns, MarkovChains, Bijection, HMM, Switch    tasks: `sample`, `log_predictive`
    Mixture                                       one of several tasks, and which one is hidden
    score                                         a model against a task
    WindTunnelScore                               the result, by position

Every task has ``n_tokens``, ``sample(n, length, rng=)`` for sequences (n, length), and
``log_predictive(sequences)``: log-probabilities (n, length, V), row t that of token t given tokens
0 to t - 1 and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import display
from .mixture import DirichletMixture
from .predictor import TokenPredictor
from .rows import as_log_probs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "HMM",
    "Bijection",
    "MarkovChains",
    "Mixture",
    "Switch",
    "Task",
    "Urns",
    "WindTunnelScore",
    "score",
]

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
Seed = np.random.Generator | int | None


class Task(Protocol):
    """What `score` asks of a task."""

    n_tokens: int

    def sample(self, n: int, length: int, *, rng: Seed = None) -> Ids:
        """Sequences (n, length)."""

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """Log-probabilities (n, length, V) of each token given those before."""


# ---------------------------------------------------------------------------
# Tasks
# ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Urns:
    """Independent draws from an urn, whose row of probabilities has a Dirichlet-mixture prior.

    Parameters
    ----------
    prior : DirichletMixture

    Examples
    --------
    >>> import numpy as np, matrixbayes as mb
    >>> from matrixbayes import windtunnel
    >>> task = windtunnel.Urns(mb.DirichletMixture([1.0], [[1.0, 1.0]]))
    >>> np.exp(task.log_predictive([[0, 0, 1]]))[0, :, 0].round(4)
    array([0.5   , 0.6667, 0.75  ])
    """

    prior: DirichletMixture

    @property
    def n_tokens(self) -> int:
        """V."""
        return self.prior.n_tokens

    def sample(self, n: int, length: int, *, rng: Seed = None) -> Ids:
        """Sequences (n, length), each from an urn of its own."""
        generator = np.random.default_rng(rng)
        return _draws(self.prior.sample(n, rng=generator), length, generator)

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """The exact posterior predictive, (n, length, V)."""
        tokens = _checked(sequences, self.n_tokens)
        counts = _seen_before(tokens, self.n_tokens)
        rows = self.prior.predictive(counts.reshape(-1, self.n_tokens))
        return np.log(rows).reshape(*tokens.shape, self.n_tokens)


@dataclass(frozen=True)
class MarkovChains:
    """Chains whose rows of transition probabilities are each drawn from a Dirichlet mixture.

    The first token is even.

    Parameters
    ----------
    prior : DirichletMixture
        Of each row.

    Examples
    --------
    >>> import numpy as np, matrixbayes as mb
    >>> from matrixbayes import windtunnel
    >>> task = windtunnel.MarkovChains(mb.DirichletMixture([1.0], [[1.0, 1.0]]))
    >>> np.exp(task.log_predictive([[0, 1, 0, 1]]))[0, :, 1].round(4)
    array([0.5   , 0.5   , 0.5   , 0.6667])
    """

    prior: DirichletMixture

    @property
    def n_tokens(self) -> int:
        """V."""
        return self.prior.n_tokens

    def sample(self, n: int, length: int, *, rng: Seed = None) -> Ids:
        """Sequences (n, length), each of a chain of its own."""
        generator = np.random.default_rng(rng)
        width = self.n_tokens
        rows = self.prior.sample(n * width, rng=generator).reshape(n, width, width)
        ends = np.cumsum(rows, axis=2)
        tokens = np.zeros((n, length), dtype=np.int64)
        if length:
            tokens[:, 0] = generator.integers(0, width, n)
        for t in range(1, length):
            own = ends[np.arange(n), tokens[:, t - 1]]
            tokens[:, t] = _chosen(own, generator.random(n))
        return tokens

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """The exact posterior predictive, (n, length, V)."""
        tokens = _checked(sequences, self.n_tokens)
        n, length = tokens.shape
        counts = np.zeros((n, length, self.n_tokens))
        for t in range(2, length):
            # what followed the present state so far
            same = tokens[:, : t - 1] == tokens[:, t - 1 : t]
            row, place = np.nonzero(same)
            np.add.at(counts[:, t], (row, tokens[row, place + 1]), 1.0)
        rows = self.prior.predictive(counts.reshape(-1, self.n_tokens))
        rows = rows.reshape(n, length, self.n_tokens)
        if length:
            rows[:, 0] = 1.0 / self.n_tokens
        return np.log(rows)


@dataclass(frozen=True)
class Bijection:
    """A hidden bijection from `size` inputs to `size` outputs, shown pair by pair.

    Tokens 0 to size - 1 are inputs, size to 2 size - 1 outputs.  A sequence is input, its output,
    another input, its output, ...; inputs do not come twice.  After k - 1 pairs the k-th output is
    even over those not seen: its entropy is log2(size - k + 1) bits.

    Parameters
    ----------
    size : int

    Examples
    --------
    >>> import numpy as np
    >>> from matrixbayes import windtunnel
    >>> task = windtunnel.Bijection(4)
    >>> rows = np.exp(task.log_predictive([[2, 5, 0, 7]]))
    >>> rows[0, 3].round(4)
    array([0.    , 0.    , 0.    , 0.    , 0.3333, 0.    , 0.3333, 0.3333])
    """

    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size is {self.size}; it must be positive")

    @property
    def n_tokens(self) -> int:
        """V: inputs and outputs."""
        return 2 * self.size

    def sample(self, n: int, length: int, *, rng: Seed = None) -> Ids:
        """Sequences (n, length), each of a bijection of its own."""
        if length > 2 * self.size:
            raise ValueError(f"length is {length}; {self.size} pairs have {2 * self.size} tokens")
        generator = np.random.default_rng(rng)
        pairs = np.empty((n, self.size, 2), dtype=np.int64)
        pairs[:, :, 0] = generator.permuted(np.tile(np.arange(self.size), (n, 1)), axis=1)
        pairs[:, :, 1] = self.size + generator.permuted(
            np.tile(np.arange(self.size), (n, 1)), axis=1
        )
        return pairs.reshape(n, -1)[:, :length]

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """The exact posterior predictive, (n, length, V)."""
        tokens = _checked(sequences, self.n_tokens)
        n, length = tokens.shape
        for t in range(length):
            output = t % 2
            if ((tokens[:, t] >= self.size) != output).any():
                i = int(np.argmax((tokens[:, t] >= self.size) != output))
                kind = "an output" if output else "an input"
                raise ValueError(f"token {t} of sequence {i} is {tokens[i, t]}, not {kind}")
        seen = _seen_before(tokens, self.n_tokens)
        if (np.take_along_axis(seen, tokens[..., np.newaxis], axis=2) > 0.0).any():
            raise ValueError("a token comes twice, which no bijection gives")
        allowed = np.zeros((n, length, self.n_tokens), dtype=bool)
        allowed[:, 0::2, : self.size] = True
        allowed[:, 1::2, self.size :] = True
        allowed &= seen == 0.0
        with np.errstate(divide="ignore"):
            return np.log(allowed / allowed.sum(axis=2, keepdims=True))


@dataclass(frozen=True, eq=False)
class HMM:
    """A hidden Markov model with known parameters; the predictive is the exact forward filter.

    Parameters
    ----------
    initial : array_like of shape (S,)
        Probabilities of the first state.
    transition : array_like of shape (S, S)
        Row s: of the next state after s.
    emission : array_like of shape (S, V)
        Row s: of the token in state s.

    Examples
    --------
    >>> import numpy as np
    >>> from matrixbayes import windtunnel
    >>> task = windtunnel.HMM([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], [[0.8, 0.2], [0.2, 0.8]])
    >>> np.exp(task.log_predictive([[0, 0, 0]]))[0, :, 0].round(4)
    array([0.5   , 0.644 , 0.7012])
    """

    initial: ArrayLike
    transition: ArrayLike
    emission: ArrayLike

    def __post_init__(self) -> None:
        for name, axes in (("initial", 1), ("transition", 2), ("emission", 2)):
            array = np.array(getattr(self, name), dtype=np.float64)
            if array.ndim != axes or not np.isfinite(array).all() or (array < 0.0).any():
                raise ValueError(f"{name} must be {axes}-dimensional, finite and not negative")
            if not np.allclose(array.sum(axis=-1), 1.0, atol=1e-9):
                raise ValueError(f"{name} does not sum to 1")
            object.__setattr__(self, name, array)
        s = len(self._arrays[0])
        if self._arrays[1].shape != (s, s) or len(self._arrays[2]) != s:
            raise ValueError(
                f"shapes {self._arrays[0].shape}, {self._arrays[1].shape} and "
                f"{self._arrays[2].shape} do not go together"
            )

    @property
    def _arrays(self) -> tuple[Floats, Floats, Floats]:
        return tuple(np.asarray(a) for a in (self.initial, self.transition, self.emission))  # type: ignore[return-value]

    @property
    def n_tokens(self) -> int:
        """V."""
        return int(self._arrays[2].shape[1])

    def sample(self, n: int, length: int, *, rng: Seed = None) -> Ids:
        """Sequences (n, length)."""
        generator = np.random.default_rng(rng)
        initial, transition, emission = (np.cumsum(a, axis=-1) for a in self._arrays)
        tokens = np.empty((n, length), dtype=np.int64)
        state = _chosen(np.tile(initial, (n, 1)), generator.random(n))
        for t in range(length):
            tokens[:, t] = _chosen(emission[state], generator.random(n))
            state = _chosen(transition[state], generator.random(n))
        return tokens

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """The exact posterior predictive, (n, length, V)."""
        tokens = _checked(sequences, self.n_tokens)
        n, length = tokens.shape
        initial, transition, emission = self._arrays
        belief = np.tile(initial, (n, 1))  # of the state, given the tokens before
        rows = np.empty((n, length, self.n_tokens))
        for t in range(length):
            rows[:, t] = belief @ emission
            belief = belief * emission[:, tokens[:, t]].T
            total = belief.sum(axis=1, keepdims=True)
            if (total == 0.0).any():
                i = int(np.argmin(total))
                raise ValueError(f"token {t} of sequence {i} cannot follow those before")
            belief = (belief / total) @ transition
        with np.errstate(divide="ignore"):
            return np.log(rows)


@dataclass(frozen=True)
class Switch:
    """Labelled examples under one of two rules: labels as they are meant, or flipped.

    Tokens 0 to n_inputs - 1 are inputs, the last two are labels.  Input x is meant
    to have label x mod 2.  A sequence is input, label, input, label, ...: with probability
    `flipped` all its labels are the other one, and each label is wrong with probability `noise`.

    Parameters
    ----------
    n_inputs : int
    flipped, noise : float
        Between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> from matrixbayes import windtunnel
    >>> task = windtunnel.Switch(2, flipped=0.1, noise=0.2)
    >>> rows = np.exp(task.log_predictive([[0, 3, 0, 3, 0, 3]]))     # label 1 for input 0: flipped
    >>> rows[0, 1::2, 3].round(4)
    array([0.26  , 0.3846, 0.584 ])
    """

    n_inputs: int = 2
    flipped: float = 0.1
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.n_inputs < 1:
            raise ValueError(f"n_inputs is {self.n_inputs}; it must be positive")
        for name in ("flipped", "noise"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be from 0 to 1")

    @property
    def n_tokens(self) -> int:
        """V: inputs and two labels."""
        return self.n_inputs + 2

    def sample(self, n: int, length: int, *, rng: Seed = None) -> Ids:
        """Sequences (n, length), each under a rule of its own."""
        generator = np.random.default_rng(rng)
        many = -(-length // 2)
        inputs = generator.integers(0, self.n_inputs, (n, many))
        rule = generator.random((n, 1)) < self.flipped
        wrong = generator.random((n, many)) < self.noise
        labels = self.n_inputs + ((inputs % 2) ^ rule ^ wrong)
        return np.stack([inputs, labels], axis=2).reshape(n, -1)[:, :length]

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """The exact posterior predictive, (n, length, V)."""
        tokens = _checked(sequences, self.n_tokens)
        n, length = tokens.shape
        label = tokens >= self.n_inputs
        misplaced = label != (np.arange(length) % 2 == 1)
        if misplaced.any():
            i, t = np.argwhere(misplaced)[0]
            kind = "a label" if t % 2 else "an input"
            raise ValueError(f"token {t} of sequence {i} is {tokens[i, t]}, not {kind}")
        rows = np.zeros((n, length, self.n_tokens))
        rows[:, 0::2, : self.n_inputs] = 1.0 / self.n_inputs
        belief = np.full(n, self.flipped)  # that the rule is the flipped one
        for t in range(1, length, 2):
            meant = tokens[:, t - 1] % 2
            other = belief * (1.0 - self.noise) + (1.0 - belief) * self.noise
            own = np.arange(n)
            rows[own, t, self.n_inputs + meant] = 1.0 - other
            rows[own, t, self.n_inputs + 1 - meant] = other
            as_meant = tokens[:, t] == self.n_inputs + meant
            under_flipped = np.where(as_meant, self.noise, 1.0 - self.noise) * belief
            under_plain = np.where(as_meant, 1.0 - self.noise, self.noise) * (1.0 - belief)
            total = under_flipped + under_plain
            if (total == 0.0).any():
                raise ValueError(f"token {t} of sequence {int(np.argmin(total))} is impossible")
            belief = under_flipped / total
        with np.errstate(divide="ignore"):
            return np.log(rows)


@dataclass(frozen=True, eq=False)
class Mixture:
    """One of several tasks, drawn anew for each sequence; which one it is must be inferred.

    The predictive is the mean of theirs, each weighted by its posterior probability: the weight
    times the evidence of the tokens so far.

    Parameters
    ----------
    tasks : sequence of K tasks
        Over the same V tokens.  The predictive asks each of them about sequences of the others.
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", tuple(self.tasks))
        if not self.tasks:
            raise ValueError("a mixture needs at least one task")
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
        generator = np.random.default_rng(rng)
        drawn = _chosen(np.tile(np.cumsum(np.asarray(self.weights)), (n, 1)), generator.random(n))
        tokens = np.empty((n, length), dtype=np.int64)
        for k, task in enumerate(self.tasks):
            own = drawn == k
            tokens[own] = task.sample(int(own.sum()), length, rng=generator)
        return tokens

    def log_posterior(self, sequences: ArrayLike) -> Floats:
        """Log-probabilities (n, length, K) of the tasks, given the tokens before each position."""
        return self._parts(_checked(sequences, self.n_tokens))[0]

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """The exact posterior predictive, (n, length, V)."""
        posterior, rows = self._parts(_checked(sequences, self.n_tokens))
        return _log_sum_exp(posterior[..., np.newaxis] + rows, axis=2)[:, :, 0]

    def _parts(self, tokens: Ids) -> tuple[Floats, Floats]:
        """Of each task before each token: its posterior, and its row (n, length, K, V)."""
        rows = np.stack([task.log_predictive(tokens) for task in self.tasks], axis=2)
        own = np.take_along_axis(rows, tokens[:, :, np.newaxis, np.newaxis], axis=3)[..., 0]
        posterior = np.empty(own.shape)
        with np.errstate(divide="ignore"):
            now = np.tile(np.log(np.asarray(self.weights)), (len(tokens), 1))
        for t in range(tokens.shape[1]):
            total = _log_sum_exp(now, axis=1)
            if np.isneginf(total).any():
                i = int(np.argmin(total))
                raise ValueError(f"token {t - 1} of sequence {i} is impossible in every task")
            posterior[:, t] = now - total
            now = posterior[:, t] + own[:, t]
        return posterior, rows


# ---------------------------------------------------------------------------
# Score
# ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class WindTunnelScore:
    """A model against exact Bayes; made by `score`.

    Attributes
    ----------
    bayes_entropy, model_entropy : ndarray of shape (length,)
        Mean entropy of the two predictives at each position, in bits.
    entropy_error : ndarray of shape (length,)
        Mean of their absolute difference, sequence by sequence, in bits.
    kl : ndarray of shape (length,)
        Mean KL(Bayes || model) at each position, in bits.
    standard_error : ndarray of shape (length,)
        Of `kl`, over sequences.
    positions : ndarray of int
        Those that count in the means below.
    n_sequences : int
    """

    bayes_entropy: Floats
    model_entropy: Floats
    entropy_error: Floats
    kl: Floats
    standard_error: Floats
    positions: NDArray[np.intp]
    n_sequences: int

    @property
    def mean_entropy_error(self) -> float:
        """Mean |H_model - H_Bayes| in bits."""
        return float(self.entropy_error[self.positions].mean())

    @property
    def mean_kl(self) -> float:
        """Mean KL(Bayes || model) in bits."""
        return float(self.kl[self.positions].mean())

    def _table(self) -> tuple[str, list[str], list[list[Any]]]:
        title = (
            f"WindTunnelScore: {self.n_sequences} sequences, mean |H_model - H_Bayes| "
            f"{display.number(self.mean_entropy_error)} bits, mean KL(Bayes || model) "
            f"{display.number(self.mean_kl)} bits"
        )
        columns = ["position", "H Bayes", "H model", "|difference|", "KL", "standard error"]
        values = [self.bayes_entropy, self.model_entropy, self.entropy_error]
        values += [self.kl, self.standard_error]
        lines = [[int(t), *(float(v[t]) for v in values)] for t in self.positions]
        return title, columns, lines

    def __repr__(self) -> str:
        title, columns, lines = self._table()
        return display.table_text(columns, lines, title=title)

    def _repr_html_(self) -> str:
        title, columns, lines = self._table()
        return display.table_html(columns, lines, caption=title)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Entropies and KL by position; `plot.wind_tunnel`."""
        from importlib import import_module  # pictures stand above reports, and need matplotlib

        return import_module("matrixbayes.plot").wind_tunnel(self, ax=ax)


def score(
    task: Task,
    model: Callable[[Ids], ArrayLike] | Any,
    sequences: ArrayLike | None = None,
    *,
    n: int = 200,
    length: int = 64,
    kind: str = "log_probs",
    positions: ArrayLike | None = None,
    token_ids: ArrayLike | None = None,
    prefix: Sequence[int] = (),
    rng: Seed = None,
) -> WindTunnelScore:
    """Hold a model's predictions against the exact posterior predictive, position by position.

    Parameters
    ----------
    task
        One of those here, or anything with the same methods.
    model : callable, or a causal language model of HuggingFace
        From sequences (n, length) to rows (n, length, V): row t is what the model says of token t
        before it sees it.  A language model is wrapped in a `TokenPredictor`, with `token_ids`.
    sequences : array_like of int of shape (n, length), optional
        Of the task; sampled by default.
    n, length : int
        Of sampled sequences.
    kind : {"logits", "log_probs", "probs"}
        What a callable gives.
    positions : array_like of int, optional
        Where the score is taken (the labels of `Switch` alone, say); everywhere by default.
    token_ids : array_like of int of shape (V,), optional
        Of a language model: the id of each of the task's tokens.
    prefix : sequence of int
        Of a language model: the ids before every sequence, ``[tokenizer.bos_token_id]`` say.
    rng : numpy.random.Generator or int, optional

    Returns
    -------
    WindTunnelScore

    Raises
    ------
    TypeError
        A language model without token_ids.
    ValueError
        Something is not as described.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> from matrixbayes import windtunnel
    >>> task = windtunnel.Urns(mb.DirichletMixture([0.5, 0.5], [[9.0, 1.0], [1.0, 9.0]]))
    >>> windtunnel.score(task, task.log_predictive, n=20, length=8, rng=0).mean_kl
    0.0
    >>> wrong = windtunnel.Urns(mb.DirichletMixture([1.0], [[1.0, 1.0]]))
    >>> windtunnel.score(task, wrong.log_predictive, n=20, length=8, rng=0).mean_kl > 0.01
    True
    """
    if token_ids is not None:
        model, kind = _wrapped(task, model, token_ids, prefix), "log_probs"
    elif hasattr(model, "get_output_embeddings"):
        raise TypeError(
            f"{type(model).__name__} is a language model: give token_ids, the id of each of the "
            f"task's {task.n_tokens} tokens, and prefix, such as [tokenizer.bos_token_id]"
        )
    if sequences is None:
        sequences = task.sample(n, length, rng=rng)
    tokens = _checked(sequences, task.n_tokens)
    if tokens.size == 0:
        raise ValueError("there is nothing to predict")
    truth = task.log_predictive(tokens)
    found = np.asarray(model(tokens))
    if found.shape != truth.shape:
        raise ValueError(f"the model gave shape {found.shape}; it must be {truth.shape}")
    log_q = as_log_probs(found.reshape(-1, task.n_tokens), kind)[0].astype(np.float64)
    log_q = log_q.reshape(truth.shape)
    chosen = np.arange(tokens.shape[1]) if positions is None else np.asarray(positions)
    if chosen.ndim != 1 or not len(chosen) or chosen.min() < 0 or chosen.max() >= tokens.shape[1]:
        raise ValueError(f"positions must be from 0 to {tokens.shape[1] - 1}")
    p = np.exp(truth)
    bayes, own = _entropy(truth), _entropy(log_q)
    with np.errstate(invalid="ignore"):
        terms = np.where(p > 0.0, p * (truth - log_q), 0.0)
    kl = np.maximum(terms.sum(axis=2), 0.0) / np.log(2.0)
    spread = kl.std(axis=0, ddof=1) if len(kl) > 1 else np.full(kl.shape[1], np.nan)
    return WindTunnelScore(
        bayes_entropy=bayes.mean(axis=0),
        model_entropy=own.mean(axis=0),
        entropy_error=np.abs(own - bayes).mean(axis=0),
        kl=kl.mean(axis=0),
        standard_error=spread / np.sqrt(len(kl)),
        positions=chosen.astype(np.intp),
        n_sequences=len(tokens),
    )


def _wrapped(task: Task, model: Any, token_ids: ArrayLike, prefix: Sequence[int]) -> TokenPredictor:
    """A language model over the task's tokens."""
    predictor = TokenPredictor(model, token_ids, prefix=prefix)
    if predictor.n_tokens != task.n_tokens:
        raise ValueError(
            f"token_ids has {predictor.n_tokens} ids and the task {task.n_tokens} tokens"
        )
    return predictor


def _entropy(log_probs: Floats) -> Floats:
    """In bits, along the last axis."""
    p = np.exp(log_probs)
    with np.errstate(invalid="ignore"):
        return -np.where(p > 0.0, p * log_probs, 0.0).sum(axis=-1) / np.log(2.0)


def _log_sum_exp(values: Floats, axis: int) -> Floats:
    """Along an axis, which stays; -inf where all are."""
    most = values.max(axis=axis, keepdims=True)
    most = np.where(np.isneginf(most), 0.0, most)
    with np.errstate(divide="ignore"):
        return most + np.log(np.exp(values - most).sum(axis=axis, keepdims=True))


def _checked(sequences: ArrayLike, n_tokens: int) -> Ids:
    """Sequences (n, length) of tokens below V."""
    array = np.asarray(sequences)
    if array.ndim != 2 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(
            f"sequences have shape {array.shape} and type {array.dtype}; they need (n, length) "
            "whole numbers"
        )
    if array.size and not 0 <= int(array.min()) <= int(array.max()) < n_tokens:
        i, t = np.argwhere((array < 0) | (array >= n_tokens))[0]
        raise ValueError(
            f"token {t} of sequence {i} is {array[i, t]}; tokens are 0 to {n_tokens - 1}"
        )
    return array.astype(np.int64)


def _seen_before(tokens: Ids, n_tokens: int) -> Floats:
    """How often each token was seen before each position, (n, length, V)."""
    once = np.zeros((*tokens.shape, n_tokens))
    np.put_along_axis(once, tokens[..., np.newaxis], 1.0, axis=2)
    return np.cumsum(once, axis=1) - once


def _chosen(ends: Floats, draws: Floats) -> Ids:
    """A place for each row of running sums (n, V), with the probability of its step."""
    found = (draws[:, np.newaxis] * ends[:, -1:] >= ends).sum(axis=1)
    return np.minimum(found, ends.shape[1] - 1)


def _draws(rows: Floats, length: int, rng: np.random.Generator) -> Ids:
    """Independent tokens (n, length) from rows (n, V)."""
    ends = np.cumsum(rows, axis=1)
    draws = rng.random((len(rows), length)) * ends[:, -1:]
    found = (draws[:, :, np.newaxis] >= ends[:, np.newaxis]).sum(axis=2)
    return np.minimum(found, rows.shape[1] - 1)
