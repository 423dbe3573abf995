"""Mixtures of models of one vocabulary.

Contents
    interpolate      models, weighted by the evidence of held-out text
    Interpolation    the mixture, a model itself
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._base import display
from ..._base.arguments import generator_of, real, whole
from ..._base.numbers import reals
from ..._base.tokens import Vocabulary
from ..._base.typing import Floats, Ids, Seed
from ...errors import ConvergenceWarning
from ..documents import contexts_of, documents_of
from ..shared import CELLS, drawn, tempered
from .members import Members, several
from .weights import fit_weights

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MOST = 16  # tokens of a context, where models do not say how many they take


@dataclass(frozen=True, eq=False, repr=False)
class Interpolation(display.Shown):
    r"""A mixture of models of one vocabulary: the model of each token is drawn anew.

    .. math:: P(v \mid c) = \sum_k w_k P_k(v \mid c)

    `interpolate` finds the weights by held-out text; here they are given.

    Parameters
    ----------
    models : sequence
        Each a `TransitionMatrix`, an `Interpolation`, or anything that has ``n_tokens``,
        ``predict(contexts)``, the probabilities (n, V) of the next token, and
        ``scores(documents)``, the log-probability of every token.  Where they have ``tokens``, they
        are matched by these names; numbers, and the token for unknown words, are those of the
        first that has names.
    weights : array_like of shape (K,)
        Not negative, with a sum of 1.
    standard_errors, model_log_probs, held_out_log_prob, evidence, n_held_out, gap, converged
        What `interpolate` found beside the weights; None without it.

    Attributes
    ----------
    models : tuple
    weights : ndarray of shape (K,)
    standard_errors : ndarray of shape (K,) or None
        Standard deviations of the posterior of the weights; NaN where the text says nothing.
    model_log_probs : ndarray of shape (K,) or None
        The log-probability of the held-out text in each model alone, in nats.
    held_out_log_prob, evidence : float or None
        That of the text in the mixture; and with the weights integrated over their prior, by
        Laplace's method (NaN where the text says nothing of some weight).
    n_held_out : int or None
        Tokens of the text.
    gap : float or None
        What any other weights could gain at most, in nats a token.
    converged : bool or None
    n_tokens, order : int
        Size of the vocabulary; tokens of a context, of the model with the longest.
    tokens : tuple of str or None
    names : tuple of str
        What the models are.
    begin : ndarray of int
        What stands before a document: ``predict(mixture.begin)`` tells of first tokens.

    Raises
    ------
    ValueError, TypeError
        A parameter is not as described, or vocabularies differ.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> a = mb.TransitionMatrix(1, n_tokens=2).update([0, 1, 0, 1, 0, 1])
    >>> b = mb.TransitionMatrix(1, n_tokens=2).update([0, 0, 0, 0])
    >>> mb.Interpolation([a, b], [0.5, 0.5]).predict([0])
    array([0.5, 0.5])
    """

    models: tuple[Any, ...]
    weights: Floats
    standard_errors: Floats | None = None
    model_log_probs: Floats | None = None
    held_out_log_prob: float | None = None
    evidence: float | None = None
    n_held_out: int | None = None
    gap: float | None = None
    converged: bool | None = None

    def __post_init__(self) -> None:
        models = several(self.models)
        members = Members(models)
        weights = reals(self.weights, "weights").copy()
        if weights.shape != (len(models),):
            raise ValueError(f"weights have shape {weights.shape} for {len(models)} models")
        if not (np.isfinite(weights) & (weights >= 0.0)).all() or abs(weights.sum() - 1.0) > 1e-9:
            raise ValueError(f"weights are {weights}; they must be >= 0, and their sum 1")
        weights /= weights.sum()
        weights.flags.writeable = False
        for name, value in (("models", models), ("weights", weights), ("_members", members)):
            object.__setattr__(self, name, value)

    # -- what it is ---------------------------------------------------------------

    @property
    def n_tokens(self) -> int:
        """Size of the vocabulary, V."""
        return self._of.vocabulary.n_tokens

    @property
    def tokens(self) -> tuple[str, ...] | None:
        """The names of the tokens."""
        return self._of.vocabulary.names

    @property
    def order(self) -> int:
        """Tokens of a context, of the model with the longest."""
        return max(int(getattr(model, "order", MOST)) for model in self.models)

    @property
    def names(self) -> tuple[str, ...]:
        """What models there are, in a word or two."""
        return tuple(
            f"{type(model).__name__}, order {model.order}"
            if hasattr(model, "order")
            else type(model).__name__
            for model in self.models
        )

    @property
    def begin(self) -> Ids:
        """What stands before a document: begin tokens, where a model has such."""
        longest = max(len(getattr(model, "begin", ())) for model in self.models)
        return np.full(longest, self.n_tokens, dtype=np.int64)

    @property
    def _vocabulary(self) -> Vocabulary:
        return self._of.vocabulary

    def __len__(self) -> int:
        """How many models there are."""
        return len(self.models)

    @property
    def _of(self) -> Members:
        found: Members = vars(self)["_members"]
        return found

    def to_pandas(self) -> pd.DataFrame:
        """A row for each model: its weight, standard error, and perplexity alone.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        columns: dict[str, Any] = {"model": list(self.names), "weight": self.weights}
        if self.standard_errors is not None:
            columns["standard_error"] = self.standard_errors
        if self.n_held_out and self.model_log_probs is not None:
            alone = -np.asarray(self.model_log_probs) / self.n_held_out
            columns["perplexity"] = np.exp(alone)
        return display.frame(columns)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The weights of the models; `plot.mixture_weights`."""
        from ..plots import mixture_weights  # needs matplotlib

        return mixture_weights(self, ax=ax)

    def _table(self) -> display.Table:
        n = len(self)
        title = f"Interpolation of {n} model{'' if n == 1 else 's'}, {self.n_tokens} tokens"
        columns = ["", "weight"]
        cells: list[Any] = [self.names, self.weights]
        if self.n_held_out and self.held_out_log_prob is not None:
            found = math.exp(-self.held_out_log_prob / self.n_held_out)
            alone = np.exp(-np.asarray(self.model_log_probs) / self.n_held_out)
            title += f": perplexity {display.number(found)} on {self.n_held_out} held-out tokens"
            columns += ["standard error", "perplexity alone"]
            cells += [self.standard_errors, alone]
        return display.Table(title, columns, [list(line) for line in zip(*cells, strict=True)])

    # -- prediction ---------------------------------------------------------------

    def predict(self, contexts: Any, *, top: int | None = None) -> Any:
        """The next token's distribution: the mean of the models' rows by weight.

        Parameters
        ----------
        contexts : array_like of shape (n, length), or (length,) for one
            As `TransitionMatrix.predict` takes them; each model looks back as far as it does.
        top : int, optional
            Only the most probable tokens.

        Returns
        -------
        ndarray of shape (n, V), or (V,) for one context
            Or with `top` two arrays of shape (n, top) or (top,): tokens, the most probable first,
            and their probabilities.
        """
        ids, single = contexts_of(contexts, self._of.vocabulary, self.order, self.n_tokens)
        width = self.n_tokens if top is None else whole(top, "top", 1, self.n_tokens)
        rows, tokens = np.empty((len(ids), width)), np.empty((len(ids), width), dtype=np.int64)
        step = max(CELLS // self.n_tokens, 1)
        for start in range(0, len(ids), step):
            cut = slice(start, start + step)
            found = self._of.rows(ids[cut], self.weights)
            if top is None:
                rows[cut] = found
            else:
                tokens[cut] = np.argsort(-found, axis=1, kind="stable")[:, :width]
                rows[cut] = np.take_along_axis(found, tokens[cut], axis=1)
        if top is None:
            return rows[0] if single else rows
        return (tokens[0], rows[0]) if single else (tokens, rows)

    def __getitem__(self, context: Any) -> Floats:
        """The row of a context: the distribution of the next token."""
        row: Floats = self.predict(context)
        return row

    def generate(
        self, n: int, context: Any = None, *, rng: Seed = None, temperature: float = 1.0
    ) -> Ids:
        """Text drawn token by token.

        Parameters
        ----------
        n : int
            Tokens to draw.
        context : array_like of shape (length,), optional
            What stands before; by default the text is the beginning of a document.
        rng : numpy.random.Generator or int, optional
        temperature : float
            Probabilities are raised to the power of its inverse; 0 takes the most probable token.

        Returns
        -------
        ndarray of shape (n,)
        """
        n = whole(n, "n", 0, 1 << 62)
        temperature = real(temperature, "temperature", math.inf, least=0.0)
        generator = generator_of(rng)
        text = self.begin
        if context is not None:
            ids, single = contexts_of(context, self._of.vocabulary, self.order, self.n_tokens)
            if not single:
                raise ValueError(f"generate takes one context, not shape {ids.shape}")
            text = ids[0]

        def draw(before: Ids) -> int:
            row = self._of.rows(before[np.newaxis], self.weights)[0]
            return tempered(row, temperature, generator)

        return drawn(n, text, self.order, draw)

    # -- scores of text -------------------------------------------------------------

    def scores(self, documents: Any) -> Floats:
        """ln P of every token of text, documents one behind the other, (n,).

        Parameters
        ----------
        documents
            One document or several, as `TransitionMatrix.update` takes them.
        """
        each = self._of.scores(documents_of(documents, self._of.vocabulary))
        with np.errstate(divide="ignore"):
            weighted = each[:, self.weights > 0.0] + np.log(self.weights[self.weights > 0.0])
        found: Floats = np.logaddexp.reduce(weighted, axis=1)
        return found

    def log_prob(self, documents: Any) -> float:
        """Log-probability of text, in nats."""
        return float(self.scores(documents).sum())

    def perplexity(self, documents: Any) -> float:
        """``exp(-log_prob / n)`` of text of n tokens."""
        scores = self.scores(documents)
        if len(scores) == 0:
            raise ValueError("there are no tokens to score")
        return math.exp(-scores.mean())


def interpolate(
    models: Sequence[Any], documents: Any, *, max_iter: int = 1000, tol: float = 1e-9
) -> Interpolation:
    """Mix models of one vocabulary with weights by the evidence of held-out text.

    Each token of the text is taken to be of one of the models, drawn anew with the weights, whose
    prior is uniform.  Their posterior is log-concave; its maximum is found by EM.

    Parameters
    ----------
    models : sequence
        See `Interpolation`.
    documents
        Text that no model has seen, one document or several, as `TransitionMatrix.update` takes
        them.  Text that was counted has all weight on the model that remembers most of it: nobody
        can see that here.
    max_iter : int
        The most passes.
    tol : float
        Enough, in nats a token: no other weights gain more.

    Returns
    -------
    Interpolation
        With the posterior of the weights, by which one can see what the text tells of them.  Tokens
        are taken for independent given their contexts: where documents differ, weights do by more
        than the standard errors.

    Raises
    ------
    ValueError
        There is no token, or one that is impossible in every model; vocabularies differ.

    Warns
    -----
    ConvergenceWarning
        `max_iter` passes are not enough.
    RuntimeWarning
        The text says nothing of some weights: models agree on it, or one is a mixture of others.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> a = mb.TransitionMatrix(1, n_tokens=2).update([0, 1] * 9)
    >>> b = mb.TransitionMatrix(1, n_tokens=2).update([0, 0, 1, 1] * 5)
    >>> mb.interpolate([a, b], [0, 1, 0, 1, 0, 1, 1, 0, 1, 0]).weights.round(2)
    array([0.96, 0.04])
    """
    max_iter = whole(max_iter, "max_iter", 0)
    tol = real(tol, "tol")
    members = Members(several(models))
    texts = documents_of(documents, members.vocabulary)
    each = members.scores(texts)
    if len(each) == 0:
        raise ValueError("there are no tokens to weigh models by")
    lost = np.flatnonzero(np.isneginf(each).all(axis=1))
    if len(lost):
        ends = np.cumsum([len(text) for text in texts])
        d = int(np.searchsorted(ends, lost[0], side="right"))
        place = int(lost[0] - ends[d] + len(texts[d]))
        raise ValueError(f"token {place} of document {d} is impossible in every model")
    found = fit_weights(each, max_iter, tol)
    if found.gap > tol:
        warnings.warn(
            f"weights have not converged in {max_iter} passes: others may gain up to "
            f"{found.gap:.2g} nats a token; raise max_iter or tol",
            ConvergenceWarning,
            stacklevel=2,
        )
    if not found.known.all():
        which = ", ".join(map(str, np.flatnonzero(~found.known)))
        warnings.warn(
            f"the weights of models {which} are not identified: on this text they, or mixtures of "
            "models, give the same probabilities; only what they weigh together is known",
            RuntimeWarning,
            stacklevel=2,
        )
    return Interpolation(
        members.models,
        found.weights,
        standard_errors=found.errors,
        model_log_probs=each.sum(axis=0),
        held_out_log_prob=found.log_prob,
        evidence=found.evidence,
        n_held_out=len(each),
        gap=found.gap,
        converged=found.gap <= tol,
    )
