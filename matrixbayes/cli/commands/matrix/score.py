"""`matrix score`: how well a matrix predicts a text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ....errors import UsageError
from ...answers import Answer, mendable, say
from ...files import check_in, load_matrix
from ...options import Commands, command
from ...texts import are_numbers, check_texts, check_tokenizer, numbered, text_lines, tokenizer_of

KEYS = ["matrix", "n_documents", "n_tokens", "log_prob", "perplexity", "bits_per_token"]
KEYS += ["bits_per_byte", "standard_error", "n_unknown", "scores"]
EPILOG = """\
Perplexity and bits per token are of all tokens, the ends of documents too; bits per byte of the
tokens of the text alone, as `bits_per_byte` has them, of texts in UTF-8.  --scores prints a line
for each token instead: document, place, token, natural logarithm of its probability.

example:
  matrixbayes matrix score matrix.safetensors held_out.txt"""


def add(commands: Commands) -> None:
    """The command's options."""
    about = "how well a matrix predicts a text: perplexity, bits per byte, scores of tokens"
    parser = command(commands, "score", run, help=about, keys=KEYS, epilog=EPILOG)
    add = parser.add_argument
    add("matrix", metavar="MATRIX", help="what build wrote, or a model in the format of ARPA")
    add("text", nargs="+", metavar="TEXT", help="as build takes it; - is standard input")
    add("--tokenizer", metavar="PATH", help="that of build, where it was none of words")
    add("--scores", action="store_true", help="of each token")


def run(options: Any) -> Answer:
    """Score a text."""
    check_in(options.matrix, "matrix")
    check_texts(options.text)
    check_tokenizer(options.tokenizer)
    matrix = load_matrix(options.matrix)
    texts = None if are_numbers(options.text) else list(text_lines(options.text))
    tokenizer = tokenizer_of(options.tokenizer)
    if options.tokenizer is not None:
        matrix.tokenizer = tokenizer
    elif texts is not None and matrix._reads().is_lost:
        raise UsageError(f"{options.matrix} was built by a tokenizer: give --tokenizer PATH")
    from ....matrix import bits_per_byte

    say(options, f"scoring {', '.join(options.text)}")
    with mendable():
        documents = numbered(options.text) if texts is None else matrix.encode(texts)
        n = sum(map(len, documents))
        if n == 0:
            raise UsageError(f"{' and '.join(options.text)}: there are no tokens to score")
        scores = matrix.scores(documents)
        total = float(scores.sum())
        rate = None
        if texts is not None and n > (0 if matrix._reads().end is None else len(documents)):
            rate = bits_per_byte(matrix, [text for text in texts if text], tokenizer)
    mean = -total / n
    data = {
        "matrix": options.matrix,
        "n_documents": len(documents),
        "n_tokens": n,
        "log_prob": total,
        "perplexity": math.exp(mean) if mean < 700.0 else math.inf,
        "bits_per_token": mean / math.log(2.0),
        "bits_per_byte": None if rate is None else float(rate),
        "standard_error": None if rate is None else rate.standard_error,
        "n_unknown": None if rate is None else rate.n_unknown,
        "scores": None,
    }
    if not options.scores:
        return Answer(_lines(data), data)
    lines = list(_scores(matrix, documents, scores)) if options.json else []
    data["scores"] = lines
    table = ("\t".join(map(str, line)) for line in _scores(matrix, documents, scores))
    return Answer(table, data)


def _lines(data: dict[str, Any]) -> Iterator[str]:
    """The figures, for people."""
    from ...._base.display import number

    yield f"documents       {data['n_documents']}"
    yield f"tokens          {data['n_tokens']}"
    if data["n_unknown"]:
        yield f"unknown tokens  {data['n_unknown']}"
    yield f"perplexity      {number(data['perplexity'])}"
    yield f"bits per token  {number(data['bits_per_token'])}"
    if data["bits_per_byte"] is not None:
        error = data["standard_error"]
        beside = "" if math.isnan(error) else f" ± {number(error)}"
        yield f"bits per byte   {number(data['bits_per_byte'])}{beside}"


def _scores(matrix: Any, documents: list[Any], scores: Any) -> Iterator[list[Any]]:
    """Document, place, token and log-probability, counted from 0."""
    names, at = matrix.tokens, 0
    for d, document in enumerate(documents):
        for place, token in enumerate(document):
            yield [d, place, int(token) if names is None else names[token], float(scores[at])]
            at += 1
