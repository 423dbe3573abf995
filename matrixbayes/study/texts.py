"""Demonstrations as texts, what a model says along them, and the prior that it acts on.

Contents
    Shots                the prompts of one sequence of demonstrations, and their answers
    demonstrations       the same from (input, answer, spelling)
    find_answer          the group of an answer, and how it is spelled
    predictions_along    the model's own rows, S + 1 for every sequence
    answers_alone        rows given that one of the answers comes, and how probable others are
    elicit               one call from a model and sequences to an `ElicitationReport`
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.arguments import instance, shown
from .._base.display import percent
from .._base.progress import begin
from .._base.typing import Floats
from ..huggingface.answers import OTHER
from .held import held, readable

if TYPE_CHECKING:
    from ..elicitation import ElicitationReport
    from ..rows import NextTokenRows

Collect = Callable[[Sequence[Any], Sequence[Sequence[int]]], "NextTokenRows"]
Encode = Callable[[Any], Sequence[int]]
Vocab = Mapping[str, Sequence[str | int]]

MOST_OTHER = 0.5  # of the probability outside the answers, before it is warned of


@dataclass(frozen=True)
class Shots:
    """One sequence of demonstrations.

    Attributes
    ----------
    prompts
        S + 1 texts (or their token ids): what the model reads before it predicts after 0, 1, ..., S
        demonstrations.
    answers
        The S answer groups demonstrated, by name.
    """

    prompts: tuple[Any, ...]
    answers: tuple[str, ...]


def demonstrations(
    items: Sequence[tuple[str, str, str]], *, with_inputs: bool, prefix: str = ""
) -> Shots:
    """The prompts of a sequence of (input, answer, spelling).

    Parameters
    ----------
    items
        With inputs the last one is the query: its input is shown, its answer is not.
    with_inputs
        Demonstrations with inputs are joined by a line break, answers alone by a space unless they
        begin with one.
    prefix
        What stands before everything.

    Examples
    --------
    >>> demonstrations([("", "yes", "yes"), ("", "no", "no")], with_inputs=False)
    Shots(prompts=('', 'yes', 'yes no'), answers=('yes', 'no'))
    >>> demonstrations([("Sky:", "cold", " blue"), ("Sun:", "", "")], with_inputs=True)
    Shots(prompts=('Sky:', 'Sky: blue\\nSun:'), answers=('cold',))
    """
    prompts: list[str] = []
    answers: list[str] = []
    text = instance(prefix, str, "prefix")
    for i, (given, answer, spelling) in enumerate(items):
        separator = "\n" if with_inputs else "" if spelling[:1].isspace() else " "
        if i == 0 and (not text or text[-1].isspace()):
            separator = ""
        text += separator + given
        # Without an input, what is between the answers belongs to the answer.
        prompts.append(text if with_inputs else text.removesuffix(separator))
        if not (with_inputs and i == len(items) - 1):
            text += spelling
            answers.append(answer)
    if not with_inputs:
        prompts.append(text)
    return Shots(tuple(prompts), tuple(answers))


def predictions_along(
    collect: Collect, encode: Encode, shots: Sequence[Shots]
) -> list[NextTokenRows]:
    """The model's own rows, S + 1 for every sequence.

    Where every prompt of a sequence is the beginning of its last one, token for token, one pass
    over the last one gives them all.
    """
    texts: list[Any] = []
    positions: list[list[int]] = []
    ends = [0]
    for sequence in shots:
        ids = [list(encode(text)) for text in sequence.prompts]
        if all(some and ids[-1][: len(some)] == some for some in ids):
            texts.append(sequence.prompts[-1])
            positions.append([len(some) - 1 for some in ids])
        else:
            texts += sequence.prompts
            positions += [[-1]] * len(ids)
        ends.append(ends[-1] + len(ids))
    rows = collect(texts, positions)
    return [rows[start:end] for start, end in pairwise(ends)]


def encoder(tokenizer: Any) -> Encode:
    """The tokens of a text; none where `collect` will say what is wrong with it."""
    from ..huggingface.prompts import untouched

    def encode(text: Any) -> list[int]:
        if not isinstance(text, str):
            return [int(i) for i in text]
        try:
            with untouched(tokenizer):
                return list(tokenizer(text, verbose=False)["input_ids"])
        except Exception:  # a backend of Rust raises plain Exception
            return []

    return encode


def answers_alone(rows: NextTokenRows) -> tuple[Floats, tuple[str, ...], Floats]:
    """Rows given that one of the answers comes next, the answers, and how probable others are.

    Returns
    -------
    log_probs : ndarray of shape (N, V)
    tokens : tuple of V names
    other : ndarray of shape (N,)
        The probability of the column ``<other>``, or on average what `collect` left out.
    """
    log_probs = rows.log_probs.astype(np.float64)
    tokens = rows.tokens or tuple(map(str, range(rows.n_tokens)))
    if tokens[-1] != OTHER:
        rest = rows.meta.get("rest") or {}
        gone = float(rest["mean"]) if rest.get("dropped") else 0.0
        return log_probs, tokens, np.full(len(log_probs), gone)
    answers = log_probs[:, :-1]
    total = np.logaddexp.reduce(answers, axis=1, keepdims=True)
    return answers - total, tokens[:-1], np.exp(log_probs[:, -1])


# ---------------------------------------------------------------------------
# One call
# ---------------------------------------------------------------------------


def elicit(
    model: Any,
    tokenizer: Any,
    sequences: Sequence[Any],
    *,
    vocab: Mapping[str, str | int | Sequence[str | int]] | Sequence[str] | None = None,
    prefix: str = "",
    batch_size: int = 32,
    **options: Any,
) -> ElicitationReport:
    """Find the prior that a language model acts on, from texts alone.

    The model reads each sequence of demonstrations; what it says of the next answer after 0, 1, 2,
    ... of them, given that one of the answers comes, goes to `elicit_prior`.

    Parameters
    ----------
    model, tokenizer
        As for `collect`: a loaded causal language model of HuggingFace, and its tokenizer.
    sequences : sequence of N sequences
        Each a text of answers between white space (``"heads tails heads"``), a list of answers, or
        a list of pairs (input, answer), one to a line, whose last answer is not shown and may be
        None.  An answer is the name of a group of `vocab` or one of its spellings.
    vocab : mapping, or sequence of str, optional
        The answers: name -> the spellings that count as it, as for `collect`; the first is what is
        shown where a sequence has the name.  Each text counts as the tokens that the sequences hold
        where answers stand.  By default the answers that occur, with and without a space in front.
    prefix : str
        Stands before every sequence.
    batch_size : int
        Sequences in one pass.
    **options
        Of `elicit_prior`: `family`, `n_components`, `n_boot`, `rng` and others.  `groups` are by
        default the sequences.

    Returns
    -------
    ElicitationReport

    Warns
    -----
    RuntimeWarning
        More than half of the probability is outside the answers on average; or what `elicit_prior`
        warns of.

    Raises
    ------
    ValueError, TypeError
        There are no demonstrations, an answer is in no group, the text does not hold an answer as
        tokens of its own, or there is nothing before the first answer and the tokenizer adds
        nothing: give `prefix`.

    Notes
    -----
    The families look at answers only: what inputs say is no part of them, and shows as misfit.

    See Also
    --------
    matrixbayes.study.study : the whole analysis, with tests and a verdict.

    Examples
    --------
    >>> from importlib.resources import files
    >>> from transformers import AutoModelForCausalLM, AutoTokenizer
    >>> import matrixbayes as mb
    >>> urns = str(files("matrixbayes") / "data" / "urns")
    >>> model = AutoModelForCausalLM.from_pretrained(urns)
    >>> tokenizer = AutoTokenizer.from_pretrained(urns)
    >>> colours = ["red", "orange", "white", "black"]
    >>> rng = np.random.default_rng(0)
    >>> urns = rng.dirichlet([1.0, 1.0, 1.0, 1.0], 12)
    >>> texts = [" ".join(rng.choice(colours, 16, p=urn)) for urn in urns]
    >>> found = mb.elicit(model, tokenizer, texts, family="iid", n_components=2, rng=0)
    >>> found.tokens == tuple(dict.fromkeys(" ".join(texts).split()))
    True
    >>> found.n_rows, found.mean_kl < 0.02 * found.baseline_kl
    (204, True)
    """
    from ..huggingface import collect

    listed = _listed(sequences)
    finish = begin("elicit", "%d sequences", len(listed))
    groups = _groups(tokenizer, vocab, listed)
    texts = readable(tokenizer, groups)
    shots = [
        _shots(items, groups, texts, prefix, f"sequence {i}") for i, items in enumerate(listed)
    ]
    encode = encoder(tokenizer)
    if not shots[0].prompts[0] and not encode(""):
        raise ValueError(
            "this tokenizer puts nothing before a text, and nothing can be predicted from no token "
            "at all: give prefix=, a text to begin with"
        )
    columns = held(tokenizer, encode, shots, groups)
    rows = predictions_along(
        lambda prompts, positions: collect(
            model,
            tokenizer,
            prompts,
            positions=positions,
            vocab=columns,
            batch_size=batch_size,
            progress=False,
        ),
        encode,
        shots,
    )
    report = elicited_from(shots, rows, **options)
    finish("family %s", report.family)
    return report


def elicited_from(
    shots: Sequence[Shots], rows: Sequence[NextTokenRows], **options: Any
) -> ElicitationReport:
    """`elicit_prior` of sequences and the model's rows along them."""
    from ..elicitation import elicit_prior
    from ..rows import NextTokenRows

    parts = [answers_alone(own) for own in rows]
    tokens = parts[0][1]
    other = float(np.concatenate([part[2] for part in parts]).mean())
    if other > MOST_OTHER:
        warnings.warn(other_warning(other), RuntimeWarning, stacklevel=3)
    column = {name: j for j, name in enumerate(tokens)}
    numbers = [[column[name] for name in sequence.answers] for sequence in shots]
    histories = [row[:t] for row in numbers for t in range(len(row) + 1)]
    own: dict[str, Any] = {
        "groups": np.repeat(np.arange(len(shots)), [len(r) + 1 for r in numbers])
    }
    if len(shots) == 1:  # none is left to compare families on
        own["family"] = "iid"
    predictions = NextTokenRows(np.concatenate([part[0] for part in parts]), tokens=tokens)
    return elicit_prior(histories, predictions, **{**own, **options})


