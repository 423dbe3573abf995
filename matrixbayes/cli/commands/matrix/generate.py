"""`matrix generate`: text drawn from a matrix."""

from __future__ import annotations

from typing import Any

from ...answers import Answer, mendable
from ...files import load_matrix
from ...options import Commands, command, real, seed, whole
from ...texts import check_tokenizer, tokenizer_of
from .query import context_of

KEYS = ["matrix", "context", "tokens", "text"]
EPILOG = """\
Words are printed with spaces between them; with --tokenizer the text that it makes of the tokens.

example:
  matrixbayes matrix generate matrix.safetensors --n 20 --rng 0"""


def add(commands: Commands) -> None:
    """The command's options."""
    about = "text drawn token by token"
    parser = command(commands, "generate", run, help=about, keys=KEYS, epilog=EPILOG)
    add = parser.add_argument
    add("matrix", metavar="MATRIX", help="what build wrote, or a model in the format of ARPA")
    add("-n", "--n", type=whole(0), required=True, metavar="N", help="tokens to draw")
    add("--context", nargs="*", metavar="WORD", help="before it (default: a document begins)")
    add("--tokenizer", metavar="PATH", help="reads the context, and writes the text")
    add("--temperature", type=real(), default=1.0, help="0 takes the most probable (default: 1)")
    seed(parser)


def run(options: Any) -> Answer:
    """Draw a text."""
    check_tokenizer(options.tokenizer)
    matrix = load_matrix(options.matrix, verify=False)
    given = options.context
    context = None if given is None else context_of(matrix, given, options.tokenizer)
    with mendable():
        ids = matrix.generate(
            options.n, context, rng=options.rng, temperature=options.temperature
        ).tolist()
    words = ids if matrix.tokens is None else [matrix.tokens[t] for t in ids]
    text = " ".join(map(str, words))
    if options.tokenizer is not None:
        tokenizer = tokenizer_of(options.tokenizer)
        text = text if tokenizer is None else tokenizer.decode(ids)
    data = {"matrix": options.matrix, "context": given, "tokens": words, "text": text}
    return Answer([text], data)
