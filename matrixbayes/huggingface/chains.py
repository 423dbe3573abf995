"""Answers of several tokens: the chain rule, from rows of the model after their first tokens.

Contents
    by_chain_rule    the rows of a run over such answers
    passes           how many more rows are read for each row

The spellings of all answers are a tree of tokens.  Each inner node, a beginning of spellings, needs
the model's row after it, and a node's probability is that of the node above times that of its token
there.  What goes on otherwise belongs to the longest answer that it begins with, so an answer that
another one begins with has what does not go on as that one, and else to ``<other>``.  All sums are
of logarithms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rows import NextTokenRows
from .answers import Columns
from .boundary import Pieces
from .prompts import Prompt

Run = Callable[[list[Any], Any, dict[str, list[int]], bool], NextTokenRows]


def passes(columns: Columns) -> int:
    """How many more rows of the model each row takes."""
    return 0 if columns.chains is None else len(_tree(columns.chains)[1]) - 1


def by_chain_rule(
    run: Run,
    prompts: Sequence[Prompt],
    columns: Columns,
    *,
    hidden: bool = False,
    max_length: int | None = None,
) -> NextTokenRows:
    """The rows of prompts over answers of several tokens.

    Parameters
    ----------
    run
        Gives rows of prompts (token ids), positions, groups of ids and whether states are kept.
    prompts
        Encoded and checked.
    columns
        With `chains`.
    hidden
        Keep the states of the rows themselves.
    max_length
        How many tokens the model takes.
    """
    assert columns.chains is not None
    owner, beginnings = _tree(columns.chains)
    longest = max(int(p.positions.max()) + 1 for p in prompts) + max(map(len, beginnings))
    if max_length is not None and longest > max_length:
        raise ValueError(
            f"the longest prompt with all but the last token of the longest answer has {longest} "
            f"tokens, and the model takes {max_length}: shorten the prompt or the answer"
        )
    own = [p.ids for p in prompts], [p.positions for p in prompts]
    root = run(*own, _groups(owner, beginnings, ()), hidden)
    contexts = [root.context(i) for i in range(len(root))]
    rest = len(columns.chains)
    total = np.full((len(root), rest + 1), -np.inf)
    reached: dict[Pieces, NDArray[np.float64]] = {(): np.zeros(len(root))}
    for node in beginnings:
        groups = _groups(owner, beginnings, node)
        above = [owner[node[:n]] for n in range(len(node), 0, -1) if node[:n] in owner]
        begun = above[0] if above else rest  # whose is what goes on otherwise
        ids = np.asarray(node, dtype=np.int64)
        rows = root
        if node:
            rows = run([np.concatenate([c, ids]) for c in contexts], "last", groups, False)
        found = rows.log_probs.astype(np.float64) + reached[node][:, None]
        for name, column in zip(rows.tokens or (), found.T, strict=True):
            if name.startswith("+"):
                reached[(*node, int(name[1:]))] = column
                continue
            j = int(name) if name in groups else begun
            total[:, j] = np.logaddexp(total[:, j], column)
    return _finished(root, total, columns)


def _tree(chains: Sequence[Sequence[Pieces]]) -> tuple[dict[Pieces, int], list[Pieces]]:
    """The answer that each spelling is of, and the inner nodes, the shortest first; () is the root.

    A spelling that goes on from one of the same answer adds nothing to it.
    """
    every = {p: j for j, spelled in enumerate(chains) for p in spelled}
    owner = {}
    for pieces, j in every.items():
        above = [every[pieces[:n]] for n in range(1, len(pieces)) if pieces[:n] in every]
        if not above or above[-1] != j:
            owner[pieces] = j
    inner = {pieces[:n] for pieces in owner for n in range(len(pieces))}
    return owner, sorted(inner, key=lambda node: (len(node), node))


def _groups(
    owner: dict[Pieces, int], beginnings: Sequence[Pieces], node: Pieces
) -> dict[str, list[int]]:
    """What the tokens after a node lead to: an answer by number, or `+id`, the next node."""
    groups: dict[str, list[int]] = {}
    inner = set(beginnings)
    for below in dict.fromkeys([*beginnings, *owner]):
        if len(below) == len(node) + 1 and below[:-1] == node:
            name = f"+{below[-1]}" if below in inner else str(owner[below])
            groups.setdefault(name, []).append(below[-1])
    return groups


def _finished(root: NextTokenRows, total: NDArray[np.float64], columns: Columns) -> NextTokenRows:
    """The rows over the columns, with what of the root belongs to them."""
    share = np.exp(total[:, -1])
    if columns.drop_rest:
        total = total[:, :-1]
    total = total - np.logaddexp.reduce(total, axis=1, keepdims=True)
    rest = {
        "column": columns.rest,
        "dropped": columns.drop_rest,
        "ids": columns.n_rest,
        "mean": float(share.mean()),
        "max": float(share.max()),
    }
    return replace(
        root,
        log_probs=total.astype(root.log_probs.dtype),
        tokens=columns.tokens,
        token_ids=columns.token_ids,
        meta={**root.meta, "groups": columns.members, "rest": rest},
    )
