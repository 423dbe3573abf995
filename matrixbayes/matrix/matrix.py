"""The Matrix: a row of next-token probabilities for each context, learnt from text.

Contents
    TransitionMatrix    contexts, the tokens that followed them, and the prior of each row
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from random import Random
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._base import display, parallel
from .._base.arguments import generator_of, real, whole
from .._base.progress import bar, begin
from .._base.saving.hub import Hosted
from .._base.saving.made import made_with, note
from .._base.tokens import order_of
from .._base.typing import Documents, Floats, Ids
from ..mixture import DirichletMixture
from . import files
from .arguments import (
    EVEN,
    MAX_TOKENS,
    check_counts,
    check_tree,
    checked_prior,
    concentrations,
    discounts_of,
    root_prior,
    sparse,
    tree_order,
    vocabulary,
)
from .arpa.model import BackoffModel
from .arpa.ngrams import ngrams_of
from .arpa.tables import table_of
from .arpa.writing import write_arpa, written_names
from .backoff import BackoffRows
from .counts import Levels, multiplied, of_pairs, pairs, thawed
from .discounts import DiscountedRows
from .documents import ENDINGS, Texts, contexts_of, documents_of, without_ending
from .fading import RealCounts
from .frozen import REFUSED, thaw
from .prior import Concentration, SharedPrior
from .pruning.pruned import counted_states, pruned_table
from .shared import SharedRows, dense_blocks, drawn, most_probable, tempered
from .texts.counting import counted
from .texts.reading import Reading
from .texts.words import Worded, seeds
from .tree import TreeRows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from scipy.sparse import csr_array


MAX_ORDER = 16
CHANGING = (
    "another thread is changing this matrix; wait until it is done, or give each thread a matrix "
    "of its own and merge them"
)


class TransitionMatrix(Worded, Hosted, display.Shown):
    r"""Contexts of `order` tokens, what followed them, and a posterior over each row.

    After Dalal & Misra (2024): a language is a matrix with a row for each context, the
    probabilities of the next token; each row has a prior, text updates it by Bayes' rule, and the
    prediction is the posterior mean.  For a row with counts n (N in all) and one Dirichlet,

    .. math:: P(v \mid c) = (\alpha_v + n_v) / (A + N)

    Parameters
    ----------
    order : int or "tree"
        Tokens in a context, 1 to 16.  In a "tree" it is not known how many matter, after which
        context how many: the posterior is over all trees of contexts of at most `depth` tokens.
    prior : DirichletMixture or float
        The prior of every row; a number is the alpha of each token.  In a hierarchy it is the
        prior of the empty context's row: 1 by default, or with another matrix's `concentrations`
        that matrix's.
    n_tokens : int, optional
        Size of the vocabulary V, 1 to 2**32 (one less in a hierarchy); taken from `prior` or
        `tokens` where they tell it.
    tokens : sequence of str, optional
        The names of the tokens.
    hierarchical : bool or sequence of float or (weights, values)
        Whether the mean of a row is the predictive of the next shorter context (MacKay & Peto
        1995), its concentration one for each order: 1 until `fit_prior` finds better ones, or
        those given, for contexts of 1, 2, ..., `order` tokens: numbers, or another matrix's
        `concentrations`, which bring its prior with them.
    discount : float
        Above 0, at most 1: what a row's counts are multiplied by before a new token of the row
        is added.  Below 1 counts are real numbers; what has faded below 1e-300 is none.
    depth : int, optional
        In a tree, tokens of its longest contexts, 1 to 16; 5 by default.
    deeper : float, optional
        In a tree, the prior probability that a context is told from longer ones, above 0 and below
        1; 1/2 by default, one bit for each context that was seen, however many tokens there are.
    discounts : bool or array_like of shape (order + 1, 4), (order + 1, 1, 8) or (order + 1, 90, 8)
        Whether rows have discounts: a hierarchy whose counts are lessened, what that frees going to
        the shorter context's row with the weight of a concentration theta, as in modified
        Kneser-Ney smoothing.  Given are, for contexts of 0, 1, ..., `order` tokens, D_1, D_2, D_3
        (of counts of 1, of 2 and above 2) and theta, or what another matrix's `discounts` are.

    Attributes
    ----------
    order, n_tokens : int
        Tokens in a context, of a tree in its longest; size of the vocabulary.
    is_tree : bool
    deeper : float or None
    begin : ndarray of int
        What stands before a document: ``predict(matrix.begin)`` tells of first tokens.
    tokens : tuple of str or None
    hierarchical : bool
    frozen : bool
        Whether it is what `freeze` wrote.
    discount : float
    prior : DirichletMixture or float
    concentrations : tuple of (weights, values)
        In a hierarchy, for contexts of 1, 2, ... tokens; else empty.
    discounts : ndarray of shape (order + 1, 1, 8) or (order + 1, 90, 8), or None
        Where rows have them: what counts of 1, 2, 3, 4 to 5, 6 to 9, 10 to 24 and more are lessened
        by, and theta; the same for all rows, or for each size of rows.
    n_observed : int
        Tokens counted: the sum of all counts (a float where counts are real).
    nbytes : int
        Memory of the counts.

    Raises
    ------
    ValueError, TypeError
        A parameter is not as described.

    Notes
    -----
    In a plain matrix a token with fewer than `order` tokens before it in its document is scored by
    the prior mean and not counted.  In a hierarchy a document begins with `order` begin tokens
    (number V, which no one predicts), so that every token is counted.  Contexts shorter than
    `order` say that what stood before is not known: they give the shorter context's row in a
    hierarchy, and the prior mean otherwise.

    In a tree documents begin with `order` begin tokens too, and each context that is a leaf has a
    row of its own, with the prior of all rows.  The sum over all trees is exact, in time linear
    in the text (Willems, Shtarkov & Tjalkens 1995; Kontoyiannis et al. 2022): predictions are means
    over the posterior of trees and rows, `log_evidence` has a closed form, and the order of updates
    does not matter.  `posterior_order` says how many tokens matter, `best_tree` after which.

    Shorter contexts of a hierarchy count types, not tokens: in how many different longer contexts a
    token was seen.  That is nearly the mean that maximises the evidence (MacKay & Peto 1995), and
    what Kneser and Ney count.

    One thread may change a matrix at a time, others may read meanwhile and see it as it was before
    the change; a second change raises RuntimeError.  What fails or is interrupted changes nothing.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> matrix = mb.TransitionMatrix(1, n_tokens=3)
    >>> matrix.update([0, 1, 1, 2, 0, 1, 2, 2, 1, 0, 1, 1]).counts([[0], [1], [2]])
    array([[0, 3, 0],
           [1, 2, 2],
           [1, 1, 1]], dtype=uint64)
    >>> matrix.predict([1])
    array([0.25 , 0.375, 0.375])
    """

    _file = "matrix.safetensors"
    _earlier: tuple[Ids, ...]  # endings of earlier updates
    _made: dict[str, Any] | None  # how it was made: see _base/saving/made.py
    _reading: Reading | None = None  # of strings; none in old pickles

    def __init__(
        self,
        order: int | str,
        *,
        prior: DirichletMixture | float = EVEN,
        n_tokens: int | None = None,
        tokens: Iterable[str] | None = None,
        hierarchical: bool | Sequence[float | tuple[ArrayLike, ArrayLike]] = False,
        discount: float = 1.0,
        depth: int | None = None,
        deeper: float | None = None,
        discounts: bool | ArrayLike = False,
    ) -> None:
        self._order, odds = tree_order(order, depth, deeper, MAX_ORDER)
        prior = root_prior(prior, hierarchical)
        numbers = discounts_of(discounts, self._order)
        self._vocabulary = vocabulary(prior, n_tokens, tokens)
        is_hierarchical, to_begin_with = concentrations(hierarchical, self._order)
        if numbers is not None and not isinstance(hierarchical, (bool, np.bool_)):
            raise ValueError("rows have concentrations (hierarchical) or discounts, not both")
        is_hierarchical = is_hierarchical or numbers is not None
        self._discount = real(discount, "discount")
        shared = SharedPrior(checked_prior(prior, self.tokens), self.n_tokens)
        self._rows: SharedRows | BackoffRows | TreeRows
        if odds is not None:
            check_tree(self.n_tokens, is_hierarchical, self._discount)
            self._rows = TreeRows.new(self._order, shared, odds)
        elif is_hierarchical:
            if self.n_tokens == MAX_TOKENS:
                raise ValueError("n_tokens is 2**32; in a hierarchy it is 2**32 - 1 at most")
            if self._discount < 1.0:
                raise ValueError("a hierarchy counts types, which do not fade: discount must be 1")
            levels = Levels(self._order, self.n_tokens)
            self._rows = (
                BackoffRows(levels, shared, to_begin_with)
                if numbers is None
                else DiscountedRows(levels, shared, numbers)
            )
        else:
            sizes = self._order, self.n_tokens
            fades = self._discount < 1.0
            self._rows = SharedRows(
                RealCounts(*sizes, self._discount) if fades else _core.TransitionCounts(*sizes),
                shared,
            )
        self._latest, self._earlier = np.zeros(0, dtype=np.int64), ()
        self._made = None
        self._writing = parallel.OneAtATime(CHANGING)

    @classmethod
    def from_text(
        cls,
        text: Any,
        *,
        order: int | str,
        tokenizer: Any = None,
        vocabulary: Iterable[str] | None = None,
        min_count: int = 1,
        max_tokens: int | None = None,
        unknown: str | None = "<unk>",
        end: str | int | None = "</s>",
        **options: Any,
    ) -> Self:
        """A matrix of strings: its vocabulary, and its counts.

        Parameters
        ----------
        text : str or iterable of str
            Lines, a document each: of one string, an open file, any iterable; or lists of words.
            An empty line is a document without words.
        order : int or "tree"
            Tokens in a context: one fewer than in the longest n-grams, which others call the order.
        tokenizer : callable or tokenizer, optional
            Gives the tokens of a line: words, or numbers.  By default lines are split at white
            space.  Tokenizers of transformers, tokenizers and tiktoken bring their vocabulary.
        vocabulary : iterable of str, optional
            The tokens; by default the words of the text, the most frequent first, behind `unknown`
            and `end`.  What is missing of these two stands at its end.
        min_count : int
            Words that come less often are unknown.
        max_tokens : int, optional
            Size of the vocabulary at most: rarer words are unknown.
        unknown : str, optional
            The token for words that are none.  It is a token like others, with the probability that
            its counts and the prior give it; without it (None) such words are refused.
        end : str or int, optional
            The token that is added to the end of each document; None for no such token.  Of a
            tokenizer that gives numbers, by default its own, if it has one.
        **options
            Of `TransitionMatrix`: ``hierarchical=True``, ``discounts=True`` and others.

        Returns
        -------
        TransitionMatrix
            Its words may then be asked about by themselves: `score`, `entropy`, `encode`.

        Raises
        ------
        ValueError, TypeError
            There is no token; the text has the word ``<s>``, or that of `end`; the tokenizer gives
            something else.

        Notes
        -----
        Files and pickles keep the tokens, `unknown` and `end`, and that there was a tokenizer, but
        not the tokenizer itself: set `tokenizer` after loading.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> lines = ["the cat sat", "the dog sat", "a cat ran"]
        >>> matrix = mb.TransitionMatrix.from_text(lines, order=2, hierarchical=True)
        >>> matrix.tokens
        ('<unk>', '</s>', 'the', 'cat', 'sat', 'dog', 'a', 'ran')
        >>> matrix.score("cat", ["<s>", "the"]) > matrix.score("ran", ["<s>", "the"])
        True
        """
        found = counted(text, tokenizer, vocabulary, min_count, max_tokens, unknown, end)
        if found.names is not None:
            options.setdefault("tokens", found.names)
        elif found.n_tokens is not None:
            options.setdefault("n_tokens", found.n_tokens)
        new = cls(order, **options)
        if found.names is not None and new.tokens != found.names:
            raise ValueError("the tokens are those of the text: give them as vocabulary")
        new._vocabulary.unknown = found.unknown
        new._reading = found.reading
        return new.update(found.documents)

    # -- what it is ---------------------------------------------------------------

    @property
    def order(self) -> int:
        """Tokens in a context."""
        return self._order

    @property
    def n_tokens(self) -> int:
        """Size of the vocabulary, V."""
        return self._vocabulary.n_tokens

    @property
    def tokens(self) -> tuple[str, ...] | None:
        """The names of the tokens."""
        return self._vocabulary.names

    @property
    def hierarchical(self) -> bool:
        """Whether the mean of a row is the predictive of the next shorter context."""
        return self._rows.hierarchical

    @property
    def is_tree(self) -> bool:
        """Whether contexts are as long as the posterior of trees says."""
        return isinstance(self._rows, TreeRows)

    @property
    def deeper(self) -> float | None:
        """In a tree, the prior probability that a context is told from longer ones."""
        return self._rows.deeper if isinstance(self._rows, TreeRows) else None

    @property
    def discount(self) -> float:
        """What a row's counts are multiplied by before a new token is added."""
        return self._discount

    @property
    def frozen(self) -> bool:
        """Whether it is what `freeze` wrote, which never changes."""
        return isinstance(self._rows.longest, _core.FrozenCounts)

    @property
    def prior(self) -> DirichletMixture | float:
        """The prior of every row, or in a hierarchy of the empty context's."""
        return self._rows.prior.given

    @property
    def concentrations(self) -> tuple[Concentration, ...]:
        """Of contexts of 1, 2, ... tokens, in a hierarchy: (weights, values) each.

        They remember `prior`: a matrix that is given them, ``hierarchical=matrix.concentrations``,
        and no prior of its own has that one too, and so the same evidence.
        """
        rows = self._rows
        return tuple(each.beside(rows.prior.given) for each in rows.concentrations)

    @property
    def discounts(self) -> Floats | None:
        """D_1, ..., D_7 and theta of contexts of 0, 1, ... tokens and of each size of rows."""
        return self._rows.discounts.copy() if isinstance(self._rows, DiscountedRows) else None

    @property
    def begin(self) -> Ids:
        """What stands before a document: `order` begin tokens in a hierarchy or tree."""
        return self._rows.begin

    @property
    def n_observed(self) -> int | float:
        """The sum of all counts."""
        return self._rows.longest.n_observed

    @property
    def nbytes(self) -> int:
        """Memory of the counts, in bytes."""
        return self._rows.nbytes

    def __len__(self) -> int:
        """How many contexts were seen."""
        return self._rows.longest.sizes()[0]

    @property
    def n_pairs(self) -> int:
        """How many different (context, token) pairs were seen."""
        return self._rows.longest.sizes()[1]

    def to_pandas(self) -> pd.DataFrame:
        """A row for each context: itself, how often it was seen, before how many tokens.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        now = self.copy()  # whatever another thread goes on to do
        contexts, rows = now.contexts(), now.rows()
        return display.frame(
            {
                "context": [tuple(map(int, context)) for context in contexts],
                "seen": np.asarray(rows.sum(axis=1)).ravel(),
                "followers": np.diff(rows.indptr),
            }
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """How often contexts were seen."""
        from .plots import context_counts  # needs matplotlib

        return context_counts(self.copy(), ax=ax)

    def _table(self) -> display.Table:
        now = self.copy()
        kind = "hierarchical" if now.hierarchical else "one prior for all rows"
        kind = f"tree of contexts, {kind}" if now.is_tree else kind
        kind += ", with discounts" if now.discounts is not None else ""
        kind = f"{kind}, frozen" if now.frozen else kind
        title = f"TransitionMatrix, order {self.order}, {self.n_tokens} tokens, {kind}"
        lines: list[list[Any]] = [
            ["contexts", len(now)],
            ["(context, token) pairs", now.n_pairs],
            ["tokens counted", now.n_observed],
            ["memory, MB", now.nbytes / 1e6],
        ]
        prior = now.prior
        if isinstance(prior, float):
            what = f"alpha {display.number(prior)}"
        else:
            what = f"{prior.n_components} Dirichlet{'' if prior.n_components == 1 else 's'}"
        lines.append(["prior of the empty context" if now.hierarchical else "prior", what])
        if now.concentrations:
            means = [np.exp(weights @ np.log(values)) for weights, values in now.concentrations]
            several = max(len(weights) for weights, _ in now.concentrations)
            name = "concentrations" + (f", on average ({several})" if several > 1 else "")
            lines.append([name, ", ".join(f"{mean:.3g}" for mean in means)])
        if self.discount < 1.0:
            lines.append(["discount", self.discount])
        return display.Table(title, ["", ""], lines)

    # -- learning -----------------------------------------------------------------

    def update(
        self,
        tokens: ArrayLike | Sequence[ArrayLike],
        *,
        bounds: ArrayLike | None = None,
        continued: bool = False,
        executor: Executor | None = None,
        n_jobs: int | None = 1,
    ) -> Self:
        """Learn from text: exact Bayesian updating of the row of each context.

        Parameters
        ----------
        tokens : array_like of shape (n,), or a sequence of them
            One document, or several (also the rows of what has two axes, such as a data frame, and
            the entries of a column of sequences): whole numbers of any type, or names.  No context
            crosses from one document into the next.
        bounds : array_like of shape (d + 1,), optional
            Where documents begin and end in one array of tokens: the i-th is
            ``tokens[bounds[i]:bounds[i + 1]]``.
        continued : bool
            The first document goes on where the last one of the last update ended: a stream may be
            cut anywhere.
        executor : concurrent.futures.Executor, optional
        n_jobs : int, optional
            Taken as elsewhere, and of no consequence: the calling thread counts.  To send text to
            others and to merge what they found takes longer.  Text that lies on a cluster is
            counted there by `matrixbayes.dask.update`.

        Returns
        -------
        TransitionMatrix
            Itself.

        Raises
        ------
        ValueError, TypeError
            A token is not one; its document and position are named.
        RuntimeError
            Another thread is changing the matrix.
        OverflowError
            More than 2**64 - 1 tokens.

        Notes
        -----
        Cost: a sort of the new pairs, and a share of the merging of sorted runs, each at least
        twice as long as the next: a pair is copied about log2(all / new) times in its life.
        """
        parallel.job_count(n_jobs)
        with self._change():
            documents = self._documents(tokens, self._latest if continued else None, bounds)
            if documents:
                earlier = (*self._earlier, self._latest)[-ENDINGS:]
                latest = documents[-1][-self._order :].copy()
                rows = self._rows.with_documents(documents)
                self._become(rows=rows, earlier=earlier, latest=latest)
        return self

    def update_rows(self, contexts: ArrayLike, counts: Any) -> Self:
        """Learn from counts that were made elsewhere.

        Parameters
        ----------
        contexts : array_like of shape (n, order), or (order,)
        counts : array_like of shape (n, V) or (V,), mapping, or sparse rows (n, V)
            Whole numbers >= 0, to be added; where counts are real (`discount`, `forget`) also
            real ones, which do not fade what is there.  What has names (the columns of a data
            frame, a mapping or a column of pandas for one context) is matched to the tokens by
            them.

        Raises
        ------
        ValueError, TypeError
            A count is negative or not whole; its row and column are named.
        """
        ids, _ = self._whole_contexts(contexts)
        row, columns, times = sparse(counts, len(ids), self._vocabulary)
        with self._change():
            check_counts(row, columns, times, "biuf" if self._rows.real else "biu")
            more = of_pairs(self._rows.longest, ids[row], columns, times)
            self._rows = self._rows.with_counts(more)
        return self

    def downdate(
        self,
        tokens: ArrayLike | Sequence[ArrayLike],
        *,
        bounds: ArrayLike | None = None,
        before: Any = None,
    ) -> Self:
        """Unlearn text: exactly as if it had never been counted.

        The inverse of `update`: counts subtract, and every answer, evidence and file is that of a
        matrix that has not seen the text, in whatever order the rest came.  Priors stay as they
        are, fitted or not.

        Parameters
        ----------
        tokens : array_like of shape (n,), or a sequence of them
            One document or several, as `update` took them.
        bounds : array_like of shape (d + 1,), optional
            Where documents begin and end in one array, as `update` has it.
        before : array_like of shape (m,), optional
            What stood before the first one where it was counted with `continued`: the end of the
            document that it went on from.

        Returns
        -------
        TransitionMatrix
            Itself.

        Raises
        ------
        ValueError
            Something was never counted, which is named: the matrix is as it was.  Or counts are
            real numbers: what has faded is not known exactly.
        TypeError
            A token is not one.
        RuntimeError
            Another thread is changing the matrix.

        Notes
        -----
        What has fewer than `order` tokens before it in a plain matrix was never counted, and is not
        missed.  Cost: a sort of the pairs of the text, and a pass over those of the matrix.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> matrix = mb.TransitionMatrix(1, n_tokens=2).update([[0, 1, 0], [1, 1, 0]])
        >>> matrix.downdate([1, 1, 0]).counts([[0], [1]])
        array([[0, 1],
               [1, 0]], dtype=uint64)
        >>> matrix.downdate([1, 1])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: the count of token 1 after [1] is 0, from which 1 cannot be taken away: ...
        """
        with self._change():
            ending = None if before is None else self._ending(before)
            documents = self._documents(tokens, ending, bounds)
            if documents:
                rows = self._rows.without_documents(documents)
                latest, earlier = without_ending(
                    self._latest, self._earlier, documents[-1][-self._order :]
                )
                self._become(rows=rows, latest=latest, earlier=earlier)
        return self

    def merge(self, other: TransitionMatrix, *, weight: float = 1) -> Self:
        """Add the counts of another matrix; exact, in 64 bits.

        Priors are not merged: this matrix keeps its own.  ``a + b`` is a new matrix, and so is
        ``sum([a, b, c])``.  Tokens with names are matched by them.

        Parameters
        ----------
        other : TransitionMatrix
        weight : float
            How often each of its counts is added: a whole number, as if its text had come so often.
            Where the counts of either matrix are real (`discount`, `forget`) also a real number.

        Raises
        ------
        ValueError
            Orders, vocabularies, or the kinds of matrices differ; or the weight is negative, or not
            whole where counts are.
        OverflowError
            More than 2**64 - 1 tokens.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> a, b = (mb.TransitionMatrix(1, n_tokens=2).update(x) for x in ([0, 1, 0], [1, 1, 0]))
        >>> a.copy().merge(b, weight=3).counts([1])
        array([4, 3], dtype=uint64)
        >>> a.copy().forget(1.0).merge(b, weight=0.5).counts([1])
        array([1.5, 0.5])
        >>> sum([a, b]).counts([1])
        array([2, 1], dtype=uint64)
        """
        weight = real(weight, "weight", float(np.finfo(float).max), least=0.0)
        if not isinstance(other, TransitionMatrix):
            raise TypeError(f"a matrix merges with a TransitionMatrix, not {type(other).__name__}")
        for name in ("order", "n_tokens", "hierarchical", "is_tree", "discount"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise ValueError(f"{name} is {mine} here and {theirs} there: these do not merge")
        order = order_of(
            other.tokens, self.tokens, "the names of the tokens differ: these do not merge"
        )
        with self._change():
            rows, more = self._rows, other._rows
            counts: Any = multiplied(thawed(more.longest), weight, rows.real or more.real)
            if order is not None:
                number = np.append(np.argsort(order), self.n_tokens)  # of theirs; begin stays
                contexts, tokens, times = pairs(counts)
                counts = of_pairs(counts, number[contexts], number[tokens], times)
            self._rows = rows.with_counts(counts)
        return self

    def __add__(self, other: TransitionMatrix) -> TransitionMatrix:
        if not isinstance(other, TransitionMatrix):
            return NotImplemented
        return self.thaw().merge(other)

    def __radd__(self, other: object) -> TransitionMatrix:
        if not (isinstance(other, int) and other == 0):  # where sum() begins
            return NotImplemented
        return self.thaw()

    def copy(self) -> TransitionMatrix:
        """A matrix of its own with the same contents; they share memory until one changes."""
        new = object.__new__(type(self))
        new.__setstate__(self.__getstate__())
        return new

    def thaw(self) -> TransitionMatrix:
        """A copy that can change: of a frozen matrix its counts are read into memory.

        Examples
        --------
        >>> import os, tempfile, matrixbayes as mb
        >>> path = os.path.join(tempfile.mkdtemp(), "matrix.safetensors")
        >>> frozen = mb.TransitionMatrix(1, n_tokens=2).update([0, 1, 0, 1, 0]).freeze(path)
        >>> frozen.thaw().update([0, 1]).counts([0])
        array([0, 3], dtype=uint64)
        """
        new = self.copy()
        new._rows = thaw(self._rows)
        return new

    def empty(self) -> TransitionMatrix:
        """A matrix with the same prior that has seen nothing."""
        new = self.copy()
        new._rows, new._latest, new._earlier = self._rows.empty(), self._latest[:0], ()
        return new

    def going_on_from(self, tokens: Any) -> Self:
        """Take these for the end of the last document, so that an update can be `continued`."""
        with self._change():
            self._latest = self._ending(tokens)
        return self

    def forget(self, factor: float, contexts: ArrayLike | None = None) -> Self:
        """Multiply counts by a factor: what was learnt weighs less from now on.

        Counts become real numbers, as those of a discounted matrix are.

        Parameters
        ----------
        factor : float
            From 0, which forgets rows altogether, to 1.
        contexts : array_like of shape (n, order) or (order,), optional
            Whose rows; all by default.

        Raises
        ------
        ValueError
            In a hierarchy, whose shorter contexts count types: these do not fade.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> matrix = mb.TransitionMatrix(1, n_tokens=2).update([0, 1, 0, 1, 0])
        >>> matrix.forget(0.5, [0]).counts([[0], [1]])
        array([[0., 1.],
               [2., 0.]])
        """
        factor = real(factor, "factor", least=0.0)
        ids = None if contexts is None else self._whole_contexts(contexts)[0]
        with self._change():
            self._rows = self._rows.scaled(factor, ids)
        return self

    def fit_prior(
        self,
        n_components: int = 1,
        *,
        documents: ArrayLike | Sequence[ArrayLike] | None = None,
        progress: bool | None = None,
        **options: Any,
    ) -> Self:
        """Fit the prior to the rows that were seen, by maximum evidence (empirical Bayes).

        Discounts are fitted instead to documents that are left out, all orders together: what
        predicts best a text that was not seen.  Without documents they are Kneser and Ney's, from
        how many counts are 1, 2, 3 and 4, which predicts less well.

        Parameters
        ----------
        n_components : int
            Components of the mixture over rows.  In a hierarchy: concentrations of each order.
            With one it is that of highest evidence (MacKay & Peto 1995); several stand on a grid
            from 1/8 to 8192 and at that one, with weights of highest evidence.  What the rows do
            not tell apart coincides, so that more of them predict held-out text no worse.
        documents : array_like of shape (n,), or a sequence of them
            Where rows have discounts: the text that was counted, as `update` took it, or some of
            it.  A part after the other is unlearnt and predicted by the rest; the counts stay as
            they are.  Fewer than 80 documents are cut into pieces.
        progress : bool, optional
            Show a progress bar of the steps of the search: True, False, or None for one that shows
            only in a terminal or notebook.
        **options
            In a plain matrix or a tree, parameters of `DirichletMixtureEstimator`.

        Returns
        -------
        TransitionMatrix
            Itself, with `prior` set, and in a hierarchy `concentrations`; the prior of its empty
            context is fitted where it is a number.

        Raises
        ------
        ValueError
            Nothing was counted yet, or documents have what was not.

        Warns
        -----
        ConvergenceWarning, RuntimeWarning
            The fit did not converge; a concentration is not identified or at its limit.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> matrix = mb.TransitionMatrix(1, n_tokens=2).update([0] * 9 + [1] * 9 + [0] * 9)
        >>> matrix.fit_prior().prior.alpha.shape
        (1, 2)
        """
        n_components = whole(n_components, "n_components", 1, 1 << 20)
        if len(self) == 0:
            raise ValueError("no context was counted yet: update the matrix first")
        finish = begin("fit_prior", "%d contexts", len(self))
        how = {"n_components": n_components, "to_documents": documents is not None, **options}
        with self._change():
            rows = self._rows
            with bar(None, progress, name="fit_prior", unit="step") as advance:
                if documents is None:
                    fitted = rows.fitted(n_components, self.tokens, options, advance)
                elif not isinstance(rows, DiscountedRows):
                    raise ValueError(
                        "documents are for rows with discounts: TransitionMatrix(discounts=True)"
                    )
                elif options or n_components != 1:
                    raise TypeError(
                        "discounts are fitted to documents alone: there is no other option"
                    )
                else:
                    fitted = rows.fitted_to(self._documents(documents), advance)
            finish("%d components", n_components)
            self._become(rows=fitted, made=made_with(self, fit_prior=how))
        return self

    # -- prediction ---------------------------------------------------------------

    def predict(self, contexts: Any, *, top: int | None = None) -> Any:
        """The next token's distribution: the posterior mean of the row of each context.

        Parameters
        ----------
        contexts : array_like of shape (n, length), or (length,) for one
            Numbers or names; the last `order` of each count.  Contexts that were not seen, or are
            too short, have the prior's prediction, or the shorter context's in a hierarchy.
        top : int, optional
            Only the most probable tokens.

        Returns
        -------
        ndarray of shape (n, V), or (V,) for one context
            Or with `top` two arrays of shape (n, top) or (top,): tokens, the most probable first,
            and their probabilities.
        """
        ids, single = self._contexts(contexts)
        if top is not None:
            tokens, probs = most_probable(self._rows, ids, whole(top, "top", 1, self.n_tokens))
            return (tokens[0], probs[0]) if single else (tokens, probs)
        rows = np.empty((len(ids), self.n_tokens))
        for cut, dense in dense_blocks(self._rows, ids):
            rows[cut] = dense
        return rows[0] if single else rows

    def __getitem__(self, context: Any) -> Floats:
        """The row of a context: the distribution of the next token."""
        row: Floats = self.predict(context)
        return row

    def posterior(self, context: Any) -> DirichletMixture:
        """What is known of the row of one context: a Dirichlet mixture over its probabilities.

        Raises
        ------
        ValueError
            Rows have discounts: there is a predictive, but no such posterior.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> matrix = mb.TransitionMatrix(1, n_tokens=2).update([0, 1, 0, 1, 0])
        >>> matrix.posterior([0]).alpha
        array([[1., 3.]])
        """
        weights, alpha = self._rows.posterior(self._context(context, "posterior"))
        return DirichletMixture(weights, alpha, tokens=self.tokens)

    def log_prob(self, tokens: Any) -> float:
        """Log-probability of text, in nats, each token scored by the matrix as it is.

        Parameters
        ----------
        tokens
            One document or several, as `update` takes them.
        """
        return self._rows.log_prob(self._documents(tokens))

    def scores(self, tokens: Any) -> Floats:
        """Log-probability of each token of text, in nats, scored by the matrix as it is.

        Parameters
        ----------
        tokens
            One document or several, as `update` takes them.

        Returns
        -------
        ndarray of shape (n,)
            Of all tokens, document after document; their sum is `log_prob`.

        Notes
        -----
        In a hierarchy and in a tree whose prior has one component, questions about many tokens make
        a table of the matrix, which is kept until it changes: 25 bytes for each context and token
        that were counted, of all lengths.  A token then takes the time of a look-up or two;
        answers differ from those before in rounding.

        Examples
        --------
        >>> import numpy as np, matrixbayes as mb
        >>> matrix = mb.TransitionMatrix(1, n_tokens=2, hierarchical=True).update([0, 1, 0, 1, 0])
        >>> np.exp(matrix.scores([0, 1])).round(3)
        array([0.8, 0.8])
        """
        return self._rows.scores(self._documents(tokens))

    def log_evidence(self, tokens: Any) -> float:
        """Log-probability of text, in nats, each token counted before the next is scored.

        By the chain rule: what the matrix would have said at each token, had it learnt the ones
        before.  The matrix itself is not changed.

        Parameters
        ----------
        tokens
            One document or several, as `update` takes them.

        Notes
        -----
        In a plain matrix the order of the tokens of a row does not matter (but for a discount), and
        each row has a closed form.  In a hierarchy it does a little, for the mean of a row moves
        while the row is being filled; with several concentrations, each token judges them by the
        mean at its time.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> matrix = mb.TransitionMatrix(1, n_tokens=3)
        >>> round(matrix.log_evidence([0, 1, 1, 2, 0, 1, 2, 2, 1, 0, 1, 1]), 10)
        -13.9412617633
        """
        return self._rows.log_evidence(self._documents(tokens))

    def perplexity(self, tokens: Any) -> float:
        """``exp(-log_prob / n)`` of text of n tokens: the vocabulary an even guess would have."""
        return math.exp(-self._mean_log_prob(tokens))

    def posterior_order(self, contexts: Any = None) -> Floats:
        """How many of the last tokens matter: in a tree, the posterior of the depth of the leaf.

        Parameters
        ----------
        contexts : array_like of shape (n, length), or (length,) for one, optional
            As `predict` takes them; by default all that were counted, as often as they came.

        Returns
        -------
        ndarray of shape (n, length + 1), or (length + 1,) for one context
            Probabilities of 0, 1, ... tokens, `order` at most; by default their means
            (`order` + 1,).  A context from the beginning of a document has all its tokens, and the
            begin token for another.

        Raises
        ------
        ValueError
            The matrix is no tree: its order is given.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> tree = mb.TransitionMatrix("tree", depth=3, n_tokens=2)
        >>> tree.update([0, 0, 1, 1] * 50).posterior_order().round(3)
        array([0.   , 0.005, 0.541, 0.454])
        """
        rows = self._tree("posterior_order")
        if contexts is None:
            return rows.mean_depths()
        ids, single = self._contexts(contexts)
        found = rows.depths(ids)
        return found[0] if single else found

    def best_tree(self) -> list[Ids]:
        """The most probable tree a posteriori, by its leaves that were seen.

        Trees that differ only in contexts that never came are one: what is told apart there is
        summed.

        Returns
        -------
        list of ndarray
            The leaves of d tokens, (n, d), for d = 0, 1, ..., `order`; V stands for the beginning
            of a document.

        Raises
        ------
        ValueError
            The matrix is no tree.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> tree = mb.TransitionMatrix("tree", depth=3, n_tokens=2)
        >>> [len(leaves) for leaves in tree.update([0, 0, 1, 1] * 50).best_tree()]
        [0, 1, 5, 0]
        """
        return self._tree("best_tree").leaves()

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
        """Text drawn token by token from the matrix as it is.

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

        Examples
        --------
        >>> import matrixbayes as mb
        >>> matrix = mb.TransitionMatrix(1, prior=1e-9, n_tokens=3).update([0, 1, 2] * 5)
        >>> matrix.generate(5, [0], rng=0)
        array([1, 2, 0, 1, 2])
        """
        n = whole(n, "n", 0, 1 << 62)
        temperature = real(temperature, "temperature", math.inf, least=0.0)
        rng, is_worded = seeds(context, text_seed, rng, random_seed)
        generator = generator_of(rng)
        rows = self._rows
        text = self.begin if context is None else self._context(context, "generate")
        text = text if text_seed is None else self._words_before(text_seed)[-self._order :]

        def draw(before: Ids) -> int:
            if temperature == 1.0:
                return rows.draw(before, generator)
            return tempered(rows.dense(before[np.newaxis])[0], temperature, generator)

        found = drawn(n, text, self._order, draw)
        return self._said(found) if is_worded else found

    # -- what was seen --------------------------------------------------------------

    def contexts(self) -> Ids:
        """Every context that was seen, (len, order), in rising order.

        In a hierarchy, V stands for what is before the beginning of a document.
        """
        found = self._rows.longest.all()[0].astype(np.int64)
        return found[np.lexsort(found.T[::-1])]

    def counts(self, contexts: Any) -> NDArray[Any]:
        """How often each token followed, (n, V), or (V,) for one context."""
        ids, single = self._whole_contexts(contexts)
        indptr, tokens, times = self._rows.longest.rows(ids)
        rows = np.zeros((len(ids), self.n_tokens), dtype=times.dtype)
        rows[np.repeat(np.arange(len(ids)), np.diff(indptr)), tokens] = times
        return rows[0] if single else rows

    def totals(self, contexts: Any) -> Any:
        """How often each context was followed by a token, (n,), or a number for one context.

        Contexts too short were never counted: 0.
        """
        ids, single = self._contexts(contexts)
        counts: Any = self._rows.longest
        whole_ones = ids.shape[1] == self._order
        found = counts.totals(ids) if whole_ones else np.zeros(len(ids), dtype=np.uint64)
        return found[0] if single else found

    def rows(self, contexts: Any = None) -> csr_array:
        """The counts of contexts as sparse rows (n, V); by default of all, as in `contexts`."""
        from scipy.sparse import csr_array

        now = self.copy()
        ids = now.contexts() if contexts is None else now._whole_contexts(contexts)[0]
        indptr, tokens, times = now._rows.longest.rows(ids)
        return csr_array((times, tokens.astype(np.int64), indptr), shape=(len(ids), self.n_tokens))

    # -- inside ---------------------------------------------------------------------

    def _tree(self, who: str) -> TreeRows:
        if not isinstance(self._rows, TreeRows):
            raise ValueError(f'{who} is of order="tree"; here the order is given, {self.order}')
        return self._rows

    def _contexts(self, contexts: Any) -> tuple[Ids, bool]:
        """Contexts (n, length), and whether one was given."""
        last = self._rows.longest.n_tokens - 1
        return contexts_of(contexts, self._vocabulary, self._order, last)

    def _context(self, context: Any, who: str) -> Ids:
        """One context, (length,), for whoever takes no more."""
        ids, single = self._contexts(context)
        if not single:
            raise ValueError(f"{who} takes one context, not shape {ids.shape}")
        own: Ids = ids[0]
        return own

    def _whole_contexts(self, contexts: Any) -> tuple[Ids, bool]:
        """Contexts (n, order), and whether one was given."""
        ids, single = self._contexts(contexts)
        if ids.shape[1] != self._order:
            raise ValueError(f"a context has {ids.shape[1]} tokens; it needs {self._order}")
        return ids, single

    def _ending(self, tokens: Any) -> Ids:
        """The last `order` tokens of a document, with those that lead it."""
        (ids,) = self._texts(tokens)
        (led,) = self._rows.led([ids], None)
        ending: Ids = led[max(0, len(led) - self._order) :].copy()
        return ending

    def _change(self) -> parallel.OneAtATime:
        """The context of a change: in it, what can fail stands before what the matrix becomes."""
        if self.frozen:
            raise ValueError(REFUSED)
        return self._writing

    def _become(self, **state: Any) -> None:
        """Takes on a new state at once: no other thread, and no signal, finds half of it.  All of
        it has a place by now, so that memory does not end in the middle."""
        vars(self).update({f"_{name}": value for name, value in state.items()})

    def _documents(self, tokens: Any, before: Ids | None = None, bounds: Any = None) -> Documents:
        """Documents as the rows count them, checked; `before` stands in front of the first."""
        return self._rows.led(self._texts(tokens, bounds), before)

    def _texts(self, tokens: Any, bounds: Any = None) -> Texts:
        """Documents, checked; the lines of a string where it is known how they are read."""
        if isinstance(tokens, str) and self._reading is not None:
            return Texts.of(self.encode(tokens))
        return documents_of(tokens, self._vocabulary, bounds)

    def _probability(self, context: Ids, token: int) -> float:
        own = context[np.newaxis, max(0, len(context) - self._order) :]
        return float(self._rows.pair_probs(own, np.array([token]))[0])

    def prune(self, threshold: float) -> BackoffModel:
        """The n-grams that are worth their place, as a model by itself.

        Each n-gram is judged by what the model loses without it: the relative entropy, in nats a
        token, of the row of its context to the row in which it is left to the shorter context
        (Stolcke 1998), times how often the context was counted.  What longer n-grams that stay
        begin with stays.  The weights with which contexts back off are made anew, so that rows sum
        to 1.

        Parameters
        ----------
        threshold : float
            What an n-gram must be worth more than, in nats a token: 1e-8 or 1e-7, say.  0 loses
            nothing.

        Returns
        -------
        BackoffModel
            Its `pruned` says how many n-grams of each length there were and are, and what all that
            went lose together, exactly.  What it does to the perplexity of other text is to be
            measured on that.

        Raises
        ------
        ValueError
            The matrix is no back-off model: a tree, or a plain matrix whose prior has several
            Dirichlets; or the threshold is negative.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> matrix = mb.TransitionMatrix(2, n_tokens=3, hierarchical=True).update([0, 1, 2] * 20)
        >>> model = matrix.prune(0.01)
        >>> model.sizes, model.pruned.before, round(model.pruned.loss, 3)
        ((3, 3, 3), (3, 4, 5), 0.007)
        """
        rows = self._rows
        table = table_of(rows)
        states = counted_states(table, rows.longest)
        left, pruned = pruned_table(
            table, states, real(threshold, "threshold", float(np.finfo(float).max), least=0.0)
        )
        model = BackoffModel(left, tokens=self.tokens, pruned=pruned)
        model._read_as(self._vocabulary, self._reading)
        return note(model, call="TransitionMatrix.prune", threshold=threshold)

    # -- files ------------------------------------------------------------------------

    def to_arpa(
        self,
        path: str | os.PathLike[str],
        *,
        tokens: Iterable[str] | None = None,
        end: str | int | None = None,
        unknown: str | int | None = None,
    ) -> Self:
        """Write what the matrix predicts to a file in the format of ARPA, which KenLM and others
        read.

        Parameters
        ----------
        path
            The file; what ends in .gz or .bz2 is compressed.
        tokens : iterable of str, optional
            The words to write, one for each token; by default its name, or its number where it has
            none.  A word has no spaces.
        end : str or int, optional
            The token that is written as ``</s>``, the end of a document; by default the one of that
            name.  Where there is none, ``</s>`` has the probability 0 (-99), so that programs that
            want it read the file: score without it there.
        unknown : str or int, optional
            The token that is written as ``<unk>``; by default the one of that name.  Where there
            is none, other programs say themselves what unknown words get.

        Returns
        -------
        TransitionMatrix
            Itself.

        Raises
        ------
        ValueError
            The matrix is no such model: a tree, or a plain matrix whose prior has several
            Dirichlets; a name cannot be written, or would be written twice.
        OSError
            The folder cannot be written.  An old file is as it was.

        Notes
        -----
        Hierarchies, rows with discounts and plain matrices with one Dirichlet are such models
        exactly: each n-gram that was seen has its whole probability, each context the share of the
        shorter one.  Numbers have nine digits.  ``<s>``, with which a document begins there, stands
        for the `order` begin tokens of a matrix, and n-grams have `order` + 1 words.

        Examples
        --------
        >>> import os, tempfile, matrixbayes as mb
        >>> path = os.path.join(tempfile.mkdtemp(), "model.arpa")
        >>> matrix = mb.TransitionMatrix(1, tokens=["a", "b"], hierarchical=True)
        >>> matrix = matrix.update(["a", "b", "a"]).to_arpa(path)
        >>> with open(path) as file:
        ...     print(file.read()[7:36])
        ngram 1=4
        ngram 2=3
        <BLANKLINE>
        \\1-grams
        """
        write_arpa(
            path,
            ngrams_of(table_of(self._rows)),
            written_names(self._vocabulary, tokens, end, unknown),
        )
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the matrix to a file, all or nothing.

        The file is a safetensors file whose arrays `open` maps; nothing is copied on the way.

        Raises
        ------
        OSError
            The folder cannot be written.  An old file is as it was.
        """
        self._write(path, self.frozen)

    def freeze(self, path: str | os.PathLike[str]) -> Self:
        """Write the matrix to a compact file of its own kind: mapped, read-only, the same answers.

        About 4 to 5 bytes for each n-gram of every order, with its count, where `save` takes about
        17; `open` opens it, and reads in it where it is asked.

        Parameters
        ----------
        path
            The file, a safetensors file.  It must stay as it is while a matrix has it open.

        Returns
        -------
        TransitionMatrix
            The frozen matrix, opened.  It answers from its counts as this one does, bit for bit (a
            table, which `scores` tells of, rounds otherwise); what would change it is refused, and
            `thaw` gives one in memory that learns.

        Raises
        ------
        ValueError
            Counts are real (`discount`, `forget`).
        OSError
            The folder cannot be written.  An old file is as it was.

        Notes
        -----
        A context is found step by step, from its last token to its first, by a table of links of
        about two bytes each; counts, row lengths and tokens are packed bits (docs/model.md 9e).  A
        tree also has the 8 bytes of a number for each context that may be told from longer ones.

        Examples
        --------
        >>> import os, tempfile, matrixbayes as mb
        >>> path = os.path.join(tempfile.mkdtemp(), "matrix.safetensors")
        >>> matrix = mb.TransitionMatrix(1, n_tokens=2).update([0, 1, 0, 1, 0])
        >>> matrix.freeze(path)[0]
        array([0.25, 0.75])
        >>> mb.TransitionMatrix.open(path).update([1])
        Traceback (most recent call last):
        ...
        ValueError: this matrix is frozen and never changes: matrix.thaw() gives one that does
        """
        self._write(path, True)
        return self.open(path, verify=False)

    def _write(self, path: str | os.PathLike[str], freeze: bool) -> None:
        state = self.__getstate__()  # as it is now, whatever another thread goes on to do
        saved = files.Saved(
            self._order,
            self._vocabulary,
            self._discount,
            state["_latest"],
            state["_rows"],
            state.get("_reading"),
            state.get("_made"),
        )
        files.write(path, saved, freeze=freeze)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, verify: bool = True) -> Self:
        """Open a saved matrix without loading its counts: they are read where they are asked for.

        Parameters
        ----------
        path
            What `save` or `freeze` wrote.  The file must stay as it is while the matrix is in use;
            a matrix that is updated keeps what is new in memory.
        verify : bool
            Read the file once, and check checksums and every count and context.  Without, only the
            header is checked, and damaged counts give wrong answers or errors.

        Raises
        ------
        ValueError
            The file is not one of a matrix, or is damaged.
        OSError
            It cannot be read.

        Examples
        --------
        >>> import os, tempfile, matrixbayes as mb
        >>> path = os.path.join(tempfile.mkdtemp(), "matrix.safetensors")
        >>> mb.TransitionMatrix(1, n_tokens=2).update([0, 1, 0, 1, 0]).save(path)
        >>> mb.TransitionMatrix.open(path)[0]
        array([0.25, 0.75])
        """
        saved = files.read(path, verify)
        new = object.__new__(cls)
        new.__setstate__({f"_{name}": value for name, value in saved._asdict().items()})
        return new

    def __getstate__(self) -> dict[str, Any]:
        state = vars(self).copy()
        del state["_writing"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = {"_earlier": (), "_made": None, **state}  # of an older version without these
        vars(self).update(state, _writing=parallel.OneAtATime(CHANGING))
