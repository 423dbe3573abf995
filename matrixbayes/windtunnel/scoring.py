"""A model against the exact posterior predictive of a wind tunnel, position by position.

Contents
    score              measures it
    WindTunnelScore    the result
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base import display
from .._base.arguments import having
from .._base.asked import asked
from .._base.numbers import plain
from .._base.sequences import BLOCK_NUMBERS, checked
from .._base.typing import Floats, Ids, Seed
from ..huggingface import TokenPredictor
from ..rows.ingest import rows_asked_for
from ..rows.kl import entropy_nats, kl_nats
from .tasks import Task

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class WindTunnelScore(display.Shown):
    """A model against exact Bayes; made by `score`.

    Attributes
    ----------
    bayes_entropy, model_entropy : ndarray of shape (length,)
        Mean entropy of the two predictives at each position, in bits.
    entropy_error : ndarray of shape (length,)
        Mean of their absolute difference, sequence by sequence, in bits.
    kl : ndarray of shape (length,)
        Mean KL(Bayes || model) at each position, in bits.
    standard_error : ndarray of shape (length,)
        Of `kl`, over sequences.
    positions : ndarray of int
        Those that count in the means below.
    n_sequences : int
    """

    bayes_entropy: Floats
    model_entropy: Floats
    entropy_error: Floats
    kl: Floats
    standard_error: Floats
    positions: NDArray[np.intp]
    n_sequences: int

    @property
    def mean_entropy_error(self) -> float:
        """Mean |H_model - H_Bayes| in bits."""
        return float(self.entropy_error[self.positions].mean())

    @property
    def mean_kl(self) -> float:
        """Mean KL(Bayes || model) in bits."""
        return float(self.kl[self.positions].mean())

    def to_pandas(self) -> pd.DataFrame:
        """A row for each position: entropies, their difference and KL in bits, standard errors.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        names = ["bayes_entropy", "model_entropy", "entropy_error", "kl", "standard_error"]
        at = self.positions
        columns = {name: np.asarray(getattr(self, name))[at] for name in names}
        return display.frame({"position": at, **columns})

    def _table(self) -> display.Table:
        title = (
            f"WindTunnelScore: {self.n_sequences} sequences, mean |H_model - H_Bayes| "
            f"{display.number(self.mean_entropy_error)} bits, mean KL(Bayes || model) "
            f"{display.number(self.mean_kl)} bits"
        )
        columns = ["position", "H Bayes", "H model", "|difference|", "KL", "standard error"]
        values = [self.bayes_entropy, self.model_entropy, self.entropy_error]
        values += [self.kl, self.standard_error]
        lines = [[int(t), *(float(v[t]) for v in values)] for t in self.positions]
        return display.Table(title, columns, lines)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Entropies and KL by position; `plot.wind_tunnel`."""
        from .plots import wind_tunnel  # needs matplotlib

        return wind_tunnel(self, ax=ax)


def score(
    task: Task,
    model: Callable[[Ids], ArrayLike] | Any,
    sequences: ArrayLike | None = None,
    *,
    n: int = 200,
    length: int = 64,
    kind: str = "log_probs",
    positions: ArrayLike | None = None,
    token_ids: ArrayLike | None = None,
    prefix: Sequence[int] = (),
    rng: Seed = None,
) -> WindTunnelScore:
    """Hold a model's predictions against the exact posterior predictive, position by position.

    Parameters
    ----------
    task
        One of those here, or anything with the same methods.
    model : callable, or a causal language model of HuggingFace
        From sequences (n, length), some of them at a time, to rows (n, length, V): row t is what
        the model says of token t before it sees it.  A language model is wrapped in a
        `TokenPredictor`, with `token_ids`.
    sequences : array_like of int of shape (n, length), optional
        Of the task; sampled by default.
    n, length : int
        Of sampled sequences.
    kind : {"logits", "log_probs", "probs"}
        What a callable gives.
    positions : array_like of int, or of bool of shape (length,), optional
        Where the score is taken (the labels of `Switch` alone, say); everywhere by default.
    token_ids : array_like of int of shape (V,), optional
        Of a language model: the id of each of the task's tokens.
    prefix : sequence of int
        Of a language model: the ids before every sequence, ``[tokenizer.bos_token_id]`` say.
    rng : numpy.random.Generator or int, optional

    Returns
    -------
    WindTunnelScore

    Raises
    ------
    TypeError
        A language model without token_ids, or a `TokenPredictor` with them.
    ValueError
        Something is not as described.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> from matrixbayes import windtunnel
    >>> task = windtunnel.Urns(mb.DirichletMixture([0.5, 0.5], [[9.0, 1.0], [1.0, 9.0]]))
    >>> windtunnel.score(task, task.log_predictive, n=20, length=8, rng=0).mean_kl
    0.0
    >>> wrong = windtunnel.Urns(mb.DirichletMixture([1.0], [[1.0, 1.0]]))
    >>> windtunnel.score(task, wrong.log_predictive, n=20, length=8, rng=0).mean_kl > 0.01
    True
    """
    if token_ids is not None:
        model, kind = _wrapped(task, model, token_ids, prefix), "log_probs"
    elif hasattr(model, "get_output_embeddings"):
        raise TypeError(
            f"{type(model).__name__} is a language model: give token_ids, the id of each of the "
            f"task's {task.n_tokens} tokens, and prefix, such as [tokenizer.bos_token_id]"
        )
    elif len(prefix):
        raise ValueError(
            "prefix is for a language model with token_ids; a callable sees tokens alone"
        )
    having(task, "task", "n_tokens", "sample", "log_predictive")
    if sequences is None:
        sequences = task.sample(n, length, rng=rng)
    tokens = checked(sequences, task.n_tokens)
    if tokens.size == 0:
        raise ValueError("there is nothing to predict")
    chosen = _positions(positions, tokens.shape[1])
    step = max(1, BLOCK_NUMBERS // (tokens.shape[1] * task.n_tokens))
    blocks = (tokens[first : first + step] for first in range(0, len(tokens), step))
    measured = [_measured(task, model, kind, block, step * i) for i, block in enumerate(blocks)]
    bayes, own, kl = (np.concatenate(parts) for parts in zip(*measured, strict=True))
    spread = np.full(kl.shape[1], np.nan)
    if len(kl) > 1:
        with np.errstate(invalid="ignore"):
            spread = np.where(np.isinf(kl).any(axis=0), np.inf, kl.std(axis=0, ddof=1))
    return WindTunnelScore(
        bayes_entropy=bayes.mean(axis=0),
        model_entropy=own.mean(axis=0),
        entropy_error=np.abs(own - bayes).mean(axis=0),
        kl=kl.mean(axis=0),
        standard_error=spread / np.sqrt(len(kl)),
        positions=chosen,
        n_sequences=len(tokens),
    )


def _positions(given: ArrayLike | None, length: int) -> NDArray[np.intp]:
    """Places from numbers or from a mask; all by default."""
    if given is None:
        return np.arange(length)
    found = plain(given, "positions")
    if found.dtype == bool and found.shape == (length,):
        found = np.flatnonzero(found)
    if found.ndim != 1 or not len(found) or found.dtype.kind not in "iu":
        raise ValueError(
            f"positions have shape {found.shape} and type {found.dtype}; they must be whole "
            f"numbers, one at least, or a mask of shape ({length},)"
        )
    if found.min() < 0 or found.max() >= length:
        raise ValueError(f"positions must be from 0 to {length - 1}")
    return found.astype(np.intp)


def _measured(
    task: Task, model: Callable[[Ids], Any], kind: str, tokens: Ids, first: int
) -> tuple[Floats, Floats, Floats]:
    """Entropies of both and the divergence, (n, length) each, in bits."""
    truth = task.log_predictive(tokens)
    found = asked(f"sequences {first} to {first + len(tokens) - 1}", model, tokens)
    shape = *tokens.shape, task.n_tokens
    log_q = rows_asked_for(found, shape, kind, "the model", (first, 0))
    p, q = np.exp(truth), np.exp(log_q)
    nats = entropy_nats(p, truth), entropy_nats(q, log_q), kl_nats(p, truth, q, log_q)
    bayes, own, apart = (each / np.log(2.0) for each in nats)
    return bayes, own, apart


def _wrapped(task: Task, model: Any, token_ids: ArrayLike, prefix: Sequence[int]) -> TokenPredictor:
    """A language model over the task's tokens."""
    if isinstance(model, TokenPredictor):
        raise TypeError("a TokenPredictor has token_ids and a prefix of its own: give it alone")
    predictor = TokenPredictor(model, token_ids, prefix=prefix)
    if predictor.n_tokens != task.n_tokens:
        raise ValueError(
            f"token_ids has {predictor.n_tokens} ids and the task {task.n_tokens} tokens"
        )
    return predictor
