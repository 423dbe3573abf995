"""What a family of priors sees of histories.

Contents
    Design    the parts of a family, for the distinct among some histories
    design    makes one
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._base.typing import Floats, Ids
from ..sources.balance import BalanceSource
from ..sources.names import Part, parts_of
from ..sources.row_priors import RowSource
from ..sources.rows import Visited, distinct_histories, only, visited
from ..sources.seen import Entries, Source
from ..sources.texts import Texts, texts_of
from ..sources.tied import TiedSource, key_order
from ..sources.tree import TreeSource
from .histories import Histories


class Design(NamedTuple):
    """Distinct histories as a family sees them.

    Attributes
    ----------
    names : dict of str to Part
        The parts of the family.
    parts : dict of str to Visited
        What those that read rows see.
    texts : Texts or None
        What the others see.
    entries : Entries
        Tokens that are asked about one by one after each history.
    group : ndarray of int
        The distinct history of each given one.
    lengths : ndarray
        Of the distinct histories.
    n_tokens : int
    """

    names: dict[str, Part]
    parts: dict[str, Visited]
    texts: Texts | None
    entries: Entries
    group: Ids
    lengths: Floats
    n_tokens: int

    @property
    def n(self) -> int:
        """How many distinct histories."""
        return len(self.lengths)

    @property
    def longest(self) -> int:
        """The most visits of a row."""
        ages = [part.rows.age for part in self.parts.values()]
        return max((int(age.max(initial=0)) + 1 for age in ages if age is not None), default=1)

    def sources(self, discount: float | None) -> list[Source]:
        """Each part as a source; `discount` None where that is a parameter of each call."""
        found: list[Source] = []
        for name, part in self.names.items():
            if part.is_mixture:
                own = RowSource(self.parts[name], self.n_tokens, discount, self.entries)
                found.append(own)
            elif part.reads_rows:
                seen = self.parts[name]
                found.append(TiedSource(part.tie, seen, self.n_tokens, discount, self.entries))
            else:
                assert self.texts is not None
                if part.kind == "tree":
                    found.append(TreeSource(self.texts, part.depth, self.entries))
                else:
                    found.append(BalanceSource(self.texts, self.entries))
        return found


def design(
    histories: Histories,
    family: str,
    order: int,
    ordered: bool,
    tie: str = "shared",
    depth: int = 4,
) -> Design:
    """What `family` sees of histories.

    Parameters
    ----------
    histories
    family
        As for `elicit_prior`.
    order, tie, depth
        Of the parts that do not say.
    ordered
        Whether the order of a row's visits matters, as it does where counts fade.

    Examples
    --------
    >>> from matrixbayes.elicitation.histories import checked_histories
    >>> found = design(checked_histories([[0, 1, 0], [1, 0, 1]], "tokens", 2), "markov", 1, False)
    >>> rows = found.parts["markov"].rows
    >>> rows.starts, rows.columns, rows.counts      # 0 was followed by 1, and 1 by 0
    (array([0, 1, 2]), array([1, 0]), array([1., 1.]))
    """
    names = parts_of(family, order, tie, depth)
    parts = {
        name: visited(
            histories,
            part.order,
            ordered,
            None if part.tie == "shared" else key_order(part.tie, part.order),
        )
        for name, part in names.items()
        if part.reads_rows
    }
    texts = None
    if len(parts) < len(names):
        assert histories.tokens is not None  # `check_kind` refused counts alone
        assert histories.offsets is not None
        texts, first, group = texts_of(histories.tokens, histories.offsets, histories.n_tokens)
        parts = {name: part.chosen(first) for name, part in parts.items()}
    elif len(parts) == 1:  # the active row is all there is to a history
        ((name, part),) = parts.items()
        kept, first, group = np.unique(part.active, return_index=True, return_inverse=True)
        parts = {name: only(part, kept)}
    else:
        first, group = distinct_histories(list(parts.values()))
        parts = {name: part.chosen(first) for name, part in parts.items()}
    entries = _entries(names, parts, texts, len(first), histories.n_tokens)
    lengths = histories.lengths[first]
    return Design(names, parts, texts, entries, group, lengths, histories.n_tokens)


def _entries(
    names: dict[str, Part],
    parts: dict[str, Visited],
    texts: Texts | None,
    n: int,
    n_tokens: int,
) -> Entries:
    """The tokens of which any part says something of its own after each history."""
    if any(part.reads_rows and part.tie in ("last", "full") for part in names.values()):
        return Entries(np.arange(n + 1) * n_tokens, np.tile(np.arange(n_tokens), n))
    keys = []
    if texts is not None:
        history, columns = texts.seen()
        keys.append(history * n_tokens + columns)
    for name, part in parts.items():
        many = np.diff(part.rows.starts)[part.active]
        history = np.repeat(np.arange(n), many)
        within = np.arange(len(history)) - np.repeat(np.cumsum(many) - many, many)
        there = np.repeat(part.rows.starts[part.active], many) + within
        keys.append(history * n_tokens + part.rows.columns[there])
        if names[name].tie == "repeat":
            assert part.key is not None
            key = part.key[part.active]
            after = np.flatnonzero(key > 0)
            keys.append(after * n_tokens + key[after] - 1)
    found = np.unique(np.concatenate(keys))
    return Entries(np.searchsorted(found, np.arange(n + 1) * n_tokens), found % n_tokens)
