"""Generation as Bayesian learning: a model's predictions beside a posterior's, token by token.

Each token of a text is evidence about the row that the next one comes from.  A model that learns as
Bayes does, from the prior that it acts on, predicts what the posterior predicts.

Contents
    learning_path    the model, the posterior predictive and the uncertainty along a text
    LearningPath     the result
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base import display
from .._base.arguments import has_items, is_whole, shown, whole
from .._base.asked import asked
from .._base.numbers import plain
from .._base.tokens import columns_of
from .._base.typing import Floats, Ids, Seed
from .._core import posterior_learning
from ..mixture import DirichletMixture
from ..rows.ingest import rows_asked_for
from ..rows.kl import divergences

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..elicitation import ElicitationReport


@dataclass(frozen=True, eq=False, repr=False)
class LearningPath(display.Shown):
    """A text as evidence; made by `learning_path`.

    Attributes
    ----------
    tokens : ndarray of int of shape (T,)
        The columns of the tokens that came.
    history : ndarray of int of shape (H,)
        Those before them.
    log_probs : ndarray of shape (T, V)
        What the model says of each token before it sees it.
    predictive : ndarray of shape (T, V)
        The posterior predictive there, as probabilities.
    kl : ndarray of shape (T,)
        KL(model || predictive) in nats.
    total, aleatoric, epistemic : ndarray of shape (T,)
        Of the posterior there, in nats: the entropy of the next token; the part that more tokens
        cannot reduce; and the part that they can.
    names : tuple of str or None
        Of the V columns.
    """

    tokens: Ids
    history: Ids
    log_probs: Floats
    predictive: Floats
    kl: Floats
    total: Floats
    aleatoric: Floats
    epistemic: Floats
    names: tuple[str, ...] | None

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def model_probability(self) -> Floats:
        """Of each token that came, by the model; shape (T,)."""
        return np.exp(self.log_probs[np.arange(len(self)), self.tokens])

    @property
    def predictive_probability(self) -> Floats:
        """Of each token that came, by the posterior predictive; shape (T,)."""
        return self.predictive[np.arange(len(self)), self.tokens]

    @property
    def mean_kl(self) -> float:
        """Mean KL(model || predictive) in nats."""
        return float(self.kl.mean())

    def _columns(self) -> dict[str, NDArray[Any]]:
        return {
            "model": self.model_probability,
            "predictive": self.predictive_probability,
            "kl": self.kl,
            "total": self.total,
            "aleatoric": self.aleatoric,
            "epistemic": self.epistemic,
        }

    def to_pandas(self) -> pd.DataFrame:
        """A line for each token: its name (or column), both probabilities, KL, uncertainty."""
        import pandas as pd

        names = self.tokens if self.names is None else [self.names[j] for j in self.tokens]
        return pd.DataFrame({"token": names, **self._columns()})

    def _table(self) -> display.Table:
        plural = "" if len(self) == 1 else "s"
        title = (
            f"LearningPath: {len(self)} token{plural} after {len(self.history)}, mean "
            f"KL(model || predictive) {display.number(self.mean_kl)} nats"
        )
        values = self._columns()
        lines = [
            [
                display.show(j if self.names is None else self.names[j]),
                *(float(value[t]) for value in values.values()),
            ]
            for t, j in enumerate(self.tokens)
        ]
        columns = ["token", *("KL" if name == "kl" else name for name in values)]
        return display.Table(title, columns, lines, series=True)

    def plot(self, *, ax: Axes | None = None, axes: Sequence[Axes] | None = None) -> Any:
        """KL and uncertainty along the text; `plot.learning_path`.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure without it.
        axes : sequence of three Axes, optional
            Where to draw the three panels of `plot_figure` instead.

        Returns
        -------
        matplotlib.axes.Axes
            Or a tuple of the three, where they were given.
        """
        from .plots import learning_path  # needs matplotlib

        return learning_path(self, ax=ax, axes=axes)

    def plot_figure(self, *, figure: Figure | None = None) -> Figure:
        """Probabilities, KL and uncertainty in three panels; `plot.learning_path_figure`."""
        from .plots import learning_path_figure  # needs matplotlib

        return learning_path_figure(self, figure=figure)

    def animate(
        self,
        path: str | os.PathLike[str],
        *,
        tokens: Sequence[str] | Sequence[int] | None = None,
        fps: float = 2.5,
        most: int = 100,
        dpi: float = 100.0,
    ) -> Path:
        """Write what model and posterior say, token by token, as a moving picture.

        Parameters
        ----------
        path : path
            Ends in ``.gif``, or in ``.mp4`` where there is ffmpeg; replaced if it exists.
        tokens : sequence of str or int, optional
            Which ones have bars, at most twelve; by default the six that come out highest.
        fps : float
            Tokens to a second; the last one stays longer.
        most : int
            Pictures at most; of a longer text they are taken evenly.
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
        from ..mixture.shots.animation import checked_ending, save
        from ..mixture.shots.frames import evenly
        from .moving import moving_text  # needs matplotlib

        file = checked_ending(path)
        places = evenly(len(self), whole(most, "most", 2))
        figure, draw = moving_text(self, tokens)
        return save(figure, lambda i: draw(places[i]), len(places), file, fps=fps, dpi=dpi)


