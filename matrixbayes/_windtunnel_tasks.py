"""Wind tunnels of one kind of rule each, with their exact posterior predictives.

Contents
    Task                                          what they have in common
    Urns, MarkovChains, Bijection, HMM, Switch    the tasks
    checked, possible, seen, chosen               sequences, their counts, and random places
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
    "log_sum_exp",
    "possible",
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
        ends, component = np.cumsum(self.prior.alpha, axis=1), _components(self.prior, n, generator)
        for t in range(length):
            tokens[:, t], again = _from_urn(np.full(n, t), ends, component, generator)
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
        generator = np.random.default_rng(rng)
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
            component[:, t - 1] = _components(self.prior, n, generator)
            same = tokens[:, :t] == tokens[:, t - 1 : t]
            so_far = np.cumsum(same[:, :-1], axis=1)  # of what followed the same token
            many = same.sum(axis=1) - 1
            of_row = component[own, np.argmax(same, axis=1)]
            tokens[:, t], again = _from_urn(many, ends, of_row, generator)
            old = np.flatnonzero(again >= 0)
            if len(old):
                place = np.argmax(so_far[old] > again[old, np.newaxis], axis=1)
                tokens[old, t] = tokens[old, place + 1]

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """The exact posterior predictive, (n, length, V)."""
        tokens = checked(sequences, self.n_tokens)
        counts = _followers(tokens, self.n_tokens)
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
        _must_be_positive(self.size, "size")

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
        return pairs.reshape(n, 2 * self.size)[:, :length]

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """The exact posterior predictive, (n, length, V)."""
        tokens = checked(sequences, self.n_tokens)
        return possible(tokens, self.lenient(tokens))

    def lenient(self, tokens: Ids) -> Floats:
        """The same; after a token that cannot be, rows that mean nothing."""
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
        return possible(tokens, self.lenient(tokens))

    def lenient(self, tokens: Ids) -> Floats:
        """The same; after a token that cannot be, rows that mean nothing."""
        n, length = tokens.shape
        initial, transition, emission = self._arrays
        with np.errstate(divide="ignore"):
            belief, log_emission = np.tile(np.log(initial), (n, 1)), np.log(emission)
        rows = np.empty((n, length, self.n_tokens))
        for t in range(length):  # belief: of the state, given the tokens before
            rows[:, t] = _log_product(belief, emission)
            belief = belief + log_emission[:, tokens[:, t]].T
            total = log_sum_exp(belief, axis=1)
            belief = _log_product(belief - np.where(np.isneginf(total), 0.0, total), transition)
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
        _must_be_positive(self.n_inputs, "n_inputs")
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
        return np.stack([inputs, labels], axis=2).reshape(n, 2 * many)[:, :length]

    def log_predictive(self, sequences: ArrayLike) -> Floats:
        """The exact posterior predictive, (n, length, V)."""
        tokens = checked(sequences, self.n_tokens)
        return possible(tokens, self.lenient(tokens))

    def lenient(self, tokens: Ids) -> Floats:
        """The same; after a token that cannot be, rows that mean nothing."""
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


def possible(tokens: Ids, rows: Floats) -> Floats:
    """The rows, if no token has the probability 0 in its own."""
    own = np.take_along_axis(rows, tokens[:, :, np.newaxis], axis=2)[:, :, 0]
    if np.isneginf(own).any():
        i, t = np.argwhere(np.isneginf(own))[0]
        raise ValueError(f"token {t} of sequence {i} is {tokens[i, t]}, which cannot come there")
    return rows


def log_sum_exp(values: Floats, axis: int) -> Floats:
    """Along an axis, which stays; -inf where all are."""
    most = values.max(axis=axis, keepdims=True)
    most = np.where(np.isneginf(most), 0.0, most)
    with np.errstate(divide="ignore"):
        return most + np.log(np.exp(values - most).sum(axis=axis, keepdims=True))


def _log_product(log_x: Floats, matrix: Floats) -> Floats:
    """ln(exp(log_x) @ matrix), also of what is too small for a double."""
    most = log_x.max(axis=1, keepdims=True)
    most = np.where(np.isneginf(most), 0.0, most)
    product = np.exp(log_x - most) @ matrix
    small = product < 1e-290
    with np.errstate(divide="ignore"):
        found = np.log(product) + most
        if small.any():
            can_be = np.isfinite(log_x).astype(float) @ (matrix > 0.0) > 0.0
            i, j = np.nonzero(small & can_be)
            found[i, j] = log_sum_exp(log_x[i] + np.log(matrix.T[j]), axis=1)[:, 0]
    return found


def _must_be_positive(value: int, name: str) -> None:
    """A positive whole number."""
    if not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} is {value}; it must be a positive whole number")


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


def _from_urn(many: Ids, ends: Floats, component: Ids, rng: np.random.Generator) -> tuple[Ids, Ids]:
    """The next token from each row: Polya's urn, which is the row integrated out.

    A row's next token is one of the `many` that were drawn from it with probability N / (N + A), A
    being the concentration of its component, and else a draw from that component's mean; `ends` are
    the running sums of alpha.  Returns the tokens, and which of those before is drawn again or -1.
    """
    place = rng.random(len(many)) * (many + ends[component, -1])
    again = np.where(place < many, place, -1.0).astype(np.int64)
    tokens = np.zeros(len(many), dtype=np.int64)
    for k, own in enumerate(ends):
        new = (again < 0) & (component == k)
        tokens[new] = np.searchsorted(own, (place - many)[new], side="right")
    return np.minimum(tokens, ends.shape[1] - 1), again


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
