"""Wind tunnels of one kind of rule each, with their exact posterior predictives.

Contents
    Task                                          what they have in common
    Urns, MarkovChains, Bijection, HMM, Switch    the tasks
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from .._base.arguments import generator_of, probability, whole
from .._base.sequences import (
    BLOCK_NUMBERS,
    checked,
    chosen,
    draws,
    followers,
    log_product,
    log_sum_exp,
    seen,
)
from .._base.typing import Floats, Ids, Seed
from ..mixture import DirichletMixture
from .draws import components, from_urn, possible


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
        n, length, generator = whole(n, "n", 0), whole(length, "length", 0), generator_of(rng)
        if self.n_tokens <= length:
            return draws(self.prior.sample(n, rng=generator), length, generator)
        tokens = np.zeros((n, length), dtype=np.int64)  # too few for a row each to be worth it
        ends, component = np.cumsum(self.prior.alpha, axis=1), components(self.prior, n, generator)
        for t in range(length):
            tokens[:, t], again = from_urn(np.full(n, t), ends, component, generator)
            old = np.flatnonzero(again >= 0)
            tokens[old, t] = tokens[old, again[old]]
        return tokens

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """The exact posterior predictive, (n, length, V)."""
        tokens = checked(sequences, self.n_tokens)
        counts = seen(tokens, self.n_tokens)[:, :-1]
        rows = self.prior.predictive(counts.reshape(-1, self.n_tokens))
        return np.log(rows, out=rows).reshape(*tokens.shape, self.n_tokens)


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
        n, length, generator = whole(n, "n", 0), whole(length, "length", 0), generator_of(rng)
        tokens = np.zeros((n, length), dtype=np.int64)
        walk, held = self._by_urns, length
        if self.n_tokens <= length:
            walk, held = self._by_rows, self.n_tokens**2
        many = max(1, BLOCK_NUMBERS // max(1, held))
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
        own, ends = np.arange(n), np.cumsum(self.prior.alpha, axis=1)
        component = np.zeros((n, length), dtype=np.int64)  # of a token's row, at its first place
        tokens[:, :1] = generator.integers(0, self.n_tokens, (n, 1))
        for t in range(1, length):
            component[:, t - 1] = components(self.prior, n, generator)
            same = tokens[:, :t] == tokens[:, t - 1 : t]
            so_far = np.cumsum(same[:, :-1], axis=1)  # of what followed the same token
            many = same.sum(axis=1) - 1
            of_row = component[own, np.argmax(same, axis=1)]
            tokens[:, t], again = from_urn(many, ends, of_row, generator)
            old = np.flatnonzero(again >= 0)
            if len(old):
                place = np.argmax(so_far[old] > again[old, np.newaxis], axis=1)
                tokens[old, t] = tokens[old, place + 1]

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """The exact posterior predictive, (n, length, V)."""
        tokens = checked(sequences, self.n_tokens)
        counts = followers(tokens, self.n_tokens)
        rows = self.prior.predictive(counts.reshape(-1, self.n_tokens)).reshape(counts.shape)
        rows[:, :1] = 1.0 / self.n_tokens
        return np.log(rows, out=rows)


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
        whole(self.size, "size", 1)

    @property
    def n_tokens(self) -> int:
        """V: inputs and outputs."""
        return 2 * self.size

    def sample(self, n: int, length: int, *, rng: Seed = None) -> Ids:
        """Sequences (n, length), each of a bijection of its own."""
        if length > 2 * self.size:
            raise ValueError(f"length is {length}; {self.size} pairs have {2 * self.size} tokens")
        n, length, generator = whole(n, "n", 0), whole(length, "length", 0), generator_of(rng)
        pairs = np.empty((n, self.size, 2), dtype=np.int64)
        pairs[:, :, 0] = generator.permuted(np.tile(np.arange(self.size), (n, 1)), axis=1)
        pairs[:, :, 1] = self.size + generator.permuted(
            np.tile(np.arange(self.size), (n, 1)), axis=1
        )
        return pairs.reshape(n, 2 * self.size)[:, :length]

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """The exact posterior predictive, (n, length, V)."""
        tokens = checked(sequences, self.n_tokens)
        return possible(tokens, self.lenient(tokens))

    def lenient(self, tokens: Ids) -> Floats:
        """The same; after a token that cannot be, rows that mean nothing."""
        tokens = checked(tokens, self.n_tokens, "tokens")
        n, length = tokens.shape
        rows = np.full((n, length, self.n_tokens), -np.inf)
        own, free = np.arange(n), np.ones((n, self.n_tokens), dtype=bool)
        for t in range(length):
            if t < 2 * self.size:
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
            total = array.sum(axis=-1, keepdims=True)
            if not np.allclose(total, 1.0, rtol=0.0, atol=1e-6):  # a float32 may have rounded
                raise ValueError(f"{name} does not sum to 1")
            object.__setattr__(self, name, array / total)
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
        n, length, generator = whole(n, "n", 0), whole(length, "length", 0), generator_of(rng)
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
        return possible(tokens, self.lenient(tokens))

    def lenient(self, tokens: Ids) -> Floats:
        """The same; after a token that cannot be, rows that mean nothing."""
        tokens = checked(tokens, self.n_tokens, "tokens")
        n, length = tokens.shape
        initial, transition, emission = self._arrays
        with np.errstate(divide="ignore"):
            belief, log_emission = np.tile(np.log(initial), (n, 1)), np.log(emission)
        rows = np.empty((n, length, self.n_tokens))
        for t in range(length):  # belief: of the state, given the tokens before
            rows[:, t] = log_product(belief, emission)
            belief = belief + log_emission[:, tokens[:, t]].T
            total = log_sum_exp(belief, axis=1)
            belief = log_product(belief - np.where(np.isneginf(total), 0.0, total), transition)
        return rows


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
        whole(self.n_inputs, "n_inputs", 1)
        for name in ("flipped", "noise"):
            probability(getattr(self, name), name)

    @property
    def n_tokens(self) -> int:
        """V: inputs and two labels."""
        return self.n_inputs + 2

    def sample(self, n: int, length: int, *, rng: Seed = None) -> Ids:
        """Sequences (n, length), each under a rule of its own."""
        n, length, generator = whole(n, "n", 0), whole(length, "length", 0), generator_of(rng)
        many = -(-length // 2)
        inputs = generator.integers(0, self.n_inputs, (n, many))
        rule = generator.random((n, 1)) < self.flipped
        wrong = generator.random((n, many)) < self.noise
        labels = self.n_inputs + ((inputs % 2) ^ rule ^ wrong)
        return np.stack([inputs, labels], axis=2).reshape(n, 2 * many)[:, :length]

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """The exact posterior predictive, (n, length, V)."""
        tokens = checked(sequences, self.n_tokens)
        return possible(tokens, self.lenient(tokens))

    def lenient(self, tokens: Ids) -> Floats:
        """The same; after a token that cannot be, rows that mean nothing."""
        tokens = checked(tokens, self.n_tokens, "tokens")
        n, length = tokens.shape
        rows = np.full((n, length, self.n_tokens), -np.inf)
        rows[:, 0::2, : self.n_inputs] = -np.log(self.n_inputs)
        with np.errstate(divide="ignore"):
            right, wrong = np.log1p(-self.noise), np.log(self.noise)
            plain = np.full(n, np.log1p(-self.flipped))  # the rules' joint log-evidence
            flipped = np.full(n, np.log(self.flipped))
        own = np.arange(n)
        for t in range(1, length, 2):
            meant = tokens[:, t - 1] % 2
            total = np.logaddexp(plain, flipped)
            total = np.where(np.isneginf(total), 0.0, total)
            as_meant = np.logaddexp(plain + right, flipped + wrong)
            other = np.logaddexp(plain + wrong, flipped + right)
            rows[own, t, self.n_inputs + meant] = as_meant - total
            rows[own, t, self.n_inputs + 1 - meant] = other - total
            fits = tokens[:, t] == self.n_inputs + meant
            plain = plain + np.where(fits, right, wrong)
            flipped = flipped + np.where(fits, wrong, right)
        return rows
