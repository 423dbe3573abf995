"""Rows over the choices of tasks, from what lm-evaluation-harness logged.

Contents
    from_lm_eval       files samples_*.jsonl
    of_first_filter    each document once
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .._base.tokens import no_such_token
from ..errors import NoSuchTokenError
from ..huggingface.answers import OTHER, Other, Vocab
from ..rows import PartialRows
from ..rows.partial_checks import rounding_of
from .gathered import LEAST_REST, TOLERANCE, grouped
from .reading import (
    MISTAKES,
    Refused,
    Where,
    as_kept,
    explain,
    field,
    in_words,
    naming,
    refuse,
    shown,
)
from .reading import records as each_of

IDENTITY = "doc_id", "doc_hash", "prompt_hash", "target_hash"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Document(NamedTuple):
    """One document: its choices, their log-probabilities, and what is right."""

    choices: tuple[str, ...]
    log_probs: list[float]
    target: Any
    number: Any
    where: str


def from_lm_eval(
    records: Any,
    *,
    vocab: Vocab | None = None,
    other: Other = "keep",
    normalize: bool = False,
) -> Any:
    """Rows over the choices of a task, from what lm-evaluation-harness logged of its documents.

    Parameters
    ----------
    records
        What ``--log_samples`` wrote of tasks with choices (files ``samples_*.jsonl``), or lists of
        what stands there; of several files or one.  Of several filters the first counts.
    vocab, other
        As for `from_openai`: groups of choices.
    normalize : bool
        The shares of the choices among each other, as the harness compares them, instead of their
        probabilities, which leave a rest.

    Returns
    -------
    PartialRows
        A row for each document: the probability of each choice as a whole, and the rest, what the
        model gives to other continuations.  The columns are the choices, where all documents have
        the same, else A, B, C, ... in their order.  ``meta`` has the number of each document and
        its target.

    Raises
    ------
    ValueError
        A document has no choices (generated or rolling), they follow different contexts, or their
        probabilities are more than 1 together.

    Warns
    -----
    UserWarning
        A choice is the beginning of another, or two are the same: they do not exclude each other,
        and the rest is not what is left.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> arguments = {"gen_args_0": {"arg_0": "2 + 2 =", "arg_1": " 4"},
    ...              "gen_args_1": {"arg_0": "2 + 2 =", "arg_1": " 5"}}
    >>> rows = mb.from_lm_eval({"doc_id": 0, "target": "0", "arguments": arguments,
    ...                         "resps": [[["-0.5", "True"]], [["-2.0", "False"]]]})
    >>> rows.tokens, rows[0].log_probs
    ((' 4', ' 5', '<other>'), array([-0.5, -2. ]))
    """
    documents = []
    for record, where in of_first_filter(each_of(_samples(records))):
        try:
            documents.append(_document(record, in_words(where)))
        except MISTAKES as error:
            explain(error, where, "from_lm_eval")
    with naming(records):
        return _grouped(documents, vocab, other, normalize)


def _grouped(
    documents: Sequence[Document], vocab: Vocab | None, other: Other, normalize: bool
) -> Any:
    """A row for each document, its choices as columns."""
    if not documents:
        raise ValueError("the records hold no document")
    _warn_of_overlaps(documents)
    same = all(d.choices == documents[0].choices for d in documents)
    most = max(len(d.choices) for d in documents)
    if same and len({*documents[0].choices}) == most:
        names = documents[0].choices
    else:
        names = tuple(LETTERS[i] if most <= 26 else str(i) for i in range(most))
    _check_choices(vocab, names)
    sizes = [len(d.choices) for d in documents]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    log_probs = np.minimum(np.concatenate([d.log_probs for d in documents]), 0.0)
    row = np.repeat(np.arange(len(documents)), sizes)
    top = np.maximum.reduceat(log_probs, starts[:-1])
    mass = np.bincount(row, weights=np.exp(log_probs - top[row])) * np.exp(top)
    for i in () if normalize else np.flatnonzero(mass > 1.0 + TOLERANCE):
        if mass[i] > 1.0 + rounding_of(log_probs[starts[i] : starts[i + 1]]):
            refuse(
                documents[int(i)].where,
                f"the choices have the mass {mass[i]:.6g} together: they do not exclude each "
                "other; their shares are read with normalize=True",
            )
    if normalize:
        total = np.log(np.bincount(row, weights=np.exp(log_probs - top[row]))) + top
        log_probs, rest = log_probs - total[row], np.full(len(sizes), -np.inf)
    else:
        rest = np.log(np.maximum(1.0 - mass, LEAST_REST))
    columns = np.arange(len(row)) - starts[row]
    listed = log_probs >= -1000.0  # what is less is left to the rest
    rows = PartialRows(
        columns[listed],
        log_probs[listed],
        np.concatenate([[0], np.cumsum(np.bincount(row[listed], minlength=len(sizes)))]),
        n_tokens=most + (not normalize),
        rest=rest,
        cap=np.minimum(rest, 0.0),
        tokens=names if normalize else (*names, OTHER),
        meta={
            "source": "matrixbayes.from_lm_eval",
            "model": None,
            "part": "choices",
            "prompt": [d.number for d in documents],
            "position": [0] * len(documents),
            "target": [d.target for d in documents],
        },
    )
    return grouped(rows, vocab, other)


def of_first_filter(found: Iterable[tuple[Any, Where]]) -> Iterator[tuple[Any, Where]]:
    """The records but for documents that stand there again, for another filter."""
    filters: dict[Any, Any] = {}
    for record, where in found:
        asked = field(record, "filter")
        name = tuple(shown(field(record, key)) for key in IDENTITY)
        if field(record, "arguments") is None or filters.setdefault(name, asked) == asked:
            yield record, where


def _samples(records: Any) -> Any:
    """The samples among what ``simple_evaluate`` returned, task by task; else what is given."""
    if not isinstance(records, Mapping) or "arguments" in records:
        return records
    tasks = field(records, "samples", records)
    found = [*tasks.values()] if isinstance(tasks, Mapping) else [tasks]
    return found if all(isinstance(each, list) for each in found) else records


def _check_choices(vocab: Vocab | None, names: tuple[str, ...]) -> None:
    """Refuse an answer that is none of the choices: there is no such column that is not listed."""
    each: Any = vocab.values() if isinstance(vocab, Mapping) else vocab or ()
    for spellings in each:
        several = isinstance(spellings, Iterable) and not isinstance(spellings, str)
        for spelling in spellings if several else [spellings]:
            if isinstance(spelling, str) and spelling not in names:
                raise NoSuchTokenError(no_such_token(spelling, names, "the choices"))


def _document(record: Any, where: str) -> Document:
    """The choices of a document: continuations of one context."""
    arguments = field(record, "arguments")
    answers = field(record, "resps", field(record, "filtered_resps"))
    if arguments is None or answers is None:
        raise Refused("the record has no arguments and resps: run lm_eval with --log_samples")
    pairs = [_pair(each) for each in _in_order(arguments)]
    if len(pairs) != len(answers):
        raise Refused(f"{len(pairs)} requests have {len(answers)} answers")
    if not pairs:
        raise Refused("the document has no choices")
    context = pairs[0][0]
    choices, log_probs = [], []
    for (before, choice), answer in zip(pairs, answers, strict=True):
        if before == context:
            choices.append(choice)
            log_probs.append(_log_prob(answer))
        elif before != "":  # without the context: for acc_mutual_info
            raise Refused(
                "its choices follow different contexts: each number is of another distribution"
            )
    if len(choices) < 2:
        raise Refused("the document has one continuation and no choices")
    number, target = as_kept(field(record, "doc_id")), as_kept(field(record, "target"))
    return Document(tuple(choices), log_probs, target, number, where)


def _in_order(arguments: Any) -> Sequence[Any]:
    """The requests of a document in their order."""
    if not isinstance(arguments, Mapping):
        return list(arguments)
    return [arguments[name] for name in sorted(arguments, key=lambda n: int(n.rpartition("_")[2]))]


def _pair(request: Any) -> tuple[str, str]:
    """Context and continuation of a request."""
    parts = list(request.values()) if isinstance(request, Mapping) else list(request)
    if len(parts) < 2 or not isinstance(parts[1], str):  # a third are images
        raise Refused(
            "this task has no choices: generated texts are counted by from_samples, and rolling "
            "log-likelihoods are no rows"
        )
    return parts[0], parts[1]


def _log_prob(answer: Any) -> float:
    """The number of a request: in lists, as text, beside whether it was the most likely one."""
    value = answer
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise Refused(f"{shown(value)} is no log-probability") from None
    if np.isnan(number) or number > TOLERANCE:
        raise Refused(f"{number:g} is no log-probability")
    return number


def _warn_of_overlaps(documents: Sequence[Document]) -> None:
    """Say where choices do not exclude each other."""
    known: dict[tuple[str, ...], bool] = {}
    n, example = 0, ("", "")
    for document in documents:
        if document.choices not in known:
            ordered = sorted(document.choices)
            pairs = pairwise(ordered)
            found = next(((a, b) for a, b in pairs if b.startswith(a)), None)
            known[document.choices] = found is not None
            example = found or example
        n += known[document.choices]
    if n:
        warnings.warn(
            f"in {n} of {len(documents)} documents a choice is the beginning of another, as "
            f"{example[0]!r} of {example[1]!r}: the mass of the longer one is part of that of the "
            "shorter one, and they do not exclude each other",
            UserWarning,
            stacklevel=3,
        )
