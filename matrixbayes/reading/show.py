"""From rows to a text with each token coloured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .._base.arguments import shown
from ..errors import ArgumentError
from ..rows import NextTokenRows, PartialRows
from .beliefs import beliefs_of
from .text import Text, text_of, words
from .values import VALUES, measured
from .view import TokenView

if TYPE_CHECKING:
    from ..icl import LearningPath

Value = Literal["surprise", "entropy", "concentration", "kl"]


def show_tokens(
    rows: NextTokenRows | PartialRows | LearningPath,
    posterior: Any = None,
    value: Value = "surprise",
    *,
    prompt: int | None = None,
    tokenizer: Any = None,
) -> TokenView:
    """A text with each token coloured by what a model, or a posterior, says before it comes.

    In a notebook the text itself is shown; the pointer over a token tells the five most probable
    ones there, the rank of the one that came, and what the posterior mean gives to each.

    Parameters
    ----------
    rows : NextTokenRows, PartialRows or LearningPath
        Rows along one text: ``collect(model, tokenizer, [text], positions="all")``; those of pairs
        of a prompt and its continuation, ``positions="continuation"``; or what a server or an API
        recorded, from `from_openai` and its like, of which each place is bounded.
    posterior : optional
        What is believed before each token: a `DirichletMixture` (the prior, updated by each token
        of the text; those that begin a text, such as ``<s>``, are no evidence), a `PosteriorPath`
        or `LearningPath` along this text, an `ElicitationReport`, a predictor, or rows of another
        model.  Over the columns of the rows, matched by name.  That of a `LearningPath` is its own.
    value : {"surprise", "entropy", "concentration", "kl"}
        What colours a token: -log2 of its probability (bits); the entropy of the row that predicts
        it (bits); the posterior's expected concentration before it (pseudo-counts); or KL(model ||
        posterior mean) there (bits).
    prompt : int, optional
        Which text, where rows are of several: a number in ``rows.meta["prompt"]``.
    tokenizer : optional
        Names tokens that have no column of their own, where columns are answers.

    Returns
    -------
    TokenView
        Its `repr` is plain text, ``.text()`` all of it; ``.html()``, ``.to_pandas()``, ``.plot()``.

    Raises
    ------
    ValueError
        The rows are not of one text, or do not say which tokens follow them; the posterior is over
        other tokens, or along another text; the value needs a posterior.
    TypeError
        `rows` or `posterior` is something else.

    Notes
    -----
    Of rows known in part the numbers are bounds: colours and plain text show the least, the pointer
    both.  A token without a row, as the first of a text, has no colour.  HTML has some 300 bytes
    for each token, 600 with a posterior, and at most 3,000 of them: ``view[3000:]`` are the others.
    Time and memory are those of the rows: ``PartialRows.from_rows(rows, 20)`` keeps less of them;
    KL of such rows over a wide vocabulary is bounded where it is asked for, at 50 ms a token.

    Examples
    --------
    >>> import numpy as np
    >>> import matrixbayes as mb
    >>> rows = mb.NextTokenRows(
    ...     np.log([[0.5, 0.5], [0.75, 0.25], [0.9, 0.1]]), tokens=("red", "blue"),
    ...     input_ids=[0, 0, 0, 0, 0, 1], offsets=[0, 1, 3, 6],
    ... )
    >>> view = mb.show_tokens(rows, mb.DirichletMixture([1.0], [[2.0, 1.0]]))
    >>> view.to_pandas()[["token", "surprise", "posterior"]].round(2)
      token  surprise  posterior
    0   red       NaN        NaN
    1   red       1.0       0.75
    2  blue       2.0       0.20
    """
    if value not in VALUES:
        known = ", ".join(map(repr, VALUES))
        raise ValueError(f"value={shown(value)} is not one of {known}")
    if hasattr(rows, "history") and hasattr(rows, "log_probs"):
        posterior = rows if posterior is None else posterior
        rows, text = _of_path(rows)
    elif isinstance(rows, (NextTokenRows, PartialRows)):
        text = text_of(rows, tokenizer, prompt)
    else:
        raise ArgumentError(
            f"rows is {type(rows).__name__}; they are NextTokenRows, PartialRows or a LearningPath"
        )
    if posterior is None and value in ("concentration", "kl"):
        raise ValueError(f"value={shown(value)} needs posterior=, a DirichletMixture for instance")
    beliefs = None if posterior is None else beliefs_of(posterior, rows, text)
    found = measured(rows, text.rows, text.columns, beliefs, value)
    return TokenView.of(text, found, rows.tokens, value, posterior is not None)


def _of_path(path: Any) -> tuple[NextTokenRows, Text]:
    """The rows and the text of a learning path."""
    rows = NextTokenRows(path.log_probs, tokens=path.names)
    columns = np.concatenate([path.history, path.tokens]).astype(np.int64)
    numbers = np.concatenate([np.full(len(path.history), -1), np.arange(len(path.tokens))])
    names = [f"<{j}>" if path.names is None else path.names[j] for j in columns]
    positions = np.arange(len(columns)) - len(path.history)
    plain = [False] * len(columns)
    return rows, Text(names, numbers, columns, plain, positions, words(path.names))
