"""What in-context demonstrations do to a prior: one posterior per shot.

Contents
    posterior_path    update a prior by demonstrations, one at a time
    PosteriorPath     the posteriors, and how well they foresaw each demonstration
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._base import display
from .._base.arguments import having, probability, shown, unit_size
from .._base.tokens import columns_of
from .._base.typing import Floats
from ..rows import as_log_probs
from ..rows.kl import divergences
from .mixture import DirichletMixture

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from .shots.slider import ShotSlider


def posterior_path(
    prior: DirichletMixture, demonstrations: Sequence[str] | Sequence[int] | NDArray[np.integer]
) -> PosteriorPath:
    """The posterior after each of a sequence of demonstrations.

    Demonstrations are taken as independent draws from one unknown row p of the Matrix; p has the
    given prior.  By conjugacy each posterior is a Dirichlet mixture again (after Dalal & Misra,
    2024).

    Parameters
    ----------
    prior : DirichletMixture
        The prior over the V tokens.
    demonstrations : sequence of str or int
        What the prompt shows, in order: names of tokens, where the prior has names, or column
        numbers from 0 to V - 1.  It may be empty.

    Returns
    -------
    PosteriorPath
        S + 1 posteriors for S demonstrations: the first is the prior.

    Raises
    ------
    ValueError
        A name is not one of the prior's tokens, or a column number is out of range; the
        position is named.
    TypeError
        A demonstration is neither a name nor a whole number.

    Examples
    --------
    >>> from matrixbayes.mixture import posterior_path
    >>> from matrixbayes.mixture import DirichletMixture
    >>> prior = DirichletMixture([1.0], [[3.0, 1.0]], tokens=("positive", "negative"))
    >>> path = posterior_path(prior, ["negative", "negative", "negative", "negative"])
    >>> path.mean()[:, 1].round(4)
    array([0.25  , 0.4   , 0.5   , 0.5714, 0.625 ])
    >>> path.concentration()
    array([4., 5., 6., 7., 8.])
    """
    if isinstance(demonstrations, (str, bytes)):
        raise TypeError(
            f"demonstrations must be a sequence of tokens, not one string; for a single "
            f"demonstration write [{shown(demonstrations)}]"
        )
    having(prior, "prior", "n_tokens", "posterior")
    columns = columns_of(
        demonstrations, prior.tokens, prior.n_tokens, "the prior", "demonstrations"
    )
    return PosteriorPath(prior, columns)


@dataclass(frozen=True, repr=False)
class PosteriorPath(display.Shown):
    """A prior and its posteriors after each demonstration; made by `posterior_path`.

    With S demonstrations every method returns S + 1 values along its first axis: entry s is
    what is believed after the first s demonstrations, and entry 0 is the prior.

    Parameters
    ----------
    prior : DirichletMixture
        The prior over V tokens, of K components.
    demonstrations : tuple of int
        The column number of each demonstration.

    Attributes
    ----------
    counts : ndarray of shape (S + 1, V)
        How often each token has been seen.
    weights : ndarray of shape (S + 1, K)
        Posterior weights of the components.
    posteriors : list of DirichletMixture
        The S + 1 posteriors.
    tokens : tuple of str or None
        The names of the tokens.

    Examples
    --------
    >>> from matrixbayes.mixture import posterior_path
    >>> from matrixbayes.mixture import DirichletMixture
    >>> prior = DirichletMixture([0.9, 0.1], [[8.0, 2.0], [2.0, 8.0]])
    >>> path = posterior_path(prior, [1, 1, 1])
    >>> path.weights[:, 1].round(3)          # the rule that the demonstrations follow
    array([0.1  , 0.308, 0.571, 0.769])
    >>> bool(abs(path.surprise().sum() + path.log_evidence()[-1]) < 1e-12)  # the chain rule
    True
    """

    prior: DirichletMixture
    demonstrations: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.demonstrations) + 1

    @property
    def tokens(self) -> tuple[str, ...] | None:
        """The names of the tokens."""
        return self.prior.tokens

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How often each token has been seen, shape (S + 1, V)."""
        counts = np.zeros((len(self), self.prior.n_tokens), dtype=np.int64)
        for shot, column in enumerate(self.demonstrations, start=1):
            counts[shot] = counts[shot - 1]
            counts[shot, column] += 1
        return _read_only(counts)

    @cached_property
    def weights(self) -> Floats:
        """Posterior weights of the components, shape (S + 1, K)."""
        return _read_only(self.prior.responsibilities(self.counts, kind="counts"))

    @cached_property
    def posteriors(self) -> list[DirichletMixture]:
        """The S + 1 posteriors, each a `DirichletMixture`."""
        return [self.prior, *(self.prior.posterior(counts) for counts in self.counts[1:])]

    @cached_property
    def _predictive(self) -> Floats:
        return _read_only(self.prior.predictive(self.counts))

    def predictive(self, kind: str = "probs") -> Floats:
        """The distribution of the next token after each shot.

        Parameters
        ----------
        kind : {"probs", "log_probs"}
            Probabilities, or their natural logarithms.

        Returns
        -------
        ndarray of shape (S + 1, V)
        """
        if kind == "probs":
            return self._predictive
        if kind == "log_probs":
            return np.log(self._predictive)
        raise ValueError(f"kind={shown(kind)} is not one of 'probs', 'log_probs'")

    def mean(self) -> Floats:
        """The posterior mean of each token's probability, shape (S + 1, V).

        The same numbers as ``predictive()``: the next token's distribution is the mean row.
        """
        return self._predictive

    def concentration(self) -> Floats:
        """The mean concentration sum_k w_k A_k after each shot, shape (S + 1,).

        In a single Dirichlet it grows by one with each demonstration; in a mixture it also
        moves as the weight goes from one component to another.
        """
        shots = np.arange(len(self))[:, None]
        found: Floats = np.sum(self.weights * (self.prior.concentration + shots), axis=1)
        return found

    def interval(
        self, level: float = 0.9, *, tokens: Sequence[str] | Sequence[int] | None = None
    ) -> Floats:
        """Central credible interval of each token's probability after each shot.

        Parameters
        ----------
        level : float
            The posterior probability inside, between 0 and 1.
        tokens : sequence of str or int, optional
            Which tokens (default: all; every shot and token takes a root search, so name
            the few you need when V is large).

        Returns
        -------
        ndarray of shape (S + 1, number of tokens, 2)
            Lower and upper ends: the (1 - level)/2 and (1 + level)/2 quantiles.
        """
        if isinstance(tokens, (str, bytes)):
            raise TypeError(
                f"tokens must be a sequence; for a single token write [{shown(tokens)}]"
            )
        level = probability(level, "level", inside=True)
        if tokens is None:
            columns = tuple(range(self.prior.n_tokens))
        else:
            columns = columns_of(tokens, self.tokens, self.prior.n_tokens, "the prior", "tokens")
        ends = [[p.interval(v, level) for v in columns] for p in self.posteriors]
        return np.array(ends, dtype=np.float64).reshape(len(self), len(columns), 2)

    def log_evidence(self) -> Floats:
        """The log-probability of the demonstrations so far, in their order, shape (S + 1,)."""
        return np.asarray(self.prior.log_evidence(self.counts, ordered=True), dtype=np.float64)

    def surprise(self, *, base: float | None = None) -> Floats:
        """How unexpected each demonstration was: -log of its predictive probability, shape (S,).

        Parameters
        ----------
        base : float, optional
            2 for bits; default nats.

        Returns
        -------
        ndarray of shape (S,)
            By the chain rule it sums to minus the log-evidence of all demonstrations.
        """
        seen = self._predictive[np.arange(len(self) - 1), list(self.demonstrations)]
        return -np.log(seen) / unit_size(base)

    def kl(self, rows: Any, *, kind: str | None = None, base: float | None = None) -> Floats:
        """KL(rows || predictive): how far a model's own predictions are from Bayes, per shot.

        The expectation is taken under `rows`: how many nats are lost by describing what the
        model predicts with the predictive of this path.

        Parameters
        ----------
        rows : NextTokenRows, or array_like of shape (S + 1, V)
            The model's next-token distribution after 0, 1, ..., S demonstrations.
        kind : {"logits", "log_probs", "probs"}, optional
            What an array holds; needed for everything but `NextTokenRows`.
        base : float, optional
            2 for bits; default nats.

        Returns
        -------
        ndarray of shape (S + 1,)
            Where a row sums to 1 only to rounding, sum(predictive) - sum(row) is added: that
            keeps the result from falling below 0.

        Raises
        ------
        ValueError
            The shape is not (S + 1, V), or the rows' tokens are not those of the prior.
        """
        log_q, tokens = as_log_probs(rows, kind)
        if log_q.shape != self._predictive.shape:
            raise ValueError(
                f"rows have shape {log_q.shape}, but {len(self) - 1} demonstrations over "
                f"{self.prior.n_tokens} tokens need {self._predictive.shape}: one row per shot, "
                "from none to all of them"
            )
        if tokens is not None and self.tokens is not None and tokens != self.tokens:
            v = next(
                v
                for v, pair in enumerate(zip(tokens, self.tokens, strict=True))
                if pair[0] != pair[1]
            )
            raise ValueError(
                f"column {v} is {tokens[v]!r} in the rows and {self.tokens[v]!r} in the prior; "
                "bring the tokens into the same order"
            )
        return divergences(log_q, np.log(self._predictive)) / unit_size(base)

    def to_pandas(self) -> pd.DataFrame:
        """A row for each shot: what was shown, total concentration, the most probable token.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        mean, names = np.asarray(self.mean()), self.tokens
        best = mean.argmax(axis=1)
        index = [*self.demonstrations, *best]
        words = [int(j) if names is None else names[j] for j in index]
        n = len(self.demonstrations)
        return display.frame(
            {
                "shot": np.arange(n + 1),
                "demonstrated": np.array([None, *words[:n]], dtype=object),
                "concentration": np.asarray(self.concentration()),
                "most_probable": words[n:],
                "probability": mean.max(axis=1),
            }
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Posterior means of tokens, shot by shot; `plot.concentration`."""
        from .path_plots import concentration  # needs matplotlib

        return concentration(self, ax=ax)

    def slider(
        self,
        *,
        rows: Any = None,
        kind: str | None = None,
        tokens: Sequence[str] | Sequence[int] | None = None,
        level: float = 0.9,
        most: int = 101,
    ) -> ShotSlider:
        """The posterior under a slider over shots; a grid of pictures where widgets do not run.

        Parameters
        ----------
        rows : NextTokenRows, or array_like of shape (S + 1, V), optional
            The model's own predictions, shown as dots.
        kind : {"logits", "log_probs", "probs"}, optional
            What an array holds.
        tokens : sequence of str or int, optional
            Which ones, at most twelve; by default the six most probable.
        level : float
            The posterior probability inside a band.
        most : int
            Shots to keep; of a longer path they are taken evenly.

        Returns
        -------
        ShotSlider
        """
        from .shots.frames import frames_of
        from .shots.slider import ShotSlider

        options: dict[str, Any] = {"rows": rows, "kind": kind, "tokens": tokens}
        return ShotSlider(frames_of(self, **options, level=level, most=most))

    def animate(
        self,
        path: str | os.PathLike[str],
        *,
        rows: Any = None,
        kind: str | None = None,
        tokens: Sequence[str] | Sequence[int] | None = None,
        level: float = 0.9,
        fps: float = 2.5,
        most: int = 100,
        dpi: float = 100.0,
    ) -> Path:
        """Write the posterior shot by shot as a moving picture.

        Parameters
        ----------
        path : path
            Ends in ``.gif``, or in ``.mp4`` where there is ffmpeg; replaced if it exists.
        rows, kind, tokens, level
            As for `slider`.
        fps : float
            Shots to a second; the last one stays longer.
        most : int
            Pictures at most; of a longer path they are taken evenly.
        dpi : float
            Pixels to an inch: the picture is 8 inches wide.

        Returns
        -------
        Path
            Of the file.

        Raises
        ------
        ValueError
            The ending is another one, or there is no ffmpeg; nothing has been drawn then.
        """
        from .shots.animation import checked_ending, save
        from .shots.frames import frames_of
        from .shots.moving import moving_bars  # needs matplotlib

        file = checked_ending(path)
        options: dict[str, Any] = {"rows": rows, "kind": kind, "tokens": tokens}
        frames = frames_of(self, **options, level=level, most=most)
        figure, draw = moving_bars(frames)
        return save(figure, draw, len(frames), file, fps=fps, dpi=dpi)

    def _table(self) -> display.Table:
        mean, total = np.asarray(self.mean()), np.asarray(self.concentration())
        n = len(mean) - 1
        plural = "" if n == 1 else "s"
        title = f"PosteriorPath: {n} demonstration{plural} over {mean.shape[1]} tokens"
        columns = ["shot", "demonstrated", "concentration", "most probable"]
        names = range(mean.shape[1]) if self.tokens is None else self.tokens
        seen = ["(prior)", *(display.show(names[j]) for j in self.demonstrations)]
        cells = [
            [t, seen[t], total[t], display.top(mean[t], self.tokens, room=51)] for t in range(n + 1)
        ]
        return display.Table(title, columns, cells, series=True)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The array, no longer to be written to."""
    array.flags.writeable = False
    return array
