"""The parameters of a family of priors, and the vector that a search moves.

Contents
    Parameters    what a family is made of
    Layout        where each of them is in the vector, and its limits
    pack_prior, unpack_prior    one prior as a vector: logarithms of alpha, logits of the weights
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base.typing import Floats

LOG_ALPHA_RANGE = (np.log(1e-8), np.log(1e8))
LOGIT_RANGE = (-40.0, 40.0)
TEMPERATURE_RANGE = (0.01, 100.0)
MOST_FADING = 5.0  # of -ln(discount): what is 5 visits old counts for nothing


class Parameters(NamedTuple):
    """What a family is made of.

    Attributes
    ----------
    priors : dict of str to (weights (K,), alpha (K, V))
        The prior of each part's rows.
    weight : float
        Prior probability of the last part; 1 where there is one part.
    discount : float
        What a count is multiplied by before the next token of its row; 1 for no fading.
    temperature : float
        Predictions are the predictive to the power of 1 / temperature, normalised.
    """

    priors: dict[str, tuple[Floats, Floats]]
    weight: float = 1.0
    discount: float = 1.0
    temperature: float = 1.0


class Layout(NamedTuple):
    """Where each parameter of a family is in the vector.

    For each part, K V logarithms of alpha and K logits of weights; then, where they are there,
    the log-odds of the last part, the discount, and the logarithm of the temperature.

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
    """

    parts: tuple[str, ...]
    n_components: int
    n_tokens: int
    discount: float | None
    temperature: float | None
    span: float

    @property
    def prior_size(self) -> int:
        """Numbers of one prior."""
        return self.n_components * (self.n_tokens + 1)

    def prior(self, part: str) -> slice:
        """Where the prior of a part is."""
        start = self.parts.index(part) * self.prior_size
        return slice(start, start + self.prior_size)

    @property
    def scalars(self) -> dict[str, int]:
        """The places of the parameters that are single numbers."""
        names = ["weight"] * (len(self.parts) > 1)
        names += ["discount"] * (self.discount is None)
        names += ["temperature"] * (self.temperature is None)
        first = len(self.parts) * self.prior_size
        return {name: first + i for i, name in enumerate(names)}

    @property
    def size(self) -> int:
        """Numbers in all."""
        return len(self.parts) * self.prior_size + len(self.scalars)

    @property
    def n_parameters(self) -> int:
        """Free numbers: the logits of K weights have one freedom too many."""
        return self.size - len(self.parts)

    def limits(self) -> tuple[Floats, Floats]:
        """The lowest and highest value of each number."""
        one = [LOG_ALPHA_RANGE] * (self.n_components * self.n_tokens)
        one += [LOGIT_RANGE] * self.n_components
        of_scalars = {
            "weight": LOGIT_RANGE,
            "discount": (0.0, MOST_FADING * self.span),
            "temperature": tuple(np.log(TEMPERATURE_RANGE)),
        }
        pairs = one * len(self.parts) + [of_scalars[name] for name in self.scalars]
        lower, upper = np.array(pairs).T
        return lower, upper

    def pack(self, parameters: Parameters) -> Floats:
        """The vector of some parameters, within the limits."""
        theta = np.empty(self.size)
        for part, (weights, alpha) in parameters.priors.items():
            theta[self.prior(part)] = pack_prior(weights, alpha)
        with np.errstate(divide="ignore"):
            values = {
                "weight": np.log(parameters.weight) - np.log1p(-parameters.weight),
                "discount": -np.log(parameters.discount) * self.span,
                "temperature": np.log(parameters.temperature),
            }
        for name, place in self.scalars.items():
            theta[place] = values[name]
        return np.clip(theta, *self.limits())

    def unpack(self, theta: Floats) -> Parameters:
        """The parameters of a vector."""
        priors = {
            part: unpack_prior(theta[self.prior(part)], self.n_components) for part in self.parts
        }
        at = self.scalars
        weight = 1.0 / (1.0 + np.exp(-theta[at["weight"]])) if "weight" in at else 1.0
        discount = self.discount
        if discount is None:
            discount = float(np.exp(-theta[at["discount"]] / self.span))
        temperature = self.temperature
        if temperature is None:
            temperature = float(np.exp(theta[at["temperature"]]))
        return Parameters(priors, float(weight), discount, temperature)

    def sorted(self, theta: Floats) -> NDArray[np.intp]:
        """The order of the numbers that has each part's components by falling weight."""
        order = np.arange(self.size)
        n_alpha = self.n_components * self.n_tokens
        for part in self.parts:
            own = order[self.prior(part)]
            by_weight = np.argsort(-theta[own[n_alpha:]], kind="stable")
            alphas = own[:n_alpha].reshape(self.n_components, -1)[by_weight]
            order[self.prior(part)] = np.concatenate([alphas.ravel(), own[n_alpha:][by_weight]])
        return order


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
