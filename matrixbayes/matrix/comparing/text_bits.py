"""Models of any vocabularies, by what they make of the same texts.

Contents
    bits_per_byte    the bits that a model takes for each byte of texts
    BitsPerByte      the result, to be held against those of others
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..._base import display
from ..._base.arguments import instance, whole
from ..._base.typing import Documents, Floats, Ids
from ..documents import documents_of
from ..mixing.members import Members
from ..texts.reading import unknown_of
from ..texts.tokenizers import Tokenizer

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@display.shown
class Difference(NamedTuple):
    """A difference of bits per byte, and its standard error over texts."""

    bits: float
    standard_error: float

    def to_pandas(self) -> pd.DataFrame:
        """One row: ``bits`` and ``standard_error``.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame(self._asdict())

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The difference, and two standard errors."""
        from ..plots import bits_difference  # needs matplotlib

        return bits_difference(self, ax=ax)

    def _table(self) -> display.Table:
        return display.Table.of("Difference of bits per byte", self._asdict())


@dataclass(frozen=True, eq=False, repr=False)
class BitsPerByte(display.Shown):
    """What a model takes for texts; made by `bits_per_byte`.  ``float()`` of it is the figure.

    Attributes
    ----------
    bits : ndarray of shape (n,)
        Of each text: minus log2 of its probability.
    n_bytes, n_tokens : ndarray of int of shape (n,)
        Its bytes in UTF-8, and the tokens that the model's tokenizer made of it.
    n_unknown : int
        How many of the tokens stand for what is not in the vocabulary.
    texts : tuple of str

    Examples
    --------
    >>> import matrixbayes as mb
    >>> letters = mb.TransitionMatrix(1, tokens=("a", "b")).update(list("abababab"))
    >>> words = mb.TransitionMatrix(1, tokens=("ab", "ba")).update(["ab"] * 4)
    >>> found = mb.bits_per_byte(letters, ["abab", "abba"], list)
    >>> found.bits.round(3)
    array([1.848, 3.907])
    >>> pairs = mb.bits_per_byte(words, ["abab", "abba"], lambda text: [text[:2], text[2:]])
    >>> round(float(pairs), 3), round(found.difference(pairs).bits, 3)
    (0.58, 0.139)
    """

    bits: Floats
    n_bytes: Ids
    n_tokens: Ids
    n_unknown: int
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.bits)

    def __float__(self) -> float:
        return float(self.bits.sum() / self.n_bytes.sum())

    @property
    def standard_error(self) -> float:
        """Of bits per byte, over texts; NaN where there is one."""
        return _error_of_ratio(self.bits, self.n_bytes)

    @property
    def bytes_per_token(self) -> float:
        """How long tokens are."""
        return float(self.n_bytes.sum() / self.n_tokens.sum())

    @property
    def bits_per_token(self) -> float:
        """The base-2 logarithm of the perplexity of the model's own tokens."""
        return float(self.bits.sum() / self.n_tokens.sum())

    def difference(self, other: BitsPerByte) -> Difference:
        """How many bits a byte this model takes more than another, text by text.

        Raises
        ------
        ValueError
            The texts are others.
        """
        if len(self) != len(instance(other, BitsPerByte, "other")):
            raise ValueError(f"here are {len(self)} texts, there {len(other)}")
        for i, (mine, theirs) in enumerate(zip(self.texts, other.texts, strict=True)):
            if mine != theirs:
                raise ValueError(
                    f"text {i} is {display.show(mine)} here and {display.show(theirs)} there"
                )
        more = self.bits - other.bits
        return Difference(
            float(more.sum() / self.n_bytes.sum()), _error_of_ratio(more, self.n_bytes)
        )

    def to_pandas(self) -> pd.DataFrame:
        """A row for each text: itself, its bits, bytes, tokens and bits per byte.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame(
            {
                "text": list(self.texts),
                "bits": self.bits,
                "bytes": self.n_bytes,
                "tokens": self.n_tokens,
                "bits_per_byte": self.bits / np.maximum(self.n_bytes, 1),
            }
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Bits per byte, text by text."""
        from ..plots import text_bits  # needs matplotlib

        return text_bits(self, ax=ax)

    def _table(self) -> display.Table:
        n = len(self)
        title = (
            f"{display.number(float(self))} bits per byte of {n} text{'' if n == 1 else 's'}, "
            f"standard error {display.number(self.standard_error)}"
        )
        lines: list[list[Any]] = [
            ["bytes", int(self.n_bytes.sum())],
            ["tokens", int(self.n_tokens.sum())],
            ["bytes a token", self.bytes_per_token],
            ["bits a token", self.bits_per_token],
        ]
        if self.n_unknown:
            lines.append(["unknown tokens", self.n_unknown])
        return display.Table(title, ["", ""], lines)