def other_warning(share: float) -> str:
    """That most of the probability is elsewhere."""
    return (
        f"{percent(share)} of the probability is outside the answers on average: what is said is "
        "about the model's choice between the answers alone, which it hardly ever makes; other "
        "spellings or prompts would bring it to the answers"
    )


def _listed(sequences: Any) -> list[list[tuple[str, str | None] | str]]:
    """Each sequence as a list of answers or of pairs."""
    if isinstance(sequences, (str, Mapping)):
        raise TypeError("sequences is one text; for a single one write [text]")
    listed = []
    for i, given in enumerate(sequences):
        items: list[Any] = given.split() if isinstance(given, str) else list(given)
        pairs = [isinstance(item, (tuple, list)) for item in items]
        texts = [item[0] if pair else item for pair, item in zip(pairs, items, strict=True)]
        wrong = [item for item in texts if not isinstance(item, str)]
        if wrong or any(len(item) != 2 for pair, item in zip(pairs, items, strict=True) if pair):
            raise TypeError(
                f"sequence {i} is {given!r:.80}; it is a text, a list of answers, or a list of "
                "pairs (input, answer)"
            )
        if not items or (all(pairs) and len(items) < 2):
            raise ValueError(f"sequence {i} has no demonstration")
        if any(pairs) != all(pairs):
            raise ValueError(f"sequence {i} mixes answers alone with pairs (input, answer)")
        listed.append(items)
    if not listed:
        raise ValueError("there are no sequences")
    return listed


