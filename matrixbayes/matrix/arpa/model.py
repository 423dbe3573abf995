"""Back-off models: what a file in the format of ARPA is, or a matrix that was pruned.

Contents
    BackoffModel    n-grams with probabilities and back-off weights
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..._base import display
from ..._base.arguments import generator_of, real, whole
from ..._base.files import naming, require
from ..._base.mapped import open_mapped, write_mapped
from ..._base.saving.hub import Hosted
from ..._base.saving.made import restore, told
from ..._base.tokens import Vocabulary, token_names
from ..._base.typing import Floats, Ids
from ..._core import BackoffTable
from ..documents import Texts, contexts_of, documents_of
from ..pruning.pruned import Pruned
from ..shared import drawn, tempered
from ..texts.reading import Reading, unknown_of
from ..texts.words import Worded, seeds
from .ngrams import ngrams_of
from .writing import write_arpa, written_names

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FORMAT, VERSION = "matrixbayes.backoff", 1
PARTS = ("starts", "tokens", "values", "backs", "contexts", "base")


class BackoffModel(Worded, Hosted, display.Shown):
    r"""n-grams with probabilities, and weights to back off with: a model that never changes.

    The probability of a token w after a context u, with u' the context less its first token, is

    .. math:: P(w \mid u) = p(u w)\text{ where the n-gram is listed, else } b(u) P(w \mid u')

    with b(u) = 1 where the context is not listed.  `read_arpa` reads one from a file.

    Parameters
    ----------
    table : _core.BackoffTable
        The n-grams.
    tokens : iterable of str, optional
        The names of the tokens.  Where one is ``<unk>``, names that are no tokens are that token;
        where one is ``</s>``, strings of text end with it.
    pruned : Pruned, optional
        What pruning took from the model; see `TransitionMatrix.prune`.

    Attributes
    ----------
    order, n_tokens : int
        Tokens in the longest contexts, one fewer than in the longest n-grams; size of the
        vocabulary.
    tokens : tuple of str or None
    begin : ndarray of int
        What stands before a document: ``predict(model.begin)`` tells of first tokens.
    sizes : tuple of int
        How many n-grams of 1, 2, ... tokens there are.
    nbytes : int
        Memory of the n-grams.
    pruned : Pruned or None
        In a pruned matrix: how many n-grams went, and the loss.  Files do not keep it.

    Examples
    --------
    >>> import os, tempfile, matrixbayes as mb
    >>> path = os.path.join(tempfile.mkdtemp(), "model.arpa")
    >>> text = ["a b a", "b a c"]
    >>> matrix = mb.TransitionMatrix.from_text(text, order=1, hierarchical=True).to_arpa(path)
    >>> model = mb.read_arpa(path)
    >>> model.tokens, model.sizes
    (('<unk>', '</s>', 'a', 'b', 'c'), (5, 7))
    >>> bool(abs(model.score("b", ["a"]) - matrix.score("b", ["a"])) < 1e-8)
    True
    """

    _file = "backoff.safetensors"

    def __init__(
        self,
        table: BackoffTable,
        *,
        tokens: Iterable[str] | None = None,
        pruned: Pruned | None = None,
    ) -> None:
        if not isinstance(table, BackoffTable):
            raise TypeError(f"table must be a BackoffTable, not {type(table).__name__}")
        names = token_names(tokens, table.n_tokens, text=False)
        vocabulary = Vocabulary(table.n_tokens, names)
        vocabulary.unknown = unknown_of(vocabulary)
        self._grams, self._vocabulary = table, vocabulary
        self._reading: Reading | None = Reading.of(vocabulary)
        self._sizes: tuple[int, ...] | None = None
        self.pruned = pruned

    # -- what it is ---------------------------------------------------------------

    @property
    def order(self) -> int:
        """Tokens in the longest contexts."""
        return self._grams.order

    @property
    def n_tokens(self) -> int:
        """Size of the vocabulary, V."""
        return self._grams.n_tokens

    @property
    def tokens(self) -> tuple[str, ...] | None:
        """The names of the tokens."""
        return self._vocabulary.names

    @property
    def begin(self) -> Ids:
        """What stands before a document: begin tokens, number V, which none predicts."""
        return np.full(self.order, self.n_tokens, dtype=np.int64)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many n-grams of 1, 2, ... tokens are listed."""
        if self._sizes is None:
            values = self._grams.arrays()[2]
            longer = (int(np.count_nonzero(~np.isnan(each))) for each in values[1:])
            self._sizes = (self.n_tokens, *longer)
        return self._sizes

    @property
    def nbytes(self) -> int:
        """Memory of the n-grams, in bytes."""
        return self._grams.nbytes

    def to_pandas(self) -> pd.DataFrame:
        """A row for each length: how many n-grams there are.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame({"tokens": np.arange(1, self.order + 2), "ngrams": self.sizes})

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """How many n-grams there are, by length."""
        from ..plots import ngrams  # needs matplotlib

        return ngrams(self, ax=ax)

    def _table(self) -> display.Table:
        title = f"BackoffModel, order {self.order}, {self.n_tokens} tokens"
        lines: list[list[Any]] = [
            [f"n-grams of {k} token{'' if k == 1 else 's'}", size]
            for k, size in enumerate(self.sizes, start=1)
        ]
        if self.pruned is not None:
            lines.append(["n-grams before", sum(self.pruned.before)])
            lines.append(["lost, nats a token", self.pruned.loss])
        return display.Table(title, ["", ""], [*lines, ["memory, MB", self.nbytes / 1e6]])

    # -- prediction ---------------------------------------------------------------

    def predict(self, contexts: Any, *, top: int | None = None) -> Any:
        """The next token's distribution after each context.

        Parameters
        ----------
        contexts : array_like of shape (n, length), or (length,) for one
            Numbers or names; the last `order` of each count.  V stands for the beginning of a
            document.
        top : int, optional
            Only the most probable tokens.

        Returns
        -------
        ndarray of shape (n, V), or (V,) for one context
            Or with `top` two arrays of shape (n, top) or (top,): tokens, the most probable first,
            and their probabilities.  They sum to 1 where the model's do.
        """
        ids, single = self._contexts(contexts)
        rows = self._grams.rows(ids)
        if top is None:
            return rows[0] if single else rows
        best = np.argsort(-rows, axis=1, kind="stable")[:, : whole(top, "top", 1, self.n_tokens)]
        probs = np.take_along_axis(rows, best, axis=1)
        return (best[0], probs[0]) if single else (best, probs)

    def __getitem__(self, context: Any) -> Floats:
        """The row of a context: the distribution of the next token."""
        row: Floats = self.predict(context)
        return row

    def scores(self, tokens: Any) -> Floats:
        """ln P of every token of text, documents one behind the other, (n,).

        Parameters
        ----------
        tokens
            One document or several, as `TransitionMatrix.update` takes them, or one string.
        """
        return self._grams.scores(*self._texts(tokens).joined(), before=self.begin)

    def log_prob(self, tokens: Any) -> float:
        """Log-probability of text, in nats.

        Parameters
        ----------
        tokens
            One document or several, as `TransitionMatrix.update` takes them, or one string.
        """
        return self._grams.log_prob(*self._texts(tokens).joined(), before=self.begin)

    def matched(self, tokens: Any) -> Ids:
        """How long the n-gram is that each token of text has its probability from, (n,)."""
        return self._grams.matched(*self._texts(tokens).joined(), before=self.begin)

    def perplexity(self, tokens: Any) -> float:
        """``exp(-log_prob / n)`` of text of n tokens: the vocabulary an even guess would have."""
        return math.exp(-self._mean_log_prob(tokens))

    def generate(
        self,
        n: int,
        context: Any = None,
        *,
        rng: np.random.Generator | int | None = None,
        temperature: float = 1.0,
        text_seed: Sequence[str] | None = None,
        random_seed: int | Random | None = None,
    ) -> Any:
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
        text_seed : sequence of str, optional
        random_seed : int or random.Random, optional
            The context, as `score` takes it, and `rng`, as nltk has them: with either, words are
            drawn.

        Returns
        -------
        ndarray of shape (n,), or list of str
        """
        n = whole(n, "n", 0, 1 << 62)
        temperature = real(temperature, "temperature", math.inf, least=0.0)
        rng, is_worded = seeds(context, text_seed, rng, random_seed)
        generator = generator_of(rng)
        text = self.begin
        if context is not None:
            ids, single = self._contexts(context)
            if not single:
                raise ValueError(f"generate takes one context, not shape {ids.shape}")
            text = ids[0]
        elif text_seed is not None:
            text = self._words_before(text_seed)

        def draw(before: Ids) -> int:
            return tempered(self._grams.rows(before[np.newaxis])[0], temperature, generator)

        found = drawn(n, text, self.order, draw)
        return self._said(found) if is_worded else found

    # -- inside -------------------------------------------------------------------

    def _read_as(self, vocabulary: Vocabulary, reading: Reading | None) -> None:
        """Take strings for the documents that another model of these tokens takes them for."""
        if vocabulary.unknown is not None:
            self._vocabulary.unknown = vocabulary.unknown
        if reading is not None:
            self._reading = reading

    def _contexts(self, contexts: Any) -> tuple[Ids, bool]:
        return contexts_of(contexts, self._vocabulary, self.order, self.n_tokens)

    def _texts(self, tokens: Any) -> Texts:
        if isinstance(tokens, str):
            return Texts.of(self.encode(tokens))
        return documents_of(tokens, self._vocabulary)

    def _probability(self, context: Ids, token: int) -> float:
        own = context[np.newaxis, max(0, len(context) - self.order) :]
        return float(self._grams.pair_values(own, np.array([token]))[0])

    # -- files --------------------------------------------------------------------

    def to_arpa(
        self,
        path: str | os.PathLike[str],
        *,
        tokens: Iterable[str] | None = None,
        end: str | int | None = None,
        unknown: str | int | None = None,
    ) -> Self:
        """Write the model to a file in the format of ARPA.

        Parameters
        ----------
        path, tokens, end, unknown
            As for `TransitionMatrix.to_arpa`.

        Returns
        -------
        BackoffModel
            Itself.
        """
        names = written_names(self._vocabulary, tokens, end, unknown)
        write_arpa(path, ngrams_of(self._grams), names)
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a safetensors file, all or nothing.

        Raises
        ------
        OSError
            The folder cannot be written.  An old file is as it was.
        """
        found: tuple[Any, ...] = self._grams.arrays()
        *levels, root = found
        arrays = {"root": root}
        for name, parts in zip(PARTS, levels, strict=True):
            arrays |= {f"{name}{k}": each for k, each in enumerate(parts or ())}
        header = {
            "format": FORMAT,
            "version": VERSION,
            "order": self.order,
            "n_tokens": self.n_tokens,
            "tokens": None if self.tokens is None else list(self.tokens),
            "unknown": self._vocabulary.unknown,
            "reading": self._reads().__getstate__(),
            **told(self),
        }
        write_mapped(path, arrays, header)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Read a model that `save` wrote, and check all of it.

        Raises
        ------
        ValueError
            The file is not one of a back-off model, or is damaged.
        OSError
            It cannot be read.
        """
        arrays, header = open_mapped(path, FORMAT)
        require(path, header, VERSION)
        with naming(path, " is damaged"):
            n_levels = whole(header["order"], "order", 0, 16) + 1
            parts = [[arrays[f"{name}{k}"] for k in range(n_levels)] for name in PARTS[:5]]
            base = [arrays[f"base{k}"] for k in range(n_levels)] if "base0" in arrays else None
            table = BackoffTable(header["n_tokens"], *parts, base=base, root=arrays["root"])
            new = cls(table, tokens=header["tokens"])
            unknown = header.get("unknown")
            if unknown is not None:
                unknown = whole(unknown, "unknown", 0, new.n_tokens - 1)
            reading = Reading.saved(header.get("reading"), new.n_tokens)
            new._read_as(Vocabulary(new.n_tokens, None, unknown), reading)
            return restore(new, header)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_grams": (self.n_tokens, self._grams.arrays())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        n_tokens, (*levels, base, root) = state["_grams"]
        table = BackoffTable(n_tokens, *levels, base=base, root=root)
        vars(self).update(state, _grams=table)
