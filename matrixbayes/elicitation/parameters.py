"""The parameters of a family of priors, and the vector that a search moves.

Contents
    Parameters    what a family is made of
    Layout        where each of them is in the vector, and its limits
    fields_of     what the vector holds of each part
    pack_prior, unpack_prior    one prior as a vector: logarithms of alpha, logits of the weights
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base import display
from .._base.typing import Floats
from ..sources import balance, seen
from ..sources.names import Part
from ..sources.seen import Field
from ..sources.tied import tied_fields
from ..sources.tree import tree_fields

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

LOG_ALPHA_RANGE = (np.log(1e-8), np.log(1e8))
LOGIT_RANGE = (-40.0, 40.0)
WEIGHT_RANGE = (-8.0, 8.0)  # of log-odds beside what is no mixture
TEMPERATURE_RANGE = (0.01, 100.0)
MOST_FADING = 5.0  # of -ln(discount): what is 5 visits old counts for nothing

Fields = tuple[Field, ...]


@display.shown
class Parameters(NamedTuple):
    """What a family is made of.

    Attributes
    ----------
    priors : dict of str to (weights (K,), alpha (K, V)), or to dict of str to numbers
        Of each part: the mixture that its rows come from, or the numbers of its fields.
    weight : float or ndarray
        Prior probability of the last part, 1 where there is one part; of three and more parts that
        of each.
    discount : float
        What a count is multiplied by before the next token of its row; 1 for no fading.
    temperature : float
        Predictions are the predictive to the power of 1 / temperature, normalised.
    """

    priors: dict[str, Any]
    weight: Any = 1.0
    discount: float = 1.0
    temperature: float = 1.0

    def to_pandas(self) -> pd.DataFrame:
        """A row for each number: ``part``, ``parameter``, ``place``, ``value``.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        names = ["part", "parameter", "place", "value"]
        rows = [
            (part, name, i, float(value))
            for part, numbers in self._parts().items()
            for name, values in numbers.items()
            for i, value in enumerate(np.ravel(values))
        ]
        rows += [("", name, 0, float(getattr(self, name))) for name in ("discount", "temperature")]
        return display.frame(dict(zip(names, zip(*rows, strict=True), strict=True)))

    def _parts(self) -> dict[str, dict[str, Any]]:
        """The numbers of each part by name, its prior probability among them."""
        found = {}
        for (part, prior), share in zip(self.priors.items(), self.shares, strict=True):
            own = (
                prior
                if isinstance(prior, dict)
                else dict(zip(("weights", "alpha"), prior, strict=True))
            )
            found[part] = {"probability": share, **own}
        return found

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The prior probability of each part."""
        from .plots import part_shares  # needs matplotlib

        return part_shares(self, ax=ax)

    def _table(self) -> display.Table:
        lines: list[list[Any]] = []
        for part, numbers in self._parts().items():
            for name, values in numbers.items():
                flat = np.ravel(values)
                said = ", ".join(display.numbers([*map(float, flat[:4])]))
                lines.append([part, name, said + ", ..." * (len(flat) > 4)])
        lines += [
            ["", name, display.number(float(getattr(self, name)))] for name in self._fields[2:]
        ]
        return display.Table("Parameters", ["part", "", ""], lines)

    @property
    def shares(self) -> Floats:
        """The prior probability of each part."""
        if len(self.priors) == 1:
            return np.ones(1)
        if len(self.priors) == 2:
            return np.array([1.0 - self.weight, self.weight])
        return np.asarray(self.weight, dtype=np.float64)

    def scalar(self, name: str) -> float:
        """A parameter that is a single number, by its name in `Layout.scalars`."""
        if name.startswith("weight of "):
            return float(self.weight[[*self.priors].index(name.removeprefix("weight of "))])
        return float(getattr(self, name))


@dataclass(frozen=True)
class Layout:
    """Where each parameter of a family is in the vector.

    For each part that is a mixture, K V logarithms of alpha and K logits of weights; of others
    their fields; then, where they are there, the log-odds of each part but the first to that, the
    discount, and the logarithm of the temperature.

    Attributes
    ----------
    parts : tuple of str
    n_components, n_tokens : int
        K and V.
    discount, temperature : float or None
        Fixed values; None where they are searched.
    span : float
        The discount's coordinate is -ln(discount) times this: with the age of the oldest visit,
        that visit's loss of weight in logarithms.
    fields : mapping of str to tuple of Field
        Of the parts that are no mixtures.
    """

    parts: tuple[str, ...]
    n_components: int
    n_tokens: int
    discount: float | None
    temperature: float | None
    span: float
    fields: Mapping[str, Fields] = field(default_factory=dict)

    def block_size(self, part: str) -> int:
        """Numbers of one part."""
        if part in self.fields:
            return seen.block_size(self.fields[part])
        return self.n_components * (self.n_tokens + 1)

    def prior(self, part: str) -> slice:
        """Where the prior of a part is."""
        return self._blocks[part]

    @cached_property
    def _blocks(self) -> dict[str, slice]:
        ends = accumulate(map(self.block_size, self.parts), initial=0)
        return dict(zip(self.parts, (slice(a, b) for a, b in pairwise(ends)), strict=True))

    @property
    def mixtures(self) -> tuple[str, ...]:
        """The parts whose rows come from one Dirichlet mixture."""
        return tuple(part for part in self.parts if part not in self.fields)

    @cached_property
    def scalars(self) -> dict[str, int]:
        """The places of the parameters that are single numbers of the whole family."""
        names = [f"weight of {part}" for part in self.parts[1:]]
        names = ["weight"] if len(names) == 1 else names
        names += ["discount"] * (self.discount is None)
        names += ["temperature"] * (self.temperature is None)
        first = self._blocks[self.parts[-1]].stop
        return {name: first + i for i, name in enumerate(names)}

    @cached_property
    def size(self) -> int:
        """Numbers in all."""
        return sum(map(self.block_size, self.parts)) + len(self.scalars)

    @property
    def n_parameters(self) -> int:
        """Free numbers: the logits of K weights have one freedom too many, and so has a mean."""
        free = sum(own.scale_free for fields in self.fields.values() for own in fields)
        return self.size - len(self.mixtures) - free

    def limits(self) -> tuple[Floats, Floats]:
        """The lowest and highest value of each number."""
        mixture = [LOG_ALPHA_RANGE] * (self.n_components * self.n_tokens)
        mixture += [LOGIT_RANGE] * self.n_components
        of_scalars = {
            "discount": (0.0, MOST_FADING * self.span),
            "temperature": tuple(np.log(TEMPERATURE_RANGE)),
        }
        weight = WEIGHT_RANGE if self.fields else LOGIT_RANGE
        pairs: list[Any] = []
        for part in self.parts:
            own = self.fields.get(part)
            pairs += mixture if own is None else seen.block_limits(own)
        pairs += [of_scalars.get(name, weight) for name in self.scalars]
        lower, upper = np.array(pairs).T
        return lower, upper

    def pack(self, parameters: Parameters) -> Floats:
        """The vector of some parameters, within the limits."""
        theta = np.empty(self.size)
        for part, prior in parameters.priors.items():
            own = self.fields.get(part)
            block = pack_prior(*prior) if own is None else seen.pack(own, prior)
            theta[self.prior(part)] = block
        with np.errstate(divide="ignore"):
            logits = np.log(parameters.shares)
            values = dict(zip(self.weight_names, logits[1:] - logits[0], strict=True))
            values |= {
                "discount": -np.log(parameters.discount) * self.span,
                "temperature": np.log(parameters.temperature),
            }
        for name, place in self.scalars.items():
            theta[place] = values[name]
        return np.clip(theta, *self.limits())

    @cached_property
    def weight_names(self) -> list[str]:
        """What of `scalars` are log-odds of parts to the first."""
        return [name for name in self.scalars if name.startswith("weight")]

    def unpack(self, theta: Floats) -> Parameters:
        """The parameters of a vector."""
        priors: dict[str, Any] = {}
        for part in self.parts:
            block, own = theta[self.prior(part)], self.fields.get(part)
            if own is None:
                priors[part] = unpack_prior(block, self.n_components)
            else:
                priors[part] = seen.unpack(own, block)
        at = self.scalars
        weight: Any = 1.0
        odds = theta[[at[name] for name in self.weight_names]]
        if len(odds) == 1:
            weight = float(1.0 / (1.0 + np.exp(-odds[0])))
        elif len(odds) > 1:
            weight = np.exp(np.append(0.0, odds) - max(0.0, odds.max()))
            weight /= weight.sum()
        discount = self.discount
        if discount is None:
            discount = float(np.exp(-theta[at["discount"]] / self.span))
        temperature = self.temperature
        if temperature is None:
            temperature = float(np.exp(theta[at["temperature"]]))
        return Parameters(priors, weight, discount, temperature)

    def sorted(self, theta: Floats) -> NDArray[np.intp]:
        """The order of the numbers that has each mixture's components by falling weight."""
        order = np.arange(self.size)
        n_alpha = self.n_components * self.n_tokens
        for part in self.mixtures:
            own = order[self.prior(part)]
            by_weight = np.argsort(-theta[own[n_alpha:]], kind="stable")
            alphas = own[:n_alpha].reshape(self.n_components, -1)[by_weight]
            order[self.prior(part)] = np.concatenate([alphas.ravel(), own[n_alpha:][by_weight]])
        return order


def fields_of(names: Mapping[str, Part], n_tokens: int) -> dict[str, Fields]:
    """The fields of the parts that are no mixtures."""
    found: dict[str, Fields] = {}
    for name, part in names.items():
        if part.kind == "balance":
            found[name] = balance.FIELDS
        elif part.kind == "tree":
            found[name] = tree_fields(part.depth, n_tokens)
        elif not part.is_mixture:
            found[name] = tied_fields(part.tie, part.order, n_tokens)
    return found


def pack_prior(weights: Floats, alpha: Floats) -> Floats:
    """The vector of weights (K,) and alpha (K, V), within the limits of the search."""
    logits = np.log(np.maximum(weights, 1e-300))
    return np.concatenate(
        [np.clip(np.log(alpha), *LOG_ALPHA_RANGE).ravel(), np.clip(logits, *LOGIT_RANGE)]
    )


def unpack_prior(theta: Floats, n_components: int) -> tuple[Floats, Floats]:
    """Weights (K,) and alpha (K, V) of a vector."""
    logits = theta[-n_components:]
    weights = np.exp(logits - logits.max())
    alpha = np.exp(theta[:-n_components]).reshape(n_components, -1)
    return weights / weights.sum(), alpha
