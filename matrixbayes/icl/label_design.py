"""What the designs of prompts return, and the learning curve of a model's rows after them.

Contents
    LabelDesign    the prompts, and what each is made of
    LabelCurve     a learning curve over sequences of demonstrations
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._base import display
from .._base.typing import Floats, Ids, Seed
from ..rows import as_log_probs
from .curve import IclFit, fit_icl_curve

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


Query = tuple[str, str]


@display.shown
class LabelCurve(NamedTuple):
    """A learning curve, an entry for each number of shots (and of those that follow the rule).

    Attributes
    ----------
    shots, followed : ndarray of int of shape (n,)
        Demonstrations, and those among them that follow the rule that is to be learnt.
    probability : ndarray of shape (n,)
        Of the label by that rule; mean over sequences.
    standard_error : ndarray of shape (n,)
        Of the mean; NaN of a single sequence.
    """

    shots: Ids
    followed: Ids
    probability: Floats
    standard_error: Floats

    def to_pandas(self) -> pd.DataFrame:
        """A row for each number of shots.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame(self._asdict())

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The curve, with its standard error."""
        from .plots import label_curve  # needs matplotlib

        return label_curve(self, ax=ax)

    def _table(self) -> display.Table:
        return display.Table.of("LabelCurve: probability of the label by the rule", self._asdict())


@dataclass(frozen=True, eq=False, repr=False)
class LabelDesign(display.Shown):
    """Prompts, each of demonstrations and a query; made by the functions here.

    A sequence is a query and an order of demonstrations; its prompts show the first few of them.

    Attributes
    ----------
    prompts : tuple of N str
        They end where the label of the query comes.
    words : tuple of str
        The labels that prompts show.
    vocab : dict of str to str
        The answers, as `collect` takes them: each word with the space before it, if any.
    shots, followed : ndarray of int of shape (N,)
        Demonstrations, and those among them that follow the rule that is to be learnt.
    queries : tuple of N str
    shown : tuple of N str
        The label of the query by that rule; one of `words`.
    semantic : tuple of N str
        The label that the query was given with: what it means.
    demonstrations : tuple of N tuples of (str, str)
        Inputs, and the labels that are shown with them.
    sequence : ndarray of int of shape (N,)
        Of which sequence each prompt is.

    See Also
    --------
    flipped_label_design, unrelated_label_design : make one, with examples.
    """

    prompts: tuple[str, ...]
    words: tuple[str, ...]
    vocab: dict[str, str]
    shots: Ids
    followed: Ids
    queries: tuple[str, ...]
    shown: tuple[str, ...]
    semantic: tuple[str, ...]
    demonstrations: tuple[tuple[Query, ...], ...]
    sequence: Ids

    def __len__(self) -> int:
        return len(self.prompts)

    def probabilities(self, rows: Any, *, kind: str | None = None) -> Floats:
        """What a model gives the label by the rule, after each prompt.

        Parameters
        ----------
        rows : NextTokenRows, or array_like of shape (N, L)
            The model's rows after the prompts, in their order.  Named columns are found by their
            names and may be more than the L words; others are the words in their order.
        kind : {"logits", "log_probs", "probs"}, optional
            What an array holds.

        Returns
        -------
        ndarray of shape (N,)
            Given that one of the words comes.
        """
        log_probs, tokens = as_log_probs(rows, kind)
        if len(log_probs) != len(self):
            raise ValueError(f"{len(log_probs)} rows, but {len(self)} prompts; a row for each")
        if tokens is None:
            if log_probs.shape[1] != len(self.words):
                raise ValueError(
                    f"rows have {log_probs.shape[1]} columns without names; they need "
                    f"{len(self.words)}, of {', '.join(map(repr, self.words))}"
                )
            columns = list(range(len(self.words)))
        else:
            missing = [word for word in self.words if word not in tokens]
            if missing:
                raise ValueError(
                    f"the rows have no column {missing[0]!r}; collect them with vocab=design.vocab"
                )
            columns = [tokens.index(word) for word in self.words]
        log_p = log_probs[:, columns].astype(np.float64)
        most = log_p.max(axis=1, keepdims=True)
        if np.isneginf(most).any():
            i = int(np.argmin(most))
            raise ValueError(f"row {i} gives every one of the words the probability 0")
        p = np.exp(log_p - most)  # of the likeliest word 1: words may all be far too rare for exp
        shown = [self.words.index(word) for word in self.shown]
        found: Floats = p[np.arange(len(self)), shown] / p.sum(axis=1)
        return found

    def curve(self, rows: Any, *, kind: str | None = None) -> LabelCurve:
        """The learning curve of a model's rows, over sequences.

        Parameters
        ----------
        rows, kind
            As for `probabilities`.

        Returns
        -------
        LabelCurve
        """
        p = self.probabilities(rows, kind=kind)
        pairs, which = np.unique(
            np.column_stack([self.shots, self.followed]), axis=0, return_inverse=True
        )
        # One value a sequence first: its prompts with the same demonstrations are not independent.
        n_sequences = int(self.sequence.max()) + 1
        cell = which.reshape(-1) * n_sequences + self.sequence
        size = (len(pairs), n_sequences)
        many = np.bincount(cell, minlength=len(pairs) * n_sequences)
        each = (np.bincount(cell, p, minlength=len(many)) / many).reshape(size)
        error = np.full(len(pairs), np.nan)
        if n_sequences > 1:
            error = each.std(axis=1, ddof=1) / np.sqrt(n_sequences)
        return LabelCurve(pairs[:, 0], pairs[:, 1], each.mean(axis=1), error)

    def fit(
        self,
        rows: Any,
        *,
        kind: str | None = None,
        n_boot: int = 200,
        level: float = 0.9,
        rng: Seed = None,
    ) -> IclFit:
        """Slow and sudden learning fitted to a model's rows; intervals are over sequences.

        Parameters
        ----------
        rows, kind
            As for `probabilities`.
        n_boot, level, rng
            As for `fit_icl_curve`.

        Returns
        -------
        IclFit
        """
        return fit_icl_curve(
            self.followed,
            self.probabilities(rows, kind=kind),
            others=self.shots - self.followed,
            groups=self.sequence,
            n_boot=n_boot,
            level=level,
            rng=rng,
        )

    def _columns(self) -> dict[str, Sequence[Any]]:
        return {
            "sequence": self.sequence.tolist(),
            "shots": self.shots.tolist(),
            "followed": self.followed.tolist(),
            "query": self.queries,
            "semantic": self.semantic,
            "shown": self.shown,
        }

    def to_pandas(self) -> pd.DataFrame:
        """A line for each prompt: what it is made of, and itself."""
        import pandas as pd

        return pd.DataFrame({**self._columns(), "prompt": self.prompts})

    def _table(self) -> display.Table:
        columns = self._columns()
        words = ", ".join(display.show(word) for word in self.words)
        title = f"LabelDesign: {len(self)} prompts of {self.sequence.max() + 1} sequences: {words}"
        return display.Table(title, list(columns), list(zip(*columns.values(), strict=True)))

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """How many prompts there are of each number of shots."""
        from .plots import label_design  # needs matplotlib

        return label_design(self, ax=ax)
