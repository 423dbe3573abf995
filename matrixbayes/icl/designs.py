"""Prompts that set demonstrations against what words mean: flipped and unrelated labels.

A model that follows demonstrations whose labels are flipped overrules what it believed of them; one
that follows labels without a meaning learns the task from the demonstrations alone (Wei et al.
2023; Min et al. 2022).  How many it takes is a learning curve, for `fit_icl_curve`.

Contents
    flipped_label_design      some demonstrations have the wrong label
    unrelated_label_design    labels are words that have nothing to do with the task
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from .._base.arguments import generator_of, has_items, listed, probability
from .._base.typing import Seed
from .label_design import LabelDesign
from .prompts import Sequences, Template, strings, whole_numbers

Query = tuple[str, str]

TEMPLATE = "Input: {input}\nLabel: {label}"
SEPARATOR = "\n\n"
SHOTS = (0, 1, 2, 4, 8, 16)


def flipped_label_design(
    inputs: Sequence[str],
    labels: Sequence[str],
    *,
    shots: int | Iterable[int] = SHOTS,
    fraction: float | Iterable[float] = 1.0,
    n_sequences: int = 20,
    queries: Sequence[Query] | None = None,
    balanced: bool = True,
    template: str = TEMPLATE,
    separator: str = SEPARATOR,
    rng: Seed = None,
) -> LabelDesign:
    """Prompts some or all of whose demonstrations have the wrong label.

    The label of an input is replaced by the next one, in the order of their first appearance; the
    last by the first.

    Parameters
    ----------
    inputs : sequence of str
        Texts to demonstrate with.
    labels : sequence of str
        Their true labels, words that mean what they say; two different ones at least.
    shots : int or iterable of int
        Numbers of demonstrations.
    fraction : float or iterable of float
        Of the demonstrations of a prompt that are flipped, to the nearest whole number.
    n_sequences : int
        How many queries, each with an order of demonstrations of its own.  A fit's intervals are
        over sequences: let them have different queries where there are enough.
    queries : sequence of (input, label), optional
        To be asked, in turn.  By default each sequence draws one of `inputs`, the labels in turn,
        and does not demonstrate it; inputs that are equal count as different ones.
    balanced : bool
        Demonstrations have all labels equally often (within one), so that how often a label came
        says nothing and the rule alone can be learnt.  If False they are all of the query's label,
        and to count labels is enough.
    template : str
        A demonstration, with ``{input}`` and then ``{label}``.
    separator : str
        Between demonstrations.
    rng : numpy.random.Generator or int, optional

    Returns
    -------
    LabelDesign

    Raises
    ------
    ValueError, TypeError
        Something is not as described, or there are too few inputs of a label.

    Examples
    --------
    >>> import numpy as np, matrixbayes as mb
    >>> texts, labels = ["good", "fine", "bad", "poor"] * 5, ["yes", "yes", "no", "no"] * 5
    >>> design = mb.flipped_label_design(texts, labels, shots=range(9), rng=0,
    ...                                  template="{input}: {label}", separator="; ")
    >>> design.prompts[2], design.shown[2], design.vocab
    ('fine: no; bad: yes; good:', 'no', {'yes': ' yes', 'no': ' no'})

    ``mb.collect(model, tokenizer, design.prompts, vocab=design.vocab)`` has the rows of a model.
    Here is one that begins with ten demonstrations' worth of belief, eight for what words mean:

    >>> p = (2 + design.followed) / (10 + design.shots)
    >>> by_rule = np.array(design.shown)[:, np.newaxis] == design.words
    >>> found = design.fit(np.where(by_rule, p[:, np.newaxis], 1 - p[:, np.newaxis]), kind="probs")
    >>> round(found.dirichlet.concentration, 3), round(found.dirichlet.crossover, 3)
    (10.0, 6.0)
    """
    form = Template(template, separator)
    made = Sequences.checked(inputs, labels, queries, n_sequences, balanced)
    fractions = _fractions(fraction)
    numbers = whole_numbers(shots, "shots")
    names = made.names
    other = dict(zip(names, [*names[1:], names[0]], strict=True))
    generator = generator_of(rng)
    prompts = []
    for s, query, shown in made.draw(max(numbers), generator):
        for n in numbers:
            for k in sorted({int(np.floor(f * n + 0.5)) for f in fractions}):
                flipped = set(generator.permutation(n)[:k].tolist())
                pairs = [
                    (text, other[name] if i in flipped else name)
                    for i, (text, name) in enumerate(shown[:n])
                ]
                prompts.append((s, pairs, k, query, other[query[1]]))
    return _design(prompts, names, form)


def unrelated_label_design(
    inputs: Sequence[str],
    labels: Sequence[str],
    *,
    words: Sequence[str] = ("foo", "bar"),
    shots: int | Iterable[int] = SHOTS,
    n_sequences: int = 20,
    queries: Sequence[Query] | None = None,
    balanced: bool = True,
    template: str = TEMPLATE,
    separator: str = SEPARATOR,
    rng: Seed = None,
) -> LabelDesign:
    """Prompts whose labels are words that have nothing to do with the task.

    Each sequence comes once with each of L ways to give L words to L labels, shifted by one from
    the next: every word stands for every label equally often, so that what a model thinks of the
    words cancels.  Without demonstrations the mean probability is 1 / L.

    Parameters
    ----------
    inputs, labels
        As for `flipped_label_design`.
    words : sequence of L str
        All different.
    shots, n_sequences, queries, balanced, template, separator, rng
        As for `flipped_label_design`.

    Returns
    -------
    LabelDesign

    Raises
    ------
    ValueError, TypeError
        Something is not as described, or there are too few inputs of a label.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> texts, labels = ["good", "fine", "bad", "poor"] * 5, ["yes", "yes", "no", "no"] * 5
    >>> design = mb.unrelated_label_design(texts, labels, shots=[0, 2], n_sequences=4, rng=0,
    ...                                    template="{input}: {label}", separator="; ")
    >>> for i in (2, 3):
    ...     design.prompts[i], design.semantic[i], design.shown[i]
    ('fine: foo; bad: bar; good:', 'yes', 'foo')
    ('fine: bar; bad: foo; good:', 'yes', 'bar')
    """
    form = Template(template, separator)
    made = Sequences.checked(inputs, labels, queries, n_sequences, balanced)
    numbers = whole_numbers(shots, "shots")
    names, many = made.names, len(made.names)
    words = strings(words, "words")
    if len(words) != many or len(set(words)) != many:
        raise ValueError(
            f"words are {', '.join(map(repr, words))}; they must be {many} different ones, for "
            f"{', '.join(map(repr, names))}"
        )
    ways = [dict(zip(names, [*words[i:], *words[:i]], strict=True)) for i in range(many)]
    prompts = []
    for s, query, shown in made.draw(max(numbers), generator_of(rng)):
        for n in numbers:
            for word in ways:
                pairs = [(text, word[name]) for text, name in shown[:n]]
                prompts.append((s, pairs, n, query, word[query[1]]))
    return _design(prompts, tuple(words), form)


def _fractions(fraction: float | Iterable[float]) -> list[float]:
    several = has_items(fraction)
    given = listed(fraction, "fraction") if several else [np.asarray(fraction).item()]
    if not given:
        raise ValueError("fraction is empty")
    for f in given:
        probability(f, "fraction")
    return given


def _design(
    prompts: list[tuple[int, list[Query], int, Query, str]], words: tuple[str, ...], form: Template
) -> LabelDesign:
    """From sequence, demonstrations, how many follow the rule, the query, and its label by it."""
    sequence, pairs, followed, queries, shown = zip(*prompts, strict=True)
    return LabelDesign(
        prompts=tuple(form.prompt(p, q[0]) for p, q in zip(pairs, queries, strict=True)),
        words=words,
        vocab={word: form.space + word for word in words},
        shots=np.array([len(p) for p in pairs], dtype=np.int64),
        followed=np.array(followed, dtype=np.int64),
        queries=tuple(text for text, _ in queries),
        shown=shown,
        semantic=tuple(name for _, name in queries),
        demonstrations=tuple(map(tuple, pairs)),
        sequence=np.array(sequence, dtype=np.int64),
    )
