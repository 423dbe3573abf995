"""`matrix build`: the Matrix of a text, into a file."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path
from typing import Any

from ....errors import UsageError
from ...answers import Answer, mendable, progress, say
from ...files import check_in, check_out, load_prior
from ...options import Commands, command, jobs, number_or, out, real, whole
from ...texts import (
    WORDS,
    are_numbers,
    check_texts,
    check_tokenizer,
    numbered,
    text_lines,
    tokenizer_of,
)

KEYS = ["out", "order", "n_tokens", "kind", "frozen", "n_contexts", "n_pairs", "n_observed"]
KEYS += ["n_documents", "concentrations", "n_bytes"]
EPILOG = """\
TEXT is a file in UTF-8, a document a line, or - for standard input; or .npy of token ids, a
document (or with two axes, a document a row).  --tokenizer is words, which splits at white space,
or a tokenizer of HuggingFace: its folder, or tokenizer.json.

examples:
  matrixbayes matrix build corpus.txt --order 2 --discounts --fit-prior
  matrixbayes matrix build ids.npy --n-tokens 50257 --order tree --freeze --out tree.safetensors"""


def add(commands: Commands) -> None:
    """The command's options."""
    about = "count a text, and fit the prior of its rows"
    parser = command(commands, "build", run, help=about, keys=KEYS, epilog=EPILOG)
    add = parser.add_argument
    add("text", nargs="+", metavar="TEXT", help="the text, see below")
    add(
        "--order",
        type=number_or(whole(1, 16), "tree"),
        required=True,
        metavar="N",
        help="tokens in a context, 1 to 16, or tree: how many matter is found out",
    )
    _of_matrix(parser.add_argument_group("the matrix"))
    _of_text(parser.add_argument_group("the vocabulary"))
    _of_fit(parser.add_argument_group("its prior"))
    add("--freeze", action="store_true", help="write the compact, read-only form")
    jobs(parser, 1)
    out(parser, "matrix.safetensors", "the matrix")


def _of_matrix(group: Any) -> None:
    """Parameters of `TransitionMatrix`."""
    add, of = group.add_argument, "(default: %(default)s)"
    add("--hierarchical", action="store_true", help="rows have shorter contexts' rows for means")
    add("--discounts", action="store_true", help="rows have discounts, as of Kneser and Ney")
    add("--discount", type=real(0.0, 1.0, open=True), default=1.0, help=f"how rows fade {of}")
    add("--depth", type=whole(1, 16), metavar="N", help="of a tree (default: 5)")
    add("--deeper", type=real(0.0, 1.0, open=True), metavar="P", help="of a tree (default: 1/2)")
    add("--prior", type=_prior, default=1.0, help=f"alpha of each token, or a file {of}")
    add("--n-tokens", type=whole(1, 1 << 32), metavar="V", help="size of the vocabulary, of ids")


def _of_text(group: Any) -> None:
    """Parameters of `TransitionMatrix.from_text`."""
    add, of = group.add_argument, "(default: %(default)s)"
    add("--tokenizer", metavar="PATH", help=f"{WORDS} (default), or see below")
    add("--vocabulary", metavar="FILE", help="the tokens, one a line (default: those of the text)")
    add("--min-count", type=whole(1), default=1, metavar="N", help=f"rarer words are unknown {of}")
    add("--max-tokens", type=whole(1), metavar="V", help="the most frequent words alone")
    add("--unknown", default="<unk>", metavar="WORD", help=f"for other words; '' for none {of}")
    add("--end", default="</s>", metavar="WORD", help=f"ends a document; '' for none {of}")


def _of_fit(group: Any) -> None:
    """Parameters of `TransitionMatrix.fit_prior`."""
    add = group.add_argument
    add("--fit-prior", action="store_true", help="fit it to the rows")
    add("--n-components", type=whole(1), default=1, metavar="K", help="(default: %(default)s)")
    add("--documents", action="store_true", help="fit discounts to parts of the text left out")


def _prior(text: str) -> float | str:
    """A number, or a file."""
    try:
        float(text)
    except ValueError:
        return text
    return real(open=True)(text)