def learning_path(
    found: ElicitationReport | DirichletMixture,
    model: Callable[[Ids], ArrayLike],
    tokens: int | Sequence[int] | Sequence[str] | NDArray[np.integer],
    *,
    history: Sequence[int] | Sequence[str] | NDArray[np.integer] = (),
    kind: str = "log_probs",
    rng: Seed = None,
) -> LearningPath:
    """Follow a text, or one that the model writes, as the learning of a row.

    Parameters
    ----------
    found : ElicitationReport or DirichletMixture
        The prior, from `elicit_prior`; or one of independent tokens.  Over V tokens.
    model : callable
        From sequences (n, length) to rows (n, length, V): row t is what the model says of token t
        before it sees it.
    tokens : int, or sequence of T int or str
        The text, as columns or names; or how many tokens the model is to write: it then needs a
        method ``sample(n, length, history=, rng=)`` that gives columns (n, length).
    history : sequence of int or str
        What comes before the text.  Model and posterior have seen it.
    kind : {"log_probs", "probs", "logits"}
        What the model gives.
    rng : numpy.random.Generator or int, optional
        Passed to ``model.sample``.

    Returns
    -------
    LearningPath

    Raises
    ------
    ValueError, TypeError
        Something is not as described; the position is named.

    Notes
    -----
    Time is O(T V K), and memory O(T V); posteriors of chains, and of counts that fade, are made one
    by one, a millisecond each.  The uncertainty is that of the posterior before a temperature.  KL
    keeps the terms sum(predictive) - sum(row) of rows that sum to 1 only to rounding, so that it
    does not fall below 0.

    Examples
    --------
    A model that starts from weaker beliefs than its posterior, and comes to agree with it:

    >>> import matrixbayes as mb
    >>> from matrixbayes import windtunnel
    >>> model = windtunnel.Urns(mb.DirichletMixture([1.0], [[1.0, 1.0]])).log_predictive
    >>> prior = mb.DirichletMixture([1.0], [[3.0, 3.0]], tokens=("heads", "tails"))
    >>> path = mb.learning_path(prior, model, ["heads", "heads", "tails", "heads"])
    >>> path.predictive_probability.round(4)
    array([0.5   , 0.5714, 0.375 , 0.5556])
    >>> path.kl.round(4)
    array([0.    , 0.019 , 0.0354, 0.004 ])
    >>> bool(path.epistemic[-1] < path.epistemic[0])
    True
    """
    if not all(hasattr(found, name) for name in ("n_tokens", "tokens", "posterior")):
        raise TypeError(
            f"found is {type(found).__name__}; give what elicit_prior returns, or a "
            "DirichletMixture"
        )
    width = int(found.n_tokens)
    theirs = getattr(model, "n_tokens", width)
    if theirs != width:
        raise ValueError(f"the model is over {theirs} tokens and the prior over {width}")
    seen = _columns(history, found, "history")
    text = _text(tokens, model, seen, found, rng)
    sequence = np.concatenate([seen, text])
    log_q = _rows_of(model, sequence, len(seen), width, kind)
    predictive, parts = _posterior(found, sequence, len(seen), width)
    return LearningPath(
        tokens=text,
        history=seen,
        log_probs=log_q,
        predictive=predictive,
        kl=divergences(log_q, np.log(predictive)),
        total=parts[:, 0],
        aleatoric=parts[:, 1],
        epistemic=parts[:, 2],
        names=found.tokens,
    )


