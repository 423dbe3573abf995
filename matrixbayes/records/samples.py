"""Counts of answers among samples, for models of which nothing else can be had.

Contents
    AnswerCounts    how often each answer was given, a row for each prompt
    from_samples    from texts, ids or responses
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._base import display
from .._base.arguments import is_whole, shown
from .._base.asked import asked
from .._base.numbers import wholes
from .._base.tokens import token_names
from ..huggingface.answers import OTHER
from . import reading
from .lm_eval import of_first_filter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Answer = str | int
Samples = Sequence[Answer] | Mapping[Answer, int]  # one after another, or how often each
MOST = 2**53  # samples: a count in double precision is exact up to here

PIECE = "this is a piece of a stream, and no whole text: put the pieces together"


@dataclass(frozen=True, eq=False, repr=False)
class AnswerCounts(display.Shown):
    """How often each answer was given: a row for each prompt.

    An array of counts with names, for everything that takes ``kind="counts"``.

    Parameters
    ----------
    counts : ndarray of int of shape (N, G)
        Samples of each answer.
    tokens : tuple of str of length G
        The answers.
    meta : dict
        Where they come from; ``prompt`` has what stands for each row.

    See Also
    --------
    from_samples : makes them.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> mb.from_samples([["red", "red", "blue"], ["blue"]])
    AnswerCounts: 2 prompts, 4 samples, 2 answers
    prompt  'blue'  'red'
         0       1      2
         1       1      0
    """

    counts: NDArray[np.int64]
    tokens: tuple[str, ...]
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = wholes(self.counts, "counts")
        if counts.ndim != 2:
            raise ValueError(f"counts have shape {counts.shape}; they need (N, G)")
        counts = counts.view()
        counts.setflags(write=False)
        object.__setattr__(self, "counts", counts)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, G)."""
        return self.counts.shape[0], self.counts.shape[1]

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, key: Any) -> Any:
        return self.counts[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.counts, dtype=dtype)

    def to_pandas(self) -> Any:
        """A data frame with a column per answer."""
        import pandas as pd

        return pd.DataFrame(self.counts, columns=list(self.tokens), index=self.meta.get("prompt"))

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The share of each answer, and how prompts differ in it."""
        from ..rows.plots import answer_counts  # needs matplotlib

        return answer_counts(self, ax=ax)

    def _table(self) -> display.Table:
        n, width = self.shape
        total = int(self.counts.sum())
        title = f"AnswerCounts: {n} prompt{'' if n == 1 else 's'}, {total} samples, {width} answers"
        return display.Table(
            title,
            ["prompt", *(display.show(token) for token in self.tokens)],
            [[i, *map(int, row)] for i, row in enumerate(self.counts)],
        )


def from_samples(
    samples: Any,
    vocab: Mapping[str, Answer | Sequence[Answer]] | Sequence[Answer] | None = None,
    *,
    match: Literal["exact", "start"] | Callable[[str], str | None] = "exact",
    other: Literal["keep", "drop"] = "keep",
) -> AnswerCounts:
    """Counts of answers among samples: what can be had of a model that gives texts alone.

    Parameters
    ----------
    samples
        A list of samples for each prompt: texts, token ids, or responses of an API (each of its
        choices is a sample; of lm-evaluation-harness, the generated texts of a document); or a
        mapping from texts or ids to how often each came; or a mapping from prompts to any of
        these.  A single list of texts is one prompt.  Responses by themselves, or the path of a
        file of them, are a prompt each, with their choices as samples.
    vocab : mapping, or sequence of str or int, optional
        Answers, each one spelling or several.  By default every different sample is one.
    match : {"exact", "start"} or callable
        When a text is a spelling: if they are equal but for white space at the ends, or if it
        begins with the spelling and no letter or digit follows (the longest such).  Or what gives
        the name of the answer for a text, None for none of them.
    other : {"keep", "drop"}
        Count samples that are no answer in a last column ``<other>``, or leave them out.

    Returns
    -------
    AnswerCounts
        To fit by ``DirichletMixtureEstimator(kind="counts")``, whose likelihood is that of the
        samples: the noise of few samples is in it, and no prior is read into it.

    Raises
    ------
    ValueError, TypeError
        A spelling is in two answers; samples are no texts or ids; there are none.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> counts = mb.from_samples([["Yes", "yes.", "no"], ["no", "no", "I cannot say"]],
    ...                          {"yes": ["yes", "Yes"], "no": "no"}, match="start")
    >>> counts.tokens, counts[:].tolist()
    (('yes', 'no', '<other>'), [[2, 1, 0], [0, 2, 1]])
    """
    if other not in ("keep", "drop"):
        raise ValueError(f"other={shown(other)} is neither 'keep' nor 'drop'")
    prompts, rows = _prompts(samples)
    if not rows:
        raise ValueError("there are no samples")
    answer, names = _answers(vocab, match)
    found: list[Counter[str | None]] = []
    for number, row in enumerate(rows):
        seen: Counter[str | None] = Counter()
        for sample, n in row.items() if isinstance(row, Mapping) else ((each, 1) for each in row):
            if isinstance(sample, bool) or not isinstance(sample, (str, int, np.integer)):
                raise TypeError(
                    f"prompt {number}: {reading.shown(sample)} is neither a text nor a token id"
                )
            if n:  # a Counter keeps what it was asked for
                seen[_called(answer, sample, number)] += n
        found.append(seen)
    if names is None:
        total = sum(found, Counter())
        names = sorted((name for name in total if name is not None), key=lambda n: (-total[n], n))
    named = token_names((*names, OTHER) if vocab is not None and other == "keep" else names)
    assert named is not None
    counts = np.zeros((len(rows), len(named)), dtype=np.int64)
    column = {name: j for j, name in enumerate(names)}
    for i, seen in enumerate(found):
        for name, n in seen.items():
            if n > MOST:
                raise ValueError(
                    f"prompt {i}: {shown(n)} samples of one answer, and {MOST} are most"
                )
            if name is not None and name not in column:
                raise ValueError(f"prompt {i}: {name!r} is not one of the answers {list(names)}")
            if name is not None:
                counts[i, column[name]] = n
            elif other == "keep":
                counts[i, -1] = n
    meta = {"source": "matrixbayes.from_samples", "prompt": prompts}
    return AnswerCounts(counts, named, meta)


def _prompts(samples: Any) -> tuple[list[Any], list[Samples]]:
    """What stands for each prompt, and its samples."""
    if isinstance(samples, (str, os.PathLike)):
        rows: list[Samples] = [
            _texts(record) for record, _ in of_first_filter(reading.records(samples))
        ]
        return [*range(len(rows))], rows
    if hasattr(samples, "tolist"):  # arrays, tensors, columns of tables
        samples = samples.tolist()
    if _is_response(samples) or not hasattr(samples, "__iter__"):  # objects of pydantic have it
        return [0], [_texts(samples)]
    if isinstance(samples, Mapping) and samples and all(map(is_whole, samples.values())):
        return [0], [_samples(samples)]
    if isinstance(samples, Mapping):
        return [*samples], [_samples(each) for each in samples.values()]
    given = list(samples)
    if given and all(isinstance(each, (str, int, np.integer)) for each in given):
        return [0], [given]
    given = [each for each, _ in of_first_filter((each, "") for each in given)]
    rows = [_texts(each) if _is_response(each) else _samples(each) for each in given]
    return [*range(len(rows))], rows


def _samples(given: Any) -> Samples:
    """The samples of one prompt: texts, ids, texts with counts, or responses."""
    if hasattr(given, "tolist"):
        given = given.tolist()
    if isinstance(given, str):
        raise TypeError(f"the samples of a prompt are one string; write [{shown(given)}]")
    if isinstance(given, Mapping) and not _is_response(given):
        wrong = next((n for n in given.values() if not is_whole(n) or n < 0), None)
        if wrong is not None:
            raise TypeError(f"a sample was given {reading.shown(wrong)} times: that is no count")
        return {text: int(n) for text, n in given.items()}
    if _is_response(given):
        return _texts(given)
    if not isinstance(given, Iterable):
        raise TypeError(f"the samples of a prompt are {reading.shown(given)}, and no list")
    return [s for each in given for s in (_texts(each) if _is_response(each) else [each])]


def _is_response(record: Any) -> bool:
    record = reading.unwrapped(record)
    return any(
        reading.field(record, n) is not None
        for n in ("choices", "output", "outputs", "done", "resps")
    )


def _texts(record: Any) -> list[Answer]:
    """The texts of a response, one for each choice; "" where nothing was said."""
    get, record = reading.field, reading.unwrapped(record)
    found: list[Answer] = []
    for texts in _list(get(record, "resps")):  # of lm-evaluation-harness
        found.extend([texts] if isinstance(texts, str) else _list(texts))
    for choice in _list(get(record, "choices") or get(record, "outputs")):
        if get(choice, "delta") is not None:
            raise TypeError(PIECE)
        content = get(get(choice, "message"), "content", get(choice, "text", ""))
        found.append(content if isinstance(content, str) else _joined(content))
    if found:
        return found
    output = get(record, "output")
    if output is not None:
        parts = [part for item in _list(output) for part in _list(get(item, "content"))]
        return [_joined(parts)]
    if get(record, "done") is False:
        raise TypeError(PIECE)
    text = get(record, "response") or get(get(record, "message"), "content") or get(record, "text")
    if text is None:
        raise TypeError(f"a record of type {type(record).__name__} has no text that is known")
    return [text]


def _joined(parts: Any) -> str:
    """The text of parts of a message."""
    texts = [reading.field(part, "text", "") for part in _list(parts)]
    wrong = next((text for text in texts if not isinstance(text, str)), None)
    if wrong is not None:
        raise TypeError(f"a part of a message is {reading.shown(wrong)}, and no text")
    return "".join(texts)


def _list(values: Any) -> Sequence[Any]:
    """A list of a response; none where it is null."""
    if values is not None and not isinstance(values, (list, tuple)):
        raise TypeError(f"a response has {reading.shown(values)} where a list is")
    return values or ()


def _called(answer: Callable[[Any], Any], sample: Any, number: int) -> str | None:
    """What a sample of a prompt is called."""
    name = asked(f"prompt {number}, {reading.shown(sample)}", answer, sample)
    if name is not None and not isinstance(name, str):
        raise TypeError(
            f"prompt {number}: match gave {reading.shown(name)} for {reading.shown(sample)}; it "
            "must give the name of an answer, or None"
        )
    return name


def _answers(vocab: Any, match: Any) -> tuple[Callable[[Any], str | None], Sequence[str] | None]:
    """What gives the answer that a sample is, and the names of the answers in order."""
    if not callable(match) and match not in ("exact", "start"):
        raise ValueError(f"match={shown(match)} is not 'exact', 'start' or a function")
    if vocab is None:
        if match == "start":
            raise ValueError("match='start' needs vocab: the spellings that texts may begin with")
        if callable(match):
            return match, None
        return lambda sample: sample.strip() if isinstance(sample, str) else f"<{sample}>", None
    if isinstance(vocab, str):
        raise TypeError(f"vocab is one string; write [{shown(vocab)}]")
    given = vocab if isinstance(vocab, Mapping) else {_name(each): each for each in vocab}
    if not given or len(given) < len(vocab):
        raise ValueError("vocab is empty" if not vocab else "vocab holds an answer twice")
    owner: dict[Answer, str] = {}
    for name, spellings in given.items():
        for spelling in [spellings] if isinstance(spellings, (str, int, np.integer)) else spellings:
            key = spelling.strip() if isinstance(spelling, str) else int(spelling)
            if key == "":
                raise ValueError(f"answer {name!r} has an empty spelling")
            if owner.setdefault(key, name) != name:
                raise ValueError(f"{key!r} is in two answers, {owner[key]!r} and {name!r}")
    names = list(given)
    if callable(match):
        return match, names
    if match == "exact":
        return lambda s: owner.get(s.strip() if isinstance(s, str) else int(s)), names
    texts = sorted((key for key in owner if isinstance(key, str)), key=len, reverse=True)
    pattern = re.compile("|".join(f"{re.escape(t)}" + r"(?!\w)" * t[-1].isalnum() for t in texts))

    def start(sample: Any) -> str | None:
        if not isinstance(sample, str):
            return owner.get(int(sample))
        found = pattern.match(sample.strip()) if texts else None
        return None if found is None else owner[found[0]]

    return start, names


def _name(answer: Any) -> str:
    return answer if isinstance(answer, str) else f"<{answer}>"