def _groups(
    tokenizer: Any, vocab: Any, listed: Sequence[Sequence[Any]]
) -> dict[str, list[str | int]]:
    """The spellings of each answer."""
    if vocab is None:
        shown = [items[:-1] if isinstance(items[0], (tuple, list)) else items for items in listed]
        names = [item if isinstance(item, str) else item[1] for items in shown for item in items]
        vocab = {name: _spellings(tokenizer, name) for name in dict.fromkeys(names)}
    elif not isinstance(vocab, Mapping):
        vocab = {name: [name] for name in vocab}
    groups: dict[str, list[str | int]] = {
        name: [spellings] if isinstance(spellings, (str, int)) else list(spellings)
        for name, spellings in vocab.items()
    }
    if len(groups) < 2:
        raise ValueError(f"the answers are {list(groups)}: two or more are needed")
    return groups


def _spellings(tokenizer: Any, name: Any) -> list[str]:
    """An answer's spellings with and without a space in front, as far as they are tokens."""
    if not isinstance(name, str):
        raise TypeError(f"an answer is {name!r}; it is a text")
    first: dict[int, str] = {}
    for text in (name, f" {name.strip()}"):
        try:
            ids = tokenizer.encode(text, add_special_tokens=False)
        except Exception:  # a backend of Rust raises plain Exception
            continue
        if len(ids) == 1:
            first.setdefault(ids[0], text)
    return list(first.values()) or [name]  # which `collect` refuses


def _shots(
    items: Sequence[Any],
    groups: Vocab,
    texts: Mapping[str, Sequence[str]],
    prefix: str,
    where: str,
) -> Shots:
    """One sequence as prompts and names of answers."""
    with_inputs = isinstance(items[0], (tuple, list))
    found = []
    for i, item in enumerate(items):
        given, answer = item if with_inputs else ("", item)
        name = spelling = ""
        if not (with_inputs and i == len(items) - 1):
            name, spelling = find_answer(answer, groups, where, texts)
        found.append((given, name, spelling))
    return demonstrations(found, with_inputs=with_inputs, prefix=prefix)


def find_answer(
    answer: Any, groups: Vocab, where: str, texts: Mapping[str, Sequence[str]] | None = None
) -> tuple[str, str]:
    """The group of an answer and the text to show to the model.

    `texts` has the spellings as text, where some are ids or names of pieces.

    Raises
    ------
    ValueError
        It is in no group; says where.
    """
    if texts is None:
        texts = {
            name: [s if isinstance(s, str) else name for s in own] for name, own in groups.items()
        }
    for name, spellings in groups.items():
        if answer in spellings:
            return name, texts[name][list(spellings).index(answer)]
    bare = str(answer).strip()
    if bare in groups:
        own = zip(groups[bare], texts[bare], strict=True)
        return bare, next((t for s, t in own if isinstance(s, str)), texts[bare][0])
    same = [(name, text) for name, own in texts.items() for text in own if text.strip() == bare]
    if len({name for name, _ in same}) == 1:
        return same[0]
    known = ", ".join(repr(name) for name in list(groups)[:8])
    raise ValueError(f"{where}: the answer {shown(answer)} is in no vocab group ({known})")
