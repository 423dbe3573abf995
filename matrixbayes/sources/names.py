"""What families and their parts are called.

A family is parts with ``+`` between them: ``"iid"``, ``"markov"``, ``"tree"``, ``"balance"``.  A
part may say its order or depth and its tie: ``"markov2"``, ``"markov(repeat)"``, ``"tree5"``.

Contents
    TIES, KNOWN   how priors of keys may be tied; families that a message names
    Part          a part of a family, in full
    parts_of      those of a family
    canonical     a family with the tie of every chain in its name
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .._base.arguments import shown

TIES = ("shared", "repeat", "last", "full")
KNOWN = ("iid", "markov", "iid+markov", "tree+balance")
PART = re.compile(r"(?:(iid|balance)|(tree|markov)([1-9]\d*)?(?:\((\w+)\))?)")


class Part(NamedTuple):
    """A part of a family, in full.

    `order` is 0 for "iid"; `depth` is that of "tree"; `tie` is of "markov" alone.
    """

    kind: str
    order: int = 0
    tie: str = "shared"
    depth: int = 0

    @property
    def reads_rows(self) -> bool:
        """Whether it sees rows of counts, and not texts."""
        return self.kind in ("iid", "markov")

    @property
    def is_mixture(self) -> bool:
        """Whether its rows come from one Dirichlet mixture."""
        return self.reads_rows and self.tie == "shared"

    @property
    def has_base(self) -> bool:
        """Of what is no mixture: whether an alpha of each token is in its predictions."""
        return self.kind == "tree" or self.tie == "repeat"

    @property
    def is_even(self) -> bool:
        """Whether there are tokens that it tells nothing of, and gives each the same."""
        return not self.reads_rows or self.tie == "repeat"


def parts_of(family: str, order: int = 1, tie: str = "shared", depth: int = 4) -> dict[str, Part]:
    """The parts of a family by name; order, tie and depth are of those that do not say.

    Examples
    --------
    >>> parts_of("iid+markov2(repeat)")["markov2(repeat)"]
    Part(kind='markov', order=2, tie='repeat', depth=0)
    """
    found: dict[str, Part] = {}
    for name in family.split("+"):
        match = PART.fullmatch(name)
        if not match or (match[2] == "tree" and match[4]):
            known = ", ".join(repr(each) for each in KNOWN)
            raise ValueError(
                f"family={shown(family)} does not exist; there are {known} and other sums of "
                "'iid', "
                "'markov' (or 'markov2', 'markov(repeat)'), 'tree' (or 'tree5') and 'balance'"
            )
        plain, deep, number, own_tie = match.groups()
        if own_tie is not None and own_tie not in TIES:
            raise ValueError(f"tie={own_tie!r} of {name!r} is not one of {', '.join(TIES)}")
        part = Part(plain) if plain else Part("tree", depth=int(number or depth))
        if deep == "markov":
            part = Part("markov", int(number or order), own_tie or tie)
        if part in found.values():
            raise ValueError(f"family={shown(family)} has a part twice")
        if deep == "markov" and own_tie is None and tie != "shared":
            name = f"{name}({tie})"
        found[name] = part
    return found


def canonical(family: str, tie: str = "shared") -> str:
    """The family with the tie of every chain that has one."""
    return "+".join(parts_of(family, tie=tie))
