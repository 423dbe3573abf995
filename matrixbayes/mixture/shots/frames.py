"""What is seen at each shot of a posterior path: a few tokens, their bands, the components.

Contents
    Frames       the numbers
    frames_of    those of a path
    evenly       some of many places, the first and the last among them
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._base.arguments import shown, whole
from ..._base.display import show
from ..._base.tokens import columns_of
from ..._base.typing import Floats
from ...rows import as_log_probs

if TYPE_CHECKING:
    from ..path import PosteriorPath

TOKENS = 6
MOST_TOKENS = 12
COMPONENTS = 6


@dataclass(frozen=True)
class Frames:
    """The numbers of n pictures of k tokens.

    Attributes
    ----------
    shots : list of int
        Demonstrations seen at each.
    last : int
        In the whole path.
    shown : list of str
        The demonstration seen last; "" at the prior.
    tokens : list of str
    mean, low, high : ndarray of shape (n, k)
        Posterior means, and the ends of their credible intervals.
    own : ndarray of shape (n, k) or None
        The model's own predictions.
    concentration : ndarray of shape (n,)
    components : list of str
        The heaviest ones.
    weights : ndarray of shape (n, number of components)
    level : float
        Of the intervals.
    """

    shots: list[int]
    last: int
    shown: list[str]
    tokens: list[str]
    mean: Floats
    low: Floats
    high: Floats
    own: Floats | None
    concentration: Floats
    components: list[str]
    weights: Floats
    level: float

    def __len__(self) -> int:
        return len(self.shots)

    @property
    def top(self) -> float:
        """The end of the axis of probabilities, the same for all pictures."""
        own = 0.0 if self.own is None else float(self.own.max())
        return min(1.0, 1.05 * max(float(self.high.max()), own))

    def title(self, i: int) -> str:
        """What picture `i` shows, in words."""
        seen = f": {self.shown[i]}" if self.shots[i] else ": the prior"
        return f"shot {self.shots[i]} of {self.last}{seen}"

    def below(self, i: int) -> str:
        """How much is believed at picture `i`."""
        return f"concentration {self.concentration[i]:.4g} pseudo-counts"


def frames_of(
    path: PosteriorPath,
    *,
    rows: Any = None,
    kind: str | None = None,
    tokens: Sequence[str] | Sequence[int] | None = None,
    level: float = 0.9,
    most: int,
) -> Frames:
    """The numbers of at most so many pictures, evenly along a path."""
    mean = np.asarray(path.mean())
    shots = evenly(len(path), whole(most, "most", 2))
    if tokens is None:
        score = -(mean.mean(axis=0) + mean[-1])
        columns = [int(j) for j in np.argsort(score, kind="stable")[:TOKENS]]
    else:
        if isinstance(tokens, (str, bytes)):
            raise TypeError(
                f"tokens must be a sequence; for a single token write [{shown(tokens)}]"
            )
        columns = list(columns_of(tokens, path.tokens, mean.shape[1], "the prior", "tokens"))
        if not 1 <= len(columns) <= MOST_TOKENS:
            raise ValueError(f"tokens names {len(columns)}; between 1 and {MOST_TOKENS} are shown")
    some = np.array(shots)[:, np.newaxis], np.array(columns)
    own = None if rows is None else _own(path, rows, kind, mean.shape)[some]
    ends = np.array(
        [[path.posteriors[s].interval(j, level) for j in columns] for s in shots]
    ).reshape(len(shots), len(columns), 2)
    weights = np.asarray(path.weights)
    heavy = np.sort(np.argsort(-weights.max(axis=0), kind="stable")[:COMPONENTS])
    names = range(mean.shape[1]) if path.tokens is None else path.tokens
    tops = [int(np.argmax(path.prior.alpha[k])) for k in heavy]
    return Frames(
        shots=shots,
        last=len(path) - 1,
        shown=["" if s == 0 else show(names[path.demonstrations[s - 1]]) for s in shots],
        tokens=[show(names[j], width=18) for j in columns],
        mean=mean[some],
        low=ends[..., 0],
        high=ends[..., 1],
        own=own,
        concentration=np.asarray(path.concentration())[shots],
        components=[f"{k} ({show(names[j], width=12)})" for k, j in zip(heavy, tops, strict=True)],
        weights=weights[some[0], heavy],
        level=float(level),
    )


def evenly(n: int, most: int) -> list[int]:
    """Of n places at most so many, the first and the last among them.

    Examples
    --------
    >>> evenly(4, 9), evenly(101, 5)
    ([0, 1, 2, 3], [0, 25, 50, 75, 100])
    """
    return sorted({round(x) for x in np.linspace(0.0, n - 1.0, min(n, most))})


def _own(path: PosteriorPath, rows: Any, kind: str | None, shape: tuple[int, ...]) -> Floats:
    """The model's own predictions, checked against the path."""
    path.kl(rows, kind=kind)  # refuses what does not fit
    log_probs = as_log_probs(rows, kind)[0]
    return np.exp(log_probs.astype(np.float64)).reshape(shape)
