"""A causal language model seen as a predictor over a few single tokens.

Contents
    TokenPredictor     the model, V of its tokens, and what stands before every sequence

What holds a model against Bayes (`windtunnel.score`, `diagnostics`) speaks of sequences of column
numbers 0 to V - 1 and of rows of V log-probabilities.  Here they become token ids and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base.arguments import generator_of, listed, whole
from .._base.numbers import plain
from .._base.sequences import checked_history
from .._base.typing import Floats, Ids, Seed
from .forward import Batch, Forward
from .inside.taps import evaluating
from .prompts import Prompt
from .runs.batches import run_batches
from .steps import Steps

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class TokenPredictor:
    """A HuggingFace causal language model as a predictor over V of its tokens.

    Rows are renormalised over the V tokens: what the model says if the next token is one of them.

    Parameters
    ----------
    model
        A loaded ``AutoModelForCausalLM``, where it is and as it is.  It runs in evaluation mode and
        gets its own mode back afterwards.
    token_ids : array_like of int of shape (V,)
        The token id of each column, all different.
    prefix : sequence of int
        Token ids before every sequence, ``[tokenizer.bos_token_id]`` say.  Without one a model has
        nothing to predict the first token from, and to ask for that is an error.
    batch_size : int
        Sequences in one pass.

    Attributes
    ----------
    n_tokens : int
        V.
    max_history : int or None
        The longest history that the model takes behind the prefix; None if the model does not say.

    Raises
    ------
    TypeError, ValueError
        The model is no causal language model, or an id is not one of its tokens.

    Examples
    --------
    >>> from importlib.resources import files
    >>> from transformers import AutoModelForCausalLM
    >>> import matrixbayes as mb
    >>> urns = AutoModelForCausalLM.from_pretrained(str(files("matrixbayes") / "data" / "urns"))
    >>> colours = mb.TokenPredictor(urns, range(8), prefix=[8])
    >>> colours([[0, 1, 0], [7, 7, 7]]).shape
    (2, 3, 8)
    >>> colours.predict([[], [6, 6, 6, 6]]).argmax(axis=1)[1:]
    array([6])
    >>> colours.sample(2, 5, history=[6, 6], rng=0).shape
    (2, 5)
    """

    def __init__(
        self,
        model: PreTrainedModel,
        token_ids: ArrayLike,
        *,
        prefix: Sequence[int] | NDArray[np.integer[Any]] = (),
        batch_size: int = 64,
    ) -> None:
        self.batch_size = whole(batch_size, "batch_size", 1)
        with evaluating(model):
            self._forward = Forward(model)
        self._steps = Steps(self._forward, self._log_probs, self._read)
        known = min(self._forward.n_ids, self._forward.width)
        self._ids = _checked_ids(token_ids, "token_ids", known)
        self._prefix = _checked_ids(prefix, "prefix", self._forward.n_ids)
        if len(self._ids) == 0:
            raise ValueError("token_ids is empty; give the id of each column")
        if len(np.unique(self._ids)) < len(self._ids):
            ids, seen = np.unique(self._ids, return_counts=True)
            raise ValueError(f"token_ids has {ids[np.argmax(seen)]} twice; columns differ")
        longest = self._forward.max_length
        self.max_history = None if longest is None else longest - len(self._prefix)
        if self.max_history is not None and self.max_history < 0:
            raise ValueError(f"prefix has {len(self._prefix)} tokens and the model takes {longest}")

    @property
    def n_tokens(self) -> int:
        """V."""
        return len(self._ids)

    def __repr__(self) -> str:
        name = type(self._forward.model).__name__
        return f"TokenPredictor({name}, {self.n_tokens} tokens, prefix={self._prefix.tolist()})"

    def __call__(self, sequences: ArrayLike) -> Floats:
        """What the model says of each token of some sequences before it sees it.

        Parameters
        ----------
        sequences : array_like of int of shape (n, length)
            Column numbers.

        Returns
        -------
        ndarray of shape (n, length, V)
            Log-probabilities; row t given the prefix and tokens 0 to t - 1.
        """
        tokens = plain(sequences, "sequences")
        if tokens.ndim != 2:
            raise ValueError(f"sequences have shape {tokens.shape}; they need (n, length)")
        n, length = tokens.shape
        if tokens.size == 0:
            return np.zeros((n, length, self.n_tokens))
        histories = [
            checked_history(row, self.n_tokens, f"sequence {i}") for i, row in enumerate(tokens)
        ]
        first = len(self._prefix) - 1
        self._need_prefix(first + 1)
        wanted = np.arange(first, first + length)
        prompts = [self._prompt(h[:-1], wanted, f"sequence {i}") for i, h in enumerate(histories)]
        return self._rows(prompts).reshape(n, length, self.n_tokens)

    def predict(self, histories: Sequence[Sequence[int]] | ArrayLike) -> Floats:
        """What the model says of the token after each history.

        Parameters
        ----------
        histories : sequence of N sequences of int
            Column numbers, of any lengths.

        Returns
        -------
        ndarray of shape (N, V)
            Log-probabilities.
        """
        prompts = []
        for i, given in enumerate(listed(histories, "histories")):
            history = checked_history(given, self.n_tokens, f"history {i}")
            last = len(self._prefix) + len(history) - 1
            self._need_prefix(last + 1)
            prompts.append(self._prompt(history, np.array([last]), f"history {i}"))
        if not prompts:
            return np.zeros((0, self.n_tokens))
        return self._rows(prompts)[:, 0]

    def sample(
        self, n: int, length: int, *, history: Sequence[int] | ArrayLike = (), rng: Seed = None
    ) -> Ids:
        """Sequences that the model goes on with, token by token.

        The tokens are those that `predict` gives for the same uniform numbers, up to rounding: what
        the model's cache says is held against its forward pass.

        Parameters
        ----------
        n : int
            How many.
        length : int
            Of each.
        history : sequence of int
            Column numbers seen before; the same for all.
        rng : numpy.random.Generator or int, optional

        Returns
        -------
        ndarray of int of shape (n, length)
            Column numbers, without the history.
        """
        n, length = whole(n, "n", 0), whole(length, "length", 0)
        seen = checked_history(history, self.n_tokens, "history")
        draws = generator_of(rng).random((n, length))
        if draws.size == 0:
            return np.zeros((n, length), dtype=np.int64)
        start = np.concatenate([self._prefix, self._ids[seen]])
        self._need_prefix(len(start))
        self._check_length(len(seen) + length - 1, "the continuation")
        with evaluating(self._forward.model):
            parts = [
                self._continued(start, draws[i : i + self.batch_size])
                for i in range(0, n, self.batch_size)
            ]
        return np.concatenate(parts)

    # -- how ------------------------------------------------------------------------

    def _rows(self, prompts: list[Prompt]) -> Floats:
        """Rows (N, positions, V) of prompts that want equally many positions each."""
        rows = np.empty((len(prompts), len(prompts[0].positions), self.n_tokens))
        forward = self._forward
        with evaluating(forward.model):
            every = range(len(prompts))
            for numbers, batch in run_batches(
                forward, prompts, every, self.batch_size, cut=self._own
            ):
                found = batch.log_probs().astype(np.float64)
                rows[numbers] = found.reshape(len(numbers), -1, self.n_tokens)
        return rows

    def _continued(self, start: Ids, draws: Floats) -> Ids:
        """Columns (n, length) after `start`, chosen by numbers between 0 and 1."""
        n, length = draws.shape
        ids = np.empty((n, len(start) + length), dtype=np.int64)
        ids[:, : len(start)] = start
        chosen = np.empty(draws.shape, dtype=np.int64)

        def choose(place: int, rows: Floats) -> Ids:
            t = place - len(start)
            ends = np.cumsum(np.exp(rows), axis=1)
            passed = (draws[:, t : t + 1] * ends[:, -1:] >= ends).sum(axis=1)
            chosen[:, t] = np.minimum(passed, self.n_tokens - 1)
            return self._ids[chosen[:, t]]

        self._steps.grow(ids, len(start), choose)
        return chosen

    def _read(self, texts: Ids, places: Ids) -> Floats:
        """Rows (n, k, V) behind k places of texts of token ids (n, length)."""
        return self._rows([Prompt(text, places) for text in texts])

    def _log_probs(self, logits: Any, where: list[tuple[int, int]]) -> Floats:
        """Logits of the whole vocabulary to rows of the V tokens."""
        return self._own(Batch(logits, None, where)).log_probs().astype(np.float64)

    def _own(self, batch: Batch) -> Batch:
        """The logits of the V tokens, where the model has them."""
        import torch

        if self._ids.max() >= batch.width:
            raise ValueError(
                f"the model's logits are over {batch.width} tokens, and token_ids has "
                f"{self._ids.max()}"
            )
        ids = torch.as_tensor(self._ids, device=batch.logits.device)
        return replace(batch, logits=batch.logits[:, ids])

    def _prompt(self, history: Ids, positions: NDArray[np.intp], name: str) -> Prompt:
        """Prefix and history as token ids."""
        self._check_length(len(history), name)
        return Prompt(np.concatenate([self._prefix, self._ids[history]]), positions)

    # -- checks ---------------------------------------------------------------------

    def _need_prefix(self, length: int) -> None:
        """Refuse to predict from nothing."""
        if length == 0:
            raise ValueError(
                "there is no prefix, and nothing can be predicted from no token at all: give "
                "prefix=[tokenizer.bos_token_id], or another token to begin with"
            )

    def _check_length(self, length: int, name: str) -> None:
        """Refuse what is longer than the model takes."""
        if self.max_history is not None and length > self.max_history:
            raise ValueError(
                f"{name} needs {length} tokens behind a prefix of {len(self._prefix)}, and the "
                f"model takes {self.max_history + len(self._prefix)} in all: make it shorter"
            )


def _checked_ids(given: Any, name: str, n_ids: int) -> Ids:
    """Token ids that the model has."""
    ids = plain(given, name)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise TypeError(f"{name} is {given!r:.80}; it is a list of token ids")
    outside = np.flatnonzero((ids < 0) | (ids >= n_ids))
    if len(outside):
        i = int(outside[0])
        raise ValueError(f"{name}[{i}] is {ids[i]}, and the model knows ids 0 to {n_ids - 1}")
    return ids.astype(np.int64)
