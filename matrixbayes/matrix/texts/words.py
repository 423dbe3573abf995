"""Questions by words, as users of nltk ask them.

Contents
    Worded    what has a vocabulary and predicts: its scores by words
    seeds     seeds of texts that are drawn
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..._base.arguments import listed, shown, whole
from ..._base.tokens import Vocabulary
from ..._base.typing import Documents, Ids
from .reading import BEGIN, Reading, unknown_of


class Worded:
    """Scores by words, of whatever has a vocabulary, predicts tokens and scores documents.

    Words that are no tokens are the token ``<unk>``, where there is one; ``<s>`` in a context is
    the beginning of a document.
    """

    _vocabulary: Vocabulary
    _reading: Reading | None

    @property
    def begin(self) -> Ids:
        """What stands before a document."""
        raise NotImplementedError

    def log_prob(self, tokens: Any) -> float:
        """Log-probability of documents, in nats."""
        raise NotImplementedError

    def _probability(self, context: Ids, token: int) -> float:
        raise NotImplementedError

    def _texts(self, tokens: Any) -> Documents:
        raise NotImplementedError

    # -- strings ------------------------------------------------------------------

    @property
    def tokenizer(self) -> Any:
        """What turns a line into tokens: None splits at white space.

        It is a callable that gives words or token numbers, or a tokenizer of transformers,
        tokenizers or tiktoken.  Files and pickles do not keep it: set it again after loading.
        """
        return self._reads().tokenizer.given

    @tokenizer.setter
    def tokenizer(self, tokenizer: Any) -> None:
        self._reading = Reading(tokenizer, self._reads().end)

    def encode(self, text: Any) -> list[Ids]:
        """A text as documents of token numbers, one a line.

        Parameters
        ----------
        text : str or iterable of str
            Lines: of one string, an open file, any iterable; or lists of words.

        Returns
        -------
        list of ndarray
            What `log_prob`, `perplexity` and others take.  Each ends with the token ``</s>``,
            where there is one; words that are no tokens are the token ``<unk>``.

        Raises
        ------
        NoSuchTokenError
            A word is no token, and none stands for such words.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> matrix = mb.TransitionMatrix.from_text(["a b a", "b a c"], order=1)
        >>> matrix.tokens
        ('<unk>', '</s>', 'a', 'b', 'c')
        >>> matrix.encode("a d")
        [array([2, 0, 1])]
        """
        return self._reads().documents(text, self._vocabulary)

    def _reads(self) -> Reading:
        return Reading.of(self._vocabulary) if self._reading is None else self._reading

    # -- scores -------------------------------------------------------------------

    def score(self, word: Any, context: Any = None) -> float:
        """The probability of a word after a context.

        Parameters
        ----------
        word : str or int
            A word, or the number of a token.
        context : sequence of str or int, optional
            The words before it, the last ones count.  A context that begins with ``<s>`` is the
            beginning of a document; without it, what stood before is not known.

        Returns
        -------
        float

        Examples
        --------
        >>> import matrixbayes as mb
        >>> matrix = mb.TransitionMatrix.from_text(["a b a", "b a c"], order=1)
        >>> round(matrix.score("b", ["a"]), 3), matrix.score("never", ["a"])
        (0.25, 0.125)
        """
        token = self._numbers([word], "word")
        return self._probability(self._words_before(context), int(token[0]))

    def logscore(self, word: Any, context: Any = None) -> float:
        """The logarithm to base 2 of `score`."""
        score = self.score(word, context)
        return math.log2(score) if score > 0.0 else -math.inf

    def entropy(self, text: Any) -> float:
        """Bits for each token of a text: minus its mean logarithm to base 2.

        Parameters
        ----------
        text : str or documents
            Lines of one string, as `encode` reads them, where it came from text; or documents, as
            `log_prob` takes them.
        """
        return -self._mean_log_prob(text) / math.log(2.0)

    # -- inside -------------------------------------------------------------------

    def _mean_log_prob(self, text: Any) -> float:
        """For each token, in nats."""
        documents = self._texts(text)
        n = sum(map(len, documents))
        if n == 0:
            raise ValueError("there are no tokens to score")
        return self.log_prob(documents) / n

    def _numbers(self, words: Any, what: str, last: int | None = None) -> Ids:
        """Words or numbers as the numbers of tokens."""
        unknown = unknown_of(self._vocabulary)
        known = [
            self._vocabulary.number(word, word if unknown is None else unknown)
            if isinstance(word, str)
            else word
            for word in words
        ]
        named = any(isinstance(word, str) for word in known)
        return self._vocabulary.ids(
            np.array(known, dtype=object) if named else known, what, lambda i: f"{what}[{i}]", last
        )

    def _words_before(self, context: Any) -> Ids:
        """A context of words: as many tokens as there are, or from the beginning of a document."""
        if context is None:
            return np.zeros(0, dtype=np.int64)
        if isinstance(context, str):
            raise TypeError(f"context is one string, {shown(context)}; give a list of words")
        words = listed(context, "context")
        begins = [i for i, word in enumerate(words) if isinstance(word, str) and word == BEGIN]
        if not begins or self._vocabulary.number(BEGIN) is not None:
            return self._numbers(words, "context", self._vocabulary.n_tokens)
        rest = self._numbers(words[begins[-1] + 1 :], "context")
        return np.concatenate([self.begin, rest])

    def _said(self, tokens: Iterable[int]) -> list[str]:
        """The names of tokens, or their numbers as words."""
        names = self._vocabulary.names
        return [str(token) if names is None else names[token] for token in tokens]


def seeds(context: Any, text_seed: Any, rng: Any, random_seed: Any) -> tuple[Any, bool]:
    """The seed of a text that is drawn, said in either way, and whether words are to be drawn."""
    both = (context is not None and text_seed is not None) or (
        rng is not None and random_seed is not None
    )
    if both:
        raise ValueError("give context or text_seed, and rng or random_seed, not both of them")
    if isinstance(random_seed, random.Random):
        random_seed = random_seed.getrandbits(64)
    elif random_seed is not None:
        random_seed = whole(random_seed, "random_seed", 0)
    is_worded = text_seed is not None or random_seed is not None
    return rng if random_seed is None else random_seed, is_worded