def _columns(items: Iterable[Any], prior: Any, what: str) -> Ids:
    if isinstance(items, (str, bytes)):
        raise TypeError(f"{what} is one string; for a single token write [{shown(items)}]")
    if not has_items(items):
        raise TypeError(f"{what} is {shown(items)}; give a sequence of tokens")
    return np.array(
        columns_of(items, prior.tokens, prior.n_tokens, "the prior", what), dtype=np.int64
    )


def _text(tokens: Any, model: Any, history: Ids, prior: Any, rng: Seed) -> Ids:
    """The tokens given, or as many as are asked for from the model."""
    if not is_whole(tokens):
        if not isinstance(tokens, (str, bytes)) and not has_items(tokens):
            raise TypeError(f"tokens is {shown(tokens)}; give tokens, or how many to sample")
        text = _columns(tokens, prior, "tokens")
        if not len(text):
            raise ValueError("there are no tokens to follow")
        return text
    if tokens < 1:
        raise ValueError(f"tokens is {tokens}; sample one at least")
    if not hasattr(model, "sample"):
        raise TypeError(
            f"tokens is {tokens}, but the model has no method sample(n, length, history=, rng=); "
            "give the tokens themselves"
        )
    given = asked("model.sample()", model.sample, 1, int(tokens), history=history, rng=rng)
    sampled = plain(given, "model.sample()")
    if sampled.shape != (1, tokens):
        raise ValueError(f"model.sample gave shape {sampled.shape}; it must be (1, {tokens})")
    return _columns(sampled[0], prior, "model.sample()[0]")


def _rows_of(model: Any, sequence: Ids, start: int, width: int, kind: str) -> Floats:
    """The model's log-probabilities of the tokens from `start` on."""
    found = asked(f"a text of {len(sequence)} tokens", model, sequence[np.newaxis])
    shape = 1, len(sequence), width
    found = found if hasattr(found, "shape") else plain(found, "what the model gave")
    if tuple(found.shape) != shape:
        raise ValueError(f"the model gave shape {tuple(found.shape)}; it must be {shape}")
    own = 1, len(sequence) - start, width
    rows: Floats = rows_asked_for(found[:, start:], own, kind, "the model", (0, start))[0]
    return rows


def _posterior(found: Any, sequence: Ids, start: int, width: int) -> tuple[Floats, Floats]:
    """The predictive (T, V) and the three parts of its uncertainty (T, 3), from `start` on."""
    prior = _independent(found)
    if prior is not None:
        before = np.bincount(sequence[:start], minlength=width)
        predictive, parts = posterior_learning(prior, before, sequence[start:-1])
        if prior is found:
            return predictive, parts
    histories = [sequence[:end] for end in range(start, len(sequence))]
    predictive = np.asarray(found.predict(histories), dtype=np.float64)
    if prior is None:
        parts = np.array([found.posterior(history).uncertainty() for history in histories])
    return predictive, parts


def _independent(found: Any) -> DirichletMixture | None:
    """The prior of tokens that are independent given their row, or None where they are not."""
    if isinstance(found, DirichletMixture):
        return found
    return found.prior if found.family == "iid" and found.discount == 1.0 else None
