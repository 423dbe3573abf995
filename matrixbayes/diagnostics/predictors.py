"""What a diagnostic may be given: anything that predicts and samples, and the urn that does.

Contents
    Predictor       the protocol; checked_predictor, as_rows: what is asked of one, checked
    UrnPredictor    exact Bayes under a Dirichlet mixture, as a predictor
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base.arguments import listed
from .._base.numbers import plain
from .._base.sequences import checked_history
from .._base.typing import Floats, Ids, Seed
from ..mixture import DirichletMixture
from ..rows.ingest import rows_asked_for
from ..windtunnel import Urns


class Predictor(Protocol):
    """What a diagnostic asks of a model; a `TokenPredictor` and an `UrnPredictor` have it.

    One that is also callable, from sequences (n, length) to rows (n, length, V) of what it says
    before each token, is asked that way about all positions at once.
    """

    @property
    def n_tokens(self) -> int:
        """V."""

    def predict(self, histories: Any) -> Floats:
        """Log-probabilities (N, V) of the token after each history."""

    def sample(self, n: int, length: int, *, history: Any = (), rng: Seed = None) -> Ids:
        """Continuations (n, length)."""


class UrnPredictor:
    """Exact Bayes for draws from an urn: a Polya urn, or a mixture of them, as a predictor.

    Parameters
    ----------
    prior : DirichletMixture
        Of the urn's row of probabilities.

    Examples
    --------
    >>> import numpy as np, matrixbayes as mb
    >>> urn = mb.UrnPredictor(mb.DirichletMixture([1.0], [[1.0, 1.0]]))
    >>> np.exp(urn.predict([[], [0], [0, 0]]))[:, 0].round(4)
    array([0.5   , 0.6667, 0.75  ])
    >>> urn.sample(2, 4, history=[0, 0], rng=0).shape
    (2, 4)
    """

    def __init__(self, prior: DirichletMixture) -> None:
        self.prior = prior

    @property
    def n_tokens(self) -> int:
        """V."""
        return self.prior.n_tokens

    def __call__(self, sequences: ArrayLike) -> Floats:
        """Log-probabilities (n, length, V) of each token given those before."""
        return Urns(self.prior).log_predictive(sequences)

    def predict(self, histories: Sequence[Sequence[int]] | ArrayLike) -> Floats:
        """Log-probabilities (N, V) of the token after each history."""
        given = listed(histories, "histories")
        counts = np.zeros((len(given), self.n_tokens))
        for i, history in enumerate(given):
            counts[i] = self._counts(history, f"history {i}")
        return np.log(self.prior.predictive(counts))

    def sample(
        self, n: int, length: int, *, history: Sequence[int] | ArrayLike = (), rng: Seed = None
    ) -> Ids:
        """Continuations (n, length) of one history, each from an urn of its own."""
        counts = self._counts(history, "history")
        return Urns(self.prior.posterior(counts)).sample(n, length, rng=rng)

    def _counts(self, history: Any, name: str) -> NDArray[np.int64]:
        """How often each token was seen."""
        tokens = checked_history(history, self.n_tokens, name)
        return np.bincount(tokens, minlength=self.n_tokens)

    def __repr__(self) -> str:
        return f"UrnPredictor({self.prior!r})"


def checked_predictor(predictor: Any) -> int:
    """V of something that is a predictor of at least two tokens."""
    missing = [m for m in ("n_tokens", "predict", "sample") if not hasattr(predictor, m)]
    if missing:
        advice = "; wrap a model of HuggingFace in a TokenPredictor, a prior in an UrnPredictor"
        raise TypeError(f"{type(predictor).__name__} has no {missing[0]}{advice}")
    width = int(predictor.n_tokens)
    if width < 2:
        raise ValueError("the predictor has one token, which is always right: give it two or more")
    return width


def at_hand(found: Any, what: str) -> Any:
    """What a predictor gave, as an array; or a torch tensor, which may be of bfloat16."""
    return found.detach().cpu() if hasattr(found, "detach") else plain(found, what)


def as_rows(found: Any, shape: tuple[int, int, int], start: int = 0) -> Floats:
    """Log-probabilities (n, length, V) of a predictor as probabilities; the first position is
    called `start`."""
    return np.exp(rows_asked_for(found, shape, "log_probs", "the predictor", (0, start)))
