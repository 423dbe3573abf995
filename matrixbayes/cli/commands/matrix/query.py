"""`matrix query`: the row after a context."""

from __future__ import annotations

from typing import Any

from ....errors import UsageError
from ...answers import Answer, mendable
from ...files import load_matrix
from ...options import Commands, command, top
from ...texts import check_tokenizer, tokenizer_of

KEYS = ["matrix", "context", "times_seen", "tokens"]
EPILOG = """\
The context is words of the vocabulary, or numbers of tokens where the matrix has no names; '<s>' is
the beginning of a document.  The last words count, as many as the matrix's order.

example:
  matrixbayes matrix query matrix.safetensors the cat"""


def add(commands: Commands) -> None:
    """The command's options."""
    about = "the most probable tokens after a context"
    parser = command(commands, "query", run, help=about, keys=KEYS, epilog=EPILOG)
    add = parser.add_argument
    add("matrix", metavar="MATRIX", help="what build wrote, or a model in the format of ARPA")
    add("context", nargs="*", metavar="WORD", help="the context; without it, that nothing is known")
    add("--tokenizer", metavar="PATH", help="reads the context as a text")
    top(parser)


def run(options: Any) -> Answer:
    """Ask for a row."""
    check_tokenizer(options.tokenizer)
    matrix = load_matrix(options.matrix, verify=False)
    context = context_of(matrix, options.context, options.tokenizer)
    most = matrix.n_tokens if options.top == "all" else min(options.top, matrix.n_tokens)
    with mendable():
        tokens, probs = matrix.predict(context, top=most)
        seen = int(matrix.totals(context)) if hasattr(matrix, "totals") else None
    named = [int(t) if matrix.tokens is None else matrix.tokens[t] for t in tokens]
    rows = list(zip(named, map(float, probs), strict=True))
    data = {
        "matrix": options.matrix,
        "context": [
            "<s>" if t >= matrix.n_tokens else int(t) if matrix.tokens is None else matrix.tokens[t]
            for t in context.tolist()
        ],
        "times_seen": seen,
        "tokens": [list(row) for row in rows],
    }
    return Answer((f"{p:.6g}\t{_shown(name)}" for name, p in rows), data)


def _shown(name: Any) -> str:
    """A token in one line."""
    from ...._base.display import printable

    return printable(name, width=200)


def context_of(matrix: Any, words: list[str], tokenizer: str | None) -> Any:
    """Words, or numbers of tokens, as the last tokens before what is asked for."""
    import numpy as np

    with mendable():
        if tokenizer is not None:
            matrix.tokenizer = tokenizer_of(tokenizer)
            (ids,) = matrix.encode([" ".join(words)])
            end = matrix._reads().end
            return ids[:-1] if end is not None else ids
        if matrix.tokens is not None:
            return matrix._words_before(words)
        begins = [i for i, word in enumerate(words) if word == "<s>"]
        rest = words[begins[-1] + 1 :] if begins else words
        wrong = next((word for word in rest if not word.isdecimal()), None)
        if wrong is not None:
            raise UsageError(f"{wrong!r}: this matrix has no names of tokens; give their numbers")
        numbers = np.array([int(word) for word in rest], dtype=np.int64)
        return np.concatenate([matrix.begin, numbers]) if begins else numbers