def run(options: Any) -> Answer:
    """Count, fit and write."""
    _check(options)
    from ....matrix import TransitionMatrix

    given = _parameters(options)
    say(options, f"counting {', '.join(options.text)}")
    if are_numbers(options.text):
        documents = numbered(options.text)
        with mendable():
            matrix = TransitionMatrix(
                options.order, n_tokens=_n_tokens(options, documents), **given
            )
            matrix.update(documents, n_jobs=options.n_jobs)
        n = len(documents)
    else:
        matrix, documents, n = _of_lines(options, given)
    if options.fit_prior:
        say(options, "fitting the prior")
        own: dict[str, Any] = {"documents": documents} if options.documents else {}
        if not options.documents and not (matrix.hierarchical or matrix.is_tree):
            own["n_jobs"] = options.n_jobs
        with mendable():
            matrix.fit_prior(options.n_components, progress=progress(options), **own)
    with mendable():
        if options.freeze:
            matrix = matrix.freeze(options.out)
        else:
            matrix.save(options.out)
    lines = [] if options.quiet else repr(matrix).splitlines()
    return Answer(
        [*lines, f"matrix: {Path(options.out).resolve()}"], data_of(matrix, options.out, n)
    )


def _check(options: Any) -> None:
    """Refuse what cannot be, before anything is read."""
    check_texts(options.text)
    check_tokenizer(options.tokenizer)
    check_out(options.out, options.overwrite)
    ids = are_numbers(options.text)
    if ids and (options.tokenizer or options.max_tokens or options.vocabulary):
        raise UsageError("--tokenizer, --vocabulary and --max-tokens are of texts, not token ids")
    if not ids and options.n_tokens is not None:
        raise UsageError("--n-tokens is of token ids; of a text --max-tokens is the most")
    if options.order == "tree" and (options.hierarchical or options.discounts):
        raise UsageError("--order tree is no hierarchy: leave --hierarchical and --discounts out")
    if options.order != "tree" and (options.depth is not None or options.deeper is not None):
        raise UsageError("--depth and --deeper are of --order tree")
    if options.documents and not (options.discounts and options.fit_prior):
        raise UsageError("--documents goes with --discounts --fit-prior")
    if options.n_components != 1 and not options.fit_prior:
        raise UsageError("--n-components goes with --fit-prior")
    if options.freeze and options.discount < 1.0:
        raise UsageError("what fades has real counts, which are not frozen: leave out --freeze")
    if options.vocabulary is not None:
        check_in(options.vocabulary, "vocabulary")


def _parameters(options: Any) -> dict[str, Any]:
    """Those of `TransitionMatrix`."""
    prior = options.prior
    return {
        "prior": load_prior(prior) if isinstance(prior, str) else prior,
        "hierarchical": options.hierarchical,
        "discounts": options.discounts,
        "discount": options.discount,
        "depth": options.depth,
        "deeper": options.deeper,
    }


def _n_tokens(options: Any, documents: list[Any]) -> int | None:
    """As given, or one more than the largest id."""
    given: int | None = options.n_tokens
    if given is not None or isinstance(options.prior, str):
        return given
    return 1 + max((int(each.max()) for each in documents if len(each)), default=0)


def _of_lines(options: Any, given: dict[str, Any]) -> tuple[Any, list[Any], int]:
    """The matrix of texts; documents where discounts need them, and how many there are."""
    from ....matrix import TransitionMatrix

    tokenizer = tokenizer_of(options.tokenizer)
    names = None
    if options.vocabulary is not None:
        names = [line for line in text_lines([options.vocabulary]) if line]
    n = 0

    def counted() -> Any:
        nonlocal n
        for line in text_lines(options.text):
            n += 1
            kept.append(line) if options.documents else None
            yield line

    kept: list[str] = []
    lines = counted()
    with mendable():
        first = next(lines, None)
        if first is None:
            raise UsageError(f"{' and '.join(options.text)}: there is no text")
        matrix = TransitionMatrix.from_text(
            chain([first], lines),
            order=options.order,
            tokenizer=tokenizer,
            vocabulary=names,
            min_count=options.min_count,
            max_tokens=options.max_tokens,
            unknown=options.unknown or None,
            end=options.end or None,
            **given,
        )
        documents = matrix.encode(kept) if options.documents else []
    return matrix, documents, n


def data_of(matrix: Any, path: str, n_documents: int | None) -> dict[str, Any]:
    """What a matrix is, for programs."""
    kind = "tree" if matrix.is_tree else "hierarchical" if matrix.hierarchical else "plain"
    return {
        "out": path,
        "order": matrix.order,
        "n_tokens": matrix.n_tokens,
        "kind": "discounts" if matrix.discounts is not None else kind,
        "frozen": matrix.frozen,
        "n_contexts": len(matrix),
        "n_pairs": matrix.n_pairs,
        "n_observed": matrix.n_observed,
        "n_documents": n_documents,
        "concentrations": [{"weights": w, "values": v} for w, v in matrix.concentrations],
        "n_bytes": os.path.getsize(path),
    }