def bits_per_byte(
    model: Any, texts: str | Sequence[str], tokenizer: Any = None, *, batch_size: int = 8
) -> BitsPerByte:
    """The bits that a model takes for each byte of texts, whatever its tokens are.

    Parameters
    ----------
    model : TransitionMatrix, Interpolation, or causal language model of HuggingFace
        Or anything that has ``n_tokens``, ``predict`` and ``scores``, as in `Interpolation`.
    texts : str or sequence of str
        Each by itself, from its beginning.
    tokenizer : callable or tokenizer, optional
        From a text to its tokens: their ids, or names; by default it is split at white space.
        Tokenizers of transformers, tokenizers and tiktoken are asked for no special tokens; others
        say by themselves what belongs to a text, its end perhaps.
    batch_size : int
        Of a language model: texts at once.

    Returns
    -------
    BitsPerByte
        Of two models ``a.difference(b)`` is what one takes more, with its standard error.

    Raises
    ------
    ValueError, TypeError
        There is no text, or no token in it, or one that is none of the model's.

    Warns
    -----
    RuntimeWarning
        Some tokens stand for words that the vocabulary does not have (``<unk>``): they are cheaper
        than what they stand for, and the figure is not comparable with that of a model that writes
        all.

    Notes
    -----
    A language model reads the token that its tokenizer begins texts with (BOS, or else EOS), which
    costs nothing, and texts beyond its length in windows that overlap by a half.  The bits are
    those of one way to cut a text into tokens: never fewer than all ways together would take.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> matrix = mb.TransitionMatrix(1, tokens=("to", "be", "or", "not")).update(
    ...     "to be or not to be".split()
    ... )
    >>> round(float(mb.bits_per_byte(matrix, "to be", str.split)), 3)
    0.6
    """
    batch_size = whole(batch_size, "batch_size", 1)
    given = (texts,) if isinstance(texts, str) else tuple(texts)
    for i, text in enumerate(given):
        if not isinstance(text, str):
            raise TypeError(f"text {i} is {type(text).__name__}; texts are strings")
    n_bytes = np.array([len(text.encode("utf-8", "surrogatepass")) for text in given], dtype=int)
    if not n_bytes.any():
        raise ValueError("there is no text with a byte")
    encoded = list(Tokenizer(tokenizer)(given))
    is_language_model = hasattr(model, "get_output_embeddings")
    ids: Documents
    if is_language_model:
        scores, unknown, ids = _of_language_model(model, encoded, tokenizer, batch_size)
    else:
        members = Members((model,))
        unknown = members.vocabulary.unknown = unknown_of(members.vocabulary)
        ids = documents_of(encoded, members.vocabulary)
        ends = np.cumsum([len(each) for each in ids])[:-1]
        scores = np.split(members.scores(ids)[:, 0], ends)
    if not any(map(len, ids)):
        raise ValueError("the tokenizer made no token of any text")
    n_unknown = 0 if unknown is None else int(sum((each == unknown).sum() for each in ids))
    if n_unknown:
        warnings.warn(
            f"{n_unknown} of {sum(map(len, ids))} tokens stand for what the vocabulary does not "
            "have: they are cheaper than it, and the bits no bound for models that write all",
            RuntimeWarning,
            stacklevel=2,
        )
    return BitsPerByte(
        bits=np.array([-each.sum() / np.log(2.0) for each in scores]),
        n_bytes=n_bytes,
        n_tokens=np.array([len(each) for each in ids], dtype=int),
        n_unknown=n_unknown,
        texts=given,
    )


def _of_language_model(
    model: Any, encoded: Sequence[Any], tokenizer: Any, batch_size: int
) -> tuple[list[Floats], int | None, list[Ids]]:
    """ln p of the tokens of each text, the unknown token, and the tokens."""
    from ...huggingface.runs.text_scores import text_scores

    begins = [getattr(tokenizer, name, None) for name in ("bos_token_id", "eos_token_id")]
    begin = next((each for each in begins if each is not None), None)
    if begin is None:
        raise ValueError("the tokenizer has neither a BOS nor an EOS token to begin a text with")
    ids = [np.asarray(each, dtype=np.int64).reshape(-1) for each in encoded]
    unknown = getattr(tokenizer, "unk_token_id", None)
    scores = text_scores(model, ids, begin, batch_size)
    return scores, None if unknown in begins else unknown, ids


def _error_of_ratio(values: Floats, sizes: Ids) -> float:
    """The standard error of sum(values) / sum(sizes), over texts."""
    n = len(values)
    if n < 2:
        return float("nan")
    left = values - values.sum() / sizes.sum() * sizes
    return float(np.sqrt(n / (n - 1) * (left**2).sum()) / sizes.sum())
