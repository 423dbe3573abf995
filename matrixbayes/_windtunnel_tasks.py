"""Wind tunnels of one kind of rule each, with their exact posterior predictives.

Contents
    Task                                          what they have in common
    Urns, MarkovChains, Bijection, HMM, Switch    the tasks
    checked, seen, chosen                         sequences, their counts, and random places
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .mixture import DirichletMixture

__all__ = [
    "HMM",
    "Bijection",
    "MarkovChains",
    "Switch",
    "Task",
    "Urns",
    "checked",
    "chosen",
    "seen",
]

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
Seed = np.random.Generator | int | None

BLOCK_NUMBERS = 1 << 24  # worked on at a time


class Task(Protocol):
    """What `score` asks of a task."""

    n_tokens: int

    def sample(self, n: int, length: int, *, rng: Seed = None) -> Ids:
        """Sequences (n, length)."""

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """Log-probabilities (n, length, V) of each token given those before."""


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
        if self.n_tokens <= length:
            return _draws(self.prior.sample(n, rng=generator), length, generator)
        tokens = np.zeros((n, length), dtype=np.int64)  # too few for a row each to be worth it
        component = _components(self.prior, n, generator)
        for t in range(length):
            before = np.ones((n, t), dtype=bool)
            tokens[:, t] = _from_urn(tokens[:, :t], before, self.prior, component, generator)
        return tokens

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """The exact posterior predictive, (n, length, V)."""
        tokens = checked(sequences, self.n_tokens)
        counts = seen(tokens, self.n_tokens)[:, :-1]
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
        tokens = np.zeros((n, length), dtype=np.int64)
        walk, held = self._by_urns, self.n_tokens
        if self.n_tokens <= length:
            walk, held = self._by_rows, self.n_tokens**2
        many = max(1, BLOCK_NUMBERS // held)
        for first in range(0, n, many):
            walk(tokens[first : first + many], generator)
        return tokens

    def _by_rows(self, tokens: Ids, generator: np.random.Generator) -> None:
        """Chains into tokens (n, length)."""
        n, length = tokens.shape
        width, own = self.n_tokens, np.arange(n)
        ends = np.cumsum(self.prior.sample((n, width), rng=generator), axis=2)
        tokens[:, 0] = generator.integers(0, width, n)
        for t in range(1, length):
            tokens[:, t] = chosen(ends[own, tokens[:, t - 1]], generator.random((n,)))

    def _by_urns(self, tokens: Ids, generator: np.random.Generator) -> None:
        """The same without rows, most of which a short chain does not visit."""
        n, length = tokens.shape
        own = np.arange(n)
        component = _components(self.prior, (n, self.n_tokens), generator)
        tokens[:, :1] = generator.integers(0, self.n_tokens, (n, 1))
        for t in range(1, length):
            last = tokens[:, t - 1]
            follows = np.zeros((n, t), dtype=bool)
            follows[:, 1:] = tokens[:, : t - 1] == last[:, np.newaxis]
            tokens[:, t] = _from_urn(
                tokens[:, :t], follows, self.prior, component[own, last], generator
            )

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """The exact posterior predictive, (n, length, V)."""
        tokens = checked(sequences, self.n_tokens)
        counts = _followers(tokens, self.n_tokens)
        rows = self.prior.predictive(counts.reshape(-1, self.n_tokens)).reshape(counts.shape)
        rows[:, :1] = 1.0 / self.n_tokens
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
        tokens = checked(sequences, self.n_tokens)
        n, length = tokens.shape
        for t in range(length):
            output = t % 2
            if ((tokens[:, t] >= self.size) != output).any():
                i = int(np.argmax((tokens[:, t] >= self.size) != output))
                kind = "an output" if output else "an input"
                raise ValueError(f"token {t} of sequence {i} is {tokens[i, t]}, not {kind}")
        rows = np.full((n, length, self.n_tokens), -np.inf)
        own, free = np.arange(n), np.ones((n, self.n_tokens), dtype=bool)
        for t in range(length):
            if not free[own, tokens[:, t]].all():
                i = int(np.argmin(free[own, tokens[:, t]]))
                raise ValueError(f"token {t} of sequence {i} came before, which no bijection gives")
            half = slice(self.size, None) if t % 2 else slice(0, self.size)
            rows[:, t, half] = np.where(free[:, half], -np.log(self.size - t // 2), -np.inf)
            free[own, tokens[:, t]] = False
        return rows


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
        state = chosen(np.tile(initial, (n, 1)), generator.random(n))
        for t in range(length):
            tokens[:, t] = chosen(emission[state], generator.random(n))
            state = chosen(transition[state], generator.random(n))
        return tokens

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """The exact posterior predictive, (n, length, V)."""
        tokens = checked(sequences, self.n_tokens)
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
        tokens = checked(sequences, self.n_tokens)
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


def checked(sequences: ArrayLike, n_tokens: int, what: str = "sequences") -> Ids:
    """Sequences (n, length) of tokens below V; errors call them `what`."""
    array = np.asarray(sequences)
    if array.ndim != 2 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(
            f"{what} have shape {array.shape} and type {array.dtype}; they need (n, length) "
            "whole numbers"
        )
    if array.size and not 0 <= int(array.min()) <= int(array.max()) < n_tokens:
        i, t = np.argwhere((array < 0) | (array >= n_tokens))[0]
        raise ValueError(f"{what}[{i}, {t}] is {array[i, t]}; tokens are 0 to {n_tokens - 1}")
    return array.astype(np.int64)


def _followers(tokens: Ids, n_tokens: int) -> Floats:
    """Counts (n, length, V) of what followed the last token so far, before each position."""
    n, length = tokens.shape
    counts = np.zeros((n, length, n_tokens))
    before = np.zeros((n, n_tokens), dtype=np.int64)  # the last position behind a token, or 0
    own = np.arange(n)
    for t in range(1, length):
        last = tokens[:, t - 1]
        known = np.flatnonzero(before[own, last])
        then = before[known, last[known]]
        counts[known, t] = counts[known, then]
        counts[known, t, tokens[known, then]] += 1.0
        before[own, last] = t
    return counts


def seen(tokens: Ids, n_tokens: int, gamma: float = 1.0) -> Floats:
    """Counts (..., length + 1, V) after each token; all are multiplied by gamma before another."""
    once = np.zeros((*tokens.shape[:-1], tokens.shape[-1] + 1, n_tokens))
    np.put_along_axis(once[..., 1:, :], tokens[..., np.newaxis], 1.0, axis=-1)
    if gamma == 1.0:
        return np.cumsum(once, axis=-2)
    for t in range(1, once.shape[-2]):
        once[..., t, :] += gamma * once[..., t - 1, :]
    return once


def chosen(ends: Floats, draws: Floats) -> Ids:
    """A place for each row of running sums (n, V), with the probability of its step."""
    found = (draws[:, np.newaxis] * ends[:, -1:] >= ends).sum(axis=1)
    return np.minimum(found, ends.shape[1] - 1)


def _components(
    prior: DirichletMixture, shape: int | tuple[int, ...], rng: np.random.Generator
) -> Ids:
    """Which component each row is of."""
    return rng.choice(prior.n_components, shape, p=prior.weights)


def _from_urn(
    tokens: Ids,
    drawn: NDArray[np.bool_],
    prior: DirichletMixture,
    component: Ids,
    rng: np.random.Generator,
) -> Ids:
    """The next token (n,) from each row: Polya's urn, which is the row integrated out.

    It is one of the N tokens that were `drawn` from the row before with probability N / (N + A), A
    being the concentration of the row's component, and else a draw from that component's mean.
    """
    so_far = np.cumsum(drawn, axis=1)
    many = drawn.sum(axis=1)
    ends = np.cumsum(prior.alpha, axis=1)
    place = rng.random(len(tokens)) * (many + ends[component, -1])
    found = np.zeros(len(tokens), dtype=np.int64)
    for k in range(prior.n_components):
        new = (place >= many) & (component == k)
        found[new] = np.searchsorted(ends[k], (place - many)[new], side="right")
    old = np.flatnonzero(place < many)
    if len(old):
        found[old] = tokens[old, np.argmax(so_far[old] > place[old, np.newaxis], axis=1)]
    return np.minimum(found, prior.n_tokens - 1)


def _draws(rows: Floats, length: int, rng: np.random.Generator) -> Ids:
    """Independent tokens (n, length) from rows (n, V)."""
    n, width = rows.shape
    ends = np.cumsum(rows, axis=1)
    draws = rng.random((n, length)) * ends[:, -1:]
    tokens = np.empty((n, length), dtype=np.int64)
    many = max(1, BLOCK_NUMBERS // max(1, length * width))
    for first in range(0, n, many):
        own = slice(first, first + many)
        tokens[own] = (draws[own, :, np.newaxis] >= ends[own, np.newaxis]).sum(axis=2)
    return np.minimum(tokens, width - 1)
