"""What the designs of prompts share: a template, and sequences of demonstrations with a query.

Contents
    Template                  demonstrations and a query as text
    Sequences                 labelled texts, and random orders of them
    strings, whole_numbers    words and numbers of shots, checked
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._base.arguments import has_items, listed, shown, times, whole

Pair = tuple[str, str]  # a text and its label


class Template:
    """How a demonstration is written.

    Parameters
    ----------
    template : str
        With ``{input}`` and then ``{label}``, once each.
    separator : str
        Between demonstrations.

    Attributes
    ----------
    space : str
        What a prompt's end leaves to its answer: spaces before the label, which tokenizers want at
        the beginning of a word.

    Examples
    --------
    >>> form = Template("{input} is {label}.", " ")
    >>> form.prompt([("red", "warm")], "blue"), form.space
    ('red is warm. blue is', ' ')
    """

    def __init__(self, template: str, separator: str) -> None:
        for name, value in (("template", template), ("separator", separator)):
            if not isinstance(value, str):
                raise TypeError(f"{name} is {value!r}; it must be a string")
        once = template.count("{input}") == template.count("{label}") == 1
        if not once or template.index("{input}") > template.index("{label}"):
            raise ValueError(
                f"template is {shown(template)}; it must have {{input}} and then {{label}}, "
                "once each"
            )
        self._before, _, rest = template.partition("{input}")
        self._between, _, self._after = rest.partition("{label}")
        self._separator = separator
        self.space = self._between[len(self._between.rstrip(" ")) :]

    def prompt(self, pairs: Iterable[Pair], query: str) -> str:
        """Demonstrations, and a query up to where its label comes."""
        shown = [f"{self._before}{text}{self._between}{word}{self._after}" for text, word in pairs]
        asked = f"{self._before}{query}{self._between}".removesuffix(self.space)
        return self._separator.join([*shown, asked])


@dataclass(frozen=True)
class Sequences:
    """Labelled texts, and what is asked; made by `checked`.

    Attributes
    ----------
    texts : dict of str to tuple of str
        The texts of each label, labels by first appearance.
    queries : tuple of (str, str) or None
        None where they are drawn from the texts.
    n_sequences : int
    balanced : bool
        Whether demonstrations have all labels in turn, or the query's alone.
    """

    texts: dict[str, tuple[str, ...]]
    queries: tuple[Pair, ...] | None
    n_sequences: int
    balanced: bool

    @classmethod
    def checked(
        cls,
        inputs: Sequence[str],
        labels: Sequence[str],
        queries: Sequence[Pair] | None,
        n_sequences: int,
        balanced: bool,
    ) -> Sequences:
        """From what a caller hands in."""
        texts, names = strings(inputs, "inputs"), strings(labels, "labels")
        if len(texts) != len(names):
            raise ValueError(f"{len(texts)} inputs, but {len(names)} labels; each has one")
        pools = {
            name: tuple(t for t, own in zip(texts, names, strict=True) if own == name)
            for name in dict.fromkeys(names)
        }
        if len(pools) < 2:
            raise ValueError(f"labels are {list(pools)}; two different ones are needed")
        many = times(n_sequences, "n_sequences", 1)
        asked = None if queries is None else _asked(queries, pools)
        if not isinstance(balanced, (bool, np.bool_)):
            raise TypeError(f"balanced is {shown(balanced)}; it must be True or False")
        return cls(pools, asked, many, bool(balanced))

    @property
    def names(self) -> tuple[str, ...]:
        """The labels."""
        return tuple(self.texts)

    def draw(
        self, most: int, rng: np.random.Generator
    ) -> Iterator[tuple[int, Pair, tuple[Pair, ...]]]:
        """For each sequence its number, a query, and `most` demonstrations in a random order."""
        self._check_enough(most)
        turns = {name: rng.permutation(len(pool)) for name, pool in self.texts.items()}
        for s in range(self.n_sequences):
            left = {name: list(rng.permutation(len(pool))) for name, pool in self.texts.items()}
            if self.queries is not None:
                query = self.queries[s % len(self.queries)]
            else:
                round_, which = divmod(s, len(self.names))
                name = self.names[which]
                own = int(turns[name][round_ % len(turns[name])])
                left[name].remove(own)
                query = (self.texts[name][own], name)
            order: list[str] = []
            while len(order) < most:
                block = list(self.names) if self.balanced else [query[1]]
                order += [block[i] for i in rng.permutation(len(block))]
            yield s, query, tuple((self.texts[n][left[n].pop()], n) for n in order[:most])

    def _check_enough(self, most: int) -> None:
        """Raise where a label has too few texts."""
        each = -(-most // len(self.names)) if self.balanced else most
        need = each + (self.queries is None)
        for name, pool in self.texts.items():
            if len(pool) < need:
                also = " and a query" if self.queries is None else ""
                raise ValueError(
                    f"{most} shots take {each} inputs of each label{also}; there are {len(pool)} "
                    f"of {name!r}: give more, or ask for fewer shots"
                )


def strings(values: Any, what: str) -> list[str]:
    """A list of strings."""
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{what} is one string; give a sequence of them")
    if not np.iterable(values):
        raise TypeError(f"{what} is {shown(values)}; it must be a sequence of strings")
    words = list(values)
    for i, word in enumerate(words):
        if not isinstance(word, str):
            raise TypeError(f"{what}[{i}] is {word!r}; it must be a string")
    if not words:
        raise ValueError(f"{what} is empty")
    return [str(word) for word in words]


def _asked(queries: Any, pools: dict[str, tuple[str, ...]]) -> tuple[Pair, ...]:
    """Pairs of a text and a known label."""
    if not np.iterable(queries):
        raise TypeError(
            f"queries is {shown(queries)}; it must be a sequence of pairs (input, label)"
        )
    pairs = list(queries)
    if not pairs:
        raise ValueError("queries are empty; leave them out to draw them from the inputs")
    for i, pair in enumerate(pairs):
        two = list(pair) if np.iterable(pair) and not isinstance(pair, str) else []
        if len(two) != 2 or not all(isinstance(x, str) for x in two):
            raise TypeError(f"queries[{i}] is {pair!r}; it must be a pair (input, label)")
        if pair[1] not in pools:
            known = ", ".join(map(repr, pools))
            raise ValueError(f"queries[{i}] has the label {pair[1]!r}; labels are {known}")
    return tuple((text, name) for text, name in pairs)


def whole_numbers(values: int | Iterable[int], what: str) -> list[int]:
    """Different whole numbers from 0 on, rising."""
    numbers = set()
    for value in listed(values, what) if has_items(values) else [np.asarray(values).item()]:
        numbers.add(whole(value, what, 0))
    if not numbers:
        raise ValueError(f"{what} is empty")
    return sorted(numbers)
